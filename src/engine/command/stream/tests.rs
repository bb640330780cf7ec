//! Replies to command lines, as redis-server gives them, and the ids that the clock makes.

mod claim;
mod groups;
mod info;
mod read;

use crate::engine::reply::Protocol;
use crate::engine::testing::{
    START_MS, advance, check, check_all, check3, engine, run_line, run_words,
};

#[test]
fn the_clock_of_the_entry_makes_ids_that_never_go_back() {
    let mut engine = engine();
    let id = |ms: u64, seq: u64| {
        let text = format!("{ms}-{seq}");
        format!("${}\r\n{text}\r\n", text.len())
    };
    check(&mut engine, "XADD s * f v", &id(START_MS, 0));
    check(&mut engine, "XADD s * f v", &id(START_MS, 1));
    advance(&mut engine, 7);
    check(&mut engine, "XADD s * f v", &id(START_MS + 7, 0));
    let ahead = START_MS + 1000;
    check(&mut engine, &format!("XADD s {ahead}-18446744073709551615 f v"), &id(ahead, u64::MAX));
    advance(&mut engine, 7);
    check(&mut engine, "XADD s * f v", &id(ahead + 1, 0));
}

#[test]
fn a_millisecond_without_free_ids_takes_no_more() {
    let too_small =
        "-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n";
    let mut engine = engine();
    run_line(&mut engine, Protocol::Resp2, "XADD s 5-18446744073709551615 f v");
    check(&mut engine, "XADD s 5-* f v", too_small);
    check(&mut engine, "XADD s 6-* f v", "$3\r\n6-0\r\n");
}

#[test]
fn approximate_trimming_is_exact_and_keeps_to_its_limit() {
    let mut engine = engine();
    for _ in 0..1000 {
        run_line(&mut engine, Protocol::Resp2, "XADD s * f v");
    }
    check(&mut engine, "XTRIM s MAXLEN ~ 900 LIMIT 30", ":30\r\n");
    check(&mut engine, "XTRIM s MAXLEN ~ 900", ":70\r\n");
    check(&mut engine, &format!("XTRIM s MINID ~ {START_MS}-250 LIMIT 0"), ":150\r\n");
    check(&mut engine, &format!("XTRIM s MINID {START_MS}-999"), ":749\r\n");
    check(&mut engine, "XLEN s", ":1\r\n");
}

#[test]
fn fields_hold_any_bytes() {
    let mut engine = engine();
    let long = vec![0xff; 70_000];
    let words: [&[u8]; 7] = [b"XADD", b"s", b"1-0", b"\r\n\0", b"", b"", &long];
    assert_eq!(run_words(&mut engine, Protocol::Resp2, &words), b"$3\r\n1-0\r\n");
    let mut expected =
        b"*1\r\n*2\r\n$3\r\n1-0\r\n*4\r\n$3\r\n\r\n\0\r\n$0\r\n\r\n$0\r\n\r\n".to_vec();
    expected.extend_from_slice(b"$70000\r\n");
    expected.extend_from_slice(&long);
    expected.extend_from_slice(b"\r\n");
    assert_eq!(run_line(&mut engine, Protocol::Resp2, "XRANGE s - +"), expected);
    assert_eq!(run_line(&mut engine, Protocol::Resp3, "XREVRANGE s + -"), expected);
}

