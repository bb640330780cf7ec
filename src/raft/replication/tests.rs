use std::sync::Arc;

use crate::raft::message::Body;
use crate::raft::testing::{
    T, accepted, append, at, config, configuration, entry, leader_of, message, noop, pass, payload,
    sent_to, settled_leader, tick_at, voter,
};
use crate::raft::types::{
    Configuration, Entry, EntryBody, Index, MemberId, Payload, Round, Seq, Term, Ticket,
};
use crate::raft::{ProgressState, Raft};

fn three() -> Raft {
    settled_leader(configuration(&[1, 2, 3], &[], &[]), &[2, 3])
}

fn rejected(prev: u64, hint: (u64, u64)) -> Body {
    Body::AppendRejected {
        prev_index: Index(prev),
        hint_index: Index(hint.0),
        hint_term: Term(hint.1),
        round: Round(0),
    }
}

fn forward(seq: u64, content: &[u8]) -> Body {
    Body::Forward { stream: 0, seq: Seq(seq), payload: payload(content) }
}

fn terms(raft: &Raft) -> Vec<u64> {
    (1..=raft.status().last_index.0).map(|i| raft.entry(Index(i)).unwrap().term.0).collect()
}

fn entries_of(body: &Body) -> Vec<u64> {
    match body {
        Body::AppendRequest { entries, .. } => entries.iter().map(|e| e.index.0).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_follower_accepts_only_what_continues_its_log() {
    let mut raft = voter(2, &[1, 2, 3]);
    let output = pass(&mut raft, message(1, 2, 2, append((12, 2), 10, vec![noop(13, 2)])));
    assert_eq!(sent_to(&output, 1), [&rejected(12, (10, 1))]);
    let output = pass(&mut raft, message(1, 2, 2, append((10, 1), 10, vec![noop(11, 2)])));
    assert_eq!(sent_to(&output, 1), [&accepted(11, 0)]);
    assert_eq!(raft.commit_index(), Index(10));
}

#[test]
fn conflicting_entries_are_replaced_and_equal_ones_kept() {
    let mut raft = voter(2, &[1, 2, 3]);
    let old = (11..=14).map(|index| noop(index, 2)).collect();
    pass(&mut raft, message(1, 2, 2, append((10, 1), 10, old)));
    pass(&mut raft, message(3, 2, 4, append((11, 2), 10, vec![noop(12, 2)])));
    assert_eq!(raft.status().last_index, Index(14), "a late request shortens nothing");
    pass(&mut raft, message(3, 2, 4, append((11, 2), 10, vec![noop(12, 2), noop(13, 4)])));
    assert_eq!(terms(&raft)[10..], [2, 2, 4]);
}

#[test]
fn committed_entries_are_never_replaced() {
    let mut raft = voter(2, &[1, 2, 3]);
    let output = pass(&mut raft, message(3, 2, 4, append((4, 3), 10, vec![noop(5, 4)])));
    assert_eq!(terms(&raft), [1; 10]);
    assert_eq!(sent_to(&output, 3), [&accepted(10, 0)], "it has at least what is committed");
}

#[test]
fn a_follower_commits_no_further_than_the_request_has_verified() {
    let mut raft = voter(2, &[1, 2, 3]);
    pass(&mut raft, message(1, 2, 2, append((10, 1), 10, vec![noop(11, 2), noop(12, 2)])));
    let output = pass(&mut raft, message(3, 2, 3, append((11, 2), 99, vec![])));
    assert_eq!(raft.commit_index(), Index(11));
    assert_eq!(output.committed.iter().map(|c| c.entry.index.0).collect::<Vec<_>>(), [11]);
}

#[test]
fn a_truncated_configuration_loses_its_effect() {
    let mut raft = voter(2, &[1, 2, 3]);
    let next = Arc::new(configuration(&[1, 2, 3], &[], &[11]));
    let body = EntryBody::Configuration(Arc::clone(&next));
    let output = pass(&mut raft, message(1, 2, 2, append((10, 1), 10, vec![entry(11, 2, body)])));
    assert_eq!(output.configuration, Some(next));
    let output = pass(&mut raft, message(3, 2, 3, append((10, 1), 10, vec![noop(11, 3)])));
    assert_eq!(output.configuration.as_ref(), Some(raft.configuration()));
    assert!(raft.configuration().learners.is_empty());
}

#[test]
fn acknowledgements_of_a_pass_become_one() {
    let mut raft = voter(2, &[1, 2, 3]);
    raft.step(message(1, 2, 2, append((10, 1), 10, vec![noop(11, 2)])));
    raft.step(message(1, 2, 2, append((11, 2), 10, vec![noop(12, 2)])));
    raft.step(message(1, 2, 2, append((10, 1), 10, vec![noop(11, 2)])));
    assert_eq!(sent_to(&raft.take_output(), 1), [&accepted(12, 0)]);
    assert!(!raft.has_output());
}

#[test]
fn acknowledgements_to_a_former_leader_are_not_sent_in_a_new_term() {
    let mut raft = voter(2, &[1, 2, 3]);
    raft.step(message(1, 2, 2, append((10, 1), 10, vec![noop(11, 2)])));
    raft.step(message(3, 2, 3, append((10, 1), 10, vec![noop(11, 3)])));
    let output = raft.take_output();
    assert!(sent_to(&output, 1).is_empty());
    assert_eq!(sent_to(&output, 3), [&accepted(11, 0)]);
}

#[test]
fn entries_of_former_terms_commit_only_with_one_of_this_term() {
    // Figure 8: entry 11 of term 2 on a majority is not yet safe in term 4.
    let mut raft = voter(1, &[1, 2, 3, 4, 5]);
    pass(&mut raft, message(2, 1, 2, append((10, 1), 10, vec![noop(11, 2)])));
    raft.become_follower(Term(3), None);
    raft.campaign_now().unwrap();
    for peer in [2, 3] {
        raft.step(message(peer, 1, 4, Body::VoteResponse { granted: true }));
    }
    raft.take_output();
    for peer in [2, 3, 4] {
        pass(&mut raft, message(peer, 1, 4, accepted(11, 0)));
    }
    assert_eq!(raft.commit_index(), Index(10));
    for peer in [2, 3] {
        pass(&mut raft, message(peer, 1, 4, accepted(12, 0)));
    }
    assert_eq!(raft.commit_index(), Index(12));
}

#[test]
fn a_joint_configuration_commits_with_both_majorities() {
    let mut raft = leader_of(configuration(&[1, 4, 5], &[1, 2, 3], &[]));
    for peer in [2, 3] {
        pass(&mut raft, message(peer, 1, 2, accepted(11, 0)));
    }
    assert_eq!(raft.commit_index(), Index(10));
    pass(&mut raft, message(4, 1, 2, accepted(11, 0)));
    assert_eq!(raft.commit_index(), Index(11));
}

#[test]
fn what_was_appended_in_a_pass_goes_in_one_message_per_peer() {
    let mut raft = three();
    for ticket in 1..=3 {
        raft.submit(0, Ticket(ticket), payload(b"x"));
    }
    let output = raft.take_output();
    for peer in [2, 3] {
        let bodies = sent_to(&output, peer);
        assert_eq!(bodies.len(), 1);
        assert_eq!(entries_of(bodies[0]), [12, 13, 14]);
    }
    pass(&mut raft, message(2, 1, 2, accepted(13, 0)));
    assert_eq!(raft.commit_index(), Index(13));
}

#[test]
fn a_request_is_bounded_in_bytes_and_the_window_in_messages() {
    let mut raft = three();
    raft.config.append_bytes_max = 1;
    raft.config.inflight_messages_max = 2;
    for ticket in 1..=5 {
        raft.submit(0, Ticket(ticket), payload(b"x"));
    }
    let output = raft.take_output();
    let sent: Vec<_> = sent_to(&output, 2).into_iter().map(entries_of).collect();
    assert_eq!(sent, [[12], [13]]);
    let output = pass(&mut raft, message(2, 1, 2, accepted(12, 0)));
    let sent: Vec<_> = sent_to(&output, 2).into_iter().map(entries_of).collect();
    assert_eq!(sent, [[14]]);
}

#[test]
fn a_probe_is_one_message_until_it_is_answered_or_a_heartbeat_is_due() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[]));
    raft.append(EntryBody::Tick);
    assert!(raft.take_output().messages.is_empty(), "the probe with the no-op is unanswered");
    assert_eq!(sent_to(&tick_at(&mut raft, 20), 2).len(), 1);
    let output = pass(&mut raft, message(2, 1, 2, accepted(11, 0)));
    assert_eq!(entries_of(sent_to(&output, 2)[0]), [12]);
}

