use super::*;
use crate::raft::message::{Body, Message};
use crate::raft::types::{Applicant, Member, Round, Term};
use crate::raft::{Config, Now};

/// No member.
const STRANGER: MemberId = MemberId(77);
const ME: MemberId = MemberId(1);

fn at(monotonic_ms: Millis) -> Now {
    Now { monotonic_ms, unix_ms: 1_000_000 + monotonic_ms }
}

/// A leader whose log is compacted, and a learner that has said that it has nothing of it.
fn leader_with_a_learner_behind() -> Raft {
    let config = Config {
        election_timeout_ms: 1000,
        heartbeat_interval_ms: 50,
        append_bytes_max: 1 << 20,
        inflight_messages_max: 8,
        inflight_bytes_max: 1 << 20,
        no_leader_timeout_ms: 1000,
        seed: 1,
    };
    let member = Member {
        id: ME,
        slot: "a".to_owned(),
        boot: 1,
        client_address: String::new(),
        peer_address: String::new(),
        observer: false,
    };
    let mut raft = Raft::bootstrap(config, member, at(0));
    raft.take_output();
    let applicant = Applicant {
        slot: "b".to_owned(),
        boot: 2,
        client_address: String::new(),
        peer_address: String::new(),
        observer: false,
    };
    let admitted = raft.admit(applicant).unwrap();
    raft.take_output();
    let peer = MemberId(admitted.0);
    let last_index = raft.commit_index();
    raft.compact(last_index);
    raft.peer_connected(peer);
    raft.take_output();
    let body = Body::AppendRejected {
        prev_index: last_index,
        hint_index: Index::ZERO,
        hint_term: Term(0),
        round: Round(0),
    };
    raft.step(Message { from: peer, to: ME, term: Term(1), body });
    assert_eq!(raft.take_output().snapshots_wanted, [peer]);
    raft
}

fn learner_of(raft: &Raft) -> MemberId {
    raft.configuration().learners[0]
}

fn chunks(count: usize, bytes: usize) -> Vec<Payload> {
    let chunk = |_| {
        let mut buffer = rkyv::util::AlignedVec::new();
        buffer.resize(bytes, 7);
        Payload::new(buffer)
    };
    (0..count).map(chunk).collect()
}

/// An outgoing snapshot of `count` chunks of 1 MiB behind the chunk of consensus.
fn sending(raft: &Raft, count: usize) -> Outgoing {
    let mut outgoing = Outgoing::default();
    outgoing.want(learner_of(raft));
    assert!(outgoing.wants_snapshot(raft, 0, |_| true));
    assert!(!outgoing.wants_snapshot(raft, 0, |_| true), "one is made at a time");
    let state = raft.snapshot_state(raft.commit_index());
    assert!(state.is_some());
    outgoing.made(state, chunks(count, 1 << 20), 0);
    outgoing
}

fn sent(outgoing: &mut Outgoing) -> Vec<u64> {
    let mut sequences = Vec::new();
    while let Some(message) = outgoing.next_message(ME) {
        let SnapshotBody::Chunk { sequence, .. } = message.body else { panic!("not a chunk") };
        sequences.push(sequence);
    }
    sequences
}

#[test]
fn no_more_is_sent_than_the_window_until_it_is_read() {
    let raft = leader_with_a_learner_behind();
    let (peer, last_index) = (learner_of(&raft), raft.commit_index());
    let mut outgoing = sending(&raft, 9);
    assert_eq!(sent(&mut outgoing), [0, 1, 2, 3]);
    outgoing.on_read(peer, last_index, 3, 1);
    assert_eq!(sent(&mut outgoing), [4, 5, 6]);
    outgoing.on_read(peer, last_index, 3, 1);
    outgoing.on_read(STRANGER, last_index, 9, 1);
    outgoing.on_read(peer, last_index.next(), 9, 1);
    assert_eq!(sent(&mut outgoing), [0u64; 0]);
    outgoing.on_read(peer, last_index, u64::MAX, 1);
    assert_eq!(sent(&mut outgoing), [7, 8, 9]);
    assert!(outgoing.is_busy());
    outgoing.on_read(peer, last_index, 10, 1);
    assert!(!outgoing.is_busy());
}

