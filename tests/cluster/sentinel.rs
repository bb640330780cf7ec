//! The discovery port: clients of Sentinel find the leader, and follow it when it dies.

use std::path::Path;

use crate::client::{Client, Value};
use crate::cluster::{Node, start_node};
use crate::process::{free_ports, is_stand_in, one_at_a_time, run_tool};
use crate::wait::{self, LONG};

/// Three nodes, each with a discovery port; the first discovery port.
fn start(options: &str) -> (Vec<Node>, u16) {
    let (first, sentinel) = (free_ports(3), free_ports(3));
    let start = |position: u16| {
        let port = first + position;
        let role = match position {
            0 => "--init".to_owned(),
            _ => format!("--join 127.0.0.1:{first}"),
        };
        let sentinel = sentinel + position;
        let options = format!("{role} --sentinel-port {sentinel} {options}");
        Node::new(port, start_node(port, &options))
    };
    let nodes: Vec<Node> = (0..3).map(start).collect();
    nodes.iter().for_each(Node::wait_ready);
    (nodes, sentinel)
}

fn leader_of(client: &mut Client) -> u16 {
    match client.call("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster") {
        Value::Array(parts) => parts[1].text().parse().unwrap(),
        other => panic!("no address: {other:?}"),
    }
}

#[test]
fn a_switch_is_told_to_those_who_subscribe() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let (mut nodes, sentinel) = start("--layout split");
    let mut asking: Vec<Client> = (0..3).map(|at| Client::connect(sentinel + at)).collect();
    let leader = leader_of(&mut asking[0]);
    assert!(asking.iter_mut().all(|client| leader_of(client) == leader));
    let position = nodes.iter().position(|node| node.port == leader).unwrap();
    assert_eq!(nodes[position].info("raft_role").as_deref(), Some("leader"));
    let other = (position + 1) % 3;
    let quorum = asking[other].call("SENTINEL CKQUORUM mymaster").text();
    assert!(quorum.starts_with("OK 3 usable Sentinels."), "{quorum}");
    let refused = asking[other].call("SET k v").text();
    assert!(refused.starts_with("ERR unknown command 'SET'"), "{refused}");
    // On the client port there is no SENTINEL.
    let unknown = nodes[other].client().call("SENTINEL MASTERS").text();
    assert!(unknown.starts_with("ERR unknown command 'SENTINEL'"), "{unknown}");
    let mut pattern = Client::connect(sentinel + other as u16);
    pattern.call("PSUBSCRIBE *");
    let mut subscriber = Client::connect(sentinel + other as u16);
    let confirmed = vec![Value::bulk("subscribe"), Value::bulk("+switch-master"), 1.into()];
    assert_eq!(subscriber.call("SUBSCRIBE +switch-master"), Value::Array(confirmed));
    nodes[position].kill();
    let told = |client: &mut Client| match client.receive().unwrap() {
        Value::Array(parts) => parts.iter().map(Value::text).collect::<Vec<_>>(),
        other => panic!("no message: {other:?}"),
    };
    let message = told(&mut subscriber);
    assert_eq!(message[..2], ["message", "+switch-master"]);
    let next = leader_of(&mut asking[other]);
    assert_ne!(next, leader);
    assert_eq!(message[2], format!("mymaster 127.0.0.1 {leader} 127.0.0.1 {next}"));
    let by_pattern = told(&mut pattern);
    assert_eq!(by_pattern[..3], ["pmessage", "*", "+switch-master"]);
    assert_eq!(by_pattern[3], message[2]);
    assert_eq!(asking[other].call("SENTINEL FAILOVER mymaster"), Value::ok());
    let moved = || leader_of(&mut asking[other]) != next;
    wait::until_true("somebody else leads", LONG, moved);
}

#[test]
fn sentinel_of_redis_py_follows_the_leader() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let (nodes, sentinel) = start("--layout folded");
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python3");
    let python = std::env::var("MAYFLY_PYTHON").unwrap_or_else(|_| installed.to_owned());
    assert!(Path::new(&python).exists(), "{python} is missing: `tests/run install` installs it");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/sentinel.py");
    let described = nodes
        .iter()
        .zip(sentinel..)
        .map(|(node, sentinel)| format!("{sentinel}:{}:{}", node.port, node.pid()));
    let described = described.collect::<Vec<_>>().join(" ");
    let (success, printed) = run_tool(&python, &format!("{script} {described}"));
    assert!(success && printed.ends_with("sentinel: passed\n"), "{printed}");
}
