//! Stops in good order: leadership goes on, what was accepted is answered, and it ends in time.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Client, Value, encode};
use crate::cluster::{Cluster, Layout, on_both_layouts, start_node};
use crate::process::{free_ports, is_stand_in, one_at_a_time};
use crate::survival::count_during;
use crate::wait::{self, LONG};

on_both_layouts!(
    a_leader_that_stops_is_hardly_missed,
    what_was_accepted_before_a_stop_is_answered,
    shutdown_ends_when_the_node_does,
    with_nobody_to_hand_over_to_it_stops_all_the_same,
    a_client_that_sends_no_more_gets_all_its_replies,
);

/// What a stop may take: both of its stages, with room for a slow machine.
const STOP: Duration = Duration::from_secs(10);

fn a_leader_that_stops_is_hardly_missed(layout: Layout) {
    if is_stand_in() {
        return;
    }
    // Nobody stands for election because the machine is slow.
    let mut cluster = Cluster::start_with(layout, "--raft.election-timeout 10000");
    let leader = cluster.leader();
    let ports: Vec<u16> =
        cluster.followers().iter().map(|position| cluster.nodes[*position].port).collect();
    count_during(&mut cluster, &ports, |cluster| {
        let term = cluster.nodes[leader].term();
        cluster.nodes[leader].signal(Signal::TERM);
        assert!(cluster.nodes[leader].wait("the leader stops").success());
        // Handed over, not taken after a time-out: that would have cost at least one more term.
        let new_leader = cluster.leader();
        assert_eq!(cluster.nodes[new_leader].term(), term + 1);
    });
}

fn what_was_accepted_before_a_stop_is_answered(layout: Layout) {
    if is_stand_in() {
        return;
    }
    const CLIENTS: usize = 4;
    // So few that they are received at once.
    const COUNTS: usize = 40;
    let mut cluster = Cluster::start(layout);
    let victim = cluster.leader();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| cluster.client(victim)).collect();
    // INFO waits for all before it, so that most of it is received long before it may be run.
    let mut requests = Vec::new();
    for _ in 0..COUNTS {
        requests.extend_from_slice(&encode(&[b"INCR", b"counter"]));
        requests.extend_from_slice(&encode(&[b"INFO", b"server"]));
    }
    for client in &mut clients {
        client.send(&requests).unwrap();
    }
    for client in &mut clients {
        assert!(matches!(client.receive().unwrap(), Value::Integer(_)));
    }
    cluster.nodes[victim].signal(Signal::TERM);
    for client in &mut clients {
        for position in 1..2 * COUNTS {
            match (position % 2, client.receive().expect("all replies")) {
                (0, Value::Integer(_)) | (1, Value::Bulk(_)) => {}
                other => panic!("{position}: {other:?}"),
            }
        }
        assert_eq!(client.read_to_end(), b"");
    }
    assert!(cluster.nodes[victim].wait("the node stops").success());
    let survivor = (victim + 1) % cluster.nodes.len();
    let counted = cluster.client(survivor).call("GET counter");
    assert_eq!(counted, Value::bulk(&(CLIENTS * COUNTS).to_string()));
}

fn shutdown_ends_when_the_node_does(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    for victim in [cluster.followers()[0], cluster.leader()] {
        let mut client = cluster.client(victim);
        assert_eq!(
            client.call("SHUTDOWN SAVE").text(),
            "ERR Errors trying to SHUTDOWN. Check logs."
        );
        assert_eq!(client.call("SHUTDOWN ABORT").text(), "ERR No shutdown in progress.");
        client.send_command("SHUTDOWN NOSAVE");
        assert_eq!(client.read_to_end(), b"", "its end is the reply");
        assert!(cluster.nodes[victim].wait("the node stops").success());
        cluster.restart(victim, layout.option());
        cluster.nodes[victim].wait_ready();
    }
}

fn with_nobody_to_hand_over_to_it_stops_all_the_same(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let leader = cluster.leader();
    for follower in cluster.followers() {
        cluster.nodes[follower].pause();
    }
    let mut client = cluster.client(leader);
    client.send_command("SET k v");
    let asked = Instant::now();
    cluster.nodes[leader].signal(Signal::TERM);
    let reply = client.receive().expect("what was accepted is answered");
    assert!(matches!(reply, Value::Error(_)), "{reply:?}");
    assert!(cluster.nodes[leader].wait("the node stops").success());
    assert!(asked.elapsed() < STOP, "took {:?}", asked.elapsed());
    drop(cluster);

    let _turn = one_at_a_time();
    for options in ["--init", ""] {
        let port = free_ports(1);
        let mut process = start_node(port, &format!("{options} {}", layout.option()));
        wait::until("a node", LONG, || Client::try_connect(port).ok());
        process.signal(Signal::TERM);
        assert!(process.wait("a node without others stops").success(), "{options}");
    }
}

/// The one that sends no more need not have been answered by then, nor its last command run.
fn a_client_that_sends_no_more_gets_all_its_replies(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let mut client = cluster.client(cluster.followers()[0]);
    let mut requests = Vec::new();
    for command in [["INCR", "n"], ["INFO", "server"], ["INCR", "n"], ["ECHO", "end"]] {
        requests.extend_from_slice(&encode(&command.map(str::as_bytes)));
    }
    client.send(&requests).unwrap();
    client.finish_sending();
    assert_eq!(client.receive().unwrap(), Value::Integer(1));
    assert!(client.receive().unwrap().text().contains("redis_version"));
    assert_eq!(client.receive().unwrap(), Value::Integer(2));
    assert_eq!(client.receive().unwrap(), Value::bulk("end"));
    assert_eq!(client.read_to_end(), b"");
}
