//! The log in memory: a run of entries behind the snapshot that stands for everything before them.
//!
//! It knows nothing of terms in office, of peers or of commitment: its caller never truncates what
//! is committed and never compacts what is not. Invariants: the entries follow each other without a
//! gap from `snapshot_index + 1` on, and their terms never decrease.

use std::collections::VecDeque;

use super::types::{Entry, Index, Millis, Term};
use crate::limits::{APPEND_ENTRIES_MAX, APPEND_HEADER_BYTES_MAX};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    snapshot_index: Index,
    snapshot_term: Term,
    snapshot_at_ms: Millis,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Log {
    /// An empty log behind a snapshot that ends with (`index`, `term`); (0, 0) is no snapshot.
    pub(crate) fn after_snapshot(index: Index, term: Term, at_ms: Millis) -> Self {
        Self {
            snapshot_index: index,
            snapshot_term: term,
            snapshot_at_ms: at_ms,
            entries: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(crate) fn first_index(&self) -> Index {
        self.snapshot_index.next()
    }

    pub(crate) fn snapshot_index(&self) -> Index {
        self.snapshot_index
    }

    pub(crate) fn last_index(&self) -> Index {
        Index(self.snapshot_index.0 + self.entries.len() as u64)
    }

    pub(crate) fn last_term(&self) -> Term {
        self.entries.back().map_or(self.snapshot_term, |entry| entry.term)
    }

    pub(crate) fn last_at_ms(&self) -> Millis {
        self.entries.back().map_or(self.snapshot_at_ms, |entry| entry.at_ms)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The term at `index`. `None` before the snapshot's last entry and after the end.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.snapshot_index {
            return Some(self.snapshot_term);
        }
        self.get(index).map(|entry| entry.term)
    }

    pub(crate) fn get(&self, index: Index) -> Option<&Entry> {
        let offset = index.0.checked_sub(self.snapshot_index.0 + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// The clock of the entry at `index`, as [`Self::term_at`] answers for terms.
    pub(crate) fn at_ms_at(&self, index: Index) -> Option<Millis> {
        if index == self.snapshot_index {
            return Some(self.snapshot_at_ms);
        }
        self.get(index).map(|entry| entry.at_ms)
    }

    /// The entries after `index` and up to `through`. Precondition: both lie within the log.
    pub(crate) fn range(&self, index: Index, through: Index) -> impl Iterator<Item = &Entry> {
        let start = (index.0 - self.snapshot_index.0) as usize;
        let end = (through.0 - self.snapshot_index.0) as usize;
        self.entries.range(start..end)
    }

    /// Entries from `next` on for one request, with their bytes: at least one and else at most
    /// `bytes_max`, and never more than a frame takes.
    /// Precondition: `next` is in the log.
    pub(crate) fn collect(&self, next: Index, bytes_max: usize) -> (Vec<Entry>, usize) {
        let start = (next.0 - self.snapshot_index.0 - 1) as usize;
        let (mut bytes, mut header_bytes) = (0, 0);
        let mut count = 0;
        for entry in self.entries.range(start..).take(APPEND_ENTRIES_MAX) {
            let with_this = bytes + entry.bytes();
            header_bytes += entry.header_bytes();
            if count > 0 && (with_this > bytes_max || header_bytes > APPEND_HEADER_BYTES_MAX) {
                break;
            }
            bytes = with_this;
            count += 1;
        }
        (self.entries.range(start..start + count).cloned().collect(), bytes)
    }

    /// The largest index at or before `index` whose term does not exceed `term`, and its term; the
    /// end of the snapshot when there is none behind it.
    ///
    /// Either side of a failed consistency check skips whole terms this way (Raft 5.3, end).
    pub(crate) fn last_not_after_term(&self, index: Index, term: Term) -> (Index, Term) {
        let upto = index.min(self.last_index());
        let considered = upto.0.saturating_sub(self.snapshot_index.0) as usize;
        let count = self.entries.partition_point(|entry| entry.term <= term).min(considered);
        match count.checked_sub(1).and_then(|offset| self.entries.get(offset)) {
            Some(entry) => (entry.index, entry.term),
            None => (self.snapshot_index, self.snapshot_term),
        }
    }

    /// Precondition: `entry` follows the last one.
    pub(crate) fn append(&mut self, entry: Entry) {
        assert_eq!(entry.index, self.last_index().next(), "entries are contiguous");
        assert!(entry.term >= self.last_term(), "terms never decrease along the log");
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
    }

    /// Drops the entries from `index` on. Precondition: `index` is behind the snapshot.
    pub(crate) fn truncate(&mut self, index: Index) {
        assert!(index > self.snapshot_index, "a snapshot is never truncated");
        let keep = (index.0 - self.snapshot_index.0 - 1) as usize;
        while self.entries.len() > keep {
            let entry = self.entries.pop_back().expect("invariant: longer than what is kept");
            self.bytes -= entry.bytes();
        }
    }

    /// The first index such that the entries after it have at most `bytes` together. Walks over
    /// these.
    pub(crate) fn index_before_tail(&self, bytes: usize) -> Index {
        let mut index = self.last_index();
        let mut tail = 0;
        for entry in self.entries.iter().rev() {
            tail += entry.bytes();
            if tail > bytes {
                break;
            }
            index = entry.index.previous();
        }
        index
    }

    /// Drops the entries up to `through` and calls `dropped` with each. Precondition: `through` is
    /// in the log or already compacted away.
    pub(crate) fn compact(&mut self, through: Index, mut dropped: impl FnMut(&Entry)) {
        assert!(through <= self.last_index(), "only what exists is compacted");
        while self.snapshot_index < through {
            let entry = self.entries.pop_front().expect("invariant: not beyond the end");
            self.bytes -= entry.bytes();
            self.snapshot_index = entry.index;
            self.snapshot_term = entry.term;
            self.snapshot_at_ms = entry.at_ms;
            dropped(&entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Log;
    use crate::limits::{APPEND_ENTRIES_MAX, APPEND_HEADER_BYTES_MAX};
    use crate::raft::testing::member;
    use crate::raft::types::{
        Configuration, ENTRY_HEADER_BYTES, Entry, EntryBody, Index, Member, MemberId, Term,
    };

    fn entry(index: u64, term: u64) -> Entry {
        let body = EntryBody::Noop;
        Entry { index: Index(index), term: Term(term), at_ms: 100 + index, seed: 0, body }
    }

    fn log(terms: &[u64]) -> Log {
        let mut log = Log::after_snapshot(Index::ZERO, Term(0), 0);
        for (offset, term) in terms.iter().enumerate() {
            log.append(entry(offset as u64 + 1, *term));
        }
        log
    }

    #[test]
    fn an_empty_log_ends_at_its_snapshot() {
        let log = Log::after_snapshot(Index(7), Term(3), 5);
        assert_eq!((log.last_index(), log.last_term(), log.last_at_ms()), (Index(7), Term(3), 5));
        assert_eq!(log.first_index(), Index(8));
        assert_eq!(log.term_at(Index(7)), Some(Term(3)));
        assert_eq!(log.term_at(Index(6)), None);
        assert_eq!(log.term_at(Index(8)), None);
        assert_eq!(log.term_at(Index(u64::MAX)), None);
    }

    #[test]
    fn truncation_and_compaction_keep_the_byte_count() {
        let mut log = log(&[1, 1, 2, 3]);
        assert_eq!(log.bytes(), 4 * ENTRY_HEADER_BYTES);
        log.truncate(Index(4));
        let mut dropped = Vec::new();
        log.compact(Index(2), |entry| dropped.push(entry.index));
        assert_eq!(dropped, [Index(1), Index(2)]);
        assert_eq!(log.bytes(), ENTRY_HEADER_BYTES);
        assert_eq!((log.first_index(), log.last_index()), (Index(3), Index(3)));
        assert_eq!(log.term_at(Index(2)), Some(Term(1)));
        assert_eq!(log.at_ms_at(Index(2)), Some(102));
        log.compact(Index(1), |_| panic!("nothing is left to drop there"));
    }

    #[test]
    fn the_tail_is_as_long_as_its_bytes_allow() {
        let log = log(&[1, 1, 2, 3]);
        assert_eq!(log.index_before_tail(0), Index(4));
        assert_eq!(log.index_before_tail(2 * ENTRY_HEADER_BYTES), Index(2));
        assert_eq!(log.index_before_tail(3 * ENTRY_HEADER_BYTES - 1), Index(2));
        assert_eq!(log.index_before_tail(usize::MAX), Index(0));
    }

    #[test]
    fn the_hint_skips_whole_terms() {
        let log = log(&[1, 1, 4, 4, 6]);
        let hint = |index, term| log.last_not_after_term(Index(index), Term(term));
        assert_eq!(hint(5, 6), (Index(5), Term(6)));
        assert_eq!(hint(5, 5), (Index(4), Term(4)));
        assert_eq!(hint(4, 3), (Index(2), Term(1)));
        assert_eq!(hint(1, 9), (Index(1), Term(1)));
        assert_eq!(hint(u64::MAX, 9), (Index(5), Term(6)));
        assert_eq!(hint(5, 0), (Index(0), Term(0)));
    }

    #[test]
    fn collect_takes_one_entry_at_least_and_then_obeys_the_bound() {
        let log = log(&[1, 1, 1]);
        assert_eq!(log.collect(Index(1), 1).0.len(), 1);
        assert_eq!(log.collect(Index(1), 2 * ENTRY_HEADER_BYTES).0.len(), 2);
        let (entries, bytes) = log.collect(Index(2), usize::MAX);
        assert_eq!(entries.iter().map(|e| e.index.0).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(bytes, 2 * ENTRY_HEADER_BYTES);
    }

    #[test]
    fn collect_takes_no_more_than_a_frame_does() {
        let many = log(&[1; 2 * APPEND_ENTRIES_MAX]);
        let (entries, bytes) = many.collect(Index(3), usize::MAX);
        assert_eq!(entries.len(), APPEND_ENTRIES_MAX);
        assert_eq!(bytes, APPEND_ENTRIES_MAX * ENTRY_HEADER_BYTES);

        let named = |id| Member { slot: "n".repeat(4000), ..member(id) };
        let members = (1..=64).map(named).collect();
        let voters = (1..=64).map(MemberId).collect();
        let large = Arc::new(Configuration { voters, members, ..Configuration::default() });
        let mut log = log(&[]);
        for index in 1..=64 {
            let body = EntryBody::Configuration(Arc::clone(&large));
            log.append(Entry { body, ..entry(index, 1) });
        }
        let (entries, bytes) = log.collect(Index(1), usize::MAX);
        assert!((1..64).contains(&entries.len()), "{}", entries.len());
        assert!(bytes <= APPEND_HEADER_BYTES_MAX && bytes > APPEND_HEADER_BYTES_MAX / 2);
    }
}
