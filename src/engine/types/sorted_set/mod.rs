//! A sorted set: members with scores, in order of (score, member).
//!
//! It knows no keys and no RESP. Small sets are `packed` into one allocation; a set that
//! outgrows this becomes `ordered` and stays so, as in Redis. Every range, by rank, score or
//! member, is first turned into a range of ranks, so there is one iterator and one range removal.
//! Invariants: no score is NaN or minus zero; every state is a function of the operations alone,
//! in every detail that can be seen from outside.

mod order;
mod ordered;
mod packed;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::{Bound, Range};

use self::ordered::{Ordered, OrderedRange};
use self::packed::{Packed, PackedRange};
use crate::engine::error::CommandError;
use crate::engine::value::{Kind, Value};

/// What one member of a large set costs beside its bytes: its entry in the map (32), its share of
/// the hash index at its usual load (12), its item in a chunk that is three quarters full (16).
/// The account is the same on every node because it counts members, not allocations.
const MEMBER_OVERHEAD_BYTES: usize = 60;

#[derive(Clone)]
pub struct SortedSet(Form);

/// How a sorted set lies in memory; a part of what every node has alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortedSetEncoding {
    Listpack,
    Skiplist,
}

impl SortedSetEncoding {
    /// What OBJECT ENCODING calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listpack => "listpack",
            Self::Skiplist => "skiplist",
        }
    }
}

#[derive(Clone)]
enum Form {
    Packed(Packed),
    Ordered(Ordered),
}

