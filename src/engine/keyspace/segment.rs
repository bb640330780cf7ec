//! The table of one database: extendible hashing. The top bits of a key's hash index a directory,
//! whose slots point to segments of bounded size; a full segment splits in two by its next bit.
//! So the work of one insertion is bounded by one segment, however large the table.
//!
//! A segment holds a contiguous range of hashes, and segments never merge. One that lost most of
//! its entries gives its memory back.
//!
//! The segments of a table are about equally full, from half to all, so free room in them would be
//! free room everywhere. Hence only small numbers lie in a hash table; the entries lie in chunks of
//! one page, of which the last one alone has room. With the entries in the hash table 3 million
//! keys of 16 bytes with small values took 127 bytes each, and in a vector that grows by an eighth
//! 121, most of it room that the allocator had for vectors of former sizes; here they take 86.

use std::cell::Cell;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_micro_inline};

use super::memory::DEADLINE_BYTES;
use super::numbers::Numbers;
use super::usage::{USAGE_BITS, USAGE_MASK};
use crate::engine::bytes::SmallBytes;
use crate::engine::value::Value;
use crate::raft::types::Millis;

/// Exactly the load of 1,024 buckets. A split moves half of it, about 20 µs.
const SEGMENT_ENTRIES_MAX: usize = 896;

/// A segment that fell below this share of its capacity shrinks.
const SHRINK_BELOW: usize = 8;

/// Entries of a chunk: 4,096 bytes.
const CHUNK_ENTRIES: usize = 1 << PLACE_BITS;

/// A number of an entry is that of its chunk, and in so many low bits its place there.
const PLACE_BITS: u32 = 6;

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
    /// Index of the log entry that last changed the key, and below it what this node knows of the
    /// uses of the key. There is room for 2^44 entries: 11 years with 50,000 a second.
    stamp: Cell<u64>,
}

impl Entry {
    pub fn new(key: SmallBytes, value: Value, deadline_ms: Millis, version: u64) -> Self {
        Self { key, value, deadline_ms, stamp: Cell::new(version << USAGE_BITS) }
    }

    /// Index of the log entry that last changed the key.
    #[inline]
    pub fn version(&self) -> u64 {
        self.stamp.get() >> USAGE_BITS
    }

    #[inline]
    pub(super) fn set_version(&mut self, version: u64) {
        self.stamp.set(version << USAGE_BITS | self.usage());
    }

    #[inline]
    pub(super) fn usage(&self) -> u64 {
        self.stamp.get() & USAGE_MASK
    }

    #[inline]
    pub(super) fn set_usage(&self, usage: u64) {
        self.stamp.set(self.stamp.get() & !USAGE_MASK | usage);
    }

    /// What it counts: a function of what it holds, the same on every node.
    #[inline]
    pub fn bytes(&self) -> usize {
        let of_value = match &self.value {
            Value::String(string) => string.heap_bytes(),
            Value::List(list) => list.bytes(),
            Value::Set(set) => set.bytes(),
            Value::Hash(hash) => hash.bytes(),
            Value::SortedSet(sorted_set) => sorted_set.bytes(),
            Value::Stream(stream) => stream.bytes(),
        };
        let of_deadline = if self.deadline_ms != 0 { DEADLINE_BYTES } else { 0 };
        size_of::<Self>() + self.key.heap_bytes() + of_value + of_deadline
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
    number: u32,
}

#[derive(Debug, Default)]
pub(super) struct Segment {
    /// By hash: the numbers of all entries.
    numbers: Numbers,
    entries: Entries,
    /// How many top bits all hashes here have in common.
    depth: u32,
}

/// Entries side by side. Invariant: all chunks but the last are full, and none is empty.
#[derive(Debug, Default)]
pub(super) struct Entries(Vec<Vec<Entry>>);

impl Entries {
    pub fn len(&self) -> usize {
        let last = self.0.last().map_or(0, Vec::len);
        self.0.len().saturating_sub(1) * CHUNK_ENTRIES + last
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().flatten()
    }

