//! What is done to a cluster while its clients go on: faults drawn from a seed, one or two at a
//! time, each undone after a while. Never are more than a minority of the nodes dead, since that
//! would be the end of the data; everything else goes.

use std::time::Duration;

use super::fleet::{Fleet, Life};
use super::proxy::Passage;
use super::workload::{ANSWER_TIME, Window};
use crate::chaos::random::Random;
use crate::wait;

/// Whom a fault befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Leader,
    Follower,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL, and a fresh process in the place.
    Kill(Who),
    /// As many at once as the data survives.
    KillMinority,
    /// SIGTERM and a fresh process: a planned swap.
    Swap(Who),
    /// SIGSTOP, SIGCONT.
    Pause(Who),
    PauseMajority,
    /// One node on its own, the others together.
    Isolate(Who),
    /// A leader on its own that is slow to notice it, as if its clock hardly moved: it believes in
    /// its office long after the others have given it to another.
    Stubborn,
    /// A minority and a majority that do not hear each other.
    Halves,
    /// The leader hears everybody and nobody hears it.
    MuteLeader,
    /// The leader hears nobody, and everybody hears it.
    DeafLeader,
    /// Two groups that only one node hears both of; or a ring, in which everybody hears two others
    /// and so another majority.
    Bridge,
    /// A leader on its own that is told to remove all others.
    Island,
    /// A node dies while another is cut off.
    KillBehindPartition,
    /// A follower is removed, and comes back as somebody new.
    Remove,
    Transfer,
    /// Logs are dropped on every node again and again, while one is cut off and falls behind.
    Storm,
    /// Wall clocks go back and forth, by seconds up to an hour.
    Clocks,
    /// Everything takes its time on the way.
    SlowNetwork,
    /// Somebody is cut off, and something else happens on top of it.
    Compound,
}

/// For [`Fault::Compound`]: what cuts somebody off.
const CUTS: [Fault; 7] = [
    Fault::Stubborn,
    Fault::Isolate(Who::Leader),
    Fault::Isolate(Who::Follower),
    Fault::Halves,
    Fault::MuteLeader,
    Fault::DeafLeader,
    Fault::Bridge,
];

/// And what else happens. No more nodes die than the data survives.
const BESIDES: [Fault; 7] = [
    Fault::Kill(Who::Leader),
    Fault::Kill(Who::Follower),
    Fault::Pause(Who::Leader),
    Fault::Pause(Who::Follower),
    Fault::Transfer,
    Fault::Storm,
    Fault::Clocks,
];

/// The product's own.
const ELECTION_MS: u64 = 400;

/// For [`Fault::Stubborn`].
const STUBBORN_MS: u64 = 60_000;

/// Every kind, in an order in which each few differ from each other.
pub const FAULTS: [Fault; 24] = [
    Fault::Isolate(Who::Leader),
    Fault::Kill(Who::Leader),
    Fault::Pause(Who::Leader),
    Fault::Storm,
    Fault::Transfer,
    Fault::Bridge,
    Fault::Stubborn,
    Fault::KillMinority,
    Fault::Clocks,
    Fault::MuteLeader,
    Fault::Swap(Who::Leader),
    Fault::Halves,
    Fault::Compound,
    Fault::Kill(Who::Follower),
    Fault::Island,
    Fault::PauseMajority,
    Fault::DeafLeader,
    Fault::Compound,
    Fault::KillBehindPartition,
    Fault::SlowNetwork,
    Fault::Remove,
    Fault::Compound,
    Fault::Isolate(Who::Follower),
    Fault::Pause(Who::Follower),
];

pub struct Nemesis<'a> {
    pub fleet: &'a mut Fleet,
    pub window: &'a Window<'a>,
    pub random: Random,
    /// Where it goes on in [`FAULTS`].
    pub next: usize,
}

