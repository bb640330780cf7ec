use crate::engine::Engine;
use crate::engine::batch::Batch;
use crate::engine::command::lookup;
use crate::engine::import::{Phase, Reached, Unit};
use crate::engine::random::Random;
use crate::engine::rdb;
use crate::engine::reply::{Protocol, Reply};
use crate::engine::testing::{START_MS, advance, check, check_all, engine, run_words, words};
use crate::engine::types::hash::Hash;
use crate::engine::types::list::{End, List};
use crate::engine::value::Value;

const READ_ONLY: &str = "-READONLY You can't write against a read only replica.\r\n";

/// An engine that follows a source, in session 7.
fn following() -> Engine {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("RAFT.IMPORT FOLLOW host 6379 \"\" secret", "+OK\r\n"),
            ("RAFT.IMPORT ATTACH 7", "+OK\r\n"),
        ],
    );
    engine
}

fn reached(offset: u64) -> Reached {
    Reached { phase: Phase::Following, replid: b"id".to_vec(), offset, database: 3 }
}

/// Runs a unit of these command lines; returns the reply.
fn unit(engine: &mut Engine, session: u64, number: u64, lines: &[&str]) -> String {
    let mut commands = Batch::default();
    for line in lines {
        let words = words(line);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        commands.push(lookup(words[0]).unwrap(), 0, &words[1..]);
    }
    let head = Unit { session, number, reached: reached(number + 1) }.words();
    let head: Vec<&[u8]> = head.iter().map(Vec::as_slice).collect();
    let mut batch = Batch::default();
    let count = lines.len() as u32;
    batch.push_unit(lookup(b"raft.import").unwrap(), &head, &commands, count);
    let mut reply = Reply::new(Protocol::Resp2);
    let now_ms = engine.keyspace.clock_ms();
    let mut commands = batch.commands();
    engine.run_next(&mut commands, &mut reply, now_ms, &mut Random::new(7));
    assert_eq!(commands.next(), None, "what is refused is passed over");
    String::from_utf8(reply.buffer).unwrap()
}

#[test]
fn each_unit_is_run_once_and_only_in_its_turn_and_session() {
    let mut engine = following();
    let incr = &["INCR n", "INCR n"];
    for (session, number, reply) in [
        (7, 0, "+OK\r\n"),
        (7, 0, "$-1\r\n"),
        (7, 2, "$-1\r\n"),
        (8, 1, "$-1\r\n"),
        (0, 1, "$-1\r\n"),
        (7, 1, "+OK\r\n"),
    ] {
        let before = engine.digest();
        assert_eq!(unit(&mut engine, session, number, incr), reply, "{session} {number}");
        assert_eq!(engine.digest() == before, reply.starts_with('$'));
    }
    check(&mut engine, "GET n", "$1\r\n4\r\n");
    assert_eq!((engine.import().reached(), engine.import().state()), (&reached(2), "following"));
    // The next session goes on, and the former one is over.
    check(&mut engine, "RAFT.IMPORT ATTACH 9", "+OK\r\n");
    assert_eq!(engine.import().state(), "connecting");
    assert_eq!(unit(&mut engine, 7, 2, incr), "$-1\r\n");
    assert_eq!(unit(&mut engine, 9, 2, incr), "+OK\r\n");
    check(&mut engine, "RAFT.IMPORT DETACH 7", "+OK\r\n");
    assert_eq!(engine.import().state(), "following", "no session of now");
    check(&mut engine, "RAFT.IMPORT DETACH 9", "+OK\r\n");
    assert_eq!(unit(&mut engine, 9, 3, incr), "$-1\r\n");
    assert_eq!(engine.import().progress().commands, 6);
}

