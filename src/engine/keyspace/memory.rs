//! The account of memory, which `maxmemory` bounds, and the bounds of deadlines.
//!
//! The account is a function of the replicated state alone, equal on all nodes: what the entries
//! of all databases count. An entry counts
//!
//! - itself, with up to 22 bytes of key and 22 of a string: 64 bytes; a longer key or string: its
//!   length besides; a string that was changed in place: 24 more;
//! - a deadline: [`DEADLINE_BYTES`];
//! - a list: 2, 6 or 10 bytes and the element for each; a small set or sorted set the like;
//! - a small hash: 1 byte, and for each field 1 or 3 bytes with the lengths of field and value;
//! - a table of a set: 40 bytes a member, and the length of one over 22 bytes; of a hash: 48 a
//!   field, and the lengths of field and value; a sorted set: as told in its module;
//! - fields that expire: 88 each, and their lengths; a stream: its entries with 17 or so bytes
//!   each, its groups, consumers and pending entries.
//!
//! What the allocator and half-empty tables take is not in it: with small keys the process holds up
//! to twice as much.
//!
//! It is kept by what a change makes of one entry. A change through a reference ends when the
//! keyspace is asked for something else, so the entry that is being changed is left out until then:
//! [`Account::open`]. That is an addition and a subtraction for each change.

use super::segment::Position;
use super::{DATABASE_COUNT, Deadline, Entry, Keyspace};
use crate::engine::settings::{Policy, SettingId, Settings};
use crate::limits::{EVICTION_SLACK_BYTES, EVICTION_SLACK_SHARE};
use crate::raft::types::Millis;

/// What a deadline counts: it stands in the entry, and once in the order of deadlines.
pub(super) const DEADLINE_BYTES: usize = 24;

#[derive(Default)]
pub(super) struct Account {
    /// What all entries count but the open one.
    bytes: usize,
    /// An entry that may be being changed. It is where it was until the keyspace settles.
    open: Option<(u8, Position)>,
    limit: Option<Limit>,
    ttl: TtlBounds,
    /// Clients may not write.
    read_only: bool,
}

impl Account {
    /// All that is counted but for the open entry.
    #[inline]
    pub fn counted(&self) -> usize {
        self.bytes
    }

    /// So much of what was counted is gone. Precondition: settled before that.
    #[inline]
    pub fn forget(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }
}

/// `maxmemory`, where there is one.
#[derive(Clone, Copy)]
struct Limit {
    bytes: usize,
    policy: Policy,
}

/// `default-ttl` and `max-ttl`. 0: none.
#[derive(Clone, Copy, Default)]
pub(super) struct TtlBounds {
    default_ms: Millis,
    max_ms: Millis,
}

impl Keyspace {
    /// The settings are these from here on.
    pub fn follow_settings(&mut self, settings: &Settings) {
        self.set_event_classes(settings.event_classes());
        self.follow_forms(settings);
        let policy = settings.policy();
        let bytes = settings.unsigned(SettingId::Maxmemory) as usize;
        self.account.limit = (bytes > 0).then_some(Limit { bytes, policy });
        self.account.ttl = TtlBounds {
            default_ms: settings.unsigned(SettingId::DefaultTtl),
            max_ms: settings.unsigned(SettingId::MaxTtl),
        };
        self.usage.set_counting(
            policy.is_lfu(),
            settings.unsigned(SettingId::LfuLogFactor),
            settings.unsigned(SettingId::LfuDecayTime),
        );
    }

    /// The account: what keys and values count.
    pub fn memory(&self) -> usize {
        let open = self.account.open.map(|(database, position)| {
            self.databases[usize::from(database)].table.at(position).bytes()
        });
        self.account.bytes + open.unwrap_or(0)
    }

    /// What [`Keyspace::memory`] must be, counted from scratch.
    #[cfg(test)]
    pub fn recount_memory(&self) -> usize {
        let tables = self.databases.iter().map(|database| &database.table);
        tables.flat_map(|table| table.iter()).map(super::Entry::bytes).sum()
    }

    /// Whether there is a limit and the account is above it.
    #[inline]
    pub fn is_over_limit(&self) -> bool {
        self.account.limit.is_some_and(|limit| self.memory() > limit.bytes)
    }

    /// By how much the account is above the limit.
    pub fn excess(&self) -> usize {
        self.account.limit.map_or(0, |limit| self.memory().saturating_sub(limit.bytes))
    }

    /// What goes while the account is above the limit; `None` if nothing does.
    pub(super) fn eviction_policy(&self) -> Option<Policy> {
        let policy = self.account.limit?.policy;
        (policy != Policy::Noeviction).then_some(policy)
    }

