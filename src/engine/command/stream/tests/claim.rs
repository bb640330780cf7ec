//! XCLAIM and XAUTOCLAIM.

use super::*;

#[test]
fn pending_entries_are_claimed() {
    let cases = [
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        ("xadd s 2-1 f 2", "$3\r\n2-1\r\n"),
        ("xadd s 3-1 f 3", "$3\r\n3-1\r\n"),
        ("xadd s 4-1 f 4", "$3\r\n4-1\r\n"),
        ("xadd s 5-1 f 5", "$3\r\n5-1\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        (
            "xreadgroup group g a count 3 streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*3\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n\
             $3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n\
             3\r\n",
        ),
        ("xclaim s g b 0 1-1", "*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n"),
        ("xclaim s g b 0 2-1 JUSTID", "*1\r\n$3\r\n2-1\r\n"),
        ("xclaim s g b 0 9-1 4-1", "*0\r\n"),
        (
            "xpending s g - + 10",
            "*3\r\n*4\r\n$3\r\n1-1\r\n$1\r\nb\r\n:0\r\n:2\r\n*4\r\n$3\r\n2-1\r\n$1\r\nb\r\n:0\r\n\
             :1\r\n*4\r\n$3\r\n3-1\r\n$1\r\na\r\n:0\r\n:1\r\n",
        ),
        ("xclaim s g b 100000 1-1 3-1", "*0\r\n"),
        (
            "xclaim s g b 0 3-1 retrycount 7",
            "*1\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n",
        ),
        ("xclaim s g b 0 3-1 retrycount 9 justid", "*1\r\n$3\r\n3-1\r\n"),
        ("xclaim s g c 0 4-1 FORCE", "*1\r\n*2\r\n$3\r\n4-1\r\n*2\r\n$1\r\nf\r\n$1\r\n4\r\n"),
        ("xclaim s g c 0 5-1 FORCE JUSTID", "*1\r\n$3\r\n5-1\r\n"),
        ("xclaim s g c 0 8-8 FORCE", "*0\r\n"),
        (
            "xpending s g - + 10",
            "*5\r\n*4\r\n$3\r\n1-1\r\n$1\r\nb\r\n:0\r\n:2\r\n*4\r\n$3\r\n2-1\r\n$1\r\nb\r\n:0\r\n\
             :1\r\n*4\r\n$3\r\n3-1\r\n$1\r\nb\r\n:0\r\n:9\r\n*4\r\n$3\r\n4-1\r\n$1\r\nc\r\n:0\r\n\
             :2\r\n*4\r\n$3\r\n5-1\r\n$1\r\nc\r\n:0\r\n:1\r\n",
        ),
        ("xclaim s g c 0 1-1 LASTID 4-4", "*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n"),
        ("xclaim s g c 0 1-1 LASTID 2", "*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n"),
        ("xclaim s g c -7 1-1 JUSTID RETRYCOUNT -1", "*1\r\n$3\r\n1-1\r\n"),
        (
            "xinfo groups s",
            "*1\r\n*12\r\n$4\r\nname\r\n$1\r\ng\r\n$9\r\nconsumers\r\n:3\r\n$7\r\npending\r\n\
             :5\r\n$17\r\nlast-delivered-id\r\n$3\r\n4-4\r\n$12\r\nentries-read\r\n:3\r\n$3\r\n\
             lag\r\n:2\r\n",
        ),
        ("xdel s 1-1 5-1", ":2\r\n"),
        ("xclaim s g b 0 1-1", "*0\r\n"),
        ("xclaim s g b 1000 5-1 2-1", "*0\r\n"),
        (
            "xpending s g - + 10",
            "*3\r\n*4\r\n$3\r\n2-1\r\n$1\r\nb\r\n:0\r\n:1\r\n*4\r\n$3\r\n3-1\r\n$1\r\nb\r\n:0\r\n\
             :9\r\n*4\r\n$3\r\n4-1\r\n$1\r\nc\r\n:0\r\n:2\r\n",
        ),
        ("xclaim s g b 0 2 justid force", "*0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn xclaim_refuses_wrong_arguments() {
    let cases = [
        ("set str x", "+OK\r\n"),
        ("xadd s 1-1 f v", "$3\r\n1-1\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        ("xclaim s g c 0", "-ERR wrong number of arguments for 'xclaim' command\r\n"),
        ("xclaim absent g c 0 1", "-NOGROUP No such key 'absent' or consumer group 'g'\r\n"),
        ("xclaim s nope c x 1", "-NOGROUP No such key 's' or consumer group 'nope'\r\n"),
        ("xclaim s g c x 1", "-ERR Invalid min-idle-time argument for XCLAIM\r\n"),
        ("xclaim s g c 0 x", "-ERR Unrecognized XCLAIM option 'x'\r\n"),
        ("xclaim s g c 0 1 x 2", "-ERR Unrecognized XCLAIM option 'x'\r\n"),
        ("xclaim s g c 0 1 IDLE", "-ERR Unrecognized XCLAIM option 'IDLE'\r\n"),
        ("xclaim s g c 0 1 idle x", "-ERR Invalid IDLE option argument for XCLAIM\r\n"),
        ("xclaim s g c 0 1 time x", "-ERR Invalid TIME option argument for XCLAIM\r\n"),
        ("xclaim s g c 0 1 retrycount x", "-ERR Invalid RETRYCOUNT option argument for XCLAIM\r\n"),
        (
            "xclaim s g c 0 1 lastid x",
            "-ERR Invalid stream ID specified as stream command argument\r\n",
        ),
        (
            "xclaim s g c 0 1 lastid -",
            "-ERR Invalid stream ID specified as stream command argument\r\n",
        ),
        ("xclaim s g c 0 1 FORCE 2", "-ERR Unrecognized XCLAIM option '2'\r\n"),
        (
            "xclaim str g c x 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("xpending s g", "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn idle_entries_are_claimed_in_turn() {
    let cases = [
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        ("xadd s 2-1 f 2", "$3\r\n2-1\r\n"),
        ("xadd s 3-1 f 3", "$3\r\n3-1\r\n"),
        ("xadd s 4-1 f 4", "$3\r\n4-1\r\n"),
        ("xadd s 5-1 f 5", "$3\r\n5-1\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        ("xautoclaim s g b 0 0", "*3\r\n$3\r\n0-0\r\n*0\r\n*0\r\n"),
        (
            "xreadgroup group g a streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*5\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n\
             $3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n\
             3\r\n*2\r\n$3\r\n4-1\r\n*2\r\n$1\r\nf\r\n$1\r\n4\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\n\
             f\r\n$1\r\n5\r\n",
        ),
        (
            "xautoclaim s g b 0 - count 2",
            "*3\r\n$3\r\n3-1\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n$3\r\n\
             2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n*0\r\n",
        ),
        ("xautoclaim s g b 0 3-1 COUNT 1 JUSTID", "*3\r\n$3\r\n4-1\r\n*1\r\n$3\r\n3-1\r\n*0\r\n"),
        (
            "xautoclaim s g b 0 (3-1 count 1",
            "*3\r\n$3\r\n5-1\r\n*1\r\n*2\r\n$3\r\n4-1\r\n*2\r\n$1\r\nf\r\n$1\r\n4\r\n*0\r\n",
        ),
        ("xautoclaim s g b 0 (4-1 justid", "*3\r\n$3\r\n0-0\r\n*1\r\n$3\r\n5-1\r\n*0\r\n"),
        (
            "xpending s g - + 10",
            "*5\r\n*4\r\n$3\r\n1-1\r\n$1\r\nb\r\n:0\r\n:2\r\n*4\r\n$3\r\n2-1\r\n$1\r\nb\r\n:0\r\n\
             :2\r\n*4\r\n$3\r\n3-1\r\n$1\r\nb\r\n:0\r\n:1\r\n*4\r\n$3\r\n4-1\r\n$1\r\nb\r\n:0\r\n\
             :2\r\n*4\r\n$3\r\n5-1\r\n$1\r\nb\r\n:0\r\n:1\r\n",
        ),
        ("xautoclaim s g c 100000 0", "*3\r\n$3\r\n0-0\r\n*0\r\n*0\r\n"),
        ("xautoclaim s g c 100000 0 count 1", "*3\r\n$3\r\n0-0\r\n*0\r\n*0\r\n"),
        ("xdel s 2-1 3-1", ":2\r\n"),
        (
            "xautoclaim s g c 0 0 count 2",
            "*3\r\n$3\r\n3-1\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n*1\r\n$3\r\n\
             2-1\r\n",
        ),
        ("xautoclaim s g c 100000 0", "*3\r\n$3\r\n0-0\r\n*0\r\n*1\r\n$3\r\n3-1\r\n"),
        ("xautoclaim s g c 0 + ", "*3\r\n$3\r\n0-0\r\n*0\r\n*0\r\n"),
        (
            "xpending s g - + 10",
            "*3\r\n*4\r\n$3\r\n1-1\r\n$1\r\nc\r\n:0\r\n:3\r\n*4\r\n$3\r\n4-1\r\n$1\r\nb\r\n:0\r\n\
             :2\r\n*4\r\n$3\r\n5-1\r\n$1\r\nb\r\n:0\r\n:1\r\n",
        ),
        ("xtrim s maxlen 0", ":3\r\n"),
        (
            "xautoclaim s g c 0 0",
            "*3\r\n$3\r\n0-0\r\n*0\r\n*3\r\n$3\r\n1-1\r\n$3\r\n4-1\r\n$3\r\n5-1\r\n",
        ),
        ("xpending s g", "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn xautoclaim_looks_at_ten_times_its_count() {
    let cases = [
        ("xadd s 1 f v", "$3\r\n1-0\r\n"),
        ("xadd s 2 f v", "$3\r\n2-0\r\n"),
        ("xadd s 3 f v", "$3\r\n3-0\r\n"),
        ("xadd s 4 f v", "$3\r\n4-0\r\n"),
        ("xadd s 5 f v", "$3\r\n5-0\r\n"),
        ("xadd s 6 f v", "$3\r\n6-0\r\n"),
        ("xadd s 7 f v", "$3\r\n7-0\r\n"),
        ("xadd s 8 f v", "$3\r\n8-0\r\n"),
        ("xadd s 9 f v", "$3\r\n9-0\r\n"),
        ("xadd s 10 f v", "$4\r\n10-0\r\n"),
        ("xadd s 11 f v", "$4\r\n11-0\r\n"),
        ("xadd s 12 f v", "$4\r\n12-0\r\n"),
        ("xadd s 13 f v", "$4\r\n13-0\r\n"),
        ("xadd s 14 f v", "$4\r\n14-0\r\n"),
        ("xadd s 15 f v", "$4\r\n15-0\r\n"),
        ("xadd s 16 f v", "$4\r\n16-0\r\n"),
        ("xadd s 17 f v", "$4\r\n17-0\r\n"),
        ("xadd s 18 f v", "$4\r\n18-0\r\n"),
        ("xadd s 19 f v", "$4\r\n19-0\r\n"),
        ("xadd s 20 f v", "$4\r\n20-0\r\n"),
        ("xadd s 21 f v", "$4\r\n21-0\r\n"),
        ("xadd s 22 f v", "$4\r\n22-0\r\n"),
        ("xadd s 23 f v", "$4\r\n23-0\r\n"),
        ("xadd s 24 f v", "$4\r\n24-0\r\n"),
        ("xadd s 25 f v", "$4\r\n25-0\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        (
            "xreadgroup group g a noack count 1 streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n",
        ),
        (
            "xclaim s g a 0 1 2 3 4 5 6 7 8 9 10 11 12 FORCE JUSTID",
            "*12\r\n$3\r\n1-0\r\n$3\r\n2-0\r\n$3\r\n3-0\r\n$3\r\n4-0\r\n$3\r\n5-0\r\n$3\r\n\
             6-0\r\n$3\r\n7-0\r\n$3\r\n8-0\r\n$3\r\n9-0\r\n$4\r\n10-0\r\n$4\r\n11-0\r\n$4\r\n\
             12-0\r\n",
        ),
        (
            "xclaim s g a 0 13 14 15 16 17 18 19 20 21 22 23 24 FORCE JUSTID",
            "*12\r\n$4\r\n13-0\r\n$4\r\n14-0\r\n$4\r\n15-0\r\n$4\r\n16-0\r\n$4\r\n17-0\r\n$4\r\n\
             18-0\r\n$4\r\n19-0\r\n$4\r\n20-0\r\n$4\r\n21-0\r\n$4\r\n22-0\r\n$4\r\n23-0\r\n$4\r\n\
             24-0\r\n",
        ),
        ("xclaim s g a 0 25 FORCE IDLE 200000 JUSTID", "*1\r\n$4\r\n25-0\r\n"),
        ("xautoclaim s g b 100000 0 count 1", "*3\r\n$4\r\n11-0\r\n*0\r\n*0\r\n"),
        ("xautoclaim s g b 100000 11 count 1", "*3\r\n$4\r\n21-0\r\n*0\r\n*0\r\n"),
        (
            "xautoclaim s g b 100000 21-0 count 1",
            "*3\r\n$3\r\n0-0\r\n*1\r\n*2\r\n$4\r\n25-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*0\r\n",
        ),
        ("xautoclaim s g b 100000 0 count 3", "*3\r\n$3\r\n0-0\r\n*0\r\n*0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn xautoclaim_refuses_wrong_arguments() {
    let cases = [
        ("set str x", "+OK\r\n"),
        ("xadd s 1-1 f v", "$3\r\n1-1\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        ("xautoclaim s g c 0", "-ERR wrong number of arguments for 'xautoclaim' command\r\n"),
        ("xautoclaim s g c x 0", "-ERR Invalid min-idle-time argument for XAUTOCLAIM\r\n"),
        ("xautoclaim s g c 0 x", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        (
            "xautoclaim s g c 0 (18446744073709551615-18446744073709551615",
            "-ERR invalid start ID for the interval\r\n",
        ),
        ("xautoclaim s g c 0 0 count", "-ERR syntax error\r\n"),
        ("xautoclaim s g c 0 0 count x", "-ERR COUNT must be > 0\r\n"),
        ("xautoclaim s g c 0 0 count 0", "-ERR COUNT must be > 0\r\n"),
        ("xautoclaim s g c 0 0 count 576460752303423488", "-ERR COUNT must be > 0\r\n"),
        ("xautoclaim s g c 0 0 foo", "-ERR syntax error\r\n"),
        ("xautoclaim s nope c 0 0", "-NOGROUP No such key 's' or consumer group 'nope'\r\n"),
        ("xautoclaim absent g c 0 0", "-NOGROUP No such key 'absent' or consumer group 'g'\r\n"),
        ("xautoclaim absent g c 0 0 count 0", "-ERR COUNT must be > 0\r\n"),
        (
            "xautoclaim str g c 0 0",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn claims_respect_and_set_the_time_of_delivery() {
    let mut engine = engine();
    check(&mut engine, "xadd s 1-1 f 1", "$3\r\n1-1\r\n");
    check(&mut engine, "xgroup create s g 0", "+OK\r\n");
    run_line(&mut engine, Protocol::Resp2, "xreadgroup group g a streams s >");
    advance(&mut engine, 50);
    let pending = |consumer: &str, idle: u64, count: u64| {
        format!("*1\r\n*4\r\n$3\r\n1-1\r\n$1\r\n{consumer}\r\n:{idle}\r\n:{count}\r\n")
    };
    let nothing = "*3\r\n$3\r\n0-0\r\n*0\r\n*0\r\n";
    let cases = [
        ("xclaim s g b 51 1-1 justid", "*0\r\n", pending("a", 50, 1)),
        ("xautoclaim s g b 51 0", nothing, pending("a", 50, 1)),
        ("xclaim s g b 50 1-1 justid", "*1\r\n$3\r\n1-1\r\n", pending("b", 0, 1)),
        ("xclaim s g b 0 1-1 justid idle 30", "*1\r\n$3\r\n1-1\r\n", pending("b", 30, 1)),
        ("xclaim s g b 0 1-1 justid idle -1", "*1\r\n$3\r\n1-1\r\n", pending("b", 0, 1)),
        ("xclaim s g b 0 1-1 justid time 1700000000043", "*1\r\n$3\r\n1-1\r\n", pending("b", 7, 1)),
        ("xclaim s g b 0 1-1 justid time 1700000000051", "*1\r\n$3\r\n1-1\r\n", pending("b", 0, 1)),
        ("xclaim s g b 0 1-1 justid time -9", "*1\r\n$3\r\n1-1\r\n", pending("b", 0, 1)),
        (
            "xclaim s g b 0 1-1 justid idle 9223372036854775807 retrycount 9223372036854775807",
            "*1\r\n$3\r\n1-1\r\n",
            pending("b", 0, i64::MAX as u64),
        ),
        (
            "xautoclaim s g c 0 0 justid",
            "*3\r\n$3\r\n0-0\r\n*1\r\n$3\r\n1-1\r\n*0\r\n",
            pending("c", 0, i64::MAX as u64),
        ),
    ];
    for (line, expected, pending) in cases {
        check(&mut engine, line, expected);
        check(&mut engine, "xpending s g - + 9", &pending);
    }
}
