//! Exactly once: the batches that this node's clients wait for, and the sequence numbers that the
//! log already holds.
//!
//! [`Origin`] keeps, per stream, what is outstanding in order; the sequence number of a batch is
//! drawn when it is first sent, so that one which was never sent can be given up without leaving a
//! gap. [`Watermarks`] is the last appended number of every stream of every member: a function of
//! the snapshot and the log alone, so that every leader knows it. Neither knows terms or messages.

use std::collections::VecDeque;

use super::types::{
    ENTRY_HEADER_BYTES, Entry, EntryBody, MemberId, Millis, Payload, Seq, Stream, Ticket,
};

/// The last sequence number of a stream up to some entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark {
    pub origin: MemberId,
    pub stream: Stream,
    pub seq: Seq,
}

/// Sorted by origin and stream; streams of members that were removed are dropped with them, since
/// their ids never recur.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Watermarks(Vec<Watermark>);

impl Watermarks {
    pub(crate) fn new(mut watermarks: Vec<Watermark>) -> Self {
        watermarks.sort_unstable();
        watermarks.dedup_by_key(|mark| (mark.origin, mark.stream));
        Self(watermarks)
    }

    pub(crate) fn to_vec(&self) -> Vec<Watermark> {
        self.0.clone()
    }

    pub(crate) fn get(&self, origin: MemberId, stream: Stream) -> Seq {
        self.position(origin, stream).map_or(Seq(0), |at| self.0[at].seq)
    }

    /// Accounts for an entry that was appended.
    pub(crate) fn note(&mut self, entry: &Entry) {
        match &entry.body {
            EntryBody::Batch { origin, stream, seq, .. } => match self.position(*origin, *stream) {
                Ok(at) => self.0[at].seq = *seq,
                Err(at) => {
                    let mark = Watermark { origin: *origin, stream: *stream, seq: *seq };
                    self.0.insert(at, mark);
                }
            },
            EntryBody::Configuration(configuration) => {
                self.0.retain(|mark| configuration.member(mark.origin).is_some());
            }
            EntryBody::Noop | EntryBody::Tick => {}
        }
    }

    fn position(&self, origin: MemberId, stream: Stream) -> Result<usize, usize> {
        self.0.binary_search_by_key(&(origin, stream), |mark| (mark.origin, mark.stream))
    }
}

