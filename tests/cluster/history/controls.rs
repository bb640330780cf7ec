//! Negative controls: builds with one rule taken out, which these checks must convict, by schedules
//! that hit; and the true build, which the same schedules must acquit.
//!
//! The patches of `controls.txt` are applied to a copy of the sources below `target/controls`,
//! which is built once; a variable of the environment, known to the copy only, chooses among them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::check::{Violation, check};
use super::fleet::{Build, Fleet, Life, PATIENCE};
use super::patch;
use super::proxy::{Passage, Traffic};
use super::record::{History, Names, Op, Outcome, perform};
use super::this_build;
use crate::client::{Client, Value};
use crate::cluster::Layout;
use crate::process::is_stand_in;
use crate::wait;

/// Chances that a control has to be convicted; one is enough unless the machine stands still.
const ROUNDS_MAX: usize = 4;

/// A client of a schedule does not wait for what will not come.
const ANSWER_TIME: Duration = Duration::from_millis(700);

/// An election timeout that is as good as none.
const NEVER_MS: u64 = 600_000;

const DEFAULT_MS: u64 = 400;

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
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join("target/controls");
        let kept = ["Cargo.toml", "Cargo.lock", "src", "bench", "loadgen", "tests"];
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

/// What is done in one round.
type Schedule = fn(&mut Stage<'_>);

/// Runs `schedule` on the patched build until it is convicted, and on the true build once.
fn check_control(name: &str, schedule: Schedule) {
    if is_stand_in() {
        return;
    }
    let number = patches().iter().position(|patch| patch.name == name).unwrap();
    let environment = format!("CONTROL={number}");
    let build = Build { binary: patched_binary(), environment: &environment };
    let convicted = (1..=ROUNDS_MAX).find_map(|round| {
        let violation = run(name, schedule, &build).err()?;
        println!("history: {name} is convicted in round {round}: {violation:?}");
        Some(violation)
    });
    assert!(convicted.is_some(), "{name} is not convicted in {ROUNDS_MAX} rounds");
    if let Err(violation) = run(&format!("{name}-acquitted"), schedule, &this_build()) {
        panic!("the true build is convicted by the schedule of {name}: {violation:?}");
    }
}

fn run(name: &str, schedule: Schedule, build: &Build<'_>) -> Result<(), Violation> {
    let mut fleet = Fleet::start(3, Layout::Folded, "", build);
    let names = Names::default();
    let mut stage = Stage { fleet: &mut fleet, names: &names, history: Vec::new() };
    schedule(&mut stage);
    let violation = check(&stage.history).err();
    let verdict = match violation {
        Some(violation) => Err(violation),
        // A node that has gone wrong may not come so far.
        None => {
            stage.recover();
            check(&stage.history)
        }
    };
    super::keep(name, &stage.history, verdict.is_err());
    verdict
}

/// A cluster of three, and what its only client has seen so far.
struct Stage<'a> {
    fleet: &'a mut Fleet,
    names: &'a Names,
    history: History,
}

impl Stage<'_> {
    /// Each operation is a process of its own, on a connection of its own.
    fn perform(&mut self, node: usize, key: &str, op: Op) -> Outcome {
        let mut client = Client::connect(self.fleet.nodes[node].port);
        client.set_patience(ANSWER_TIME).unwrap();
        let who = (self.names.process(), 0, node as u32);
        let operation = perform(&mut client, who, key, op).unwrap();
        println!("history: {op:?} of {key} at node {node}: {:?}", operation.outcome);
        let outcome = operation.outcome.clone();
        self.history.push(operation);
        outcome
    }

    /// The same, where it must succeed.
    fn acknowledged(&mut self, node: usize, key: &str, op: Op) {
        let outcome = self.perform(node, key, op);
        assert!(matches!(outcome, Outcome::Ok(_)), "{op:?} of {key} at node {node}: {outcome:?}");
    }

    fn set_election_timeout(&self, node: usize, ms: u64) {
        let mut client = Client::connect(self.fleet.nodes[node].port);
        let reply = client.call(&format!("CONFIG SET raft.election-timeout {ms}"));
        assert_eq!(reply, Value::ok());
    }

    /// The end of all faults: everybody is asked for everything.
    fn recover(&mut self) {
        for node in self.fleet.all() {
            if self.fleet.lives[node] == Life::Running {
                self.set_election_timeout(node, DEFAULT_MS);
            }
        }
        self.fleet.settle();
        let mut keys: Vec<(String, Op)> =
            self.history.iter().map(|operation| (operation.key.clone(), operation.op)).collect();
        keys.sort_by(|(one, _), (other, _)| one.cmp(other));
        keys.dedup_by(|(one, _), (other, _)| one == other);
        for node in self.fleet.all() {
            for (key, _) in &keys {
                self.acknowledged(node, key, Op::Get);
            }
        }
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
    let leader = wait::until("a leader of the others", PATIENCE, || {
        let leads = |node: &&usize| stage.fleet.info(**node).is_some_and(|info| info.leads());
        others.iter().find(leads).copied()
    });
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
