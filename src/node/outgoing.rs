//! Snapshots that this node, as leader, sends to members which need entries that its log no longer
//! holds.
//!
//! Owns who wants one, who is being sent one and how far that is, and what of the log these members
//! need afterwards. It sends nothing itself and makes no snapshot: [`Outgoing::next_order`] says
//! what apply is to do, [`Outgoing::next_message`] what goes out next.
//!
//! # A round
//! One snapshot is made at a time. It serves the members that are ready when it begins; others
//! wait for the next. Apply begins it and says after which entry; the chunk of consensus for that
//! entry goes first; then come the chunks of the engine as they are made. Each goes to every
//! receiver and is dropped when all have read it. No more is made than [`SNAPSHOT_WINDOW_BYTES`]
//! beyond what the slowest receiver has read, so nobody holds more than that. A receiver that reads
//! nothing for [`SNAPSHOT_STALL_MS`] of what it was sent, or whose link breaks, leaves the round,
//! and the rest go on; with the last one the round ends. Apply gives up a round when it has to hold
//! too much for it; it is begun anew when consensus wants one again.

use std::collections::VecDeque;

use crate::limits::{SNAPSHOT_PIECE_BYTES, SNAPSHOT_STALL_MS, SNAPSHOT_WINDOW_BYTES};
use crate::net::frame::{SnapshotBody, SnapshotMessage};
use crate::raft::types::{Index, MemberId, Millis, Payload};
use crate::raft::{ProgressState, Raft, SnapshotState};
use crate::snapshot;

use super::mailbox::MakingOrder;

#[derive(Default)]
pub struct Outgoing {
    /// Members that consensus wants a snapshot for and that get none yet.
    wanted: Vec<MemberId>,
    round: Option<Round>,
    /// Of the newest round.
    number: u64,
    /// For apply, with the number of the round.
    orders: VecDeque<(u64, MakingOrder)>,
    /// Members that have read theirs and whose log is not yet near the end of the leader's.
    catching_up: Vec<CatchingUp>,
    pub created: u64,
}

enum Round {
    /// Apply has not said yet which state it shows. Who it is for.
    Beginning(Vec<MemberId>),
    Sending(Sending),
}

struct Sending {
    last_index: Index,
    /// Those that not all receivers have read yet, the first of which has this number.
    chunks: VecDeque<Payload>,
    first: u64,
    /// Of all chunks made.
    made_bytes: u64,
    is_complete: bool,
    /// Bytes that apply may make of its chunks.
    granted: u64,
    /// Of the chunk of consensus, which apply does not make.
    head_bytes: u64,
    estimated_bytes: usize,
    receivers: Vec<Receiver>,
}

