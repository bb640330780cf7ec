//! The files that the generator writes, read by readers that know nothing of how they are made.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use mayfly_loadgen::collect::Interval;
use mayfly_loadgen::record::{Latencies, Model, new_histogram};
use mayfly_loadgen::report::hlog::HistogramLog;
use mayfly_loadgen::report::{csv, hgrm};

use crate::server::{Answer, serve};

/// Latencies in microseconds, with how often each occurs: all are told apart by three digits.
const RECORDED: [(u64, u64); 6] =
    [(1, 3), (700, 1000), (1024, 7), (5000, 90), (1_000_448, 2), (59_998_208, 1)];

#[test]
fn a_percentile_file_says_what_was_recorded() {
    let mut histogram = new_histogram();
    for (us, count) in RECORDED {
        histogram.record_n(us, count).unwrap();
    }
    let mut file = Vec::new();
    hgrm::write(&mut file, &histogram).unwrap();
    let text = String::from_utf8(file).unwrap();
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
    let rows: Vec<Vec<f64>> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().map(|number| number.parse().unwrap()).collect())
        .collect();
    let total: u64 = RECORDED.iter().map(|(_, count)| count).sum();
    for pair in rows.windows(2) {
        assert!(pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1] && pair[0][2] <= pair[1][2]);
    }
    for row in &rows {
        let below: u64 = RECORDED
            .iter()
            .filter(|(us, _)| *us as f64 / 1e3 <= row[0] + 5e-4)
            .map(|(_, count)| count)
            .sum();
        assert_eq!(row[2] as u64, below, "row {row:?}");
        assert!(row[1] <= below as f64 / total as f64 + 1e-9, "row {row:?}");
        match row[..] {
            [_, quantile, _, inverse] => assert!((inverse * (1.0 - quantile) - 1.0).abs() < 0.01),
            [_, quantile, _] => assert_eq!(quantile, 1.0),
            _ => panic!("{row:?}"),
        }
    }
    let (first, last) = (&rows[0], rows.last().unwrap());
    assert_eq!((first[0], last[2] as u64), (0.001, total));
    assert!((last[0] - 59_998.208).abs() < 60.0, "the maximum is within three digits");
    let field = |name: &str| -> f64 {
        let at = text.find(name).unwrap() + name.len();
        let number = text[at..].trim_start_matches([' ', '=']);
        number.split([',', ']']).next().unwrap().trim().parse().unwrap()
    };
    assert_eq!(field("Total count"), total as f64);
    let mean = RECORDED.iter().map(|(us, count)| us * count).sum::<u64>() as f64 / total as f64;
    assert!((field("#[Mean") / (mean / 1e3) - 1.0).abs() < 1e-3);
    assert!((field("SubBuckets") - 2048.0).abs() < 0.5);
}

#[test]
fn an_interval_log_holds_every_histogram() {
    let mut log = Vec::new();
    let mut writer = HistogramLog::new(&mut log, &[" kernel: x".to_owned()]).unwrap();
    writer.begin_test(Duration::ZERO);
    for second in 0..3u64 {
        let mut latencies = Latencies::new(Model::Closed);
        for (us, count) in RECORDED {
            latencies.response.record_n(us, count * (second + 1)).unwrap();
        }
        let interval = Interval {
            start_ns: second * 1_000_000_000,
            end_ns: (second + 1) * 1_000_000_000,
            ok: 0,
            errors: 0,
            connect_failures: 0,
            backlog_max: 0,
            latencies,
        };
        writer.write("LRANGE_100 (first, 100)", &interval).unwrap();
    }
    writer.finish().unwrap();
    let text = String::from_utf8(log).unwrap();
    assert!(text.contains("# kernel: x\n") && text.contains("#[StartTime: "), "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(['#', '"'])).collect();
    assert_eq!(lines.len(), 3);
    for (second, line) in lines.iter().enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let [tag, start, length, max, histogram] = fields[..] else { panic!("{line}") };
        assert_eq!(tag, "Tag=LRANGE_100__first__100_");
        let number = |text: &str| text.parse::<f64>().unwrap();
        assert!((number(start) - second as f64).abs() < 0.5 && number(length) == 1.0);
        assert!((number(max) - 59_998.208).abs() < 60.0, "milliseconds: {max}");
        let expected: BTreeMap<u64, u64> =
            RECORDED.iter().map(|(us, count)| (*us, count * (second as u64 + 1))).collect();
        assert_eq!(decode(histogram), expected);
    }
}

/// Counts by value of a compressed histogram of format V2, read as its specification says
/// (<https://github.com/HdrHistogram/HdrHistogram>, `AbstractHistogram.java`).
fn decode(text: &str) -> BTreeMap<u64, u64> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(word(&bytes, 0), 0x1c84_9314, "the cookie of a compressed histogram");
    assert_eq!(word(&bytes, 4) as usize, bytes.len() - 8);
    let mut plain = Vec::new();
    flate2::read::ZlibDecoder::new(&bytes[8..]).read_to_end(&mut plain).unwrap();
    assert_eq!(word(&plain, 0), 0x1c84_9313, "the cookie of a histogram");
    let payload = &plain[40..];
    assert_eq!(word(&plain, 4) as usize, payload.len());
    assert_eq!((word(&plain, 8), word(&plain, 12)), (0, 3), "offset and digits");
    let (mut counts, mut index, mut at) = (BTreeMap::new(), 0u64, 0);
    while at < payload.len() {
        let (mut coded, mut shift) = (0u64, 0);
        loop {
            let byte = payload[at];
            at += 1;
            // The ninth byte has all its eight bits.
            if shift == 56 {
                coded |= u64::from(byte) << shift;
                break;
            }
            coded |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let number = (coded >> 1) as i64 ^ -((coded & 1) as i64);
        if number < 0 {
            index += number.unsigned_abs();
        } else {
            if number > 0 {
                counts.insert(value_of(index), number as u64);
            }
            index += 1;
        }
    }
    counts
}

/// The lowest value of a bucket: 2048 of unit width, then 1024 of each doubled width.
fn value_of(index: u64) -> u64 {
    match index / 1024 {
        0 | 1 => index,
        half => (index % 1024 + 1024) << (half - 1),
    }
}

#[test]
fn the_head_of_the_csv_is_that_of_redis_benchmark() {
    // PING as redis-benchmark sends it; what it asks for first is as long as two of them and more.
    let server = serve(6, |_, _| Answer::Reply(b"+PONG\r\n"));
    let output = Command::new("redis-benchmark")
        .args([
            "-p",
            &server.port().to_string(),
            "--csv",
            "-n",
            "10",
            "-c",
            "1",
            "-t",
            "ping_inline",
        ])
        .output()
        .expect("redis-benchmark is installed: tests/run install does so");
    let text = String::from_utf8(output.stdout).unwrap();
    let head = text.lines().find(|line| line.starts_with("\"test\""));
    assert_eq!(head, Some(csv::HEADER), "{text}");
}
