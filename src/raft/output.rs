//! What a pass has brought: everything the caller is to do, gathered and handed over at once.

use std::mem;
use std::sync::Arc;

use super::Raft;
use super::message::{Body, Message};
use super::origin::GivenUp;
use super::quorum::reached_by_quorum;
use super::read::ReadReady;
use super::role::Role;
use super::transfer::TransferError;
use super::types::{Configuration, Entry, EntryBody, MemberId, Millis, Round, Ticket};

/// An entry to be applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Committed {
    pub entry: Entry,
    /// The batch of this node's clients that it is, unless that was given up.
    pub ticket: Option<Ticket>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Output {
    pub messages: Vec<Message>,
    /// In log order, each entry once.
    pub committed: Vec<Committed>,
    pub reads: Vec<ReadReady>,
    pub given_up: Vec<GivenUp>,
    /// The configuration in force, if it changed: it was appended, truncated or installed.
    pub configuration: Option<Arc<Configuration>>,
    /// Peers that need a snapshot to go on.
    pub snapshots_wanted: Vec<MemberId>,
    /// How the running leadership transfer ended.
    pub transfer: Option<Result<(), TransferError>>,
}

impl Output {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Empties it and keeps its buffers.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.committed.clear();
        self.reads.clear();
        self.given_up.clear();
        self.configuration = None;
        self.snapshots_wanted.clear();
        self.transfer = None;
    }
}

impl Raft {
    /// Whether [`Self::take_output`] has work to do. It may still come to nothing.
    pub fn has_output(&self) -> bool {
        self.dirty
    }

    /// Concludes the pass.
    pub fn take_output(&mut self) -> Output {
        let mut output = Output::default();
        self.take_output_into(&mut output);
        output
    }

    /// As [`Self::take_output`], into the buffers of `output`, whose content is dropped.
    pub fn take_output_into(&mut self, output: &mut Output) {
        output.clear();
        if !mem::take(&mut self.dirty) {
            return;
        }
        self.release_held();
        self.pump_origin();
        // A single voter commits the end of a joint configuration as soon as it has begun it.
        while self.advance_commit() {
            self.advance_membership();
        }
        self.hand_out_committed();
        self.ask_for_reads();
        self.conclude_rounds();
        self.send_expected();
        self.send_appends();
        self.send_acknowledgement();
        self.dismiss_the_removed();
        mem::swap(&mut self.out, output);
    }

    fn hand_out_committed(&mut self) {
        if self.handed_out_index == self.commit_index {
            return;
        }
        let now = self.now.monotonic_ms;
        let mut peers = match &mut self.role {
            Role::Leader(leader) => Some(&mut leader.peers),
            _ => None,
        };
        for entry in self.log.range(self.handed_out_index, self.commit_index) {
            let mut ticket = None;
            match &entry.body {
                EntryBody::Batch { origin, stream, seq, .. } if *origin == self.id => {
                    ticket = self.origin.committed(*stream, *seq, now);
                }
                // Its clients wait for nothing but the commit index: it is told at once.
                EntryBody::Batch { origin, .. } => {
                    let peer =
                        peers.iter_mut().flat_map(|p| p.iter_mut()).find(|p| p.id == *origin);
                    if let Some(peer) = peer {
                        peer.owed = true;
                    }
                }
                // Everybody in or out of a configuration acts on its commit.
                EntryBody::Configuration(_) => {
                    for peer in peers.iter_mut().flat_map(|p| p.iter_mut()) {
                        peer.owed = true;
                    }
                }
                EntryBody::Noop | EntryBody::Tick => {}
            }
            self.out.committed.push(Committed { entry: entry.clone(), ticket });
        }
        self.handed_out_index = self.commit_index;
        // A window of the own streams may have opened.
        self.pump_origin();
    }

    /// Asks the leader, or as leader oneself, for a read index for all reads of this pass.
    fn ask_for_reads(&mut self) {
        let Some(leader_id) = self.leader_id() else { return };
        let repeat_at_ms = self.now.monotonic_ms + 2 * self.config.heartbeat_interval_ms;
        let Some(id) = self.own_reads.take_request(repeat_at_ms) else { return };
        if let Role::Leader(leader) = &mut self.role {
            leader.rounds.gather(self.id, id);
        } else {
            self.send(leader_id, Body::ReadIndexRequest { id });
        }
    }

    pub(super) fn on_read_index_request(&mut self, from: MemberId, id: u64) {
        if !self.configuration().may_serve(from) {
            return;
        }
        let commit_index = self.commit_index;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(peer) = leader.peers.iter_mut().find(|peer| peer.id == from) else { return };
        // The index is of no use to a reader that does not learn that it is committed.
        peer.owed |= peer.commit_sent < commit_index;
        leader.rounds.gather(from, id);
    }

    fn conclude_rounds(&mut self) {
        self.confirm_rounds();
        // Dissertation 6.4: until an entry of its term is committed, a leader does not know which
        // entries are.
        if !self.has_committed_own_term() {
            return;
        }
        let commit_index = self.commit_index;
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.rounds.begin(commit_index) {
            // A single voter is a quorum.
            self.confirm_rounds();
        }
    }

    /// Answers the requests of every round that a quorum has answered.
    fn confirm_rounds(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        if !leader.rounds.is_waiting() {
            return;
        }
        let current = leader.rounds.current();
        let answered = Round(reached_by_quorum(self.configuration(), |id| {
            if id == self.id {
                current.0
            } else {
                leader.peers.iter().find(|p| p.id == id).map_or(0, |p| p.round_acked.0)
            }
        }));
        let at_ms = self.log.last_at_ms().max(self.now.unix_ms);
        let Role::Leader(leader) = &mut self.role else { return };
        while let Some((index, requests)) = leader.rounds.take_confirmed(answered) {
            for request in requests {
                if request.reader == self.id {
                    self.own_reads.ready(request.id, index, at_ms, &mut self.out.reads);
                } else {
                    let body = Body::ReadIndexResponse { id: request.id, index, at_ms };
                    let (from, term) = (self.id, self.term);
                    self.out.messages.push(Message { from, to: request.reader, term, body });
                }
            }
        }
    }

    /// What waits for a leader is asked again or given up.
    pub(super) fn tick_waiting(&mut self) {
        let now: Millis = self.now.monotonic_ms;
        let timeout = self.config.no_leader_timeout_ms;
        match self.leaderless_ms {
            None => {
                let stalled = self.origin.rewind_stalled(self.config.election_timeout_ms, now);
                let overdue = self.own_reads.ask_again_if_overdue(now);
                self.dirty |= stalled || overdue;
            }
            Some(since) if now - since >= timeout => {
                let given_up = &mut self.out.given_up;
                self.origin.give_up(since, timeout, now, given_up);
                self.own_reads.give_up(since, timeout, now, given_up);
                self.dirty |= !given_up.is_empty();
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
