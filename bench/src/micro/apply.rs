//! Commands on the keyspace, from an archive as it comes out of the log to the encoded replies.

use mayfly::engine::Engine;
use mayfly::engine::batch::{ArchivedBatch, Batch};
use mayfly::engine::command::lookup;
use mayfly::engine::keyspace::Deadline;
use mayfly::engine::random::Random;
use mayfly::engine::reply::{Protocol, Reply};
use mayfly::raft::types::Index;
use mayfly::snapshot;
use rkyv::util::AlignedVec;

use crate::process::ProcessError;

use super::{Bench, Measurement};

const COMMANDS_PER_BATCH: usize = 64;

/// Batches with different keys; together their keys are more than any cache of the CPU holds.
const BATCHES: usize = 4096;

const SNAPSHOT_KEYS: usize = 100_000;

pub fn run(bench: &mut Bench<'_>) -> Result<(), ProcessError> {
    for keys in [1, 1_000_000] {
        let mut engine = Engine::new(1);
        let mut applier = Applier::new(&mut engine);
        for first in (0..keys).step_by(COMMANDS_PER_BATCH) {
            let last = keys.min(first + COMMANDS_PER_BATCH);
            applier.apply(&batch("SET", first..last));
        }
        for command in ["SET", "GET"] {
            let mut random = Random::new(7);
            let batches: Vec<AlignedVec> = (0..BATCHES)
                .map(|_| batch(command, (0..COMMANDS_PER_BATCH).map(|_| random.below(keys))))
                .collect();
            let mut turn = batches.iter().cycle();
            let mut work = || applier.apply(turn.next().expect("invariant: endless"));
            let name = format!("apply {command}, {keys} keys, {COMMANDS_PER_BATCH} per call");
            let units = COMMANDS_PER_BATCH as u64;
            bench.measure(Measurement { name, units, work: &mut work })?;
        }
    }
    snapshots(bench)
}

/// Keys of 16 bytes with values of 64, written as a snapshot and read again.
fn snapshots(bench: &mut Bench<'_>) -> Result<(), ProcessError> {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, 1_700_000_000_000);
    for key in 0..SNAPSHOT_KEYS {
        let key = format!("key:{key:012}");
        engine.keyspace.store_string(0, key.as_bytes(), &[b'x'; 64], Deadline::Clear);
    }
    let chunks = snapshot::write(&mut engine, Index(1));
    let mut work = || drop(snapshot::write(&mut engine, Index(1)));
    let name = format!("write a snapshot, {SNAPSHOT_KEYS} keys");
    let units = SNAPSHOT_KEYS as u64;
    bench.measure(Measurement { name, units, work: &mut work })?;
    let mut work = || {
        let mut reader = snapshot::Reader::default();
        for chunk in &chunks {
            reader.read(chunk.as_slice()).expect("invariant: as it was written");
        }
    };
    let name = format!("read a snapshot, {SNAPSHOT_KEYS} keys");
    bench.measure(Measurement { name, units, work: &mut work })
}

/// One command for each of the keys, named as redis-benchmark names them.
fn batch(command: &str, keys: impl Iterator<Item = usize>) -> AlignedVec {
    let id = lookup(command.as_bytes()).expect("invariant: a known command");
    let mut batch = Batch::default();
    for key in keys {
        let key = format!("key:{key:012}");
        match command {
            "SET" => batch.push(id, 0, &[key.as_bytes(), b"xxx"]),
            _ => batch.push(id, 0, &[key.as_bytes()]),
        }
    }
    let archive = batch.to_archive();
    ArchivedBatch::validate(&archive).expect("invariant: just made");
    archive
}

/// What a node does with a committed entry of its own clients.
struct Applier<'a> {
    engine: &'a mut Engine,
    reply: Reply,
    index: u64,
}

impl<'a> Applier<'a> {
    fn new(engine: &'a mut Engine) -> Self {
        Self { engine, reply: Reply::new(Protocol::Resp2), index: 0 }
    }

    fn apply(&mut self, archive: &[u8]) {
        self.index += 1;
        // A millisecond for every entry, so that the clock moves on as it does under load.
        let at_ms = 1_700_000_000_000 + self.index;
        self.engine.begin_entry(self.index, at_ms);
        let mut random = Random::new(self.index);
        self.reply.buffer.clear();
        for command in ArchivedBatch::commands(archive) {
            self.engine.run(&command, &mut self.reply, at_ms, &mut random);
        }
        assert!(self.reply.buffer.first().is_some_and(|byte| *byte != b'-'), "no errors");
    }
}
