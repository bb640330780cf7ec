//! The apply role: runs what consensus has committed, in log order, against the engine, and makes
//! the replies for the clients of this node.
//!
//! For each net role it keeps the passes that are not answered yet, in the order of their tickets.
//! A pass is executed when its turn has come and consensus has decided on it: its entry is applied,
//! its read index is applied, or it is given up. A pass of reads also runs just before the next own
//! entry of its stream: that entry was appended after the reads arrived, so the state before
//! it holds every write acknowledged before they began.

mod background;
mod evicting;
mod making;
mod observing;
mod publishing;
mod tracking;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::engine::acl::Acl;
use crate::engine::ahead::Ahead;
use crate::engine::batch::{ArchivedBatch, Command, Commands};
use crate::engine::command::lookup;
use crate::engine::keyspace::SessionId;
use crate::engine::pubsub::Subscriber;
use crate::engine::random::Random;
use crate::engine::reply::{Protocol, Reply};
use crate::engine::timing::Notable;
use crate::engine::waiting::{Served, WaitEnd};
use crate::engine::witness::ScriptDenial;
use crate::engine::{Engine, Ran};
use crate::net::ring::Connection;
use crate::raft::types::{Entry, EntryBody, Index, MemberId, Millis, Payload, Stream, Ticket};
use crate::raft::{Committed, GiveUpReason, GivenUp, Now, ReadReady};
use crate::snapshot::{Loaded, ReadProgress, Reader};

use self::background::{DigestRequest, Digesting, Pace};
use self::evicting::Evicting;
use self::making::Making;
use super::clock::{nanoseconds, unix_seconds};
use super::import;
use super::mailbox::{
    ClientHandle, Mailbox, Pending, Replies, ReportRequest, Run, Segment, SnapshotProgress, Source,
    Step, ToApply, ToNet, ToRaft, Wants,
};
use super::observe::latency::SNAPSHOT_INSTALL;
use super::report::{EngineReport, RaftReport};
use super::settings::SharedSettings;
use super::shared::Shared;

pub struct ApplyRole {
    engine: Engine,
    inbox: flume::Receiver<ToApply>,
    /// By stream.
    nets: Vec<Mailbox<ToNet>>,
    /// By stream: what waits, oldest first.
    waiting: Vec<VecDeque<Waiting>>,
    applied_index: Index,
    /// For the picks of reads that are random; theirs need not be equal on other nodes.
    read_random: Random,
    raft: Mailbox<ToRaft>,
    /// The snapshot that is being made for others.
    making: Option<Making>,
    /// The digest that is being taken, only while no snapshot is being made, and who waits for one.
    digesting: Option<Digesting>,
    digests_wanted: VecDeque<DigestRequest>,
    /// When a piece of these is due.
    pace: Pace,
    /// The snapshot that this node is being sent.
    loading: Loading,
    /// Replies of entries that other nodes answer: overwritten, never sent.
    discarded: Reply,
    /// The clients of this node that wait.
    blocked: HashMap<SessionId, ClientHandle>,
    /// By stream: the replies to those that have waited, until the end of the run.
    served: Vec<Vec<(Connection, WaitEnd)>>,
    /// By stream: bytes of messages for subscribers that the net role has not looked at yet.
    publishing: Vec<Arc<AtomicUsize>>,
    /// The users that the net roles know of.
    told_users: Arc<Acl>,
    evicting: Evicting,
    /// The cluster follows another source than before, and clients wait no more.
    began_to_follow: bool,
    shared: Arc<Shared>,
    settings: Arc<SharedSettings>,
}

/// A snapshot as far as it was read, with the number of its transfer.
enum Loading {
    None,
    Reading(u64, Box<Reader>),
    Ready(u64, Box<Loaded>),
}

struct Waiting {
    pending: Pending,
    verdict: Verdict,
}

/// What consensus has said on a pass so far.
#[derive(Clone, Copy)]
enum Verdict {
    None,
    Readable { index: Index, at_ms: Millis },
    GivenUp(GiveUpReason),
}

