//! One data set behind every node: any node takes writes, any node's reads see all of them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};

on_both_layouts!(
    a_write_through_any_node_is_read_at_once_through_every_other,
    reads_beside_concurrent_writes_never_go_back,
    a_pipeline_keeps_its_order_of_reads_and_writes,
    databases_are_apart_and_shared_by_all_nodes,
    keys_expire_on_every_node,
);

fn a_write_through_any_node_is_read_at_once_through_every_other(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut clients: Vec<Client> = cluster.nodes.iter().map(|node| node.client()).collect();
    for round in 0..600usize {
        let writer = round % clients.len();
        assert_eq!(clients[writer].call(&format!("SET register {round}")), Value::ok());
        for offset in 1..=clients.len() {
            let reader = (writer + offset) % clients.len();
            let read = clients[reader].call("GET register");
            assert_eq!(read, Value::bulk(&round.to_string()), "node {reader} after {writer}");
        }
    }
}

fn reads_beside_concurrent_writes_never_go_back(layout: Layout) {
    const CALLS: usize = 1500;
    let cluster = Cluster::start(layout);
    // The largest value that some client has been told of.
    let told = AtomicI64::new(0);
    let told = &told;
    let replies: Vec<Vec<i64>> = thread::scope(|scope| {
        let mut writers = Vec::new();
        for node in &cluster.nodes {
            let (mut writer, mut reader) = (node.client(), node.client());
            writers.push(scope.spawn(move || {
                (0..CALLS)
                    .map(|_| {
                        let before = told.load(Ordering::SeqCst);
                        let Value::Integer(value) = writer.call("INCR counter") else {
                            panic!("INCR did not count")
                        };
                        assert!(value > before, "wrote {value} after {before} was known");
                        told.fetch_max(value, Ordering::SeqCst);
                        value
                    })
                    .collect()
            }));
            scope.spawn(move || {
                for _ in 0..CALLS {
                    let before = told.load(Ordering::SeqCst);
                    let value = match reader.call("GET counter") {
                        Value::Null => 0,
                        found => found.text().parse().unwrap(),
                    };
                    assert!(value >= before, "read {value} after {before} was known");
                    told.fetch_max(value, Ordering::SeqCst);
                }
            });
        }
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let total = CALLS * cluster.nodes.len();
    let distinct: HashSet<i64> = replies.iter().flatten().copied().collect();
    assert_eq!(distinct.len(), total, "a call of INCR was not executed exactly once");
    assert_eq!(cluster.client(0).call("GET counter"), Value::bulk(&total.to_string()));
}

fn a_pipeline_keeps_its_order_of_reads_and_writes(layout: Layout) {
    let cluster = Cluster::start(layout);
    for node in &cluster.nodes {
        let mut client = node.client();
        client.call("DEL list");
        let mut commands = Vec::new();
        let mut expected = Vec::new();
        for number in 1..=500i64 {
            // Reads, writes and commands that never leave the node, in one stream of replies.
            commands.push(format!("RPUSH list {number}"));
            expected.push(Value::Integer(number));
            commands.push("LLEN list".into());
            expected.push(Value::Integer(number));
            commands.push(format!("ECHO {number}"));
            expected.push(Value::bulk(&number.to_string()));
            commands.push("LINDEX list -1".into());
            expected.push(Value::bulk(&number.to_string()));
        }
        assert_eq!(client.pipeline(&commands).unwrap(), expected);
    }
}

fn databases_are_apart_and_shared_by_all_nodes(layout: Layout) {
    let cluster = Cluster::start(layout);
    for database in 0..16 {
        let mut writer = cluster.client(database % 3);
        assert_eq!(writer.call(&format!("SELECT {database}")), Value::ok());
        assert_eq!(writer.call(&format!("SET place {database}")), Value::ok());
    }
    for database in 0..16 {
        let mut reader = cluster.client((database + 1) % 3);
        reader.call(&format!("SELECT {database}"));
        assert_eq!(reader.call("GET place"), Value::bulk(&database.to_string()));
    }
    let refused = cluster.client(1).call("SELECT 16");
    assert_eq!(refused, Value::Error("ERR DB index is out of range".into()));
}

fn keys_expire_on_every_node(layout: Layout) {
    let cluster = Cluster::start(layout);
    assert_eq!(cluster.client(0).call("SET brief v PX 300"), Value::ok());
    assert_eq!(cluster.client(0).call("SET lasting v PX 600000"), Value::ok());
    let fields = "HSETEX hash PX 300 FIELDS 2 brief v shorter w";
    assert_eq!(cluster.client(1).call(fields), Value::Integer(1));
    assert_eq!(cluster.client(2).call("HSET hash lasting v"), Value::Integer(1));
    let mut clients: Vec<Client> = cluster.nodes.iter().map(|node| node.client()).collect();
    crate::wait::until_true("expiry", crate::wait::LONG, || {
        clients.iter_mut().all(|client| {
            let key_is_gone = client.call("GET brief") == Value::Null;
            key_is_gone && client.call("HLEN hash") == Value::Integer(1)
        })
    });
    for client in &mut clients {
        assert_eq!(client.call("EXISTS brief lasting"), Value::Integer(1));
        assert_eq!(client.call("DBSIZE"), Value::Integer(2));
        assert_eq!(client.call("HGET hash brief"), Value::Null);
        assert_eq!(client.call("HGET hash lasting"), Value::bulk("v"));
    }
}
