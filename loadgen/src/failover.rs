//! `mayfly-loadgen failover`: a cluster on this machine under load loses its leader, and the
//! picture of it is drawn.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rustix::process::Signal;

use crate::bench::{BenchError, Log, Telling, counters, measure, print, write_files};
use crate::cli::{Files, OptionError, parse_rate, parse_time};
use crate::cluster::{Cluster, ClusterError, Node, Respawn, Start, await_leader, signal};
use crate::environment::Environment;
use crate::keys::Distribution;
use crate::load::{Connections, Greeting, Keys, Load, Pace, Redirects};
use crate::outage::MarkKind;
use crate::report::html::Head;
use crate::report::{Outcome, Run, text};
use crate::run::{self, Event, Marks};
use crate::schedule::Arrival;
use crate::server::{self, Login};

/// Long enough for elections that take several rounds; the run's own end is waited for too.
const NEW_LEADER_PATIENCE: Duration = Duration::from_secs(10);

/// Start a cluster on this machine, load it, take its leader away, draw the picture.
///
/// Each connection increments and reads a counter of its own, through whichever node it is
/// connected to, so that lost and doubled writes and stale reads are found. Requests are due at
/// their times whatever happens (open loop), so what is due during the election counts.
#[derive(Debug, Parser)]
#[command(name = "mayfly-loadgen failover", version)]
pub struct FailoverOptions {
    /// The server [default: mayfly in the folder of this program]
    #[arg(long, value_name = "FILE")]
    bin: Option<PathBuf>,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(3..=9))]
    nodes: u16,
    /// Start a node again when it has ended
    #[arg(long)]
    respawn: bool,
    /// Requests a second
    #[arg(long, default_value = "2000", value_parser = parse_rate)]
    rate: f64,
    /// How requests follow each other
    #[arg(long, value_enum, default_value_t)]
    arrival: Arrival,
    /// Connections in all, dealt out to the nodes
    #[arg(short, long, default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    clients: u16,
    /// Measure for so long
    #[arg(long, default_value = "10s", value_parser = parse_time)]
    duration: Duration,
    /// Load the cluster for so long before
    #[arg(long, default_value = "1s", value_parser = parse_time)]
    warmup: Duration,
    /// When the leader is taken away, after the warm-up
    #[arg(long, default_value = "3s", value_parser = parse_time)]
    at: Duration,
    /// How
    #[arg(long, value_enum, default_value_t)]
    fault: Fault,
    /// Resolution of the timeline, 10ms to 1s
    #[arg(long, value_parser = parse_time, default_value = "10ms")]
    bucket: Duration,
    #[command(flatten)]
    files: Files,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// SIGKILL: its connections end at once
    #[default]
    Kill,
    /// SIGSTOP to the end of the run: it falls silent, and only time-outs tell
    Pause,
}

#[derive(Debug, thiserror::Error)]
pub enum FailoverError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Bench(#[from] BenchError),
    #[error("--at must be before the end of --duration")]
    Late,
    #[error("the cluster has no leader")]
    NoLeader,
}

