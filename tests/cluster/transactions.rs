//! MULTI, EXEC and WATCH through any node: a transaction is one step of the whole cluster.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::survival::SetOnDrop;
use crate::wait::{self, LONG};

on_both_layouts!(
    transactions_answer_as_redis_does,
    commands_of_the_node_keep_their_place_in_a_transaction,
    a_pipeline_keeps_its_order_around_transactions,
    a_watch_is_broken_by_a_write_through_any_node,
    nobody_sees_half_a_transaction,
    optimistic_counters_are_exact_across_a_leader_kill,
    sessions_that_end_leave_nothing_behind,
);

fn queued() -> Value {
    Value::Simple("QUEUED".into())
}

fn error(text: &str) -> Value {
    Value::Error(text.into())
}

#[track_caller]
fn check(client: &mut Client, cases: &[(&str, Value)]) {
    for (line, expected) in cases {
        assert_eq!(client.call(line), *expected, "{line}");
    }
}

const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";

fn transactions_answer_as_redis_does(layout: Layout) {
    let cluster = Cluster::start(layout);
    let ok = Value::ok;
    for node in &cluster.nodes {
        let mut client = node.client();
        client.call("DEL a l");
        check(
            &mut client,
            &[
                ("EXEC", error("ERR EXEC without MULTI")),
                ("DISCARD", error("ERR DISCARD without MULTI")),
                ("UNWATCH", ok()),
                ("MULTI", ok()),
                ("MULTI", error("ERR MULTI calls can not be nested")),
                ("WATCH k", error("ERR WATCH inside MULTI is not allowed")),
                ("SET a b", queued()),
                ("INCR a", queued()),
                ("RPUSH l 1 2", queued()),
                ("LRANGE l 0 -1", queued()),
                ("UNWATCH", queued()),
            ],
        );
        let list = Value::Array(vec![Value::bulk("1"), Value::bulk("2")]);
        let failed = error("ERR value is not an integer or out of range");
        let replies = vec![ok(), failed, 2.into(), list, ok()];
        assert_eq!(client.call("EXEC"), Value::Array(replies));
        check(
            &mut client,
            &[
                ("MULTI", ok()),
                ("SET a", error("ERR wrong number of arguments for 'set' command")),
                ("SET a c", queued()),
                ("EXEC", error(ABORTED)),
                ("MULTI", ok()),
                ("NOPE", error("ERR unknown command 'NOPE', with args beginning with: ")),
                ("EXEC", error(ABORTED)),
                ("MULTI", ok()),
                ("SHUTDOWN", error("ERR Command not allowed inside a transaction")),
                ("EXEC", error(ABORTED)),
                ("MULTI", ok()),
                ("OBJECT NOPE a", error("ERR unknown subcommand 'NOPE'. Try OBJECT HELP.")),
                ("DISCARD", ok()),
                ("MULTI", ok()),
                ("SET a d", queued()),
                ("RESET", Value::Simple("RESET".into())),
                ("EXEC", error("ERR EXEC without MULTI")),
                ("MULTI", ok()),
                (
                    "EXEC now",
                    error(
                        "EXECABORT Transaction discarded because of: wrong number of arguments for \
                     'exec' command",
                    ),
                ),
                ("EXEC", error("ERR EXEC without MULTI")),
                ("MULTI", ok()),
                ("EXEC", Value::Array(vec![])),
                ("GET a", Value::bulk("b")),
            ],
        );
    }
}

