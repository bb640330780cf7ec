//! A load generator for servers that speak the Redis protocol, which shows what their users see:
//! also when a server stalls, and through a failover.
//!
//! redis-benchmark waits for a reply before it sends again. When a server stalls for two seconds,
//! 50 connections see 50 slow requests, and the thousands that users would have sent meanwhile are
//! in no percentile: coordinated omission. With a rate this generator is an open loop instead:
//! requests are due at their times whatever the server does, and latency counts from then. The
//! time from when a request was sent (service time) stands beside it, so that both can be compared.
//!
//! # Code map
//!
//! - [`worker`]: one loading thread, pass by pass over a ring of sockets (`mayfly::net::ring`),
//!   and its connections ([`client`]). With [`template`] (requests encoded once), [`keys`],
//!   [`schedule`] (when requests are due), [`reply`] (where replies end), [`record`] (what is
//!   measured, bucket by bucket).
//! - [`run`]: the threads, the events, the interrupts of one run; [`collect`]: their sums.
//! - [`verify`]: whether acknowledged writes are kept, run once, and seen.
//! - [`history`]: what was sent and answered, for a checker of linearizability.
//! - [`subscribers`]: what becomes of messages.
//! - [`outage`]: times without success, and the events before them.
//! - [`environment`], [`server`]: where it was measured, and what makes it doubtful.
//! - [`report`]: text, CSV, JSON, HdrHistogram's files, the page.
//! - [`sweep`]: several rates in one run.
//! - [`cli`], [`suite`], [`workloads`], [`values`], [`load`], [`bench`]: from the command line to
//!   a load.
//!   [`failover`] is the one for a cluster of its own ([`cluster`]).
//!
//! # Invariants
//!
//! - Each reply is recorded once, in the bucket of time in which it came; all sums are of buckets.
//! - Only successes have a latency. Errors are counted by code; a request whose connection was lost
//!   is an error; requests that were never sent or answered are told apart from both.
//! - What is queued is bounded: requests on their way by connections times the pipeline, those that
//!   wait by being counted instead of stored.

pub mod bench;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod collect;
pub mod environment;
pub mod failover;
pub mod history;
pub mod keys;
pub mod load;
pub mod outage;
pub mod record;
pub mod reply;
pub mod report;
pub mod run;
pub mod schedule;
pub mod server;
pub mod subscribers;
pub mod suite;
pub mod sweep;
pub mod template;
pub mod values;
pub mod verify;
pub mod worker;
pub mod workloads;
