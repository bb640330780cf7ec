//! Administration in the words of Redis's own cluster: who leads, who belongs to it, which keys a
//! slot has; and commands of one node alone.

use std::time::Duration;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout};
use crate::process::is_stand_in;
use crate::wait::{self, LONG};

fn error(text: &str) -> Value {
    Value::Error(text.into())
}

fn own_id(client: &mut Client) -> String {
    client.call("CLUSTER MYID").text()
}

#[test]
fn operators_of_redis_change_who_leads() {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(Layout::Folded);
    let first = cluster.leader();
    let next = cluster.followers()[0];
    let mut client = cluster.client(next);
    let replica = error("ERR FAILOVER is not valid when server is a replica.");
    assert_eq!(client.call("FAILOVER"), replica);
    assert_eq!(client.call("CLUSTER FAILOVER"), Value::ok());
    assert_eq!(cluster.leader(), next);
    let master = error("ERR You should send CLUSTER FAILOVER to a replica");
    assert_eq!(client.call("CLUSTER FAILOVER FORCE"), master);
    assert_eq!(client.call("FAILOVER ABORT"), error("ERR No failover in progress."));
    let unknown = error("ERR FAILOVER target HOST and PORT is not a replica.");
    assert_eq!(client.call("FAILOVER TO 127.0.0.1 1"), unknown);
    let port = cluster.nodes[first].port;
    assert_eq!(client.call(&format!("FAILOVER TO 127.0.0.1 {port} TIMEOUT 20000")), Value::ok());
    assert_eq!(cluster.leader(), first);
    // Without a word whom: anybody else.
    assert_eq!(cluster.client(first).call("FAILOVER"), Value::ok());
    assert_ne!(cluster.leader(), first);
    // By an election, of which nobody is asked before.
    let mut forced = cluster.client(first);
    assert_eq!(forced.call("CLUSTER FAILOVER TAKEOVER"), Value::ok());
    wait::until_true("the one who took over leads", LONG, || cluster.leader() == first);
    assert_eq!(cluster.client(next).call("SET k v"), Value::ok());
    assert_eq!(forced.call("GET k"), Value::bulk("v"));
}

/// The target stands still: it takes nothing over, and the leader goes on.
#[test]
fn a_failover_to_who_does_not_answer_ends_with_its_time_or_when_it_is_called_off() {
    if is_stand_in() {
        return;
    }
    // Its links stay up for as long as it stands still here.
    let cluster = Cluster::start_with(Layout::Folded, "--raft.election-timeout 5000");
    let leader = cluster.leader();
    let target = cluster.followers()[0];
    let port = cluster.nodes[target].port;
    let mut client = cluster.client(leader);
    cluster.nodes[target].pause();
    let timed_out = error("ERR transfer timed out");
    assert_eq!(client.call(&format!("FAILOVER TO 127.0.0.1 {port} TIMEOUT 200")), timed_out);
    assert_eq!(client.call("SET k v"), Value::ok());
    client.send_command(&format!("FAILOVER TO 127.0.0.1 {port} TIMEOUT 30000"));
    let mut other = cluster.client(leader);
    let aborted = || other.call("FAILOVER ABORT") == Value::ok();
    wait::until_true("the failover is called off", Duration::from_secs(20), aborted);
    assert_eq!(client.receive().unwrap(), error("ERR failover aborted"));
    assert_eq!(client.call("SET k w"), Value::ok());
    // It was told to stand for election, and hears of it when that is over.
    let term = cluster.nodes[leader].info("raft_current_term");
    cluster.nodes[target].resume();
    assert_eq!(client.call("SET k x"), Value::ok());
    assert_eq!(cluster.client(target).call("GET k"), Value::bulk("x"));
    assert_eq!(cluster.nodes[target].info("raft_current_term"), term);
    assert_eq!(cluster.leader(), leader);
}

#[test]
fn a_member_is_forgotten_and_a_node_is_stopped() {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(Layout::Split);
    let leader = cluster.leader();
    let [kept, lost] = cluster.followers()[..] else { panic!() };
    let mut client = cluster.client(leader);
    let (own, other) = (own_id(&mut client), own_id(&mut cluster.client(lost)));
    let links = client.call("CLUSTER LINKS");
    assert!(matches!(&links, Value::Array(links) if links.len() == 4), "{links:?}");
    let forget = |id: &str| format!("CLUSTER FORGET {id}");
    let myself = error("ERR I tried hard but I can't forget myself...");
    assert_eq!(client.call(&forget(&own)), myself);
    assert_eq!(client.call(&forget("abc")), error("ERR Unknown node abc"));
    let mut follower = cluster.client(kept);
    assert_eq!(follower.call(&forget(&own)), error("ERR Can't forget my master!"));
    assert!(follower.call(&forget(&other)).text().starts_with("MOVED 0 127.0.0.1:"));
    let id = cluster.nodes[lost].id();
    assert_eq!(client.call("RAFT.NODESHUTDOWN 999"), error("invalid node id"));
    let mut stopped = cluster.client(lost);
    assert!(stopped.try_call(&format!("RAFT.NODESHUTDOWN {id}")).is_err());
    assert!(cluster.nodes[lost].wait("the node that was stopped").success());
    assert_eq!(client.call(&forget(&other)), Value::ok());
    assert_eq!(client.info("raft_num_nodes").as_deref(), Some("2"));
    assert_eq!(client.call(&forget(&other)), error(&format!("ERR Unknown node {other}")));
    assert_eq!(client.call("SET k v"), Value::ok());
}

