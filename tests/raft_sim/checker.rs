//! What must hold after every step of a simulation, checked in proportion to what is new.
//!
//! The checker sees everything at once, as no member can: every log, every entry handed out, every
//! answer to a client. It panics at the first thing that is not as Raft promises (Raft 5.2-5.4,
//! figure 3) or as the clients were promised.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use mayfly::raft::ReadReady;
use mayfly::raft::types::{Entry, EntryBody, Index, MemberId, Seq, Stream, Term};

use crate::consensus::{Consensus, View};

#[derive(Default)]
pub struct Checker {
    /// Election safety: who led in each term.
    leaders: BTreeMap<Term, MemberId>,
    /// Log matching: the one entry that may stand at an index with a term, and the term before it.
    seen: BTreeMap<(Index, Term), (Entry, Term)>,
    /// What was committed, from entry 1 on.
    committed: Vec<Entry>,
    /// The state after each of them.
    digests: Vec<u64>,
    /// Exactly once: the last committed number of each stream, and every payload.
    last_seq: BTreeMap<(MemberId, Stream), Seq>,
    payloads: BTreeSet<Vec<u8>>,
    never_sent: BTreeSet<Vec<u8>>,
    /// The highest index that any client has seen the effect of.
    acknowledged: Index,
    pub stats: Stats,
}

#[derive(Default, Debug)]
pub struct Stats {
    pub passes: u64,
    pub messages: u64,
    pub elections: u64,
    pub committed: u64,
    pub answered_batches: u64,
    pub answered_reads: u64,
    pub given_up: u64,
    pub crashes: u64,
    pub snapshots: u64,
    pub transfers: u64,
}

/// What the checker remembers of one member.
#[derive(Default)]
pub struct Watched {
    term: Term,
    commit_index: Index,
    /// Terms of the log as last checked, from entry 1 on.
    checked: Vec<Term>,
    /// The last entry handed out or loaded with a snapshot.
    pub applied: Index,
    /// Stands for the state that these entries have made; a snapshot carries it.
    pub digest: u64,
}

/// The state after `entry`.
fn digest(before: u64, entry: &Entry) -> u64 {
    let mut hasher = DefaultHasher::new();
    (before, entry).hash(&mut hasher);
    hasher.finish()
}

impl Checker {
    pub fn committed(&self) -> &[Entry] {
        &self.committed
    }

    pub fn acknowledged(&self) -> Index {
        self.acknowledged
    }

    pub fn check_member<C: Consensus>(&mut self, raft: &C, watched: &mut Watched) {
        self.stats.passes += 1;
        let View { id, term, commit_index, is_leader, .. } = raft.view();
        assert!(term >= watched.term, "the term of {id} went back");
        assert!(commit_index >= watched.commit_index, "commit of {id} went back");
        watched.commit_index = commit_index;
        let new_term = term > watched.term;
        watched.term = term;
        self.check_log(raft, watched);
        if is_leader {
            let known = self.leaders.insert(term, id);
            if known.is_none() {
                self.stats.elections += 1;
            }
            assert!(
                known.is_none_or(|known| known == id),
                "two leaders in term {term}: {known:?} and {id}"
            );
            if known.is_none() || new_term {
                self.check_leader_completeness(raft);
            }
        }
    }

    /// Raft 5.3: two logs with an entry of the same index and term are equal up to there.
    fn check_log<C: Consensus>(&mut self, raft: &C, watched: &mut Watched) {
        let view = raft.view();
        let (first, last) = (view.first_index.0, view.last_index.0);
        watched.checked.truncate(last as usize);
        watched.checked.resize(last as usize, Term(u64::MAX));
        for index in (first..=last).rev() {
            let entry = raft.entry(Index(index)).expect("within the log");
            let checked = &mut watched.checked[index as usize - 1];
            if *checked == entry.term {
                break;
            }
            *checked = entry.term;
            if index == first {
                continue;
            }
            let before = raft.entry(Index(index - 1)).expect("within the log").term;
            let key = (entry.index, entry.term);
            match self.seen.get(&key) {
                None => {
                    self.seen.insert(key, (entry.clone().into_owned(), before));
                }
                Some(seen) => {
                    assert_eq!(
                        (&seen.0, seen.1),
                        (&*entry, before),
                        "logs do not match at {key:?}"
                    );
                }
            }
        }
    }

    /// Raft 5.4.3: a new leader has everything that was ever committed.
    fn check_leader_completeness<C: Consensus>(&self, raft: &C) {
        let view = raft.view();
        assert!(
            view.last_index.0 >= self.committed.len() as u64,
            "leader {} of term {} lacks committed entries",
            view.id,
            view.term
        );
        for entry in &self.committed[view.first_index.0 as usize - 1..] {
            let own = raft.entry(entry.index);
            assert_eq!(own.as_deref(), Some(entry), "leader {} lacks a committed entry", view.id);
        }
    }

    /// State machine safety (Raft 5.4.3): the same entry at the same index for everybody, in order.
    pub fn on_committed(&mut self, watched: &mut Watched, entry: &Entry) {
        assert_eq!(entry.index, watched.applied.next(), "handed out in order, without a gap");
        watched.applied = entry.index;
        watched.digest = digest(watched.digest, entry);
        let at = entry.index.0 as usize - 1;
        if let Some(known) = self.committed.get(at) {
            assert_eq!(known, entry, "two entries committed at {}", entry.index);
            assert_eq!(self.digests[at], watched.digest, "states differ at {}", entry.index);
            return;
        }
        self.digests.push(watched.digest);
        assert_eq!(at, self.committed.len());
        if let Some(before) = self.committed.last() {
            assert!(before.at_ms <= entry.at_ms, "the clock of the log went back");
        }
        self.stats.committed += 1;
        if let EntryBody::Batch { origin, stream, seq, payload } = &entry.body {
            let last = self.last_seq.entry((*origin, *stream)).or_default();
            assert_eq!(*seq, last.next(), "stream {stream} of {origin} must go on without a gap");
            *last = *seq;
            if !payload.is_empty() {
                let bytes = payload.as_slice().to_vec();
                assert!(!self.never_sent.contains(&bytes), "given up as never sent");
                assert!(self.payloads.insert(bytes), "executed twice");
            }
        }
        self.committed.push(entry.clone());
    }

    /// A client was told that its batch is executed.
    pub fn on_answered(&mut self, index: Index) {
        self.stats.answered_batches += 1;
        self.acknowledged = self.acknowledged.max(index);
    }

    pub fn on_never_sent(&mut self, payload: Vec<u8>) {
        self.stats.given_up += 1;
        assert!(!self.payloads.contains(&payload), "given up as never sent, but executed");
        self.never_sent.insert(payload);
    }

    /// Linearizability: `floor` is what was acknowledged anywhere before the read was submitted.
    pub fn on_read(&mut self, read: &ReadReady, floor: Index) {
        assert!(read.index >= floor, "stale read at {} below {floor}", read.index);
        assert!(read.index.0 <= self.committed.len() as u64, "read of what is not committed");
        self.stats.answered_reads += 1;
        self.acknowledged = self.acknowledged.max(read.index);
    }
}
