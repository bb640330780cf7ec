//! REPLICAOF: a cluster takes everything over from a running redis-server and follows it, exactly,
//! across the loss of leaders and of the source, until it is on its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::{Process, free_ports, is_stand_in};
use crate::snapshot::check_same_digests;
use crate::wait::{self, LONG};

on_both_layouts!(
    all_that_a_source_has_is_taken_over_and_followed,
    large_values_come_in_parts,
    a_stream_of_writes_is_applied_exactly_once_across_leaders,
    a_leader_that_dies_while_it_reads_the_snapshot_is_replaced,
    a_source_may_come_back_and_may_be_another,
    what_cannot_be_applied_ends_the_import_with_an_error,
);

const SOURCE_OPTIONS: &str = "--bind 127.0.0.1 --save '' --repl-diskless-sync-delay 0";

struct Source {
    port: u16,
    process: Process,
}

impl Source {
    fn start(options: &str) -> Self {
        let port = free_ports(1);
        Self { port, process: start_source(port, options) }
    }

    fn client(&self) -> Client {
        Client::connect(self.port)
    }
}

fn start_source(port: u16, options: &str) -> Process {
    let options = format!("--port {port} {SOURCE_OPTIONS} {options}");
    let process = Process::start("redis-server", options.trim_end());
    wait::until("redis-server", LONG, || Client::try_connect(port).ok());
    process
}

fn follow(client: &mut Client, source: &Source) {
    assert_eq!(client.call(&format!("REPLICAOF 127.0.0.1 {}", source.port)), Value::ok());
}

fn is_up(client: &mut Client) -> bool {
    client.info("master_link_status").as_deref() == Some("up")
}

/// Waits until this node has applied all that the source has written.
fn wait_until_followed(client: &mut Client, source: &Source) {
    let mut there = source.client();
    wait::until_true("the import to reach its source", LONG, || {
        let (here, there) = (client.info("slave_repl_offset"), there.info("master_repl_offset"));
        let offset = |text: Option<String>| text.and_then(|text| text.parse::<u64>().ok());
        is_up(client) && offset(there).is_some_and(|there| offset(here) >= Some(there))
    });
}

/// What stands under each key of a database, and when it expires.
fn contents(client: &mut Client, database: usize) -> BTreeMap<String, (String, Value)> {
    client.call(&format!("SELECT {database}"));
    let Value::Array(keys) = client.call("KEYS *") else { panic!("no keys") };
    let mut all = BTreeMap::new();
    for key in keys.iter().map(Value::text) {
        let kind = client.call(&format!("TYPE {key}")).text();
        let line = match kind.as_str() {
            "string" => format!("GET {key}"),
            "list" => format!("LRANGE {key} 0 -1"),
            "set" => format!("SORT_RO {key} ALPHA"),
            "hash" => format!("HGETALL {key}"),
            "zset" => format!("ZRANGE {key} 0 -1 WITHSCORES"),
            "stream" => format!("XRANGE {key} - +"),
            other => panic!("{key} is of type {other}"),
        };
        let mut value = client.call(&line);
        if kind == "hash"
            && let Value::Array(words) = &mut value
        {
            let mut pairs: Vec<Vec<Value>> = words.chunks(2).map(<[Value]>::to_vec).collect();
            pairs.sort_by_key(|pair| pair[0].text());
            *words = pairs.concat();
        }
        let expires = client.call(&format!("PEXPIRETIME {key}"));
        all.insert(key, (format!("{kind} {expires:?}"), value));
    }
    client.call("SELECT 0");
    all
}

fn check_same(client: &mut Client, source: &Source) {
    let mut there = source.client();
    for database in 0..16 {
        let (here, there) = (contents(client, database), contents(&mut there, database));
        for (key, expected) in &there {
            assert_eq!(here.get(key), Some(expected), "{key} of database {database}");
        }
        assert_eq!(here.len(), there.len(), "keys of database {database}");
    }
    let last_error = client.info("import_last_error");
    assert_eq!(client.info("import_errors").as_deref(), Some("0"), "{last_error:?}");
}

