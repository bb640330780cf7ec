//! Elections and terms: who may lead, when, and how a term is learned.

use std::collections::BTreeSet;

use mayfly::raft::message::Body;
use mayfly::raft::types::{Index, MemberId, Round, Term};
use mayfly::raft::{CampaignError, Config, Output, Raft, RoleKind};

use crate::messages::{
    ROLES, accepted, append, granted, in_role, message, noop, pre_granted, pre_vote_request,
    said_to, tell, vote_request,
};
use crate::network::{HEARTBEAT, Network, T, at, config, founder};

use RoleKind::{Candidate, Follower, Leader, PreCandidate};

fn transfer_vote_request(last: (u64, u64)) -> Body {
    Body::VoteRequest { last_index: Index(last.0), last_term: Term(last.1), transfer: true }
}

fn asks_pre_votes(output: &Output) -> bool {
    output.messages.iter().any(|m| matches!(m.body, Body::PreVoteRequest { .. }))
}

/// How long from `start` it takes until `raft` asks for pre-votes, if nothing comes.
fn time_until_pre_vote(raft: &mut Raft, start: u64) -> u64 {
    for ms in 1.. {
        raft.set_now(at(start + ms));
        raft.tick();
        if asks_pre_votes(&raft.take_output()) {
            return ms;
        }
    }
    unreachable!("it never campaigns")
}

fn with_seed(id: u64, count: u64, seed: u64) -> Raft {
    let mut raft = founder(id, count, Config { seed, ..config() });
    raft.take_output();
    raft
}

#[test]
fn leader_election() {
    let cases: [(u64, &[u64], bool); 6] = [
        (3, &[], true),
        (3, &[2], true),
        (3, &[2, 3], false),
        (4, &[2, 3], false),
        (5, &[2, 3], true),
        (5, &[2, 3, 4], false),
    ];
    for (count, dead, wins) in cases {
        let mut net = Network::of(count);
        for id in dead {
            net.isolate(*id);
        }
        net.campaign(1);
        assert_eq!(net.leader(), wins.then_some(1), "{count} members without {dead:?}");
        // Without a majority nobody gets beyond the pre-vote, so the term stays.
        assert_eq!(net.term(1), if wins { 2 } else { 1 });
    }
    let mut net = Network::with_logs(&[&[], &[1], &[1, 1]]);
    net.campaign(1);
    assert_eq!(net.leader(), None, "both others know more");
    net.elect(2);
    net.assert_roles(&[(1, Follower), (3, Follower)]);
}

/// Who answers, and how.
type Votes = &'static [(u64, bool)];

#[test]
fn leader_election_in_one_round_rpc() {
    let cases: [(u64, Votes, RoleKind); 13] = [
        (1, &[], Leader),
        (3, &[(2, true), (3, true)], Leader),
        (3, &[(2, true)], Leader),
        (3, &[(2, true), (3, false)], Leader),
        (5, &[(2, true), (3, true), (4, true), (5, true)], Leader),
        (5, &[(2, true), (3, true)], Leader),
        (3, &[(2, false), (3, false)], Follower),
        (5, &[(2, false), (3, false), (4, false), (5, false)], Follower),
        (5, &[(2, true), (3, false), (4, false), (5, false)], Follower),
        (3, &[], Candidate),
        (3, &[(2, false)], Candidate),
        (5, &[(2, true)], Candidate),
        (5, &[(2, true), (2, true), (2, true)], Candidate),
    ];
    for (count, votes, expected) in cases {
        let mut raft = founder(1, count, config());
        raft.campaign_now().unwrap();
        for (id, vote) in votes {
            raft.step(message(*id, 1, 2, granted(*vote)));
        }
        assert_eq!(raft.role_kind(), expected, "{count} members, votes {votes:?}");
        assert_eq!(raft.term(), Term(2));
    }
}

#[test]
fn leader_cycle() {
    let mut net = Network::of(3);
    for (round, id) in [1, 2, 3, 1].into_iter().enumerate() {
        net.elect(id);
        net.assert_terms(&[2 + round as u64; 3]);
        for other in (1..=3).filter(|other| *other != id) {
            assert_eq!(net.role(other), Follower);
        }
    }
}