/// One end of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberBound<'a> {
    /// Below every member.
    Least,
    Included(&'a [u8]),
    Excluded(&'a [u8]),
    /// Above every member.
    Greatest,
}

/// Whether one item comes before another.
fn precedes(score: f64, member: &[u8], other_score: f64, other: &[u8]) -> bool {
    score < other_score || (score == other_score && member < other)
}

impl Default for SortedSet {
    fn default() -> Self {
        Self(Form::Packed(Packed::default()))
    }
}

impl SortedSet {
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len(),
            Form::Ordered(ordered) => ordered.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An empty sorted set in a given form, to be filled with the [`SortedSet::entries`] of
    /// another.
    pub fn with_encoding(encoding: SortedSetEncoding) -> Self {
        Self(match encoding {
            SortedSetEncoding::Listpack => Form::Packed(Packed::default()),
            SortedSetEncoding::Skiplist => Form::Ordered(Ordered::default()),
        })
    }

    pub fn encoding(&self) -> SortedSetEncoding {
        match &self.0 {
            Form::Packed(_) => SortedSetEncoding::Listpack,
            Form::Ordered(_) => SortedSetEncoding::Skiplist,
        }
    }

    /// All members, in the order that random picks and scans follow. A set of the same encoding
    /// that takes them in this order is the same in all that can be seen.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], f64)> {
        let (packed, ordered) = match &self.0 {
            Form::Packed(packed) => (Some(packed.range(0..packed.len())), None),
            Form::Ordered(ordered) => (None, Some(ordered.entries())),
        };
        packed.into_iter().flatten().chain(ordered.into_iter().flatten())
    }

    /// Logical memory, the same on every node.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + match &self.0 {
                Form::Packed(packed) => packed.bytes(),
                Form::Ordered(large) => large.member_bytes() + large.len() * MEMBER_OVERHEAD_BYTES,
            }
    }

    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Form::Packed(packed) => packed.score(member),
            Form::Ordered(ordered) => ordered.score(member),
        }
    }

    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match &self.0 {
            Form::Packed(packed) => packed.rank(member),
            Form::Ordered(ordered) => ordered.rank(member),
        }
    }

    /// Adds a member or changes its score; the score that it had before.
    /// Precondition: `score` is not NaN.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        assert!(!score.is_nan());
        // Minus zero equals zero, and a set must not depend on which of the two came first.
        let score = score + 0.0;
        let packed = match &mut self.0 {
            Form::Packed(packed) => packed,
            Form::Ordered(ordered) => return ordered.insert(member, score),
        };
        let old = packed.update(member, score);
        if old.is_some() {
            return old;
        }
        if Packed::fits(packed.len() + 1, member) {
            packed.insert(member, score);
        } else {
            self.make_ordered().insert(member, score);
        }
        None
    }

    /// Changes the small form to the large one.
    pub fn make_ordered(&mut self) -> &mut Ordered {
        if let Form::Packed(packed) = &self.0 {
            self.0 = Form::Ordered(Ordered::from_sorted(packed.range(0..packed.len())));
        }
        match &mut self.0 {
            Form::Ordered(ordered) => ordered,
            Form::Packed(_) => unreachable!("it was changed above"),
        }
    }

    /// The score that the member had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Form::Packed(packed) => packed.remove(member),
            Form::Ordered(ordered) => ordered.remove(member),
        }
    }

    /// Removes the members of a range of ranks. Precondition: the range lies within the ranks.
    pub fn remove_range(&mut self, ranks: Range<usize>) {
        match &mut self.0 {
            Form::Packed(packed) => packed.remove_range(ranks),
            Form::Ordered(ordered) => ordered.remove_range(ranks),
        }
    }

    /// All members, in order.
    pub fn iter(&self) -> Members<'_> {
        self.range(0..self.len())
    }

    /// The members of a range of ranks, in order. Precondition: the range lies within the ranks.
    pub fn range(&self, ranks: Range<usize>) -> Members<'_> {
        assert!(ranks.start <= ranks.end && ranks.end <= self.len());
        match &self.0 {
            Form::Packed(packed) => Members::Packed(packed.range(ranks)),
            Form::Ordered(ordered) => Members::Ordered(ordered.range(ranks)),
        }
    }

    /// The ranks of the scores between two bounds.
    pub fn ranks_by_score(&self, min: Bound<f64>, max: Bound<f64>) -> Range<usize> {
        let start = match min {
            Bound::Unbounded => 0,
            Bound::Included(min) => self.count_scores_before(|score| score < min),
            Bound::Excluded(min) => self.count_scores_before(|score| score <= min),
        };
        let end = match max {
            Bound::Unbounded => self.len(),
            Bound::Included(max) => self.count_scores_before(|score| score <= max),
            Bound::Excluded(max) => self.count_scores_before(|score| score < max),
        };
        start..end.max(start)
    }

    /// The ranks of the members between two bounds, provided that all scores are equal. With
    /// different scores the members do not rise; the answer is then some range, found by bisection
    /// over ranks, so that it depends on the members and scores alone.
    pub fn ranks_by_member(&self, min: MemberBound<'_>, max: MemberBound<'_>) -> Range<usize> {
        let start = match min {
            MemberBound::Least => 0,
            MemberBound::Included(min) => self.bisect_members(|member| member < min),
            MemberBound::Excluded(min) => self.bisect_members(|member| member <= min),
            MemberBound::Greatest => self.len(),
        };
        let end = match max {
            MemberBound::Least => 0,
            MemberBound::Included(max) => self.bisect_members(|member| member <= max),
            MemberBound::Excluded(max) => self.bisect_members(|member| member < max),
            MemberBound::Greatest => self.len(),
        };
        start..end.max(start)
    }

    /// Any member: `position` below the length picks each with the same chance, and the
    /// same one on every node.
    pub fn at(&self, position: usize) -> (&[u8], f64) {
        match &self.0 {
            Form::Packed(packed) => packed.at(position),
            Form::Ordered(ordered) => ordered.at(position),
        }
    }

    /// Visits about `count` members from where `cursor` points, and tells the next cursor; zero
    /// starts and ends a scan.
    ///
    /// A packed set is visited whole, so its cursor is always zero. In an ordered one the cursor is
    /// the number of map entries still to visit, and it only falls. A member that stays is visited
    /// at least once: new members come after all entries, and removals move entries only down: from
    /// among the visited to anywhere, which repeats them at worst, or from among the unvisited to a
    /// lower place, which is unvisited too. An ordered set never becomes packed again.
    pub fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&'a [u8], f64),
    ) -> u64 {
        match &self.0 {
            Form::Packed(packed) => {
                packed.range(0..packed.len()).for_each(|(member, score)| visit(member, score));
                0
            }
            Form::Ordered(ordered) => {
                let (next, positions) = super::scan_range(ordered.len(), cursor, count);
                for position in positions.rev() {
                    let (member, score) = ordered.at(position);
                    visit(member, score);
                }
                next
            }
        }
    }

    fn count_scores_before(&self, before: impl Fn(f64) -> bool) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.count_before(before),
            Form::Ordered(ordered) => ordered.count_before(before),
        }
    }

    fn bisect_members(&self, before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            let member = match &self.0 {
                Form::Packed(packed) => packed.at(middle).0,
                Form::Ordered(ordered) => ordered.at_rank(middle).0,
            };
            if before(member) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Shows what a client can read, not how it lies in memory.
impl fmt::Debug for SortedSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a SortedSet {
    type Item = (&'a [u8], f64);
    type IntoIter = Members<'a>;

    fn into_iter(self) -> Members<'a> {
        self.iter()
    }
}

impl Kind for SortedSet {
    fn of(value: &Value) -> Result<&Self, CommandError> {
        match value {
            Value::SortedSet(set) => Ok(set),
            _ => Err(CommandError::WrongType),
        }
    }

    fn of_mut(value: &mut Value) -> Result<&mut Self, CommandError> {
        match value {
            Value::SortedSet(set) => Ok(set),
            _ => Err(CommandError::WrongType),
        }
    }

    fn empty() -> Value {
        Value::SortedSet(Box::default())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Members with their scores, in order, from either end.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack; a box would be an allocation")]
pub enum Members<'a> {
    Packed(PackedRange<'a>),
    Ordered(OrderedRange<'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(range) => range.next(),
            Self::Ordered(range) => range.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Packed(range) => range.size_hint(),
            Self::Ordered(range) => range.size_hint(),
        }
    }
}

impl DoubleEndedIterator for Members<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(range) => range.next_back(),
            Self::Ordered(range) => range.next_back(),
        }
    }
}

impl ExactSizeIterator for Members<'_> {}
