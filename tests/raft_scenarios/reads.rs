//! Reads: an index covers every write that was acknowledged before the read came, whoever is asked,
//! and whatever a leader believes of itself. There are no lease reads; the scenarios of leases show
//! that nothing is answered on the strength of one.

use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{MemberId, Ticket};
use mayfly::raft::{Config, GiveUpReason, RoleKind};

use crate::messages::{is_append_answer, message};
use crate::network::{HEARTBEAT, Network, T, config};

/// Member 2 has become the leader and has committed "new", and member 1 takes itself for the leader
/// still: nothing of this has reached it. Returns the index of the write.
fn supersede(net: &mut Network) -> u64 {
    net.isolate(1);
    net.skip(3, T);
    assert!(net.time_out(2));
    net.deliver_all();
    net.write(2, "new");
    assert!(net.raft(1).is_leader() && net.raft(2).is_leader());
    net.assert_applied(2, &["new"]);
    net.commit(2)
}

/// The read of 1 gets no answer as long as it is cut off, and one that covers `index` afterwards.
fn assert_answered_late(net: &mut Network, ticket: Ticket, index: u64) {
    net.deliver_all();
    assert_eq!(net.read_index(1, ticket), None);
    net.run(T / 2);
    assert_eq!(net.read_index(1, ticket), None);
    net.heal();
    net.run(T);
    assert!(net.read_index(1, ticket).is_some_and(|found| found >= index));
}

#[test]
fn read_only_option_safe() {
    let mut net = Network::led(3);
    for (round, reader) in [1, 2, 3, 1, 2, 3].into_iter().enumerate() {
        for write in 0..10 {
            net.write(1, &format!("{round}-{write}"));
        }
        let ticket = net.ask_read(reader);
        net.deliver_all();
        let expected = 4 + 10 * (round as u64 + 1);
        assert_eq!(net.read_index(reader, ticket), Some(expected), "member {reader}");
    }
}

#[test]
fn read_only_with_learner() {
    let mut net = Network::led(3);
    let observer = net.join(1, "observer", true);
    // A learner whose acknowledgements are lost is not promoted.
    net.lose(move |message| message.from.0 > observer);
    let learner = net.join(1, "slot-04", false);
    net.heartbeat();
    net.write(1, "x");
    let ticket = net.ask_read(observer);
    net.deliver_all();
    assert_eq!(net.read_index(observer, ticket), Some(net.commit(1)));
    let refused = net.ask_read(learner);
    let given_up: Vec<_> =
        net.nodes[&learner].given_up.iter().map(|g| (g.ticket, g.reason)).collect();
    assert_eq!(given_up, [(refused, GiveUpReason::NeverSent)]);
    let before = net.sent.len();
    net.tell(message(learner, 1, net.term(1), Body::ReadIndexRequest { id: 1 }));
    net.heartbeat();
    let answers = |body: &&Body| matches!(body, Body::ReadIndexResponse { .. });
    assert!(!net.said(before, 1, learner).iter().any(answers), "nor does the leader answer it");
}

#[test]
fn read_only_option_lease() {
    let mut net = Network::led(3);
    // A moment ago everybody has confirmed the leader: that counts for nothing.
    let index = supersede(&mut net);
    let ticket = net.ask_read(1);
    assert_answered_late(&mut net, ticket, index);
}

#[test]
fn read_only_option_lease_without_check_quorum() {
    let mut net = Network::led(3);
    // Check-quorum would take so long that there might be none.
    net.get(1).raft.set_config(Config { election_timeout_ms: 1000 * T, ..config() });
    let index = supersede(&mut net);
    let ticket = net.ask_read(1);
    net.run(50 * T);
    assert_eq!(net.role(1), RoleKind::Leader);
    assert_answered_late(&mut net, ticket, index);
}

#[test]
fn read_only_for_new_leader() {
    let mut net = Network::led(3);
    net.write(1, "x");
    // 2 leads, and cannot commit anything: it does not know whether "x" is committed.
    net.lose(is_append_answer);
    net.elect(2);
    assert!(net.commit(2) < net.last(2) - 1);
    let tickets = [2, 3].map(|id| (id, net.ask_read(id)));
    net.deliver_all();
    net.run(HEARTBEAT);
    assert!(tickets.iter().all(|(id, ticket)| net.read_index(*id, *ticket).is_none()));
    net.heal();
    net.heartbeat();
    for (id, ticket) in tickets {
        assert_eq!(net.read_index(id, ticket), Some(net.last(2)), "its own first entry");
    }
}

