mod replies;

use crate::engine::Engine;
use crate::engine::reply::Protocol;
use crate::engine::script::Limits;
use crate::engine::testing::{self, check, check_all, run_line, run_words};
use crate::limits::LIBRARIES_MAX;

/// An engine in which functions come to their limits soon.
fn engine() -> Engine {
    let mut engine = testing::engine();
    engine.runtime.limits = Limits {
        instructions: 1_200_000,
        memory: 32 << 20,
        allotted_instructions: 300_000,
        allotted_memory: 2 << 20,
    };
    engine
}

fn load(engine: &mut Engine, code: &str) -> String {
    let reply = run_words(engine, Protocol::Resp2, &[b"FUNCTION", b"LOAD", code.as_bytes()]);
    reply.escape_ascii().to_string()
}

#[test]
fn what_a_function_leaves_in_its_library_does_not_last() {
    let mut engine = engine();
    load(
        &mut engine,
        "#!lua name=l\nlocal n = 0
        redis.register_function('inc', function() n = n + 1 return n end)
        redis.register_function('seen', function() \
             return {tostring(KEYS == nil), _G.redis ~= nil} end)
        redis.register_function('over', function() redis.call('INCR', 'n') while true do end end)
        redis.register_function('late', function() for i = 1, 120000 do end
            return redis.call('INCR', 'n') end)",
    );
    let over = "-ERR Script was stopped: it has run for too many instructions script: over\r\n";
    let nonexistent = run_line(&mut engine, Protocol::Resp2, "FCALL seen 1 k");
    assert!(nonexistent.starts_with(b"-ERR user_function:4: Script attempted"), "KEYS is seen");
    check_all(
        &mut engine,
        &[
            ("FCALL inc 0", ":1\r\n"),
            ("FCALL inc 0", ":1\r\n"),
            ("EVAL \"return #KEYS\" 1 k", ":1\r\n"),
            ("EVAL \"return redis.register_function\" 0", "$-1\r\n"),
            ("FCALL over 0", over),
            ("GET n", "$1\r\n1\r\n"),
            ("FCALL late 0", ":2\r\n"),
            ("GET n", "$1\r\n2\r\n"),
        ],
    );
}

#[test]
fn the_log_of_errors_names_the_line_of_a_call_that_returns_at_once() {
    let mut engine = engine();
    load(
        &mut engine,
        "#!lua name=l\nredis.register_function('a', function() \
             return redis.call('LPUSH', 's', 1) end)
        redis.register_function('b', function()
            return redis.call('LPUSH', 's', 1)
        end)",
    );
    let text = "-WRONGTYPE Operation against a key holding the wrong kind of value script: ";
    check_all(
        &mut engine,
        &[
            ("SET s x", "+OK\r\n"),
            ("FCALL a 0", &format!("{text}a, on @user_function:2.\r\n")),
            ("FCALL b 0", &format!("{text}b, on @user_function:4.\r\n")),
        ],
    );
}

#[test]
fn a_library_that_takes_too_much_is_not_loaded() {
    let mut engine = engine();
    let timeout = "-ERR Error registering functions: ERR FUNCTION LOAD timeout\\r\\n";
    assert_eq!(load(&mut engine, "#!lua name=l\nwhile true do end"), timeout);
    let large = "#!lua name=l\nlocal s = 'x' while true do s = s .. s end";
    let reply = load(&mut engine, large);
    assert!(reply.starts_with("-ERR Error registering functions: ERR"), "{reply}");
    check(&mut engine, "FUNCTION LIST", "*0\r\n");
    for number in 0..LIBRARIES_MAX {
        let code = format!("#!lua name=l{number}\nredis.register_function('f{number}', print)");
        let code = code.replace("print", "function() return 1 end");
        assert!(load(&mut engine, &code).starts_with('$'));
    }
    let more = load(&mut engine, "#!lua name=m\nredis.register_function('m', function() end)");
    assert_eq!(more, "-ERR There is no room for the library m\\r\\n");
    let again = "#!lua name=l0\nredis.register_function('g0', function() return 2 end)";
    let words: [&[u8]; 4] = [b"FUNCTION", b"LOAD", b"REPLACE", again.as_bytes()];
    assert_eq!(run_words(&mut engine, Protocol::Resp2, &words), b"$2\r\nl0\r\n");
    check(&mut engine, "FCALL f0 0", "-ERR Function not found\r\n");
    check(&mut engine, "FCALL g0 0", ":2\r\n");
}

