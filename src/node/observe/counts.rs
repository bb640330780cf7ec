//! Counts of what a net role does itself: the commands that never reach the engine, those that are
//! refused before they could, and the errors of both.
//!
//! One net role writes, others read: what is written is a plain number to the writer.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::lock;
use crate::engine::command::stat_count;
use crate::engine::histogram::Histogram;
use crate::engine::timing::Histograms;
use crate::engine::{CommandStats, count_error};

/// One call of so many of a brief command is timed, and stands for the others, once there were
/// enough of them.
const SAMPLE: u64 = 16;
const TIMED_FIRST: u64 = 64 * SAMPLE;

pub struct NetCounts {
    /// By slot of the command table.
    commands: Box<[Count]>,
    /// Of what was timed.
    histograms: Mutex<Histograms>,
    errors: Mutex<BTreeMap<String, u64>>,
    total_errors: AtomicU64,
    buffers: Mutex<BufferSizes>,
}

/// Bytes in the buffers of clients, as they are when a net role looks at all of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferSizes {
    pub total: usize,
    pub input_max: usize,
    pub output_max: usize,
}

impl BufferSizes {
    /// One client more.
    pub fn add(&mut self, input: usize, output: usize) {
        self.total += input + output;
        self.input_max = self.input_max.max(input);
        self.output_max = self.output_max.max(output);
    }
}

#[derive(Default)]
struct Count {
    calls: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    nanos: AtomicU64,
}

/// The counts of all net roles.
pub struct Counted {
    pub commands: Vec<CommandStats>,
    pub histograms: Histograms,
    pub errors: BTreeMap<String, u64>,
    pub total_errors: u64,
    pub buffers: BufferSizes,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            commands: vec![CommandStats::default(); stat_count()],
            histograms: vec![None; stat_count()],
            errors: BTreeMap::new(),
            total_errors: 0,
            buffers: BufferSizes::default(),
        }
    }
}

impl Default for NetCounts {
    fn default() -> Self {
        let commands = std::iter::repeat_with(Count::default).take(stat_count());
        Self {
            commands: commands.collect(),
            histograms: Mutex::new(vec![None; stat_count()]),
            errors: Mutex::default(),
            total_errors: AtomicU64::new(0),
            buffers: Mutex::default(),
        }
    }
}

/// Only one role writes, so nothing comes between.
#[inline]
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed) + more, Relaxed);
}

impl NetCounts {
    /// Counts a call that begins; returns for how many calls its time stands, 0 if it is not to be
    /// timed.
    #[inline]
    pub fn call(&self, slot: u16, is_brief: bool) -> u64 {
        let count = &self.commands[usize::from(slot)];
        let calls = count.calls.load(Relaxed);
        count.calls.store(calls + 1, Relaxed);
        match is_brief {
            true if calls < TIMED_FIRST => 1,
            true if calls.is_multiple_of(SAMPLE) => SAMPLE,
            true => 0,
            false => 1,
        }
    }

    /// The call that was counted last took so long, as did `weight` calls in all.
    pub fn time(&self, slot: u16, nanos: u64, weight: u64, tracks: bool) {
        add(&self.commands[usize::from(slot)].nanos, nanos * weight);
        if tracks {
            let histograms = &mut *lock(&self.histograms);
            histograms[usize::from(slot)].get_or_insert_default().record(nanos, weight);
        }
    }

    /// A command was run, and this error was the reply.
    #[cold]
    pub fn fail(&self, slot: u16, text: &str) {
        add(&self.commands[usize::from(slot)].failed, 1);
        self.error(text);
    }

    /// A command was refused before it ran.
    #[cold]
    pub fn reject(&self, slot: u16, text: &str) {
        add(&self.commands[usize::from(slot)].rejected, 1);
        self.error(text);
    }

    /// An error of no command that there is.
    #[cold]
    pub fn error(&self, text: &str) {
        add(&self.total_errors, 1);
        count_error(&mut lock(&self.errors), text);
    }

    pub fn set_buffers(&self, buffers: BufferSizes) {
        *lock(&self.buffers) = buffers;
    }

    pub fn add_to(&self, counted: &mut Counted) {
        for (count, sum) in self.commands.iter().zip(&mut counted.commands) {
            sum.add(&CommandStats {
                calls: count.calls.load(Relaxed),
                failed: count.failed.load(Relaxed),
                rejected: count.rejected.load(Relaxed),
                nanos: count.nanos.load(Relaxed),
            });
        }
        add_histograms(&mut counted.histograms, &lock(&self.histograms));
        for (code, count) in lock(&self.errors).iter() {
            *counted.errors.entry(code.clone()).or_default() += count;
        }
        counted.total_errors += self.total_errors.load(Relaxed);
        let BufferSizes { total, input_max, output_max } = *lock(&self.buffers);
        let buffers = &mut counted.buffers;
        buffers.total += total;
        buffers.input_max = buffers.input_max.max(input_max);
        buffers.output_max = buffers.output_max.max(output_max);
    }

    pub fn reset(&self) {
        for count in &self.commands {
            for counter in [&count.calls, &count.failed, &count.rejected, &count.nanos] {
                counter.store(0, Relaxed);
            }
        }
        lock(&self.histograms).fill(None);
        lock(&self.errors).clear();
        self.total_errors.store(0, Relaxed);
    }
}

pub fn add_histograms(sums: &mut Histograms, more: &Histograms) {
    for (sum, more) in sums.iter_mut().zip(more) {
        if let Some(more) = more {
            let sum: &mut Box<Histogram> = sum.get_or_insert_default();
            sum.add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brief_commands_are_timed_by_samples_that_stand_for_all() {
        let counts = NetCounts::default();
        let weights = |count: u64| (0..count).map(|_| counts.call(3, true)).collect::<Vec<_>>();
        assert_eq!(weights(TIMED_FIRST), vec![1; TIMED_FIRST as usize]);
        let sampled = weights(3 * SAMPLE);
        assert_eq!(sampled.iter().sum::<u64>(), 3 * SAMPLE);
        assert_eq!(sampled.iter().filter(|weight| **weight > 0).count(), 3);
        assert_eq!((0..10).map(|_| counts.call(4, false)).sum::<u64>(), 10);
        counts.time(3, 100, SAMPLE, true);
        counts.time(4, 7, 1, false);
        counts.fail(4, "ERR no");
        counts.reject(4, "NOAUTH no");
        counts.error("ERR never heard of");
        let mut counted = Counted::default();
        counts.add_to(&mut counted);
        counts.add_to(&mut counted);
        let of = counted.commands[4];
        assert_eq!((of.calls, of.failed, of.rejected, of.nanos), (20, 2, 2, 14));
        assert_eq!(counted.commands[3].nanos, 2 * 100 * SAMPLE);
        assert_eq!(counted.histograms[3].as_ref().unwrap().total(), 2 * SAMPLE);
        assert!(counted.histograms[4].is_none());
        assert_eq!(counted.errors["ERR"], 4);
        assert_eq!(counted.total_errors, 6);
        counts.reset();
        let mut counted = Counted::default();
        counts.add_to(&mut counted);
        assert_eq!((counted.commands[4], counted.total_errors), (CommandStats::default(), 0));
    }
}
