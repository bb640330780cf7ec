//! `mayfly local`: a whole cluster on this machine, one child process for each node.
//!
//! The supervisor starts the nodes, says when the cluster is ready, starts a node again where it
//! was asked to, and stops all of them when it is stopped. It knows the nodes by their process and
//! their client port only. No node outlives it: children are stopped on every way out of [`run`],
//! and the kernel kills them if the supervisor is killed (`--supervisor`).

mod child;
mod readiness;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use child::Child;

use crate::config::PlacementRequest;
use crate::config::cli::{LocalConfig, Respawn};
use crate::signals::Signals;
use crate::sys;

/// How long nodes have to stop by themselves.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two questions whether the cluster is ready.
const READY_INTERVAL: Duration = Duration::from_millis(20);

/// After this long without a ready cluster the reason is told, and again each time it passes.
const READY_REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The wait before a node that keeps ending is started again: doubled each time within the bounds,
/// back to the first once a node has lived for the last.
const BACK_OFF_FIRST: Duration = Duration::from_millis(100);
const BACK_OFF_LAST: Duration = Duration::from_secs(5);

/// From this many CPUs for each node on, each gets its own.
const CPUS_PER_NODE_MIN: usize = 3;

/// Net roles of one node of a local cluster.
const NET_CPUS_MAX: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("node {number} (port {port}) ended before the cluster was ready: {status}")]
    EndedEarly { number: usize, port: u16, status: ExitStatus },
    #[error("every node has ended, and the data with them")]
    AllEnded,
    #[error("cannot start a node: {0}")]
    Spawn(io::Error),
    #[error("cannot {call}: {source}")]
    SystemCall { call: &'static str, source: io::Error },
}

/// Runs the cluster until a signal stops it.
///
/// Precondition: called on the main thread, before there is another: the nodes are tied to the
/// thread that starts them.
pub fn run(config: &LocalConfig) -> Result<(), LocalError> {
    let mut supervisor = Supervisor::new(config)?;
    supervisor.start_all()?;
    let outcome = match supervisor.await_ready()? {
        Progress::Ready => {
            say("ready");
            supervisor.supervise()
        }
        Progress::Stopped => Ok(()),
    };
    supervisor.stop_all()?;
    outcome
}

enum Progress {
    Ready,
    Stopped,
}

struct Supervisor<'a> {
    config: &'a LocalConfig,
    signals: Signals,
    cpus: Vec<usize>,
    nodes: Vec<Node>,
}

struct Node {
    /// Counted from 1.
    number: usize,
    port: u16,
    state: State,
    back_off: Duration,
}

enum State {
    Running(Child),
    /// To be started again at this time.
    Due(Instant),
    Ended,
}

impl<'a> Supervisor<'a> {
    fn new(config: &'a LocalConfig) -> Result<Self, LocalError> {
        let signals = Signals::of_stop_and_children().map_err(failed("handle signals"))?;
        let cpus = sys::available_cpus().map_err(failed("read the CPU affinity"))?;
        Ok(Self { config, signals, cpus, nodes: Vec::with_capacity(config.nodes.len()) })
    }

    fn start_all(&mut self) -> Result<(), LocalError> {
        for (position, node) in self.config.nodes.iter().enumerate() {
            let number = position + 1;
            let child = self.spawn(position, first_start(self.config, position))?;
            say(&format!("node {number} pid {} port {}", child.pid(), node.port));
            self.nodes.push(Node {
                number,
                port: node.port,
                state: State::Running(child),
                back_off: BACK_OFF_FIRST,
            });
        }
        Ok(())
    }

    fn spawn(&self, position: usize, start: String) -> Result<Child, LocalError> {
        let arguments = arguments(self.config, &self.cpus, position, start);
        Child::spawn(arguments).map_err(LocalError::Spawn)
    }

