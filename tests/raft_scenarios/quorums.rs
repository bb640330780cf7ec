//! The tables of quorums: what counts as committed and who is elected, for each set of voters and
//! each pair of sets, as a member decides it. What is expected is counted out anew here.

use mayfly::raft::RoleKind;
use mayfly::raft::types::Configuration;

use crate::members::{configuration, member_of, take_the_lead};
use crate::messages::{accepted, granted, message, tell};

/// Entries behind the founding ones that a leader has in its log: its no-op and these ticks.
const TICKS: u64 = 6;
const NOOP: u64 = 11;

/// Whether more than half of `voters` satisfy it.
fn most(voters: &[u64], holds: impl Fn(u64) -> bool) -> bool {
    2 * voters.iter().filter(|id| holds(**id)).count() > voters.len()
}

/// The last index that is acknowledged by a majority of each half that there is.
fn committed(new: &[u64], old: &[u64], reached: impl Fn(u64) -> u64) -> u64 {
    let by_most = |index: u64| {
        let holds = |id: u64| reached(id) >= index;
        most(new, holds) && (old.is_empty() || most(old, holds))
    };
    (NOOP..=NOOP + TICKS).rev().find(|index| by_most(*index)).unwrap_or(NOOP - 1)
}

/// Member 1 leads, everybody else acknowledges up to an index of the list, in this order; the
/// commit index after each of them.
fn commits(both: Configuration, others: &[(u64, u64)]) -> Vec<u64> {
    let mut raft = member_of(1, both.clone());
    let voters = both.voters.iter().chain(&both.voters_outgoing);
    let electors: Vec<u64> = voters.map(|id| id.0).filter(|id| *id != 1).collect();
    take_the_lead(&mut raft, electors);
    for _ in 0..TICKS {
        raft.tick_entry();
    }
    raft.take_output();
    let mut found = Vec::new();
    for (id, index) in others {
        // A joint configuration is left when it is committed, and that would change who counts.
        let mut asked = raft.clone();
        asked.step(message(*id, 1, 2, accepted(*index)));
        raft.step(message(*id, 1, 2, accepted(*index)));
        asked.take_output();
        found.push(asked.commit_index().0);
    }
    found
}

/// Every way in which the others can have acknowledged one of three lengths of the log.
fn lengths(others: &[u64]) -> Vec<Vec<(u64, u64)>> {
    let mut all = vec![Vec::new()];
    for id in others {
        let with = |known: &Vec<(u64, u64)>, index| {
            let mut longer = known.clone();
            longer.push((*id, index));
            longer
        };
        let of = |known| [0, NOOP + 2, NOOP + TICKS].map(|index| with(known, index));
        all = all.iter().flat_map(of).collect();
    }
    all
}

fn check_commits(new: &[u64], old: &[u64]) {
    let mut others = [new, old].concat();
    others.sort_unstable();
    others.dedup();
    others.retain(|id| *id != 1);
    for acknowledged in lengths(&others) {
        let found = commits(configuration(new, old, &[]), &acknowledged);
        for (count, commit) in (1..).zip(found) {
            let said = &acknowledged[..count];
            let reached = |id| match said.iter().find(|(known, _)| *known == id) {
                Some((_, index)) => *index,
                None if id == 1 => NOOP + TICKS,
                None => 0,
            };
            let expected = committed(new, old, reached);
            // Once a joint configuration is committed its end is appended, and may commit at once.
            let fits =
                commit == expected || !old.is_empty() && expected >= NOOP && commit > expected;
            assert!(fits, "{new:?} {old:?} {said:?}: {commit}, not {expected}");
        }
    }
}

/// Member 1 stands, and the others answer; how it stands after all of them.
fn stands(new: &[u64], old: &[u64], answers: &[(u64, bool)]) -> RoleKind {
    let mut raft = member_of(1, configuration(new, old, &[]));
    raft.campaign_now().expect("a voter");
    for (id, vote) in answers {
        tell(&mut raft, message(*id, 1, 2, granted(*vote)));
    }
    raft.role_kind()
}

fn check_votes(new: &[u64], old: &[u64]) {
    let mut others = [new, old].concat();
    others.sort_unstable();
    others.dedup();
    others.retain(|id| *id != 1);
    let ways = 3u32.pow(others.len() as u32);
    for way in 0..ways {
        let mut rest = way;
        let mut answers = Vec::new();
        for id in &others {
            match rest % 3 {
                0 => {}
                vote => answers.push((*id, vote == 1)),
            }
            rest /= 3;
        }
        let said = |id: u64, wanted: bool| id == 1 && wanted || answers.contains(&(id, wanted));
        let both =
            |holds: &dyn Fn(u64) -> bool| most(new, holds) && (old.is_empty() || most(old, holds));
        let expected = if both(&|id| said(id, true)) {
            RoleKind::Leader
        } else if both(&|id| !said(id, false)) {
            RoleKind::Candidate
        } else {
            RoleKind::Follower
        };
        assert_eq!(stands(new, old, &answers), expected, "{new:?} {old:?} {answers:?}");
    }
}

#[test]
fn majority_commit() {
    for count in 1..=5 {
        check_commits(&(1..=count).collect::<Vec<_>>(), &[]);
    }
}

#[test]
fn joint_commit() {
    let cases: [(&[u64], &[u64]); 7] = [
        (&[1, 2, 3], &[1, 2, 3]),
        (&[1, 2, 4], &[1, 2, 3]),
        (&[1, 4, 5], &[1, 2, 3]),
        (&[1, 2], &[1]),
        (&[1], &[1, 2]),
        (&[1, 2, 3, 4], &[1, 2, 5]),
        (&[2, 3], &[1, 2, 3]),
    ];
    for (new, old) in cases {
        check_commits(new, old);
    }
}

#[test]
fn majority_vote() {
    for count in 1..=6 {
        check_votes(&(1..=count).collect::<Vec<_>>(), &[]);
    }
}

#[test]
fn joint_vote() {
    let cases: [(&[u64], &[u64]); 7] = [
        (&[1, 2, 3], &[1, 2, 3]),
        (&[1, 2, 4], &[1, 2, 3]),
        (&[1, 4, 5], &[1, 2, 3]),
        (&[1, 2], &[1]),
        (&[1], &[1, 2]),
        (&[1, 2, 3, 4], &[1, 2, 5, 6]),
        (&[2, 3], &[1, 2, 3]),
    ];
    for (new, old) in cases {
        check_votes(new, old);
    }
}

/// One that is in both halves is asked once and counts in both; a disjoint half has its own say.
#[test]
fn halves_without_a_common_member_both_decide() {
    assert_eq!(stands(&[1, 2], &[3, 4, 5], &[(2, true)]), RoleKind::Candidate);
    let answers = [(2, true), (3, true), (4, true)];
    assert_eq!(stands(&[1, 2], &[3, 4, 5], &answers), RoleKind::Leader);
    let refused = [(3, false), (4, false)];
    assert_eq!(stands(&[1, 2], &[3, 4, 5], &refused), RoleKind::Follower);
}
