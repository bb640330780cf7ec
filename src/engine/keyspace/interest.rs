//! Keys whose changes matter to somebody: to sessions that watch them, and to clients that wait for
//! something to be there.
//!
//! WATCH is replicated state: every node knows who watches what, and marks a session at the first
//! change of one of its keys, whoever makes it. So EXEC is decided on every node alike, and a key
//! costs nothing as long as nobody watches it: what changes a key asks only whether there is any
//! such key at all.

use std::collections::BTreeMap;

use hashbrown::HashTable;

use super::events::Changed;
use crate::engine::bytes::SmallBytes;
use crate::limits::{WATCHED_BYTES_MAX, WATCHED_KEYS_MAX};
use crate::raft::types::MemberId;

/// A client of the cluster: the member that it is connected to, and the number that it has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    pub member: MemberId,
    pub number: u64,
}

/// A key of a database.
pub type Place = (u8, SmallBytes);

/// What a session watches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Watching {
    /// One of its keys has changed. Nothing is watched for it any more.
    pub dirty: bool,
    pub keys: Vec<Place>,
}

/// Why a key cannot be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    #[error("ERR too many watched keys")]
    Session,
    #[error("ERR too many watched keys in the cluster")]
    Cluster,
}

#[derive(Debug)]
struct Interested {
    database: u8,
    hash: u64,
    key: SmallBytes,
    watchers: Vec<SessionId>,
    /// How many clients wait for it.
    waiters: u32,
}

#[derive(Debug, Default)]
pub(super) struct Interest {
    /// Invariant: each has a watcher or a waiter.
    keys: HashTable<Interested>,
    sessions: BTreeMap<SessionId, Watching>,
    /// What the keys of all sessions count.
    watched_bytes: usize,
    /// Keys with waiters that have changed since the waiters were last looked at, in order.
    ready: Vec<Place>,
    /// The keys that have changed, gathered for clients of this node that keep copies. No part of
    /// the replicated state.
    changed: Changed,
    gathers: bool,
}

/// Bytes that a watched key counts against the bound of the cluster.
fn bytes_of(key: &[u8]) -> usize {
    size_of::<Place>() + size_of::<Interested>() + key.len()
}