/// FUNCTION DUMP of redis-server 7.0, which has packed the code.
const PACKED: &[u8] = b"\
    \xf5\xc3@\xdaA\xf6\x1f#!lua name=st\nlocal n=0\nredis.re\x15gister_function('inc',\xe0\x00\
    \x0e\x00) ,\x10n+1 return n end)\xe0\x11<\x02bad\xe0\x04<\xc06\x05okey.x\xe0\x19<\x002\xe0\
    \x0b=\x80\xaa \xb8\x0bl('lpush','s \x03\x02x')\xe0\x16Q\x03glob\xe0\x04Q\x02x=1\xe0\x162\x01\
    kk\xe0\x040\xa0\xc0\x03KEYS\xe0\x168\x01rf\xe0\x068\xe1\x0e_\x00z\xe0\x04&AN`\x04\xe1\x11S\
    \x01er\xe0\x041\xa0\x91\x80_\x0ferror_reply('My \x81\x12\x01d)\xf5@F#!lua name=lib\nredis.re\
    gister_function('g', function() return 'g' end)\n\x00\x98\xbb\xafP5\xfb\xeb\xc7";

#[test]
fn a_dump_is_restored_whole_or_not_at_all() {
    let mut engine = engine();
    let restore = |engine: &mut Engine, payload: &[u8], policy: &[u8]| {
        run_words(engine, Protocol::Resp2, &[b"FUNCTION", b"RESTORE", payload, policy])
    };
    assert_eq!(restore(&mut engine, PACKED, b"APPEND"), b"+OK\r\n");
    check(&mut engine, "FCALL g 0", "$1\r\ng\r\n");
    check(&mut engine, "FCALL inc 0", ":1\r\n");
    let dump = run_line(&mut engine, Protocol::Resp2, "FUNCTION DUMP");
    let start = dump.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let payload = dump[start..dump.len() - 2].to_vec();
    let digest = engine.digest();
    assert_eq!(restore(&mut engine, &payload, b"REPLACE"), b"+OK\r\n");
    assert_eq!(restore(&mut engine, &payload, b"FLUSH"), b"+OK\r\n");
    assert_eq!(engine.digest(), digest);
    assert_eq!(restore(&mut engine, &payload, b"APPEND"), b"-ERR Library lib already exists\r\n");
    check(&mut engine, "FUNCTION DELETE lib", "+OK\r\n");
    load(&mut engine, "#!lua name=other\nredis.register_function('G', function() end)");
    let digest = engine.digest();
    assert_eq!(restore(&mut engine, &payload, b"REPLACE"), b"-ERR Function g already exists\r\n");
    assert_eq!(engine.digest(), digest);
    check(&mut engine, "FUNCTION FLUSH", "+OK\r\n");
    assert_ne!(engine.digest(), digest);
    assert_eq!(restore(&mut engine, &payload, b"APPEND"), b"+OK\r\n");
    check(&mut engine, "FCALL g 0", "$1\r\ng\r\n");
}

#[test]
fn above_the_limit_of_memory_scripts_may_not_take_more() {
    let mut engine = engine();
    load(
        &mut engine,
        "#!lua name=l\nlocal set = function() return redis.call('SET', 'k', 1) end
        redis.register_function('f', set)
        redis.register_function{function_name='oom', callback=set, flags={'allow-oom'}}
        redis.register_function{function_name='ro', callback=function()
            return redis.call('EXISTS', 'k') end, flags={'no-writes'}}",
    );
    let flag = "-OOM allow-oom flag is not set on the script, can not run it when used memory > \
                'maxmemory'\r\n";
    let refused = run_line(&mut engine, Protocol::Resp2, "RAFT.SETTING SET maxmemory 1");
    assert_eq!(refused, b"+OK\r\n");
    check_all(
        &mut engine,
        &[
            ("EVAL \"redis.call('DEL', 'k') return redis.call('SET', 'k', 1)\" 0", "+OK\r\n"),
            (
                "EVAL \"return redis.pcall('SET', 'k', 1).err\" 0",
                "$55\r\nOOM command not allowed when used memory > 'maxmemory'.\r\n",
            ),
            ("EVAL \"return redis.call('GET', 'k')\" 0", "$1\r\n1\r\n"),
            ("EVAL \"#!lua\\nreturn 1\" 0", flag),
            ("EVAL \"#!lua flags=allow-oom\\nreturn redis.call('SET', 'k', 2)\" 0", "+OK\r\n"),
            ("EVAL \"#!lua flags=no-writes\\nreturn 1\" 0", ":1\r\n"),
            ("FCALL f 0", flag),
            ("FCALL oom 0", "+OK\r\n"),
            ("FCALL ro 0", ":1\r\n"),
            ("FUNCTION LOAD x", "-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
        ],
    );
}
