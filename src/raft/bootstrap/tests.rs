use crate::raft::bootstrap::{Answer, Decision, FreshNode, OnTotalLoss, decide};
use crate::raft::testing::{applicant, at, config, payload};
use crate::raft::types::{EntryBody, Index, MemberId, Term, Ticket};
use crate::raft::{MEMBERS_MAX, Output, Raft};

const CLUSTER: u128 = 0xc0ffee;

fn node(slot: &str, boot: u128) -> FreshNode {
    FreshNode {
        slot: slot.to_owned(),
        boot,
        client_address: format!("{slot}:5001"),
        peer_address: format!("{slot}:15001"),
    }
}

fn three() -> Vec<FreshNode> {
    vec![node("a", 1), node("b", 2), node("c", 3)]
}

fn fresh(node: &FreshNode, seen: &[FreshNode]) -> (String, Answer) {
    let answer = Answer::Fresh { node: node.clone(), seen: seen.to_vec() };
    (node.client_address.clone(), answer)
}

fn silent(address: &str) -> (String, Answer) {
    (address.to_owned(), Answer::Silent)
}

fn member(address: &str, founders: &[FreshNode]) -> (String, Answer) {
    let answer = Answer::Member { cluster: CLUSTER, founders: founders.to_vec() };
    (address.to_owned(), answer)
}

/// What node `own` of the three decides, all others being fresh and agreeing.
fn unanimous(own: usize, policy: OnTotalLoss) -> Decision {
    let all = three();
    let others: Vec<_> =
        all.iter().filter(|other| **other != all[own]).map(|other| fresh(other, &all)).collect();
    decide(&all[own], &others, policy)
}

fn waits(own: &FreshNode, others: &[(String, Answer)], why: &str) {
    match decide(own, others, OnTotalLoss::Unanimous) {
        Decision::Wait(text) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?} in spite of {why}"),
    }
}

#[test]
fn when_all_are_fresh_and_agree_the_lowest_slot_founds_the_cluster() {
    assert_eq!(unanimous(0, OnTotalLoss::Unanimous), Decision::Found(three()));
    for own in [1, 2] {
        let decision = unanimous(own, OnTotalLoss::Unanimous);
        assert_eq!(decision, Decision::Wait("a is to found the cluster".to_owned()));
    }
    let alone = node("a", 1);
    assert_eq!(decide(&alone, &[], OnTotalLoss::Unanimous), Decision::Found(vec![alone.clone()]));
}

#[test]
fn a_manual_policy_founds_nothing() {
    for own in 0..3 {
        assert!(matches!(unanimous(own, OnTotalLoss::Manual), Decision::Wait(_)));
    }
}

#[test]
fn nothing_is_founded_while_a_node_is_silent_or_disagrees() {
    let all = three();
    let [a, b, c] = &all[..] else { unreachable!() };
    waits(a, &[fresh(b, &all), silent("c:5001")], "no answer from c:5001");
    waits(a, &[silent("b:5001"), silent("c:5001")], "no answer from b:5001, c:5001");
    // It has not heard of all yet, or has heard an earlier life, or has a longer list.
    waits(a, &[fresh(b, &all), fresh(c, &all[1..])], "at c:5001");
    let former = [a.clone(), node("b", 9), c.clone()];
    waits(a, &[fresh(b, &all), fresh(c, &former)], "at c:5001");
    let longer = [&all[..], &[node("d", 4)]].concat();
    waits(a, &[fresh(b, &longer), fresh(c, &all)], "at b:5001");
    // A node without a list knows of nobody.
    waits(a, &[fresh(b, &all), fresh(c, &[])], "at c:5001");
}

#[test]
fn nothing_is_founded_by_two_of_one_name_or_by_one_named_twice() {
    let [a, b, twin] = [node("a", 1), node("b", 2), node("b", 3)];
    let all = [a.clone(), b.clone(), twin.clone()];
    waits(&a, &[fresh(&b, &all), fresh(&twin, &all)], "have the name b");
    waits(&a, &[fresh(&b, &all), fresh(&b, &all)], "have the name b");
    let alias = node("c", 1);
    let all = [a.clone(), b.clone(), alias.clone()];
    waits(&a, &[fresh(&b, &all), fresh(&alias, &all)], "twice");
}

