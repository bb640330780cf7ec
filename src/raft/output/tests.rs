//! Reads through a whole member.

use crate::raft::message::Body;
use crate::raft::testing::{
    accepted, append, configuration, leader_of, message, pass, payload, sent_to, settled_leader,
    tick_at, voter,
};
use crate::raft::types::{Index, MemberId, Round, Ticket};
use crate::raft::{Output, Raft};

fn five() -> Raft {
    settled_leader(configuration(&[1, 2, 3, 4, 5], &[], &[]), &[2, 3])
}

fn tickets(output: &Output) -> Vec<u64> {
    output.reads.iter().map(|read| read.ticket.0).collect()
}

fn round_to(output: &Output, peer: u64) -> Option<Round> {
    sent_to(output, peer).iter().find_map(|body| match body {
        Body::AppendRequest { round, .. } => Some(*round),
        _ => None,
    })
}

#[test]
fn a_read_waits_for_a_quorum_to_answer_a_round_that_began_after_it() {
    let mut raft = five();
    raft.submit_read(0, Ticket(1));
    let output = raft.take_output();
    assert_eq!(round_to(&output, 2), Some(Round(1)));
    assert_eq!(round_to(&output, 3), Some(Round(1)));
    assert!(tickets(&pass(&mut raft, message(2, 1, 2, accepted(11, 0)))).is_empty());
    assert!(tickets(&pass(&mut raft, message(2, 1, 2, accepted(11, 1)))).is_empty());
    assert!(tickets(&pass(&mut raft, message(2, 1, 2, accepted(11, 1)))).is_empty());
    let output = pass(&mut raft, message(3, 1, 2, accepted(11, 1)));
    assert_eq!((tickets(&output), output.reads[0].index), (vec![1], Index(11)));
}

#[test]
fn a_round_of_its_own_goes_to_as_few_as_make_a_quorum() {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3]);
    raft.submit_read(0, Ticket(1));
    let output = raft.take_output();
    let asked: Vec<_> = [2, 3].into_iter().filter(|id| round_to(&output, *id).is_some()).collect();
    let [asked] = asked[..] else { panic!("{asked:?}") };
    let other = 5 - asked;
    // Whoever was not asked answers the next heartbeat, which carries the round.
    let heartbeat = tick_at(&mut raft, 20);
    assert_eq!(round_to(&heartbeat, other), Some(Round(1)));
    assert_eq!(tickets(&pass(&mut raft, message(other, 1, 2, accepted(11, 1)))), [1]);
}

#[test]
fn the_others_are_asked_when_the_link_to_the_one_that_was_breaks() {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3]);
    raft.submit_read(0, Ticket(1));
    let output = raft.take_output();
    let asked = if round_to(&output, 2).is_some() { 2 } else { 3 };
    raft.peer_unreachable(MemberId(asked));
    assert_eq!(round_to(&raft.take_output(), 5 - asked), Some(Round(1)));
}

#[test]
fn where_too_few_are_in_step_a_round_goes_to_all() {
    let mut raft = settled_leader(configuration(&[1, 2, 3, 4, 5], &[], &[]), &[2, 3]);
    raft.peer_unreachable(MemberId(3));
    raft.submit_read(0, Ticket(1));
    let output = raft.take_output();
    let asked = (2..=5).filter(|id| round_to(&output, *id).is_some()).count();
    assert!(asked > 1, "{asked}");
}

#[test]
fn late_answers_confirm_no_later_read() {
    let mut raft = five();
    raft.submit_read(0, Ticket(1));
    raft.take_output();
    raft.submit_read(0, Ticket(2));
    raft.take_output();
    raft.step(message(2, 1, 2, accepted(11, 1)));
    let output = pass(&mut raft, message(3, 1, 2, accepted(11, 1)));
    assert_eq!(tickets(&output), [1]);
    raft.step(message(2, 1, 2, accepted(11, 2)));
    let output = pass(&mut raft, message(3, 1, 2, accepted(11, 2)));
    assert_eq!(tickets(&output), [2]);
}

#[test]
fn requests_that_go_out_anyway_carry_the_round() {
    let mut raft = five();
    raft.submit(0, Ticket(1), payload(b"x"));
    raft.submit_read(0, Ticket(2));
    let output = raft.take_output();
    let bodies = sent_to(&output, 2);
    assert!(matches!(bodies[..],
        [Body::AppendRequest { round: Round(1), entries, .. }] if entries.len() == 1));
}

