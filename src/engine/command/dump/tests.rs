use crate::engine::Engine;
use crate::engine::reply::Protocol;
use crate::engine::testing::{advance, check, check_all, check3, engine, run_line, run_words};

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

/// What DUMP tells of a key.
fn dump(engine: &mut Engine, key: &str) -> Vec<u8> {
    let reply = run_line(engine, Protocol::Resp2, &format!("DUMP {key}"));
    let start = reply.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    reply[start..reply.len() - 2].to_vec()
}

#[track_caller]
fn restore(engine: &mut Engine, words: &str, payload: &[u8], expected: &str) {
    let mut words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    words.insert(2, payload);
    words.insert(0, b"RESTORE");
    let reply = run_words(engine, Protocol::Resp2, &words);
    assert_eq!(String::from_utf8_lossy(&reply), expected);
}

#[test]
fn what_is_wrong_is_told_in_the_words_of_redis() {
    let footer = "-ERR DUMP payload version or checksum are wrong\r\n";
    let integer = "-ERR value is not an integer or out of range\r\n";
    let syntax = "-ERR syntax error\r\n";
    let idletime = "-ERR Invalid IDLETIME value, must be >= 0\r\n";
    let freq = "-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n";
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("SET a 1", "+OK\r\n"),
            ("DUMP none", "$-1\r\n"),
            ("RESTORE k 0", "-ERR wrong number of arguments for 'restore' command\r\n"),
            ("RESTORE k 0 x", footer),
            ("RESTORE k x x", integer),
            ("RESTORE k -1 x", "-ERR Invalid TTL value, must be >= 0\r\n"),
            ("RESTORE a -1 x FOO", syntax),
            ("RESTORE a x y", "-BUSYKEY Target key name already exists.\r\n"),
            ("RESTORE a x y REPLACE", integer),
            ("RESTORE k 0 x IDLETIME -1", idletime),
            ("RESTORE k 0 x IDLETIME x", integer),
            ("RESTORE k 0 x IDLETIME", syntax),
            ("RESTORE k 0 x FREQ 256", freq),
            ("RESTORE k 0 x FREQ -1", freq),
            ("RESTORE k 0 x FREQ 1 IDLETIME 1", syntax),
            ("RESTORE k 0 x IDLETIME 1 FREQ 1", syntax),
        ],
    );
    check3(&mut engine, "DUMP none", "_\r\n");
    // A hash with fields that expire.
    let hash = bytes("1900010c00f017fa0314d9f1fc");
    restore(&mut engine, "k 0", &hash, "-ERR Bad data format\r\n");
    let payload = dump(&mut engine, "a");
    let invalid = "-ERR invalid expire time in 'restore' command\r\n";
    restore(&mut engine, "k 9223372036854775807", &payload, invalid);
    check(&mut engine, "EXISTS k", ":0\r\n");
}

#[test]
fn a_restored_key_lives_as_long_as_it_is_told() {
    let mut engine = engine();
    run_line(&mut engine, Protocol::Resp2, "SET a value EX 7");
    let payload = dump(&mut engine, "a");
    restore(&mut engine, "b 0", &payload, "+OK\r\n");
    check(&mut engine, "TTL b", ":-1\r\n");
    restore(&mut engine, "b 5000 replace idletime 3", &payload, "+OK\r\n");
    check(&mut engine, "PTTL b", ":5000\r\n");
    restore(&mut engine, "b 1700000009000 ABSTTL REPLACE FREQ 3", &payload, "+OK\r\n");
    check(&mut engine, "PTTL b", ":9000\r\n");
    advance(&mut engine, 9000);
    check(&mut engine, "EXISTS b", ":0\r\n");
    // The deadline has passed: what is there goes, and nothing comes.
    run_line(&mut engine, Protocol::Resp2, "SET b old");
    restore(&mut engine, "b 1700000009000 ABSTTL REPLACE", &payload, "+OK\r\n");
    check(&mut engine, "EXISTS b", ":0\r\n");
}

