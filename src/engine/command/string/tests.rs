use crate::engine::reply::Protocol;
use crate::engine::testing::{advance, check, check_all, check3, engine, run_line};

#[test]
fn values_come_back_as_they_were_set() {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("GET k", "$-1\r\n"),
            ("SET k v", "+OK\r\n"),
            ("GET k", "$1\r\nv\r\n"),
            ("GETSET k w", "$1\r\nv\r\n"),
            ("STRLEN k", ":1\r\n"),
            ("STRLEN none", ":0\r\n"),
            ("SETNX k x", ":0\r\n"),
            ("SETNX k2 100", ":1\r\n"),
            ("MGET k k2 none", "*3\r\n$1\r\nw\r\n$3\r\n100\r\n$-1\r\n"),
            ("MSET a 1 b 2", "+OK\r\n"),
            ("MSETNX b 3 c 3", ":0\r\n"),
            ("MSETNX c 3 d 4", ":1\r\n"),
            ("MGET a b c d", "*4\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n"),
            ("GETDEL a", "$1\r\n1\r\n"),
            ("GETDEL a", "$-1\r\n"),
            ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n"),
            ("MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command\r\n"),
            ("GET", "-ERR wrong number of arguments for 'get' command\r\n"),
            ("GET a b", "-ERR wrong number of arguments for 'get' command\r\n"),
        ],
    );
    check3(&mut engine, "GET none", "_\r\n");
    check3(&mut engine, "SET none v XX", "_\r\n");
    check3(&mut engine, "MGET k none", "*2\r\n$1\r\nw\r\n_\r\n");
}

#[test]
fn set_obeys_its_options() {
    let invalid = "-ERR invalid expire time in 'set' command\r\n";
    let syntax = "-ERR syntax error\r\n";
    check_all(
        &mut engine(),
        &[
            ("SET k v XX", "$-1\r\n"),
            ("SET k v NX", "+OK\r\n"),
            ("SET k w nx", "$-1\r\n"),
            ("SET k w XX GET", "$1\r\nv\r\n"),
            ("SET k x NX GET", "$1\r\nw\r\n"),
            ("GET k", "$1\r\nw\r\n"),
            ("SET k v EX 10", "+OK\r\n"),
            ("SET k v PX 10 KEEPTTL", syntax),
            ("SET k v NX XX", syntax),
            ("SET k v EX 10 PX 10", syntax),
            ("SET k v KEEPTTL EX 10", syntax),
            ("SET k v EX", syntax),
            ("SET k v FOO", syntax),
            ("SET k v EX 0", invalid),
            ("SET k v PX -1", invalid),
            ("SET k v EX 9223372036854775807", invalid),
            ("SET k v GET EX 0", invalid),
            ("SET k v EX abc", "-ERR value is not an integer or out of range\r\n"),
            ("SET k v EXAT 1", "+OK\r\n"),
            ("GET k", "$-1\r\n"),
        ],
    );
}

/// Whatever is given a deadline that is over is gone at once, also for what only counts keys.
#[test]
fn a_key_that_ends_in_the_past_is_not_counted() {
    let cases: [(&str, &[&str]); 10] = [
        ("SET k w PXAT 1", &[]),
        ("SET k w EXAT 1 GET", &["SET k v"]),
        ("SET k w PXAT 1 XX", &["SET k v", "EXPIRE k 100"]),
        ("GETEX k PXAT 1", &["SET k v"]),
        ("GETEX k EXAT 1", &["SET k v"]),
        ("EXPIREAT k 1", &["RPUSH k v"]),
        ("PEXPIRE k 0", &["SADD k v"]),
        ("HSETEX k PXAT 1 FIELDS 1 f v", &[]),
        ("HSETEX k EXAT 1 FIELDS 1 f w", &["HSET k f v"]),
        ("HGETEX k PXAT 1 FIELDS 1 f", &["HSET k f v"]),
    ];
    for (line, before) in cases {
        let mut engine = engine();
        check(&mut engine, "SET another v", "+OK\r\n");
        for line in before {
            run_line(&mut engine, Protocol::Resp2, line);
        }
        run_line(&mut engine, Protocol::Resp2, line);
        let keys = run_line(&mut engine, Protocol::Resp2, "DBSIZE");
        assert_eq!(keys, b":1\r\n", "{before:?} {line}");
        check(&mut engine, "RANDOMKEY", "$7\r\nanother\r\n");
    }
}

