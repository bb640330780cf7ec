//! A sequence of byte strings in one allocation, open at both ends.
//!
//! Small hashes and sets are one such sequence, a list is a deque of them. It knows nothing of what
//! the strings mean. An entry is its length, its bytes, and its length again, so that it can be
//! walked from either end; a length below `WIDE` takes one byte.
//!
//! Invariant: `start <= end <= buffer.len()`, and `buffer[start..end]` is `count` whole entries.

use std::ops::Range;

/// The tag of a length in the two bytes that follow it; smaller tags are the length itself.
const WIDE: u8 = 254;
/// The tag of a length in four bytes.
const WIDEST: u8 = 255;
/// Below this a buffer that has become too large for its content is left alone.
const SHRINK_BYTES_MIN: usize = 256;
/// Below this a buffer grows by an eighth, since there may be millions of them, and the bytes that
/// are moved more often for it are few; else by a half.
const LEAN_BYTES_MAX: usize = 512;

#[derive(Clone, Debug, Default)]
pub struct Packed {
    buffer: Box<[u8]>,
    start: u32,
    end: u32,
    count: u32,
}

/// The two ends of a sequence, in Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Left,
    Right,
}

fn length_size(len: usize) -> usize {
    match len {
        _ if len < usize::from(WIDE) => 1,
        _ if len <= usize::from(u16::MAX) => 3,
        _ => 5,
    }
}

/// The bytes that an entry of `len` bytes takes.
pub fn entry_size(len: usize) -> usize {
    len + 2 * length_size(len)
}

/// Writes an entry into exactly as many bytes as it needs.
fn write_entry(target: &mut [u8], bytes: &[u8]) {
    let len = bytes.len();
    let size = length_size(len);
    target[size..size + len].copy_from_slice(bytes);
    let last = target.len() - 1;
    match size {
        1 => {
            target[0] = len as u8;
            target[last] = len as u8;
        }
        3 => {
            let coded = (len as u16).to_le_bytes();
            target[0] = WIDE;
            target[1..3].copy_from_slice(&coded);
            target[last - 2..last].copy_from_slice(&coded);
            target[last] = WIDE;
        }
        _ => {
            let coded = (len as u32).to_le_bytes();
            target[0] = WIDEST;
            target[1..5].copy_from_slice(&coded);
            target[last - 4..last].copy_from_slice(&coded);
            target[last] = WIDEST;
        }
    }
}

fn wide_length(coded: &[u8]) -> usize {
    coded.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte))
}

impl Packed {
    /// An empty sequence with room for `bytes` of entries pushed at `end`.
    pub fn with_room(bytes: usize, end: End) -> Self {
        let at = match end {
            End::Left => bytes as u32,
            End::Right => 0,
        };
        Self { buffer: vec![0; bytes].into_boxed_slice(), start: at, end: at, count: 0 }
    }

