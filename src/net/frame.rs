//! Peer frames: what goes over a link between two nodes.
//!
//! A frame is a fixed prefix, an rkyv archive (the header), and the payloads of the entries that
//! the header describes, each padded to 16 bytes. A payload is sent from the buffer in which its
//! maker archived it and is kept by the receiver in the buffer of the frame: nobody copies or
//! decodes it on the way. The header has a checksum in the prefix; each payload has its own, made
//! once by the node whose clients wrote it and checked by every node that receives it.
//!
//! PURE. Nothing received is trusted: every length is bounded before memory is taken, every archive
//! validated before it is read; a frame that fails is a [`FrameError`], on which the link is
//! closed.

use std::sync::Arc;

use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};

use crate::engine::batch::ArchivedBatch;
use crate::limits::{APPEND_ENTRIES_MAX, FRAME_BYTES_MAX, FRAME_HEADER_BYTES_MAX, HELLO_BYTES_MAX};
use crate::raft::message::{Body, Message};
use crate::raft::types::{
    Boot, ClusterId, Entry, EntryBody, Index, MemberId, PAYLOAD_ALIGNMENT, Payload, Round, Seq,
    Term,
};
use crate::wire::WireConfiguration;

/// Version of everything that nodes say to each other. It stands in the prefix of every frame, so
/// that it is read before anything whose form depends on it; both sides must speak the same.
pub const PROTOCOL_VERSION: u32 = 2;

/// Bytes of the prefix; a multiple of the payload alignment, so that what follows is aligned.
pub const PREFIX_BYTES: usize = 32;

const MAGIC: u32 = u32::from_le_bytes(*b"MfP1");

/// Why a frame is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    #[error("not a peer frame")]
    Magic,
    #[error("version {0} of the protocol, and this node speaks version {PROTOCOL_VERSION}")]
    Version(u32),
    #[error("a hello of {0} bytes, more than the {HELLO_BYTES_MAX} that one may have")]
    HelloTooLong(usize),
    #[error("an append request of {0} entries, more than {APPEND_ENTRIES_MAX}")]
    TooManyEntries(usize),
    #[error("header of {0} bytes is over the limit")]
    HeaderTooLong(u32),
    #[error("frame of {0} bytes is over the limit")]
    FrameTooLong(u64),
    #[error("the checksum of the header does not match")]
    Checksum,
    #[error("the header is not a valid archive")]
    Archive,
    #[error("a payload does not lie in the frame or its checksum does not match")]
    Payload,
    #[error("a payload is not a batch of commands")]
    Batch,
}

/// The first frame of both sides of a link.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub purpose: Purpose,
    /// Fingerprint of the command table: command ids mean the same on both sides.
    pub commands: u64,
    pub cluster: ClusterId,
    pub slot: String,
    pub boot: Boot,
    pub member: u64,
    /// The member that the sender believes to talk to.
    pub to: u64,
}

/// What a link is for. Frames of the other purpose are out of place on it.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Consensus,
    /// Chunks of a snapshot and their acknowledgements, which must not delay consensus.
    Snapshot,
}

impl Purpose {
    pub fn name(self) -> &'static str {
        match self {
            Self::Consensus => "consensus",
            Self::Snapshot => "snapshot",
        }
    }
}

/// The answer to a [`Hello`] that is not accepted.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    /// What was expected and what came.
    pub reason: String,
}

#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    Version,
    Commands,
    Cluster,
    /// The dialler has reached itself.
    Itself,
    /// The hello is for another member than the one that got it.
    Addressee,
    /// The sender is no member as far as is known.
    Unknown,
    /// The sender was a member, and its removal is committed.
    Removed,
    Slot,
    Boot,
    /// Both sides dial each other, and the other's attempt goes on.
    Crossed,
}

/// What a frame says.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Hello(Hello),
    /// The link is closed after it.
    Refused(Refusal),
    Raft {
        cluster: ClusterId,
        message: Message,
    },
    Snapshot {
        cluster: ClusterId,
        message: SnapshotMessage,
    },
}

/// What members say about a snapshot on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMessage {
    pub from: MemberId,
    pub to: MemberId,
    /// The entry that the snapshot ends with: which one it is.
    pub last_index: Index,
    pub body: SnapshotBody,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotBody {
    /// One chunk; number 0 begins the snapshot, even if another was under way.
    Chunk { sequence: u64, payload: Payload },
    /// The receiver has read so many chunks.
    Read { chunks: u64 },
    /// The receiver could not read it or has no use for it.
    Refused,
}

