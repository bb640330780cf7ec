//! What happens to a node, how the cluster gets whole again, and what clients may notice.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use rustix::process::Signal;

use crate::cluster::{Cluster, ClusterError, raft_info};
use crate::process::wait_for;
use crate::stats::Summary;

/// Until a node that was paused follows the leader that was elected meanwhile.
const RETURN_TIME: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Event {
    /// SIGKILL to the leader; a fresh process takes its place
    KillLeader,
    /// SIGSTOP to the leader; after the counting SIGCONT, and it follows the new leader
    PauseLeader,
    /// SIGSTOP to the leader; after the counting SIGKILL, and a fresh process takes its place
    PauseAndKillLeader,
    /// SIGTERM to the leader; a fresh process takes its place
    TerminateLeader,
    /// SIGKILL to a follower while redis-benchmark loads the leader; a fresh process replaces it
    KillFollower,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("invariant: no value is skipped");
        f.write_str(value.get_name())
    }
}

/// What is asked of the clients' pauses.
pub enum Goal {
    /// The median of the rounds is no longer.
    Median(Duration),
    /// It is no longer than what occurs without the event.
    NoPause,
    /// Nothing; errors alone count.
    NoErrors,
}

impl Event {
    pub fn goal(self) -> Goal {
        match self {
            Self::KillLeader => Goal::Median(Duration::from_millis(200)),
            Self::PauseLeader | Self::PauseAndKillLeader => Goal::Median(Duration::from_secs(1)),
            Self::TerminateLeader => Goal::NoErrors,
            Self::KillFollower => Goal::NoPause,
        }
    }

    pub fn hits_the_leader(self) -> bool {
        self != Self::KillFollower
    }

    /// Whether redis-benchmark loads the leader meanwhile.
    pub fn is_under_load(self) -> bool {
        self == Self::KillFollower
    }

    pub fn strike(self, cluster: &mut Cluster, victim: u16) -> Result<(), ClusterError> {
        match self {
            Self::KillLeader | Self::KillFollower => cluster.kill(victim),
            Self::PauseLeader | Self::PauseAndKillLeader => cluster.signal(victim, Signal::STOP),
            Self::TerminateLeader => cluster.signal(victim, Signal::TERM),
        }
    }

    /// Makes the cluster what it was: every node a voter that runs.
    pub fn repair(self, cluster: &mut Cluster, victim: u16) -> Result<(), ClusterError> {
        match self {
            Self::KillLeader | Self::KillFollower => {}
            Self::PauseLeader => {
                cluster.signal(victim, Signal::CONT)?;
                wait_for("return of the old leader as a follower", RETURN_TIME, || {
                    let info = raft_info(victim)?;
                    (info.field("raft_role") == Some("follower")).then_some(())
                })?;
                return cluster.wait_until_complete(RETURN_TIME);
            }
            Self::PauseAndKillLeader => cluster.kill(victim)?,
            Self::TerminateLeader => cluster.await_end(victim)?,
        }
        cluster.replace(victim)
    }
}

impl Goal {
    pub fn describe(&self) -> String {
        match self {
            Self::Median(limit) => format!("median <= {} ms", limit.as_millis()),
            Self::NoPause => "no pause, no error".to_owned(),
            Self::NoErrors => "no error".to_owned(),
        }
    }

    /// In milliseconds.
    pub fn is_met(&self, pauses: Summary, undisturbed: Summary, errors: usize) -> bool {
        match self {
            Self::Median(limit) => errors == 0 && pauses.median <= limit.as_secs_f64() * 1e3,
            Self::NoPause => errors == 0 && pauses.is_within_spread_of(undisturbed),
            Self::NoErrors => errors == 0,
        }
    }
}

#[test]
fn goals_tell_pauses_and_errors_apart() {
    let of = |values: [f64; 3]| Summary::of(values).unwrap();
    let undisturbed = of([1.0, 2.0, 3.0]);
    let cases = [
        (Event::KillLeader, of([10.0, 200.0, 900.0]), 0, true),
        (Event::KillLeader, of([10.0, 201.0, 202.0]), 0, false),
        (Event::KillLeader, of([10.0, 20.0, 30.0]), 1, false),
        (Event::PauseLeader, of([500.0, 1000.0, 2000.0]), 0, true),
        (Event::KillFollower, of([1.0, 3.0, 50.0]), 0, true),
        (Event::KillFollower, of([1.0, 3.1, 50.0]), 0, false),
        (Event::TerminateLeader, of([5000.0; 3]), 0, true),
        (Event::TerminateLeader, of([5000.0; 3]), 1, false),
    ];
    for (event, pauses, errors, met) in cases {
        assert_eq!(event.goal().is_met(pauses, undisturbed, errors), met, "{event}, {pauses:?}");
    }
}
