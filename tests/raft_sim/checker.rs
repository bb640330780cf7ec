//! The invariants of consensus, checked after every step in proportion to what is new.
//!
//! A checker watches one cluster and sees everything at once, as no member can: every log, dead
//! members' included, every vote, every entry handed out. It panics at the first thing that is not
//! as [`crate::invariants`] says. It is stated over [`Consensus`] alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use mayfly::raft::SnapshotState;
use mayfly::raft::types::{
    Boot, Configuration, Entry, EntryBody, Index, MemberId, Millis, Seq, Stream, Term,
};
use smallvec::SmallVec;

use crate::consensus::{Consensus, View};
use crate::invariants::ensure;
use crate::rng::Fold;

/// The other members, dead or alive.
pub trait Peers<C> {
    fn peer(&self, id: MemberId) -> Option<&C>;
}

/// An entry that was seen in a log: the one of its term that may stand at its index.
#[derive(Clone, Copy, Debug)]
struct Seen {
    term: Term,
    fingerprint: u64,
    /// The term of the entry before it, once that is known.
    before: Option<Term>,
}

/// A committed entry that was handed out.
/// The leader of a term, and up to where entries were committed when it was elected.
#[derive(Clone, Copy, Debug)]
struct Elected {
    id: MemberId,
    committed: Index,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    at_ms: Millis,
    batch: Option<(MemberId, Stream, Seq)>,
}

/// What a check has found to be new.
#[derive(Clone, Copy, Debug, Default)]
pub struct News {
    pub elected: bool,
    pub committed: u64,
    pub configurations: u64,
    pub promotions: u64,
}

pub struct Checker {
    exactly_once: bool,
    /// How long before its promotion a learner must have had all that was committed.
    election_timeout_ms: Millis,
    leaders: BTreeMap<Term, Elected>,
    /// By index from 1 on.
    seen: Vec<SmallVec<[Seen; 1]>>,
    /// By index from 1 on: the term of what some member takes for committed.
    committed: Vec<Term>,
    placed: Vec<Placed>,
    digests: BTreeMap<Index, u128>,
    last_seq: BTreeMap<(MemberId, Stream), Seq>,
    boots: BTreeMap<MemberId, Boot>,
    members: BTreeMap<Boot, MemberId>,
    removed: BTreeSet<MemberId>,
    /// The newest committed one.
    configuration: Arc<Configuration>,
    knows_configuration: bool,
    news: News,
}

/// What a checker remembers of one member.
#[derive(Default)]
pub struct Watched {
    view: View,
    /// Terms of the log as last checked, from entry 1 on. What a snapshot stands for is unknown.
    terms: Vec<Term>,
    configurations: Vec<(Index, Arc<Configuration>)>,
    /// The commit index by the member's own clock.
    commits: VecDeque<(Millis, Index)>,
    /// The last entry handed out or loaded with a snapshot.
    pub applied: Index,
}

const UNKNOWN: Term = Term(u64::MAX);

fn fingerprint(entry: &Entry) -> u64 {
    let mut fold = Fold::default();
    (entry.index, entry.term, entry.at_ms, entry.seed).hash(&mut fold);
    match &entry.body {
        EntryBody::Noop => fold.add(1),
        EntryBody::Tick => fold.add(2),
        EntryBody::Batch { origin, stream, seq, payload } => {
            (origin, stream, seq, payload.len(), payload.checksum()).hash(&mut fold);
        }
        EntryBody::Configuration(configuration) => configuration.hash(&mut fold),
    }
    fold.finish()
}

impl Checker {
    pub fn new(exactly_once: bool, election_timeout_ms: Millis) -> Self {
        Self {
            exactly_once,
            election_timeout_ms,
            leaders: BTreeMap::new(),
            seen: Vec::new(),
            committed: Vec::new(),
            placed: Vec::new(),
            digests: BTreeMap::new(),
            last_seq: BTreeMap::new(),
            boots: BTreeMap::new(),
            members: BTreeMap::new(),
            removed: BTreeSet::new(),
            configuration: Arc::new(Configuration::default()),
            knows_configuration: false,
            news: News::default(),
        }
    }

    /// How many entries are committed and handed out somewhere.
    pub fn handed_out(&self) -> Index {
        Index(self.placed.len() as u64)
    }

