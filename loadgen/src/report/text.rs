//! The results for a terminal: redis-benchmark's words where it has them, and what it does not say.

use std::fmt::{self, Display, Formatter, Write};

use hdrhistogram::Histogram;

use super::{Outcome, json, ms};
use crate::collect::Interval;
use crate::environment::Environment;
use crate::load::{Connections, Pace};
use crate::outage::MarkKind;
use crate::subscribers::Deliveries;
use crate::verify::{Faults, Verified};

/// Columns of the longest bar.
const BAR_COLUMNS: f64 = 50.0;

/// The line of one test with `-q`.
pub fn quiet(outcome: &Outcome) -> String {
    let measured = &outcome.measured;
    let p50 = ms(measured.totals.latencies.response.value_at_quantile(0.5));
    let mut line =
        format!("{}: {:.2} requests per second, p50={p50:.3} msec", outcome.title, measured.rate());
    let errors = measured.totals.errors.total();
    if errors > 0 {
        let _infallible = write!(line, ", {errors} errors");
    }
    line
}

/// What each of several rates came to, a line each.
pub fn rates(outcomes: &[Outcome]) -> String {
    let mut table = format!(
        "{:>12} {:>12} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10}\n",
        "asked/s", "achieved/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "errors", "backlog"
    );
    for Outcome { measured, .. } in outcomes {
        let histogram = &measured.totals.latencies.response;
        let quantile = |quantile| ms(histogram.value_at_quantile(quantile));
        let asked =
            measured.asked_rate.map_or("as answered".to_owned(), |rate| format!("{rate:.0}"));
        let _infallible = writeln!(
            table,
            "{asked:>12} {:>12.0} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9} {:>10}",
            measured.rate(),
            quantile(0.5),
            quantile(0.99),
            quantile(0.999),
            ms(histogram.max()),
            measured.totals.errors.total(),
            measured.totals.backlog_max,
        );
    }
    table
}

/// The line of one second while the run goes on.
pub fn live(interval: &Interval) -> String {
    let histogram = &interval.latencies.response;
    let quantile = |quantile| ms(histogram.value_at_quantile(quantile));
    let seconds = interval.end_ns as f64 / 1e9;
    if histogram.is_empty() {
        let (errors, backlog) = (interval.errors, interval.backlog_max);
        return format!(
            "{seconds:8.1} s   nothing succeeded {errors:>5} errors   backlog {backlog}"
        );
    }
    let mut line = format!(
        "{seconds:8.1} s {:>10.0} req/s {:>7} errors   p50 {:.3}  p99 {:.3}  \
         p99.9 {:.3}  max {:.3} ms",
        interval.ok as f64 / interval.seconds(),
        interval.errors,
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        ms(histogram.max()),
    );
    if interval.latencies.service.is_some() {
        let _infallible = write!(line, "   backlog {}", interval.backlog_max);
    }
    if interval.connect_failures > 0 {
        let _infallible = write!(line, "   {} connects failed", interval.connect_failures);
    }
    line
}

/// Everything about one test.
pub struct Full<'a>(pub &'a Outcome);

impl Display for Full<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let outcome = self.0;
        head(f, outcome)?;
        let latencies = &outcome.measured.totals.latencies;
        if latencies.response.is_empty() {
            writeln!(f, "No request succeeded.\n")?;
        } else {
            percentiles(f, &latencies.response)?;
            histogram(f, &latencies.response)?;
        }
        summary(f, outcome)?;
        if let Some(found) = &outcome.deliveries {
            writeln!(f, "  {}", deliveries(found, outcome.measured.totals.ok))?;
        }
        if let Some(verification) = &outcome.verified {
            writeln!(f, "  {}", verified(verification))?;
        }
        marks(f, outcome)?;
        for warning in &outcome.warnings {
            writeln!(f, "WARNING: {warning}")?;
        }
        Ok(())
    }
}

