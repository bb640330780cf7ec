//! Clients that wait: who is served when, with what, and how a wait ends otherwise.

use crate::engine::batch::{Batch, Caller};
use crate::engine::command::lookup;
use crate::engine::random::Random;
use crate::engine::reply::{Protocol, Reply};
use crate::engine::testing::{advance, check, check_all, engine};
use crate::engine::waiting::WaitEnd;
use crate::engine::{Engine, Ran};
use crate::limits::WAITING_BYTES_MAX;
use crate::raft::types::MemberId;

/// Runs a command line of a session of member 3 in database 0; `None`: it waits.
fn say(engine: &mut Engine, session: u64, line: &str) -> Option<String> {
    say_in(engine, (3, session), 0, Protocol::Resp2, line)
}

fn say_in(
    engine: &mut Engine,
    (member, session): (u64, u64),
    database: u8,
    protocol: Protocol,
    line: &str,
) -> Option<String> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut batch = Batch::default();
    let caller = Caller { session, protocol };
    batch.push_for(caller, lookup(words[0]).unwrap(), database, &words[1..]);
    let (now_ms, mut reply) = (engine.keyspace.clock_ms(), Reply::new(protocol));
    engine.begin_batch(MemberId(member));
    let ran = engine.run_next(&mut batch.commands(), &mut reply, now_ms, &mut Random::new(1));
    let text = text(&reply.buffer);
    match ran.unwrap() {
        Ran::Replied => Some(text),
        Ran::Waits(id) => {
            assert_eq!((id.member, id.number, text.as_str()), (MemberId(member), session, ""));
            None
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace("\r\n", "|")
}

/// Who was served since the last call: `session=reply`, in order.
fn served(engine: &mut Engine) -> String {
    let served = engine.take_served();
    let each = served.iter().map(|it| match &it.end {
        WaitEnd::Reply(reply) => format!("{}={}", it.session.number, text(reply)),
        WaitEnd::Again(_) => format!("{} again", it.session.number),
    });
    each.collect::<Vec<_>>().join(" ")
}

/// Lets a client wait, runs the lines of `then`, separated by `; `, and checks how the wait ended.
#[track_caller]
fn check_wait(wait: &str, before: &str, then: &str, expected: &str) {
    let mut engine = engine();
    for line in before.split("; ").filter(|line| !line.is_empty()) {
        say(&mut engine, 9, line);
    }
    assert_eq!(say(&mut engine, 1, wait), None, "{wait}");
    for line in then.split("; ") {
        assert_eq!(served(&mut engine), "", "{wait}, before {line}");
        say(&mut engine, 9, line);
    }
    assert_eq!(served(&mut engine), expected, "{wait}, {then}");
    let waits = expected.is_empty();
    assert_eq!(engine.waiting().waiters().is_empty(), !waits, "{wait}");
    assert_eq!(engine.waiting().key_count() > 0, waits, "{wait}");
}

#[test]
fn what_comes_ends_a_wait() {
    let cases = [
        ("BLPOP l 0", "", "RPUSH l a b", "1=*2|$1|l|$1|a|"),
        ("BRPOP l 0", "", "RPUSH l a b", "1=*2|$1|l|$1|b|"),
        ("BLPOP k l 0", "", "RPUSH l a", "1=*2|$1|l|$1|a|"),
        ("BLPOP l l l 0", "", "RPUSH l a", "1=*2|$1|l|$1|a|"),
        ("BLPOP l 0", "", "RPUSH m a", ""),
        ("BLPOP l 0", "", "SET l a; DEL l; SADD l x", ""),
        ("BLPOP l 0", "RPUSH m a", "RENAME m l", "1=*2|$1|l|$1|a|"),
        ("BLPOP l 0", "RPUSH m a", "COPY m l", "1=*2|$1|l|$1|a|"),
        ("BLPOP l 0", "RPUSH m a", "RPOPLPUSH m l", "1=*2|$1|l|$1|a|"),
        ("BLPOP l 0", "RPUSH m b a", "SORT m ALPHA STORE l", "1=*2|$1|l|$1|a|"),
        ("BLMOVE l m LEFT RIGHT 0", "RPUSH m x", "RPUSH l a", "1=$1|a|"),
        ("BLMOVE l l LEFT RIGHT 0", "", "RPUSH l a", "1=$1|a|"),
        ("BRPOPLPUSH l m 0", "", "RPUSH l a b", "1=$1|b|"),
        (
            "BLMOVE l m LEFT LEFT 0",
            "SET m x",
            "RPUSH l a",
            "1=-WRONGTYPE Operation against a key holding the wrong kind of value|",
        ),
        ("BLMPOP 0 2 k l LEFT COUNT 2", "", "RPUSH l a b c", "1=*2|$1|l|*2|$1|a|$1|b|"),
        ("BZPOPMIN z 0", "", "ZADD z 2 b 1 a", "1=*3|$1|z|$1|a|$1|1|"),
        ("BZPOPMAX y z 0", "", "ZADD z 2 b 1 a", "1=*3|$1|z|$1|b|$1|2|"),
        ("BZPOPMIN z 0", "ZADD y 1 a", "ZUNIONSTORE z 1 y", "1=*3|$1|z|$1|a|$1|1|"),
        ("BZPOPMIN z 0", "", "RPUSH z a; DEL z", ""),
        (
            "BZMPOP 0 2 y z MIN COUNT 5",
            "",
            "ZADD z 2 b 1 a",
            "1=*2|$1|z|*2|*2|$1|a|$1|1|*2|$1|b|$1|2|",
        ),
        (
            "XREAD BLOCK 0 STREAMS s $",
            "XADD s 1-1 f v",
            "XADD s 2-1 f w",
            "1=*1|*2|$1|s|*1|*2|$3|2-1|*2|$1|f|$1|w|",
        ),
        (
            "XREAD BLOCK 0 STREAMS s t $ $",
            "",
            "XADD t 2-1 f w",
            "1=*1|*2|$1|t|*1|*2|$3|2-1|*2|$1|f|$1|w|",
        ),
        ("XREAD BLOCK 0 STREAMS s 5-5", "", "XADD s 2-1 f w; XADD s 5-5 f w", ""),
        ("XREAD BLOCK 0 STREAMS s $", "", "XGROUP CREATE s g 0 MKSTREAM; DEL s", ""),
        (
            "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
            "XGROUP CREATE s g 0 MKSTREAM",
            "XADD s 2-1 f w",
            "1=*1|*2|$1|s|*1|*2|$3|2-1|*2|$1|f|$1|w|",
        ),
        (
            "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
            "XGROUP CREATE s g 0 MKSTREAM",
            "XGROUP CREATECONSUMER s g d; XGROUP CREATE s h 0; XACK s g 1-1",
            "",
        ),
        (
            "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
            "XGROUP CREATE s g 0 MKSTREAM",
            "XGROUP DESTROY s g",
            "1=-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option|",
        ),
        (
            "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
            "XGROUP CREATE s g 0 MKSTREAM",
            "DEL s",
            "1=-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option|",
        ),
        (
            "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
            "XGROUP CREATE s g 0 MKSTREAM",
            "FLUSHALL",
            "1=-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option|",
        ),
        ("BLPOP l 0", "", "FLUSHALL; SWAPDB 0 1", ""),
        ("BLPOP l 0", "", "RESET; LPUSH l a", "1=*2|$1|l|$1|a|"),
        ("BLPOP l 0", "", "CLIENT UNBLOCK 1", "1=*-1|"),
    ];
    for (wait, before, then, expected) in cases {
        check_wait(wait, before, then, expected);
    }
}

#[test]
fn databases_are_waited_for_apart_and_swapped() {
    let mut engine = engine();
    let wait = |engine: &mut Engine, session, database| {
        say_in(engine, (3, session), database, Protocol::Resp2, "BLPOP l 0")
    };
    assert_eq!(wait(&mut engine, 1, 0), None);
    assert_eq!(wait(&mut engine, 2, 5), None);
    say_in(&mut engine, (3, 9), 5, Protocol::Resp2, "RPUSH l five");
    assert_eq!(served(&mut engine), "2=*2|$1|l|$4|five|");
    say_in(&mut engine, (3, 9), 5, Protocol::Resp2, "RPUSH l more");
    say(&mut engine, 9, "SWAPDB 0 5");
    assert_eq!(served(&mut engine), "1=*2|$1|l|$4|more|");
    wait(&mut engine, 1, 0);
    say_in(&mut engine, (3, 9), 5, Protocol::Resp2, "RPUSH l moved");
    say_in(&mut engine, (3, 9), 5, Protocol::Resp2, "MOVE l 0");
    assert_eq!(served(&mut engine), "1=*2|$1|l|$5|moved|");
}

#[test]
fn the_first_that_came_is_the_first_that_is_served() {
    let mut engine = engine();
    for (session, line) in [
        (5, "BLPOP k l 0"),
        (2, "BRPOP l 0"),
        (8, "BLMPOP 0 1 l LEFT COUNT 2"),
        (1, "BLPOP l 0"),
        (4, "BLPOP k 0"),
    ] {
        assert_eq!(say(&mut engine, session, line), None);
    }
    say(&mut engine, 9, "RPUSH l a b c");
    assert_eq!(served(&mut engine), "5=*2|$1|l|$1|a| 2=*2|$1|l|$1|c| 8=*2|$1|l|*1|$1|b|");
    say(&mut engine, 9, "RPUSH l d e");
    assert_eq!(served(&mut engine), "1=*2|$1|l|$1|d|");
    check(&mut engine, "LRANGE l 0 -1", "*1\r\n$1\r\ne\r\n");
    say(&mut engine, 9, "RPUSH k x y");
    assert_eq!(served(&mut engine), "4=*2|$1|k|$1|x|");
}

/// The end of one wait is what another one waits for, in a circle too.
#[test]
fn what_is_moved_serves_on() {
    let mut engine = engine();
    for (session, line) in
        [(1, "BLMOVE a b LEFT LEFT 0"), (2, "BLMOVE b c LEFT LEFT 0"), (3, "BRPOPLPUSH c a 0")]
    {
        assert_eq!(say(&mut engine, session, line), None);
    }
    say(&mut engine, 9, "RPUSH a x");
    assert_eq!(served(&mut engine), "1=$1|x| 2=$1|x| 3=$1|x|");
    check_all(&mut engine, &[("LLEN a", ":1\r\n"), ("EXISTS b c", ":0\r\n")]);
}

#[test]
fn readers_of_streams_all_have_what_comes_but_those_of_a_group_share_it() {
    let mut engine = engine();
    say(&mut engine, 9, "XGROUP CREATE s g 0 MKSTREAM");
    for session in [1, 2] {
        assert_eq!(say(&mut engine, session, "XREAD BLOCK 0 STREAMS s $"), None);
    }
    for session in [3, 4] {
        let line = format!("XREADGROUP GROUP g c{session} COUNT 1 BLOCK 0 STREAMS s >");
        assert_eq!(say(&mut engine, session, &line), None);
    }
    let entry = |id: &str| format!("*1|*2|$1|s|*1|*2|$3|{id}|*2|$1|f|$1|v|");
    say(&mut engine, 9, "XADD s 1-1 f v");
    let first = entry("1-1");
    assert_eq!(served(&mut engine), format!("1={first} 2={first} 3={first}"));
    say(&mut engine, 9, "XADD s 2-1 f v");
    assert_eq!(served(&mut engine), format!("4={}", entry("2-1")));
    assert!(engine.waiting().waiters().is_empty());
}

#[test]
fn a_transaction_neither_waits_nor_serves_before_its_end() {
    let mut engine = engine();
    assert_eq!(say(&mut engine, 1, "BLPOP l 0"), None);
    let exec = |engine: &mut Engine, lines: &[&str]| {
        let (mut queued, mut batch) = (Batch::default(), Batch::default());
        for line in lines {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            queued.push(lookup(words[0]).unwrap(), 0, &words[1..]);
        }
        let exec = lookup(b"exec").unwrap();
        batch.push_transaction(None, exec, &queued, lines.len() as u32);
        let (mut reply, now_ms) = (Reply::default(), engine.keyspace.clock_ms());
        engine.run_next(&mut batch.commands(), &mut reply, now_ms, &mut Random::new(1));
        text(&reply.buffer)
    };
    assert_eq!(exec(&mut engine, &["RPUSH l a", "DEL l"]), "*2|:1|:1|");
    assert_eq!(served(&mut engine), "");
    assert_eq!(exec(&mut engine, &["RPUSH l a b", "LPOP l", "RPUSH l c"]), "*3|:2|$1|a|:2|");
    assert_eq!(served(&mut engine), "1=*2|$1|l|$1|b|");
    let lines = [
        "BLPOP n 0",
        "BLMOVE n b LEFT LEFT 0",
        "BRPOPLPUSH n b 0",
        "BZPOPMIN z 0",
        "BLMPOP 0 1 n LEFT",
        "BZMPOP 0 1 z MIN",
        "XREAD BLOCK 0 STREAMS s $",
    ];
    assert_eq!(exec(&mut engine, &lines), "*7|*-1|$-1|$-1|*-1|*-1|*-1|*-1|");
    assert!(engine.waiting().waiters().is_empty());
}

#[test]
fn a_wait_ends_at_its_time_by_the_clock_of_the_log() {
    let mut engine = engine();
    assert_eq!(say(&mut engine, 1, "BLPOP l 0.05"), None);
    assert_eq!(say(&mut engine, 2, "XREAD BLOCK 20 STREAMS s $"), None);
    let resp3 = say_in(&mut engine, (3, 3), 0, Protocol::Resp3, "BLMOVE l m LEFT LEFT 0.0201");
    assert_eq!((resp3, say(&mut engine, 4, "BZPOPMIN z 0")), (None, None));
    let start = engine.keyspace.clock_ms();
    assert_eq!(engine.next_deadline(), Some(start + 20));
    advance(&mut engine, 19);
    engine.expire_due(10);
    assert_eq!(served(&mut engine), "");
    advance(&mut engine, 2);
    engine.expire_due(1);
    assert_eq!(served(&mut engine), "2=*-1|");
    engine.expire_due(10);
    assert_eq!(served(&mut engine), "3=_|");
    assert_eq!(engine.next_deadline(), Some(start + 50));
    say(&mut engine, 9, "RPUSH l a");
    assert_eq!(served(&mut engine), "1=*2|$1|l|$1|a|");
    assert_eq!((engine.next_deadline(), engine.waiting().waiters().len()), (None, 1));
}

/// A key that goes by itself ends the wait of those who read it for a group.
#[test]
fn expiry_is_a_change_too() {
    let mut engine = engine();
    say(&mut engine, 9, "XGROUP CREATE s g 0 MKSTREAM");
    say(&mut engine, 9, "PEXPIRE s 10");
    assert_eq!(say(&mut engine, 1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >"), None);
    advance(&mut engine, 10);
    engine.expire_due(10);
    assert!(served(&mut engine).starts_with("1=-NOGROUP "));
}

#[test]
fn clients_are_unblocked_by_their_number_on_their_own_node() {
    let mut engine = engine();
    let unblocked = "-UNBLOCKED client unblocked via CLIENT UNBLOCK|";
    for (line, reply, ends) in [
        ("CLIENT UNBLOCK 1", ":1|", "1=*-1|".to_owned()),
        ("CLIENT UNBLOCK 1 timeout", ":1|", "1=*-1|".to_owned()),
        ("client unblock 1 ERROR", ":1|", format!("1={unblocked}")),
        ("CLIENT UNBLOCK 2", ":0|", String::new()),
        ("CLIENT UNBLOCK -1", ":0|", String::new()),
        ("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range|", String::new()),
        (
            "CLIENT UNBLOCK 1 FOO",
            "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR|",
            String::new(),
        ),
        (
            "CLIENT UNBLOCK 1 ERROR x",
            "-ERR wrong number of arguments for 'client|unblock' command|",
            String::new(),
        ),
    ] {
        assert_eq!(say(&mut engine, 1, "BLPOP l 0"), None);
        assert_eq!(say(&mut engine, 9, line).as_deref(), Some(reply), "{line}");
        assert_eq!(served(&mut engine), ends, "{line}");
    }
    let other_node = say_in(&mut engine, (4, 9), 0, Protocol::Resp2, "CLIENT UNBLOCK 1");
    assert_eq!(other_node.as_deref(), Some(":0|"));
    // The end of a session is the end of its wait.
    assert_eq!(say(&mut engine, 1, "RESET").as_deref(), Some("+RESET|"));
    assert_eq!(served(&mut engine), format!("1={unblocked}"));
    say(&mut engine, 9, "RPUSH l a");
    check(&mut engine, "LLEN l", ":1\r\n");
}

#[test]
fn time_outs_and_options_are_checked() {
    let mut engine = engine();
    say(&mut engine, 9, "SET str x");
    let not_float = "-ERR timeout is not a float or out of range|";
    let negative = "-ERR timeout is negative|";
    let too_large = "-ERR timeout is out of range|";
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value|";
    let syntax = "-ERR syntax error|";
    for (line, expected) in [
        ("BLPOP l x", not_float),
        ("BLPOP l nan", not_float),
        ("BLPOP l -1", negative),
        ("BLPOP l -inf", negative),
        ("BLPOP l inf", too_large),
        ("BLPOP l 1e300", too_large),
        ("BLPOP l 9223372036854775.807", too_large),
        ("BLPOP str 1", wrong),
        ("BLMOVE str b LEFT LEFT 1", wrong),
        ("BLMOVE l b X LEFT 0", syntax),
        ("BLMOVE l b LEFT LEFT x", not_float),
        ("BRPOPLPUSH l b -1", negative),
        ("BLMPOP x 1 l LEFT", not_float),
        ("BLMPOP x 1 l LEFT COUNT 0", "-ERR count should be greater than 0|"),
        ("BZMPOP x 1 l", "-ERR wrong number of arguments for 'bzmpop' command|"),
        ("BZMPOP -1 0 z MIN", "-ERR numkeys should be greater than 0|"),
        ("BLMPOP 0 0 l LEFT", "-ERR numkeys should be greater than 0|"),
        ("BLMPOP 0 1 l MID", syntax),
        ("BLMPOP 0 1 l LEFT COUNT 0", "-ERR count should be greater than 0|"),
        ("BZPOPMIN str 1", wrong),
        ("BZPOPMAX z x", not_float),
        ("BZMPOP 0 1 z MID", syntax),
        ("BZMPOP 0 2 z MIN", syntax),
        ("BLPOP l", "-ERR wrong number of arguments for 'blpop' command|"),
    ] {
        assert_eq!(say(&mut engine, 1, line).as_deref(), Some(expected), "{line}");
    }
    assert!(engine.waiting().waiters().is_empty());
    say(&mut engine, 9, "RPUSH l a");
    assert_eq!(say(&mut engine, 1, "BLPOP str l 1").as_deref(), Some(wrong));
    assert_eq!(say(&mut engine, 1, "BLPOP none l 1").as_deref(), Some("*2|$1|l|$1|a|"));
}

#[test]
fn waits_are_bounded_counted_and_go_with_their_member() {
    let mut engine = engine();
    let key = "k".repeat(1 << 20);
    let refused = "-ERR too many clients wait for keys|";
    let line = format!("BLPOP {key} 0");
    let limit = (WAITING_BYTES_MAX / (3 << 20)) as u64;
    for session in 0..limit {
        assert_eq!(say(&mut engine, session, &line), None, "{session}");
    }
    assert_eq!(say(&mut engine, limit, &line).as_deref(), Some(refused));
    // One session waits once.
    assert_eq!(say(&mut engine, 0, &line), None);
    assert_eq!(engine.waiting().waiters().len() as u64, limit);
    engine.keep_members(|member| member == MemberId(4));
    assert!(engine.waiting().waiters().is_empty());
    assert_eq!(engine.waiting().key_count(), 0);
    assert_eq!(say(&mut engine, 1, &line), None);
    assert_eq!(served(&mut engine), "");
    let calls = |engine: &Engine, name: &[u8]| {
        engine.stats().commands[usize::from(lookup(name).unwrap().0)].calls
    };
    assert_eq!(calls(&engine, b"blpop"), 1, "the one that was refused");
    say(&mut engine, 2, "BLPOP l 0");
    say(&mut engine, 9, "RPUSH l a");
    assert_eq!(calls(&engine, b"blpop"), 2);
}

/// A member that is not heard of is passed over; should it live, its clients go on to wait, behind
/// the others, and from where they were.
#[test]
fn the_clients_of_a_silent_member_are_passed_over() {
    let mut engine = engine();
    say_in(&mut engine, (3, 9), 2, Protocol::Resp2, "XADD s 1-1 f v");
    for (session, line) in [(1, "BLPOP l 0"), (2, "XREAD BLOCK 0 STREAMS s $")] {
        assert_eq!(say_in(&mut engine, (4, session), 2, Protocol::Resp3, line), None);
    }
    assert_eq!(say_in(&mut engine, (3, 1), 2, Protocol::Resp2, "BLPOP l 0"), None);
    assert!(engine.waiting().has_member(MemberId(4)) && !engine.waiting().has_member(MemberId(5)));
    assert_eq!(say(&mut engine, 9, "RAFT.UNBLOCK 4").as_deref(), Some(":2|"));
    assert!(!engine.waiting().has_member(MemberId(4)));
    let mut again = Batch::default();
    for served in engine.take_served() {
        assert_eq!(served.session.member, MemberId(4));
        let WaitEnd::Again(command) = served.end else { panic!("{served:?}") };
        again.append(&command);
    }
    say_in(&mut engine, (3, 9), 2, Protocol::Resp2, "RPUSH l a");
    assert_eq!(served(&mut engine), "1=*2|$1|l|$1|a|");
    say_in(&mut engine, (3, 9), 2, Protocol::Resp2, "XADD s 1-2 f v");
    engine.begin_batch(MemberId(4));
    let (mut reply, mut commands) = (Reply::default(), again.commands());
    let now_ms = engine.keyspace.clock_ms();
    let mut run = || engine.run_next(&mut commands, &mut reply, now_ms, &mut Random::new(1));
    assert!(matches!(run(), Some(Ran::Waits(_))));
    assert_eq!(run(), Some(Ran::Replied), "what has come since is not missed");
    assert_eq!(run(), None);
    for line in ["RAFT.UNBLOCK x", "RAFT.UNBLOCK -1"] {
        assert!(say(&mut engine, 9, line).unwrap().starts_with("-ERR value is not an integer"));
    }
}

#[test]
fn the_digest_tells_who_waits_for_what() {
    let digest = |lines: &[(u64, &str)]| {
        let mut engine = engine();
        for (session, line) in lines {
            say(&mut engine, *session, line);
        }
        engine.digest()
    };
    let one = digest(&[(1, "BLPOP l 0")]);
    assert_ne!(one, digest(&[]));
    for other in ["BRPOP l 0", "BLPOP m 0", "BLPOP l 5"] {
        assert_ne!(one, digest(&[(1, other)]));
    }
    assert_eq!(one, digest(&[(1, "BLPOP l 0")]));
}
