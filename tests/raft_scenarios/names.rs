//! The index of the scenarios: every name that has to be covered, and the tests that stand for it.
//!
//! `names.tsv` has a line for each: group, the name by which etcd or raft-rs knows it, and the
//! tests, or `not applicable:` and why. These tests keep it true.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const INDEX: &str = include_str!("names.tsv");
const NOT_APPLICABLE: &str = "not applicable: ";

/// The groups and how many names each has.
const GROUPS: [(&str, usize); 9] = [
    ("election", 38),
    ("commit", 18),
    ("replication", 41),
    ("disruption", 23),
    ("reads", 14),
    ("transfer", 17),
    ("membership", 46),
    ("snapshot", 25),
    ("identity", 28),
];

fn lines() -> impl Iterator<Item = [&'static str; 3]> {
    INDEX.lines().map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        fields.try_into().unwrap_or_else(|_| panic!("three fields: {line}"))
    })
}

/// The names of all functions that are tests: of this suite, and the unit tests of the core and of
/// the links, which bind a peer to its cluster and its process.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    gather(&root.join("tests/raft_scenarios"), &mut names);
    gather(&root.join("src/raft"), &mut names);
    gather(&root.join("src/net/peer"), &mut names);
    names
}

fn gather(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, names);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(path).unwrap();
            let mut lines = text.lines().map(str::trim);
            while lines.any(|line| line == "#[test]") {
                let name = lines.next().and_then(|line| line.strip_prefix("fn "));
                names.extend(name.and_then(|rest| rest.split('(').next()).map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_name_has_a_test_or_a_reason() {
    let known = tests();
    for [group, name, covered_by] in lines() {
        if let Some(reason) = covered_by.strip_prefix(NOT_APPLICABLE) {
            assert!(reason.split(' ').count() > 5, "{group} {name}: not a reason: {reason}");
            continue;
        }
        for test in covered_by.split(", ") {
            assert!(known.contains(test), "{group} {name}: there is no test {test}");
        }
    }
}

#[test]
fn no_name_is_listed_twice() {
    let mut seen = BTreeSet::new();
    for [group, name, _] in lines() {
        assert!(seen.insert((group, name)), "{group} {name}");
    }
}

#[test]
fn every_group_is_complete() {
    for (group, expected) in GROUPS {
        assert_eq!(lines().filter(|[of, ..]| *of == group).count(), expected, "{group}");
    }
    let unknown = lines().find(|[of, ..]| GROUPS.iter().all(|(group, _)| group != of));
    assert_eq!(unknown, None);
}
