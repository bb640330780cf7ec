//! Durations as they are asked for and printed.

use std::time::{Duration, Instant};

/// A stretch of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Instant,
    pub to: Instant,
}

impl Window {
    pub fn holds(&self, at: Instant) -> bool {
        self.from <= at && at < self.to
    }

    pub fn length(&self) -> Duration {
        self.to - self.from
    }
}

/// A number of seconds of the command line.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

pub fn as_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[test]
fn seconds_are_numbers_from_0_on() {
    assert_eq!(parse_seconds("1.5"), Ok(Duration::from_millis(1500)));
    assert_eq!(parse_seconds("0"), Ok(Duration::ZERO));
    for bad in ["-1", "inf", "NaN", "1s", ""] {
        assert!(parse_seconds(bad).is_err(), "{bad}");
    }
}
