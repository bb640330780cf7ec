//! Which tests name which commands: by the strings in them that begin with a command's name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Files by the commands that they name, in small letters; a file by how often it does.
pub type Mentions = BTreeMap<String, BTreeMap<String, usize>>;

/// Reads all tests under `root`. Only `names` are looked for.
pub fn find(root: &Path, names: &BTreeSet<String>) -> Mentions {
    let mut mentions = Mentions::new();
    for top in ["src", "tests", "loadgen/tests", "bench/tests"] {
        walk(root, Path::new(top), &mut |path, text| {
            for name in strings(text).flat_map(named).filter(|name| names.contains(name)) {
                *mentions.entry(name).or_default().entry(path.to_owned()).or_default() += 1;
            }
        });
    }
    mentions
}

fn walk(root: &Path, path: &Path, visit: &mut impl FnMut(&str, &str)) {
    let full = root.join(path);
    let name = path.to_str().unwrap_or_default();
    if full.is_dir() {
        for entry in fs::read_dir(&full).unwrap().map(Result::unwrap) {
            walk(root, &path.join(entry.file_name()), visit);
        }
    } else if is_test(name) {
        visit(name, &fs::read_to_string(full).unwrap());
    }
}

fn is_test(path: &str) -> bool {
    let is_code = path.ends_with(".rs") || path.ends_with(".py");
    let of_the_report =
        path.starts_with("tests/coverage/") || path.starts_with("tests/differential/");
    let of_a_module = path.ends_with("/tests.rs") || path.contains("/tests/");
    is_code && !of_the_report && (path.starts_with("tests/") || of_a_module)
}

/// What stands behind each quote: also behind those that close, which names nothing.
fn strings(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).map(|rest| rest.split(['\\', '\n']).next().unwrap_or_default())
}

/// The command that a string begins with, alone and with the subcommand.
fn named(string: &str) -> Vec<String> {
    let mut words = string.split(' ').map(str::to_ascii_lowercase);
    let Some(first) = words.next().filter(|word| !word.is_empty()) else { return Vec::new() };
    let with_second = words.next().map(|second| format!("{first}|{second}"));
    [first].into_iter().chain(with_second).collect()
}

#[test]
fn commands_are_found_where_strings_begin_with_them() {
    let text = "check(\"GET k\"); &[\"config\", \"x\"]; \"CONFIG get *\" // forget get\n\"x get\"";
    let names: Vec<String> = strings(text).flat_map(named).collect();
    for name in ["get", "config", "config|get"] {
        assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
    }
    assert!(!names.contains(&"forget".to_owned()), "{names:?}");
}
