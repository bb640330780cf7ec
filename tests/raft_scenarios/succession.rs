//! The connection to the leader breaks, as it does when its process is killed: the survivors do not
//! wait for an election time-out, and nobody who hears a leader is disturbed.

use mayfly::raft::message::{Body, Message};
use mayfly::raft::{Config, RoleKind};

use crate::messages::{is_append, is_vote_request};
use crate::network::{Network, T, config};

/// As [`Network::led`], where the members draw other pauses for each seed.
fn led(seed: u64, count: u64) -> Network {
    let mut net = Network::with_config(count, &Config { seed, ..config() });
    net.elect(1);
    net.heartbeat();
    net
}

fn pre_vote_requests(sent: &[Message]) -> usize {
    sent.iter().filter(|m| matches!(m.body, Body::PreVoteRequest { .. })).count()
}

#[test]
fn a_split_vote_of_the_survivors_is_resolved_within_an_election_timeout() {
    for seed in 0..100 {
        let mut net = led(100 * seed, 3);
        net.kill(1);
        assert!(net.time_out(2) && net.time_out(3));
        net.deliver_all();
        assert_eq!(net.leader(), None, "each has voted for itself");
        net.assert_terms(&[3, 3]);
        net.run(T);
        assert!(net.leader().is_some(), "seed {seed}");
    }
}

#[test]
fn four_survivors_that_stand_at_once_agree_within_an_election_timeout() {
    for seed in 0..100 {
        let mut net = led(100 * seed, 5);
        net.kill(1);
        for id in 2..=5 {
            assert!(net.time_out(id));
        }
        net.deliver_all();
        assert_eq!(net.leader(), None, "each has voted for itself");
        net.run(T);
        assert!(net.leader().is_some(), "seed {seed}");
    }
}

#[test]
fn who_stands_before_the_others_have_noticed_asks_again() {
    let mut net = led(1, 3);
    net.cut(1, 3);
    net.write(1, "only 2 can win");
    net.cut(1, 2);
    net.break_link(1, 2);
    assert!(net.time_out(2));
    net.deliver_all();
    net.assert_roles(&[(2, RoleKind::PreCandidate), (3, RoleKind::Follower)]);
    net.break_link(1, 3);
    net.run(T / 2);
    net.assert_leader(2);
}

#[test]
fn a_live_leader_is_not_deposed_by_a_member_that_lost_its_connection() {
    let mut net = led(1, 3);
    net.cut(1, 2);
    net.break_link(1, 2);
    net.run(10 * T);
    net.assert_leader(1);
    net.assert_terms(&[2, 2, 2]);
    net.heal();
    net.connect(1, 2);
    net.heartbeat();
    assert_eq!(net.raft(2).leader_id().map(|id| id.0), Some(1));
    net.assert_terms(&[2, 2, 2]);
}

#[test]
fn a_member_that_is_cut_off_alone_keeps_its_term_and_soon_its_peace() {
    for count in [2, 3, 5] {
        let mut net = led(1, count);
        net.isolate(2);
        for other in (1..=count).filter(|id| *id != 2) {
            net.break_link(2, other);
        }
        let before = net.sent.len();
        net.run(10 * T);
        assert_eq!(net.term(2), 2);
        let others = count as usize - 1;
        let campaigns = pre_vote_requests(&net.sent[before..]) / others;
        // Four in a hurry; then one for each election time-out, of T at least. With two members the
        // other one, which has lost its quorum, asks as well.
        let members = if count == 2 { 2 } else { 1 };
        assert!((6..=members * 14).contains(&campaigns), "{campaigns} of {count}");
    }
}

#[test]
fn a_leader_that_is_connected_again_in_time_stays_the_leader() {
    let mut net = led(1, 3);
    for follower in [2, 3] {
        net.break_link(1, follower);
        net.connect(1, follower);
    }
    net.deliver_all();
    net.run(10 * T);
    net.assert_leader(1);
    net.assert_terms(&[2, 2, 2]);
}

/// 2 has lost its connection to the leader, and 3 refuses it its vote. Whether 2 waits for the vote
/// of 1, which leads no more.
fn waits_for_the_lost_leader(is_connected_again: bool) -> bool {
    let mut net = led(1, 3);
    net.lose(|m| is_append(m) || m.from.0 == 3 && is_vote_request(m));
    net.break_link(1, 2);
    if is_connected_again {
        net.connect(1, 2);
    }
    net.lapse(2);
    assert!(net.time_out(2));
    net.deliver_where(|m| !is_vote_request(m));
    assert_eq!((net.role(2), net.term(2)), (RoleKind::Candidate, 3));
    net.campaign_now(3);
    net.hold(|m| m.to.0 == 1);
    net.deliver_all();
    if net.role(2) != RoleKind::Candidate {
        return false;
    }
    net.release();
    net.deliver_all();
    net.assert_leader(2);
    true
}

#[test]
fn the_vote_of_a_lost_leader_is_waited_for_once_it_is_connected_again() {
    assert!(waits_for_the_lost_leader(true));
    assert!(!waits_for_the_lost_leader(false));
}

#[test]
fn a_new_leader_ends_the_hurry() {
    let mut net = led(1, 5);
    net.kill(1);
    net.run_until("a successor leads", |net| net.leader().is_some());
    net.heartbeat();
    let follower = (2..=5).find(|id| Some(*id) != net.leader()).unwrap();
    // The successor falls silent for this one, and no connection breaks.
    net.isolate(follower);
    net.run_until("it stands", |net| net.role(follower) == RoleKind::PreCandidate);
    let before = net.sent.len();
    net.run(T - 1);
    assert_eq!(pre_vote_requests(&net.sent[before..]), 0, "it waits for an election time-out");
}
