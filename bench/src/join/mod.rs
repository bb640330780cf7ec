//! A fresh node joins a leader with a large data set, beside a redis-server replica's full sync of
//! the same data: how long it takes, and what the leader's clients and memory notice. Then the same
//! of compaction alone.
//!
//! [`contender`] is who is measured, [`observe`] one join, [`compaction`] the windows with and
//! without compactions, [`report`] the tables with the goals.

mod compaction;
mod contender;
mod observe;
mod report;

use std::time::Duration;

use clap::Args;

use crate::client::ClientError;
use crate::cluster::ClusterError;
use crate::fill::FillError;
use crate::machine;
use crate::memory::MemoryError;
use crate::meter::MeterError;
use crate::process::{ProcessError, free_ports};
use crate::redis_benchmark::{Background, BenchmarkError};
use crate::server::ServerError;
use crate::time::parse_seconds;

use contender::{Contender, GrowingCluster, Held, REDIS_SETTINGS, RedisPair};
use observe::Work;
use report::Side;

#[derive(Args)]
pub struct Options {
    /// Keys of the data set, 16 bytes each with values of 64
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// Joins of each server, without load and with it, in turns; windows with compactions
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds before and after each join, and of each window with or without compactions
    #[arg(long, default_value = "5", value_parser = parse_window)]
    window: Duration,
    /// Seconds after which a join is given up
    #[arg(long, default_value = "120", value_parser = parse_seconds)]
    limit: Duration,
    /// Requests a second, at most, of the client that measures latencies on the leader
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Connections of redis-benchmark
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
}

/// A window must see some of everything.
const WINDOW_MIN: Duration = Duration::from_millis(100);

fn parse_window(text: &str) -> Result<Duration, String> {
    match parse_seconds(text)? {
        window if window < WINDOW_MIN => Err(format!("at least {}", WINDOW_MIN.as_secs_f64())),
        window => Ok(window),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Fill(#[from] FillError),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(transparent)]
    Meter(#[from] MeterError),
    #[error("the load: {0}")]
    Load(#[from] BenchmarkError),
    #[error("port {port} does not tell its {field} in INFO")]
    Field { port: u16, field: &'static str },
    #[error("{name}: {keys} keys were set, and it holds {held}")]
    Loaded { name: &'static str, keys: u32, held: String },
    #[error("{name}: the leader has {expected} keys, and the node that joined has {found}")]
    Data { name: &'static str, expected: String, found: String },
}

pub fn run(options: &Options) -> Result<(), JoinError> {
    let Options { keys, rounds, rate, clients, window, .. } = options;
    println!("join, {}, {}", machine::describe(), machine::date());
    let (pipeline, value_bytes) = (Background::PIPELINE, Background::VALUE_BYTES);
    println!("{keys} keys of 16 bytes with values of {value_bytes}, {rounds} rounds in turns");
    println!(
        "a client sends up to {rate} SET and GET a second, one at a time, to the leader; load: \
         redis-benchmark\n  SET P={pipeline} -r {keys} -d {value_bytes}, {clients} clients; {} s \
         before and after each join",
        window.as_secs_f64()
    );
    println!(
        "mayfly: default options; from the start of a third process to its being a voter that"
    );
    println!("  answers a linearizable GET; the leader's log is compacted before");
    println!("{REDIS_SETTINGS}");
    // All at once: those of the fresh nodes are not in use until they start.
    let port = free_ports(RedisPair::PORTS + GrowingCluster::PORTS)?;
    let mut redis = RedisPair::start(port)?;
    let mut mayfly = GrowingCluster::start(port + RedisPair::PORTS)?;
    let mut sides = Vec::new();
    for contender in [&mut redis as &mut dyn Contender, &mut mayfly] {
        eprintln!("{}: setting {keys} keys", contender.name());
        let held = contender::load(contender, *keys)?;
        println!("{}", describe(contender.name(), held));
        sides.push(Side { held, joins: Vec::new() });
    }
    for _ in 0..*rounds {
        for work in [Work::Quiet, Work::Busy] {
            let contenders = [&mut redis as &mut dyn Contender, &mut mayfly];
            for (contender, side) in contenders.into_iter().zip(&mut sides) {
                let join = observe::observe(contender, work, options)?;
                eprintln!("{}", report::progress(contender.name(), &join));
                side.joins.push(join);
            }
        }
    }
    let [redis_side, mayfly_side] = &sides[..] else { unreachable!("invariant: two contenders") };
    print!("\n{}", report::joins(mayfly_side, redis_side).to_text());
    println!("{}", snapshots(mayfly_side));
    drop(redis);
    let mut compactions = Vec::new();
    for work in [Work::Quiet, Work::Busy] {
        eprintln!("compactions, {work:?}");
        compactions.push(compaction::observe(&mayfly, work, options)?);
    }
    print!("\n{}", report::compactions(&compactions).to_text());
    Ok(())
}

fn describe(name: &str, held: Held) -> String {
    let mib = |bytes: u64| bytes >> 20;
    format!(
        "{name}: {} MiB of keys and values take {} MiB",
        mib(held.payload_bytes),
        mib(held.resident_bytes)
    )
}

/// By what the fresh nodes got the data: a join by the log would measure something else.
fn snapshots(side: &Side) -> String {
    let by_snapshot = side.joins.iter().filter(|join| join.snapshots.is_some_and(|it| it > 0));
    let changed = side.joins.iter().filter(|join| join.leader_changed).count();
    format!(
        "{} of {} joins of mayfly loaded a snapshot; the leader changed in {changed}",
        by_snapshot.count(),
        side.joins.len()
    )
}
