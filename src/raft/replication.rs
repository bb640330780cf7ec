//! Replication: the leader appends, sends, counts and commits; a follower checks, appends and
//! acknowledges (Raft 5.3, 5.4).
//!
//! Work per pass is in proportion to what is new and to the number of peers: requests are built
//! once per pass and peer, acknowledgements to the same leader become one.

use std::sync::Arc;

use super::message::{Body, Message};
use super::progress::{Progress, ProgressState};
use super::quorum::reached_by_quorum;
use super::role::{Leader, Role};
use super::types::{
    Configuration, Entry, EntryBody, Index, MemberId, Payload, Round, Seq, Stream, Term,
};
use super::{NUMBER_MAX, Raft};

/// What a follower owes the leader of its term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Acknowledgement {
    leader_id: MemberId,
    match_index: Index,
    round: Round,
}

impl Raft {
    pub(super) fn peer_mut(&mut self, id: MemberId) -> Option<&mut Progress> {
        match &mut self.role {
            Role::Leader(leader) => leader.peers.iter_mut().find(|peer| peer.id == id),
            _ => None,
        }
    }

    /// Precondition: this leads, or creates the cluster.
    pub(super) fn append(&mut self, body: EntryBody) -> Index {
        let entry = Entry {
            index: self.log.last_index().next(),
            term: self.term,
            // The clock of the log never goes back, whatever that of a leader does.
            at_ms: self.log.last_at_ms().max(self.now.unix_ms),
            seed: self.rng.next_u64(),
            body,
        };
        let index = entry.index;
        self.dirty = true;
        self.push(entry);
        index
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.watermarks.note(&entry);
        let changed = match &entry.body {
            EntryBody::Configuration(configuration) => Some(Arc::clone(configuration)),
            _ => None,
        };
        let index = entry.index;
        self.log.append(entry);
        if let Some(configuration) = changed {
            self.activate(index, configuration);
        }
    }

    /// Dissertation 4.1: a configuration counts from its entry on, committed or not.
    fn activate(&mut self, index: Index, configuration: Arc<Configuration>) {
        self.out.configuration = Some(Arc::clone(&configuration));
        self.configurations.push((index, configuration));
        self.sync_peers();
    }

    /// Whether the client batches and changes of this moment may go to the own log.
    pub(super) fn accepts_proposals(&self) -> bool {
        self.is_leader() && self.transfer.is_none()
    }

    pub(super) fn tick_leader(&mut self) {
        self.check_quorum();
        let now = self.now.monotonic_ms;
        let Role::Leader(leader) = &mut self.role else { return };
        if now < leader.heartbeat_ms {
            return;
        }
        leader.heartbeat_ms = now + self.config.heartbeat_interval_ms;
        for peer in &mut leader.peers {
            peer.owed = true;
        }
        self.dirty = true;
        self.urge_transfer();
        // A change that a transfer held up goes on when that has failed.
        self.advance_membership();
    }

    pub(super) fn on_append_request(
        &mut self,
        from: MemberId,
        previous: (Index, Term),
        leader_commit_index: Index,
        round: Round,
        entries: Vec<Entry>,
    ) {
        let (prev_index, prev_term) = previous;
        if !self.is_well_formed(previous, &entries) {
            return;
        }
        // Raft 5.3, the consistency check. Committed entries are in the log of every later leader
        // (5.4.3), so there is nothing to compare up to the commit index.
        if prev_index > self.commit_index && self.log.term_at(prev_index) != Some(prev_term) {
            let (hint_index, hint_term) = self.log.last_not_after_term(prev_index, prev_term);
            self.send(from, Body::AppendRejected { prev_index, hint_index, hint_term, round });
            return;
        }
        let last_new = Index(prev_index.0 + entries.len() as u64);
        for entry in entries {
            if entry.index <= self.commit_index {
                continue;
            }
            if entry.index <= self.log.last_index() {
                if self.log.term_at(entry.index) == Some(entry.term) {
                    continue;
                }
                self.truncate(entry.index);
            }
            self.push(entry);
        }
        // Not beyond what this request has shown to equal the leader's log.
        self.commit_index = self.commit_index.max(leader_commit_index.min(last_new));
        let match_index = self.commit_index.max(last_new);
        let due = self.unacknowledged.get_or_insert(Acknowledgement {
            leader_id: from,
            match_index,
            round,
        });
        due.leader_id = from;
        due.match_index = due.match_index.max(match_index);
        due.round = due.round.max(round);
    }

