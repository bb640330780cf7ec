//! MONITOR: what the clients that watch are to be sent, from all net roles of a node.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use super::words::{quote, shown};

/// Who watches, and what is on its way to them.
#[derive(Debug, Default)]
pub struct Monitoring {
    /// Clients of all net roles that watch.
    monitors: AtomicUsize,
    /// Bytes of lines that net roles have handed over and not looked at yet.
    queued: Arc<AtomicUsize>,
}

impl Monitoring {
    pub fn has_monitors(&self) -> bool {
        self.monitors.load(Relaxed) > 0
    }

    pub fn begin(&self) {
        self.monitors.fetch_add(1, Relaxed);
    }

    pub fn end(&self) {
        self.monitors.fetch_sub(1, Relaxed);
    }

    pub fn queued_bytes(&self) -> usize {
        self.queued.load(Relaxed)
    }

    pub fn hand_over(&self, lines: Arc<[u8]>) -> Lines {
        self.queued.fetch_add(lines.len(), Relaxed);
        Lines { lines, queued: Arc::clone(&self.queued) }
    }
}

/// Lines on their way to one net role.
pub struct Lines {
    pub lines: Arc<[u8]>,
    queued: Arc<AtomicUsize>,
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.queued.fetch_sub(self.lines.len(), Relaxed);
    }
}

/// Who is told to have sent the commands of scripts.
pub const SCRIPT: &str = "lua";

/// Writes the line of a command, as a status reply; `client` is its address, or [`SCRIPT`].
pub fn write_line(words: &[&[u8]], database: u8, client: &dyn Display, out: &mut Vec<u8>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    out.extend_from_slice(format!("+{seconds}.{micros:06} [{database} {client}]").as_bytes());
    for word in shown(words) {
        out.push(b' ');
        quote(&word, out);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_when_who_and_what() {
        let mut out = Vec::new();
        write_line(&[b"SET", b"a b", b"\"\n"], 3, &"10.0.0.9:4242", &mut out);
        let line = String::from_utf8(out).unwrap();
        let (time, rest) = line.split_once(' ').unwrap();
        let (seconds, micros) = time.strip_prefix('+').unwrap().split_once('.').unwrap();
        assert!(seconds.parse::<u64>().unwrap() > 1_700_000_000 && micros.len() == 6);
        assert_eq!(rest, "[3 10.0.0.9:4242] \"SET\" \"a b\" \"\\\"\\n\"\r\n");
    }

    #[test]
    fn lines_count_as_queued_until_they_are_dropped() {
        let monitoring = Monitoring::default();
        let lines = monitoring.hand_over(Arc::from(&b"12345"[..]));
        assert_eq!(monitoring.queued_bytes(), 5);
        drop(lines);
        assert_eq!(monitoring.queued_bytes(), 0);
        monitoring.begin();
        assert!(monitoring.has_monitors());
        monitoring.end();
        assert!(!monitoring.has_monitors());
    }
}