fn head(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let (load, measured) = (&outcome.load, &outcome.measured);
    let answered = measured.totals.ok + measured.totals.errors.total();
    writeln!(f, "====== {} ======", outcome.title)?;
    writeln!(f, "  {answered} requests completed in {:.2} seconds", measured.seconds())?;
    writeln!(f, "  {} parallel clients", load.clients)?;
    writeln!(f, "  {} bytes payload", load.payload)?;
    let keep_alive = u8::from(load.connections == Connections::Kept);
    writeln!(f, "  keep alive: {keep_alive}")?;
    if let Some([save, appendonly]) = &outcome.persistence {
        writeln!(f, "  host configuration \"save\": {save}")?;
        writeln!(f, "  host configuration \"appendonly\": {appendonly}")?;
    }
    match load.threads {
        1 => writeln!(f, "  multi-thread: no")?,
        threads => writeln!(f, "  multi-thread: yes\n  threads: {threads}")?,
    }
    if let Pace::Rate { per_second, arrival } = load.pace {
        let arrival = format!("{arrival:?}").to_lowercase();
        writeln!(f, "  open loop: {per_second} requests per second, {arrival} arrival")?;
    }
    writeln!(f)
}

fn percentiles(f: &mut Formatter<'_>, histogram: &Histogram<u64>) -> fmt::Result {
    writeln!(f, "Latency by percentile distribution:")?;
    let least = histogram.min();
    let mut total = histogram.count_at(least);
    let mut line = |percentile: f64, value: u64, total: u64| {
        let value = ms(value);
        writeln!(f, "{percentile:.3}% <= {value:.3} milliseconds (cumulative count {total})")
    };
    let mut is_first = true;
    for step in histogram.iter_quantiles(1) {
        if is_first {
            line(0.0, least, total)?;
            total = 0;
            is_first = false;
        }
        total += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        if quantile > 0.0 {
            line(quantile * 100.0, step.value_iterated_to(), total)?;
        }
    }
    writeln!(f)
}

/// Bars over ranges that grow as 1, 2, 5, 10.
fn histogram(f: &mut Formatter<'_>, histogram: &Histogram<u64>) -> fmt::Result {
    let rows = rows(histogram);
    let most = rows.iter().map(|row| row.2).max().unwrap_or(1).max(1) as f64;
    writeln!(f, "Distribution of latencies:")?;
    for (from, to, count) in rows {
        let share = count as f64 / histogram.len() as f64 * 100.0;
        let bar = bar(count as f64 / most * BAR_COLUMNS);
        let (from, to) = (short(from), short(to));
        writeln!(f, "{from:>8} .. {to:>8} {share:>7.3}% {count:>10} {bar}")?;
    }
    writeln!(f)
}

/// Ranges in microseconds, from the one of the shortest latency to the one of the longest, and how
/// many latencies fall in each.
fn rows(histogram: &Histogram<u64>) -> Vec<(u64, u64, u64)> {
    let edges = std::iter::successors(Some(1u64), |edge| edge.checked_mul(10))
        .take(9)
        .flat_map(|decade| [decade, decade * 2, decade * 5]);
    let edges: Vec<u64> = edges.collect();
    let mut rows: Vec<(u64, u64, u64)> =
        edges.windows(2).map(|pair| (pair[0], pair[1], 0)).collect();
    // Each recorded value in one row alone: the values of a histogram are ranges themselves.
    for step in histogram.iter_recorded() {
        let value = step.value_iterated_to();
        let row = rows.partition_point(|(from, _, _)| *from <= value).saturating_sub(1);
        rows[row].2 += step.count_since_last_iteration();
    }
    let first = rows.iter().position(|row| row.2 > 0).unwrap_or(0);
    let last = rows.iter().rposition(|row| row.2 > 0).unwrap_or(0);
    rows[first..=last].to_vec()
}