impl Interest {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.gathers
    }

    pub fn gathers_changes(&self) -> bool {
        self.gathers
    }

    pub fn gather_changes(&mut self, gathers: bool) {
        self.gathers = gathers;
        if !gathers {
            self.changed = Changed::default();
        }
    }

    /// A key has changed. One that does so several times in a row counts once.
    pub fn gather_change(&mut self, key: &[u8]) {
        if self.changed.keys.last().is_none_or(|last| **last != *key) {
            self.changed.keys.push(SmallBytes::new(key));
        }
    }

    /// Any key may have changed.
    pub fn gather_all(&mut self) {
        self.changed = Changed { is_all: true, keys: Vec::new() };
    }

    pub fn take_changes(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    fn find(&mut self, database: u8, hash: u64, key: &[u8]) -> Option<&mut Interested> {
        self.keys.find_mut(hash, |known| known.database == database && *known.key == *key)
    }

    fn find_or_insert(&mut self, database: u8, hash: u64, key: &[u8]) -> &mut Interested {
        let entry = self.keys.entry(
            hash,
            |known| known.database == database && *known.key == *key,
            |known| known.hash,
        );
        entry
            .or_insert_with(|| Interested {
                database,
                hash,
                key: SmallBytes::new(key),
                watchers: Vec::new(),
                waiters: 0,
            })
            .into_mut()
    }

    fn drop_if_unused(&mut self, database: u8, hash: u64, key: &[u8]) {
        let found =
            self.keys.find_entry(hash, |known| known.database == database && *known.key == *key);
        if let Ok(found) = found
            && found.get().watchers.is_empty()
            && found.get().waiters == 0
        {
            found.remove();
        }
    }

    /// Something has become of a key.
    pub fn touch(&mut self, database: u8, hash: u64, key: &[u8], hash_of: impl Fn(&[u8]) -> u64) {
        if self.gathers {
            self.gather_change(key);
        }
        self.touch_waiters(database, hash, key);
        self.mark_watchers(database, hash, key, hash_of);
    }

    /// Something may be there for those who wait for a key.
    pub fn touch_waiters(&mut self, database: u8, hash: u64, key: &[u8]) {
        let has_waiters = self.find(database, hash, key).is_some_and(|known| known.waiters > 0);
        let is_last = |last: &Place| last.0 == database && *last.1 == *key;
        if has_waiters && !self.ready.last().is_some_and(is_last) {
            self.ready.push((database, SmallBytes::new(key)));
        }
    }

    fn mark_watchers(
        &mut self,
        database: u8,
        hash: u64,
        key: &[u8],
        hash_of: impl Fn(&[u8]) -> u64,
    ) {
        let Some(known) = self.find(database, hash, key) else { return };
        for session in known.watchers.clone() {
            self.unlist(session, &hash_of);
            self.mark(session);
        }
    }

    /// One of the keys of a session has changed.
    pub fn mark(&mut self, session: SessionId) {
        self.sessions.entry(session).or_default().dirty = true;
    }

    /// Takes a session from all keys that it watches.
    fn unlist(&mut self, session: SessionId, hash_of: &impl Fn(&[u8]) -> u64) {
        let Some(watching) = self.sessions.get_mut(&session) else { return };
        for (database, key) in std::mem::take(&mut watching.keys) {
            self.watched_bytes -= bytes_of(&key);
            let hash = hash_of(&key);
            if let Some(known) = self.find(database, hash, &key) {
                known.watchers.retain(|watcher| *watcher != session);
                self.drop_if_unused(database, hash, &key);
            }
        }
    }

    /// Watches one more key for a session.
    pub fn watch(
        &mut self,
        session: SessionId,
        database: u8,
        hash: u64,
        key: &[u8],
    ) -> Result<(), WatchError> {
        let watching = self.sessions.entry(session).or_default();
        let is_known = |known: &Place| known.0 == database && *known.1 == *key;
        if watching.dirty || watching.keys.iter().any(is_known) {
            return Ok(());
        }
        if watching.keys.len() >= WATCHED_KEYS_MAX {
            return Err(WatchError::Session);
        }
        if self.watched_bytes + bytes_of(key) > WATCHED_BYTES_MAX {
            return Err(WatchError::Cluster);
        }
        watching.keys.push((database, SmallBytes::new(key)));
        self.watched_bytes += bytes_of(key);
        self.find_or_insert(database, hash, key).watchers.push(session);
        Ok(())
    }

    /// One more client waits for a key.
    pub fn begin_waiting(&mut self, database: u8, hash: u64, key: &[u8]) {
        self.find_or_insert(database, hash, key).waiters += 1;
    }

    pub fn end_waiting(&mut self, database: u8, hash: u64, key: &[u8]) {
        if let Some(known) = self.find(database, hash, key) {
            known.waiters -= 1;
            self.drop_if_unused(database, hash, key);
        }
    }

    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub fn ready(&self) -> &[Place] {
        &self.ready
    }

    pub fn ready_mut(&mut self) -> &mut Vec<Place> {
        &mut self.ready
    }

    /// What a session watches; nothing any more from here on.
    pub fn unwatch(
        &mut self,
        session: SessionId,
        hash_of: impl Fn(&[u8]) -> u64,
    ) -> Option<Watching> {
        self.unlist(session, &hash_of);
        self.sessions.remove(&session)
    }

    pub fn sessions(&self) -> &BTreeMap<SessionId, Watching> {
        &self.sessions
    }

    /// The keys of a database that matter to somebody, in order.
    pub fn keys_of(&self, database: u8) -> Vec<SmallBytes> {
        let of_database = self.keys.iter().filter(|known| known.database == database);
        let mut keys: Vec<SmallBytes> = of_database.map(|known| known.key.clone()).collect();
        keys.sort_unstable();
        keys
    }
}
