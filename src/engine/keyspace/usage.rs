//! When keys were used last, or how often: what eviction goes by, and OBJECT IDLETIME and FREQ.
//!
//! It is known on each node for itself: reads run on one node and leave no trace on others. So it
//! is no part of the replicated state, and nothing that is may depend on it.
//!
//! An entry has [`USAGE_BITS`] bits for it. While a policy counts uses (LFU) they hold Redis's
//! logarithmic counter in the low 8 bits, and above it the minute at which it was last looked at;
//! else the second of the last use. Both wrap around: after 12 days without a use a key seems to
//! have been used just now, after 68 hours its counter seems to have been looked at just now.

use std::cell::Cell;

use super::{Entry, Keyspace};
use crate::engine::random::Random;
use crate::raft::types::Millis;

/// What an entry has room for beside its version.
pub(super) const USAGE_BITS: u32 = 20;
pub(super) const USAGE_MASK: u64 = (1 << USAGE_BITS) - 1;

const COUNTER_BITS: u32 = 8;
const COUNTER_MAX: u64 = (1 << COUNTER_BITS) - 1;
const MINUTES_MASK: u64 = USAGE_MASK >> COUNTER_BITS;

/// What the counter of a new key is, so that it has a chance to be used again before it goes.
const COUNTER_NEW: u64 = 5;

/// What is known of the time, and how uses are counted.
pub(super) struct Usage {
    /// Seconds since the Unix epoch, never going back.
    seconds: Cell<u64>,
    /// What an entry that is used now keeps, while uses are not counted.
    now_bits: Cell<u64>,
    counts: bool,
    log_factor: u64,
    decay_minutes: u64,
    /// Reads are of a client that asked not to be noticed.
    pub is_hidden: Cell<bool>,
    /// For the counter, which grows by chance.
    random: Cell<u64>,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            seconds: Cell::new(0),
            now_bits: Cell::new(0),
            counts: false,
            log_factor: 10,
            decay_minutes: 1,
            is_hidden: Cell::new(false),
            random: Cell::new(1),
        }
    }
}

impl Usage {
    #[inline]
    pub fn move_to(&self, unix_ms: Millis) {
        let seconds = unix_ms / 1000;
        if seconds > self.seconds.get() {
            self.seconds.set(seconds);
            self.now_bits.set(seconds & USAGE_MASK);
        }
    }

    /// The clock, to the second.
    pub fn now_ms(&self) -> Millis {
        self.seconds.get() * 1000
    }

    pub fn set_counting(&mut self, counts: bool, log_factor: u64, decay_minutes: u64) {
        (self.counts, self.log_factor) = (counts, log_factor);
        self.decay_minutes = decay_minutes;
    }

    /// What an entry keeps that is new.
    #[inline]
    pub fn of_new(&self) -> u64 {
        if self.counts { self.counter_bits(COUNTER_NEW) } else { self.now_bits.get() }
    }

    /// An entry is used.
    #[inline]
    pub fn note(&self, entry: &Entry) {
        if self.is_hidden.get() {
            return;
        }
        if self.counts {
            self.count(entry);
        } else if entry.usage() != self.now_bits.get() {
            // A line of the cache that is not changed need not be written back.
            entry.set_usage(self.now_bits.get());
        }
    }

    fn counter_bits(&self, counter: u64) -> u64 {
        ((self.seconds.get() / 60) & MINUTES_MASK) << COUNTER_BITS | counter
    }

    /// The counter of an entry, after what it has lost since it was last looked at.
    fn counter(&self, entry: &Entry) -> u64 {
        let (minute, counter) = (entry.usage() >> COUNTER_BITS, entry.usage() & COUNTER_MAX);
        let minutes = (self.seconds.get() / 60).wrapping_sub(minute) & MINUTES_MASK;
        let periods = minutes.checked_div(self.decay_minutes).unwrap_or(0);
        counter.saturating_sub(periods)
    }

    /// The larger the counter, the less likely it grows: with the default factor 255 stand for
    /// about a million uses.
    #[cold]
    fn count(&self, entry: &Entry) {
        let counter = self.counter(entry);
        let above = counter.saturating_sub(COUNTER_NEW);
        let mut random = Random::new(self.random.get());
        let pick = random.next();
        self.random.set(pick);
        let odds = above.saturating_mul(self.log_factor).saturating_add(1);
        let grows = counter < COUNTER_MAX && pick.is_multiple_of(odds);
        entry.set_usage(self.counter_bits(counter + u64::from(grows)));
    }

    /// How many seconds ago an entry was last used.
    fn idle_seconds(&self, entry: &Entry) -> u64 {
        self.seconds.get().wrapping_sub(entry.usage()) & USAGE_MASK
    }

    /// How much an entry is worth going by the policy: the larger, the sooner it goes.
    pub fn uselessness(&self, entry: &Entry) -> u64 {
        if self.counts { COUNTER_MAX - self.counter(entry) } else { self.idle_seconds(entry) }
    }
}

impl Keyspace {
    /// Moves the clock of uses, which no state depends on.
    #[inline]
    pub fn move_usage_clock(&self, unix_ms: Millis) {
        self.usage.move_to(unix_ms);
    }

    /// Whether what is looked at from here on does not count as used; returns what was said before.
    #[inline]
    pub fn hide_usage(&self, hides: bool) -> bool {
        self.usage.is_hidden.replace(hides)
    }

    /// Seconds since the last use; `None` while uses are counted.
    pub fn idle_seconds(&self, entry: &Entry) -> Option<u64> {
        (!self.usage.counts).then(|| self.usage.idle_seconds(entry))
    }

    /// The counter of uses; `None` while they are not counted.
    pub fn use_counter(&self, entry: &Entry) -> Option<u64> {
        self.usage.counts.then(|| self.usage.counter(entry))
    }

    /// Makes it as if a live key had last been used so many seconds ago. Nothing while uses are
    /// counted.
    pub fn set_idle_seconds(&self, database: u8, key: &[u8], seconds: u64) {
        if let Some(entry) = self.peek(database, key).filter(|_| !self.usage.counts) {
            let longest = seconds.min(USAGE_MASK);
            entry.set_usage(self.usage.seconds.get().wrapping_sub(longest) & USAGE_MASK);
        }
    }

    /// Gives a live key a counter of uses. Nothing while they are not counted.
    pub fn set_use_counter(&self, database: u8, key: &[u8], counter: u8) {
        if let Some(entry) = self.peek(database, key).filter(|_| self.usage.counts) {
            entry.set_usage(self.usage.counter_bits(counter.into()));
        }
    }
}
