//! Flow control: how much is sent ahead to a peer, how much a node asks of a leader ahead of its
//! commits, and what happens to the rest.

use mayfly::raft::message::Body;
use mayfly::raft::types::{Index, MemberId, Ticket};
use mayfly::raft::{Config, GiveUpReason, ProgressState};

use crate::members::{look, peer, requests_to, settled, write, zeroes};
use crate::messages::{accepted, is_append, message, tell};
use crate::network::{HEARTBEAT, Network, T, config};

fn window(inflight_messages_max: usize) -> Config {
    Config { inflight_messages_max, ..config() }
}

/// Three requests are sent ahead, and each acknowledgement makes room for one that takes along all
/// that has waited.
#[test]
fn progress_flow_control() {
    let mut raft = settled(3, Config { append_bytes_max: 2_048, ..window(3) });
    for ticket in 1..=10 {
        raft.submit(0, Ticket(ticket), zeroes(1_000));
    }
    let output = raft.take_output();
    // A request takes entries up to 2048 bytes, headers included: one of these.
    assert_eq!(requests_to(&output, 2), [(4, vec![5]), (5, vec![6]), (6, vec![7])]);
    let output = tell(&mut raft, message(2, 1, 2, accepted(5)));
    assert_eq!(requests_to(&output, 2), [(7, vec![8])]);
    let output = tell(&mut raft, message(2, 1, 2, accepted(8)));
    assert_eq!(requests_to(&output, 2), [(8, vec![9]), (9, vec![10]), (10, vec![11])]);
}

#[test]
fn msg_app_flow_control_full() {
    let mut raft = settled(3, window(3));
    for ticket in 1..=3 {
        assert_eq!(requests_to(&write(&mut raft, ticket, 8), 2).len(), 1);
    }
    for ticket in 4..=10 {
        assert_eq!(requests_to(&write(&mut raft, ticket, 8), 2).len(), 0);
    }
    assert_eq!(peer(&raft, 2).inflight_messages, 3);
}

/// An acknowledgement makes room for as many requests as it covers, a late one for none.
#[test]
fn msg_app_flow_control_move_forward() {
    let mut raft = settled(3, window(3));
    for ticket in 1..=3 {
        write(&mut raft, ticket, 8);
    }
    // The requests end with 5, 6 and 7.
    for acknowledged in 5..=50 {
        tell(&mut raft, message(2, 1, 2, accepted(acknowledged)));
        assert_eq!(peer(&raft, 2).inflight_messages, 2);
        for late in acknowledged - 2..=acknowledged {
            tell(&mut raft, message(2, 1, 2, accepted(late)));
            assert_eq!(peer(&raft, 2).inflight_messages, 2, "{late} of {acknowledged}");
        }
        assert_eq!(requests_to(&write(&mut raft, acknowledged, 8), 2).len(), 1);
        assert_eq!(peer(&raft, 2).inflight_messages, 3);
    }
}

/// Heartbeats go out whatever the window, and an answer to one makes room only for what it
/// acknowledges: unlike in etcd, where it makes room for one.
#[test]
fn msg_app_flow_control_recv_heartbeat() {
    let mut raft = settled(3, window(3));
    for ticket in 1..=5 {
        write(&mut raft, ticket, 8);
    }
    for beat in 1..=3 {
        let output = look(&mut raft, beat * HEARTBEAT);
        assert_eq!(requests_to(&output, 2), [(7, vec![])]);
        let output = tell(&mut raft, message(2, 1, 2, accepted(4)));
        assert_eq!(requests_to(&output, 2), [], "what it says is older than the window");
    }
    let output = tell(&mut raft, message(2, 1, 2, accepted(7)));
    assert_eq!(requests_to(&output, 2), [(7, vec![8, 9])]);
}

