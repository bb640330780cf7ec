//! WATCH and EXEC as the engine runs them: what breaks a watch, and what does not.

use crate::engine::Engine;
use crate::engine::batch::{Batch, Caller, Command};
use crate::engine::command::{CommandId, lookup};
use crate::engine::random::Random;
use crate::engine::reply::{Protocol, Reply};
use crate::engine::testing::{START_MS, advance, check, engine};
use crate::limits::WATCHED_KEYS_MAX;
use crate::raft::types::MemberId;

fn id(name: &str) -> CommandId {
    lookup(name.as_bytes()).unwrap()
}

fn caller(session: u64) -> Caller {
    Caller { session, protocol: Protocol::Resp2 }
}

fn push(batch: &mut Batch, database: u8, line: &str) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    batch.push(lookup(words[0]).unwrap(), database, &words[1..]);
}

/// Runs a batch of the clients of member 3.
fn run(engine: &mut Engine, batch: &Batch, protocol: Protocol) -> String {
    let mut reply = Reply::new(protocol);
    let (now_ms, mut random) = (engine.keyspace.clock_ms(), Random::new(1));
    engine.begin_batch(MemberId(3));
    let mut commands = batch.commands();
    while engine.run_next(&mut commands, &mut reply, now_ms, &mut random).is_some() {}
    String::from_utf8(reply.buffer).unwrap().replace("\r\n", "|")
}

/// A command of a session: WATCH or its end.
fn session(engine: &mut Engine, session: u64, database: u8, line: &str) -> String {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut batch = Batch::default();
    batch.push_for(caller(session), lookup(words[0]).unwrap(), database, &words[1..]);
    run(engine, &batch, Protocol::Resp2)
}

fn exec(engine: &mut Engine, session: Option<u64>, lines: &[&str]) -> String {
    exec_in(engine, session, Protocol::Resp2, lines)
}

fn exec_in(
    engine: &mut Engine,
    session: Option<u64>,
    protocol: Protocol,
    lines: &[&str],
) -> String {
    let (mut queued, mut batch) = (Batch::default(), Batch::default());
    lines.iter().for_each(|line| push(&mut queued, 0, line));
    batch.push_transaction(session.map(caller), id("exec"), &queued, lines.len() as u32);
    run(engine, &batch, protocol)
}

#[test]
fn a_transaction_answers_each_command_and_goes_on_behind_errors() {
    let mut engine = engine();
    let lines = ["SET a b", "INCR a", "LPUSH a x", "GET a", "BLPOP none 0", "HGETALL none"];
    let errors = "-ERR value is not an integer or out of range|\
                  -WRONGTYPE Operation against a key holding the wrong kind of value|";
    assert_eq!(exec(&mut engine, None, &lines[..4]), format!("*4|+OK|{errors}$1|b|"));
    assert_eq!(exec_in(&mut engine, None, Protocol::Resp3, &lines[5..]), "*1|%0|");
    assert_eq!(exec(&mut engine, None, &[]), "*0|");
    let stats = engine.stats();
    let calls = |name: &str| stats.commands[usize::from(id(name).0)].calls;
    assert_eq!((calls("exec"), calls("set"), calls("incr")), (3, 1, 1));
}

#[test]
fn what_follows_a_transaction_that_is_refused_is_run() {
    let mut engine = engine();
    session(&mut engine, 1, 0, "WATCH k");
    check(&mut engine, "SET k 1", "+OK\r\n");
    let (mut queued, mut batch) = (Batch::default(), Batch::default());
    push(&mut queued, 0, "SET k 2");
    push(&mut queued, 0, "SET k 3");
    batch.push_transaction(Some(caller(1)), id("exec"), &queued, 2);
    push(&mut batch, 0, "GET k");
    assert_eq!(run(&mut engine, &batch, Protocol::Resp2), "*-1|$1|1|");
    let mut skipped = batch.commands();
    skipped.skip_next();
    assert_eq!(skipped.next().unwrap().id, id("get"));
}

