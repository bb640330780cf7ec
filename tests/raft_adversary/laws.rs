//! What must hold whatever the schedule was: the properties of Raft (figure 3), the rules that
//! members of a configuration obey, and what clients were promised. Looked at after every pass of
//! every member, by somebody who sees all of them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{
    Boot, Configuration, Entry, EntryBody, Index, MemberId, Seq, Stream, Term,
};
use mayfly::raft::{Raft, ReadReady, SnapshotState, Status};

/// What is remembered of one member.
#[derive(Clone, Default)]
pub struct Seen {
    term: Term,
    commit_index: Index,
    /// Terms of its log as last checked, from entry 1 on.
    checked: Vec<Term>,
    /// While it leads and hands over: the term, the target, the end of the log.
    transfer: Option<(Term, MemberId, Index)>,
    pub applied: Index,
    /// Stands for the state that the applied entries have made.
    pub digest: u64,
}

#[derive(Default)]
pub struct Laws {
    leaders: BTreeMap<Term, MemberId>,
    /// Whom each voter has voted for in each term.
    votes: BTreeMap<(Term, MemberId), MemberId>,
    /// The one member that each process has ever been.
    bound: BTreeMap<Boot, MemberId>,
    /// The one entry that may stand at an index with a term, and the term of the one before it.
    entries: BTreeMap<(Index, Term), (Entry, Term)>,
    committed: Vec<Entry>,
    /// By which term each of them was committed.
    committed_by: Vec<Term>,
    digests: Vec<u64>,
    last_seq: BTreeMap<(MemberId, Stream), Seq>,
    payloads: BTreeSet<Vec<u8>>,
    never_sent: BTreeSet<Vec<u8>>,
    /// The highest index that a client has seen the effect of.
    acknowledged: Index,
    pub counts: Counts,
}

/// What has happened, so that a run in which nothing did does not pass for a good one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub elections: u64,
    pub committed: u64,
    pub swaps: u64,
    pub reads: u64,
    pub snapshots: u64,
    pub crashes: u64,
    pub transfers: u64,
}

fn digest(before: u64, entry: &Entry) -> u64 {
    let mut hasher = DefaultHasher::new();
    (before, entry).hash(&mut hasher);
    hasher.finish()
}

/// Whether `holds` is true of a majority of each half.
fn is_quorum(configuration: &Configuration, holds: impl Fn(MemberId) -> bool) -> bool {
    let is_majority =
        |voters: &[MemberId]| 2 * voters.iter().filter(|id| holds(**id)).count() > voters.len();
    let outgoing = &configuration.voters_outgoing;
    is_majority(&configuration.voters) && (outgoing.is_empty() || is_majority(outgoing))
}

fn configuration_of(entry: &Entry) -> Option<&Configuration> {
    match &entry.body {
        EntryBody::Configuration(configuration) => Some(configuration),
        _ => None,
    }
}

impl Laws {
    pub fn committed(&self) -> &[Entry] {
        &self.committed
    }

    pub fn acknowledged(&self) -> Index {
        self.acknowledged
    }

    /// The newest committed configuration at or before `index`.
    pub fn configuration_at(&self, index: Index) -> Option<&Configuration> {
        let upto = self.committed.len().min(index.0 as usize);
        self.committed[..upto].iter().rev().find_map(configuration_of)
    }

    /// `holds(id, index, term)`: whether that member's log has, or had when it died, that entry.
    pub fn on_pass(
        &mut self,
        raft: &Raft,
        seen: &mut Seen,
        holds: impl Fn(MemberId, Index, Term) -> bool,
    ) {
        let status = raft.status();
        assert!(status.term >= seen.term, "the term of {} went back", status.id);
        assert!(status.commit_index >= seen.commit_index, "commit of {} went back", status.id);
        assert!(status.commit_index <= status.last_index, "committed what it does not have");
        assert!(raft.last_log_id().term <= status.term, "a log that is ahead of its member's term");
        seen.term = status.term;
        self.on_log(raft, &status, seen);
        if raft.is_leader() {
            self.on_leader(raft);
            if status.commit_index > seen.commit_index {
                let index = status.commit_index;
                let term = raft.entry(index).map(|entry| entry.term);
                let on = |id| id == status.id || term.is_none_or(|term| holds(id, index, term));
                assert!(
                    is_quorum(&status.configuration, on),
                    "{} committed {index} without a quorum",
                    status.id
                );
            }
            let is_committed = status.configuration_index <= status.commit_index;
            let is_voter = status.configuration.is_voter(status.id);
            assert!(is_voter || !is_committed, "a leader that was removed must step down");
        }
        seen.commit_index = status.commit_index;
        let transfer = status.transfer_target.filter(|_| raft.is_leader());
        let transfer = transfer.map(|target| (status.term, target, status.last_index));
        if let (Some((term, target, last)), Some(before)) = (transfer, seen.transfer)
            && (before.0, before.1) == (term, target)
        {
            assert_eq!(before.2, last, "appended while it hands over");
        }
        if let (Some((_, target, _)), None) = (transfer, seen.transfer) {
            let is_voter = status.configuration.voters.contains(&target);
            assert!(is_voter, "leadership is handed to who is no voter");
        }
        seen.transfer = transfer;
    }

