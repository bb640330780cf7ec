//! An interval log of HdrHistogram, version 1.3: one compressed histogram about every second, each
//! with the name of its test as its tag. Microseconds; the maximum of a line is in milliseconds.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::collect::Interval;

/// Appends intervals to a log.
pub struct HistogramLog<W> {
    out: W,
    start: SystemTime,
    /// Since `start`, of the test that runs.
    test_start: Duration,
}

impl<W: Write> HistogramLog<W> {
    pub fn new(mut out: W, comments: &[String]) -> io::Result<Self> {
        let start = SystemTime::now();
        for comment in comments {
            writeln!(out, "#{comment}")?;
        }
        let mut header = IntervalLogWriterBuilder::new();
        header.with_start_time(start).with_base_time(start).with_max_value_divisor(1e3);
        header.begin_log_with(&mut out, &mut V2DeflateSerializer::new())?;
        let columns =
            ["StartTimestamp", "Interval_Length", "Interval_Max", "Interval_Compressed_Histogram"];
        writeln!(out, "{}", columns.map(|name| format!("\"{name}\"")).join(","))?;
        Ok(Self { out, start, test_start: Duration::ZERO })
    }

    /// A test begins to be measured after `warmup` from now.
    pub fn begin_test(&mut self, warmup: Duration) {
        let now = SystemTime::now().duration_since(self.start).unwrap_or_default();
        self.test_start = now + warmup;
    }

    pub fn write(&mut self, title: &str, interval: &Interval) -> io::Result<()> {
        let tag: String =
            title.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let mut lines = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let start = self.test_start + Duration::from_nanos(interval.start_ns);
        let length = Duration::from_nanos(interval.end_ns - interval.start_ns);
        let mut header = IntervalLogWriterBuilder::new();
        header.with_max_value_divisor(1e3);
        let mut log = header.begin_log_with(&mut lines, &mut serializer)?;
        let histogram = &interval.latencies.response;
        log.write_histogram(histogram, start, length, Tag::new(&tag))
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        drop(log);
        // The builder begins every log anew; only the line of the interval is wanted.
        let lines = String::from_utf8_lossy(&lines);
        let line = lines.lines().rfind(|line| !line.starts_with('#') && !line.starts_with('"'));
        writeln!(self.out, "{}", line.unwrap_or_default())
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
