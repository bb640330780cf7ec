//! Adversarial schedules of the consensus core: short runs with many leaders, in which any message
//! may arrive at any time, or twice, or at the next life of its receiver.
//!
//! The simulator (`raft_sim`) runs whole clusters on virtual time with faults as they occur in
//! practice, and asks that all goes well in the end. Here nothing has to go well, and what is
//! looked for is the order of events that breaks a promise: it is as mean as the laws allow, and
//! quick, so that tens of thousands of schedules take seconds.
//!
//! A failure prints its seed: `MAYFLY_SIM_SEED=n cargo test --test raft_adversary` runs that one
//! alone, and `MAYFLY_SIM_SEEDS=n` runs the first n of each scenario.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

mod founding;
mod laws;
#[allow(dead_code, reason = "the simulator draws more from it")]
#[path = "../raft_sim/rng.rs"]
mod rng;
mod world;

use std::env;

use founding::Founding;
use laws::Counts;
use rng::Rng;
use world::{Style, World};

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

/// Runs every seed, each with the style that `style` makes of it.
fn run(scenario: &'static str, count: u64, style: impl Fn(&mut Rng) -> Style) -> Counts {
    let mut total = Counts::default();
    for seed in seeds(count) {
        let _announce = Announce { scenario, seed };
        let style = style(&mut Rng::new(!seed));
        let mut world = World::new(seed, style);
        for _ in 0..style.steps {
            world.step();
        }
        let Counts { elections, committed, swaps, reads, snapshots, crashes, transfers } =
            world.laws.counts;
        total.elections += elections;
        total.committed += committed;
        total.swaps += swaps;
        total.reads += reads;
        total.snapshots += snapshots;
        total.crashes += crashes;
        total.transfers += transfers;
    }
    println!("{scenario}: {total:?}");
    total
}

fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    *rng.pick(choices).expect("there are choices")
}

/// Leaders come and go, the members stay: elections, replication, figure 8.
fn leaders(rng: &mut Rng) -> Style {
    Style {
        voters: one_of(rng, &[2, 3, 3, 4, 5, 5]),
        steps: 400,
        reorder: one_of(rng, &[1, 3, 10, 1000]),
        campaign: one_of(rng, &[20, 60, 150]),
        timeout: one_of(rng, &[4, 15]),
        crash: 0,
        rival: 0,
        remove: 0,
        transfer: one_of(rng, &[0, 40]),
        compact: one_of(rng, &[0, 20]),
        isolate: one_of(rng, &[0, 10, 30]),
        hold: 0,
        submit: one_of(rng, &[4, 10]),
        read: one_of(rng, &[0, 8]),
        hasty: one_of(rng, &[1, 1, 2, 6]),
        append_bytes_max: one_of(rng, &[1, 250, 1 << 20]),
    }
}

/// Almost only reads, of leaders that may have been deposed without knowing.
fn readers(rng: &mut Rng) -> Style {
    Style {
        voters: 3,
        steps: 500,
        reorder: one_of(rng, &[1, 3, 10, 1000]),
        campaign: one_of(rng, &[60, 150]),
        transfer: one_of(rng, &[0, 40]),
        compact: 0,
        isolate: one_of(rng, &[10, 30]),
        submit: one_of(rng, &[5, 30]),
        read: one_of(rng, &[1, 2]),
        ..leaders(rng)
    }
}

/// Members that are far behind, and get snapshots instead of what the others have dropped.
fn laggards(rng: &mut Rng) -> Style {
    Style {
        voters: one_of(rng, &[3, 5]),
        steps: 600,
        campaign: one_of(rng, &[30, 60]),
        compact: 2,
        isolate: one_of(rng, &[10, 30]),
        ..leaders(rng)
    }
}

/// Members die, are replaced and removed while leaders come and go.
fn members(rng: &mut Rng) -> Style {
    Style {
        voters: one_of(rng, &[1, 2, 3, 3, 4, 5]),
        steps: 1_500,
        crash: one_of(rng, &[80, 200, 400]),
        rival: one_of(rng, &[0, 100]),
        remove: one_of(rng, &[0, 30, 100]),
        campaign: one_of(rng, &[60, 150, 400]),
        isolate: one_of(rng, &[0, 30, 100]),
        reorder: one_of(rng, &[1, 1, 3, 10, 1000]),
        hold: one_of(rng, &[0, 40, 10]),
        hasty: one_of(rng, &[1, 1, 1, 3]),
        ..leaders(rng)
    }
}

#[test]
fn no_schedule_of_elections_breaks_a_promise() {
    let counts = run("leaders", 400, leaders);
    if number("MAYFLY_SIM_SEED").is_none() {
        assert!(counts.elections > 0 && counts.transfers > 0, "{counts:?}");
    }
}

#[test]
fn no_schedule_of_reads_breaks_a_promise() {
    let counts = run("readers", 400, readers);
    if number("MAYFLY_SIM_SEED").is_none() {
        assert!(counts.elections > 0 && counts.reads > 0, "{counts:?}");
    }
}

#[test]
fn no_schedule_of_snapshots_breaks_a_promise() {
    let counts = run("laggards", 400, laggards);
    if number("MAYFLY_SIM_SEED").is_none() {
        assert!(counts.elections > 0 && counts.snapshots > 0, "{counts:?}");
    }
}

#[test]
fn no_schedule_of_swaps_breaks_a_promise() {
    let counts = run("members", 400, members);
    if number("MAYFLY_SIM_SEED").is_none() {
        assert!(counts.swaps > 0 && counts.crashes > 0, "{counts:?}");
    }
}

#[test]
fn no_schedule_of_foundings_makes_two_clusters() {
    let mut founded = 0;
    for seed in seeds(400) {
        let _announce = Announce { scenario: "foundings", seed };
        let mut founding = Founding::new(seed);
        founding.run();
        founded += founding.founded;
    }
    println!("foundings: {founded} clusters");
    if number("MAYFLY_SIM_SEED").is_none() {
        assert!(founded > 0);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let [one, two] = [0, 1].map(|_| {
        let mut rng = Rng::new(5);
        let mut world = World::new(5, members(&mut rng));
        (0..500).for_each(|_| world.step());
        (world.laws.counts, world.laws.committed().to_vec())
    });
    assert_eq!(one, two);
}
