//! What the role tells of its work: counts of the commands that it runs itself, entries of the logs
//! of slow and large commands, and the lines of MONITOR.

use std::borrow::Cow;
use std::sync::Arc;

use crate::engine::command::{CommandId, CommandSpec, Flags, brief, resolve, spec, stat_slot};
use crate::engine::timing::{ALONE_NANOS_MIN, Notable, excerpt};
use crate::engine::witness::ScriptDenial;
use crate::limits::{CLIENT_OUTPUT_SOFT_BYTES, PUBLISHED_BYTES_MAX};
use crate::net::ring::{Connection, Ring};

use super::super::clock::{nanoseconds, unix_seconds};
use super::super::mailbox::ToNet;
use super::super::observe::commandlog::{LogEntry, LogKind};
use super::super::observe::latency::RAFT_COMMIT;
use super::super::observe::monitor::{Lines, write_line};
use super::super::observe::rates::{SAMPLE_MS, Sums};
use super::super::observe::words::shown;
use super::super::observe::{counts::NetCounts, latency};
use super::super::session::{self, AsideWork, Session, Transaction};
use super::holding::CLUSTER_PREFIX;
use super::{Client, NetRole};

/// A command that the role runs itself is under way.
pub(super) struct Call {
    slot: u16,
    /// For how many calls its time stands; 0: it is not timed.
    weight: u64,
    began: u64,
}

impl NetRole {
    /// Takes over settings that were changed.
    pub(super) fn set_observed(&mut self) {
        self.shared.observed.set(&self.settings);
        self.thresholds = self.shared.observed.thresholds();
        let large = usize::try_from(self.settings.log_request_larger_than);
        self.large_request_bytes = large.unwrap_or(usize::MAX);
        let hard = self.settings.client_output_buffer_limit.least_hard();
        let hard = hard.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
        self.choked_bytes = hard.min(CLIENT_OUTPUT_SOFT_BYTES);
    }

    pub(super) fn counts(&self) -> &NetCounts {
        &self.counts
    }

    pub(super) fn begin_call(&self, id: CommandId, words: &[&[u8]]) -> Call {
        let slot = stat_slot(id, words.get(1));
        let is_sampled = brief(id) && self.thresholds.nanos >= ALONE_NANOS_MIN;
        let weight = self.counts.call(slot, is_sampled);
        let began = if weight > 0 { nanoseconds() } else { 0 };
        Call { slot, weight, began }
    }

    pub(super) fn end_call(
        &mut self,
        call: &Call,
        id: CommandId,
        session: &Session,
        words: &[&[u8]],
        reply: &[u8],
    ) {
        if let [b'-', text @ ..] = reply {
            let line = text.split(|byte| *byte == b'\r').next().unwrap_or_default();
            self.counts.fail(call.slot, &String::from_utf8_lossy(line));
        }
        if call.weight == 0 {
            return;
        }
        let nanos = nanoseconds().saturating_sub(call.began);
        self.counts.time(call.slot, nanos, call.weight, self.thresholds.tracks);
        if nanos >= self.thresholds.nanos {
            let is_fast = spec(id).flags.contains(Flags::FAST);
            let event = if is_fast { latency::FAST_COMMAND } else { latency::COMMAND };
            self.shared.observed.note_latency(event, nanos, unix_seconds);
            if self.shared.observed.is_slow(nanos) {
                self.log_command(LogKind::Slow, nanos / 1000, session, words);
            }
        }
    }

    /// Puts a command into one of the logs.
    #[cold]
    pub(super) fn log_command(
        &self,
        kind: LogKind,
        value: u64,
        session: &Session,
        words: &[&[u8]],
    ) {
        let shown = shown(words);
        let kept = excerpt(shown.iter().map(|word| &**word), words.len());
        self.push_entry(kind, value, kept, Some(session));
    }

    /// A client that has left is not known any more.
    fn push_entry(
        &self,
        kind: LogKind,
        value: u64,
        words: Vec<Vec<u8>>,
        session: Option<&Session>,
    ) {
        self.shared.observed.log(kind).push(LogEntry {
            id: 0,
            seconds: unix_seconds(),
            value,
            words,
            client: session.map_or("?:0".to_owned(), |session| session.peer.to_string()),
            client_name: session.map_or(Vec::new(), |session| session.name.clone()),
        });
    }

    /// Logs what the engine has noted of this role's clients.
    pub(super) fn log_notable(&mut self, notable: Vec<(Connection, Notable)>) {
        for (connection, Notable { words, nanos, reply_bytes, .. }) in notable {
            // What a command of the node makes of itself is not what the client sent.
            if words[0].starts_with(CLUSTER_PREFIX.as_bytes()) {
                continue;
            }
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let words: Vec<Vec<u8>> = shown(&words).into_iter().map(Cow::into_owned).collect();
            let slot = self.clients.get(connection.index()).and_then(Option::as_ref);
            let client = slot.filter(|client| client.connection == connection);
            let session = client.map(|client| &client.session);
            if reply_bytes >= self.thresholds.reply_bytes {
                self.push_entry(LogKind::LargeReply, reply_bytes as u64, words.clone(), session);
            }
            if self.shared.observed.is_slow(nanos) {
                self.push_entry(LogKind::Slow, nanos / 1000, words, session);
            }
        }
    }

    /// The replies to writes that were submitted at this time have come.
    pub(super) fn note_commit(&self, submitted: u64) {
        if submitted > 0 {
            let nanos = nanoseconds().saturating_sub(submitted);
            self.shared.observed.note_latency(RAFT_COMMIT, nanos, unix_seconds);
        }
    }

