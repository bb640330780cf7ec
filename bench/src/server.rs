//! The servers under measurement: redis-server without persistence, and a cluster of
//! `mayfly local`. Clusters whose nodes are started and killed one by one: [`crate::cluster`].

use std::env;
use std::path::PathBuf;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Duration;

use crate::client::{Client, ClientError};
use crate::process::{Guard, Printed, ProcessError, free_ports, run_tool, wait_for};

/// Until a server answers, or a cluster has a leader, on a busy machine.
pub const START_TIME: Duration = Duration::from_secs(30);

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
    #[error("redis-server at port {0} ended at once: is it installed, and the port free?")]
    RedisEnded(u16),
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
        Self::start_at(free_ports(1)?, "")
    }

    /// Starts it with further options. Returns when it answers.
    pub fn start_at(port: u16, options: &str) -> Result<Self, ServerError> {
        let text = format!("--port {port} --bind 127.0.0.1 --appendonly no --daemonize no");
        let mut arguments = words(&format!("{text} {options}"));
        arguments.extend(["--save".to_owned(), String::new()]);
        let mut guard = Guard::start("redis-server", &arguments, Printed::Discarded)?;
        let endpoint = wait_for("start of redis-server", START_TIME, || {
            if !guard.is_running() {
                return Some(Err(ServerError::RedisEnded(port)));
            }
            // Another server may answer in the place of one that could not have the port.
            let endpoint = Endpoint::of_running(port).ok()?;
            (endpoint.pid == guard.pid()).then_some(Ok(endpoint))
        })??;
        Ok(Self { endpoint, _guard: guard })
    }
}

/// The arguments of a command line without quotes.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// A cluster started by `mayfly local`.
pub struct LocalCluster {
    pub nodes: Vec<Endpoint>,
    _guard: Guard,
}

impl LocalCluster {
    pub fn start(nodes: u16) -> Result<Self, ServerError> {
        let port = free_ports(nodes)?;
        let arguments = words(&format!("local --nodes {nodes} --port {port}"));
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
pub fn mayfly_binary() -> Result<String, ServerError> {
    binary("MAYFLY_BIN", "mayfly")
}

/// The load generator: `MAYFLY_LOADGEN_BIN`, else the one beside this program, likewise.
pub fn loadgen_binary() -> Result<String, ServerError> {
    binary("MAYFLY_LOADGEN_BIN", "mayfly-loadgen")
}

/// The binary that a variable names, else that of the package of its name.
fn binary(variable: &str, name: &str) -> Result<String, ServerError> {
    if let Ok(binary) = env::var(variable) {
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
    let arguments =
        format!("build --quiet --profile {profile} --package {name} --bin {name} --manifest-path");
    let mut arguments = words(&arguments);
    arguments.push(manifest.to_owned());
    run_tool("cargo", &arguments)?;
    let binary: PathBuf = folder.join(name);
    Ok(binary.to_string_lossy().into_owned())
}

#[test]
fn the_lines_of_a_local_cluster_are_understood() {
    let expected = Endpoint { port: 5001, pid: 4242 };
    assert_eq!(node_line("node 1 pid 4242 port 5001"), Some(expected));
    assert_eq!(node_line("node 1 pid x port 5001"), None);
    assert_eq!(node_line("layout: any cpu"), None);
}

#[test]
fn a_redis_server_that_cannot_start_is_an_error() {
    let port = free_ports(1).unwrap();
    let error = RedisServer::start_at(port, "--no-such-option x").map(|it| it.endpoint);
    assert!(matches!(error, Err(ServerError::RedisEnded(at)) if at == port), "{error:?}");
}
