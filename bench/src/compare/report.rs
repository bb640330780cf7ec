//! Samples as a table for people and as CSV.

use crate::machine;
use crate::stats::Summary;
use crate::table::{Table, csv_line};

use super::measure::Sample;

/// Where and when, and on what.
pub fn head(versions: &[String], layout: Option<&str>) -> String {
    let mut lines = vec![format!("{}, {}", machine::describe(), machine::date())];
    lines.push(versions.join(", "));
    lines.extend(layout.map(str::to_owned));
    lines.join("\n") + "\n"
}

/// One row for each work and target. The first target of a work is what the others are compared
/// with.
pub fn table(samples: &[Sample]) -> Table {
    let mut table = Table::new(&[
        "work",
        "target",
        "k req/s",
        "min-max",
        "ratio",
        "p50 ms",
        "p99 ms",
        "node µs/req",
        "all µs/req",
    ]);
    for (work, target) in pairs(samples) {
        let chosen = || samples.iter().filter(|s| s.work == work && s.target == target);
        let rate = summary(chosen().map(|s| s.row.requests_per_second / 1e3));
        let first =
            &samples.iter().find(|s| s.work == work).expect("invariant: has samples").target;
        let base = summary(
            samples
                .iter()
                .filter(|s| s.work == work && s.target == *first)
                .map(|s| s.row.requests_per_second / 1e3),
        );
        let cpu = |of: fn(&Sample) -> Option<f64>| {
            Summary::of(chosen().filter_map(of)).map_or("-".into(), |s| format!("{:.2}", s.median))
        };
        table.push(vec![
            work.to_owned(),
            target.to_owned(),
            format!("{:.1}", rate.median),
            format!("{:.0}-{:.0}", rate.min, rate.max),
            format!("{:.2}", rate.median / base.median),
            format!("{:.3}", summary(chosen().map(|s| s.row.p50_ms)).median),
            format!("{:.3}", summary(chosen().map(|s| s.row.p99_ms)).median),
            cpu(|s| s.cpu.map(|cpu| cpu.node_us)),
            cpu(|s| s.cpu.map(|cpu| cpu.all_us)),
        ]);
    }
    table
}

fn summary(values: impl Iterator<Item = f64>) -> Summary {
    Summary::of(values).expect("invariant: every pair has samples")
}

/// Each work and target once, in the order of their first samples, works together.
fn pairs(samples: &[Sample]) -> Vec<(&str, &str)> {
    let mut works: Vec<&str> = Vec::new();
    let mut pairs = Vec::new();
    for sample in samples {
        if !works.contains(&sample.work.as_str()) {
            works.push(&sample.work);
        }
    }
    for work in works {
        for sample in samples.iter().filter(|sample| sample.work == work) {
            let pair = (work, sample.target.as_str());
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
    }
    pairs
}

/// Every sample.
pub fn csv(samples: &[Sample]) -> String {
    let head = [
        "work",
        "target",
        "round",
        "requests",
        "requests_per_second",
        "p50_ms",
        "p99_ms",
        "node_cpu_us_per_request",
        "all_cpu_us_per_request",
    ];
    let mut text = csv_line(&head.map(str::to_owned));
    for sample in samples {
        let cpu = |value: Option<f64>| value.map(|us| format!("{us:.3}")).unwrap_or_default();
        text.push_str(&csv_line(&[
            sample.work.clone(),
            sample.target.clone(),
            sample.round.to_string(),
            sample.requests.to_string(),
            format!("{:.0}", sample.row.requests_per_second),
            format!("{:.3}", sample.row.p50_ms),
            format!("{:.3}", sample.row.p99_ms),
            cpu(sample.cpu.map(|cpu| cpu.node_us)),
            cpu(sample.cpu.map(|cpu| cpu.all_us)),
        ]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis_benchmark::Row;

    fn sample(target: &str, round: u32, requests_per_second: f64) -> Sample {
        let row = Row { test: "SET".into(), requests_per_second, p50_ms: 0.5, p99_ms: 1.0 };
        let (work, target) = ("SET P=1".into(), target.into());
        Sample { work, target, round, requests: 10, row, cpu: None }
    }

    #[test]
    fn the_ratio_is_that_of_the_medians() {
        let samples = [
            sample("a", 1, 100e3),
            sample("b", 1, 20e3),
            sample("a", 2, 90e3),
            sample("b", 2, 25e3),
            sample("a", 3, 500e3),
            sample("b", 3, 30e3),
        ];
        let text = table(&samples).to_text();
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows[1],
            ["SET", "P=1", "a", "100.0", "90-500", "1.00", "0.500", "1.000", "-", "-"]
        );
        assert_eq!(
            rows[2],
            ["SET", "P=1", "b", "25.0", "20-30", "0.25", "0.500", "1.000", "-", "-"]
        );
        assert_eq!(csv(&samples).lines().count(), 7);
    }
}
