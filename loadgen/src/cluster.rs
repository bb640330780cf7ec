//! A cluster on this machine, made by `mayfly local` and stopped when it is dropped.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mayfly::client::{Client, Reply};
use rustix::process::{Pid, Signal, kill_process};

use crate::run;
use crate::server::info_field;

/// How long a cluster may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long it may take to stop; `mayfly local` itself kills nodes after 5 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a node may take to say whether it leads.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Peers use the port of the clients and this.
const PEER_PORT_OFFSET: u16 = 10_000;

/// Above the ports that services use, below those that the kernel gives to connections.
const PORTS: std::ops::Range<u16> = 20_000..22_000;

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("cannot find this program's own folder: {0}")]
    OwnPath(#[source] io::Error),
    #[error("cannot start {path}: {source}; name the server with --bin")]
    Start { path: String, source: io::Error },
    #[error("no {0} ports in a row are free")]
    Ports(u16),
    #[error("the cluster was not ready within {} s; try '{command}'", READY_TIMEOUT.as_secs())]
    NotReady { command: String },
    #[error("the cluster ended before it was ready; try '{command}'")]
    Ended { command: String },
    #[error("interrupted")]
    Interrupted,
}

/// A node, as `mayfly local` tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Counted from 1.
    pub number: usize,
    pub pid: u32,
    pub address: SocketAddr,
}

pub struct Cluster {
    supervisor: Child,
    nodes: Vec<Node>,
}

/// What the cluster is started with.
pub struct Start<'a> {
    /// The server; `None` is the one beside this program.
    pub binary: Option<&'a Path>,
    pub nodes: u16,
    pub respawn: Respawn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Respawn {
    Never,
    Always,
}

impl Cluster {
    /// Starts a cluster and waits until all of its nodes answer.
    pub fn start(start: &Start<'_>) -> Result<Self, ClusterError> {
        let binary = match start.binary {
            Some(path) => path.to_owned(),
            None => beside_us().map_err(ClusterError::OwnPath)?,
        };
        let port = free_ports(start.nodes).ok_or(ClusterError::Ports(start.nodes))?;
        let mut arguments: Vec<OsString> =
            ["local".into(), "--nodes".into(), start.nodes.to_string().into()].to_vec();
        arguments.extend(["--port".into(), port.to_string().into()]);
        if start.respawn == Respawn::Always {
            arguments.push("--respawn".into());
        }
        let words = arguments.iter().map(|word| word.to_string_lossy().into_owned());
        let command = format!("{} {}", binary.display(), words.collect::<Vec<_>>().join(" "));
        let mut supervisor = Command::new(&binary)
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // An interrupt from the terminal ends the load with its report; then the cluster.
            .process_group(0)
            .spawn()
            .map_err(|source| ClusterError::Start { path: binary.display().to_string(), source })?;
        let output = supervisor.stdout.take().expect("invariant: it was asked for");
        let mut cluster = Self { supervisor, nodes: Vec::new() };
        let (sender, lines) = mpsc::channel();
        // Reads on for as long as the cluster lives, so that it never waits for its reader.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // After the start nobody listens any more.
                let _gone = sender.send(line);
            }
        });
        cluster.await_ready(&lines, command)?;
        Ok(cluster)
    }

    fn await_ready(
        &mut self,
        lines: &mpsc::Receiver<String>,
        command: String,
    ) -> Result<(), ClusterError> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            match lines.recv_timeout(Duration::from_millis(50)) {
                Ok(line) if line == "ready" => return Ok(()),
                Ok(line) => self.nodes.extend(parse_node(&line)),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(ClusterError::Ended { command });
                }
                Err(mpsc::RecvTimeoutError::Timeout) if run::interrupts() > 0 => {
                    return Err(ClusterError::Interrupted);
                }
                Err(mpsc::RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                    return Err(ClusterError::NotReady { command });
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        signal(self.supervisor.id(), Signal::TERM);
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(self.supervisor.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(LOOK_INTERVAL);
        }
        // Neither can fail for a child of ours, running or ended, and there is no one to tell.
        let _killed = self.supervisor.kill();
        let _reaped = self.supervisor.wait();
    }
}

/// Sends a signal to a process. One that has ended already is fine.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ended = kill_process(pid, signal);
    }
}

/// The node that says it leads, once one of them does. `None` when none does in time.
pub fn await_leader(nodes: &[Node], patience: Duration) -> Option<Node> {
    let deadline = Instant::now() + patience;
    let mut clients: Vec<Option<Client>> = nodes.iter().map(|_| None).collect();
    loop {
        for (node, client) in nodes.iter().zip(&mut clients) {
            if leads(node, client) == Some(true) {
                return Some(*node);
            }
        }
        if Instant::now() > deadline || run::interrupts() > 0 {
            return None;
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// `None` when the node does not answer; its connection is then made anew.
fn leads(node: &Node, client: &mut Option<Client>) -> Option<bool> {
    if client.is_none() {
        *client = Client::connect(node.address, ANSWER_TIMEOUT).ok();
    }
    match client.as_mut()?.call(&["INFO", "raft"]) {
        Ok(Reply::Bulk(text)) => {
            let text = String::from_utf8_lossy(&text);
            Some(info_field(&text, "raft_role") == Some("leader"))
        }
        _ => {
            *client = None;
            None
        }
    }
}

/// `node 1 pid 4242 port 5001`
fn parse_node(line: &str) -> Option<Node> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["node", number, "pid", pid, "port", port] = words[..] else { return None };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?));
    Some(Node { number: number.parse().ok()?, pid: pid.parse().ok()?, address })
}

fn beside_us() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.with_file_name("mayfly"))
}

/// The first of `count` ports in a row that are free, with their peer ports.
fn free_ports(count: u16) -> Option<u16> {
    // Runs beside each other start their search at different places.
    let offset = (std::process::id() as u16).wrapping_mul(37) % (PORTS.end - PORTS.start - count);
    let starts = (PORTS.start + offset..PORTS.end - count).chain(PORTS.start..PORTS.end - count);
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    starts
        .step_by(usize::from(count))
        .find(|start| (*start..start + count).all(|p| is_free(p) && is_free(p + PEER_PORT_OFFSET)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_local_cluster_are_understood() {
        let node = parse_node("node 2 pid 4242 port 5002").unwrap();
        assert_eq!((node.number, node.pid, node.address.port()), (2, 4242, 5002));
        for line in ["ready", "node 2 pid x port 5002", "node 1 pid 2 port 3 respawned"] {
            assert_eq!(parse_node(line), None, "{line}");
        }
    }

    #[test]
    fn a_cluster_that_cannot_start_says_how_to_see_why() {
        let start = |path: &str| {
            let binary = Some(Path::new(path));
            Cluster::start(&Start { binary, nodes: 3, respawn: Respawn::Never }).err().unwrap()
        };
        assert!(matches!(start("/nowhere/mayfly"), ClusterError::Start { .. }));
        let error = start("true");
        assert!(
            matches!(&error, ClusterError::Ended { command } if command.starts_with("true local"))
        );
    }
}
