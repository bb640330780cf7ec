//! Members, the messages between them, and an adversary that decides which of them arrives when,
//! whose clock runs, who dies and who campaigns.
//!
//! There is no common time: each process has a clock of its own, which runs as fast as chance has
//! it. Logs are short and leaders many, so that what needs an unlikely order of events is soon met.

use std::collections::BTreeMap;

use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{
    Applicant, Boot, Configuration, EntryBody, Index, MemberId, Millis, Payload, Term, Ticket,
};
use mayfly::raft::{Config, FreshNode, GiveUpReason, Now, Output, Raft, SnapshotState};
use rkyv::util::AlignedVec;

use crate::laws::{Laws, Seen};
use crate::rng::Rng;

const T: Millis = 100;
/// Messages on their way; beyond that, any of them is lost.
const POOL_MAX: usize = 150;
/// What the clients of a process wait for.
const OUTSTANDING_MAX: usize = 6;

/// How an adversary goes about it.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub voters: usize,
    pub steps: u64,
    /// The adversary chooses among so many of the oldest messages.
    pub reorder: u64,
    /// Each is done once in so many steps; 0 is never.
    pub campaign: u64,
    pub timeout: u64,
    pub crash: u64,
    pub rival: u64,
    pub remove: u64,
    pub transfer: u64,
    pub compact: u64,
    pub isolate: u64,
    /// Batches wait for the slowest.
    pub hold: u64,
    pub submit: u64,
    pub read: u64,
    /// A member concludes its pass once in so many messages: the more of them share a pass.
    pub hasty: u64,
    pub append_bytes_max: usize,
}

struct Process {
    raft: Raft,
    slot: usize,
    alive: bool,
    clock_ms: Millis,
    /// The latest time that it was told.
    told_ms: Millis,
    isolated: bool,
    seen: Seen,
    batches: BTreeMap<Ticket, Vec<u8>>,
    /// With what was acknowledged when they were submitted.
    reads: BTreeMap<Ticket, Index>,
    last_ticket: u64,
}

struct Loading {
    from: MemberId,
    to: MemberId,
    state: SnapshotState,
    digest: u64,
}

/// A process that asks to be admitted.
struct Joiner {
    slot: usize,
    boot: Boot,
}

pub struct World {
    rng: Rng,
    style: Style,
    processes: Vec<Process>,
    joiners: Vec<Joiner>,
    pool: Vec<Message>,
    loading: Vec<Loading>,
    last_boot: Boot,
    last_payload: u64,
    pub laws: Laws,
}

fn slot_name(slot: usize) -> String {
    format!("slot-{slot}")
}

fn payload(bytes: &[u8]) -> Payload {
    let mut buffer = AlignedVec::new();
    buffer.extend_from_slice(bytes);
    Payload::new(buffer)
}

impl World {
    pub fn new(seed: u64, style: Style) -> Self {
        let mut world = Self {
            rng: Rng::new(seed),
            style,
            processes: Vec::new(),
            joiners: Vec::new(),
            pool: Vec::new(),
            loading: Vec::new(),
            last_boot: style.voters as Boot,
            last_payload: 0,
            laws: Laws::default(),
        };
        let founder = |slot| FreshNode {
            slot: slot_name(slot),
            boot: slot as Boot + 1,
            client_address: String::new(),
            peer_address: String::new(),
        };
        let founders: Vec<FreshNode> = (0..style.voters).map(founder).collect();
        for slot in 0..founders.len() {
            let (config, id) = (world.config(), MemberId(slot as u64 + 1));
            let raft = Raft::found(config, 7, id, &founders, Now::default());
            world.add(raft, slot);
            world.pass(slot);
        }
        world
    }

    fn config(&mut self) -> Config {
        Config {
            election_timeout_ms: T,
            heartbeat_interval_ms: T / 5,
            append_bytes_max: self.style.append_bytes_max,
            inflight_messages_max: 1 + self.rng.below(4) as usize,
            inflight_bytes_max: 1 << 10,
            no_leader_timeout_ms: 5 * T,
            seed: self.rng.next(),
        }
    }