impl ApplyRole {
    pub fn new(
        inbox: flume::Receiver<ToApply>,
        nets: Vec<Mailbox<ToNet>>,
        raft: Mailbox<ToRaft>,
        shared: Arc<Shared>,
        settings: Arc<SharedSettings>,
    ) -> Self {
        let waiting = nets.iter().map(|_| VecDeque::new()).collect();
        let served = nets.iter().map(|_| Vec::new()).collect();
        let publishing = nets.iter().map(|_| Arc::default()).collect();
        let read_random = Random::new(shared.boot as u64);
        let mut engine = Engine::new(0);
        engine.set_stopwatch(nanoseconds);
        Self {
            told_users: Arc::clone(engine.acl()),
            engine,
            inbox,
            nets,
            waiting,
            applied_index: Index::ZERO,
            read_random,
            raft,
            making: None,
            digesting: None,
            digests_wanted: VecDeque::new(),
            pace: Pace::new(),
            loading: Loading::None,
            discarded: Reply::default(),
            blocked: HashMap::new(),
            served,
            publishing,
            evicting: Evicting::new(shared.boot as u64),
            began_to_follow: false,
            shared,
            settings,
        }
    }

    /// Does what has arrived; returns whether there was anything.
    pub fn turn(&mut self) -> bool {
        let mut worked = false;
        let began = self.has_background_work().then(Instant::now);
        while let Ok(message) = self.inbox.try_recv() {
            worked = true;
            match message {
                ToApply::Pending(pending) => self.enqueue(*pending),
                ToApply::Run(run) => self.carry_out(*run),
                ToApply::Report(request, raft) => self.report(request, raft),
                ToApply::Silent(members) => self.pass_over(members),
                ToApply::ResetStats => self.engine.reset_stats(),
                ToApply::Digest { client, protocol } => {
                    self.digests_wanted.push_back(DigestRequest { client, protocol });
                }
                ToApply::Execute { client, protocol, database, words } => {
                    self.execute(client, protocol, database, &words);
                }
                ToApply::Subscriptions(changes) => self.subscribe(changes),
                ToApply::Tracking(change) => self.engine.track(change),
                ToApply::TrackedKeysMax(max) => {
                    self.engine.tracking.set_keys_max(max);
                    self.send_invalidations();
                }
                ToApply::Pubsub { client, protocol, question } => {
                    self.answer_pubsub(client, protocol, &question);
                }
                ToApply::MakeSnapshot { number, order } => self.order_snapshot(number, order),
                ToApply::BeginSnapshot { transfer } => {
                    self.loading = Loading::Reading(transfer, Box::default());
                }
                ToApply::ReadSnapshot { transfer, payload } => {
                    self.read_snapshot(transfer, &payload);
                }
                ToApply::InstallSnapshot { transfer } => self.install_snapshot(transfer),
                ToApply::DropSnapshot => self.loading = Loading::None,
                ToApply::Recovered { index } => self.cut_off_at(index),
            }
        }
        if worked {
            self.publish();
            self.bound_making();
            self.bound_digesting();
        }
        if let Some(began) = began {
            self.pace.note(began, Instant::now());
        }
        worked | self.work_if_due()
    }

    fn read_snapshot(&mut self, transfer: u64, payload: &Payload) {
        let mut reader = match std::mem::replace(&mut self.loading, Loading::None) {
            Loading::Reading(number, reader) if number == transfer => reader,
            // A chunk of a transfer that has failed already.
            other => return self.loading = other,
        };
        let result = reader.read(payload.as_slice()).and_then(|progress| match progress {
            ReadProgress::Reading => {
                self.loading = Loading::Reading(transfer, reader);
                Ok(SnapshotProgress::Reading)
            }
            ReadProgress::Complete => {
                let loaded = reader.finish()?;
                let last_index = loaded.applied_index;
                self.loading = Loading::Ready(transfer, Box::new(loaded));
                Ok(SnapshotProgress::Complete { last_index })
            }
        });
        self.raft.send(ToRaft::SnapshotRead { transfer, result });
    }

