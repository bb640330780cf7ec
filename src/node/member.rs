//! A node's membership in its cluster: consensus and the links, and what they need of each other
//! beyond single messages: snapshots on their way, and a log that stays within its budget.

use crate::limits::{LOG_DROP_ENTRIES, LOG_TAIL_SHARE};
use crate::net::frame::{SnapshotBody, SnapshotMessage};
use crate::net::peer::Links;
use crate::net::ring::Ring;
use crate::raft::types::{ClusterId, Index, MemberId, Millis, Payload, Term};
use crate::raft::{ProgressState, Raft, RoleKind};

use super::incoming::{Arrived, Incoming};
use super::mailbox::{Mailbox, MakingNews, ToApply};
use super::outgoing::{Outgoing, Pin};
use super::report::SnapshotReport;

/// Over which the log is compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBudget {
    pub bytes: usize,
    pub entries: u64,
}

impl LogBudget {
    fn max(self, other: Self) -> Self {
        let (bytes, entries) = (self.bytes.max(other.bytes), self.entries.max(other.entries));
        Self { bytes, entries }
    }

    /// What compaction leaves.
    fn share(self) -> Self {
        Self {
            bytes: self.bytes / LOG_TAIL_SHARE,
            entries: self.entries.div_ceil(LOG_TAIL_SHARE as u64),
        }
    }
}

pub struct MemberState {
    pub raft: Raft,
    pub links: Links,
    /// When this node last asked for a tick entry as leader.
    pub tick_asked_at_ms: Millis,
    pub role: RoleKind,
    pub term: Term,
    pub leader: Option<MemberId>,
    pub outgoing: Outgoing,
    pub incoming: Incoming,
    /// Last index and term of the newest snapshot made or received.
    pub snapshot_end: (Index, Term),
    /// The log is not looked at again before it has more.
    compact_above: LogBudget,
    /// Up to here the log is being dropped, a part in each pass.
    dropping_through: Index,
    /// Bytes of the log when it was last measured how far a voter may be behind.
    lag_measured_at: usize,
}

impl MemberState {
    pub fn new(raft: Raft, links: Links) -> Self {
        Self {
            raft,
            links,
            tick_asked_at_ms: 0,
            role: RoleKind::Follower,
            term: Term(0),
            leader: None,
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            snapshot_end: (Index::ZERO, Term(0)),
            compact_above: LogBudget { bytes: 0, entries: 0 },
            dropping_through: Index::ZERO,
            lag_measured_at: 0,
        }
    }

    fn id(&self) -> MemberId {
        self.links.identity().member
    }

    /// Keeps the log within `budget`, as far as it is applied, by dropping all but a part of it, so
    /// that a follower that was away for a moment needs no snapshot.
    ///
    /// What a follower has yet to be sent stays too, within the budget. What those need that are
    /// on their way with a snapshot stays, however many entries, up to twice the budget of bytes,
    /// or as much as the snapshot itself takes: with less, a member that loads slower than clients
    /// write would never arrive.
    pub fn compact(&mut self, budget: LogBudget, applied: Index) {
        if self.raft.first_index() <= self.dropping_through {
            return self.drop_some(budget);
        }
        let bound = budget.max(self.compact_above);
        if self.raft.log_bytes() <= bound.bytes && self.raft.log_entries() <= bound.entries {
            return;
        }
        if self.outgoing.is_beginning() {
            return;
        }
        let LogBudget { bytes, entries } = budget;
        let share = budget.share();
        let tail = self.index_before_tail(share);
        // At least one share goes, so that the log is not walked over for every entry.
        let rest = LogBudget { bytes: bytes - share.bytes, entries: entries - share.entries };
        let dispensable = self.index_before_tail(rest);
        let mut through = tail.min(applied);
        for peer in self.raft.status().peers {
            if peer.state != ProgressState::Snapshot {
                through = through.min(peer.next_index.previous().max(dispensable));
            }
        }
        if let Some(Pin { after, snapshot_bytes }) = self.outgoing.pin(&self.raft, tail) {
            if self.raft.log_bytes() <= snapshot_bytes.max(2 * bytes) {
                through = through.min(after);
            } else {
                for id in self.outgoing.take_outrun() {
                    log::warn!("member {id} needs a newer snapshot than the one it is being sent");
                    self.raft.snapshot_failed(id);
                }
            }
        }
        self.dropping_through = through;
        self.drop_some(budget);
    }

