//! Runs the test programs as one mutant or another, and says what came of it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::core::SWITCH;

/// Seconds after which a program is ended: far more than any of them needs.
const SECONDS_MAX: &str = "900";
/// KiB of address space: a mutant may do anything.
const MEMORY_KIB_MAX: &str = "4000000";

#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// All tests that were asked for have passed: so many.
    Passed(usize),
    /// These tests failed; of the first, what it said.
    Failed { tests: Vec<String>, said: String, seed: Option<u64> },
    /// Neither: it never ended, ran out of memory, or ran nothing.
    Broken(String),
}

/// Runs `program` with `arguments`, as `mutant` unless that is `None`.
pub fn run(
    program: &Path,
    mutant: Option<&str>,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Outcome {
    let script = format!("ulimit -v {MEMORY_KIB_MAX}; exec timeout {SECONDS_MAX} \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(program).args(arguments).arg("--test-threads=1");
    command.envs(variables.iter().copied()).env_remove("RUST_BACKTRACE").env_remove(SWITCH);
    if let Some(name) = mutant {
        command.env(SWITCH, name);
    }
    let output = command.stdin(Stdio::null()).output().expect("sh runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    judge(&said, output.status.code())
}

/// What the words of a test program and its exit status amount to.
fn judge(said: &str, status: Option<i32>) -> Outcome {
    let count = |what: &str| -> usize {
        let line = said.lines().find(|line| line.starts_with("test result: ")).unwrap_or("");
        let before = line.split(what).next().filter(|before| before.len() < line.len());
        let number = before.and_then(|before| before.split_whitespace().next_back());
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let failed =
        |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned());
    let tests: Vec<String> = said.lines().filter_map(failed).collect();
    match (status, count(" passed"), count(" failed")) {
        (Some(0), passed, 0) if passed > 0 => Outcome::Passed(passed),
        (Some(101), _, count) if count > 0 && count == tests.len() => {
            let seed = said
                .split("MAYFLY_SIM_SEED=")
                .nth(1)
                .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
            Outcome::Failed { tests, said: first_panic(said), seed }
        }
        _ => Outcome::Broken(said.lines().rev().take(5).collect::<Vec<_>>().join("; ")),
    }
}

/// The first line of what the first panic says.
fn first_panic(said: &str) -> String {
    let mut lines = said.lines().skip_while(|line| !line.contains("panicked at "));
    lines.nth(1).unwrap_or("").to_owned()
}
