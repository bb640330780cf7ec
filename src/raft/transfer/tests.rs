use crate::raft::message::Body;
use crate::raft::testing::{
    T, accepted, append, configuration, message, pass, payload, sent_to, settled_leader, tick_at,
    voter,
};
use crate::raft::types::{Index, MemberId, Seq, Term, Ticket};
use crate::raft::{Raft, TransferError};

fn three() -> Raft {
    settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3])
}

fn ask_votes(term: u64) -> Body {
    let (last_index, last_term) = (Index(11), Term(term - 1));
    Body::VoteRequest { last_index, last_term, transfer: true }
}

#[test]
fn the_target_campaigns_once_it_has_everything_and_takes_over() {
    let mut raft = three();
    raft.submit(0, Ticket(1), payload(b"x"));
    raft.take_output();
    raft.transfer_leadership(Some(MemberId(3))).unwrap();
    assert!(raft.take_output().messages.is_empty(), "it lacks an entry");
    let output = pass(&mut raft, message(3, 1, 2, accepted(12, 0)));
    assert!(sent_to(&output, 3).contains(&&Body::TimeoutNow));
    let body = Body::VoteRequest { last_index: Index(12), last_term: Term(2), transfer: true };
    let output = pass(&mut raft, message(3, 1, 3, body));
    assert_eq!(sent_to(&output, 3), [&Body::VoteResponse { granted: true }]);
    assert_eq!(output.transfer, None);
    let output = pass(&mut raft, message(3, 1, 3, append((12, 2), 12, vec![])));
    assert_eq!(output.transfer, Some(Ok(())));
}

#[test]
fn a_member_told_to_campaign_skips_the_pre_vote() {
    let mut raft = voter(2, &[1, 2, 3]);
    pass(&mut raft, message(1, 2, 1, append((10, 1), 10, vec![])));
    assert!(pass(&mut raft, message(3, 2, 1, Body::TimeoutNow)).messages.is_empty());
    let output = pass(&mut raft, message(1, 2, 1, Body::TimeoutNow));
    assert!(matches!(sent_to(&output, 1)[..], [Body::VoteRequest { transfer: true, .. }]));
}

#[test]
fn nothing_is_appended_meanwhile_and_all_goes_on_after_a_time_out() {
    let mut raft = three();
    raft.transfer_leadership(None).unwrap();
    raft.submit(0, Ticket(1), payload(b"x"));
    raft.tick_entry();
    let forward = Body::Forward { stream: 0, seq: Seq(1), payload: payload(b"y") };
    pass(&mut raft, message(2, 1, 2, forward));
    assert_eq!(raft.status().last_index, Index(11));
    assert_eq!(raft.transfer_leadership(None), Err(TransferError::InProgress));
    raft.set_now(crate::raft::testing::at(T));
    raft.step(message(2, 1, 2, accepted(11, 0)));
    let output = tick_at(&mut raft, T);
    assert_eq!(output.transfer, Some(Err(TransferError::TimedOut)));
    assert_eq!(raft.status().last_index, Index(12));
}

#[test]
fn only_another_voter_is_a_target() {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[4]), &[2, 3]);
    for target in [1, 4, 9] {
        let result = raft.transfer_leadership(Some(MemberId(target)));
        assert_eq!(result, Err(TransferError::InvalidTarget), "{target}");
    }
    let mut alone = settled_leader(configuration(&[1], &[], &[]), &[]);
    assert_eq!(alone.transfer_leadership(None), Err(TransferError::InvalidTarget));
    let mut follower = voter(2, &[1, 2, 3]);
    let error = TransferError::NotLeader { leader: None };
    assert_eq!(follower.transfer_leadership(None), Err(error));
}

#[test]
fn another_winner_is_reported() {
    let mut raft = three();
    raft.transfer_leadership(Some(MemberId(2))).unwrap();
    pass(&mut raft, message(3, 1, 3, ask_votes(3)));
    let output = pass(&mut raft, message(3, 1, 3, append((11, 2), 11, vec![])));
    let error = TransferError::DifferentLeader { leader: MemberId(3) };
    assert_eq!(output.transfer, Some(Err(error)));
}

#[test]
fn a_transfer_that_is_called_off_leaves_the_leader_leading() {
    let mut raft = three();
    assert!(!raft.abort_transfer(), "there is none");
    raft.transfer_leadership(Some(MemberId(3))).unwrap();
    raft.submit(0, Ticket(1), payload(b"x"));
    raft.take_output();
    assert!(raft.abort_transfer());
    let output = raft.take_output();
    assert_eq!(output.transfer, Some(Err(TransferError::Aborted)));
    assert!(raft.is_leader() && !raft.abort_transfer());
    assert_eq!(raft.status().last_index, Index(12), "what was held up is appended");
    let mut follower = voter(2, &[1, 2, 3]);
    assert!(!follower.abort_transfer());
}
