//! Which keys of a database expire when: deadlines in order, each with the hash of its key. Exact:
//! an item goes when its deadline does, so there is no garbage to collect in a pause later. And
//! the removal of what is due.
//!
//! The order is by deadline, then by hash, and so is the same on every node.

use std::collections::BTreeSet;

use super::{DATABASE_COUNT, Database, Keyspace, fields};
use crate::engine::bytes::SmallBytes;
use crate::engine::notifications::EventClasses;
use crate::raft::types::Millis;

/// Invariant: holds `(deadline_ms, hash)` of each key that has a deadline. Keys that agree in both
/// share an item.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    items: BTreeSet<(Millis, u64)>,
    /// Of all deadlines.
    sum_ms: u128,
}

impl Deadlines {
    pub fn insert(&mut self, deadline_ms: Millis, hash: u64) {
        if self.items.insert((deadline_ms, hash)) {
            self.sum_ms += u128::from(deadline_ms);
        }
    }

    pub fn remove(&mut self, deadline_ms: Millis, hash: u64) {
        if self.items.remove(&(deadline_ms, hash)) {
            self.sum_ms -= u128::from(deadline_ms);
        }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn mean(&self) -> Option<Millis> {
        self.sum_ms.checked_div(self.items.len() as u128).map(|mean| mean as Millis)
    }

    pub fn first(&self) -> Option<(Millis, u64)> {
        self.items.first().copied()
    }

    pub fn last(&self) -> Option<(Millis, u64)> {
        self.items.last().copied()
    }

    /// The first one that is not before `item`.
    pub fn from(&self, item: (Millis, u64)) -> Option<(Millis, u64)> {
        self.items.range(item..).next().copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Millis, u64)> {
        self.items.iter().copied()
    }
}

impl Keyspace {
    /// Removes keys that are due, by deadline, and then fields, at most about `limit`; returns how
    /// many went.
    pub fn expire_due(&mut self, limit: usize) -> usize {
        if self.keeps_expired | self.imports {
            return 0;
        }
        let mut removed = 0;
        while removed < limit {
            let Some((deadline_ms, database, hash)) = self.earliest() else { break };
            if deadline_ms > self.clock_ms {
                break;
            }
            removed += self.expire_item(database, deadline_ms, hash);
        }
        self.expired += removed as u64;
        removed += self.expire_fields_due(limit.saturating_sub(removed));
        self.settle();
        removed
    }

    /// When the next key or field is due. What is due and kept all the same is passed over.
    pub fn next_deadline(&self) -> Option<Millis> {
        if self.keeps_expired | self.imports {
            return self.next_hidden();
        }
        let key = self.earliest().map_or(fields::NEVER, |(deadline_ms, ..)| deadline_ms);
        Some(key.min(self.fields_due_ms)).filter(|next| *next != fields::NEVER)
    }

    /// When the next key or field is to be hidden from reads, where what is due is kept: the clock
    /// has to move for that, too.
    #[cold]
    fn next_hidden(&self) -> Option<Millis> {
        let next = |database: &Database| database.deadlines.from((self.clock_ms + 1, 0));
        let keys = self.databases.iter().filter_map(next).map(|(deadline_ms, _)| deadline_ms);
        let is_ahead = |ms: &Millis| *ms != fields::NEVER && *ms > self.clock_ms;
        keys.chain(Some(self.fields_due_ms).filter(is_ahead)).min()
    }

    fn earliest(&self) -> Option<(Millis, u8, u64)> {
        (0..DATABASE_COUNT)
            .filter_map(|database| {
                let first = self.databases[usize::from(database)].deadlines.first();
                first.map(|(deadline_ms, hash)| (deadline_ms, database, hash))
            })
            .min()
    }

    /// Removes the keys that share one item of the deadlines: one, unless two hashes are equal.
    fn expire_item(&mut self, database: u8, deadline_ms: Millis, hash: u64) -> usize {
        let table = &self.databases[usize::from(database)].table;
        let keys: Vec<SmallBytes> = table
            .with_hash(hash)
            .filter(|entry| entry.deadline_ms == deadline_ms && self.hash(&entry.key) == hash)
            .map(|entry| entry.key.clone())
            .collect();
        assert!(!keys.is_empty(), "a deadline without its key");
        for key in &keys {
            let table = &self.databases[usize::from(database)].table;
            let position = table.position(hash, key).expect("invariant: found just before");
            self.remove_at(database, hash, position);
            self.notify(EventClasses::EXPIRED, "expired", database, key);
        }
        keys.len()
    }

    /// Removes a key whose deadline is over, unless what has expired is kept until a write comes
    /// across it: so it is not counted by what looks at no key.
    pub fn drop_due(&mut self, database: u8, key: &[u8]) {
        if self.has_active_expire() {
            let hash = self.hash(key);
            self.live_position(database, hash, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_what_is_there() {
        let mut deadlines = Deadlines::default();
        assert_eq!((deadlines.mean(), deadlines.len()), (None, 0));
        for deadline_ms in [Millis::MAX, 100, 200, 200] {
            deadlines.insert(deadline_ms, deadline_ms);
        }
        deadlines.remove(Millis::MAX, Millis::MAX);
        deadlines.remove(100, 7);
        assert_eq!((deadlines.mean(), deadlines.len()), (Some(150), 2));
    }
}
