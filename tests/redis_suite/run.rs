//! Runs the units of the suite on one node of a cluster, and judges the results.

use std::fs;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Layout};
use crate::output::{Outcome, Results};
use crate::process::{Process, is_stand_in, run_tool};
use crate::skipped::{Skipped, What, parse};

/// The node that the suite speaks with.
#[derive(Clone, Copy, Debug)]
pub enum Through {
    Leader,
    Follower,
}

/// What the suite's own servers are started with, and what its tests need of that.
const OPTIONS: &str = "--enable-debug-command yes";

/// Longer than any test of the suite takes without a word.
const SILENCE: Duration = Duration::from_secs(150);

/// Runs all units, or those that `MAYFLY_SUITE_UNITS` names.
pub fn suite(layout: Layout, through: Through) {
    let folder = folder();
    let listed = std::env::var_os("MAYFLY_SUITE_LISTED").is_some();
    let skipped = parse(include_str!("skipped.txt"));
    let units = chosen_units(&folder, &skipped);
    let mut cluster = Cluster::start_with(layout, if is_stand_in() { "" } else { OPTIONS });
    let mut total = Total::default();
    for unit in &units {
        let port = match through {
            Through::Leader => cluster.nodes[cluster.leader()].port,
            Through::Follower if is_stand_in() => cluster.nodes[0].port,
            Through::Follower => cluster.nodes[cluster.followers()[0]].port,
        };
        let rows = rows_of(&skipped, unit);
        let tags = skipped.iter().filter_map(|row| match &row.what {
            What::Tag(tag) => Some(tag.as_str()),
            _ => None,
        });
        let started = Instant::now();
        let leave_out = if listed { &[][..] } else { &rows };
        let results = run(&folder, unit, port, &tags.collect::<Vec<_>>(), leave_out);
        total.add(unit, &results, &rows, listed, started.elapsed());
        cluster.check_alive();
    }
    total.show(&skipped, &units);
    assert!(total.complaints.is_empty(), "{} complaints, see above", total.complaints.len());
}

/// Where the suite lies.
fn folder() -> String {
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
fn rows_of<'a>(skipped: &'a [Skipped], unit: &str) -> Vec<&'a Skipped> {
    let of_unit = |row: &&Skipped| row.unit == unit && matches!(row.what, What::Test(_));
    skipped.iter().filter(of_unit).collect()
}

/// Runs one unit in a process of its own.
fn run(folder: &str, unit: &str, port: u16, tags: &[&str], leave_out: &[&Skipped]) -> Results {
    let names: Vec<String> = leave_out.iter().map(|row| name_of(row).to_owned()).collect();
    let names_file = format!("{}/skipped-{}.txt", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    fs::write(&names_file, names.join("\n")).unwrap();
    let tags: String = tags.iter().map(|tag| format!(" --tags -{tag}")).collect();
    let arguments = format!(
        "-C {folder} TERM=dumb tclsh tests/test_helper.tcl --host 127.0.0.1 --port {port} \
         --single {unit} --skipfile {names_file} --durable --baseport 20500{tags}"
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
    fs::remove_file(&names_file).unwrap();
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
    fn add(
        &mut self,
        unit: &str,
        results: &Results,
        rows: &[&Skipped],
        listed: bool,
        took: Duration,
    ) {
        let passed = results.count(|outcome| *outcome == Outcome::Passed);
        let skipped = results.count(|outcome| *outcome == Outcome::Skipped);
        let complaints = judge(results, rows, listed);
        println!("{unit}: {passed} passed, {skipped} skipped, in {:.1} s", took.as_secs_f32());
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
fn judge(results: &Results, rows: &[&Skipped], listed: bool) -> Vec<String> {
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
        } else if listed && same.all(|test| test.outcome == Outcome::Passed) {
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
