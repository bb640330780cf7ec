//! The `raft` crate's core as its documentation has it used: a leader and two followers, each with
//! its log in a `MemStorage`.
//!
//! All proposals of a round go in as one message, which is the quickest way that the crate offers
//! and shares their bytes.

use std::collections::HashSet;

use raft::eraftpb::{Entry, EntryType, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};
use slog::{Discard, Logger, o};

use super::{LOG_ENTRIES, ROUNDS_PER_MILLISECOND};

const IDS: [u64; 3] = [1, 2, 3];

pub struct Trio {
    /// The leader first.
    replicas: Vec<Replica>,
    rounds: u64,
    submitted: u64,
    template: Entry,
}

struct Replica {
    node: RawNode<MemStorage>,
    inbox: Vec<Message>,
    outbox: Vec<Message>,
    /// Proposals handed out to be applied.
    applied: u64,
    applied_index: u64,
    compacted_index: u64,
}

/// One tick is a millisecond; the rest is as for the other side.
fn config(id: u64) -> Config {
    Config {
        id,
        election_tick: 400,
        heartbeat_tick: 50,
        max_size_per_msg: 2 << 20,
        max_inflight_msgs: 64,
        check_quorum: true,
        pre_vote: true,
        ..Config::default()
    }
}

impl Replica {
    fn new(id: u64) -> Self {
        let storage = MemStorage::new_with_conf_state((IDS.to_vec(), Vec::new()));
        let logger = Logger::root(Discard, o!());
        let node = RawNode::new(&config(id), storage, &logger)
            .expect("invariant: a configuration that the crate accepts");
        Self {
            node,
            inbox: Vec::new(),
            outbox: Vec::new(),
            applied: 0,
            applied_index: 0,
            compacted_index: 0,
        }
    }

    /// Takes what came and does all that is ready to be done.
    fn pass(&mut self) {
        for message in self.inbox.drain(..) {
            self.node.step(message).expect("invariant: a message of a peer");
        }
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            self.outbox.append(&mut ready.take_messages());
            self.apply(ready.take_committed_entries());
            let storage = self.node.store().clone();
            storage.wl().append(ready.entries()).expect("invariant: it follows the log");
            if let Some(state) = ready.hs() {
                storage.wl().set_hardstate(state.clone());
            }
            self.outbox.append(&mut ready.take_persisted_messages());
            let mut light = self.node.advance(ready);
            if let Some(commit) = light.commit_index() {
                storage.wl().mut_hard_state().set_commit(commit);
            }
            self.outbox.append(&mut light.take_messages());
            self.apply(light.take_committed_entries());
            self.node.advance_apply();
        }
    }

    fn apply(&mut self, committed: Vec<Entry>) {
        for entry in committed {
            // A new leader's entry has no data.
            self.applied += u64::from(!entry.data.is_empty());
            self.applied_index = entry.index;
        }
    }
}

impl Trio {
    pub fn new(payload_bytes: usize) -> Self {
        let mut template = Entry::default();
        template.set_entry_type(EntryType::EntryNormal);
        template.data = vec![7; payload_bytes].into();
        let replicas = IDS.map(Replica::new).into();
        let mut trio = Self { replicas, rounds: 0, submitted: 0, template };
        let leader = &mut trio.replicas[0];
        leader.node.campaign().expect("invariant: a voter may campaign");
        trio.settle();
        assert_eq!(trio.replicas[0].node.raft.state, StateRole::Leader, "before anything");
        trio
    }

    /// As [`super::own::Trio::round`].
    pub fn round(&mut self, entries: u64) {
        self.rounds += 1;
        if self.rounds.is_multiple_of(ROUNDS_PER_MILLISECOND) {
            self.tick();
        }
        self.submitted += entries;
        let mut proposal = Message::default();
        proposal.set_msg_type(MessageType::MsgPropose);
        proposal.from = IDS[0];
        proposal.entries = (0..entries).map(|_| self.template.clone()).collect::<Vec<_>>().into();
        self.replicas[0].node.step(proposal).expect("invariant: the leader takes proposals");
        self.settle();
        self.compact();
    }

    fn tick(&mut self) {
        for replica in &mut self.replicas {
            // Whether there is something to do: looked at anyway.
            let _is_due = replica.node.tick();
        }
    }

    /// Passes of all replicas until there are no more messages.
    fn settle(&mut self) {
        self.replicas.iter_mut().for_each(Replica::pass);
        while self.deliver() {
            for replica in self.replicas.iter_mut().filter(|replica| !replica.inbox.is_empty()) {
                replica.pass();
            }
        }
    }

    /// Hands the messages of the last passes over. False if there were none.
    fn deliver(&mut self) -> bool {
        let mut any = false;
        for position in 0..self.replicas.len() {
            let mut messages = std::mem::take(&mut self.replicas[position].outbox);
            for message in messages.drain(..) {
                any = true;
                self.replicas[message.to as usize - 1].inbox.push(message);
            }
            self.replicas[position].outbox = messages;
        }
        any
    }

    fn compact(&mut self) {
        let applied = self.replicas.iter().map(|replica| replica.applied_index).min();
        let through = applied.map_or(0, |index| index.saturating_sub(LOG_ENTRIES / 2));
        for replica in &mut self.replicas {
            if through >= replica.compacted_index + LOG_ENTRIES {
                let storage = replica.node.store();
                storage.wl().compact(through + 1).expect("invariant: it was applied");
                replica.compacted_index = through;
            }
        }
    }

    /// What was measured must have been consensus: every replica has applied every entry.
    pub fn check(mut self) {
        for _ in 0..1000 {
            self.tick();
            self.settle();
        }
        let applied: HashSet<u64> = self.replicas.iter().map(|replica| replica.applied).collect();
        assert_eq!(applied, HashSet::from([self.submitted]), "every replica applied every entry");
    }
}
