//! Connections that subscribe, beside those that load: how many messages they get, and how long
//! each took from when it was sent. A thread for each, which sleeps in the kernel.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::load::Greeting;
use crate::record::{LATENCY_US_MAX, new_histogram};
use crate::suite;
use crate::template::{DIGITS, micros_now, micros_since};

/// Subscribers of one run, a thread each.
pub const SUBSCRIBERS_MAX: usize = 1000;

/// How long a server may take to confirm the subscriptions.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a subscriber looks whether the run is over.
const TICK: Duration = Duration::from_millis(50);

/// After the last reply, messages are waited for until none has come for so long.
const QUIET: Duration = Duration::from_millis(500);

/// And no longer than this in all.
const DRAIN: Duration = Duration::from_secs(5);

/// What subscribers listen to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub count: usize,
    pub channel: String,
}

/// What subscribers got.
#[derive(Clone, Debug)]
pub struct Deliveries {
    pub subscribers: usize,
    /// Messages that were sent after the warm-up, by all subscribers.
    pub received: u64,
    /// Microseconds from when a message was sent.
    pub latency: Histogram<u64>,
    /// Connections that ended before the run did.
    pub lost: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error("cannot subscribe at {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("cannot subscribe at {address}: {text}")]
    Refused { address: SocketAddr, text: String },
}

pub struct Subscribers {
    threads: Vec<JoinHandle<(Histogram<u64>, bool)>>,
    is_over: Arc<AtomicBool>,
    /// Messages so far, and of all subscribers.
    heard: Arc<AtomicUsize>,
}

impl Subscribers {
    /// Subscribes at the servers in turn. Returns when all subscriptions are confirmed. Messages
    /// that were sent before `warmup` has passed are not counted.
    pub fn start(
        subscription: &Subscription,
        servers: &[SocketAddr],
        greeting: &Greeting,
        warmup: Duration,
    ) -> Result<Self, SubscribeError> {
        let is_over = Arc::new(AtomicBool::new(false));
        let heard = Arc::new(AtomicUsize::new(0));
        let mut readers = Vec::new();
        for (_, address) in (0..subscription.count).zip(servers.iter().cycle()) {
            let failed = |source| SubscribeError::Connect { address: *address, source };
            let reader = subscribe(*address, greeting, &subscription.channel).map_err(failed)?;
            let refused = |text| SubscribeError::Refused { address: *address, text };
            readers.push(reader.map_err(refused)?);
        }
        let since = Instant::now() + warmup;
        let threads = readers.into_iter().map(|reader| {
            let (is_over, heard) = (Arc::clone(&is_over), Arc::clone(&heard));
            thread::spawn(move || listen(reader, since, &is_over, &heard))
        });
        Ok(Self { threads: threads.collect(), is_over, heard })
    }

    /// Waits for what is still on its way.
    pub fn finish(self) -> Deliveries {
        let deadline = Instant::now() + DRAIN;
        let mut before = usize::MAX;
        while Instant::now() < deadline {
            let now = self.heard.load(Ordering::Relaxed);
            if now == before {
                break;
            }
            before = now;
            thread::sleep(QUIET);
        }
        self.is_over.store(true, Ordering::Relaxed);
        let subscribers = self.threads.len();
        let (mut latency, mut lost) = (new_histogram(), 0);
        for thread in self.threads {
            match thread.join() {
                Ok((histogram, was_lost)) => {
                    latency.add(&histogram).expect("invariant: histograms are of one shape");
                    lost += usize::from(was_lost);
                }
                Err(_) => lost += 1,
            }
        }
        Deliveries { subscribers, received: latency.len(), latency, lost }
    }
}

/// The inner error is what the server says against it.
fn subscribe(
    address: SocketAddr,
    greeting: &Greeting,
    channel: &str,
) -> io::Result<Result<BufReader<TcpStream>, String>> {
    let mut stream = TcpStream::connect_timeout(&address, CONFIRM_TIMEOUT)?;
    stream.set_read_timeout(Some(CONFIRM_TIMEOUT))?;
    stream.write_all(&greeting.bytes)?;
    stream.write_all(&suite::encode(&["SUBSCRIBE".to_owned(), channel.to_owned()]))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    // What the greeting gets may have several lines, errors among them.
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(Err("the connection was closed".to_owned()));
        }
        if let Some(text) = line.strip_prefix('-') {
            return Ok(Err(text.trim_end().to_owned()));
        }
        if line == "subscribe\r\n" {
            break;
        }
    }
    // The length of the channel, the channel, the number of subscriptions.
    for _ in 0..3 {
        line.clear();
        reader.read_line(&mut line)?;
    }
    reader.get_ref().set_read_timeout(Some(TICK))?;
    Ok(Ok(reader))
}

/// Reads messages until the run is over; also tells whether the connection ended before.
fn listen(
    mut reader: BufReader<TcpStream>,
    since: Instant,
    is_over: &AtomicBool,
    heard: &AtomicUsize,
) -> (Histogram<u64>, bool) {
    let mut latency = new_histogram();
    let since = micros_since(since);
    let mut line = Vec::new();
    loop {
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => return (latency, true),
            Ok(_) if line.ends_with(b"\n") => {
                if let Some(sent) = stamp(&line) {
                    heard.fetch_add(1, Ordering::Relaxed);
                    if sent >= since {
                        let us = micros_now().saturating_sub(sent).clamp(1, LATENCY_US_MAX);
                        latency.record(us).expect("invariant: within the bounds");
                    }
                }
                line.clear();
            }
            // A piece of a line stays where it is.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock) => {}
            Err(_) => return (latency, true),
        }
        if is_over.load(Ordering::Relaxed) {
            return (latency, false);
        }
    }
}

/// The time of a line that is a message: it begins with the digits of `__sent_time_`.
fn stamp(line: &[u8]) -> Option<u64> {
    let digits = line.get(..DIGITS)?;
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}
