//! The table of one database: extendible hashing. The top bits of a key's hash index a directory,
//! whose slots point to segments of bounded size; a full segment splits in two by its next bit.
//! So the work of one insertion is bounded by one segment, however large the table.
//!
//! A segment holds a contiguous range of hashes, and segments never merge. One that lost most of
//! its entries gives its memory back.
//!
//! The segments of a table are about equally full, from half to all, so free room in them would be
//! free room everywhere. Hence only small numbers lie in a hash table, and the entries side by side
//! in a vector that grows by little: 1 million keys of 16 bytes with 32 of value took 230 bytes
//! each with the entries in the hash table, and take 120. A look-up reads one line more, of a
//! tenth of the size.

use hashbrown::HashTable;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_micro_inline};

use crate::engine::bytes::SmallBytes;
use crate::engine::value::Value;
use crate::raft::types::Millis;

/// Exactly the load of 1,024 buckets. A split moves half of it, about 20 µs.
const SEGMENT_ENTRIES_MAX: usize = 896;

/// A segment that fell below this share of its capacity shrinks.
const SHRINK_BELOW: usize = 8;

/// A full vector of entries grows by this share of what it holds, and by a few at least.
const GROWTH_SHARE: usize = 8;
const GROWTH_MIN: usize = 4;

/// How many bits a segment may be deeper than the table needs on average. Hashes that agree in more
/// bits than this are no accident; their segment then grows instead of doubling the directory.
const EXCESS_DEPTH_MAX: u32 = 8;

/// One cache line: a key's bytes, its value's bytes if few, its deadline and version in one miss.
const _: () = assert!(size_of::<Entry>() == 64);

#[derive(Debug)]
pub struct Entry {
    pub key: SmallBytes,
    pub value: Value,
    /// When the key expires. 0: never.
    pub deadline_ms: Millis,
    /// Index of the log entry that last changed the key.
    pub version: u64,
}

impl Entry {
    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        let of_value = match &self.value {
            Value::String(string) => string.heap_bytes(),
            Value::List(list) => list.bytes(),
            Value::Set(set) => set.bytes(),
            Value::Hash(hash) => hash.bytes(),
            Value::SortedSet(sorted_set) => sorted_set.bytes(),
            Value::Stream(stream) => stream.bytes(),
        };
        size_of::<Self>() + self.key.heap_bytes() + of_value
    }
}

/// The hash of keys: rapidhash v3, whose output is specified and does not depend on the platform,
/// the build or the version of the crate, as that of ahash and foldhash does. Positions in hash
/// order are told to clients as SCAN cursors and must mean the same on every node.
#[derive(Clone, Debug)]
pub(super) struct Hasher(RapidSecrets);

impl Hasher {
    pub fn new(seed: u64) -> Self {
        Self(RapidSecrets::seed(seed))
    }

    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        rapidhash_v3_micro_inline::<true, true>(key, &self.0)
    }
}

/// Where an entry is, until the table changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    segment: u32,
    at: u32,
}

#[derive(Debug)]
pub(super) struct Segment {
    /// By hash: where in `entries`. Invariant: each of their positions, once.
    positions: HashTable<u32>,
    entries: Vec<Entry>,
    /// How many top bits all hashes here have in common.
    depth: u32,
}

impl Segment {
    fn with_capacity(entries: usize, depth: u32) -> Self {
        let positions = HashTable::with_capacity(entries);
        Self { positions, entries: Vec::with_capacity(entries), depth }
    }

    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let is_it = |at: &u32| self.entries[*at as usize].key.as_slice() == key;
        self.positions.find(spread(hash), is_it).copied()
    }

    #[inline]
    fn with_hash(&self, hash: u64) -> impl Iterator<Item = u32> {
        self.positions.iter_hash(spread(hash)).copied()
    }

    #[inline]
    fn insert(&mut self, hasher: &Hasher, hash: u64, entry: Entry) -> u32 {
        let at = u32::try_from(self.entries.len()).expect("invariant: memory ends before");
        if self.entries.len() == self.entries.capacity() {
            let growth = (self.entries.len() / GROWTH_SHARE).max(GROWTH_MIN);
            self.entries.reserve_exact(growth);
        }
        self.entries.push(entry);
        let entries = &self.entries;
        let rehash = |at: &u32| spread(hasher.hash(&entries[*at as usize].key));
        self.positions.insert_unique(spread(hash), at, rehash);
        at
    }

    /// Precondition: there is an entry at `at`. The last entry takes its place.
    fn remove(&mut self, hasher: &Hasher, at: u32) -> Entry {
        let entry = self.entries.swap_remove(at as usize);
        let hash = spread(hasher.hash(&entry.key));
        let place = self.positions.find_entry(hash, |other| *other == at);
        place.unwrap_or_else(|_| panic!("invariant: every entry has its position")).remove();
        if let Some(moved) = self.entries.get(at as usize) {
            let hash = spread(hasher.hash(&moved.key));
            let last = self.entries.len() as u32;
            let place = self.positions.find_mut(hash, |other| *other == last);
            *place.expect("invariant: every entry has its position") = at;
        }
        if self.entries.len() < self.entries.capacity() / SHRINK_BELOW {
            self.shrink(hasher);
        }
        entry
    }

    #[cold]
    fn shrink(&mut self, hasher: &Hasher) {
        let wanted = self.entries.len() * 2;
        self.entries.shrink_to(wanted);
        let entries = &self.entries;
        let rehash = |at: &u32| spread(hasher.hash(&entries[*at as usize].key));
        self.positions.shrink_to(wanted, rehash);
    }
}

