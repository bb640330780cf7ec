//! Client-side caching: which clients of this node may hold copies of which keys, and what they are
//! told when these change.
//!
//! A client that tracks is remembered at each key that it reads, or asks for all keys with certain
//! prefixes. What changes a key is looked at as each node applies it, so a client is told of every
//! change that follows its read, whoever makes it, through whatever node. It is told behind the
//! replies that were made before the change: it never puts away a value that it was told to drop.
//!
//! All of this is the node's own: it is no part of the replicated state, of digests or of
//! snapshots. Keys count alike in all databases, as in Redis. Where it is not known what a client
//! would have to be told, or it is too much, it is told to drop all that it has.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use smallvec::SmallVec;

use super::bytes::SmallBytes;
use super::keyspace::{Changed, SessionId};
use super::pubsub::Subscriber;
use super::random::Random;
use super::types::FixedState;
use crate::limits::{INVALIDATED_BYTES_MAX, TRACKED_KEYS_DEFAULT};
use crate::raft::types::MemberId;

/// How a client wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The number of its session.
    pub session: u64,
    /// It is not told of what it changes itself.
    pub is_noloop: bool,
    /// It is told of all keys with one of these prefixes, whatever it reads.
    pub prefixes: Option<BTreeSet<Vec<u8>>>,
    /// The client that is told in its place.
    pub target: Option<Subscriber>,
}

/// A client begins to track on these terms, or does so no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub client: Subscriber,
    pub terms: Option<Terms>,
}

/// What a client is to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Invalidation {
    pub target: Option<Subscriber>,
    /// It has to drop everything; nothing else is told then.
    pub drops_all: bool,
    /// Keys that it has read.
    pub keys: Vec<SmallBytes>,
    /// Keys by the prefix that it has asked for.
    pub by_prefix: BTreeMap<Vec<u8>, BTreeSet<SmallBytes>>,
}

impl Invalidation {
    /// In place of what is too much.
    pub fn drop_all(&mut self) {
        *self = Self { target: self.target, drops_all: true, ..Self::default() };
    }

    /// Bytes held, for the bounds of whoever queues it.
    pub fn bytes(&self) -> usize {
        let of_key = |key: &SmallBytes| size_of::<SmallBytes>() + key.len();
        let by_prefix = self.by_prefix.iter().map(|(prefix, keys)| {
            size_of::<(Vec<u8>, BTreeSet<SmallBytes>)>()
                + prefix.len()
                + keys.iter().map(of_key).sum::<usize>()
        });
        size_of::<Self>() + self.keys.iter().map(of_key).sum::<usize>() + by_prefix.sum::<usize>()
    }
}

/// For whom commands were run before those of a client that has waited.
#[derive(Debug)]
pub struct Outer(Option<Subscriber>, bool);

/// The clients that have read a key, in order.
type Readers = SmallVec<[Subscriber; 1]>;

/// Invariant: `items` counts the readers of all `keys`, none of which has none; `prefixes` and
/// `sessions` tell of `clients`.
#[derive(Debug)]
pub struct Tracking {
    clients: BTreeMap<Subscriber, Terms>,
    sessions: BTreeMap<u64, Subscriber>,
    keys: IndexMap<SmallBytes, Readers, FixedState>,
    items: usize,
    prefixes: BTreeMap<Vec<u8>, BTreeSet<Subscriber>>,
    /// How many keys are remembered at most; `None`: no bound.
    keys_max: Option<usize>,
    /// Picks what is forgotten at the bound.
    random: Random,
    /// This node, once a client that tracks has sent a command through the log.
    member: Option<MemberId>,
    /// The client whose commands are run, if it is of this node, and whether it is remembered at
    /// what they read.
    current: Option<Subscriber>,
    remembers: bool,
    /// The script that was begun last has run a command that reads.
    script_reads: bool,
    gathered: BTreeMap<Subscriber, Invalidation>,
    gathered_bytes: usize,
}

