//! CLIENT: what clients tell of themselves, and what is told of them.

use std::io::Write;

use super::{
    Arguments, NodeView, Outcome, ReplyMode, Session, Wait, excerpt, failure, help, is_word,
    subcommand, tracking, unknown_subcommand,
};
use crate::engine::command::{Handler, NodeCommand, spec};
use crate::engine::error::CommandError;
use crate::engine::number::parse_integer;
use crate::engine::pubsub::Topic;
use crate::engine::reply::{Protocol, Reply};
use crate::node::mailbox::{ClientClass, KillFilter, KillReply, Survey};
use crate::node::observe::pause::Paused;
use crate::raft::types::Millis;

/// Bytes that a client has in its buffers.
#[derive(Clone, Copy, Debug)]
pub struct Buffers {
    pub input: usize,
    /// Room that its input has beyond that.
    pub input_free: usize,
    pub output: usize,
}

pub fn run(
    words: Arguments<'_, '_>,
    session: &mut Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let (name, arguments) = subcommand(NodeCommand::Client, words, session)?;
    match (name, arguments) {
        ("id", _) => reply.integer(session.id as i64),
        ("getname", _) if session.name.is_empty() => reply.null(),
        ("getname", _) => reply.bulk(&session.name),
        ("setname", [name]) => {
            session.name = checked_name(name)?;
            reply.ok();
        }
        ("setinfo", [attribute, value]) => {
            set_info(attribute, value, session)?;
            reply.ok();
        }
        ("info", _) => return Ok(survey(Survey::List { ids: vec![session.id], class: None })),
        ("list", _) => return list(arguments, reply),
        ("kill", _) => return kill(arguments, session, view, reply),
        ("no-evict", [switch]) => {
            session.no_evict = parse_switch(switch)?;
            reply.ok();
        }
        ("no-touch", [switch]) => {
            session.no_touch = parse_switch(switch)?;
            reply.ok();
        }
        ("caching", [word]) => tracking::caching(word, session, reply)?,
        ("getredir", _) => reply.integer(session.redirects_to()),
        ("tracking", _) => return tracking::run(arguments, session, reply),
        ("trackinginfo", _) => tracking::info(session, reply),
        ("pause", [timeout, mode @ ..]) => {
            pause(timeout, mode, view)?;
            reply.ok();
        }
        ("unpause", _) => {
            view.shared.observed.pause.end();
            reply.ok();
        }
        ("reply", [mode]) => change_replies(mode, session, reply)?,
        ("capa", capabilities) => {
            session.redirects |= capabilities.iter().any(|word| is_word(word, "redirect"));
            reply.ok();
        }
        ("help", _) => help(reply, "CLIENT", HELP),
        _ => return Err(unknown_subcommand(words)),
    }
    Ok(Outcome::Replied)
}

fn survey(survey: Survey) -> Outcome {
    Outcome::Wait(Wait::Survey(survey))
}

