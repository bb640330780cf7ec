//! Replication: what a follower takes and refuses, how a leader finds out where logs agree, and
//! what counts as acknowledged.

use mayfly::raft::ProgressState;
use mayfly::raft::message::Body;
use mayfly::raft::types::{Entry, Index, Round, Term};

use crate::members::{
    follower, forward, leader, look, peer, rejected, requests_to, settled, terms_from, write,
};
use crate::messages::{accepted, append, is_append, message, noop, said_to, tell};
use crate::network::{HEARTBEAT, Network, T, config, founder};

/// An index and its term.
type At = (u64, u64);

const PROBE_PAUSED: ProgressState = ProgressState::Probe { paused: true };

#[test]
fn log_replication() {
    let mut net = Network::led(3);
    let first = net.write(1, "a");
    net.heartbeat();
    net.elect(2);
    let second = net.write(2, "b");
    net.write(1, "c");
    net.heartbeat();
    assert!(net.is_answered(1, first) && net.is_answered(2, second));
    for id in 1..=3 {
        net.assert_applied(id, &["a", "b", "c"]);
        assert_eq!(net.commit(id), net.last(1));
    }
}

/// Behind the commit index there is nothing to compare; after it index and term must be there.
#[test]
fn follower_check_msg_app() {
    let cases = [
        ((0, 0), None),
        ((3, 1), None),
        ((4, 2), None),
        ((5, 3), None),
        ((4, 3), Some((4, 2))),
        ((5, 2), Some((4, 2))),
        ((6, 3), Some((5, 3))),
        ((9, 4), Some((5, 3))),
    ];
    for (previous, hint) in cases {
        let mut raft = follower(&[2, 3]);
        let output = tell(&mut raft, message(1, 2, 4, append(previous, 3, vec![])));
        let expected = match hint {
            // Never less than what it has committed.
            None => accepted(previous.0.max(3)),
            Some(hint) => rejected(previous.0, hint),
        };
        assert_eq!(said_to(&output, 1), [&expected], "{previous:?}");
        assert_eq!(terms_from(&raft, 4), [2, 3], "an empty request changes nothing");
    }
}

#[test]
fn follower_append_entries() {
    // What they follow; their indexes and terms; the terms of the log behind 3 then.
    let cases: [(At, &[At], &[u64]); 5] = [
        ((5, 3), &[(6, 4)], &[2, 3, 4]),
        ((4, 2), &[(5, 4), (6, 4)], &[2, 4, 4]),
        ((3, 1), &[(4, 2)], &[2, 3]),
        ((3, 1), &[(4, 3)], &[3]),
        ((3, 1), &[(4, 2), (5, 4)], &[2, 4]),
    ];
    for (previous, entries, log) in cases {
        let mut raft = follower(&[2, 3]);
        let entries: Vec<Entry> = entries.iter().map(|(at, term)| noop(*at, *term)).collect();
        let last = entries.last().unwrap().index.0;
        let output = tell(&mut raft, message(1, 2, 4, append(previous, 3, entries)));
        assert_eq!(terms_from(&raft, 4), log, "{previous:?}");
        assert_eq!(said_to(&output, 1), [&accepted(last)]);
    }
}

/// The commit index follows the leader's, but never beyond what this request has verified, even
/// where the log happens to be longer.
#[test]
fn handle_msg_app() {
    let cases: [(At, u64, usize, u64, u64); 9] = [
        // Previous, leader's commit index, new entries; then the last index and the commit index.
        ((5, 2), 6, 0, 5, 3),
        ((6, 3), 6, 0, 5, 3),
        ((5, 3), 4, 0, 5, 4),
        ((5, 3), 9, 0, 5, 5),
        ((4, 2), 9, 0, 5, 4),
        ((5, 3), 6, 1, 6, 6),
        ((5, 3), 5, 2, 7, 5),
        ((4, 2), 9, 1, 5, 5),
        ((0, 0), 9, 0, 5, 3),
    ];
    for (previous, commit, count, last, committed) in cases {
        let mut raft = follower(&[2, 3]);
        let entries = (0..count as u64).map(|more| noop(previous.0 + 1 + more, 4)).collect();
        tell(&mut raft, message(1, 2, 4, append(previous, commit, entries)));
        let row = format!("{previous:?} {commit} {count}");
        assert_eq!(raft.last_log_id().index, Index(last), "{row}");
        assert_eq!(raft.commit_index(), Index(committed), "{row}");
    }
}

