//! Builds an engine from chunks, beside the one that still serves.

use rkyv::rend::u32_le;
use rkyv::tuple::ArchivedTuple2;
use rkyv::vec::ArchivedVec;

use crate::engine::Engine;
use crate::engine::bytes::SmallBytes;
use crate::engine::command::{CommandId, command_count};
use crate::engine::keyspace::{DATABASE_COUNT, Entry, SessionId, Watching};
use crate::engine::reply::Protocol;
use crate::engine::types::hash::{FIELD_DEADLINE_MAX_MS, Hash};
use crate::engine::types::list::{End, List};
use crate::engine::types::set::Set;
use crate::engine::types::sorted_set::SortedSet;
use crate::engine::types::stream::{Delivery, ENTRY_BYTES_MAX, Group, Name, Stream, StreamId};
use crate::engine::types::string::StringValue;
use crate::engine::value::Value;
use crate::engine::waiting::Waiter;
use crate::raft::types::{Index, MemberId, Millis};

use super::format::{
    ArchivedContent, ArchivedRecords, ArchivedWaitRecord, ArchivedWatchRecord, ENGINE_SEQUENCE,
    FIRST, GOES_ON, Head, Kind, SnapshotError, StreamItem, UNKNOWN, access,
};
use super::import;
use super::libraries;
use super::scripts;
use super::settings;

/// What a whole snapshot amounts to.
pub struct Loaded {
    pub engine: Engine,
    pub applied_index: Index,
}

/// Whether there is more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Reading,
    Complete,
}

/// Takes the chunks that [`super::write`] made, in order.
pub struct Reader {
    state: State,
    next_sequence: u64,
}

enum State {
    /// Nothing was read.
    Empty,
    Loading(Loading),
    /// The end was read, or the last chunk was damaged.
    Ended(Option<Loaded>),
}

struct Loading {
    engine: Engine,
    clock_ms: Millis,
    applied_index: Index,
    keys: u64,
    /// A key of which there is more to come.
    open: Option<Open>,
}

struct Open {
    kind: Kind,
    database: u8,
    key: SmallBytes,
    deadline_ms: Millis,
    version: u64,
    value: Partial,
}

/// A value as far as it was read.
enum Partial {
    String(Vec<u8>),
    List(List),
    Set(Set),
    Hash(Hash),
    ExpiringHash(Hash),
    SortedSet(SortedSet),
    Stream(Box<PartialStream>),
}

struct PartialStream {
    stream: Stream,
    last_id: StreamId,
    entries_added: u64,
    max_deleted_id: StreamId,
    /// The group that is being read, with its name and the consumer that is.
    group: Option<(SmallBytes, Group)>,
    consumer: Option<Name>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { state: State::Empty, next_sequence: ENGINE_SEQUENCE }
    }
}

impl Reader {
    /// Reads the next chunk. After an error the reader is of no more use.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Progress, SnapshotError> {
        let content = access(bytes, self.next_sequence)?;
        self.next_sequence += 1;
        let state = std::mem::replace(&mut self.state, State::Ended(None));
        self.state = match (state, content) {
            (State::Empty, ArchivedContent::Engine(head)) => {
                let mut engine = Engine::new(head.hash_seed.to_native());
                engine.set_register(&head.register);
                engine.keyspace.set_active_expire(head.has_active_expire);
                restore_watching(&mut engine, &head.watching)?;
                engine.waiting_mut().0.set_next_number(head.next_wait.to_native());
                restore_waiting(&mut engine, &head.waiting)?;
                engine.set_settings(settings::read(&head.settings)?);
                engine.set_import(import::read(&head.import)?);
                engine.set_acl(head.users.restore()?);
                State::Loading(Loading {
                    engine,
                    clock_ms: head.clock_ms.to_native(),
                    applied_index: Index(head.applied_index.to_native()),
                    keys: 0,
                    open: None,
                })
            }
            (State::Loading(mut loading), ArchivedContent::Scripts(section)) => {
                loading.check_that_no_key_came()?;
                scripts::restore(&mut loading.engine.scripts, section)?;
                State::Loading(loading)
            }
            (State::Loading(mut loading), ArchivedContent::Libraries(section)) => {
                loading.check_that_no_key_came()?;
                libraries::restore(&mut loading.engine.scripts.libraries, section)?;
                State::Loading(loading)
            }
            (State::Loading(mut loading), ArchivedContent::Records(records)) => {
                loading.read_records(records)?;
                State::Loading(loading)
            }
            (State::Loading(loading), ArchivedContent::End { keys }) => {
                State::Ended(Some(loading.end(keys.to_native())?))
            }
            _ => return Err(SnapshotError::Kind),
        };
        Ok(match self.state {
            State::Ended(_) => Progress::Complete,
            State::Empty | State::Loading(_) => Progress::Reading,
        })
    }

    /// The engine, when the last chunk was read.
    pub fn finish(self) -> Result<Loaded, SnapshotError> {
        match self.state {
            State::Ended(Some(loaded)) => Ok(loaded),
            _ => Err(SnapshotError::Incomplete),
        }
    }
}

