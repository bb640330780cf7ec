//! Spikes of latency by event, for LATENCY LATEST, HISTORY and GRAPH.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

/// A command without the flag FAST took long.
pub const COMMAND: &str = "command";
/// A command with that flag did.
pub const FAST_COMMAND: &str = "fast-command";
/// Removing the keys that were due before an entry did.
pub const EXPIRE_CYCLE: &str = "expire-cycle";
/// Choosing keys to evict did.
pub const EVICTION_CYCLE: &str = "eviction-cycle";
/// Committing the writes of one pass of a net role did, from its end to the replies.
pub const RAFT_COMMIT: &str = "raft-commit";
/// Taking over the state of a snapshot from another member did.
pub const SNAPSHOT_INSTALL: &str = "snapshot-install";

/// Samples of an event that are remembered; Redis's.
const SAMPLES_MAX: usize = 160;

/// Rows and width of a graph.
const ROWS: usize = 4;
const COLUMNS_MAX: usize = 80;

/// The worst of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Since the Unix epoch.
    pub seconds: u64,
    pub ms: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Event {
    /// Oldest first.
    samples: VecDeque<Sample>,
    worst_ms: u64,
}

/// By event; there are as many as have a name above.
#[derive(Debug, Default)]
pub struct Latency {
    events: BTreeMap<&'static str, Event>,
}

impl Latency {
    pub fn note(&mut self, name: &'static str, ms: u64, seconds: u64) {
        let event = self.events.entry(name).or_default();
        event.worst_ms = event.worst_ms.max(ms);
        match event.samples.back_mut() {
            Some(last) if last.seconds == seconds => last.ms = last.ms.max(ms),
            _ => {
                if event.samples.len() == SAMPLES_MAX {
                    event.samples.pop_front();
                }
                event.samples.push_back(Sample { seconds, ms });
            }
        }
    }

    pub fn events(&self) -> impl Iterator<Item = (&'static str, &Event)> {
        self.events.iter().map(|(name, event)| (*name, event))
    }

    pub fn event(&self, name: &[u8]) -> Option<(&'static str, &Event)> {
        self.events().find(|(candidate, _)| candidate.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Forgets an event; returns whether it was known.
    pub fn reset(&mut self, name: &[u8]) -> bool {
        let found = self.event(name).map(|(name, _)| name);
        found.is_some_and(|name| self.events.remove(name).is_some())
    }

    /// Forgets all; returns how many there were.
    pub fn reset_all(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }
}

impl Event {
    /// Oldest first; at least one.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = &Sample> {
        self.samples.iter()
    }

    pub fn latest(&self) -> Sample {
        *self.samples.back().expect("invariant: an event is made by its first sample")
    }

    pub fn worst_ms(&self) -> u64 {
        self.worst_ms
    }

    pub fn mean_ms(&self) -> u64 {
        self.samples().map(|sample| sample.ms).sum::<u64>() / self.samples.len().max(1) as u64
    }

    /// The samples as columns of characters, the newest to the right, with their ages below.
    pub fn graph(&self, name: &str, now_seconds: u64) -> String {
        let skipped = self.samples.len().saturating_sub(COLUMNS_MAX);
        let shown: Vec<Sample> = self.samples().skip(skipped).copied().collect();
        let high = shown.iter().map(|sample| sample.ms).max().unwrap_or(0);
        let low = shown.iter().map(|sample| sample.ms).min().unwrap_or(0);
        let mut text = String::new();
        writeln!(
            text,
            "{name} - high {high} ms, low {low} ms (all time high {} ms)",
            self.worst_ms
        )
        .expect("invariant: a String takes what is written");
        text.push_str(&"-".repeat(COLUMNS_MAX));
        text.push('\n');
        // Each row has three steps, and the lowest sample is shown, too.
        let steps = |sample: &Sample| {
            let range = (high - low).max(1);
            ((sample.ms - low) * (ROWS as u64 * 3 - 1) / range) as usize
        };
        for row in (0..ROWS).rev() {
            let column = |sample: &Sample| match steps(sample) {
                steps if steps / 3 > row => '|',
                steps if steps / 3 == row => ['_', 'o', '#'][steps % 3],
                _ => ' ',
            };
            push_row(&mut text, shown.iter().map(column));
        }
        text.push('\n');
        let ages: Vec<String> =
            shown.iter().map(|sample| age(now_seconds.saturating_sub(sample.seconds))).collect();
        let longest = ages.iter().map(String::len).max().unwrap_or(0);
        for position in 0..longest {
            push_row(&mut text, ages.iter().map(|age| age.chars().nth(position).unwrap_or(' ')));
        }
        text
    }
}

fn push_row(text: &mut String, columns: impl Iterator<Item = char>) {
    let row: String = columns.collect();
    text.push_str(row.trim_end());
    text.push('\n');
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_each_second_is_remembered_up_to_a_bound() {
        let mut latency = Latency::default();
        latency.note(COMMAND, 10, 100);
        latency.note(COMMAND, 30, 100);
        latency.note(COMMAND, 20, 100);
        latency.note(COMMAND, 5, 101);
        let (name, event) = latency.event(b"COMMAND").unwrap();
        assert_eq!((name, event.worst_ms(), event.mean_ms()), (COMMAND, 30, 17));
        let kept: Vec<_> = event.samples().map(|sample| (sample.seconds, sample.ms)).collect();
        assert_eq!(kept, [(100, 30), (101, 5)]);
        assert_eq!(event.latest(), Sample { seconds: 101, ms: 5 });
        for seconds in 200..500 {
            latency.note(COMMAND, 1, seconds);
        }
        let event = latency.event(b"command").unwrap().1;
        assert_eq!((event.samples().len(), event.worst_ms()), (SAMPLES_MAX, 30));
        assert!(!latency.reset(b"nope"));
        latency.note(EXPIRE_CYCLE, 1, 1);
        assert!(latency.reset(b"Command"));
        assert_eq!((latency.reset_all(), latency.reset_all()), (1, 0));
    }

    #[test]
    fn a_graph_has_a_column_for_each_sample() {
        let mut latency = Latency::default();
        for (at, ms) in [(0, 10), (3600, 20), (3660, 120), (3715, 60)] {
            latency.note(COMMAND, ms, at);
        }
        let graph = latency.event(COMMAND.as_bytes()).unwrap().1.graph(COMMAND, 3720);
        let lines: Vec<&str> = graph.lines().collect();
        assert_eq!(lines[0], "command - high 120 ms, low 10 ms (all time high 120 ms)");
        assert_eq!(lines[1].len(), 80);
        assert_eq!(lines[2..6], ["  #", "  |", "  |#", "_o||"]);
        assert_eq!(lines[6..], ["", "1215", "hmms"]);
        latency.reset_all();
        latency.note(COMMAND, 7, 1);
        let graph = latency.event(COMMAND.as_bytes()).unwrap().1.graph(COMMAND, 1);
        assert_eq!(graph.lines().nth(5), Some("_"));
    }
}
