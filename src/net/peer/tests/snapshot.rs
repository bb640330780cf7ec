//! The second link: what travels on it, and when it opens and ends.

use super::*;
use crate::limits::SNAPSHOT_WINDOW_BYTES;
use rkyv::util::AlignedVec;

const ONE: MemberId = MemberId(1);
const NINE: MemberId = MemberId(9);

fn chunk(from: MemberId, to: MemberId, bytes: usize) -> SnapshotMessage {
    let mut buffer = AlignedVec::new();
    buffer.resize(bytes, 7);
    let body = SnapshotBody::Chunk { sequence: 0, payload: Payload::new(buffer) };
    SnapshotMessage { from, to, last_index: Index(4), body }
}

fn is_part(event: &LinkEvent) -> bool {
    matches!(event, LinkEvent::Snapshot(_))
}

fn is_snapshot_down(event: &LinkEvent) -> bool {
    matches!(event, LinkEvent::SnapshotDown(_))
}

impl Pair {
    fn both_open(&self) -> bool {
        self.acceptor.is_snapshot_open(NINE) && self.dialler.is_snapshot_open(ONE)
    }

    /// With a snapshot link that the dialler has opened.
    fn with_snapshot_link() -> Self {
        let mut pair = Self::up();
        pair.dialler.open_snapshot(ONE);
        pair.run(Self::both_open);
        pair
    }
}

#[test]
fn a_snapshot_goes_over_a_connection_of_its_own_that_serves_both_ways() {
    let mut pair = Pair::up();
    pair.dialler.send_snapshot(&mut pair.ring, chunk(NINE, ONE, 100));
    assert_eq!(pair.dialler.counters.dropped_messages, 1, "there is no such link yet");
    // Asking twice is asking once.
    pair.dialler.open_snapshot(ONE);
    pair.dialler.open_snapshot(ONE);
    pair.run(Pair::both_open);
    pair.dialler.open_snapshot(ONE);
    assert_eq!(pair.accepted.len(), 2);
    assert_ne!(pair.connection(Purpose::Consensus), pair.connection(Purpose::Snapshot));
    pair.dialler.send_snapshot(&mut pair.ring, chunk(NINE, ONE, 100));
    pair.acceptor.send_snapshot(&mut pair.ring, chunk(ONE, NINE, 100));
    pair.run(|pair| pair.has(1, is_part) && pair.has(9, is_part));
    assert_eq!(pair.accepted.len(), 2);
    assert_eq!(
        pair.events.iter().filter(|(_, event)| matches!(event, LinkEvent::Up(_))).count(),
        2
    );
}

#[test]
fn what_belongs_on_the_other_link_closes_the_one_it_came_over() {
    let mut pair = Pair::with_snapshot_link();
    let connection = pair.connection(Purpose::Snapshot);
    send(&mut pair.ring, connection, encode_message(CLUSTER, message(9, 1)));
    pair.run(|pair| pair.has(1, is_snapshot_down) && pair.has(9, is_snapshot_down));
    assert!(!pair.has(1, is_message) && !pair.is_down(1) && !pair.is_down(9));
    let said = pair.acceptor.complaints.texts().next().unwrap();
    assert!(said.ends_with("a message of consensus on a snapshot link"), "{said}");

    let mut pair = Pair::with_snapshot_link();
    let connection = pair.connection(Purpose::Consensus);
    send(&mut pair.ring, connection, encode_snapshot(CLUSTER, chunk(NINE, ONE, 100)));
    pair.run(|pair| pair.is_down(1) && pair.is_down(9));
    assert!(!pair.has(1, is_part));
    assert!(pair.both_open(), "each link lives by itself");
}

#[test]
fn a_part_for_somebody_else_closes_the_link() {
    let mut pair = Pair::with_snapshot_link();
    let connection = pair.connection(Purpose::Snapshot);
    let stray = chunk(NINE, MemberId(5), 100);
    send(&mut pair.ring, connection, encode_snapshot(CLUSTER, stray));
    pair.run(|pair| pair.has(1, is_snapshot_down));
    assert_eq!(pair.acceptor.counters.bad_frames, 1);
    assert!(!pair.has(1, is_part));
}

