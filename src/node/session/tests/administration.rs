//! Who leads, changed in Redis's words; what consensus does in place of Redis's own means; and what
//! has no meaning here.

use super::*;
use crate::node::mailbox::FailoverTarget;

fn waits_for(command: AdminCommand) -> String {
    format!("{:?}", Outcome::Wait(Wait::Admin(command)))
}

#[test]
fn a_failover_is_carried_out_by_the_raft_role() {
    let failover = |target, timeout_ms| waits_for(AdminCommand::Failover { target, timeout_ms });
    let target = || Some(FailoverTarget { host: "h".to_owned(), port: 5 });
    let force = "-ERR FAILOVER with force option requires both a timeout and target HOST and IP.|";
    let timeout = "-ERR FAILOVER timeout must be greater than 0|";
    let not_integer = "-ERR value is not an integer or out of range|";
    let syntax = "-ERR syntax error|";
    Bench::new().check(&[
        ("FAILOVER", &failover(None, None)),
        ("failover TO h 5", &failover(target(), None)),
        ("FAILOVER TIMEOUT 7 to h 5 FORCE", &failover(target(), Some(7))),
        ("FAILOVER TIMEOUT 7", &failover(None, Some(7))),
        ("FAILOVER ABORT", &waits_for(AdminCommand::AbortFailover)),
        ("FAILOVER ABORT TIMEOUT 5", syntax),
        ("FAILOVER TIMEOUT 5 ABORT", syntax),
        ("FAILOVER TO h", syntax),
        ("FAILOVER foo", syntax),
        ("FAILOVER TO h x", not_integer),
        ("FAILOVER TIMEOUT x", not_integer),
        ("FAILOVER TIMEOUT 0", timeout),
        ("FAILOVER TIMEOUT -1", timeout),
        ("FAILOVER TO h 5 FORCE", force),
        ("FAILOVER TIMEOUT 5 FORCE", force),
        ("CLUSTER FAILOVER", &waits_for(AdminCommand::TakeOver { force: false })),
        ("cluster failover force", &waits_for(AdminCommand::TakeOver { force: true })),
        ("CLUSTER FAILOVER TAKEOVER", &waits_for(AdminCommand::TakeOver { force: true })),
        ("CLUSTER FAILOVER foo", syntax),
        ("CLUSTER FAILOVER FORCE FORCE", syntax),
        ("CLUSTER FORGET AbC", &waits_for(AdminCommand::Forget { node: "abc".to_owned() })),
    ]);
}

#[test]
fn what_redis_does_by_hand_is_refused_with_what_takes_its_place() {
    let slots = "-ERR slots cannot be assigned: all members have all of them|";
    let epochs = "-ERR there are no configuration epochs: the term of consensus takes their place|";
    let replicas = "-ERR a node feeds no replicas of Redis: members join by RAFT.CLUSTER JOIN|";
    let disk = "-ERR nothing can be saved: the data lives in the memory of the nodes|";
    let modules = "-ERR modules cannot be loaded here|";
    let hyperloglog = "-ERR the internals of a HyperLogLog cannot be reached|";
    Bench::new().check(&[
        ("CLUSTER ADDSLOTS 1", slots),
        ("CLUSTER ADDSLOTSRANGE 1 2", slots),
        ("CLUSTER DELSLOTS 1 2", slots),
        ("CLUSTER DELSLOTSRANGE 1 2", slots),
        ("CLUSTER FLUSHSLOTS", slots),
        ("CLUSTER SETSLOT 1 STABLE", slots),
        ("CLUSTER BUMPEPOCH", epochs),
        ("CLUSTER SET-CONFIG-EPOCH 1", epochs),
        (
            "CLUSTER COUNT-FAILURE-REPORTS x",
            "-ERR members do not report failures: who leads is elected, see INFO raft|",
        ),
        (
            "CLUSTER MEET 127.0.0.1 1",
            "-ERR a node is added by RAFT.CLUSTER JOIN on the node itself|",
        ),
        (
            "CLUSTER REPLICATE x",
            "-ERR all members follow the one that is elected: see RAFT.TRANSFER_LEADER|",
        ),
        (
            "CLUSTER RESET HARD",
            "-ERR a node leaves its cluster by RAFT.NODE REMOVE, and begins anew as a new process|",
        ),
        ("CLUSTER SAVECONFIG", "-ERR nothing is saved: there is no disk|"),
        ("CLUSTER ADDSLOTS", "-ERR wrong number of arguments for 'cluster|addslots' command|"),
        ("SAVE", disk),
        ("BGSAVE SCHEDULE", disk),
        ("BGREWRITEAOF", "-ERR there is no append only file: nothing is written to disk|"),
        ("SYNC", replicas),
        ("PSYNC ? -1", replicas),
        ("REPLCONF listening-port 1", replicas),
        ("RESTORE-ASKING k 0 v", "-ERR slots do not move between nodes: use RESTORE|"),
        ("PFDEBUG GETREG k", hyperloglog),
        ("PFSELFTEST", hyperloglog),
        ("PFSELFTEST x", "-ERR wrong number of arguments for 'pfselftest' command|"),
        ("MODULE LOAD x", modules),
        ("MODULE LOADEX x", modules),
        ("MODULE UNLOAD x", modules),
        ("MODULE LOAD", "-ERR wrong number of arguments for 'module|load' command|"),
    ]);
}

