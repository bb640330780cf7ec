//! Consensus without I/O: the Raft of Ongaro's dissertation for nodes that have no disk.
//!
//! Owns the log, the term, the vote, the configuration and what the clients of this node wait for.
//! It must not know what a command is, nor read a clock, nor draw randomness of its own: time comes
//! by [`Raft::set_now`], chance from [`Config::seed`], messages by [`Raft::step`]; what is to be
//! done comes out of [`Raft::take_output`].
//!
//! # What the caller owes
//! - Once per pass of its event loop: `set_now`, then `tick`, any number of `step`, `submit`,
//!   `submit_read`..., then `take_output` if `has_output`. All that was submitted in a pass travels
//!   in one message per peer; a read round is asked once for all reads of a pass.
//! - Messages may be lost, delayed, doubled or reordered, but never altered, and the sender of a
//!   message must be the one that its connection was bound to.
//! - It bounds what it submits: what is outstanding is held until it is committed or given up.
//! - `compact` only through entries that were handed out, and only as far as it has a snapshot for
//!   peers that fall behind.
//! - To load a snapshot for each of `snapshots_wanted` on the peer, which then calls
//!   [`Raft::install_snapshot`]; [`Raft::snapshot_failed`] when that came to nothing, and not to
//!   compact behind the snapshot before the peer has told that it has it: a peer whose word of that
//!   is lost would else get heartbeats alone until its link is made anew.
//!
//! # What it is owed
//! - Committed entries, each once, in order, the same on every member; those of this node's clients
//!   with the ticket that they were submitted with. Every ticket ends exactly once: with its entry,
//!   with a [`ReadReady`], or given up with a reason.
//! - A [`ReadReady`] index that covers every write acknowledged anywhere before the read came.
//! - No message of a peer, however absurd, makes it panic. Its own invariants are asserted: a wrong
//!   node stops, the cluster goes on.
//!
//! # Volatile identity
//! A process that restarts has forgotten its vote and its log, so it never acts as its former self:
//! each life is a new member, whose id is the index of the entry that admitted it.
//!
//! Nodes that found a cluster together have the first ids, in a log that begins alike on all of
//! them ([`Raft::found`]). A survivor that goes on by force ([`Raft::force_recover`]) keeps its id
//! and its log under the id of a new cluster, which its caller binds all links to.
//!
//! # Who serves
//! Voters and observers have clients; a process that joins, and a learner that is to become a
//! voter, have none: what is submitted to one is given up at once, and a leader takes nothing from
//! it. An observer is a learner for good. It is never promoted and never counted, so it may be slow
//! or away without anybody waiting for it; its reads ask the leader for a read index and its
//! batches are numbered as everybody's are. A slot is a voter's or an observer's until its member
//! is removed.
//!
//! # How it works
//! States, messages, the rules for each event, why they are right, and where they deviate from the
//! dissertation: [`specification`].
#![forbid(unsafe_code)]

mod bootstrap;
#[cfg(test)]
mod differential;
mod election;
mod flow;
mod log;
mod membership;
pub mod message;
mod origin;
mod output;
mod progress;
mod quorum;
mod read;
mod recovery;
mod replication;
mod rng;
mod role;
mod snapshot;
pub mod specification;
mod status;
#[cfg(test)]
mod testing;
mod transfer;
pub mod types;

use std::sync::Arc;

use flow::Flow;
use log::Log;
use message::{Body, Message};
use origin::{Origin, Watermarks};
use read::OwnReads;
use rng::Rng;
use role::Role;
use transfer::Transfer;
use types::{
    Configuration, Entry, EntryBody, Index, Member, MemberId, Millis, Payload, Stream, Term, Ticket,
};

pub use bootstrap::{Answer, Decision, FreshNode, OnTotalLoss, decide, seen};
pub use election::CampaignError;
pub use membership::{MEMBERS_MAX, MembershipError};
pub use origin::{GiveUpReason, GivenUp, Watermark};
pub use output::{Committed, Output};
pub use progress::ProgressState;
pub use read::ReadReady;
pub use recovery::{LogId, RecoverError};
pub use role::RoleKind;
pub use snapshot::SnapshotState;
pub use status::{PeerStatus, Status};
pub use transfer::TransferError;

