//! The rules. Each looks at one file and adds what it finds.

use std::fmt;

use crate::source::Source;

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Folders and files without I/O, clocks, ambient randomness and runtimes.
const PURE: [&str; 8] = [
    "src/raft/",
    "src/engine/",
    "src/snapshot/",
    "src/net/resp/",
    "src/net/resp.rs",
    "src/net/frame.rs",
    "src/net/frame/",
    "src/wire.rs",
];

/// Modules of `std` that a pure module takes nothing from, however the import is written.
const IMPURE_STD: [&str; 10] =
    ["env", "fs", "future", "io", "net", "os", "process", "sync::mpsc", "task", "thread"];

/// Names that a pure module does not use, whatever they come from.
const IMPURE: [&str; 26] = [
    "glommio",
    "flume",
    "libc",
    "socket2",
    "io_uring",
    "rustix",
    "signal_hook",
    "mimalloc",
    "async",
    "await",
    "Future",
    // Time. A `Duration` is a number.
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "sleep",
    // Chance, also that of a map whose order differs from process to process.
    "rand",
    "fastrand",
    "getrandom",
    "RandomState",
    "DefaultHasher",
    "HashMap",
    "HashSet",
    // State outside of the value.
    "static mut",
    "thread_local!",
    "Mutex",
    "RwLock",
];

/// Of these, what the tests of a pure module may use: no order of theirs decides anything.
const PURE_ENOUGH_FOR_TESTS: [&str; 4] = ["RandomState", "DefaultHasher", "HashMap", "HashSet"];

/// Where `unsafe` may stand.
const UNSAFE_ALLOWED: [&str; 5] = [
    "src/net/ring.rs",
    "src/net/ring/",
    "src/net/socket.rs",
    "src/node/preflight.rs",
    "src/sys.rs",
];

/// Who must not name whom: dependencies point one way.
const LAYERS: [(&str, &[&str]); 5] = [
    (
        "src/raft/",
        &[
            "crate::engine",
            "crate::wire",
            "crate::snapshot",
            "crate::net",
            "crate::node",
            "crate::info",
        ],
    ),
    (
        "src/engine/",
        &["crate::wire", "crate::snapshot", "crate::net", "crate::node", "crate::info"],
    ),
    (
        "src/wire.rs",
        &["crate::engine", "crate::snapshot", "crate::net", "crate::node", "crate::info"],
    ),
    ("src/snapshot/", &["crate::net", "crate::node", "crate::info"]),
    ("src/net/", &["crate::node"]),
];

/// Where the process speaks to its terminal.
const PRINTS: [&str; 4] = ["src/main.rs", "src/local", "bench/", "loadgen/"];

/// The one place of the tests that may wait by the clock: the polling helper.
const SLEEPS: [&str; 1] = ["tests/cluster/wait.rs"];

pub struct File<'a> {
    path: &'a str,
    text: &'a str,
    /// `None` unless it is a Rust file.
    source: Option<Source>,
}

#[derive(Debug, PartialEq)]
pub struct Violation {
    pub path: String,
    pub line: usize,
    pub rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

impl<'a> File<'a> {
    pub fn new(path: &'a str, text: &'a str) -> Self {
        let source = path.ends_with(".rs").then(|| Source::new(text));
        Self { path, text, source }
    }

