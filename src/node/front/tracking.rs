//! Clients of this role that track what they read, and what they are told.
//!
//! A client that does not read what it is told cannot make the node hold it all: from
//! [`CLIENT_OUTPUT_SOFT_BYTES`] on it is told to drop everything, and from twice that on no more
//! until it has read, or gets a reply that would contradict what it has put away.

use std::sync::atomic::Ordering::Relaxed;

use crate::engine::bytes::SmallBytes;
use crate::engine::pubsub::Subscriber;
use crate::engine::reply::{Protocol, Reply};
use crate::engine::tracking::{Change, Invalidation};
use crate::limits::CLIENT_OUTPUT_SOFT_BYTES;
use crate::net::ring::{Connection, Ring};

use super::super::mailbox::{Invalidations, ToApply, ToNet};
use super::super::session::{self, Wait};
use super::{Block, Client, NetRole};

impl NetRole {
    /// Tells apply what the client's last command has changed of its tracking: before it sees any
    /// command that came later.
    #[inline]
    pub(super) fn note_tracking(&mut self, client: &mut Client) {
        if let Some(terms) = client.session.take_tracking_change() {
            match (client.tracks, terms.is_some()) {
                (false, true) => drop(self.shared.clients.tracking.fetch_add(1, Relaxed)),
                (true, false) => drop(self.shared.clients.tracking.fetch_sub(1, Relaxed)),
                _ => {}
            }
            client.tracks = terms.is_some();
            let connection = client.connection.to_bits();
            let client = Subscriber { stream: self.stream, connection };
            self.mailboxes.apply.send(ToApply::Tracking(Change { client, terms }));
        }
    }

    /// Tells apply how many keys are remembered at most.
    pub(super) fn tell_tracked_keys_max(&self) {
        let max = self.settings.tracking_table_max_keys;
        self.mailboxes.apply.send(ToApply::TrackedKeysMax(max));
    }

    pub(super) fn invalidate(&mut self, ring: &mut Ring, invalidations: &Invalidations) {
        for (tracker, invalidation) in invalidations {
            let told = invalidation.target.unwrap_or(*tracker);
            let connection = Connection::from_bits(told.connection);
            let slot = self.clients.get_mut(connection.index()).and_then(Option::as_mut);
            match slot.filter(|client| client.connection == connection) {
                Some(client) => {
                    let sent = client.tell(ring, invalidation);
                    self.shared.clients.output_bytes.fetch_add(sent as u64, Relaxed);
                }
                None if invalidation.target.is_some() => {
                    let broken = ToNet::RedirectBroken(Connection::from_bits(tracker.connection));
                    self.mailboxes.nets[usize::from(tracker.stream)].send(broken);
                }
                None => {}
            }
        }
    }

    /// The client that another one of this role redirects to is gone.
    pub(super) fn redirect_broken(&mut self, ring: &mut Ring, connection: Connection) {
        let slot = self.clients.get_mut(connection.index()).and_then(Option::as_mut);
        let Some(client) = slot.filter(|client| client.connection == connection) else { return };
        let mut reply = Reply::new(client.session.protocol);
        client.session.break_redirect(&mut reply);
        client.push(ring, &reply.buffer);
        self.shared.clients.output_bytes.fetch_add(reply.buffer.len() as u64, Relaxed);
    }

    /// The client has been sent all that was queued for it.
    pub(super) fn tell_owed(&mut self, ring: &mut Ring, connection: Connection) {
        let slot = self.clients.get_mut(connection.index()).and_then(Option::as_mut);
        let Some(client) = slot.filter(|client| client.connection == connection) else { return };
        if client.owes_drop {
            let sent = client.pay_drop(ring);
            self.shared.clients.output_bytes.fetch_add(sent as u64, Relaxed);
        }
    }

    /// All net roles have looked for the client that another one wants to redirect to.
    pub(super) fn finish_redirect(
        &mut self,
        ring: &mut Ring,
        connection: Connection,
        target: Option<Subscriber>,
    ) {
        let Some(mut client) = self.take(connection) else { return };
        let mut reply = Reply::new(client.session.protocol);
        if let Block::Suspended(Wait::Redirect(redirecting)) = &client.block {
            session::finish_redirect(redirecting, target, &mut client.session, &mut reply);
        }
        self.note_tracking(&mut client);
        self.put_back(client);
        self.answer(ring, connection, &reply.buffer);
    }
}

impl Client {
    /// Tells the client what has changed, for itself or for who redirects to it; returns how many
    /// bytes that are.
    fn tell(&mut self, ring: &mut Ring, invalidation: &Invalidation) -> usize {
        let session = &self.session;
        // Without RESP3 there are no messages but those of Pub/Sub.
        if session.protocol == Protocol::Resp2 && session.subscriptions.is_empty() {
            return 0;
        }
        if self.owes_drop {
            return 0;
        }
        let mut reply = Reply::new(session.protocol);
        write(invalidation, &mut reply);
        let queued = self.queued_bytes(ring);
        if queued > 2 * CLIENT_OUTPUT_SOFT_BYTES {
            // Nothing more is read for it until it has taken what there is.
            self.owes_drop = true;
            return 0;
        }
        if queued > 0 && queued + reply.buffer.len() > CLIENT_OUTPUT_SOFT_BYTES {
            reply.buffer.clear();
            write(&Invalidation { drops_all: true, ..Invalidation::default() }, &mut reply);
        }
        self.push(ring, &reply.buffer);
        reply.buffer.len()
    }

    /// Tells the client to drop all that it has, in place of what it was not told; returns how many
    /// bytes that are. It may have ceased to track since: then it drops in vain.
    pub(super) fn pay_drop(&mut self, ring: &mut Ring) -> usize {
        self.owes_drop = false;
        if self.session.protocol == Protocol::Resp2 && self.session.subscriptions.is_empty() {
            return 0;
        }
        let mut reply = Reply::new(self.session.protocol);
        write(&Invalidation { drops_all: true, ..Invalidation::default() }, &mut reply);
        self.push(ring, &reply.buffer);
        reply.buffer.len()
    }

    fn queued_bytes(&self, ring: &Ring) -> usize {
        let late = self.executing.as_ref().map_or(0, |executing| executing.late.len());
        ring.queued_bytes(self.connection) + late
    }

    /// Sends something that is no reply, behind the replies so far.
    fn push(&mut self, ring: &mut Ring, bytes: &[u8]) {
        if let Some(executing) = &mut self.executing {
            // It may have read what is invalidated by an EXEC that is not answered yet.
            executing.late.extend_from_slice(bytes);
        } else if let Some(output) = ring.output(self.connection) {
            output.extend_from_slice(bytes);
            ring.flush(self.connection);
        }
    }
}

fn write(invalidation: &Invalidation, reply: &mut Reply) {
    if invalidation.drops_all {
        begin(reply);
        return reply.null();
    }
    let tell = |keys: &mut dyn ExactSizeIterator<Item = &SmallBytes>, reply: &mut Reply| {
        begin(reply);
        reply.array(keys.len());
        keys.for_each(|key| reply.bulk(key));
    };
    for key in &invalidation.keys {
        tell(&mut std::iter::once(key), reply);
    }
    for keys in invalidation.by_prefix.values() {
        tell(&mut keys.iter(), reply);
    }
}

fn begin(reply: &mut Reply) {
    match reply.protocol {
        Protocol::Resp3 => {
            reply.push(2);
            reply.bulk(b"invalidate");
        }
        Protocol::Resp2 => {
            reply.array(3);
            reply.bulk(b"message");
            reply.bulk(b"__redis__:invalidate");
        }
    }
}
