//! Snapshots: when one is wanted, what goes on meanwhile, what a member takes over with one, and
//! what it refuses.

use std::sync::Arc;

use mayfly::raft::message::Body;
use mayfly::raft::types::{Configuration, Index, MemberId, Term};
use mayfly::raft::{GiveUpReason, PeerStatus, ProgressState, Raft, SnapshotState};

use crate::members::{
    configuration, follower, leader_of, look, member_of, peer, rejected, requests_to, settled,
    terms_from, write,
};
use crate::messages::{accepted, append, message, said_to, tell};
use crate::network::{HEARTBEAT, Network, T, config};

fn state(last: (u64, u64), configuration: Configuration) -> SnapshotState {
    SnapshotState {
        last_index: Index(last.0),
        last_term: Term(last.1),
        last_at_ms: 7,
        configuration: Arc::new(configuration),
        watermarks: Vec::new(),
    }
}

/// A leader whose log begins behind what member 3 needs, and which has found that out.
fn sending() -> Raft {
    let mut raft = settled(3, config());
    write(&mut raft, 1, 8);
    write(&mut raft, 2, 8);
    tell(&mut raft, message(2, 1, 2, accepted(6)));
    raft.compact(Index(6));
    let output = tell(&mut raft, message(3, 1, 2, rejected(6, (4, 2))));
    assert_eq!(output.snapshots_wanted, [MemberId(3)]);
    assert_eq!(peer(&raft, 3).state, ProgressState::Snapshot);
    raft
}

/// Member 3 of three missed so much that the leader no longer has it. The snapshots wait.
fn left_behind() -> Network {
    let mut net = Network::led(3);
    net.isolate(3);
    net.write(1, "a");
    net.write(1, "b");
    net.heartbeat();
    net.compact(1);
    net.hold_snapshots = true;
    net.heal();
    net.heartbeat();
    assert_eq!(net.snapshots_wanted, [(1, 3)]);
    net
}

#[test]
fn provide_snap() {
    let mut raft = settled(3, config());
    write(&mut raft, 1, 8);
    tell(&mut raft, message(2, 1, 2, accepted(5)));
    raft.compact(Index(5));
    let output = tell(&mut raft, message(3, 1, 2, rejected(5, (3, 1))));
    assert_eq!(output.snapshots_wanted, [MemberId(3)]);
    let offer = Body::SnapshotOffer { last_index: Index(5), last_term: Term(2) };
    assert_eq!(said_to(&output, 3), [&offer]);
    // Once is enough.
    let output = tell(&mut raft, message(3, 1, 2, rejected(5, (3, 1))));
    assert!(output.snapshots_wanted.is_empty());
}

/// For a peer whose link is broken one is wanted once, with a heartbeat, and not with each batch:
/// it could not be sent, so its caller makes it when the peer is there.
#[test]
fn ignore_providing_snap() {
    let mut net = Network::led(3);
    net.isolate(3);
    net.break_link(1, 3);
    net.write(1, "a");
    net.compact(1);
    net.hold_snapshots = true;
    for text in ["b", "c", "d"] {
        net.write(1, text);
    }
    assert_eq!(net.snapshots_wanted, []);
    net.run(5 * HEARTBEAT);
    assert_eq!(net.snapshots_wanted, [(1, 3)]);
}

#[test]
fn restore() {
    let mut raft = follower(&[2]);
    assert!(raft.install_snapshot(state((11, 4), configuration(&[1, 2, 3], &[], &[]))));
    let last = raft.last_log_id();
    assert_eq!((last.index, last.term), (Index(11), Term(4)));
    assert_eq!(raft.commit_index(), Index(11));
    assert_eq!(raft.configuration().voters.len(), 3);
    assert_eq!(raft.first_index(), Index(12));
    // It does not become a candidate by it, and it does not load the same one twice.
    assert!(!raft.install_snapshot(state((11, 4), configuration(&[1, 2, 3], &[], &[]))));
}

