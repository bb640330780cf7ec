//! Compaction alone, without a member that needs a snapshot: what the leader's clients and its
//! memory notice of it.

use std::time::{Duration, Instant};

use crate::client::{Client, ClientError};
use crate::memory::{forget_peak, resident};
use crate::probe::{self, Latencies};
use crate::time::Window;
use crate::watch::{alongside, pause};

use super::contender::Contender;
use super::observe::{Work, start_load};
use super::{JoinError, Options};

/// Between two compactions.
const INTERVAL: Duration = Duration::from_millis(100);

/// What windows with and without compactions, in turns, came to.
pub struct Compaction {
    pub work: Work,
    /// Of each window without.
    pub without: Vec<Latencies>,
    /// Of each window with compactions.
    pub with: Vec<Latencies>,
    pub compactions: usize,
    /// While one was under way, or for another reason that the leader gave.
    pub refused: usize,
    /// The most resident memory of the leader within a window with compactions, less that at its
    /// start; the largest of all such windows.
    pub extra_bytes: u64,
}

pub fn observe(
    contender: &dyn Contender,
    work: Work,
    options: &Options,
) -> Result<Compaction, JoinError> {
    let port = contender.leader()?.port;
    let load = start_load(work, port, options)?;
    let watch = |stop: &_| probe::run(port, options.rate, stop);
    let (mut samples, rounds) = alongside([watch], || {
        let round = |_| round(contender, options);
        (0..options.rounds).map(round).collect::<Result<Vec<_>, _>>()
    });
    let rounds = rounds?;
    if let Some(load) = load {
        load.end()?;
    }
    let samples = samples.remove(0)?;
    let latencies = |window: Window| {
        let mut latencies = Latencies::new();
        latencies.add(&samples, window);
        latencies
    };
    Ok(Compaction {
        work,
        without: rounds.iter().map(|round| latencies(round.without)).collect(),
        with: rounds.iter().map(|round| latencies(round.with)).collect(),
        compactions: rounds.iter().map(|round| round.compactions).sum(),
        refused: rounds.iter().map(|round| round.refused).sum(),
        extra_bytes: rounds.iter().map(|round| round.extra_bytes).max().unwrap_or_default(),
    })
}

struct Round {
    without: Window,
    with: Window,
    compactions: usize,
    refused: usize,
    extra_bytes: u64,
}

fn round(contender: &dyn Contender, options: &Options) -> Result<Round, JoinError> {
    let leader = contender.leader()?;
    let mut client = Client::connect(leader.port)?;
    let start = Instant::now();
    pause(options.window)?;
    forget_peak(leader.pid)?;
    let resident_before = resident(leader.pid)?.now;
    let turn = Instant::now();
    let (mut compactions, mut refused) = (0, 0);
    while turn.elapsed() < options.window {
        match client.call(&["RAFT.DEBUG", "COMPACT"]) {
            Ok(_) => compactions += 1,
            Err(ClientError::Refused { .. }) => refused += 1,
            Err(error) => return Err(error.into()),
        }
        pause(INTERVAL)?;
    }
    let end = Instant::now();
    let extra_bytes = resident(leader.pid)?.peak.saturating_sub(resident_before);
    Ok(Round {
        without: Window { from: start, to: turn },
        with: Window { from: turn, to: end },
        compactions,
        refused,
        extra_bytes,
    })
}
