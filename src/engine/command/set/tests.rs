//! Requests and their replies.

use std::collections::BTreeSet;

use crate::engine::Engine;
use crate::engine::reply::Protocol;
use crate::engine::testing::{check, check_all, check3, engine, run_line};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
const NOT_POSITIVE: &str = "-ERR value is out of range, must be positive\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";

/// `a` holds 1, 2, 3, `b` 2, 3, 4 and x; `s` is a string.
fn with_sets() -> Engine {
    let mut engine = engine();
    let lines = [("SADD a 3 1 2", ":3\r\n"), ("SADD b 2 3 4 x", ":4\r\n"), ("SET s x", "+OK\r\n")];
    check_all(&mut engine, &lines);
    engine
}

#[test]
fn members_come_and_go() {
    let mut engine = with_sets();
    check_all(
        &mut engine,
        &[
            ("SADD a 1 9 9", ":1\r\n"),
            ("SADD a 1 9", ":0\r\n"),
            ("SCARD a", ":4\r\n"),
            ("SCARD nok", ":0\r\n"),
            ("SISMEMBER a 9", ":1\r\n"),
            ("SISMEMBER a 09", ":0\r\n"),
            ("SISMEMBER nok 1", ":0\r\n"),
            ("SMISMEMBER a 1 8 2", "*3\r\n:1\r\n:0\r\n:1\r\n"),
            ("SMISMEMBER nok 1 2", "*2\r\n:0\r\n:0\r\n"),
            ("SREM a 1 2 7", ":2\r\n"),
            ("SREM nok 1", ":0\r\n"),
            ("SREM a 7", ":0\r\n"),
            ("SMEMBERS a", "*2\r\n$1\r\n3\r\n$1\r\n9\r\n"),
            ("SREM a 3 9", ":2\r\n"),
            ("GET a", "$-1\r\n"),
            ("SMEMBERS a", "*0\r\n"),
        ],
    );
    check3(&mut engine, "SMEMBERS b", "~4\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\nx\r\n");
    check3(&mut engine, "SMEMBERS nok", "~0\r\n");
    check3(&mut engine, "SMISMEMBER b 2 7", "*2\r\n:1\r\n:0\r\n");
}

#[test]
fn other_types_are_refused() {
    let mut engine = with_sets();
    for line in [
        "SADD s 1",
        "SREM s 1",
        "SCARD s",
        "SISMEMBER s 1",
        "SMISMEMBER s 1",
        "SMEMBERS s",
        "SMOVE a s 1",
        "SMOVE a s 99",
        "SMOVE s a 1",
        "SPOP s",
        "SPOP s 1",
        "SPOP s 0",
        "SRANDMEMBER s",
        "SRANDMEMBER s 1",
        "SSCAN s 0",
        "SINTER a nok s",
        "SINTER nok s",
        "SINTER s nok",
        "SDIFF a nok s",
        "SDIFF nok s",
        "SUNION a s",
        "SINTERSTORE d nok s",
        "SDIFFSTORE d a s",
        "SUNIONSTORE d a s",
        "SINTERCARD 1 s",
        "SINTERCARD 2 nok s",
    ] {
        check(&mut engine, line, WRONG_TYPE);
    }
    check(&mut engine, "GET d", "$-1\r\n");
}

#[test]
fn a_member_moves() {
    check_all(
        &mut with_sets(),
        &[
            ("SMOVE nok s 1", ":0\r\n"),
            ("SMOVE a a 1", ":1\r\n"),
            ("SMOVE a a 99", ":0\r\n"),
            ("SMOVE a b 99", ":0\r\n"),
            ("SMOVE a b 2", ":1\r\n"),
            ("SMOVE a new 1", ":1\r\n"),
            ("SMEMBERS new", "*1\r\n$1\r\n1\r\n"),
            ("SMOVE a new 3", ":1\r\n"),
            ("GET a", "$-1\r\n"),
            ("SCARD b", ":4\r\n"),
        ],
    );
}

