//! Writes an engine as chunks.

use std::mem;
use std::ops::ControlFlow;

use crate::engine::Engine;
use crate::engine::bytes::SmallBytes;
use crate::engine::keyspace::{DATABASE_COUNT, Entry, SessionId, WalkProgress, Watching};
use crate::engine::reply::Protocol;
use crate::engine::types::stream::{Consumer, Group, Stream, StreamId, StreamLog};
use crate::engine::types::string::Digits;
use crate::engine::value::Value;
use crate::engine::waiting::Waiter;
use crate::raft::types::{Index, Payload};

use super::format::{
    CHUNK_BYTES, Content, ENGINE_SEQUENCE, EngineHead, FIRST, GOES_ON, Head, Kind, Records,
    StreamItem, UNKNOWN, WaitRecord, WatchRecord, archive,
};
use super::import;
use super::libraries;
use super::scripts;
use super::settings;
use super::users::UsersRecord;

/// The chunks that follow the chunk of consensus: the state of `engine` after `applied_index`.
pub fn write(engine: &mut Engine, applied_index: Index) -> Vec<Payload> {
    let mut writer = Writer::begin(engine, applied_index);
    while writer.write_some(engine, usize::MAX) == Progress::Writing {}
    writer.take_chunks()
}

/// Whether there is more to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Writing,
    Complete,
}

/// Writes the state that an engine has at the beginning, piece by piece, while the engine goes on.
///
/// What the caller owes: it is the same engine each time, nobody begins or ends a walk over its
/// keyspace meanwhile, and it ends the walk if it gives up writing.
pub struct Writer {
    output: Output,
    keys: u64,
    /// How many there are to be written.
    keys_total: u64,
}

impl Writer {
    /// Precondition: `engine` is between two entries; the last one is `applied_index`.
    pub fn begin(engine: &mut Engine, applied_index: Index) -> Self {
        let keyspace = &mut engine.keyspace;
        keyspace.begin_walk();
        let keys_total = (0..DATABASE_COUNT).map(|database| keyspace.len(database) as u64).sum();
        let head = EngineHead {
            hash_seed: keyspace.hash_seed(),
            clock_ms: keyspace.clock_ms(),
            applied_index: applied_index.0,
            register: engine.register().to_vec(),
            has_active_expire: engine.keyspace.has_active_expire(),
            watching: engine.keyspace.watching().iter().map(watch_record).collect(),
            waiting: engine.waiting().waiters().iter().map(wait_record).collect(),
            next_wait: engine.waiting().next_number(),
            settings: settings::write(engine.settings()),
            users: UsersRecord::of(engine.acl()),
            import: Box::new(import::write(engine.import())),
        };
        let mut output = Output::default();
        output.push(Content::Engine(head));
        for section in scripts::sections(&engine.scripts) {
            output.push(Content::Scripts(section));
        }
        for section in libraries::sections(&engine.scripts.libraries) {
            output.push(Content::Libraries(section));
        }
        Self { output, keys: 0, keys_total }
    }

