//! A group of consumers: how far it has read a stream, and what it has delivered and not yet seen
//! acknowledged.
//!
//! Every pending entry stands in two places, in the list of the group and in that of its consumer,
//! which change together. Times are the leader's clock of the log entry that delivered.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{StreamId, StreamLog};
use crate::raft::types::Millis;

/// The name of a consumer, shared by all entries that are pending for it.
pub type Name = Arc<[u8]>;

/// What a pending entry costs: its id, time, count and name in the list of the group (48), its id
/// in that of the consumer (16), both in nodes that are three quarters full.
const PENDING_BYTES: usize = 85;

#[derive(Clone, Debug, Hash)]
pub struct Group {
    last_id: StreamId,
    entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Delivery>,
    consumers: BTreeMap<Name, Consumer>,
    /// The sum of the lengths of their names.
    name_bytes: usize,
}

/// To whom a pending entry was delivered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    pub consumer: Name,
    pub at_ms: Millis,
    /// How often it was, all in all.
    pub count: u64,
}

#[derive(Clone, Debug, Hash)]
pub struct Consumer {
    /// When it last asked for entries.
    pub seen_ms: Millis,
    /// When it last got any to be acknowledged.
    pub active_ms: Option<Millis>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// What is pending for it between two ids.
    pub fn pending(&self, range: RangeInclusive<StreamId>) -> impl Iterator<Item = StreamId> {
        ordered(&range).then(|| self.pending.range(range).copied()).into_iter().flatten()
    }
}

/// Maps panic on bounds in the wrong order.
fn ordered(range: &RangeInclusive<StreamId>) -> bool {
    range.start() <= range.end()
}