impl Nemesis<'_> {
    /// The next fault, from its begin until the cluster has settled from it.
    pub fn strike(&mut self) {
        let fault = FAULTS[self.next % FAULTS.len()];
        self.next += 1;
        println!("history: {fault:?}");
        let leader = self.fleet.leader();
        if self.random.below(2) == 0 {
            self.quieten(leader);
        }
        self.begin(fault, leader);
        self.hold();
        // In the middle of it, whoever leads may be asked to hand leadership on.
        if self.random.below(4) == 0 {
            self.transfer();
        }
        // For a while nothing but the network may be whole again.
        self.fleet.network.heal();
        if self.random.below(3) == 0 {
            self.hold();
        }
        self.reset_election_timeouts();
        self.fleet.settle();
        // Those who stood still did not listen.
        self.reset_election_timeouts();
        for node in self.fleet.all() {
            self.fleet.set_clock(node, 0);
            self.window.set_quiet(node, false);
        }
    }

    fn reset_election_timeouts(&self) {
        for node in self.fleet.all() {
            self.set_election_timeout(node, ELECTION_MS);
        }
    }

    /// The clients of `node` only read from here on, and what they have written is answered.
    fn quieten(&mut self, node: usize) {
        self.window.set_quiet(node, true);
        wait::rest(ANSWER_TIME);
    }

    fn begin(&mut self, fault: Fault, leader: usize) {
        let rest = self.fleet.others(&[leader]);
        match fault {
            Fault::Kill(who) => {
                let victim = self.victim(who, leader);
                self.fleet.kill(victim);
                self.hold();
                self.fleet.restart(victim);
            }
            Fault::KillMinority => self.kill_minority(),
            Fault::Swap(who) => {
                let victim = self.victim(who, leader);
                self.fleet.terminate(victim);
                self.fleet.restart(victim);
            }
            Fault::Pause(who) => {
                let victim = self.victim(who, leader);
                self.fleet.pause(victim);
            }
            Fault::PauseMajority => self.pause_majority(leader),
            Fault::Isolate(_)
            | Fault::Stubborn
            | Fault::Halves
            | Fault::MuteLeader
            | Fault::DeafLeader
            | Fault::Bridge => self.cut_off(fault, leader),
            Fault::Island => self.island(leader, &rest),
            Fault::KillBehindPartition => self.kill_behind_partition(leader),
            Fault::Remove => self.remove(leader, &rest),
            Fault::Transfer => self.transfer(),
            Fault::Storm => self.storm(leader),
            Fault::Clocks => self.move_clocks(),
            Fault::Compound => {
                let cut = self.random.pick(&CUTS);
                self.begin(cut, leader);
                self.hold();
                let beside = self.random.pick(&BESIDES);
                println!("history: {beside:?} beside {cut:?}");
                // Who leads may be another by now, or nobody.
                let leader = self.fleet.try_leader().unwrap_or(leader);
                self.begin(beside, leader);
            }
            Fault::SlowNetwork => {
                let slow = Passage::Slow(Duration::from_millis(5 + self.random.below(40) as u64));
                let all = self.fleet.all();
                self.fleet.network.set(&all, &all, slow);
            }
        }
    }

    fn cut_off(&mut self, fault: Fault, leader: usize) {
        let rest = self.fleet.others(&[leader]);
        match fault {
            Fault::Isolate(who) => {
                let victim = self.victim(who, leader);
                self.cut(&[victim], &self.fleet.others(&[victim]));
            }
            Fault::Stubborn => {
                self.set_election_timeout(leader, STUBBORN_MS);
                self.quieten(leader);
                self.cut(&[leader], &rest);
                // The others are through with their election then, and clients go on.
                self.hold();
            }
            Fault::Halves => {
                let minority = self.some((self.fleet.len() - 1) / 2);
                self.cut(&minority, &self.fleet.others(&minority));
            }
            Fault::MuteLeader => {
                let way = self.one_way();
                self.fleet.network.set(&[leader], &rest, way);
            }
            Fault::DeafLeader => {
                let way = self.one_way();
                self.fleet.network.set(&rest, &[leader], way);
            }
            Fault::Bridge if self.fleet.len() > 3 && self.random.below(2) == 0 => self.ring(),
            Fault::Bridge => {
                let bridge = self.random.below(self.fleet.len());
                let around = self.fleet.others(&[bridge]);
                let (some, others) = around.split_at(around.len() / 2);
                self.cut(some, others);
            }
            other => unreachable!("{other:?} cuts nobody off"),
        }
    }

    fn set_election_timeout(&self, node: usize, ms: u64) {
        if self.fleet.lives[node] == Life::Running {
            self.fleet.ask(node, &format!("CONFIG SET raft.election-timeout {ms}"));
        }
    }

    /// Long enough for an election to have gone by, mostly.
    fn hold(&mut self) {
        wait::rest(Duration::from_millis(200 + self.random.below(1400) as u64));
    }

    fn victim(&mut self, who: Who, leader: usize) -> usize {
        match who {
            Who::Leader => leader,
            Who::Follower => {
                let others = self.fleet.others(&[leader]);
                self.random.pick(&others)
            }
        }
    }

    /// So many nodes next to each other.
    fn some(&mut self, count: usize) -> Vec<usize> {
        let first = self.random.below(self.fleet.len());
        (first..first + count).map(|node| node % self.fleet.len()).collect()
    }

    fn cut(&mut self, some: &[usize], others: &[usize]) {
        let way = self.random.pick(&[Passage::Stalled, Passage::Lost, Passage::Refused]);
        println!("history: {some:?} and {others:?} are apart, {way:?}");
        self.fleet.network.set_between(some, others, way);
    }

    fn ring(&mut self) {
        let count = self.fleet.len();
        for node in 0..count {
            let (next, former) = ((node + 1) % count, (node + count - 1) % count);
            self.cut(&[node], &self.fleet.others(&[node, next, former]));
        }
    }

    /// A connection that is refused is so both ways.
    fn one_way(&mut self) -> Passage {
        self.random.pick(&[Passage::Stalled, Passage::Lost])
    }

    fn kill_minority(&mut self) {
        let victims = self.some((self.fleet.len() - 1) / 2);
        victims.iter().for_each(|victim| self.fleet.kill(*victim));
        self.hold();
        victims.iter().for_each(|victim| self.fleet.restart(*victim));
    }

    fn pause_majority(&mut self, leader: usize) {
        let mut victims = self.fleet.others(&[leader]);
        victims.truncate(self.fleet.len() / 2);
        victims.push(leader);
        victims.iter().for_each(|victim| self.fleet.pause(*victim));
        self.hold();
        // They come back one after the other, the former leader at last.
        for victim in victims {
            self.fleet.resume(victim);
            wait::rest(Duration::from_millis(self.random.below(300) as u64));
        }
    }

    /// None of the removals may come into force: the others have not agreed to them.
    fn island(&mut self, leader: usize, rest: &[usize]) {
        let ids: Vec<String> = rest
            .iter()
            .filter_map(|node| Some(self.fleet.info(*node)?.get("node_id").to_owned()))
            .collect();
        self.cut(&[leader], rest);
        for id in ids {
            let reply = self.fleet.ask(leader, &format!("RAFT.NODE REMOVE {id}"));
            println!("history: the removal of {id} was answered {reply:?}");
        }
    }

    fn kill_behind_partition(&mut self, leader: usize) {
        let victim = self.victim(Who::Follower, leader);
        let apart = match self.random.below(2) {
            0 => leader,
            _ => self.fleet.others(&[leader, victim])[0],
        };
        self.cut(&[apart], &self.fleet.others(&[apart]));
        self.hold();
        self.fleet.kill(victim);
        self.hold();
        self.fleet.restart(victim);
    }

    fn remove(&mut self, leader: usize, rest: &[usize]) {
        let victim = self.random.pick(rest);
        let Some(info) = self.fleet.info(victim) else { return };
        let command = format!("RAFT.NODE REMOVE {}", info.get("node_id"));
        let reply = self.fleet.ask(leader, &command);
        println!("history: the removal of node {victim} was answered {reply:?}");
        self.hold();
        self.fleet.kill(victim);
        self.fleet.restart(victim);
    }

    /// It may fail for whatever else goes on.
    fn transfer(&mut self) {
        let Some(leader) = self.fleet.try_leader() else { return };
        let reply = self.fleet.ask(leader, "RAFT.TRANSFER_LEADER");
        println!("history: the transfer of leadership was answered {reply:?}");
    }

    fn storm(&mut self, leader: usize) {
        let behind = self.victim(Who::Follower, leader);
        self.cut(&[behind], &self.fleet.others(&[behind]));
        for _ in 0..8 {
            for node in self.fleet.others(&[behind]) {
                self.fleet.ask(node, "RAFT.DEBUG COMPACT");
            }
            wait::rest(Duration::from_millis(100));
        }
        // It needs a snapshot now, and the log goes on being dropped while it gets it.
        self.fleet.network.heal();
        for _ in 0..8 {
            for node in self.fleet.all() {
                self.fleet.ask(node, "RAFT.DEBUG COMPACT");
            }
            wait::rest(Duration::from_millis(30));
        }
    }

    fn move_clocks(&mut self) {
        for _ in 0..6 {
            for node in self.fleet.all() {
                let seconds = self.random.pick(&[-3600, -60, -5, -1, 0, 1, 5, 60, 3600]);
                if self.fleet.lives[node] == Life::Running {
                    self.fleet.set_clock(node, seconds);
                }
            }
            wait::rest(Duration::from_millis(150));
        }
        self.transfer();
    }
}
