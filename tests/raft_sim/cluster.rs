//! Whole clusters in one thread on virtual time: processes of consensus, state machine and clients,
//! and the order in which things happen to them.
//!
//! A step is one delivered event or one concluded pass of a process; after each the checker looks.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::mem;

use mayfly::raft::types::{Boot, ClusterId, EntryBody, Index, MemberId, Millis};
use mayfly::raft::{Config, GiveUpReason, Now};

use crate::checker::{Checker, Peers, Watched};
use crate::clients::Clients;
use crate::consensus::{Consensus, Effects};
use crate::faults::Faults;
use crate::invariants::ensure;
use crate::lifecycle::Newcomer;
use crate::machine::Machine;
use crate::network::{Event, Network, Pid, delay};
use crate::oracle::{Batches, Oracle};
use crate::rng::Rng;
use crate::stats::Stats;
use crate::streaming::{Incoming, Outgoing};

pub const ELECTION_TIMEOUT_MS: Millis = 100;
const HEARTBEAT_MS: Millis = 20;
const NO_LEADER_TIMEOUT_MS: Millis = 700;

/// How often whole states are compared: at every index that this divides.
const DIGEST_EVERY: u64 = 8;

/// How many slots a cluster has.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub voters: usize,
    /// Their slots follow those of the voters.
    pub observers: usize,
}

impl Size {
    pub fn slots(self) -> usize {
        self.voters + self.observers
    }
}

/// A process as a member of a cluster.
pub struct Process<C: Consensus, M: Machine> {
    pub slot: usize,
    pub id: MemberId,
    /// Which cluster it is bound to.
    pub lineage: usize,
    pub raft: C,
    pub machine: M,
    pub watched: Watched,
    pub clients: Clients,
    pub outgoing: Outgoing<M>,
    pub incoming: Option<Incoming<M>>,
    pub alive: bool,
    pub died_ms: Millis,
    /// It does not run before, and what comes meanwhile waits.
    pub paused_until_ms: Millis,
    inbox: Vec<Event<C::Message, M::Chunk>>,
    pub clock: Clock,
}

/// The clocks of a process: the monotonic one runs too fast or too slow, that of the world is off.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub drift_permille: i64,
    pub skew_ms: i64,
}

impl Clock {
    pub fn read(self, now: Millis) -> Now {
        let now = now as i64;
        let monotonic = now + now * self.drift_permille / 1000;
        let unix = 1_000_000_000 + now + self.skew_ms;
        Now { monotonic_ms: monotonic as Millis, unix_ms: unix as Millis }
    }
}

/// One cluster: those of a run share processes' slots and nothing else.
pub struct Lineage {
    pub cluster: ClusterId,
    /// The one that it goes on from by force.
    pub parent: Option<usize>,
    pub checker: Checker,
    pub oracle: Oracle,
    /// Of every id that ever entered.
    pub pids: BTreeMap<MemberId, Pid>,
    /// The processes that have founded it.
    pub founders: Vec<Boot>,
}

pub struct Cluster<C: Consensus, M: Machine> {
    pub rng: Rng,
    pub faults: Faults,
    pub size: Size,
    pub now: Millis,
    pub processes: Vec<Process<C, M>>,
    /// The pids of those that live.
    pub alive: Vec<Pid>,
    pub lineages: Vec<Lineage>,
    /// The clients of a member submit something once in about so long.
    pub clients_pause_ms: Millis,
    pub batches: Batches,
    pub newcomers: Vec<Newcomer>,
    /// Whether the slots of voters know each other, and found a cluster by themselves.
    pub is_listed: bool,
    /// No more faults: somebody looks after what they have left.
    pub is_calm: bool,
    pub network: Network<C::Message, M::Chunk>,
    pub last_boot: Boot,
    pub stats: Stats,
    pub effects: Effects<C::Message>,
    replies: Vec<u8>,
}

/// The members of one lineage, for the checker.
struct Roster<'a, C: Consensus, M: Machine> {
    processes: &'a [Process<C, M>],
    pids: &'a BTreeMap<MemberId, Pid>,
}

impl<C: Consensus, M: Machine> Peers<C> for Roster<'_, C, M> {
    fn peer(&self, id: MemberId) -> Option<&C> {
        self.pids.get(&id).map(|pid| &self.processes[*pid].raft)
    }
}

impl<C: Consensus, M: Machine> Cluster<C, M> {
    /// Without a process yet.
    pub fn empty(seed: u64, size: Size, faults: Faults) -> Self {
        Self {
            rng: Rng::new(seed),
            faults: faults.limited(C::SUPPORTS),
            size,
            now: 1_000,
            processes: Vec::new(),
            alive: Vec::new(),
            lineages: Vec::new(),
            clients_pause_ms: 4,
            batches: Batches::default(),
            newcomers: Vec::new(),
            is_listed: false,
            is_calm: false,
            network: Network::new(),
            last_boot: 0,
            stats: Stats { runs: 1, ..Stats::default() },
            effects: Effects::default(),
            replies: Vec::new(),
        }
    }

