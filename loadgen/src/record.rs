//! What one thread measures, piece by piece of time: successes, errors by code, latencies.
//!
//! A recorder fills one [`Sample`] per bucket of time and hands it over when the bucket ends, so
//! that the loading thread records each reply once; all sums are made elsewhere.

use hdrhistogram::Histogram;

/// Longest latency that is told apart, in microseconds; longer ones count as this.
pub const LATENCY_US_MAX: u64 = 60_000_000;

/// Different error codes told apart; the rest are counted together. Redis has about 30.
const CODES_MAX: usize = 32;

/// Longest part of an error's text that is taken for its code.
const CODE_BYTES_MAX: usize = 24;

pub const CODE_OTHER: &str = "other";
/// The connection ended with the request on its way: nobody knows whether it ran.
pub const CODE_LOST: &str = "connection lost";

/// Microseconds, three digits.
pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
        .expect("invariant: 1 us to 60 s in three digits are valid bounds")
}

/// Latencies of successful requests.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// From when the request was due (in an open loop; else from when it was sent).
    pub response: Histogram<u64>,
    /// From when it was sent. `None` in a closed loop, where both are the same.
    pub service: Option<Histogram<u64>>,
}

impl Latencies {
    pub fn new(model: Model) -> Self {
        let service = match model {
            Model::Open => Some(new_histogram()),
            Model::Closed => None,
        };
        Self { response: new_histogram(), service }
    }

    pub fn add(&mut self, other: &Self) {
        let same = "invariant: all histograms have the same bounds";
        self.response.add(&other.response).expect(same);
        if let (Some(service), Some(other)) = (&mut self.service, &other.service) {
            service.add(other).expect(same);
        }
    }

    pub fn clear(&mut self) {
        self.response.reset();
        if let Some(service) = &mut self.service {
            service.reset();
        }
    }
}

/// Whether requests are sent when they are due, or when the one before was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    Open,
    Closed,
}

/// Errors by code, in the order in which the codes were first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorCounts(Vec<(String, u64)>);

impl ErrorCounts {
    pub fn add(&mut self, code: &str, count: u64) {
        if count == 0 {
            return;
        }
        if let Some((_, sum)) = self.0.iter_mut().find(|(known, _)| known == code) {
            *sum += count;
        } else if self.0.len() < CODES_MAX || code == CODE_OTHER {
            self.0.push((code.to_owned(), count));
        } else {
            self.add(CODE_OTHER, count);
        }
    }

    pub fn add_all(&mut self, other: &Self) {
        for (code, count) in &other.0 {
            self.add(code, *count);
        }
    }

    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(code, count)| (code.as_str(), *count))
    }
}

/// The first word of an error, if it looks like Redis's codes.
pub fn error_code(text: &[u8]) -> &str {
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    let code = &text[..end];
    let is_code = !code.is_empty()
        && code.len() <= CODE_BYTES_MAX
        && code.iter().all(|byte| byte.is_ascii_uppercase() || b"_-".contains(byte));
    match std::str::from_utf8(code) {
        Ok(code) if is_code => code,
        _ => CODE_OTHER,
    }
}

/// One thread's bucket of time. Times are nanoseconds since the measuring began.
#[derive(Debug)]
pub struct Sample {
    /// Counted from 0.
    pub bucket: u64,
    /// Replies that are no errors.
    pub ok: u64,
    /// Of these, the ones that say that there is nothing.
    pub nil: u64,
    pub errors: ErrorCounts,
    pub connect_failures: u64,
    /// Requests that became due and waited for a free connection, at most.
    pub backlog_max: u64,
    /// Of the first and the last success.
    pub successes_ns: Option<(u64, u64)>,
    /// `None` when nothing succeeded.
    pub latencies: Option<Latencies>,
}

impl Sample {
    fn new(bucket: u64) -> Self {
        Self {
            bucket,
            ok: 0,
            nil: 0,
            errors: ErrorCounts::default(),
            connect_failures: 0,
            backlog_max: 0,
            successes_ns: None,
            latencies: None,
        }
    }
}

pub struct Recorder {
    model: Model,
    bucket_ns: u64,
    /// When the measuring begins, in nanoseconds since the run began.
    start_ns: u64,
    current: Sample,
    /// Cleared ones, to be used again.
    spare: Vec<Latencies>,
}

impl Recorder {
    pub fn new(model: Model, start_ns: u64, bucket_ns: u64) -> Self {
        Self { model, bucket_ns, start_ns, current: Sample::new(0), spare: Vec::new() }
    }

    /// Hands over every bucket that has ended by `now_ns`. What came before the start is dropped.
    pub fn roll(&mut self, now_ns: u64, mut hand_over: impl FnMut(Sample)) {
        while now_ns >= self.bucket_end_ns() {
            let next = Sample::new(self.current.bucket + 1);
            hand_over(std::mem::replace(&mut self.current, next));
        }
    }

    /// The bucket that has not ended. Nothing is recorded after it.
    pub fn finish(&mut self) -> Sample {
        let next = Sample::new(self.current.bucket + 1);
        std::mem::replace(&mut self.current, next)
    }