impl Default for Tracking {
    fn default() -> Self {
        Self {
            clients: BTreeMap::new(),
            sessions: BTreeMap::new(),
            keys: IndexMap::default(),
            items: 0,
            prefixes: BTreeMap::new(),
            keys_max: Some(TRACKED_KEYS_DEFAULT),
            random: Random::new(0),
            member: None,
            current: None,
            remembers: false,
            script_reads: false,
            gathered: BTreeMap::new(),
            gathered_bytes: 0,
        }
    }
}

impl Tracking {
    /// Whether some client tracks.
    #[inline]
    pub fn is_active(&self) -> bool {
        !self.clients.is_empty()
    }

    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// How often a client is remembered at a key.
    pub fn item_count(&self) -> usize {
        self.items
    }

    pub fn prefix_count(&self) -> usize {
        self.prefixes.len()
    }

    pub fn apply(&mut self, change: Change) {
        let Change { client, terms } = change;
        if let Some(former) = self.clients.remove(&client) {
            self.sessions.remove(&former.session);
            for prefix in former.prefixes.into_iter().flatten() {
                self.unlist(&prefix, client);
            }
        }
        if let Some(terms) = terms {
            for prefix in terms.prefixes.iter().flatten() {
                self.prefixes.entry(prefix.clone()).or_default().insert(client);
            }
            self.sessions.insert(terms.session, client);
            self.clients.insert(client, terms);
        } else {
            self.gathered.remove(&client);
        }
        if self.clients.is_empty() {
            self.forget_keys();
        }
    }

    fn unlist(&mut self, prefix: &[u8], client: Subscriber) {
        if let Some(clients) = self.prefixes.get_mut(prefix) {
            clients.remove(&client);
            if clients.is_empty() {
                self.prefixes.remove(prefix);
            }
        }
    }

    fn forget_keys(&mut self) {
        self.keys = IndexMap::default();
        self.items = 0;
    }

    /// How many keys are remembered from here on at most; 0: no bound.
    pub fn set_keys_max(&mut self, keys_max: usize) {
        self.keys_max = Some(keys_max).filter(|max| *max > 0);
        self.keep_bound();
    }

    /// What is run from here on is sent by this client.
    pub fn begin(&mut self, client: Subscriber, remembers: bool) {
        let reads = |terms: &Terms| terms.prefixes.is_none();
        self.remembers = remembers && self.clients.get(&client).is_some_and(reads);
        self.current = Some(client);
    }

    /// What is run from here on is sent by nobody of this node.
    pub fn end(&mut self) {
        (self.current, self.remembers) = (None, false);
    }

    pub fn remembers(&self) -> bool {
        self.remembers
    }

    /// What is run from here on is sent by a client that has waited, until [`Tracking::go_on`].
    pub fn begin_for_waiter(&mut self, session: SessionId) -> Outer {
        let is_here = self.member == Some(session.member);
        let client = self.sessions.get(&session.number).filter(|_| is_here).copied();
        let outer = Outer(self.current, self.remembers);
        (self.current, self.remembers) = (client, client.is_some());
        outer
    }

    /// Goes on with what was run before [`Tracking::begin_for_waiter`].
    pub fn go_on(&mut self, outer: Outer) {
        let Outer(current, remembers) = outer;
        (self.current, self.remembers) = (current, remembers);
    }

    /// The batch that is run is of a client of this node.
    pub fn set_member(&mut self, member: MemberId) {
        self.member = Some(member);
    }

    /// What is run from here on is run by a script.
    pub fn begin_script(&mut self) {
        self.script_reads = false;
    }

    /// A command that reads was run.
    pub fn note_read(&mut self) {
        self.script_reads = true;
    }

    /// Whether the script that was begun last has run one.
    pub fn script_reads(&self) -> bool {
        self.script_reads
    }

    /// The client whose commands are run has read a key.
    pub fn remember(&mut self, key: &[u8]) {
        let Some(client) = self.current else { return };
        let readers = self.keys.entry(SmallBytes::new(key)).or_default();
        if let Err(position) = readers.binary_search(&client) {
            readers.insert(position, client);
            self.items += 1;
            self.keep_bound();
        }
    }

