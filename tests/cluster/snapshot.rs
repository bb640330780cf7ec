//! A log of bounded size, and members that need what it no longer holds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::{is_stand_in, peak_memory};
use crate::wait::{self, LONG};

on_both_layouts!(
    a_fresh_process_gets_a_snapshot_and_serves_everything,
    a_follower_that_stands_still_costs_no_log_and_comes_back_by_a_snapshot,
    a_log_compacted_on_request_is_no_obstacle_to_a_newcomer,
    a_newcomer_loads_while_clients_write,
    two_newcomers_load_at_once,
    a_leader_that_dies_while_it_sends_a_snapshot_leaves_it_to_the_next,
    a_member_that_stops_reading_its_snapshot_costs_no_memory,
    a_log_is_bounded_by_entries_too,
);

/// A log much smaller than the data, which is a multiple of what one pass brings.
const SMALL_LOG: &str = "--raft.log-max-cache-size 1mb --raft.append-req-max-size 256kb";

/// The leader stays the leader, however little of the CPU it gets.
const STEADY: &str = "--raft.election-timeout 10000";

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
    check_same_digests(cluster, &(0..cluster.nodes.len()).collect::<Vec<_>>());
}

/// The applied index and the digest of the state, as a node tells them.
fn digest(cluster: &Cluster, node: usize) -> (i64, Value) {
    match cluster.client(node).call("RAFT.DEBUG DIGEST") {
        Value::Array(words) => match &words[..] {
            [Value::Integer(index), digest @ Value::Bulk(_)] => (*index, digest.clone()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Nodes that have applied as much hold the same, down to versions and deadlines.
pub fn check_same_digests(cluster: &Cluster, nodes: &[usize]) {
    let digests = wait::until("the same index on all nodes", LONG, || {
        let digests: Vec<_> = nodes.iter().map(|node| digest(cluster, *node)).collect();
        digests.iter().all(|(index, _)| *index == digests[0].0).then_some(digests)
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
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

/// Changes values of every type, removes them and makes them anew, until told to stop; returns the
/// value of the counter of its own, which counts its rounds.
fn change_all(cluster: &Cluster, through: usize, stop: &AtomicBool) -> i64 {
    let mut client = cluster.client(through);
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        let n = rounds % 9000;
        let key = rounds % 40;
        let commands = [
            format!("INCR counter{through}"),
            format!("SET string{n} {rounds}"),
            format!("APPEND string{} +", n + 1),
            format!("DEL string{}", n + 2),
            format!("RENAME brief{n} moved{n}"),
            format!("PEXPIRE brief{} 5", n + 1),
            format!("RPOPLPUSH list{key} list{}", (key + 1) % 40),
            format!("SREM set{key} 1 2 3"),
            format!("HSET hash{key} {rounds} changed"),
            format!("ZPOPMIN zset{key} 2"),
            format!("XADD stream{key} * field {rounds}"),
            format!("DEL hash{}", (key + 7) % 40),
            format!("SET fresh{rounds} {rounds}"),
        ];
        let replies = client.pipeline(&commands).expect("the connection lives");
        rounds += 1;
        assert_eq!(replies[0], Value::Integer(rounds), "no command is lost or runs twice");
    }
    rounds
}

/// Tells clients to stop when the test is done with them, be it by a failure.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets clients of `through` change everything while `event` happens, and checks their counters.
fn while_clients_write(cluster: &Cluster, through: &[usize], event: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let stop = &stop;
    thread::scope(|scope| {
        let clients = through.iter().map(|node| scope.spawn(|| change_all(cluster, *node, stop)));
        let clients: Vec<_> = clients.collect();
        let stop_at_end = StopAtEnd(stop);
        event();
        drop(stop_at_end);
        for (node, client) in through.iter().zip(clients) {
            let rounds = client.join().unwrap();
            let counter = cluster.client(*node).call(&format!("GET counter{node}"));
            assert_eq!(counter, Value::bulk(&rounds.to_string()));
        }
    });
    // The keys that are due go with entries of their own, at once.
    let index = || digest(cluster, through[0]).0;
    wait::until_true("nothing left to expire", LONG, || index() == index());
}

fn a_newcomer_loads_while_clients_write(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start_with(layout, SMALL_LOG);
    let victim = cluster.followers()[0];
    let others = [(victim + 1) % 3, (victim + 2) % 3];
    fill(&cluster, victim, 30, &[]);
    cluster.nodes[victim].kill();
    cluster.restart(victim, &format!("{} {SMALL_LOG}", layout.option()));
    while_clients_write(&cluster, &others, || {
        wait::until_true("a voter again", LONG, || {
            cluster.nodes[victim].info("raft_num_voting_nodes").as_deref() == Some("3")
                && cluster.nodes[victim].info("raft_is_voting").as_deref() == Some("yes")
        });
    });
    cluster.wait_until_complete();
    assert!(number(&cluster, victim, "raft_snapshots_received") > 0);
    check_same_data(&cluster);
    cluster.check_alive();
}

fn two_newcomers_load_at_once(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start_with(layout, SMALL_LOG);
    fill(&cluster, 0, 20, &[]);
    for _ in 0..2 {
        cluster.add(&format!("{} {SMALL_LOG}", layout.option()));
    }
    while_clients_write(&cluster, &[1], || {
        for node in 3..5 {
            wait::until_true("five voters", LONG, || {
                cluster.nodes[node].info("raft_num_voting_nodes").as_deref() == Some("5")
            });
        }
    });
    for node in 3..5 {
        assert!(number(&cluster, node, "raft_snapshots_received") > 0);
    }
    check_same_data(&cluster);
    cluster.check_alive();
}

fn in_progress(cluster: &Cluster, node: usize) -> bool {
    cluster.nodes[node].info("raft_snapshot_in_progress").as_deref() == Some("yes")
}

/// Stops a follower until the log has left it behind; returns it, the leader and the third node.
fn leave_behind(cluster: &Cluster) -> (usize, usize, usize) {
    let leader = cluster.leader();
    let [still, other] = cluster.followers()[..] else { panic!("three nodes") };
    cluster.nodes[still].signal(Signal::STOP);
    // More than may be in flight to a follower.
    fill(cluster, other, 80, &[leader, other]);
    (still, leader, other)
}

fn a_leader_that_dies_while_it_sends_a_snapshot_leaves_it_to_the_next(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start_with(layout, &format!("{SMALL_LOG} {STEADY}"));
    let (still, leader, other) = leave_behind(&cluster);
    cluster.nodes[still].signal(Signal::CONT);
    wait::until_true("a transfer", LONG, || in_progress(&cluster, leader));
    cluster.nodes[leader].kill();
    wait::until_true("a new leader", LONG, || {
        cluster.nodes[other].info("raft_role").as_deref() == Some("leader")
    });
    wait::until_true("a snapshot", LONG, || number(&cluster, still, "raft_snapshots_received") > 0);
    check_same_digests(&cluster, &[still, other]);
    assert_eq!(cluster.client(still).call("INCR counter"), Value::Integer(1));
    // restart() joins through the next one, which runs.
    cluster.restart(leader, &format!("{} {SMALL_LOG} {STEADY}", layout.option()));
    cluster.wait_until_complete();
    check_same_data(&cluster);
    cluster.check_alive();
}

fn a_member_that_stops_reading_its_snapshot_costs_no_memory(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start_with(layout, &format!("{SMALL_LOG} {STEADY}"));
    let (still, leader, other) = leave_behind(&cluster);
    let before = peak_memory(cluster.nodes[leader].pid());
    cluster.nodes[still].signal(Signal::CONT);
    wait::until_true("a transfer", LONG, || in_progress(&cluster, leader));
    cluster.nodes[still].signal(Signal::STOP);
    // It was 80 MB; none of it is held but the window, as the log is once it waits no longer.
    let after = peak_memory(cluster.nodes[leader].pid());
    assert!(after < before + (30 << 20), "the leader grew from {before} to {after} bytes");
    wait::until_true("an end of the transfer", LONG, || !in_progress(&cluster, leader));
    fill(&cluster, other, 2, &[other]);
    wait::until_true("a short log", LONG, || log_bytes(&cluster, leader) <= LOG_BYTES_MAX);
    cluster.nodes[still].signal(Signal::CONT);
    wait::until_true("a snapshot", LONG, || number(&cluster, still, "raft_snapshots_received") > 0);
    check_same_data(&cluster);
    cluster.check_alive();
}

fn a_log_is_bounded_by_entries_too(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start_with(layout, &format!("--raft.log-max-entries 100 {STEADY}"));
    let mut client = cluster.client(cluster.followers()[0]);
    let check = |max: u64| {
        for node in 0..3 {
            let entries = number(&cluster, node, "raft_log_entries");
            assert!(entries <= max, "{entries} of node {node}");
        }
    };
    for round in 0..500 {
        assert_eq!(client.call(&format!("SET key{} {round}", round % 50)), Value::ok());
        if round % 100 == 0 {
            // The bound, a share of it before the log is looked at again, and what is in flight.
            check(100 + 25 + 20);
        }
    }
    assert!(number(&cluster, 0, "raft_current_index") > 500);
    for node in 0..3 {
        assert_eq!(cluster.client(node).call("CONFIG SET raft.log-max-entries 10"), Value::ok());
    }
    for round in 0..50 {
        assert_eq!(client.call(&format!("SET key{round} again")), Value::ok());
    }
    check(10 + 5 + 20);
    check_same_digests(&cluster, &[0, 1, 2]);
    cluster.check_alive();
}