/// Whether CLIENT LIST can show the bytes without its lines becoming ambiguous.
fn is_printable(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

pub fn checked_name(name: &[u8]) -> Result<Vec<u8>, CommandError> {
    if is_printable(name) {
        return Ok(name.to_vec());
    }
    Err(CommandError::text(
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ))
}

fn set_info(attribute: &[u8], value: &[u8], session: &mut Session) -> Result<(), CommandError> {
    let (name, field) = if is_word(attribute, "lib-name") {
        ("lib-name", &mut session.library_name)
    } else if is_word(attribute, "lib-ver") {
        ("lib-ver", &mut session.library_version)
    } else {
        let attribute = excerpt(attribute, attribute.len());
        return Err(failure(format!("ERR Unrecognized option '{attribute}'")));
    };
    if !is_printable(value) {
        return Err(failure(format!(
            "ERR {name} cannot contain spaces, newlines or special characters."
        )));
    }
    *field = value.to_vec();
    Ok(())
}

fn parse_switch(word: &[u8]) -> Result<bool, CommandError> {
    match word {
        _ if is_word(word, "ON") => Ok(true),
        _ if is_word(word, "OFF") => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

/// Of the clients of this node, whatever node the command goes to.
fn pause(timeout: &[u8], mode: &[&[u8]], view: &NodeView<'_>) -> Result<(), CommandError> {
    let paused = match mode {
        [] => Paused::All,
        [mode] if is_word(mode, "ALL") => Paused::All,
        [mode] if is_word(mode, "WRITE") => Paused::Writes,
        [_] => return Err(CommandError::text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(CommandError::Syntax),
    };
    let timeout_ms = match parse_integer(timeout) {
        Some(ms @ 0..) => ms as Millis,
        Some(_) => return Err(CommandError::text("ERR timeout is negative")),
        None => return Err(CommandError::text("ERR timeout is not an integer or out of range")),
    };
    let until_ms = view.now_ms.saturating_add(timeout_ms);
    view.shared.observed.pause.begin(until_ms, paused, view.now_ms);
    Ok(())
}

/// All that was asked before is answered by now.
fn change_replies(
    mode: &[u8],
    session: &mut Session,
    reply: &mut Reply,
) -> Result<(), CommandError> {
    match mode {
        _ if is_word(mode, "ON") => {
            // This reply too, even behind SKIP.
            session.replies = ReplyMode::On;
            reply.ok();
        }
        _ if is_word(mode, "OFF") => session.replies = ReplyMode::Off,
        _ if is_word(mode, "SKIP") => {
            if session.replies != ReplyMode::Off {
                session.replies = ReplyMode::SkipNext;
            }
        }
        _ => return Err(CommandError::Syntax),
    }
    Ok(())
}

/// What CLIENT LIST and KILL can ask for by TYPE. Replicas are no clients here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientType {
    Class(ClientClass),
    Other,
}

fn parse_type(word: &[u8]) -> Result<ClientType, CommandError> {
    match word {
        _ if is_word(word, "normal") => Ok(ClientType::Class(ClientClass::Normal)),
        _ if is_word(word, "pubsub") => Ok(ClientType::Class(ClientClass::Pubsub)),
        _ if ["master", "replica", "slave"].iter().any(|name| is_word(word, name)) => {
            Ok(ClientType::Other)
        }
        _ => Err(failure(format!("ERR Unknown client type '{}'", excerpt(word, word.len())))),
    }
}

fn list(arguments: Arguments<'_, '_>, reply: &mut Reply) -> Result<Outcome, CommandError> {
    match arguments {
        [] => Ok(survey(Survey::List { ids: Vec::new(), class: None })),
        [option, name] if is_word(option, "TYPE") => match parse_type(name)? {
            ClientType::Class(class) => {
                Ok(survey(Survey::List { ids: Vec::new(), class: Some(class) }))
            }
            ClientType::Other => {
                reply.verbatim("");
                Ok(Outcome::Replied)
            }
        },
        [option, ids @ ..] if is_word(option, "ID") && !ids.is_empty() => {
            let parse = |id: &&[u8]| {
                let id = parse_integer(id).ok_or(CommandError::text("ERR Invalid client ID"))?;
                // No client has an id below 1; 0 stands for those, and for nobody.
                Ok(u64::try_from(id).unwrap_or(0))
            };
            let ids = ids.iter().map(parse).collect::<Result<_, CommandError>>()?;
            Ok(survey(Survey::List { ids, class: None }))
        }
        _ => Err(CommandError::Syntax),
    }
}

fn kill(
    arguments: Arguments<'_, '_>,
    session: &Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    if let [address] = arguments {
        return Ok(survey(Survey::Kill(KillFilter {
            address: Some(String::from_utf8_lossy(address).into_owned()),
            reply: KillReply::OkOrError,
            ..KillFilter::default()
        })));
    }
    let (options, []) = arguments.as_chunks::<2>() else { return Err(CommandError::Syntax) };
    let mut filter = KillFilter { except: Some(session.id), ..KillFilter::default() };
    let mut wanted = None;
    for [option, value] in options {
        let text = || Some(String::from_utf8_lossy(value).into_owned());
        match option {
            _ if is_word(option, "ID") => filter.id = Some(parse_id(value)?),
            _ if is_word(option, "TYPE") => wanted = Some(parse_type(value)?),
            _ if is_word(option, "ADDR") => filter.address = text(),
            _ if is_word(option, "LADDR") => filter.local_address = text(),
            _ if is_word(option, "MAXAGE") => filter.age_seconds_min = Some(parse_age(value)?),
            _ if is_word(option, "USER") => filter.user = Some(checked_user(value, view)?),
            _ if is_word(option, "SKIPME") => {
                filter.except = match value {
                    _ if is_word(value, "yes") => Some(session.id),
                    _ if is_word(value, "no") => None,
                    _ => return Err(CommandError::Syntax),
                };
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    match wanted {
        Some(ClientType::Other) => {
            reply.integer(0);
            return Ok(Outcome::Replied);
        }
        Some(ClientType::Class(class)) => filter.class = Some(class),
        None => {}
    }
    Ok(survey(Survey::Kill(filter)))
}

fn parse_id(word: &[u8]) -> Result<u64, CommandError> {
    match parse_integer(word) {
        Some(id @ 1..) => Ok(id as u64),
        _ => Err(CommandError::text("ERR client-id should be greater than 0")),
    }
}

fn parse_age(word: &[u8]) -> Result<u64, CommandError> {
    match parse_integer(word) {
        Some(age @ 1..) => Ok(age as u64),
        Some(_) => Err(CommandError::text("ERR maxage should be greater than 0")),
        None => Err(CommandError::text("ERR maxage is not an integer or out of range")),
    }
}

fn checked_user(name: &[u8], view: &NodeView<'_>) -> Result<Vec<u8>, CommandError> {
    match view.users.get(name) {
        Some(user) => Ok(user.name.clone()),
        None => Err(failure(format!("ERR No such user '{}'", excerpt(name, name.len())))),
    }
}

/// Whether it subscribes to anything.
pub fn class_of(session: &Session) -> ClientClass {
    match session.subscriptions.is_empty() {
        true => ClientClass::Normal,
        false => ClientClass::Pubsub,
    }
}

impl KillFilter {
    pub fn fits(&self, session: &Session, now_ms: Millis) -> bool {
        let age_seconds = now_ms.saturating_sub(session.connected_at_ms) / 1000;
        self.id.is_none_or(|id| id == session.id)
            && self.address.as_ref().is_none_or(|address| *address == session.peer.to_string())
            && self
                .local_address
                .as_ref()
                .is_none_or(|address| *address == session.local.to_string())
            && self.age_seconds_min.is_none_or(|age_min| age_seconds >= age_min)
            && self.user.as_ref().is_none_or(|user| *user == session.user.name)
            && self.class.is_none_or(|class| class == class_of(session))
            && self.except != Some(session.id)
    }
}

/// Makes the reply of a command that waited for a survey.
pub fn finish_survey(survey: &Survey, lines: &[u8], matched: usize, reply: &mut Reply) {
    match survey {
        Survey::Find { .. } => unreachable!("invariant: only CLIENT TRACKING looks for a client"),
        Survey::List { .. } => reply.verbatim(&String::from_utf8_lossy(lines)),
        Survey::Kill(filter) => match filter.reply {
            KillReply::Count => reply.count(matched),
            KillReply::OkOrError if matched > 0 => reply.ok(),
            KillReply::OkOrError => reply.error_text("ERR No such client"),
        },
    }
}

/// Writes a client's line of CLIENT LIST, with Redis's fields but for the file descriptor. Words
/// are found in the input, and replies stand in one buffer that grows: what Redis tells of other
/// memory for them is 0.
pub fn describe(session: &Session, buffers: &Buffers, now_ms: Millis, out: &mut Vec<u8>) {
    describe_at(session, &last_command(session), buffers, now_ms, out);
}

/// [`describe`] as if `command` were its last one.
pub fn describe_at(
    session: &Session,
    command: &str,
    buffers: &Buffers,
    now_ms: Millis,
    out: &mut Vec<u8>,
) {
    let seconds_since = |then_ms: Millis| now_ms.saturating_sub(then_ms) / 1000;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let subscriptions = &session.subscriptions;
    let marks = [
        ("O", session.monitors),
        ("P", !subscriptions.is_empty()),
        ("x", session.transaction.is_some()),
        ("b", session.is_blocked),
        ("e", session.no_evict),
        ("T", session.no_touch),
    ];
    let tracking = session.tracking.iter().flat_map(|tracking| tracking.marks());
    let marks = marks.into_iter().chain(tracking);
    let set: String = marks.filter(|(_, is_set)| *is_set).map(|(mark, _)| mark).collect();
    let flags = if set.is_empty() { "N" } else { &set };
    let queued = session.transaction.as_ref();
    let multi_bytes = queued.map_or(0, |transaction| transaction.bytes());
    let queued = queued.map_or(-1, |transaction| transaction.queued_count() as i64);
    let line = writeln!(
        out,
        "id={} addr={} laddr={} name={} age={} idle={} flags={flags} db={} sub={} psub={} ssub={} \
         multi={queued} qbuf={} qbuf-free={} argv-mem=0 multi-mem={multi_bytes} rbs=0 rbp=0 obl={} \
         oll=0 omem={} tot-mem={} events=r cmd={command} user={} redir={} \
         resp={} lib-name={} lib-ver={}",
        session.id,
        session.peer,
        session.local,
        text(&session.name),
        seconds_since(session.connected_at_ms),
        seconds_since(session.active_at_ms),
        session.database,
        subscriptions.len(Topic::Channel),
        subscriptions.len(Topic::Pattern),
        subscriptions.len(Topic::Shard),
        buffers.input,
        buffers.input_free,
        buffers.output,
        buffers.output,
        buffers.input + buffers.input_free + buffers.output + multi_bytes,
        text(&session.user.name),
        session.redirects_to(),
        if session.protocol == Protocol::Resp3 { 3 } else { 2 },
        text(&session.library_name),
        text(&session.library_version),
    );
    line.expect("invariant: writing to memory does not fail");
}

fn last_command(session: &Session) -> String {
    let Some(id) = session.last_command else { return "NULL".to_owned() };
    let spec = spec(id);
    match (spec.handler, session.last_subcommand) {
        (Handler::Node(command), Some((container, name)))
            if command == container && name != spec.name =>
        {
            format!("{}|{name}", spec.name)
        }
        _ => spec.name.to_owned(),
    }
}

const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "    Whether the keys of the next command are tracked, after TRACKING with OPTIN or OPTOUT.",
    "CAPA <capability> [<capability> ...]",
    "    Tells what the client can do: redirect. No node redirects.",
    "GETNAME",
    "    Tells the name of this connection.",
    "GETREDIR",
    "    Tells to which client notices of tracked keys go: 0 to this one, -1 to none.",
    "ID",
    "    Tells the id of this connection.",
    "INFO",
    "    Tells what CLIENT LIST tells of this connection.",
    "KILL <ip:port>",
    "    Closes the connection from this address.",
    "KILL <option> <value> [<option> <value> ...]",
    "    Closes the connections that fit all of these:",
    "    * ID <client-id>",
    "    * ADDR <ip:port> and LADDR <ip:port>: the client's and the node's address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "    * USER <username>",
    "    * MAXAGE <seconds>: open for at least so long",
    "    * SKIPME (YES|NO): whether this connection is spared (default: yes)",
    "LIST [TYPE <type> | ID <client-id> [<client-id> ...]]",
    "    Tells of all clients of this node, one a line.",
    "NO-EVICT (ON|OFF)",
    "    Accepted and shown; no client is evicted.",
    "NO-TOUCH (ON|OFF)",
    "    Accepted and shown; no access times are kept.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Holds back the commands of this node's clients, or those that write, for so many",
    "    milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Turns replies on or off, or does without the next one.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Tells the node about the client library.",
    "SETNAME <name>",
    "    Gives this connection a name; an empty one takes it away.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [PREFIX ...]] [OPTIN] [OPTOUT]",
    "         [NOLOOP]",
    "    Lets this connection be told when keys change that it has read.",
    "TRACKINGINFO",
    "    Tells what this connection tracks.",
    "UNBLOCK <client-id> [TIMEOUT|ERROR]",
    "    Ends the wait of a client of this node, as if its time were over, or with an error.",
    "UNPAUSE",
    "    Ends the pause of this node's clients.",
    "HELP",
    "    Prints this help.",
];
