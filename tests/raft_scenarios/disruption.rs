//! Who must not be able to disturb a leader that lives, and that a leader which is cut off does not
//! go on for ever: pre-vote and check-quorum, which are always on.

use mayfly::raft::RoleKind::{Candidate, Follower, Leader, PreCandidate};
use mayfly::raft::message::Body;
use mayfly::raft::types::{EntryBody, MemberId};
use mayfly::raft::{Config, Raft};

use crate::messages::{append, in_role, is_vote_request, message, pre_granted, tell};
use crate::network::{HEARTBEAT, Network, T, at, config};

/// A time-out of `id` alone; what follows is delivered.
fn stand(net: &mut Network, id: u64) {
    assert!(net.time_out(id));
    net.deliver_all();
}

fn leader_of(raft: &Raft) -> Option<u64> {
    raft.leader_id().map(|id| id.0)
}

#[test]
fn disruptive_follower() {
    let mut net = Network::led(3);
    // 3 stands without asking first, and its requests are lost: it is stuck in a term of its own.
    net.lose(is_vote_request);
    net.campaign_now(3);
    net.deliver_all();
    net.assert_roles(&[(1, Leader), (3, Candidate)]);
    // It answers the heartbeat of the leader with its term, which frees it, at the price of a term.
    net.run_until("the leader is deposed", |net| net.role(1) == Follower);
    assert_eq!(net.term(1), 3);
    net.heal();
    net.run_until("there is a leader again", |net| net.leader().is_some());
    net.heartbeat();
    assert!((1..=3).all(|id| net.raft(id).leader_id().is_some()));
}

#[test]
fn disruptive_follower_pre_vote() {
    let mut net = Network::led(3);
    net.isolate(3);
    for text in ["one", "two", "three"] {
        net.write(1, text);
    }
    net.run(5 * T);
    net.assert_roles(&[(1, Leader), (2, Follower), (3, PreCandidate)]);
    net.heal();
    stand(&mut net, 3);
    net.heartbeat();
    net.assert_roles(&[(1, Leader), (2, Follower), (3, Follower)]);
    net.assert_terms(&[2, 2, 2]);
    net.assert_applied(3, &["one", "two", "three"]);
}

#[test]
fn pre_vote_with_split_vote() {
    let mut net = Network::led(3);
    net.isolate(1);
    net.lapse(1);
    assert!(net.time_out(2) && net.time_out(3));
    net.deliver_all();
    net.assert_roles(&[(2, Candidate), (3, Candidate)]);
    net.assert_terms(&[2, 3, 3]);
    stand(&mut net, 2);
    net.assert_roles(&[(2, Leader), (3, Follower)]);
    net.assert_terms(&[2, 4, 4]);
}

#[test]
fn pre_vote_with_check_quorum() {
    let mut net = Network::led(3);
    net.isolate(1);
    stand(&mut net, 2);
    // 3 has heard the leader of late, so it does not answer 2, which no longer believes in it.
    net.assert_roles(&[(2, PreCandidate), (3, Follower)]);
    stand(&mut net, 3);
    net.assert_roles(&[(2, Follower), (3, Leader)]);
    assert_eq!(net.term(3), 3);
}

#[test]
fn node_with_smaller_term_can_complete_election() {
    let mut net = Network::led(3);
    net.isolate(3);
    net.elect(2);
    net.elect(1);
    net.elect(2);
    stand(&mut net, 3);
    net.assert_roles(&[(1, Follower), (2, Leader), (3, PreCandidate)]);
    net.assert_terms(&[5, 5, 2]);
    // Now the leader is cut off, and the other two have to agree, whoever asks first.
    net.heal();
    net.isolate(2);
    stand(&mut net, 3);
    assert_eq!(net.leader(), Some(2), "1 has heard it of late, and knows more");
    net.run_until("1 leads", |net| net.leader() == Some(1));
    net.heartbeat();
    assert_eq!(leader_of(net.raft(3)), Some(1));
    assert_eq!(net.term(3), net.term(1));
}

