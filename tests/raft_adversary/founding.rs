//! Nodes with a list of each other, none of which has a cluster at first: they ask, answer, decide,
//! die and start anew, in any order, and what they have heard may be old.
//!
//! A cluster could commit something once a majority of its founders has entered it. From then on,
//! and for as long as such a majority lives, no other cluster may come to that: it would serve the
//! same slots beside it.

use mayfly::raft::types::{Boot, ClusterId};
use mayfly::raft::{Answer, Decision, FreshNode, OnTotalLoss, decide, seen};

use crate::rng::Rng;

const STEPS: u64 = 300;

struct Node {
    own: FreshNode,
    cluster: Option<ClusterId>,
    /// What the others last answered, each with its address.
    heard: Vec<(String, Answer)>,
}

struct Cluster {
    id: ClusterId,
    founders: Vec<FreshNode>,
    /// Those that have entered it as founders.
    entered: Vec<Boot>,
    /// Whether somebody has joined since: then it has founders no more.
    is_changed: bool,
}

pub struct Founding {
    rng: Rng,
    nodes: Vec<Node>,
    clusters: Vec<Cluster>,
    last_boot: Boot,
    policy: OnTotalLoss,
    pub founded: u64,
}

impl Founding {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let count = 2 + rng.below(4) as usize;
        let policy = match rng.once_in(8) {
            true => OnTotalLoss::Manual,
            false => OnTotalLoss::Unanimous,
        };
        let (nodes, clusters) = (Vec::new(), Vec::new());
        let mut all = Self { rng, nodes, clusters, last_boot: 0, policy, founded: 0 };
        for slot in 0..count {
            let node = all.fresh(slot);
            all.nodes.push(node);
        }
        for slot in 0..count {
            all.nodes[slot].heard = all.silence(slot);
        }
        all
    }

    pub fn run(&mut self) {
        for _ in 0..STEPS {
            let at = self.rng.below(self.nodes.len() as u64) as usize;
            match self.rng.below(20) {
                0 => self.restart(at),
                1..=3 => self.decide(at),
                _ => self.ask(at),
            }
        }
    }

    fn fresh(&mut self, slot: usize) -> Node {
        self.last_boot += 1;
        let own = FreshNode {
            slot: format!("slot-{slot}"),
            boot: self.last_boot,
            client_address: format!("slot-{slot}:1"),
            peer_address: format!("slot-{slot}:2"),
        };
        Node { own, cluster: None, heard: Vec::new() }
    }

    /// What a node that has just started has heard of the others.
    fn silence(&self, at: usize) -> Vec<(String, Answer)> {
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != at);
        others.map(|(_, node)| (node.own.client_address.clone(), Answer::Silent)).collect()
    }

    fn restart(&mut self, at: usize) {
        self.nodes[at] = self.fresh(at);
        self.nodes[at].heard = self.silence(at);
    }

    /// One of the others answers, or does not.
    fn ask(&mut self, at: usize) {
        let count = self.nodes.len() as u64;
        let other = (at + 1 + self.rng.below(count - 1) as usize) % count as usize;
        let answer = match self.rng.once_in(5) {
            true => Answer::Silent,
            false => self.answer(other),
        };
        let address = self.nodes[other].own.client_address.clone();
        let heard = self.nodes[at].heard.iter_mut().find(|(known, _)| *known == address);
        heard.expect("every other node is on the list").1 = answer;
    }

    fn answer(&self, at: usize) -> Answer {
        let Node { own, cluster, heard } = &self.nodes[at];
        let Some(id) = cluster else {
            return Answer::Fresh { node: own.clone(), seen: seen(own, heard) };
        };
        let known = self.clusters.iter().find(|known| known.id == *id).expect("it was founded");
        let founders = match known.is_changed {
            true => Vec::new(),
            false => known.founders.clone(),
        };
        Answer::Member { cluster: *id, founders }
    }

    fn decide(&mut self, at: usize) {
        let Node { own, cluster: None, heard } = &self.nodes[at] else { return };
        let own = own.clone();
        match decide(&own, heard, self.policy) {
            Decision::Found(founders) => {
                assert_eq!(self.policy, OnTotalLoss::Unanimous, "founded against the policy");
                let id = self.clusters.len() as ClusterId + 1;
                self.founded += 1;
                let entered = Vec::new();
                self.clusters.push(Cluster { id, founders, entered, is_changed: false });
                self.enter(at, id);
            }
            Decision::Follow { cluster, founders } => {
                assert!(founders.contains(&own), "followed by who is no founder");
                self.enter(at, cluster);
            }
            // Who joins is admitted by a majority, or asks again.
            Decision::Join => self.join(at),
            Decision::Wait(_) => {}
        }
    }

    fn enter(&mut self, at: usize, id: ClusterId) {
        let others = self.clusters.iter().filter(|other| other.id != id);
        let alive: Vec<ClusterId> =
            others.filter(|other| self.has_majority(other)).map(|other| other.id).collect();
        let boot = self.nodes[at].own.boot;
        self.nodes[at].cluster = Some(id);
        let cluster = self.clusters.iter_mut().find(|known| known.id == id).expect("founded");
        cluster.entered.push(boot);
        let cluster = self.clusters.iter().find(|known| known.id == id).expect("founded");
        assert!(
            alive.is_empty() || !self.has_majority(cluster),
            "clusters {alive:?} and {id} can both commit"
        );
    }

    fn join(&mut self, at: usize) {
        let asked = self.nodes[at].heard.iter().find_map(|(_, answer)| match answer {
            Answer::Member { cluster, .. } => Some(*cluster),
            _ => None,
        });
        let id = asked.expect("who joins has heard of a cluster");
        let place = self.clusters.iter().position(|known| known.id == id).expect("founded");
        if self.has_majority(&self.clusters[place]) {
            // The newcomer takes its slot over, and founders count for nothing any more.
            let cluster = &mut self.clusters[place];
            cluster.is_changed = true;
            let own = self.nodes[at].own.clone();
            let seat = cluster.founders.iter_mut().find(|founder| founder.slot == own.slot);
            if let Some(seat) = seat {
                *seat = own.clone();
            }
            cluster.entered.push(own.boot);
            self.nodes[at].cluster = Some(id);
        }
    }

    /// Whether a majority of the voters of `cluster` has entered it and lives.
    fn has_majority(&self, cluster: &Cluster) -> bool {
        let is_alive = |boot: Boot| self.nodes.iter().any(|node| node.own.boot == boot);
        let is_in =
            |voter: &&FreshNode| cluster.entered.contains(&voter.boot) && is_alive(voter.boot);
        2 * cluster.founders.iter().filter(is_in).count() > cluster.founders.len()
    }
}