fn commands_of_the_node_keep_their_place_in_a_transaction(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut client = cluster.client(1);
    let lines = [
        "MULTI",
        "PING",
        "SET place 0",
        "SELECT 3",
        "SET place 3",
        "CLIENT SETNAME me",
        "CLIENT LIST",
        "GET place",
        "ROLE",
        "CLIENT GETNAME",
        "SELECT 99",
        "GET place",
        "EXEC",
        "GET place",
        "SELECT 0",
        "GET place",
    ]
    .map(str::to_owned);
    let mut replies = client.pipeline(&lines).unwrap();
    let after = replies.split_off(13);
    assert_eq!(after, [Value::bulk("3"), Value::ok(), Value::bulk("0")]);
    let Some(Value::Array(mut replies)) = replies.pop() else { panic!("no array") };
    assert_eq!(replies.len(), 11);
    assert!(matches!(replies.remove(7), Value::Array(_)), "ROLE");
    assert!(replies.remove(5).text().contains("name=me"), "CLIENT LIST");
    let ok = Value::ok;
    let refused = error("ERR DB index is out of range");
    let pong = Value::Simple("PONG".into());
    let expected = [
        pong,
        ok(),
        ok(),
        ok(),
        ok(),
        Value::bulk("3"),
        Value::bulk("me"),
        refused,
        Value::bulk("3"),
    ];
    assert_eq!(replies, expected);
    // A transaction that is refused runs none of them.
    check(
        &mut client,
        &[
            ("WATCH place", ok()),
            ("SET place 1", ok()),
            ("MULTI", ok()),
            ("SELECT 3", queued()),
            ("GET place", queued()),
            ("EXEC", Value::Null),
            ("GET place", Value::bulk("1")),
            ("MULTI", ok()),
            ("ECHO x", queued()),
            ("EXEC", Value::Array(vec![Value::bulk("x")])),
        ],
    );
}

fn a_pipeline_keeps_its_order_around_transactions(layout: Layout) {
    let cluster = Cluster::start(layout);
    for node in &cluster.nodes {
        let mut client = node.client();
        client.call("DEL n");
        let (mut commands, mut expected) = (Vec::new(), Vec::new());
        for number in 0..100i64 {
            let (before, inside) = (2 * number + 1, 2 * number + 2);
            let text = inside.to_string();
            let steps = [
                ("INCR n", Value::Integer(before)),
                ("WATCH other", Value::ok()),
                ("MULTI", Value::ok()),
                ("INCR n", queued()),
                ("GET n", queued()),
                ("EXEC", Value::Array(vec![Value::Integer(inside), Value::bulk(&text)])),
                ("MULTI", Value::ok()),
                ("GET n", queued()),
                ("EXEC", Value::Array(vec![Value::bulk(&text)])),
                ("GET n", Value::bulk(&text)),
                ("PING", Value::Simple("PONG".into())),
                ("WATCH n", Value::ok()),
                ("UNWATCH", Value::ok()),
            ];
            for (line, reply) in steps {
                commands.push(line.to_owned());
                expected.push(reply);
            }
        }
        assert_eq!(client.pipeline(&commands).unwrap(), expected);
    }
}

fn a_watch_is_broken_by_a_write_through_any_node(layout: Layout) {
    let cluster = Cluster::start(layout);
    for watcher in 0..3 {
        for writer in 0..3 {
            let mut watching = cluster.client(watcher);
            let mut writing = cluster.client(writer);
            watching.call("SET k 0");
            for (line, breaks) in
                [("SET k 1", true), ("GET k", false), ("SET j 1", false), ("DEL k", true)]
            {
                assert_eq!(watching.call("WATCH k"), Value::ok());
                writing.call(line);
                watching.call("MULTI");
                watching.call("SET mine 1");
                let reply = watching.call("EXEC");
                let expected = if breaks { Value::Null } else { Value::Array(vec![Value::ok()]) };
                assert_eq!(reply, expected, "{line}, {watcher} and {writer}");
            }
            watching.call("WATCH k");
            writing.call("SET k 5");
            watching.call("UNWATCH");
            watching.call("MULTI");
            assert_eq!(watching.call("EXEC"), Value::Array(vec![]));
        }
    }
    // Of a key that goes by itself.
    let mut client = cluster.client(2);
    client.call("SET brief v PX 30");
    client.call("WATCH brief");
    wait::until_true("expiry", LONG, || cluster.client(0).call("GET brief") == Value::Null);
    client.call("MULTI");
    assert_eq!(client.call("EXEC"), Value::Null);
}

