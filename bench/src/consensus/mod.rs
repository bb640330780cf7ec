//! The core beside the `raft` crate (raft-rs): what one replicated entry costs either of them.
//!
//! Three replicas of each run on one thread, with the messages handed over as they are: no codec,
//! no network, no disk, no engine. One round is the proposals of one pass, their replication to
//! both followers and their commit, until nobody has anything to say. Both get the same payload by
//! reference, the same bounds on messages and windows, pre-vote and check-quorum, a log in memory
//! that is compacted alike, and a clock that moves alike. The two are measured in turns, so that
//! what disturbs the machine for a while disturbs both.

pub mod own;
mod reference;

use std::time::Duration;

use clap::Args;

use crate::machine;
use crate::process::ProcessError;
use crate::repeat::{in_turns, nanoseconds_each};
use crate::stats::Summary;
use crate::table::Table;

#[derive(Args)]
pub struct Options {
    /// Repetitions of each measurement
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Milliseconds of one repetition
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    millis: u64,
}

/// Entries per round, bytes of their payload.
const SHAPES: [(u64, usize); 5] = [(1, 64), (16, 64), (256, 64), (1024, 64), (1, 64 << 10)];

/// Rounds in one millisecond of the replicas' clock: a time that passes, but slowly enough that the
/// heartbeats do not count.
const ROUNDS_PER_MILLISECOND: u64 = 200;

/// Entries that stay in the logs when they are compacted.
const LOG_ENTRIES: u64 = 10_000;

pub fn run(options: &Options) -> Result<(), ProcessError> {
    println!("{}, {}", machine::describe(), machine::date());
    println!("3 replicas on one thread, ns per entry, medians of {} turns", options.rounds);
    let mut table =
        Table::new(&["entries per round", "mayfly", "min-max", "raft 0.7", "min-max", "ratio"]);
    for (entries, bytes) in SHAPES {
        let [own, reference] = measure(options, entries, bytes)?;
        table.push(row(&name(entries, bytes), own, reference));
    }
    print!("{}", table.to_text());
    Ok(())
}

fn measure(options: &Options, entries: u64, bytes: usize) -> Result<[Summary; 2], ProcessError> {
    let length = Duration::from_millis(options.millis);
    let mut own = own::Trio::new(bytes);
    let mut reference = reference::Trio::new(bytes);
    let summaries = {
        let mut own = || nanoseconds_each(length, entries, &mut || own.round(entries));
        let mut reference = || nanoseconds_each(length, entries, &mut || reference.round(entries));
        in_turns(options.rounds, [&mut own, &mut reference])?
    };
    own.check();
    reference.check();
    Ok(summaries)
}

fn name(entries: u64, bytes: usize) -> String {
    match bytes {
        ..1024 => format!("{entries} of {bytes} B"),
        _ => format!("{entries} of {} KiB", bytes >> 10),
    }
}

/// The ratio is how many times as long the other takes.
fn row(name: &str, own: Summary, reference: Summary) -> Vec<String> {
    let spread = |summary: Summary| format!("{:.0}-{:.0}", summary.min, summary.max);
    vec![
        name.to_owned(),
        format!("{:.0}", own.median),
        spread(own),
        format!("{:.0}", reference.median),
        spread(reference),
        format!("{:.1}", reference.median / own.median),
    ]
}

#[test]
fn a_row_tells_medians_spreads_and_how_many_times_as_long_the_other_takes() {
    let own = Summary { median: 200.0, min: 190.4, max: 260.0 };
    let reference = Summary { median: 1300.0, min: 1299.6, max: 1400.0 };
    let row = row(&name(1, 64 << 10), own, reference);
    assert_eq!(row, ["1 of 64 KiB", "200", "190-260", "1300", "1300-1400", "6.5"]);
    assert_eq!(name(256, 64), "256 of 64 B");
}

/// Both sides do the same work: as many entries through all three replicas. `check` asserts it.
#[test]
fn both_sides_replicate_every_entry_to_everybody() {
    for (entries, bytes) in SHAPES {
        let (mut own, mut reference) = (own::Trio::new(bytes), reference::Trio::new(bytes));
        for _ in 0..3 * LOG_ENTRIES / entries.max(100) {
            own.round(entries);
            reference.round(entries);
        }
        own.check();
        reference.check();
    }
}
