//! Membership: learners, promotion, removal, and joint configurations, which every change of the
//! voters goes through.

use mayfly::raft::message::Body;
use mayfly::raft::types::{Configuration, EntryBody, Index, MemberId};
use mayfly::raft::{CampaignError, MembershipError, Raft, RoleKind};

use crate::members::{
    applicant, configuration, configuration_entry, leader_of, look, member_of, requests_to,
    settled, write,
};
use crate::messages::{accepted, append, granted, message, said_to, tell, vote_request};
use crate::network::{HEARTBEAT, Network, T, at, config};

fn voters(raft: &Raft) -> Vec<u64> {
    raft.configuration().voters.iter().map(|id| id.0).collect()
}

/// The configurations of the log of `raft`, oldest first.
fn configurations(raft: &Raft) -> Vec<Configuration> {
    let last = raft.last_log_id().index.0;
    let entries = (1..=last).filter_map(|index| raft.entry(Index(index)));
    let configurations = entries.filter_map(|entry| match &entry.body {
        EntryBody::Configuration(configuration) => Some(Configuration::clone(configuration)),
        _ => None,
    });
    configurations.collect()
}

/// The voters of each half, in the order of the log.
fn halves(raft: &Raft) -> Vec<(Vec<u64>, Vec<u64>)> {
    let ids = |ids: &[MemberId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
    let all = configurations(raft);
    all.iter().map(|one| (ids(&one.voters), ids(&one.voters_outgoing))).collect()
}

/// One voter, which has created the cluster and leads it, and a network to grow in.
fn alone() -> Network {
    let mut net = Network::of(1);
    net.elect(1);
    net
}

#[test]
fn add_node() {
    let mut net = Network::led(3);
    net.write(1, "a");
    let id = net.join(1, "slot-04", false);
    net.run(2 * T);
    assert_eq!(voters(net.raft(1)), [1, 2, 3, id]);
    net.heartbeat();
    net.assert_applied(id, &["a"]);
    // Four voters: two do not decide.
    net.isolate(2);
    net.isolate(3);
    let commit = net.commit(1);
    net.write(1, "b");
    assert_eq!(net.commit(1), commit);
}

#[test]
fn add_learner() {
    let mut raft = settled(3, config());
    let index = raft.admit(applicant("slot-04", 4)).unwrap();
    // Until that is committed, its index may go to somebody else.
    let output = look(&mut raft, HEARTBEAT);
    assert_eq!(said_to(&output, index.0), Vec::<&Body>::new());
    assert_eq!(raft.configuration().learners, [MemberId(index.0)]);
    assert_eq!(voters(&raft), [1, 2, 3], "it is not counted");
    let output = tell(&mut raft, message(2, 1, 2, accepted(index.0)));
    assert_eq!(raft.commit_index(), index, "two of three voters");
    assert_eq!(requests_to(&output, index.0).len(), 1);
}

#[test]
fn remove_node() {
    let mut net = Network::led(3);
    net.get(1).raft.remove(MemberId(3)).unwrap();
    net.heartbeat();
    assert_eq!(voters(net.raft(1)), [1, 2]);
    assert!(net.raft(3).configuration().member(MemberId(3)).is_none(), "it was told");
    // Who is not in it any more is not listened to: its elections disturb nobody.
    assert!(!net.time_out(3));
    net.write(1, "a");
    net.assert_applied(1, &["a"]);
    assert_eq!(net.raft(1).peer_status(MemberId(3)), None);
}

/// The last voter stays: nobody would be left to decide anything.
#[test]
fn remove_node_itself() {
    let mut raft = leader_of(configuration(&[1], &[], &[2]), &[], true);
    assert_eq!(raft.remove(MemberId(1)), Err(MembershipError::LastVoter));
    assert_eq!(voters(&raft), [1]);
    assert!(raft.remove(MemberId(2)).is_ok(), "the learner may go");
}

#[test]
fn remove_learner() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[4]), &[2, 3], true);
    raft.remove(MemberId(4)).unwrap();
    assert!(raft.configuration().learners.is_empty());
    assert!(raft.configuration().member(MemberId(4)).is_none());
    assert!(!raft.configuration().is_joint(), "no voter has changed");
}