#[test]
fn the_keys_of_a_slot_are_known_on_every_node() {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(Layout::Folded);
    let mut client = cluster.client(0);
    for key in ["{foo}1", "{foo}2", "bar"] {
        assert_eq!(client.call(&format!("SET {key} v")), Value::ok());
    }
    let mut answers = Vec::new();
    for node in &cluster.nodes {
        let mut client = node.client();
        assert_eq!(client.call("CLUSTER COUNTKEYSINSLOT 12182"), 2.into());
        let stats = client.call("CLUSTER SLOT-STATS ORDERBY key-count LIMIT 2 DESC");
        answers.push((client.call("CLUSTER GETKEYSINSLOT 12182 10"), stats));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // In a transaction, too.
    client.call("MULTI");
    client.call("DEL bar");
    client.call("CLUSTER COUNTKEYSINSLOT 5061");
    assert_eq!(client.call("EXEC"), Value::Array(vec![1.into(), 0.into()]));
}

#[test]
fn commands_run_explicitly_or_on_one_node_alone() {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(Layout::Split);
    let [survivor, other] = cluster.followers()[..] else { panic!() };
    let mut client = cluster.client(survivor);
    assert_eq!(client.call("RAFT SET k v"), Value::ok());
    assert_eq!(client.call("raft get k"), Value::bulk("v"));
    assert_eq!(client.call("RAFT"), error("ERR wrong number of arguments for 'raft' command"));
    assert_eq!(
        client.call("RAFT NOSUCH"),
        error("ERR unknown command 'NOSUCH', with args beginning with: ")
    );
    let nested = client.call("RAFT RAFT GET k").text();
    assert!(nested.starts_with("ERR unknown command 'RAFT'"), "{nested}");
    client.call("MULTI");
    assert_eq!(client.call("RAFT APPEND k w"), Value::Simple("QUEUED".into()));
    assert_eq!(client.call("EXEC"), Value::Array(vec![2.into()]));
    client.call("MULTI");
    client.call("RAFT");
    let aborted = "EXECABORT Transaction discarded because of previous errors.";
    assert_eq!(client.call("EXEC"), error(aborted));
    // Without a quorum nothing is certain; what this node holds can still be looked at.
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    cluster.nodes[other].kill();
    assert_eq!(client.call("RAFT.DEBUG EXEC GET k"), Value::bulk("vw"));
    let refused = client.call("RAFT.DEBUG EXEC SET k x");
    assert_eq!(refused, error("ERR RAFT.DEBUG EXEC runs what changes nothing only"));
}

#[test]
fn debug_changes_all_nodes_alike_where_it_is_allowed() {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start_with(Layout::Folded, "--enable-debug-command local");
    let [one, other] = cluster.followers()[..] else { panic!() };
    let mut client = cluster.client(one);
    assert_eq!(client.call("DEBUG POPULATE 1000 k 20"), Value::ok());
    assert_eq!(cluster.client(other).call("DBSIZE"), 1000.into());
    assert_eq!(client.call("DEBUG SET-ACTIVE-EXPIRE 0"), Value::ok());
    assert_eq!(client.call("SET gone v PX 1"), Value::ok());
    // No write need come for that.
    wait::until_true("it has expired", LONG, || client.call("GET gone") == Value::Null);
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    cluster.leader();
    // A node that comes anew learns from a snapshot that nothing is removed.
    assert_eq!(client.call("RAFT.DEBUG COMPACT"), Value::ok());
    cluster.restart(leader, "--enable-debug-command local");
    cluster.nodes[leader].wait_ready();
    let digest = client.call("DEBUG DIGEST");
    for node in &cluster.nodes {
        let mut client = node.client();
        assert_eq!(client.call("DBSIZE"), 1001.into());
        assert_eq!(client.call("DEBUG DIGEST"), digest);
    }
    assert_eq!(client.call("DEBUG SET-ACTIVE-EXPIRE 1"), Value::ok());
    let is_removed = || cluster.client(other).call("DBSIZE") == 1000.into();
    wait::until_true("what is due is removed", LONG, is_removed);
}

#[test]
fn debug_is_off_unless_it_is_allowed() {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start_many(1, Layout::Folded, "");
    let mut client = cluster.client(0);
    for line in ["DEBUG SLEEP 0", "DEBUG POPULATE 10", "DEBUG NOSUCH"] {
        let refused = client.call(line).text();
        assert!(refused.starts_with("ERR DEBUG command not allowed."), "{line}: {refused}");
    }
    assert_eq!(client.call("DBSIZE"), 0.into());
}
