//! Tests of which events there are, in what order, and of the text of their classes.

use super::*;
use crate::engine::Engine;
use crate::engine::pubsub::{Change, Subscriber, Topic};
use crate::engine::reply::Protocol;
use crate::engine::testing::{self, advance, engine, run_line, run_words_in};

/// Command lines, each with the events that redis-server 7.0.15 has for it, and a `#` where the
/// state begins anew. Where Redis 7.2 is known to differ, the events are those of 7.2.
const EVENTS: &str = include_str!("tests/events.txt");

fn everything() -> EventClasses {
    EventClasses::parse(b"AKEnm").unwrap()
}

fn subscribe(engine: &mut Engine, pattern: &str) {
    engine.subscribers.apply(Change {
        subscriber: Subscriber { stream: 0, connection: 1 },
        topic: Topic::Pattern,
        name: pattern.into(),
        subscribes: true,
    });
}

/// An engine that tells of everything.
fn telling() -> Engine {
    let mut engine = engine();
    engine.keyspace.set_event_classes(everything());
    subscribe(&mut engine, "*");
    engine
}

/// The messages since the last call, each as `channel payload`.
fn messages(engine: &mut Engine) -> Vec<String> {
    let Some(published) = engine.subscribers.take_published(0) else { return Vec::new() };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let messages = published.messages();
    messages.map(|it| format!("{} {}", text(it.channel), text(it.payload))).collect()
}

/// The events since the last call, each as `event key`, behind the database unless that is 0.
/// Panics unless each is told on both channels, that of its key first.
#[track_caller]
fn events(engine: &mut Engine) -> String {
    let messages = messages(engine);
    let pairs = messages.chunks(2).map(|pair| {
        let (channel, event) = pair[0].split_once(' ').unwrap();
        let (database, key) =
            channel.strip_prefix("__keyspace@").unwrap().split_once("__:").unwrap();
        assert_eq!(pair[1], format!("__keyevent@{database}__:{event} {key}"));
        match database {
            "0" => format!("{event} {key}"),
            _ => format!("{database}:{event} {key}"),
        }
    });
    pairs.collect::<Vec<_>>().join(", ")
}