#[test]
fn a_string_that_ends_in_the_past_has_expired() {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("SET a v PXAT 1", "+OK\r\n"),
            ("SET a v NX EXAT 1", "+OK\r\n"),
            ("SET a v PX 1000", "+OK\r\n"),
        ],
    );
    assert_eq!((engine.keyspace.stats().expired, engine.keyspace.len(0)), (2, 1));
    // What has expired stays where it is asked to.
    for (line, expected) in [
        ("DEBUG SET-ACTIVE-EXPIRE 0", "+OK\r\n"),
        ("SET a v EXAT 1", "+OK\r\n"),
        ("DBSIZE", ":1\r\n"),
        ("GET a", "$-1\r\n"),
    ] {
        check(&mut engine, line, expected);
    }
}

#[test]
fn a_time_given_with_a_value_ends_it() {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("SET a v EX 10", "+OK\r\n"),
            ("SET b v PX 10000", "+OK\r\n"),
            ("SETEX c 10 v", "+OK\r\n"),
            ("PSETEX d 10000 v", "+OK\r\n"),
            ("SET e v EX 10", "+OK\r\n"),
            ("SET e w KEEPTTL", "+OK\r\n"),
            ("SET f v EX 10", "+OK\r\n"),
            ("SET f w", "+OK\r\n"),
            ("SET g v EX 10", "+OK\r\n"),
            ("GETEX g PERSIST", "$1\r\nv\r\n"),
            ("SET h v", "+OK\r\n"),
            ("GETEX h EX 10", "$1\r\nv\r\n"),
            ("APPEND a w", ":2\r\n"),
            ("SETEX c 0 v", "-ERR invalid expire time in 'setex' command\r\n"),
            ("PSETEX c 0 v", "-ERR invalid expire time in 'psetex' command\r\n"),
            ("GETEX h EX 0", "-ERR invalid expire time in 'getex' command\r\n"),
            ("GETEX h PERSIST EX 10", "-ERR syntax error\r\n"),
            ("GETEX h EX 10 PERSIST", "-ERR syntax error\r\n"),
            ("GETEX h EX 10 PX 10", "-ERR syntax error\r\n"),
            ("GETEX h EX", "-ERR syntax error\r\n"),
            ("SET i v EX 10 ex 30", "+OK\r\n"),
            ("TTL i", ":30\r\n"),
            ("SET i v EX 10 PX 30", "-ERR syntax error\r\n"),
            ("GETEX i EX 10 ex 20", "$1\r\nv\r\n"),
            ("TTL i", ":20\r\n"),
            ("GETEX i PERSIST persist", "$1\r\nv\r\n"),
            ("TTL i", ":-1\r\n"),
            ("GETEX h FOO", "-ERR syntax error\r\n"),
            ("GETEX none EX 0", "$-1\r\n"),
        ],
    );
    advance(&mut engine, 9_999);
    check(&mut engine, "MGET a h", "*2\r\n$2\r\nvw\r\n$1\r\nv\r\n");
    advance(&mut engine, 1);
    let nulls = "$-1\r\n".repeat(5);
    let expected = format!("*8\r\n{nulls}$1\r\nw\r\n$1\r\nv\r\n$-1\r\n");
    check(&mut engine, "MGET a b c d e f g h", &expected);
}

#[test]
fn parts_of_a_string_are_read_and_written() {
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
    check_all(
        &mut engine(),
        &[
            ("APPEND k Hello", ":5\r\n"),
            ("APPEND k \" World\"", ":11\r\n"),
            ("GETRANGE k 0 -1", "$11\r\nHello World\r\n"),
            ("GETRANGE k -5 -1", "$5\r\nWorld\r\n"),
            ("GETRANGE k 3 1", "$0\r\n\r\n"),
            ("GETRANGE k -1 -5", "$0\r\n\r\n"),
            ("GETRANGE k 6 100", "$5\r\nWorld\r\n"),
            ("GETRANGE k -100 0", "$1\r\nH\r\n"),
            ("SUBSTR k 0 4", "$5\r\nHello\r\n"),
            ("GETRANGE none 0 -1", "$0\r\n\r\n"),
            ("SETRANGE k 6 Redis", ":11\r\n"),
            ("GET k", "$11\r\nHello Redis\r\n"),
            ("SETRANGE k2 2 x", ":3\r\n"),
            ("GET k2", "$3\r\n\0\0x\r\n"),
            ("SETRANGE none 5 \"\"", ":0\r\n"),
            ("GET none", "$-1\r\n"),
            ("SETRANGE k -1 x", "-ERR offset is out of range\r\n"),
            ("SETRANGE k 536870912 x", too_long),
            ("SETRANGE k 9223372036854775807 x", too_long),
            ("SETRANGE k abc x", "-ERR value is not an integer or out of range\r\n"),
        ],
    );
}

