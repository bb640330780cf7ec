use crate::raft::message::Body;
use crate::raft::testing::{
    T, accepted, append, configuration, leader_of, member_of, message, noop, pass, sent_to,
    settled_leader, tick_at, voter,
};
use crate::raft::types::{Index, MemberId, Term};
use crate::raft::{CampaignError, Raft, RoleKind};

fn vote_request(last: (u64, u64), transfer: bool) -> Body {
    Body::VoteRequest { last_index: Index(last.0), last_term: Term(last.1), transfer }
}

fn pre_vote_request(last: (u64, u64)) -> Body {
    Body::PreVoteRequest { last_index: Index(last.0), last_term: Term(last.1) }
}

fn role(raft: &Raft) -> RoleKind {
    raft.status().role
}

#[test]
fn a_silent_leader_is_followed_by_a_pre_vote_that_changes_no_term() {
    let mut raft = voter(1, &[1, 2, 3]);
    let output = tick_at(&mut raft, 2 * T);
    assert_eq!((role(&raft), raft.term()), (RoleKind::PreCandidate, Term(1)));
    for peer in [2, 3] {
        assert_eq!(sent_to(&output, peer), [&pre_vote_request((10, 1))]);
    }
    assert!(output.messages.iter().all(|message| message.term == Term(2)));
    let output = pass(&mut raft, message(2, 1, 2, Body::PreVoteResponse { granted: true }));
    assert_eq!((role(&raft), raft.term()), (RoleKind::Candidate, Term(2)));
    assert_eq!(sent_to(&output, 3), [&vote_request((10, 1), false)]);
    pass(&mut raft, message(3, 1, 2, Body::VoteResponse { granted: true }));
    assert_eq!(role(&raft), RoleKind::Leader);
    assert_eq!(raft.entry(Index(11)).unwrap().term, Term(2), "the no-op of its term");
}

#[test]
fn election_timeouts_are_spread_over_t_to_2t() {
    let mut deadlines = std::collections::BTreeSet::new();
    let mut raft = voter(1, &[1, 2, 3]);
    for _ in 0..500 {
        raft.reset_election_deadline();
        deadlines.insert(raft.election_deadline_ms);
    }
    assert!(deadlines.iter().all(|ms| (T..2 * T).contains(ms)));
    assert!(deadlines.len() > 80, "{}", deadlines.len());
}

#[test]
fn votes_go_only_to_logs_that_are_as_up_to_date() {
    for (last, expected) in
        [((10, 1), true), ((9, 1), false), ((11, 1), true), ((3, 2), true), ((99, 0), false)]
    {
        let mut raft = voter(1, &[1, 2, 3]);
        let output = pass(&mut raft, message(2, 1, 3, vote_request(last, false)));
        assert_eq!(sent_to(&output, 2), [&Body::VoteResponse { granted: expected }], "{last:?}");
        let mut raft = voter(1, &[1, 2, 3]);
        let output = pass(&mut raft, message(2, 1, 3, pre_vote_request(last)));
        assert_eq!(sent_to(&output, 2), [&Body::PreVoteResponse { granted: expected }]);
        assert_eq!(raft.term(), Term(1));
    }
}

#[test]
fn one_vote_per_term_first_come_first_served() {
    let mut raft = voter(1, &[1, 2, 3]);
    pass(&mut raft, message(2, 1, 3, vote_request((10, 1), false)));
    let output = pass(&mut raft, message(3, 1, 3, vote_request((10, 1), false)));
    assert_eq!(sent_to(&output, 3), [&Body::VoteResponse { granted: false }]);
    let output = pass(&mut raft, message(2, 1, 3, vote_request((10, 1), false)));
    assert_eq!(sent_to(&output, 2), [&Body::VoteResponse { granted: true }], "asked again");
    let output = pass(&mut raft, message(3, 1, 4, vote_request((10, 1), false)));
    assert_eq!(sent_to(&output, 3), [&Body::VoteResponse { granted: true }], "a new term");
}

