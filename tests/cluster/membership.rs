//! Members removed and added by command, leadership handed over by command: replies, errors, and
//! what clients of the others see.

use crate::client::Value;
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::survival::count_during;
use crate::wait::{self, LONG};

on_both_layouts!(
    a_follower_removed_in_its_sleep_disturbs_nobody,
    a_leader_removes_itself,
    a_cluster_shrinks_to_one_voter_and_grows_again,
    removals_are_refused_in_words,
    one_change_of_the_voters_at_a_time,
    transfers_are_refused_in_words,
);

const REMOVED: &str = "NOCLUSTER No Raft Cluster (this node has been removed)";

fn error(text: &str) -> Value {
    Value::Error(text.to_owned())
}

fn a_follower_removed_in_its_sleep_disturbs_nobody(layout: Layout) {
    if is_stand_in() {
        return;
    }
    // Nobody stands for election because the machine is slow.
    let mut cluster = Cluster::start_with(layout, "--raft.election-timeout 10000");
    let leader = cluster.leader();
    let term = cluster.nodes[leader].term();
    let followers = cluster.followers();
    let (victim, other) = (followers[0], followers[1]);
    let id = cluster.nodes[victim].id();
    let ports = [cluster.nodes[leader].port, cluster.nodes[other].port];
    count_during(&mut cluster, &ports, |cluster| {
        cluster.nodes[victim].pause();
        let mut admin = cluster.client(leader);
        assert_eq!(admin.call(&format!("RAFT.NODE REMOVE {id}")), Value::ok());
        assert_eq!(cluster.nodes[leader].voters(), 2);
        cluster.nodes[victim].resume();
        let state = || cluster.nodes[victim].info("raft_state");
        wait::until_true("it knows", LONG, || state().as_deref() == Some("removed"));
    });
    assert_eq!(cluster.leader(), leader);
    assert_eq!(cluster.nodes[leader].term(), term, "nobody stood for election");
    let mut removed = cluster.client(victim);
    for command in ["GET counter", "INCR counter"] {
        assert_eq!(removed.call(command), error(REMOVED));
    }
    assert_eq!(removed.call("PING").text(), "PONG");
    let not_ready = "TIMEOUT not ready: the node is not a voter";
    assert_eq!(removed.call("RAFT.WAIT_READY 1"), error(not_ready));
    assert_eq!(removed.call("RAFT.CLUSTER INIT"), error("ERR Already cluster member"));
}

fn a_leader_removes_itself(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let leader = cluster.leader();
    let id = cluster.nodes[leader].id();
    let ports: Vec<u16> =
        cluster.followers().iter().map(|position| cluster.nodes[*position].port).collect();
    count_during(&mut cluster, &ports, |cluster| {
        let mut admin = cluster.client(leader);
        assert_eq!(admin.call(&format!("RAFT.NODE REMOVE {id}")), Value::ok());
        let state = || cluster.nodes[leader].info("raft_state");
        wait::until_true("it knows", LONG, || state().as_deref() == Some("removed"));
    });
    let new_leader = cluster.leader();
    assert_ne!(new_leader, leader);
    assert_eq!(cluster.nodes[new_leader].voters(), 2);
    assert_eq!(cluster.client(leader).call("GET counter"), error(REMOVED));
}

fn a_cluster_shrinks_to_one_voter_and_grows_again(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let leader = cluster.leader();
    let followers = cluster.followers();
    let ids = followers.iter().map(|position| cluster.nodes[*position].id()).collect::<Vec<_>>();
    let own_id = cluster.nodes[leader].id();
    let mut admin = cluster.client(leader);
    assert_eq!(admin.call("SET k v"), Value::ok());
    // One of them is dead, the other one lives.
    cluster.nodes[followers[0]].kill();
    assert_eq!(admin.call(&format!("RAFT.NODE REMOVE {}", ids[0])), Value::ok());
    let mut remove = || admin.call(&format!("RAFT.NODE REMOVE {}", ids[1]));
    // The change before is committed, and may not have ended.
    let reply = wait::until("a change", LONG, || {
        let reply = remove();
        (reply != error("ERR one voting change only")).then_some(reply)
    });
    assert_eq!(reply, Value::ok());
    let voters = || cluster.nodes[leader].voters();
    wait::until_true("one voter", LONG, || voters() == 1);
    let last = wait::until("an answer", LONG, || {
        let reply = admin.call(&format!("RAFT.NODE REMOVE {own_id}"));
        (reply != error("ERR one voting change only")).then_some(reply)
    });
    assert_eq!(last, error("ERR the last voter cannot be removed"));
    assert_eq!(admin.call("SET k w"), Value::ok(), "it goes on alone");
    assert_eq!(admin.call("RAFT.WAIT_READY 5000"), Value::ok());
    cluster.nodes[followers[1]].kill();
    for position in followers {
        cluster.restart_through(position, &[leader], layout.option());
    }
    cluster.wait_until_complete();
    for node in &cluster.nodes {
        node.wait_ready();
        assert_eq!(node.client().call("GET k"), Value::bulk("w"));
        assert_eq!(node.info("raft_num_nodes").as_deref(), Some("3"));
    }
}