/// Whether a transaction is refused after these lines, as redis-server refuses it.
#[test]
fn a_watch_is_broken_by_what_changes_the_key_and_by_nothing_else() {
    let cases = [
        ("SET k 1", "SET k 1", true),
        ("SET k 1", "GET k", false),
        ("SET k 1", "SET k 2 NX", false),
        ("SET k 1", "APPEND k x", true),
        ("SET k 1", "DEL k", true),
        ("SET k 1", "DEL other", false),
        ("SET k 1", "EXPIRE k 100", true),
        ("SET k 1", "EXPIRE k 100 XX", false),
        ("SET k 1", "PERSIST k", false),
        ("SET k 1", "RENAME k other", true),
        ("SET o 1", "RENAME o k", true),
        ("SET k 1", "COPY k other", false),
        ("SET o 1", "COPY o k", true),
        ("SET k 1", "MOVE k 1", true),
        ("SET k 1", "SWAPDB 0 1", true),
        ("SET o 1", "SWAPDB 0 1", false),
        ("SET k 1", "SWAPDB 2 1", false),
        ("SET k 1", "FLUSHDB", true),
        ("SET o 1", "FLUSHDB", false),
        ("SET k 1", "FLUSHALL", true),
        ("SADD k 1", "SADD k 1", false),
        ("SADD k 1", "SREM k 9", false),
        ("SADD k 1", "SREM k 1", true),
        ("HSET k a 1", "HSET k a 1", true),
        ("HSET k a 1", "HSETNX k a 2", false),
        ("ZADD k 1 a", "ZADD k 1 a", false),
        ("ZADD k 1 a", "ZINCRBY k 0 a", false),
        ("ZADD k 1 a", "ZINCRBY k 1 a", true),
        ("ZADD k 1 a", "ZADD k XX 2 b", false),
        ("ZADD k 1 a", "ZADD k 2 b", true),
        ("ZADD o 1 a", "ZADD k 2 b", true),
        ("ZADD k 1 a", "ZREM k b", false),
        ("ZADD k 1 a", "ZREM k a", true),
        ("ZADD k 1 a 2 b", "ZREM k a", true),
        ("ZADD k 1 a 2 b", "ZREMRANGEBYSCORE k 2 2", true),
        ("ZADD k 1 a 2 b", "ZREMRANGEBYSCORE k 5 6", false),
        ("ZADD k 1 a 2 b", "ZREMRANGEBYRANK k 0 -1", true),
        ("RPUSH k a", "LREM k 0 z", false),
        ("RPUSH k a", "LPOP k", true),
        ("RPUSH o a", "RPOPLPUSH o k", true),
        ("SADD o a", "SUNIONSTORE k o", true),
        ("SADD o a", "SDIFFSTORE k o o", false),
        ("XADD k 1-1 a b", "XADD k 1-1 a b", false),
        ("XADD k 1-1 a b", "XDEL k 5-5", false),
        ("XADD k 1-1 a b", "XDEL k 1-1", true),
        ("XADD k 1-1 a b", "XTRIM k MAXLEN 10", false),
        ("XADD k 1-1 a b", "XTRIM k MAXLEN 0", true),
        ("XADD k 1-1 a b", "XGROUP CREATE k g 0", false),
        ("XADD o 1-1 a b", "XGROUP CREATE k g 0 MKSTREAM", true),
        ("XGROUP CREATE k g 0 MKSTREAM", "XREADGROUP GROUP g c STREAMS k >", false),
        ("XGROUP CREATE k g 0 MKSTREAM", "XGROUP DESTROY k g", false),
        ("XGROUP CREATE k g 0 MKSTREAM", "XACK k g 1-1", false),
        ("XADD k 1-1 a b", "XADD k 2-1 a b", true),
        ("XADD k 1-1 a b", "XSETID k 0-1", false),
        ("XADD k 1-1 a b", "XSETID k 2-1", false),
        ("RPUSH k a", "SET k string", true),
        ("RPUSH k a", "INCR k", false),
        ("SET k a", "INCR k", false),
        ("SET k 1", "INCRBY k 0", true),
        ("HSET k f a", "HINCRBY k f 1", false),
        ("PFADD k a", "PFADD k a", false),
        ("PFADD k a", "PFADD k b", true),
        ("PFADD o a", "PFADD k a", true),
        ("PFADD k a", "PFMERGE k k", true),
        ("SET k a", "SETBIT k 0 0", false),
        ("SET k a", "SETBIT k 0 1", true),
        ("SET k a", "SETBIT k 100 0", true),
        ("SET o a", "SETBIT k 0 0", true),
        ("SET k a", "BITFIELD k GET u8 0", false),
        ("SET k a", "BITFIELD k SET u8 0 97", false),
        ("SET k a", "BITFIELD k SET u8 0 98", true),
        ("SET k a", "BITFIELD k INCRBY u8 0 0", false),
        ("SET k a", "BITFIELD k OVERFLOW FAIL INCRBY u8 0 200", false),
        ("SET k a", "BITFIELD k SET u8 800 0", true),
        ("SET k a", "GETEX k", false),
        ("SET k a", "GETEX k PERSIST", false),
        ("SET k a", "GETEX k EX 100", true),
        ("SET k a EX 100", "GETEX k PERSIST", true),
        ("SET k a", "SETRANGE k 0 a", true),
    ];
    for (before, line, breaks) in cases {
        let mut engine = engine();
        exec(&mut engine, None, &[before]);
        assert_eq!(session(&mut engine, 1, 0, "WATCH a k z"), "+OK|");
        exec(&mut engine, None, &[line]);
        let reply = exec(&mut engine, Some(1), &["SET ran 1"]);
        assert_eq!(reply, if breaks { "*-1|" } else { "*1|+OK|" }, "{before}, {line}");
        assert!(engine.keyspace.watching().is_empty(), "EXEC ends what is watched");
    }
}

