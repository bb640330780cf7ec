use crate::config::Settings;
use crate::engine::batch::Batch;
use crate::engine::command::{CommandId, lookup};
use crate::engine::pubsub::{Change, Subscriber, Topic};
use crate::engine::reply::Protocol;
use crate::net::ring::{Connection, Ring};
use crate::node::mailbox::{MakingNews, MakingOrder};
use crate::snapshot;

use super::*;

struct Bench {
    role: ApplyRole,
    apply: flume::Sender<ToApply>,
    to_raft: flume::Receiver<ToRaft>,
    to_net: flume::Receiver<ToNet>,
    connection: Connection,
}

fn id(name: &str) -> CommandId {
    lookup(name.as_bytes()).unwrap()
}

impl Bench {
    fn new() -> Self {
        let (apply, inbox) = flume::unbounded();
        let (raft, to_raft) = flume::unbounded();
        let (net, to_net) = flume::unbounded();
        let text = |text: &str| text.to_owned();
        let shared = Shared::new(text("a"), 1, text("a:1"), text("a:2"), 1, text("folded"));
        let nets = vec![Mailbox::new(net, None)];
        let settings = Arc::new(SharedSettings::new(Settings::default(), None));
        let raft = Mailbox::new(raft, None);
        let role = ApplyRole::new(inbox, nets, raft, Arc::new(shared), settings);
        let connection = Ring::new(8).unwrap().connect("127.0.0.1:1".parse().unwrap());
        Self { role, apply, to_raft, to_net, connection }
    }

    fn send(&mut self, message: ToApply) {
        self.apply.send(message).unwrap();
        while self.role.turn() {}
    }

    /// A pass of one command.
    fn wait(&mut self, ticket: u64, wants: Wants, source: Source, reads: Batch) {
        let step =
            Step { connection: self.connection, protocol: Protocol::Resp2, source, count: 1 };
        let ticket = Ticket(ticket);
        let steps = vec![step];
        let pending = Pending { ticket, wants, steps, reads, ..Pending::default() };
        self.send(ToApply::Pending(Box::new(pending)));
    }

    fn replies(&self) -> Vec<String> {
        let text = |message| match message {
            ToNet::Replies(replies) => String::from_utf8(replies.bytes).unwrap(),
            _ => panic!("not a reply"),
        };
        self.to_net.try_iter().map(text).collect()
    }

    fn read(&mut self, transfer: u64, chunks: &[Payload]) {
        self.send(ToApply::BeginSnapshot { transfer });
        for payload in chunks {
            self.send(ToApply::ReadSnapshot { transfer, payload: payload.clone() });
        }
    }
}

/// The state of another node after entry 9, in which `key` is `theirs`.
fn chunks() -> Vec<Payload> {
    let mut engine = Engine::new(5);
    engine.begin_entry(9, 1_000);
    engine.keyspace.insert(0, b"key", crate::engine::value::Value::string(b"theirs"));
    snapshot::write(&mut engine, Index(9))
}

fn get_key() -> Batch {
    let mut reads = Batch::default();
    reads.push(id("get"), 0, &[b"key"]);
    reads
}

