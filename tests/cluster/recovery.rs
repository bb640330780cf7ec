//! Clusters that come to be from a list of nodes, and clusters that have lost their majority, or
//! everything: what nodes do by themselves, what they leave to an operator, and what they refuse.

use std::fs;
use std::path::PathBuf;
use std::sync::MutexGuard;

use rustix::process::Signal;

use crate::client::{Client, Value};
use crate::cluster::{Layout, on_both_layouts, start_node};
use crate::process::{
    PEER_PORT_OFFSET, Process, binary, free_ports, is_free, is_stand_in, one_at_a_time,
};
use crate::wait::{self, LONG};

on_both_layouts!(
    listed_nodes_form_one_cluster_whatever_the_order,
    a_fresh_majority_waits_for_its_survivor_until_an_operator_decides,
);

/// Three nodes that were given the same list.
struct Listed {
    ports: [u16; 3],
    processes: [Option<Process>; 3],
    options: [String; 3],
    _turn: MutexGuard<'static, ()>,
}

impl Listed {
    /// Gives each node the list in another order, but starts none.
    fn new(options: &str) -> Self {
        let turn = one_at_a_time();
        let first = free_ports(3);
        let ports = [first, first + 1, first + 2];
        let options = [0, 1, 2].map(|position| {
            let rotated = [0, 1, 2].map(|offset| ports[(position + offset) % 3]);
            let list = rotated.map(|port| format!("127.0.0.1:{port}")).join(",");
            format!("--peers {list} {options}")
        });
        Self { ports, processes: [None, None, None], options, _turn: turn }
    }

    fn start(&mut self, position: usize) {
        let port = self.ports[position];
        wait::until_true("free ports", LONG, || is_free(port));
        self.processes[position] = Some(start_node(port, &self.options[position]));
        wait::until("a node", LONG, || Client::try_connect(port).ok());
    }

    fn start_all(options: &str) -> Self {
        let mut listed = Self::new(options);
        for position in [2, 0, 1] {
            listed.start(position);
        }
        listed.wait_until_complete();
        listed
    }

    fn kill(&mut self, position: usize) {
        self.processes[position].as_mut().unwrap().kill();
    }

    fn signal(&self, position: usize, signal: Signal) {
        self.processes[position].as_ref().unwrap().signal(signal);
    }

    fn client(&self, position: usize) -> Client {
        Client::connect(self.ports[position])
    }

    fn info(&self, position: usize, name: &str) -> Option<String> {
        Client::try_connect(self.ports[position]).ok()?.info(name)
    }

    fn wait_for(&self, position: usize, name: &str, expected: &str) {
        let what = format!("{name} of {expected} at {}", self.ports[position]);
        wait::until_true(&what, LONG, || self.info(position, name).as_deref() == Some(expected));
    }

    fn wait_until_complete(&self) {
        for position in 0..3 {
            self.wait_for(position, "raft_num_voting_nodes", "3");
            self.wait_for(position, "raft_num_nodes", "3");
            self.wait_for(position, "raft_quorum_ok", "yes");
        }
    }

    fn cluster_id(&self, position: usize) -> String {
        self.info(position, "raft_dbid").unwrap()
    }

    fn last_log_id(&self, position: usize) -> String {
        self.info(position, "raft_last_log_id").unwrap()
    }
}

fn error(text: &str) -> Value {
    Value::Error(text.into())
}

/// Short time-outs, so that a lost quorum shows soon.
const QUICK: &str = "--no-leader-timeout 1s";

fn listed_nodes_form_one_cluster_whatever_the_order(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut listed = Listed::start_all(layout.option());
    let cluster = listed.cluster_id(0);
    assert_eq!(cluster.len(), 32);
    assert_eq!(listed.client(1).call("SET k v"), Value::ok());
    for position in 0..3 {
        assert_eq!(listed.cluster_id(position), cluster);
        assert_eq!(listed.client(position).call("GET k"), Value::bulk("v"));
        assert_eq!(listed.info(position, "raft_waiting_for"), None);
    }
    // The same line again finds the others in their cluster, and takes the former one's place.
    listed.kill(1);
    listed.start(1);
    listed.wait_until_complete();
    assert_eq!(listed.cluster_id(1), cluster);
    assert_eq!(listed.client(1).call("GET k"), Value::bulk("v"));
    let id: u64 = listed.info(1, "raft_node_id").unwrap().parse().unwrap();
    assert!(id > 3, "a new member, not the founder {id}");
}

