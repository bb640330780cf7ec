//! The scenarios: how large a cluster is, how it begins, what it suffers, and how it must end.

use mayfly::raft::types::Millis;

use crate::cluster::{Cluster, ELECTION_TIMEOUT_MS, Size};
use crate::consensus::Consensus;
use crate::faults::Faults;
use crate::invariants::ensure;
use crate::machine::Machine;
use crate::network::Pid;
use crate::rng::Rng;
use crate::stats::Stats;

/// Ten elections and the catch-up of new members fit in easily.
const SETTLE_MS: Millis = 80 * ELECTION_TIMEOUT_MS;

/// How a cluster comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From one member, which the others join.
    Grown,
    /// Voters that know each other and agree to found it, all of them fresh.
    Listed,
    /// Its voters are there from the start and stay: what any implementation supports.
    Fixed,
}

/// What no quorum survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disaster {
    None,
    /// A majority dies, or is cut off so long that an operator believes so.
    QuorumLost,
    /// Everybody dies.
    TotalLoss,
}

#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub start: Start,
    pub disaster: Disaster,
    pub size: fn(seed: u64) -> Size,
    pub faults: fn(seed: u64) -> Faults,
}

/// How long chaos reigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Full,
    /// For many seeds.
    Short,
}

impl Length {
    fn chaos_ms(self) -> Millis {
        match self {
            Self::Full => 4_000,
            Self::Short => 700,
        }
    }

    /// How long the clients of a member pause: what takes most of the time of a run.
    fn clients_pause_ms(self) -> Millis {
        match self {
            Self::Full => 4,
            Self::Short => 12,
        }
    }
}

/// What each seed may suffer: its own mixture.
fn mixture(seed: u64) -> Faults {
    let mut rng = Rng::new(!seed);
    let mut one_of = |choices: &[u64]| *rng.pick(choices).expect("there are choices");
    Faults {
        loss: one_of(&[0, 100, 20, 5]),
        duplicate: one_of(&[0, 50, 10]),
        delay_ms: one_of(&[0, 3, 20, 60]),
        replay_ms: one_of(&[0, 0, 900]),
        partition: one_of(&[0, 300, 150]),
        slow_link: one_of(&[0, 0, 200]),
        crash: one_of(&[0, 1500, 500]),
        transfer: one_of(&[0, 400]),
        compact: one_of(&[0, 50, 10]),
        campaign: one_of(&[0, 0, 700]),
        crash_in_change: one_of(&[0, 300, 60]),
        rival: one_of(&[0, 0, 500]),
        pause: one_of(&[0, 0, 400]),
        clock_jump: one_of(&[0, 200]),
        drift_permille: one_of(&[0, 20, 100]),
        chunk_ms: one_of(&[1, 5, 40]),
        remove: 0,
    }
}

fn voters(voters: usize) -> Size {
    Size { voters, observers: 0 }
}

fn three(_: u64) -> Size {
    voters(3)
}

fn five(_: u64) -> Size {
    voters(5)
}

fn three_or_five(seed: u64) -> Size {
    Size { voters: [3, 5, 5][seed as usize % 3], observers: seed as usize % 2 }
}

const GROWN: Scenario = Scenario {
    name: "three",
    start: Start::Grown,
    disaster: Disaster::None,
    size: three,
    faults: mixture,
};

pub const THREE: Scenario = GROWN;

pub const FIVE: Scenario = Scenario { name: "five", size: five, ..GROWN };

pub const MEMBERSHIP: Scenario = Scenario {
    name: "membership",
    size: |seed| Size { voters: 4, observers: seed as usize % 2 },
    faults: |seed| Faults { crash: 400, remove: 300, compact: 20, ..mixture(seed) },
    ..GROWN
};

/// Every process that dies is replaced, and most die while another one is.
pub const SWAP: Scenario = Scenario {
    name: "swap",
    size: three_or_five,
    faults: |seed| Faults {
        crash: 400,
        crash_in_change: 40,
        compact: 20,
        rival: 700 * (seed % 2),
        ..mixture(seed)
    },
    ..GROWN
};

/// Links that fail in one direction, join two sides through one member, or are slow.
pub const LINKS: Scenario = Scenario {
    name: "links",
    size: five,
    faults: |seed| Faults { partition: 80, slow_link: 60, replay_ms: 900, ..mixture(seed) },
    ..GROWN
};

