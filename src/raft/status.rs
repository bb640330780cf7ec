//! What a member can tell about itself, for INFO and for the admission of others.

use std::sync::Arc;

use super::Raft;
use super::progress::{Progress, ProgressState};
use super::role::{Role, RoleKind};
use super::types::{Configuration, Index, MemberId, Millis, Term};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    pub id: MemberId,
    pub role: RoleKind,
    pub term: Term,
    pub leader_id: Option<MemberId>,
    pub voted_for: Option<MemberId>,
    pub commit_index: Index,
    /// The last entry handed out as committed.
    pub handed_out_index: Index,
    pub first_index: Index,
    pub last_index: Index,
    pub log_bytes: usize,
    pub configuration: Arc<Configuration>,
    pub configuration_index: Index,
    /// Empty unless this leads.
    pub peers: Vec<PeerStatus>,
    pub transfer_target: Option<MemberId>,
    /// Reads of this node that wait for their index.
    pub pending_reads: usize,
    /// Members, itself included, whose reads this leader has yet to confirm, once per round.
    pub unconfirmed_requests: usize,
    /// Batches of this node that wait for their commit.
    pub outstanding_batches: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerStatus {
    pub id: MemberId,
    pub state: ProgressState,
    pub match_index: Index,
    pub next_index: Index,
    /// On the monotonic clock; `None`: not in this term.
    pub last_heard_ms: Option<Millis>,
    pub inflight_messages: usize,
    pub inflight_bytes: usize,
    /// Of a learner: how many rounds of catching up took too long for it to be promoted.
    pub slow_rounds: u64,
}

impl Raft {
    pub fn status(&self) -> Status {
        let (peers, unconfirmed_requests) = match &self.role {
            Role::Leader(leader) => (leader.peers.as_slice(), leader.rounds.unconfirmed()),
            _ => (&[][..], 0),
        };
        let peers = peers.iter().map(PeerStatus::of);
        Status {
            id: self.id,
            role: self.role.kind(),
            term: self.term,
            leader_id: self.leader_id(),
            voted_for: self.voted_for,
            commit_index: self.commit_index,
            handed_out_index: self.handed_out_index,
            first_index: self.log.first_index(),
            last_index: self.log.last_index(),
            log_bytes: self.log.bytes(),
            configuration: Arc::clone(self.configuration()),
            configuration_index: self.configuration_index(),
            peers: peers.collect(),
            transfer_target: self.transfer.map(|transfer| transfer.target),
            pending_reads: self.own_reads.pending(),
            unconfirmed_requests,
            outstanding_batches: self.origin.outstanding(),
        }
    }
}

impl PeerStatus {
    fn of(peer: &Progress) -> Self {
        Self {
            id: peer.id,
            state: peer.state,
            match_index: peer.match_index,
            next_index: peer.next_index,
            last_heard_ms: peer.last_heard_ms,
            inflight_messages: peer.inflight_messages(),
            inflight_bytes: peer.inflight_bytes(),
            slow_rounds: peer.catch_up.map_or(0, |round| round.slow_rounds),
        }
    }
}

impl RoleKind {
    /// `raft_role` of INFO, in RedisRaft's words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

impl Raft {
    pub fn role_kind(&self) -> RoleKind {
        self.role.kind()
    }

    /// Whom this member has voted for in its term.
    pub fn voted_for(&self) -> Option<MemberId> {
        self.voted_for
    }

    /// The last entry that was handed out as committed, or that a snapshot stands for.
    pub fn handed_out_index(&self) -> Index {
        self.handed_out_index
    }

    /// Bytes of the entries that the log holds.
    pub fn log_bytes(&self) -> usize {
        self.log.bytes()
    }

    /// Entries in the log.
    pub fn log_entries(&self) -> u64 {
        self.log.last_index().0 - self.log.snapshot_index().0
    }

    /// The first entry that the log holds, or the next one if it holds none.
    pub fn first_index(&self) -> Index {
        self.log.first_index()
    }

    /// The first index such that the log after it has at most `bytes`. Walks over that part.
    pub fn index_before_tail(&self, bytes: usize) -> Index {
        self.log.index_before_tail(bytes)
    }

    /// What the leader knows of one peer; `None` unless this leads.
    pub fn peer_status(&self, id: MemberId) -> Option<PeerStatus> {
        match &self.role {
            Role::Leader(leader) => leader.peers.iter().find(|p| p.id == id).map(PeerStatus::of),
            _ => None,
        }
    }

    /// Whether there is nobody to hand leadership to.
    pub fn is_only_voter(&self) -> bool {
        let configuration = self.configuration();
        !configuration.is_joint() && configuration.voters == [self.id]
    }
}
