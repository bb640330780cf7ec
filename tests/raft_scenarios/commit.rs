//! What is committed and when: figures 7 and 8 of the Raft paper, and the rules around them.

use mayfly::raft::Config;
use mayfly::raft::RoleKind::{Follower, Leader};
use mayfly::raft::message::Body;
use mayfly::raft::types::{Index, MemberId, Term};

use crate::messages::{
    accepted, append, granted, in_role, is_append, is_append_answer, message, noop, tell,
};
use crate::network::{HEARTBEAT, Network, config, founder};

/// Figure 7 of the Raft paper: the log of the leader of term 8, and those of possible followers.
const LEADER: [u64; 10] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
const FOLLOWERS: [&[u64]; 6] = [
    &[1, 1, 1, 4, 4, 5, 5, 6, 6],
    &[1, 1, 1, 4],
    &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    &[1, 1, 1, 4, 4, 4, 4],
    &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
];

#[test]
fn leader_sync_follower_log() {
    for follower in FOLLOWERS {
        // The third one has the vote that makes the first the leader whatever the second knows.
        let mut net = Network::with_logs(&[&LEADER, follower, &[]]);
        net.tell(message(3, 1, 7, granted(false)));
        net.elect(1);
        net.heartbeat();
        let expected = [&LEADER[..], &[net.term(1)]].concat();
        for id in 1..=3 {
            assert_eq!(net.log_terms(id), expected, "from {follower:?}");
            assert_eq!(net.commit(id), net.last(1));
        }
    }
}

#[test]
fn leader_election_overwrite_newer_logs() {
    // 1 led term 2, and 2 got its entry; then 3 led term 3 with the votes of 4 and 5, and nobody
    // got what it appended.
    let mut net = Network::with_logs(&[&[2], &[2], &[3], &[], &[]]);
    for id in [4, 5] {
        net.tell(message(3, id, 3, granted(false)));
    }
    // With 2, 4 and 5 member 1 has a majority, but not for a term that they have seen already.
    net.campaign(1);
    assert_eq!((net.role(1), net.term(1)), (Follower, 3));
    net.elect(1);
    net.heartbeat();
    for id in 1..=5 {
        assert_eq!((net.log_terms(id), net.term(id)), (vec![2, 4], 4), "member {id}");
    }
}

#[test]
fn leader_only_commits_log_from_current_term() {
    // Figure 8: entries of terms 2 and 3 on a majority are not committed by that alone.
    let cases = [(4, false), (5, false), (6, true)];
    for (acknowledged, commits) in cases {
        let mut net = Network::with_logs(&[&[2, 3], &[], &[]]);
        let raft = &mut net.get(1).raft;
        raft.campaign_now().unwrap();
        tell(raft, message(2, 1, 4, granted(true)));
        tell(raft, message(2, 1, 4, accepted(acknowledged)));
        let expected = if commits { 6 } else { 3 };
        assert_eq!(raft.commit_index(), Index(expected), "up to {acknowledged}");
    }
}

/// Five members, led by 1, which sends each entry in a message of its own.
fn five() -> Network {
    let mut net = Network::with_config(5, &Config { append_bytes_max: 1, ..config() });
    net.elect(1);
    net.heartbeat();
    net
}

#[test]
fn figure_8() {
    let mut net = five();
    // (a) 1 leads term 2 and replicates an entry to 2 alone.
    net.partition(&[1, 2], &[3, 4, 5]);
    net.write(1, "two");
    // (b) 5 leads term 3 with the votes of 3 and 4, and its entry reaches nobody.
    net.lose(|message| message.from == MemberId(5) && is_append(message));
    net.campaign(5);
    net.assert_leader(5);
    net.submit(5, "three");
    net.deliver_all();
    // (c) 1 leads again and brings its old entry to a majority, but nothing of its own term.
    net.heal();
    net.isolate(5);
    net.lose(|message| {
        matches!(&message.body, Body::AppendRequest { entries, .. }
            if entries.iter().any(|entry| entry.term > Term(2)))
    });
    net.elect(1);
    net.heartbeat();
    for id in 1..=4 {
        assert_eq!(net.log_terms(id), if id == 1 { vec![2, 2, 4] } else { vec![2, 2] });
        net.assert_applied(id, &[]);
    }
    // (d) 5 may win over all who hold nothing later, and overwrites what was on a majority.
    net.heal();
    net.isolate(1);
    net.elect(5);
    net.heartbeat();
    for id in 2..=5 {
        assert_eq!(net.log_terms(id)[..3], [2, 3, 3], "member {id}");
        net.assert_applied(id, &["three"]);
    }
}

