//! The entries of a stream, in order of their ids, appended at the end and mostly trimmed at the
//! front.
//!
//! Entries lie packed in blocks of about [`BLOCK_BYTES`]; a block lists where its entries begin, so
//! that a search is two bisections. Ids are kept less that of the first entry of the block, and
//! entries with the same fields as that one have their values only. How entries lie in blocks
//! depends on what was deleted when, and is not the same on every node; nothing else does.
//!
//! Invariants: no block is without live entries; ids rise strictly, and none exceeds `last_id`.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::StreamId;

/// A block takes no more entries once it holds this many bytes: as `stream-node-max-bytes` of
/// Redis, a page.
const BLOCK_BYTES: usize = 4096;

/// As `stream-node-max-entries` of Redis, for entries of a few bytes.
const BLOCK_ENTRIES: usize = 100;

/// What an entry counts beside its fields.
const ENTRY_OVERHEAD_BYTES: usize = 20;

/// The largest entry that a stream takes: as Redis, which keeps offsets within a block in 32 bits
/// too.
pub const ENTRY_BYTES_MAX: usize = 1 << 30;

#[derive(Clone, Default)]
pub struct StreamLog {
    blocks: VecDeque<Block>,
    len: usize,
    /// What the fields of all entries count, see [`size_of_fields`].
    entry_bytes: usize,
    last_id: StreamId,
    entries_added: u64,
    max_deleted_id: StreamId,
}

/// An entry is its id, as two numbers less those of `base`, the second one as it is if the first
/// is not 0; then 0 and its values, if its fields are the common ones, else the number of its
/// fields and values and one more, and all of them in turn.
///
/// Invariant: `starts` has more entries than `head`.
#[derive(Clone, Debug)]
struct Block {
    base: StreamId,
    last_id: StreamId,
    /// The fields of the first entry, after the number of its fields and values.
    common: Box<[u8]>,
    starts: Vec<u32>,
    bytes: Vec<u8>,
    /// What the fields of the live entries count.
    live_bytes: usize,
    /// Entries at the front that are gone. Trimming one entry moves this, not the block.
    head: usize,
}

/// One entry of a stream.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub id: StreamId,
    /// How many fields and values there are together.
    count: usize,
    /// The fields, where they stand apart from the values.
    common: Option<&'a [u8]>,
    packed: &'a [u8],
}

