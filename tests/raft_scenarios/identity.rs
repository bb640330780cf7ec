//! Volatile identity: a process that is started anew is another member. What a restart must not be
//! able to do, and what is refused to whoever is not what it should be.

use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{Boot, Entry, Index, MemberId, Term, Ticket};
use mayfly::raft::{
    Answer, Decision, FreshNode, GiveUpReason, MembershipError, OnTotalLoss, Raft, RecoverError,
    RoleKind, TransferError, decide, seen,
};

use crate::members::{
    answered, applicant, configuration, configuration_entry, forward, leader_of, look, member_of,
    requests_to, settled, zeroes,
};
use crate::messages::{
    accepted, append, granted, message, noop, pre_vote_request, said_to, tell, vote_request,
};
use crate::network::{Network, T, at, config, fresh};

fn admit(raft: &mut Raft, slot: &str, boot: Boot) -> Result<Index, MembershipError> {
    raft.admit(applicant(slot, boot))
}

/// The process of `id` ends and is started anew in its slot; the new member's id.
fn restart(net: &mut Network, id: u64) -> u64 {
    net.kill(id);
    net.run_until("there is a leader", |net| net.leader().is_some());
    let leader = net.leader().expect("there is a leader");
    let member = net.raft(leader).configuration().member(MemberId(id)).cloned();
    net.join(leader, &member.expect("it was a member").slot, false)
}

/// As [`restart`], until the new member votes in the place of the old one.
fn replace(net: &mut Network, id: u64) -> u64 {
    let successor = restart(net, id);
    net.run_until("it has taken its place", |net| {
        net.leader().is_some_and(|leader| {
            let configuration = net.raft(leader).configuration();
            let taken = configuration.voters.contains(&MemberId(successor));
            taken && !configuration.is_joint() && configuration.member(MemberId(id)).is_none()
        })
    });
    net.heartbeat();
    successor
}

fn voting_slots(net: &Network) -> Vec<String> {
    let configuration = net.raft(net.leader().expect("a leader")).configuration();
    let slot = |id: &MemberId| configuration.member(*id).expect("a member").slot.clone();
    let mut slots: Vec<String> = configuration.voters.iter().map(slot).collect();
    slots.sort_unstable();
    slots
}

/// Member 3 votes for 2 and is started anew: its successor has no vote that anybody counts, so
/// nobody gets a second one in that term from this slot.
#[test]
fn vote_crash_restart_vote() {
    let mut net = Network::led(3);
    net.isolate(1);
    net.lose(|m| m.from.0 == 3 && matches!(m.body, Body::VoteResponse { .. }));
    net.campaign(2);
    let term = net.term(2);
    assert_eq!((net.role(2), net.term(3)), (RoleKind::Candidate, term));
    // The successor, whatever it is asked in that term, elects nobody.
    let mut successor = Raft::join(config(), MemberId(9), at(0));
    let asked = message(1, 9, term, vote_request((99, term - 1)));
    let answers = tell(&mut successor, asked).messages;
    assert_eq!(answers.len(), 1, "asked under its own id it answers");
    let mut candidate = member_of(1, configuration(&[1, 2, 3], &[], &[]));
    candidate.campaign_now().unwrap();
    candidate.step(message(9, 1, candidate.term().0, granted(true)));
    assert!(!candidate.is_leader(), "and is not counted");
    // Under its predecessor's id it does not answer.
    let as_before = message(1, 3, term, vote_request((99, term - 1)));
    assert!(tell(&mut successor, as_before).messages.is_empty());
}

/// Who acknowledged an entry forgets it; then the leader dies. Of three that leaves one, which has
/// no quorum, so nothing contradicts what was acknowledged.
#[test]
fn ack_crash_restart_then_leader_crash_of_three() {
    let mut net = Network::led(3);
    net.lose(|m| m.to.0 == 3);
    let ticket = net.write(1, "a");
    assert!(net.is_answered(1, ticket));
    net.kill(2);
    net.kill(1);
    net.heal();
    net.run(20 * T);
    assert_eq!(net.leader(), None, "3 has not got it, and halts");
    assert!(net.raft(3).is_quorum_lost());
    // Had the successor of 2 come back in time, it would have got the entry before it counted.
    let mut net = Network::led(3);
    net.lose(|m| m.to.0 == 3);
    net.write(1, "a");
    net.heal();
    let successor = replace(&mut net, 2);
    net.kill(1);
    net.run(4 * T);
    let leader = net.leader().expect("two of three");
    net.assert_applied(leader, &["a"]);
    net.assert_applied(successor, &["a"]);
}