    /// Writes about `bytes` more: the value at which they are reached is written whole. Fewer where
    /// much has changed since the beginning, so that a call is short.
    pub fn write_some(&mut self, engine: &mut Engine, bytes: usize) -> Progress {
        let goal = self.output.written().saturating_add(bytes);
        let Self { output, keys, .. } = self;
        let progress = engine.keyspace.walk_some(|database, entry| {
            Pen { output, open: None }.write_entry(database, entry);
            *keys += 1;
            if output.written() < goal { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        match progress {
            WalkProgress::Walking => Progress::Writing,
            WalkProgress::Complete => {
                self.output.cut();
                self.output.push(Content::End { keys: self.keys });
                Progress::Complete
            }
        }
    }

    /// What is ready of the snapshot since the last call, in order.
    pub fn take_chunks(&mut self) -> Vec<Payload> {
        mem::take(&mut self.output.chunks)
    }

    /// How many bytes the whole snapshot will have, about: keys come in the order of their hashes,
    /// so those that are written are a fair sample.
    pub fn estimated_bytes(&self) -> usize {
        let written = self.output.written();
        if self.keys == 0 {
            return written;
        }
        let estimate = written as u128 * u128::from(self.keys_total) / u128::from(self.keys);
        usize::try_from(estimate).unwrap_or(usize::MAX)
    }
}

#[derive(Default)]
struct Output {
    chunks: Vec<Payload>,
    /// Chunks made.
    count: u64,
    /// Of all chunks made.
    bytes: usize,
    records: Records,
}

impl Output {
    fn written(&self) -> usize {
        self.bytes + self.records.bytes()
    }

    /// Archives a chunk and gives its content back.
    fn push(&mut self, content: Content) -> Content {
        let (chunk, content) = archive(ENGINE_SEQUENCE + self.count, content);
        self.count += 1;
        self.bytes += chunk.len();
        self.chunks.push(chunk);
        content
    }

    /// Ends the chunk. Precondition: no record is open.
    fn cut(&mut self) {
        if self.records.shape.is_empty() {
            return;
        }
        let records = mem::take(&mut self.records);
        if let Content::Records(mut records) = self.push(Content::Records(records)) {
            // The next chunk fills the same buffers.
            records.shape.clear();
            records.blob.clear();
            self.records = records;
        }
    }

    fn is_full(&self) -> bool {
        self.records.bytes() >= CHUNK_BYTES
    }
}

/// Writes one key.
struct Pen<'w, 'e> {
    output: &'w mut Output,
    /// The record being written, while there is one.
    open: Option<Open<'e>>,
}

struct Open<'e> {
    head: Head,
    key: &'e [u8],
    /// Where its head and its number of items are in the shape.
    head_at: usize,
    items_at: usize,
    items: u32,
}

impl<'e> Pen<'_, 'e> {
    fn write_entry(&mut self, database: u8, entry: &'e Entry) {
        let head = Head { kind: kind_of(&entry.value), database, flags: FIRST };
        self.begin(head, &entry.key, |writer| {
            writer.number(entry.deadline_ms);
            writer.number(entry.version());
            if let Value::Stream(stream) = &entry.value {
                writer.write_counters(&stream.log);
            }
        });
        match &entry.value {
            Value::String(string) => {
                let mut digits = Digits::default();
                for piece in string.as_bytes(&mut digits).chunks(CHUNK_BYTES) {
                    self.begin_item();
                    self.bytes(piece);
                }
            }
            Value::List(list) => list.iter().for_each(|element| {
                self.begin_item();
                self.bytes(element);
            }),
            Value::Set(set) => set.iter().for_each(|member| {
                self.begin_item();
                self.bytes(&member);
            }),
            Value::Hash(hash) if hash.first_deadline() != 0 => {
                for (field, value) in hash.iter() {
                    self.begin_item();
                    self.bytes(field);
                    self.bytes(value);
                    self.number(hash.deadline(field).unwrap_or(0));
                }
            }
            Value::Hash(hash) => hash.iter().for_each(|(field, value)| {
                self.begin_item();
                self.bytes(field);
                self.bytes(value);
            }),
            Value::SortedSet(sorted_set) => sorted_set.entries().for_each(|(member, score)| {
                self.begin_item();
                self.bytes(member);
                self.number(score.to_bits());
            }),
            Value::Stream(stream) => self.write_stream(stream),
        }
        self.end(0);
        if self.output.is_full() {
            self.output.cut();
        }
    }

    fn write_counters(&mut self, log: &StreamLog) {
        self.id(log.last_id());
        self.number(log.entries_added());
        self.id(log.max_deleted_id());
    }

    /// The entries, then each group, with each consumer before what is pending for it.
    fn write_stream(&mut self, stream: &Stream) {
        for entry in stream.log.range(StreamId::MIN, StreamId::MAX) {
            self.begin_stream_item(StreamItem::Entry);
            self.id(entry.id);
            self.word(entry.field_count());
            entry.fields().for_each(|field| self.bytes(field));
        }
        for (name, group) in &stream.groups {
            self.begin_stream_item(StreamItem::Group);
            self.bytes(name);
            self.id(group.last_id());
            self.number(group.entries_read().unwrap_or(UNKNOWN));
            for (name, consumer) in group.consumers() {
                self.write_consumer(group, name, consumer);
            }
        }
    }

    fn write_consumer(&mut self, group: &Group, name: &[u8], consumer: &Consumer) {
        self.begin_stream_item(StreamItem::Consumer);
        self.bytes(name);
        self.number(consumer.seen_ms);
        self.number(consumer.active_ms.unwrap_or(UNKNOWN));
        for id in consumer.pending(StreamId::MIN..=StreamId::MAX) {
            let delivery = group.delivery(id).expect("invariant: the group has it too");
            self.begin_stream_item(StreamItem::Pending);
            self.id(id);
            self.number(delivery.at_ms);
            self.number(delivery.count);
        }
    }

    fn begin_stream_item(&mut self, item: StreamItem) {
        self.begin_item();
        self.output.records.shape.push((item as u32).into());
    }

    fn begin(&mut self, head: Head, key: &'e [u8], write_rest: impl FnOnce(&mut Self)) {
        let head_at = self.output.records.shape.len();
        self.output.records.shape.push(head.to_word().into());
        self.bytes(key);
        write_rest(self);
        let items_at = self.output.records.shape.len();
        self.output.records.shape.push(0.into());
        self.open = Some(Open { head, key, head_at, items_at, items: 0 });
    }

    /// What is written next is one item. It goes into another chunk if this one is full.
    fn begin_item(&mut self) {
        let is_full = self.output.is_full();
        let open = self.open.as_mut().expect("invariant: items are parts of records");
        if is_full && open.items > 0 {
            let (head, key) = (Head { flags: 0, ..open.head }, open.key);
            self.end(GOES_ON);
            self.output.cut();
            self.begin(head, key, |_| {});
        }
        self.open.as_mut().expect("invariant: just begun").items += 1;
    }

    fn end(&mut self, flags: u8) {
        let open = self.open.take().expect("invariant: it was begun");
        let head = Head { flags: open.head.flags | flags, ..open.head };
        self.output.records.shape[open.head_at] = head.to_word().into();
        self.output.records.shape[open.items_at] = open.items.into();
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len());
        self.output.records.blob.extend_from_slice(bytes);
    }