/// Invariant: read <= sent <= the number of chunks made, for chunks and for bytes.
struct Receiver {
    peer: MemberId,
    sent: u64,
    sent_bytes: u64,
    read: u64,
    read_bytes: u64,
    /// When it last read something, or began to have something to read.
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
    /// Bytes of the largest snapshot that they got or will have got.
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
        self.catching_up.retain(|catching_up| catching_up.peer != peer);
        match &mut self.round {
            Some(Round::Beginning(peers)) => peers.retain(|waiting| *waiting != peer),
            Some(Round::Sending(sending)) => sending.receivers.retain(|it| it.peer != peer),
            None => {}
        }
        self.end_if_without_receivers();
    }

    /// This node leads no more.
    pub fn forget_all(&mut self) {
        self.wanted.clear();
        self.catching_up.clear();
        self.end_round();
    }

    /// Whether a snapshot is being made or sent.
    pub fn is_busy(&self) -> bool {
        self.round.is_some()
    }

    /// Whether the log has to wait for anybody.
    pub fn is_waited_for(&self) -> bool {
        self.round.is_some() || !self.catching_up.is_empty()
    }

    /// Whether apply is beginning one: until it has nobody knows where the log must begin.
    pub fn is_beginning(&self) -> bool {
        matches!(self.round, Some(Round::Beginning(_)))
    }

    /// Begins a round if there is none and somebody is ready for it.
    ///
    /// `is_there` tells whether a member is connected and was heard of lately: a snapshot is not
    /// made for one that cannot take it.
    pub fn begin_if_wanted(&mut self, raft: &Raft, is_there: impl Fn(MemberId) -> bool) {
        if self.wanted.is_empty() || self.round.is_some() {
            return;
        }
        let needs = |id: &MemberId| {
            raft.peer_status(*id).is_some_and(|peer| peer.state == ProgressState::Snapshot)
        };
        self.wanted.retain(needs);
        let (ready, others) = self.wanted.iter().partition(|id| is_there(**id));
        self.wanted = others;
        let ready: Vec<MemberId> = ready;
        if !ready.is_empty() {
            self.number += 1;
            self.round = Some(Round::Beginning(ready));
            self.orders.push_back((self.number, MakingOrder::Begin));
        }
    }

    /// What apply is to do next, and of which round.
    pub fn next_order(&mut self) -> Option<(u64, MakingOrder)> {
        if let Some(Round::Sending(sending)) = &mut self.round
            && let Some(bytes) = sending.grant()
        {
            self.orders.push_back((self.number, MakingOrder::Grant { bytes }));
        }
        self.orders.pop_front()
    }

    /// Whether news of this round still matters.
    fn is_current(&self, number: u64) -> bool {
        number == self.number && self.round.is_some()
    }

    /// Apply has begun the snapshot of a round; `state` is what consensus adds, if this still leads
    /// and the log still reaches back to it.
    pub fn begun(&mut self, number: u64, state: Option<SnapshotState>, now_ms: Millis) {
        if !self.is_current(number) {
            return;
        }
        let Some(Round::Beginning(peers)) = self.round.take() else { return };
        let Some(state) = state else {
            self.wanted.extend(peers);
            self.orders.push_back((number, MakingOrder::End));
            return;
        };
        let last_index = state.last_index;
        for peer in &peers {
            log::info!("sending member {peer} a snapshot up to {last_index}");
        }
        self.created += 1;
        let consensus = snapshot::write_consensus(&state);
        let head_bytes = consensus.len() as u64;
        self.round = Some(Round::Sending(Sending {
            last_index,
            chunks: VecDeque::from([consensus]),
            first: 0,
            made_bytes: head_bytes,
            is_complete: false,
            granted: 0,
            head_bytes,
            estimated_bytes: 0,
            receivers: peers.into_iter().map(|peer| Receiver::new(peer, now_ms)).collect(),
        }));
    }

    /// Apply has made chunks of a round.
    pub fn made(
        &mut self,
        number: u64,
        chunks: Vec<Payload>,
        estimated_bytes: usize,
        is_complete: bool,
    ) {
        if !self.is_current(number) {
            return;
        }
        let Some(Round::Sending(sending)) = &mut self.round else { return };
        sending.made_bytes += bytes_of(&chunks);
        sending.chunks.extend(chunks);
        sending.estimated_bytes = estimated_bytes;
        sending.is_complete = is_complete;
    }

    /// Apply has given a round up; names those that got part of it.
    pub fn given_up(&mut self, number: u64) -> Vec<MemberId> {
        if !self.is_current(number) {
            return Vec::new();
        }
        match self.round.take() {
            Some(Round::Beginning(peers)) => peers,
            Some(Round::Sending(sending)) => sending.receivers.iter().map(|it| it.peer).collect(),
            None => Vec::new(),
        }
    }

    /// The next chunk that a member's window takes; `None` when all windows are full.
    pub fn next_message(&mut self, from: MemberId, now_ms: Millis) -> Option<SnapshotMessage> {
        let Some(Round::Sending(sending)) = &mut self.round else { return None };
        let Sending { last_index, chunks, first, receivers, .. } = sending;
        let (receiver, payload) = receivers.iter_mut().find_map(|receiver| {
            let payload = chunks.get((receiver.sent - *first) as usize)?;
            receiver.has_room(payload).then_some((receiver, payload.clone()))
        })?;
        let (to, sequence) = (receiver.peer, receiver.sent);
        receiver.note_sent(&payload, now_ms);
        let body = SnapshotBody::Chunk { sequence, payload };
        Some(SnapshotMessage { from, to, last_index: *last_index, body })
    }

    /// `peer` has read so many chunks of the snapshot up to `last_index`.
    pub fn on_read(&mut self, peer: MemberId, last_index: Index, chunks: u64, now_ms: Millis) {
        let Some(Round::Sending(sending)) = &mut self.round else { return };
        if sending.last_index != last_index {
            return;
        }
        let Some(at) = sending.receivers.iter().position(|it| it.peer == peer) else { return };
        let receiver = &mut sending.receivers[at];
        // More than was sent is nonsense.
        let read = chunks.min(receiver.sent);
        if read <= receiver.read {
            return;
        }
        let place = |number: u64| (number - sending.first) as usize;
        receiver.read_bytes += bytes_of(sending.chunks.range(place(receiver.read)..place(read)));
        receiver.read = read;
        receiver.progress_ms = now_ms;
        if sending.is_complete && place(read) == sending.chunks.len() {
            let snapshot_bytes = sending.snapshot_bytes();
            sending.receivers.remove(at);
            self.catching_up.push(CatchingUp { peer, last_index, snapshot_bytes });
        }
        sending.drop_read();
        self.end_if_without_receivers();
    }

    /// Whether `peer` was being sent that snapshot, which it refuses.
    pub fn on_refused(&mut self, peer: MemberId, last_index: Index) -> bool {
        let Some(Round::Sending(sending)) = &mut self.round else { return false };
        let before = sending.receivers.len();
        if sending.last_index == last_index {
            sending.receivers.retain(|it| it.peer != peer);
        }
        let was_receiver = sending.receivers.len() < before;
        self.end_if_without_receivers();
        was_receiver
    }

    /// Drops the receivers that read nothing for too long, and names them.
    pub fn take_stalled(&mut self, now_ms: Millis) -> Vec<MemberId> {
        let Some(Round::Sending(sending)) = &mut self.round else { return Vec::new() };
        let is_stalled = |it: &Receiver| {
            it.read < it.sent && now_ms.saturating_sub(it.progress_ms) > SNAPSHOT_STALL_MS
        };
        let stalled = sending.receivers.extract_if(.., |it| is_stalled(it));
        let stalled = stalled.map(|it| it.peer).collect();
        self.end_if_without_receivers();
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
        let sending = match &self.round {
            Some(Round::Sending(it)) => {
                Some(Pin { after: it.last_index, snapshot_bytes: it.snapshot_bytes() })
            }
            _ => None,
        };
        sending.into_iter().chain(catching_up).reduce(|a, b| Pin {
            after: a.after.min(b.after),
            snapshot_bytes: a.snapshot_bytes.max(b.snapshot_bytes),
        })
    }

    /// The log can no longer wait for those on their way: they need newer snapshots. Names those
    /// that are being sent one.
    pub fn take_outrun(&mut self) -> Vec<MemberId> {
        self.catching_up.clear();
        match self.end_round() {
            Some(Round::Sending(sending)) => sending.receivers.iter().map(|it| it.peer).collect(),
            _ => Vec::new(),
        }
    }

    fn end_round(&mut self) -> Option<Round> {
        let round = self.round.take();
        let is_made = matches!(&round, Some(Round::Sending(sending)) if sending.is_complete);
        if round.is_some() && !is_made {
            self.orders.push_back((self.number, MakingOrder::End));
        }
        round
    }

    fn end_if_without_receivers(&mut self) {
        let is_over = match &self.round {
            Some(Round::Beginning(peers)) => peers.is_empty(),
            Some(Round::Sending(sending)) => sending.receivers.is_empty(),
            None => false,
        };
        if is_over {
            self.end_round();
        }
    }
}

