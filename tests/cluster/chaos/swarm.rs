//! A cluster under chaos: how it stands by INFO, and what is done to it.

use std::collections::HashMap;
use std::time::Duration;

use rustix::process::Signal;

use super::load::Load;
use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout};
use crate::wait;

/// Between two looks at a cluster that works at something: they cost CPU, of which there is little.
const LOOK: Duration = Duration::from_millis(10);

/// For a death, a start, a snapshot and a swap, on a slow machine under load.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a node stands still: less than what makes its connections die, much more than what
/// makes the others elect.
const STANDSTILL: Duration = Duration::from_secs(3);

/// What is done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    Kill,
    Terminate,
    StandStill,
}

pub struct Swarm {
    pub cluster: Cluster,
    options: String,
}

/// The fields of INFO raft.
pub struct Info(HashMap<String, String>);

impl Info {
    fn of(port: u16) -> Option<Self> {
        Self::ask(&mut Client::try_connect(port).ok()?)
    }

    pub fn ask(client: &mut Client) -> Option<Self> {
        let text = client.try_call("INFO raft").ok()?.text();
        let fields = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        Some(Self(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }

    pub fn get(&self, name: &str) -> &str {
        self.0.get(&format!("raft_{name}")).map_or("", String::as_str)
    }

    pub fn leads(&self) -> bool {
        self.get("role") == "leader"
    }

    /// A voter of a cluster of `count` settled members, that knows a leader.
    pub fn is_settled(&self, count: usize) -> bool {
        let count = count.to_string();
        self.get("state") == "up"
            && self.get("is_voting") == "yes"
            && self.get("is_joint") == "no"
            && self.get("num_nodes") == count
            && self.get("num_voting_nodes") == count
            && self.get("leader_id").parse::<u64>().is_ok_and(|id| id > 0)
    }

    /// Whether all others follow this leader's log closely.
    pub fn is_followed(&self, count: usize) -> bool {
        let lines = self.0.iter().filter(|(name, _)| {
            name.strip_prefix("raft_node").is_some_and(|rest| rest.parse::<u32>().is_ok())
        });
        lines.filter(|(_, line)| line.contains(",progress=replicate,")).count() + 1 == count
    }
}

/// Waits for `condition`, and fails at once when a client has.
fn wait(load: &Load, what: &str, mut condition: impl FnMut() -> bool) {
    wait::until_true(what, PATIENCE, || {
        load.check();
        let holds = condition();
        if !holds {
            wait::rest(LOOK);
        }
        holds
    });
}

/// Waits until every node is a voter that has caught up, and none is on its way in or out. Then
/// clients may expect everything of every node again.
pub fn settle(load: &Load) {
    let count = load.hosts.len();
    wait(load, "a settled cluster", || {
        let infos: Vec<_> = load.hosts.iter().map(|host| Info::of(host.port)).collect();
        infos.iter().all(|info| info.as_ref().is_some_and(|info| info.is_settled(count)))
            && infos.iter().flatten().any(|info| info.leads() && info.is_followed(count))
    });
    load.hosts.iter().for_each(|host| host.settle());
}

/// Waits until all nodes have applied the same, and it has led to the same data.
///
/// Precondition: there are no clients.
pub fn check_digests(ports: &[u16]) {
    let mut clients: Vec<Client> = ports.iter().map(|port| Client::connect(*port)).collect();
    // Keys that expire still move the index on, for a while.
    let digests = wait::until("an equal index on all nodes", PATIENCE, || {
        wait::rest(LOOK);
        let states = clients.iter_mut().map(|client| match client.call("RAFT.DEBUG DIGEST") {
            Value::Array(state) => state.try_into().expect("an index and a digest"),
            other => panic!("RAFT.DEBUG DIGEST answered {other:?}"),
        });
        let states: Vec<[Value; 2]> = states.collect();
        states.iter().all(|[index, _]| *index == states[0][0]).then_some(states)
    });
    let is_same = |state: &[Value; 2]| *state == digests[0];
    assert!(digests.iter().all(is_same), "the nodes' data differ: {digests:?}");
}

impl Swarm {
    pub fn start(count: u16, layout: Layout, options: &str) -> Self {
        let cluster = Cluster::start_many(count, layout, options);
        let options = format!("{} {options}", layout.option());
        Self { cluster, options }
    }

    pub fn len(&self) -> usize {
        self.cluster.nodes.len()
    }

    pub fn ports(&self) -> Vec<u16> {
        self.cluster.nodes.iter().map(|node| node.port).collect()
    }

    /// See [`settle`].
    pub fn settle(&self, load: &Load) {
        settle(load);
    }

    /// Position of the leader.
    pub fn leader(&self) -> usize {
        self.cluster.leader()
    }

    pub fn strike(&mut self, load: &Load, victim: usize, blow: Blow) {
        println!("chaos: {blow:?} node {victim} at {}", self.cluster.nodes[victim].port);
        match blow {
            Blow::Kill | Blow::Terminate => load.hosts[victim].disturb(),
            Blow::StandStill => load.hosts[victim].strain(),
        }
        let node = &mut self.cluster.nodes[victim];
        match blow {
            Blow::Kill => node.kill(),
            Blow::Terminate => {
                node.signal(Signal::TERM);
                let status = node.wait("the end of a node");
                assert!(status.success(), "a node that was asked to stop ended with {status}");
            }
            Blow::StandStill => {
                node.signal(Signal::STOP);
                wait::rest(STANDSTILL);
                node.signal(Signal::CONT);
            }
        }
    }

    /// The same command line again.
    pub fn restart(&mut self, position: usize) {
        println!("chaos: start node {position}");
        self.cluster.restart(position, &self.options.clone());
    }

    /// Waits until a restarted node is a member beside its predecessor, or already in its place.
    pub fn wait_until_admitted(&self, load: &Load, position: usize) {
        let port = self.cluster.nodes[position].port;
        wait(load, "a restarted node is admitted", || {
            let id = Info::of(port).map(|info| info.get("node_id").to_owned());
            id.is_some_and(|id| id.parse::<u64>().is_ok_and(|id| id > 0))
        });
    }

    /// Hands leadership on, whatever else goes on; it may fail for what else goes on.
    pub fn move_leadership(&mut self, leader: usize) {
        let reply = self.cluster.client(leader).call("RAFT.TRANSFER_LEADER").text();
        println!("chaos: node {leader} is asked to hand leadership on: {reply}");
    }

    /// Stops every node, and checks that each ends by itself and properly.
    pub fn stop(mut self) {
        for node in &mut self.cluster.nodes {
            node.signal(Signal::TERM);
        }
        for node in &mut self.cluster.nodes {
            let status = node.wait("the end of a node");
            assert!(status.success(), "a node that was asked to stop ended with {status}");
        }
    }
}
