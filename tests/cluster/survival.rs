//! Deaths: of the leader, of a follower, of a majority. What clients of the survivors see of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::wait::{self, LONG};

on_both_layouts!(
    a_leader_kill_is_a_pause_and_every_command_runs_once,
    a_follower_kill_is_not_even_a_pause,
    without_a_leader_requests_wait_and_then_say_so,
    a_write_in_flight_at_the_loss_of_the_quorum_is_of_unknown_outcome,
    leadership_moves_on_request_and_every_command_runs_once,
);

/// What one counting client saw.
pub struct Count {
    calls: i64,
    pub longest_gap: Duration,
}

/// Counts through `port` with `pipeline` commands in flight until told to stop.
fn count(port: u16, pipeline: usize, stop: &AtomicBool) -> Count {
    let mut client = Client::connect(port);
    let commands = vec!["INCR counter".to_owned(); pipeline];
    let mut count = Count { calls: 0, longest_gap: Duration::ZERO };
    let mut last_value = 0;
    let mut last_answer = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        for reply in client.pipeline(&commands).expect("the connection lives") {
            let Value::Integer(value) = reply else { panic!("INCR answered {reply:?}") };
            assert!(value > last_value, "{value} after {last_value}");
            last_value = value;
            count.calls += 1;
        }
        count.longest_gap = count.longest_gap.max(last_answer.elapsed());
        last_answer = Instant::now();
    }
    count
}

/// Sets its flag when it goes, be it by a panic.
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs clients of `ports` while `event` happens, and until they all count again after it. Checks
/// that the counter is exact.
pub fn count_during(
    cluster: &mut Cluster,
    ports: &[u16],
    event: impl FnOnce(&mut Cluster),
) -> Vec<Count> {
    let stop = AtomicBool::new(false);
    let stop = &stop;
    let counts: Vec<Count> = thread::scope(|scope| {
        let clients: Vec<_> = ports
            .iter()
            .flat_map(|port| [(*port, 1), (*port, 1), (*port, 16)])
            .map(|(port, pipeline)| scope.spawn(move || count(port, pipeline, stop)))
            .collect();
        // The clients would go on for ever after a failure here.
        let _end = SetOnDrop(stop);
        let mut observer = Client::connect(ports[0]);
        let mut value = || observer.call("INCRBY counter 0").text().parse::<i64>().unwrap();
        wait::until_true("counting before", LONG, || value() > 500);
        event(cluster);
        let at_event = value();
        wait::until_true("counting after", LONG, || value() > at_event + 500);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let calls: i64 = counts.iter().map(|count| count.calls).sum();
    for port in ports {
        let value = Client::connect(*port).call("GET counter");
        assert_eq!(value, Value::bulk(&calls.to_string()), "every INCR runs exactly once");
    }
    counts
}

fn a_leader_kill_is_a_pause_and_every_command_runs_once(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let leader = cluster.leader();
    let term = cluster.nodes[leader].term();
    let survivors: Vec<u16> =
        cluster.followers().iter().map(|position| cluster.nodes[*position].port).collect();
    // That it is a pause and no error is for `count` to see; the bench measures how long it is.
    count_during(&mut cluster, &survivors, |cluster| cluster.nodes[leader].kill());
    let new_leader = cluster.leader();
    assert_ne!(new_leader, leader);
    assert!(cluster.nodes[new_leader].term() > term);
}

fn a_follower_kill_is_not_even_a_pause(layout: Layout) {
    if is_stand_in() {
        return;
    }
    // Far longer than a client waits for want of a CPU: a gap of that length tells of a wait for a
    // time-out of consensus.
    let mut cluster = Cluster::start_with(layout, "--raft.election-timeout 10000");
    let leader = cluster.leader();
    let term = cluster.nodes[leader].term();
    let followers = cluster.followers();
    let (victim, survivor) = (followers[0], followers[1]);
    let ports = [cluster.nodes[leader].port, cluster.nodes[survivor].port];
    let counts = count_during(&mut cluster, &ports, |cluster| cluster.nodes[victim].kill());
    assert_eq!(cluster.leader(), leader);
    assert_eq!(cluster.nodes[leader].term(), term, "nobody stood for election");
    for count in counts {
        assert!(count.longest_gap < Duration::from_secs(10), "paused {:?}", count.longest_gap);
    }
}

const NO_LEADER_TIMEOUT: Duration = Duration::from_secs(2);

fn without_a_leader_requests_wait_and_then_say_so(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start_with(layout, "--no-leader-timeout 2s");
    let leader = cluster.leader();
    let followers = cluster.followers();
    let (victim, survivor) = (followers[0], followers[1]);
    assert_eq!(cluster.client(survivor).call("SET k v"), Value::ok());
    cluster.nodes[leader].kill();
    cluster.nodes[victim].kill();
    let node = &cluster.nodes[survivor];
    let leaderless = || node.info("raft_leader_id").as_deref() == Some("-1");
    wait::until_true("the survivor knows no leader", LONG, leaderless);
    for command in ["SET k w", "GET k", "INCR n", "DEL k"] {
        let asked = Instant::now();
        let reply = node.client().call(command);
        let waited = asked.elapsed();
        assert_eq!(reply, Value::Error("CLUSTERDOWN No raft leader".into()), "{command}");
        assert!(waited > NO_LEADER_TIMEOUT * 9 / 10, "{command} waited only {waited:?}");
    }
    // What needs no cluster is answered as ever, and in order behind what waits.
    assert_eq!(node.client().call("PING").text(), "PONG");
    let replies = node.client().pipeline(&["SET k w".into(), "ECHO after".into()]).unwrap();
    assert_eq!(replies[0].text(), "CLUSTERDOWN No raft leader");
    assert_eq!(replies[1], Value::bulk("after"));
}

fn a_write_in_flight_at_the_loss_of_the_quorum_is_of_unknown_outcome(layout: Layout) {
    if is_stand_in() {
        return;
    }
    // An election time-out that is long beside the test's own steps: the leader must not yet
    // have stepped down when it is given the write.
    let options = "--no-leader-timeout 2s --raft.election-timeout 6000";
    let mut cluster = Cluster::start_with(layout, options);
    let leader = cluster.leader();
    let mut client = cluster.client(leader);
    assert_eq!(client.call("SET k before"), Value::ok());
    for follower in cluster.followers() {
        cluster.nodes[follower].kill();
    }
    let reply = client.call("SET k after");
    assert_eq!(reply, Value::Error("TIMEOUT not committed yet".into()));
    // The connection is still good, and the next command finds no leader.
    let node = &cluster.nodes[leader];
    let stepped_down = || node.info("raft_role").as_deref() != Some("leader");
    wait::until_true("the leader steps down", LONG, stepped_down);
    assert_eq!(client.call("SET k again"), Value::Error("CLUSTERDOWN No raft leader".into()));
}

fn leadership_moves_on_request_and_every_command_runs_once(layout: Layout) {
    if is_stand_in() {
        return;
    }
    // The time that a transfer has, too: no election but the one asked for, and that in time.
    let mut cluster = Cluster::start_with(layout, "--raft.election-timeout 10000");
    let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port).collect();
    let before = cluster.leader();
    count_during(&mut cluster, &ports, |cluster| {
        let target = cluster.followers()[0];
        let id = cluster.nodes[target].info("raft_node_id").unwrap();
        let mut admin = cluster.client(before);
        assert_eq!(admin.call(&format!("RAFT.TRANSFER_LEADER {id}")), Value::ok());
        wait::until_true("the new leader", LONG, || cluster.leader() == target);
    });
    assert_ne!(cluster.leader(), before);
    cluster.check_alive();
}
