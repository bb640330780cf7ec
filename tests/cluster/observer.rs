//! Who takes part and how: observers, second processes of a slot, members that were away for long.

use rustix::process::Signal;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts, start_node};
use crate::process::{Process, free_ports, is_stand_in, one_at_a_time};
use crate::wait::{self, LONG};

on_both_layouts!(
    an_observer_serves_like_every_node_and_never_votes,
    an_observer_that_restarts_takes_its_own_place,
);

struct Observer {
    port: u16,
    process: Process,
}

impl Observer {
    /// Joins `cluster` and waits until it serves.
    fn join(cluster: &Cluster, port: u16, layout: Layout) -> Self {
        let options =
            format!("--join 127.0.0.1:{} --observer {}", cluster.nodes[0].port, layout.option());
        let process = start_node(port, &options);
        wait::until_true("the observer serves", LONG, || is_up(port));
        Self { port, process }
    }

    fn client(&self) -> Client {
        Client::connect(self.port)
    }
}

fn info(port: u16, name: &str) -> Option<String> {
    Client::try_connect(port).ok()?.info(name)
}

fn is_up(port: u16) -> bool {
    info(port, "raft_state").as_deref() == Some("up")
}

fn an_observer_serves_like_every_node_and_never_votes(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    assert_eq!(cluster.client(0).call("SET before 1"), Value::ok());
    let port = free_ports(1);
    let observer = Observer::join(&cluster, port, layout);
    let mut client = observer.client();
    for (name, expected) in [
        ("raft_is_voting", "no"),
        ("raft_is_observer", "yes"),
        ("raft_num_voting_nodes", "3"),
        ("raft_num_nodes", "4"),
    ] {
        assert_eq!(client.info(name).as_deref(), Some(expected), "{name}");
    }
    let leader = cluster.leader();
    let text = cluster.client(leader).call("INFO raft").text();
    let line = text.lines().find(|line| line.contains("observer=yes")).expect("its line");
    assert!(line.contains("voting=no") && line.contains("state=connected"), "{line}");
    assert_eq!(client.call("GET before"), Value::bulk("1"));
    for round in 0..200 {
        let mut other = cluster.client(round % 3);
        assert_eq!(client.call(&format!("SET here {round}")), Value::ok());
        assert_eq!(other.call("GET here"), Value::bulk(&round.to_string()));
        assert_eq!(other.call(&format!("SET there {round}")), Value::ok());
        assert_eq!(client.call("GET there"), Value::bulk(&round.to_string()));
    }
    // The death of the leader is a pause for its clients, and every command runs once.
    for number in 1..=100 {
        assert_eq!(client.call("INCR counter"), Value::Integer(number));
    }
    cluster.nodes[leader].kill();
    for number in 101..=200 {
        assert_eq!(client.call("INCR counter"), Value::Integer(number));
    }
    let id = client.info("raft_node_id").unwrap();
    let new_leader = cluster.leader();
    let removed = cluster.client(new_leader).call(&format!("RAFT.NODE REMOVE {id}"));
    assert_eq!(removed, Value::ok());
    let is_removed = || info(port, "raft_state").as_deref() == Some("removed");
    wait::until_true("the observer knows that it was removed", LONG, is_removed);
    assert!(client.call("GET counter").text().starts_with("NOCLUSTER "));
}

fn an_observer_that_restarts_takes_its_own_place(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let port = free_ports(1);
    let mut observer = Observer::join(&cluster, port, layout);
    assert_eq!(observer.client().call("SET k v"), Value::ok());
    let former = observer.client().info("raft_node_id");
    observer.process.kill();
    wait::until_true("free ports", LONG, || crate::process::is_free(port));
    let again = Observer::join(&cluster, port, layout);
    assert_ne!(again.client().info("raft_node_id"), former);
    assert_eq!(again.client().call("GET k"), Value::bulk("v"));
    assert_eq!(again.client().info("raft_num_nodes").as_deref(), Some("4"));
}