#[test]
fn dueling_candidates() {
    let mut net = Network::of(3);
    net.cut(1, 3);
    net.campaign_now(1);
    net.campaign_now(3);
    net.deliver_all();
    net.assert_roles(&[(1, Leader), (2, Follower), (3, Candidate)]);
    net.heal();
    net.campaign_now(3);
    net.deliver_all();
    // Its log is behind, so it cannot win; but its term is known to all.
    net.assert_roles(&[(1, Follower), (2, Follower), (3, Follower)]);
    net.assert_terms(&[3, 3, 3]);
    assert_eq!([net.log_terms(1), net.log_terms(2), net.log_terms(3)], [vec![2], vec![2], vec![]]);
    net.elect(1);
    assert_eq!(net.log_terms(3), [2, 4]);
}

#[test]
fn dueling_pre_candidates() {
    let mut net = Network::of(3);
    net.cut(1, 3);
    net.campaign(1);
    assert!(net.time_out(3));
    net.deliver_all();
    // The others are in the term that it would stand for.
    net.assert_roles(&[(1, Leader), (2, Follower), (3, Follower)]);
    net.heal();
    assert!(net.time_out(3));
    net.deliver_all();
    assert_eq!(net.role(3), PreCandidate, "who hears a leader does not answer");
    net.heartbeat();
    net.assert_roles(&[(1, Leader), (2, Follower), (3, Follower)]);
    net.assert_terms(&[2, 2, 2]);
    assert_eq!(net.log_terms(3), [2]);
}

#[test]
fn candidate_concede() {
    let mut net = Network::of(3);
    net.isolate(1);
    net.campaign_now(1);
    net.deliver_all();
    net.elect(3);
    assert_eq!(net.role(1), Candidate);
    net.heal();
    net.write(3, "force follower");
    net.heartbeat();
    net.assert_roles(&[(1, Follower), (3, Leader)]);
    net.assert_terms(&[2, 2, 2]);
    for id in 1..=3 {
        assert_eq!(net.log_terms(id), [2, 2]);
        net.assert_applied(id, &["force follower"]);
    }
}

#[test]
fn candidate_fallback() {
    for term in [2, 3] {
        let mut raft = in_role(Candidate);
        tell(&mut raft, message(3, 1, term, append((3, 1), 3, vec![])));
        assert_eq!((raft.role_kind(), raft.term()), (Follower, Term(term)));
        assert_eq!(raft.leader_id(), Some(MemberId(3)));
    }
}

#[test]
fn single_node_candidate() {
    let mut net = Network::of(1);
    net.elect(1);
    assert_eq!((net.term(1), net.commit(1)), (2, 2));
}

#[test]
fn vote_from_any_state() {
    for role in ROLES {
        let mut raft = in_role(role);
        let term = raft.term().0 + 1;
        let body = match role {
            // A leader gives way only when it has asked for it itself.
            Leader => transfer_vote_request((4, 2)),
            _ => vote_request((4, 1)),
        };
        let output = tell(&mut raft, message(2, 1, term, body));
        assert_eq!(said_to(&output, 2), [&granted(true)], "{role:?}");
        assert_eq!(output.messages[0].term, Term(term));
        assert_eq!((raft.role_kind(), raft.term()), (Follower, Term(term)));
        assert_eq!(raft.status().voted_for, Some(MemberId(2)));
    }
}

#[test]
fn pre_vote_from_any_state() {
    for role in ROLES {
        let mut raft = in_role(role);
        let before = raft.status();
        let term = before.term.0 + 1;
        let output = tell(&mut raft, message(2, 1, term, pre_vote_request((4, 2))));
        if role == Leader {
            assert_eq!(said_to(&output, 2), Vec::<&Body>::new(), "it is alive");
        } else {
            assert_eq!(said_to(&output, 2), [&pre_granted(true)], "{role:?}");
            assert_eq!(output.messages[0].term, Term(term), "the term that was asked for");
        }
        assert_eq!(raft.status(), before, "a pre-vote changes nothing");
    }
}

