//! What the leader knows of one peer's log, and how fast it may send to it.
//!
//! Owns the positions and the window of one peer; it builds no message and knows no other peer.
//! Invariant: `match_index < next_index`.

use std::collections::VecDeque;

use super::types::{Index, MemberId, Millis, Round};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProgressState {
    /// Where the logs agree is not known: one message, then silence until it is answered or a
    /// heartbeat is due.
    Probe { paused: bool },
    /// The logs agree up to `match_index`: entries are sent ahead of their acknowledgements.
    Replicate,
    /// The peer needs entries that are compacted away and is being sent a snapshot.
    Snapshot,
}

/// Rounds of catching up of a learner (dissertation 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CatchUp {
    /// Commit index when the round began.
    pub(crate) goal: Index,
    pub(crate) started_ms: Millis,
    /// Rounds that took too long to end in a promotion.
    pub(crate) slow_rounds: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Progress {
    pub(crate) id: MemberId,
    pub(crate) state: ProgressState,
    /// The peer's log is known to equal the leader's up to here.
    pub(crate) match_index: Index,
    pub(crate) next_index: Index,
    /// Nothing is sent before this index is committed: a learner's own admission.
    pub(crate) held_until: Index,
    /// When the peer last answered in this term; `None`: not yet.
    pub(crate) last_heard_ms: Option<Millis>,
    /// Counts as the time of the last answer until there is one.
    pub(crate) created_ms: Millis,
    pub(crate) round_acked: Round,
    pub(crate) round_sent: Round,
    pub(crate) commit_sent: Index,
    /// An AppendRequest is owed in this pass even if it carries nothing but the commit index.
    pub(crate) owed: bool,
    pub(crate) catch_up: Option<CatchUp>,
    /// No longer in the configuration, kept until it could be told that this is committed.
    pub(crate) leaving: bool,
    /// Last index and bytes of each AppendRequest not yet acknowledged.
    inflight: VecDeque<(Index, usize)>,
    inflight_bytes: usize,
}

impl Progress {
    pub(crate) fn new(id: MemberId, next_index: Index, held_until: Index, now: Millis) -> Self {
        Self {
            id,
            state: ProgressState::Probe { paused: false },
            match_index: Index::ZERO,
            next_index,
            held_until,
            last_heard_ms: None,
            created_ms: now,
            round_acked: Round(0),
            round_sent: Round(0),
            commit_sent: Index::ZERO,
            owed: false,
            catch_up: None,
            leaving: false,
            inflight: VecDeque::new(),
            inflight_bytes: 0,
        }
    }

    pub(crate) fn inflight_messages(&self) -> usize {
        self.inflight.len()
    }

    pub(crate) fn inflight_bytes(&self) -> usize {
        self.inflight_bytes
    }

    /// Whether the window takes one more message. An empty window takes one of any size.
    pub(crate) fn has_room(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.inflight.is_empty()
            || (self.inflight.len() < messages_max && self.inflight_bytes < bytes_max)
    }

    /// Entries up to `last_index` were sent ahead.
    pub(crate) fn sent_ahead(&mut self, last_index: Index, bytes: usize) {
        self.next_index = last_index.next();
        self.inflight.push_back((last_index, bytes));
        self.inflight_bytes += bytes;
    }

    pub(crate) fn heard(&mut self, round: Round, now: Millis) {
        self.last_heard_ms = Some(now);
        // A round that was never sent is nonsense and confirms nothing.
        if round <= self.round_sent {
            self.round_acked = self.round_acked.max(round);
        }
    }

    /// When the peer was last known to be there, for check-quorum.
    pub(crate) fn alive_ms(&self) -> Millis {
        self.last_heard_ms.unwrap_or(self.created_ms)
    }

    /// The logs agree up to `index`. Whether that was news.
    pub(crate) fn accepted(&mut self, index: Index) -> bool {
        while self.inflight.front().is_some_and(|(last, _)| *last <= index) {
            let (_, bytes) = self.inflight.pop_front().expect("invariant: it has a front");
            self.inflight_bytes -= bytes;
        }
        let news = index > self.match_index;
        self.match_index = self.match_index.max(index);
        if self.state != ProgressState::Replicate {
            self.become_replicate();
        }
        self.next_index = self.next_index.max(self.match_index.next());
        news
    }

