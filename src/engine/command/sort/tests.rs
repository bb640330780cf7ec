use crate::engine::reply::Protocol;
use crate::engine::testing::{check, check_all, check3, engine, run_line};

/// The array of bulk strings that a line of words stands for.
fn array(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let bulk = |word: &&str| match *word {
        "nil" => "$-1\r\n".to_owned(),
        word => format!("${}\r\n{word}\r\n", word.len()),
    };
    format!("*{}\r\n{}", words.len(), words.iter().map(bulk).collect::<String>())
}

fn engine_with(lines: &[&str]) -> crate::engine::Engine {
    let mut engine = engine();
    for line in lines {
        assert_ne!(run_line(&mut engine, Protocol::Resp2, line)[0], b'-', "{line}");
    }
    engine
}

#[test]
fn what_is_wrong_is_told_in_the_words_of_redis() {
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    let not_integer = "-ERR value is not an integer or out of range\r\n";
    let syntax = "-ERR syntax error\r\n";
    let no_score = "-ERR One or more scores can't be converted into double\r\n";
    check_all(
        &mut engine_with(&["SET s v", "RPUSH l 1 x", "SET w1 2", "RPUSH m 1 2", "SET w2 nan"]),
        &[
            ("SORT", "-ERR wrong number of arguments for 'sort' command\r\n"),
            ("SORT s FOO", syntax),
            ("SORT s LIMIT 1", syntax),
            ("SORT s LIMIT a 1", not_integer),
            ("SORT s BY", syntax),
            ("SORT s GET", syntax),
            ("SORT s STORE", syntax),
            ("SORT_RO l STORE d", syntax),
            ("SORT_RO l STORE d LIMIT x 1", syntax),
            ("SORT s", wrong),
            ("SORT_RO s", wrong),
            ("SORT l", no_score),
            ("SORT_RO m BY w*", no_score),
            ("SORT l STORE d", no_score),
            ("EXISTS d", ":0\r\n"),
        ],
    );
}

#[test]
fn elements_are_sorted_by_themselves() {
    let mut engine = engine_with(&[
        "RPUSH l 10 9 -1 2.5 0x10 inf",
        "RPUSH t b a C aa",
        "SADD s 3 1 2",
        "ZADD z 1 c 2 a 3 b",
    ]);
    let cases = [
        ("SORT none", ""),
        ("SORT l", "-1 2.5 9 10 0x10 inf"),
        ("SORT l DESC", "inf 0x10 10 9 2.5 -1"),
        ("SORT l DESC ASC LIMIT 1 2", "2.5 9"),
        ("SORT l LIMIT -5 2", "-1 2.5"),
        ("SORT l LIMIT 4 -1", "0x10 inf"),
        ("SORT l LIMIT 4 100", "0x10 inf"),
        ("SORT l LIMIT 100 1", ""),
        ("SORT l LIMIT 0 0", ""),
        ("SORT l LIMIT 9223372036854775807 9223372036854775807", ""),
        ("SORT t ALPHA", "C a aa b"),
        ("SORT t alpha desc limit 0 2", "b aa"),
        ("SORT s DESC", "3 2 1"),
        ("SORT_RO z ALPHA", "a b c"),
        ("SORT z BY nosort", "c a b"),
        ("SORT z BY nosort DESC", "b a c"),
        ("SORT z BY nosort DESC LIMIT 1 1", "a"),
        ("SORT l BY nosort DESC LIMIT 0 2", "inf 0x10"),
        ("SORT l BY nosort BY w*", "10 9 -1 2.5 0x10 inf"),
    ];
    for (line, expected) in cases {
        check(&mut engine, line, &array(expected));
    }
}

#[test]
fn other_keys_give_weights_and_results() {
    let mut engine = engine_with(&[
        "RPUSH l 1 2 3 4",
        "MSET w1 30 w2 20 w3 10 t1 b t2 a v1 one v2 two v3 three",
        "HSET h1 f 1 g x",
        "HSET h2 f 0",
        "SET h3 string",
        "RPUSH v4 list",
        "MSET ->1 odd a->1 even",
    ]);
    let cases = [
        ("SORT l BY w*", "4 3 2 1"),
        ("SORT l BY w* DESC", "1 2 3 4"),
        // Without a weight: before all others as text, and 0 as a number.
        ("SORT l BY t* ALPHA", "3 4 2 1"),
        ("SORT l BY t* ALPHA DESC", "1 2 3 4"),
        ("SORT l BY h*->f", "2 3 4 1"),
        // Equal weights: by the elements.
        ("SORT l BY none* DESC", "4 3 2 1"),
        ("SORT l BY w* GET v* GET #", "nil 4 three 3 two 2 one 1"),
        ("SORT l GET h*->f GET h*->none", "1 nil 0 nil nil nil nil nil"),
        ("SORT l LIMIT 0 1 GET none GET ->* GET a->* GET a*->", "nil odd even nil"),
        ("SORT l BY nosort GET # LIMIT 1 2", "2 3"),
    ];
    for (line, expected) in cases {
        check(&mut engine, line, &array(expected));
    }
    check3(&mut engine, "SORT l LIMIT 0 1 GET none", "*1\r\n_\r\n");
}

#[test]
fn what_is_stored_is_a_list() {
    let mut engine = engine_with(&["SADD s b c a", "RPUSH l 2 1", "SET d old PX 1000"]);
    let cases = [
        ("SORT l STORE d", ":2\r\n".to_owned()),
        ("TTL d", ":-1\r\n".to_owned()),
        ("LRANGE d 0 -1", array("1 2")),
        ("SORT l GET none* STORE d", ":2\r\n".to_owned()),
        ("LRANGE d 0 -1", "*2\r\n$0\r\n\r\n$0\r\n\r\n".to_owned()),
        ("SORT l STORE l", ":2\r\n".to_owned()),
        ("LRANGE l 0 -1", array("1 2")),
        ("SORT s BY nosort STORE d", ":3\r\n".to_owned()),
        ("LRANGE d 0 -1", array("a b c")),
        ("SORT s BY nosort DESC STORE d", ":3\r\n".to_owned()),
        ("LRANGE d 0 -1", array("c b a")),
        ("SORT none STORE d", ":0\r\n".to_owned()),
        ("EXISTS d", ":0\r\n".to_owned()),
    ];
    for (line, expected) in cases {
        check(&mut engine, line, &expected);
    }
}

#[test]
fn numbers_are_read_as_by_strtod() {
    let mut engine = engine_with(&["RPUSH l \"  3\" \"\" \"1\\0x\""]);
    check(&mut engine, "SORT l", "*3\r\n$0\r\n\r\n$3\r\n1\0x\r\n$3\r\n  3\r\n");
    for bad in ["\" \"", "\"3 \"", "1e999", "nan"] {
        let mut engine = engine_with(&[&format!("RPUSH l {bad}")]);
        let reply = run_line(&mut engine, Protocol::Resp2, "SORT l");
        assert!(reply.starts_with(b"-ERR One or more"), "{bad}");
    }
}
