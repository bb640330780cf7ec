//! What the members apply their entries to: Mayfly's own engine with its snapshots, behind a trait
//! that a lighter machine shares.
//!
//! This is the only file of the simulator that knows the engine. With `--cfg core_only` it is left
//! out, so that the core can be built and simulated without the rest of the product.

use mayfly::raft::SnapshotState;
use mayfly::raft::types::{Entry, Index, Millis, Payload};

use crate::oracle::Op;

/// A replicated state.
pub trait Machine: Sized {
    /// A part of a snapshot, as it travels.
    type Chunk: Clone;
    /// A snapshot that is being made while the machine goes on.
    type Making;
    /// A snapshot that is being read, beside the machine that still serves.
    type Loading;

    fn new() -> Self;

    /// The payload of a batch. Precondition: the first operation marks it with its number.
    fn encode(ops: &[Op]) -> Payload;
    fn number_of(payload: &Payload) -> u64;

    /// Applies the next entry; appends the replies of its commands.
    fn apply(&mut self, entry: &Entry, replies: &mut Vec<u8>);
    fn read(&mut self, ops: &[Op], at_ms: Millis, replies: &mut Vec<u8>);
    /// Equal on members that have applied the same entries.
    fn digest(&self) -> u128;

    fn write_state(state: &SnapshotState) -> Self::Chunk;
    fn read_state(chunk: &Self::Chunk) -> Option<SnapshotState>;
    /// Begins a snapshot of the present state, that after `last_index`; another one ends.
    fn begin_making(&mut self, last_index: Index) -> Self::Making;
    /// Makes a piece more; appends the chunks that are ready. Whether it is complete.
    fn make_some(&mut self, making: &mut Self::Making, chunks: &mut Vec<Self::Chunk>) -> bool;
    /// Gives up what is being made.
    fn end_making(&mut self);
    fn begin_loading() -> Self::Loading;
    /// Reads the next chunk. Whether that was the last one; `None`: it is damaged.
    fn load(loading: &mut Self::Loading, chunk: &Self::Chunk) -> Option<bool>;
    /// Goes on from the snapshot; after which entry that is, `None`: the snapshot is not whole.
    fn install(&mut self, loading: Self::Loading) -> Option<Index>;
}

#[cfg(not(core_only))]
pub use engine::EngineMachine;

#[cfg(not(core_only))]
mod engine {
    use mayfly::engine::Engine;
    use mayfly::engine::batch::{ArchivedBatch, Batch};
    use mayfly::engine::command::lookup;
    use mayfly::engine::random::Random;
    use mayfly::engine::reply::Reply;
    use mayfly::limits::EXPIRE_PER_ENTRY_MAX;
    use mayfly::raft::SnapshotState;
    use mayfly::raft::types::{Entry, EntryBody, Index, Millis, Payload};
    use mayfly::snapshot::{
        ReadProgress, Reader, WriteProgress, Writer, read_consensus, write_consensus,
    };

    use super::Machine;
    use crate::oracle::{Op, TRIMMED};

    pub struct EngineMachine {
        engine: Engine,
        reply: Reply,
    }

    /// So small that the walk over a handful of keys takes many pieces.
    const PIECE_BYTES: usize = 1;

    fn push(batch: &mut Batch, op: &Op) {
        let key = op.key();
        let key = key.as_bytes();
        let mut command = |name: &[u8], arguments: &[&[u8]]| {
            batch.push(lookup(name).expect("a command of Redis"), 0, arguments);
        };
        match op {
            Op::Mark(value) | Op::Set(_, value) => {
                command(b"set", &[key, value.to_string().as_bytes()]);
            }
            Op::SetNx(_, value) => command(b"setnx", &[key, value.to_string().as_bytes()]),
            Op::Append(_, value) => command(b"append", &[key, value.to_string().as_bytes()]),
            Op::Del(_) => command(b"del", &[key]),
            Op::Incr(_) => command(b"incr", &[key]),
            Op::Push(_, value) => command(b"lpush", &[key, value.to_string().as_bytes()]),
            Op::Trim(_) => {
                command(b"ltrim", &[key, b"0", (TRIMMED - 1).to_string().as_bytes()]);
            }
            Op::Get(_) | Op::Counter(_) | Op::LastMark => command(b"get", &[key]),
            Op::Range(_) => command(b"lrange", &[key, b"0", b"-1"]),
        }
    }