    fn is_under(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    /// Whether line `number` (from 0) is test code: a file of tests, or below `#[cfg(test)]`.
    fn is_test(&self, number: usize) -> bool {
        let file_of_tests = self.path.starts_with("tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/");
        file_of_tests || self.text.lines().take(number).any(|line| line.trim() == "#[cfg(test)]")
    }
}

/// Adds every violation of every rule in `file`.
pub fn check(file: &File<'_>, violations: &mut Vec<Violation>) {
    let mut add = |line: usize, rule: String| {
        violations.push(Violation { path: file.path.to_owned(), line: line + 1, rule });
    };
    check_text(file, &mut add);
    let Some(source) = &file.source else { return };
    check_shape(file, source, &mut add);
    check_comments(source, &mut add);
    check_words(file, source, &mut add);
    check_unsafe(file, source, &mut add);
    check_layers(file, source, &mut add);
}

/// What holds for scripts and documents too.
fn check_text(file: &File<'_>, add: &mut impl FnMut(usize, String)) {
    let ends = [".rs", ".py", ".mjs", ".php", ".rb", "/run"];
    let is_source = ends.iter().any(|end| file.path.ends_with(end));
    let mut in_table = false;
    for (number, line) in file.text.lines().enumerate() {
        // A table that is laid out by hand has a row to a line, whatever its length.
        in_table = match line {
            "#[rustfmt::skip]" => true,
            _ => in_table && !line.starts_with([']', '}']),
        };
        let columns = line.chars().count();
        // An address cannot be broken.
        if is_source && columns > COLUMNS_MAX && !in_table && !line.contains("://") {
            add(number, format!("{columns} columns, at most {COLUMNS_MAX}"));
        }
        if line.ends_with([' ', '\t', '\r']) && is_source {
            add(number, "white space at the end of the line".into());
        }
        if line.contains(concat!("/wo", "rk/")) {
            add(number, "a path of somebody's machine".into());
        }
    }
}

fn check_shape(file: &File<'_>, source: &Source, add: &mut impl FnMut(usize, String)) {
    let lines = source.code.len();
    if lines > FILE_LINES_MAX {
        add(FILE_LINES_MAX, format!("{lines} lines in a file, at most {FILE_LINES_MAX}"));
    }
    // What a file of unit tests is for, its parent says.
    if !file.text.starts_with("//!") && !file.path.ends_with("/tests.rs") {
        add(0, "a file opens with //!: what it owns, what it must not know".into());
    }
    for (number, len) in function_lengths(source) {
        if len > FUNCTION_LINES_MAX {
            add(number, format!("{len} lines in a function, at most {FUNCTION_LINES_MAX}"));
        }
    }
}

/// First line and number of lines of each function with a body. The rows of a table of `cases` do
/// not count: a longer table is no harder to read.
fn function_lengths(source: &Source) -> Vec<(usize, usize)> {
    let mut lengths = Vec::new();
    for (number, line) in source.code.iter().enumerate() {
        let named = words(line).any(|(position, word)| {
            word == "fn" && line[position + 2..].trim_start().starts_with(is_word)
        });
        if named && let Some(end) = body_end(&source.code, number) {
            let table = table_rows(&source.code[number..=end]);
            lengths.push((number, end - number + 1 - table));
        }
    }
    lengths
}

/// Lines between `let cases = [` and the `];` that ends it.
fn table_rows(body: &[String]) -> usize {
    let Some(start) = body.iter().position(|line| line.trim_end().ends_with("let cases = ["))
    else {
        return 0;
    };
    let indent = body[start].len() - body[start].trim_start().len();
    let closes = |line: &String| line.len() >= indent && line[indent..].starts_with("];");
    body[start..].iter().position(closes).unwrap_or(0)
}

/// The line of the brace that closes the first body opened from line `start` on. `None` for a
/// function without a body.
fn body_end(code: &[String], start: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut brackets = 0usize;
    let from = code[start].find("fn ").unwrap_or(0);
    for (number, line) in code.iter().enumerate().skip(start) {
        let skip = if number == start { from } else { 0 };
        for c in line[skip..].chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '{' => depth += 1,
                '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some(number);
                    }
                }
                ';' if depth == 0 && brackets == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

fn check_comments(source: &Source, add: &mut impl FnMut(usize, String)) {
    for (number, comment) in source.comments.iter().enumerate() {
        for (_, word) in words(comment) {
            if ["TODO", "FIXME", "XXX", "HACK"].contains(&word) {
                add(number, format!("{word}: do it, or leave it out"));
            }
        }
        let inside = comment.trim().trim_start_matches(['/', '!', ' ']);
        if inside.len() >= 4 && inside.chars().all(|c| "-=*#~_".contains(c)) {
            add(number, "a banner".into());
        }
        if ["let ", "fn ", "use ", "if ", "self.", "return "]
            .iter()
            .any(|start| inside.starts_with(start))
            && inside.ends_with([';', '{'])
            && source.code[number].trim().is_empty()
        {
            add(number, "code that is commented out".into());
        }
    }
}

fn check_words(file: &File<'_>, source: &Source, add: &mut impl FnMut(usize, String)) {
    for (number, line) in source.code.iter().enumerate() {
        let is_test = file.is_test(number);
        for call in ["dbg!", "todo!", "unimplemented!"] {
            if has_word(line, call) {
                add(number, format!("{call} is not for committed code"));
            }
        }
        for call in ["println!", "print!", "eprintln!", "eprint!"] {
            if has_word(line, call) && !is_test && !file.is_under(&PRINTS) {
                add(number, format!("{call} in library code"));
            }
        }
        if has_word(line, "anyhow") {
            add(number, "anyhow: errors are one enum per module".into());
        }
        if ["Box<dyn Error", "Box<dyn std::error::Error", "Box<dyn error::Error"]
            .iter()
            .any(|boxed| line.contains(boxed))
        {
            add(number, "a boxed error: errors are one enum per module".into());
        }
        for attribute in ["#[ignore", "#[should_panic"] {
            if line.contains(attribute) {
                add(number, format!("{attribute}]: a test runs, and fails by an assertion"));
            }
        }
        if is_test && !file.is_under(&SLEEPS) && has_word(line, "thread::sleep") {
            add(number, "a test waits for a condition, not for the clock".into());
        }
        let import = line.trim();
        if import.starts_with("use ") && import.ends_with("::*;") && !is_test {
            add(number, "a glob import".into());
        }
    }
}

fn check_unsafe(file: &File<'_>, source: &Source, add: &mut impl FnMut(usize, String)) {
    for (number, line) in source.code.iter().enumerate() {
        if !has_word(line, "unsafe") {
            continue;
        }
        if !file.is_under(&UNSAFE_ALLOWED) {
            add(number, "unsafe outside of the ring, the sockets, the preflight and sys".into());
        }
        if !is_justified(source, number) {
            add(number, "unsafe without a SAFETY comment".into());
        }
    }
}

/// Whether a SAFETY comment stands in the comments above the statement of line `number`, or on it.
fn is_justified(source: &Source, number: usize) -> bool {
    let says = |line: usize| {
        ["SAFETY:", "# Safety"].iter().any(|mark| source.comments[line].contains(mark))
    };
    if says(number) {
        return true;
    }
    for line in (0..number).rev() {
        if says(line) {
            return true;
        }
        let code = source.code[line].trim();
        let is_blank = code.is_empty() && source.comments[line].trim().is_empty();
        if is_blank || code.ends_with([';', '{', '}']) {
            return false;
        }
    }
    false
}

fn check_layers(file: &File<'_>, source: &Source, add: &mut impl FnMut(usize, String)) {
    let is_pure = file.is_under(&PURE);
    if is_pure {
        for (number, path) in paths_of_std(source) {
            let is_in = |module: &&&str| {
                path.strip_prefix(**module).is_some_and(|rest| !rest.starts_with(is_word))
            };
            if let Some(module) = IMPURE_STD.iter().find(is_in) {
                add(number, format!("std::{module} in a pure module"));
            }
            if path.starts_with(" as ") {
                add(number, "std under another name in a pure module".into());
            }
        }
    }
    for (number, line) in source.code.iter().enumerate() {
        if is_pure {
            let is_test = file.is_test(number);
            let is_allowed = |name: &str| is_test && PURE_ENOUGH_FOR_TESTS.contains(&name);
            for name in IMPURE.iter().filter(|name| !is_allowed(name)) {
                if has_word(line, name) {
                    add(number, format!("{name} in a pure module"));
                }
            }
        } else if file.path.starts_with("src/")
            && !file.is_under(&["src/net/", "src/node/"])
            && has_word(line, "glommio")
        {
            add(number, "glommio outside of net and node".into());
        }
        for (place, forbidden) in LAYERS {
            for name in forbidden.iter().filter(|_| file.path.starts_with(place)) {
                if has_word(line, name) {
                    add(number, format!("{place} must not know {name}"));
                }
            }
        }
    }
}

/// What is taken from `std`, and in which line: each path of a group by itself, without `std::`.
fn paths_of_std(source: &Source) -> Vec<(usize, String)> {
    let text = source.code.join("\n");
    let mut paths = Vec::new();
    for (start, _) in text.match_indices("std") {
        let is_name = !text[..start].ends_with(is_word);
        let rest = &text[start + 3..];
        if let Some(path) = rest.strip_prefix("::").filter(|_| is_name) {
            let number = text[..start].matches('\n').count();
            flatten(path, number, "", &mut paths);
        } else if is_name && rest.starts_with(" as ") {
            paths.push((text[..start].matches('\n').count(), " as ".to_owned()));
        }
    }
    paths
}

/// Adds the paths that `text` begins with, behind `before`; returns what follows them.
fn flatten<'a>(
    text: &'a str,
    mut number: usize,
    before: &str,
    paths: &mut Vec<(usize, String)>,
) -> &'a str {
    let len = text.find(|c| !is_word(c) && c != ':').unwrap_or(text.len());
    let path = format!("{before}{}", &text[..len]);
    let mut rest = &text[len..];
    if !rest.starts_with('{') {
        paths.push((number, path));
        return rest;
    }
    loop {
        // Behind a brace or a comma.
        let inside = rest[1..].trim_start();
        number += rest[..rest.len() - inside.len()].matches('\n').count();
        rest = flatten(inside, number, &path, paths);
        let Some(next) = rest.find([',', '}']) else { return "" };
        number += rest[..next].matches('\n').count();
        rest = &rest[next..];
        if let Some(behind) = rest.strip_prefix('}') {
            return behind;
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words of a line and where they start.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.split(|c| !is_word(c))
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr() as usize - line.as_ptr() as usize, word))
}

/// Whether `wanted`, which may be a path, stands in `line` and is no part of a longer name.
fn has_word(line: &str, wanted: &str) -> bool {
    line.match_indices(wanted).any(|(position, _)| {
        let before = line[..position].chars().next_back();
        let after = line[position + wanted.len()..].chars().next();
        !before.is_some_and(is_word) && (wanted.ends_with('!') || !after.is_some_and(is_word))
    })
}
