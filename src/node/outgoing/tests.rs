use super::*;
use crate::raft::message::{Body, Message};
use crate::raft::types::{Applicant, Member, Round as RaftRound, Term};
use crate::raft::{Config, Now};

/// No member.
const STRANGER: MemberId = MemberId(77);
const ME: MemberId = MemberId(1);

fn at(monotonic_ms: Millis) -> Now {
    Now { monotonic_ms, unix_ms: 1_000_000 + monotonic_ms }
}

/// A leader whose log is compacted, and learners that have said that they have nothing of it.
fn leader_with_learners_behind(count: u64) -> Raft {
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
    for boot in 2..2 + count {
        let applicant = Applicant {
            slot: format!("slot {boot}"),
            boot: boot.into(),
            client_address: String::new(),
            peer_address: String::new(),
            observer: false,
        };
        raft.admit(applicant).unwrap();
        raft.take_output();
    }
    let last_index = raft.commit_index();
    raft.compact(last_index);
    for peer in learners_of(&raft) {
        raft.peer_connected(peer);
        if raft.take_output().snapshots_wanted == [peer] {
            continue;
        }
        let body = Body::AppendRejected {
            prev_index: last_index,
            hint_index: Index::ZERO,
            hint_term: Term(0),
            round: RaftRound(0),
        };
        raft.step(Message { from: peer, to: ME, term: Term(1), body });
        assert_eq!(raft.take_output().snapshots_wanted, [peer]);
    }
    raft
}

fn leader_with_a_learner_behind() -> Raft {
    leader_with_learners_behind(1)
}

fn learners_of(raft: &Raft) -> Vec<MemberId> {
    raft.configuration().learners.clone()
}

fn learner_of(raft: &Raft) -> MemberId {
    raft.configuration().learners[0]
}

const CHUNK: usize = 1 << 20;
const WINDOW: u64 = SNAPSHOT_WINDOW_BYTES as u64;

fn chunks(count: usize, bytes: usize) -> Vec<Payload> {
    let chunk = |_| {
        let mut buffer = rkyv::util::AlignedVec::new();
        buffer.resize(bytes, 7);
        Payload::new(buffer)
    };
    (0..count).map(chunk).collect()
}

fn orders(outgoing: &mut Outgoing) -> Vec<(u64, MakingOrder)> {
    std::iter::from_fn(|| outgoing.next_order()).collect()
}

fn granted(outgoing: &mut Outgoing) -> Vec<u64> {
    let bytes = |(_, order)| match order {
        MakingOrder::Grant { bytes } => bytes,
        other => panic!("{other:?}"),
    };
    orders(outgoing).into_iter().map(bytes).collect()
}

/// A round that has begun for all learners, and the length of the chunk of consensus.
fn sending(raft: &Raft) -> (Outgoing, u64) {
    let mut outgoing = Outgoing::default();
    learners_of(raft).into_iter().for_each(|peer| outgoing.want(peer));
    outgoing.begin_if_wanted(raft, |_| true);
    assert_eq!(orders(&mut outgoing), [(1, MakingOrder::Begin)]);
    assert!(outgoing.is_beginning());
    let state = raft.snapshot_state(raft.commit_index());
    let head = snapshot::write_consensus(state.as_ref().unwrap()).len() as u64;
    outgoing.begun(1, state, 0);
    assert!(!outgoing.is_beginning() && outgoing.is_busy());
    (outgoing, head)
}

/// What goes out now, with whom it is for.
fn sent(outgoing: &mut Outgoing) -> Vec<(MemberId, u64)> {
    let mut sequences = Vec::new();
    while let Some(message) = outgoing.next_message(ME, 0) {
        let SnapshotBody::Chunk { sequence, .. } = message.body else { panic!("not a chunk") };
        sequences.push((message.to, sequence));
    }
    sequences
}

fn sent_to(outgoing: &mut Outgoing, peer: MemberId) -> Vec<u64> {
    let all = sent(outgoing).into_iter();
    all.filter(|(to, _)| *to == peer).map(|(_, sequence)| sequence).collect()
}

fn held(outgoing: &Outgoing) -> usize {
    match &outgoing.round {
        Some(Round::Sending(sending)) => sending.chunks.len(),
        _ => 0,
    }
}

