//! Whole clusters in one thread on virtual time: consensus, engine, clients and volatile members,
//! under loss, delay, reordering, duplication, partitions, pauses, clocks that jump, deaths,
//! snapshots and changes of membership, by the chance of a seed.
//!
//! After every step the checker looks at everything ([`invariants`]), each reply is compared with
//! that of a model ([`oracle`]), and at the end all faults stop and whatever is outstanding must
//! be answered. A seed gives the same run, bit for bit; one that fails says how to run it alone.
//!
//! - `MAYFLY_SIM_SEED=n` runs one seed of each scenario, with `MAYFLY_SIM_SHORT=1` a short one.
//! - `MAYFLY_SIM_STEPS=n` lets `all_scenarios` go on until so many steps are made.
//! - `MAYFLY_SIM_SEEDS=n` lets it make n short runs.
//! - `MAYFLY_SIM_THREADS=n` gives it so many threads; else it has one per processor.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

mod bad_histories;
mod campaign;
mod checker;
mod clients;
mod cluster;
mod consensus;
mod core;
mod faults;
mod founding;
mod invariants;
mod late_answers;
mod lifecycle;
mod light;
mod machine;
mod network;
mod oracle;
mod reference;
mod rng;
mod scenario;
mod stats;
mod streaming;

use std::env;

use scenario::{Length, Scenario, run};
use stats::Stats;

use crate::core::Core;
use crate::reference::Reference;

#[cfg(core_only)]
type SimMachine = light::LightMachine;
#[cfg(not(core_only))]
type SimMachine = machine::EngineMachine;

const REFERENCE_SEEDS: u64 = 20;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn length() -> Length {
    if number("MAYFLY_SIM_SHORT").is_some() { Length::Short } else { Length::Full }
}

/// A few seeds of a scenario, or the one that is asked for.
fn check(scenario: &Scenario, count: u64) -> Stats {
    let asked = number("MAYFLY_SIM_SEED");
    let (first, count) = asked.map_or((1, count), |seed| (seed, 1));
    let mut total = Stats::default();
    for seed in first..first + count {
        total.add(&run::<Core, SimMachine>(scenario, seed, length()));
    }
    println!("{}: {}", scenario.name, total.line());
    if asked.is_none() {
        // A run in which nothing happened proves nothing.
        assert!(total.answered_batches > 0 && total.answered_reads > 0, "{total:?}");
        assert!(total.elections >= count && total.committed > 100, "{total:?}");
    }
    total
}

#[test]
fn three_keep_every_promise() {
    let total = check(&scenario::THREE, 6);
    assert!(number("MAYFLY_SIM_SEED").is_some() || total.crashes > 0 && total.snapshots_begun > 0);
}

#[test]
fn five_keep_every_promise() {
    check(&scenario::FIVE, 4);
}

#[test]
fn membership_that_changes_keeps_every_promise() {
    let total = check(&scenario::MEMBERSHIP, 4);
    assert!(number("MAYFLY_SIM_SEED").is_some() || total.promotions > 0 && total.removals > 0);
}

#[test]
fn swap_upon_swap_keeps_every_promise() {
    check(&scenario::SWAP, 8);
}

#[test]
fn links_that_fail_in_part_keep_every_promise() {
    check(&scenario::LINKS, 4);
}

#[test]
fn clocks_that_lie_keep_every_promise() {
    let total = check(&scenario::CLOCKS, 4);
    assert!(number("MAYFLY_SIM_SEED").is_some() || total.pauses > 0 && total.clock_jumps > 0);
}

#[test]
fn snapshots_that_take_long_keep_every_promise() {
    let total = check(&scenario::SNAPSHOTS, 4);
    let failed = total.snapshots_failed > 0;
    assert!(number("MAYFLY_SIM_SEED").is_some() || total.snapshots_installed > 0 && failed);
}

#[test]
fn everything_at_once_keeps_every_promise() {
    check(&scenario::EVERYTHING, 4);
}

#[test]
fn quorum_lost_and_recovered_by_force_keeps_lineages_apart() {
    let total = check(&scenario::QUORUM_LOST, 6);
    assert!(number("MAYFLY_SIM_SEED").is_some() || total.recovered >= 6 && total.foreign > 0);
}

#[test]
fn total_loss_founds_one_new_cluster() {
    let total = check(&scenario::TOTAL_LOSS, 4);
    assert!(number("MAYFLY_SIM_SEED").is_some() || total.founded >= 8);
}

#[test]
fn survivor_of_a_lost_quorum_is_not_passed_over() {
    let total = check(&scenario::SURVIVOR, 4);
    assert!(number("MAYFLY_SIM_SEED").is_some() || total.recovered >= 4);
}

#[test]
fn fixed_members_keep_every_promise() {
    check(&scenario::FIXED, 4);
}

/// The simulator and its checker accept a Raft that they were not written beside.
#[test]
fn reference_of_fixed_members_keeps_every_promise() {
    let mut total = Stats::default();
    for seed in 1..=REFERENCE_SEEDS {
        total.add(&run::<Reference, SimMachine>(&scenario::FIXED, seed, length()));
    }
    println!("reference: {}", total.line());
    assert!(total.answered_batches > 0 && total.answered_reads > 0, "{total:?}");
    assert!(total.elections > REFERENCE_SEEDS && total.committed > 100, "{total:?}");
}

/// The machine of simulations without the engine.
#[test]
fn light_machines_keep_every_promise() {
    let total = run::<Core, light::LightMachine>(&scenario::SNAPSHOTS, 1, Length::Short);
    assert!(total.answered_batches > 0 && total.snapshots_installed > 0, "{total:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for scenario in [scenario::THREE, scenario::EVERYTHING, scenario::QUORUM_LOST] {
        let one = run::<Core, SimMachine>(&scenario, 3, Length::Short);
        let two = run::<Core, SimMachine>(&scenario, 3, Length::Short);
        assert_eq!(one, two, "{}", scenario.name);
        let other = run::<Core, SimMachine>(&scenario, 4, Length::Short);
        assert_ne!(one.trace, other.trace, "{}", scenario.name);
    }
}