#[test]
fn while_a_listed_node_is_silent_nobody_serves_and_it_is_named() {
    if is_stand_in() {
        return;
    }
    let mut listed = Listed::new("");
    listed.start(0);
    listed.start(2);
    let silent = format!("no answer from 127.0.0.1:{}", listed.ports[1]);
    for position in [0, 2] {
        listed.wait_for(position, "raft_waiting_for", &silent);
        assert_eq!(listed.info(position, "raft_state").as_deref(), Some("joining"));
        assert_eq!(listed.cluster_id(position), "");
        let refused = listed.client(position).call("SET k v");
        assert_eq!(refused, error("LOADING No Raft Cluster (joining now)"));
    }
    // Which an administrator can override: the others join what he creates.
    let created = listed.client(2).call("RAFT.CLUSTER INIT").text();
    assert!(created.starts_with("OK "), "{created}");
    listed.start(1);
    listed.wait_until_complete();
    for position in 0..3 {
        assert_eq!(format!("OK {}", listed.cluster_id(position)), created);
    }
}

#[test]
fn listed_nodes_that_leave_a_total_loss_to_the_operator_found_nothing() {
    if is_stand_in() {
        return;
    }
    let mut listed = Listed::new("--on-total-loss manual");
    (0..3).for_each(|position| listed.start(position));
    let waiting = "all listed nodes are fresh: RAFT.CLUSTER INIT decides";
    (0..3).for_each(|position| listed.wait_for(position, "raft_waiting_for", waiting));
    assert!(listed.client(1).call("RAFT.CLUSTER INIT").text().starts_with("OK "));
    listed.wait_until_complete();
}

#[test]
fn listed_nodes_find_each_other_behind_their_password() {
    if is_stand_in() {
        return;
    }
    let mut listed = Listed::new("--requirepass secret");
    (0..3).for_each(|position| listed.start(position));
    let voters = |port: u16| {
        let mut client = Client::try_connect(port).ok()?;
        assert_eq!(client.call("AUTH secret"), Value::ok());
        client.info("raft_num_voting_nodes")
    };
    for port in listed.ports {
        wait::until_true("three voters", LONG, || voters(port).as_deref() == Some("3"));
        let asked = Client::connect(port).call("RAFT.CLUSTER STATE").text();
        assert!(asked.starts_with("NOAUTH "), "{asked}");
    }
}