#[test]
fn sets_are_combined() {
    let mut engine = with_sets();
    check_all(
        &mut engine,
        &[
            ("SINTER a b", "*2\r\n$1\r\n2\r\n$1\r\n3\r\n"),
            ("SINTER a nok", "*0\r\n"),
            ("SINTER b", "*4\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\nx\r\n"),
            ("SDIFF a b", "*1\r\n$1\r\n1\r\n"),
            ("SDIFF b a nok", "*2\r\n$1\r\n4\r\n$1\r\nx\r\n"),
            ("SDIFF nok a", "*0\r\n"),
            ("SDIFF a a", "*0\r\n"),
            ("SUNION a nok b", "*5\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\nx\r\n"),
            ("SUNION nok", "*0\r\n"),
        ],
    );
    check3(&mut engine, "SINTER a b", "~2\r\n$1\r\n2\r\n$1\r\n3\r\n");
    check3(&mut engine, "SINTER a nok", "~0\r\n");
    check3(&mut engine, "SDIFF a b", "~1\r\n$1\r\n1\r\n");
    check3(&mut engine, "SUNION nok", "~0\r\n");
}

#[test]
fn combinations_are_stored_in_the_place_of_anything() {
    check_all(
        &mut with_sets(),
        &[
            ("SINTERSTORE d a b", ":2\r\n"),
            ("SMEMBERS d", "*2\r\n$1\r\n2\r\n$1\r\n3\r\n"),
            ("SINTERSTORE s a b", ":2\r\n"),
            ("SCARD s", ":2\r\n"),
            ("SINTERSTORE s a nok", ":0\r\n"),
            ("GET s", "$-1\r\n"),
            ("SDIFFSTORE d a b", ":1\r\n"),
            ("SMEMBERS d", "*1\r\n$1\r\n1\r\n"),
            ("SDIFFSTORE d d a", ":0\r\n"),
            ("GET d", "$-1\r\n"),
            ("SUNIONSTORE a a b", ":5\r\n"),
            ("SMEMBERS a", "*5\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\nx\r\n"),
        ],
    );
}

#[test]
fn an_intersection_is_counted_up_to_its_limit() {
    let numkeys = "-ERR numkeys should be greater than 0\r\n";
    let too_many = "-ERR Number of keys can't be greater than number of args\r\n";
    check_all(
        &mut with_sets(),
        &[
            ("SINTERCARD x a", numkeys),
            ("SINTERCARD 0 a", numkeys),
            ("SINTERCARD -1 a", numkeys),
            ("SINTERCARD 2 a", too_many),
            ("SINTERCARD 9223372036854775807 a", too_many),
            ("SINTERCARD 1 a LIMIT", SYNTAX),
            ("SINTERCARD 1 a FOO 1", SYNTAX),
            ("SINTERCARD 1 a b", SYNTAX),
            ("SINTERCARD 1 a LIMIT x", "-ERR LIMIT can't be negative\r\n"),
            ("SINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative\r\n"),
            ("SINTERCARD 1 a limit 1", ":1\r\n"),
            ("SINTERCARD 1 a LIMIT 1 LIMIT 0", ":3\r\n"),
            ("SINTERCARD 2 a b", ":2\r\n"),
            ("SINTERCARD 2 a b LIMIT 9", ":2\r\n"),
            ("SINTERCARD 2 a nok", ":0\r\n"),
        ],
    );
}

