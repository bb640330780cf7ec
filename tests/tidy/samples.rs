//! Small bad files, one for each rule: each must be found, and their good neighbours must not.

use crate::rules::{File, check};

/// One of each place that has to be pure.
const PURE_FILES: [&str; 7] = [
    "src/raft/log.rs",
    "src/engine/value.rs",
    "src/engine/types/set.rs",
    "src/snapshot/writer.rs",
    "src/net/resp/parse.rs",
    "src/net/frame.rs",
    "src/wire.rs",
];

/// The rules that `text` at `path` breaks, as `line: rule`.
fn broken(path: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    check(&File::new(path, text), &mut violations);
    violations.iter().map(|found| format!("{}: {}", found.line, found.rule)).collect()
}

/// Asserts that the body, under a proper opening, breaks exactly one rule, on its first line.
fn breaks(path: &str, body: &str, rule: &str) {
    let text = format!("//! A sample.\n{body}\n");
    let found = broken(path, &text);
    assert_eq!(found.len(), 1, "{path}: {body}: {found:?}");
    assert!(found[0].starts_with("2: ") && found[0].contains(rule), "{found:?}");
}

fn keeps(path: &str, body: &str) {
    let found = broken(path, &format!("//! A sample.\n{body}\n"));
    assert!(found.is_empty(), "{path}: {body}: {found:?}");
}

