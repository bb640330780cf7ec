//! The cluster as operators and cluster-aware tools ask for it: CLUSTER, ROLE and WAIT.
//!
//! All keys belong to one consensus group, so every slot is the leader's and the other members are
//! its replicas. The face of a node is that of a standalone server (`cluster_enabled:0`), since
//! each one serves every key; unlike a standalone Redis it still answers the CLUSTER subcommands
//! that only tell something, because that is how an operator finds the leader.

use super::{
    Arguments, NodeView, Outcome, ReportUse, Session, admin, failover, help, report, run_id,
    subcommand, unknown_subcommand,
};
use crate::engine::command::NodeCommand;
use crate::engine::error::CommandError;
use crate::engine::number::parse_integer;
use crate::engine::reply::Reply;
use crate::engine::slot::{SLOT_COUNT, key_slot};
use crate::node::mailbox::AdminCommand;
use crate::node::report::RaftReport;
use crate::raft::types::{Member, MemberId};
use crate::raft::{PeerStatus, Status};

pub fn run(
    words: Arguments<'_, '_>,
    session: &mut Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let (name, arguments) = subcommand(NodeCommand::Cluster, words, session)?;
    match (name, arguments) {
        ("info", _) => return Ok(report(ReportUse::ClusterInfo)),
        ("links", _) => return Ok(report(ReportUse::ClusterLinks)),
        ("nodes", _) => return Ok(report(ReportUse::ClusterNodes)),
        ("shards", _) => return Ok(report(ReportUse::ClusterShards)),
        ("slots", _) => return Ok(report(ReportUse::ClusterSlots)),
        ("replicas" | "slaves", [id]) => {
            let of = String::from_utf8_lossy(id).to_lowercase();
            return Ok(report(ReportUse::ClusterReplicas { of }));
        }
        ("myshardid", _) => return Ok(report(ReportUse::ClusterShardId)),
        ("myid", _) => reply.bulk(run_id(view.shared.boot).as_bytes()),
        ("keyslot", [key]) => reply.integer(key_slot(key).into()),
        ("help", _) => help(reply, "CLUSTER", HELP),
        ("failover", _) => return failover::take_over(arguments),
        ("forget", [id]) => {
            let node = String::from_utf8_lossy(id).to_lowercase();
            return Ok(admin(AdminCommand::Forget { node }));
        }
        _ if let Some(refusal) = refusal_of(name) => return Err(CommandError::text(refusal)),
        _ => return Err(unknown_subcommand(words)),
    }
    Ok(Outcome::Replied)
}

/// Why a subcommand of Redis's cluster is refused whose work consensus does here.
fn refusal_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "addslots" | "addslotsrange" | "delslots" | "delslotsrange" | "flushslots" | "setslot" => {
            "ERR slots cannot be assigned: all members have all of them"
        }
        "bumpepoch" | "set-config-epoch" => {
            "ERR there are no configuration epochs: the term of consensus takes their place"
        }
        "count-failure-reports" => {
            "ERR members do not report failures: who leads is elected, see INFO raft"
        }
        "meet" => "ERR a node is added by RAFT.CLUSTER JOIN on the node itself",
        "replicate" => "ERR all members follow the one that is elected: see RAFT.TRANSFER_LEADER",
        "reset" => {
            "ERR a node leaves its cluster by RAFT.NODE REMOVE, and begins anew as a new process"
        }
        "saveconfig" => "ERR nothing is saved: there is no disk",
        _ => return None,
    })
}

/// A member as the replies show it.
pub struct Node<'a> {
    pub id: String,
    pub host: &'a str,
    pub port: u16,
    peer_port: u16,
    is_self: bool,
    is_leader: bool,
    is_learner: bool,
    pub is_connected: bool,
}

impl<'a> Node<'a> {
    fn of(member: &'a Member, status: &Status, raft: &RaftReport) -> Self {
        let is_self = member.id == status.id;
        let link = raft.links.iter().find(|link| link.id == member.id);
        let (host, port) = host_and_port(&member.client_address);
        Self {
            id: run_id(member.boot),
            host,
            port,
            peer_port: host_and_port(&member.peer_address).1,
            is_self,
            is_leader: status.leader_id == Some(member.id),
            is_learner: status.configuration.is_learner(member.id) && !member.observer,
            is_connected: is_self || link.is_some_and(|link| link.state == "connected"),
        }
    }

