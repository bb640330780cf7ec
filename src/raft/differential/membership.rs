//! What each change of the members makes of the configuration, through walks of admissions,
//! promotions and removals, and what the leader commits under each configuration.
//!
//! Ours decides what a change consists of, by slots; the reference is told that as its list of
//! single changes and works out the halves, the learners and whom to keep track of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::raft::eraftpb::{ConfChangeSingle, ConfChangeType};
use ::raft::{Changer, ProgressTracker};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, TestCaseError, any};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{change, change_simply, enter_joint, leave_joint, tracker};
use crate::raft::testing::{T, accepted, applicant, at, configuration, leader_of, message};
use crate::raft::types::{Configuration, EntryBody, Index, MemberId};
use crate::raft::{MembershipError, Raft};

/// The leader of [`leader_of`], and the configuration that its log begins with.
const LEADER: u64 = 1;
const FIRST_CONFIGURATION: Index = Index(10);

#[derive(Clone, Debug)]
enum Event {
    /// A new process asks for one of the slots, and may never be heard again.
    Admit { slot: u64, silent: bool },
    /// The member at this position, if there is one, is to be removed.
    Remove { position: usize },
    /// The member at this position says nothing any more, or speaks again.
    Toggle { position: usize },
    /// Everybody who speaks acknowledges the log, and the leader has a pass.
    Answer,
    /// The same for so long that the silent count as dead.
    PassTime,
    /// The member at this position dies, and a new process asks for its slot.
    Replace { position: usize },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1..8u64, any::<bool>()).prop_map(|(slot, silent)| Event::Admit { slot, silent }),
        2 => (0..10usize).prop_map(|position| Event::Remove { position }),
        1 => (0..10usize).prop_map(|position| Event::Toggle { position }),
        6 => Just(Event::Answer),
        2 => Just(Event::PassTime),
        1 => (0..10usize).prop_map(|position| Event::Replace { position }),
    ]
}

/// How often each change was compared in a walk.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    admitted: u64,
    stale_dropped: u64,
    learners_removed: u64,
    voters_removed: u64,
    promoted: u64,
    swapped: u64,
    left: u64,
}

struct Walk {
    leader: Raft,
    reference: ProgressTracker,
    silent: BTreeSet<u64>,
    now_ms: u64,
    boots: u128,
    /// The last entry that was looked at, and the configuration up to there.
    looked_at: Index,
    last: Configuration,
    /// What a call is said to have done, by the index that it returned.
    asked: BTreeMap<u64, Vec<ConfChangeSingle>>,
    /// The most that the reference would have committed.
    committed: u64,
    seen: Seen,
}

fn ids(members: &[MemberId]) -> BTreeSet<u64> {
    members.iter().map(|id| id.0).collect()
}

impl Walk {
    fn new(voters: u64) -> Self {
        let voters: Vec<u64> = (1..=voters).collect();
        let first = configuration(&voters, &[], &[]);
        Self {
            leader: leader_of(first.clone()),
            reference: tracker(&voters.iter().copied().collect()),
            silent: BTreeSet::new(),
            now_ms: 0,
            boots: 1000,
            looked_at: FIRST_CONFIGURATION,
            last: first,
            asked: BTreeMap::new(),
            committed: 0,
            seen: Seen::default(),
        }
    }

    fn happen(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match *event {
            Event::Admit { slot, silent } => self.admit(&format!("slot-{slot}"), silent),
            Event::Remove { position } => self.remove(position)?,
            Event::Toggle { position } => {
                if let Some(id) = self.member_at(position)
                    && !self.silent.remove(&id)
                {
                    self.silent.insert(id);
                }
            }
            Event::Answer => self.answer()?,
            Event::PassTime => self.pass_time()?,
            Event::Replace { position } => {
                let members = &self.leader.configuration().members;
                if let Some(member) = members.get(position).cloned() {
                    self.silent.insert(member.id.0);
                    self.pass_time()?;
                    self.admit(&member.slot, false);
                }
            }
        }
        self.look()
    }

    fn member_at(&self, position: usize) -> Option<u64> {
        self.leader.configuration().members.get(position).map(|member| member.id.0)
    }

    fn pass_time(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..10 {
            self.now_ms += T / 2;
            self.answer()?;
        }
        Ok(())
    }

    fn admit(&mut self, slot: &str, silent: bool) {
        self.boots += 1;
        let before = Arc::clone(self.leader.configuration());
        let Ok(index) = self.leader.admit(applicant(slot, self.boots)) else { return };
        if silent {
            self.silent.insert(index.0);
        }
        let is_stale = |id: &&MemberId| before.member(**id).is_some_and(|m| m.slot == slot);
        let stale = before.learners.iter().filter(is_stale);
        let mut changes: Vec<_> =
            stale.map(|id| change(ConfChangeType::RemoveNode, id.0)).collect();
        self.seen.stale_dropped += changes.len() as u64;
        self.seen.admitted += 1;
        changes.push(change(ConfChangeType::AddLearnerNode, index.0));
        self.asked.insert(index.0, changes);
    }

