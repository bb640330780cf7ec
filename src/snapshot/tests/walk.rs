//! Snapshots of an engine that goes on while they are written.

use super::*;

const DATABASES: u8 = 3;

/// What a snapshot must bring back.
#[derive(Debug, PartialEq)]
struct Facts {
    digest: u128,
    lens: Vec<(usize, usize)>,
    clock_ms: u64,
    next_deadline: Option<u64>,
    register: Vec<u8>,
    hash_seed: u64,
}

fn facts(engine: &Engine) -> Facts {
    let keyspace = &engine.keyspace;
    let lens = (0..16).map(|database| (keyspace.len(database), keyspace.volatile_len(database)));
    Facts {
        digest: keyspace.digest(),
        lens: lens.collect(),
        clock_ms: keyspace.clock_ms(),
        next_deadline: keyspace.next_deadline(),
        register: engine.register().to_vec(),
        hash_seed: keyspace.hash_seed(),
    }
}

/// One log entry: commands of every kind that changes keys, and many keys at once, so that tables
/// grow by splits and shrink again.
fn entry(engine: &mut Engine, index: u64, seed: u64) {
    let mut random = Random::new(seed);
    engine.begin_entry(index, START_MS + index * 3);
    engine.keyspace.expire_due(random.below(20));
    for _ in 0..random.below(6) {
        let database = random.below(usize::from(DATABASES)) as u8;
        let (from, to) = (random.below(8), random.below(8));
        let name = |number: usize| ["s0", "s1", "l0", "m1", "h2", "z0", "x1", "bulk7"][number];
        let first = random.below(5000);
        match random.below(47) {
            0 => drop(run_line(engine, database, "FLUSHDB")),
            1 if random.below(4) == 0 => drop(run_line(engine, 0, "FLUSHALL")),
            16..21 => {
                let pair = (random.below(4), random.below(4));
                drop(run_line(engine, 0, &format!("SWAPDB {} {}", pair.0, pair.1)));
            }
            21..23 => {
                let to = random.below(3);
                let line = format!("COPY {} {} DB {to} REPLACE", name(from), name(to));
                drop(run_line(engine, database, &line));
                drop(run_line(engine, database, &format!("MOVE {} {to}", name(from))));
            }
            2..8 => {
                let line = format!("RENAME {} {}", name(from), name(to));
                drop(run_line(engine, database, &line));
            }
            8..12 => {
                let value = "v".repeat(random.below(60));
                for number in first..first + random.below(2500) {
                    run_line(engine, database, &format!("SET bulk{number} {number}{value}"));
                }
            }
            12..16 => {
                for number in first..first + random.below(2500) {
                    run_line(engine, database, &format!("DEL bulk{number}"));
                }
            }
            23..25 => {
                for number in first..first + random.below(200) {
                    run_line(engine, database, &format!("PEXPIRE bulk{number} {}", from * 5));
                }
            }
            _ => random_write(engine, &mut random),
        }
    }
}

/// Some entries, which a second engine applies too that is never walked over.
fn go_on(engines: &mut [Engine; 2], index: &mut u64, random: &mut Random, count: usize) {
    for _ in 0..count {
        *index += 1;
        let seed = random.next();
        engines.iter_mut().for_each(|engine| entry(engine, *index, seed));
    }
}

