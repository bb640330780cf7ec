//! Snapshots on their way: made piece by piece by a leader that goes on, sent chunk by chunk over
//! virtual time, read beside the state of a follower that goes on too.
//!
//! As in a node, one snapshot is made at a time and serves everybody who waited when it began; the
//! sender stays a few chunks ahead of what was read; whoever reads nothing for too long, or whose
//! link breaks, gets a new one when consensus wants it again.

use mayfly::raft::SnapshotState;
use mayfly::raft::types::{Index, MemberId, Millis};

use crate::cluster::{Cluster, Process};
use crate::consensus::Consensus;
use crate::machine::Machine;
use crate::network::{Event, Pid, delay};

/// Chunks sent ahead of what was read.
const WINDOW: usize = 2;

/// A receiver that reads nothing for so long is given up.
const STALL_MS: Millis = 400;

pub struct Outgoing<M: Machine> {
    wanted: Vec<MemberId>,
    round: Option<Round<M>>,
    /// They have read all of theirs and are about to install it.
    delivered: Vec<(MemberId, Millis)>,
}

impl<M: Machine> Default for Outgoing<M> {
    fn default() -> Self {
        Self { wanted: Vec::new(), round: None, delivered: Vec::new() }
    }
}

struct Round<M: Machine> {
    last_index: Index,
    /// `None`: it is complete.
    making: Option<M::Making>,
    chunks: Vec<M::Chunk>,
    receivers: Vec<Receiver>,
    next_ms: Millis,
}

#[derive(Clone, Copy)]
struct Receiver {
    id: MemberId,
    sent: usize,
    read: usize,
    progress_ms: Millis,
    /// When the last chunk arrives: the link keeps their order.
    arrives_ms: Millis,
}

impl<M: Machine> Outgoing<M> {
    /// Whatever was on its way to `id` is of no more use.
    pub fn want(&mut self, id: MemberId) {
        self.forget(id);
        self.wanted.push(id);
    }

    pub fn forget(&mut self, id: MemberId) {
        self.wanted.retain(|wanted| *wanted != id);
        self.delivered.retain(|(delivered, _)| *delivered != id);
        if let Some(round) = &mut self.round {
            round.receivers.retain(|receiver| receiver.id != id);
        }
    }
}

/// The snapshot that a member is being sent.
pub struct Incoming<M: Machine> {
    from: Pid,
    state: SnapshotState,
    next_sequence: usize,
    loading: M::Loading,
}

impl<C: Consensus, M: Machine> Cluster<C, M> {
    /// Makes and sends as much as is due.
    pub fn stream(&mut self, pid: Pid) {
        self.drop_overtaken(pid);
        let Process { outgoing, raft, .. } = &mut self.processes[pid];
        let Outgoing { wanted, round, delivered } = outgoing;
        if wanted.is_empty() && round.is_none() && delivered.is_empty() {
            return;
        }
        if !raft.view().is_leader {
            wanted.clear();
            delivered.clear();
            return self.end_round(pid);
        }
        // Whether it is installed was lost, or it was not: of no effect unless that is still open.
        let now = self.now;
        for (id, _) in delivered.extract_if(.., |(_, at_ms)| *at_ms + STALL_MS < now) {
            raft.snapshot_failed(id);
        }
        let Outgoing { wanted, round, .. } = outgoing;
        if round.is_none() && !wanted.is_empty() {
            self.begin_round(pid);
        }
        self.drop_stalled(pid);
        self.send_some(pid);
    }

