//! A byte string of 24 bytes that holds up to 22 bytes in place: keys, fields and members.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// Most keys are shorter than this, and so cost no allocation and no second cache miss.
pub const INLINE_MAX: usize = 22;

const _: () = assert!(size_of::<SmallBytes>() == 24);

/// Bytes that do not change their length. Compares, orders and hashes like the slice it holds.
#[derive(Clone)]
pub struct SmallBytes(Repr);

#[derive(Clone)]
enum Repr {
    /// Invariant: `len <= INLINE_MAX`, and the bytes from `len` on are zero.
    Inline {
        len: u8,
        bytes: [u8; INLINE_MAX],
    },
    Heap(Box<[u8]>),
}

impl SmallBytes {
    #[inline]
    pub fn new(bytes: &[u8]) -> Self {
        if bytes.len() <= INLINE_MAX {
            let mut inline = [0; INLINE_MAX];
            inline[..bytes.len()].copy_from_slice(bytes);
            Self(Repr::Inline { len: bytes.len() as u8, bytes: inline })
        } else {
            Self(Repr::Heap(bytes.into()))
        }
    }

    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Heap(bytes) => bytes,
        }
    }

    /// Bytes held outside of the value itself.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Inline { .. } => 0,
            Repr::Heap(bytes) => bytes.len(),
        }
    }
}

impl Default for SmallBytes {
    fn default() -> Self {
        Self(Repr::Inline { len: 0, bytes: [0; INLINE_MAX] })
    }
}

impl Deref for SmallBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Borrow<[u8]> for SmallBytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl AsRef<[u8]> for SmallBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for SmallBytes {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl From<Vec<u8>> for SmallBytes {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() <= INLINE_MAX {
            Self::new(&bytes)
        } else {
            Self(Repr::Heap(bytes.into_boxed_slice()))
        }
    }
}

impl PartialEq for SmallBytes {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for SmallBytes {}

impl PartialOrd for SmallBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SmallBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

/// As for slices, so that [`Borrow`] holds.
impl Hash for SmallBytes {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for SmallBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.as_slice().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_is_held_and_compared_like_its_slice() {
        let text: Vec<u8> = (0..64).collect();
        for len in 0..64 {
            let bytes = SmallBytes::new(&text[..len]);
            assert_eq!(bytes.as_slice(), &text[..len]);
            assert_eq!(bytes, SmallBytes::from(text[..len].to_vec()));
            assert_eq!(bytes.heap_bytes() > 0, len > INLINE_MAX);
            for other in 0..64 {
                let ordering = bytes.cmp(&SmallBytes::new(&text[..other]));
                assert_eq!(ordering, text[..len].cmp(&text[..other]));
            }
        }
    }
}
