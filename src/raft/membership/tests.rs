mod identity;
mod joint;
mod observers;

use crate::raft::message::Body;
use crate::raft::testing::{
    Members, T, accepted, applicant, at, configuration, leader_of, message, pass, payload, sent_to,
    settled_leader, tick_at, voter,
};
use crate::raft::types::{Applicant, Boot, Index, MemberId, Ticket};
use crate::raft::{MEMBERS_MAX, MembershipError, Raft};

fn admit(raft: &mut Raft, slot: &str, boot: Boot) -> Result<Index, MembershipError> {
    raft.admit(applicant(slot, boot))
}

fn three() -> Raft {
    settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3])
}

fn ids(members: &[MemberId]) -> Vec<u64> {
    members.iter().map(|id| id.0).collect()
}

/// Lets `peers` answer at `ms`, so that the leader has its quorum, and has a pass.
fn answer_at(raft: &mut Raft, ms: u64, peers: &[u64], match_index: u64) {
    raft.set_now(at(ms));
    for peer in peers {
        raft.step(message(*peer, 1, 2, accepted(match_index, 0)));
    }
    tick_at(raft, ms);
}

/// A leader of 1, 2, 3 whose member 3 has been silent for long, and member 12 in its slot, whose
/// admission, entry 12, is committed.
fn replacing() -> Raft {
    let mut raft = three();
    for ms in (0..=4 * T).step_by(50) {
        answer_at(&mut raft, ms, &[2], 11);
    }
    assert_eq!(admit(&mut raft, "slot-3", 77), Ok(Index(12)));
    raft.take_output();
    pass(&mut raft, message(2, 1, 2, accepted(12, 0)));
    assert_eq!(raft.commit_index(), Index(12));
    raft
}

#[test]
fn an_admission_is_a_learner_whose_id_is_the_index_of_its_entry() {
    let mut raft = three();
    assert_eq!(admit(&mut raft, "slot-4", 4444), Ok(Index(12)));
    assert_eq!(ids(&raft.configuration().learners), [12]);
    assert_eq!(admit(&mut raft, "slot-4", 4444), Ok(Index(12)), "the same boot, the same answer");
    assert_eq!(raft.status().last_index, Index(12));
}

#[test]
fn nothing_is_sent_to_a_learner_before_its_admission_is_committed() {
    let mut raft = three();
    admit(&mut raft, "slot-4", 4444).unwrap();
    assert!(sent_to(&raft.take_output(), 12).is_empty());
    assert!(sent_to(&tick_at(&mut raft, 20), 12).is_empty());
    let output = pass(&mut raft, message(2, 1, 2, accepted(12, 0)));
    assert_eq!(sent_to(&output, 12).len(), 1);
}

#[test]
fn one_change_at_a_time_and_none_before_an_entry_of_the_own_term() {
    let mut fresh = leader_of(configuration(&[1, 2, 3], &[], &[]));
    assert_eq!(admit(&mut fresh, "slot-4", 4444), Err(MembershipError::NoEntryOfOwnTerm));
    let mut raft = three();
    admit(&mut raft, "slot-4", 4444).unwrap();
    assert_eq!(admit(&mut raft, "slot-5", 5555), Err(MembershipError::ChangeInProgress));
    assert_eq!(raft.remove(MemberId(2)), Err(MembershipError::ChangeInProgress));
    let mut follower = voter(2, &[1, 2, 3]);
    let error = MembershipError::NotLeader { leader: None };
    assert_eq!(admit(&mut follower, "slot-4", 4444), Err(error));
    assert_eq!(follower.remove(MemberId(3)), Err(error));
    let mut leaving = three();
    leaving.transfer_leadership(None).unwrap();
    let error = MembershipError::TransferInProgress;
    assert_eq!(admit(&mut leaving, "slot-4", 4444), Err(error));
}

#[test]
fn the_slot_of_a_living_member_is_not_given_away() {
    let mut raft = three();
    let alive =
        |id, free_in_ms| Err(MembershipError::SlotAlive { member: MemberId(id), free_in_ms });
    assert_eq!(admit(&mut raft, "slot-1", 99), alive(1, 4 * T));
    assert_eq!(admit(&mut raft, "slot-3", 99), alive(3, 4 * T));
    for ms in (0..4 * T).step_by(50) {
        answer_at(&mut raft, ms, &[2], 11);
    }
    tick_at(&mut raft, 4 * T - 1);
    assert_eq!(
        admit(&mut raft, "slot-3", 99),
        alive(3, 1),
        "heard within twice the longest timeout"
    );
    tick_at(&mut raft, 4 * T);
    assert_eq!(admit(&mut raft, "slot-3", 99), Ok(Index(12)));
}

