//! XGROUP, XACK and XPENDING: groups of consumers, and what is pending in them.

use super::{
    Result, millis_since, no_group, no_such_group, notify_group, parse_end, parse_id, parse_start,
    write_id,
};
use crate::engine::command::Context;
use crate::engine::command::container::{self, unknown_options};
use crate::engine::command::options::is_word;
use crate::engine::error::CommandError;
use crate::engine::number::integer;
use crate::engine::reply::Reply;
use crate::engine::types::stream::{Group, Stream, StreamId};
use crate::raft::types::Millis;

/// What may follow the id of XGROUP CREATE and SETID.
#[derive(Default)]
struct Options {
    mkstream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(words: &[&[u8]], subcommand: &str) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = words;
        while let Some((word, tail)) = rest.split_first() {
            rest = match tail {
                _ if is_word(word, "MKSTREAM") && subcommand == "CREATE" => {
                    options.mkstream = true;
                    tail
                }
                [count, tail @ ..] if is_word(word, "ENTRIESREAD") => {
                    options.entries_read = match integer(count)? {
                        -1 => None,
                        count => Some(u64::try_from(count).map_err(|_| {
                            CommandError::text("ERR value for ENTRIESREAD must be positive or -1")
                        })?),
                    };
                    tail
                }
                _ => return Err(unknown_options("XGROUP", subcommand)),
            };
        }
        Ok(options)
    }
}

const NO_STREAM: CommandError = CommandError::text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);

/// The stream of a subcommand that does not make it. For WATCH its groups are no part of it.
fn stream_of<'a>(context: &'a mut Context<'_>, key: &[u8]) -> Result<&'a mut Stream> {
    context.keyspace.change_quietly::<Stream>(context.database, key)?.ok_or(NO_STREAM)
}

/// The group that a subcommand is about.
fn group_of<'a>(context: &'a mut Context<'_>, words: &[&[u8]]) -> Result<&'a mut Group> {
    let stream = stream_of(context, words[0])?;
    stream.groups.get_mut(words[1]).ok_or_else(|| no_such_group(words[0], words[1]))
}

pub(super) fn create(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, name) = (arguments[0], arguments[1]);
    let options = Options::parse(&arguments[3..], "CREATE")?;
    let stream = context.keyspace.read::<Stream>(context.database, key)?;
    if stream.is_none() && !options.mkstream {
        return Err(NO_STREAM);
    }
    // Said several times, options can be more than the words that Redis takes.
    if arguments.len() > 6 {
        return Err(unknown_options("XGROUP", "CREATE"));
    }
    let last_id = match arguments[2] {
        b"$" => stream.map_or(StreamId::MIN, |stream| stream.log.last_id()),
        id => parse_id(id, 0)?,
    };
    let is_new = stream.is_none();
    let stream = context.keyspace.change_or_create_quietly::<Stream>(context.database, key)?;
    if stream.groups.contains_key(name) {
        return Err(CommandError::text("BUSYGROUP Consumer Group name already exists"));
    }
    stream.groups.insert(name.into(), Group::new(last_id, options.entries_read));
    if is_new {
        context.keyspace.tell(context.database, key);
    }
    notify_group(context, "xgroup-create", key);
    context.reply.ok();
    Ok(())
}

pub(super) fn setid(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let options = Options::parse(&arguments[3..], "SETID")?;
    let stream = stream_of(context, arguments[0])?;
    let last_id = stream.log.last_id();
    let group = stream.groups.get_mut(arguments[1]);
    let group = group.ok_or_else(|| no_such_group(arguments[0], arguments[1]))?;
    if arguments.len() > 5 {
        return Err(unknown_options("XGROUP", "SETID"));
    }
    let id = match arguments[2] {
        b"$" => last_id,
        b"-" => StreamId::MIN,
        b"+" => StreamId::MAX,
        id => parse_id(id, 0)?,
    };
    group.set_position(id, options.entries_read);
    notify_group(context, "xgroup-setid", arguments[0]);
    context.reply.ok();
    Ok(())
}

pub(super) fn destroy(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let removed = stream_of(context, arguments[0])?.groups.remove(arguments[1]);
    if removed.is_some() {
        context.keyspace.tell_waiters(context.database, arguments[0]);
        notify_group(context, "xgroup-destroy", arguments[0]);
    }
    context.reply.count(usize::from(removed.is_some()));
    Ok(())
}

pub(super) fn createconsumer(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let now_ms = context.now_ms;
    let added = group_of(context, arguments)?.add_consumer(arguments[2], now_ms, None);
    let is_added = added.is_some();
    if is_added {
        notify_group(context, "xgroup-createconsumer", arguments[0]);
    }
    context.reply.count(usize::from(is_added));
    Ok(())
}

pub(super) fn delconsumer(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let pending = group_of(context, arguments)?.remove_consumer(arguments[2]);
    if pending.is_some() {
        notify_group(context, "xgroup-delconsumer", arguments[0]);
    }
    context.reply.count(pending.unwrap_or(0));
    Ok(())
}