#[derive(Archive, Serialize, Deserialize)]
enum Header {
    Hello(Hello),
    Refused(Refusal),
    Raft { cluster: ClusterId, from: u64, to: u64, term: u64, body: WireBody },
    Snapshot { cluster: ClusterId, from: u64, to: u64, last_index: u64, body: WireSnapshotBody },
}

#[derive(Archive, Serialize, Deserialize)]
enum WireSnapshotBody {
    Chunk { sequence: u64, payload: WirePayload },
    Read { chunks: u64 },
    Refused,
}

#[derive(Archive, Serialize, Deserialize)]
enum WireBody {
    PreVoteRequest {
        last_index: u64,
        last_term: u64,
    },
    PreVoteResponse {
        granted: bool,
    },
    VoteRequest {
        last_index: u64,
        last_term: u64,
        transfer: bool,
    },
    VoteResponse {
        granted: bool,
    },
    Append {
        prev_index: u64,
        prev_term: u64,
        commit_index: u64,
        round: u64,
        entries: Vec<WireEntry>,
    },
    AppendAccepted {
        match_index: u64,
        round: u64,
    },
    AppendRejected {
        prev_index: u64,
        hint_index: u64,
        hint_term: u64,
        round: u64,
    },
    Forward {
        stream: u16,
        seq: u64,
        payload: WirePayload,
    },
    ForwardExpected {
        stream: u16,
        expected: u64,
    },
    ReadIndexRequest {
        id: u64,
    },
    ReadIndexResponse {
        id: u64,
        index: u64,
        at_ms: u64,
    },
    TimeoutNow,
    SnapshotOffer {
        last_index: u64,
        last_term: u64,
    },
    SnapshotInstalled {
        last_index: u64,
    },
}

#[derive(Archive, Serialize, Deserialize)]
struct WireEntry {
    index: u64,
    term: u64,
    at_ms: u64,
    seed: u64,
    body: WireEntryBody,
}

#[derive(Archive, Serialize, Deserialize)]
enum WireEntryBody {
    Noop,
    Batch { origin: u64, stream: u16, seq: u64, payload: WirePayload },
    Configuration(WireConfiguration),
    Tick,
}

/// A payload follows the header, in the order in which headers name them.
#[derive(Archive, Serialize, Deserialize)]
struct WirePayload {
    len: u32,
    checksum: u32,
}

/// A frame ready to be sent: the bytes of prefix and header, then each payload padded to
/// [`PAYLOAD_ALIGNMENT`].
#[derive(Debug)]
pub struct Encoded {
    pub head: Vec<u8>,
    pub payloads: Vec<Payload>,
}

impl Encoded {
    pub fn bytes(&self) -> usize {
        self.head.len() + self.payloads.iter().map(|payload| padded(payload.len())).sum::<usize>()
    }
}

fn padded(len: usize) -> usize {
    len.next_multiple_of(PAYLOAD_ALIGNMENT)
}

pub fn encode_hello(hello: &Hello) -> Encoded {
    encode(&Header::Hello(hello.clone()), Vec::new())
}

pub fn encode_refused(refusal: Refusal) -> Encoded {
    encode(&Header::Refused(refusal), Vec::new())
}

pub fn encode_message(cluster: ClusterId, message: Message) -> Encoded {
    let mut payloads = Vec::new();
    let header = Header::Raft {
        cluster,
        from: message.from.0,
        to: message.to.0,
        term: message.term.0,
        body: wire_body(message.body, &mut payloads),
    };
    encode(&header, payloads)
}

pub fn encode_snapshot(cluster: ClusterId, message: SnapshotMessage) -> Encoded {
    let mut payloads = Vec::new();
    let header = Header::Snapshot {
        cluster,
        from: message.from.0,
        to: message.to.0,
        last_index: message.last_index.0,
        body: match message.body {
            SnapshotBody::Chunk { sequence, payload } => {
                WireSnapshotBody::Chunk { sequence, payload: wire_payload(payload, &mut payloads) }
            }
            SnapshotBody::Read { chunks } => WireSnapshotBody::Read { chunks },
            SnapshotBody::Refused => WireSnapshotBody::Refused,
        },
    };
    encode(&header, payloads)
}