/// A snapshot of what is committed already changes nothing; one of what is in the log and not yet
/// committed keeps what follows it.
#[test]
fn restore_ignore_snapshot() {
    let mut raft = follower(&[2, 2, 2]);
    tell(&mut raft, message(1, 2, 2, append((4, 2), 4, vec![])));
    assert_eq!(raft.commit_index(), Index(4));
    let three = configuration(&[1, 2, 3], &[], &[]);
    for index in 1..=4 {
        let before = raft.clone();
        assert!(!raft.install_snapshot(state((index, 2), three.clone())));
        assert_eq!(raft, before);
    }
    assert!(raft.install_snapshot(state((5, 2), three)));
    assert_eq!((raft.commit_index(), raft.last_log_id().index), (Index(5), Index(6)));
    assert_eq!(terms_from(&raft, 6), [2]);
}

/// A leader has everything that is committed, and loads nothing.
#[test]
fn restore_is_refused_by_a_leader() {
    let mut raft = settled(3, config());
    let before = raft.clone();
    assert!(!raft.install_snapshot(state((99, 2), configuration(&[1, 2, 3], &[], &[]))));
    assert_eq!(raft, before);
}

/// What its own clients wait for may be in the snapshot: executed, and nobody there to answer.
#[test]
fn restore_ends_the_wait_for_what_it_holds() {
    let mut net = Network::led(3);
    let tickets = [net.submit(3, "a"), net.submit(3, "b")];
    net.lose(|m| m.to.0 == 3);
    net.deliver_all();
    net.compact(1);
    net.heal();
    net.heartbeat();
    let ends = net.get(3).given_up.iter().map(|g| (g.ticket, g.reason)).collect::<Vec<_>>();
    assert_eq!(ends, tickets.map(|ticket| (ticket, GiveUpReason::OutcomeUnknown)));
    net.write(3, "c");
    net.heartbeat();
    net.assert_applied(1, &["a", "b", "c"]);
}

#[test]
fn restore_with_learner() {
    let mut raft = Raft::join(config(), MemberId(6), crate::network::at(0));
    assert!(raft.install_snapshot(state((11, 4), configuration(&[1, 2], &[], &[6]))));
    assert!(raft.configuration().is_learner(MemberId(6)));
    assert!(raft.campaign_now().is_err());
    assert!(!raft.may_serve());
}

#[test]
fn restore_with_voters_outgoing() {
    let mut raft = Raft::join(config(), MemberId(4), crate::network::at(0));
    assert!(raft.install_snapshot(state((11, 4), configuration(&[1, 2, 4], &[1, 2, 3], &[]))));
    assert!(raft.configuration().is_joint());
    // Elected only by majorities of both halves.
    raft.campaign_now().unwrap();
    let term = raft.term().0;
    raft.step(message(1, 4, term, crate::messages::granted(true)));
    assert!(!raft.is_leader(), "1 alone of the old half");
    raft.step(message(3, 4, term, crate::messages::granted(true)));
    assert!(raft.is_leader());
}

/// A voter that missed its own removal and admission learns of both with the snapshot: the process
/// is a member with one id for all its life, so a voter never comes back as a learner.
#[test]
fn restore_voter_to_learner() {
    let mut raft = member_of(3, configuration(&[1, 2, 3], &[], &[]));
    assert!(raft.install_snapshot(state((20, 1), configuration(&[1, 2], &[], &[15]))));
    assert!(raft.configuration().member(MemberId(3)).is_none());
    assert!(raft.campaign_now().is_err());
    assert!(!raft.may_serve(), "removed: it has no clients any more");
}

#[test]
fn restore_learner_promotion() {
    let mut raft = member_of(4, configuration(&[1, 2, 3], &[], &[4]));
    assert!(raft.campaign_now().is_err());
    assert!(raft.install_snapshot(state((20, 1), configuration(&[1, 2, 4], &[], &[]))));
    assert!(raft.configuration().is_voter(MemberId(4)));
    assert!(raft.may_serve() && raft.campaign_now().is_ok());
}

