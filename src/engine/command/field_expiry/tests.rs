//! Requests and their replies, and a model of what is there when.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::engine::random::Random;
use crate::engine::reply::Protocol;
use crate::engine::testing::{
    START_MS, advance, check, check_all, check3, engine, run_line, run_words,
};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
const NO_FIELDS: &str =
    "-ERR Mandatory argument FIELDS is missing or not at the right position\r\n";
const NEGATIVE: &str = "-ERR invalid expire time, must be >= 0\r\n";
const NOT_AS_MANY: &str = "-ERR The `numfields` parameter must match the number of arguments\r\n";
const NOT_POSITIVE: &str = "-ERR Number of fields must be a positive integer\r\n";
const NOT_ABOVE_0: &str = "-ERR Parameter `numFields` should be greater than 0\r\n";

/// `h` holds a = 1, b = 2 and c = 3; `s` is a string.
fn with_hash() -> Engine {
    let mut engine = engine();
    check_all(&mut engine, &[("HSET h a 1 b 2 c 3", ":3\r\n"), ("SET s x", "+OK\r\n")]);
    engine
}

fn arity(command: &str) -> String {
    format!("-ERR wrong number of arguments for '{command}' command\r\n")
}

#[test]
fn bad_requests_for_deadlines_are_told() {
    let mut engine = with_hash();
    for name in ["hexpire", "hpexpire", "hexpireat", "hpexpireat"] {
        let invalid = format!("-ERR invalid expire time in '{name}' command\r\n");
        let arity = arity(name);
        let cases = [
            ("h", arity.as_str()),
            ("h 10 FIELDS 1", &arity),
            ("s x FIELDS 1 a", WRONG_TYPE),
            ("h x FIELDS 1 a", NOT_INTEGER),
            ("none x FIELDS 1 a", NOT_INTEGER),
            ("h 9223372036854775808 FIELDS 1 a", NOT_INTEGER),
            ("h -1 FIELDS 1 a", NEGATIVE),
            ("h -1 WORD 0 a", NEGATIVE),
            ("h 9223372036854775807 FIELDS 1 a", &invalid),
            ("h 70368744177664 FIELDS 1 a", &invalid),
            ("h 10 1 a b", NO_FIELDS),
            ("h 10 NX 1 a", NO_FIELDS),
            ("h 10 NX XX FIELDS 1 a", NO_FIELDS),
            ("h 10 ZZ FIELDS 1 a", NO_FIELDS),
            ("h 10 FIELDS 0 a", NOT_ABOVE_0),
            ("h 10 FIELDS -1 a", NOT_ABOVE_0),
            ("h 10 FIELDS x a", NOT_ABOVE_0),
            ("h 10 FIELDS 2 a", NOT_AS_MANY),
            ("h 10 FIELDS 1 a b", NOT_AS_MANY),
            ("h 10 NX FIELDS 1", NOT_AS_MANY),
            ("none 10 FIELDS 2 a", NOT_AS_MANY),
        ];
        for (words, expected) in cases {
            check(&mut engine, &format!("{name} {words}"), expected);
        }
    }
    for name in ["httl", "hpttl", "hexpiretime", "hpexpiretime", "hpersist", "hgetdel", "hgetex"] {
        let arity = arity(name);
        let cases = [
            ("h FIELDS 1", arity.as_str()),
            ("s FIELD 0 a", WRONG_TYPE),
            ("h FIELD 1 a", NO_FIELDS),
            ("h FIELDS 0 a", NOT_POSITIVE),
            ("h FIELDS x a", NOT_POSITIVE),
            ("h FIELDS 2 a", NOT_AS_MANY),
            ("none FIELDS 1 a b", NOT_AS_MANY),
        ];
        for (words, expected) in cases {
            check(&mut engine, &format!("{name} {words}"), expected);
        }
    }
    check(
        &mut engine,
        "HGETALL h",
        "*6\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$1\r\n3\r\n",
    );
    check(&mut engine, "HTTL h FIELDS 1 a", "*1\r\n:-1\r\n");
}

