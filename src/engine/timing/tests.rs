use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::engine::Engine;
use crate::engine::batch::Batch;
use crate::engine::command::lookup;
use crate::engine::random::Random;
use crate::engine::reply::Reply;
use crate::engine::testing::engine;

/// Nanoseconds that each look at the clock of [`timed`] adds.
const TICK: u64 = 1000;

fn clock() -> u64 {
    static NOW: AtomicU64 = AtomicU64::new(0);
    NOW.fetch_add(TICK, Ordering::Relaxed)
}

/// Runs command lines as one burst. Tests share the clock, which others may move: times are at
/// least what is said.
fn timed(engine: &mut Engine, is_own: bool, thresholds: Thresholds, lines: &[&str]) {
    let mut batch = Batch::default();
    for line in lines {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        batch.push(lookup(words[0]).unwrap(), 0, &words[1..]);
    }
    engine.begin_timing(is_own, thresholds);
    let (mut commands, mut reply) = (batch.commands(), Reply::default());
    while engine.run_next(&mut commands, &mut reply, 1, &mut Random::new(1)).is_some() {}
    engine.end_timing();
}

fn watched() -> Engine {
    let mut engine = engine();
    engine.set_stopwatch(clock);
    engine
}

fn of(engine: &Engine, name: &str) -> CommandStats {
    let slot = (0..engine.stats().commands.len())
        .find(|slot| super::super::command::stat_name(*slot) == name);
    engine.stats().commands[slot.unwrap()]
}

const TRACK: Thresholds = Thresholds { tracks: true, ..Thresholds::NONE };

#[test]
fn brief_commands_share_the_time_of_their_run_and_others_have_their_own() {
    let mut engine = watched();
    let lines: Vec<&str> = std::iter::repeat_n("SET k v", RUN_MAX).chain(["KEYS *"]).collect();
    timed(&mut engine, true, TRACK, &lines);
    let (set, keys) = (of(&engine, "set"), of(&engine, "keys"));
    assert_eq!((set.calls, keys.calls), (32, 1));
    assert!(set.nanos >= TICK / 32 * 32 && keys.nanos >= TICK);
    let total: u64 = engine.stats().histograms.iter().flatten().map(|one| one.total()).sum();
    assert_eq!(total, 33);
    engine.reset_stats();
    assert_eq!(of(&engine, "set"), CommandStats::default());
}

#[test]
fn nothing_is_timed_without_a_clock_and_nothing_noted_of_other_nodes_clients() {
    let all = Thresholds { nanos: 0, reply_bytes: 0, tracks: true };
    let mut engine = engine();
    timed(&mut engine, true, all, &["SET k v", "KEYS *"]);
    assert_eq!(of(&engine, "keys").nanos, 0);
    assert_eq!(engine.take_notable(), []);
    let mut engine = watched();
    timed(&mut engine, false, all, &["SET k v", "KEYS *"]);
    assert!(of(&engine, "set").nanos > 0);
    assert_eq!(engine.take_notable(), []);
}

#[test]
fn what_is_over_a_threshold_is_noted_with_its_words() {
    let mut engine = watched();
    let slow = Thresholds { nanos: 0, ..Thresholds::NONE };
    timed(&mut engine, true, slow, &["SET k v", "OBJECT ENCODING k", "INCR k"]);
    let notable = engine.take_notable();
    let lines: Vec<String> =
        notable.iter().map(|one| String::from_utf8(one.words.join(&b' ')).unwrap()).collect();
    assert_eq!(lines, ["set k v", "object ENCODING k", "incr k"]);
    assert_eq!(notable.iter().map(|one| one.is_fast).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(of(&engine, "object|encoding").calls, 1);
    let large = Thresholds { reply_bytes: 6, ..Thresholds::NONE };
    timed(&mut engine, true, large, &["SET k v", "GET k", "ECHO x"]);
    let notable = engine.take_notable();
    assert_eq!(notable[0].words, [b"get".to_vec(), b"k".to_vec()]);
    assert_eq!(notable[0].reply_bytes, 7);
}

#[test]
fn after_a_run_that_was_slow_as_a_whole_commands_are_timed_alone() {
    let mut engine = watched();
    let slow = Thresholds { nanos: ALONE_NANOS_MIN, ..Thresholds::NONE };
    timed(&mut engine, true, slow, &["SET k v"]);
    assert_eq!(engine.stats().timing.alone_left, 0);
    fn leaping() -> u64 {
        static NOW: AtomicU64 = AtomicU64::new(0);
        NOW.fetch_add(2 * ALONE_NANOS_MIN, Ordering::Relaxed)
    }
    engine.set_stopwatch(leaping);
    timed(&mut engine, true, slow, &["SET k v"]);
    assert_eq!(engine.take_notable(), [], "nobody knows which of a run it was");
    timed(&mut engine, true, slow, &["SET k v"]);
    assert_eq!(engine.take_notable().len(), 1);
}

#[test]
fn a_log_keeps_an_excerpt_of_many_or_long_words() {
    let long = vec![b'x'; 130];
    let words = [&b"mset"[..], &long, &long[..128]];
    let kept = excerpt(words.into_iter(), 3);
    assert_eq!(kept[1], [&long[..128], b"... (2 more bytes)"].concat());
    assert_eq!(kept[2], &long[..128]);
    let many = vec![&b"a"[..]; 37];
    let kept = excerpt(many.iter().copied(), 37);
    assert_eq!(kept.len(), 32);
    assert_eq!(kept[31], b"... (6 more arguments)");
    assert_eq!(excerpt(many[..32].iter().copied(), 32).len(), 32);
}