#[test]
fn learner_receive_snapshot() {
    let mut net = Network::led(3);
    net.write(1, "a");
    net.compact(1);
    let id = net.join(1, "slot-09", false);
    net.run(2 * T);
    assert!(net.raft(1).configuration().is_voter(MemberId(id)));
    net.heartbeat();
    assert_eq!(net.commit(id), net.commit(1));
    net.assert_applied(id, &["a"]);
}

/// The word that a snapshot is coming is a word of the leader: it counts as contact, and a member
/// of a former term follows.
#[test]
fn restore_from_snap_msg() {
    let mut raft = follower(&[2]);
    let offer = Body::SnapshotOffer { last_index: Index(20), last_term: Term(3) };
    tell(&mut raft, message(3, 2, 3, offer));
    assert_eq!((raft.leader_id(), raft.term()), (Some(MemberId(3)), Term(3)));
    assert_eq!(raft.told_commit_index(), Some(Index(3)), "it had been told of less before");
    let candidate = crate::messages::vote_request((30, 9));
    tell(&mut raft, message(1, 2, 9, candidate));
    assert_eq!(raft.term(), Term(3), "a leader lives");
}

#[test]
fn slow_node_restore() {
    let mut net = Network::led(3);
    net.isolate(3);
    for text in ["a", "b", "c", "d"] {
        net.write(1, text);
    }
    net.heartbeat();
    net.compact(1);
    net.heal();
    // It is there again, and the network brings the snapshot.
    net.heartbeat();
    net.write(1, "e");
    net.heartbeat();
    assert_eq!(net.commit(3), net.commit(1));
    net.assert_applied(3, &["a", "b", "c", "d", "e"]);
}

#[test]
fn sending_snapshot_set_pending_snapshot() {
    let raft = sending();
    let PeerStatus { state, match_index, inflight_messages, .. } = peer(&raft, 3);
    assert_eq!((state, match_index), (ProgressState::Snapshot, Index(4)));
    assert_eq!(inflight_messages, 0);
}

#[test]
fn pending_snapshot_pause_replication() {
    let mut raft = sending();
    for ticket in 10..15 {
        assert_eq!(requests_to(&write(&mut raft, ticket, 8), 3), []);
    }
    // Heartbeats go on, so that it knows its leader, and compare nothing.
    let output = look(&mut raft, HEARTBEAT);
    assert_eq!(requests_to(&output, 3), [(0, vec![])]);
}

#[test]
fn snapshot_failure() {
    let mut raft = sending();
    raft.snapshot_failed(MemberId(3));
    let failed = peer(&raft, 3);
    assert_eq!(failed.state, ProgressState::Probe { paused: true });
    assert_eq!((failed.match_index, failed.next_index), (Index(4), Index(5)));
    assert!(write(&mut raft, 10, 8).snapshots_wanted.is_empty(), "not at once");
    assert_eq!(look(&mut raft, HEARTBEAT).snapshots_wanted, [MemberId(3)]);
}

#[test]
fn snapshot_succeed() {
    let mut raft = sending();
    write(&mut raft, 10, 8);
    let installed = Body::SnapshotInstalled { last_index: Index(6) };
    let output = tell(&mut raft, message(3, 1, 2, installed));
    assert_eq!(requests_to(&output, 3), [(6, vec![7])]);
    let now = peer(&raft, 3);
    assert_eq!((now.state, now.match_index), (ProgressState::Replicate, Index(6)));
}

/// A peer that has got the entries from elsewhere, say from a former leader, does not wait for the
/// snapshot.
#[test]
fn snapshot_abort() {
    let mut raft = sending();
    write(&mut raft, 10, 8);
    let output = tell(&mut raft, message(3, 1, 2, accepted(6)));
    assert_eq!(requests_to(&output, 3), [(6, vec![7])]);
    assert_eq!(peer(&raft, 3).state, ProgressState::Replicate);
    // The word of the snapshot comes late and changes nothing.
    tell(&mut raft, message(3, 1, 2, Body::SnapshotInstalled { last_index: Index(6) }));
    assert_eq!(peer(&raft, 3).next_index, Index(8));
}

