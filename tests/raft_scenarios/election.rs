//! Elections and terms: who may lead, when, and how a term is learned.

use mayfly::raft::RoleKind;

use crate::network::Network;

#[test]
fn leader_election() {
    let isolated: [(u64, &[u64], bool); 5] = [
        (3, &[], true),
        (3, &[2], true),
        (3, &[2, 3], false),
        (5, &[2, 3], true),
        (5, &[2, 3, 4], false),
    ];
    for (count, dead, wins) in isolated {
        let mut net = Network::of(count);
        for id in dead {
            net.isolate(*id);
        }
        net.campaign(1);
        assert_eq!(net.leader(), wins.then_some(1), "{count} members without {dead:?}");
        // Without a majority nobody gets beyond the pre-vote, so the term stays.
        assert_eq!(net.term(1), if wins { 2 } else { 1 });
    }
}

#[test]
fn leader_election_overwrite_by_logs_that_are_behind_fails() {
    let mut net = Network::with_logs(&[&[], &[1], &[1, 1]]);
    net.campaign(1);
    assert_eq!(net.leader(), None, "both others know more");
    net.elect(2);
    net.assert_roles(&[(1, RoleKind::Follower), (3, RoleKind::Follower)]);
}

#[test]
fn leader_cycle() {
    let mut net = Network::of(3);
    for (round, id) in [1, 2, 3, 1].into_iter().enumerate() {
        net.elect(id);
        net.assert_terms(&[2 + round as u64; 3]);
        for other in (1..=3).filter(|other| *other != id) {
            assert_eq!(net.role(other), RoleKind::Follower);
        }
    }
}
