//! What the simulator asks of an implementation of consensus.
//!
//! Its own words are few: those of Mayfly's core for terms, indexes, members, entries and
//! configurations, since every Raft has these. Messages are opaque: the simulator carries them and
//! never looks inside. What an implementation cannot do it says in [`Consensus::SUPPORTS`], and
//! scenarios keep to that. The invariants are stated over [`View`], [`Consensus::entry`],
//! [`Consensus::configuration`] and [`Effects`] alone.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use mayfly::raft::types::{
    Applicant, ClusterId, Configuration, Entry, Index, Member, MemberId, Payload, Stream, Term,
    Ticket,
};
use mayfly::raft::{Committed, Config, FreshNode, GivenUp, LogId, Now, ReadReady, SnapshotState};

/// What an implementation can do beyond elections, replication and reads.
#[derive(Clone, Copy, Debug)]
pub struct Supports {
    /// Processes are admitted, swapped for their predecessors and removed: so a process may die.
    pub membership: bool,
    /// The log is compacted, and snapshots are installed.
    pub snapshots: bool,
    pub transfer: bool,
    /// Each submitted batch is committed at most once, in the order of its stream, whatever the
    /// network does; what is given up as never sent is never committed.
    pub exactly_once: bool,
    /// A survivor of a lost quorum can be told to go on alone.
    pub recovery: bool,
}

/// How a member comes to be.
#[derive(Clone, Debug)]
pub enum Birth<'a> {
    /// One of those that found a cluster together: ids 1 to n, in the order of `founders`, all of
    /// them voters.
    Founder { cluster: ClusterId, id: MemberId, founders: &'a [FreshNode] },
    /// The only founder, which others join. Needs [`Supports::membership`].
    Alone(Member),
    /// Admitted by the entry whose index is the id. Needs [`Supports::membership`].
    Learner(MemberId),
}

/// What the checker sees of a member at any moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    pub id: MemberId,
    pub term: Term,
    pub voted_for: Option<MemberId>,
    pub is_leader: bool,
    pub commit_index: Index,
    /// The last entry that came out as committed, or that a snapshot stands for.
    pub handed_out_index: Index,
    /// The first entry that the log holds, or the next one if it holds none.
    pub first_index: Index,
    pub last_index: Index,
}

/// What a pass has brought.
#[derive(Debug)]
pub struct Effects<M> {
    pub messages: Vec<M>,
    /// In log order, each entry once.
    pub committed: Vec<Committed>,
    pub reads: Vec<ReadReady>,
    pub given_up: Vec<GivenUp>,
    /// Peers that need a snapshot to go on.
    pub snapshots_wanted: Vec<MemberId>,
}

impl<M> Default for Effects<M> {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            committed: Vec::new(),
            reads: Vec::new(),
            given_up: Vec::new(),
            snapshots_wanted: Vec::new(),
        }
    }
}

/// One member. It knows no clock and no network of its own.
pub trait Consensus: Debug + Sized {
    type Message: Clone + Debug;

    const SUPPORTS: Supports;

    fn start(config: Config, birth: Birth<'_>, now: Now) -> Self;

    /// Tells the time; neither of the clocks need be even, and that of the world may go back.
    fn set_now(&mut self, now: Now);
    /// Does what is due by now. Called once per pass.
    fn tick(&mut self);
    fn step(&mut self, message: Self::Message);
    /// A batch of this member's clients. It ends as a committed entry with its ticket, or given up.
    fn submit(&mut self, stream: Stream, ticket: Ticket, payload: Payload);
    /// A read of this member's clients. It ends with its index, or given up.
    fn submit_read(&mut self, stream: Stream, ticket: Ticket);
    /// Concludes the pass: overwrites `effects`. False when there was nothing to conclude.
    fn take_effects(&mut self, effects: &mut Effects<Self::Message>) -> bool;
    /// The connection to a peer broke, or is new.
    fn peer_unreachable(&mut self, id: MemberId);
    fn peer_connected(&mut self, id: MemberId);
    /// Campaigns at once. Whether it does.
    fn campaign(&mut self) -> bool;

    fn view(&self) -> View;
    /// The entry at `index`, while the log holds it.
    fn entry(&self, index: Index) -> Option<Cow<'_, Entry>>;
    /// The configuration in force.
    fn configuration(&self) -> &Arc<Configuration>;

    fn receiver(message: &Self::Message) -> MemberId;
    /// Equal for equal messages, and in every run of a seed.
    fn fingerprint(message: &Self::Message) -> u64;

    // Needs `Supports::snapshots`.

    /// Drops the log up to an entry that was handed out.
    fn compact(&mut self, _through: Index) {}
    /// What a snapshot of the state after `last_index` must carry; `None` when that is not known.
    fn snapshot(&self, _last_index: Index) -> Option<SnapshotState> {
        None
    }
    /// Goes on from a snapshot that was received whole. False: it must not be loaded.
    fn install(&mut self, _state: SnapshotState) -> bool {
        false
    }
    /// The snapshot for `id` could not be sent or loaded.
    fn snapshot_failed(&mut self, _id: MemberId) {}

    // Needs `Supports::transfer`. Whether it was begun.
    fn transfer(&mut self, _target: Option<MemberId>) -> bool {
        false
    }

    // Needs `Supports::membership`.

    /// The index that is the id of the applicant once its entry is committed; `None`: refused.
    fn admit(&mut self, _applicant: Applicant) -> Option<Index> {
        None
    }
    /// Whether the change was begun.
    fn remove(&mut self, _id: MemberId) -> bool {
        false
    }
    /// An entry that only moves the clock on.
    fn tick_entry(&mut self) {}
    /// Whether a configuration change goes on or is due, as far as this member knows.
    fn is_changing(&self) -> bool {
        false
    }

    // Needs `Supports::recovery`.

    /// Who founded the cluster, as long as nobody else has joined.
    fn founders(&self) -> Vec<FreshNode> {
        Vec::new()
    }

    fn is_quorum_lost(&self) -> bool {
        false
    }
    fn last_log_id(&self) -> LogId {
        LogId::default()
    }
    /// Goes on alone, in a cluster of its own; the index of the configuration that says so.
    fn force_recover(&mut self, _last: LogId) -> Option<Index> {
        None
    }
}
