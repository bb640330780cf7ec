//! Keyspace notifications: subscribers of all nodes are told of the same events, each once and in
//! one order, whoever changes the keys.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::wait::{self, LONG};

on_both_layouts!(
    subscribers_of_all_nodes_are_told_of_the_same_events,
    each_change_is_told_once_across_a_leader_kill,
    a_miss_is_told_where_it_is_read,
);

/// Lets the whole cluster tell of these classes.
fn notify(cluster: &Cluster, classes: &str) {
    let line = format!("CONFIG SET notify-keyspace-events {classes}");
    assert_eq!(cluster.client(0).call(&line), Value::ok());
    for position in 0..cluster.nodes.len() {
        wait::until_true("the setting is everywhere", LONG, || {
            let told = cluster.client(position).call("CONFIG GET notify-keyspace-events");
            matches!(told, Value::Array(words) if words[1].text() == classes)
        });
    }
}

/// A client that is told of all events by their channels, and of the end.
fn listener(cluster: &Cluster, position: usize) -> Client {
    let mut client = cluster.client(position);
    client.call("PSUBSCRIBE __keyevent@*");
    client.call("SUBSCRIBE end");
    client
}

/// What it is told until the end, each as `event key`, behind its database unless that is 0.
fn events_until_end(client: &mut Client) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        let Value::Array(words) = client.receive().unwrap() else { panic!("no message") };
        let words: Vec<String> = words.iter().map(Value::text).collect();
        if words[0] == "message" {
            return events;
        }
        let (database, event) =
            words[2].strip_prefix("__keyevent@").unwrap().split_once("__:").unwrap();
        let database = if database == "0" { String::new() } else { format!("{database}:") };
        events.push(format!("{database}{event} {}", words[3]));
    }
}

fn subscribers_of_all_nodes_are_told_of_the_same_events(layout: Layout) {
    let cluster = Cluster::start(layout);
    notify(&cluster, "AKE");
    let mut listening: Vec<Client> = (0..3).map(|at| listener(&cluster, at)).collect();
    let mut clients: Vec<Client> = (0..3).map(|at| cluster.client(at)).collect();
    let lines = [
        (0, "SET k v"),
        (1, "EXPIRE k 100"),
        (2, "RENAME k l"),
        (0, "RPUSH list a b"),
        (1, "LMOVE list other LEFT RIGHT"),
        (2, "SELECT 3"),
        (2, "SET k v PX 1"),
        (0, "MULTI"),
        (0, "INCR n"),
        (0, "DEL l n none"),
        (0, "EXEC"),
    ];
    for (client, line) in lines {
        assert!(!matches!(clients[client].call(line), Value::Error(_)), "{line}");
    }
    wait::until_true("it is due", LONG, || clients[2].call("DBSIZE") == Value::Integer(0));
    clients[1].call("PUBLISH end x");
    let expected = [
        "set k",
        "expire k",
        "rename_from k",
        "rename_to l",
        "rpush list",
        "rpush other",
        "lpop list",
        "3:set k",
        "3:expire k",
        "incrby n",
        "del l",
        "del n",
    ];
    let is_expired = |event: &String| event == "3:expired k";
    let told: Vec<Vec<String>> = listening.iter_mut().map(events_until_end).collect();
    for events in &told {
        assert_eq!(events, &told[0], "one order for all");
        // It comes of itself, at any time after it is due.
        assert_eq!(events.iter().filter(|event| is_expired(event)).count(), 1);
        let rest: Vec<&String> = events.iter().filter(|event| !is_expired(event)).collect();
        assert_eq!(rest, expected);
    }
    notify(&cluster, "lE");
    for line in ["SET k v", "LPUSH list a", "PUBLISH end x"] {
        clients[1].call(line);
    }
    for client in &mut listening {
        assert_eq!(events_until_end(client), ["lpush list"]);
    }
}

fn each_change_is_told_once_across_a_leader_kill(layout: Layout) {
    const EACH: usize = 300;
    let mut cluster = Cluster::start(layout);
    notify(&cluster, "$E");
    let leader = cluster.leader();
    let living = cluster.followers();
    let mut listening: Vec<Client> = living.iter().map(|at| listener(&cluster, *at)).collect();
    let ports: Vec<u16> = living.iter().map(|at| cluster.nodes[*at].port).collect();
    let sent = &AtomicUsize::new(0);
    thread::scope(|scope| {
        for port in &ports {
            scope.spawn(move || {
                let mut client = Client::connect(*port);
                for _ in 0..EACH {
                    // What has an unknown outcome counts if it was run, and so do its events.
                    let _ = client.call("INCR n");
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait::until_true("changes", LONG, || sent.load(Ordering::Relaxed) > EACH / 4);
        if !is_stand_in() {
            cluster.nodes[leader].kill();
        }
    });
    let mut client = Client::connect(ports[0]);
    let count: usize = client.call("GET n").text().parse().unwrap();
    assert!(count > EACH, "only {count} were run");
    client.call("PUBLISH end x");
    for listening in &mut listening {
        let events = events_until_end(listening);
        assert!(events.iter().all(|event| event == "incrby n"), "{events:?}");
        assert_eq!(events.len(), count);
    }
}

fn a_miss_is_told_where_it_is_read(layout: Layout) {
    let cluster = Cluster::start(layout);
    notify(&cluster, "Em");
    let mut listening: Vec<Client> = (0..3).map(|at| listener(&cluster, at)).collect();
    let mut client = cluster.client(1);
    client.call("GET none");
    // What goes through the log is run, and told, everywhere.
    for line in ["MULTI", "SET k v", "GET missing", "EXEC", "PUBLISH end x"] {
        client.call(line);
    }
    for (position, listening) in listening.iter_mut().enumerate() {
        let expected = match position == 1 || is_stand_in() {
            true => vec!["keymiss none", "keymiss missing"],
            false => vec!["keymiss missing"],
        };
        assert_eq!(events_until_end(listening), expected);
    }
}