#[test]
fn ack_crash_restart_then_leader_crash_of_five() {
    let mut net = Network::led(5);
    net.lose(|m| m.to.0 == 4 || m.to.0 == 5);
    let ticket = net.write(1, "a");
    assert!(net.is_answered(1, ticket), "1, 2 and 3 have it");
    net.heal();
    let second = replace(&mut net, 2);
    let third = replace(&mut net, 3);
    net.kill(1);
    net.run(4 * T);
    let leader = net.leader().expect("four of five");
    for id in [leader, second, third, 4, 5] {
        net.assert_applied(id, &["a"]);
    }
}

/// What a dead process had said is taken as long as it is a member, and counts as what it was; once
/// a committed configuration has replaced it, it is dropped.
#[test]
fn delayed_frames_from_a_dead_boot() {
    let mut net = Network::led(3);
    net.hold(|m| m.from.0 == 2);
    net.write(1, "a");
    net.write(2, "b");
    net.time_out(2);
    net.deliver_all();
    let late = net.held.clone();
    let kinds = |wanted: fn(&Body) -> bool| late.iter().filter(|m| wanted(&m.body)).count();
    assert!(kinds(|body| matches!(body, Body::AppendAccepted { .. })) > 0);
    assert!(kinds(|body| matches!(body, Body::Forward { .. })) > 0);
    assert!(kinds(|body| matches!(body, Body::PreVoteRequest { .. })) > 0);
    net.heal();
    net.held.clear();
    replace(&mut net, 2);
    for frame in late {
        let to = frame.to.0;
        let before = net.raft(to).clone();
        net.get(to).raft.step(frame);
        assert_eq!(*net.raft(to), before);
    }
    net.assert_applied(1, &["a"]);
}

/// A member that missed a swap asks the old id for its vote: the process in that slot does not
/// answer for it, and the candidate does not win.
#[test]
fn old_config_candidate_asking_a_replaced_slot() {
    let mut net = Network::led(5);
    net.isolate(4);
    let successor = replace(&mut net, 5);
    assert!(net.raft(4).configuration().member(MemberId(5)).is_some());
    net.get(4).raft.campaign_now().unwrap();
    let asked: Vec<Message> = net.get(4).raft.take_output().messages;
    let request = asked.into_iter().find(|m| m.to.0 == 5).expect("it asks 5");
    let before = net.raft(successor).clone();
    net.get(successor).raft.step(request);
    assert_eq!(*net.raft(successor), before);
}

/// A new process replays the log from its begin and meets a configuration that has its predecessor
/// as the only voter. Its own id stands in none of these.
#[test]
fn historical_single_node_config() {
    let mut raft = Raft::join(config(), MemberId(12), at(0));
    let mut log: Vec<Entry> = vec![configuration_entry(1, 1, configuration(&[3], &[], &[]))];
    log.push(noop(2, 1));
    tell(&mut raft, message(1, 12, 4, append((0, 0), 2, log)));
    assert_eq!(raft.configuration().voters, [MemberId(3)]);
    raft.peer_unreachable(MemberId(1));
    for ms in (0..20 * T).step_by(10) {
        assert!(look(&mut raft, ms).messages.is_empty());
    }
    assert!(raft.campaign_now().is_err());
}

#[test]
fn restart_during_learner_catch_up() {
    let mut net = Network::led(3);
    net.write(1, "a");
    net.lose(|m| m.to.0 > 3);
    let first = restart(&mut net, 3);
    net.run(T);
    assert!(net.raft(1).configuration().is_learner(MemberId(first)));
    net.heal();
    net.kill(first);
    let second = net.join(1, "slot-03", false);
    net.run(4 * T);
    assert!(net.raft(1).configuration().member(MemberId(first)).is_none());
    assert!(net.raft(1).configuration().is_voter(MemberId(second)));
    net.assert_applied(second, &["a"]);
    assert_eq!(voting_slots(&net), ["slot-01", "slot-02", "slot-03"]);
}