#[test]
fn a_lost_round_is_carried_by_the_next_heartbeat() {
    let mut raft = five();
    raft.submit_read(0, Ticket(1));
    raft.take_output();
    assert_eq!(round_to(&tick_at(&mut raft, 20), 2), Some(Round(1)));
}

#[test]
fn no_read_before_an_entry_of_the_own_term_is_committed() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[]));
    raft.submit_read(0, Ticket(1));
    raft.take_output();
    let output = pass(&mut raft, message(2, 1, 2, accepted(10, 0)));
    assert!(output.reads.is_empty() && raft.status().pending_reads == 1);
    let output = pass(&mut raft, message(2, 1, 2, accepted(11, 0)));
    assert!(output.reads.is_empty());
    assert_eq!(round_to(&output, 2), Some(Round(1)));
    let output = pass(&mut raft, message(2, 1, 2, accepted(11, 1)));
    assert_eq!(tickets(&output), [1]);
}

#[test]
fn a_joint_configuration_confirms_with_both_majorities() {
    let mut raft = leader_of(configuration(&[1, 4, 5], &[1, 2, 3], &[]));
    // It would leave the joint configuration at once, were it not about to hand over.
    raft.transfer_leadership(Some(MemberId(4))).unwrap();
    for peer in [2, 4] {
        raft.step(message(peer, 1, 2, accepted(11, 0)));
    }
    raft.submit_read(0, Ticket(1));
    raft.take_output();
    raft.step(message(4, 1, 2, accepted(11, 1)));
    assert!(tickets(&pass(&mut raft, message(5, 1, 2, accepted(11, 1)))).is_empty());
    assert_eq!(tickets(&pass(&mut raft, message(2, 1, 2, accepted(11, 1)))), [1]);
}

#[test]
fn a_single_voter_answers_at_once() {
    let mut raft = settled_leader(configuration(&[1], &[], &[4]), &[]);
    raft.submit_read(0, Ticket(1));
    assert_eq!(tickets(&raft.take_output()), [1]);
}

#[test]
fn a_follower_asks_once_per_pass_and_again_when_there_is_no_answer() {
    let mut raft = voter(2, &[1, 2, 3]);
    pass(&mut raft, message(1, 2, 2, append((10, 1), 10, vec![])));
    raft.submit_read(0, Ticket(1));
    raft.submit_read(1, Ticket(1));
    let output = raft.take_output();
    assert_eq!(sent_to(&output, 1), [&Body::ReadIndexRequest { id: 1 }]);
    assert!(sent_to(&tick_at(&mut raft, 39), 1).is_empty());
    assert_eq!(sent_to(&tick_at(&mut raft, 40), 1), [&Body::ReadIndexRequest { id: 1 }]);
    raft.submit_read(0, Ticket(2));
    let output = pass(&mut raft, message(3, 2, 3, append((10, 1), 10, vec![])));
    assert!(sent_to(&output, 3).contains(&&Body::ReadIndexRequest { id: 2 }));
}

#[test]
fn an_answer_of_a_former_leader_is_not_used() {
    let mut raft = voter(2, &[1, 2, 3]);
    pass(&mut raft, message(1, 2, 2, append((10, 1), 10, vec![])));
    raft.submit_read(0, Ticket(1));
    raft.take_output();
    pass(&mut raft, message(3, 2, 3, append((10, 1), 10, vec![])));
    let answer = Body::ReadIndexResponse { id: 1, index: Index(10), at_ms: 7 };
    assert!(tickets(&pass(&mut raft, message(1, 2, 2, answer.clone()))).is_empty());
    assert!(tickets(&pass(&mut raft, message(1, 2, 3, answer.clone()))).is_empty());
    let output = pass(&mut raft, message(3, 2, 3, answer));
    assert_eq!((tickets(&output), output.reads[0].at_ms), (vec![1], 7));
}

#[test]
fn a_leader_answers_followers_with_its_commit_index_and_tells_them_of_it() {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3]);
    raft.submit(0, Ticket(1), payload(b"x"));
    raft.take_output();
    raft.step(message(3, 1, 2, accepted(12, 0)));
    raft.take_output();
    let output = pass(&mut raft, message(2, 1, 2, Body::ReadIndexRequest { id: 9 }));
    assert!(matches!(
        sent_to(&output, 2)[..],
        [Body::AppendRequest { commit_index: Index(12), round: Round(1), .. }]
    ));
    let output = pass(&mut raft, message(3, 1, 2, accepted(12, 1)));
    assert!(matches!(
        sent_to(&output, 2)[..],
        [Body::ReadIndexResponse { id: 9, index: Index(12), .. }]
    ));
}
