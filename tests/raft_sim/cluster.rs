//! A cluster of members in one thread on virtual time, with a network and clients that are driven
//! by chance.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use mayfly::raft::types::{
    Applicant, Boot, Configuration, EntryBody, Index, MemberId, Millis, Payload, Stream, Ticket,
};
use mayfly::raft::{Config, GiveUpReason, Now, SnapshotState};
use rkyv::util::AlignedVec;

use crate::checker::{Checker, Watched};
use crate::consensus::{Birth, Consensus, Effects};
use crate::rng::Rng;

pub const ELECTION_TIMEOUT_MS: Millis = 100;
const HEARTBEAT_MS: Millis = 20;
const NO_LEADER_TIMEOUT_MS: Millis = 700;
/// What a member said may arrive so long after its death: the slowest straggler, delivered twice.
const LAST_WORDS_MS: Millis = 1_000;
/// Batches and reads that the clients of one member wait for.
const OUTSTANDING_MAX: usize = 24;

/// What goes wrong, how often. Each is "once in so many chances"; 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub loss: u64,
    pub duplicate: u64,
    pub delay_ms: Millis,
    /// Per millisecond.
    pub partition: u64,
    pub crash: u64,
    /// Per millisecond while the members change: who leads, who is new or anybody else dies, or
    /// somebody who waits for his admission.
    pub crash_in_change: u64,
    /// Per millisecond: a second process of a slot asks for admission.
    pub rival: u64,
    pub transfer: u64,
    pub compact: u64,
    pub campaign: u64,
    /// Per millisecond: a voter or learner is removed for good and its slot empties.
    pub remove: u64,
}

pub struct Node<C> {
    pub raft: C,
    id: MemberId,
    pub slot: usize,
    pub alive: bool,
    died_ms: Millis,
    pub watched: Watched,
    clock_skew_ms: Millis,
    batches: BTreeMap<(Stream, Ticket), Vec<u8>>,
    reads: BTreeMap<(Stream, Ticket), Index>,
    last_ticket: u64,
}

impl<C> Node<C> {
    pub fn waits(&self) -> bool {
        !self.batches.is_empty() || !self.reads.is_empty()
    }
}

/// A process that asks to be admitted.
struct Joiner {
    slot: usize,
    boot: Boot,
}

/// How many slots a cluster has.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub voters: usize,
    /// Their slots follow those of the voters.
    pub observers: usize,
}

enum Event<M> {
    Message(M),
    Snapshot { from: MemberId, to: MemberId, state: SnapshotState, digest: u64 },
    Unreachable { at: MemberId, peer: MemberId },
    Connected { at: MemberId, peer: MemberId },
}

pub struct Cluster<C: Consensus> {
    pub rng: Rng,
    pub faults: Faults,
    size: Size,
    pub now: Millis,
    pub nodes: Vec<Node<C>>,
    pub checker: Checker,
    joiners: Vec<Joiner>,
    /// No more faults: somebody looks after what they have left.
    is_calm: bool,
    /// Directions that are cut.
    cut: BTreeSet<(MemberId, MemberId)>,
    events: BTreeMap<u64, Event<C::Message>>,
    due: BinaryHeap<Reverse<(Millis, u64)>>,
    event_count: u64,
    boots: Boot,
    payloads: u64,
    output: Effects<C::Message>,
}

impl<C: Consensus> Cluster<C> {
    /// A cluster that grows from one member to `size` slots.
    pub fn new(seed: u64, size: Size, faults: Faults) -> Self {
        let rng = Rng::new(seed);
        let mut cluster = Self {
            rng,
            faults,
            size,
            now: 1_000,
            nodes: Vec::new(),
            checker: Checker::default(),
            joiners: Vec::new(),
            is_calm: false,
            cut: BTreeSet::new(),
            events: BTreeMap::new(),
            due: BinaryHeap::new(),
            event_count: 0,
            boots: 0,
            payloads: 0,
            output: Effects::default(),
        };
        let boot = cluster.next_boot();
        let member = cluster.applicant(0, boot).admitted(MemberId(1));
        let raft = C::start(cluster.config(), Birth::Alone(member), cluster.clock(0));
        cluster.add(raft, 0);
        for slot in 1..size.voters + size.observers {
            cluster.start_process(slot);
        }
        cluster
    }