    fn word(&mut self, number: usize) {
        let word = u32::try_from(number).expect("invariant: lengths are below 4 GiB");
        self.output.records.shape.push(word.into());
    }

    fn number(&mut self, number: u64) {
        self.output.records.shape.push((number as u32).into());
        self.output.records.shape.push(((number >> 32) as u32).into());
    }

    fn id(&mut self, id: StreamId) {
        self.number(id.ms);
        self.number(id.seq);
    }
}

fn watch_record((session, watching): (&SessionId, &Watching)) -> WatchRecord {
    let key = |(database, key): &(u8, SmallBytes)| (*database, key.to_vec());
    WatchRecord {
        member: session.member.0,
        session: session.number,
        dirty: watching.dirty,
        keys: watching.keys.iter().map(key).collect(),
    }
}

fn wait_record((number, waiter): (&u64, &Waiter)) -> WaitRecord {
    let words = |words: &[SmallBytes]| words.iter().map(|word| word.to_vec()).collect();
    WaitRecord {
        number: *number,
        member: waiter.session.member.0,
        session: waiter.session.number,
        is_resp3: waiter.protocol == Protocol::Resp3,
        database: waiter.database,
        command: waiter.command.0,
        arguments: words(&waiter.arguments),
        keys: words(&waiter.keys),
        deadline_ms: waiter.deadline_ms,
    }
}

fn kind_of(value: &Value) -> Kind {
    match value {
        Value::String(string) if string.is_growing() => Kind::GrowingString,
        Value::String(_) => Kind::String,
        Value::List(_) => Kind::List,
        Value::Set(set) => Kind::Set(set.encoding()),
        Value::Hash(hash) if hash.first_deadline() != 0 => Kind::ExpiringHash(hash.encoding()),
        Value::Hash(hash) => Kind::Hash(hash.encoding()),
        Value::SortedSet(sorted_set) => Kind::SortedSet(sorted_set.encoding()),
        Value::Stream(_) => Kind::Stream,
    }
}
