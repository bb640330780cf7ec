//! What goes wrong, how often, and how it strikes.

use mayfly::raft::types::{Index, MemberId, Millis};

use crate::cluster::{Cluster, Process};
use crate::consensus::{Consensus, Supports};
use crate::machine::Machine;
use crate::network::{Event, Pid};

/// Numbers that are not times are "once in so many chances", of the network per message, else per
/// millisecond; 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub loss: u64,
    pub duplicate: u64,
    /// A message takes up to so long, a straggler ten times that.
    pub delay_ms: Millis,
    /// A second copy comes up to so much later.
    pub replay_ms: Millis,
    pub partition: u64,
    /// One link gets slower by up to a fifth of a second.
    pub slow_link: u64,
    pub crash: u64,
    /// While the members change: who leads, who is new or anybody else dies, or somebody who waits
    /// for admission.
    pub crash_in_change: u64,
    /// A second process of a slot asks for admission.
    pub rival: u64,
    pub transfer: u64,
    pub compact: u64,
    pub campaign: u64,
    /// A voter or learner is removed for good and its slot empties.
    pub remove: u64,
    /// A process stops for up to a second and goes on.
    pub pause: u64,
    /// The clock of the world of one process jumps by up to ten seconds, either way.
    pub clock_jump: u64,
    /// How far off the pace of a monotonic clock is at most.
    pub drift_permille: u64,
    /// How long a chunk of a snapshot takes to be made.
    pub chunk_ms: Millis,
}

impl Faults {
    /// Only messages take their time.
    pub fn none() -> Self {
        Self { delay_ms: 3, ..Self::default() }
    }

    /// Without what an implementation cannot do.
    pub fn limited(mut self, supports: Supports) -> Self {
        if !supports.membership {
            (self.crash, self.crash_in_change, self.rival, self.remove) = (0, 0, 0, 0);
        }
        if !supports.transfer {
            self.transfer = 0;
        }
        if !supports.snapshots {
            self.compact = 0;
        }
        self
    }
}

impl<C: Consensus, M: Machine> Cluster<C, M> {
    pub fn strike(&mut self) {
        if self.is_calm {
            return self.look_after();
        }
        let faults = self.faults;
        self.strike_network(&faults);
        self.strike_clocks(&faults);
        if self.rng.once_in(faults.crash)
            && let Some(victim) = self.rng.pick(&self.alive).copied()
        {
            self.kill_if_quorum_stays(victim);
        }
        if faults.crash_in_change > 0
            && self.is_changing()
            && self.rng.once_in(faults.crash_in_change)
        {
            self.crash_in_change();
        }
        if self.rng.once_in(faults.rival) {
            let slot = self.rng.below(self.size.slots() as u64) as usize;
            self.start_process(slot);
        }
        if self.rng.once_in(faults.remove) {
            self.remove_one();
        }
        self.strike_leadership(&faults);
        if self.rng.once_in(faults.compact)
            && let Some(pid) = self.rng.pick(&self.alive).copied()
        {
            let raft = &mut self.processes[pid].raft;
            let through = raft.view().handed_out_index;
            raft.compact(Index(through.0.saturating_sub(self.rng.below(20))));
        }
        if self.rng.once_in(20)
            && let Some(pid) = self.rng.pick(&self.alive).copied()
        {
            self.processes[pid].raft.tick_entry();
        }
    }

    fn strike_network(&mut self, faults: &Faults) {
        if self.rng.once_in(faults.partition) {
            self.stats.partitions += 1;
            match self.rng.below(4) {
                0 => self.bridge(),
                _ => self.partition(),
            }
        }
        if self.rng.once_in(faults.partition / 2) {
            self.heal();
        }
        if self.rng.once_in(faults.slow_link) {
            self.network.end_slowness();
            let (from, to) = (self.rng.pick(&self.alive), self.rng.pick(&self.alive));
            if let (Some(from), Some(to)) = (from.copied(), to.copied()) {
                let by_ms = self.rng.below(2 * crate::cluster::ELECTION_TIMEOUT_MS);
                self.network.slow_down(from, to, by_ms);
                if self.rng.once_in(2) {
                    self.network.slow_down(to, from, by_ms);
                }
            }
        }
    }

    fn strike_clocks(&mut self, faults: &Faults) {
        if self.rng.once_in(faults.pause)
            && let Some(pid) = self.rng.pick(&self.alive).copied()
        {
            self.stats.pauses += 1;
            let longest = [30, 150, 1_000][self.rng.below(3) as usize];
            self.processes[pid].paused_until_ms = self.now + 10 + self.rng.below(longest);
        }
        if self.rng.once_in(faults.clock_jump)
            && let Some(pid) = self.rng.pick(&self.alive).copied()
        {
            self.stats.clock_jumps += 1;
            let jump_ms = self.rng.below(20_000) as i64 - 10_000;
            self.processes[pid].clock.skew_ms += jump_ms;
        }
    }