#[test]
fn leader_stepdown_when_quorum_active() {
    let mut net = Network::led(3);
    net.isolate(3);
    net.run(20 * T);
    net.assert_leader(1);
    assert_eq!(net.term(1), 2);
}

#[test]
fn leader_stepdown_when_quorum_lost() {
    let mut net = Network::led(3);
    net.isolate(1);
    net.run(T - 2 * HEARTBEAT);
    net.assert_leader(1);
    net.run(T);
    assert_eq!((net.role(1), net.term(1), leader_of(net.raft(1))), (Follower, 2, None));
}

#[test]
fn leader_superseding_with_check_quorum() {
    let mut net = Network::led(3);
    stand(&mut net, 3);
    net.assert_roles(&[(1, Leader), (2, Follower), (3, PreCandidate)]);
    net.skip(2, T);
    stand(&mut net, 3);
    net.assert_roles(&[(1, Follower), (2, Follower), (3, Leader)]);
}

#[test]
fn leader_election_with_check_quorum() {
    let mut net = Network::of(3);
    // Nobody has heard of a leader yet, so nobody need wait for it to be gone.
    stand(&mut net, 1);
    net.assert_roles(&[(1, Leader), (2, Follower), (3, Follower)]);
    net.elect(3);
    net.assert_roles(&[(1, Follower), (2, Follower), (3, Leader)]);
}

#[test]
fn free_stuck_candidate_with_check_quorum() {
    let mut net = Network::led(3);
    net.isolate(3);
    net.campaign_now(3);
    net.campaign_now(3);
    net.deliver_all();
    net.assert_roles(&[(1, Leader), (2, Follower), (3, Candidate)]);
    net.assert_terms(&[2, 2, 4]);
    net.heal();
    net.run_until("the leader gives way to the later term", |net| net.term(1) == 4);
    assert_eq!(net.role(1), Follower);
    net.run_until("there is a leader again", |net| net.leader().is_some());
    net.heartbeat();
    assert_eq!((net.term(1), net.term(2)), (net.term(3), net.term(3)));
}

#[test]
fn non_promotable_voter_with_check_quorum() {
    let mut net = Network::led(3);
    // The newcomer never gets the configuration that makes it a voter.
    net.lose(|message| {
        let Body::AppendRequest { entries, .. } = &message.body else { return false };
        entries.iter().any(|entry| match &entry.body {
            EntryBody::Configuration(configuration) => configuration.is_voter(message.to),
            _ => false,
        }) && message.to.0 > 3
    });
    let id = net.join(1, "slot-04", false);
    net.run_until("it is a voter", |net| {
        net.raft(1).configuration().voters.contains(&MemberId(id))
    });
    assert!(!net.raft(id).configuration().is_voter(MemberId(id)));
    net.deliver_all();
    net.isolate(1);
    assert!(!net.time_out(id), "as far as it knows, it is none");
    net.campaign(2);
    // Three of four are needed, so its vote is, too.
    net.assert_leader(2);
    assert_eq!(leader_of(net.raft(id)), Some(2));
}

#[test]
fn add_node_check_quorum() {
    let mut net = Network::of(1);
    net.elect(1);
    net.run(5 * T);
    let id = net.join(1, "slot-02", false);
    net.run_until("it is a voter", |net| {
        net.raft(1).configuration().voters.contains(&MemberId(id))
    });
    net.assert_leader(1);
    net.isolate(id);
    net.run(T - 2 * HEARTBEAT);
    net.assert_leader(1);
    net.run(T);
    assert_eq!(net.role(1), Follower, "from now on one of two is no quorum");
}

#[test]
fn switching_check_quorum() {
    let mut net = Network::led(3);
    net.isolate(1);
    net.get(1).raft.set_config(Config { election_timeout_ms: 10 * T, ..config() });
    net.run(5 * T);
    assert_eq!(net.role(1), Leader, "it waits longer for its followers");
    net.get(1).raft.set_config(config());
    net.run(1);
    assert_eq!(net.role(1), Follower, "there is no way to wait for ever");
}

