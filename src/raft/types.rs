//! The words of consensus as types: mixing a term with an index does not compile.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rkyv::util::AlignedVec;

use super::MEMBERS_MAX;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A Raft term (Raft 5.1). 0 is before every election.
    Term
}
number! {
    /// A position in the log, from 1 on. 0 is "before the log".
    Index
}
number! {
    /// A member of the cluster: the log index of the committed entry that admitted it, so that no
    /// id ever recurs. 0 is "none yet"; the node that creates a cluster is member 1, whose own
    /// admission is entry 1, and `n` nodes that create it together are 1 to `n`, in a log that
    /// begins with an entry for each.
    MemberId
}
number! {
    /// Position of a batch in its stream, from 1 on without a gap. Each stands in the log at most
    /// once, which is what makes a command run exactly once.
    Seq
}
number! {
    /// A node-local name for something a net role has submitted, growing per stream and never used
    /// twice, unlike a [`Seq`]. It never leaves the node.
    Ticket
}
number! {
    /// A read round of a leader (dissertation 6.4): grows by one for each confirmation of
    /// leadership asked of the peers, and is never reused within a term.
    Round
}

impl MemberId {
    pub const NONE: Self = Self(0);

    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl Index {
    pub const ZERO: Self = Self(0);

    /// Precondition: not 0.
    pub fn previous(self) -> Self {
        assert!(self.0 > 0);
        Self(self.0 - 1)
    }
}

/// Which net role of a node a batch came from.
pub type Stream = u16;

/// Milliseconds: of the monotonic clock for time-outs, since the Unix epoch for `at_ms`.
pub type Millis = u64;

/// Random number drawn by a process at its start; names one life of a node.
pub type Boot = u128;

/// Random number drawn when a cluster is created.
pub type ClusterId = u128;

/// Alignment of every payload in memory and on the wire, in bytes: what an rkyv archive may need.
pub const PAYLOAD_ALIGNMENT: usize = 16;

/// The opaque content of an entry: a slice of a shared, 16-byte aligned buffer.
///
/// Made once, it is sent to every peer from this buffer; a follower's payloads are slices of the
/// frame that brought them. Cloning copies a reference.
#[derive(Clone)]
pub struct Payload {
    buffer: Arc<AlignedVec>,
    start: usize,
    len: usize,
    checksum: u32,
}

impl Payload {
    /// The whole of `buffer`, with its checksum computed here: once in the life of the bytes.
    pub fn new(buffer: AlignedVec) -> Self {
        let len = buffer.len();
        let checksum = crc32fast::hash(&buffer);
        Self { buffer: Arc::new(buffer), start: 0, len, checksum }
    }

    pub fn empty() -> Self {
        Self::new(AlignedVec::new())
    }

    /// A part of a received frame. `None` when the part leaves the buffer, is not aligned, or does
    /// not have the checksum that its maker gave it.
    pub fn from_frame(
        buffer: &Arc<AlignedVec>,
        start: usize,
        len: usize,
        checksum: u32,
    ) -> Option<Self> {
        let bytes = buffer.get(start..start.checked_add(len)?)?;
        if !start.is_multiple_of(PAYLOAD_ALIGNMENT) || crc32fast::hash(bytes) != checksum {
            return None;
        }
        Some(Self { buffer: Arc::clone(buffer), start, len, checksum })
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.len]
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// CRC-32 of the bytes.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Payload {}

impl Hash for Payload {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes, crc {:08x})", self.len, self.checksum)
    }
}

/// Who is in the cluster. Active from the moment it is appended (dissertation 4.1), so a truncated
/// configuration entry takes its effect back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// The voters; of a joint configuration those of the new half (C_new).
    pub voters: Vec<MemberId>,
    /// The voters of the old half (C_old); empty unless joint.
    pub voters_outgoing: Vec<MemberId>,
    /// Members that receive the log and are not counted.
    pub learners: Vec<MemberId>,
    /// What is known of each member named above, sorted by id.
    pub members: Vec<Member>,
}

