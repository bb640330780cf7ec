//! Replies to command lines, as redis-server gives them.

use crate::engine::testing::{check_all, check3, engine};

#[test]
fn zadd_options_decide_what_is_added_and_counted() {
    let cases = [
        ("zadd z 1 a 2 b", ":2\r\n"),
        ("zadd z 1 a 3 b 4 c", ":1\r\n"),
        ("zadd z ch 1 a 5 b 4 d", ":2\r\n"),
        ("zadd z nx 9 a 9 e", ":1\r\n"),
        ("zadd z xx 9 nobody", ":0\r\n"),
        ("zadd z xx ch 7 a 7 nobody", ":1\r\n"),
        ("zadd z gt ch 6 a 8 b", ":1\r\n"),
        ("zadd z lt ch 6 a 9 b", ":1\r\n"),
        ("zadd z gt ch 1 new", ":1\r\n"),
        ("zadd z nx incr 5 a", "$-1\r\n"),
        ("zadd z xx incr 5 nobody", "$-1\r\n"),
        ("zadd z incr 0.5 a", "$3\r\n6.5\r\n"),
        ("zadd z gt incr -1 a", "$-1\r\n"),
        ("zadd z lt incr 1 a", "$-1\r\n"),
        ("zadd z incr 2 fresh", "$1\r\n2\r\n"),
        ("zadd z NX Ch 2 fresh 3 fresher", ":1\r\n"),
        (
            "zrange z 0 -1 withscores",
            "*16\r\n$3\r\nnew\r\n$1\r\n1\r\n$5\r\nfresh\r\n$1\r\n2\r\n$7\r\nfresher\r\n$1\r\n\
             3\r\n$1\r\nc\r\n$1\r\n4\r\n$1\r\nd\r\n$1\r\n4\r\n$1\r\na\r\n$3\r\n6.5\r\n$1\r\n\
             b\r\n$1\r\n8\r\n$1\r\ne\r\n$1\r\n9\r\n",
        ),
        ("zadd absent xx 1 a", ":0\r\n"),
        ("zadd absent xx incr 1 a", "$-1\r\n"),
        ("get absent", "$-1\r\n"),
        ("zincrby z 1.5 fresh", "$3\r\n3.5\r\n"),
        ("zincrby z -1e3 newer", "$5\r\n-1000\r\n"),
        ("zincrby z +inf a", "$3\r\ninf\r\n"),
        ("zincrby z -inf a", "-ERR resulting score is not a number (NaN)\r\n"),
        ("zadd z incr -inf a", "-ERR resulting score is not a number (NaN)\r\n"),
        ("zscore z a", "$3\r\ninf\r\n"),
        ("zadd z -inf a", ":0\r\n"),
        ("zscore z a", "$4\r\n-inf\r\n"),
        ("zadd z 3 twice 4 twice", ":1\r\n"),
        ("zadd z ch 5 twice 5 twice", ":1\r\n"),
        ("zscore z twice", "$1\r\n5\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn zadd_refuses_wrong_arguments() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("zadd z", "-ERR wrong number of arguments for 'zadd' command\r\n"),
        ("zadd z 1", "-ERR wrong number of arguments for 'zadd' command\r\n"),
        ("zadd z x a", "-ERR value is not a valid float\r\n"),
        ("zadd z 1 a 2", "-ERR syntax error\r\n"),
        ("zadd z 1 a x b", "-ERR value is not a valid float\r\n"),
        ("zadd z nan a", "-ERR value is not a valid float\r\n"),
        ("zadd z \"\" a", "-ERR value is not a valid float\r\n"),
        ("zadd z \" 1\" a", "-ERR value is not a valid float\r\n"),
        ("zadd z \"1 \" a", "-ERR value is not a valid float\r\n"),
        ("zadd z 1e400 a", "-ERR value is not a valid float\r\n"),
        ("zadd z 1e-400 a", "-ERR value is not a valid float\r\n"),
        ("zadd z nx xx 1 a", "-ERR XX and NX options at the same time are not compatible\r\n"),
        (
            "zadd z gt lt 1 a",
            "-ERR GT, LT, and/or NX options at the same time are not compatible\r\n",
        ),
        (
            "zadd z nx gt 1 a",
            "-ERR GT, LT, and/or NX options at the same time are not compatible\r\n",
        ),
        (
            "zadd z lt nx 1 a",
            "-ERR GT, LT, and/or NX options at the same time are not compatible\r\n",
        ),
        ("zadd z nx xx 1", "-ERR syntax error\r\n"),
        ("zadd z nx ch", "-ERR syntax error\r\n"),
        ("zadd z incr 1 a 2 b", "-ERR INCR option supports a single increment-element pair\r\n"),
        ("zadd z incr", "-ERR wrong number of arguments for 'zadd' command\r\n"),
        ("zadd string x a", "-ERR value is not a valid float\r\n"),
        (
            "zadd string 1 a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zadd string nx xx 1 a", "-ERR XX and NX options at the same time are not compatible\r\n"),
        ("zincrby z x a", "-ERR value is not a valid float\r\n"),
        ("zincrby z 1", "-ERR wrong number of arguments for 'zincrby' command\r\n"),
        ("zincrby z nx 1", "-ERR syntax error\r\n"),
        (
            "zincrby string 1 a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("get z", "$-1\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn scores_are_read_and_written_as_redis_does() {
    let cases = [
        (
            "zadd z 1 a 2.50 b 3e2 c +4 d -0.5 e .5 f 5. g inf h -INF i Infinity j 1e22 k 1e-7 l",
            ":12\r\n",
        ),
        ("zscore z a", "$1\r\n1\r\n"),
        ("zscore z b", "$3\r\n2.5\r\n"),
        ("zscore z c", "$3\r\n300\r\n"),
        ("zscore z d", "$1\r\n4\r\n"),
        ("zscore z e", "$4\r\n-0.5\r\n"),
        ("zscore z f", "$3\r\n0.5\r\n"),
        ("zscore z g", "$1\r\n5\r\n"),
        ("zscore z h", "$3\r\ninf\r\n"),
        ("zscore z i", "$4\r\n-inf\r\n"),
        ("zscore z j", "$3\r\ninf\r\n"),
        ("zmscore z a nobody b", "*3\r\n$1\r\n1\r\n$-1\r\n$3\r\n2.5\r\n"),
        ("zmscore absent a b", "*2\r\n$-1\r\n$-1\r\n"),
        ("zscore absent a", "$-1\r\n"),
        ("zscore z nobody", "$-1\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn members_are_told_their_rank_and_number() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("zadd z 1 a 2 b 3 c", ":3\r\n"),
        ("zcard z", ":3\r\n"),
        ("zcard absent", ":0\r\n"),
        ("zcard string", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("zrank z a", ":0\r\n"),
        ("zrank z c", ":2\r\n"),
        ("zrevrank z a", ":2\r\n"),
        ("zrank z nobody", "$-1\r\n"),
        ("zrank absent a", "$-1\r\n"),
        ("zrevrank absent a", "$-1\r\n"),
        (
            "zrank string a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "zscore string a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "zmscore string a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zrem z a nobody c c", ":2\r\n"),
        ("zrem z b", ":1\r\n"),
        ("get z", "$-1\r\n"),
        ("zrem z b", ":0\r\n"),
        ("zrem string a", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("zcard", "-ERR wrong number of arguments for 'zcard' command\r\n"),
        ("zrank z", "-ERR wrong number of arguments for 'zrank' command\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn ranges_by_rank() {
    let cases = [
        ("zadd z 1 a 2 b 3 c 4 d", ":4\r\n"),
        ("zrange z 0 -1", "*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n"),
        ("zrange z 1 2", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
        ("zrange z -2 -1", "*2\r\n$1\r\nc\r\n$1\r\nd\r\n"),
        ("zrange z -100 1", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("zrange z 2 100", "*2\r\n$1\r\nc\r\n$1\r\nd\r\n"),
        ("zrange z 3 2", "*0\r\n"),
        ("zrange z 4 5", "*0\r\n"),
        ("zrange z -1 -100", "*0\r\n"),
        ("zrange z 9223372036854775807 -1", "*0\r\n"),
        (
            "zrange z -9223372036854775808 9223372036854775807",
            "*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n",
        ),
        ("zrange z 0 1 withscores", "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n"),
        ("zrange z 0 1 rev", "*2\r\n$1\r\nd\r\n$1\r\nc\r\n"),
        ("zrange z 0 1 rev withscores", "*4\r\n$1\r\nd\r\n$1\r\n4\r\n$1\r\nc\r\n$1\r\n3\r\n"),
        ("zrange z 0 1 WithScores REV", "*4\r\n$1\r\nd\r\n$1\r\n4\r\n$1\r\nc\r\n$1\r\n3\r\n"),
        ("zrange z 0 -1 limit 0 -1", "*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n"),
        ("zrevrange z 0 1", "*2\r\n$1\r\nd\r\n$1\r\nc\r\n"),
        ("zrevrange z 0 1 withscores", "*4\r\n$1\r\nd\r\n$1\r\n4\r\n$1\r\nc\r\n$1\r\n3\r\n"),
        ("zrevrange z -1 -1", "*1\r\n$1\r\na\r\n"),
        ("zrevrange z 2 1", "*0\r\n"),
        ("zrange absent 0 -1", "*0\r\n"),
        ("zrevrange absent 0 -1", "*0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn ranges_by_score() {
    let cases = [
        ("zadd z 1 a 2 b 2 bb 3 c inf d -inf e", ":6\r\n"),
        ("zrange z 2 3 byscore", "*3\r\n$1\r\nb\r\n$2\r\nbb\r\n$1\r\nc\r\n"),
        ("zrange z (1 (3 byscore", "*2\r\n$1\r\nb\r\n$2\r\nbb\r\n"),
        ("zrange z -inf +inf byscore limit 1 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("zrange z -inf +inf byscore limit 4 -1", "*2\r\n$1\r\nc\r\n$1\r\nd\r\n"),
        ("zrange z -inf +inf byscore limit -1 2", "*0\r\n"),
        ("zrange z -inf +inf byscore limit 100 2", "*0\r\n"),
        (
            "zrange z (-inf (inf byscore withscores",
            "*8\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n$2\r\nbb\r\n$1\r\n2\r\n$1\r\n\
             c\r\n$1\r\n3\r\n",
        ),
        (
            "zrange z 3 1 byscore rev limit 1 2 withscores",
            "*4\r\n$2\r\nbb\r\n$1\r\n2\r\n$1\r\nb\r\n$1\r\n2\r\n",
        ),
        ("zrange z 1 3 byscore rev", "*0\r\n"),
        ("zrange z 3 1 byscore", "*0\r\n"),
        ("zrange z \"\" 2 byscore", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nbb\r\n"),
        ("zrange z ( 2 byscore", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nbb\r\n"),
        ("zrange z \" 1\" 2 byscore", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nbb\r\n"),
        ("zrangebyscore z 1 2", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nbb\r\n"),
        ("zrangebyscore z 1 2 withscores limit 1 1", "*2\r\n$1\r\nb\r\n$1\r\n2\r\n"),
        ("zrangebyscore z 1 2 limit 1 -5", "*2\r\n$1\r\nb\r\n$2\r\nbb\r\n"),
        ("zrangebyscore z (2 (2", "*0\r\n"),
        ("zrangebyscore z (1 2", "*2\r\n$1\r\nb\r\n$2\r\nbb\r\n"),
        ("zrangebyscore z 2.5 2.7", "*0\r\n"),
        ("zrevrangebyscore z 2 1", "*3\r\n$2\r\nbb\r\n$1\r\nb\r\n$1\r\na\r\n"),
        (
            "zrevrangebyscore z +inf (1 withscores limit 0 2",
            "*4\r\n$1\r\nd\r\n$3\r\ninf\r\n$1\r\nc\r\n$1\r\n3\r\n",
        ),
        ("zrevrangebyscore z 1 2", "*0\r\n"),
        ("zcount z 1 2", ":3\r\n"),
        ("zcount z (1 2", ":2\r\n"),
        ("zcount z -inf +inf", ":6\r\n"),
        ("zcount z (inf inf", ":0\r\n"),
        ("zcount z 3 1", ":0\r\n"),
        ("zcount absent 1 2", ":0\r\n"),
        ("zrangebyscore absent 1 2", "*0\r\n"),
        ("zrevrangebyscore absent 2 1", "*0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn ranges_by_member() {
    let cases = [
        ("zadd z 0 a 0 b 0 c 0 d 0 e", ":5\r\n"),
        ("zrange z - + bylex", "*5\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n"),
        ("zrange z [b (d bylex", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
        ("zrange z (d [b bylex rev", "*2\r\n$1\r\nc\r\n$1\r\nb\r\n"),
        ("zrange z + - bylex rev limit 1 2", "*2\r\n$1\r\nd\r\n$1\r\nc\r\n"),
        ("zrange z - + bylex limit 1 2", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
        ("zrange z - + bylex limit -1 2", "*0\r\n"),
        ("zrange z + - bylex", "*0\r\n"),
        ("zrange z - - bylex", "*0\r\n"),
        ("zrange z + + bylex", "*0\r\n"),
        ("zrange z [bb (d bylex", "*1\r\n$1\r\nc\r\n"),
        ("zrangebylex z [c +", "*3\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n"),
        ("zrangebylex z - (c", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("zrangebylex z (c (c", "*0\r\n"),
        ("zrangebylex z [c [c", "*1\r\n$1\r\nc\r\n"),
        ("zrangebylex z [ +", "*5\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n"),
        ("zrangebylex z ( +", "*5\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n"),
        ("zrangebylex z - + limit 3 100", "*2\r\n$1\r\nd\r\n$1\r\ne\r\n"),
        ("zrevrangebylex z + [c", "*3\r\n$1\r\ne\r\n$1\r\nd\r\n$1\r\nc\r\n"),
        ("zrevrangebylex z [c - limit 1 1", "*1\r\n$1\r\nb\r\n"),
        ("zlexcount z - +", ":5\r\n"),
        ("zlexcount z [b (d", ":2\r\n"),
        ("zlexcount z [d [b", ":0\r\n"),
        ("zlexcount absent - +", ":0\r\n"),
        ("zrangebylex absent - +", "*0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn ranges_refuse_wrong_arguments_before_they_look_at_the_key() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("zrange string a b", "-ERR value is not an integer or out of range\r\n"),
        (
            "zrange string 0 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zrange string 0 b", "-ERR value is not an integer or out of range\r\n"),
        ("zrange string 0 1 byscore bylex", "-ERR syntax error\r\n"),
        ("zrange string 0 1 bylex byscore", "-ERR syntax error\r\n"),
        ("zrange string 0 1 rev rev", "-ERR syntax error\r\n"),
        (
            "zrange string 0 1 limit 0 1",
            "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE \
             or BYLEX\r\n",
        ),
        ("zrange string 0 1 limit 0", "-ERR syntax error\r\n"),
        ("zrange string 0 1 limit a 1", "-ERR value is not an integer or out of range\r\n"),
        (
            "zrange string 0 1 bylex withscores",
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX\r\n",
        ),
        ("zrange string a b byscore", "-ERR min or max is not a float\r\n"),
        ("zrange string a b bylex", "-ERR min or max not valid string range item\r\n"),
        ("zrange string 1 nan byscore", "-ERR min or max is not a float\r\n"),
        ("zrange string ((1 2 byscore", "-ERR min or max is not a float\r\n"),
        ("zrange string 0 1 foo", "-ERR syntax error\r\n"),
        ("zrevrange string 0 1 rev", "-ERR syntax error\r\n"),
        ("zrevrange string 0 1 byscore", "-ERR syntax error\r\n"),
        (
            "zrevrange string 0 1 limit 0 1",
            "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE \
             or BYLEX\r\n",
        ),
        ("zrangebyscore string 0 1 rev", "-ERR syntax error\r\n"),
        ("zrangebyscore string a 1", "-ERR min or max is not a float\r\n"),
        (
            "zrangebylex string - + withscores",
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX\r\n",
        ),
        ("zrangebylex string a b", "-ERR min or max not valid string range item\r\n"),
        ("zrangebylex string \"\" +", "-ERR min or max not valid string range item\r\n"),
        ("zrevrangebylex string - c", "-ERR min or max not valid string range item\r\n"),
        ("zcount string a 1", "-ERR min or max is not a float\r\n"),
        (
            "zcount string 0 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zlexcount string a b", "-ERR min or max not valid string range item\r\n"),
        (
            "zlexcount string - +",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zremrangebyrank string a 1", "-ERR value is not an integer or out of range\r\n"),
        (
            "zremrangebyrank string 0 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zremrangebyscore string a 1", "-ERR min or max is not a float\r\n"),
        (
            "zremrangebyscore string 0 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zremrangebylex string a 1", "-ERR min or max not valid string range item\r\n"),
        (
            "zremrangebylex string - +",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zrange z 0", "-ERR wrong number of arguments for 'zrange' command\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn ranges_are_removed() {
    let cases = [
        ("zadd z 1 a 2 b 3 c 4 d 5 e 6 f 7 g", ":7\r\n"),
        ("zremrangebyrank z 0 1", ":2\r\n"),
        ("zremrangebyrank z -1 -1", ":1\r\n"),
        ("zremrangebyrank z 5 9", ":0\r\n"),
        ("zremrangebyscore z (3 4", ":1\r\n"),
        ("zremrangebyscore z 9 10", ":0\r\n"),
        (
            "zrange z 0 -1 withscores",
            "*6\r\n$1\r\nc\r\n$1\r\n3\r\n$1\r\ne\r\n$1\r\n5\r\n$1\r\nf\r\n$1\r\n6\r\n",
        ),
        ("zremrangebyscore z -inf +inf", ":3\r\n"),
        ("get z", "$-1\r\n"),
        ("zremrangebyscore z -inf +inf", ":0\r\n"),
        ("zadd z 0 a 0 b 0 c 0 d", ":4\r\n"),
        ("zremrangebylex z [b (d", ":2\r\n"),
        ("zrange z 0 -1", "*2\r\n$1\r\na\r\n$1\r\nd\r\n"),
        ("zremrangebylex z - +", ":2\r\n"),
        ("get z", "$-1\r\n"),
        ("zremrangebylex z - +", ":0\r\n"),
        ("zremrangebyrank z 0 -1", ":0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn ranges_are_stored() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("zadd z 1 a 2 b 3 c 4 d", ":4\r\n"),
        ("zrangestore d z 1 2", ":2\r\n"),
        ("zrange d 0 -1 withscores", "*4\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$1\r\n3\r\n"),
        ("zrangestore d z 0 1 rev", ":2\r\n"),
        ("zrange d 0 -1 withscores", "*4\r\n$1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n$1\r\n4\r\n"),
        ("zrangestore d z 2 +inf byscore limit 1 1", ":1\r\n"),
        ("zrange d 0 -1 withscores", "*2\r\n$1\r\nc\r\n$1\r\n3\r\n"),
        ("zrangestore d z [b [c bylex", ":2\r\n"),
        ("zrange d 0 -1 withscores", "*4\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$1\r\n3\r\n"),
        ("zrangestore z z 0 0", ":1\r\n"),
        ("zrange z 0 -1", "*1\r\n$1\r\na\r\n"),
        ("zrangestore string z 0 0", ":1\r\n"),
        ("zrange string 0 -1", "*1\r\n$1\r\na\r\n"),
        ("zrangestore d z 5 9", ":0\r\n"),
        ("get d", "$-1\r\n"),
        ("zrangestore d absent 0 -1", ":0\r\n"),
        ("set string x", "+OK\r\n"),
        (
            "zrangestore d string 0 -1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zrangestore d z 0 -1 withscores", "-ERR syntax error\r\n"),
        ("zrangestore d z a b", "-ERR value is not an integer or out of range\r\n"),
        (
            "zrangestore d z 0 1 limit 0 1",
            "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE \
             or BYLEX\r\n",
        ),
        ("zrangestore d z 0", "-ERR wrong number of arguments for 'zrangestore' command\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn members_are_popped_from_either_end() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("zadd z 1 a 2 b 3 c 4 d 5 e 6 f", ":6\r\n"),
        ("zpopmin z", "*2\r\n$1\r\na\r\n$1\r\n1\r\n"),
        ("zpopmax z", "*2\r\n$1\r\nf\r\n$1\r\n6\r\n"),
        ("zpopmin z 2", "*4\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$1\r\n3\r\n"),
        ("zpopmax z 0", "*0\r\n"),
        ("zpopmax z 10", "*4\r\n$1\r\ne\r\n$1\r\n5\r\n$1\r\nd\r\n$1\r\n4\r\n"),
        ("get z", "$-1\r\n"),
        ("zpopmin z", "*0\r\n"),
        ("zpopmin z 3", "*0\r\n"),
        ("zpopmin z -1", "-ERR value is out of range, must be positive\r\n"),
        ("zpopmin z x", "-ERR value is out of range, must be positive\r\n"),
        ("zpopmin z 1 2", "-ERR syntax error\r\n"),
        (
            "zpopmin string",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "zpopmin string 0",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zpopmax string -1", "-ERR value is out of range, must be positive\r\n"),
        ("zadd z 1 a 2 b 3 c", ":3\r\n"),
        ("zmpop 2 absent z min", "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"),
        (
            "zmpop 1 z max count 5",
            "*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n",
        ),
        ("get z", "$-1\r\n"),
        ("zmpop 1 z max", "*-1\r\n"),
        (
            "zmpop 2 absent string min",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "zmpop 2 string z min",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zmpop 0 z min", "-ERR numkeys should be greater than 0\r\n"),
        ("zmpop x z min", "-ERR numkeys should be greater than 0\r\n"),
        ("zmpop 1 z", "-ERR wrong number of arguments for 'zmpop' command\r\n"),
        ("zmpop 2 z min", "-ERR syntax error\r\n"),
        ("zmpop 1 z foo", "-ERR syntax error\r\n"),
        ("zmpop 1 z min count", "-ERR syntax error\r\n"),
        ("zmpop 1 z min count 0", "-ERR count should be greater than 0\r\n"),
        ("zmpop 1 z min count x", "-ERR count should be greater than 0\r\n"),
        ("zmpop 1 z min count 1 count 1", "-ERR syntax error\r\n"),
        ("zmpop 1 z min foo 1", "-ERR syntax error\r\n"),
        ("zmpop 9223372036854775807 z min", "-ERR syntax error\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn unions_intersections_and_differences() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("zadd a 1 one 2 two 3 three", ":3\r\n"),
        ("zadd b 10 two 20 three 30 four", ":3\r\n"),
        ("zadd c 5 three inf five", ":2\r\n"),
        ("zunion 2 a b", "*4\r\n$3\r\none\r\n$3\r\ntwo\r\n$5\r\nthree\r\n$4\r\nfour\r\n"),
        (
            "zunion 2 a b withscores",
            "*8\r\n$3\r\none\r\n$1\r\n1\r\n$3\r\ntwo\r\n$2\r\n12\r\n$5\r\nthree\r\n$2\r\n23\r\n\
             $4\r\nfour\r\n$2\r\n30\r\n",
        ),
        (
            "zunion 3 a b absent withscores",
            "*8\r\n$3\r\none\r\n$1\r\n1\r\n$3\r\ntwo\r\n$2\r\n12\r\n$5\r\nthree\r\n$2\r\n23\r\n\
             $4\r\nfour\r\n$2\r\n30\r\n",
        ),
        (
            "zunion 2 a b weights 2 0.5 withscores",
            "*8\r\n$3\r\none\r\n$1\r\n2\r\n$3\r\ntwo\r\n$1\r\n9\r\n$4\r\nfour\r\n$2\r\n15\r\n\
             $5\r\nthree\r\n$2\r\n16\r\n",
        ),
        (
            "zunion 2 a b aggregate min withscores",
            "*8\r\n$3\r\none\r\n$1\r\n1\r\n$3\r\ntwo\r\n$1\r\n2\r\n$5\r\nthree\r\n$1\r\n3\r\n\
             $4\r\nfour\r\n$2\r\n30\r\n",
        ),
        (
            "zunion 2 a b aggregate max withscores",
            "*8\r\n$3\r\none\r\n$1\r\n1\r\n$3\r\ntwo\r\n$2\r\n10\r\n$5\r\nthree\r\n$2\r\n20\r\n\
             $4\r\nfour\r\n$2\r\n30\r\n",
        ),
        (
            "zunion 2 a b aggregate sum weights -1 1 withscores",
            "*8\r\n$3\r\none\r\n$2\r\n-1\r\n$3\r\ntwo\r\n$1\r\n8\r\n$5\r\nthree\r\n$2\r\n17\r\n\
             $4\r\nfour\r\n$2\r\n30\r\n",
        ),
        (
            "zunion 2 a a withscores",
            "*6\r\n$3\r\none\r\n$1\r\n2\r\n$3\r\ntwo\r\n$1\r\n4\r\n$5\r\nthree\r\n$1\r\n6\r\n",
        ),
        ("zinter 2 a b withscores", "*4\r\n$3\r\ntwo\r\n$2\r\n12\r\n$5\r\nthree\r\n$2\r\n23\r\n"),
        ("zinter 3 a b c withscores", "*2\r\n$5\r\nthree\r\n$2\r\n28\r\n"),
        (
            "zinter 3 a b c aggregate max weights 1 2 10 withscores",
            "*2\r\n$5\r\nthree\r\n$2\r\n50\r\n",
        ),
        ("zinter 2 a absent", "*0\r\n"),
        (
            "zinter 2 c c weights inf -inf withscores",
            "*4\r\n$4\r\nfive\r\n$1\r\n0\r\n$5\r\nthree\r\n$1\r\n0\r\n",
        ),
        ("sadd words two four six", ":3\r\n"),
        ("sadd numbers 1 2 3", ":3\r\n"),
        ("zadd digits 5 2 5 9", ":2\r\n"),
        (
            "zunion 2 a words withscores",
            "*10\r\n$4\r\nfour\r\n$1\r\n1\r\n$3\r\none\r\n$1\r\n1\r\n$3\r\nsix\r\n$1\r\n1\r\n\
             $5\r\nthree\r\n$1\r\n3\r\n$3\r\ntwo\r\n$1\r\n3\r\n",
        ),
        ("zinter 2 a words weights 1 10 withscores", "*2\r\n$3\r\ntwo\r\n$2\r\n12\r\n"),
        ("zdiff 2 a words withscores", "*4\r\n$3\r\none\r\n$1\r\n1\r\n$5\r\nthree\r\n$1\r\n3\r\n"),
        ("zdiff 2 words a withscores", "*4\r\n$4\r\nfour\r\n$1\r\n1\r\n$3\r\nsix\r\n$1\r\n1\r\n"),
        (
            "zunion 2 numbers digits weights 3 1 withscores",
            "*8\r\n$1\r\n1\r\n$1\r\n3\r\n$1\r\n3\r\n$1\r\n3\r\n$1\r\n9\r\n$1\r\n5\r\n$1\r\n\
             2\r\n$1\r\n8\r\n",
        ),
        ("zinter 1 numbers", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n"),
        ("zintercard 2 numbers digits", ":1\r\n"),
        ("zunionstore numbers 1 numbers weights 2", ":3\r\n"),
        (
            "zrange numbers 0 -1 withscores",
            "*6\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n2\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n2\r\n",
        ),
        (
            "zunion 1 c weights 0 withscores",
            "*4\r\n$4\r\nfive\r\n$1\r\n0\r\n$5\r\nthree\r\n$1\r\n0\r\n",
        ),
        ("zunion 1 nought weights -1 withscores", "*0\r\n"),
        ("zadd nought 0 n", ":1\r\n"),
        ("zunion 1 nought weights -1 withscores", "*2\r\n$1\r\nn\r\n$2\r\n-0\r\n"),
        ("zunionstore nought 1 nought weights -1", ":1\r\n"),
        ("zrange nought 0 -1 withscores", "*2\r\n$1\r\nn\r\n$1\r\n0\r\n"),
        ("zdiff 2 a b withscores", "*2\r\n$3\r\none\r\n$1\r\n1\r\n"),
        ("zdiff 3 a b c", "*1\r\n$3\r\none\r\n"),
        (
            "zdiff 2 a absent withscores",
            "*6\r\n$3\r\none\r\n$1\r\n1\r\n$3\r\ntwo\r\n$1\r\n2\r\n$5\r\nthree\r\n$1\r\n3\r\n",
        ),
        ("zdiff 2 absent a", "*0\r\n"),
        ("zdiff 2 a a", "*0\r\n"),
        ("zintercard 2 a b", ":2\r\n"),
        ("zintercard 2 a b limit 1", ":1\r\n"),
        ("zintercard 2 a b limit 0", ":2\r\n"),
        ("zintercard 2 a absent", ":0\r\n"),
        ("zunionstore d 2 a b", ":4\r\n"),
        (
            "zrange d 0 -1 withscores",
            "*8\r\n$3\r\none\r\n$1\r\n1\r\n$3\r\ntwo\r\n$2\r\n12\r\n$5\r\nthree\r\n$2\r\n23\r\n\
             $4\r\nfour\r\n$2\r\n30\r\n",
        ),
        ("zinterstore d 2 a b weights 1 2 aggregate max", ":2\r\n"),
        ("zrange d 0 -1 withscores", "*4\r\n$3\r\ntwo\r\n$2\r\n20\r\n$5\r\nthree\r\n$2\r\n40\r\n"),
        ("zdiffstore d 2 a b", ":1\r\n"),
        ("zrange d 0 -1 withscores", "*2\r\n$3\r\none\r\n$1\r\n1\r\n"),
        ("zinterstore d 2 a absent", ":0\r\n"),
        ("get d", "$-1\r\n"),
        ("zunionstore a 2 a b", ":4\r\n"),
        (
            "zrange a 0 -1 withscores",
            "*8\r\n$3\r\none\r\n$1\r\n1\r\n$3\r\ntwo\r\n$2\r\n12\r\n$5\r\nthree\r\n$2\r\n23\r\n\
             $4\r\nfour\r\n$2\r\n30\r\n",
        ),
        ("zunionstore string 1 a", ":4\r\n"),
        ("zcard string", ":4\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn combinations_refuse_wrong_arguments() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("zadd z 1 a", ":1\r\n"),
        ("zunion 0 z", "-ERR at least 1 input key is needed for 'zunion' command\r\n"),
        ("zunion -1 z", "-ERR at least 1 input key is needed for 'zunion' command\r\n"),
        ("zunion x z", "-ERR value is not an integer or out of range\r\n"),
        ("zunion 2 z", "-ERR syntax error\r\n"),
        ("zunion 9223372036854775807 z", "-ERR syntax error\r\n"),
        ("zinter 0 z", "-ERR at least 1 input key is needed for 'zinter' command\r\n"),
        ("zdiff 0 z", "-ERR at least 1 input key is needed for 'zdiff' command\r\n"),
        ("zintercard 0 z", "-ERR at least 1 input key is needed for 'zintercard' command\r\n"),
        ("zunionstore d 0 z", "-ERR at least 1 input key is needed for 'zunionstore' command\r\n"),
        ("zinterstore d 0 z", "-ERR at least 1 input key is needed for 'zinterstore' command\r\n"),
        ("zdiffstore d 0 z", "-ERR at least 1 input key is needed for 'zdiffstore' command\r\n"),
        ("zunion 1 z weights", "-ERR syntax error\r\n"),
        ("zunion 1 z weights a", "-ERR weight value is not a float\r\n"),
        ("zunion 1 z weights 1 2", "-ERR syntax error\r\n"),
        ("zunion 2 z z weights 1", "-ERR syntax error\r\n"),
        ("zunion 1 z aggregate", "-ERR syntax error\r\n"),
        ("zunion 1 z aggregate foo", "-ERR syntax error\r\n"),
        ("zunion 1 z foo", "-ERR syntax error\r\n"),
        (
            "zunion 1 string weights x",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zunionstore d 1 z withscores", "-ERR syntax error\r\n"),
        ("zdiff 1 z weights 1", "-ERR syntax error\r\n"),
        ("zdiff 1 z aggregate sum", "-ERR syntax error\r\n"),
        ("zdiffstore d 1 z withscores", "-ERR syntax error\r\n"),
        ("zintercard 1 z limit", "-ERR syntax error\r\n"),
        ("zintercard 1 z limit -1", "-ERR LIMIT can't be negative\r\n"),
        ("zintercard 1 z limit x", "-ERR LIMIT can't be negative\r\n"),
        ("zintercard 1 z withscores", "-ERR syntax error\r\n"),
        (
            "zintercard 1 string limit x",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "zinter 2 z string",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "zunionstore d 1 string",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("get d", "$-1\r\n"),
        ("zunion 1", "-ERR wrong number of arguments for 'zunion' command\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn scans_and_random_picks_refuse_wrong_arguments() {
    let cases = [
        ("set string x", "+OK\r\n"),
        ("zadd z 1 a 2 b 3.5 c", ":3\r\n"),
        (
            "zscan z 0",
            "*2\r\n$1\r\n0\r\n*6\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n\
             $3\r\n3.5\r\n",
        ),
        ("zscan z 0 match b*", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"),
        (
            "zscan z 0 match [bc] count 1",
            "*2\r\n$1\r\n0\r\n*4\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$3\r\n3.5\r\n",
        ),
        ("zscan z 0 count 100 match nothing", "*2\r\n$1\r\n0\r\n*0\r\n"),
        (
            "zscan z 17",
            "*2\r\n$1\r\n0\r\n*6\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n\
             $3\r\n3.5\r\n",
        ),
        ("zscan absent 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ("zscan absent 0 foo", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ("zscan absent x", "-ERR invalid cursor\r\n"),
        ("zscan z x", "-ERR invalid cursor\r\n"),
        ("zscan z -1", "-ERR invalid cursor\r\n"),
        ("zscan z 0 count 0", "-ERR syntax error\r\n"),
        ("zscan z 0 count -1", "-ERR syntax error\r\n"),
        ("zscan z 0 count x", "-ERR value is not an integer or out of range\r\n"),
        ("zscan z 0 match", "-ERR syntax error\r\n"),
        ("zscan z 0 foo 1", "-ERR syntax error\r\n"),
        (
            "zscan string 0 foo",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zscan string x", "-ERR invalid cursor\r\n"),
        ("zrandmember absent", "$-1\r\n"),
        ("zrandmember absent 5", "*0\r\n"),
        ("zrandmember absent -5 withscores", "*0\r\n"),
        ("zrandmember absent x", "-ERR value is not an integer or out of range\r\n"),
        ("zrandmember z 0", "*0\r\n"),
        (
            "zrandmember z -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807\r\n",
        ),
        ("zrandmember z 9223372036854775807 withscores", "-ERR value is out of range\r\n"),
        ("zrandmember z 1 foo", "-ERR syntax error\r\n"),
        ("zrandmember z 1 withscores x", "-ERR syntax error\r\n"),
        (
            "zrandmember string",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "zrandmember string 1",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("zrandmember string 1 foo", "-ERR syntax error\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn replies_of_resp3_have_doubles_and_pairs() {
    let cases = [
        ("zadd z 1 a 2.5 b 3e22 c inf d", ":4\r\n"),
        ("zscore z b", ",2.5\r\n"),
        ("zscore z nobody", "_\r\n"),
        ("zmscore z a nobody", "*2\r\n,1\r\n_\r\n"),
        ("zincrby z 1.5 a", ",2.5\r\n"),
        ("zadd z incr 1 a", ",3.5\r\n"),
        ("zadd z nx incr 1 a", "_\r\n"),
        ("zrange z 0 -1", "*4\r\n$1\r\nb\r\n$1\r\na\r\n$1\r\nc\r\n$1\r\nd\r\n"),
        (
            "zrange z 0 -1 withscores",
            "*4\r\n*2\r\n$1\r\nb\r\n,2.5\r\n*2\r\n$1\r\na\r\n,3.5\r\n*2\r\n$1\r\nc\r\n\
             ,3e+22\r\n*2\r\n$1\r\nd\r\n,inf\r\n",
        ),
        (
            "zrange z 0 -1 rev withscores",
            "*4\r\n*2\r\n$1\r\nd\r\n,inf\r\n*2\r\n$1\r\nc\r\n,3e+22\r\n*2\r\n$1\r\na\r\n\
             ,3.5\r\n*2\r\n$1\r\nb\r\n,2.5\r\n",
        ),
        ("zrangebyscore z 2 3 withscores", "*1\r\n*2\r\n$1\r\nb\r\n,2.5\r\n"),
        ("zrevrangebyscore z inf -inf withscores limit 0 1", "*1\r\n*2\r\n$1\r\nd\r\n,inf\r\n"),
        (
            "zunion 1 z withscores",
            "*4\r\n*2\r\n$1\r\nb\r\n,2.5\r\n*2\r\n$1\r\na\r\n,3.5\r\n*2\r\n$1\r\nc\r\n\
             ,3e+22\r\n*2\r\n$1\r\nd\r\n,inf\r\n",
        ),
        (
            "zinter 2 z z withscores",
            "*4\r\n*2\r\n$1\r\nb\r\n,5\r\n*2\r\n$1\r\na\r\n,7\r\n*2\r\n$1\r\nc\r\n,6e+22\r\n\
             *2\r\n$1\r\nd\r\n,inf\r\n",
        ),
        (
            "zdiff 2 z absent withscores",
            "*4\r\n*2\r\n$1\r\nb\r\n,2.5\r\n*2\r\n$1\r\na\r\n,3.5\r\n*2\r\n$1\r\nc\r\n\
             ,3e+22\r\n*2\r\n$1\r\nd\r\n,inf\r\n",
        ),
        ("zrank z nobody", "_\r\n"),
        (
            "zscan z 0",
            "*2\r\n$1\r\n0\r\n*8\r\n$1\r\nb\r\n$3\r\n2.5\r\n$1\r\na\r\n$3\r\n3.5\r\n$1\r\nc\r\n\
             $5\r\n3e+22\r\n$1\r\nd\r\n$3\r\ninf\r\n",
        ),
        ("zrandmember absent", "_\r\n"),
        ("zrandmember absent 3", "*0\r\n"),
        ("zrandmember absent 3 withscores", "*0\r\n"),
        ("zmpop 1 absent min", "_\r\n"),
        (
            "zmpop 1 z max count 2",
            "*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\nd\r\n,inf\r\n*2\r\n$1\r\nc\r\n,3e+22\r\n",
        ),
        ("zpopmin z", "*2\r\n$1\r\nb\r\n,2.5\r\n"),
        ("zpopmin z 1", "*1\r\n*2\r\n$1\r\na\r\n,3.5\r\n"),
        ("zpopmin z 1", "*0\r\n"),
        ("zpopmin z", "*0\r\n"),
        ("zrange z 0 -1 withscores", "*0\r\n"),
    ];
    let mut engine = engine();
    cases.iter().for_each(|(line, expected)| check3(&mut engine, line, expected));
}
