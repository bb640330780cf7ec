//! One loading thread: a glommio executor with a ring of sockets, and the connections on it.
//!
//! Like a core of the server it works pass by pass and sleeps in its ring; nothing awaits. It
//! reports over a channel, one message per bucket of time.

use std::collections::VecDeque;
use std::fs;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use glommio::{LocalExecutorBuilder, Placement};
use mayfly::net::ring::{BufferShape, Connection, Event, Ring};

use crate::client::{Client, Purpose, Role};
use crate::history::Entry;
use crate::keys::Picker;
use crate::load::{Connections, Load, Pace, Redirects, Work};
use crate::record::{CODE_LOST, Latencies, Recorder, Sample, error_code};
use crate::reply::{Kind, Reply, Scanner};
use crate::schedule::{Backlog, Schedule};
use crate::verify::Counter;

/// Submissions that the ring takes before it enters the kernel early.
const RING_DEPTH: u32 = 2048;

/// The runtime's own rings carry nothing here.
const EXECUTOR_RING_DEPTH: usize = 128;

/// An executor whose preempt timer fires before its first task has run can park for ever.
const NO_PREEMPTION: Duration = Duration::from_secs(3600);

/// Receive buffers of a thread: replies are short or come in pieces.
const BUFFERS: BufferShape = BufferShape { count: 512, bytes: 16 * 1024 };

/// Between two attempts of a connection. Short against a leader's election, so that it is seen
/// when a server is back, and long enough for a thousand connections to cost little meanwhile.
const RECONNECT_WAIT_NS: u64 = 20_000_000;

/// The same where a connection was lost, not refused: the next server may well be there.
const NEXT_SERVER_WAIT_NS: u64 = 1_000_000;

/// How long, at the end, requests on their way are waited for and those that are due are sent.
const DRAIN_NS: u64 = 5_000_000_000;

/// What the threads are asked to do.
#[derive(Debug, Default)]
pub struct Control(AtomicU8);

impl Control {
    /// No new requests; those on their way are waited for.
    pub fn stop(&self) {
        self.0.fetch_max(1, Ordering::Relaxed);
    }

    /// Not even that.
    pub fn abandon(&self) {
        self.0.fetch_max(2, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 1
    }

    fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 2
    }
}

#[derive(Debug)]
pub enum Message {
    Sample(Sample),
    /// The last message of a thread.
    Finished(Finish),
    /// The last message of a thread that could not go on.
    Failed(String),
}

/// What a thread has to say at its end.
#[derive(Clone, Debug, Default)]
pub struct Finish {
    /// Requests sent and not answered when the drain ended, and for how long the oldest was due.
    pub unanswered: u64,
    pub unanswered_ns: u64,
    /// Requests that became due and were never sent, and for how long the oldest was due.
    pub unsent: u64,
    pub unsent_ns: u64,
    /// Requests that became due, warm-up included; 0 in a closed loop.
    pub due: u64,
    /// When sending ended, since the measuring began, if time ended it.
    pub stopped_ns: Option<u64>,
    pub usage: Usage,
    /// The first error reply.
    pub first_error: Option<String>,
    /// Those of the connections, where counters are verified.
    pub counters: Vec<Counter>,
    /// Of the connections, where a history is recorded.
    pub history: Vec<Entry>,
}

/// CPU time of a thread while it measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub wall_ns: u64,
    pub cpu_ns: u64,
    /// Ready to run, and something else ran.
    pub delayed_ns: u64,
}

/// A thread that runs, and the way back to it for histograms.
pub struct Handle {
    pub thread: JoinHandle<()>,
    pub spares: Sender<Latencies>,
}

/// Starts thread `part` of a load.
pub fn start(
    load: Arc<Load>,
    part: usize,
    epoch: Instant,
    control: Arc<Control>,
    messages: Sender<(usize, Message)>,
) -> std::io::Result<Handle> {
    let (spares, spare_receiver) = std::sync::mpsc::channel();
    let body = move || {
        let report = Report { part, messages, spares: spare_receiver };
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .name(&format!("load-{part}"))
            .ring_depth(EXECUTOR_RING_DEPTH)
            .io_memory(0)
            .preempt_timer(NO_PREEMPTION)
            .make();
        match executor {
            Ok(executor) => executor.run(async move { run(&load, epoch, &control, report) }),
            Err(error) => {
                report.send(Message::Failed(format!("cannot start an executor: {error}")))
            }
        }
    };
    let thread = thread::Builder::new().name(format!("load-{part}")).spawn(body)?;
    Ok(Handle { thread, spares })
}

