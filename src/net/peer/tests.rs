use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;
use crate::limits::{HELLO_BYTES_MAX, REFUSED_DIAL_MS_MAX};
use crate::net::frame::{Purpose, SnapshotBody};
use crate::net::ring::Event;
use crate::raft::message::Body;
use crate::raft::types::{Index, Payload, Term};

mod handshake;
mod names;
mod snapshot;

const CLUSTER: ClusterId = 77;

/// Long enough for any machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn identity(member: u64) -> Identity {
    Identity {
        cluster: CLUSTER,
        member: MemberId(member),
        slot: format!("slot-{member}"),
        boot: u128::from(member),
        peer_address: format!("slot-{member}.example:1"),
    }
}

fn configuration(members: &[(u64, SocketAddr)]) -> Configuration {
    let member = |(id, address): &(u64, SocketAddr)| Member {
        id: MemberId(*id),
        slot: format!("slot-{id}"),
        boot: u128::from(*id),
        client_address: "127.0.0.1:1".to_owned(),
        peer_address: address.to_string(),
        observer: false,
    };
    Configuration { members: members.iter().map(member).collect(), ..Configuration::default() }
}

/// Two nodes' links on one ring: one listens, the other dials.
struct Pair {
    ring: Ring,
    acceptor: Links,
    dialler: Links,
    address: SocketAddr,
    accepted: Vec<Connection>,
    /// With the member that was told.
    events: Vec<(u64, LinkEvent)>,
    start: Instant,
    skipped_ms: Cell<Millis>,
}

impl Pair {
    /// Members 1 and 9 of one cluster.
    fn usual() -> Self {
        Self::new(identity(1), identity(9), &[1, 9])
    }

    /// The acceptor's configuration has the members `known`, the dialler's 1 and 9, of which it
    /// dials 1 at the acceptor's address.
    fn new(acceptor: Identity, dialler: Identity, known: &[u64]) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), acceptor, dialler, known).unwrap()
    }

    fn at(
        address: SocketAddr,
        acceptor: Identity,
        dialler: Identity,
        known: &[u64],
    ) -> std::io::Result<Self> {
        let mut ring = Ring::new(64).unwrap();
        let listener = crate::net::socket::listen_socket(address, 16)?;
        let address = listener.local_addr()?.as_socket().unwrap();
        ring.listen(listener);
        // It never dials: everybody has its own address.
        let acceptor = Identity { peer_address: address.to_string(), ..acceptor };
        let (mut acceptor, mut dialler) = (Links::new(acceptor, 20), Links::new(dialler, 20));
        let known: Vec<_> = known.iter().map(|id| (*id, address)).collect();
        acceptor.set_members(&configuration(&known));
        dialler.set_members(&configuration(&[(1, address), (9, address)]));
        Ok(Self {
            ring,
            acceptor,
            dialler,
            address,
            accepted: Vec::new(),
            events: Vec::new(),
            start: Instant::now(),
            skipped_ms: Cell::new(0),
        })
    }

    /// A pair whose link of consensus is up.
    fn up() -> Self {
        let mut pair = Self::usual();
        pair.run(|pair| pair.is_up(1) && pair.is_up(9));
        pair
    }

    fn now_ms(&self) -> Millis {
        self.start.elapsed().as_millis() as u64 + self.skipped_ms.get()
    }

    /// Both see so much time pass at once.
    fn skip(&self, ms: Millis) {
        self.skipped_ms.set(self.skipped_ms.get() + ms);
    }

    /// Runs both sides until `done`.
    fn run(&mut self, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        loop {
            self.step();
            if done(self) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{:?}", self.events);
        }
    }

    fn step(&mut self) {
        let now_ms = self.now_ms();
        let Self { ring, acceptor, dialler, accepted, events, .. } = self;
        dialler.tick(ring, now_ms);
        acceptor.tick(ring, now_ms);
        ring.pass(|ring, event| match event {
            Event::Accepted { socket, .. } => accepted.push(acceptor.on_accepted(ring, socket)),
            Event::Connected { connection } if acceptor.find(connection).is_some() => {
                acceptor.on_connected(ring, connection);
            }
            Event::Connected { connection } => dialler.on_connected(ring, connection),
            Event::Received { connection, bytes } => {
                let links =
                    if accepted.contains(&connection) { &mut *acceptor } else { &mut *dialler };
                links.on_received(ring, connection, bytes, now_ms);
            }
            Event::Ended { connection } => ring.close(connection),
            Event::Closed { connection, .. } | Event::ConnectFailed { connection, .. } => {
                acceptor.on_closed(connection, now_ms);
                dialler.on_closed(connection, now_ms);
            }
            Event::Drained { .. } => {}
        })
        .unwrap();
        let ids = (acceptor.identity.member.0, dialler.identity.member.0);
        events.extend(acceptor.take_events().into_iter().map(|event| (ids.0, event)));
        events.extend(dialler.take_events().into_iter().map(|event| (ids.1, event)));
        ring.wait(Duration::from_millis(1)).unwrap();
    }

    fn has(&self, node: u64, is_it: impl Fn(&LinkEvent) -> bool) -> bool {
        self.events.iter().any(|(at, event)| *at == node && is_it(event))
    }

    fn is_up(&self, node: u64) -> bool {
        self.has(node, |event| matches!(event, LinkEvent::Up(_)))
    }

    fn is_down(&self, node: u64) -> bool {
        self.has(node, |event| matches!(event, LinkEvent::Down(_)))
    }

    fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.events.iter().filter_map(|(_, event)| match event {
            LinkEvent::Refused { refusal, .. } => Some(refusal),
            _ => None,
        })
    }

    /// The dialler's connection of its only open link for `purpose`.
    fn connection(&self, purpose: Purpose) -> Connection {
        self.dialler.peers[0].link(purpose).open().unwrap()
    }
}