    /// The node that has no cluster yet.
    fn alone(view: &'a NodeView<'_>) -> Self {
        let (host, port) = host_and_port(&view.shared.client_address);
        Self {
            id: run_id(view.shared.boot),
            host,
            port,
            peer_port: host_and_port(&view.shared.peer_address).1,
            is_self: true,
            is_leader: false,
            is_learner: false,
            is_connected: true,
        }
    }

    fn health(&self) -> &'static str {
        match (self.is_connected, self.is_learner) {
            (false, _) => "fail",
            (true, true) => "loading",
            (true, false) => "online",
        }
    }
}

/// The two parts of an address, without the brackets of IPv6.
pub fn host_and_port(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (host, port.parse().unwrap_or(0))
}

/// All members. The first one is whom to send writes to: the leader or, while there is none, this
/// node, which keeps them until there is one.
pub fn members<'a>(raft: &'a RaftReport, view: &'a NodeView<'_>) -> Vec<Node<'a>> {
    let Some(status) = &raft.status else { return vec![Node::alone(view)] };
    let configuration = &status.configuration;
    let mut nodes: Vec<_> =
        configuration.members.iter().map(|member| Node::of(member, status, raft)).collect();
    let has_leader = nodes.iter().any(|node| node.is_leader);
    let is_first = |node: &Node<'_>| if has_leader { node.is_leader } else { node.is_self };
    nodes.sort_by_key(|node| !is_first(node));
    nodes
}

pub fn info(raft: &RaftReport, reply: &mut Reply) {
    let status = raft.status.as_ref();
    let (state, assigned) = match status {
        Some(Status { leader_id: Some(_), .. }) => ("ok", SLOT_COUNT),
        Some(_) => ("fail", SLOT_COUNT),
        None => ("fail", 0),
    };
    let served = if state == "ok" { assigned } else { 0 };
    let known = status.map_or(1, |status| status.configuration.members.len());
    let term = status.map_or(0, |status| status.term.0);
    let lines = [
        format!("cluster_state:{state}"),
        format!("cluster_slots_assigned:{assigned}"),
        format!("cluster_slots_ok:{served}"),
        "cluster_slots_pfail:0".to_owned(),
        format!("cluster_slots_fail:{}", assigned - served),
        format!("cluster_known_nodes:{known}"),
        format!("cluster_size:{}", u8::from(status.is_some())),
        format!("cluster_current_epoch:{term}"),
        format!("cluster_my_epoch:{term}"),
    ];
    reply.verbatim(&(lines.join("\r\n") + "\r\n"));
}

pub fn nodes(raft: &RaftReport, view: &NodeView<'_>, reply: &mut Reply) {
    let lines = node_lines(raft, &members(raft, view));
    reply.verbatim(&(lines.join("\n") + "\n"));
}

/// The lines of NODES of the members that follow the leader `of`.
pub fn replicas_of(of: &str, raft: &RaftReport, view: &NodeView<'_>, reply: &mut Reply) {
    let nodes = members(raft, view);
    match nodes.iter().position(|node| node.id == of) {
        None => reply.error_text(&format!("ERR Unknown node {of}")),
        Some(0) => {
            let lines = node_lines(raft, &nodes);
            reply.array(lines.len() - 1);
            lines[1..].iter().for_each(|line| reply.bulk(line.as_bytes()));
        }
        Some(_) => reply.error_text("ERR The specified node is not a master"),
    }
}

/// One link carries both directions, so each member that is connected is told twice, as in Redis.
pub fn links(raft: &RaftReport, view: &NodeView<'_>, reply: &mut Reply) {
    let connected = raft.links.iter().filter_map(|link| {
        let status = raft.status.as_ref()?;
        let member = status.configuration.member(link.id)?;
        let age_ms = view.now_ms.saturating_sub(link.connected_at_ms?);
        (link.state == "connected").then(|| (run_id(member.boot), age_ms))
    });
    let connected: Vec<_> = connected.collect();
    reply.array(connected.len() * 2);
    for (id, age_ms) in &connected {
        for direction in ["to", "from"] {
            reply.map(4);
            reply.bulk(b"direction");
            reply.bulk(direction.as_bytes());
            reply.bulk(b"node");
            reply.bulk(id.as_bytes());
            reply.bulk(b"create-time");
            reply.integer(view.unix_ms.saturating_sub(*age_ms) as i64);
            reply.bulk(b"events");
            reply.bulk(b"rw");
        }
    }
}