#[test]
fn a_full_queue_drops_and_counts_but_never_what_the_window_allows() {
    let mut pair = Pair::with_snapshot_link();
    let part = chunk(NINE, ONE, SNAPSHOT_WINDOW_BYTES / 8);
    for _ in 0..8 {
        pair.dialler.send_snapshot(&mut pair.ring, part.clone());
    }
    assert_eq!(pair.dialler.counters.dropped_messages, 0);
    for _ in 0..16 {
        pair.dialler.send_snapshot(&mut pair.ring, part.clone());
    }
    assert!(pair.dialler.counters.dropped_messages > 0);
    let queued = pair.ring.queued_bytes(pair.connection(Purpose::Snapshot));
    assert!(queued < SNAPSHOT_QUEUE_BYTES_MAX + SNAPSHOT_WINDOW_BYTES / 4, "{queued}");
    assert!(pair.ring.queued_bytes(pair.connection(Purpose::Consensus)) == 0);
}

#[test]
fn one_that_nobody_uses_closes_in_silence_and_opens_again() {
    let mut pair = Pair::with_snapshot_link();
    pair.skip(SNAPSHOT_LINK_IDLE_MS - 5000);
    pair.step();
    assert!(pair.both_open());
    // What is sent counts as use on both sides.
    pair.dialler.send_snapshot(&mut pair.ring, chunk(NINE, ONE, 100));
    pair.run(|pair| pair.has(1, is_part));
    pair.skip(SNAPSHOT_LINK_IDLE_MS - 5000);
    pair.step();
    assert!(pair.both_open());
    pair.skip(5001);
    pair.run(|pair| !pair.acceptor.is_snapshot_open(NINE) && !pair.dialler.is_snapshot_open(ONE));
    assert!(!pair.has(1, is_snapshot_down) && !pair.has(9, is_snapshot_down));
    assert!(!pair.is_down(1) && !pair.is_down(9));
    pair.dialler.open_snapshot(ONE);
    pair.run(Pair::both_open);
}

#[test]
fn who_closes_it_ends_what_is_under_way_on_the_other_side() {
    let mut pair = Pair::with_snapshot_link();
    pair.dialler.close_snapshot(&mut pair.ring, ONE);
    pair.run(|pair| pair.has(1, is_snapshot_down));
    let start_ms = pair.now_ms();
    pair.run(|pair| pair.now_ms() > start_ms + 100);
    assert!(!pair.has(9, is_snapshot_down) && !pair.both_open(), "nobody wants it any more");
    assert!(!pair.is_down(1) && !pair.is_down(9));
}

#[test]
fn the_other_side_closing_an_unused_one_ends_nothing() {
    let mut pair = Pair::with_snapshot_link();
    // It has found a little earlier that nobody uses the link.
    pair.skip(SNAPSHOT_LINK_IDLE_MS / 2 + 1);
    pair.step();
    pair.dialler.close_snapshot(&mut pair.ring, ONE);
    pair.run(|pair| !pair.acceptor.is_snapshot_open(NINE));
    assert!(!pair.has(1, is_snapshot_down));
}

#[test]
fn it_is_opened_to_connected_members_only() {
    let mut pair = Pair::usual();
    pair.dialler.open_snapshot(ONE);
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
    let start_ms = pair.now_ms();
    pair.run(|pair| pair.now_ms() > start_ms + 100);
    assert_eq!(pair.accepted.len(), 1);
}

#[test]
fn of_two_that_open_it_at_once_the_newer_goes_on() {
    let mut pair = Pair::up();
    // The acceptor, member 1, is about to greet a connection of its own to member 9.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = pair.ring.connect(silent.local_addr().unwrap());
    let now_ms = pair.now_ms();
    pair.acceptor.peers[0].snapshot.dial(own, now_ms);
    pair.dialler.open_snapshot(ONE);
    pair.run(Pair::both_open);
    assert_eq!(pair.refusals().count(), 0);

    // Now it is the newer, member 9, whose own attempt is under way.
    let mut pair = Pair::new(identity(9), identity(1), &[1, 9]);
    pair.skip(OLDER_DIALS_MS + 1);
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
    let own = pair.ring.connect(silent.local_addr().unwrap());
    let now_ms = pair.now_ms();
    pair.acceptor.peers[0].snapshot.dial(own, now_ms);
    let nine = pair.dialler.peers.iter().position(|peer| peer.id == NINE).unwrap();
    pair.dialler.open_snapshot(NINE);
    let accepted = pair.accepted.len();
    pair.run(|pair| pair.accepted.len() > accepted);
    pair.run(|pair| !pair.dialler.peers[nine].snapshot.is_on_its_way());
    assert!(!pair.dialler.is_snapshot_open(NINE));
    assert_eq!(pair.dialler.complaints.texts().count(), 0);
    assert_eq!(pair.refusals().count(), 0, "nobody is wrong");
}