pub(super) fn help(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    container::help(
        context.reply,
        "XGROUP",
        &[
            "CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD <n>]",
            "    Make a group that goes on after <id>, and the stream if MKSTREAM is given.",
            "    ENTRIESREAD tells how many entries there were up to <id>.",
            "CREATECONSUMER <key> <groupname> <consumer>",
            "    Make a consumer of a group.",
            "DELCONSUMER <key> <groupname> <consumer>",
            "    Remove a consumer with all that is pending for it.",
            "DESTROY <key> <groupname>",
            "    Remove a group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD <n>]",
            "    Let a group go on after <id>.",
            "HELP",
            "    Print this help.",
        ],
    );
    Ok(())
}

/// XGROUP by itself never runs: the table asks for a subcommand.
pub(super) fn xgroup(_: &mut Context<'_>, _: &[&[u8]]) -> Result {
    Err(CommandError::Arity("xgroup".into()))
}

pub(super) fn xack(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let stream = context.keyspace.change_quietly::<Stream>(context.database, arguments[0])?;
    let Some(group) = stream.and_then(|stream| stream.groups.get_mut(arguments[1])) else {
        context.keyspace.peek_or_miss(context.database, arguments[0]);
        context.reply.integer(0);
        return Ok(());
    };
    let ids = arguments[2..].iter().map(|id| parse_id(id, 0)).collect::<Result<Vec<_>>>()?;
    let acknowledged = ids.into_iter().filter(|id| group.acknowledge(*id)).count();
    if acknowledged > 0 {
        context.keyspace.tell_trackers(arguments[0]);
    }
    context.reply.count(acknowledged);
    Ok(())
}

/// The long form of XPENDING.
struct Filter<'a> {
    idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// `None` stands for the short form.
    fn parse(words: &[&'a [u8]]) -> Result<Option<Self>> {
        if words.is_empty() {
            return Ok(None);
        }
        if words.len() < 3 || words.len() > 6 {
            return Err(CommandError::Syntax);
        }
        let (idle_ms, rest) = match words {
            [word, idle, rest @ ..] if is_word(word, "IDLE") => {
                let idle_ms = integer(idle)?;
                if rest.len() < 3 {
                    return Err(CommandError::Syntax);
                }
                (idle_ms, rest)
            }
            _ => (0, words),
        };
        let count = usize::try_from(integer(rest[2])?).unwrap_or(0);
        let (start, end) = (parse_start(rest[0])?, parse_end(rest[1])?);
        Ok(Some(Self { idle_ms, start, end, count, consumer: rest.get(3).copied() }))
    }
}

pub(super) fn xpending(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, name) = (arguments[0], arguments[1]);
    let filter = Filter::parse(&arguments[2..])?;
    let stream = context.keyspace.read::<Stream>(context.database, key)?;
    let group = stream.and_then(|stream| stream.groups.get(name));
    let group = group.ok_or_else(|| no_group(key, name, ""))?;
    match filter {
        None => write_summary(context.reply, group),
        Some(filter) => write_pending(context.reply, group, &filter, context.now_ms),
    }
    Ok(())
}

fn write_summary(reply: &mut Reply, group: &Group) {
    reply.array(4);
    reply.count(group.pending_len());
    let Some((first, last)) = group.pending_bounds() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    write_id(reply, first);
    write_id(reply, last);
    let busy = || group.consumers().filter(|(_, consumer)| consumer.pending_len() > 0);
    reply.array(busy().count());
    for (name, consumer) in busy() {
        reply.array(2);
        reply.bulk(name);
        reply.bulk(itoa::Buffer::new().format(consumer.pending_len()).as_bytes());
    }
}

fn write_pending(reply: &mut Reply, group: &Group, filter: &Filter<'_>, now_ms: Millis) {
    let range = filter.start..=filter.end;
    let header = reply.defer();
    let mut written = 0;
    let mut write = |id: StreamId| {
        let Some(delivery) = group.delivery(id) else { return };
        reply.array(4);
        write_id(reply, id);
        reply.bulk(&delivery.consumer);
        reply.integer(millis_since(delivery.at_ms, now_ms));
        reply.integer(delivery.count as i64);
        written += 1;
    };
    let is_idle = |id: &StreamId| {
        let idle = |at_ms| millis_since(at_ms, now_ms) >= filter.idle_ms;
        group.delivery(*id).is_some_and(|delivery| idle(delivery.at_ms))
    };
    match filter.consumer.map(|name| group.consumer(name)) {
        Some(Some((_, consumer))) => {
            consumer.pending(range).filter(is_idle).take(filter.count).for_each(&mut write);
        }
        Some(None) => {}
        None => {
            let ids = group.pending(range).map(|(id, _)| id);
            ids.filter(is_idle).take(filter.count).for_each(&mut write);
        }
    }
    reply.fill_array(header, written);
}
