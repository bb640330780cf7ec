//! Measuring what takes less than the clock can tell: by repeating it, and several things in turns.

use std::time::{Duration, Instant};

use crate::interrupt;
use crate::process::ProcessError;
use crate::stats::Summary;

/// Calls of the work between two looks at the clock, which takes some 30 ns.
const CALLS_BETWEEN_LOOKS: u64 = 16;

/// Nanoseconds per unit of what `work` does, where one call does `units`. Calls it for `length` and
/// a little longer.
pub fn nanoseconds_each(length: Duration, units: u64, work: &mut dyn FnMut()) -> f64 {
    let mut calls = 0u64;
    let start = Instant::now();
    while start.elapsed() < length {
        // Looking at the clock must not count beside the work.
        for _ in 0..CALLS_BETWEEN_LOOKS {
            work();
        }
        calls += CALLS_BETWEEN_LOOKS;
    }
    per_unit(start.elapsed(), calls, units)
}

fn per_unit(elapsed: Duration, calls: u64, units: u64) -> f64 {
    elapsed.as_secs_f64() * 1e9 / (calls * units) as f64
}

/// Takes `rounds` samples of each, all in every round, so that what disturbs the machine for a
/// while disturbs all of them. The first round warms up and is not counted.
pub fn in_turns<const N: usize>(
    rounds: u32,
    mut sample: [&mut dyn FnMut() -> f64; N],
) -> Result<[Summary; N], ProcessError> {
    let mut samples = [const { Vec::new() }; N];
    for round in 0..=rounds {
        for (sample, samples) in sample.iter_mut().zip(&mut samples) {
            let taken = sample();
            if interrupt::is_interrupted() {
                return Err(ProcessError::Interrupted);
            }
            if round > 0 {
                samples.push(taken);
            }
        }
    }
    Ok(samples.map(|samples| Summary::of(samples).expect("invariant: at least one round")))
}

#[test]
fn time_is_shared_among_all_units_of_all_calls() {
    assert_eq!(per_unit(Duration::from_micros(3), 3, 1), 1000.0);
    assert_eq!(per_unit(Duration::from_secs(2), 1000, 1024), 2e9 / 1_024_000.0);
    let mut calls = 0u64;
    let each = nanoseconds_each(Duration::from_millis(1), 4, &mut || calls += 1);
    assert!(calls >= CALLS_BETWEEN_LOOKS && calls.is_multiple_of(CALLS_BETWEEN_LOOKS));
    assert!(each * (calls * 4) as f64 >= 1e6, "the whole time, in nanoseconds");
}

#[test]
fn samples_are_taken_in_turns_and_the_first_does_not_count() {
    let order = std::cell::RefCell::new(Vec::new());
    let mut values = [900.0, 3.0, 1.0, 2.0].into_iter();
    let mut one = || {
        order.borrow_mut().push('A');
        values.next().unwrap()
    };
    let mut two = || {
        order.borrow_mut().push('B');
        7.0
    };
    let [a, b] = in_turns(3, [&mut one, &mut two]).unwrap();
    assert_eq!(a, Summary { median: 2.0, min: 1.0, max: 3.0 });
    assert_eq!(b, Summary { median: 7.0, min: 7.0, max: 7.0 });
    assert_eq!(order.into_inner(), ['A', 'B', 'A', 'B', 'A', 'B', 'A', 'B']);
}
