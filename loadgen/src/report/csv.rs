//! The CSV of redis-benchmark, column for column.

use super::{Outcome, ms};

pub const HEADER: &str = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\
    \"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"";

pub fn row(outcome: &Outcome) -> String {
    let histogram = &outcome.measured.totals.latencies.response;
    let quantile = |quantile| ms(histogram.value_at_quantile(quantile));
    let numbers = [
        histogram.mean() / 1e3,
        ms(histogram.min()),
        quantile(0.5),
        quantile(0.95),
        quantile(0.99),
        ms(histogram.max()),
    ];
    let title = outcome.title.replace('"', "\"\"");
    let numbers = numbers.map(|number| format!("\"{number:.3}\"")).join(",");
    format!("\"{title}\",\"{:.2}\",{numbers}", outcome.measured.rate())
}
