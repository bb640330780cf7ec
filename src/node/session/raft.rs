//! The RAFT.* commands: the words of RedisRaft, its replies and its errors.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::{Arguments, NodeView, Outcome, Session, admin, excerpt, failure, info, is_word};
use crate::config::{HostPort, SettingError};
use crate::engine::command::table::resolve;
use crate::engine::command::{CommandSpec, lookup, spec};
use crate::engine::error::CommandError;
use crate::engine::number::parse_integer;
use crate::engine::reply::Reply;
use crate::glob::glob_match_nocase;
use crate::node::mailbox::AdminCommand;
use crate::node::report::{EngineReport, RaftReport};
use crate::raft::LogId;
use crate::raft::types::{Applicant, Boot, ClusterId, Index, MemberId, Millis, Term};

/// RAFT.CLUSTER INIT `[id]` | JOIN address... | FORCE-RECOVER cluster last-log-id ACCEPT-DATA-LOSS,
/// and STATE, which the nodes of a list ask each other.
pub fn cluster(arguments: Arguments<'_, '_>) -> Result<Outcome, CommandError> {
    match arguments {
        [name] if is_word(name, "INIT") => Ok(admin(AdminCommand::Init { cluster: None })),
        [name, id] if is_word(name, "INIT") => {
            let cluster = Some(parse_cluster_id(id)?);
            Ok(admin(AdminCommand::Init { cluster }))
        }
        [name, addresses @ ..] if is_word(name, "JOIN") && !addresses.is_empty() => {
            let addresses = addresses.iter().map(|address| parse_address(address));
            Ok(admin(AdminCommand::Join { addresses: addresses.collect::<Result<_, _>>()? }))
        }
        [name] if is_word(name, "STATE") => Ok(admin(AdminCommand::State)),
        [name, cluster, last, rest @ ..] if is_word(name, "FORCE-RECOVER") && rest.len() < 2 => {
            let cluster = parse_cluster_id(cluster)?;
            let last = parse_log_id(last)?;
            if !rest.iter().any(|word| is_word(word, "ACCEPT-DATA-LOSS")) {
                return Err(LOSS_NOT_ACCEPTED);
            }
            Ok(admin(AdminCommand::ForceRecover { cluster, last }))
        }
        [name, ..]
            if ["INIT", "JOIN", "STATE", "FORCE-RECOVER"].iter().any(|it| is_word(name, it)) =>
        {
            Err(arity("raft.cluster"))
        }
        _ => Err(CommandError::text("RAFT.CLUSTER supports INIT / JOIN / FORCE-RECOVER only")),
    }
}

const LOSS_NOT_ACCEPTED: CommandError = CommandError::text(
    "ERR FORCE-RECOVER ends with ACCEPT-DATA-LOSS: what only the lost nodes have committed is gone",
);

/// `term:index`, as INFO raft shows it.
fn parse_log_id(word: &[u8]) -> Result<LogId, CommandError> {
    let parts = std::str::from_utf8(word).ok().and_then(|text| text.split_once(':'));
    let number = |text: &str| parse_integer(text.as_bytes()).and_then(|n| u64::try_from(n).ok());
    let id = parts.and_then(|(term, index)| {
        Some(LogId { term: Term(number(term)?), index: Index(number(index)?) })
    });
    id.ok_or(CommandError::text("ERR a last log id has the form term:index"))
}

fn arity(name: &'static str) -> CommandError {
    CommandError::Arity(name.into())
}

fn parse_hexadecimal(word: &[u8]) -> Option<u128> {
    let is_digits = word.len() == 32 && word.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(word).ok().filter(|_| is_digits)?;
    u128::from_str_radix(text, 16).ok()
}

fn parse_cluster_id(word: &[u8]) -> Result<ClusterId, CommandError> {
    match parse_hexadecimal(word) {
        Some(id) => Ok(id),
        None if word.len() == 32 => {
            Err(CommandError::text("ERR cluster id must be 32 hexadecimal characters"))
        }
        None => Err(CommandError::text("ERR cluster id must be 32 characters")),
    }
}

fn parse_address(word: &[u8]) -> Result<String, CommandError> {
    let address = std::str::from_utf8(word).ok().and_then(|text| HostPort::parse(text).ok());
    match address {
        Some(address) => Ok(address.to_string()),
        None => Err(CommandError::text("ERR invalid node address")),
    }
}