#[test]
fn learner_promotion() {
    let mut net = Network::led(3);
    let id = net.join(1, "slot-04", false);
    net.run(2 * T);
    net.heartbeat();
    assert!(net.raft(id).configuration().is_voter(MemberId(id)));
    net.elect(id);
    net.write(id, "a");
    net.heartbeat();
    net.assert_applied(1, &["a"]);
}

/// A learner that has caught up waits while the voters that there would be then do not answer.
#[test]
fn learner_promotion_without_a_quorum() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[4, 5]), &[2, 3], true);
    raft.set_now(at(T));
    tell(&mut raft, message(4, 1, 2, accepted(11)));
    assert!(raft.configuration().is_learner(MemberId(4)), "1 and 4 of 1, 2, 3 and 4");
    tell(&mut raft, message(2, 1, 2, accepted(11)));
    tell(&mut raft, message(4, 1, 2, accepted(11)));
    assert!(raft.configuration().is_voter(MemberId(4)));
}

/// A learner may have been promoted by an entry that it has not got yet, and may be the one whose
/// vote is missing. It is for the candidate to know who counts.
#[test]
fn learner_can_vote() {
    let mut learner = member_of(4, configuration(&[1, 2, 3], &[], &[4]));
    let output = tell(&mut learner, message(2, 4, 2, vote_request((11, 1))));
    assert_eq!(said_to(&output, 2), [&granted(true)]);
    let output = tell(&mut learner, message(3, 4, 2, vote_request((11, 1))));
    assert_eq!(said_to(&output, 3), [&granted(false)], "once per term, as a voter");
}

#[test]
fn learner_respond_vote() {
    for (last, expected) in [((10, 1), true), ((9, 1), false), ((99, 0), false)] {
        let mut learner = member_of(4, configuration(&[1, 2, 3], &[], &[4]));
        let output = tell(&mut learner, message(2, 4, 2, vote_request(last)));
        assert_eq!(said_to(&output, 2), [&granted(expected)], "{last:?}");
    }
    // And a candidate does not count it.
    let mut candidate = member_of(1, configuration(&[1, 2, 3], &[], &[4]));
    candidate.campaign_now().unwrap();
    candidate.step(message(4, 1, 2, granted(true)));
    assert_eq!(candidate.role_kind(), RoleKind::Candidate);
}

#[test]
fn learner_election_timeout() {
    let mut learner = member_of(4, configuration(&[1, 2, 3], &[], &[4]));
    for ms in (0..20 * T).step_by(10) {
        assert!(look(&mut learner, ms).messages.is_empty());
    }
    assert_eq!(learner.role_kind(), RoleKind::Follower);
}

#[test]
fn learner_campaign() {
    let mut learner = member_of(4, configuration(&[1, 2, 3], &[], &[4]));
    assert_eq!(learner.campaign_now(), Err(CampaignError::NotVoter));
    tell(&mut learner, message(2, 4, 1, append((10, 1), 10, vec![])));
    let output = tell(&mut learner, message(2, 4, 1, Body::TimeoutNow));
    assert!(output.messages.is_empty());
    assert_eq!((learner.role_kind(), learner.term().0), (RoleKind::Follower, 1));
}

#[test]
fn learner_log_replication() {
    let mut net = Network::led(3);
    let id = net.join(1, "slot-04", true);
    for text in ["a", "b"] {
        net.write(1, text);
    }
    net.heartbeat();
    net.assert_applied(id, &["a", "b"]);
    assert_eq!(net.commit(id), net.commit(1));
    // It is an observer, so it stays one, and is not waited for.
    net.isolate(2);
    net.isolate(3);
    let commit = net.commit(1);
    net.write(1, "c");
    assert_eq!((net.commit(1), net.last(id)), (commit, net.last(1)));
}

