use crate::engine::command::{keys_of, lookup, spec};
use crate::engine::reply::Protocol;
use crate::engine::testing::{advance, check, check_all, engine, run_line};

#[test]
fn what_is_sent_is_what_dump_tells_and_nothing_of_what_is_not_there() {
    let mut engine = engine();
    check(&mut engine, "RAFT.DUMP none", "*0\r\n");
    check(&mut engine, "RAFT.DUMP", "*0\r\n");
    check(&mut engine, "SET a 1", "+OK\r\n");
    advance(&mut engine, 1);
    check(&mut engine, "SET b 1 PX 500", "+OK\r\n");
    let dumped = run_line(&mut engine, Protocol::Resp2, "DUMP a");
    let dumped = String::from_utf8_lossy(&dumped).into_owned();
    let expected = format!(
        "*8\r\n$1\r\nb\r\n$1\r\n2\r\n$3\r\n500\r\n{dumped}$1\r\na\r\n$1\r\n1\r\n$1\r\n0\r\n{dumped}"
    );
    let told = run_line(&mut engine, Protocol::Resp2, "RAFT.DUMP b none a");
    assert_eq!(String::from_utf8_lossy(&told), expected);
    advance(&mut engine, 500);
    check(&mut engine, "RAFT.DUMP b", "*0\r\n");
}

#[test]
fn only_what_has_not_changed_is_released() {
    let mut engine = engine();
    check_all(&mut engine, &[("MSET a 1 b 1 c 1 d 1 e 1", "+OK\r\n"), ("SET f 1", "+OK\r\n")]);
    advance(&mut engine, 1);
    check_all(
        &mut engine,
        &[
            ("APPEND b x", ":2\r\n"),
            ("DEL c", ":1\r\n"),
            ("PEXPIRE d 100000", ":1\r\n"),
            ("RENAME e g", "+OK\r\n"),
            ("RENAME f e", "+OK\r\n"),
            ("GET a", "$1\r\n1\r\n"),
            ("RAFT.RELEASE a 1 b 1 c 1 d 1 e 1", ":4\r\n"),
            ("EXISTS a b c d e g", ":4\r\n"),
            ("RAFT.RELEASE b 2 d 2", ":0\r\n"),
            ("EXISTS b d", ":0\r\n"),
            ("RAFT.RELEASE a", "-ERR wrong number of arguments for 'raft.release' command\r\n"),
            ("RAFT.RELEASE a 1 b", "-ERR syntax error\r\n"),
            ("RAFT.RELEASE a x", "-ERR value is not an integer or out of range\r\n"),
        ],
    );
}

#[test]
fn the_keys_are_behind_keys_if_the_third_word_is_empty() {
    let keys = |line: &[&str]| {
        let words: Vec<&[u8]> = line.iter().map(|word| word.as_bytes()).collect();
        keys_of(spec(lookup(b"migrate").unwrap()), &words)
    };
    assert_eq!(keys(&["migrate", "h", "1", "k", "0", "9", "COPY"]), [3]);
    assert_eq!(keys(&["migrate", "h", "1", "", "0", "9", "copy", "keys", "a", "b"]), [8, 9]);
    assert_eq!(keys(&["migrate", "h", "1", "", "0", "9", "AUTH", "KEYS", "KEYS", "a"]), [9]);
    assert_eq!(keys(&["migrate", "h", "1", "", "0", "9", "AUTH2", "u", "keys", "KEYS", "a"]), [10]);
    assert_eq!(keys(&["migrate", "h", "1", "k", "0", "9", "KEYS", "a"]), [3]);
}
