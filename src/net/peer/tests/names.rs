//! Peers that are known by name.

use super::*;

const NAME: &str = "peer.example:4";

/// Member 9, which dials member 1 by its name; what its lookups find comes through the sender, and
/// the receiver is told of each that begins.
fn links_by_name() -> (Links, mpsc::Sender<Result<SocketAddr, &'static str>>, mpsc::Receiver<()>) {
    let (answer, answers) = mpsc::channel::<Result<SocketAddr, &'static str>>();
    let (begin, begun) = mpsc::channel();
    let answers = std::sync::Mutex::new(answers);
    let mut links = Links::new(identity(9), 20);
    links.resolver = Resolver::with(move |name| {
        assert_eq!(name, NAME);
        begin.send(()).unwrap();
        let found = answers.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        found.map(|address| vec![address]).map_err(std::io::Error::other)
    });
    let mut members = configuration(&[(1, "127.0.0.1:1".parse().unwrap())]);
    members.members[0].peer_address = NAME.to_owned();
    links.set_members(&members);
    (links, answer, begun)
}

#[test]
fn a_name_is_looked_up_aside_and_again_after_each_failure() {
    let mut pair = Pair::usual();
    let (links, answer, begun) = links_by_name();
    pair.dialler = links;
    pair.step();
    begun.recv_timeout(PATIENCE).unwrap();
    // The lookup blocks; the links do not, and begin no other.
    let start_ms = pair.now_ms();
    pair.run(|pair| pair.now_ms() > start_ms + 100);
    assert!(begun.try_recv().is_err());
    assert_eq!(pair.dialler.report()[0].state, "disconnected");
    // A name server that fails, then one that tells an address where nobody listens.
    answer.send(Err("no such name")).unwrap();
    pair.run(|_| begun.try_recv().is_ok());
    let said: Vec<_> = pair.dialler.complaints.texts().collect();
    assert_eq!(said, ["cannot look up peer.example:4: no such name"]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    answer.send(Ok(nobody)).unwrap();
    pair.run(|_| begun.try_recv().is_ok());
    answer.send(Ok(pair.address)).unwrap();
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
    // It has moved: the name is looked up anew.
    let connection = pair.connection(Purpose::Consensus);
    pair.ring.close(connection);
    pair.run(|_| begun.try_recv().is_ok());
    pair.events.clear();
    answer.send(Ok(pair.address)).unwrap();
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
}

#[test]
fn all_addresses_of_a_name_are_tried_before_it_is_looked_up_again() {
    let mut pair = Pair::usual();
    let (mut links, _answer, _begun) = links_by_name();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let found = vec![free.local_addr().unwrap(), pair.address];
    drop(free);
    let (begin, begun) = mpsc::channel();
    links.resolver = Resolver::with(move |_| {
        begin.send(()).unwrap();
        Ok(found.clone())
    });
    pair.dialler = links;
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
    assert_eq!(begun.try_iter().count(), 1);
}

#[test]
fn the_answer_for_a_member_that_has_moved_on_is_dropped() {
    let mut pair = Pair::usual();
    let (links, answer, begun) = links_by_name();
    pair.dialler = links;
    pair.step();
    begun.recv_timeout(PATIENCE).unwrap();
    // Meanwhile the configuration names another address, which is the right one.
    pair.dialler.set_members(&configuration(&[(1, pair.address)]));
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    answer.send(Ok(free.local_addr().unwrap())).unwrap();
    pair.run(|pair| pair.is_up(1) && pair.is_up(9));
}

#[test]
fn an_address_is_taken_as_it_is() {
    let resolver = Resolver::with(|name| panic!("{name}"));
    for literal in ["127.0.0.1:7", "[::1]:7", "[fe80::1]:15001"] {
        let mut route = Route::new(literal);
        for _ in 0..2 {
            let next = route.next(&resolver, MemberId(1), Purpose::Consensus).unwrap();
            assert!(matches!(next, Next::Dial(address) if address.to_string() == literal));
        }
    }
    assert!(resolver.take_answer().is_none());
}

#[test]
fn the_machine_itself_is_found_by_its_name() {
    let resolver = Resolver::new();
    let mut route = Route::new("localhost:7");
    let next = route.next(&resolver, MemberId(1), Purpose::Consensus).unwrap();
    assert!(matches!(next, Next::Wait));
    let start = Instant::now();
    let answer = loop {
        assert!(start.elapsed() < PATIENCE);
        match resolver.take_answer() {
            Some(answer) => break answer,
            None => std::thread::yield_now(),
        }
    };
    let found = answer.found.unwrap();
    assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7));
    route.on_found(found);
    let next = route.next(&resolver, MemberId(1), Purpose::Consensus).unwrap();
    assert!(matches!(next, Next::Dial(_)));
}
