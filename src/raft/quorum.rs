//! Majorities: what a quorum of a configuration has reached, and how a vote stands. Pure functions
//! of a configuration and of what each voter said; of a joint configuration both halves must agree
//! (dissertation 4.3).

use smallvec::SmallVec;

use super::types::{Configuration, MemberId};

/// How a vote stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum VoteResult {
    Won,
    Lost,
    Pending,
}

/// Answers to a (pre-)vote, one per voter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Votes(Vec<(MemberId, bool)>);

impl Votes {
    /// The first answer of a member counts; a duplicated message changes nothing.
    pub(crate) fn record(&mut self, id: MemberId, granted: bool) {
        if self.0.iter().all(|(known, _)| *known != id) {
            self.0.push((id, granted));
        }
    }

    pub(crate) fn result(&self, configuration: &Configuration) -> VoteResult {
        let said = |id: MemberId, wanted: bool| self.0.contains(&(id, wanted));
        if is_quorum(configuration, |id| said(id, true)) {
            VoteResult::Won
        } else if is_quorum(configuration, |id| !said(id, false)) {
            VoteResult::Pending
        } else {
            VoteResult::Lost
        }
    }
}

/// Whether the voters that satisfy `holds` are a majority of each half.
pub(crate) fn is_quorum(configuration: &Configuration, holds: impl Fn(MemberId) -> bool) -> bool {
    is_majority(&configuration.voters, &holds)
        && (!configuration.is_joint() || is_majority(&configuration.voters_outgoing, &holds))
}

/// Whether the members of `voters` that satisfy `holds` are more than half of them.
pub(crate) fn is_majority(voters: &[MemberId], holds: impl Fn(MemberId) -> bool) -> bool {
    voters.iter().filter(|id| holds(**id)).count() > voters.len() / 2
}

/// The largest value that a majority of each half has reached. 0 without voters: nobody can decide.
pub(crate) fn reached_by_quorum(
    configuration: &Configuration,
    value: impl Fn(MemberId) -> u64,
) -> u64 {
    let incoming = reached_by_majority(&configuration.voters, &value);
    if configuration.is_joint() {
        incoming.min(reached_by_majority(&configuration.voters_outgoing, &value))
    } else {
        incoming
    }
}

fn reached_by_majority(voters: &[MemberId], value: impl Fn(MemberId) -> u64) -> u64 {
    let mut values: SmallVec<[u64; 8]> = voters.iter().map(|id| value(*id)).collect();
    values.sort_unstable_by(|a, b| b.cmp(a));
    // Descending: the value at n/2 is reached by n/2 + 1 voters.
    values.get(voters.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{VoteResult, Votes, is_quorum, reached_by_quorum};
    use crate::raft::types::{Configuration, MemberId};

    fn ids(numbers: &[u64]) -> Vec<MemberId> {
        numbers.iter().map(|n| MemberId(*n)).collect()
    }

    fn joint(new: &[u64], old: &[u64]) -> Configuration {
        Configuration { voters: ids(new), voters_outgoing: ids(old), ..Configuration::default() }
    }

    #[test]
    fn a_majority_decides_whatever_the_order() {
        for (values, expected) in [
            (vec![5], 5),
            (vec![5, 9], 5),
            (vec![9, 1, 5], 5),
            (vec![4, 1, 9, 7], 4),
            (vec![1, 2, 3, 4, 5], 3),
            (vec![9, 9, 0, 0, 0], 0),
        ] {
            let voters: Vec<u64> = (1..=values.len() as u64).collect();
            let reached = reached_by_quorum(&joint(&voters, &[]), |id| values[id.0 as usize - 1]);
            assert_eq!(reached, expected, "{values:?}");
        }
    }

    #[test]
    fn without_voters_nothing_is_decided() {
        assert_eq!(reached_by_quorum(&joint(&[], &[]), |_| 9), 0);
        assert!(!is_quorum(&joint(&[], &[]), |_| true));
    }

    #[test]
    fn a_joint_configuration_needs_both_halves() {
        let configuration = joint(&[1, 2, 4], &[1, 2, 3]);
        let reached = |have: &[u64]| {
            reached_by_quorum(&configuration, |id| if have.contains(&id.0) { 7 } else { 0 })
        };
        assert_eq!(reached(&[1, 2]), 7);
        assert_eq!(reached(&[1, 4]), 0);
        assert_eq!(reached(&[3, 4]), 0);
        assert_eq!(reached(&[1, 3, 4]), 7);
    }

    #[test]
    fn a_vote_is_lost_as_soon_as_it_cannot_be_won() {
        let configuration = joint(&[1, 2, 3], &[]);
        let mut votes = Votes::default();
        votes.record(MemberId(1), true);
        assert_eq!(votes.result(&configuration), VoteResult::Pending);
        votes.record(MemberId(2), false);
        votes.record(MemberId(2), true);
        assert_eq!(votes.result(&configuration), VoteResult::Pending);
        votes.record(MemberId(9), true);
        assert_eq!(votes.result(&configuration), VoteResult::Pending);
        votes.record(MemberId(3), false);
        assert_eq!(votes.result(&configuration), VoteResult::Lost);
    }

    #[test]
    fn a_joint_vote_needs_both_halves() {
        let configuration = joint(&[1, 4, 5], &[1, 2, 3]);
        let mut votes = Votes::default();
        for id in [1, 2, 3] {
            votes.record(MemberId(id), true);
        }
        assert_eq!(votes.result(&configuration), VoteResult::Pending);
        votes.record(MemberId(4), true);
        assert_eq!(votes.result(&configuration), VoteResult::Won);
    }
}