#[test]
fn an_observer_that_slept_through_the_restart_of_every_voter_finds_its_way_back() {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(Layout::Folded);
    let port = free_ports(1);
    let observer = Observer::join(&cluster, port, Layout::Folded);
    observer.process.signal(Signal::STOP);
    for position in 0..cluster.nodes.len() {
        cluster.nodes[position].kill();
        cluster.restart(position, Layout::Folded.option());
        let node = &cluster.nodes[position];
        let is_voter = || node.info("raft_is_voting").as_deref() == Some("yes");
        wait::until_true("its successor is a voter", LONG, is_voter);
    }
    assert_eq!(cluster.client(0).call("SET k v"), Value::ok());
    observer.process.signal(Signal::CONT);
    // None of those that it knows is there any more.
    let mut client = observer.client();
    wait::until_true("it is with the cluster again", LONG, || {
        client.call("GET k") == Value::bulk("v")
    });
}

#[test]
fn a_second_process_of_a_slot_waits_until_the_first_has_died() {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(Layout::Folded);
    let (first, other) = (cluster.nodes[1].port, cluster.nodes[0].port);
    let port = free_ports(1);
    let options =
        format!("--name 127.0.0.1:{first} --join 127.0.0.1:{other} {}", Layout::Folded.option());
    let second = start_node(port, &options);
    let is_refused =
        || info(port, "raft_join_refusal").is_some_and(|reason| reason.starts_with("SLOTALIVE "));
    wait::until_true("it is refused", LONG, is_refused);
    assert_eq!(info(port, "raft_state").as_deref(), Some("joining"));
    assert!(second.complaints().contains("another process has the slot"));
    assert!(Client::connect(port).call("GET k").text().starts_with("LOADING "));
    assert_eq!(cluster.client(1).call("SET k v"), Value::ok());
    cluster.nodes[1].kill();
    wait::until_true("it has the place", LONG, || {
        is_up(port) && info(port, "raft_is_voting").as_deref() == Some("yes")
    });
    assert_eq!(Client::connect(port).call("GET k"), Value::bulk("v"));
    assert_eq!(info(port, "raft_num_nodes").as_deref(), Some("3"));
}

#[test]
fn a_cluster_with_a_password_is_joined_by_who_has_it() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let first = free_ports(2);
    let password = format!("--requirepass sesame {}", Layout::Folded.option());
    let _first = start_node(first, &format!("--init {password}"));
    let _second = start_node(first + 1, &format!("--join 127.0.0.1:{first} {password}"));
    wait::until_true("two voters", LONG, || {
        let Ok(mut client) = Client::try_connect(first + 1) else { return false };
        assert_eq!(client.call("AUTH sesame"), Value::ok());
        client.info("raft_is_voting").as_deref() == Some("yes")
    });
}

#[test]
fn a_process_that_asks_again_for_its_admission_gets_the_same_answer() {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(Layout::Folded);
    let mut admin = cluster.client(cluster.leader());
    let add = |slot: &str, boot: u32, kind: &str| {
        let words = format!("RAFT.NODE ADD 0 127.0.0.1:1 SLOT {slot} BOOT {boot:032x} PEER");
        format!("{words} 127.0.0.1:2 {kind}").trim().to_owned()
    };
    let first = admin.call(&add("ghost", 77, "OBSERVER"));
    assert!(matches!(first, Value::Array(_)), "{first:?}");
    assert_eq!(admin.call(&add("ghost", 77, "OBSERVER")), first);
    // Nobody lives there, but the slot stays an observer's until that is removed.
    wait::until_true("the slot counts as dead", LONG, || {
        let refused = admin.call(&add("ghost", 78, "")).text();
        assert!(
            refused.starts_with("SLOTALIVE ") || refused.contains("an observer's"),
            "{refused}"
        );
        refused.contains("an observer's")
    });
}
