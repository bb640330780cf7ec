//! RESTORE: values in Redis's own form, from any client.

use mayfly::engine::Engine;
use mayfly::engine::batch::Command;
use mayfly::engine::command::lookup;
use mayfly::engine::random::Random;
use mayfly::engine::reply::{Protocol, Reply};

use super::commands::assert_snapshot_holds;
use super::input::Input;

const VERSION: u16 = 11;

/// CRC-64 of Jones, bit by bit, as payloads of DUMP end with it.
fn checksum(bytes: &[u8]) -> u64 {
    const REVERSED_POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { REVERSED_POLYNOMIAL } else { 0 }
        })
    })
}

pub fn call(engine: &mut Engine, words: &[&[u8]]) -> Vec<u8> {
    let id = lookup(words[0]).expect("the command is there");
    let command = Command::new(id, 0, words[1..].iter().copied().collect());
    let mut reply = Reply::new(Protocol::Resp2);
    engine.run(&command, &mut reply, 1_000, &mut Random::new(1));
    reply.buffer
}

/// The bytes of the bulk string that a reply is.
fn bulk(reply: &[u8]) -> &[u8] {
    let start = reply.windows(2).position(|pair| pair == b"\r\n").expect("a bulk string") + 2;
    &reply[start..reply.len() - 2]
}

/// The first byte tells whether the rest lacks its footer, which is then made.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let is_whole = input.byte() == 0xff;
    let mut payload = input.rest().to_vec();
    if !is_whole {
        payload.extend_from_slice(&VERSION.to_le_bytes());
        payload.extend_from_slice(&checksum(&payload).to_le_bytes());
    }
    let mut engine = Engine::new(7);
    engine.begin_entry(1, 1_000);
    let reply = call(&mut engine, &[b"RESTORE", b"k", b"0", &payload]);
    if reply != b"+OK\r\n" {
        assert!(reply.starts_with(b"-ERR "), "{}", reply.escape_ascii());
        return;
    }
    // What was taken is told again, and is taken as the same.
    let told = call(&mut engine, &[b"DUMP", b"k"]);
    let mut second = Engine::new(7);
    second.begin_entry(1, 1_000);
    assert_eq!(call(&mut second, &[b"RESTORE", b"k", b"0", bulk(&told)]), b"+OK\r\n");
    assert_eq!(told, call(&mut second, &[b"DUMP", b"k"]));
    assert_snapshot_holds(&mut engine, 1);
}

pub fn seeds() -> Vec<Vec<u8>> {
    const LINES: [&str; 13] = [
        "SET k value",
        "SET k 12345",
        "SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "RPUSH k a 1 -7000 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
        "SADD k 1 2 70000",
        "SADD k a b 3",
        "HSET k f 1 g 22222",
        "HSETEX k PX 70 FIELDS 2 f 1 g 22222",
        "ZADD k 1.5 a -inf b 3 c",
        "XADD k 1-1 f v g w",
        "XADD k 5-0 a b",
        "PFADD k a b c",
        "GEOADD k 13.4 52.5 here",
    ];
    let mut seeds = Vec::new();
    for line in LINES {
        let mut engine = Engine::new(7);
        engine.begin_entry(1, 1_000);
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        call(&mut engine, &words);
        call(&mut engine, &[b"XGROUP", b"CREATE", b"k", b"g", b"0"]);
        call(&mut engine, &[b"XREADGROUP", b"GROUP", b"g", b"c", b"STREAMS", b"k", b">"]);
        let told = call(&mut engine, &[b"DUMP", b"k"]);
        let payload = bulk(&told);
        seeds.push([&[0xff], payload].concat());
        seeds.push([&[0], &payload[..payload.len() - 10]].concat());
    }
    // Forms of older versions: quicklist of one ziplist, intset, a string packed by LZF.
    let older: [&[u8]; 4] = [
        b"\x0e\x01\x0f\x0f\0\0\0\x0a\0\0\0\x01\0\0\x02a\x02\xff",
        b"\x0b\x0c\x02\0\0\0\x02\0\0\0\x01\0\x02\0",
        b"\0\xc3\x05\x0a\x00a\xe0\x00\x00",
        b"\x03\x02\x01a\x011\x01b\xfe",
    ];
    seeds.extend(older.iter().map(|body| [&[0], *body].concat()));
    seeds
}
