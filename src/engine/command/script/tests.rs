mod replies;
mod users;

use crate::engine::Engine;
use crate::engine::reply::Protocol;
use crate::engine::script::Limits;
use crate::engine::testing::{self, check, check_all, run_words};
use crate::limits::SCRIPTS_OF_EVAL_MAX;

const START_MS: u64 = crate::engine::testing::START_MS;

/// An engine in which scripts come to their limits soon.
fn engine() -> Engine {
    let mut engine = testing::engine();
    limit(&mut engine);
    engine
}

fn limit(engine: &mut Engine) {
    engine.runtime.limits = Limits {
        instructions: 1_200_000,
        memory: 32 << 20,
        allotted_instructions: 300_000,
        allotted_memory: 2 << 20,
    };
}

fn eval(engine: &mut Engine, script: &str) -> String {
    let reply = run_words(engine, Protocol::Resp2, &[b"EVAL", script.as_bytes(), b"0"]);
    reply.escape_ascii().to_string()
}

/// Asserts the reply to a script without keys and arguments.
#[track_caller]
fn check_script(engine: &mut Engine, script: &str, expected: &str) {
    let got = eval(engine, script);
    assert_eq!(got, expected.as_bytes().escape_ascii().to_string(), "{script}");
}

#[test]
fn scripts_are_known_by_their_sha1() {
    const RETURN_1: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    let mut engine = engine();
    let unknown = "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    check_all(
        &mut engine,
        &[
            (&format!("EVALSHA {RETURN_1} 0"), unknown),
            (&format!("SCRIPT EXISTS {RETURN_1} zz"), "*2\r\n:0\r\n:0\r\n"),
            ("EVAL_RO \"return 1\" 0", ":1\r\n"),
            (&format!("EVALSHA_RO {RETURN_1} 0"), unknown),
            ("EVAL \"return 1\" 0", ":1\r\n"),
            (&format!("EVALSHA {RETURN_1} 0"), ":1\r\n"),
            (&format!("EVALSHA_RO {} 0", RETURN_1.to_uppercase()), ":1\r\n"),
            (&format!("SCRIPT EXISTS {RETURN_1} zz"), "*2\r\n:1\r\n:0\r\n"),
            (&format!("SCRIPT SHOW {RETURN_1}"), "$8\r\nreturn 1\r\n"),
            ("EVALSHA abc 0", unknown),
            ("EVALSHA abc x", unknown),
            ("EVALSHA_RO abc -1", unknown),
            (&format!("EVALSHA {RETURN_1} x"), "-ERR value is not an integer or out of range\r\n"),
            ("SCRIPT LOAD \"return 1\"", &format!("$40\r\n{RETURN_1}\r\n")),
            ("SCRIPT FLUSH", "+OK\r\n"),
            (&format!("SCRIPT SHOW {RETURN_1}"), "-NOSCRIPT No matching script.\r\n"),
            (&format!("EVALSHA {RETURN_1} 0"), unknown),
        ],
    );
}

#[test]
fn the_least_recently_used_script_of_eval_makes_room_and_a_loaded_one_stays() {
    let mut engine = engine();
    check(
        &mut engine,
        "SCRIPT LOAD \"return 'loaded'\"",
        "$40\r\nb534286061d4b9e4026607613b95c06c06015ae8\r\n",
    );
    for number in 0..SCRIPTS_OF_EVAL_MAX {
        eval(&mut engine, &format!("return {number}"));
    }
    assert_eq!(engine.scripts.len(), SCRIPTS_OF_EVAL_MAX + 1);
    // The first is used once more, so the second goes.
    check_script(&mut engine, "return 0", ":0\r\n");
    eval(&mut engine, "return 'one more'");
    assert_eq!(engine.scripts.len(), SCRIPTS_OF_EVAL_MAX + 1);
    let sha = |text: &str| crate::engine::script::Sha::of(text.as_bytes());
    assert!(engine.scripts.get(&sha("return 0")).is_some());
    assert!(engine.scripts.get(&sha("return 1")).is_none());
    assert!(engine.scripts.get(&sha("return 'loaded'")).is_some());
}

