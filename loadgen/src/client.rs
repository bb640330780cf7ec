//! One connection's life, as its thread sees it: what it has sent and is owed answers for.

use std::collections::VecDeque;
use std::net::SocketAddr;

use mayfly::net::ring::Connection;

use crate::history::Registers;
use crate::keys::Picker;
use crate::load::{Load, Redirects, Rest, Work};
use crate::reply::{Kind, Reply, Scanner};
use crate::suite;
use crate::verify::{self, Counter};

/// How often one request follows a redirection, as the clients of Redis Cluster have it: two
/// servers that name each other must not keep it for ever.
const REDIRECTS_MAX: u8 = 5;

/// Requests that were sent together.
pub struct Batch {
    pub due_ns: u64,
    pub sent_ns: u64,
    /// Those not answered yet.
    pub left: u32,
    pub purpose: Purpose,
    /// Of an operation with several commands, those that come after this one.
    pub rest: Option<Rest>,
    /// Whether the first command of the operation found nothing.
    pub found_nil: bool,
    /// Where redirections are followed: the request, to be sent again.
    pub again: Option<Box<Again>>,
}

pub struct Again {
    request: Vec<u8>,
    redirects: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Load,
    /// A later command of an operation.
    Further,
    /// Of the connection's own counter.
    Increment,
    Read,
    /// Of a history.
    Register,
}

/// What a connection keeps to check on its server.
pub enum Role {
    Plain,
    Counter(Box<Own>),
    Registers(Box<Registers>),
}

pub struct Own {
    pub counter: Counter,
    increment: Vec<u8>,
    read: Vec<u8>,
}

impl Own {
    fn new(key: String) -> Self {
        let request = |name: &str| suite::encode(&[name.to_owned(), key.clone()]);
        Self { increment: request("INCR"), read: request("GET"), counter: Counter::new(key) }
    }

    fn on_reply(&mut self, purpose: Purpose, reply: Reply<'_>) {
        match (purpose, reply.kind) {
            (Purpose::Increment, Kind::Value) => match verify::parse(reply.head) {
                Some(value) => self.counter.on_increment(value),
                None => self.counter.on_unknown(1),
            },
            (Purpose::Increment, _) => self.counter.on_unknown(1),
            (Purpose::Read, Kind::Value) => {
                self.counter.on_read(verify::parse(reply.head).unwrap_or(0));
            }
            (Purpose::Read, Kind::Nil) => self.counter.on_read(0),
            (Purpose::Read, Kind::Error) => {}
            (Purpose::Load | Purpose::Further | Purpose::Register, _) => {}
        }
    }
}

/// Whoever holds its number in the ring may change, the client stays.
pub struct Client {
    pub server: usize,
    /// The server that a redirection named; else that of the number.
    pub redirected: Option<SocketAddr>,
    /// A redirection, to be followed when everything on its way has been answered.
    pub leaving_for: Option<SocketAddr>,
    /// Requests to be sent again where the redirection leads.
    pub to_repeat: VecDeque<Batch>,
    /// `None` while it waits to connect again.
    pub connection: Option<Connection>,
    pub is_connected: bool,
    pub scanner: Scanner,
    pub greetings_left: u32,
    pub role: Role,
    pub in_flight: VecDeque<Batch>,
    /// Invariant: the sum over `in_flight` and `to_repeat`.
    pub outstanding: u32,
    /// In an open loop: whether it stands in the queue of those that can take a request.
    pub is_queued: bool,
}