/// What no leader can have is not taken, nor answered.
#[test]
fn handle_msg_app_that_makes_no_sense() {
    let cases: [(At, &[At]); 6] = [
        ((5, 3), &[(7, 4)]),
        ((5, 3), &[(6, 4), (8, 4)]),
        ((5, 3), &[(6, 4), (6, 4)]),
        ((5, 3), &[(6, 2)]),
        ((5, 3), &[(6, 9)]),
        ((5, 9), &[]),
    ];
    for (previous, entries) in cases {
        let mut raft = follower(&[2, 3]);
        let entries: Vec<Entry> = entries.iter().map(|(at, term)| noop(*at, *term)).collect();
        let output = tell(&mut raft, message(1, 2, 4, append(previous, 5, entries)));
        assert!(output.messages.is_empty(), "{previous:?}");
        assert_eq!((terms_from(&raft, 4), raft.commit_index()), (vec![2, 3], Index(3)));
    }
}

/// Each refusal skips a whole term of one of the two logs, so that the number of round trips is
/// that of the terms in which they differ and not that of the entries.
#[test]
fn fast_log_rejection() {
    let cases: [(&[u64], &[u64], usize); 8] = [
        // The log of the next leader, that of the other one, and the requests that are refused.
        (&[1, 1, 4, 4, 4], &[1, 1, 2, 2, 2], 1),
        (&[1, 1, 4, 4, 5], &[1, 1, 2, 2, 2], 1),
        (&[1, 1, 3, 3, 3, 3], &[1, 1, 1, 1, 1], 1),
        (&[1, 1, 1, 1, 4], &[1, 1, 3, 3], 2),
        (&[1, 1, 1, 1, 1, 1, 1], &[1], 1),
        (&[5], &[1, 2, 3, 4, 4, 4], 1),
        (&[1, 2, 3, 4], &[1, 2, 3, 4], 0),
        (&[2, 2, 2, 5, 5, 5], &[2, 3, 3, 3, 3, 3, 3], 2),
    ];
    for (leading, following, refused) in cases {
        let mut net = Network::with_logs(&[leading, following, leading]);
        net.cut(1, 2);
        net.elect(1);
        net.heal();
        let before = net.sent.len();
        net.connect(1, 2);
        net.deliver_all();
        let answers = net.said(before, 2, 1);
        let refusals = answers.iter().filter(|body| matches!(body, Body::AppendRejected { .. }));
        assert_eq!(refusals.count(), refused, "{leading:?} {following:?}");
        assert_eq!(net.log_terms(2), net.log_terms(1));
    }
}

/// An acknowledgement of more overtakes one of less, and a refusal that was meant for a former
/// probe comes last: neither takes anything back.
#[test]
fn log_replication_with_reordered_message() {
    let mut raft = settled(3, config());
    for ticket in 1..=3 {
        write(&mut raft, ticket, 8);
    }
    tell(&mut raft, message(2, 1, 2, accepted(7)));
    assert_eq!((peer(&raft, 2).match_index, raft.commit_index()), (Index(7), Index(7)));
    tell(&mut raft, message(2, 1, 2, accepted(5)));
    tell(&mut raft, message(2, 1, 2, rejected(6, (4, 2))));
    tell(&mut raft, message(2, 1, 2, rejected(4, (3, 1))));
    let after = peer(&raft, 2);
    assert_eq!((after.match_index, after.next_index), (Index(7), Index(8)));
    assert_eq!(after.state, ProgressState::Replicate);
    assert_eq!(raft.commit_index(), Index(7));
}

#[test]
fn leader_app_resp() {
    let cases = [
        // What the peer says; then match and next, requests that follow, and the commit index.
        (accepted(4), (4, 5), 0, 4),
        (accepted(3), (3, 5), 1, 3),
        (accepted(9), (0, 4), 0, 3),
        (rejected(3, (3, 1)), (0, 3), 1, 3),
        (rejected(3, (1, 1)), (0, 2), 1, 3),
        (rejected(2, (1, 1)), (0, 4), 0, 3),
        (rejected(8, (8, 2)), (0, 4), 0, 3),
    ];
    for (answer, (match_index, next_index), requests, commit) in cases {
        let mut raft = leader(3, config());
        let output = tell(&mut raft, message(2, 1, 2, answer.clone()));
        let peer = peer(&raft, 2);
        let found = (peer.match_index.0, peer.next_index.0);
        assert_eq!(found, (match_index, next_index), "{answer:?}");
        assert_eq!(requests_to(&output, 2).len(), requests, "{answer:?}");
        assert_eq!(raft.commit_index(), Index(commit), "{answer:?}");
    }
}

