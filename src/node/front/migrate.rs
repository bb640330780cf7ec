//! The way of MIGRATE through this role: from the engine that reads, by the thread that sends, to
//! the log.

use crate::engine::batch::Sender;
use crate::engine::command::lookup;
use crate::engine::reply::Reply;
use crate::limits::MIGRATIONS_MAX;
use crate::net::ring::{Connection, Ring};

use super::super::mailbox::Source;
use super::super::migrate::{self, Migration, Sent, Stage};
use super::super::session::Wait;
use super::{Block, Client, NetRole};

const CHANGED: &str = "ERR keys have changed or gone while they were sent: what is left of them \
                       stays here, and the target has what they were before";

impl NetRole {
    /// Asks the engine for the keys, and the state at a read index for them.
    pub(super) fn read_for_migration(&mut self, client: &mut Client, migration: &Migration) {
        let dump = lookup(b"raft.dump").expect("invariant: it is in the table");
        let keys: Vec<&[u8]> = migration.keys.iter().map(Vec::as_slice).collect();
        let sender = Sender { hides_usage: true, user: None };
        self.gathering.pending.reads.push_of(sender, dump, client.session.database, &keys);
        self.count_untracked_step(client, Source::Reads);
    }

    fn count_untracked_step(&mut self, client: &mut Client, source: Source) {
        let (connection, protocol) = (client.connection, client.session.protocol);
        client.outstanding += self.gathering.step(connection, protocol, source, 1, false);
    }

    /// The engine has replied to a command that stands for a part of MIGRATE.
    pub(super) fn migration_answered(
        &mut self,
        ring: &mut Ring,
        connection: Connection,
        reply: &[u8],
    ) {
        let slot = self.clients.get_mut(connection.index()).and_then(Option::as_mut);
        let Some(Client { block: Block::Suspended(Wait::Migrate(migration)), session, .. }) = slot
        else {
            return;
        };
        let mut answer = Reply::new(session.protocol);
        match (&migration.stage, reply) {
            (Stage::Releasing { failure: Some(text) }, [b':', ..]) => answer.error_text(text),
            (Stage::Releasing { .. }, b":0\r\n") => answer.ok(),
            (Stage::Releasing { .. }, [b':', ..]) => answer.error_text(CHANGED),
            (Stage::Reading, [b'*', ..]) => {
                let values = migrate::dumped(reply);
                if values.is_empty() {
                    answer.simple("NOKEY");
                } else if self.migrations == MIGRATIONS_MAX {
                    answer.error_text("ERR too many MIGRATE commands are under way");
                } else {
                    let (target, replaces) = (migration.target.clone(), migration.replaces);
                    let net = self.mailboxes.nets[usize::from(self.stream)].clone();
                    match migrate::start(target, replaces, values, connection, net) {
                        Ok(()) => {
                            self.migrations += 1;
                            migration.stage = Stage::Sending;
                            return;
                        }
                        Err(error) => {
                            log::error!("cannot start a thread for MIGRATE: {error}");
                            answer.error_text("ERR cannot start a thread for MIGRATE");
                        }
                    }
                }
            }
            // It was refused, or has an unknown outcome.
            _ => answer.buffer.extend_from_slice(reply),
        }
        self.answer(ring, connection, &answer.buffer);
    }

    /// A thread has sent what it could. The keys of a client that has left stay here.
    pub(super) fn migration_sent(&mut self, ring: &mut Ring, connection: Connection, sent: Sent) {
        self.migrations -= 1;
        let Some(mut client) = self.take(connection) else { return };
        let failure = sent.failure.map(|failure| failure.to_string());
        let mut answer = None;
        if let Block::Suspended(Wait::Migrate(migration)) = &mut client.block {
            if migration.copies || sent.taken.is_empty() {
                let mut reply = Reply::new(client.session.protocol);
                match failure {
                    None => reply.ok(),
                    Some(text) => reply.error_text(&text),
                }
                answer = Some(reply.buffer);
            } else {
                migration.stage = Stage::Releasing { failure };
                let release = lookup(b"raft.release").expect("invariant: it is in the table");
                let words: Vec<&[u8]> =
                    sent.taken.iter().flat_map(|(key, version)| [&key[..], version]).collect();
                self.gathering.writes.push(release, client.session.database, &words);
                self.count_untracked_step(&mut client, Source::Entry);
            }
        }
        self.put_back(client);
        if let Some(reply) = answer {
            self.answer(ring, connection, &reply);
        }
    }
}
