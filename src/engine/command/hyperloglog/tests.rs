use crate::engine::reply::Protocol;
use crate::engine::testing::{check, check_all, engine, run_line};

const NOT_ONE: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n";
const CORRUPTED: &str = "-INVALIDOBJ Corrupted HLL object detected\r\n";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

#[test]
fn what_is_no_hyperloglog_is_refused() {
    let cases = [
        ("PFADD", "-ERR wrong number of arguments for 'pfadd' command\r\n"),
        ("PFCOUNT", "-ERR wrong number of arguments for 'pfcount' command\r\n"),
        ("PFMERGE", "-ERR wrong number of arguments for 'pfmerge' command\r\n"),
        ("SET s abc", "+OK\r\n"),
        ("SET n 12345678901234567", "+OK\r\n"),
        ("RPUSH l a", ":1\r\n"),
        ("PFADD s a", NOT_ONE),
        ("PFADD n", NOT_ONE),
        ("PFADD l a", WRONG_TYPE),
        ("PFCOUNT s", NOT_ONE),
        ("PFCOUNT l", WRONG_TYPE),
        ("PFCOUNT none s", NOT_ONE),
        ("PFMERGE d s", NOT_ONE),
        ("PFMERGE s", NOT_ONE),
        ("PFMERGE d none l", WRONG_TYPE),
        ("EXISTS d", ":0\r\n"),
        ("GET s", "$3\r\nabc\r\n"),
        // The header is right, but there are no registers.
        ("SET c \"HYLL\\x01\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\x80\"", "+OK\r\n"),
        ("PFADD c a", CORRUPTED),
        ("PFCOUNT c", CORRUPTED),
        ("PFCOUNT c none", CORRUPTED),
        ("PFMERGE d c", CORRUPTED),
        ("EXISTS d", ":0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn elements_are_counted_once() {
    let cases = [
        ("PFADD h", ":1\r\n"),
        ("PFADD h", ":0\r\n"),
        ("PFCOUNT h", ":0\r\n"),
        ("PFADD h a b c d e f g", ":1\r\n"),
        ("PFADD h a g", ":0\r\n"),
        ("PFCOUNT h", ":7\r\n"),
        ("PFCOUNT none", ":0\r\n"),
        ("PFADD other g h i", ":1\r\n"),
        ("PFCOUNT h other none", ":9\r\n"),
        ("PFMERGE h other none", "+OK\r\n"),
        ("PFCOUNT h", ":9\r\n"),
        ("PFMERGE new", "+OK\r\n"),
        ("PFCOUNT new", ":0\r\n"),
        ("PFMERGE new h other", "+OK\r\n"),
        ("PFCOUNT new", ":9\r\n"),
        ("TYPE new", "+string\r\n"),
        ("OBJECT ENCODING new", "$3\r\nraw\r\n"),
        ("EXPIRE new 100", ":1\r\n"),
        ("PFADD new z", ":1\r\n"),
        ("PFMERGE new h", "+OK\r\n"),
        ("TTL new", ":100\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

/// What redis-server holds after the same commands.
#[test]
fn the_string_is_that_of_redis() {
    let mut engine = engine();
    check(&mut engine, "PFADD h a b c", ":1\r\n");
    let sparse = run_line(&mut engine, Protocol::Resp2, "GET h");
    assert_eq!(sparse.escape_ascii().to_string(), SPARSE);
    for element in 0..3_000 {
        run_line(&mut engine, Protocol::Resp2, &format!("PFADD h {element}"));
    }
    check(&mut engine, "STRLEN h", ":12304\r\n");
    check(&mut engine, "PFCOUNT h", COUNT);
    check(&mut engine, "BITCOUNT h 16 -1", BITS);
}

const SPARSE: &str = "$27\\r\\nHYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80\
                      `\\xf3\\x80P\\xb1\\x84K\\xfb\\x80BZ\\r\\n";
const COUNT: &str = ":3007\r\n";
const BITS: &str = ":3337\r\n";