    fn await_ready(&mut self) -> Result<Progress, LocalError> {
        let mut report_at = Instant::now() + READY_REPORT_INTERVAL;
        let mut position = 0;
        while position < self.nodes.len() {
            if self.signals.stop_requested() {
                return Ok(Progress::Stopped);
            }
            for node in &mut self.nodes {
                if let Some(status) = node.reap()? {
                    let Node { number, port, .. } = *node;
                    return Err(LocalError::EndedEarly { number, port, status });
                }
            }
            match readiness::check(&self.config.nodes[position], self.nodes.len()) {
                Ok(()) => position += 1,
                Err(reason) => {
                    // A cluster is ready when all nodes are so one after another, not when each
                    // once was.
                    if Instant::now() >= report_at {
                        let Node { number, port, .. } = self.nodes[position];
                        eprintln!(
                            "mayfly: still waiting for node {number} (port {port}): {reason}"
                        );
                        report_at += READY_REPORT_INTERVAL;
                    }
                    position = 0;
                    self.wait(READY_INTERVAL)?;
                }
            }
        }
        Ok(Progress::Ready)
    }

    fn supervise(&mut self) -> Result<(), LocalError> {
        while !self.signals.stop_requested() {
            self.reap_all()?;
            // Nodes that must all join have nobody left to join.
            if !self.nodes.iter().any(|node| matches!(node.state, State::Running(_))) {
                return Err(LocalError::AllEnded);
            }
            let due = self.respawn_due()?;
            let now = Instant::now();
            let longest = due.map_or(Duration::from_secs(3600), |due| due - now.min(due));
            self.wait(longest)?;
        }
        Ok(())
    }

    fn reap_all(&mut self) -> Result<(), LocalError> {
        for node in &mut self.nodes {
            let State::Running(child) = &node.state else { continue };
            let (pid, age) = (child.pid(), child.age());
            let Some(status) = node.reap()? else { continue };
            eprintln!(
                "mayfly: node {} (pid {pid}, port {}) ended: {status}",
                node.number, node.port
            );
            if self.config.respawn == Respawn::Always {
                if age >= BACK_OFF_LAST {
                    node.back_off = BACK_OFF_FIRST;
                }
                node.state = State::Due(Instant::now() + node.back_off);
                node.back_off = (node.back_off * 2).min(BACK_OFF_LAST);
            }
        }
        Ok(())
    }

    /// Starts what is due; gives the time of what is next.
    fn respawn_due(&mut self) -> Result<Option<Instant>, LocalError> {
        let mut next = None;
        for position in 0..self.nodes.len() {
            let State::Due(due) = self.nodes[position].state else { continue };
            if due > Instant::now() {
                next = next.into_iter().chain([due]).min();
                continue;
            }
            let child = self.spawn(position, join_others(self.config, position))?;
            let node = &mut self.nodes[position];
            say(&format!("node {} pid {} port {} respawned", node.number, child.pid(), node.port));
            node.state = State::Running(child);
        }
        Ok(next)
    }

    /// Asks all nodes to stop, and kills those that do not.
    fn stop_all(&mut self) -> Result<(), LocalError> {
        for node in &self.nodes {
            if let State::Running(child) = &node.state {
                child.terminate().map_err(failed("stop a node"))?;
            }
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            let mut running = 0;
            for node in &mut self.nodes {
                node.reap()?;
                running += usize::from(matches!(node.state, State::Running(_)));
            }
            let now = Instant::now();
            if running == 0 || now >= deadline {
                // Dropping a child that still runs kills it.
                self.nodes.clear();
                return Ok(());
            }
            self.wait(deadline - now)?;
        }
    }

    fn wait(&self, longest: Duration) -> Result<(), LocalError> {
        self.signals.wait(longest).map_err(failed("wait for a signal"))
    }
}

impl Node {
    /// How the process ended, if it ended just now.
    fn reap(&mut self) -> Result<Option<ExitStatus>, LocalError> {
        let State::Running(child) = &mut self.state else { return Ok(None) };
        let status = child.try_wait().map_err(failed("wait for a node"))?;
        if status.is_some() {
            self.state = State::Ended;
        }
        Ok(status)
    }
}

fn failed(call: &'static str) -> impl FnOnce(io::Error) -> LocalError {
    move |source| LocalError::SystemCall { call, source }
}

/// Prints a line at once. The cluster goes on when nobody reads it any more.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _written = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The first node makes the cluster, which the others join.
fn first_start(config: &LocalConfig, position: usize) -> String {
    if position == 0 { "--init".to_owned() } else { join_others(config, position) }
}

