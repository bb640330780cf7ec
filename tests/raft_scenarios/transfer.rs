//! Leadership transfer: to whom, and what becomes of it when it does not work out.

use mayfly::raft::RoleKind::{Candidate, Follower, Leader};
use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{Applicant, MemberId};
use mayfly::raft::{Config, MembershipError, Raft, TransferError};

use crate::messages::{append, granted, is_append, is_append_answer, message, tell};
use crate::network::{HEARTBEAT, Network, T, at, config};

/// Member `from` is asked to hand over to `to`. What follows is delivered.
fn transfer(net: &mut Network, from: u64, to: u64) -> Result<(), TransferError> {
    let result = net.get(from).raft.transfer_leadership(Some(MemberId(to)));
    net.deliver_all();
    result
}

/// A transfer from 1 to 3 that is stuck, since 3 cannot be reached.
fn stuck() -> Network {
    let mut net = Network::led(3);
    net.isolate(3);
    net.write(1, "unknown to 3");
    assert_eq!(transfer(&mut net, 1, 3), Ok(()));
    assert_eq!(net.raft(1).status().transfer_target, Some(MemberId(3)));
    net
}

/// It was given up, and 1 leads on in its term.
fn assert_given_up(net: &mut Network) {
    net.run(T + 1);
    assert_eq!(net.nodes[&1].transfer, Some(Err(TransferError::TimedOut)));
    assert_eq!(net.raft(1).status().transfer_target, None);
    net.assert_leader(1);
    assert_eq!(net.term(1), 2);
    let ticket = net.write(1, "goes on");
    assert!(net.is_answered(1, ticket));
}

#[test]
fn leader_transfer_to_up_to_date_node() {
    let mut net = Network::led(3);
    assert_eq!(transfer(&mut net, 1, 3), Ok(()));
    net.assert_roles(&[(1, Follower), (2, Follower), (3, Leader)]);
    assert_eq!(net.nodes[&1].transfer, Some(Ok(())));
    net.write(1, "by the new leader");
    net.heartbeat();
    assert_eq!(transfer(&mut net, 3, 1), Ok(()));
    net.assert_leader(1);
    assert_eq!(net.nodes[&3].transfer, Some(Ok(())));
    net.assert_applied(1, &["by the new leader"]);
}

#[test]
fn leader_transfer_to_up_to_date_node_from_follower() {
    let mut net = Network::led(3);
    // Who does not lead says who does; whoever has asked asks there.
    let Err(TransferError::NotLeader { leader: Some(leader) }) = transfer(&mut net, 2, 3) else {
        panic!("it is to name the leader");
    };
    net.assert_leader(leader.0);
    assert_eq!(transfer(&mut net, leader.0, 3), Ok(()));
    net.assert_leader(3);
}

#[test]
fn leader_transfer_with_check_quorum() {
    let mut net = Network::led(3);
    // Everybody has heard the leader this moment, and votes for its successor all the same.
    net.heartbeat();
    assert_eq!(transfer(&mut net, 1, 3), Ok(()));
    net.assert_leader(3);
    assert_eq!(transfer(&mut net, 3, 1), Ok(()));
    net.assert_leader(1);
    net.assert_terms(&[4, 4, 4]);
}

#[test]
fn leader_transfer_to_slow_follower() {
    let mut net = Network::led(3);
    net.isolate(3);
    net.write(1, "unknown to 3");
    net.heal();
    assert_eq!(transfer(&mut net, 1, 3), Ok(()));
    net.assert_leader(1);
    net.heartbeat();
    net.assert_leader(3);
    net.heartbeat();
    net.assert_applied(3, &["unknown to 3"]);
}

#[test]
fn leader_transfer_after_snapshot() {
    let mut net = Network::led(3);
    net.isolate(3);
    net.write(1, "one");
    net.write(1, "two");
    net.compact(1);
    net.hold_snapshots = true;
    net.heal();
    net.run(HEARTBEAT);
    assert_eq!(net.snapshots_wanted, [(1, 3)]);
    assert_eq!(transfer(&mut net, 1, 3), Ok(()));
    net.run(HEARTBEAT);
    net.assert_leader(1);
    net.hold_snapshots = false;
    net.heartbeat();
    net.assert_leader(3);
    net.assert_applied(3, &["one", "two"]);
}

#[test]
fn leader_transfer_to_self() {
    let mut net = Network::led(3);
    assert_eq!(transfer(&mut net, 1, 1), Err(TransferError::InvalidTarget));
    net.assert_leader(1);
    assert_eq!(net.raft(1).status().transfer_target, None);
}