#[test]
fn voter() {
    // The log of the voter behind the entries 1 to 3, the end of the candidate's, and the vote.
    let cases: [(&[u64], (u64, u64), bool); 9] = [
        (&[1], (4, 1), true),
        (&[1], (5, 1), true),
        (&[1, 1], (4, 1), false),
        (&[1], (4, 2), true),
        (&[1], (5, 2), true),
        (&[1, 1], (4, 2), true),
        (&[2], (4, 1), false),
        (&[2], (5, 1), false),
        (&[2, 2], (4, 1), false),
    ];
    for (log, last, vote) in cases {
        let mut net = Network::with_logs(&[log, &[], &[]]);
        let output = tell(&mut net.get(1).raft, message(2, 1, 3, vote_request(last)));
        assert_eq!(said_to(&output, 2), [&granted(vote)], "{log:?} asked by {last:?}");
    }
}

#[test]
fn vote_request_carries_the_end_of_the_log() {
    for (log, last) in [(&[1][..], (4, 1)), (&[1, 2], (5, 2)), (&[], (3, 1))] {
        let mut net = Network::with_logs(&[log, &[], &[]]);
        let raft = &mut net.get(1).raft;
        let term = raft.term().next();
        raft.set_now(at(2 * T));
        raft.tick();
        let output = raft.take_output();
        for peer in [2, 3] {
            assert_eq!(said_to(&output, peer), [&pre_vote_request(last)]);
        }
        let output = tell(raft, message(2, 1, term.0, pre_granted(true)));
        for peer in [2, 3] {
            assert_eq!(said_to(&output, peer), [&vote_request(last)]);
        }
        assert!(output.messages.iter().all(|message| message.term == term));
    }
}

/// A voter at term 2 whose log ends with entry 5 of term 2, asked by a candidate whose log ends as
/// given, and whether that is up to date.
const ENDS: [((u64, u64), bool); 8] = [
    ((3, 1), false),
    ((5, 1), false),
    ((9, 1), false),
    ((4, 2), false),
    ((5, 2), true),
    ((6, 2), true),
    ((4, 3), true),
    ((6, 3), true),
];

#[test]
fn recv_msg_vote() {
    for (last, up_to_date) in ENDS {
        let mut net = Network::with_logs(&[&[2, 2], &[], &[]]);
        let raft = &mut net.get(1).raft;
        let output = tell(raft, message(3, 1, 3, vote_request(last)));
        assert_eq!(said_to(&output, 3), [&granted(up_to_date)], "{last:?}");
        // Nobody else gets the vote of this term, nor does anybody who is behind.
        let output = tell(raft, message(2, 1, 3, vote_request((5, 2))));
        assert_eq!(said_to(&output, 2), [&granted(!up_to_date)]);
    }
    for role in [Candidate, Leader] {
        let mut raft = in_role(role);
        let output = tell(&mut raft, message(2, 1, 2, vote_request((9, 9))));
        assert_eq!(said_to(&output, 2), [&granted(false)], "it has voted for itself");
        assert_eq!(raft.role_kind(), role);
    }
}

#[test]
fn recv_msg_pre_vote() {
    for (last, up_to_date) in ENDS {
        let mut net = Network::with_logs(&[&[2, 2], &[], &[]]);
        let raft = &mut net.get(1).raft;
        tell(raft, message(2, 1, 3, vote_request((5, 2))));
        for candidate in [2, 3] {
            let output = tell(raft, message(candidate, 1, 4, pre_vote_request(last)));
            let answer = pre_granted(up_to_date);
            assert_eq!(said_to(&output, candidate), [&answer], "{last:?}");
        }
        let output = tell(raft, message(3, 1, 3, pre_vote_request(last)));
        assert_eq!(said_to(&output, 3), [&pre_granted(false)], "that term is not a new one");
    }
}