    /// Goes on from the state of the snapshot. What this node's clients wait for stays: reads whose
    /// index it covers run against it; of batches within it the raft role says in the next run that
    /// they are given up.
    fn install_snapshot(&mut self, transfer: u64) {
        let loading = std::mem::replace(&mut self.loading, Loading::None);
        let Loading::Ready(number, loaded) = loading else {
            unreachable!("invariant: only what was read whole is installed")
        };
        assert_eq!(number, transfer, "one snapshot at a time");
        assert!(loaded.applied_index > self.applied_index, "a snapshot never goes back");
        self.end_walk();
        let began = nanoseconds();
        self.engine.replace_state(loaded.engine);
        let nanos = nanoseconds().saturating_sub(began);
        self.shared.observed.note_latency(SNAPSHOT_INSTALL, nanos, unix_seconds);
        self.tell_users();
        self.applied_index = loaded.applied_index;
        self.tell_settings();
        self.tell_import();
        log::info!("goes on from the snapshot up to {}", self.applied_index);
        // What they waited for may have been taken for them.
        self.answer_forgotten("TIMEOUT not committed yet");
        // Messages stood in the entries that the snapshot replaces.
        self.engine.subscribers.lose_all();
        self.send_published();
        self.send_invalidations();
        for stream in 0..self.waiting.len() {
            self.answer_ready(stream);
        }
    }

    fn enqueue(&mut self, pending: Pending) {
        let stream = usize::from(pending.stream);
        self.waiting[stream].push_back(Waiting { pending, verdict: Verdict::None });
        self.answer_ready(stream);
        // Reads that find no key may be told of.
        self.send_published();
        self.send_invalidations();
    }

    fn carry_out(&mut self, run: Run) {
        for given_up in run.given_up {
            self.mark_given_up(given_up);
        }
        for committed in run.committed {
            self.apply(committed);
        }
        for ready in run.reads {
            self.mark_readable(ready);
        }
        self.send_served();
        self.send_published();
        self.send_invalidations();
        for stream in 0..self.waiting.len() {
            self.answer_ready(stream);
        }
        self.send_published();
        self.send_invalidations();
        if self.engine.keyspace.is_over_limit() && !self.engine.import().is_active() {
            self.evict();
        }
    }

    fn find(&mut self, stream: Stream, ticket: Ticket) -> Option<&mut Waiting> {
        let queue = &mut self.waiting[usize::from(stream)];
        let position =
            queue.binary_search_by_key(&ticket, |waiting| waiting.pending.ticket).ok()?;
        queue.get_mut(position)
    }

    fn mark_given_up(&mut self, given_up: GivenUp) {
        if let Some(waiting) = self.find(given_up.stream, given_up.ticket) {
            waiting.verdict = Verdict::GivenUp(given_up.reason);
        }
    }

    fn mark_readable(&mut self, ready: ReadReady) {
        // Reads that ran before a later entry of their stream are gone already.
        if let Some(waiting) = self.find(ready.stream, ready.ticket) {
            waiting.verdict = Verdict::Readable { index: ready.index, at_ms: ready.at_ms };
        }
    }

    /// What the former cluster has committed beyond this node's log never comes: reads that wait
    /// for it run when the new cluster has begun.
    fn cut_off_at(&mut self, recovered: Index) {
        for waiting in self.waiting.iter_mut().flatten() {
            if let Verdict::Readable { index, .. } = &mut waiting.verdict {
                *index = recovered.min(*index);
            }
        }
    }