/// A new leader changes nothing before an entry of its own term is committed: a change of a former
/// term may be in its log, or may have been committed elsewhere.
#[test]
fn new_leader_pending_config() {
    for pending in [false, true] {
        let mut raft = member_of(1, configuration(&[1, 2, 3], &[], &[]));
        if pending {
            let next = configuration(&[1, 2, 3], &[], &[4]);
            let entries = vec![configuration_entry(11, 1, next)];
            tell(&mut raft, message(2, 1, 1, append((10, 1), 10, entries)));
        }
        crate::members::take_the_lead(&mut raft, [2]);
        let refused = Err(MembershipError::NoEntryOfOwnTerm);
        assert_eq!(raft.admit(applicant("slot-9", 9)), refused);
        let last = raft.last_log_id().index.0;
        tell(&mut raft, message(2, 1, 2, accepted(last)));
        assert_eq!(raft.admit(applicant("slot-9", 9)), Ok(Index(last + 1)));
    }
}

#[test]
fn step_ignore_config() {
    let mut raft = settled(3, config());
    raft.admit(applicant("slot-04", 4)).unwrap();
    let last = raft.last_log_id();
    assert_eq!(raft.admit(applicant("slot-05", 5)), Err(MembershipError::ChangeInProgress));
    assert_eq!(raft.remove(MemberId(3)), Err(MembershipError::ChangeInProgress));
    assert_eq!(raft.last_log_id(), last, "nothing is appended in its place");
}

/// A configuration counts from when it is appended, so a candidate need not wait until it has
/// applied one: it asks those whom the latest one in its log names, committed or not.
#[test]
fn conf_change_check_before_campaign() {
    let mut raft = member_of(1, configuration(&[1, 2, 3], &[], &[4]));
    let joint = configuration(&[1, 2, 4], &[1, 2, 3], &[]);
    let entries = vec![configuration_entry(11, 1, joint)];
    tell(&mut raft, message(2, 1, 1, append((10, 1), 10, entries)));
    raft.peer_unreachable(MemberId(2));
    let _lost = raft.take_output();
    raft.campaign_now().unwrap();
    let mut asked: Vec<u64> = raft.take_output().messages.iter().map(|m| m.to.0).collect();
    asked.sort_unstable();
    assert_eq!(asked, [2, 3, 4]);
    raft.step(message(4, 1, 2, granted(true)));
    assert!(!raft.is_leader(), "1 and 4 are no majority of 1, 2 and 3");
    raft.step(message(3, 1, 2, granted(true)));
    assert!(raft.is_leader());
}

/// Removing one of two: the change needs both, and what comes after its end only the one that is
/// left.
#[test]
fn commit_after_remove_node() {
    let mut raft = leader_of(configuration(&[1, 2], &[], &[]), &[2], true);
    raft.remove(MemberId(2)).unwrap();
    write(&mut raft, 1, 8);
    assert_eq!(raft.commit_index(), Index(11), "2 has a say yet");
    let output = tell(&mut raft, message(2, 1, 2, accepted(12)));
    assert_eq!(voters(&raft), [1]);
    assert_eq!(raft.commit_index(), Index(14), "the end, and the batch before it, by 1 alone");
    let tickets: Vec<u64> = output.committed.iter().filter_map(|c| c.ticket).map(|t| t.0).collect();
    assert_eq!(tickets, [1]);
    write(&mut raft, 2, 8);
    assert_eq!(raft.commit_index(), Index(15));
}

#[test]
fn promotable() {
    let cases = [
        (configuration(&[1], &[], &[]), true),
        (configuration(&[1, 2, 3], &[], &[]), true),
        (configuration(&[2, 3], &[1, 2, 3], &[]), true),
        (configuration(&[2, 3], &[], &[1]), false),
        (configuration(&[2, 3], &[], &[]), false),
        (configuration(&[], &[], &[]), false),
    ];
    for (configuration, expected) in cases {
        let mut raft = member_of(1, configuration.clone());
        assert_eq!(raft.campaign_now().is_ok(), expected, "{configuration:?}");
    }
}

