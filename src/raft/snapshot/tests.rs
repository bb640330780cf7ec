use std::sync::Arc;

use crate::raft::message::Body;
use crate::raft::testing::{
    Members, T, accepted, append, at, config, configuration, entry, message, noop, pass, payload,
    sent_to, settled_leader, tick_at, voter,
};
use crate::raft::types::{Configuration, EntryBody, Index, MemberId, Round, Seq, Term, Ticket};
use crate::raft::{ProgressState, Raft, SnapshotState, Watermark};

/// Leader 1 with a log that is compacted up to the commit index; peer 3 has nothing yet.
fn compacted() -> Raft {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2]);
    raft.compact(Index(11));
    raft
}

fn wanted(raft: &mut Raft) -> Vec<MemberId> {
    let body = Body::AppendRejected {
        prev_index: Index(10),
        hint_index: Index(0),
        hint_term: Term(0),
        round: Round(0),
    };
    pass(raft, message(3, 1, 2, body)).snapshots_wanted
}

fn snapshot(last_index: u64, seq: u64) -> SnapshotState {
    SnapshotState {
        last_index: Index(last_index),
        last_term: Term(2),
        last_at_ms: 50_000,
        configuration: Arc::new(configuration(&[1, 2, 3], &[], &[])),
        watermarks: vec![Watermark { origin: MemberId(3), stream: 0, seq: Seq(seq) }],
    }
}

#[test]
fn a_peer_behind_the_log_wants_one_snapshot_and_then_only_gets_heartbeats() {
    let mut raft = compacted();
    assert_eq!(wanted(&mut raft), [MemberId(3)]);
    let output = tick_at(&mut raft, 20);
    assert!(output.snapshots_wanted.is_empty());
    assert_eq!(sent_to(&output, 3), [&append((0, 0), 11, vec![])]);
    let peers = raft.status().peers;
    assert_eq!(peers[1].state, ProgressState::Snapshot);
}

#[test]
fn replication_goes_on_behind_an_installed_snapshot() {
    let mut raft = compacted();
    wanted(&mut raft);
    raft.submit(0, Ticket(1), payload(b"x"));
    raft.take_output();
    let body = Body::SnapshotInstalled { last_index: Index(11) };
    let output = pass(&mut raft, message(3, 1, 2, body));
    assert!(matches!(sent_to(&output, 3)[..],
        [Body::AppendRequest { prev_index: Index(11), entries, .. }] if entries.len() == 1));
}

#[test]
fn a_lost_word_of_installation_is_made_up_for_by_the_next_acknowledgement() {
    let mut raft = compacted();
    wanted(&mut raft);
    pass(&mut raft, message(3, 1, 2, accepted(4, 0)));
    assert_eq!(raft.status().peers[1].state, ProgressState::Snapshot);
    pass(&mut raft, message(3, 1, 2, accepted(11, 0)));
    assert_eq!(raft.status().peers[1].state, ProgressState::Replicate);
}

#[test]
fn a_failed_snapshot_is_wanted_again_after_a_pause_or_with_a_new_connection() {
    let mut raft = compacted();
    wanted(&mut raft);
    raft.snapshot_failed(MemberId(3));
    assert!(raft.take_output().snapshots_wanted.is_empty());
    assert_eq!(tick_at(&mut raft, 20).snapshots_wanted, [MemberId(3)]);
    raft.peer_connected(MemberId(3));
    assert_eq!(raft.take_output().snapshots_wanted, [MemberId(3)]);
}

#[test]
fn a_snapshot_replaces_the_log_the_configuration_and_the_watermarks() {
    let mut raft = Raft::join(config(), MemberId(3), at(0));
    pass(&mut raft, message(1, 3, 2, append((0, 0), 0, vec![])));
    assert!(raft.install_snapshot(snapshot(40, 0)));
    let output = raft.take_output();
    assert_eq!(sent_to(&output, 1), [&Body::SnapshotInstalled { last_index: Index(40) }]);
    assert!(output.configuration.is_some());
    assert!(raft.configuration().is_voter(MemberId(3)));
    let output = pass(&mut raft, message(1, 3, 2, append((40, 2), 41, vec![noop(41, 2)])));
    assert_eq!(output.committed.len(), 1);
    assert!(!raft.install_snapshot(snapshot(41, 0)), "it has been handed out as much");
    assert_eq!(raft.snapshot_state(Index(40)).unwrap().last_at_ms, 50_000);
    assert_eq!(raft.snapshot_state(Index(39)), None);
    assert_eq!(raft.snapshot_state(Index(42)), None);
}