    fn begin_round(&mut self, pid: Pid) {
        // None is made for who is not there.
        let (lineage, wanted) = (self.processes[pid].lineage, &self.processes[pid].outgoing.wanted);
        let is_there = |id: &MemberId| self.living_pid(lineage, *id).is_some();
        let (ready, others): (Vec<_>, Vec<_>) = wanted.iter().partition(|id| is_there(id));
        if ready.is_empty() {
            return;
        }
        let Process { outgoing, raft, machine, watched, .. } = &mut self.processes[pid];
        let last_index = watched.applied;
        let Some(state) = raft.snapshot(last_index) else { return };
        let receiver =
            |id| Receiver { id, sent: 0, read: 0, progress_ms: self.now, arrives_ms: self.now };
        outgoing.round = Some(Round {
            last_index,
            making: Some(machine.begin_making(last_index)),
            chunks: vec![M::write_state(&state)],
            receivers: ready.into_iter().map(receiver).collect(),
            next_ms: self.now,
        });
        outgoing.wanted = others;
        self.stats.snapshots_begun += 1;
    }

    fn end_round(&mut self, pid: Pid) {
        let Process { outgoing, machine, .. } = &mut self.processes[pid];
        if outgoing.round.take().is_some_and(|round| round.making.is_some()) {
            machine.end_making();
        }
    }

    /// Those that read nothing, or are gone.
    fn drop_stalled(&mut self, pid: Pid) {
        let now = self.now;
        let lineage = self.processes[pid].lineage;
        let Some(mut round) = self.processes[pid].outgoing.round.take() else { return };
        let is_over = |it: &mut Receiver| {
            it.read < it.sent && it.progress_ms + STALL_MS < now
                || self.living_pid(lineage, it.id).is_none()
        };
        let over: Vec<Receiver> = round.receivers.extract_if(.., is_over).collect();
        let is_empty = round.receivers.is_empty();
        let Process { outgoing, raft, .. } = &mut self.processes[pid];
        outgoing.round = Some(round);
        for receiver in over {
            raft.snapshot_failed(receiver.id);
            self.stats.snapshots_failed += 1;
        }
        if is_empty {
            self.end_round(pid);
        }
    }

    fn send_some(&mut self, pid: Pid) {
        let Process { outgoing, machine, lineage, .. } = &mut self.processes[pid];
        let Some(round) = &mut outgoing.round else { return };
        if self.now < round.next_ms {
            return;
        }
        round.next_ms = self.now + 1 + self.rng.below(self.faults.chunk_ms);
        if let Some(making) = &mut round.making
            && machine.make_some(making, &mut round.chunks)
        {
            round.making = None;
        }
        let pids = &self.lineages[*lineage].pids;
        for receiver in &mut round.receivers {
            let Some(chunk) = round.chunks.get(receiver.sent) else { continue };
            let Some(to) = pids.get(&receiver.id).copied() else { continue };
            if receiver.sent >= receiver.read + WINDOW {
                continue;
            }
            if receiver.sent == receiver.read {
                receiver.progress_ms = self.now;
            }
            let (sequence, last_index) = (receiver.sent, round.last_index);
            receiver.sent += 1;
            // Lost with the link, while what was lost on the link only takes longer.
            if self.network.is_cut(pid, to) {
                continue;
            }
            let mut delay_ms = delay(&mut self.rng, self.faults.delay_ms);
            if self.rng.once_in(self.faults.loss) {
                delay_ms += self.rng.below(2 * STALL_MS);
            }
            let at_ms = self.now + delay_ms + self.network.slowness(pid, to);
            let at_ms = at_ms.max(receiver.arrives_ms);
            receiver.arrives_ms = at_ms;
            let chunk = chunk.clone();
            let event = Event::Chunk { from: pid, to, last_index, sequence, chunk };
            self.network.schedule(at_ms, event);
        }
    }

    fn reply(&mut self, from: Pid, to: Pid, event: Event<C::Message, M::Chunk>) {
        if !self.rng.once_in(self.faults.loss) && !self.network.is_cut(from, to) {
            let delay_ms = delay(&mut self.rng, self.faults.delay_ms);
            self.network.schedule(self.now + delay_ms, event);
        }
    }

    /// The addressee of an event is dead: who sent it a chunk finds the link broken.
    pub fn bounce(&mut self, event: Event<C::Message, M::Chunk>) {
        if let Event::Chunk { from, to, last_index, .. } = event {
            self.reply(to, from, Event::SnapshotRefused { from: to, to: from, last_index });
        }
    }

