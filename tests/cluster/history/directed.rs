//! Schedules that hit what other systems got wrong and a random fault may miss.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::fleet::{Fleet, PATIENCE};
use super::proxy::Passage;
use super::record::{Op, Outcome};
use super::stage::{NEVER_MS, Schedule, Stage, play};
use super::this_build;
use crate::client::{Client, Value};
use crate::cluster::Layout;
use crate::process::is_stand_in;
use crate::wait;

fn acquit(name: &str, schedule: Schedule) {
    if is_stand_in() {
        return;
    }
    if let Err(violation) = play(name, schedule, &this_build()) {
        panic!("{name}: {violation:?}");
    }
}

fn voters(stage: &Stage<'_>, node: usize) -> String {
    stage.fleet.info(node).unwrap().get("num_voting_nodes").to_owned()
}

/// A leader on its own is told to remove everybody else; the others go on without it.
fn remove_all_others_from_an_island(stage: &mut Stage<'_>) {
    let former = stage.fleet.leader();
    let others = stage.fleet.others(&[former]);
    let ids: Vec<String> = others
        .iter()
        .map(|node| stage.fleet.info(*node).unwrap().get("node_id").to_owned())
        .collect();
    // It goes on in the belief that it leads.
    stage.set_election_timeout(former, NEVER_MS);
    stage.acknowledged(former, "register:0:0", Op::Set(1));
    stage.fleet.network.set_between(&[former], &others, Passage::Stalled);
    for id in &ids {
        let answered = stage.administer(former, &format!("RAFT.NODE REMOVE {id}"));
        assert_ne!(answered, Some(Value::ok()), "the removal of {id}");
    }
    let unheard = stage.perform(former, "register:0:0", Op::Set(2));
    assert!(matches!(unheard, Outcome::Unknown(_)), "{unheard:?}");
    let leader = stage.leader_among(&others);
    stage.acknowledged(leader, "register:0:0", Op::Set(3));
    stage.perform(former, "register:0:0", Op::Get);
    stage.fleet.settle();
    for node in stage.fleet.all() {
        assert_eq!(voters(stage, node), "3", "at node {node}");
    }
}

/// A leader stands still, with a question before it, while the others choose another and go on.
fn ask_a_leader_that_stands_still(stage: &mut Stage<'_>) {
    let former = stage.fleet.leader();
    let others = stage.fleet.others(&[former]);
    stage.acknowledged(former, "register:0:0", Op::Set(1));
    stage.fleet.pause(former);
    let asked = stage.ask_aside(former, "register:0:0", Op::Get);
    let leader = stage.leader_among(&others);
    stage.acknowledged(leader, "register:0:0", Op::Set(2));
    let asked_late = stage.ask_aside(former, "register:0:0", Op::Get);
    // What is asked lies before the node by now.
    wait::rest(Duration::from_millis(50));
    stage.fleet.resume(former);
    stage.answer_of(asked);
    stage.answer_of(asked_late);
}

#[test]
fn a_leader_on_an_island_removes_nobody() {
    acquit("island", remove_all_others_from_an_island);
}

#[test]
fn a_leader_that_stood_still_answers_with_what_was_written_meanwhile() {
    acquit("stood-still", ask_a_leader_that_stands_still);
}

#[test]
fn a_leader_is_deposed_whichever_way_it_is_cut_off() {
    if is_stand_in() {
        return;
    }
    let mut fleet = Fleet::start(3, Layout::Folded, "", &this_build());
    for way in [Passage::Stalled, Passage::Lost, Passage::Refused] {
        let former = fleet.leader();
        let others = fleet.others(&[former]);
        fleet.network.set_between(&[former], &others, way);
        wait::until_true(&format!("another leader, {way:?}"), PATIENCE, || {
            fleet.try_leader().is_some_and(|leader| leader != former)
        });
        let cut_off = fleet.ask(former, "SET k v");
        assert_ne!(cut_off, Some(Value::ok()), "{way:?}");
        fleet.settle();
        assert_eq!(Client::connect(fleet.nodes[former].port).call("SET k v"), Value::ok());
    }
}

#[test]
fn a_slow_network_takes_its_time_and_loses_nothing() {
    if is_stand_in() {
        return;
    }
    const WAY: Duration = Duration::from_millis(40);
    let mut fleet = Fleet::start(3, Layout::Folded, "", &this_build());
    let all = fleet.all();
    fleet.network.set(&all, &all, Passage::Slow(WAY));
    for number in 1..=5 {
        let mut client = Client::connect(fleet.nodes[number % 3].port);
        let began = Instant::now();
        assert_eq!(client.call("INCR counter"), Value::Integer(number as i64));
        let took = began.elapsed();
        assert!(took >= 2 * WAY, "there and back in {took:?}");
    }
    fleet.settle();
}

/// What each node takes for the time, in seconds ahead of this process.
fn ahead(fleet: &Fleet, node: usize) -> i64 {
    let Value::Array(time) = Client::connect(fleet.nodes[node].port).call("TIME") else {
        panic!("TIME answers an array")
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    time[0].text().parse::<i64>().unwrap() - now
}

#[test]
fn what_has_expired_stays_away_when_clocks_go_back() {
    if is_stand_in() {
        return;
    }
    const HOUR: i64 = 3600;
    let fleet = Fleet::start(3, Layout::Folded, "", &this_build());
    let each = |command: &str, expected: &Value| {
        fleet.ports().iter().all(|port| Client::connect(*port).call(command) == *expected)
    };
    let mut client = Client::connect(fleet.nodes[1].port);
    assert_eq!(client.call("SET brief v EX 600"), Value::ok());
    assert_eq!(client.call("SET long v EX 86400"), Value::ok());
    let leader = fleet.leader();
    fleet.set_clock(leader, HOUR);
    let moved = ahead(&fleet, leader);
    assert!((HOUR - 60..=HOUR + 60).contains(&moved), "the clock is {moved} s ahead");
    wait::until_true("the key expires everywhere", PATIENCE, || each("GET brief", &Value::Null));
    fleet.set_clock(leader, -HOUR);
    assert!(ahead(&fleet, leader) < 60 - HOUR);
    assert_eq!(client.call("SET other v"), Value::ok());
    assert!(each("GET brief", &Value::Null), "the time of the log went back");
    assert!(each("GET long", &Value::bulk("v")));
}
