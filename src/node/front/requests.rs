//! From bytes to passes: parsing, the commands that the node answers itself, and the gathering of
//! the rest.

use std::sync::atomic::Ordering::Relaxed;

use crate::engine::batch::Called;
use crate::engine::command::{
    CommandId, CommandSpec, Flags, Handler, NodeCommand, SessionCommand, lookup, spec,
};
use crate::engine::error::CommandError;
use crate::engine::reply::{Protocol, Reply};
use crate::limits::CLIENT_INPUT_KEPT_BYTES;
use crate::net::resp::{Limits, Parsed, parse};
use crate::net::ring::{Connection, Ring};
use crate::raft::types::Payload;

use super::super::clock::nanoseconds;
use super::super::mailbox::{
    ClientHandle, ReportRequest, Source, Step, Survey, ToApply, ToRaft, Wants,
};
use super::super::observe::commandlog::LogKind;
use super::super::session::{self, Face, NodeView, Outcome, ReplyMode, Wait};
use super::replies::end_if_done;
use super::transaction::abort;
use super::{Block, Client, Ending, Gathering, NetRole};

/// What [`NetRole::dispatch`] made of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dispatched {
    Done,
    /// It must wait for earlier commands of its client, and is parsed again then.
    NotYet,
}

impl NetRole {
    pub(super) fn parse_input(&mut self, ring: &mut Ring, client: &mut Client) {
        if client.input.is_empty() || !client.is_parsed() {
            return;
        }
        let input = std::mem::take(&mut client.input);
        let consumed = self.parse(ring, client, &input);
        client.input = input;
        client.input.drain(..consumed);
        if client.input.is_empty() && client.input.capacity() > CLIENT_INPUT_KEPT_BYTES {
            client.input = Vec::new();
        }
    }

    /// Runs the commands at the front of `input`; returns how many bytes they took.
    pub(super) fn parse(&mut self, ring: &mut Ring, client: &mut Client, input: &[u8]) -> usize {
        let mut found = std::mem::take(&mut self.words);
        let mut consumed = 0;
        while client.is_parsed() && consumed < input.len() {
            if self.outstanding_bytes > self.settings.uncommitted_bytes_max {
                self.block(ring, client, Block::Stalled);
                self.stalled.push(client.connection);
                break;
            }
            let limits = Limits::new(self.settings.proto_max_bulk_len, client.authentication());
            let rest = &input[consumed..];
            match parse(rest, &limits, &mut client.parse, &mut found) {
                Ok(Parsed::Request { consumed: taken }) => {
                    if client.session.replies != ReplyMode::On && self.settle_replies(ring, client)
                    {
                        break;
                    }
                    let words = found.slices(rest);
                    if self.dispatch(ring, client, &words, taken) == Dispatched::NotYet {
                        break;
                    }
                    if client.session.tracking.is_some() {
                        client.session.end_caching(words[0]);
                    }
                    consumed += taken;
                }
                Ok(Parsed::Empty { consumed: taken }) => consumed += taken,
                Ok(Parsed::Incomplete) => break,
                Err(error) => {
                    self.reply(ring, client, |reply| reply.error_text(&format!("ERR {error}")));
                    client.ending = Ending::Now;
                    end_if_done(ring, client);
                    consumed = input.len();
                }
            }
        }
        self.words = found;
        consumed
    }

