//! `maxmemory`: filled over the limit through a follower, the cluster keeps to it by its policy,
//! alike on all nodes, and goes on when its leader dies.

use std::collections::HashSet;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::snapshot::check_same_digests;
use crate::wait::{self, LONG};

on_both_layouts!(
    each_policy_keeps_the_limit_alike_on_all_nodes,
    eviction_goes_on_when_the_leader_dies,
    uses_are_noticed_where_they_happen,
    what_goes_is_told_of,
);

const LIMIT: usize = 2 << 20;
const POLICIES: [&str; 7] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];
const REFUSED: &str = "OOM command not allowed when used memory > 'maxmemory'.";

fn number(client: &mut Client, field: &str) -> usize {
    client.info(field).unwrap().parse().unwrap()
}

/// Writes `count` values of a kilobyte that expire in an hour.
fn write(client: &mut Client, from: usize, count: usize) -> Vec<Value> {
    let value = "v".repeat(1000);
    let line = |key| format!("SET key:{key} {value} PX {}", 3_600_000 + key);
    let lines: Vec<String> = (from..from + count).map(line).collect();
    client.pipeline(&lines).unwrap()
}

fn await_within_limit(cluster: &Cluster) {
    for node in &cluster.nodes {
        wait::until_true("memory within the limit", LONG, || {
            node.info("mem_logical").is_some_and(|bytes| bytes.parse::<usize>().unwrap() <= LIMIT)
        });
    }
}

fn each_policy_keeps_the_limit_alike_on_all_nodes(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start_with(layout, &format!("--maxmemory {LIMIT}"));
    let mut client = cluster.client(cluster.followers()[0]);
    let all: Vec<usize> = (0..cluster.nodes.len()).collect();
    for policy in POLICIES {
        let set = client.call(&format!("CONFIG SET maxmemory-policy {policy}"));
        assert_eq!(set, Value::ok());
        let before = number(&mut client, "evicted_keys");
        for from in (0..6000).step_by(500) {
            let replies = write(&mut client, from, 500);
            assert!(replies.iter().all(|reply| *reply == Value::ok()), "{policy}");
        }
        await_within_limit(&cluster);
        let evicted = number(&mut client, "evicted_keys") - before;
        assert!(evicted > 3000, "{policy}: {evicted}");
        let bytes = number(&mut client, "mem_logical");
        assert!(bytes > LIMIT - (64 << 10), "{policy}: no more went than had to: {bytes}");
        check_same_digests(&cluster, &all);
        client.call("FLUSHALL");
    }
    client.call("CONFIG SET maxmemory-policy noeviction");
    let replies = write(&mut client, 0, 4000);
    let refused = replies.iter().filter(|reply| **reply == Value::Error(REFUSED.into())).count();
    let written = replies.iter().filter(|reply| **reply == Value::ok()).count();
    assert_eq!(written + refused, 4000);
    assert!(number(&mut client, "mem_logical") < LIMIT + 2000, "one value over it at most");
    for line in ["MULTI", "GET key:0"] {
        client.call(line);
    }
    wait::until_true("a refusal to queue", LONG, || {
        client.call("SET k v") == Value::Error(REFUSED.into())
    });
    assert!(client.call("EXEC").text().starts_with("EXECABORT"));
    check_same_digests(&cluster, &all);
}