#[test]
fn candidates_are_ignored_while_a_leader_lives_unless_it_asked_for_them() {
    let mut raft = voter(1, &[1, 2, 3]);
    pass(&mut raft, message(3, 1, 1, append((10, 1), 10, vec![])));
    for body in [vote_request((99, 1), false), pre_vote_request((99, 1))] {
        let output = pass(&mut raft, message(2, 1, 7, body));
        assert!(output.messages.is_empty());
        assert_eq!((raft.term(), raft.leader_id()), (Term(1), Some(MemberId(3))));
    }
    let output = pass(&mut raft, message(2, 1, 7, vote_request((99, 1), true)));
    assert_eq!(sent_to(&output, 2), [&Body::VoteResponse { granted: true }]);
}

#[test]
fn a_leader_that_a_quorum_follows_ignores_candidates() {
    let mut raft = settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3]);
    pass(&mut raft, message(3, 1, 9, vote_request((99, 8), false)));
    assert!(raft.is_leader());
}

#[test]
fn a_silent_leader_no_longer_protects_anybody() {
    let mut raft = voter(1, &[1, 2, 3]);
    pass(&mut raft, message(3, 1, 1, append((10, 1), 10, vec![])));
    raft.set_now(crate::raft::testing::at(T));
    let output = pass(&mut raft, message(2, 1, 7, pre_vote_request((10, 1))));
    assert_eq!(sent_to(&output, 2), [&Body::PreVoteResponse { granted: true }]);
}

#[test]
fn a_broken_connection_to_the_leader_brings_a_pre_vote_soon() {
    let mut raft = voter(1, &[1, 2, 3]);
    pass(&mut raft, message(3, 1, 1, append((10, 1), 10, vec![])));
    raft.peer_unreachable(MemberId(2));
    tick_at(&mut raft, T / 10 + 1);
    assert_eq!(role(&raft), RoleKind::Follower, "that was not the leader");
    raft.peer_unreachable(MemberId(3));
    assert_eq!(raft.leader_id(), None);
    tick_at(&mut raft, 2 * (T / 10 + 1));
    assert_eq!(role(&raft), RoleKind::PreCandidate);
}

#[test]
fn learners_and_strangers_never_campaign_but_vote() {
    let mut learner = member_of(4, configuration(&[1, 2, 3], &[], &[4]));
    assert!(tick_at(&mut learner, 5 * T).messages.is_empty());
    assert_eq!(learner.campaign_now(), Err(CampaignError::NotVoter));
    pass(&mut learner, message(2, 4, 1, append((10, 1), 10, vec![])));
    assert!(pass(&mut learner, message(2, 4, 1, Body::TimeoutNow)).messages.is_empty());
    learner.peer_unreachable(MemberId(2));
    assert!(tick_at(&mut learner, 9 * T).messages.is_empty());
    let output = pass(&mut learner, message(3, 4, 2, vote_request((10, 1), false)));
    assert_eq!(sent_to(&output, 3), [&Body::VoteResponse { granted: true }]);
    let mut joiner = Raft::join(crate::raft::testing::config(), MemberId(7), Default::default());
    assert!(tick_at(&mut joiner, 50 * T).messages.is_empty());
}

#[test]
fn a_historical_configuration_makes_nobody_a_voter() {
    // The log is caught up to a configuration from before the promotion of member 4.
    let mut raft = member_of(4, configuration(&[3], &[], &[]));
    assert_eq!(raft.campaign_now(), Err(CampaignError::NotVoter));
}

#[test]
fn a_removed_voter_campaigns_until_its_removal_is_committed() {
    let mut raft = member_of(1, configuration(&[2, 3], &[1, 2, 3], &[]));
    let next = std::sync::Arc::new(configuration(&[2, 3], &[], &[]));
    let body = crate::raft::types::EntryBody::Configuration(next);
    let entries = vec![crate::raft::testing::entry(11, 1, body)];
    pass(&mut raft, message(2, 1, 1, append((10, 1), 10, entries)));
    let mut committed = raft.clone();
    assert_eq!(raft.campaign_now(), Ok(()));
    raft.step(message(2, 1, 2, Body::VoteResponse { granted: true }));
    assert!(!raft.is_leader(), "it does not count itself");
    raft.step(message(3, 1, 2, Body::VoteResponse { granted: true }));
    assert!(raft.is_leader());
    pass(&mut committed, message(2, 1, 1, append((11, 1), 11, vec![])));
    assert_eq!(committed.campaign_now(), Err(CampaignError::NotVoter));
}