fn encode(header: &Header, payloads: Vec<Payload>) -> Encoded {
    let archive = rkyv::to_bytes::<rkyv::rancor::Error>(header)
        .expect("invariant: headers hold plain numbers, strings and vectors");
    let payload_bytes: usize = payloads.iter().map(|payload| padded(payload.len())).sum();
    let header_len = u32::try_from(archive.len()).expect("invariant: headers are small");
    let mut head = Vec::with_capacity(PREFIX_BYTES + padded(archive.len()));
    head.extend_from_slice(&MAGIC.to_le_bytes());
    head.extend_from_slice(&header_len.to_le_bytes());
    head.extend_from_slice(&(payload_bytes as u64).to_le_bytes());
    head.extend_from_slice(&crc32fast::hash(&archive).to_le_bytes());
    // The group of the consensus: one today.
    head.extend_from_slice(&0_u32.to_le_bytes());
    head.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    head.resize(PREFIX_BYTES, 0);
    head.extend_from_slice(&archive);
    head.resize(PREFIX_BYTES + padded(archive.len()), 0);
    Encoded { head, payloads }
}

/// How long the frame is that begins with `prefix`, in bytes.
pub fn frame_bytes(prefix: &[u8; PREFIX_BYTES]) -> Result<usize, FrameError> {
    let word = |at: usize| u32::from_le_bytes(prefix[at..at + 4].try_into().expect("4 bytes"));
    if word(0) != MAGIC {
        return Err(FrameError::Magic);
    }
    if word(24) != PROTOCOL_VERSION {
        return Err(FrameError::Version(word(24)));
    }
    let header_len = word(4);
    if header_len as usize > FRAME_HEADER_BYTES_MAX {
        return Err(FrameError::HeaderTooLong(header_len));
    }
    let payload_bytes = u64::from(word(8)) | u64::from(word(12)) << 32;
    if payload_bytes > FRAME_BYTES_MAX as u64 {
        return Err(FrameError::FrameTooLong(payload_bytes));
    }
    Ok(PREFIX_BYTES + padded(header_len as usize) + payload_bytes as usize)
}

/// Reads a whole frame, whose length [`frame_bytes`] told.
pub fn decode(frame: AlignedVec) -> Result<Frame, FrameError> {
    let prefix = frame.first_chunk::<PREFIX_BYTES>().ok_or(FrameError::Magic)?;
    if frame_bytes(prefix)? != frame.len() {
        return Err(FrameError::Payload);
    }
    let header_len = u32::from_le_bytes(prefix[4..8].try_into().expect("4 bytes")) as usize;
    let checksum = u32::from_le_bytes(prefix[16..20].try_into().expect("4 bytes"));
    let frame = Arc::new(frame);
    let archive = &frame[PREFIX_BYTES..PREFIX_BYTES + header_len];
    if crc32fast::hash(archive) != checksum {
        return Err(FrameError::Checksum);
    }
    let archived = rkyv::access::<ArchivedHeader, rkyv::rancor::Failure>(archive)
        .map_err(|_| FrameError::Archive)?;
    let header = rkyv::deserialize::<Header, rkyv::rancor::Failure>(archived)
        .map_err(|_| FrameError::Archive)?;
    let mut payloads = Payloads { frame: &frame, next: PREFIX_BYTES + padded(header_len) };
    let decoded = match header {
        Header::Hello(hello) => Frame::Hello(hello),
        Header::Refused(refusal) => Frame::Refused(refusal),
        Header::Raft { cluster, from, to, term, body } => {
            let body = unwire_body(body, &mut payloads)?;
            let message =
                Message { from: MemberId(from), to: MemberId(to), term: Term(term), body };
            Frame::Raft { cluster, message }
        }
        Header::Snapshot { cluster, from, to, last_index, body } => {
            let body = match body {
                WireSnapshotBody::Chunk { sequence, payload } => {
                    SnapshotBody::Chunk { sequence, payload: payloads.take_unread(&payload)? }
                }
                WireSnapshotBody::Read { chunks } => SnapshotBody::Read { chunks },
                WireSnapshotBody::Refused => SnapshotBody::Refused,
            };
            let (from, to) = (MemberId(from), MemberId(to));
            let message = SnapshotMessage { from, to, last_index: Index(last_index), body };
            Frame::Snapshot { cluster, message }
        }
    };
    if payloads.next == frame.len() { Ok(decoded) } else { Err(FrameError::Payload) }
}

/// Takes the payloads of a frame one after the other.
struct Payloads<'a> {
    frame: &'a Arc<AlignedVec>,
    next: usize,
}

impl Payloads<'_> {
    /// A payload whose reader validates it.
    fn take_unread(&mut self, wire: &WirePayload) -> Result<Payload, FrameError> {
        let len = wire.len as usize;
        let payload = Payload::from_frame(self.frame, self.next, len, wire.checksum)
            .ok_or(FrameError::Payload)?;
        self.next += padded(len);
        Ok(payload)
    }

    /// The batch of an entry.
    fn take(&mut self, wire: &WirePayload) -> Result<Payload, FrameError> {
        let payload = self.take_unread(wire)?;
        if !payload.is_empty() {
            ArchivedBatch::validate(payload.as_slice()).map_err(|_| FrameError::Batch)?;
        }
        Ok(payload)
    }
}

