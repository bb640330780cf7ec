//! Who is let in, who is not, and what each side says of it.

use super::*;
use crate::net::frame::{PREFIX_BYTES, encode_hello, encode_refused, encode_snapshot};
use crate::raft::types::PAYLOAD_ALIGNMENT;

fn flatten(encoded: &Encoded) -> Vec<u8> {
    let mut bytes = encoded.head.clone();
    for payload in &encoded.payloads {
        bytes.extend_from_slice(payload.as_slice());
        bytes.resize(bytes.len().next_multiple_of(PAYLOAD_ALIGNMENT), 0);
    }
    bytes
}

fn hello_of(member: u64) -> Hello {
    identity(member).hello(MemberId(1), Purpose::Consensus)
}

#[test]
fn whoever_is_not_the_member_it_says_is_refused_and_both_sides_say_why() {
    let other_cluster = Identity { cluster: 78, ..identity(9) };
    let other_boot = Identity { boot: 1234, ..identity(9) };
    let other_slot = Identity { slot: "elsewhere".to_owned(), ..identity(9) };
    let successor = Identity { member: MemberId(2), ..identity(1) };
    let known = &[1, 9][..];
    let cases = [
        (
            identity(1),
            other_cluster,
            known,
            RefusalKind::Cluster,
            format!("this node belongs to cluster {:032x}, not to {:032x}", 77, 78),
        ),
        (
            identity(1),
            other_boot,
            known,
            RefusalKind::Boot,
            format!("member 9 is process {:032x}, not {:032x}", 9, 1234),
        ),
        (
            identity(1),
            other_slot,
            known,
            RefusalKind::Slot,
            "member 9 is of slot slot-9, not of elsewhere".to_owned(),
        ),
        (
            successor,
            identity(9),
            &[1, 2, 9],
            RefusalKind::Addressee,
            "this node is member 2, not 1".to_owned(),
        ),
        (
            identity(9),
            identity(9),
            known,
            RefusalKind::Itself,
            format!("this is the very process {:032x} that dials", 9),
        ),
    ];
    for (acceptor, dialler, known, kind, reason) in cases {
        let mut pair = Pair::new(acceptor, dialler, known);
        pair.run(|pair| pair.refusals().count() >= 2);
        let refusal = Refusal { kind, reason };
        assert!(pair.refusals().all(|came| *came == refusal), "{refusal:?}: {:?}", pair.events);
        assert!(!pair.is_up(1) && !pair.is_up(9));
        // However often it is refused, each side has one line on it.
        let said = |links: &Links| links.complaints.texts().map(str::to_owned).collect::<Vec<_>>();
        let (given, taken) = (said(&pair.acceptor), said(&pair.dialler));
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert!(taken[0].ends_with(&format!("refuses this node: {}", refusal.reason)), "{taken:?}");
        if kind == RefusalKind::Itself {
            assert!(given.is_empty(), "{given:?}");
        } else {
            assert_eq!(given.len(), 1, "{given:?}");
            assert!(given[0].starts_with("refusing member 9 of slot "), "{given:?}");
            assert!(given[0].ends_with(&refusal.reason), "{given:?}");
        }
    }
}

#[test]
fn a_member_that_was_away_meets_one_that_its_log_does_not_name() {
    let mut pair = Pair::new(identity(1), identity(9), &[1]);
    let one = configuration(&[(1, pair.address)]);
    pair.acceptor.set_committed_members(&one);
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
    // An older configuration does not cost it the link, and nobody here dials it.
    pair.acceptor.set_members(&one);
    assert!(pair.acceptor.is_open(MemberId(9)));
}

#[test]
fn who_has_been_removed_is_told_so_and_who_comes_later_is_not() {
    let mut pair = Pair::new(identity(1), identity(9), &[1]);
    let (address, one) = (pair.address, configuration(&[(1, pair.address)]));
    pair.acceptor.set_committed_members(&configuration(&[(1, address), (9, address)]));
    pair.acceptor.set_committed_members(&one);
    pair.run(|pair| pair.refusals().any(|refusal| refusal.kind == RefusalKind::Removed));
    let told = pair.refusals().last().unwrap();
    assert_eq!(told.reason, "REMOVED: 9 is no member any more");
    // The place of a member in the log says that it came and went before another was admitted.
    let mut pair = Pair::new(identity(1), identity(9), &[1, 12]);
    pair.acceptor.set_committed_members(&configuration(&[(1, address), (12, address)]));
    pair.run(|pair| pair.refusals().any(|refusal| refusal.kind == RefusalKind::Removed));
}