#[test]
fn a_rejection_goes_on_from_where_the_logs_may_agree() {
    let mut raft = leader_of(configuration(&[1, 2, 3], &[], &[]));
    let output = pass(&mut raft, message(2, 1, 2, rejected(10, (6, 1))));
    assert_eq!(entries_of(sent_to(&output, 2)[0]), [7, 8, 9, 10, 11]);
    let output = pass(&mut raft, message(2, 1, 2, rejected(10, (3, 1))));
    assert!(output.messages.is_empty(), "a late rejection");
}

#[test]
fn a_broken_connection_falls_back_to_probing_from_the_match() {
    let mut raft = three();
    raft.submit(0, Ticket(1), payload(b"x"));
    raft.take_output();
    raft.peer_unreachable(MemberId(2));
    raft.submit(0, Ticket(2), payload(b"y"));
    assert!(sent_to(&raft.take_output(), 2).is_empty());
    raft.peer_connected(MemberId(2));
    assert_eq!(entries_of(sent_to(&raft.take_output(), 2)[0]), [12, 13]);
}

#[test]
fn the_origin_of_a_committed_batch_is_told_at_once_and_nobody_else() {
    let mut raft = three();
    tick_at(&mut raft, 1);
    pass(&mut raft, message(2, 1, 2, forward(1, b"x")));
    let output = pass(&mut raft, message(3, 1, 2, accepted(12, 0)));
    assert_eq!(output.committed.len(), 1);
    assert_eq!(output.committed[0].ticket, None);
    let told = sent_to(&output, 2);
    assert!(matches!(told[..], [Body::AppendRequest { commit_index: Index(12), .. }]));
    assert!(sent_to(&output, 3).is_empty());
}

