//! The commands of hashes.

use super::collection::{Picks, ScanOptions, parse_cursor, write_scan};
use super::options::is_word;
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::long_double::LongDouble;
use crate::engine::notifications::EventClasses;
use crate::engine::number::{integer, parse_integer};
use crate::engine::reply::{Protocol, Reply};
use crate::engine::types::hash::View;
use crate::glob::glob_match;

type Result<T = ()> = std::result::Result<T, CommandError>;

fn read<'a>(context: &'a Context<'_>, key: &[u8]) -> Result<Option<View<'a>>> {
    context.keyspace.read_hash(context.database, key)
}

/// Sets all fields, and counts the new ones.
fn set_fields(context: &mut Context<'_>, arguments: &[&[u8]], name: &'static str) -> Result<usize> {
    if arguments.len().is_multiple_of(2) {
        return Err(CommandError::Arity(name.into()));
    }
    let added = context.keyspace.change_or_create_hash(context.database, arguments[0], |hash| {
        hash.set_all(&arguments[1..])
    })?;
    context.notify(EventClasses::HASH, "hset", arguments[0]);
    Ok(added)
}

fn hset(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let added = set_fields(context, arguments, "hset")?;
    context.reply.count(added);
    Ok(())
}

fn hmset(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    set_fields(context, arguments, "hmset")?;
    context.reply.ok();
    Ok(())
}

fn hsetnx(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    if read(context, arguments[0])?.is_some_and(|hash| hash.contains(arguments[1])) {
        context.reply.integer(0);
        return Ok(());
    }
    context.keyspace.change_or_create_hash(context.database, arguments[0], |hash| {
        hash.set(arguments[1], arguments[2])
    })?;
    context.notify(EventClasses::HASH, "hset", arguments[0]);
    context.reply.integer(1);
    Ok(())
}

fn write_value(reply: &mut Reply, value: Option<&[u8]>) {
    match value {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    }
}

fn hget(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let hash = context.keyspace.read_hash(context.database, arguments[0])?;
    write_value(context.reply, hash.and_then(|hash| hash.get(arguments[1])));
    Ok(())
}

fn hmget(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let hash = context.keyspace.read_hash(context.database, arguments[0])?;
    context.reply.array(arguments.len() - 1);
    for field in &arguments[1..] {
        write_value(context.reply, hash.and_then(|hash| hash.get(field)));
    }
    Ok(())
}

fn hgetall(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let hash = context.keyspace.read_hash(context.database, arguments[0])?;
    context.reply.map(hash.map_or(0, |hash| hash.len()));
    for (field, value) in hash.into_iter().flat_map(|hash| hash.iter()) {
        context.reply.bulk(field);
        context.reply.bulk(value);
    }
    Ok(())
}

fn hkeys(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let hash = context.keyspace.read_hash(context.database, arguments[0])?;
    context.reply.array(hash.map_or(0, |hash| hash.len()));
    hash.into_iter().flat_map(|hash| hash.iter()).for_each(|(field, _)| context.reply.bulk(field));
    Ok(())
}

fn hvals(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let hash = context.keyspace.read_hash(context.database, arguments[0])?;
    context.reply.array(hash.map_or(0, |hash| hash.len()));
    hash.into_iter().flat_map(|hash| hash.iter()).for_each(|(_, value)| context.reply.bulk(value));
    Ok(())
}

fn hlen(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let len = read(context, arguments[0])?.map_or(0, |hash| hash.len());
    context.reply.count(len);
    Ok(())
}

fn hstrlen(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let value = read(context, arguments[0])?.and_then(|hash| hash.get(arguments[1]));
    let len = value.map_or(0, <[u8]>::len);
    context.reply.count(len);
    Ok(())
}

fn hexists(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let is_there = read(context, arguments[0])?.is_some_and(|hash| hash.contains(arguments[1]));
    context.reply.integer(i64::from(is_there));
    Ok(())
}

