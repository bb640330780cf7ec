//! Waiting for a condition: the only place that looks at the clock.

use std::thread;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(5);

/// For whatever needs an election, a join or a start, on a machine that does other things too.
pub const LONG: Duration = Duration::from_secs(30);

/// Asks until there is an answer; fails after `limit`.
pub fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        thread::sleep(STEP);
    }
}

/// For those whose pace is part of the test: a client between two requests, a node that stands
/// still for a while. Never in the hope that something has happened by then.
pub fn rest(time: Duration) {
    thread::sleep(time);
}

/// Like [`until`], for a plain condition.
pub fn until_true(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    until(what, limit, || condition().then_some(()));
}
