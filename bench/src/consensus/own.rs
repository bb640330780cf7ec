//! Mayfly's core: a leader and two followers on one thread, messages handed over as they are.
//!
//! The followers learn of a commit with the next round, as in a cluster under load.

use std::collections::HashSet;

use mayfly::raft::message::Message;
use mayfly::raft::types::{Applicant, EntryBody, Index, MemberId, Payload, Ticket};
use mayfly::raft::{Config, Now, Output, Raft};
use rkyv::util::AlignedVec;

use super::{LOG_ENTRIES, ROUNDS_PER_MILLISECOND};

pub struct Trio {
    /// The leader first.
    replicas: Vec<Replica>,
    now: Now,
    rounds: u64,
    submitted: u64,
    payload: Payload,
}

struct Replica {
    raft: Raft,
    inbox: Vec<Message>,
    output: Output,
    /// Batches handed out to be applied.
    applied: u64,
    applied_index: Index,
    compacted_index: Index,
}

impl Replica {
    fn new(raft: Raft) -> Self {
        Self {
            raft,
            inbox: Vec::new(),
            output: Output::default(),
            applied: 0,
            applied_index: Index::ZERO,
            compacted_index: Index::ZERO,
        }
    }

    /// One pass of an event loop around the core.
    fn pass(&mut self, now: Now, proposals: impl Iterator<Item = (Ticket, Payload)>) {
        self.raft.set_now(now);
        self.raft.tick();
        for message in self.inbox.drain(..) {
            self.raft.step(message);
        }
        for (ticket, payload) in proposals {
            self.raft.submit(0, ticket, payload);
        }
        self.raft.take_output_into(&mut self.output);
        for committed in &self.output.committed {
            self.applied += u64::from(matches!(committed.entry.body, EntryBody::Batch { .. }));
            self.applied_index = committed.entry.index;
        }
    }
}

impl Trio {
    pub fn new(payload_bytes: usize) -> Self {
        let now = Now { monotonic_ms: 1, unix_ms: 1 };
        let applicant = |number: u64| Applicant {
            slot: format!("node-{number}"),
            boot: u128::from(number),
            client_address: String::new(),
            peer_address: String::new(),
            observer: false,
        };
        let first = applicant(1).admitted(MemberId(1));
        let leader = Replica::new(Raft::bootstrap(config(), first, now));
        let mut bytes = AlignedVec::new();
        bytes.resize(payload_bytes, 7);
        let payload = Payload::new(bytes);
        let replicas = vec![leader];
        let mut trio = Self { replicas, now, rounds: 0, submitted: 0, payload };
        trio.settle();
        for number in 2..=3u64 {
            let admitted = trio.replicas[0]
                .raft
                .admit(applicant(number))
                .expect("invariant: a settled leader admits");
            let raft = Raft::join(config(), MemberId(admitted.0), trio.now);
            trio.replicas.push(Replica::new(raft));
            trio.settle();
        }
        let voters = trio.replicas[0].raft.configuration().voters.clone();
        assert_eq!(voters.len(), 3, "three voters before anything is measured");
        trio
    }

    /// Lets time pass until heartbeats have brought every follower up to date.
    fn settle(&mut self) {
        for _ in 0..1000 {
            self.now.monotonic_ms += 1;
            self.now.unix_ms += 1;
            self.exchange(0);
        }
    }

    /// Proposals of one pass, their replication, and all that comes of it until nobody has anything
    /// to say.
    pub fn round(&mut self, entries: u64) {
        self.rounds += 1;
        if self.rounds.is_multiple_of(ROUNDS_PER_MILLISECOND) {
            self.now.monotonic_ms += 1;
            self.now.unix_ms += 1;
        }
        self.exchange(entries);
        self.compact();
    }

    /// Passes of all replicas until there are no more messages.
    fn exchange(&mut self, entries: u64) {
        let first = self.submitted + 1;
        self.submitted += entries;
        let payload = &self.payload;
        let proposals = (first..first + entries).map(|n| (Ticket(n), payload.clone()));
        let now = self.now;
        self.replicas[0].pass(now, proposals);
        for replica in &mut self.replicas[1..] {
            replica.pass(now, std::iter::empty());
        }
        while self.deliver() {
            for replica in self.replicas.iter_mut().filter(|replica| !replica.inbox.is_empty()) {
                replica.pass(now, std::iter::empty());
            }
        }
    }

    /// Hands the messages of the last passes over. False if there were none.
    fn deliver(&mut self) -> bool {
        let mut any = false;
        for position in 0..self.replicas.len() {
            let mut messages = std::mem::take(&mut self.replicas[position].output.messages);
            for message in messages.drain(..) {
                let to = self.replicas.iter_mut().find(|replica| replica.raft.id() == message.to);
                if let Some(replica) = to {
                    replica.inbox.push(message);
                    any = true;
                }
            }
            self.replicas[position].output.messages = messages;
        }
        any
    }

    fn compact(&mut self) {
        let applied = self.replicas.iter().map(|replica| replica.applied_index).min();
        let through = applied.map_or(0, |index| index.0.saturating_sub(LOG_ENTRIES / 2));
        for replica in &mut self.replicas {
            if through >= replica.compacted_index.0 + LOG_ENTRIES {
                replica.raft.compact(Index(through));
                replica.compacted_index = Index(through);
            }
        }
    }

    /// What was measured must have been consensus: every replica has applied every entry.
    pub fn check(mut self) {
        self.settle();
        let applied: HashSet<u64> = self.replicas.iter().map(|replica| replica.applied).collect();
        assert_eq!(applied, HashSet::from([self.submitted]), "every replica applied every entry");
    }
}

fn config() -> Config {
    Config {
        election_timeout_ms: 400,
        heartbeat_interval_ms: 50,
        append_bytes_max: 2 << 20,
        inflight_messages_max: 64,
        inflight_bytes_max: 64 << 20,
        no_leader_timeout_ms: 5000,
        seed: 1,
    }
}
