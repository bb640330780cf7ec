//! Consensus alone: the core's three replicas on one thread.

use crate::consensus::own::Trio;
use crate::process::ProcessError;

use super::{Bench, Measurement};

const ENTRIES_PER_ROUND: [u64; 4] = [1, 16, 256, 1024];
const PAYLOAD_BYTES: usize = 64;

pub fn run(bench: &mut Bench<'_>) -> Result<(), ProcessError> {
    for entries in ENTRIES_PER_ROUND {
        let mut trio = Trio::new(PAYLOAD_BYTES);
        let name = format!("core, 3 replicas, {entries} entries of {PAYLOAD_BYTES} B per round");
        let mut work = || trio.round(entries);
        bench.measure(Measurement { name, units: entries, work: &mut work })?;
        trio.check();
    }
    Ok(())
}
