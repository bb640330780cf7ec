//! What a load generator costs: CPU time per request of mayfly-loadgen and of redis-benchmark, with
//! the same load on the same redis-server, and on the leader of a local cluster, in turns. On a
//! machine that generator and server share, what the generator takes is missing to the server.

use std::time::Duration;

use clap::Args;

use crate::machine;
use crate::process::{ProcessError, children_cpu_time};
use crate::redis_benchmark::{self, BenchmarkError, Keys, Load};
use crate::server::{LocalCluster, RedisServer, ServerError, leader_among, loadgen_binary};
use crate::stats::Summary;
use crate::table::{Table, csv_line};

const GENERATORS: [&str; 2] = ["mayfly-loadgen", "redis-benchmark"];

#[derive(Args)]
pub struct Options {
    /// Measured rounds, after one for warming up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Requests of each measurement, times the pipeline
    #[arg(long, default_value_t = 300_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=2_000_000))]
    requests: u64,
    /// Connections
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// Commands in flight on each connection
    #[arg(long, short = 'P', value_delimiter = ',', default_value = "1,16")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pipeline: Vec<u32>,
    /// Tests of redis-benchmark
    #[arg(long, value_delimiter = ',', default_value = "set,get")]
    tests: Vec<String>,
    /// How many different keys are named
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    keyspace: u32,
    /// Print CSV instead of the table
    #[arg(long)]
    csv: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("{generator}: {source}")]
    Benchmark { generator: &'static str, source: BenchmarkError },
    #[error("the kernel does not tell the CPU time of child processes")]
    NoCpuTime,
}

/// What one generator came to in one round.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Microseconds per request.
    cpu_us: f64,
    rate: f64,
}

pub fn run(options: &Options) -> Result<(), GeneratorError> {
    let loadgen = loadgen_binary()?;
    let programs = [&loadgen[..], "redis-benchmark"];
    let redis = RedisServer::start()?;
    let cluster = LocalCluster::start(3)?;
    let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port).collect();
    let servers = [("redis-server", redis.endpoint.port), ("cluster", leader_among(&ports)?)];
    let mut table = Table::new(&[
        "test",
        "mayfly-loadgen µs",
        "redis-benchmark µs",
        "ratio",
        "mayfly-loadgen req/s",
        "redis-benchmark req/s",
    ]);
    let head = ["server", "test", "pipeline", "generator", "round", "cpu_us", "rps"];
    let mut csv = csv_line(&head.map(String::from));
    let tests = || options.tests.iter().flat_map(|test| servers.map(|server| (test, server)));
    for pipeline in &options.pipeline {
        for (test, (server, port)) in tests() {
            let keys = Keys::Random(options.keyspace);
            let load = Load {
                test: Some(test.clone()),
                pipeline: *pipeline,
                clients: options.clients,
                keys,
            };
            let requests = options.requests * u64::from(*pipeline);
            let mut samples = [const { Vec::new() }; 2];
            for round in 0..=options.rounds {
                for (which, samples) in samples.iter_mut().enumerate() {
                    let sample = sample(which, programs[which], &load, port, requests)?;
                    // The first round warms up.
                    if round > 0 {
                        csv += &csv_line(&row(server, test, *pipeline, which, round, sample));
                        samples.push(sample);
                    }
                }
            }
            let name = format!("{server} {} P={pipeline}", test.to_uppercase());
            table.push(cells(&name, &samples));
        }
    }
    if options.csv {
        print!("{csv}");
        return Ok(());
    }
    println!("{}, {}", machine::describe(), machine::date());
    println!(
        "CPU time of the generator per request, {} connections to a redis-server or the leader of \
         a\nlocal cluster, {} rounds in turns: median [lowest to highest]; ratio of each round\n",
        options.clients, options.rounds
    );
    print!("{}", table.to_text());
    Ok(())
}

/// One run of a generator. No other child process may end meanwhile.
fn sample(
    which: usize,
    program: &str,
    load: &Load,
    port: u16,
    requests: u64,
) -> Result<Sample, GeneratorError> {
    let failed = |source| GeneratorError::Benchmark { generator: GENERATORS[which], source };
    let before = children_cpu_time().ok_or(GeneratorError::NoCpuTime)?;
    let rows = redis_benchmark::measure_with(program, load, port, requests).map_err(failed)?;
    let after = children_cpu_time().ok_or(GeneratorError::NoCpuTime)?;
    let all = requests * rows.len() as u64;
    let rate = rows.iter().map(|row| row.requests_per_second).sum::<f64>() / rows.len() as f64;
    Ok(Sample { cpu_us: per_request_us(after - before, all), rate })
}

fn per_request_us(cpu: Duration, requests: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / requests as f64
}

fn row(
    server: &str,
    test: &str,
    pipeline: u32,
    which: usize,
    round: u32,
    sample: Sample,
) -> [String; 7] {
    [
        server.to_owned(),
        test.to_owned(),
        pipeline.to_string(),
        GENERATORS[which].to_owned(),
        round.to_string(),
        format!("{:.4}", sample.cpu_us),
        format!("{:.0}", sample.rate),
    ]
}

/// A row of the table. Both have as many samples, and the ratio is of those of a round, which a
/// disturbance hits alike.
fn cells(test: &str, samples: &[Vec<Sample>; 2]) -> Vec<String> {
    let [own, other] = samples;
    let spread = |values: Vec<f64>, digits: usize| match Summary::of(values) {
        Some(Summary { median, min, max }) => {
            format!("{median:.digits$} [{min:.digits$} to {max:.digits$}]")
        }
        None => "–".to_owned(),
    };
    let cpu = |samples: &[Sample]| samples.iter().map(|sample| sample.cpu_us).collect();
    let rate = |samples: &[Sample]| samples.iter().map(|sample| sample.rate).collect();
    let ratios = own.iter().zip(other).map(|(own, other)| own.cpu_us / other.cpu_us).collect();
    vec![
        test.to_owned(),
        spread(cpu(own), 2),
        spread(cpu(other), 2),
        spread(ratios, 2),
        spread(rate(own), 0),
        spread(rate(other), 0),
    ]
}

#[test]
fn the_ratio_is_that_of_each_round() {
    let samples = |cpu: [f64; 3]| cpu.map(|cpu_us| Sample { cpu_us, rate: 1000.0 }).to_vec();
    let cells = cells("GET P=1", &[samples([1.0, 2.0, 4.0]), samples([2.0, 8.0, 4.0])]);
    assert_eq!(cells[1], "2.00 [1.00 to 4.00]");
    assert_eq!(cells[3], "0.50 [0.25 to 1.00]");
    assert_eq!(cells[5], "1000 [1000 to 1000]");
    assert_eq!(per_request_us(Duration::from_millis(500), 100_000), 5.0);
}