    fn apply(&mut self, committed: Committed) {
        let Committed { entry, ticket } = committed;
        assert_eq!(entry.index, self.applied_index.next(), "entries are applied in log order");
        if let (EntryBody::Batch { stream, .. }, Some(ticket)) = (&entry.body, ticket) {
            self.answer_before(usize::from(*stream), ticket);
        }
        if entry.index == Index(1) {
            // Keys are hashed alike on all nodes of a cluster, and like on no other cluster.
            self.end_walk();
            self.engine.replace_state(Engine::new(entry.seed));
        }
        self.engine.begin_entry(entry.index.0, entry.at_ms);
        self.expire_due();
        if let EntryBody::Configuration(configuration) = &entry.body {
            self.engine.keep_members(|id| configuration.member(id).is_some());
            self.answer_forgotten("NOCLUSTER No Raft Cluster (this node has been removed)");
        }
        if let EntryBody::Batch { origin, stream, payload, .. } = &entry.body
            && !payload.is_empty()
        {
            self.engine.begin_batch(*origin);
            let commands = ArchivedBatch::commands(payload.as_slice());
            match ticket {
                Some(ticket) => self.run_own(&entry, usize::from(*stream), ticket, commands),
                None => {
                    self.engine.begin_timing(false, self.shared.observed.thresholds());
                    self.engine.apply_batch(commands, entry.seed, entry.at_ms, &mut self.discarded);
                    self.engine.end_timing();
                }
            }
        }
        self.applied_index = entry.index;
        if self.engine.has_news_for_node() {
            self.tell_settings();
            self.tell_import();
        }
        self.tell_users();
        if self.engine.subscribers.has_published() {
            self.bound_published();
        }
        for Served { session, end } in self.engine.take_served() {
            if let Some(client) = self.blocked.remove(&session) {
                self.served[usize::from(client.stream)].push((client.connection, end));
            }
        }
        if std::mem::take(&mut self.began_to_follow) {
            self.answer_forgotten(
                "UNBLOCKED force unblock from blocking operation, instance state changed \
                 (master -> replica?)",
            );
        }
    }

    /// Lets the other roles know of a change of what all nodes have alike.
    #[cold]
    fn tell_settings(&mut self) {
        if let Some(settings) = self.engine.take_settings_change() {
            self.shared.settings_founded.store(settings.is_founded(), Ordering::Release);
            self.settings.adopt(settings);
        }
    }

    /// Lets who follows the source know how far that is, and the net roles whether clients may
    /// write.
    #[cold]
    fn tell_import(&mut self) {
        import::note_read_only(&self.shared, self.engine.keyspace.is_read_only());
        let Some(state) = self.engine.take_import_change() else { return };
        if import::adopt(&self.shared, &self.settings, state) {
            self.began_to_follow = true;
        }
    }

    /// Lets all nodes pass over the clients of silent members that wait, if there are any.
    fn pass_over(&self, silent: Vec<MemberId>) {
        let have_waiters = |id: &MemberId| self.engine.waiting().has_member(*id);
        let members: Vec<MemberId> = silent.into_iter().filter(have_waiters).collect();
        if !members.is_empty() {
            log::info!("passes over the clients that wait on {members:?}, not heard of");
            self.nets[0].send(ToNet::PassOver(members));
        }
    }

    /// Answers the clients that wait and of whom the state knows nothing any more.
    fn answer_forgotten(&mut self, text: &str) {
        let Self { blocked, served, engine, .. } = self;
        blocked.retain(|session, client| {
            let waits = engine.waiting().is_waiting(*session);
            if !waits {
                let mut reply = Reply::default();
                reply.error_text(text);
                let end = WaitEnd::Reply(reply.buffer);
                served[usize::from(client.stream)].push((client.connection, end));
            }
            waits
        });
        self.send_served();
    }

    fn send_served(&mut self) {
        for (served, net) in self.served.iter_mut().zip(&self.nets) {
            if !served.is_empty() {
                net.send(ToNet::Served(std::mem::take(served)));
            }
        }
    }

