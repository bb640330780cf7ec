//! DEBUG, as far as test suites of Redis use it and it means something here. What looks at values
//! is a read; POPULATE and SET-ACTIVE-EXPIRE go through the log, so that all nodes stay equal; the
//! node of the client answers the rest alone.
//!
//! Off unless `enable-debug-command` allows it: the node of the client checks that.

use super::object::encoding_of;
use super::{CommandSpec, Context, Docs, EngineHandler, Flags, Handler, Keys, NodeCommand};
use crate::engine::error::CommandError;
use crate::engine::keyspace::{DATABASE_COUNT, Keyspace};
use crate::engine::number::{integer, parse_integer};
use crate::engine::rdb;
use crate::engine::types::hash::HashEncoding;
use crate::engine::types::set::SetEncoding;
use crate::engine::value::Value;
use crate::limits::{POPULATE_BYTES_MAX, POPULATE_KEYS_MAX};

type Result<T = ()> = std::result::Result<T, CommandError>;

/// DEBUG OBJECT key, in the form that tools take apart. Values have no address to be told, and when
/// they were used is no part of them.
fn object(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let entry = context.keyspace.peek(context.database, arguments[0]);
    let value = &entry.ok_or(CommandError::NoSuchKey)?.value;
    // Type, version and checksum are around the value.
    let bytes = rdb::dump(value).len().saturating_sub(1 + rdb::FOOTER_BYTES);
    let text = format!(
        "Value at:0x0 refcount:1 encoding:{} serializedlength:{bytes} lru:0 lru_seconds_idle:0",
        encoding_of(value, context.settings)
    );
    context.reply.simple(&text);
    Ok(())
}

/// DEBUG DIGEST: equal iff (but for chance) all databases hold the same; all zeros when they are
/// empty.
fn digest(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    let digest = context.keyspace.digest_of_values();
    context.reply.simple(&hexadecimal(digest));
    Ok(())
}

/// DEBUG DIGEST-VALUE key...
fn digest_value(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    context.reply.array(arguments.len());
    for key in arguments {
        let entry = context.keyspace.peek(context.database, key);
        let digest = entry.map_or(0, Keyspace::digest_of_value);
        context.reply.simple(&hexadecimal(digest));
    }
    Ok(())
}

/// As long as Redis's digests are: with the first digits once more.
fn hexadecimal(digest: u128) -> String {
    let digits = format!("{digest:032x}");
    format!("{digits}{}", &digits[..8])
}

/// DEBUG HTSTATS database
fn table_stats(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let database = u8::try_from(integer(arguments[0])?).ok().filter(|it| *it < DATABASE_COUNT);
    let database = database.ok_or(CommandError::text("ERR Out of range database"))?;
    let stats = context.keyspace.table_stats(database);
    let text = format!(
        "[Dictionary HT]\n table size: {}\n number of elements: {}\n segments: {}\n largest \
         segment: {}\n[Expires HT]\n number of elements: {}\n",
        stats.capacity, stats.keys, stats.segments, stats.largest, stats.volatile
    );
    context.reply.verbatim(&text);
    Ok(())
}

/// DEBUG HTSTATS-KEY key
fn table_stats_of_key(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let entry = context.keyspace.peek(context.database, arguments[0]);
    let len = match &entry.ok_or(CommandError::NoSuchKey)?.value {
        Value::Hash(hash) if hash.encoding() != HashEncoding::Listpack => hash.len(),
        Value::Set(set) if set.encoding() == SetEncoding::Hashtable => set.len(),
        _ => {
            return Err(CommandError::text(
                "ERR The value stored at the specified key is not represented using an hash table",
            ));
        }
    };
    context.reply.verbatim(&format!(" number of elements: {len}\n"));
    Ok(())
}

