//! What was observed, beside the goals.

use std::time::Duration;

use crate::probe::{BUCKET, Latencies};
use crate::redis_benchmark::Background;
use crate::stats::Summary;
use crate::table::{Table, verdict};
use crate::time::{Window, as_ms};

use super::compaction::Compaction;
use super::contender::Held;
use super::observe::{Observation, Work};

/// A fresh node has joined within this time, without load.
const JOIN_GOAL: Duration = Duration::from_secs(10);

/// Throughput falls by less than this while a node joins under load.
const FALL_GOAL_PERCENT: f64 = 30.0;

/// The longest latency during a join exceeds the undisturbed one by this at most.
const PAUSE_GOAL: Duration = Duration::from_millis(20);

/// The leader needs no more than this beside the data while it sends a snapshot.
const EXTRA_GOAL_PERCENT: u64 = 15;
const EXTRA_GOAL_BYTES: u64 = 64 << 20;

const MIB: f64 = (1 << 20) as f64;

/// All that was observed of one contender.
pub struct Side {
    pub held: Held,
    pub joins: Vec<Observation>,
}

impl Side {
    fn joins(&self, work: Work) -> impl Iterator<Item = &Observation> {
        self.joins.iter().filter(move |join| join.work == work)
    }

    /// The latencies of one kind of window, of all joins.
    fn latencies(&self, work: Work, window: fn(&Observation) -> Window) -> Latencies {
        let mut all = Latencies::new();
        for join in self.joins(work) {
            all.add(&join.samples, window(join));
        }
        all
    }

    /// How far the longest latency of the joins is above the undisturbed one.
    fn pause(&self, work: Work) -> Option<Duration> {
        let [before, during] = [self.latencies(work, |it| it.before), self.during(work)];
        (!before.is_empty() && !during.is_empty())
            .then(|| during.p100().saturating_sub(before.p100()))
    }

    fn during(&self, work: Work) -> Latencies {
        self.latencies(work, |join| join.during)
    }

    /// Seconds of the joins; `None` if there was none, or one that did not end.
    fn seconds(&self, work: Work) -> Option<Summary> {
        let seconds = self.joins(work).map(|join| join.join.map(|time| time.as_secs_f64()));
        Summary::of(seconds.collect::<Option<Vec<_>>>()?)
    }

    fn median(&self, work: Work, of: impl Fn(&Observation) -> Option<f64>) -> Option<f64> {
        Summary::of(self.joins(work).filter_map(of)).map(|summary| summary.median)
    }

    fn fall(&self, work: Work) -> Option<f64> {
        self.median(work, |join| {
            Some(fall(join.readings.rate(join.before)?, join.readings.rate(join.during)?))
        })
    }

    /// Of the leader, in any of the joins.
    fn extra_bytes(&self, work: Work) -> Option<u64> {
        self.joins(work).map(|join| join.extra_bytes).max()
    }
}

/// In percent.
fn fall(before: f64, during: f64) -> f64 {
    (1.0 - during / before) * 100.0
}

/// One line for the terminal while the run goes on.
pub fn progress(name: &str, join: &Observation) -> String {
    let took = join.join.map_or("not in time".to_owned(), |time| {
        format!("{:.2} s, {} snapshots", time.as_secs_f64(), join.snapshots.unwrap_or_default())
    });
    format!("{name}, {}: join {took}", of_work(join.work))
}

fn of_work(work: Work) -> String {
    match work {
        Work::Quiet => "no load".to_owned(),
        Work::Busy => format!("SET P={}", Background::PIPELINE),
    }
}

/// Collects rows: what, goal, mayfly, redis-server, whether the goal is met.
struct Rows<'a> {
    mayfly: &'a Side,
    redis: &'a Side,
    table: Table,
}

