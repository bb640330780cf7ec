use crate::engine::batch::Batch;
use crate::engine::command::{CommandId, lookup};
use crate::engine::reply::Protocol;
use crate::net::ring::{Connection, Ring};
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
        let role = ApplyRole::new(inbox, nets, Mailbox::new(raft, None), Arc::new(shared));
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
    assert_eq!(bench.role.shared.applied_index.load(Ordering::Acquire), 9);
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

#[test]
fn the_engine_stands_still_until_its_snapshot_is_made() {
    let mut bench = Bench::new();
    bench.read(1, &chunks());
    bench.send(ToApply::InstallSnapshot { transfer: 1 });
    bench.to_raft.drain();
    bench.apply.send(ToApply::MakeSnapshot).unwrap();
    let body = EntryBody::Tick;
    let entry =
        Entry { index: Index(10), term: crate::raft::types::Term(1), at_ms: 2_000, seed: 0, body };
    let committed = vec![Committed { entry, ticket: None }];
    bench.send(ToApply::Run(Box::new(Run { committed, ..Run::default() })));
    let Ok(ToRaft::SnapshotMade { last_index, chunks: made }) = bench.to_raft.try_recv() else {
        panic!("no snapshot")
    };
    assert_eq!(last_index, Index(9));
    assert_eq!(made, chunks());
    assert_eq!(bench.role.applied_index, Index(10));
}