/// A peer that has acknowledged gets what is new without waiting for the others.
#[test]
fn msg_app_resp_wait_reset() {
    let mut raft = leader(3, config());
    tell(&mut raft, message(2, 1, 2, accepted(4)));
    assert_eq!(raft.commit_index(), Index(4));
    let output = write(&mut raft, 1, 8);
    assert_eq!(requests_to(&output, 2), [(4, vec![5])]);
    assert_eq!(requests_to(&output, 3), [], "it still owes an answer to its probe");
    let output = tell(&mut raft, message(3, 1, 2, accepted(4)));
    assert_eq!(requests_to(&output, 3), [(4, vec![5])]);
}

#[test]
fn leader_increase_next() {
    let mut replicating = settled(3, config());
    write(&mut replicating, 1, 8);
    assert_eq!(peer(&replicating, 2).next_index, Index(6), "sent ahead");
    let mut probing = leader(3, config());
    write(&mut probing, 1, 8);
    assert_eq!(peer(&probing, 2).next_index, Index(4), "where they agree is not known");
}

#[test]
fn send_append_for_progress_probe() {
    let mut raft = leader(3, config());
    for ticket in 1..=3 {
        let output = write(&mut raft, ticket, 8);
        assert_eq!(requests_to(&output, 2), [], "one is on its way");
        assert_eq!(peer(&raft, 2).state, PROBE_PAUSED);
    }
    // Each heartbeat asks where the peer is, without entries that it may have already.
    for ms in [1, 2] {
        let output = look(&mut raft, ms * HEARTBEAT);
        assert_eq!(requests_to(&output, 2), [(3, vec![])]);
    }
    let output = tell(&mut raft, message(2, 1, 2, accepted(4)));
    assert_eq!(requests_to(&output, 2), [(4, vec![5, 6, 7])]);
}

#[test]
fn send_append_for_progress_replicate() {
    let mut raft = settled(3, config());
    for ticket in 1..=4 {
        let output = write(&mut raft, ticket, 8);
        assert_eq!(requests_to(&output, 2), [(3 + ticket, vec![4 + ticket])]);
    }
    assert_eq!(peer(&raft, 2).inflight_messages, 4);
}

#[test]
fn send_append_for_progress_snapshot() {
    let mut net = Network::led(3);
    net.isolate(3);
    net.write(1, "a");
    net.heartbeat();
    net.compact(1);
    net.hold_snapshots = true;
    net.heal();
    net.heartbeat();
    assert_eq!(peer(net.raft(1), 3).state, ProgressState::Snapshot);
    let before = net.sent.len();
    for text in ["b", "c", "d"] {
        net.write(1, text);
        net.heartbeat();
    }
    let entries = |body: &&Body| match body {
        Body::AppendRequest { entries, .. } => entries.len(),
        _ => 0,
    };
    assert_eq!(net.said(before, 1, 3).iter().map(entries).sum::<usize>(), 0);
}

#[test]
fn recv_msg_unreachable() {
    let mut raft = settled(3, config());
    write(&mut raft, 1, 8);
    assert_eq!(peer(&raft, 2).next_index, Index(6));
    raft.peer_unreachable(mayfly::raft::types::MemberId(2));
    let peer = peer(&raft, 2);
    assert_eq!((peer.state, peer.match_index), (PROBE_PAUSED, Index(4)));
    assert_eq!((peer.next_index, peer.inflight_messages), (Index(5), 0));
}

#[test]
fn progress_paused() {
    let mut raft = leader(2, config());
    let sent: usize = (1..=3).map(|n| requests_to(&write(&mut raft, n, 8), 2).len()).sum();
    assert_eq!(sent, 0, "the no-op is the one that is on its way");
}

/// What was lost on its way to a peer that probes is made up for by the answer to a heartbeat.
#[test]
fn progress_resume_by_heartbeat_resp() {
    let mut raft = leader(3, config());
    assert_eq!(peer(&raft, 2).state, PROBE_PAUSED);
    let output = look(&mut raft, HEARTBEAT);
    assert_eq!(requests_to(&output, 2), [(3, vec![])]);
    let output = tell(&mut raft, message(2, 1, 2, accepted(3)));
    assert_eq!(requests_to(&output, 2), [(3, vec![4])]);
    assert_eq!(peer(&raft, 2).state, ProgressState::Replicate);
}

#[test]
fn probe_and_replicate() {
    let mut net = Network::with_logs(&[&[1, 2, 2], &[1], &[1, 2, 2]]);
    net.hold(|m| is_append(m) && m.to.0 == 2);
    net.elect(1);
    assert_eq!(peer(net.raft(1), 2).state, PROBE_PAUSED);
    net.release();
    net.deliver_all();
    assert_eq!(peer(net.raft(1), 2).state, ProgressState::Replicate);
    assert_eq!(net.log_terms(2), net.log_terms(1));
}