#[test]
fn checkquorum() {
    let mut net = Network::led(3);
    stand(&mut net, 2);
    net.assert_roles(&[(1, Leader), (2, PreCandidate)]);
    // The leader hears nothing for an election time-out; its heartbeats are late, and arrive then.
    net.hold(|_| true);
    net.run(HEARTBEAT);
    net.skip(1, T);
    net.get(1).raft.tick();
    assert_eq!(net.role(1), Follower);
    net.release();
    net.deliver_all();
    assert_eq!(leader_of(net.raft(2)), Some(1), "so 2 believes in the leader for a while");
    assert_eq!(net.leader(), None);
    net.campaign(3);
    net.assert_leader(3);
}

#[test]
fn prevote() {
    let mut net = Network::led(3);
    net.isolate(3);
    net.write(1, "unknown to 3");
    net.heal();
    net.isolate(1);
    // Nobody believes in the leader any more, but 3 is behind: its pre-vote costs no term.
    net.campaign(3);
    net.assert_terms(&[2, 2, 2]);
    assert_eq!(net.leader(), None);
    stand(&mut net, 2);
    net.assert_roles(&[(2, Leader), (3, Follower)]);
    net.heal();
    net.heartbeat();
    net.assert_terms(&[3, 3, 3]);
}

#[test]
fn prevote_checkquorum() {
    let mut net = Network::led(3);
    stand(&mut net, 2);
    net.assert_roles(&[(1, Leader), (2, PreCandidate), (3, Follower)]);
    // A pre-candidate has given up the leader, so with it a second one is a majority.
    stand(&mut net, 3);
    net.assert_roles(&[(1, Follower), (2, Follower), (3, Leader)]);
    net.assert_terms(&[3, 3, 3]);
    // The same for a follower that has heard nothing for an election time-out.
    net.skip(2, T);
    stand(&mut net, 1);
    net.assert_roles(&[(1, Leader), (2, Follower), (3, Follower)]);
    net.assert_terms(&[4, 4, 4]);
}

/// What corresponds to being told to forget the leader: the connection to it breaks.
fn forget(net: &mut Network, id: u64, leader: u64) {
    net.get(id).raft.peer_unreachable(MemberId(leader));
    net.collect();
}

#[test]
fn forget_leader() {
    let mut net = Network::led(3);
    forget(&mut net, 2, 1);
    assert_eq!((net.role(2), net.term(2), leader_of(net.raft(2))), (Follower, 2, None));
    net.heartbeat();
    assert_eq!(leader_of(net.raft(2)), Some(1), "it is told of it again");
    net.assert_terms(&[2, 2, 2]);
    for role in [PreCandidate, Candidate, Leader] {
        let mut raft = in_role(role);
        raft.peer_unreachable(MemberId(1));
        raft.peer_unreachable(MemberId(2));
        assert_eq!(raft.role_kind(), role, "there is nothing to forget");
    }
    let mut other = in_role(Follower);
    tell(&mut other, message(2, 1, 1, append((3, 1), 3, vec![])));
    other.peer_unreachable(MemberId(3));
    assert_eq!(leader_of(&other), Some(2), "3 was not its leader");
}

#[test]
fn forget_leader_prevote_checkquorum() {
    let mut net = Network::led(3);
    stand(&mut net, 3);
    assert_eq!(net.leader(), Some(1));
    net.heartbeat();
    forget(&mut net, 2, 1);
    stand(&mut net, 3);
    net.assert_leader(3);
    // It still does not help whoever is behind.
    net.cut(3, 1);
    net.write(3, "unknown to 1");
    forget(&mut net, 2, 3);
    stand(&mut net, 1);
    net.assert_leader(3);
    net.assert_terms(&[3, 3, 3]);
}

/// Member 3 stood without a pre-vote while it was cut off: its term is ahead and its log is behind.
fn ahead_by_terms_and_behind_by_entries() -> Network {
    let mut net = Network::led(3);
    net.isolate(3);
    net.write(1, "some data");
    net.campaign_now(3);
    net.campaign_now(3);
    net.deliver_all();
    net.assert_roles(&[(1, Leader), (2, Follower), (3, Candidate)]);
    net.assert_terms(&[2, 2, 4]);
    net
}