fn restore_watching(
    engine: &mut Engine,
    records: &[ArchivedWatchRecord],
) -> Result<(), SnapshotError> {
    for record in records {
        let member = MemberId(record.member.to_native());
        let session = SessionId { member, number: record.session.to_native() };
        let key = |key: &ArchivedTuple2<u8, ArchivedVec<u8>>| (key.0, SmallBytes::new(&key.1));
        let keys = record.keys.iter().map(key).collect();
        if !engine.keyspace.restore_watching(session, Watching { dirty: record.dirty, keys }) {
            return Err(SnapshotError::Value);
        }
    }
    Ok(())
}

fn restore_waiting(
    engine: &mut Engine,
    records: &[ArchivedWaitRecord],
) -> Result<(), SnapshotError> {
    for record in records {
        let member = MemberId(record.member.to_native());
        let words = |words: &[ArchivedVec<u8>]| words.iter().map(|w| SmallBytes::new(w)).collect();
        let waiter = Waiter {
            session: SessionId { member, number: record.session.to_native() },
            protocol: if record.is_resp3 { Protocol::Resp3 } else { Protocol::Resp2 },
            database: record.database,
            command: CommandId(record.command.to_native()),
            arguments: words(&record.arguments),
            keys: words(&record.keys),
            deadline_ms: record.deadline_ms.to_native(),
        };
        let is_known = usize::from(waiter.command.0) < command_count();
        let (waiting, keyspace) = engine.waiting_mut();
        let is_sound = is_known && waiter.database < DATABASE_COUNT;
        if !is_sound || !waiting.restore(keyspace, record.number.to_native(), waiter) {
            return Err(SnapshotError::Value);
        }
    }
    Ok(())
}

impl Loading {
    fn check_that_no_key_came(&self) -> Result<(), SnapshotError> {
        if self.keys > 0 || self.open.is_some() { Err(SnapshotError::Kind) } else { Ok(()) }
    }

    fn end(mut self, keys: u64) -> Result<Loaded, SnapshotError> {
        if self.open.is_some() || keys != self.keys {
            return Err(SnapshotError::Incomplete);
        }
        self.engine.begin_entry(self.applied_index.0, self.clock_ms);
        Ok(Loaded { engine: self.engine, applied_index: self.applied_index })
    }

    fn read_records(&mut self, records: &ArchivedRecords) -> Result<(), SnapshotError> {
        let mut words = Words { shape: &records.shape, blob: &records.blob };
        while !words.shape.is_empty() {
            self.read_record(&mut words)?;
        }
        if words.blob.is_empty() { Ok(()) } else { Err(SnapshotError::Shape) }
    }

    fn read_record(&mut self, words: &mut Words<'_>) -> Result<(), SnapshotError> {
        let head = Head::from_word(words.word()?).ok_or(SnapshotError::Value)?;
        let key = words.bytes()?;
        if head.database >= DATABASE_COUNT || head.flags & !(FIRST | GOES_ON) != 0 {
            return Err(SnapshotError::Value);
        }
        let mut open = match (self.open.take(), head.flags & FIRST != 0) {
            (None, true) => Open {
                kind: head.kind,
                database: head.database,
                key: SmallBytes::new(key),
                deadline_ms: words.number()?,
                version: words.number()?,
                value: Partial::begin(head.kind, words)?,
            },
            (Some(open), false)
                if open.kind == head.kind
                    && open.database == head.database
                    && *open.key == *key =>
            {
                open
            }
            _ => return Err(SnapshotError::Shape),
        };
        let items = words.word()?;
        if items == 1 && head.flags == FIRST && matches!(open.value, Partial::String(_)) {
            // Most strings are of one piece, which goes where it stays without a copy between.
            let value = string_of(open.kind, words.bytes()?);
            return self.restore(open.database, open.key, value, open.deadline_ms, open.version);
        }
        for _ in 0..items {
            open.value.read_item(words)?;
        }
        if head.flags & GOES_ON != 0 {
            self.open = Some(open);
            return Ok(());
        }
        let Open { kind, database, key, deadline_ms, version, value } = open;
        self.restore(database, key, value.end(kind)?, deadline_ms, version)
    }

