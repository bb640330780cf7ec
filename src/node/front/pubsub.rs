//! Subscribers among the clients of this role: what they subscribe to is told to apply, and what it
//! hands over for them is written behind what they were sent before.
//!
//! A client that does not read what it subscribes to is closed at the limits of its class. Its
//! subscriptions end with its connection.

use std::sync::atomic::Ordering::Relaxed;

use crate::config::OutputLimit;
use crate::engine::pubsub::{Change, Message, Published, Question, Subscriber};
use crate::engine::reply::{Protocol, Reply};
use crate::net::ring::{Connection, Ring};

use super::super::mailbox::{ClientHandle, ToApply};
use super::{Client, NetRole};

impl NetRole {
    /// Takes over what the client's last command has changed of its subscriptions.
    #[inline]
    pub(super) fn note_subscriptions(&mut self, client: &mut Client) {
        let changes = client.session.subscriptions.take_changes();
        if changes.is_empty() {
            return;
        }
        let subscribes = !client.session.subscriptions.is_empty();
        let subscribed = &self.shared.clients.subscribed;
        match (std::mem::replace(&mut client.counts_as_subscriber, subscribes), subscribes) {
            (false, true) => subscribed.fetch_add(1, Relaxed),
            (true, false) => subscribed.fetch_sub(1, Relaxed),
            _ => 0,
        };
        let connection = client.connection.to_bits();
        let subscriber = Subscriber { stream: self.stream, connection };
        self.subscription_changes.extend(changes.into_iter().map(|change| Change {
            subscriber,
            topic: change.topic,
            name: change.name,
            subscribes: change.subscribes,
        }));
    }

    /// Apply learns of subscriptions before it sees any command that came later, and before the
    /// client is sent its confirmation: no message is missed that is published after that.
    pub(super) fn tell_subscriptions(&mut self) {
        if !self.subscription_changes.is_empty() {
            let changes = std::mem::take(&mut self.subscription_changes);
            self.mailboxes.apply.send(ToApply::Subscriptions(changes));
        }
    }

    /// PUBSUB
    pub(super) fn ask_subscriptions(&mut self, client: &Client, question: &Question) {
        self.tell_subscriptions();
        self.mailboxes.apply.send(ToApply::Pubsub {
            client: ClientHandle { stream: self.stream, connection: client.connection },
            protocol: client.session.protocol,
            question: question.clone(),
        });
    }

    pub(super) fn publish(&mut self, ring: &mut Ring, published: &Published) {
        if published.is_lost {
            return self.close_subscribers(ring, "messages for them were lost");
        }
        let mut encoded = [Reply::new(Protocol::Resp2), Reply::new(Protocol::Resp3)];
        for message in published.messages() {
            for reply in &mut encoded {
                reply.buffer.clear();
            }
            for receiver in message.receivers {
                self.publish_to(ring, Connection::from_bits(*receiver), &message, &mut encoded);
            }
        }
    }

    fn publish_to(
        &mut self,
        ring: &mut Ring,
        connection: Connection,
        message: &Message<'_>,
        encoded: &mut [Reply; 2],
    ) {
        let slot = self.clients.get_mut(connection.index()).and_then(Option::as_mut);
        let Some(client) = slot.filter(|client| client.connection == connection) else { return };
        // It may have unsubscribed since apply has handed this over.
        if !client.session.subscriptions.has(message.topic, message.name()) {
            return;
        }
        let reply = &mut encoded[usize::from(client.session.protocol == Protocol::Resp3)];
        if reply.buffer.is_empty() {
            message.write(reply);
        }
        let limit = self.settings.client_output_buffer_limit.pubsub;
        let queued = match &mut client.executing {
            // The confirmation may be among the replies to EXEC, which are not written yet.
            Some(executing) => {
                executing.late.extend_from_slice(&reply.buffer);
                executing.late.len()
            }
            None => {
                let Some(output) = ring.output(connection) else { return };
                output.extend_from_slice(&reply.buffer);
                ring.flush(connection);
                ring.queued_bytes(connection)
            }
        };
        self.shared.clients.output_bytes.fetch_add(reply.buffer.len() as u64, Relaxed);
        if limit.hard > 0 && queued as u64 > limit.hard {
            log::warn!("closing subscriber {} over the output buffer limit", client.session.id);
            self.shared.clients.output_limit_closed.fetch_add(1, Relaxed);
            client.session.subscriptions.clear();
            ring.close(connection);
            let Some(mut client) = self.take(connection) else { return };
            self.note_subscriptions(&mut client);
            self.put_back(client);
        }
    }

    /// Whoever subscribes cannot be told what it misses: the end of its connection tells so.
    pub(super) fn close_subscribers(&mut self, ring: &mut Ring, reason: &str) {
        let mut count = 0;
        for client in self.clients.iter().flatten() {
            if !client.session.subscriptions.is_empty() {
                ring.close(client.connection);
                count += 1;
            }
        }
        if count > 0 {
            log::warn!("closing {count} subscribers: {reason}");
        }
    }
}

impl Client {
    /// The output limit of its class.
    pub(super) fn output_limit(&self, limits: &crate::config::OutputLimits) -> OutputLimit {
        match self.session.subscriptions.is_empty() && !self.session.monitors {
            true => limits.normal,
            false => limits.pubsub,
        }
    }
}