/// The leader that promoted 4 is gone, and only 2 has the entry. It needs the vote of 4, which
/// takes itself for a learner.
#[test]
fn campaign_learner_must_vote() {
    let mut candidate = member_of(2, configuration(&[1, 2, 4], &[], &[]));
    let mut learner = member_of(4, configuration(&[1, 2], &[], &[4]));
    candidate.campaign_now().unwrap();
    let asked = candidate.take_output().messages;
    let request = asked.into_iter().find(|m| m.to.0 == 4).expect("4 is asked");
    let answers = tell(&mut learner, request).messages;
    answers.into_iter().for_each(|answer| candidate.step(answer));
    assert!(candidate.is_leader());
}

#[test]
fn confchange_v1_add_single() {
    let mut net = alone();
    net.write(1, "a");
    let id = net.join(1, "slot-02", false);
    net.run(2 * T);
    assert_eq!(voters(net.raft(1)), [1, id]);
    net.heartbeat();
    net.assert_applied(id, &["a"]);
    // Both are needed now.
    net.isolate(id);
    let commit = net.commit(1);
    net.write(1, "b");
    assert_eq!(net.commit(1), commit);
}

/// The leader replicates and commits its own removal, not counting itself.
#[test]
fn confchange_v1_remove_leader() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[]), &[2, 3], true);
    raft.remove(MemberId(1)).unwrap();
    write(&mut raft, 1, 8);
    tell(&mut raft, message(2, 1, 2, accepted(13)));
    assert_eq!(raft.commit_index(), Index(11), "1 and 2 are no majority of 2 and 3");
    let output = tell(&mut raft, message(3, 1, 2, accepted(13)));
    assert_eq!(raft.commit_index(), Index(13));
    assert!(raft.is_leader(), "until the end of the change is committed");
    assert_eq!(output.committed.iter().filter(|c| c.ticket.is_some()).count(), 1);
    assert!(!requests_to(&output, 2).is_empty());
}

/// It steps down with the commit, and the voter that it tells takes over without a timeout.
#[test]
fn confchange_v1_remove_leader_stepdown() {
    let mut net = Network::led(3);
    net.get(1).raft.remove(MemberId(1)).unwrap();
    net.deliver_all();
    assert_eq!(net.role(1), RoleKind::Follower);
    let leader = net.leader().expect("no time has passed");
    assert_ne!(leader, 1);
    assert_eq!(voters(net.raft(leader)), [2, 3]);
    net.write(leader, "a");
    net.assert_applied(leader, &["a"]);
    assert!(!net.time_out(1), "it never campaigns again");
}

/// Every change of the voters is two entries: a joint configuration, and its end.
#[test]
fn confchange_v2_add_single_explicit() {
    let mut net = alone();
    let id = net.join(1, "slot-02", false);
    net.run(2 * T);
    let both = vec![1, id];
    let found = halves(net.raft(1));
    assert_eq!(found[found.len() - 2..], [(both.clone(), vec![1]), (both, vec![])]);
}

/// The leader appends the end by itself, as soon as the joint configuration is committed.
#[test]
fn confchange_v2_add_single_auto() {
    let mut raft = leader_of(configuration(&[1, 2, 4], &[1, 2, 3], &[]), &[2, 4], false);
    assert!(raft.configuration().is_joint());
    let output = tell(&mut raft, message(2, 1, 2, accepted(11)));
    assert!(!raft.configuration().is_joint());
    let sent = requests_to(&output, 2);
    assert_eq!(sent.last().map(|(_, entries)| entries.clone()), Some(vec![12]));
}

/// Two that join at once are promoted one after the other; what is asked for in between waits.
#[test]
fn confchange_v2_add_double_auto() {
    let mut net = alone();
    let first = net.join(1, "slot-02", false);
    let second = net.join(1, "slot-03", false);
    net.run(4 * T);
    assert_eq!(voters(net.raft(1)), [1, first, second]);
    let found = halves(net.raft(1));
    let joint = found.iter().filter(|(_, outgoing)| !outgoing.is_empty()).count();
    assert_eq!(joint, 2, "{found:?}");
}

