//! Takes samples: one load, all targets in turns, as many rounds as asked for.

use std::time::Duration;

use crate::client::Client;
use crate::fill::fill;
use crate::process::cpu_time;
use crate::redis_benchmark::{self, Keys, Load, Row};

use super::{CompareError, Servers, Target};

/// How much to measure.
pub struct Run {
    pub rounds: u32,
    /// How long one measurement of a single test is to take.
    pub seconds: f64,
    /// Given instead of a time.
    pub requests: Option<u64>,
}

/// One test on one target in one round.
#[derive(Clone, Debug)]
pub struct Sample {
    pub work: String,
    pub target: String,
    pub round: u32,
    pub requests: u64,
    pub row: Row,
    /// CPU time per request, unless several tests shared the run.
    pub cpu: Option<CpuTime>,
}

/// Server CPU time per request, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct CpuTime {
    /// Of the process that the clients talk to.
    pub node_us: f64,
    /// Of all processes of the server: what the cluster as a whole costs.
    pub all_us: f64,
}

/// The name of a load in tables.
pub fn describe(load: &Load, test: &str) -> String {
    let keys = match load.keys {
        Keys::One => String::new(),
        Keys::Random(count) => format!(" -r {count}"),
    };
    format!("{test} P={}{keys}", load.pipeline)
}

pub fn measure(servers: &Servers, load: &Load, run: &Run) -> Result<Vec<Sample>, CompareError> {
    let name = describe(load, load.test.as_deref().unwrap_or("suite"));
    let mut requests = Vec::new();
    for target in servers.targets()? {
        eprintln!("{name}, {}: warming up", target.name);
        requests.push(warm_up(&target, load, run)?);
    }
    let mut samples = Vec::new();
    for round in 1..=run.rounds {
        for (target, requests) in servers.targets()?.iter().zip(&requests) {
            let taken = sample(target, load, *requests, round)?;
            if load.test.is_some() {
                let rate = taken[0].row.requests_per_second / 1e3;
                eprintln!("{name}, {}: round {round}: {rate:.0} k/s", target.name);
            }
            samples.extend(taken);
        }
    }
    Ok(samples)
}

/// Runs the load once, unmeasured, and returns how many requests a measurement is to send.
fn warm_up(target: &Target, load: &Load, run: &Run) -> Result<u64, CompareError> {
    let in_flight = u64::from(load.clients) * u64::from(load.pipeline);
    if let Some(requests) = run.requests {
        let requests = requests.max(in_flight);
        redis_benchmark(target, load, requests)?;
        return Ok(requests);
    }
    // The first run, of some ten milliseconds, finds the order of magnitude, the second the rate.
    let mut requests = in_flight * 100;
    for _ in 0..2 {
        let rows = redis_benchmark(target, load, requests)?;
        let wanted = rows[0].requests_per_second * run.seconds;
        requests = (wanted as u64 / in_flight).max(10) * in_flight;
    }
    Ok(requests)
}

fn redis_benchmark(target: &Target, load: &Load, requests: u64) -> Result<Vec<Row>, CompareError> {
    if load.test.is_none() {
        // The lists and sets of the suite would grow from run to run.
        Client::connect(target.endpoint.port)?.call(&["FLUSHALL"])?;
    }
    redis_benchmark::measure(load, target.endpoint.port, requests).map_err(|source| {
        let load = describe(load, load.test.as_deref().unwrap_or("suite"));
        CompareError::Benchmark { load, target: target.name.clone(), source }
    })
}

fn sample(
    target: &Target,
    load: &Load,
    requests: u64,
    round: u32,
) -> Result<Vec<Sample>, CompareError> {
    let before = cpu_times(target)?;
    let rows = redis_benchmark(target, load, requests)?;
    let after = cpu_times(target)?;
    let spent = |pid: u32| -> Duration {
        let of = |times: &[(u32, Duration)]| times.iter().find(|(at, _)| *at == pid).map(|t| t.1);
        of(&after).unwrap_or_default().saturating_sub(of(&before).unwrap_or_default())
    };
    let per_request = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
    let cpu = CpuTime {
        node_us: per_request(spent(target.endpoint.pid)),
        all_us: per_request(target.pids.iter().map(|pid| spent(*pid)).sum()),
    };
    Ok(rows
        .into_iter()
        .map(|row| Sample {
            work: describe(load, &row.test),
            target: target.name.clone(),
            round,
            requests,
            cpu: load.test.is_some().then_some(cpu),
            row,
        })
        .collect())
}

fn cpu_times(target: &Target) -> Result<Vec<(u32, Duration)>, CompareError> {
    let of = |pid: &u32| cpu_time(*pid).map(|time| (*pid, time)).ok_or(CompareError::Gone(*pid));
    target.pids.iter().map(of).collect()
}

/// Gives every key that redis-benchmark can name a value, so that each GET finds one.
pub fn fill_all(servers: &Servers, count: u32) -> Result<(), CompareError> {
    let mut filled: Vec<Vec<u32>> = Vec::new();
    for target in servers.targets()? {
        // A cluster has one keyspace, whichever node is asked.
        if filled.contains(&target.pids) {
            continue;
        }
        eprintln!("{}: setting {count} keys", target.name);
        fill(target.endpoint.port, count, |_| "xxx".to_owned())?;
        filled.push(target.pids);
    }
    Ok(())
}