#[test]
fn pre_vote_migration_can_complete_election() {
    let mut net = ahead_by_terms_and_behind_by_entries();
    net.heal();
    net.isolate(1);
    // 2 has to get over the term of 3, and 3 can never win.
    net.run_until("2 leads", |net| net.leader() == Some(2) && net.term(2) > 4);
    net.heartbeat();
    net.assert_roles(&[(2, Leader), (3, Follower)]);
    net.assert_applied(3, &["some data"]);
}

#[test]
fn pre_vote_migration_with_free_stuck_pre_candidate() {
    let mut net = ahead_by_terms_and_behind_by_entries();
    assert!(net.time_out(3));
    assert_eq!((net.role(3), net.term(3)), (PreCandidate, 4));
    net.heal();
    net.run_until("the leader is deposed by the later term", |net| net.role(1) == Follower);
    net.run_until("there is a leader again", |net| net.leader().is_some());
    assert_ne!(net.leader(), Some(3));
    net.heartbeat();
    net.assert_applied(3, &["some data"]);
}

#[test]
fn one_way_partition() {
    // The leader is heard and does not hear: it steps down, and the others elect.
    let mut net = Network::led(3);
    for follower in [2, 3] {
        net.cut_one_way(follower, 1);
    }
    net.run_until("another leads", |net| net.leader().is_some_and(|id| id != 1));
    let ticket = net.write(2, "x");
    net.heartbeat();
    assert!(net.is_answered(2, ticket));
    net.heal();
    net.heartbeat();
    net.assert_applied(1, &["x"]);
    // A follower is heard and does not hear: it disturbs nobody.
    let mut net = Network::led(3);
    for other in [1, 2] {
        net.cut_one_way(other, 3);
    }
    net.run(20 * T);
    net.assert_leader(1);
    net.assert_terms(&[2, 2, 2]);
    let ticket = net.write(1, "y");
    assert!(net.is_answered(1, ticket));
}

#[test]
fn partially_connected_chain() {
    let mut net = Network::of(5);
    for (one, other) in [(1, 3), (1, 4), (1, 5), (2, 4), (2, 5), (3, 5)] {
        net.cut(one, other);
    }
    net.run_until("one of the inner ones leads", |net| net.leader().is_some());
    net.heartbeat();
    let leader = net.leader().unwrap();
    let term = net.term(leader);
    assert!((2..=4).contains(&leader));
    net.run(20 * T);
    assert_eq!((net.leader(), net.term(leader)), (Some(leader), term), "nobody disturbs it");
    let ticket = net.write(leader, "x");
    assert!(net.is_answered(leader, ticket));
}

#[test]
fn stale_pre_vote_after_win() {
    let mut net = Network::of(5);
    // The answers of 4 and 5 are late, and so is the request of 3.
    net.hold(|message| match message.body {
        Body::PreVoteResponse { .. } => message.from.0 >= 4,
        Body::PreVoteRequest { .. } => message.from.0 == 3,
        _ => false,
    });
    assert!(net.time_out(3));
    net.deliver_all();
    stand(&mut net, 1);
    net.assert_leader(1);
    net.heartbeat();
    assert!(net.held.len() >= 6);
    net.release();
    net.deliver_all();
    net.heartbeat();
    net.assert_leader(1);
    net.assert_terms(&[2; 5]);
    assert!((2..=5).all(|id| leader_of(net.raft(id)) == Some(1)));
}

#[test]
fn stale_pre_vote_of_an_earlier_campaign() {
    let mut raft = in_role(Candidate);
    raft.set_now(at(4 * T));
    raft.tick();
    assert_eq!((raft.role_kind(), raft.term().0), (PreCandidate, 2));
    // It was granted for term 2; now term 3 is asked for.
    tell(&mut raft, message(2, 1, 2, pre_granted(true)));
    assert_eq!((raft.role_kind(), raft.term().0), (PreCandidate, 2));
    tell(&mut raft, message(2, 1, 3, pre_granted(true)));
    assert_eq!((raft.role_kind(), raft.term().0), (Candidate, 3));
}