#[test]
fn follower_vote() {
    let cases: [(Option<u64>, u64, bool); 6] = [
        (None, 2, true),
        (None, 3, true),
        (Some(2), 2, true),
        (Some(3), 3, true),
        (Some(2), 3, false),
        (Some(3), 2, false),
    ];
    for (voted_for, candidate, vote) in cases {
        let mut raft = in_role(Follower);
        if let Some(first) = voted_for {
            tell(&mut raft, message(first, 1, 2, vote_request((3, 1))));
        }
        let output = tell(&mut raft, message(candidate, 1, 2, vote_request((3, 1))));
        assert_eq!(said_to(&output, candidate), [&granted(vote)], "{voted_for:?}, {candidate}");
    }
}

#[test]
fn reject_stale_term_message() {
    for role in ROLES {
        let mut raft = in_role(role);
        if raft.term() == Term(1) {
            tell(&mut raft, message(2, 1, 2, granted(false)));
        }
        let before = raft.status();
        let output = tell(&mut raft, message(3, 1, 1, append((3, 1), 4, vec![noop(4, 1)])));
        assert_eq!(raft.status(), before, "{role:?}");
        assert!(matches!(said_to(&output, 3)[..], [Body::AppendRejected { .. }]));
        assert_eq!(output.messages[0].term, Term(2), "the sender learns of the term");
    }
}

#[test]
fn step_ignore_old_term_msg() {
    let bodies = [
        vote_request((9, 9)),
        pre_vote_request((9, 9)),
        granted(true),
        pre_granted(true),
        append((3, 1), 4, vec![noop(4, 1)]),
        accepted(3),
        Body::TimeoutNow,
        Body::ReadIndexResponse { id: 1, index: Index(3), at_ms: 1 },
        Body::SnapshotOffer { last_index: Index(9), last_term: Term(1) },
        Body::SnapshotInstalled { last_index: Index(3) },
        Body::AppendRejected {
            prev_index: Index(3),
            hint_index: Index(1),
            hint_term: Term(1),
            round: Round(0),
        },
    ];
    for role in ROLES {
        for body in &bodies {
            let mut raft = in_role(role);
            if raft.term() == Term(1) {
                tell(&mut raft, message(2, 1, 2, granted(false)));
            }
            let before = raft.status();
            tell(&mut raft, message(2, 1, 1, body.clone()));
            assert_eq!(raft.status(), before, "{role:?}: {body:?}");
        }
    }
}

fn learns_the_term_of_a_message(role: RoleKind) {
    let mut raft = in_role(role);
    tell(&mut raft, message(2, 1, 7, append((3, 1), 3, vec![])));
    assert_eq!((raft.role_kind(), raft.term()), (Follower, Term(7)));
    assert_eq!(raft.leader_id(), Some(MemberId(2)));
    assert_eq!(raft.status().voted_for, None, "a vote of another term");
}

#[test]
fn follower_update_term_from_message() {
    learns_the_term_of_a_message(Follower);
}

#[test]
fn candidate_update_term_from_message() {
    learns_the_term_of_a_message(PreCandidate);
    learns_the_term_of_a_message(Candidate);
}

#[test]
fn leader_update_term_from_message() {
    learns_the_term_of_a_message(Leader);
}

/// The time-outs of a member of 3 for many seeds.
fn assert_spread(time_out: impl Fn(u64) -> u64) {
    let drawn: BTreeSet<u64> = (0..1000).map(time_out).collect();
    assert!(drawn.iter().all(|ms| (T..2 * T).contains(ms)), "{drawn:?}");
    assert!(drawn.len() > 95, "{} of 100 values in 1000 draws", drawn.len());
}

#[test]
fn follower_election_timeout_randomized() {
    assert_spread(|seed| time_until_pre_vote(&mut with_seed(1, 3, seed), 0));
}

#[test]
fn candidate_election_timeout_randomized() {
    assert_spread(|seed| {
        let mut raft = with_seed(1, 3, seed);
        raft.campaign_now().unwrap();
        time_until_pre_vote(&mut raft, 0)
    });
}

/// Of so many rounds in which five members draw a time-out, how many have no single first.
fn conflicts(rounds: u64, time_out: impl Fn(u64, u64) -> u64) -> usize {
    let is_conflict = |round: &u64| {
        let mut drawn: Vec<u64> = (1..=5).map(|id| time_out(id, *round)).collect();
        drawn.sort_unstable();
        drawn[0] == drawn[1]
    };
    (0..rounds).filter(is_conflict).count()
}