#[test]
fn passes_that_wait_are_answered_when_a_snapshot_takes_the_place_of_the_state() {
    let mut bench = Bench::new();
    bench.wait(1, Wants::Commit, Source::Entry, Batch::default());
    bench.wait(2, Wants::ReadIndex, Source::Reads, get_key());
    let ready = ReadReady { stream: 0, ticket: Ticket(2), index: Index(8), at_ms: 0 };
    bench.send(ToApply::Run(Box::new(Run { reads: vec![ready], ..Run::default() })));
    bench.read(1, &chunks());
    let last = bench.to_raft.try_iter().last();
    let complete = SnapshotProgress::Complete { last_index: Index(9) };
    assert!(
        matches!(last, Some(ToRaft::SnapshotRead { transfer: 1, result: Ok(r) }) if r == complete)
    );
    assert_eq!(bench.replies(), [""; 0], "nothing is decided yet");
    bench.send(ToApply::InstallSnapshot { transfer: 1 });
    let reason = GiveUpReason::OutcomeUnknown;
    let given_up = GivenUp { stream: 0, ticket: Ticket(1), reason };
    bench.send(ToApply::Run(Box::new(Run { given_up: vec![given_up], ..Run::default() })));
    assert_eq!(bench.replies(), ["-TIMEOUT not committed yet\r\n", "$6\r\ntheirs\r\n"]);
    assert_eq!(bench.role.engine.stats().errors["TIMEOUT"], 1);
    assert_eq!(bench.role.shared.applied_index.load(Ordering::Acquire), 9);
}

#[test]
fn slow_commands_are_handed_over_before_their_replies() {
    let mut bench = Bench::new();
    let mut settings = crate::config::Settings::default();
    settings.set("slowlog-log-slower-than", "0").unwrap();
    bench.role.shared.observed.set(&settings.tunables());
    bench.wait(1, Wants::Turn, Source::Reads, get_key());
    let messages: Vec<ToNet> = bench.to_net.try_iter().collect();
    let [ToNet::Notable(notable), ToNet::Replies(_)] = &messages[..] else {
        panic!("not a command and its reply")
    };
    assert_eq!(notable.len(), 1);
    assert_eq!(notable[0].0, bench.connection);
    assert_eq!(notable[0].1.words, [b"get".to_vec(), b"key".to_vec()]);
    // Of other members' clients nothing is noted.
    bench.send(writes(1, 1, b"theirs"));
    assert!(bench.to_net.try_iter().next().is_none());
}

#[test]
fn reads_that_wait_for_entries_lost_with_the_quorum_run_in_the_recovered_cluster() {
    let mut bench = Bench::new();
    bench.send(writes(1, 1, b"kept"));
    let mut reads = Batch::default();
    reads.push(id("get"), 0, &[b"key:0"]);
    bench.wait(1, Wants::ReadIndex, Source::Reads, reads);
    let ready = ReadReady { stream: 0, ticket: Ticket(1), index: Index(9), at_ms: 0 };
    bench.send(ToApply::Run(Box::new(Run { reads: vec![ready], ..Run::default() })));
    bench.send(ToApply::Recovered { index: Index(2) });
    assert_eq!(bench.replies(), [""; 0], "the recovered cluster has not begun");
    bench.send(tick(2));
    assert_eq!(bench.replies(), ["$4\r\nkept\r\n"]);
}

#[test]
fn what_was_read_of_a_snapshot_that_failed_has_no_effect() {
    let mut bench = Bench::new();
    let chunks = chunks();
    bench.read(1, &chunks[..2]);
    bench.send(ToApply::DropSnapshot);
    bench.send(ToApply::ReadSnapshot { transfer: 1, payload: chunks[2].clone() });
    assert_eq!(bench.to_raft.try_iter().count(), 2, "the late chunk is passed by");
    bench.read(2, &chunks[1..]);
    let first = bench.to_raft.try_iter().next();
    assert!(matches!(first, Some(ToRaft::SnapshotRead { transfer: 2, result: Err(_) })));
    bench.read(3, &chunks);
    bench.send(ToApply::InstallSnapshot { transfer: 3 });
    bench.wait(1, Wants::Turn, Source::Reads, get_key());
    assert_eq!(bench.replies(), ["$6\r\ntheirs\r\n"]);
}

fn order(number: u64, order: MakingOrder) -> ToApply {
    ToApply::MakeSnapshot { number, order }
}

fn tick(index: u64) -> ToApply {
    let term = crate::raft::types::Term(1);
    let body = EntryBody::Tick;
    let entry = Entry { index: Index(index), term, at_ms: 1_000, seed: 0, body };
    committed(entry)
}