/// Member 1 leads five; its entries of term 2 are on 2, and nobody else has heard of them.
fn entries_of_a_former_term() -> Network {
    let mut net = five();
    for cut in [3, 4, 5] {
        net.cut(1, cut);
    }
    net.write(1, "some data");
    net.write(1, "some more");
    assert_eq!(net.commit(1), 6);
    net.heal();
    // The leader changes; the new one gets the entries to everybody, but none of its own.
    net.lose(|message| {
        matches!(&message.body, Body::AppendRequest { entries, .. }
            if entries.iter().any(|entry| entry.term > Term(2)))
    });
    net.elect(2);
    net.heartbeat();
    for id in 1..=5 {
        assert_eq!(net.log_terms(id)[..3], [2, 2, 2], "member {id}");
    }
    net
}

#[test]
fn cannot_commit_without_new_term_entry() {
    let mut net = entries_of_a_former_term();
    net.run(3 * HEARTBEAT);
    net.assert_leader(2);
    assert_eq!(net.commit(2), 6, "a majority cannot hold what is not of this term for good");
    net.heal();
    net.heartbeat();
    net.write(2, "now");
    net.heartbeat();
    for id in 1..=5 {
        net.assert_applied(id, &["some data", "some more", "now"]);
    }
}

#[test]
fn commit_without_new_term_entry() {
    let mut net = entries_of_a_former_term();
    net.heal();
    // The first entry of the term, which nobody has asked for, commits all before it.
    net.heartbeat();
    for id in 1..=5 {
        assert_eq!(net.commit(id), 9);
        net.assert_applied(id, &["some data", "some more"]);
    }
}

#[test]
fn leader_commit_preceding_entries() {
    for log in [&[][..], &[2], &[1, 2], &[1]] {
        let mut net = Network::with_logs(&[log, &[], &[]]);
        net.elect(1);
        net.heartbeat();
        let expected = [log, &[net.term(1)]].concat();
        for id in 1..=3 {
            assert_eq!((net.log_terms(id), net.commit(id)), (expected.clone(), net.last(1)));
            assert_eq!(net.nodes[&id].applied.len() as u64, net.last(1), "each once, in order");
        }
    }
}

#[test]
fn leader_commit_entry() {
    let mut raft = in_role(Leader);
    tell(&mut raft, message(2, 1, 2, accepted(4)));
    tell(&mut raft, message(3, 1, 2, accepted(4)));
    raft.submit(0, mayfly::raft::types::Ticket(1), crate::network::payload("x"));
    raft.take_output();
    let output = tell(&mut raft, message(2, 1, 2, accepted(5)));
    assert_eq!(raft.commit_index(), Index(5));
    assert_eq!(output.committed.len(), 1);
    assert_eq!(output.committed[0].ticket, Some(mayfly::raft::types::Ticket(1)));
}

#[test]
fn leader_acknowledge_commit() {
    let cases: [(u64, &[u64], bool); 9] = [
        (1, &[], true),
        (3, &[], false),
        (3, &[2], true),
        (3, &[2, 3], true),
        (5, &[], false),
        (5, &[2], false),
        (5, &[2, 3], true),
        (5, &[2, 3, 4], true),
        (5, &[2, 3, 4, 5], true),
    ];
    for (count, acceptors, commits) in cases {
        let mut net = Network::led(count);
        let others: Vec<u64> = (2..=count).filter(|id| !acceptors.contains(id)).collect();
        net.lose(move |m| is_append_answer(m) && others.contains(&m.from.0));
        let ticket = net.write(1, "some data");
        assert_eq!(net.is_answered(1, ticket), commits, "{count} members, {acceptors:?} accept");
    }
}

#[test]
fn follower_commit_entry() {
    for (commit, entries) in [(4, 1), (4, 2), (5, 2), (9, 2)] {
        let mut raft = founder(1, 3, config());
        raft.take_output();
        let sent = (4..4 + entries).map(|index| noop(index, 1)).collect();
        let output = tell(&mut raft, message(2, 1, 1, append((3, 1), commit, sent)));
        let expected = commit.min(3 + entries);
        assert_eq!(raft.commit_index(), Index(expected), "not beyond what the leader has shown");
        let handed: Vec<u64> = output.committed.iter().map(|c| c.entry.index.0).collect();
        assert_eq!(handed, (4..=expected).collect::<Vec<_>>());
    }
    // Its log may go on with something else than the leader's.
    let mut net = Network::with_logs(&[&[2, 2], &[], &[]]);
    net.tell(message(2, 1, 3, append((3, 1), 5, vec![])));
    assert_eq!(net.commit(1), 3);
    net.tell(message(2, 1, 3, append((3, 1), 5, vec![noop(4, 3)])));
    assert_eq!((net.commit(1), net.log_terms(1)), (4, vec![3]));
}