/// The end of a joint configuration is never asked for, so it can be neither early nor forgotten.
#[test]
fn confchange_v2_add_double_implicit() {
    let mut net = Network::led(3);
    net.join(1, "slot-04", false);
    net.join(1, "slot-05", false);
    net.run(4 * T);
    for pair in halves(net.raft(1)).windows(2) {
        let [(new, old), (next, next_old)] = pair else { unreachable!("windows of two") };
        if old.is_empty() {
            // What follows begins from it.
            assert!(next_old.is_empty() && next == new || next_old == new, "{pair:?}");
        } else {
            assert_eq!((next, next_old), (new, &vec![]), "the same voters, alone");
        }
    }
}

/// Leadership moves to another voter in the middle of the change that removes the leader; whoever
/// leads then ends it.
#[test]
fn confchange_v2_replace_leader() {
    let mut net = Network::led(3);
    let id = net.join(1, "slot-04", false);
    net.run(2 * T);
    net.hold(|m| m.to.0 == 1);
    net.get(1).raft.remove(MemberId(1)).unwrap();
    net.deliver_all();
    assert!(net.raft(1).configuration().is_joint());
    net.get(1).raft.transfer_leadership(Some(MemberId(id))).unwrap();
    net.release();
    net.deliver_all();
    net.heartbeat();
    net.assert_leader(id);
    assert_eq!(voters(net.raft(id)), [2, 3, id]);
    assert!(!net.raft(id).configuration().is_joint());
}

#[test]
fn confchange_v2_replace_leader_stepdown() {
    let mut net = Network::led(3);
    let id = net.join(1, "slot-04", false);
    net.run(2 * T);
    net.get(1).raft.remove(MemberId(1)).unwrap();
    net.heartbeat();
    let leader = net.leader().expect("it was told to campaign");
    assert_eq!(voters(net.raft(leader)), [2, 3, id]);
    assert_eq!(net.role(1), RoleKind::Follower);
    net.write(leader, "a");
    net.heartbeat();
    net.assert_applied(id, &["a"]);
}

/// A follower leaves no joint configuration; it does so when it leads.
#[test]
fn raw_node_joint_auto_leave() {
    let mut raft = member_of(1, configuration(&[1, 2, 4], &[1, 2, 3], &[]));
    assert_eq!(raft.commit_index(), Index(10), "it is committed");
    look(&mut raft, 10);
    assert!(raft.configuration().is_joint());
    crate::members::take_the_lead(&mut raft, [2, 4]);
    look(&mut raft, HEARTBEAT);
    assert!(raft.configuration().is_joint(), "it has committed nothing of its term yet");
    tell(&mut raft, message(2, 1, 2, accepted(11)));
    assert_eq!(raft.status().configuration_index, Index(12));
}

/// A process that asks again gets its first answer, whatever has become of it.
#[test]
fn propose_add_duplicate_node() {
    let mut net = Network::led(3);
    let asks = |net: &mut Network| net.get(1).raft.admit(applicant("slot-04", 44));
    let index = asks(&mut net).unwrap();
    assert_eq!(asks(&mut net), Ok(index), "not yet committed");
    net.heartbeat();
    let last = net.last(1);
    assert_eq!(asks(&mut net), Ok(index), "committed");
    net.start(index.0, config());
    net.run(2 * T);
    assert!(net.raft(1).configuration().is_voter(MemberId(index.0)));
    let after = net.last(1);
    assert_eq!(asks(&mut net), Ok(index), "a voter");
    assert!(after > last);
    assert_eq!(net.last(1), after);
}

#[test]
fn joint_autoleave() {
    for leader_dies in [false, true] {
        let mut net = Network::led(5);
        net.get(1).raft.remove(MemberId(5)).unwrap();
        net.hold(|m| matches!(m.body, Body::AppendAccepted { .. }));
        net.deliver_all();
        assert!(net.raft(2).configuration().is_joint());
        if leader_dies {
            net.held.clear();
            net.kill(1);
        }
        net.release();
        net.run_until("somebody ends it", |net| {
            let configuration = |id| net.raft(id).configuration();
            net.leader().is_some_and(|id| !configuration(id).is_joint())
        });
        let leader = net.leader().unwrap();
        assert_eq!(voters(net.raft(leader)), [1, 2, 3, 4], "{leader_dies}");
        net.write(leader, "a");
        net.assert_applied(leader, &["a"]);
    }
}

