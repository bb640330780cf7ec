//! How long the loss of a node lasts for clients of the others, and whether each of their commands
//! is executed exactly once all the same.
//!
//! [`event`] is what happens to a node, [`count`] the clients.

mod count;
mod event;

use std::time::{Duration, Instant};

use clap::Args;

use crate::client::{Client, ClientError};
use crate::cluster::{Cluster, ClusterError};
use crate::machine;
use crate::process::ProcessError;
use crate::redis_benchmark::{Background, BenchmarkError};
use crate::stats::Summary;
use crate::table::{Table, verdict};
use crate::time::{as_ms, parse_seconds};
use crate::watch::{alongside, pause};

use count::Count;
use event::Event;

#[derive(Args)]
pub struct Options {
    /// What happens to a node
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "kill-leader,pause-leader,terminate-leader,kill-follower"
    )]
    events: Vec<Event>,
    /// How many times each
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    kills: u32,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(3..=9))]
    nodes: u16,
    /// Seconds of counting before the event: as many as after it make the two comparable
    #[arg(long, default_value = "3", value_parser = parse_seconds)]
    before: Duration,
    /// Seconds of counting after the event
    #[arg(long, default_value = "3", value_parser = parse_seconds)]
    after: Duration,
    /// Connections of redis-benchmark, where there is a load
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum FailoverError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("reading a counter: {0}")]
    Client(#[from] ClientError),
    #[error("the load: {0}")]
    Load(#[from] BenchmarkError),
    #[error("{event}: a client of port {port} was answered nothing afterwards")]
    Silence { event: Event, port: u16 },
    #[error("{0} counters are not what their clients were told")]
    Counters(usize),
}

/// Keys that the load names.
const LOAD_KEYS: u32 = 100_000;

/// What one event came to.
struct Round {
    /// The longest time between two answers around and after the event, of any client.
    pause: Duration,
    /// The same before it: what of the pause is not the event's doing.
    undisturbed: Duration,
    calls: usize,
    errors: usize,
    /// Counters with a wrong answer or a wrong value in the end.
    wrong_counters: usize,
    /// Until the cluster was whole again, from the end of the counting.
    repair: Duration,
}

pub fn run(options: &Options) -> Result<(), FailoverError> {
    println!("failover, {} nodes, {}, {}", options.nodes, machine::describe(), machine::date());
    println!(
        "on each node but the one that is hit a client counts; pause: the longest time between two \
         answers\nof any of them, undisturbed: before the event"
    );
    let mut table = Table::new(&[
        "event",
        "times",
        "pause median ms",
        "min-max",
        "undisturbed ms",
        "min-max",
        "INCR calls",
        "errors",
        "counters",
        "goal",
        "",
    ]);
    let mut wrong = 0;
    let outcome = options.events.iter().try_for_each(|event| {
        let rounds = repeat(*event, options)?;
        wrong += rounds.iter().map(|round| round.wrong_counters).sum::<usize>();
        table.push(row(*event, &rounds));
        Ok::<_, FailoverError>(())
    });
    // What was measured before an error is no less true for it.
    print!("{}", table.to_text());
    outcome?;
    match wrong {
        0 => Ok(()),
        _ => Err(FailoverError::Counters(wrong)),
    }
}

/// One cluster, and the event again and again.
fn repeat(event: Event, options: &Options) -> Result<Vec<Round>, FailoverError> {
    let mut cluster = Cluster::start(options.nodes)?;
    let mut rounds = Vec::new();
    for turn in 1..=options.kills {
        let round = once(event, turn, &mut cluster, options)?;
        eprintln!(
            "{event} {turn}: pause {:.1} ms, {} errors, whole again after {:.2} s",
            as_ms(round.pause),
            round.errors,
            round.repair.as_secs_f64()
        );
        rounds.push(round);
    }
    Ok(rounds)
}

fn row(event: Event, rounds: &[Round]) -> Vec<String> {
    let of = |value: fn(&Round) -> Duration| {
        let all = rounds.iter().map(|round| as_ms(value(round)));
        Summary::of(all).expect("invariant: there is a round")
    };
    let (pauses, undisturbed) = (of(|round| round.pause), of(|round| round.undisturbed));
    let sum = |value: fn(&Round) -> usize| rounds.iter().map(value).sum::<usize>();
    let (errors, wrong) = (sum(|round| round.errors), sum(|round| round.wrong_counters));
    let goal = event.goal();
    vec![
        event.to_string(),
        rounds.len().to_string(),
        format!("{:.1}", pauses.median),
        format!("{:.1}-{:.1}", pauses.min, pauses.max),
        format!("{:.1}", undisturbed.median),
        format!("{:.1}-{:.1}", undisturbed.min, undisturbed.max),
        sum(|round| round.calls).to_string(),
        errors.to_string(),
        if wrong == 0 { "exact".to_owned() } else { format!("{wrong} wrong") },
        goal.describe(),
        verdict(goal.is_met(pauses, undisturbed, errors) && wrong == 0).to_owned(),
    ]
}

fn once(
    event: Event,
    turn: u32,
    cluster: &mut Cluster,
    options: &Options,
) -> Result<Round, FailoverError> {
    let (leader, followers) = cluster.roles()?;
    let victim = match event.hits_the_leader() {
        true => leader.port,
        false => followers[turn as usize % followers.len()],
    };
    let all = std::iter::once(leader.port).chain(followers);
    let others: Vec<u16> = all.filter(|port| *port != victim).collect();
    let load = event
        .is_under_load()
        .then(|| Background::start(leader.port, options.clients, LOAD_KEYS))
        .transpose()?;
    let clients = others.iter().map(|port| {
        let key = format!("failover:{event}:{turn}:{port}");
        move |stop: &_| count::run(*port, key, stop)
    });
    let (counts, struck) = alongside(clients, || {
        pause(options.before)?;
        let at = Instant::now();
        event.strike(cluster, victim)?;
        pause(options.after)?;
        Ok::<_, FailoverError>(at)
    });
    let at = struck?;
    if let Some(load) = load {
        load.end()?;
    }
    let mut round = judge(event, &counts, &others, at)?;
    let start = Instant::now();
    event.repair(cluster, victim)?;
    round.repair = start.elapsed();
    Ok(round)
}

fn judge(
    event: Event,
    counts: &[Count],
    ports: &[u16],
    at: Instant,
) -> Result<Round, FailoverError> {
    let mut round = Round {
        pause: Duration::ZERO,
        undisturbed: Duration::ZERO,
        calls: 0,
        errors: 0,
        wrong_counters: 0,
        repair: Duration::ZERO,
    };
    for (position, (count, port)) in counts.iter().zip(ports).enumerate() {
        for error in &count.errors {
            eprintln!("{event}: {error}");
        }
        let (before, after) = count.gaps(at);
        round.pause = round.pause.max(after.ok_or(FailoverError::Silence { event, port: *port })?);
        round.undisturbed = round.undisturbed.max(before);
        round.calls += count.answers.len();
        round.errors += count.errors.len();
        // Another node must know all of it.
        let other = ports[(position + 1) % ports.len()];
        let value = Client::connect(other)?.call(&["GET", &count.key])?;
        let is_right = value.parse().is_ok_and(|value| count.may_be(value));
        if count.wrong > 0 || !is_right {
            eprintln!(
                "{event}: {} answers and {} errors at port {port}, {} of them wrong; the counter \
                 is '{value}'",
                count.answers.len(),
                count.errors.len(),
                count.wrong
            );
            round.wrong_counters += 1;
        }
    }
    Ok(round)
}
