//! Many runs of all scenarios over several threads: until so many steps are made, or so many seeds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::core::Core;
use crate::scenario::{ALL, Length, run};
use crate::stats::Stats;
use crate::{SimMachine, number};

/// Runs of a `cargo test` that asks for nothing: one of each scenario.
const DEFAULT_RUNS: u64 = ALL.len() as u64;

/// A full run has more steps than this: should runs come to little, the goal is missed, and that is
/// a failure rather than a long wait.
const STEPS_PER_RUN_MIN: u64 = 5_000;

/// What is to be done, and how far it is.
struct Campaign {
    length: Length,
    runs: u64,
    /// Ends early once so many are made.
    steps: u64,
    next: AtomicU64,
    failed: AtomicBool,
    /// By scenario.
    totals: Mutex<Vec<Stats>>,
    made: AtomicU64,
}

impl Campaign {
    fn asked() -> Self {
        let steps = number("MAYFLY_SIM_STEPS");
        let seeds = number("MAYFLY_SIM_SEEDS");
        let (length, runs) = match (steps, seeds) {
            (_, Some(seeds)) => (Length::Short, seeds),
            (Some(steps), None) => (Length::Full, steps / STEPS_PER_RUN_MIN),
            (None, None) => (Length::Short, DEFAULT_RUNS),
        };
        Self {
            length,
            runs,
            steps: steps.filter(|_| seeds.is_none()).unwrap_or(u64::MAX),
            next: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            totals: Mutex::new(vec![Stats::default(); ALL.len()]),
            made: AtomicU64::new(0),
        }
    }

    /// One thread's share.
    fn work(&self) {
        struct Failure<'a>(&'a AtomicBool);
        impl Drop for Failure<'_> {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.store(true, Ordering::Relaxed);
                }
            }
        }
        let _failure = Failure(&self.failed);
        while !self.failed.load(Ordering::Relaxed) && self.made.load(Ordering::Relaxed) < self.steps
        {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.runs {
                break;
            }
            let at = (number % ALL.len() as u64) as usize;
            // Other seeds than those of the tests of each scenario.
            let seed = 1_000 + number / ALL.len() as u64;
            let stats = run::<Core, SimMachine>(&ALL[at], seed, self.length);
            self.made.fetch_add(stats.steps, Ordering::Relaxed);
            self.totals.lock().unwrap()[at].add(&stats);
        }
    }
}

#[test]
fn all_scenarios() {
    if number("MAYFLY_SIM_SEED").is_some() {
        return;
    }
    let campaign = Campaign::asked();
    let processors = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let threads = number("MAYFLY_SIM_THREADS").unwrap_or(processors);
    let began = Instant::now();
    thread::scope(|scope| {
        let spawn = |_| scope.spawn(|| campaign.work());
        let workers: Vec<_> = (0..threads).map(spawn).collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    let totals = campaign.totals.into_inner().unwrap();
    let mut total = Stats::default();
    for (scenario, stats) in ALL.iter().zip(&totals) {
        println!("{}: {}", scenario.name, stats.line());
        total.add(stats);
    }
    let took = began.elapsed();
    println!("all scenarios: {} in {took:?} on {threads} threads", total.line());
    if campaign.steps < u64::MAX {
        assert!(
            total.steps >= campaign.steps,
            "{} steps, promised {}",
            total.steps,
            campaign.steps
        );
    } else {
        assert_eq!(total.runs, campaign.runs);
    }
}