    /// How many there is room for.
    pub fn capacity(&self) -> usize {
        self.0.len() * CHUNK_ENTRIES
    }

    /// The entry that comes at this place of [`Entries::iter`].
    pub fn get(&self, place: usize) -> Option<&Entry> {
        self.0.get(place / CHUNK_ENTRIES)?.get(place % CHUNK_ENTRIES)
    }

    /// Precondition: there is an entry of this number.
    #[inline]
    fn at(&self, number: u32) -> &Entry {
        &self.0[(number >> PLACE_BITS) as usize][place(number)]
    }

    /// Precondition: as for [`Entries::at`].
    #[inline]
    fn at_mut(&mut self, number: u32) -> &mut Entry {
        &mut self.0[(number >> PLACE_BITS) as usize][place(number)]
    }

    /// Returns the number of the entry.
    #[inline]
    fn push(&mut self, entry: Entry) -> u32 {
        if self.0.last().is_none_or(|chunk| chunk.len() == CHUNK_ENTRIES) {
            // The first one of a table grows by doubling, to just the same size.
            let capacity = if self.0.is_empty() { 0 } else { CHUNK_ENTRIES };
            self.0.push(Vec::with_capacity(capacity));
        }
        let last = self.0.len() - 1;
        let chunk = &mut self.0[last];
        chunk.push(entry);
        number(last, chunk.len() - 1)
    }

    fn last_number(&self) -> Option<u32> {
        Some(number(self.0.len() - 1, self.0.last()?.len() - 1))
    }

    /// Takes an entry away; the last one takes its place. Precondition: as for [`Entries::at`].
    fn swap_remove(&mut self, number: u32) -> Entry {
        let last = self.0.last_mut().and_then(Vec::pop);
        let last = last.expect("invariant: no chunk is empty");
        if self.0.last().is_some_and(Vec::is_empty) {
            self.0.pop();
        }
        let chunk = self.0.get_mut((number >> PLACE_BITS) as usize);
        match chunk.and_then(|chunk| chunk.get_mut(place(number))) {
            Some(entry) => std::mem::replace(entry, last),
            None => last,
        }
    }
}

impl IntoIterator for Entries {
    type Item = Entry;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Vec<Entry>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

#[inline]
fn place(number: u32) -> usize {
    number as usize % CHUNK_ENTRIES
}

fn number(chunk: usize, place: usize) -> u32 {
    let chunk = u32::try_from(chunk).ok().filter(|chunk| *chunk < Numbers::MAX >> PLACE_BITS);
    // A segment of 2^24 entries splits whatever its depth.
    chunk.expect("invariant: so many hashes never agree") << PLACE_BITS | place as u32
}

impl Segment {
    /// One half of a full segment, which will fill again.
    fn half(depth: u32) -> Self {
        let numbers = Numbers::with_capacity(SEGMENT_ENTRIES_MAX / 2);
        Self { numbers, entries: Entries::default(), depth }
    }

    pub fn into_entries(self) -> Entries {
        self.entries
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let is_it = |number: &u32| self.entries.at(*number).key.as_slice() == key;
        self.numbers.with_hash(hash).find(is_it)
    }

    #[inline]
    fn insert(&mut self, hasher: &Hasher, hash: u64, entry: Entry) -> u32 {
        let number = self.entries.push(entry);
        let entries = &self.entries;
        self.numbers.insert(hash, number, |other| hasher.hash(&entries.at(other).key));
        number
    }

