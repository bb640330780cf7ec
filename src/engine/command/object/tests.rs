use crate::engine::Engine;
use crate::engine::batch::{Batch, Sender};
use crate::engine::command::lookup;
use crate::engine::reply::Protocol;
use crate::engine::testing::{advance, check, check_all, check3, engine, run_line, run_words};

#[test]
fn object_tells_the_form_of_values() {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("SET i 100", "+OK\r\n"),
            ("SET s hello", "+OK\r\n"),
            ("SET l 123456789012345678901234567890123456789012345", "+OK\r\n"),
            ("OBJECT ENCODING i", "$3\r\nint\r\n"),
            ("OBJECT ENCODING s", "$6\r\nembstr\r\n"),
            ("OBJECT ENCODING l", "$3\r\nraw\r\n"),
            ("APPEND s !", ":6\r\n"),
            ("OBJECT ENCODING s", "$3\r\nraw\r\n"),
            ("OBJECT REFCOUNT s", ":1\r\n"),
            ("OBJECT ENCODING none", "$-1\r\n"),
            ("OBJECT foo", "-ERR unknown subcommand 'foo'. Try OBJECT HELP.\r\n"),
            ("OBJECT", "-ERR wrong number of arguments for 'object' command\r\n"),
            ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command\r\n"),
        ],
    );
    check3(&mut engine, "OBJECT ENCODING none", "_\r\n");
}

#[test]
fn encodings_are_those_of_each_type() {
    let mut engine = engine();
    let long = "x".repeat(65);
    let cases = [
        ("RPUSH list a", "OBJECT ENCODING list", "listpack"),
        ("SADD ints 1 2", "OBJECT ENCODING ints", "intset"),
        ("SADD words a b", "OBJECT ENCODING words", "listpack"),
        (&format!("SADD long {long}"), "OBJECT ENCODING long", "hashtable"),
        ("HSET hash f v", "OBJECT ENCODING hash", "listpack"),
        (&format!("HSET wide f {long}"), "OBJECT ENCODING wide", "hashtable"),
        ("ZADD zset 1 a", "OBJECT ENCODING zset", "listpack"),
        (&format!("ZADD zlong 1 {long}"), "OBJECT ENCODING zlong", "skiplist"),
        ("XADD stream 1-1 f v", "OBJECT ENCODING stream", "stream"),
    ];
    for (line, question, expected) in cases {
        crate::engine::testing::run_line(&mut engine, Default::default(), line);
        check(&mut engine, question, &format!("${}\r\n{expected}\r\n", expected.len()));
    }
}

#[test]
fn uses_are_told_as_the_policy_has_them() {
    let freq = "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
                note that when switching between policies at runtime LRU and LFU data will take \
                some time to adjust.\r\n";
    let idle = "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that \
                when switching between policies at runtime LRU and LFU data will take some time \
                to adjust.\r\n";
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("SET k v", "+OK\r\n"),
            ("OBJECT FREQ k", freq),
            ("OBJECT IDLETIME k", ":0\r\n"),
            ("OBJECT FREQ none", "$-1\r\n"),
            ("OBJECT IDLETIME none", "$-1\r\n"),
            ("OBJECT FREQ", "-ERR wrong number of arguments for 'object|freq' command\r\n"),
        ],
    );
    check3(&mut engine, "OBJECT FREQ none", "_\r\n");
    advance(&mut engine, 7000);
    for line in ["EXISTS k", "OBJECT ENCODING k", "TYPE k", "TTL k", "OBJECT IDLETIME k"] {
        run_line(&mut engine, Protocol::Resp2, line);
        check(&mut engine, "OBJECT IDLETIME k", ":7\r\n");
    }
    for line in ["GET k", "TOUCH k", "APPEND k x", "SET k w"] {
        run_line(&mut engine, Protocol::Resp2, line);
        check(&mut engine, "OBJECT IDLETIME k", ":0\r\n");
        advance(&mut engine, 7000);
    }
    let mut payload = vec![];
    payload.extend_from_slice(&run_line(&mut engine, Protocol::Resp2, "DUMP k"));
    let start = payload.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let payload = payload[start..payload.len() - 2].to_vec();
    let restore = |engine: &mut Engine, option: [&[u8]; 2]| {
        let words: [&[u8]; 4] = [b"RESTORE", b"r", b"0", &payload];
        run_words(engine, Protocol::Resp2, &[&words[..], &option[..], &[b"REPLACE"]].concat());
    };
    restore(&mut engine, [b"IDLETIME", b"1000"]);
    check(&mut engine, "OBJECT IDLETIME r", ":1000\r\n");
    check(&mut engine, "RAFT.SETTING SET maxmemory-policy allkeys-lfu", "+OK\r\n");
    check(&mut engine, "OBJECT IDLETIME r", idle);
    restore(&mut engine, [b"FREQ", b"100"]);
    check(&mut engine, "OBJECT FREQ r", ":100\r\n");
    advance(&mut engine, 5 * 60_000);
    check(&mut engine, "OBJECT FREQ r", ":95\r\n");
    check(&mut engine, "SET new v", "+OK\r\n");
    check(&mut engine, "OBJECT FREQ new", ":5\r\n");
    check(&mut engine, "RAFT.SETTING SET lfu-log-factor 0 lfu-decay-time 0", "+OK\r\n");
    check(&mut engine, "GET new", "$1\r\nv\r\n");
    check(&mut engine, "OBJECT FREQ new", ":6\r\n");
    for _ in 0..300 {
        run_line(&mut engine, Protocol::Resp2, "GET new");
    }
    advance(&mut engine, 10 * 60_000);
    check(&mut engine, "OBJECT FREQ new", ":255\r\n");
}

