use crate::raft::Raft;
use crate::raft::message::Body;
use crate::raft::testing::{
    T, accepted, at, configuration, message, pass, payload, sent_to, settled_leader, tick_at,
};
use crate::raft::types::{EntryBody, Index, MemberId, Seq, Ticket};

fn three() -> Raft {
    settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3])
}

fn forward(seq: u64) -> Body {
    Body::Forward { stream: 0, seq: Seq(seq), payload: payload(b"batch") }
}

fn last_index(raft: &Raft) -> u64 {
    raft.status().last_index.0
}

/// A leader whose member 3 lacks entry 12, which it must not.
fn held() -> Raft {
    let mut raft = three();
    pass(&mut raft, message(2, 1, 2, forward(1)));
    pass(&mut raft, message(2, 1, 2, accepted(12, 0)));
    assert_eq!((last_index(&raft), raft.commit_index()), (12, Index(12)));
    raft.hold_below(Index(12));
    raft
}

#[test]
fn batches_wait_for_the_slowest_voter_and_keep_their_order() {
    let mut raft = held();
    pass(&mut raft, message(2, 1, 2, forward(2)));
    raft.submit(0, Ticket(7), payload(b"own"));
    raft.take_output();
    let output = pass(&mut raft, message(2, 1, 2, forward(3)));
    assert_eq!(last_index(&raft), 12);
    assert!(sent_to(&output, 2).is_empty(), "nothing is asked for again");
    pass(&mut raft, message(3, 1, 2, accepted(12, 0)));
    let batch = |index| match &raft.entry(Index(index)).unwrap().body {
        EntryBody::Batch { origin, seq, .. } => (origin.0, seq.0),
        other => panic!("{other:?}"),
    };
    assert_eq!([13, 14, 15].map(batch), [(2, 2), (2, 3), (1, 1)]);
}

#[test]
fn a_batch_that_waits_is_not_taken_twice() {
    let mut raft = held();
    for seq in [2, 2, 3, 2, 3] {
        pass(&mut raft, message(2, 1, 2, forward(seq)));
    }
    let output = pass(&mut raft, message(2, 1, 2, forward(5)));
    let expected = Body::ForwardExpected { stream: 0, expected: Seq(4) };
    assert_eq!(sent_to(&output, 2), [&expected]);
    pass(&mut raft, message(3, 1, 2, accepted(12, 0)));
    assert_eq!(last_index(&raft), 14);
}

#[test]
fn a_voter_that_does_not_answer_holds_up_nobody() {
    let mut raft = held();
    pass(&mut raft, message(2, 1, 2, forward(2)));
    raft.set_now(at(T - 1));
    pass(&mut raft, message(2, 1, 2, accepted(12, 0)));
    assert_eq!(last_index(&raft), 12);
    tick_at(&mut raft, T);
    assert_eq!(last_index(&raft), 13);
}

#[test]
fn a_voter_whose_link_is_broken_holds_up_nobody() {
    let mut raft = held();
    pass(&mut raft, message(2, 1, 2, forward(2)));
    assert_eq!(last_index(&raft), 12);
    raft.peer_unreachable(MemberId(3));
    raft.take_output();
    assert_eq!(last_index(&raft), 13);
}

#[test]
fn learners_hold_up_nobody() {
    let mut raft = settled_leader(configuration(&[1, 2], &[], &[3]), &[2]);
    pass(&mut raft, message(3, 1, 2, accepted(5, 0)));
    raft.hold_below(Index(11));
    pass(&mut raft, message(2, 1, 2, forward(1)));
    assert_eq!(last_index(&raft), 12);
}

#[test]
fn what_waits_at_a_leader_that_is_replaced_is_for_the_next_one() {
    let mut raft = held();
    pass(&mut raft, message(2, 1, 2, forward(2)));
    raft.become_follower(raft.term().next(), Some(MemberId(2)));
    raft.take_output();
    assert_eq!(last_index(&raft), 12);
    assert!(raft.flow.held.is_empty());
}

#[test]
fn what_waits_of_a_member_that_is_removed_meanwhile_is_dropped() {
    let mut raft = three();
    raft.hold_below(Index(20));
    pass(&mut raft, message(3, 1, 2, forward(1)));
    assert_eq!(raft.remove(MemberId(3)), Ok(Index(12)));
    for index in [12, 13] {
        raft.take_output();
        for id in [2, 3] {
            raft.step(message(id, 1, 2, accepted(index, 0)));
        }
    }
    raft.take_output();
    assert!(raft.configuration().member(MemberId(3)).is_none());
    raft.hold_below(Index::ZERO);
    raft.take_output();
    assert_eq!(last_index(&raft), 13);
}