#[test]
fn followers_election_timeout_nonconflict() {
    let met = conflicts(300, |id, seed| time_until_pre_vote(&mut with_seed(id, 5, seed), 0));
    assert!(met < 30, "{met} of 300 rounds");
}

#[test]
fn candidates_election_timeout_nonconflict() {
    let met = conflicts(300, |id, seed| {
        let mut raft = with_seed(id, 5, seed);
        raft.campaign_now().unwrap();
        time_until_pre_vote(&mut raft, 0)
    });
    assert!(met < 30, "{met} of 300 rounds");
}

#[test]
fn past_election_timeout() {
    let cases = [(T - 1, 0), (T + T / 4, 25), (T + T / 2, 50), (T + 3 * T / 4, 75), (2 * T, 100)];
    for (elapsed, percent) in cases {
        let is_over = |seed: &u64| {
            let mut raft = with_seed(1, 3, *seed);
            raft.set_now(at(elapsed));
            raft.tick();
            raft.role_kind() == PreCandidate
        };
        let over = (0..1000).filter(is_over).count();
        assert!(over.abs_diff(10 * percent) <= 50, "{over} of 1000 after {elapsed} ms");
    }
}

#[test]
fn state_transition() {
    let mut raft = in_role(PreCandidate);
    raft.step(message(2, 1, 2, pre_granted(true)));
    assert_eq!(raft.role_kind(), Candidate);
    raft.set_now(at(4 * T));
    raft.tick();
    assert_eq!((raft.role_kind(), raft.term()), (PreCandidate, Term(2)), "asks again first");
    raft.step(message(2, 1, 2, append((3, 1), 3, vec![])));
    assert_eq!(raft.role_kind(), Follower);
    raft.set_now(at(4 * T + HEARTBEAT));
    raft.step(message(2, 1, 2, Body::TimeoutNow));
    assert_eq!((raft.role_kind(), raft.term()), (Candidate, Term(3)));
    raft.step(message(2, 1, 3, granted(true)));
    assert_eq!(raft.role_kind(), Leader);
    raft.step(message(2, 1, 3, append((3, 1), 3, vec![])));
    assert_eq!(raft.role_kind(), Leader, "there is one leader in a term");
    raft.step(message(2, 1, 4, granted(false)));
    assert_eq!((raft.role_kind(), raft.leader_id()), (Follower, None));
}

#[test]
fn one_leader_per_term() {
    let mut raft = in_role(Follower);
    tell(&mut raft, message(2, 1, 2, append((3, 1), 3, vec![])));
    let output = tell(&mut raft, message(3, 1, 2, append((3, 1), 4, vec![noop(4, 2)])));
    assert!(output.messages.is_empty(), "nobody else can have been elected");
    assert_eq!((raft.leader_id(), raft.commit_index()), (Some(MemberId(2)), Index(3)));
}

#[test]
fn all_server_stepdown() {
    for role in ROLES {
        for (body, leader) in [
            (append((3, 1), 3, vec![]), Some(MemberId(2))),
            (transfer_vote_request((9, 9)), None),
            (granted(false), None),
        ] {
            let mut raft = in_role(role);
            tell(&mut raft, message(2, 1, 9, body));
            assert_eq!((raft.role_kind(), raft.term()), (Follower, Term(9)), "{role:?}");
            assert_eq!(raft.leader_id(), leader);
            assert!(raft.status().peers.is_empty(), "what a leader knows ends with its term");
        }
    }
}

/// A member that was cut off has raised its term as far as the others have.
fn isolated_candidate() -> Network {
    let mut net = Network::led(3);
    net.isolate(3);
    net.elect(2);
    net.campaign_now(3);
    net.deliver_all();
    net.assert_terms(&[3, 3, 3]);
    assert_eq!(net.role(3), Candidate);
    net.heal();
    net
}

#[test]
fn candidate_reset_term_heartbeat() {
    let mut net = isolated_candidate();
    net.heartbeat();
    net.assert_roles(&[(1, Follower), (2, Leader), (3, Follower)]);
    net.assert_terms(&[3, 3, 3]);
}