    pub fn configuration(&self) -> &Arc<Configuration> {
        &self.configuration
    }

    pub fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// A process enters the cluster under an id, and so it does only once.
    pub fn on_born(&mut self, id: MemberId, boot: Boot) {
        self.bind(id, boot);
        let known = *self.members.entry(boot).or_insert(id);
        ensure!(known == id, Identity, "process {boot} has the ids {known} and {id}");
    }

    fn bind(&mut self, id: MemberId, boot: Boot) {
        let known = *self.boots.entry(id).or_insert(boot);
        ensure!(known == boot, Identity, "id {id} belongs to process {known}, not to {boot}");
        ensure!(!self.removed.contains(&id), Identity, "id {id} of a removed member is used again");
    }

    /// The entries that a founder begins with count as committed.
    pub fn on_founded<C: Consensus>(&mut self, raft: &C) {
        let view = raft.view();
        for index in self.committed.len() as u64 + 1..=view.commit_index.0 {
            let entry = raft.entry(Index(index)).expect("founders have the whole log");
            self.committed.push(entry.term);
        }
    }

    /// Checks a member after a step of it; `local_ms` is its monotonic clock.
    pub fn check<C: Consensus>(
        &mut self,
        raft: &C,
        watched: &mut Watched,
        local_ms: Millis,
        peers: &impl Peers<C>,
    ) {
        let view = raft.view();
        let View { id, term, .. } = view;
        let before = std::mem::replace(&mut watched.view, view);
        ensure!(term >= before.term, Monotonic, "the term of {id} went from {} back", before.term);
        let (commit, commit_before) = (view.commit_index, before.commit_index);
        ensure!(commit >= commit_before, Monotonic, "commit of {id}: {commit_before}, {commit}");
        let (handed, handed_before) = (view.handed_out_index, before.handed_out_index);
        ensure!(handed >= handed_before, Monotonic, "handed out: {handed_before}, {handed}");
        ensure!(
            term > before.term || before.voted_for.is_none() || before.voted_for == view.voted_for,
            OneVotePerTerm,
            "{id} voted for {:?} and {:?} in term {term}",
            before.voted_for,
            view.voted_for
        );
        ensure!(
            view.first_index.0 <= handed.0 + 1 && handed <= commit && commit <= view.last_index,
            LogOrder,
            "{view:?}"
        );
        self.check_log(raft, watched, commit_before, local_ms, peers);
        if commit > commit_before {
            self.note_commit(raft, commit_before, view, peers);
        }
        note_time(&mut watched.commits, local_ms, commit, self.election_timeout_ms);
        if view.is_leader && (!before.is_leader || term > before.term) {
            self.check_leader(raft, view);
        }
    }

    fn check_leader<C: Consensus>(&mut self, raft: &C, view: View) {
        let View { id, term, .. } = view;
        // Its last vote may have come late. Then it need not have what was committed in later
        // terms, which was nothing before the first leader of one of them.
        let later = self.leaders.range(term.next()..).map(|(_, elected)| elected.committed);
        let last = later.min().unwrap_or(Index(self.committed.len() as u64));
        let elected = Elected { id, committed: Index(self.committed.len() as u64) };
        let known = self.leaders.entry(term).or_insert(elected).id;
        ensure!(known == id, ElectionSafety, "{known} and {id} both lead term {term}");
        self.news.elected = true;
        ensure!(
            self.holds_committed(raft, last),
            LeaderCompleteness,
            "leader {id} of term {term} lacks committed entries up to {last}: {view:?}"
        );
    }

    /// Whether a log holds the committed entry at `index`: then, by log matching, all before it.
    fn holds_committed<C: Consensus>(&self, raft: &C, index: Index) -> bool {
        index.0 == 0 || holds(raft, index, self.committed[index.0 as usize - 1])
    }