fn message(from: u64, to: u64) -> Message {
    let body = Body::PreVoteRequest { last_index: Index(1), last_term: Term(1) };
    Message { from: MemberId(from), to: MemberId(to), term: Term(2), body }
}

fn is_message(event: &LinkEvent) -> bool {
    matches!(event, LinkEvent::Message(_))
}

/// Whether the other side has closed `stream`; what it sent before goes to `received`.
fn is_closed(mut stream: &TcpStream, received: &mut Vec<u8>) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut bytes = [0; 512];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(count) => received.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
}

#[test]
fn the_newer_member_dials_and_both_can_speak() {
    let mut pair = Pair::up();
    pair.acceptor.send(&mut pair.ring, message(1, 9));
    pair.dialler.send(&mut pair.ring, message(9, 1));
    pair.run(|pair| pair.has(1, is_message) && pair.has(9, is_message));
    assert_eq!(pair.acceptor.counters.bad_frames + pair.dialler.counters.bad_frames, 0);
}

#[test]
fn links_work_over_ipv6() {
    let address = "[::1]:0".parse().unwrap();
    // A machine without an IPv6 loopback has nothing to test.
    let Ok(mut pair) = Pair::at(address, identity(1), identity(9), &[1, 9]) else { return };
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
    pair.dialler.open_snapshot(MemberId(1));
    pair.run(|pair| pair.dialler.is_snapshot_open(MemberId(1)));
    pair.acceptor.send(&mut pair.ring, message(1, 9));
    pair.run(|pair| pair.has(9, is_message));
    assert!(pair.address.is_ipv6());
}

#[test]
fn the_older_member_dials_when_nobody_has_called_for_long() {
    // Here it is member 9 that listens, and would dial.
    let mut pair = Pair::new(identity(9), identity(1), &[1, 9]);
    let start_ms = pair.now_ms();
    pair.run(|pair| pair.now_ms() > start_ms + 100);
    assert!(pair.accepted.is_empty());
    pair.skip(OLDER_DIALS_MS);
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
}

