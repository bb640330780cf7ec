//! XINFO and XSETID.

use super::*;
use crate::engine::Engine;

#[test]
fn xinfo_tells_of_a_stream() {
    let cases = [
        ("xgroup create s g 0 MKSTREAM", "+OK\r\n"),
        (
            "xinfo stream s",
            "*20\r\n$6\r\nlength\r\n:0\r\n$15\r\nradix-tree-keys\r\n:0\r\n$16\r\n\
             radix-tree-nodes\r\n:1\r\n$17\r\nlast-generated-id\r\n$3\r\n0-0\r\n$20\r\n\
             max-deleted-entry-id\r\n$3\r\n0-0\r\n$13\r\nentries-added\r\n:0\r\n$23\r\n\
             recorded-first-entry-id\r\n$3\r\n0-0\r\n$6\r\ngroups\r\n:1\r\n$11\r\nfirst-entry\r\n\
             $-1\r\n$10\r\nlast-entry\r\n$-1\r\n",
        ),
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        (
            "xinfo stream s",
            "*20\r\n$6\r\nlength\r\n:1\r\n$15\r\nradix-tree-keys\r\n:1\r\n$16\r\n\
             radix-tree-nodes\r\n:2\r\n$17\r\nlast-generated-id\r\n$3\r\n1-1\r\n$20\r\n\
             max-deleted-entry-id\r\n$3\r\n0-0\r\n$13\r\nentries-added\r\n:1\r\n$23\r\n\
             recorded-first-entry-id\r\n$3\r\n1-1\r\n$6\r\ngroups\r\n:1\r\n$11\r\nfirst-entry\r\n\
             *2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n$10\r\nlast-entry\r\n*2\r\n$3\r\n\
             1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n",
        ),
        ("xadd s 2-1 f 2", "$3\r\n2-1\r\n"),
        ("xadd s 3-1 f 3", "$3\r\n3-1\r\n"),
        ("xdel s 2-1", ":1\r\n"),
        (
            "xinfo stream s",
            "*20\r\n$6\r\nlength\r\n:2\r\n$15\r\nradix-tree-keys\r\n:1\r\n$16\r\n\
             radix-tree-nodes\r\n:2\r\n$17\r\nlast-generated-id\r\n$3\r\n3-1\r\n$20\r\n\
             max-deleted-entry-id\r\n$3\r\n2-1\r\n$13\r\nentries-added\r\n:3\r\n$23\r\n\
             recorded-first-entry-id\r\n$3\r\n1-1\r\n$6\r\ngroups\r\n:1\r\n$11\r\nfirst-entry\r\n\
             *2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n$10\r\nlast-entry\r\n*2\r\n$3\r\n\
             3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n",
        ),
        (
            "xinfo stream s full",
            "*18\r\n$6\r\nlength\r\n:2\r\n$15\r\nradix-tree-keys\r\n:1\r\n$16\r\n\
             radix-tree-nodes\r\n:2\r\n$17\r\nlast-generated-id\r\n$3\r\n3-1\r\n$20\r\n\
             max-deleted-entry-id\r\n$3\r\n2-1\r\n$13\r\nentries-added\r\n:3\r\n$23\r\n\
             recorded-first-entry-id\r\n$3\r\n1-1\r\n$7\r\nentries\r\n*2\r\n*2\r\n$3\r\n1-1\r\n\
             *2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n$6\r\n\
             groups\r\n*1\r\n*14\r\n$4\r\nname\r\n$1\r\ng\r\n$17\r\nlast-delivered-id\r\n$3\r\n\
             0-0\r\n$12\r\nentries-read\r\n$-1\r\n$3\r\nlag\r\n$-1\r\n$9\r\npel-count\r\n:0\r\n\
             $7\r\npending\r\n*0\r\n$9\r\nconsumers\r\n*0\r\n",
        ),
        (
            "xinfo stream s FULL COUNT 1",
            "*18\r\n$6\r\nlength\r\n:2\r\n$15\r\nradix-tree-keys\r\n:1\r\n$16\r\n\
             radix-tree-nodes\r\n:2\r\n$17\r\nlast-generated-id\r\n$3\r\n3-1\r\n$20\r\n\
             max-deleted-entry-id\r\n$3\r\n2-1\r\n$13\r\nentries-added\r\n:3\r\n$23\r\n\
             recorded-first-entry-id\r\n$3\r\n1-1\r\n$7\r\nentries\r\n*1\r\n*2\r\n$3\r\n1-1\r\n\
             *2\r\n$1\r\nf\r\n$1\r\n1\r\n$6\r\ngroups\r\n*1\r\n*14\r\n$4\r\nname\r\n$1\r\ng\r\n\
             $17\r\nlast-delivered-id\r\n$3\r\n0-0\r\n$12\r\nentries-read\r\n$-1\r\n$3\r\nlag\r\n\
             $-1\r\n$9\r\npel-count\r\n:0\r\n$7\r\npending\r\n*0\r\n$9\r\nconsumers\r\n*0\r\n",
        ),
        (
            "xinfo stream s full count 0",
            "*18\r\n$6\r\nlength\r\n:2\r\n$15\r\nradix-tree-keys\r\n:1\r\n$16\r\n\
             radix-tree-nodes\r\n:2\r\n$17\r\nlast-generated-id\r\n$3\r\n3-1\r\n$20\r\n\
             max-deleted-entry-id\r\n$3\r\n2-1\r\n$13\r\nentries-added\r\n:3\r\n$23\r\n\
             recorded-first-entry-id\r\n$3\r\n1-1\r\n$7\r\nentries\r\n*2\r\n*2\r\n$3\r\n1-1\r\n\
             *2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n$6\r\n\
             groups\r\n*1\r\n*14\r\n$4\r\nname\r\n$1\r\ng\r\n$17\r\nlast-delivered-id\r\n$3\r\n\
             0-0\r\n$12\r\nentries-read\r\n$-1\r\n$3\r\nlag\r\n$-1\r\n$9\r\npel-count\r\n:0\r\n\
             $7\r\npending\r\n*0\r\n$9\r\nconsumers\r\n*0\r\n",
        ),
        (
            "xinfo stream s full count -3",
            "*18\r\n$6\r\nlength\r\n:2\r\n$15\r\nradix-tree-keys\r\n:1\r\n$16\r\n\
             radix-tree-nodes\r\n:2\r\n$17\r\nlast-generated-id\r\n$3\r\n3-1\r\n$20\r\n\
             max-deleted-entry-id\r\n$3\r\n2-1\r\n$13\r\nentries-added\r\n:3\r\n$23\r\n\
             recorded-first-entry-id\r\n$3\r\n1-1\r\n$7\r\nentries\r\n*2\r\n*2\r\n$3\r\n1-1\r\n\
             *2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n$6\r\n\
             groups\r\n*1\r\n*14\r\n$4\r\nname\r\n$1\r\ng\r\n$17\r\nlast-delivered-id\r\n$3\r\n\
             0-0\r\n$12\r\nentries-read\r\n$-1\r\n$3\r\nlag\r\n$-1\r\n$9\r\npel-count\r\n:0\r\n\
             $7\r\npending\r\n*0\r\n$9\r\nconsumers\r\n*0\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn xinfo_refuses_wrong_arguments() {
    let cases = [
        ("set str x", "+OK\r\n"),
        ("xadd s 1-1 f v", "$3\r\n1-1\r\n"),
        ("xinfo", "-ERR wrong number of arguments for 'xinfo' command\r\n"),
        ("xinfo stream", "-ERR wrong number of arguments for 'xinfo|stream' command\r\n"),
        ("xinfo foo s", "-ERR unknown subcommand 'foo'. Try XINFO HELP.\r\n"),
        ("xinfo groups", "-ERR wrong number of arguments for 'xinfo|groups' command\r\n"),
        ("xinfo groups s g", "-ERR wrong number of arguments for 'xinfo|groups' command\r\n"),
        ("xinfo consumers s", "-ERR wrong number of arguments for 'xinfo|consumers' command\r\n"),
        ("xinfo help s", "-ERR wrong number of arguments for 'xinfo|help' command\r\n"),
        (
            "xinfo STREAM s foo",
            "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO \
             HELP.\r\n",
        ),
        (
            "xinfo STREAM s FULL COUNT",
            "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO \
             HELP.\r\n",
        ),
        (
            "xinfo STREAM s FULL foo 1",
            "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO \
             HELP.\r\n",
        ),
        ("xinfo stream s full count x", "-ERR value is not an integer or out of range\r\n"),
        ("xinfo stream absent", "-ERR no such key\r\n"),
        ("xinfo STREAM absent foo", "-ERR no such key\r\n"),
        ("xinfo groups absent", "-ERR no such key\r\n"),
        ("xinfo consumers absent g", "-ERR no such key\r\n"),
        ("xinfo consumers s nope", "-NOGROUP No such consumer group 'nope' for key name 's'\r\n"),
        ("xinfo groups s", "*0\r\n"),
        (
            "xinfo stream str",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xinfo groups str",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xinfo consumers str g",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn xinfo_of_resp3_gives_maps() {
    let cases = [
        ("xgroup create s g 0 MKSTREAM", "+OK\r\n"),
        (
            "xinfo stream s",
            "%10\r\n$6\r\nlength\r\n:0\r\n$15\r\nradix-tree-keys\r\n:0\r\n$16\r\n\
             radix-tree-nodes\r\n:1\r\n$17\r\nlast-generated-id\r\n$3\r\n0-0\r\n$20\r\n\
             max-deleted-entry-id\r\n$3\r\n0-0\r\n$13\r\nentries-added\r\n:0\r\n$23\r\n\
             recorded-first-entry-id\r\n$3\r\n0-0\r\n$6\r\ngroups\r\n:1\r\n$11\r\nfirst-entry\r\n\
             _\r\n$10\r\nlast-entry\r\n_\r\n",
        ),
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        (
            "xinfo stream s",
            "%10\r\n$6\r\nlength\r\n:1\r\n$15\r\nradix-tree-keys\r\n:1\r\n$16\r\n\
             radix-tree-nodes\r\n:2\r\n$17\r\nlast-generated-id\r\n$3\r\n1-1\r\n$20\r\n\
             max-deleted-entry-id\r\n$3\r\n0-0\r\n$13\r\nentries-added\r\n:1\r\n$23\r\n\
             recorded-first-entry-id\r\n$3\r\n1-1\r\n$6\r\ngroups\r\n:1\r\n$11\r\nfirst-entry\r\n\
             *2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n$10\r\nlast-entry\r\n*2\r\n$3\r\n\
             1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n",
        ),
        (
            "xinfo stream s full",
            "%9\r\n$6\r\nlength\r\n:1\r\n$15\r\nradix-tree-keys\r\n:1\r\n$16\r\n\
             radix-tree-nodes\r\n:2\r\n$17\r\nlast-generated-id\r\n$3\r\n1-1\r\n$20\r\n\
             max-deleted-entry-id\r\n$3\r\n0-0\r\n$13\r\nentries-added\r\n:1\r\n$23\r\n\
             recorded-first-entry-id\r\n$3\r\n1-1\r\n$7\r\nentries\r\n*1\r\n*2\r\n$3\r\n1-1\r\n\
             *2\r\n$1\r\nf\r\n$1\r\n1\r\n$6\r\ngroups\r\n*1\r\n%7\r\n$4\r\nname\r\n$1\r\ng\r\n\
             $17\r\nlast-delivered-id\r\n$3\r\n0-0\r\n$12\r\nentries-read\r\n_\r\n$3\r\nlag\r\n\
             :1\r\n$9\r\npel-count\r\n:0\r\n$7\r\npending\r\n*0\r\n$9\r\nconsumers\r\n*0\r\n",
        ),
        (
            "xinfo groups s",
            "*1\r\n%6\r\n$4\r\nname\r\n$1\r\ng\r\n$9\r\nconsumers\r\n:0\r\n$7\r\npending\r\n\
             :0\r\n$17\r\nlast-delivered-id\r\n$3\r\n0-0\r\n$12\r\nentries-read\r\n_\r\n$3\r\n\
             lag\r\n:1\r\n",
        ),
    ];
    let mut engine = engine();
    cases.iter().for_each(|(line, expected)| check3(&mut engine, line, expected));
}

#[test]
fn the_counters_of_a_stream_are_set() {
    let cases = [
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        ("xadd s 2-1 f 2", "$3\r\n2-1\r\n"),
        ("xadd s 3-1 f 3", "$3\r\n3-1\r\n"),
        ("set str x", "+OK\r\n"),
        ("xsetid s 3-1", "+OK\r\n"),
        ("xsetid s 9-1", "+OK\r\n"),
        (
            "xadd s 8 a b",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top \
             item\r\n",
        ),
        ("xsetid s 3-1", "+OK\r\n"),
        ("xadd s 8 a b", "$3\r\n8-0\r\n"),
        ("xdel s 8", ":1\r\n"),
        ("xsetid s 10-0 ENTRIESADDED 40 MAXDELETEDID 9-1", "+OK\r\n"),
        (
            "xinfo stream s",
            "*20\r\n$6\r\nlength\r\n:3\r\n$15\r\nradix-tree-keys\r\n:1\r\n$16\r\n\
             radix-tree-nodes\r\n:2\r\n$17\r\nlast-generated-id\r\n$4\r\n10-0\r\n$20\r\n\
             max-deleted-entry-id\r\n$3\r\n9-1\r\n$13\r\nentries-added\r\n:40\r\n$23\r\n\
             recorded-first-entry-id\r\n$3\r\n1-1\r\n$6\r\ngroups\r\n:0\r\n$11\r\nfirst-entry\r\n\
             *2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n$10\r\nlast-entry\r\n*2\r\n$3\r\n\
             3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n",
        ),
        (
            "xsetid s 2",
            "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id\r\n",
        ),
        (
            "xsetid s 9-9 entriesadded 2",
            "-ERR The entries_added specified in XSETID is smaller than the target stream \
             length\r\n",
        ),
        ("xsetid s 9-9 entriesadded -1", "-ERR entries_added must be positive\r\n"),
        ("xsetid s 9-9 entriesadded x", "-ERR value is not an integer or out of range\r\n"),
        (
            "xsetid s 5 maxdeletedid 6",
            "-ERR The ID specified in XSETID is smaller than the provided \
             max_deleted_entry_id\r\n",
        ),
        (
            "xsetid s 9-9 maxdeletedid x",
            "-ERR Invalid stream ID specified as stream command argument\r\n",
        ),
        ("xsetid s 9-9 foo", "-ERR syntax error\r\n"),
        ("xsetid s 9-9 entriesadded", "-ERR syntax error\r\n"),
        ("xsetid s x", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xsetid s +", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xsetid absent 1", "-ERR no such key\r\n"),
        ("xsetid absent x", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xsetid str 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("xsetid s", "-ERR wrong number of arguments for 'xsetid' command\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

fn consumers(names: &[(&str, u64, u64, i64)]) -> String {
    let of = |(name, pending, idle, inactive): &(&str, u64, u64, i64)| {
        format!(
            "%4\r\n$4\r\nname\r\n$1\r\n{name}\r\n$7\r\npending\r\n:{pending}\r\n$4\r\nidle\r\n\
             :{idle}\r\n$8\r\ninactive\r\n:{inactive}\r\n"
        )
    };
    format!("*{}\r\n{}", names.len(), names.iter().map(of).collect::<String>())
}

#[test]
fn consumers_are_seen_when_they_ask_and_active_when_they_get() {
    let mut engine = engine();
    for line in ["xadd s 1-1 f 1", "xadd s 2-1 f 2", "xgroup create s g 0"] {
        run_line(&mut engine, Protocol::Resp3, line);
    }
    let cases = [
        ("xgroup createconsumer s g a", consumers(&[("a", 0, 0, -1)])),
        ("xgroup createconsumer s g a", consumers(&[("a", 0, 10, -1)])),
        ("xreadgroup group g a count 1 streams s >", consumers(&[("a", 1, 0, 0)])),
        ("xreadgroup group g a noack streams s >", consumers(&[("a", 1, 0, 10)])),
        ("xreadgroup group g a streams s >", consumers(&[("a", 1, 0, 20)])),
        ("xreadgroup group g a streams s 0", consumers(&[("a", 1, 0, 30)])),
        ("xclaim s g b 500 1-1", consumers(&[("a", 1, 10, 40), ("b", 0, 0, -1)])),
        ("xclaim s g b 0 1-1", consumers(&[("a", 0, 20, 50), ("b", 1, 0, 0)])),
        ("xautoclaim s g a 500 0", consumers(&[("a", 0, 0, 60), ("b", 1, 10, 10)])),
        ("xautoclaim s g a 0 0", consumers(&[("a", 1, 0, 0), ("b", 0, 20, 20)])),
        ("xack s g 1-1", consumers(&[("a", 0, 10, 10), ("b", 0, 30, 30)])),
    ];
    for (line, expected) in cases {
        let reply = run_line(&mut engine, Protocol::Resp3, line);
        assert_ne!(reply[0], b'-', "{line}");
        check3(&mut engine, "xinfo consumers s g", &expected);
        advance(&mut engine, 10);
    }
}

#[test]
fn all_of_a_group_is_told_in_full() {
    let mut engine = engine();
    for line in ["xadd s 1-1 f 1", "xadd s 2-1 f 2", "xgroup create s g 0"] {
        run_line(&mut engine, Protocol::Resp3, line);
    }
    run_line(&mut engine, Protocol::Resp3, "xreadgroup group g a streams s >");
    run_line(&mut engine, Protocol::Resp3, "xgroup createconsumer s g b");
    let group = |pending: &str, of_a: &str| {
        format!(
            "$6\r\ngroups\r\n*1\r\n%7\r\n$4\r\nname\r\n$1\r\ng\r\n$17\r\nlast-delivered-id\r\n\
             $3\r\n2-1\r\n$12\r\nentries-read\r\n:2\r\n$3\r\nlag\r\n:0\r\n$9\r\npel-count\r\n:2\r\n\
             $7\r\npending\r\n{pending}$9\r\nconsumers\r\n*2\r\n\
             %5\r\n$4\r\nname\r\n$1\r\na\r\n$9\r\nseen-time\r\n:1700000000000\r\n\
             $11\r\nactive-time\r\n:1700000000000\r\n$9\r\npel-count\r\n:2\r\n\
             $7\r\npending\r\n{of_a}\
             %5\r\n$4\r\nname\r\n$1\r\nb\r\n$9\r\nseen-time\r\n:1700000000000\r\n\
             $11\r\nactive-time\r\n:-1\r\n$9\r\npel-count\r\n:0\r\n$7\r\npending\r\n*0\r\n"
        )
    };
    let all = group(
        "*2\r\n*4\r\n$3\r\n1-1\r\n$1\r\na\r\n:1700000000000\r\n:1\r\n\
         *4\r\n$3\r\n2-1\r\n$1\r\na\r\n:1700000000000\r\n:1\r\n",
        "*2\r\n*3\r\n$3\r\n1-1\r\n:1700000000000\r\n:1\r\n\
         *3\r\n$3\r\n2-1\r\n:1700000000000\r\n:1\r\n",
    );
    let one = group(
        "*1\r\n*4\r\n$3\r\n1-1\r\n$1\r\na\r\n:1700000000000\r\n:1\r\n",
        "*1\r\n*3\r\n$3\r\n1-1\r\n:1700000000000\r\n:1\r\n",
    );
    for (line, expected) in [("xinfo stream s full", all), ("xinfo stream s full count 1", one)] {
        let reply = run_line(&mut engine, Protocol::Resp3, line);
        let reply = String::from_utf8(reply).unwrap();
        assert!(reply.ends_with(&expected), "{line}\n{reply}\n{expected}");
    }
}

/// Entries read and lag, which are `-1` here when they cannot be told.
#[track_caller]
fn check_counts(engine: &mut Engine, line: &str, expected: (i64, i64)) {
    let reply = run_line(engine, Protocol::Resp2, line);
    assert_ne!(reply[0], b'-', "{line}");
    let reply = String::from_utf8(run_line(engine, Protocol::Resp2, "xinfo groups s")).unwrap();
    let number = |name: &str| {
        let (_, rest) = reply.split_once(name).unwrap();
        rest.trim_start()[1..].split("\r\n").next().unwrap().parse::<i64>().unwrap()
    };
    assert_eq!((number("entries-read"), number("lag")), expected, "{line}");
}

#[test]
fn entries_read_and_lag_are_told_where_they_can_be_known() {
    let mut engine = engine();
    check(&mut engine, "xgroup create s g $ MKSTREAM", "+OK\r\n");
    let cases = [
        ("xinfo help", (-1, 0)),
        ("xadd s 1-0 f v", (-1, 1)),
        ("xadd s 2-0 f v", (-1, 2)),
        ("xadd s 3-0 f v", (-1, 3)),
        ("xadd s 4-0 f v", (-1, 4)),
        ("xadd s 5-0 f v", (-1, 5)),
        ("xreadgroup group g c count 1 streams s >", (1, 4)),
        // What was deleted before the group is no matter, what was deleted ahead of it is.
        ("xdel s 1-0", (1, 4)),
        ("xreadgroup group g c count 1 streams s >", (2, 3)),
        ("xdel s 4-0", (2, -1)),
        ("xreadgroup group g c count 1 streams s >", (-1, -1)),
        ("xreadgroup group g c count 1 streams s >", (5, 0)),
        ("xadd s 6-0 f v", (5, 1)),
        ("xgroup setid s g 2", (-1, -1)),
        ("xgroup setid s g 0", (-1, -1)),
        // Trimming leaves what can be counted from the front.
        ("xtrim s minid 5", (-1, 2)),
        ("xgroup setid s g 5-0", (-1, 1)),
        ("xgroup setid s g 5-5", (-1, -1)),
        ("xgroup setid s g 5-5 entriesread 5", (5, 1)),
        ("xgroup setid s g 7-0", (-1, -1)),
        ("xgroup setid s g $", (-1, 0)),
        ("xadd s 8-0 f v", (-1, -1)),
        ("xreadgroup group g c streams s >", (7, 0)),
        ("xadd s 9-0 f v", (7, 1)),
        ("xtrim s maxlen 0", (7, 0)),
        ("xadd s 10-0 f v", (7, 1)),
        ("xreadgroup group g c streams s >", (9, 0)),
    ];
    cases.iter().for_each(|(line, expected)| check_counts(&mut engine, line, *expected));
}

#[test]
fn a_group_that_was_trimmed_away_lags_by_what_is_left() {
    let mut engine = engine();
    check(&mut engine, "xgroup create s g $ MKSTREAM", "+OK\r\n");
    for ms in 1..=5 {
        run_line(&mut engine, Protocol::Resp2, &format!("xadd s {ms}-0 f v"));
    }
    check_counts(&mut engine, "xreadgroup group g c count 1 streams s >", (1, 4));
    check_counts(&mut engine, "xtrim s maxlen 1", (1, 1));
    check_counts(&mut engine, "xreadgroup group g c streams s >", (5, 0));
}

#[test]
fn help_is_given() {
    let mut engine = engine();
    for line in ["xinfo help", "XGROUP HELP"] {
        let reply = run_line(&mut engine, Protocol::Resp2, line);
        assert!(reply.starts_with(b"*") && reply.ends_with(b"+    Print this help.\r\n"), "{line}");
    }
}
