//! What clients are owed: an independent model of the commands, run over the committed order, and
//! the fate of each batch and read.
//!
//! The witness of linearizability is the log: a batch takes effect at its index, a read at the
//! index up to which its member had applied when it ran. Each such place must be at or after
//! everything that was acknowledged to anybody before the call, and replies must be the model's.

use std::collections::{BTreeMap, VecDeque};

use mayfly::raft::types::Index;

use crate::invariants::ensure;
use crate::rng::Rng;

/// Keys of each type, few enough for clients to meet.
const KEYS: u64 = 3;

/// One command on one of a few keys, whose type its letter tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Says which batch was the last one.
    Mark(u64),
    Set(u8, u64),
    SetNx(u8, u64),
    Append(u8, u64),
    Del(u8),
    Incr(u8),
    Push(u8, u64),
    Trim(u8),
    /// Reads.
    Get(u8),
    Counter(u8),
    Range(u8),
    LastMark,
}

impl Op {
    pub fn write(rng: &mut Rng, unique: u64) -> Self {
        let key = rng.below(KEYS) as u8;
        match rng.below(10) {
            0 => Self::Set(key, unique),
            1 => Self::SetNx(key, unique),
            2 => Self::Del(key),
            3 | 4 => Self::Append(key, unique),
            5 | 6 => Self::Incr(key),
            7 => Self::Trim(key),
            _ => Self::Push(key, unique),
        }
    }

    pub fn read(rng: &mut Rng) -> Self {
        let key = rng.below(KEYS) as u8;
        match rng.below(4) {
            0 => Self::Get(key),
            1 => Self::Counter(key),
            2 => Self::Range(key),
            _ => Self::LastMark,
        }
    }

