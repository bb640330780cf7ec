//! The commands of streams. Here are those of the entries themselves.
//!
//! Time comes from the context: the id `*` is the leader's clock as of the log entry, and never at
//! or below the last id, so the same id on every node; so are the times of deliveries.

mod claim;
mod group;
mod info;
mod read;
mod table;
#[cfg(test)]
mod tests;

use super::Context;
use super::options::is_word;
use crate::engine::error::CommandError;
use crate::engine::notifications::EventClasses;
use crate::engine::number::integer;
use crate::engine::reply::Reply;
use crate::engine::types::stream::{ENTRY_BYTES_MAX, Entry, Stream, StreamId, StreamLog};
use crate::raft::types::Millis;

pub(super) use table::COMMANDS;

type Result<T = ()> = std::result::Result<T, CommandError>;

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

/// How far to trim. With `~` Redis may keep more entries than asked, up to a block's end, and stops
/// after 10,000 of them; here trimming is always exact, and stops at LIMIT alone, because where
/// blocks end depends on what was deleted and loaded before, which is not the same on every node.
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
    fn take<'a, 'b>(&mut self, words: &'a [&'b [u8]]) -> Result<Option<&'a [&'b [u8]]>> {
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

    fn trim(&self) -> Result<Option<Trim>> {
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
    fn apply(self, stream: &mut StreamLog) -> usize {
        match self.threshold {
            Threshold::Length(len) => stream.trim_to_len(len, self.limit),
            Threshold::MinId(id) => stream.trim_before(id, self.limit),
        }
    }
}

impl NewId {
    fn parse(word: &[u8]) -> Result<Self> {
        if word == b"*" {
            return Ok(Self::Clock);
        }
        match word.strip_suffix(b"-*") {
            Some(ms) => parse_number(ms).map(Self::InMillisecond).ok_or(INVALID_ID),
            None => parse_id(word, 0).map(Self::Exact),
        }
    }

    fn resolve(self, stream: &StreamLog, now_ms: Millis) -> Result<StreamId> {
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

fn max_len(word: &[u8]) -> Result<usize> {
    usize::try_from(integer(word)?)
        .map_err(|_| CommandError::text("ERR The MAXLEN argument must be >= 0."))
}

/// An id in full, or its milliseconds alone with `seq` for the rest.
fn parse_id(word: &[u8], seq: u64) -> Result<StreamId> {
    let mut parts = word.splitn(2, |&byte| byte == b'-');
    let ms = parts.next().and_then(parse_number).ok_or(INVALID_ID)?;
    let seq = match parts.next() {
        Some(seq) => parse_number(seq).ok_or(INVALID_ID)?,
        None => seq,
    };
    Ok(StreamId { ms, seq })
}

/// White space, a plus sign and zeros may lead a number of an id, unlike elsewhere.
fn parse_number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word.trim_ascii_start()).ok()?.parse().ok()
}

fn parse_start(word: &[u8]) -> Result<StreamId> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        [b'(', id @ ..] => parse_id(id, 0)?
            .next()
            .ok_or(CommandError::text("ERR invalid start ID for the interval")),
        _ => parse_id(word, 0),
    }
}

