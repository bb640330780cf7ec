//! LCS: the longest common subsequence of two strings.

use super::options::is_word;
use super::string::VALUE_LEN_MAX;
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::keyspace::Keyspace;
use crate::engine::number::integer;
use crate::engine::reply::Reply;
use crate::engine::value::Value;

type Result<T = ()> = std::result::Result<T, CommandError>;

#[derive(Default)]
struct Options {
    tells_len: bool,
    tells_matches: bool,
    match_len_min: usize,
    with_match_len: bool,
}

impl Options {
    fn parse(mut words: &[&[u8]]) -> Result<Self> {
        let mut options = Self::default();
        while let [word, rest @ ..] = words {
            words = rest;
            if is_word(word, "LEN") {
                options.tells_len = true;
            } else if is_word(word, "IDX") {
                options.tells_matches = true;
            } else if is_word(word, "WITHMATCHLEN") {
                options.with_match_len = true;
            } else if is_word(word, "MINMATCHLEN")
                && let [len, rest @ ..] = rest
            {
                options.match_len_min = usize::try_from(integer(len)?).unwrap_or(0);
                words = rest;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if options.tells_len && options.tells_matches {
            return Err(CommandError::text(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

/// For each pair of prefixes the length of their longest common subsequence.
struct Lengths {
    cells: Vec<u32>,
    row_len: usize,
}

impl Lengths {
    fn new(a: &[u8], b: &[u8]) -> Result<Self> {
        let row_len = b.len() + 1;
        let count = (a.len() + 1) * row_len;
        if count * size_of::<u32>() > VALUE_LEN_MAX {
            return Err(CommandError::text(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ));
        }
        let mut cells = vec![0; count];
        for (i, of_a) in a.iter().enumerate() {
            let (above, row) = cells[i * row_len..(i + 2) * row_len].split_at_mut(row_len);
            for (j, of_b) in b.iter().enumerate() {
                row[j + 1] = if of_a == of_b { above[j] + 1 } else { above[j + 1].max(row[j]) };
            }
        }
        Ok(Self { cells, row_len })
    }

    fn of(&self, i: usize, j: usize) -> usize {
        self.cells[i * self.row_len + j] as usize
    }
}

/// `len` bytes that are the same in both strings from these places on.
#[derive(Clone, Copy)]
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

/// The runs of bytes that make up the longest common subsequence, from the last to the first. Where
/// there is a choice it is Redis's: a byte of `b` is left out rather than one of `a`.
fn matches(a: &[u8], b: &[u8], lengths: &Lengths) -> Vec<Match> {
    let mut matches: Vec<Match> = Vec::new();
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            match matches.last_mut() {
                Some(last) if (last.a, last.b) == (i, j) => {
                    *last = Match { a: i - 1, b: j - 1, len: last.len + 1 };
                }
                _ => matches.push(Match { a: i - 1, b: j - 1, len: 1 }),
            }
            (i, j) = (i - 1, j - 1);
        } else if lengths.of(i - 1, j) > lengths.of(i, j - 1) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    matches
}

fn string_at(keyspace: &Keyspace, database: u8, key: &[u8]) -> Result<Vec<u8>> {
    match keyspace.get(database, key) {
        None => Ok(Vec::new()),
        Some(Value::String(string)) => Ok(string.to_vec()),
        Some(_) => Err(CommandError::text("ERR The specified keys must contain string values")),
    }
}

fn lcs(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let a = string_at(context.keyspace, context.database, arguments[0])?;
    let b = string_at(context.keyspace, context.database, arguments[1])?;
    let options = Options::parse(&arguments[2..])?;
    let lengths = Lengths::new(&a, &b)?;
    let len = lengths.of(a.len(), b.len());
    if options.tells_len {
        context.reply.count(len);
        return Ok(());
    }
    let matches = matches(&a, &b, &lengths);
    if options.tells_matches {
        reply_matches(context.reply, &matches, len, &options);
    } else {
        let runs = matches.iter().rev().map(|run| &a[run.a..run.a + run.len]);
        context.reply.bulk(&runs.collect::<Vec<_>>().concat());
    }
    Ok(())
}

fn reply_matches(reply: &mut Reply, matches: &[Match], len: usize, options: &Options) {
    let told: Vec<_> = matches.iter().filter(|run| run.len >= options.match_len_min).collect();
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(told.len());
    for run in told {
        reply.array(if options.with_match_len { 3 } else { 2 });
        for start in [run.a, run.b] {
            reply.array(2);
            reply.count(start);
            reply.count(start + run.len - 1);
        }
        if options.with_match_len {
            reply.count(run.len);
        }
    }
    reply.bulk(b"len");
    reply.count(len);
}

const BOTH: Keys = Keys { first: 1, last: 2, step: 1 };

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("lcs", -3, Flags::READONLY, BOTH, lcs,
        Docs::new("string", "7.0.0", "O(N*M) for strings of N and M bytes.",
            "Finds the longest common subsequence of two strings.")),
];

#[cfg(test)]
mod tests;
