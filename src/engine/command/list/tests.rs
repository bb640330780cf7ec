//! Requests and their replies.

use crate::engine::Engine;
use crate::engine::reply::Protocol;
use crate::engine::testing::{check, check_all, check3, engine, run_line};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";
const OUT_OF_RANGE_LONG: &str = "-ERR value is out of range, value must between \
                                 -9223372036854775807 and 9223372036854775807\r\n";
const NOT_POSITIVE: &str = "-ERR value is out of range, must be positive\r\n";

/// `l` holds a, b, c; `s` is a string.
fn with_list() -> Engine {
    let mut engine = engine();
    check_all(&mut engine, &[("RPUSH l a b c", ":3\r\n"), ("SET s x", "+OK\r\n")]);
    engine
}

#[test]
fn pushes_go_to_their_end_one_by_one() {
    check_all(
        &mut engine(),
        &[
            ("LPUSH l a b c", ":3\r\n"),
            ("RPUSH l d e", ":5\r\n"),
            ("LRANGE l 0 -1", "*5\r\n$1\r\nc\r\n$1\r\nb\r\n$1\r\na\r\n$1\r\nd\r\n$1\r\ne\r\n"),
            ("LPUSHX l x", ":6\r\n"),
            ("RPUSHX l y z", ":8\r\n"),
            ("LINDEX l 0", "$1\r\nx\r\n"),
            ("LINDEX l -1", "$1\r\nz\r\n"),
            ("LPUSHX nok a", ":0\r\n"),
            ("RPUSHX nok a", ":0\r\n"),
            ("GET nok", "$-1\r\n"),
            ("LLEN l", ":8\r\n"),
            ("LLEN nok", ":0\r\n"),
            ("LPUSH l", "-ERR wrong number of arguments for 'lpush' command\r\n"),
        ],
    );
}