#[test]
fn leader_transfer_to_non_existing_node() {
    let mut net = Network::led(3);
    assert_eq!(transfer(&mut net, 1, 4), Err(TransferError::InvalidTarget));
    assert_eq!(transfer(&mut net, 1, 0), Err(TransferError::InvalidTarget));
    net.assert_leader(1);
    assert_eq!(net.raft(1).status().transfer_target, None);
}

#[test]
fn leader_transfer_to_learner() {
    let mut net = Network::led(3);
    let observer = net.join(1, "observer", true);
    net.lose(move |m| is_append_answer(m) && m.from.0 > observer);
    let learner = net.join(1, "slot-04", false);
    net.heartbeat();
    for id in [observer, learner] {
        assert!(net.raft(1).configuration().is_learner(MemberId(id)));
        assert_eq!(transfer(&mut net, 1, id), Err(TransferError::InvalidTarget));
        // It does not stand if it is told to, either.
        net.tell(message(1, id, 2, Body::TimeoutNow));
        assert_eq!(net.role(id), Follower);
    }
    net.assert_leader(1);
}

#[test]
fn leader_transfer_timeout() {
    let mut net = stuck();
    net.run(HEARTBEAT);
    assert_eq!(net.raft(1).status().transfer_target, Some(MemberId(3)));
    assert_given_up(&mut net);
}

#[test]
fn leader_transfer_ignore_proposal() {
    let mut net = stuck();
    let last = net.last(1);
    let own = net.write(1, "of its own clients");
    let forwarded = net.write(2, "of a follower's");
    net.run(T / 2);
    assert_eq!(
        net.last(1),
        last,
        "nothing is appended that the target would have to catch up with"
    );
    assert!(!net.is_answered(1, own) && !net.is_answered(2, forwarded));
    // They are not lost.
    assert_given_up(&mut net);
    net.run(2 * T);
    assert!(net.is_answered(1, own) && net.is_answered(2, forwarded));
}

#[test]
fn leader_transfer_receive_higher_term_vote() {
    let mut net = stuck();
    net.campaign_now(2);
    net.deliver_all();
    net.assert_roles(&[(1, Follower), (2, Leader)]);
    let leader = MemberId(2);
    assert_eq!(net.nodes[&1].transfer, Some(Err(TransferError::DifferentLeader { leader })));
    assert_eq!(net.raft(1).status().transfer_target, None);
}

#[test]
fn leader_transfer_remove_node() {
    let mut net = stuck();
    let error = Err(MembershipError::TransferInProgress);
    assert_eq!(net.get(1).raft.remove(MemberId(3)), error, "one thing after the other");
    assert_given_up(&mut net);
    assert!(net.get(1).raft.remove(MemberId(3)).is_ok());
    net.deliver_all();
    assert_eq!(transfer(&mut net, 1, 3), Err(TransferError::InvalidTarget));
}

#[test]
fn leader_transfer_demote_node() {
    // Nobody is demoted; what corresponds is a voter on its way out, and a successor on its way in.
    let mut net = Network::led(5);
    net.lose(is_append_answer);
    net.get(1).raft.remove(MemberId(3)).unwrap();
    net.deliver_all();
    assert!(net.raft(1).configuration().is_joint());
    assert_eq!(transfer(&mut net, 1, 3), Err(TransferError::InvalidTarget));
    let mut net = stuck();
    let applicant = Applicant {
        slot: "slot-04".to_owned(),
        boot: 9,
        client_address: String::new(),
        peer_address: String::new(),
        observer: false,
    };
    let admitted = net.get(1).raft.admit(applicant);
    assert_eq!(admitted, Err(MembershipError::TransferInProgress));
    assert_given_up(&mut net);
}

#[test]
fn leader_transfer_back() {
    let mut net = stuck();
    // It cannot be taken back, because the target may be about to win; it is over soon.
    assert_eq!(transfer(&mut net, 1, 1), Err(TransferError::InProgress));
    assert_given_up(&mut net);
}

#[test]
fn leader_transfer_second_transfer_to_another_node() {
    let mut net = stuck();
    assert_eq!(transfer(&mut net, 1, 2), Err(TransferError::InProgress));
    assert_given_up(&mut net);
    assert_eq!(transfer(&mut net, 1, 2), Ok(()));
    net.assert_leader(2);
}