/// Terms, indexes and clocks beyond this are nonsense: refusing them keeps every addition, here and
/// where entries are applied, from overflowing.
const NUMBER_MAX: u64 = 1 << 62;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// T. Time-outs are drawn from T up to 2T.
    pub election_timeout_ms: Millis,
    pub heartbeat_interval_ms: Millis,
    /// Bytes of entries of one AppendRequest.
    pub append_bytes_max: usize,
    /// AppendRequests sent ahead of their acknowledgement, per peer.
    pub inflight_messages_max: usize,
    /// Bytes sent ahead, per peer, and forwarded ahead of their commit, per stream.
    pub inflight_bytes_max: usize,
    /// What waits so long without a leader is given up.
    pub no_leader_timeout_ms: Millis,
    pub seed: u64,
}

/// The clocks, as the caller read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    pub monotonic_ms: Millis,
    pub unix_ms: Millis,
}

/// One member of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    config: Config,
    id: MemberId,
    now: Now,
    rng: Rng,
    term: Term,
    voted_for: Option<MemberId>,
    role: Role,
    /// When an election begins, unless this is a leader.
    election_deadline_ms: Millis,
    /// Ends when a leader is known, or after a number of campaigns.
    succession: Option<election::Succession>,
    /// When the leader of this term last sent something.
    leader_contact_ms: Millis,
    /// When the leader of this term was last heard again after a gap. What it says then may be old.
    contact_regained_ms: Option<Millis>,
    /// Since when no leader is known.
    leaderless_ms: Option<Millis>,
    /// Who has said something since then, and when last.
    heard_leaderless: Vec<(MemberId, Millis)>,
    log: Log,
    /// Invariant: within the log, never decreases.
    commit_index: Index,
    /// Invariant: handed_out_index <= commit_index.
    handed_out_index: Index,
    /// The configurations of the log, oldest first, with that in force at its start before them.
    /// The last one is active. Invariant: not empty, indexes increase.
    configurations: Vec<(Index, Arc<Configuration>)>,
    /// Up to the start of the log, and up to its end.
    watermarks_base: Watermarks,
    watermarks: Watermarks,
    origin: Origin,
    own_reads: OwnReads,
    flow: Flow,
    transfer: Option<Transfer>,
    /// What this follower has yet to acknowledge to the leader of this term.
    unacknowledged: Option<replication::Acknowledgement>,
    /// Streams whose origin is to be told what is expected of it, once per pass.
    expected_owed: Vec<(MemberId, Stream)>,
    /// The commit index that this member was told first: up to there it had to catch up.
    told_commit_index: Option<Index>,
    /// Something happened since the last output.
    dirty: bool,
    out: Output,
}

impl Raft {
    /// Creates a cluster of one voter, whose admission is entry 1. It leads at once.
    ///
    /// Precondition: `member.id` is 1.
    pub fn bootstrap(config: Config, member: Member, now: Now) -> Self {
        assert_eq!(member.id, MemberId(1), "entry 1 admits the first member");
        let mut raft = Self::new(config, member.id, now);
        let configuration = Configuration {
            voters: vec![member.id],
            members: vec![member],
            ..Configuration::default()
        };
        raft.term = Term(1);
        raft.voted_for = Some(raft.id);
        raft.append(EntryBody::Configuration(Arc::new(configuration)));
        raft.become_leader();
        raft
    }

    /// A member that was admitted as `id` and has an empty log.
    pub fn join(config: Config, id: MemberId, now: Now) -> Self {
        assert!(!id.is_none(), "only an admitted process takes part");
        Self::new(config, id, now)
    }

    fn new(config: Config, id: MemberId, now: Now) -> Self {
        assert!(config.heartbeat_interval_ms > 0);
        assert!(config.heartbeat_interval_ms < config.election_timeout_ms);
        assert!(config.inflight_messages_max > 0);
        let rng = Rng::new(config.seed ^ id.0.rotate_left(32));
        let mut raft = Self {
            id,
            now,
            rng,
            term: Term(0),
            voted_for: None,
            role: Role::Follower { leader_id: None },
            election_deadline_ms: 0,
            succession: None,
            leader_contact_ms: now.monotonic_ms,
            contact_regained_ms: None,
            leaderless_ms: Some(now.monotonic_ms),
            heard_leaderless: Vec::new(),
            log: Log::after_snapshot(Index::ZERO, Term(0), 0),
            commit_index: Index::ZERO,
            handed_out_index: Index::ZERO,
            configurations: vec![(Index::ZERO, Arc::new(Configuration::default()))],
            watermarks_base: Watermarks::default(),
            watermarks: Watermarks::default(),
            origin: Origin::default(),
            own_reads: OwnReads::default(),
            flow: Flow::default(),
            transfer: None,
            unacknowledged: None,
            expected_owed: Vec::new(),
            told_commit_index: None,
            dirty: false,
            out: Output::default(),
            config,
        };
        raft.reset_election_deadline();
        raft
    }