fn committed(entry: Entry) -> ToApply {
    let committed = vec![Committed { entry, ticket: None }];
    ToApply::Run(Box::new(Run { committed, ..Run::default() }))
}

/// An entry of another node that sets `count` keys to `value`.
fn writes(index: u64, count: usize, value: &[u8]) -> ToApply {
    let mut batch = Batch::default();
    for number in 0..count {
        batch.push(id("set"), 0, &[format!("key:{number}").as_bytes(), value]);
    }
    let term = crate::raft::types::Term(1);
    let body = EntryBody::Batch {
        origin: crate::raft::types::MemberId(9),
        stream: 0,
        seq: crate::raft::types::Seq(index),
        payload: Payload::new(batch.to_archive()),
    };
    committed(Entry { index: Index(index), term, at_ms: 1_000, seed: 0, body })
}

impl Bench {
    /// As many turns and as much idle time as there is a use for.
    fn settle(&mut self) {
        loop {
            // However slow the machine is, it is never under load.
            self.role.pace = Pace::new();
            if !self.role.turn() && !self.role.use_idle_time() {
                break;
            }
        }
    }

    fn news(&self) -> Vec<(u64, MakingNews)> {
        let news = |message| match message {
            ToRaft::SnapshotMaking { number, news } => (number, news),
            _ => panic!("other news"),
        };
        self.to_raft.try_iter().map(news).collect()
    }
}

#[test]
fn a_snapshot_is_made_as_far_as_it_is_granted_while_entries_are_applied() {
    let mut bench = Bench::new();
    bench.send(writes(1, 5_000, &[b'v'; 200]));
    let digest = bench.role.engine.digest();
    bench.send(order(7, MakingOrder::Begin));
    bench.settle();
    assert_eq!(bench.news(), [(7, MakingNews::Begun { last_index: Index(1) })]);
    let granted = 600_000;
    bench.send(order(6, MakingOrder::Grant { bytes: 1 << 30 }));
    bench.send(order(7, MakingOrder::Grant { bytes: granted }));
    bench.settle();
    bench.send(writes(2, 5_000, b"later"));
    let mut chunks = Vec::new();
    for (number, news) in bench.news() {
        let MakingNews::Made { chunks: made, estimated_bytes, is_complete: false } = news else {
            panic!("not whole yet");
        };
        assert_eq!(number, 7);
        assert!((1_000_000..1_500_000).contains(&estimated_bytes), "{estimated_bytes}");
        chunks.extend(made);
    }
    let made: usize = chunks.iter().map(Payload::len).sum();
    assert!(made >= granted as usize && made < granted as usize + (400 << 10), "{made}");
    bench.send(order(7, MakingOrder::Grant { bytes: u64::MAX }));
    bench.send(order(6, MakingOrder::End));
    bench.settle();
    let mut is_whole = false;
    for (_, news) in bench.news() {
        let MakingNews::Made { chunks: made, is_complete, .. } = news else { panic!("no chunks") };
        chunks.extend(made);
        is_whole = is_complete;
    }
    assert!(is_whole && bench.role.making.is_none());
    let mut reader = Reader::default();
    for chunk in &chunks {
        reader.read(chunk.as_slice()).unwrap();
    }
    let loaded = reader.finish().unwrap();
    assert_eq!((loaded.applied_index, loaded.engine.digest()), (Index(1), digest));
    assert_ne!(bench.role.engine.digest(), digest);
}