    pub fn on_chunk(
        &mut self,
        pid: Pid,
        from: Pid,
        last_index: Index,
        sequence: usize,
        chunk: &M::Chunk,
    ) {
        if self.processes[pid].lineage != self.processes[from].lineage {
            self.stats.foreign += 1;
            return;
        }
        let incoming = &mut self.processes[pid].incoming;
        if sequence == 0 {
            let state = M::read_state(chunk).expect("nobody damages chunks");
            let loading = M::begin_loading();
            *incoming = Some(Incoming { from, state, next_sequence: 0, loading });
        }
        let is_next = |it: &&mut Incoming<M>| {
            (it.from, it.state.last_index, it.next_sequence) == (from, last_index, sequence)
        };
        // Of a snapshot that was given up, or out of order: the sender stalls and begins anew.
        let Some(it) = incoming.as_mut().filter(is_next) else { return };
        it.next_sequence += 1;
        let is_whole =
            sequence > 0 && M::load(&mut it.loading, chunk).expect("nobody damages chunks");
        let count = sequence + 1;
        self.reply(pid, from, Event::ChunkRead { from: pid, to: from, last_index, count });
        if is_whole {
            self.install(pid);
        }
    }

    fn install(&mut self, pid: Pid) {
        let Process { incoming, raft, machine, watched, lineage, .. } = &mut self.processes[pid];
        let Some(Incoming { from, state, loading, .. }) = incoming.take() else { return };
        let last_index = state.last_index;
        if !raft.install(state.clone()) {
            let refused = Event::SnapshotRefused { from: pid, to: from, last_index };
            return self.reply(pid, from, refused);
        }
        let Some(loaded) = machine.install(loading) else { unreachable!("it is whole") };
        assert_eq!(loaded, last_index, "the state and what consensus says of it");
        let checker = &mut self.lineages[*lineage].checker;
        checker.on_installed(watched, &state);
        checker.on_digest(watched, machine.digest());
        self.stats.snapshots_installed += 1;
        self.stats.trace.add(last_index.0);
    }

    /// What this member knows by now to be committed, it need not be sent.
    fn drop_overtaken(&mut self, pid: Pid) {
        let Process { incoming, raft, .. } = &mut self.processes[pid];
        if incoming.is_none() {
            return;
        }
        let commit_index = raft.view().commit_index;
        let Some(it) = incoming.take_if(|it| it.state.last_index <= commit_index) else { return };
        let (from, last_index) = (it.from, it.state.last_index);
        self.reply(pid, from, Event::SnapshotRefused { from: pid, to: from, last_index });
    }

    pub fn on_chunk_read(&mut self, pid: Pid, from: Pid, last_index: Index, count: usize) {
        let id = self.processes[from].id;
        let Outgoing { round, delivered, .. } = &mut self.processes[pid].outgoing;
        let Some(round) = round else { return };
        if round.last_index != last_index {
            return;
        }
        let Some(at) = round.receivers.iter().position(|it| it.id == id) else { return };
        let receiver = &mut round.receivers[at];
        if count > receiver.read && count <= receiver.sent {
            receiver.read = count;
            receiver.progress_ms = self.now;
        }
        if round.making.is_none() && receiver.read == round.chunks.len() {
            round.receivers.remove(at);
            delivered.push((id, self.now));
        }
    }

    pub fn on_snapshot_refused(&mut self, pid: Pid, from: Pid, last_index: Index) {
        let id = self.processes[from].id;
        let Process { outgoing, raft, .. } = &mut self.processes[pid];
        let Some(round) = &mut outgoing.round else { return };
        let before = round.receivers.len();
        round.receivers.retain(|it| it.id != id || round.last_index != last_index);
        if round.receivers.len() < before {
            raft.snapshot_failed(id);
            self.stats.snapshots_failed += 1;
        }
    }
}
