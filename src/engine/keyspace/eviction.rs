//! Which keys go when memory is short.
//!
//! The leader chooses, from what it knows of the uses of its keys, as Redis does: of some keys that
//! are picked at random the least useful ones, of which the best candidates are remembered. Its
//! choice goes through the log, where each key that it names is removed on all nodes if the account
//! is still above the limit when its turn comes, and the key was not changed since.

use std::collections::BTreeSet;

use super::{DATABASE_COUNT, Entry, Keyspace};
use crate::engine::bytes::SmallBytes;
use crate::engine::notifications::EventClasses;
use crate::engine::random::Random;
use crate::engine::settings::Policy;
use crate::limits::BATCH_BYTES_MAX;

/// Candidates that are remembered from one pick to the next: Redis's number.
const POOL_LEN: usize = 16;

/// Random places of a table that are looked at for one key. Segments are empty only where most keys
/// went at once, and then a walk finds one.
const PROBES: usize = 32;

/// A key that is to go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Victim {
    pub database: u8,
    pub key: SmallBytes,
}

/// Chooses victims. What it remembers is this node's own.
#[derive(Default)]
pub struct Victims {
    /// By uselessness, the most useless last.
    pool: Vec<(u64, Victim)>,
}

impl Victims {
    /// Keys that count at least `bytes` together, or as many as are found, at most `count`, and no
    /// more than a batch has room for.
    pub fn choose(
        &mut self,
        keyspace: &Keyspace,
        samples: usize,
        (bytes, count): (usize, usize),
        random: &mut Random,
    ) -> Vec<Victim> {
        let Some(policy) = keyspace.eviction_policy() else { return Vec::new() };
        if policy == Policy::VolatileTtl {
            return keyspace.first_to_expire(bytes, count);
        }
        let mut chosen = BTreeSet::new();
        let mut list = Vec::new();
        let (mut found, mut named) = (0, 0);
        // Few keys are left when picks find only those that are chosen already.
        let mut misses = 0;
        while found < bytes && list.len() < count && named < BATCH_BYTES_MAX && misses < PROBES {
            let picked = match policy {
                Policy::AllkeysRandom | Policy::VolatileRandom => keyspace
                    .pick(policy, random)
                    .map(|(database, entry)| Victim { database, key: entry.key.clone() }),
                _ => self.next(keyspace, policy, samples, random),
            };
            let entry = picked.as_ref().and_then(|it| keyspace.peek(it.database, &it.key));
            match (&picked, entry) {
                (Some(victim), Some(entry)) if chosen.insert(victim.clone()) => {
                    found += entry.bytes();
                    named += victim.key.len();
                    list.extend(picked);
                    misses = 0;
                }
                _ => misses += 1,
            }
        }
        list
    }

    /// The most useless key that some samples and the pool know of.
    fn next(
        &mut self,
        keyspace: &Keyspace,
        policy: Policy,
        samples: usize,
        random: &mut Random,
    ) -> Option<Victim> {
        for _ in 0..samples {
            let Some((database, entry)) = keyspace.pick(policy, random) else { break };
            self.consider(database, entry, keyspace.usage.uselessness(entry));
        }
        while let Some((_, victim)) = self.pool.pop() {
            let entry = keyspace.peek(victim.database, &victim.key);
            if entry.is_some_and(|entry| !policy.is_volatile() || entry.deadline_ms != 0) {
                return Some(victim);
            }
        }
        None
    }

    fn consider(&mut self, database: u8, entry: &Entry, uselessness: u64) {
        let place = self.pool.partition_point(|(other, _)| *other < uselessness);
        if place == 0 && self.pool.len() == POOL_LEN {
            return;
        }
        let is_known = |(_, it): &(u64, Victim)| it.database == database && *it.key == *entry.key;
        if self.pool.iter().any(is_known) {
            return;
        }
        self.pool.insert(place, (uselessness, Victim { database, key: entry.key.clone() }));
        if self.pool.len() > POOL_LEN {
            self.pool.remove(0);
        }
    }
}

impl Keyspace {
    /// A key that the policy lets go, picked at random from all databases.
    fn pick(&self, policy: Policy, random: &mut Random) -> Option<(u8, &Entry)> {
        let count = |number: u8| match policy.is_volatile() {
            true => self.volatile_len(number),
            false => self.len(number),
        };
        let total: usize = (0..DATABASE_COUNT).map(count).sum();
        if total == 0 {
            return None;
        }
        let mut place = random.below(total);
        let database = (0..DATABASE_COUNT).find(|number| {
            let is_here = place < count(*number);
            place -= if is_here { 0 } else { count(*number) };
            is_here
        })?;
        let fits = |entry: &&Entry| !policy.is_volatile() || entry.deadline_ms != 0;
        for _ in 0..PROBES {
            let table = &self.databases[usize::from(database)].table;
            let (entries, _) = table.range_of(random.next());
            // All are as likely to be met, but for those of segments that are less full.
            let place = random.below(entries.len().max(1));
            if let Some(entry) = entries.get(place).filter(fits) {
                return Some((database, entry));
            }
        }
        let rare = match policy.is_volatile() {
            true => self.pick_by_deadline(database, random),
            false => self.random_key(database, random),
        };
        rare.map(|entry| (database, entry))
    }

    /// A key with a deadline, where few have one: the first from a random time on.
    fn pick_by_deadline(&self, database: u8, random: &mut Random) -> Option<&Entry> {
        let home = &self.databases[usize::from(database)];
        let ((first, _), (last, _)) = (home.deadlines.first()?, home.deadlines.last()?);
        let from = first + random.next() % (last - first + 1);
        let (deadline_ms, hash) = home.deadlines.from((from, 0))?;
        let mut entries = home.table.with_hash(hash);
        entries.find(|entry| entry.deadline_ms == deadline_ms && self.hash(&entry.key) == hash)
    }

    /// The keys that expire first, in all databases.
    fn first_to_expire(&self, bytes: usize, count: usize) -> Vec<Victim> {
        let mut orders: Vec<_> = self.databases.iter().map(|it| it.deadlines.iter()).collect();
        let mut heads: Vec<_> = orders.iter_mut().map(Iterator::next).collect();
        let mut list = Vec::new();
        let (mut found, mut named) = (0, 0);
        while found < bytes && list.len() < count && named < BATCH_BYTES_MAX {
            let first = (0..heads.len()).filter(|number| heads[*number].is_some());
            let Some(number) = first.min_by_key(|number| heads[*number]) else { break };
            let Some((deadline_ms, hash)) = heads[number] else { break };
            heads[number] = orders[number].next();
            for entry in self.databases[number].table.with_hash(hash) {
                if entry.deadline_ms == deadline_ms && self.hash(&entry.key) == hash {
                    found += entry.bytes();
                    named += entry.key.len();
                    list.push(Victim { database: number as u8, key: entry.key.clone() });
                }
            }
        }
        list
    }

    /// Removes a key that the leader chose after the entry `index`, if memory is still short and
    /// the policy still lets it go. One that was changed since then stays. Tells whether it went.
    pub fn evict(&mut self, database: u8, key: &[u8], index: u64) -> bool {
        let Some(policy) = self.eviction_policy().filter(|_| self.is_over_limit()) else {
            return false;
        };
        let goes = self.peek(database, key).is_some_and(|entry| {
            entry.version() <= index && (!policy.is_volatile() || entry.deadline_ms != 0)
        });
        if goes {
            self.remove(database, key);
            self.evicted += 1;
            self.notify(EventClasses::EVICTED, "evicted", database, key);
        }
        goes
    }
}