#[test]
fn a_snapshot_that_nobody_needs_any_more_is_dropped() {
    let mut bench = Bench::new();
    bench.send(writes(1, 5_000, &[b'v'; 200]));
    bench.send(order(1, MakingOrder::Begin));
    bench.send(order(1, MakingOrder::Grant { bytes: 300_000 }));
    bench.settle();
    bench.send(writes(2, 5_000, b"later"));
    assert!(bench.role.engine.keyspace.displaced_bytes() > 0);
    bench.send(order(1, MakingOrder::End));
    assert_eq!(bench.role.engine.keyspace.displaced_bytes(), 0);
    bench.news();
    bench.send(order(1, MakingOrder::Grant { bytes: u64::MAX }));
    bench.settle();
    assert_eq!(bench.news(), []);
    // Another one takes the place of one that is on.
    bench.send(order(2, MakingOrder::Begin));
    bench.send(tick(3));
    bench.send(order(3, MakingOrder::Begin));
    let begun = |last_index| MakingNews::Begun { last_index: Index(last_index) };
    assert_eq!(bench.news(), [(2, begun(2)), (3, begun(3))]);
}

#[test]
fn a_snapshot_for_which_too_much_is_held_is_given_up() {
    let mut bench = Bench::new();
    let keys = 40_000;
    bench.send(writes(1, keys, &[b'v'; 1_000]));
    bench.send(order(1, MakingOrder::Begin));
    bench.send(order(1, MakingOrder::Grant { bytes: 100_000 }));
    bench.settle();
    bench.news();
    // 26 MB are held: no more than the bound.
    bench.send(writes(2, keys * 6 / 10, b"later"));
    assert_eq!(bench.news(), []);
    assert!(bench.role.engine.keyspace.displaced_bytes() > 20_000_000);
    bench.send(writes(3, keys, b"later"));
    assert_eq!(bench.news(), [(1, MakingNews::GivenUp)]);
    assert_eq!(bench.role.engine.keyspace.displaced_bytes(), 0);
    bench.settle();
    assert_eq!(bench.news(), []);
}

#[test]
fn an_installed_snapshot_ends_the_one_being_made() {
    let mut bench = Bench::new();
    bench.send(tick(1));
    bench.send(order(1, MakingOrder::Begin));
    bench.send(order(1, MakingOrder::Grant { bytes: u64::MAX }));
    bench.read(1, &chunks());
    bench.to_raft.drain();
    bench.send(ToApply::InstallSnapshot { transfer: 1 });
    bench.settle();
    assert_eq!(bench.news(), []);
}

impl Bench {
    fn ask_digest(&mut self) {
        let client = ClientHandle { stream: 0, connection: self.connection };
        let protocol = Protocol::Resp2;
        self.apply.send(ToApply::Digest { client, protocol }).unwrap();
    }

    fn answer(&self) -> Option<String> {
        match self.to_net.try_recv() {
            Ok(ToNet::Answer { reply, .. }) => Some(String::from_utf8(reply).unwrap()),
            _ => None,
        }
    }

    fn expected_digest(&self) -> Option<String> {
        let (index, digest) = (self.role.applied_index, self.role.engine.digest());
        Some(format!("*2\r\n:{index}\r\n$32\r\n{digest:032x}\r\n"))
    }
}

#[test]
fn the_digest_is_that_of_the_moment_it_was_begun() {
    let mut bench = Bench::new();
    bench.send(writes(1, 5_000, &[b'v'; 200]));
    let expected = bench.expected_digest();
    bench.ask_digest();
    assert!(bench.role.turn());
    assert!(bench.answer().is_none(), "it takes some pieces");
    bench.apply.send(writes(2, 4_000, b"later")).unwrap();
    bench.ask_digest();
    bench.settle();
    assert_eq!(bench.answer(), expected);
    assert_eq!(bench.answer(), bench.expected_digest());
}