    /// Drops a part of what is to go: to free a log of many small entries at once would be a pause.
    fn drop_some(&mut self, budget: LogBudget) {
        let part = Index(self.raft.first_index().0 - 1 + LOG_DROP_ENTRIES);
        self.raft.compact(self.dropping_through.min(part));
        let share = budget.share();
        self.compact_above = LogBudget {
            bytes: self.raft.log_bytes() + share.bytes / 2,
            entries: self.raft.log_entries().saturating_add(share.entries / 2),
        };
    }

    /// The next call of [`Self::compact`] looks at the log again, unless it is to wait for members
    /// on their way: what they needed may be dispensable now.
    pub fn look_at_log_again(&mut self) {
        if !self.outgoing.is_waited_for() {
            self.compact_above = LogBudget { bytes: 0, entries: 0 };
        }
    }

    /// The first index such that what follows is within `tail`.
    fn index_before_tail(&self, tail: LogBudget) -> Index {
        let last = self.raft.first_index().0 - 1 + self.raft.log_entries();
        let by_entries = Index(last.saturating_sub(tail.entries));
        self.raft.index_before_tail(tail.bytes).max(by_entries)
    }

    /// Has clients wait, should this node lead, for a voter that lacks half as much of the log as
    /// compaction leaves: it needs no snapshot then, nor does it after a change of the leader.
    ///
    /// The log is walked over each time it has grown by a part of that, not for every entry.
    pub fn bound_lag(&mut self, budget: LogBudget) {
        let lag_max = budget.bytes / (2 * LOG_TAIL_SHARE);
        let bytes = self.raft.log_bytes();
        if bytes.abs_diff(self.lag_measured_at) < lag_max / 4 {
            return;
        }
        self.lag_measured_at = bytes;
        self.raft.hold_below(self.raft.index_before_tail(lag_max));
    }

    /// Drops all of the log that is applied and that nobody needs who follows it, or who is on his
    /// way with a snapshot.
    pub fn compact_through(&mut self, applied: Index) {
        if self.outgoing.is_beginning() {
            return;
        }
        let status = self.raft.status();
        let following = status.peers.iter().filter(|it| it.state == ProgressState::Replicate);
        let received = following.map(|peer| peer.match_index).min();
        let applied = received.map_or(applied, |index| index.min(applied));
        let pin = self.outgoing.pin(&self.raft, applied);
        self.raft.compact(pin.map_or(applied, |pin| pin.after.min(applied)));
    }

    /// How far apply is with the snapshot of a round.
    pub fn on_making_news(&mut self, number: u64, news: MakingNews, now_ms: Millis) {
        match news {
            MakingNews::Begun { last_index } => {
                let is_leader = self.raft.is_leader();
                let state = is_leader.then(|| self.raft.snapshot_state(last_index)).flatten();
                if let Some(state) = &state {
                    self.snapshot_end = (state.last_index, state.last_term);
                }
                self.outgoing.begun(number, state, now_ms);
            }
            MakingNews::Made { chunks, estimated_bytes, is_complete } => {
                self.outgoing.made(number, chunks, estimated_bytes, is_complete);
            }
            MakingNews::GivenUp => {
                for id in self.outgoing.given_up(number) {
                    log::warn!("member {id} gets another snapshot later");
                    self.raft.snapshot_failed(id);
                }
            }
        }
    }

    pub fn on_snapshot_message(
        &mut self,
        ring: &mut Ring,
        apply: &Mailbox<ToApply>,
        message: SnapshotMessage,
        now_ms: Millis,
    ) {
        let SnapshotMessage { from, last_index, body, .. } = message;
        match body {
            SnapshotBody::Chunk { sequence, payload } => {
                self.on_chunk(ring, apply, (from, last_index), sequence, payload);
            }
            SnapshotBody::Read { chunks } => {
                self.outgoing.on_read(from, last_index, chunks, now_ms);
            }
            SnapshotBody::Refused => {
                if self.outgoing.on_refused(from, last_index) {
                    log::warn!("member {from} refuses the snapshot up to {last_index}");
                    self.raft.snapshot_failed(from);
                }
            }
        }
    }

