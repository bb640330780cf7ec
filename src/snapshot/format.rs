//! What a chunk looks like, and the chunk of consensus.
//!
//! Records are columns, as in [`crate::engine::batch`]: `shape` holds words, `blob` the bytes of
//! keys and items, one after the other. A record is
//!
//! ```text
//! head         kind | encoding << 8 | database << 16 | flags << 24
//! key length
//! if FIRST:    deadline (2 words), version (2), of a stream its counters (10)
//! items        how many follow
//! per item     string, list, set: its length; hash: the lengths of field and value;
//!              sorted set: the length of the member, the bits of the score (2);
//!              stream: what it is, then
//!                entry: the id (4), the number of fields and values, the length of each
//!                group: the length of the name, the last id (4), the entries read (2)
//!                consumer of that group: the length of the name, when seen (2) and active (2)
//!                pending for that consumer: the id (4), when delivered (2), how often (2)
//! ```
//!
//! Numbers of 64 bits are two words, the low one first. The items of a string are its pieces.

use std::sync::Arc;

use rkyv::rend::u32_le;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};

use super::users::UsersRecord;
use crate::engine::types::hash::HashEncoding;
use crate::engine::types::set::SetEncoding;
use crate::engine::types::sorted_set::SortedSetEncoding;
use crate::raft::types::{Index, MemberId, Payload, Seq, Term};
use crate::raft::{SnapshotState, Watermark};
use crate::wire::WireConfiguration;

use super::import::ImportRecord;
use super::libraries::LibrariesSection;
use super::scripts::ScriptsSection;
use super::settings::SettingsRecord;

/// A chunk takes no further item once it holds so many bytes: some hundred thousand of them make up
/// a large keyspace, and one delays a heartbeat on the same link by a millisecond at most.
pub const CHUNK_BYTES: usize = 128 << 10;

/// What an archive takes beside its columns, generously.
const CHUNK_HEADER_BYTES: usize = 256;

/// Version of the format. A reader takes no other.
pub(super) const FORMAT: u32 = 8;

/// The place of the chunk of consensus in the sequence; the engine's follow.
const CONSENSUS_SEQUENCE: u64 = 0;

/// Where the sequence of the engine's chunks begins.
pub(super) const ENGINE_SEQUENCE: u64 = 1;

/// Indexes and terms beyond this are nonsense, as for consensus.
const NUMBER_MAX: u64 = 1 << 62;

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SnapshotError {
    #[error("a chunk is not a valid archive")]
    Archive,
    #[error("a chunk has format {0}, not {FORMAT}")]
    Format(u32),
    #[error("chunk {0} came where {1} was due")]
    Sequence(u64, u64),
    #[error("a chunk of another kind was due")]
    Kind,
    #[error("the words of a chunk do not add up")]
    Shape,
    #[error("a value that cannot be")]
    Value,
    #[error("a key is there twice")]
    Twice,
    #[error("the snapshot ends early or does not end")]
    Incomplete,
}

#[derive(Archive, Serialize)]
pub(super) struct Chunk {
    pub format: u32,
    pub sequence: u64,
    pub content: Content,
}

#[derive(Archive, Serialize)]
pub(super) enum Content {
    Consensus(Consensus),
    Engine(EngineHead),
    /// Behind the head, before all records.
    Scripts(ScriptsSection),
    /// Behind the head, before all records.
    Libraries(LibrariesSection),
    Records(Records),
    End {
        keys: u64,
    },
}

#[derive(Archive, Serialize)]
pub(super) struct EngineHead {
    pub hash_seed: u64,
    pub clock_ms: u64,
    pub applied_index: u64,
    pub register: Vec<u8>,
    pub has_active_expire: bool,
    pub watching: Vec<WatchRecord>,
    pub waiting: Vec<WaitRecord>,
    /// The number of the next client that waits.
    pub next_wait: u64,
    pub settings: SettingsRecord,
    pub users: UsersRecord,
    pub import: Box<ImportRecord>,
}

/// A client that waits.
#[derive(Archive, Serialize)]
pub(super) struct WaitRecord {
    pub number: u64,
    pub member: u64,
    pub session: u64,
    pub is_resp3: bool,
    pub database: u8,
    pub command: u16,
    pub arguments: Vec<Vec<u8>>,
    pub keys: Vec<Vec<u8>>,
    pub deadline_ms: u64,
}

/// What a session watches.
#[derive(Archive, Serialize)]
pub(super) struct WatchRecord {
    pub member: u64,
    pub session: u64,
    pub dirty: bool,
    /// Database and key.
    pub keys: Vec<(u8, Vec<u8>)>,
}

#[derive(Archive, Serialize, Default)]
pub(super) struct Records {
    pub shape: Vec<u32_le>,
    pub blob: Vec<u8>,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Consensus {
    last_index: u64,
    last_term: u64,
    last_at_ms: u64,
    configuration: WireConfiguration,
    /// Origin, stream, sequence number.
    watermarks: Vec<(u64, u16, u64)>,
}

/// The record is the first of its key.
pub(super) const FIRST: u8 = 1;
/// More items of the key follow in the next record.
pub(super) const GOES_ON: u8 = 2;

/// What an item of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamItem {
    Entry = 0,
    Group = 1,
    Consumer = 2,
    Pending = 3,
}