#[test]
fn deadlines_are_set_told_and_taken_away() {
    let mut engine = with_hash();
    let at_ms = START_MS + 1500;
    check_all(
        &mut engine,
        &[
            ("HEXPIRE none 10 FIELDS 2 a b", "*2\r\n:-2\r\n:-2\r\n"),
            ("HTTL none FIELDS 2 a b", "*2\r\n:-2\r\n:-2\r\n"),
            ("HPERSIST none FIELDS 2 a b", "*2\r\n:-2\r\n:-2\r\n"),
            ("EXISTS none", ":0\r\n"),
            ("HEXPIRE h 10 FIELDS 2 a nope", "*2\r\n:1\r\n:-2\r\n"),
            ("HTTL h FIELDS 3 a b nope", "*3\r\n:10\r\n:-1\r\n:-2\r\n"),
            ("HPTTL h FIELDS 1 a", "*1\r\n:10000\r\n"),
            ("hpexpire h 1500 fields 1 a", "*1\r\n:1\r\n"),
            ("HTTL h FIELDS 1 a", "*1\r\n:2\r\n"),
            ("HPTTL h FIELDS 1 a", "*1\r\n:1500\r\n"),
            ("HPEXPIRETIME h FIELDS 2 a b", &format!("*2\r\n:{at_ms}\r\n:-1\r\n")),
            ("HEXPIRETIME h FIELDS 1 a", &format!("*1\r\n:{}\r\n", at_ms / 1000 + 1)),
            ("OBJECT ENCODING h", "$10\r\nlistpackex\r\n"),
            ("HPERSIST h FIELDS 3 a b nope", "*3\r\n:1\r\n:-1\r\n:-2\r\n"),
            ("HPERSIST h FIELDS 1 a", "*1\r\n:-1\r\n"),
            ("OBJECT ENCODING h", "$8\r\nlistpack\r\n"),
            ("HPEXPIREAT h 70368744177663 FIELDS 1 a", "*1\r\n:1\r\n"),
            ("HPEXPIRETIME h FIELDS 1 a", "*1\r\n:70368744177663\r\n"),
            ("HEXPIREAT h 70368744177 FIELDS 1 a", "*1\r\n:1\r\n"),
            ("HEXPIRETIME h FIELDS 1 a", "*1\r\n:70368744177\r\n"),
        ],
    );
    check3(&mut engine, "HTTL h FIELDS 2 b nope", "*2\r\n:-1\r\n:-2\r\n");
}

#[test]
fn conditions_decide_before_the_past_does() {
    let mut engine = with_hash();
    check_all(
        &mut engine,
        &[
            ("HPEXPIRE h 100 XX FIELDS 1 a", "*1\r\n:0\r\n"),
            ("HPEXPIRE h 100 GT FIELDS 1 a", "*1\r\n:0\r\n"),
            ("HPEXPIRE h 100 nx FIELDS 1 a", "*1\r\n:1\r\n"),
            ("HPEXPIRE h 200 LT FIELDS 2 a b", "*2\r\n:0\r\n:1\r\n"),
            ("HPEXPIRE h 100 LT FIELDS 1 a", "*1\r\n:0\r\n"),
            ("HPEXPIRE h 100 GT FIELDS 1 a", "*1\r\n:0\r\n"),
            ("HPEXPIRE h 101 GT FIELDS 2 a b", "*2\r\n:1\r\n:0\r\n"),
            ("HPEXPIRE h 99 LT FIELDS 2 a b", "*2\r\n:1\r\n:1\r\n"),
            ("HPEXPIRE h 300 NX FIELDS 2 a c", "*2\r\n:0\r\n:1\r\n"),
            ("HPEXPIRE h 400 XX FIELDS 3 a c nope", "*3\r\n:1\r\n:1\r\n:-2\r\n"),
            ("HSET h d 4", ":1\r\n"),
            ("HPEXPIREAT h 5 NX FIELDS 3 d nope a", "*3\r\n:2\r\n:-2\r\n:0\r\n"),
            ("HEXPIRE h 0 GT FIELDS 1 a", "*1\r\n:0\r\n"),
            ("HEXPIRE h 0 FIELDS 2 a a", "*2\r\n:2\r\n:-2\r\n"),
            ("HKEYS h", "*2\r\n$1\r\nc\r\n$1\r\nb\r\n"),
            ("HEXPIREAT h 1 FIELDS 2 b c", "*2\r\n:2\r\n:2\r\n"),
            ("EXISTS h", ":0\r\n"),
        ],
    );
    assert_eq!(engine.keyspace.next_deadline(), None);
}

