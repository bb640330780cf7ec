//! Fields that expire: the deadlines of a hash, and what of it is there at a time. Only a hash of
//! which some field has a deadline has this beside its fields.
//!
//! A field is there iff its deadline is after the clock. What is due goes by deadline, then by the
//! bytes of the field, so that the order of the fields that stay is the same on every node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Hash, Iter};
use crate::raft::types::Millis;

/// What a deadline costs beside the bytes of its field: a place in both trees, and the header of
/// the allocation with the name.
const DEADLINE_OVERHEAD_BYTES: usize = 88;

/// Invariant: `order` holds the items of `by_field`, turned round. None is 0.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldDeadlines {
    by_field: BTreeMap<Arc<[u8]>, Millis>,
    order: BTreeSet<(Millis, Arc<[u8]>)>,
    /// The sum of the lengths of the fields.
    payload: usize,
}

impl FieldDeadlines {
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn bytes(&self) -> usize {
        self.payload + self.len() * DEADLINE_OVERHEAD_BYTES
    }

    pub fn of(&self, field: &[u8]) -> Option<Millis> {
        self.by_field.get(field).copied()
    }

    pub fn first(&self) -> Option<Millis> {
        self.order.first().map(|(at_ms, _)| *at_ms)
    }

    pub fn last(&self) -> Option<Millis> {
        self.order.last().map(|(at_ms, _)| *at_ms)
    }

    /// By deadline, then by field.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Millis)> {
        self.order.iter().map(|(at_ms, field)| (&**field, *at_ms))
    }

    pub fn set(&mut self, field: &[u8], at_ms: Millis) {
        self.clear(field);
        let field: Arc<[u8]> = field.into();
        self.payload += field.len();
        self.by_field.insert(Arc::clone(&field), at_ms);
        self.order.insert((at_ms, field));
    }

    /// Tells whether there was a deadline.
    pub fn clear(&mut self, field: &[u8]) -> bool {
        let Some((field, at_ms)) = self.by_field.remove_entry(field) else { return false };
        self.payload -= field.len();
        self.order.remove(&(at_ms, field))
    }

    /// Takes the first field out whose deadline has passed.
    pub fn take_due(&mut self, clock_ms: Millis) -> Option<Arc<[u8]>> {
        if self.first()? > clock_ms {
            return None;
        }
        let (_, field) = self.order.pop_first()?;
        self.payload -= field.len();
        self.by_field.remove(&field);
        Some(field)
    }

    fn is_due(&self, field: &[u8], clock_ms: Millis) -> bool {
        self.of(field).is_some_and(|at_ms| at_ms <= clock_ms)
    }
}

/// What of a hash is there at a time. Costs no more than the hash itself unless a field is due that
/// has yet to be removed.
#[derive(Clone, Copy)]
pub struct View<'a> {
    hash: &'a Hash,
    /// The deadlines and the clock, where some are due.
    hidden: Option<(&'a FieldDeadlines, Millis)>,
}

impl<'a> View<'a> {
    #[inline]
    pub(super) fn new(hash: &'a Hash, clock_ms: Millis) -> Self {
        let is_due = |deadlines: &&FieldDeadlines| deadlines.first().is_some_and(|d| d <= clock_ms);
        let hidden = hash.deadlines().filter(is_due).map(|deadlines| (deadlines, clock_ms));
        Self { hash, hidden }
    }

    /// Whether the hash has fields that are not there any more.
    pub fn hides_some(&self) -> bool {
        self.hidden.is_some()
    }

    #[inline]
    fn hides(&self, field: &[u8]) -> bool {
        self.hidden.is_some_and(|(deadlines, clock_ms)| deadlines.is_due(field, clock_ms))
    }

    pub fn len(&self) -> usize {
        let hidden = self.hidden.map_or(0, |(deadlines, clock_ms)| {
            deadlines.order.iter().take_while(|(at_ms, _)| *at_ms <= clock_ms).count()
        });
        self.hash.len() - hidden
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<&'a [u8]> {
        if self.hides(field) { None } else { self.hash.get(field) }
    }

    pub fn contains(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// When the field expires, if ever.
    pub fn deadline(&self, field: &[u8]) -> Option<Millis> {
        self.hash.deadline(field)
    }

    /// The field at `index` of the order, and its value. Takes long where some are hidden.
    pub fn at(&self, index: usize) -> Option<(&'a [u8], &'a [u8])> {
        if self.hides_some() { self.iter().nth(index) } else { self.hash.at(index) }
    }

    /// All fields with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.shown(self.hash.iter())
    }

    /// As [`Hash::scan`].
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
    ) -> (u64, impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a>) {
        let (next, part) = self.hash.scan(cursor, count);
        (next, self.shown(part))
    }

    fn shown(&self, fields: Iter<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let view = *self;
        fields.filter(move |(field, _)| !view.hides(field))
    }
}
