//! How processes come and go: a new one asks to be admitted, one that dies is replaced by another
//! boot, one that was removed is shut down.

use std::collections::BTreeSet;

use mayfly::raft::types::{Applicant, Boot, Configuration, MemberId, Millis};

use crate::cluster::{Cluster, Size};
use crate::consensus::{Birth, Consensus};
use crate::founding::Search;
use crate::machine::Machine;
use crate::network::{Event, Pid};

/// What a process said may arrive so long after its death: the slowest straggler, delivered twice.
pub const LAST_WORDS_MS: Millis = 1_000;

/// How often a newcomer asks.
const ASK_EVERY_MS: Millis = 10;

/// A process without a cluster.
pub struct Newcomer {
    pub slot: usize,
    pub boot: Boot,
    /// It looks for the other listed ones.
    pub search: Option<Search>,
    /// It asks for admission.
    pub asks: bool,
}

pub fn slot_name(slot: usize) -> String {
    format!("slot-{slot}")
}

impl<C: Consensus, M: Machine> Cluster<C, M> {
    pub fn start_process(&mut self, slot: usize) {
        self.last_boot += 1;
        let boot = self.last_boot;
        let is_listed = self.is_listed && slot < self.size.voters;
        let search = is_listed.then(|| Search::new(self.now));
        let asks = search.is_none();
        self.newcomers.push(Newcomer { slot, boot, search, asks });
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

    /// A cluster of one, which the other slots join.
    pub fn start_alone(&mut self) {
        self.last_boot += 1;
        let boot = self.last_boot;
        let member = self.applicant(0, boot).admitted(MemberId(1));
        let cluster = u128::from(self.rng.next());
        let lineage = self.add_lineage(cluster);
        let (config, clock) = (self.config(), self.new_clock());
        let raft = C::start(config, Birth::Alone(member), clock.read(self.now));
        self.enter(0, boot, lineage, raft, clock);
        (1..self.size.slots()).for_each(|slot| self.start_process(slot));
    }

    /// Brings up who waits for it, and shuts down who was removed.
    pub fn bring_up(&mut self) {
        self.bury_the_removed();
        if self.newcomers.is_empty() {
            return;
        }
        if self.is_listed {
            self.advance_searches();
        }
        self.ask_for_admission();
        // It learns its id only from what is committed.
        for lineage in 0..self.lineages.len() {
            let configuration = self.lineages[lineage].checker.configuration().clone();
            let mut newcomers = std::mem::take(&mut self.newcomers);
            newcomers.retain(|newcomer| {
                if !newcomer.asks {
                    return true;
                }
                let mut members = configuration.members.iter();
                let Some(member) = members.find(|member| member.boot == newcomer.boot) else {
                    return true;
                };
                self.join(newcomer, lineage, member.id, &configuration);
                false
            });
            self.newcomers = newcomers;
        }
    }

    /// New processes ask whoever leads, again and again.
    fn ask_for_admission(&mut self) {
        if !self.now.is_multiple_of(ASK_EVERY_MS) {
            return;
        }
        for at in 0..self.newcomers.len() {
            let Newcomer { slot, boot, asks, .. } = &self.newcomers[at];
            if !asks {
                continue;
            }
            let applicant = self.applicant(*slot, *boot);
            for pid in &self.alive {
                let process = &mut self.processes[*pid];
                // Refusals are part of the game: it asks again.
                if process.paused_until_ms <= self.now
                    && process.raft.admit(applicant.clone()).is_some()
                {
                    break;
                }
            }
        }
    }

    fn join(
        &mut self,
        newcomer: &Newcomer,
        lineage: usize,
        id: MemberId,
        configuration: &Configuration,
    ) {
        let (config, clock) = (self.config(), self.new_clock());
        let raft = C::start(config, Birth::Learner(id), clock.read(self.now));
        self.enter(newcomer.slot, newcomer.boot, lineage, raft, clock);
        for peer in configuration.members.iter().filter(|peer| peer.id != id) {
            if let Some(at) = self.living_pid(lineage, peer.id) {
                let at_ms = self.now + self.rng.below(20);
                self.network.schedule(at_ms, Event::Connected { at, peer: id });
            }
        }
    }

    /// Whether every configuration that may count keeps a majority without `victim`; also one that
    /// a leader is about to begin, having heard from learners whose death it has not noticed: their
    /// last words may still be under way.
    pub fn can_lose(&self, victim: Pid) -> bool {
        let lineage = self.processes[victim].lineage;
        let victim = self.processes[victim].id;
        let dead = |id: &MemberId| *id == victim || self.living_pid(lineage, *id).is_none();
        let survives = |voters: &[MemberId]| {
            voters.iter().filter(|id| dead(id)).count() * 2 < voters.len() || voters.is_empty()
        };
        let own = self.living().filter(|process| process.lineage == lineage);
        let active = own.map(|process| process.raft.configuration());
        active.chain([self.lineages[lineage].checker.configuration()]).all(|c| {
            let is_last_heard = |id: &&MemberId| {
                let pid = self.lineages[lineage].pids.get(id);
                let dead = pid.map(|pid| &self.processes[*pid]).filter(|it| !it.alive);
                **id == victim || dead.is_some_and(|it| self.now < it.died_ms + LAST_WORDS_MS)
            };
            let learners = c.learners.iter().filter(|id| !c.is_observer(**id));
            let learners = learners.filter(is_last_heard);
            let promoted: Vec<_> = c.voters.iter().chain(learners).copied().collect();
            survives(&c.voters) && survives(&promoted) && survives(&c.voters_outgoing)
        })
    }

    /// A member is gone for ever.
    fn end(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        process.alive = false;
        process.died_ms = self.now;
        process.outgoing = Default::default();
        process.incoming = None;
        process.machine = M::new();
        for number in process.clients.end_all() {
            self.batches.unknown(number);
        }
        self.alive.retain(|alive| *alive != pid);
    }

    /// A member dies, whatever that costs; sooner or later a new process takes its slot.
    pub fn kill(&mut self, victim: Pid) {
        self.stats.crashes += 1;
        self.end(victim);
        let (slot, peer) = (self.processes[victim].slot, self.processes[victim].id);
        for at in self.alive.clone() {
            if self.processes[at].lineage == self.processes[victim].lineage {
                let at_ms = self.now + 1 + self.rng.below(10);
                self.network.schedule(at_ms, Event::Unreachable { at, peer });
            }
        }
        self.start_process(slot);
    }

    pub fn kill_if_quorum_stays(&mut self, victim: Pid) {
        if self.can_lose(victim) {
            self.kill(victim);
        }
    }

    /// Who was removed, by chance or for its successor, is shut down.
    fn bury_the_removed(&mut self) {
        for at in (0..self.alive.len()).rev() {
            let pid = self.alive[at];
            let process = &self.processes[pid];
            let configuration = self.lineages[process.lineage].checker.configuration();
            if configuration.members.is_empty() || configuration.member(process.id).is_some() {
                continue;
            }
            let slot = process.slot;
            self.end(pid);
            let is_new = self.newcomers.iter().any(|newcomer| newcomer.slot == slot);
            if !is_new && self.occupant(slot).is_none() {
                self.start_process(slot);
            }
        }
    }

    /// Takes a member out for good; a process of another boot asks for its slot.
    pub fn remove_one(&mut self) {
        let lineage = self.main_lineage();
        let configuration = self.lineages[lineage].checker.configuration().clone();
        let Some(member) = self.rng.pick(&configuration.members) else { return };
        // The leader may not have noticed yet who else is dead.
        let others = configuration.voters.iter().filter(|id| **id != member.id);
        let living = others.filter(|id| self.living_pid(lineage, **id).is_some()).count();
        let is_safe = configuration.voters.len() > 3 && living > configuration.voters.len() / 2;
        if is_safe || configuration.is_learner(member.id) {
            self.ask_to_remove(lineage, member.id);
        }
    }

    fn ask_to_remove(&mut self, lineage: usize, id: MemberId) {
        for pid in &self.alive {
            let process = &mut self.processes[*pid];
            // Refused by all but the leader, and by that while another change goes on.
            if process.lineage == lineage && process.raft.remove(id) {
                self.stats.removals += 1;
            }
        }
    }

    /// A learner that died while the voter whose place it was to take turned out to be alive is
    /// nobody's predecessor: only an operator can tell that it is to go.
    pub fn remove_dead_rivals(&mut self) {
        let lineage = self.main_lineage();
        let configuration = self.lineages[lineage].checker.configuration().clone();
        for id in &configuration.learners {
            let member = configuration.member(*id).expect("every learner is a member");
            let is_filled = self.living().any(|process| slot_name(process.slot) == member.slot);
            if is_filled && self.living_pid(lineage, *id).is_none() {
                self.ask_to_remove(lineage, *id);
            }
        }
    }

    /// Processes that ask for a slot that has one are gone; one a slot stays.
    pub fn dismiss_rivals(&mut self) {
        let mut taken: BTreeSet<usize> = self.living().map(|process| process.slot).collect();
        self.newcomers.retain(|newcomer| taken.insert(newcomer.slot));
    }

    /// Nothing is left to be done: every slot has its process and every one of these is what it is
    /// to be, all is answered, everybody has everything.
    pub fn is_settled(&self) -> bool {
        if !self.newcomers.is_empty() {
            return false;
        }
        let main = self.main_lineage();
        let configuration = self.lineages[main].checker.configuration();
        let committed = self.committed();
        let Size { voters, .. } = self.size;
        let slots = self.size.slots();
        let names = |ids: &[MemberId]| {
            let slot = |id: &MemberId| configuration.member(*id).expect("a member").slot.clone();
            ids.iter().map(slot).collect::<BTreeSet<_>>()
        };
        self.alive.len() == slots
            && self.living().all(|it| {
                it.lineage == main && !it.clients.wait() && it.watched.applied == committed
            })
            && self.living().filter(|process| process.raft.view().is_leader).count() == 1
            && !configuration.is_joint()
            && configuration.members.len() == slots
            && names(&configuration.voters) == (0..voters).map(slot_name).collect()
            && names(&configuration.learners) == (voters..slots).map(slot_name).collect()
    }
}
