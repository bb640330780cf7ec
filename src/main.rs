//! Parse, validate, prepare, start, wait for the end.

use std::env;
use std::fmt::Display;
use std::process::ExitCode;

use mayfly::config::NodeConfig;
use mayfly::config::cli::{self, CliError, Command};
use mayfly::local;
use mayfly::node::{self, preflight};
use mayfly::signals::Signals;

/// Keys and values are many allocations of all sizes, and glibc's malloc would keep what they
/// leave.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse(env::args_os()) {
        Ok(Command::Node(config)) => match run_node(*config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => refusal,
        },
        Ok(Command::Local(config)) => match local::run(&config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&error),
        },
        Err(CliError::Answer(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&error),
    }
}

fn run_node(config: NodeConfig) -> Result<(), ExitCode> {
    let signals = Signals::of_stop().map_err(|error| refuse(&error))?;
    let prepared = preflight::prepare(config).map_err(|error| refuse(&error))?;
    node::run(prepared, &signals).map_err(|error| refuse(&error))?;
    // Executors end with the process: tearing them down has known faults.
    std::process::exit(0)
}

/// One line that says what to do.
fn refuse(error: &dyn Display) -> ExitCode {
    eprintln!("mayfly: {error}");
    ExitCode::FAILURE
}
