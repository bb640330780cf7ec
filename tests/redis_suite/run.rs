//! Runs the units of the suite on one node of a cluster, and judges the results.

use std::fs;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout};
use crate::output::{Outcome, Results};
use crate::own::put_programs;
use crate::process::{Process, is_stand_in, run_tool};
use crate::skipped::{Skipped, What, parse};
use crate::wait::{self, LONG};

/// What the suite's own servers are started with, and what its tests need of that.
const OPTIONS: &str = "--enable-debug-command yes";

/// What Redis 7.2 has otherwise than 7.0: a small set of strings is no hash table to the newer one.
const AS_IN_7_0: [(&str, &str); 1] = [("set-max-listpack-entries", "0")];

/// Units of which the suite leaves encodings out: to 7.0, but not to 7.2, a small list is a
/// quicklist.
const WITHOUT_ENCODINGS: [&str; 4] =
    ["unit/type/list", "unit/type/list-2", "unit/type/list-3", "unit/sort"];

/// Longer than any test of the suite takes without a word.
pub const SILENCE: Duration = Duration::from_secs(150);

/// Runs all units, or those that `MAYFLY_SUITE_UNITS` names.
pub fn suite() {
    let folder = folder();
    put_programs(&folder);
    let listed = std::env::var_os("MAYFLY_SUITE_LISTED").is_some();
    let skipped = parse(include_str!("skipped.txt"));
    let units = chosen_units(&folder, &skipped);
    let options = if is_stand_in() { "" } else { OPTIONS };
    let mut cluster = Cluster::start_with(Layout::Folded, options);
    let settings = settle(&cluster);
    let mut total = Total::default();
    for (number, unit) in units.iter().enumerate() {
        let position = chosen_node(&cluster, number);
        let port = cluster.nodes[position].port;
        let rows = rows_of(&skipped, unit);
        let part = if position == cluster.leader() { "leader" } else { "follower" };
        let started = Instant::now();
        let results = run(&folder, unit, port, &left_out(&skipped, unit, listed));
        println!("{unit} through the {part}, in {:.1} s:", started.elapsed().as_secs_f32());
        total.add(unit, &results, &rows, listed);
        cluster.check_alive();
        restore(&cluster, position, &settings);
    }
    total.show(&skipped, &units);
    assert!(total.complaints.is_empty(), "{} complaints, see above", total.complaints.len());
}

/// Position of the node that a unit goes to.
fn chosen_node(cluster: &Cluster, number: usize) -> usize {
    let wanted = std::env::var("MAYFLY_SUITE_NODE").ok();
    match wanted.as_deref() {
        _ if is_stand_in() => 0,
        Some("leader") => cluster.leader(),
        Some("follower") => cluster.followers()[0],
        None if number.is_multiple_of(2) => cluster.leader(),
        None => cluster.followers()[0],
        Some(other) => panic!("MAYFLY_SUITE_NODE={other}: neither leader nor follower"),
    }
}

/// Sets what the tests take for granted, and tells all settings of all nodes.
fn settle(cluster: &Cluster) -> Vec<Vec<(String, String)>> {
    let wanted = AS_IN_7_0.map(|(name, value)| (name.to_owned(), value.to_owned()));
    set(&mut cluster.client(0), &wanted);
    let all = cluster.nodes.iter().map(|node| {
        wait::until("the settings of the cluster", LONG, || {
            let settings = settings(&mut node.client());
            let is_settled = wanted.iter().all(|pair| settings.contains(pair));
            (is_settled || is_stand_in()).then_some(settings)
        })
    });
    all.collect()
}

/// Everything that can be set, as it is.
fn settings(client: &mut Client) -> Vec<(String, String)> {
    let (Value::Array(words) | Value::Map(words)) = client.call("CONFIG GET *") else {
        panic!("CONFIG GET does not tell pairs");
    };
    words.chunks_exact(2).map(|pair| (pair[0].text(), pair[1].text())).collect()
}

