//! Which keys of a database expire when: deadlines in order, each with the hash of its key. Exact:
//! an item goes when its deadline does, so there is no garbage to collect in a pause later.
//!
//! The order is by deadline, then by hash, and so is the same on every node.

use std::collections::BTreeSet;

use super::Keyspace;
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