fn wire_payload(payload: Payload, payloads: &mut Vec<Payload>) -> WirePayload {
    let len = u32::try_from(payload.len()).expect("invariant: batches are bounded");
    let wire = WirePayload { len, checksum: payload.checksum() };
    payloads.push(payload);
    wire
}

fn wire_body(body: Body, payloads: &mut Vec<Payload>) -> WireBody {
    match body {
        Body::PreVoteRequest { last_index, last_term } => {
            WireBody::PreVoteRequest { last_index: last_index.0, last_term: last_term.0 }
        }
        Body::PreVoteResponse { granted } => WireBody::PreVoteResponse { granted },
        Body::VoteRequest { last_index, last_term, transfer } => {
            WireBody::VoteRequest { last_index: last_index.0, last_term: last_term.0, transfer }
        }
        Body::VoteResponse { granted } => WireBody::VoteResponse { granted },
        Body::AppendRequest { prev_index, prev_term, commit_index, round, entries } => {
            WireBody::Append {
                prev_index: prev_index.0,
                prev_term: prev_term.0,
                commit_index: commit_index.0,
                round: round.0,
                entries: entries.into_iter().map(|entry| wire_entry(entry, payloads)).collect(),
            }
        }
        Body::AppendAccepted { match_index, round } => {
            WireBody::AppendAccepted { match_index: match_index.0, round: round.0 }
        }
        Body::AppendRejected { prev_index, hint_index, hint_term, round } => {
            WireBody::AppendRejected {
                prev_index: prev_index.0,
                hint_index: hint_index.0,
                hint_term: hint_term.0,
                round: round.0,
            }
        }
        Body::Forward { stream, seq, payload } => {
            WireBody::Forward { stream, seq: seq.0, payload: wire_payload(payload, payloads) }
        }
        Body::ForwardExpected { stream, expected } => {
            WireBody::ForwardExpected { stream, expected: expected.0 }
        }
        Body::ReadIndexRequest { id } => WireBody::ReadIndexRequest { id },
        Body::ReadIndexResponse { id, index, at_ms } => {
            WireBody::ReadIndexResponse { id, index: index.0, at_ms }
        }
        Body::TimeoutNow => WireBody::TimeoutNow,
        Body::SnapshotOffer { last_index, last_term } => {
            WireBody::SnapshotOffer { last_index: last_index.0, last_term: last_term.0 }
        }
        Body::SnapshotInstalled { last_index } => {
            WireBody::SnapshotInstalled { last_index: last_index.0 }
        }
    }
}

fn unwire_body(body: WireBody, payloads: &mut Payloads<'_>) -> Result<Body, FrameError> {
    Ok(match body {
        WireBody::PreVoteRequest { last_index, last_term } => {
            Body::PreVoteRequest { last_index: Index(last_index), last_term: Term(last_term) }
        }
        WireBody::PreVoteResponse { granted } => Body::PreVoteResponse { granted },
        WireBody::VoteRequest { last_index, last_term, transfer } => Body::VoteRequest {
            last_index: Index(last_index),
            last_term: Term(last_term),
            transfer,
        },
        WireBody::VoteResponse { granted } => Body::VoteResponse { granted },
        WireBody::Append { prev_index, prev_term, commit_index, round, entries } => {
            if entries.len() > APPEND_ENTRIES_MAX {
                return Err(FrameError::TooManyEntries(entries.len()));
            }
            let entries = entries.into_iter().map(|entry| unwire_entry(entry, payloads));
            Body::AppendRequest {
                prev_index: Index(prev_index),
                prev_term: Term(prev_term),
                commit_index: Index(commit_index),
                round: Round(round),
                entries: entries.collect::<Result<_, _>>()?,
            }
        }
        WireBody::AppendAccepted { match_index, round } => {
            Body::AppendAccepted { match_index: Index(match_index), round: Round(round) }
        }
        WireBody::AppendRejected { prev_index, hint_index, hint_term, round } => {
            Body::AppendRejected {
                prev_index: Index(prev_index),
                hint_index: Index(hint_index),
                hint_term: Term(hint_term),
                round: Round(round),
            }
        }
        WireBody::Forward { stream, seq, payload } => {
            Body::Forward { stream, seq: Seq(seq), payload: payloads.take(&payload)? }
        }
        WireBody::ForwardExpected { stream, expected } => {
            Body::ForwardExpected { stream, expected: Seq(expected) }
        }
        WireBody::ReadIndexRequest { id } => Body::ReadIndexRequest { id },
        WireBody::ReadIndexResponse { id, index, at_ms } => {
            Body::ReadIndexResponse { id, index: Index(index), at_ms }
        }
        WireBody::TimeoutNow => Body::TimeoutNow,
        WireBody::SnapshotOffer { last_index, last_term } => {
            Body::SnapshotOffer { last_index: Index(last_index), last_term: Term(last_term) }
        }
        WireBody::SnapshotInstalled { last_index } => {
            Body::SnapshotInstalled { last_index: Index(last_index) }
        }
    })
}

