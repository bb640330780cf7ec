//! Observers: learners for good, with clients of their own.

use super::*;
use crate::raft::RoleKind;
use crate::raft::testing::{Members, append, member_of};
use crate::raft::types::{Configuration, EntryBody, Seq, Term};

fn observed(voters: &[u64], observer: u64) -> Configuration {
    let mut configuration = configuration(voters, &[], &[observer]);
    for member in &mut configuration.members {
        member.observer = member.id == MemberId(observer);
    }
    configuration
}

fn applying(slot: &str, boot: Boot) -> Applicant {
    Applicant { observer: true, ..applicant(slot, boot) }
}

#[test]
fn an_observer_is_never_promoted_and_never_counted() {
    let mut members = Members::voters(3);
    let id = members.join_as("watch", true);
    members.run(10 * T);
    let configuration = members.get(1).configuration().clone();
    assert_eq!(ids(&configuration.learners), [id]);
    assert_eq!(ids(&configuration.voters), [1, 2, 3]);
    assert_eq!(members.get(id).commit_index(), members.get(1).commit_index());
    members.mute = vec![2, 3];
    members.get(1).submit(0, Ticket(1), payload(b"x"));
    let before = members.get(1).commit_index();
    members.settle();
    assert_eq!(members.get(1).commit_index(), before);
    members.run(5 * T);
    assert!(!members.get(1).is_leader(), "an observer's answers keep no leader in office");
}

#[test]
fn an_observer_never_campaigns_and_never_votes() {
    let mut raft = member_of(4, observed(&[1, 2, 3], 4));
    assert!(tick_at(&mut raft, 9 * T).messages.is_empty());
    assert!(raft.campaign_now().is_err());
    let (last_index, last_term) = (Index(99), Term(2));
    for body in [
        Body::VoteRequest { last_index, last_term, transfer: true },
        Body::PreVoteRequest { last_index, last_term },
    ] {
        assert!(pass(&mut raft, message(2, 4, 9, body)).messages.is_empty());
    }
    assert_eq!(raft.role_kind(), RoleKind::Follower);
}

#[test]
fn an_observers_clients_write_and_read_as_everybodys_do() {
    let mut members = Members::voters(3);
    let id = members.join_as("watch", true);
    members.run(2 * T);
    let batch =
        EntryBody::Batch { origin: MemberId(id), stream: 0, seq: Seq(1), payload: payload(b"x") };
    let observer = members.get(id);
    assert!(observer.may_serve());
    observer.submit(0, Ticket(1), payload(b"x"));
    observer.submit_read(0, Ticket(2));
    let request = observer.take_output();
    request.messages.into_iter().for_each(|message| members.get(1).step(message));
    let end = members.get(1).status().last_index;
    assert_eq!(members.get(1).entry(end).map(|entry| &entry.body), Some(&batch));
    members.settle();
    assert_eq!(members.get(1).status().last_index, end);
    assert_eq!(members.get(1).commit_index(), end);
    assert_eq!(members.get(id).status().outstanding_batches, 0);
    assert_eq!(members.get(id).status().pending_reads, 0);
}

#[test]
fn an_observer_that_restarts_is_replaced_and_stays_one() {
    let mut members = Members::voters(3);
    let first = members.join_as("watch", true);
    members.run(2 * T);
    let alive = members.get(1).admit(applying("watch", 5));
    assert!(matches!(alive, Err(MembershipError::SlotAlive { .. })));
    members.kill(first);
    let second = members.join_as("watch", true);
    members.run(2 * T);
    let configuration = members.get(1).configuration().clone();
    assert_eq!(ids(&configuration.learners), [second]);
    assert!(configuration.is_observer(MemberId(second)));
    assert!(configuration.member(MemberId(first)).is_none());
    assert_eq!(members.get(1).remove(MemberId(second)), Ok(members.get(1).status().last_index));
    members.settle();
    assert!(members.get(1).configuration().member(MemberId(second)).is_none());
    assert!(!members.get(second).may_serve());
}

#[test]
fn a_slot_changes_between_voter_and_observer_only_by_a_removal() {
    let mut members = Members::voters(3);
    let observer = members.join_as("watch", true);
    members.kill(observer);
    members.kill(3);
    members.run(5 * T);
    let raft = members.get(1);
    let member = MemberId(observer);
    assert_eq!(admit(raft, "watch", 6), Err(MembershipError::ObserverSlot { member }));
    let member = MemberId(3);
    assert_eq!(raft.admit(applying("slot-3", 7)), Err(MembershipError::VoterSlot { member }));
    raft.remove(MemberId(observer)).unwrap();
    members.settle();
    assert!(admit(members.get(1), "watch", 6).is_ok());
}

#[test]
fn a_member_knows_how_far_it_has_to_catch_up() {
    let mut raft = member_of(4, observed(&[1, 2, 3], 4));
    assert_eq!(raft.told_commit_index(), Some(Index(10)));
    pass(&mut raft, message(1, 4, 1, append((10, 1), 40, vec![])));
    assert_eq!(raft.told_commit_index(), Some(Index(10)), "the first word counts");
    let mut raft = Raft::join(crate::raft::testing::config(), MemberId(4), at(0));
    assert_eq!(raft.told_commit_index(), None);
    let body = Body::SnapshotOffer { last_index: Index(30), last_term: Term(1) };
    pass(&mut raft, message(1, 4, 1, body));
    assert_eq!(raft.told_commit_index(), Some(Index(30)));
}
