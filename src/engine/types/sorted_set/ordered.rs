//! A large sorted set: a map from member to score, beside the [`Order`] of its members.
//!
//! The map keeps its entries side by side: the last one moves into the gap of one that is removed,
//! and after the removal of many all close up. Where an entry lies is therefore a function of the
//! operations alone, which makes it fit for random picks and for scans.
//! Invariant: `order` holds exactly the positions of the entries.

use std::ops::Range;

use indexmap::IndexMap;

use super::super::FixedState;
use super::order::{Items, Order};
use crate::engine::bytes::SmallBytes;

/// When this share of all members goes at once, a walk over all costs less than a search for each.
const COMPACTION_SHARE: usize = 16;

#[derive(Clone, Debug, Default)]
pub struct Names(IndexMap<SmallBytes, f64, FixedState>);

impl Names {
    /// Precondition: `member` is a position in the map.
    pub fn name(&self, member: u32) -> &[u8] {
        self.entry(member).0
    }

    #[cfg(test)]
    pub fn score(&self, member: u32) -> f64 {
        self.entry(member).1
    }

    fn entry(&self, member: u32) -> (&[u8], f64) {
        let (name, &score) = self
            .0
            .get_index(member as usize)
            .expect("invariant: the order holds positions of the map");
        (name, score)
    }

    fn find(&self, name: &[u8]) -> Option<(u32, f64)> {
        self.0.get_full(name).map(|(member, _, &score)| (member as u32, score))
    }
}

#[derive(Clone, Debug, Default)]
pub struct Ordered {
    names: Names,
    order: Order,
    /// The sum of the lengths of all members.
    member_bytes: usize,
}

impl Ordered {
    /// Takes distinct members in order.
    pub fn from_sorted<'a>(items: impl Iterator<Item = (&'a [u8], f64)>) -> Self {
        let mut names = IndexMap::with_hasher(FixedState::default());
        let mut member_bytes = 0;
        for (name, score) in items {
            member_bytes += name.len();
            names.insert(SmallBytes::new(name), score);
        }
        let order = Order::from_sorted(names.values().copied().zip(0..));
        Self { names: Names(names), order, member_bytes }
    }

    pub fn len(&self) -> usize {
        self.names.0.len()
    }

    pub fn member_bytes(&self) -> usize {
        self.member_bytes
    }

    pub fn score(&self, name: &[u8]) -> Option<f64> {
        self.names.0.get(name).copied()
    }

    pub fn rank(&self, name: &[u8]) -> Option<usize> {
        let (member, score) = self.names.find(name)?;
        Some(self.order.rank(self.order.find(&self.names, score, name, member)))
    }

    /// Adds a member or changes its score; the score that it had before.
    pub fn insert(&mut self, name: &[u8], score: f64) -> Option<f64> {
        let Some((member, old)) = self.names.find(name) else {
            self.add(name, score);
            return None;
        };
        if old != score {
            self.update(member, name, old, score);
        }
        Some(old)
    }

    /// Precondition: the member is absent.
    fn add(&mut self, name: &[u8], score: f64) {
        let (member, _) = self.names.0.insert_full(SmallBytes::new(name), score);
        let member = u32::try_from(member).expect("invariant: members are far fewer than 2^32");
        self.order.insert(&self.names, score, name, member);
        self.member_bytes += name.len();
    }

    fn update(&mut self, member: u32, name: &[u8], old: f64, score: f64) {
        let at = self.order.find(&self.names, old, name, member);
        if !self.order.try_rescore(&self.names, at, score, name) {
            self.order.remove(at);
            self.order.insert(&self.names, score, name, member);
        }
        self.names.0[member as usize] = score;
    }

    pub fn remove(&mut self, name: &[u8]) -> Option<f64> {
        let (member, score) = self.names.find(name)?;
        self.order.remove(self.order.find(&self.names, score, name, member));
        self.forget(member);
        Some(score)
    }

    /// Precondition: the range lies within the ranks.
    pub fn remove_range(&mut self, ranks: Range<usize>) {
        let mut members = self.order.remove_range(ranks);
        if members.len() >= self.len() / COMPACTION_SHARE {
            return self.forget_many(&members);
        }
        // From the last entry on, so that the entry moved into a gap is never one that has yet to
        // go.
        members.sort_unstable_by(|a, b| b.cmp(a));
        for member in members {
            self.forget(member);
        }
    }

    /// The number of items whose score satisfies `before`.
    /// Precondition: no such score is greater than one that does not.
    pub fn count_before(&self, before: impl Fn(f64) -> bool) -> usize {
        self.order.rank(self.order.seek(|score, _| before(score)))
    }

    /// Precondition: `rank < len`.
    pub fn at_rank(&self, rank: usize) -> (&[u8], f64) {
        let (score, member) = self.order.at(rank);
        (self.names.name(member), score)
    }

    /// The entry at a position of the map. Precondition: `position < len`.
    pub fn at(&self, position: usize) -> (&[u8], f64) {
        self.names.entry(position as u32)
    }

    /// All entries as they lie in the map.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], f64)> {
        self.names.0.iter().map(|(name, &score)| (&**name, score))
    }

    /// Precondition: the range lies within the ranks.
    pub fn range(&self, ranks: Range<usize>) -> OrderedRange<'_> {
        OrderedRange { names: &self.names, items: self.order.range(ranks) }
    }

    #[cfg(test)]
    pub fn assert_invariants(&self) {
        self.order.assert_invariants(&self.names);
        assert_eq!(self.order.len(), self.len());
        assert_eq!(self.member_bytes, self.names.0.keys().map(|name| name.len()).sum::<usize>());
    }

    /// As [`Ordered::forget`] for many entries: those that stay keep their order and close up, so
    /// that they too only ever move down.
    fn forget_many(&mut self, members: &[u32]) {
        let mut gone = vec![false; self.len()];
        members.iter().for_each(|&member| gone[member as usize] = true);
        let mut next = 0;
        let numbers: Vec<u32> = gone
            .iter()
            .map(|&gone| {
                let number = next;
                next += u32::from(!gone);
                number
            })
            .collect();
        let mut gone = gone.into_iter();
        let mut gone_bytes = 0;
        self.names.0.retain(|name, _| {
            let stays = gone.next() == Some(false);
            gone_bytes += if stays { 0 } else { name.len() };
            stays
        });
        self.member_bytes -= gone_bytes;
        self.order.renumber_all(&numbers);
    }

    /// Takes an entry out of the map whose item has left the order.
    fn forget(&mut self, member: u32) {
        let last = (self.len() - 1) as u32;
        if member != last {
            // While the last entry still has its place, its item can be found by comparing names.
            let (name, score) = self.names.entry(last);
            let at = self.order.find(&self.names, score, name, last);
            self.order.renumber(at, member);
        }
        let (name, _) = self
            .names
            .0
            .swap_remove_index(member as usize)
            .expect("invariant: the order holds positions of the map");
        self.member_bytes -= name.len();
    }
}

/// The members and scores of a range of ranks.
#[derive(Clone, Debug)]
pub struct OrderedRange<'a> {
    names: &'a Names,
    items: Items<'a>,
}

impl<'a> Iterator for OrderedRange<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.items.next().map(|(score, member)| (self.names.name(member), score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl DoubleEndedIterator for OrderedRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.items.next_back().map(|(score, member)| (self.names.name(member), score))
    }
}
