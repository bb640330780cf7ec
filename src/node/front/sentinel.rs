//! Clients of the discovery port: they ask who leads, and are told when that changes. Nothing that
//! they send reaches the log, the keyspace or the subscribers that apply knows.

use crate::engine::pubsub::{Message, Topic};
use crate::engine::reply::Reply;
use crate::glob::glob_match;
use crate::net::ring::{Connection, Ring};

use super::super::session::{self, Outcome, SWITCH_CHANNEL, Served, switch_message};
use super::replies::end_if_done;
use super::requests::Dispatched;
use super::{Client, Ending, NetRole};

impl NetRole {
    /// A listener of the discovery port has a new connection: its clients stay with this role.
    pub fn on_sentinel_accepted(&mut self, ring: &mut Ring, socket: socket2::Socket) {
        self.adopt(ring, socket, session::Face::Discovery);
    }

    pub(super) fn dispatch_discovery(
        &mut self,
        ring: &mut Ring,
        client: &mut Client,
        words: &[&[u8]],
    ) -> Dispatched {
        let mut reply = Reply::new(client.session.protocol);
        let view = self.view();
        let served = session::run_sentinel(words, &client.session, &view, &mut reply);
        let outcome = match served {
            Ok(Served::Here(outcome)) => outcome,
            Ok(Served::Ordinary(command)) => {
                let outcome = session::run(command, words, &mut client.session, &view, &mut reply);
                // Apply need not know: what is told here does not come from the log.
                client.session.subscriptions.take_changes();
                outcome
            }
            Err(error) => {
                reply.error(&error);
                Outcome::Replied
            }
        };
        self.write(ring, client, &reply.buffer);
        match outcome {
            // Nothing here goes through the log.
            Outcome::Replied | Outcome::ThroughLog(_) => {}
            Outcome::ReplyAndClose | Outcome::Shutdown => {
                client.ending = Ending::Now;
                end_if_done(ring, client);
            }
            Outcome::Wait(wait) => self.suspend(ring, client, wait),
        }
        Dispatched::Done
    }

    /// Another member leads.
    pub(super) fn tell_switch(&mut self, ring: &mut Ring, former: &str, leader: &str) {
        let name = self.settings.shared().get("sentinel-master-name");
        let payload = switch_message(&name, former, leader);
        for client in self.clients.iter().flatten() {
            if client.session.face != session::Face::Discovery {
                continue;
            }
            let mut reply = Reply::new(client.session.protocol);
            let subscriptions = &client.session.subscriptions;
            let mut message = Message {
                topic: Topic::Channel,
                pattern: b"",
                channel: SWITCH_CHANNEL.as_bytes(),
                payload: payload.as_bytes(),
                receivers: &[],
            };
            if subscriptions.has(Topic::Channel, message.channel) {
                message.write(&mut reply);
            }
            message.topic = Topic::Pattern;
            for pattern in subscriptions.patterns() {
                if glob_match(pattern, message.channel) {
                    message.pattern = pattern;
                    message.write(&mut reply);
                }
            }
            send(ring, client.connection, &reply.buffer);
        }
    }
}

fn send(ring: &mut Ring, connection: Connection, bytes: &[u8]) {
    if !bytes.is_empty()
        && let Some(output) = ring.output(connection)
    {
        output.extend_from_slice(bytes);
        ring.flush(connection);
    }
}
