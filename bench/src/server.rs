//! The servers under measurement: redis-server without persistence, and Mayfly clusters.

use std::env;
use std::path::PathBuf;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Duration;

use crate::client::{Client, ClientError};
use crate::process::{Guard, Printed, ProcessError, free_ports, run_tool, wait_for};

/// Until a server answers, or a cluster has a leader, on a busy machine.
const START_TIME: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("where this program lies is unknown: {0}")]
    OwnPath(std::io::Error),
    #[error("`mayfly local` ended before it was ready; it printed: {0}")]
    Local(String),
    #[error("no node calls itself leader")]
    NoLeader,
    #[error("port {0} does not tell its process_id in INFO server")]
    NoPid(u16),
}

/// A process that answers on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub port: u16,
    pub pid: u32,
}

impl Endpoint {
    /// A server that runs already, on this machine.
    pub fn of_running(port: u16) -> Result<Self, ServerError> {
        let info = Client::connect(port)?.info("server")?;
        let pid = info.field("process_id").and_then(|pid| pid.parse().ok());
        Ok(Self { port, pid: pid.ok_or(ServerError::NoPid(port))? })
    }
}

/// A redis-server without persistence.
pub struct RedisServer {
    pub endpoint: Endpoint,
    _guard: Guard,
}

impl RedisServer {
    pub fn start() -> Result<Self, ServerError> {
        let port = free_ports(1)?;
        let text = format!("--port {port} --bind 127.0.0.1 --appendonly no --daemonize no --save");
        let mut arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
        arguments.push(String::new());
        let guard = Guard::start("redis-server", &arguments, Printed::Discarded)?;
        wait_for("start of redis-server", START_TIME, || answer(port))?;
        Ok(Self { endpoint: Endpoint { port, pid: guard.pid() }, _guard: guard })
    }
}

fn answer(port: u16) -> Option<String> {
    Client::connect(port).ok()?.call(&["PING"]).ok()
}

/// A cluster started by `mayfly local`.
pub struct LocalCluster {
    pub nodes: Vec<Endpoint>,
    _guard: Guard,
}

impl LocalCluster {
    pub fn start(nodes: u16) -> Result<Self, ServerError> {
        let port = free_ports(nodes)?;
        let arguments = format!("local --nodes {nodes} --port {port}");
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        let mut guard = Guard::start(&mayfly_binary()?, &arguments, Printed::Piped)?;
        let (sender, receiver) = mpsc::channel();
        let lines = guard.take_lines();
        // A thread, so that a cluster that says nothing can be given up. It ends with the pipe.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Once the cluster is ready nobody listens, and the pipe must still be emptied.
                let _ = sender.send(line);
            }
        });
        let mut printed = Vec::new();
        wait_for("`ready` of `mayfly local`", START_TIME, || {
            loop {
                match receiver.try_recv() {
                    Ok(line) if line == "ready" => return Some(Ok(())),
                    Ok(line) => printed.push(line),
                    Err(TryRecvError::Empty) => return None,
                    Err(TryRecvError::Disconnected) => {
                        return Some(Err(ServerError::Local(printed.join("; "))));
                    }
                }
            }
        })??;
        let nodes = printed.iter().filter_map(|line| node_line(line)).collect();
        Ok(Self { nodes, _guard: guard })
    }
}

/// Reads `node 1 pid 4242 port 5001`.
fn node_line(line: &str) -> Option<Endpoint> {
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["node", _, "pid", pid, "port", port] => {
            Some(Endpoint { port: port.parse().ok()?, pid: pid.parse().ok()? })
        }
        _ => None,
    }
}

/// A cluster whose processes are ours, so that they can be killed one by one.
pub struct NodeCluster {
    nodes: Vec<(u16, Guard)>,
}

impl NodeCluster {
    /// Returns when every node knows the leader and all are voters.
    pub fn start(nodes: u16) -> Result<Self, ServerError> {
        let binary = mayfly_binary()?;
        let first = free_ports(nodes)?;
        let mut started = Vec::new();
        for port in first..first + nodes {
            let role = match port == first {
                true => "--init".to_owned(),
                false => format!("--join 127.0.0.1:{first}"),
            };
            let arguments = format!("node --port {port} {role}");
            let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
            started.push((port, Guard::start(&binary, &arguments, Printed::Discarded)?));
        }
        let cluster = Self { nodes: started };
        wait_for("forming of the cluster", START_TIME, || {
            let complete = |port: u16| {
                let info = Client::connect(port).ok()?.info("raft").ok()?;
                let voters = info.field("raft_num_voting_nodes")?.parse() == Ok(nodes);
                let has_leader = info.field("raft_leader_id")?.parse::<i64>().ok()? > 0;
                Some(voters && has_leader)
            };
            cluster.nodes.iter().all(|(port, _)| complete(*port) == Some(true)).then_some(())
        })?;
        Ok(cluster)
    }

    /// The port of the leader, and those of the others.
    pub fn roles(&self) -> Result<(u16, Vec<u16>), ServerError> {
        let ports: Vec<u16> = self.nodes.iter().map(|(port, _)| *port).collect();
        let leader = leader_among(&ports)?;
        Ok((leader, ports.into_iter().filter(|port| *port != leader).collect()))
    }

    /// SIGKILL to the node at `port`.
    pub fn kill(&mut self, port: u16) -> std::io::Result<()> {
        let position = self.nodes.iter().position(|(at, _)| *at == port);
        let (_, mut guard) = self.nodes.remove(position.expect("invariant: one of our nodes"));
        guard.kill()
    }
}

/// The port of the node that says it leads.
pub fn leader_among(ports: &[u16]) -> Result<u16, ServerError> {
    for port in ports {
        let info = Client::connect(*port)?.info("raft")?;
        if info.field("raft_role") == Some("leader") {
            return Ok(*port);
        }
    }
    Err(ServerError::NoLeader)
}

/// The server binary: `MAYFLY_BIN`, else the one beside this program, brought up to date by cargo.
fn mayfly_binary() -> Result<String, ServerError> {
    if let Ok(binary) = env::var("MAYFLY_BIN") {
        return Ok(binary);
    }
    let own = env::current_exe().map_err(ServerError::OwnPath)?;
    let folder = own.parent().expect("invariant: a program lies in a folder");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        // The folder of the dev profile is the one that is not named like its profile.
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let arguments = format!("build --quiet --profile {profile} --bin mayfly --manifest-path");
    let mut arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    arguments.push(manifest.to_owned());
    run_tool("cargo", &arguments)?;
    let binary: PathBuf = folder.join("mayfly");
    Ok(binary.to_string_lossy().into_owned())
}

#[test]
fn the_lines_of_a_local_cluster_are_understood() {
    let expected = Endpoint { port: 5001, pid: 4242 };
    assert_eq!(node_line("node 1 pid 4242 port 5001"), Some(expected));
    assert_eq!(node_line("node 1 pid x port 5001"), None);
    assert_eq!(node_line("layout: any cpu"), None);
}
