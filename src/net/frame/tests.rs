use super::*;
use crate::engine::batch::Batch;
use crate::raft::types::{Configuration, Member};

fn payload() -> Payload {
    Payload::new(Batch::default().to_archive())
}

fn member(id: u64) -> Member {
    Member {
        id: MemberId(id),
        slot: format!("slot-{id}"),
        boot: u128::from(id) << 70,
        client_address: "127.0.0.1:5001".to_owned(),
        peer_address: "127.0.0.1:15001".to_owned(),
        observer: id == 7,
    }
}

fn bodies() -> Vec<Body> {
    let entry = |index, body| Entry { index: Index(index), term: Term(3), at_ms: 5, seed: 6, body };
    let batch =
        EntryBody::Batch { origin: MemberId(2), stream: 1, seq: Seq(9), payload: payload() };
    let configuration = Configuration {
        voters: vec![MemberId(1), MemberId(2)],
        voters_outgoing: vec![MemberId(1)],
        learners: vec![MemberId(7)],
        members: vec![member(1), member(2), member(7)],
    };
    let entries = vec![
        entry(4, EntryBody::Noop),
        entry(5, batch.clone()),
        entry(6, EntryBody::Configuration(Arc::new(configuration))),
        entry(7, EntryBody::Tick),
        entry(8, batch),
    ];
    vec![
        Body::PreVoteRequest { last_index: Index(1), last_term: Term(2) },
        Body::PreVoteResponse { granted: true },
        Body::VoteRequest { last_index: Index(1), last_term: Term(2), transfer: true },
        Body::VoteResponse { granted: false },
        Body::AppendRequest {
            prev_index: Index(3),
            prev_term: Term(2),
            commit_index: Index(2),
            round: Round(8),
            entries,
        },
        Body::AppendAccepted { match_index: Index(1), round: Round(2) },
        Body::AppendRejected {
            prev_index: Index(1),
            hint_index: Index(2),
            hint_term: Term(3),
            round: Round(4),
        },
        Body::Forward { stream: 3, seq: Seq(4), payload: payload() },
        Body::ForwardExpected { stream: 3, expected: Seq(4) },
        Body::ReadIndexRequest { id: 9 },
        Body::ReadIndexResponse { id: 9, index: Index(2), at_ms: 77 },
        Body::TimeoutNow,
        Body::SnapshotOffer { last_index: Index(2), last_term: Term(1) },
        Body::SnapshotInstalled { last_index: Index(2) },
    ]
}

fn snapshot_bodies() -> Vec<SnapshotBody> {
    let mut chunk = AlignedVec::new();
    chunk.extend_from_slice(b"whatever its reader makes of it");
    vec![
        SnapshotBody::Chunk { sequence: 3, payload: Payload::new(chunk) },
        SnapshotBody::Read { chunks: 4 },
        SnapshotBody::Refused,
    ]
}

fn snapshot_message(body: SnapshotBody) -> SnapshotMessage {
    SnapshotMessage { from: MemberId(1), to: MemberId(2), last_index: Index(7), body }
}

fn flatten(encoded: &Encoded) -> Vec<u8> {
    let mut bytes = encoded.head.clone();
    for payload in &encoded.payloads {
        bytes.extend_from_slice(payload.as_slice());
        bytes.resize(bytes.len().next_multiple_of(PAYLOAD_ALIGNMENT), 0);
    }
    assert_eq!(bytes.len(), encoded.bytes());
    bytes
}

fn message(body: Body) -> Message {
    Message { from: MemberId(1), to: MemberId(2), term: Term(3), body }
}