impl Client {
    /// Client `number` of thread `part`.
    pub fn new(load: &Load, part: usize, number: usize) -> Self {
        let overall = part + number * load.threads;
        let role = match &load.work {
            Work::Mix(_) => Role::Plain,
            Work::Counters { prefix, .. } => {
                Role::Counter(Box::new(Own::new(format!("{prefix}:{part}:{number}"))))
            }
            Work::Registers { prefix } => {
                // Threads with fewer clients leave numbers out; none is given twice.
                let clients = load.clients.next_multiple_of(load.threads) as u64;
                let registers = Registers::new(prefix.clone(), overall as u64, clients);
                Role::Registers(Box::new(registers))
            }
        };
        Self {
            server: overall % load.servers.len(),
            redirected: None,
            leaving_for: None,
            to_repeat: VecDeque::new(),
            connection: None,
            is_connected: false,
            scanner: Scanner::default(),
            greetings_left: 0,
            role,
            in_flight: VecDeque::with_capacity(load.pipeline.min(1024)),
            outstanding: 0,
            is_queued: false,
        }
    }

    pub fn address(&self, load: &Load) -> SocketAddr {
        self.redirected.unwrap_or(load.servers[self.server])
    }

    /// Whether it may send `pipeline` requests or fewer.
    pub fn has_room(&self, load: &Load) -> bool {
        (self.outstanding as usize) < load.pipeline && self.leaving_for.is_none()
    }

    /// Appends `count` requests to the connection's output and remembers them.
    #[inline]
    pub fn send(
        &mut self,
        output: &mut Vec<u8>,
        count: u32,
        times: (u64, u64),
        load: &Load,
        picker: &mut Picker,
    ) {
        self.outstanding += count;
        if load.redirects == Redirects::Counted
            && let Work::Mix(workload) = &load.work
            && workload.append_alike(output, count as usize, picker)
        {
            self.push(times, count, Purpose::Load, None);
            return;
        }
        for _ in 0..count {
            let start = output.len();
            let (purpose, rest) = self.append(output, times.1, load, picker);
            self.push(times, 1, purpose, rest);
            self.keep_last(&output[start..], load.redirects);
        }
    }

    /// Appends one request; returns its purpose and what is to follow it.
    fn append(
        &mut self,
        output: &mut Vec<u8>,
        now_ns: u64,
        load: &Load,
        picker: &mut Picker,
    ) -> (Purpose, Option<Rest>) {
        match (&load.work, &mut self.role) {
            (Work::Mix(workload), _) => (Purpose::Load, workload.begin(output, picker)),
            (Work::Counters { reads, .. }, Role::Counter(own)) => {
                let (purpose, request) = match picker.below(100) < u64::from(*reads) {
                    true => (Purpose::Read, &own.read),
                    false => (Purpose::Increment, &own.increment),
                };
                output.extend_from_slice(request);
                (purpose, None)
            }
            (Work::Registers { .. }, Role::Registers(registers)) => {
                registers.invoke(output, now_ns, picker);
                (Purpose::Register, None)
            }
            _ => unreachable!("invariant: a client has the role of its work"),
        }
    }

    /// Remembers requests, together with those before them if nothing tells them apart.
    fn push(&mut self, times: (u64, u64), count: u32, purpose: Purpose, rest: Option<Rest>) {
        let (due_ns, sent_ns) = times;
        if purpose == Purpose::Load
            && rest.is_none()
            && let Some(last) = self.in_flight.back_mut()
            && last.purpose == Purpose::Load
            && (last.rest.is_none(), last.again.is_none()) == (true, true)
            && (last.due_ns, last.sent_ns) == times
        {
            last.left += count;
            return;
        }
        let (found_nil, again) = (false, None);
        let batch = Batch { due_ns, sent_ns, left: count, purpose, rest, found_nil, again };
        self.in_flight.push_back(batch);
    }

    /// Keeps the request that was sent last, if it may have to be sent again.
    fn keep_last(&mut self, request: &[u8], redirects: Redirects) {
        if redirects == Redirects::Followed
            && let Some(last) = self.in_flight.back_mut()
        {
            last.again = Some(Box::new(Again { request: request.to_vec(), redirects: 0 }));
        }
    }

    /// Tells the reply to whoever checks on the server.
    #[inline]
    pub fn check(role: &mut Role, purpose: Purpose, reply: Reply<'_>, now_ns: u64) {
        match role {
            Role::Plain => {}
            Role::Counter(own) => own.on_reply(purpose, reply),
            Role::Registers(registers) => registers.on_reply(reply, now_ns),
        }
    }

