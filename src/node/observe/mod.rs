//! What a node remembers of its work for whoever looks for slow or large commands, for spikes of
//! latency, and for rates. None of it is a part of the replicated state: each node has its own.

pub mod commandlog;
pub mod counts;
pub mod latency;
pub mod monitor;
pub mod pause;
pub mod rates;
pub mod words;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::nanoseconds;
use crate::config::Tunables;
use crate::engine::command::{lookup, stat_slot};
use crate::engine::timing::Thresholds;

use commandlog::{CommandLog, LogKind};
use counts::NetCounts;
use latency::Latency;
use monitor::Monitoring;
use pause::Pause;
use rates::Rates;

#[derive(Default)]
pub struct Observed {
    logs: [Mutex<CommandLog>; LogKind::ALL.len()],
    latency: Mutex<Latency>,
    rates: Mutex<Rates>,
    /// Of each net role.
    nets: Mutex<Vec<Arc<NetCounts>>>,
    watched: Watched,
    pub monitoring: Monitoring,
    pub pause: Pause,
}

/// The settings that decide what is remembered, for roles that do not look at settings themselves.
struct Watched {
    /// Microseconds; negative: none is slow.
    slow_micros: AtomicI64,
    /// Bytes; negative: none is large.
    reply_bytes: AtomicI64,
    /// Milliseconds; 0: spikes are not remembered.
    spike_ms: AtomicU64,
    tracks: AtomicBool,
}

impl Default for Watched {
    /// Nothing is remembered.
    fn default() -> Self {
        Self {
            slow_micros: AtomicI64::new(-1),
            reply_bytes: AtomicI64::new(-1),
            spike_ms: AtomicU64::new(0),
            tracks: AtomicBool::new(false),
        }
    }
}

impl Observed {
    /// Takes over what has been set.
    pub fn set(&self, tunables: &Tunables) {
        let watched = &self.watched;
        watched.slow_micros.store(tunables.log_slower_than_micros, Ordering::Relaxed);
        watched.reply_bytes.store(tunables.log_reply_larger_than, Ordering::Relaxed);
        watched.spike_ms.store(tunables.latency_monitor_threshold_ms, Ordering::Relaxed);
        watched.tracks.store(tunables.latency_tracking, Ordering::Relaxed);
        for (log, len_max) in self.logs.iter().zip(tunables.command_log_len_max) {
            lock(log).set_len_max(len_max);
        }
    }

    /// From when on the engine notes a command: for the log of slow ones, or as a spike.
    pub fn thresholds(&self) -> Thresholds {
        let slow = u64::try_from(self.watched.slow_micros.load(Ordering::Relaxed));
        let slow_nanos = slow.map_or(u64::MAX, |micros| micros.saturating_mul(1000));
        let spike_nanos = self.spike_ms().map_or(u64::MAX, |ms| ms.saturating_mul(1_000_000));
        let reply_bytes = usize::try_from(self.watched.reply_bytes.load(Ordering::Relaxed));
        Thresholds {
            nanos: slow_nanos.min(spike_nanos),
            reply_bytes: reply_bytes.unwrap_or(usize::MAX),
            tracks: self.watched.tracks.load(Ordering::Relaxed),
        }
    }

    /// Whether a command that took so long belongs into the log of slow ones.
    pub fn is_slow(&self, nanos: u64) -> bool {
        let micros = self.watched.slow_micros.load(Ordering::Relaxed);
        u64::try_from(micros).is_ok_and(|micros| nanos / 1000 >= micros)
    }

    pub fn watches_spikes(&self) -> bool {
        self.spike_ms().is_some()
    }

    fn spike_ms(&self) -> Option<u64> {
        Some(self.watched.spike_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0)
    }

    pub fn log(&self, kind: LogKind) -> MutexGuard<'_, CommandLog> {
        lock(&self.logs[kind as usize])
    }

    pub fn latency(&self) -> MutexGuard<'_, Latency> {
        lock(&self.latency)
    }

    /// Remembers something that took `nanos`, if that is a spike.
    #[inline]
    pub fn note_latency(&self, event: &'static str, nanos: u64, unix_seconds: impl Fn() -> u64) {
        if let Some(spike_ms) = self.spike_ms()
            && nanos / 1_000_000 >= spike_ms
        {
            self.latency().note(event, nanos / 1_000_000, unix_seconds());
        }
    }

    pub fn rates(&self) -> MutexGuard<'_, Rates> {
        lock(&self.rates)
    }

    /// The counts of a new net role.
    pub fn new_counts(&self) -> Arc<NetCounts> {
        let counts = Arc::<NetCounts>::default();
        lock(&self.nets).push(Arc::clone(&counts));
        counts
    }

    /// What all net roles have counted.
    pub fn counts(&self) -> counts::Counted {
        let mut counted = counts::Counted::default();
        for net in lock(&self.nets).iter() {
            net.add_to(&mut counted);
        }
        counted
    }

    /// CONFIG RESETSTAT, which is the first call that counts again.
    pub fn reset_counts(&self) {
        let began = nanoseconds();
        let nets = lock(&self.nets);
        for net in nets.iter() {
            net.reset();
        }
        *self.rates() = Rates::default();
        if let Some(net) = nets.first() {
            let config = lookup(b"config").expect("invariant: the node knows CONFIG");
            let slot = stat_slot(config, Some(&&b"resetstat"[..]));
            let weight = net.call(slot, false);
            let nanos = nanoseconds().saturating_sub(began);
            net.time(slot, nanos, weight, self.thresholds().tracks);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change of these is whole by itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
