//! The birth of a cluster from a static list of nodes: who may found it, and with which log.
//!
//! Without a disk, "all nodes have lost everything" and "this is the first start" are the same
//! thing, so a list of nodes founds a cluster by itself only when every one of them says that it is
//! fresh: one that is silent may hold the data. [`decide`] is that rule, for one node, from what
//! the others have answered; [`Raft::found`] is the member that comes of it. Neither asks anybody.
//!
//! # Why two clusters cannot both come to be
//! The listed node whose slot name sorts first draws the cluster id, and the others take it over
//! from whoever has it already, if it names their own boot. A process enters one cluster in its
//! life. Two sets of founders over the same slots, each with a majority of its processes alive,
//! would share a process; a process that was replaced meanwhile has another boot, and is a founder
//! of the later set alone.

use std::sync::Arc;

use super::rng::Rng;
use super::types::{Boot, ClusterId, Configuration, Entry, EntryBody, Index, Member, MemberId};
use super::types::{Millis, Term};
use super::{Config, MEMBERS_MAX, Now, Raft};

/// A process of a listed node, as it describes itself while it has no cluster. Sorted by slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FreshNode {
    pub slot: String,
    pub boot: Boot,
    /// `host:port` where its clients connect.
    pub client_address: String,
    /// `host:port` where its peers connect.
    pub peer_address: String,
}

/// What a listed node has said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Silent,
    /// It has no cluster. `seen`: itself and the other nodes of its list that told it the same.
    Fresh {
        node: FreshNode,
        seen: Vec<FreshNode>,
    },
    /// It is in a cluster. `founders`: who founded that, as long as nobody else has joined.
    Member {
        cluster: ClusterId,
        founders: Vec<FreshNode>,
    },
}

/// What happens when all listed nodes are fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTotalLoss {
    /// They found a new, empty cluster.
    Unanimous,
    /// They wait for an administrator.
    Manual,
}

/// What a listed node without a cluster does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Draws a cluster id and founds the cluster.
    Found(Vec<FreshNode>),
    /// Takes the place that it has among the founders of this cluster.
    Follow { cluster: ClusterId, founders: Vec<FreshNode> },
    /// Asks to be admitted to a cluster that is there.
    Join,
    /// Asks again; why, for the operator.
    Wait(String),
}

/// Decides from the answers of the other nodes of the list, each with its address.
pub fn decide(own: &FreshNode, others: &[(String, Answer)], policy: OnTotalLoss) -> Decision {
    let mut clusters = others.iter().filter_map(|(_, answer)| match answer {
        Answer::Member { cluster, founders } => Some((*cluster, founders)),
        _ => None,
    });
    let names_own = |founders: &[FreshNode]| founders.contains(own) && is_sound(founders);
    if let Some((cluster, founders)) = clusters.clone().find(|(_, them)| names_own(them)) {
        return Decision::Follow { cluster, founders: founders.clone() };
    }
    if clusters.next().is_some() {
        return Decision::Join;
    }
    let addresses = |wanted: &dyn Fn(&Answer) -> bool| {
        let found = others.iter().filter(|(_, answer)| wanted(answer));
        found.map(|(address, _)| address.as_str()).collect::<Vec<_>>().join(", ")
    };
    let silent = addresses(&|answer| *answer == Answer::Silent);
    if !silent.is_empty() {
        return Decision::Wait(format!("no answer from {silent}"));
    }
    let founders = seen(own, others);
    if let Some(pair) = founders.windows(2).find(|pair| pair[0].slot == pair[1].slot) {
        return Decision::Wait(format!("two of the listed nodes have the name {}", pair[0].slot));
    }
    if policy == OnTotalLoss::Manual {
        return Decision::Wait("all listed nodes are fresh: RAFT.CLUSTER INIT decides".to_owned());
    }
    let differs =
        addresses(&|answer| !matches!(answer, Answer::Fresh { seen, .. } if *seen == founders));
    if !differs.is_empty() {
        return Decision::Wait(format!(
            "another list of nodes, or not yet all of them, at {differs}"
        ));
    }
    if !is_sound(&founders) {
        return Decision::Wait(format!("more than {MEMBERS_MAX} nodes, or one of them twice"));
    }
    match founders.first() {
        Some(first) if first == own => Decision::Found(founders),
        _ => Decision::Wait(format!("{} is to found the cluster", founders[0].slot)),
    }
}