fn read_all(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, FrameError> {
    let mut reader = FrameReader::for_frames();
    let mut frames = Vec::new();
    for mut input in bytes.chunks(piece) {
        while let Some(frame) = reader.read(&mut input)? {
            frames.push(decode(frame)?);
        }
    }
    Ok(frames)
}

#[test]
fn every_message_survives_the_wire_in_pieces_of_any_size() {
    let mut bytes = Vec::new();
    for body in bodies() {
        bytes.extend(flatten(&encode_message(11, message(body))));
    }
    for body in snapshot_bodies() {
        bytes.extend(flatten(&encode_snapshot(11, snapshot_message(body))));
    }
    for piece in [1, 7, 31, 32, 33, 1000, bytes.len()] {
        let frames = read_all(&bytes, piece).unwrap();
        let expected =
            bodies().into_iter().map(|body| Frame::Raft { cluster: 11, message: message(body) });
        let snapshots = snapshot_bodies()
            .into_iter()
            .map(|body| Frame::Snapshot { cluster: 11, message: snapshot_message(body) });
        assert_eq!(frames, expected.chain(snapshots).collect::<Vec<_>>());
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_harmless_and_never_a_panic() {
    let messages = bodies().into_iter().map(|body| encode_message(11, message(body)));
    let snapshots = snapshot_bodies().into_iter().map(|b| encode_snapshot(11, snapshot_message(b)));
    for encoded in messages.chain(snapshots) {
        let bytes = flatten(&encoded);
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << (position % 8);
            let mut aligned = AlignedVec::new();
            aligned.extend_from_slice(&damaged);
            // Only the padding and the unused bytes of the prefix are not covered by a checksum.
            let _ = decode(aligned);
        }
        let mut truncated = AlignedVec::new();
        truncated.extend_from_slice(&bytes[..bytes.len() - 1]);
        assert!(decode(truncated).is_err());
    }
}

#[test]
fn an_announced_length_over_the_limit_is_refused_before_memory_is_taken() {
    let refusal = Refusal { kind: RefusalKind::Unknown, reason: "no".to_owned() };
    let mut bytes = flatten(&encode_refused(refusal.clone()));
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut reader = FrameReader::for_frames();
    assert_eq!(reader.read(&mut &bytes[..]).err(), Some(FrameError::FrameTooLong(u64::MAX)));
    let mut bytes = flatten(&encode_refused(refusal));
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let refused = FrameReader::for_frames().read(&mut &bytes[..]).err();
    assert_eq!(refused, Some(FrameError::HeaderTooLong(u32::MAX)));
    let refused = FrameReader::for_frames().read(&mut &[b'x'; 40][..]).err();
    assert_eq!(refused, Some(FrameError::Magic));
}

#[test]
fn a_damaged_payload_is_refused() {
    let mut bytes = flatten(&encode_message(
        11,
        message(Body::Forward { stream: 0, seq: Seq(1), payload: payload() }),
    ));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    bytes[last - 15] ^= 1;
    let mut aligned = AlignedVec::new();
    aligned.extend_from_slice(&bytes);
    assert_eq!(decode(aligned), Err(FrameError::Payload));
}

#[test]
fn another_version_is_told_before_anything_of_the_frame_is_looked_at() {
    let mut bytes = flatten(&encode_message(11, message(Body::TimeoutNow)));
    bytes[24] = 9;
    // What follows the prefix may have any form in another version.
    bytes.truncate(PREFIX_BYTES);
    let refused = FrameReader::for_frames().read(&mut &bytes[..]).err();
    assert_eq!(refused, Some(FrameError::Version(9)));
}

#[test]
fn before_the_hello_no_frame_is_longer_than_one() {
    let mut payload = AlignedVec::new();
    payload.resize(HELLO_BYTES_MAX, 0);
    let body = SnapshotBody::Chunk { sequence: 0, payload: Payload::new(payload) };
    let bytes = flatten(&encode_snapshot(11, snapshot_message(body)));
    let refused = FrameReader::for_hello().read(&mut &bytes[..PREFIX_BYTES]).err();
    assert_eq!(refused, Some(FrameError::HelloTooLong(bytes.len())));
    assert!(FrameReader::for_frames().read(&mut &bytes[..]).unwrap().is_some());
}

#[test]
fn more_entries_than_a_request_may_have_are_refused() {
    let entry = |index| Entry {
        index: Index(index),
        term: Term(1),
        at_ms: 0,
        seed: 0,
        body: EntryBody::Noop,
    };
    let request = |count: usize| {
        let entries = (1..=count as u64).map(entry).collect();
        let (prev_index, prev_term) = (Index(0), Term(0));
        let (commit_index, round) = (Index(0), Round(0));
        let body = Body::AppendRequest { prev_index, prev_term, commit_index, round, entries };
        let mut aligned = AlignedVec::new();
        aligned.extend_from_slice(&flatten(&encode_message(11, message(body))));
        decode(aligned)
    };
    assert!(request(APPEND_ENTRIES_MAX).is_ok());
    let one_more = APPEND_ENTRIES_MAX + 1;
    assert_eq!(request(one_more), Err(FrameError::TooManyEntries(one_more)));
}