#[test]
fn a_new_leader_takes_nobody_for_dead_at_once() {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2]);
    let alive = Err(MembershipError::SlotAlive { member: MemberId(3), free_in_ms: T });
    assert_eq!(admit(&mut raft, "slot-3", 99), alive);
    answer_at(&mut raft, 50, &[2], 11);
    answer_at(&mut raft, T, &[2], 11);
    assert_eq!(admit(&mut raft, "slot-3", 99), Ok(Index(12)));
}

#[test]
fn a_newer_life_of_a_slot_takes_the_place_of_an_older_learner() {
    let mut raft = replacing();
    for ms in (450..=900).step_by(50) {
        answer_at(&mut raft, ms, &[2], 12);
    }
    assert_eq!(admit(&mut raft, "slot-3", 88), Ok(Index(13)));
    assert_eq!(ids(&raft.configuration().learners), [13]);
    assert_eq!(ids(&raft.configuration().voters), [1, 2, 3]);
    assert!(raft.configuration().member(MemberId(12)).is_none());
}

#[test]
fn a_learner_that_has_caught_up_is_swapped_for_its_predecessor_in_one_joint_change() {
    let mut raft = replacing();
    pass(&mut raft, message(12, 1, 2, accepted(5, 0)));
    assert!(!raft.configuration().is_joint(), "it lags");
    pass(&mut raft, message(12, 1, 2, accepted(12, 0)));
    let joint = raft.configuration().clone();
    assert_eq!((ids(&joint.voters), ids(&joint.voters_outgoing)), (vec![1, 2, 12], vec![1, 2, 3]));
    assert!(joint.learners.is_empty() && joint.member(MemberId(3)).is_some());
    pass(&mut raft, message(2, 1, 2, accepted(13, 0)));
    let after = raft.configuration().clone();
    assert_eq!((ids(&after.voters), after.is_joint()), (vec![1, 2, 12], false));
    assert!(after.member(MemberId(3)).is_none());
    assert_eq!(raft.status().last_index, Index(14));
}

#[test]
fn a_learner_that_takes_too_long_for_a_round_starts_another() {
    let mut raft = replacing();
    raft.step(message(12, 1, 2, accepted(5, 0)));
    answer_at(&mut raft, 450, &[2], 12);
    answer_at(&mut raft, 500, &[2], 12);
    pass(&mut raft, message(12, 1, 2, accepted(12, 0)));
    assert!(!raft.configuration().is_joint(), "the round took an election timeout");
    assert_eq!(raft.peer_status(MemberId(12)).map(|peer| peer.slow_rounds), Some(1));
    pass(&mut raft, message(12, 1, 2, accepted(12, 0)));
    assert!(raft.configuration().is_joint());
}

#[test]
fn a_joint_configuration_is_left_by_whoever_leads() {
    let mut raft = leader_of(configuration(&[1, 2, 4], &[1, 2, 3], &[]));
    pass(&mut raft, message(3, 1, 2, accepted(11, 0)));
    pass(&mut raft, message(4, 1, 2, accepted(11, 0)));
    assert_eq!(raft.commit_index(), Index(11));
    assert_eq!(ids(&raft.configuration().voters), [1, 2, 4]);
    assert!(!raft.configuration().is_joint());
}

#[test]
fn the_removed_are_told_before_they_are_forgotten() {
    let mut raft = three();
    raft.remove(MemberId(3)).unwrap();
    raft.take_output();
    assert_eq!(ids(&raft.configuration().voters_outgoing), [1, 2, 3]);
    raft.step(message(3, 1, 2, accepted(12, 0)));
    pass(&mut raft, message(2, 1, 2, accepted(12, 0)));
    assert!(!raft.configuration().is_joint());
    let output = pass(&mut raft, message(2, 1, 2, accepted(13, 0)));
    assert_eq!(raft.commit_index(), Index(13));
    assert!(matches!(
        sent_to(&output, 3)[..],
        [Body::AppendRequest { commit_index: Index(13), .. }]
    ));
    assert_eq!(raft.status().peers.len(), 1);
    let before = raft.clone();
    raft.step(message(3, 1, 2, accepted(13, 0)));
    assert_eq!(raft, before, "a removed member counts for nothing");
}