#[test]
fn apply_may_make_what_the_window_takes_and_more_as_it_is_read() {
    let raft = leader_with_a_learner_behind();
    let (peer, last_index) = (learner_of(&raft), raft.commit_index());
    let (mut outgoing, head) = sending(&raft);
    assert_eq!(sent_to(&mut outgoing, peer), [0], "consensus goes first, at once");
    assert_eq!(granted(&mut outgoing), [WINDOW - head]);
    outgoing.made(1, chunks(3, CHUNK), 100, false);
    assert_eq!(sent_to(&mut outgoing, peer), [1, 2, 3]);
    outgoing.on_read(peer, last_index, 1, 1);
    assert_eq!(granted(&mut outgoing), [0u64; 0], "that was next to nothing");
    outgoing.on_read(peer, last_index, 3, 1);
    assert_eq!(granted(&mut outgoing), [WINDOW + 2 * CHUNK as u64]);
    assert_eq!(held(&outgoing), 1, "what is read is dropped");
    outgoing.on_read(peer, last_index, 3, 1);
    outgoing.on_read(STRANGER, last_index, 4, 1);
    outgoing.on_read(peer, last_index.next(), 4, 1);
    assert_eq!(held(&outgoing), 1);
    outgoing.made(1, chunks(1, CHUNK), 100, true);
    assert_eq!(sent_to(&mut outgoing, peer), [4]);
    assert!(outgoing.is_busy());
    outgoing.on_read(peer, last_index, u64::MAX, 1);
    assert!(!outgoing.is_busy());
    assert_eq!(orders(&mut outgoing), [], "apply is done as well");
}

#[test]
fn no_more_is_sent_than_the_window_until_it_is_read() {
    let raft = leader_with_a_learner_behind();
    let (peer, last_index) = (learner_of(&raft), raft.commit_index());
    let (mut outgoing, _) = sending(&raft);
    // Apply writes a large value whole, however little was granted.
    outgoing.made(1, chunks(9, CHUNK), 0, true);
    assert_eq!(sent_to(&mut outgoing, peer), [0, 1, 2, 3]);
    outgoing.on_read(peer, last_index, 3, 1);
    assert_eq!(sent_to(&mut outgoing, peer), [4, 5, 6]);
    let mut outgoing = sending(&raft).0;
    outgoing.made(1, chunks(2, SNAPSHOT_WINDOW_BYTES + 1), 0, true);
    assert_eq!(sent_to(&mut outgoing, peer), [0]);
    for read in 1..=2 {
        outgoing.on_read(peer, last_index, read, 1);
        assert_eq!(sent_to(&mut outgoing, peer), [read], "one that is too large goes alone");
    }
}

#[test]
fn the_slowest_receiver_sets_the_pace_until_it_is_given_up() {
    let raft = leader_with_learners_behind(2);
    let [quick, slow] = learners_of(&raft)[..] else { panic!("two learners") };
    let last_index = raft.commit_index();
    let (mut outgoing, head) = sending(&raft);
    assert_eq!(granted(&mut outgoing), [WINDOW - head]);
    outgoing.made(1, chunks(4, CHUNK), 0, false);
    let both = sent(&mut outgoing);
    assert_eq!(both.len(), 2 * 4, "{both:?}");
    outgoing.on_read(quick, last_index, 4, 7);
    assert_eq!(sent(&mut outgoing), [(quick, 4)]);
    outgoing.on_read(quick, last_index, 5, 7);
    assert_eq!(granted(&mut outgoing), [0u64; 0], "the slow one has read nothing");
    assert_eq!(held(&outgoing), 5);
    assert_eq!(outgoing.take_stalled(SNAPSHOT_STALL_MS + 1), [slow]);
    assert_eq!(granted(&mut outgoing), [WINDOW + 4 * CHUNK as u64]);
    assert!(outgoing.take_stalled(SNAPSHOT_STALL_MS * 3).is_empty(), "nothing is unread");
    outgoing.made(1, Vec::new(), 0, true);
    outgoing.made(1, chunks(1, CHUNK), 0, true);
    assert_eq!(sent(&mut outgoing), [(quick, 5)]);
    outgoing.on_read(quick, last_index, 6, 8);
    assert!(!outgoing.is_busy());
}