    /// Runs an entry of a net role of this node, whose pass is now the first of its queue.
    fn run_own(&mut self, entry: &Entry, stream: usize, ticket: Ticket, commands: Commands<'_>) {
        let mut blocked = Vec::new();
        let waiting = self.waiting[stream].pop_front();
        let mut pending = waiting.expect("invariant: a pass arrives before its entry").pending;
        assert_eq!(pending.ticket, ticket, "what stood before it is answered");
        self.engine.begin_own_batch();
        self.begin_pass();
        self.begin_witness();
        self.evicting.is_under_way &= !pending.evicts;
        let mut execution = Execution {
            engine: &mut self.engine,
            reply: pending.reply_room(),
            segments: std::mem::take(&mut pending.segments),
            random: Random::new(entry.seed),
            now_ms: entry.at_ms,
            blocked: &mut blocked,
            notable: Vec::new(),
            denials: Vec::new(),
        };
        execution.engine.begin_timing(true, self.shared.observed.thresholds());
        execution.run(&pending, Some(commands), &mut self.read_random);
        let Execution { reply, segments, notable, denials, .. } = execution;
        self.send_notable(stream, notable);
        self.end_witness(stream, denials);
        for (session, connection) in blocked {
            let stream = pending.stream;
            self.blocked.insert(session, ClientHandle { stream, connection });
        }
        self.send(stream, reply.buffer, segments, pending);
    }

    /// Answers everything of the stream that stands before `ticket`. It is decided: what was to be
    /// committed has been applied or given up, and reads may run now.
    fn answer_before(&mut self, stream: usize, ticket: Ticket) {
        while self.waiting[stream].front().is_some_and(|first| first.pending.ticket < ticket) {
            let waiting = self.waiting[stream].pop_front().expect("invariant: just seen");
            match waiting.verdict {
                Verdict::GivenUp(reason) => self.refuse(stream, waiting.pending, reason),
                Verdict::Readable { at_ms, .. } => {
                    self.execute_reads(stream, waiting.pending, at_ms)
                }
                Verdict::None => {
                    assert_ne!(waiting.pending.wants, Wants::Commit, "seqs commit in order");
                    self.execute_reads(stream, waiting.pending, 0);
                }
            }
        }
    }

    /// Answers what is decided, up to the first pass that is not.
    fn answer_ready(&mut self, stream: usize) {
        while let Some(first) = self.waiting[stream].front() {
            let at_ms = match (first.verdict, first.pending.wants) {
                (Verdict::GivenUp(reason), _) => {
                    let waiting = self.waiting[stream].pop_front();
                    let pending = waiting.expect("invariant: just seen").pending;
                    self.refuse(stream, pending, reason);
                    continue;
                }
                (Verdict::Readable { index, at_ms }, _) if index <= self.applied_index => at_ms,
                (_, Wants::Turn) => 0,
                _ => return,
            };
            let waiting = self.waiting[stream].pop_front().expect("invariant: just seen");
            self.execute_reads(stream, waiting.pending, at_ms);
        }
    }

    fn execute_reads(&mut self, stream: usize, mut pending: Pending, at_ms: Millis) {
        self.begin_pass();
        self.begin_witness();
        let now_ms = at_ms.max(self.engine.keyspace.clock_ms());
        let random = Random::new(self.read_random.next());
        let mut execution = Execution {
            engine: &mut self.engine,
            reply: pending.reply_room(),
            segments: std::mem::take(&mut pending.segments),
            random,
            now_ms,
            blocked: &mut Vec::new(),
            notable: Vec::new(),
            denials: Vec::new(),
        };
        execution.engine.begin_timing(true, self.shared.observed.thresholds());
        execution.run(&pending, None, &mut self.read_random);
        let Execution { reply, segments, notable, denials, .. } = execution;
        self.send_notable(stream, notable);
        self.end_witness(stream, denials);
        self.send(stream, reply.buffer, segments, pending);
    }

