//! One join, seen from the leader's clients: what they get before, meanwhile and afterwards.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::memory::{forget_peak, resident};
use crate::meter::{self, Readings};
use crate::probe::{self, Sample};
use crate::process::{ProcessError, wait_for};
use crate::redis_benchmark::Background;
use crate::server::Endpoint;
use crate::time::Window;
use crate::watch::{alongside, pause};

use super::contender::{Contender, last_key};
use super::{JoinError, Options};

/// What the leader is to do beside the join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing but the probe.
    Quiet,
    /// redis-benchmark too.
    Busy,
}

/// Before anything is noted of a load that has just begun.
const WARM_UP: Duration = Duration::from_secs(1);

/// What one join came to.
pub struct Observation {
    pub work: Work,
    /// `None`: not within the limit.
    pub join: Option<Duration>,
    /// Snapshots that the fresh node has loaded, where it tells.
    pub snapshots: Option<u64>,
    pub before: Window,
    pub during: Window,
    pub after: Window,
    pub samples: Vec<Sample>,
    pub readings: Readings,
    /// Whether another node leads afterwards: then the load went on through a follower.
    pub leader_changed: bool,
    /// The most resident memory of the leader during the join, less that just before, and what a
    /// forked child had beside it.
    pub extra_bytes: u64,
    /// By how much the leader's log grew meanwhile, of one that has a log. Negative if it was
    /// compacted.
    pub log_growth: Option<i64>,
}

/// What is known once the join is over.
struct Joined {
    join: Option<Duration>,
    snapshots: Option<u64>,
    windows: [Window; 3],
    leader_changed: bool,
    extra_bytes: u64,
    log_growth: Option<i64>,
}

/// Starts the load of `work`.
pub fn start_load(
    work: Work,
    port: u16,
    options: &Options,
) -> Result<Option<Background>, JoinError> {
    if work == Work::Quiet {
        return Ok(None);
    }
    let background = Background::start(port, options.clients, options.keys)?;
    pause(WARM_UP)?;
    Ok(Some(background))
}

/// Has a fresh node join, and takes it away again.
pub fn observe(
    contender: &mut dyn Contender,
    work: Work,
    options: &Options,
) -> Result<Observation, JoinError> {
    let leader = contender.leader()?;
    let port = leader.port;
    // Under the load of an earlier join the log has grown.
    contender.compact()?;
    let load = start_load(work, port, options)?;
    let watch_latency = |stop: &_| probe::run(port, options.rate, stop);
    let (mut samples, (mut readings, joined)) = alongside([watch_latency], || {
        alongside([|stop: &_| meter::run(port, stop)], || join(contender, leader, options))
    });
    let joined = joined?;
    if let Some(load) = load {
        load.end()?;
    }
    if joined.join.is_some() {
        check_data(contender)?;
    }
    contender.dismiss()?;
    let [before, during, after] = joined.windows;
    Ok(Observation {
        work,
        join: joined.join,
        snapshots: joined.snapshots,
        before,
        during,
        after,
        samples: samples.remove(0)?,
        readings: readings.remove(0)?,
        leader_changed: joined.leader_changed,
        extra_bytes: joined.extra_bytes,
        log_growth: joined.log_growth,
    })
}

fn join(
    contender: &mut dyn Contender,
    leader: Endpoint,
    options: &Options,
) -> Result<Joined, JoinError> {
    let start = Instant::now();
    pause(options.window)?;
    let log_before = contender.log_bytes()?;
    forget_peak(leader.pid)?;
    let resident_before = resident(leader.pid)?.now;
    let launched = contender.launch()?;
    let key = last_key(options.keys);
    let joined = wait_for("the join", options.limit, || match contender.has_joined(&key) {
        Ok(has_joined) => has_joined.then_some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    let end = Instant::now();
    let has_joined = match joined {
        Ok(joined) => joined.map(|()| true)?,
        Err(ProcessError::TimedOut { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    let snapshots = contender.snapshots_loaded();
    let extra_bytes = resident(leader.pid)?.peak.saturating_sub(resident_before);
    let log_after = contender.log_bytes()?;
    let log_growth = log_after.zip(log_before).map(|(after, before)| after as i64 - before as i64);
    pause(options.window)?;
    // Known once the child has ended, a moment after the join.
    let extra_bytes = extra_bytes + contender.forked_bytes()?;
    let window = |from, to| Window { from, to };
    let windows = [window(start, launched), window(launched, end), window(end, Instant::now())];
    let join = has_joined.then_some(end - launched);
    let leader_changed = contender.leader()? != leader;
    Ok(Joined { join, snapshots, windows, leader_changed, extra_bytes, log_growth })
}

/// The fresh node must know every key. The load, if any, has ended: the counts stand still but for
/// what is still on its way to a replica.
fn check_data(contender: &dyn Contender) -> Result<(), JoinError> {
    let size =
        |port: u16| -> Result<String, JoinError> { Ok(Client::connect(port)?.call(&["DBSIZE"])?) };
    let expected = size(contender.leader()?.port)?;
    let found = size(contender.fresh_port())?;
    match found == expected {
        true => Ok(()),
        false => Err(JoinError::Data { name: contender.name(), expected, found }),
    }
}