#[test]
fn what_is_true_of_them_is_told() {
    let mut bench = Bench::new();
    bench.shared.started_unix_ms = 1_700_000_000_999;
    bench.check(&[
        ("ASKING", "+OK|"),
        ("ASKING x", "-ERR wrong number of arguments for 'asking' command|"),
        ("LASTSAVE", ":1700000000|"),
        ("MODULE LIST", "*0|"),
        ("MEMORY PURGE", "+OK|"),
        ("MEMORY MALLOC-STATS", "$45|Stats not supported for the current allocator|"),
        ("MEMORY NOPE", "-ERR unknown subcommand 'NOPE'. Try MEMORY HELP.|"),
        ("MEMORY", "-ERR wrong number of arguments for 'memory' command|"),
    ]);
}

#[test]
fn only_the_node_that_is_named_is_stopped() {
    let mut bench = Bench::new();
    bench.check(&[("RAFT.NODESHUTDOWN 0", "-invalid node id|")]);
    bench.shared.member.store(7, std::sync::atomic::Ordering::Relaxed);
    bench.check(&[
        ("RAFT.NODESHUTDOWN 7", "Shutdown"),
        ("RAFT.NODESHUTDOWN 8", "-invalid node id|"),
        ("RAFT.NODESHUTDOWN x", "-invalid node id|"),
    ]);
}

#[test]
fn a_command_is_run_on_this_node_alone_if_it_changes_nothing() {
    let bad = "-ERR Bad command or failed to execute|";
    let reads = "-ERR RAFT.DEBUG EXEC runs what changes nothing only|";
    let mut bench = Bench::new();
    bench.session.database = 3;
    let words = ["get", "k"].map(|word| word.as_bytes().to_vec()).to_vec();
    bench.check(&[
        ("RAFT.DEBUG EXEC get k", &waits_for(AdminCommand::Execute { database: 3, words })),
        ("RAFT.DEBUG EXEC nosuch k", bad),
        ("RAFT.DEBUG EXEC get", bad),
        ("RAFT.DEBUG EXEC ping", bad),
        ("RAFT.DEBUG EXEC object nosuch k", bad),
        ("RAFT.DEBUG EXEC set k v", reads),
        ("RAFT.DEBUG EXEC xgroup create s g 0", reads),
        ("RAFT.DEBUG EXEC blpop k 0", reads),
        ("RAFT.DEBUG EXEC", "-ERR wrong number of arguments for 'raft.debug' command|"),
    ]);
}

#[test]
fn the_links_and_the_memory_of_a_node_are_told() {
    let mut bench = Bench::new();
    bench.now_ms = 10_000;
    let engine = EngineReport::default();
    let links = bench.report("CLUSTER LINKS", &leader(), &engine);
    // Of members 2 and 4: that to member 3 is down.
    assert!(links.starts_with("*4|*8|$9|direction|$2|to|$4|node|$40|b000"), "{links}");
    assert!(links.contains("|$11|create-time|:1699999994123|$6|events|$2|rw|"), "{links}");
    assert_eq!(links.matches("|$4|from|").count(), 2);
    assert_eq!(bench.report("CLUSTER LINKS", &RaftReport::default(), &engine), "*0|");
    let stats = bench.report("MEMORY STATS", &leader(), &engine);
    assert!(stats.starts_with("*12|$14|peak.allocated|:"), "{stats}");
    assert!(stats.contains("|$19|replication.backlog|:4096|$10|keys.count|:0|"), "{stats}");
    assert!(stats.contains("|$18|keys.bytes-per-key|:0|$15|peak.percentage|$"), "{stats}");
    let doctor = bench.report("MEMORY DOCTOR", &leader(), &engine);
    assert!(doctor.contains("memory of this node"), "{doctor}");
}

