//! MEMORY, but for USAGE: what the process takes, as the kernel tells.

use super::{
    Arguments, NodeView, Outcome, ReportUse, Session, help, proc, report, subcommand,
    unknown_subcommand,
};
use crate::engine::command::NodeCommand;
use crate::engine::error::CommandError;
use crate::engine::reply::Reply;
use crate::node::report::{EngineReport, RaftReport};
use crate::sys;

pub fn run(
    words: Arguments<'_, '_>,
    session: &mut Session,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    match subcommand(NodeCommand::Memory, words, session)?.0 {
        "doctor" => return Ok(report(ReportUse::MemoryDoctor)),
        "stats" => return Ok(report(ReportUse::MemoryStats)),
        "help" => help(reply, "MEMORY", HELP),
        // Redis's words for an allocator of which it knows nothing.
        "malloc-stats" => reply.bulk(b"Stats not supported for the current allocator"),
        "purge" => {
            sys::give_memory_back();
            reply.ok();
        }
        _ => return Err(unknown_subcommand(words)),
    }
    Ok(Outcome::Replied)
}

/// MEMORY STATS, as far as it is known: the fields of Redis that tell of its own allocator, buffers
/// and tables are left out.
pub fn stats(raft: &RaftReport, engine: &EngineReport, reply: &mut Reply) {
    let memory = proc::memory();
    let keys: usize = engine.databases.iter().map(|database| database.keys).sum();
    let log_bytes = raft.status.as_ref().map_or(0, |status| status.log_bytes);
    let data = memory.resident.saturating_sub(log_bytes as u64);
    let integers = [
        ("peak.allocated", memory.resident_peak),
        ("total.allocated", memory.resident),
        // The log of consensus is what a follower that was away is fed from.
        ("replication.backlog", log_bytes as u64),
        ("keys.count", keys as u64),
        ("keys.bytes-per-key", data.checked_div(keys as u64).unwrap_or(0)),
    ];
    reply.map(integers.len() + 1);
    for (name, value) in integers {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    }
    reply.bulk(b"peak.percentage");
    reply.double(memory.resident as f64 * 100.0 / (memory.resident_peak.max(1)) as f64);
}

/// Below this nothing is worth a diagnosis.
const SMALL_BYTES: u64 = 64 << 20;

/// MEMORY DOCTOR
pub fn doctor(raft: &RaftReport, view: &NodeView<'_>, reply: &mut Reply) {
    let memory = proc::memory();
    let log_bytes = raft.status.as_ref().map_or(0, |status| status.log_bytes) as u64;
    let findings = &view.shared.findings;
    reply.verbatim(&diagnosis(memory, log_bytes, findings));
}

fn diagnosis(memory: proc::Memory, log_bytes: u64, findings: &[&'static str]) -> String {
    let mut text = String::new();
    let mut add = |line: String| text += &format!(" * {line}\n");
    if memory.resident > SMALL_BYTES {
        if memory.resident_peak > memory.resident / 2 * 3 {
            add(format!(
                "The process once took {} bytes, {} now: a peak is behind it.",
                memory.resident_peak, memory.resident
            ));
        }
        if log_bytes > memory.resident / 2 {
            add(format!(
                "The log takes {log_bytes} bytes, more than the data: lower \
                 raft.log-max-cache-size if that is too much."
            ));
        }
        if memory.system > 0 && memory.resident > memory.system / 10 * 9 {
            add("Nearly all memory of the machine is taken.".to_owned());
        }
    }
    for finding in findings {
        add(format!("A setting of the machine is not as it should be: {finding}."));
    }
    match text.is_empty() {
        true => "No trouble was found with the memory of this node.\n".to_owned(),
        false => format!("Found with the memory of this node:\n{text}"),
    }
}

const HELP: &[&str] = &[
    "DOCTOR",
    "    Tells what is wrong with the memory of the node.",
    "MALLOC-STATS",
    "    Tells what the allocator counts: nothing.",
    "PURGE",
    "    Gives back to the system what has been free for a second.",
    "STATS",
    "    Tells what takes the memory of the node.",
    "USAGE <key> [SAMPLES <count>]",
    "    Tells about how many bytes <key> and its value take.",
    "HELP",
    "    Prints this help.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_names_what_is_wrong_and_nothing_else() {
        let memory =
            |resident, resident_peak| proc::Memory { resident, resident_peak, system: 1 << 40 };
        let healthy = diagnosis(memory(1 << 30, 1 << 30), 1 << 20, &[]);
        assert_eq!(healthy, "No trouble was found with the memory of this node.\n");
        assert_eq!(diagnosis(memory(1 << 20, 1 << 30), 1 << 20, &[]), healthy, "too small to tell");
        let text = diagnosis(memory(1 << 30, 1 << 32), 1 << 29 | 1, &["swap"]);
        assert_eq!(text.lines().count(), 4, "{text}");
        let full = proc::Memory { resident: 1 << 30, resident_peak: 1 << 30, system: 1 << 30 };
        assert!(diagnosis(full, 0, &[]).contains("Nearly all memory"));
    }
}
