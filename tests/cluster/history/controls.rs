//! Negative controls: builds with one rule taken out, which these checks must convict, by schedules
//! that hit; and the true build, which the same schedules must acquit.
//!
//! The patches of `controls.txt` are applied to a copy of the sources below `target/controls`,
//! which is built once; a variable of the environment, known to the copy only, chooses among them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::fleet::{Build, Fleet};
use super::nemesis::{FAULTS, Fault, Who};
use super::patch;
use super::proxy::{Passage, Traffic};
use super::record::{Names, Op, Outcome};
use super::stage::{DEFAULT_MS, NEVER_MS, Schedule, Stage, play};
use super::workload::Window;
use super::{CLIENTS_MAX, check, disturb, this_build};
use crate::chaos::random::Random;
use crate::cluster::Layout;
use crate::process::{is_stand_in, one_at_a_time};
use crate::wait;

/// Chances that a control has to be convicted; one is enough unless the machine stands still.
const ROUNDS_MAX: usize = 4;

const TESTS: &str = "tests/cluster/main.rs";

/// Which patch the copy obeys, by its place in the list.
const SWITCH: &str = "
pub mod control {
    pub fn is_on(number: usize) -> bool {
        static ON: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
        let read = || std::env::var(\"CONTROL\").ok()?.parse().ok();
        *ON.get_or_init(read) == Some(number)
    }
}
";

fn patches() -> Vec<patch::Patch> {
    patch::parse(include_str!("controls.txt")).unwrap()
}

/// The binary of the patched copy.
fn patched_binary() -> &'static str {
    static BINARY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    BINARY.get_or_init(|| {
        // Meanwhile there is no CPU for a cluster.
        let _turn = one_at_a_time();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join("target/controls");
        // The manifest names the last one. Other tests have files that are no text.
        let kept = ["Cargo.toml", "Cargo.lock", "src", "bench", "loadgen", "tuning", TESTS];
        let mut sources = patch::read_sources(root, &kept).unwrap();
        patch::apply_switchable(&mut sources, &patches(), "crate::control::is_on").unwrap();
        sources.get_mut("src/lib.rs").unwrap().push_str(SWITCH);
        patch::write_sources(&folder.join("copy"), &sources).unwrap();
        let began = Instant::now();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--package", "mayfly", "--bin", "mayfly"])
            .current_dir(folder.join("copy"))
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "the patched copy does not build:\n{printed}");
        println!("history: the controls were built in {:?}", began.elapsed());
        folder.join("target/debug/mayfly").to_str().unwrap().to_owned()
    })
}

/// The patched copy with one of its patches in force.
struct Control {
    environment: String,
}

fn control(name: &str) -> Control {
    let number = patches().iter().position(|patch| patch.name == name).unwrap();
    Control { environment: format!("CONTROL={number}") }
}

impl Control {
    fn build(&self) -> Build<'_> {
        Build { binary: patched_binary(), environment: &self.environment }
    }
}

/// Runs `schedule` on the patched build until it is convicted, and on the true build once.
fn check_control(name: &str, schedule: Schedule) {
    if is_stand_in() {
        return;
    }
    let control = control(name);
    let build = control.build();
    let convicted = (1..=ROUNDS_MAX).find_map(|round| {
        let violation = play(name, schedule, &build).err()?;
        println!("history: {name} is convicted in round {round}: {violation:?}");
        Some(violation)
    });
    assert!(convicted.is_some(), "{name} is not convicted in {ROUNDS_MAX} rounds");
    if let Err(violation) = play(&format!("{name}-acquitted"), schedule, &this_build()) {
        panic!("the true build is convicted by the schedule of {name}: {violation:?}");
    }
}

/// A leader that has been replaced without its knowledge is asked for what was written since.
fn ask_a_deposed_leader(stage: &mut Stage<'_>) {
    let former = stage.fleet.leader();
    let others = stage.fleet.others(&[former]);
    // It goes on in the belief that it leads.
    stage.set_election_timeout(former, NEVER_MS);
    stage.acknowledged(former, "register:0:0", Op::Set(1));
    stage.fleet.network.set_between(&[former], &others, Passage::Stalled);
    let leader = stage.leader_among(&others);
    stage.acknowledged(leader, "register:0:0", Op::Set(2));
    stage.perform(former, "register:0:0", Op::Get);
}

