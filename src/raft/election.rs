//! Elections: pre-vote, votes, randomised time-outs, check-quorum.

use thiserror::Error;

use super::message::Body;
use super::quorum::{VoteResult, is_quorum};
use super::role::Role;
use super::types::{Index, MemberId, Term};
use super::{NUMBER_MAX, Raft};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum CampaignError {
    #[error("this member already leads")]
    AlreadyLeader,
    #[error("this member is not a voter")]
    NotVoter,
}

/// Why a vote is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Campaign {
    Timeout,
    Transfer,
}

/// How often a member stands for election in a row, without waiting for an election time-out, after
/// the connection to its leader broke. Each attempt fails for a split with the chance that two
/// survivors stand within a round trip of each other; four in a row do so hardly ever, and whatever
/// else keeps them from a leader, hurry does not mend.
const HURRIED_CAMPAIGNS_MAX: u32 = 4;

/// The connection to the leader broke and nobody has taken its place yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Succession {
    /// Who is taken to be gone: its vote is not waited for.
    lost_id: MemberId,
    campaigns_left: u32,
}

impl Raft {
    /// Campaigns at once, without a pre-vote and though a leader may live.
    pub fn campaign_now(&mut self) -> Result<(), CampaignError> {
        if self.is_leader() {
            return Err(CampaignError::AlreadyLeader);
        }
        if !self.may_campaign() {
            return Err(CampaignError::NotVoter);
        }
        self.campaign(Campaign::Transfer);
        Ok(())
    }

    /// Whether this is a voter in the latest configuration of its log: a learner must not count
    /// itself, and a new process must not act on a configuration of the past.
    ///
    /// Dissertation 4.2.2: while the entry that removes it is not committed, a voter still
    /// campaigns, though it does not count itself: its log may be the only one that can win.
    fn may_campaign(&self) -> bool {
        self.possible_configurations().any(|configuration| configuration.is_voter(self.id))
    }

    pub(super) fn reset_election_deadline(&mut self) {
        let timeout = self.config.election_timeout_ms;
        // Raft 5.2: drawn anew each time, so that split votes are rare and resolve quickly.
        self.election_deadline_ms =
            self.now.monotonic_ms + timeout + self.rng.below(timeout.max(1));
    }

    pub(super) fn on_election_timeout(&mut self) {
        if self.may_campaign() {
            self.pre_campaign();
        } else {
            self.become_follower(self.term, None);
        }
    }

    /// The leader's connection broke: most likely it is gone, and waiting out the time-out would
    /// only cost time. The jitter keeps the survivors from splitting the vote.
    pub(super) fn on_leader_lost(&mut self, lost_id: MemberId) {
        self.become_follower(self.term, None);
        if self.may_campaign() {
            let jitter = self.rng.below(self.config.election_timeout_ms / 10 + 1);
            self.election_deadline_ms = self.now.monotonic_ms + jitter;
            self.succession = Some(Succession { lost_id, campaigns_left: HURRIED_CAMPAIGNS_MAX });
        }
    }

    /// There is a new connection to `id`, which may have been taken to be gone.
    pub(super) fn on_reconnected(&mut self, id: MemberId) {
        self.succession = self.succession.filter(|succession| succession.lost_id != id);
    }

    /// A leader's broken connection is noticed by all who followed it at once, so they are likely
    /// to stand at the same moment, or before the others have noticed: whoever stands then in vain
    /// asks again after a pause, which is random so that one of them is first. Only the pre-vote is
    /// asked again: it changes nobody's term, and whoever hears a leader does not answer it.
    fn hurry_next_campaign(&mut self) {
        if self.succession.is_some() {
            let interval = self.config.heartbeat_interval_ms;
            let pause = interval / 2 + self.rng.below(interval);
            self.election_deadline_ms = self.now.monotonic_ms + pause;
        }
    }

    fn count_campaign(&mut self) {
        self.succession = self.succession.and_then(|succession| {
            let campaigns_left = succession.campaigns_left.checked_sub(1)?;
            Some(Succession { campaigns_left, ..succession })
        });
    }

    /// The (pre-)vote cannot be won any more.
    fn on_campaign_lost(&mut self) {
        self.become_follower(self.term, None);
        self.hurry_next_campaign();
    }

