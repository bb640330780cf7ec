//! The server as a whole: emptying and sizing databases, and what the node tells of itself.

use super::options::{check_database, is_word};
use super::{CommandSpec, Context, Docs, Flags, Handler, Keys, NodeCommand};
use crate::engine::error::CommandError;
use crate::engine::number::parse_integer;

type Result = std::result::Result<(), CommandError>;

fn dbsize(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    context.reply.count(context.keyspace.len(context.database));
    Ok(())
}

fn flushdb(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    check_flush_option(arguments)?;
    context.keyspace.flush(context.database);
    context.reply.ok();
    Ok(())
}

fn flushall(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    check_flush_option(arguments)?;
    context.keyspace.flush_all();
    context.reply.ok();
    Ok(())
}

fn swapdb(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    const BAD: [CommandError; 2] = [
        CommandError::text("ERR invalid first DB index"),
        CommandError::text("ERR invalid second DB index"),
    ];
    let mut indices = [0; 2];
    for ((index, argument), bad) in indices.iter_mut().zip(arguments).zip(BAD) {
        let number = parse_integer(argument).and_then(|number| i32::try_from(number).ok());
        *index = number.ok_or(bad)?;
    }
    let [first, second] = indices;
    context.keyspace.swap(check_database(first)?, check_database(second)?);
    context.reply.ok();
    Ok(())
}

/// SYNC and ASYNC are the same here: what was flushed is gone at once and freed bit by bit.
fn check_flush_option(arguments: &[&[u8]]) -> Result {
    match arguments {
        [] => Ok(()),
        [option] if is_word(option, "SYNC") || is_word(option, "ASYNC") => Ok(()),
        _ => Err(CommandError::Syntax),
    }
}

const READ_FAST: Flags = Flags::of(&[Flags::READONLY, Flags::FAST]);
const WRITE_FAST: Flags = Flags::of(&[Flags::WRITE, Flags::FAST]);
const TELL: Flags = Flags::of(&[Flags::LOADING, Flags::STALE]);
const ADMIN: Flags = Flags::of(&[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE]);
const ROLE: Flags = Flags::of(&[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::FAST]);
const TIME: Flags = Flags::of(&[Flags::LOADING, Flags::STALE, Flags::FAST]);
const SHUTDOWN: Flags = Flags::of(&[ADMIN, Flags::NO_MULTI, Flags::ALLOW_BUSY]);

const DEPENDS: &str = "Depends on the subcommand.";
const ALL_KEYS: &str = "O(N) where N is the number of keys.";
const ALL_COMMANDS: &str = "O(N) where N is the number of commands.";

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("server", since, complexity, summary)
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "command", arity: -1, flags: TELL, keys: Keys::NONE,
        handler: Handler::Node(NodeCommand::Command),
        docs: docs("2.8.13", ALL_COMMANDS, "Tells what is known of commands."),
        subcommands: COMMAND,
    },
    CommandSpec {
        name: "config", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Node(NodeCommand::Config),
        docs: docs("2.0.0", DEPENDS, "Reads or changes settings of the node."),
        subcommands: CONFIG,
    },
    CommandSpec::engine("dbsize", 1, READ_FAST, Keys::NONE, dbsize,
        docs("1.0.0", "O(1)", "Counts the keys of the database.")),
    CommandSpec::engine("flushall", -1, Flags::WRITE, Keys::NONE, flushall,
        docs("1.0.0", ALL_KEYS, "Removes all keys of all databases.")),
    CommandSpec::engine("flushdb", -1, Flags::WRITE, Keys::NONE, flushdb,
        docs("1.0.0", ALL_KEYS, "Removes all keys of the database.")),
    CommandSpec::node("info", -1, TELL, NodeCommand::Info,
        docs("1.0.0", "O(1)", "Tells the state and the counts of the node.")),
    CommandSpec::node("role", 1, ROLE, NodeCommand::Role,
        docs("2.8.12", "O(1)", "Tells whether the node leads, and whom it follows.")),
    CommandSpec::node("shutdown", -1, SHUTDOWN, NodeCommand::Shutdown,
        docs("1.0.0", "O(1)", "Stops the node.")),
    CommandSpec::engine("swapdb", 3, WRITE_FAST, Keys::NONE, swapdb,
        docs("4.0.0", "O(1)", "Exchanges all keys of two databases.")),
    CommandSpec::node("time", 1, TIME, NodeCommand::Time,
        docs("2.6.0", "O(1)", "Tells the time of the node.")),
];

#[rustfmt::skip]
static COMMAND: &[CommandSpec] = &[
    CommandSpec::node("count", 2, TELL, NodeCommand::Command,
        docs("2.8.13", "O(1)", "Counts the commands.")),
    CommandSpec::node("docs", -2, TELL, NodeCommand::Command,
        docs("7.0.0", ALL_COMMANDS, "Tells the documentation of commands.")),
    CommandSpec::node("getkeys", -3, TELL, NodeCommand::Command,
        docs("2.8.13", "O(N) where N is the number of arguments.",
            "Tells the keys in a command line.")),
    CommandSpec::node("getkeysandflags", -3, TELL, NodeCommand::Command,
        docs("7.0.0", "O(N) where N is the number of arguments.",
            "Tells the keys in a command line, and what is done with each.")),
    CommandSpec::node("help", 2, TELL, NodeCommand::Command,
        docs("5.0.0", "O(1)", "Tells the subcommands.")),
    CommandSpec::node("info", -2, TELL, NodeCommand::Command,
        docs("2.8.13", ALL_COMMANDS, "Tells arity, flags and keys of commands.")),
    CommandSpec::node("list", -2, TELL, NodeCommand::Command,
        docs("7.0.0", ALL_COMMANDS, "Tells the names of commands.")),
];

#[rustfmt::skip]
static CONFIG: &[CommandSpec] = &[
    CommandSpec::node("get", -3, ADMIN, NodeCommand::Config,
        docs("2.0.0", "O(N) where N is the number of settings.", "Reads settings.")),
    CommandSpec::node("help", 2, TELL, NodeCommand::Config,
        docs("5.0.0", "O(1)", "Tells the subcommands.")),
    CommandSpec::node("resetstat", 2, ADMIN, NodeCommand::Config,
        docs("2.0.0", "O(1)", "Sets the counts of the node back to zero.")),
    CommandSpec::node("rewrite", 2, ADMIN, NodeCommand::Config,
        docs("2.8.0", "O(N) where N is the number of settings.",
            "Writes the settings into the configuration file.")),
    CommandSpec::node("set", -4, ADMIN, NodeCommand::Config,
        docs("2.0.0", "O(N) where N is the number of settings.", "Changes settings.")),
];