/// Asked twice, for the removal of one member: the second time it is no member any more.
#[test]
fn joint_idempotency() {
    let mut net = Network::led(3);
    net.get(1).raft.remove(MemberId(3)).unwrap();
    let refused = Err(MembershipError::ChangeInProgress);
    assert_eq!(net.get(1).raft.remove(MemberId(3)), refused);
    net.heartbeat();
    assert_eq!(net.get(1).raft.remove(MemberId(3)), Err(MembershipError::UnknownMember));
    assert_eq!(voters(net.raft(1)), [1, 2]);
}

#[test]
fn joint_safety() {
    let mut raft = leader_of(configuration(&[1, 2, 4], &[1, 2, 3], &[]), &[2, 4], false);
    let refused = Err(MembershipError::NoEntryOfOwnTerm);
    assert_eq!(raft.remove(MemberId(2)), refused, "nothing begins before the no-op is committed");
    // Leadership is being handed over, so the joint configuration is committed and not left.
    raft.transfer_leadership(Some(MemberId(3))).expect_err("3 is leaving");
    raft.transfer_leadership(Some(MemberId(2))).unwrap();
    tell(&mut raft, message(4, 1, 2, accepted(11)));
    tell(&mut raft, message(3, 1, 2, accepted(11)));
    assert!(raft.configuration().is_joint());
    assert_eq!(raft.commit_index(), Index(11));
    assert_eq!(raft.remove(MemberId(2)), Err(MembershipError::TransferInProgress));
    assert_eq!(raft.admit(applicant("slot-9", 9)), Err(MembershipError::TransferInProgress));
    // The transfer has failed, and the next heartbeat is to leave the joint configuration.
    raft.set_now(at(T - 1));
    for id in [2, 3, 4] {
        tell(&mut raft, message(id, 1, 2, accepted(11)));
    }
    raft.set_now(at(T));
    raft.tick();
    assert!(raft.is_leader() && raft.configuration().is_joint());
    assert_eq!(raft.remove(MemberId(2)), Err(MembershipError::ChangeInProgress));
    assert_eq!(raft.admit(applicant("slot-9", 9)), Err(MembershipError::ChangeInProgress));
}

#[test]
fn simple_idempotency() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[4]), &[2, 3], true);
    // Member 4 has the boot 4.
    let last = raft.last_log_id();
    assert_eq!(raft.admit(applicant("slot-4", 4)), Ok(Index(4)));
    assert_eq!(raft.admit(applicant("slot-9", 4)), Ok(Index(4)));
    assert_eq!((raft.last_log_id(), voters(&raft)), (last, vec![1, 2, 3]));
}

/// A learner becomes a voter, and never the other way round: who is to count no longer leaves.
#[test]
fn simple_promote_demote() {
    let mut net = Network::led(3);
    let id = net.join(1, "slot-04", false);
    net.run(2 * T);
    net.get(1).raft.remove(MemberId(id)).unwrap();
    net.heartbeat();
    for configuration in configurations(net.raft(1)) {
        assert!(configuration.learners.iter().all(|learner| !configuration.is_voter(*learner)));
        assert!(configuration.members.iter().all(|member| {
            configuration.is_voter(member.id) || configuration.is_learner(member.id)
        }));
    }
    assert_eq!(voters(net.raft(1)), [1, 2, 3]);
    assert!(net.raft(1).configuration().member(MemberId(id)).is_none());
}

/// In the whole life of a cluster no entry changes the voters at one stroke.
#[test]
fn simple_safety() {
    let mut net = Network::led(3);
    for slot in ["slot-04", "slot-05"] {
        net.join(1, slot, false);
        net.run(2 * T);
    }
    net.kill(2);
    net.join(1, "slot-02", false);
    net.run(3 * T);
    net.get(1).raft.remove(MemberId(3)).unwrap();
    net.heartbeat();
    let found = halves(net.raft(1));
    assert!(found.len() > 8, "{found:?}");
    for pair in found.windows(2) {
        let changes = pair[0].0 != pair[1].0;
        assert!(!changes || pair[1].1 == pair[0].0, "without the old half: {pair:?}");
    }
}

