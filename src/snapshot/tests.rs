mod import;
mod libraries;
mod scripts;
mod walk;

use std::sync::Arc;

use proptest::prelude::*;

use super::format::{ENGINE_SEQUENCE, archive};
use super::*;
use crate::engine::Engine;
use crate::engine::batch::{Batch, Caller, Command};
use crate::engine::command::lookup;
use crate::engine::keyspace::SessionId;
use crate::engine::random::Random;
use crate::engine::reply::{Protocol, Reply};
use crate::engine::waiting::WaitEnd;
use crate::limits::WATCHED_BYTES_MAX;
use crate::raft::types::{Configuration, Index, Member, MemberId, Payload, Seq, Term};
use crate::raft::{SnapshotState, Watermark};

const START_MS: u64 = 1_700_000_000_000;

fn run(engine: &mut Engine, database: u8, words: &[&[u8]]) -> Vec<u8> {
    let id = lookup(words[0]).unwrap_or_else(|| panic!("no command {}", words[0].escape_ascii()));
    let command = Command::new(id, database, words[1..].iter().copied().collect());
    let mut reply = Reply::new(Protocol::Resp3);
    let now_ms = engine.keyspace.clock_ms();
    engine.run(&command, &mut reply, now_ms, &mut Random::new(now_ms));
    reply.buffer
}

fn run_line(engine: &mut Engine, database: u8, line: &str) -> Vec<u8> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    run(engine, database, &words)
}

fn load(chunks: &[Payload]) -> Result<Loaded, SnapshotError> {
    let mut reader = Reader::default();
    for chunk in chunks {
        reader.read(chunk.as_slice())?;
    }
    reader.finish()
}

/// The engine after a round through chunks, with the same digest, clock and register.
fn reloaded(engine: &mut Engine, index: u64) -> Engine {
    let loaded = load(&write(engine, Index(index))).expect("a snapshot is read as it was written");
    assert_eq!(loaded.applied_index, Index(index));
    let (ours, theirs) = (&engine.keyspace, &loaded.engine.keyspace);
    assert_eq!(ours.digest(), theirs.digest());
    assert_eq!(ours.clock_ms(), theirs.clock_ms());
    assert_eq!(ours.next_deadline(), theirs.next_deadline());
    assert_eq!(engine.register(), loaded.engine.register());
    assert_eq!(engine.digest_beside_keys(), loaded.engine.digest_beside_keys());
    assert_eq!(engine.settings(), loaded.engine.settings());
    assert_eq!(engine.import(), loaded.engine.import());
    assert_eq!((ours.memory(), ours.memory()), (theirs.memory(), theirs.recount_memory()));
    for database in 0..16 {
        assert_eq!(ours.len(database), theirs.len(database));
        assert_eq!(ours.volatile_len(database), theirs.volatile_len(database));
    }
    loaded.engine
}

