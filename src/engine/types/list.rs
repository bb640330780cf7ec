//! A list: a deque of packed chunks, so that both ends take and give in constant time, and a range
//! is read from memory that lies together.
//!
//! Invariants: no chunk is empty; `len` and `size` are the sums over the chunks.

use std::collections::{VecDeque, vec_deque};
use std::fmt;
use std::hash::{Hash as HashKey, Hasher};

use super::packed::{self, Packed, entry_size};
use crate::engine::error::CommandError;
use crate::engine::value::{Kind, Value};

pub use super::packed::End;

/// A chunk takes no further element that would make it larger. A change in its middle moves half
/// of it, in about 100 ns; a million short elements are less than a thousand chunks.
const CHUNK_BYTES_MAX: usize = 8192;

#[derive(Clone, Default)]
pub struct List {
    chunks: VecDeque<Packed>,
    len: usize,
    size: usize,
}

impl List {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The logical size: a function of the elements alone, however they lie in chunks.
    pub fn bytes(&self) -> usize {
        self.size
    }

    /// What OBJECT ENCODING calls it, for a `list-max-listpack-size`: how many elements are one
    /// listpack, or, below 0, one of the sizes from 4 to 64 KiB.
    pub fn encoding(&self, listpack_size: i64) -> &'static str {
        let is_one = match listpack_size {
            0.. => self.len as u64 <= listpack_size.max(1) as u64 && self.size <= 8192,
            _ => self.size <= 2048 << listpack_size.max(-5).unsigned_abs(),
        };
        if is_one { "listpack" } else { "quicklist" }
    }

    /// Pushes one after the other. A list that had none gets no more room than they need.
    pub fn push_all(&mut self, end: End, elements: &[&[u8]]) {
        let size: usize = elements.iter().map(|element| entry_size(element.len())).sum();
        if self.is_empty() && size <= CHUNK_BYTES_MAX {
            self.chunks.reserve_exact(1);
            self.chunks.push_back(Packed::with_room(size, end));
        }
        elements.iter().for_each(|element| self.push(end, element));
    }

    pub fn push(&mut self, end: End, element: &[u8]) {
        let size = entry_size(element.len());
        let last = match end {
            End::Left => self.chunks.front_mut(),
            End::Right => self.chunks.back_mut(),
        };
        let chunk = match last {
            Some(chunk) if chunk.size() + size <= CHUNK_BYTES_MAX => chunk,
            _ => self.add_chunk(end, size),
        };
        match end {
            End::Left => chunk.push_front(element),
            End::Right => chunk.push_back(element),
        }
        self.len += 1;
        self.size += size;
    }

    fn add_chunk(&mut self, end: End, size: usize) -> &mut Packed {
        let chunk = if self.chunks.is_empty() {
            // Most lists have one chunk.
            self.chunks.reserve_exact(1);
            Packed::default()
        } else if size > CHUNK_BYTES_MAX / 2 {
            Packed::with_room(size, end)
        } else {
            Packed::with_room(CHUNK_BYTES_MAX, end)
        };
        match end {
            End::Left => self.chunks.push_front(chunk),
            End::Right => self.chunks.push_back(chunk),
        }
        let index = match end {
            End::Left => 0,
            End::Right => self.chunks.len() - 1,
        };
        &mut self.chunks[index]
    }

    /// The element at one end.
    pub fn peek(&self, end: End) -> Option<&[u8]> {
        match end {
            End::Left => self.chunks.front()?.iter().next(),
            End::Right => self.chunks.back()?.iter().next_back(),
        }
    }

    /// Drops `count` elements from one end, or all if there are fewer.
    pub fn discard(&mut self, mut count: usize, end: End) {
        while count > 0 {
            let last = match end {
                End::Left => self.chunks.front_mut(),
                End::Right => self.chunks.back_mut(),
            };
            let Some(chunk) = last else { return };
            let (len, size) = (chunk.len(), chunk.size());
            if len <= count {
                match end {
                    End::Left => self.chunks.pop_front(),
                    End::Right => self.chunks.pop_back(),
                };
                self.len -= len;
                self.size -= size;
                count -= len;
            } else {
                chunk.discard(count, end);
                self.size -= size - chunk.size();
                self.len -= count;
                count = 0;
            }
        }
    }

    /// Takes the element at one end away.
    pub fn pop(&mut self, end: End) -> Option<Vec<u8>> {
        let element = self.peek(end)?.to_vec();
        self.discard(1, end);
        Some(element)
    }

    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.len {
            return None;
        }
        let (chunk, local) = self.locate(index);
        self.chunks[chunk].get(local)
    }

    /// All elements in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.chunks.iter().flat_map(Packed::iter)
    }

    /// `count` elements from `start` on, or as many as there are.
    pub fn range(&self, start: usize, count: usize) -> Range<'_> {
        let count = count.min(self.len.saturating_sub(start));
        if count == 0 {
            return Range { chunks: self.chunks.range(..0), current: Packed::empty(), left: 0 };
        }
        let (index, local) = self.locate(start);
        let chunk = &self.chunks[index];
        Range {
            chunks: self.chunks.range(index + 1..),
            current: chunk.iter_from(chunk.offset_of(local)),
            left: count,
        }
    }

    /// Puts `element` in the place of the one at `index`. Precondition: `index < len`.
    pub fn set(&mut self, index: usize, element: &[u8]) {
        let (chunk_index, local) = self.locate(index);
        let chunk = &mut self.chunks[chunk_index];
        let offset = chunk.offset_of(local);
        let old_size = entry_size(chunk.iter_from(offset).next().map_or(0, <[u8]>::len));
        let size = entry_size(element.len());
        if chunk.len() == 1 || chunk.size() - old_size + size <= CHUNK_BYTES_MAX {
            chunk.replace(offset, element);
            self.size = self.size - old_size + size;
        } else {
            chunk.remove(offset);
            self.size -= old_size;
            self.len -= 1;
            self.insert(index, element);
        }
    }

    /// Makes `element` the one at `index`. Precondition: `index <= len`.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        if index == 0 {
            return self.push(End::Left, element);
        }
        if index == self.len {
            return self.push(End::Right, element);
        }
        let size = entry_size(element.len());
        let (at, local) = self.locate(index);
        self.len += 1;
        self.size += size;
        let fits = |chunk: &Packed| chunk.size() + size <= CHUNK_BYTES_MAX;
        let chunk = &mut self.chunks[at];
        if fits(chunk) {
            return chunk.insert(chunk.offset_of(local), element);
        }
        // Between two chunks now, either because the place is there or because the chunk is cut.
        let at = if local == 0 {
            at
        } else {
            let tail = chunk.split_off(local);
            self.chunks.insert(at + 1, tail);
            at + 1
        };
        if fits(&self.chunks[at - 1]) {
            self.chunks[at - 1].push_back(element);
        } else if fits(&self.chunks[at]) {
            self.chunks[at].push_front(element);
        } else {
            let mut chunk = Packed::default();
            chunk.push_back(element);
            self.chunks.insert(at, chunk);
        }
    }

    /// Removes the first `limit` elements equal to `element`, seen from one end; answers how many.
    pub fn remove_equal(&mut self, element: &[u8], limit: usize, from: End) -> usize {
        let mut left = limit;
        for step in 0..self.chunks.len() {
            if left == 0 {
                break;
            }
            let index = match from {
                End::Left => step,
                End::Right => self.chunks.len() - 1 - step,
            };
            let chunk = &mut self.chunks[index];
            let matches = chunk.iter().filter(|&other| other == element).count();
            if matches == 0 {
                continue;
            }
            let removed = matches.min(left);
            let spared = match from {
                End::Left => 0,
                End::Right => matches - removed,
            };
            let mut seen = 0;
            chunk.retain(|other| {
                if other != element {
                    return true;
                }
                seen += 1;
                seen <= spared || seen > spared + removed
            });
            left -= removed;
        }
        let removed = limit - left;
        if removed > 0 {
            self.len -= removed;
            self.size -= removed * entry_size(element.len());
            self.join_small_chunks();
        }
        removed
    }

    /// Drops empty chunks, and joins neighbours that fill half a chunk together at most.
    fn join_small_chunks(&mut self) {
        let mut joined: VecDeque<Packed> = VecDeque::with_capacity(self.chunks.len());
        for chunk in self.chunks.drain(..) {
            match joined.back_mut() {
                _ if chunk.is_empty() => {}
                Some(last) if last.size() + chunk.size() <= CHUNK_BYTES_MAX / 2 => {
                    last.append(&chunk);
                }
                _ => joined.push_back(chunk),
            }
        }
        self.chunks = joined;
    }

    /// The chunk that holds the element at `index`, and its index in there; walks from the nearer
    /// end. Precondition: `index < len`.
    fn locate(&self, index: usize) -> (usize, usize) {
        if index <= self.len / 2 {
            let mut local = index;
            for (at, chunk) in self.chunks.iter().enumerate() {
                if local < chunk.len() {
                    return (at, local);
                }
                local -= chunk.len();
            }
        } else {
            let mut after = self.len - index;
            for (at, chunk) in self.chunks.iter().enumerate().rev() {
                if after <= chunk.len() {
                    return (at, chunk.len() - after);
                }
                after -= chunk.len();
            }
        }
        unreachable!("an index below the length lies in a chunk")
    }
}

/// Elements of a list that follow each other.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    chunks: vec_deque::Iter<'a, Packed>,
    current: packed::Iter<'a>,
    left: usize,
}

impl<'a> Iterator for Range<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if let Some(element) = self.current.next() {
            return Some(element);
        }
        self.current = self.chunks.next()?.iter();
        self.current.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Range<'_> {}

/// The content in order, however it lies in memory.
impl fmt::Debug for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elements = self.iter().map(|element| element.escape_ascii().to_string());
        formatter.debug_list().entries(elements).finish()
    }
}

/// The content in order, however it lies in memory.
impl HashKey for List {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.iter().for_each(|element| element.hash(state));
    }
}

impl Kind for List {
    fn of(value: &Value) -> Result<&Self, CommandError> {
        match value {
            Value::List(list) => Ok(list),
            _ => Err(CommandError::WrongType),
        }
    }

    fn of_mut(value: &mut Value) -> Result<&mut Self, CommandError> {
        match value {
            Value::List(list) => Ok(list),
            _ => Err(CommandError::WrongType),
        }
    }

    fn empty() -> Value {
        Value::List(Box::default())
    }

    fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests;