#[test]
fn clients_may_not_write_meanwhile_unless_the_settings_say_so() {
    let mut engine = engine();
    check(&mut engine, "SET k v", "+OK\r\n");
    check(&mut engine, "RAFT.IMPORT FOLLOW host 6379 \"\" \"\"", "+OK\r\n");
    check_all(
        &mut engine,
        &[
            ("SET k w", READ_ONLY),
            ("FUNCTION FLUSH", READ_ONLY),
            ("FLUSHALL", READ_ONLY),
            ("SET k", "-ERR wrong number of arguments for 'set' command\r\n"),
            ("GET k", "$1\r\nv\r\n"),
            ("PUBLISH c m", ":0\r\n"),
        ],
    );
    let script = b"return redis.pcall('set', KEYS[1], 'x').err";
    let reply = run_words(&mut engine, Protocol::Resp2, &[b"EVAL", script, b"1", b"k"]);
    assert!(reply.windows(8).any(|it| it == b"READONLY"), "{}", reply.escape_ascii());
    let script = b"#!lua\nreturn 1";
    let reply = run_words(&mut engine, Protocol::Resp2, &[b"EVAL", script, b"0"]);
    assert!(reply.starts_with(b"-READONLY "), "{}", reply.escape_ascii());
    let script = b"#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])";
    let reply = run_words(&mut engine, Protocol::Resp2, &[b"EVAL", script, b"1", b"k"]);
    assert_eq!(reply, b"$1\r\nv\r\n");
    let mut queued = Batch::default();
    queued.push(lookup(b"get").unwrap(), 0, &[b"k"]);
    queued.push(lookup(b"del").unwrap(), 0, &[b"k"]);
    let mut batch = Batch::default();
    batch.push_transaction(None, lookup(b"exec").unwrap(), &queued, 2);
    let mut reply = Reply::new(Protocol::Resp2);
    engine.run_next(&mut batch.commands(), &mut reply, START_MS, &mut Random::new(7));
    assert!(reply.buffer.starts_with(b"-EXECABORT Transaction discarded because of: READONLY "));
    check_all(
        &mut engine,
        &[
            ("RAFT.SETTING SET replica-read-only no", "+OK\r\n"),
            ("SET k w", "+OK\r\n"),
            ("RAFT.SETTING SET replica-read-only yes", "+OK\r\n"),
            ("SET k x", READ_ONLY),
            ("RAFT.IMPORT STOP", "+OK\r\n"),
            ("SET k x", "+OK\r\n"),
        ],
    );
}

#[test]
fn an_import_takes_memory_and_keeps_what_is_due_until_the_source_says_so() {
    let mut engine = following();
    check(&mut engine, "RAFT.SETTING SET maxmemory 1 default-ttl 1000 max-ttl 1000", "+OK\r\n");
    let at_ms = START_MS + 100;
    let set = format!("SET k v PXAT {at_ms}");
    let field = format!("HPEXPIREAT h {at_ms} FIELDS 1 f");
    let lines = [&set, "SET for-ever v", "HSET h f v", &field];
    assert_eq!(unit(&mut engine, 7, 0, &lines), "+OK\r\n");
    check(&mut engine, "PTTL for-ever", ":-1\r\n");
    advance(&mut engine, 200);
    engine.expire_due(100);
    assert_eq!(engine.next_deadline(), None);
    check_all(&mut engine, &[("GET k", "$-1\r\n"), ("HGET h f", "$-1\r\n"), ("DBSIZE", ":3\r\n")]);
    // It had got more time in the meantime.
    let later = format!("PEXPIREAT k {}", START_MS + 900);
    let lines = ["HPERSIST h FIELDS 1 f", &later, "APPEND k w"];
    assert_eq!(unit(&mut engine, 7, 1, &lines), "+OK\r\n");
    check_all(&mut engine, &[("GET k", "$2\r\nvw\r\n"), ("HGET h f", "$1\r\nv\r\n")]);
    assert_eq!(engine.import().progress().errors, 0);
    check(&mut engine, "RAFT.IMPORT STOP", "+OK\r\n");
    advance(&mut engine, 1000);
    engine.expire_due(100);
    check_all(&mut engine, &[("EXISTS k h", ":1\r\n"), ("DBSIZE", ":2\r\n")]);
}

#[test]
fn errors_are_counted_and_the_last_one_is_told() {
    let mut engine = following();
    assert_eq!(unit(&mut engine, 7, 0, &["SET k v", "LPUSH k x", "SET l v"]), "+OK\r\n");
    let progress = engine.import().progress();
    assert_eq!((progress.commands, progress.errors), (3, 1));
    let told = String::from_utf8_lossy(&progress.last_error);
    assert!(told.starts_with("lpush 'k' in database 0: WRONGTYPE "), "{told}");
    check(&mut engine, "GET l", "$1\r\nv\r\n");
}