/// RAFT.NODE ADD | REMOVE. A node asks for its own admission: ADD carries which life of which slot
/// it is and where its peers reach it, which nobody else can know.
pub fn node(arguments: Arguments<'_, '_>) -> Result<Outcome, CommandError> {
    match arguments {
        [name, id] if is_word(name, "REMOVE") => match parse_member_id(id)? {
            MemberId::NONE => Err(INVALID_NODE_ID),
            id => Ok(admin(AdminCommand::Remove { id })),
        },
        [name, id, client_address, rest @ ..] if is_word(name, "ADD") => {
            // A member's id is its place in the log, so nobody can choose it.
            if parse_member_id(id)? != MemberId::NONE {
                return Err(INVALID_NODE_ID);
            }
            admit(client_address, rest)
        }
        [name, ..] if is_word(name, "ADD") || is_word(name, "REMOVE") => Err(arity("raft.node")),
        _ => Err(CommandError::text("ERR RAFT.NODE supports ADD / REMOVE only")),
    }
}

const INVALID_NODE_ID: CommandError = CommandError::text("ERR invalid node id");

fn parse_member_id(word: &[u8]) -> Result<MemberId, CommandError> {
    let id = parse_integer(word).and_then(|id| u64::try_from(id).ok());
    id.map(MemberId).ok_or(INVALID_NODE_ID)
}

/// `address SLOT name BOOT id PEER address [OBSERVER]`
fn admit(client_address: &[u8], words: Arguments<'_, '_>) -> Result<Outcome, CommandError> {
    let (words, observer) = match words {
        [words @ .., last] if is_word(last, "OBSERVER") => (words, true),
        words => (words, false),
    };
    let [slot_word, slot, boot_word, boot, peer_word, peer_address] = words else {
        return Err(ADDED_BY_JOIN);
    };
    let named = [(slot_word, "SLOT"), (boot_word, "BOOT"), (peer_word, "PEER")];
    if !named.iter().all(|(word, name)| is_word(word, name)) {
        return Err(ADDED_BY_JOIN);
    }
    let slot = std::str::from_utf8(slot).ok().filter(|slot| !slot.is_empty());
    let slot = slot.ok_or(CommandError::text("ERR invalid slot name"))?;
    let boot: Option<Boot> = parse_hexadecimal(boot).filter(|boot| *boot != 0);
    Ok(admin(AdminCommand::Admit(Applicant {
        slot: slot.to_owned(),
        boot: boot.ok_or(CommandError::text("ERR invalid boot id"))?,
        client_address: parse_address(client_address)?,
        peer_address: parse_address(peer_address)?,
        observer,
    })))
}

const ADDED_BY_JOIN: CommandError =
    CommandError::text("ERR a node is added by RAFT.CLUSTER JOIN on the node itself");

/// RAFT.TRANSFER_LEADER `[id]`
pub fn transfer_leader(arguments: Arguments<'_, '_>) -> Result<Outcome, CommandError> {
    let target = match arguments {
        [] => None,
        [id] => match parse_member_id(id)? {
            MemberId::NONE => return Err(INVALID_NODE_ID),
            id => Some(id),
        },
        _ => return Err(arity("raft.transfer_leader")),
    };
    Ok(admin(AdminCommand::Transfer { target }))
}

/// RAFT.NODESHUTDOWN id: stops this node if the id is its own. It hands leadership over first.
pub fn node_shutdown(id: &[u8], view: &NodeView<'_>) -> Result<Outcome, CommandError> {
    let own = view.shared.member.load(Ordering::Relaxed);
    match parse_integer(id).and_then(|id| u64::try_from(id).ok()) {
        Some(id) if id == own && id != 0 => Ok(Outcome::Shutdown),
        _ => Err(CommandError::text("invalid node id")),
    }
}

/// RAFT.WAIT_READY timeout, in milliseconds. Unlike with WAIT, there is no "for ever": the client
/// may have left long before.
pub fn wait_ready(timeout: &[u8]) -> Result<Outcome, CommandError> {
    match parse_integer(timeout) {
        Some(timeout_ms) if timeout_ms < 0 => Err(CommandError::text("ERR timeout is negative")),
        Some(timeout_ms @ 1..=WAIT_MS_MAX) => {
            Ok(admin(AdminCommand::WaitReady { timeout_ms: timeout_ms as Millis }))
        }
        _ => Err(CommandError::text("ERR timeout is not an integer or out of range")),
    }
}

/// A day.
const WAIT_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// RAFT.DEBUG COMPACT `[async]` | DIGEST | EXEC command. Dropping entries takes no time, so both
/// ways of COMPACT are answered alike.
pub fn debug(arguments: Arguments<'_, '_>, session: &Session) -> Result<Outcome, CommandError> {
    match arguments {
        [name, words @ ..] if is_word(name, "EXEC") => execute(words, session),
        [name] if is_word(name, "COMPACT") => Ok(admin(AdminCommand::Compact)),
        [name, value] if is_word(name, "COMPACT") => match parse_integer(value) {
            Some(_) => Ok(admin(AdminCommand::Compact)),
            None => Err(CommandError::text("ERR invalid compact async value")),
        },
        [name] if is_word(name, "DIGEST") => Ok(admin(AdminCommand::Digest)),
        [name, ..] if is_word(name, "COMPACT") || is_word(name, "DIGEST") => {
            Err(arity("raft.debug"))
        }
        _ => Err(CommandError::text("ERR invalid debug subcommand")),
    }
}

