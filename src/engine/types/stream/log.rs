//! The entries of a stream, in order of their ids, appended at the end and mostly trimmed at the
//! front.
//!
//! Entries lie packed in blocks of about [`BLOCK_BYTES`]; a block lists the ids and ends of its
//! entries, so that a search is two bisections. An entry's content is opaque here except for
//! [`Entry::fields`]. Invariants: no block is without live entries; ids rise strictly, and none
//! exceeds `last_id`.

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

/// What an entry costs beside its fields: its id and its end.
const ENTRY_OVERHEAD_BYTES: usize = 20;

/// The largest entry that a stream takes: as Redis, which keeps offsets within a block in 32 bits
/// too.
pub const ENTRY_BYTES_MAX: usize = 1 << 30;

#[derive(Clone, Default)]
pub struct StreamLog {
    blocks: VecDeque<Block>,
    len: usize,
    /// The sum of the packed sizes of all entries.
    entry_bytes: usize,
    last_id: StreamId,
    entries_added: u64,
    max_deleted_id: StreamId,
}

/// Invariant: `ids` and `ends` are as long as each other and longer than `head`; entry `i` is
/// `bytes[ends[i - 1]..ends[i]]`.
#[derive(Clone, Debug, Default)]
struct Block {
    ids: Vec<StreamId>,
    ends: Vec<u32>,
    bytes: Vec<u8>,
    /// Entries at the front that are gone. Trimming one entry moves this, not the block.
    head: usize,
}

/// One entry of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub id: StreamId,
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
        self.blocks.back().map(Block::last_id)
    }

    /// The entry of this id, if it is still there.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let (index, entry) = self.seek(|other| other < id);
        let block = self.blocks.get(index)?;
        (block.ids[entry] == id).then(|| block.entry(entry))
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
        if self.blocks.back().is_none_or(Block::is_full) {
            self.blocks.push_back(Block::default());
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
        if block.ids[entry] != id {
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
                self.entry_bytes -= block.live_bytes();
                self.blocks.pop_front();
                rest -= live;
            } else {
                let before = block.live_bytes();
                block.head += rest;
                self.entry_bytes -= before - block.live_bytes();
                rest = 0;
            }
        }
        self.len -= count;
    }

    /// The block and the entry in it of the first id for which `before` does not hold.
    fn seek(&self, before: impl Fn(StreamId) -> bool) -> (usize, usize) {
        let index = self.blocks.partition_point(|block| before(block.last_id()));
        let entry = self.blocks.get(index).map_or(0, |block| {
            block.head + block.ids[block.head..].partition_point(|&id| before(id))
        });
        (index, entry)
    }
}

impl Block {
    fn live(&self) -> usize {
        self.ids.len() - self.head
    }

    fn first_id(&self) -> StreamId {
        self.ids[self.head]
    }

    fn last_id(&self) -> StreamId {
        *self.ids.last().expect("invariant: blocks are not empty")
    }

    fn is_full(&self) -> bool {
        self.ids.len() >= BLOCK_ENTRIES || self.bytes.len() >= BLOCK_BYTES
    }

    fn start(&self, entry: usize) -> usize {
        entry.checked_sub(1).map_or(0, |previous| self.ends[previous] as usize)
    }

    fn live_bytes(&self) -> usize {
        self.bytes.len() - self.start(self.head)
    }

    fn entry(&self, entry: usize) -> Entry<'_> {
        let packed = &self.bytes[self.start(entry)..self.ends[entry] as usize];
        Entry { id: self.ids[entry], packed }
    }

    /// The size of the entry as packed.
    fn append(&mut self, id: StreamId, fields: &[&[u8]]) -> usize {
        let start = self.bytes.len();
        push_number(&mut self.bytes, fields.len());
        for field in fields {
            push_number(&mut self.bytes, field.len());
            self.bytes.extend_from_slice(field);
        }
        let end = u32::try_from(self.bytes.len()).expect("invariant: entries are below 1 GiB");
        self.ids.push(id);
        self.ends.push(end);
        self.bytes.len() - start
    }

    /// The size of the entry as packed.
    fn remove(&mut self, entry: usize) -> usize {
        let (start, end) = (self.start(entry), self.ends[entry] as usize);
        if entry == self.head {
            self.head += 1;
        } else {
            self.bytes.drain(start..end);
            self.ids.remove(entry);
            self.ends.remove(entry);
            for later in &mut self.ends[entry..] {
                *later -= (end - start) as u32;
            }
        }
        end - start
    }
}

impl<'a> Entry<'a> {
    /// How many fields and values there are together.
    pub fn field_count(&self) -> usize {
        take_number(&mut { self.packed })
    }

    /// Fields and values in turn.
    pub fn fields(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.packed;
        let count = take_number(&mut rest);
        (0..count).map(move |_| {
            let len = take_number(&mut rest);
            let (field, tail) = rest.split_at(len);
            rest = tail;
            field
        })
    }
}

/// Seven bits a byte, the lowest first; the high bit tells that more follow.
fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> usize {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let (&byte, rest) = bytes.split_first().expect("invariant: entries are whole");
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
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
        if self.front.1 == block.ids.len() {
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
            self.back = (self.back.0 - 1, self.blocks[self.back.0 - 1].ids.len());
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
