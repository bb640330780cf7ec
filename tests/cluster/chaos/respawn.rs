//! `mayfly local --respawn` under load: the supervisor sees to the restarts.

use std::thread;

use super::load::{Account, Load};
use super::{OPTIONS, check, prefill, swarm};
use crate::client::Client;
use crate::cluster::{Layout, on_both_layouts};
use crate::local;
use crate::process::{is_stand_in, one_at_a_time};
use crate::wait::{self, LONG};

on_both_layouts!(every_node_of_a_local_cluster_is_replaced_under_load);

fn every_node_of_a_local_cluster_is_replaced_under_load(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let mut local = local::start(3, &format!("--respawn {} {OPTIONS}", layout.option()));
    prefill(local.ports[0]);
    let load = Load::new("run", local.ports.clone());
    let accounts: Vec<Account> = thread::scope(|scope| {
        let guard = load.stop_guard();
        let clients = load.start_all(scope);
        swarm::settle(&load);
        // Two leaders, then everybody: nobody of the first three is left.
        for round in 0..5 {
            load.wait_for_answers(&[0, 1, 2], 5);
            let victim = if round < 2 { leader(&load) } else { round - 2 };
            load.hosts[victim].disturb();
            local::kill_node(&local, load.hosts[victim].port);
            local.wait_for_respawn();
            swarm::settle(&load);
        }
        drop(guard);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    load.check();
    swarm::settle(&load);
    check(&load, &accounts);
    local.stop();
}

fn leader(load: &Load) -> usize {
    wait::until("a leader", LONG, || {
        load.hosts.iter().position(|host| {
            let mut client = Client::connect(host.port);
            client.info("raft_role").as_deref() == Some("leader")
        })
    })
}
