use proptest::prelude::*;

use crate::engine::Engine;
use crate::engine::keyspace::{Victim, Victims};
use crate::engine::random::Random;
use crate::engine::reply::Protocol;
use crate::engine::testing::{advance, check, check_all, engine, run_line, run_words_in};
use crate::limits::{EVICTION_SLACK_BYTES, EVICTION_SLACK_SHARE};

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

/// `K` stands for any of a few keys, `M` for a short or a long member, `N` for a number.
#[rustfmt::skip]
const LINES: &[&str] = &[
    "SET K M", "SET K M PX N", "SET K M KEEPTTL", "SETRANGE K N M", "APPEND K M", "INCR K",
    "INCRBYFLOAT K 1.5", "SETBIT K N 1", "BITFIELD K SET u8 N 7", "BITOP NOT K K", "PFADD K M M",
    "PFMERGE K K", "GETDEL K", "GETEX K EX N", "GETEX K PERSIST", "GETSET K M", "MSET K M K M",
    "PERSIST K", "PEXPIRE K N", "EXPIREAT K 1", "RENAME K K", "RENAMENX K K", "COPY K K REPLACE",
    "COPY K K DB 3", "MOVE K 2", "DEL K", "UNLINK K K", "LPUSH K M M", "RPUSH K M", "LPOP K N",
    "RPOP K", "LSET K 0 M", "LINSERT K BEFORE M M", "LREM K 0 M", "LTRIM K 1 N",
    "LMOVE K K LEFT RIGHT", "LMPOP 2 K K LEFT COUNT 2", "SADD K M M", "SADD K N N", "SREM K M N",
    "SPOP K 2", "SMOVE K K M", "SUNIONSTORE K K K", "SDIFFSTORE K K K", "HSET K M M M M",
    "HSETNX K M M", "HDEL K M", "HINCRBY K N N", "HPEXPIRE K N FIELDS 1 M",
    "HPERSIST K FIELDS 1 M", "HGETDEL K FIELDS 1 M", "HSETEX K PX N FIELDS 1 M M",
    "HGETEX K PX N FIELDS 1 M", "ZADD K N M", "ZADD K INCR N M", "ZREM K M", "ZPOPMIN K N",
    "ZREMRANGEBYRANK K 0 1", "ZUNIONSTORE K 2 K K", "ZRANGESTORE K K 0 N", "GEOADD K 1 1 M",
    "XADD K * M M", "XADD K MAXLEN 2 * M M M M", "XDEL K 1-1", "XTRIM K MAXLEN 1",
    "XGROUP CREATE K M 0 MKSTREAM", "XGROUP CREATECONSUMER K M M", "XGROUP DELCONSUMER K M M",
    "XGROUP DESTROY K M", "XREADGROUP GROUP M M COUNT 2 STREAMS K >", "XACK K M 1-1",
    "XAUTOCLAIM K M M 0 0", "SORT K ALPHA STORE K", "SWAPDB 0 1", "FLUSHDB", "GET K", "EXISTS K",
    "RAFT.EVICT 999999999 0 K 1 K", "RAFT.SETTING SET maxmemory 900 maxmemory-policy allkeys-lru",
    "RAFT.SETTING SET maxmemory 0 default-ttl N max-ttl 90", "RAFT.SETTING SET default-ttl 0",
];