#[test]
fn replicate_pause() {
    let mut net = Network::with_config(3, &window(3));
    net.elect(1);
    net.heartbeat();
    net.lose(|m| is_append(m) && m.to.0 == 3);
    for text in ["a", "b", "c", "d", "e", "f"] {
        net.write(1, text);
    }
    assert_eq!(peer(net.raft(1), 3).inflight_messages, 3);
    let before = net.sent.len();
    net.write(1, "g");
    assert_eq!(net.said(before, 1, 3).len(), 0, "its window is full");
    // All three are lost. The next heartbeat is refused, and that starts it again.
    net.heal();
    net.heartbeat();
    net.assert_applied(3, &["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(peer(net.raft(1), 3).state, ProgressState::Replicate);
}

/// All that was submitted in a pass travels in one request per peer.
#[test]
fn batch_msg_append() {
    let mut raft = settled(3, config());
    for ticket in 1..=5 {
        raft.submit(0, Ticket(ticket), zeroes(8));
    }
    let output = raft.take_output();
    for to in [2, 3] {
        assert_eq!(requests_to(&output, to), [(4, vec![5, 6, 7, 8, 9])]);
    }
}

#[test]
fn append_pagination() {
    const MOST: usize = 2_048;
    let mut net = Network::with_config(3, &Config { append_bytes_max: MOST, ..config() });
    net.elect(1);
    net.heartbeat();
    net.isolate(3);
    let text = "x".repeat(700);
    for _ in 0..30 {
        net.write(1, &text);
    }
    net.heal();
    let before = net.sent.len();
    net.run_until("member 3 has all of it", |net| net.last(3) == net.last(1));
    let mut requests = 0;
    for body in net.said(before, 1, 3) {
        if let Body::AppendRequest { entries, .. } = body {
            let bytes: usize = entries.iter().map(mayfly::raft::types::Entry::bytes).sum();
            assert!(bytes <= MOST, "{bytes}");
            requests += usize::from(!entries.is_empty());
        }
    }
    assert!(requests >= 15, "two of these entries go into a request: {requests}");
}

/// An entry that is larger than a request may be goes alone.
#[test]
fn an_entry_larger_than_a_request() {
    let mut raft =
        settled(3, Config { append_bytes_max: 100, inflight_bytes_max: 1_000, ..config() });
    let output = write(&mut raft, 1, 5_000);
    assert_eq!(requests_to(&output, 2), [(4, vec![5])]);
    assert_eq!(requests_to(&write(&mut raft, 2, 8), 2), [], "the window is full of it");
}

/// What a node's clients have asked for beyond its window waits outside of the log.
#[test]
fn uncommitted_entry_limit() {
    const LIMIT: usize = 10_000;
    let mut raft = settled(3, Config { inflight_bytes_max: LIMIT, ..config() });
    for ticket in 1..=100 {
        write(&mut raft, ticket, 1_000);
    }
    let uncommitted = |raft: &mayfly::raft::Raft| {
        let indexes = raft.commit_index().0 + 1..=raft.last_log_id().index.0;
        indexes.map(|at| raft.entry(Index(at)).unwrap().bytes()).sum::<usize>()
    };
    assert!(uncommitted(&raft) <= LIMIT);
    assert!(uncommitted(&raft) > LIMIT / 2);
    // Commits make room, until all of it is in the log: nothing is refused and nothing lost.
    let mut tickets = Vec::new();
    while tickets.len() < 100 {
        let last = peer(&raft, 2).next_index.0 - 1;
        let output = tell(&mut raft, message(2, 1, 2, accepted(last)));
        assert!(uncommitted(&raft) <= LIMIT);
        tickets.extend(output.committed.iter().filter_map(|committed| committed.ticket));
    }
    assert!(tickets.is_sorted());
}

/// A leader without a majority steps down after an election timeout; however much its clients ask
/// for until then, its log takes a window of it.
#[test]
fn bounded_log_growth_with_partition() {
    let bounded = Config { inflight_bytes_max: 10_000, ..config() };
    let mut net = Network::with_config(3, &bounded);
    net.elect(1);
    net.heartbeat();
    net.isolate(1);
    let before = net.last(1);
    let text = "x".repeat(1_000);
    let mut tickets: Vec<Ticket> = (0..50).map(|_| net.write(1, &text)).collect();
    net.run(2 * T);
    tickets.extend((0..50).map(|_| net.write(1, &text)));
    assert!(net.leader() != Some(1));
    assert!(net.last(1) - before <= 10, "{}", net.last(1) - before);
    net.heal();
    net.run_until("all is answered", |net| {
        tickets.iter().all(|ticket| net.is_answered(1, *ticket))
    });
    net.run(2 * HEARTBEAT);
    assert_eq!(net.get(2).texts().len(), 100);
}

/// What a deposed leader had in its window does not count against the next one's, nor is it lost.
#[test]
fn uncommitted_entry_after_leader_election() {
    let bounded = Config { inflight_bytes_max: 5_000, ..config() };
    let mut net = Network::with_config(3, &bounded);
    net.elect(1);
    net.heartbeat();
    net.lose(|m| is_append(m) && m.from.0 == 1);
    let text = "x".repeat(1_000);
    let tickets: Vec<Ticket> = (0..20).map(|_| net.write(1, &text)).collect();
    net.elect(2);
    let own: Vec<Ticket> = (0..20).map(|_| net.write(2, &text)).collect();
    net.heal();
    net.run_until("all is answered", |net| {
        tickets.iter().all(|ticket| net.is_answered(1, *ticket))
            && own.iter().all(|ticket| net.is_answered(2, *ticket))
    });
    net.heartbeat();
    for id in 1..=3 {
        assert_eq!(net.get(id).texts().len(), 40);
    }
}

/// However much is committed at once, a pass hands out all of it, in order and once.
#[test]
fn commit_pagination() {
    let mut raft = settled(3, config());
    for ticket in 1..=500 {
        raft.submit(0, Ticket(ticket), zeroes(1_000));
    }
    raft.take_output();
    let output = tell(&mut raft, message(2, 1, 2, accepted(504)));
    let tickets: Vec<u64> = output.committed.iter().filter_map(|c| c.ticket).map(|t| t.0).collect();
    assert_eq!(tickets, (1..=500).collect::<Vec<_>>());
    assert!(tell(&mut raft, message(3, 1, 2, accepted(504))).committed.is_empty());
}

/// A broken connection empties the window: what was in it is sent again from what was acknowledged,
/// and an acknowledgement of the former connection does no harm.
#[test]
fn window_across_reconnect() {
    let mut raft = settled(3, window(2));
    for ticket in 1..=4 {
        write(&mut raft, ticket, 8);
    }
    assert_eq!(peer(&raft, 2).inflight_messages, 2);
    raft.peer_unreachable(MemberId(2));
    raft.peer_connected(MemberId(2));
    let output = raft.take_output();
    assert_eq!(requests_to(&output, 2), [(4, vec![5, 6, 7, 8])]);
    assert_eq!(peer(&raft, 2).inflight_messages, 0, "it probes");
    // Said on the connection that broke, and true all the same.
    tell(&mut raft, message(2, 1, 2, accepted(6)));
    let now = peer(&raft, 2);
    assert_eq!((now.state, now.match_index), (ProgressState::Replicate, Index(6)));
    let output = tell(&mut raft, message(2, 1, 2, accepted(8)));
    assert_eq!(requests_to(&output, 2), []);
    assert_eq!((peer(&raft, 2).inflight_messages, peer(&raft, 2).next_index), (0, Index(9)));
}

/// With a new connection to the leader a node sends again what the old one may have lost: batches
/// and the question for a read index, without waiting for a timeout.
#[test]
fn what_was_asked_across_reconnect() {
    let mut net = Network::led(3);
    net.lose(|m| m.from.0 == 2);
    let write = net.write(2, "a");
    let read = net.ask_read(2);
    net.deliver_all();
    net.heal();
    net.connect(1, 2);
    net.deliver_all();
    assert!(net.is_answered(2, write));
    assert!(net.read_index(2, read).is_some());
}

/// A batch that a leader may have got keeps its number when its client is no longer told, so that
/// nothing else can be taken for it; one that was never sent gives its number up.
#[test]
fn numbers_of_what_was_given_up() {
    let mut net = Network::led(3);
    net.lose(|m| matches!(m.body, Body::Forward { .. }));
    net.write(2, "a");
    net.isolate(2);
    net.break_link(1, 2);
    net.write(2, "b");
    net.run(10 * T);
    let reasons: Vec<GiveUpReason> = net.get(2).given_up.iter().map(|g| g.reason).collect();
    assert_eq!(reasons, [GiveUpReason::OutcomeUnknown, GiveUpReason::NeverSent]);
    net.heal();
    let before = net.sent.len();
    let ticket = net.write(2, "c");
    net.run_until("it is answered", |net| net.is_answered(2, ticket));
    let numbers = net.said(before, 2, 1).into_iter().filter_map(|body| match body {
        Body::Forward { seq, payload, .. } => Some((seq.0, payload.len())),
        _ => None,
    });
    let mut numbers: Vec<(u64, usize)> = numbers.collect();
    numbers.dedup();
    assert_eq!(numbers, [(1, 0), (2, 1)], "an empty batch in the place of the first");
}

/// A connection that breaks again and again never makes a window grow or an entry appear twice.
#[test]
fn many_reconnects() {
    let mut net = Network::with_config(3, &window(2));
    net.elect(1);
    net.heartbeat();
    let mut expected = Vec::new();
    for round in 0..20 {
        let text = format!("{round}");
        net.submit(1 + round % 3, &text);
        net.break_link(1, 2);
        net.submit(2, "again");
        net.connect(1, 2);
        assert!(peer(net.raft(1), 2).inflight_messages <= 2);
        net.deliver_all();
        expected.push(text);
        expected.push("again".into());
    }
    net.run(4 * T);
    let leader = net.leader().unwrap();
    let mut found = net.get(leader).texts();
    assert_eq!(found.len(), expected.len());
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}