    /// Precondition: `words` holds at least the name of the command.
    fn dispatch(
        &mut self,
        ring: &mut Ring,
        client: &mut Client,
        words: &[&[u8]],
        bytes: usize,
    ) -> Dispatched {
        if client.session.face == Face::Discovery {
            return self.dispatch_discovery(ring, client, words);
        }
        let Some(id) = lookup(words[0]) else {
            return self.dispatch_unknown(ring, client, words, bytes);
        };
        let spec = spec(id);
        if self.paused.is_some() && self.hold_back(ring, client, spec, words) {
            return Dispatched::NotYet;
        }
        if !self.admit(ring, client, (id, spec), words) {
            return Dispatched::Done;
        }
        let is_queued = self.queue(ring, client, id, spec, words);
        match spec.handler {
            _ if is_queued => {}
            Handler::Engine(_) => {
                self.gather(client, id, spec, words);
            }
            Handler::Node(command) if spec.is_of_engine(words.get(1)) => {
                self.gather(client, id, spec, words);
                if command == NodeCommand::Acl && spec.writes(words.get(1)) {
                    self.wait_for_users(ring, client);
                }
            }
            Handler::Session(command) => {
                let dispatched = self.run_session(ring, client, (id, command), words);
                if dispatched == Dispatched::NotYet {
                    return dispatched;
                }
            }
            Handler::Node(command) => {
                if session::needs_order(command, words) && client.outstanding > 0 {
                    self.block(ring, client, Block::Barrier);
                    return Dispatched::NotYet;
                }
                self.run_here(ring, client, (id, command), words);
            }
        }
        if self.is_monitored && !is_queued {
            self.show(&client.session, spec, words);
        }
        if bytes >= self.large_request_bytes {
            self.log_command(LogKind::LargeRequest, bytes as u64, &client.session, words);
        }
        client.session.last_command = Some(id);
        client.session.commands += 1;
        self.gathering.commands += 1;
        Dispatched::Done
    }

    /// A name that is in no table: `RAFT command` asks for what every command is given anyway, the
    /// rest is an error.
    #[cold]
    fn dispatch_unknown(
        &mut self,
        ring: &mut Ring,
        client: &mut Client,
        words: &[&[u8]],
        bytes: usize,
    ) -> Dispatched {
        let is_explicit = |word: &[u8]| word.eq_ignore_ascii_case(b"raft");
        let text = match words {
            [name, command, ..] if is_explicit(name) && !is_explicit(command) => {
                return self.dispatch(ring, client, &words[1..], bytes);
            }
            [name] if is_explicit(name) => CommandError::Arity("raft".into()).to_string(),
            _ => session::unknown_command(words),
        };
        self.counts().error(&text);
        abort(client);
        self.reply(ring, client, |reply| reply.error_text(&text));
        Dispatched::Done
    }

    /// Makes a command of the engine a part of the pass.
    pub(super) fn gather(
        &mut self,
        client: &mut Client,
        id: CommandId,
        spec: &'static CommandSpec,
        words: &[&[u8]],
    ) {
        let database = client.session.database;
        let may_block = spec.flags.contains(Flags::BLOCKING) && spec.may_block(words);
        let is_write = spec.writes(words.get(1));
        let source = if is_write || may_block { Source::Entry } else { Source::Reads };
        if may_block {
            let caller = self.caller(client);
            let called = Called::by(words[0], id);
            self.gathering.writes.push_for(caller, called, database, &words[1..]);
            // It is still received from, so that its end is noticed.
            client.block = Block::Waiting;
        } else {
            let batch = match is_write {
                true => &mut self.gathering.writes,
                false => &mut self.gathering.pending.reads,
            };
            let called = Called::by(words[0], id);
            batch.push_of(client.session.sender(spec), called, database, &words[1..]);
        }
        self.count_step(client, source);
    }

    /// Why the command cannot be run, if so.
    pub(super) fn refusal(
        &self,
        client: &Client,
        spec: &'static CommandSpec,
        words: &[&[u8]],
    ) -> Option<CommandError> {
        if !spec.accepts(words.len()) {
            return Some(CommandError::Arity(spec.name.into()));
        }
        if !client.session.authenticated && !spec.flags.contains(Flags::NO_AUTH) {
            return Some(CommandError::text("NOAUTH Authentication required."));
        }
        if client.session.is_restricted
            && let Some(denial) = self.denial(client, words)
        {
            return Some(denial);
        }
        if client.session.only_listens()
            && let Some(refusal) = session::refusal_of_listener(spec, words)
        {
            return Some(refusal);
        }
        let on_data = Flags::READONLY.union(Flags::WRITE).union(Flags::MAY_REPLICATE);
        if client.session.monitors && spec.flags.intersects(on_data) {
            return Some(CommandError::text("ERR Replica can't interact with the keyspace"));
        }
        if spec.is_write() && self.shared.importing.refuses_writes() {
            return Some(CommandError::ReadOnly);
        }
        match spec.handler {
            Handler::Engine(_)
            | Handler::Node(NodeCommand::Migrate)
            | Handler::Session(SessionCommand::Watch) => {
                self.shared.state().refusal().map(CommandError::text)
            }
            // Who is in no cluster gets no messages.
            Handler::Node(command) if session::is_subscription(command) => {
                self.shared.state().refusal().map(CommandError::text)
            }
            Handler::Node(NodeCommand::Debug)
                if let Some(refusal) = session::refusal_of_debug(&client.session, &self.view()) =>
            {
                Some(refusal)
            }
            Handler::Node(_) if spec.is_of_engine(words.get(1)) => {
                self.shared.state().refusal().map(CommandError::text)
            }
            Handler::Node(_) | Handler::Session(_) => None,
        }
    }