fn a_fresh_majority_waits_for_its_survivor_until_an_operator_decides(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut listed = Listed::start_all(&format!("{QUICK} {}", layout.option()));
    let former = listed.cluster_id(0);
    assert_eq!(listed.client(1).call("SET k v"), Value::ok());
    assert_eq!(listed.client(0).call("INCR n"), Value::Integer(1));
    let recover = |cluster: &str, last: &str| {
        format!("RAFT.CLUSTER FORCE-RECOVER {cluster} {last} ACCEPT-DATA-LOSS")
    };
    let healthy = listed.client(0).call(&recover(&former, "2:5"));
    assert_eq!(healthy, error("ERR the quorum is not lost"));
    let known = listed.info(2, "raft_node_id").unwrap();
    [1, 2].into_iter().for_each(|position| listed.kill(position));
    [1, 2].into_iter().for_each(|position| listed.start(position));
    listed.wait_for(0, "raft_state", "quorum_lost");
    assert_eq!(listed.client(0).call("GET k"), error("CLUSTERDOWN No raft leader"));
    // The survivor tells whom it knew, and who asks for their places.
    for position in [1, 2] {
        let slot = format!("slot=127.0.0.1:{},", listed.ports[position]);
        wait::until_true("the fresh node is seen to ask", LONG, || {
            let lines = (1..=3).filter_map(|n| listed.info(0, &format!("raft_slot{n}")));
            let line = lines.into_iter().find(|line| line.starts_with(&slot));
            line.is_some_and(|line| !line.ends_with("asking_boot=-") && line.contains("heard=no"))
        });
        // A fresh majority is no cluster: the two see the survivor and wait for it.
        let waiting = listed.info(position, "raft_waiting_for").unwrap();
        assert!(waiting.contains("CLUSTERDOWN No raft leader"), "{waiting}");
        assert_eq!(listed.cluster_id(position), "");
        let refused = listed.client(position).call("SET k w");
        assert_eq!(refused, error("LOADING No Raft Cluster (joining now)"));
    }
    let last = listed.last_log_id(0);
    let other = "0".repeat(32);
    for (command, refusal) in [
        (recover(&other, &last), format!("ERR this node belongs to cluster {former}")),
        (recover(&former, "1:1"), format!("ERR the log of this node ends with {last}")),
    ] {
        assert_eq!(listed.client(0).call(&command), error(&refusal));
    }
    let fresh = listed.client(1).call(&recover(&former, &last));
    assert_eq!(fresh, error("LOADING No Raft Cluster (joining now)"));
    let created = listed.client(1).call("RAFT.CLUSTER INIT");
    assert_eq!(created, error("ERR a listed node is in a cluster"));
    assert_eq!(listed.info(0, "raft_state").as_deref(), Some("quorum_lost"));
    let recovered = listed.client(0).call(&recover(&former, &last)).text();
    let cluster = recovered.strip_prefix("OK ").unwrap_or_else(|| panic!("{recovered}"));
    assert_ne!(cluster, former);
    // Its data is served again, and the fresh nodes have joined it under ids of their own.
    listed.wait_until_complete();
    for position in 0..3 {
        assert_eq!(listed.cluster_id(position), cluster);
        assert_eq!(listed.client(position).call("GET k"), Value::bulk("v"));
    }
    assert_eq!(listed.client(2).call("INCR n"), Value::Integer(2));
    let id: u64 = listed.info(2, "raft_node_id").unwrap().parse().unwrap();
    assert!(id > known.parse().unwrap());
    assert_eq!(listed.info(0, "raft_state").as_deref(), Some("up"));
    assert_eq!(listed.info(0, "raft_last_log_id"), None);
}

#[test]
fn a_majority_that_was_only_silent_never_mixes_with_what_was_recovered() {
    if is_stand_in() {
        return;
    }
    let listed = Listed::start_all(QUICK);
    let former = listed.cluster_id(0);
    assert_eq!(listed.client(0).call("SET k both"), Value::ok());
    [1, 2].into_iter().for_each(|position| listed.signal(position, Signal::STOP));
    listed.wait_for(0, "raft_state", "quorum_lost");
    let last = listed.last_log_id(0);
    let recover = format!("RAFT.CLUSTER FORCE-RECOVER {former} {last} ACCEPT-DATA-LOSS");
    let recovered = listed.client(0).call(&recover).text();
    assert!(recovered.starts_with("OK "), "{recovered}");
    assert_eq!(listed.client(0).call("SET k survivor"), Value::ok());
    [1, 2].into_iter().for_each(|position| listed.signal(position, Signal::CONT));
    // The two are a majority of the former cluster and go on with it, without the third.
    wait::until_true("the former cluster serves", LONG, || {
        listed.client(1).call("SET k majority") == Value::ok()
    });
    let refusals = || listed.info(1, "raft_node1").unwrap().contains("state=connected");
    wait::until_true("they have no link to the survivor", LONG, || !refusals());
    for (position, value) in [(0, "survivor"), (1, "majority"), (2, "majority")] {
        assert_eq!(listed.client(position).call("GET k"), Value::bulk(value));
    }
    assert_eq!(listed.cluster_id(1), former);
    assert_eq!(listed.cluster_id(2), former);
    assert_eq!(recovered, format!("OK {}", listed.cluster_id(0)));
    assert_eq!(listed.info(0, "raft_num_nodes").as_deref(), Some("1"));
}

