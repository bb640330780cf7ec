//! The window of a peer and its positions in the log, through all that a peer may answer.
//!
//! The reference counts messages only, so the bytes are checked against a plain list. Three
//! differences are meant. After a refusal of what was sent ahead the reference goes back to what is
//! known to agree, ours no further than to the hint. On a new connection the reference probes from
//! what is known to agree, ours goes on from where it was probing. And an acknowledgement that
//! tells nothing new leaves the reference probing, while ours goes on to replicate.

use std::collections::VecDeque;

use ::raft::{Progress as Reference, ProgressState as ReferenceState};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, TestCaseError};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::raft::progress::{Progress, ProgressState};
use crate::raft::types::{Index, MemberId};

/// What befalls a peer. Positions are relative to what is known of it, so that most make sense.
#[derive(Clone, Debug)]
enum Event {
    /// So many entries of so many bytes are sent, if the window takes them.
    Send {
        entries: u64,
        bytes: usize,
    },
    /// So far behind what was sent.
    Accept {
        behind: u64,
    },
    /// So far before the next index, with a hint so far before that.
    Reject {
        behind: u64,
        hint: u64,
    },
    Reconnect,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1..5u64, 0..300usize).prop_map(|(entries, bytes)| Event::Send { entries, bytes }),
        4 => (0..12u64).prop_map(|behind| Event::Accept { behind }),
        1 => (0..4u64, 0..8u64).prop_map(|(behind, hint)| Event::Reject { behind, hint }),
        1 => proptest::strategy::Just(Event::Reconnect),
    ]
}

struct Pair {
    own: Progress,
    reference: Reference,
    messages_max: usize,
    bytes_max: usize,
    /// The plain list: last index and bytes of each message in flight.
    inflight: VecDeque<(u64, usize)>,
}

impl Pair {
    fn new(next_index: u64, messages_max: usize, bytes_max: usize) -> Self {
        Self {
            own: Progress::new(MemberId(2), Index(next_index), Index::ZERO, 0),
            reference: Reference::new(next_index, messages_max),
            messages_max,
            bytes_max,
            inflight: VecDeque::new(),
        }
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Send { entries, bytes } => self.send(entries, bytes),
            Event::Accept { behind } => self.accept(behind),
            Event::Reject { behind, hint } => self.reject(behind, hint),
            Event::Reconnect => {
                let was_probing_at = match self.own.state {
                    ProgressState::Probe { .. } => Some(self.own.next_index.0),
                    _ => None,
                };
                self.own.become_probe();
                self.reference.become_probe();
                if let Some(next_index) = was_probing_at {
                    self.reference.next_idx = next_index;
                }
                self.inflight.clear();
            }
        }
    }

    /// As `Sender::send_entries` does.
    fn send(&mut self, entries: u64, bytes: usize) {
        match self.own.state {
            ProgressState::Replicate if self.own.has_room(self.messages_max, self.bytes_max) => {
                let last = self.own.next_index.0 + entries - 1;
                self.own.sent_ahead(Index(last), bytes);
                self.reference.update_state(last);
                self.inflight.push_back((last, bytes));
            }
            ProgressState::Probe { paused: false } => {
                self.own.state = ProgressState::Probe { paused: true };
                self.reference.update_state(0);
            }
            _ => {}
        }
    }

    fn accept(&mut self, behind: u64) {
        let last_sent = match self.own.state {
            ProgressState::Replicate => self.own.next_index.0 - 1,
            // A probe has sent what stands before the next index, and more.
            _ => self.own.next_index.0 + 3,
        };
        let index = last_sent.saturating_sub(behind);
        let news = self.own.accepted(Index(index));
        assert_eq!(news, self.reference.maybe_update(index), "news or not");
        match self.reference.state {
            ReferenceState::Probe => self.reference.become_replicate(),
            _ => self.reference.ins.free_to(index),
        }
        self.inflight.retain(|(last, _)| *last > index);
    }

    fn reject(&mut self, behind: u64, hint: u64) {
        let rejected = (self.own.next_index.0 - 1).saturating_sub(behind);
        let agree = rejected.saturating_sub(hint);
        let was_ahead = self.own.state == ProgressState::Replicate;
        self.own.rejected(Index(rejected), Index(agree));
        if !self.reference.maybe_decr_to(rejected, agree, 0) {
            return;
        }
        self.inflight.clear();
        if was_ahead {
            self.reference.become_probe();
            let (least, most) = (self.reference.next_idx, rejected);
            assert!((least..=most).contains(&self.own.next_index.0), "{:?}", self.own);
        } else {
            // Not into what is known to agree, which the reference does not rule out.
            let next = self.reference.next_idx.max(self.reference.matched + 1);
            assert_eq!(self.own.next_index.0, next);
        }
        self.reference.next_idx = self.own.next_index.0;
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let Self { own, reference, .. } = self;
        prop_assert_eq!(own.match_index.0, reference.matched);
        prop_assert_eq!(own.next_index.0, reference.next_idx);
        prop_assert!(own.match_index < own.next_index);
        let is_probe = matches!(own.state, ProgressState::Probe { .. });
        prop_assert_eq!(is_probe, reference.state == ReferenceState::Probe);
        if let ProgressState::Probe { paused } = own.state {
            prop_assert_eq!(paused, reference.paused);
        }
        prop_assert_eq!(own.inflight_messages(), reference.ins.count());
        prop_assert_eq!(own.inflight_messages(), self.inflight.len());
        let bytes: usize = self.inflight.iter().map(|(_, bytes)| bytes).sum();
        prop_assert_eq!(own.inflight_bytes(), bytes);
        // By messages alone, as the reference counts.
        let has_room = own.has_room(self.messages_max, usize::MAX);
        prop_assert_eq!(has_room, !reference.ins.full());
        let fits = self.inflight.is_empty() || bytes < self.bytes_max;
        prop_assert_eq!(own.has_room(self.messages_max, self.bytes_max), has_room && fits);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_peer_is_where_the_reference_takes_it_to_be(
        next_index in 1..30u64,
        messages_max in 1..6usize,
        bytes_max in 1..900usize,
        events in vec(event(), 1..60),
    ) {
        let mut pair = Pair::new(next_index, messages_max, bytes_max);
        for event in &events {
            pair.happen(event);
            pair.check()?;
        }
    }
}