#[test]
fn entries_are_appended_with_ids_that_rise() {
    let cases = [
        ("xadd s 5-0 f v", "$3\r\n5-0\r\n"),
        ("xadd s 5-* f v", "$3\r\n5-1\r\n"),
        ("xadd s 5-7 f v g w", "$3\r\n5-7\r\n"),
        ("xadd s 6 f v", "$3\r\n6-0\r\n"),
        ("xadd s 6-* f v", "$3\r\n6-1\r\n"),
        ("xadd s 7-03 f v", "$3\r\n7-3\r\n"),
        ("xadd s +8-+1 f v", "$3\r\n8-1\r\n"),
        (
            "xadd s 8-1 f v",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top \
             item\r\n",
        ),
        (
            "xadd s 8-0 f v",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top \
             item\r\n",
        ),
        (
            "xadd s 7 f v",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top \
             item\r\n",
        ),
        (
            "xadd s 7-* f v",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top \
             item\r\n",
        ),
        ("xadd s 7-* f v extra", "-ERR wrong number of arguments for 'xadd' command\r\n"),
        ("xadd zero 0-* f v", "$3\r\n0-1\r\n"),
        (
            "xadd zero 0-1 f v",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top \
             item\r\n",
        ),
        ("xadd zero 0-* f v", "$3\r\n0-2\r\n"),
        ("xlen s", ":7\r\n"),
        ("xlen absent", ":0\r\n"),
        (
            "xrange s - +",
            "*7\r\n*2\r\n$3\r\n5-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*2\r\n$3\r\n5-1\r\n*2\r\n\
             $1\r\nf\r\n$1\r\nv\r\n*2\r\n$3\r\n5-7\r\n*4\r\n$1\r\nf\r\n$1\r\nv\r\n$1\r\ng\r\n\
             $1\r\nw\r\n*2\r\n$3\r\n6-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*2\r\n$3\r\n6-1\r\n\
             *2\r\n$1\r\nf\r\n$1\r\nv\r\n*2\r\n$3\r\n7-3\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*2\r\n\
             $3\r\n8-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn xadd_refuses_wrong_arguments() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("xadd s *", "-ERR wrong number of arguments for 'xadd' command\r\n"),
        ("xadd s * f", "-ERR wrong number of arguments for 'xadd' command\r\n"),
        ("xadd s * f v g", "-ERR wrong number of arguments for 'xadd' command\r\n"),
        ("xadd s 0-0 f v", "-ERR The ID specified in XADD must be greater than 0-0\r\n"),
        ("xadd s 0 f v", "-ERR The ID specified in XADD must be greater than 0-0\r\n"),
        ("xadd s 0-0 f", "-ERR wrong number of arguments for 'xadd' command\r\n"),
        ("xadd s foo f v", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xadd s -1 f v", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xadd s - f v", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xadd s 1- f v", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xadd s -*  f v", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xadd s 1-1-1 f v", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        (
            "xadd s 18446744073709551616 f v",
            "-ERR Invalid stream ID specified as stream command argument\r\n",
        ),
        (
            "xadd s 1-18446744073709551616 f v",
            "-ERR Invalid stream ID specified as stream command argument\r\n",
        ),
        ("xadd s maxlen x * f v", "-ERR value is not an integer or out of range\r\n"),
        ("xadd s maxlen -1 * f v", "-ERR The MAXLEN argument must be >= 0.\r\n"),
        (
            "xadd s maxlen 5 minid 5 * f v",
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible\r\n",
        ),
        (
            "xadd s maxlen 5 maxlen 5 * f v",
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible\r\n",
        ),
        ("xadd s minid x * f v", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        (
            "xadd s limit 5 * f v",
            "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy\r\n",
        ),
        (
            "xadd s maxlen 5 limit 5 * f v",
            "-ERR syntax error, LIMIT cannot be used without the special ~ option\r\n",
        ),
        (
            "xadd s maxlen = 5 limit 5 * f v",
            "-ERR syntax error, LIMIT cannot be used without the special ~ option\r\n",
        ),
        ("xadd s maxlen ~ 5 limit -1 * f v", "-ERR The LIMIT argument must be >= 0.\r\n"),
        ("xadd s maxlen ~ 5 limit x * f v", "-ERR value is not an integer or out of range\r\n"),
        ("xadd s maxlen 5 *", "-ERR wrong number of arguments for 'xadd' command\r\n"),
        ("xadd s maxlen ~ 5", "-ERR wrong number of arguments for 'xadd' command\r\n"),
        ("xadd s nomkstream 5 f", "-ERR wrong number of arguments for 'xadd' command\r\n"),
        ("xadd string 0-0 f v", "-ERR The ID specified in XADD must be greater than 0-0\r\n"),
        ("xadd string 1 f", "-ERR wrong number of arguments for 'xadd' command\r\n"),
        (
            "xadd string 1 f v",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xadd string nomkstream 1 f v",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("xlen string", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("get s", "$-1\r\n"),
        ("xadd s nomkstream * f v", "$-1\r\n"),
        ("get s", "$-1\r\n"),
        (
            "xadd s 18446744073709551615-18446744073709551615 f v",
            "$41\r\n18446744073709551615-18446744073709551615\r\n",
        ),
        (
            "xadd s * f v",
            "-ERR The stream has exhausted the last possible ID, unable to add more items\r\n",
        ),
        (
            "xadd s 18446744073709551615-* f v",
            "-ERR The stream has exhausted the last possible ID, unable to add more items\r\n",
        ),
        (
            "xadd s 1 f v",
            "-ERR The stream has exhausted the last possible ID, unable to add more items\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn entries_are_read_in_both_directions() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("xadd s 1-1 a 1", "$3\r\n1-1\r\n"),
        ("xadd s 1-2 b 2", "$3\r\n1-2\r\n"),
        ("xadd s 2-1 c 3 d 4", "$3\r\n2-1\r\n"),
        ("xadd s 3-0 e \"\"", "$3\r\n3-0\r\n"),
        (
            "xrange s - +",
            "*4\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\n1-2\r\n*2\r\n\
             $1\r\nb\r\n$1\r\n2\r\n*2\r\n$3\r\n2-1\r\n*4\r\n$1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n\
             $1\r\n4\r\n*2\r\n$3\r\n3-0\r\n*2\r\n$1\r\ne\r\n$0\r\n\r\n",
        ),
        ("xrange s + -", "*0\r\n"),
        (
            "xrange s 1 1",
            "*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\n1-2\r\n*2\r\n\
             $1\r\nb\r\n$1\r\n2\r\n",
        ),
        (
            "xrange s 1-2 2",
            "*2\r\n*2\r\n$3\r\n1-2\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n*2\r\n$3\r\n2-1\r\n*4\r\n\
             $1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n$1\r\n4\r\n",
        ),
        (
            "xrange s (1-1 (3-0",
            "*2\r\n*2\r\n$3\r\n1-2\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n*2\r\n$3\r\n2-1\r\n*4\r\n\
             $1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n$1\r\n4\r\n",
        ),
        (
            "xrange s (1 3",
            "*4\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\n1-2\r\n*2\r\n\
             $1\r\nb\r\n$1\r\n2\r\n*2\r\n$3\r\n2-1\r\n*4\r\n$1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n\
             $1\r\n4\r\n*2\r\n$3\r\n3-0\r\n*2\r\n$1\r\ne\r\n$0\r\n\r\n",
        ),
        (
            "xrange s 1 (2",
            "*3\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\n1-2\r\n*2\r\n\
             $1\r\nb\r\n$1\r\n2\r\n*2\r\n$3\r\n2-1\r\n*4\r\n$1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n\
             $1\r\n4\r\n",
        ),
        (
            "xrange s - + count 2",
            "*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\n1-2\r\n*2\r\n\
             $1\r\nb\r\n$1\r\n2\r\n",
        ),
        ("xrange s - + COUNT 0", "*-1\r\n"),
        ("xrange s - + count -1", "*-1\r\n"),
        (
            "xrange s - + count 1 count 2",
            "*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\n1-2\r\n*2\r\n\
             $1\r\nb\r\n$1\r\n2\r\n",
        ),
        ("xrange s 4 +", "*0\r\n"),
        ("xrange absent - +", "*0\r\n"),
        ("xrange absent - + count 0", "*0\r\n"),
        (
            "xrevrange s + -",
            "*4\r\n*2\r\n$3\r\n3-0\r\n*2\r\n$1\r\ne\r\n$0\r\n\r\n*2\r\n$3\r\n2-1\r\n*4\r\n\
             $1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n$1\r\n4\r\n*2\r\n$3\r\n1-2\r\n*2\r\n$1\r\nb\r\n\
             $1\r\n2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n",
        ),
        (
            "xrevrange s + - count 2",
            "*2\r\n*2\r\n$3\r\n3-0\r\n*2\r\n$1\r\ne\r\n$0\r\n\r\n*2\r\n$3\r\n2-1\r\n*4\r\n\
             $1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n$1\r\n4\r\n",
        ),
        (
            "xrevrange s 2 1-2",
            "*2\r\n*2\r\n$3\r\n2-1\r\n*4\r\n$1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n$1\r\n4\r\n*2\r\n\
             $3\r\n1-2\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n",
        ),
        (
            "xrevrange s (3-0 (1-1",
            "*2\r\n*2\r\n$3\r\n2-1\r\n*4\r\n$1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n$1\r\n4\r\n*2\r\n\
             $3\r\n1-2\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n",
        ),
        ("xrevrange s - +", "*0\r\n"),
        ("xrevrange absent + -", "*0\r\n"),
        ("xrange s - + count x", "-ERR value is not an integer or out of range\r\n"),
        ("xrange s - + count", "-ERR syntax error\r\n"),
        ("xrange s - + foo 1", "-ERR syntax error\r\n"),
        ("xrange absent \" 1- 2\" +", "*0\r\n"),
        ("xrange s \"1 \" +", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xrange s a +", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xrange s - (+", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xrange s (- +", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        (
            "xrange s (18446744073709551615-18446744073709551615 +",
            "-ERR invalid start ID for the interval\r\n",
        ),
        ("xrange s - (0-0", "-ERR invalid end ID for the interval\r\n"),
        ("xrevrange s (0-0 x", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xrevrange s (0-0 -", "-ERR invalid end ID for the interval\r\n"),
        (
            "xrevrange s + (18446744073709551615-18446744073709551615",
            "-ERR invalid start ID for the interval\r\n",
        ),
        ("xrange absent a +", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        (
            "xrange string - +",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xrange string - + count 0",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xrevrange string + -",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("xrevrange string a -", "-ERR Invalid stream ID specified as stream command argument\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn entries_are_deleted_by_id() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("xadd s 1-1 a 1", "$3\r\n1-1\r\n"),
        ("xadd s 1-2 a 1", "$3\r\n1-2\r\n"),
        ("xadd s 1-3 a 1", "$3\r\n1-3\r\n"),
        ("xdel s 1-1 1-1 9-9", ":1\r\n"),
        ("xdel s 1 1-3", ":1\r\n"),
        ("xdel s 1-2 foo", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xrange s - +", "*1\r\n*2\r\n$3\r\n1-2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"),
        ("xdel s 1-2", ":1\r\n"),
        ("get s", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("xlen s", ":0\r\n"),
        (
            "xadd s 1-3 a 1",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top \
             item\r\n",
        ),
        ("xadd s 1-* a 1", "$3\r\n1-4\r\n"),
        ("xdel absent foo", ":0\r\n"),
        ("xdel s foo", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xdel string 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        (
            "xdel string foo",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("xdel s", "-ERR wrong number of arguments for 'xdel' command\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn streams_are_trimmed() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("xadd s 1 a 1", "$3\r\n1-0\r\n"),
        ("xadd s 2 a 2", "$3\r\n2-0\r\n"),
        ("xadd s 3 a 3", "$3\r\n3-0\r\n"),
        ("xadd s 4 a 4", "$3\r\n4-0\r\n"),
        ("xadd s 5 a 5", "$3\r\n5-0\r\n"),
        ("xtrim s maxlen 9", ":0\r\n"),
        ("xtrim s maxlen 4", ":1\r\n"),
        ("xtrim s maxlen = 3", ":1\r\n"),
        ("xtrim s minid 4-0", ":1\r\n"),
        ("xtrim s minid = 4-1", ":1\r\n"),
        ("xtrim s maxlen ~ 100", ":0\r\n"),
        ("xrange s - +", "*1\r\n*2\r\n$3\r\n5-0\r\n*2\r\n$1\r\na\r\n$1\r\n5\r\n"),
        ("xadd s maxlen 1 6 a 6", "$3\r\n6-0\r\n"),
        ("xadd s maxlen = 2 7 a 7", "$3\r\n7-0\r\n"),
        ("xadd s minid 7 8 a 8", "$3\r\n8-0\r\n"),
        ("xadd s maxlen 0 9 a 9", "$3\r\n9-0\r\n"),
        ("xlen s", ":0\r\n"),
        ("get s", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        (
            "xadd s 9 a 9",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top \
             item\r\n",
        ),
        ("xtrim absent maxlen 1", ":0\r\n"),
        ("xtrim absent maxlen x", "-ERR value is not an integer or out of range\r\n"),
        ("xtrim s maxlen", "-ERR wrong number of arguments for 'xtrim' command\r\n"),
        ("xtrim s foo 1", "-ERR syntax error\r\n"),
        ("xtrim s maxlen 3 4", "-ERR syntax error\r\n"),
        ("xtrim s maxlen -1", "-ERR The MAXLEN argument must be >= 0.\r\n"),
        ("xtrim s minid foo", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        (
            "xtrim s limit 3",
            "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy\r\n",
        ),
        (
            "xtrim s maxlen 1 limit 3",
            "-ERR syntax error, LIMIT cannot be used without the special ~ option\r\n",
        ),
        (
            "xtrim s maxlen 1 maxlen 2",
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible\r\n",
        ),
        (
            "xtrim s minid 1 maxlen 2",
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible\r\n",
        ),
        ("xtrim s nomkstream maxlen 2", "-ERR syntax error\r\n"),
        ("xtrim s maxlen ~ 2 limit -1", "-ERR The LIMIT argument must be >= 0.\r\n"),
        (
            "xtrim string maxlen 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("xtrim string maxlen x", "-ERR value is not an integer or out of range\r\n"),
        ("xtrim s maxlen ~ 0 limit 0", ":0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn nulls_of_resp3_are_one() {
    let cases = [
        ("xadd s nomkstream * a b", "_\r\n"),
        ("xadd s 1 a b", "$3\r\n1-0\r\n"),
        ("xrange s - +", "*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("xrange s - + count 0", "_\r\n"),
        ("xrange absent - +", "*0\r\n"),
    ];
    let mut engine = engine();
    cases.iter().for_each(|(line, expected)| check3(&mut engine, line, expected));
}