/// The ways between a thread and whoever gathers.
struct Report {
    part: usize,
    messages: Sender<(usize, Message)>,
    spares: Receiver<Latencies>,
}

impl Report {
    fn send(&self, message: Message) {
        // Whoever gathers goes away only when the process ends.
        let _gone = self.messages.send((self.part, message));
    }
}

fn run(load: &Load, epoch: Instant, control: &Control, report: Report) {
    // A wait ends when it is due, not up to 50 us later. Without it requests are a little late.
    let _refused = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let ring = match Ring::with_buffers(RING_DEPTH, BUFFERS) {
        Ok(ring) => ring,
        Err(error) => return report.send(Message::Failed(error.to_string())),
    };
    let worker = Worker::new(load, epoch, report.part);
    let message = match worker.run(ring, control, &report) {
        Ok(finish) => Message::Finished(finish),
        Err(error) => Message::Failed(format!("the kernel refuses the io_uring: {error}")),
    };
    report.send(message);
}

struct Worker<'a> {
    load: &'a Load,
    epoch: Instant,
    clients: Vec<Client>,
    /// The client of each of the ring's slots.
    owners: Vec<usize>,
    picker: Picker,
    recorder: Recorder,
    /// Those that can take a request, in turn.
    ready: VecDeque<usize>,
    /// Those to be connected, and when.
    waiting: VecDeque<(u64, usize)>,
    backlog: Option<Backlog>,
    /// In a closed loop: requests not sent yet.
    left: u64,
    outstanding: u64,
    measure_ns: u64,
    end_ns: u64,
    /// Since when nothing new is sent.
    stopped_ns: Option<u64>,
    first_error: Option<String>,
}

impl<'a> Worker<'a> {
    fn new(load: &'a Load, epoch: Instant, part: usize) -> Self {
        let measure_ns = load.warmup.as_nanos() as u64;
        let end_ns =
            load.duration.map_or(u64::MAX, |duration| measure_ns + duration.as_nanos() as u64);
        let left = load.requests.map_or(u64::MAX, |requests| load.share(requests, part));
        let backlog = match load.pace {
            Pace::AnswerDriven => None,
            Pace::Rate { per_second, arrival } => {
                let schedule = Schedule::new(arrival, per_second, part, load.threads, load.seed);
                Some(Backlog::new(schedule, measure_ns, end_ns, left))
            }
        };
        let count = load.share(load.clients as u64, part) as usize;
        let clients = (0..count).map(|number| Client::new(load, part, number));
        let keys = load.keys;
        Self {
            load,
            epoch,
            clients: clients.collect(),
            owners: Vec::new(),
            picker: match &load.work {
                Work::Mix(workload) => workload.picker(keys, part, load.threads, load.seed),
                Work::Counters { .. } | Work::Registers { .. } => {
                    Picker::new(keys.distribution, keys.count, part, load.threads, load.seed)
                }
            },
            recorder: Recorder::new(load.model(), measure_ns, load.bucket.as_nanos() as u64),
            ready: VecDeque::with_capacity(count),
            waiting: (0..count).map(|client| (0, client)).collect(),
            backlog,
            left,
            outstanding: 0,
            measure_ns,
            end_ns,
            stopped_ns: None,
            first_error: None,
        }
    }

    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn run(
        mut self,
        mut ring: Ring,
        control: &Control,
        report: &Report,
    ) -> std::io::Result<Finish> {
        let mut before = None;
        loop {
            let now = self.now_ns();
            self.recorder.roll(now, |sample| report.send(Message::Sample(sample)));
            while let Ok(spare) = report.spares.try_recv() {
                self.recorder.reuse(spare);
            }
            if before.is_none() && now >= self.measure_ns {
                before = Some((now, scheduled()));
            }
            self.look_for_the_end(now, control);
            if self.is_done(now, control) {
                break;
            }
            self.reconnect(&mut ring, now);
            self.dispatch(&mut ring, now);
            let events = ring.pass(|ring, event| self.on_event(ring, event))?;
            if events == 0 {
                ring.wait(self.sleep(self.now_ns()))?;
            }
        }
        report.send(Message::Sample(self.recorder.finish()));
        Ok(self.finish(before))
    }