    /// Raft 5.3: two logs with an entry of the same index and term are equal up to there.
    fn check_log<C: Consensus>(
        &mut self,
        raft: &C,
        watched: &mut Watched,
        commit_before: Index,
        local_ms: Millis,
        peers: &impl Peers<C>,
    ) {
        let View { id, first_index, last_index, .. } = watched.view;
        let (first, last) = (first_index.0 as usize, last_index.0 as usize);
        let mut start = last + 1;
        while start > first {
            let term = raft.entry(Index(start as u64 - 1)).expect("within the log").term;
            if watched.terms.get(start - 2) == Some(&term) {
                break;
            }
            start -= 1;
        }
        if start > last && watched.terms.len() == last {
            return;
        }
        ensure!(
            start as u64 > commit_before.0,
            CommittedImmutable,
            "{id} has replaced its entries from {start} on, committed up to {commit_before}"
        );
        watched.terms.truncate(start - 1);
        watched.terms.resize(start - 1, UNKNOWN);
        watched.configurations.retain(|(index, _)| index.0 < start as u64);
        for index in start..=last {
            let entry = raft.entry(Index(index as u64)).expect("within the log");
            let before = match index {
                1 => Some(Term(0)),
                _ => watched.terms.get(index - 2).copied().filter(|term| *term != UNKNOWN),
            };
            let is_new = self.note_entry(&entry, before);
            watched.terms.push(entry.term);
            if let EntryBody::Configuration(next) = &entry.body {
                if is_new {
                    self.check_change(watched, entry.index, next, local_ms, peers);
                }
                watched.configurations.push((entry.index, Arc::clone(next)));
            }
        }
    }

    /// Whether nobody had such an entry before.
    fn note_entry(&mut self, entry: &Entry, before: Option<Term>) -> bool {
        let at = entry.index.0 as usize - 1;
        if self.seen.len() <= at {
            self.seen.resize_with(at + 1, SmallVec::new);
        }
        let fingerprint = fingerprint(entry);
        let (index, term) = (entry.index, entry.term);
        let Some(seen) = self.seen[at].iter_mut().find(|seen| seen.term == term) else {
            self.seen[at].push(Seen { term, fingerprint, before });
            return true;
        };
        ensure!(
            seen.fingerprint == fingerprint,
            LogMatching,
            "two entries at {index} of term {term}, one is {entry:?}"
        );
        let matches = before.is_none() || seen.before.is_none() || seen.before == before;
        ensure!(
            matches,
            LogMatching,
            "before {index} of term {term} stand terms {before:?} and {:?}",
            seen.before
        );
        seen.before = seen.before.or(before);
        false
    }

    /// Entries that a member begins to take for committed.
    fn note_commit<C: Consensus>(
        &mut self,
        raft: &C,
        commit_before: Index,
        view: View,
        peers: &impl Peers<C>,
    ) {
        let View { id, commit_index, .. } = view;
        let mut is_new = false;
        for index in commit_before.0 + 1..=commit_index.0 {
            let known = self.committed.get(index as usize - 1).copied();
            let own = raft.entry(Index(index)).map(|entry| entry.term);
            match (own, known) {
                (None, _) => ensure!(
                    known.is_some(),
                    StateMachineSafety,
                    "{id} skips {index}, which nobody has committed"
                ),
                (Some(own), Some(known)) => ensure!(
                    own == known,
                    StateMachineSafety,
                    "{id} commits {index} of term {own}, others of term {known}"
                ),
                (Some(own), None) => {
                    is_new = true;
                    self.news.committed += 1;
                    self.committed.push(own);
                }
            }
        }
        if is_new {
            self.check_quorum(raft, commit_index, peers);
        }
    }

    /// A commit that nobody knew of before: of the first who does, the configuration counts.
    fn check_quorum<C: Consensus>(&self, raft: &C, index: Index, peers: &impl Peers<C>) {
        let term = self.committed[index.0 as usize - 1];
        let own_id = raft.view().id;
        let has = |id: &&MemberId| match **id == own_id {
            true => true,
            false => peers.peer(**id).is_some_and(|peer| holds(peer, index, term)),
        };
        let configuration = raft.configuration();
        for voters in [&configuration.voters, &configuration.voters_outgoing] {
            let count = voters.iter().filter(has).count();
            ensure!(
                count * 2 > voters.len() || voters.is_empty(),
                CommittedOnQuorum,
                "{own_id} commits {index} of term {term}, which {count} of {voters:?} hold"
            );
        }
        // Raft 5.4.3 holds for leaders of later terms, those elected already among them.
        let Some((newest, Elected { id, .. })) = self.leaders.last_key_value() else { return };
        let Some(leader) = peers.peer(*id).filter(|_| *id != own_id) else { return };
        let view = leader.view();
        ensure!(
            !view.is_leader
                || view.term != *newest
                || *newest < term
                || self.holds_committed(leader, index),
            LeaderCompleteness,
            "{index} is committed in an earlier term, but leader {id} of {newest} lacks it"
        );
    }

