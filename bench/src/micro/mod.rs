//! The parts of a node one by one, on one thread, without sockets: what each costs by itself.
//!
//! Each measurement is repeated; the median and the spread of the repetitions are shown. Nothing is
//! allocated or made up inside a measured stretch that a node would not do there too.

mod apply;
mod core;
mod parse;

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::machine;
use crate::process::ProcessError;
use crate::repeat::{in_turns, nanoseconds_each};
use crate::stats::Summary;
use crate::table::Table;

#[derive(Args)]
pub struct Options {
    /// Which parts
    #[arg(value_delimiter = ',', default_value = "core,parse,apply")]
    parts: Vec<Part>,
    /// Repetitions of each measurement
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Milliseconds of one repetition
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    millis: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Consensus: three replicas, from proposal to commit on all of them
    Core,
    /// RESP requests
    Parse,
    /// Commands on the keyspace
    Apply,
}

/// What is measured again and again, and how its result is counted.
struct Measurement<'a> {
    name: String,
    /// Units of work in one call of `work`: entries, requests, commands.
    units: u64,
    work: &'a mut dyn FnMut(),
}

/// Collects measurements in a table.
struct Bench<'a> {
    options: &'a Options,
    table: Table,
}

impl Bench<'_> {
    fn measure(&mut self, measurement: Measurement<'_>) -> Result<(), ProcessError> {
        let Measurement { name, units, work } = measurement;
        let length = Duration::from_millis(self.options.millis);
        let mut sample = || nanoseconds_each(length, units, work);
        let [Summary { median, min, max }] = in_turns(self.options.rounds, [&mut sample])?;
        self.table.push(vec![
            name,
            format!("{median:.0}"),
            format!("{min:.0}-{max:.0}"),
            format!("{:.2}", median * units as f64 / 1e3),
        ]);
        Ok(())
    }
}

pub fn run(options: &Options) -> Result<(), ProcessError> {
    println!("{}, {}", machine::describe(), machine::date());
    let table = Table::new(&["part", "ns each", "min-max", "µs per call"]);
    let mut bench = Bench { options, table };
    for part in &options.parts {
        match part {
            Part::Core => core::run(&mut bench)?,
            Part::Parse => parse::run(&mut bench)?,
            Part::Apply => apply::run(&mut bench)?,
        }
    }
    print!("{}", bench.table.to_text());
    Ok(())
}
