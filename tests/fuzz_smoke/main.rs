//! Every fuzz target of `tests/fuzz`, without a fuzzer: its seeds, its corpus, and mutations of
//! them from a fixed seed, so that a run can be repeated.
//!
//! ```text
//! cargo test --test fuzz_smoke
//! MAYFLY_FUZZ_EXECUTIONS=1000000 cargo test --test fuzz_smoke resp
//! MAYFLY_FUZZ_REPLAY=resp:2a310d0a cargo test --test fuzz_smoke replay
//! ```
//!
//! A failure prints the target, the input in hexadecimal and the line that runs it again. With a
//! nightly toolchain and cargo-fuzz the same targets run under libFuzzer, which finds more:
//!
//! ```text
//! MAYFLY_FUZZ_SEEDS=/tmp/seeds cargo test --test fuzz_smoke write_seeds
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz resp /tmp/seeds/resp -- -rss_limit_mb=1024
//! ```
//!
//! An input that it finds goes into `tests/fuzz/corpus/<target>/` under a name that tells what it
//! is, with the ending `.bin`, and is run here from then on.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

mod mutate;
#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use mutate::Mutator;
use targets::Target;

/// Bytes of memory that the whole process may have taken: no input makes anything take more than in
/// proportion to it.
const MEMORY_BYTES_MAX: u64 = 400 << 20;

/// Bytes of an input. The seeds are shorter, but for one of a long line.
const INPUT_BYTES_MAX: usize = 80_000;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Runs one input and says which it was if it fails.
fn execute(target: &Target, input: &[u8]) {
    let run = AssertUnwindSafe(|| (target.run)(input));
    if let Err(panic) = catch_unwind(run) {
        let (name, hex) = (target.name, hex(input));
        eprintln!("{name} failed on {} bytes: {hex}", input.len());
        eprintln!("MAYFLY_FUZZ_REPLAY={name}:{hex} cargo test --test fuzz_smoke replay");
        resume_unwind(panic);
    }
}

/// What was once found to fail, and what else somebody thought worth keeping.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// The most memory that this process has held, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Runs the seeds and the corpus of a target as they are, then `executions` mutations of them.
fn smoke(name: &str, executions: u64) {
    let target = targets::find(name).unwrap();
    let executions = match env::var("MAYFLY_FUZZ_EXECUTIONS") {
        Ok(text) => text.parse().expect("MAYFLY_FUZZ_EXECUTIONS is a number"),
        Err(_) => executions,
    };
    let mut inputs = (target.seeds)();
    inputs.extend(corpus(name));
    assert!(inputs.len() >= 8, "{name} has {} seeds", inputs.len());
    for input in &inputs {
        execute(target, input);
    }
    let mut mutator = Mutator::new(name);
    for _ in 0..executions {
        execute(target, &mutator.mutate(&inputs, INPUT_BYTES_MAX));
    }
    let memory = peak_memory();
    assert!(memory <= MEMORY_BYTES_MAX, "{name}: {} MiB of memory", memory >> 20);
}

#[test]
fn peer_frame() {
    smoke("peer_frame", 20_000);
}

#[test]
fn handshake() {
    smoke("handshake", 40_000);
}

#[test]
fn consensus() {
    smoke("consensus", 8_000);
}

#[test]
fn resp() {
    smoke("resp", 20_000);
}

#[test]
fn snapshot() {
    smoke("snapshot", 40_000);
}

#[test]
fn restore() {
    smoke("restore", 40_000);
}

#[test]
fn rdb() {
    smoke("rdb", 20_000);
}

#[test]
fn commands() {
    smoke("commands", 10_000);
}

#[test]
fn config() {
    smoke("config", 15_000);
}

/// The input of `MAYFLY_FUZZ_REPLAY`, which is `<target>:<hexadecimal>` or `<target>:<path>`.
#[test]
fn replay() {
    let Ok(wanted) = env::var("MAYFLY_FUZZ_REPLAY") else { return };
    let (name, input) = wanted.split_once(':').expect("<target>:<input>");
    let target = targets::find(name).expect("the name of a target");
    let input = match std::fs::read(input) {
        Ok(bytes) => bytes,
        Err(_) => unhex(input),
    };
    execute(target, &input);
}

/// Writes the seeds of all targets into `MAYFLY_FUZZ_SEEDS`, a folder for each, for a fuzzer.
#[test]
fn write_seeds() {
    let Ok(folder) = env::var("MAYFLY_FUZZ_SEEDS") else { return };
    for target in &targets::TARGETS {
        let folder = Path::new(&folder).join(target.name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}

#[test]
fn an_input_that_fails_is_told() {
    let fails = Target { name: "fails", run: |input| assert!(input != [1, 2]), seeds: Vec::new };
    execute(&fails, &[1]);
    let failed = catch_unwind(|| execute(&fails, &[1, 2]));
    assert!(failed.is_err());
    assert_eq!(unhex(&hex(&[0, 0x1f, 0xff])), [0, 0x1f, 0xff]);
}

#[test]
fn the_fuzzer_and_this_suite_have_the_same_targets() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/fuzz_targets");
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut fuzzed: Vec<String> =
        names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    fuzzed.sort();
    let mut smoked: Vec<&str> = targets::TARGETS.iter().map(|target| target.name).collect();
    smoked.sort_unstable();
    assert_eq!(fuzzed, smoked);
}