#[test]
fn a_script_that_takes_too_much_ends_with_what_it_has_done_and_nobody_catches_that() {
    let mut engine = engine();
    let endless = [
        "redis.call('INCR', 'n') while true do end",
        "redis.call('INCR', 'n') while true do pcall(function() while true do end end) end",
        "redis.call('INCR', 'n') local f = coroutine.wrap(function() while true do end end) f()",
        "redis.call('INCR', 'n') xpcall(function() while true do end end, function() return 1 end)
         while true do end",
        "redis.call('INCR', 'n') local t = {} for i = 1, 40 do t = {t, t} end return t",
        "redis.call('INCR', 'n') while true do redis.call('GET', 'n') end",
        "redis.call('INCR', 'n') return ('a'):rep(5000):find(('a-'):rep(20) .. 'b')",
        "redis.call('INCR', 'n') return ('a'):rep(5000):gsub(('a*'):rep(20) .. 'b', '')",
        "redis.call('INCR', 'n') for w in ('a'):rep(5000):gmatch('.-.-.-.-b') do end",
    ];
    for (number, script) in endless.iter().enumerate() {
        let reply = eval(&mut engine, script);
        assert!(reply.starts_with("-ERR Script was stopped: it has run for too many"), "{reply}");
        check(&mut engine, "GET n", &format!("$1\r\n{}\r\n", number + 1));
    }
    let large = [
        "redis.call('INCR', 'm') local s = 'x' while true do s = s .. s end",
        "redis.call('INCR', 'm') while true do pcall(string.rep, 'x', 33000000) end",
        "redis.call('INCR', 'm') local t = {}
         while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
        "redis.call('INCR', 'm') return #string.rep('abc', 12000000)",
    ];
    for (number, script) in large.iter().enumerate() {
        let reply = eval(&mut engine, script);
        assert!(reply.starts_with("-ERR Script was stopped: "), "{reply}");
        check(&mut engine, "GET m", &format!("$1\r\n{}\r\n", number + 1));
    }
    check_script(&mut engine, "return 'as before'", "$9\r\nas before\r\n");
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

#[test]
fn a_script_that_begins_anew_runs_each_command_once() {
    let mut engine = engine();
    for (script, expected) in
        BEYOND_ALLOTMENT.iter().zip([":6893", "$4\\r\\n2200", "*2\\r\\n:4000000\\r\\n:6"])
    {
        let reply = eval(&mut engine, script);
        assert!(reply.starts_with(expected), "{script}: {reply}");
    }
    check(&mut engine, "GET n", "$4\r\n2200\r\n");
}

#[test]
fn nothing_of_a_script_is_left_for_the_next() {
    let mut engine = engine();
    let attempts = [
        "getmetatable('').__index = nil",
        "string.rep = nil",
        "_G.string = nil",
        "redis.call = nil",
        "rawset(string, 'rep', nil)",
        "table.insert(string, 'x')",
        "setmetatable(_G, {})",
        "getmetatable(_G).__index = {}",
        "KEYS.left = 1",
        "math.randomseed(1)",
        "redis.setresp(3)",
        "redis.call('SELECT', 5)",
        "coroutine.wrap(function() coroutine.yield() end)()",
        "for k, v in pairs(_G) do if type(v) == 'table' then pcall(rawset, v, 'left', 1) end end",
    ];
    let seen = "local n = {} for k, v in pairs(_G) do n[#n + 1] = k if type(v) == 'table' then
                for f in pairs(v) do n[#n + 1] = f end end end
                n[#n + 1] = ('x'):rep(2) n[#n + 1] = #KEYS return table.concat(n, ' ')";
    let before = eval(&mut engine, seen);
    assert!(before.contains("setmetatable") && before.ends_with("xx 0\\r\\n"), "{before}");
    for attempt in attempts {
        eval(&mut engine, attempt);
        assert_eq!(eval(&mut engine, seen), before, "{attempt}");
    }
    check_script(&mut engine, "return redis.call('DBSIZE')", ":0\r\n");
}

#[test]
fn a_script_wakes_who_waits_and_waits_itself_for_nothing() {
    let mut engine = engine();
    check_script(&mut engine, "return redis.call('BLPOP', 'l', 0)", "$-1\r\n");
    check_script(
        &mut engine,
        "return redis.call('XREAD', 'BLOCK', 0, 'STREAMS', 's', '$')",
        "$-1\r\n",
    );
    check_script(&mut engine, "return redis.call('RPUSH', 'l', 'a')", ":1\r\n");
    check_script(&mut engine, "return redis.call('BLPOP', 'l', 0)", "*2\r\n$1\r\nl\r\n$1\r\na\r\n");
}

#[test]
fn patterns_are_those_of_lua_as_far_as_the_stack_allows() {
    let mut engine = engine();
    let cases = [
        ("return {('key:42'):match('^(%w+):(%d+)$')}", "*2\r\n$3\r\nkey\r\n$2\r\n42\r\n"),
        ("return {('a,b,c'):gsub(',', ';', 1)}", "*2\r\n$5\r\na;b,c\r\n:1\r\n"),
        ("return {('hello'):find('l+', -3)}", "*2\r\n:3\r\n:4\r\n"),
        ("return {('a+b'):find('+', 1, true)}", "*2\r\n:2\r\n:2\r\n"),
        ("local n = 0 for w in ('a b c'):gmatch('%a') do n = n + 1 end return n", ":3\r\n"),
        ("return (('x'):gsub('x', function() return 'y' end))", "$1\r\ny\r\n"),
        ("return select(2, pcall(string.find, 'x', '[a'))",
         "$31\r\nmalformed pattern (missing ']')\r\n"),
        ("return select(2, pcall(function() local a = ('x'):find('[a') return a end))",
         "$46\r\nuser_script:1: malformed pattern (missing ']')\r\n"),
        ("return select(2, pcall(function() local a = string.find('x', {}) return a end))",
         "$69\r\nuser_script:1: bad argument #2 to 'find' (string expected, got table)\r\n"),
        ("return select(2, pcall(function() local a = ('x'):gsub('x', function() error('mine') end)
            return a end))", "$19\r\nuser_script:1: mine\r\n"),
        ("return select(2, pcall(string.find, ('a'):rep(9000), ('a?'):rep(9000)))",
         "$19\r\npattern too complex\r\n"),
    ];
    for (script, expected) in cases {
        check_script(&mut engine, script, expected);
    }
}

#[test]
fn time_stands_still() {
    let mut engine = engine();
    let seconds = (START_MS / 1000).to_string();
    check_script(&mut engine, "return redis.call('TIME')[1]", &format!("$10\r\n{seconds}\r\n"));
    check_script(
        &mut engine,
        "redis.call('SET', 'k', 1, 'PX', 1) local n = 0
        for i = 1, 120000 do n = n + 1 end return redis.call('EXISTS', 'k')",
        ":1\r\n",
    );
}

/// The place behind an error is in the script, also where Lua has forgotten the line.
#[test]
fn errors_of_libraries_name_no_place_of_the_host() {
    let mut engine = engine();
    for script in ["return bit.band('x')", "return struct.pack('y')", "return cmsgpack.pack()"] {
        let reply = eval(&mut engine, script);
        assert!(reply.ends_with(", on @user_script:1.\\r\\n"), "{script}: {reply}");
    }
}

/// `^` is that of the program, which `math.pow` is as well, and not that of the machine's library:
/// they differ in the last digit now and then. The compiler works out the second one.
#[test]
fn powers_are_the_same_on_every_machine() {
    let mut engine = engine();
    let script = "local differ = 0 for i = 1, 5000 do
        local base, exponent = math.random() * 100, math.random() * 40 - 20
        if base ^ exponent ~= math.pow(base, exponent) then differ = differ + 1 end
        local source = string.format('return %.17g ^ %.17g', base, exponent)
        if i <= 400 and loadstring(source)() ~= math.pow(base, exponent) then
            differ = differ + 1
        end
    end return differ";
    check_script(&mut engine, script, ":0\r\n");
    check_script(&mut engine, "return tostring(2 ^ 0.5)", "$15\r\n1.4142135623731\r\n");
}
