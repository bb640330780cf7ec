//! Golden interaction scripts: what members of a cluster say to each other, step by step.
//!
//! A script of `tests/script` is a text: commands, and below each the trace that it leaves. It is
//! meant to be read. The members are cores of [`mayfly::raft`]; time passes and messages arrive
//! only when a command says so, so a script runs the same each time. The commands are explained in
//! [`commands`], the lines of the trace in [`trace`].
//!
//! `REWRITE=1 cargo test --test raft_script` writes the traces anew; what has changed is then to be
//! read line by line. Beside the trace, members are compared as they go: no two ever commit
//! different entries at one index, and no two lead in one term.

mod commands;
mod trace;
mod world;

use std::path::{Path, PathBuf};

use world::World;

fn scripts() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo test sets it");
    Path::new(&manifest).join("tests/script")
}

fn run(name: &str) {
    let directory = scripts();
    let wanted = directory.join(format!("{name}.txt"));
    let mut found = false;
    let directory = directory.to_str().expect("a path in UTF-8");
    let is_other = |file: &datadriven::TestFile| Path::new(&file.filename) != wanted;
    let mut each = |file: &mut datadriven::TestFile| {
        found = true;
        let mut world = World::default();
        file.run(|case| -> String {
            assert_eq!(case.directive, "do", "{name}: commands stand below `do`");
            world.run(&case.input)
        });
    };
    datadriven::walk_exclusive(directory, &mut each, is_other);
    assert!(found, "{wanted:?} is not there");
}

macro_rules! scripts {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { run(stringify!($name)); })*
    };
}

scripts! {
    admission_truncated check_quorum dedup duplicate_slot election figure_8 flow_control
    force_recover founding giving_up growing held_during_transfer joint_crash_appended
    joint_crash_committed joint_crash_leaving lagging_commit last_words leader_transfer
    log_conflict observer one_way_partition prevote probe_and_replicate read_index
    read_new_leader remove_leader replace_on_restart replicate_pause
    slow_follower_after_compaction snapshot_failure split_vote stale_acknowledgement
}

/// Every script is run under its name, and tells first what it shows.
#[test]
fn every_script_has_a_test_and_a_reason() {
    // Somebody else may be writing what is read here.
    if std::env::var_os("REWRITE").is_some() {
        return;
    }
    let mut found = Vec::new();
    for file in std::fs::read_dir(scripts()).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let comment = text.lines().take_while(|line| line.starts_with('#')).count();
        assert!(comment >= 3, "{path:?} does not begin with what it shows");
        found.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    found.sort();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(found, names);
}
