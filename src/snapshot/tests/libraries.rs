//! Libraries of functions, and scripts, whose chunks were damaged on the way.

use super::*;

fn engine() -> Engine {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, START_MS);
    engine
}

fn load_library(engine: &mut Engine, code: &str) {
    let reply = run(engine, 0, &[b"FUNCTION", b"LOAD", code.as_bytes()]);
    assert!(reply.starts_with(b"$"), "{}", reply.escape_ascii());
}

const LIBRARY: &str = "#!lua name=abcdefgh
    redis.register_function{function_name='Func', callback=function(keys) return #keys end,
        flags={'no-writes'}, description='texttext'}
    redis.register_function('inc', function() return redis.call('INCR', 'n') end)";

#[test]
fn a_snapshot_has_the_libraries() {
    let mut engine = engine();
    load_library(&mut engine, LIBRARY);
    for number in 0..3 {
        let long = "x".repeat(100_000);
        let code = format!(
            "#!lua name=long{number}\nredis.register_function('l{number}', function()
             return '{long}' end)"
        );
        load_library(&mut engine, &code);
    }
    run(&mut engine, 0, &[b"FCALL", b"inc", b"0"]);
    let mut loaded = reloaded(&mut engine, 1);
    assert_eq!(loaded.digest(), engine.digest());
    for line in
        ["FUNCTION LIST", "FUNCTION DUMP", "FUNCTION STATS", "FCALL func 2 a b", "FCALL inc 0"]
    {
        assert_eq!(run_line(&mut loaded, 0, line), run_line(&mut engine, 0, line), "{line}");
    }
    assert_eq!(loaded.digest(), engine.digest());
    run_line(&mut engine, 0, "FUNCTION FLUSH");
    assert_ne!(loaded.digest(), engine.digest());
    assert_eq!(reloaded(&mut engine, 1).digest(), engine.digest());
}

#[test]
fn libraries_that_cannot_be_are_refused_and_damage_never_panics() {
    let mut engine = engine();
    run(&mut engine, 0, &[b"SCRIPT", b"LOAD", b"#!lua flags=no-writes\nreturn 'some text'"]);
    load_library(&mut engine, LIBRARY);
    let chunks = write(&mut engine, Index(1));
    // Head, scripts, libraries, end.
    assert_eq!(chunks.len(), 4);
    let replaced = |at: usize, good: &[u8], bad: &[u8]| {
        let mut bytes = rkyv::util::AlignedVec::new();
        bytes.extend_from_slice(chunks[at].as_slice());
        // What is archived inline stands behind the texts: the last one is replaced.
        let position = bytes.windows(good.len()).rposition(|it| it == good).unwrap();
        bytes[position..position + bad.len()].copy_from_slice(bad);
        let mut damaged = chunks.clone();
        damaged[at] = Payload::new(bytes);
        load(&damaged).err()
    };
    assert_eq!(replaced(2, b"Func", b"Fu c"), Some(SnapshotError::Value));
    // Two functions of the same name.
    assert_eq!(replaced(2, b"Func", b"inc\xff"), Some(SnapshotError::Value));
    assert_eq!(replaced(1, b"no-writes", b"no-writex"), Some(SnapshotError::Value));
    let mut twice = chunks.clone();
    twice.insert(2, chunks[2].clone());
    assert_eq!(load(&twice).err(), Some(SnapshotError::Sequence(3, 4)));
    for at in [1, 2] {
        for position in 0..chunks[at].len() {
            for bit in [0, 3, 7] {
                let mut bytes = rkyv::util::AlignedVec::new();
                bytes.extend_from_slice(chunks[at].as_slice());
                bytes[position] ^= 1 << bit;
                let mut damaged = chunks.clone();
                damaged[at] = Payload::new(bytes);
                if let Ok(mut loaded) = load(&damaged) {
                    loaded.engine.digest();
                    run_line(&mut loaded.engine, 0, "FUNCTION LIST WITHCODE");
                }
            }
        }
    }
}
