//! Tests of who is told of which keys.

use super::*;
use crate::engine::Engine;
use crate::engine::batch::{Batch, Caller};
use crate::engine::command::lookup;
use crate::engine::reply::{Protocol, Reply};
use crate::engine::testing::{advance, engine, run_line, words};

const ONE: Subscriber = Subscriber { stream: 0, connection: 1 };
const TWO: Subscriber = Subscriber { stream: 1, connection: 1 };

fn terms(client: Subscriber) -> Terms {
    let session = u64::from(client.stream) * 100 + client.connection;
    Terms { session, is_noloop: false, prefixes: None, target: None }
}

fn broadcast(client: Subscriber, prefixes: &[&str]) -> Terms {
    let prefixes = prefixes.iter().map(|prefix| prefix.as_bytes().to_vec()).collect();
    Terms { prefixes: Some(prefixes), ..terms(client) }
}

fn track(engine: &mut Engine, client: Subscriber, terms: Option<Terms>) {
    engine.track(Change { client, terms });
}

/// Both clients track what they read.
fn tracking() -> Engine {
    let mut engine = engine();
    [ONE, TWO].into_iter().for_each(|client| track(&mut engine, client, Some(terms(client))));
    engine
}

/// A client of this node sends a command that it wants to be remembered for.
fn say(engine: &mut Engine, client: Subscriber, line: &str) -> String {
    engine.begin_client(client, true);
    let reply = run_line(engine, Protocol::Resp2, line);
    engine.end_client();
    String::from_utf8(reply).unwrap()
}

/// A client of another node does.
fn elsewhere(engine: &mut Engine, line: &str) {
    run_line(engine, Protocol::Resp2, line);
}

/// What both clients are to be told, `*` being everything.
fn told(engine: &mut Engine) -> [String; 2] {
    let text = |key: &SmallBytes| String::from_utf8(key.to_vec()).unwrap();
    let mut all = engine.tracking.take_invalidations();
    [ONE, TWO].map(|client| {
        let found = all.iter().position(|(known, _)| *known == client);
        let Some(position) = found else { return String::new() };
        let (_, invalidation) = all.swap_remove(position);
        if invalidation.drops_all {
            assert!(invalidation.keys.is_empty() && invalidation.by_prefix.is_empty());
            return "*".to_owned();
        }
        let mut shown: Vec<String> = invalidation.keys.iter().map(text).collect();
        for (prefix, keys) in invalidation.by_prefix {
            let keys: Vec<String> = keys.iter().map(text).collect();
            shown.push(format!("{}:{}", String::from_utf8(prefix).unwrap(), keys.join("+")));
        }
        shown.join(" ")
    })
}

#[track_caller]
fn expect(engine: &mut Engine, one: &str, two: &str) {
    assert_eq!(told(engine), [one, two]);
}

#[test]
fn who_has_read_a_key_is_told_once_of_a_change() {
    let mut engine = tracking();
    say(&mut engine, ONE, "GET k");
    say(&mut engine, TWO, "MGET k l k");
    assert_eq!((engine.tracking.key_count(), engine.tracking.item_count()), (2, 3));
    elsewhere(&mut engine, "SET k v");
    expect(&mut engine, "k", "k");
    elsewhere(&mut engine, "SET k w");
    expect(&mut engine, "", "");
    elsewhere(&mut engine, "SET other w");
    say(&mut engine, ONE, "DEL l");
    expect(&mut engine, "", "");
    say(&mut engine, ONE, "SET l v");
    expect(&mut engine, "", "l");
    assert_eq!((engine.tracking.key_count(), engine.tracking.item_count()), (0, 0));
}

#[test]
fn what_reads_is_remembered_and_what_writes_is_not() {
    let cases = [
        ("GET k", true),
        ("STRLEN k", true),
        ("EXISTS k", true),
        ("OBJECT ENCODING k", true),
        ("TTL k", true),
        ("GETRANGE k 0 1", true),
        ("LCS a k", true),
        ("SORT_RO k", true),
        ("ZUNION 2 a k", true),
        ("XREAD STREAMS k 0", true),
        ("HGET k f", true),
        // An error tells of the key as well.
        ("LRANGE k 0 1", true),
        ("GETSET a v", false),
        ("GETEX k", false),
        ("INCR a", false),
        ("SORT k", false),
        ("DBSIZE", false),
        ("SCAN 0", false),
        ("PUBLISH k m", false),
    ];
    for (line, is_remembered) in cases {
        let mut engine = tracking();
        say(&mut engine, ONE, line);
        told(&mut engine);
        elsewhere(&mut engine, "SET k changed");
        let expected = if is_remembered { "k" } else { "" };
        assert_eq!(told(&mut engine)[0], expected, "{line}");
    }
}

