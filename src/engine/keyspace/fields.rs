//! Fields of hashes that expire. A hash is known here by its first deadline, and its fields go as
//! keys do: some per log entry, by deadline; those that are due but still there are hidden from
//! reads, and a write to their hash removes them first.

use super::segment::Position;
use super::{DATABASE_COUNT, Keyspace, Told};
use crate::engine::bytes::SmallBytes;
use crate::engine::error::CommandError;
use crate::engine::notifications::EventClasses;
use crate::engine::types::hash::{Hash, View};
use crate::engine::value::Value;
use crate::raft::types::Millis;

/// [`Keyspace::fields_due_ms`] when no field expires.
pub(super) const NEVER: Millis = Millis::MAX;

impl Keyspace {
    /// What is there of a hash; `Ok(None)` when there is no such key.
    #[inline]
    pub fn read_hash(&self, database: u8, key: &[u8]) -> Result<Option<View<'_>>, CommandError> {
        let hash = self.read::<Hash>(database, key)?;
        Ok(hash.map(|hash| hash.at_time(self.clock_ms)))
    }

    /// Changes a hash: each change of one goes through here, so that it is known when its fields
    /// expire. One that is left empty is removed. `Ok(None)` when there is no such key.
    #[inline]
    pub fn change_hash<T>(
        &mut self,
        database: u8,
        key: &[u8],
        change: impl FnOnce(&mut Hash) -> T,
    ) -> Result<Option<T>, CommandError> {
        let hash = self.hash(key);
        match self.live_position(database, hash, key) {
            Some(position) => self.change_hash_at(database, hash, position, change).map(Some),
            None => Ok(None),
        }
    }

    /// [`Keyspace::change_hash`] where a new hash is made when there is no such key.
    #[inline]
    pub fn change_or_create_hash<T>(
        &mut self,
        database: u8,
        key: &[u8],
        change: impl FnOnce(&mut Hash) -> T,
    ) -> Result<T, CommandError> {
        let (hash, position) = self.find_or_create::<Hash>(database, key);
        self.change_hash_at(database, hash, position, change)
    }

    #[inline]
    fn change_hash_at<T>(
        &mut self,
        database: u8,
        hash: u64,
        position: Position,
        change: impl FnOnce(&mut Hash) -> T,
    ) -> Result<T, CommandError> {
        let value = self.change_at::<Hash>(database, hash, position, Told::Yes)?;
        let old = value.first_deadline();
        let changed = change(value);
        let (new, is_empty) = (value.first_deadline(), value.is_empty());
        self.move_field_deadline(database, hash, old, new);
        if is_empty {
            self.remove_at(database, hash, position);
        }
        Ok(changed)
    }

    /// Whether some field is due that has yet to be removed.
    #[inline]
    pub(super) fn fields_are_due(&self) -> bool {
        self.fields_due_ms <= self.clock_ms
    }

    /// Takes note that the first deadline of a hash is another one. The hash has the new one
    /// already, or is no longer in its table.
    #[inline]
    pub(super) fn move_field_deadline(
        &mut self,
        database: u8,
        hash: u64,
        old: Millis,
        new: Millis,
    ) {
        if old != new {
            self.relist_fields(database, hash, old, new);
        }
    }

    fn relist_fields(&mut self, database: u8, hash: u64, old: Millis, new: Millis) {
        let home = &mut self.databases[usize::from(database)];
        if old != 0 {
            let hasher = &self.hasher;
            let is_shared = home.table.with_hash(hash).any(|entry| {
                entry.value.field_deadline() == old && hasher.hash(&entry.key) == hash
            });
            if !is_shared {
                home.field_deadlines.remove(old, hash);
            }
        }
        if new != 0 {
            home.field_deadlines.insert(new, hash);
            self.fields_due_ms = self.fields_due_ms.min(new);
        }
        if old == self.fields_due_ms {
            self.find_fields_due();
        }
    }

    /// Finds anew when the next field is due.
    pub(super) fn find_fields_due(&mut self) {
        self.fields_due_ms = self.earliest_fields().map_or(NEVER, |(at_ms, ..)| at_ms);
    }

    fn earliest_fields(&self) -> Option<(Millis, u8, u64)> {
        (0..DATABASE_COUNT)
            .filter_map(|database| {
                let first = self.databases[usize::from(database)].field_deadlines.first();
                first.map(|(at_ms, hash)| (at_ms, database, hash))
            })
            .min()
    }

    /// Removes fields that are due, by the first deadlines of their hashes, at most `limit`;
    /// returns how many went.
    pub(super) fn expire_fields_due(&mut self, limit: usize) -> usize {
        let mut removed = 0;
        while removed < limit && self.fields_are_due() {
            let (at_ms, database, hash) =
                self.earliest_fields().expect("invariant: some field is due");
            removed += self.expire_field_item(database, at_ms, hash, limit - removed);
        }
        removed
    }

    /// Removes due fields of the hashes that share one item of the deadlines: one, unless two
    /// hashes of keys are equal.
    fn expire_field_item(&mut self, database: u8, at_ms: Millis, hash: u64, limit: usize) -> usize {
        let table = &self.databases[usize::from(database)].table;
        let mut keys: Vec<SmallBytes> = table
            .with_hash(hash)
            .filter(|entry| entry.value.field_deadline() == at_ms && self.hash(&entry.key) == hash)
            .map(|entry| entry.key.clone())
            .collect();
        assert!(!keys.is_empty(), "a deadline without its hash");
        keys.sort_unstable();
        let mut removed = 0;
        for key in keys {
            if removed == limit {
                break;
            }
            let table = &self.databases[usize::from(database)].table;
            let position = table.position(hash, &key).expect("invariant: found just before");
            removed += self.remove_due_fields(database, hash, position, limit - removed);
        }
        removed
    }

    /// Removes due fields of one hash, and the hash with the last one; returns how many went.
    /// Nothing becomes of a value of another type.
    #[cold]
    pub(super) fn remove_due_fields(
        &mut self,
        database: u8,
        hash: u64,
        position: Position,
        limit: usize,
    ) -> usize {
        let clock_ms = self.clock_ms;
        let entry = self.databases[usize::from(database)].table.at(position);
        let old = entry.value.field_deadline();
        if old == 0 || old > clock_ms {
            return 0;
        }
        self.before_change(database, hash, position);
        let entry = self.databases[usize::from(database)].table.at_mut(position);
        let Value::Hash(fields) = &mut entry.value else { return 0 };
        let removed = fields.remove_due(clock_ms, limit);
        let (new, is_empty) = (fields.first_deadline(), fields.is_empty());
        entry.version = self.version;
        if !self.interest.is_empty() {
            self.interest.touch(database, hash, &entry.key, |key| self.hasher.hash(key));
            self.events.note();
        }
        self.events.add(EventClasses::HASH, "hexpired", database, &entry.key);
        if is_empty {
            self.events.add(EventClasses::GENERIC, "del", database, &entry.key);
        }
        self.expired_fields += removed as u64;
        self.move_field_deadline(database, hash, old, new);
        if is_empty {
            self.remove_at(database, hash, position);
        }
        removed
    }
}