    fn add(&mut self, raft: Raft, slot: usize) {
        self.processes.push(Process {
            raft,
            slot,
            alive: true,
            clock_ms: 0,
            told_ms: 0,
            isolated: false,
            seen: Seen::default(),
            batches: BTreeMap::new(),
            reads: BTreeMap::new(),
            last_ticket: 0,
        });
    }

    /// One of the living, by chance.
    fn any(&mut self) -> Option<usize> {
        let alive = (0..self.processes.len()).filter(|at| self.processes[*at].alive);
        let alive: Vec<usize> = alive.collect();
        self.rng.pick(&alive).copied()
    }

    /// One move of the adversary.
    pub fn step(&mut self) {
        let style = self.style;
        let Some(at) = self.any() else { return };
        if self.rng.once_in(style.campaign) {
            // Who is no voter, or leads, refuses.
            let _refused = self.processes[at].raft.campaign_now();
            self.look(at);
        }
        if self.rng.once_in(style.timeout) {
            self.run_clock(at);
        }
        if self.rng.once_in(style.submit) {
            self.submit(at);
        }
        if self.rng.once_in(style.read) {
            self.submit_read(at);
        }
        if self.rng.once_in(style.crash) {
            self.crash(at);
        }
        if self.rng.once_in(style.isolate) {
            let isolated = self.rng.once_in(2);
            self.processes[at].isolated = isolated;
        }
        if self.rng.once_in(style.compact) {
            let raft = &mut self.processes[at].raft;
            let through = raft.status().handed_out_index.0.saturating_sub(self.rng.below(4));
            raft.compact(Index(through));
        }
        self.change(at);
        for _ in 0..1 + self.rng.below(3) {
            self.deliver();
        }
        if self.rng.once_in(3) {
            self.load();
        }
        if self.processes[at].alive && self.rng.once_in(self.style.hasty) {
            self.pass(at);
        }
    }

    /// Its clock runs, for a heartbeat or for an election; now and then it is set back.
    fn run_clock(&mut self, at: usize) {
        let process = &mut self.processes[at];
        process.clock_ms += [T / 5, T / 2, 2 * T][self.rng.below(3) as usize];
        let back = if self.rng.once_in(10) { self.rng.below(3 * T) } else { 0 };
        let now = process.clock_ms.saturating_sub(back);
        process.told_ms = process.told_ms.max(now);
        let unix_ms = 1_000 + now + self.rng.below(50);
        process.raft.set_now(Now { monotonic_ms: now, unix_ms });
        process.raft.tick();
        self.pass(at);
    }

    fn submit(&mut self, at: usize) {
        self.last_payload += 1;
        let process = &mut self.processes[at];
        if process.batches.len() >= OUTSTANDING_MAX {
            return;
        }
        process.last_ticket += 1;
        let ticket = Ticket(process.last_ticket);
        let bytes = self.last_payload.to_le_bytes().to_vec();
        process.raft.submit(0, ticket, payload(&bytes));
        process.batches.insert(ticket, bytes);
    }

    fn submit_read(&mut self, at: usize) {
        let floor = self.laws.acknowledged();
        let process = &mut self.processes[at];
        if process.reads.len() < OUTSTANDING_MAX {
            process.last_ticket += 1;
            let ticket = Ticket(process.last_ticket);
            process.reads.insert(ticket, floor);
            process.raft.submit_read(0, ticket);
        }
    }

    /// A process is gone for ever, and a new one wants its slot. Mostly a majority is left alone.
    fn crash(&mut self, at: usize) {
        let id = self.processes[at].raft.id();
        let configuration = self.laws.configuration_at(Index(u64::MAX)).cloned();
        let voters = configuration.unwrap_or_default().voters;
        let survives = |voter: &&MemberId| **voter != id && self.position(**voter).is_some();
        if 2 * voters.iter().filter(survives).count() <= voters.len() && !self.rng.once_in(8) {
            return;
        }
        self.laws.counts.crashes += 1;
        self.processes[at].alive = false;
        for other in 0..self.processes.len() {
            if self.processes[other].alive && self.rng.once_in(2) {
                self.processes[other].raft.peer_unreachable(id);
            }
        }
        let slot = self.processes[at].slot;
        self.start(slot);
    }