/// A follower is not told that its command is done, and sends it again.
fn send_a_command_again(stage: &mut Stage<'_>) {
    let leader = stage.fleet.leader();
    let follower = stage.fleet.others(&[leader])[0];
    // It has heard the leader since then, so it will not stand for election for that long.
    stage.set_election_timeout(follower, NEVER_MS);
    stage.acknowledged(follower, "counter:0:0", Op::Increment);
    wait::rest(Duration::from_millis(300));
    stage.fleet.network.set(&[leader], &[follower], Passage::Stalled);
    stage.perform(follower, "counter:0:0", Op::Increment);
    // What makes no progress for an election timeout is sent again.
    stage.set_election_timeout(follower, DEFAULT_MS);
    wait::rest(Duration::from_millis(3 * DEFAULT_MS));
    stage.fleet.settle();
    stage.acknowledged(leader, "counter:0:0", Op::Get);
}

/// A voter acknowledges a write, dies, comes back without it, and is asked for its vote by the one
/// voter that never had it, while the leader that has it hears neither.
fn vote_after_amnesia(stage: &mut Stage<'_>) {
    let leader = stage.fleet.leader();
    let [witness, stranger] = stage.fleet.others(&[leader])[..] else { unreachable!("of three") };
    // It goes on in the belief that it leads, and answers who asks for admission.
    stage.set_election_timeout(leader, NEVER_MS);
    stage.fleet.network.set_between(&[stranger], &[leader, witness], Passage::Stalled);
    stage.acknowledged(leader, "register:0:0", Op::Set(1));
    stage.fleet.kill(witness);
    let network = &stage.fleet.network;
    network.set_for(Traffic::Links, &[leader], &[witness], Passage::Refused);
    network.set_for(Traffic::Links, &[witness], &[leader], Passage::Refused);
    network.set_between(&[stranger], &[witness], Passage::Open);
    stage.fleet.restart(witness);
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        if let Outcome::Ok(_) = stage.perform(stranger, "register:0:0", Op::Get) {
            return;
        }
        wait::rest(Duration::from_millis(100));
    }
    // Nobody has admitted the new process, and it asks ever less often by now.
    stage.fleet.kill(witness);
}

#[test]
fn a_build_that_reads_without_a_round_is_convicted_of_stale_reads() {
    check_control("read-without-round", ask_a_deposed_leader);
}

#[test]
fn a_build_that_takes_a_forwarded_command_twice_is_convicted_of_counting_twice() {
    check_control("forward-taken-twice", send_a_command_again);
}

#[test]
fn a_build_whose_processes_keep_their_identity_is_convicted_of_losing_writes() {
    check_control("same-identity-after-restart", vote_after_amnesia);
}

/// Clients and faults as in every other history, from `fault` on, until they are convicted.
fn convict_by_the_ordinary_history(build: &Build<'_>, options: &str, fault: Fault) {
    if is_stand_in() {
        return;
    }
    let options = format!("{} {options}", super::OPTIONS);
    let mut fleet = Fleet::start(3, Layout::Folded, &options, build);
    let names = Names::default();
    let mut random = Random::new(1);
    let is_wanted = |known: &Fault| *known == fault;
    let first = FAULTS.iter().position(is_wanted).unwrap();
    let convicted = (0..ROUNDS_MAX).any(|round| {
        let window = Window::new("convicted", round, 5, fleet.ports(), &names);
        let mut next = first;
        let end = Instant::now();
        disturb(&window, &mut fleet, &mut random, &mut next, end);
        let verdict = check::check(&window.finish(CLIENTS_MAX as u32));
        println!("history: {verdict:?}");
        verdict.is_err()
    });
    assert!(convicted, "stale reads were not noticed in {ROUNDS_MAX} windows");
}

/// What the product itself offers as reads that may be stale.
#[test]
fn reads_without_a_quorum_are_convicted_by_the_ordinary_history() {
    let fault = Fault::Isolate(Who::Leader);
    convict_by_the_ordinary_history(&this_build(), "--raft.quorum-reads no", fault);
}

#[test]
fn reads_without_a_round_are_convicted_by_the_ordinary_history() {
    if is_stand_in() {
        return;
    }
    let build = control("read-without-round");
    convict_by_the_ordinary_history(&build.build(), "", Fault::Stubborn);
}
