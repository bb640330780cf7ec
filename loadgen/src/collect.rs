//! Sums what the threads report: the timeline, each second, the whole. PURE: no I/O, no clock.

use std::collections::BTreeMap;

use crate::record::{ErrorCounts, Latencies, Model, Sample};
use crate::worker::Finish;

/// Buckets of a timeline that are kept, some 100 bytes each; the run goes on beyond them.
const TIMELINE_BUCKETS_MAX: usize = 1_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// A short time of the run, over all threads. Latencies are microseconds, times nanoseconds since
/// the measuring began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bucket {
    pub ok: u64,
    pub errors: ErrorCounts,
    pub connect_failures: u64,
    pub backlog_max: u64,
    /// Of response times; 0 where nothing succeeded.
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
    /// Of the first and the last success.
    pub successes_ns: Option<(u64, u64)>,
}

/// About a second of the run.
#[derive(Debug)]
pub struct Interval {
    pub start_ns: u64,
    pub end_ns: u64,
    pub ok: u64,
    pub errors: u64,
    pub connect_failures: u64,
    pub backlog_max: u64,
    pub latencies: Latencies,
}

/// The whole of what was measured.
#[derive(Debug)]
pub struct Totals {
    pub ok: u64,
    pub nil: u64,
    pub errors: ErrorCounts,
    pub connect_failures: u64,
    pub backlog_max: u64,
    pub latencies: Latencies,
    /// Empty beyond its bound.
    pub timeline: Vec<Bucket>,
    pub bucket_ns: u64,
    /// When the last success came.
    pub last_ok_ns: u64,
    pub finishes: Vec<Finish>,
}

struct Pending {
    bucket: Bucket,
    nil: u64,
    latencies: Option<Latencies>,
}

pub struct Collector {
    /// Buckets below this have been reported, by thread; all of them by one that has finished.
    progress: Vec<u64>,
    /// Buckets that some thread has reported and another not yet.
    pending: BTreeMap<u64, Pending>,
    interval: Interval,
    totals: Totals,
}

impl Collector {
    pub fn new(model: Model, threads: usize, bucket_ns: u64) -> Self {
        Self {
            progress: vec![0; threads],
            pending: BTreeMap::new(),
            interval: Interval::new(model, 0),
            totals: Totals {
                ok: 0,
                nil: 0,
                errors: ErrorCounts::default(),
                connect_failures: 0,
                backlog_max: 0,
                latencies: Latencies::new(model),
                timeline: Vec::new(),
                bucket_ns,
                last_ok_ns: 0,
                finishes: Vec::new(),
            },
        }
    }

    /// Takes a sample; returns its histograms if they are to be used again.
    pub fn on_sample(
        &mut self,
        part: usize,
        sample: Sample,
        on_interval: &mut impl FnMut(&Interval),
    ) -> Option<Latencies> {
        self.progress[part] = sample.bucket + 1;
        let pending = self.pending.entry(sample.bucket).or_insert_with(|| Pending {
            bucket: Bucket::default(),
            nil: 0,
            latencies: None,
        });
        let bucket = &mut pending.bucket;
        bucket.ok += sample.ok;
        pending.nil += sample.nil;
        bucket.errors.add_all(&sample.errors);
        bucket.connect_failures += sample.connect_failures;
        // Threads have a part of the backlog each.
        bucket.backlog_max += sample.backlog_max;
        bucket.successes_ns = match (bucket.successes_ns, sample.successes_ns) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        let mut spare = None;
        match (&mut pending.latencies, sample.latencies) {
            (Some(sum), Some(latencies)) => {
                sum.add(&latencies);
                spare = Some(latencies);
            }
            (sum @ None, latencies) => *sum = latencies,
            (Some(_), None) => {}
        }
        spare.or(self.end_buckets(on_interval))
    }

    pub fn on_finish(
        &mut self,
        part: usize,
        finish: Finish,
        on_interval: &mut impl FnMut(&Interval),
    ) {
        self.progress[part] = u64::MAX;
        self.totals.finishes.push(finish);
        self.end_buckets(on_interval);
    }

    /// What has been measured, when all threads have finished.
    pub fn into_totals(mut self, on_interval: &mut impl FnMut(&Interval)) -> Totals {
        if self.interval.end_ns > self.interval.start_ns {
            on_interval(&self.interval);
        }
        // The end of a run waits for the last replies, in buckets without any.
        while self.totals.timeline.last() == Some(&Bucket::default()) {
            self.totals.timeline.pop();
        }
        self.totals
    }

    pub fn all_finished(&self) -> bool {
        self.progress.iter().all(|progress| *progress == u64::MAX)
    }

