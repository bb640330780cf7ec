//! What a table of measurements must say of the machine that it was made on.

use std::fs;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use mayfly::logging;

/// One line: CPU model, cores, kernel.
pub fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown CPU", |(_, model)| model.trim());
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// The day and minute, UTC.
pub fn date() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date_of(since.as_secs())
}

fn date_of(seconds: u64) -> String {
    let (year, month, day) = logging::civil(seconds / 86_400);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[test]
fn dates_are_civil() {
    assert_eq!(date_of(0), "1970-01-01 00:00 UTC");
    assert_eq!(date_of(951_782_340), "2000-02-28 23:59 UTC");
    assert_eq!(date_of(951_782_400), "2000-02-29 00:00 UTC");
    assert_eq!(date_of(1_767_225_599), "2025-12-31 23:59 UTC");
}