#[test]
fn a_digest_waits_for_the_snapshot_and_is_refused_when_it_costs_too_much() {
    let mut bench = Bench::new();
    let keys = 40_000;
    bench.send(writes(1, keys, &[b'v'; 1_000]));
    bench.ask_digest();
    assert!(bench.role.turn());
    bench.send(order(1, MakingOrder::Begin));
    bench.settle();
    assert!(bench.answer().is_none(), "the snapshot is not made yet");
    bench.send(order(1, MakingOrder::End));
    bench.settle();
    assert_eq!(bench.answer(), bench.expected_digest());
    bench.ask_digest();
    assert!(bench.role.turn());
    bench.apply.send(writes(2, keys, b"later")).unwrap();
    bench.settle();
    let refusal = "-ERR too much changes while the digest is taken\r\n";
    assert_eq!(bench.answer().as_deref(), Some(refusal));
    assert_eq!(bench.role.engine.keyspace.displaced_bytes(), 0);
}

/// Two clients of the net role subscribe to a channel each.
fn with_subscribers() -> Bench {
    let mut bench = Bench::new();
    let change = |connection, name: &[u8]| Change {
        subscriber: Subscriber { stream: 0, connection },
        topic: Topic::Channel,
        name: name.to_vec(),
        subscribes: true,
    };
    bench.send(ToApply::Subscriptions(vec![change(1, b"a"), change(2, b"b")]));
    bench
}

/// An entry that publishes `payload` to a channel, of the pass with `ticket` if it is an own one.
fn publishes(index: u64, channel: &[u8], payload: &[u8], ticket: Option<u64>) -> ToApply {
    let mut batch = Batch::default();
    batch.push(id("publish"), 0, &[channel, payload]);
    let body = EntryBody::Batch {
        origin: crate::raft::types::MemberId(9),
        stream: 0,
        seq: crate::raft::types::Seq(index),
        payload: Payload::new(batch.to_archive()),
    };
    let term = crate::raft::types::Term(1);
    let entry = Entry { index: Index(index), term, at_ms: 1_000, seed: 0, body };
    let committed = Committed { entry, ticket: ticket.map(Ticket) };
    ToApply::Run(Box::new(Run { committed: vec![committed], ..Run::default() }))
}

#[test]
fn messages_stand_before_the_reply_of_who_published_them() {
    let mut bench = with_subscribers();
    bench.wait(1, Wants::Commit, Source::Entry, Batch::default());
    bench.send(publishes(1, b"a", b"own", Some(1)));
    bench.send(publishes(2, b"none", b"x", None));
    bench.send(publishes(3, b"b", b"of another node", None));
    let shown = bench.to_net.try_iter().map(|message| match message {
        ToNet::Published(it) => {
            let texts =
                it.published.messages().map(|it| (it.payload.to_vec(), it.receivers.to_vec()));
            format!("{:?}", texts.collect::<Vec<_>>())
        }
        ToNet::Replies(replies) => String::from_utf8(replies.bytes).unwrap(),
        _ => panic!("neither message nor reply"),
    });
    let message = |text: &[u8], receiver: u64| format!("{:?}", [(text.to_vec(), vec![receiver])]);
    let expected = [message(b"own", 1), ":1\r\n".to_owned(), message(b"of another node", 2)];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[test]
fn a_net_role_that_does_not_keep_up_loses_its_subscribers_and_then_goes_on() {
    let mut bench = with_subscribers();
    let payload = vec![b'x'; crate::limits::PUBLISHED_BYTES_MAX / 4];
    let lost = |bench: &Bench| {
        let messages: Vec<_> = bench.to_net.try_iter().collect();
        let is_lost = |message: &ToNet| match message {
            ToNet::Published(it) => it.published.is_lost,
            _ => panic!("not a message"),
        };
        messages.iter().map(is_lost).collect::<Vec<_>>()
    };
    for index in 1..=5 {
        bench.send(publishes(index, b"a", &payload, None));
    }
    assert_eq!(lost(&bench), [false, false, false, true, true]);
    // Now it has looked at all of them.
    bench.send(publishes(6, b"b", &payload, None));
    assert_eq!(lost(&bench), [false]);
    bench.read(1, &chunks());
    bench.send(ToApply::InstallSnapshot { transfer: 1 });
    assert_eq!(lost(&bench), [true], "the entries in between are unknown");
}
