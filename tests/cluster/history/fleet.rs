//! Nodes behind a network and clocks that a test can disturb.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{MutexGuard, OnceLock};
use std::time::Duration;

use super::proxy::{ANNOUNCED, Network};
use crate::chaos::swarm::Info;
use crate::client::{Client, Value};
use crate::cluster::{Layout, Node};
use crate::process::{Process, free_ports, is_free, one_at_a_time, run_tool};
use crate::wait;

/// For a death, a start, a snapshot and a swap, on a slow machine under load.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A node that stands still does not answer; one that runs does so within this.
const ANSWER_TIME: Duration = Duration::from_millis(500);

/// Between two looks at a cluster that works at something.
const LOOK: Duration = Duration::from_millis(20);

/// Whether a node has a process, and whether that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Running,
    Paused,
    Dead,
}

pub struct Fleet {
    pub nodes: Vec<Node>,
    pub lives: Vec<Life>,
    pub network: Network,
    clocks: Vec<Clock>,
    binary: String,
    /// `NAME=value` words for `env`.
    environment: String,
    options: String,
    _turn: MutexGuard<'static, ()>,
}

/// What is started.
pub struct Build<'a> {
    pub binary: &'a str,
    /// `NAME=value` words, or nothing.
    pub environment: &'a str,
}

impl Fleet {
    /// Starts `count` nodes that reach each other through the network of the test only, and waits
    /// until all are voters.
    pub fn start(count: u16, layout: Layout, options: &str, build: &Build<'_>) -> Self {
        let turn = one_at_a_time();
        let first = free_ports(count);
        let ports: Vec<u16> = (first..first + count).collect();
        let options = format!("--announce-address {ANNOUNCED} {} {options}", layout.option());
        let mut fleet = Self {
            nodes: Vec::new(),
            lives: vec![Life::Running; ports.len()],
            network: Network::start(&ports),
            clocks: ports.iter().map(|port| Clock::new(*port)).collect(),
            binary: build.binary.to_owned(),
            environment: build.environment.to_owned(),
            options: options.trim().to_owned(),
            _turn: turn,
        };
        for (position, port) in ports.iter().enumerate() {
            let role = match position {
                0 => "--init".to_owned(),
                _ => format!("--join {ANNOUNCED}:{first}"),
            };
            let process = fleet.launch(position, *port, &role);
            fleet.nodes.push(Node::new(*port, process));
        }
        fleet.settle();
        fleet
    }