/// DEBUG POPULATE count `[prefix] [size]`: makes the keys that are not there yet, in one entry of
/// the log, which bounds them.
fn populate(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let number = |word: &[u8]| {
        let number = parse_integer(word).and_then(|number| usize::try_from(number).ok());
        number.ok_or(CommandError::MustBePositive)
    };
    let count = number(arguments[0])?;
    let prefix = arguments.get(1).copied().unwrap_or(b"key");
    let size = arguments.get(2).map(|size| number(size)).transpose()?.filter(|size| *size > 0);
    let bytes = size.unwrap_or(0).saturating_add(prefix.len()).saturating_mul(count);
    if count > POPULATE_KEYS_MAX || bytes > POPULATE_BYTES_MAX {
        let text = format!(
            "ERR at most {POPULATE_KEYS_MAX} keys and {POPULATE_BYTES_MAX} bytes at a time"
        );
        return Err(CommandError::Text(text.into()));
    }
    for number in 0..count {
        let key = [prefix, b":", number.to_string().as_bytes()].concat();
        if context.keyspace.peek(context.database, &key).is_none() {
            let mut value = format!("value:{number}").into_bytes();
            value.resize(size.unwrap_or(value.len()), 0);
            context.keyspace.insert(context.database, &key, Value::string(&value));
        }
    }
    context.reply.ok();
    Ok(())
}

/// DEBUG SET-ACTIVE-EXPIRE 0 | 1. Without it, what is due is gone for every read and stays until a
/// write meets it.
fn set_active_expire(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    // Redis takes what is no number for 0.
    let is_active = parse_integer(arguments[0]).is_some_and(|number| number != 0);
    context.keyspace.set_active_expire(is_active);
    context.reply.ok();
    Ok(())
}

const FLAGS: Flags =
    Flags::of(&[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::PROTECTED]);
const READ: Flags = Flags::of(&[FLAGS, Flags::READONLY]);
const SECOND: Keys = Keys { first: 2, last: 2, step: 1 };
const FROM_SECOND: Keys = Keys { first: 2, last: -1, step: 1 };

const fn docs(summary: &'static str) -> Docs {
    Docs::new("server", "1.0.0", "Depends on the subcommand.", summary)
}

const fn engine(
    name: &'static str,
    arity: i16,
    flags: Flags,
    keys: Keys,
    run: EngineHandler,
    summary: &'static str,
) -> CommandSpec {
    CommandSpec::engine(name, arity, flags, keys, run, docs(summary))
}

const fn node(name: &'static str, arity: i16, summary: &'static str) -> CommandSpec {
    CommandSpec::node(name, arity, FLAGS, NodeCommand::Debug, docs(summary))
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "debug", arity: -2, flags: FLAGS, keys: Keys::NONE,
        handler: Handler::Node(NodeCommand::Debug),
        docs: docs("For tests of servers, where it is allowed."),
        subcommands: SUBCOMMANDS,
    },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[CommandSpec] = &[
    engine("digest", 2, READ, Keys::NONE, digest, "Tells a digest of all keys and values."),
    engine("digest-value", -2, READ, FROM_SECOND, digest_value, "Tells digests of values."),
    node("error", 3, "Replies with an error."),
    node("help", 2, "Tells the subcommands."),
    engine("htstats", 3, READ, Keys::NONE, table_stats, "Tells how a database is held."),
    engine("htstats-key", 3, READ, SECOND, table_stats_of_key, "Tells how a value is held."),
    node("loadaof", 2, "Changes nothing: there is no file to load."),
    node("log", 3, "Writes a line to the log of the node."),
    engine("object", 3, READ, SECOND, object, "Tells how a value is held, in one line."),
    node("pause-cron", 3, "Changes nothing: a node has no such timer."),
    engine("populate", -3, FLAGS.union(Flags::WRITE), Keys::NONE, populate, "Makes many keys."),
    node("protocol", 3, "Replies with a value of a type of the protocol."),
    node("quicklist-packed-threshold", 3, "Changes nothing: lists are held otherwise."),
    node("reload", -2, "Changes nothing: what would be loaded is what is there."),
    engine("set-active-expire", 3, FLAGS.union(Flags::LOGGED), Keys::NONE, set_active_expire,
        "Keeps keys that have expired until a write meets them, or not."),
    node("sleep", 3, "Stops the core of the client for some seconds."),
];

#[cfg(test)]
mod tests;