/// 0 is nobody's id: it is no member, and what it says is not heard.
#[test]
fn zero() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[]), &[2, 3], true);
    assert_eq!(raft.remove(MemberId::NONE), Err(MembershipError::UnknownMember));
    let before = raft.clone();
    raft.step(message(0, 1, 9, vote_request((99, 9))));
    raft.step(message(2, 0, 9, vote_request((99, 9))));
    assert_eq!(raft, before);
}

/// A joint configuration that a new leader finds in its log is left only when both halves have
/// acknowledged an entry of its term, though the former leader may have committed it already.
#[test]
fn leave_joint_only_under_both_halves_after_recovery() {
    for (acknowledged, left) in [
        (&[4, 5][..], false),
        (&[2, 3], false),
        (&[2, 4], true),
        (&[3, 5], true),
        (&[2, 3, 4], true),
    ] {
        let both = configuration(&[1, 4, 5], &[1, 2, 3], &[]);
        let mut raft = member_of(1, both);
        crate::members::take_the_lead(&mut raft, [2, 4]);
        for id in acknowledged {
            tell(&mut raft, message(*id, 1, 2, accepted(11)));
        }
        assert_eq!(!raft.configuration().is_joint(), left, "{acknowledged:?}");
    }
    // The end of it commits by the new half alone.
    let mut raft = leader_of(configuration(&[1, 4, 5], &[1, 2, 3], &[]), &[2, 4], true);
    tell(&mut raft, message(5, 1, 2, accepted(12)));
    assert_eq!(raft.commit_index(), Index(12));
}

/// The next leader has not got the joint configuration, and takes it back everywhere.
#[test]
fn truncation_of_an_uncommitted_config() {
    let mut net = Network::led(5);
    net.partition(&[1, 2], &[3, 4, 5]);
    net.get(1).raft.remove(MemberId(5)).unwrap();
    net.deliver_all();
    assert!(net.raft(1).configuration().is_joint() && net.raft(2).configuration().is_joint());
    net.isolate(1);
    net.isolate(2);
    net.elect(3);
    net.heal();
    net.heartbeat();
    for id in 1..=5 {
        assert!(!net.raft(id).configuration().is_joint(), "{id}");
        assert_eq!(voters(net.raft(id)), [1, 2, 3, 4, 5]);
    }
    net.elect(5);
}

#[test]
fn overlapping_change_refused() {
    let mut net = Network::led(5);
    let refused = Err(MembershipError::ChangeInProgress);
    net.get(1).raft.remove(MemberId(5)).unwrap();
    assert_eq!(net.get(1).raft.remove(MemberId(4)), refused, "appended");
    // Committed, and its end is appended.
    net.hold(|m| {
        matches!(m.body, Body::AppendAccepted { match_index, .. }
        if match_index == Index(8))
    });
    net.deliver_all();
    assert!(!net.raft(1).configuration().is_joint());
    assert_eq!(net.get(1).raft.remove(MemberId(4)), refused, "its end is not committed");
    net.release();
    net.deliver_all();
    assert!(net.get(1).raft.remove(MemberId(4)).is_ok());
}

/// A leader may die with any message of a change on its way: somebody of those who are left ends
/// the change or goes on without it.
#[test]
fn leader_crash_in_each_joint_phase() {
    let mut ends = [0; 6];
    for passes in 0..14 {
        let mut net = Network::led(5);
        net.get(1).raft.remove(MemberId(5)).unwrap();
        for _ in 0..passes {
            // One message to each.
            for to in 1..=5 {
                let first = std::cell::Cell::new(true);
                net.deliver_where(|m| m.to.0 == to && first.replace(false));
            }
        }
        net.kill(1);
        net.run_until("there is a leader", |net| net.leader().is_some());
        net.run(2 * T);
        let leader = net.leader().unwrap();
        assert!(!net.raft(leader).configuration().is_joint(), "{passes}");
        ends[voters(net.raft(leader)).len()] += 1;
        net.write(leader, "a");
        net.assert_applied(leader, &["a"]);
    }
    assert!(ends[4] > 2 && ends[5] > 0 && ends[4] + ends[5] == 14, "{ends:?}");
}
