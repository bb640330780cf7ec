//! How long a leader's death lasts for a client of a surviving node, and whether each of its
//! commands is executed exactly once all the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::client::{Client, ClientError};
use crate::interrupt;
use crate::machine;
use crate::process::ProcessError;
use crate::server::{NodeCluster, ServerError};
use crate::stats::Summary;
use crate::table::Table;

#[derive(Args)]
pub struct Options {
    /// How many leaders to kill, each of a fresh cluster
    #[arg(long, default_value_t = 10)]
    kills: u32,
    /// Nodes of each cluster
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(3..=9))]
    nodes: u16,
    /// Seconds of counting before the kill
    #[arg(long, default_value_t = 1.0)]
    before: f64,
    /// Seconds of counting after the kill
    #[arg(long, default_value_t = 3.0)]
    after: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum FailoverError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("the client got an error: {0}")]
    Client(#[from] ClientError),
    #[error("killing the leader: {0}")]
    Kill(std::io::Error),
    #[error("{calls} calls of INCR were answered, and the counter is {value}")]
    Count { calls: u64, value: String },
    #[error("call {calls} of INCR was answered with {value}")]
    Reply { calls: u64, value: String },
    #[error("the client was answered nothing after the kill")]
    Silence,
    #[error("--before and --after must be seconds, at least 0")]
    Seconds,
}

/// What one kill came to.
struct Pause {
    /// The longest time between two answers around and after the kill.
    longest: Duration,
    /// The same while all was well: what of the pause is not the kill's doing.
    longest_before: Duration,
    calls: u64,
}

pub fn run(options: &Options) -> Result<(), FailoverError> {
    println!("failover, {} nodes, {}, {}", options.nodes, machine::describe(), machine::date());
    let mut table = Table::new(&["kill", "pause ms", "longest before ms", "INCR calls"]);
    let mut pauses = Vec::new();
    for kill in 1..=options.kills {
        // The survivors take turns, so that followers and new leaders are both seen.
        let pause = kill_once(options, kill as usize)?;
        let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        let (longest, before) = (ms(pause.longest), ms(pause.longest_before));
        eprintln!("kill {kill}: {longest} ms");
        table.push(vec![kill.to_string(), longest, before, pause.calls.to_string()]);
        pauses.push(pause.longest.as_secs_f64() * 1e3);
    }
    print!("{}", table.to_text());
    if let Some(Summary { median, min, max }) = Summary::of(pauses) {
        println!("pause: median {median:.1} ms, min {min:.1} ms, max {max:.1} ms");
        println!("every INCR was answered once, without error, in order; every counter is exact");
    }
    Ok(())
}

fn kill_once(options: &Options, turn: usize) -> Result<Pause, FailoverError> {
    let seconds =
        |value: f64| Duration::try_from_secs_f64(value).map_err(|_| FailoverError::Seconds);
    let (before, after) = (seconds(options.before)?, seconds(options.after)?);
    let mut cluster = NodeCluster::start(options.nodes)?;
    let (leader, survivors) = cluster.roles()?;
    let port = survivors[turn % survivors.len()];
    let stop = AtomicBool::new(false);
    let (answers, killed_at) = thread::scope(|scope| {
        let counting = scope.spawn(|| count(port, &stop));
        let killed_at = wait(before).and_then(|()| {
            let at = Instant::now();
            cluster.kill(leader).map_err(FailoverError::Kill)?;
            wait(after)?;
            Ok(at)
        });
        stop.store(true, Ordering::Relaxed);
        let answers = counting.join().expect("invariant: counting does not panic");
        Ok::<_, FailoverError>((answers?, killed_at?))
    })?;
    // Another survivor must know all of it.
    let other = survivors[(turn + 1) % survivors.len()];
    let value = Client::connect(other)?.call(&["GET", KEY])?;
    let calls = answers.len() as u64;
    if value != calls.to_string() {
        return Err(FailoverError::Count { calls, value });
    }
    let gaps = |during: &[Instant]| during.windows(2).map(|pair| pair[1] - pair[0]).max();
    let first_after = answers.partition_point(|at| *at <= killed_at);
    if first_after == answers.len() {
        return Err(FailoverError::Silence);
    }
    let longest = gaps(&answers[first_after.saturating_sub(1)..]).unwrap_or_default();
    let longest_before = gaps(&answers[..first_after]).unwrap_or_default();
    Ok(Pause { longest, longest_before, calls })
}

const KEY: &str = "failover:counter";

/// Counts until told to stop; returns when each call was answered.
fn count(port: u16, stop: &AtomicBool) -> Result<Vec<Instant>, FailoverError> {
    let mut client = Client::connect(port)?;
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let value = client.call(&["INCR", KEY])?;
        answers.push(Instant::now());
        let calls = answers.len() as u64;
        if value != calls.to_string() {
            return Err(FailoverError::Reply { calls, value });
        }
    }
    Ok(answers)
}

/// Lets the counting go on for a while.
fn wait(time: Duration) -> Result<(), FailoverError> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if interrupt::is_interrupted() {
            return Err(ProcessError::Interrupted.into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
