//! Links between nodes: over IPv6 and by name, to nodes that come back and to nodes that must not.

use std::net::{Ipv6Addr, TcpListener};

use rustix::process::Signal;

use crate::client::Value;
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::wait::{self, LONG};

on_both_layouts!(
    who_is_removed_while_it_is_away_learns_it_when_it_is_back,
    a_restarted_node_disturbs_nobody_and_no_log,
);

#[test]
fn peers_find_each_other_over_ipv6() {
    // A machine without an IPv6 loopback has nothing to test.
    if is_stand_in() || TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let cluster = Cluster::start_with(Layout::Folded, "--bind ::1,127.0.0.1");
    check_replication(&cluster);
    let peer = cluster.nodes[0].client().call("INFO raft").text();
    assert!(peer.contains("addr=::1,"), "{peer}");
}

#[test]
fn peers_find_each_other_by_name() {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start_with(Layout::Folded, "--announce-address localhost");
    check_replication(&cluster);
    let peer = cluster.nodes[0].client().call("INFO raft").text();
    assert!(peer.contains("addr=localhost,"), "{peer}");
}

/// That each follower passes on what its clients write.
fn check_replication(cluster: &Cluster) {
    for (position, expected) in cluster.followers().into_iter().zip(1..) {
        assert_eq!(cluster.client(position).call("INCR k"), Value::Integer(expected));
    }
}

fn who_is_removed_while_it_is_away_learns_it_when_it_is_back(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    // The oldest member, whom others dial and who otherwise dials nobody.
    let (away, id) = (&cluster.nodes[0], 1);
    wait::until_true("another leader", LONG, || {
        cluster.leader() != 0 || {
            // It may be refused while another transfer is under way.
            away.client().call("RAFT.TRANSFER_LEADER");
            false
        }
    });
    away.signal(Signal::STOP);
    let others = &cluster.nodes[1..];
    let leads = |position: &usize| others[*position].info("raft_role").as_deref() == Some("leader");
    let leader = wait::until("a leader", LONG, || (0..others.len()).find(leads));
    let mut admin = others[leader].client();
    wait::until_true("a removal", LONG, || {
        // A leader that is new refuses until it has committed something and heard the other voter.
        admin.call(&format!("RAFT.NODE REMOVE {id}")) == Value::ok()
    });
    for node in others {
        wait::until_true("two voters", LONG, || {
            node.info("raft_num_voting_nodes").as_deref() == Some("2")
        });
    }
    away.signal(Signal::CONT);
    wait::until_true("the removed node knows", LONG, || {
        away.info("raft_state").as_deref() == Some("removed")
    });
    let refused = away.client().call("GET k").text();
    assert!(refused.contains("this node has been removed"), "{refused}");
}

fn a_restarted_node_disturbs_nobody_and_no_log(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let follower = cluster.followers()[0];
    let former = cluster.nodes[follower].info("raft_node_id");
    cluster.nodes[follower].kill();
    cluster.restart(follower, layout.option());
    // Until its former self is swapped out, its own address and that of a member are the same.
    cluster.wait_until_complete();
    assert_ne!(cluster.nodes[follower].info("raft_node_id"), former);
    check_replication(&cluster);
    for node in &cluster.nodes {
        let log = node.log();
        let refusals: Vec<_> = log.lines().filter(|line| line.contains("refus")).collect();
        assert!(refusals.len() <= 8, "{refusals:#?}");
        assert!(!log.contains("the very process"), "it dialled itself: {log}");
    }
}