/// Processes that stop and go on, and clocks that jump and drift.
pub const CLOCKS: Scenario = Scenario {
    name: "clocks",
    size: three_or_five,
    faults: |seed| Faults {
        pause: 80,
        clock_jump: 50,
        drift_permille: 100,
        transfer: 200,
        ..mixture(seed)
    },
    ..GROWN
};

/// Slow snapshots while leaders, logs and configurations change.
pub const SNAPSHOTS: Scenario = Scenario {
    name: "snapshots",
    size: three_or_five,
    faults: |seed| Faults {
        compact: 4,
        chunk_ms: 60,
        crash: 600,
        crash_in_change: 200,
        transfer: 300,
        ..mixture(seed)
    },
    ..GROWN
};

/// Everything that can go wrong does.
pub const EVERYTHING: Scenario = Scenario {
    name: "everything",
    size: three_or_five,
    faults: |_| Faults {
        loss: 30,
        duplicate: 30,
        delay_ms: 8,
        replay_ms: 900,
        partition: 250,
        slow_link: 200,
        crash: 700,
        crash_in_change: 150,
        rival: 900,
        transfer: 500,
        compact: 20,
        campaign: 900,
        remove: 900,
        pause: 250,
        clock_jump: 150,
        drift_permille: 50,
        chunk_ms: 20,
    },
    ..GROWN
};

/// A majority is lost, and an operator lets the survivor that has most go on alone.
pub const QUORUM_LOST: Scenario = Scenario {
    name: "quorum lost",
    disaster: Disaster::QuorumLost,
    size: three_or_five,
    faults: |seed| Faults { rival: 0, ..mixture(seed) },
    ..GROWN
};

/// All processes die, and fresh ones found a cluster by themselves, as they did at the beginning.
pub const TOTAL_LOSS: Scenario = Scenario {
    name: "total loss",
    start: Start::Listed,
    disaster: Disaster::TotalLoss,
    size: |seed| voters([3, 5][seed as usize % 2]),
    faults: |seed| Faults { rival: 0, remove: 0, ..mixture(seed) },
};

/// A majority of listed processes dies: the fresh ones must not found a cluster beside a survivor.
pub const SURVIVOR: Scenario =
    Scenario { name: "survivor", disaster: Disaster::QuorumLost, ..TOTAL_LOSS };

/// Members that nobody joins, leaves or replaces.
pub const FIXED: Scenario = Scenario {
    name: "fixed",
    start: Start::Fixed,
    size: |seed| voters([3, 5][seed as usize % 2]),
    faults: |seed| Faults { crash: 0, crash_in_change: 0, rival: 0, ..mixture(seed) },
    ..GROWN
};

pub const ALL: [Scenario; 12] = [
    THREE,
    FIVE,
    MEMBERSHIP,
    SWAP,
    LINKS,
    CLOCKS,
    SNAPSHOTS,
    EVERYTHING,
    QUORUM_LOST,
    TOTAL_LOSS,
    SURVIVOR,
    FIXED,
];

/// Says how to run this seed alone, should it fail.
struct Announce {
    scenario: &'static str,
    seed: u64,
    length: Length,
}

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { scenario, seed, length } = self;
            let test = scenario.replace(' ', "_");
            let short = if *length == Length::Short { "MAYFLY_SIM_SHORT=1 " } else { "" };
            eprintln!(
                "'{scenario}' fails: {short}MAYFLY_SIM_SEED={seed} cargo test --test raft_sim \
                 {test} -- --nocapture"
            );
        }
    }
}

