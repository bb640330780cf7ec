//! Runs the program of a scenario beside a cluster, and does to the cluster what it asks for.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::process::Signal;

use crate::client::Value;
use crate::cluster::{Cluster, Layout, NODES};
use crate::process::{Process, free_ports, is_stand_in};
use crate::wait;

/// What a program prints to ask for the death of the leader.
const KILL: &str = "kill the leader";

/// What a program prints to ask for a new process in the place of each node, one after the other.
const ROLL: &str = "restart each node";

/// The key that tells a program that this has been done.
const ROLLED: &str = "rolled";

/// The last line of a program that has found everything as it should be.
const PASSED: &str = "all passed";

/// How long a program may be silent: it says at least once in its course how far it is.
const SILENCE: Duration = Duration::from_secs(120);

/// A cluster whose nodes each have a port for clients of Sentinel, too.
pub struct Stage {
    cluster: Cluster,
    layout: Layout,
    first_sentinel: u16,
    /// The leader that a scenario is told of, and that it has killed.
    victim: usize,
}

impl Stage {
    pub fn start(layout: Layout) -> Self {
        let first_sentinel = free_ports(NODES);
        let cluster = Cluster::start_each(NODES, |position| {
            format!("{} --sentinel-port {}", layout.option(), first_sentinel + position)
        });
        let victim = cluster.leader();
        Self { cluster, layout, first_sentinel, victim }
    }

    /// The ports of all nodes, the leader's first.
    pub fn ports(&self) -> Vec<u16> {
        self.leader_first(self.cluster.nodes.iter().map(|node| node.port).collect())
    }

    /// Where each of them tells who leads, in the same order.
    pub fn sentinels(&self) -> Vec<u16> {
        self.leader_first((self.first_sentinel..self.first_sentinel + NODES).collect())
    }

    fn leader_first(&self, mut ports: Vec<u16>) -> Vec<u16> {
        ports.swap(0, self.victim);
        ports
    }

    /// Kills the leader, waits for the next one, and puts a new member in its place.
    pub fn replace_leader(&mut self) {
        if is_stand_in() {
            return;
        }
        self.lead_again();
        let (cluster, leader) = (&mut self.cluster, self.victim);
        cluster.nodes[leader].kill();
        let others = (0..cluster.nodes.len()).filter(|position| *position != leader);
        let others: Vec<usize> = others.collect();
        wait::until_true("the next leader", wait::LONG, || {
            let role = |position: &usize| cluster.nodes[*position].info("raft_role");
            others.iter().any(|position| role(position).as_deref() == Some("leader"))
        });
        self.restart(leader);
    }

    /// On a busy machine another may have been elected since.
    fn lead_again(&self) {
        let id = self.cluster.nodes[self.victim].id();
        wait::until_true("the first node leads", wait::LONG, || {
            let leader = self.cluster.leader();
            if leader != self.victim {
                // Refused while another hand-over is under way, for example.
                self.cluster.client(leader).call(&format!("RAFT.TRANSFER_LEADER {id}"));
            }
            leader == self.victim
        });
    }

    /// Restarts each node as an operator does, who has a new version or machine for it.
    fn roll(&mut self) {
        let nodes = if is_stand_in() { 0 } else { self.cluster.nodes.len() };
        for position in 0..nodes {
            self.cluster.nodes[position].signal(Signal::TERM);
            assert!(self.cluster.nodes[position].wait("its end in peace").success());
            self.restart(position);
            self.cluster.nodes[position].wait_ready();
        }
        assert_eq!(self.cluster.client(0).call(&format!("SET {ROLLED} yes")), Value::ok());
    }

    fn restart(&mut self, position: usize) {
        let sentinel = usize::from(self.first_sentinel) + position;
        let options = format!("{} --sentinel-port {sentinel}", self.layout.option());
        self.cluster.restart(position, &options);
    }

    /// That the cluster is whole again.
    pub fn finish(mut self) {
        if !is_stand_in() {
            self.cluster.wait_until_complete();
        }
        self.cluster.check_alive();
    }
}

/// Runs a program in Python.
pub fn python(script: &str, layout: Layout) {
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python3");
    let python = std::env::var("MAYFLY_PYTHON").unwrap_or_else(|_| installed.to_owned());
    run(&format!("{} -B", existing(&python)), script, layout);
}

/// Runs a program in JavaScript.
pub fn node(script: &str, layout: Layout) {
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/node");
    let modules = std::env::var("MAYFLY_NODE_MODULES").unwrap_or_else(|_| installed.to_owned());
    run(&format!("env MAYFLY_NODE_MODULES={} node", existing(&modules)), script, layout);
}

/// Runs a program in PHP.
pub fn php(script: &str, layout: Layout) {
    run(&format!("{} -d zend.assertions=1", existing("/usr/bin/php")), script, layout);
}

/// Runs a program in Ruby.
pub fn ruby(script: &str, layout: Layout) {
    run(&format!("{} -W1", existing("/usr/bin/ruby")), script, layout);
}

fn existing(path: &str) -> &str {
    assert!(Path::new(path).exists(), "{path} is missing: `tests/run install` installs it");
    path
}

fn run(program: &str, script: &str, layout: Layout) {
    let mut stage = Stage::start(layout);
    let (program, first) = program.split_once(' ').unwrap();
    let script = format!("{}/tests/apps/{script}", env!("CARGO_MANIFEST_DIR"));
    let ports = [stage.ports(), stage.sentinels()].concat();
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let arguments = format!("{first} {script} {}", ports.join(" "));
    let (mut process, lines) = Process::start_with_lines(program, &arguments);
    let mut is_disturbed = false;
    while let Some(line) = next_line(&lines) {
        println!("{line}");
        match line.as_str() {
            KILL => stage.replace_leader(),
            ROLL => stage.roll(),
            PASSED => {
                assert!(is_disturbed, "it has asked for no trouble");
                assert!(process.wait("the end of the program").success());
                stage.finish();
                return;
            }
            _ => continue,
        }
        is_disturbed = true;
    }
    panic!("it ended before all had passed");
}

/// The next line, and nothing when the program has closed its output.
fn next_line(lines: &Receiver<String>) -> Option<String> {
    match lines.recv_timeout(SILENCE) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("it says nothing for {SILENCE:?}"),
    }
}