#[test]
fn leader_transfer_second_transfer_to_same_node() {
    let mut net = stuck();
    net.run(T / 2);
    assert_eq!(transfer(&mut net, 1, 3), Err(TransferError::InProgress));
    net.run(T / 2);
    let result = net.nodes[&1].transfer;
    assert_eq!(result, Some(Err(TransferError::TimedOut)), "asking again prolongs nothing");
}

#[test]
fn transfer_non_member() {
    // It was told that it is member 4, and no configuration has reached it.
    let mut raft = Raft::join(config(), MemberId(4), at(0));
    for body in [append((0, 0), 0, vec![]), Body::TimeoutNow, granted(true), Body::TimeoutNow] {
        tell(&mut raft, message(2, 4, 2, body.clone()));
        tell(&mut raft, message(3, 4, 2, body));
    }
    assert_eq!((raft.role_kind(), raft.term().0), (Follower, 2));
}

#[test]
fn lost_words_of_a_transfer_are_said_again() {
    let mut net = Network::led(3);
    net.lose(|message| message.body == Body::TimeoutNow);
    assert_eq!(transfer(&mut net, 1, 3), Ok(()));
    net.assert_leader(1);
    net.heal();
    net.heartbeat();
    net.assert_leader(3);
}

/// 3 stands still while 1 hands over to it, for so long; what was said to it waits.
fn told_while_it_stands_still(ms: u64) -> Network {
    let patient = Config { election_timeout_ms: 2 * T, ..config() };
    let mut net = Network::with_config(3, &patient);
    net.campaign_now(1);
    net.deliver_all();
    net.assert_leader(1);
    net.heartbeat();
    net.pause(3);
    assert_eq!(transfer(&mut net, 1, 3), Ok(()));
    let is_told = |m: &Message| m.to.0 == 3 && m.body == Body::TimeoutNow;
    assert!(net.is_on_its_way(is_told));
    net.run(ms);
    net
}

/// 3 goes on, and reads all that was said to it before it does anything of its own.
fn goes_on(net: &mut Network) {
    net.resume(3);
    net.skip(3, 0);
    net.deliver_all();
}

#[test]
fn a_target_that_stood_still_takes_nothing_over_when_it_is_too_late() {
    let mut net = told_while_it_stands_still(2 * T + 1);
    assert_eq!(net.nodes[&1].transfer, Some(Err(TransferError::TimedOut)));
    goes_on(&mut net);
    net.run(3 * T);
    net.assert_leader(1);
    net.assert_terms(&[2, 2, 2]);
    assert_eq!(transfer(&mut net, 1, 3), Ok(()));
    net.assert_leader(3);
}

#[test]
fn a_target_that_stood_still_takes_nothing_over_that_was_called_off() {
    let mut net = told_while_it_stands_still(3 * HEARTBEAT);
    assert!(net.get(1).raft.abort_transfer());
    goes_on(&mut net);
    net.run(3 * T);
    net.assert_leader(1);
    net.assert_terms(&[2, 2, 2]);
}

#[test]
fn a_target_that_stood_still_takes_over_as_long_as_it_is_wanted() {
    let mut net = told_while_it_stands_still(2 * HEARTBEAT + 1);
    goes_on(&mut net);
    net.assert_leader(1);
    // It is told again when it is heard again.
    net.run(2 * HEARTBEAT);
    net.assert_leader(3);
    assert_eq!(net.nodes[&1].transfer, Some(Ok(())));
}

#[test]
fn a_target_is_not_told_when_it_could_believe_it_for_too_long() {
    let mut net = Network::led(3);
    net.lose(|message| message.body == Body::TimeoutNow);
    assert_eq!(transfer(&mut net, 1, 3), Ok(()));
    net.run(T - 2 * HEARTBEAT);
    net.heal();
    net.run(2 * HEARTBEAT);
    assert_eq!(net.nodes[&1].transfer, Some(Err(TransferError::TimedOut)));
    net.run(T);
    net.assert_leader(1);
}

#[test]
fn a_target_that_loses_leaves_the_rest_to_an_election() {
    let mut net = Network::led(3);
    net.lose(|message| message.body == granted(true) || is_append(message));
    assert_eq!(transfer(&mut net, 1, 3), Ok(()));
    net.assert_roles(&[(1, Follower), (2, Follower), (3, Candidate)]);
    net.heal();
    net.run_until("somebody leads", |net| net.leader().is_some());
    net.heartbeat();
    assert!(net.nodes[&1].transfer.is_some(), "whoever asked for it learns how it ended");
}
