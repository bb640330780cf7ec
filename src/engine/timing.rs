//! How long commands run, and which of them a log of slow or large commands is to name.
//!
//! Reading the clock costs a good part of what a small command does, so brief commands are timed in
//! runs: the clock is read around up to [`RUN_MAX`] of them, and each counts for an equal share.
//! Sums are exact that way, and the share of one command is off by what makes it differ from its
//! neighbours. All others are timed one by one. So is everything while the log asks for commands
//! under [`ALONE_NANOS_MIN`], and for a while after a run that was slow as a whole.
//!
//! The clock is given from outside, and nothing here is a part of the replicated state.

use std::borrow::Cow;

use super::batch::Command;
use super::command::{brief, stat_slot};
use super::histogram::Histogram;
use super::stats::{CommandStats, EngineStats};

/// Commands of a run that share its time.
pub const RUN_MAX: usize = 32;

/// Commands with more arguments are timed alone, whatever they are.
const ARGUMENTS_BRIEF_MAX: usize = 64;

/// While slower commands than this are asked for, all are timed alone: a run of brief ones takes as
/// long.
pub const ALONE_NANOS_MIN: u64 = 1_000_000;

/// Commands timed alone after a run that was slow as a whole.
const ALONE_AFTER_SLOW_RUN: u32 = 4096;

/// One call of so many is timed where commands are called by a command that is timed itself.
const NESTED_SAMPLE: u64 = 8;

/// Words of a command that are kept, and bytes of each; Redis's.
const WORDS_MAX: usize = 32;
const WORD_BYTES_MAX: usize = 128;

/// From which time or size on a command is notable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// `u64::MAX`: never.
    pub nanos: u64,
    /// Of its reply. `usize::MAX`: never.
    pub reply_bytes: usize,
    /// Whether distributions are kept.
    pub tracks: bool,
}

impl Thresholds {
    pub const NONE: Self = Self { nanos: u64::MAX, reply_bytes: usize::MAX, tracks: false };
}

/// A command that was slow or had a large reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notable {
    /// Name and arguments, cut as [`excerpt`] does.
    pub words: Vec<Vec<u8>>,
    pub nanos: u64,
    pub reply_bytes: usize,
    /// By the flags of its table.
    pub is_fast: bool,
}

/// The stopwatch of an engine.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Nanoseconds since any moment. Without it nothing is timed.
    clock: Option<fn() -> u64>,
    thresholds: Thresholds,
    /// Whether what is run is of clients of this node.
    is_own: bool,
    /// Up to when time was shared out.
    mark: u64,
    run: [u16; RUN_MAX],
    run_len: usize,
    alone_left: u32,
    nested: u64,
    notable: Vec<Notable>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            clock: None,
            thresholds: Thresholds::NONE,
            is_own: false,
            mark: 0,
            run: [0; RUN_MAX],
            run_len: 0,
            alone_left: 0,
            nested: 0,
            notable: Vec::new(),
        }
    }
}

impl Timing {
    pub fn set_clock(&mut self, clock: fn() -> u64) {
        self.clock = Some(clock);
    }

    #[inline]
    pub fn has_notable(&self) -> bool {
        !self.notable.is_empty()
    }

    /// The commands that are notable since the last call.
    #[inline]
    pub fn take_notable(&mut self) -> Vec<Notable> {
        std::mem::take(&mut self.notable)
    }
}

impl EngineStats {
    /// Commands are run from here on, one after the other.
    pub(super) fn begin_timing(&mut self, is_own: bool, thresholds: Thresholds) {
        let timing = &mut self.timing;
        timing.is_own = is_own;
        timing.thresholds = thresholds;
        timing.run_len = 0;
        if let Some(clock) = timing.clock {
            timing.mark = clock();
        }
    }

    /// The last command for now has run.
    pub(super) fn end_timing(&mut self) {
        if self.timing.run_len > 0 {
            self.share_out();
        }
    }

    /// Whether a command that is about to run is timed by itself; then the time of those before it
    /// is shared out.
    #[inline]
    pub(super) fn is_timed_alone(&mut self, command: &Command<'_>) -> bool {
        let timing = &self.timing;
        let alone = !brief(command.id)
            || command.arguments.len() > ARGUMENTS_BRIEF_MAX
            || timing.thresholds.nanos < ALONE_NANOS_MIN
            || timing.alone_left > 0;
        if timing.clock.is_none() {
            return false;
        }
        if alone && timing.run_len > 0 {
            self.share_out();
        }
        alone
    }

    /// A command has run.
    #[inline]
    pub(super) fn note_run(&mut self, command: &Command<'_>, alone: bool, reply_bytes: usize) {
        let timing = &mut self.timing;
        if timing.clock.is_none() {
            return;
        }
        let slot = stat_slot(command.id, command.arguments.first());
        if alone {
            self.note_alone(command, slot, reply_bytes);
        } else {
            timing.run[timing.run_len] = slot;
            timing.run_len += 1;
            let is_large = reply_bytes >= timing.thresholds.reply_bytes && timing.is_own;
            if timing.run_len == RUN_MAX || is_large {
                self.share_out();
            }
            if is_large {
                self.note_notable(command, 0, reply_bytes);
            }
        }
    }