impl Rows<'_> {
    /// A row with a goal, which only joins that ended can meet.
    fn judge(&mut self, what: &str, work: Work, goal: &str, values: [String; 2], met: bool) {
        let met = met && self.mayfly.seconds(work).is_some();
        self.push(what.to_owned(), goal, values, Some(met));
    }

    fn push(&mut self, what: String, goal: &str, values: [String; 2], met: Option<bool>) {
        let [mayfly, redis] = values;
        let verdict = met.map_or("", verdict).to_owned();
        self.table.push(vec![what, goal.to_owned(), mayfly, redis, verdict]);
    }

    /// A row without a goal, and the same value of both.
    fn compare(&mut self, what: String, value: impl Fn(&Side) -> String) {
        let values = [value(self.mayfly), value(self.redis)];
        self.push(what, "", values, None);
    }
}

/// The joins.
pub fn joins(mayfly: &Side, redis: &Side) -> Table {
    let table = Table::new(&["work", "goal", "mayfly", "redis-server", ""]);
    let mut rows = Rows { mayfly, redis, table };
    for work in [Work::Quiet, Work::Busy] {
        times(&mut rows, work);
        if work == Work::Busy {
            throughput(&mut rows, work);
        }
        pauses(&mut rows, work);
        memory(&mut rows, work);
    }
    rows.table
}

fn times(rows: &mut Rows<'_>, work: Work) {
    let seconds = [rows.mayfly, rows.redis].map(|side| side.seconds(work));
    let shown = seconds.map(|seconds| match seconds {
        Some(Summary { median, min, max }) => format!("{median:.2} ({min:.2}-{max:.2})"),
        None => "not in time".to_owned(),
    });
    let within = |seconds: Summary| seconds.median <= JOIN_GOAL.as_secs_f64();
    let quiet = work == Work::Quiet;
    let goal = format!("<= {}", JOIN_GOAL.as_secs());
    let met = quiet.then(|| seconds[0].is_some_and(within));
    let what = format!("join of a fresh node, {}: s", of_work(work));
    rows.push(what, if quiet { &goal } else { "" }, shown, met);
    if let [Some(mayfly), Some(redis)] = seconds {
        let ratio = mayfly.median / redis.median;
        let values = [format!("{ratio:.2}"), "1".to_owned()];
        let met = quiet.then_some(ratio < 1.0);
        rows.push("  ratio".to_owned(), if quiet { "< 1" } else { "" }, values, met);
    }
}

fn throughput(rows: &mut Rows<'_>, work: Work) {
    rows.compare("  commands before, during, after: k/s".to_owned(), |side| {
        let windows: [fn(&Observation) -> Window; 3] =
            [|join| join.before, |join| join.during, |join| join.after];
        let rates = windows.map(|window| {
            let rate = side.median(work, |join| join.readings.rate(window(join)));
            rate.map_or("-".to_owned(), |rate| format!("{:.0}", rate / 1e3))
        });
        rates.join(", ")
    });
    let percent = |value: Option<f64>| value.map_or("-".to_owned(), |it| format!("{it:.0}"));
    let falls = [rows.mayfly, rows.redis].map(|side| side.fall(work));
    let met = falls[0].is_some_and(|fall| fall < FALL_GOAL_PERCENT);
    let goal = format!("< {FALL_GOAL_PERCENT:.0}");
    rows.judge("  fall during the join: %", work, &goal, falls.map(percent), met);
    rows.compare("  fall in its slowest second: %".to_owned(), |side| {
        percent(side.median(work, |join| {
            let slowest = join.readings.slowest_second(join.during)?;
            Some(fall(join.readings.rate(join.before)?, slowest))
        }))
    });
}

fn pauses(rows: &mut Rows<'_>, work: Work) {
    let shown = |latencies: &Latencies| {
        let [p50, p99, p100] = [latencies.p50(), latencies.p99(), latencies.p100()].map(as_ms);
        format!("{p50:.2}, {p99:.2}, {p100:.1}")
    };
    rows.compare("  p50, p99, p100 undisturbed: ms".to_owned(), |side| {
        shown(&side.latencies(work, |join| join.before))
    });
    rows.compare("  p50, p99, p100 during the join: ms".to_owned(), |side| {
        shown(&side.during(work))
    });
    let pauses = [rows.mayfly, rows.redis].map(|side| side.pause(work));
    let values = pauses.map(|pause| pause.map_or("-".into(), |it| format!("{:.1}", as_ms(it))));
    let met = pauses[0].is_some_and(|pause| pause <= PAUSE_GOAL);
    let goal = format!("<= {}", PAUSE_GOAL.as_millis());
    rows.judge("  p100 above the undisturbed: ms", work, &goal, values, met);
    let what = format!("  {} ms buckets above the goal, of all", BUCKET.as_millis());
    rows.compare(what, |side| {
        let limit = side.latencies(work, |join| join.before).p100() + PAUSE_GOAL;
        let during = side.during(work);
        format!("{} of {}", during.buckets_above(limit), during.buckets())
    });
}

