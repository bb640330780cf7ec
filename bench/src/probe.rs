//! A client that asks for one thing at a time, at a fixed rate at most, and notes how long each
//! answer took: what a small client of a busy server feels.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::client::{Client, ClientError};
use crate::time::Window;

/// The stretches of a run in which pauses are looked for.
pub const BUCKET: Duration = Duration::from_millis(10);

/// The one key that the probe writes and reads. It lies outside of every data set.
const KEY: &str = "probe";

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub sent: Instant,
    pub latency: Duration,
}

/// Sends SET and GET in turns until told to stop: one every `1 / per_second` seconds, or as soon as
/// the answer to the one before is there, if that is later.
///
/// A pause so shows in full in the one request that it met, and begins to show at most one interval
/// after its start. What this thread oversleeps is not the server's doing and does not count.
pub fn run(port: u16, per_second: u32, stop: &AtomicBool) -> Result<Vec<Sample>, ClientError> {
    let interval = Duration::from_secs(1) / per_second;
    let mut client = Client::connect(port)?;
    let mut samples = Vec::new();
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        match samples.len() % 2 {
            0 => client.call(&["SET", KEY, "value"])?,
            _ => client.call(&["GET", KEY])?,
        };
        samples.push(Sample { sent, latency: sent.elapsed() });
        due = (due + interval).max(sent);
    }
    Ok(samples)
}

/// The latencies of one or more windows.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// In microseconds.
    histogram: Histogram<u64>,
    /// The longest latency of those under way in each bucket.
    buckets: Vec<Duration>,
}

/// The longest latency that is told from longer ones.
const HOUR_US: u64 = 3_600_000_000;

impl Latencies {
    pub fn new() -> Self {
        let histogram = Histogram::new_with_max(HOUR_US, 3);
        Self { histogram: histogram.expect("invariant: valid bounds"), buckets: Vec::new() }
    }

    /// Adds the requests that were sent within `window`.
    pub fn add(&mut self, samples: &[Sample], window: Window) {
        let bucket_of = |at: Instant| ((at - window.from).as_nanos() / BUCKET.as_nanos()) as usize;
        let mut buckets = vec![Duration::ZERO; bucket_of(window.to) + 1];
        for sample in samples.iter().filter(|sample| window.holds(sample.sent)) {
            self.histogram.saturating_record(sample.latency.as_micros() as u64);
            let last = bucket_of(window.to.min(sample.sent + sample.latency));
            for longest in &mut buckets[bucket_of(sample.sent)..=last] {
                *longest = sample.latency.max(*longest);
            }
        }
        self.buckets.extend(buckets.into_iter().filter(|longest| !longest.is_zero()));
    }

    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    pub fn p50(&self) -> Duration {
        Duration::from_micros(self.histogram.value_at_quantile(0.5))
    }

    pub fn p99(&self) -> Duration {
        Duration::from_micros(self.histogram.value_at_quantile(0.99))
    }

    /// The p100 of the worst bucket, exactly.
    pub fn p100(&self) -> Duration {
        self.buckets.iter().max().copied().unwrap_or_default()
    }

    /// Buckets with a p100 above `limit`.
    pub fn buckets_above(&self, limit: Duration) -> usize {
        self.buckets.iter().filter(|longest| **longest > limit).count()
    }

    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_has_the_longest_latency_under_way_in_it() {
        let from = Instant::now();
        let ms = Duration::from_millis;
        let sample = |at, latency| Sample { sent: from + ms(at), latency: ms(latency) };
        let samples = [sample(1, 1), sample(5, 30), sample(36, 2), sample(50, 1), sample(60, 50)];
        let mut latencies = Latencies::new();
        assert!(latencies.is_empty());
        latencies.add(&samples, Window { from, to: from + ms(60) });
        assert_eq!((latencies.p100(), latencies.p50().as_millis()), (ms(30), 1));
        // The request of 30 ms was under way in four buckets, another in the sixth, none in the
        // fifth.
        assert_eq!((latencies.buckets(), latencies.buckets_above(ms(20))), (5, 4));
        // What was sent in a window counts, as long as the window lasts.
        latencies.add(&samples, Window { from: from + ms(60), to: from + ms(75) });
        assert_eq!((latencies.buckets(), latencies.buckets_above(ms(40))), (7, 2));
    }

    #[test]
    fn quantiles_are_those_of_all_requests() {
        let from = Instant::now();
        let sample = |number: u64| Sample {
            sent: from + Duration::from_millis(number),
            latency: Duration::from_micros(number * 100),
        };
        let samples: Vec<Sample> = (1..=1000).map(sample).collect();
        let mut latencies = Latencies::new();
        latencies.add(&samples, Window { from, to: from + Duration::from_secs(2) });
        assert_eq!(latencies.p50().as_millis(), 50);
        assert_eq!(latencies.p99().as_millis(), 99);
        assert_eq!(latencies.p100().as_millis(), 100);
    }
}