#[test]
fn pure_modules_name_nothing_impure() {
    for import in [
        "use glommio::Task;",
        "use flume::Sender;",
        "let n = libc::getpid();",
        "use socket2::Socket;",
        "use std::net::TcpStream;",
        "use std::{fmt, net::TcpStream};",
        "use std::{fmt, sync::{Arc, mpsc::Sender}};",
        "use std::{io};",
        "use std as lib;",
        "let socket = ::std::net::TcpStream::connect(address);",
        "use std::time::Instant;",
        "use std::time::{Duration, Instant};",
        "let now = std::time::SystemTime::now();",
        "let since = time::UNIX_EPOCH;",
        "let dice = rand::random();",
        "use rand::Rng;",
        "let seed = fastrand::u64(..);",
        "getrandom::fill(&mut seed);",
        "use std::fs::File;",
        "use std::io::Write;",
        "let name = std::env::var(NAME);",
        "let id = std::process::id();",
        "std::thread::spawn(work);",
        "use std::os::fd::RawFd;",
        "async fn f() {}",
        "let reply = ask.await;",
        "use std::future::ready;",
        "fn f() -> impl Future {}",
        "use std::task::Context;",
        "let map = HashMap::new();",
        "use std::collections::{BTreeMap, HashMap};",
        "let set: HashSet<u64> = ids.collect();",
        "let state = ahash::RandomState::new();",
        "let hasher = std::hash::DefaultHasher::new();",
        "static mut COUNT: u64 = 0;",
        "thread_local! { static A: u64 = 0; }",
        "let lock = std::sync::Mutex::new(0);",
    ] {
        for path in PURE_FILES {
            breaks(path, import, "in a pure module");
        }
        keeps("src/node/core.rs", &import.replace("use std as lib;", ""));
    }
    for path in PURE_FILES {
        keeps(path, "use crate::random::Random; // not of glommio");
        keeps(path, "let random = operand_of(\"std::net\");");
        keeps(path, "use std::{fmt, sync::{Arc, LazyLock}, time::Duration};");
        keeps(path, "use std::collections::{BTreeMap, VecDeque};\nuse std::iter;");
        keeps(path, "let network = self.env.io_of(thread);");
        let in_tests = "#[cfg(test)]\nmod tests { use std::collections::HashMap; }";
        keeps(path, in_tests);
    }
    let found =
        broken("src/raft/log.rs", "//! A.\nuse std::{\n    fmt,\n    env,\n    iter,\n};\n");
    assert_eq!(found, ["4: std::env in a pure module"]);
    let found =
        broken("src/raft/log.rs", "//! A.\n#[cfg(test)]\nmod tests { use std::time::Instant; }\n");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn the_runtime_is_named_in_net_and_node_only() {
    breaks("src/info/mod.rs", "use glommio::timer::sleep;", "glommio outside");
    keeps("src/node/core.rs", "use glommio::timer::sleep;");
}

#[test]
fn dependencies_point_one_way() {
    breaks("src/raft/read.rs", "use crate::engine::batch::Batch;", "must not know");
    breaks("src/engine/value.rs", "use crate::node::Node;", "must not know");
    breaks("src/net/peer.rs", "use crate::node::mailbox::Mailbox;", "must not know");
    keeps("src/node/mod.rs", "use crate::net::peer::Peer;");
}

#[test]
fn unsafe_code_has_its_places_and_its_reasons() {
    let justified = "    // SAFETY: the buffer outlives the call.\n    let x = unsafe { f() };";
    keeps("src/net/ring.rs", justified);
    keeps("src/net/ring/buffer.rs", "let x = // SAFETY: checked above.\n    unsafe { f() };");
    keeps("src/net/ring.rs", "/// # Safety\n/// `x` is open.\npub unsafe fn f() {}");
    breaks("src/net/ring.rs", "let x = unsafe { f() };", "without a SAFETY");
    let stale = "// SAFETY: for y only.\nlet y = unsafe { g() };\nlet x = unsafe { f() };";
    let found = broken("src/net/socket.rs", &format!("//! A sample.\n{stale}\n"));
    assert_eq!(found, ["4: unsafe without a SAFETY comment"]);
    let misplaced = format!("//! A sample.\n{justified}\n");
    let found = broken("src/engine/value.rs", &misplaced);
    assert_eq!(found, ["3: unsafe outside of the ring, the sockets, the preflight and sys"]);
    keeps("src/raft/mod.rs", "#![forbid(unsafe_code)]");
}

#[test]
fn files_functions_and_lines_have_bounds() {
    let line = "const A: u8 = 0;\n";
    assert!(broken("src/a.rs", &format!("//! A.\n{}", line.repeat(799))).is_empty());
    let long = broken("src/a.rs", &format!("//! A.\n{}", line.repeat(800)));
    assert_eq!(long, ["801: 801 lines in a file, at most 800"]);

    let function = |lines: usize| {
        let body = "    call('{', \"{\");\n".repeat(lines - 2);
        format!("pub(crate) fn long<'a>() -> [u8; 2] {{\n{body}}}")
    };
    keeps("src/a.rs", &function(70));
    breaks("src/a.rs", &function(71), "71 lines in a function");
    let rows = "        1,\n".repeat(100);
    let cases = |end: &str| format!("fn f() {{\n    let cases = [\n{rows}    ];\n{end}}}");
    keeps("src/a.rs", &cases("    check(cases);\n"));
    breaks("src/a.rs", &cases(&"    check(cases);\n".repeat(69)), "lines in a function");
    keeps("src/a.rs", &format!("trait T {{ fn f(&self) -> [u8; 4]; }}\n{}", line.repeat(100)));

    keeps("src/a.rs", &format!("// {}", "é".repeat(97)));
    breaks("src/a.rs", &format!("// {}", "e".repeat(98)), "101 columns");
    let row = format!("    (\"{}\"),", "e".repeat(100));
    let table = format!("#[rustfmt::skip]\nconst T: [&str; 1] = [\n{row}\n];");
    keeps("src/a.rs", &table);
    assert_eq!(broken("src/a.rs", &format!("//! A.\n{table}\n{row}\n")).len(), 1);
    breaks("src/a.rs", "let a = 1; ", "white space");
}

#[test]
fn a_file_says_what_it_is_for() {
    let found = broken("src/a.rs", "use std::fmt;\n");
    assert_eq!(found, ["1: a file opens with //!: what it owns, what it must not know"]);
    assert!(broken("src/a/tests.rs", "use super::*;\n").is_empty());
}

#[test]
fn unfinished_work_is_found() {
    breaks("src/a.rs", "// TODO: later", "TODO");
    breaks("bench/src/a.rs", "let a = 1; // FIXME", "FIXME");
    breaks("tests/a.rs", "/* XXX */", "XXX");
    breaks("src/a.rs", "    todo!()", "todo!");
    breaks("src/a.rs", "    unimplemented!(\"x\")", "unimplemented!");
    breaks("tests/a.rs", "    dbg!(x);", "dbg!");
    breaks("src/a.rs", "// let x = 1;", "commented out");
    breaks("src/a.rs", "// --------", "banner");
    keeps("src/a.rs", "let flags = \"XXX TODO\"; // let us see; nothing is left to do");
}

#[test]
fn libraries_do_not_print() {
    breaks("src/node/mod.rs", "    println!(\"x\");", "println!");
    breaks("src/engine/mod.rs", "    eprintln!(\"x\");", "eprintln!");
    keeps("src/main.rs", "    eprintln!(\"x\");");
    keeps("src/engine/mod.rs", "#[cfg(test)]\nmod tests { fn f() { println!(\"x\"); } }");
}

#[test]
fn errors_are_enums() {
    breaks("src/a.rs", "use anyhow::Result;", "anyhow");
    breaks("bench/src/a.rs", "fn f() -> Result<(), Box<dyn Error>> { g() }", "boxed error");
    breaks("src/a.rs", "type E = Box<dyn std::error::Error + Send>;", "boxed error");
}

#[test]
fn tests_run_and_do_not_sleep() {
    breaks("src/raft/tests.rs", "#[ignore = \"slow\"]", "#[ignore");
    breaks("tests/a.rs", "#[should_panic]", "#[should_panic");
    breaks("tests/a.rs", "std::thread::sleep(second);", "waits for a condition");
    let inner = "//! A.\n#[cfg(test)]\nmod tests { fn f() { thread::sleep(second); } }\n";
    assert_eq!(broken("src/a.rs", inner).len(), 1);
    keeps("tests/cluster/wait.rs", "thread::sleep(step);");
    keeps("src/local/mod.rs", "thread::sleep(step);");
}

#[test]
fn imports_are_named() {
    breaks("src/a.rs", "use crate::raft::*;", "glob");
    keeps("src/raft/tests.rs", "use super::*;");
}

#[test]
fn no_path_of_a_machine_is_kept() {
    let path = concat!("see /wo", "rk/notes.md");
    assert_eq!(broken("README.md", path), ["1: a path of somebody's machine"]);
}