/// The cluster's own id stands for its one shard.
pub fn shard_id(raft: &RaftReport, reply: &mut Reply) {
    reply.bulk(run_id(raft.cluster).as_bytes());
}

/// Precondition: `nodes` comes from [`members`].
fn node_lines(raft: &RaftReport, nodes: &[Node<'_>]) -> Vec<String> {
    let epoch = raft.status.as_ref().map_or(0, |status| status.term.0);
    let first = &nodes[0].id;
    let line = |(position, node): (usize, &Node<'_>)| {
        let Node { id, host, port, peer_port, .. } = node;
        let myself = if node.is_self { "myself," } else { "" };
        let role = if position == 0 { "master" } else { "slave" };
        // Redis's mark for a node that does not answer, which clients do not take for gone.
        let suspected = if node.is_connected { "" } else { ",fail?" };
        let master = if position == 0 { "-" } else { first };
        let link = if node.is_connected { "connected" } else { "disconnected" };
        let slots = if position == 0 && raft.status.is_some() { " 0-16383" } else { "" };
        format!(
            "{id} {host}:{port}@{peer_port} {myself}{role}{suspected} {master} 0 0 {epoch} \
             {link}{slots}"
        )
    };
    nodes.iter().enumerate().map(line).collect()
}

/// One range, the leader first.
pub fn slots(raft: &RaftReport, view: &NodeView<'_>, reply: &mut Reply) {
    if raft.status.is_none() {
        reply.array(0);
        return;
    }
    let nodes = members(raft, view);
    reply.array(1);
    reply.array(2 + nodes.len());
    reply.integer(0);
    reply.integer(i64::from(SLOT_COUNT) - 1);
    for node in &nodes {
        reply.array(4);
        reply.bulk(node.host.as_bytes());
        reply.integer(node.port.into());
        reply.bulk(node.id.as_bytes());
        reply.array(0);
    }
}

pub fn shards(raft: &RaftReport, view: &NodeView<'_>, reply: &mut Reply) {
    let nodes = members(raft, view);
    reply.array(1);
    reply.map(2);
    reply.bulk(b"slots");
    if raft.status.is_some() {
        reply.array(2);
        reply.integer(0);
        reply.integer(i64::from(SLOT_COUNT) - 1);
    } else {
        reply.array(0);
    }
    reply.bulk(b"nodes");
    reply.array(nodes.len());
    let commit_index = raft.status.as_ref().map_or(0, |status| status.commit_index.0);
    for (position, node) in nodes.iter().enumerate() {
        reply.map(7);
        reply.bulk(b"id");
        reply.bulk(node.id.as_bytes());
        reply.bulk(b"port");
        reply.integer(node.port.into());
        reply.bulk(b"ip");
        reply.bulk(node.host.as_bytes());
        reply.bulk(b"endpoint");
        reply.bulk(node.host.as_bytes());
        reply.bulk(b"role");
        reply.bulk(if position == 0 { b"master" } else { b"replica" });
        reply.bulk(b"replication-offset");
        reply.integer(offset_of(node, raft).unwrap_or(commit_index) as i64);
        reply.bulk(b"health");
        reply.bulk(node.health().as_bytes());
    }
}

/// How far a leader knows the log of another member to be; of members that it does not lead, a node
/// knows no more than what is committed.
pub fn offset_of(node: &Node<'_>, raft: &RaftReport) -> Option<u64> {
    let status = raft.status.as_ref()?;
    let member = status.configuration.members.iter().find(|m| run_id(m.boot) == node.id)?;
    let peer = status.peers.iter().find(|peer| peer.id == member.id)?;
    Some(peer.match_index.0)
}

/// Another member as ROLE and INFO replication list it.
pub struct Replica<'a> {
    pub id: MemberId,
    pub host: &'a str,
    pub port: u16,
    pub match_index: u64,
}

/// The replicas that this node leads; none when it does not lead.
pub fn replicas(raft: &RaftReport) -> Vec<Replica<'_>> {
    let Some(status) = &raft.status else { return Vec::new() };
    let replica = |peer: &PeerStatus| {
        let member = status.configuration.member(peer.id)?;
        let (host, port) = host_and_port(&member.client_address);
        Some(Replica { id: peer.id, host, port, match_index: peer.match_index.0 })
    };
    status.peers.iter().filter(|peer| peer.id != status.id).filter_map(replica).collect()
}

