//! MULTI, EXEC and WATCH of the clients of this role.
//!
//! A queue becomes one unit of the pass, as part of the log entry or as a read, and is run there as
//! a whole. What the node itself answers (PING, SELECT, CLIENT) is no part of it: it is run here
//! when the reply to the rest has come, if EXEC was not refused, and put in its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::batch::{Called, Caller};
use crate::engine::command::{
    CommandId, CommandSpec, Flags, Handler, NodeCommand, SessionCommand, lookup, stat_slot,
};
use crate::engine::error::CommandError;
use crate::engine::keyspace::{DATABASE_COUNT, Victim};
use crate::engine::reply::{Protocol, Reply, first_reply_len};
use crate::limits::BATCH_BYTES_MAX;
use crate::net::ring::{Connection, Ring};
use crate::raft::types::{Index, MemberId};

use super::super::import::Units;
use super::super::mailbox::{Ended, Source};
use super::super::session::{self, Aside, AsideWork, Outcome, Session, Transaction};
use super::requests::Dispatched;
use super::{Block, Client, NetRole};

/// EXEC of a transaction with commands that the node answers.
pub(super) struct Executing {
    /// What is still to be run, in order.
    asides: std::vec::IntoIter<Aside>,
    /// How many commands there are in all, and were answered.
    total: u32,
    done: u32,
    /// The replies of the engine, of which those before `taken` are in `reply` already.
    engine: Vec<u8>,
    taken: usize,
    reply: Vec<u8>,
    /// Messages for a client that subscribes, to be sent behind the reply.
    pub(super) late: Vec<u8>,
}

