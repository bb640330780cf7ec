//! A machine as light as can be, for simulations of consensus alone: it runs the model itself.

use std::hash::{Hash, Hasher};

use mayfly::raft::SnapshotState;
use mayfly::raft::types::{Entry, EntryBody, Index, Millis, Payload};
use rkyv::util::AlignedVec;

use crate::machine::Machine;
use crate::oracle::{Model, Op, Value};
use crate::rng::Fold;

#[derive(Default)]
pub struct LightMachine {
    model: Model,
    applied_index: Index,
}

#[derive(Clone)]
pub enum Chunk {
    State(SnapshotState),
    Key(String, Value),
    End(Index),
}

/// A copy of the state that is handed over key by key.
pub struct Making {
    left: Vec<Chunk>,
}

#[derive(Default)]
pub struct Loading {
    machine: LightMachine,
    complete: bool,
}

fn write(op: &Op, bytes: &mut AlignedVec) {
    let (kind, key, value) = match op {
        Op::Mark(value) => (0, 0, *value),
        Op::Set(key, value) => (1, *key, *value),
        Op::SetNx(key, value) => (2, *key, *value),
        Op::Append(key, value) => (3, *key, *value),
        Op::Del(key) => (4, *key, 0),
        Op::Incr(key) => (5, *key, 0),
        Op::Push(key, value) => (6, *key, *value),
        Op::Trim(key) => (7, *key, 0),
        Op::Get(_) | Op::Counter(_) | Op::Range(_) | Op::LastMark => {
            unreachable!("reads are no entries")
        }
    };
    bytes.extend_from_slice(&[kind, key]);
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn read(bytes: &[u8]) -> Op {
    let (kind, key) = (bytes[0], bytes[1]);
    let value = u64::from_le_bytes(bytes[2..10].try_into().expect("10 bytes"));
    match kind {
        0 => Op::Mark(value),
        1 => Op::Set(key, value),
        2 => Op::SetNx(key, value),
        3 => Op::Append(key, value),
        4 => Op::Del(key),
        5 => Op::Incr(key),
        6 => Op::Push(key, value),
        7 => Op::Trim(key),
        _ => unreachable!("no such operation"),
    }
}

const OP_BYTES: usize = 10;

impl Machine for LightMachine {
    type Chunk = Chunk;
    type Making = Making;
    type Loading = Loading;

    fn new() -> Self {
        Self::default()
    }

    fn encode(ops: &[Op]) -> Payload {
        let mut bytes = AlignedVec::new();
        ops.iter().for_each(|op| write(op, &mut bytes));
        Payload::new(bytes)
    }

    fn number_of(payload: &Payload) -> u64 {
        match read(payload.as_slice()) {
            Op::Mark(number) => number,
            other => unreachable!("{other:?} at the begin of a batch"),
        }
    }

    fn apply(&mut self, entry: &Entry, replies: &mut Vec<u8>) {
        self.applied_index = entry.index;
        if let EntryBody::Batch { payload, .. } = &entry.body {
            for op in payload.as_slice().chunks(OP_BYTES).map(read) {
                self.model.run(&op, replies);
            }
        }
    }

    fn read(&mut self, ops: &[Op], _at_ms: Millis, replies: &mut Vec<u8>) {
        ops.iter().for_each(|op| self.model.run(op, replies));
    }

    fn digest(&self) -> u128 {
        let mut fold = Fold::default();
        self.model.hash(&mut fold);
        u128::from(fold.finish())
    }

    fn write_state(state: &SnapshotState) -> Chunk {
        Chunk::State(state.clone())
    }

    fn read_state(chunk: &Chunk) -> Option<SnapshotState> {
        match chunk {
            Chunk::State(state) => Some(state.clone()),
            _ => None,
        }
    }

    fn begin_making(&mut self, last_index: Index) -> Making {
        let keys = self.model.0.iter().map(|(key, value)| Chunk::Key(key.clone(), value.clone()));
        let mut left: Vec<Chunk> = keys.chain([Chunk::End(last_index)]).collect();
        left.reverse();
        Making { left }
    }

    fn make_some(&mut self, making: &mut Making, chunks: &mut Vec<Chunk>) -> bool {
        chunks.extend(making.left.pop());
        making.left.is_empty()
    }

    fn end_making(&mut self) {}

    fn begin_loading() -> Loading {
        Loading::default()
    }

    fn load(loading: &mut Loading, chunk: &Chunk) -> Option<bool> {
        match chunk {
            Chunk::State(_) => return None,
            Chunk::Key(key, value) => {
                loading.machine.model.0.insert(key.clone(), value.clone());
            }
            Chunk::End(last_index) => {
                loading.machine.applied_index = *last_index;
                loading.complete = true;
            }
        }
        Some(loading.complete)
    }

    fn install(&mut self, loading: Loading) -> Option<Index> {
        if !loading.complete {
            return None;
        }
        *self = loading.machine;
        Some(self.applied_index)
    }
}