#[test]
fn a_member_that_reads_nothing_is_given_up_and_the_round_with_the_last() {
    let raft = leader_with_a_learner_behind();
    let (mut outgoing, _) = sending(&raft);
    sent(&mut outgoing);
    assert!(outgoing.take_stalled(SNAPSHOT_STALL_MS).is_empty());
    outgoing.on_read(learner_of(&raft), raft.commit_index(), 1, 5);
    outgoing.made(1, chunks(2, CHUNK), 0, false);
    assert!(outgoing.take_stalled(SNAPSHOT_STALL_MS * 2).is_empty(), "nothing was sent");
    assert!(outgoing.next_message(ME, SNAPSHOT_STALL_MS * 2).is_some());
    assert!(outgoing.take_stalled(SNAPSHOT_STALL_MS * 3).is_empty());
    assert_eq!(outgoing.take_stalled(SNAPSHOT_STALL_MS * 3 + 1), [learner_of(&raft)]);
    assert!(!outgoing.is_busy());
    assert_eq!(orders(&mut outgoing), [(1, MakingOrder::End)]);
}

#[test]
fn nothing_is_made_for_a_member_that_is_not_there() {
    let raft = leader_with_a_learner_behind();
    let mut outgoing = Outgoing::default();
    outgoing.want(learner_of(&raft));
    outgoing.begin_if_wanted(&raft, |_| false);
    assert!(!outgoing.is_busy());
    outgoing.begin_if_wanted(&raft, |_| true);
    assert!(outgoing.is_busy(), "it is wanted still");
    let mut strangers = Outgoing::default();
    strangers.want(STRANGER);
    strangers.begin_if_wanted(&raft, |_| true);
    assert!(!strangers.is_busy());
}

#[test]
fn who_comes_late_waits_for_the_next_round() {
    let raft = leader_with_learners_behind(2);
    let [first, late] = learners_of(&raft)[..] else { panic!("two learners") };
    let mut outgoing = Outgoing::default();
    outgoing.want(first);
    outgoing.want(late);
    outgoing.begin_if_wanted(&raft, |id| id == first);
    outgoing.begin_if_wanted(&raft, |_| true);
    assert_eq!(orders(&mut outgoing), [(1, MakingOrder::Begin)]);
    outgoing.begun(1, raft.snapshot_state(raft.commit_index()), 0);
    outgoing.made(1, chunks(1, 10), 0, true);
    assert_eq!(sent(&mut outgoing), [(first, 0), (first, 1)]);
    outgoing.begin_if_wanted(&raft, |_| true);
    outgoing.on_read(first, raft.commit_index(), 2, 1);
    outgoing.begin_if_wanted(&raft, |_| true);
    assert_eq!(orders(&mut outgoing), [(2, MakingOrder::Begin)]);
    outgoing.begun(2, raft.snapshot_state(raft.commit_index()), 0);
    assert_eq!(sent(&mut outgoing), [(late, 0)]);
}

#[test]
fn a_broken_link_ends_one_transfer_and_the_round_with_the_last() {
    let raft = leader_with_learners_behind(2);
    let [first, second] = learners_of(&raft)[..] else { panic!("two learners") };
    let (mut outgoing, _) = sending(&raft);
    outgoing.forget(first);
    assert_eq!(sent(&mut outgoing), [(second, 0)]);
    orders(&mut outgoing);
    outgoing.forget(second);
    assert_eq!(orders(&mut outgoing), [(1, MakingOrder::End)]);
    assert!(!outgoing.is_busy());
    // What apply had made by then comes too late, even if another round has begun.
    outgoing.want(first);
    outgoing.begin_if_wanted(&raft, |_| true);
    outgoing.made(1, chunks(1, 10), 0, true);
    assert!(outgoing.given_up(1).is_empty());
    outgoing.begun(1, raft.snapshot_state(raft.commit_index()), 0);
    assert!(outgoing.is_beginning());
    outgoing.forget(first);
    assert!(!outgoing.is_busy(), "and so does a round that has not begun");
    assert_eq!(orders(&mut outgoing), [(2, MakingOrder::Begin), (2, MakingOrder::End)]);
}