fn random_line(random: &mut Random) -> String {
    let words = LINES[random.below(LINES.len())].split(' ').map(|word| match word {
        "K" => format!("key:{}{}", random.below(9), "-".repeat(random.below(2) * 30)),
        "M" => format!("m{}{}", random.below(5), "y".repeat(random.below(3) * 40)),
        "N" => random.below(150).to_string(),
        word => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn run_random(engine: &mut Engine, line: &str, database: u8) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    run_words_in(engine, database, Protocol::Resp2, &words);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_account_is_what_a_recount_finds_and_nodes_agree(seed: u64) {
        let mut random = Random::new(seed);
        let mut nodes = [engine(), engine()];
        for _ in 0..400 {
            let (line, database) = (random_line(&mut random), random.below(2) as u8);
            let pass = random.below(3) as u64 * 40;
            for (number, node) in nodes.iter_mut().enumerate() {
                advance(node, pass);
                node.expire_due(3);
                run_random(node, &line, database);
                // What one node reads is nothing to the other.
                if number == 0 {
                    run_random(node, "GET key:1", 0);
                }
            }
            let account = nodes[0].keyspace.memory();
            prop_assert_eq!(account, nodes[0].keyspace.recount_memory(), "{}", line);
            prop_assert_eq!(account, nodes[1].keyspace.memory(), "{}", line);
        }
        prop_assert_eq!(nodes[0].digest(), nodes[1].digest());
        let [mut node, _] = nodes;
        for database in 0..4 {
            run_random(&mut node, "FLUSHDB", database);
        }
        prop_assert_eq!(node.keyspace.memory(), 0);
    }
}

fn memory_usage(engine: &mut Engine, key: &str) -> usize {
    let reply = run_line(engine, Protocol::Resp2, &format!("MEMORY USAGE {key}"));
    String::from_utf8_lossy(&reply[1..]).trim().parse().unwrap()
}

#[test]
fn memory_usage_of_all_keys_is_the_account() {
    let mut engine = engine();
    for line in ["SET k v", "SET longer-than-twenty-two-bytes v EX 9", "SADD s a b", "HSET h f v"] {
        run_line(&mut engine, Protocol::Resp2, line);
    }
    let keys = ["k", "longer-than-twenty-two-bytes", "s", "h"];
    let sum: usize = keys.iter().map(|key| memory_usage(&mut engine, key)).sum();
    assert_eq!(engine.keyspace.memory(), sum);
    assert_eq!(memory_usage(&mut engine, "longer-than-twenty-two-bytes"), 64 + 28 + 24);
}

/// An engine with a hundred keys of 64 bytes of which none may stay behind that is over.
fn full(policy: &str) -> Engine {
    let mut engine = engine();
    for number in 0..100 {
        let ttl =
            if number % 2 == 0 { format!(" PX {}", 10_000_000 + number) } else { String::new() };
        check(&mut engine, &format!("SET key:{number} v{ttl}"), "+OK\r\n");
        advance(&mut engine, 2000);
    }
    let line = format!("RAFT.SETTING SET maxmemory 6000 maxmemory-policy {policy}");
    check(&mut engine, &line, "+OK\r\n");
    engine
}

fn choose(engine: &Engine, bytes: usize) -> Vec<Victim> {
    let mut random = Random::new(3);
    Victims::default().choose(&engine.keyspace, 10, (bytes, 1000), &mut random)
}

/// Lets the leader's choices go until none is needed; returns how many rounds that took.
fn evict(engine: &mut Engine) -> usize {
    for round in 0..1000 {
        let excess = engine.keyspace.excess();
        let victims = choose(engine, excess);
        if excess == 0 || victims.is_empty() {
            return round;
        }
        let index = engine.keyspace.entry_index();
        for Victim { database, key } in &victims {
            engine.keyspace.evict(*database, key, index);
        }
    }
    panic!("no end of it");
}

#[test]
fn each_policy_lets_its_own_keys_go_until_the_account_fits() {
    for policy in crate::engine::settings::Policy::NAMES {
        let mut engine = full(policy);
        let before = engine.keyspace.memory();
        assert_eq!(before, 100 * 64 + 50 * 24, "{policy}");
        evict(&mut engine);
        let (memory, gone) = (engine.keyspace.memory(), 100 - engine.keyspace.len(0));
        assert_eq!(memory, engine.keyspace.recount_memory());
        assert_eq!(engine.keyspace.stats().evicted, gone as u64);
        if *policy == "noeviction" {
            assert_eq!((memory, gone), (before, 0));
            check(&mut engine, "SET new v", OOM);
            continue;
        }
        assert!(memory <= 6000 && memory > 6000 - 88, "{policy}: no more than needed: {memory}");
        if policy.starts_with("volatile") {
            assert_eq!(50 - engine.keyspace.volatile_len(0), gone, "{policy}");
        }
        check(&mut engine, "SET new v", "+OK\r\n");
    }
}

/// Of the keys that went, how many are among the 50 first.
fn among_first(engine: &mut Engine) -> (usize, usize) {
    let mut gone = [0, 0];
    for number in 0..100 {
        let key = format!("key:{number}");
        if engine.keyspace.peek(0, key.as_bytes()).is_none() {
            gone[number / 50] += 1;
        }
    }
    (gone[0], gone[0] + gone[1])
}

#[test]
fn what_was_not_used_lately_goes_first() {
    let mut engine = full("allkeys-lru");
    for number in 0..10 {
        run_line(&mut engine, Protocol::Resp2, &format!("GET key:{number}"));
    }
    evict(&mut engine);
    let (first, all) = among_first(&mut engine);
    assert!(all >= 15 && first * 10 >= all * 9, "{first} of {all}");
    for number in 0..10 {
        assert!(engine.keyspace.peek(0, format!("key:{number}").as_bytes()).is_some());
    }
}

#[test]
fn what_was_not_used_often_goes_first() {
    let mut engine = full("allkeys-lfu");
    for _ in 0..200 {
        for number in 50..100 {
            run_line(&mut engine, Protocol::Resp2, &format!("GET key:{number}"));
        }
    }
    evict(&mut engine);
    let (first, all) = among_first(&mut engine);
    assert!(all >= 15 && first * 10 >= all * 9, "{first} of {all}");
}

#[test]
fn what_expires_first_goes_first() {
    let mut engine = full("volatile-ttl");
    let victims = choose(&engine, 3 * 88);
    let keys: Vec<&[u8]> = victims.iter().map(|victim| victim.key.as_slice()).collect();
    assert_eq!(keys, [&b"key:0"[..], b"key:2", b"key:4"]);
    evict(&mut engine);
    assert!(engine.keyspace.peek(0, b"key:98").is_some());
    assert!(engine.keyspace.peek(0, b"key:0").is_none());
}

#[test]
fn a_choice_is_looked_at_again_when_it_is_applied() {
    let mut engine = full("allkeys-lru");
    advance(&mut engine, 1);
    let index = engine.keyspace.entry_index();
    check(&mut engine, "SET key:1 newer", "+OK\r\n");
    let line = format!("RAFT.EVICT {} 0 key:1 0 key:2 0 none 7 key:3", index - 1);
    check(&mut engine, &line, ":1\r\n");
    assert!(engine.keyspace.peek(0, b"key:1").is_some(), "it was changed since");
    assert!(engine.keyspace.peek(0, b"key:2").is_none());
    check(&mut engine, "RAFT.SETTING SET maxmemory 1mb", "+OK\r\n");
    check(&mut engine, &format!("RAFT.EVICT {index} 0 key:3"), ":0\r\n");
    check(&mut engine, "RAFT.SETTING SET maxmemory 1 maxmemory-policy volatile-ttl", "+OK\r\n");
    check(&mut engine, &format!("RAFT.EVICT {index} 0 key:3 0 key:4"), ":1\r\n");
    assert!(engine.keyspace.peek(0, b"key:3").is_some(), "it never expires");
    check(&mut engine, "RAFT.EVICT x 0 k", "-ERR value is not an integer or out of range\r\n");
    check(&mut engine, "RAFT.EVICT 1 16 k", "-ERR DB index is out of range\r\n");
    check(&mut engine, "RAFT.EVICT 1 0", "-ERR syntax error\r\n");
}

#[test]
fn what_may_take_memory_is_refused_where_nothing_can_go() {
    let mut engine = full("noeviction");
    check_all(
        &mut engine,
        &[
            ("SET k v", OOM),
            ("LPUSH l a", OOM),
            ("RESTORE k 0 x", OOM),
            ("SET k", "-ERR wrong number of arguments for 'set' command\r\n"),
            ("GET key:1", "$1\r\nv\r\n"),
            ("LPOP l", "$-1\r\n"),
            ("EXPIRE key:1 100", ":1\r\n"),
            ("DEL key:1", ":1\r\n"),
            ("RAFT.SETTING SET maxmemory 0", "+OK\r\n"),
            ("SET k v", "+OK\r\n"),
        ],
    );
    assert_eq!(engine.stats().errors["OOM"], 3);
    let mut engine = full("volatile-lru");
    check(&mut engine, "SET k v", "+OK\r\n");
    for number in 0..100 {
        run_line(&mut engine, Protocol::Resp2, &format!("PERSIST key:{number}"));
    }
    check(&mut engine, "SET k v", OOM);
    check(&mut engine, "EXPIRE k 1000", ":1\r\n");
    check(&mut engine, "SET k v EX 9", "+OK\r\n");
}

#[test]
fn more_than_goes_is_refused_beyond_the_slack() {
    let mut engine = engine();
    check(&mut engine, "RAFT.SETTING SET maxmemory 1mb maxmemory-policy allkeys-lru", "+OK\r\n");
    let value = "x".repeat(1 << 20);
    let slack = EVICTION_SLACK_BYTES + (1 << 20) / EVICTION_SLACK_SHARE;
    let mut count = 0;
    while run_line(&mut engine, Protocol::Resp2, &format!("SET k{count} {value}")) == b"+OK\r\n" {
        count += 1;
    }
    let excess = engine.keyspace.excess();
    assert!(excess > slack && excess <= slack + (1 << 20) + 64, "{excess}");
    evict(&mut engine);
    check(&mut engine, "SET k v", "+OK\r\n");
}

#[test]
fn written_keys_have_a_bounded_time_to_live() {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("SET before v", "+OK\r\n"),
            ("RAFT.SETTING SET default-ttl 60s max-ttl 100s", "+OK\r\n"),
            ("PTTL before", ":-1\r\n"),
            ("APPEND before w", ":2\r\n"),
            ("PTTL before", ":-1\r\n"),
            ("SET before x KEEPTTL", "+OK\r\n"),
            ("PTTL before", ":60000\r\n"),
            ("SET k v", "+OK\r\n"),
            ("PTTL k", ":60000\r\n"),
            ("SET k v EX 70", "+OK\r\n"),
            ("PTTL k", ":70000\r\n"),
            ("SET k v EX 700", "+OK\r\n"),
            ("PTTL k", ":100000\r\n"),
            ("SET k v KEEPTTL", "+OK\r\n"),
            ("PTTL k", ":100000\r\n"),
            ("PERSIST k", ":1\r\n"),
            ("PTTL k", ":100000\r\n"),
            ("EXPIRE k 1000", ":1\r\n"),
            ("PTTL k", ":100000\r\n"),
            ("EXPIRE k 10", ":1\r\n"),
            ("RENAME k l", "+OK\r\n"),
            ("PTTL l", ":10000\r\n"),
            ("COPY l m", ":1\r\n"),
            ("PTTL m", ":10000\r\n"),
            ("LPUSH list a", ":1\r\n"),
            ("PTTL list", ":60000\r\n"),
            ("HSET hash f v", ":1\r\n"),
            ("PTTL hash", ":60000\r\n"),
            ("SADD set a", ":1\r\n"),
            ("ZADD zset 1 a", ":1\r\n"),
            ("SUNIONSTORE union set", ":1\r\n"),
            ("PTTL union", ":60000\r\n"),
            ("INCR n", ":1\r\n"),
            ("PTTL n", ":60000\r\n"),
            ("RAFT.SETTING SET default-ttl 0", "+OK\r\n"),
            ("SET k v", "+OK\r\n"),
            ("PTTL k", ":100000\r\n"),
            ("RAFT.SETTING SET max-ttl 0 default-ttl 5s", "+OK\r\n"),
            ("PERSIST k", ":1\r\n"),
            ("PTTL k", ":-1\r\n"),
            ("SET k v", "+OK\r\n"),
            ("PTTL k", ":5000\r\n"),
        ],
    );
    assert_eq!(engine.keyspace.memory(), engine.keyspace.recount_memory());
}
