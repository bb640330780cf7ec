//! From replies to bytes: each client gets its own, in order, within its bounds.

use std::sync::atomic::Ordering::Relaxed;

use crate::config::OutputLimit;
use crate::engine::reply::Reply;
use crate::engine::waiting::WaitEnd;
use crate::limits::{CLIENT_OUTPUT_SOFT_BYTES, SPARE_PASSES_MAX, SWEEP_MS};
use crate::net::ring::{Connection, Ring};

use super::super::mailbox::{Ended, Replies, Segment, Source};
use super::super::observe::counts::BufferSizes;
use super::super::session::{NodeView, Session, Wait};
use super::{Block, Client, Ending, NetRole};

impl NetRole {
    pub(super) fn deliver(&mut self, ring: &mut Ring, replies: Replies) {
        let Replies { given_up, bytes, segments, mut pending } = replies;
        self.note_commit(pending.submitted);
        self.outstanding_bytes -= pending.bytes;
        self.shared.clients.output_bytes.fetch_add(bytes.len() as u64, Relaxed);
        let mut rest = &bytes[..];
        for segment in &segments {
            let (reply, after) = rest.split_at(segment.len);
            rest = after;
            if given_up {
                self.give_up_waiting(segment.connection);
            }
            self.deliver_to(ring, segment, reply);
        }
        if given_up {
            if pending.imports {
                self.shared.importing.note_given_up();
            }
            self.ended.extend(pending.ended.iter().filter(|ended| ended.insists));
        }
        pending.recycle();
        pending.keep_room(bytes, segments);
        if self.spare.len() < SPARE_PASSES_MAX {
            self.spare.push(pending);
        }
        if self.outstanding_bytes <= self.settings.uncommitted_bytes_max / 2 {
            for connection in std::mem::take(&mut self.stalled) {
                self.unblock(ring, connection, &Block::Stalled);
            }
        }
    }

    fn deliver_to(&mut self, ring: &mut Ring, segment: &Segment, reply: &[u8]) {
        let Segment { connection, steps, cut, waits, .. } = *segment;
        // A client that has left is owed nothing.
        let slot = self.clients.get_mut(connection.index()).and_then(Option::as_mut);
        let Some(client) = slot.filter(|client| client.connection == connection) else { return };
        client.outstanding -= steps;
        if waits {
            client.session.is_blocked = true;
            self.shared.clients.blocked.fetch_add(1, Relaxed);
            match client.ending {
                Ending::No => {}
                _ if self.stopping => {
                    let session = client.session.id;
                    self.ended.push(Ended { session, insists: true });
                }
                _ => ring.close(connection),
            }
        }
        if client.owes_drop {
            // What it was not told of came before this reply.
            let sent = client.pay_drop(ring);
            self.shared.clients.output_bytes.fetch_add(sent as u64, Relaxed);
        }
        match &client.block {
            Block::Executing if !cut => return self.executed(ring, connection, reply),
            Block::Suspended(Wait::Migrate(_)) if !cut => {
                return self.migration_answered(ring, connection, reply);
            }
            _ => {}
        }
        if !client.session.replies.are_dropped()
            && let Some(output) = ring.output(connection)
        {
            output.extend_from_slice(reply);
            ring.flush(connection);
        }
        let queued = ring.queued_bytes(connection);
        if cut || queued > self.choked_bytes {
            self.choke(ring, connection, queued, cut);
        }
        let client = self.clients[connection.index()].as_ref().expect("invariant: just seen");
        if client.outstanding == 0 {
            match client.block {
                Block::Barrier => self.unblock(ring, connection, &Block::Barrier),
                Block::Waiting => self.unblock(ring, connection, &Block::Waiting),
                _ => end_if_done(ring, client),
            }
        }
    }

    /// Should the command that a client was to wait for be run after all, it must take nothing.
    fn give_up_waiting(&mut self, connection: Connection) {
        let slot = self.clients.get(connection.index()).and_then(Option::as_ref);
        let client = slot.filter(|client| client.connection == connection);
        if let Some(client) = client.filter(|client| client.block == Block::Waiting) {
            let session = client.session.id;
            self.ended.push(Ended { session, insists: true });
        }
    }

    /// A client has waited.
    pub(super) fn serve(&mut self, ring: &mut Ring, connection: Connection, end: WaitEnd) {
        // What was taken for a client that has left meanwhile is lost as a reply on its way is.
        let Some(mut client) = self.take(connection) else { return };
        client.session.is_blocked = false;
        client.outstanding -= 1;
        self.shared.clients.blocked.fetch_sub(1, Relaxed);
        match end {
            WaitEnd::Reply(reply) => {
                client.block = Block::None;
                self.write(ring, &mut client, &reply);
                self.parse_on(ring, &mut client);
            }
            WaitEnd::Again(command) => {
                self.gathering.writes.append(&command);
                self.count_step(&mut client, Source::Entry);
            }
        }
        self.put_back(client);
    }

