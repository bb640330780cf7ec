use std::sync::Arc;

use rkyv::util::AlignedVec;

use super::{GiveUpReason, Origin, Watermark, Watermarks};
use crate::raft::types::{
    Configuration, Entry, EntryBody, Index, Member, MemberId, Payload, Seq, Stream, Term, Ticket,
};

const WINDOW: usize = 1 << 20;

fn payload(bytes: &[u8]) -> Payload {
    let mut buffer = AlignedVec::new();
    buffer.extend_from_slice(bytes);
    Payload::new(buffer)
}

fn pumped(origin: &mut Origin, window: usize, now: u64) -> Vec<(Stream, u64, Vec<u8>)> {
    let mut sent = Vec::new();
    origin.pump(window, now, |stream, seq, payload| {
        sent.push((stream, seq.0, payload.as_slice().to_vec()));
    });
    sent
}

fn seqs(origin: &mut Origin, now: u64) -> Vec<u64> {
    pumped(origin, WINDOW, now).into_iter().map(|(_, seq, _)| seq).collect()
}

#[test]
fn numbers_are_drawn_in_order_per_stream_and_each_is_sent_once_per_leader() {
    let mut origin = Origin::default();
    origin.submit(0, Ticket(1), payload(b"a"), 0);
    origin.submit(1, Ticket(1), payload(b"x"), 0);
    origin.submit(0, Ticket(2), payload(b"b"), 0);
    let sent = pumped(&mut origin, WINDOW, 0);
    let expected = [(0, 1, b"a".to_vec()), (0, 2, b"b".to_vec()), (1, 1, b"x".to_vec())];
    assert_eq!(sent, expected);
    assert!(seqs(&mut origin, 0).is_empty());
    origin.rewind();
    assert_eq!(pumped(&mut origin, WINDOW, 0), expected);
}

#[test]
fn commits_answer_tickets_in_order_and_only_once() {
    let mut origin = Origin::default();
    origin.submit(0, Ticket(8), payload(b"a"), 0);
    origin.submit(0, Ticket(9), payload(b"b"), 0);
    seqs(&mut origin, 0);
    assert_eq!(origin.committed(0, Seq(1), 0), Some(Ticket(8)));
    assert_eq!(origin.committed(0, Seq(1), 0), None);
    assert_eq!(origin.committed(7, Seq(1), 0), None);
    assert_eq!(origin.committed(0, Seq(2), 0), Some(Ticket(9)));
    assert_eq!(origin.outstanding(), 0);
}

#[test]
fn the_window_bounds_what_is_sent_ahead() {
    let mut origin = Origin::default();
    for ticket in 1..=3 {
        origin.submit(0, Ticket(ticket), payload(&[0; 1000]), 0);
    }
    assert_eq!(pumped(&mut origin, 10, 0).len(), 1, "one always goes");
    assert_eq!(pumped(&mut origin, 2500, 0).len(), 1);
    assert_eq!(pumped(&mut origin, 2500, 0).len(), 0);
    origin.committed(0, Seq(1), 0);
    assert_eq!(pumped(&mut origin, 2500, 0).len(), 1);
}

#[test]
fn the_leaders_word_rewinds_once_and_echoes_do_not() {
    let mut origin = Origin::default();
    for ticket in 1..=4 {
        origin.submit(0, Ticket(ticket), payload(b"a"), 0);
    }
    seqs(&mut origin, 0);
    origin.expected(0, Seq(3), 10, 0);
    assert_eq!(seqs(&mut origin, 0), [3, 4]);
    origin.expected(0, Seq(3), 10, 9);
    assert!(seqs(&mut origin, 9).is_empty());
    origin.expected(0, Seq(3), 10, 10);
    assert_eq!(seqs(&mut origin, 10), [3, 4]);
    origin.expected(0, Seq(99), 10, 50);
    origin.expected(9, Seq(1), 10, 50);
    assert!(seqs(&mut origin, 50).is_empty());
}

#[test]
fn a_stalled_stream_is_sent_again() {
    let mut origin = Origin::default();
    origin.submit(0, Ticket(1), payload(b"a"), 0);
    assert!(!origin.rewind_stalled(10, 100));
    seqs(&mut origin, 100);
    assert!(!origin.rewind_stalled(10, 109));
    assert!(origin.rewind_stalled(10, 110));
    assert_eq!(seqs(&mut origin, 110), [1]);
}

#[test]
fn what_was_never_sent_frees_its_number_and_what_was_sent_keeps_it() {
    let mut origin = Origin::default();
    origin.submit(0, Ticket(1), payload(b"a"), 0);
    seqs(&mut origin, 0);
    origin.rewind();
    origin.submit(0, Ticket(2), payload(b"b"), 5);
    let mut given_up = Vec::new();
    origin.give_up(3, 10, 13, &mut given_up);
    assert_eq!((given_up.len(), given_up[0].ticket), (1, Ticket(1)));
    assert_eq!(given_up[0].reason, GiveUpReason::OutcomeUnknown);
    origin.give_up(3, 10, 15, &mut given_up);
    assert_eq!((given_up.len(), given_up[1].ticket), (2, Ticket(2)));
    assert_eq!(given_up[1].reason, GiveUpReason::NeverSent);
    origin.submit(0, Ticket(3), payload(b"c"), 16);
    assert_eq!(pumped(&mut origin, WINDOW, 16), [(0, 1, vec![]), (0, 2, b"c".to_vec())]);
    assert_eq!(origin.committed(0, Seq(1), 16), None);
    assert_eq!(origin.committed(0, Seq(2), 16), Some(Ticket(3)));
}

#[test]
fn a_snapshot_ends_the_wait_for_what_it_contains() {
    let mut origin = Origin::default();
    for ticket in 1..=3 {
        origin.submit(0, Ticket(ticket), payload(b"a"), 0);
    }
    seqs(&mut origin, 0);
    let mark = Watermark { origin: MemberId(4), stream: 0, seq: Seq(2) };
    let mut given_up = Vec::new();
    origin.skip_to(MemberId(4), &Watermarks::new(vec![mark]), &mut given_up);
    assert_eq!(given_up.iter().map(|g| g.ticket.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(origin.committed(0, Seq(3), 0), Some(Ticket(3)));
}

#[test]
fn watermarks_follow_the_log_and_forget_removed_members() {
    let batch = |origin, stream, seq| Entry {
        index: Index(1),
        term: Term(1),
        at_ms: 0,
        seed: 0,
        body: EntryBody::Batch {
            origin: MemberId(origin),
            stream,
            seq: Seq(seq),
            payload: Payload::empty(),
        },
    };
    let mut marks = Watermarks::default();
    for entry in [batch(2, 1, 1), batch(1, 0, 1), batch(2, 1, 2), batch(2, 0, 1)] {
        marks.note(&entry);
    }
    assert_eq!(marks.get(MemberId(2), 1), Seq(2));
    assert_eq!(marks.get(MemberId(2), 9), Seq(0));
    let member = Member {
        id: MemberId(1),
        slot: String::new(),
        boot: 0,
        client_address: String::new(),
        peer_address: String::new(),
        observer: false,
    };
    let configuration = Configuration { members: vec![member], ..Configuration::default() };
    let body = EntryBody::Configuration(Arc::new(configuration));
    marks.note(&Entry { body, ..batch(1, 0, 1) });
    assert_eq!(marks.get(MemberId(2), 1), Seq(0));
    assert_eq!(marks.get(MemberId(1), 0), Seq(1));
}
