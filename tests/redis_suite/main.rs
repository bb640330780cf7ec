//! Redis's own test suite, unmodified, on a cluster of three.
//!
//! The suite is that of Redis 7.0, in Tcl. `tests/run install` fetches it into
//! `target/redis-suite`; nothing of it lies here. It is told that it tests an external server, and
//! its units go one by one to one node of the cluster. What it leaves out for any external server
//! is left out here, too; what else is left out stands in `skipped.txt`, with the reason. A test
//! that fails, and a row of that list without a test, fail this one.
//!
//! | Variable | Effect |
//! |---|---|
//! | `MAYFLY_SUITE` | folder of the suite, instead of `target/redis-suite` |
//! | `MAYFLY_SUITE_UNITS=unit/dump,unit/scan` | only these units |
//! | `MAYFLY_SUITE_LISTED=1` | runs what the list leaves out, and fails where it passes |
//!
//! `MAYFLY_BIN=redis-server` runs all on one redis-server instead.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

#[path = "../cluster/client.rs"]
#[allow(dead_code, reason = "the suite of clusters uses the rest")]
mod client;
#[path = "../cluster/cluster.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "the suite of clusters uses the rest")]
mod cluster;
mod output;
#[path = "../cluster/process.rs"]
#[allow(dead_code, reason = "the suite of clusters uses the rest")]
mod process;
mod run;
mod skipped;
#[path = "../cluster/wait.rs"]
#[allow(dead_code, reason = "the suite of clusters uses the rest")]
mod wait;

use cluster::Layout;
use run::{Through, suite};

#[test]
fn the_suite_passes_through_the_leader() {
    suite(Layout::Folded, Through::Leader);
}

#[test]
fn the_suite_passes_through_a_follower() {
    suite(Layout::Split, Through::Follower);
}