#[test]
fn a_majority_that_comes_back_ends_the_halt_of_the_survivor() {
    if is_stand_in() {
        return;
    }
    let listed = Listed::start_all(QUICK);
    let cluster = listed.cluster_id(2);
    assert_eq!(listed.client(2).call("SET k v"), Value::ok());
    [0, 1].into_iter().for_each(|position| listed.signal(position, Signal::STOP));
    listed.wait_for(2, "raft_state", "quorum_lost");
    let last = listed.last_log_id(2);
    [0, 1].into_iter().for_each(|position| listed.signal(position, Signal::CONT));
    listed.wait_for(2, "raft_quorum_ok", "yes");
    listed.wait_for(2, "raft_state", "up");
    let recover = format!("RAFT.CLUSTER FORCE-RECOVER {cluster} {last} ACCEPT-DATA-LOSS");
    assert_eq!(listed.client(2).call(&recover), error("ERR the quorum is not lost"));
    assert_eq!(listed.client(2).call("GET k"), Value::bulk("v"));
    assert_eq!(listed.cluster_id(2), cluster);
}

/// A file that goes with the test.
struct TestFile(PathBuf);

impl TestFile {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("{}-{name}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn option(&self) -> String {
        format!("--cluster-config-file {}", self.0.display())
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        // What cannot be removed goes with the target folder.
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn when_all_are_lost_the_nodes_of_a_file_found_a_new_empty_cluster() {
    if is_stand_in() {
        return;
    }
    let mut listed = Listed::new("");
    let line = |port: &u16| format!("node-{port} 127.0.0.1:{}\n", port + PEER_PORT_OFFSET);
    let text: String = listed.ports.iter().map(line).collect();
    let file = TestFile::new("nodes.conf", &format!("# cluster ports\n{text}"));
    listed.options = [file.option(), file.option(), file.option()];
    (0..3).for_each(|position| listed.start(position));
    listed.wait_until_complete();
    let former = listed.cluster_id(0);
    assert_eq!(listed.client(0).call("SET k v"), Value::ok());
    (0..3).for_each(|position| listed.kill(position));
    (0..3).for_each(|position| listed.start(position));
    listed.wait_until_complete();
    let cluster = listed.cluster_id(0);
    assert_ne!(cluster, former, "clients can tell that their data is gone");
    assert_eq!(listed.client(2).call("GET k"), Value::Null);
    assert_eq!(listed.client(1).call("SET k w"), Value::ok());
    assert_eq!(listed.client(0).call("GET k"), Value::bulk("w"));
}

/// Starts a node that must refuse, and returns its one line of complaint.
fn refusal(arguments: &str) -> String {
    let mut process = Process::start(&binary(), arguments);
    let status = process.wait("the node refuses to start");
    assert!(!status.success(), "{arguments}: {status}");
    let complaint = process.complaints();
    assert_eq!(complaint.trim_end().lines().count(), 1, "{complaint}");
    complaint
}

#[test]
fn a_list_that_makes_no_sense_is_refused_in_one_line() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let port = free_ports(1);
    let (own, other) = (format!("127.0.0.1:{port}"), "127.0.0.1:1");
    for (options, expected) in [
        (format!("--peers {other},127.0.0.1:2"), format!("this node, {own}, is not in the list")),
        (format!("--peers {own},{other},{other}"), format!("{other} is listed twice")),
        (format!("--peers {own},nowhere"), "must be in the form of".to_owned()),
        (format!("--peers {own},{other} --init"), "exclude each other".to_owned()),
        (format!("--peers {own},{other} --join {other}"), "exclude each other".to_owned()),
        (
            "--cluster-config-file /nonexistent".to_owned(),
            "/nonexistent: cannot be read".to_owned(),
        ),
    ] {
        let complaint = refusal(&format!("node --port {port} {options}"));
        assert!(complaint.contains(&expected), "{complaint}");
    }
    for (text, expected) in [
        (format!("a {own}\nb\n"), "line 2: 'b' is not of the form 'name host:port'"),
        (format!("a {own}\na {other}\n"), "a is listed twice"),
        (format!("a {other}\n"), "is not in the list"),
    ] {
        let file = TestFile::new("bad.conf", &text);
        let complaint = refusal(&format!("node --port {port} {}", file.option()));
        assert!(complaint.contains(expected), "{complaint}");
    }
}
