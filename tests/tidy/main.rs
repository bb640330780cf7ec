//! The house rules, checked in `cargo test`: what a compiler, rustfmt and clippy do not check.
//!
//! [`rules`] holds the rules, [`source`] splits a Rust file into code and comments, [`samples`]
//! shows that each rule can fail, [`value`] is what the consensus core owes to those who check it.
//! A violation is printed as `file:line: rule`. The patches of the mutants are looked at here as
//! well, since they go stale with the sources.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

#[path = "../mutants/table.rs"]
mod mutants;
#[path = "../mutants/patch.rs"]
mod patch;
mod rules;
mod samples;
mod source;
mod value;

use std::path::{Path, PathBuf};
use std::process::Command;

use rules::{File, Violation};

/// The top level of the repository, beside files whose name starts with a dot.
const TOP_LEVEL: [&str; 9] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "bench",
    "loadgen",
    "src",
    "tests",
    "tuning",
];

fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo test sets it");
    PathBuf::from(manifest)
}

/// Paths of all files of the repository, relative to its root. Where there is no git, all
/// files of the directories that may hold sources.
fn tracked(root: &Path) -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    match listed {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8(output.stdout).unwrap();
            // A file that is deleted and not yet committed is still listed.
            text.lines().filter(|path| root.join(path).exists()).map(str::to_owned).collect()
        }
        _ => {
            let mut found = Vec::new();
            for top in TOP_LEVEL {
                walk(root, Path::new(top), &mut found);
            }
            found
        }
    }
}

fn walk(root: &Path, path: &Path, found: &mut Vec<String>) {
    let full = root.join(path);
    if full.is_file() {
        found.push(path.to_str().unwrap().to_owned());
    } else if full.is_dir() {
        for entry in std::fs::read_dir(&full).unwrap() {
            walk(root, &path.join(entry.unwrap().file_name()), found);
        }
    }
}

fn report(violations: &[Violation]) {
    let text: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "house rules broken:\n{}\n", text.join("\n"));
}

#[test]
fn every_source_file_keeps_the_house_rules() {
    let root = root();
    let mut violations = Vec::new();
    let mut checked = 0;
    for path in tracked(&root) {
        let Ok(text) = std::fs::read_to_string(root.join(&path)) else { continue };
        rules::check(&File::new(&path, &text), &mut violations);
        checked += 1;
    }
    assert!(checked > 10, "only {checked} files found: the rules were not applied");
    report(&violations);
}

#[test]
fn the_top_level_holds_what_it_should_and_nothing_else() {
    let mut strangers: Vec<String> = tracked(&root())
        .iter()
        .map(|path| path.split('/').next().unwrap().to_owned())
        .filter(|name| !name.starts_with('.'))
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    strangers.dedup();
    assert!(strangers.is_empty(), "not part of the top level: {strangers:?}");
}

#[test]
fn the_consensus_core_forbids_unsafe_code() {
    let path = root().join("src/raft/mod.rs");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text.lines().any(|line| line == "#![forbid(unsafe_code)]"),
        "src/raft/mod.rs lacks #![forbid(unsafe_code)]"
    );
}

/// The table promises what its tests keep.
#[test]
fn every_test_that_the_table_of_failure_classes_names_exists() {
    let root = root();
    let table = std::fs::read_to_string(root.join("tests/jepsen.md")).unwrap();
    let quoted = table.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| {
        text.contains('_')
            && text.chars().all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c))
    };
    let named: Vec<&str> = quoted.filter(is_name).collect();
    assert!(named.len() > 50, "only {} tests are named: the table was not read", named.len());
    let rows = table.lines().filter(|line| line.starts_with("| #")).count();
    assert!(rows >= 21, "only {rows} classes");
    for row in table.lines().filter(|line| line.starts_with("| #")) {
        assert!(row.split('`').skip(1).step_by(2).any(|text| is_name(&text)), "no test: {row}");
    }
    let sources: Vec<String> = tracked(&root)
        .iter()
        .filter(|path| path.ends_with(".rs"))
        .filter_map(|path| std::fs::read_to_string(root.join(path)).ok())
        .collect();
    for name in named {
        let function = format!("fn {name}(");
        let exists = sources.iter().any(|source| source.contains(&function));
        assert!(exists, "there is no test {name}");
    }
}
