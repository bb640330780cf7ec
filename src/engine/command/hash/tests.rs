//! Requests and their replies.

use std::collections::BTreeSet;

use crate::engine::Engine;
use crate::engine::reply::Protocol;
use crate::engine::testing::{check, check_all, check3, engine, run_line};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";

/// `h` holds a = 1 and b = 2; `s` is a string.
fn with_hash() -> Engine {
    let mut engine = engine();
    check_all(&mut engine, &[("HSET h a 1 b 2", ":2\r\n"), ("SET s x", "+OK\r\n")]);
    engine
}

#[test]
fn fields_are_set_and_read() {
    let mut engine = with_hash();
    check_all(
        &mut engine,
        &[
            ("HSET h a", "-ERR wrong number of arguments for 'hset' command\r\n"),
            ("HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command\r\n"),
            ("HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command\r\n"),
            ("HSET new a 1 b", "-ERR wrong number of arguments for 'hset' command\r\n"),
            ("GET new", "$-1\r\n"),
            ("HSET h a 9 c 3", ":1\r\n"),
            ("HMSET h d 4 d 5", "+OK\r\n"),
            ("HGET h a", "$1\r\n9\r\n"),
            ("HGET h nope", "$-1\r\n"),
            ("HGET nok a", "$-1\r\n"),
            ("HMGET h a nope d", "*3\r\n$1\r\n9\r\n$-1\r\n$1\r\n5\r\n"),
            ("HMGET nok a b", "*2\r\n$-1\r\n$-1\r\n"),
            ("HLEN h", ":4\r\n"),
            ("HLEN nok", ":0\r\n"),
            ("HEXISTS h a", ":1\r\n"),
            ("HEXISTS h nope", ":0\r\n"),
            ("HSTRLEN h a", ":1\r\n"),
            ("HSTRLEN h nope", ":0\r\n"),
            ("HSTRLEN nok a", ":0\r\n"),
            ("HSETNX h a 7", ":0\r\n"),
            ("HSETNX h e 7", ":1\r\n"),
            ("HSETNX other e 7", ":1\r\n"),
            ("HKEYS h", "*5\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n"),
            ("HVALS h", "*5\r\n$1\r\n9\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n5\r\n$1\r\n7\r\n"),
        ],
    );
    check3(&mut engine, "HMGET h a nope", "*2\r\n$1\r\n9\r\n_\r\n");
}