fn bar(columns: f64) -> String {
    let eighths = (columns * 8.0).round() as usize;
    let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let part = if eighths == 0 && columns > 0.0 { "▏" } else { parts[eighths % 8] };
    format!("{}{part}", "█".repeat(eighths / 8))
}

/// A time in microseconds, in a unit that suits it.
fn short(us: u64) -> String {
    match us {
        0..1000 => format!("{us} us"),
        1000..1_000_000 => format!("{} ms", us / 1000),
        _ => format!("{} s", us / 1_000_000),
    }
}

fn summary(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let (measured, totals) = (&outcome.measured, &outcome.measured.totals);
    let latencies = &totals.latencies;
    writeln!(f, "Summary:")?;
    writeln!(f, "  throughput summary: {:.2} requests per second", measured.rate())?;
    match &latencies.service {
        None => {
            writeln!(f, "  latency summary (msec):")?;
            summary_row(f, None, &latencies.response)?;
        }
        Some(service) => {
            writeln!(
                f,
                "  latency summary (msec), from when a request was due, and from when it was sent:"
            )?;
            summary_row(f, Some("due"), &latencies.response)?;
            summary_row(f, Some("sent"), service)?;
        }
    }
    if let Some(asked) = measured.asked_rate {
        writeln!(
            f,
            "  asked: {asked:.2} requests per second, largest backlog: {}",
            totals.backlog_max
        )?;
    }
    if totals.nil > 0 {
        let hits = (totals.ok - totals.nil) as f64 / totals.ok as f64 * 100.0;
        writeln!(f, "  replies that were nil: {} (hit rate {hits:.2} %)", totals.nil)?;
    }
    if totals.errors.total() > 0 {
        let codes: Vec<String> =
            totals.errors.iter().map(|(code, count)| format!("{code} {count}")).collect();
        writeln!(f, "  errors: {} ({})", totals.errors.total(), codes.join(", "))?;
    }
    if let Some(text) = json::first_error(outcome) {
        writeln!(f, "  first error: {text}")?;
    }
    if totals.connect_failures > 0 {
        writeln!(f, "  failed connects: {}", totals.connect_failures)?;
    }
    let cost = outcome.cost;
    write!(f, "  CPU per request (usec): generator {:.2}", cost.generator_us)?;
    match cost.servers_us {
        Some(servers) => writeln!(f, ", server {servers:.2}"),
        None => writeln!(f),
    }
}

fn summary_row(
    f: &mut Formatter<'_>,
    name: Option<&str>,
    histogram: &Histogram<u64>,
) -> fmt::Result {
    // The plain form is redis-benchmark's, which scripts read; it has no column for p99.9.
    let quantile = |quantile| ms(histogram.value_at_quantile(quantile));
    let (mean, min, max) = (histogram.mean() / 1e3, ms(histogram.min()), ms(histogram.max()));
    let (p50, p95, p99, p999) = (quantile(0.5), quantile(0.95), quantile(0.99), quantile(0.999));
    match name {
        None => {
            writeln!(
                f,
                "      {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
                "avg", "min", "p50", "p95", "p99", "max"
            )?;
            writeln!(f, "      {mean:>9.3} {min:>9.3} {p50:>9.3} {p95:>9.3} {p99:>9.3} {max:>9.3}")
        }
        Some(name) => {
            if name == "due" {
                writeln!(
                    f,
                    "           {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
                    "avg", "min", "p50", "p95", "p99", "p99.9", "max"
                )?;
            }
            writeln!(
                f,
                "      {name:<4} {mean:>9.3} {min:>9.3} {p50:>9.3} {p95:>9.3} {p99:>9.3} \
                 {p999:>9.3} {max:>9.3}"
            )
        }
    }
}

