//! CONFIG: what the cluster has as one is changed on all nodes, the rest on one; the file is
//! rewritten.

use std::fs;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::wait::{self, LONG};

on_both_layouts!(
    a_setting_of_the_cluster_changes_on_all_nodes,
    a_founder_brings_its_settings_and_who_joins_takes_them,
    the_configuration_file_is_rewritten,
);

fn get(client: &mut Client, name: &str) -> String {
    match client.call(&format!("CONFIG GET {name}")) {
        Value::Array(items) => items.get(1).map(Value::text).unwrap_or_default(),
        other => panic!("{name}: {other:?}"),
    }
}

fn await_everywhere(cluster: &Cluster, name: &str, value: &str) {
    for node in &cluster.nodes {
        wait::until_true(&format!("{name} {value}"), LONG, || {
            Client::try_connect(node.port).is_ok_and(|mut client| get(&mut client, name) == value)
        });
    }
}

fn a_setting_of_the_cluster_changes_on_all_nodes(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    if is_stand_in() {
        return;
    }
    let mut clients: Vec<Client> = cluster.nodes.iter().map(|node| node.client()).collect();
    for (position, client) in clients.iter_mut().enumerate() {
        let bytes = format!("{}", (position + 1) << 30);
        let line = format!("CONFIG SET maxmemory {bytes} timeout {}", 1000 + position);
        let pipeline = [line, "CONFIG GET maxmemory".to_owned(), "PING".to_owned()];
        let replies = client.pipeline(&pipeline).unwrap();
        assert_eq!(replies[0], Value::ok());
        let expected = [Value::bulk("maxmemory"), Value::bulk(&bytes)];
        assert_eq!(replies[1], Value::Array(expected.to_vec()), "who set it sees it");
        await_everywhere(&cluster, "maxmemory", &bytes);
    }
    let timeouts: Vec<String> = clients.iter_mut().map(|c| get(c, "timeout")).collect();
    assert_eq!(timeouts, ["1000", "1001", "1002"], "the node's own");
    let refused = clients[1].call("CONFIG SET maxmemory 7 maxmemory-policy foo timeout 5");
    assert!(refused.text().contains("related to argument 'maxmemory-policy'"), "{refused:?}");
    assert_eq!(get(&mut clients[1], "timeout"), "1001");
    let client = &mut clients[1];
    for line in ["MULTI", "SET k v", "CONFIG SET maxmemory 5gb", "CONFIG GET maxmemory"] {
        client.call(line);
    }
    let expected = Value::Array(vec![
        Value::ok(),
        Value::ok(),
        Value::Array(vec![Value::bulk("maxmemory"), Value::bulk("5368709120")]),
    ]);
    assert_eq!(client.call("EXEC"), expected);
    await_everywhere(&cluster, "maxmemory", "5368709120");
    // A leader change and a node that comes back with nothing change nothing.
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    cluster.restart(leader, &format!("{} --maxmemory 1mb", layout.option()));
    cluster.wait_until_complete();
    await_everywhere(&cluster, "maxmemory", "5368709120");
    let told = "not '1048576' as this node was told";
    wait::until_true("a warning", LONG, || cluster.nodes[leader].log().contains(told));
}

fn a_founder_brings_its_settings_and_who_joins_takes_them(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let options = "--maxmemory 10gb --maxmemory-policy allkeys-lfu";
    let mut cluster = Cluster::start_with(layout, options);
    await_everywhere(&cluster, "maxmemory-policy", "allkeys-lfu");
    cluster.add(&format!("{} --maxmemory 1gb", layout.option()));
    let node = cluster.nodes.last().unwrap();
    node.wait_ready();
    await_everywhere(&cluster, "maxmemory", "10737418240");
    await_everywhere(&cluster, "maxmemory-policy", "allkeys-lfu");
    assert_eq!(node.info("maxmemory_policy").as_deref(), Some("allkeys-lfu"));
}

fn the_configuration_file_is_rewritten(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let name = format!("settings-{}-{layout:?}.conf", std::process::id());
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, "# kept\ntimeout 77\n").unwrap();
    let cluster = Cluster::start_with(layout, &path.display().to_string());
    let mut client = cluster.nodes[0].client();
    assert_eq!(get(&mut client, "timeout"), "77");
    let changed = client.call("CONFIG SET timeout 78 maxmemory 1gb quorum-reads no");
    assert_eq!(changed, Value::ok());
    assert_eq!(client.call("CONFIG REWRITE"), Value::ok());
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(client.call("ACL SETUSER app on nopass ~app:* +get"), Value::ok());
    assert_eq!(client.call("CONFIG REWRITE"), Value::ok());
    let with_users = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let users = "user app on nopass sanitize-payload ~app:* resetchannels -@all +get\n\
                 user default on nopass sanitize-payload ~* &* +@all\n";
    assert_eq!(with_users, format!("{text}{users}"));
    let expected = "# kept\ntimeout 78\n\n# Generated by CONFIG REWRITE\n\
                    raft.quorum-reads no\nmaxmemory 1073741824\n";
    assert_eq!(text, expected);
    let error = client.call("CONFIG REWRITE").text();
    assert!(error.contains("ERR Rewriting config file"), "{error}");
}
