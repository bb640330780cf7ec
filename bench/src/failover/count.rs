//! A client that counts on one node, one INCR after the other, and notes every answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, ClientError};

/// Before a client that got an error asks again.
const PATIENCE: Duration = Duration::from_millis(1);

/// What a client has seen.
#[derive(Debug, Default)]
pub struct Count {
    pub key: String,
    /// When each call was answered with a number.
    pub answers: Vec<Instant>,
    /// Calls that ended in an error reply or with the connection: each may have been executed.
    pub errors: Vec<ClientError>,
    /// Answers that cannot follow from one execution of each answered call.
    pub wrong: usize,
    last: u64,
}

/// Counts until told to stop. Errors are noted, and the counting goes on.
pub fn run(port: u16, key: String, stop: &AtomicBool) -> Count {
    let mut count = Count { key, ..Count::default() };
    let mut client = None;
    while !stop.load(Ordering::Relaxed) {
        if let Err(error) = count.once(port, &mut client) {
            if !matches!(error, ClientError::Refused { .. }) {
                client = None;
            }
            count.errors.push(error);
            thread::sleep(PATIENCE);
        }
    }
    count
}

impl Count {
    fn once(&mut self, port: u16, client: &mut Option<Client>) -> Result<(), ClientError> {
        let client = match client {
            Some(client) => client,
            None => client.insert(Client::connect(port)?),
        };
        let value = client.call(&["INCR", &self.key])?;
        self.note(&value);
        Ok(())
    }

    fn note(&mut self, value: &str) {
        self.answers.push(Instant::now());
        let value = value.parse().unwrap_or(0);
        // Failed calls may have been counted; they are the only ones that may.
        if value <= self.last || !self.may_be(value) {
            self.wrong += 1;
        }
        self.last = value;
    }

    /// Whether the counter can stand at `value`: each answered call counts once, each failed call
    /// once or not at all.
    pub fn may_be(&self, value: u64) -> bool {
        let calls = self.answers.len() as u64;
        (calls..=calls + self.errors.len() as u64).contains(&value)
    }

    /// The longest time between two answers until `at`, and around and after it. `None` of the
    /// latter if there was no answer after it.
    pub fn gaps(&self, at: Instant) -> (Duration, Option<Duration>) {
        let longest = |answers: &[Instant]| {
            answers.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
        };
        let first_after = self.answers.partition_point(|answer| *answer <= at);
        let before = longest(&self.answers[..first_after]);
        let is_heard = first_after < self.answers.len();
        let after = is_heard.then(|| longest(&self.answers[first_after.saturating_sub(1)..]));
        (before, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answered_call_counts_once_and_a_failed_one_once_at_most() {
        let mut count = Count::default();
        for value in ["1", "2"] {
            count.note(value);
        }
        assert_eq!(count.wrong, 0);
        count.errors.push(ClientError::Closed { port: 1 });
        // The failed call was executed.
        count.note("4");
        assert_eq!(count.wrong, 0);
        assert!(count.may_be(4) && count.may_be(3));
        assert!(!count.may_be(2) && !count.may_be(5));
        for (number, value) in ["4", "7", "x"].iter().enumerate() {
            count.note(value);
            assert_eq!(count.wrong, number + 1, "{value}");
        }
    }

    #[test]
    fn gaps_are_told_apart_by_the_event() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let answers = [0, 10, 15, 115, 120].map(at).to_vec();
        let count = Count { answers, ..Count::default() };
        let ms = Duration::from_millis;
        assert_eq!(count.gaps(at(50)), (ms(10), Some(ms(100))));
        assert_eq!(count.gaps(at(117)), (ms(100), Some(ms(5))));
        assert_eq!(count.gaps(at(120)), (ms(100), None));
        assert_eq!(Count::default().gaps(start), (Duration::ZERO, None));
    }
}
