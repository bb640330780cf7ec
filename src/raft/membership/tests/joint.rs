//! Changes of the voters under trouble: whoever dies in whichever phase, the survivors bring the
//! change to its end or go back before it, and every slot has a voter again.

use super::*;
use crate::raft::testing::{Members, append, entry, member_of, noop};
use crate::raft::types::{EntryBody, Term};
use std::sync::Arc;

const SLOTS: [&str; 5] = ["slot-1", "slot-2", "slot-3", "slot-4", "slot-5"];

fn is_uncommitted(raft: &Raft) -> bool {
    raft.status().configuration_index > raft.commit_index()
}

type Phase = (&'static str, fn(&Raft) -> bool);

/// The phases of a swap, as the leader sees them.
const PHASES: [Phase; 4] = [
    ("catching up", |raft| !raft.configuration().learners.is_empty()),
    ("joint, not committed", |raft| raft.configuration().is_joint() && is_uncommitted(raft)),
    ("leaving, not committed", |raft| !raft.configuration().is_joint() && is_uncommitted(raft)),
    ("left", |raft| {
        raft.configuration().learners.is_empty()
            && !raft.configuration().is_joint()
            && !is_uncommitted(raft)
    }),
];

/// Five voters, the fifth of which is dead, and its successor, just admitted.
fn swapping() -> (Members, u64) {
    let mut members = Members::voters(5);
    members.kill(5);
    let id = members.join("slot-5");
    (members, id)
}

#[test]
fn a_leader_may_die_in_every_phase_of_a_swap() {
    for (phase, when) in PHASES {
        for reached in [&[][..], &[2], &[2, 3], &[2, 3, 4]] {
            let (mut members, id) = swapping();
            let victim = members.kill_when(when, None, reached);
            assert_eq!(victim, 1, "{phase}");
            members.run(10 * T);
            members.join("slot-1");
            members.run(10 * T);
            assert_eq!(members.voting_slots(), SLOTS, "{phase}, {reached:?} reached");
            let leader = members.leader().unwrap();
            assert!(leader.configuration().voters.contains(&MemberId(id)), "{phase}");
            assert!(leader.configuration().learners.is_empty(), "{phase}");
        }
    }
}

#[test]
fn a_leader_may_die_with_an_admission_that_nobody_has() {
    let mut members = Members::voters(5);
    members.kill(5);
    members.run(5 * T);
    let admitted = admit(members.get(1), "slot-5", 500).unwrap();
    members.kill(1);
    members.run(10 * T);
    let leader = members.leader().unwrap();
    assert!(leader.configuration().members.iter().all(|member| member.boot != 500));
    // Its index has gone to another entry, so the process must not believe that it is that member.
    assert!(leader.commit_index() >= admitted);
    for slot in ["slot-1", "slot-5"] {
        assert!(members.join(slot) > admitted.0);
    }
    members.run(10 * T);
    assert_eq!(members.voting_slots(), SLOTS);
}

#[test]
fn a_new_member_may_die_in_every_phase_of_its_swap() {
    for (phase, when) in PHASES {
        let (mut members, id) = swapping();
        members.kill_when(when, Some(id), &[]);
        members.join("slot-5");
        members.run(10 * T);
        assert_eq!(members.voting_slots(), SLOTS, "{phase}");
        assert!(members.leader().unwrap().configuration().member(MemberId(id)).is_none());
    }
}

#[test]
fn a_leader_that_dies_may_come_back_in_every_phase_of_its_own_replacement() {
    let mut members = Members::voters(3);
    for _ in 0..4 {
        let leader = members.leader().unwrap();
        let (id, slot) = (leader.id(), leader.configuration().member(leader.id()));
        let slot = slot.unwrap().slot.clone();
        members.kill(id.0);
        members.run(10 * T);
        members.join(&slot);
        members.run(10 * T);
        assert_eq!(members.voting_slots(), SLOTS[..3]);
    }
}

#[test]
fn two_dead_slots_are_filled_at_once_one_swap_after_the_other() {
    let mut members = Members::voters(5);
    members.kill(4);
    members.kill(5);
    let fourth = members.join("slot-4");
    members.mute = vec![fourth];
    let fifth = members.join("slot-5");
    members.mute = vec![fourth, fifth];
    members.run(2 * T);
    assert_eq!(ids(&members.get(1).configuration().learners), [fourth, fifth]);
    members.mute.clear();
    members.run(5 * T);
    assert_eq!(members.voting_slots(), SLOTS);
    assert_eq!(ids(&members.get(1).configuration().voters), [1, 2, 3, fourth, fifth]);
}

#[test]
fn a_learner_under_load_is_promoted_though_it_never_has_everything() {
    let mut members = Members::voters(3);
    members.kill(3);
    let id = members.join("slot-3");
    for ticket in 1..=200 {
        // Something is always under way.
        members.get(1).submit(0, Ticket(ticket), payload(&[7; 500]));
        members.run(5);
        if members.get(1).configuration().voters.contains(&MemberId(id)) {
            return;
        }
    }
    panic!("it is still a learner");
}

#[test]
fn a_new_voter_that_falls_silent_holds_up_no_commit() {
    let mut members = Members::voters(3);
    members.kill(3);
    let id = members.join("slot-3");
    members.kill_when(|raft| raft.configuration().is_joint(), Some(id), &[]);
    members.get(1).submit(0, Ticket(1), payload(b"x"));
    members.settle();
    let leader = members.get(1);
    assert_eq!(leader.commit_index(), leader.status().last_index);
    assert!(!leader.configuration().is_joint());
}

#[test]
fn a_joint_configuration_is_left_only_when_both_halves_have_committed_it() {
    let mut raft = leader_of(configuration(&[1, 4, 5], &[1, 2, 3], &[]));
    for id in [4, 5] {
        pass(&mut raft, message(id, 1, 2, accepted(11, 0)));
    }
    assert!(raft.configuration().is_joint(), "the old half has a say");
    pass(&mut raft, message(3, 1, 2, accepted(11, 0)));
    assert!(!raft.configuration().is_joint());
    let mut raft = leader_of(configuration(&[1, 4, 5], &[1, 2, 3], &[]));
    for id in [2, 3] {
        pass(&mut raft, message(id, 1, 2, accepted(11, 0)));
    }
    assert!(raft.configuration().is_joint(), "the new half has a say");
}

#[test]
fn nothing_else_changes_while_joint() {
    let mut raft = replacing();
    pass(&mut raft, message(12, 1, 2, accepted(12, 0)));
    assert!(raft.configuration().is_joint());
    let refused = Err(MembershipError::ChangeInProgress);
    assert_eq!(admit(&mut raft, "slot-9", 9), refused);
    assert_eq!(raft.remove(MemberId(2)), refused);
    // Committed, but not left, because leadership is being handed over.
    let mut raft = replacing();
    pass(&mut raft, message(12, 1, 2, accepted(12, 0)));
    raft.transfer_leadership(Some(MemberId(2))).unwrap();
    pass(&mut raft, message(2, 1, 2, accepted(13, 0)));
    assert!(raft.configuration().is_joint() && !is_uncommitted(&raft));
    assert_eq!(admit(&mut raft, "slot-9", 9), Err(MembershipError::TransferInProgress));
}

#[test]
fn a_swap_goes_on_when_a_transfer_that_held_it_up_has_failed() {
    let mut raft = replacing();
    pass(&mut raft, message(12, 1, 2, accepted(12, 0)));
    raft.transfer_leadership(Some(MemberId(2))).unwrap();
    pass(&mut raft, message(2, 1, 2, accepted(13, 0)));
    for ms in (450..=600).step_by(50) {
        answer_at(&mut raft, ms, &[2, 12], 13);
    }
    assert!(!raft.configuration().is_joint());
}

#[test]
fn a_truncated_promotion_makes_a_learner_of_it_again() {
    let mut raft = member_of(4, configuration(&[1, 2, 3], &[], &[4]));
    let joint = Arc::new(configuration(&[1, 2, 4], &[1, 2, 3], &[]));
    let joint = entry(11, 1, EntryBody::Configuration(joint));
    pass(&mut raft, message(1, 4, 1, append((10, 1), 10, vec![joint])));
    assert!(raft.configuration().is_joint() && raft.clone().campaign_now().is_ok());
    let output = pass(&mut raft, message(2, 4, 2, append((10, 1), 10, vec![noop(11, 2)])));
    assert!(output.configuration.is_some_and(|active| active.is_learner(MemberId(4))));
    assert!(raft.campaign_now().is_err());
    assert_eq!(raft.term(), Term(2));
}

#[test]
fn a_joint_configuration_is_not_left_before_it_is_committed() {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3]);
    assert_eq!(raft.remove(MemberId(3)), Ok(Index(12)));
    raft.take_output();
    // Nor does time alone move it on.
    tick_at(&mut raft, 20);
    assert_eq!(raft.status().last_index, Index(12));
    assert!(raft.configuration().is_joint());
}