#[derive(Debug)]
pub(super) struct Table {
    /// Invariant: `directory.len() == 1 << depth`, and each segment fills `1 << (depth - its
    /// depth)` slots side by side.
    directory: Vec<u32>,
    segments: Vec<Segment>,
    depth: u32,
    len: usize,
}

impl Default for Table {
    fn default() -> Self {
        let segments = vec![Segment::with_capacity(0, 0)];
        Self { directory: vec![0], segments, depth: 0, len: 0 }
    }
}

/// hashbrown takes the bucket from the low bits and a tag from the top bits, so neither may be the
/// bits of the directory, which all entries of a segment share.
#[inline]
fn spread(hash: u64) -> u64 {
    hash.rotate_left(32)
}

impl Table {
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn slot(&self, hash: u64) -> usize {
        // Two shifts, since a shift by 64 at depth 0 would not be defined.
        ((hash >> 1) >> (63 - self.depth)) as usize
    }

    #[inline]
    fn segment_of(&self, hash: u64) -> u32 {
        self.directory[self.slot(hash)]
    }

    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        let segment = &self.segments[self.segment_of(hash) as usize];
        segment.find(hash, key).map(|at| &segment.entries[at as usize])
    }

    #[inline]
    pub fn position(&self, hash: u64, key: &[u8]) -> Option<Position> {
        let segment = self.segment_of(hash);
        let at = self.segments[segment as usize].find(hash, key)?;
        Some(Position { segment, at })
    }

    /// Precondition: the table did not change since `position` was found.
    #[inline]
    pub fn at(&self, position: Position) -> &Entry {
        &self.segments[position.segment as usize].entries[position.at as usize]
    }

    /// Precondition: as for [`Table::at`].
    #[inline]
    pub fn at_mut(&mut self, position: Position) -> &mut Entry {
        &mut self.segments[position.segment as usize].entries[position.at as usize]
    }

    /// Precondition: no entry has this key.
    #[inline]
    pub fn insert(&mut self, hasher: &Hasher, hash: u64, entry: Entry) -> Position {
        let mut segment = self.segment_of(hash);
        while self.segments[segment as usize].entries.len() >= SEGMENT_ENTRIES_MAX
            && self.may_split(segment)
        {
            self.split(hasher, segment);
            segment = self.segment_of(hash);
        }
        self.len += 1;
        let at = self.segments[segment as usize].insert(hasher, hash, entry);
        Position { segment, at }
    }

    /// Precondition: as for [`Table::at`].
    pub fn remove(&mut self, hasher: &Hasher, position: Position) -> Entry {
        self.len -= 1;
        self.segments[position.segment as usize].remove(hasher, position.at)
    }

    /// All entries that may have this hash, and perhaps others of their segment.
    pub fn with_hash(&self, hash: u64) -> impl Iterator<Item = &Entry> {
        let segment = &self.segments[self.segment_of(hash) as usize];
        segment.with_hash(hash).map(|at| &segment.entries[at as usize])
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.segments.iter().flat_map(|segment| &segment.entries)
    }

    /// The entries of the segment whose range holds `hash`, and the first hash after its range.
    pub fn range_of(&self, hash: u64) -> (&[Entry], Option<u64>) {
        let segment = &self.segments[self.segment_of(hash) as usize];
        let end = match segment.depth {
            0 => None,
            depth => ((hash >> (64 - depth)) + 1).checked_mul(1 << (64 - depth)),
        };
        (&segment.entries, end)
    }

    /// Where the first entry is whose tag is that of `hash`: most likely the only one. Reads no
    /// entry.
    #[inline]
    pub fn likely_position(&self, hash: u64) -> Option<Position> {
        let segment = self.segment_of(hash);
        let at = self.segments[segment as usize].with_hash(hash).next()?;
        Some(Position { segment, at })
    }

    pub fn into_segments(self) -> Vec<Segment> {
        self.segments
    }

    fn may_split(&self, segment: u32) -> bool {
        let depth = self.segments[segment as usize].depth;
        depth < self.segments.len().ilog2() + EXCESS_DEPTH_MAX
    }

    #[cold]
    fn split(&mut self, hasher: &Hasher, low: u32) {
        let depth = self.segments[low as usize].depth;
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|segment| [*segment; 2]).collect();
            self.depth += 1;
        }
        let high = u32::try_from(self.segments.len()).expect("invariant: memory ends before");
        let entries = std::mem::take(&mut self.segments[low as usize].entries);
        let hashes: Vec<u64> = entries.iter().map(|entry| hasher.hash(&entry.key)).collect();
        let half_of = |hash: u64| (hash >> (63 - depth) & 1) as usize;
        let in_high = hashes.iter().map(|hash| half_of(*hash)).sum::<usize>();
        let sizes = [entries.len() - in_high, in_high];
        let mut halves = sizes.map(|size| Segment::with_capacity(size, depth + 1));
        for (entry, hash) in entries.into_iter().zip(&hashes) {
            halves[half_of(*hash)].insert(hasher, *hash, entry);
        }
        let any_hash = hashes[0];
        let [low_half, high_half] = halves;
        self.segments[low as usize] = low_half;
        self.segments.push(high_half);
        let slots = 1 << (self.depth - depth);
        let first = self.slot(any_hash) & !(slots - 1);
        self.directory[first + slots / 2..first + slots].fill(high);
    }
}