#[test]
fn a_member_that_has_changed_its_cluster_is_deaf_to_the_former_one() {
    let mut pair = Pair::up();
    let peer = pair.acceptor.peers.iter().find(|peer| peer.id == MemberId(9)).unwrap();
    let former = peer.link(Purpose::Consensus).open().unwrap();
    // One message is read already, the other comes too late.
    pair.acceptor.events.push(LinkEvent::Message(message(9, 1)));
    pair.acceptor.change_cluster(&mut pair.ring, CLUSTER + 1);
    let late = encode_message(CLUSTER, message(9, 1)).head;
    pair.acceptor.on_received(&mut pair.ring, former, &late, 0);
    pair.run(|pair| pair.refusals().count() > 0);
    assert_eq!(pair.refusals().next().unwrap().kind, RefusalKind::Cluster);
    assert!(!pair.has(1, is_message), "{:?}", pair.events);
}

#[test]
fn the_dialler_checks_who_answers() {
    let other_boot = Identity { boot: 55, ..identity(1) };
    let mut pair = Pair::new(other_boot, identity(9), &[1, 9]);
    let closing = format!(
        "closing the consensus link to member 1: member 1 is process {:032x}, not {:032x}",
        1, 55
    );
    pair.run(|pair| pair.dialler.complaints.texts().any(|text| text == closing));
    assert!(!pair.is_up(9));
}

/// What a stranger gets for these bytes, and what is said of it.
fn answer(bytes: &[u8]) -> (Vec<u8>, String, LinkCounters) {
    let mut pair = Pair::new(identity(1), identity(9), &[1, 9]);
    pair.dialler.set_members(&Configuration::default());
    let mut stream = TcpStream::connect(pair.address).unwrap();
    stream.write_all(bytes).unwrap();
    let mut received = Vec::new();
    let start = Instant::now();
    while !is_closed(&stream, &mut received) {
        assert!(start.elapsed() < PATIENCE, "the connection is kept");
        pair.step();
    }
    let said = pair.acceptor.complaints.texts().collect::<Vec<_>>().join("; ");
    (received, said, pair.acceptor.counters)
}

#[test]
fn a_stranger_is_turned_away_with_one_line() {
    let mut other_version = flatten(&encode_hello(&hello_of(9)));
    other_version[24] = 99;
    let long_name = Hello { slot: "n".repeat(HELLO_BYTES_MAX), ..hello_of(9) };
    let cut = Refusal { kind: RefusalKind::Unknown, reason: String::new() };
    let snapshot = SnapshotMessage {
        from: MemberId(9),
        to: MemberId(1),
        last_index: Index(1),
        body: SnapshotBody::Read { chunks: 1 },
    };
    let cases = [
        (vec![b'x'; 100], "not a peer frame"),
        (other_version[..PREFIX_BYTES].to_vec(), "version 99 of the protocol, and this node"),
        (flatten(&encode_hello(&long_name)), "more than the 4096 that one may have"),
        (flatten(&encode_refused(cut)), "a refusal on a new link"),
        (flatten(&encode_message(CLUSTER, message(9, 1))), "a message of consensus on a new link"),
        (flatten(&encode_snapshot(CLUSTER, snapshot)), "a part of a snapshot on a new link"),
    ];
    for (bytes, reason) in cases {
        let (received, said, counters) = answer(&bytes);
        assert!(said.starts_with("closing a connection from 127.0.0.1 to the peer port: "));
        assert!(said.contains(reason), "{said}");
        assert_eq!(counters.bad_frames, 1, "{reason}");
        // One of another version can tell from the prefix of the answer that it is not wanted.
        assert_eq!(!received.is_empty(), reason.starts_with("version"), "{reason}");
    }
}

#[test]
fn a_hello_of_another_command_table_is_refused() {
    let hello = Hello { commands: 1, ..hello_of(9) };
    let (received, said, _) = answer(&flatten(&encode_hello(&hello)));
    assert!(said.contains("the command table here is") && said.contains("not 0000000000000001"));
    let mut reader = FrameReader::for_hello();
    let frame = reader.read(&mut &received[..]).unwrap().unwrap();
    let Ok(Frame::Refused(refusal)) = frame::decode(frame) else { panic!("not a refusal") };
    assert_eq!(refusal.kind, RefusalKind::Commands);
}

