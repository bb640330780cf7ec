//! A small sorted set in one allocation: its items one after the other, in order of (score,
//! member).
//!
//! An item is the score (8 bytes), the length of the member (1 byte) and the member. Everything is
//! a walk over at most [`LEN_MAX`] items that lie side by side, which costs less than following
//! pointers. Invariant: `bytes` holds exactly `len` items, in strictly rising order.

use super::super::{COMPACT_LEN_MAX as LEN_MAX, COMPACT_STRING_BYTES_MAX as MEMBER_BYTES_MAX};
use super::precedes;

const HEAD_BYTES: usize = 9;

// Offsets are 16 bits wide and member lengths 8.
const _: () = assert!(LEN_MAX * (HEAD_BYTES + MEMBER_BYTES_MAX) <= u16::MAX as usize);
const _: () = assert!(MEMBER_BYTES_MAX <= u8::MAX as usize);

#[derive(Clone, Debug, Default)]
pub struct Packed {
    bytes: Vec<u8>,
    len: usize,
}

impl Packed {
    pub fn fits(len: usize, member: &[u8]) -> bool {
        len <= LEN_MAX && member.len() <= MEMBER_BYTES_MAX
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.find(member).map(|(_, _, score)| score)
    }

    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        self.find(member).map(|(rank, _, _)| rank)
    }

    /// Precondition: `member` is absent, and fits.
    pub fn insert(&mut self, member: &[u8], score: f64) {
        debug_assert!(Self::fits(self.len + 1, member));
        let at = self.place(member, score);
        let old_len = self.bytes.len();
        let item_len = HEAD_BYTES + member.len();
        self.bytes.resize(old_len + item_len, 0);
        self.bytes.copy_within(at..old_len, at + item_len);
        self.bytes[at..at + 8].copy_from_slice(&score.to_le_bytes());
        self.bytes[at + 8] = member.len() as u8;
        self.bytes[at + HEAD_BYTES..at + item_len].copy_from_slice(member);
        self.len += 1;
    }

    /// Changes the score of a member that is there; the score that it had before.
    pub fn update(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let (_, offset, old) = self.find(member)?;
        if old != score {
            self.cut(offset, offset + HEAD_BYTES + member.len(), 1);
            self.insert(member, score);
        }
        Some(old)
    }

    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (_, offset, score) = self.find(member)?;
        self.cut(offset, offset + HEAD_BYTES + member.len(), 1);
        Some(score)
    }

    /// Precondition: the range lies within the ranks.
    pub fn remove_range(&mut self, ranks: std::ops::Range<usize>) {
        let offsets = self.offsets();
        self.cut(offsets.at(ranks.start), offsets.at(ranks.end), ranks.len());
    }

    /// The number of items whose score satisfies `before`.
    /// Precondition: no such score is greater than one that does not.
    pub fn count_before(&self, before: impl Fn(f64) -> bool) -> usize {
        let walk = Walk { bytes: &self.bytes, offset: 0 };
        walk.take_while(|&(_, _, score)| before(score)).count()
    }

    /// Precondition: `rank < len`.
    pub fn at(&self, rank: usize) -> (&[u8], f64) {
        let (_, member, score) = Walk { bytes: &self.bytes, offset: 0 }
            .nth(rank)
            .expect("invariant: ranks are below the length");
        (member, score)
    }

    /// Precondition: the range lies within the ranks.
    pub fn range(&self, ranks: std::ops::Range<usize>) -> PackedRange<'_> {
        PackedRange { bytes: &self.bytes, offsets: self.offsets(), ranks }
    }

    fn find(&self, member: &[u8]) -> Option<(usize, usize, f64)> {
        // Members of one set often differ at their ends, so the last byte saves most comparisons.
        let last = member.last();
        Walk { bytes: &self.bytes, offset: 0 }
            .enumerate()
            .find(|(_, (_, other, _))| other.last() == last && *other == member)
            .map(|(rank, (offset, _, score))| (rank, offset, score))
    }

    /// Where an item belongs.
    fn place(&self, member: &[u8], score: f64) -> usize {
        Walk { bytes: &self.bytes, offset: 0 }
            .find(|&(_, other, other_score)| !precedes(other_score, other, score, member))
            .map_or(self.bytes.len(), |(offset, _, _)| offset)
    }

    fn cut(&mut self, from: usize, to: usize, items: usize) {
        self.bytes.copy_within(to.., from);
        self.bytes.truncate(self.bytes.len() - (to - from));
        self.len -= items;
    }

    fn offsets(&self) -> Offsets {
        let mut offsets = Offsets([0; LEN_MAX + 1]);
        let mut offset = 0;
        for slot in &mut offsets.0[1..=self.len] {
            offset += HEAD_BYTES + usize::from(self.bytes[offset + 8]);
            *slot = offset as u16;
        }
        offsets
    }
}

fn item(bytes: &[u8], offset: usize) -> (&[u8], f64) {
    let score = bytes[offset..offset + 8].try_into().expect("invariant: a score has 8 bytes");
    let end = offset + HEAD_BYTES + usize::from(bytes[offset + 8]);
    (&bytes[offset + HEAD_BYTES..end], f64::from_le_bytes(score))
}

/// Yields (offset, member, score).
struct Walk<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Walk<'a> {
    type Item = (usize, &'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset == self.bytes.len() {
            return None;
        }
        let offset = self.offset;
        let (member, score) = item(self.bytes, offset);
        self.offset += HEAD_BYTES + member.len();
        Some((offset, member, score))
    }
}

/// Where each item begins, and where the last one ends.
#[derive(Clone, Debug)]
struct Offsets([u16; LEN_MAX + 1]);

impl Offsets {
    fn at(&self, rank: usize) -> usize {
        usize::from(self.0[rank])
    }
}

/// The items of a range of ranks.
#[derive(Clone, Debug)]
pub struct PackedRange<'a> {
    bytes: &'a [u8],
    offsets: Offsets,
    ranks: std::ops::Range<usize>,
}

impl<'a> Iterator for PackedRange<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.ranks.next().map(|rank| item(self.bytes, self.offsets.at(rank)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl DoubleEndedIterator for PackedRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.ranks.next_back().map(|rank| item(self.bytes, self.offsets.at(rank)))
    }
}
