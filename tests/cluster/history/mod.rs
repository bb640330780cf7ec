//! The running cluster is linearizable: clients of all nodes record what they ask and are told,
//! while processes die, stand still and lose each other, and checkers that are not ours find an
//! order that explains it, or the test fails.
//!
//! `MAYFLY_HISTORY_SECONDS=600 MAYFLY_HISTORY_SEED=7 cargo test --test cluster history --
//! --nocapture` runs each history for ten minutes of faults, of another seed; without the variables
//! it is a quarter of a minute, or what a quarter of all faults takes. The seed decides what is
//! done to whom, the machine how it falls out. A history that no order explains is written under
//! `target/histories/` as EDN (see [`edn`]); with `MAYFLY_HISTORY_DIR` all of them are, there.

mod check;
mod clients;
mod controls;
mod directed;
mod edn;
mod fleet;
mod nemesis;
#[path = "../../mutants/patch.rs"]
mod patch;
mod proxy;
mod qualification;
mod record;
mod spec;
mod stage;
mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::chaos::random::Random;
use crate::chaos::swarm::check_digests;
use crate::cluster::Layout;
use crate::process::{binary, is_stand_in};
use crate::wait;
use edn::Model;
use fleet::{Build, Fleet};
use nemesis::{FAULTS, Nemesis};
use record::{History, Names, Operation, Outcome};
use workload::Window;

/// A log that is compacted all the time, and time enough for an election.
const OPTIONS: &str = "--raft.log-max-entries 300 --raft.log-max-cache-size 1mb \
                       --raft.append-req-max-size 64kb --no-leader-timeout 3s";

const CLIENTS_MAX: usize = 10;

/// Faults in one window of keys.
const FAULTS_A_WINDOW: usize = 3;

fn variable(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text}, not a number")),
        Err(_) => default,
    }
}

#[test]
fn three_folded_nodes_are_linearizable_under_faults() {
    run("three-folded", 3, Layout::Folded, 0);
}

#[test]
fn three_split_nodes_are_linearizable_under_faults() {
    run("three-split", 3, Layout::Split, 1);
}

#[test]
fn five_folded_nodes_are_linearizable_under_faults() {
    run("five-folded", 5, Layout::Folded, 2);
}

#[test]
fn five_split_nodes_are_linearizable_under_faults() {
    run("five-split", 5, Layout::Split, 3);
}

/// A history of all windows, which begins with the fault at its quarter of the list.
fn run(name: &str, count: u16, layout: Layout, quarter: usize) {
    if is_stand_in() {
        return;
    }
    let seed = variable("MAYFLY_HISTORY_SEED", 1);
    let seconds = variable("MAYFLY_HISTORY_SECONDS", 15);
    println!("history: {name} MAYFLY_HISTORY_SEED={seed} MAYFLY_HISTORY_SECONDS={seconds}");
    let mut fleet = Fleet::start(count, layout, OPTIONS, &this_build());
    let names = Names::default();
    let mut random = Random::new(seed ^ (quarter as u64) << 32);
    let first = seed.wrapping_sub(1) as usize % FAULTS.len() + quarter * FAULTS.len() / 4;
    let mut next = first;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut windows: Vec<(Window<'_>, History)> = Vec::new();
    // All four together have every fault, however slow the machine is.
    while next - first < FAULTS.len() / 4 || Instant::now() < end {
        let number = windows.len();
        let window = Window::new(&format!("{name}-{seed}"), number, 5, fleet.ports(), &names);
        disturb(&window, &mut fleet, &mut random, &mut next, end);
        let history = window.finish(CLIENTS_MAX as u32);
        verify(window.name(), &history);
        check_digests(&fleet.ports());
        windows.push((window, history));
    }
    read_again(&mut windows);
    check_digests(&fleet.ports());
    let operations: usize = windows.iter().map(|(_, history)| history.len()).sum();
    println!("history: {name}: {operations} operations in {} windows", windows.len());
}

fn this_build() -> Build<'static> {
    static BINARY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    Build { binary: BINARY.get_or_init(binary), environment: "" }
}

/// Clients on all nodes and a nemesis, until a few faults are over, or the first after `end` is.
fn disturb(
    window: &Window<'_>,
    fleet: &mut Fleet,
    random: &mut Random,
    next: &mut usize,
    end: Instant,
) {
    let nodes = fleet.len();
    thread::scope(|scope| {
        let guard = StopGuard(window);
        let clients: Vec<_> = (0..CLIENTS_MAX.min(3 * nodes))
            .map(|client| {
                let random = Random::new(random.below(1 << 30) as u64);
                scope.spawn(move || window.run_client(client as u32, client % nodes, random))
            })
            .collect();
        let seed = random.below(1 << 30) as u64;
        let mut nemesis = Nemesis { fleet, window, random: Random::new(seed), next: *next };
        for fault in 0..FAULTS_A_WINDOW {
            if fault > 0 && Instant::now() >= end {
                break;
            }
            nemesis.strike();
            window.check();
        }
        *next = nemesis.next;
        // What goes well counts, too.
        wait::rest(Duration::from_millis(300));
        drop(guard);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    window.check();
}

/// Ends the clients of a window, those of a failed test too.
struct StopGuard<'a>(&'a Window<'a>);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

/// Fails the test if no order explains `history`.
fn verify(name: &str, history: &[Operation]) {
    let began = Instant::now();
    let verdict = check::check(history);
    println!("history: {} ({:?})", summary(name, history), began.elapsed());
    keep(name, history, verdict.is_err());
    let again = edn::read(&edn::write(history)).unwrap();
    assert!(again == history, "{name} is another history after it was written as EDN");
    if let Err(violation) = verdict {
        panic!("{name}: {}: {}", violation.key, violation.reason);
    }
}

/// Writes a history that is wrong, or any if somebody wants all.
fn keep(name: &str, history: &[Operation], is_wrong: bool) {
    if let Ok(folder) = std::env::var("MAYFLY_HISTORY_DIR") {
        export(Path::new(&folder), name, history);
    }
    if is_wrong {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/histories");
        println!("history: {name} is kept: {:?}", export(&folder, name, history));
    }
}

fn summary(name: &str, history: &[Operation]) -> String {
    let count = |wanted: fn(&Outcome) -> bool| {
        history.iter().filter(|operation| wanted(&operation.outcome)).count()
    };
    let ok = count(|outcome| matches!(outcome, Outcome::Ok(_)));
    let failed = count(|outcome| matches!(outcome, Outcome::Fail(_)));
    let unknown = count(|outcome| matches!(outcome, Outcome::Unknown(_)));
    format!("{name}: {ok} answered, {failed} refused, {unknown} unknown")
}

/// Writes a file for each model.
fn export(folder: &Path, name: &str, history: &[Operation]) -> Vec<PathBuf> {
    fs::create_dir_all(folder).unwrap();
    let write = |model: Model| {
        let of_model = history.iter().filter(|operation| Model::of(&operation.key) == model);
        let path = folder.join(format!("{name}-{}.edn", model.name()));
        fs::write(&path, edn::write(&of_model.cloned().collect::<Vec<_>>())).unwrap();
        path
    };
    Model::ALL.map(write).into()
}

/// Every key of all windows still holds what it held, or a write of unknown outcome came true.
fn read_again(windows: &mut [(Window<'_>, History)]) {
    for (window, history) in windows {
        // Behind all else in the order of time: nobody has asked anything since.
        history.extend(window.read_all(CLIENTS_MAX as u32 + 1));
        verify(&format!("{}-again", window.name()), history);
    }
}
