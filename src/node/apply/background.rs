//! Work on the whole state, piece by piece, while entries are applied: a snapshot for others, or
//! the digest that an administrator asked for. Both walk over the state as it was when they began,
//! one at a time; a snapshot goes first.
//!
//! A piece is done whenever the core has nothing else to do, and else for a fixed share of the
//! time: so a learner loads as fast as it can from a leader at rest, and the clients of one under
//! load lose no more than that share.

use std::ops::ControlFlow;
use std::time::Instant;

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

impl ApplyRole {
    /// Takes the share of the time that the work has even under load; returns whether there was
    /// anything to do.
    pub(super) fn work_if_due(&mut self) -> bool {
        let is_idle = self.making.is_none() && self.digesting.is_none();
        if is_idle && self.digests_wanted.is_empty() {
            return false;
        }
        Instant::now() >= self.next_piece_at && self.work_a_piece()
    }

    /// Uses time that nobody else on the core has a use for; returns whether there was anything to
    /// do.
    pub fn use_idle_time(&mut self) -> bool {
        self.work_a_piece()
    }

    fn work_a_piece(&mut self) -> bool {
        let start = Instant::now();
        let worked = if self.making.is_some() { self.make_piece() } else { self.digest_piece() };
        if worked {
            let end = Instant::now();
            self.next_piece_at = end + (end - start) * (SNAPSHOT_TIME_SHARE - 1);
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
