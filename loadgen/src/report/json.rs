//! The results as JSON, for programs. Latencies are milliseconds, times seconds since the measuring
//! began.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{Outcome, Run, ms};
use crate::collect::Bucket;
use crate::load::Pace;
use crate::subscribers::Deliveries;
use crate::verify::Verified;

const QUANTILES: [(&str, f64); 8] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
    ("p99.999", 0.99999),
];

pub fn value(run: &Run<'_>) -> Value {
    let facts: Vec<Value> = run
        .environment
        .facts
        .iter()
        .map(|(name, text)| json!({"name": name, "value": text}))
        .collect();
    let tests: Vec<Value> = run.outcomes.iter().map(test).collect();
    json!({ "environment": facts, "tests": tests })
}

fn test(outcome: &Outcome) -> Value {
    let (load, measured) = (&outcome.load, &outcome.measured);
    let totals = &measured.totals;
    let errors: serde_json::Map<String, Value> =
        totals.errors.iter().map(|(code, count)| (code.to_owned(), json!(count))).collect();
    let seconds = |ns: u64| ns as f64 / 1e9;
    let outages = outcome.outages();
    let outages: Vec<Value> = outages
        .iter()
        .map(|outage| {
            json!({
                "start_s": seconds(outage.start_ns),
                "end_s": outage.end_ns.map(seconds),
                "length_s": seconds(outage.len_ns(measured.elapsed_ns)),
            })
        })
        .collect();
    let marks: Vec<Value> = outcome
        .marks()
        .into_iter()
        .map(|(mark, outage)| {
            let length = outage.map(|outage| seconds(outage.len_ns(measured.elapsed_ns)));
            json!({"at_s": seconds(mark.at_ns), "label": mark.label, "outage_s": length})
        })
        .collect();
    let finishes = &totals.finishes;
    let arrival = match load.pace {
        Pace::AnswerDriven => Value::Null,
        Pace::Rate { arrival, .. } => json!(format!("{arrival:?}").to_lowercase()),
    };
    json!({
        "title": outcome.title,
        "load": {
            "clients": load.clients, "threads": load.threads, "pipeline": load.pipeline,
            "rate": measured.asked_rate, "arrival": arrival, "keys": load.keys.count,
            "warmup_s": load.warmup.as_secs_f64(),
        },
        "seconds": measured.seconds(),
        "rps": measured.rate(),
        "ok": totals.ok,
        "nil": totals.nil,
        "errors": errors,
        "connect_failures": totals.connect_failures,
        "backlog_max": totals.backlog_max,
        "unsent": finishes.iter().map(|finish| finish.unsent).sum::<u64>(),
        "unanswered": finishes.iter().map(|finish| finish.unanswered).sum::<u64>(),
        "first_error": first_error(outcome),
        "interrupted": measured.was_interrupted,
        "response_ms": latency(&totals.latencies.response),
        "service_ms": totals.latencies.service.as_ref().map(latency),
        "generator_cpu_us": outcome.cost.generator_us,
        "servers_cpu_us": outcome.cost.servers_us,
        "verified": outcome.verified.as_ref().map(verified),
        "deliveries": outcome.deliveries.as_ref().map(deliveries),
        "marks": marks,
        "outages": outages,
        "warnings": outcome.warnings,
        "bucket_s": seconds(totals.bucket_ns),
        "timeline": timeline(&totals.timeline),
    })
}

fn verified(found: &Verified) -> Value {
    json!({
        "acknowledged": found.acked,
        "unknown": found.unknown,
        "lost": found.faults.lost,
        "doubled": found.faults.doubled,
        "stale_reads": found.faults.stale,
        "untold": found.untold,
    })
}

fn deliveries(found: &Deliveries) -> Value {
    json!({
        "subscribers": found.subscribers,
        "received": found.received,
        "connections_lost": found.lost,
        "latency_ms": latency(&found.latency),
    })
}

pub fn first_error(outcome: &Outcome) -> Option<&str> {
    outcome.measured.totals.finishes.iter().find_map(|finish| finish.first_error.as_deref())
}

fn latency(histogram: &Histogram<u64>) -> Value {
    let mut fields: serde_json::Map<String, Value> = QUANTILES
        .iter()
        .map(|(name, quantile)| {
            ((*name).to_owned(), json!(ms(histogram.value_at_quantile(*quantile))))
        })
        .collect();
    for (name, value) in [
        ("min", ms(histogram.min())),
        ("max", ms(histogram.max())),
        ("mean", histogram.mean() / 1e3),
        ("stdev", histogram.stdev() / 1e3),
    ] {
        fields.insert(name.to_owned(), json!(value));
    }
    fields.insert("spectrum".to_owned(), json!(spectrum(histogram)));
    Value::Object(fields)
}

/// Pairs of a quantile and its latency, enough for a plot.
fn spectrum(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let steps = histogram.iter_quantiles(5);
    steps.map(|step| (step.quantile_iterated_to(), ms(step.value_iterated_to()))).collect()
}

/// Columns, each with one number per bucket.
fn timeline(buckets: &[Bucket]) -> Value {
    let column = |of: fn(&Bucket) -> u64| buckets.iter().map(of).collect::<Vec<u64>>();
    let latency =
        |of: fn(&Bucket) -> u64| buckets.iter().map(|bucket| ms(of(bucket))).collect::<Vec<f64>>();
    let mut codes: Vec<&str> =
        buckets.iter().flat_map(|bucket| bucket.errors.iter().map(|(code, _)| code)).collect();
    codes.sort_unstable();
    codes.dedup();
    let errors: serde_json::Map<String, Value> = codes
        .into_iter()
        .map(|code| {
            let count = |bucket: &Bucket| {
                bucket.errors.iter().find(|(other, _)| *other == code).map_or(0, |(_, count)| count)
            };
            (code.to_owned(), json!(buckets.iter().map(count).collect::<Vec<u64>>()))
        })
        .collect();
    json!({
        "ok": column(|bucket| bucket.ok),
        "errors": errors,
        "connect_failures": column(|bucket| bucket.connect_failures),
        "backlog": column(|bucket| bucket.backlog_max),
        "p50_ms": latency(|bucket| bucket.p50_us),
        "p99_ms": latency(|bucket| bucket.p99_us),
        "max_ms": latency(|bucket| bucket.max_us),
    })
}
