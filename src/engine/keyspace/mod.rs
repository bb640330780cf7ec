//! The databases: keys, values, deadlines. Knows neither commands nor RESP.
//!
//! A key is there iff its deadline is after the clock, and so for a field of a hash; the clock
//! moves only with the log entries that are applied: [`Keyspace::begin`]. Reads never change
//! anything; a write that meets an expired key removes it first. What order keys have is given by
//! the hash of their bytes alone, so it is the same on all nodes whatever the history of their
//! tables.

mod events;
mod eviction;
mod expiry;
mod fields;
mod forms;
mod import;
mod interest;
mod memory;
mod numbers;
mod scan;
mod segment;
mod stats;
#[cfg(test)]
mod tests;
mod usage;
mod walk;
mod watch;

use std::cell::Cell;
use std::hint::black_box;

use smallvec::SmallVec;

use super::bytes::SmallBytes;
use super::error::CommandError;
use super::notifications::EventClasses;
use super::value::{Kind, Value};
use crate::raft::types::Millis;
pub use events::Changed;
use events::Events;
use expiry::Deadlines;
use forms::Forms;
use interest::Interest;
pub use interest::{Place, SessionId, WatchError, Watching};
use memory::Account;
pub(super) use scan::digest_of;
pub use segment::Entry;
use segment::{Hasher, Position, Segment, Table};
pub use stats::KeyspaceStats;
use usage::Usage;
pub use walk::WalkProgress;
use walk::{Condemned, Walk};

pub use eviction::{Victim, Victims};

pub const DATABASE_COUNT: u8 = 16;

/// How many keys are warmed at once: enough to keep the memory busy, and few enough for what is
/// read to stay in the first-level cache.
pub const WARM_RUN: usize = 32;

/// Entries of so many bytes are near by without being warmed: half of what the second-level cache
/// of a core has at least.
const CACHE_BYTES: usize = 256 << 10;

pub struct Keyspace {
    databases: [Database; DATABASE_COUNT as usize],
    hasher: Hasher,
    hash_seed: u64,
    clock_ms: Millis,
    version: u64,
    /// The walk over a former state, while there is one. Whatever changes or removes an entry that
    /// is there asks first whether the walk needs it.
    walk: Option<Box<Walk>>,
    condemned: Condemned,
    /// Whatever changes or removes an entry tells the interested, if there are any.
    interest: Interest,
    events: Events,
    account: Account,
    forms: Forms,
    usage: Usage,
    hits: Cell<u64>,
    misses: Cell<u64>,
    expired: u64,
    expired_fields: u64,
    evicted: u64,
    /// When the next field of all hashes is due.
    fields_due_ms: Millis,
    /// What is due stays, unseen by reads, until a write meets it.
    keeps_expired: bool,
    /// The source of an import says when keys go.
    imports: bool,
}

#[derive(Default)]
struct Database {
    table: Table,
    deadlines: Deadlines,
    /// The first deadline of each hash with fields that expire.
    field_deadlines: Deadlines,
    /// How many keys have a deadline.
    volatile: usize,
    /// What its entries count, but for the open one.
    bytes: usize,
}

/// What becomes of the deadline of a key that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    Clear,
    Keep,
    At(Millis),
}

/// Whether those who are interested in a key are told of a change at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Yes,
    No,
}

impl Default for Keyspace {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Keyspace {
    pub fn new(hash_seed: u64) -> Self {
        Self {
            databases: Default::default(),
            hasher: Hasher::new(hash_seed),
            hash_seed,
            clock_ms: 0,
            version: 0,
            walk: None,
            condemned: Condemned::default(),
            interest: Interest::default(),
            events: Events::default(),
            account: Account::default(),
            forms: Forms::default(),
            usage: Usage::default(),
            hits: Cell::new(0),
            misses: Cell::new(0),
            expired: 0,
            expired_fields: 0,
            evicted: 0,
            fields_due_ms: fields::NEVER,
            keeps_expired: false,
            imports: false,
        }
    }

    /// Equal on all nodes of a cluster, since it decides the order of SCAN.
    pub fn hash_seed(&self) -> u64 {
        self.hash_seed
    }

