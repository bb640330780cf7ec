//! XREAD and XREADGROUP.

use super::*;

#[test]
fn streams_are_read_from_an_id() {
    let cases = [
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        ("xadd s 2-1 f 2", "$3\r\n2-1\r\n"),
        ("xadd s 3-1 f 3", "$3\r\n3-1\r\n"),
        ("xadd t 9 a b", "$3\r\n9-0\r\n"),
        (
            "xread streams s 0",
            "*1\r\n*2\r\n$1\r\ns\r\n*3\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n\
             $3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n\
             3\r\n",
        ),
        (
            "xread count 1 streams s 1-1",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n",
        ),
        (
            "xread streams s 2",
            "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n*2\r\n\
             $3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n",
        ),
        (
            "xread count 0 streams s 2-1",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n",
        ),
        (
            "xread count -1 streams s 2-1",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n",
        ),
        ("xread streams s $", "*-1\r\n"),
        ("xread streams s 3-1", "*-1\r\n"),
        ("xread streams absent 0", "*-1\r\n"),
        (
            "xread streams s t 2-1 0",
            "*2\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n*2\r\n\
             $1\r\nt\r\n*1\r\n*2\r\n$3\r\n9-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        ),
        (
            "xread streams s t absent 3-1 8 0",
            "*1\r\n*2\r\n$1\r\nt\r\n*1\r\n*2\r\n$3\r\n9-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        ),
        (
            "xread count 1 streams t s s 0 0 2",
            "*3\r\n*2\r\n$1\r\nt\r\n*1\r\n*2\r\n$3\r\n9-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n\
             $1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n$1\r\ns\r\n\
             *1\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n",
        ),
        ("xread streams s t $ $", "*-1\r\n"),
        (
            "xread block 10 streams s 2-1",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n",
        ),
        (
            "xread block 0 count 1 streams s t 5 5",
            "*1\r\n*2\r\n$1\r\nt\r\n*1\r\n*2\r\n$3\r\n9-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        ),
        ("xread streams s 18446744073709551615-18446744073709551615", "*-1\r\n"),
        ("xdel s 1-1 2-1 3-1", ":3\r\n"),
        ("xread streams s 0", "*-1\r\n"),
        (
            "xread COUNT 1 COUNT 2 STREAMS t 0",
            "*1\r\n*2\r\n$1\r\nt\r\n*1\r\n*2\r\n$3\r\n9-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn xread_refuses_wrong_arguments() {
    let cases = [
        ("set str x", "+OK\r\n"),
        ("xadd s 1-1 f v", "$3\r\n1-1\r\n"),
        ("xread streams s", "-ERR wrong number of arguments for 'xread' command\r\n"),
        (
            "xread streams s s 0",
            "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be \
             specified.\r\n",
        ),
        (
            "xread streams s 0 0",
            "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be \
             specified.\r\n",
        ),
        ("xread count 1 block 0", "-ERR syntax error\r\n"),
        ("xread count x streams s 0", "-ERR value is not an integer or out of range\r\n"),
        ("xread count streams s 0", "-ERR value is not an integer or out of range\r\n"),
        ("xread block x streams s 0", "-ERR timeout is not an integer or out of range\r\n"),
        ("xread block -1 streams s 0", "-ERR timeout is negative\r\n"),
        ("xread foo streams s 0", "-ERR syntax error\r\n"),
        (
            "xread noack streams s 0",
            "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.\r\n",
        ),
        (
            "xread group g c streams s 0",
            "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.\r\n",
        ),
        (
            "xread streams s >",
            "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
             <consumer> option.\r\n",
        ),
        (
            "xread streams absent >",
            "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
             <consumer> option.\r\n",
        ),
        ("xread streams s -", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xread streams s +", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xread streams s x", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("xread streams s (1", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        (
            "xread streams str 0",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xread streams s str 0 0",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xread streams str $",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn a_group_delivers_each_entry_once() {
    let cases = [
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        ("xadd s 2-1 f 2", "$3\r\n2-1\r\n"),
        ("xadd s 3-1 f 3", "$3\r\n3-1\r\n"),
        ("xadd s 4-1 f 4", "$3\r\n4-1\r\n"),
        ("xadd s 5-1 f 5", "$3\r\n5-1\r\n"),
        ("xgroup create s g 1-1", "+OK\r\n"),
        (
            "xreadgroup group g a count 1 streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n",
        ),
        (
            "xreadgroup group g b count 2 streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n*2\r\n\
             $3\r\n4-1\r\n*2\r\n$1\r\nf\r\n$1\r\n4\r\n",
        ),
        (
            "xreadgroup group g a streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nf\r\n$1\r\n5\r\n",
        ),
        ("xreadgroup group g a streams s >", "*-1\r\n"),
        (
            "xreadgroup group g a streams s 0",
            "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n*2\r\n\
             $3\r\n5-1\r\n*2\r\n$1\r\nf\r\n$1\r\n5\r\n",
        ),
        (
            "xreadgroup group g a count 1 streams s 2-1",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nf\r\n$1\r\n5\r\n",
        ),
        (
            "xreadgroup group g b streams s 3-1",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n4-1\r\n*2\r\n$1\r\nf\r\n$1\r\n4\r\n",
        ),
        ("xreadgroup group g nobody streams s 0", "*1\r\n*2\r\n$1\r\ns\r\n*0\r\n"),
        (
            "xpending s g - + 10",
            "*4\r\n*4\r\n$3\r\n2-1\r\n$1\r\na\r\n:0\r\n:2\r\n*4\r\n$3\r\n3-1\r\n$1\r\nb\r\n:0\r\n\
             :1\r\n*4\r\n$3\r\n4-1\r\n$1\r\nb\r\n:0\r\n:2\r\n*4\r\n$3\r\n5-1\r\n$1\r\na\r\n:0\r\n\
             :3\r\n",
        ),
        ("xadd s 6-1 f 6", "$3\r\n6-1\r\n"),
        (
            "xreadgroup group g b noack streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n6-1\r\n*2\r\n$1\r\nf\r\n$1\r\n6\r\n",
        ),
        (
            "xpending s g",
            "*4\r\n:4\r\n$3\r\n2-1\r\n$3\r\n5-1\r\n*2\r\n*2\r\n$1\r\na\r\n$1\r\n2\r\n*2\r\n$1\r\n\
             b\r\n$1\r\n2\r\n",
        ),
        ("xdel s 3-1", ":1\r\n"),
        (
            "xreadgroup group g b streams s 0",
            "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n3-1\r\n*-1\r\n*2\r\n$3\r\n4-1\r\n*2\r\n\
             $1\r\nf\r\n$1\r\n4\r\n",
        ),
        (
            "xpending s g - + 10",
            "*4\r\n*4\r\n$3\r\n2-1\r\n$1\r\na\r\n:0\r\n:2\r\n*4\r\n$3\r\n3-1\r\n$1\r\nb\r\n:0\r\n\
             :1\r\n*4\r\n$3\r\n4-1\r\n$1\r\nb\r\n:0\r\n:3\r\n*4\r\n$3\r\n5-1\r\n$1\r\na\r\n:0\r\n\
             :3\r\n",
        ),
        ("xgroup setid s g 0", "+OK\r\n"),
        (
            "xreadgroup group g c streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*5\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n\
             $3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n*2\r\n$3\r\n4-1\r\n*2\r\n$1\r\nf\r\n$1\r\n\
             4\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nf\r\n$1\r\n5\r\n*2\r\n$3\r\n6-1\r\n*2\r\n$1\r\n\
             f\r\n$1\r\n6\r\n",
        ),
        (
            "xpending s g - + 10",
            "*6\r\n*4\r\n$3\r\n1-1\r\n$1\r\nc\r\n:0\r\n:1\r\n*4\r\n$3\r\n2-1\r\n$1\r\nc\r\n:0\r\n\
             :1\r\n*4\r\n$3\r\n3-1\r\n$1\r\nb\r\n:0\r\n:1\r\n*4\r\n$3\r\n4-1\r\n$1\r\nc\r\n:0\r\n\
             :1\r\n*4\r\n$3\r\n5-1\r\n$1\r\nc\r\n:0\r\n:1\r\n*4\r\n$3\r\n6-1\r\n$1\r\nc\r\n:0\r\n\
             :1\r\n",
        ),
        (
            "xreadgroup group g c block 0 streams s 5",
            "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nf\r\n$1\r\n5\r\n*2\r\n\
             $3\r\n6-1\r\n*2\r\n$1\r\nf\r\n$1\r\n6\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn several_streams_are_read_by_a_group() {
    let cases = [
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        ("xadd t 2-1 f 2", "$3\r\n2-1\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        ("xgroup create t g $", "+OK\r\n"),
        (
            "xreadgroup group g a streams s t > >",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n",
        ),
        (
            "xreadgroup group g a streams s t 0 0",
            "*2\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n\
             $1\r\nt\r\n*0\r\n",
        ),
        (
            "xreadgroup group g a streams t s > 0",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n",
        ),
        ("xreadgroup group g a streams t t > >", "*-1\r\n"),
        ("xadd t 3-1 f 3", "$3\r\n3-1\r\n"),
        (
            "xreadgroup group g a block 0 streams s t > >",
            "*1\r\n*2\r\n$1\r\nt\r\n*1\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$1\r\n3\r\n",
        ),
        (
            "xreadgroup group g a streams s s 0 18446744073709551615-18446744073709551615",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn xreadgroup_refuses_wrong_arguments() {
    let cases = [
        ("set str x", "+OK\r\n"),
        ("xadd s 1-1 f v", "$3\r\n1-1\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        (
            "xreadgroup group g c streams s",
            "-ERR wrong number of arguments for 'xreadgroup' command\r\n",
        ),
        (
            "xreadgroup group g c streams s s >",
            "-ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must \
             be specified.\r\n",
        ),
        (
            "xreadgroup noack noack noack streams s >",
            "-ERR Missing GROUP option for XREADGROUP\r\n",
        ),
        ("xreadgroup count 1 count 1 streams s >", "-ERR Missing GROUP option for XREADGROUP\r\n"),
        (
            "xreadgroup group g streams streams s >",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n",
        ),
        ("xreadgroup group g c foo streams s >", "-ERR syntax error\r\n"),
        (
            "xreadgroup group g c count x streams s >",
            "-ERR value is not an integer or out of range\r\n",
        ),
        (
            "xreadgroup group g c block x streams s >",
            "-ERR timeout is not an integer or out of range\r\n",
        ),
        ("xreadgroup group g c block -1 streams s >", "-ERR timeout is negative\r\n"),
        ("xreadgroup group g c count 1 noack", "-ERR syntax error\r\n"),
        (
            "xreadgroup group g c streams s $",
            "-ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the \
             history of this consumer by specifying a proper ID, or use the > ID to get new \
             messages. The $ ID would just return an empty result set.\r\n",
        ),
        (
            "xreadgroup group g c streams s x",
            "-ERR Invalid stream ID specified as stream command argument\r\n",
        ),
        (
            "xreadgroup group g c streams s -",
            "-ERR Invalid stream ID specified as stream command argument\r\n",
        ),
        (
            "xreadgroup group nope c streams s >",
            "-NOGROUP No such key 's' or consumer group 'nope' in XREADGROUP with GROUP \
             option\r\n",
        ),
        (
            "xreadgroup group g c streams absent >",
            "-NOGROUP No such key 'absent' or consumer group 'g' in XREADGROUP with GROUP \
             option\r\n",
        ),
        (
            "xreadgroup group g c streams s absent > >",
            "-NOGROUP No such key 'absent' or consumer group 'g' in XREADGROUP with GROUP \
             option\r\n",
        ),
        (
            "xreadgroup group nope c streams s $",
            "-NOGROUP No such key 's' or consumer group 'nope' in XREADGROUP with GROUP \
             option\r\n",
        ),
        (
            "xreadgroup group g c streams str >",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "xinfo groups s",
            "*1\r\n*12\r\n$4\r\nname\r\n$1\r\ng\r\n$9\r\nconsumers\r\n:1\r\n$7\r\npending\r\n\
             :1\r\n$17\r\nlast-delivered-id\r\n$3\r\n1-1\r\n$12\r\nentries-read\r\n:1\r\n$3\r\n\
             lag\r\n:0\r\n",
        ),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn replies_of_resp3_are_maps() {
    let cases = [
        ("xadd s 1-1 f 1", "$3\r\n1-1\r\n"),
        ("xadd t 2-1 f 2", "$3\r\n2-1\r\n"),
        (
            "xread streams s t 0 0",
            "%2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n$1\r\nt\r\n\
             *1\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n",
        ),
        ("xread streams s 1-1", "_\r\n"),
        ("xgroup create s g 0", "+OK\r\n"),
        ("xpending s g", "*4\r\n:0\r\n_\r\n_\r\n_\r\n"),
        (
            "xreadgroup group g a streams s >",
            "%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n",
        ),
        ("xreadgroup group g a streams s >", "_\r\n"),
        ("xdel s 1-1", ":1\r\n"),
        ("xreadgroup group g a streams s 0", "%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n_\r\n"),
        ("xpending s g - + 1 nobody", "*0\r\n"),
        (
            "xinfo groups s",
            "*1\r\n%6\r\n$4\r\nname\r\n$1\r\ng\r\n$9\r\nconsumers\r\n:1\r\n$7\r\npending\r\n\
             :1\r\n$17\r\nlast-delivered-id\r\n$3\r\n1-1\r\n$12\r\nentries-read\r\n:1\r\n$3\r\n\
             lag\r\n:0\r\n",
        ),
    ];
    let mut engine = engine();
    cases.iter().for_each(|(line, expected)| check3(&mut engine, line, expected));
}

/// As within a transaction; the reader is known to its group all the same.
#[test]
fn who_may_not_wait_gets_a_null() {
    let mut engine = engine();
    check(&mut engine, "xadd s 1-1 f v", "$3\r\n1-1\r\n");
    check(&mut engine, "xgroup create s g $", "+OK\r\n");
    check(&mut engine, "xread block 10 streams s $", "*-1\r\n");
    check(&mut engine, "xread block 0 streams absent s 0 1-1", "*-1\r\n");
    check(&mut engine, "xreadgroup group g c block 0 streams s >", "*-1\r\n");
    check(&mut engine, "xgroup createconsumer s g c", ":0\r\n");
    check(&mut engine, "xreadgroup group g c block 0 streams s 0", "*1\r\n*2\r\n$1\r\ns\r\n*0\r\n");
}
