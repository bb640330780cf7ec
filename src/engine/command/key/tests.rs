use crate::engine::Engine;
use crate::engine::reply::Protocol;
use crate::engine::testing::{advance, check, check_all, engine, run_line, run_words_in};

#[test]
fn keys_are_counted_removed_and_renamed() {
    check_all(
        &mut engine(),
        &[
            ("MSET a 1 b 2 c 3", "+OK\r\n"),
            ("EXISTS a b a none", ":3\r\n"),
            ("TOUCH a none", ":1\r\n"),
            ("DBSIZE", ":3\r\n"),
            ("TYPE a", "+string\r\n"),
            ("TYPE none", "+none\r\n"),
            ("DEL a a none", ":1\r\n"),
            ("UNLINK b", ":1\r\n"),
            ("RENAME c d", "+OK\r\n"),
            ("RENAME d d", "+OK\r\n"),
            ("RENAMENX d d", ":0\r\n"),
            ("RENAME none d", "-ERR no such key\r\n"),
            ("RENAMENX none d", "-ERR no such key\r\n"),
            ("SET e 5", "+OK\r\n"),
            ("RENAMENX d e", ":0\r\n"),
            ("RENAMENX d f", ":1\r\n"),
            ("MGET d e f", "*3\r\n$-1\r\n$1\r\n5\r\n$1\r\n3\r\n"),
            ("FLUSHDB SYNC ASYNC", "-ERR syntax error\r\n"),
            ("FLUSHALL foo", "-ERR syntax error\r\n"),
            ("FLUSHDB async", "+OK\r\n"),
            ("DBSIZE", ":0\r\n"),
            ("SET a 1", "+OK\r\n"),
            ("FLUSHALL", "+OK\r\n"),
            ("RANDOMKEY", "$-1\r\n"),
            ("SET a 1", "+OK\r\n"),
            ("RANDOMKEY", "$1\r\na\r\n"),
        ],
    );
}

#[test]
fn deadlines_are_set_told_and_cleared() {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("SET k v", "+OK\r\n"),
            ("TTL k", ":-1\r\n"),
            ("TTL none", ":-2\r\n"),
            ("EXPIRETIME k", ":-1\r\n"),
            ("PERSIST k", ":0\r\n"),
            ("EXPIRE k 10", ":1\r\n"),
            ("EXPIRE none 10", ":0\r\n"),
            ("TTL k", ":10\r\n"),
            ("PTTL k", ":10000\r\n"),
            ("EXPIRETIME k", ":1700000010\r\n"),
            ("PEXPIRETIME k", ":1700000010000\r\n"),
            ("EXPIRE k 20 NX", ":0\r\n"),
            ("EXPIRE k 5 GT", ":0\r\n"),
            ("EXPIRE k 20 LT", ":0\r\n"),
            ("EXPIRE k 20 GT XX", ":1\r\n"),
            ("PEXPIRE k 15500 lt", ":1\r\n"),
            ("TTL k", ":16\r\n"),
            ("PERSIST k", ":1\r\n"),
            ("EXPIRE k 10 XX", ":0\r\n"),
            ("EXPIRE k 10 GT", ":0\r\n"),
            ("EXPIRE k 10 LT", ":1\r\n"),
            ("RENAME k l", "+OK\r\n"),
            ("TTL l", ":10\r\n"),
            ("EXPIREAT l 1700000030", ":1\r\n"),
            ("TTL l", ":30\r\n"),
            ("PEXPIREAT l 1700000040000", ":1\r\n"),
            ("TTL l", ":40\r\n"),
        ],
    );
    advance(&mut engine, 40_000);
    check(&mut engine, "TTL l", ":-2\r\n");
    check(&mut engine, "EXISTS l", ":0\r\n");
    check_all(
        &mut engine,
        &[("SET k v", "+OK\r\n"), ("EXPIRE k -1", ":1\r\n"), ("EXISTS k", ":0\r\n")],
    );
}