#[test]
fn each_number_of_a_stream_is_appended_once_and_in_order() {
    let mut raft = three();
    raft.step(message(2, 1, 2, forward(2, b"b")));
    raft.step(message(2, 1, 2, forward(3, b"c")));
    let output = raft.take_output();
    let expected = Body::ForwardExpected { stream: 0, expected: Seq(1) };
    assert_eq!(sent_to(&output, 2), [&expected], "once per pass");
    for seq in [1, 1, 2, 1] {
        raft.step(message(2, 1, 2, forward(seq, b"a")));
    }
    raft.take_output();
    assert_eq!(raft.status().last_index, Index(13));
    raft.step(message(7, 1, 2, forward(1, b"stranger")));
    raft.take_output();
    assert_eq!(raft.status().last_index, Index(13));
}

#[test]
fn a_new_leader_knows_from_its_log_what_is_in_it() {
    let batch = |seq| EntryBody::Batch {
        origin: MemberId(3),
        stream: 0,
        seq: Seq(seq),
        payload: Payload::empty(),
    };
    let mut raft = voter(1, &[1, 2, 3]);
    let entries = vec![entry(11, 2, batch(1)), entry(12, 2, batch(2))];
    pass(&mut raft, message(2, 1, 2, append((10, 1), 10, entries)));
    pass(&mut raft, message(2, 1, 3, append((11, 2), 10, vec![noop(12, 3)])));
    raft.campaign_now().unwrap();
    raft.step(message(2, 1, 4, Body::VoteResponse { granted: true }));
    raft.step(message(3, 1, 4, forward(1, b"")));
    assert_eq!(raft.status().last_index, Index(13));
    raft.step(message(3, 1, 4, forward(2, b"")));
    assert_eq!(raft.status().last_index, Index(14), "the second was truncated");
}

#[test]
fn a_follower_forwards_in_order_and_again_to_the_next_leader() {
    let mut raft = voter(2, &[1, 2, 3]);
    raft.submit(0, Ticket(7), payload(b"a"));
    assert!(raft.take_output().messages.is_empty(), "no leader is known");
    let output = pass(&mut raft, message(1, 2, 2, append((10, 1), 10, vec![])));
    assert!(sent_to(&output, 1).contains(&&forward(1, b"a")));
    raft.submit(0, Ticket(8), payload(b"b"));
    let output = pass(&mut raft, message(3, 2, 3, append((10, 1), 10, vec![])));
    let again = sent_to(&output, 3);
    assert!(again.contains(&&forward(1, b"a")) && again.contains(&&forward(2, b"b")));
    raft.peer_connected(MemberId(3));
    assert_eq!(sent_to(&raft.take_output(), 3).len(), 2);
    let batch =
        EntryBody::Batch { origin: MemberId(2), stream: 0, seq: Seq(1), payload: payload(b"a") };
    let committed = append((10, 1), 11, vec![entry(11, 3, batch)]);
    let output = pass(&mut raft, message(3, 2, 3, committed));
    assert_eq!(output.committed[0].ticket, Some(Ticket(7)));
}

