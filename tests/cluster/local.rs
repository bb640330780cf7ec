//! `mayfly local`: what it prints, and that nothing of it stays behind.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;

use rustix::process::Signal;

use crate::client::{Client, Value};
use crate::process::{Process, binary, free_ports, is_alive, is_stand_in, one_at_a_time};
use crate::wait::{self, LONG};

/// A cluster under its supervisor.
pub struct Local {
    supervisor: Process,
    /// Process id of each node by port, as printed.
    pids: HashMap<u16, u32>,
    pub ports: Vec<u16>,
    lines: Receiver<String>,
}

pub fn start(nodes: u16, options: &str) -> Local {
    let first = free_ports(nodes);
    let arguments = format!("local --nodes {nodes} --port {first} {options}");
    let (supervisor, lines) = Process::start_with_lines(&binary(), arguments.trim());
    let mut pids = HashMap::new();
    for number in 1..=nodes {
        let line = lines.recv_timeout(LONG).expect("a line for each node");
        let words: Vec<&str> = line.split(' ').collect();
        let ["node", shown, "pid", pid, "port", port] = words[..] else { panic!("{line}") };
        assert_eq!(shown, number.to_string());
        pids.insert(port.parse().unwrap(), pid.parse().unwrap());
    }
    assert_eq!(lines.recv_timeout(LONG).as_deref(), Ok("ready"));
    let ports: Vec<u16> = (first..first + nodes).collect();
    assert!(ports.iter().all(|port| pids.contains_key(port)), "{pids:?}");
    Local { supervisor, pids, ports, lines }
}

impl Local {
    /// Waits for the line that tells of a new process in the place of one that has ended.
    pub fn wait_for_respawn(&mut self) {
        let line = self.lines.recv_timeout(LONG).expect("a line for a new process");
        let words: Vec<&str> = line.split(' ').collect();
        let ["node", _, "pid", pid, "port", port, "respawned"] = words[..] else {
            panic!("{line}")
        };
        self.pids.insert(port.parse().unwrap(), pid.parse().unwrap());
    }

    /// Stops the cluster, and checks that it ends properly and whole.
    pub fn stop(mut self) {
        self.supervisor.signal(Signal::TERM);
        assert!(self.supervisor.wait("the supervisor ends").success());
        self.check_all_gone();
    }

    fn check_all_gone(&self) {
        for pid in self.pids.values() {
            wait::until_true("the end of a node", LONG, || !is_alive(*pid));
        }
        for port in &self.ports {
            // The kernel takes an io_uring and the sockets it holds down shortly after the process.
            wait::until_true("a closed port", LONG, || Client::try_connect(*port).is_err());
        }
    }
}

#[test]
fn a_ready_cluster_serves_on_every_port() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let local = start(3, "");
    // At once: "ready" means ready.
    for writer in &local.ports {
        assert_eq!(Client::connect(*writer).call(&format!("SET k {writer}")), Value::ok());
        for reader in &local.ports {
            let read = Client::connect(*reader).call("GET k");
            assert_eq!(read, Value::bulk(&writer.to_string()));
        }
    }
    for (port, pid) in &local.pids {
        assert_eq!(Client::connect(*port).info("process_id"), Some(pid.to_string()));
    }
}

#[test]
fn a_cluster_of_one_is_a_cluster() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let local = start(1, "");
    assert_eq!(Client::connect(local.ports[0]).call("SET k v"), Value::ok());
}

#[test]
fn stopping_signals_stop_every_node_and_leave_nothing() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    for signal in [Signal::TERM, Signal::INT] {
        let mut local = start(3, "");
        local.supervisor.signal(signal);
        let status = local.supervisor.wait("the supervisor ends");
        // By then, not some time later.
        assert!(local.pids.values().all(|pid| !is_alive(*pid)));
        assert_eq!(status.code(), Some(0), "{signal:?}");
        local.check_all_gone();
    }
}

#[test]
fn no_node_outlives_a_killed_supervisor() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let mut local = start(3, "");
    local.supervisor.kill();
    local.check_all_gone();
}

#[test]
fn a_node_that_dies_stays_away_unless_asked_for() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let mut local = start(3, "");
    let victim = local.ports[2];
    kill_node(&local, victim);
    // The others go on.
    assert_eq!(Client::connect(local.ports[0]).call("SET k v"), Value::ok());
    assert!(local.supervisor.is_running());
    // The kernel takes a killed process's ring, and the sockets in it, down in its own time.
    wait::until_true("nobody at the port", LONG, || Client::try_connect(victim).is_err());
    assert!(local.lines.try_recv().is_err(), "nothing more to say on standard output");
}

#[test]
fn a_node_that_dies_is_replaced_when_asked_for() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let local = start(3, "--respawn");
    let victim = local.ports[1];
    assert_eq!(Client::connect(local.ports[0]).call("SET k before"), Value::ok());
    let old_id = Client::connect(victim).info("raft_node_id").unwrap();
    kill_node(&local, victim);
    assert_eq!(Client::connect(local.ports[0]).call("SET k after"), Value::ok());
    wait::until_true("the new node serves", LONG, || {
        let Ok(mut client) = Client::try_connect(victim) else { return false };
        client.try_call("GET k").is_ok_and(|value| value == Value::bulk("after"))
    });
    let mut client = Client::connect(victim);
    wait::until_true("the new node votes in the place of the old", LONG, || {
        client.info("raft_num_voting_nodes").as_deref() == Some("3")
            && client.info("raft_is_voting").as_deref() == Some("yes")
    });
    assert_ne!(client.info("raft_node_id"), Some(old_id), "no member comes back");
}

pub fn kill_node(local: &Local, port: u16) {
    let pid = i32::try_from(local.pids[&port]).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    wait::until_true("the end of a node", LONG, || !is_alive(local.pids[&port]));
}
