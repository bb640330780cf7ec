//! What consensus knows of snapshots: where they end, and what a log cannot be resumed without. How
//! a snapshot is made, sent and loaded is its caller's.

use std::sync::Arc;

use super::log::Log;
use super::message::Body;
use super::origin::{Watermark, Watermarks};
use super::progress::ProgressState;
use super::types::{Configuration, Index, MemberId, Millis, Term};
use super::{NUMBER_MAX, Raft};

/// What the log up to `last_index` amounts to for consensus. It travels with the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotState {
    pub last_index: Index,
    pub last_term: Term,
    /// The clock of the last entry.
    pub last_at_ms: Millis,
    /// The configuration in force at the last entry.
    pub configuration: Arc<Configuration>,
    /// The last sequence number of every stream.
    pub watermarks: Vec<Watermark>,
}

impl Raft {
    /// What a snapshot that ends with `last_index` must carry. `None` when that entry is compacted
    /// away or was not handed out. Walks the log up to it.
    pub fn snapshot_state(&self, last_index: Index) -> Option<SnapshotState> {
        if last_index > self.handed_out_index {
            return None;
        }
        let last_term = self.log.term_at(last_index)?;
        let last_at_ms = self.log.at_ms_at(last_index)?;
        let mut watermarks = self.watermarks_base.clone();
        for entry in self.log.range(self.log.snapshot_index(), last_index) {
            watermarks.note(entry);
        }
        let active = self.configurations.iter().rfind(|(index, _)| *index <= last_index);
        let (_, configuration) = active?;
        Some(SnapshotState {
            last_index,
            last_term,
            last_at_ms,
            configuration: Arc::clone(configuration),
            watermarks: watermarks.to_vec(),
        })
    }

    /// Goes on from a snapshot that the caller has received whole. False, and nothing changes, when
    /// this member has committed as much by now, or when the snapshot is none that a leader can
    /// have: then the caller must not load it.
    #[must_use]
    pub fn install_snapshot(&mut self, state: SnapshotState) -> bool {
        let SnapshotState { last_index, last_term, last_at_ms, configuration, watermarks } = state;
        if last_index <= self.commit_index || self.is_leader() {
            return false;
        }
        let numbers = [last_index.0, last_term.0, last_at_ms];
        if numbers.iter().any(|number| *number >= NUMBER_MAX) || !configuration.is_sound() {
            return false;
        }
        // There was a leader of its term, so what this member may yet say in an earlier one is
        // over; and the log that it goes on with must not be ahead of its own term.
        if last_term > self.term {
            self.become_follower(last_term, None);
        }
        let sane = watermarks.into_iter().filter(|mark| mark.seq.0 < NUMBER_MAX);
        let base = Watermarks::new(sane.collect());
        if self.log.term_at(last_index) == Some(last_term) {
            // Raft 7: what follows the snapshot is kept.
            self.log.compact(last_index, |_| {});
            self.configurations.retain(|(index, _)| *index > last_index);
            self.configurations.insert(0, (last_index, configuration));
        } else {
            self.log = Log::after_snapshot(last_index, last_term, last_at_ms);
            self.configurations = vec![(last_index, configuration)];
        }
        self.watermarks = base.clone();
        for entry in self.log.range(last_index, self.log.last_index()) {
            self.watermarks.note(entry);
        }
        self.origin.skip_to(self.id, &base, &mut self.out.given_up);
        self.watermarks_base = base;
        self.commit_index = last_index;
        self.handed_out_index = last_index;
        self.out.configuration = Some(Arc::clone(self.configuration()));
        self.dirty = true;
        if let Some(leader_id) = self.leader_id() {
            self.send(leader_id, Body::SnapshotInstalled { last_index });
        }
        true
    }

    /// The snapshot for `id` could not be sent or loaded. If still needed, it is wanted again with
    /// the next heartbeat.
    pub fn snapshot_failed(&mut self, id: MemberId) {
        if let Some(peer) = self.peer_mut(id)
            && peer.state == ProgressState::Snapshot
        {
            // Paused: it is wanted again with the next heartbeat, not at once and for ever.
            peer.state = ProgressState::Probe { paused: true };
        }
    }

    pub(super) fn on_snapshot_installed(&mut self, from: MemberId, last_index: Index) {
        let now = self.now.monotonic_ms;
        if last_index > self.commit_index {
            return;
        }
        let known = self.log.term_at(last_index).is_some();
        let Some(peer) = self.peer_mut(from) else { return };
        peer.last_heard_ms = Some(now);
        if peer.state != ProgressState::Snapshot {
            return;
        }
        if known {
            peer.accepted(last_index);
            self.on_peer_advanced(from);
        } else {
            // The log has moved on meanwhile: the next send finds that it needs another one.
            peer.become_probe();
        }
    }
}

#[cfg(test)]
mod tests;