#[test]
fn popped_members_are_gone() {
    let mut engine = with_sets();
    check_all(
        &mut engine,
        &[
            ("SPOP nok", "$-1\r\n"),
            ("SPOP nok 1", "*0\r\n"),
            ("SPOP nok x", NOT_POSITIVE),
            ("SPOP s x", NOT_POSITIVE),
            ("SPOP a -1", NOT_POSITIVE),
            ("SPOP a 1 2", SYNTAX),
            ("SPOP a 0", "*0\r\n"),
            ("SPOP a 99", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n"),
            ("GET a", "$-1\r\n"),
            ("SADD one z", ":1\r\n"),
            ("SPOP one", "$1\r\nz\r\n"),
            ("GET one", "$-1\r\n"),
        ],
    );
    check3(&mut engine, "SPOP nok", "_\r\n");
    check3(&mut engine, "SPOP nok 1", "~0\r\n");
    check3(&mut engine, "SPOP b 0", "~0\r\n");
    check3(&mut engine, "SPOP b 4", "~4\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\nx\r\n");
}

#[test]
fn pops_are_the_same_on_every_node_and_take_each_member_once() {
    for len in [5, 100, 400, 1000] {
        for prefix in ["", "m"] {
            let (mut one, mut other) = (engine(), engine());
            for number in 0..len {
                let line = format!("SADD k {prefix}{number}");
                check(&mut one, &line, ":1\r\n");
                check(&mut other, &line, ":1\r\n");
            }
            let mut popped = BTreeSet::new();
            for _ in 0..len / 2 {
                let member = run_line(&mut one, Protocol::Resp2, "SPOP k");
                assert_eq!(run_line(&mut other, Protocol::Resp2, "SPOP k"), member);
                assert!(popped.insert(member));
            }
            let rest = format!("SPOP k {}", len / 4);
            let members = run_line(&mut one, Protocol::Resp2, &rest);
            assert_eq!(run_line(&mut other, Protocol::Resp2, &rest), members);
            let left = len - len / 2 - len / 4;
            check(&mut one, "SCARD k", &format!(":{left}\r\n"));
        }
    }
}

#[test]
fn random_members_stay() {
    let mut engine = with_sets();
    let range = "-ERR value is out of range, value must between -9223372036854775807 and \
                 9223372036854775807\r\n";
    check_all(
        &mut engine,
        &[
            ("SADD one z", ":1\r\n"),
            ("SRANDMEMBER one", "$1\r\nz\r\n"),
            ("SRANDMEMBER one -3", "*3\r\n$1\r\nz\r\n$1\r\nz\r\n$1\r\nz\r\n"),
            ("SRANDMEMBER a 10", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n"),
            ("SRANDMEMBER a 0", "*0\r\n"),
            ("SRANDMEMBER a x", NOT_INTEGER),
            ("SRANDMEMBER s x", NOT_INTEGER),
            ("SRANDMEMBER a 1 2", SYNTAX),
            ("SRANDMEMBER a -9223372036854775808", range),
            ("SRANDMEMBER a -9223372036854775807", "-ERR value is out of range\r\n"),
            ("SRANDMEMBER nok", "$-1\r\n"),
            ("SRANDMEMBER nok 1", "*0\r\n"),
            ("SCARD a", ":3\r\n"),
        ],
    );
    check3(&mut engine, "SRANDMEMBER nok", "_\r\n");
    check3(&mut engine, "SRANDMEMBER nok 1", "*0\r\n");
    check3(&mut engine, "SRANDMEMBER one -2", "*2\r\n$1\r\nz\r\n$1\r\nz\r\n");
}

#[test]
fn a_small_set_is_scanned_in_one_part() {
    let mut engine = with_sets();
    let all = "*2\r\n$1\r\n0\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n";
    check_all(
        &mut engine,
        &[
            ("SSCAN a 0", all),
            ("SSCAN a 0 COUNT 1", all),
            ("SSCAN b 0 MATCH x", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nx\r\n"),
            ("SSCAN a x", "-ERR invalid cursor\r\n"),
            ("SSCAN nok 0 FOO", "*2\r\n$1\r\n0\r\n*0\r\n"),
            ("SSCAN a 0 count 0", SYNTAX),
        ],
    );
    check3(&mut engine, "SSCAN a 0", all);
}