fn removals_are_refused_in_words(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let leader = cluster.leader();
    let address = format!("127.0.0.1:{}", cluster.nodes[leader].port);
    let id = cluster.nodes[leader].id();
    let mut admin = cluster.client(leader);
    assert_eq!(admin.call("RAFT.NODE REMOVE 4711"), error("ERR node id does not exist"));
    let mut follower = cluster.client(cluster.followers()[0]);
    let moved = error(&format!("MOVED 0 {address}"));
    assert_eq!(follower.call(&format!("RAFT.NODE REMOVE {id}")), moved);
    assert_eq!(follower.call("RAFT.NODE REMOVE 4711"), moved);
    assert_eq!(cluster.nodes[leader].voters(), 3);
}

/// Election time-outs that are long beside the steps of a test: a leader whose followers stand
/// still must not yet have stepped down.
const PATIENT: &str = "--raft.election-timeout 3000";

fn one_change_of_the_voters_at_a_time(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start_with(layout, PATIENT);
    let leader = cluster.leader();
    let followers = cluster.followers();
    let ids = followers.iter().map(|position| cluster.nodes[*position].id()).collect::<Vec<_>>();
    let (mut first, mut second) = (cluster.client(leader), cluster.client(leader));
    for follower in &followers {
        cluster.nodes[*follower].pause();
    }
    first.send_command(&format!("RAFT.NODE REMOVE {}", ids[0]));
    wait::until_true("the change is under way", LONG, || {
        cluster.nodes[leader].info("raft_is_joint").as_deref() == Some("yes")
    });
    for command in [format!("RAFT.NODE REMOVE {}", ids[1]), "RAFT.NODE REMOVE 4711".to_owned()] {
        assert_eq!(second.call(&command), error("ERR one voting change only"));
    }
    let not_ready = "TIMEOUT not ready: a configuration change is in progress";
    assert_eq!(second.call("RAFT.WAIT_READY 1"), error(not_ready));
    assert_eq!(first.receive().unwrap(), error("TIMEOUT not committed yet"));
    for follower in &followers {
        cluster.nodes[*follower].resume();
    }
    // Whichever way it ended, it ended.
    wait::until_true("a settled configuration", LONG, || {
        cluster.nodes[followers[1]].info("raft_is_ready").as_deref() == Some("yes")
    });
    assert_eq!(cluster.client(followers[1]).call("SET k v"), Value::ok());
}

fn transfers_are_refused_in_words(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start_with(layout, PATIENT);
    let leader = cluster.leader();
    let followers = cluster.followers();
    let own_id = cluster.nodes[leader].id();
    let id = cluster.nodes[followers[0]].id();
    let mut admin = cluster.client(leader);
    for target in [own_id, 4711] {
        let reply = admin.call(&format!("RAFT.TRANSFER_LEADER {target}"));
        assert_eq!(reply, error("ERR invalid target node id"), "{target}");
    }
    let mut follower = cluster.client(followers[0]);
    for command in ["RAFT.TRANSFER_LEADER", &format!("RAFT.TRANSFER_LEADER {id}")] {
        assert_eq!(follower.call(command), error("ERR not leader"));
    }
    // To one that does not answer, and while that lasts to another one.
    cluster.nodes[followers[0]].pause();
    admin.send_command(&format!("RAFT.TRANSFER_LEADER {id}"));
    let mut other = cluster.client(leader);
    wait::until_true("the transfer is under way", LONG, || {
        other.info("raft_transfer_target") == Some(id.to_string())
    });
    let busy = error("ERR leader transfer is in progress");
    assert_eq!(other.call("RAFT.TRANSFER_LEADER"), busy);
    assert_eq!(other.call(&format!("RAFT.NODE REMOVE {id}")), busy);
    assert_eq!(admin.receive().unwrap(), error("ERR transfer timed out"));
    assert_eq!(other.call("SET k v"), Value::ok(), "it leads on");
    // Without a target it goes to the one that is up to date.
    assert_eq!(admin.call("RAFT.TRANSFER_LEADER"), Value::ok());
    assert_eq!(cluster.leader(), followers[1]);
    cluster.nodes[followers[0]].resume();
}
