//! REPLICAOF, and what INFO tells of it.

use super::*;

#[test]
fn another_server_is_followed_by_way_of_the_log() {
    let mut bench = Bench::new();
    bench.shared.importing.set_members(vec!["10.0.0.2:7001".to_owned()]);
    bench.settings.set_all(&[("masteruser", "u"), ("masterauth", "p")]).unwrap();
    let logged = |words: &[&str]| {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        format!("{:?}", Outcome::ThroughLog(words))
    };
    let member = "-ERR that is a node of this cluster: REPLICAOF names a server to import from, \
                  and members join by RAFT.CLUSTER JOIN|";
    bench.check(&[
        ("REPLICAOF h 6379", &logged(&["raft.import", "FOLLOW", "h", "6379", "u", "p"])),
        ("SLAVEOF ::1 06379", "-ERR Invalid master port|"),
        ("SLAVEOF ::1 6379", &logged(&["raft.import", "FOLLOW", "::1", "6379", "u", "p"])),
        ("REPLICAOF NO ONE", &logged(&["raft.import", "STOP"])),
        ("slaveof no one", &logged(&["raft.import", "STOP"])),
        ("SLAVEOF h 70000", "-ERR Invalid master port|"),
        ("SLAVEOF h x", "-ERR Invalid master port|"),
        ("REPLICAOF 10.0.0.2 7001", member),
        ("REPLICAOF h", "-ERR wrong number of arguments for 'replicaof' command|"),
    ]);
    bench.shared.set_state(NodeState::Uninitialized);
    bench.check(&[("REPLICAOF h 1", "-NOCLUSTER No Raft Cluster|")]);
}