/// While one slot is being swapped, a voter of another one is started anew.
#[test]
fn restart_during_joint() {
    let mut net = Network::led(5);
    net.hold(|m| matches!(m.body, Body::AppendAccepted { .. }) && m.from.0 < 5);
    net.heal();
    let fifth = restart(&mut net, 5);
    net.run_until("it is joint", |net| {
        net.lose(|m| matches!(m.body, Body::AppendAccepted { .. }) && m.from.0 == 3);
        net.raft(1).configuration().is_voter(MemberId(fifth))
    });
    net.heal();
    let fourth = replace(&mut net, 4);
    let configuration = net.raft(net.leader().unwrap()).configuration();
    for id in [fifth, fourth] {
        assert!(configuration.voters.contains(&MemberId(id)));
    }
    assert_eq!(configuration.members.len(), 5);
}

/// The new member dies as soon as it is a voter of a joint configuration.
#[test]
fn restart_of_the_new_node_during_joint() {
    let mut net = Network::led(3);
    let first = restart(&mut net, 3);
    net.hold(|m| matches!(m.body, Body::AppendAccepted { .. }));
    for _ in 0..20 {
        net.deliver_all();
        if net.raft(1).configuration().is_joint() {
            break;
        }
        net.release();
        net.deliver_where(|m| m.from.0 == first);
        net.hold(|m| matches!(m.body, Body::AppendAccepted { .. }));
    }
    assert!(net.raft(1).configuration().is_joint());
    net.release();
    let second = replace(&mut net, first);
    assert_eq!(voting_slots(&net), ["slot-01", "slot-02", "slot-03"]);
    assert_ne!(first, second);
}

#[test]
fn leader_restart_during_swap() {
    let mut net = Network::led(5);
    let fifth = restart(&mut net, 5);
    // The leader is started anew with the swap under way.
    net.kill(1);
    net.run_until("there is a leader", |net| net.leader().is_some());
    let leader = net.leader().unwrap();
    let first = net.join(leader, "slot-01", false);
    net.run(6 * T);
    let configuration = net.raft(net.leader().unwrap()).configuration();
    assert_eq!(configuration.members.len(), 5, "{configuration:?}");
    for id in [fifth, first] {
        assert!(configuration.voters.contains(&MemberId(id)));
    }
}

/// A second process of a slot is told that the first one lives, for as long as that is heard.
#[test]
fn duplicate_slot() {
    let mut net = Network::led(3);
    for _ in 0..20 {
        net.run(T / 2);
        let refused = net.get(1).raft.admit(applicant("slot-02", 99));
        assert!(matches!(refused, Err(MembershipError::SlotAlive { member: MemberId(2), .. })));
        let own = net.get(1).raft.admit(applicant("slot-01", 98));
        assert!(matches!(own, Err(MembershipError::SlotAlive { member: MemberId(1), .. })));
    }
    net.kill(2);
    net.run(2 * T);
    let refused = net.get(1).raft.admit(applicant("slot-02", 99));
    assert!(matches!(refused, Err(MembershipError::SlotAlive { .. })), "not for long enough");
    net.run(3 * T);
    assert!(net.get(1).raft.admit(applicant("slot-02", 99)).is_ok());
}

/// Two of three are started anew at once. The survivor admits nobody, and nobody repairs anything.
#[test]
fn majority_restart_is_refused() {
    let mut net = Network::led(3);
    net.write(1, "a");
    net.kill(1);
    net.kill(2);
    for _ in 0..30 {
        net.run(T);
        for slot in ["slot-01", "slot-02"] {
            let refused = net.get(3).raft.admit(applicant(slot, 99));
            assert_eq!(refused, Err(MembershipError::NotLeader { leader: None }));
        }
    }
    assert!(net.raft(3).is_quorum_lost());
    assert_eq!((net.leader(), net.term(3)), (None, 2), "not even its term has moved");
}

/// What a listed node has said, with everybody it has heard.
fn says(node: u64, all: &[u64]) -> (String, Answer) {
    let seen = all.iter().map(|id| fresh(*id)).collect();
    (format!("host-{node}"), Answer::Fresh { node: fresh(node), seen })
}