    fn config(&mut self) -> Config {
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

    fn clock(&self, skew_ms: Millis) -> Now {
        Now { monotonic_ms: self.now, unix_ms: 1_000_000 + self.now - skew_ms }
    }

    fn applicant(&self, slot: usize, boot: Boot) -> Applicant {
        Applicant {
            slot: slot_name(slot),
            boot,
            client_address: String::new(),
            peer_address: String::new(),
            observer: slot >= self.size.voters,
        }
    }

    fn next_boot(&mut self) -> Boot {
        self.boots += 1;
        self.boots
    }

    fn add(&mut self, raft: C, slot: usize) {
        self.nodes.push(Node {
            id: raft.view().id,
            raft,
            slot,
            alive: true,
            died_ms: 0,
            watched: Watched::default(),
            clock_skew_ms: self.rng.below(500),
            batches: BTreeMap::new(),
            reads: BTreeMap::new(),
            last_ticket: 0,
        });
    }

    pub fn start_process(&mut self, slot: usize) {
        let boot = self.next_boot();
        self.joiners.push(Joiner { slot, boot });
    }

    pub fn is_joining(&self) -> bool {
        !self.joiners.is_empty()
    }

    fn position(&self, id: MemberId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id && node.alive)
    }

    /// The newest committed configuration.
    pub fn configuration(&self) -> Configuration {
        let committed = self.checker.committed().iter().rev();
        let mut bodies = committed.map(|entry| &entry.body);
        bodies
            .find_map(|body| match body {
                EntryBody::Configuration(configuration) => Some((**configuration).clone()),
                _ => None,
            })
            .unwrap_or_default()
    }

    fn schedule(&mut self, at_ms: Millis, event: Event<C::Message>) {
        self.event_count += 1;
        self.events.insert(self.event_count, event);
        self.due.push(Reverse((at_ms, self.event_count)));
    }

    /// One millisecond: messages arrive, chance strikes, and every member has a pass.
    pub fn step(&mut self) {
        self.now += 1;
        self.strike();
        self.join();
        if self.is_calm {
            self.remove_dead_rivals();
        }
        let mut events = Vec::new();
        while let Some(Reverse((at_ms, number))) = self.due.peek().copied() {
            if at_ms > self.now {
                break;
            }
            self.due.pop();
            events.push(self.events.remove(&number).expect("scheduled once"));
        }
        for at in 0..self.nodes.len() {
            let now = self.clock(self.nodes[at].clock_skew_ms);
            if self.nodes[at].alive {
                self.nodes[at].raft.set_now(now);
            }
        }
        for event in events {
            self.deliver(event);
        }
        for at in 0..self.nodes.len() {
            if self.nodes[at].alive {
                self.nodes[at].raft.tick();
                self.pass(at);
            }
        }
    }

    fn deliver(&mut self, event: Event<C::Message>) {
        match event {
            Event::Message(message) => {
                let (from, to) = (C::sender(&message), C::receiver(&message));
                if self.cut.contains(&(from, to)) {
                    return;
                }
                let Some(at) = self.position(to) else { return };
                self.checker.stats.messages += 1;
                self.nodes[at].raft.step(message);
                // Now and then each message is a pass of its own, else those of a moment share one.
                if self.rng.once_in(2) {
                    self.pass(at);
                }
            }
            Event::Snapshot { from, to, state, digest } => {
                self.deliver_snapshot(from, to, state, digest);
            }
            Event::Unreachable { at, peer } => {
                if let Some(at) = self.position(at) {
                    self.nodes[at].raft.peer_unreachable(peer);
                }
            }
            Event::Connected { at, peer } => {
                if let Some(at) = self.position(at) {
                    self.nodes[at].raft.peer_connected(peer);
                }
            }
        }
    }