    /// Dissertation 9.6: asks whether an election could be won before it disturbs anybody.
    fn pre_campaign(&mut self) {
        self.become_pre_candidate();
        self.count_campaign();
        self.hurry_next_campaign();
        self.on_pre_vote_response(self.id, self.term.next(), true);
        if matches!(self.role, Role::PreCandidate(_)) {
            let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
            let term = self.term.next();
            self.send_to_voters(term, Body::PreVoteRequest { last_index, last_term });
        }
    }

    fn campaign(&mut self, campaign: Campaign) {
        if self.term.0 + 1 >= NUMBER_MAX {
            return;
        }
        self.become_candidate();
        self.on_vote_response(self.id, true);
        if matches!(self.role, Role::Candidate(_)) {
            let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
            let transfer = campaign == Campaign::Transfer;
            self.send_to_voters(self.term, Body::VoteRequest { last_index, last_term, transfer });
        }
    }

    fn send_to_voters(&mut self, term: Term, body: Body) {
        let configuration = self.configuration().clone();
        let outgoing = configuration.voters_outgoing.iter();
        let only_outgoing = outgoing.filter(|id| !configuration.voters.contains(id));
        for to in configuration.voters.iter().chain(only_outgoing) {
            if *to != self.id {
                let message = super::Message { from: self.id, to: *to, term, body: body.clone() };
                self.out.messages.push(message);
            }
        }
    }

    /// A message of a later term. Whether it is to be handled further, in the own term.
    pub(super) fn on_higher_term(&mut self, from: MemberId, term: Term, body: &Body) -> bool {
        match body {
            // A pre-vote changes nobody's term.
            Body::PreVoteRequest { last_index, last_term } => {
                self.on_pre_vote_request(from, term, *last_index, *last_term);
                false
            }
            Body::PreVoteResponse { granted: true } => {
                self.on_pre_vote_response(from, term, true);
                false
            }
            // Dissertation 4.2.3: a candidate is ignored while a leader lives, so that a member
            // which was cut off or removed cannot depose it; 3.10: unless the leader asked for it.
            Body::VoteRequest { transfer: false, .. } if self.is_leader_live() => false,
            Body::AppendRequest { .. } | Body::SnapshotOffer { .. } => {
                self.become_follower(term, Some(from));
                true
            }
            _ => {
                self.become_follower(term, None);
                true
            }
        }
    }

    /// A message of a former term: who still believes in that term learns of this one.
    pub(super) fn on_lower_term(&mut self, from: MemberId, body: Body) {
        match body {
            // The answer deposes a leader that a member with a later term could otherwise never
            // follow again, since nobody gives that member votes while this leader lives.
            Body::AppendRequest { prev_index, round, .. } => {
                let (hint_index, hint_term) = (Index::ZERO, Term(0));
                self.send(from, Body::AppendRejected { prev_index, hint_index, hint_term, round });
            }
            Body::PreVoteRequest { .. } => {
                self.send(from, Body::PreVoteResponse { granted: false });
            }
            _ => {}
        }
    }

    fn is_leader_live(&self) -> bool {
        match self.role {
            Role::Leader(_) => true,
            Role::Follower { leader_id: Some(_) } => {
                self.now.monotonic_ms < self.leader_contact_ms + self.config.election_timeout_ms
            }
            _ => false,
        }
    }

    /// Raft 5.4.1: the voter's log must not be more up-to-date than the candidate's.
    fn is_up_to_date(&self, last_index: Index, last_term: Term) -> bool {
        (last_term, last_index) >= (self.log.last_term(), self.log.last_index())
    }

    pub(super) fn on_pre_vote_request(
        &mut self,
        from: MemberId,
        term: Term,
        last_index: Index,
        last_term: Term,
    ) {
        if term > self.term && self.is_leader_live() || self.configuration().is_observer(self.id) {
            return;
        }
        let granted = term > self.term && self.is_up_to_date(last_index, last_term);
        let answer_term = if granted { term } else { self.term };
        let body = Body::PreVoteResponse { granted };
        let message = super::Message { from: self.id, to: from, term: answer_term, body };
        self.out.messages.push(message);
    }