#[test]
fn who_connects_and_says_nothing_does_not_stay() {
    let mut pair = Pair::up();
    let stream = TcpStream::connect(pair.address).unwrap();
    pair.run(|pair| pair.acceptor.greetings.len() == 1);
    pair.skip(HANDSHAKE_MS_MAX / 8);
    pair.step();
    assert_eq!(pair.acceptor.greetings.len(), 1);
    pair.skip(HANDSHAKE_MS_MAX);
    pair.run(|_| is_closed(&stream, &mut Vec::new()));
    assert!(pair.acceptor.greetings.is_empty());
    assert!(!pair.is_down(1));
}

#[test]
fn of_too_many_that_say_nothing_the_oldest_goes() {
    let mut pair = Pair::up();
    let oldest = TcpStream::connect(pair.address).unwrap();
    pair.run(|pair| pair.acceptor.greetings.len() == 1);
    let mut others = Vec::new();
    for count in 2..=GREETINGS_MAX {
        others.push(TcpStream::connect(pair.address).unwrap());
        pair.run(|pair| pair.acceptor.greetings.len() == count);
    }
    assert!(!is_closed(&oldest, &mut Vec::new()));
    others.push(TcpStream::connect(pair.address).unwrap());
    pair.run(|_| is_closed(&oldest, &mut Vec::new()));
    assert_eq!(pair.acceptor.greetings.len(), GREETINGS_MAX);
    assert!(others.iter().all(|stream| !is_closed(stream, &mut Vec::new())));
}

#[test]
fn who_is_dialled_and_does_not_answer_is_dialled_again() {
    let mut ring = Ring::new(64).unwrap();
    // The kernel connects, and nobody accepts.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut links = Links::new(identity(9), 20);
    links.set_members(&configuration(&[(1, silent.local_addr().unwrap())]));
    let start = Instant::now();
    let mut now_ms = 0;
    let mut greeted = Vec::new();
    while greeted.len() < 2 {
        assert!(start.elapsed() < PATIENCE);
        links.tick(&mut ring, now_ms);
        ring.pass(|ring, event| match event {
            Event::Connected { connection } => {
                links.on_connected(ring, connection);
                greeted.push(connection);
                now_ms += HANDSHAKE_MS_MAX + 1;
            }
            Event::Closed { connection, .. } => {
                links.on_closed(connection, now_ms);
                now_ms += 20;
            }
            _ => {}
        })
        .unwrap();
        ring.wait(Duration::from_millis(1)).unwrap();
    }
    assert_eq!(links.report()[0].errors, 1);
    let said = links.complaints.texts().next().unwrap();
    assert!(said.starts_with("member 1 at 127.0.0.1:") && said.ends_with(" does not answer"));
}

#[test]
fn what_is_for_or_from_somebody_else_closes_the_link_and_is_counted() {
    let other = |from, to, cluster| {
        format!(
            "expected a frame from member 9 to 1 of cluster {CLUSTER:032x}, \
             came a frame from member {from} to {to} of cluster {cluster:032x}"
        )
    };
    let cases = [
        (CLUSTER, message(9, 5), other(9, 5, CLUSTER)),
        (CLUSTER, message(4, 1), other(4, 1, CLUSTER)),
        (78, message(9, 1), other(9, 1, 78)),
    ];
    for (cluster, message, reason) in cases {
        let mut pair = Pair::up();
        let connection = pair.connection(Purpose::Consensus);
        send(&mut pair.ring, connection, encode_message(cluster, message));
        pair.run(|pair| pair.is_down(1));
        assert_eq!(pair.acceptor.counters.bad_frames, 1);
        assert!(!pair.has(1, is_message));
        let said = pair.acceptor.complaints.texts().next().unwrap();
        assert_eq!(said, format!("closing the consensus link to member 9: {reason}"));
    }
}

#[test]
fn a_second_hello_or_garbage_closes_the_link() {
    for (bytes, reason) in [
        (flatten(&encode_hello(&hello_of(9))), "a hello on a consensus link"),
        (vec![b'x'; 100], "not a peer frame"),
    ] {
        let mut pair = Pair::up();
        let connection = pair.connection(Purpose::Consensus);
        pair.ring.output(connection).unwrap().extend_from_slice(&bytes);
        pair.ring.flush(connection);
        pair.run(|pair| pair.is_down(1) && pair.acceptor.counters.bad_frames == 1);
        let said = pair.acceptor.complaints.texts().next().unwrap();
        assert!(said.ends_with(reason), "{said}");
        // Nothing is wrong with the member, so it is let in again.
        pair.events.clear();
        pair.run(|pair| pair.is_up(1) && pair.is_up(9));
    }
}
