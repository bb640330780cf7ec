//! OBJECT: how values are held.

use super::{CommandSpec, Context, Docs, Flags, Handler, Keys, container};
use crate::engine::error::CommandError;
use crate::engine::settings::{SettingId, Settings};
use crate::engine::types::hash::HashEncoding;
use crate::engine::value::Value;

type Result = std::result::Result<(), CommandError>;

fn encoding(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    match context.keyspace.peek(context.database, arguments[0]) {
        None => context.reply.null(),
        Some(entry) => {
            let encoding = encoding_of(&entry.value, context.settings);
            context.reply.bulk(encoding.as_bytes());
        }
    }
    Ok(())
}

pub(super) fn encoding_of(value: &Value, settings: &Settings) -> &'static str {
    match value {
        Value::String(string) => string.encoding(),
        Value::List(list) => list.encoding(settings.get(SettingId::ListMaxListpackSize)),
        Value::Set(set) => set.encoding().name(),
        Value::Hash(hash) => match hash.encoding() {
            HashEncoding::Listpack if hash.first_deadline() != 0 => "listpackex",
            encoding => encoding.name(),
        },
        Value::SortedSet(sorted_set) => sorted_set.encoding().name(),
        Value::Stream(_) => "stream",
    }
}

fn refcount(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    match context.keyspace.peek(context.database, arguments[0]) {
        None => context.reply.null(),
        Some(_) => context.reply.integer(1),
    }
    Ok(())
}

/// What the node that is asked knows: reads elsewhere leave no trace here.
fn freq(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let Some(entry) = context.keyspace.peek(context.database, arguments[0]) else {
        context.reply.null();
        return Ok(());
    };
    let counter = context.keyspace.use_counter(entry).ok_or(CommandError::text(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
         that when switching between policies at runtime LRU and LFU data will take some time to \
         adjust.",
    ))?;
    context.reply.count(counter as usize);
    Ok(())
}

/// As [`freq`].
fn idletime(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let Some(entry) = context.keyspace.peek(context.database, arguments[0]) else {
        context.reply.null();
        return Ok(());
    };
    let seconds = context.keyspace.idle_seconds(entry).ok_or(CommandError::text(
        "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
         switching between policies at runtime LRU and LFU data will take some time to adjust.",
    ))?;
    context.reply.count(seconds as usize);
    Ok(())
}

fn help(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    const LINES: &[&str] = &[
        "ENCODING <key>",
        "    Tell in what form the value of <key> is held.",
        "FREQ <key>",
        "    Tell how often <key> is used, on a logarithmic scale, while the policy counts that.",
        "IDLETIME <key>",
        "    Tell how many seconds <key> was not used, as far as this node knows.",
        "REFCOUNT <key>",
        "    Tell how many references the value of <key> has: one.",
        "HELP",
        "    Print this help.",
    ];
    container::help(context.reply, "OBJECT", LINES);
    Ok(())
}

/// OBJECT by itself never runs: the table asks for a subcommand.
fn object(_: &mut Context<'_>, _: &[&[u8]]) -> Result {
    Err(CommandError::Arity("object".into()))
}

const TELL: Flags = Flags::of(&[Flags::LOADING, Flags::STALE]);
const SECOND: Keys = Keys { first: 2, last: 2, step: 1 };

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("generic", since, complexity, summary)
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "object", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Engine(object),
        docs: docs("2.2.3", "Depends on the subcommand.", "Tells how values are held."),
        subcommands: SUBCOMMANDS,
    },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("encoding", 3, Flags::READONLY, SECOND, encoding,
        docs("2.2.3", "O(1)", "Tells in what form a value is held.")),
    CommandSpec::engine("freq", 3, Flags::READONLY, SECOND, freq,
        docs("4.0.0", "O(1)", "Tells how often a key is used, on a logarithmic scale.")),
    CommandSpec::engine("help", 2, TELL, Keys::NONE, help,
        docs("6.2.0", "O(1)", "Tells the subcommands.")),
    CommandSpec::engine("idletime", 3, Flags::READONLY, SECOND, idletime,
        docs("2.2.3", "O(1)", "Tells how long a key was not used.")),
    CommandSpec::engine("refcount", 3, Flags::READONLY, SECOND, refcount,
        docs("2.2.3", "O(1)", "Tells how many references a value has.")),
];

#[cfg(test)]
mod tests;