fn hdel(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, fields) = (arguments[0], &arguments[1..]);
    let hash = read(context, key)?;
    // A key of which nothing is removed has not changed, for WATCH.
    if !hash.is_some_and(|hash| fields.iter().any(|field| hash.contains(field))) {
        context.reply.integer(0);
        return Ok(());
    }
    let removed = context.keyspace.change_hash(context.database, key, |hash| {
        fields.iter().filter(|field| hash.remove(field)).count()
    })?;
    notify_taken(context, "hdel", key);
    context.reply.count(removed.unwrap_or(0));
    Ok(())
}

/// Tells of a hash from which fields were taken, which removed it if it was left empty.
pub(super) fn notify_taken(context: &Context<'_>, event: &'static str, key: &[u8]) {
    context.notify(EventClasses::HASH, event, key);
    if context.keyspace.peek(context.database, key).is_none() {
        context.notify(EventClasses::GENERIC, "del", key);
    }
}

fn hincrby(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let [key, field, increment] = *arguments else {
        return Err(CommandError::Arity("hincrby".into()));
    };
    let increment = integer(increment)?;
    let old = match read(context, key)?.and_then(|hash| hash.get(field)) {
        Some(value) => {
            parse_integer(value).ok_or(CommandError::text("ERR hash value is not an integer"))?
        }
        None => 0,
    };
    let sum = old.checked_add(increment).ok_or(CommandError::Overflow)?;
    context.keyspace.change_or_create_hash(context.database, key, |hash| {
        hash.set_value(field, itoa::Buffer::new().format(sum).as_bytes())
    })?;
    context.notify(EventClasses::HASH, "hincrby", key);
    context.reply.integer(sum);
    Ok(())
}

fn hincrbyfloat(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let [key, field, increment] = *arguments else {
        return Err(CommandError::Arity("hincrbyfloat".into()));
    };
    let zero = LongDouble::parse(b"0").expect("invariant: zero is a number");
    let increment = LongDouble::parse(increment)
        .ok_or(CommandError::NotFloat)?
        .finite_sum(&zero)
        .ok_or(CommandError::text("ERR value is NaN or Infinity"))?;
    let old = match read(context, key)?.and_then(|hash| hash.get(field)) {
        Some(value) => {
            LongDouble::parse(value).ok_or(CommandError::text("ERR hash value is not a float"))?
        }
        None => zero,
    };
    let sum = old
        .finite_sum(&increment)
        .ok_or(CommandError::text("ERR increment would produce NaN or Infinity"))?
        .to_string();
    context.keyspace.change_or_create_hash(context.database, key, |hash| {
        hash.set_value(field, sum.as_bytes())
    })?;
    context.notify(EventClasses::HASH, "hincrbyfloat", key);
    context.reply.bulk(sum.as_bytes());
    Ok(())
}

fn hrandfield(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let key = arguments[0];
    let Some(count) = arguments.get(1) else {
        let hash = context.keyspace.read_hash(context.database, key)?;
        let pick = hash.and_then(|hash| hash.at(context.random.below(hash.len())));
        write_value(context.reply, pick.map(|(field, _)| field));
        return Ok(());
    };
    let picks = Picks::parse(count)?;
    let with_values = match arguments[2..] {
        [] => false,
        [word] if is_word(word, "WITHVALUES") => true,
        _ => return Err(CommandError::Syntax),
    };
    if with_values {
        Picks::parse_pairs(count)?;
    }
    let Some(hash) = context.keyspace.read_hash(context.database, key)? else {
        context.reply.array(0);
        return Ok(());
    };
    let indices = picks.draw(context.random, hash.len());
    let shown: Vec<_> = if hash.hides_some() { hash.iter().collect() } else { Vec::new() };
    let at = |&index: &usize| {
        if hash.hides_some() { shown.get(index).copied() } else { hash.at(index) }
    };
    let pairs = indices.iter().filter_map(at);
    let reply = &mut *context.reply;
    match (with_values, reply.protocol) {
        (false, _) => {
            reply.array(indices.len());
            pairs.for_each(|(field, _)| reply.bulk(field));
        }
        (true, Protocol::Resp2) => {
            reply.array(indices.len() * 2);
            pairs.for_each(|(field, value)| {
                reply.bulk(field);
                reply.bulk(value);
            });
        }
        (true, Protocol::Resp3) => {
            reply.array(indices.len());
            pairs.for_each(|(field, value)| {
                reply.array(2);
                reply.bulk(field);
                reply.bulk(value);
            });
        }
    }
    Ok(())
}