    /// Runs a command that needs nothing of the engine.
    fn run_here(
        &mut self,
        ring: &mut Ring,
        client: &mut Client,
        (id, command): (CommandId, NodeCommand),
        words: &[&[u8]],
    ) {
        let call = self.begin_call(id, words);
        let mut reply = std::mem::take(&mut self.scratch);
        reply.buffer.clear();
        reply.protocol = client.session.protocol;
        let view = self.view();
        let outcome = session::run(command, words, &mut client.session, &view, &mut reply);
        if command == NodeCommand::Config {
            // What it has set decides whether it is itself logged.
            self.take_settings();
        }
        self.end_call(&call, id, &client.session, words, &reply.buffer);
        if matches!(command, NodeCommand::Client | NodeCommand::Monitor) {
            self.refresh_watch();
        }
        self.note_subscriptions(client);
        self.note_tracking(client);
        match outcome {
            // Confirmations are messages like those that follow, and no replies.
            Outcome::Replied if session::is_subscription(command) => {
                self.put(ring, client, &reply.buffer);
            }
            Outcome::Replied => self.write(ring, client, &reply.buffer),
            Outcome::ReplyAndClose => {
                self.write(ring, client, &reply.buffer);
                client.ending = Ending::Now;
                end_if_done(ring, client);
            }
            Outcome::Wait(wait) => self.suspend(ring, client, wait),
            Outcome::ThroughLog(words) => self.submit(ring, client, &words),
            // By the way of a signal, so that there is one way to stop.
            Outcome::Shutdown => match crate::signals::request_stop() {
                Ok(()) => self.block(ring, client, Block::Suspended(Wait::Stop)),
                Err(error) => {
                    log::error!("cannot stop: {error}");
                    reply.error_text("ERR Errors trying to SHUTDOWN. Check logs.");
                    self.write(ring, client, &reply.buffer);
                }
            },
        }
        self.scratch = reply;
    }