/// A command that changes one of a few keys, of a type that its name tells.
fn random_write(engine: &mut Engine, random: &mut Random) {
    let key = random.below(3);
    let item = match random.below(8) {
        0 => format!("{}", random.below(1000)),
        1 => "long".repeat(20 + random.below(300)),
        _ => format!("item{}", random.below(60)),
    };
    let number = random.below(400);
    let line = match random.below(43) {
        0 => format!("SET s{key} {item}"),
        1 => format!("SET s{key} {number} PX {}", 1 + random.below(50)),
        2 => format!("APPEND s{key} {item}"),
        3 => format!("SETRANGE s{key} {} x", number % 30),
        4 => format!("RPUSH l{key} {item} {number}"),
        5 => format!("LPUSH l{key} {item}"),
        6 => format!("LPOP l{key}"),
        7 => format!("LREM l{key} 1 {item}"),
        8..10 => format!("SADD m{key} {item} {number}"),
        10 => format!("SADD i{key} {number}"),
        11 => format!("SREM m{key} {item}"),
        12 => format!("SPOP m{key}"),
        13..15 => format!("HSET h{key} {item} {number}"),
        15 => format!("HDEL h{key} {item}"),
        16..18 => format!("ZADD z{key} {number}.5 {item}"),
        18 => format!("ZREM z{key} {item}"),
        19 => format!("ZADD z{key} inf {item}"),
        20..22 => format!("XADD x{key} {} {item} {number}", engine.keyspace.entry_index()),
        22 => format!("XTRIM x{key} MAXLEN {number}"),
        23 => format!("XDEL x{key} {}-0", random.below(300)),
        24 => format!("PEXPIRE h{key} {}", random.below(90)),
        25 => format!("DEL {}{key}", ["s", "l", "m", "h", "z", "x", "p"][random.below(7)]),
        26 => format!("RAFT.WRITE {item}"),
        27 => format!("SETBIT s{key} {number} 1"),
        28 => format!("BITOP NOT s{key} s{}", random.below(3)),
        29 => format!("PFADD p{key} {item} {number}"),
        30 => format!("PFMERGE p{key} p{}", random.below(3)),
        31 => format!("GEOADD z{key} {} {} {item}", number % 180, number % 85),
        32 => format!("XGROUP CREATE x{key} g{} {number} MKSTREAM ENTRIESREAD 3", number % 3),
        33 | 34 => {
            let consumer = &item[..item.len().min(40)];
            format!(
                "XREADGROUP GROUP g{} {consumer} COUNT {} STREAMS x{key} >",
                number % 3,
                1 + key
            )
        }
        35 => format!("XAUTOCLAIM x{key} g{} {item} 0 {} COUNT 3", number % 3, number / 2),
        36 => format!("XACK x{key} g{} {} {number}", number % 3, number / 2),
        37 if number < 40 => format!("XGROUP DELCONSUMER x{key} g{} {item}", number % 3),
        37 => format!("XCLAIM x{key} g{} late 0 {number} FORCE", number % 3),
        38 => format!("HPEXPIRE h{key} {} FIELDS 2 {item} item1", random.below(60)),
        39 => format!("HSETEX h{key} PX {} FIELDS 1 {item} {number}", 1 + random.below(60)),
        40 => format!("HPERSIST h{key} FIELDS 1 {item}"),
        41 => format!("HGETEX h{key} PXAT 70368744177663 FIELDS 1 {item}"),
        _ => format!("PERSIST h{key}"),
    };
    run_line(engine, random.below(3) as u8, &line);
}

/// What a client sees of all keys that [`random_write`] makes, random picks and removals included.
fn probe(engine: &mut Engine) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    for database in 0..3 {
        let mut ask = |line: String| seen.push(run_line(engine, database, &line));
        ask("SCAN 0 COUNT 5".to_owned());
        ask("RANDOMKEY".to_owned());
        ask("DBSIZE".to_owned());
        for key in 0..3 {
            for name in ["s", "l", "m", "i", "h", "z", "x", "p"] {
                ask(format!("OBJECT ENCODING {name}{key}"));
                ask(format!("PTTL {name}{key}"));
            }
            ask(format!("GET s{key}"));
            ask(format!("GET p{key}"));
            ask(format!("LRANGE l{key} 0 -1"));
            ask(format!("SSCAN m{key} 0 COUNT 3"));
            ask(format!("SRANDMEMBER m{key} 4"));
            ask(format!("SPOP m{key} 3"));
            ask(format!("SPOP i{key}"));
            ask(format!("HGETALL h{key}"));
            ask(format!("HRANDFIELD h{key} 3 WITHVALUES"));
            ask(format!("ZRANGE z{key} 0 -1 WITHSCORES"));
            ask(format!("ZRANDMEMBER z{key} -5"));
            ask(format!("XRANGE x{key} - +"));
            ask(format!("XINFO GROUPS x{key}"));
            for group in 0..3 {
                ask(format!("XINFO CONSUMERS x{key} g{group}"));
                ask(format!("XPENDING x{key} g{group} - + 1000"));
            }
            ask(format!("XADD x{key} * a b"));
            ask(format!("XREADGROUP GROUP g1 late STREAMS x{key} >"));
            ask(format!("XREADGROUP GROUP g1 late COUNT 5 STREAMS x{key} 0"));
            ask(format!("XINFO STREAM x{key} FULL"));
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_loaded_engine_goes_on_as_the_written_one(seed: u64, writes in 0..1500usize) {
        let mut random = Random::new(seed);
        let mut engine = Engine::new(seed);
        for index in 1..=writes as u64 {
            engine.begin_entry(index, START_MS + index / 8);
            random_write(&mut engine, &mut random);
        }
        let mut loaded = reloaded(&mut engine, writes as u64);
        prop_assert_eq!(probe(&mut engine), probe(&mut loaded));
        for index in writes as u64 + 1..=writes as u64 + 100 {
            for engine in [&mut engine, &mut loaded] {
                engine.begin_entry(index, START_MS + index);
                engine.keyspace.expire_due(3);
                random_write(engine, &mut Random::new(index));
            }
        }
        prop_assert_eq!(engine.keyspace.digest(), loaded.keyspace.digest());
        prop_assert_eq!(probe(&mut engine), probe(&mut loaded));
    }
}

#[test]
fn an_empty_engine_has_a_snapshot() {
    let mut engine = Engine::new(7);
    assert_eq!(reloaded(&mut engine, 3).keyspace.hash_seed(), 7);
}

#[test]
fn versions_and_keys_that_are_due_survive() {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, START_MS);
    run_line(&mut engine, 5, "SET due 1 PX 10");
    engine.begin_entry(9, START_MS + 5);
    run_line(&mut engine, 5, "SET other 1");
    engine.begin_entry(10, START_MS + 20);
    let loaded = reloaded(&mut engine, 10);
    assert_eq!(loaded.keyspace.len(5), 2);
    assert_eq!(loaded.keyspace.peek(5, b"other").unwrap().version(), 9);
    assert!(loaded.keyspace.peek(5, b"due").is_none());
}