#[test]
fn a_cluster_that_is_there_is_joined_and_never_founded_again() {
    let all = three();
    let [a, b, c] = &all[..] else { unreachable!() };
    let stranger = [node("a", 8), node("b", 9)];
    for survivor in [member("c:5001", &[]), member("c:5001", &stranger)] {
        for other in [fresh(b, &all), silent("b:5001")] {
            let decision = decide(a, &[other, survivor.clone()], OnTotalLoss::Unanimous);
            assert_eq!(decision, Decision::Join);
        }
    }
    // Who is named as a founder takes its place, whoever else is silent.
    let others = [member("a:5001", &all), silent("b:5001")];
    let expected = Decision::Follow { cluster: CLUSTER, founders: all.clone() };
    assert_eq!(decide(c, &others, OnTotalLoss::Unanimous), expected);
    // A later life of a founder is none.
    let others = [member("a:5001", &all), fresh(b, &all)];
    assert_eq!(decide(&node("c", 33), &others, OnTotalLoss::Unanimous), Decision::Join);
}

#[test]
fn founders_that_make_no_sense_are_not_followed() {
    let a = node("a", 1);
    let many = |count: usize| (0..count).map(|n| node(&format!("x{n:03}"), 100 + n as u128));
    for founders in [
        vec![a.clone(), node("a", 2)],
        vec![a.clone(), node("b", 1)],
        vec![node("b", 2), a.clone()],
        [a.clone()].into_iter().chain(many(MEMBERS_MAX)).collect(),
    ] {
        let decision = decide(&a, &[member("b:5001", &founders)], OnTotalLoss::Unanimous);
        assert_eq!(decision, Decision::Join, "{founders:?}");
    }
}

#[test]
fn all_founders_begin_with_the_same_log_and_ids_go_on_behind_it() {
    let mut founders: Vec<Raft> = (1..=3)
        .map(|id| Raft::found(config(), CLUSTER, MemberId(id), &three(), at(id * 7)))
        .collect();
    let outputs: Vec<Output> = founders.iter_mut().map(Raft::take_output).collect();
    for (raft, output) in founders.iter().zip(&outputs) {
        assert_eq!(output.committed, outputs[0].committed);
        assert_eq!(output.committed.len(), 3);
        assert_eq!((raft.commit_index(), raft.term()), (Index(3), Term(1)));
        assert_eq!(raft.configuration().voters, [1, 2, 3].map(MemberId));
        assert_eq!(raft.leader_id(), None);
        assert_eq!(raft.founders(), three());
    }
    let seeds: Vec<u64> = outputs[0].committed.iter().map(|c| c.entry.seed).collect();
    assert!(seeds[0] != seeds[1] && seeds[0] != 0);
    let other = Raft::found(config(), CLUSTER + 1, MemberId(1), &three(), at(0)).take_output();
    assert_ne!(other.committed[0].entry.seed, seeds[0], "keys are hashed differently elsewhere");
}

#[test]
fn two_of_three_founders_elect_a_leader_and_commit() {
    let mut nodes: Vec<Raft> = [1, 2]
        .map(|id| Raft::found(config(), CLUSTER, MemberId(id), &three(), at(0)))
        .into_iter()
        .collect();
    let mut committed = Vec::new();
    for ms in 1..1000 {
        let mut messages = Vec::new();
        for raft in &mut nodes {
            raft.set_now(at(ms));
            raft.tick();
            let output = raft.take_output();
            committed.extend(output.committed.into_iter().filter_map(|c| c.ticket));
            messages.extend(output.messages);
        }
        for message in messages {
            if let Some(raft) = nodes.iter_mut().find(|raft| raft.id() == message.to) {
                raft.step(message);
            }
        }
        if let Some(leader) = nodes.iter_mut().find(|raft| raft.is_leader())
            && leader.status().outstanding_batches == 0
            && committed.is_empty()
        {
            leader.submit(0, Ticket(1), payload(b"first"));
        }
    }
    let leader = nodes.iter_mut().find(|raft| raft.is_leader()).expect("two are a majority");
    assert_eq!(committed, [Ticket(1)]);
    assert!(leader.term() > Term(1), "nobody leads the term of the first entries");
    let admitted = leader.admit(applicant("c", 33)).unwrap();
    assert!(admitted > Index(3));
    assert!(leader.founders().is_empty(), "the configuration is another one now");
    let is_admission =
        |entry: &crate::raft::types::Entry| matches!(entry.body, EntryBody::Configuration(_));
    assert!(leader.entry(admitted).is_some_and(is_admission));
}