    fn batch_of(ops: &[Op]) -> Batch {
        let mut batch = Batch::default();
        ops.iter().for_each(|op| push(&mut batch, op));
        batch
    }

    impl Machine for EngineMachine {
        type Chunk = Payload;
        type Making = Writer;
        type Loading = Reader;

        fn new() -> Self {
            Self { engine: Engine::new(0), reply: Reply::default() }
        }

        fn encode(ops: &[Op]) -> Payload {
            Payload::new(batch_of(ops).to_archive())
        }

        fn number_of(payload: &Payload) -> u64 {
            let mark = ArchivedBatch::commands(payload.as_slice()).next().expect("not empty");
            let digits = std::str::from_utf8(mark.arguments[1]).expect("a number");
            digits.parse().expect("a number")
        }

        /// As the apply role of a node does it.
        fn apply(&mut self, entry: &Entry, replies: &mut Vec<u8>) {
            if entry.index == Index(1) {
                self.engine = Engine::new(entry.seed);
            }
            self.engine.begin_entry(entry.index.0, entry.at_ms);
            self.engine.keyspace.expire_due(EXPIRE_PER_ENTRY_MAX);
            let EntryBody::Batch { payload, .. } = &entry.body else { return };
            if payload.is_empty() {
                return;
            }
            let mut random = Random::new(entry.seed);
            self.reply.buffer.clear();
            for command in ArchivedBatch::commands(payload.as_slice()) {
                self.engine.run(&command, &mut self.reply, entry.at_ms, &mut random);
            }
            replies.extend_from_slice(&self.reply.buffer);
        }

        fn read(&mut self, ops: &[Op], at_ms: Millis, replies: &mut Vec<u8>) {
            let now_ms = at_ms.max(self.engine.keyspace.clock_ms());
            self.reply.buffer.clear();
            for command in batch_of(ops).commands() {
                self.engine.run(&command, &mut self.reply, now_ms, &mut Random::new(1));
            }
            replies.extend_from_slice(&self.reply.buffer);
        }

        fn digest(&self) -> u128 {
            self.engine.digest()
        }

        fn write_state(state: &SnapshotState) -> Payload {
            write_consensus(state)
        }

        fn read_state(chunk: &Payload) -> Option<SnapshotState> {
            read_consensus(chunk.as_slice()).ok()
        }

        fn begin_making(&mut self, last_index: Index) -> Writer {
            self.engine.keyspace.end_walk();
            Writer::begin(&mut self.engine, last_index)
        }

        fn make_some(&mut self, writer: &mut Writer, chunks: &mut Vec<Payload>) -> bool {
            let progress = writer.write_some(&mut self.engine, PIECE_BYTES);
            chunks.extend(writer.take_chunks());
            progress == WriteProgress::Complete
        }

        fn end_making(&mut self) {
            self.engine.keyspace.end_walk();
        }

        fn begin_loading() -> Reader {
            Reader::default()
        }

        fn load(reader: &mut Reader, chunk: &Payload) -> Option<bool> {
            Some(reader.read(chunk.as_slice()).ok()? == ReadProgress::Complete)
        }

        fn install(&mut self, reader: Reader) -> Option<Index> {
            let loaded = reader.finish().ok()?;
            self.engine.keyspace.end_walk();
            self.engine.replace_state(loaded.engine);
            Some(loaded.applied_index)
        }
    }
}