/// A key of each type, in its small and its large form, in two databases.
fn fill(client: &mut Client) {
    let words = |count: usize, word: &str| {
        (0..count).map(|number| format!("{word}{number} {number}")).collect::<Vec<_>>().join(" ")
    };
    let small = words(20, "");
    let large = words(700, "element");
    for database in [0, 9] {
        let lines = [
            format!("SELECT {database}"),
            "MSET string hello number 12345 empty 0".to_owned(),
            format!("APPEND long {}", "x".repeat(5000)),
            format!("RPUSH list {small}"),
            format!("RPUSH longlist {large}"),
            format!(
                "SADD integers {}",
                (0..50).map(|it| format!("{it} ")).collect::<String>().trim()
            ),
            format!("SADD set {small} a"),
            format!("SADD largeset {large}"),
            format!("HSET hash {small}"),
            format!("HSET largehash {large}"),
            "ZADD sorted 1 a 2.5 b -inf c inf d".to_owned(),
            format!(
                "ZADD largesorted {}",
                (0..300).map(|it| format!("{it}.25 m{it} ")).collect::<String>().trim()
            ),
            "XADD stream 1-1 a b".to_owned(),
            "XADD stream 1-2 a c d e".to_owned(),
            "XADD stream 5-0 a d".to_owned(),
            "XDEL stream 1-2".to_owned(),
            "XGROUP CREATE stream group 0".to_owned(),
            "XREADGROUP GROUP group me COUNT 1 STREAMS stream >".to_owned(),
            "PFADD hll a b c".to_owned(),
            "GEOADD geo 13.361389 38.115556 Palermo".to_owned(),
            "SETBIT bits 77 1".to_owned(),
            "SET brief v PX 600000".to_owned(),
            "SET past v PX 1".to_owned(),
        ];
        for reply in client.pipeline(&lines).unwrap() {
            assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
        }
    }
    client.call("SELECT 0");
    let library: &[u8] = b"#!lua name=lib\nredis.register_function{function_name='f', \
        callback=function() return 7 end, flags={'no-writes'}}";
    assert_eq!(client.call_words(&[b"FUNCTION", b"LOAD", library]), Value::bulk("lib"));
}

fn all_that_a_source_has_is_taken_over_and_followed(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let source = Source::start("--requirepass secret");
    let mut there = Client::connect(source.port);
    assert_eq!(there.call("AUTH secret"), Value::ok());
    fill(&mut there);
    let follower = cluster.followers()[0];
    let mut here = cluster.client(follower);
    assert_eq!(here.call("SET mine v"), Value::ok());
    let own = cluster.nodes[cluster.leader()].port;
    let refused = here.call(&format!("REPLICAOF 127.0.0.1 {own}"));
    assert!(matches!(&refused, Value::Error(text) if text.contains("a node of this cluster")));
    // The password comes after the first attempts.
    follow(&mut here, &source);
    let already = Value::Simple("OK Already connected to specified master".into());
    assert_eq!(here.call(&format!("REPLICAOF 127.0.0.1 {}", source.port)), already);
    assert_eq!(here.call("CONFIG SET masterauth secret"), Value::ok());
    wait::until_true("the link", LONG, || is_up(&mut here));
    assert_eq!(there.call_words(&[b"CONFIG", b"SET", b"requirepass", b""]), Value::ok());
    wait_until_followed(&mut here, &source);
    check_same(&mut here, &source);
    assert_eq!(here.call("GET mine"), Value::Null);
    assert_eq!(here.call("FCALL f 0"), Value::Integer(7));
    assert_eq!(here.call("XPENDING stream group"), there.call("XPENDING stream group"));
    check_followed(&cluster, &mut here, &source);
}

