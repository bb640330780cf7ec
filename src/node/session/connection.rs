//! What concerns one connection and nothing else, and the few commands without a better place.

use std::borrow::Cow;

use super::acl::deny_login;
use super::client::checked_name;
use super::{
    Arguments, NodeView, Outcome, REDIS_VERSION, ReplyMode, Session, excerpt, failure, is_word,
};
use crate::engine::acl::DEFAULT_USER;
use crate::engine::error::CommandError;
use crate::engine::keyspace::DATABASE_COUNT;
use crate::engine::number::parse_integer;
use crate::engine::reply::{Protocol, Reply};
use crate::node::shared::{NodeState, Shared};

const WRONG_PASSWORD: CommandError =
    CommandError::text("WRONGPASS invalid username-password pair or user is disabled.");

/// User and password.
type Credentials<'a> = (&'a [u8], &'a [u8]);

pub fn ping(
    arguments: Arguments<'_, '_>,
    session: &Session,
    reply: &mut Reply,
) -> Result<(), CommandError> {
    match arguments {
        [_, _, ..] => return Err(CommandError::Arity(Cow::Borrowed("ping"))),
        // It has to look like a message.
        _ if session.only_listens() => {
            reply.array(2);
            reply.bulk(b"pong");
            reply.bulk(arguments.first().copied().unwrap_or_default());
        }
        [] => reply.simple("PONG"),
        [message] => reply.bulk(message),
    }
    Ok(())
}

pub fn auth(
    words: Arguments<'_, '_>,
    session: &mut Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<(), CommandError> {
    match &words[1..] {
        [_] if view.users.default_user().needs_no_password() => {
            return Err(CommandError::text(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ));
        }
        [password] => authenticate(words[0], (DEFAULT_USER, password), session, view)?,
        [user, password] => authenticate(words[0], (user, password), session, view)?,
        _ => return Err(CommandError::Syntax),
    }
    reply.ok();
    Ok(())
}

/// A failed attempt leaves the session as authenticated as it was.
fn authenticate(
    command: &[u8],
    (name, password): Credentials<'_>,
    session: &mut Session,
    view: &NodeView<'_>,
) -> Result<(), CommandError> {
    let Some(user) = view.users.get(name).filter(|user| user.admits(password)) else {
        deny_login(command, name, session, view);
        return Err(WRONG_PASSWORD);
    };
    session.authenticated = true;
    session.become_user(user);
    Ok(())
}

pub fn hello(
    words: Arguments<'_, '_>,
    session: &mut Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<(), CommandError> {
    let (protocol, mut options) = match &words[1..] {
        [] => (session.protocol, &words[1..]),
        [version, options @ ..] => (protocol(version)?, options),
    };
    let (mut credentials, mut name) = (None, None);
    while let [option, rest @ ..] = options {
        options = match rest {
            [user, password, rest @ ..] if is_word(option, "AUTH") => {
                credentials = Some((*user, *password));
                rest
            }
            [wanted, rest @ ..] if is_word(option, "SETNAME") => {
                name = Some(checked_name(wanted)?);
                rest
            }
            _ => {
                let option = excerpt(option, option.len());
                return Err(failure(format!("ERR Syntax error in HELLO option '{option}'")));
            }
        };
    }
    if let Some((user, password)) = credentials {
        authenticate(words[0], (user, password), session, view)?;
    }
    if !session.authenticated {
        return Err(CommandError::text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        session.name = name;
    }
    session.protocol = protocol;
    // The reply already comes in the protocol that was asked for.
    reply.protocol = protocol;
    greet(session, reply);
    Ok(())
}

fn protocol(version: &[u8]) -> Result<Protocol, CommandError> {
    match parse_integer(version) {
        Some(2) => Ok(Protocol::Resp2),
        Some(3) => Ok(Protocol::Resp3),
        Some(_) => Err(CommandError::text("NOPROTO unsupported protocol version")),
        None => Err(CommandError::text("ERR Protocol version is not an integer or out of range")),
    }
}

fn greet(session: &Session, reply: &mut Reply) {
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(if session.protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(session.id as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    // Every node takes writes, and clients look here for a node that does.
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
}

pub fn select(
    arguments: Arguments<'_, '_>,
    session: &mut Session,
    reply: &mut Reply,
) -> Result<(), CommandError> {
    let number = parse_integer(arguments[0]).ok_or(CommandError::NotInteger)?;
    if i32::try_from(number).is_err() {
        return Err(CommandError::text(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ));
    }
    match u8::try_from(number) {
        Ok(database) if database < DATABASE_COUNT => session.database = database,
        _ => return Err(CommandError::DatabaseOutOfRange),
    }
    reply.ok();
    Ok(())
}

/// Back to what a new connection is, but for what the client library told of itself.
pub fn reset(session: &mut Session, view: &NodeView<'_>, reply: &mut Reply) {
    session.database = 0;
    session.protocol = Protocol::Resp2;
    let default_user = view.users.default_user();
    session.become_user(default_user);
    session.authenticated = default_user.admits_anyone();
    session.name.clear();
    session.no_evict = false;
    session.no_touch = false;
    session.subscriptions.clear();
    end_monitor(session, view.shared);
    session.replies = ReplyMode::On;
    session.stop_tracking();
    reply.protocol = Protocol::Resp2;
    reply.simple("RESET");
}

/// It is sent all commands of the node's clients from here on.
pub fn monitor(session: &mut Session, view: &NodeView<'_>, reply: &mut Reply) {
    if !std::mem::replace(&mut session.monitors, true) {
        view.shared.observed.monitoring.begin();
    }
    reply.ok();
}

/// The session is sent no more of what others do.
pub fn end_monitor(session: &mut Session, shared: &Shared) {
    if std::mem::take(&mut session.monitors) {
        shared.observed.monitoring.end();
    }
}

pub fn time(view: &NodeView<'_>, reply: &mut Reply) {
    reply.array(2);
    reply.bulk((view.unix_ms / 1000).to_string().as_bytes());
    // The clock of a pass counts milliseconds.
    reply.bulk((view.unix_ms % 1000 * 1000).to_string().as_bytes());
}

/// SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]. There is no disk: a node that was asked to save
/// first cannot, and does not stop unless it is forced to.
pub fn shutdown(
    arguments: Arguments<'_, '_>,
    view: &NodeView<'_>,
) -> Result<Outcome, CommandError> {
    let has = |word: &str| arguments.iter().any(|argument| is_word(argument, word));
    let is_known = |argument: &&[u8]| {
        ["NOSAVE", "SAVE", "NOW", "FORCE", "ABORT"].iter().any(|word| is_word(argument, word))
    };
    let abort = has("ABORT");
    let contradictory = abort && arguments.len() > 1 || has("SAVE") && has("NOSAVE");
    if contradictory || !arguments.iter().all(is_known) {
        return Err(CommandError::Syntax);
    }
    if abort {
        return Err(match view.shared.state() {
            NodeState::Stopping | NodeState::Stopped => {
                CommandError::text("ERR The shutdown cannot be aborted.")
            }
            _ => CommandError::text("ERR No shutdown in progress."),
        });
    }
    if has("SAVE") && !has("FORCE") {
        return Err(CommandError::text("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    Ok(Outcome::Shutdown)
}
