//! How nodes start: forming a cluster by hand, and refusing to start with one clear line.

use std::net::{Ipv4Addr, TcpListener};

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts, start_node};
use crate::process::{PEER_PORT_OFFSET, Process, binary, free_ports, is_stand_in, one_at_a_time};
use crate::wait::{self, LONG};

on_both_layouts!(
    a_cluster_is_formed_by_command,
    a_node_that_joins_first_waits_for_the_cluster,
    every_node_tells_its_layout,
);

fn a_cluster_is_formed_by_command(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let first = free_ports(3);
    let ports = [first, first + 1, first + 2];
    let _nodes = ports.map(|port| start_node(port, layout.option()));
    let mut clients =
        ports.map(|port| wait::until("a node", LONG, || Client::try_connect(port).ok()));
    for client in &mut clients {
        let refused = client.call("SET k v");
        assert_eq!(refused, Value::Error("NOCLUSTER No Raft Cluster".into()));
        assert_eq!(client.call("PING").text(), "PONG");
        assert_eq!(client.info("raft_state").as_deref(), Some("uninitialized"));
    }
    // "OK" and the id of the cluster, 32 hexadecimal digits.
    let answer = clients[0].call("RAFT.CLUSTER INIT").text();
    let id = answer.strip_prefix("OK ").unwrap_or_else(|| panic!("{answer}"));
    assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()), "{answer}");
    for client in &mut clients[1..] {
        assert_eq!(client.call(&format!("RAFT.CLUSTER JOIN 127.0.0.1:{first}")), Value::ok());
    }
    for client in &mut clients {
        wait::until_true("three voters", LONG, || {
            client.info("raft_num_voting_nodes").as_deref() == Some("3")
        });
        assert_eq!(client.call("INCR joined").text().parse::<i32>().ok(), Some(1));
        assert_eq!(client.call("DEL joined"), Value::Integer(1));
        assert!(matches!(client.call("RAFT.CLUSTER INIT"), Value::Error(_)));
    }
}

fn a_node_that_joins_first_waits_for_the_cluster(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let first = free_ports(2);
    let join = format!("--join 127.0.0.1:{first} {}", layout.option());
    let _early = start_node(first + 1, &join);
    let mut early = wait::until("a node", LONG, || Client::try_connect(first + 1).ok());
    let refused = early.call("GET k").text();
    assert!(refused.starts_with("LOADING "), "{refused}");
    let _late = start_node(first, &format!("--init {}", layout.option()));
    wait::until_true("the early node is admitted", LONG, || early.call("SET k v") == Value::ok());
    assert_eq!(Client::connect(first).call("GET k"), Value::bulk("v"));
}

fn every_node_tells_its_layout(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    for node in &cluster.nodes {
        let text = node.client().call("INFO everything").text();
        let told = text.lines().find(|line| line.contains("layout")).expect("a layout in INFO");
        for role in ["net", "raft", "apply"] {
            assert!(told.contains(role), "{told}");
        }
    }
}

/// Starts a node that must refuse, and returns its complaint.
fn refusal(arguments: &str) -> String {
    let mut process = Process::start(&binary(), arguments);
    let status = process.wait("the node refuses to start");
    assert!(!status.success(), "{arguments}: {status}");
    process.complaints()
}

#[test]
fn what_cannot_work_is_refused_in_one_line() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let port = free_ports(1);
    let client_port = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let in_use = refusal(&format!("node --port {port} --init"));
    assert!(in_use.contains(&port.to_string()), "{in_use}");
    drop(client_port);
    let peer_port = TcpListener::bind((Ipv4Addr::LOCALHOST, port + PEER_PORT_OFFSET)).unwrap();
    let peer_in_use = refusal(&format!("node --port {port} --init"));
    assert!(peer_in_use.contains(&(port + PEER_PORT_OFFSET).to_string()), "{peer_in_use}");
    drop(peer_port);
    let no_cpu = refusal(&format!("node --port {port} --init --raft-core 1000"));
    assert!(no_cpu.contains("1000"), "{no_cpu}");
    let contradiction = refusal(&format!("node --port {port} --init --join 127.0.0.1:1"));
    for complaint in [&in_use, &peer_in_use, &no_cpu, &contradiction] {
        assert_eq!(complaint.trim_end().lines().count(), 1, "{complaint}");
    }
    let unknown = refusal("node --no-such-option");
    assert!(unknown.contains("no-such-option"), "{unknown}");
    assert!(refusal("node --port 70000").contains("70000"));
}
