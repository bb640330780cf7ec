//! Sending keys to another server that speaks Redis's protocol: on a thread of its own, since it
//! blocks.
//!
//! MIGRATE has three steps. The keys are read at a read index. They are sent by RESTORE. What the
//! other server has taken is removed through the log, if it has not changed since it was read: no
//! change is lost, and no key is on neither side at any time. What has changed stays, and the other
//! server has its former value.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, ClientError, Reply};
use crate::engine::command::migrate::DUMPED_WORDS;
use crate::engine::number::parse_integer;
use crate::net::resolve::resolve;
use crate::net::resp::{Authentication, Limits, ParseState, Parsed, Words, parse};
use crate::net::ring::Connection;

use super::join::Credentials;
use super::mailbox::{Mailbox, ToNet};

/// What MIGRATE asks for, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    pub target: Target,
    pub keys: Vec<Vec<u8>>,
    /// The keys stay here.
    pub copies: bool,
    /// What the target has under their names goes.
    pub replaces: bool,
    pub stage: Stage,
}

/// Where the keys are to go, as the client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub host: String,
    pub port: String,
    pub credentials: Credentials,
    pub database: i64,
    /// Bounds the connection attempt, and each wait for the target.
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The engine is asked for the values.
    Reading,
    /// A thread sends them.
    Sending,
    /// What has arrived is removed; what else there is to tell the client.
    Releasing { failure: Option<String> },
}

/// A key on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dumped {
    pub key: Vec<u8>,
    /// In decimal digits.
    pub version: Vec<u8>,
    /// 0: no end.
    pub ttl_ms: u64,
    pub payload: Vec<u8>,
}

/// What has come of sending: keys and versions that the target has, and why not all are there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub taken: Vec<(Vec<u8>, Vec<u8>)>,
    pub failure: Option<SendError>,
}

/// The texts are Redis's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("IOERR error or timeout connecting to the client")]
    Connect,
    #[error("IOERR error or timeout writing to target instance")]
    Write,
    #[error("IOERR error or timeout reading to target instance")]
    Read,
    #[error("ERR Target instance replied with error: {0}")]
    Refused(String),
}

/// Keys that are sent before their replies are read: the target need not hold many of those.
const UNANSWERED_MAX: usize = 64;

/// What the engine has told of the keys. Precondition: it is the reply to RAFT.DUMP.
pub fn dumped(reply: &[u8]) -> Vec<Dumped> {
    let limits = Limits {
        words_max: i64::MAX,
        bulk_bytes_max: i64::MAX,
        authentication: Authentication::Done,
    };
    let mut words = Words::default();
    match parse(reply, &limits, &mut ParseState::default(), &mut words) {
        Ok(Parsed::Request { .. }) => {}
        Ok(Parsed::Empty { .. }) => return Vec::new(),
        other => unreachable!("invariant: the engine tells bulk strings, not {other:?}"),
    }
    let words = words.slices(reply);
    let (values, _) = words.as_chunks::<DUMPED_WORDS>();
    let value = |[key, version, ttl_ms, payload]: &[&[u8]; DUMPED_WORDS]| Dumped {
        key: key.to_vec(),
        version: version.to_vec(),
        ttl_ms: parse_integer(ttl_ms).map_or(0, i64::unsigned_abs),
        payload: payload.to_vec(),
    };
    values.iter().map(value).collect()
}

/// Sends the values on a thread of its own, which answers by [`ToNet::Migrated`].
///
/// # Errors
/// There is no such thread.
pub fn start(
    target: Target,
    replaces: bool,
    values: Vec<Dumped>,
    connection: Connection,
    net: Mailbox<ToNet>,
) -> std::io::Result<()> {
    let work = move || {
        let sent = send(&target, replaces, &values);
        net.send(ToNet::Migrated { connection, sent });
    };
    thread::Builder::new().name("migrate".to_owned()).spawn(work).map(drop)
}

fn send(target: &Target, replaces: bool, values: &[Dumped]) -> Sent {
    let mut sent = Sent::default();
    if let Err(failure) = try_send(target, replaces, values, &mut sent) {
        sent.failure = Some(failure);
    }
    sent
}

/// What was taken before an error is in `sent`, too.
fn try_send(
    target: &Target,
    replaces: bool,
    values: &[Dumped],
    sent: &mut Sent,
) -> Result<(), SendError> {
    let began = Instant::now();
    let mut client = connect(target)?;
    if let Some(command) = target.credentials.command() {
        ask(&mut client, &command)?;
    }
    ask(&mut client, &["SELECT", &target.database.to_string()])?;
    for values in values.chunks(UNANSWERED_MAX) {
        for Dumped { key, ttl_ms, payload, .. } in values {
            let passed_ms = began.elapsed().as_millis() as u64;
            let ttl_ms = if *ttl_ms == 0 { 0 } else { ttl_ms.saturating_sub(passed_ms).max(1) };
            let ttl = ttl_ms.to_string();
            let mut words: Vec<&[u8]> = vec![b"RESTORE", key, ttl.as_bytes(), payload];
            if replaces {
                words.push(b"REPLACE");
            }
            client.send(&words).map_err(|_| SendError::Write)?;
        }
        for Dumped { key, version, .. } in values {
            match refused(client.receive())? {
                None => sent.taken.push((key.clone(), version.clone())),
                Some(text) => {
                    // The first one is told.
                    sent.failure.get_or_insert(SendError::Refused(text));
                }
            }
        }
    }
    Ok(())
}

fn connect(target: &Target) -> Result<Client, SendError> {
    let Target { host, port, timeout, .. } = target;
    let address = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let resolved = resolve(&address);
    if resolved.is_empty() {
        return Err(SendError::Connect);
    }
    let mut clients = resolved.into_iter().filter_map(|it| Client::connect(it, *timeout).ok());
    clients.next().ok_or(SendError::Write)
}

fn ask(client: &mut Client, words: &[&str]) -> Result<(), SendError> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    client.send(&words).map_err(|_| SendError::Write)?;
    match refused(client.receive())? {
        None => Ok(()),
        Some(text) => Err(SendError::Refused(text)),
    }
}

/// Why the target refuses, if it does.
fn refused(reply: Result<Reply, ClientError>) -> Result<Option<String>, SendError> {
    match reply {
        Ok(Reply::Error(text)) => Ok(Some(text)),
        Ok(_) => Ok(None),
        Err(_) => Err(SendError::Read),
    }
}

#[cfg(test)]
mod tests;
