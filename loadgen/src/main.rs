//! The program: reads the command line, runs what it asks for.

use std::process::ExitCode;

use clap::Parser;
use mayfly_loadgen::bench;
use mayfly_loadgen::cli::BenchOptions;

fn main() -> ExitCode {
    match bench::run(&BenchOptions::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mayfly-loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}
