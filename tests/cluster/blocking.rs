//! Commands that wait, through any node: who waits on one node is served by a push on any other.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::survival::SetOnDrop;
use crate::wait::{self, LONG};
use rustix::process::Signal;

on_both_layouts!(
    a_push_through_any_node_serves_who_waits_on_any_other,
    the_first_to_wait_is_the_first_to_be_served_on_whatever_node,
    a_wait_ends_at_its_time,
    commands_behind_a_wait_run_after_it_and_those_of_others_meanwhile,
    a_client_that_leaves_takes_nothing_along,
    clients_are_unblocked_by_others,
    every_element_goes_to_one_consumer_across_a_leader_kill,
    the_waits_of_a_node_that_is_replaced_are_gone,
    the_waits_of_a_node_that_is_silent_are_passed_over,
    a_wait_that_was_given_up_takes_nothing_later,
    a_node_that_stops_lets_its_clients_go,
);

/// Until as many clients of the node wait.
fn wait_for_blocked(cluster: &Cluster, position: usize, count: usize) {
    wait::until_true("clients that wait", LONG, || {
        cluster.nodes[position].info("blocked_clients") == Some(count.to_string())
    });
}

fn pair(key: &str, element: &str) -> Value {
    Value::Array(vec![Value::bulk(key), Value::bulk(element)])
}

fn a_push_through_any_node_serves_who_waits_on_any_other(layout: Layout) {
    let cluster = Cluster::start(layout);
    let entry = |id: &str| {
        let fields = Value::Array(vec![Value::bulk("f"), Value::bulk("v")]);
        let entry = Value::Array(vec![Value::bulk(id), fields]);
        Value::Array(vec![Value::Array(vec![Value::bulk("s"), Value::Array(vec![entry])])])
    };
    for waits in 0..3 {
        let mut waiting = cluster.client(waits);
        for pushes in 0..3 {
            let mut pushing = cluster.client(pushes);
            pushing.call("DEL l m z s");
            pushing.call("XGROUP CREATE s g 0 MKSTREAM");
            let group = "XREADGROUP GROUP g c BLOCK 0 STREAMS s >";
            for (wait, push, expected) in [
                ("BLPOP k l 0", "RPUSH l a", pair("l", "a")),
                ("BLMOVE l m LEFT RIGHT 0", "RPUSH l b", Value::bulk("b")),
                ("BLMPOP 0 1 l LEFT", "RPUSH l c", {
                    Value::Array(vec![Value::bulk("l"), Value::Array(vec![Value::bulk("c")])])
                }),
                ("BZPOPMIN z 0", "ZADD z 1 d", {
                    Value::Array(vec![Value::bulk("z"), Value::bulk("d"), Value::bulk("1")])
                }),
                ("XREAD BLOCK 0 STREAMS s $", "XADD s 1-1 f v", entry("1-1")),
                (group, "XGROUP SETID s g 1-1", Value::Null),
            ] {
                waiting.send_command(wait);
                if expected == Value::Null {
                    // What was there before is given at once.
                    assert_eq!(waiting.receive().unwrap(), entry("1-1"), "{wait}");
                    continue;
                }
                wait_for_blocked(&cluster, waits, 1);
                assert!(!matches!(pushing.call(push), Value::Error(_)), "{push}");
                assert_eq!(waiting.receive().unwrap(), expected, "{wait}, {waits} and {pushes}");
            }
            assert_eq!(pushing.call("LRANGE m 0 -1"), Value::Array(vec![Value::bulk("b")]));
            assert_eq!(pushing.call("EXISTS l z"), Value::Integer(0));
        }
    }
}

fn the_first_to_wait_is_the_first_to_be_served_on_whatever_node(layout: Layout) {
    const CLIENTS: usize = 12;
    let cluster = Cluster::start(layout);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|number| cluster.client(number % 3)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send_command("BLPOP queue 0");
        // A stand-in is one node with three faces.
        let count = if is_stand_in() { number } else { number / 3 } + 1;
        wait_for_blocked(&cluster, number % 3, count);
    }
    let mut pushing = cluster.client(1);
    for number in 0..CLIENTS / 2 {
        assert_eq!(pushing.call(&format!("RPUSH queue {number}")), Value::Integer(1));
    }
    let rest: Vec<String> = (CLIENTS / 2..CLIENTS).map(|number| number.to_string()).collect();
    pushing.call(&format!("RPUSH queue {}", rest.join(" ")));
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.receive().unwrap(), pair("queue", &number.to_string()));
    }
}