/// Two keys that are always changed together are never seen to differ, not even by a transaction
/// that only reads, on any node.
fn nobody_sees_half_a_transaction(layout: Layout) {
    const ROUNDS: usize = 200;
    let cluster = Cluster::start(layout);
    let cluster = &cluster;
    cluster.client(0).call("MSET a 0 b 0");
    thread::scope(|scope| {
        for node in &cluster.nodes {
            let (mut writer, mut reader) = (node.client(), node.client());
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let lines = ["MULTI", "INCR a", "INCR b", "EXEC"].map(str::to_owned);
                    let replies = writer.pipeline(&lines).unwrap();
                    let Some(Value::Array(values)) = replies.last() else { panic!("{replies:?}") };
                    assert_eq!(values[0], values[1]);
                }
            });
            scope.spawn(move || {
                let mut last = 0;
                for _ in 0..ROUNDS {
                    let lines = ["MULTI", "GET a", "GET b", "EXEC"].map(str::to_owned);
                    let replies = reader.pipeline(&lines).unwrap();
                    let Some(Value::Array(values)) = replies.last() else { panic!("{replies:?}") };
                    assert_eq!(values[0], values[1]);
                    let value: i64 = values[0].text().parse().unwrap();
                    assert!(value >= last, "{value} after {last}");
                    last = value;
                }
            });
        }
    });
    let total = (ROUNDS * cluster.nodes.len()).to_string();
    assert_eq!(cluster.client(1).call("GET b"), Value::bulk(&total));
}

/// Reads, adds one and writes under WATCH; returns whether that came through.
fn add_one(client: &mut Client) -> bool {
    client.call("WATCH counter");
    let value = match client.call("GET counter") {
        Value::Null => 0,
        value => value.text().parse::<u64>().unwrap(),
    };
    client.call("MULTI");
    client.call(&format!("SET counter {}", value + 1));
    client.call("RPUSH steps 1");
    match client.call("EXEC") {
        Value::Null => false,
        Value::Array(replies) => {
            assert_eq!(replies.len(), 2);
            true
        }
        reply => panic!("{reply:?}"),
    }
}

fn optimistic_counters_are_exact_across_a_leader_kill(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let (added, stop) = (&AtomicU64::new(0), &AtomicBool::new(false));
    let leader = cluster.leader();
    let survivors = cluster.followers();
    let ports: Vec<u16> = survivors.iter().map(|position| cluster.nodes[*position].port).collect();
    thread::scope(|scope| {
        let _end = SetOnDrop(stop);
        for port in ports.iter().chain(&ports) {
            scope.spawn(move || {
                let mut client = Client::connect(*port);
                while !stop.load(Ordering::Relaxed) {
                    added.fetch_add(u64::from(add_one(&mut client)), Ordering::SeqCst);
                }
            });
        }
        let so_far = || added.load(Ordering::SeqCst);
        wait::until_true("counting before", LONG, || so_far() > 50);
        if !is_stand_in() {
            cluster.nodes[leader].kill();
        }
        let at_event = so_far();
        wait::until_true("counting after", LONG, || so_far() > at_event + 50);
        stop.store(true, Ordering::Relaxed);
    });
    let total = added.load(Ordering::SeqCst);
    let mut client = Client::connect(ports[0]);
    assert_eq!(client.call("GET counter"), Value::bulk(&total.to_string()));
    assert_eq!(client.call("LLEN steps"), Value::Integer(total as i64));
}

/// A client that goes takes along what it watches, and so does a node with all of its clients.
fn sessions_that_end_leave_nothing_behind(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let (leader, follower) = (cluster.leader(), cluster.followers()[0]);
    let watching = |cluster: &Cluster| {
        let count = |name| cluster.nodes[leader].info(name).unwrap();
        (count("watching_clients"), count("total_watched_keys"))
    };
    let (nobody, somebody) = (("0".into(), "0".into()), ("1".into(), "3".into()));
    let mut client = cluster.client(follower);
    client.call("WATCH a b c");
    assert_eq!(watching(&cluster), somebody);
    client.call("MULTI");
    drop(client);
    wait::until_true("the client is forgotten", LONG, || watching(&cluster) == nobody);
    let mut client = cluster.client(follower);
    client.call("WATCH a b c");
    client.call("RESET");
    wait::until_true("the session is forgotten", LONG, || watching(&cluster) == nobody);
    client.call("WATCH a b c");
    cluster.nodes[follower].kill();
    assert_eq!(watching(&cluster), somebody);
    cluster.restart(follower, layout.option());
    cluster.wait_until_complete();
    wait::until_true("the member is forgotten", LONG, || watching(&cluster) == nobody);
}
