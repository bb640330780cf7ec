//! Work on the whole state, piece by piece, while entries are applied: a snapshot for others, or
//! the digest that an administrator asked for. Both walk over the state as it was when they began,
//! one at a time; a snapshot goes first.
//!
//! A piece is done whenever the core has nothing else to do: a learner loads as fast as it can from
//! a leader at rest. Under load pieces have a share of the time all the same, and no more than
//! twice that share even when the core runs out of work: it may have its CPU in common with the
//! learner that loads, and with the clients.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::engine::keyspace::{Keyspace, WalkProgress};
use crate::engine::reply::{Protocol, Reply};
use crate::limits::{SNAPSHOT_DISPLACED_BYTES, SNAPSHOT_PIECE_BYTES, SNAPSHOT_TIME_SHARE};
use crate::node::mailbox::{ClientHandle, ToNet};
use crate::raft::types::Index;

use super::ApplyRole;

/// Who waits for a digest.
#[derive(Clone, Copy, Debug)]
pub(super) struct DigestRequest {
    pub client: ClientHandle,
    pub protocol: Protocol,
}

pub(super) struct Digesting {
    request: DigestRequest,
    index: Index,
    digest: u128,
}

/// How long the load is measured before it is judged.
const PACE_WINDOW: Duration = Duration::from_millis(10);

/// Clients load a node when their entries take more than this part of the time, as a divisor. Some
/// thousand single requests a second take a tenth of that.
const PACE_LOADED_SHARE: u32 = 20;

/// Decides when a piece is due.
pub(super) struct Pace {
    /// Under load, none before: none that takes time from other work, and none at all.
    next_piece_at: Instant,
    idle_piece_at: Instant,
    window_began: Instant,
    /// What messages took in this window.
    busy: Duration,
    is_loaded: bool,
}

impl Pace {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            next_piece_at: now,
            idle_piece_at: now,
            window_began: now,
            busy: Duration::ZERO,
            is_loaded: false,
        }
    }

    /// Messages were dealt with from `start` to `end`.
    pub fn note(&mut self, start: Instant, end: Instant) {
        self.busy += end - start;
        let elapsed = end - self.window_began;
        if elapsed >= PACE_WINDOW {
            self.is_loaded = self.busy * PACE_LOADED_SHARE > elapsed;
            self.window_began = end;
            self.busy = Duration::ZERO;
        }
    }

    fn note_piece(&mut self, start: Instant, end: Instant) {
        let took = end - start;
        self.next_piece_at = end + took * (SNAPSHOT_TIME_SHARE - 1);
        self.idle_piece_at = end + took * (SNAPSHOT_TIME_SHARE / 2 - 1);
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.next_piece_at
    }

    fn allows_idle(&self, now: Instant) -> bool {
        // Without messages nobody judges.
        !self.is_loaded || now >= self.idle_piece_at || now - self.window_began > 2 * PACE_WINDOW
    }
}

impl ApplyRole {
    pub(super) fn has_background_work(&self) -> bool {
        self.making.is_some() || self.digesting.is_some() || !self.digests_wanted.is_empty()
    }

    /// Takes the share of the time that the work has even under load; returns whether there was
    /// anything to do.
    pub(super) fn work_if_due(&mut self) -> bool {
        self.has_background_work() && self.pace.is_due(Instant::now()) && self.work_a_piece()
    }

    /// Uses time that nobody else on the core has a use for; returns whether there was anything to
    /// do.
    pub fn use_idle_time(&mut self) -> bool {
        self.has_background_work() && self.pace.allows_idle(Instant::now()) && self.work_a_piece()
    }

    fn work_a_piece(&mut self) -> bool {
        let start = Instant::now();
        let worked = if self.making.is_some() { self.make_piece() } else { self.digest_piece() };
        if worked {
            self.pace.note_piece(start, Instant::now());
        }
        worked
    }

    /// Ends the walk that is on, if there is one. A digest begins anew later.
    pub(super) fn end_walk(&mut self) {
        self.making = None;
        if let Some(digesting) = self.digesting.take() {
            self.digests_wanted.push_front(digesting.request);
        }
        self.engine.keyspace.end_walk();
    }

    fn digest_piece(&mut self) -> bool {
        if self.digesting.is_none() {
            let Some(request) = self.digests_wanted.pop_front() else { return false };
            self.engine.keyspace.begin_walk();
            let (index, digest) = (self.applied_index, self.engine.digest_beside_keys());
            self.digesting = Some(Digesting { request, index, digest });
        }
        let Some(digesting) = &mut self.digesting else { return false };
        let mut bytes = 0;
        let progress = self.engine.keyspace.walk_some(|database, entry| {
            digesting.digest = digesting.digest.wrapping_add(Keyspace::digest_of(database, entry));
            bytes += entry.bytes();
            if bytes < SNAPSHOT_PIECE_BYTES {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        if progress == WalkProgress::Complete {
            let Digesting { request, index, digest } = *digesting;
            self.digesting = None;
            self.answer_digest(request, |reply| {
                reply.array(2);
                reply.count(index.0 as usize);
                reply.bulk(format!("{digest:032x}").as_bytes());
            });
        }
        true
    }

    /// Gives a digest up if clients change the state much faster than it is taken.
    pub(super) fn bound_digesting(&mut self) {
        if self.digesting.is_some()
            && self.engine.keyspace.displaced_bytes() > SNAPSHOT_DISPLACED_BYTES
            && let Some(Digesting { request, .. }) = self.digesting.take()
        {
            self.engine.keyspace.end_walk();
            let text = "ERR too much changes while the digest is taken";
            self.answer_digest(request, |reply| reply.error_text(text));
        }
    }

    fn answer_digest(&self, request: DigestRequest, write: impl FnOnce(&mut Reply)) {
        let DigestRequest { client: ClientHandle { stream, connection }, protocol } = request;
        let mut reply = Reply::new(protocol);
        write(&mut reply);
        self.nets[usize::from(stream)].send(ToNet::Answer { connection, reply: reply.buffer });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_load_pieces_have_their_share_and_at_rest_all_the_time() {
        let mut pace = Pace::new();
        let start = pace.window_began;
        let at = |ms| start + Duration::from_millis(ms);
        let micros = Duration::from_micros;
        pace.note(at(11) - micros(100), at(11));
        pace.note_piece(at(11), at(12));
        assert!(pace.allows_idle(at(12)), "a hundredth of the time is no load");
        let next = 12 + u64::from(SNAPSHOT_TIME_SHARE) - 1;
        assert!(!pace.is_due(at(next - 1)));
        assert!(pace.is_due(at(next)));
        pace.note(at(20), at(22));
        pace.note_piece(at(22), at(23));
        let half = u64::from(SNAPSHOT_TIME_SHARE) / 2;
        assert!(!pace.allows_idle(at(22 + half) - micros(1)), "a fifth of it is");
        assert!(pace.allows_idle(at(22 + half)));
        pace.note_piece(at(23), at(40));
        assert!(pace.allows_idle(at(22 + 21)), "nothing has come since");
    }
}
