//! What all nodes know of an import: that the cluster follows another server, which one, and how
//! far it is. A part of the replicated state, since it goes on under the next leader.
//!
//! What comes from the source is applied in units, each of which says which unit it is and what is
//! reached with it: it runs as a whole, once, or not at all. So whoever proposes a unit again, or
//! after another leader has begun, does no harm. A session is the work of one leader between two
//! connections to the source; units of an earlier one are refused.

use super::number::parse_integer;
use crate::raft::types::Millis;

/// Bytes of a host name, a user name, a password and the like.
const WORD_BYTES_MAX: usize = 4096;

/// How much of an error is remembered.
const ERROR_BYTES_MAX: usize = 512;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Import {
    /// Whom the cluster follows.
    source: Option<Source>,
    /// Grows with each source that is named.
    epoch: u64,
    /// Which session may propose units; 0 is none.
    session: u64,
    reached: Reached,
    progress: Progress,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    pub host: Vec<u8>,
    pub port: u16,
    /// Empty: the default user.
    pub user: Vec<u8>,
    /// Empty: none is given.
    pub password: Vec<u8>,
}

/// Up to where the state is that of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reached {
    pub phase: Phase,
    /// The id of the history of the source's writes, and how many bytes of it were applied.
    pub replid: Vec<u8>,
    pub offset: u64,
    /// Which database the next command of the source is for.
    pub database: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing of the source is known.
    #[default]
    Empty,
    /// The snapshot of the source is being read.
    Loading,
    /// Its writes are followed.
    Following,
}

/// What there is to tell of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Progress {
    /// Units that were applied.
    pub units: u64,
    /// Commands of them, and those of them that were answered by an error.
    pub commands: u64,
    pub errors: u64,
    pub last_error: Vec<u8>,
    /// Why the import does not go on, if it does not.
    pub failure: Vec<u8>,
    /// Whether the source sends something, and since when that is as it is.
    pub is_linked: bool,
    pub link_changed_ms: Millis,
}

impl Phase {
    const ALL: [Self; 3] = [Self::Empty, Self::Loading, Self::Following];

    /// As it is written in commands and snapshots.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Loading => "loading",
            Self::Following => "following",
        }
    }

    pub fn find(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name().as_bytes() == name)
    }
}

impl Import {
    /// Whether the cluster follows another server.
    pub fn is_active(&self) -> bool {
        self.source.is_some()
    }

    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn session(&self) -> u64 {
        self.session
    }

    pub fn reached(&self) -> &Reached {
        &self.reached
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// One word on where it is, for INFO.
    pub fn state(&self) -> &'static str {
        match (&self.source, self.reached.phase) {
            (None, _) => "none",
            (Some(_), _) if !self.progress.failure.is_empty() => "failed",
            (Some(_), Phase::Empty) => "connecting",
            (Some(_), _) if !self.progress.is_linked => "connecting",
            (Some(_), phase) => phase.name(),
        }
    }

    /// The same on another node.
    pub fn restore(
        source: Option<Source>,
        (epoch, session): (u64, u64),
        reached: Reached,
        progress: Progress,
    ) -> Self {
        Self { source, epoch, session, reached, progress }
    }

    /// Begins to follow a source. False if that is the one that is followed already.
    ///
    /// Where another one was followed before, the new one is asked to go on from there: it may have
    /// the same history.
    pub(super) fn follow(&mut self, source: Source, now_ms: Millis) -> bool {
        let is_same = |own: &Source| (&own.host, own.port) == (&source.host, source.port);
        let has_failed = !self.progress.failure.is_empty();
        if !has_failed && self.source.as_ref().is_some_and(is_same) {
            return false;
        }
        if has_failed {
            self.reached = Reached::default();
        }
        self.source = Some(source);
        self.epoch += 1;
        self.session = 0;
        self.progress = Progress { link_changed_ms: now_ms, ..Progress::default() };
        true
    }

    /// The source wants other credentials.
    pub(super) fn set_credentials(&mut self, user: &[u8], password: &[u8]) {
        if let Some(source) = &mut self.source {
            (source.user, source.password) = (user.to_vec(), password.to_vec());
        }
    }