#[test]
fn a_watch_ends_with_expiry_but_not_for_a_key_that_was_due_before() {
    let mut engine = engine();
    check(&mut engine, "SET k v PX 10", "+OK\r\n");
    session(&mut engine, 1, 0, "WATCH k");
    session(&mut engine, 2, 0, "WATCH k");
    advance(&mut engine, 9);
    assert_eq!(exec(&mut engine, Some(1), &["GET k"]), "*1|$1|v|");
    // Due, though no entry has removed it yet.
    advance(&mut engine, 1);
    session(&mut engine, 3, 0, "WATCH k");
    assert_eq!(exec(&mut engine, Some(2), &["GET k"]), "*-1|");
    engine.keyspace.expire_due(10);
    assert_eq!(exec(&mut engine, Some(3), &["GET k"]), "*1|$-1|");
    check(&mut engine, "SET k v PX 10", "+OK\r\n");
    session(&mut engine, 4, 0, "WATCH k");
    advance(&mut engine, 10);
    assert_eq!(engine.keyspace.expire_due(10), 1);
    assert_eq!(exec_in(&mut engine, Some(4), Protocol::Resp3, &["GET k"]), "_|");
}

#[test]
fn what_is_due_does_not_come_into_a_watched_database() {
    let mut engine = engine();
    session(&mut engine, 1, 1, "WATCH k");
    session(&mut engine, 2, 0, "WATCH k");
    check(&mut engine, "SET k v PX 10", "+OK\r\n");
    session(&mut engine, 3, 0, "WATCH k");
    advance(&mut engine, 10);
    session(&mut engine, 4, 0, "WATCH k");
    check(&mut engine, "SWAPDB 0 1", "+OK\r\n");
    let replies = [1, 2, 3, 4].map(|number| exec(&mut engine, Some(number), &["GET k"]));
    assert_eq!(replies, ["*1|$-1|", "*-1|", "*-1|", "*1|$-1|"]);
}

#[test]
fn a_watch_ends_with_the_expiry_of_a_field() {
    let mut engine = engine();
    check(&mut engine, "HSET h f v g w", ":2\r\n");
    check(&mut engine, "HPEXPIRE h 10 FIELDS 1 f", "*1\r\n:1\r\n");
    session(&mut engine, 1, 0, "WATCH h");
    session(&mut engine, 2, 0, "WATCH h");
    session(&mut engine, 3, 0, "WATCH h");
    check(&mut engine, "HPERSIST h FIELDS 1 g", "*1\r\n:-1\r\n");
    assert_eq!(exec(&mut engine, Some(1), &["HLEN h"]), "*1|:2|");
    // Due, though no entry has removed it yet.
    advance(&mut engine, 10);
    assert_eq!(exec(&mut engine, Some(2), &["HLEN h"]), "*-1|");
    session(&mut engine, 4, 0, "WATCH h");
    engine.keyspace.expire_due(10);
    assert_eq!(exec(&mut engine, Some(4), &["HLEN h"]), "*1|:1|");
    assert_eq!(exec(&mut engine, Some(3), &["HLEN h"]), "*-1|");
    session(&mut engine, 5, 0, "WATCH h");
    check(&mut engine, "HPEXPIRE h 10 FIELDS 1 g", "*1\r\n:1\r\n");
    assert_eq!(exec(&mut engine, Some(5), &["HLEN h"]), "*-1|");
    session(&mut engine, 6, 0, "WATCH h");
    advance(&mut engine, 10);
    assert_eq!(engine.keyspace.expire_due(10), 1);
    assert_eq!(exec(&mut engine, Some(6), &["HLEN h"]), "*-1|");
}

#[test]
fn sessions_watch_apart_from_each_other_and_per_database() {
    let mut engine = engine();
    session(&mut engine, 1, 0, "WATCH k");
    session(&mut engine, 2, 5, "WATCH k");
    session(&mut engine, 3, 0, "WATCH k k j");
    check(&mut engine, "SET k 1", "+OK\r\n");
    session(&mut engine, 3, 0, "WATCH more");
    assert_eq!(exec(&mut engine, Some(1), &[]), "*-1|");
    assert_eq!(exec(&mut engine, Some(2), &[]), "*0|");
    assert_eq!(exec(&mut engine, Some(3), &[]), "*-1|");
    // Whoever is not known is not let through: its WATCH may never have come.
    assert_eq!(exec(&mut engine, Some(1), &[]), "*-1|");
    for end in ["UNWATCH", "DISCARD", "RESET"] {
        session(&mut engine, 1, 0, "WATCH k");
        check(&mut engine, "SET k 1", "+OK\r\n");
        assert!(session(&mut engine, 1, 0, end).starts_with('+'));
        session(&mut engine, 1, 0, "WATCH k");
        assert_eq!(exec(&mut engine, Some(1), &["GET k"]), "*1|$1|1|");
    }
}

