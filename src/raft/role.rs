//! The roles of a member and the transitions between them. Each role holds what only it needs; what
//! outlives a role (term, vote, log) is the member's.

use super::Raft;
use super::progress::Progress;
use super::quorum::Votes;
use super::read::Rounds;
use super::types::{EntryBody, Index, MemberId, Millis, Term};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Learners are followers too; only the configuration tells them apart.
    Follower {
        leader_id: Option<MemberId>,
    },
    PreCandidate(Votes),
    Candidate(Votes),
    Leader(Box<Leader>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    /// Everybody in the configuration but the leader, and who is leaving it.
    pub(crate) peers: Vec<Progress>,
    pub(crate) rounds: Rounds,
    /// The no-op of this term: commits of former terms' entries and reads wait for it.
    pub(crate) noop_index: Index,
    pub(crate) elected_ms: Millis,
    pub(crate) heartbeat_ms: Millis,
}

/// The name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleKind {
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

impl Role {
    pub(crate) fn kind(&self) -> RoleKind {
        match self {
            Self::Follower { .. } => RoleKind::Follower,
            Self::PreCandidate(_) => RoleKind::PreCandidate,
            Self::Candidate(_) => RoleKind::Candidate,
            Self::Leader(_) => RoleKind::Leader,
        }
    }
}

impl Raft {
    /// Follows `leader_id`, if there is one, in `term`. Precondition: `term` is not in the past.
    pub(super) fn become_follower(&mut self, term: Term, leader_id: Option<MemberId>) {
        assert!(term >= self.term, "the term never goes back");
        let before = (self.term, self.leader_id());
        if term > self.term {
            self.term = term;
            self.voted_for = None;
            self.unacknowledged = None;
            // Nothing of a new term is old.
            self.leader_contact_ms = self.now.monotonic_ms;
            self.contact_regained_ms = None;
        }
        if leader_id.is_some() {
            self.note_leader_contact();
        }
        self.role = Role::Follower { leader_id };
        self.reset_election_deadline();
        self.on_role_changed(before);
    }

    pub(super) fn become_pre_candidate(&mut self) {
        let before = (self.term, self.leader_id());
        self.role = Role::PreCandidate(Votes::default());
        self.reset_election_deadline();
        self.on_role_changed(before);
    }

    /// Raft 5.2: a new term, with the own vote.
    pub(super) fn become_candidate(&mut self) {
        let before = (self.term, self.leader_id());
        self.term = self.term.next();
        self.voted_for = Some(self.id);
        self.unacknowledged = None;
        // Nothing of a new term is old.
        self.leader_contact_ms = self.now.monotonic_ms;
        self.contact_regained_ms = None;
        self.role = Role::Candidate(Votes::default());
        self.reset_election_deadline();
        self.on_role_changed(before);
    }

    pub(super) fn become_leader(&mut self) {
        let before = (self.term, self.leader_id());
        assert_ne!(self.role.kind(), RoleKind::Leader, "elected once per term");
        self.role = Role::Leader(Box::new(Leader {
            peers: Vec::new(),
            rounds: Rounds::default(),
            noop_index: self.log.last_index().next(),
            elected_ms: self.now.monotonic_ms,
            heartbeat_ms: self.now.monotonic_ms,
        }));
        self.sync_peers();
        // Raft 5.4.2 and 8: entries of former terms commit with the first one of this term.
        self.append(EntryBody::Noop);
        self.on_role_changed(before);
    }

    fn on_role_changed(&mut self, before: (Term, Option<MemberId>)) {
        self.dirty = true;
        let leader_id = self.leader_id();
        if before == (self.term, leader_id) {
            return;
        }
        self.expected_owed.clear();
        self.flow.forget_held();
        // What was sent to a former leader may be lost with it; the log keeps out what is not.
        self.origin.rewind();
        self.own_reads.ask_again();
        match leader_id {
            Some(leader_id) => {
                self.leaderless_ms = None;
                self.succession = None;
                self.heard_leaderless.clear();
                self.on_leader_known(leader_id);
            }
            None => {
                self.leaderless_ms.get_or_insert(self.now.monotonic_ms);
            }
        }
    }
}