fn set(client: &mut Client, changes: &[(String, String)]) {
    for (name, value) in changes {
        let words: [&[u8]; 4] = [b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()];
        let reply = client.call_words(&words);
        assert!(reply == Value::ok() || is_stand_in(), "CONFIG SET {name} {value}: {reply:?}");
    }
}

/// Sets back what a unit has left otherwise on its node or on all: in its own runs each has a
/// server of its own.
fn restore(cluster: &Cluster, position: usize, wanted: &[Vec<(String, String)>]) {
    let mut client = cluster.client(position);
    let present = settings(&mut client);
    let changed = wanted[position].iter().filter(|pair| !present.contains(pair)).cloned();
    set(&mut client, &changed.collect::<Vec<_>>());
    if is_stand_in() {
        return;
    }
    for (node, wanted) in cluster.nodes.iter().zip(wanted) {
        let is_restored = || settings(&mut node.client()) == *wanted;
        wait::until_true("the former settings on all nodes", LONG, is_restored);
    }
}

/// Where the suite lies.
pub fn folder() -> String {
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/redis-suite");
    let folder = std::env::var("MAYFLY_SUITE").unwrap_or_else(|_| installed.to_owned());
    let helper = format!("{folder}/tests/test_helper.tcl");
    assert!(Path::new(&helper).exists(), "{helper} is missing: `tests/run install` fetches it");
    folder
}

/// The units to run; that the list names no others.
fn chosen_units(folder: &str, skipped: &[Skipped]) -> Vec<String> {
    let (listed, text) =
        run_tool("env", &format!("-C {folder} tclsh tests/test_helper.tcl --list-tests"));
    assert!(listed, "the suite does not list its units: {text}");
    let all: Vec<String> = text.lines().map(str::to_owned).collect();
    for row in skipped.iter().filter(|row| row.unit != "*") {
        assert!(all.contains(&row.unit), "skipped.txt: there is no such unit: {row}");
    }
    let is_left_out =
        |unit: &String| skipped.iter().any(|row| row.unit == *unit && row.what == What::Unit);
    match std::env::var("MAYFLY_SUITE_UNITS") {
        Ok(wanted) => wanted.split(',').map(str::to_owned).collect(),
        Err(_) => all.into_iter().filter(|unit| !is_left_out(unit)).collect(),
    }
}

/// The rows of tests of a unit.
pub fn rows_of<'a>(skipped: &'a [Skipped], unit: &str) -> Vec<&'a Skipped> {
    let of_unit = |row: &&Skipped| row.unit == unit && matches!(row.what, What::Test(_));
    skipped.iter().filter(of_unit).collect()
}

/// What the suite is told to leave out of a unit, as its arguments.
fn left_out(skipped: &[Skipped], unit: &str, listed: bool) -> String {
    let mut arguments = String::new();
    for row in skipped.iter().filter(|row| row.unit == "*" || row.unit == unit) {
        if let What::Tag(tag) = &row.what {
            arguments.push_str(&format!(" --tags -{tag}"));
        }
    }
    if WITHOUT_ENCODINGS.contains(&unit) {
        arguments.push_str(" --ignore-encoding");
    }
    let rows = rows_of(skipped, unit);
    let names: Vec<&str> = rows.iter().filter(|_| !listed).map(|row| name_of(row)).collect();
    let file = format!("{}/left-out-{}.txt", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    fs::write(&file, names.join("\n")).unwrap();
    arguments + " --skipfile " + &file
}

/// Runs one unit in a process of its own.
fn run(folder: &str, unit: &str, port: u16, left_out: &str) -> Results {
    let arguments = format!(
        "-C {folder} TERM=dumb tclsh tests/test_helper.tcl --host 127.0.0.1 --port {port} \
         --single {unit} --durable --baseport 20500{left_out}"
    );
    let (_process, lines) = Process::start_with_lines("env", &arguments);
    let mut results = Results::default();
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => results.take(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            // The suite has processes of its own, which would disturb the units after this one.
            Err(RecvTimeoutError::Timeout) => panic!("{unit}: it says nothing for {SILENCE:?}"),
        }
    }
    results
}

