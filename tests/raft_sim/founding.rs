//! Processes without a cluster that know the slots of each other: they ask who is there and found a
//! cluster when all are fresh. And its counterpart, a survivor that is told to go on alone.

use mayfly::raft::types::{Boot, MemberId, Millis};
use mayfly::raft::{Answer, Decision, FreshNode, OnTotalLoss, decide, seen};

use crate::cluster::{Cluster, Lineage, Process};
use crate::consensus::{Birth, Consensus};
use crate::invariants::ensure;
use crate::lifecycle::{Newcomer, slot_name};
use crate::machine::Machine;
use crate::network::{Event, Pid};

/// How long answers are waited for before a decision.
const ROUND_MS: Millis = 30;

/// A process asks all other slots, round by round.
pub struct Search {
    round: u64,
    ends_ms: Millis,
    answers: Vec<(usize, Answer)>,
    /// Whom it has seen in the last round.
    seen: Vec<FreshNode>,
}

impl Search {
    pub fn new(now: Millis) -> Self {
        Self { round: 0, ends_ms: now, answers: Vec::new(), seen: Vec::new() }
    }
}

pub fn fresh_node(slot: usize, boot: Boot) -> FreshNode {
    let (client_address, peer_address) = (String::new(), String::new());
    FreshNode { slot: slot_name(slot), boot, client_address, peer_address }
}

impl<C: Consensus, M: Machine> Cluster<C, M> {
    /// All slots of voters have processes that know each other, and nobody has a cluster.
    pub fn start_listed(&mut self) {
        self.is_listed = true;
        (0..self.size.slots()).for_each(|slot| self.start_process(slot));
    }

    /// All voters found a cluster with each other at once, as if they had agreed on it.
    pub fn start_founded(&mut self) {
        let first = self.last_boot + 1;
        let nodes = (0..self.size.voters).map(|slot| fresh_node(slot, first + slot as u128));
        let founders: Vec<FreshNode> = nodes.collect();
        self.last_boot += founders.len() as u128;
        let cluster = u128::from(self.rng.next());
        for slot in 0..self.size.voters {
            self.found(slot, first + slot as u128, cluster, &founders);
        }
    }

    pub fn advance_searches(&mut self) {
        for at in 0..self.newcomers.len() {
            let Newcomer { slot, boot, search: Some(search), .. } = &mut self.newcomers[at] else {
                continue;
            };
            if self.now < search.ends_ms {
                continue;
            }
            let (slot, boot) = (*slot, *boot);
            let decision =
                (search.round > 0).then(|| conclude_round(slot, boot, search, self.size.voters));
            search.round += 1;
            search.ends_ms = self.now + ROUND_MS + self.rng.below(10);
            search.answers.clear();
            let round = search.round;
            for asked in (0..self.size.voters).filter(|asked| *asked != slot) {
                if !self.rng.once_in(self.faults.loss) {
                    let at_ms = self.now + 1 + self.rng.below(self.faults.delay_ms);
                    self.network.schedule(at_ms, Event::Ask { boot, round, slot: asked });
                }
            }
            self.newcomers[at].asks = decision == Some(Decision::Join);
            match decision {
                Some(Decision::Found(founders)) => {
                    self.stats.founded += 1;
                    let cluster = u128::from(self.rng.next());
                    self.found(slot, boot, cluster, &founders);
                }
                Some(Decision::Follow { cluster, founders }) => {
                    self.found(slot, boot, cluster, &founders);
                }
                Some(Decision::Join | Decision::Wait(_)) | None => {}
            }
        }
        // Who founds or follows has a process now.
        let lineages = &self.lineages;
        let enters = |boot: Boot| lineages.iter().any(|lineage| lineage.founders.contains(&boot));
        self.newcomers.retain(|newcomer| !enters(newcomer.boot));
    }

    /// A process enters a cluster as one of its founders.
    fn found(&mut self, slot: usize, boot: Boot, cluster: u128, founders: &[FreshNode]) {
        let known = self.lineages.iter().position(|lineage| lineage.cluster == cluster);
        let lineage = known.unwrap_or_else(|| self.add_lineage(cluster));
        let position = founders.iter().position(|founder| founder.boot == boot);
        let id = MemberId(position.expect("a founder") as u64 + 1);
        let (config, clock) = (self.config(), self.new_clock());
        let birth = Birth::Founder { cluster, id, founders };
        let raft = C::start(config, birth, clock.read(self.now));
        let pid = self.enter(slot, boot, lineage, raft, clock);
        let Lineage { checker, founders: entered, .. } = &mut self.lineages[lineage];
        entered.push(boot);
        checker.on_founded(&self.processes[pid].raft);
    }