    /// Ends every bucket that all threads have reported.
    fn end_buckets(&mut self, on_interval: &mut impl FnMut(&Interval)) -> Option<Latencies> {
        let reported = self.progress.iter().copied().min().unwrap_or(0);
        let mut spare = None;
        while let Some(entry) = self.pending.first_entry()
            && *entry.key() < reported
        {
            let (number, pending) = entry.remove_entry();
            spare = self.end_bucket(number, pending, on_interval).or(spare);
        }
        spare
    }

    fn end_bucket(
        &mut self,
        number: u64,
        pending: Pending,
        on_interval: &mut impl FnMut(&Interval),
    ) -> Option<Latencies> {
        let Pending { mut bucket, nil, latencies } = pending;
        let (totals, interval) = (&mut self.totals, &mut self.interval);
        if let Some(latencies) = &latencies {
            let response = &latencies.response;
            bucket.p50_us = response.value_at_quantile(0.5);
            bucket.p99_us = response.value_at_quantile(0.99);
            bucket.max_us = response.max();
            totals.latencies.add(latencies);
            interval.latencies.add(latencies);
        }
        totals.ok += bucket.ok;
        totals.nil += nil;
        totals.errors.add_all(&bucket.errors);
        totals.connect_failures += bucket.connect_failures;
        totals.backlog_max = totals.backlog_max.max(bucket.backlog_max);
        if let Some((_, last)) = bucket.successes_ns {
            totals.last_ok_ns = totals.last_ok_ns.max(last);
        }
        interval.ok += bucket.ok;
        interval.errors += bucket.errors.total();
        interval.connect_failures += bucket.connect_failures;
        interval.backlog_max = interval.backlog_max.max(bucket.backlog_max);
        interval.end_ns = (number + 1) * totals.bucket_ns;
        if totals.timeline.len() < TIMELINE_BUCKETS_MAX {
            totals.timeline.push(bucket);
        }
        if interval.end_ns - interval.start_ns >= SECOND_NS {
            on_interval(interval);
            interval.restart();
        }
        latencies
    }
}

impl Interval {
    fn new(model: Model, start_ns: u64) -> Self {
        Self {
            start_ns,
            end_ns: start_ns,
            ok: 0,
            errors: 0,
            connect_failures: 0,
            backlog_max: 0,
            latencies: Latencies::new(model),
        }
    }

    fn restart(&mut self) {
        self.start_ns = self.end_ns;
        (self.ok, self.errors, self.connect_failures, self.backlog_max) = (0, 0, 0, 0);
        self.latencies.clear();
    }

    pub fn seconds(&self) -> f64 {
        (self.end_ns - self.start_ns) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Recorder;

    const MS: u64 = 1_000_000;

    #[test]
    fn threads_that_report_at_different_times_make_one_timeline() {
        let mut collector = Collector::new(Model::Closed, 2, 100 * MS);
        let mut intervals = Vec::new();
        let mut on_interval = |interval: &Interval| intervals.push((interval.end_ns, interval.ok));
        let mut samples = [Vec::new(), Vec::new()];
        for (part, samples) in samples.iter_mut().enumerate() {
            let mut recorder = Recorder::new(Model::Closed, 0, 100 * MS);
            for number in 0..25u64 {
                let now = number * 100 * MS + (part as u64 + 1) * MS;
                recorder.roll(now, |sample| samples.push(sample));
                recorder.on_ok(now, now - MS, now - MS, 1 + part as u64);
                recorder.on_error(now, "ERR", part as u64);
                recorder.on_backlog(now, 5);
            }
            samples.push(recorder.finish());
        }
        let [first, second] = samples;
        for sample in first {
            collector.on_sample(0, sample, &mut on_interval);
        }
        collector.on_finish(0, Finish::default(), &mut on_interval);
        assert!(!collector.all_finished());
        for sample in second {
            collector.on_sample(1, sample, &mut on_interval);
        }
        collector.on_finish(1, Finish::default(), &mut on_interval);
        assert!(collector.all_finished());
        let totals = collector.into_totals(&mut on_interval);
        assert_eq!((totals.ok, totals.errors.total(), totals.timeline.len()), (75, 25, 25));
        assert_eq!(totals.latencies.response.len(), 75);
        assert!(totals.timeline.iter().all(|bucket| bucket.ok == 3 && bucket.backlog_max == 10));
        assert_eq!(totals.timeline[3].successes_ns, Some((301 * MS, 302 * MS)));
        assert_eq!(intervals, [(1000 * MS, 30), (2000 * MS, 30), (2500 * MS, 15)]);
    }
}