fn name_of(row: &Skipped) -> &str {
    let What::Test(name) = &row.what else { panic!("not the row of a test: {row}") };
    name
}

/// The results of all units.
#[derive(Default)]
struct Total {
    passed: usize,
    failed: usize,
    skipped: usize,
    ignored: usize,
    complaints: Vec<String>,
}

impl Total {
    /// Takes in the results of a unit, and says at once what is wrong with them.
    fn add(&mut self, unit: &str, results: &Results, rows: &[&Skipped], listed: bool) {
        let passed = results.count(|outcome| *outcome == Outcome::Passed);
        let skipped = results.count(|outcome| *outcome == Outcome::Skipped);
        let complaints = judge(results, rows, listed);
        println!("    {passed} passed, {skipped} skipped");
        for (reason, count) in results.ignored() {
            println!("    {count} left out by the suite: {reason}");
            self.ignored += count;
        }
        self.passed += passed;
        self.failed += results.count(|outcome| matches!(outcome, Outcome::Failed(_)));
        self.skipped += skipped;
        for complaint in complaints {
            println!("{unit}: {complaint}");
            self.complaints.push(format!("{unit}: {complaint}"));
        }
    }

    fn show(&self, skipped: &[Skipped], units: &[String]) {
        for row in skipped.iter().filter(|row| units.contains(&row.unit) || row.unit == "*") {
            println!("skipped: {row}");
        }
        let Self { passed, failed, skipped, ignored, .. } = self;
        println!(
            "redis suite: {} units, {} tests run, {passed} passed, {failed} failed; {skipped} \
             skipped by name, {ignored} tests or blocks by tag",
            units.len(),
            passed + failed,
        );
    }
}

/// What is wrong: tests that fail, rows without a test, and, where the listed tests have been run,
/// rows whose tests all pass.
pub fn judge(results: &Results, rows: &[&Skipped], listed: bool) -> Vec<String> {
    let mut complaints = Vec::new();
    let is_listed = |name: &str| rows.iter().any(|row| name_of(row) == name);
    for test in &results.tests {
        if let Outcome::Failed(complaint) = &test.outcome
            && !(listed && is_listed(&test.name))
        {
            complaints.push(format!("failed: {complaint}"));
        }
    }
    for row in rows {
        let mut same = results.tests.iter().filter(|test| test.name == name_of(row)).peekable();
        if same.peek().is_none() {
            complaints.push(format!("skipped.txt: there is no such test: {row}"));
        } else if listed && !row.is_slow() && same.all(|test| test.outcome == Outcome::Passed) {
            complaints.push(format!("skipped.txt: it passes: {row}"));
        }
    }
    if !results.done {
        complaints.push(format!("the unit did not come to its end: {}", results.rest()));
    }
    if results.tests.is_empty() {
        complaints.push("no test was run".to_owned());
    }
    complaints
}

#[test]
fn what_is_wrong_is_said() {
    let rows = parse("unit/dump\tfails\tneeds another server\nunit/dump\tgone\twas here once\n");
    let rows = rows_of(&rows, "unit/dump");
    let mut results = Results::default();
    results.take("[ok]: works (1 ms)");
    results.take("[err]: fails in tests/unit/dump.tcl");
    let complaints = judge(&results, &rows, false);
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    assert!(complaints[0].starts_with("failed: fails"));
    assert!(complaints[1].contains("there is no such test: unit/dump | gone"));
    assert!(complaints[2].contains("did not come to its end"));
    assert_eq!(judge(&results, &rows, true).len(), 2, "a listed test may fail when it is run");
    let rows = parse("unit/dump\tworks\tdid not work once\n");
    let rows = rows_of(&rows, "unit/dump");
    results.take("[1/1 done]: unit/dump (1 seconds)");
    let complaints = judge(&results, &rows, true);
    assert!(complaints.iter().any(|complaint| complaint.contains("it passes")), "{complaints:?}");
}