    pub fn config(&mut self) -> Config {
        Config {
            election_timeout_ms: ELECTION_TIMEOUT_MS,
            heartbeat_interval_ms: HEARTBEAT_MS,
            append_bytes_max: 600,
            inflight_messages_max: 4,
            inflight_bytes_max: 2_000,
            no_leader_timeout_ms: NO_LEADER_TIMEOUT_MS,
            seed: self.rng.next(),
        }
    }

    pub fn add_lineage(&mut self, cluster: ClusterId) -> usize {
        self.lineages.push(Lineage {
            cluster,
            parent: None,
            checker: Checker::new(C::SUPPORTS.exactly_once, ELECTION_TIMEOUT_MS),
            oracle: Oracle::default(),
            pids: BTreeMap::new(),
            founders: Vec::new(),
        });
        self.lineages.len() - 1
    }

    pub fn new_clock(&mut self) -> Clock {
        let drift = self.faults.drift_permille as i64;
        let drift_permille = self.rng.below(2 * drift as u64 + 1) as i64 - drift;
        Clock { drift_permille, skew_ms: self.rng.below(1_000) as i64 - 500 }
    }

    /// A process enters a cluster.
    pub fn enter(&mut self, slot: usize, boot: Boot, lineage: usize, raft: C, clock: Clock) -> Pid {
        let (pid, id) = (self.processes.len(), raft.view().id);
        let known = &mut self.lineages[lineage];
        known.checker.on_born(id, boot);
        known.pids.insert(id, pid);
        self.processes.push(Process {
            slot,
            id,
            lineage,
            raft,
            machine: M::new(),
            watched: Watched::default(),
            clients: Clients::default(),
            outgoing: Outgoing::default(),
            incoming: None,
            alive: true,
            died_ms: 0,
            paused_until_ms: 0,
            inbox: Vec::new(),
            clock,
        });
        self.alive.push(pid);
        pid
    }

    pub fn living(&self) -> impl Iterator<Item = &Process<C, M>> {
        self.alive.iter().map(|pid| &self.processes[*pid])
    }

    /// The living member of that id.
    pub fn living_pid(&self, lineage: usize, id: MemberId) -> Option<Pid> {
        let pid = self.lineages[lineage].pids.get(&id).copied();
        pid.filter(|pid| self.processes[*pid].alive)
    }

    pub fn occupant(&self, slot: usize) -> Option<Pid> {
        self.alive.iter().copied().find(|pid| self.processes[*pid].slot == slot)
    }

    /// The cluster that counts: the newest with a leader, else the newest that has a process.
    pub fn main_lineage(&self) -> usize {
        let leaders = self.living().filter(|process| process.raft.view().is_leader);
        let newest = leaders.map(|process| process.lineage).max();
        newest.or_else(|| self.living().map(|process| process.lineage).max()).unwrap_or(0)
    }

    /// One millisecond: messages arrive, chance strikes, and every member has a pass.
    pub fn step(&mut self) {
        self.now += 1;
        self.strike();
        self.bring_up();
        for at in 0..self.alive.len() {
            self.wake(self.alive[at]);
        }
        while let Some(events) = self.network.take_due(self.now) {
            for event in events {
                self.deliver(event);
            }
        }
        for at in 0..self.alive.len() {
            let pid = self.alive[at];
            if !self.is_paused(pid) {
                self.processes[pid].raft.tick();
                self.stream(pid);
                self.pass(pid);
            }
        }
    }

    fn is_paused(&self, pid: Pid) -> bool {
        self.processes[pid].paused_until_ms > self.now
    }

    /// Tells the time, after a pause together with everything that came meanwhile.
    fn wake(&mut self, pid: Pid) {
        if self.is_paused(pid) {
            return;
        }
        let process = &mut self.processes[pid];
        process.raft.set_now(process.clock.read(self.now));
        for event in mem::take(&mut process.inbox) {
            self.arrive(pid, event);
        }
    }

    /// Finds whose event it is.
    fn deliver(&mut self, event: Event<C::Message, M::Chunk>) {
        let pid = match &event {
            Event::Frame { from, lineage, message } => {
                let pid = self.addressee(*from, *lineage, C::receiver(message));
                pid.filter(|pid| !self.network.is_cut(*from, *pid))
            }
            Event::Unreachable { at, .. } | Event::Connected { at, .. } => Some(*at),
            Event::Chunk { to, .. }
            | Event::ChunkRead { to, .. }
            | Event::SnapshotRefused { to, .. } => Some(*to),
            Event::Ask { .. } | Event::Told { .. } => return self.search(event),
        };
        let Some(pid) = pid else { return };
        if !self.processes[pid].alive {
            self.bounce(event);
        } else if self.is_paused(pid) {
            self.processes[pid].inbox.push(event);
        } else {
            self.arrive(pid, event);
        }
    }