fn memory(rows: &mut Rows<'_>, work: Work) {
    let limit = extra_goal(rows.mayfly.held.payload_bytes);
    let extra = [rows.mayfly, rows.redis].map(|side| side.extra_bytes(work));
    let met = extra[0].is_some_and(|bytes| bytes <= limit);
    let goal = format!("<= {:.0}", limit as f64 / MIB);
    let mib = |bytes: Option<u64>| bytes.map_or("-".into(), |it| format!("{:.0}", it as f64 / MIB));
    rows.judge("  extra memory of the leader: MiB", work, &goal, extra.map(mib), met);
    rows.compare("  that in % of keys and values, of what they take".to_owned(), |side| {
        let percent = |of: u64| match (side.extra_bytes(work), of) {
            (Some(extra), 1..) => format!("{:.0}", extra as f64 / of as f64 * 100.0),
            _ => "-".to_owned(),
        };
        let Held { payload_bytes, resident_bytes } = side.held;
        format!("{}, {}", percent(payload_bytes), percent(resident_bytes))
    });
    rows.compare("  growth of its log meanwhile, at most: MiB".to_owned(), |side| {
        let growth = side.joins(work).filter_map(|join| join.log_growth).max();
        growth.map_or("-".to_owned(), |bytes| format!("{:.0}", bytes as f64 / MIB))
    });
}

/// Of the bytes of keys and values, not of what they take: the stricter reading.
fn extra_goal(payload_bytes: u64) -> u64 {
    payload_bytes * EXTRA_GOAL_PERCENT / 100 + EXTRA_GOAL_BYTES
}