fn a_wait_ends_at_its_time(layout: Layout) {
    let cluster = Cluster::start(layout);
    for node in &cluster.nodes {
        let mut client = node.client();
        for line in [
            "BLPOP none 0.02",
            "BLMOVE none other LEFT LEFT 0.02",
            "BZPOPMAX none 0.02",
            "XREAD BLOCK 20 STREAMS none $",
        ] {
            assert_eq!(client.call(line), Value::Null, "{line}");
        }
        assert_eq!(client.call("RPUSH late 1"), Value::Integer(1));
        assert_eq!(client.call("BLPOP late 0.02"), pair("late", "1"));
        assert_eq!(node.info("blocked_clients").as_deref(), Some("0"));
    }
}

fn commands_behind_a_wait_run_after_it_and_those_of_others_meanwhile(layout: Layout) {
    let cluster = Cluster::start(layout);
    let (mut waiting, mut other) = (cluster.client(0), cluster.client(0));
    for line in ["SET before 1", "BLPOP l 0", "GET before", "INCR n", "BLPOP l 0", "PING"] {
        waiting.send_command(line);
    }
    wait_for_blocked(&cluster, 0, 1);
    assert_eq!(other.call("GET n"), Value::Null);
    assert!(other.call("CLIENT LIST").text().contains("flags=b"));
    other.call("SET before 2");
    other.call("RPUSH l a");
    wait::until_true("the second wait", LONG, || other.call("GET n") == Value::bulk("1"));
    other.call("RPUSH l b");
    let expected = [
        Value::ok(),
        pair("l", "a"),
        Value::bulk("2"),
        Value::Integer(1),
        pair("l", "b"),
        Value::Simple("PONG".into()),
    ];
    for value in expected {
        assert_eq!(waiting.receive().unwrap(), value);
    }
}

fn a_client_that_leaves_takes_nothing_along(layout: Layout) {
    let cluster = Cluster::start(layout);
    for position in 0..3 {
        let mut client = cluster.client(position);
        client.send_command("BLPOP l 0");
        wait_for_blocked(&cluster, position, 1);
        if position == 1 {
            client.finish_sending();
        } else {
            drop(client);
        }
        wait_for_blocked(&cluster, position, 0);
        let nobody = || cluster.nodes[0].info("total_blocking_keys");
        let is_gone = || is_stand_in() || nobody().as_deref() == Some("0");
        wait::until_true("the wait is over on all nodes", LONG, is_gone);
        let mut pushing = cluster.client(0);
        assert_eq!(pushing.call("RPUSH l a"), Value::Integer(1));
        assert_eq!(pushing.call("LPOP l"), Value::bulk("a"));
    }
}

fn clients_are_unblocked_by_others(layout: Layout) {
    let cluster = Cluster::start(layout);
    let (mut waiting, mut other) = (cluster.client(2), cluster.client(2));
    let id = waiting.call("CLIENT ID").text();
    let unblocked = Value::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".into());
    for (reason, expected) in [("", Value::Null), (" TIMEOUT", Value::Null), (" ERROR", unblocked)]
    {
        let line = format!("CLIENT UNBLOCK {id}{reason}");
        assert_eq!(other.call(&line), Value::Integer(0));
        waiting.send_command("BLPOP l 0");
        wait_for_blocked(&cluster, 2, 1);
        assert_eq!(other.call(&line), Value::Integer(1));
        assert_eq!(waiting.receive().unwrap(), expected);
    }
    waiting.send_command("BLPOP l 0");
    wait_for_blocked(&cluster, 2, 1);
    assert_eq!(other.call(&format!("CLIENT KILL ID {id}")), Value::Integer(1));
    waiting.read_to_end();
    wait_for_blocked(&cluster, 2, 0);
    assert!(matches!(other.call("WAIT 0 0"), Value::Integer(0..=2)));
}

/// Consumers on the nodes that live take from a queue that producers fill, while the leader dies.
fn every_element_goes_to_one_consumer_across_a_leader_kill(layout: Layout) {
    const TOTAL: usize = 600;
    let mut cluster = Cluster::start(layout);
    let leader = cluster.leader();
    let ports: Vec<u16> = cluster.followers().iter().map(|at| cluster.nodes[*at].port).collect();
    let (taken, stop) = (&Mutex::new(Vec::new()), &AtomicBool::new(false));
    let count = || taken.lock().unwrap().len();
    thread::scope(|scope| {
        let _end = SetOnDrop(stop);
        for port in ports.iter().cycle().take(6) {
            scope.spawn(move || {
                let mut client = Client::connect(*port);
                while !stop.load(Ordering::Relaxed) {
                    match client.call("BLPOP queue 0.2") {
                        Value::Null => {}
                        Value::Array(pair) => taken.lock().unwrap().push(pair[1].text()),
                        reply => panic!("{reply:?}"),
                    }
                }
            });
        }
        for (producer, port) in ports.iter().enumerate() {
            scope.spawn(move || {
                let mut client = Client::connect(*port);
                for number in 0..TOTAL / 2 {
                    let pushed = client.call(&format!("RPUSH queue {producer}:{number}"));
                    assert!(matches!(pushed, Value::Integer(1..)), "{pushed:?}");
                }
            });
        }
        wait::until_true("consumers that take", LONG, || count() > TOTAL / 10);
        if !is_stand_in() {
            cluster.nodes[leader].kill();
        }
        wait::until_true("all elements are taken", LONG, || count() >= TOTAL);
        stop.store(true, Ordering::Relaxed);
    });
    let taken = taken.lock().unwrap();
    let distinct: HashSet<&String> = taken.iter().collect();
    assert_eq!((taken.len(), distinct.len()), (TOTAL, TOTAL));
    assert_eq!(Client::connect(ports[0]).call("LLEN queue"), Value::Integer(0));
}

