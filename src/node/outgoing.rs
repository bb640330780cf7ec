//! Snapshots that this node, as leader, sends to members which need entries that its log no longer
//! holds.
//!
//! Owns who wants one, who is being sent one and how far that is, and what of the log these members
//! need afterwards. It sends nothing itself and makes no snapshot: [`Outgoing::wants_snapshot`]
//! says when apply is to make one, [`Outgoing::next_message`] what goes out next.
//!
//! One snapshot serves all members that want one while the log still continues it. At most
//! [`SNAPSHOT_WINDOW_BYTES`] are on their way to a member that it has not read yet, so a slow
//! receiver costs neither side more memory than that, and messages of consensus on the same link
//! wait for no more than that. A member that reads nothing for [`SNAPSHOT_STALL_MS`] is given up
//! until it is heard of again.

use std::sync::Arc;

use crate::limits::{SNAPSHOT_STALL_MS, SNAPSHOT_WINDOW_BYTES};
use crate::net::frame::{SnapshotBody, SnapshotMessage};
use crate::raft::types::{Index, MemberId, Millis, Payload};
use crate::raft::{ProgressState, Raft, SnapshotState};
use crate::snapshot;

#[derive(Default)]
pub struct Outgoing {
    /// Members that consensus wants a snapshot for and that get none yet.
    wanted: Vec<MemberId>,
    /// Apply is making one.
    in_making: bool,
    transfers: Vec<Transfer>,
    /// Members that have read theirs and whose log is not yet near the end of the leader's.
    catching_up: Vec<CatchingUp>,
    pub created: u64,
}

/// A whole snapshot, shared by all that are being sent it.
struct Snapshot {
    last_index: Index,
    chunks: Vec<Payload>,
    bytes: usize,
}

struct Transfer {
    peer: MemberId,
    snapshot: Arc<Snapshot>,
    /// Chunks. Invariant: read <= sent <= all.
    sent: usize,
    read: usize,
    unread_bytes: usize,
    /// When the peer last read something.
    progress_ms: Millis,
}

struct CatchingUp {
    peer: MemberId,
    last_index: Index,
    snapshot_bytes: usize,
}

/// What of the log must stay for members on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Entries after this one.
    pub after: Index,
    /// Bytes of the largest snapshot that they got.
    pub snapshot_bytes: usize,
}

impl Outgoing {
    /// Consensus wants a snapshot for `peer`: whatever was on its way to it is of no more use.
    pub fn want(&mut self, peer: MemberId) {
        self.forget(peer);
        self.wanted.push(peer);
    }

    /// Nothing is sent to `peer` any more.
    pub fn forget(&mut self, peer: MemberId) {
        self.wanted.retain(|wanted| *wanted != peer);
        self.transfers.retain(|transfer| transfer.peer != peer);
        self.catching_up.retain(|catching_up| catching_up.peer != peer);
    }

    /// This node leads no more.
    pub fn forget_all(&mut self) {
        self.wanted.clear();
        self.transfers.clear();
        self.catching_up.clear();
    }

    /// Whether a snapshot is being made or sent.
    pub fn is_busy(&self) -> bool {
        self.in_making || !self.transfers.is_empty()
    }

    /// Whether apply is making one: until it is there nobody knows where the log must begin.
    pub fn is_in_making(&self) -> bool {
        self.in_making
    }

    /// Begins what can begin. True when apply is to make a snapshot; [`Self::made`] follows.
    ///
    /// `is_there` tells whether a member is connected and was heard of lately: a snapshot is not
    /// made for one that cannot take it.
    pub fn wants_snapshot(
        &mut self,
        raft: &Raft,
        now_ms: Millis,
        is_there: impl Fn(MemberId) -> bool,
    ) -> bool {
        if self.wanted.is_empty() || self.in_making {
            return false;
        }
        let needs = |id: &MemberId| {
            raft.peer_status(*id).is_some_and(|peer| peer.state == ProgressState::Snapshot)
        };
        self.wanted.retain(needs);
        let ready: Vec<_> = self.wanted.iter().copied().filter(|id| is_there(*id)).collect();
        if ready.is_empty() {
            return false;
        }
        let first_index = raft.first_index();
        let continued = self.transfers.iter().map(|transfer| &transfer.snapshot);
        let continued = continued.filter(|it| it.last_index.next() >= first_index).cloned();
        match continued.max_by_key(|snapshot| snapshot.last_index) {
            Some(snapshot) => {
                ready.into_iter().for_each(|peer| self.begin(peer, &snapshot, now_ms));
                false
            }
            None => {
                self.in_making = true;
                true
            }
        }
    }

    /// Apply has made a snapshot; `state` is what consensus adds, if this still leads.
    pub fn made(&mut self, state: Option<SnapshotState>, engine: Vec<Payload>, now_ms: Millis) {
        self.in_making = false;
        let Some(state) = state else { return };
        self.created += 1;
        let mut chunks = Vec::with_capacity(engine.len() + 1);
        chunks.push(snapshot::write_consensus(&state));
        chunks.extend(engine);
        let bytes = chunks.iter().map(Payload::len).sum();
        let snapshot = Arc::new(Snapshot { last_index: state.last_index, chunks, bytes });
        for peer in std::mem::take(&mut self.wanted) {
            self.begin(peer, &snapshot, now_ms);
        }
    }

