//! The sections of INFO on commands: how often each was called, how long it ran, which errors came.
//!
//! The engine counts what it runs, for clients of all nodes; the net roles what they run and refuse
//! themselves.

use super::{NodeView, info::Fields};
use crate::config::percentiles;
use crate::engine::command::stat_name;
use crate::engine::histogram::Histogram;
use crate::node::observe::counts::{Counted, add_histograms};
use crate::node::report::EngineReport;

/// All that was counted on this node.
pub fn counted(engine: &EngineReport, view: &NodeView<'_>) -> Counted {
    let mut counted = view.shared.observed.counts();
    for (sum, stats) in counted.commands.iter_mut().zip(&engine.commands) {
        sum.add(stats);
    }
    add_histograms(&mut counted.histograms, &engine.histograms);
    for (code, count) in &engine.errors {
        *counted.errors.entry(code.clone()).or_default() += count;
    }
    counted.total_errors += engine.total_errors;
    counted
}

impl Counted {
    /// The commands that were timed.
    pub fn timed(&self) -> impl Iterator<Item = (String, &Histogram)> {
        let timed = self.histograms.iter().enumerate();
        timed.filter_map(|(slot, one)| Some((stat_name(slot), one.as_deref()?)))
    }
}

pub fn commands(counted: &Counted) -> Fields {
    let called = counted.commands.iter().enumerate();
    let called = called.filter(|(_, stats)| stats.calls + stats.rejected + stats.failed > 0);
    let line = |(slot, stats): (usize, &crate::engine::CommandStats)| {
        let micros = stats.nanos as f64 / 1000.0;
        let value = format!(
            "calls={},usec={},usec_per_call={:.2},rejected_calls={},failed_calls={}",
            stats.calls,
            stats.nanos / 1000,
            micros / stats.calls.max(1) as f64,
            stats.rejected,
            stats.failed
        );
        (format!("cmdstat_{}", stat_name(slot)), value)
    };
    called.map(line).collect()
}

pub fn latencies(counted: &Counted, view: &NodeView<'_>) -> Fields {
    let wanted = view.settings.get("latency-tracking-info-percentiles");
    let wanted = percentiles(&wanted).expect("invariant: the setting was checked");
    let line = |(name, histogram): (String, &Histogram)| {
        let micros = |percent: f64| histogram.percentile(percent) as f64 / 1000.0;
        let of = |percent: &f64| format!("p{percent}={:.3}", micros(*percent));
        let values: Vec<String> = wanted.iter().map(of).collect();
        (format!("latency_percentiles_usec_{name}"), values.join(","))
    };
    counted.timed().map(line).collect()
}

pub fn errors(counted: &Counted) -> Fields {
    let line =
        |(code, count): (&String, &u64)| (format!("errorstat_{code}"), format!("count={count}"));
    counted.errors.iter().map(line).collect()
}