    /// Takes the oldest request out, to be sent again where `reply` says. `false` if the reply is
    /// no redirection that can be followed.
    pub fn follow(&mut self, reply: &[u8], load: &Load) -> bool {
        let from = self.address(load);
        let Some(batch) = self.in_flight.front_mut() else { return false };
        let Some(again) = &mut batch.again else { return false };
        let Some(to) = redirection(reply, from) else { return false };
        if again.redirects == REDIRECTS_MAX {
            return false;
        }
        again.redirects += 1;
        self.leaving_for = Some(to);
        self.to_repeat.extend(self.in_flight.pop_front());
        true
    }

    /// Sends the requests again that were redirected.
    pub fn repeat(&mut self, output: &mut Vec<u8>) {
        for batch in self.to_repeat.drain(..) {
            if let Some(again) = &batch.again {
                output.extend_from_slice(&again.request);
            }
            self.in_flight.push_back(batch);
        }
    }

    /// The next command of the operation whose command was answered last, if it has one for this
    /// reply. Precondition: the batch is the oldest.
    pub fn go_on(
        &mut self,
        output: &mut Vec<u8>,
        is_nil: bool,
        load: &Load,
        picker: &mut Picker,
    ) -> bool {
        let Work::Mix(workload) = &load.work else { return false };
        let Some(rest) = self.in_flight.front().and_then(|batch| batch.rest) else { return false };
        if !workload.goes_on(&rest, is_nil) {
            return false;
        }
        let Some(mut batch) = self.in_flight.pop_front() else { return false };
        let start = output.len();
        batch.rest = workload.go_on(rest, output, picker);
        if batch.purpose == Purpose::Load {
            (batch.purpose, batch.found_nil) = (Purpose::Further, is_nil);
        }
        batch.again = None;
        self.in_flight.push_back(batch);
        self.keep_last(&output[start..], load.redirects);
        true
    }

    /// Nothing on its way will be answered.
    pub fn forget(&mut self, now_ns: u64) {
        let batches = self.in_flight.drain(..).chain(self.to_repeat.drain(..));
        let increments = batches.filter(|batch| batch.purpose == Purpose::Increment);
        let increments = increments.map(|batch| u64::from(batch.left)).sum();
        match &mut self.role {
            Role::Plain => {}
            Role::Counter(own) => own.counter.on_unknown(increments),
            Role::Registers(registers) => registers.on_lost(now_ns),
        }
        self.outstanding = 0;
    }
}

/// The server of a reply `MOVED SLOT HOST:PORT`. Without a host it is that which has answered; a
/// name is not looked up, as that would hold up all other connections.
fn redirection(reply: &[u8], from: SocketAddr) -> Option<SocketAddr> {
    let mut words = std::str::from_utf8(reply).ok()?.split(' ');
    let ("MOVED", _slot, place) = (words.next()?, words.next()?, words.next()?) else {
        return None;
    };
    let (host, port) = place.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { from.ip() } else { host.parse().ok()? };
    Some(SocketAddr::new(host, port.parse().ok()?))
}

#[test]
fn redirections_name_a_server() {
    let from: SocketAddr = "10.0.0.1:1".parse().unwrap();
    let cases = [
        ("MOVED 3999 127.0.0.1:6381", Some("127.0.0.1:6381")),
        ("MOVED 0 :7001", Some("10.0.0.1:7001")),
        ("MOVED 0 ::1:7001", Some("[::1]:7001")),
        ("MOVED 0 [::1]:7001", Some("[::1]:7001")),
        ("MOVED 0 node.example:7001", None),
        ("MOVED 0 10.0.0.1", None),
        ("MOVED", None),
        ("ASK 3999 127.0.0.1:6381", None),
    ];
    for (text, expected) in cases {
        let expected = expected.map(|address| address.parse().unwrap());
        assert_eq!(redirection(text.as_bytes(), from), expected, "{text}");
    }
}