    /// Tells the time. It never goes back: an earlier time changes nothing.
    pub fn set_now(&mut self, now: Now) {
        self.now.monotonic_ms = self.now.monotonic_ms.max(now.monotonic_ms);
        self.now.unix_ms = now.unix_ms;
    }

    /// Does what is due at the time last told.
    pub fn tick(&mut self) {
        match self.role {
            Role::Leader(_) => self.tick_leader(),
            _ if self.now.monotonic_ms >= self.election_deadline_ms => self.on_election_timeout(),
            _ => {}
        }
        self.tick_transfer();
        self.tick_waiting();
    }

    /// Takes a message of a peer. What does not make sense is ignored.
    pub fn step(&mut self, message: Message) {
        let Message { from, to, term, body } = message;
        if to != self.id || from == self.id || from.is_none() {
            return;
        }
        // The last word of a leader that has removed itself comes when that is committed.
        let is_farewell = matches!(body, Body::TimeoutNow) && self.leader_id() == Some(from);
        if self.is_removed(from) && !is_farewell {
            return;
        }
        if term.0 >= NUMBER_MAX {
            return;
        }
        self.dirty = true;
        if self.leaderless_ms.is_some() {
            self.note_heard(from);
        }
        if term > self.term && !self.on_higher_term(from, term, &body) {
            return;
        }
        if term < self.term {
            self.on_lower_term(from, body);
            return;
        }
        match body {
            Body::PreVoteRequest { last_index, last_term } => {
                self.on_pre_vote_request(from, term, last_index, last_term);
            }
            Body::PreVoteResponse { granted } => self.on_pre_vote_response(from, term, granted),
            Body::VoteRequest { last_index, last_term, .. } => {
                self.on_vote_request(from, last_index, last_term);
            }
            Body::VoteResponse { granted } => self.on_vote_response(from, granted),
            Body::AppendRequest { prev_index, prev_term, commit_index, round, entries } => {
                if self.on_leader_contact(from) {
                    self.note_told(commit_index);
                    let previous = (prev_index, prev_term);
                    self.on_append_request(from, previous, commit_index, round, entries);
                }
            }
            Body::AppendAccepted { match_index, round } => {
                self.on_append_accepted(from, match_index, round);
            }
            Body::AppendRejected { prev_index, hint_index, hint_term, round } => {
                self.on_append_rejected(from, prev_index, (hint_index, hint_term), round);
            }
            Body::Forward { stream, seq, payload } => self.on_forward(from, stream, seq, payload),
            Body::ForwardExpected { stream, expected } => {
                if self.on_leader_contact(from) {
                    let pause = self.config.heartbeat_interval_ms;
                    self.origin.expected(stream, expected, pause, self.now.monotonic_ms);
                }
            }
            Body::ReadIndexRequest { id } => self.on_read_index_request(from, id),
            Body::ReadIndexResponse { id, index, at_ms } => {
                if self.on_leader_contact(from) {
                    self.own_reads.ready(id, index, at_ms, &mut self.out.reads);
                }
            }
            Body::TimeoutNow => self.on_timeout_now(from),
            Body::SnapshotOffer { last_index, .. } => {
                if self.on_leader_contact(from) {
                    self.note_told(last_index);
                }
            }
            Body::SnapshotInstalled { last_index } => self.on_snapshot_installed(from, last_index),
        }
    }

    /// The connection to `id` broke.
    pub fn peer_unreachable(&mut self, id: MemberId) {
        if let Some(peer) = self.peer_mut(id) {
            peer.unreachable();
            // It may be the one that batches waited for.
            self.dirty = true;
        }
        if let Role::Leader(leader) = &mut self.role
            && leader.rounds.is_waiting()
        {
            // It may be the one that was to confirm them.
            leader.peers.iter_mut().for_each(|peer| peer.owed = true);
            self.dirty = true;
        }
        if matches!(self.role, Role::Follower { leader_id: Some(leader) } if leader == id) {
            self.dirty = true;
            self.on_leader_lost(id);
        }
    }

    /// There is a fresh connection to `id`: what was on its way is lost.
    pub fn peer_connected(&mut self, id: MemberId) {
        self.dirty = true;
        self.on_reconnected(id);
        if let Some(peer) = self.peer_mut(id) {
            peer.become_probe();
            peer.owed = true;
        }
        if self.leader_id() == Some(id) {
            self.origin.rewind();
            self.own_reads.ask_again();
        }
    }