impl Group {
    /// `entries_read` is how many entries of the stream come up to `last_id`, if that is known.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        let (pending, consumers) = Default::default();
        Self { last_id, entries_read, pending, consumers, name_bytes: 0 }
    }

    /// Logical memory, the same on every node.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.name_bytes
            + self.consumers.len() * size_of::<Consumer>()
            + self.pending.len() * PENDING_BYTES
    }

    /// The last entry that was delivered to any consumer.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// Lets the group go on after `last_id`, before or behind where it is.
    pub fn set_position(&mut self, last_id: StreamId, entries_read: Option<u64>) {
        (self.last_id, self.entries_read) = (last_id, entries_read);
    }

    /// Lets the group go on after `id` if that is ahead, without a word on what it has read.
    pub fn skip_to(&mut self, id: StreamId) {
        self.last_id = self.last_id.max(id);
    }

    /// The entry `id` is delivered: the group goes on after it. While nothing was deleted ahead of
    /// the group, each entry is one more; otherwise the count can only be told at the ends of the
    /// stream.
    pub fn advance(&mut self, log: &StreamLog, id: StreamId) {
        if id <= self.last_id {
            return;
        }
        let is_within = self.last_id >= log.first_id().unwrap_or_default();
        self.entries_read = match self.entries_read {
            Some(count) if is_within && !has_deletions_from(log, self.last_id) => {
                Some(count.wrapping_add(1))
            }
            _ => entries_up_to(log, id),
        };
        self.last_id = id;
    }

    /// What the group has read so far, as far as the stream tells; for one that comes from where
    /// this was not counted.
    pub fn estimate_read(&mut self, log: &StreamLog) {
        self.entries_read = entries_up_to(log, self.last_id);
    }

    /// How many entries are left to be delivered, if that can be told. It is negative when the
    /// counters were set so.
    pub fn lag(&self, log: &StreamLog) -> Option<i64> {
        let Some(first_id) = log.first_id() else { return Some(0) };
        let left = |read: u64| log.entries_added().wrapping_sub(read) as i64;
        match self.entries_read {
            _ if log.entries_added() == 0 => Some(0),
            _ if self.last_id < first_id && log.max_deleted_id() < first_id => {
                Some(log.len() as i64)
            }
            Some(read) if !has_deletions_from(log, self.last_id) => Some(left(read)),
            _ => entries_up_to(log, self.last_id).map(left),
        }
    }

    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// What is pending for any consumer between two ids.
    pub fn pending(
        &self,
        range: RangeInclusive<StreamId>,
    ) -> impl Iterator<Item = (StreamId, &Delivery)> {
        let deliveries = ordered(&range).then(|| self.pending.range(range));
        deliveries.into_iter().flatten().map(|(id, delivery)| (*id, delivery))
    }

    pub fn delivery(&self, id: StreamId) -> Option<&Delivery> {
        self.pending.get(&id)
    }

    /// The lowest and the highest id that are pending.
    pub fn pending_bounds(&self) -> Option<(StreamId, StreamId)> {
        let (first, _) = self.pending.first_key_value()?;
        let (last, _) = self.pending.last_key_value()?;
        Some((*first, *last))
    }

    /// By name, in the order of their bytes.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (&Name, &Consumer)> {
        self.consumers.iter()
    }

    pub fn consumer(&self, name: &[u8]) -> Option<(&Name, &Consumer)> {
        self.consumers.get_key_value(name)
    }

    /// A new consumer; `None`, and nothing changes, when there is one of this name.
    pub fn add_consumer(
        &mut self,
        name: &[u8],
        seen_ms: Millis,
        active_ms: Option<Millis>,
    ) -> Option<Name> {
        if self.consumers.contains_key(name) {
            return None;
        }
        let name = Name::from(name);
        let consumer = Consumer { seen_ms, active_ms, pending: BTreeSet::new() };
        self.consumers.insert(Arc::clone(&name), consumer);
        self.name_bytes += name.len();
        Some(name)
    }

    /// The consumer asks for entries; it is made if need be. Tells whether it was.
    pub fn see_consumer(&mut self, name: &[u8], now_ms: Millis) -> (Name, bool) {
        let Some((known, _)) = self.consumers.get_key_value(name) else {
            let added = self.add_consumer(name, now_ms, None);
            return (added.expect("invariant: it was not there"), true);
        };
        let known = Arc::clone(known);
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.seen_ms = now_ms;
        }
        (known, false)
    }

    /// The consumer got entries that are now pending for it.
    pub fn set_active(&mut self, name: &Name, now_ms: Millis) {
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.active_ms = Some(now_ms);
        }
    }

    /// Removes a consumer with all that is pending for it; tells how much that was.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        self.name_bytes -= name.len();
        consumer.pending.iter().for_each(|id| drop(self.pending.remove(id)));
        Some(consumer.pending.len())
    }

    /// Makes an entry pending, or another's or again. Precondition: the group has the consumer.
    pub fn deliver(&mut self, id: StreamId, delivery: Delivery) {
        let name = Arc::clone(&delivery.consumer);
        let former = self.pending.insert(id, delivery);
        if former.as_ref().is_some_and(|former| former.consumer == name) {
            return;
        }
        self.forget(id, former);
        let consumer = self.consumers.get_mut(&name);
        consumer.expect("invariant: delivered to a consumer of the group").pending.insert(id);
    }

    /// An entry that is pending no more; false when it was not pending.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let former = self.pending.remove(&id);
        let was_pending = former.is_some();
        self.forget(id, former);
        was_pending
    }

    fn forget(&mut self, id: StreamId, former: Option<Delivery>) {
        if let Some(consumer) = former.and_then(|former| self.consumers.get_mut(&former.consumer)) {
            consumer.pending.remove(&id);
        }
    }
}

/// Whether an entry from `id` on may have been deleted by name, so that counts do not tell how many
/// follow it.
fn has_deletions_from(log: &StreamLog, id: StreamId) -> bool {
    let deleted = log.max_deleted_id();
    !log.is_empty() && deleted != StreamId::MIN && id <= deleted
}

/// How many entries were ever added up to `id`, where the counters of the stream tell it: at its
/// last id, and, if nothing within it was deleted, up to its first entry.
fn entries_up_to(log: &StreamLog, id: StreamId) -> Option<u64> {
    let (added, deleted) = (log.entries_added(), log.max_deleted_id());
    if added == 0 || log.is_empty() && id <= log.last_id() {
        return Some(added);
    }
    if id != StreamId::MIN && id < deleted || id > log.last_id() {
        return None;
    }
    if id == log.last_id() {
        return Some(added);
    }
    let first_id = log.first_id()?;
    let trimmed = added.wrapping_sub(log.len() as u64);
    let is_whole = deleted == StreamId::MIN || deleted < first_id;
    match id {
        _ if !is_whole || id > first_id => None,
        _ if id == first_id => Some(trimmed.wrapping_add(1)),
        _ => Some(trimmed),
    }
}
