use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use super::*;
use crate::net::ring::Event;
use crate::raft::message::Body;
use crate::raft::types::{Index, Member, Term};

const CLUSTER: ClusterId = 77;

fn identity(member: u64) -> Identity {
    let slot = format!("slot-{member}");
    Identity { cluster: CLUSTER, member: MemberId(member), slot, boot: u128::from(member) }
}

fn configuration(members: &[(u64, SocketAddr)]) -> Configuration {
    let member = |(id, address): &(u64, SocketAddr)| Member {
        id: MemberId(*id),
        slot: format!("slot-{id}"),
        boot: u128::from(*id),
        client_address: "127.0.0.1:1".to_owned(),
        peer_address: address.to_string(),
    };
    Configuration { members: members.iter().map(member).collect(), ..Configuration::default() }
}

/// Two nodes' links on one ring: member 1 listens, member 9 dials.
struct Pair {
    ring: Ring,
    older: Links,
    newer: Links,
    accepted: Vec<Connection>,
    events: Vec<(u64, LinkEvent)>,
}

impl Pair {
    fn new(older: Identity, newer: Identity, known: &[u64]) -> Self {
        let mut ring = Ring::new(64).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        ring.listen(listener.into());
        let (mut older, mut newer) = (Links::new(older, 20), Links::new(newer, 20));
        let known: Vec<_> = known.iter().map(|id| (*id, address)).collect();
        older.set_members(&mut ring, &configuration(&known));
        newer.set_members(&mut ring, &configuration(&[(1, address), (9, address)]));
        Self { ring, older, newer, accepted: Vec::new(), events: Vec::new() }
    }

    /// Runs both sides until `done`.
    fn run(&mut self, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", self.events);
            let now_ms = start.elapsed().as_millis() as u64;
            self.newer.tick(&mut self.ring, now_ms);
            let Self { ring, older, newer, accepted, events } = self;
            ring.pass(|ring, event| match event {
                Event::Accepted { socket, .. } => accepted.push(older.on_accepted(ring, socket)),
                Event::Connected { connection } => newer.on_connected(ring, connection),
                Event::Received { connection, bytes } => {
                    let links =
                        if accepted.contains(&connection) { &mut *older } else { &mut *newer };
                    links.on_received(ring, connection, bytes, now_ms);
                }
                Event::Ended { connection } => ring.close(connection),
                Event::Closed { connection, .. } | Event::ConnectFailed { connection, .. } => {
                    older.on_closed(connection, now_ms);
                    newer.on_closed(connection, now_ms);
                }
                Event::Drained { .. } => {}
            })
            .unwrap();
            events.extend(older.take_events().into_iter().map(|event| (1, event)));
            events.extend(newer.take_events().into_iter().map(|event| (9, event)));
            ring.wait(Duration::from_millis(1)).unwrap();
        }
    }

    fn is_up(&self, node: u64) -> bool {
        self.events.iter().any(|(at, event)| *at == node && matches!(event, LinkEvent::Up(_)))
    }

    fn refusal(&self) -> Option<&str> {
        self.events.iter().find_map(|(_, event)| match event {
            LinkEvent::Refused { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
    }
}

fn message(from: u64, to: u64) -> Message {
    let body = Body::PreVoteRequest { last_index: Index(1), last_term: Term(1) };
    Message { from: MemberId(from), to: MemberId(to), term: Term(2), body }
}

#[test]
fn the_newer_member_dials_and_both_can_speak() {
    let mut pair = Pair::new(identity(1), identity(9), &[1, 9]);
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
    pair.older.send(&mut pair.ring, message(1, 9));
    pair.newer.send(&mut pair.ring, message(9, 1));
    let heard = |pair: &Pair, node: u64| {
        let is_message = |event: &LinkEvent| matches!(event, LinkEvent::Message(_));
        pair.events.iter().any(|(at, event)| *at == node && is_message(event))
    };
    pair.run(|pair| heard(pair, 1) && heard(pair, 9));
    assert_eq!(pair.older.counters.bad_frames + pair.newer.counters.bad_frames, 0);
}

#[test]
fn whoever_is_not_the_member_it_says_is_refused() {
    let other_cluster = Identity { cluster: 78, ..identity(9) };
    let other_boot = Identity { boot: 1234, ..identity(9) };
    let successor = Identity { member: MemberId(2), ..identity(1) };
    let cases = [
        (identity(1), other_cluster, &[1, 9][..], "belongs to cluster"),
        (identity(1), other_boot, &[1, 9], "member 9 is another process"),
        (identity(1), identity(9), &[1], "9 is not a member"),
        (successor, identity(9), &[1, 2, 9], "this node is member 2, not 1"),
    ];
    for (older, newer, known, reason) in cases {
        let mut pair = Pair::new(older, newer, known);
        pair.run(|pair| pair.refusal().is_some());
        assert!(pair.refusal().unwrap().contains(reason), "{:?}", pair.refusal());
        assert!(!pair.is_up(1) && !pair.is_up(9));
    }
}

#[test]
fn a_message_for_another_member_closes_the_link_and_is_counted() {
    let mut pair = Pair::new(identity(1), identity(9), &[1, 9]);
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
    let connection = pair.newer.peers[0].link.connection().unwrap();
    send(&mut pair.ring, connection, encode_message(CLUSTER, message(9, 5)));
    let is_down = |pair: &Pair| {
        pair.events.iter().any(|(at, event)| *at == 1 && matches!(event, LinkEvent::Down(_)))
    };
    pair.run(is_down);
    assert_eq!(pair.older.counters.bad_frames, 1);
    assert!(!pair.events.iter().any(|(_, event)| matches!(event, LinkEvent::Message(_))));
}

#[test]
fn garbage_on_the_peer_port_is_counted_and_closed() {
    let mut pair = Pair::new(identity(1), identity(9), &[1, 9]);
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
    let connection = pair.newer.peers[0].link.connection().unwrap();
    pair.ring.output(connection).unwrap().extend_from_slice(&[b'x'; 100]);
    pair.ring.flush(connection);
    pair.run(|pair| pair.older.counters.bad_frames == 1);
}

#[test]
fn a_node_that_catches_up_keeps_the_link_to_a_leader_that_its_log_does_not_name_yet() {
    let mut ring = Ring::new(64).unwrap();
    let mut links = Links::new(identity(9), 20);
    let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
    links.introduce(MemberId(5), "127.0.0.1:9");
    let knows = |links: &Links, id: u64| links.report().iter().any(|peer| peer.id == MemberId(id));
    // The log tells of the past first.
    links.set_members(&mut ring, &configuration(&[(1, address), (2, address)]));
    assert!(knows(&links, 5) && knows(&links, 1));
    links.set_members(&mut ring, &configuration(&[(2, address), (5, address), (9, address)]));
    assert!(knows(&links, 5) && !knows(&links, 1));
    // From here on it is the log that says who is a member.
    links.set_members(&mut ring, &configuration(&[(2, address), (9, address)]));
    assert!(!knows(&links, 5));
}
