//! Nodes that are reached by name, by IPv6, and by another address than before.

use std::net::{Ipv6Addr, TcpListener};

use crate::client::{Client, Value};
use crate::cluster::start_node;
use crate::process::{PEER_PORT_OFFSET, Process, free_ports, is_stand_in, one_at_a_time};
use crate::wait::{self, LONG};

/// Waits until a node of the cluster is ready, and gives a client of it.
fn ready(host: &str, port: u16) -> Client {
    let connect = || Client::try_connect_to((host, port)).ok();
    let mut client = wait::until("a node", LONG, connect);
    assert_eq!(client.call("RAFT.WAIT_READY 25000"), Value::ok(), "{host} {port}");
    client
}

/// The hosts and ports of CLUSTER SLOTS.
fn slots(client: &mut Client) -> Vec<(String, String)> {
    let Value::Array(ranges) = client.call("CLUSTER SLOTS") else { panic!("no slots") };
    let Value::Array(range) = &ranges[0] else { panic!("no range") };
    let place = |node: &Value| match node {
        Value::Array(node) => (node[0].text(), node[1].text()),
        other => panic!("{other:?} is no node"),
    };
    let mut places: Vec<_> = range[2..].iter().map(place).collect();
    places.sort();
    places
}

/// A cluster of three whose nodes call each other `host`, which is `bound` here.
fn check_host(host: &str, bound: &str) {
    let first = free_ports(3);
    let at = |port| match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let ports = [first, first + 1, first + 2];
    let _nodes: Vec<Process> = ports
        .iter()
        .map(|port| {
            let role = match *port == first {
                true => "--init".to_owned(),
                false => format!("--join {}", at(first)),
            };
            start_node(*port, &format!("{role} --bind {bound} --announce-address {host}"))
        })
        .collect();
    let connect = || Client::try_connect_to((bound, first)).ok();
    let mut client = wait::until("a node", LONG, connect);
    wait::until_true("three voters", LONG, || {
        client.info("raft_num_voting_nodes").as_deref() == Some("3")
    });
    let places: Vec<_> = ports.map(|port| (host.to_owned(), port.to_string())).into();
    for port in ports {
        let mut client = ready(bound, port);
        assert_eq!(client.call(&format!("SET {port} v")), Value::ok());
        assert_eq!(slots(&mut client), places);
        let leader = client.info("raft_leader_addr").unwrap();
        assert!(ports.iter().any(|port| leader == at(*port)), "{leader}");
        let node = client.info("raft_node1").unwrap();
        assert!(node.contains(&format!(",addr={host},port=")), "{node}");
        if leader != at(port) {
            let moved = client.call("RAFT.NODE REMOVE 4711").text();
            assert_eq!(moved, format!("MOVED 0 {leader}"));
        }
    }
}

#[test]
fn nodes_are_reached_by_name() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    check_host("localhost", "127.0.0.1");
}

#[test]
fn nodes_are_reached_by_ipv6() {
    if is_stand_in() || TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let _turn = one_at_a_time();
    check_host("::1", "::1");
}

#[test]
fn a_node_comes_back_at_another_address() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let first = free_ports(4);
    let join = format!("--join 127.0.0.1:{first}");
    let roles =
        ["--init --name one", &format!("{join} --name two"), &format!("{join} --name three")];
    let mut nodes: Vec<Process> =
        (first..).zip(roles).map(|(port, role)| start_node(port, role)).collect();
    let mut survivor = wait::until("a node", LONG, || Client::try_connect(first).ok());
    wait::until_true("three voters", LONG, || {
        survivor.info("raft_num_voting_nodes").as_deref() == Some("3")
    });
    assert_eq!(survivor.call("SET k v"), Value::ok());
    let old = first + 2;
    let new = first + 3;
    nodes[2].kill();
    nodes[2] = start_node(new, roles[2]);
    let mut moved = ready("127.0.0.1", new);
    assert_eq!(moved.call("GET k"), Value::bulk("v"));
    assert_eq!(moved.info("slot_name").as_deref(), Some("three"));
    for port in [first, first + 1, new] {
        let mut client = ready("127.0.0.1", port);
        let ports: Vec<_> = slots(&mut client).into_iter().map(|(_, port)| port).collect();
        assert_eq!(ports, [first, first + 1, new].map(|port| port.to_string()), "not {old}");
        let text = client.call("INFO raft").text();
        assert!(!text.contains(&(old + PEER_PORT_OFFSET).to_string()), "{text}");
        assert_eq!(client.info("raft_num_nodes").as_deref(), Some("3"));
    }
}
