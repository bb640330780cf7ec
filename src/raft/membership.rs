//! Membership: who is admitted, promoted, swapped and removed (dissertation 4).
//!
//! One change at a time, each an entry that counts from when it is appended. Voters change only
//! through a joint configuration, which whichever leader is in office brings to its end.

use std::sync::Arc;

use thiserror::Error;

use super::Raft;
use super::message::Body;
use super::progress::{CatchUp, Progress, ProgressState};
use super::quorum::is_majority;
use super::role::Role;
use super::types::{Applicant, Configuration, EntryBody, Index, Member, MemberId, Millis};

/// Members of a configuration, so that it fits into any message.
pub const MEMBERS_MAX: usize = 64;

// A leader names its peers by the bits of a word, and some leave while others come.
const _: () = assert!(MEMBERS_MAX <= u64::BITS as usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum MembershipError {
    #[error("not the leader")]
    NotLeader { leader: Option<MemberId> },
    #[error("a configuration change is in progress")]
    ChangeInProgress,
    #[error("leadership is being transferred")]
    TransferInProgress,
    #[error("the leader has not yet committed an entry of its term")]
    NoEntryOfOwnTerm,
    #[error("no such member")]
    UnknownMember,
    /// It counts as alive for so long still, and for longer if it is heard again.
    #[error("member {member} of this slot is alive")]
    SlotAlive { member: MemberId, free_in_ms: Millis },
    #[error("this slot is an observer's: remove member {member} first")]
    ObserverSlot { member: MemberId },
    #[error("this slot is a voter's: remove member {member} first")]
    VoterSlot { member: MemberId },
    #[error("the last voter cannot be removed")]
    LastVoter,
    #[error("the voters that would remain have no majority that answers")]
    QuorumUnreachable,
    #[error("the cluster has as many members as it can have")]
    Full,
}

impl Raft {
    /// Adds a process as a learner. The index returned is its member id as soon as the entry is
    /// committed, and not before: until then it may still go to somebody else.
    ///
    /// Asked again for the same boot, it gives the same answer.
    pub fn admit(&mut self, applicant: Applicant) -> Result<Index, MembershipError> {
        if !self.is_leader() {
            return Err(MembershipError::NotLeader { leader: self.leader_id() });
        }
        if let Some(known) = self.configuration().members.iter().find(|m| m.boot == applicant.boot)
        {
            return Ok(Index(known.id.0));
        }
        self.check_change()?;
        let active = self.configuration();
        for member in active.members.iter().filter(|m| m.slot == applicant.slot) {
            if let Some(free_in_ms) = self.alive_for_ms(member.id) {
                return Err(MembershipError::SlotAlive { member: member.id, free_in_ms });
            }
            // Somebody counts on the slot to hold what it holds: only a removal, which is asked
            // for, makes a voter's slot an observer's or the other way round.
            let member_id = member.id;
            match (member.observer, applicant.observer) {
                (true, false) => return Err(MembershipError::ObserverSlot { member: member_id }),
                (false, true) => return Err(MembershipError::VoterSlot { member: member_id }),
                _ => {}
            }
        }
        let mut next = Configuration::clone(active);
        // An older life of the slot that is still a learner was never counted: it just goes. One
        // that is a voter goes in the joint change that promotes its successor.
        let is_stale = |m: &&Member| m.slot == applicant.slot && next.is_learner(m.id);
        let stale: Vec<MemberId> = next.members.iter().filter(is_stale).map(|m| m.id).collect();
        next.learners.retain(|id| !stale.contains(id));
        next.members.retain(|m| !stale.contains(&m.id));
        if next.members.len() >= MEMBERS_MAX {
            return Err(MembershipError::Full);
        }
        let id = MemberId(self.log.last_index().0 + 1);
        next.learners.push(id);
        // Ids grow, so the members stay sorted.
        next.members.push(applicant.admitted(id));
        Ok(self.append(EntryBody::Configuration(Arc::new(next))))
    }

    /// Removes a voter or a learner. The index is that of the entry that begins the change.
    pub fn remove(&mut self, id: MemberId) -> Result<Index, MembershipError> {
        if !self.is_leader() {
            return Err(MembershipError::NotLeader { leader: self.leader_id() });
        }
        self.check_change()?;
        let active = self.configuration();
        if active.member(id).is_none() {
            return Err(MembershipError::UnknownMember);
        }
        let mut next = Configuration::clone(active);
        if active.is_learner(id) {
            next.learners.retain(|learner| *learner != id);
            next.members.retain(|member| member.id != id);
        } else {
            if active.voters.len() == 1 {
                return Err(MembershipError::LastVoter);
            }
            next.voters.retain(|voter| *voter != id);
            if !self.is_reachable(&next.voters) {
                return Err(MembershipError::QuorumUnreachable);
            }
            next.voters_outgoing = active.voters.clone();
        }
        Ok(self.append(EntryBody::Configuration(Arc::new(next))))
    }

    /// Whether a change may begin. Precondition: this leads.
    fn check_change(&self) -> Result<(), MembershipError> {
        if self.transfer.is_some() {
            return Err(MembershipError::TransferInProgress);
        }
        // Without it a change of a former term could still commit beside this one (Ongaro 2015).
        if !self.has_committed_own_term() {
            return Err(MembershipError::NoEntryOfOwnTerm);
        }
        if !self.is_configuration_committed() || self.configuration().is_joint() {
            return Err(MembershipError::ChangeInProgress);
        }
        Ok(())
    }

    pub(super) fn has_committed_own_term(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.noop_index <= self.commit_index)
    }

    /// For how long yet `id` must be taken for a running process: it was heard within twice the
    /// longest election timeout, or this leader has not been in office for long enough to tell.
    /// `None`: it need not be.
    fn alive_for_ms(&self, id: MemberId) -> Option<Millis> {
        let Role::Leader(leader) = &self.role else { return None };
        let now = self.now.monotonic_ms;
        let timeout = self.config.election_timeout_ms;
        let longest = 2 * timeout;
        if id == self.id {
            return Some(2 * longest);
        }
        let peer = leader.peers.iter().find(|peer| peer.id == id)?;
        let until = match peer.last_heard_ms {
            Some(heard_ms) => heard_ms + 2 * longest,
            None => leader.elected_ms + timeout,
        };
        until.checked_sub(now).filter(|left| *left > 0)
    }

    /// Whether a majority of `voters` was heard within an election timeout.
    fn is_reachable(&self, voters: &[MemberId]) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let now = self.now.monotonic_ms;
        let timeout = self.config.election_timeout_ms;
        is_majority(voters, |id| {
            let heard = |p: &Progress| p.last_heard_ms.is_some_and(|ms| now < ms + timeout);
            id == self.id || leader.peers.iter().any(|p| p.id == id && heard(p))
        })
    }

    /// Brings the leader's peers in line with the active configuration.
    pub(super) fn sync_peers(&mut self) {
        let (now, next_index) = (self.now.monotonic_ms, self.log.last_index().next());
        let (_, configuration) =
            self.configurations.last().expect("invariant: there is always a configuration");
        let Role::Leader(leader) = &mut self.role else { return };
        for peer in &mut leader.peers {
            peer.leaving = configuration.member(peer.id).is_none();
        }
        for member in &configuration.members {
            if member.id == self.id || leader.peers.iter().any(|p| p.id == member.id) {
                continue;
            }
            let learner = configuration.is_learner(member.id);
            let held_until = if learner { Index(member.id.0) } else { Index::ZERO };
            leader.peers.push(Progress::new(member.id, next_index, held_until, now));
        }
    }

    /// A peer has acknowledged more, or again.
    pub(super) fn on_peer_advanced(&mut self, id: MemberId) {
        if self.transfer.is_some() {
            self.urge_transfer();
        } else if self.configuration().is_learner(id) && !self.configuration().is_observer(id) {
            self.consider_promotion(id);
        }
    }

    /// Dissertation 4.2.1: a learner has caught up when a round, which replicates what was
    /// committed at its begin, took less than an election timeout: then it cannot hold up commits
    /// for longer than an election would.
    fn consider_promotion(&mut self, id: MemberId) {
        let now = self.now.monotonic_ms;
        let timeout = self.config.election_timeout_ms;
        let goal = self.commit_index;
        let Some(peer) = self.peer_mut(id) else { return };
        let begin = CatchUp { goal, started_ms: now, slow_rounds: 0 };
        let round = *peer.catch_up.get_or_insert(begin);
        if peer.match_index < round.goal {
            return;
        }
        let is_slow = now - round.started_ms >= timeout;
        let slow_rounds = round.slow_rounds + u64::from(is_slow);
        peer.catch_up = Some(CatchUp { slow_rounds, ..begin });
        if !is_slow {
            self.promote(id);
        }
    }

    /// Makes a learner a voter, and in the same change drops the voter whose slot it took: there
    /// is never a moment with both or with neither.
    fn promote(&mut self, id: MemberId) {
        let active = self.configuration();
        let Some(member) = active.member(id) else { return };
        if self.check_change().is_err() {
            return;
        }
        let replaced =
            |voter: MemberId| active.member(voter).is_some_and(|old| old.slot == member.slot);
        let mut next = Configuration::clone(active);
        next.voters_outgoing = active.voters.clone();
        next.voters.retain(|voter| !replaced(*voter));
        next.voters.push(id);
        next.learners.retain(|learner| *learner != id);
        if self.is_reachable(&next.voters) {
            self.append(EntryBody::Configuration(Arc::new(next)));
        }
    }

    /// What follows from a commit: a committed joint configuration is left (dissertation 4.3).
    pub(super) fn advance_membership(&mut self) {
        if !self.accepts_proposals()
            || !self.has_committed_own_term()
            || !self.is_configuration_committed()
            || !self.configuration().is_joint()
        {
            return;
        }
        let mut next = Configuration::clone(self.configuration());
        next.voters_outgoing.clear();
        let (voters, learners) = (&next.voters, &next.learners);
        next.members.retain(|member| voters.contains(&member.id) || learners.contains(&member.id));
        self.append(EntryBody::Configuration(Arc::new(next)));
    }

    /// Once a configuration is committed, who left it is told and forgotten, and a leader that is
    /// not in it steps down (dissertation 4.2.2).
    pub(super) fn dismiss_the_removed(&mut self) {
        if !self.is_configuration_committed() {
            return;
        }
        let configuration_index = self.configuration_index();
        let retire = !self.configuration().is_voter(self.id);
        let Role::Leader(leader) = &mut self.role else { return };
        leader.peers.retain(|peer| {
            let told =
                peer.state != ProgressState::Replicate || peer.commit_sent >= configuration_index;
            !(peer.leaving && told)
        });
        if retire {
            if let Some(successor) = self.best_successor() {
                self.send(successor, Body::TimeoutNow);
            }
            self.become_follower(self.term, None);
        }
    }
}

#[cfg(test)]
mod tests;