impl StreamLog {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Logical memory, the same on every node.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.entry_bytes + self.len * ENTRY_OVERHEAD_BYTES
    }

    /// The greatest id ever added, unless the counters were set otherwise.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The id of the first entry that is still there.
    pub fn first_id(&self) -> Option<StreamId> {
        self.blocks.front().map(Block::first_id)
    }

    /// The id of the last entry that is still there.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.blocks.back().map(|block| block.last_id)
    }

    /// The entry of this id, if it is still there.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let (index, entry) = self.seek(|other| other < id);
        let block = self.blocks.get(index)?;
        Some(block.entry(entry)).filter(|entry| entry.id == id)
    }

    /// How many blocks of `BLOCK_ENTRIES` the entries fill. How many they really take depends on
    /// what was deleted where, and is not the same on every node.
    pub fn full_blocks(&self) -> usize {
        self.len.div_ceil(BLOCK_ENTRIES)
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// The greatest id that was deleted by name; trimming does not count.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// What is known beside the entries themselves; false, and nothing changes, when that cannot
    /// be: no entry may come after `last_id`.
    #[must_use]
    pub fn set_counters(
        &mut self,
        last_id: StreamId,
        entries_added: u64,
        max_deleted_id: StreamId,
    ) -> bool {
        if self.last_entry_id().is_some_and(|last| last > last_id) {
            return false;
        }
        (self.last_id, self.entries_added) = (last_id, entries_added);
        self.max_deleted_id = max_deleted_id;
        true
    }

    /// Preconditions: `id` is greater than `last_id`; the sizes of all fields together
    /// are at most [`ENTRY_BYTES_MAX`].
    pub fn append(&mut self, id: StreamId, fields: &[&[u8]]) {
        assert!(id > self.last_id);
        match self.blocks.back() {
            None => self.blocks.push_back(Block::new(id, fields)),
            Some(last) if last.is_full() => {
                let block = Block::new(id, fields).with_room_of(last);
                self.blocks.push_back(block);
            }
            Some(_) => {}
        }
        let block = self.blocks.back_mut().expect("invariant: pushed above");
        self.entry_bytes += block.append(id, fields);
        self.len += 1;
        self.last_id = id;
        self.entries_added = self.entries_added.wrapping_add(1);
    }

    /// The entries from one id to another, both inclusive.
    pub fn range(&self, min: StreamId, max: StreamId) -> Entries<'_> {
        let front = self.seek(|id| id < min);
        let back = self.seek(|id| id <= max);
        // Bounds in the wrong order enclose nothing.
        Entries { blocks: &self.blocks, front: front.min(back), back }
    }

    /// Deletes an entry; tells whether it was there.
    pub fn remove(&mut self, id: StreamId) -> bool {
        let (index, entry) = self.seek(|other| other < id);
        let Some(block) = self.blocks.get_mut(index) else {
            return false;
        };
        if block.entry(entry).id != id {
            return false;
        }
        self.entry_bytes -= block.remove(entry);
        if block.live() == 0 {
            self.blocks.remove(index);
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        true
    }

    /// Drops entries from the front until `len` are left, `limit` of them at most; tells how many.
    pub fn trim_to_len(&mut self, len: usize, limit: usize) -> usize {
        let count = self.len.saturating_sub(len).min(limit);
        self.trim(count);
        count
    }

    /// Drops the entries before `id` from the front, `limit` of them at most; tells how many.
    pub fn trim_before(&mut self, id: StreamId, limit: usize) -> usize {
        let (index, entry) = self.seek(|other| other < id);
        let mut count: usize = self.blocks.iter().take(index).map(Block::live).sum();
        if let Some(block) = self.blocks.get(index) {
            count += entry - block.head;
        }
        let count = count.min(limit);
        self.trim(count);
        count
    }

    /// Precondition: `count` is at most the length.
    fn trim(&mut self, count: usize) {
        let mut rest = count;
        while rest > 0 {
            let block = self.blocks.front_mut().expect("invariant: the length counts live entries");
            let live = block.live();
            if live <= rest {
                self.entry_bytes -= block.live_bytes;
                self.blocks.pop_front();
                rest -= live;
            } else {
                self.entry_bytes -= block.trim(rest);
                rest = 0;
            }
        }
        self.len -= count;
    }

    /// The block and the entry in it of the first id for which `before` does not hold.
    fn seek(&self, before: impl Fn(StreamId) -> bool) -> (usize, usize) {
        let index = self.blocks.partition_point(|block| before(block.last_id));
        let entry = self.blocks.get(index).map_or(0, |block| block.seek(before));
        (index, entry)
    }
}

impl Block {
    /// An empty one, for a first entry with this id and these fields.
    fn new(base: StreamId, fields: &[&[u8]]) -> Self {
        let names = || fields.iter().step_by(2);
        let count = fields.len() as u64;
        let size = number_size(count) + names().map(|name| string_size(name)).sum::<usize>();
        let mut common = Vec::with_capacity(size);
        push_number(&mut common, count);
        names().for_each(|name| push_string(&mut common, name));
        Self {
            base,
            last_id: base,
            common: common.into_boxed_slice(),
            starts: Vec::new(),
            bytes: Vec::new(),
            live_bytes: 0,
            head: 0,
        }
    }

    /// Blocks of one stream take about as much each, unless an entry was large.
    fn with_room_of(mut self, other: &Self) -> Self {
        self.starts.reserve_exact(other.starts.len());
        self.bytes.reserve_exact(other.bytes.len().min(BLOCK_BYTES * 2));
        self
    }

