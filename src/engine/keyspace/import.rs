//! Whether what is due is removed. While the cluster follows a Redis, that one says when keys go,
//! and how long they live: what is due here may have got more time there, which is yet to be heard
//! of.

use super::Keyspace;
use super::memory::TtlBounds;
use crate::raft::types::Millis;

/// What holds for clients, while a unit of what is imported is run.
pub struct ForClients {
    clock_ms: Millis,
    ttl: TtlBounds,
    is_read_only: bool,
}

impl Keyspace {
    /// Whether what is due is removed at its time: so it is, unless a test wants it otherwise.
    pub fn has_active_expire(&self) -> bool {
        !self.keeps_expired
    }

    /// Part of the replicated state.
    pub fn set_active_expire(&mut self, is_active: bool) {
        self.keeps_expired = !is_active;
    }

    /// From here on what is due is hidden from reads, but goes when the source says so. Or that
    /// ends.
    pub fn set_importing(&mut self, imports: bool) {
        self.imports = imports;
    }

    /// For what is run from here on, nothing is due, no bound of deadlines holds, and all may be
    /// written.
    pub fn begin_unit(&mut self) -> ForClients {
        let is_read_only = self.is_read_only();
        self.set_read_only(false);
        ForClients {
            clock_ms: std::mem::take(&mut self.clock_ms),
            ttl: self.set_ttl_bounds(TtlBounds::default()),
            is_read_only,
        }
    }

    pub fn end_unit(&mut self, for_clients: ForClients) {
        self.clock_ms = for_clients.clock_ms;
        self.set_ttl_bounds(for_clients.ttl);
        self.set_read_only(for_clients.is_read_only);
    }
}