/// Names all other nodes, since any of them may have ended.
fn join_others(config: &LocalConfig, position: usize) -> String {
    let others = config.nodes.iter().enumerate().filter(|(other, _)| *other != position);
    let addresses: Vec<_> = others.map(|(_, node)| node.client_address.as_str()).collect();
    format!("--join={}", addresses.join(","))
}

fn arguments(
    config: &LocalConfig,
    cpus: &[usize],
    position: usize,
    start: String,
) -> Vec<OsString> {
    let node = &config.nodes[position];
    let mut arguments = vec![
        "node".to_owned(),
        format!("--supervisor={}", std::process::id()),
        format!("--port={}", node.port),
        start,
    ];
    if node.sentinel_port != 0 {
        arguments.push(format!("--sentinel-port={}", node.sentinel_port));
    }
    arguments.extend(config.node_options.iter().map(|(name, text)| format!("--{name}={text}")));
    if node.placement == PlacementRequest::default() {
        arguments.extend(placement(cpus, config.nodes.len(), position));
    }
    arguments.into_iter().map(OsString::from).collect()
}

/// The share of the machine that a node gets: CPUs of its own where there are enough.
fn placement(cpus: &[usize], nodes: usize, position: usize) -> Vec<String> {
    let share = cpus.len() / nodes;
    if share < CPUS_PER_NODE_MIN {
        return vec!["--layout=folded".to_owned()];
    }
    let own = &cpus[position * share..][..share];
    let nets: Vec<_> = own[2..].iter().take(NET_CPUS_MAX).map(usize::to_string).collect();
    vec![
        format!("--raft-core={}", own[0]),
        format!("--apply-core={}", own[1]),
        format!("--net-cores={}", nets.join(",")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cli::{self, Command};

    fn config(line: &str) -> LocalConfig {
        match cli::parse(line.split(' ').map(OsString::from)).unwrap() {
            Command::Local(config) => *config,
            Command::Node(_) => panic!("{line} is no local cluster"),
        }
    }

    fn shown(config: &LocalConfig, cpus: &[usize], position: usize) -> String {
        let arguments = arguments(config, cpus, position, first_start(config, position));
        let words: Vec<_> = arguments.iter().filter_map(|word| word.to_str()).collect();
        words.join(" ").replace(&format!(" --supervisor={}", std::process::id()), "")
    }

    #[test]
    fn the_first_node_makes_the_cluster_and_the_others_know_all_peers() {
        let config = config("mayfly local --port 7001");
        assert_eq!(
            shown(&config, &[0, 1], 0),
            "node --port=7001 --init --loglevel=warning --layout=folded"
        );
        assert_eq!(
            shown(&config, &[0, 1], 1),
            "node --port=7002 --join=127.0.0.1:7001,127.0.0.1:7003 --loglevel=warning \
             --layout=folded"
        );
        assert_eq!(join_others(&config, 0), "--join=127.0.0.1:7002,127.0.0.1:7003");
    }

    #[test]
    fn options_are_handed_on_as_they_are() {
        let config = config("mayfly local --nodes 1 --maxclients 50 --loglevel debug --cores 1");
        assert_eq!(
            shown(&config, &[0, 1], 0),
            "node --port=5001 --init --maxclients=50 --cores=1 --loglevel=debug"
        );
    }

    #[test]
    fn each_node_has_a_discovery_port_of_its_own() {
        let config = config("mayfly local --port 7001 --sentinel-port 8001");
        for (position, port) in [8001, 8002, 8003].iter().enumerate() {
            let shown = shown(&config, &[0, 1], position);
            assert!(shown.contains(&format!(" --sentinel-port={port} ")), "{shown}");
        }
    }

    #[test]
    fn nodes_get_cpus_of_their_own_from_three_for_each_on() {
        assert_eq!(placement(&[0, 1, 2, 3, 4, 5, 6, 7], 3, 0), ["--layout=folded"]);
        let cpus: Vec<_> = (10..20).collect();
        assert_eq!(placement(&cpus, 3, 1), ["--raft-core=13", "--apply-core=14", "--net-cores=15"]);
        assert_eq!(
            placement(&cpus, 2, 1),
            ["--raft-core=15", "--apply-core=16", "--net-cores=17,18,19"]
        );
        let many: Vec<_> = (0..64).collect();
        assert_eq!(placement(&many, 1, 0)[2], "--net-cores=2,3,4,5,6,7,8,9");
    }
}