/// A member that knows a term only from a snapshot's last entry is in that term: it gives no vote
/// in an earlier one.
#[test]
fn snapshot_with_min_term() {
    let state = Network::led(3).take_snapshot(1).unwrap();
    assert_eq!(state.last_term, Term(2));
    let mut raft = Raft::join(config(), MemberId(3), crate::network::at(0));
    assert!(raft.install_snapshot(state));
    assert_eq!(raft.term(), Term(2));
    let request = crate::messages::vote_request((99, 1));
    let output = tell(&mut raft, message(2, 3, 1, request));
    assert!(output.messages.is_empty());
}

/// The word that it is installed is lost: the acknowledgement of the next heartbeat says as much.
#[test]
fn snapshot_succeed_via_app_resp() {
    let mut net = left_behind();
    net.lose(|m| matches!(m.body, Body::SnapshotInstalled { .. }));
    net.hold_snapshots = false;
    net.deliver_all();
    assert_eq!(peer(net.raft(1), 3).state, ProgressState::Snapshot);
    net.heartbeat();
    assert_eq!(peer(net.raft(1), 3).state, ProgressState::Replicate);
    net.assert_applied(3, &["a", "b"]);
}

/// It was a snapshot of somebody else, and it ends before the one that was asked for; but what
/// follows it is in the leader's log, and that is all that is needed.
#[test]
fn snapshot_succeed_via_app_resp_behind() {
    let mut raft = settled(3, config());
    for ticket in 1..=6 {
        write(&mut raft, ticket, 8);
    }
    tell(&mut raft, message(2, 1, 2, accepted(10)));
    raft.compact(Index(6));
    tell(&mut raft, message(3, 1, 2, rejected(10, (4, 2))));
    assert_eq!(peer(&raft, 3).state, ProgressState::Snapshot);
    tell(&mut raft, message(3, 1, 2, accepted(5)));
    assert_eq!(peer(&raft, 3).state, ProgressState::Snapshot, "6 is gone, so 5 is not enough");
    let output = tell(&mut raft, message(3, 1, 2, accepted(7)));
    assert_eq!(peer(&raft, 3).state, ProgressState::Replicate);
    assert_eq!(requests_to(&output, 3), [(7, vec![8, 9, 10])]);
}

#[test]
fn slow_follower_after_compaction() {
    let mut net = Network::led(3);
    net.lose(|m| m.to.0 == 3);
    for text in ["a", "b", "c"] {
        net.write(1, text);
    }
    net.compact(1);
    net.heal();
    // Member 3 was never away for long; still it needs what is gone.
    net.run_until("it has all of it", |net| net.commit(3) == net.commit(1));
    net.assert_applied(3, &["a", "b", "c"]);
    assert_eq!(peer(net.raft(1), 3).state, ProgressState::Replicate);
}

/// The member's log goes on to just before where the leader's begins, with entries that nobody has
/// any more: the snapshot replaces all of it.
#[test]
fn follower_log_ends_below_pinned_snapshot() {
    let mut net = Network::with_logs(&[&[], &[], &[2, 2, 2]]);
    net.isolate(3);
    net.elect(1);
    for text in ["a", "b", "c", "d"] {
        net.write(1, text);
    }
    net.compact(1);
    net.hold_snapshots = true;
    net.heal();
    net.run_until("a snapshot is wanted", |net| !net.snapshots_wanted.is_empty());
    let leader = net.leader().unwrap();
    let pinned = net.take_snapshot(leader).unwrap();
    assert!(net.last(3) < pinned.last_index.0);
    net.write(leader, "e");
    assert!(net.install(leader, 3, pinned));
    net.heartbeat();
    net.assert_applied(3, &["a", "b", "c", "d", "e"]);
    assert_eq!(net.last(3), net.last(leader));
}