/// Why a batch or a read is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GiveUpReason {
    /// It never left this node and never will.
    NeverSent,
    /// A leader may have got it: it may have been executed, may still be, or never.
    OutcomeUnknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GivenUp {
    pub stream: Stream,
    pub ticket: Ticket,
    pub reason: GiveUpReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Outstanding {
    /// Drawn at the first sending. Invariant: those with a number precede those without.
    seq: Option<Seq>,
    /// `None`: given up; what is left is an empty payload that keeps the number.
    ticket: Option<Ticket>,
    payload: Payload,
    submitted_ms: Millis,
}

impl Outstanding {
    fn bytes(&self) -> usize {
        ENTRY_HEADER_BYTES + self.payload.len()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct StreamQueue {
    stream: Stream,
    /// The last sequence number drawn.
    last_seq: Seq,
    queue: VecDeque<Outstanding>,
    /// How many of the queue were sent to the present leader, and their bytes.
    sent: usize,
    sent_bytes: usize,
    /// When the stream last moved on: a commit, or the first sending to this leader.
    progress_ms: Millis,
    /// What the leader last expected, and when it was answered by sending again.
    rewound: Option<(Seq, Millis)>,
}

impl StreamQueue {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            last_seq: Seq(0),
            queue: VecDeque::new(),
            sent: 0,
            sent_bytes: 0,
            progress_ms: 0,
            rewound: None,
        }
    }

    fn rewind(&mut self, sent: usize) {
        self.sent = sent;
        self.sent_bytes = self.queue.iter().take(sent).map(Outstanding::bytes).sum();
    }

    fn pop(&mut self) -> Option<Outstanding> {
        let item = self.queue.pop_front()?;
        if self.sent > 0 {
            self.sent -= 1;
            self.sent_bytes -= item.bytes();
        }
        Some(item)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    streams: Vec<StreamQueue>,
}

impl Origin {
    pub(crate) fn outstanding(&self) -> usize {
        self.streams.iter().map(|stream| stream.queue.len()).sum()
    }

    pub(crate) fn submit(&mut self, stream: Stream, ticket: Ticket, payload: Payload, now: Millis) {
        let at = self.position(stream).unwrap_or_else(|| {
            self.streams.push(StreamQueue::new(stream));
            self.streams.len() - 1
        });
        let item = Outstanding { seq: None, ticket: Some(ticket), payload, submitted_ms: now };
        self.streams[at].queue.push_back(item);
    }

    /// Calls `send` with what the window of each stream takes and was not yet sent to this leader.
    pub(crate) fn pump(
        &mut self,
        window_bytes: usize,
        now: Millis,
        mut send: impl FnMut(Stream, Seq, &Payload),
    ) {
        for stream in &mut self.streams {
            while let Some(item) = stream.queue.get_mut(stream.sent) {
                let bytes = item.bytes();
                if stream.sent > 0 && stream.sent_bytes + bytes > window_bytes {
                    break;
                }
                let seq = *item.seq.get_or_insert_with(|| {
                    stream.last_seq = stream.last_seq.next();
                    stream.last_seq
                });
                send(stream.stream, seq, &item.payload);
                if stream.sent == 0 {
                    stream.progress_ms = now;
                }
                stream.sent += 1;
                stream.sent_bytes += bytes;
            }
        }
    }

    /// An own entry is committed: the ticket that it answers.
    pub(crate) fn committed(&mut self, stream: Stream, seq: Seq, now: Millis) -> Option<Ticket> {
        let at = self.position(stream)?;
        let stream = &mut self.streams[at];
        if stream.queue.front()?.seq != Some(seq) {
            return None;
        }
        stream.progress_ms = now;
        stream.rewound = None;
        stream.pop()?.ticket
    }

    /// The leader changed or the connection to it is new: everything outstanding is sent again.
    pub(crate) fn rewind(&mut self) {
        for stream in &mut self.streams {
            stream.rewind(0);
            stream.rewound = None;
        }
    }

    /// Sends again what has made no progress for `timeout`. Whether there was such a stream.
    pub(crate) fn rewind_stalled(&mut self, timeout: Millis, now: Millis) -> bool {
        let mut stalled = false;
        for stream in &mut self.streams {
            if stream.sent > 0 && now.saturating_sub(stream.progress_ms) >= timeout {
                stream.rewind(0);
                stream.progress_ms = now;
                stalled = true;
            }
        }
        stalled
    }

    /// The leader waits for `expected`: it and what follows is sent again. The same word again
    /// within `pause` is the echo of batches that were already on their way.
    pub(crate) fn expected(&mut self, stream: Stream, expected: Seq, pause: Millis, now: Millis) {
        let Some(at) = self.position(stream) else { return };
        let stream = &mut self.streams[at];
        if let Some((seq, at_ms)) = stream.rewound
            && seq == expected
            && now.saturating_sub(at_ms) < pause
        {
            return;
        }
        let wanted = stream.queue.iter().take(stream.sent).position(|i| i.seq == Some(expected));
        if let Some(position) = wanted {
            stream.rewind(position);
            stream.rewound = Some((expected, now));
        }
    }

    /// There has been no leader since `leaderless_ms`: gives up what has waited for `timeout`.
    /// Precondition: nothing counts as sent to a present leader.
    pub(crate) fn give_up(
        &mut self,
        leaderless_ms: Millis,
        timeout: Millis,
        now: Millis,
        given_up: &mut Vec<GivenUp>,
    ) {
        for stream in &mut self.streams {
            debug_assert_eq!(stream.sent, 0);
            let name = stream.stream;
            stream.queue.retain_mut(|item| {
                let waited = now.saturating_sub(item.submitted_ms.max(leaderless_ms));
                let Some(ticket) = item.ticket.filter(|_| waited >= timeout) else { return true };
                let sent = item.seq.is_some();
                let reason = if sent {
                    item.ticket = None;
                    item.payload = Payload::empty();
                    GiveUpReason::OutcomeUnknown
                } else {
                    GiveUpReason::NeverSent
                };
                given_up.push(GivenUp { stream: name, ticket, reason });
                sent
            });
        }
    }

    /// A snapshot took the place of the log: own batches within it were executed out of sight.
    pub(crate) fn skip_to(
        &mut self,
        id: MemberId,
        watermarks: &Watermarks,
        given_up: &mut Vec<GivenUp>,
    ) {
        for stream in &mut self.streams {
            let last = watermarks.get(id, stream.stream);
            let within = |item: &Outstanding| item.seq.is_some_and(|seq| seq <= last);
            while stream.queue.front().is_some_and(within) {
                let item = stream.pop().expect("invariant: it has a front");
                if let Some(ticket) = item.ticket {
                    let reason = GiveUpReason::OutcomeUnknown;
                    given_up.push(GivenUp { stream: stream.stream, ticket, reason });
                }
            }
        }
    }

    fn position(&self, stream: Stream) -> Option<usize> {
        self.streams.iter().position(|known| known.stream == stream)
    }
}

#[cfg(test)]
mod tests;