    fn deliver_snapshot(
        &mut self,
        from: MemberId,
        to: MemberId,
        state: SnapshotState,
        digest: u64,
    ) {
        let target = self.position(to);
        let lost = self.rng.once_in(self.faults.loss) || self.cut.contains(&(from, to));
        match target {
            Some(at) if !lost => {
                let last_index = state.last_index;
                let node = &mut self.nodes[at];
                if node.raft.install(state) {
                    assert!(last_index > node.watched.applied, "a snapshot never goes back");
                    node.watched.applied = last_index;
                    node.watched.digest = digest;
                    self.checker.stats.snapshots += 1;
                }
                self.pass(at);
            }
            _ => {
                if let Some(at) = self.position(from) {
                    self.nodes[at].raft.snapshot_failed(to);
                }
            }
        }
    }

    /// Concludes passes until nothing is left to do, and checks after each.
    fn pass(&mut self, at: usize) {
        let mut output = std::mem::take(&mut self.output);
        while self.nodes[at].raft.take_effects(&mut output) {
            self.carry_out(at, &mut output);
            let node = &mut self.nodes[at];
            self.checker.check_member(&node.raft, &mut node.watched);
        }
        self.output = output;
    }

    fn carry_out(&mut self, at: usize, output: &mut Effects<C::Message>) {
        let from = self.nodes[at].id;
        for committed in &output.committed {
            let node = &mut self.nodes[at];
            self.checker.on_committed(&mut node.watched, &committed.entry);
            if let EntryBody::Batch { origin, stream, payload, .. } = &committed.entry.body {
                if let Some(ticket) = committed.ticket {
                    assert_eq!(*origin, from, "only the origin answers");
                    let expected = node.batches.remove(&(*stream, ticket));
                    let expected = expected.expect("each ticket is answered once");
                    assert_eq!(expected, payload.as_slice(), "the answer to another batch");
                    self.checker.on_answered(committed.entry.index);
                }
            } else {
                assert_eq!(committed.ticket, None);
            }
        }
        for read in &output.reads {
            let floor = self.nodes[at].reads.remove(&(read.stream, read.ticket));
            self.checker.on_read(read, floor.expect("each read is answered once"));
        }
        for given_up in &output.given_up {
            let node = &mut self.nodes[at];
            let key = (given_up.stream, given_up.ticket);
            let Some(payload) = node.batches.remove(&key) else {
                assert_eq!(given_up.reason, GiveUpReason::NeverSent);
                node.reads.remove(&key).expect("each ticket ends once");
                continue;
            };
            match given_up.reason {
                GiveUpReason::NeverSent => self.checker.on_never_sent(payload),
                GiveUpReason::OutcomeUnknown => self.checker.stats.given_up += 1,
            }
        }
        for to in output.snapshots_wanted.drain(..) {
            let Node { raft, watched, .. } = &self.nodes[at];
            let (state, digest) = (raft.snapshot(watched.applied), watched.digest);
            let state = state.expect("not compacted");
            let at_ms = self.now + 5 + self.rng.below(60);
            self.schedule(at_ms, Event::Snapshot { from, to, state, digest });
        }
        for message in output.messages.drain(..) {
            self.transmit(message);
        }
    }

    fn transmit(&mut self, message: C::Message) {
        let copies = match () {
            () if self.rng.once_in(self.faults.loss) => 0,
            () if self.rng.once_in(self.faults.duplicate) => 2,
            () => 1,
        };
        for _ in 0..copies {
            let mut at_ms = self.now + 1 + self.rng.below(self.faults.delay_ms);
            // A straggler: far behind everything that was sent after it.
            if self.faults.delay_ms > 0 && self.rng.once_in(50) {
                at_ms += self.rng.below(10 * self.faults.delay_ms);
            }
            self.schedule(at_ms, Event::Message(message.clone()));
        }
    }