    /// Precondition: there is an entry of this number. The last entry takes its place.
    fn remove(&mut self, hasher: &Hasher, number: u32) -> Entry {
        let last = self.entries.last_number();
        let entry = self.entries.swap_remove(number);
        let is_removed = self.numbers.remove(hasher.hash(&entry.key), number);
        assert!(is_removed, "invariant: every entry has its number");
        if let Some(last) = last.filter(|last| *last != number) {
            let hash = hasher.hash(&self.entries.at(number).key);
            let is_replaced = self.numbers.replace(hash, last, number);
            assert!(is_replaced, "invariant: every entry has its number");
        }
        if self.numbers.len() < self.numbers.capacity() / SHRINK_BELOW {
            let entries = &self.entries;
            let wanted = self.numbers.len() * 2;
            self.numbers.rebuild(wanted, |other| hasher.hash(&entries.at(other).key));
        }
        entry
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
        let segments = vec![Segment::default()];
        Self { directory: vec![0], segments, depth: 0, len: 0 }
    }
}

impl Segment {
    pub fn len(&self) -> usize {
        self.entries.len()
    }
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
        segment.find(hash, key).map(|number| segment.entries.at(number))
    }

    #[inline]
    pub fn position(&self, hash: u64, key: &[u8]) -> Option<Position> {
        let segment = self.segment_of(hash);
        let number = self.segments[segment as usize].find(hash, key)?;
        Some(Position { segment, number })
    }

    /// Precondition: the table did not change since `position` was found.
    #[inline]
    pub fn at(&self, position: Position) -> &Entry {
        self.segments[position.segment as usize].entries.at(position.number)
    }

    /// Precondition: as for [`Table::at`].
    #[inline]
    pub fn at_mut(&mut self, position: Position) -> &mut Entry {
        self.segments[position.segment as usize].entries.at_mut(position.number)
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
        let number = self.segments[segment as usize].insert(hasher, hash, entry);
        Position { segment, number }
    }

    /// Precondition: as for [`Table::at`].
    pub fn remove(&mut self, hasher: &Hasher, position: Position) -> Entry {
        self.len -= 1;
        self.segments[position.segment as usize].remove(hasher, position.number)
    }

    /// All entries that may have this hash, and perhaps others of their segment.
    pub fn with_hash(&self, hash: u64) -> impl Iterator<Item = &Entry> {
        let segment = &self.segments[self.segment_of(hash) as usize];
        segment.numbers.with_hash(hash).map(|number| segment.entries.at(number))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.segments.iter().flat_map(|segment| segment.entries.iter())
    }

    /// The entries of each segment.
    pub fn segments(&self) -> impl Iterator<Item = &Entries> {
        self.segments.iter().map(|segment| &segment.entries)
    }

    /// The entries of the segment whose range holds `hash`, and the first hash after its range.
    pub fn range_of(&self, hash: u64) -> (&Entries, Option<u64>) {
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
        let number = self.segments[segment as usize].numbers.with_hash(hash).next()?;
        Some(Position { segment, number })
    }

    /// Reads where the search for this hash begins.
    #[inline]
    pub fn touch(&self, hash: u64) -> u32 {
        self.segments[self.segment_of(hash) as usize].numbers.touch(hash)
    }

    /// Reads where the entries are of which one is at this position. Precondition: as for
    /// [`Table::at`].
    #[inline]
    pub fn touch_chunk(&self, position: Position) -> usize {
        let chunks = &self.segments[position.segment as usize].entries.0;
        chunks[(position.number >> PLACE_BITS) as usize].len()
    }

    pub fn into_segments(self) -> Vec<Segment> {
        self.segments
    }

    fn may_split(&self, segment: u32) -> bool {
        let Segment { entries, depth, .. } = &self.segments[segment as usize];
        let is_huge = entries.len() as u32 >= Numbers::MAX / 2;
        *depth < self.segments.len().ilog2() + EXCESS_DEPTH_MAX || is_huge && *depth < u64::BITS - 1
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
        let mut halves = [(); 2].map(|()| Segment::half(depth + 1));
        let mut any_hash = 0;
        for entry in entries {
            let hash = hasher.hash(&entry.key);
            any_hash = hash;
            halves[(hash >> (63 - depth) & 1) as usize].insert(hasher, hash, entry);
        }
        let [low_half, high_half] = halves;
        self.segments[low as usize] = low_half;
        self.segments.push(high_half);
        let slots = 1 << (self.depth - depth);
        let first = self.slot(any_hash) & !(slots - 1);
        self.directory[first + slots / 2..first + slots].fill(high);
    }
}