    /// Answers each command of a pass that is given up with the error that says what may have
    /// become of it.
    fn refuse(&mut self, stream: usize, pending: Pending, reason: GiveUpReason) {
        self.evicting.is_under_way &= !pending.evicts;
        let mut reply = Reply::default();
        let mut segments = Vec::with_capacity(pending.steps.len());
        let mut canned = &pending.canned[..];
        for step in &pending.steps {
            let start = reply.buffer.len();
            match step.source {
                Source::Canned => take_canned(&mut canned, step, &mut reply.buffer),
                Source::Quiet => {}
                Source::Entry | Source::Reads => {
                    let text = refusal_text(reason, step.source);
                    for _ in 0..step.count {
                        reply.error_text(text);
                        self.engine.count_error(text);
                    }
                }
            }
            push_segment(&mut segments, step, reply.buffer.len() - start, false, false);
        }
        let bytes = reply.buffer;
        let replies = Replies { given_up: true, bytes, segments, pending };
        self.nets[stream].send(ToNet::Replies(Box::new(replies)));
    }

    /// The net roles learn of changed users before they get the reply to what has changed them.
    #[inline]
    fn tell_users(&mut self) {
        let acl = self.engine.acl();
        if !Arc::ptr_eq(&self.told_users, acl) {
            let former = std::mem::replace(&mut self.told_users, Arc::clone(acl));
            if former == self.told_users {
                return;
            }
            for net in &self.nets {
                net.send(ToNet::Users(Arc::clone(&self.told_users)));
            }
        }
    }

    fn send(&mut self, stream: usize, bytes: Vec<u8>, segments: Vec<Segment>, pending: Pending) {
        self.tell_users();
        // A client sees its own message before the reply to PUBLISH.
        if self.engine.subscribers.has_published() {
            self.send_published_to(stream);
        }
        // Who has changed a setting finds it changed.
        if self.engine.has_settings_change() {
            self.tell_settings();
        }
        let replies = Box::new(Replies { given_up: false, bytes, segments, pending });
        self.nets[stream].send(ToNet::Replies(replies));
    }

    fn publish(&mut self) {
        self.shared.applied_index.store(self.applied_index.0, Ordering::Release);
        let deadline = self.engine.next_deadline().unwrap_or(u64::MAX);
        self.shared.next_deadline_ms.store(deadline, Ordering::Release);
        let denies_growth = self.engine.keyspace.denies_growth();
        self.shared.denies_growth.store(denies_growth, Ordering::Release);
    }

    /// What is used from here on is used at this time.
    pub fn set_now(&mut self, now: Now) {
        self.engine.keyspace.move_usage_clock(now.unix_ms);
    }

    /// Runs a command against the state as it is, which it leaves so.
    fn execute(
        &mut self,
        client: ClientHandle,
        protocol: Protocol,
        database: u8,
        words: &[Vec<u8>],
    ) {
        let mut reply = Reply::new(protocol);
        let id = lookup(&words[0]).expect("invariant: the net role has found it");
        let arguments = words[1..].iter().map(Vec::as_slice).collect();
        let command = Command::new(id, database, arguments);
        let now_ms = self.engine.keyspace.clock_ms();
        self.engine.run(&command, &mut reply, now_ms, &mut self.read_random);
        let connection = client.connection;
        self.nets[usize::from(client.stream)]
            .send(ToNet::Answer { connection, reply: reply.buffer });
    }

    fn report(&self, request: ReportRequest, raft: Box<RaftReport>) {
        let ClientHandle { stream, connection } = request.client;
        let engine = Box::new(EngineReport::of(&self.engine, self.applied_index));
        self.nets[usize::from(stream)].send(ToNet::Report { connection, raft, engine });
    }
}

/// One pass being executed.
struct Execution<'a> {
    engine: &'a mut Engine,
    reply: Reply,
    segments: Vec<Segment>,
    /// Seeded by the entry.
    random: Random,
    now_ms: Millis,
    /// The clients whose last command waits.
    blocked: &'a mut Vec<(SessionId, Connection)>,
    /// The commands that were slow or had large replies.
    notable: Vec<(Connection, Notable)>,
    /// What scripts were denied.
    denials: Vec<(Connection, ScriptDenial)>,
}