#[test]
fn what_waits_without_a_leader_is_given_up_in_time() {
    let mut raft = voter(2, &[1, 2, 3]);
    raft.submit(0, Ticket(1), payload(b"a"));
    raft.submit_read(0, Ticket(2));
    raft.config.election_timeout_ms = 1_000_000;
    raft.reset_election_deadline();
    assert!(tick_at(&mut raft, 499).given_up.is_empty());
    let given_up = tick_at(&mut raft, 500).given_up;
    assert_eq!(given_up.iter().map(|g| g.ticket.0).collect::<Vec<_>>(), [1, 2]);
    let status = raft.status();
    assert_eq!((status.outstanding_batches, status.pending_reads), (0, 0));
}

#[test]
fn the_clock_of_the_log_never_goes_back() {
    let mut raft = three();
    raft.set_now(crate::raft::Now { monotonic_ms: 1, unix_ms: 9_000 });
    raft.tick_entry();
    raft.set_now(crate::raft::Now { monotonic_ms: 2, unix_ms: 8_000 });
    raft.tick_entry();
    assert_eq!(raft.entry(Index(12)).unwrap().at_ms, 9_000);
    assert_eq!(raft.entry(Index(13)).unwrap().at_ms, 9_000);
}

#[test]
fn absurd_messages_are_ignored() {
    let max = u64::MAX;
    let huge = EntryBody::Batch {
        origin: MemberId(max),
        stream: 0,
        seq: Seq(max),
        payload: Payload::empty(),
    };
    let bodies = [
        append((max, max), max, vec![]),
        append((max, 1), max, vec![noop(0, 1)]),
        append((10, 1), max, vec![noop(12, 2)]),
        append((10, 1), max, vec![noop(11, 9)]),
        append((10, 1), max, vec![noop(11, 2), noop(12, 1)]),
        append((10, 1), max, vec![noop(11, 0)]),
        append((3, 0), max, vec![noop(4, 0)]),
        append((10, 1), 10, vec![entry(11, 2, huge)]),
        append((10, 1), max, vec![entry(11, 2, EntryBody::Configuration(Arc::default()))]),
        accepted(max, max),
        accepted(0, max),
        rejected(max, (max, max)),
        rejected(0, (0, 0)),
        rejected(11, (0, 0)),
        forward(max, b""),
        forward(0, b""),
        Body::ForwardExpected { stream: 9, expected: Seq(max) },
        Body::ReadIndexRequest { id: max },
        Body::ReadIndexResponse { id: max, index: Index(max), at_ms: max },
        Body::TimeoutNow,
        Body::SnapshotOffer { last_index: Index(max), last_term: Term(max) },
        Body::SnapshotInstalled { last_index: Index(max) },
        Body::SnapshotInstalled { last_index: Index(0) },
        Body::PreVoteRequest { last_index: Index(max), last_term: Term(max) },
        Body::VoteResponse { granted: true },
        Body::PreVoteResponse { granted: true },
    ];
    for member in [three(), voter(1, &[1, 2, 3]), Raft::join(config(), MemberId(1), at(0))] {
        for body in &bodies {
            for (from, term) in [(2, 2), (2, 0), (max, 2), (max, (1 << 62) - 1), (3, max)] {
                let mut raft = member.clone();
                raft.submit(0, Ticket(1), payload(b"x"));
                pass(&mut raft, message(from, 1, term, body.clone()));
                assert!(raft.commit_index() <= raft.status().last_index);
                for ms in [T, 3 * T, 5 * T] {
                    tick_at(&mut raft, ms);
                    pass(&mut raft, message(3, 1, term, body.clone()));
                }
            }
        }
    }
}