#[test]
fn a_node_that_catches_up_keeps_the_link_to_a_leader_that_its_log_does_not_name_yet() {
    let mut ring = Ring::new(64).unwrap();
    let mut links = Links::new(identity(9), 20);
    let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
    links.introduce(MemberId(5), "127.0.0.1:9");
    let knows = |links: &Links, id: u64| links.report().iter().any(|peer| peer.id == MemberId(id));
    // The log tells of the past first.
    links.set_members(&configuration(&[(1, address), (2, address)]));
    links.tick(&mut ring, LEAVING_MS + 1);
    assert!(knows(&links, 5) && knows(&links, 1));
    links.set_members(&configuration(&[(2, address), (5, address), (9, address)]));
    links.tick(&mut ring, 3 * LEAVING_MS);
    assert!(knows(&links, 5) && !knows(&links, 1));
    // From here on it is the log that says who is a member.
    links.set_members(&configuration(&[(2, address), (9, address)]));
    links.tick(&mut ring, 5 * LEAVING_MS);
    assert!(!knows(&links, 5));
}

#[test]
fn who_leaves_is_still_told_that_it_does_and_is_no_peer_after() {
    let mut pair = Pair::up();
    let without = configuration(&[(1, pair.address)]);
    pair.acceptor.set_members(&without);
    pair.acceptor.send(&mut pair.ring, message(1, 9));
    pair.run(|pair| pair.has(9, is_message));
    assert!(!pair.is_down(9));
    pair.skip(LEAVING_MS);
    pair.run(|pair| pair.is_down(9));
    // It may try again, and learns nothing else.
    pair.acceptor.set_committed_members(&configuration(&[(1, pair.address), (9, pair.address)]));
    pair.acceptor.set_committed_members(&without);
    pair.run(|pair| pair.refusals().any(|refusal| refusal.kind == RefusalKind::Removed));
}

#[test]
fn a_member_that_stays_after_all_keeps_its_link() {
    let mut pair = Pair::up();
    pair.acceptor.set_members(&configuration(&[(1, pair.address)]));
    pair.acceptor.set_members(&configuration(&[(1, pair.address), (9, pair.address)]));
    pair.skip(2 * LEAVING_MS);
    pair.acceptor.send(&mut pair.ring, message(1, 9));
    pair.run(|pair| pair.has(9, is_message));
    assert!(!pair.is_down(1) && !pair.is_down(9));
}

#[test]
fn an_address_that_leads_back_to_this_node_is_not_dialled() {
    let mut ring = Ring::new(64).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let own = Identity { peer_address: address.to_string(), ..identity(9) };
    let dials = |identity: Identity, ring: &mut Ring| {
        let mut links = Links::new(identity, 20);
        links.set_members(&configuration(&[(1, address), (9, address)]));
        links.tick(ring, 10 * OLDER_DIALS_MS);
        links.peers[0].consensus.is_on_its_way()
    };
    assert!(!dials(own, &mut ring), "its former life had this address");
    assert!(dials(identity(9), &mut ring));
}

#[test]
fn refusals_double_the_pause_up_to_a_bound_and_a_link_that_was_open_starts_anew() {
    let mut link = Link::new(Purpose::Consensus, "127.0.0.1:1", 0);
    let mut ring = Ring::new(8).unwrap();
    let connection = ring.connect("127.0.0.1:1".parse().unwrap());
    let mut now_ms = 0;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        link.dial(connection, now_ms);
        link.refused(now_ms, 100);
        let due = (0..).find(|ms| link.is_due(now_ms + ms)).unwrap();
        pauses.push(due);
        now_ms += due;
    }
    let most = REFUSED_DIAL_MS_MAX;
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, most, most]);
    link.open_with(connection, now_ms);
    assert!(link.ended(now_ms, 100));
    assert!(link.is_due(now_ms + 100) && !link.is_due(now_ms + 99));
    link.refused(now_ms + 100, 100);
    assert!(link.is_due(now_ms + 200));
}