#[test]
fn what_was_read_before_prefixes_were_asked_for_counts_no_more() {
    let mut engine = tracking();
    say(&mut engine, ONE, "GET k");
    track(&mut engine, ONE, None);
    track(&mut engine, ONE, Some(broadcast(ONE, &["a"])));
    elsewhere(&mut engine, "MSET k 1 a1 2");
    expect(&mut engine, "a:a1", "");
}

#[test]
fn a_script_that_reads_has_read_its_keys_and_what_it_looked_at() {
    let cases = [
        ("EVAL return(redis.call('get','a')) 2 k l", "a k l"),
        ("EVAL_RO return(redis.call('get','k')) 2 k l", "k l"),
        ("EVAL return(redis.call('dbsize')) 1 k", "k"),
        ("EVAL return(redis.call('set','a','v')) 1 k", ""),
        ("EVAL_RO return(redis.call('ping')) 1 k", ""),
        ("EVAL return(1) 1 k", ""),
    ];
    for (line, expected) in cases {
        let mut engine = tracking();
        // What was read before the script was not read by it.
        say(&mut engine, ONE, "GET before");
        say(&mut engine, ONE, line);
        told(&mut engine);
        elsewhere(&mut engine, "MSET a 1 k 2 l 3");
        assert_eq!(told(&mut engine)[0], expected, "{line}");
    }
}

#[test]
fn a_client_that_does_not_ask_for_it_is_not_remembered() {
    let mut engine = tracking();
    engine.begin_client(ONE, false);
    elsewhere(&mut engine, "GET k");
    engine.end_client();
    elsewhere(&mut engine, "GET k");
    elsewhere(&mut engine, "SET k v");
    expect(&mut engine, "", "");
}

#[test]
fn whatever_changes_a_key_is_told() {
    let cases = [
        ("SET k v", "EXPIRE k 100"),
        ("SET k v", "RENAME k l"),
        ("SET l v", "RENAME l k"),
        ("SET l v", "COPY l k"),
        ("SET k v", "MOVE k 1"),
        ("SET k v", "SETBIT k 0 1"),
        ("HSET k f v", "HINCRBY k n 1"),
        ("HSET k f v", "HEXPIRE k 100 FIELDS 1 f"),
        ("ZADD k 1 a 2 b", "ZPOPMIN k"),
        ("ZADD k 1 a", "ZPOPMIN k"),
        ("SADD k a b", "SPOP k"),
        ("RPUSH k a b", "LMOVE k l LEFT LEFT"),
        ("RPUSH l a b", "LMOVE l k LEFT LEFT"),
        ("XADD k 1-1 f v", "XDEL k 1-1"),
        // Those who watch the key are not told of these.
        ("XADD k 1-1 f v", "XGROUP CREATE k g 0"),
        ("PFADD k a", "PFADD k b"),
    ];
    for (made_by, changed_by) in cases {
        let mut engine = tracking();
        elsewhere(&mut engine, made_by);
        say(&mut engine, ONE, "TYPE k");
        elsewhere(&mut engine, changed_by);
        expect(&mut engine, "k", "");
    }
}

#[test]
fn what_groups_do_is_told() {
    let mut engine = tracking();
    for line in ["XADD k 1-1 f v", "XADD k 2-1 f v", "XGROUP CREATE k g 0"] {
        elsewhere(&mut engine, line);
    }
    for line in [
        "XREADGROUP GROUP g c STREAMS k >",
        "XACK k g 1-1",
        "XCLAIM k g d 0 2-1",
        "XAUTOCLAIM k g e 0 0",
        "XGROUP CREATECONSUMER k g f",
        "XGROUP DELCONSUMER k g f",
        "XGROUP SETID k g 0",
        "XGROUP DESTROY k g",
    ] {
        say(&mut engine, ONE, "XINFO GROUPS k");
        elsewhere(&mut engine, line);
        assert_eq!(told(&mut engine)[0], "k", "{line}");
    }
}

#[test]
fn what_expires_is_told() {
    let mut engine = tracking();
    elsewhere(&mut engine, "SET k v PX 10");
    for line in ["HSET h f v g w", "HPEXPIRE h 10 FIELDS 1 f"] {
        elsewhere(&mut engine, line);
    }
    say(&mut engine, ONE, "GET k");
    say(&mut engine, TWO, "HGETALL h");
    advance(&mut engine, 20);
    engine.expire_due(100);
    expect(&mut engine, "k", "h");
}