    pub fn bucket_end_ns(&self) -> u64 {
        self.start_ns + (self.current.bucket + 1) * self.bucket_ns
    }

    /// Takes back histograms that were handed over.
    pub fn reuse(&mut self, mut latencies: Latencies) {
        latencies.clear();
        self.spare.push(latencies);
    }

    fn measures(&self, now_ns: u64) -> bool {
        now_ns >= self.start_ns
    }

    /// `count` successes at `now_ns` of requests that were due and sent at these times.
    #[inline]
    pub fn on_ok(&mut self, now_ns: u64, due_ns: u64, sent_ns: u64, count: u64) {
        if count == 0 || !self.measures(now_ns) {
            return;
        }
        let at = now_ns - self.start_ns;
        let current = &mut self.current;
        current.ok += count;
        current.successes_ns = Some((current.successes_ns.map_or(at, |(first, _)| first), at));
        let latencies = current
            .latencies
            .get_or_insert_with(|| self.spare.pop().unwrap_or_else(|| Latencies::new(self.model)));
        record(&mut latencies.response, now_ns - due_ns, count);
        if let Some(service) = &mut latencies.service {
            record(service, now_ns - sent_ns, count);
        }
    }

    pub fn on_nil(&mut self, now_ns: u64) {
        if self.measures(now_ns) {
            self.current.nil += 1;
        }
    }

    pub fn on_error(&mut self, now_ns: u64, code: &str, count: u64) {
        if self.measures(now_ns) {
            self.current.errors.add(code, count);
        }
    }

    pub fn on_connect_failure(&mut self, now_ns: u64) {
        if self.measures(now_ns) {
            self.current.connect_failures += 1;
        }
    }

    pub fn on_backlog(&mut self, now_ns: u64, waiting: u64) {
        if self.measures(now_ns) {
            self.current.backlog_max = self.current.backlog_max.max(waiting);
        }
    }
}

#[inline]
fn record(histogram: &mut Histogram<u64>, latency_ns: u64, count: u64) {
    let us = ((latency_ns + 500) / 1000).clamp(1, LATENCY_US_MAX);
    histogram.saturating_record_n(us, count);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn merged_histograms_are_the_histogram_of_all() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut whole, mut merged) = (Latencies::new(Model::Open), Latencies::new(Model::Open));
        for _ in 0..10 {
            let mut part = Latencies::new(Model::Open);
            for _ in 0..1000 {
                let ns = rng.u64(1..70_000_000_000);
                for latencies in [&mut part, &mut whole] {
                    record(&mut latencies.response, ns, 1);
                    record(latencies.service.as_mut().unwrap(), ns / 2, 3);
                }
            }
            merged.add(&part);
        }
        assert_eq!(merged.response, whole.response);
        assert_eq!(merged.service, whole.service);
        assert_eq!(merged.response.len(), 10_000);
        assert_eq!(merged.response.max(), merged.response.highest_equivalent(LATENCY_US_MAX));
        merged.clear();
        assert_eq!(merged.response.len() + merged.service.unwrap().len(), 0);
    }

    #[test]
    fn a_success_belongs_to_the_bucket_that_runs_when_it_comes() {
        let mut recorder = Recorder::new(Model::Closed, 100 * MS, 10 * MS);
        let mut samples = Vec::new();
        recorder.on_ok(99 * MS, 98 * MS, 98 * MS, 7);
        recorder.on_error(99 * MS, "ERR", 1);
        recorder.on_ok(100 * MS, 90 * MS, 90 * MS, 2);
        recorder.on_ok(108 * MS, 107 * MS, 107 * MS, 1);
        recorder.roll(125 * MS, |sample| samples.push(sample));
        recorder.on_ok(126 * MS, 125 * MS, 125 * MS, 4);
        samples.push(recorder.finish());
        let seen: Vec<_> =
            samples.iter().map(|sample| (sample.bucket, sample.ok, sample.successes_ns)).collect();
        let expected = [(0, 3, Some((0, 8 * MS))), (1, 0, None), (2, 4, Some((26 * MS, 26 * MS)))];
        assert_eq!(seen, expected);
        assert_eq!(samples[0].errors.total(), 0, "errors of the warm-up are dropped too");
        let latencies = &samples[0].latencies.as_ref().unwrap().response;
        assert_eq!((latencies.len(), latencies.count_between(9_900, 10_100)), (3, 2));
        assert!(samples[1].latencies.is_none());
    }

    #[test]
    fn codes_are_bounded_in_number_and_shape() {
        let cases: [(&[u8], &str); 5] = [
            (b"CLUSTERDOWN No raft leader", "CLUSTERDOWN"),
            (b"ERR", "ERR"),
            (b"something else", CODE_OTHER),
            (b"", CODE_OTHER),
            (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", CODE_OTHER),
        ];
        for (text, code) in cases {
            assert_eq!(error_code(text), code);
        }
        let mut counts = ErrorCounts::default();
        for number in 0..1000 {
            counts.add(&format!("E{number}"), 1);
        }
        assert_eq!(counts.total(), 1000);
        assert_eq!(counts.iter().count(), CODES_MAX + 1);
    }
}