#[test]
fn a_snapshot_within_the_log_keeps_what_follows_it() {
    let mut raft = Raft::join(config(), MemberId(3), at(0));
    let entries = (1..=5).map(|index| noop(index, 2)).collect();
    pass(&mut raft, message(1, 3, 2, append((0, 0), 1, entries)));
    assert!(raft.install_snapshot(snapshot(3, 0)));
    let status = raft.status();
    assert_eq!((status.first_index, status.last_index), (Index(4), Index(5)));
    assert_eq!((status.commit_index, status.handed_out_index), (Index(3), Index(3)));
}

#[test]
fn own_batches_within_a_snapshot_end_with_an_unknown_outcome() {
    let mut raft = voter(3, &[1, 2, 3]);
    pass(&mut raft, message(1, 3, 2, append((10, 1), 10, vec![])));
    raft.submit(0, Ticket(1), payload(b"a"));
    raft.submit(0, Ticket(2), payload(b"b"));
    raft.take_output();
    assert!(raft.install_snapshot(snapshot(40, 1)));
    let given_up = raft.take_output().given_up;
    assert_eq!(given_up.iter().map(|g| g.ticket.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn the_state_of_a_snapshot_is_that_of_its_last_entry() {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3]);
    for ticket in 1..=2 {
        raft.submit(0, Ticket(ticket), payload(b"a"));
    }
    raft.take_output();
    pass(&mut raft, message(2, 1, 2, accepted(13, 0)));
    let seq = |raft: &Raft, index| raft.snapshot_state(Index(index)).unwrap().watermarks[0].seq;
    assert_eq!((seq(&raft, 12), seq(&raft, 13)), (Seq(1), Seq(2)));
    raft.compact(Index(12));
    assert_eq!((seq(&raft, 12), seq(&raft, 13)), (Seq(1), Seq(2)));
}

#[test]
fn a_snapshot_of_another_term_at_a_committed_index_changes_nothing() {
    let mut raft = voter(3, &[1, 2, 3]);
    // Committed in this very pass, and not handed out yet.
    raft.step(message(1, 3, 2, append((10, 1), 12, vec![noop(11, 2), noop(12, 2)])));
    let before = raft.clone();
    for (last_index, last_term) in [(11, 1), (12, 3), (12, 2), (10, 1), (3, 9)] {
        let last_term = Term(last_term);
        assert!(!raft.install_snapshot(SnapshotState { last_term, ..snapshot(last_index, 0) }));
        assert_eq!(raft, before, "{last_index}");
    }
    assert_eq!(raft.take_output().committed.len(), 2);
}

#[test]
fn a_snapshot_that_no_leader_can_have_is_refused() {
    let mut raft = voter(3, &[1, 2, 3]);
    let before = raft.clone();
    for (last_index, last_term) in [(u64::MAX, 2), (40, u64::MAX)] {
        let last_term = Term(last_term);
        assert!(!raft.install_snapshot(SnapshotState { last_term, ..snapshot(last_index, 0) }));
        assert_eq!(raft, before);
    }
    let strangers = Configuration { voters: vec![MemberId(3)], ..Configuration::default() };
    let configuration = Arc::new(strangers);
    assert!(!raft.install_snapshot(SnapshotState { configuration, ..snapshot(40, 0) }));
    assert!(!raft.install_snapshot(SnapshotState { last_at_ms: 1 << 62, ..snapshot(40, 0) }));
    assert_eq!(raft, before);
}

#[test]
fn a_snapshot_of_a_later_term_moves_the_member_to_that_term() {
    let mut raft = voter(3, &[1, 2, 3]);
    assert_eq!(raft.term(), Term(1));
    assert!(raft.install_snapshot(SnapshotState { last_term: Term(7), ..snapshot(40, 0) }));
    assert_eq!(raft.term(), Term(7));
    // What it appends as a leader must not be of an earlier term than what it has.
    raft.campaign_now().unwrap();
    raft.step(message(1, 3, 8, Body::VoteResponse { granted: true }));
    assert!(raft.is_leader());
}

#[test]
fn a_snapshot_has_the_configuration_of_its_end_while_a_change_is_in_flight() {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3]);
    let applicant = crate::raft::types::Applicant {
        slot: "new".to_owned(),
        boot: 99,
        client_address: String::new(),
        peer_address: String::new(),
        observer: false,
    };
    assert_eq!(raft.admit(applicant), Ok(Index(12)));
    raft.take_output();
    let learners = |raft: &Raft, index| {
        raft.snapshot_state(Index(index)).map(|state| state.configuration.learners.len())
    };
    assert_eq!((learners(&raft, 11), learners(&raft, 12)), (Some(0), None));
    pass(&mut raft, message(2, 1, 2, accepted(12, 0)));
    assert_eq!((learners(&raft, 11), learners(&raft, 12)), (Some(0), Some(1)));
}