/// What was small when a bound was lowered stays so until it changes, here as there, and whoever
/// reads it.
#[test]
fn forms_follow_the_log_alone() {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, START_MS);
    for line in ["HSET hash f v", "HSET due f v g w", "HPEXPIRE due 10 FIELDS 1 f"] {
        run_line(&mut engine, 0, line);
    }
    let lower = "RAFT.SETTING SET hash-max-listpack-entries 0";
    run_line(&mut engine, 0, lower);
    let mut loaded = reloaded(&mut engine, 1);
    let read = |engine: &mut Engine| run_line(engine, 0, "OBJECT ENCODING hash");
    assert_eq!(read(&mut loaded), b"$8\r\nlistpack\r\n", "a read changes nothing");
    for engine in [&mut engine, &mut loaded] {
        engine.begin_entry(2, START_MS + 10);
        engine.expire_due(10);
    }
    run_line(&mut loaded, 0, "HGET due g");
    for engine in [&mut engine, &mut loaded] {
        run_line(engine, 0, "SET other 1");
    }
    assert_eq!(engine.digest(), loaded.digest());
    run_line(&mut engine, 0, "HSET hash g w");
    assert_eq!(read(&mut engine), b"$9\r\nhashtable\r\n");
}

#[test]
fn what_sessions_watch_survives() {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, START_MS);
    let session = |member, number| SessionId { member: MemberId(member), number };
    for (member, number, database, key) in
        [(1, 1, 0, "a"), (1, 1, 3, "b"), (2, 1, 0, "a key of more than 22 bytes"), (2, 9, 0, "c")]
    {
        engine.keyspace.watch(session(member, number), database, key.as_bytes()).unwrap();
    }
    run_line(&mut engine, 0, "SET c 1");
    // One that was refused.
    let long = vec![b'x'; WATCHED_BYTES_MAX];
    assert!(engine.keyspace.watch(session(4, 1), 0, &long).is_err());
    let mut loaded = reloaded(&mut engine, 1);
    assert_eq!(loaded.keyspace.watching().len(), 4);
    assert_eq!(loaded.keyspace.watching(), engine.keyspace.watching());
    assert_eq!(loaded.digest(), engine.digest());
    run_line(&mut loaded, 3, "SET b 1");
    let unwatched = [(1, 1), (2, 1), (2, 9), (3, 1)]
        .map(|(member, number)| loaded.keyspace.unwatch(session(member, number)));
    assert_eq!(unwatched, [false, true, false, false]);
}