#[test]
fn a_leader_that_removed_itself_appends_none_of_its_batches_again() {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3]);
    raft.submit(0, Ticket(1), payload(b"first"));
    raft.take_output();
    raft.remove(MemberId(1)).unwrap();
    raft.take_output();
    // Both halves have the joint configuration, so the leader begins the one without itself.
    let last = raft.status().last_index.0;
    pass(&mut raft, message(2, 1, 2, accepted(last, 0)));
    pass(&mut raft, message(3, 1, 2, accepted(last, 0)));
    assert!(raft.is_leader() && raft.configuration().member(MemberId(1)).is_none());
    let end = raft.status().last_index;
    raft.submit(0, Ticket(2), payload(b"second"));
    raft.submit(1, Ticket(1), payload(b"other stream"));
    raft.take_output();
    assert_eq!(raft.status().last_index, end, "nobody knows what of its streams is in the log");
}

#[test]
fn a_leader_that_removed_itself_steps_down_when_that_is_committed() {
    let mut raft = three();
    raft.remove(MemberId(1)).unwrap();
    raft.take_output();
    raft.step(message(3, 1, 2, accepted(12, 0)));
    pass(&mut raft, message(2, 1, 2, accepted(12, 0)));
    assert_eq!(raft.commit_index(), Index(12));
    pass(&mut raft, message(2, 1, 2, accepted(13, 0)));
    assert_eq!(raft.commit_index(), Index(12), "it does not count itself any more");
    assert!(raft.is_leader());
    let output = pass(&mut raft, message(3, 1, 2, accepted(13, 0)));
    assert_eq!(raft.commit_index(), Index(13));
    assert!(!raft.is_leader());
    assert!(output.messages.iter().any(|message| message.body == Body::TimeoutNow));
}

/// The successor has learned by then that the leader is no member any more.
#[test]
fn who_is_told_to_follow_a_leader_that_removed_itself_campaigns_at_once() {
    let mut members = Members::voters(3);
    members.get(1).remove(MemberId(1)).unwrap();
    members.settle();
    assert!(!members.get(1).is_leader());
    let leader = members.leader().expect("no time has passed");
    assert_eq!((leader.term().0, leader.configuration().voters.len()), (3, 2));
}

#[test]
fn a_removal_that_leaves_no_quorum_is_refused() {
    let mut alone = settled_leader(configuration(&[1], &[], &[4]), &[]);
    assert_eq!(alone.remove(MemberId(1)), Err(MembershipError::LastVoter));
    assert_eq!(alone.remove(MemberId(8)), Err(MembershipError::UnknownMember));
    assert_eq!(alone.remove(MemberId(4)), Ok(Index(12)), "a learner just goes");
    let mut raft = three();
    answer_at(&mut raft, 90, &[2], 11);
    answer_at(&mut raft, 150, &[2], 11);
    assert_eq!(raft.remove(MemberId(2)), Err(MembershipError::QuorumUnreachable));
    assert_eq!(raft.remove(MemberId(3)), Ok(Index(12)));
}

#[test]
fn a_promotion_waits_until_another_change_has_ended() {
    let mut raft = replacing();
    assert_eq!(admit(&mut raft, "slot-4", 4444), Ok(Index(13)));
    pass(&mut raft, message(12, 1, 2, accepted(12, 0)));
    assert_eq!(raft.status().last_index, Index(13));
    pass(&mut raft, message(2, 1, 2, accepted(13, 0)));
    pass(&mut raft, message(12, 1, 2, accepted(13, 0)));
    assert!(raft.configuration().is_joint());
}

#[test]
fn a_promotion_waits_for_a_majority_that_answers() {
    let mut raft = settled_leader(configuration(&[1, 2, 3, 4, 5], &[], &[]), &[2, 3]);
    assert_eq!(admit(&mut raft, "slot-6", 6666), Ok(Index(12)));
    raft.take_output();
    let answer = |raft: &mut Raft, ids: &[u64]| {
        ids.iter().for_each(|id| raft.step(message(*id, 1, 2, accepted(12, 0))));
        raft.take_output();
    };
    answer(&mut raft, &[2, 3]);
    raft.set_now(at(T));
    answer(&mut raft, &[12]);
    assert!(!raft.configuration().is_joint(), "two of six");
    answer(&mut raft, &[2, 3, 12]);
    assert!(raft.configuration().is_joint());
}

#[test]
fn a_cluster_takes_no_more_members_than_a_message_can_name() {
    let learners: Vec<u64> = (2..=MEMBERS_MAX as u64).collect();
    let mut raft = settled_leader(configuration(&[1], &[], &learners), &[]);
    assert_eq!(admit(&mut raft, "another", 4444), Err(MembershipError::Full));
}
