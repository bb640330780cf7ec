//! Real clusters of real processes on loopback: what users rely on, seen from outside.
//!
//! The server under test is `MAYFLY_BIN`, else the binary that cargo built for this test.
//! `MAYFLY_BIN=redis-server` puts a redis-server in its place, as "three nodes" that are one: the
//! tests of plain Redis behaviour must pass on it too, the others pass it by.
//!
//! One cluster runs at a time, since several would take each other's CPU and turn time limits into
//! chance. Nothing sleeps for a fixed time: every wait is for a condition, with a deadline.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

mod acl;
mod addresses;
mod administration;
mod blocking;
mod chaos;
mod client;
mod cluster;
mod eviction;
mod history;
mod import;
mod limits;
mod links;
mod local;
mod membership;
mod migrate;
mod notifications;
mod observer;
mod observing;
mod process;
mod protocol;
mod pubsub;
mod recovery;
mod replication;
mod rolling;
mod scripts;
mod sentinel;
mod settings;
mod snapshot;
mod start;
mod stop;
mod survival;
mod tools;
mod tracking;
mod transactions;
mod wait;
