//! Mayfly beside redis-server: the same load on each in turns, round after round (A B C A B C …),
//! so that whatever slows the machine down for a while slows all of them down.
//!
//! [`measure`] takes the samples, [`report`] turns them into tables.

mod measure;
mod report;

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::client::{Client, ClientError};
use crate::fill::FillError;
use crate::redis_benchmark::{BenchmarkError, Keys, Load};
use crate::server::{Endpoint, LocalCluster, RedisServer, ServerError, leader_among};

use measure::Run;

#[derive(Args)]
pub struct Options {
    /// Measured rounds, after one for warming up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Requests of each measurement [default: as many as take --seconds; 100000 of the suite]
    #[arg(long)]
    requests: Option<u64>,
    /// How long one measurement takes
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Connections of redis-benchmark
    #[arg(long, default_value_t = 50)]
    clients: u32,
    /// Commands in flight on each connection [default: 1,16,64; 16 of the suite]
    #[arg(long, short = 'P', value_delimiter = ',')]
    pipeline: Vec<u32>,
    /// Tests of redis-benchmark
    #[arg(long, value_delimiter = ',', default_value = "set,get")]
    tests: Vec<String>,
    /// Which keys the requests name
    #[arg(long, value_delimiter = ',', default_value = "one,random")]
    keys: Vec<KeyChoice>,
    /// How many different keys --keys random names
    #[arg(long, default_value_t = 1_000_000)]
    keyspace: u32,
    /// The whole default suite of redis-benchmark instead of single tests
    #[arg(long)]
    suite: bool,
    /// A first impression: 3 rounds of half a second
    #[arg(long)]
    quick: bool,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3)]
    nodes: u16,
    /// Measure a server that runs already on this machine instead of a cluster (repeatable)
    #[arg(long, value_name = "NAME=PORT", value_parser = running_server)]
    target: Vec<(String, u16)>,
    /// Write every sample to this file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyChoice {
    One,
    Random,
}

fn running_server(text: &str) -> Result<(String, u16), String> {
    let (name, port) = text.split_once('=').ok_or("the form is NAME=PORT")?;
    Ok((name.to_owned(), port.parse().map_err(|error| format!("{port}: {error}"))?))
}

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Fill(#[from] FillError),
    #[error("{load}, {target}: {source}")]
    Benchmark { load: String, target: String, source: BenchmarkError },
    #[error("process {0} has gone")]
    Gone(u32),
    #[error("{path}: {source}")]
    Csv { path: PathBuf, source: std::io::Error },
}

/// The servers of one comparison; what it started stops when it is dropped.
pub struct Servers {
    redis: RedisServer,
    cluster: Option<LocalCluster>,
    running: Vec<(String, Endpoint)>,
}

/// One place to send the load to.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub endpoint: Endpoint,
    /// All processes of the server, the one at the endpoint among them.
    pub pids: Vec<u32>,
}

impl Servers {
    fn start(options: &Options) -> Result<Self, CompareError> {
        let redis = RedisServer::start()?;
        let mut running = Vec::new();
        for (name, port) in &options.target {
            running.push((name.clone(), Endpoint::of_running(*port)?));
        }
        let cluster = match running.is_empty() {
            true => Some(LocalCluster::start(options.nodes)?),
            false => None,
        };
        Ok(Self { redis, cluster, running })
    }

    /// Whom to measure now, redis-server first. Asked anew each round, for leaders change.
    pub fn targets(&self) -> Result<Vec<Target>, CompareError> {
        let single = |name: &str, endpoint: Endpoint| Target {
            name: name.to_owned(),
            endpoint,
            pids: vec![endpoint.pid],
        };
        let mut targets = vec![single("redis-server", self.redis.endpoint)];
        targets.extend(self.running.iter().map(|(name, endpoint)| single(name, *endpoint)));
        let Some(cluster) = &self.cluster else { return Ok(targets) };
        let pids: Vec<u32> = cluster.nodes.iter().map(|node| node.pid).collect();
        let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port).collect();
        let leader = leader_among(&ports)?;
        let find = |name: &str, wanted: &dyn Fn(u16) -> bool| {
            let endpoint = cluster.nodes.iter().find(|node| wanted(node.port))?;
            Some(Target { name: name.to_owned(), endpoint: *endpoint, pids: pids.clone() })
        };
        targets.extend(find("mayfly, leader", &|port| port == leader));
        targets.extend(find("mayfly, follower", &|port| port != leader));
        Ok(targets)
    }

    /// The layout of the nodes in their own words.
    fn layout(&self) -> Result<Option<String>, CompareError> {
        let Some(cluster) = &self.cluster else { return Ok(None) };
        let info = Client::connect(cluster.nodes[0].port)?.info("everything")?;
        Ok(info.line_naming("layout").map(str::to_owned))
    }

    /// One version line for the redis-server and one for each other server.
    fn versions(&self) -> Result<Vec<String>, CompareError> {
        let mut versions = Vec::new();
        for target in self.targets()? {
            let info = Client::connect(target.endpoint.port)?.info("server")?;
            let field = |name: &str| info.field(name).map(|version| format!("{name}:{version}"));
            let version = field("mayfly_version").or_else(|| field("redis_version"));
            versions.push(format!("{} {}", target.name, version.unwrap_or_default()));
        }
        Ok(versions)
    }
}

pub fn run(options: &Options) -> Result<(), CompareError> {
    let servers = Servers::start(options)?;
    let run = Run {
        rounds: if options.quick { options.rounds.min(3) } else { options.rounds },
        seconds: if options.quick { options.seconds.min(0.5) } else { options.seconds },
        requests: options.requests.or(options.suite.then_some(SUITE_REQUESTS)),
    };
    print!("{}", report::head(&servers.versions()?, servers.layout()?.as_deref()));
    println!("{} clients, {} rounds", options.clients, run.rounds);
    let mut samples = Vec::new();
    let mut loaded = false;
    for load in loads(options) {
        if let (Keys::Random(count), false) = (load.keys, loaded) {
            measure::fill_all(&servers, count)?;
            loaded = true;
        }
        samples.extend(measure::measure(&servers, &load, &run)?);
    }
    print!("\n{}", report::table(&samples).to_text());
    if let Some(path) = &options.csv {
        fs::write(path, report::csv(&samples))
            .map_err(|source| CompareError::Csv { path: path.clone(), source })?;
    }
    Ok(())
}

/// redis-benchmark's own default. Of its tests some take seconds for these, others a tenth.
const SUITE_REQUESTS: u64 = 100_000;

/// The loads in the order in which they are run: those on one key first, while the keyspace is
/// small.
fn loads(options: &Options) -> Vec<Load> {
    let pipelines = match (&options.pipeline[..], options.suite) {
        ([], true) => vec![16],
        ([], false) => vec![1, 16, 64],
        (chosen, _) => chosen.to_vec(),
    };
    let clients = options.clients;
    let mut loads = Vec::new();
    if options.suite {
        let suite = |pipeline| Load { test: None, pipeline, clients, keys: Keys::One };
        loads.extend(pipelines.into_iter().map(suite));
        return loads;
    }
    for choice in [KeyChoice::One, KeyChoice::Random] {
        if !options.keys.contains(&choice) {
            continue;
        }
        let keys = match choice {
            KeyChoice::One => Keys::One,
            KeyChoice::Random => Keys::Random(options.keyspace),
        };
        for test in &options.tests {
            let of = |&pipeline| Load { test: Some(test.clone()), pipeline, clients, keys };
            loads.extend(pipelines.iter().map(of));
        }
    }
    loads
}
