//! Rates of the last seconds, for the `instantaneous_*` fields of INFO.

use std::collections::VecDeque;

use crate::raft::types::Millis;

/// Milliseconds between two samples, and how many are remembered: Redis's.
pub const SAMPLE_MS: Millis = 100;
const SAMPLES_MAX: usize = 16;

/// Sums at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub commands: u64,
    pub input_bytes: u64,
    pub output_bytes: u64,
}

#[derive(Debug, Default)]
pub struct Rates {
    samples: VecDeque<(Millis, Sums)>,
}

/// Each per second, over the samples that are remembered: about a second and a half.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerSecond {
    pub commands: u64,
    pub input_kib: f64,
    pub output_kib: f64,
}

impl Rates {
    pub fn sample(&mut self, now_ms: Millis, sums: Sums) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((now_ms, sums));
    }

    pub fn per_second(&self) -> PerSecond {
        let (Some((began_ms, first)), Some((ended_ms, last))) =
            (self.samples.front(), self.samples.back())
        else {
            return PerSecond::default();
        };
        let seconds = ended_ms.saturating_sub(*began_ms) as f64 / 1000.0;
        if seconds == 0.0 {
            return PerSecond::default();
        }
        // Counts may have been reset in between.
        let rate = |first: u64, last: u64| last.saturating_sub(first) as f64 / seconds;
        PerSecond {
            commands: rate(first.commands, last.commands).round() as u64,
            input_kib: rate(first.input_bytes, last.input_bytes) / 1024.0,
            output_kib: rate(first.output_bytes, last.output_bytes) / 1024.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_samples_that_are_remembered() {
        let mut rates = Rates::default();
        assert_eq!(rates.per_second(), PerSecond::default());
        let sums = |n: u64| Sums { commands: n, input_bytes: n * 1024, output_bytes: n * 512 };
        rates.sample(1000, sums(5));
        assert_eq!(rates.per_second(), PerSecond::default());
        for tick in 0..100 {
            rates.sample(2000 + tick * SAMPLE_MS, sums(1000 + tick * 10));
        }
        let expected = PerSecond { commands: 100, input_kib: 100.0, output_kib: 50.0 };
        assert_eq!(rates.per_second(), expected);
        rates.sample(60_000, sums(0));
        assert_eq!(rates.per_second().commands, 0);
    }
}
