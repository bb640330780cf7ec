//! The scenarios that a Raft implementation must survive, each under the name by which the authors
//! of etcd and raft-rs know it: `names.tsv` says which test stands for which name.
//!
//! Each scenario tells a short story to a few members of an in-memory [`network`], in which a
//! message is lost, late or out of order when the story says so and never otherwise. Only the
//! public interface of the core is used, so that the scenarios outlive any change inside it.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

mod commit;
mod disruption;
mod election;
mod flow;
mod identity;
mod members;
mod membership;
mod messages;
mod names;
mod network;
mod quorums;
mod reads;
mod replication;
mod snapshots;
mod succession;
mod transfer;
