//! The logs of commands that were slow, had large requests or large replies: SLOWLOG, COMMANDLOG.

use std::collections::VecDeque;

/// Why a command is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    Slow,
    LargeRequest,
    LargeReply,
}

impl LogKind {
    pub const ALL: [Self; 3] = [Self::Slow, Self::LargeRequest, Self::LargeReply];

    /// As COMMANDLOG names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::LargeRequest => "large-request",
            Self::LargeReply => "large-reply",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    pub id: u64,
    /// Since the Unix epoch.
    pub seconds: u64,
    /// Microseconds of a slow command, bytes of a large one.
    pub value: u64,
    /// Its words, cut by [`crate::engine::timing::excerpt`].
    pub words: Vec<Vec<u8>>,
    pub client: String,
    pub client_name: Vec<u8>,
}

/// The newest entries, and the number that the next one gets.
#[derive(Debug, Default)]
pub struct CommandLog {
    /// Newest first.
    entries: VecDeque<LogEntry>,
    next_id: u64,
    len_max: usize,
}

impl CommandLog {
    pub fn set_len_max(&mut self, len_max: usize) {
        self.len_max = len_max;
        self.entries.truncate(len_max);
    }

    /// The oldest entry goes when there are too many. `entry.id` is given here.
    pub fn push(&mut self, entry: LogEntry) {
        let id = self.next_id;
        self.next_id += 1;
        self.entries.push_front(LogEntry { id, ..entry });
        self.entries.truncate(self.len_max);
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Newest first.
    pub fn iter(&self) -> impl Iterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Numbers go on.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: u64) -> LogEntry {
        let (words, client, client_name) = (Vec::new(), String::new(), Vec::new());
        LogEntry { id: 0, seconds: 1, value, words, client, client_name }
    }

    #[test]
    fn the_newest_entries_stay_and_numbers_go_on() {
        let mut log = CommandLog::default();
        log.push(entry(1));
        assert!(log.is_empty(), "nothing is kept where nothing may be");
        log.set_len_max(2);
        for value in 2..5 {
            log.push(entry(value));
        }
        let kept: Vec<_> = log.iter().map(|entry| (entry.id, entry.value)).collect();
        assert_eq!(kept, [(3, 4), (2, 3)]);
        log.set_len_max(1);
        assert_eq!(log.len(), 1);
        log.clear();
        log.push(entry(9));
        assert_eq!(log.iter().next().unwrap().id, 4);
    }
}