    fn remove(&mut self, position: usize) -> Result<(), TestCaseError> {
        let Some(id) = self.member_at(position) else { return Ok(()) };
        let changes = vec![change(ConfChangeType::RemoveNode, id)];
        match self.leader.remove(MemberId(id)) {
            Ok(index) => {
                self.asked.insert(index.0, changes);
            }
            Err(MembershipError::LastVoter) => {
                let refused = Changer::new(&self.reference).enter_joint(true, &changes).is_err();
                prop_assert!(refused, "the last voter");
            }
            // A change goes on, or a majority of those who would remain does not answer.
            Err(_) => {}
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<(), TestCaseError> {
        self.leader.set_now(at(self.now_ms));
        let (term, last_index) = (self.leader.term().0, self.leader.status().last_index);
        for peer in self.leader.status().peers {
            if !self.silent.contains(&peer.id.0) {
                let body = accepted(last_index.0, 0);
                self.leader.step(message(peer.id.0, LEADER, term, body));
            }
        }
        self.leader.tick();
        self.look()?;
        let before = self.leader.commit_index().0;
        self.count();
        self.leader.take_output();
        self.look()?;
        self.count();
        if self.leader.is_leader() {
            prop_assert_eq!(self.leader.commit_index().0, self.committed.max(before));
        }
        Ok(())
    }

    /// What the reference would commit now.
    fn count(&mut self) {
        let status = self.leader.status();
        for peer in &status.peers {
            if let Some(progress) = self.reference.get_mut(peer.id.0) {
                progress.matched = peer.match_index.0;
            }
        }
        if let Some(progress) = self.reference.get_mut(LEADER) {
            progress.matched = status.last_index.0;
        }
        self.committed = self.committed.max(self.reference.maximal_committed_index().0);
    }

    /// Compares every configuration that is new in the leader's log.
    fn look(&mut self) -> Result<(), TestCaseError> {
        while let Some(entry) = self.leader.entry(self.looked_at.next()).cloned() {
            self.looked_at = entry.index;
            if let EntryBody::Configuration(next) = entry.body {
                self.follow(entry.index, &next);
                self.compare(&next)?;
                self.last = Configuration::clone(&next);
            }
        }
        Ok(())
    }

    /// Has the reference make the change that led to `next`.
    fn follow(&mut self, index: Index, next: &Configuration) {
        if self.last.is_joint() {
            self.seen.left += 1;
            return leave_joint(&mut self.reference);
        }
        let Some(changes) = self.asked.remove(&index.0) else {
            return self.follow_promotion(next);
        };
        let removes = changes.iter().all(|c| c.get_change_type() == ConfChangeType::RemoveNode);
        if removes && self.last.is_voter(MemberId(changes[0].get_node_id())) {
            self.seen.voters_removed += 1;
            enter_joint(&mut self.reference, &changes);
        } else {
            self.seen.learners_removed += u64::from(removes);
            for single in changes {
                change_simply(&mut self.reference, &[single]);
            }
        }
    }

    /// Nobody asked for it: a learner has caught up. Who has its slot goes.
    fn follow_promotion(&mut self, next: &Configuration) {
        let promoted = next.voters.iter().find(|id| !self.last.voters.contains(id));
        let promoted = promoted.expect("a new voter");
        let slot = |id: MemberId| self.last.member(id).map(|member| &member.slot);
        let is_replaced = |id: &&MemberId| slot(**id) == slot(*promoted);
        let replaced = self.last.voters.iter().filter(is_replaced);
        let mut changes: Vec<_> =
            replaced.map(|id| change(ConfChangeType::RemoveNode, id.0)).collect();
        self.seen.swapped += changes.len() as u64;
        self.seen.promoted += 1;
        changes.push(change(ConfChangeType::AddNode, promoted.0));
        enter_joint(&mut self.reference, &changes);
    }

    fn compare(&self, next: &Configuration) -> Result<(), TestCaseError> {
        let expected = self.reference.conf().to_conf_state();
        let set = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<_>>();
        prop_assert_eq!(ids(&next.voters), set(expected.get_voters()));
        prop_assert_eq!(ids(&next.voters_outgoing), set(expected.get_voters_outgoing()));
        prop_assert_eq!(ids(&next.learners), set(expected.get_learners()));
        // Ours never makes a voter a learner again.
        prop_assert!(expected.get_learners_next().is_empty());
        let tracked: BTreeSet<u64> = self.reference.iter().map(|(id, _)| *id).collect();
        let members: Vec<u64> = next.members.iter().map(|member| member.id.0).collect();
        prop_assert!(members.is_sorted(), "{:?}", members);
        prop_assert_eq!(members, tracked.into_iter().collect::<Vec<_>>());
        Ok(())
    }
}

fn walk(voters: u64, events: &[Event]) -> Result<Seen, TestCaseError> {
    let mut walk = Walk::new(voters);
    for event in events {
        if !walk.leader.is_leader() {
            break;
        }
        walk.happen(event)?;
    }
    Ok(walk.seen)
}

/// Chance alone could leave out what matters most: each kind of change, as often as it came up.
#[test]
fn the_walks_come_upon_every_kind_of_change() {
    let mut runner = TestRunner::deterministic();
    let mut total = Seen::default();
    for _ in 0..300 {
        let tree = (1..6u64, vec(event(), 1..60)).new_tree(&mut runner).expect("no filter");
        let (voters, events) = tree.current();
        let seen = walk(voters, &events).expect("compared elsewhere too");
        total.admitted += seen.admitted;
        total.stale_dropped += seen.stale_dropped;
        total.learners_removed += seen.learners_removed;
        total.voters_removed += seen.voters_removed;
        total.promoted += seen.promoted;
        total.swapped += seen.swapped;
        total.left += seen.left;
    }
    let Seen { admitted, stale_dropped, learners_removed, voters_removed, .. } = total;
    for count in [admitted, stale_dropped, learners_removed, voters_removed, total.left] {
        assert!(count > 20, "{total:?}");
    }
    assert!(total.swapped > 20 && total.promoted > total.swapped, "{total:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_change_makes_the_configuration_that_the_reference_makes(
        voters in 1..6u64,
        events in vec(event(), 1..60),
    ) {
        walk(voters, &events)?;
    }
}
