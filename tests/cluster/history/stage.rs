//! Schedules: what is done step by step to a cluster of three, to hit one thing. One client records
//! it, and the history is checked as all others are.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::check::{Violation, check};
use super::fleet::{Build, Fleet, Life, PATIENCE};
use super::record::{History, Names, Op, Operation, Outcome, perform};
use crate::chaos::swarm::check_digests;
use crate::client::{Client, Value};
use crate::cluster::Layout;
use crate::wait::{self, LONG};

/// A client of a schedule does not wait for what will not come.
const ANSWER_TIME: Duration = Duration::from_millis(700);

/// An election timeout that is as good as none.
pub const NEVER_MS: u64 = 600_000;

pub const DEFAULT_MS: u64 = 400;

/// What is done.
pub type Schedule = fn(&mut Stage<'_>);

/// Plays `schedule` on three nodes of `build` and gives the verdict on what was seen.
pub fn play(name: &str, schedule: Schedule, build: &Build<'_>) -> Result<(), Violation> {
    let mut fleet = Fleet::start(3, Layout::Folded, "", build);
    let names = Names::default();
    let mut stage = Stage { name, fleet: &mut fleet, names: &names, history: Vec::new() };
    schedule(&mut stage);
    let verdict = check(&stage.history).and_then(|()| {
        // A node that has gone wrong may not come so far.
        stage.recover();
        check(&stage.history)
    });
    let is_true_build = build.environment.is_empty();
    super::keep(name, &stage.history, is_true_build && verdict.is_err());
    drop(stage);
    if verdict.is_ok() {
        check_digests(&fleet.ports());
    }
    verdict
}

/// A cluster of three, and what its only client has seen so far.
pub struct Stage<'a> {
    name: &'a str,
    pub fleet: &'a mut Fleet,
    names: &'a Names,
    history: History,
}

impl Stage<'_> {
    /// Each operation is a process of its own, on a connection of its own.
    pub fn perform(&mut self, node: usize, key: &str, op: Op) -> Outcome {
        self.perform_within(ANSWER_TIME, node, key, op)
    }

    fn perform_within(&mut self, time: Duration, node: usize, key: &str, op: Op) -> Outcome {
        let mut client = Client::connect(self.fleet.nodes[node].port);
        client.set_patience(time).unwrap();
        let who = (self.names.process(), 0, node as u32);
        let operation = perform(&mut client, who, key, op).unwrap();
        println!("history: {op:?} of {key} at node {node}: {:?}", operation.outcome);
        let outcome = operation.outcome.clone();
        self.history.push(operation);
        outcome
    }

    /// The same, where it must succeed; a slow machine may be without a leader for a while.
    pub fn acknowledged(&mut self, node: usize, key: &str, op: Op) {
        wait::until_true("an acknowledgement", PATIENCE, || {
            match self.perform_within(LONG, node, key, op) {
                Outcome::Ok(_) => true,
                Outcome::Fail(_) => false,
                Outcome::Unknown(error) => panic!("{op:?} of {key} at node {node}: {error}"),
            }
        });
    }

    pub fn set_election_timeout(&self, node: usize, ms: u64) {
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

    /// The leader among `nodes`, once there is one.
    pub fn leader_among(&self, nodes: &[usize]) -> usize {
        wait::until("a leader of the others", PATIENCE, || {
            let leads = |node: &&usize| self.fleet.info(**node).is_some_and(|info| info.leads());
            nodes.iter().find(leads).copied()
        })
    }

    /// A command that is no operation on a key; `None` if there was no answer in time.
    pub fn administer(&self, node: usize, command: &str) -> Option<Value> {
        self.fleet.ask(node, command)
    }

    /// Asks a node that stands still. The rest of it is [`Stage::answer_of`].
    pub fn ask_aside(&self, node: usize, key: &str, op: Op) -> Aside {
        let client = Client::connect(self.fleet.nodes[node].port);
        let who = (self.names.process(), 0, node as u32);
        let key = key.to_owned();
        Aside(thread::spawn(move || {
            let mut client = client;
            perform(&mut client, who, &key, op).unwrap()
        }))
    }

    /// Waits for it.
    pub fn answer_of(&mut self, aside: Aside) -> Outcome {
        let operation = aside.0.join().unwrap();
        println!("history: {:?} at node {}: {:?}", operation.op, operation.node, operation.outcome);
        let outcome = operation.outcome.clone();
        self.history.push(operation);
        outcome
    }
}

impl Drop for Stage<'_> {
    /// Of a test that fails before the verdict, what there is is kept.
    fn drop(&mut self) {
        if thread::panicking() {
            super::keep(&format!("{}-unfinished", self.name), &self.history, true);
        }
    }
}

/// An operation whose answer is waited for on a thread of its own.
pub struct Aside(JoinHandle<Operation>);