    /// What follows is the work of log entry `index`, at the time `at_ms`.
    pub fn begin(&mut self, index: u64, at_ms: Millis) {
        self.version = index;
        self.clock_ms = self.clock_ms.max(at_ms);
        self.usage.move_to(at_ms);
        self.condemned.free_some();
    }

    /// Index of the log entry being applied.
    pub fn entry_index(&self) -> u64 {
        self.version
    }

    /// The clock that decides expiry, moved by each entry that is applied.
    pub fn clock_ms(&self) -> Millis {
        self.clock_ms
    }

    /// How many keys a database holds, those among them that are due but not yet removed.
    pub fn len(&self, database: u8) -> usize {
        self.databases[usize::from(database)].table.len()
    }

    pub fn is_empty(&self, database: u8) -> bool {
        self.len(database) == 0
    }

    /// How many keys of a database have a deadline.
    pub fn volatile_len(&self, database: u8) -> usize {
        self.databases[usize::from(database)].volatile
    }

    /// The mean time that is left to the keys of a database that have a deadline; 0 without any.
    pub fn mean_ttl_ms(&self, database: u8) -> Millis {
        let mean = self.databases[usize::from(database)].deadlines.mean();
        mean.map_or(0, |deadline_ms| deadline_ms.saturating_sub(self.clock_ms()))
    }

