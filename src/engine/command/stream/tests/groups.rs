//! XGROUP, XACK and XPENDING.

use super::*;

#[test]
fn groups_are_made_moved_and_removed() {
    let cases = [
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        ("xadd s 2-1 f 2", "$3\r\n2-1\r\n"),
        ("xadd s 3-1 f 3", "$3\r\n3-1\r\n"),
        ("set str x", "+OK\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        ("XGROUP CREATE s g 0", "-BUSYGROUP Consumer Group name already exists\r\n"),
        ("xgroup create s h $", "+OK\r\n"),
        ("xgroup create s i 2", "+OK\r\n"),
        ("xgroup create s j 2-1 ENTRIESREAD 2", "+OK\r\n"),
        ("xgroup create s k $ entriesread -1", "+OK\r\n"),
        (
            "xinfo groups s",
            "*5\r\n*12\r\n$4\r\nname\r\n$1\r\ng\r\n$9\r\nconsumers\r\n:0\r\n$7\r\npending\r\n\
             :0\r\n$17\r\nlast-delivered-id\r\n$3\r\n0-0\r\n$12\r\nentries-read\r\n$-1\r\n$3\r\n\
             lag\r\n:3\r\n*12\r\n$4\r\nname\r\n$1\r\nh\r\n$9\r\nconsumers\r\n:0\r\n$7\r\n\
             pending\r\n:0\r\n$17\r\nlast-delivered-id\r\n$3\r\n3-1\r\n$12\r\nentries-read\r\n\
             $-1\r\n$3\r\nlag\r\n:0\r\n*12\r\n$4\r\nname\r\n$1\r\ni\r\n$9\r\nconsumers\r\n:0\r\n\
             $7\r\npending\r\n:0\r\n$17\r\nlast-delivered-id\r\n$3\r\n2-0\r\n$12\r\n\
             entries-read\r\n$-1\r\n$3\r\nlag\r\n$-1\r\n*12\r\n$4\r\nname\r\n$1\r\nj\r\n$9\r\n\
             consumers\r\n:0\r\n$7\r\npending\r\n:0\r\n$17\r\nlast-delivered-id\r\n$3\r\n2-1\r\n\
             $12\r\nentries-read\r\n:2\r\n$3\r\nlag\r\n:1\r\n*12\r\n$4\r\nname\r\n$1\r\nk\r\n\
             $9\r\nconsumers\r\n:0\r\n$7\r\npending\r\n:0\r\n$17\r\nlast-delivered-id\r\n$3\r\n\
             3-1\r\n$12\r\nentries-read\r\n$-1\r\n$3\r\nlag\r\n:0\r\n",
        ),
        ("xgroup create new g $ MKSTREAM", "+OK\r\n"),
        ("xlen new", ":0\r\n"),
        ("type new", "+stream\r\n"),
        (
            "xinfo groups new",
            "*1\r\n*12\r\n$4\r\nname\r\n$1\r\ng\r\n$9\r\nconsumers\r\n:0\r\n$7\r\npending\r\n\
             :0\r\n$17\r\nlast-delivered-id\r\n$3\r\n0-0\r\n$12\r\nentries-read\r\n$-1\r\n$3\r\n\
             lag\r\n:0\r\n",
        ),
        ("xgroup create new2 g 7-7 ENTRIESREAD 3 mkstream", "+OK\r\n"),
        (
            "xinfo groups new2",
            "*1\r\n*12\r\n$4\r\nname\r\n$1\r\ng\r\n$9\r\nconsumers\r\n:0\r\n$7\r\npending\r\n\
             :0\r\n$17\r\nlast-delivered-id\r\n$3\r\n7-7\r\n$12\r\nentries-read\r\n:3\r\n$3\r\n\
             lag\r\n:0\r\n",
        ),
        ("xgroup setid s g $", "+OK\r\n"),
        ("xgroup setid s h 0", "+OK\r\n"),
        ("xgroup setid s i +", "+OK\r\n"),
        ("xgroup setid s j - entriesread 0", "+OK\r\n"),
        ("xgroup setid s k 2-1 ENTRIESREAD 9", "+OK\r\n"),
        ("xgroup destroy s g", ":1\r\n"),
        ("xgroup destroy s g", ":0\r\n"),
        ("xgroup destroy new g", ":1\r\n"),
        ("exists new", ":1\r\n"),
        (
            "xinfo groups s",
            "*4\r\n*12\r\n$4\r\nname\r\n$1\r\nh\r\n$9\r\nconsumers\r\n:0\r\n$7\r\npending\r\n\
             :0\r\n$17\r\nlast-delivered-id\r\n$3\r\n0-0\r\n$12\r\nentries-read\r\n$-1\r\n$3\r\n\
             lag\r\n:3\r\n*12\r\n$4\r\nname\r\n$1\r\ni\r\n$9\r\nconsumers\r\n:0\r\n$7\r\n\
             pending\r\n:0\r\n$17\r\nlast-delivered-id\r\n$41\r\n\
             18446744073709551615-18446744073709551615\r\n$12\r\nentries-read\r\n$-1\r\n$3\r\n\
             lag\r\n$-1\r\n*12\r\n$4\r\nname\r\n$1\r\nj\r\n$9\r\nconsumers\r\n:0\r\n$7\r\n\
             pending\r\n:0\r\n$17\r\nlast-delivered-id\r\n$3\r\n0-0\r\n$12\r\nentries-read\r\n\
             :0\r\n$3\r\nlag\r\n:3\r\n*12\r\n$4\r\nname\r\n$1\r\nk\r\n$9\r\nconsumers\r\n:0\r\n\
             $7\r\npending\r\n:0\r\n$17\r\nlast-delivered-id\r\n$3\r\n2-1\r\n$12\r\n\
             entries-read\r\n:9\r\n$3\r\nlag\r\n:-6\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn xgroup_refuses_wrong_arguments() {
    let cases = [
        ("set str x", "+OK\r\n"),
        ("xadd s 1-1 f v", "$3\r\n1-1\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        ("xgroup", "-ERR wrong number of arguments for 'xgroup' command\r\n"),
        ("xgroup create s g", "-ERR wrong number of arguments for 'xgroup|create' command\r\n"),
        ("xgroup foo s g", "-ERR unknown subcommand 'foo'. Try XGROUP HELP.\r\n"),
        ("xgroup destroy s", "-ERR wrong number of arguments for 'xgroup|destroy' command\r\n"),
        (
            "xgroup createconsumer s g",
            "-ERR wrong number of arguments for 'xgroup|createconsumer' command\r\n",
        ),
        ("xgroup help s", "-ERR wrong number of arguments for 'xgroup|help' command\r\n"),
        (
            "xgroup create absent g 0",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may \
             want to use the MKSTREAM option to create an empty stream automatically.\r\n",
        ),
        (
            "xgroup create absent g $",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may \
             want to use the MKSTREAM option to create an empty stream automatically.\r\n",
        ),
        (
            "xgroup setid absent g 0",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may \
             want to use the MKSTREAM option to create an empty stream automatically.\r\n",
        ),
        (
            "xgroup destroy absent g",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may \
             want to use the MKSTREAM option to create an empty stream automatically.\r\n",
        ),
        (
            "xgroup createconsumer absent g c",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may \
             want to use the MKSTREAM option to create an empty stream automatically.\r\n",
        ),
        (
            "xgroup delconsumer absent g c",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may \
             want to use the MKSTREAM option to create an empty stream automatically.\r\n",
        ),
        (
            "xgroup create absent g x MKSTREAM",
            "-ERR Invalid stream ID specified as stream command argument\r\n",
        ),
        ("exists absent", ":0\r\n"),
        ("xgroup create s h x", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xgroup create s h -", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xgroup create s h +", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xgroup create s h (1", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xgroup setid s g x", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xgroup setid s nope 0", "-NOGROUP No such consumer group 'nope' for key name 's'\r\n"),
        (
            "xgroup createconsumer s nope c",
            "-NOGROUP No such consumer group 'nope' for key name 's'\r\n",
        ),
        (
            "xgroup delconsumer s nope c",
            "-NOGROUP No such consumer group 'nope' for key name 's'\r\n",
        ),
        ("xgroup destroy s nope", ":0\r\n"),
        (
            "xgroup CREATE s h 0 FOO",
            "-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP \
             HELP.\r\n",
        ),
        (
            "xgroup CREATE s h 0 MKSTREAM MKSTREAM MKSTREAM MKSTREAM",
            "-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP \
             HELP.\r\n",
        ),
        (
            "xgroup SETID s g 0 MKSTREAM",
            "-ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP \
             HELP.\r\n",
        ),
        (
            "xgroup SETID s g 0 ENTRIESREAD",
            "-ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP \
             HELP.\r\n",
        ),
        (
            "xgroup SETID s g 0 ENTRIESREAD 1 ENTRIESREAD 1",
            "-ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP \
             HELP.\r\n",
        ),
        ("xgroup create s h 0 entriesread x", "-ERR value is not an integer or out of range\r\n"),
        (
            "xgroup create s h 0 entriesread -2",
            "-ERR value for ENTRIESREAD must be positive or -1\r\n",
        ),
        (
            "xgroup setid s g 0 entriesread -2",
            "-ERR value for ENTRIESREAD must be positive or -1\r\n",
        ),
        (
            "xgroup create str g 0 MKSTREAM",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xgroup setid str g 0",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xgroup destroy str g",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xgroup createconsumer str g c",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xgroup delconsumer str g c",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn entries_are_pending_until_acknowledged() {
    let cases = [
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        ("xadd s 2-1 f 2", "$3\r\n2-1\r\n"),
        ("xadd s 3-1 f 3", "$3\r\n3-1\r\n"),
        ("xadd s 4-1 f 4", "$3\r\n4-1\r\n"),
        ("xadd s 5-1 f 5", "$3\r\n5-1\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        ("xpending s g", "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n"),
        (
            "xreadgroup group g a count 2 streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n\
             $3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n",
        ),
        (
            "xreadgroup group g b streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*3\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n*2\r\n\
             $3\r\n4-1\r\n*2\r\n$1\r\nf\r\n$1\r\n4\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nf\r\n$1\r\n\
             5\r\n",
        ),
        (
            "xpending s g",
            "*4\r\n:5\r\n$3\r\n1-1\r\n$3\r\n5-1\r\n*2\r\n*2\r\n$1\r\na\r\n$1\r\n2\r\n*2\r\n$1\r\n\
             b\r\n$1\r\n3\r\n",
        ),
        ("xack s g 1-1 1-1 9 4", ":1\r\n"),
        ("xack s g 4-1", ":1\r\n"),
        (
            "xpending s g",
            "*4\r\n:3\r\n$3\r\n2-1\r\n$3\r\n5-1\r\n*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\n\
             b\r\n$1\r\n2\r\n",
        ),
        (
            "xinfo groups s",
            "*1\r\n*12\r\n$4\r\nname\r\n$1\r\ng\r\n$9\r\nconsumers\r\n:2\r\n$7\r\npending\r\n\
             :3\r\n$17\r\nlast-delivered-id\r\n$3\r\n5-1\r\n$12\r\nentries-read\r\n:5\r\n$3\r\n\
             lag\r\n:0\r\n",
        ),
        ("xgroup delconsumer s g b", ":2\r\n"),
        ("xgroup delconsumer s g b", ":0\r\n"),
        (
            "xpending s g",
            "*4\r\n:1\r\n$3\r\n2-1\r\n$3\r\n2-1\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n",
        ),
        ("xack s g 2", ":0\r\n"),
        ("xack s g 2-1", ":1\r\n"),
        ("xpending s g", "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n"),
        ("xack s nope 1", ":0\r\n"),
        ("xack absent g 1", ":0\r\n"),
        ("xack absent g x", ":0\r\n"),
        ("xack s nope x", ":0\r\n"),
        ("xack s g x", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xack s g -", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xack s g", "-ERR wrong number of arguments for 'xack' command\r\n"),
        ("set str x", "+OK\r\n"),
        ("xack str g 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn pending_entries_are_listed() {
    let cases = [
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        ("xadd s 2-1 f 2", "$3\r\n2-1\r\n"),
        ("xadd s 3-1 f 3", "$3\r\n3-1\r\n"),
        ("xadd s 4-1 f 4", "$3\r\n4-1\r\n"),
        ("xadd s 5-1 f 5", "$3\r\n5-1\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        ("xpending s g - + 10", "*0\r\n"),
        (
            "xreadgroup group g a count 2 streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n\
             $3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n",
        ),
        (
            "xreadgroup group g b streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*3\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n*2\r\n\
             $3\r\n4-1\r\n*2\r\n$1\r\nf\r\n$1\r\n4\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nf\r\n$1\r\n\
             5\r\n",
        ),
        (
            "xpending s g - + 10",
            "*5\r\n*4\r\n$3\r\n1-1\r\n$1\r\na\r\n:0\r\n:1\r\n*4\r\n$3\r\n2-1\r\n$1\r\na\r\n:0\r\n\
             :1\r\n*4\r\n$3\r\n3-1\r\n$1\r\nb\r\n:0\r\n:1\r\n*4\r\n$3\r\n4-1\r\n$1\r\nb\r\n:0\r\n\
             :1\r\n*4\r\n$3\r\n5-1\r\n$1\r\nb\r\n:0\r\n:1\r\n",
        ),
        (
            "xpending s g - + 2 a",
            "*2\r\n*4\r\n$3\r\n1-1\r\n$1\r\na\r\n:0\r\n:1\r\n*4\r\n$3\r\n2-1\r\n$1\r\na\r\n:0\r\n\
             :1\r\n",
        ),
        (
            "xpending s g (1-1 (4-1 10",
            "*2\r\n*4\r\n$3\r\n2-1\r\n$1\r\na\r\n:0\r\n:1\r\n*4\r\n$3\r\n3-1\r\n$1\r\nb\r\n:0\r\n\
             :1\r\n",
        ),
        ("xpending s g 3 + 1", "*1\r\n*4\r\n$3\r\n3-1\r\n$1\r\nb\r\n:0\r\n:1\r\n"),
        ("xpending s g + - 10", "*0\r\n"),
        ("xpending s g - + 0", "*0\r\n"),
        ("xpending s g - + -1", "*0\r\n"),
        ("xpending s g - + 10 nobody", "*0\r\n"),
        ("xpending s g - + 1 b extra", "*1\r\n*4\r\n$3\r\n3-1\r\n$1\r\nb\r\n:0\r\n:1\r\n"),
        ("xpending s g IDLE 0 - + 1", "*1\r\n*4\r\n$3\r\n1-1\r\n$1\r\na\r\n:0\r\n:1\r\n"),
        ("xpending s g idle -9 - + 1 b", "*1\r\n*4\r\n$3\r\n3-1\r\n$1\r\nb\r\n:0\r\n:1\r\n"),
        ("xpending s g idle 100000 - + 10", "*0\r\n"),
        ("xpending s g idle 100000 - + 10 a", "*0\r\n"),
        ("xpending s", "-ERR wrong number of arguments for 'xpending' command\r\n"),
        ("xpending s g -", "-ERR syntax error\r\n"),
        ("xpending s g - +", "-ERR syntax error\r\n"),
        ("xpending s g IDLE 1", "-ERR syntax error\r\n"),
        ("xpending s g IDLE 1 -", "-ERR syntax error\r\n"),
        ("xpending s g IDLE 1 - +", "-ERR syntax error\r\n"),
        ("xpending s g IDLE x - + 1", "-ERR value is not an integer or out of range\r\n"),
        ("xpending s g - + 1 a b c d", "-ERR syntax error\r\n"),
        ("xpending s g - + x", "-ERR value is not an integer or out of range\r\n"),
        ("xpending s g x + 1", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xpending s g - x 1", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        (
            "xpending s g (18446744073709551615-18446744073709551615 + 1",
            "-ERR invalid start ID for the interval\r\n",
        ),
        ("xpending s g - (0 1", "*0\r\n"),
        ("xpending s nope", "-NOGROUP No such key 's' or consumer group 'nope'\r\n"),
        ("xpending absent g", "-NOGROUP No such key 'absent' or consumer group 'g'\r\n"),
        ("xpending absent g - + x", "-ERR value is not an integer or out of range\r\n"),
        ("xpending absent g - + 1", "-NOGROUP No such key 'absent' or consumer group 'g'\r\n"),
        ("set str x", "+OK\r\n"),
        (
            "xpending str g",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("xpending str g - x 1", "-ERR Invalid stream ID specified as stream command argument\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn the_clock_of_the_entry_tells_how_long_entries_are_pending() {
    let mut engine = engine();
    check(&mut engine, "xadd s 1-1 f 1", "$3\r\n1-1\r\n");
    check(&mut engine, "xadd s 2-1 f 2", "$3\r\n2-1\r\n");
    check(&mut engine, "xgroup create s g 0", "+OK\r\n");
    run_line(&mut engine, Protocol::Resp2, "xreadgroup group g a count 1 streams s >");
    advance(&mut engine, 40);
    run_line(&mut engine, Protocol::Resp2, "xreadgroup group g a streams s >");
    advance(&mut engine, 2);
    let (first, second) = (
        "*4\r\n$3\r\n1-1\r\n$1\r\na\r\n:42\r\n:1\r\n",
        "*4\r\n$3\r\n2-1\r\n$1\r\na\r\n:2\r\n:1\r\n",
    );
    check(&mut engine, "xpending s g - + 9", &format!("*2\r\n{first}{second}"));
    check(&mut engine, "xpending s g idle 3 - + 9", &format!("*1\r\n{first}"));
    check(&mut engine, "xpending s g idle 42 - + 1", &format!("*1\r\n{first}"));
    check(&mut engine, "xpending s g idle 43 - + 9 a", "*0\r\n");
    run_line(&mut engine, Protocol::Resp2, "xreadgroup group g a streams s 1-1");
    let again = "*4\r\n$3\r\n2-1\r\n$1\r\na\r\n:0\r\n:2\r\n";
    check(&mut engine, "xpending s g (1-1 + 9", &format!("*1\r\n{again}"));
}

#[test]
fn consumers_are_made_once_and_removed() {
    let cases = [
        ("xgroup create s g 0 MKSTREAM", "+OK\r\n"),
        ("xgroup createconsumer s g a", ":1\r\n"),
        ("xgroup createconsumer s g a", ":0\r\n"),
        ("xreadgroup group g b streams s >", "*-1\r\n"),
        ("xgroup createconsumer s g b", ":0\r\n"),
        ("xclaim s g c 0 1-1", "*0\r\n"),
        ("xautoclaim s g d 0 0", "*3\r\n$3\r\n0-0\r\n*0\r\n*0\r\n"),
        ("xgroup delconsumer s g c", ":0\r\n"),
        ("xgroup createconsumer s g c", ":1\r\n"),
        ("xgroup createconsumer s g d", ":0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}
