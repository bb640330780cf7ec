//! LATENCY: what took long on this node, by event, and how long commands run.

use std::fmt::Write;

use super::{
    Arguments, NodeView, Outcome, ReportUse, Session, excerpt, failure, help, report, statistics,
    subcommand, unknown_subcommand,
};
use crate::engine::command::NodeCommand;
use crate::engine::error::CommandError;
use crate::engine::reply::Reply;
use crate::node::clock::unix_seconds;
use crate::node::observe::latency::{
    COMMAND, EVICTION_CYCLE, EXPIRE_CYCLE, Event, FAST_COMMAND, RAFT_COMMIT, SNAPSHOT_INSTALL,
};
use crate::node::report::EngineReport;

pub fn run(
    words: Arguments<'_, '_>,
    session: &mut Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let (name, arguments) = subcommand(NodeCommand::Latency, words, session)?;
    match (name, arguments) {
        ("latest", _) => latest(view, reply),
        ("history", [event]) => history(event, view, reply),
        ("graph", [event]) => graph(event, view, reply)?,
        ("doctor", _) => reply.verbatim(&doctor(view)),
        ("reset", []) => reply.count(view.shared.observed.latency().reset_all()),
        ("reset", events) => {
            let mut latency = view.shared.observed.latency();
            reply.count(events.iter().filter(|event| latency.reset(event)).count());
        }
        ("histogram", names) => {
            let names = names.iter().map(|name| String::from_utf8_lossy(name).to_lowercase());
            return Ok(report(ReportUse::LatencyHistogram { names: names.collect() }));
        }
        ("help", _) => help(reply, "LATENCY", HELP),
        _ => return Err(unknown_subcommand(words)),
    }
    Ok(Outcome::Replied)
}

fn latest(view: &NodeView<'_>, reply: &mut Reply) {
    let latency = view.shared.observed.latency();
    reply.array(latency.events().count());
    for (name, event) in latency.events() {
        let last = event.latest();
        reply.array(4);
        reply.bulk(name.as_bytes());
        reply.integer(last.seconds as i64);
        reply.integer(last.ms as i64);
        reply.integer(event.worst_ms() as i64);
    }
}

fn history(name: &[u8], view: &NodeView<'_>, reply: &mut Reply) {
    let latency = view.shared.observed.latency();
    let Some((_, event)) = latency.event(name) else { return reply.array(0) };
    reply.array(event.samples().len());
    for sample in event.samples() {
        reply.array(2);
        reply.integer(sample.seconds as i64);
        reply.integer(sample.ms as i64);
    }
}

fn graph(name: &[u8], view: &NodeView<'_>, reply: &mut Reply) -> Result<(), CommandError> {
    let latency = view.shared.observed.latency();
    let Some((name, event)) = latency.event(name) else {
        let name = excerpt(name, name.len());
        return Err(failure(format!("ERR No samples available for event '{name}'")));
    };
    reply.verbatim(&event.graph(name, unix_seconds()));
    Ok(())
}

/// What an operator may look at first.
fn doctor(view: &NodeView<'_>) -> String {
    let threshold = view.settings.get("latency-monitor-threshold");
    if threshold == "0" {
        return "Latency is not watched on this node: CONFIG SET latency-monitor-threshold <ms> \
                makes it remember what takes longer.\n"
            .to_owned();
    }
    let latency = view.shared.observed.latency();
    if latency.events().next().is_none() {
        return format!("Nothing took {threshold} ms or longer since latency is watched.\n");
    }
    let mut text = format!("What took {threshold} ms or longer on this node:\n");
    for (name, event) in latency.events() {
        text.push_str(&diagnosis(name, event));
    }
    text
}

fn diagnosis(name: &str, event: &Event) -> String {
    let mut text = String::new();
    let (count, mean, worst) = (event.samples().len(), event.mean_ms(), event.worst_ms());
    let last = event.latest();
    writeln!(
        text,
        "\n{name}: {count} seconds with a spike, {mean} ms on average, {worst} ms at worst; the \
         last one took {} ms ({} s ago).",
        last.ms,
        unix_seconds().saturating_sub(last.seconds),
    )
    .expect("invariant: a String takes what is written");
    let advice = match name {
        COMMAND => {
            "SLOWLOG GET names slow commands of this node's clients. Commands over many elements, \
             such as KEYS, SORT or large ranges, hold up all others on all nodes."
        }
        FAST_COMMAND => {
            "Commands that do little took long: the process lacked its CPU or its memory. See \
             tuning/README.md, and whether the machine swaps or is shared."
        }
        EXPIRE_CYCLE => {
            "Many keys were due at once. Spread their times of expiry with a random part."
        }
        EVICTION_CYCLE => {
            "Choosing keys to evict took long: lower maxmemory-samples, or look at the load of the \
             machine."
        }
        RAFT_COMMIT => {
            "A majority of the voters took long to take writes: look at the network between the \
             nodes, at their load, and at INFO raft for changes of the leader."
        }
        SNAPSHOT_INSTALL => "This node was so far behind that it was sent the whole state.",
        _ => return text,
    };
    text.push_str(advice);
    text.push('\n');
    text
}

/// LATENCY HISTOGRAM: of all commands, or of those named; a container stands for its subcommands.
pub fn histogram(names: &[String], engine: &EngineReport, view: &NodeView<'_>, reply: &mut Reply) {
    let counted = statistics::counted(engine, view);
    let is_asked = |name: &str| {
        let container = name.split('|').next().unwrap_or(name);
        names.is_empty() || names.iter().any(|asked| asked == name || asked == container)
    };
    let found: Vec<_> = counted.timed().filter(|(name, _)| is_asked(name)).collect();
    reply.map(found.len());
    for (name, histogram) in found {
        reply.bulk(name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(histogram.total() as i64);
        reply.bulk(b"histogram_usec");
        let counts = histogram.cumulative();
        reply.map(counts.len());
        for (micros, count) in counts {
            reply.integer(micros as i64);
            reply.integer(count as i64);
        }
    }
}

const HELP: &[&str] = &[
    "DOCTOR",
    "    Explains what took long.",
    "GRAPH <event>",
    "    Draws what an event took, by time.",
    "HISTOGRAM [<command> ...]",
    "    Tells how long commands ran: how many within each number of microseconds.",
    "HISTORY <event>",
    "    Tells what an event took: Unix time and milliseconds, the worst of each second.",
    "LATEST",
    "    Tells of each event its last time, latency and worst latency.",
    "RESET [<event> ...]",
    "    Forgets these events, or all.",
    "HELP",
    "    Prints this help.",
];
