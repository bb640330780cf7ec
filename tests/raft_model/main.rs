//! The real core under a model checker: every behaviour of a small cluster within stated bounds.
//!
//! Each run explores all orders in which messages can arrive, be lost or arrive again, together
//! with a few elections, proposals or a swap, breadth first, and prints how far it came. Nothing
//! is left to chance: a run ends when there are no more states, or at a bound on their number.
//! `MAYFLY_MODEL_STATES=n` sets that bound for each run.

mod model;
mod properties;
mod table;

use std::env;
use std::time::Instant;

use mayfly::raft::types::{Boot, ClusterId, Millis};
use model::{Budget, Cluster, Deed};
use stateright::{Checker, Expectation, Model};

const FOUNDERS: usize = 3;
const CLUSTER: ClusterId = 7;
const NEW_BOOT: Boot = 99;
/// So short that what is drawn from it is nearly always the same.
const ELECTION_TIMEOUT_MS: Millis = 2;
/// Any: all members have the same at every step, so that chance does not multiply the states.
const SEED: u64 = 1;

/// What a run generates at most when it is not exhausted before: with every third of them new, some
/// 250 MiB for each run.
const GENERATED: usize = 2_000_000;

const NONE: Budget = Budget { campaigns: 0, time_outs: 0, proposals: 0, crashes: 0, admissions: 0 };

/// How far a run must come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Every state that can be reached within the budget.
    All,
    /// Every behaviour of as many actions as [`GENERATED`] allows.
    Bounded,
}

fn explore(name: &str, extent: Extent, budget: Budget, before: &[Deed]) {
    let bound = env::var("MAYFLY_MODEL_STATES").ok();
    let bound = bound.map_or(GENERATED, |number| number.parse().expect("a number"));
    let start = Instant::now();
    let checker = Cluster::new(budget, before).checker().target_state_count(bound);
    let checker = checker.spawn_bfs().join();
    let is_exhausted = checker.state_count() < bound;
    let actions = checker.max_depth() - 1;
    let extent_reached = match is_exhausted {
        true => format!("all behaviours, the longest of {actions} actions"),
        // The last level is incomplete.
        false => format!("all behaviours of up to {} actions", actions - 1),
    };
    println!(
        "model, {name}: {extent_reached}; {} states ({} generated), {:.1} s; {}",
        checker.unique_state_count(),
        checker.state_count(),
        start.elapsed().as_secs_f64(),
        checker.model().world().table.sizes()
    );
    let model = checker.model();
    for (property, path) in checker.discoveries() {
        println!("model, {name}: {} '{property}'", checker.discovery_classification(property));
        if model.property(property).expectation == Expectation::Always {
            let actions = path.into_actions();
            actions.iter().for_each(|action| println!("  {}", model.tell(*action)));
        }
    }
    checker.assert_properties();
    assert!(is_exhausted || extent == Extent::Bounded, "not all states were reached");
}

/// Raft 5.2 with every vote, duplicated and late, of two rival campaigns.
#[test]
fn two_campaigns_are_safe() {
    explore("two campaigns", Extent::All, Budget { campaigns: 2, ..NONE }, &[]);
}

#[test]
fn two_entries_of_one_leader_are_safe() {
    let budget = Budget { campaigns: 1, proposals: 2, ..NONE };
    explore("two entries", Extent::All, budget, &[]);
}

#[test]
fn two_entries_are_safe_through_two_campaigns() {
    let budget = Budget { campaigns: 2, proposals: 2, ..NONE };
    explore("two entries, two campaigns", Extent::Bounded, budget, &[]);
}

/// With pre-votes, and leaders that notice that nobody answers.
#[test]
fn elections_by_time_out_are_safe() {
    let budget = Budget { time_outs: 3, ..NONE };
    explore("time-outs", Extent::Bounded, budget, &[]);
}

/// A follower has died; its successor is admitted, catches up and takes its place, while another
/// member may die.
#[test]
fn swap_of_a_dead_follower_is_safe() {
    let before = [Deed::Campaign(1), Deed::Settle, Deed::Crash(3)];
    let budget = Budget { crashes: 1, admissions: 1, ..NONE };
    explore("swap of a follower", Extent::All, budget, &before);
}

#[test]
fn swap_of_a_dead_leader_is_safe() {
    let before = [Deed::Campaign(3), Deed::Settle, Deed::Crash(3)];
    let budget = Budget { campaigns: 1, admissions: 1, ..NONE };
    explore("swap of a leader", Extent::All, budget, &before);
}

#[test]
fn swap_is_safe_while_leaders_change() {
    let before = [Deed::Campaign(1), Deed::Settle, Deed::Crash(3)];
    let budget = Budget { campaigns: 1, proposals: 1, admissions: 1, ..NONE };
    explore("swap, a campaign", Extent::Bounded, budget, &before);
}
