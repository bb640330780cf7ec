//! The program: reads the command line, runs what it asks for.

use std::process::ExitCode;

use clap::Parser;
use mayfly_loadgen::cli::BenchOptions;
use mayfly_loadgen::failover::FailoverOptions;
use mayfly_loadgen::{bench, failover};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    // Not one of clap's subcommands: everything else that stands there is a command of the user's
    // own, as it is for redis-benchmark.
    let outcome = if arguments.nth(1).is_some_and(|first| first == "failover") {
        let words = std::iter::once("mayfly-loadgen failover".into()).chain(arguments);
        failover::run(&FailoverOptions::parse_from(words)).map_err(|error| error.to_string())
    } else {
        bench::run(&BenchOptions::parse()).map_err(|error| error.to_string())
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mayfly-loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}