    fn look_for_the_end(&mut self, now: u64, control: &Control) {
        if self.stopped_ns.is_none() && (now >= self.end_ns || control.is_stopped()) {
            self.stopped_ns = Some(now.min(self.end_ns));
        }
    }

    fn is_done(&self, now: u64, control: &Control) -> bool {
        let backlog = self.backlog.as_ref().map_or(0, Backlog::waiting);
        let drained = self.outstanding == 0 && backlog == 0;
        match self.stopped_ns {
            Some(since) => drained || now >= since + DRAIN_NS || control.is_abandoned(),
            None => drained && self.is_all_sent(),
        }
    }

    fn is_all_sent(&self) -> bool {
        match &self.backlog {
            Some(backlog) => backlog.next_due_ns().is_none(),
            None => self.left == 0,
        }
    }

    /// Until something is due: a request, a bucket's end, the end, a connection.
    fn sleep(&self, now: u64) -> Duration {
        let drain = self.stopped_ns.map(|since| since + DRAIN_NS);
        let due = self.backlog.as_ref().filter(|_| !self.ready.is_empty());
        let due = due.and_then(Backlog::next_due_ns).filter(|_| drain.is_none());
        let end = drain.unwrap_or(self.end_ns);
        let retry = self.waiting.front().map(|(at, _)| *at);
        let next = [Some(self.recorder.bucket_end_ns()), Some(end), due, retry];
        let next = next.into_iter().flatten().min().expect("invariant: a bucket has an end");
        Duration::from_nanos(next.saturating_sub(now))
    }

