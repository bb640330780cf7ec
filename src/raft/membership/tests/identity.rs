//! Volatile identity: what a restarted process, or a stranger, must not be able to do, and what a
//! member that is not yet a voter must not do.

use super::*;
use crate::raft::testing::{Members, append, config, noop};
use crate::raft::types::Term;
use crate::raft::{GiveUpReason, RoleKind, TransferError};

fn vote_request(last: (u64, u64)) -> Body {
    Body::VoteRequest { last_index: Index(last.0), last_term: Term(last.1), transfer: true }
}

#[test]
fn a_vote_of_who_is_no_voter_elects_nobody() {
    let mut raft =
        crate::raft::testing::member_of(1, configuration(&[1, 2, 3, 4, 5], &[], &[6, 7]));
    raft.campaign_now().unwrap();
    // Learners, a stranger, and one that was removed.
    for id in [6, 7, 12, 8] {
        raft.step(message(id, 1, 2, Body::VoteResponse { granted: true }));
    }
    raft.step(message(2, 1, 2, Body::VoteResponse { granted: true }));
    assert_eq!(raft.role_kind(), RoleKind::Candidate);
    raft.step(message(3, 1, 2, Body::VoteResponse { granted: true }));
    assert!(raft.is_leader());
}

#[test]
fn an_acknowledgement_of_who_is_no_voter_commits_nothing() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[6, 7]));
    for id in [6, 7, 12, 8] {
        pass(&mut raft, message(id, 1, 2, accepted(11, 0)));
    }
    assert_eq!(raft.commit_index(), Index(10));
    pass(&mut raft, message(2, 1, 2, accepted(11, 0)));
    assert_eq!(raft.commit_index(), Index(11));
}

#[test]
fn entries_for_a_former_life_are_not_taken() {
    let mut raft = Raft::join(config(), MemberId(12), at(0));
    let before = raft.clone();
    raft.step(message(1, 3, 2, append((0, 0), 1, vec![noop(1, 1)])));
    raft.step(message(1, 3, 2, vote_request((10, 1))));
    raft.step(message(1, 3, 2, Body::TimeoutNow));
    assert_eq!(raft, before, "member 3 is somebody else, though it had this slot");
}

#[test]
fn a_restarted_process_cannot_vote_again_in_a_term_that_it_has_voted_in() {
    let mut members = Members::voters(3);
    let term = members.get(1).term().next();
    let request = message(2, 3, term.0, vote_request((11, 2)));
    let output = pass(members.get(3), request.clone());
    assert_eq!(sent_to(&output, 2), [&Body::VoteResponse { granted: true }]);
    members.kill(3);
    let id = members.join("slot-3");
    let output = pass(members.get(id), request);
    assert!(output.messages.is_empty(), "asked under its former id it is silent");
    let mut candidate = voter(2, &[1, 2, 3]);
    candidate.campaign_now().unwrap();
    candidate.step(message(id, 2, 2, Body::VoteResponse { granted: true }));
    assert!(!candidate.is_leader(), "and under its own it is not counted");
}

#[test]
fn a_candidate_of_an_old_configuration_gets_nothing_from_a_replaced_slot() {
    let mut members = Members::voters(5);
    members.mute = vec![4];
    members.kill(5);
    let id = members.join("slot-5");
    members.run(10 * T);
    assert_eq!(members.voting_slots(), ["slot-1", "slot-2", "slot-3", "slot-4", "slot-5"]);
    let stale = members.get(4);
    assert!(stale.configuration().member(MemberId(5)).is_some(), "it missed the swap");
    stale.campaign_now().unwrap();
    let asked = stale.take_output().messages;
    assert!(asked.iter().any(|message| message.to == MemberId(5)));
    let fresh = members.get(id);
    let before = fresh.clone();
    asked.into_iter().filter(|message| message.to == MemberId(5)).for_each(|m| fresh.step(m));
    assert_eq!(*fresh, before);
}

#[test]
fn an_entry_survives_the_restart_of_who_acknowledged_it_and_then_the_death_of_the_leader() {
    let mut members = Members::voters(5);
    members.mute = vec![4, 5];
    members.get(1).submit(0, Ticket(1), payload(b"x"));
    members.settle();
    let index = members.get(1).commit_index();
    // Two of the three that hold it forget it, one after the other; who lacked it is there again.
    members.mute.clear();
    for slot in [3, 2] {
        members.kill(slot);
        members.join(&format!("slot-{slot}"));
        members.run(10 * T);
    }
    members.kill(1);
    members.run(10 * T);
    let leader = members.leader().expect("four of five are there");
    assert!(leader.entry(index).is_some_and(|entry| entry.term == Term(2)));
    assert!(leader.commit_index() >= index);
}