/// A peer whose link has broken probes until a heartbeat is answered, with or without a new link.
#[test]
fn heartbeat_resp_recovers_from_probing() {
    let mut net = Network::led(3);
    net.break_link(1, 2);
    assert_eq!(peer(net.raft(1), 2).state, PROBE_PAUSED);
    net.write(1, "a");
    net.heartbeat();
    assert_eq!(peer(net.raft(1), 2).state, ProgressState::Replicate);
    net.assert_applied(2, &["a"]);
}

/// What a leader counts for itself is its log as it is now, whatever that once held.
#[test]
fn leader_msg_app_self_ack_after_term_change() {
    let mut raft = settled(3, config());
    for ticket in 1..=3 {
        write(&mut raft, ticket, 8);
    }
    assert_eq!(raft.last_log_id().index, Index(7));
    // A leader of term 3 takes all of it back, and this one leads again.
    tell(&mut raft, message(2, 1, 3, append((4, 2), 4, vec![noop(5, 3)])));
    assert_eq!(raft.last_log_id().index, Index(5));
    crate::members::take_the_lead(&mut raft, [2]);
    // Its three batches are appended anew behind its no-op.
    assert_eq!(terms_from(&raft, 5), [3, 4, 4, 4, 4]);
    tell(&mut raft, message(2, 1, 2, accepted(9)));
    tell(&mut raft, message(3, 1, 2, accepted(9)));
    assert_eq!(raft.commit_index(), Index(4), "said in term 2");
    tell(&mut raft, message(3, 1, 4, accepted(6)));
    assert_eq!(raft.commit_index(), Index(6));
}

/// A follower takes entries of one leader, the next one replaces them, and the first leader's come
/// again with a new term, all in one pass: what it then says is about the log that it has.
#[test]
fn async_storage_writes_append_aba_race() {
    let mut raft = founder(2, 3, config());
    raft.step(message(1, 2, 2, append((3, 1), 3, vec![noop(4, 2), noop(5, 2), noop(6, 2)])));
    raft.step(message(3, 2, 3, append((3, 1), 3, vec![noop(4, 3)])));
    let output = raft.take_output();
    assert_eq!(said_to(&output, 1), Vec::<&Body>::new(), "nobody leads term 2 any more");
    assert_eq!(said_to(&output, 3), [&accepted(4)]);
    raft.step(message(1, 2, 4, append((3, 1), 3, vec![noop(4, 2)])));
    let output = raft.take_output();
    assert_eq!(said_to(&output, 1), [&accepted(4)], "not 6, which it once had");
    assert_eq!(terms_from(&raft, 4), [2]);
}

/// Only what is committed is handed out, so what is replaced before never reaches anybody.
#[test]
fn raw_node_overwrite_entries() {
    let mut raft = founder(2, 3, config());
    raft.take_output();
    let old = append((3, 1), 3, vec![noop(4, 2), noop(5, 2)]);
    assert!(tell(&mut raft, message(1, 2, 2, old)).committed.is_empty());
    let new = append((3, 1), 5, vec![noop(4, 3), noop(5, 3)]);
    let output = tell(&mut raft, message(3, 2, 3, new));
    let handed_out = output.committed.iter().map(|c| (c.entry.index.0, c.entry.term.0));
    assert_eq!(handed_out.collect::<Vec<_>>(), [(4, 3), (5, 3)]);
}

/// An acknowledgement of a former term is dropped, and one of this term that names what the log
/// does not hold as well.
#[test]
fn stale_acknowledgement_of_a_former_term() {
    let mut net = Network::led(5);
    net.partition(&[1, 3], &[2, 4, 5]);
    net.hold(|m| m.from.0 == 3);
    for _ in 0..3 {
        net.get(1).raft.tick_entry();
        net.deliver_all();
    }
    let stale = net.held.clone();
    assert!(!stale.is_empty());
    net.heal();
    net.held.clear();
    net.isolate(1);
    net.elect(2);
    net.heal();
    net.heartbeat();
    net.lose(|m| is_append(m) && m.from.0 == 1);
    net.elect(1);
    let commit = net.commit(1);
    while net.last(1) < 9 {
        net.get(1).raft.tick_entry();
    }
    for message in stale {
        net.get(1).raft.step(message);
    }
    net.collect();
    assert_eq!(net.commit(1), commit);
    assert_eq!(peer(net.raft(1), 3).match_index, Index(0));
}