#[test]
fn all_restart_unanimous_only() {
    let all = [1, 2, 3];
    let unanimous = [says(2, &all), says(3, &all)];
    let founders: Vec<FreshNode> = all.iter().map(|id| fresh(*id)).collect();
    assert_eq!(seen(&fresh(1), &unanimous), founders);
    let policy = OnTotalLoss::Unanimous;
    assert_eq!(decide(&fresh(1), &unanimous, policy), Decision::Found(founders));
    // One is silent, or has not heard all of them, or the operator wants to decide.
    let silent = [says(2, &all), ("host-3".into(), Answer::Silent)];
    let behind = [says(2, &all), says(3, &[2, 3])];
    for (others, policy) in
        [(&silent, policy), (&behind, policy), (&unanimous, OnTotalLoss::Manual)]
    {
        let decision = decide(&fresh(1), others, policy);
        assert!(matches!(decision, Decision::Wait(_)), "{decision:?}");
    }
}

#[test]
fn survivor_and_fresh_majority_no_bootstrap() {
    let survivor = ("host-3".to_owned(), Answer::Member { cluster: 5, founders: Vec::new() });
    for policy in [OnTotalLoss::Unanimous, OnTotalLoss::Manual] {
        let decision = decide(&fresh(1), &[says(2, &[1, 2]), survivor.clone()], policy);
        assert_eq!(decision, Decision::Join);
    }
}

/// The survivor goes on alone under its own id. Nothing that the former members say in their
/// lineage can be an acknowledgement of its entries: they are no members of its configuration.
#[test]
fn force_recover_lineage_separation() {
    let mut net = Network::led(3);
    net.write(1, "a");
    net.heartbeat();
    net.isolate(3);
    net.run(10 * T);
    assert!(net.raft(3).is_quorum_lost());
    let mut survivor = net.raft(3).clone();
    let last = survivor.last_log_id();
    survivor.force_recover(last).unwrap();
    survivor.take_output();
    assert!(survivor.is_leader());
    assert_eq!(survivor.configuration().voters, [MemberId(3)]);
    assert_eq!(survivor.configuration().members.len(), 1);
    // The majority lives after all, and goes on in its own lineage, which has other members.
    net.write(1, "b");
    let term = survivor.term().0;
    let index = survivor.last_log_id().index.0;
    let before = survivor.clone();
    for id in [1, 2] {
        for body in [accepted(index), granted(true), forward(1), vote_request((99, term))] {
            survivor.step(message(id, 3, term, body.clone()));
            survivor.step(message(id, 3, term + 1, body));
        }
        survivor.step(message(id, 3, term + 1, append((index, term), index, vec![])));
    }
    assert_eq!(survivor, before, "they were removed, and are not heard");
}

#[test]
fn rolling_restart_of_three_under_load() {
    let mut net = Network::led(3);
    let mut expected = Vec::new();
    let mut ids = [1, 2, 3];
    for round in 0..6 {
        let before: Vec<String> = (0..5).map(|n| format!("{round}-{n}")).collect();
        let other = ids[(round + 1) % 3];
        let tickets: Vec<Ticket> = before.iter().map(|text| net.submit(other, text)).collect();
        ids[round % 3] = replace(&mut net, ids[round % 3]);
        let answered = |net: &mut Network| tickets.iter().all(|t| net.is_answered(other, *t));
        net.run_until("every client has its answer", answered);
        expected.extend(before);
    }
    net.heartbeat();
    for id in ids {
        let mut found = net.get(id).texts();
        found.sort_unstable();
        assert_eq!(found, expected, "each once: member {id}");
    }
}

/// A fresh process confirms no read: it is not counted before its predecessor is replaced.
#[test]
fn read_round_and_fresh_boot() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[4]), &[2, 3], true);
    raft.submit_read(0, Ticket(1));
    raft.take_output();
    for id in [4, 12] {
        // It has not caught up yet, or it would be promoted.
        assert!(tell(&mut raft, message(id, 1, 2, answered(1, 1))).reads.is_empty());
    }
    // Of the two others, the one that was asked.
    assert_eq!(tell(&mut raft, message(3, 1, 2, answered(11, 1))).reads.len(), 1);
}

