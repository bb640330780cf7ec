//! Nodes that are killed, stopped and stood still at random under load, and started again by the
//! same command line, never more than a minority at a time: nothing acknowledged is lost, nothing
//! is done twice, and clients of the nodes that live see no error.
//!
//! `MAYFLY_CHAOS_KILLS=100 cargo test --test cluster chaos -- --nocapture` does 100 kills over
//! three nodes and 50 over five, half of them in each layout, and tells each as it goes; without
//! the variable it is a fifth of that. `MAYFLY_CHAOS_SEED` chooses others: the seed decides what is
//! done to whom, the machine how it falls out.

mod load;
pub mod random;
mod respawn;
pub mod swarm;

use std::thread;
use std::time::Duration;

use crate::client::{Client, Value};
use crate::cluster::{Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::wait;
use load::{Account, Kind, Load, Pace};
use random::Random;
use swarm::{Blow, Swarm};

on_both_layouts!(
    three_nodes_lose_nothing_to_random_kills,
    five_nodes_lose_nothing_to_random_kills_two_at_once_among_them,
    nodes_rejoin_under_full_load,
);

/// A log far smaller than the data, which is compacted every second or two, and time enough for an
/// election on a machine that has a lot to do.
const OPTIONS: &str = "--raft.log-max-cache-size 1mb --raft.append-req-max-size 256kb \
                       --no-leader-timeout 20s";

fn variable(name: &str, default: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text}, not a number")),
        Err(_) => default,
    }
}

fn three_nodes_lose_nothing_to_random_kills(layout: Layout) {
    run(3, layout, variable("MAYFLY_CHAOS_KILLS", 20).div_ceil(2));
}

fn five_nodes_lose_nothing_to_random_kills_two_at_once_among_them(layout: Layout) {
    run(5, layout, variable("MAYFLY_CHAOS_KILLS", 20).div_ceil(4));
}

fn run(count: u16, layout: Layout, kills: usize) {
    if is_stand_in() {
        return;
    }
    let seed = variable("MAYFLY_CHAOS_SEED", 1) as u64;
    println!("chaos: MAYFLY_CHAOS_SEED={seed} MAYFLY_CHAOS_KILLS={kills} {count} {layout:?}");
    let mut swarm = Swarm::start(count, layout, OPTIONS);
    prefill(swarm.ports()[0]);
    let load = Load::new("run", swarm.ports());
    let accounts: Vec<Account> = thread::scope(|scope| {
        let guard = load.stop_guard();
        let clients = load.start_all(scope);
        let mut chaos =
            Chaos { swarm: &mut swarm, load: &load, random: Random::new(seed), done: 0 };
        chaos.run(kills);
        drop(guard);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    load.check();
    swarm.settle(&load);
    check(&load, &accounts);
    swarm.stop();
}

/// Every node holds what the clients were told, and the same.
fn check(load: &Load, accounts: &[Account]) {
    let (counted, keys) = (load::counted(accounts), load::keys(accounts));
    println!("chaos: {counted} increments and {keys} keys are looked for on every node");
    let ports: Vec<u16> = load.hosts.iter().map(|host| host.port).collect();
    for port in &ports {
        load.verify(accounts, *port);
        check_prefill(*port);
    }
    swarm::check_digests(&ports);
}

const PREFILLED: usize = 20_000;

/// Many keys that nobody touches again: what is wrong with them, a snapshot has done.
fn prefill(port: u16) {
    let set = |number: usize| format!("SET {} {:.<100}", prefilled(number), number);
    let mut client = Client::connect(port);
    for first in (0..PREFILLED).step_by(1000) {
        let commands: Vec<String> = (first..first + 1000).map(set).collect();
        assert!(client.pipeline(&commands).unwrap().iter().all(|reply| *reply == Value::ok()));
    }
}

fn prefilled(number: usize) -> String {
    format!("prefilled:{number}")
}

fn check_prefill(port: u16) {
    let mut client = Client::connect(port);
    for first in (0..PREFILLED).step_by(1000) {
        let numbers = first..first + 1000;
        let commands: Vec<String> =
            numbers.clone().map(|number| format!("GET {}", prefilled(number))).collect();
        for (number, reply) in numbers.zip(client.pipeline(&commands).unwrap()) {
            assert_eq!(reply, Value::bulk(&format!("{number:.<100}")), "{number} at {port}");
        }
    }
}

struct Chaos<'a> {
    swarm: &'a mut Swarm,
    load: &'a Load,
    random: Random,
    done: usize,
}

/// What is done until the cluster is settled again.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// To one node, whichever it is.
    Any,
    Leader(Blow),
    Follower(Blow),
    /// To as many at once as may be.
    Minority,
    /// A node that dies again soon after its start: while it loads, or while it is swapped in.
    Twice,
    /// A node that stands still on its way back.
    Stall,
    /// The leader goes while another node is on its way back.
    LeaderDuringSwap,
}

/// Each at least once, however few the kills; then whatever comes.
const FIRST: [Step; 9] = [
    Step::Leader(Blow::Kill),
    Step::Twice,
    Step::Minority,
    Step::LeaderDuringSwap,
    Step::Leader(Blow::StandStill),
    Step::Leader(Blow::Terminate),
    Step::Stall,
    Step::Follower(Blow::Terminate),
    Step::Follower(Blow::Kill),
];