    pub(super) fn view(&self) -> NodeView<'_> {
        NodeView {
            shared: &self.shared,
            settings: self.settings.shared(),
            users: &self.users.now,
            now_ms: self.now.monotonic_ms,
            unix_ms: self.now.unix_ms,
        }
    }

    pub(super) fn suspend(&mut self, ring: &mut Ring, client: &mut Client, wait: Wait) {
        let handle = ClientHandle { stream: self.stream, connection: client.connection };
        match &wait {
            Wait::Admin(command) => self.mailboxes.raft.send(ToRaft::Admin {
                client: handle,
                protocol: client.session.protocol,
                command: command.clone(),
            }),
            Wait::Report(_) => {
                self.mailboxes.raft.send(ToRaft::Report(ReportRequest { client: handle }))
            }
            Wait::Survey(survey) => self.start_survey(client.connection, survey),
            Wait::Redirect(redirecting) => {
                let id = redirecting.id.unsigned_abs();
                self.start_survey(client.connection, &Survey::Find { id });
            }
            Wait::Migrate(migration) => self.read_for_migration(client, migration),
            Wait::Pubsub(question) => self.ask_subscriptions(client, question),
            Wait::Stop => unreachable!("invariant: only SHUTDOWN waits for the end of the node"),
        }
        self.block(ring, client, Block::Suspended(wait));
    }

    pub(super) fn block(&mut self, ring: &mut Ring, client: &mut Client, block: Block) {
        client.block = block;
        ring.pause(client.connection);
    }

    pub(super) fn reply(
        &mut self,
        ring: &mut Ring,
        client: &mut Client,
        write: impl FnOnce(&mut Reply),
    ) {
        let mut reply = std::mem::take(&mut self.scratch);
        reply.buffer.clear();
        reply.protocol = client.session.protocol;
        write(&mut reply);
        self.write(ring, client, &reply.buffer);
        self.scratch = reply;
    }

    /// Puts a reply in its place: into the output when nothing is outstanding, else into the pass.
    pub(super) fn write(&mut self, ring: &mut Ring, client: &mut Client, reply: &[u8]) {
        if !reply.is_empty() && !client.session.replies.are_dropped() {
            self.put(ring, client, reply);
        }
    }

    /// [`NetRole::write`], whatever CLIENT REPLY has asked for.
    fn put(&mut self, ring: &mut Ring, client: &mut Client, reply: &[u8]) {
        if client.outstanding == 0 {
            if let Some(output) = ring.output(client.connection) {
                output.extend_from_slice(reply);
                ring.flush(client.connection);
            }
        } else {
            self.gathering.pending.canned.extend_from_slice(reply);
            let (connection, protocol) = (client.connection, client.session.protocol);
            let count = reply.len() as u32;
            client.outstanding +=
                self.gathering.step(connection, protocol, Source::Canned, count, false);
        }
    }

    /// Sends the pass on its way; returns whether there was one.
    pub(super) fn close_pass(&mut self) -> bool {
        self.tell_subscriptions();
        let commands = std::mem::take(&mut self.gathering.commands);
        if commands > 0 {
            self.shared.clients.commands.fetch_add(commands, Relaxed);
        }
        if self.gathering.pending.steps.is_empty() {
            return false;
        }
        let spare = self.spare.pop().unwrap_or_default();
        let mut pending = std::mem::replace(&mut self.gathering.pending, spare);
        let ticket = self.next_ticket;
        self.next_ticket = ticket.next();
        pending.stream = self.stream;
        pending.ticket = ticket;
        pending.bytes =
            self.gathering.writes.bytes() + pending.reads.bytes() + pending.canned.len();
        pending.reply_bytes_max = self.settings.client_output_buffer_limit.normal.hard as usize;
        pending.wants = if !self.gathering.writes.is_empty() {
            Wants::Commit
        } else if pending.reads.is_empty() || !self.settings.quorum_reads {
            Wants::Turn
        } else {
            Wants::ReadIndex
        };
        self.outstanding_bytes += pending.bytes;
        let wants = pending.wants;
        let is_timed = self.settings.latency_monitor_threshold_ms > 0 && wants == Wants::Commit;
        pending.submitted = if is_timed { nanoseconds() } else { 0 };
        self.mailboxes.apply.send(ToApply::Pending(Box::new(pending)));
        let stream = self.stream;
        match wants {
            Wants::Commit => {
                let payload = Payload::new(self.gathering.writes.to_archive());
                self.gathering.writes.clear();
                self.mailboxes.raft.send(ToRaft::Submit { stream, ticket, payload });
            }
            Wants::ReadIndex => self.mailboxes.raft.send(ToRaft::Read { stream, ticket }),
            Wants::Turn => {}
        }
        true
    }
}

impl Gathering {
    /// Adds to the last step, or begins a new one; returns how many steps it began.
    pub(super) fn step(
        &mut self,
        connection: Connection,
        protocol: Protocol,
        source: Source,
        count: u32,
        tracks: bool,
    ) -> u32 {
        if let Some(last) = self.pending.steps.last_mut()
            && (last.connection, last.protocol, last.source) == (connection, protocol, source)
            && last.tracks == tracks
        {
            last.count += count;
            return 0;
        }
        self.pending.steps.push(Step { connection, protocol, source, count, tracks });
        1
    }

    pub(super) fn bytes(&self) -> usize {
        self.writes.bytes() + self.pending.reads.bytes() + self.pending.canned.len()
    }
}