#[test]
fn each_command_has_the_events_of_redis() {
    let (mut engine, mut database, mut differences) = (telling(), 0, Vec::new());
    for row in EVENTS.lines().filter(|row| !row.is_empty()) {
        if row.starts_with('#') {
            (engine, database) = (telling(), 0);
            continue;
        }
        let (line, expected) = row.split_once(" =>").unwrap();
        if let Some(millis) = line.strip_prefix("@SLEEP ") {
            advance(&mut engine, millis.parse().unwrap());
            engine.expire_due(100);
        } else if let Some(number) = line.strip_prefix("SELECT ") {
            database = number.parse().unwrap();
        } else {
            let words = testing::words(line);
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            run_words_in(&mut engine, database, Protocol::Resp2, &words);
        }
        let told = events(&mut engine);
        if told != expected.trim() {
            differences.push(format!("{line}\n  got      {told}\n  expected{expected}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn fields_that_expire_have_events() {
    let cases = [
        ("HSET h a 1 b 2 c 3 d 4", "new h, hset h"),
        ("HEXPIRE h 100 FIELDS 2 a nothing", "hexpire h"),
        ("HEXPIRE h 100 NX FIELDS 1 a", ""),
        ("HPEXPIRE h 100000 FIELDS 1 nothing", ""),
        ("HEXPIRE gone 100 FIELDS 1 a", ""),
        ("HPEXPIREAT h 1 FIELDS 1 b", "hdel h"),
        ("HPERSIST h FIELDS 2 a c", "hpersist h"),
        ("HPERSIST h FIELDS 1 a", ""),
        ("HGETEX h FIELDS 1 a", ""),
        ("HGETEX h EX 100 FIELDS 1 a", "hexpire h"),
        ("HGETEX h PERSIST FIELDS 1 a", "hpersist h"),
        ("HGETEX h PERSIST FIELDS 1 a", ""),
        ("HGETEX h PXAT 1 FIELDS 1 a", "hdel h"),
        ("HGETDEL h FIELDS 1 nothing", ""),
        ("HGETDEL h FIELDS 1 c", "hdel h"),
        ("HGETDEL h FIELDS 1 d", "hdel h, del h"),
        ("HSETEX h EX 100 FIELDS 1 a 1", "new h, hset h, hexpire h"),
        ("HSETEX h KEEPTTL FIELDS 1 a 2", "hset h"),
        ("HSETEX h FNX FIELDS 1 a 3", ""),
        ("HEXPIREAT h 1 FIELDS 1 a", "hdel h, del h"),
        ("HTTL h FIELDS 1 a", "keymiss h"),
    ];
    let mut engine = telling();
    for (line, expected) in cases {
        run_line(&mut engine, Protocol::Resp2, line);
        assert_eq!(events(&mut engine), expected, "{line}");
    }
}

#[test]
fn fields_that_are_due_tell_so_by_themselves_and_to_who_meets_them() {
    let mut engine = telling();
    for line in ["HSET h a 1 b 2", "HPEXPIRE h 10 FIELDS 1 a", "HPEXPIRE h 30 FIELDS 1 b"] {
        run_line(&mut engine, Protocol::Resp2, line);
    }
    events(&mut engine);
    advance(&mut engine, 20);
    engine.expire_due(100);
    assert_eq!(events(&mut engine), "hexpired h");
    advance(&mut engine, 20);
    run_line(&mut engine, Protocol::Resp2, "HSET h c 3");
    assert_eq!(events(&mut engine), "hexpired h, del h, new h, hset h");
}

#[test]
fn a_write_that_meets_a_due_key_tells_of_its_end_first() {
    let mut engine = telling();
    run_line(&mut engine, Protocol::Resp2, "SET k v PX 10");
    events(&mut engine);
    advance(&mut engine, 20);
    run_line(&mut engine, Protocol::Resp2, "GET k");
    assert_eq!(events(&mut engine), "keymiss k");
    run_line(&mut engine, Protocol::Resp2, "APPEND k v");
    assert_eq!(events(&mut engine), "expired k, new k, append k");
}

/// Redis tells the same, `expired` when it comes across the key.
#[test]
fn a_string_that_ends_in_the_past_tells_of_its_end_at_once() {
    let cases = [
        ("SET k v PXAT 1", "new k, set k, expire k, expired k"),
        ("SET k v", "new k, set k"),
        ("SET k v EXAT 1 GET", "set k, expire k, expired k"),
        ("SET k v EXAT 1 XX", ""),
    ];
    let mut engine = telling();
    for (line, expected) in cases {
        run_line(&mut engine, Protocol::Resp2, line);
        assert_eq!(events(&mut engine), expected, "{line}");
    }
}

#[test]
fn only_the_classes_asked_for_are_told_on_the_channels_asked_for() {
    let cases = [
        ("", ""),
        ("A", ""),
        ("K$", "__keyspace@0__:k set"),
        ("E$", "__keyevent@0__:set k"),
        ("Eg", "__keyevent@0__:expire k"),
        ("En", "__keyevent@0__:new k"),
        ("Em", "__keyevent@0__:keymiss gone"),
        ("KEd", ""),
    ];
    for (classes, expected) in cases {
        let mut engine = telling();
        engine.keyspace.set_event_classes(EventClasses::parse(classes.as_bytes()).unwrap());
        run_line(&mut engine, Protocol::Resp2, "SET k v EX 100");
        run_line(&mut engine, Protocol::Resp2, "GET gone");
        assert_eq!(messages(&mut engine).join(", "), expected, "{classes}");
    }
}

#[test]
fn events_and_messages_come_in_the_order_of_the_commands() {
    let mut engine = telling();
    engine.keyspace.set_event_classes(EventClasses::parse(b"EA").unwrap());
    for line in ["SET k v", "PUBLISH c m", "DEL k", "PUBLISH c n"] {
        run_line(&mut engine, Protocol::Resp2, line);
    }
    let expected = ["__keyevent@0__:set k", "c m", "__keyevent@0__:del k", "c n"];
    assert_eq!(messages(&mut engine), expected);
}

#[test]
fn events_that_nobody_subscribes_to_are_not_kept() {
    let mut engine = engine();
    engine.keyspace.set_event_classes(everything());
    run_line(&mut engine, Protocol::Resp2, "SET k v");
    assert!(!engine.keyspace.has_news() && !engine.subscribers.has_published());
}

#[test]
fn the_text_of_classes_is_redis_s() {
    let cases = [
        ("KEA", "AKE"),
        ("KEgxn", "gxnKE"),
        ("", ""),
        ("A", "A"),
        ("Kg", "gK"),
        ("Elshztdmnxe", "lshzxetdnEm"),
        ("KEAm", "AKEm"),
        ("KEAmn", "AnKEm"),
        ("KEg$lshzxetd", "AKE"),
        ("KE$g", "g$KE"),
        ("mn", "nm"),
        ("gg", "g"),
    ];
    for (given, shown) in cases {
        let classes = EventClasses::parse(given.as_bytes()).unwrap();
        assert_eq!(classes.text(), shown, "{given}");
        assert_eq!(EventClasses::parse(shown.as_bytes()), Ok(classes), "{given}");
    }
    for wrong in ["q", "K E", "KEa", "k"] {
        assert_eq!(EventClasses::parse(wrong.as_bytes()), Err(UnknownClass), "{wrong}");
    }
}