/// What the source writes is written here, until the cluster is on its own.
fn check_followed(cluster: &Cluster, here: &mut Client, source: &Source) {
    let mut there = source.client();
    // All nodes know of it, and nobody writes.
    let read_only = "READONLY You can't write against a read only replica.";
    for node in &cluster.nodes {
        let mut client = node.client();
        assert_eq!(client.call("SET k v"), Value::Error(read_only.into()));
        assert_eq!(client.info("master_link_status").as_deref(), Some("up"));
        assert_eq!(client.info("role").as_deref(), Some("master"));
    }
    // Subscribers here are sent what is published there.
    let mut subscriber = cluster.client(cluster.followers()[0]);
    subscriber.call("SUBSCRIBE channel");
    for line in [
        "INCR number",
        "RPOPLPUSH list longlist",
        "SPOP set 3",
        "GEOSEARCHSTORE found geo FROMMEMBER Palermo BYRADIUS 1 km",
        "XREADGROUP GROUP group other STREAMS stream >",
        "XAUTOCLAIM stream group third 0 0",
        "COPY hash hash2",
        "MOVE string 3",
        "SWAPDB 9 10",
        "GETEX brief PX 500000",
        "SET gone v PX 1",
        "EVAL return(redis.call('INCRBYFLOAT','float','0.1')) 0",
        "PUBLISH channel message",
    ] {
        let reply = there.call(line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    }
    let Value::Array(message) = subscriber.receive().unwrap() else { panic!("no message") };
    assert_eq!(message.last(), Some(&Value::bulk("message")));
    there.call("MULTI");
    there.call("INCR number");
    there.call("INCR number");
    there.call("EXEC");
    wait_until_followed(here, source);
    check_same(here, source);
    // The source waits for what a majority has.
    there.call("INCR number");
    assert_eq!(there.call("WAIT 1 10000"), Value::Integer(1));
    assert_eq!(here.call("GET number"), there.call("GET number"));
    assert!(there.info("slave0").is_some_and(|it| it.contains("state=online")));
    assert_eq!(here.call("REPLICAOF NO ONE"), Value::ok());
    assert_eq!(here.call("INCR number"), Value::Integer(12350));
    assert_eq!(here.info("master_host"), None);
    check_same_digests(cluster, &[0, 1, 2]);
}

fn large_values_come_in_parts(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let source = Source::start("");
    let mut there = source.client();
    for group in 0..20 {
        // Nothing that a source packs.
        let item = |number: usize| -> String {
            let seed = (group * 100 + number + 1) as u64;
            let part = |part: u64| (seed * 20 + part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (0..20).map(|number| format!("{:016x}", part(number))).collect()
        };
        let items = |each: &dyn Fn(String) -> String| {
            (0..100).map(|number| each(item(number))).collect::<Vec<_>>().join(" ")
        };
        let lines = [
            format!("RPUSH list {}", items(&|item| item)),
            format!("SADD set {}", items(&|item| item)),
            format!("HSET hash {}", items(&|item| format!("{item} {item}"))),
            format!("ZADD sorted {}", items(&|item| format!("0.5 {item}"))),
        ];
        there.pipeline(&lines).unwrap();
    }
    there.call("PEXPIREAT list 4000000000000");
    let mut here = cluster.client(cluster.leader());
    follow(&mut here, &source);
    wait_until_followed(&mut here, &source);
    check_same(&mut here, &source);
    let calls = here.call("INFO commandstats").text();
    assert!(calls.contains("cmdstat_raft.extend:calls="), "{calls}");
    check_same_digests(&cluster, &[0, 1, 2]);
}

/// Writes what must not be applied twice or be left out, until it is told to stop.
fn write_until(stop: &AtomicBool, port: u16) {
    let mut client = Client::connect(port);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut lines = vec!["MULTI".to_owned()];
        for _ in 0..5 {
            let key = number % 7;
            lines.push(format!("INCR counter{key}"));
            lines.push(format!("LPUSH list{key} {number}"));
            lines.push(format!("XADD stream{key} * n {number}"));
            lines.push(format!("SET brief{key} {number} PX 300"));
            lines.push(format!("GETEX brief{key} PX 900000"));
            number += 1;
        }
        lines.push("EXEC".to_owned());
        lines.push(format!("SELECT {}", number / 5 % 3));
        client.pipeline(&lines).unwrap();
        wait::rest(std::time::Duration::from_millis(5));
    }
}

fn a_stream_of_writes_is_applied_exactly_once_across_leaders(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let source = Source::start("--repl-backlog-size 100mb");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| write_until(&stop, source.port));
        let mut here = cluster.client(cluster.leader());
        follow(&mut here, &source);
        wait::until_true("the link", LONG, || is_up(&mut here));
        let replid = here.info("import_replid");
        for _ in 0..2 {
            let former = cluster.leader();
            cluster.client(former).call("RAFT.TRANSFER_LEADER");
            let leader = cluster.leader();
            let mut here = cluster.client(leader);
            let before = here.info("import_commands");
            wait::until_true("the next leader to go on", LONG, || {
                is_up(&mut here) && here.info("import_commands") != before
            });
        }
        let leader = cluster.leader();
        cluster.nodes[leader].kill();
        let next = (leader + 1) % 3;
        let mut here = cluster.client(next);
        let before = here.info("import_commands");
        wait::until_true("a survivor to go on", LONG, || {
            is_up(&mut here) && here.info("import_commands") != before
        });
        cluster.restart(leader, "");
        cluster.wait_until_complete();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(here.info("import_replid"), replid);
    });
    let mut here = cluster.client(cluster.leader());
    wait_until_followed(&mut here, &source);
    check_same(&mut here, &source);
    // Nothing was read anew.
    assert!(source.client().info("sync_full").is_some_and(|count| count == "1"));
    assert_eq!(here.call("REPLICAOF NO ONE"), Value::ok());
    check_same_digests(&cluster, &[0, 1, 2]);
}

