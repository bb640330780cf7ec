//! A log of bounded size, and members that need what it no longer holds.

use rustix::process::Signal;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::wait::{self, LONG};

on_both_layouts!(
    a_fresh_process_gets_a_snapshot_and_serves_everything,
    a_follower_that_stands_still_costs_no_log_and_comes_back_by_a_snapshot,
    a_log_compacted_on_request_is_no_obstacle_to_a_newcomer,
);

/// A log much smaller than the data, which is a multiple of what one pass brings.
const SMALL_LOG: &str = "--raft.log-max-cache-size 1mb --raft.append-req-max-size 256kb";

/// The budget, a batch, and what is not applied yet of this test's pipelines.
const LOG_BYTES_MAX: u64 = (1 << 20) + (1 << 20) + (1 << 20);

fn log_bytes(cluster: &Cluster, node: usize) -> u64 {
    cluster.nodes[node].info("raft_cache_memory_size").unwrap().parse().unwrap()
}

fn check_logs(cluster: &Cluster, nodes: &[usize]) {
    for node in nodes {
        let bytes = log_bytes(cluster, *node);
        assert!(bytes <= LOG_BYTES_MAX, "the log of node {node} has {bytes} bytes");
    }
}

/// Writes values of every type, about `megabytes` together, looking at the logs of `nodes` on the
/// way.
fn fill(cluster: &Cluster, through: usize, megabytes: usize, nodes: &[usize]) {
    let mut client = cluster.client(through);
    let value = "v".repeat(500);
    for round in 0..megabytes {
        let commands: Vec<String> = (round * 300..round * 300 + 300)
            .flat_map(|number| {
                let key = number % 40;
                [
                    format!("SET string{number} {value}"),
                    format!("SET brief{number} {number} PX 86400000"),
                    format!("RPUSH list{key} {number}{value}"),
                    format!("SADD set{key} {number}{value}"),
                    format!("HSET hash{key} {number} {value}"),
                    format!("ZADD zset{key} {number} {number}{value}"),
                    format!("XADD stream{key} * field {value}"),
                ]
            })
            .collect();
        for reply in client.pipeline(&commands).unwrap() {
            assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
        }
        check_logs(cluster, nodes);
    }
}

/// What can be read of the data, through one node.
fn read_all(client: &mut Client) -> Vec<Value> {
    let mut commands = vec!["DBSIZE".to_owned()];
    for key in 0..40 {
        commands.extend([
            format!("GET string{}", key * 31),
            format!("GET brief{}", key * 17),
            format!("LRANGE list{key} 0 -1"),
            format!("SSCAN set{key} 0 COUNT 100"),
            format!("HSCAN hash{key} 0 COUNT 100"),
            format!("ZRANGE zset{key} 0 -1 WITHSCORES"),
            format!("XRANGE stream{key} - +"),
        ]);
    }
    commands.push("SCAN 0 COUNT 1000".to_owned());
    client.pipeline(&commands).unwrap()
}

fn check_same_data(cluster: &Cluster) {
    let expected = read_all(&mut cluster.client(cluster.leader()));
    for node in 0..cluster.nodes.len() {
        let read = read_all(&mut cluster.client(node));
        // The values are long: which one differs is enough.
        let differs = expected.iter().zip(&read).position(|(a, b)| a != b);
        assert_eq!(differs, None, "node {node} reads otherwise");
    }
}

fn number(cluster: &Cluster, node: usize, field: &str) -> u64 {
    cluster.nodes[node].info(field).unwrap().parse().unwrap()
}

fn a_fresh_process_gets_a_snapshot_and_serves_everything(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start_with(layout, SMALL_LOG);
    let victim = cluster.followers()[0];
    fill(&cluster, victim, 50, &[0, 1, 2]);
    cluster.nodes[victim].kill();
    cluster.restart(victim, &format!("{} {SMALL_LOG}", layout.option()));
    cluster.wait_until_complete();
    assert_eq!(number(&cluster, victim, "raft_snapshots_received"), 1);
    // On a slow machine the leader of then need not be the leader of now.
    let last = number(&cluster, victim, "raft_snapshot_last_idx");
    let made_it = |node: usize| {
        number(&cluster, node, "raft_snapshots_created") > 0
            && number(&cluster, node, "raft_snapshot_last_idx") == last
    };
    assert!((0..3).any(|node| node != victim && made_it(node)), "who made the snapshot?");
    check_same_data(&cluster);
    fill(&cluster, victim, 5, &[0, 1, 2]);
    check_same_data(&cluster);
    assert_eq!(number(&cluster, victim, "raft_snapshots_received"), 1);
    cluster.check_alive();
}

fn a_follower_that_stands_still_costs_no_log_and_comes_back_by_a_snapshot(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start_with(layout, SMALL_LOG);
    let leader = cluster.leader();
    let [still, other] = cluster.followers()[..] else { panic!("three nodes") };
    cluster.nodes[still].signal(Signal::STOP);
    // More than may be in flight to a follower, so that it needs entries which are gone.
    fill(&cluster, other, 90, &[leader, other]);
    assert_eq!(number(&cluster, leader, "raft_snapshots_created"), 0, "none for who is not heard");
    cluster.nodes[still].signal(Signal::CONT);
    wait::until_true("a snapshot", LONG, || number(&cluster, still, "raft_snapshots_received") > 0);
    check_same_data(&cluster);
    check_logs(&cluster, &[0, 1, 2]);
    cluster.check_alive();
}

fn a_log_compacted_on_request_is_no_obstacle_to_a_newcomer(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let victim = cluster.followers()[0];
    // Well within the log of its usual size.
    fill(&cluster, victim, 3, &[]);
    for node in 0..3 {
        wait::until_true("an empty log", LONG, || {
            assert_eq!(cluster.client(node).call("RAFT.DEBUG COMPACT"), Value::ok());
            number(&cluster, node, "raft_log_entries") == 0
        });
    }
    cluster.nodes[victim].kill();
    cluster.restart(victim, layout.option());
    cluster.wait_until_complete();
    assert_eq!(number(&cluster, victim, "raft_snapshots_received"), 1);
    check_same_data(&cluster);
    cluster.check_alive();
}
