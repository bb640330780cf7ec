use crate::raft::message::Body;
use crate::raft::recovery::{LogId, RecoverError};
use crate::raft::testing::{
    append, applicant, at, configuration, entry, member_of, message, pass, payload, tick_at, voter,
};
use crate::raft::types::{EntryBody, Index, MemberId, Seq, Term, Ticket};
use crate::raft::{Output, Raft};

/// Of the tests' configuration: its no-leader time-out, which is more than four elections.
const PATIENCE: u64 = 500;

/// Whether the quorum is lost at `ms`.
fn is_lost_at(raft: &mut Raft, ms: u64) -> bool {
    raft.set_now(at(ms));
    raft.is_quorum_lost()
}

fn lost() -> Raft {
    let mut raft = voter(1, &[1, 2, 3]);
    assert!(is_lost_at(&mut raft, PATIENCE));
    raft
}

fn batch(origin: u64, seq: u64) -> EntryBody {
    let payload = payload(&[origin as u8, seq as u8]);
    EntryBody::Batch { origin: MemberId(origin), stream: 0, seq: Seq(seq), payload }
}

fn pre_vote(from: u64) -> crate::raft::message::Message {
    message(from, 1, 2, Body::PreVoteRequest { last_index: Index(1), last_term: Term(1) })
}

fn own_batches(output: &Output) -> Vec<(u64, Option<Ticket>)> {
    let own = |committed: &crate::raft::Committed| match committed.entry.body {
        EntryBody::Batch { origin: MemberId(1), seq, .. } => Some((seq.0, committed.ticket)),
        _ => None,
    };
    output.committed.iter().filter_map(own).collect()
}

#[test]
fn a_quorum_is_lost_when_neither_a_leader_nor_a_majority_was_heard_for_long_enough() {
    let mut raft = voter(1, &[1, 2, 3]);
    assert!(!is_lost_at(&mut raft, PATIENCE - 1));
    assert!(is_lost_at(&mut raft, PATIENCE));
    pass(&mut raft, pre_vote(2));
    assert!(!is_lost_at(&mut raft, 2 * PATIENCE - 1), "two of three are there");
    assert!(is_lost_at(&mut raft, 2 * PATIENCE));
    pass(&mut raft, pre_vote(9));
    assert!(raft.is_quorum_lost(), "a stranger counts for nothing");
    pass(&mut raft, message(3, 1, 2, append((10, 1), 10, Vec::new())));
    assert!(!raft.is_quorum_lost(), "a leader is known");
    raft.peer_unreachable(MemberId(3));
    assert!(!is_lost_at(&mut raft, 3 * PATIENCE - 1), "the time runs anew");
    assert!(is_lost_at(&mut raft, 3 * PATIENCE));
}

#[test]
fn of_a_joint_configuration_both_halves_are_needed() {
    let mut raft = member_of(1, configuration(&[1, 2, 4], &[1, 2, 3], &[]));
    raft.set_now(at(PATIENCE));
    pass(&mut raft, pre_vote(3));
    assert!(raft.is_quorum_lost(), "the incoming half has only this member");
    pass(&mut raft, pre_vote(2));
    assert!(!raft.is_quorum_lost());
}

#[test]
fn a_stranger_and_a_lone_voter_have_no_quorum_to_lose() {
    let mut stranger = member_of(4, configuration(&[1, 2, 3], &[], &[]));
    assert!(!is_lost_at(&mut stranger, 10 * PATIENCE));
    let mut alone = voter(1, &[1]);
    assert!(!is_lost_at(&mut alone, 10 * PATIENCE));
}

/// Its promotion may be committed without its knowledge.
#[test]
fn a_learner_that_is_all_that_is_left_goes_on_as_the_only_voter() {
    let mut learner = member_of(4, configuration(&[1, 2, 3], &[], &[4]));
    assert!(!is_lost_at(&mut learner, PATIENCE - 1));
    assert!(is_lost_at(&mut learner, PATIENCE));
    assert!(learner.force_recover(learner.last_log_id()).is_ok());
    let output = learner.take_output();
    assert_eq!(*output.configuration.unwrap(), configuration(&[4], &[], &[]));
    assert!(learner.is_leader() && learner.is_only_voter());
}