#[test]
fn a_survivor_of_three_and_two_fresh_processes_are_no_quorum() {
    let mut members = Members::voters(3);
    members.kill(2);
    let id = members.join("slot-2");
    // Before the swap: the fresh process holds nothing that counts.
    members.kill(1);
    members.run(30 * T);
    assert!(members.leader().is_none());
    assert!(members.get(3).configuration().is_learner(MemberId(id)));
}

#[test]
fn a_learner_and_a_joining_process_take_no_requests_of_clients() {
    let learner = crate::raft::testing::member_of(4, configuration(&[1, 2, 3], &[], &[4]));
    let joining = Raft::join(config(), MemberId(7), at(0));
    for mut raft in [learner, joining] {
        assert!(!raft.may_serve());
        let heartbeat = message(1, raft.id().0, 1, append((0, 0), 0, vec![]));
        pass(&mut raft, heartbeat);
        raft.submit(0, Ticket(1), payload(b"x"));
        raft.submit_read(1, Ticket(2));
        let output = raft.take_output();
        let ends = output.given_up.iter().map(|g| (g.stream, g.ticket, g.reason));
        let never = GiveUpReason::NeverSent;
        assert_eq!(ends.collect::<Vec<_>>(), [(0, Ticket(1), never), (1, Ticket(2), never)]);
        assert!(output.messages.iter().all(|m| matches!(m.body, Body::AppendAccepted { .. })));
    }
}

#[test]
fn a_leader_takes_no_requests_of_a_learner() {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[4]), &[2, 3]);
    let seq = crate::raft::types::Seq(1);
    let forward = Body::Forward { stream: 0, seq, payload: payload(b"x") };
    for id in [4, 12] {
        raft.step(message(id, 1, 2, forward.clone()));
        raft.step(message(id, 1, 2, Body::ReadIndexRequest { id: 1 }));
    }
    raft.take_output();
    pass(&mut raft, message(2, 1, 2, accepted(11, 1)));
    assert_eq!(raft.status().last_index, Index(11));
    pass(&mut raft, message(2, 1, 2, forward));
    assert_eq!(raft.status().last_index, Index(12));
}

#[test]
fn leadership_goes_to_nobody_who_joins_or_leaves() {
    let mut raft = three();
    let joining = admit(&mut raft, "slot-4", 4444).unwrap();
    let refused = Err(TransferError::InvalidTarget);
    assert_eq!(raft.transfer_leadership(Some(MemberId(joining.0))), refused);
    let mut raft = three();
    raft.remove(MemberId(3)).unwrap();
    raft.take_output();
    assert!(raft.configuration().is_joint());
    assert_eq!(raft.transfer_leadership(Some(MemberId(3))), refused);
    assert_eq!(raft.transfer_leadership(Some(MemberId(2))), Ok(()));
}

#[test]
fn a_boot_gets_the_same_answer_at_every_stage() {
    let mut raft = replacing();
    assert_eq!(admit(&mut raft, "slot-3", 77), Ok(Index(12)), "committed");
    pass(&mut raft, message(12, 1, 2, accepted(12, 0)));
    assert!(raft.configuration().is_joint());
    assert_eq!(admit(&mut raft, "slot-3", 77), Ok(Index(12)), "being promoted");
    pass(&mut raft, message(2, 1, 2, accepted(13, 0)));
    assert_eq!(admit(&mut raft, "slot-3", 77), Ok(Index(12)), "a voter");
    let last = raft.status().last_index;
    assert_eq!(admit(&mut raft, "elsewhere", 77), Ok(Index(12)), "whatever else it says");
    assert_eq!(raft.status().last_index, last);
}

#[test]
fn a_silent_learner_of_a_slot_gives_way_once_nothing_was_heard_of_it() {
    let mut members = Members::voters(3);
    members.kill(3);
    let first = members.join("slot-3");
    // It was admitted and died before it could say a word.
    members.kill(first);
    let second = members.join("slot-3");
    members.run(10 * T);
    let configuration = members.leader().unwrap().configuration().clone();
    assert_eq!(ids(&configuration.voters), [1, 2, second]);
    assert!(configuration.learners.is_empty());
}