/// Chaos, then calm: safety throughout, liveness at the end.
pub fn run<C: Consensus, M: Machine>(scenario: &Scenario, seed: u64, length: Length) -> Stats {
    let _announce = Announce { scenario: scenario.name, seed, length };
    let mut cluster = Cluster::<C, M>::empty(seed, (scenario.size)(seed), Faults::none());
    let chaos = (scenario.faults)(seed).limited(C::SUPPORTS);
    cluster.clients_pause_ms = length.clients_pause_ms();
    cluster.faults.drift_permille = chaos.drift_permille;
    match scenario.start {
        Start::Grown => cluster.start_alone(),
        Start::Fixed => cluster.start_founded(),
        Start::Listed => {
            // They meet under the same faults, but none dies before it has a cluster.
            cluster.faults = Faults { crash: 0, crash_in_change: 0, ..chaos };
            cluster.start_listed();
            (0..200).for_each(|_| cluster.step());
            cluster.faults = Faults::none();
            cluster.heal();
        }
    }
    settle(&mut cluster);
    cluster.faults = chaos;
    for _ in 0..length.chaos_ms() {
        cluster.submit();
        cluster.step();
    }
    match scenario.disaster {
        Disaster::None => {}
        Disaster::QuorumLost => lose_quorum(&mut cluster, length),
        Disaster::TotalLoss => {
            cluster.alive.clone().into_iter().for_each(|pid| cluster.kill(pid));
            go_on(&mut cluster, length.chaos_ms() / 2);
        }
    }
    cluster.calm();
    settle(&mut cluster);
    cluster.conclude();
    std::mem::take(&mut cluster.stats)
}

fn go_on<C: Consensus, M: Machine>(cluster: &mut Cluster<C, M>, for_ms: Millis) {
    for _ in 0..for_ms {
        cluster.submit();
        cluster.step();
    }
}

/// A majority dies, or is only cut off from a minority whose operator takes it for dead: then both
/// clusters go on beside each other for a while.
fn lose_quorum<C: Consensus, M: Machine>(cluster: &mut Cluster<C, M>, length: Length) {
    cluster.faults = Faults { delay_ms: 5, duplicate: 20, replay_ms: 900, ..Faults::default() };
    cluster.heal();
    let main = cluster.main_lineage();
    let voters = cluster.lineages[main].checker.configuration().voters.clone();
    let living = voters.iter().filter_map(|id| cluster.living_pid(main, *id));
    let mut voters_alive: Vec<Pid> = living.collect();
    let keep = 1 + cluster.rng.below(((voters.len() - 1) / 2) as u64) as usize;
    while voters_alive.len() > keep {
        let at = cluster.rng.below(voters_alive.len() as u64) as usize;
        voters_alive.swap_remove(at);
    }
    let survivors = voters_alive;
    let really = cluster.is_listed || cluster.rng.once_in(2);
    for pid in cluster.alive.clone() {
        if really && !survivors.contains(&pid) {
            cluster.kill(pid);
        }
    }
    cluster.isolate(&survivors);
    cluster.try_to_recover_wrongly();
    let deadline = cluster.now + SETTLE_MS;
    // Those who are only cut off may have lost their slots to newcomers meanwhile.
    let are_there =
        |cluster: &Cluster<C, M>| survivors.iter().any(|pid| cluster.alive.contains(pid));
    while are_there(cluster) && !(cluster.stats.recovered > 0 || cluster.recover()) {
        ensure!(cluster.now < deadline, EveryCommandEnds, "nobody notices that the quorum is lost");
        cluster.try_to_recover_wrongly();
        go_on(cluster, 50);
        // Newcomers that the others have admitted are on their side.
        cluster.isolate(&survivors);
    }
    go_on(cluster, length.chaos_ms() / 4);
    // Both sides hear each other again.
    cluster.heal();
    go_on(cluster, length.chaos_ms() / 4);
}

fn settle<C: Consensus, M: Machine>(cluster: &mut Cluster<C, M>) {
    let deadline = cluster.now + SETTLE_MS;
    while !cluster.is_settled() {
        let late = cluster.now >= deadline;
        ensure!(!late, EveryCommandEnds, "not settled: {}", describe(cluster));
        cluster.step();
    }
}

fn describe<C: Consensus, M: Machine>(cluster: &Cluster<C, M>) -> String {
    let main = cluster.main_lineage();
    let checker = &cluster.lineages[main].checker;
    let mut text = format!("cluster {main}, {:?}", checker.configuration());
    for newcomer in &cluster.newcomers {
        let searches = newcomer.search.is_some();
        text += &format!("\n{} asks for slot {}, {searches}", newcomer.boot, newcomer.slot);
    }
    for process in cluster.living() {
        let (view, waits) = (process.raft.view(), process.clients.describe());
        text += &format!("\ncluster {}, {view:?}, {waits}", process.lineage);
        if view.is_leader {
            text += &format!("\n  {:?}", process.raft);
        }
    }
    text
}