    fn start(&mut self, slot: usize) {
        self.last_boot += 1;
        self.joiners.push(Joiner { slot, boot: self.last_boot });
    }

    /// Changes of the membership and of the leader, asked of `at`.
    fn change(&mut self, at: usize) {
        let style = self.style;
        if self.rng.once_in(style.rival) && self.joiners.len() < 3 {
            let slot = self.rng.below(style.voters as u64) as usize;
            self.start(slot);
        }
        if self.rng.once_in(4) {
            self.join(at);
        }
        if self.rng.once_in(style.remove)
            && let Some(other) = self.any()
        {
            let id = self.processes[other].raft.id();
            self.remove(at, id);
        }
        if self.rng.once_in(style.transfer)
            && let Some(other) = self.any()
        {
            let target = Some(self.processes[other].raft.id());
            if self.processes[at].raft.transfer_leadership(target).is_ok() {
                self.laws.counts.transfers += 1;
            }
        }
        if self.rng.once_in(style.hold) {
            let raft = &mut self.processes[at].raft;
            let below = raft.status().last_index.0.saturating_sub(self.rng.below(10));
            raft.hold_below(Index(below));
        }
    }

    fn remove(&mut self, at: usize, id: MemberId) {
        let process = &mut self.processes[at];
        let (now, own) = (process.told_ms, process.raft.id());
        let voters = process.raft.configuration().voters.clone();
        // Who does not lead, or has another change going on, refuses.
        if process.raft.remove(id).is_err() || !voters.contains(&id) {
            return;
        }
        let answers = |voter: &&MemberId| {
            let heard = process.raft.peer_status(**voter).and_then(|peer| peer.last_heard_ms);
            **voter == own || heard.is_some_and(|at_ms| now < at_ms + T)
        };
        let left = voters.iter().filter(|voter| **voter != id);
        let answering = left.clone().filter(answers).count();
        assert!(2 * answering > left.count(), "a removal that nobody can commit");
    }

    /// A process that wants a slot asks `at`; who is admitted learns it from the committed log.
    fn join(&mut self, at: usize) {
        if let Some(Joiner { slot, boot }) = self.rng.pick(&self.joiners) {
            let applicant = Applicant {
                slot: slot_name(*slot),
                boot: *boot,
                client_address: String::new(),
                peer_address: String::new(),
                observer: false,
            };
            self.admit(at, applicant);
        }
        let known = self.laws.configuration_at(Index(u64::MAX)).cloned().unwrap_or_default();
        for joiner in std::mem::take(&mut self.joiners) {
            let Some(member) = known.members.iter().find(|member| member.boot == joiner.boot)
            else {
                self.joiners.push(joiner);
                continue;
            };
            let config = self.config();
            self.add(Raft::join(config, member.id, Now::default()), joiner.slot);
            for process in self.processes.iter_mut().filter(|process| process.alive) {
                process.raft.peer_connected(member.id);
            }
        }
    }

    fn admit(&mut self, at: usize, applicant: Applicant) {
        let raft = &mut self.processes[at].raft;
        let configuration = raft.configuration().clone();
        let heard = |id: MemberId| {
            let status = raft.peer_status(id)?;
            Some(status.last_heard_ms? + T)
        };
        let predecessors = configuration.members.iter().filter(|m| m.slot == applicant.slot);
        let boot = applicant.boot;
        let mut others = predecessors.filter(|member| member.boot != boot);
        let until = others.find_map(|member| heard(member.id));
        let is_known = configuration.members.iter().any(|member| member.boot == boot);
        if raft.admit(applicant).is_ok() && !is_known {
            let now = self.processes[at].told_ms;
            assert!(until.is_none_or(|until| until <= now), "the slot of a live process was taken");
        }
    }

