//! Watching a server from further threads while the main thread does something to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::interrupt;
use crate::process::ProcessError;

/// Runs each of `watches` on a thread of its own until `work`, which runs on this one, has ended:
/// then their flag is set. Returns what all of them returned.
pub fn alongside<W, R>(
    watches: impl IntoIterator<Item = impl FnOnce(&AtomicBool) -> W + Send>,
    work: impl FnOnce() -> R,
) -> (Vec<W>, R)
where
    W: Send,
{
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let threads: Vec<_> =
            watches.into_iter().map(|watch| scope.spawn(move || watch(stop))).collect();
        let result = work();
        stop.store(true, Ordering::Relaxed);
        let watched = threads
            .into_iter()
            .map(|thread| thread.join().expect("invariant: a watch does not panic"))
            .collect();
        (watched, result)
    })
}

/// Lets the watches go on for a while.
pub fn pause(time: Duration) -> Result<(), ProcessError> {
    let until = Instant::now() + time;
    loop {
        if interrupt::is_interrupted() {
            return Err(ProcessError::Interrupted);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(Duration::from_millis(5)));
    }
}

#[test]
fn every_watch_ends_with_the_work() {
    let watch = |number: u32| {
        move |stop: &AtomicBool| {
            while !stop.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            number
        }
    };
    let (watched, result) = alongside([watch(1), watch(2)], || "done");
    assert_eq!(watched, [1, 2]);
    assert_eq!(result, "done");
}