#[test]
fn a_chunk_larger_than_the_window_goes_alone() {
    let raft = leader_with_a_learner_behind();
    let mut outgoing = Outgoing::default();
    outgoing.want(learner_of(&raft));
    assert!(outgoing.wants_snapshot(&raft, 0, |_| true));
    let large = chunks(2, SNAPSHOT_WINDOW_BYTES + 1);
    outgoing.made(raft.snapshot_state(raft.commit_index()), large, 0);
    assert_eq!(sent(&mut outgoing), [0]);
    for read in 1..=2 {
        outgoing.on_read(learner_of(&raft), raft.commit_index(), read, 1);
        assert_eq!(sent(&mut outgoing), [read]);
    }
}

#[test]
fn nothing_is_made_for_a_member_that_is_not_there() {
    let raft = leader_with_a_learner_behind();
    let mut outgoing = Outgoing::default();
    outgoing.want(learner_of(&raft));
    assert!(!outgoing.wants_snapshot(&raft, 0, |_| false));
    assert!(outgoing.wants_snapshot(&raft, 0, |_| true), "it is wanted still");
    let mut strangers = Outgoing::default();
    strangers.want(STRANGER);
    assert!(!strangers.wants_snapshot(&raft, 0, |_| true));
}

#[test]
fn the_log_after_the_snapshot_is_pinned_until_the_member_is_near_the_end() {
    let mut raft = leader_with_a_learner_behind();
    let (peer, last_index) = (learner_of(&raft), raft.commit_index());
    let mut outgoing = sending(&raft, 2);
    assert_eq!(outgoing.pin(&raft, Index(1000)).map(|pin| pin.after), Some(last_index));
    sent(&mut outgoing);
    outgoing.on_read(peer, last_index, 3, 1);
    assert_eq!(outgoing.pin(&raft, Index(1000)).map(|pin| pin.after), Some(last_index));
    let body = Body::SnapshotInstalled { last_index };
    raft.step(Message { from: peer, to: ME, term: Term(1), body });
    assert_eq!(outgoing.pin(&raft, Index(1000)).map(|pin| pin.after), Some(last_index));
    assert_eq!(outgoing.pin(&raft, last_index), None);
    assert_eq!(outgoing.pin(&raft, Index(1000)), None, "and is forgotten then");
}

#[test]
fn a_member_that_reads_nothing_is_given_up() {
    let raft = leader_with_a_learner_behind();
    let mut outgoing = sending(&raft, 9);
    sent(&mut outgoing);
    assert!(outgoing.take_stalled(SNAPSHOT_STALL_MS).is_empty());
    outgoing.on_read(learner_of(&raft), raft.commit_index(), 1, 5);
    assert!(outgoing.take_stalled(SNAPSHOT_STALL_MS + 5).is_empty());
    assert_eq!(outgoing.take_stalled(SNAPSHOT_STALL_MS + 6), [learner_of(&raft)]);
    assert!(!outgoing.is_busy());
}

#[test]
fn a_snapshot_being_sent_serves_whoever_wants_one_while_the_log_continues_it() {
    let mut raft = leader_with_a_learner_behind();
    let first = learner_of(&raft);
    let mut outgoing = sending(&raft, 3);
    sent(&mut outgoing);
    outgoing.wanted.push(first);
    let shared = Arc::clone(&outgoing.transfers[0].snapshot);
    assert!(!outgoing.wants_snapshot(&raft, 0, |_| true));
    assert!(Arc::ptr_eq(&shared, &outgoing.transfers[0].snapshot));
    assert_eq!(sent(&mut outgoing), [0, 1, 2, 3]);
    // Once the log no longer continues it, it is of no use to a newcomer.
    raft.tick_entry();
    raft.take_output();
    raft.tick_entry();
    raft.take_output();
    raft.compact(raft.commit_index());
    outgoing.wanted.push(first);
    assert!(outgoing.wants_snapshot(&raft, 0, |_| true));
}

#[test]
fn a_lost_leadership_drops_what_apply_still_makes() {
    let raft = leader_with_a_learner_behind();
    let mut outgoing = Outgoing::default();
    outgoing.want(learner_of(&raft));
    assert!(outgoing.wants_snapshot(&raft, 0, |_| true));
    outgoing.forget_all();
    outgoing.made(None, chunks(3, 10), 0);
    assert!(!outgoing.is_busy());
    assert_eq!(sent(&mut outgoing), [0u64; 0]);
}
