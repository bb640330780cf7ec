//! The tests that start servers themselves, with configurations of their own, which the suite
//! leaves out where it is told of an external server: each such server is a node that is a cluster
//! by itself.
//!
//! In place of Redis's `src/redis-server` the suite is given the script of that name here. Tests
//! that cannot pass stand in `failing_own.txt`, with the reason: they are run, since others go on
//! from what they leave behind, and one that passes fails this test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::mpsc::RecvTimeoutError;

use crate::output::{Outcome, Results};
use crate::process::{Process, binary, is_stand_in, one_at_a_time};
use crate::run::{SILENCE, folder, judge, rows_of};
use crate::skipped::parse;

/// Units with tests that need servers of their own. All others stand in `skipped.txt` already, or
/// are about files, replication, slots or the memory of a process, which are not here.
const UNITS: [&str; 9] = [
    "unit/acl",
    "unit/acl-v2",
    "unit/auth",
    "unit/info",
    "unit/limits",
    "unit/obuf-limits",
    "unit/pubsubshard",
    "unit/shutdown",
    "integration/redis-benchmark",
];

#[test]
fn the_suite_passes_on_servers_of_its_own() {
    let _turn = one_at_a_time();
    let folder = folder();
    put_programs(&folder);
    let failing = parse(include_str!("failing_own.txt"));
    let stray = failing.iter().find(|row| !UNITS.contains(&row.unit.as_str()));
    assert!(stray.is_none(), "failing_own.txt: the unit is not run: {}", stray.unwrap());
    let wanted = std::env::var("MAYFLY_SUITE_UNITS");
    let is_wanted = |unit: &str| wanted.as_ref().is_ok_and(|wanted| wanted.contains(unit));
    let (mut passed, mut complaints) = (0, Vec::new());
    for unit in UNITS.into_iter().filter(|unit| wanted.is_err() || is_wanted(unit)) {
        let rows = rows_of(&failing, unit);
        let results = run(&folder, unit);
        let count = results.count(|outcome| *outcome == Outcome::Passed);
        println!("{unit}: {count} passed, {} are known to fail", rows.len());
        passed += count;
        complaints.extend(judge(&results, &rows, true));
    }
    for row in &failing {
        println!("fails: {row}");
    }
    println!("redis suite, servers of its own: {passed} passed");
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// Puts the programs where the suite expects those of Redis, once for all tests of this process.
pub fn put_programs(folder: &str) {
    static PUT: Once = Once::new();
    PUT.call_once(|| put(folder));
}

fn put(folder: &str) {
    let source = PathBuf::from(format!("{folder}/src"));
    fs::create_dir_all(&source).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis_suite/redis-server");
    let server = if is_stand_in() { installed("redis-server") } else { PathBuf::from(script) };
    let programs =
        [("redis-cli", installed("redis-cli")), ("redis-benchmark", installed("redis-benchmark"))];
    for (name, program) in programs.into_iter().chain([("redis-server", server)]) {
        let place = source.join(name);
        if place.symlink_metadata().is_ok() {
            fs::remove_file(&place).unwrap();
        }
        symlink(program, place).unwrap();
    }
}

/// Where a program of this system lies.
fn installed(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name));
    found.into_iter().find(|place| Path::exists(place)).unwrap_or_else(|| panic!("no {name}"))
}

/// Runs one unit, whose servers end with its process.
fn run(folder: &str, unit: &str) -> Results {
    let arguments = format!(
        "-C {folder} TERM=dumb MAYFLY_BIN={} tclsh tests/test_helper.tcl --clients 1 --single \
         {unit} --durable --baseport 19500 --portcount 500 --tags -needs:repl --tags -needs:save \
         --tags -slow",
        binary()
    );
    let (_process, lines) = Process::start_with_lines("env", &arguments);
    let mut results = Results::default();
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => results.take(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                println!("{unit}: it says nothing for {SILENCE:?}");
                break;
            }
        }
    }
    results
}