fn hscan(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let cursor = parse_cursor(arguments[1])?;
    let Some(hash) = context.keyspace.read_hash(context.database, arguments[0])? else {
        write_scan::<&[u8]>(context.reply, 0, &[]);
        return Ok(());
    };
    let options = ScanOptions::parse(&arguments[2..])?;
    let (next, pairs) = hash.scan(cursor, options.count);
    let found: Vec<&[u8]> = pairs
        .filter(|(field, _)| options.pattern.is_none_or(|pattern| glob_match(pattern, field)))
        .flat_map(|(field, value)| [field, value])
        .collect();
    write_scan(context.reply, next, &found);
    Ok(())
}

const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const GROW_FAST: Flags = WRITE_FAST.union(Flags::DENYOOM);

const fn command(
    name: &'static str,
    arity: i16,
    flags: Flags,
    handler: super::EngineHandler,
    since: &'static str,
    complexity: &'static str,
    summary: &'static str,
) -> CommandSpec {
    let docs = Docs::new("hash", since, complexity, summary);
    CommandSpec::engine(name, arity, flags, Keys::FIRST, handler, docs)
}

const PER_FIELD: &str = "O(N) where N is the number of fields given.";
const PER_SIZE: &str = "O(N) where N is the number of fields in the hash.";
const PER_RETURNED: &str = "O(N) where N is the number of fields returned.";
const PER_CALL: &str = "O(1) for every call. O(N) for all calls of one iteration.";

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    command("hdel", -3, WRITE_FAST, hdel, "2.0.0", PER_FIELD,
        "Removes fields, and the hash with the last one."),
    command("hexists", 3, READ_FAST, hexists, "2.0.0", "O(1)", "Tells whether a field is there."),
    command("hget", 3, READ_FAST, hget, "2.0.0", "O(1)", "Reads the value of a field."),
    command("hgetall", 2, Flags::READONLY, hgetall, "2.0.0", PER_SIZE,
        "Reads all fields with their values."),
    command("hincrby", 4, GROW_FAST, hincrby, "2.0.0", "O(1)",
        "Adds an integer to the value of a field."),
    command("hincrbyfloat", 4, GROW_FAST, hincrbyfloat, "2.6.0", "O(1)",
        "Adds a float to the value of a field."),
    command("hkeys", 2, Flags::READONLY, hkeys, "2.0.0", PER_SIZE, "Reads all fields."),
    command("hlen", 2, READ_FAST, hlen, "2.0.0", "O(1)", "Counts the fields."),
    command("hmget", -3, READ_FAST, hmget, "2.0.0", PER_FIELD,
        "Reads the values of several fields."),
    command("hmset", -4, GROW_FAST, hmset, "2.0.0", PER_FIELD, "Sets several fields."),
    command("hrandfield", -2, Flags::READONLY, hrandfield, "6.2.0", PER_RETURNED,
        "Picks fields at random."),
    command("hscan", -3, Flags::READONLY, hscan, "2.8.0", PER_CALL, "Reads a hash part by part."),
    command("hset", -4, GROW_FAST, hset, "2.0.0", PER_FIELD,
        "Sets fields, and makes the hash when there is none."),
    command("hsetnx", 4, GROW_FAST, hsetnx, "2.0.0", "O(1)", "Sets a field that is not there."),
    command("hstrlen", 3, READ_FAST, hstrlen, "3.2.0", "O(1)", "Measures the value of a field."),
    command("hvals", 2, Flags::READONLY, hvals, "2.0.0", PER_SIZE, "Reads all values."),
];

#[cfg(test)]
mod tests;
