//! The cache of scripts goes along, and scripts behave alike on nodes with different histories.

use super::*;
use crate::engine::script::Limits;

/// An engine in which scripts come to their limits soon.
fn limited(mut engine: Engine) -> Engine {
    engine.runtime.limits = Limits {
        instructions: 1_200_000,
        memory: 32 << 20,
        allotted_instructions: 300_000,
        allotted_memory: 2 << 20,
    };
    engine
}

fn engine() -> Engine {
    let mut engine = limited(Engine::new(1));
    engine.begin_entry(1, START_MS);
    engine
}

fn eval(engine: &mut Engine, script: &str) -> String {
    run(engine, 0, &[b"EVAL", script.as_bytes(), b"0"]).escape_ascii().to_string()
}

fn reloaded_limited(engine: &mut Engine) -> Engine {
    limited(reloaded(engine, 1))
}

/// Each is more than the state that is kept allots, and less than the limits.
const BEYOND_ALLOTMENT: [&str; 4] = [
    "local s = '' for i = 1, 2000 do s = s .. redis.call('INCR', 'n') end return #s",
    "local t = {} for i = 1, 200 do t[i] = ('x'):rep(20000) .. redis.call('INCR', 'n') end
     return redis.call('GET', 'n')",
    "redis.call('SELECT', 1) redis.call('SET', 'n', 5) redis.setresp(3)
     local s = string.rep('y', 4000000) return {#s, redis.call('INCR', 'n')}",
    "local n = 0 for i = 1, 120000 do n = n + i % 3 end redis.call('SET', 'n', n)
     return math.random(1000000)",
];

/// Scripts of all kinds, of which some leave something behind.
const SCRIPTS: [&str; 16] = [
    "return redis.call('INCR', 'n')",
    "return tostring({}) .. tostring(print) .. tostring(tostring)",
    "return {tostring({}), tostring(function() end), tostring({})}",
    "return math.random(1000000)",
    "return redis.call('TIME')",
    "return tostring(os.clock())",
    "local t = {} for i = 1, 50 do t['k' .. i] = i end
     local s = '' for k in pairs(t) do s = s .. k end return s",
    "local k = {} local t = {[k] = 1, b = 2, a = 3} t[k] = nil t.c = 1 local s = ''
     for k in pairs(t) do s = s .. k end return s .. next(t)",
    "local t = {[{}] = 1, [{}] = 2} for k in pairs(t) do redis.call('INCR', 'x') end",
    "local w = setmetatable({}, {__mode = 'k'}) for i = 1, 1000 do w[{}] = i end
     local n = 0 for i = 1, 300 do local s = ('x'):rep(20000) .. i end
     collectgarbage() return collectgarbage('count')",
    "return redis.call('SPOP', 'set') or redis.call('SADD', 'set', 1, 2, 3, 4, 5, 6, 7, 8)",
    "return #string.rep('x', 3000000)",
    "rawset(_G, 'left', 1)",
    "table.insert(redis, 1)",
    "local n = 0 for i = 1, 120000 do n = n + 1 end return n",
    "return redis.call('PUBLISH', 'c', 'm')",
];

#[test]
fn engines_with_different_histories_agree() {
    let (mut first, mut second) = (engine(), engine());
    // What the second has run for itself must not show.
    for script in BEYOND_ALLOTMENT.iter().chain(&SCRIPTS) {
        let reads = format!("local redis = {{call = function() return 1 end}} {script}");
        run(&mut second, 0, &[b"EVAL_RO", reads.as_bytes(), b"0"]);
    }
    assert_eq!(first.digest(), second.digest());
    for round in 0..2 {
        for (number, script) in SCRIPTS.iter().chain(&BEYOND_ALLOTMENT).enumerate() {
            if number % 5 == 4 {
                // As on a node that joins.
                second = reloaded_limited(&mut second);
            }
            let replies = [&mut first, &mut second].map(|engine| eval(engine, script));
            assert_eq!(replies[0], replies[1], "{script}");
            assert_eq!(first.keyspace.digest(), second.keyspace.digest(), "{round}: {script}");
            assert_eq!(first.digest(), second.digest(), "{round}: {script}");
        }
    }
}

#[test]
fn a_snapshot_has_the_scripts_with_what_has_brought_them() {
    let mut engine = engine();
    eval(&mut engine, "return 1");
    run(&mut engine, 0, &[b"SCRIPT", b"LOAD", b"#!lua flags=no-writes\nreturn 2"]);
    let long = format!("return '{}'", "x".repeat(200_000));
    eval(&mut engine, &long);
    let mut loaded = reloaded_limited(&mut engine);
    assert_eq!(loaded.digest(), engine.digest());
    assert_eq!(loaded.scripts.len(), 3);
    let reply = run_line(&mut loaded, 0, "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0");
    assert_eq!(reply, b":1\r\n");
    run_line(&mut engine, 0, "SCRIPT FLUSH");
    let empty = reloaded_limited(&mut engine);
    assert_eq!((empty.digest(), empty.scripts.is_empty()), (engine.digest(), true));
}