    fn live(&self) -> usize {
        self.starts.len() - self.head
    }

    fn first_id(&self) -> StreamId {
        self.entry(self.head).id
    }

    fn is_full(&self) -> bool {
        self.starts.len() >= BLOCK_ENTRIES || self.bytes.len() >= BLOCK_BYTES
    }

    /// The id that begins at `rest`, which is left behind it.
    #[inline]
    fn take_id(&self, rest: &mut &[u8]) -> StreamId {
        let (ms, seq) = (take_number(rest), take_number(rest));
        let seq = if ms == 0 { self.base.seq + seq } else { seq };
        StreamId { ms: self.base.ms + ms, seq }
    }

    fn entry(&self, entry: usize) -> Entry<'_> {
        let mut packed = &self.bytes[self.starts[entry] as usize..];
        let id = self.take_id(&mut packed);
        match take_number(&mut packed) {
            0 => {
                let mut common = &*self.common;
                let count = take_number(&mut common) as usize;
                Entry { id, count, common: Some(common), packed }
            }
            above => Entry { id, count: above as usize - 1, common: None, packed },
        }
    }

    /// The first live entry for whose id `before` does not hold. Precondition: there is one.
    fn seek(&self, before: impl Fn(StreamId) -> bool) -> usize {
        let is_before = |start: &u32| before(self.take_id(&mut &self.bytes[*start as usize..]));
        let live = &self.starts[self.head..];
        if !is_before(&live[0]) {
            return self.head;
        }
        self.head + live.partition_point(is_before)
    }

    fn has_common(&self, fields: &[&[u8]]) -> bool {
        let mut common = &*self.common;
        take_number(&mut common) == fields.len() as u64
            && fields.iter().step_by(2).all(|field| take_string(&mut common) == *field)
    }

    /// What the fields of the entry count.
    fn append(&mut self, id: StreamId, fields: &[&[u8]]) -> usize {
        let ms = id.ms - self.base.ms;
        let seq = if ms == 0 { id.seq - self.base.seq } else { id.seq };
        let (mark, first, step) =
            if self.has_common(fields) { (0, 1, 2) } else { (fields.len() as u64 + 1, 0, 1) };
        let strings = || fields.iter().skip(first).step_by(step);
        let numbers = [ms, seq, mark];
        let size = numbers.map(number_size).iter().sum::<usize>()
            + strings().map(|string| string_size(string)).sum::<usize>();
        let start = u32::try_from(self.bytes.len()).expect("invariant: entries are below 1 GiB");
        make_room(&mut self.starts, 1);
        self.starts.push(start);
        make_room(&mut self.bytes, size);
        numbers.iter().for_each(|number| push_number(&mut self.bytes, *number));
        strings().for_each(|string| push_string(&mut self.bytes, string));
        self.last_id = id;
        let counts = size_of_fields(fields.iter().copied());
        self.live_bytes += counts;
        counts
    }

    /// What the fields of the entry count.
    fn remove(&mut self, entry: usize) -> usize {
        let counts = size_of_fields(self.entry(entry).fields());
        self.live_bytes -= counts;
        if entry == self.head {
            self.head += 1;
            return counts;
        }
        let start = self.starts.remove(entry) as usize;
        let end = self.starts.get(entry).map_or(self.bytes.len(), |next| *next as usize);
        self.bytes.drain(start..end);
        for later in &mut self.starts[entry..] {
            *later -= (end - start) as u32;
        }
        // The head is before the entry, so there is one left.
        self.last_id = self.entry(self.starts.len() - 1).id;
        counts
    }

    /// Drops live entries from the front; what their fields count. Precondition: more are live.
    fn trim(&mut self, count: usize) -> usize {
        let dropped = self.head..self.head + count;
        let counts = dropped.map(|entry| size_of_fields(self.entry(entry).fields())).sum();
        self.head += count;
        self.live_bytes -= counts;
        counts
    }
}

