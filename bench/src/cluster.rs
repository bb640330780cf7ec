//! A cluster whose processes are ours, so that nodes can be killed, paused, replaced and added one
//! by one.

use std::time::Duration;

use rustix::process::Signal;

use crate::client::{Client, ClientError, Info};
use crate::process::{
    Guard, PEER_PORT_OFFSET, Printed, ProcessError, free_ports, is_free, wait_for,
};
use crate::server::{Endpoint, START_TIME, ServerError, leader_among, mayfly_binary, words};

/// Until a restarted node is a voter again: it has to be admitted, to catch up, and to take the
/// place of its predecessor.
const REPLACEMENT_TIME: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{signal:?} to the node at port {port}: {source}")]
    Signal { signal: Signal, port: u16, source: std::io::Error },
    #[error("the node at port {0} has ended by itself")]
    Ended(u16),
}

pub struct Cluster {
    binary: String,
    nodes: Vec<Node>,
}

struct Node {
    port: u16,
    process: Option<Guard>,
}

impl Cluster {
    /// Returns when every node is a voter and knows the leader.
    pub fn start(nodes: u16) -> Result<Self, ClusterError> {
        Self::start_at(free_ports(nodes)?, nodes, 0)
    }

    /// As [`Cluster::start`], at free ports from `first` on. The `room` ports after those of the
    /// nodes are for more nodes, which [`Cluster::launch`] starts.
    pub fn start_at(first: u16, nodes: u16, room: u16) -> Result<Self, ClusterError> {
        let ports = first..first + nodes + room;
        let nodes_of = ports.map(|port| Node { port, process: None }).collect();
        let mut cluster = Self { binary: mayfly_binary()?, nodes: nodes_of };
        cluster.run(first, "--init")?;
        for port in first + 1..first + nodes {
            cluster.launch(port)?;
        }
        cluster.wait_until_complete(START_TIME)?;
        Ok(cluster)
    }

    /// The ports without a process.
    pub fn spare_ports(&self) -> Vec<u16> {
        let spare = self.nodes.iter().filter(|node| node.process.is_none());
        spare.map(|node| node.port).collect()
    }

    fn live_ports(&self) -> Vec<u16> {
        let live = self.nodes.iter().filter(|node| node.process.is_some());
        live.map(|node| node.port).collect()
    }

    /// Starts a fresh process at `port`, which asks all other nodes to admit it, and does not wait
    /// for that.
    pub fn launch(&mut self, port: u16) -> Result<(), ClusterError> {
        let others = self.nodes.iter().map(|node| node.port).filter(|other| *other != port);
        let addresses: Vec<String> = others.map(|port| format!("127.0.0.1:{port}")).collect();
        self.run(port, &format!("--join {}", addresses.join(",")))
    }

    fn run(&mut self, port: u16, role: &str) -> Result<(), ClusterError> {
        // The kernel takes an io_uring and the sockets it holds down shortly after the process.
        wait_for("free ports", START_TIME, || is_free(port).then_some(()))?;
        let arguments = words(&format!("node --port {port} --loglevel warning {role}"));
        let process = Guard::start(&self.binary, &arguments, Printed::Discarded)?;
        self.node(port).process = Some(process);
        Ok(())
    }

    /// Waits until every running node is a voter, there are no other voters, and all know a leader.
    pub fn wait_until_complete(&mut self, limit: Duration) -> Result<(), ClusterError> {
        let ports = self.live_ports();
        wait_for("completion of the cluster", limit, || {
            if let Err(ended) = self.check_alive() {
                return Some(Err(ended));
            }
            ports.iter().all(|port| is_complete(*port, ports.len())).then_some(Ok(()))
        })?
    }

    /// An error if a node has ended that was not told to.
    pub fn check_alive(&mut self) -> Result<(), ClusterError> {
        for node in &mut self.nodes {
            if node.process.as_mut().is_some_and(|process| !process.is_running()) {
                return Err(ClusterError::Ended(node.port));
            }
        }
        Ok(())
    }

    /// Starts a fresh process in the place of one that has ended, and waits until it is a voter.
    pub fn replace(&mut self, port: u16) -> Result<(), ClusterError> {
        self.launch(port)?;
        self.wait_until_complete(REPLACEMENT_TIME)
    }

    /// The leader, and the ports of the other running nodes.
    ///
    /// Precondition: no node is paused.
    pub fn roles(&self) -> Result<(Endpoint, Vec<u16>), ClusterError> {
        let ports = self.live_ports();
        let port = leader_among(&ports)?;
        let followers = ports.into_iter().filter(|other| *other != port).collect();
        let node = self.nodes.iter().find(|node| node.port == port);
        let process = node.and_then(|node| node.process.as_ref());
        let pid = process.expect("invariant: a live port has a process").pid();
        Ok((Endpoint { port, pid }, followers))
    }