    pub fn key(&self) -> String {
        match self {
            Self::Mark(_) | Self::LastMark => "mark".to_owned(),
            Self::Set(key, _)
            | Self::SetNx(key, _)
            | Self::Append(key, _)
            | Self::Del(key)
            | Self::Get(key) => format!("s{key}"),
            Self::Incr(key) | Self::Counter(key) => format!("c{key}"),
            Self::Push(key, _) | Self::Trim(key) | Self::Range(key) => format!("l{key}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    Text(Vec<u8>),
    List(VecDeque<Vec<u8>>),
}

/// The commands as a textbook would say them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Model(pub BTreeMap<String, Value>);

/// Elements that TRIM leaves, and bytes over which a string starts anew.
pub const TRIMMED: usize = 3;

impl Model {
    /// Appends the reply.
    pub fn run(&mut self, op: &Op, replies: &mut Vec<u8>) {
        let key = op.key();
        match op {
            Op::Mark(value) | Op::Set(_, value) => {
                self.0.insert(key, text(*value));
                replies.extend_from_slice(b"+OK\r\n");
            }
            Op::SetNx(_, value) => {
                let is_new = !self.0.contains_key(&key);
                self.0.entry(key).or_insert_with(|| text(*value));
                integer(replies, usize::from(is_new));
            }
            Op::Append(_, value) => {
                let entry = self.0.entry(key).or_insert_with(|| Value::Text(Vec::new()));
                let Value::Text(bytes) = entry else { unreachable!("s keys are strings") };
                bytes.extend_from_slice(value.to_string().as_bytes());
                integer(replies, bytes.len());
            }
            Op::Del(_) => integer(replies, usize::from(self.0.remove(&key).is_some())),
            Op::Incr(_) => {
                let entry = self.0.entry(key).or_insert_with(|| text(0));
                let Value::Text(bytes) = entry else { unreachable!("c keys are strings") };
                let digits = std::str::from_utf8(bytes).expect("digits");
                let number = digits.parse::<usize>().expect("a counter") + 1;
                *bytes = number.to_string().into_bytes();
                integer(replies, number);
            }
            Op::Push(_, value) => {
                let entry = self.0.entry(key).or_insert_with(|| Value::List(VecDeque::new()));
                let Value::List(list) = entry else { unreachable!("l keys are lists") };
                list.push_front(value.to_string().into_bytes());
                integer(replies, list.len());
            }
            Op::Trim(_) => {
                if let Some(Value::List(list)) = self.0.get_mut(&key) {
                    list.truncate(TRIMMED);
                }
                replies.extend_from_slice(b"+OK\r\n");
            }
            Op::Get(_) | Op::Counter(_) | Op::Range(_) | Op::LastMark => {
                show(self.0.get(&key), matches!(op, Op::Range(_)), replies);
            }
        }
    }
}

fn text(number: u64) -> Value {
    Value::Text(number.to_string().into_bytes())
}

fn integer(replies: &mut Vec<u8>, number: usize) {
    replies.extend_from_slice(format!(":{number}\r\n").as_bytes());
}

fn bulk(replies: &mut Vec<u8>, bytes: &[u8]) {
    replies.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    replies.extend_from_slice(bytes);
    replies.extend_from_slice(b"\r\n");
}

fn show(value: Option<&Value>, as_list: bool, replies: &mut Vec<u8>) {
    match value {
        None if as_list => replies.extend_from_slice(b"*0\r\n"),
        None => replies.extend_from_slice(b"$-1\r\n"),
        Some(Value::Text(bytes)) => bulk(replies, bytes),
        Some(Value::List(list)) => {
            replies.extend_from_slice(format!("*{}\r\n", list.len()).as_bytes());
            list.iter().for_each(|element| bulk(replies, element));
        }
    }
}

/// What has become of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waiting,
    Answered,
    Unknown,
    NeverSent,
}

/// One batch of a client.
struct Batch {
    ops: Vec<Op>,
    fate: Fate,
    /// Of its payload.
    checksum: u32,
}

/// All batches ever submitted, by number.
#[derive(Default)]
pub struct Batches(Vec<Batch>);

impl Batches {
    pub fn next_number(&self) -> u64 {
        self.0.len() as u64
    }

    /// Precondition: the first operation marks it with [`Self::next_number`].
    pub fn submit(&mut self, ops: Vec<Op>, checksum: u32) {
        assert_eq!(ops.first(), Some(&Op::Mark(self.next_number())));
        self.0.push(Batch { ops, fate: Fate::Waiting, checksum });
    }

    /// Its member is gone or has given it up after it was sent.
    pub fn unknown(&mut self, number: u64) {
        self.0[number as usize].fate = Fate::Unknown;
    }
}

/// One lineage of the state: what was committed, and what clients know of it.
#[derive(Default)]
pub struct Oracle {
    model: Model,
    /// By index from 1 on: the batch that stands there and its replies.
    order: Vec<Option<(u64, Vec<u8>)>>,
    /// By number.
    committed_at: BTreeMap<u64, Index>,
    /// What each key has held, from which index on.
    history: BTreeMap<String, Vec<(u64, Option<Value>)>>,
    /// The highest index that a client has seen the effect of.
    acknowledged: Index,
}

impl Oracle {
    pub fn acknowledged(&self) -> Index {
        self.acknowledged
    }

    /// The state up to `through` alone, as a survivor has it.
    pub fn fork(&self, through: Index, batches: &Batches) -> Self {
        let mut fork = Self::default();
        for (at, place) in self.order.iter().take(through.0 as usize).enumerate() {
            let number = place.as_ref().map(|(number, _)| *number);
            fork.commit(Index(at as u64 + 1), number, batches, None);
        }
        fork.acknowledged = self.acknowledged.min(through);
        fork
    }

    /// The next entry is committed; `batch` is the number of the batch that it is, `checksum` that
    /// of its payload.
    pub fn commit(
        &mut self,
        index: Index,
        batch: Option<u64>,
        batches: &Batches,
        checksum: Option<u32>,
    ) {
        assert_eq!(index.0, self.order.len() as u64 + 1, "committed in order");
        let Some(number) = batch else { return self.order.push(None) };
        let known = batches.0.get(number as usize);
        ensure!(known.is_some(), ExactlyOnce, "batch {number} at {index} was never submitted");
        let batch = known.expect("just seen");
        ensure!(
            checksum.is_none_or(|checksum| checksum == batch.checksum),
            StateMachineSafety,
            "batch {number} at {index} was altered"
        );
        let never_sent = batch.fate == Fate::NeverSent;
        ensure!(!never_sent, ExactlyOnce, "batch {number} was given up as never sent");
        let before = self.committed_at.insert(number, index);
        ensure!(
            before.is_none(),
            ExactlyOnce,
            "batch {number} is committed at {before:?} and at {index}"
        );
        let mut replies = Vec::new();
        for op in &batch.ops {
            self.model.run(op, &mut replies);
            let key = op.key();
            let value = self.model.0.get(&key).cloned();
            let history = self.history.entry(key).or_default();
            match history.last_mut() {
                Some((at, last)) if *at == index.0 => *last = value,
                _ => history.push((index.0, value)),
            }
        }
        self.order.push(Some((number, replies)));
    }

    /// A member has applied the entry at `index`.
    pub fn on_applied(&self, index: Index, replies: &[u8]) {
        let expected = self.order[index.0 as usize - 1].as_ref();
        let expected = expected.map_or(&[][..], |(_, replies)| replies);
        ensure!(
            expected == replies,
            RepliesOfModel,
            "at {index}: {} instead of {}",
            replies.escape_ascii(),
            expected.escape_ascii()
        );
    }

    /// A client has got the replies of its batch, which it submitted when `floor` was acknowledged.
    pub fn on_answered(&mut self, batches: &mut Batches, number: u64, index: Index, floor: Index) {
        let batch = &mut batches.0[number as usize];
        let fate = std::mem::replace(&mut batch.fate, Fate::Answered);
        ensure!(fate == Fate::Waiting, EveryCommandEnds, "batch {number} ends twice: {fate:?}");
        let stands = self.order.get(index.0 as usize - 1).and_then(Option::as_ref);
        ensure!(
            stands.is_some_and(|(standing, _)| *standing == number),
            StateMachineSafety,
            "batch {number} is answered at {index}, where another one stands"
        );
        ensure!(
            index > floor,
            Linearizability,
            "batch {number} takes effect at {index}, but {floor} was acknowledged before its call"
        );
        self.acknowledged = self.acknowledged.max(index);
    }

    pub fn on_never_sent(&self, batches: &mut Batches, number: u64) {
        let batch = &mut batches.0[number as usize];
        let fate = std::mem::replace(&mut batch.fate, Fate::NeverSent);
        ensure!(fate == Fate::Waiting, EveryCommandEnds, "batch {number} ends twice: {fate:?}");
        let at = self.committed_at.get(&number);
        ensure!(
            at.is_none(),
            ExactlyOnce,
            "batch {number} was given up as never sent, but is committed at {at:?}"
        );
    }

    /// A read has run at a member that has applied everything up to `at`, allowed from `ready` on;
    /// `floor` was acknowledged before it was submitted.
    pub fn on_read(&mut self, ops: &[Op], ready: Index, at: Index, floor: Index, replies: &[u8]) {
        ensure!(
            ready >= floor,
            Linearizability,
            "a stale read: it may run at {ready}, but {floor} was acknowledged before its call"
        );
        ensure!(
            at >= ready && at.0 <= self.order.len() as u64,
            Linearizability,
            "a read at {at}, ready at {ready}, committed up to {}",
            self.order.len()
        );
        let mut expected = Vec::new();
        for op in ops {
            let history = self.history.get(&op.key()).map_or(&[][..], Vec::as_slice);
            let count = history.partition_point(|(index, _)| *index <= at.0);
            let value = count.checked_sub(1).and_then(|last| history[last].1.as_ref());
            show(value, matches!(op, Op::Range(_)), &mut expected);
        }
        ensure!(
            expected == replies,
            RepliesOfModel,
            "read at {at}: {} instead of {}",
            replies.escape_ascii(),
            expected.escape_ascii()
        );
        self.acknowledged = self.acknowledged.max(at);
    }

    /// At the end: every batch has ended, and the counters are what the fates of batches allow.
    /// `lost`: what was answered in another lineage may be gone.
    pub fn conclude(&self, batches: &Batches, lost: bool) {
        let mut counters = BTreeMap::<String, (usize, usize)>::new();
        for (number, batch) in batches.0.iter().enumerate() {
            let is_committed = self.committed_at.contains_key(&(number as u64));
            ensure!(batch.fate != Fate::Waiting, EveryCommandEnds, "batch {number} still waits");
            ensure!(
                is_committed || lost || batch.fate != Fate::Answered,
                StateMachineSafety,
                "batch {number} was answered and is lost"
            );
            let increments = batch.ops.iter().filter(|op| matches!(op, Op::Incr(_)));
            for op in increments {
                let (least, most) = counters.entry(op.key()).or_default();
                *least += usize::from(batch.fate == Fate::Answered && !lost);
                *most += usize::from(matches!(batch.fate, Fate::Answered | Fate::Unknown));
            }
        }
        for (key, (least, most)) in counters {
            let digits = match self.model.0.get(&key) {
                Some(Value::Text(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
                _ => "0".to_owned(),
            };
            let value: usize = digits.parse().expect("a counter");
            ensure!(
                (least..=most).contains(&value),
                ExactlyOnce,
                "{key} is {value}, answered {least}, at most {most}"
            );
        }
    }
}