/// The fresh nodes among those that answered, and the own one, sorted.
pub fn seen(own: &FreshNode, others: &[(String, Answer)]) -> Vec<FreshNode> {
    let fresh = others.iter().filter_map(|(_, answer)| match answer {
        Answer::Fresh { node, .. } => Some(node.clone()),
        _ => None,
    });
    let mut all: Vec<_> = fresh.chain([own.clone()]).collect();
    all.sort();
    all
}

/// Whether these can be the founders of a cluster: each slot and each process once, in order.
fn is_sound(founders: &[FreshNode]) -> bool {
    let is_known = |at: usize| founders[..at].iter().any(|other| other.boot == founders[at].boot);
    founders.len() <= MEMBERS_MAX
        && founders.windows(2).all(|pair| pair[0].slot < pair[1].slot)
        && !(0..founders.len()).any(is_known)
}

impl Raft {
    /// Founder `id` of a cluster: the id is the position in `founders`, from 1 on.
    ///
    /// The log of every founder begins with the same entries, which nobody needs to replicate and
    /// which count as committed: one for each id, so that none of these ids can be given again, the
    /// last of them the configuration with all founders as voters. Who leads is left to an
    /// election.
    ///
    /// Precondition: `founders` are what [`decide`] has decided on, and `id` is one of them.
    pub fn found(
        config: Config,
        cluster: ClusterId,
        id: MemberId,
        founders: &[FreshNode],
        now: Now,
    ) -> Self {
        assert!(is_sound(founders), "founders are decided on");
        let count = founders.len() as u64;
        assert!((1..=count).contains(&id.0), "a founder has one of the first ids");
        let mut raft = Self::new(config, id, now);
        raft.term = FOUNDING_TERM;
        let mut chance = Rng::new((cluster >> 64) as u64 ^ cluster as u64);
        for index in 1..=count {
            let body = match index == count {
                true => EntryBody::Configuration(Arc::new(founding_configuration(founders))),
                false => EntryBody::Noop,
            };
            // Every founder makes these entries by itself, and must draw the same.
            let seed = chance.next_u64();
            let (index, term) = (Index(index), FOUNDING_TERM);
            raft.push(Entry { index, term, at_ms: FOUNDING_AT_MS, seed, body });
        }
        raft.commit_index = raft.log.last_index();
        raft.dirty = true;
        raft
    }

    /// The founders of the cluster, while the configuration is still that of its first entries.
    pub fn founders(&self) -> Vec<FreshNode> {
        let (index, configuration) = self.active();
        let members = &configuration.members;
        // Whatever changed it stands behind the first entries.
        if index.0 != members.len() as u64 || configuration.voters.len() != members.len() {
            return Vec::new();
        }
        let fresh = |member: &Member| FreshNode {
            slot: member.slot.clone(),
            boot: member.boot,
            client_address: member.client_address.clone(),
            peer_address: member.peer_address.clone(),
        };
        members.iter().map(fresh).collect()
    }
}

/// No election takes place in it: candidates stand in later ones.
const FOUNDING_TERM: Term = Term(1);

/// The founders have no clock in common, and that of the log only needs to be no later than their
/// first leader's.
const FOUNDING_AT_MS: Millis = 0;

fn founding_configuration(founders: &[FreshNode]) -> Configuration {
    let members = founders.iter().zip(1..).map(|(node, id)| Member {
        id: MemberId(id),
        slot: node.slot.clone(),
        boot: node.boot,
        client_address: node.client_address.clone(),
        peer_address: node.peer_address.clone(),
        observer: false,
    });
    let members: Vec<Member> = members.collect();
    let voters = members.iter().map(|member| member.id).collect();
    Configuration { voters, members, ..Configuration::default() }
}

#[cfg(test)]
mod tests;
