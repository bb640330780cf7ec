//! Measures Mayfly: beside redis-server (`compare`), while a node joins or the log is compacted
//! (`join`), through the loss of a node (`failover`), part by part (`micro`), its consensus
//! beside that of the `raft` crate (`core`), what data takes in memory (`memory`), and its load
//! generator beside redis-benchmark (`generator`).
//!
//! `compare`, `join`, `failover` and `memory` measure from outside, over the client port, as any
//! user of the server would. All processes that they start are stopped when they end, however they
//! end.

mod client;
mod cluster;
mod compare;
mod consensus;
mod failover;
mod fill;
mod footprint;
mod generator;
mod interrupt;
mod join;
mod machine;
mod memory;
mod meter;
mod micro;
mod probe;
mod process;
mod redis_benchmark;
mod repeat;
mod server;
mod stats;
mod table;
mod time;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Drive a local cluster and redis-server with redis-benchmark, in turns, and compare
    Compare(compare::Options),
    /// Have a fresh node join a loaded cluster, beside a redis-server replica's full sync
    Join(join::Options),
    /// Kill, stop and pause nodes under counting clients and measure the pauses
    Failover(failover::Options),
    /// Measure consensus, parsing and the keyspace by themselves
    Micro(micro::Options),
    /// Measure the consensus core and the `raft` crate in turns: ns per entry, 3 replicas, 1 thread
    Core(consensus::Options),
    /// Memory that data takes, per key and per member, in one node and in redis-server
    Memory(footprint::Options),
    /// CPU time per request of mayfly-loadgen and of redis-benchmark on the same servers, in turns
    Generator(generator::Options),
}

fn main() -> ExitCode {
    interrupt::listen();
    let outcome = match Arguments::parse().command {
        Command::Compare(options) => compare::run(&options).map_err(|error| error.to_string()),
        Command::Join(options) => join::run(&options).map_err(|error| error.to_string()),
        Command::Failover(options) => failover::run(&options).map_err(|error| error.to_string()),
        Command::Micro(options) => micro::run(&options).map_err(|error| error.to_string()),
        Command::Core(options) => consensus::run(&options).map_err(|error| error.to_string()),
        Command::Memory(options) => footprint::run(&options).map_err(|error| error.to_string()),
        Command::Generator(options) => generator::run(&options).map_err(|error| error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