    fn restore(
        &mut self,
        database: u8,
        key: SmallBytes,
        value: Value,
        deadline_ms: Millis,
        version: u64,
    ) -> Result<(), SnapshotError> {
        // Whatever changed it is in the snapshot. A walk over the keyspace relies on that.
        if version > self.applied_index.0 {
            return Err(SnapshotError::Value);
        }
        self.keys += 1;
        let entry = Entry::new(key, value, deadline_ms, version);
        if self.engine.keyspace.restore(database, entry) {
            Ok(())
        } else {
            Err(SnapshotError::Twice)
        }
    }
}

impl Partial {
    fn begin(kind: Kind, words: &mut Words<'_>) -> Result<Self, SnapshotError> {
        Ok(match kind {
            Kind::String | Kind::GrowingString => Self::String(Vec::new()),
            Kind::List => Self::List(List::default()),
            Kind::Set(encoding) => Self::Set(Set::with_encoding(encoding)),
            Kind::Hash(encoding) => Self::Hash(Hash::with_encoding(encoding)),
            Kind::ExpiringHash(encoding) => Self::ExpiringHash(Hash::with_encoding(encoding)),
            Kind::SortedSet(encoding) => Self::SortedSet(SortedSet::with_encoding(encoding)),
            Kind::Stream => Self::Stream(Box::new(PartialStream {
                stream: Stream::default(),
                last_id: words.id()?,
                entries_added: words.number()?,
                max_deleted_id: words.id()?,
                group: None,
                consumer: None,
            })),
        })
    }

    fn read_item(&mut self, words: &mut Words<'_>) -> Result<(), SnapshotError> {
        let is_new = match self {
            Self::String(string) => {
                string.extend_from_slice(words.bytes()?);
                true
            }
            Self::List(list) => {
                list.push(End::Right, words.bytes()?);
                true
            }
            Self::Set(set) => set.add(words.bytes()?),
            Self::Hash(hash) => {
                let field = words.bytes()?;
                hash.set(field, words.bytes()?)
            }
            Self::ExpiringHash(hash) => {
                let field = words.bytes()?;
                let is_new = hash.set(field, words.bytes()?);
                match words.number()? {
                    0 => is_new,
                    at_ms @ ..=FIELD_DEADLINE_MAX_MS => hash.set_deadline(field, at_ms) && is_new,
                    _ => false,
                }
            }
            Self::SortedSet(sorted_set) => {
                let member = words.bytes()?;
                let score = f64::from_bits(words.number()?);
                !score.is_nan() && sorted_set.insert(member, score).is_none()
            }
            Self::Stream(stream) => stream.read_item(words)?,
        };
        if is_new { Ok(()) } else { Err(SnapshotError::Value) }
    }

    /// The whole value. An encoding that the items cannot have, or an aggregate without items
    /// where there is never one, is damage.
    fn end(self, kind: Kind) -> Result<Value, SnapshotError> {
        let (value, is_sound) = match self {
            Self::String(bytes) => (string_of(kind, &bytes), true),
            Self::List(list) => {
                let is_sound = !list.is_empty();
                (Value::List(Box::new(list)), is_sound)
            }
            Self::Set(set) => {
                let is_sound = !set.is_empty() && kind == Kind::Set(set.encoding());
                (Value::Set(Box::new(set)), is_sound)
            }
            Self::Hash(hash) => {
                let is_sound = !hash.is_empty() && kind == Kind::Hash(hash.encoding());
                (Value::Hash(hash), is_sound)
            }
            Self::ExpiringHash(hash) => {
                let is_sound =
                    hash.first_deadline() != 0 && kind == Kind::ExpiringHash(hash.encoding());
                (Value::Hash(hash), is_sound)
            }
            Self::SortedSet(sorted_set) => {
                let is_sound =
                    !sorted_set.is_empty() && kind == Kind::SortedSet(sorted_set.encoding());
                (Value::SortedSet(Box::new(sorted_set)), is_sound)
            }
            Self::Stream(stream) => {
                let (stream, is_sound) = stream.end();
                (Value::Stream(Box::new(stream)), is_sound)
            }
        };
        if is_sound { Ok(value) } else { Err(SnapshotError::Value) }
    }
}

