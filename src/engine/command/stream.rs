//! The commands of streams.
//!
//! Time comes from the context: the id `*` is the leader's clock as of the log entry, and never at
//! or below the last id, so the same id on every node.

use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::number::integer;
use crate::engine::reply::Reply;
use crate::engine::types::stream::{ENTRY_BYTES_MAX, Entry, Stream, StreamId};
use crate::raft::types::Millis;

#[cfg(test)]
mod tests;

const INVALID_ID: CommandError =
    CommandError::text("ERR Invalid stream ID specified as stream command argument");

const ID_TOO_SMALL: CommandError = CommandError::text(
    "ERR The ID specified in XADD is equal or smaller than the target stream top item",
);

/// The id that a new entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NewId {
    /// `*`
    Clock,
    /// `ms-*`
    InMillisecond(u64),
    Exact(StreamId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threshold {
    Length(usize),
    MinId(StreamId),
}

/// How far to trim. With `~` Redis may keep more entries than asked; here trimming is always exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trim {
    threshold: Threshold,
    /// The number of entries that one command may drop.
    limit: usize,
}

/// The words between the key and the fields, or all words of XTRIM.
#[derive(Debug, Default)]
struct Options {
    threshold: Option<Threshold>,
    approximate: bool,
    limit: Option<i64>,
    existing_only: bool,
}

impl Options {
    /// Reads the option at the head of `words`; `None` when there is none.
    fn take<'a, 'b>(
        &mut self,
        words: &'a [&'b [u8]],
    ) -> Result<Option<&'a [&'b [u8]]>, CommandError> {
        let Some((word, rest)) = words.split_first() else { return Ok(None) };
        match (word.to_ascii_lowercase().as_slice(), rest) {
            (option @ (b"maxlen" | b"minid"), [_, ..]) => {
                if self.threshold.is_some() {
                    return Err(CommandError::text(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not \
                         compatible",
                    ));
                }
                let (approximate, rest) = match rest {
                    [b"~", rest @ ..] if !rest.is_empty() => (true, rest),
                    [b"=", rest @ ..] if !rest.is_empty() => (false, rest),
                    _ => (false, rest),
                };
                self.approximate = approximate;
                self.threshold = Some(match option {
                    b"maxlen" => Threshold::Length(max_len(rest[0])?),
                    _ => Threshold::MinId(parse_id(rest[0], 0)?),
                });
                Ok(Some(&rest[1..]))
            }
            (b"limit", [limit, rest @ ..]) => {
                let limit = integer(limit)?;
                if limit < 0 {
                    return Err(CommandError::text("ERR The LIMIT argument must be >= 0."));
                }
                self.limit = Some(limit);
                Ok(Some(rest))
            }
            _ => Ok(None),
        }
    }

    fn trim(&self) -> Result<Option<Trim>, CommandError> {
        let Some(threshold) = self.threshold else {
            return match self.limit {
                Some(_) => Err(CommandError::text(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                )),
                None => Ok(None),
            };
        };
        let limit = match self.limit {
            Some(_) if !self.approximate => {
                return Err(CommandError::text(
                    "ERR syntax error, LIMIT cannot be used without the special ~ option",
                ));
            }
            None | Some(0) => usize::MAX,
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        Ok(Some(Trim { threshold, limit }))
    }
}

impl Trim {
    fn apply(self, stream: &mut Stream) -> usize {
        match self.threshold {
            Threshold::Length(len) => stream.trim_to_len(len, self.limit),
            Threshold::MinId(id) => stream.trim_before(id, self.limit),
        }
    }
}

impl NewId {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        if word == b"*" {
            return Ok(Self::Clock);
        }
        match word.strip_suffix(b"-*") {
            Some(ms) => parse_number(ms).map(Self::InMillisecond).ok_or(INVALID_ID),
            None => parse_id(word, 0).map(Self::Exact),
        }
    }

    fn resolve(self, stream: &Stream, now_ms: Millis) -> Result<StreamId, CommandError> {
        let last = stream.last_id();
        if last == StreamId::MAX {
            return Err(CommandError::text(
                "ERR The stream has exhausted the last possible ID, unable to add more items",
            ));
        }
        let first_of = |ms: u64| {
            // 0-0 is no id of an entry.
            let first = StreamId { ms, seq: u64::from(ms == 0) };
            if ms > last.ms { Some(first) } else { last.next() }
        };
        let id = match self {
            Self::Clock => first_of(now_ms),
            Self::InMillisecond(ms) => first_of(ms).filter(|id| id.ms == ms),
            Self::Exact(id) => Some(id),
        };
        id.filter(|&id| id > last).ok_or(ID_TOO_SMALL)
    }
}