    /// An iterator over nothing.
    pub fn empty() -> Iter<'static> {
        Iter { rest: &[] }
    }

    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes that all entries take together.
    pub fn size(&self) -> usize {
        (self.end - self.start) as usize
    }

    fn content(&self) -> &[u8] {
        &self.buffer[self.start as usize..self.end as usize]
    }

    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: self.content() }
    }

    /// The entries from the one at `offset` on. Precondition: an entry begins there, or all end.
    pub fn iter_from(&self, offset: usize) -> Iter<'_> {
        Iter { rest: &self.content()[offset..] }
    }

    /// Where the entry that `iter`, an iterator of this sequence, yields next begins.
    /// Precondition: `iter` was advanced from the front only.
    pub fn offset(&self, iter: &Iter<'_>) -> usize {
        self.size() - iter.rest.len()
    }

    /// Where the entry at `index` begins. Precondition: `index <= len`.
    pub fn offset_of(&self, index: usize) -> usize {
        debug_assert!(index <= self.len());
        let mut iter = self.iter();
        if index <= self.len() / 2 {
            iter.skip_front(index);
            self.offset(&iter)
        } else {
            iter.skip_back(self.len() - index);
            iter.rest.len()
        }
    }

    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.len() {
            return None;
        }
        self.iter_from(self.offset_of(index)).next()
    }

    /// Where the first entry equal to `bytes` begins.
    pub fn find(&self, bytes: &[u8]) -> Option<usize> {
        let mut iter = self.iter();
        loop {
            let offset = self.offset(&iter);
            if iter.next()? == bytes {
                return Some(offset);
            }
        }
    }

    /// Makes room for entries of `size` bytes at the back.
    pub fn reserve(&mut self, size: usize) {
        if self.buffer.len() - (self.end as usize) < size {
            self.make_room(size, End::Right);
        }
    }

    pub fn push_back(&mut self, bytes: &[u8]) {
        let size = entry_size(bytes.len());
        self.reserve(size);
        let end = self.end as usize;
        write_entry(&mut self.buffer[end..end + size], bytes);
        self.end += size as u32;
        self.count += 1;
    }

    pub fn push_front(&mut self, bytes: &[u8]) {
        let size = entry_size(bytes.len());
        if (self.start as usize) < size {
            self.make_room(size, End::Left);
        }
        let start = self.start as usize;
        write_entry(&mut self.buffer[start - size..start], bytes);
        self.start -= size as u32;
        self.count += 1;
    }

    /// Inserts before the entry at `offset`.
    pub fn insert(&mut self, offset: usize, bytes: &[u8]) {
        let size = entry_size(bytes.len());
        let at = self.resize_gap(offset..offset, size);
        write_entry(&mut self.buffer[at..at + size], bytes);
        self.count += 1;
    }

    /// Puts `bytes` in the place of the entry at `offset`.
    pub fn replace(&mut self, offset: usize, bytes: &[u8]) {
        let size = entry_size(bytes.len());
        let at = self.resize_gap(self.extent(offset, 1), size);
        write_entry(&mut self.buffer[at..at + size], bytes);
    }

    /// Removes the entry at `offset`.
    pub fn remove(&mut self, offset: usize) {
        self.resize_gap(self.extent(offset, 1), 0);
        self.count -= 1;
        self.shrink();
    }

    /// Removes `group` entries from the one at `offset` on, and moves the last `group` entries into
    /// their place: what `swap_remove` does to a vector whose elements are groups of entries.
    /// Precondition: the sequence is whole groups.
    pub fn swap_remove(&mut self, offset: usize, group: usize) {
        let mut hole = self.extent(offset, group);
        let mut tail = self.iter();
        tail.skip_back(group);
        let last_size = self.size() - tail.rest.len();
        let (start, end) = (self.start as usize, self.end as usize);
        hole.start += start;
        hole.end += start;
        if hole.end < end {
            self.buffer[hole.end..end].rotate_right(last_size);
            self.buffer.copy_within(hole.end..end, hole.start);
        }
        self.end -= hole.len() as u32;
        self.count -= group as u32;
        self.shrink();
    }

    /// Drops `count` entries from one end. Precondition: there are so many.
    pub fn discard(&mut self, count: usize, end: End) {
        debug_assert!(count <= self.len());
        match end {
            End::Left => self.start += self.offset_of(count) as u32,
            End::Right => self.end = self.start + self.offset_of(self.len() - count) as u32,
        }
        self.count -= count as u32;
        self.shrink();
    }

    /// Keeps the entries that `keep` wants, which it sees in order.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let (mut read, mut write) = (self.start as usize, self.start as usize);
        let end = self.end as usize;
        while read < end {
            let mut iter = Iter { rest: &self.buffer[read..end] };
            let kept = keep(iter.next().expect("invariant: the content is whole entries"));
            let next = end - iter.rest.len();
            if kept {
                self.buffer.copy_within(read..next, write);
                write += next - read;
            } else {
                self.count -= 1;
            }
            read = next;
        }
        self.end = write as u32;
        self.shrink();
    }

    /// Takes the entries from `index` on. Precondition: `index <= len`.
    pub fn split_off(&mut self, index: usize) -> Self {
        let offset = self.offset_of(index);
        let tail: Box<[u8]> = self.content()[offset..].into();
        let split = Self {
            start: 0,
            end: tail.len() as u32,
            count: self.count - index as u32,
            buffer: tail,
        };
        self.discard(self.len() - index, End::Right);
        split
    }

    pub fn append(&mut self, other: &Self) {
        let size = other.size();
        self.reserve(size);
        let end = self.end as usize;
        self.buffer[end..end + size].copy_from_slice(other.content());
        self.end += size as u32;
        self.count += other.count;
    }

    /// The bytes of `entries` entries from the one at `offset` on, relative to the content.
    fn extent(&self, offset: usize, entries: usize) -> Range<usize> {
        let mut iter = self.iter_from(offset);
        iter.skip_front(entries);
        offset..self.offset(&iter)
    }

    /// Makes the bytes at `gap` of the content `size` bytes long, for the caller to fill; answers
    /// where they begin in the buffer.
    fn resize_gap(&mut self, gap: Range<usize>, size: usize) -> usize {
        if gap.len() == size {
            return self.start as usize + gap.start;
        }
        let grown = size.saturating_sub(gap.len());
        self.reserve(grown);
        let at = self.start as usize + gap.start;
        let tail = self.start as usize + gap.end;
        self.buffer.copy_within(tail..self.end as usize, at + size);
        self.end = (self.end as usize - gap.len() + size) as u32;
        at
    }

    /// Makes room for `size` bytes at one end. Whenever entries are moved, a constant part of their
    /// bytes has been pushed since they were last moved, so that a push costs O(1) on average at
    /// either end, and at both in turn.
    fn make_room(&mut self, size: usize, end: End) {
        let used = self.size();
        let wanted = used + size;
        let old = self.start as usize..self.end as usize;
        let is_roomy = self.buffer.len() / 2 >= wanted;
        let capacity = if is_roomy {
            self.buffer.len()
        } else {
            let growth = if used < LEAN_BYTES_MAX { used / 8 } else { used / 2 };
            wanted.max(used + growth).next_multiple_of(16)
        };
        assert!(u32::try_from(capacity).is_ok(), "a packed sequence is less than 4 GiB");
        let room = capacity - used;
        // The other end keeps some room only if it has been used.
        let start = match end {
            End::Left if self.end as usize == self.buffer.len() => room,
            End::Left => (room - room / 4).max(size),
            End::Right if self.start == 0 => 0,
            End::Right => (room / 4).min(room - size),
        };
        if is_roomy {
            self.buffer.copy_within(old, start);
        } else {
            let mut buffer = vec![0; capacity].into_boxed_slice();
            buffer[start..start + used].copy_from_slice(&self.buffer[old]);
            self.buffer = buffer;
        }
        self.start = start as u32;
        self.end = (start + used) as u32;
    }

    /// Gives memory back when three quarters of it are unused; twice the content remains.
    fn shrink(&mut self) {
        let used = self.size();
        if self.buffer.len() < SHRINK_BYTES_MIN || used * 4 > self.buffer.len() {
            return;
        }
        let mut buffer = vec![0; used * 2].into_boxed_slice();
        let start = used / 2;
        buffer[start..start + used].copy_from_slice(self.content());
        self.buffer = buffer;
        self.start = start as u32;
        self.end = (start + used) as u32;
    }
}