#[test]
fn candidate_reset_term_msg_app() {
    let mut net = isolated_candidate();
    net.write(2, "x");
    net.heartbeat();
    net.assert_roles(&[(1, Follower), (2, Leader), (3, Follower)]);
    net.assert_terms(&[3, 3, 3]);
    net.assert_applied(3, &["x"]);
}

#[test]
fn candidate_self_vote_after_lost_election() {
    let mut raft = in_role(Candidate);
    tell(&mut raft, message(2, 1, 2, append((3, 1), 3, vec![])));
    for id in [1, 3] {
        tell(&mut raft, message(id, 1, 2, granted(true)));
        assert_eq!((raft.role_kind(), raft.leader_id()), (Follower, Some(MemberId(2))));
    }
    let mut raft = in_role(PreCandidate);
    tell(&mut raft, message(2, 1, 1, append((3, 1), 3, vec![])));
    for id in [1, 3] {
        tell(&mut raft, message(id, 1, 2, pre_granted(true)));
        assert_eq!((raft.role_kind(), raft.term()), (Follower, Term(1)));
    }
}

#[test]
fn candidate_delivers_pre_candidate_self_vote_after_becoming_candidate() {
    let mut raft = founder(1, 5, config());
    raft.set_now(at(2 * T));
    raft.tick();
    for id in [2, 3] {
        tell(&mut raft, message(id, 1, 2, pre_granted(true)));
    }
    assert_eq!((raft.role_kind(), raft.term()), (Candidate, Term(2)));
    for id in [1, 4, 5] {
        for term in [2, 3] {
            tell(&mut raft, message(id, 1, term, pre_granted(true)));
        }
    }
    assert_eq!((raft.role_kind(), raft.term()), (Candidate, Term(2)), "these are no votes");
    tell(&mut raft, message(4, 1, 2, granted(true)));
    tell(&mut raft, message(5, 1, 2, granted(true)));
    assert_eq!(raft.role_kind(), Leader);
}

#[test]
fn campaign_while_leader() {
    let mut net = Network::led(3);
    assert_eq!(net.get(1).raft.campaign_now(), Err(CampaignError::AlreadyLeader));
    net.deliver_all();
    net.assert_leader(1);
    net.assert_terms(&[2, 2, 2]);
}

#[test]
fn pre_campaign_while_leader() {
    let mut net = Network::led(3);
    let before = net.sent.len();
    net.run(10 * T);
    net.assert_leader(1);
    let asks = |body: &&Body| matches!(body, Body::PreVoteRequest { .. });
    assert!(!net.said(before, 1, 2).iter().any(asks));
}

#[test]
fn election_with_priority_log() {
    // The logs, who campaigns, and whether it can win: no preference outweighs the log.
    let cases: [([&[u64]; 3], u64, bool); 6] = [
        ([&[2], &[2], &[2]], 1, true),
        ([&[2, 2], &[2], &[2]], 1, true),
        ([&[2], &[2, 2], &[2]], 1, true),
        ([&[2], &[2, 2], &[2, 2]], 1, false),
        ([&[2, 2, 2], &[3], &[3]], 1, false),
        ([&[2, 2, 2], &[3], &[2, 2, 2]], 2, true),
    ];
    for (logs, candidate, wins) in cases {
        let mut net = Network::with_logs(&logs);
        net.campaign(candidate);
        assert_eq!(net.leader(), wins.then_some(candidate), "{logs:?}");
    }
}

#[test]
fn election_tick_range() {
    for timeout in [2, 7, 50] {
        let settings =
            Config { election_timeout_ms: timeout, heartbeat_interval_ms: 1, ..config() };
        let draw = |seed: u64| {
            let mut raft = founder(1, 3, Config { seed, ..settings.clone() });
            time_until_pre_vote(&mut raft, 0)
        };
        let drawn: BTreeSet<u64> = (0..1000).map(draw).collect();
        let expected: BTreeSet<u64> = (timeout..2 * timeout).collect();
        assert_eq!(drawn, expected, "every length from T on, and none of 2T");
    }
}