impl<'a> Entry<'a> {
    /// How many fields and values there are together.
    pub fn field_count(&self) -> usize {
        self.count
    }

    /// Fields and values in turn.
    pub fn fields(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (mut common, mut packed) = (self.common, self.packed);
        (0..self.count).map(move |index| match &mut common {
            Some(fields) if index % 2 == 0 => take_string(fields),
            _ => take_string(&mut packed),
        })
    }
}

/// By what a client can read.
impl PartialEq for Entry<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.fields().eq(other.fields())
    }
}

/// What a client can read of it.
impl fmt::Debug for Entry<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields().map(|field| field.escape_ascii().to_string());
        formatter.debug_tuple("Entry").field(&self.id).field(&fields.collect::<Vec<_>>()).finish()
    }
}

/// What fields and values count together: a function of them alone, however they lie in a block.
fn size_of_fields<'a>(fields: impl Iterator<Item = &'a [u8]>) -> usize {
    let (count, size) =
        fields.fold((0, 0), |(count, size), field| (count + 1, size + string_size(field)));
    number_size(count) + size
}

/// Makes room by a quarter of what there is, since there may be millions of short streams.
fn make_room<T>(items: &mut Vec<T>, count: usize) {
    if items.capacity() - items.len() < count {
        items.reserve_exact(count.max(items.len() / 4));
    }
}

fn push_string(bytes: &mut Vec<u8>, string: &[u8]) {
    push_number(bytes, string.len() as u64);
    bytes.extend_from_slice(string);
}

fn string_size(string: &[u8]) -> usize {
    number_size(string.len() as u64) + string.len()
}

fn take_string<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let len = take_number(bytes) as usize;
    let (string, rest) = bytes.split_at(len);
    *bytes = rest;
    string
}

/// Seven bits a byte, the lowest first; the high bit tells that more follow.
fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn number_size(number: u64) -> usize {
    (u64::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

#[inline]
fn take_number(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let (&byte, rest) = bytes.split_first().expect("invariant: entries are whole");
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
        shift += 7;
    }
}

/// The entries between two ids, from either end.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    blocks: &'a VecDeque<Block>,
    /// Block and entry in it of the next entry; past the last entry of a block it stands for the
    /// first live one of the next.
    front: (usize, usize),
    /// Block and entry in it where the range ends, exclusive.
    back: (usize, usize),
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let block = &self.blocks[self.front.0];
        let entry = block.entry(self.front.1);
        self.front.1 += 1;
        if self.front.1 == block.starts.len() {
            let head = self.blocks.get(self.front.0 + 1).map_or(0, |next| next.head);
            self.front = (self.front.0 + 1, head);
        }
        Some(entry)
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let at_start = self.blocks.get(self.back.0).is_none_or(|block| self.back.1 == block.head);
        if at_start {
            self.back = (self.back.0 - 1, self.blocks[self.back.0 - 1].starts.len());
        }
        self.back.1 -= 1;
        Some(self.blocks[self.back.0].entry(self.back.1))
    }
}

/// Shows what a client can read, not how it lies in memory.
impl fmt::Debug for StreamLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StreamLog")
            .field("last_id", &self.last_id)
            .field("entries_added", &self.entries_added)
            .field("max_deleted_id", &self.max_deleted_id)
            .field("entries", &self.range(StreamId::MIN, StreamId::MAX).collect::<Vec<_>>())
            .finish()
    }
}

/// Depends on what a client can read, not on how it lies in memory.
impl Hash for StreamLog {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.len, self.last_id, self.entries_added, self.max_deleted_id).hash(state);
        for entry in self.range(StreamId::MIN, StreamId::MAX) {
            (entry.id, entry.field_count()).hash(state);
            entry.fields().for_each(|field| field.hash(state));
        }
    }
}
