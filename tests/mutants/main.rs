//! Mutants of the consensus core: every rule that makes it safe, broken on purpose, one at a time.
//! A named unit test must fail of each, and a simulation within a stated number of seeds.
//!
//! `cargo test --test mutants -- --nocapture` builds the core once with all mutants in it (see
//! [`core`]), runs the tests unmutated, which must pass, and then as each mutant. It takes minutes,
//! so the plain `cargo test` leaves it out. `README.md` beside this file says how to add a mutant.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

mod core;
mod patch;
mod run;
mod table;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::core::Programs;
use patch::Patch;
use run::Outcome;
use table::{Mutant, Simulator};

const SEEDS: &str = "MAYFLY_SIM_SEEDS";

#[test]
fn every_mutant_is_killed() {
    let mutants = table::read(&core::root()).unwrap_or_else(|e| panic!("{e}"));
    let patches: Vec<Patch> = mutants.iter().map(|mutant| mutant.patch.clone()).collect();
    let programs = core::build(&patches);
    check_unmutated(&programs, &mutants);
    let judged = on_every_core(&mutants, |mutant| judge(&programs, mutant));
    println!(
        "\n{:<38} {:<12} {:<34} it says",
        "mutant", "unit test", "simulator: fell with seed, of"
    );
    let mut survivors = Vec::new();
    for (mutant, verdict) in mutants.iter().zip(&judged) {
        let name = &mutant.patch.name;
        let Verdict { unit, simulator, said } = verdict;
        let show = |result: &Result<String, String>| match result {
            Ok(text) => text.clone(),
            Err(_) => "SURVIVED".to_owned(),
        };
        println!("{name:<38} {:<12} {:<34} {said}", show(unit), show(simulator));
        for error in [unit, simulator].into_iter().filter_map(|result| result.as_ref().err()) {
            survivors.push(format!("{name}: {error}"));
        }
    }
    println!("mutants: {} in all, {} of them not killed as stated", mutants.len(), survivors.len());
    assert!(survivors.is_empty(), "not killed as stated:\n{}", survivors.join("\n"));
}

/// All that the mutants are to fail passes without them, with as many seeds.
fn check_unmutated(programs: &Programs, mutants: &[Mutant]) {
    let unit = run::run(&programs.unit, None, &[], &[]);
    assert!(matches!(unit, Outcome::Passed(_)), "unmutated, the unit tests: {unit:?}");
    let mut scenarios: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for mutant in mutants {
        if let Simulator::Within { suite, test, seeds } = &mutant.simulator {
            let most = scenarios.entry((suite, test)).or_default();
            *most = (*most).max(*seeds);
        }
    }
    let scenarios: Vec<_> = scenarios.into_iter().collect();
    let outcomes = on_every_core(&scenarios, |((suite, test), seeds)| {
        simulate(programs, suite, test, *seeds, None)
    });
    for (scenario, outcome) in scenarios.iter().zip(outcomes) {
        assert_eq!(outcome, Outcome::Passed(1), "unmutated, {scenario:?}");
    }
}

fn simulate(
    programs: &Programs,
    suite: &str,
    test: &str,
    seeds: u64,
    mutant: Option<&str>,
) -> Outcome {
    let program = programs.suites.get(suite).unwrap_or_else(|| panic!("no suite {suite}"));
    let variables = [(SEEDS, seeds.to_string()), ("MAYFLY_SIM_THREADS", "1".to_owned())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    run::run(program, mutant, &["--exact", test], &variables)
}

struct Verdict {
    /// How it was killed, or why not.
    unit: Result<String, String>,
    simulator: Result<String, String>,
    /// What the simulation said as it fell.
    said: String,
}

fn judge(programs: &Programs, mutant: &Mutant) -> Verdict {
    let name = Some(mutant.patch.name.as_str());
    let unit = match run::run(&programs.unit, name, &["--exact", &mutant.unit], &[]) {
        Outcome::Failed { .. } => Ok("killed".to_owned()),
        other => Err(format!("{}: {other:?}", mutant.unit)),
    };
    let (simulator, said) = match &mutant.simulator {
        Simulator::Cannot(why) => (Ok("-".to_owned()), why.clone()),
        Simulator::Within { suite, test, seeds } => {
            match simulate(programs, suite, test, *seeds, name) {
                Outcome::Failed { said, seed: Some(seed), .. } => {
                    (Ok(format!("{suite} {seed}, {seeds}")), said)
                }
                other => (Err(format!("{suite} {test}: {other:?}")), String::new()),
            }
        }
    };
    Verdict { unit, simulator, said }
}

/// Calls `work` on each of `items`, on as many threads as there are cores.
fn on_every_core<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, R>> = Mutex::default();
    let worker = || {
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(item) = items.get(at)
        {
            let result = work(item);
            done.lock().unwrap_or_else(PoisonError::into_inner).insert(at, result);
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            scope.spawn(worker);
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}
