//! A cluster of processes, three for most tests, that a test can kill one by one.

use std::process::ExitStatus;
use std::sync::MutexGuard;

use rustix::process::Signal;

use crate::client::{Client, Value};
use crate::process::{Process, binary, free_ports, is_free, is_stand_in, one_at_a_time};
use crate::wait::{self, LONG};

pub const NODES: u16 = 3;

/// How the roles of a node are placed.
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    Folded,
    Split,
}

impl Layout {
    pub fn option(self) -> &'static str {
        match self {
            Layout::Folded => "--layout folded",
            Layout::Split => "--layout split",
        }
    }
}

/// Makes of each function `fn name(layout: Layout)` one test for each layout.
macro_rules! on_both_layouts {
    ($($name:ident),+ $(,)?) => {
        mod folded {
            $(#[test] fn $name() { super::$name($crate::cluster::Layout::Folded) })+
        }
        mod split {
            $(#[test] fn $name() { super::$name($crate::cluster::Layout::Split) })+
        }
    };
}
pub(crate) use on_both_layouts;

pub struct Cluster {
    pub nodes: Vec<Node>,
    _turn: MutexGuard<'static, ()>,
}

pub struct Node {
    pub port: u16,
    /// `None` for the second and third face of a stand-in.
    process: Option<Process>,
}

impl Node {
    /// One whose process a test has started itself.
    pub fn new(port: u16, process: Process) -> Self {
        Self { port, process: Some(process) }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().pid()
    }

    pub fn kill(&mut self) {
        self.process.as_mut().unwrap().kill();
    }

    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().unwrap().signal(signal);
    }

    /// Stops it in its tracks, and waits until it stands.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid());
        let stands = || std::fs::read_to_string(&stat).unwrap().contains(") T ");
        wait::until_true("the process stands still", LONG, stands);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self, what: &str) -> ExitStatus {
        self.process.as_mut().unwrap().wait(what)
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_none_or(Process::is_running)
    }

    /// A field of INFO; `None` too while the node does not answer.
    pub fn info(&self, name: &str) -> Option<String> {
        Client::try_connect(self.port).ok()?.info(name)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.process.as_ref().unwrap().complaints()
    }

    pub fn id(&self) -> u64 {
        self.info("raft_node_id").unwrap().parse().unwrap()
    }

    pub fn voters(&self) -> u64 {
        self.info("raft_num_voting_nodes").unwrap().parse().unwrap()
    }

    /// Waits until it is ready, as an operator would.
    pub fn wait_ready(&self) {
        let mut client = wait::until("a node", LONG, || Client::try_connect(self.port).ok());
        assert_eq!(client.call("RAFT.WAIT_READY 25000"), Value::ok(), "node at {}", self.port);
    }

    pub fn term(&self) -> u64 {
        self.info("raft_current_term").unwrap().parse().unwrap()
    }
}

impl Cluster {
    pub fn start(layout: Layout) -> Self {
        Self::start_with(layout, "")
    }

    /// Starts three nodes with further options, and waits until all are voters and know a leader.
    pub fn start_with(layout: Layout, options: &str) -> Self {
        Self::start_many(NODES, layout, options)
    }

    /// Like [`Cluster::start_with`], for any number of nodes.
    pub fn start_many(count: u16, layout: Layout, options: &str) -> Self {
        Self::start_each(count, |_| format!("{} {options}", layout.option()))
    }

    /// The same, each node with options of its own, which are told by its position.
    pub fn start_each(count: u16, options: impl Fn(u16) -> String) -> Self {
        let turn = one_at_a_time();
        if is_stand_in() {
            return Self::start_stand_in(turn);
        }
        let first = free_ports(count);
        let nodes = (0..count)
            .map(|position| {
                let port = first + position;
                let role = match position {
                    0 => "--init".to_owned(),
                    _ => format!("--join 127.0.0.1:{first}"),
                };
                let options = format!("{role} {}", options(position));
                Node { port, process: Some(start_node(port, &options)) }
            })
            .collect();
        let mut cluster = Self { nodes, _turn: turn };
        cluster.wait_until_complete();
        cluster
    }

    /// Waits until all nodes are voters and know a leader.
    pub fn wait_until_complete(&mut self) {
        wait::until_true("all voters that know a leader", LONG, || self.is_complete());
    }

    /// Starts a fresh process in the place of one that has ended; it joins through any other.
    pub fn restart(&mut self, position: usize, options: &str) {
        let others = (0..self.nodes.len()).filter(|other| *other != position);
        self.restart_through(position, &others.collect::<Vec<_>>(), options);
    }

    /// The same, joining through the nodes at `through`.
    pub fn restart_through(&mut self, position: usize, through: &[usize], options: &str) {
        let address = |other: &usize| format!("127.0.0.1:{}", self.nodes[*other].port);
        let others: Vec<String> = through.iter().map(address).collect();
        let port = self.nodes[position].port;
        // The kernel takes an io_uring and the sockets it holds down shortly after the process.
        wait::until_true("free ports", LONG, || is_free(port));
        let process = start_node(port, &format!("--join {} {options}", others.join(",")));
        self.nodes[position].process = Some(process);
    }

    /// Starts one more node, which joins through the first.
    pub fn add(&mut self, options: &str) {
        let (first, port) = (self.nodes[0].port, free_ports(1));
        let process = start_node(port, &format!("--join 127.0.0.1:{first} {options}"));
        self.nodes.push(Node { port, process: Some(process) });
    }

    fn start_stand_in(turn: MutexGuard<'static, ()>) -> Self {
        let port = free_ports(1);
        let arguments = format!("--port {port} --bind 127.0.0.1 --daemonize no --save ''");
        let process = Process::start("redis-server", &arguments);
        wait::until("redis-server", LONG, || Client::try_connect(port).ok());
        let mut nodes = vec![Node { port, process: Some(process) }];
        nodes.resize_with(usize::from(NODES), || Node { port, process: None });
        Self { nodes, _turn: turn }
    }

    fn is_complete(&mut self) -> bool {
        for node in &mut self.nodes {
            assert!(node.is_running(), "a node ended while the cluster formed");
        }
        let count = self.nodes.len().to_string();
        let complete = self.nodes.iter().all(|node| {
            let voters = node.info("raft_num_voting_nodes").as_ref() == Some(&count);
            voters && node.info("raft_leader_id").is_some_and(|id| id != "-1" && id != "0")
        });
        complete && self.try_leader().is_some()
    }

    fn try_leader(&self) -> Option<usize> {
        let leads = |node: &Node| node.info("raft_role").as_deref() == Some("leader");
        self.nodes.iter().position(leads)
    }

    /// Position of the leader; waits for there to be one.
    pub fn leader(&self) -> usize {
        if is_stand_in() {
            return 0;
        }
        wait::until("a leader", LONG, || self.try_leader())
    }

    /// Positions of the followers.
    pub fn followers(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..self.nodes.len()).filter(|position| *position != leader).collect()
    }

    pub fn client(&self, position: usize) -> Client {
        self.nodes[position].client()
    }

    /// That every process which the test did not kill still runs and answers.
    pub fn check_alive(&mut self) {
        for node in &mut self.nodes {
            assert!(node.is_running(), "node at {} has ended", node.port);
            assert_eq!(node.client().call("PING").text(), "PONG");
        }
    }
}

/// Starts a node of the server under test.
pub fn start_node(port: u16, options: &str) -> Process {
    let options = options.trim();
    Process::start(&binary(), format!("node --port {port} {options}").trim())
}