    fn note_alone(&mut self, command: &Command<'_>, slot: u16, reply_bytes: usize) {
        let nanos = self.elapsed();
        self.add(slot, nanos, 1);
        let timing = &mut self.timing;
        timing.alone_left = timing.alone_left.saturating_sub(1);
        let thresholds = timing.thresholds;
        let is_notable = nanos >= thresholds.nanos || reply_bytes >= thresholds.reply_bytes;
        if is_notable && timing.is_own {
            self.note_notable(command, nanos, reply_bytes);
        }
    }

    /// Nanoseconds since this was last asked.
    fn elapsed(&mut self) -> u64 {
        let timing = &mut self.timing;
        let Some(clock) = timing.clock else { return 0 };
        let now = clock();
        now.saturating_sub(std::mem::replace(&mut timing.mark, now))
    }

    /// Ends the run of brief commands.
    fn share_out(&mut self) {
        let nanos = self.elapsed();
        let (run, len) = (self.timing.run, std::mem::take(&mut self.timing.run_len));
        let share = nanos / len as u64;
        for same in run[..len].chunk_by(|one, next| one == next) {
            self.add(same[0], share, same.len() as u64);
        }
        if nanos >= self.timing.thresholds.nanos {
            self.timing.alone_left = ALONE_AFTER_SLOW_RUN;
        }
    }

    #[inline]
    fn add(&mut self, slot: u16, nanos: u64, calls: u64) {
        let slot = usize::from(slot);
        self.commands[slot].nanos += nanos * calls;
        if self.timing.thresholds.tracks {
            self.histograms[slot].get_or_insert_default().record(nanos, calls);
        }
    }

    #[cold]
    fn note_notable(&mut self, command: &Command<'_>, nanos: u64, reply_bytes: usize) {
        let spec = super::command::spec(command.id);
        let is_fast = spec.flags.contains(super::command::Flags::FAST);
        let name = command.name();
        let words = std::iter::once(&*name).chain(command.arguments.iter().copied());
        let words = excerpt(words, command.arguments.len() + 1);
        self.timing.notable.push(Notable { words, nanos, reply_bytes, is_fast });
    }

    /// A transaction begins, whose commands are timed by themselves.
    pub(super) fn begin_group(&mut self) -> u64 {
        self.end_timing();
        self.timing.mark
    }

    /// Its time is that of all its commands; it is named by no log, since they are.
    pub(super) fn end_group(&mut self, began: u64, exec: &Command<'_>) {
        if self.timing.clock.is_some() {
            self.end_timing();
            self.elapsed();
            let slot = stat_slot(exec.id, exec.arguments.first());
            self.add(slot, self.timing.mark.saturating_sub(began), 1);
        }
    }

    /// When a call within another command begins, if that is one to be timed.
    pub(super) fn begin_nested(&mut self) -> Option<u64> {
        let clock = self.timing.clock?;
        self.timing.nested += 1;
        self.timing.nested.is_multiple_of(NESTED_SAMPLE).then(clock)
    }

    pub(super) fn end_nested(&mut self, began: Option<u64>, command: &Command<'_>) {
        if let (Some(began), Some(clock)) = (began, self.timing.clock) {
            let slot = stat_slot(command.id, command.arguments.first());
            self.add(slot, clock().saturating_sub(began), NESTED_SAMPLE);
        }
    }
}

impl CommandStats {
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.rejected += other.rejected;
        self.nanos += other.nanos;
    }
}

/// The distributions of commands that were timed, by slot.
pub type Histograms = Vec<Option<Box<Histogram>>>;

/// What a log of commands keeps of one with `count` words: not all of many, nor all of long ones.
pub fn excerpt<'a>(words: impl Iterator<Item = &'a [u8]>, count: usize) -> Vec<Vec<u8>> {
    let kept = if count > WORDS_MAX { WORDS_MAX - 1 } else { count };
    let mut excerpt: Vec<Vec<u8>> = words.take(kept).map(|word| cut(word).into_owned()).collect();
    if count > kept {
        excerpt.push(format!("... ({} more arguments)", count - kept).into_bytes());
    }
    excerpt
}

fn cut(word: &[u8]) -> Cow<'_, [u8]> {
    match word.split_at_checked(WORD_BYTES_MAX) {
        Some((head, rest)) if !rest.is_empty() => {
            let tail = format!("... ({} more bytes)", rest.len());
            Cow::Owned([head, tail.as_bytes()].concat())
        }
        _ => Cow::Borrowed(word),
    }
}

#[cfg(test)]
mod tests;