    /// A batch of this node's clients, to be appended after those submitted before on `stream`.
    /// Given up at once by a member that [may not serve](Self::may_serve).
    pub fn submit(&mut self, stream: Stream, ticket: Ticket, payload: Payload) {
        self.dirty = true;
        if !self.may_serve() {
            return self.refuse(stream, ticket);
        }
        self.origin.submit(stream, ticket, payload, self.now.monotonic_ms);
    }

    /// Asks for a read index that covers every write acknowledged before this call. Given up at
    /// once by a member that [may not serve](Self::may_serve).
    pub fn submit_read(&mut self, stream: Stream, ticket: Ticket) {
        self.dirty = true;
        if !self.may_serve() {
            return self.refuse(stream, ticket);
        }
        self.own_reads.submit(stream, ticket, self.now.monotonic_ms);
    }

    fn refuse(&mut self, stream: Stream, ticket: Ticket) {
        let reason = GiveUpReason::NeverSent;
        self.out.given_up.push(GivenUp { stream, ticket, reason });
    }

    /// Whether this member may have clients: as far as it knows, it is a voter or an observer. One
    /// that joins, and a learner that is to become a voter, may not; nor one that was removed.
    pub fn may_serve(&self) -> bool {
        self.possible_configurations().any(|configuration| configuration.may_serve(self.id))
    }

    /// The commit index that a leader told this member first. Behind it, it is still catching up.
    /// `None`: it has heard no leader yet.
    pub fn told_commit_index(&self) -> Option<Index> {
        self.told_commit_index
    }

    fn note_told(&mut self, commit_index: Index) {
        self.told_commit_index.get_or_insert(commit_index);
    }

    /// Appends an entry that does nothing but move the clock on. Does nothing unless this leads.
    pub fn tick_entry(&mut self) {
        if self.accepts_proposals() {
            self.append(EntryBody::Tick);
        }
    }

    /// Drops the log up to `through`. Precondition: it was handed out as committed.
    pub fn compact(&mut self, through: Index) {
        assert!(through <= self.handed_out_index, "only what was handed out is compacted");
        if through <= self.log.snapshot_index() {
            return;
        }
        let base = &mut self.watermarks_base;
        self.log.compact(through, |entry| base.note(entry));
        let start = self.configurations.partition_point(|(index, _)| *index <= through);
        self.configurations.drain(..start - 1);
    }

    /// Takes over new settings; a time-out that is running keeps its length. The seed has no effect
    /// any more.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Starts the random numbers anew. For who explores states: members that differ only in what
    /// they have drawn so far become equal.
    pub fn reseed(&mut self, seed: u64) {
        self.rng = Rng::new(seed);
    }

    pub fn id(&self) -> MemberId {
        self.id
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The leader of this term, as far as this member knows; itself when it leads.
    pub fn leader_id(&self) -> Option<MemberId> {
        match self.role {
            Role::Leader(_) => Some(self.id),
            Role::Follower { leader_id } => leader_id,
            Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    pub fn term(&self) -> Term {
        self.term
    }

    pub fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// The configuration in force: the latest in the log, committed or not.
    pub fn configuration(&self) -> &Arc<Configuration> {
        &self.active().1
    }

    /// The entry at `index`, while the log holds it.
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        self.log.get(index)
    }

    fn active(&self) -> &(Index, Arc<Configuration>) {
        self.configurations.last().expect("invariant: there is always a configuration")
    }

    /// The index of the entry that made the active configuration.
    fn configuration_index(&self) -> Index {
        self.active().0
    }

    /// The configurations that may count: the last committed one and all later ones.
    fn possible_configurations(&self) -> impl Iterator<Item = &Configuration> {
        let committed = self.configurations.partition_point(|(at, _)| *at <= self.commit_index);
        let possible = &self.configurations[committed.saturating_sub(1)..];
        possible.iter().map(|(_, configuration)| &**configuration)
    }

    fn is_configuration_committed(&self) -> bool {
        self.configuration_index() <= self.commit_index
    }

    /// Whether `id` was a member once and a committed configuration no longer names it. Ids are
    /// indexes of admissions, so one below a committed configuration cannot be yet to come.
    fn is_removed(&self, id: MemberId) -> bool {
        if self.configuration().member(id).is_some() {
            return false;
        }
        let committed = self.configurations.iter().rfind(|(index, _)| *index <= self.commit_index);
        committed.is_some_and(|(index, configuration)| {
            id.0 <= index.0 && configuration.member(id).is_none()
        })
    }

    fn send(&mut self, to: MemberId, body: Body) {
        self.out.messages.push(Message { from: self.id, to, term: self.term, body });
    }
}