/// A stream's number is that of the log, not of a message: a late copy of a batch that the stream
/// has left behind is not taken for a new one.
#[test]
fn stale_word_on_a_stream() {
    let mut net = Network::led(3);
    net.hold(|m| matches!(m.body, Body::Forward { .. }));
    net.write(2, "a");
    let copies = net.held.clone();
    net.release();
    net.deliver_all();
    net.write(2, "b");
    for leader in [1, 3] {
        if leader == 3 {
            net.elect(3);
        }
        let term = Term(net.term(leader));
        for copy in copies.clone() {
            let to = mayfly::raft::types::MemberId(leader);
            net.get(leader).raft.step(mayfly::raft::message::Message { to, term, ..copy });
        }
        net.heartbeat();
        net.assert_applied(leader, &["a", "b"]);
    }
}

/// A batch that was lost leaves a gap: what follows is not taken, and the leader says where the
/// stream goes on.
#[test]
fn gap_in_a_stream() {
    let mut raft = settled(3, config());
    let output = tell(&mut raft, message(2, 1, 2, forward(2)));
    let expected = Body::ForwardExpected { stream: 0, expected: mayfly::raft::types::Seq(1) };
    assert_eq!(said_to(&output, 2), [&expected]);
    assert_eq!(raft.last_log_id().index, Index(4));
    raft.step(message(2, 1, 2, forward(1)));
    tell(&mut raft, message(2, 1, 2, forward(2)));
    assert_eq!(raft.last_log_id().index, Index(6));
}

#[test]
fn duplicated_frame() {
    let mut net = Network::led(3);
    net.write(2, "a");
    net.write(1, "b");
    net.heartbeat();
    // Everything that was ever said arrives once more.
    let said = net.sent.clone();
    let before: Vec<u64> = (1..=3).map(|id| net.last(id)).collect();
    for message in said {
        net.get(message.to.0).raft.step(message);
        net.deliver_all();
    }
    net.heartbeat();
    assert_eq!(net.leader(), Some(1));
    assert_eq!((1..=3).map(|id| net.last(id)).collect::<Vec<_>>(), before);
    for id in 1..=3 {
        net.assert_applied(id, &["a", "b"]);
    }
}

/// Acknowledgements in any order lead to the same state, and only the largest counts.
#[test]
fn ack_reordering() {
    for order in [[5, 6, 7], [7, 6, 5], [6, 7, 5], [7, 5, 6]] {
        let mut raft = settled(3, config());
        for ticket in 1..=3 {
            write(&mut raft, ticket, 8);
        }
        let mut commit = Index(4);
        for match_index in order {
            tell(&mut raft, message(2, 1, 2, accepted(match_index)));
            assert!(raft.commit_index() >= commit, "{order:?}");
            commit = raft.commit_index();
        }
        let peer = peer(&raft, 2);
        assert_eq!((commit, peer.match_index, peer.inflight_messages), (Index(7), Index(7), 0));
        assert_eq!(peer.next_index, Index(8));
    }
}

/// A round of reads that was answered out of order is confirmed by the larger number.
#[test]
fn round_acknowledgements_in_any_order() {
    let mut net = Network::led(3);
    net.hold(|m| m.to.0 == 1);
    let first = net.ask_read(1);
    net.deliver_all();
    let second = net.ask_read(1);
    net.deliver_all();
    net.held.reverse();
    net.release();
    net.deliver_all();
    assert!(net.read_index(1, first).is_some() && net.read_index(1, second).is_some());
}

/// Batches that a leader has committed without telling their node are told by the next one.
#[test]
fn a_commit_that_was_never_told() {
    let mut net = Network::led(3);
    net.lose(|m| {
        m.from.0 == 1
            && matches!(&m.body, Body::AppendRequest { commit_index, .. }
        if *commit_index >= Index(5))
    });
    let ticket = net.write(2, "a");
    assert_eq!(net.commit(1), 5);
    assert!(!net.is_answered(2, ticket));
    net.kill(1);
    net.run(4 * T);
    assert!(net.is_answered(2, ticket));
    net.assert_applied(3, &["a"]);
}

/// A member that has never heard of a round answers with the one that it was asked in.
#[test]
fn an_answer_carries_the_round_of_its_request() {
    let mut raft = follower(&[2]);
    let mut body = append((4, 2), 3, vec![]);
    if let Body::AppendRequest { round, .. } = &mut body {
        *round = Round(7);
    }
    let output = tell(&mut raft, message(1, 2, 2, body));
    assert_eq!(said_to(&output, 1), [&crate::members::answered(4, 7)]);
    let stranger = tell(&mut raft, message(3, 2, 2, forward(1)));
    assert!(stranger.messages.is_empty(), "a follower takes no batches");
}
