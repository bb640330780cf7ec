//! The raft role where the cluster as a whole is in question: founded by the nodes of a list, or
//! without a quorum.

use std::sync::Arc;

use super::super::join::Credentials;
use super::RaftRole;
use crate::limits::ASKING_NODES_MAX;
use crate::net::ring::Ring;
use crate::node::admin::{Admin, Awaited};
use crate::node::mailbox::{AdminCommand, Listed, ToApply};
use crate::node::peers::{self, Search};
use crate::node::report::{LostQuorum, LostSlot};
use crate::node::shared::{NodeState, random_id};
use crate::raft::types::{Applicant, Boot, ClusterId, MemberId};
use crate::raft::{FreshNode, LogId, OnTotalLoss, Raft};

impl RaftRole {
    /// Looks for the cluster of the listed nodes, or founds it with them, on a thread of its own.
    pub fn find_listed(&mut self, others: Vec<String>, policy: OnTotalLoss) {
        self.shared.set_state(NodeState::Joining);
        self.listed = Some(Listed::default());
        let credentials = Credentials::of(&self.live);
        let search = Search::new(others, policy, credentials, Arc::clone(&self.shared));
        search.start(self.own_mailbox.clone());
    }

    pub(super) fn polled(&mut self, listed: Listed) {
        self.listed = Some(listed);
    }

    /// Enters a cluster as one of its founders. A process does so once in its life at most: that is
    /// what keeps two sets of founders from both having a majority.
    pub(super) fn found(&mut self, cluster: ClusterId, founders: &[FreshNode]) {
        let position = founders.iter().position(|node| node.boot == self.shared.boot);
        let Some(position) = position.filter(|_| self.member.is_none()) else {
            log::warn!("not founding cluster {cluster:032x}: this node is in another one");
            return;
        };
        let id = MemberId(position as u64 + 1);
        let raft = Raft::found(self.settings.raft.clone(), cluster, id, founders, self.now);
        self.enter(cluster, id, raft);
        log::warn!(
            "founded the new, empty cluster {cluster:032x} as member {id} of {}",
            founders.len()
        );
    }

    /// Tells another listed node who this one is.
    pub(super) fn tell_state(&self, admin: Admin) {
        let own = self.shared.fresh_node();
        let (cluster, nodes) = match (&self.member, &self.listed) {
            (Some(member), _) => (Some(member.links.identity().cluster), member.raft.founders()),
            (None, Some(listed)) => (None, listed.seen.clone()),
            (None, None) => (None, Vec::new()),
        };
        self.answers.answer(admin, |reply| peers::write_state(reply, &own, cluster, &nodes));
    }

    /// Why an administrator may not create a cluster on this node, which has none. Listed nodes
    /// that wait for each other leave it to him, but not those that see a survivor.
    pub(super) fn init_refusal(&self) -> Option<&'static str> {
        match &self.listed {
            Some(Listed { sees_cluster: true, .. }) => Some("ERR a listed node is in a cluster"),
            Some(_) => None,
            None if self.shared.state() == NodeState::Joining => Some("ERR Already cluster member"),
            None => None,
        }
    }

    /// Somebody asks to be admitted while there is no leader: of use to an operator who looks at a
    /// lost quorum.
    pub(super) fn note_asking(&mut self, command: &AdminCommand) {
        let Some(member) = &self.member else { return };
        let AdminCommand::Admit(Applicant { slot, boot, .. }) = command else { return };
        if member.raft.leader_id().is_some() {
            return;
        }
        self.asking.note(slot, *boot);
    }

    /// Shows a lost quorum, and its end.
    pub(super) fn watch_quorum(&mut self) {
        let Some(member) = &self.member else { return };
        if member.raft.leader_id().is_some() {
            self.asking.0.clear();
        }
        let is_lost = member.raft.is_quorum_lost();
        match self.shared.state() {
            state @ (NodeState::Up | NodeState::Joining) if is_lost => {
                self.state_before_loss = state;
                self.shared.set_state(NodeState::QuorumLost);
                let last = member.raft.last_log_id();
                log::error!(
                    "the quorum is lost: no majority of the voters answers. This node halts; its \
                     log ends with {last}, in term {}, committed up to {}. INFO raft shows what \
                     is known of the others; only RAFT.CLUSTER FORCE-RECOVER goes on without them",
                    member.raft.term(),
                    member.raft.commit_index(),
                );
            }
            NodeState::QuorumLost if !is_lost => self.shared.set_state(self.state_before_loss),
            _ => {}
        }
    }

    pub(super) fn lost_quorum(&self) -> Option<LostQuorum> {
        let member = self.member.as_ref()?;
        if self.shared.state() != NodeState::QuorumLost {
            return None;
        }
        let configuration = member.raft.configuration();
        let voters = configuration.members.iter().filter(|it| configuration.is_voter(it.id));
        let known = voters.map(|voter| LostSlot {
            slot: voter.slot.clone(),
            known: Some((voter.id, voter.boot)),
            asking: self.asking.boot_of(&voter.slot),
            is_heard: voter.id == member.raft.id() || member.raft.is_heard(voter.id),
        });
        let mut slots: Vec<LostSlot> = known.collect();
        for (slot, boot) in &self.asking.0 {
            if slots.iter().all(|known| known.slot != *slot) {
                let slot = slot.clone();
                slots.push(LostSlot { slot, known: None, asking: Some(*boot), is_heard: false });
            }
        }
        Some(LostQuorum { last: member.raft.last_log_id(), slots })
    }

    /// RAFT.CLUSTER FORCE-RECOVER: goes on alone in a cluster with a new id, which nobody of the
    /// former one can talk to. The member keeps its id, bound to the new cluster.
    pub(super) fn force_recover(
        &mut self,
        ring: &mut Ring,
        admin: Admin,
        cluster: ClusterId,
        last: LogId,
    ) {
        let Some(member) = &mut self.member else { return self.refuse_without_cluster(admin) };
        let former = member.links.identity().cluster;
        if cluster != former {
            let text = format!("ERR this node belongs to cluster {former:032x}");
            return self.answers.error(admin, &text);
        }
        let index = match member.raft.force_recover(last) {
            Ok(index) => index,
            Err(error) => return self.answers.error(admin, &format!("ERR {error}")),
        };
        let cluster = random_id();
        member.leave_peers(ring, &self.apply, cluster);
        self.apply.send(ToApply::Recovered { index });
        self.asking.0.clear();
        log::warn!(
            "recovered by force: cluster {former:032x} goes on as {cluster:032x} with member {} \
             alone, from {last} on",
            member.raft.id(),
        );
        self.answers.await_configuration(admin, index, Awaited::Created);
    }
}