pub fn run(options: &FailoverOptions) -> Result<(), FailoverError> {
    if options.at >= options.duration {
        return Err(FailoverError::Late);
    }
    let bucket_ms = options.bucket.as_millis() as u64;
    if !(10..=1000).contains(&bucket_ms) {
        let error = OptionError::Range { option: "--bucket (in ms)", min: 10, max: 1000 };
        return Err(BenchError::Option(error).into());
    }
    run::listen_for_interrupts().map_err(BenchError::Run)?;
    let cluster = Cluster::start(&Start {
        binary: options.bin.as_deref(),
        nodes: options.nodes,
        respawn: if options.respawn { Respawn::Always } else { Respawn::Never },
    })?;
    let nodes = cluster.nodes().to_vec();
    let leader = await_leader(&nodes, NEW_LEADER_PATIENCE).ok_or(FailoverError::NoLeader)?;
    for node in &nodes {
        let role = if *node == leader { "leader" } else { "follower" };
        eprintln!("node {} pid {} at {}: {role}", node.number, node.pid, node.address);
    }
    let login = Login::default();
    let servers = nodes
        .iter()
        .map(|node| server::ask(node.address, &login))
        .collect::<Result<Vec<_>, _>>()
        .map_err(BenchError::Server)?;
    let environment = Environment::look(servers);
    let mut log = Log::open(options.files.hlog.as_deref(), &environment)?;
    let load = Arc::new(load(options, &nodes));
    let title = format!("{} nodes, half INCR, half GET", options.nodes);
    let events = vec![fault(options, nodes.clone())];
    let outcome = measure(&title, load, events, &environment, &mut log, Telling::Live, &login)?;
    if options.fault == Fault::Pause {
        // A stopped process would keep the cluster from stopping in time.
        for node in &nodes {
            signal(node.pid, Signal::CONT);
        }
    }
    drop(cluster);
    print(&text::Full(&outcome).to_string());
    print(&text::environment(&environment));
    log.finish()?;
    let lead = lead(&outcome);
    let mut files = options.files.clone();
    let html = files.html.get_or_insert_with(|| PathBuf::from("failover.html")).clone();
    let outcomes = [outcome];
    let head = Head { title: "A cluster loses its leader", lead: &lead };
    write_files(&files, &Run { environment: &environment, outcomes: &outcomes }, &head)?;
    print(&format!("{lead}\nThe picture: {}", html.display()));
    if outcomes[0].verified.is_some_and(|found| found.has_faults()) {
        return Err(BenchError::Faults.into());
    }
    if outcomes[0].measured.totals.ok == 0 {
        return Err(BenchError::NoSuccess.into());
    }
    Ok(())
}

fn load(options: &FailoverOptions, nodes: &[Node]) -> Load {
    Load {
        servers: nodes.iter().map(|node| node.address).collect(),
        clients: usize::from(options.clients),
        threads: 1,
        pipeline: 1,
        connections: Connections::Kept,
        greeting: Greeting::default(),
        work: counters(),
        keys: Keys { distribution: Distribution::Uniform, count: 1 },
        pace: Pace::Rate { per_second: options.rate, arrival: options.arrival },
        requests: None,
        duration: Some(options.duration),
        warmup: options.warmup,
        redirects: Redirects::Counted,
        payload: "0".to_owned(),
        bucket: options.bucket,
        seed: 1,
    }
}

/// Takes away whoever leads when the time has come, and says who leads after.
fn fault(options: &FailoverOptions, nodes: Vec<Node>) -> Event {
    let fault = options.fault;
    let patience = (options.duration - options.at).min(NEW_LEADER_PATIENCE);
    let act = move |marks: &Marks| {
        let Some(leader) = await_leader(&nodes, patience) else { return };
        let (how, done) = match fault {
            Fault::Kill => (Signal::KILL, "killed"),
            Fault::Pause => (Signal::STOP, "paused"),
        };
        signal(leader.pid, how);
        marks.add(MarkKind::Fault, format!("leader, node {}, {done}", leader.number));
        let others: Vec<Node> = nodes.iter().copied().filter(|node| *node != leader).collect();
        if let Some(new) = await_leader(&others, patience) {
            marks.add(MarkKind::Note, format!("node {} leads", new.number));
        }
    };
    Event { at: options.at, act: Box::new(act) }
}

/// The whole story in some sentences.
fn lead(outcome: &Outcome) -> String {
    let (measured, totals) = (&outcome.measured, &outcome.measured.totals);
    let errors = totals.errors.total();
    let answered = totals.ok + errors;
    let first = outcome.marks().into_iter().next();
    let pause = match first {
        None => "The leader was not taken away.".to_owned(),
        Some((mark, outage)) => {
            let at = mark.at_ns as f64 / 1e9;
            let pause = outage.map(|outage| outage.len_ns(measured.elapsed_ns) as f64 / 1e6);
            let bucket = totals.bucket_ns / 1_000_000;
            match pause {
                Some(ms) => {
                    format!("After {at:.2} s: {}. Nothing succeeded for {ms:.1} ms.", mark.label)
                }
                None => format!(
                    "After {at:.2} s: {}. No time without success was longer than {bucket} ms.",
                    mark.label
                ),
            }
        }
    };
    let kept = match outcome.verified {
        Some(found) if found.has_faults() => format!(" {}.", text::verified(&found)),
        Some(found) => format!(
            " All {} acknowledged increments are there, none ran twice, no read was stale.",
            found.acked
        ),
        None => String::new(),
    };
    format!("{pause} Of {answered} requests {errors} failed.{kept}")
}
