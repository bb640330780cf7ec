//! Bytes of a peer: frames, and what they say to a live member; the greeting of a link.

use mayfly::engine::batch::Batch;
use mayfly::engine::command::{lookup, table};
use mayfly::net::frame::{
    Encoded, Frame, FrameReader, Hello, PREFIX_BYTES, Purpose, Refusal, RefusalKind, SnapshotBody,
    SnapshotMessage, decode, encode_hello, encode_message, encode_refused, encode_snapshot,
};
use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{EntryBody, Index, MemberId, Payload, Round, Seq, Term};

use super::consensus::{Cluster, entry, three_voters};
use super::input::{Input, aligned};

const CLUSTER: u128 = 77;

/// Frames of one input.
const FRAMES_MAX: usize = 16;

/// What to do with the bytes, by the first of them.
const SEALED: u8 = 1;

/// The bytes of a frame as it goes over the wire.
fn bytes_of(encoded: &Encoded) -> Vec<u8> {
    let mut bytes = encoded.head.clone();
    for payload in &encoded.payloads {
        bytes.extend_from_slice(payload.as_slice());
        bytes.resize(bytes.len().next_multiple_of(16), 0);
    }
    bytes
}

/// Writes the checksum and the lengths of the first frame anew, so that damage behind them is seen
/// by what comes after their check.
fn seal(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    let real =
        bytes_of(&encode_refused(Refusal { kind: RefusalKind::Slot, reason: String::new() }));
    if sealed.len() < PREFIX_BYTES + 16 {
        return sealed;
    }
    // Magic, group and version as they must be.
    sealed[..4].copy_from_slice(&real[..4]);
    sealed[20..PREFIX_BYTES].copy_from_slice(&real[20..PREFIX_BYTES]);
    let behind = sealed.len() - PREFIX_BYTES;
    let announced = u32::from_le_bytes([sealed[4], sealed[5], sealed[6], sealed[7]]) as usize;
    let header_len = announced.min(behind);
    let payload_bytes = behind.saturating_sub(header_len.next_multiple_of(16));
    let checksum = crc32fast::hash(&sealed[PREFIX_BYTES..PREFIX_BYTES + header_len]);
    sealed[4..8].copy_from_slice(&(header_len as u32).to_le_bytes());
    sealed[8..16].copy_from_slice(&(payload_bytes as u64).to_le_bytes());
    sealed[16..20].copy_from_slice(&checksum.to_le_bytes());
    sealed
}

/// Everything that the bytes are frames of, received in pieces of `step` bytes.
fn frames(bytes: &[u8], step: usize, mut reader: FrameReader) -> Vec<Frame> {
    let mut frames = Vec::new();
    for piece in bytes.chunks(step) {
        let mut piece = piece;
        while !piece.is_empty() && frames.len() < FRAMES_MAX {
            match reader.read(&mut piece) {
                Ok(Some(frame)) => match decode(frame) {
                    Ok(frame) => frames.push(frame),
                    Err(error) => {
                        assert!(!error.to_string().is_empty());
                        return frames;
                    }
                },
                Ok(None) => {}
                Err(_) => return frames,
            }
        }
    }
    frames
}

fn read_back(encoded: &Encoded) -> Frame {
    decode(aligned(&bytes_of(encoded))).expect("what was encoded is decoded")
}

/// First whether to seal the rest, then into how small pieces it is cut.
pub fn peer_frame(data: &[u8]) {
    let mut input = Input::new(data);
    let seals = input.byte() == SEALED;
    let step = 1 + usize::from(input.byte()) * 8;
    let bytes = match seals {
        true => seal(input.rest()),
        false => input.rest().to_vec(),
    };
    let mut members = None;
    for frame in frames(&bytes, step, FrameReader::for_frames()) {
        match frame {
            Frame::Raft { cluster, message } => {
                let told = read_back(&encode_message(cluster, message.clone()));
                assert_eq!(told, Frame::Raft { cluster, message: message.clone() });
                let members = members.get_or_insert_with(three_voters);
                say_to_all(members, &message);
            }
            Frame::Snapshot { cluster, message } => {
                let told = read_back(&encode_snapshot(cluster, message.clone()));
                assert_eq!(told, Frame::Snapshot { cluster, message });
            }
            // Out of place, which a link tells by their kind.
            Frame::Hello(_) | Frame::Refused(_) => {}
        }
    }
    if let Some(mut members) = members {
        members.run(5);
    }
}

/// To each member, as if it were the one addressed, from the sender and from each other member.
fn say_to_all(members: &mut Cluster, message: &Message) {
    for to in 1..=3 {
        members.step(Message { to: MemberId(to), ..message.clone() });
        let from = MemberId(1 + to % 3);
        members.step(Message { to: MemberId(to), from, ..message.clone() });
    }
}