/// Who asks to be admitted, by slot, oldest first. Of several processes of a slot the last counts;
/// over [`ASKING_NODES_MAX`] slots the oldest is forgotten.
#[derive(Default)]
pub struct Asking(Vec<(String, Boot)>);

impl Asking {
    fn note(&mut self, slot: &str, boot: Boot) {
        self.0.retain(|(known, _)| known != slot);
        if self.0.len() >= ASKING_NODES_MAX {
            self.0.remove(0);
        }
        self.0.push((slot.to_owned(), boot));
    }

    fn boot_of(&self, slot: &str) -> Option<Boot> {
        self.0.iter().find(|(known, _)| known == slot).map(|(_, boot)| *boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::node::mailbox::{Mailbox, ToRaft};
    use crate::node::settings::{Live, SharedSettings};
    use crate::node::shared::Shared;
    use crate::raft::Now;
    use crate::raft::types::{Configuration, Index};

    const OWN_BOOT: Boot = 7;

    /// The raft role of a node that has no cluster, and its mailbox.
    fn role() -> (RaftRole, flume::Receiver<ToRaft>) {
        let address = "127.0.0.1:1".to_owned();
        let layout = "one core".to_owned();
        let shared = Shared::new("b".to_owned(), OWN_BOOT, address.clone(), address, 1, layout);
        let (to_raft, inbox) = flume::unbounded();
        let role = RaftRole::new(
            Live::new(Arc::new(SharedSettings::new(Settings::default(), None))),
            inbox.clone(),
            Mailbox::new(to_raft, None),
            Mailbox::new(flume::unbounded().0, None),
            vec![Mailbox::new(flume::unbounded().0, None)],
            Arc::new(shared),
            Now::default(),
        );
        (role, inbox)
    }

    fn founders(boots: [Boot; 3]) -> Vec<FreshNode> {
        let node = |(slot, boot): (&str, Boot)| FreshNode {
            slot: slot.to_owned(),
            boot,
            client_address: format!("{slot}:1"),
            peer_address: format!("{slot}:2"),
        };
        ["a", "b", "c"].into_iter().zip(boots).map(node).collect()
    }

    fn membership(role: &RaftRole) -> Option<(ClusterId, MemberId)> {
        let identity = role.member.as_ref()?.links.identity();
        Some((identity.cluster, identity.member))
    }

    #[test]
    fn a_process_founds_one_cluster_in_its_life_and_only_one_that_names_it() {
        let (mut role, _inbox) = role();
        role.found(1, &founders([6, 66, 8]));
        assert_eq!(membership(&role), None, "another process of this slot is meant");
        role.found(2, &founders([6, OWN_BOOT, 8]));
        assert_eq!(membership(&role), Some((2, MemberId(2))));
        role.found(3, &founders([66, OWN_BOOT, 8]));
        assert_eq!(membership(&role), Some((2, MemberId(2))));
    }

    #[test]
    fn a_node_that_had_lost_its_quorum_learns_of_its_removal() {
        let (mut role, _inbox) = role();
        role.found(1, &founders([6, OWN_BOOT, 8]));
        role.shared.set_state(NodeState::QuorumLost);
        role.follow_membership(Index(9), &Configuration::default());
        assert_eq!(role.shared.state(), NodeState::Removed);
    }

    #[test]
    fn an_administrator_may_create_a_cluster_unless_a_listed_node_is_in_one() {
        let (mut role, _inbox) = role();
        assert_eq!(role.init_refusal(), None);
        role.shared.set_state(NodeState::Joining);
        assert_eq!(role.init_refusal(), Some("ERR Already cluster member"));
        role.polled(Listed::default());
        assert_eq!(role.init_refusal(), None);
        role.polled(Listed { sees_cluster: true, ..Listed::default() });
        assert_eq!(role.init_refusal(), Some("ERR a listed node is in a cluster"));
    }

    #[test]
    fn of_each_slot_the_last_process_is_remembered_and_of_too_many_slots_the_last() {
        let mut asking = Asking::default();
        asking.note("a", 1);
        asking.note("b", 2);
        asking.note("a", 3);
        assert_eq!((asking.boot_of("a"), asking.boot_of("b")), (Some(3), Some(2)));
        (0..ASKING_NODES_MAX - 1).for_each(|number| asking.note(&number.to_string(), 9));
        assert_eq!(asking.0.len(), ASKING_NODES_MAX);
        assert_eq!((asking.boot_of("a"), asking.boot_of("b")), (Some(3), None));
    }
}
