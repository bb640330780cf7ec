//! Flow control: a leader takes no more batches than its slowest voter keeps up with.
//!
//! A quorum alone could run away from the others for as long as clients write. A voter that is left
//! behind further than the log reaches needs a snapshot, and its own clients never learn what
//! became of the commands that the snapshot stands for. So batches wait here, in the order in which
//! they came, while a voter that answers lacks too much. One that does not answer, whose link is
//! broken, or that gets a snapshot already, holds up nobody.

use std::collections::VecDeque;

use super::Raft;
use super::progress::{Progress, ProgressState};
use super::role::Role;
use super::types::{EntryBody, Index, MemberId, Payload, Seq, Stream};

/// A batch of another member that waits for its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct HeldBatch {
    origin: MemberId,
    stream: Stream,
    seq: Seq,
    payload: Payload,
}

/// Bounded by what each origin forwards ahead of its commit, and empty unless this leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flow {
    /// Up to here every voter that answers must have acknowledged the log.
    hold_below: Index,
    held: VecDeque<HeldBatch>,
}

impl Flow {
    /// What was held is sent again by its origin, to the next leader.
    pub(crate) fn forget_held(&mut self) {
        self.held.clear();
    }
}

impl Raft {
    /// From here on, while this leads, batches are appended only while each voter that answers has
    /// acknowledged the log up to `index`.
    pub fn hold_below(&mut self, index: Index) {
        self.dirty |= index < self.flow.hold_below;
        self.flow.hold_below = index;
    }

    /// Whether a voter that answers lacks too much of the log.
    pub(super) fn is_held(&self) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let answers_since = |peer: &Progress| {
            let patience_ms = self.config.election_timeout_ms;
            peer.last_heard_ms.is_some_and(|ms| ms + patience_ms > self.now.monotonic_ms)
        };
        leader.peers.iter().any(|peer| {
            peer.match_index < self.flow.hold_below
                && peer.state == ProgressState::Replicate
                && answers_since(peer)
                && self.configuration().is_voter(peer.id)
        })
    }

    /// Appends a batch of another member, or keeps it until the voters have caught up.
    ///
    /// Precondition: `seq` follows [`Self::last_taken`].
    pub(super) fn take_batch(
        &mut self,
        origin: MemberId,
        stream: Stream,
        seq: Seq,
        payload: Payload,
    ) {
        if self.flow.held.is_empty() && !self.is_held() {
            self.append(EntryBody::Batch { origin, stream, seq, payload });
        } else {
            self.dirty = true;
            self.flow.held.push_back(HeldBatch { origin, stream, seq, payload });
        }
    }

    /// The last batch of a stream that is in the log or waits for its place there.
    pub(super) fn last_taken(&self, origin: MemberId, stream: Stream) -> Seq {
        let mut held = self.flow.held.iter().rev();
        let last = held.find(|batch| (batch.origin, batch.stream) == (origin, stream));
        last.map_or_else(|| self.watermarks.get(origin, stream), |batch| batch.seq)
    }

    /// Appends what waited, once nobody holds it up any more.
    pub(super) fn release_held(&mut self) {
        if self.flow.held.is_empty() || !self.accepts_proposals() || self.is_held() {
            return;
        }
        for HeldBatch { origin, stream, seq, payload } in std::mem::take(&mut self.flow.held) {
            // Whoever was removed meanwhile has no numbers any more that could be compared.
            if self.configuration().member(origin).is_some() {
                self.append(EntryBody::Batch { origin, stream, seq, payload });
            }
        }
    }
}

#[cfg(test)]
mod tests;
