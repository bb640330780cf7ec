//! What is known of each command of Redis and Valkey: whether it is there, who tests it, whether
//! the differential test compares it, and where it differs from Redis.
//!
//! The report is printed, and lies in `README.md` beside this file, where
//! `MAYFLY_COVERAGE_WRITE=1 cargo test --test coverage` renews it. `commands.tsv` holds the names
//! of all commands with their groups and versions, as the reference manuals of Redis and Valkey
//! give them.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "the differential test uses the rest of it")]
#[path = "../differential/compare.rs"]
mod compare;
#[allow(dead_code, reason = "the differential test uses the rest of it")]
#[path = "../differential/differences.rs"]
mod differences;
#[allow(dead_code, reason = "the differential test uses the rest of it")]
#[path = "../differential/grammar.rs"]
mod grammar;
#[allow(dead_code, reason = "the differential test uses the rest of it")]
#[path = "../differential/reference.rs"]
mod reference;
mod report;
#[allow(dead_code, reason = "the differential test uses the rest of it")]
#[path = "../raft_sim/rng.rs"]
mod rng;
#[allow(dead_code, reason = "the differential test uses the rest of it")]
#[path = "../differential/scripts.rs"]
mod scripts;
mod tests_of;
#[allow(dead_code, reason = "the differential test uses the rest of it")]
#[path = "../differential/wire.rs"]
mod wire;
#[allow(dead_code, reason = "the differential test uses the rest of it")]
#[path = "../differential/words.rs"]
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mayfly::engine::command::table;

/// The commands that the differential test leaves out, with the reason: `name: reason`.
const EXCLUDED: &str = include_str!("../differential/excluded.txt");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every command that there is, subcommands as `container|name`.
fn implemented() -> BTreeSet<String> {
    let of_one = |spec: &'static mayfly::engine::command::CommandSpec| {
        let subcommands = spec.subcommands.iter();
        let full = subcommands.map(|subcommand| format!("{}|{}", spec.name, subcommand.name));
        full.chain([spec.name.to_owned()])
    };
    table::all().flat_map(of_one).collect()
}

/// Every command that the grammar draws, as it is called in the table.
fn generated() -> BTreeSet<String> {
    let families = grammar::read(grammar::TEXT).unwrap_or_else(|error| panic!("{error}"));
    let rules = families.iter().flat_map(|family| &family.rules);
    let mut names = BTreeSet::new();
    for words in rules.map(grammar::Rule::name) {
        let spec = table::lookup(words[0].as_bytes()).map(table::spec);
        let spec =
            spec.unwrap_or_else(|| panic!("the grammar draws {}: no such command", words[0]));
        let second = words.get(1).filter(|word| spec.subcommand(word.as_bytes()).is_some());
        names.insert(words[0].clone());
        names.extend(second.map(|second| format!("{}|{second}", words[0])));
    }
    names
}

/// The reasons by the names of `implemented` that are excluded.
fn excluded(implemented: &BTreeSet<String>) -> BTreeMap<String, String> {
    let rows = EXCLUDED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut excluded = BTreeMap::new();
    for line in rows {
        let (name, reason) = line.split_once(": ").unwrap_or_else(|| panic!("no reason: {line}"));
        let fits = |each: &&String| match name.strip_suffix('*') {
            Some(start) => each.starts_with(start),
            None => *each == name,
        };
        let before = excluded.len();
        excluded.extend(implemented.iter().filter(fits).map(|each| (each.clone(), reason.into())));
        assert!(excluded.len() > before, "excluded.txt names '{name}': there is none, or not once");
    }
    excluded
}

#[test]
fn every_command_is_generated_or_excluded_with_a_reason() {
    let (implemented, generated) = (implemented(), generated());
    let excluded = excluded(&implemented);
    assert!(generated.len() > 200, "only {} commands are generated", generated.len());
    let is_known = |name: &&String| generated.contains(*name) || excluded.contains_key(*name);
    let unknown: Vec<&String> = implemented.iter().filter(|name| !is_known(name)).collect();
    assert!(
        unknown.is_empty(),
        "the differential test does not know {unknown:?}: add them to grammar.txt in \
         tests/differential, or to excluded.txt there with the reason"
    );
    let twice: Vec<&String> = excluded.keys().filter(|name| generated.contains(*name)).collect();
    assert!(twice.is_empty(), "{twice:?} are generated, and excluded");
}

#[test]
fn every_difference_is_of_a_command_that_is_compared() {
    let generated = generated();
    for difference in differences::DIFFERENCES {
        let command = difference.command;
        assert!(command == "*" || generated.contains(command), "nobody compares '{command}'");
        assert!(difference.reason.len() > 10, "'{command}' differs without a reason");
    }
}

#[test]
fn the_report_is_current() {
    let implemented = implemented();
    let excluded = excluded(&implemented);
    let report = report::Report::new(&root(), &implemented, &generated(), &excluded);
    println!("{}", report.summary());
    report.rows().iter().for_each(|row| println!("{row}"));
    report.check_or_write();
}
