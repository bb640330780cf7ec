//! Linearizable reads without a log entry (dissertation 6.4): read indexes and read rounds.
//!
//! [`OwnReads`] is what this node's clients wait for, on a leader as on a follower. [`Rounds`] is
//! the leader's side: requests are gathered, one round confirms all that were gathered before it
//! began, and rounds are numbers that only grow within a term, so that no late answer can confirm
//! a later read.

use std::collections::VecDeque;
use std::mem;

use super::origin::{GiveUpReason, GivenUp};
use super::types::{Index, MemberId, Millis, Round, Stream, Ticket};

/// Unconfirmed rounds in flight. A second one lets reads that arrive during a round trip start
/// theirs at once; more would only make more messages of the same size.
const ROUNDS_INFLIGHT_MAX: usize = 2;

/// The read may run as soon as `index` is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadReady {
    pub stream: Stream,
    pub ticket: Ticket,
    pub index: Index,
    /// The leader's clock when it confirmed.
    pub at_ms: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OwnRead {
    /// The request that covers it.
    request_id: u64,
    stream: Stream,
    ticket: Ticket,
    submitted_ms: Millis,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct OwnReads {
    /// Invariant: request ids never decrease along the queue.
    queue: VecDeque<OwnRead>,
    last_request_id: u64,
    /// Something waits that the present leader was not asked for.
    wanted: bool,
    repeat_at_ms: Millis,
}

impl OwnReads {
    pub(crate) fn pending(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn submit(&mut self, stream: Stream, ticket: Ticket, now: Millis) {
        let request_id = self.last_request_id + 1;
        self.queue.push_back(OwnRead { request_id, stream, ticket, submitted_ms: now });
        self.wanted = true;
    }

    /// The leader changed or the connection to it is new.
    pub(crate) fn ask_again(&mut self) {
        self.wanted = !self.queue.is_empty();
    }

    /// No answer for so long that the request or its answer must be lost. Whether that is so.
    pub(crate) fn ask_again_if_overdue(&mut self, now: Millis) -> bool {
        if self.queue.is_empty() || self.wanted || now < self.repeat_at_ms {
            return false;
        }
        self.wanted = true;
        true
    }

    /// The request that is to be sent now, repeated at `repeat_at_ms`.
    pub(crate) fn take_request(&mut self, repeat_at_ms: Millis) -> Option<u64> {
        if !mem::take(&mut self.wanted) {
            return None;
        }
        let id = self.queue.back()?.request_id;
        self.last_request_id = id;
        self.repeat_at_ms = repeat_at_ms;
        Some(id)
    }

    /// The leader answered all requests up to `request_id`.
    pub(crate) fn ready(
        &mut self,
        request_id: u64,
        index: Index,
        at_ms: Millis,
        reads: &mut Vec<ReadReady>,
    ) {
        while self.queue.front().is_some_and(|read| read.request_id <= request_id) {
            let OwnRead { stream, ticket, .. } =
                self.queue.pop_front().expect("invariant: it has a front");
            reads.push(ReadReady { stream, ticket, index, at_ms });
        }
    }

    /// There has been no leader since `leaderless_ms`: gives up what has waited for `timeout`.
    pub(crate) fn give_up(
        &mut self,
        leaderless_ms: Millis,
        timeout: Millis,
        now: Millis,
        given_up: &mut Vec<GivenUp>,
    ) {
        self.queue.retain(|read| {
            let waited = now.saturating_sub(read.submitted_ms.max(leaderless_ms));
            if waited >= timeout {
                let reason = GiveUpReason::NeverSent;
                given_up.push(GivenUp { stream: read.stream, ticket: read.ticket, reason });
            }
            waited < timeout
        });
        self.wanted = !self.queue.is_empty();
    }
}

/// A member that asked for a read index, the leader itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) reader: MemberId,
    pub(crate) id: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PendingRound {
    round: Round,
    index: Index,
    requests: Vec<Request>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Rounds {
    current: Round,
    /// At most one request per reader: a later one covers the earlier ones.
    gathering: Vec<Request>,
    inflight: VecDeque<PendingRound>,
}

impl Rounds {
    /// The newest round; what is sent from now on carries it.
    pub(crate) fn current(&self) -> Round {
        self.current
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.inflight.is_empty()
    }

    pub(crate) fn unconfirmed(&self) -> usize {
        let asked: usize = self.inflight.iter().map(|pending| pending.requests.len()).sum();
        self.gathering.len() + asked
    }

    pub(crate) fn gather(&mut self, reader: MemberId, id: u64) {
        match self.gathering.iter_mut().find(|request| request.reader == reader) {
            Some(request) => request.id = request.id.max(id),
            None => self.gathering.push(Request { reader, id }),
        }
    }

    /// Begins a round for everything gathered, if there is anything and a round is free.
    /// `commit_index` covers every entry that was committed when the reads were gathered.
    /// Precondition: an entry of this term is committed (dissertation 6.4, step 1).
    pub(crate) fn begin(&mut self, commit_index: Index) -> bool {
        if self.gathering.is_empty() || self.inflight.len() >= ROUNDS_INFLIGHT_MAX {
            return false;
        }
        self.current = self.current.next();
        let requests = mem::take(&mut self.gathering);
        self.inflight.push_back(PendingRound {
            round: self.current,
            index: commit_index,
            requests,
        });
        true
    }

    /// The requests of the oldest round, if a quorum has answered it.
    pub(crate) fn take_confirmed(&mut self, answered: Round) -> Option<(Index, Vec<Request>)> {
        if self.inflight.front()?.round > answered {
            return None;
        }
        self.inflight.pop_front().map(|pending| (pending.index, pending.requests))
    }
}

#[cfg(test)]
mod tests {
    use super::{OwnReads, ROUNDS_INFLIGHT_MAX, Request, Rounds};
    use crate::raft::types::{Index, MemberId, Round, Ticket};

    #[test]
    fn one_round_confirms_everything_gathered_before_it_and_nothing_after() {
        let mut rounds = Rounds::default();
        rounds.gather(MemberId(2), 5);
        rounds.gather(MemberId(2), 7);
        rounds.gather(MemberId(3), 1);
        assert!(rounds.begin(Index(10)));
        rounds.gather(MemberId(2), 8);
        assert_eq!(rounds.take_confirmed(Round(0)), None);
        let (index, requests) = rounds.take_confirmed(Round(1)).unwrap();
        assert_eq!(index, Index(10));
        let expected =
            [Request { reader: MemberId(2), id: 7 }, Request { reader: MemberId(3), id: 1 }];
        assert_eq!(requests, expected);
        assert_eq!(rounds.take_confirmed(Round(1)), None);
        assert!(rounds.begin(Index(11)));
        assert_eq!(rounds.take_confirmed(Round(1)), None, "a round is never used twice");
        assert!(rounds.take_confirmed(Round(2)).is_some());
    }

    #[test]
    fn rounds_in_flight_are_bounded_and_reads_wait_for_the_next() {
        let mut rounds = Rounds::default();
        for id in 0..10 {
            rounds.gather(MemberId(2), id);
            rounds.begin(Index(1));
        }
        assert_eq!(rounds.current(), Round(ROUNDS_INFLIGHT_MAX as u64));
        rounds.take_confirmed(rounds.current());
        assert!(rounds.begin(Index(2)));
    }

    #[test]
    fn an_answer_releases_only_reads_that_its_request_covers() {
        let mut own = OwnReads::default();
        own.submit(0, Ticket(1), 0);
        own.submit(1, Ticket(2), 0);
        let first = own.take_request(10).unwrap();
        own.submit(0, Ticket(3), 0);
        let mut ready = Vec::new();
        own.ready(first, Index(4), 0, &mut ready);
        assert_eq!(ready.iter().map(|r| r.ticket.0).collect::<Vec<_>>(), [1, 2]);
        let second = own.take_request(10).unwrap();
        assert!(second > first);
        assert_eq!(own.take_request(10), None);
        assert!(!own.ask_again_if_overdue(9));
        assert!(own.ask_again_if_overdue(10));
        assert_eq!(own.take_request(20), Some(second));
    }
}