#[test]
fn own_changes_count_even_in_the_same_entry() {
    let mut engine = engine();
    let mut batch = Batch::default();
    push(&mut batch, 0, "SET k 0");
    batch.push_for(caller(1), id("watch"), 0, &[b"k"]);
    push(&mut batch, 0, "SET k 1");
    batch.push_transaction(Some(caller(1)), id("exec"), &Batch::default(), 0);
    assert_eq!(run(&mut engine, &batch, Protocol::Resp2), "+OK|+OK|+OK|*-1|");
}

#[test]
fn what_is_watched_is_bounded_and_goes_with_its_member() {
    let mut engine = engine();
    let keys: Vec<String> = (0..WATCHED_KEYS_MAX).map(|number| format!("k{number}")).collect();
    assert_eq!(session(&mut engine, 1, 0, &format!("WATCH {}", keys.join(" "))), "+OK|");
    assert_eq!(session(&mut engine, 1, 0, "WATCH more"), "-ERR too many watched keys|");
    assert_eq!(session(&mut engine, 1, 0, "WATCH k7"), "+OK|");
    assert_eq!(exec(&mut engine, Some(1), &[]), "*-1|", "who asks for too much is not let through");
    assert_eq!(session(&mut engine, 1, 0, &format!("WATCH {}", keys.join(" "))), "+OK|");
    assert_eq!(session(&mut engine, 1, 0, "WATCH k7"), "+OK|");
    assert_eq!(exec(&mut engine, Some(1), &[]), "*0|");
    let long = "x".repeat(1 << 20);
    let refused = "-ERR too many watched keys in the cluster|";
    let watched = (0..20).find(|number| {
        session(&mut engine, *number, 0, &format!("WATCH {number}{long}")) == refused
    });
    assert_eq!(watched, Some(15));
    engine.keep_members(|member| member == MemberId(3));
    assert_eq!(engine.keyspace.watching().len(), 16);
    engine.keep_members(|_| false);
    assert!(engine.keyspace.watching().is_empty());
    assert_eq!(session(&mut engine, 1, 0, &format!("WATCH {long}")), "+OK|");
}

#[test]
fn the_digest_tells_who_watches_what() {
    let digest = |lines: &[(u64, &str)]| {
        let mut engine = engine();
        for (number, line) in lines {
            session(&mut engine, *number, 0, line);
        }
        engine.digest()
    };
    let nothing = digest(&[]);
    assert_ne!(digest(&[(1, "WATCH k")]), nothing);
    assert_ne!(digest(&[(1, "WATCH k")]), digest(&[(2, "WATCH k")]));
    assert_ne!(digest(&[(1, "WATCH k")]), digest(&[(1, "WATCH j")]));
    assert_eq!(digest(&[(1, "WATCH k"), (1, "UNWATCH")]), nothing);
}

#[test]
fn commands_of_a_session_need_one() {
    let mut engine = engine();
    check(&mut engine, "EXEC", "-ERR EXEC without MULTI\r\n");
    check(&mut engine, "UNWATCH", "+OK\r\n");
    for line in ["WATCH k", "MULTI"] {
        check(&mut engine, line, "-ERR this command needs a connection\r\n");
    }
}

#[test]
fn a_command_can_run_others_and_read_their_replies() {
    let mut engine = engine();
    let (mut reply, mut random) = (Reply::default(), Random::new(1));
    let mut context = engine.context(&mut reply, START_MS, &mut random);
    context.reply.array(1);
    for (database, line, expected) in [
        (0, "SET k 1", "+OK\r\n"),
        (1, "GET k", "_\r\n"),
        (0, "GET k", "$1\r\n1\r\n"),
        (0, "GET", "-ERR wrong number of arguments for 'get' command\r\n"),
    ] {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let arguments = words[1..].iter().copied().collect();
        let mut captured = Reply::new(Protocol::Resp3);
        let id = lookup(words[0]).unwrap();
        context.call(&Command::new(id, database, arguments), &mut captured);
        assert_eq!(String::from_utf8(captured.buffer).unwrap(), expected);
    }
    context.reply.integer(7);
    assert_eq!(reply.buffer, b"*1\r\n:7\r\n");
    let stats = engine.stats();
    assert_eq!((stats.total_commands, stats.total_errors), (4, 1));
}