    /// A client does not read what it is sent: no more is done for it, and at the hard limit it is
    /// closed, as it is when its replies are cut.
    fn choke(&mut self, ring: &mut Ring, connection: Connection, queued: usize, cut: bool) {
        let Some(mut client) = self.take(connection) else { return };
        let hard = client.output_limit(&self.settings.client_output_buffer_limit).hard;
        if cut || (hard > 0 && queued as u64 > hard) {
            log::warn!("closing client {} that reached the output buffer limit", client.session.id);
            self.shared.clients.output_limit_closed.fetch_add(1, Relaxed);
            ring.close(connection);
        } else if client.block == Block::None && queued > CLIENT_OUTPUT_SOFT_BYTES {
            self.block(ring, &mut client, Block::Choked);
        }
        self.put_back(client);
    }

    /// Parses on after a block is lifted.
    pub(super) fn unblock(&mut self, ring: &mut Ring, connection: Connection, block: &Block) {
        let Some(mut client) = self.take(connection) else { return };
        if client.block == *block {
            client.block = Block::None;
            self.parse_on(ring, &mut client);
        }
        self.put_back(client);
    }

    /// Goes on with a client that has just been unblocked.
    pub(super) fn parse_on(&mut self, ring: &mut Ring, client: &mut Client) {
        self.parse_input(ring, client);
        if client.block == Block::None && client.ending == Ending::No {
            ring.resume(client.connection);
        }
        end_if_done(ring, client);
    }

    /// Closes who has been idle for too long, and who has not read its replies for too long.
    pub(super) fn sweep(&mut self, ring: &mut Ring) {
        let now_ms = self.now.monotonic_ms;
        if now_ms < self.next_sweep_ms {
            return;
        }
        self.next_sweep_ms = now_ms + SWEEP_MS;
        let idle_ms_max = self.settings.timeout.map(|timeout| timeout.as_millis() as u64);
        let limits = self.settings.client_output_buffer_limit;
        if self.shared.state().refusal().is_some() {
            self.close_subscribers(ring, "the node is in no cluster");
        }
        let mut buffers = BufferSizes::default();
        for client in self.clients.iter_mut().flatten() {
            buffers.add(client.input.len(), ring.queued_bytes(client.connection));
            let OutputLimit { soft, soft_seconds, .. } = client.output_limit(&limits);
            let is_over = soft > 0 && ring.queued_bytes(client.connection) as u64 > soft;
            client.over_soft_since_ms =
                is_over.then(|| client.over_soft_since_ms.unwrap_or(now_ms));
            let over_ms = client.over_soft_since_ms.map_or(0, |since_ms| now_ms - since_ms);
            let idle_ms = now_ms.saturating_sub(client.session.active_at_ms);
            let is_waiting = client.outstanding > 0
                || client.block != Block::None
                || client.session.monitors
                || !client.session.subscriptions.is_empty();
            if is_over && over_ms >= soft_seconds * 1000 {
                log::warn!("closing client {} over the soft output limit", client.session.id);
                self.shared.clients.output_limit_closed.fetch_add(1, Relaxed);
                ring.close(client.connection);
            } else if idle_ms_max.is_some_and(|max| idle_ms > max) && !is_waiting {
                log::info!("closing idle client {}", client.session.id);
                ring.close(client.connection);
            }
        }
        self.counts().set_buffers(buffers);
    }

    /// The reply to a command that a client was suspended for.
    pub(super) fn answer(&mut self, ring: &mut Ring, connection: Connection, reply: &[u8]) {
        let Some(mut client) = self.take(connection) else { return };
        let was = std::mem::replace(&mut client.block, Block::None);
        debug_assert!(matches!(was, Block::Suspended(_)));
        match &mut client.executing {
            Some(executing) => {
                executing.append(reply);
                self.go_on(ring, &mut client);
            }
            None => self.write(ring, &mut client, reply),
        }
        self.parse_on(ring, &mut client);
        self.put_back(client);
    }

    pub(super) fn finish_wait(
        &mut self,
        ring: &mut Ring,
        connection: Connection,
        write: impl FnOnce(&Wait, &Session, &NodeView<'_>, &mut Reply),
    ) {
        let Some(client) = self.take(connection) else { return };
        let mut reply = Reply::new(client.session.protocol);
        if let Block::Suspended(wait) = &client.block {
            let view = self.view();
            write(wait, &client.session, &view, &mut reply);
        }
        self.put_back(client);
        self.answer(ring, connection, &reply.buffer);
    }
}

/// Closes a client that is to end, once it has been answered all that it is owed.
pub(super) fn end_if_done(ring: &mut Ring, client: &Client) {
    let is_answered = match client.ending {
        Ending::No => false,
        // What is left in its input is the beginning of a command.
        Ending::AfterInput => client.block == Block::None,
        Ending::Now => !matches!(client.block, Block::Suspended(_)),
    };
    if is_answered && client.outstanding == 0 {
        ring.close_after_flush(client.connection);
    }
}