#[test]
fn those_who_wait_survive() {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, START_MS);
    for (session, protocol, line) in [
        (1, Protocol::Resp2, "BLPOP l m 0"),
        (2, Protocol::Resp3, "BRPOP l 0.5"),
        (3, Protocol::Resp2, "XREAD BLOCK 900 STREAMS s $"),
    ] {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut batch = Batch::default();
        let caller = Caller { session, protocol };
        batch.push_for(caller, lookup(words[0]).unwrap(), 2, &words[1..]);
        engine.begin_batch(MemberId(7));
        let (mut reply, mut random) = (Reply::default(), Random::new(1));
        engine.run_next(&mut batch.commands(), &mut reply, START_MS, &mut random);
    }
    let mut loaded = reloaded(&mut engine, 1);
    assert_eq!(loaded.waiting().waiters(), engine.waiting().waiters());
    assert_eq!(loaded.digest(), engine.digest());
    assert_eq!(loaded.next_deadline(), Some(START_MS + 500));
    for engine in [&mut engine, &mut loaded] {
        let mut batch = Batch::default();
        batch.push(lookup(b"rpush").unwrap(), 2, &[b"l", b"a", b"b"]);
        let (mut reply, mut random) = (Reply::default(), Random::new(1));
        engine.run_next(&mut batch.commands(), &mut reply, START_MS, &mut random);
        engine.begin_entry(2, START_MS + 900);
        engine.expire_due(10);
        let served = engine.take_served();
        let replies = served.iter().map(|served| match &served.end {
            WaitEnd::Reply(reply) => reply.escape_ascii().to_string(),
            WaitEnd::Again(_) => panic!("nobody was passed over"),
        });
        let replies = replies.collect::<Vec<_>>().join(" ");
        let expected = r"*2\r\n$1\r\nl\r\n$1\r\na\r\n *2\r\n$1\r\nl\r\n$1\r\nb\r\n *-1\r\n";
        assert_eq!(replies, expected);
    }
    assert_eq!(loaded.digest(), engine.digest());
}

#[test]
fn large_values_span_chunks_of_bounded_size() {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, START_MS);
    run(&mut engine, 0, &[b"SET", b"string", &vec![b'x'; 3 * CHUNK_BYTES + 17]]);
    let filler = "f".repeat(500);
    for number in 0..2000u32 {
        let n = number.to_string();
        let item = format!("{n}{filler}");
        let (n, item) = (n.as_bytes(), item.as_bytes());
        run(&mut engine, 0, &[b"RPUSH", b"list", item]);
        run(&mut engine, 0, &[b"SADD", b"set", item]);
        run(&mut engine, 0, &[b"HSET", b"hash", n, item]);
        run(&mut engine, 0, &[b"HSETEX", b"e", b"PX", n, b"FIELDS", b"1", n, item]);
        run(&mut engine, 0, &[b"ZADD", b"zset", n, item]);
        run(&mut engine, 0, &[b"XADD", b"stream", b"*", n, item]);
        run(&mut engine, 0, &[b"XADD", b"small", b"*", b"f", b""]);
    }
    run_line(&mut engine, 0, "XGROUP CREATE small many 0");
    run_line(&mut engine, 0, "XGROUP CREATE small few 0");
    for _ in 0..1000 {
        run_line(&mut engine, 0, "XREADGROUP GROUP many one COUNT 1 STREAMS small >");
        run_line(&mut engine, 0, "XREADGROUP GROUP many other COUNT 1 STREAMS small >");
    }
    run_line(&mut engine, 0, "XREADGROUP GROUP few one COUNT 1 STREAMS small >");
    let chunks = write(&mut engine, Index(1));
    assert!(chunks.len() > 40);
    assert!(chunks.iter().all(|chunk| chunk.len() < CHUNK_BYTES + (1 << 10) * 2 + CHUNK_BYTES));
    reloaded(&mut engine, 1);
}

#[test]
fn an_item_larger_than_a_chunk_is_one_chunk() {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, START_MS);
    let large = vec![b'e'; 5 * CHUNK_BYTES];
    run(&mut engine, 0, &[b"RPUSH", b"list", b"a", &large, b"z"]);
    run(&mut engine, 0, &[b"HSET", b"hash", b"field", &large]);
    reloaded(&mut engine, 1);
}

fn one_of_each() -> Engine {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, START_MS);
    for line in [
        "SET s value PX 1000",
        "APPEND s x",
        "RPUSH l a b",
        "SADD m a 1",
        "SADD i 1 2",
        "HSET h f v",
        "HSETEX e PX 1000 FIELDS 2 f v g w",
        "HSET e h x",
        "ZADD z 1 a 2 b",
        "XADD x 1-1 f v",
        "XADD x 1-2 f v",
        "XGROUP CREATE x g 0 ENTRIESREAD 0",
        "XREADGROUP GROUP g c COUNT 1 STREAMS x >",
        "XGROUP CREATECONSUMER x g d",
        "RAFT.WRITE r",
    ] {
        run_line(&mut engine, 0, line);
    }
    engine
}