    fn launch(&self, position: usize, port: u16, role: &str) -> Process {
        let Self { binary, environment, options, .. } = self;
        let clock = self.clocks[position].environment();
        let arguments =
            format!("{clock} {environment} {binary} node --port {port} {role} {options}");
        Process::start("env", &arguments.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    pub fn all(&self) -> Vec<usize> {
        (0..self.len()).collect()
    }

    pub fn others(&self, than: &[usize]) -> Vec<usize> {
        (0..self.len()).filter(|position| !than.contains(position)).collect()
    }

    /// `None` of a node that does not run, or does not answer.
    pub fn info(&self, position: usize) -> Option<Info> {
        (self.lives[position] == Life::Running).then_some(())?;
        let mut client = Client::try_connect(self.nodes[position].port).ok()?;
        client.set_patience(ANSWER_TIME).ok()?;
        Info::ask(&mut client)
    }

    /// The leader of the newest term.
    pub fn try_leader(&self) -> Option<usize> {
        let leaders = self.all().into_iter().filter_map(|position| {
            let info = self.info(position).filter(Info::leads)?;
            Some((info.get("current_term").parse::<u64>().ok()?, position))
        });
        leaders.max().map(|(_, position)| position)
    }

    pub fn leader(&self) -> usize {
        wait::until("a leader", PATIENCE, || self.try_leader())
    }

    fn is_settled(&self) -> bool {
        let infos: Vec<_> = (0..self.len()).map(|position| self.info(position)).collect();
        infos.iter().all(|info| info.as_ref().is_some_and(|info| info.is_settled(self.len())))
            && infos.iter().flatten().any(|info| info.leads() && info.is_followed(self.len()))
    }

    /// Opens the network, wakes who stands still, starts who is dead, and waits until every node
    /// is a voter that has caught up.
    pub fn settle(&mut self) {
        self.network.heal();
        for position in 0..self.nodes.len() {
            match self.lives[position] {
                Life::Running => {}
                Life::Paused => self.resume(position),
                Life::Dead => self.restart(position),
            }
        }
        wait::until_true("a settled cluster", PATIENCE, || {
            for (position, node) in self.nodes.iter_mut().enumerate() {
                assert!(node.is_running(), "node {position} has ended by itself");
            }
            wait::rest(LOOK);
            self.replace_removed();
            self.is_settled()
        });
    }

    /// A removal that was asked for may have come into force: who was removed comes back as
    /// somebody new.
    fn replace_removed(&mut self) {
        for position in self.all() {
            if self.info(position).is_some_and(|info| info.get("state") == "removed") {
                println!("history: node {position} was removed");
                self.kill(position);
                self.restart(position);
            }
        }
    }

    pub fn kill(&mut self, position: usize) {
        self.nodes[position].kill();
        self.lives[position] = Life::Dead;
    }

    pub fn terminate(&mut self, position: usize) {
        self.nodes[position].signal(rustix::process::Signal::TERM);
        let status = self.nodes[position].wait("the end of a node");
        assert!(status.success(), "a node that was asked to stop ended with {status}");
        self.lives[position] = Life::Dead;
    }

    pub fn pause(&mut self, position: usize) {
        self.nodes[position].pause();
        self.lives[position] = Life::Paused;
    }

    pub fn resume(&mut self, position: usize) {
        self.nodes[position].resume();
        self.lives[position] = Life::Running;
    }

    /// The same command line again; it joins through any other node.
    pub fn restart(&mut self, position: usize) {
        let port = self.nodes[position].port;
        wait::until_true("free ports", PATIENCE, || is_free(port));
        let others: Vec<String> = self
            .others(&[position])
            .iter()
            .map(|other| format!("{ANNOUNCED}:{}", self.nodes[*other].port))
            .collect();
        let process = self.launch(position, port, &format!("--join {}", others.join(",")));
        self.nodes[position] = Node::new(port, process);
        self.lives[position] = Life::Running;
    }

    /// Asks a node that may not answer in time; `None` then.
    pub fn ask(&self, position: usize, command: &str) -> Option<Value> {
        let mut client = Client::try_connect(self.nodes[position].port).ok()?;
        client.set_patience(ANSWER_TIME).ok()?;
        client.try_call(command).ok()
    }

    /// Moves the wall clock of a node, against what it is really.
    pub fn set_clock(&self, position: usize, seconds: i64) {
        self.clocks[position].set(seconds);
    }
}

/// The wall clock of a node, which `clock.c` moves by what a file says.
struct Clock {
    path: PathBuf,
    file: File,
}

impl Clock {
    fn new(port: u16) -> Self {
        let name = format!("clock-{}-{port}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, 0i64.to_ne_bytes()).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        Self { path, file }
    }

    fn environment(&self) -> String {
        let library = shifted_clock().display();
        format!("LD_PRELOAD={library} CLOCK_OFFSET_FILE={}", self.path.display())
    }

    fn set(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // One that cannot be removed is removed with the target folder.
        let _ = fs::remove_file(&self.path);
    }
}

/// The library that is preloaded, built once in a run.
fn shifted_clock() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/history/clock.c");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let library = folder.join("clock.so");
        // Another run may use it at this moment.
        let fresh = folder.join(format!("clock-{}.so", std::process::id()));
        let arguments = format!("-shared -fPIC -O1 -o {} {source}", fresh.display());
        let (built, printed) = run_tool("cc", &arguments);
        assert!(built, "{printed}");
        fs::rename(&fresh, &library).unwrap();
        library
    })
}