    /// Who gets a frame for member `to`: that process, or when it is dead the one that has taken its
    /// slot and must not answer for it. Links between clusters do not come about.
    fn addressee(&mut self, from: Pid, lineage: usize, to: MemberId) -> Option<Pid> {
        let pid = *self.lineages[lineage].pids.get(&to)?;
        let sender = &self.processes[from];
        // The last words of the dead.
        if !sender.alive && sender.died_ms + crate::lifecycle::LAST_WORDS_MS < self.now {
            return None;
        }
        let process = &self.processes[pid];
        let pid = if process.alive { pid } else { self.occupant(process.slot)? };
        if self.processes[pid].lineage != lineage {
            self.stats.foreign += 1;
            return None;
        }
        self.stats.misdirected += u64::from(self.processes[pid].id != to);
        Some(pid)
    }

    /// Something happens to a process that runs.
    fn arrive(&mut self, pid: Pid, event: Event<C::Message, M::Chunk>) {
        self.stats.trace.add(self.now ^ (pid as u64) << 48);
        match event {
            Event::Frame { lineage, message, .. } => {
                // Its process may have gone on in another cluster while it waited.
                if self.processes[pid].lineage != lineage {
                    self.stats.foreign += 1;
                    return;
                }
                self.stats.messages += 1;
                self.stats.trace.add(C::fingerprint(&message));
                self.processes[pid].raft.step(message);
            }
            Event::Unreachable { peer, .. } => self.processes[pid].raft.peer_unreachable(peer),
            Event::Connected { peer, .. } => self.processes[pid].raft.peer_connected(peer),
            Event::Chunk { from, last_index, sequence, chunk, .. } => {
                self.on_chunk(pid, from, last_index, sequence, &chunk);
            }
            Event::ChunkRead { from, last_index, count, .. } => {
                self.on_chunk_read(pid, from, last_index, count);
            }
            Event::SnapshotRefused { from, last_index, .. } => {
                self.on_snapshot_refused(pid, from, last_index);
            }
            Event::Ask { .. } | Event::Told { .. } => unreachable!("no member searches"),
        }
        self.check(pid);
        // Now and then each event is a pass of its own, else those of a moment share one.
        if self.rng.once_in(2) {
            self.pass(pid);
        }
    }

    /// Concludes passes until nothing is left to do.
    pub fn pass(&mut self, pid: Pid) {
        let mut effects = mem::take(&mut self.effects);
        while self.processes[pid].raft.take_effects(&mut effects) {
            self.check(pid);
            self.carry_out(pid, &mut effects);
        }
        self.effects = effects;
    }

    /// The invariants, after a step of a process.
    pub fn check(&mut self, pid: Pid) {
        self.stats.steps += 1;
        let mut watched = mem::take(&mut self.processes[pid].watched);
        let process = &self.processes[pid];
        let local_ms = process.clock.read(self.now).monotonic_ms;
        let Lineage { checker, pids, .. } = &mut self.lineages[process.lineage];
        let roster = Roster { processes: &self.processes, pids };
        checker.check(&process.raft, &mut watched, local_ms, &roster);
        let news = checker.take_news();
        let lineage = process.lineage;
        self.processes[pid].watched = watched;
        self.stats.committed += news.committed;
        self.stats.configurations += news.configurations;
        self.stats.promotions += news.promotions;
        if news.elected {
            self.stats.elections += 1;
            self.check_separation(lineage);
        }
    }

    /// No two clusters that were founded by themselves can both commit.
    fn check_separation(&self, elected: usize) {
        for (other, lineage) in self.lineages.iter().enumerate() {
            let by_force =
                lineage.parent.is_some() || self.lineages.iter().any(|l| l.parent == Some(other));
            if other == elected || by_force || self.lineages[elected].parent.is_some() {
                continue;
            }
            let voters = &lineage.checker.configuration().voters;
            let alive = voters.iter().filter(|id| self.living_pid(other, **id).is_some()).count();
            ensure!(
                alive * 2 <= voters.len(),
                LineageSeparation,
                "cluster {elected} has a leader, and cluster {other} {alive} of {voters:?}"
            );
        }
    }

