//! A walk over all databases as they were at one moment, while they change.
//!
//! No copy is made at the mark, the index of the entry after which the walk began. The walk goes
//! by database and hash, piece by piece. A key that is changed or removed before the walk has come
//! to it leaves its entry behind as it was: the walk visits these displaced entries first. Whether
//! an entry is from before the mark its version tells, which moves past the mark with the first
//! change; so each entry is displaced once at most, and what is newer than the mark is passed over.
//! Hash order does not depend on how segments split, so growth while the walk is on changes
//! nothing. A flush hands whole tables over. A swap of databases moves tables between numbers; the
//! walk goes by the numbers that they had at the mark.

use std::collections::VecDeque;
use std::hint::black_box;
use std::mem;
use std::ops::ControlFlow;

use super::{DATABASE_COUNT, Entry, Keyspace, Segment, Table};
use crate::engine::value::Value;

/// How many segments one call looks at, so that a call is short even where all keys are newer than
/// the mark: some 50 µs.
const SEGMENTS_PER_CALL: usize = 16;

/// How many displaced entries of a walk that was ended early are freed per log entry: about 50 µs.
const FREED_PER_ENTRY: usize = 1000;

/// Whether there is more to visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkProgress {
    Walking,
    /// All was visited, and the walk is over.
    Complete,
}

pub(super) struct Walk {
    /// Entries of at most this version are as they were.
    mark: u64,
    /// What is before this database and hash was visited.
    next: (u8, u64),
    displaced: VecDeque<Displaced>,
    displaced_bytes: usize,
    flushed: Vec<Flushed>,
    /// One bit per database that was flushed: what it holds now is newer than the mark.
    flushed_databases: u16,
    /// By the number that a database has now, the number that it had at the mark: that is meant
    /// wherever the walk speaks of a database.
    numbers: [u8; DATABASE_COUNT as usize],
}

/// An entry that the table holds no more, as it was at the mark.
#[derive(Debug)]
pub(super) struct Displaced {
    database: u8,
    /// What it counts as displaced: 0 for those of flushed tables, which are no copies.
    bytes: usize,
    entry: Entry,
}

/// The table of a flushed database, of which hashes from `from` on were not visited.
struct Flushed {
    database: u8,
    from: u64,
    segments: Vec<Segment>,
}

impl Walk {
    fn new(mark: u64) -> Self {
        Self {
            mark,
            next: (0, 0),
            displaced: VecDeque::new(),
            displaced_bytes: 0,
            flushed: Vec::new(),
            flushed_databases: 0,
            numbers: std::array::from_fn(|database| database as u8),
        }
    }

    /// Whether the walk has yet to visit `entry` as it is now.
    #[inline]
    pub fn needs(&self, database: u8, hash: u64, entry: &Entry) -> bool {
        entry.version() <= self.mark && (self.number(database), hash) >= self.next
    }

    #[inline]
    fn number(&self, database: u8) -> u8 {
        self.numbers[usize::from(database)]
    }

    /// Two databases exchange all that they hold.
    pub fn swap(&mut self, first: u8, second: u8) {
        self.numbers.swap(first.into(), second.into());
    }

    /// Takes an entry that has left its table.
    pub fn keep(&mut self, database: u8, entry: Entry) {
        let (database, bytes) = (self.number(database), entry.bytes());
        self.displaced_bytes += bytes;
        self.displaced.push_back(Displaced { database, bytes, entry });
    }

    /// Takes an entry as it is, since it is about to change.
    #[cold]
    pub fn keep_copy(&mut self, database: u8, entry: &Entry) {
        let Entry { key, value, deadline_ms, .. } = entry;
        let (key, value) = (key.clone(), value.clone());
        self.keep(database, Entry::new(key, value, *deadline_ms, entry.version()));
    }

    /// Gives `entry` another value, and takes it as it was.
    #[cold]
    pub fn exchange(&mut self, database: u8, entry: &mut Entry, value: Value) {
        let (deadline_ms, version) = (entry.deadline_ms, entry.version());
        let (key, value) = (entry.key.clone(), mem::replace(&mut entry.value, value));
        self.keep(database, Entry::new(key, value, deadline_ms, version));
    }

    /// Takes the segments of a database that is emptied; gives back those that it does not need.
    pub fn flush(&mut self, database: u8, segments: Vec<Segment>) -> Vec<Segment> {
        let database = self.number(database);
        let is_flushed = self.flushed_databases & 1 << database != 0;
        if is_flushed || database < self.next.0 {
            return segments;
        }
        let from = if database == self.next.0 { self.next.1 } else { 0 };
        self.flushed_databases |= 1 << database;
        self.flushed.push(Flushed { database, from, segments });
        Vec::new()
    }

    /// Makes displaced entries of one segment of a flushed table. False if there is none.
    fn take_flushed(&mut self, hash_of: impl Fn(&Entry) -> u64) -> bool {
        let Some(flushed) = self.flushed.last_mut() else { return false };
        let Some(segment) = flushed.segments.pop() else {
            self.flushed.pop();
            return true;
        };
        let (database, from, mark) = (flushed.database, flushed.from, self.mark);
        let needed = |entry: &Entry| entry.version() <= mark && hash_of(entry) >= from;
        let entries = segment.into_entries().into_iter().filter(needed);
        self.displaced.extend(entries.map(|entry| Displaced { database, bytes: 0, entry }));
        true
    }