#[test]
fn numbers_are_counted() {
    let not_integer = "-ERR value is not an integer or out of range\r\n";
    let overflow = "-ERR increment or decrement would overflow\r\n";
    check_all(
        &mut engine(),
        &[
            ("INCR n", ":1\r\n"),
            ("INCRBY n 41", ":42\r\n"),
            ("DECR n", ":41\r\n"),
            ("DECRBY n 40", ":1\r\n"),
            ("GET n", "$1\r\n1\r\n"),
            ("APPEND n 0", ":2\r\n"),
            ("INCR n", ":11\r\n"),
            ("SET s abc", "+OK\r\n"),
            ("INCR s", not_integer),
            ("INCRBY n 1.5", not_integer),
            ("SET n 9223372036854775807", "+OK\r\n"),
            ("INCR n", overflow),
            ("DECRBY n -1", overflow),
            ("DECRBY n -9223372036854775808", "-ERR decrement would overflow\r\n"),
            ("SET f 10.50", "+OK\r\n"),
            ("INCRBYFLOAT f 0.1", "$4\r\n10.6\r\n"),
            ("INCRBYFLOAT f -5", "$3\r\n5.6\r\n"),
            ("SET f 5.0e3", "+OK\r\n"),
            ("INCRBYFLOAT f 2.0e2", "$4\r\n5200\r\n"),
            ("INCRBYFLOAT new 3", "$1\r\n3\r\n"),
            ("INCRBYFLOAT s 1", "-ERR value is not a valid float\r\n"),
            ("INCRBYFLOAT f nan", "-ERR value is not a valid float\r\n"),
            ("INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity\r\n"),
        ],
    );
}

#[test]
fn the_register_holds_what_was_written_last() {
    check_all(
        &mut engine(),
        &[
            ("RAFT.READ", "+\r\n"),
            ("RAFT.WRITE hello", "+OK\r\n"),
            ("raft.read", "+hello\r\n"),
            ("RAFT.WRITE \"a\\r\\nb\"", "+OK\r\n"),
            ("RAFT.READ", "+a  b\r\n"),
            ("RAFT.WRITE", "-ERR wrong number of arguments for 'raft.write' command\r\n"),
        ],
    );
}

#[test]
fn a_string_is_set_or_removed_if_it_is_the_one_expected() {
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    check_all(
        &mut engine(),
        &[
            ("SET k 1 IFEQ", "-ERR syntax error\r\n"),
            ("SET k 1 IFEQ 1 NX", "-ERR syntax error\r\n"),
            ("SET k 1 XX IFEQ 1", "-ERR syntax error\r\n"),
            ("SET k 1 IFEQ 1 IFEQ 2", "-ERR syntax error\r\n"),
            ("DELIFEQ k", "-ERR wrong number of arguments for 'delifeq' command\r\n"),
            ("SET k 1 IFEQ x", "$-1\r\n"),
            ("EXISTS k", ":0\r\n"),
            ("SET k 1", "+OK\r\n"),
            ("SET k 2 IFEQ 2", "$-1\r\n"),
            ("SET k 2 ifeq 1 EX 10", "+OK\r\n"),
            ("TTL k", ":10\r\n"),
            ("SET k 3 IFEQ 1 GET", "$1\r\n2\r\n"),
            ("SET k 3 GET IFEQ 2 KEEPTTL", "$1\r\n2\r\n"),
            ("TTL k", ":10\r\n"),
            ("SET none 1 IFEQ 1 GET", "$-1\r\n"),
            ("DELIFEQ k 2", ":0\r\n"),
            ("DELIFEQ k 3", ":1\r\n"),
            ("DELIFEQ k 3", ":0\r\n"),
            ("RPUSH l a", ":1\r\n"),
            ("SET l 1 IFEQ a", wrong),
            ("SET l 1 IFEQ a GET", wrong),
            ("DELIFEQ l a", wrong),
        ],
    );
}
