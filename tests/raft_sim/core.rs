//! Mayfly's own core under the simulator's name for things.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use mayfly::raft::message::Message;
use mayfly::raft::types::{
    Applicant, Configuration, Entry, Index, MemberId, Payload, Stream, Ticket,
};
use mayfly::raft::{Config, FreshNode, LogId, Now, Output, Raft, SnapshotState};

use crate::consensus::{Birth, Consensus, Effects, Supports, View};
use crate::rng::Fold;

/// The core with the output that it writes into.
pub struct Core {
    raft: Raft,
    output: Output,
}

impl Consensus for Core {
    type Message = Message;

    const SUPPORTS: Supports = Supports {
        membership: true,
        snapshots: true,
        transfer: true,
        exactly_once: true,
        recovery: true,
    };

    fn start(config: Config, birth: Birth<'_>, now: Now) -> Self {
        let raft = match birth {
            Birth::Founder { cluster, id, founders } => {
                Raft::found(config, cluster, id, founders, now)
            }
            Birth::Alone(member) => Raft::bootstrap(config, member, now),
            Birth::Learner(id) => Raft::join(config, id, now),
        };
        Self { raft, output: Output::default() }
    }

    fn set_now(&mut self, now: Now) {
        self.raft.set_now(now);
    }

    fn tick(&mut self) {
        self.raft.tick();
    }

    fn step(&mut self, message: Message) {
        self.raft.step(message);
    }

    fn submit(&mut self, stream: Stream, ticket: Ticket, payload: Payload) {
        self.raft.submit(stream, ticket, payload);
    }

    fn submit_read(&mut self, stream: Stream, ticket: Ticket) {
        self.raft.submit_read(stream, ticket);
    }

    fn take_effects(&mut self, effects: &mut Effects<Message>) -> bool {
        if !self.raft.has_output() {
            return false;
        }
        let output = &mut self.output;
        self.raft.take_output_into(output);
        std::mem::swap(&mut effects.messages, &mut output.messages);
        std::mem::swap(&mut effects.committed, &mut output.committed);
        std::mem::swap(&mut effects.reads, &mut output.reads);
        std::mem::swap(&mut effects.given_up, &mut output.given_up);
        std::mem::swap(&mut effects.snapshots_wanted, &mut output.snapshots_wanted);
        true
    }

    fn peer_unreachable(&mut self, id: MemberId) {
        self.raft.peer_unreachable(id);
    }

    fn peer_connected(&mut self, id: MemberId) {
        self.raft.peer_connected(id);
    }

    fn campaign(&mut self) -> bool {
        self.raft.campaign_now().is_ok()
    }

    fn view(&self) -> View {
        View {
            id: self.raft.id(),
            term: self.raft.term(),
            voted_for: self.raft.voted_for(),
            is_leader: self.raft.is_leader(),
            commit_index: self.raft.commit_index(),
            handed_out_index: self.raft.handed_out_index(),
            first_index: self.raft.first_index(),
            last_index: self.raft.last_log_id().index,
        }
    }

    fn entry(&self, index: Index) -> Option<Cow<'_, Entry>> {
        self.raft.entry(index).map(Cow::Borrowed)
    }

    fn configuration(&self) -> &Arc<Configuration> {
        self.raft.configuration()
    }

    fn receiver(message: &Message) -> MemberId {
        message.to
    }

    fn fingerprint(message: &Message) -> u64 {
        let mut fold = Fold::default();
        message.hash(&mut fold);
        fold.finish()
    }

    fn compact(&mut self, through: Index) {
        self.raft.compact(through);
    }

    fn snapshot(&self, last_index: Index) -> Option<SnapshotState> {
        self.raft.snapshot_state(last_index)
    }

    fn install(&mut self, state: SnapshotState) -> bool {
        self.raft.install_snapshot(state)
    }

    fn snapshot_failed(&mut self, id: MemberId) {
        self.raft.snapshot_failed(id);
    }

    fn transfer(&mut self, target: Option<MemberId>) -> bool {
        self.raft.transfer_leadership(target).is_ok()
    }

    fn admit(&mut self, applicant: Applicant) -> Option<Index> {
        self.raft.admit(applicant).ok()
    }

    fn remove(&mut self, id: MemberId) -> bool {
        self.raft.remove(id).is_ok()
    }

    fn tick_entry(&mut self) {
        self.raft.tick_entry();
    }

    fn is_changing(&self) -> bool {
        let status = self.raft.status();
        let configuration = &status.configuration;
        configuration.is_joint()
            || configuration.learners.iter().any(|id| !configuration.is_observer(*id))
            || status.configuration_index > status.commit_index
    }

    fn founders(&self) -> Vec<FreshNode> {
        self.raft.founders()
    }

    fn is_quorum_lost(&self) -> bool {
        self.raft.is_quorum_lost()
    }

    fn last_log_id(&self) -> LogId {
        self.raft.last_log_id()
    }

    fn force_recover(&mut self, last: LogId) -> Option<Index> {
        self.raft.force_recover(last).ok()
    }
}
impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.raft.status().peers.fmt(f)
    }
}