    /// Visits displaced entries until there are none or the visitor has enough.
    fn visit_displaced(
        &mut self,
        visit: &mut impl FnMut(u8, &Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while let Some(Displaced { database, bytes, entry }) = self.displaced.pop_front() {
            self.displaced_bytes -= bytes;
            visit(database, &entry)?;
        }
        ControlFlow::Continue(())
    }

    /// Visits what a segment of `table`, the one that comes next, holds from before the mark.
    fn visit_segment(
        &mut self,
        table: &Table,
        hash_of: impl Fn(&Entry) -> u64,
        visit: &mut impl FnMut(u8, &Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (database, from) = self.next;
        let (entries, end) = table.range_of(from);
        let old = entries.iter().filter(|entry| entry.version() <= self.mark);
        let mut found: Vec<(u64, &Entry)> = old.map(|entry| (hash_of(entry), entry)).collect();
        found.retain(|(hash, _)| *hash >= from);
        found.sort_unstable_by_key(|(hash, _)| *hash);
        // All at once, so that their cache misses overlap.
        black_box(found.iter().fold(0, |seen, (_, entry)| seen ^ entry.value.touch()));
        let mut has_enough = ControlFlow::Continue(());
        for (position, (hash, entry)) in found.iter().enumerate() {
            has_enough = visit(database, entry);
            // Entries with equal hashes go together, since the place is told by a hash.
            let is_last = found.get(position + 1).is_none_or(|(next, _)| next != hash);
            if has_enough.is_break() && is_last && position + 1 < found.len() {
                self.next = (database, hash + 1);
                return has_enough;
            }
        }
        self.next = end.map_or((database + 1, 0), |end| (database, end));
        has_enough
    }
}

/// What is no longer needed, freed bit by bit.
#[derive(Debug, Default)]
pub(super) struct Condemned {
    segments: Vec<Segment>,
    entries: VecDeque<Displaced>,
}

/// How many segments of flushed databases are freed per entry: each is up to 900 allocations, 50
/// µs.
const CONDEMNED_PER_ENTRY: usize = 2;

impl Condemned {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.entries.is_empty()
    }

    pub fn add(&mut self, mut segments: Vec<Segment>) {
        self.segments.append(&mut segments);
    }

    pub fn append(&mut self, mut other: Self) {
        self.segments.append(&mut other.segments);
        self.entries.append(&mut other.entries);
    }

    /// How many keys there are in it.
    pub fn len(&self) -> usize {
        self.segments.iter().map(Segment::len).sum::<usize>() + self.entries.len()
    }

    pub fn free_some(&mut self) {
        if self.is_empty() {
            return;
        }
        self.segments.truncate(self.segments.len().saturating_sub(CONDEMNED_PER_ENTRY));
        self.entries.truncate(self.entries.len().saturating_sub(FREED_PER_ENTRY));
    }

    fn end(&mut self, walk: Walk) {
        walk.flushed.into_iter().for_each(|flushed| self.add(flushed.segments));
        self.entries.extend(walk.displaced);
    }
}

impl Keyspace {
    /// Begins a walk over all entries as they are now, between two log entries. One that is on is
    /// ended.
    pub fn begin_walk(&mut self) {
        self.end_walk();
        self.walk = Some(Box::new(Walk::new(self.version)));
    }

    /// Ends the walk early, if there is one.
    pub fn end_walk(&mut self) {
        if let Some(walk) = self.walk.take() {
            self.condemned.end(*walk);
        }
    }

    /// Keys of flushed databases, or of former values, whose memory is yet to be given back.
    pub fn condemned_len(&self) -> usize {
        self.condemned.len()
    }

    /// About how many bytes are held only because the walk has yet to visit them.
    pub fn displaced_bytes(&self) -> usize {
        self.walk.as_ref().map_or(0, |walk| walk.displaced_bytes)
    }

    /// Visits some entries as they were when the walk began, each once over all calls, those among
    /// them that were due but not yet removed. Goes on until the visitor breaks, but not for long.
    /// Without a walk all is visited.
    pub fn walk_some(
        &mut self,
        mut visit: impl FnMut(u8, &Entry) -> ControlFlow<()>,
    ) -> WalkProgress {
        let Some(walk) = &mut self.walk else { return WalkProgress::Complete };
        let hash_of = |entry: &Entry| self.hasher.hash(&entry.key);
        for _ in 0..SEGMENTS_PER_CALL {
            if walk.visit_displaced(&mut visit).is_break() {
                return WalkProgress::Walking;
            }
            if walk.take_flushed(hash_of) {
                continue;
            }
            let database = walk.next.0;
            if database == DATABASE_COUNT {
                self.walk = None;
                return WalkProgress::Complete;
            }
            let place = walk.numbers.iter().position(|number| *number == database);
            let place = place.expect("invariant: a swap keeps all numbers");
            let table = &self.databases[place].table;
            if walk.visit_segment(table, hash_of, &mut visit).is_break() {
                return WalkProgress::Walking;
            }
        }
        WalkProgress::Walking
    }
}
