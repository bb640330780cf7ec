//! The table of one database: extendible hashing. The top bits of a key's hash index a directory,
//! whose slots point to segments of bounded size; a full segment splits in two by its next bit.
//! So the work of one insertion is bounded by one segment, however large the table.
//!
//! A segment holds a contiguous range of hashes, and segments never merge. One that lost most of
//! its entries gives its memory back.

use hashbrown::HashTable;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_micro_inline};

use crate::engine::bytes::SmallBytes;
use crate::engine::value::Value;
use crate::raft::types::Millis;

/// Exactly the load of 1,024 buckets. A split moves half of it, about 20 µs.
const SEGMENT_ENTRIES_MAX: usize = 896;

/// A segment that fell below this share of its capacity shrinks.
const SHRINK_BELOW: usize = 8;

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
    bucket: usize,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub entries: HashTable<Entry>,
    /// How many top bits all hashes here have in common.
    depth: u32,
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
        let segment = Segment { entries: HashTable::new(), depth: 0 };
        Self { directory: vec![0], segments: vec![segment], depth: 0, len: 0 }
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
        segment.entries.find(spread(hash), |entry| entry.key.as_slice() == key)
    }

    #[inline]
    pub fn position(&self, hash: u64, key: &[u8]) -> Option<Position> {
        let segment = self.segment_of(hash);
        let entries = &self.segments[segment as usize].entries;
        let bucket =
            entries.find_bucket_index(spread(hash), |entry| entry.key.as_slice() == key)?;
        Some(Position { segment, bucket })
    }

    /// Precondition: the table did not change since `position` was found.
    #[inline]
    pub fn at(&self, position: Position) -> &Entry {
        self.segments[position.segment as usize]
            .entries
            .get_bucket(position.bucket)
            .expect("invariant: positions are used before the table changes")
    }

    /// Precondition: as for [`Table::at`].
    #[inline]
    pub fn at_mut(&mut self, position: Position) -> &mut Entry {
        self.segments[position.segment as usize]
            .entries
            .get_bucket_mut(position.bucket)
            .expect("invariant: positions are used before the table changes")
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
        let entries = &mut self.segments[segment as usize].entries;
        let rehash = |entry: &Entry| spread(hasher.hash(&entry.key));
        let bucket = entries.insert_unique(spread(hash), entry, rehash).bucket_index();
        Position { segment, bucket }
    }

    /// Precondition: as for [`Table::at`].
    pub fn remove(&mut self, hasher: &Hasher, position: Position) -> Entry {
        let entries = &mut self.segments[position.segment as usize].entries;
        let (entry, _) = entries
            .get_bucket_entry(position.bucket)
            .unwrap_or_else(|_| panic!("invariant: positions are used before the table changes"))
            .remove();
        self.len -= 1;
        if entries.len() < entries.capacity() / SHRINK_BELOW {
            entries.shrink_to(entries.len() * 2, |entry| spread(hasher.hash(&entry.key)));
        }
        entry
    }

    /// All entries that may have this hash, and perhaps others of their segment.
    pub fn with_hash(&self, hash: u64) -> impl Iterator<Item = &Entry> {
        self.segments[self.segment_of(hash) as usize].entries.iter_hash(spread(hash))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.segments.iter().flat_map(|segment| segment.entries.iter())
    }

    /// The segment whose range holds `hash`, and the first hash after its range.
    pub fn range_of(&self, hash: u64) -> (&HashTable<Entry>, Option<u64>) {
        let segment = &self.segments[self.segment_of(hash) as usize];
        let end = match segment.depth {
            0 => None,
            depth => ((hash >> (64 - depth)) + 1).checked_mul(1 << (64 - depth)),
        };
        (&segment.entries, end)
    }

    /// Where the first entry is whose tag is that of `hash`: most likely the only one. Reads tags
    /// only.
    #[inline]
    pub fn likely_position(&self, hash: u64) -> Option<Position> {
        let segment = self.segment_of(hash);
        let entries = &self.segments[segment as usize].entries;
        let bucket = entries.iter_hash_buckets(spread(hash)).next()?;
        Some(Position { segment, bucket })
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
        let mut halves = [(); 2].map(|()| HashTable::with_capacity(SEGMENT_ENTRIES_MAX));
        let mut any_hash = 0;
        for entry in entries {
            let hash = hasher.hash(&entry.key);
            any_hash = hash;
            let half = &mut halves[(hash >> (63 - depth) & 1) as usize];
            half.insert_unique(spread(hash), entry, |entry| spread(hasher.hash(&entry.key)));
        }
        let [low_entries, high_entries] = halves;
        self.segments[low as usize] = Segment { entries: low_entries, depth: depth + 1 };
        self.segments.push(Segment { entries: high_entries, depth: depth + 1 });
        let slots = 1 << (self.depth - depth);
        let first = self.slot(any_hash) & !(slots - 1);
        self.directory[first + slots / 2..first + slots].fill(high);
    }
}
