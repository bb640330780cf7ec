//! Runs the program of a scenario beside a cluster, and kills the leader when it asks for that.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::cluster::{Cluster, Layout};
use crate::process::{Process, is_stand_in};
use crate::wait;

/// What a program prints to ask for the death of the leader.
const KILL: &str = "kill the leader";

/// The last line of a program that has found everything as it should be.
const PASSED: &str = "all passed";

/// How long a program may be silent: it says at least once in its course how far it is.
const SILENCE: Duration = Duration::from_secs(120);

/// Runs a program in Python.
pub fn python(script: &str, layout: Layout) {
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python3");
    let python = std::env::var("MAYFLY_PYTHON").unwrap_or_else(|_| installed.to_owned());
    assert!(Path::new(&python).exists(), "{python} is missing: `tests/run install` installs it");
    run(&format!("{python} -B"), script, layout);
}

/// Runs a program in JavaScript.
pub fn node(script: &str, layout: Layout) {
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/node");
    let modules = std::env::var("MAYFLY_NODE_MODULES").unwrap_or_else(|_| installed.to_owned());
    assert!(Path::new(&modules).exists(), "{modules} is missing: `tests/run install` installs it");
    run(&format!("env MAYFLY_NODE_MODULES={modules} node"), script, layout);
}

fn run(program: &str, script: &str, layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let (program, first) = program.split_once(' ').unwrap();
    let script = format!("{}/tests/apps/{script}", env!("CARGO_MANIFEST_DIR"));
    let arguments = format!("{first} {script} {}", ports(&cluster).join(" "));
    let (mut process, lines) = Process::start_with_lines(program, &arguments);
    let mut killed = false;
    while let Some(line) = next_line(&lines) {
        println!("{line}");
        if line == KILL {
            replace_leader(&mut cluster, layout);
            killed = true;
        }
        if line == PASSED {
            assert!(killed, "it has not asked for the death of the leader");
            assert!(process.wait("the end of the program").success());
            finish(cluster);
            return;
        }
    }
    panic!("it ended before all had passed");
}

/// That the cluster is whole again.
pub fn finish(mut cluster: Cluster) {
    if !is_stand_in() {
        cluster.wait_until_complete();
    }
    cluster.check_alive();
}

/// The next line, and nothing when the program has closed its output.
fn next_line(lines: &Receiver<String>) -> Option<String> {
    match lines.recv_timeout(SILENCE) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("it says nothing for {SILENCE:?}"),
    }
}

/// The ports of all nodes, the leader's first.
pub fn ports(cluster: &Cluster) -> Vec<String> {
    let mut ports: Vec<String> = cluster.nodes.iter().map(|node| node.port.to_string()).collect();
    ports.swap(0, cluster.leader());
    ports
}

/// Kills the leader, waits for the next one, and puts a new member in its place.
pub fn replace_leader(cluster: &mut Cluster, layout: Layout) {
    if is_stand_in() {
        return;
    }
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    let others = (0..cluster.nodes.len()).filter(|position| *position != leader);
    let others: Vec<usize> = others.collect();
    wait::until_true("the next leader", wait::LONG, || {
        let role = |position: &usize| cluster.nodes[*position].info("raft_role");
        others.iter().any(|position| role(position).as_deref() == Some("leader"))
    });
    cluster.restart(leader, layout.option());
}