    /// Forgets keys at random as long as there are too many. Whoever has read one drops it.
    fn keep_bound(&mut self) {
        while self.keys_max.is_some_and(|max| self.keys.len() > max) {
            let index = self.random.below(self.keys.len());
            let forgotten = self.keys.swap_remove_index(index);
            let (key, readers) = forgotten.expect("invariant: the index is below the length");
            self.items -= readers.len();
            readers.into_iter().for_each(|reader| self.lose(reader, &key));
        }
    }

    /// Keys have changed.
    pub fn invalidate(&mut self, changed: Changed) {
        if changed.is_all {
            self.drop_all();
        }
        for key in changed.keys {
            self.invalidate_readers(&key);
            self.invalidate_prefixes(&key);
        }
    }

    fn is_own(&self, client: Subscriber) -> bool {
        let is_noloop = |terms: &Terms| terms.is_noloop;
        self.current == Some(client) && self.clients.get(&client).is_some_and(is_noloop)
    }

    fn invalidate_readers(&mut self, key: &SmallBytes) {
        let Some(readers) = self.keys.swap_remove(key) else { return };
        self.items -= readers.len();
        // Who is not told of its own change still has to be told of the next one.
        let (stay, told): (Readers, Readers) =
            readers.into_iter().partition(|reader| self.is_own(*reader));
        if !stay.is_empty() {
            self.items += stay.len();
            self.keys.insert(key.clone(), stay);
        }
        told.into_iter().for_each(|reader| self.lose(reader, key));
    }

    fn invalidate_prefixes(&mut self, key: &SmallBytes) {
        let fitting = self.prefixes.iter().filter(|(prefix, _)| key.starts_with(prefix));
        let told = fitting.flat_map(|(prefix, clients)| {
            let told = clients.iter().filter(|client| !self.is_own(**client));
            told.map(|client| (*client, prefix.clone()))
        });
        for (client, prefix) in told.collect::<Vec<_>>() {
            let Some(invalidation) = self.gather(client) else { continue };
            if !invalidation.drops_all {
                let keys = invalidation.by_prefix.entry(prefix).or_default();
                if keys.insert(key.clone()) {
                    self.count(key);
                }
            }
        }
    }

    /// All that clients have read may have changed.
    pub fn drop_all(&mut self) {
        self.forget_keys();
        self.gathered_bytes = 0;
        for client in self.clients.keys().copied().collect::<Vec<_>>() {
            if let Some(invalidation) = self.gather(client) {
                invalidation.drop_all();
            }
        }
    }

    fn lose(&mut self, client: Subscriber, key: &SmallBytes) {
        // It has read the key before it asked for prefixes instead.
        if self.clients.get(&client).is_some_and(|terms| terms.prefixes.is_some()) {
            return;
        }
        let Some(invalidation) = self.gather(client) else { return };
        if !invalidation.drops_all {
            invalidation.keys.push(key.clone());
            self.count(key);
        }
    }

    fn count(&mut self, key: &SmallBytes) {
        self.gathered_bytes += size_of::<SmallBytes>() + key.len();
        if self.gathered_bytes > INVALIDATED_BYTES_MAX {
            self.drop_all();
        }
    }

    /// What is gathered for a client, as long as it tracks.
    fn gather(&mut self, client: Subscriber) -> Option<&mut Invalidation> {
        let target = self.clients.get(&client)?.target;
        let fresh = || Invalidation { target, ..Invalidation::default() };
        Some(self.gathered.entry(client).or_insert_with(fresh))
    }

    /// Whether there is anything to be taken.
    #[inline]
    pub fn has_invalidations(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// What was gathered, for each client.
    pub fn take_invalidations(&mut self) -> Vec<(Subscriber, Invalidation)> {
        self.gathered_bytes = 0;
        std::mem::take(&mut self.gathered).into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
