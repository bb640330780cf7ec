use std::sync::Arc;

use crate::raft::message::Body;
use crate::raft::testing::{
    accepted, append, at, config, configuration, message, noop, pass, payload, sent_to,
    settled_leader, tick_at,
};
use crate::raft::types::{Index, MemberId, Round, Seq, Term, Ticket};
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
    let mut raft = Raft::join(config(), MemberId(3), at(0));
    pass(&mut raft, message(1, 3, 2, append((0, 0), 0, vec![])));
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