#[test]
fn flushing_and_swapping_lets_everybody_drop_all() {
    for line in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"] {
        let mut engine = tracking();
        track(&mut engine, TWO, Some(broadcast(TWO, &["p"])));
        say(&mut engine, ONE, "GET k");
        say(&mut engine, ONE, line);
        expect(&mut engine, "*", "*");
        elsewhere(&mut engine, "SET k v");
        expect(&mut engine, "", "");
    }
}

#[test]
fn who_broadcasts_is_told_by_prefix_whatever_it_reads() {
    let mut engine = engine();
    track(&mut engine, ONE, Some(broadcast(ONE, &["a:", "b:"])));
    track(&mut engine, TWO, Some(broadcast(TWO, &[""])));
    assert_eq!(engine.tracking.prefix_count(), 3);
    say(&mut engine, ONE, "GET c:1");
    assert_eq!(engine.tracking.key_count(), 0);
    elsewhere(&mut engine, "MSET b:1 v a:2 v c:1 v a:1 v a:2 v");
    expect(&mut engine, "a::a:1+a:2 b::b:1", ":a:1+a:2+b:1+c:1");
    track(&mut engine, ONE, Some(broadcast(ONE, &["c:"])));
    elsewhere(&mut engine, "MSET a:1 v c:1 v");
    expect(&mut engine, "c::c:1", ":a:1+c:1");
    track(&mut engine, TWO, None);
    assert_eq!(engine.tracking.prefix_count(), 1);
    elsewhere(&mut engine, "DEL c:1");
    expect(&mut engine, "c::c:1", "");
}

#[test]
fn noloop_spares_its_own_changes_and_only_those() {
    let mut engine = tracking();
    track(&mut engine, ONE, Some(Terms { is_noloop: true, ..terms(ONE) }));
    track(&mut engine, TWO, Some(Terms { is_noloop: true, ..broadcast(TWO, &["k"]) }));
    say(&mut engine, ONE, "GET k");
    say(&mut engine, ONE, "SET k own");
    expect(&mut engine, "", "k:k");
    // What it has put away itself is no longer true now.
    say(&mut engine, TWO, "SET k other");
    expect(&mut engine, "k", "");
    say(&mut engine, ONE, "GET k");
    say(&mut engine, ONE, "SET k own");
    elsewhere(&mut engine, "SET k other");
    expect(&mut engine, "k", "k:k");
    say(&mut engine, ONE, "GET k");
    say(&mut engine, ONE, "FLUSHALL");
    expect(&mut engine, "*", "*");
}

#[test]
fn at_the_bound_keys_are_forgotten_and_their_readers_told() {
    let mut engine = tracking();
    engine.tracking.set_keys_max(2);
    for key in ["a", "b", "c", "d"] {
        say(&mut engine, ONE, &format!("GET {key}"));
    }
    assert_eq!(engine.tracking.key_count(), 2);
    let forgotten = told(&mut engine)[0].clone();
    assert_eq!(forgotten.split(' ').count(), 2, "{forgotten}");
    for key in ["a", "b", "c", "d"] {
        elsewhere(&mut engine, &format!("SET {key} v"));
    }
    let changed = told(&mut engine)[0].clone();
    let mut all: Vec<&str> = forgotten.split(' ').chain(changed.split(' ')).collect();
    all.sort_unstable();
    assert_eq!(all, ["a", "b", "c", "d"], "each is told once");
    engine.tracking.set_keys_max(0);
    for number in 0..100 {
        say(&mut engine, ONE, &format!("GET {number}"));
    }
    assert_eq!(engine.tracking.key_count(), 100);
    engine.tracking.set_keys_max(10);
    assert_eq!(engine.tracking.key_count(), 10);
    assert_eq!(told(&mut engine)[0].split(' ').count(), 90);
}

#[test]
fn too_much_to_tell_is_told_as_everything() {
    let mut engine = engine();
    track(&mut engine, ONE, Some(broadcast(ONE, &[""])));
    track(&mut engine, TWO, Some(terms(TWO)));
    let key = "x".repeat(INVALIDATED_BYTES_MAX / 16);
    for number in 0..15 {
        elsewhere(&mut engine, &format!("SET {key}{number} v"));
    }
    assert_eq!(told(&mut engine)[0].matches(&key).count(), 15);
    for number in 0..17 {
        elsewhere(&mut engine, &format!("SET {key}{number} v"));
    }
    expect(&mut engine, "*", "*");
    elsewhere(&mut engine, "SET k v");
    expect(&mut engine, ":k", "");
}