#[test]
fn a_refusal_ends_the_transfer_that_it_is_about() {
    let raft = leader_with_a_learner_behind();
    let (peer, last_index) = (learner_of(&raft), raft.commit_index());
    let (mut outgoing, _) = sending(&raft);
    assert!(!outgoing.on_refused(STRANGER, last_index));
    assert!(!outgoing.on_refused(peer, last_index.next()));
    assert!(outgoing.on_refused(peer, last_index));
    assert!(!outgoing.is_busy());
    assert!(!outgoing.on_refused(peer, last_index));
}

#[test]
fn what_apply_gives_up_ends_for_all_and_leaves_nothing_to_order() {
    let raft = leader_with_learners_behind(2);
    let (mut outgoing, _) = sending(&raft);
    orders(&mut outgoing);
    assert!(outgoing.given_up(7).is_empty());
    assert_eq!(outgoing.given_up(1), learners_of(&raft));
    assert!(!outgoing.is_busy());
    assert_eq!(orders(&mut outgoing), []);
}

#[test]
fn the_log_after_the_snapshot_is_pinned_until_the_member_is_near_the_end() {
    let mut raft = leader_with_a_learner_behind();
    let (peer, last_index) = (learner_of(&raft), raft.commit_index());
    let (mut outgoing, head) = sending(&raft);
    outgoing.made(1, chunks(2, 100), 5000, false);
    let pin = Pin { after: last_index, snapshot_bytes: 5000 };
    assert_eq!(outgoing.pin(&raft, Index(1000)), Some(pin));
    outgoing.made(1, chunks(1, 100), 300, true);
    sent(&mut outgoing);
    outgoing.on_read(peer, last_index, 4, 1);
    let pin = Pin { after: last_index, snapshot_bytes: head as usize + 300 };
    assert_eq!(outgoing.pin(&raft, Index(1000)), Some(pin));
    let body = Body::SnapshotInstalled { last_index };
    raft.step(Message { from: peer, to: ME, term: Term(1), body });
    assert_eq!(outgoing.pin(&raft, Index(1000)).map(|pin| pin.after), Some(last_index));
    assert_eq!(outgoing.pin(&raft, last_index), None);
    assert_eq!(outgoing.pin(&raft, Index(1000)), None, "and is forgotten then");
}

#[test]
fn a_log_that_can_wait_no_longer_ends_the_round() {
    let raft = leader_with_a_learner_behind();
    let (mut outgoing, _) = sending(&raft);
    orders(&mut outgoing);
    assert_eq!(outgoing.take_outrun(), learners_of(&raft));
    assert_eq!(outgoing.pin(&raft, Index(1000)), None);
    assert_eq!(orders(&mut outgoing), [(1, MakingOrder::End)]);
}

#[test]
fn a_lost_leadership_ends_the_round_at_every_stage() {
    let raft = leader_with_a_learner_behind();
    let mut outgoing = Outgoing::default();
    outgoing.want(learner_of(&raft));
    outgoing.begin_if_wanted(&raft, |_| true);
    outgoing.forget_all();
    outgoing.begun(1, None, 0);
    outgoing.made(1, chunks(3, 10), 0, false);
    assert!(!outgoing.is_busy());
    assert_eq!(sent(&mut outgoing), []);
    assert_eq!(orders(&mut outgoing), [(1, MakingOrder::Begin), (1, MakingOrder::End)]);
    let (mut outgoing, _) = sending(&raft);
    outgoing.made(1, chunks(3, 10), 0, false);
    orders(&mut outgoing);
    outgoing.forget_all();
    assert_eq!(sent(&mut outgoing), []);
    assert_eq!(orders(&mut outgoing), [(1, MakingOrder::End)]);
    // It ended before apply said where the snapshot begins.
    let mut outgoing = Outgoing::default();
    outgoing.want(learner_of(&raft));
    outgoing.begin_if_wanted(&raft, |_| true);
    orders(&mut outgoing);
    outgoing.begun(1, None, 0);
    assert!(!outgoing.is_busy());
    assert_eq!(orders(&mut outgoing), [(1, MakingOrder::End)]);
}