    /// A message arrives, or is lost, or arrives and is kept to arrive again. What is held up by a
    /// cut mostly stays under way, and may arrive long after it.
    fn deliver(&mut self) {
        if self.pool.len() > POOL_MAX {
            let lost = self.rng.below(self.pool.len() as u64) as usize;
            self.pool.remove(lost);
        }
        for _ in 0..3 {
            let choice = self.rng.below(self.style.reorder.min(self.pool.len() as u64)) as usize;
            let Some(message) = self.pool.get(choice).cloned() else { return };
            let is_cut = |id| self.process(id).is_some_and(|process| process.isolated);
            if is_cut(message.from) || is_cut(message.to) {
                let held_up = self.pool.remove(choice);
                if !self.rng.once_in(10) {
                    self.pool.push(held_up);
                }
                continue;
            }
            if !self.rng.once_in(10) {
                self.pool.remove(choice);
            }
            if !self.rng.once_in(20) {
                self.arrive(message);
            }
            return;
        }
    }

    /// Messages find their way by slot, as by an address: whoever has the slot by now gets them.
    fn arrive(&mut self, message: Message) {
        let Some(slot) = self.process(message.to).map(|process| process.slot) else { return };
        let has_slot = |process: &Process| process.alive && process.slot == slot;
        let Some(at) = self.processes.iter().rposition(has_slot) else { return };
        let exact = self.position(message.to);
        let at = exact.unwrap_or(at);
        let raft = &mut self.processes[at].raft;
        if raft.id() != message.to {
            let before = raft.clone();
            raft.step(message);
            assert!(before == *raft, "moved by a frame that is addressed to a former life");
            return;
        }
        // A leader that has removed itself may still say who is to lead.
        let is_farewell = message.body == Body::TimeoutNow
            && self.processes[at].raft.leader_id() == Some(message.from);
        if self.is_removed(at, message.from) && !is_farewell {
            let before = self.processes[at].raft.clone();
            self.processes[at].raft.step(message);
            assert!(before == self.processes[at].raft, "moved by a member that was removed");
            return;
        }
        self.protect_leader(at, message);
        self.look(at);
        if self.rng.once_in(self.style.hasty) {
            self.pass(at);
        }
    }

    /// Whether both the active configuration of `at` and the one that it knows to be committed
    /// lack `id`, which was admitted before the latter.
    fn is_removed(&self, at: usize, id: MemberId) -> bool {
        let raft = &self.processes[at].raft;
        let applied = self.processes[at].seen.applied;
        let known = self.laws.configuration_at(applied);
        let is_gone = |known: &Configuration| known.member(id).is_none();
        let newest = known.and_then(|known| known.members.iter().map(|member| member.id.0).max());
        is_gone(raft.configuration())
            && known.is_some_and(is_gone)
            && newest.is_some_and(|newest| id.0 < newest)
    }

    /// Steps, and looks that no candidate deposes a leader that leads.
    fn protect_leader(&mut self, at: usize, message: Message) {
        let raft = &mut self.processes[at].raft;
        let term = raft.term();
        let is_protected =
            raft.is_leader() && matches!(message.body, Body::VoteRequest { transfer: false, .. });
        let is_old = message.term < term;
        let before = is_old.then(|| (raft.status(), raft.leader_id()));
        raft.step(message);
        if is_protected {
            assert_eq!(raft.term(), term, "a candidate has deposed a leader that leads");
        }
        if let Some(before) = before {
            let after = (raft.status(), raft.leader_id());
            assert_eq!(before, after, "moved by a message of a former term");
        }
    }

    /// Whether it has become a leader, and may be one.
    fn look(&mut self, at: usize) {
        let raft = &self.processes[at].raft;
        if raft.is_leader() {
            self.laws.on_leader(raft);
        }
    }

    fn process(&self, id: MemberId) -> Option<&Process> {
        self.processes.iter().find(|process| process.raft.id() == id)
    }

    fn position(&self, id: MemberId) -> Option<usize> {
        self.processes.iter().position(|process| process.raft.id() == id && process.alive)
    }