    fn strike_leadership(&mut self, faults: &Faults) {
        if self.rng.once_in(faults.transfer) {
            for pid in self.alive.clone() {
                let target = self.rng.pick(&self.alive).map(|pid| self.processes[*pid].id);
                let target = target.filter(|_| self.rng.once_in(2));
                if self.processes[pid].raft.transfer(target) {
                    self.stats.transfers += 1;
                }
            }
        }
        if self.rng.once_in(faults.campaign)
            && let Some(pid) = self.rng.pick(&self.alive).copied()
        {
            self.processes[pid].raft.campaign();
        }
    }

    /// Cuts some members off from the others, in both directions or in one.
    fn partition(&mut self) {
        let one_way = self.rng.once_in(3);
        let told = self.rng.once_in(2);
        let side: Vec<bool> = self.alive.iter().map(|_| self.rng.once_in(2)).collect();
        self.cut_where(told && !one_way, |a, b| side[a] != side[b] && (!one_way || side[a]));
    }

    /// Two sides that share one member alone, which hears and is heard by all.
    fn bridge(&mut self) {
        let bridge = self.rng.below(self.alive.len() as u64) as usize;
        let side: Vec<bool> = self.alive.iter().map(|_| self.rng.once_in(2)).collect();
        self.cut_where(false, |a, b| a != bridge && b != bridge && side[a] != side[b]);
    }

    fn cut_where(&mut self, told: bool, is_cut: impl Fn(usize, usize) -> bool) {
        for a in 0..self.alive.len() {
            for b in 0..self.alive.len() {
                if a == b || !is_cut(a, b) {
                    continue;
                }
                let (from, to) = (self.alive[a], self.alive[b]);
                self.network.cut(from, to);
                if told {
                    let at_ms = self.now + self.rng.below(5);
                    let peer = self.processes[to].id;
                    self.network.schedule(at_ms, Event::Unreachable { at: from, peer });
                }
            }
        }
    }

    /// Cuts these off from all others, both ways, and tells nobody.
    pub fn isolate(&mut self, minority: &[Pid]) {
        for a in self.alive.clone() {
            for b in self.alive.clone() {
                if minority.contains(&a) != minority.contains(&b) {
                    self.network.cut(a, b);
                }
            }
        }
    }

    pub fn heal(&mut self) {
        for (from, to) in self.network.heal() {
            if self.rng.once_in(2) {
                let at_ms = self.now + self.rng.below(5);
                self.connect(at_ms, from, to);
                self.connect(at_ms, to, from);
            }
        }
    }

    fn connect(&mut self, at_ms: Millis, at: Pid, to: Pid) {
        let (here, there) = (&self.processes[at], &self.processes[to]);
        if here.lineage == there.lineage {
            let peer = there.id;
            self.network.schedule(at_ms, Event::Connected { at, peer });
        }
    }

    /// Whether somebody is on the way in, as far as a leader knows.
    fn is_changing(&self) -> bool {
        let mut leaders = self.living().filter(|process| process.raft.view().is_leader);
        !self.newcomers.is_empty() || leaders.any(|process| process.raft.is_changing())
    }

    /// Strikes where it hurts a change most.
    fn crash_in_change(&mut self) {
        let newest = |process: &&Process<C, M>| process.id;
        let victim: Option<MemberId> = match self.rng.below(4) {
            0 => {
                let leaders = self.living().filter(|process| process.raft.view().is_leader);
                leaders.last().map(|process| process.id)
            }
            1 => self.living().max_by_key(newest).map(|process| process.id),
            2 => self.rng.pick(&self.alive).map(|pid| self.processes[*pid].id),
            _ => {
                // It may be admitted already, without knowing.
                let at = self.rng.below(self.newcomers.len() as u64) as usize;
                if let Some(newcomer) = self.newcomers.get(at) {
                    let slot = newcomer.slot;
                    self.newcomers.remove(at);
                    self.start_process(slot);
                }
                None
            }
        };
        let is_victim = |pid: &&Pid| Some(self.processes[**pid].id) == victim;
        if let Some(pid) = self.alive.iter().find(is_victim).copied() {
            self.kill_if_quorum_stays(pid);
        }
    }

    /// Ends all faults: everything that was cut is connected again, who paused goes on, and
    /// processes that ask for a slot that has one are gone.
    pub fn calm(&mut self) {
        self.faults = Faults { delay_ms: 2, chunk_ms: 2, ..Faults::default() };
        self.is_calm = true;
        self.network.heal();
        self.network.end_slowness();
        for pid in &self.alive {
            self.processes[*pid].paused_until_ms = self.now;
        }
        self.dismiss_rivals();
        for a in self.alive.clone() {
            for b in self.alive.clone() {
                if a != b {
                    self.connect(self.now + 1, a, b);
                }
            }
        }
    }

    /// What an operator does when all is calm.
    fn look_after(&mut self) {
        if !self.now.is_multiple_of(10) {
            return;
        }
        self.remove_dead_rivals();
        if self.lineages.len() > 1 || self.is_listed {
            if C::SUPPORTS.recovery && !self.living().any(|it| it.raft.view().is_leader) {
                self.recover();
                self.restart_hopeless();
            }
            if self.living().any(|it| it.raft.view().is_leader) {
                self.restart_the_others();
            }
        }
    }
}