impl StreamItem {
    pub fn from_word(word: u32) -> Option<Self> {
        let all = [Self::Entry, Self::Group, Self::Consumer, Self::Pending];
        all.into_iter().find(|item| *item as u32 == word)
    }
}

/// Stands for a count or a time of a stream that is not known.
pub(super) const UNKNOWN: u64 = u64::MAX;

/// The type of a value with its encoding, as the head of a record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    /// A string that was changed in place.
    GrowingString,
    List,
    Set(SetEncoding),
    Hash(HashEncoding),
    /// A hash of which some field expires.
    ExpiringHash(HashEncoding),
    SortedSet(SortedSetEncoding),
    Stream,
}

const KINDS: [(u16, Kind); 13] = [
    (0x0000, Kind::String),
    (0x0100, Kind::GrowingString),
    (0x0001, Kind::List),
    (0x0002, Kind::Set(SetEncoding::Intset)),
    (0x0102, Kind::Set(SetEncoding::Listpack)),
    (0x0202, Kind::Set(SetEncoding::Hashtable)),
    (0x0003, Kind::Hash(HashEncoding::Listpack)),
    (0x0103, Kind::Hash(HashEncoding::Hashtable)),
    (0x0203, Kind::ExpiringHash(HashEncoding::Listpack)),
    (0x0303, Kind::ExpiringHash(HashEncoding::Hashtable)),
    (0x0004, Kind::SortedSet(SortedSetEncoding::Listpack)),
    (0x0104, Kind::SortedSet(SortedSetEncoding::Skiplist)),
    (0x0005, Kind::Stream),
];

/// The first word of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub kind: Kind,
    pub database: u8,
    pub flags: u8,
}

impl Head {
    pub fn to_word(self) -> u32 {
        let found = KINDS.iter().find(|(_, kind)| *kind == self.kind);
        let (code, _) = found.expect("invariant: every kind has a code");
        u32::from(*code) | u32::from(self.database) << 16 | u32::from(self.flags) << 24
    }

    pub fn from_word(word: u32) -> Option<Self> {
        let (_, kind) = KINDS.iter().find(|(code, _)| *code == word as u16)?;
        Some(Self { kind: *kind, database: (word >> 16) as u8, flags: (word >> 24) as u8 })
    }
}

/// A chunk, and its content to be used again.
pub(super) fn archive(sequence: u64, content: Content) -> (Payload, Content) {
    let room = match &content {
        Content::Records(records) => records.bytes() + CHUNK_HEADER_BYTES,
        _ => 0,
    };
    let chunk = Chunk { format: FORMAT, sequence, content };
    let buffer = AlignedVec::with_capacity(room);
    let buffer = rkyv::api::high::to_bytes_in::<_, rkyv::rancor::Error>(&chunk, buffer)
        .expect("invariant: plain numbers, strings and vectors always archive");
    (Payload::new(buffer), chunk.content)
}

impl Records {
    pub fn bytes(&self) -> usize {
        self.shape.len() * size_of::<u32_le>() + self.blob.len()
    }
}

/// Checks the archive and its place in the sequence.
pub(super) fn access(bytes: &[u8], due: u64) -> Result<&ArchivedContent, SnapshotError> {
    let chunk = rkyv::access::<ArchivedChunk, rkyv::rancor::Failure>(bytes)
        .map_err(|_| SnapshotError::Archive)?;
    let (format, sequence) = (chunk.format.to_native(), chunk.sequence.to_native());
    if format != FORMAT {
        return Err(SnapshotError::Format(format));
    }
    if sequence != due {
        return Err(SnapshotError::Sequence(sequence, due));
    }
    Ok(&chunk.content)
}

/// The first chunk of a snapshot.
pub fn write_consensus(state: &SnapshotState) -> Payload {
    let mark = |mark: &Watermark| (mark.origin.0, mark.stream, mark.seq.0);
    let consensus = Consensus {
        last_index: state.last_index.0,
        last_term: state.last_term.0,
        last_at_ms: state.last_at_ms,
        configuration: WireConfiguration::from(&*state.configuration),
        watermarks: state.watermarks.iter().map(mark).collect(),
    };
    archive(CONSENSUS_SEQUENCE, Content::Consensus(consensus)).0
}

/// Reads the first chunk of a snapshot.
pub fn read_consensus(bytes: &[u8]) -> Result<SnapshotState, SnapshotError> {
    let ArchivedContent::Consensus(archived) = access(bytes, CONSENSUS_SEQUENCE)? else {
        return Err(SnapshotError::Kind);
    };
    let consensus = rkyv::deserialize::<Consensus, rkyv::rancor::Failure>(archived)
        .map_err(|_| SnapshotError::Archive)?;
    let numbers = [consensus.last_index, consensus.last_term];
    if !numbers.iter().all(|number| (1..NUMBER_MAX).contains(number)) {
        return Err(SnapshotError::Value);
    }
    let mark = |(origin, stream, seq): (u64, u16, u64)| Watermark {
        origin: MemberId(origin),
        stream,
        seq: Seq(seq),
    };
    Ok(SnapshotState {
        last_index: Index(consensus.last_index),
        last_term: Term(consensus.last_term),
        last_at_ms: consensus.last_at_ms,
        configuration: Arc::new(consensus.configuration.into()),
        watermarks: consensus.watermarks.into_iter().map(mark).collect(),
    })
}
