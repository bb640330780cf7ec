//! The clients of one member: what they have submitted and wait for.

use std::collections::BTreeMap;

use mayfly::raft::ReadReady;
use mayfly::raft::types::{Index, Stream, Ticket};

use crate::cluster::{Cluster, Process};
use crate::consensus::Consensus;
use crate::machine::Machine;
use crate::oracle::Op;

/// Batches, and reads, that the clients of one member wait for at most.
const OUTSTANDING_MAX: usize = 24;

struct PendingBatch {
    number: u64,
    /// What was acknowledged to anybody before it was submitted.
    floor: Index,
}

pub struct PendingRead {
    pub ops: Vec<Op>,
    pub floor: Index,
}

#[derive(Default)]
pub struct Clients {
    last_ticket: u64,
    batches: BTreeMap<(Stream, Ticket), PendingBatch>,
    reads: BTreeMap<(Stream, Ticket), PendingRead>,
    /// May run once their index is applied.
    ready: Vec<(ReadReady, PendingRead)>,
}

impl Clients {
    pub fn wait(&self) -> bool {
        !self.batches.is_empty() || !self.reads.is_empty() || !self.ready.is_empty()
    }

    /// What is outstanding, for people.
    pub fn describe(&self) -> String {
        let batches: Vec<u64> = self.batches.values().map(|batch| batch.number).collect();
        let ready: Vec<u64> = self.ready.iter().map(|(ready, _)| ready.index.0).collect();
        format!("batches {batches:?}, {} reads, ready at {ready:?}", self.reads.len())
    }

    fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// Number and floor of a batch that has ended.
    pub fn end_batch(&mut self, stream: Stream, ticket: Ticket) -> (u64, Index) {
        let ended = self.batches.remove(&(stream, ticket));
        let PendingBatch { number, floor } = ended.expect("EveryCommandEnds: a batch ends once");
        (number, floor)
    }

    pub fn on_ready(&mut self, ready: &ReadReady) {
        let read = self.reads.remove(&(ready.stream, ready.ticket));
        let read = read.expect("EveryCommandEnds: a read is ready once");
        self.ready.push((*ready, read));
    }

    pub fn next_read(&mut self, applied: Index) -> Option<(ReadReady, PendingRead)> {
        let at = self.ready.iter().position(|(ready, _)| ready.index <= applied)?;
        Some(self.ready.remove(at))
    }

    /// The number of the batch that is given up; `None`: it was a read.
    pub fn give_up(&mut self, stream: Stream, ticket: Ticket) -> Option<u64> {
        let key = (stream, ticket);
        if let Some(batch) = self.batches.remove(&key) {
            return Some(batch.number);
        }
        self.reads.remove(&key).expect("EveryCommandEnds: a ticket ends once");
        None
    }

    /// Their member goes on alone: what was acknowledged beyond what it had applied is given up, and
    /// reads that were to wait for more run once the new cluster has begun, with `recovered`.
    pub fn accept_loss(&mut self, through: Index, recovered: Index) {
        for (ready, read) in &mut self.ready {
            ready.index = ready.index.min(recovered);
            read.floor = read.floor.min(through);
        }
        let batches = self.batches.values_mut().map(|batch| &mut batch.floor);
        let reads = self.reads.values_mut().map(|read| &mut read.floor);
        batches.chain(reads).for_each(|floor| *floor = (*floor).min(through));
    }

    /// Their member is gone. The batches whose outcome nobody will tell.
    pub fn end_all(&mut self) -> Vec<u64> {
        self.reads.clear();
        self.ready.clear();
        std::mem::take(&mut self.batches).into_values().map(|batch| batch.number).collect()
    }
}

impl<C: Consensus, M: Machine> Cluster<C, M> {
    /// Clients on every member submit batches and reads; of a member that pauses, they wait with
    /// everything else.
    pub fn submit(&mut self) {
        for at in 0..self.alive.len() {
            let pid = self.alive[at];
            if self.processes[pid].paused_until_ms > self.now
                || !self.rng.once_in(self.clients_pause_ms)
            {
                continue;
            }
            for _ in 0..=self.rng.below(2) {
                if self.rng.once_in(3) {
                    self.submit_read(pid);
                } else {
                    self.submit_batch(pid);
                }
            }
        }
    }

    fn submit_read(&mut self, pid: usize) {
        let Process { clients, raft, lineage, .. } = &mut self.processes[pid];
        if clients.reads.len() + clients.ready.len() >= OUTSTANDING_MAX {
            return;
        }
        let floor = self.lineages[*lineage].oracle.acknowledged();
        let (stream, ticket) = (self.rng.below(2) as Stream, clients.next_ticket());
        let ops = (0..=self.rng.below(2)).map(|_| Op::read(&mut self.rng)).collect();
        clients.reads.insert((stream, ticket), PendingRead { ops, floor });
        raft.submit_read(stream, ticket);
    }

    fn submit_batch(&mut self, pid: usize) {
        let Process { clients, raft, lineage, .. } = &mut self.processes[pid];
        if clients.batches.len() >= OUTSTANDING_MAX {
            return;
        }
        let floor = self.lineages[*lineage].oracle.acknowledged();
        let (stream, ticket) = (self.rng.below(2) as Stream, clients.next_ticket());
        let number = self.batches.next_number();
        let mut ops = vec![Op::Mark(number)];
        for _ in 0..=self.rng.below(3) {
            ops.push(Op::write(&mut self.rng, number));
        }
        let payload = M::encode(&ops);
        self.batches.submit(ops, payload.checksum());
        clients.batches.insert((stream, ticket), PendingBatch { number, floor });
        raft.submit(stream, ticket, payload);
    }
}