fn wire_entry(entry: Entry, payloads: &mut Vec<Payload>) -> WireEntry {
    let body = match entry.body {
        EntryBody::Noop => WireEntryBody::Noop,
        EntryBody::Tick => WireEntryBody::Tick,
        EntryBody::Batch { origin, stream, seq, payload } => WireEntryBody::Batch {
            origin: origin.0,
            stream,
            seq: seq.0,
            payload: wire_payload(payload, payloads),
        },
        EntryBody::Configuration(configuration) => {
            WireEntryBody::Configuration(WireConfiguration::from(&*configuration))
        }
    };
    WireEntry {
        index: entry.index.0,
        term: entry.term.0,
        at_ms: entry.at_ms,
        seed: entry.seed,
        body,
    }
}

fn unwire_entry(wire: WireEntry, payloads: &mut Payloads<'_>) -> Result<Entry, FrameError> {
    let body = match wire.body {
        WireEntryBody::Noop => EntryBody::Noop,
        WireEntryBody::Tick => EntryBody::Tick,
        WireEntryBody::Batch { origin, stream, seq, payload } => EntryBody::Batch {
            origin: MemberId(origin),
            stream,
            seq: Seq(seq),
            payload: payloads.take(&payload)?,
        },
        WireEntryBody::Configuration(configuration) => {
            EntryBody::Configuration(Arc::new(configuration.into()))
        }
    };
    Ok(Entry {
        index: Index(wire.index),
        term: Term(wire.term),
        at_ms: wire.at_ms,
        seed: wire.seed,
        body,
    })
}

impl Frame {
    /// For complaints about one that is out of place.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Refused(_) => "refusal",
            Self::Raft { .. } => "message of consensus",
            Self::Snapshot { .. } => "part of a snapshot",
        }
    }
}

/// Puts frames together from the pieces in which a connection delivers them.
pub struct FrameReader {
    /// The frame so far: its prefix first, then room for all of it.
    buffer: AlignedVec,
    /// Length of the frame once its prefix is known, in bytes.
    wanted: Option<usize>,
    expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Somebody unknown speaks: nothing but a hello or its refusal, both short.
    Hello,
    Anything,
}

impl FrameReader {
    /// For a link whose other side is known.
    pub fn for_frames() -> Self {
        Self { buffer: AlignedVec::new(), wanted: None, expected: Expected::Anything }
    }

    /// For one that is not greeted yet.
    pub fn for_hello() -> Self {
        Self { expected: Expected::Hello, ..Self::for_frames() }
    }

    /// Takes bytes from the front of `input` until a frame is complete or the input is used up.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<AlignedVec>, FrameError> {
        let Some(wanted) = self.fill_prefix(input)? else { return Ok(None) };
        self.take(input, wanted);
        if self.buffer.len() < wanted {
            return Ok(None);
        }
        self.wanted = None;
        Ok(Some(std::mem::take(&mut self.buffer)))
    }

    fn fill_prefix(&mut self, input: &mut &[u8]) -> Result<Option<usize>, FrameError> {
        if self.wanted.is_none() {
            self.take(input, PREFIX_BYTES);
            if let Some(prefix) = self.buffer.first_chunk::<PREFIX_BYTES>() {
                let wanted = frame_bytes(prefix)?;
                if self.expected == Expected::Hello && wanted > HELLO_BYTES_MAX {
                    return Err(FrameError::HelloTooLong(wanted));
                }
                // Memory is taken as bytes arrive, not as a peer announces them.
                self.buffer.reserve(wanted.min(1 << 20) - PREFIX_BYTES);
                self.wanted = Some(wanted);
            }
        }
        Ok(self.wanted)
    }

    fn take(&mut self, input: &mut &[u8], wanted: usize) {
        let count = (wanted - self.buffer.len()).min(input.len());
        let (taken, rest) = input.split_at(count);
        self.buffer.extend_from_slice(taken);
        *input = rest;
    }
}

#[cfg(test)]
mod tests;