#[test]
fn a_leader_without_a_quorum_steps_down() {
    let mut raft = settled_leader(configuration(&[1, 2, 3, 4, 5], &[], &[]), &[2, 3]);
    for ms in [40, 80] {
        raft.set_now(crate::raft::testing::at(ms));
        raft.step(message(2, 1, 2, accepted(11, 0)));
        tick_at(&mut raft, ms);
    }
    assert!(raft.is_leader());
    tick_at(&mut raft, 2 * T);
    assert_eq!((role(&raft), raft.leader_id()), (RoleKind::Follower, None));
}

#[test]
fn a_stale_leader_is_told_and_steps_down() {
    let mut raft = voter(2, &[1, 2, 3]);
    pass(&mut raft, message(3, 2, 5, append((10, 1), 10, vec![])));
    let output = pass(&mut raft, message(1, 2, 2, append((10, 1), 10, vec![noop(11, 2)])));
    let answer = output.messages[0].clone();
    assert_eq!(answer.term, Term(5));
    assert_eq!(raft.status().last_index, Index(10));
    let mut stale = leader_of(configuration(&[1, 2, 3], &[], &[]));
    stale.step(answer);
    assert_eq!((role(&stale), stale.term()), (RoleKind::Follower, Term(5)));
}

#[test]
fn a_candidate_concedes_to_the_leader_of_its_term_and_to_a_majority_of_refusals() {
    let mut raft = voter(1, &[1, 2, 3]);
    raft.campaign_now().unwrap();
    pass(&mut raft, message(3, 1, 2, append((10, 1), 10, vec![])));
    assert_eq!(raft.leader_id(), Some(MemberId(3)));
    let mut raft = voter(1, &[1, 2, 3]);
    raft.campaign_now().unwrap();
    for peer in [2, 3] {
        raft.step(message(peer, 1, 2, Body::VoteResponse { granted: false }));
    }
    assert_eq!(role(&raft), RoleKind::Follower);
}

#[test]
fn late_answers_count_for_nothing() {
    let mut raft = voter(1, &[1, 2, 3]);
    raft.campaign_now().unwrap();
    raft.campaign_now().unwrap();
    raft.step(message(2, 1, 2, Body::VoteResponse { granted: true }));
    assert_eq!((role(&raft), raft.term()), (RoleKind::Candidate, Term(3)));
    raft.step(message(2, 1, 4, Body::PreVoteResponse { granted: true }));
    assert_eq!((role(&raft), raft.term()), (RoleKind::Candidate, Term(3)));
}

#[test]
fn a_single_voter_elects_itself_at_once() {
    let mut raft = voter(1, &[1]);
    tick_at(&mut raft, 2 * T);
    assert!(raft.is_leader());
    assert_eq!(raft.commit_index(), Index(11));
}

#[test]
fn messages_to_another_id_and_from_a_removed_one_are_dropped() {
    let mut raft = voter(1, &[1, 2, 3]);
    let before = raft.clone();
    raft.step(message(2, 7, 9, vote_request((99, 9), true)));
    raft.step(message(8, 1, 9, vote_request((99, 9), true)));
    raft.step(message(1, 1, 9, vote_request((99, 9), true)));
    raft.step(message(0, 1, 9, vote_request((99, 9), true)));
    raft.step(message(2, 1, u64::MAX, vote_request((99, 9), true)));
    assert_eq!(raft, before);
    raft.step(message(12, 1, 9, vote_request((99, 9), true)));
    assert_eq!(raft.term(), Term(9), "an id beyond the own configuration may be a new member");
}

#[test]
fn a_candidate_has_given_its_vote_to_itself() {
    let mut raft = voter(1, &[1, 2, 3]);
    raft.campaign_now().unwrap();
    let output = pass(&mut raft, message(2, 1, 2, vote_request((99, 1), false)));
    assert_eq!(sent_to(&output, 2).last(), Some(&&Body::VoteResponse { granted: false }));
}

#[test]
fn a_clock_that_is_set_back_moves_nothing_back() {
    let mut raft = voter(1, &[1, 2, 3]);
    raft.set_now(crate::raft::testing::at(50));
    raft.set_now(crate::raft::testing::at(10));
    assert_eq!(raft.now.monotonic_ms, 50);
}