fn the_waits_of_a_node_that_is_replaced_are_gone(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let (leader, follower) = (cluster.leader(), cluster.followers()[0]);
    let mut clients: Vec<Client> = (0..5).map(|_| cluster.client(follower)).collect();
    for client in &mut clients {
        client.send_command("BLPOP l 0");
    }
    wait_for_blocked(&cluster, follower, 5);
    let mut lasting = cluster.client(leader);
    lasting.send_command("BLPOP l 0");
    wait_for_blocked(&cluster, leader, 1);
    cluster.nodes[follower].kill();
    cluster.restart(follower, layout.option());
    cluster.wait_until_complete();
    let mut pushing = cluster.client(follower);
    pushing.call("RPUSH l a b");
    assert_eq!(lasting.receive().unwrap(), pair("l", "a"));
    assert_eq!(pushing.call("LRANGE l 0 -1"), Value::Array(vec![Value::bulk("b")]));
}

/// A node that dies takes no more with it than what was pushed before it was found silent; one that
/// stood still lets its clients wait on.
fn the_waits_of_a_node_that_is_silent_are_passed_over(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let leader = cluster.leader();
    let (dead, frozen) = (cluster.followers()[0], cluster.followers()[1]);
    let (mut client, mut lasting) = (cluster.client(frozen), cluster.client(leader));
    client.send_command("BLPOP l 0");
    wait_for_blocked(&cluster, frozen, 1);
    cluster.nodes[frozen].pause();
    let keys = |cluster: &Cluster| cluster.nodes[leader].info("total_blocking_keys").unwrap();
    wait::until_true("the node is passed over", LONG, || keys(&cluster) == "0");
    assert_eq!(lasting.call("RPUSH l a"), Value::Integer(1));
    assert_eq!(lasting.call("LLEN l"), Value::Integer(1));
    cluster.nodes[frozen].resume();
    assert_eq!(client.receive().unwrap(), pair("l", "a"));
    let mut lost = cluster.client(dead);
    lost.send_command("BLPOP l 0");
    wait_for_blocked(&cluster, dead, 1);
    cluster.nodes[dead].kill();
    wait::until_true("the node is passed over", LONG, || keys(&cluster) == "0");
    assert_eq!(lasting.call("RPUSH l b"), Value::Integer(1));
    assert_eq!(client.call("BLPOP l 0"), pair("l", "b"));
}

/// The command of a client that is told that the outcome is unknown may be run after all; it is
/// then taken back.
fn a_wait_that_was_given_up_takes_nothing_later(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start_with(layout, "--no-leader-timeout 2s");
    let leader = cluster.leader();
    let mut client = cluster.client(leader);
    let followers = cluster.followers();
    followers.iter().for_each(|position| cluster.nodes[*position].pause());
    client.send_command("BLPOP l 0");
    let reply = client.receive().unwrap();
    assert_eq!(reply, Value::Error("TIMEOUT not committed yet".into()));
    followers.iter().for_each(|position| cluster.nodes[*position].resume());
    wait::until_true("a write after the pause", LONG, || client.call("SET k v") == Value::ok());
    let is_over = || cluster.nodes[leader].info("total_blocking_keys").as_deref() == Some("0");
    wait::until_true("nobody waits", LONG, is_over);
    assert_eq!(client.call("RPUSH l a"), Value::Integer(1));
    assert_eq!(client.call("BLPOP l 0"), pair("l", "a"));
}

fn a_node_that_stops_lets_its_clients_go(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    for position in [cluster.followers()[0], cluster.leader()] {
        let mut client = cluster.client(position);
        client.send_command("BLPOP l 0");
        wait_for_blocked(&cluster, position, 1);
        cluster.nodes[position].signal(Signal::TERM);
        let unblocked = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
        assert_eq!(client.receive().unwrap(), Value::Error(unblocked.into()));
        assert!(client.read_to_end().is_empty());
        assert!(cluster.nodes[position].wait("the end of the node").success());
        cluster.restart(position, layout.option());
        cluster.wait_until_complete();
    }
}