    fn carry_out(&mut self, pid: Pid, effects: &mut Effects<C::Message>) {
        let lineage = self.processes[pid].lineage;
        for committed in &effects.committed {
            self.apply(pid, &committed.entry);
            let ticket = committed.ticket;
            let Process { clients, id, .. } = &mut self.processes[pid];
            let EntryBody::Batch { origin, stream, .. } = &committed.entry.body else {
                assert_eq!(ticket, None);
                continue;
            };
            let Some(ticket) = ticket else { continue };
            ensure!(origin == id, EveryCommandEnds, "{id} answers for {origin}");
            let (number, floor) = clients.end_batch(*stream, ticket);
            let oracle = &mut self.lineages[lineage].oracle;
            oracle.on_answered(&mut self.batches, number, committed.entry.index, floor);
            self.stats.answered_batches += 1;
        }
        for read in &effects.reads {
            self.processes[pid].clients.on_ready(read);
        }
        self.run_reads(pid);
        for given_up in &effects.given_up {
            let clients = &mut self.processes[pid].clients;
            let Some(number) = clients.give_up(given_up.stream, given_up.ticket) else {
                assert_eq!(given_up.reason, GiveUpReason::NeverSent, "reads change nothing");
                continue;
            };
            match given_up.reason {
                GiveUpReason::NeverSent => {
                    self.stats.never_sent += 1;
                    self.lineages[lineage].oracle.on_never_sent(&mut self.batches, number);
                }
                GiveUpReason::OutcomeUnknown => {
                    self.stats.outcomes_unknown += 1;
                    self.batches.unknown(number);
                }
            }
        }
        for to in effects.snapshots_wanted.drain(..) {
            self.processes[pid].outgoing.want(to);
        }
        for message in effects.messages.drain(..) {
            self.transmit(pid, lineage, message);
        }
    }

    /// A member applies an entry; its replies and, now and then, its whole state are compared.
    fn apply(&mut self, pid: Pid, entry: &mayfly::raft::types::Entry) {
        let Process { machine, watched, lineage, .. } = &mut self.processes[pid];
        let Lineage { checker, oracle, .. } = &mut self.lineages[*lineage];
        if checker.on_handed_out(watched, entry) {
            let payload = match &entry.body {
                EntryBody::Batch { payload, .. } if !payload.is_empty() => Some(payload),
                _ => None,
            };
            let checksum = payload.map(|payload| payload.checksum());
            oracle.commit(entry.index, payload.map(M::number_of), &self.batches, checksum);
        }
        self.replies.clear();
        machine.apply(entry, &mut self.replies);
        oracle.on_applied(entry.index, &self.replies);
        if entry.index.0.is_multiple_of(DIGEST_EVERY) {
            checker.on_digest(watched, machine.digest());
        }
    }

    /// Runs the reads whose index is applied.
    fn run_reads(&mut self, pid: Pid) {
        let Process { machine, watched, clients, lineage, .. } = &mut self.processes[pid];
        let oracle = &mut self.lineages[*lineage].oracle;
        while let Some((ready, read)) = clients.next_read(watched.applied) {
            self.replies.clear();
            machine.read(&read.ops, ready.at_ms, &mut self.replies);
            oracle.on_read(&read.ops, ready.index, watched.applied, read.floor, &self.replies);
            self.stats.answered_reads += 1;
        }
    }

    fn transmit(&mut self, from: Pid, lineage: usize, message: C::Message) {
        let copies = match () {
            () if self.rng.once_in(self.faults.loss) => 0,
            () if self.rng.once_in(self.faults.duplicate) => 2,
            () => 1,
        };
        let to = self.lineages[lineage].pids.get(&C::receiver(&message)).copied();
        let slow_ms = to.map_or(0, |to| self.network.slowness(from, to));
        for copy in 0..copies {
            let delay_ms = delay(&mut self.rng, self.faults.delay_ms) + slow_ms;
            // A second copy may come very late.
            let again_ms = if copy > 0 { self.rng.below(self.faults.replay_ms) } else { 0 };
            let event = Event::Frame { from, lineage, message: message.clone() };
            self.network.schedule(self.now + delay_ms + again_ms, event);
        }
    }

    /// Every command has ended, and the counters are what that allows.
    pub fn conclude(&mut self) {
        let main = self.main_lineage();
        let lost = self.lineages.len() > 1;
        self.lineages[main].oracle.conclude(&self.batches, lost);
        for at in 0..self.alive.len() {
            let Process { machine, watched, lineage, .. } = &self.processes[self.alive[at]];
            let digest = machine.digest();
            self.lineages[*lineage].checker.on_digest(watched, digest);
            self.stats.trace.write(&digest.to_le_bytes());
        }
    }

    /// Up to where the main cluster has handed out.
    pub fn committed(&self) -> Index {
        self.lineages[self.main_lineage()].checker.handed_out()
    }
}