    /// New processes ask whoever leads for admission, again and again.
    fn join(&mut self) {
        if self.now.is_multiple_of(10) {
            for joiner in 0..self.joiners.len() {
                let Joiner { slot, boot } = self.joiners[joiner];
                let applicant = self.applicant(slot, boot);
                for node in self.nodes.iter_mut().filter(|node| node.alive) {
                    // Refusals are part of the game: it asks again.
                    node.raft.admit(applicant.clone());
                }
            }
        }
        // It learns its id only from what is committed.
        let configuration = self.configuration();
        let mut joiners = std::mem::take(&mut self.joiners);
        joiners.retain(|joiner| {
            let member = configuration.members.iter().find(|member| member.boot == joiner.boot);
            let Some(member) = member else { return true };
            let config = self.config();
            let raft = C::start(config, Birth::Learner(member.id), self.clock(0));
            self.add(raft, joiner.slot);
            for node in 0..self.nodes.len() {
                let peer = self.nodes[node].id;
                let at_ms = self.now + self.rng.below(20);
                self.schedule(at_ms, Event::Connected { at: peer, peer: member.id });
            }
            false
        });
        self.joiners = joiners;
    }

    fn strike(&mut self) {
        let faults = self.faults;
        if self.rng.once_in(faults.partition) {
            self.partition();
        }
        if self.rng.once_in(faults.partition / 2) {
            self.heal();
        }
        if self.rng.once_in(faults.crash) {
            let alive: Vec<MemberId> = self.alive().map(|node| node.id).collect();
            if let Some(victim) = self.rng.pick(&alive).copied() {
                self.crash(victim);
            }
        }
        if faults.crash_in_change > 0
            && self.is_changing()
            && self.rng.once_in(faults.crash_in_change)
        {
            self.crash_in_change();
        }
        if self.rng.once_in(faults.rival) {
            let slot = self.rng.below((self.size.voters + self.size.observers) as u64);
            self.start_process(slot as usize);
        }
        if self.rng.once_in(faults.remove) {
            self.remove();
        }
        self.bury_the_removed();
        let alive: Vec<usize> = (0..self.nodes.len()).filter(|at| self.nodes[*at].alive).collect();
        if self.rng.once_in(faults.transfer) {
            for at in &alive {
                let target = self.rng.pick(&alive).map(|at| self.nodes[*at].id);
                let target = target.filter(|_| self.rng.once_in(2));
                if self.nodes[*at].raft.transfer(target) {
                    self.checker.stats.transfers += 1;
                }
            }
        }
        if self.rng.once_in(faults.campaign)
            && let Some(at) = self.rng.pick(&alive)
        {
            self.nodes[*at].raft.campaign();
        }
        if self.rng.once_in(faults.compact)
            && let Some(at) = self.rng.pick(&alive)
        {
            let raft = &mut self.nodes[*at].raft;
            let through = raft.view().handed_out_index;
            raft.compact(Index(through.0.saturating_sub(self.rng.below(20))));
        }
        if self.rng.once_in(20)
            && let Some(at) = self.rng.pick(&alive)
        {
            self.nodes[*at].raft.tick_entry();
        }
    }

