//! One session: from the connection to the source to its loss.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::link::Link;
use super::propose::{Idle, Proposer};
use super::{load, stream};
use crate::engine::batch::Batch;
use crate::engine::import::{Phase, Reached, Source};
use crate::node::session::host_and_port;
use crate::node::settings::SharedSettings;
use crate::node::shared::Shared;

/// Why a session has ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Another one takes its place, of this node or of another.
    #[error("the session is over")]
    Over,
    /// It is tried again.
    #[error("{0}")]
    Lost(String),
    /// It would come to the same end again.
    #[error("cannot go on: {0}")]
    Failed(String),
}

/// The first Valkey whose snapshots are those that are known here.
const VALKEY_VERSION: &[u8] = b"9.0.0";

/// How much of a reply is told.
const TOLD_BYTES_MAX: usize = 200;

pub fn run(shared: &Arc<Shared>, settings: &SharedSettings) -> Result<(), SessionError> {
    let (mut proposer, import) = match Proposer::begin(shared) {
        Err(SessionError::Over) => return Ok(()),
        begun => begun?,
    };
    let Some(source) = import.source() else { return Ok(()) };
    let ended = follow(shared, settings, &mut proposer, source, import.reached());
    match ended {
        Err(SessionError::Over) => {
            // A unit that was given up ends the session as much as a new leader does.
            proposer.detach();
            Ok(())
        }
        Err(SessionError::Lost(_)) => {
            proposer.detach();
            ended
        }
        Err(SessionError::Failed(ref why)) => {
            proposer.fail(why);
            ended
        }
        Ok(()) => Ok(()),
    }
}

fn follow(
    shared: &Arc<Shared>,
    settings: &SharedSettings,
    proposer: &mut Proposer,
    source: &Source,
    reached: &Reached,
) -> Result<(), SessionError> {
    let seconds: u64 = settings.get("repl-timeout").parse().unwrap_or(60);
    let host = String::from_utf8_lossy(&source.host);
    log::info!("import: connecting to {host}:{}", source.port);
    let mut link = Link::connect(
        shared,
        proposer.session(),
        (&host, source.port),
        Duration::from_secs(seconds),
    )?;
    greet(shared, proposer, &mut link, source)?;
    let offset = (reached.offset + 1).to_string();
    let (replid, offset) = match reached.phase {
        Phase::Following => (reached.replid.as_slice(), offset.as_bytes()),
        Phase::Empty | Phase::Loading => (&b"?"[..], &b"-1"[..]),
    };
    link.send(&[b"PSYNC", replid, offset])?;
    let reply = link.line(&mut || proposer.check().map(drop))?;
    let words: Vec<&str> = reply.split(' ').collect();
    match words[..] {
        ["+FULLRESYNC", replid, offset] => {
            let offset = offset.parse().map_err(|_| unexpected("PSYNC", &reply))?;
            log::info!("import: reading the snapshot of {host}:{} ({reply})", source.port);
            let replid = replid.as_bytes().to_vec();
            let reached = load::run(shared, proposer, &mut link, (replid, offset))?;
            stream::run(proposer, &mut link, reached)
        }
        ["+CONTINUE", ref replid @ ..] if reached.phase == Phase::Following => {
            log::info!("import: going on at {offset} ({reply})", offset = reached.offset);
            let mut reached = reached.clone();
            if let Some(replid) = replid.first() {
                reached.replid = replid.as_bytes().to_vec();
            }
            link.acknowledges = true;
            proposer.propose(reached.clone(), &Batch::default(), 0, &mut Idle)?;
            stream::run(proposer, &mut link, reached)
        }
        _ => Err(refused(&reply)),
    }
}

/// Who this replica is, and what it understands.
fn greet(
    shared: &Shared,
    proposer: &Proposer,
    link: &mut Link,
    source: &Source,
) -> Result<(), SessionError> {
    let mut ask = |words: &[&[u8]]| {
        link.send(words)?;
        link.line(&mut || proposer.check().map(drop))
    };
    let reply = ask(&[b"PING"])?;
    let is_there = ["+", "-NOAUTH", "-NOPERM", "-ERR operation not permitted"];
    if !is_there.iter().any(|start| reply.starts_with(start)) {
        return Err(unexpected("PING", &reply));
    }
    let Source { user, password, .. } = source;
    if !password.is_empty() {
        let reply = match user.is_empty() {
            true => ask(&[b"AUTH", password])?,
            false => ask(&[b"AUTH", user, password])?,
        };
        if reply.starts_with('-') {
            return Err(unexpected("AUTH", &reply));
        }
    }
    // A source that does not know one of these goes without.
    ask(&[b"REPLCONF", b"listening-port", shared.port.to_string().as_bytes()])?;
    let (host, _) = host_and_port(&shared.client_address);
    if host.parse::<IpAddr>().is_ok_and(|ip| !ip.is_loopback() && !ip.is_unspecified()) {
        ask(&[b"REPLCONF", b"ip-address", host.as_bytes()])?;
    }
    ask(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"])?;
    // Without it, Valkey sends the snapshots of an old version, which has no expiring fields.
    ask(&[b"REPLCONF", b"version", VALKEY_VERSION])?;
    shared.importing.transfer.read_bytes.store(0, Ordering::Relaxed);
    shared.importing.transfer.total_bytes.store(0, Ordering::Relaxed);
    Ok(())
}

fn unexpected(command: &str, reply: &str) -> SessionError {
    let told: String = reply.chars().take(TOLD_BYTES_MAX).collect();
    SessionError::Lost(format!("the source answers {command} by {told}"))
}

/// What the source says in place of sending its data: for good if it never does that.
fn refused(reply: &str) -> SessionError {
    match unexpected("PSYNC", reply) {
        SessionError::Lost(why)
            if reply.contains("feeds no replicas") || reply.contains("unknown command") =>
        {
            SessionError::Failed(why)
        }
        error => error,
    }
}