#[test]
fn bad_times_are_refused_in_the_words_of_redis() {
    let nx = "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n";
    let invalid = "-ERR invalid expire time in 'expire' command\r\n";
    check_all(
        &mut engine(),
        &[
            ("SET k v", "+OK\r\n"),
            ("EXPIRE k 1 nx xx", nx),
            ("EXPIRE k 1 NX GT", nx),
            ("EXPIRE k 1 GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
            ("EXPIRE k 1 foo", "-ERR Unsupported option foo\r\n"),
            ("EXPIRE none abc", "-ERR value is not an integer or out of range\r\n"),
            ("EXPIRE k 9223372036854775807", invalid),
            ("EXPIRE k -9223372036854775808", invalid),
            ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n"),
            (
                "EXPIREAT k 9223372036854775807",
                "-ERR invalid expire time in 'expireat' command\r\n",
            ),
            ("PEXPIREAT k 9223372036854775807", ":1\r\n"),
            ("PEXPIRETIME k", ":9223372036854775807\r\n"),
        ],
    );
}

#[test]
fn an_empty_name_fits_a_lone_star_only() {
    check_all(
        &mut engine(),
        &[
            ("HSET \"\" \"\" 1", ":1\r\n"),
            ("KEYS *", "*1\r\n$0\r\n\r\n"),
            ("KEYS **", "*0\r\n"),
            ("SCAN 0 MATCH *", "*2\r\n$1\r\n0\r\n*1\r\n$0\r\n\r\n"),
            ("SCAN 0 MATCH **", "*2\r\n$1\r\n0\r\n*0\r\n"),
            ("HSCAN \"\" 0 MATCH *", "*2\r\n$1\r\n0\r\n*2\r\n$0\r\n\r\n$1\r\n1\r\n"),
            ("HSCAN \"\" 0 MATCH **", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ],
    );
}

#[test]
fn scan_and_keys_tell_what_fits() {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
            ("MSET one 1 two 2 three 3", "+OK\r\n"),
            ("KEYS o*", "*1\r\n$3\r\none\r\n"),
            ("KEYS x*", "*0\r\n"),
            ("SCAN 0 MATCH t?o", "*2\r\n$1\r\n0\r\n*1\r\n$3\r\ntwo\r\n"),
            ("SCAN 0 TYPE list", "*2\r\n$1\r\n0\r\n*0\r\n"),
            ("SCAN 0 TYPE String MATCH one COUNT 1000", "*2\r\n$1\r\n0\r\n*1\r\n$3\r\none\r\n"),
            ("SCAN abc", "-ERR invalid cursor\r\n"),
            ("SCAN -1", "-ERR invalid cursor\r\n"),
            ("SCAN 99999999999999999999999", "-ERR invalid cursor\r\n"),
            ("SCAN 0 COUNT 0", "-ERR syntax error\r\n"),
            ("SCAN 0 COUNT abc", "-ERR value is not an integer or out of range\r\n"),
            ("SCAN 0 FOO 1", "-ERR syntax error\r\n"),
            ("SCAN 0 MATCH", "-ERR syntax error\r\n"),
        ],
    );
    let reply = run_line(&mut engine, Protocol::Resp2, "SCAN 0 COUNT 1");
    assert!(!reply.starts_with(b"*2\r\n$1\r\n0\r\n"));
}

/// Asserts the reply of a command whose words are separated by single spaces.
#[track_caller]
fn check_in(engine: &mut Engine, database: u8, line: &str, expected: &str) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let reply = run_words_in(engine, database, Protocol::Resp2, &words);
    assert_eq!(String::from_utf8_lossy(&reply), expected, "{line}");
}

const SAME: &str = "-ERR source and destination objects are the same\r\n";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
const DB_RANGE: &str = "-ERR DB index is out of range\r\n";
const INT_RANGE: &str =
    "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n";