    /// How many hashes of a database have fields with a deadline.
    pub fn expiring_hash_len(&self, database: u8) -> usize {
        self.databases[usize::from(database)].field_deadlines.len()
    }

    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// Reads what commands on these keys will read, at most [`WARM_RUN`] of them. Each stage reads
    /// one place per key, none of which depends on another: their cache misses overlap, where those
    /// of commands run one after the other add up. On 1 million keys of 16 bytes with values of 64,
    /// this halves the time of a command.
    pub fn warm<'a>(&self, keys: impl Iterator<Item = (u8, &'a [u8])>) {
        let mut hashes: SmallVec<[(&Table, u64); WARM_RUN]> = SmallVec::new();
        for (database, key) in keys.take(WARM_RUN) {
            let table = &self.databases[usize::from(database % DATABASE_COUNT)].table;
            hashes.push((table, self.hash(key)));
        }
        // Without a use of what was read, the compiler would leave the reading out. A stage that
        // branches on what it reads would wait for it: each finds in the cache what it decides by.
        black_box(hashes.iter().fold(0, |seen, (table, hash)| seen ^ table.touch(*hash)));
        let mut positions: SmallVec<[(&Table, Position); WARM_RUN]> = SmallVec::new();
        for (table, hash) in hashes {
            positions.extend(table.likely_position(hash).map(|at| (table, at)));
        }
        black_box(positions.iter().fold(0, |seen, (table, at)| seen ^ table.touch_chunk(*at)));
        let entries: SmallVec<[&Entry; WARM_RUN]> =
            positions.into_iter().map(|(table, position)| table.at(position)).collect();
        black_box(entries.iter().fold(0, |seen, entry| seen ^ entry.deadline_ms));
        black_box(entries.iter().fold(0, |seen, entry| seen ^ entry.value.touch()));
    }

    /// Whether all that commands read is likely to be in the cache anyway.
    #[inline]
    pub fn fits_cache(&self) -> bool {
        self.account.counted() < CACHE_BYTES
    }

    #[inline]
    fn is_live(&self, entry: &Entry) -> bool {
        let is_over = || match &entry.value {
            Value::Hash(hash) => hash.is_over(self.clock_ms),
            _ => false,
        };
        (entry.deadline_ms == 0 || entry.deadline_ms > self.clock_ms)
            && !(self.fields_are_due() && is_over())
    }

    /// A live entry, without counting as a hit or miss.
    #[inline]
    pub fn peek(&self, database: u8, key: &[u8]) -> Option<&Entry> {
        let entry = self.databases[usize::from(database)].table.find(self.hash(key), key)?;
        self.is_live(entry).then_some(entry)
    }

    /// [`Keyspace::peek`] whose miss is an event.
    pub fn peek_or_miss(&self, database: u8, key: &[u8]) -> Option<&Entry> {
        let entry = self.peek(database, key);
        if entry.is_none() {
            self.notify(EventClasses::MISS, "keymiss", database, key);
        }
        entry
    }

    /// A live entry, counted as a hit or miss.
    #[inline]
    pub fn entry(&self, database: u8, key: &[u8]) -> Option<&Entry> {
        let entry = self.peek_or_miss(database, key);
        let counter = if let Some(entry) = entry {
            self.usage.note(entry);
            &self.hits
        } else {
            &self.misses
        };
        counter.set(counter.get() + 1);
        entry
    }

    /// A live value, not to be changed.
    #[inline]
    pub fn get(&self, database: u8, key: &[u8]) -> Option<&Value> {
        self.entry(database, key).map(|entry| &entry.value)
    }

    /// A live value, to be changed: its version moves on.
    #[inline]
    pub fn get_mut(&mut self, database: u8, key: &[u8]) -> Option<&mut Value> {
        let hash = self.hash(key);
        let position = self.live_position(database, hash, key)?;
        self.before_change(database, hash, position);
        self.touch(database, hash, key);
        self.open(database, position);
        let entry = self.databases[usize::from(database)].table.at_mut(position);
        entry.set_version(self.version);
        self.usage.note(entry);
        Some(&mut entry.value)
    }

    /// The index of the entry that last changed the key; 0 when there is no such key.
    #[cfg(test)]
    pub fn version(&self, database: u8, key: &[u8]) -> u64 {
        self.peek(database, key).map_or(0, Entry::version)
    }

    /// Puts a value in the place of whatever the key held, without a deadline.
    pub fn insert(&mut self, database: u8, key: &[u8], value: Value) {
        self.store(database, key, value, Deadline::Clear);
    }

    /// Puts a value in the place of whatever the key held.
    pub fn store(&mut self, database: u8, key: &[u8], value: Value, deadline: Deadline) {
        let hash = self.hash(key);
        match self.live_position(database, hash, key) {
            Some(position) => {
                self.open(database, position);
                let entry = self.databases[usize::from(database)].table.at_mut(position);
                let fields = (entry.value.field_deadline(), value.field_deadline());
                match &mut self.walk {
                    Some(walk) if walk.needs(database, hash, entry) => {
                        walk.exchange(database, entry, value);
                    }
                    _ => entry.value = value,
                }
                entry.set_version(self.version);
                self.usage.note(entry);
                let old_ms = entry.deadline_ms;
                let deadline = self.deadline_of_written(old_ms, deadline);
                self.touch(database, hash, key);
                self.move_field_deadline(database, hash, fields.0, fields.1);
                self.move_deadline(database, hash, position, deadline);
            }
            None => self.insert_new(database, hash, key, value, deadline),
        }
    }

    /// [`Keyspace::store`] for a string, which takes the place of a string of the same length
    /// without an allocation.
    #[inline]
    pub fn store_string(&mut self, database: u8, key: &[u8], bytes: &[u8], deadline: Deadline) {
        let hash = self.hash(key);
        match self.live_position(database, hash, key) {
            Some(position) => {
                self.open(database, position);
                let entry = self.databases[usize::from(database)].table.at_mut(position);
                let fields = entry.value.field_deadline();
                match &mut self.walk {
                    Some(walk) if walk.needs(database, hash, entry) => {
                        walk.exchange(database, entry, Value::string(bytes));
                    }
                    _ => match &mut entry.value {
                        Value::String(string) => string.set(bytes),
                        value => *value = Value::string(bytes),
                    },
                }
                entry.set_version(self.version);
                self.usage.note(entry);
                let old_ms = entry.deadline_ms;
                let deadline = self.deadline_of_written(old_ms, deadline);
                self.touch(database, hash, key);
                self.move_field_deadline(database, hash, fields, 0);
                self.move_deadline(database, hash, position, deadline);
            }
            None => self.insert_new(database, hash, key, Value::string(bytes), deadline),
        }
    }

    /// Puts an entry back as another node has it: deadline and version are its own. False, and
    /// nothing changes, when the key is there already.
    #[must_use]
    pub fn restore(&mut self, database: u8, entry: Entry) -> bool {
        let hash = self.hash(&entry.key);
        let home = &mut self.databases[usize::from(database)];
        if home.table.find(hash, &entry.key).is_some() {
            return false;
        }
        if entry.deadline_ms != 0 {
            home.deadlines.insert(entry.deadline_ms, hash);
            home.volatile += 1;
        }
        let fields = entry.value.field_deadline();
        entry.set_usage(self.usage.of_new());
        self.settle();
        let table = &mut self.databases[usize::from(database)].table;
        let position = table.insert(&self.hasher, hash, entry);
        self.open_new(database, position);
        self.move_field_deadline(database, hash, 0, fields);
        self.settle();
        true
    }

    /// Takes the place of `former`: goes on counting where that stood, and frees it bit by bit.
    pub fn succeed(&mut self, mut former: Self) {
        self.hits = former.hits.clone();
        self.misses = former.misses.clone();
        self.expired = former.expired;
        self.expired_fields = former.expired_fields;
        self.evicted = former.evicted;
        self.usage.move_to(former.usage.now_ms());
        self.set_event_classes(former.event_classes());
        former.end_walk();
        former.interest = Interest::default();
        former.flush_all();
        self.condemned.append(former.condemned);
    }

    /// Removes a live key; false when there is no such key.
    pub fn remove(&mut self, database: u8, key: &[u8]) -> bool {
        let hash = self.hash(key);
        let position = self.live_position(database, hash, key);
        if let Some(position) = position {
            self.remove_at(database, hash, position);
        }
        position.is_some()
    }

    /// Gives a live key a deadline, or none; false when there is no such key.
    pub fn set_deadline(&mut self, database: u8, key: &[u8], deadline: Deadline) -> bool {
        let hash = self.hash(key);
        let Some(position) = self.live_position(database, hash, key) else { return false };
        self.before_change(database, hash, position);
        self.touch(database, hash, key);
        self.open(database, position);
        self.databases[usize::from(database)].table.at_mut(position).set_version(self.version);
        let deadline = self.deadline_of_told(deadline);
        self.move_deadline(database, hash, position, deadline);
        true
    }

    /// Moves value and deadline from one key to another, over whatever that held; false when there
    /// is nothing to move.
    pub fn rename(&mut self, database: u8, from: &[u8], to: &[u8]) -> bool {
        self.relocate(database, from, database, to)
    }

    /// [`Keyspace::rename`] where the other key may be in another database.
    pub fn relocate(&mut self, database: u8, from: &[u8], target: u8, to: &[u8]) -> bool {
        let hash = self.hash(from);
        let Some(position) = self.live_position(database, hash, from) else { return false };
        self.before_change(database, hash, position);
        let entry = self.take_at(database, hash, position);
        let deadline = match entry.deadline_ms {
            0 => Deadline::Clear,
            at_ms => Deadline::At(at_ms),
        };
        self.remove(target, to);
        self.store(target, to, entry.value, deadline);
        true
    }

    /// Exchanges all keys of two databases.
    pub fn swap(&mut self, first: u8, second: u8) {
        if first == second {
            return;
        }
        self.change_all();
        self.touch_swapped(first, second);
        self.settle();
        self.databases.swap(first.into(), second.into());
        if let Some(walk) = &mut self.walk {
            walk.swap(first, second);
        }
    }

    /// The value as `K`; `Ok(None)` when there is no such key.
    #[inline]
    pub fn read<K: Kind>(&self, database: u8, key: &[u8]) -> Result<Option<&K>, CommandError> {
        self.get(database, key).map(K::of).transpose()
    }

    /// The value as `K`, to be changed; `Ok(None)` when there is no such key.
    #[inline]
    pub fn change<K: Kind>(
        &mut self,
        database: u8,
        key: &[u8],
    ) -> Result<Option<&mut K>, CommandError> {
        self.change_if_there(database, key, Told::Yes)
    }

    /// [`Keyspace::change`] that does not count as a change for those who watch the key or wait for
    /// it: [`Keyspace::tell`] says when it is one.
    #[inline]
    pub fn change_quietly<K: Kind>(
        &mut self,
        database: u8,
        key: &[u8],
    ) -> Result<Option<&mut K>, CommandError> {
        self.change_if_there(database, key, Told::No)
    }

    #[inline]
    fn change_if_there<K: Kind>(
        &mut self,
        database: u8,
        key: &[u8],
        told: Told,
    ) -> Result<Option<&mut K>, CommandError> {
        let hash = self.hash(key);
        match self.live_position(database, hash, key) {
            Some(position) => self.change_at(database, hash, position, told).map(Some),
            None => Ok(None),
        }
    }

    /// The value as `K`, made empty when there is no such key.
    #[inline]
    pub fn change_or_create<K: Kind>(
        &mut self,
        database: u8,
        key: &[u8],
    ) -> Result<&mut K, CommandError> {
        let (hash, position) = self.find_or_create::<K>(database, key);
        self.change_at(database, hash, position, Told::Yes)
    }

    /// [`Keyspace::change_quietly`] of a key that is made when it is not there.
    #[inline]
    pub fn change_or_create_quietly<K: Kind>(
        &mut self,
        database: u8,
        key: &[u8],
    ) -> Result<&mut K, CommandError> {
        let (hash, position) = self.find_or_create::<K>(database, key);
        self.change_at(database, hash, position, Told::No)
    }

    #[inline]
    fn find_or_create<K: Kind>(&mut self, database: u8, key: &[u8]) -> (u64, Position) {
        let hash = self.hash(key);
        let position = match self.live_position(database, hash, key) {
            Some(position) => position,
            None => {
                let position = self.insert_at(database, hash, key, K::empty());
                if self.bounds_deadlines() {
                    let deadline = self.deadline_of_written(0, Deadline::Clear);
                    self.move_deadline(database, hash, position, deadline);
                }
                position
            }
        };
        (hash, position)
    }

    /// The key has changed in a way that only those are to know of who wait for it.
    pub fn tell_waiters(&mut self, database: u8, key: &[u8]) {
        self.interest.touch_waiters(database, self.hasher.hash(key), key);
    }

    /// The key has changed, for those who watch it or wait for it.
    #[inline]
    pub fn tell(&mut self, database: u8, key: &[u8]) {
        if !self.interest.is_empty() {
            self.touch(database, self.hash(key), key);
        }
    }

    /// Removes the key when its aggregate has become empty, as Redis does; whether it has.
    pub fn remove_if_empty<K: Kind>(&mut self, database: u8, key: &[u8]) -> bool {
        let is_empty = |entry: &Entry| matches!(K::of(&entry.value), Ok(value) if value.is_empty());
        self.peek(database, key).is_some_and(is_empty) && self.remove(database, key)
    }

    pub fn flush(&mut self, database: u8) {
        self.change_all();
        self.touch_present(database);
        self.settle();
        let flushed = std::mem::take(&mut self.databases[usize::from(database)]);
        self.account.forget(flushed.bytes);
        let segments = flushed.table.into_segments();
        self.condemned.add(match &mut self.walk {
            Some(walk) => walk.flush(database, segments),
            None => segments,
        });
        self.find_fields_due();
    }

    pub fn flush_all(&mut self) {
        (0..DATABASE_COUNT).for_each(|database| self.flush(database));
    }

    /// The place of a live key, whose fields that are due are removed. An expired one is removed
    /// itself. So only writes may ask.
    #[inline]
    fn live_position(&mut self, database: u8, hash: u64, key: &[u8]) -> Option<Position> {
        let table = &self.databases[usize::from(database)].table;
        let position = table.position(hash, key)?;
        let entry = table.at(position);
        if self.is_live(entry) {
            if self.fields_are_due() {
                self.remove_due_fields(database, hash, position, usize::MAX);
            }
            return Some(position);
        }
        match &entry.value {
            Value::Hash(fields) if entry.deadline_ms == 0 || entry.deadline_ms > self.clock_ms => {
                self.expired_fields += fields.len() as u64;
                self.notify(EventClasses::HASH, "hexpired", database, key);
                self.notify(EventClasses::GENERIC, "del", database, key);
            }
            _ => {
                self.expired += 1;
                self.notify(EventClasses::EXPIRED, "expired", database, key);
            }
        }
        self.remove_at(database, hash, position);
        None
    }

    #[inline]
    fn change_at<K: Kind>(
        &mut self,
        database: u8,
        hash: u64,
        position: Position,
        told: Told,
    ) -> Result<&mut K, CommandError> {
        let entry = self.databases[usize::from(database)].table.at_mut(position);
        if let Some(walk) = &mut self.walk
            && walk.needs(database, hash, entry)
        {
            // What is of another type stays as it is.
            K::of(&entry.value)?;
            walk.keep_copy(database, entry);
        }
        K::of(&entry.value)?;
        self.open(database, position);
        let entry = self.databases[usize::from(database)].table.at_mut(position);
        entry.set_version(self.version);
        self.usage.note(entry);
        let value = K::of_mut(&mut entry.value)?;
        if told == Told::Yes && !self.interest.is_empty() {
            self.interest.touch(database, hash, &entry.key, |key| self.hasher.hash(key));
            self.events.note();
        }
        Ok(value)
    }

    #[inline]
    fn insert_at(&mut self, database: u8, hash: u64, key: &[u8], value: Value) -> Position {
        let entry = Entry::new(SmallBytes::new(key), value, 0, self.version);
        entry.set_usage(self.usage.of_new());
        self.notify(EventClasses::NEW, "new", database, key);
        self.settle();
        let table = &mut self.databases[usize::from(database)].table;
        let position = table.insert(&self.hasher, hash, entry);
        self.open_new(database, position);
        position
    }

    #[inline]
    fn insert_new(
        &mut self,
        database: u8,
        hash: u64,
        key: &[u8],
        value: Value,
        deadline: Deadline,
    ) {
        let fields = value.field_deadline();
        let position = self.insert_at(database, hash, key, value);
        let deadline = self.deadline_of_written(0, deadline);
        self.touch(database, hash, key);
        self.move_field_deadline(database, hash, 0, fields);
        self.move_deadline(database, hash, position, deadline);
    }

    /// Tells whoever is interested in the key that something has become of it.
    #[inline]
    fn touch(&mut self, database: u8, hash: u64, key: &[u8]) {
        if !self.interest.is_empty() {
            self.tell_interested(database, hash, key);
        }
    }

    /// The entry there is about to change, or to be taken away.
    #[inline]
    fn before_change(&mut self, database: u8, hash: u64, position: Position) {
        if let Some(walk) = &mut self.walk {
            let entry = self.databases[usize::from(database)].table.at(position);
            if walk.needs(database, hash, entry) {
                walk.keep_copy(database, entry);
            }
        }
    }

    fn remove_at(&mut self, database: u8, hash: u64, position: Position) {
        let entry = self.take_at(database, hash, position);
        if let Some(walk) = &mut self.walk
            && walk.needs(database, hash, &entry)
        {
            walk.keep(database, entry);
        }
    }

    fn take_at(&mut self, database: u8, hash: u64, position: Position) -> Entry {
        self.settle();
        let home = &mut self.databases[usize::from(database)];
        let entry = home.table.remove(&self.hasher, position);
        home.bytes -= entry.bytes();
        self.account.forget(entry.bytes());
        if entry.deadline_ms != 0 {
            home.unlist(&self.hasher, entry.deadline_ms, hash);
        }
        self.touch(database, hash, &entry.key);
        self.move_field_deadline(database, hash, entry.value.field_deadline(), 0);
        entry
    }

    #[inline]
    fn move_deadline(&mut self, database: u8, hash: u64, position: Position, deadline: Deadline) {
        let home = &mut self.databases[usize::from(database)];
        let entry = home.table.at_mut(position);
        let new = match deadline {
            Deadline::Clear => 0,
            Deadline::Keep => return,
            Deadline::At(at_ms) => at_ms.max(1),
        };
        let old = std::mem::replace(&mut entry.deadline_ms, new);
        if old == new {
            return;
        }
        if old != 0 {
            home.unlist(&self.hasher, old, hash);
        }
        if new != 0 {
            home.deadlines.insert(new, hash);
            home.volatile += 1;
        }
    }
}

impl Database {
    /// Takes note that an entry lost its deadline, unless another with the same hash shares it.
    fn unlist(&mut self, hasher: &Hasher, deadline_ms: Millis, hash: u64) {
        self.volatile -= 1;
        let shares =
            |entry: &Entry| entry.deadline_ms == deadline_ms && hasher.hash(&entry.key) == hash;
        if !self.table.with_hash(hash).any(shares) {
            self.deadlines.remove(deadline_ms, hash);
        }
    }
}