fn marks(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let measured = &outcome.measured;
    let seconds = |ns: u64| ns as f64 / 1e9;
    let milliseconds = |ns: u64| ns as f64 / 1e6;
    for (mark, outage) in outcome.marks() {
        write!(f, "  event at {:.3} s: {}", seconds(mark.at_ns), mark.label)?;
        match outage {
            None if mark.kind == MarkKind::Note => writeln!(f)?,
            None => writeln!(f, "; no outage followed")?,
            Some(outage) => {
                let length = milliseconds(outage.len_ns(measured.elapsed_ns));
                match outage.end_ns {
                    Some(end) => writeln!(
                        f,
                        "; nothing succeeded for {length:.1} ms, first success {:.1} ms after it",
                        milliseconds(end.saturating_sub(mark.at_ns))
                    )?,
                    None => writeln!(f, "; nothing succeeded for {length:.1} ms, to the end")?,
                }
            }
        }
    }
    let mut outages = outcome.outages();
    outages.sort_by_key(|outage| std::cmp::Reverse(outage.len_ns(measured.elapsed_ns)));
    if !outages.is_empty() {
        let total: u64 = outages.iter().map(|outage| outage.len_ns(measured.elapsed_ns)).sum();
        writeln!(
            f,
            "  unavailable: {} times, {:.1} ms in all; the longest:",
            outages.len(),
            milliseconds(total)
        )?;
        for outage in outages.iter().take(OUTAGES_SHOWN) {
            let length = milliseconds(outage.len_ns(measured.elapsed_ns));
            writeln!(f, "    from {:.3} s for {length:.1} ms", seconds(outage.start_ns))?;
        }
    }
    Ok(())
}

/// One line about what subscribers got.
pub fn deliveries(deliveries: &Deliveries, published: u64) -> String {
    let Deliveries { subscribers, received, latency, lost } = deliveries;
    let quantile = |quantile| ms(latency.value_at_quantile(quantile));
    format!(
        "delivered: {received} messages to {subscribers} subscribers ({published} were published); \
         msec from sending to delivery: p50 {:.3}, p99 {:.3}, p99.9 {:.3}, max {:.3}; \
         {lost} subscribers lost their connection",
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        ms(latency.max()),
    )
}

/// The JSON has all of them.
const OUTAGES_SHOWN: usize = 10;

/// What a verification came to, in one line.
pub fn verified(verified: &Verified) -> String {
    let Faults { lost, doubled, stale } = verified.faults;
    let mut line = format!(
        "verified: {} increments acknowledged, {} of unknown fate; {lost} lost, {doubled} doubled, \
         {stale} stale reads",
        verified.acked, verified.unknown
    );
    if verified.untold > 0 {
        let _infallible = write!(line, "; {} counters were not told at the end", verified.untold);
    }
    line
}

/// Where the run was made.
pub fn environment(environment: &Environment) -> String {
    let mut text = String::from("Environment:\n");
    for (name, value) in &environment.facts {
        let _infallible = writeln!(text, "  {name}: {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::new_histogram;

    #[test]
    fn rows_cover_all_that_was_recorded() {
        let mut histogram = new_histogram();
        for (us, count) in [(1, 3), (2, 5), (999, 7), (1000, 1), (60_000_000, 2)] {
            histogram.record_n(us, count).unwrap();
        }
        let rows = rows(&histogram);
        assert_eq!(rows.iter().map(|row| row.2).sum::<u64>(), histogram.len());
        assert_eq!(rows[..2], [(1, 2, 3), (2, 5, 5)]);
        assert!(rows.contains(&(500, 1000, 7)) && rows.contains(&(1000, 2000, 1)));
        assert_eq!(rows.last(), Some(&(50_000_000, 100_000_000, 2)));
    }

    #[test]
    fn a_bar_shows_even_the_least_share() {
        assert_eq!((bar(0.0), bar(0.001), bar(1.5)), ("".into(), "▏".into(), "█▌".into()));
        assert_eq!(
            (short(7), short(5000), short(60_000_000)),
            ("7 us".into(), "5 ms".into(), "60 s".into())
        );
    }
}
