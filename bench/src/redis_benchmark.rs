//! Runs redis-benchmark, or a program with its options, and reads the CSV that it prints.

use crate::process::{Guard, Printed, ProcessError, run_tool};
use crate::table::csv_cells;

/// What one run of redis-benchmark is to do.
#[derive(Clone, Debug)]
pub struct Load {
    /// Names for `-t`; `None` is the whole default suite.
    pub test: Option<String>,
    pub pipeline: u32,
    pub clients: u32,
    pub keys: Keys,
}

/// Which keys the requests name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The same key in every request.
    One,
    /// `-r`: any of so many.
    Random(u32),
}

/// What redis-benchmark says of one test.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub test: String,
    pub requests_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchmarkError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("redis-benchmark printed what is not its CSV: {0}")]
    Csv(String),
    #[error("redis-benchmark saw an error reply: {0}")]
    Reply(String),
    #[error("redis-benchmark ended by itself: it saw an error, which it printed")]
    Ended,
}

/// Sends `requests` requests of each test to the server at `port`.
pub fn measure(load: &Load, port: u16, requests: u64) -> Result<Vec<Row>, BenchmarkError> {
    measure_with("redis-benchmark", load, port, requests)
}

/// The same with another program that takes its options and prints its CSV.
pub fn measure_with(
    program: &str,
    load: &Load,
    port: u16,
    requests: u64,
) -> Result<Vec<Row>, BenchmarkError> {
    let mut arguments = arguments(load, port, requests);
    arguments.push("--csv".to_owned());
    parse(&run_tool(program, &arguments)?)
}

/// More requests than any run lasts: redis-benchmark's number of requests is a C int.
const ENDLESS: u64 = i32::MAX as u64;

/// redis-benchmark in the background, until this is dropped.
pub struct Background {
    guard: Guard,
}

impl Background {
    /// Commands in flight on each connection.
    pub const PIPELINE: u32 = 16;

    pub const VALUE_BYTES: u32 = 64;

    /// Sends SETs of any of `keys` keys to the server at `port`.
    pub fn start(port: u16, clients: u32, keys: u32) -> Result<Self, ProcessError> {
        let keys = Keys::Random(keys);
        let load = Load { test: Some("set".to_owned()), pipeline: Self::PIPELINE, clients, keys };
        let mut arguments = arguments(&load, port, ENDLESS);
        arguments.extend(["-q".to_owned(), "-d".to_owned(), Self::VALUE_BYTES.to_string()]);
        let guard = Guard::start("redis-benchmark", &arguments, Printed::Discarded)?;
        Ok(Self { guard })
    }

    /// Ends the load. An error if it has ended by itself, as it does at an error reply and at a
    /// lost connection.
    pub fn end(mut self) -> Result<(), BenchmarkError> {
        match self.guard.is_running() {
            true => Ok(()),
            false => Err(BenchmarkError::Ended),
        }
    }
}

fn arguments(load: &Load, port: u16, requests: u64) -> Vec<String> {
    let mut arguments: Vec<String> = ["-h", "127.0.0.1"].map(str::to_owned).to_vec();
    let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    option("-p", port.to_string());
    option("-n", requests.to_string());
    option("-c", load.clients.to_string());
    option("-P", load.pipeline.to_string());
    if let Some(test) = &load.test {
        option("-t", test.clone());
    }
    if let Keys::Random(count) = load.keys {
        option("-r", count.to_string());
    }
    arguments
}

fn parse(csv: &str) -> Result<Vec<Row>, BenchmarkError> {
    // With some versions an error reply is printed and the run goes on.
    if let Some(line) = csv.lines().find(|line| line.to_ascii_lowercase().starts_with("error")) {
        return Err(BenchmarkError::Reply(line.to_owned()));
    }
    let mut lines = csv.lines().filter(|line| line.starts_with('"')).map(csv_cells);
    let bad = || BenchmarkError::Csv(csv.to_owned());
    let head = lines.next().ok_or_else(bad)?;
    let column = |name: &str| head.iter().position(|cell| cell == name).ok_or_else(bad);
    let (test, rate) = (column("test")?, column("rps")?);
    let (p50, p99) = (column("p50_latency_ms")?, column("p99_latency_ms")?);
    let rows: Vec<Row> = lines
        .map(|cells| {
            let number =
                |column: usize| cells.get(column)?.parse().ok().filter(|n: &f64| n.is_finite());
            Some(Row {
                test: cells.get(test)?.clone(),
                requests_per_second: number(rate)?,
                p50_ms: number(p50)?,
                p99_ms: number(p99)?,
            })
        })
        .collect::<Option<_>>()
        .ok_or_else(bad)?;
    if rows.is_empty() { Err(bad()) } else { Ok(rows) }
}

#[test]
fn the_csv_of_redis_benchmark_is_understood() {
    let csv = concat!(
        "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",",
        "\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n",
        "\"SET\",\"666666.69\",\"0.700\",\"0.176\",\"0.559\",\"1.431\",\"3.599\",\"3.695\"\n",
    );
    let row =
        Row { test: "SET".into(), requests_per_second: 666_666.69, p50_ms: 0.559, p99_ms: 3.599 };
    assert_eq!(parse(csv).unwrap(), [row]);
    assert!(matches!(parse("WARNING: nothing"), Err(BenchmarkError::Csv(_))));
    let failed = format!("{csv}Error from server: CLUSTERDOWN No raft leader\n");
    assert!(matches!(parse(&failed), Err(BenchmarkError::Reply(_))));
}