fn parse_end(word: &[u8]) -> Result<StreamId> {
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

/// Tells of what has become of a group. For who watches the stream that is no part of it, but what
/// XINFO told of it is no longer true.
fn notify_group(context: &mut Context<'_>, event: &'static str, key: &[u8]) {
    context.keyspace.tell_trackers(key);
    context.notify(EventClasses::STREAM, event, key);
}

/// The error of a key or group that is not there. What follows the names tells who says so.
fn no_group(key: &[u8], group: &[u8], rest: &str) -> CommandError {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    let text = format!("NOGROUP No such key '{key}' or consumer group '{group}'{rest}");
    CommandError::Text(text.into())
}

/// The error of subcommands that want a group of a stream that is there.
fn no_such_group(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    let text = format!("NOGROUP No such consumer group '{group}' for key name '{key}'");
    CommandError::Text(text.into())
}

/// How long ago that was: no time at all for what is not past.
fn millis_since(at_ms: Millis, now_ms: Millis) -> i64 {
    i64::try_from(now_ms.saturating_sub(at_ms)).unwrap_or(i64::MAX)
}

fn write_entry(reply: &mut Reply, entry: &Entry<'_>) {
    reply.array(2);
    write_id(reply, entry.id);
    reply.array(entry.field_count());
    for field in entry.fields() {
        reply.bulk(field);
    }
}

fn xadd(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
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
    if fields.iter().map(|field| field.len()).sum::<usize>() > ENTRY_BYTES_MAX {
        return Err(CommandError::text("ERR Elements are too large to be stored"));
    }
    let stream = if options.existing_only {
        context.keyspace.change_quietly::<Stream>(context.database, key)?
    } else {
        Some(context.keyspace.change_or_create_quietly::<Stream>(context.database, key)?)
    };
    let Some(stream) = stream else {
        context.reply.null();
        return Ok(());
    };
    let id = id.resolve(&stream.log, context.now_ms)?;
    stream.log.append(id, fields);
    let trimmed = trim.map_or(0, |trim| trim.apply(&mut stream.log));
    context.keyspace.tell(context.database, key);
    context.notify(EventClasses::STREAM, "xadd", key);
    if trimmed > 0 {
        context.notify(EventClasses::STREAM, "xtrim", key);
    }
    write_id(context.reply, id);
    Ok(())
}

fn xtrim(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let mut options = Options::default();
    let mut words = &arguments[1..];
    while !words.is_empty() {
        words = options.take(words)?.ok_or(CommandError::Syntax)?;
    }
    let trim = options.trim()?.ok_or(CommandError::text(
        "ERR syntax error, XTRIM must be called with a trimming strategy",
    ))?;
    // A stream without entries stays: its last id must not be given again.
    let key = arguments[0];
    let stream = context.keyspace.change_quietly::<Stream>(context.database, key)?;
    let removed = stream.map_or(0, |stream| trim.apply(&mut stream.log));
    if removed > 0 {
        context.keyspace.tell(context.database, key);
        context.notify(EventClasses::STREAM, "xtrim", key);
    }
    context.reply.count(removed);
    Ok(())
}

fn xdel(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, words) = (arguments[0], &arguments[1..]);
    let Some(stream) = context.keyspace.change_quietly::<Stream>(context.database, key)? else {
        context.reply.integer(0);
        return Ok(());
    };
    let ids = words.iter().map(|word| parse_id(word, 0)).collect::<Result<Vec<StreamId>>>()?;
    let removed = ids.into_iter().filter(|&id| stream.log.remove(id)).count();
    if removed > 0 {
        context.keyspace.tell(context.database, key);
        context.notify(EventClasses::STREAM, "xdel", key);
    }
    context.reply.count(removed);
    Ok(())
}

fn xsetid(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let id = parse_id(arguments[1], 0)?;
    let (mut added, mut deleted) = (None, StreamId::MIN);
    for option in arguments[2..].chunks(2) {
        match option {
            [name, value] if is_word(name, "ENTRIESADDED") => {
                let value = u64::try_from(integer(value)?);
                added = Some(
                    value.map_err(|_| CommandError::text("ERR entries_added must be positive"))?,
                );
            }
            [name, value] if is_word(name, "MAXDELETEDID") => {
                deleted = parse_id(value, 0)?;
                if id < deleted {
                    return Err(CommandError::text(
                        "ERR The ID specified in XSETID is smaller than the provided \
                         max_deleted_entry_id",
                    ));
                }
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    let stream = context.keyspace.change_quietly::<Stream>(context.database, arguments[0])?;
    let log = &mut stream.ok_or(CommandError::NoSuchKey)?.log;
    if id < log.max_deleted_id() {
        return Err(CommandError::text(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if log.last_entry_id().is_some_and(|last| id < last) {
        return Err(CommandError::text(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if added.is_some_and(|added| added < log.len() as u64) {
        return Err(CommandError::text(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    let deleted = if deleted == StreamId::MIN { log.max_deleted_id() } else { deleted };
    let is_set = log.set_counters(id, added.unwrap_or(log.entries_added()), deleted);
    assert!(is_set, "the id was compared with the last entry");
    context.notify(EventClasses::STREAM, "xsetid", arguments[0]);
    context.reply.ok();
    Ok(())
}

fn xlen(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let stream = context.keyspace.read::<Stream>(context.database, arguments[0])?;
    context.reply.count(stream.map_or(0, |stream| stream.log.len()));
    Ok(())
}

fn xrange(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (start, end) = (parse_start(arguments[1])?, parse_end(arguments[2])?);
    let count = count_option(&arguments[3..])?;
    let Some(stream) = context.keyspace.read::<Stream>(context.database, arguments[0])? else {
        context.reply.array(0);
        return Ok(());
    };
    write_entries(context.reply, stream.log.range(start, end), count);
    Ok(())
}

fn xrevrange(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (start, end) = (parse_start(arguments[2])?, parse_end(arguments[1])?);
    let count = count_option(&arguments[3..])?;
    let Some(stream) = context.keyspace.read::<Stream>(context.database, arguments[0])? else {
        context.reply.array(0);
        return Ok(());
    };
    write_entries(context.reply, stream.log.range(start, end).rev(), count);
    Ok(())
}

/// COUNT, of which anything below 1 means none at all.
fn count_option(words: &[&[u8]]) -> Result<usize> {
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