    /// One of the roles looks at the sums of all now and then.
    pub(super) fn sample_rates(&mut self) {
        let now_ms = self.now.monotonic_ms;
        if self.stream != 0 || now_ms < self.next_sample_ms {
            return;
        }
        self.next_sample_ms = now_ms + SAMPLE_MS;
        let load = |counter: &std::sync::atomic::AtomicU64| {
            counter.load(std::sync::atomic::Ordering::Relaxed)
        };
        let clients = &self.shared.clients;
        let sums = Sums {
            commands: load(&clients.commands),
            input_bytes: load(&clients.input_bytes),
            output_bytes: load(&clients.output_bytes),
        };
        self.shared.observed.rates().sample(now_ms, sums);
    }

    /// Shows a command to those who watch, unless it is one of administration.
    #[cold]
    pub(super) fn show(&mut self, session: &Session, spec: &'static CommandSpec, words: &[&[u8]]) {
        self.show_in(session.database, session, spec, words);
    }

    fn show_in(
        &mut self,
        database: u8,
        session: &Session,
        spec: &'static CommandSpec,
        words: &[&[u8]],
    ) {
        let resolved = resolve(spec, &words[1..]).map_or(spec, |(resolved, _)| resolved);
        // Scripts and functions show themselves in Redis, when they begin.
        let is_hidden = resolved.flags.intersects(Flags::SKIP_MONITOR.union(Flags::ADMIN));
        if !is_hidden || resolved.runs_script() {
            write_line(words, database, &session.peer, &mut self.shown);
        }
    }

    /// Shows what a transaction is about to run.
    #[cold]
    pub(super) fn show_transaction(&mut self, session: &Session, transaction: &Transaction) {
        let mut asides = transaction.asides.iter().peekable();
        let mut commands = transaction.commands.commands();
        for place in 0..transaction.queued_count() as u32 {
            if let Some(aside) = asides.next_if(|aside| aside.place == place) {
                // What is refused does not run.
                let AsideWork::Run { words, .. } = &aside.work else { continue };
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                let id = crate::engine::command::lookup(words[0]);
                let spec = spec(id.expect("invariant: what is queued was looked up"));
                self.show(session, spec, &words);
            } else if let Some(command) = commands.next() {
                let spec = spec(command.id);
                let name = command.name();
                let name = std::iter::once(&*name);
                let words: Vec<&[u8]> = name.chain(command.arguments.iter().copied()).collect();
                self.show_in(command.database, session, spec, &words);
            }
        }
    }

    /// Shows what scripts of this role's clients have run.
    pub(super) fn show_script_lines(&mut self, lines: &[u8]) {
        self.shown_are_lost |= lines.is_empty();
        self.shown.extend_from_slice(lines);
    }

    /// Logs what they were denied.
    pub(super) fn log_script_denials(&self, denials: Vec<(Connection, ScriptDenial)>) {
        let view = self.view();
        for (connection, denial) in denials {
            let slot = self.clients.get(connection.index()).and_then(Option::as_ref);
            let client = slot.filter(|client| client.connection == connection);
            session::deny_script(denial, client.map(|client| &client.session), &view);
        }
    }

    /// Hands the lines of MONITOR over to all roles, which have the clients that watch.
    pub(super) fn hand_over_shown(&mut self) {
        let are_lost = std::mem::take(&mut self.shown_are_lost);
        if self.shown.is_empty() && !are_lost {
            return;
        }
        let lines: Arc<[u8]> = match self.shared.observed.monitoring.queued_bytes() {
            _ if are_lost => Arc::from([]),
            queued if queued + self.shown.len() > PUBLISHED_BYTES_MAX => Arc::from([]),
            _ => Arc::from(&self.shown[..]),
        };
        self.shown.clear();
        for net in &self.mailboxes.nets {
            let lines = self.shared.observed.monitoring.hand_over(Arc::clone(&lines));
            net.send(ToNet::Monitored(lines));
        }
    }

    /// Sends lines to the clients of this role that watch. Without lines some are lost, and the end
    /// of their connections tells them so.
    pub(super) fn monitor(&mut self, ring: &mut Ring, lines: &Lines) {
        let limit = self.settings.client_output_buffer_limit.pubsub;
        for client in self.clients.iter_mut().flatten().filter(|client| client.session.monitors) {
            let queued = match &mut client.executing {
                Some(executing) => {
                    executing.late.extend_from_slice(&lines.lines);
                    executing.late.len()
                }
                None => {
                    let Some(output) = ring.output(client.connection) else { continue };
                    output.extend_from_slice(&lines.lines);
                    ring.flush(client.connection);
                    ring.queued_bytes(client.connection)
                }
            };
            let sent = lines.lines.len() as u64;
            let clients = &self.shared.clients;
            clients.output_bytes.fetch_add(sent, std::sync::atomic::Ordering::Relaxed);
            let is_over = limit.hard > 0 && queued as u64 > limit.hard;
            if lines.lines.is_empty() || is_over {
                log::warn!("closing client {} that monitors too slowly", client.session.id);
                clients.output_limit_closed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                ring.close(client.connection);
            }
        }
    }

    /// Whether commands are to be shown to anyone; looked at once a pass.
    pub(super) fn refresh_watch(&mut self) {
        self.is_monitored = self.shared.observed.monitoring.has_monitors();
        self.paused = self.shared.observed.pause.at(self.now.monotonic_ms);
    }

    /// The client is gone.
    pub(super) fn end_watch(&self, client: &mut Client) {
        super::super::session::end_monitor(&mut client.session, &self.shared);
    }
}