    /// The peer has no entry `prev_index` of the leader's term there and the leader would go on
    /// after `agree_index`. Late rejections are ignored.
    pub(crate) fn rejected(&mut self, prev_index: Index, agree_index: Index) {
        let stale = match self.state {
            ProgressState::Replicate => prev_index <= self.match_index,
            ProgressState::Probe { .. } => prev_index.0.checked_add(1) != Some(self.next_index.0),
            ProgressState::Snapshot => true,
        };
        if stale {
            return;
        }
        self.become_probe();
        // Strictly back, so that probing ends; never into what is known to agree.
        let next = agree_index.next().min(prev_index).max(self.match_index.next());
        self.next_index = next;
    }

    pub(crate) fn become_probe(&mut self) {
        if self.state == ProgressState::Replicate {
            self.next_index = self.match_index.next();
        }
        self.state = ProgressState::Probe { paused: false };
        self.clear_inflight();
    }

    fn become_replicate(&mut self) {
        self.state = ProgressState::Replicate;
        self.next_index = self.match_index.next();
        self.clear_inflight();
    }

    pub(crate) fn become_snapshot(&mut self) {
        self.state = ProgressState::Snapshot;
        self.clear_inflight();
    }

    /// The connection broke: what was in flight is lost, and only heartbeats try again until there
    /// is a new one.
    pub(crate) fn unreachable(&mut self) {
        if self.state != ProgressState::Snapshot {
            self.become_probe();
            self.state = ProgressState::Probe { paused: true };
        }
    }

    fn clear_inflight(&mut self) {
        self.inflight.clear();
        self.inflight_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, ProgressState};
    use crate::raft::types::{Index, MemberId, Round};

    fn replicating(match_index: u64) -> Progress {
        let mut progress = Progress::new(MemberId(2), Index(1), Index::ZERO, 0);
        progress.accepted(Index(match_index));
        progress
    }

    #[test]
    fn the_window_is_bounded_by_messages_and_by_bytes() {
        let mut progress = replicating(5);
        assert!(progress.has_room(2, 100));
        progress.sent_ahead(Index(6), 60);
        assert!(progress.has_room(2, 100));
        progress.sent_ahead(Index(7), 60);
        assert!(!progress.has_room(2, 1000));
        assert!(!progress.has_room(9, 100));
        assert!(!progress.accepted(Index(5)));
        assert!(!progress.has_room(2, 1000));
        assert!(progress.accepted(Index(6)));
        assert!(progress.has_room(2, 100));
        assert_eq!((progress.inflight_messages(), progress.inflight_bytes()), (1, 60));
    }

    #[test]
    fn an_empty_window_takes_a_message_larger_than_the_window() {
        assert!(replicating(5).has_room(1, 0));
    }

    #[test]
    fn a_rejection_goes_back_to_probing_but_never_below_the_match() {
        let mut progress = replicating(5);
        progress.sent_ahead(Index(9), 1);
        progress.rejected(Index(9), Index(2));
        assert_eq!(progress.state, ProgressState::Probe { paused: false });
        assert_eq!(progress.next_index, Index(6));
        assert_eq!(progress.inflight_messages(), 0);
    }

    #[test]
    fn late_rejections_are_ignored() {
        let mut progress = replicating(5);
        progress.rejected(Index(5), Index(1));
        assert_eq!(progress.state, ProgressState::Replicate);
        let mut probe = Progress::new(MemberId(2), Index(10), Index::ZERO, 0);
        probe.rejected(Index(4), Index(1));
        assert_eq!(probe.next_index, Index(10));
        probe.rejected(Index(9), Index(20));
        assert_eq!(probe.next_index, Index(9));
        probe.rejected(Index(u64::MAX), Index(1));
        assert_eq!(probe.next_index, Index(9));
    }

    #[test]
    fn a_broken_connection_pauses_and_forgets_what_was_in_flight() {
        let mut progress = replicating(5);
        progress.sent_ahead(Index(9), 1);
        progress.unreachable();
        assert_eq!(progress.state, ProgressState::Probe { paused: true });
        assert_eq!((progress.next_index, progress.inflight_messages()), (Index(6), 0));
    }

    #[test]
    fn a_round_that_was_never_sent_confirms_nothing() {
        let mut progress = replicating(5);
        progress.round_sent = Round(3);
        progress.heard(Round(9), 1);
        assert_eq!(progress.round_acked, Round(0));
        progress.heard(Round(3), 2);
        progress.heard(Round(2), 3);
        assert_eq!((progress.round_acked, progress.last_heard_ms), (Round(3), Some(3)));
    }
}