    /// A question of one that searches, or an answer to it.
    pub fn search(&mut self, event: Event<C::Message, M::Chunk>) {
        match event {
            Event::Ask { boot, round, slot } => {
                let Some(answer) = self.answer_of(slot) else { return };
                if !self.rng.once_in(self.faults.loss) {
                    let at_ms = self.now + 1 + self.rng.below(self.faults.delay_ms);
                    self.network.schedule(at_ms, Event::Told { boot, round, slot, answer });
                }
            }
            Event::Told { boot, round, slot, answer } => {
                let mut newcomers = self.newcomers.iter_mut();
                let Some(newcomer) = newcomers.find(|newcomer| newcomer.boot == boot) else {
                    return;
                };
                if let Some(search) = newcomer.search.as_mut().filter(|it| it.round == round) {
                    search.answers.push((slot, answer));
                }
            }
            _ => unreachable!("members do not search"),
        }
        self.stats.steps += 1;
    }

    /// What the process of a slot says of itself; `None`: there is none, or it is silent.
    fn answer_of(&self, slot: usize) -> Option<Answer> {
        if let Some(pid) = self.occupant(slot) {
            let process = &self.processes[pid];
            return (process.paused_until_ms <= self.now).then(|| Answer::Member {
                cluster: self.lineages[process.lineage].cluster,
                founders: process.raft.founders(),
            });
        }
        let newcomer = self.newcomers.iter().find(|newcomer| newcomer.slot == slot)?;
        let seen = newcomer.search.as_ref().map_or_else(Vec::new, |search| search.seen.clone());
        Some(Answer::Fresh { node: fresh_node(slot, newcomer.boot), seen })
    }

    /// What an operator may not do: as long as a quorum may be there, and without having looked at
    /// the end of the log.
    pub fn try_to_recover_wrongly(&mut self) {
        for pid in self.alive.clone() {
            let Process { raft, .. } = &mut self.processes[pid];
            let mut last = raft.last_log_id();
            let is_lost = raft.is_quorum_lost();
            if is_lost {
                last.index = last.index.next();
            }
            let recovered = raft.force_recover(last);
            ensure!(recovered.is_none(), LineageSeparation, "{last} recovered, lost: {is_lost}");
        }
    }

    /// The operator lets the survivor that has most go on alone, if a quorum is lost. An observer
    /// would become a voter by that, and its slot is to be an observer's again.
    pub fn recover(&mut self) -> bool {
        let lost = self.alive.iter().copied().filter(|pid| {
            let process = &self.processes[*pid];
            let runs = process.paused_until_ms <= self.now;
            runs && process.slot < self.size.voters && process.raft.is_quorum_lost()
        });
        let Some(pid) = lost.max_by_key(|pid| self.processes[*pid].raft.last_log_id()) else {
            return false;
        };
        self.recover_at(pid)
    }

    fn recover_at(&mut self, pid: Pid) -> bool {
        let cluster = u128::from(self.rng.next());
        let Process { raft, watched, id, lineage, clients, outgoing, incoming, .. } =
            &mut self.processes[pid];
        let Some(recovered) = raft.force_recover(raft.last_log_id()) else { return false };
        let parent = *lineage;
        let former = &self.lineages[parent];
        let checker = former.checker.fork(raft, watched, recovered);
        let oracle = former.oracle.fork(watched.applied, &self.batches);
        let founders = Vec::new();
        let pids = [(*id, pid)].into();
        *lineage = self.lineages.len();
        let made = Lineage { cluster, parent: Some(parent), checker, oracle, pids, founders };
        clients.accept_loss(watched.applied, recovered);
        // It leaves its peers, and they it.
        (*outgoing, *incoming) = (Default::default(), None);
        let peer = *id;
        self.lineages.push(made);
        self.stats.recovered += 1;
        for at in self.alive.clone() {
            if self.processes[at].lineage == parent {
                let at_ms = self.now + 1 + self.rng.below(10);
                self.network.schedule(at_ms, Event::Unreachable { at, peer });
            }
        }
        self.check(pid);
        self.pass(pid);
        true
    }

    /// Learners of a cluster without a living voter: nobody can bring it back.
    pub fn restart_hopeless(&mut self) {
        for pid in self.alive.clone() {
            let lineage = self.processes[pid].lineage;
            let configuration = self.lineages[lineage].checker.configuration();
            let mut members = configuration.members.iter().map(|member| member.id);
            let is_voter = |id| configuration.is_voter(id);
            if !members.any(|id| is_voter(id) && self.living_pid(lineage, id).is_some()) {
                self.kill(pid);
            }
        }
    }

    /// Whoever is in no cluster that counts is started anew, as the operator does who has decided
    /// for another one.
    pub fn restart_the_others(&mut self) {
        let main = self.main_lineage();
        for pid in self.alive.clone() {
            if self.processes[pid].lineage != main {
                self.kill(pid);
            }
        }
    }
}

fn conclude_round(slot: usize, boot: Boot, search: &mut Search, voters: usize) -> Decision {
    let own = fresh_node(slot, boot);
    let others: Vec<(String, Answer)> = (0..voters)
        .filter(|other| *other != slot)
        .map(|other| {
            let told = search.answers.iter().find(|(from, _)| *from == other);
            let answer = told.map_or(Answer::Silent, |(_, answer)| answer.clone());
            (slot_name(other), answer)
        })
        .collect();
    search.seen = seen(&own, &others);
    decide(&own, &others, OnTotalLoss::Unanimous)
}
