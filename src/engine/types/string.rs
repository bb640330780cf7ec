//! The value of a string key: an integer, a few bytes in place, or bytes on the heap.
//!
//! Which form a value has is not visible but through [`StringValue::encoding`]; two values that
//! hold the same bytes are equal.

use std::hash::{Hash, Hasher};

use crate::engine::bytes::INLINE_MAX;
use crate::engine::number::parse_integer;

const _: () = assert!(size_of::<StringValue>() == 24);

/// The longest decimal form of an `i64`.
const INTEGER_LEN_MAX: usize = 20;

/// Redis keeps a string of at most this many bytes beside its header, and calls that "embstr".
const EMBSTR_LEN_MAX: usize = 44;

#[derive(Clone, Debug)]
pub struct StringValue(Repr);

#[derive(Clone, Debug)]
enum Repr {
    /// Bytes that are the canonical decimal form of an integer, so that INCR need not parse.
    Integer(i64),
    /// Invariant: `len <= INLINE_MAX`.
    Inline { len: u8, bytes: [u8; INLINE_MAX] },
    /// Invariant: not empty. Longer bytes, without room to grow: most values are only ever
    /// replaced.
    Heap(Box<[u8]>),
    /// Bytes changed in place at least once: grows by doubling, so that appending stays linear. In
    /// a box, since a `Vec` would make every value 8 bytes larger.
    #[expect(clippy::box_collection)]
    Growing(Box<Vec<u8>>),
}

/// Room for the digits of an integer value, see [`StringValue::as_bytes`].
#[derive(Default)]
pub struct Digits(itoa::Buffer);

impl StringValue {
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if bytes.len() <= INLINE_MAX {
            if let Some(integer) = maybe_integer(bytes) {
                return Self(Repr::Integer(integer));
            }
            let mut inline = [0; INLINE_MAX];
            inline[..bytes.len()].copy_from_slice(bytes);
            Self(Repr::Inline { len: bytes.len() as u8, bytes: inline })
        } else {
            Self(Repr::Heap(bytes.into()))
        }
    }

    /// A value as if the bytes had been made by changes in place.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Self(Repr::Growing(Box::new(bytes)))
    }

    pub fn from_integer(integer: i64) -> Self {
        Self(Repr::Integer(integer))
    }

    /// Becomes `bytes`. An allocation of the right size is used again.
    #[inline]
    pub fn set(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Repr::Heap(old) if old.len() == bytes.len() => old.copy_from_slice(bytes),
            _ => *self = Self::from_bytes(bytes),
        }
    }

    /// The bytes; those of an integer are written to `digits`.
    #[inline]
    pub fn as_bytes<'a>(&'a self, digits: &'a mut Digits) -> &'a [u8] {
        match &self.0 {
            Repr::Integer(integer) => digits.0.format(*integer).as_bytes(),
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Heap(bytes) => bytes,
            Repr::Growing(bytes) => bytes,
        }
    }

    pub fn to_vec(&self) -> Vec<u8> {
        self.as_bytes(&mut Digits::default()).to_vec()
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Integer(integer) => itoa::Buffer::new().format(*integer).len(),
            Repr::Inline { len, .. } => usize::from(*len),
            Repr::Heap(bytes) => bytes.len(),
            Repr::Growing(bytes) => bytes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The integer that the bytes are the canonical form of.
    pub fn integer(&self) -> Option<i64> {
        match &self.0 {
            Repr::Integer(integer) => Some(*integer),
            _ => parse_integer(self.as_bytes(&mut Digits::default())),
        }
    }

    /// Puts `tail` at the end; returns the new length.
    pub fn append(&mut self, tail: &[u8]) -> usize {
        let bytes = self.bytes_mut();
        bytes.extend_from_slice(tail);
        bytes.len()
    }

    /// Puts `patch` at `offset`, after zeros if the value is shorter; returns the new length.
    pub fn set_range(&mut self, offset: usize, patch: &[u8]) -> usize {
        let end = offset + patch.len();
        let bytes = self.extend_to(end);
        bytes[offset..end].copy_from_slice(patch);
        bytes.len()
    }

    /// The bytes to be changed in place, with zeros behind them if they are fewer than `len`.
    pub fn extend_to(&mut self, len: usize) -> &mut [u8] {
        let bytes = self.bytes_mut();
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
        bytes
    }

    /// Redis's name for the form of the value, as OBJECT ENCODING tells it.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Integer(_) => "int",
            Repr::Inline { .. } => "embstr",
            Repr::Heap(bytes) if bytes.len() <= EMBSTR_LEN_MAX => "embstr",
            Repr::Heap(_) | Repr::Growing(_) => "raw",
        }
    }

    /// Bytes held outside of the value itself, without what is in reserve for growth.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Integer(_) | Repr::Inline { .. } => 0,
            Repr::Heap(bytes) => bytes.len(),
            Repr::Growing(bytes) => size_of::<Vec<u8>>() + bytes.len(),
        }
    }

    /// Whether the bytes were changed in place, which OBJECT ENCODING shows.
    pub fn is_growing(&self) -> bool {
        matches!(self.0, Repr::Growing(_))
    }

    /// Reads the first byte on the heap, to have it in the cache.
    #[inline]
    pub(in crate::engine) fn touch(&self) -> u8 {
        match &self.0 {
            Repr::Heap(bytes) => bytes[0],
            _ => 0,
        }
    }

    /// The bytes to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        if !matches!(self.0, Repr::Growing(_)) {
            let old = std::mem::replace(&mut self.0, Repr::Integer(0));
            let bytes = match old {
                Repr::Heap(bytes) => bytes.into_vec(),
                other => Self(other).to_vec(),
            };
            self.0 = Repr::Growing(Box::new(bytes));
        }
        match &mut self.0 {
            Repr::Growing(bytes) => bytes,
            _ => unreachable!("the value was made growing above"),
        }
    }
}