#[test]
fn what_sets_a_value_decides_on_its_deadline() {
    let mut engine = with_hash();
    check_all(
        &mut engine,
        &[
            ("HPEXPIRE h 100 FIELDS 3 a b c", "*3\r\n:1\r\n:1\r\n:1\r\n"),
            ("HINCRBY h a 5", ":6\r\n"),
            ("HINCRBYFLOAT h b 0.5", "$3\r\n2.5\r\n"),
            ("HSETNX h c 9", ":0\r\n"),
            ("HPTTL h FIELDS 3 a b c", "*3\r\n:100\r\n:100\r\n:100\r\n"),
            ("HSET h a 1", ":0\r\n"),
            ("HMSET h b 1", "+OK\r\n"),
            ("HPTTL h FIELDS 3 a b c", "*3\r\n:-1\r\n:-1\r\n:100\r\n"),
            ("HDEL h c", ":1\r\n"),
            ("HSET h c 1", ":1\r\n"),
            ("HPTTL h FIELDS 1 c", "*1\r\n:-1\r\n"),
        ],
    );
    assert_eq!(engine.keyspace.next_deadline(), None);
}

#[test]
fn hgetex_and_hgetdel_read_and_change() {
    let mut engine = with_hash();
    let invalid = "-ERR invalid expire time in 'hgetex' command\r\n";
    let arity = arity("hgetex");
    check_all(
        &mut engine,
        &[
            ("HGETEX h EX x FIELDS 1 a", NOT_INTEGER),
            ("HGETEX h PX -1 FIELDS 1 a", NEGATIVE),
            ("HGETEX h PXAT 70368744177664 FIELDS 1 a", invalid),
            ("HGETEX h EX 1 PERSIST FIELDS 1 a", NO_FIELDS),
            ("HGETEX h EX 10 FIELDS", &arity),
            ("HGETEX h EX 10 FIELDS 1", NOT_AS_MANY),
            ("HGETEX none EX 10 FIELDS 2 a b", "*2\r\n$-1\r\n$-1\r\n"),
            ("HGETEX h FIELDS 2 a nope", "*2\r\n$1\r\n1\r\n$-1\r\n"),
            ("HGETEX h px 100 FIELDS 2 a nope", "*2\r\n$1\r\n1\r\n$-1\r\n"),
            ("HPTTL h FIELDS 3 a b nope", "*3\r\n:100\r\n:-1\r\n:-2\r\n"),
            ("HGETEX h PERSIST FIELDS 2 a b", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"),
            ("HPTTL h FIELDS 2 a b", "*2\r\n:-1\r\n:-1\r\n"),
            ("HGETEX h EXAT 1 FIELDS 2 a a", "*2\r\n$1\r\n1\r\n$-1\r\n"),
            ("HGETDEL none FIELDS 1 a", "*1\r\n$-1\r\n"),
            ("HGETDEL h FIELDS 1 nope", "*1\r\n$-1\r\n"),
            ("HGETDEL h FIELDS 3 b nope b", "*3\r\n$1\r\n2\r\n$-1\r\n$-1\r\n"),
            ("HKEYS h", "*1\r\n$1\r\nc\r\n"),
            ("HGETEX h EX 0 FIELDS 1 c", "*1\r\n$1\r\n3\r\n"),
            ("EXISTS h", ":0\r\n"),
        ],
    );
    check(&mut engine, "HSET h a 1", ":1\r\n");
    check3(&mut engine, "HGETDEL h FIELDS 2 a nope", "*2\r\n$1\r\n1\r\n_\r\n");
    check(&mut engine, "EXISTS h", ":0\r\n");
}

#[test]
fn hsetex_sets_all_or_none() {
    let mut engine = with_hash();
    let arity = arity("hsetex");
    let one_time = "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified\r\n";
    let one_condition = "-ERR Only one of FXX or FNX arguments can be specified\r\n";
    let count = "-ERR invalid number of fields\r\n";
    check_all(
        &mut engine,
        &[
            ("HSETEX h FIELDS 1 a", &arity),
            ("HSETEX h EX 10 FIELDS 1 a", &arity),
            ("HSETEX h FIELDS 2 a 1 b", &arity),
            ("HSETEX h FIELDS 1 a 1 b 2", &arity),
            ("HSETEX h FNX EX 10 KEEP x", "-ERR unknown argument: KEEP\r\n"),
            ("HSETEX h FNX EX 10", &arity),
            ("HSETEX h FNX PX 10 EX 5 x", one_time),
            ("HSETEX h KEEPTTL EX 10 FIELDS 1 a 1", one_time),
            ("HSETEX h FNX FXX FIELDS 1 a 1", one_condition),
            ("HSETEX h FNX FNX FIELDS 1 a 1", one_condition),
            ("HSETEX h FIELDS 0 a 1", count),
            ("HSETEX h FIELDS x a 1", count),
            ("HSETEX h FIELDS 2147483648 a 1", count),
            ("HSETEX h FNX FXX EX", &arity),
            ("HSETEX h EX x FIELDS 1 a 1", NOT_INTEGER),
            ("HSETEX h EX -1 FIELDS 1 a 1", NEGATIVE),
            ("HSETEX h FNX FIELDS 1 a EX", ":0\r\n"),
            ("HSETEX h KEEPTTL FNX x EX", "-ERR unknown argument: x\r\n"),
            (
                "HSETEX h PXAT 70368744177664 FIELDS 1 a 1",
                "-ERR invalid expire time in 'hsetex' command\r\n",
            ),
            ("HSETEX s FIELDS 1 a 1", WRONG_TYPE),
            ("HSETEX s FIELDS 0 a 1", count),
            ("HSETEX new FXX FIELDS 1 a 1", ":0\r\n"),
            ("EXISTS new", ":0\r\n"),
            ("HSETEX new FNX PX 100 FIELDS 2 a 1 b 2", ":1\r\n"),
            ("HSETEX new FNX FIELDS 2 z 1 b 2", ":0\r\n"),
            ("HSETEX new FXX FIELDS 2 z 1 b 2", ":0\r\n"),
            ("HSETEX new FXX KEEPTTL FIELDS 1 a 7", ":1\r\n"),
            ("HSETEX new fxx FIELDS 1 b 8", ":1\r\n"),
            ("HMGET new a b", "*2\r\n$1\r\n7\r\n$1\r\n8\r\n"),
            ("HPTTL new FIELDS 2 a b", "*2\r\n:100\r\n:-1\r\n"),
            ("HSETEX new EXAT 1 FIELDS 2 a 1 b 1", ":1\r\n"),
            ("EXISTS new", ":0\r\n"),
            ("HSETEX newer EX 0 FIELDS 1 a 1", ":1\r\n"),
            ("EXISTS newer", ":0\r\n"),
        ],
    );
    assert_eq!(engine.keyspace.next_deadline(), None);
    check(&mut engine, "HSETEX h FNX EX", &arity);
}

#[test]
fn nothing_shows_what_is_due_before_it_is_removed() {
    for large in [false, true] {
        let mut engine = with_hash();
        if large {
            check(&mut engine, &format!("HSET h c {}", "3".repeat(100)), ":0\r\n");
        }
        let c = if large { "3".repeat(100) } else { "3".to_owned() };
        let c = format!("${}\r\n{c}\r\n", c.len());
        check(&mut engine, "HPEXPIRE h 10 FIELDS 2 a b", "*2\r\n:1\r\n:1\r\n");
        check(&mut engine, "HSET gone a 1", ":1\r\n");
        check(&mut engine, "HPEXPIRE gone 10 FIELDS 1 a", "*1\r\n:1\r\n");
        check(&mut engine, "RPUSH l h", ":1\r\n");
        advance(&mut engine, 9);
        check(&mut engine, "HLEN h", ":3\r\n");
        check(&mut engine, "SORT l BY nosort GET *->b", "*1\r\n$1\r\n2\r\n");
        advance(&mut engine, 1);
        let digest = engine.digest();
        check_all(
            &mut engine,
            &[
                ("HGET h a", "$-1\r\n"),
                ("HMGET h a c", &format!("*2\r\n$-1\r\n{c}")),
                ("HLEN h", ":1\r\n"),
                ("HEXISTS h b", ":0\r\n"),
                ("HSTRLEN h b", ":0\r\n"),
                ("HGETALL h", &format!("*2\r\n$1\r\nc\r\n{c}")),
                ("HKEYS h", "*1\r\n$1\r\nc\r\n"),
                ("HVALS h", &format!("*1\r\n{c}")),
                ("HRANDFIELD h", "$1\r\nc\r\n"),
                ("HRANDFIELD h 5", "*1\r\n$1\r\nc\r\n"),
                ("HRANDFIELD h -2", "*2\r\n$1\r\nc\r\n$1\r\nc\r\n"),
                ("HSCAN h 0", &format!("*2\r\n$1\r\n0\r\n*2\r\n$1\r\nc\r\n{c}")),
                ("HTTL h FIELDS 2 a c", "*2\r\n:-2\r\n:-1\r\n"),
                ("HPEXPIRETIME h FIELDS 1 a", "*1\r\n:-2\r\n"),
                ("SORT l BY nosort GET *->b", "*1\r\n$-1\r\n"),
                ("EXISTS gone", ":0\r\n"),
                ("TYPE gone", "+none\r\n"),
                ("HGETALL gone", "*0\r\n"),
                ("DUMP gone", "$-1\r\n"),
                ("KEYS gone", "*0\r\n"),
            ],
        );
        let dump = run_line(&mut engine, Protocol::Resp2, "DUMP h");
        assert_eq!(engine.digest(), digest, "a read changed something");
        // Writes find the same.
        check_all(
            &mut engine,
            &[
                ("HPERSIST h FIELDS 1 a", "*1\r\n:-2\r\n"),
                ("HGETDEL h FIELDS 1 b", "*1\r\n$-1\r\n"),
                ("HSETNX h a 4", ":1\r\n"),
                ("HINCRBY h b 4", ":4\r\n"),
                ("HPTTL h FIELDS 2 a b", "*2\r\n:-1\r\n:-1\r\n"),
                ("HDEL gone a", ":0\r\n"),
                ("DEL gone", ":0\r\n"),
            ],
        );
        while engine.keyspace.expire_due(1) > 0 {}
        assert_eq!(engine.keyspace.next_deadline(), None);
        check(&mut engine, "HDEL h a b", ":2\r\n");
        assert_eq!(run_line(&mut engine, Protocol::Resp2, "DUMP h"), dump);
        assert_eq!(engine.keyspace.stats().expired_fields, 3);
    }
}

#[test]
fn a_command_that_changes_nothing_leaves_the_version() {
    let mut engine = with_hash();
    check(&mut engine, "HPEXPIRE h 50 FIELDS 1 a", "*1\r\n:1\r\n");
    advance(&mut engine, 1);
    for line in [
        "HPEXPIRE h 50 NX FIELDS 2 a nope",
        "HPERSIST h FIELDS 2 b nope",
        "HGETEX h FIELDS 1 a",
        "HGETEX h PERSIST FIELDS 1 b",
        "HGETDEL h FIELDS 1 nope",
        "HSETEX h FNX FIELDS 1 a 1",
    ] {
        run_line(&mut engine, Protocol::Resp2, line);
        assert_eq!(engine.keyspace.version(0, b"h"), 1, "{line}");
    }
    check(&mut engine, "HPERSIST h FIELDS 1 a", "*1\r\n:1\r\n");
    assert_eq!(engine.keyspace.version(0, b"h"), 2);
}

#[test]
fn deadlines_go_where_the_hash_goes() {
    let mut engine = with_hash();
    check_all(
        &mut engine,
        &[
            ("HPEXPIRE h 100 FIELDS 1 a", "*1\r\n:1\r\n"),
            ("HPEXPIRE h 40 FIELDS 1 b", "*1\r\n:1\r\n"),
            ("RENAME h r", "+OK\r\n"),
            ("COPY r copied", ":1\r\n"),
            ("COPY r h DB 1", ":1\r\n"),
            ("HPTTL r FIELDS 3 a b c", "*3\r\n:100\r\n:40\r\n:-1\r\n"),
            ("HPTTL copied FIELDS 3 a b c", "*3\r\n:100\r\n:40\r\n:-1\r\n"),
            ("SWAPDB 0 1", "+OK\r\n"),
            ("MOVE h 2", ":1\r\n"),
            ("SWAPDB 0 2", "+OK\r\n"),
            ("HPTTL h FIELDS 3 a b c", "*3\r\n:100\r\n:40\r\n:-1\r\n"),
        ],
    );
    let dump = run_line(&mut engine, Protocol::Resp2, "DUMP h");
    let start = dump.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let payload = &dump[start..dump.len() - 2];
    assert_eq!(engine.keyspace.next_deadline(), Some(START_MS + 40));
    check(&mut engine, "SET h over", "+OK\r\n");
    check(&mut engine, "SWAPDB 0 1", "+OK\r\n");
    check(&mut engine, "FLUSHDB", "+OK\r\n");
    assert_eq!(engine.keyspace.next_deadline(), None);

    let words: [&[u8]; 4] = [b"RESTORE", b"back", b"0", payload];
    assert_eq!(run_words(&mut engine, Protocol::Resp2, &words), b"+OK\r\n");
    check(&mut engine, "HPTTL back FIELDS 3 a b c", "*3\r\n:100\r\n:40\r\n:-1\r\n");
    advance(&mut engine, 40);
    let words: [&[u8]; 4] = [b"RESTORE", b"late", b"0", payload];
    assert_eq!(run_words(&mut engine, Protocol::Resp2, &words), b"+OK\r\n");
    check(&mut engine, "HKEYS late", "*2\r\n$1\r\na\r\n$1\r\nc\r\n");
    check(&mut engine, "HDEL back c", ":1\r\n");
    let dump = run_line(&mut engine, Protocol::Resp2, "DUMP back");
    let start = dump.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    advance(&mut engine, 60);
    let words: [&[u8]; 5] = [b"RESTORE", b"late", b"0", &dump[start..dump.len() - 2], b"REPLACE"];
    assert_eq!(run_words(&mut engine, Protocol::Resp2, &words), b"+OK\r\n");
    check(&mut engine, "EXISTS late back", ":0\r\n");
}

/// Values and deadlines of the fields of `h0` to `h3`; 0 is no deadline.
type Model = BTreeMap<(usize, usize), (u64, u64)>;

/// A random command for the engines, and the same for the model.
fn step(model: &mut Model, random: &mut Random, clock_ms: u64) -> String {
    let (key, field) = (random.below(4), random.below(7));
    let (value, millis) = (random.below(1000) as u64, 1 + random.below(60) as u64);
    let old = model.get(&(key, field)).copied();
    match random.below(8) {
        0 | 1 => {
            model.insert((key, field), (value, 0));
            format!("HSET h{key} f{field} {value}")
        }
        2 => {
            model.insert((key, field), (value, clock_ms + millis));
            format!("HSETEX h{key} PX {millis} FIELDS 1 f{field} {value}")
        }
        3 => {
            let (former, at_ms) = old.unwrap_or_default();
            model.insert((key, field), (former + value, at_ms));
            format!("HINCRBY h{key} f{field} {value}")
        }
        4 => {
            if let Some((value, _)) = old {
                model.insert((key, field), (value, clock_ms + millis));
            }
            format!("HPEXPIRE h{key} {millis} FIELDS 1 f{field}")
        }
        5 => {
            if let Some((value, _)) = old {
                model.insert((key, field), (value, 0));
            }
            format!("HPERSIST h{key} FIELDS 1 f{field}")
        }
        6 => {
            model.remove(&(key, field));
            format!("HGETDEL h{key} FIELDS 1 f{field}")
        }
        _ => {
            let to = random.below(4);
            if (0..7).any(|field| model.contains_key(&(key, field))) && to != key {
                model.retain(|(key, _), _| *key != to);
                for field in 0..7 {
                    if let Some(moved) = model.remove(&(key, field)) {
                        model.insert((to, field), moved);
                    }
                }
            }
            format!("RENAME h{key} h{to}")
        }
    }
}

#[test]
fn a_field_is_there_until_its_deadline_on_every_node() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let (mut model, mut index) = (Model::new(), 1);
        let mut engines = [Engine::new(seed), Engine::new(seed)];
        for _ in 0..150 {
            index += 1;
            let at_ms = START_MS + index * random.below(9) as u64;
            for engine in &mut engines {
                engine.begin_entry(index, at_ms);
            }
            let (limit, clock_ms) = (random.below(4), engines[0].keyspace.clock_ms());
            model.retain(|_, (_, at_ms)| *at_ms == 0 || *at_ms > clock_ms);
            let lines: Vec<String> =
                (0..random.below(4)).map(|_| step(&mut model, &mut random, clock_ms)).collect();
            for engine in &mut engines {
                assert!(engine.keyspace.expire_due(limit) <= limit);
                for line in &lines {
                    run_line(engine, Protocol::Resp2, line);
                }
            }
            assert_eq!(engines[0].digest(), engines[1].digest());
            // Reads on one node only leave the other as it is.
            assert_model(&mut engines[0], &model);
        }
        for engine in &mut engines {
            while engine.keyspace.expire_due(2) > 0 {}
            let next = model.values().map(|(_, at_ms)| *at_ms).filter(|at_ms| *at_ms != 0).min();
            assert_eq!(engine.keyspace.next_deadline(), next);
        }
        assert_eq!(engines[0].digest(), engines[1].digest());
    }
}

#[track_caller]
fn assert_model(engine: &mut Engine, model: &Model) {
    for key in 0..4 {
        let fields = (0..7).filter_map(|field| Some((field, *model.get(&(key, field))?)));
        let fields: Vec<(usize, (u64, u64))> = fields.collect();
        check(engine, &format!("HLEN h{key}"), &format!(":{}\r\n", fields.len()));
        check(
            engine,
            &format!("EXISTS h{key}"),
            &format!(":{}\r\n", i32::from(!fields.is_empty())),
        );
        for (field, (value, at_ms)) in fields {
            let value = format!("${}\r\n{value}\r\n", value.to_string().len());
            check(engine, &format!("HGET h{key} f{field}"), &value);
            let told = if at_ms == 0 { "-1".to_owned() } else { at_ms.to_string() };
            let line = format!("HPEXPIRETIME h{key} FIELDS 1 f{field}");
            check(engine, &line, &format!("*1\r\n:{told}\r\n"));
        }
    }
}