#[test]
fn who_tracks_no_more_is_told_nothing_and_costs_nothing() {
    let mut engine = tracking();
    say(&mut engine, ONE, "GET k");
    say(&mut engine, TWO, "GET k");
    track(&mut engine, ONE, None);
    elsewhere(&mut engine, "SET k v");
    expect(&mut engine, "", "k");
    say(&mut engine, TWO, "GET k");
    track(&mut engine, TWO, None);
    assert!(!engine.tracking.is_active());
    assert_eq!((engine.tracking.key_count(), engine.tracking.item_count()), (0, 0));
    elsewhere(&mut engine, "SET k v");
    assert!(!engine.keyspace.has_news() && !engine.tracking.has_invalidations());
}

#[test]
fn another_state_lets_everybody_drop_all_and_be_told_of_what_follows() {
    let mut engine = tracking();
    say(&mut engine, ONE, "GET k");
    engine.replace_state(super::super::testing::engine());
    expect(&mut engine, "*", "*");
    say(&mut engine, ONE, "GET k");
    elsewhere(&mut engine, "SET k v");
    expect(&mut engine, "k", "");
}

#[test]
fn tracking_leaves_no_trace_in_the_state() {
    let (mut plain, mut tracked) = (engine(), tracking());
    for line in ["SET k v", "GET k", "HSET h f v", "XADD x 1-1 f v", "XGROUP CREATE x g 0"] {
        elsewhere(&mut plain, line);
        say(&mut tracked, ONE, line);
    }
    assert_eq!(plain.digest(), tracked.digest());
}

/// Runs a transaction of the first client, or of nobody here.
fn transaction(engine: &mut Engine, client: Option<Subscriber>, lines: &[&str]) {
    let mut queued = Batch::default();
    for line in lines {
        let words = words(line);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        queued.push(lookup(words[0]).unwrap(), 0, &words[1..]);
    }
    let mut batch = Batch::default();
    batch.push_transaction(None, lookup(b"exec").unwrap(), &queued, lines.len() as u32);
    if let Some(client) = client {
        engine.begin_client(client, true);
    }
    let now_ms = engine.keyspace.clock_ms();
    let mut reply = Reply::default();
    engine.run_next(&mut batch.commands(), &mut reply, now_ms, &mut Random::new(1));
    engine.end_client();
}

#[test]
fn reads_of_a_transaction_are_remembered_in_their_order_with_its_changes() {
    let mut engine = tracking();
    transaction(&mut engine, Some(ONE), &["GET k", "SET k v", "GET l"]);
    expect(&mut engine, "k", "");
    transaction(&mut engine, Some(ONE), &["SET k v", "GET k"]);
    expect(&mut engine, "", "");
    transaction(&mut engine, None, &["SET k v", "SET l v"]);
    expect(&mut engine, "k l", "");
}

#[test]
fn who_has_waited_is_remembered_at_what_it_is_given() {
    let mut engine = tracking();
    let here = MemberId(7);
    let wait = |engine: &mut Engine, member: MemberId, client: Subscriber| {
        engine.begin_batch(member);
        let is_here = member == here;
        if is_here {
            engine.begin_own_batch();
            engine.begin_client(client, true);
        }
        let caller = Caller { session: terms(client).session, protocol: Protocol::Resp2 };
        let mut batch = Batch::default();
        let arguments: [&[u8]; 5] = [b"BLOCK", b"0", b"STREAMS", b"k", b"$"];
        batch.push_for(caller, lookup(b"xread").unwrap(), 0, &arguments);
        let now_ms = engine.keyspace.clock_ms();
        let mut reply = Reply::default();
        engine.run_next(&mut batch.commands(), &mut reply, now_ms, &mut Random::new(1));
        engine.end_client();
    };
    wait(&mut engine, here, ONE);
    // A client of another node, whose session has the number of the second one here.
    wait(&mut engine, MemberId(8), TWO);
    let add = |engine: &mut Engine, id: &str| {
        let mut batch = Batch::default();
        batch.push(lookup(b"xadd").unwrap(), 0, &[b"k", id.as_bytes(), b"f", b"v"]);
        let now_ms = engine.keyspace.clock_ms();
        let mut reply = Reply::default();
        engine.run_next(&mut batch.commands(), &mut reply, now_ms, &mut Random::new(1));
    };
    add(&mut engine, "1-1");
    assert_eq!(engine.take_served().len(), 2);
    // It had asked for the key when it began to wait.
    expect(&mut engine, "k", "");
    add(&mut engine, "2-1");
    expect(&mut engine, "k", "");
    add(&mut engine, "3-1");
    expect(&mut engine, "", "");
}