#[test]
fn commit() {
    // How far each of the members has the log, of which entry 4 is the first of this term.
    let cases: [(&[u64], u64); 11] = [
        (&[4], 4),
        (&[5], 5),
        (&[5, 5, 5], 5),
        (&[5, 4, 4], 4),
        (&[5, 4, 5], 5),
        (&[5, 3, 3], 3),
        (&[5, 3, 5], 5),
        (&[5, 4, 3, 3], 3),
        (&[5, 4, 4, 3], 4),
        (&[5, 5, 5, 4, 3], 5),
        (&[5, 4, 4, 3, 3], 4),
    ];
    for (matches, expected) in cases {
        let count = matches.len() as u64;
        // Whatever the number of members, the log begins with as many entries.
        let shift = |index: u64| index + count - 3;
        let mut raft = founder(1, count, config());
        raft.campaign_now().unwrap();
        for id in 2..=count {
            raft.step(message(id, 1, 2, granted(true)));
        }
        if matches[0] == 5 {
            raft.tick_entry();
        }
        for (id, index) in (1..).zip(matches).skip(1) {
            raft.step(message(id, 1, 2, accepted(shift(*index))));
        }
        raft.take_output();
        assert_eq!(raft.commit_index(), Index(expected + count - 3), "{matches:?}");
    }
}

#[test]
fn single_node_commit() {
    let mut net = Network::of(1);
    net.elect(1);
    net.write(1, "one");
    net.write(1, "two");
    assert_eq!(net.commit(1), 4);
    net.assert_applied(1, &["one", "two"]);
}

#[test]
fn old_messages() {
    let mut net = Network::of(3);
    net.elect(1);
    net.elect(2);
    net.elect(1);
    // An entry of the second leader, which was overtaken on its way.
    net.tell(message(2, 1, 3, append((5, 3), 6, vec![noop(6, 3)])));
    net.write(1, "new");
    net.heartbeat();
    for id in 1..=3 {
        assert_eq!(net.log_terms(id), [2, 3, 4, 4]);
        net.assert_applied(id, &["new"]);
    }
}

/// Member 1 of four led a change of the voters to its joint phase, which `knows` alone knows to be
/// committed; then it fell silent. Votes carry no commit index, so the successor begins without it.
fn successor_in_a_joint_configuration(knows: u64, successor: u64) {
    let mut net = Network::led(4);
    net.lose(is_append_answer);
    let joint = net.get(1).raft.remove(MemberId(4)).unwrap();
    net.deliver_all();
    net.heal();
    net.isolate(1);
    net.tell(message(1, knows, 2, append((joint.0, 2), joint.0, vec![])));
    for id in 2..=4 {
        assert!(net.raft(id).configuration().is_joint(), "member {id}");
        assert_eq!(net.commit(id) >= joint.0, id == knows, "member {id}");
    }
    net.campaign(successor);
    net.assert_leader(successor);
    net.run_until("the change is complete", |net| {
        let raft = net.raft(successor);
        !raft.configuration().is_joint() && raft.status().configuration_index <= raft.commit_index()
    });
    assert_eq!(net.raft(successor).configuration().voters, [1, 2, 3].map(MemberId));
}

#[test]
fn advance_commit_index_by_vote_request() {
    successor_in_a_joint_configuration(2, 2);
}

#[test]
fn advance_commit_index_by_vote_response() {
    successor_in_a_joint_configuration(3, 2);
}

#[test]
fn lagging_commit() {
    let mut net = Network::led(3);
    net.hold(|message| (message.from.0, message.to.0) == (3, 1));
    net.submit(1, "one");
    net.submit(1, "two");
    net.deliver_all();
    assert_eq!((net.commit(1), net.commit(3), net.last(3)), (6, 4, 6));
    let told = net.sent.len();
    // The first heartbeat tells the whole commit index, though what 3 has acknowledged is held.
    net.run_until("a heartbeat", |net| !net.said(told, 1, 3).is_empty());
    assert_eq!(net.commit(3), 6);
    net.assert_applied(3, &["one", "two"]);
}