/// A process of the cluster as its admission entry describes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    pub id: MemberId,
    /// The stable name whose place this process takes.
    pub slot: String,
    pub boot: Boot,
    /// `host:port` where its clients connect.
    pub client_address: String,
    /// `host:port` where its peers connect.
    pub peer_address: String,
    /// It serves clients as the voters do, but is a learner for good: never promoted nor counted.
    pub observer: bool,
}

/// A process that asks to be admitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Applicant {
    /// The stable name whose place it takes.
    pub slot: String,
    pub boot: Boot,
    /// `host:port` where its clients connect.
    pub client_address: String,
    /// `host:port` where its peers connect.
    pub peer_address: String,
    /// Whether it is to remain a learner.
    pub observer: bool,
}

impl Applicant {
    /// What it becomes when it is admitted by the entry at `id`.
    pub fn admitted(self, id: MemberId) -> Member {
        let Self { slot, boot, client_address, peer_address, observer } = self;
        Member { id, slot, boot, client_address, peer_address, observer }
    }
}

impl Member {
    /// About what it takes, in memory and on the wire.
    fn bytes(&self) -> usize {
        128 + self.slot.len() + self.client_address.len() + self.peer_address.len()
    }
}

impl Configuration {
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    pub fn is_voter(&self, id: MemberId) -> bool {
        self.voters.contains(&id) || self.voters_outgoing.contains(&id)
    }

    /// Whether a leader can have made it: who is named is a member, each once, and all are no more
    /// than a configuration has room for.
    pub(super) fn is_sound(&self) -> bool {
        let are_members = |ids: &[MemberId]| {
            let is_new = |at: usize| !ids[..at].contains(&ids[at]);
            ids.iter().all(|id| self.member(*id).is_some()) && (0..ids.len()).all(is_new)
        };
        self.members.len() <= MEMBERS_MAX
            && self.members.windows(2).all(|pair| pair[0].id < pair[1].id)
            && [&self.voters, &self.voters_outgoing, &self.learners]
                .into_iter()
                .all(|ids| are_members(ids))
    }

    pub fn is_learner(&self, id: MemberId) -> bool {
        self.learners.contains(&id)
    }

    pub fn is_observer(&self, id: MemberId) -> bool {
        self.member(id).is_some_and(|member| member.observer)
    }

    /// Whether `id` may have clients: a learner that is to become a voter has none yet.
    pub fn may_serve(&self, id: MemberId) -> bool {
        self.is_voter(id) || self.is_observer(id)
    }

    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub index: Index,
    pub term: Term,
    /// The leader's clock when it appended, since the Unix epoch. Never decreases along the log.
    pub at_ms: Millis,
    /// Seeds whatever is random in the application of this entry.
    pub seed: u64,
    pub body: EntryBody,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EntryBody {
    /// Appended by a new leader, so that it can commit what earlier terms left (Raft 5.4.2, 8).
    Noop,
    /// The writes of one pass of one net role.
    Batch { origin: MemberId, stream: Stream, seq: Seq, payload: Payload },
    /// A membership change.
    Configuration(Arc<Configuration>),
    /// Moves the clock on when keys are due and nothing else does.
    Tick,
}

/// Bytes that an entry is counted with beyond its payload: its header in memory and on the wire.
pub const ENTRY_HEADER_BYTES: usize = 96;

impl Entry {
    /// What the entry counts against the byte budgets of windows and of the log.
    pub fn bytes(&self) -> usize {
        match &self.body {
            EntryBody::Batch { payload, .. } => ENTRY_HEADER_BYTES + payload.len(),
            _ => self.header_bytes(),
        }
    }

    /// The part of these that travels in the header of a frame: all but the payload.
    pub fn header_bytes(&self) -> usize {
        match &self.body {
            EntryBody::Configuration(configuration) => {
                ENTRY_HEADER_BYTES + configuration.members.iter().map(Member::bytes).sum::<usize>()
            }
            EntryBody::Batch { .. } | EntryBody::Noop | EntryBody::Tick => ENTRY_HEADER_BYTES,
        }
    }
}