/// Always a master, since every node takes writes; the replicas tell which one leads.
pub fn role(raft: &RaftReport, reply: &mut Reply) {
    let replicas = replicas(raft);
    let commit_index = raft.status.as_ref().map_or(0, |status| status.commit_index.0);
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(commit_index as i64);
    reply.array(replicas.len());
    for replica in &replicas {
        reply.array(3);
        reply.bulk(replica.host.as_bytes());
        reply.bulk(replica.port.to_string().as_bytes());
        reply.bulk(replica.match_index.to_string().as_bytes());
    }
}

/// WAIT numreplicas timeout. The writes of this client are answered by now, so they are committed,
/// and waiting longer would not make them safer.
pub fn wait(arguments: Arguments<'_, '_>) -> Result<Outcome, CommandError> {
    let (replicas, timeout) = (arguments[0], arguments[1]);
    parse_integer(replicas).ok_or(CommandError::NotInteger)?;
    match parse_integer(timeout) {
        None => Err(CommandError::text("ERR timeout is not an integer or out of range")),
        Some(..0) => Err(CommandError::text("ERR timeout is negative")),
        Some(_) => Ok(report(ReportUse::InSync)),
    }
}

/// WAITAOF: no node has an append-only file.
pub fn wait_for_files(arguments: Arguments<'_, '_>, reply: &mut Reply) -> Result<(), CommandError> {
    let local = match parse_integer(arguments[0]) {
        Some(local @ 0..=1) => local,
        Some(_) => {
            return Err(CommandError::text(
                "ERR value is out of range, value must between 0 and 1",
            ));
        }
        None => return Err(CommandError::NotInteger),
    };
    if parse_integer(arguments[1]).is_none_or(|replicas| replicas < 0) {
        return Err(CommandError::MustBePositive);
    }
    match parse_integer(arguments[2]) {
        None => {
            return Err(CommandError::text("ERR timeout is not an integer or out of range"));
        }
        Some(..0) => return Err(CommandError::text("ERR timeout is negative")),
        Some(_) => {}
    }
    if local > 0 {
        return Err(CommandError::text(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    reply.array(2);
    reply.integer(0);
    reply.integer(0);
    Ok(())
}

/// How many other members have every committed write. Only the leader knows it of each; another
/// node knows that a majority has them.
pub fn in_sync(raft: &RaftReport) -> usize {
    let Some(status) = &raft.status else { return 0 };
    if status.leader_id == Some(status.id) {
        let has_all = |replica: &&Replica<'_>| replica.match_index >= status.commit_index.0;
        return replicas(raft).iter().filter(has_all).count();
    }
    status.configuration.voters.len() / 2
}

const HELP: &[&str] = &[
    "COUNTKEYSINSLOT <slot>",
    "    Counts the keys of the database in a slot, by looking at all keys.",
    "FAILOVER [FORCE|TAKEOVER]",
    "    Makes this node the leader: with the consent of the leader, or by an election at once.",
    "FORGET <node-id>",
    "    Removes a member: RAFT.NODE REMOVE by the id of CLUSTER NODES. Runs on the leader.",
    "GETKEYSINSLOT <slot> <count>",
    "    Tells keys of the database in a slot, by looking at all keys.",
    "INFO",
    "    Tells whether the cluster has a leader.",
    "KEYSLOT <key>",
    "    Tells the slot of a key.",
    "LINKS",
    "    Tells the connections to the other members.",
    "MYID",
    "    Tells the id of this node.",
    "MYSHARDID",
    "    Tells the id of the one shard.",
    "NODES",
    "    Lists the members, the leader as master of all slots:",
    "    <id> <ip:port@peer-port> <flags> <master> <ping> <pong> <term> <link> <slots>",
    "REPLICAS <node-id>",
    "    Lists the members that follow the leader, as NODES does.",
    "SHARDS",
    "    Lists the members of the one shard, the leader as its master.",
    "SLOT-STATS (SLOTSRANGE <first> <last>|ORDERBY key-count [LIMIT <count>] [ASC|DESC])",
    "    Counts the keys of the database by slot.",
    "SLOTS",
    "    Tells who serves which slots, the leader first.",
    "HELP",
    "    Prints this help.",
];