    pub(super) fn on_pre_vote_response(&mut self, from: MemberId, term: Term, granted: bool) {
        if granted && term != self.term.next() {
            return;
        }
        let configuration = self.configuration().clone();
        let Role::PreCandidate(votes) = &mut self.role else { return };
        votes.record(from, granted);
        match votes.result(&configuration) {
            VoteResult::Won => self.campaign(Campaign::Timeout),
            VoteResult::Lost => self.on_campaign_lost(),
            VoteResult::Pending => {}
        }
    }

    pub(super) fn on_vote_request(&mut self, from: MemberId, last_index: Index, last_term: Term) {
        // No configuration counts it, so a candidate that asks is mistaken.
        if self.configuration().is_observer(self.id) {
            return;
        }
        // Raft 5.2: one vote per term, first come, first served; the same answer when asked again.
        let free = match self.voted_for {
            Some(id) => id == from,
            None => self.leader_id().is_none(),
        };
        let granted = free && self.is_up_to_date(last_index, last_term);
        if granted {
            self.voted_for = Some(from);
            self.reset_election_deadline();
        }
        self.send(from, Body::VoteResponse { granted });
    }

    pub(super) fn on_vote_response(&mut self, from: MemberId, granted: bool) {
        let configuration = self.configuration().clone();
        let Role::Candidate(votes) = &mut self.role else { return };
        votes.record(from, granted);
        let mut result = votes.result(&configuration);
        // Among two survivors of three each refuses the other, and the third is gone: waiting for
        // it would cost a whole election time-out.
        if let Some(Succession { lost_id, .. }) = self.succession
            && result == VoteResult::Pending
        {
            let mut without_lost = votes.clone();
            without_lost.record(lost_id, false);
            result = without_lost.result(&configuration);
        }
        match result {
            VoteResult::Won => self.become_leader(),
            VoteResult::Lost => self.on_campaign_lost(),
            VoteResult::Pending => {}
        }
    }

    /// A message that only the leader of this term sends. Whether `from` may be that leader.
    pub(super) fn on_leader_contact(&mut self, from: MemberId) -> bool {
        match &mut self.role {
            // Raft 5.2: there is at most one leader per term.
            Role::Leader(_) => false,
            Role::Follower { leader_id: Some(leader_id) } => {
                if *leader_id != from {
                    return false;
                }
                self.note_leader_contact();
                self.reset_election_deadline();
                true
            }
            _ => {
                self.become_follower(self.term, Some(from));
                true
            }
        }
    }

    /// The leader has spoken.
    pub(super) fn note_leader_contact(&mut self) {
        if self.is_leader_overdue() {
            self.contact_regained_ms = Some(self.now.monotonic_ms);
        }
        self.leader_contact_ms = self.now.monotonic_ms;
    }

    /// The leader was not heard when it should have been: this member stood still, or was cut off.
    fn is_leader_overdue(&self) -> bool {
        self.now.monotonic_ms > self.leader_contact_ms + self.transfer_margin_ms()
    }

    /// The leader tells this member to take over, as long as it hands over: it says so again with
    /// every sign of this member. After a gap that word may be one of a hand-over that is over by
    /// now, and standing for election would only end the term of a leader that goes on. So it
    /// counts only once a heartbeat has passed since then, by which time what was on its way has
    /// been handled.
    pub(super) fn on_timeout_now(&mut self, from: MemberId) {
        let is_leader = matches!(self.role, Role::Follower { leader_id: Some(id) } if id == from);
        let interval = self.config.heartbeat_interval_ms;
        let is_hearing_old = self.is_leader_overdue()
            || self.contact_regained_ms.is_some_and(|ms| self.now.monotonic_ms < ms + interval);
        if is_leader && !is_hearing_old && self.may_campaign() {
            self.campaign(Campaign::Transfer);
        }
    }

    /// Dissertation 6.2: a leader that a quorum has not answered for an election timeout steps
    /// down, so that its clients do not wait for somebody who cannot serve them.
    pub(super) fn check_quorum(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let now = self.now.monotonic_ms;
        let timeout = self.config.election_timeout_ms;
        let active = is_quorum(self.configuration(), |id| {
            id == self.id || leader.peers.iter().any(|p| p.id == id && now < p.alive_ms() + timeout)
        });
        if !active && now >= leader.elected_ms + timeout {
            self.become_follower(self.term, None);
        }
    }
}

#[cfg(test)]
mod tests;