    /// A snapshot arrives whole, or not at all.
    fn load(&mut self) {
        let choice = self.rng.below(self.loading.len() as u64) as usize;
        if self.loading.is_empty() {
            return;
        }
        let Loading { from, to, state, digest } = self.loading.swap_remove(choice);
        match self.position(to) {
            Some(at) if !self.rng.once_in(4) => {
                let last_index = state.last_index;
                let process = &mut self.processes[at];
                if process.raft.install_snapshot(state) {
                    assert!(last_index > process.seen.applied, "a snapshot went back");
                    process.seen.applied = last_index;
                    process.seen.digest = digest;
                    self.laws.counts.snapshots += 1;
                    let state = process.raft.snapshot_state(last_index).expect("it is its end");
                    self.laws.on_snapshot(&state);
                }
                self.pass(at);
            }
            _ => {
                if let Some(at) = self.position(from) {
                    self.processes[at].raft.snapshot_failed(to);
                }
            }
        }
    }

    fn pass(&mut self, at: usize) {
        while self.processes[at].raft.has_output() {
            let output = self.processes[at].raft.take_output();
            let mut seen = std::mem::take(&mut self.processes[at].seen);
            for committed in &output.committed {
                self.laws.on_committed(&self.processes[at].raft, &mut seen, &committed.entry);
            }
            let processes = &self.processes;
            self.laws.on_pass(&processes[at].raft, &mut seen, |id, index, term| {
                holds(processes, id, index, term)
            });
            self.processes[at].seen = seen;
            self.carry_out(at, output);
            self.check_promotions(at);
        }
    }

    fn carry_out(&mut self, at: usize, output: Output) {
        let process = &mut self.processes[at];
        for committed in &output.committed {
            if let (EntryBody::Batch { payload, .. }, Some(ticket)) =
                (&committed.entry.body, committed.ticket)
            {
                let expected = process.batches.remove(&ticket).expect("answered once");
                assert_eq!(expected, payload.as_slice(), "the answer to another batch");
                self.laws.on_answered(committed.entry.index);
            }
        }
        for read in &output.reads {
            let floor = process.reads.remove(&read.ticket).expect("answered once");
            self.laws.on_read(read, floor);
        }
        for given_up in &output.given_up {
            let payload = process.batches.remove(&given_up.ticket);
            match payload {
                Some(payload) if given_up.reason == GiveUpReason::NeverSent => {
                    self.laws.on_never_sent(payload);
                }
                Some(_) => {}
                None => {
                    process.reads.remove(&given_up.ticket).expect("a ticket ends once");
                }
            }
        }
        let from = process.raft.id();
        for to in output.snapshots_wanted {
            let state = process.raft.snapshot_state(process.seen.applied).expect("not compacted");
            self.laws.on_snapshot(&state);
            self.loading.push(Loading { from, to, state, digest: process.seen.digest });
        }
        for message in output.messages {
            self.laws.on_message(&self.processes[at].raft, &message);
            self.pool.push(message);
        }
    }

    /// Dissertation 4.2.1: whoever is made a voter has at least what was committed when it was
    /// admitted, which is its id.
    fn check_promotions(&self, at: usize) {
        let raft = &self.processes[at].raft;
        let configuration: &Configuration = raft.configuration();
        if !raft.is_leader() || !configuration.is_joint() {
            return;
        }
        for id in &configuration.voters {
            let is_new = !configuration.voters_outgoing.contains(id);
            let process = self.process(*id).filter(|_| is_new);
            if let Some(process) = process {
                let last_index = process.raft.status().last_index;
                assert!(last_index.0 >= id.0, "{id} was promoted before it had caught up");
            }
        }
    }
}

/// Whether the log of `id` has, or had when it died, this entry.
fn holds(processes: &[Process], id: MemberId, index: Index, term: Term) -> bool {
    let Some(process) = processes.iter().find(|process| process.raft.id() == id) else {
        return false;
    };
    let raft = &process.raft;
    index < raft.first_index() || raft.entry(index).is_some_and(|entry| entry.term == term)
}
