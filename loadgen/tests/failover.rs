//! The whole show: a cluster of processes is started, loaded, and loses its leader.
//!
//! Takes half a minute and needs the server: `MAYFLY_BIN`, else the one beside the generator.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Runs a failover in a folder of its own; returns what it printed and its results.
fn failover(name: &str, arguments: &[&str]) -> (Output, Value, String) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let generator = Path::new(env!("CARGO_BIN_EXE_mayfly-loadgen"));
    let server = std::env::var_os("MAYFLY_BIN")
        .map_or_else(|| generator.with_file_name("mayfly"), PathBuf::from);
    let output = Command::new(generator)
        .args(["failover", "--json", "out.json", "--html", "out.html", "--bin"])
        .arg(server)
        .args(arguments)
        .current_dir(&folder)
        .output()
        .unwrap();
    let read = |file: &str| std::fs::read_to_string(folder.join(file));
    let json = read("out.json").unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output, serde_json::from_str(&json).unwrap(), read("out.html").unwrap())
}

fn check(name: &str, fault: &str, arguments: &[&str]) {
    let (output, results, page) = failover(name, arguments);
    assert!(output.status.success(), "{output:?}");
    let test = &results["tests"][0];
    let marks: Vec<&str> = test["marks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mark| mark["label"].as_str().unwrap())
        .collect();
    assert!(marks[0].ends_with(fault) && marks[1].ends_with("leads"), "{marks:?}");
    assert!(test["ok"].as_u64().unwrap() > 0);
    let verified = &test["verified"];
    for fault in ["lost", "doubled", "stale_reads", "untold"] {
        assert_eq!(verified[fault], 0, "{verified}");
    }
    assert!(verified["acknowledged"].as_u64().unwrap() > 0, "{verified}");
    assert!(page.contains("A cluster loses its leader") && !page.contains("src="));
    let told = String::from_utf8(output.stderr).unwrap();
    let pids: Vec<&str> =
        told.lines().filter_map(|line| line.strip_prefix("node ")?.split(' ').nth(2)).collect();
    assert_eq!(pids.len(), 3, "{told}");
    assert!(pids.iter().all(|pid| !Path::new("/proc").join(pid).exists()), "{pids:?}");
}

#[test]
fn a_killed_leader_loses_nothing() {
    check("kill", "killed", &["--rate", "300", "--duration", "5s", "--at", "1s"]);
}

#[test]
fn a_silent_leader_loses_nothing() {
    let arguments = ["--rate", "300", "--duration", "6s", "--at", "1s", "--fault", "pause"];
    check("pause", "paused", &arguments);
}