    /// Whether the entries are what a leader of this term can have: contiguous, terms in order,
    /// nothing in them that nobody can have appended.
    fn is_well_formed(&self, previous: (Index, Term), entries: &[Entry]) -> bool {
        let (mut index, mut term) = previous;
        if index.0 >= NUMBER_MAX || term > self.term {
            return false;
        }
        for entry in entries {
            if entry.index != index.next() || entry.term < term || entry.term > self.term {
                return false;
            }
            let is_possible = match &entry.body {
                EntryBody::Batch { seq, .. } => seq.0 < NUMBER_MAX,
                EntryBody::Configuration(configuration) => configuration.is_sound(),
                EntryBody::Noop | EntryBody::Tick => true,
            };
            if !is_possible || entry.at_ms >= NUMBER_MAX {
                return false;
            }
            (index, term) = (entry.index, entry.term);
        }
        // Entries behind the commit index continue the own log, whose terms never decrease.
        let first_new = entries.iter().find(|entry| entry.index > self.commit_index);
        let before = first_new.and_then(|entry| self.log.term_at(entry.index.previous()));
        let fits = |before| first_new.is_none_or(|entry| before <= entry.term);
        before.is_none_or(fits)
    }

    /// Drops the uncommitted entries from `index` on; configurations among them lose their effect.
    fn truncate(&mut self, index: Index) {
        assert!(index > self.commit_index, "committed entries are never truncated");
        self.log.truncate(index);
        let kept = self.configurations.partition_point(|(at, _)| *at < index);
        if kept < self.configurations.len() {
            self.configurations.truncate(kept);
            self.out.configuration = Some(Arc::clone(self.configuration()));
        }
        self.watermarks = self.watermarks_base.clone();
        for entry in self.log.range(self.log.snapshot_index(), self.log.last_index()) {
            self.watermarks.note(entry);
        }
    }

    pub(super) fn on_append_accepted(&mut self, from: MemberId, match_index: Index, round: Round) {
        let now = self.now.monotonic_ms;
        if match_index > self.log.last_index() {
            return;
        }
        let known = self.log.term_at(match_index).is_some();
        let Some(peer) = self.peer_mut(from) else { return };
        peer.heard(round, now);
        // A peer that waits for a snapshot says where it is with every heartbeat; once that is
        // within the log again, replication goes on from there.
        if peer.state == ProgressState::Snapshot && !known {
            return;
        }
        peer.accepted(match_index);
        self.on_peer_advanced(from);
    }

    pub(super) fn on_append_rejected(
        &mut self,
        from: MemberId,
        prev_index: Index,
        hint: (Index, Term),
        round: Round,
    ) {
        let now = self.now.monotonic_ms;
        let (agree_index, _) = self.log.last_not_after_term(hint.0, hint.1);
        // The hint may lie before the log: then only a snapshot helps, and the send finds out.
        let agree_index = agree_index.min(hint.0);
        let Some(peer) = self.peer_mut(from) else { return };
        peer.heard(round, now);
        peer.rejected(prev_index, agree_index);
    }

    /// A batch of another member's clients. Each number of a stream goes into the log once and in
    /// order, so whatever is sent twice is executed once.
    pub(super) fn on_forward(
        &mut self,
        from: MemberId,
        stream: Stream,
        seq: Seq,
        payload: Payload,
    ) {
        if !self.accepts_proposals() || !self.configuration().may_serve(from) {
            return;
        }
        let last = self.last_taken(from, stream);
        if seq == last.next() && seq.0 < NUMBER_MAX {
            self.take_batch(from, stream, seq, payload);
        } else if seq > last && !self.expected_owed.contains(&(from, stream)) {
            self.expected_owed.push((from, stream));
        }
    }

