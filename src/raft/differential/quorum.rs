//! What a quorum has reached and how a vote stands, of majorities and of joint configurations.

use std::collections::BTreeSet;

use ::raft::ProgressTracker;
use ::raft::eraftpb::ConfChangeType;
use proptest::collection::{btree_set, vec};
use proptest::prelude::{Just, ProptestConfig, Strategy, any};
use proptest::{prop_assert_eq, prop_oneof, proptest};

use super::{change, enter_joint, tracker};
use crate::raft::quorum::{Votes, is_quorum, reached_by_quorum};
use crate::raft::testing::configuration;
use crate::raft::types::{Configuration, MemberId};

/// Ids of voters; those above are never in a configuration.
const VOTER_ID_MAX: u64 = 12;
const STRANGER_ID_MAX: u64 = 14;

/// The two halves of a configuration; without the second one it is not joint.
fn halves() -> impl Strategy<Value = (BTreeSet<u64>, BTreeSet<u64>)> {
    let half = || btree_set(1..=VOTER_ID_MAX, 1..=9);
    (half(), prop_oneof![Just(BTreeSet::new()), half()])
}

/// The same configuration on both sides.
fn both(incoming: &BTreeSet<u64>, outgoing: &BTreeSet<u64>) -> (Configuration, ProgressTracker) {
    let list = |ids: &BTreeSet<u64>| ids.iter().copied().collect::<Vec<_>>();
    let own = configuration(&list(incoming), &list(outgoing), &[]);
    if outgoing.is_empty() {
        return (own, tracker(incoming));
    }
    let mut reference = tracker(outgoing);
    let added = incoming.difference(outgoing).map(|id| change(ConfChangeType::AddNode, *id));
    let removed = outgoing.difference(incoming).map(|id| change(ConfChangeType::RemoveNode, *id));
    enter_joint(&mut reference, &added.chain(removed).collect::<Vec<_>>());
    (own, reference)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Few different values, so that many are equal; 0 stands for a voter that never answered.
    #[test]
    fn the_commit_index_is_what_the_reference_commits(
        (incoming, outgoing) in halves(),
        matched in vec(0..20u64, VOTER_ID_MAX as usize),
    ) {
        let (own, mut reference) = both(&incoming, &outgoing);
        for id in incoming.union(&outgoing) {
            let progress = reference.get_mut(*id).expect("a voter has its progress");
            progress.matched = matched[*id as usize - 1];
        }
        let reached = reached_by_quorum(&own, |id| matched[id.0 as usize - 1]);
        prop_assert_eq!(reached, reference.maximal_committed_index().0);
    }

    #[test]
    fn a_vote_stands_as_it_does_for_the_reference_after_every_answer(
        (incoming, outgoing) in halves(),
        answers in vec((1..=STRANGER_ID_MAX, any::<bool>()), 0..24),
    ) {
        let (own, mut reference) = both(&incoming, &outgoing);
        let mut votes = Votes::default();
        for (id, granted) in answers {
            votes.record(MemberId(id), granted);
            reference.record_vote(id, granted);
            // The type of the reference has no name outside of its crate, its variants have ours.
            let (_, _, expected) = reference.tally_votes();
            let result = votes.result(&own);
            prop_assert_eq!(format!("{result:?}"), format!("{expected:?}"));
        }
    }

    #[test]
    fn a_set_of_members_is_a_quorum_when_the_reference_says_so(
        (incoming, outgoing) in halves(),
        present in btree_set(1..=STRANGER_ID_MAX, 0..12),
    ) {
        let (own, reference) = both(&incoming, &outgoing);
        let result = is_quorum(&own, |id| present.contains(&id.0));
        prop_assert_eq!(result, reference.has_quorum(&present.iter().copied().collect()));
    }
}
