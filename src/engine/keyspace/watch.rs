//! Sessions that watch keys, and clients that wait for some: who is told of what.

use std::collections::BTreeMap;

use super::{DATABASE_COUNT, Keyspace, Place, SessionId, WatchError, Watching};
use crate::engine::bytes::SmallBytes;
use crate::raft::types::MemberId;

impl Keyspace {
    /// Watches a key for a session, from its present state on. A key that is due is none. A session
    /// that asks for too much counts as one whose keys have changed, since it may not heed the
    /// error.
    pub fn watch(
        &mut self,
        session: SessionId,
        database: u8,
        key: &[u8],
    ) -> Result<(), WatchError> {
        let hash = self.hash(key);
        self.live_position(database, hash, key);
        let watched = self.interest.watch(session, database, hash, key);
        if watched.is_err() {
            self.interest.unwatch(session, |key| self.hasher.hash(key));
            self.interest.mark(session);
        }
        watched
    }

    /// Ends all that a session watches; whether it watched anything, and all of that is as it was.
    pub fn unwatch(&mut self, session: SessionId) -> bool {
        if let Some(Watching { keys, .. }) = self.interest.sessions().get(&session) {
            // More keys may be due than one entry removes.
            for (database, key) in keys.clone() {
                self.live_position(database, self.hash(&key), &key);
            }
        }
        let hash_of = |key: &[u8]| self.hasher.hash(key);
        self.interest.unwatch(session, hash_of).is_some_and(|watching| !watching.dirty)
    }

    /// Ends what the sessions of all other members watch.
    pub fn keep_watches_of(&mut self, is_member: impl Fn(MemberId) -> bool) {
        let gone = |session: &&SessionId| !is_member(session.member);
        let gone: Vec<SessionId> = self.interest.sessions().keys().filter(gone).copied().collect();
        for session in gone {
            self.interest.unwatch(session, |key| self.hasher.hash(key));
        }
    }

    /// What each session watches, in their order.
    pub fn watching(&self) -> &BTreeMap<SessionId, Watching> {
        self.interest.sessions()
    }

    /// Lets a session watch what it watches on another node. False if that cannot be.
    #[must_use]
    pub fn restore_watching(&mut self, session: SessionId, watching: Watching) -> bool {
        let Watching { dirty, keys } = watching;
        let is_new = !self.interest.sessions().contains_key(&session);
        if dirty {
            self.interest.mark(session);
            return is_new && keys.is_empty();
        }
        let mut watch = |(database, key): &Place| {
            let hash = self.hash(key);
            *database < DATABASE_COUNT && self.interest.watch(session, *database, hash, key).is_ok()
        };
        is_new && !keys.is_empty() && keys.iter().all(&mut watch)
    }

    /// One more client waits for a change of a key.
    pub fn begin_waiting(&mut self, database: u8, key: &[u8]) {
        self.interest.begin_waiting(database, self.hasher.hash(key), key);
    }

    /// One client less waits for it.
    pub fn end_waiting(&mut self, database: u8, key: &[u8]) {
        self.interest.end_waiting(database, self.hasher.hash(key), key);
    }

    /// Whether there are keys that changed and that clients wait for.
    #[inline]
    pub fn has_ready(&self) -> bool {
        self.interest.has_ready()
    }

    /// Such keys since the last call, in the order of their changes.
    pub fn take_ready(&mut self) -> Vec<Place> {
        std::mem::take(self.interest.ready_mut())
    }

    /// How many keys [`Keyspace::take_ready`] would give.
    pub fn ready_len(&self) -> usize {
        self.interest.ready().len()
    }

    /// Passes over the latest of these keys, of which only `len` are left.
    pub fn truncate_ready(&mut self, len: usize) {
        self.interest.ready_mut().truncate(len);
    }

    /// Before a database is emptied: its keys change.
    pub(super) fn touch_present(&mut self, database: u8) {
        for key in self.interest.keys_of(database) {
            self.touch_if_present(&[database], database, &key);
        }
    }

    /// Before two databases are exchanged: what is in either changes in both. What is due in one is
    /// removed first, since it would be due in the other, where it never was.
    pub(super) fn touch_swapped(&mut self, first: u8, second: u8) {
        for database in [first, second] {
            for key in self.interest.keys_of(database) {
                let hash = self.hash(&key);
                for place in [first, second] {
                    self.live_position(place, hash, &key);
                }
                self.touch_if_present(&[first, second], database, &key);
            }
        }
    }

    fn touch_if_present(&mut self, places: &[u8], database: u8, key: &SmallBytes) {
        if places.iter().any(|place| self.peek(*place, key).is_some()) {
            self.touch(database, self.hasher.hash(key), key);
        }
    }
}