    pub(super) fn send_expected(&mut self) {
        for (origin, stream) in std::mem::take(&mut self.expected_owed) {
            if self.configuration().member(origin).is_none() {
                continue;
            }
            let expected = self.last_taken(origin, stream).next();
            self.send(origin, Body::ForwardExpected { stream, expected });
        }
    }

    /// Sends what this node's clients wait for: to the own log, or to the leader.
    pub(super) fn pump_origin(&mut self) {
        let Some(leader_id) = self.leader_id() else { return };
        // The watermarks of who is no member any more are forgotten, so a leader that has removed
        // itself no longer knows which of its batches are in the log.
        let appends = self.accepts_proposals() && self.configuration().member(self.id).is_some();
        if leader_id == self.id && (!appends || self.is_held()) {
            return;
        }
        let window_bytes = self.config.inflight_bytes_max;
        let now = self.now.monotonic_ms;
        let mut origin = std::mem::take(&mut self.origin);
        origin.pump(window_bytes, now, |stream, seq, payload| {
            if leader_id != self.id {
                self.send(leader_id, Body::Forward { stream, seq, payload: payload.clone() });
            } else if seq == self.watermarks.get(self.id, stream).next() {
                let payload = payload.clone();
                self.append(EntryBody::Batch { origin: self.id, stream, seq, payload });
            }
        });
        self.origin = origin;
    }

    /// Raft 5.3, 5.4.2: commits what a quorum holds. Whether anything was committed.
    pub(super) fn advance_commit(&mut self) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let last_index = self.log.last_index();
        let reached = Index(reached_by_quorum(self.configuration(), |id| {
            if id == self.id { last_index.0 } else { leader.match_index(id).0 }
        }));
        // Raft 5.4.2: only entries of the current term commit by counting, the others with them.
        if reached <= self.commit_index || self.log.term_at(reached) != Some(self.term) {
            return false;
        }
        self.commit_index = reached;
        true
    }

    /// One AppendRequest per peer for all that was appended in this pass, as far as its window
    /// allows; an empty one where something is owed.
    pub(super) fn send_appends(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let asking = leader.rounds.is_waiting();
        let confirmers = if asking { self.round_confirmers() } else { 0 };
        let Role::Leader(leader) = &mut self.role else { return };
        let round = leader.rounds.current();
        for (position, peer) in leader.peers.iter_mut().enumerate() {
            if peer.held_until > self.commit_index {
                continue;
            }
            let mut sender = Sender {
                from: self.id,
                term: self.term,
                commit_index: self.commit_index,
                round,
                log: &self.log,
                messages: &mut self.out.messages,
            };
            let mut sent = sender.send_entries(peer, &self.config);
            let asked = asking && peer.round_sent < round && confirmers >> position & 1 == 1;
            if !sent && (peer.owed || asked) {
                sent = sender.send_empty(peer);
            }
            if sent {
                peer.owed = false;
                peer.round_sent = round;
                peer.commit_sent = self.commit_index;
            } else if sender.lacks_entries_for(peer) {
                peer.become_snapshot();
                self.out.snapshots_wanted.push(peer.id);
                let last_term = self.log.term_at(self.commit_index);
                let body = Body::SnapshotOffer {
                    last_index: self.commit_index,
                    last_term: last_term.expect("invariant: the commit index is in the log"),
                };
                let (from, to, term) = (self.id, peer.id, self.term);
                self.out.messages.push(Message { from, to, term, body });
            }
        }
    }

    /// The peers, as bits by position, that a read round of its own is sent to: as few as make a
    /// quorum with this leader, those heard last. Every request carries the current round, so what
    /// these fail to confirm the next heartbeat has confirmed by others.
    fn round_confirmers(&self) -> u64 {
        const ALL: u64 = u64::MAX;
        let Role::Leader(leader) = &self.role else { return ALL };
        let configuration = self.configuration();
        if configuration.is_joint() || !configuration.voters.contains(&self.id) {
            return ALL;
        }
        let missing = configuration.voters.len() / 2;
        let (mut chosen, mut count) = (0u64, 0);
        while count < missing {
            let is_free = |(position, peer): &(usize, &Progress)| {
                chosen >> position & 1 == 0
                    && peer.state == ProgressState::Replicate
                    && configuration.voters.contains(&peer.id)
            };
            let peers = leader.peers.iter().enumerate().filter(is_free);
            let Some((position, _)) = peers.max_by_key(|(_, peer)| peer.last_heard_ms) else {
                return ALL;
            };
            chosen |= 1 << position;
            count += 1;
        }
        chosen
    }

    /// Acknowledges all requests of this pass at once.
    pub(super) fn send_acknowledgement(&mut self) {
        if let Some(due) = self.unacknowledged.take() {
            let Acknowledgement { leader_id, match_index, round } = due;
            self.send(leader_id, Body::AppendAccepted { match_index, round });
        }
    }
}