#[test]
fn a_command_may_go_unnoticed() {
    let mut engine = engine();
    check(&mut engine, "SET k v", "+OK\r\n");
    advance(&mut engine, 9000);
    let (mut batch, mut reply) = (Batch::default(), Default::default());
    let unnoticed = Sender { hides_usage: true, user: None };
    batch.push_of(unnoticed, lookup(b"get").unwrap(), 0, &[b"k"]);
    engine.apply_batch(batch.commands(), 1, 1, &mut reply);
    check(&mut engine, "OBJECT IDLETIME k", ":9\r\n");
    batch.push_of(unnoticed, lookup(b"touch").unwrap(), 0, &[b"k"]);
    engine.apply_batch(batch.commands(), 1, 1, &mut reply);
    check(&mut engine, "OBJECT IDLETIME k", ":0\r\n");
    advance(&mut engine, 9000);
    check(&mut engine, "GET k", "$1\r\nv\r\n");
    check(&mut engine, "OBJECT IDLETIME k", ":0\r\n");
}

fn check_encoding(engine: &mut Engine, key: &str, expected: &str) {
    check(
        engine,
        &format!("OBJECT ENCODING {key}"),
        &format!("${}\r\n{expected}\r\n", expected.len()),
    );
}

#[test]
fn values_that_change_keep_to_the_bounds_of_small_forms() {
    let cases = [
        ("hash-max-listpack-entries 2", "HSET k a 1 b 2", "listpack", "HSET k c 3", "hashtable"),
        ("hash-max-ziplist-entries 0", "HSET other a 1", "listpack", "HSET k c 3", "hashtable"),
        ("hash-max-ziplist-value 3", "HSET k a 123", "listpack", "HSET k a 1234", "hashtable"),
        ("hash-max-ziplist-value 3", "HSET k abc 1", "listpack", "HINCRBY k abcd 1", "hashtable"),
        ("set-max-intset-entries 2", "SADD k 1 2", "intset", "SADD k 3", "hashtable"),
        ("set-max-intset-entries 0", "SADD k 1 2", "listpack", "SADD k a", "listpack"),
        ("set-max-listpack-entries 1", "SADD k a", "listpack", "SADD k 3", "hashtable"),
        ("set-max-listpack-value 1", "SADD k a", "listpack", "SADD k ab", "hashtable"),
        ("zset-max-listpack-entries 1", "ZADD k 1 a", "listpack", "ZADD k 1 b", "skiplist"),
        ("zset-max-ziplist-value 1", "ZADD k 1 a", "listpack", "ZINCRBY k 1 ab", "skiplist"),
        ("list-max-listpack-size 1", "RPUSH k a", "listpack", "RPUSH k b", "quicklist"),
        ("list-max-ziplist-size -1", "RPUSH k a", "listpack", "RPUSH k b", "listpack"),
        // The types have bounds of their own.
        ("zset-max-listpack-value 1kb", "ZADD k 1 a", "listpack", "ZADD k 1 b", "listpack"),
    ];
    for (setting, first, small, second, large) in cases {
        let mut engine = engine();
        run_line(&mut engine, Protocol::Resp2, &format!("RAFT.SETTING SET {setting}"));
        run_line(&mut engine, Protocol::Resp2, first);
        if first.split(' ').nth(1) == Some("k") {
            check_encoding(&mut engine, "k", small);
        }
        run_line(&mut engine, Protocol::Resp2, second);
        check_encoding(&mut engine, "k", large);
        assert_eq!(engine.keyspace.memory(), engine.keyspace.recount_memory(), "{setting}");
    }
}

#[test]
fn a_lower_bound_is_for_what_changes_from_then_on() {
    let mut engine = engine();
    let all = "SINTERSTORE copy words words";
    for line in ["SADD words a b", "HSET hash f v", "RAFT.SETTING SET set-max-listpack-entries 1"] {
        run_line(&mut engine, Protocol::Resp2, line);
    }
    check_encoding(&mut engine, "words", "listpack");
    run_line(&mut engine, Protocol::Resp2, all);
    check_encoding(&mut engine, "copy", "hashtable");
    run_line(&mut engine, Protocol::Resp2, "HSET hash f w");
    check_encoding(&mut engine, "hash", "listpack");
    // What a script changes is looked at after each of its commands.
    let script = "redis.call('sadd', 's', 'a', 'b') return redis.call('object', 'encoding', 's')";
    let reply = run_words(&mut engine, Protocol::Resp2, &[b"EVAL", script.as_bytes(), b"0"]);
    assert_eq!(reply, b"$9\r\nhashtable\r\n");
    run_line(&mut engine, Protocol::Resp2, "RAFT.SETTING SET set-max-listpack-entries 128");
    run_line(&mut engine, Protocol::Resp2, "SADD words c");
    check_encoding(&mut engine, "words", "listpack");
    check_encoding(&mut engine, "copy", "hashtable");
}
