//! The command line of the bench, as a user meets it. No server is started.

use std::process::{Command, Output};

fn bench(line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(line.split_whitespace()).env("MAYFLY_BIN", "/nonexistent/mayfly");
    command.output().unwrap()
}

#[test]
fn bad_arguments_are_refused_by_name() {
    let cases = [
        ("join --keys 0", "--keys"),
        ("join --keys 4294967296", "--keys"),
        ("join --rounds 0", "--rounds"),
        ("join --window=-1", "--window"),
        ("join --window 0", "at least 0.1"),
        ("join --limit soon", "not a number of seconds"),
        ("join --rate 0", "--rate"),
        ("join --clients 0", "--clients"),
        ("failover --kills 0", "--kills"),
        ("failover --events kill-leader,shout", "shout"),
        ("failover --nodes 2", "--nodes"),
        ("failover --after NaN", "--after"),
        ("core --rounds 0", "--rounds"),
        ("core --millis 0", "--millis"),
        ("generator --pipeline 0", "--pipeline"),
        ("generator --requests 0", "--requests"),
        ("generator --rounds 0", "--rounds"),
        ("fly", "fly"),
    ];
    for (line, named) in cases {
        let output = bench(line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains(named), "{line}: {said}");
    }
}

#[test]
fn help_names_every_command_and_event() {
    let cases = [
        ("--help", ["compare", "join", "failover", "core"]),
        ("generator --help", ["--rounds", "--requests", "--pipeline", "--keyspace"]),
        ("--help", ["micro", "consensus core", "`raft` crate", "ns per entry"]),
        ("core --help", ["--rounds", "--millis", "Repetitions", "Milliseconds"]),
        (
            "failover --help",
            ["kill-leader", "pause-leader", "pause-and-kill-leader", "terminate-leader"],
        ),
        ("join --help", ["--keys", "--rounds", "--window", "--limit"]),
    ];
    for (line, names) in cases {
        let output = bench(line);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{line}");
        for name in names {
            assert!(said.contains(name), "{line}: {name} is missing: {said}");
        }
    }
}

#[test]
fn a_node_that_does_not_start_ends_the_run() {
    let output = bench("failover --kills 1");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("has ended by itself"), "{said}");
}