/// [`parse_integer`], at hardly any cost for bytes that start like text.
#[inline]
fn maybe_integer(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [b'-' | b'0'..=b'9', ..] if bytes.len() <= INTEGER_LEN_MAX => parse_integer(bytes),
        _ => None,
    }
}

impl PartialEq for StringValue {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes(&mut Digits::default()) == other.as_bytes(&mut Digits::default())
    }
}

impl Eq for StringValue {}

impl Hash for StringValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes(&mut Digits::default()).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_whatever_their_form() {
        let long = [b'x'; 100];
        let samples: [&[u8]; 12] = [
            b"",
            b"0",
            b"-0",
            b"007",
            b"-9223372036854775808",
            b"9223372036854775807",
            b"9223372036854775808",
            b"+1",
            b"1 ",
            b"twenty-two bytes long!",
            &long[..23],
            &long,
        ];
        for sample in samples {
            let value = StringValue::from_bytes(sample);
            assert_eq!(value.to_vec(), sample);
            assert_eq!(value.len(), sample.len());
            assert_eq!(value.integer(), parse_integer(sample));
            for next in samples {
                let mut changed = value.clone();
                changed.set(next);
                assert_eq!(changed, StringValue::from_bytes(next));
                let mut grown = value.clone();
                assert_eq!(grown.append(next), sample.len() + next.len());
                assert_eq!(grown.to_vec(), [sample, next].concat());
            }
        }
    }

    #[test]
    fn a_range_beyond_the_end_is_preceded_by_zeros() {
        let mut value = StringValue::from_bytes(b"12");
        assert_eq!(value.set_range(4, b"xy"), 6);
        assert_eq!(value.to_vec(), b"12\0\0xy");
        assert_eq!(value.set_range(1, b"3"), 6);
        assert_eq!(value.to_vec(), b"13\0\0xy");
    }
}