    /// A new configuration at `index`, whose predecessors in its log are those of `watched`.
    fn check_change<C: Consensus>(
        &mut self,
        watched: &Watched,
        index: Index,
        next: &Configuration,
        local_ms: Millis,
        peers: &impl Peers<C>,
    ) {
        self.news.configurations += 1;
        let Some((at, former)) = watched.configurations.last() else {
            ensure!(!self.knows_configuration, OneChangeInFlight, "a second first configuration");
            self.knows_configuration = true;
            return;
        };
        ensure!(
            *at <= watched.view.commit_index,
            OneChangeInFlight,
            "configuration {index} follows {at}, which is not committed yet"
        );
        let same_voters = next.voters == former.voters;
        let is_sound = match (former.is_joint(), next.is_joint()) {
            (true, false) | (false, false) => same_voters,
            (false, true) => next.voters_outgoing == former.voters && !same_voters,
            (true, true) => false,
        };
        ensure!(is_sound, OneChangeInFlight, "{next:?} at {index} follows {former:?}");
        for member in &next.members {
            let is_known = former.member(member.id).is_some();
            ensure!(
                is_known || member.id.0 == index.0,
                Identity,
                "{} is admitted by entry {index}",
                member.id
            );
        }
        for id in next.voters.iter().filter(|id| !former.is_voter(**id)) {
            self.news.promotions += 1;
            let goal = commit_at(&watched.commits, local_ms, self.election_timeout_ms);
            let last = peers.peer(*id).map_or(Index::ZERO, |peer| peer.view().last_index);
            ensure!(
                former.is_learner(*id) && !former.is_observer(*id) && last >= goal,
                PromotionAfterCatchUp,
                "{id} becomes a voter with entries up to {last}, {goal} was committed; {former:?}"
            );
        }
    }

    /// An entry is handed out to be applied. Whether it is the first time.
    pub fn on_handed_out(&mut self, watched: &mut Watched, entry: &Entry) -> bool {
        let Entry { index, term, .. } = *entry;
        let id = watched.view.id;
        ensure!(
            index == watched.applied.next(),
            StateMachineSafety,
            "{id} gets {index} after {}",
            watched.applied
        );
        watched.applied = index;
        let at = index.0 as usize - 1;
        let fingerprint = fingerprint(entry);
        let is_seen = self.seen.get(at).is_some_and(|seen| {
            seen.iter().any(|seen| (seen.term, seen.fingerprint) == (term, fingerprint))
        });
        ensure!(
            is_seen && self.committed.get(at) == Some(&term),
            StateMachineSafety,
            "{id} gets {entry:?}, which is not what was committed"
        );
        if at < self.placed.len() {
            return false;
        }
        let at_ms = entry.at_ms;
        let before_ms = self.placed.last().map_or(0, |placed| placed.at_ms);
        ensure!(at_ms >= before_ms, Monotonic, "the clock of the log went from {before_ms} back");
        let batch = match &entry.body {
            EntryBody::Batch { origin, stream, seq, .. } => Some((*origin, *stream, *seq)),
            EntryBody::Configuration(configuration) => {
                self.note_configuration(configuration);
                None
            }
            EntryBody::Noop | EntryBody::Tick => None,
        };
        self.placed.push(Placed { at_ms, batch });
        if let Some((origin, stream, seq)) = batch.filter(|_| self.exactly_once) {
            let last = self.last_seq.insert((origin, stream), seq).unwrap_or_default();
            ensure!(
                seq == last.next(),
                ExactlyOnce,
                "batch {seq} of stream {stream} of {origin} at {index} follows batch {last}"
            );
        }
        true
    }

    /// A configuration is committed.
    pub fn note_configuration(&mut self, configuration: &Arc<Configuration>) {
        for (at, member) in configuration.members.iter().enumerate() {
            self.bind(member.id, member.boot);
            let mut before = configuration.members[..at].iter();
            let is_new = before.all(|other| other.boot != member.boot);
            ensure!(is_new, Identity, "two members are process {}", member.boot);
        }
        for member in &self.configuration.members {
            if configuration.member(member.id).is_none() {
                self.removed.insert(member.id);
            }
        }
        self.configuration = Arc::clone(configuration);
    }