#[test]
fn other_types_are_refused() {
    let mut engine = with_list();
    for line in [
        "LPUSH s a",
        "RPUSH s a",
        "LPUSHX s a",
        "RPUSHX s a",
        "LPOP s",
        "RPOP s 1",
        "LPOP s 0",
        "LLEN s",
        "LRANGE s 0 1",
        "LINDEX s x",
        "LSET s x y",
        "LINSERT s before a b",
        "LREM s 0 a",
        "LTRIM s 0 1",
        "LPOS s a",
        "LMPOP 2 nok s LEFT",
        "LMOVE l s LEFT LEFT",
        "LMOVE s l LEFT LEFT",
        "RPOPLPUSH s l",
        "RPOPLPUSH l s",
    ] {
        check(&mut engine, line, WRONG_TYPE);
    }
    check(&mut engine, "LRANGE l 0 -1", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    check(&mut engine, "GET s", "$1\r\nx\r\n");
}

#[test]
fn pops_take_from_their_end_and_remove_an_empty_list() {
    let mut engine = with_list();
    check_all(
        &mut engine,
        &[
            ("LPOP l abc", NOT_POSITIVE),
            ("LPOP l -1", NOT_POSITIVE),
            ("LPOP s abc", NOT_POSITIVE),
            ("LPOP l 1 2", "-ERR wrong number of arguments for 'lpop' command\r\n"),
            ("RPOP l 1 1", "-ERR wrong number of arguments for 'rpop' command\r\n"),
            ("LPOP nok", "$-1\r\n"),
            ("LPOP nok 1", "*-1\r\n"),
            ("LPOP nok 0", "*-1\r\n"),
            ("LPOP l 0", "*0\r\n"),
            ("LPOP l", "$1\r\na\r\n"),
            ("RPOP l 9", "*2\r\n$1\r\nc\r\n$1\r\nb\r\n"),
            ("GET l", "$-1\r\n"),
            ("RPUSH l a", ":1\r\n"),
            ("RPOP l", "$1\r\na\r\n"),
            ("GET l", "$-1\r\n"),
        ],
    );
    check3(&mut engine, "LPOP nok", "_\r\n");
    check3(&mut engine, "LPOP nok 1", "_\r\n");
}

#[test]
fn ranges_are_cut_to_the_list() {
    let mut engine = with_list();
    let all = "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n";
    check_all(
        &mut engine,
        &[
            ("LRANGE l 0 -1", all),
            ("LRANGE l -100 100", all),
            ("LRANGE l 1 1", "*1\r\n$1\r\nb\r\n"),
            ("LRANGE l -2 -1", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
            ("LRANGE l 2 1", "*0\r\n"),
            ("LRANGE l 3 5", "*0\r\n"),
            ("LRANGE l 0 -4", "*0\r\n"),
            ("LRANGE l -9223372036854775808 9223372036854775807", all),
            ("LRANGE l 9223372036854775807 9223372036854775807", "*0\r\n"),
            ("LRANGE nok 0 1", "*0\r\n"),
            ("LRANGE nok a 1", NOT_INTEGER),
            ("LRANGE s 0 x", NOT_INTEGER),
            ("LINDEX l 3", "$-1\r\n"),
            ("LINDEX l -4", "$-1\r\n"),
            ("LINDEX l x", NOT_INTEGER),
            ("LINDEX nok x", "$-1\r\n"),
        ],
    );
    check3(&mut engine, "LINDEX nok 0", "_\r\n");
}

#[test]
fn elements_are_changed_in_the_middle() {
    check_all(
        &mut with_list(),
        &[
            ("LSET nok x y", "-ERR no such key\r\n"),
            ("LSET l x y", NOT_INTEGER),
            ("LSET l 3 y", "-ERR index out of range\r\n"),
            ("LSET l -4 y", "-ERR index out of range\r\n"),
            ("LSET l -1 C", "+OK\r\n"),
            ("LINSERT l foo a b", SYNTAX),
            ("LINSERT nok foo a b", SYNTAX),
            ("LINSERT nok before a b", ":0\r\n"),
            ("LINSERT l before zz b", ":-1\r\n"),
            ("LINSERT l BEFORE a 0", ":4\r\n"),
            ("LINSERT l after C d", ":5\r\n"),
            ("LRANGE l 0 -1", "*5\r\n$1\r\n0\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nC\r\n$1\r\nd\r\n"),
        ],
    );
}

#[test]
fn equal_elements_are_removed_from_the_end_that_the_sign_names() {
    check_all(
        &mut with_list(),
        &[
            ("RPUSH r x a x b x c x", ":7\r\n"),
            ("LREM r y x", NOT_INTEGER),
            ("LREM s y x", NOT_INTEGER),
            ("LREM nok -9223372036854775808 x", OUT_OF_RANGE_LONG),
            ("LREM nok 0 x", ":0\r\n"),
            ("LREM r 0 none", ":0\r\n"),
            ("LREM r 1 x", ":1\r\n"),
            ("LREM r -2 x", ":2\r\n"),
            ("LRANGE r 0 -1", "*4\r\n$1\r\na\r\n$1\r\nx\r\n$1\r\nb\r\n$1\r\nc\r\n"),
            ("LREM r -9223372036854775807 x", ":1\r\n"),
            ("LREM l 0 a", ":1\r\n"),
            ("LREM l 0 b", ":1\r\n"),
            ("LREM l 0 c", ":1\r\n"),
            ("GET l", "$-1\r\n"),
        ],
    );
}

#[test]
fn a_trim_keeps_the_range() {
    check_all(
        &mut with_list(),
        &[
            ("LTRIM l x 1", NOT_INTEGER),
            ("LTRIM s x 1", NOT_INTEGER),
            ("LTRIM nok 0 1", "+OK\r\n"),
            ("LTRIM l 1 -1", "+OK\r\n"),
            ("LRANGE l 0 -1", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
            ("LTRIM l -100 0", "+OK\r\n"),
            ("LRANGE l 0 -1", "*1\r\n$1\r\nb\r\n"),
            ("LTRIM l 5 9", "+OK\r\n"),
            ("GET l", "$-1\r\n"),
        ],
    );
}

#[test]
fn positions_are_found_from_both_ends() {
    let rank_zero = "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
                     second ... or use negative to start from the end of the list\r\n";
    check_all(
        &mut with_list(),
        &[
            ("RPUSH p a b c 1 2 3 c c", ":8\r\n"),
            ("LPOS p c", ":2\r\n"),
            ("LPOS p c RANK 2", ":6\r\n"),
            ("LPOS p c RANK -1", ":7\r\n"),
            ("LPOS p c RANK 4", "$-1\r\n"),
            ("LPOS p c COUNT 2", "*2\r\n:2\r\n:6\r\n"),
            ("LPOS p c COUNT 0", "*3\r\n:2\r\n:6\r\n:7\r\n"),
            ("LPOS p c RANK -2 count 0", "*2\r\n:6\r\n:2\r\n"),
            ("LPOS p c COUNT 0 MAXLEN 3", "*1\r\n:2\r\n"),
            ("LPOS p c MAXLEN 2", "$-1\r\n"),
            ("LPOS p c RANK -1 MAXLEN 1 COUNT 5", "*1\r\n:7\r\n"),
            ("LPOS p c RANK 0", rank_zero),
            ("LPOS s c RANK 0", rank_zero),
            ("LPOS p c RANK x", NOT_INTEGER),
            ("LPOS p c COUNT -1", "-ERR COUNT can't be negative\r\n"),
            ("LPOS p c COUNT x", "-ERR COUNT can't be negative\r\n"),
            ("LPOS p c MAXLEN -1", "-ERR MAXLEN can't be negative\r\n"),
            ("LPOS p c FOO 1", SYNTAX),
            ("LPOS p c COUNT", SYNTAX),
            ("LPOS nok c", "$-1\r\n"),
            ("LPOS nok c COUNT 0", "*0\r\n"),
            ("LPOS p zz COUNT 1", "*0\r\n"),
        ],
    );
}

#[test]
fn the_first_list_that_is_there_is_popped() {
    let mut engine = with_list();
    check_all(
        &mut engine,
        &[
            ("LMPOP x l LEFT", "-ERR numkeys should be greater than 0\r\n"),
            ("LMPOP 0 l LEFT", "-ERR numkeys should be greater than 0\r\n"),
            ("LMPOP 1 l", "-ERR wrong number of arguments for 'lmpop' command\r\n"),
            ("LMPOP 1 l FOO", SYNTAX),
            ("LMPOP 2 l LEFT", SYNTAX),
            ("LMPOP 9223372036854775807 l LEFT", SYNTAX),
            ("LMPOP 1 l LEFT COUNT", SYNTAX),
            ("LMPOP 1 l LEFT COUNT 0", "-ERR count should be greater than 0\r\n"),
            ("LMPOP 1 l LEFT COUNT x", "-ERR count should be greater than 0\r\n"),
            ("LMPOP 1 l LEFT COUNT 1 COUNT 1", SYNTAX),
            ("LMPOP 1 l LEFT 2", SYNTAX),
            ("LMPOP 1 nok LEFT", "*-1\r\n"),
            ("LMPOP 2 nok l LEFT COUNT 2", "*2\r\n$1\r\nl\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
            ("LMPOP 2 l s right count 10", "*2\r\n$1\r\nl\r\n*1\r\n$1\r\nc\r\n"),
            ("GET l", "$-1\r\n"),
        ],
    );
    check3(&mut engine, "LMPOP 1 nok LEFT", "_\r\n");
}

#[test]
fn an_element_moves_between_lists_and_within_one() {
    let mut engine = with_list();
    check_all(
        &mut engine,
        &[
            ("LMOVE l l FOO LEFT", SYNTAX),
            ("LMOVE s l LEFT FOO", SYNTAX),
            ("LMOVE nok s LEFT LEFT", "$-1\r\n"),
            ("RPOPLPUSH nok s", "$-1\r\n"),
            ("LMOVE l l LEFT RIGHT", "$1\r\na\r\n"),
            ("LRANGE l 0 -1", "*3\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\na\r\n"),
            ("RPOPLPUSH l t", "$1\r\na\r\n"),
            ("LMOVE l t right right", "$1\r\nc\r\n"),
            ("LMOVE l t LEFT LEFT", "$1\r\nb\r\n"),
            ("GET l", "$-1\r\n"),
            ("LRANGE t 0 -1", "*3\r\n$1\r\nb\r\n$1\r\na\r\n$1\r\nc\r\n"),
            ("RPUSH one x", ":1\r\n"),
            ("RPOPLPUSH one one", "$1\r\nx\r\n"),
            ("LRANGE one 0 -1", "*1\r\n$1\r\nx\r\n"),
        ],
    );
    check3(&mut engine, "LMOVE nok l LEFT LEFT", "_\r\n");
}

#[test]
fn a_long_list_is_read_over_its_chunks() {
    let mut engine = engine();
    for number in 0..20_000 {
        run_line(&mut engine, Protocol::Resp2, &format!("RPUSH l element-{number}"));
    }
    let expected: String = (9_700..=10_299)
        .map(|number| {
            let element = format!("element-{number}");
            format!("${}\r\n{element}\r\n", element.len())
        })
        .collect();
    check(&mut engine, "LRANGE l 9700 10299", &format!("*600\r\n{expected}"));
    check(&mut engine, "LINDEX l -1", "$13\r\nelement-19999\r\n");
    check(&mut engine, "LPOS l element-15000", ":15000\r\n");
}
