//! A few fields with short values, in one allocation of just their size.
//!
//! The first byte is the number of pairs. A pair is its lengths, the field, the value. The lengths
//! take one byte, the field's in the high half, if the field is below [`WIDE`] bytes and the value
//! below 16; else that half is `WIDE`, and two bytes with the lengths follow. So a step over a pair
//! reads one byte. Every content has one form, hence one size.
//!
//! There is no room to grow: what the allocator rounds up to is enough of it, and a hash that has
//! its fields costs nothing for those that it may get.

use std::mem;
use std::ops::Range;

/// Marks, in the place of a field's length, that the lengths stand in bytes of their own.
const WIDE: usize = 15;
/// Values of so many bytes have their length in the first byte.
const NARROW_VALUE_MAX: usize = 15;

/// Invariant: empty, or the number of pairs, above 0, and so many pairs.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    bytes: Box<[u8]>,
}

/// Where a pair is, and the value in it.
struct Place {
    pair: Range<usize>,
    value: Range<usize>,
}

fn is_narrow(field: &[u8], value: &[u8]) -> bool {
    field.len() < WIDE && value.len() <= NARROW_VALUE_MAX
}

fn size_of_pair(field: &[u8], value: &[u8]) -> usize {
    let lengths = if is_narrow(field, value) { 1 } else { 3 };
    lengths + field.len() + value.len()
}

/// Writes a pair into exactly as many bytes as it needs.
fn write(target: &mut [u8], field: &[u8], value: &[u8]) {
    let (lengths, rest) = if is_narrow(field, value) {
        target[0] = (field.len() << 4 | value.len()) as u8;
        target.split_at_mut(1)
    } else {
        target.split_at_mut(3)
    };
    if let [mark, field_len, value_len] = lengths {
        *mark = (WIDE << 4) as u8;
        *field_len = field.len() as u8;
        *value_len = value.len() as u8;
    }
    rest[..field.len()].copy_from_slice(field);
    rest[field.len()..].copy_from_slice(value);
}

#[inline]
fn find(bytes: &[u8], wanted: &[u8]) -> Option<Place> {
    let mut pairs = Iter::over(bytes);
    // Fields of one hash often differ at their ends, so the last byte saves most comparisons.
    let last = wanted.last();
    loop {
        let start = bytes.len() - pairs.rest.len();
        let (field, value) = pairs.next()?;
        if field.len() == wanted.len() && field.last() == last && field == wanted {
            let end = bytes.len() - pairs.rest.len();
            return Some(Place { pair: start..end, value: end - value.len()..end });
        }
    }
}

/// Puts a pair in the place of the bytes at `gap`, which are a pair or none.
fn put(bytes: &mut Vec<u8>, gap: Range<usize>, field: &[u8], value: &[u8]) {
    let size = size_of_pair(field, value);
    let (old_len, end) = (bytes.len(), gap.start + size);
    let len = old_len - gap.len() + size;
    if len > old_len {
        bytes.reserve_exact(len - old_len);
        bytes.resize(len, 0);
    }
    bytes.copy_within(gap.end..old_len, end);
    bytes.truncate(len);
    write(&mut bytes[gap.start..end], field, value);
}

/// Tells whether the field is new.
fn set(bytes: &mut Vec<u8>, field: &[u8], value: &[u8]) -> bool {
    if let Some(place) = find(bytes, field) {
        if place.value.len() == value.len() {
            bytes[place.value].copy_from_slice(value);
        } else {
            put(bytes, place.pair, field, value);
        }
        return false;
    }
    if bytes.is_empty() {
        bytes.reserve_exact(1 + size_of_pair(field, value));
        bytes.push(0);
    }
    bytes[0] = bytes[0].checked_add(1).expect("invariant: a small hash has at most 128 fields");
    put(bytes, bytes.len()..bytes.len(), field, value);
    true
}

impl Pairs {
    /// How many pairs there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.first().copied().map_or(0, usize::from)
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes that all of it takes: a function of the content.
    #[inline]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub fn iter(&self) -> Iter<'_> {
        Iter::over(&self.bytes)
    }

    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        find(&self.bytes, field).map(|place| &self.bytes[place.value])
    }

    /// Sets the field, which comes last if it is new, and tells whether it is.
    ///
    /// Precondition: both lengths are below 256, and there are fewer than 255 pairs.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.edit(|bytes| set(bytes, field, value))
    }

    /// Sets fields to values, which are given in turn, and tells how many are new.
    ///
    /// Precondition: as for [`Pairs::set`].
    pub fn set_all(&mut self, pairs: &[&[u8]]) -> usize {
        let sizes = pairs.chunks_exact(2).map(|pair| size_of_pair(pair[0], pair[1]));
        let room = if self.is_empty() { 1 + sizes.sum::<usize>() } else { 0 };
        self.edit(|bytes| {
            bytes.reserve_exact(room);
            pairs.chunks_exact(2).filter(|pair| set(bytes, pair[0], pair[1])).count()
        })
    }

    /// Removes the field, whose place the last one takes; tells whether there was one.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let Some(Place { pair, .. }) = find(&self.bytes, field) else { return false };
        self.edit(|bytes| {
            let len = bytes.len();
            let later = Iter { rest: &bytes[pair.end..] };
            let last_size = later.last().map_or(0, |(field, value)| size_of_pair(field, value));
            bytes[pair.end..].rotate_right(last_size);
            bytes.copy_within(pair.end.., pair.start);
            bytes.truncate(len - pair.len());
            bytes[0] -= 1;
            if bytes[0] == 0 {
                bytes.clear();
            }
        });
        true
    }

    /// What is changed has the room that it needs again, and no more.
    fn edit<T>(&mut self, change: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut bytes = mem::take(&mut self.bytes).into_vec();
        let result = change(&mut bytes);
        self.bytes = bytes.into_boxed_slice();
        result
    }
}

/// Fields with their values, in order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iter<'a> {
    #[inline]
    fn over(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(1..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (&lengths, rest) = self.rest.split_first()?;
        let field_len = usize::from(lengths >> 4);
        let (field_len, value_len, rest) = if field_len == WIDE {
            (usize::from(rest[0]), usize::from(rest[1]), &rest[2..])
        } else {
            (field_len, usize::from(lengths & 0x0f), rest)
        };
        let (field, rest) = rest.split_at(field_len);
        let (value, rest) = rest.split_at(value_len);
        self.rest = rest;
        Some((field, value))
    }
}

#[cfg(test)]
mod tests;