    /// Follows nobody any more.
    pub(super) fn stop(&mut self) {
        *self = Self { epoch: self.epoch, ..Self::default() };
    }

    /// From here on, units of this session are taken, if there is somebody to follow.
    pub(super) fn attach(&mut self, session: u64, now_ms: Millis) {
        if !self.is_active() || !self.progress.failure.is_empty() || session == 0 {
            return;
        }
        self.session = session;
        if self.reached.phase == Phase::Loading {
            // A part of a snapshot is of no use.
            self.reached = Reached::default();
        }
        self.set_linked(false, now_ms);
    }

    /// The session has lost the source.
    pub(super) fn detach(&mut self, session: u64, now_ms: Millis) {
        if self.is_of(session) {
            self.session = 0;
            self.set_linked(false, now_ms);
        }
    }

    /// The session has found what it cannot do.
    pub(super) fn fail(&mut self, session: u64, why: &[u8], now_ms: Millis) {
        if self.is_of(session) {
            self.session = 0;
            self.progress.failure = why[..why.len().min(ERROR_BYTES_MAX)].to_vec();
            self.set_linked(false, now_ms);
        }
    }

    fn set_linked(&mut self, is_linked: bool, now_ms: Millis) {
        if self.progress.is_linked != is_linked {
            self.progress.is_linked = is_linked;
            self.progress.link_changed_ms = now_ms;
        }
    }

    fn is_of(&self, session: u64) -> bool {
        self.is_active() && session != 0 && self.session == session
    }

    /// Whether a unit is the next one.
    pub(super) fn admits(&self, unit: &Unit) -> bool {
        self.is_of(unit.session) && self.progress.units == unit.number
    }

    /// A unit of so many commands was run.
    pub(super) fn advance(&mut self, unit: Unit, commands: u64, now_ms: Millis) {
        self.progress.units += 1;
        self.progress.commands += commands;
        self.reached = unit.reached;
        self.set_linked(true, now_ms);
    }

    /// A command was answered by this error.
    pub(super) fn note_error(&mut self, text: &[u8]) {
        self.progress.errors += 1;
        self.progress.last_error = text[..text.len().min(ERROR_BYTES_MAX)].to_vec();
    }
}

/// What stands before the commands of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub session: u64,
    /// How many were before it.
    pub number: u64,
    /// What is reached when it was applied.
    pub reached: Reached,
}

/// The first word of the arguments of a unit.
pub const UNIT: &[u8] = b"UNIT";

impl Unit {
    /// The arguments of the command that begins it.
    pub fn words(&self) -> [Vec<u8>; 7] {
        let number = |number: u64| number.to_string().into_bytes();
        [
            UNIT.to_vec(),
            number(self.session),
            number(self.number),
            self.reached.phase.name().as_bytes().to_vec(),
            self.reached.replid.clone(),
            number(self.reached.offset),
            number(self.reached.database.into()),
        ]
    }

    pub(super) fn parse(words: &[&[u8]]) -> Option<Self> {
        let [UNIT, session, number, phase, replid, offset, database] = words else { return None };
        if replid.len() > WORD_BYTES_MAX {
            return None;
        }
        Some(Self {
            session: unsigned(session)?,
            number: unsigned(number)?,
            reached: Reached {
                phase: Phase::find(phase)?,
                replid: replid.to_vec(),
                offset: unsigned(offset)?,
                database: unsigned(database)?.try_into().ok()?,
            },
        })
    }
}

pub(super) fn unsigned(word: &[u8]) -> Option<u64> {
    parse_integer(word).and_then(|number| u64::try_from(number).ok())
}

/// Reads what REPLICAOF was given, which the node has checked.
pub(super) fn source(words: &[&[u8]]) -> Option<Source> {
    let [host, port, user, password] = words else { return None };
    let fits = [host, user, password].iter().all(|word| word.len() <= WORD_BYTES_MAX);
    fits.then_some(())?;
    Some(Source {
        host: host.to_vec(),
        port: unsigned(port)?.try_into().ok()?,
        user: user.to_vec(),
        password: password.to_vec(),
    })
}
