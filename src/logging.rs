//! The log: one line per record, `pid:role timestamp level message`, to stderr or to a file.
//!
//! Redis's four levels stand for those of the `log` facade: warning is error and warn, notice is
//! info, verbose is debug, debug is trace. A record is written at once and by its caller, so
//! nothing may log per command.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Log, Metadata, Record};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Verbose,
    Notice,
    Warning,
}

/// What the node is at the time of a record: the letter behind the process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Not, or not yet, a member of a cluster.
    Node = b'N',
    Follower = b'F',
    Candidate = b'C',
    Leader = b'L',
}

static ROLE: AtomicU8 = AtomicU8::new(Role::Node as u8);

impl Level {
    pub fn parse(name: &str) -> Option<Self> {
        [Level::Debug, Level::Verbose, Level::Notice, Level::Warning]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(name))
    }

    pub fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Verbose => "verbose",
            Level::Notice => "notice",
            Level::Warning => "warning",
        }
    }

    fn filter(self) -> LevelFilter {
        match self {
            Level::Debug => LevelFilter::Trace,
            Level::Verbose => LevelFilter::Debug,
            Level::Notice => LevelFilter::Info,
            Level::Warning => LevelFilter::Warn,
        }
    }

    fn of(level: log::Level) -> Self {
        match level {
            log::Level::Error | log::Level::Warn => Level::Warning,
            log::Level::Info => Level::Notice,
            log::Level::Debug => Level::Verbose,
            log::Level::Trace => Level::Debug,
        }
    }
}

/// Starts the log; `file` is appended to, stderr is used without one.
///
/// Precondition: called once in a process.
pub fn start(level: Level, file: Option<&str>) -> io::Result<()> {
    let file = match file {
        Some(path) => Some(Mutex::new(OpenOptions::new().create(true).append(true).open(path)?)),
        None => None,
    };
    log::set_boxed_logger(Box::new(Sink { file })).map_err(io::Error::other)?;
    set_level(level);
    Ok(())
}

pub fn set_level(level: Level) {
    log::set_max_level(level.filter());
}

pub fn set_role(role: Role) {
    ROLE.store(role as u8, Ordering::Relaxed);
}

struct Sink {
    file: Option<Mutex<File>>,
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The runtime tells of its rings at every start; only its warnings concern an operator.
        !metadata.target().starts_with("glommio") || metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = line(std::process::id(), SystemTime::now(), record);
        // A log that cannot be written has nowhere to say so, and must not stop the node.
        let _written = match &self.file {
            Some(file) => match file.lock() {
                Ok(mut file) => file.write_all(line.as_bytes()),
                Err(poisoned) => poisoned.into_inner().write_all(line.as_bytes()),
            },
            None => io::stderr().lock().write_all(line.as_bytes()),
        };
    }

    fn flush(&self) {}
}

fn line(pid: u32, now: SystemTime, record: &Record<'_>) -> String {
    let role = char::from(ROLE.load(Ordering::Relaxed));
    let mut line = format!("{pid}:{role} {} ", timestamp(now));
    let level = Level::of(record.level()).name();
    let message = record.args().to_string().replace(['\r', '\n'], " ");
    writeln!(line, "{level} {message}").expect("invariant: a String takes every write");
    line
}

/// UTC as ISO 8601 with milliseconds.
fn timestamp(now: SystemTime) -> String {
    // A clock before 1970 is shown as 1970: the log has no better answer.
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// The Gregorian date (year, month, day) of a day counted from 1970-01-01.
pub fn civil(days: u64) -> (u64, u64, u64) {
    // Counted in years that begin in March, a leap day is the last of its year, and 400 such years
    // are always 146 097 days. 719 468 days lie between 0000-03-01 and 1970-01-01.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, the months' lengths repeat so that month m begins at day (153 m + 2) / 5.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_record_is_one_line_with_process_role_time_and_level() {
        let record = Record::builder()
            .args(format_args!("two\nlines"))
            .level(log::Level::Info)
            .target("mayfly")
            .build();
        let at = UNIX_EPOCH + Duration::from_millis(1_795_257_000_042);
        assert_eq!(line(42, at, &record), "42:N 2026-11-21T10:30:00.042Z notice two lines\n");
    }

    #[test]
    fn dates_are_right_around_leap_days_and_centuries() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn levels_are_known_by_their_redis_names() {
        for level in [Level::Debug, Level::Verbose, Level::Notice, Level::Warning] {
            assert_eq!(Level::parse(&level.name().to_uppercase()), Some(level));
        }
        assert_eq!(Level::parse("info"), None);
        assert_eq!(Level::of(log::Level::Error), Level::Warning);
        assert_eq!(Level::Notice.filter(), LevelFilter::Info);
    }
}