impl PartialStream {
    /// Tells whether the item is one that a stream may have there.
    fn read_item(&mut self, words: &mut Words<'_>) -> Result<bool, SnapshotError> {
        match StreamItem::from_word(words.word()?).ok_or(SnapshotError::Value)? {
            StreamItem::Entry => {
                let id = words.id()?;
                let count = words.word()?;
                let fields = (0..count).map(|_| words.bytes()).collect::<Result<Vec<_>, _>>()?;
                let bytes: usize = fields.iter().map(|field| field.len()).sum();
                let log = &mut self.stream.log;
                let fits = id > log.last_id() && bytes <= ENTRY_BYTES_MAX;
                if fits {
                    log.append(id, &fields);
                }
                Ok(fits)
            }
            StreamItem::Group => {
                let is_new = self.end_group();
                let name = words.bytes()?;
                let last_id = words.id()?;
                let group = Group::new(last_id, known(words.number()?));
                self.group = Some((SmallBytes::new(name), group));
                Ok(is_new)
            }
            StreamItem::Consumer => {
                let name = words.bytes()?;
                let (seen_ms, active_ms) = (words.number()?, known(words.number()?));
                let group = self.group.as_mut().map(|(_, group)| group);
                self.consumer =
                    group.and_then(|group| group.add_consumer(name, seen_ms, active_ms));
                Ok(self.consumer.is_some())
            }
            StreamItem::Pending => {
                let (id, at_ms, count) = (words.id()?, words.number()?, words.number()?);
                let (Some((_, group)), Some(consumer)) = (&mut self.group, &self.consumer) else {
                    return Ok(false);
                };
                let is_new = group.delivery(id).is_none();
                group.deliver(id, Delivery { consumer: Name::clone(consumer), at_ms, count });
                Ok(is_new)
            }
        }
    }

    /// False when the stream has a group of this name already.
    fn end_group(&mut self) -> bool {
        self.consumer = None;
        match self.group.take() {
            Some((name, group)) => self.stream.groups.insert(name, group).is_none(),
            None => true,
        }
    }

    /// The stream, and whether it can be one.
    fn end(mut self) -> (Stream, bool) {
        let is_sound = self.end_group();
        let Self { mut stream, last_id, entries_added, max_deleted_id, .. } = self;
        let is_set = stream.log.set_counters(last_id, entries_added, max_deleted_id);
        (stream, is_sound && is_set)
    }
}

fn known(number: u64) -> Option<u64> {
    (number != UNKNOWN).then_some(number)
}

fn string_of(kind: Kind, bytes: &[u8]) -> Value {
    let mut string = StringValue::from_bytes(bytes);
    if kind == Kind::GrowingString {
        string.append(b"");
    }
    Value::String(string)
}

/// What is left of the records of a chunk.
struct Words<'a> {
    shape: &'a [u32_le],
    blob: &'a [u8],
}

impl<'a> Words<'a> {
    fn word(&mut self) -> Result<u32, SnapshotError> {
        let (word, rest) = self.shape.split_first().ok_or(SnapshotError::Shape)?;
        self.shape = rest;
        Ok(word.to_native())
    }

    fn number(&mut self) -> Result<u64, SnapshotError> {
        let low = u64::from(self.word()?);
        Ok(low | u64::from(self.word()?) << 32)
    }

    fn id(&mut self) -> Result<StreamId, SnapshotError> {
        Ok(StreamId { ms: self.number()?, seq: self.number()? })
    }

    /// As many bytes as the next word says.
    fn bytes(&mut self) -> Result<&'a [u8], SnapshotError> {
        let len = self.word()? as usize;
        let (bytes, rest) = self.blob.split_at_checked(len).ok_or(SnapshotError::Shape)?;
        self.blob = rest;
        Ok(bytes)
    }
}
