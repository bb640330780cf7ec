//! OBJECT: how values are held.

use super::{CommandSpec, Context, Docs, Flags, Handler, Keys};
use crate::engine::error::CommandError;
use crate::engine::types::hash::HashEncoding;
use crate::engine::value::Value;

type Result = std::result::Result<(), CommandError>;

fn encoding(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    match context.keyspace.peek(context.database, arguments[0]) {
        None => context.reply.null(),
        Some(entry) => context.reply.bulk(encoding_of(&entry.value).as_bytes()),
    }
    Ok(())
}

pub(super) fn encoding_of(value: &Value) -> &'static str {
    match value {
        Value::String(string) => string.encoding(),
        Value::List(list) => list.encoding(),
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

fn freq(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let error = CommandError::text(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
         that when switching between policies at runtime LRU and LFU data will take some time to \
         adjust.",
    );
    null_or_error(context, arguments[0], error)
}

/// A read leaves no trace in the replicated state, so nothing knows how long ago one was.
fn idletime(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    null_or_error(context, arguments[0], CommandError::text("ERR idle time not tracked"))
}

/// Redis looks for the key before it tells that it has no answer.
fn null_or_error(context: &mut Context<'_>, key: &[u8], error: CommandError) -> Result {
    if context.keyspace.peek(context.database, key).is_some() {
        return Err(error);
    }
    context.reply.null();
    Ok(())
}

fn help(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    const LINES: [&str; 11] = [
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Tell in what form the value of <key> is held.",
        "FREQ <key>",
        "    Tell how often <key> is used: an error, as no policy counts it.",
        "IDLETIME <key>",
        "    Tell how long <key> was not used: an error, as nothing keeps it.",
        "REFCOUNT <key>",
        "    Tell how many references the value of <key> has: one.",
        "HELP",
        "    Print this help.",
    ];
    context.reply.array(LINES.len());
    LINES.iter().for_each(|line| context.reply.simple(line));
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
        docs("4.0.0", "O(1)", "Tells how often a key is used, where that is counted.")),
    CommandSpec::engine("help", 2, TELL, Keys::NONE, help,
        docs("6.2.0", "O(1)", "Tells the subcommands.")),
    CommandSpec::engine("idletime", 3, Flags::READONLY, SECOND, idletime,
        docs("2.2.3", "O(1)", "Tells how long a key was not used, where that is kept.")),
    CommandSpec::engine("refcount", 3, Flags::READONLY, SECOND, refcount,
        docs("2.2.3", "O(1)", "Tells how many references a value has.")),
];

#[cfg(test)]
mod tests;