/// The entries of a [`Packed`], from either end.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iter<'a> {
    pub fn skip_front(&mut self, count: usize) {
        for _ in 0..count {
            self.next();
        }
    }

    pub fn skip_back(&mut self, count: usize) {
        for _ in 0..count {
            self.next_back();
        }
    }

    #[cold]
    fn next_wide(&mut self) -> &'a [u8] {
        let width = if self.rest[0] == WIDE { 2 } else { 4 };
        let len = wide_length(&self.rest[1..=width]);
        let (entry, rest) = self.rest.split_at(len + 2 * (width + 1));
        self.rest = rest;
        &entry[width + 1..width + 1 + len]
    }

    #[cold]
    fn next_back_wide(&mut self) -> &'a [u8] {
        let last = self.rest.len() - 1;
        let width = if self.rest[last] == WIDE { 2 } else { 4 };
        let len = wide_length(&self.rest[last - width..last]);
        let (rest, entry) = self.rest.split_at(self.rest.len() - len - 2 * (width + 1));
        self.rest = rest;
        &entry[width + 1..width + 1 + len]
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let &tag = self.rest.first()?;
        if tag >= WIDE {
            return Some(self.next_wide());
        }
        let len = usize::from(tag);
        let (entry, rest) = self.rest.split_at(len + 2);
        self.rest = rest;
        Some(&entry[1..=len])
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let &tag = self.rest.last()?;
        if tag >= WIDE {
            return Some(self.next_back_wide());
        }
        let len = usize::from(tag);
        let (rest, entry) = self.rest.split_at(self.rest.len() - len - 2);
        self.rest = rest;
        Some(&entry[1..=len])
    }
}

#[cfg(test)]
mod tests;
