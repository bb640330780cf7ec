//! Whether a server keeps what it has acknowledged: a counter for each connection, which nobody
//! else touches.
//!
//! A counter that was incremented and acknowledged `acked` times, with `unknown` more increments
//! whose fate nobody told (the connection was lost, or the reply was an error), is at least `acked`
//! and at most `acked + unknown`, at every later look through any node. Less is an acknowledged
//! write lost, or a stale read; more is an increment that ran twice.

use std::net::SocketAddr;
use std::time::Duration;

use mayfly::client::{Client, Reply};

use crate::server::Login;

/// How long a server may take to tell the value of a counter.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What one connection knows of its counter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    pub key: String,
    pub acked: u64,
    pub unknown: u64,
    pub faults: Faults,
}

/// Increments and reads that a correct server does not answer like this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Acknowledged increments that were missing later.
    pub lost: u64,
    /// Increments that ran once more than they were sent.
    pub doubled: u64,
    /// Reads that did not see an increment acknowledged before them.
    pub stale: u64,
}

/// What a verification came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub acked: u64,
    pub unknown: u64,
    pub faults: Faults,
    /// Counters that no server told at the end: only what was seen before is known of them.
    pub untold: u64,
}

impl Counter {
    pub fn new(key: String) -> Self {
        Self { key, ..Self::default() }
    }

    /// An increment was answered with `value`.
    pub fn on_increment(&mut self, value: u64) {
        self.acked += 1;
        self.look(value);
    }

    /// The fate of `count` increments is not known.
    pub fn on_unknown(&mut self, count: u64) {
        self.unknown += count;
    }

    /// A read found `value`; 0 where it found nothing.
    pub fn on_read(&mut self, value: u64) {
        // What a stale read does not see may be there all the same.
        if value < self.acked {
            self.faults.stale += 1;
        } else {
            self.look(value);
        }
    }

    /// The counter is `value` when all is over.
    pub fn on_end(&mut self, value: u64) {
        self.look(value);
    }

    /// Counts a fault once: after it, the value that was seen is what is expected.
    fn look(&mut self, value: u64) {
        let most = self.acked + self.unknown;
        if value < self.acked {
            self.faults.lost += self.acked - value;
            self.acked = value;
        } else if value > most {
            self.faults.doubled += value - most;
            self.unknown += value - most;
        }
    }
}

impl Verified {
    pub fn has_faults(&self) -> bool {
        self.faults != Faults::default()
    }
}

/// Reads all counters a last time, through whichever server answers, and deletes them.
pub fn settle(servers: &[SocketAddr], login: &Login, counters: Vec<Counter>) -> Verified {
    let mut verified = Verified::default();
    let mut client = None;
    for mut counter in counters {
        let sums = (counter.acked, counter.unknown);
        match read(servers, login, &mut client, &counter.key) {
            Some(value) => counter.on_end(value),
            None => verified.untold += 1,
        }
        verified.acked += sums.0;
        verified.unknown += sums.1;
        verified.faults.lost += counter.faults.lost;
        verified.faults.doubled += counter.faults.doubled;
        verified.faults.stale += counter.faults.stale;
    }
    verified
}

fn read(
    servers: &[SocketAddr],
    login: &Login,
    client: &mut Option<Client>,
    key: &str,
) -> Option<u64> {
    for server in servers {
        if client.is_none() {
            *client = log_in(*server, login);
        }
        let Some(open) = client else { continue };
        let value = match open.call(&["GET", key]) {
            Ok(Reply::Bulk(text)) => parse(&text),
            Ok(Reply::Nil) => Some(0),
            _ => None,
        };
        if value.is_some() {
            // A key that is left behind does no harm.
            let _kept = open.call(&["DEL", key]);
            return value;
        }
        *client = None;
    }
    None
}

fn log_in(server: SocketAddr, login: &Login) -> Option<Client> {
    let mut client = Client::connect(server, TIMEOUT).ok()?;
    for words in login.commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if matches!(client.call(&words), Err(_) | Ok(Reply::Error(_))) {
            return None;
        }
    }
    Some(client)
}

/// The number of an integer reply, or of a value.
pub fn parse(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(acked: u64, unknown: u64) -> Counter {
        Counter { acked, unknown, ..Counter::new("key".to_owned()) }
    }

    fn faults(lost: u64, doubled: u64, stale: u64) -> Faults {
        Faults { lost, doubled, stale }
    }

    #[test]
    fn a_counter_of_a_correct_server_has_no_faults() {
        let mut counter = counter(0, 0);
        counter.on_read(0);
        counter.on_increment(1);
        counter.on_increment(2);
        counter.on_unknown(3);
        counter.on_read(3);
        // Two of the three ran, one of them late.
        counter.on_increment(4);
        counter.on_increment(6);
        counter.on_end(7);
        assert_eq!((counter.acked, counter.faults), (4, Faults::default()));
    }

    #[test]
    fn each_fault_is_counted_once() {
        let mut lost = counter(10, 2);
        lost.on_increment(9);
        lost.on_increment(10);
        assert_eq!(lost.faults, faults(2, 0, 0));
        let mut doubled = counter(10, 2);
        doubled.on_increment(14);
        doubled.on_increment(15);
        doubled.on_end(15);
        assert_eq!(doubled.faults, faults(0, 1, 0));
        let mut stale = counter(10, 0);
        stale.on_read(9);
        stale.on_read(10);
        stale.on_end(10);
        assert_eq!(stale.faults, faults(0, 0, 1));
        let mut lost_at_the_end = counter(10, 5);
        lost_at_the_end.on_end(0);
        assert_eq!(lost_at_the_end.faults, faults(10, 0, 0));
    }

    #[test]
    fn counters_that_nobody_tells_are_said_to_be_so() {
        let verified = settle(&[], &Login::default(), vec![counter(3, 1), counter(2, 0)]);
        assert_eq!((verified.untold, verified.acked, verified.has_faults()), (2, 5, false));
    }
}
