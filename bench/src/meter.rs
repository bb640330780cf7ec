//! How many commands a server executes, by its own count.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, ClientError};
use crate::time::Window;

/// Between two readings: short against a second, and no load to speak of.
const INTERVAL: Duration = Duration::from_millis(20);

const SECOND: Duration = Duration::from_secs(1);

const FIELD: &str = "total_commands_processed";

#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("port {0} does not tell its {FIELD} in INFO stats")]
    NoCount(u16),
}

/// Readings in the order of time.
#[derive(Debug)]
pub struct Readings(Vec<(Instant, u64)>);

/// Reads the count of the server at `port` until told to stop.
pub fn run(port: u16, stop: &AtomicBool) -> Result<Readings, MeterError> {
    let mut client = Client::connect(port)?;
    let mut readings = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let count = client.info("stats")?.count(FIELD).ok_or(MeterError::NoCount(port))?;
        readings.push((Instant::now(), count));
        thread::sleep(INTERVAL);
    }
    Ok(Readings(readings))
}

#[cfg(test)]
impl From<Vec<(Instant, u64)>> for Readings {
    fn from(readings: Vec<(Instant, u64)>) -> Self {
        Self(readings)
    }
}

impl Readings {
    /// Commands per second. `None` of a window without length.
    pub fn rate(&self, window: Window) -> Option<f64> {
        let seconds = window.length().as_secs_f64();
        let commands = self.count_at(window.to)? - self.count_at(window.from)?;
        (seconds > 0.0).then(|| commands / seconds)
    }

    /// The lowest rate of any second of the window; of a shorter window its rate.
    pub fn slowest_second(&self, window: Window) -> Option<f64> {
        let starts = self.0.iter().map(|(at, _)| *at).filter(|at| window.holds(*at));
        let seconds = starts.map(|from| Window { from, to: from + SECOND });
        let whole = seconds.filter(|second| second.to <= window.to);
        let slowest = whole.filter_map(|second| self.rate(second)).min_by(f64::total_cmp);
        slowest.or_else(|| self.rate(window))
    }

    /// The count at any time, taken to grow evenly between two readings.
    fn count_at(&self, at: Instant) -> Option<f64> {
        let next = self.0.partition_point(|(read, _)| *read < at);
        let (after_at, after) = *self.0.get(next).or(self.0.last())?;
        let (before_at, before) = self.0[next.saturating_sub(1)];
        let between = (after_at - before_at).as_secs_f64();
        if between == 0.0 {
            return Some(after as f64);
        }
        let part = (at - before_at).as_secs_f64() / between;
        Some(before as f64 + (after - before) as f64 * part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_window() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let window = |from, to| Window { from: at(from), to: at(to) };
        let counts = [(0, 0), (1000, 1000), (2000, 1100), (3000, 2100)];
        let readings = Readings(counts.map(|(ms, count)| (at(ms), count)).to_vec());
        assert_eq!(readings.rate(window(0, 1000)), Some(1000.0));
        assert_eq!(readings.rate(window(500, 1500)), Some(550.0));
        assert_eq!(readings.rate(window(500, 500)), None);
        assert_eq!(readings.slowest_second(window(0, 3000)), Some(100.0));
        assert_eq!(readings.slowest_second(window(500, 1000)), Some(1000.0));
        // Nothing is known beyond the last reading.
        assert_eq!(readings.rate(window(3000, 5000)), Some(0.0));
        assert_eq!(Readings(Vec::new()).rate(window(0, 1)), None);
    }
}
