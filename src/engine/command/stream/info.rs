//! XINFO: what is known of streams, groups and consumers.

use super::{Result, millis_since, no_such_group, write_entries, write_entry, write_id};
use crate::engine::command::Context;
use crate::engine::command::container::{self, unknown_options};
use crate::engine::command::options::is_word;
use crate::engine::error::CommandError;
use crate::engine::keyspace::Keyspace;
use crate::engine::number::integer;
use crate::engine::reply::Reply;
use crate::engine::types::stream::{Consumer, Group, Stream, StreamId};

/// Entries, pending entries and entries pending for a consumer that XINFO STREAM FULL shows when it
/// is not told how many.
const FULL_COUNT_DEFAULT: usize = 10;

fn stream_of<'a>(keyspace: &'a Keyspace, database: u8, key: &[u8]) -> Result<&'a Stream> {
    keyspace.read::<Stream>(database, key)?.ok_or(CommandError::NoSuchKey)
}

/// How many of each to show; `None` where FULL was not asked for.
fn full_count(words: &[&[u8]]) -> Result<Option<usize>> {
    match words {
        [] => Ok(None),
        [full] if is_word(full, "FULL") => Ok(Some(FULL_COUNT_DEFAULT)),
        [full, count, number] if is_word(full, "FULL") && is_word(count, "COUNT") => {
            Ok(Some(match usize::try_from(integer(number)?) {
                Ok(0) => usize::MAX,
                Ok(number) => number,
                Err(_) => FULL_COUNT_DEFAULT,
            }))
        }
        _ => Err(unknown_options("XINFO", "STREAM")),
    }
}

pub(super) fn stream(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let stream = stream_of(context.keyspace, context.database, arguments[0])?;
    let full = full_count(&arguments[1..])?;
    let (reply, log) = (&mut *context.reply, &stream.log);
    reply.map(if full.is_some() { 9 } else { 10 });
    reply.bulk(b"length");
    reply.count(log.len());
    // Redis tells the size of its radix tree: one key for each block of entries, at least one node
    // more.
    reply.bulk(b"radix-tree-keys");
    reply.count(log.full_blocks());
    reply.bulk(b"radix-tree-nodes");
    reply.count(log.full_blocks() + 1);
    reply.bulk(b"last-generated-id");
    write_id(reply, log.last_id());
    reply.bulk(b"max-deleted-entry-id");
    write_id(reply, log.max_deleted_id());
    reply.bulk(b"entries-added");
    reply.integer(log.entries_added() as i64);
    reply.bulk(b"recorded-first-entry-id");
    write_id(reply, log.first_id().unwrap_or_default());
    match full {
        Some(count) => write_full(reply, stream, count),
        None => write_ends(reply, stream),
    }
    Ok(())
}

/// The first and the last entry.
fn write_ends(reply: &mut Reply, stream: &Stream) {
    reply.bulk(b"groups");
    reply.count(stream.groups.len());
    let mut entries = stream.log.range(StreamId::MIN, StreamId::MAX);
    let ends = [("first-entry", entries.clone().next()), ("last-entry", entries.next_back())];
    for (name, entry) in ends {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => write_entry(reply, &entry),
            None => reply.null(),
        }
    }
}

/// `count` of the entries and of all that is in each group.
fn write_full(reply: &mut Reply, stream: &Stream, count: usize) {
    reply.bulk(b"entries");
    write_entries(reply, stream.log.range(StreamId::MIN, StreamId::MAX), count);
    reply.bulk(b"groups");
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(name);
        write_position(reply, stream, group);
        reply.bulk(b"pel-count");
        reply.count(group.pending_len());
        reply.bulk(b"pending");
        reply.array(group.pending_len().min(count));
        for (id, delivery) in group.pending(StreamId::MIN..=StreamId::MAX).take(count) {
            reply.array(4);
            write_id(reply, id);
            reply.bulk(&delivery.consumer);
            reply.integer(delivery.at_ms as i64);
            reply.integer(delivery.count as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumers().len());
        for (name, consumer) in group.consumers() {
            write_consumer(reply, group, name, consumer, count);
        }
    }
}

fn write_consumer(
    reply: &mut Reply,
    group: &Group,
    name: &[u8],
    consumer: &Consumer,
    count: usize,
) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(name);
    reply.bulk(b"seen-time");
    reply.integer(consumer.seen_ms as i64);
    reply.bulk(b"active-time");
    reply.integer(consumer.active_ms.map_or(-1, |at_ms| at_ms as i64));
    reply.bulk(b"pel-count");
    reply.count(consumer.pending_len());
    reply.bulk(b"pending");
    reply.array(consumer.pending_len().min(count));
    for id in consumer.pending(StreamId::MIN..=StreamId::MAX).take(count) {
        let delivery = group.delivery(id).expect("invariant: the group has what a consumer has");
        reply.array(3);
        write_id(reply, id);
        reply.integer(delivery.at_ms as i64);
        reply.integer(delivery.count as i64);
    }
}

/// How far a group is.
fn write_position(reply: &mut Reply, stream: &Stream, group: &Group) {
    reply.bulk(b"last-delivered-id");
    write_id(reply, group.last_id());
    let counts = [
        ("entries-read", group.entries_read().map(|count| count as i64)),
        ("lag", group.lag(&stream.log)),
    ];
    for (name, count) in counts {
        reply.bulk(name.as_bytes());
        match count {
            Some(count) => reply.integer(count),
            None => reply.null(),
        }
    }
}

pub(super) fn groups(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let stream = stream_of(context.keyspace, context.database, arguments[0])?;
    let reply = &mut *context.reply;
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"consumers");
        reply.count(group.consumers().len());
        reply.bulk(b"pending");
        reply.count(group.pending_len());
        write_position(reply, stream, group);
    }
    Ok(())
}

pub(super) fn consumers(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let stream = stream_of(context.keyspace, context.database, arguments[0])?;
    let group = stream.groups.get(arguments[1]);
    let group = group.ok_or_else(|| no_such_group(arguments[0], arguments[1]))?;
    let reply = &mut *context.reply;
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"pending");
        reply.count(consumer.pending_len());
        reply.bulk(b"idle");
        reply.integer(millis_since(consumer.seen_ms, context.now_ms));
        reply.bulk(b"inactive");
        let inactive = consumer.active_ms.map(|at_ms| millis_since(at_ms, context.now_ms));
        reply.integer(inactive.unwrap_or(-1));
    }
    Ok(())
}

pub(super) fn help(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    container::help(
        context.reply,
        "XINFO",
        &[
            "CONSUMERS <key> <groupname>",
            "    Tell the consumers of a group.",
            "GROUPS <key>",
            "    Tell the groups of a stream.",
            "STREAM <key> [FULL [COUNT <count>]]",
            "    Tell of a stream, in full with its groups and what is pending in them.",
            "HELP",
            "    Print this help.",
        ],
    );
    Ok(())
}

/// XINFO by itself never runs: the table asks for a subcommand.
pub(super) fn xinfo(_: &mut Context<'_>, _: &[&[u8]]) -> Result {
    Err(CommandError::Arity("xinfo".into()))
}