/// As [`peer_frame`], of a connection that nobody has greeted yet.
pub fn handshake(data: &[u8]) {
    let mut input = Input::new(data);
    let seals = input.byte() == SEALED;
    let step = 1 + usize::from(input.byte()) * 8;
    let bytes = match seals {
        true => seal(input.rest()),
        false => input.rest().to_vec(),
    };
    let whole = frames(&bytes, bytes.len().max(1), FrameReader::for_hello());
    let pieces = frames(&bytes, step, FrameReader::for_hello());
    assert_eq!(whole, pieces, "in pieces of {step}");
    for frame in whole {
        match &frame {
            Frame::Hello(hello) => assert_eq!(read_back(&encode_hello(hello)), frame),
            Frame::Refused(refusal) => {
                assert_eq!(read_back(&encode_refused(refusal.clone())), frame);
            }
            Frame::Raft { .. } | Frame::Snapshot { .. } => assert!(!frame.name().is_empty()),
        }
    }
}

fn as_seeds(encoded: Vec<Encoded>) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let all: Vec<Vec<u8>> = encoded.iter().map(bytes_of).collect();
    for bytes in &all {
        seeds.push([&[0, 9], bytes.as_slice()].concat());
        seeds.push([&[SEALED, 255], bytes.as_slice()].concat());
    }
    seeds.push([&[0, 1], all.concat().as_slice()].concat());
    seeds
}

pub fn handshake_seeds() -> Vec<Vec<u8>> {
    let hello = |purpose, slot: &str| Hello {
        purpose,
        commands: table::fingerprint(),
        cluster: CLUSTER,
        slot: slot.to_owned(),
        boot: 9,
        member: 3,
        to: 1,
    };
    let refusal = |kind, reason: &str| Refusal { kind, reason: reason.to_owned() };
    as_seeds(vec![
        encode_hello(&hello(Purpose::Consensus, "slot")),
        encode_hello(&hello(Purpose::Snapshot, &"a long name".repeat(200))),
        encode_refused(refusal(RefusalKind::Removed, "3 is no member any more")),
        encode_refused(refusal(RefusalKind::Version, "")),
        encode_message(CLUSTER, message(Body::TimeoutNow)),
    ])
}

fn message(body: Body) -> Message {
    Message { from: MemberId(1), to: MemberId(2), term: Term(2), body }
}

fn batch() -> Payload {
    let mut batch = Batch::default();
    batch.push(lookup(b"set").expect("it is there"), 0, &[b"key", b"value"]);
    Payload::new(batch.to_archive())
}

pub fn peer_frame_seeds() -> Vec<Vec<u8>> {
    let configuration = super::consensus::configuration(&[1, 2, 3, 9], &[1, 2], &[4]);
    let entries = vec![
        entry(8, 2, EntryBody::Noop),
        entry(
            9,
            2,
            EntryBody::Batch { origin: MemberId(1), stream: 0, seq: Seq(1), payload: batch() },
        ),
        entry(10, 2, EntryBody::Configuration(configuration.into())),
        entry(11, 2, EntryBody::Tick),
    ];
    let (last_index, last_term) = (Index(9), Term(2));
    let bodies = vec![
        Body::PreVoteRequest { last_index, last_term },
        Body::PreVoteResponse { granted: true },
        Body::VoteRequest { last_index, last_term, transfer: true },
        Body::VoteResponse { granted: true },
        Body::AppendRequest {
            prev_index: Index(3),
            prev_term: Term(1),
            commit_index: Index(9),
            round: Round(2),
            entries,
        },
        Body::AppendAccepted { match_index: last_index, round: Round(1) },
        Body::AppendRejected {
            prev_index: Index(9),
            hint_index: Index(3),
            hint_term: Term(1),
            round: Round(1),
        },
        Body::Forward { stream: 1, seq: Seq(1), payload: batch() },
        Body::ForwardExpected { stream: 1, expected: Seq(2) },
        Body::ReadIndexRequest { id: 3 },
        Body::ReadIndexResponse { id: 3, index: last_index, at_ms: 5 },
        Body::TimeoutNow,
        Body::SnapshotOffer { last_index, last_term },
        Body::SnapshotInstalled { last_index },
    ];
    let mut encoded: Vec<Encoded> =
        bodies.into_iter().map(|body| encode_message(CLUSTER, message(body))).collect();
    for body in [
        SnapshotBody::Chunk { sequence: 0, payload: batch() },
        SnapshotBody::Read { chunks: 7 },
        SnapshotBody::Refused,
    ] {
        let (from, to) = (MemberId(1), MemberId(2));
        encoded.push(encode_snapshot(CLUSTER, SnapshotMessage { from, to, last_index, body }));
    }
    as_seeds(encoded)
}
