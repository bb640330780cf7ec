//! A lost quorum: how a member notices it, and the way out that only an operator can take.
//!
//! A survivor of a lost majority cannot know what that majority has committed without it, so it
//! halts and never repairs itself. [`Raft::force_recover`] makes it the only voter of a cluster of
//! its own; its caller gives that cluster a new id, so that no message of the former one reaches
//! it: that is what keeps the two lineages apart if the others turn out to be alive.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::Raft;
use super::quorum::is_quorum;
use super::types::{Configuration, EntryBody, Index, Member, MemberId, Millis, Term};

/// The end of a log. Of two logs of one cluster the one with the larger id holds more (Raft 5.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    pub term: Term,
    pub index: Index,
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.term, self.index)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum RecoverError {
    #[error("the quorum is not lost")]
    QuorumNotLost,
    #[error("the log of this node ends with {last}")]
    WrongLastLogId { last: LogId },
}

/// Election timeouts that a voter waits at least before it calls a quorum lost: two elections, each
/// of which takes up to two.
const PATIENCE_ELECTION_TIMEOUTS: Millis = 4;

impl Raft {
    pub fn last_log_id(&self) -> LogId {
        LogId { term: self.log.last_term(), index: self.log.last_index() }
    }

    /// Whether this member has had no leader, and has heard of no majority, for as long as requests
    /// wait for one, and for two elections at least.
    ///
    /// It need not be a voter by its own log: one that was promoted a moment ago may not have
    /// learned of it, and be all that is left.
    pub fn is_quorum_lost(&self) -> bool {
        let Some(since_ms) = self.leaderless_ms else { return false };
        let now = self.now.monotonic_ms;
        now.saturating_sub(since_ms) >= self.quorum_patience_ms()
            && self.configuration().member(self.id).is_some()
            && !is_quorum(self.configuration(), |id| id == self.id || self.is_heard(id))
    }

    /// Whether `id` has said anything in the time after which a quorum is lost. Precondition: there
    /// is no leader.
    pub fn is_heard(&self, id: MemberId) -> bool {
        let earliest = self.now.monotonic_ms.saturating_sub(self.quorum_patience_ms());
        self.heard_leaderless.iter().any(|(known, at_ms)| *known == id && *at_ms > earliest)
    }

    fn quorum_patience_ms(&self) -> Millis {
        let elections = PATIENCE_ELECTION_TIMEOUTS * self.config.election_timeout_ms;
        self.config.no_leader_timeout_ms.max(elections)
    }

    /// A message of `from` has come while there is no leader.
    pub(super) fn note_heard(&mut self, from: MemberId) {
        if self.configuration().member(from).is_none() {
            return;
        }
        let now = self.now.monotonic_ms;
        match self.heard_leaderless.iter_mut().find(|(known, _)| *known == from) {
            Some((_, at_ms)) => *at_ms = now,
            None => self.heard_leaderless.push((from, now)),
        }
    }

    /// Goes on alone, as the only voter of a new lineage, with the whole of its log: what was not
    /// committed is kept, since whoever asks for this wants what data there is. Returns the index
    /// of the new configuration, which is committed with the next output.
    ///
    /// What this node's clients still wait for goes into the log now, unless it is there: each
    /// number of their streams stands in the new lineage at most once.
    ///
    /// The member keeps its id: the caller binds it to the new cluster.
    pub fn force_recover(&mut self, last: LogId) -> Result<Index, RecoverError> {
        if !self.is_quorum_lost() {
            return Err(RecoverError::QuorumNotLost);
        }
        if last != self.last_log_id() {
            return Err(RecoverError::WrongLastLogId { last: self.last_log_id() });
        }
        let own = self.configuration().member(self.id).cloned();
        let own = own.expect("invariant: only a member has a quorum to lose");
        let own = Member { observer: false, ..own };
        let alone =
            Configuration { voters: vec![self.id], members: vec![own], ..Configuration::default() };
        self.become_follower(self.term.next(), None);
        self.voted_for = Some(self.id);
        let index = self.append(EntryBody::Configuration(Arc::new(alone)));
        self.become_leader();
        Ok(index)
    }
}

#[cfg(test)]
mod tests;