#[test]
fn read_only_duplicate_request() {
    let mut net = Network::led(3);
    let before = net.sent.len();
    let tickets = [1, 3].map(|id| net.ask_read(id));
    net.deliver_all();
    assert!(net.read_index(1, tickets[0]).is_some() && net.read_index(3, tickets[1]).is_some());
    let to_1 = |m: &&Message| m.to.0 == 1;
    let again: Vec<Message> = net.sent[before..].iter().filter(to_1).cloned().collect();
    assert!(again.iter().any(is_append_answer));
    assert!(again.iter().any(|m| matches!(m.body, Body::ReadIndexRequest { .. })));
    let index = supersede(&mut net);
    let ticket = net.ask_read(1);
    // What confirmed the earlier reads arrives once more, and so does the request.
    for message in again {
        net.tell(message);
    }
    assert_answered_late(&mut net, ticket, index);
    // An answer to the earlier request of a follower does not serve its later ones.
    net.hold(|m| m.to.0 == 3);
    let later = net.ask_read(3);
    net.deliver_all();
    let (leader, term) = (net.leader().unwrap(), net.term(3));
    let stale = Body::ReadIndexResponse { id: 1, index: mayfly::raft::types::Index(1), at_ms: 1 };
    net.tell(message(leader, 3, term, stale));
    assert_eq!(net.read_index(3, later), None);
}

#[test]
fn node_read_index_to_old_leader() {
    let mut net = Network::led(3);
    net.hold(|message| matches!(message.body, Body::ReadIndexRequest { .. }));
    let ticket = net.ask_read(3);
    net.deliver_all();
    let before = net.sent.len();
    net.elect(2);
    net.write(2, "new");
    // The request reaches 1, which leads no more: it has nothing to say.
    net.release();
    net.deliver_all();
    net.heartbeat();
    assert_eq!(net.nodes[&3].reads.len(), 1);
    assert!(net.read_index(3, ticket).is_some_and(|index| index >= 5));
    let answers = |body: &&Body| matches!(body, Body::ReadIndexResponse { .. });
    assert!(!net.said(before, 1, 3).iter().any(answers));
}

#[test]
fn raft_frees_read_only_mem() {
    let mut net = Network::led(3);
    net.lose(is_append_answer);
    for reader in [1, 2, 3, 1, 2, 3] {
        net.ask_read(reader);
        net.deliver_all();
    }
    assert_eq!(net.raft(1).status().pending_reads, 2);
    // Two rounds are on their way; whoever asks meanwhile is gathered once for the next.
    assert_eq!(net.raft(1).status().unconfirmed_requests, 5);
    net.heal();
    net.heartbeat();
    for id in 1..=3 {
        assert_eq!(net.raft(id).status().pending_reads, 0);
        assert_eq!(net.nodes[&id].reads.len(), 2);
    }
    assert_eq!(net.raft(1).status().unconfirmed_requests, 0);
}

#[test]
fn read_when_quorum_becomes_less() {
    let mut net = Network::led(2);
    net.lose(is_append_answer);
    let ticket = net.ask_read(1);
    net.deliver_all();
    assert_eq!(net.read_index(1, ticket), None);
    net.heal();
    net.get(1).raft.remove(MemberId(2)).unwrap();
    net.deliver_all();
    assert!(net.read_index(1, ticket).is_some(), "without a heartbeat");
    net.isolate(2);
    let alone = net.ask_read(1);
    assert_eq!(net.read_index(1, alone), Some(net.commit(1)), "alone it is a quorum");
}