    /// Election safety, leader completeness (Raft 5.2, 5.4.3); to be asked as soon as it leads,
    /// since what is committed later, by later leaders, it may well lack.
    pub fn on_leader(&mut self, raft: &Raft) {
        if let Some(known) = self.leaders.insert(raft.term(), raft.id()) {
            assert_eq!(known, raft.id(), "two leaders in term {}", raft.term());
            return;
        }
        self.counts.elections += 1;
        let status = raft.status();
        let votes = &self.votes;
        let voted = |id| id == status.id || votes.get(&(status.term, id)) == Some(&status.id);
        assert!(is_quorum(&status.configuration, voted), "{} leads without a quorum", status.id);
        // Whoever wins an election late, of a former term, may lack what was committed since.
        let known = self.committed.iter().zip(&self.committed_by);
        for (entry, _) in known.filter(|(_, by)| **by < status.term) {
            let own = raft.entry(entry.index);
            let is_there = entry.index < status.first_index || own == Some(entry);
            assert!(is_there, "a leader lacks the committed entry {}", entry.index);
        }
    }

    /// Log matching (Raft 5.3), and what a change of the configuration may be.
    fn on_log(&mut self, raft: &Raft, status: &Status, seen: &mut Seen) {
        let (first, last) = (status.first_index.0, status.last_index.0);
        seen.checked.truncate(last as usize);
        seen.checked.resize(last as usize, Term(u64::MAX));
        for index in (first..=last).rev() {
            let entry = raft.entry(Index(index)).expect("within the log");
            let checked = &mut seen.checked[index as usize - 1];
            if *checked == entry.term {
                break;
            }
            *checked = entry.term;
            if index == first {
                continue;
            }
            let before = raft.entry(Index(index - 1)).expect("within the log");
            assert!(before.at_ms <= entry.at_ms, "the clock of the log went back");
            let key = (entry.index, entry.term);
            let known = self.entries.get(&key);
            if let Some((known, term)) = known {
                assert_eq!((known, *term), (entry, before.term), "logs do not match at {key:?}");
                continue;
            }
            self.entries.insert(key, (entry.clone(), before.term));
            if raft.is_leader() && entry.term == status.term {
                self.on_change(raft, status, entry);
            }
        }
    }

    /// One change at a time, of voters only by way of a joint configuration (dissertation 4).
    fn on_change(&mut self, raft: &Raft, status: &Status, entry: &Entry) {
        let Some(next) = configuration_of(entry) else { return };
        let mut earlier = (status.first_index.0..entry.index.0).rev();
        let previous = earlier
            .find_map(|index| Some((Index(index), configuration_of(raft.entry(Index(index))?)?)));
        let known = self.configuration_at(entry.index.previous()).map(|c| (Index::ZERO, c));
        let Some((at, previous)) = previous.or(known) else { return };
        assert!(at <= status.commit_index, "a change began before the last was committed");
        let committed = self.committed.get(status.commit_index.0 as usize - 1);
        let is_own = committed.is_some_and(|committed| committed.term == status.term);
        assert!(is_own, "a change began before an entry of its leader's term was committed");
        match (previous.is_joint(), next.is_joint()) {
            (false, false) => {
                assert_eq!(previous.voters, next.voters, "voters changed without a joint step");
            }
            (false, true) => {
                assert_eq!(previous.voters, next.voters_outgoing, "the old half is another one");
            }
            (true, false) => assert_eq!(previous.voters, next.voters, "the new half has changed"),
            (true, true) => panic!("from one joint configuration to another"),
        }
        assert!(!next.voters.is_empty(), "nobody is left to vote");
        let slots = next.voters.iter().map(|id| next.member(*id).map(|member| &member.slot));
        let slots: BTreeSet<_> = slots.collect();
        assert_eq!(slots.len(), next.voters.len(), "two voters of one slot");
    }