/// RAFT.DEBUG EXEC command: the command is run against the state of this node as it is, with or
/// without a leader. It must change nothing: this node would differ from the others.
fn execute(words: Arguments<'_, '_>, session: &Session) -> Result<Outcome, CommandError> {
    let Some(name) = words.first() else { return Err(arity("raft.debug")) };
    let command = lookup(name).map(spec);
    let runs_here = |command: &&'static CommandSpec| {
        resolve(command, &words[1..]).is_ok() && command.is_of_engine(words.get(1))
    };
    let Some(command) = command.filter(runs_here) else {
        return Err(CommandError::text("ERR Bad command or failed to execute"));
    };
    if command.writes(words.get(1)) || command.may_block(words) {
        return Err(CommandError::text("ERR RAFT.DEBUG EXEC runs what changes nothing only"));
    }
    let words = words.iter().map(|word| word.to_vec()).collect();
    Ok(admin(AdminCommand::Execute { database: session.database, words }))
}

/// The names that RAFT.CONFIG had for the settings, and those of today.
const CONFIG_NAMES: &[(&str, &str)] = &[
    ("id", "raft.id"),
    ("addr", "raft.addr"),
    ("request-timeout", "raft.request-timeout"),
    ("election-timeout", "raft.election-timeout"),
    ("reconnect-interval", "raft.reconnect-interval"),
    ("follower-proxy", "raft.follower-proxy"),
    ("raft-log-max-cache-size", "raft.log-max-cache-size"),
    ("quorum-reads", "raft.quorum-reads"),
    ("loglevel", "raft.loglevel"),
];

/// RAFT.CONFIG GET pattern | SET parameter value
pub fn config(
    arguments: Arguments<'_, '_>,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<(), CommandError> {
    match arguments {
        [name, pattern] if is_word(name, "GET") => {
            let fits = |name: &str| glob_match_nocase(pattern, name.as_bytes());
            let found: Vec<_> = CONFIG_NAMES.iter().filter(|(name, _)| fits(name)).collect();
            reply.array(found.len() * 2);
            for (name, setting) in found {
                reply.bulk(name.as_bytes());
                let value = match *name {
                    // The setting is empty where the address follows from others.
                    "addr" => view.shared.client_address.clone(),
                    _ => view.settings.get(setting),
                };
                reply.bulk(value.as_bytes());
            }
            Ok(())
        }
        [name, parameter] if is_word(name, "SET") => {
            let parameter = excerpt(parameter, parameter.len());
            Err(failure(format!("ERR '{parameter}' requires a value")))
        }
        [name, parameter, value] if is_word(name, "SET") => {
            set(parameter, value, view)?;
            reply.ok();
            Ok(())
        }
        _ => Err(CommandError::text(
            "ERR Unknown RAFT.CONFIG subcommand or wrong number of arguments",
        )),
    }
}

fn set(parameter: &[u8], value: &[u8], view: &NodeView<'_>) -> Result<(), CommandError> {
    let found = CONFIG_NAMES.iter().find(|(name, _)| is_word(parameter, name));
    let Some((name, setting)) = found else {
        let parameter = excerpt(parameter, parameter.len());
        return Err(failure(format!("ERR invalid parameter '{parameter}'")));
    };
    let invalid = || failure(format!("ERR invalid '{name}' value"));
    let value = std::str::from_utf8(value).map_err(|_| invalid())?;
    view.settings.set_all(&[(*setting, value)]).map(drop).map_err(|error| match error {
        SettingError::Immutable { .. } => {
            failure(format!("ERR '{name}' only supported at load time"))
        }
        _ => invalid(),
    })
}

/// RAFT.INFO: what INFO raft tells, in sections and without the prefix.
pub fn info(raft: &RaftReport, engine: &EngineReport, view: &NodeView<'_>) -> String {
    let fields = info::RaftFields::of(raft, engine, view);
    let sections = [
        ("RedisRaft", vec![("redisraft_version".to_owned(), info::VERSION.to_owned())]),
        ("Raft", fields.general),
        ("Log", fields.log),
        ("Snapshot", fields.snapshot),
        ("Links", fields.links),
    ];
    let mut text = String::new();
    for (title, fields) in sections {
        let blank = if text.is_empty() { "" } else { "\r\n" };
        let mut write = |line: std::fmt::Arguments<'_>| {
            text.write_fmt(line).expect("invariant: writing to memory does not fail");
        };
        write(format_args!("{blank}# {title}\r\n"));
        for (name, value) in fields {
            write(format_args!("{name}:{value}\r\n"));
        }
    }
    text
}
