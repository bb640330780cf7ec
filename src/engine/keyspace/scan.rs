//! Walks over a database in the order of its hashes, and its digest.

use std::hash::{Hash, Hasher as _};

use rapidhash::v3::{RapidSecrets, RapidStreamHasherV3};

use super::{DATABASE_COUNT, Entry, Keyspace};
use crate::engine::random::Random;

/// A cursor is this many top bits of a hash: clients that read it into a double get it exactly.
const CURSOR_BITS: u32 = 48;

/// How many segments a step of a scan looks at: they may be empty after many removals.
const SEGMENTS_PER_SCAN_MAX: usize = 16;

/// How many neighbours in hash order a random pick chooses from. Without them a key after a wide
/// gap would be picked more often than others.
const RANDOM_NEIGHBOURS: usize = 16;

#[inline]
fn cursor_of(hash: u64) -> u64 {
    hash >> (64 - CURSOR_BITS)
}

impl Keyspace {
    /// All live entries of a database, in no order that means anything.
    pub fn entries(&self, database: u8) -> impl Iterator<Item = &Entry> {
        self.databases[usize::from(database)].table.iter().filter(|entry| self.is_live(entry))
    }

    /// Visits about `count` live entries from `cursor` on, and returns where to go on, 0 at the
    /// end.
    ///
    /// The cursor is a position in hash order: it means the same on every node and after any
    /// growth. From 0 to 0 each key that is there all the time is visited exactly once.
    pub fn scan<'a>(
        &'a self,
        database: u8,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&'a Entry),
    ) -> u64 {
        if cursor_of(u64::MAX) < cursor {
            return 0;
        }
        let table = &self.databases[usize::from(database)].table;
        let mut from = cursor << (64 - CURSOR_BITS);
        let mut visited = 0;
        for _ in 0..SEGMENTS_PER_SCAN_MAX {
            let (entries, end) = table.range_of(from);
            let mut found: Vec<(u64, &Entry)> = entries
                .iter()
                .map(|entry| (cursor_of(self.hash(&entry.key)), entry))
                .filter(|(position, _)| *position >= cursor_of(from))
                .collect();
            let wanted = count.max(1) - visited;
            let last = if wanted < found.len() {
                Some(found.select_nth_unstable_by_key(wanted - 1, |(position, _)| *position).1.0)
            } else {
                None
            };
            if let Some(last) = last {
                // Keys at the same position go together, or the next step would miss some.
                found.retain(|(position, _)| *position <= last);
            }
            found.sort_unstable_by(|a, b| (a.0, &a.1.key).cmp(&(b.0, &b.1.key)));
            visited += found.len();
            found.iter().filter(|(_, entry)| self.is_live(entry)).for_each(|(_, e)| visit(e));
            match (last, end) {
                (Some(last), _) if last == cursor_of(u64::MAX) => return 0,
                (Some(last), _) => return last + 1,
                (None, None) => return 0,
                (None, Some(end)) => from = end,
            }
            if visited >= count {
                break;
            }
        }
        cursor_of(from)
    }

    /// A live key, picked at random; the pick does not depend on the layout of the table.
    pub fn random_key(&self, database: u8, random: &mut Random) -> Option<&Entry> {
        let start = random.next();
        let table = &self.databases[usize::from(database)].table;
        if table.len() == 0 {
            return None;
        }
        let mut picks: Vec<&Entry> = Vec::new();
        for (first, beyond) in [(start, None), (0, Some(start))] {
            let mut from = first;
            while picks.len() < RANDOM_NEIGHBOURS {
                let (entries, end) = table.range_of(from);
                let mut found: Vec<(u64, &Entry)> = entries
                    .iter()
                    .filter(|entry| self.is_live(entry))
                    .map(|entry| (self.hash(&entry.key), entry))
                    .filter(|(hash, _)| *hash >= from && beyond.is_none_or(|end| *hash < end))
                    .collect();
                found.sort_unstable_by(|a, b| (a.0, &a.1.key).cmp(&(b.0, &b.1.key)));
                let room = RANDOM_NEIGHBOURS - picks.len();
                picks.extend(found.into_iter().take(room).map(|(_, entry)| entry));
                match end {
                    Some(end) if beyond.is_none_or(|beyond| end < beyond) => from = end,
                    _ => break,
                }
            }
        }
        if picks.is_empty() { None } else { Some(picks[random.below(picks.len())]) }
    }

    /// Equal iff (but for chance) all databases hold the same keys, values, deadlines and versions:
    /// for comparing nodes that applied the same entries. Walks over everything.
    pub fn digest(&self) -> u128 {
        let entries = (0..DATABASE_COUNT).flat_map(|database| {
            let table = &self.databases[usize::from(database)].table;
            table.iter().map(move |entry| Self::digest_of(database, entry))
        });
        entries.fold(0, u128::wrapping_add)
    }

    /// What an entry adds to [`Keyspace::digest`], in any order.
    pub fn digest_of(database: u8, entry: &Entry) -> u128 {
        let Entry { key, value, deadline_ms, .. } = entry;
        digest_of(&(database, key, value, deadline_ms, entry.version()))
    }
}

/// How the table of a database is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    pub keys: usize,
    /// Those among them that have a deadline.
    pub volatile: usize,
    pub segments: usize,
    /// Keys of the segment that has most.
    pub largest: usize,
    /// Keys that the segments have room for.
    pub capacity: usize,
}

impl Keyspace {
    pub fn table_stats(&self, database: u8) -> TableStats {
        let home = &self.databases[usize::from(database)];
        let mut stats =
            TableStats { keys: home.table.len(), volatile: home.volatile, ..TableStats::default() };
        for entries in home.table.segments() {
            stats.segments += 1;
            stats.largest = stats.largest.max(entries.len());
            stats.capacity += entries.capacity();
        }
        stats
    }

    /// Like [`Keyspace::digest`] of what clients can read: whenever it was written.
    pub fn digest_of_values(&self) -> u128 {
        let of = |database| {
            let digest_of = move |entry: &Entry| {
                digest_of(&(database, entry.key.as_slice(), Self::digest_of_value(entry)))
            };
            self.entries(database).map(digest_of)
        };
        (0..DATABASE_COUNT).flat_map(of).fold(0, u128::wrapping_add)
    }

    /// Of a value and its deadline.
    pub fn digest_of_value(entry: &Entry) -> u128 {
        digest_of(&(&entry.value, entry.deadline_ms))
    }
}

/// 128 bits of hash, the same on every node.
pub(in crate::engine) fn digest_of(what: &impl Hash) -> u128 {
    u128::from(half_digest_of(1, what)) << 64 | u128::from(half_digest_of(2, what))
}

fn half_digest_of(seed: u64, what: &impl Hash) -> u64 {
    struct Sink<'a>(RapidStreamHasherV3<'a>);
    impl std::hash::Hasher for Sink<'_> {
        fn write(&mut self, bytes: &[u8]) {
            self.0.write(bytes);
        }

        fn finish(&self) -> u64 {
            self.0.finish()
        }
    }
    let secrets = RapidSecrets::seed(seed);
    let mut sink = Sink(RapidStreamHasherV3::new(&secrets));
    what.hash(&mut sink);
    sink.finish()
}