#[test]
fn debug_is_for_those_who_are_allowed() {
    let mut settings = Settings::default();
    let directive = crate::config::DIRECTIVES
        .iter()
        .position(|directive| directive.name == "enable-debug-command")
        .unwrap();
    let near = "127.0.0.1:4242".parse().unwrap();
    let far = "10.0.0.9:4242".parse().unwrap();
    for (value, peer, is_allowed) in
        [("no", near, false), ("local", near, true), ("local", far, false), ("yes", far, true)]
    {
        settings.preset(directive, value).unwrap();
        let mut bench = Bench::new();
        bench.session.peer = peer;
        let settings = SharedSettings::new(settings.clone(), None);
        let (shared, users) = (&bench.shared, &bench.users);
        let view = NodeView { shared, settings: &settings, users, now_ms: 0, unix_ms: 0 };
        let refusal = refusal_of_debug(&bench.session, &view);
        assert_eq!(refusal.is_none(), is_allowed, "{value} {peer}");
    }
}

/// What redis-server replies.
#[test]
fn debug_answers_what_needs_no_data() {
    let unknown = |name: &str| {
        format!(
            "-ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP.|"
        )
    };
    let memory = "-ERR argument must be a memory value bigger than 1 and smaller than 4gb|";
    let mut bench = Bench::new();
    bench.check(&[
        ("DEBUG", "-ERR wrong number of arguments for 'debug' command|"),
        ("DEBUG foo", &unknown("foo")),
        ("DEBUG PROTOCOL", &unknown("PROTOCOL")),
        ("DEBUG SLEEP x", "+OK|"),
        ("DEBUG SLEEP 0.01", "+OK|"),
        ("DEBUG SLEEP -1", "+OK|"),
        ("DEBUG ERROR oops", "-oops|"),
        ("DEBUG LOG hello", "+OK|"),
        ("DEBUG RELOAD NOSAVE", "+OK|"),
        ("DEBUG LOADAOF", "+OK|"),
        ("DEBUG PAUSE-CRON 1", "+OK|"),
        ("DEBUG QUICKLIST-PACKED-THRESHOLD 100b", "+OK|"),
        ("DEBUG QUICKLIST-PACKED-THRESHOLD 1kb", "+OK|"),
        ("DEBUG QUICKLIST-PACKED-THRESHOLD 200", "+OK|"),
        ("DEBUG QUICKLIST-PACKED-THRESHOLD 5gb", memory),
        ("DEBUG QUICKLIST-PACKED-THRESHOLD x", memory),
        ("DEBUG PROTOCOL string", "$11|Hello World|"),
        ("DEBUG PROTOCOL integer", ":12345|"),
        ("DEBUG PROTOCOL double", "$5|3.141|"),
        ("DEBUG PROTOCOL null", "$-1|"),
        ("DEBUG PROTOCOL array", "*3|:0|:1|:2|"),
        ("DEBUG PROTOCOL set", "*3|:0|:1|:2|"),
        ("DEBUG PROTOCOL map", "*6|:0|:0|:1|:1|:2|:0|"),
        ("DEBUG PROTOCOL attrib", "$39|Some real reply following the attribute|"),
        ("DEBUG PROTOCOL push", "-ERR RESP2 is not supported by this command|"),
        ("DEBUG PROTOCOL verbatim", "$25|This is a verbatim\nstring|"),
        ("DEBUG PROTOCOL true", ":1|"),
        ("DEBUG PROTOCOL false", ":0|"),
        ("DEBUG PROTOCOL bignum", "$37|1234567999999999999999999999999999999|"),
        (
            "DEBUG PROTOCOL foo",
            "-ERR Wrong protocol type name. Please use one of the following: \
             string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false|",
        ),
    ]);
    bench.session.protocol = Protocol::Resp3;
    bench.check(&[
        ("DEBUG PROTOCOL double", ",3.141|"),
        ("DEBUG PROTOCOL null", "_|"),
        ("DEBUG PROTOCOL set", "~3|:0|:1|:2|"),
        ("DEBUG PROTOCOL map", "%3|:0|#f|:1|#t|:2|#f|"),
        (
            "DEBUG PROTOCOL attrib",
            "|1|$14|key-popularity|*2|$7|key:123|:90|$39|Some real reply following the attribute|",
        ),
        (
            "DEBUG PROTOCOL push",
            ">2|$16|server-cpu-usage|:42|$40|Some real reply following the push reply|",
        ),
        ("DEBUG PROTOCOL verbatim", "=29|txt:This is a verbatim\nstring|"),
        ("DEBUG PROTOCOL true", "#t|"),
        ("DEBUG PROTOCOL bignum", "(1234567999999999999999999999999999999|"),
    ]);
}
