//! When requests are due in an open loop, whatever the server does. PURE: time comes as a number.
//!
//! Times are nanoseconds since the run began. A schedule is a sequence that does not end; two of
//! one seed are the same. So an open loop keeps its backlog without storing it: one copy of the
//! schedule counts what has become due, another hands it out.

use fastrand::Rng;

/// How requests of a rate follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Arrival {
    /// At equal distances.
    #[default]
    Constant,
    /// At random, independently of each other, as from many independent users.
    Poisson,
}

#[derive(Clone, Debug)]
pub struct Schedule {
    arrival: Arrival,
    interval_ns: f64,
    /// Of the first request, for the others to be counted from.
    origin_ns: f64,
    count: u64,
    next_ns: f64,
    rng: Rng,
}

impl Schedule {
    /// One of `parts` schedules of equal rate which together have `rate` requests a second.
    ///
    /// Precondition: `rate` is positive and finite, `part` is below `parts`.
    pub fn new(arrival: Arrival, rate: f64, part: usize, parts: usize, seed: u64) -> Self {
        assert!(rate > 0.0 && rate.is_finite() && part < parts);
        let interval_ns = 1e9 * parts as f64 / rate;
        let mut schedule = Self {
            arrival,
            interval_ns,
            origin_ns: interval_ns * part as f64 / parts as f64,
            count: 0,
            next_ns: 0.0,
            rng: Rng::with_seed(seed.wrapping_add(part as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        };
        schedule.next_ns = match arrival {
            Arrival::Constant => schedule.origin_ns,
            Arrival::Poisson => schedule.gap(),
        };
        schedule
    }

    /// When the next request is due.
    pub fn due_ns(&self) -> u64 {
        self.next_ns as u64
    }

    pub fn advance(&mut self) {
        self.count += 1;
        self.next_ns = match self.arrival {
            // By multiplication, so that the rate holds exactly over any time.
            Arrival::Constant => self.origin_ns + self.count as f64 * self.interval_ns,
            Arrival::Poisson => self.next_ns + self.gap(),
        };
    }

    /// The time between two arrivals of a Poisson process has an exponential distribution.
    fn gap(&mut self) -> f64 {
        -(1.0 - self.rng.f64()).ln() * self.interval_ns
    }
}

/// What is due and has not been sent.
#[derive(Debug)]
pub struct Backlog {
    arrivals: Schedule,
    departures: Schedule,
    arrived: u64,
    departed: u64,
    /// No request is due from here on.
    end_ns: u64,
    /// Nor beyond so many that were due since `count_ns`.
    counted_max: u64,
    counted: u64,
    count_ns: u64,
}

impl Backlog {
    /// Requests until `end_ns`, but at most `counted_max` of those due since `count_ns`.
    pub fn new(schedule: Schedule, count_ns: u64, end_ns: u64, counted_max: u64) -> Self {
        Self {
            arrivals: schedule.clone(),
            departures: schedule,
            arrived: 0,
            departed: 0,
            end_ns,
            counted_max,
            counted: 0,
            count_ns,
        }
    }

    /// Counts what has become due by `now_ns`; returns the number of those that wait.
    pub fn arrive(&mut self, now_ns: u64) -> u64 {
        while let Some(due) = self.next_due_ns().filter(|due| *due <= now_ns) {
            self.arrivals.advance();
            self.arrived += 1;
            self.counted += u64::from(due >= self.count_ns);
        }
        self.waiting()
    }

    /// Takes the oldest that waits: when it was due.
    pub fn depart(&mut self) -> Option<u64> {
        if self.waiting() == 0 {
            return None;
        }
        let due = self.departures.due_ns();
        self.departures.advance();
        self.departed += 1;
        Some(due)
    }

    /// When the oldest that waits was due.
    pub fn oldest_ns(&self) -> Option<u64> {
        (self.waiting() > 0).then(|| self.departures.due_ns())
    }

    pub fn waiting(&self) -> u64 {
        self.arrived - self.departed
    }

    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// When the next request will be due, unless there will be none.
    pub fn next_due_ns(&self) -> Option<u64> {
        let due = self.arrivals.due_ns();
        (due < self.end_ns && self.counted < self.counted_max).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(mut schedule: Schedule, count: usize) -> Vec<u64> {
        let mut next = || {
            let due = schedule.due_ns();
            schedule.advance();
            due
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn constant_parts_interleave_to_the_asked_rate() {
        let part = |part| Schedule::new(Arrival::Constant, 1000.0, part, 4, 1);
        let mut all: Vec<_> = (0..4).flat_map(|number| times(part(number), 250)).collect();
        all.sort_unstable();
        let expected: Vec<u64> = (0..1000).map(|number| number * 1_000_000).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn a_constant_rate_does_not_drift() {
        let mut schedule = Schedule::new(Arrival::Constant, 30_000.0, 0, 1, 1);
        for _ in 0..30_000 * 100 {
            schedule.advance();
        }
        assert_eq!(schedule.due_ns(), 100_000_000_000);
    }

    #[test]
    fn poisson_arrivals_have_the_mean_and_the_spread_of_the_exponential_distribution() {
        let count = 200_000;
        let times = times(Schedule::new(Arrival::Poisson, 10_000.0, 0, 1, 7), count);
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean / 1e5 - 1.0).abs() < 0.02, "mean gap {mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "deviation {}", variance.sqrt());
        // A gap longer than the mean has the probability 1/e.
        let long = gaps.iter().filter(|gap| **gap > 1e5).count() as f64 / gaps.len() as f64;
        assert!((long - (-1f64).exp()).abs() < 0.01, "{long}");
    }

    #[test]
    fn what_waits_keeps_the_time_at_which_it_was_due() {
        let schedule = Schedule::new(Arrival::Poisson, 1000.0, 0, 1, 3);
        let expected = times(schedule.clone(), 5000);
        let mut backlog = Backlog::new(schedule, 0, u64::MAX, 5000);
        assert_eq!(backlog.arrive(expected[0]), 1);
        assert_eq!(backlog.depart(), Some(expected[0]));
        assert_eq!(backlog.depart(), None);
        // A stall: nothing departs, and all that comes due is counted.
        assert_eq!(backlog.arrive(u64::MAX / 2), 4999);
        assert_eq!(backlog.oldest_ns(), Some(expected[1]));
        let departed: Vec<_> = std::iter::from_fn(|| backlog.depart()).collect();
        assert_eq!(departed, expected[1..]);
        assert_eq!((backlog.next_due_ns(), backlog.arrived()), (None, 5000));
    }

    #[test]
    fn nothing_is_due_from_the_end_on() {
        let schedule = Schedule::new(Arrival::Constant, 1000.0, 0, 1, 3);
        let mut backlog = Backlog::new(schedule, 0, 10_000_000, u64::MAX);
        assert_eq!(backlog.arrive(u64::MAX), 10);
        assert_eq!(backlog.next_due_ns(), None);
    }

    #[test]
    fn a_warm_up_uses_up_nothing() {
        let schedule = Schedule::new(Arrival::Constant, 1000.0, 0, 1, 3);
        let mut backlog = Backlog::new(schedule, 5_000_000, u64::MAX, 10);
        assert_eq!(backlog.arrive(u64::MAX), 15);
    }
}