fn max_len(word: &[u8]) -> Result<usize, CommandError> {
    usize::try_from(integer(word)?)
        .map_err(|_| CommandError::text("ERR The MAXLEN argument must be >= 0."))
}

/// An id in full, or its milliseconds alone with `seq` for the rest.
fn parse_id(word: &[u8], seq: u64) -> Result<StreamId, CommandError> {
    let mut parts = word.splitn(2, |&byte| byte == b'-');
    let ms = parts.next().and_then(parse_number).ok_or(INVALID_ID)?;
    let seq = match parts.next() {
        Some(seq) => parse_number(seq).ok_or(INVALID_ID)?,
        None => seq,
    };
    Ok(StreamId { ms, seq })
}

/// Leading zeros and a plus sign are fine in an id, unlike elsewhere.
fn parse_number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn parse_start(word: &[u8]) -> Result<StreamId, CommandError> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        [b'(', id @ ..] => parse_id(id, 0)?
            .next()
            .ok_or(CommandError::text("ERR invalid start ID for the interval")),
        _ => parse_id(word, 0),
    }
}

fn parse_end(word: &[u8]) -> Result<StreamId, CommandError> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        [b'(', id @ ..] => parse_id(id, u64::MAX)?
            .previous()
            .ok_or(CommandError::text("ERR invalid end ID for the interval")),
        _ => parse_id(word, u64::MAX),
    }
}

fn write_id(reply: &mut Reply, id: StreamId) {
    let mut text = [0; 41];
    let mut len = 0;
    let mut push = |bytes: &[u8]| {
        text[len..len + bytes.len()].copy_from_slice(bytes);
        len += bytes.len();
    };
    push(itoa::Buffer::new().format(id.ms).as_bytes());
    push(b"-");
    push(itoa::Buffer::new().format(id.seq).as_bytes());
    reply.bulk(&text[..len]);
}

fn write_entry(reply: &mut Reply, entry: &Entry<'_>) {
    reply.array(2);
    write_id(reply, entry.id);
    reply.array(entry.field_count());
    for field in entry.fields() {
        reply.bulk(field);
    }
}