#[test]
fn recovery_is_refused_while_the_quorum_may_live_and_for_another_log() {
    let mut raft = voter(1, &[1, 2, 3]);
    let last = raft.last_log_id();
    assert_eq!(last.to_string(), "1:10");
    assert_eq!(raft.force_recover(last), Err(RecoverError::QuorumNotLost));
    pass(&mut raft, message(3, 1, 2, append((10, 1), 10, Vec::new())));
    raft.set_now(at(10 * PATIENCE));
    assert_eq!(raft.force_recover(last), Err(RecoverError::QuorumNotLost), "a leader is known");
    let mut raft = lost();
    for (term, index) in [(1, 9), (1, 11), (2, 10), (0, 0)] {
        let wrong = LogId { term: Term(term), index: Index(index) };
        assert_eq!(raft.force_recover(wrong), Err(RecoverError::WrongLastLogId { last }));
    }
    assert!(raft.take_output().is_empty());
    assert_eq!((raft.term(), raft.is_leader()), (Term(1), false));
    assert!(raft.force_recover(last).is_ok());
    assert_eq!(raft.force_recover(last), Err(RecoverError::QuorumNotLost), "it leads now");
}

#[test]
fn a_recovered_survivor_leads_alone_and_keeps_the_tail_of_its_log() {
    let mut raft = voter(1, &[1, 2, 3]);
    let joint = configuration(&[1, 2, 4], &[1, 2, 3], &[]);
    let tail = vec![
        entry(11, 1, batch(2, 1)),
        entry(12, 1, EntryBody::Configuration(std::sync::Arc::new(joint))),
    ];
    pass(&mut raft, message(2, 1, 1, append((10, 1), 10, tail)));
    raft.peer_unreachable(MemberId(2));
    raft.take_output();
    raft.set_now(at(PATIENCE));
    let term = raft.term();
    assert_eq!(raft.force_recover(raft.last_log_id()), Ok(Index(13)));
    let output = raft.take_output();
    let indexes: Vec<u64> = output.committed.iter().map(|c| c.entry.index.0).collect();
    assert_eq!(indexes, [11, 12, 13, 14], "the tail, the configuration, the no-op");
    assert!(output.messages.is_empty());
    assert_eq!(*output.configuration.unwrap(), configuration(&[1], &[], &[]));
    assert!(raft.is_leader() && raft.is_only_voter());
    assert_eq!((raft.term(), raft.id()), (term.next(), MemberId(1)));
    assert!(!raft.is_quorum_lost());
    let admitted = raft.admit(applicant("slot-2", 77));
    assert_eq!(admitted, Ok(Index(15)), "ids go on where they were");
}

#[test]
fn what_clients_still_wait_for_runs_once() {
    let mut raft = voter(1, &[1, 2, 3]);
    pass(&mut raft, message(2, 1, 2, append((10, 1), 10, Vec::new())));
    for ticket in 1..=3 {
        raft.submit(0, Ticket(ticket), payload(&[1, ticket as u8]));
        raft.take_output();
    }
    // The first of them has come back as an entry, uncommitted; the others are lost with the
    // leader.
    let tail = vec![entry(11, 2, batch(1, 1))];
    pass(&mut raft, message(2, 1, 2, append((10, 1), 10, tail)));
    raft.set_now(at(1));
    raft.peer_unreachable(MemberId(2));
    // One tick before they would be given up.
    tick_at(&mut raft, PATIENCE);
    raft.submit(0, Ticket(4), payload(&[1, 4]));
    raft.set_now(at(PATIENCE + 1));
    assert_eq!(raft.force_recover(raft.last_log_id()), Ok(Index(12)));
    let expected: Vec<_> = (1..=4).map(|n| (n, Some(Ticket(n)))).collect();
    let output = raft.take_output();
    assert_eq!(own_batches(&output), expected);
    assert!(output.given_up.is_empty());
}

#[test]
fn a_batch_that_was_given_up_leaves_no_gap() {
    let mut raft = voter(1, &[1, 2, 3]);
    pass(&mut raft, message(2, 1, 2, append((10, 1), 10, Vec::new())));
    raft.submit(0, Ticket(1), payload(&[1, 1]));
    raft.take_output();
    raft.peer_unreachable(MemberId(2));
    let output = tick_at(&mut raft, PATIENCE);
    assert_eq!(output.given_up.len(), 1);
    raft.submit(0, Ticket(2), payload(&[1, 2]));
    assert!(raft.force_recover(raft.last_log_id()).is_ok());
    assert_eq!(own_batches(&raft.take_output()), [(1, None), (2, Some(Ticket(2)))]);
}