impl Sending {
    /// What apply may make in all, when that is a good deal more than it was told.
    fn grant(&mut self) -> Option<u64> {
        let read = self.receivers.iter().map(|it| it.read_bytes).min()?;
        let bytes = (read + SNAPSHOT_WINDOW_BYTES as u64).saturating_sub(self.head_bytes);
        let is_worth_it = bytes >= self.granted + SNAPSHOT_PIECE_BYTES as u64;
        (is_worth_it && !self.is_complete).then(|| {
            self.granted = bytes;
            bytes
        })
    }

    /// Drops the chunks that all receivers have read.
    fn drop_read(&mut self) {
        let Some(read) = self.receivers.iter().map(|it| it.read).min() else { return };
        self.chunks.drain(..(read - self.first) as usize);
        self.first = read;
    }

    fn snapshot_bytes(&self) -> usize {
        self.estimated_bytes.max(self.made_bytes as usize)
    }
}

impl Receiver {
    fn new(peer: MemberId, now_ms: Millis) -> Self {
        Self { peer, sent: 0, sent_bytes: 0, read: 0, read_bytes: 0, progress_ms: now_ms }
    }

    /// An empty window takes a chunk of any size.
    fn has_room(&self, chunk: &Payload) -> bool {
        let unread = self.sent_bytes - self.read_bytes;
        unread == 0 || unread + chunk.len() as u64 <= SNAPSHOT_WINDOW_BYTES as u64
    }

    fn note_sent(&mut self, chunk: &Payload, now_ms: Millis) {
        if self.read == self.sent {
            self.progress_ms = now_ms;
        }
        self.sent += 1;
        self.sent_bytes += chunk.len() as u64;
    }
}

fn bytes_of<'a>(chunks: impl IntoIterator<Item = &'a Payload>) -> u64 {
    chunks.into_iter().map(|chunk| chunk.len() as u64).sum()
}

#[cfg(test)]
mod tests;