impl NetRole {
    /// What has to be known of a command before it is run or queued.
    pub(super) fn admit(
        &mut self,
        ring: &mut Ring,
        client: &mut Client,
        (id, spec): (CommandId, &'static CommandSpec),
        words: &[&[u8]],
    ) -> bool {
        let refusal = self.refusal(client, spec, words).or_else(|| {
            let is_queuing = client.session.transaction.is_some();
            is_queuing.then(|| Transaction::check(spec, &words[1..]).err()).flatten()
        });
        let Some(refusal) = refusal else { return true };
        self.counts().reject(stat_slot(id, words.get(1)), &refusal.to_string());
        if matches!(spec.handler, Handler::Session(SessionCommand::Exec)) {
            client.session.transaction = None;
            let reason = refusal.to_string();
            let reason = reason.strip_prefix("ERR ").unwrap_or(&reason);
            let text = format!("EXECABORT Transaction discarded because of: {reason}");
            self.reply(ring, client, |reply| reply.error_text(&text));
            self.forget_watches(client);
        } else {
            abort(client);
            self.reply(ring, client, |reply| reply.error(&refusal));
        }
        false
    }

    /// Queues a command if its client is at that; whether it is done with.
    pub(super) fn queue(
        &mut self,
        ring: &mut Ring,
        client: &mut Client,
        id: CommandId,
        spec: &'static CommandSpec,
        words: &[&[u8]],
    ) -> bool {
        let Some(transaction) = &mut client.session.transaction else { return false };
        if session::is_never_queued(spec) {
            return false;
        }
        // Redis refuses to queue what it would refuse to run.
        let denies = || self.shared.denies_growth.load(Ordering::Acquire);
        let queued = if spec.flags.contains(Flags::DENYOOM) && denies() {
            Err(CommandError::OutOfMemory)
        } else {
            transaction.queue(id, words)
        };
        match queued {
            Ok(()) => self.reply(ring, client, |reply| reply.simple("QUEUED")),
            Err(error) => {
                self.counts().reject(stat_slot(id, words.get(1)), &error.to_string());
                abort(client);
                self.reply(ring, client, |reply| reply.error(&error));
            }
        }
        true
    }

    pub(super) fn run_session(
        &mut self,
        ring: &mut Ring,
        client: &mut Client,
        (id, command): (CommandId, SessionCommand),
        words: &[&[u8]],
    ) -> Dispatched {
        let queues = client.session.transaction.is_some();
        if matches!(command, SessionCommand::Multi | SessionCommand::Discard) {
            // The engine counts the others.
            self.counts().call(stat_slot(id, None), true);
        }
        match (command, queues) {
            (SessionCommand::Multi, false) => {
                let Session { database, user, .. } = &client.session;
                let mut transaction = Transaction::new(*database, Arc::clone(user));
                transaction.is_unnoticed = client.session.no_touch;
                client.session.transaction = Some(Box::new(transaction));
                self.reply(ring, client, Reply::ok);
            }
            (SessionCommand::Multi, true) => {
                self.fail(ring, client, id, "ERR MULTI calls can not be nested");
            }
            (SessionCommand::Exec, false) => {
                self.counts().call(stat_slot(id, None), true);
                self.fail(ring, client, id, "ERR EXEC without MULTI");
            }
            (SessionCommand::Exec, true) => return self.execute(ring, client, id),
            (SessionCommand::Discard, false) => {
                self.fail(ring, client, id, "ERR DISCARD without MULTI");
            }
            (SessionCommand::Discard, true) | (SessionCommand::Unwatch, _) => {
                client.session.transaction = None;
                self.reply(ring, client, Reply::ok);
                self.forget_watches(client);
            }
            (SessionCommand::Watch, true) => {
                self.counts().call(stat_slot(id, None), true);
                self.fail(ring, client, id, "ERR WATCH inside MULTI is not allowed");
            }
            (SessionCommand::Watch, false) => {
                let caller = self.caller(client);
                client.session.watches = true;
                let called = Called::by(words[0], id);
                let database = client.session.database;
                self.gathering.writes.push_for(caller, called, database, &words[1..]);
                self.count_step(client, Source::Entry);
            }
            (SessionCommand::Reset, _) => {
                client.session.transaction = None;
                let view = self.view();
                let mut reply = Reply::default();
                session::reset(&mut client.session, &view, &mut reply);
                self.note_subscriptions(client);
                self.note_tracking(client);
                self.write(ring, client, &reply.buffer);
                self.forget_watches(client);
            }
        }
        Dispatched::Done
    }

    /// A command of this client, whose call is counted, has this error for a reply.
    fn fail(&mut self, ring: &mut Ring, client: &mut Client, id: CommandId, text: &'static str) {
        self.counts().fail(stat_slot(id, None), text);
        self.reply(ring, client, |reply| reply.error(&CommandError::text(text)));
    }

    /// The client as the engine knows it from now on, until it leaves.
    pub(super) fn caller(&self, client: &mut Client) -> Caller {
        client.session.is_known = true;
        Caller { session: client.session.id, protocol: client.session.protocol }
    }

    /// The last command that was gathered is the client's.
    pub(super) fn count_step(&mut self, client: &mut Client, source: Source) {
        let (connection, protocol) = (client.connection, client.session.protocol);
        let tracks = client.session.tracks_next();
        client.outstanding += self.gathering.step(connection, protocol, source, 1, tracks);
        if self.gathering.bytes() >= BATCH_BYTES_MAX {
            self.close_pass();
        }
    }

    fn execute(&mut self, ring: &mut Ring, client: &mut Client, exec: CommandId) -> Dispatched {
        let queued = client.session.transaction.as_deref();
        if queued.is_some_and(|queued| !queued.asides.is_empty()) && client.outstanding > 0 {
            self.block(ring, client, Block::Barrier);
            return Dispatched::NotYet;
        }
        let queued = client.session.transaction.take();
        let queued = *queued.expect("invariant: EXEC was told apart by it");
        let transaction = self.recheck(client, queued);
        if self.is_monitored && !transaction.aborted {
            self.show_transaction(&client.session, &transaction);
        }
        if transaction.aborted {
            let text = "EXECABORT Transaction discarded because of previous errors.";
            self.counts().call(stat_slot(exec, None), true);
            self.fail(ring, client, exec, text);
            self.forget_watches(client);
            return Dispatched::Done;
        }
        let watches = std::mem::take(&mut client.session.watches);
        let caller = watches.then(|| self.caller(client));
        let is_mixed = !transaction.asides.is_empty();
        if is_mixed {
            client.session.note_queued_caching(&transaction.asides);
        }
        let is_decided = caller.is_none() && transaction.count == 0;
        if is_mixed {
            client.executing = Some(Box::new(Executing::new(&transaction)));
        }
        if is_decided {
            // Nothing of it concerns the engine.
            self.counts().call(stat_slot(exec, None), true);
            match is_mixed {
                true => self.go_on(ring, client),
                false => self.reply(ring, client, |reply| reply.array(0)),
            }
            return Dispatched::Done;
        }
        let Transaction { commands, count, writes, changes_users, .. } = transaction;
        if writes || watches {
            self.gathering.writes.push_transaction(caller, exec, &commands, count);
            self.count_step(client, Source::Entry);
        } else {
            self.gathering.pending.reads.push_transaction(None, exec, &commands, count);
            self.count_step(client, Source::Reads);
        }
        if is_mixed {
            self.block(ring, client, Block::Executing);
        } else if changes_users {
            self.wait_for_users(ring, client);
        }
        Dispatched::Done
    }

    /// The engine has answered EXEC of a transaction with commands of the node in it.
    pub(super) fn executed(&mut self, ring: &mut Ring, connection: Connection, reply: &[u8]) {
        let Some(mut client) = self.take(connection) else { return };
        client.block = Block::None;
        match (reply, &mut client.executing) {
            // It was refused, or has an unknown outcome: nothing more is run of it.
            ([b'*', b'0'..=b'9', ..], Some(executing)) => {
                executing.engine.extend_from_slice(reply);
                executing.taken = header_len(reply);
                self.go_on(ring, &mut client);
            }
            _ => {
                let executing = client.executing.take();
                self.write(ring, &mut client, reply);
                if let Some(executing) = executing {
                    self.write(ring, &mut client, &executing.late);
                }
            }
        }
        self.parse_on(ring, &mut client);
        self.put_back(client);
    }

    /// Runs what the node runs of a transaction, up to a command that waits for another role.
    pub(super) fn go_on(&mut self, ring: &mut Ring, client: &mut Client) {
        while let Some(executing) = &mut client.executing {
            if executing.done == executing.total {
                let (mut reply, late) =
                    (std::mem::take(&mut executing.reply), std::mem::take(&mut executing.late));
                reply.extend_from_slice(&late);
                client.executing = None;
                self.write(ring, client, &reply);
                return;
            }
            let Some(aside) = executing.next() else { continue };
            let mut reply = Reply::new(client.session.protocol);
            let (command, words) = match &aside.work {
                AsideWork::Run { command: NodeCommand::Monitor, .. } => {
                    // Its lines would come within the reply to EXEC.
                    reply.error_text("ERR MONITOR isn't allowed for DENY BLOCKING client");
                    executing.append(&reply.buffer);
                    continue;
                }
                AsideWork::Run { command, words } => (*command, words),
                AsideWork::Refuse(text) => {
                    reply.error_text(text);
                    executing.append(&reply.buffer);
                    continue;
                }
            };
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let id = lookup(words[0]).expect("invariant: what is queued was looked up");
            let call = self.begin_call(id, &words);
            let view = self.view();
            let outcome = session::run(command, &words, &mut client.session, &view, &mut reply);
            self.end_call(&call, id, &client.session, &words, &reply.buffer);
            let reply = reply.buffer;
            executing.reply.extend_from_slice(&reply);
            self.note_subscriptions(client);
            self.note_tracking(client);
            match outcome {
                Outcome::Wait(wait) => return self.suspend(ring, client, wait),
                Outcome::ThroughLog(words) => {
                    self.submit_quietly(&words);
                    if let Some(executing) = &mut client.executing {
                        executing.append(b"+OK\r\n");
                    }
                }
                Outcome::Replied | Outcome::ReplyAndClose | Outcome::Shutdown => {}
            }
        }
    }

    /// Ends what the client watches, on all nodes.
    fn forget_watches(&mut self, client: &mut Client) {
        if std::mem::take(&mut client.session.watches) {
            self.push_reset(Ended { session: client.session.id, insists: false });
        }
    }

    fn push_reset(&mut self, ended: Ended) {
        let reset = lookup(b"reset").expect("invariant: it is in the table");
        let caller = Caller { session: ended.session, protocol: Protocol::Resp2 };
        self.gathering.writes.push_for(caller, reset, 0, &[]);
        self.gathering.pending.ended.push(ended);
        self.count_quiet_step();
    }

    /// The last command that was gathered is nobody's: its reply is dropped.
    pub(super) fn count_quiet_step(&mut self) {
        self.gathering.step(Connection::NONE, Protocol::Resp2, Source::Quiet, 1, false);
        if self.gathering.bytes() >= BATCH_BYTES_MAX {
            self.close_pass();
        }
    }

    /// Lets all nodes pass over the clients of members that are silent. It is said again as long as
    /// they are and have any.
    pub(super) fn tell_passed_over(&mut self, members: &[MemberId]) {
        let unblock = lookup(b"raft.unblock").expect("invariant: it is in the table");
        for member in members {
            let id = member.to_string();
            self.gathering.writes.push(unblock, 0, &[id.as_bytes()]);
            self.count_quiet_step();
        }
    }

    /// Lets keys go on all nodes.
    pub(super) fn evict(&mut self, index: Index, victims: &[Victim]) {
        let id = lookup(b"raft.evict").expect("invariant: it is in the table");
        let index = index.0.to_string();
        let databases: Vec<String> = (0..DATABASE_COUNT).map(|it| it.to_string()).collect();
        let pairs = victims.iter().flat_map(|Victim { database, key }| {
            [databases[usize::from(*database)].as_bytes(), key.as_slice()]
        });
        let words: Vec<&[u8]> = std::iter::once(index.as_bytes()).chain(pairs).collect();
        self.gathering.writes.push(id, 0, &words);
        self.gathering.pending.evicts = true;
        self.count_quiet_step();
    }

    /// Puts into the log what was read from the source that the cluster follows.
    pub(super) fn import(&mut self, units: &Units) {
        if self.shared.state().refusal().is_some() {
            return self.shared.importing.note_given_up();
        }
        self.gathering.writes.append(&units.batch);
        self.gathering.pending.imports = true;
        self.gathering.step(Connection::NONE, Protocol::Resp2, Source::Quiet, units.count, false);
        if self.gathering.bytes() >= BATCH_BYTES_MAX {
            self.close_pass();
        }
    }

    /// Brings the settings of this node to a cluster that has none yet.
    pub(super) fn offer_settings(&mut self) {
        let id = lookup(b"raft.setting").expect("invariant: it is in the table");
        let brought = self.settings.shared().brought();
        let pairs = brought.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let words: Vec<&[u8]> = std::iter::once(&b"FOUND"[..]).chain(pairs).collect();
        self.gathering.writes.push(id, 0, &words);
        self.count_quiet_step();
    }

    /// Lets all nodes forget the sessions that have ended. What is given up is told again, as long
    /// as this node is a member: with a member, the cluster forgets its sessions.
    pub(super) fn tell_ended(&mut self) {
        if self.ended.is_empty() {
            return;
        }
        if self.shared.state().refusal().is_some() {
            // Who is no member has no sessions.
            return self.ended.clear();
        }
        for ended in std::mem::take(&mut self.ended) {
            self.push_reset(ended);
        }
    }
}

/// A command of a transaction was refused.
pub(super) fn abort(client: &mut Client) {
    if let Some(transaction) = &mut client.session.transaction {
        transaction.aborted = true;
    }
}

fn header_len(reply: &[u8]) -> usize {
    reply.iter().position(|byte| *byte == b'\n').map_or(reply.len(), |at| at + 1)
}

impl Executing {
    fn new(transaction: &Transaction) -> Self {
        let total = transaction.queued_count() as u32;
        let mut reply = Reply::default();
        reply.array(total as usize);
        Self {
            asides: transaction.asides.clone().into_iter(),
            total,
            done: 0,
            engine: Vec::new(),
            taken: 0,
            reply: reply.buffer,
            late: Vec::new(),
        }
    }

    /// The next command if it is the node's, else takes the reply of the engine.
    fn next(&mut self) -> Option<Aside> {
        let is_next = self.asides.as_slice().first().is_some_and(|it| it.place == self.done);
        self.done += 1;
        if is_next {
            return self.asides.next();
        }
        let rest = &self.engine[self.taken..];
        let len = first_reply_len(rest);
        self.reply.extend_from_slice(&rest[..len]);
        self.taken += len;
        None
    }

    /// The reply to the command that waited.
    pub(super) fn append(&mut self, reply: &[u8]) {
        self.reply.extend_from_slice(reply);
    }
}
