//! What the keyspace counts of itself.

use super::Keyspace;

/// Counts since the start of the node, for INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyspaceStats {
    pub hits: u64,
    pub misses: u64,
    pub expired: u64,
    pub expired_fields: u64,
    pub evicted: u64,
}

impl Keyspace {
    pub fn stats(&self) -> KeyspaceStats {
        KeyspaceStats {
            hits: self.hits.get(),
            misses: self.misses.get(),
            expired: self.expired,
            expired_fields: self.expired_fields,
            evicted: self.evicted,
        }
    }

    pub fn reset_stats(&mut self) {
        self.hits.set(0);
        self.misses.set(0);
        self.expired = 0;
        self.expired_fields = 0;
        self.evicted = 0;
    }
}