#[test]
fn copies_are_whole_and_on_their_own() {
    let mut engine = engine();
    let cases = [
        (0, "COPY none b", ":0\r\n"),
        (0, "COPY none none", SAME),
        (0, "COPY none none DB 0", SAME),
        (0, "COPY a b FOO", "-ERR syntax error\r\n"),
        (0, "COPY a b DB", "-ERR syntax error\r\n"),
        (0, "COPY a b DB x", NOT_INTEGER),
        (0, "COPY a b DB 16", DB_RANGE),
        (0, "COPY a b DB -1", DB_RANGE),
        (0, "COPY a b DB 99999999999", INT_RANGE),
        (0, "RPUSH a 1 2", ":2\r\n"),
        (0, "PEXPIRE a 10000", ":1\r\n"),
        (0, "COPY a b", ":1\r\n"),
        (0, "PTTL b", ":10000\r\n"),
        (0, "RPUSH a 3", ":3\r\n"),
        (0, "LLEN b", ":2\r\n"),
        (0, "COPY a b", ":0\r\n"),
        (0, "PERSIST a", ":1\r\n"),
        (0, "copy a b replace", ":1\r\n"),
        (0, "LLEN b", ":3\r\n"),
        (0, "TTL b", ":-1\r\n"),
        (0, "COPY a a DB 1 REPLACE", ":1\r\n"),
        (1, "LLEN a", ":3\r\n"),
        (1, "COPY a b DB 0", ":0\r\n"),
        (1, "EXISTS b", ":0\r\n"),
    ];
    for (database, line, expected) in cases {
        check_in(&mut engine, database, line, expected);
    }
}

#[test]
fn keys_move_between_databases() {
    let mut engine = engine();
    let cases = [
        (0, "MOVE a 0", SAME),
        (0, "MOVE a x", NOT_INTEGER),
        (0, "MOVE a 16", DB_RANGE),
        (0, "MOVE a -1", DB_RANGE),
        (0, "MOVE a 99999999999", INT_RANGE),
        (0, "MOVE a 1", ":0\r\n"),
        (0, "SET a zero PX 5000", "+OK\r\n"),
        (0, "MOVE a 1", ":1\r\n"),
        (0, "EXISTS a", ":0\r\n"),
        (1, "PTTL a", ":5000\r\n"),
        (0, "SET a again", "+OK\r\n"),
        (0, "MOVE a 1", ":0\r\n"),
        (1, "GET a", "$4\r\nzero\r\n"),
    ];
    for (database, line, expected) in cases {
        check_in(&mut engine, database, line, expected);
    }
}

#[test]
fn databases_are_swapped_with_all_that_they_hold() {
    let mut engine = engine();
    let cases = [
        (0, "SWAPDB x 0", "-ERR invalid first DB index\r\n"),
        (0, "SWAPDB 99999999999 0", "-ERR invalid first DB index\r\n"),
        (0, "SWAPDB 0 x", "-ERR invalid second DB index\r\n"),
        (0, "SWAPDB 16 0", DB_RANGE),
        (0, "SWAPDB 0 -1", DB_RANGE),
        (0, "SET k zero PX 5000", "+OK\r\n"),
        (3, "SET k three", "+OK\r\n"),
        (3, "SET l three", "+OK\r\n"),
        (0, "SWAPDB 0 0", "+OK\r\n"),
        (0, "SWAPDB 0 3", "+OK\r\n"),
        (0, "GET k", "$5\r\nthree\r\n"),
        (0, "DBSIZE", ":2\r\n"),
        (3, "GET k", "$4\r\nzero\r\n"),
    ];
    for (database, line, expected) in cases {
        check_in(&mut engine, database, line, expected);
    }
    assert_eq!((engine.keyspace.volatile_len(0), engine.keyspace.volatile_len(3)), (0, 1));
    advance(&mut engine, 5000);
    assert_eq!(engine.keyspace.expire_due(9), 1);
    check_in(&mut engine, 3, "DBSIZE", ":0\r\n");
}