impl Leader {
    pub(super) fn match_index(&self, id: MemberId) -> Index {
        self.peers.iter().find(|peer| peer.id == id).map_or(Index::ZERO, |peer| peer.match_index)
    }
}

/// What every AppendRequest of a pass has in common.
struct Sender<'a> {
    from: MemberId,
    term: Term,
    commit_index: Index,
    round: Round,
    log: &'a super::log::Log,
    messages: &'a mut Vec<Message>,
}

impl Sender<'_> {
    /// Whether anything was sent.
    fn send_entries(&mut self, peer: &mut Progress, config: &super::Config) -> bool {
        let last_index = self.log.last_index();
        match peer.state {
            ProgressState::Snapshot | ProgressState::Probe { paused: true } => false,
            ProgressState::Probe { paused: false } => {
                let previous = peer.next_index.previous();
                let Some(prev_term) = self.log.term_at(previous) else { return false };
                let mut entries = Vec::new();
                if peer.next_index <= last_index {
                    entries = self.log.collect(peer.next_index, config.append_bytes_max).0;
                }
                self.push(peer.id, (previous, prev_term), entries);
                peer.state = ProgressState::Probe { paused: true };
                true
            }
            ProgressState::Replicate => {
                let mut sent = false;
                while peer.next_index <= last_index
                    && peer.has_room(config.inflight_messages_max, config.inflight_bytes_max)
                {
                    let previous = peer.next_index.previous();
                    let Some(prev_term) = self.log.term_at(previous) else { break };
                    let (entries, bytes) =
                        self.log.collect(peer.next_index, config.append_bytes_max);
                    let last_sent = Index(previous.0 + entries.len() as u64);
                    self.push(peer.id, (previous, prev_term), entries);
                    peer.sent_ahead(last_sent, bytes);
                    sent = true;
                }
                sent
            }
        }
    }

    /// A heartbeat: the commit index, the round, and a check of where the peer is.
    fn send_empty(&mut self, peer: &Progress) -> bool {
        let previous = match peer.state {
            // Nothing of the log can be compared; nothing before it needs to be.
            ProgressState::Snapshot => Index::ZERO,
            _ => peer.next_index.previous(),
        };
        let prev_term = match peer.state {
            ProgressState::Snapshot => Term(0),
            _ => match self.log.term_at(previous) {
                Some(term) => term,
                None => return false,
            },
        };
        self.push(peer.id, (previous, prev_term), Vec::new());
        true
    }

    fn lacks_entries_for(&self, peer: &Progress) -> bool {
        let silent = match peer.state {
            ProgressState::Snapshot => true,
            ProgressState::Probe { paused } => paused && !peer.owed,
            ProgressState::Replicate => false,
        };
        !silent && self.log.term_at(peer.next_index.previous()).is_none()
    }

    fn push(&mut self, to: MemberId, previous: (Index, Term), entries: Vec<Entry>) {
        let body = Body::AppendRequest {
            prev_index: previous.0,
            prev_term: previous.1,
            commit_index: self.commit_index,
            round: self.round,
            entries,
        };
        self.messages.push(Message { from: self.from, to, term: self.term, body });
    }
}

#[cfg(test)]
mod tests;
