//! Which keys of a database expire when: deadlines in order, each with the hash of its key. Exact:
//! an item goes when its deadline does, so there is no garbage to collect in a pause later.
//!
//! The order is by deadline, then by hash, and so is the same on every node.

use std::collections::BTreeSet;

use crate::raft::types::Millis;

/// Invariant: holds `(deadline_ms, hash)` of each key that has a deadline. Keys that agree in both
/// share an item.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    items: BTreeSet<(Millis, u64)>,
}

impl Deadlines {
    pub fn insert(&mut self, deadline_ms: Millis, hash: u64) {
        self.items.insert((deadline_ms, hash));
    }

    pub fn remove(&mut self, deadline_ms: Millis, hash: u64) {
        self.items.remove(&(deadline_ms, hash));
    }

    pub fn first(&self) -> Option<(Millis, u64)> {
        self.items.first().copied()
    }
}