#[test]
fn forget_leader_read_only_lease_based() {
    let mut net = Network::led(3);
    // 2 gives up the leader, which others hear well; with it 3 is a majority.
    net.get(2).raft.peer_unreachable(MemberId(1));
    net.isolate(1);
    assert!(net.time_out(3));
    net.deliver_all();
    assert!(net.raft(1).is_leader() && net.raft(3).is_leader());
    net.write(3, "new");
    let ticket = net.ask_read(1);
    let index = net.commit(3);
    assert_answered_late(&mut net, ticket, index);
}

#[test]
fn paused_leader_with_queued_reads() {
    let mut net = Network::led(3);
    // The round of the first read is answered while the leader is stopped.
    let first = net.ask_read(1);
    net.pause(1);
    net.deliver_all();
    net.run_until("another leads", |net| net.nodes[&2].raft.is_leader() || net.raft(3).is_leader());
    let successor = if net.raft(2).is_leader() { 2 } else { 3 };
    net.write(successor, "new");
    let index = net.commit(successor);
    let second = net.ask_read(1);
    net.resume(1);
    net.deliver_all();
    // Whoever asked before the write may be answered as of then; whoever asked after it, not.
    assert_eq!(net.read_index(1, first), Some(4));
    assert_ne!(net.read_index(1, second), Some(4));
    net.run_until("it is answered", |net| net.read_index(1, second).is_some());
    assert!(net.read_index(1, second) >= Some(index));
}

#[test]
fn suspended_leader_whose_clock_stood_still() {
    let mut net = Network::led(3);
    net.pause(1);
    net.run(5 * T);
    let successor = net.leader().filter(|id| *id != 1).expect("a successor");
    net.write(successor, "new");
    let index = net.commit(successor);
    net.resume_unaware(1, 5 * T);
    assert!(net.raft(1).is_leader(), "by its clock it was confirmed a moment ago");
    let ticket = net.ask_read(1);
    assert_eq!(net.read_index(1, ticket), None);
    net.run_until("it is answered", |net| net.read_index(1, ticket).is_some());
    assert!(net.read_index(1, ticket) >= Some(index));
}

#[test]
fn read_of_a_leader_that_hands_over() {
    let mut net = Network::led(3);
    net.get(1).raft.transfer_leadership(Some(MemberId(2))).unwrap();
    // 1 is not told that it has been taken at its word.
    net.hold(|message| message.to.0 == 1);
    net.deliver_all();
    assert!(net.raft(1).is_leader() && net.raft(2).is_leader());
    net.write(2, "new");
    let index = net.commit(2);
    let ticket = net.ask_read(1);
    net.deliver_all();
    assert_eq!(net.read_index(1, ticket), None);
    net.release();
    net.heartbeat();
    assert!(net.read_index(1, ticket).is_some_and(|found| found >= index));
}

#[test]
fn read_in_a_joint_configuration() {
    let mut net = Network::led(5);
    let answering =
        |ids: &'static [u64]| move |m: &Message| is_append_answer(m) && !ids.contains(&m.from.0);
    net.lose(answering(&[2, 5]));
    net.get(1).raft.remove(MemberId(5)).unwrap();
    net.deliver_all();
    let ticket = net.ask_read(1);
    net.run(HEARTBEAT);
    assert!(net.raft(1).configuration().is_joint());
    assert_eq!(net.read_index(1, ticket), None, "1, 2 and 5 are a majority of the old half alone");
    net.heal();
    net.lose(answering(&[2, 3]));
    net.heartbeat();
    assert!(net.read_index(1, ticket).is_some());
}

#[test]
fn read_while_a_successor_takes_a_slot() {
    let mut net = Network::led(3);
    net.kill(3);
    net.run(5 * T);
    let successor = net.join(1, "slot-03", false);
    net.lose(|m| is_append_answer(m) && m.from.0 == 2);
    net.run_until("the swap has begun", |net| net.raft(1).configuration().is_joint());
    let ticket = net.ask_read(1);
    net.run(HEARTBEAT);
    assert!(net.raft(1).configuration().is_joint());
    assert_eq!(
        net.read_index(1, ticket),
        None,
        "1 and the successor are a majority of the new half alone"
    );
    net.heal();
    net.lose(move |m| is_append_answer(m) && m.from.0 == successor);
    net.heartbeat();
    assert!(net.read_index(1, ticket).is_some(), "1 and 2 are a majority of either half");
}