    fn on_chunk(
        &mut self,
        ring: &mut Ring,
        apply: &Mailbox<ToApply>,
        origin: (MemberId, Index),
        sequence: u64,
        payload: Payload,
    ) {
        let (from, last_index) = origin;
        match self.incoming.arrived(from, last_index, sequence, payload) {
            Ok(Arrived::First { transfer }) => {
                log::info!("receiving a snapshot of member {from} up to {last_index}");
                apply.send(ToApply::BeginSnapshot { transfer });
                if let Some(message) = self.incoming.acknowledgement(self.id()) {
                    self.links.send_snapshot(ring, message);
                }
            }
            Ok(Arrived::Next { transfer, payload }) => {
                apply.send(ToApply::ReadSnapshot { transfer, payload });
            }
            Ok(Arrived::Stray) => {}
            Err(error) => {
                log::warn!("refusing the snapshot of member {from}: {error}");
                apply.send(ToApply::DropSnapshot);
                self.refuse_snapshot(ring, from, last_index);
            }
        }
    }

    pub fn refuse_snapshot(&mut self, ring: &mut Ring, to: MemberId, last_index: Index) {
        let from = self.id();
        let message = SnapshotMessage { from, to, last_index, body: SnapshotBody::Refused };
        self.links.send_snapshot(ring, message);
    }

    /// Turns away from all peers: from here on this is a member of `cluster`, whose configuration
    /// comes with the next output. Snapshots on their way end here.
    pub fn leave_peers(&mut self, ring: &mut Ring, apply: &Mailbox<ToApply>, cluster: ClusterId) {
        self.links.change_cluster(ring, cluster);
        self.outgoing.forget_all();
        if self.incoming.is_busy() {
            self.incoming.abandon();
            apply.send(ToApply::DropSnapshot);
        }
    }

    pub fn snapshot_report(&self) -> SnapshotReport {
        let (last_index, last_term) = self.snapshot_end;
        SnapshotReport {
            created: self.outgoing.created,
            received: self.incoming.received,
            is_in_progress: self.outgoing.is_busy() || self.incoming.is_busy(),
            last_index,
            last_term,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::peer::Identity;
    use crate::raft::types::{Member, Ticket};
    use crate::raft::{Config, Now};

    /// The only voter of a cluster, whose log has `count` small batches, all handed out.
    fn member_with(count: u64) -> MemberState {
        let config = Config {
            election_timeout_ms: 100,
            heartbeat_interval_ms: 20,
            append_bytes_max: 1 << 20,
            inflight_messages_max: 8,
            inflight_bytes_max: 1 << 20,
            no_leader_timeout_ms: 500,
            seed: 1,
        };
        let own = Member {
            id: MemberId(1),
            slot: "a".to_owned(),
            boot: 1,
            client_address: String::new(),
            peer_address: String::new(),
            observer: false,
        };
        let identity = Identity {
            cluster: 1,
            member: MemberId(1),
            slot: "a".to_owned(),
            boot: 1,
            peer_address: String::new(),
        };
        let mut raft = Raft::bootstrap(config, own, Now { monotonic_ms: 0, unix_ms: 0 });
        raft.take_output();
        for ticket in 1..=count {
            raft.submit(0, Ticket(ticket), Payload::empty());
            raft.take_output();
        }
        MemberState::new(raft, Links::new(identity, 100))
    }

    #[test]
    fn a_long_log_is_dropped_a_part_in_each_pass() {
        let mut member = member_with(3 * LOG_DROP_ENTRIES);
        let applied = member.raft.commit_index();
        let budget = LogBudget { bytes: usize::MAX / 4, entries: 8 };
        let mut passes = 0;
        loop {
            let before = member.raft.log_entries();
            member.compact(budget, applied);
            let dropped = before - member.raft.log_entries();
            assert!(dropped <= LOG_DROP_ENTRIES);
            if dropped == 0 {
                break;
            }
            passes += 1;
        }
        assert!(passes > 2, "{passes}");
        assert_eq!(member.raft.log_entries(), 2, "a quarter of the budget stays");
    }
}
