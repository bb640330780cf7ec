//! Several rates in one run: a sweep over given ones, and the search for the highest that keeps an
//! objective. PURE: whoever measures tells what came of it.

use std::str::FromStr;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::cli::{OptionError, parse_rate, parse_time};

/// Rates of one sweep: more are a mistake, or should be several runs.
const STEPS_MAX: usize = 1000;

/// A rate is achieved if so much of it was: the last requests of a run may end after it.
const ACHIEVED_MIN: f64 = 0.99;

/// The search ends when it knows the rate this well.
const PRECISION: f64 = 0.02;

/// The lowest rate that is tried, as a share of the highest.
const LOWEST: f64 = 1.0 / 256.0;

/// Requests a second, from the first to the last in equal steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates(pub Vec<f64>);

impl FromStr for Rates {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || OptionError::Sweep(text.to_owned());
        let range = text.strip_prefix("rate=").ok_or_else(bad)?;
        let (range, step) = range.split_once(':').ok_or_else(bad)?;
        let (first, last) = range.split_once("..").ok_or_else(bad)?;
        let parse = |text| parse_rate(text).map_err(|_| bad());
        let (first, last, step) = (parse(first)?, parse(last)?, parse(step)?);
        // The last one counts though sums of steps are not exact.
        let steps = ((last - first) / step + 1e-9).floor();
        if last < first || steps >= STEPS_MAX as f64 {
            return Err(bad());
        }
        Ok(Self((0..=steps as usize).map(|n| first + n as f64 * step).collect()))
    }
}

/// What latencies must be like: a quantile below a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    text: String,
    /// Of all successes, from 0 to 1.
    quantile: f64,
    limit: Duration,
}

impl FromStr for Objective {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || OptionError::Objective(text.to_owned());
        let (name, limit) = text.split_once('<').ok_or_else(bad)?;
        let quantile = match name.trim() {
            "max" => 1.0,
            name => {
                let percent: f64 =
                    name.strip_prefix('p').and_then(|n| n.parse().ok()).ok_or_else(bad)?;
                percent / 100.0
            }
        };
        let limit = parse_time(limit.trim()).map_err(|_| bad())?;
        if !(quantile > 0.0 && quantile <= 1.0) || limit.is_zero() {
            return Err(bad());
        }
        Ok(Self { text: text.to_owned(), quantile, limit })
    }
}

impl std::fmt::Display for Objective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// What one rate came to.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    pub asked: f64,
    pub achieved: f64,
    pub errors: u64,
    /// Latencies of successes in microseconds, from when requests were due.
    pub response: &'a Histogram<u64>,
}

impl Objective {
    /// Whether the rate was achieved without an error and within the limit.
    pub fn is_kept(&self, trial: Trial<'_>) -> bool {
        let Trial { asked, achieved, errors, response } = trial;
        let latency = Duration::from_micros(response.value_at_quantile(self.quantile));
        achieved >= asked * ACHIEVED_MIN
            && errors == 0
            && !response.is_empty()
            && latency < self.limit
    }
}

/// Bisects between a rate that is kept and one that is not.
///
/// One pause of the machine fails any rate, so a rate is given up when it failed twice.
#[derive(Clone, Debug)]
pub struct Search {
    kept: Option<f64>,
    /// Not kept, or more than the server can do at all.
    high: f64,
    lowest: f64,
    has_failed: bool,
}

impl Search {
    /// `capacity` is what the server does when it is never left alone.
    pub fn new(capacity: f64) -> Self {
        Self { kept: None, high: capacity, lowest: capacity * LOWEST, has_failed: false }
    }

    /// The rate to try next; `None` when the search is over.
    pub fn next(&self) -> Option<f64> {
        match self.kept {
            Some(kept) if self.high <= kept * (1.0 + PRECISION) => None,
            Some(kept) => Some((kept + self.high) / 2.0),
            None if self.high <= self.lowest => None,
            // Downwards in halves until one is kept.
            None => Some(self.high / 2.0),
        }
    }

    /// What became of [`Self::next`].
    pub fn record(&mut self, is_kept: bool) {
        let Some(rate) = self.next() else { return };
        match (is_kept, self.has_failed) {
            (true, _) => (self.kept, self.has_failed) = (Some(rate), false),
            (false, false) => self.has_failed = true,
            (false, true) => (self.high, self.has_failed) = (rate, false),
        }
    }

    /// The highest rate that was kept.
    pub fn best(&self) -> Option<f64> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_holds_both_ends() {
        let rates = |text: &str| text.parse::<Rates>().map(|rates| rates.0);
        assert_eq!(rates("rate=10k..30k:10k").unwrap(), [1e4, 2e4, 3e4]);
        assert_eq!(rates("rate=1..2:0.1").unwrap().len(), 11);
        assert_eq!(rates("rate=5..5:1").unwrap(), [5.0]);
        assert_eq!(rates("rate=1..10:4").unwrap(), [1.0, 5.0, 9.0]);
        for text in ["", "10..20:1", "rate=20..10:1", "rate=1..2", "rate=1..2:0", "rate=1..1M:1"] {
            assert!(rates(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_objective_is_about_a_quantile() {
        let objective = |text: &str| text.parse::<Objective>();
        let found = objective("p99<1ms").unwrap();
        assert_eq!((found.quantile, found.limit), (0.99, Duration::from_millis(1)));
        assert_eq!(objective("max<20ms").unwrap().quantile, 1.0);
        assert_eq!(found.to_string(), "p99<1ms");
        for text in ["p99", "99<1ms", "p0<1ms", "p101<1ms", "p99<0ms", "p99<fast", "min<1ms"] {
            assert!(objective(text).is_err(), "{text}");
        }
        let mut response = Histogram::new(3).unwrap();
        response.record_n(500, 99).unwrap();
        response.record(5_000).unwrap();
        let good = Trial { asked: 100.0, achieved: 99.5, errors: 0, response: &response };
        assert!(found.is_kept(good));
        assert!(!found.is_kept(Trial { achieved: 98.0, ..good }));
        assert!(!found.is_kept(Trial { errors: 1, ..good }));
        assert!(!objective("max<5ms").unwrap().is_kept(good));
        let nothing = Histogram::new(3).unwrap();
        assert!(!found.is_kept(Trial { response: &nothing, ..good }));
    }

    /// Runs the search against a server that keeps everything below `limit`.
    fn search(capacity: f64, limit: f64) -> (Option<f64>, usize) {
        let mut search = Search::new(capacity);
        let mut trials = 0;
        while let Some(rate) = search.next() {
            assert!(rate > 0.0 && rate <= capacity);
            search.record(rate < limit);
            trials += 1;
            assert!(trials < 100, "it ends");
        }
        (search.best(), trials)
    }

    #[test]
    fn the_search_ends_near_the_limit() {
        for limit in [900.0, 99_000.0, 50_000.0, 12_345.0] {
            let (best, trials) = search(100_000.0, limit);
            let best = best.unwrap();
            assert!(best < limit && best > limit / (1.0 + 2.0 * PRECISION), "{limit}: {best}");
            assert!(trials < 40, "{trials}");
        }
        assert_eq!(search(100_000.0, 1.0).0, None);
    }

    #[test]
    fn one_failure_is_not_believed() {
        let mut search = Search::new(1000.0);
        let first = search.next();
        search.record(false);
        assert_eq!(search.next(), first);
        search.record(true);
        assert_eq!(search.best(), first);
    }
}