/// Payloads that redis-server 7.0.15 made.
#[test]
fn what_redis_dumps_is_restored() {
    let cases = [
        ("00c17fff0a001760822854808480", "GET k", "$4\r\n-129\r\n"),
        ("00c2a08601000a00f12403506f2fa674", "GET k", "$6\r\n100000\r\n"),
        ("00c30a3c02616261e02e010161620a00bb16d3ebae6fc574", "STRLEN k", ":60\r\n"),
        (
            "120102262600000006008161026401f178ec03f270110104f400a22f4dffffffff098568656c6c6f06ff0a\
             00c6103924f79ea721",
            "LRANGE k 1 -1",
            "*5\r\n$3\r\n100\r\n$5\r\n-5000\r\n$5\r\n70000\r\n\
             $11\r\n-3000000000\r\n$5\r\nhello\r\n",
        ),
        (
            "1202020a0a0000000100816102ff02090900000001000101ff0a001f72c85e707ab5d7",
            "LRANGE k 0 -1",
            "*2\r\n$1\r\na\r\n$1\r\n1\r\n",
        ),
        (
            "0b140400000003000000feffffff01000000701101000a0030527df8cc311f3b",
            "SMEMBERS k",
            "*3\r\n$2\r\n-2\r\n$1\r\n1\r\n$5\r\n70000\r\n",
        ),
        ("0202c00101620a0019beb4d945651181", "SMEMBERS k", "*2\r\n$1\r\n1\r\n$1\r\nb\r\n"),
        (
            "1012120000000400816602817602816e020c01ff0a0001369481d35b8974",
            "HGETALL k",
            "*4\r\n$1\r\nf\r\n$1\r\nv\r\n$1\r\nn\r\n$2\r\n12\r\n",
        ),
        ("040201660176016ec00c0a002acab7136ca4a7ab", "HMGET k n", "*1\r\n$2\r\n12\r\n"),
        (
            "111d1d0000000600816202dffd0281610283312e350481630283696e6604ff0a00940d89edfbff19ab",
            "ZRANGE k 0 -1 WITHSCORES",
            "*6\r\n$1\r\nb\r\n$2\r\n-3\r\n$1\r\na\r\n$3\r\n1.5\r\n$1\r\nc\r\n$3\r\ninf\r\n",
        ),
        (
            "05020162000000000000f07f0161000000000000f83f0a001343ce1a14f007a4",
            "ZRANGE k 0 -1 WITHSCORES",
            "*4\r\n$1\r\na\r\n$3\r\n1.5\r\n$1\r\nb\r\n$3\r\ninf\r\n",
        ),
        (
            "13011000000000000000050000000000000001404141000000190002010101020181660281670200010201\
             000100018176028177020501030100010201817802817902050100010101dfff0201018168020101060\
             1ff0206000501050303000a00e183747d7971a592",
            "XRANGE k - +",
            "*2\r\n*2\r\n$3\r\n5-1\r\n*4\r\n$1\r\nf\r\n$1\r\nv\r\n$1\r\ng\r\n$1\r\nw\r\n\
             *2\r\n$3\r\n6-0\r\n*2\r\n$1\r\nh\r\n$1\r\n1\r\n",
        ),
        ("13000005010000050101000a00c6649ea899ebb58d", "XLEN k", ":0\r\n"),
        (
            "130110000000000000000500000000000000011d1d0000000a000101000101018166020001020100010001\
             8176020401ff01050105010000010103677270000081ffffffffffffffff00000a002cdf2281c0b1cd0c",
            "XPENDING k grp",
            "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n",
        ),
    ];
    for (payload, question, expected) in cases {
        let mut engine = engine();
        restore(&mut engine, "k 0", &bytes(payload), "+OK\r\n");
        check(&mut engine, question, expected);
        // What is told in turn is the same value.
        let payload = dump(&mut engine, "k");
        restore(&mut engine, "k 0 REPLACE", &payload, "+OK\r\n");
        check(&mut engine, question, expected);
    }
}
