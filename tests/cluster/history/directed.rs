//! Schedules that hit what other systems got wrong and a random fault may miss.

use std::time::Duration;

use super::proxy::Passage;
use super::record::{Op, Outcome};
use super::stage::{NEVER_MS, Schedule, Stage, play};
use super::this_build;
use crate::client::Value;
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