/// B.5: everything that is addressed to another member, by whatever sender.
#[test]
fn refused_word_for_another_member() {
    for state in [RoleKind::Follower, RoleKind::Leader] {
        let mut raft = member_of(1, configuration(&[1, 2, 3], &[], &[]));
        if state == RoleKind::Leader {
            crate::members::take_the_lead(&mut raft, [2]);
        }
        let before = raft.clone();
        for (from, to) in [(2, 7), (2, 0), (0, 1), (1, 1), (8, 1)] {
            for body in [
                vote_request((99, 9)),
                pre_vote_request((99, 9)),
                append((10, 1), 10, vec![noop(11, 9)]),
                accepted(11),
                granted(true),
                Body::TimeoutNow,
                forward(1),
                Body::ReadIndexRequest { id: 1 },
            ] {
                raft.step(message(from, to, 9, body));
                assert_eq!(raft, before, "from {from} to {to}");
            }
        }
    }
}

/// B.5: acknowledgements and votes of who is no voter.
#[test]
fn refused_acknowledgement_of_a_foreign_id() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[4]), &[2], false);
    for id in [4, 12, 13] {
        tell(&mut raft, message(id, 1, 2, accepted(11)));
    }
    assert_eq!(raft.commit_index(), Index(10));
    let mut candidate = member_of(1, configuration(&[1, 2, 3], &[], &[4]));
    candidate.campaign_now().unwrap();
    for id in [4, 12, 13] {
        candidate.step(message(id, 1, 2, granted(true)));
    }
    assert!(!candidate.is_leader());
}

/// B.5: a learner becomes a voter only when it has what was committed when its round began, and
/// when that round was quick.
#[test]
fn refused_promotion_before_catch_up() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[4]), &[2, 3], true);
    for match_index in [1, 5, 10] {
        tell(&mut raft, message(4, 1, 2, accepted(match_index)));
        assert!(raft.configuration().is_learner(MemberId(4)), "{match_index}");
    }
    // All of it, but the round has taken an election timeout.
    raft.set_now(at(T - 1));
    tell(&mut raft, message(2, 1, 2, accepted(11)));
    tell(&mut raft, message(3, 1, 2, accepted(11)));
    raft.set_now(at(T));
    tell(&mut raft, message(4, 1, 2, accepted(11)));
    assert!(raft.configuration().is_learner(MemberId(4)));
    raft.set_now(at(T + 10));
    tell(&mut raft, message(4, 1, 2, accepted(11)));
    assert!(raft.configuration().is_voter(MemberId(4)), "the next round was quick");
}

/// B.5: a change before an entry of the own term, while another one is in flight, and while joint.
#[test]
fn refused_change_at_the_wrong_time() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[]), &[2], false);
    assert_eq!(admit(&mut raft, "slot-9", 9), Err(MembershipError::NoEntryOfOwnTerm));
    tell(&mut raft, message(2, 1, 2, accepted(11)));
    tell(&mut raft, message(3, 1, 2, accepted(11)));
    admit(&mut raft, "slot-9", 9).unwrap();
    assert_eq!(raft.remove(MemberId(2)), Err(MembershipError::ChangeInProgress));
    assert_eq!(admit(&mut raft, "slot-8", 8), Err(MembershipError::ChangeInProgress));
    let mut joint = leader_of(configuration(&[1, 2, 3], &[], &[]), &[2, 3], true);
    joint.remove(MemberId(3)).unwrap();
    assert!(joint.configuration().is_joint());
    assert_eq!(joint.remove(MemberId(2)), Err(MembershipError::ChangeInProgress));
}

/// B.5: the last voter, and a removal after which nobody would answer.
#[test]
fn refused_removal_to_an_empty_or_unreachable_set() {
    let mut alone = leader_of(configuration(&[1], &[], &[]), &[], true);
    assert_eq!(alone.remove(MemberId(1)), Err(MembershipError::LastVoter));
    let mut net = Network::led(3);
    net.isolate(3);
    net.run(2 * T);
    assert_eq!(net.get(1).raft.remove(MemberId(2)), Err(MembershipError::QuorumUnreachable));
    assert!(net.get(1).raft.remove(MemberId(3)).is_ok());
}