#[test]
fn a_source_is_followed_until_another_is_named_or_none() {
    let mut engine = following();
    let already = "+OK Already connected to specified master\r\n";
    check(&mut engine, "RAFT.IMPORT FOLLOW host 6379 \"\" \"\"", already);
    assert_eq!(unit(&mut engine, 7, 0, &["SET k v"]), "+OK\r\n");
    check(&mut engine, "RAFT.IMPORT FOLLOW other 6379 \"\" \"\"", "+OK\r\n");
    assert_eq!(engine.import().reached(), &reached(1), "it may have the same history");
    assert_eq!(unit(&mut engine, 7, 1, &["SET k w"]), "$-1\r\n");
    check_all(
        &mut engine,
        &[
            ("RAFT.IMPORT ATTACH 8", "+OK\r\n"),
            ("RAFT.IMPORT FAIL 7 old", "+OK\r\n"),
            ("RAFT.IMPORT FAIL 8 why", "+OK\r\n"),
        ],
    );
    let import = engine.import();
    assert_eq!((import.state(), &*import.progress().failure), ("failed", &b"why"[..]));
    check_all(
        &mut engine,
        &[
            ("RAFT.IMPORT ATTACH 9", "+OK\r\n"),
            ("RAFT.IMPORT FOLLOW other 6379 user word", "+OK\r\n"),
            ("RAFT.IMPORT CREDENTIALS user other", "+OK\r\n"),
        ],
    );
    let import = engine.import();
    assert_eq!((import.state(), import.reached()), ("connecting", &Reached::default()));
    assert_eq!(import.source().unwrap().password, b"other");
    for line in ["FOLLOW h", "FOLLOW h x u p", "FOLLOW h 70000 u p", "ATTACH x", "NOPE", "STOP 1"] {
        check(&mut engine, &format!("RAFT.IMPORT {line}"), "-ERR syntax error\r\n");
    }
    check(&mut engine, "RAFT.IMPORT STOP", "+OK\r\n");
    assert_eq!(engine.import().state(), "none");
}

#[test]
fn collections_that_come_in_parts_are_put_together() {
    let mut engine = following();
    let mut list = List::default();
    list.push(End::Right, b"a");
    let list = rdb::dump(&Value::List(Box::new(list)));
    let mut hash = Hash::default();
    hash.set(b"f", b"v");
    hash.set_deadline(b"f", START_MS + 50);
    let hash = rdb::dump(&Value::Hash(hash));
    check(&mut engine, "RAFT.IMPORT STOP", "+OK\r\n");
    let mut run = |words: &[&[u8]]| {
        let reply = run_words(&mut engine, Protocol::Resp2, words);
        String::from_utf8(reply).unwrap()
    };
    assert_eq!(run(&[b"RESTORE", b"l", b"0", &list]), "+OK\r\n");
    assert_eq!(run(&[b"RAFT.EXTEND", b"l", b"0", &list]), "+OK\r\n");
    assert_eq!(run(&[b"LRANGE", b"l", b"0", b"-1"]), "*2\r\n$1\r\na\r\n$1\r\na\r\n");
    assert!(run(&[b"RAFT.EXTEND", b"l", b"0", &hash]).starts_with("-WRONGTYPE "));
    assert!(run(&[b"RAFT.EXTEND", b"l", b"0", b"x"]).starts_with("-ERR Bad data format"));
    // Its first part had only fields that were due.
    let due = (START_MS + 1000).to_string();
    assert_eq!(run(&[b"RAFT.EXTEND", b"h", due.as_bytes(), &hash]), "+OK\r\n");
    assert_eq!(run(&[b"HPTTL", b"h", b"FIELDS", b"1", b"f"]), "*1\r\n:50\r\n");
    assert_eq!(run(&[b"PEXPIRETIME", b"h"]), format!(":{due}\r\n"));
    assert_eq!(run(&[b"RAFT.EXTEND", b"gone", b"1", &list]), "+OK\r\n");
    assert_eq!(run(&[b"EXISTS", b"gone"]), ":0\r\n");
}