    /// Whether commands that may take memory are refused: above the limit, where nothing can go,
    /// or more is written than goes.
    #[inline]
    pub fn denies_growth(&self) -> bool {
        self.account.limit.is_some() && self.denies_growth_now()
    }

    /// Other bounds of deadlines hold from here on; returns the former ones.
    pub(super) fn set_ttl_bounds(&mut self, bounds: TtlBounds) -> TtlBounds {
        std::mem::replace(&mut self.account.ttl, bounds)
    }

    /// Clients may not write from here on, or may again.
    pub fn set_read_only(&mut self, read_only: bool) {
        self.account.read_only = read_only;
    }

    /// Whether clients may not write.
    #[inline]
    pub fn is_read_only(&self) -> bool {
        self.account.read_only
    }

    /// Whether some commands are refused.
    #[inline]
    pub fn refuses_some(&self) -> bool {
        self.account.read_only | self.denies_growth()
    }

    fn denies_growth_now(&self) -> bool {
        let excess = self.excess();
        let Some(Limit { bytes, policy }) = self.account.limit.filter(|_| excess > 0) else {
            return false;
        };
        let count = |database| match policy.is_volatile() {
            true => self.volatile_len(database),
            false => self.len(database),
        };
        let can_go =
            policy != Policy::Noeviction && (0..DATABASE_COUNT).any(|number| count(number) > 0);
        !can_go || excess > EVICTION_SLACK_BYTES.saturating_add(bytes / EVICTION_SLACK_SHARE)
    }

    /// Counts the entry again that was being changed. To be called before any table changes.
    #[inline]
    pub(super) fn settle(&mut self) {
        if let Some((database, position)) = self.account.open.take() {
            let home = &mut self.databases[usize::from(database)];
            let bytes = home.table.at(position).bytes();
            home.bytes += bytes;
            self.account.bytes += bytes;
        }
    }

    /// An entry that is counted is about to change.
    #[inline]
    pub(super) fn open(&mut self, database: u8, position: Position) {
        self.settle();
        let home = &mut self.databases[usize::from(database)];
        let bytes = home.table.at(position).bytes();
        home.bytes -= bytes;
        self.account.bytes -= bytes;
        self.account.open = Some((database, position));
    }

    /// The entry that may be being changed.
    pub(super) fn open_entry(&mut self) -> Option<&mut Entry> {
        let (database, position) = self.account.open?;
        Some(self.databases[usize::from(database)].table.at_mut(position))
    }

    /// An entry is new, and may be about to change.
    #[inline]
    pub(super) fn open_new(&mut self, database: u8, position: Position) {
        self.account.open = Some((database, position));
    }

    /// The deadline of a key that is written, within the bounds.
    #[inline]
    pub(super) fn deadline_of_written(&self, old_ms: Millis, deadline: Deadline) -> Deadline {
        let TtlBounds { default_ms, max_ms } = self.account.ttl;
        if default_ms | max_ms == 0 {
            return deadline;
        }
        match deadline {
            Deadline::Clear => self.default_deadline(default_ms),
            // What was there before the bounds were set is as if written without one.
            Deadline::Keep if old_ms == 0 => self.default_deadline(default_ms),
            Deadline::Keep => Deadline::At(self.at_most(old_ms)),
            Deadline::At(at_ms) => Deadline::At(self.at_most(at_ms)),
        }
    }

    /// The deadline of a key that is given one or relieved of it, within the bounds.
    pub(super) fn deadline_of_told(&self, deadline: Deadline) -> Deadline {
        match deadline {
            Deadline::Clear => self.default_deadline(0),
            Deadline::Keep => Deadline::Keep,
            Deadline::At(at_ms) => Deadline::At(self.at_most(at_ms)),
        }
    }

    /// Whether a key that is made gets a deadline.
    #[inline]
    pub(super) fn bounds_deadlines(&self) -> bool {
        self.account.ttl.default_ms | self.account.ttl.max_ms != 0
    }

    fn default_deadline(&self, default_ms: Millis) -> Deadline {
        match (default_ms, self.account.ttl.max_ms) {
            (0, 0) => Deadline::Clear,
            (0, ttl_ms) => Deadline::At(self.clock_ms + ttl_ms),
            (ttl_ms, _) => Deadline::At(self.at_most(self.clock_ms + ttl_ms)),
        }
    }

    fn at_most(&self, at_ms: Millis) -> Millis {
        match self.account.ttl.max_ms {
            0 => at_ms,
            max_ms => at_ms.min(self.clock_ms + max_ms),
        }
    }
}

#[cfg(test)]
mod tests;