impl Execution<'_> {
    fn run(&mut self, pending: &Pending, entry: Option<Commands<'_>>, read_random: &mut Random) {
        let mut entry = entry.map(Ahead::new);
        let mut reads = Ahead::new(pending.reads.commands());
        let mut canned = &pending.canned[..];
        for step in &pending.steps {
            let start = self.reply.buffer.len();
            self.reply.protocol = step.protocol;
            let mut waits = false;
            if self.engine.tracking.is_active() {
                self.begin_client(pending.stream, step);
            }
            match step.source {
                Source::Canned => take_canned(&mut canned, step, &mut self.reply.buffer),
                Source::Reads => {
                    for _ in 0..step.count {
                        if self.is_over(pending, start) {
                            reads.skip_next();
                            continue;
                        }
                        let Self { engine, reply, now_ms, .. } = self;
                        engine.run_ahead(&mut reads, reply, *now_ms, read_random);
                    }
                }
                Source::Entry | Source::Quiet => {
                    let commands =
                        entry.as_mut().expect("invariant: a pass with writes is an entry");
                    let Self { engine, reply, now_ms, random, .. } = self;
                    for _ in 0..step.count {
                        let ran = engine.run_ahead(commands, reply, *now_ms, random);
                        // A client waits with its last command, since it sends none meanwhile.
                        if let Some(Ran::Waits(session)) = ran {
                            self.blocked.push((session, step.connection));
                            waits = true;
                        }
                    }
                    if step.source == Source::Quiet {
                        reply.buffer.truncate(start);
                    }
                }
            }
            if self.engine.has_notable() {
                let noted = self.engine.take_notable().into_iter();
                // What the node itself said to all nodes is nobody's command.
                if step.source != Source::Quiet {
                    self.notable.extend(noted.map(|notable| (step.connection, notable)));
                }
            }
            if self.engine.witness.has_news() {
                let denials = self.engine.witness.take_denials().into_iter();
                self.denials.extend(denials.map(|denial| (step.connection, denial)));
            }
            let cut = self.is_over(pending, start);
            push_segment(&mut self.segments, step, self.reply.buffer.len() - start, cut, waits);
        }
        self.engine.end_timing();
        if self.engine.tracking.is_active() {
            self.engine.end_client();
        }
    }

    #[cold]
    fn begin_client(&mut self, stream: Stream, step: &Step) {
        let client = Subscriber { stream, connection: step.connection.to_bits() };
        let sends = matches!(step.source, Source::Entry | Source::Reads);
        self.engine.begin_client(client, sends && step.tracks);
    }
}

impl Execution<'_> {
    /// Whether the replies of the step that began at `start` are more than its client may be owed.
    /// Its reads are then not run any more; its writes are, as on every node.
    fn is_over(&self, pending: &Pending, start: usize) -> bool {
        let max = pending.reply_bytes_max;
        max > 0 && self.reply.buffer.len() - start > max
    }
}

/// What is told of a command that is given up.
fn refusal_text(reason: GiveUpReason, source: Source) -> &'static str {
    match (reason, source) {
        (GiveUpReason::OutcomeUnknown, Source::Entry) => "TIMEOUT not committed yet",
        (GiveUpReason::OutcomeUnknown, _) => "TIMEOUT no quorum for read",
        _ => "CLUSTERDOWN No raft leader",
    }
}

fn take_canned(canned: &mut &[u8], step: &Step, reply: &mut Vec<u8>) {
    let (taken, rest) = canned.split_at(step.count as usize);
    reply.extend_from_slice(taken);
    *canned = rest;
}

fn push_segment(segments: &mut Vec<Segment>, step: &Step, len: usize, cut: bool, waits: bool) {
    let (connection, steps) = (step.connection, u32::from(!waits));
    match segments.last_mut() {
        Some(last) if last.connection == connection => {
            last.steps += steps;
            last.len += len;
            last.cut |= cut;
            last.waits |= waits;
        }
        _ => segments.push(Segment { connection, steps, len, cut, waits }),
    }
}

#[cfg(test)]
mod tests;
