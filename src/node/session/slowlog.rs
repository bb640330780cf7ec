//! SLOWLOG and COMMANDLOG: the commands of this node's clients that were slow or large.

use super::{
    Arguments, NodeView, Outcome, Session, help, subcommand, unknown_options, unknown_subcommand,
};
use crate::engine::command::NodeCommand;
use crate::engine::error::CommandError;
use crate::engine::number::parse_integer;
use crate::engine::reply::Reply;
use crate::node::observe::commandlog::{LogEntry, LogKind};

/// SLOWLOG GET without a number.
const GET_DEFAULT: usize = 10;

pub fn slowlog(
    words: Arguments<'_, '_>,
    session: &mut Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let (name, arguments) = subcommand(NodeCommand::Slowlog, words, session)?;
    match (name, arguments) {
        ("get", []) => get(LogKind::Slow, GET_DEFAULT, view, reply),
        ("get", [count]) => get(LogKind::Slow, parse_count(count)?, view, reply),
        ("len", _) => reply.count(view.shared.observed.log(LogKind::Slow).len()),
        ("reset", _) => reset(LogKind::Slow, view, reply),
        ("help", _) => help(reply, "SLOWLOG", SLOWLOG_HELP),
        _ => {
            return Err(unknown_options("SLOWLOG", name));
        }
    }
    Ok(Outcome::Replied)
}

pub fn commandlog(
    words: Arguments<'_, '_>,
    session: &mut Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let (name, arguments) = subcommand(NodeCommand::Commandlog, words, session)?;
    match (name, arguments) {
        ("get", [count, kind]) => {
            let count = parse_count(count)?;
            get(parse_kind(kind)?, count, view, reply);
        }
        ("len", [kind]) => reply.count(view.shared.observed.log(parse_kind(kind)?).len()),
        ("reset", [kind]) => reset(parse_kind(kind)?, view, reply),
        ("help", _) => help(reply, "COMMANDLOG", COMMANDLOG_HELP),
        _ => return Err(unknown_subcommand(words)),
    }
    Ok(Outcome::Replied)
}

/// -1 is "all".
fn parse_count(word: &[u8]) -> Result<usize, CommandError> {
    match parse_integer(word) {
        Some(-1) => Ok(usize::MAX),
        Some(count @ 0..) => Ok(count as usize),
        _ => Err(CommandError::text("ERR count should be greater than or equal to -1")),
    }
}

fn parse_kind(word: &[u8]) -> Result<LogKind, CommandError> {
    let found =
        LogKind::ALL.into_iter().find(|kind| word.eq_ignore_ascii_case(kind.name().as_bytes()));
    found.ok_or(CommandError::text(
        "ERR type should be one of the following: slow, large-request, large-reply",
    ))
}

fn get(kind: LogKind, count: usize, view: &NodeView<'_>, reply: &mut Reply) {
    let log = view.shared.observed.log(kind);
    reply.array(count.min(log.len()));
    for entry in log.iter().take(count) {
        write(entry, reply);
    }
}

fn write(entry: &LogEntry, reply: &mut Reply) {
    reply.array(6);
    reply.integer(entry.id as i64);
    reply.integer(entry.seconds as i64);
    reply.integer(entry.value as i64);
    reply.array(entry.words.len());
    for word in &entry.words {
        reply.bulk(word);
    }
    reply.bulk(entry.client.as_bytes());
    reply.bulk(&entry.client_name);
}

fn reset(kind: LogKind, view: &NodeView<'_>, reply: &mut Reply) {
    view.shared.observed.log(kind).clear();
    reply.ok();
}

const SLOWLOG_HELP: &[&str] = &[
    "GET [<count>]",
    "    Tells the newest entries (default: 10; -1 is all). Each has:",
    "    id, Unix time, microseconds of execution, words, address and name of the client.",
    "LEN",
    "    Counts the entries.",
    "RESET",
    "    Empties the log.",
    "HELP",
    "    Prints this help.",
];

const COMMANDLOG_HELP: &[&str] = &[
    "GET <count> <type>",
    "    Tells the newest entries of a log (-1 is all). Each has:",
    "    id, Unix time, microseconds or bytes, words, address and name of the client.",
    "    The types are:",
    "    * slow: commands that ran for long, in microseconds",
    "    * large-request: large requests, in bytes",
    "    * large-reply: large replies, in bytes",
    "LEN <type>",
    "    Counts the entries of a log.",
    "RESET <type>",
    "    Empties a log.",
    "HELP",
    "    Prints this help.",
];