const LATER: [Step; 7] = [
    Step::Any,
    Step::Any,
    Step::Leader(Blow::Kill),
    Step::Minority,
    Step::Twice,
    Step::Stall,
    Step::LeaderDuringSwap,
];

impl Chaos<'_> {
    fn run(&mut self, kills: usize) {
        self.swarm.settle(self.load);
        let all: Vec<usize> = (0..self.swarm.len()).collect();
        let mut first = FIRST.into_iter();
        while self.done < kills {
            let step = first.next().unwrap_or_else(|| self.random.pick(&LATER));
            println!("chaos: {} of {kills} done, next: {step:?}", self.done);
            self.step(step);
            self.swarm.settle(self.load);
            self.load.wait_for_answers(&all, 5);
        }
    }

    fn step(&mut self, step: Step) {
        let leader = self.swarm.leader();
        match step {
            Step::Any => {
                let victim = self.random.below(self.swarm.len());
                let blow = self.any_blow();
                self.strike_and_restart(victim, blow);
            }
            Step::Leader(blow) => self.strike_and_restart(leader, blow),
            Step::Follower(blow) => {
                let victim = self.other_than(leader);
                self.strike_and_restart(victim, blow);
            }
            Step::Minority => self.strike_minority(),
            Step::Twice => self.strike_twice(Blow::Kill),
            Step::Stall => self.strike_twice(Blow::StandStill),
            Step::LeaderDuringSwap => self.strike_leader_during_swap(leader),
        }
    }

    fn any_blow(&mut self) -> Blow {
        self.random.pick(&[Blow::Kill, Blow::Kill, Blow::Kill, Blow::Terminate, Blow::StandStill])
    }

    fn other_than(&mut self, node: usize) -> usize {
        (node + 1 + self.random.below(self.swarm.len() - 1)) % self.swarm.len()
    }

    fn strike(&mut self, victim: usize, blow: Blow) {
        self.swarm.strike(self.load, victim, blow);
        self.done += 1;
    }

    fn strike_and_restart(&mut self, victim: usize, blow: Blow) {
        self.strike(victim, blow);
        if blow != Blow::StandStill {
            self.swarm.restart(victim);
        }
    }

    fn strike_minority(&mut self) {
        let minority = (self.swarm.len() - 1) / 2;
        let first = self.random.below(self.swarm.len());
        let victims: Vec<usize> =
            (first..first + minority).map(|victim| victim % self.swarm.len()).collect();
        for victim in &victims {
            self.strike(*victim, Blow::Kill);
        }
        victims.into_iter().for_each(|victim| self.swarm.restart(victim));
    }

    fn strike_twice(&mut self, again: Blow) {
        let victim = self.random.below(self.swarm.len());
        self.strike_and_restart(victim, Blow::Kill);
        // Before it is admitted, while it gets its snapshot, or while it is promoted.
        if self.random.below(3) > 0 {
            self.swarm.wait_until_admitted(self.load, victim);
        }
        wait::rest(Duration::from_millis(self.random.below(60) as u64));
        self.strike_and_restart(victim, again);
    }

    /// Two nodes are away then, so with three the leader only hands leadership on.
    fn strike_leader_during_swap(&mut self, leader: usize) {
        let victim = self.other_than(leader);
        self.strike_and_restart(victim, Blow::Kill);
        self.swarm.wait_until_admitted(self.load, victim);
        wait::rest(Duration::from_millis(self.random.below(30) as u64));
        let leader = self.swarm.leader();
        if self.swarm.len() < 5 || leader == victim {
            self.swarm.move_leadership(leader);
        } else {
            self.strike_and_restart(leader, Blow::Kill);
        }
    }
}

fn nodes_rejoin_under_full_load(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut swarm = Swarm::start(3, layout, OPTIONS);
    prefill(swarm.ports()[0]);
    let follower = swarm.cluster.followers()[0];
    rejoin_under_full_load(&mut swarm, follower, "follower");
    let leader = swarm.leader();
    rejoin_under_full_load(&mut swarm, leader, "leader");
    swarm.stop();
}

/// Clients of the two others work as hard as they can while a node is killed and comes back.
fn rejoin_under_full_load(swarm: &mut Swarm, victim: usize, name: &str) {
    const PIPELINE: Pace = Pace { width: 64, rest: Duration::ZERO };
    const LARGE: Pace = Pace { width: 16, rest: Duration::from_millis(5) };
    const ROUNDS: u64 = 300;
    let load = Load::new(name, swarm.ports());
    let survivors: Vec<usize> = (0..3).filter(|node| *node != victim).collect();
    let accounts: Vec<Account> = thread::scope(|scope| {
        let guard = load.stop_guard();
        let clients = survivors.iter().flat_map(|node| {
            [(Kind::Counter, PIPELINE), (Kind::Ballast, LARGE)]
                .map(|(kind, pace)| load.start(scope, *node, kind, pace))
        });
        let clients: Vec<_> = clients.collect();
        load.wait_for_answers(&survivors, ROUNDS);
        swarm.strike(&load, victim, Blow::Kill);
        load.wait_for_answers(&survivors, ROUNDS);
        swarm.restart(victim);
        swarm.settle(&load);
        load.wait_for_answers(&survivors, ROUNDS);
        drop(guard);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    load.check();
    check(&load, &accounts);
}