/// A snapshot of what the first engine is now, written while both go on.
fn snapshot_on_the_way(
    engines: &mut [Engine; 2],
    index: &mut u64,
    random: &mut Random,
) -> Vec<Payload> {
    let mut writer = Writer::begin(&mut engines[0], Index(*index));
    let mut chunks = Vec::new();
    let busy = random.below(4);
    loop {
        if random.below(4) < busy {
            let count = random.below(3);
            go_on(engines, index, random, count);
        }
        let piece = [1, 3000, 100_000][random.below(3)];
        let progress = writer.write_some(&mut engines[0], piece);
        chunks.append(&mut writer.take_chunks());
        if progress == WriteProgress::Complete {
            assert_eq!(engines[0].keyspace.displaced_bytes(), 0);
            return chunks;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_snapshot_shows_the_moment_it_was_begun(seed: u64, before in 0..60usize) {
        let mut random = Random::new(seed);
        let mut index = 0;
        let mut engines = [Engine::new(seed), Engine::new(seed)];
        go_on(&mut engines, &mut index, &mut random, before);
        for _ in 0..3 {
            let expected = facts(&engines[0]);
            let (mark, is_given_up) = (index, random.below(4) == 0);
            if is_given_up {
                let mut writer = Writer::begin(&mut engines[0], Index(index));
                writer.write_some(&mut engines[0], random.below(200_000));
                go_on(&mut engines, &mut index, &mut random, 5);
                engines[0].keyspace.end_walk();
                prop_assert_eq!(engines[0].keyspace.displaced_bytes(), 0);
                continue;
            }
            let chunks = snapshot_on_the_way(&mut engines, &mut index, &mut random);
            let loaded = load(&chunks).expect("a snapshot is read as it was written");
            prop_assert_eq!(loaded.applied_index, Index(mark));
            prop_assert_eq!(facts(&loaded.engine), expected);
        }
        // The walks left no trace.
        prop_assert_eq!(facts(&engines[0]), facts(&engines[1]));
        prop_assert_eq!(probe(&mut engines[0]), probe(&mut engines[1]));
    }
}

fn lines(engine: &mut Engine, index: u64, lines: &[&str]) {
    engine.begin_entry(index, START_MS + index);
    for line in lines {
        let reply = run_line(engine, 0, line);
        assert_ne!(reply[0], b'-', "{line}: {}", reply.escape_ascii());
    }
}

/// Each way to change, remove or make a key, against a snapshot begun just before.
#[test]
fn no_command_changes_what_was_marked() {
    let cases = [
        "SET s new",
        "SET s brief EX 1",
        "SETRANGE s 1 x",
        "APPEND s x",
        "SETBIT s 1 0",
        "BITFIELD s SET u8 #1 7",
        "BITOP NOT s s",
        "PFADD fresh x",
        "GETDEL s",
        "GETEX s EX 7",
        "GETSET s t",
        "INCR n",
        "PERSIST v",
        "PEXPIRE v 5000000",
        "PEXPIRE s -1",
        "RENAME s l",
        "RENAME l new",
        "RENAMENX h other",
        "DEL s l m h z x",
        "LPUSH l x",
        "LPOP l 9",
        "LMOVE l l LEFT RIGHT",
        "SADD m x",
        "SPOP m",
        "SREM m a 1",
        "SINTERSTORE l m m",
        "HSET h f w",
        "HDEL h f",
        "HPEXPIRE h 50 FIELDS 1 f",
        "HPEXPIREAT e 1 FIELDS 1 f",
        "HPERSIST e FIELDS 1 f",
        "HSET e f w",
        "HGETEX e PERSIST FIELDS 1 f",
        "HGETDEL e FIELDS 2 f g",
        "HSETEX e KEEPTTL FIELDS 1 f w",
        "HSETEX h PX 5 FIELDS 1 new w",
        "SET e over",
        "RENAME e h",
        "ZADD z 5 a",
        "ZPOPMIN z 5",
        "GEOADD z 1 1 a",
        "GEOSEARCHSTORE z z FROMLONLAT 0 0 BYRADIUS 1 m",
        "ZUNIONSTORE z 2 z m",
        "XADD x 9-9 f v",
        "XDEL x 1-1",
        "XTRIM x MAXLEN 0",
        "XSETID x 9-9",
        "XGROUP CREATE x new $",
        "XGROUP SETID x g $",
        "XGROUP DESTROY x g",
        "XGROUP CREATECONSUMER x g e",
        "XGROUP DELCONSUMER x g c",
        "XREADGROUP GROUP g c STREAMS x >",
        "XREADGROUP GROUP g c STREAMS x 0",
        "XACK x g 1-1",
        "XCLAIM x g d 0 1-1",
        "XAUTOCLAIM x g d 0 0",
        "FLUSHDB",
        "FLUSHALL",
        "SWAPDB 0 1",
        "SWAPDB 15 0",
        "COPY s s DB 1",
        "COPY l s REPLACE",
        "MOVE z 3",
        "SORT l ALPHA DESC STORE s",
        "SORT none STORE z",
        "SET s new IFEQ valuex",
        "DELIFEQ s valuex",
        "RAFT.WRITE other",
        "MSET s 1 fresh 2",
    ];
    for case in cases {
        let mut engine = one_of_each();
        lines(&mut engine, 2, &["SET n 1", "SET v 1 PX 100000"]);
        let expected = facts(&engine);
        let mut writer = Writer::begin(&mut engine, Index(2));
        lines(&mut engine, 3, &[case, "SET again 1"]);
        assert_ne!(facts(&engine), expected, "{case}");
        while writer.write_some(&mut engine, 1) == WriteProgress::Writing {}
        let loaded = load(&writer.take_chunks()).expect("a sound snapshot");
        assert_eq!(facts(&loaded.engine), expected, "{case}");
    }
}

/// A walk that stands amid one database meets keys of it under another number, where they change
/// and are flushed; and those that it has passed come to a place where it has not been.
#[test]
fn databases_that_are_swapped_during_a_walk_are_written_as_they_were() {
    for writes in 0..12 {
        for last in ["DEL k1 k2 k3 k4", "FLUSHDB", "FLUSHALL", "APPEND k3 x", "SWAPDB 1 2"] {
            let mut engine = Engine::new(1);
            engine.begin_entry(1, START_MS);
            for database in 0..3 {
                for key in 0..5 {
                    run_line(&mut engine, database, &format!("SET k{key} {database}"));
                }
            }
            let expected = facts(&engine);
            let mut writer = Writer::begin(&mut engine, Index(1));
            for _ in 0..writes {
                writer.write_some(&mut engine, 1);
            }
            engine.begin_entry(2, START_MS);
            run_line(&mut engine, 0, "SWAPDB 0 2");
            run_line(&mut engine, 0, "SWAPDB 1 0");
            for database in 0..3 {
                run_line(&mut engine, database, last);
                run_line(&mut engine, database, "SET k0 new");
            }
            while writer.write_some(&mut engine, 1) == WriteProgress::Writing {}
            let loaded = load(&writer.take_chunks()).expect("a sound snapshot");
            assert_eq!(facts(&loaded.engine), expected, "{last} after {writes}");
        }
    }
}

#[test]
fn a_key_is_displaced_once_and_only_while_the_walk_needs_it() {
    let mut engine = Engine::new(1);
    let value = "v".repeat(1000);
    lines(&mut engine, 1, &[&format!("SET a {value}")]);
    assert_eq!(engine.keyspace.displaced_bytes(), 0);
    let mut writer = Writer::begin(&mut engine, Index(1));
    lines(&mut engine, 2, &["SET a 1", "SET b 1"]);
    let displaced = engine.keyspace.displaced_bytes();
    assert!((1000..1200).contains(&displaced), "{displaced}");
    lines(&mut engine, 3, &["APPEND a 1", "DEL a", "SET a 2", "DEL b"]);
    assert_eq!(engine.keyspace.displaced_bytes(), displaced);
    while writer.write_some(&mut engine, usize::MAX) == WriteProgress::Writing {}
    assert_eq!(engine.keyspace.displaced_bytes(), 0);
    lines(&mut engine, 4, &["SET a 3"]);
    assert_eq!(engine.keyspace.displaced_bytes(), 0);
    let loaded = load(&writer.take_chunks()).expect("a sound snapshot");
    assert_eq!(
        (loaded.engine.keyspace.len(0), loaded.engine.keyspace.peek(0, b"a").unwrap().version()),
        (1, 1)
    );
}

#[test]
fn a_wrong_type_displaces_nothing() {
    let mut engine = one_of_each();
    let _writer = Writer::begin(&mut engine, Index(1));
    engine.begin_entry(2, START_MS);
    assert!(run_line(&mut engine, 0, "LPUSH s x").starts_with(b"-WRONGTYPE"));
    assert_eq!(engine.keyspace.displaced_bytes(), 0);
}

#[test]
fn pieces_are_about_as_large_as_asked_for_and_the_whole_is_foreseen() {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, START_MS);
    for number in 0..20_000 {
        run_line(&mut engine, 0, &format!("SET key:{number} {}", "v".repeat(64)));
    }
    let total: usize = write(&mut engine, Index(1)).iter().map(Payload::len).sum();
    let mut writer = Writer::begin(&mut engine, Index(1));
    let (mut chunks, mut pieces) = (0, 0);
    while writer.write_some(&mut engine, CHUNK_BYTES) == WriteProgress::Writing {
        let made = writer.take_chunks();
        assert!(made.len() <= 2);
        chunks += made.iter().map(Payload::len).sum::<usize>();
        pieces += 1;
        let (estimate, error) = (writer.estimated_bytes(), total / 50);
        assert!((total - error..total + error).contains(&estimate), "{estimate} of {total}");
    }
    chunks += writer.take_chunks().iter().map(Payload::len).sum::<usize>();
    assert_eq!(chunks, total);
    assert!(pieces >= total / CHUNK_BYTES / 2);
}