    /// SIGKILL, and the node is gone.
    pub fn kill(&mut self, port: u16) -> Result<(), ClusterError> {
        let mut process = self.node(port).process.take().expect("invariant: it runs");
        process.kill().map_err(|source| ClusterError::Signal { signal: Signal::KILL, port, source })
    }

    /// To a node that stays ours: after SIGTERM it ends by itself, for which
    /// [`Cluster::await_end`] waits.
    pub fn signal(&mut self, port: u16, signal: Signal) -> Result<(), ClusterError> {
        let process = self.node(port).process.as_ref().expect("invariant: it runs");
        process.signal(signal).map_err(|source| ClusterError::Signal { signal, port, source })
    }

    /// Waits until a node that was told to end has done so.
    pub fn await_end(&mut self, port: u16) -> Result<(), ClusterError> {
        let node = self.node(port);
        let process = node.process.as_mut().expect("invariant: it runs");
        wait_for("end of a node", START_TIME, || (!process.is_running()).then_some(()))?;
        node.process = None;
        Ok(())
    }

    /// Removes the node at `port` from the cluster, if it is a member, and stops its process.
    pub fn remove(&mut self, port: u16) -> Result<(), ClusterError> {
        wait_for("removal of a node", START_TIME, || self.try_remove(port).ok())?;
        let mut process = self.node(port).process.take().expect("invariant: it runs");
        process.stop();
        self.wait_until_complete(START_TIME)
    }

    /// Fails while another change is under way.
    fn try_remove(&self, port: u16) -> Result<(), ClusterError> {
        let mut leader = Client::connect(leader_among(&self.live_ports())?)?;
        match member_at(&leader.info("raft")?, port + PEER_PORT_OFFSET) {
            Some(id) => Ok(leader.call(&["RAFT.NODE", "REMOVE", &id]).map(drop)?),
            None => Ok(()),
        }
    }

    fn node(&mut self, port: u16) -> &mut Node {
        let node = self.nodes.iter_mut().find(|node| node.port == port);
        node.expect("invariant: one of our nodes")
    }
}

/// Whether the node at `port` is one of exactly `voters` voters, outside of any change, and knows a
/// leader.
pub fn is_complete(port: u16, voters: usize) -> bool {
    raft_info(port).is_some_and(|info| is_settled(&info, voters))
}

/// The id of the member that the leader reaches at `peer_port`.
fn member_at(leader: &Info, peer_port: u16) -> Option<String> {
    let number = format!("port={peer_port}");
    let line = leader.lines_naming("raft_node").find(|line| line.split(',').any(|it| it == number));
    let (_, value) = line?.split_once(":id=")?;
    Some(value.split(',').next()?.to_owned())
}

/// `None` while the node does not answer.
pub fn raft_info(port: u16) -> Option<Info> {
    Client::connect(port).ok()?.info("raft").ok()
}

fn is_settled(info: &Info, voters: usize) -> bool {
    let number = |name: &str| info.field(name).and_then(|value| value.parse::<i64>().ok());
    info.field("raft_is_voting") == Some("yes")
        && info.field("raft_is_joint") == Some("no")
        && number("raft_num_voting_nodes") == i64::try_from(voters).ok()
        && number("raft_leader_id").is_some_and(|id| id > 0)
}

#[test]
fn a_node_is_settled_as_one_of_so_many_voters_with_a_leader() {
    let settled = "raft_is_voting:yes\r\nraft_leader_id:1\r\nraft_num_voting_nodes:3\r\n\
                   raft_is_joint:no\r\n";
    let is_settled_as = |text: &str, voters| is_settled(&Info::from(text), voters);
    assert!(is_settled_as(settled, 3));
    assert!(!is_settled_as(settled, 2));
    for (from, to) in [
        ("voting:yes", "voting:no"),
        ("leader_id:1", "leader_id:-1"),
        ("joint:no", "joint:yes"),
        ("raft_is_joint:no", ""),
    ] {
        assert!(!is_settled_as(&settled.replace(from, to), 3), "{to}");
    }
}

#[test]
fn a_member_is_found_by_its_peer_port() {
    let info = Info::from(
        "raft_node_id:1\r\nraft_num_nodes:3\r\n\
         raft_node1:id=4,state=connected,voting=yes,addr=127.0.0.1,port=15002,conn_oks=1\r\n\
         raft_node2:id=17,state=connected,voting=no,addr=127.0.0.1,port=15003\r\n",
    );
    assert_eq!(member_at(&info, 15002), Some("4".to_owned()));
    assert_eq!(member_at(&info, 15003), Some("17".to_owned()));
    assert_eq!(member_at(&info, 1500), None);
}