#[test]
fn all_fields_are_a_map() {
    let mut engine = with_hash();
    check(&mut engine, "HGETALL h", "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n");
    check(&mut engine, "HGETALL nok", "*0\r\n");
    check3(&mut engine, "HGETALL h", "%2\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n");
    check3(&mut engine, "HGETALL nok", "%0\r\n");
    check3(&mut engine, "HKEYS h", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    check3(&mut engine, "HVALS nok", "*0\r\n");
}

#[test]
fn other_types_are_refused() {
    let mut engine = with_hash();
    for line in [
        "HSET s a 1",
        "HMSET s a 1",
        "HSETNX s a 1",
        "HGET s a",
        "HMGET s a",
        "HGETALL s",
        "HKEYS s",
        "HVALS s",
        "HLEN s",
        "HSTRLEN s a",
        "HEXISTS s a",
        "HDEL s a",
        "HINCRBY s a 1",
        "HINCRBYFLOAT s a 1",
        "HRANDFIELD s",
        "HRANDFIELD s 1",
        "HSCAN s 0",
        "HSCAN s 0 FOO",
    ] {
        check(&mut engine, line, WRONG_TYPE);
    }
}

#[test]
fn the_last_field_takes_the_hash_with_it() {
    check_all(
        &mut with_hash(),
        &[
            ("HDEL h nope", ":0\r\n"),
            ("HDEL nok a", ":0\r\n"),
            ("HDEL h a a nope", ":1\r\n"),
            ("HLEN h", ":1\r\n"),
            ("HDEL h a b", ":1\r\n"),
            ("GET h", "$-1\r\n"),
        ],
    );
}

#[test]
fn integers_are_added() {
    check_all(
        &mut with_hash(),
        &[
            ("HINCRBY h a 5", ":6\r\n"),
            ("HINCRBY h new -5", ":-5\r\n"),
            ("HINCRBY fresh f 1", ":1\r\n"),
            ("HGET h a", "$1\r\n6\r\n"),
            ("HSET h big 9223372036854775807 word x none \"\" space \" 1\"", ":4\r\n"),
            ("HINCRBY h big 1", "-ERR increment or decrement would overflow\r\n"),
            ("HINCRBY h word 1", "-ERR hash value is not an integer\r\n"),
            ("HINCRBY h none 1", "-ERR hash value is not an integer\r\n"),
            ("HINCRBY h space 1", "-ERR hash value is not an integer\r\n"),
            ("HINCRBY h word x", NOT_INTEGER),
            ("HINCRBY s a x", NOT_INTEGER),
            ("HINCRBY nok a x", NOT_INTEGER),
            ("GET nok", "$-1\r\n"),
        ],
    );
}

#[test]
fn floats_are_added() {
    let mut engine = with_hash();
    check_all(
        &mut engine,
        &[
            ("HINCRBYFLOAT h f 10.5", "$4\r\n10.5\r\n"),
            ("HINCRBYFLOAT h f 0.1", "$4\r\n10.6\r\n"),
            ("HGET h f", "$4\r\n10.6\r\n"),
            ("HINCRBYFLOAT h g 5.0e3", "$4\r\n5000\r\n"),
            ("HINCRBYFLOAT h g 2.0e2", "$4\r\n5200\r\n"),
            ("HINCRBYFLOAT h i 3.14159", "$7\r\n3.14159\r\n"),
            ("HINCRBYFLOAT h i -3.14159", "$1\r\n0\r\n"),
            ("HINCRBYFLOAT h i -0", "$1\r\n0\r\n"),
            ("HSET h word x none \"\" space \" 1\"", ":3\r\n"),
            ("HINCRBYFLOAT h word 1", "-ERR hash value is not a float\r\n"),
            ("HINCRBYFLOAT h none 1", "-ERR hash value is not a float\r\n"),
            ("HINCRBYFLOAT h space 1", "-ERR hash value is not a float\r\n"),
            ("HINCRBYFLOAT h f x", "-ERR value is not a valid float\r\n"),
            ("HINCRBYFLOAT s f x", "-ERR value is not a valid float\r\n"),
            ("HINCRBYFLOAT h f nan", "-ERR value is not a valid float\r\n"),
            ("HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity\r\n"),
            ("HINCRBYFLOAT s f -inf", "-ERR value is NaN or Infinity\r\n"),
        ],
    );
    check3(&mut engine, "HINCRBYFLOAT h f 1", "$4\r\n11.6\r\n");
}

#[test]
fn random_fields_have_the_shape_of_the_protocol() {
    let mut engine = with_hash();
    let range = "-ERR value is out of range, value must between -9223372036854775807 and \
                 9223372036854775807\r\n";
    check_all(
        &mut engine,
        &[
            ("HSET one a 1", ":1\r\n"),
            ("HRANDFIELD one", "$1\r\na\r\n"),
            ("HRANDFIELD one 5", "*1\r\n$1\r\na\r\n"),
            ("HRANDFIELD one -3", "*3\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n"),
            ("HRANDFIELD one 0", "*0\r\n"),
            ("HRANDFIELD one 5 withvalues", "*2\r\n$1\r\na\r\n$1\r\n1\r\n"),
            ("HRANDFIELD one -2 WITHVALUES", "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\na\r\n$1\r\n1\r\n"),
            ("HRANDFIELD one 5 foo", SYNTAX),
            ("HRANDFIELD one 5 WITHVALUES x", SYNTAX),
            ("HRANDFIELD one x", NOT_INTEGER),
            ("HRANDFIELD s x", NOT_INTEGER),
            ("HRANDFIELD one -9223372036854775808", range),
            ("HRANDFIELD one 9223372036854775807", "*1\r\n$1\r\na\r\n"),
            ("HRANDFIELD one 9223372036854775807 WITHVALUES", "-ERR value is out of range\r\n"),
            ("HRANDFIELD one -9223372036854775807", "-ERR value is out of range\r\n"),
            ("HRANDFIELD nok", "$-1\r\n"),
            ("HRANDFIELD nok 1", "*0\r\n"),
            ("HRANDFIELD h 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ],
    );
    check3(&mut engine, "HRANDFIELD one 5 WITHVALUES", "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    check3(&mut engine, "HRANDFIELD one 0 WITHVALUES", "*0\r\n");
    check3(&mut engine, "HRANDFIELD nok 1 WITHVALUES", "*0\r\n");
    check3(&mut engine, "HRANDFIELD nok", "_\r\n");
}

#[test]
fn a_small_hash_is_scanned_in_one_part() {
    let mut engine = with_hash();
    let all = "*2\r\n$1\r\n0\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n";
    let nothing = "*2\r\n$1\r\n0\r\n*0\r\n";
    check_all(
        &mut engine,
        &[
            ("HSCAN h 0", all),
            ("HSCAN h 0 COUNT 1", all),
            ("HSCAN h 99", all),
            ("HSCAN h 0 MATCH b* COUNT 5", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"),
            ("HSCAN h 0 MATCH x*", nothing),
            ("HSCAN nok 0", nothing),
            ("HSCAN nok 0 FOO", nothing),
            ("HSCAN h x", "-ERR invalid cursor\r\n"),
            ("HSCAN s x", "-ERR invalid cursor\r\n"),
            ("HSCAN nok x", "-ERR invalid cursor\r\n"),
            ("HSCAN nok -1", "-ERR invalid cursor\r\n"),
            ("HSCAN h 0 COUNT 0", SYNTAX),
            ("HSCAN h 0 COUNT x", NOT_INTEGER),
            ("HSCAN h 0 COUNT", SYNTAX),
            ("HSCAN h 0 FOO 1", SYNTAX),
            ("HSCAN h 0 TYPE hash", SYNTAX),
        ],
    );
    check3(&mut engine, "HSCAN h 0", all);
}

#[test]
fn a_large_hash_is_scanned_part_by_part() {
    let mut engine = engine();
    for number in 0..500 {
        check(&mut engine, &format!("HSET h field{number} {number}"), ":1\r\n");
    }
    let mut seen = BTreeSet::new();
    let (mut cursor, mut calls) = ("0".to_owned(), 0);
    loop {
        let line = format!("HSCAN h {cursor} COUNT 20");
        let reply = String::from_utf8(run_line(&mut engine, Protocol::Resp2, &line)).unwrap();
        let words: Vec<&str> =
            reply.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect();
        seen.extend(
            words[1..].iter().filter(|word| word.starts_with("field")).map(|w| w.to_string()),
        );
        calls += 1;
        cursor = words[0].to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!((seen.len(), calls), (500, 25));
}
