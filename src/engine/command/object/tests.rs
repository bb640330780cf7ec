use crate::engine::testing::{check, check_all, check3, engine};

#[test]
fn object_tells_the_form_of_values() {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("SET i 100", "+OK\r\n"),
            ("SET s hello", "+OK\r\n"),
            ("SET l 123456789012345678901234567890123456789012345", "+OK\r\n"),
            ("OBJECT ENCODING i", "$3\r\nint\r\n"),
            ("OBJECT ENCODING s", "$6\r\nembstr\r\n"),
            ("OBJECT ENCODING l", "$3\r\nraw\r\n"),
            ("APPEND s !", ":6\r\n"),
            ("OBJECT ENCODING s", "$3\r\nraw\r\n"),
            ("OBJECT REFCOUNT s", ":1\r\n"),
            ("OBJECT ENCODING none", "$-1\r\n"),
            ("OBJECT foo", "-ERR unknown subcommand 'foo'. Try OBJECT HELP.\r\n"),
            ("OBJECT", "-ERR wrong number of arguments for 'object' command\r\n"),
            ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command\r\n"),
        ],
    );
    check3(&mut engine, "OBJECT ENCODING none", "_\r\n");
}

#[test]
fn encodings_are_those_of_each_type() {
    let mut engine = engine();
    let long = "x".repeat(65);
    let cases = [
        ("RPUSH list a", "OBJECT ENCODING list", "listpack"),
        ("SADD ints 1 2", "OBJECT ENCODING ints", "intset"),
        ("SADD words a b", "OBJECT ENCODING words", "listpack"),
        (&format!("SADD long {long}"), "OBJECT ENCODING long", "hashtable"),
        ("HSET hash f v", "OBJECT ENCODING hash", "listpack"),
        (&format!("HSET wide f {long}"), "OBJECT ENCODING wide", "hashtable"),
        ("ZADD zset 1 a", "OBJECT ENCODING zset", "listpack"),
        (&format!("ZADD zlong 1 {long}"), "OBJECT ENCODING zlong", "skiplist"),
        ("XADD stream 1-1 f v", "OBJECT ENCODING stream", "stream"),
    ];
    for (line, question, expected) in cases {
        crate::engine::testing::run_line(&mut engine, Default::default(), line);
        check(&mut engine, question, &format!("${}\r\n{expected}\r\n", expected.len()));
    }
}

#[test]
fn what_is_not_kept_is_an_error_of_keys_that_are_there() {
    let freq = "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
                note that when switching between policies at runtime LRU and LFU data will take \
                some time to adjust.\r\n";
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("SET k v", "+OK\r\n"),
            ("OBJECT FREQ k", freq),
            ("OBJECT IDLETIME k", "-ERR idle time not tracked\r\n"),
            ("OBJECT FREQ none", "$-1\r\n"),
            ("OBJECT IDLETIME none", "$-1\r\n"),
            ("OBJECT FREQ", "-ERR wrong number of arguments for 'object|freq' command\r\n"),
        ],
    );
    check3(&mut engine, "OBJECT FREQ none", "_\r\n");
}