/// Compaction alone.
pub fn compactions(observed: &[Compaction]) -> Table {
    let mut table = Table::new(&["work", "goal", "without", "with compactions", ""]);
    for compaction in observed {
        let longest = |windows: &[Latencies]| {
            let all = windows.iter().map(|latencies| as_ms(latencies.p100()));
            Summary::of(all).expect("invariant: there is a round")
        };
        let (without, with) = (longest(&compaction.without), longest(&compaction.with));
        let shown = |Summary { median, min, max }| format!("{median:.1} ({min:.1}-{max:.1})");
        table.push(vec![
            format!("compaction alone, {}: p100, ms", of_work(compaction.work)),
            format!("<= {:.1}", without.max),
            shown(without),
            shown(with),
            verdict(with.is_within_spread_of(without)).to_owned(),
        ]);
        let (done, refused) = (compaction.compactions, compaction.refused);
        table.push(vec![
            "  compactions, of them refused".to_owned(),
            String::new(),
            "0".to_owned(),
            format!("{}, {refused}", done + refused),
            String::new(),
        ]);
        table.push(vec![
            "  extra memory of the leader: MiB".to_owned(),
            format!("<= {:.0}", EXTRA_GOAL_BYTES as f64 / MIB),
            String::new(),
            format!("{:.0}", compaction.extra_bytes as f64 / MIB),
            verdict(compaction.extra_bytes <= EXTRA_GOAL_BYTES).to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::probe::Sample;

    const SECOND: Duration = Duration::from_secs(1);

    /// A join of `seconds` under load, after a second at 1000 commands a second: at 800 meanwhile.
    /// The longest latency is 10 ms before, and `pause` meanwhile.
    fn observation(work: Work, seconds: Option<u32>, pause: Duration) -> Observation {
        let start = Instant::now();
        let length = SECOND * seconds.unwrap_or(5);
        let [launched, joined] = [start + SECOND, start + SECOND + length];
        let end = joined + SECOND;
        let executed = 1000 + 800 * length.as_secs();
        let readings =
            vec![(start, 0), (launched, 1000), (joined, executed), (end, executed + 900)];
        let sample = |sent, latency| Sample { sent, latency };
        Observation {
            work,
            join: seconds.map(|_| length),
            snapshots: Some(1),
            before: Window { from: start, to: launched },
            during: Window { from: launched, to: joined },
            after: Window { from: joined, to: end },
            samples: vec![sample(start, Duration::from_millis(10)), sample(launched, pause)],
            readings: readings.into(),
            leader_changed: false,
            extra_bytes: 70 << 20,
            log_growth: Some(3 << 20),
        }
    }

    fn side(seconds: Option<u32>, pause_ms: u64) -> Side {
        let pause = Duration::from_millis(pause_ms);
        let joins = [Work::Quiet, Work::Busy].map(|work| observation(work, seconds, pause)).into();
        Side { held: Held { payload_bytes: 100 << 20, resident_bytes: 140 << 20 }, joins }
    }

    /// The cells of the first row that names `part`.
    fn row<'a>(text: &'a str, part: &str) -> Vec<&'a str> {
        let line = text.lines().find(|line| line.contains(part)).unwrap();
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
    }

    #[test]
    fn goals_are_met_or_missed_by_what_was_observed() {
        let text = joins(&side(Some(2), 30), &side(Some(4), 300)).to_text();
        let cases = [
            ("no load: s", vec!["<= 10", "2.00 (2.00-2.00)", "4.00 (4.00-4.00)", "met"]),
            ("ratio", vec!["< 1", "0.50", "1", "met"]),
            ("before, during, after", vec!["1, 1, 1", "1, 1, 1"]),
            ("fall during", vec!["< 30", "20", "20", "met"]),
            ("above the undisturbed", vec!["<= 20", "20.0", "290.0", "met"]),
            ("buckets above", vec!["0 of 4", "31 of 31"]),
            ("extra memory", vec!["<= 79", "70", "70", "met"]),
            ("growth of its log", vec!["3", "3"]),
            ("of what they take", vec!["70, 50", "70, 50"]),
        ];
        for (part, expected) in cases {
            assert_eq!(row(&text, part)[1..], expected, "{part}: {text}");
        }
        let text = joins(&side(Some(12), 31), &side(Some(4), 300)).to_text();
        for part in ["no load: s", "ratio", "above the undisturbed"] {
            assert_eq!(row(&text, part).last(), Some(&"missed"), "{part}: {text}");
        }
    }

    #[test]
    fn a_join_that_did_not_end_meets_no_goal() {
        let text = joins(&side(None, 30), &side(Some(4), 300)).to_text();
        assert!(!text.contains("ratio"), "{text}");
        for part in ["no load: s", "fall during", "above the undisturbed", "extra memory"] {
            assert_eq!(row(&text, part).last(), Some(&"missed"), "{part}: {text}");
        }
    }

    #[test]
    fn a_compaction_that_cannot_be_told_from_none_is_no_pause() {
        let latencies = |ms| {
            let from = Instant::now();
            let mut latencies = Latencies::new();
            let sample = Sample { sent: from, latency: Duration::from_millis(ms) };
            latencies.add(&[sample], Window { from, to: from + SECOND });
            latencies
        };
        let observed = |with: [u64; 3]| Compaction {
            work: Work::Quiet,
            without: [1, 2, 5].map(latencies).into(),
            with: with.map(latencies).into(),
            compactions: 9,
            refused: 1,
            extra_bytes: 65 << 20,
        };
        let text = compactions(&[observed([1, 5, 90])]).to_text();
        assert_eq!(row(&text, "p100").last(), Some(&"met"), "{text}");
        assert_eq!(row(&text, "refused")[1..], ["0", "10, 1"]);
        assert_eq!(row(&text, "extra memory").last(), Some(&"missed"), "{text}");
        let text = compactions(&[observed([1, 6, 6])]).to_text();
        assert_eq!(row(&text, "p100").last(), Some(&"missed"), "{text}");
    }
}