fn a_leader_that_dies_while_it_reads_the_snapshot_is_replaced(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let source = Source::start("");
    let mut there = source.client();
    for group in 0..500 {
        let pairs: Vec<String> =
            (0..100).map(|number| format!("key{} {group}", group * 100 + number)).collect();
        there.call(&format!("MSET {}", pairs.join(" ")));
    }
    let leader = cluster.leader();
    let mut here = cluster.client((leader + 1) % 3);
    follow(&mut here, &source);
    wait::until_true("the snapshot to be read", LONG, || {
        let commands = here.info("import_commands").and_then(|text| text.parse::<u64>().ok());
        commands > Some(1000)
    });
    cluster.nodes[leader].kill();
    there.call("INCR behind");
    wait_until_followed(&mut here, &source);
    assert_eq!(here.call("DBSIZE"), Value::Integer(50_001));
    assert_eq!(here.call("GET behind"), Value::bulk("1"));
    assert_eq!(here.call("GET key49999"), Value::bulk("499"));
    assert_eq!(here.info("import_errors").as_deref(), Some("0"));
}

fn a_source_may_come_back_and_may_be_another(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let mut source = Source::start("");
    source.client().call("SET k first");
    let mut here = cluster.client(cluster.leader());
    follow(&mut here, &source);
    wait_until_followed(&mut here, &source);
    source.process.kill();
    wait::until_true("the loss of the source", LONG, || !is_up(&mut here));
    assert_eq!(here.call("GET k"), Value::bulk("first"));
    assert!(matches!(here.call("SET k v"), Value::Error(_)));
    assert!(here.info("master_link_down_since_seconds").is_some());
    // It has lost its data.
    source.process = start_source(source.port, "");
    source.client().call("SET other second");
    wait::until_true("the source", LONG, || here.call("GET k") == Value::Null);
    wait_until_followed(&mut here, &source);
    assert_eq!(here.call("GET other"), Value::bulk("second"));
    let another = Source::start("");
    another.client().call("SET k third");
    follow(&mut here, &another);
    wait::until_true("the other source", LONG, || here.call("GET k") == Value::bulk("third"));
    wait_until_followed(&mut here, &another);
    check_same(&mut here, &another);
    // Nobody is there.
    let nobody = free_ports(1);
    assert_eq!(here.call(&format!("REPLICAOF 127.0.0.1 {nobody}")), Value::ok());
    assert_eq!(here.info("master_link_status").as_deref(), Some("down"));
    assert_eq!(here.call("CONFIG SET replica-read-only no"), Value::ok());
    assert_eq!(here.call("SET k own"), Value::ok());
    assert_eq!(here.call("REPLICAOF NO ONE"), Value::ok());
    assert_eq!(here.call("GET k"), Value::bulk("own"));
}

fn what_cannot_be_applied_ends_the_import_with_an_error(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let source = Source::start("--databases 20");
    let mut there = source.client();
    there.call("SET k v");
    let mut here = cluster.client(cluster.leader());
    let mut blocked = cluster.client(0);
    blocked.send_command("BLPOP queue 0");
    wait::until_true("the wait", LONG, || {
        cluster.nodes[0].info("blocked_clients").as_deref() == Some("1")
    });
    follow(&mut here, &source);
    let unblocked = blocked.receive().unwrap();
    assert!(unblocked.text().starts_with("UNBLOCKED "), "{unblocked:?}");
    wait_until_followed(&mut here, &source);
    there.call("SELECT 17");
    there.call("SET k v");
    let fails = |here: &mut Client, why: &str| {
        wait::until_true("the failure", LONG, || {
            here.info("import_state").as_deref() == Some("failed")
        });
        let failure = here.info("import_failure").unwrap_or_default();
        assert!(failure.contains(why), "{failure}");
    };
    fails(&mut here, "database 17");
    assert_eq!(here.call("GET k"), Value::bulk("v"));
    // Asked to begin anew, it finds it in the snapshot.
    follow(&mut here, &source);
    fails(&mut here, "the source has keys in database 17");
    there.call("FLUSHALL");
    there.call("SELECT 0");
    there.call("SET k w");
    follow(&mut here, &source);
    wait_until_followed(&mut here, &source);
    assert_eq!(here.call("GET k"), Value::bulk("w"));
}