    /// One vote per term (Raft 5.2), candidates are voters, and nobody speaks to a member that is
    /// not admitted yet. `raft` is the sender.
    pub fn on_message(&mut self, raft: &Raft, message: &Message) {
        let known = self.committed.len() as u64;
        assert!(message.to.0 <= known, "sent to {} before its admission was committed", message.to);
        if let Body::VoteRequest { .. } | Body::PreVoteRequest { .. } = message.body {
            let active = raft.configuration();
            let is_voter = |known: &Configuration| known.is_voter(raft.id());
            let committed = self.committed.iter().filter_map(configuration_of);
            let may = is_voter(active) || committed.into_iter().any(is_voter);
            assert!(may, "{} campaigns and was never a voter", raft.id());
        }
        let vote = match message.body {
            Body::VoteResponse { granted: true } => (message.from, message.to),
            Body::VoteRequest { .. } => (message.from, message.from),
            _ => return,
        };
        let (voter, candidate) = vote;
        let known = *self.votes.entry((message.term, voter)).or_insert(candidate);
        assert_eq!(known, candidate, "{voter} voted twice in term {}", message.term);
    }

    /// State machine safety (Raft 5.4.3), exactly once.
    pub fn on_committed(&mut self, raft: &Raft, seen: &mut Seen, entry: &Entry) {
        assert_eq!(entry.index, seen.applied.next(), "handed out in order, without a gap");
        seen.applied = entry.index;
        seen.digest = digest(seen.digest, entry);
        let at = entry.index.0 as usize - 1;
        if let Some(known) = self.committed.get(at) {
            assert_eq!(known, entry, "two entries committed at {}", entry.index);
            assert_eq!(self.digests[at], seen.digest, "states differ at {}", entry.index);
            return;
        }
        assert_eq!(at, self.committed.len(), "committed out of order");
        self.digests.push(seen.digest);
        self.counts.committed += 1;
        self.counts.swaps += u64::from(configuration_of(entry).is_some_and(|c| c.is_joint()));
        if let EntryBody::Batch { origin, stream, seq, payload } = &entry.body {
            let last = self.last_seq.entry((*origin, *stream)).or_default();
            assert_eq!(*seq, last.next(), "stream {stream} of {origin} has a gap or a repetition");
            *last = *seq;
            if !payload.is_empty() {
                let bytes = payload.as_slice().to_vec();
                assert!(!self.never_sent.contains(&bytes), "given up as never sent, and executed");
                assert!(self.payloads.insert(bytes), "executed twice");
            }
        }
        for member in configuration_of(entry).iter().flat_map(|known| &known.members) {
            let id = *self.bound.entry(member.boot).or_insert(member.id);
            assert_eq!(id, member.id, "a process was admitted twice");
        }
        self.committed.push(entry.clone());
        self.committed_by.push(raft.term());
    }

    pub fn on_answered(&mut self, index: Index) {
        self.acknowledged = self.acknowledged.max(index);
    }

    pub fn on_never_sent(&mut self, payload: Vec<u8>) {
        assert!(!self.payloads.contains(&payload), "given up as never sent, though executed");
        self.never_sent.insert(payload);
    }

    /// Linearizability: `floor` is what was acknowledged anywhere before the read was submitted.
    pub fn on_read(&mut self, read: &ReadReady, floor: Index) {
        assert!(read.index >= floor, "stale read at {} below {floor}", read.index);
        assert!(read.index.0 <= self.committed.len() as u64, "read of what is not committed");
        self.counts.reads += 1;
        self.on_answered(read.index);
    }

    pub fn on_snapshot(&self, state: &SnapshotState) {
        let known = self.configuration_at(state.last_index);
        let same = known.is_some_and(|known| *known == *state.configuration);
        assert!(same, "a snapshot with a configuration that is not that of its end");
        let last = self.committed.get(state.last_index.0 as usize - 1);
        let is_last = last.is_some_and(|last| last.term == state.last_term);
        assert!(is_last, "a snapshot that ends with another entry than was committed there");
    }
}