    fn begin(&mut self, peer: MemberId, snapshot: &Arc<Snapshot>, now_ms: Millis) {
        self.forget(peer);
        let (last_index, bytes) = (snapshot.last_index, snapshot.bytes);
        log::info!("sending member {peer} a snapshot of {bytes} bytes up to {last_index}");
        self.transfers.push(Transfer {
            peer,
            snapshot: Arc::clone(snapshot),
            sent: 0,
            read: 0,
            unread_bytes: 0,
            progress_ms: now_ms,
        });
    }

    /// The next chunk that a member's window takes; `None` when all windows are full.
    pub fn next_message(&mut self, from: MemberId) -> Option<SnapshotMessage> {
        let transfer = self.transfers.iter_mut().find(|transfer| transfer.has_room())?;
        let payload = transfer.snapshot.chunks[transfer.sent].clone();
        let sequence = transfer.sent as u64;
        transfer.sent += 1;
        transfer.unread_bytes += payload.len();
        Some(SnapshotMessage {
            from,
            to: transfer.peer,
            last_index: transfer.snapshot.last_index,
            body: SnapshotBody::Chunk { sequence, payload },
        })
    }

    /// `peer` has read so many chunks of the snapshot up to `last_index`.
    pub fn on_read(&mut self, peer: MemberId, last_index: Index, chunks: u64, now_ms: Millis) {
        let Some(at) = self.position(peer, last_index) else { return };
        let transfer = &mut self.transfers[at];
        // More than was sent is nonsense.
        let read = usize::try_from(chunks).unwrap_or(usize::MAX).min(transfer.sent);
        if read <= transfer.read {
            return;
        }
        let news = &transfer.snapshot.chunks[transfer.read..read];
        transfer.unread_bytes -= news.iter().map(Payload::len).sum::<usize>();
        transfer.read = read;
        transfer.progress_ms = now_ms;
        if read == transfer.snapshot.chunks.len() {
            let snapshot_bytes = transfer.snapshot.bytes;
            self.transfers.remove(at);
            self.catching_up.push(CatchingUp { peer, last_index, snapshot_bytes });
        }
    }

    /// Whether `peer` was being sent that snapshot, which it refuses.
    pub fn on_refused(&mut self, peer: MemberId, last_index: Index) -> bool {
        let found = self.position(peer, last_index);
        if let Some(at) = found {
            self.transfers.remove(at);
        }
        found.is_some()
    }

    /// Drops the transfers to members that read nothing for too long, and names these.
    pub fn take_stalled(&mut self, now_ms: Millis) -> Vec<MemberId> {
        let is_stalled = |it: &Transfer| now_ms.saturating_sub(it.progress_ms) > SNAPSHOT_STALL_MS;
        let stalled = self.transfers.iter().filter(|it| is_stalled(it)).map(|it| it.peer).collect();
        self.transfers.retain(|transfer| !is_stalled(transfer));
        stalled
    }

    /// What of the log must stay. Members whose log reaches beyond `near_end` need nothing more.
    pub fn pin(&mut self, raft: &Raft, near_end: Index) -> Option<Pin> {
        let after_of = |it: &CatchingUp| match raft.peer_status(it.peer) {
            // It has read the snapshot and not said yet that it is installed.
            Some(peer) if peer.state == ProgressState::Snapshot => Some(it.last_index),
            Some(peer) => Some(Index(peer.next_index.0.saturating_sub(1))),
            None => None,
        };
        self.catching_up.retain(|it| after_of(it).is_some_and(|after| after < near_end));
        let catching_up = self
            .catching_up
            .iter()
            .filter_map(|it| Some(Pin { after: after_of(it)?, snapshot_bytes: it.snapshot_bytes }));
        let sending = self.transfers.iter().map(|transfer| Pin {
            after: transfer.snapshot.last_index,
            snapshot_bytes: transfer.snapshot.bytes,
        });
        sending.chain(catching_up).reduce(|a, b| Pin {
            after: a.after.min(b.after),
            snapshot_bytes: a.snapshot_bytes.max(b.snapshot_bytes),
        })
    }

    /// The log can no longer wait for those on their way: they need newer snapshots. Names them.
    pub fn take_outrun(&mut self) -> Vec<MemberId> {
        self.catching_up.clear();
        self.transfers.drain(..).map(|transfer| transfer.peer).collect()
    }

    fn position(&self, peer: MemberId, last_index: Index) -> Option<usize> {
        self.transfers.iter().position(|it| it.peer == peer && it.snapshot.last_index == last_index)
    }
}

impl Transfer {
    /// An empty window takes a chunk of any size.
    fn has_room(&self) -> bool {
        let Some(next) = self.snapshot.chunks.get(self.sent) else { return false };
        self.unread_bytes == 0 || self.unread_bytes + next.len() <= SNAPSHOT_WINDOW_BYTES
    }
}

#[cfg(test)]
mod tests;
