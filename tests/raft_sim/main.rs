//! Whole clusters in one thread: virtual time, and loss, delay, reordering, duplication,
//! partitions, crashes, compaction, transfers and membership changes by the chance of a seed.
//!
//! After every pass of every member the checker looks at everything; at the end all faults stop,
//! and whatever is outstanding must be answered. A failure prints its seed:
//! `MAYFLY_SIM_SEED=n cargo test --test raft_sim` runs that one alone, and
//! `MAYFLY_SIM_SEEDS=n` runs the first n of each scenario.

mod checker;
mod cluster;
mod consensus;
mod core;
mod rng;

use std::env;

use crate::core::Core;
use checker::Stats;
use cluster::{Cluster, ELECTION_TIMEOUT_MS, Faults, Size};
use consensus::Consensus;
use rng::Rng;

const CHAOS_MS: u64 = 4_000;
/// Ten elections and the catch-up of a new member fit in easily.
const SETTLE_MS: u64 = 60 * ELECTION_TIMEOUT_MS;

struct Announce {
    scenario: &'static str,
    seed: u64,
}

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: failed with MAYFLY_SIM_SEED={}", self.scenario, self.seed);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn seeds(default: u64) -> impl Iterator<Item = u64> {
    let (first, count) = match number("MAYFLY_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("MAYFLY_SIM_SEEDS").unwrap_or(default)),
    };
    first..first + count
}

/// Chaos, then calm: safety throughout, liveness at the end.
fn run(scenario: &'static str, seed: u64, size: Size, faults: Faults) -> Stats {
    let _announce = Announce { scenario, seed };
    let mut cluster = Cluster::<Core>::new(seed, size, Faults { delay_ms: 3, ..Faults::default() });
    settle(&mut cluster);
    cluster.faults = faults;
    for _ in 0..CHAOS_MS {
        cluster.submit();
        cluster.step();
    }
    cluster.calm();
    settle(&mut cluster);
    std::mem::take(&mut cluster.checker.stats)
}

fn settle<C: Consensus>(cluster: &mut Cluster<C>) {
    let deadline = cluster.now + SETTLE_MS;
    while !cluster.is_settled() {
        assert!(cluster.now < deadline, "not settled: {}", describe(cluster));
        cluster.step();
    }
}

fn describe<C: Consensus>(cluster: &Cluster<C>) -> String {
    let mut text = format!("{:?}, joining {}", cluster.configuration(), cluster.is_joining());
    for node in cluster.nodes.iter().filter(|node| node.alive) {
        text += &format!("\n{:?}, waits {}", node.raft.view(), node.waits());
    }
    text
}

/// What each seed may suffer: its own mixture.
fn mixture(seed: u64) -> Faults {
    let mut rng = Rng::new(!seed);
    let mut one_of = |choices: &[u64]| *rng.pick(choices).expect("there are choices");
    Faults {
        loss: one_of(&[0, 100, 20, 5]),
        duplicate: one_of(&[0, 50, 10]),
        delay_ms: one_of(&[0, 3, 20, 60]),
        partition: one_of(&[0, 300, 150]),
        crash: one_of(&[0, 1500, 500]),
        transfer: one_of(&[0, 400]),
        compact: one_of(&[0, 50, 10]),
        campaign: one_of(&[0, 0, 700]),
        crash_in_change: one_of(&[0, 300, 60]),
        rival: one_of(&[0, 0, 500]),
        remove: 0,
    }
}

fn voters(voters: usize) -> Size {
    Size { voters, observers: 0 }
}

#[test]
fn three_members_keep_every_promise() {
    let mut total = Stats::default();
    for seed in seeds(16) {
        add(&mut total, &run("three", seed, voters(3), mixture(seed)));
    }
    report("three", &total);
}

#[test]
fn five_members_keep_every_promise() {
    let mut total = Stats::default();
    for seed in seeds(10) {
        add(&mut total, &run("five", seed, voters(5), mixture(seed)));
    }
    report("five", &total);
}

#[test]
fn members_that_come_and_go_keep_every_promise() {
    let mut total = Stats::default();
    for seed in seeds(10) {
        let faults = Faults { crash: 400, remove: 300, compact: 20, ..mixture(seed) };
        let size = Size { voters: 4, observers: seed as usize % 2 };
        add(&mut total, &run("membership", seed, size, faults));
    }
    report("membership", &total);
}

/// Every process that dies is replaced, and most die while another one is.
#[test]
fn members_that_die_in_a_swap_keep_every_promise() {
    let mut total = Stats::default();
    for seed in seeds(30) {
        let size = Size { voters: [3, 5, 5][seed as usize % 3], observers: seed as usize % 2 };
        let faults = Faults {
            crash: 400,
            crash_in_change: 40,
            compact: 20,
            rival: 700 * (seed % 2),
            ..mixture(seed)
        };
        add(&mut total, &run("swap", seed, size, faults));
    }
    report("swap", &total);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let one = format!("{:?}", run("replay", 3, voters(3), mixture(3)));
    let two = format!("{:?}", run("replay", 3, voters(3), mixture(3)));
    assert_eq!(one, two);
}

fn add(total: &mut Stats, run: &Stats) {
    total.passes += run.passes;
    total.messages += run.messages;
    total.elections += run.elections;
    total.committed += run.committed;
    total.answered_batches += run.answered_batches;
    total.answered_reads += run.answered_reads;
    total.given_up += run.given_up;
    total.crashes += run.crashes;
    total.snapshots += run.snapshots;
    total.transfers += run.transfers;
}

/// A run in which nothing happened proves nothing.
fn report(scenario: &str, total: &Stats) {
    println!("{scenario}: {total:?}");
    assert!(total.answered_batches > 0 && total.answered_reads > 0, "{total:?}");
    if number("MAYFLY_SIM_SEED").is_none() && number("MAYFLY_SIM_SEEDS").is_none() {
        assert!(total.elections > 5 && total.crashes > 0 && total.snapshots > 0, "{total:?}");
    }
}