    /// The state of a member after it has applied everything up to `index`.
    pub fn on_digest(&mut self, watched: &Watched, digest: u128) {
        let index = watched.applied;
        let known = *self.digests.entry(index).or_insert(digest);
        ensure!(
            known == digest,
            StateMachineSafety,
            "the state of {} after {index} differs from that of others",
            watched.view.id
        );
    }

    /// A member goes on from a snapshot.
    pub fn on_installed(&mut self, watched: &mut Watched, state: &SnapshotState) {
        let SnapshotState { last_index, last_term, .. } = *state;
        let id = watched.view.id;
        ensure!(
            last_index > watched.applied,
            Monotonic,
            "{id} goes back from {} to {last_index}",
            watched.applied
        );
        ensure!(
            self.committed.get(last_index.0 as usize - 1) == Some(&last_term),
            StateMachineSafety,
            "{id} installs a snapshot up to {last_index} of term {last_term}"
        );
        watched.applied = last_index;
        let at = last_index.0 as usize - 1;
        if watched.terms.len() <= at {
            watched.terms.resize(at + 1, UNKNOWN);
        }
        watched.terms[at] = last_term;
        watched.configurations.retain(|(index, _)| *index > last_index);
        watched.configurations.insert(0, (last_index, Arc::clone(&state.configuration)));
    }

    /// The checker of the cluster that a survivor goes on with alone, whose whole log stays: it
    /// counts as committed up to `recovered`, the configuration that says so.
    pub fn fork<C: Consensus>(&self, raft: &C, watched: &mut Watched, recovered: Index) -> Self {
        let View { id, first_index, handed_out_index, .. } = raft.view();
        let mut fork = Self::new(self.exactly_once, self.election_timeout_ms);
        fork.knows_configuration = true;
        fork.committed = self.committed[..first_index.0 as usize - 1].to_vec();
        watched.terms.clone_from(&fork.committed);
        for index in first_index.0..=recovered.0 {
            let entry = raft.entry(Index(index)).expect("within the log");
            let before = watched.terms.last().copied();
            fork.note_entry(&entry, before.or(Some(Term(0))));
            fork.committed.push(entry.term);
            watched.terms.push(entry.term);
        }
        watched.configurations = vec![(recovered, Arc::clone(raft.configuration()))];
        for placed in &self.placed[..handed_out_index.0 as usize] {
            fork.placed.push(*placed);
            if let Some((origin, stream, seq)) = placed.batch {
                fork.last_seq.insert((origin, stream), seq);
            }
        }
        fork.boots = self.boots.iter().filter(|(known, _)| **known == id).map(pair).collect();
        fork.members = self.members.iter().filter(|(_, known)| **known == id).map(pair).collect();
        fork.configuration = Arc::clone(raft.configuration());
        fork
    }
}

fn pair<K: Copy, V: Copy>((key, value): (&K, &V)) -> (K, V) {
    (*key, *value)
}

/// Whether a log holds the entry of `term` at `index`, or a snapshot stands for it.
fn holds<C: Consensus>(raft: &C, index: Index, term: Term) -> bool {
    match raft.entry(index) {
        Some(entry) => entry.term == term,
        None => {
            let view = raft.view();
            index < view.first_index && index <= view.commit_index
        }
    }
}

/// Keeps what is needed to tell the commit index of `timeout` ago.
fn note_time(
    commits: &mut VecDeque<(Millis, Index)>,
    local_ms: Millis,
    commit: Index,
    timeout: Millis,
) {
    if commits.back().is_none_or(|(_, known)| *known < commit) {
        commits.push_back((local_ms, commit));
    }
    while commits.get(1).is_some_and(|(at_ms, _)| at_ms + timeout <= local_ms) {
        commits.pop_front();
    }
}

fn commit_at(commits: &VecDeque<(Millis, Index)>, local_ms: Millis, timeout: Millis) -> Index {
    let then = commits.iter().rfind(|(at_ms, _)| at_ms + timeout <= local_ms);
    then.map_or(Index::ZERO, |(_, commit)| *commit)
}
