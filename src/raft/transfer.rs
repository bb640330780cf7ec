//! Leadership transfer (dissertation 3.10): the leader stops taking proposals, brings the target up
//! to date and tells it to campaign at once.

use thiserror::Error;

use super::message::Body;
use super::role::Role;
use super::types::{MemberId, Millis};
use super::{Config, Raft};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum TransferError {
    #[error("not the leader")]
    NotLeader { leader: Option<MemberId> },
    #[error("another transfer is in progress")]
    InProgress,
    #[error("the target is not another voter")]
    InvalidTarget,
    #[error("the target did not take over in time")]
    TimedOut,
    #[error("the transfer was called off")]
    Aborted,
    #[error("member {leader} took over instead")]
    DifferentLeader { leader: MemberId },
}

/// Invariant: while this leads, it takes no proposals. It outlives the step-down until the next
/// leader is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Transfer {
    pub(crate) target: MemberId,
    pub(crate) deadline_ms: Millis,
}

impl Raft {
    /// Hands leadership to `target`, or to the voter that is most up to date. How it ended comes
    /// with an output.
    pub fn transfer_leadership(&mut self, target: Option<MemberId>) -> Result<(), TransferError> {
        if !self.is_leader() {
            return Err(TransferError::NotLeader { leader: self.leader_id() });
        }
        if self.transfer.is_some() {
            return Err(TransferError::InProgress);
        }
        let target = target.or_else(|| self.best_successor());
        let is_valid = |id: &MemberId| *id != self.id && self.configuration().voters.contains(id);
        let target = target.filter(is_valid).ok_or(TransferError::InvalidTarget)?;
        let deadline_ms = self.now.monotonic_ms + self.config.election_timeout_ms;
        self.transfer = Some(Transfer { target, deadline_ms });
        self.dirty = true;
        self.urge_transfer();
        Ok(())
    }

    /// The other voter that holds most of the log; of equals the one that was heard last.
    pub(super) fn best_successor(&self) -> Option<MemberId> {
        let Role::Leader(leader) = &self.role else { return None };
        let voters = &self.configuration().voters;
        let candidates = leader.peers.iter().filter(|peer| voters.contains(&peer.id));
        candidates.max_by_key(|peer| (peer.match_index, peer.last_heard_ms)).map(|peer| peer.id)
    }

    /// Tells the target to campaign as soon as it can win, and again with every sign of it: the
    /// word may get lost.
    /// It is not told so at the very end: it would believe it when the transfer is over.
    pub(super) fn urge_transfer(&mut self) {
        let Some(Transfer { target, deadline_ms }) = self.transfer else { return };
        if self.now.monotonic_ms + self.transfer_margin_ms() >= deadline_ms {
            return;
        }
        let last_index = self.log.last_index();
        if self.peer_mut(target).is_some_and(|peer| peer.match_index == last_index) {
            self.send(target, Body::TimeoutNow);
        }
    }

    /// How long the target believes what it was told without hearing of the leader: by then the
    /// leader does not hand over any less than when it said so.
    pub(super) fn transfer_margin_ms(&self) -> Millis {
        let Config { heartbeat_interval_ms, election_timeout_ms, .. } = self.config;
        (2 * heartbeat_interval_ms).min(election_timeout_ms / 2)
    }

    pub(super) fn tick_transfer(&mut self) {
        if self.transfer.is_some_and(|transfer| self.now.monotonic_ms >= transfer.deadline_ms) {
            self.end_transfer(Err(TransferError::TimedOut));
        }
    }

    /// Calls a transfer off, if this member leads and hands over: it goes on as the leader, unless
    /// the target was told to campaign already and takes over all the same.
    pub fn abort_transfer(&mut self) -> bool {
        let is_under_way = self.is_leader() && self.transfer.is_some();
        if is_under_way {
            self.end_transfer(Err(TransferError::Aborted));
        }
        is_under_way
    }

    /// There is a leader: a transfer that was waiting for one has ended.
    pub(super) fn on_leader_known(&mut self, leader_id: MemberId) {
        let Some(Transfer { target, .. }) = self.transfer else { return };
        self.end_transfer(if target == leader_id {
            Ok(())
        } else {
            Err(TransferError::DifferentLeader { leader: leader_id })
        });
    }

    fn end_transfer(&mut self, result: Result<(), TransferError>) {
        self.transfer = None;
        self.out.transfer = Some(result);
        self.dirty = true;
    }
}

#[cfg(test)]
mod tests;
