//! Redis's own test suite, unmodified, on a cluster of three.
//!
//! The suite is that of Redis 7.0, in Tcl. `tests/run install` fetches it into
//! `target/redis-suite`; nothing of it lies here. It is told that it tests an external server, and
//! each of its units goes to one node of the cluster: by turns the leader and a follower. What it
//! leaves out for any external server is left out here, too; what else is left out stands in
//! `skipped.txt`, with the reason. A test that fails, and a row of that list without a test, fail
//! this one.
//!
//! | Variable | Effect |
//! |---|---|
//! | `MAYFLY_SUITE` | folder of the suite, instead of `target/redis-suite` |
//! | `MAYFLY_SUITE_UNITS=unit/dump,unit/scan` | only these units |
//! | `MAYFLY_SUITE_NODE=leader`, `=follower` | all units through this node |
//! | `MAYFLY_SUITE_LISTED=1` | runs the tests of the list, too, and fails where one passes |
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
mod own;
#[path = "../cluster/process.rs"]
#[allow(dead_code, reason = "the suite of clusters uses the rest")]
mod process;
mod run;
mod skipped;
#[path = "../cluster/wait.rs"]
#[allow(dead_code, reason = "the suite of clusters uses the rest")]
mod wait;

#[test]
fn the_suite_passes() {
    run::suite();
}