    /// Cuts some members off from the others, in both directions or in one.
    fn partition(&mut self) {
        let one_way = self.rng.once_in(3);
        let told = self.rng.once_in(2);
        let side: Vec<bool> = self.nodes.iter().map(|_| self.rng.once_in(2)).collect();
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                if side[a] == side[b] || !self.nodes[a].alive || !self.nodes[b].alive {
                    continue;
                }
                let (from, to) = (self.nodes[a].id, self.nodes[b].id);
                if !one_way || side[a] {
                    self.cut.insert((from, to));
                }
                if told && !one_way {
                    let at_ms = self.now + self.rng.below(5);
                    self.schedule(at_ms, Event::Unreachable { at: from, peer: to });
                }
            }
        }
    }

    pub fn heal(&mut self) {
        for (from, to) in std::mem::take(&mut self.cut) {
            if self.rng.once_in(2) {
                let at_ms = self.now + self.rng.below(5);
                self.schedule(at_ms, Event::Connected { at: from, peer: to });
                self.schedule(at_ms, Event::Connected { at: to, peer: from });
            }
        }
    }

    /// Whether every configuration that may count keeps a majority without `victim`; also one that
    /// a leader is about to begin, having heard from learners whose death it has not noticed: their
    /// last words may still be under way.
    fn can_lose(&self, victim: MemberId) -> bool {
        let dead = |id: &MemberId| *id == victim || self.position(*id).is_none();
        let survives = |voters: &[MemberId]| {
            voters.iter().filter(|id| dead(id)).count() * 2 < voters.len() || voters.is_empty()
        };
        let active = self.nodes.iter().filter(|node| node.alive).map(|n| n.raft.configuration());
        active.map(|configuration| (**configuration).clone()).chain([self.configuration()]).all(
            |c| {
                let is_last_heard = |id: &&MemberId| {
                    let is_it = |node: &&Node<C>| node.id == **id && !node.alive;
                    let died = self.nodes.iter().find(is_it).map(|node| node.died_ms);
                    **id == victim || died.is_some_and(|ms| self.now < ms + LAST_WORDS_MS)
                };
                let learners = c.learners.iter().filter(|id| !c.is_observer(**id));
                let learners = learners.filter(is_last_heard);
                let promoted: Vec<_> = c.voters.iter().chain(learners).copied().collect();
                survives(&c.voters) && survives(&promoted) && survives(&c.voters_outgoing)
            },
        )
    }

    fn alive(&self) -> impl Iterator<Item = &Node<C>> {
        self.nodes.iter().filter(|node| node.alive)
    }

    /// Whether somebody is on the way in, as far as a leader knows.
    fn is_changing(&self) -> bool {
        !self.joiners.is_empty()
            || self
                .alive()
                .filter(|node| node.raft.view().is_leader)
                .any(|node| node.raft.is_changing())
    }

    /// Strikes where it hurts a change most.
    fn crash_in_change(&mut self) {
        let alive: Vec<MemberId> = self.alive().map(|node| node.id).collect();
        let leaders = self.alive().filter(|node| node.raft.view().is_leader);
        let leader = leaders.map(|node| node.id).last();
        let victim = match self.rng.below(4) {
            0 => leader,
            // The newest.
            1 => alive.iter().max().copied(),
            2 => self.rng.pick(&alive).copied(),
            _ => {
                // It may be admitted already, without knowing.
                let joiner = self.rng.below(self.joiners.len() as u64) as usize;
                let boot = self.next_boot();
                if let Some(joiner) = self.joiners.get_mut(joiner) {
                    joiner.boot = boot;
                }
                None
            }
        };
        if let Some(victim) = victim {
            self.crash(victim);
        }
    }

    /// A member is gone for ever; sooner or later a new process takes its slot.
    fn crash(&mut self, victim: MemberId) {
        if !self.can_lose(victim) {
            return;
        }
        let alive: Vec<MemberId> = self.alive().map(|node| node.id).collect();
        self.checker.stats.crashes += 1;
        let at = self.position(victim).expect("alive");
        self.nodes[at].alive = false;
        self.nodes[at].died_ms = self.now;
        let slot = self.nodes[at].slot;
        for at in alive {
            let at_ms = self.now + 1 + self.rng.below(10);
            self.schedule(at_ms, Event::Unreachable { at, peer: victim });
        }
        self.start_process(slot);
    }

    fn remove(&mut self) {
        let configuration = self.configuration();
        let Some(member) = self.rng.pick(&configuration.members) else { return };
        if configuration.voters.len() > 3 || configuration.is_learner(member.id) {
            let id = member.id;
            for node in self.nodes.iter_mut().filter(|node| node.alive) {
                // Refusals are part of the game.
                node.raft.remove(id);
            }
        }
    }

    /// A learner that died while the voter whose place it was to take turned out to be alive is
    /// nobody's predecessor: only an operator can tell that it is to go.
    fn remove_dead_rivals(&mut self) {
        let configuration = self.configuration();
        for id in &configuration.learners {
            let slot = configuration.member(*id).map(|member| member.slot.clone());
            let is_slot = |number| slot.as_ref() == Some(&slot_name(number));
            let is_filled = self.alive().any(|node| is_slot(node.slot));
            if is_filled && self.position(*id).is_none() {
                for node in self.nodes.iter_mut().filter(|node| node.alive) {
                    // Refused by all but the leader, and by that while another change goes on.
                    node.raft.remove(*id);
                }
            }
        }
    }

    /// Who was removed, by chance or for its successor, is shut down.
    fn bury_the_removed(&mut self) {
        let configuration = self.configuration();
        for at in 0..self.nodes.len() {
            let id = self.nodes[at].id;
            let removed = !configuration.members.is_empty() && configuration.member(id).is_none();
            if !self.nodes[at].alive || !removed {
                continue;
            }
            self.nodes[at].alive = false;
            let slot = self.nodes[at].slot;
            let taken = self.nodes.iter().any(|node| node.alive && node.slot == slot);
            if !taken && self.joiners.iter().all(|joiner| joiner.slot != slot) {
                self.start_process(slot);
            }
        }
    }

    /// Clients on every member submit batches and reads.
    pub fn submit(&mut self) {
        for at in 0..self.nodes.len() {
            if !self.nodes[at].alive || !self.rng.once_in(4) {
                continue;
            }
            let floor = self.checker.acknowledged();
            let node = &mut self.nodes[at];
            for _ in 0..=self.rng.below(2) {
                let stream = self.rng.below(2) as Stream;
                node.last_ticket += 1;
                let ticket = Ticket(node.last_ticket);
                if self.rng.once_in(3) {
                    if node.reads.len() < OUTSTANDING_MAX {
                        node.reads.insert((stream, ticket), floor);
                        node.raft.submit_read(stream, ticket);
                    }
                } else if node.batches.len() < OUTSTANDING_MAX {
                    self.payloads += 1;
                    let mut bytes = self.payloads.to_le_bytes().to_vec();
                    bytes.resize(8 + self.rng.below(200) as usize, 0);
                    node.raft.submit(stream, ticket, payload(&bytes));
                    node.batches.insert((stream, ticket), bytes);
                }
            }
        }
    }

    /// Ends all faults: everything that was cut is connected again, and processes that ask for a
    /// slot that has one are gone.
    pub fn calm(&mut self) {
        self.faults = Faults { delay_ms: 2, ..Faults::default() };
        self.is_calm = true;
        self.cut.clear();
        let mut joiners: Vec<Joiner> = Vec::new();
        for joiner in std::mem::take(&mut self.joiners) {
            let is_same = |slot| slot == joiner.slot;
            let taken = self.alive().any(|node| is_same(node.slot));
            if !taken && !joiners.iter().any(|other| is_same(other.slot)) {
                joiners.push(joiner);
            }
        }
        self.joiners = joiners;
        let alive: Vec<MemberId> =
            self.nodes.iter().filter(|node| node.alive).map(|node| node.id).collect();
        for a in &alive {
            for b in &alive {
                if a != b {
                    self.schedule(self.now + 1, Event::Connected { at: *a, peer: *b });
                }
            }
        }
    }

    /// Nothing is left to be done: every slot has its process and every one of these is what it is
    /// to be, all is answered, everybody has everything.
    pub fn is_settled(&self) -> bool {
        let alive = || self.nodes.iter().filter(|node| node.alive);
        let configuration = self.configuration();
        let committed = self.checker.committed().len() as u64;
        let Size { voters, observers } = self.size;
        let names = |ids: &[MemberId]| {
            let slot = |id: &MemberId| configuration.member(*id).expect("a member").slot.clone();
            ids.iter().map(slot).collect::<BTreeSet<_>>()
        };
        !self.is_joining()
            && !configuration.is_joint()
            && names(&configuration.voters) == (0..voters).map(slot_name).collect()
            && names(&configuration.learners)
                == (voters..voters + observers).map(slot_name).collect()
            && configuration.members.len() == voters + observers
            && alive().count() == voters + observers
            && alive().all(|node| !node.waits() && node.watched.applied.0 == committed)
            && alive().filter(|node| node.raft.view().is_leader).count() == 1
    }
}

fn slot_name(slot: usize) -> String {
    format!("slot-{slot}")
}

fn payload(bytes: &[u8]) -> Payload {
    let mut buffer = AlignedVec::new();
    buffer.extend_from_slice(bytes);
    Payload::new(buffer)
}