/// A snapshot made while a change is in flight has the configuration of its last entry, and the
/// change comes with the log behind it.
#[test]
fn snapshot_and_conf_change_in_flight() {
    let mut net = left_behind();
    let pinned = net.take_snapshot(1).unwrap();
    net.hold_snapshots = true;
    let id = net.join(1, "slot-09", false);
    assert!(pinned.configuration.member(MemberId(id)).is_none());
    assert!(net.install(1, 3, pinned));
    assert!(net.raft(3).configuration().member(MemberId(id)).is_none());
    net.snapshots_wanted.clear();
    net.get(1).raft.snapshot_failed(MemberId(id));
    net.hold_snapshots = false;
    net.run(2 * T);
    for member in [1, 2, 3, id] {
        let configuration = net.raft(member).configuration();
        assert!(configuration.is_voter(MemberId(id)) && !configuration.is_joint(), "{member}");
    }
}

/// A snapshot that ends with a committed index and another term is none of this cluster's.
#[test]
fn snapshot_at_committed_index_with_other_term() {
    let mut raft = follower(&[2, 2]);
    tell(&mut raft, message(1, 2, 2, append((5, 2), 5, vec![])));
    let before = raft.clone();
    for term in [1, 3, 9] {
        assert!(!raft.install_snapshot(state((5, term), configuration(&[1, 2, 3], &[], &[]))));
    }
    assert_eq!(raft, before);
}

/// The leader that sends a snapshot is deposed meanwhile. The snapshot is of committed entries, so
/// it serves under the next leader as well, who would otherwise begin again.
#[test]
fn leader_change_mid_stream() {
    let mut net = left_behind();
    let pinned = net.take_snapshot(1).unwrap();
    net.compact(2);
    net.elect(2);
    assert_eq!(peer(net.raft(2), 3).match_index, Index(0));
    assert!(net.install(1, 3, pinned));
    net.snapshots_wanted.clear();
    net.write(2, "c");
    net.heartbeat();
    net.assert_applied(3, &["a", "b", "c"]);
    assert_eq!(net.snapshots_wanted, [], "member 2 has sent none");
}

/// The log is compacted beyond a snapshot on its way: that is installed, and another one is wanted.
#[test]
fn compaction_during_catch_up() {
    let mut net = left_behind();
    let pinned = net.take_snapshot(1).unwrap();
    for text in ["c", "d"] {
        net.write(1, text);
    }
    net.compact(1);
    net.snapshots_wanted.clear();
    assert!(net.install(1, 3, pinned));
    net.deliver_all();
    net.heartbeat();
    assert_eq!(net.snapshots_wanted, [(1, 3)]);
    net.hold_snapshots = false;
    net.heartbeat();
    net.assert_applied(3, &["a", "b", "c", "d"]);
}

#[test]
fn two_learners_at_once() {
    let mut net = Network::led(3);
    for text in ["a", "b", "c"] {
        net.write(1, text);
    }
    net.compact(1);
    net.hold_snapshots = true;
    let first = net.join(1, "slot-08", false);
    let second = net.join(1, "slot-09", false);
    net.heartbeat();
    let mut wanted = net.snapshots_wanted.clone();
    wanted.sort_unstable();
    assert_eq!(wanted, [(1, first), (1, second)]);
    net.hold_snapshots = false;
    net.run(3 * T);
    let voters = &net.raft(1).configuration().voters;
    for id in [first, second] {
        assert!(voters.contains(&MemberId(id)));
        net.assert_applied(id, &["a", "b", "c"]);
    }
}

/// A learner's snapshot ends with a joint configuration, and then it is asked for a vote by a
/// candidate that needs both halves.
#[test]
fn snapshot_of_a_joint_configuration() {
    let mut leader = leader_of(configuration(&[1, 2, 4], &[1, 2, 3], &[]), &[2, 4], false);
    tell(&mut leader, message(2, 1, 2, accepted(11)));
    let state = leader.snapshot_state(Index(11)).expect("it is committed");
    assert!(state.configuration.is_joint());
    let mut raft = Raft::join(config(), MemberId(4), crate::network::at(0));
    assert!(raft.install_snapshot(state));
    assert!(raft.configuration().is_joint());
    let request = crate::messages::vote_request((11, 2));
    let output = tell(&mut raft, message(3, 4, 3, request));
    assert_eq!(said_to(&output, 3), [&crate::messages::granted(true)]);
}