#[test]
fn damage_is_an_error_or_another_value_but_never_a_panic() {
    let chunks: Vec<Payload> = write(&mut one_of_each(), Index(1));
    let mut refused = 0;
    for at in 0..chunks.len() {
        for position in 0..chunks[at].len() {
            for bit in 0..8 {
                let mut damaged = rkyv::util::AlignedVec::new();
                damaged.extend_from_slice(chunks[at].as_slice());
                damaged[position] ^= 1 << bit;
                let mut chunks = chunks.clone();
                chunks[at] = Payload::new(damaged);
                if let Ok(mut loaded) = load(&chunks) {
                    loaded.engine.keyspace.expire_due(10);
                    loaded.engine.keyspace.digest();
                    probe(&mut loaded.engine);
                } else {
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 1000);
}

#[test]
fn chunks_that_are_cut_off_are_refused() {
    let chunks = write(&mut one_of_each(), Index(1));
    for at in 0..chunks.len() {
        for len in 0..chunks[at].len() {
            let mut short = rkyv::util::AlignedVec::new();
            short.extend_from_slice(&chunks[at].as_slice()[..len]);
            let mut chunks = chunks.clone();
            chunks[at] = Payload::new(short);
            assert!(load(&chunks).is_err());
        }
    }
}

#[test]
fn what_changed_after_the_last_entry_is_damage() {
    let mut engine = Engine::new(1);
    engine.begin_entry(5, START_MS);
    run_line(&mut engine, 0, "SET s 1");
    let told = |engine: &mut Engine, index| load(&write(engine, Index(index))).map(|_| ());
    assert_eq!(told(&mut engine, 4), Err(SnapshotError::Value));
    assert_eq!(told(&mut engine, 5), Ok(()));
}

#[test]
fn chunks_are_taken_whole_and_in_order_only() {
    let chunks = write(&mut one_of_each(), Index(1));
    assert_eq!(chunks.len(), 3);
    assert_eq!(load(&chunks[..2]).err(), Some(SnapshotError::Incomplete));
    assert_eq!(load(&chunks[1..]).err(), Some(SnapshotError::Sequence(2, 1)));
    let doubled = [chunks[0].clone(), chunks[1].clone(), chunks[1].clone()];
    assert_eq!(load(&doubled).err(), Some(SnapshotError::Sequence(2, 3)));
    let end = |sequence| archive(sequence, format::Content::End { keys: 0 }).0;
    assert_eq!(load(&[end(ENGINE_SEQUENCE)]).err(), Some(SnapshotError::Kind));
    let early = [chunks[0].clone(), end(ENGINE_SEQUENCE + 1)];
    assert!(load(&early).is_ok_and(|loaded| loaded.engine.keyspace.is_empty(0)));
    let short = [chunks[0].clone(), chunks[1].clone(), end(ENGINE_SEQUENCE + 2)];
    assert_eq!(load(&short).err(), Some(SnapshotError::Incomplete));
}

#[test]
fn the_state_of_consensus_comes_back() {
    let member = |id: u64| Member {
        id: MemberId(id),
        slot: format!("slot-{id}"),
        boot: u128::from(id) << 100,
        client_address: "127.0.0.1:5001".to_owned(),
        peer_address: "127.0.0.1:15001".to_owned(),
        observer: id == 9,
    };
    let state = SnapshotState {
        last_index: Index(77),
        last_term: Term(5),
        last_at_ms: START_MS,
        configuration: Arc::new(Configuration {
            voters: vec![MemberId(1), MemberId(2)],
            voters_outgoing: vec![MemberId(1)],
            learners: vec![MemberId(9)],
            members: vec![member(1), member(2), member(9)],
        }),
        watermarks: vec![Watermark { origin: MemberId(2), stream: 1, seq: Seq(40) }],
    };
    let chunk = write_consensus(&state);
    assert_eq!(read_consensus(chunk.as_slice()), Ok(state));
    assert_eq!(Reader::default().read(chunk.as_slice()), Err(SnapshotError::Sequence(0, 1)));
    for position in 0..chunk.len() {
        for bit in 0..8 {
            let mut damaged = rkyv::util::AlignedVec::<16>::new();
            damaged.extend_from_slice(chunk.as_slice());
            damaged[position] ^= 1 << bit;
            let _ = read_consensus(&damaged);
        }
    }
}

#[test]
fn whether_keys_expire_by_themselves_is_part_of_the_state() {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, 1);
    engine.keyspace.set_active_expire(false);
    assert!(!reloaded(&mut engine, 1).keyspace.has_active_expire());
    engine.keyspace.set_active_expire(true);
    assert!(reloaded(&mut engine, 1).keyspace.has_active_expire());
}