/// What no leader can have appended: somebody counts who is no member, or there are more members
/// than a leader has room for.
#[test]
fn a_configuration_that_no_leader_can_have_made_is_not_taken() {
    let sound = configuration(&[1], &[], &[]);
    let many: Vec<u64> = (1..=70).collect();
    let stranger = Configuration { voters: vec![MemberId(1), MemberId(9)], ..sound.clone() };
    let twice = Configuration { voters: vec![MemberId(1), MemberId(1)], ..sound.clone() };
    let nobody = Configuration { members: Vec::new(), ..sound.clone() };
    let cases = [
        (configuration(&[1, 2], &[], &many), false),
        (stranger, false),
        (twice, false),
        (nobody, false),
        (sound, true),
    ];
    for (unsound, taken) in cases {
        let mut raft = voter(1, &[1, 2, 3]);
        let change = EntryBody::Configuration(Arc::new(unsound));
        pass(&mut raft, message(2, 1, 2, append((10, 1), 11, vec![entry(11, 2, change)])));
        assert_eq!(raft.status().last_index == Index(11), taken);
        // By whichever counts it leads, and asks for the round of a read.
        raft.campaign_now().unwrap();
        pass(&mut raft, message(2, 1, 3, Body::VoteResponse { granted: true }));
        let last = raft.status().last_index.0;
        pass(&mut raft, message(2, 1, 3, accepted(last, 0)));
        assert!(raft.is_leader());
        raft.submit_read(0, Ticket(1));
        raft.take_output();
    }
}

#[test]
fn a_clock_that_no_leader_can_have_is_not_taken() {
    let mut raft = voter(1, &[1, 2, 3]);
    let late = Entry { at_ms: 1 << 62, ..noop(11, 2) };
    pass(&mut raft, message(2, 1, 2, append((10, 1), 11, vec![late])));
    assert_eq!(raft.status().last_index, Index(10));
}

#[test]
fn a_peer_that_acknowledges_what_does_not_exist_is_not_believed() {
    let mut raft = three();
    raft.submit(0, Ticket(1), payload(b"x"));
    raft.take_output();
    pass(&mut raft, message(2, 1, 2, accepted(13, 0)));
    assert_eq!(raft.commit_index(), Index(11));
    assert_eq!(raft.status().peers[0].state, ProgressState::Replicate);
}

#[test]
fn a_follower_acknowledges_no_further_than_the_request_has_verified() {
    let mut raft = voter(2, &[1, 2, 3]);
    pass(&mut raft, message(1, 2, 1, append((10, 1), 10, vec![noop(11, 1), noop(12, 1)])));
    // Another leader, which may not have entry 12.
    let output = pass(&mut raft, message(3, 2, 2, append((11, 1), 10, vec![])));
    assert_eq!(sent_to(&output, 3), [&accepted(11, 0)]);
}

#[test]
fn what_a_former_leader_was_owed_is_not_acknowledged_to_the_next() {
    let mut raft = voter(2, &[1, 2, 3]);
    raft.step(message(1, 2, 1, append((10, 1), 10, vec![noop(11, 1), noop(12, 1)])));
    let output = pass(&mut raft, message(3, 2, 2, append((10, 1), 10, vec![])));
    assert_eq!(sent_to(&output, 3), [&accepted(10, 0)]);
}

#[test]
fn a_follower_goes_on_only_behind_an_entry_of_the_same_term() {
    let mut raft = voter(2, &[1, 2, 3]);
    pass(&mut raft, message(1, 2, 1, append((10, 1), 10, vec![noop(11, 1)])));
    let output = pass(&mut raft, message(3, 2, 3, append((11, 2), 10, vec![noop(12, 3)])));
    assert_eq!(sent_to(&output, 3), [&rejected(11, (11, 1))]);
    assert_eq!(terms(&raft).len(), 11);
}

#[test]
fn a_configuration_outlives_the_compaction_of_its_entry() {
    let mut raft = voter(2, &[1, 2, 3]);
    let before = Arc::clone(raft.configuration());
    let joint = EntryBody::Configuration(Arc::new(configuration(&[1, 2, 4], &[1, 2, 3], &[])));
    let entries = vec![noop(11, 1), entry(12, 1, joint)];
    pass(&mut raft, message(1, 2, 1, append((10, 1), 11, entries)));
    raft.compact(Index(11));
    assert!(raft.configuration().is_joint());
    assert_eq!(raft.snapshot_state(Index(11)).unwrap().configuration, before);
    pass(&mut raft, message(3, 2, 3, append((11, 1), 11, vec![noop(12, 3)])));
    assert_eq!(*raft.configuration(), before);
}

#[test]
fn what_is_compacted_already_is_not_compacted_again() {
    let mut raft = voter(2, &[1, 2, 3]);
    for through in [10, 10, 3] {
        raft.compact(Index(through));
        assert_eq!(raft.first_index(), Index(11));
        assert_eq!(raft.configuration().voters.len(), 3);
    }
}