/// B.5: a cluster with a node that is not fresh, or cannot be heard.
#[test]
fn refused_bootstrap_with_a_member_or_a_silent_slot() {
    let all = [1, 2, 3];
    let member = |founders| ("host-3".to_owned(), Answer::Member { cluster: 5, founders });
    let cases = [
        ("host-3".to_owned(), Answer::Silent),
        member(Vec::new()),
        member(vec![fresh(2), fresh(3)]),
    ];
    for other in cases {
        let decision = decide(&fresh(1), &[says(2, &all), other], OnTotalLoss::Unanimous);
        assert!(!matches!(decision, Decision::Found(_)), "{decision:?}");
    }
}

/// B.5: a process that joins, or is a learner, has no clients.
#[test]
fn refused_requests_of_a_learner() {
    let learner = member_of(4, configuration(&[1, 2, 3], &[], &[4]));
    for mut raft in [learner, Raft::join(config(), MemberId(7), at(0))] {
        raft.submit(0, Ticket(1), zeroes(8));
        raft.submit_read(0, Ticket(2));
        let given_up = raft.take_output().given_up;
        let reasons: Vec<_> = given_up.iter().map(|g| (g.ticket.0, g.reason)).collect();
        assert_eq!(reasons, [(1, GiveUpReason::NeverSent), (2, GiveUpReason::NeverSent)]);
    }
    let mut leader = leader_of(configuration(&[1, 2, 3], &[], &[4]), &[2, 3], true);
    for id in [4, 12] {
        tell(&mut leader, message(id, 1, 2, forward(1)));
        let output = tell(&mut leader, message(id, 1, 2, Body::ReadIndexRequest { id: 1 }));
        assert!(requests_to(&output, 2).is_empty());
    }
    assert_eq!(leader.last_log_id().index, Index(11));
}

/// B.5: a round confirms what came before it, and no answer to it anything later.
#[test]
fn refused_reuse_of_a_read_round() {
    let mut raft = settled(3, config());
    raft.submit_read(0, Ticket(1));
    raft.take_output();
    assert_eq!(tell(&mut raft, message(3, 1, 2, answered(4, 1))).reads.len(), 1);
    raft.submit_read(0, Ticket(2));
    raft.take_output();
    for id in [2, 3] {
        assert!(tell(&mut raft, message(id, 1, 2, answered(4, 1))).reads.is_empty());
        assert!(tell(&mut raft, message(id, 1, 2, answered(4, 9))).reads.is_empty());
    }
    assert_eq!(tell(&mut raft, message(3, 1, 2, answered(4, 2))).reads.len(), 1);
}

/// B.5: forced recovery with another log id, or while the quorum may live.
#[test]
fn refused_force_recover() {
    let mut net = Network::led(3);
    let last = net.raft(3).last_log_id();
    assert_eq!(net.get(3).raft.force_recover(last), Err(RecoverError::QuorumNotLost));
    net.kill(1);
    net.kill(2);
    net.run(3 * T);
    assert_eq!(net.get(3).raft.force_recover(last), Err(RecoverError::QuorumNotLost));
    net.run(10 * T);
    for wrong in [(Index(last.index.0 + 1), last.term), (last.index, Term(last.term.0 + 1))] {
        let named = mayfly::raft::LogId { index: wrong.0, term: wrong.1 };
        let refused = Err(RecoverError::WrongLastLogId { last });
        assert_eq!(net.get(3).raft.force_recover(named), refused);
    }
    assert_eq!(net.role(3), RoleKind::PreCandidate);
    assert!(net.get(3).raft.force_recover(last).is_ok());
}

/// B.5: leadership goes to a voter of the new half only.
#[test]
fn refused_transfer_to_who_is_no_voter() {
    let refused = Err(TransferError::InvalidTarget);
    let mut raft = leader_of(configuration(&[1, 2, 4], &[1, 2, 3], &[5]), &[2, 4], false);
    for id in [5, 3, 12, 1] {
        assert_eq!(raft.transfer_leadership(Some(MemberId(id))), refused, "{id}");
    }
    let mut alone = leader_of(configuration(&[1], &[], &[5]), &[], true);
    assert_eq!(alone.transfer_leadership(None), refused);
    assert_eq!(said_to(&raft.take_output(), 5), Vec::<&Body>::new());
}