fn xadd(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let key = arguments[0];
    let mut options = Options::default();
    let mut words = &arguments[1..];
    let id = loop {
        let Some((word, rest)) = words.split_first() else { break None };
        if let Some(rest) = options.take(words)? {
            words = rest;
        } else if word.eq_ignore_ascii_case(b"nomkstream") {
            options.existing_only = true;
            words = rest;
        } else {
            words = rest;
            break Some(NewId::parse(word)?);
        }
    };
    let trim = options.trim()?;
    let fields = words;
    let id = match id {
        Some(id) if !fields.is_empty() && fields.len().is_multiple_of(2) => id,
        _ => return Err(CommandError::Arity("xadd".into())),
    };
    if id == NewId::Exact(StreamId::MIN) {
        return Err(CommandError::text("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let stream = if options.existing_only {
        context.keyspace.change::<Stream>(context.database, key)?
    } else {
        Some(context.keyspace.change_or_create::<Stream>(context.database, key)?)
    };
    let Some(stream) = stream else {
        context.reply.null();
        return Ok(());
    };
    let id = id.resolve(stream, context.now_ms)?;
    if fields.iter().map(|field| field.len()).sum::<usize>() > ENTRY_BYTES_MAX {
        return Err(CommandError::text("ERR Elements are too large to be stored"));
    }
    stream.append(id, fields);
    if let Some(trim) = trim {
        trim.apply(stream);
    }
    write_id(context.reply, id);
    Ok(())
}

fn xtrim(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let mut options = Options::default();
    let mut words = &arguments[1..];
    while !words.is_empty() {
        words = options.take(words)?.ok_or(CommandError::Syntax)?;
    }
    let trim = options.trim()?.ok_or(CommandError::text(
        "ERR syntax error, XTRIM must be called with a trimming strategy",
    ))?;
    // A stream without entries stays: its last id must not be given again.
    let stream = context.keyspace.change::<Stream>(context.database, arguments[0])?;
    context.reply.count(stream.map_or(0, |stream| trim.apply(stream)));
    Ok(())
}

fn xdel(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let (key, words) = (arguments[0], &arguments[1..]);
    let Some(stream) = context.keyspace.change::<Stream>(context.database, key)? else {
        context.reply.integer(0);
        return Ok(());
    };
    let ids = words.iter().map(|word| parse_id(word, 0)).collect::<Result<Vec<StreamId>, _>>()?;
    context.reply.count(ids.into_iter().filter(|&id| stream.remove(id)).count());
    Ok(())
}

fn xlen(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let stream = context.keyspace.read::<Stream>(context.database, arguments[0])?;
    context.reply.count(stream.map_or(0, Stream::len));
    Ok(())
}

fn xrange(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let (start, end) = (parse_start(arguments[1])?, parse_end(arguments[2])?);
    let count = count_option(&arguments[3..])?;
    let Some(stream) = context.keyspace.read::<Stream>(context.database, arguments[0])? else {
        context.reply.array(0);
        return Ok(());
    };
    write_entries(context.reply, stream.range(start, end), count);
    Ok(())
}

fn xrevrange(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let (end, start) = (parse_end(arguments[1])?, parse_start(arguments[2])?);
    let count = count_option(&arguments[3..])?;
    let Some(stream) = context.keyspace.read::<Stream>(context.database, arguments[0])? else {
        context.reply.array(0);
        return Ok(());
    };
    write_entries(context.reply, stream.range(start, end).rev(), count);
    Ok(())
}

/// COUNT, of which anything below 1 means none at all.
fn count_option(words: &[&[u8]]) -> Result<usize, CommandError> {
    let mut count = usize::MAX;
    let mut pairs = words.chunks_exact(2);
    for pair in &mut pairs {
        if !pair[0].eq_ignore_ascii_case(b"count") {
            return Err(CommandError::Syntax);
        }
        count = usize::try_from(integer(pair[1])?).unwrap_or(0);
    }
    if pairs.remainder().is_empty() { Ok(count) } else { Err(CommandError::Syntax) }
}

fn write_entries<'a>(reply: &mut Reply, entries: impl Iterator<Item = Entry<'a>>, count: usize) {
    if count == 0 {
        reply.null_array();
        return;
    }
    let header = reply.defer();
    let mut written = 0;
    for entry in entries.take(count) {
        write_entry(reply, &entry);
        written += 1;
    }
    reply.fill_array(header, written);
}

const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const GROW_FAST: Flags = WRITE_FAST.union(Flags::DENYOOM);

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("stream", since, complexity, summary)
}

const APPEND: &str = "O(1) to append, O(N) with N the number of entries trimmed.";
const PER_ENTRY: &str = "O(1) for each entry.";
const PER_READ: &str = "O(N) with N the number of entries given.";
const PER_TRIMMED: &str = "O(N) with N the number of entries dropped.";

#[rustfmt::skip]
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("xadd", -5, GROW_FAST, Keys::FIRST, xadd,
        docs("5.0.0", APPEND, "Appends an entry to a stream.")),
    CommandSpec::engine("xdel", -3, WRITE_FAST, Keys::FIRST, xdel,
        docs("5.0.0", PER_ENTRY, "Deletes entries by their ids.")),
    CommandSpec::engine("xlen", 2, READ_FAST, Keys::FIRST, xlen,
        docs("5.0.0", "O(1)", "Tells how many entries a stream has.")),
    CommandSpec::engine("xrange", -4, Flags::READONLY, Keys::FIRST, xrange,
        docs("5.0.0", PER_READ, "Gives the entries between two ids.")),
    CommandSpec::engine("xrevrange", -4, Flags::READONLY, Keys::FIRST, xrevrange,
        docs("5.0.0", PER_READ,
            "Gives the entries between two ids, from the last to the first.")),
    CommandSpec::engine("xtrim", -4, Flags::WRITE, Keys::FIRST, xtrim,
        docs("5.0.0", PER_TRIMMED, "Drops entries from the start of a stream.")),
];