    fn finish(mut self, before: Option<(u64, Option<(u64, u64)>)>) -> Finish {
        let now = self.now_ns();
        let owed = |client: &'_ Client| {
            let batches = client.in_flight.iter().chain(&client.to_repeat);
            batches.map(|batch| batch.due_ns).min()
        };
        let oldest = self.clients.iter().filter_map(owed).min();
        let age = |due: Option<u64>| due.map_or(0, |due| now.saturating_sub(due));
        let (mut counters, mut history) = (Vec::new(), Vec::new());
        for mut client in std::mem::take(&mut self.clients) {
            client.forget(now);
            match client.role {
                Role::Plain => {}
                Role::Counter(own) => counters.push(own.counter),
                Role::Registers(registers) => history.extend(registers.into_entries()),
            }
        }
        let mut finish = Finish {
            counters,
            history,
            unanswered: self.outstanding,
            unanswered_ns: age(oldest),
            stopped_ns: self.stopped_ns.map(|at| at.saturating_sub(self.measure_ns)),
            first_error: self.first_error.take(),
            ..Finish::default()
        };
        if let Some(backlog) = &mut self.backlog {
            backlog.arrive(self.stopped_ns.unwrap_or(now));
            finish.unsent = backlog.waiting();
            finish.unsent_ns = age(backlog.oldest_ns());
            finish.due = backlog.arrived();
        }
        if let (Some((since, Some(from))), Some(to)) = (before, scheduled()) {
            let [cpu_ns, delayed_ns] = [to.0 - from.0, to.1 - from.1];
            finish.usage = Usage { wall_ns: now - since, cpu_ns, delayed_ns };
        }
        finish
    }

    fn reconnect(&mut self, ring: &mut Ring, now: u64) {
        while let Some((at, client)) = self.waiting.front().copied()
            && at <= now
        {
            self.waiting.pop_front();
            let is_owed = self.clients[client].outstanding > 0;
            if self.stopped_ns.is_some() && self.backlog.is_none() && !is_owed {
                continue;
            }
            let connection = ring.connect(self.clients[client].address(self.load));
            let slot = connection.index();
            if self.owners.len() <= slot {
                self.owners.resize(slot + 1, usize::MAX);
            }
            self.owners[slot] = client;
            self.clients[client].connection = Some(connection);
        }
    }

    /// Sends what is due, one request to each free connection in turn.
    fn dispatch(&mut self, ring: &mut Ring, now: u64) {
        let Some(backlog) = &mut self.backlog else { return };
        // What was due at the end is sent after it, else a stall at the end would hide it.
        backlog.arrive(self.stopped_ns.unwrap_or(now).min(now));
        while backlog.waiting() > 0 {
            let Some(number) = self.ready.pop_front() else { break };
            let client = &mut self.clients[number];
            client.is_queued = false;
            let output =
                client.connection.filter(|_| client.is_connected && client.has_room(self.load));
            let Some(output) = output.and_then(|connection| ring.output(connection)) else {
                continue;
            };
            let Some(due_ns) = backlog.depart() else { break };
            client.send(output, 1, (due_ns, now), self.load, &mut self.picker);
            self.outstanding += 1;
            if let Some(connection) = client.connection {
                ring.flush(connection);
            }
            if client.has_room(self.load) {
                client.is_queued = true;
                self.ready.push_back(number);
            }
        }
        self.recorder.on_backlog(now, backlog.waiting());
    }

    fn on_event(&mut self, ring: &mut Ring, event: Event<'_>) {
        match event {
            Event::Received { connection, bytes } => self.on_received(ring, connection, bytes),
            Event::Connected { connection } => self.on_connected(ring, connection),
            Event::ConnectFailed { connection, .. } => {
                let now = self.now_ns();
                self.recorder.on_connect_failure(now);
                self.on_gone(connection, now, now + RECONNECT_WAIT_NS);
            }
            Event::Closed { connection, .. } => {
                let now = self.now_ns();
                self.on_gone(connection, now, now + NEXT_SERVER_WAIT_NS);
            }
            Event::Ended { connection } => ring.close(connection),
            Event::Drained { .. } | Event::Accepted { .. } => {}
        }
    }

    fn on_connected(&mut self, ring: &mut Ring, connection: Connection) {
        let number = self.owners[connection.index()];
        let client = &mut self.clients[number];
        client.is_connected = true;
        client.scanner = Scanner::default();
        client.greetings_left = self.load.greeting.replies;
        if let Some(output) = ring.output(connection) {
            output.extend_from_slice(&self.load.greeting.bytes);
            client.repeat(output);
        }
        ring.flush(connection);
        let now = self.now_ns();
        self.take_requests(ring, number, now);
    }

    /// The connection has room: in a closed loop it gets its next batch, in an open loop it waits
    /// for its turn.
    fn take_requests(&mut self, ring: &mut Ring, number: usize, now: u64) {
        let client = &mut self.clients[number];
        if self.backlog.is_some() {
            if !client.is_queued && client.has_room(self.load) {
                client.is_queued = true;
                self.ready.push_back(number);
            }
            return;
        }
        if self.stopped_ns.is_some() || client.outstanding > 0 || self.left == 0 {
            return;
        }
        let Some(connection) = client.connection else { return };
        let Some(output) = ring.output(connection) else { return };
        let count = self.left.min(self.load.pipeline as u64);
        client.send(output, count as u32, (now, now), self.load, &mut self.picker);
        ring.flush(connection);
        // What a warm-up sends is of no test.
        if now >= self.measure_ns {
            self.left -= count;
        }
        self.outstanding += count;
    }

    fn on_received(&mut self, ring: &mut Ring, connection: Connection, bytes: &[u8]) {
        let now = self.now_ns();
        let number = self.owners[connection.index()];
        let before = self.clients[number].outstanding;
        let mut scanner = std::mem::take(&mut self.clients[number].scanner);
        let mut heard = Heard::default();
        let scanned = scanner.scan(bytes, |reply| {
            self.on_reply(ring, number, reply, now, &mut heard);
        });
        let client = &mut self.clients[number];
        client.scanner = scanner;
        if let Some(batch) = client.in_flight.front() {
            self.recorder.on_ok(now, batch.due_ns, batch.sent_ns, heard.succeeded);
        }
        self.outstanding -= u64::from(before - client.outstanding);
        if heard.has_more_to_send {
            ring.flush(connection);
        }
        let is_left = client.leaving_for.is_some() && client.in_flight.is_empty();
        let is_used_up = client.outstanding == 0 && self.load.connections == Connections::Renewed;
        if scanned.is_err() || heard.strays > 0 {
            self.first_error.get_or_insert_with(|| "replies that nobody asked for".to_owned());
            ring.close(connection);
        } else if is_left || is_used_up {
            ring.close(connection);
        } else {
            self.take_requests(ring, number, now);
        }
    }

    #[inline]
    fn on_reply(
        &mut self,
        ring: &mut Ring,
        number: usize,
        reply: Reply<'_>,
        now: u64,
        heard: &mut Heard,
    ) {
        let client = &mut self.clients[number];
        if client.greetings_left > 0 {
            client.greetings_left -= 1;
            self.keep_first_error(reply);
            return;
        }
        let is_error = reply.kind == Kind::Error;
        if is_error
            && self.load.redirects == Redirects::Followed
            && client.follow(reply.head, self.load)
        {
            return;
        }
        let Some(batch) = client.in_flight.front_mut() else {
            heard.strays += 1;
            return;
        };
        Client::check(&mut client.role, batch.purpose, reply, now);
        if batch.rest.is_some()
            && !is_error
            && let Some(output) = client.connection.and_then(|open| ring.output(open))
            && client.go_on(output, reply.kind == Kind::Nil, self.load, &mut self.picker)
        {
            heard.has_more_to_send = true;
            return;
        }
        let Some(batch) = client.in_flight.front_mut() else { return };
        match is_error {
            true => self.recorder.on_error(now, error_code(reply.head), 1),
            false => {
                heard.succeeded += 1;
                let is_nil = match batch.purpose {
                    Purpose::Further => batch.found_nil,
                    _ => reply.kind == Kind::Nil,
                };
                if is_nil {
                    self.recorder.on_nil(now);
                }
            }
        }
        client.outstanding -= 1;
        batch.left -= 1;
        if batch.left == 0 {
            self.recorder.on_ok(now, batch.due_ns, batch.sent_ns, heard.succeeded);
            heard.succeeded = 0;
            client.in_flight.pop_front();
        }
        self.keep_first_error(reply);
    }

    fn keep_first_error(&mut self, reply: Reply<'_>) {
        if reply.kind == Kind::Error {
            self.first_error.get_or_insert_with(|| text_of(reply.head));
        }
    }

    /// The connection is closed or was never made: what was on its way is lost, and the next
    /// attempt, at `retry_ns`, goes to the next server.
    fn on_gone(&mut self, connection: Connection, now: u64, retry_ns: u64) {
        let number = self.owners[connection.index()];
        let client = &mut self.clients[number];
        client.connection = None;
        client.is_connected = false;
        // A redirection is followed only when nothing else is on its way.
        let leaving_for = client.leaving_for.take().filter(|_| client.in_flight.is_empty());
        let lost = if leaving_for.is_some() { 0 } else { u64::from(client.outstanding) };
        let is_renewed = lost == 0 && self.load.connections == Connections::Renewed;
        if let Some(address) = leaving_for {
            client.redirected = Some(address);
        } else {
            self.recorder.on_error(now, CODE_LOST, lost);
            self.outstanding -= lost;
            client.forget(now);
            if !is_renewed {
                // From where a redirection led, back to those that were named.
                client.redirected = None;
                client.server = (client.server + 1) % self.load.servers.len();
            }
        }
        let retry = if is_renewed || leaving_for.is_some() { now } else { retry_ns };
        let at = self.waiting.partition_point(|(time, _)| *time <= retry);
        self.waiting.insert(at, (retry, number));
    }
}

/// What the replies of one piece of input came to.
#[derive(Default)]
struct Heard {
    /// Successes of the batch that is the oldest now.
    succeeded: u64,
    /// Replies that nobody asked for.
    strays: u64,
    has_more_to_send: bool,
}

fn text_of(head: &[u8]) -> String {
    String::from_utf8_lossy(head).into_owned()
}

/// Nanoseconds that this thread has run, and has waited for a CPU
/// (<https://docs.kernel.org/scheduler/sched-stats.html>). `None` where the kernel does not say.
fn scheduled() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