#[test]
fn a_snapshot_within_the_log_leaves_a_later_configuration_in_force() {
    let mut raft = voter(3, &[1, 2, 3]);
    let joint = EntryBody::Configuration(Arc::new(configuration(&[1, 2, 4], &[1, 2, 3], &[])));
    let entries = vec![noop(11, 2), entry(12, 2, joint)];
    pass(&mut raft, message(1, 3, 2, append((10, 1), 10, entries)));
    assert!(raft.install_snapshot(snapshot(11, 0)));
    assert!(raft.configuration().is_joint());
    // Taken back, what the snapshot says is in force.
    pass(&mut raft, message(2, 3, 3, append((11, 2), 11, vec![noop(12, 3)])));
    assert!(!raft.configuration().is_joint());
    assert_eq!(raft.configuration().voters.len(), 3);
}

#[test]
fn a_snapshot_of_a_joint_configuration_asks_both_halves() {
    let mut raft = Raft::join(config(), MemberId(4), at(0));
    let joint = Arc::new(configuration(&[1, 2, 4], &[1, 2, 3], &[]));
    assert!(raft.install_snapshot(SnapshotState { configuration: joint, ..snapshot(40, 0) }));
    raft.campaign_now().unwrap();
    raft.step(message(1, 4, 3, Body::VoteResponse { granted: true }));
    assert!(!raft.is_leader(), "one of three of the old half");
    raft.step(message(3, 4, 3, Body::VoteResponse { granted: true }));
    assert!(raft.is_leader());
}

#[test]
fn a_snapshot_whose_sender_is_deposed_meanwhile_serves_under_the_next_leader() {
    let mut raft = Raft::join(config(), MemberId(3), at(0));
    pass(&mut raft, message(1, 3, 2, append((0, 0), 0, vec![])));
    pass(&mut raft, message(2, 3, 3, append((41, 3), 41, vec![])));
    assert!(raft.install_snapshot(snapshot(40, 0)));
    let output = raft.take_output();
    assert_eq!(sent_to(&output, 2), [&Body::SnapshotInstalled { last_index: Index(40) }]);
    let output = pass(&mut raft, message(2, 3, 3, append((40, 2), 41, vec![noop(41, 3)])));
    assert_eq!(output.committed.len(), 1);
}

#[test]
fn a_log_that_is_compacted_beyond_a_snapshot_on_its_way_wants_another() {
    let mut raft = compacted();
    wanted(&mut raft);
    for ticket in 1..=3 {
        raft.submit(0, Ticket(ticket), payload(b"x"));
    }
    raft.take_output();
    pass(&mut raft, message(2, 1, 2, accepted(14, 0)));
    raft.compact(Index(14));
    let body = Body::SnapshotInstalled { last_index: Index(11) };
    assert_eq!(pass(&mut raft, message(3, 1, 2, body)).snapshots_wanted, [MemberId(3)]);
}

#[test]
fn two_learners_load_snapshots_at_once_while_the_log_is_compacted() {
    let mut members = Members::voters(5);
    members.kill(4);
    members.kill(5);
    let fourth = members.join("slot-4");
    members.mute = vec![fourth];
    let learners = [fourth, members.join("slot-5")];
    members.mute = learners.to_vec();
    let mut ticket = 0;
    let mut write = |members: &mut Members| {
        ticket += 1;
        let leader = members.leader().unwrap();
        leader.submit(0, Ticket(ticket), payload(&[1; 100]));
        members.run(10);
        let leader = members.leader().unwrap();
        let through = leader.commit_index();
        leader.compact(through);
    };
    (0..20).for_each(|_| write(&mut members));
    members.mute.clear();
    (0..40).for_each(|_| write(&mut members));
    members.run(T);
    assert_eq!(members.voting_slots(), ["slot-1", "slot-2", "slot-3", "slot-4", "slot-5"]);
    assert!(learners.iter().all(|id| members.get(1).configuration().is_voter(MemberId(*id))));
    let end = members.leader().unwrap().commit_index();
    for id in learners {
        assert_eq!(members.get(id).commit_index(), end);
    }
}

#[test]
fn a_snapshot_of_another_term_than_the_log_has_there_replaces_the_log() {
    let mut raft = Raft::join(config(), MemberId(3), at(0));
    let entries = (1..=5).map(|index| noop(index, 2)).collect();
    pass(&mut raft, message(1, 3, 2, append((0, 0), 1, entries)));
    assert!(raft.install_snapshot(SnapshotState { last_term: Term(3), ..snapshot(3, 0) }));
    let status = raft.status();
    assert_eq!((status.first_index, status.last_index), (Index(4), Index(3)));
    assert_eq!(raft.last_log_id().term, Term(3));
}