fn eviction_goes_on_when_the_leader_dies(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let options = format!("--maxmemory {LIMIT} --maxmemory-policy allkeys-lru");
    let mut cluster = Cluster::start_with(layout, &options);
    let leader = cluster.leader();
    let survivors = cluster.followers();
    let mut client = cluster.client(survivors[0]);
    for round in 0..20 {
        if round == 10 {
            cluster.nodes[leader].kill();
        }
        let replies = write(&mut client, round * 500, 500);
        assert!(replies.iter().all(|reply| *reply == Value::ok()), "{replies:?}");
    }
    let bytes = || {
        let of = |node: &usize| cluster.nodes[*node].info("mem_logical")?.parse::<usize>().ok();
        survivors.iter().map(of).collect::<Option<Vec<_>>>()
    };
    wait::until_true("memory within the limit", LONG, || {
        bytes().is_some_and(|all| all.iter().all(|bytes| *bytes <= LIMIT))
    });
    check_same_digests(&cluster, &survivors);
    // A node that joins by snapshot counts the same and goes on alike.
    cluster.restart_through(leader, &survivors, &format!("{} {options}", layout.option()));
    cluster.wait_until_complete();
    let replies = write(&mut client, 20_000, 500);
    assert!(replies.iter().all(|reply| *reply == Value::ok()));
    await_within_limit(&cluster);
    check_same_digests(&cluster, &[0, 1, 2]);
}

fn uses_are_noticed_where_they_happen(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let mut client = cluster.client(0);
    assert_eq!(client.call("SET k v"), Value::ok());
    let idle = |client: &mut Client| match client.call("OBJECT IDLETIME k") {
        Value::Integer(seconds) => seconds,
        other => panic!("{other:?}"),
    };
    wait::until_true("idle for two seconds", LONG, || idle(&mut client) >= 2);
    assert_eq!(client.call("CLIENT NO-TOUCH on"), Value::ok());
    assert_eq!(client.call("GET k"), Value::bulk("v"));
    assert!(idle(&mut client) >= 2, "the client is not noticed");
    assert_eq!(client.call("CLIENT NO-TOUCH off"), Value::ok());
    assert_eq!(client.call("GET k"), Value::bulk("v"));
    assert!(idle(&mut client) <= 1);
}

/// Events of evicted keys, and notices for a client that has read them, on a follower.
fn what_goes_is_told_of(layout: Layout) {
    if is_stand_in() {
        return;
    }
    const READ: usize = 500;
    let options = format!("--maxmemory {LIMIT} --maxmemory-policy allkeys-random");
    let cluster = Cluster::start_with(layout, &options);
    let here = cluster.followers()[1];
    let mut client = cluster.client(cluster.leader());
    assert_eq!(client.call("CONFIG SET notify-keyspace-events Ee"), Value::ok());
    let mut listening = cluster.client(here);
    listening.call("SUBSCRIBE __keyevent@0__:evicted");
    write(&mut client, 0, READ);
    let mut caching = cluster.client(here);
    assert!(matches!(caching.call("HELLO 3"), Value::Map(_)));
    assert_eq!(caching.call("CLIENT TRACKING ON"), Value::ok());
    let keys: Vec<String> = (0..READ).map(|key| format!("key:{key}")).collect();
    let of_all = |name: &str| keys.iter().map(|key| format!("{name} {key}")).collect::<Vec<_>>();
    caching.pipeline(&of_all("GET")).unwrap();
    for from in (READ..6000).step_by(500) {
        write(&mut client, from, 500);
    }
    await_within_limit(&cluster);
    let evicted = number(&mut client, "evicted_keys");
    assert!(evicted > 3000, "{evicted}");
    let mut gone = HashSet::new();
    for _ in 0..evicted {
        let Value::Array(words) = listening.receive().unwrap() else { panic!("no message") };
        assert!(gone.insert(words[2].text()), "{} went twice", words[2].text());
    }
    let replies = client.pipeline(&of_all("EXISTS")).unwrap();
    caching.send_command("EXISTS nothing");
    let mut told = HashSet::new();
    while let Value::Array(words) = caching.receive().unwrap() {
        let Value::Array(keys) = &words[1] else { panic!("{words:?}") };
        told.extend(keys.iter().map(Value::text));
    }
    for (key, reply) in keys.iter().zip(&replies) {
        let is_gone = *reply == Value::Integer(0);
        assert_eq!((gone.contains(key), told.contains(key)), (is_gone, is_gone), "{key}");
    }
    assert!(told.len() > READ / 4, "{}", told.len());
}
