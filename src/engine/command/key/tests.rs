use crate::engine::reply::Protocol;
use crate::engine::testing::{advance, check, check_all, check3, engine, run_line};

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
