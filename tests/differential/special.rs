//! Commands whose reply is not one thing alone: what is picked at random, named by a clock, walked
//! in parts, or dumped. They run by themselves, and afterwards both sides hold the same again.

use std::io;

use super::compare::{Verdict, compare, same_kind};
use super::differences::same_doubles;
use super::keyspace;
use super::pair::{Difference, Failure, Twin};
use super::reference::{Reference, VALKEY};
use super::wire::Value;

/// The key that payloads are restored to.
const SCRATCH: &[u8] = b"restored";

/// More parts than any walk here has.
const PARTS_MAX: usize = 10_000;

type Words = [Vec<u8>];
type Result<T = ()> = std::result::Result<T, Failure>;

fn upper(words: &Words) -> Vec<u8> {
    words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default()
}

pub fn is_special(words: &Words) -> bool {
    match upper(words).as_slice() {
        b"SPOP" | b"SRANDMEMBER" | b"HRANDFIELD" | b"ZRANDMEMBER" | b"DUMP" => words.len() > 1,
        b"PFCOUNT" => words.len() == 2,
        b"RANDOMKEY" | b"HELLO" => true,
        b"SORT" => store_of(words).is_some(),
        b"XSETID" => true,
        b"FUNCTION" => words.len() == 2 && words[1].eq_ignore_ascii_case(b"DUMP"),
        // Inside of a transaction these make Valkey's EXEC fail.
        b"MULTI" | b"WATCH" => VALKEY.contains(&Reference::current()),
        b"ZRANK" | b"ZREVRANK" => words.len() == 4,
        b"COMMAND" => words.len() == 3,
        b"CONFIG" => words.len() > 1 && words[1].eq_ignore_ascii_case(b"SET"),
        b"XREADGROUP" | b"XCLAIM" | b"XAUTOCLAIM" => words.len() > 3,
        b"ZRANGEBYLEX" | b"ZREVRANGEBYLEX" | b"ZLEXCOUNT" | b"ZREMRANGEBYLEX" => words.len() > 1,
        b"ZRANGE" | b"ZRANGESTORE" => words.iter().any(|word| word.eq_ignore_ascii_case(b"BYLEX")),
        b"SCAN" => words.len() > 1 && words[1] == b"0",
        b"SSCAN" | b"HSCAN" | b"ZSCAN" => words.len() > 2 && words[2] == b"0",
        b"XADD" => words.get(id_of_new(words)).is_some_and(|id| id == b"*"),
        _ => false,
    }
}

/// Runs such a command; how many of its differences are explained.
pub fn run(twin: &mut Twin, words: &Words) -> Result<u64> {
    match upper(words).as_slice() {
        b"SPOP" => pop(twin, words),
        b"SRANDMEMBER" => pick(twin, words, &[b"SMEMBERS", &words[1]]),
        b"HRANDFIELD" => pick(twin, words, &[b"HGETALL", &words[1]]),
        b"ZRANDMEMBER" => pick(twin, words, &[b"ZRANGE", &words[1], b"0", b"-1", b"WITHSCORES"]),
        b"PFCOUNT" => count(twin, words),
        b"RANDOMKEY" => random_key(twin, words),
        b"SCAN" => walk(twin, words, 1),
        b"SSCAN" | b"HSCAN" | b"ZSCAN" => walk(twin, words, 2),
        b"XADD" => add_by_clock(twin, words),
        b"DUMP" => dump(twin, words),
        b"FUNCTION" => dump_libraries(twin, words),
        b"XREADGROUP" | b"XCLAIM" | b"XAUTOCLAIM" => consume(twin, words),
        b"HELLO" => hello(twin, words),
        b"SORT" => sort(twin, words),
        b"XSETID" => set_last_id(twin, words),
        b"ZRANK" | b"ZREVRANK" | b"COMMAND" | b"CONFIG" | b"MULTI" | b"WATCH" => plain(twin, words),
        _ => range_by_name(twin, words),
    }
}

/// Queues such a command where its reply can be compared in the one of EXEC. What SPOP leaves is
/// taken away behind it.
pub fn queue(twin: &mut Twin, words: &Words) -> Result<u64> {
    if !is_by_chance(words) {
        return Ok(0);
    }
    let explained = plain(twin, words)?;
    if upper(words) != b"SPOP" {
        return Ok(explained);
    }
    let clear = [b"DEL".to_vec(), words[1].clone()];
    Ok(explained + plain(twin, &clear)?)
}

fn is_by_chance(words: &Words) -> bool {
    let name = upper(words);
    let names = ["SPOP", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "DUMP", "RANDOMKEY"];
    names.iter().any(|each| each.as_bytes() == name)
}

/// Whether replies in a transaction are as alike as chance and the format's version let them be.
pub fn is_alike(words: &Words, redis: &Value, mayfly: &Value) -> bool {
    is_by_chance(words) && same_shape(redis, mayfly)
}

fn different<T>(words: &Words, redis: &Value, mayfly: &Value) -> Result<T> {
    Err(Difference::new(words, redis, mayfly).into())
}

fn pop(twin: &mut Twin, words: &Words) -> Result<u64> {
    let read = [&b"SMEMBERS"[..], &words[1]];
    let before = twin.mayfly.call(&read)?;
    let (redis, mayfly) = twin.call(words)?;
    let is_count = same_kind(&redis, &mayfly) && redis.elements().len() == mayfly.elements().len();
    if redis.is_error() || mayfly.is_error() || !is_count {
        return twin.check(words, &redis, &mayfly);
    }
    let mut left: Vec<&[u8]> = before.scalars();
    if !mayfly.is_null() {
        for picked in mayfly.scalars() {
            match left.iter().position(|member| *member == picked) {
                Some(at) => left.swap_remove(at),
                None => return different(words, &before, &mayfly),
            };
        }
    }
    let after = twin.mayfly.call(&read)?;
    let mut is = after.scalars();
    left.sort_unstable();
    is.sort_unstable();
    if left != is {
        return different(words, &before, &after);
    }
    if before.is_error() || redis == mayfly && mayfly.scalars().concat().is_empty() {
        return Ok(0);
    }
    twin.call(&[&b"DEL"[..], &words[1]])?;
    if !left.is_empty() {
        let members = [&b"SADD"[..], &words[1]].into_iter().chain(left);
        twin.call(&members.collect::<Vec<_>>())?;
    }
    Ok(0)
}

/// Redis writes the number that it counted into the value, which is no read here: it is taken out.
fn count(twin: &mut Twin, words: &Words) -> Result<u64> {
    let (redis, mayfly) = twin.call(words)?;
    let (there, _) = twin.call(&[&b"EXISTS"[..], &words[1]])?;
    if redis.integer().is_some() && there.integer() == Some(1) {
        twin.call(&[&b"SETRANGE"[..], &words[1], b"8", b"\0\0\0\0\0\0\0\x80"])?;
    }
    twin.check(words, &redis, &mayfly)
}

/// As many as redis-server picks, all of them there, and none twice where it says so.
fn pick(twin: &mut Twin, words: &Words, read: &[&[u8]]) -> Result<u64> {
    let (redis, mayfly) = twin.call(words)?;
    if redis.is_error() || mayfly.is_error() || !same_shape(&redis, &mayfly) {
        return twin.check(words, &redis, &mayfly);
    }
    let all = twin.mayfly.call(read)?;
    let there = all.scalars();
    let legal = mayfly.scalars().iter().all(|picked| there.contains(picked) || picked.is_empty());
    let distinct = |value: &Value| {
        let mut elements: Vec<&Value> = value.elements().iter().collect();
        elements.sort();
        elements.dedup();
        elements.len() == value.elements().len()
    };
    let all_once = words.len() != 3 || words[2].starts_with(b"-") || distinct(&mayfly);
    match legal && all_once {
        true => Ok(0),
        false => different(words, &all, &mayfly),
    }
}

fn same_shape(redis: &Value, mayfly: &Value) -> bool {
    let (left, right) = (redis.elements(), mayfly.elements());
    let elements = || left.iter().zip(right).all(|(redis, mayfly)| same_shape(redis, mayfly));
    same_kind(redis, mayfly) && left.len() == right.len() && elements()
}

fn random_key(twin: &mut Twin, words: &Words) -> Result<u64> {
    let (redis, mayfly) = twin.call(words)?;
    if redis.is_error() || mayfly.is_error() || !same_kind(&redis, &mayfly) {
        return twin.check(words, &redis, &mayfly);
    }
    let (_, there) = twin.call(&[&b"EXISTS"[..], mayfly.bytes()])?;
    match there.integer() == Some(1) || mayfly.is_null() || words.len() > 1 {
        true => Ok(0),
        false => different(words, &redis, &mayfly),
    }
}

/// A walk from its beginning to its end tells the same on both sides, part by part or not.
fn walk(twin: &mut Twin, words: &Words, cursor: usize) -> Result<u64> {
    let (redis, mayfly) = twin.call(words)?;
    if redis.is_error() || mayfly.is_error() {
        return twin.check(words, &redis, &mayfly);
    }
    let in_pairs = matches!(upper(words).as_slice(), b"HSCAN" | b"ZSCAN");
    let rest = |connection: &mut super::wire::Connection, first: Value| -> io::Result<Value> {
        let mut all = Vec::new();
        let mut part = first;
        for _ in 0..PARTS_MAX {
            let [next, Value::Many(b'*', elements)] = part.elements() else { return Ok(part) };
            match in_pairs {
                true => all.extend(elements.chunks(2).map(|pair| Value::Many(b'*', pair.to_vec()))),
                false => all.extend_from_slice(elements),
            }
            if next.bytes() == b"0" {
                break;
            }
            let mut words = words.to_vec();
            words[cursor] = next.bytes().to_vec();
            part = connection.call(&words)?;
        }
        all.sort();
        all.dedup();
        Ok(Value::Many(b'*', all))
    };
    let (redis, mayfly) = (rest(&mut twin.redis, redis)?, rest(&mut twin.mayfly, mayfly)?);
    match same_doubles(&redis, &mayfly) {
        true => Ok(0),
        false => different(words, &redis, &mayfly),
    }
}

/// Where the id of the entry stands that XADD adds: behind the options.
fn id_of_new(words: &Words) -> usize {
    let is = |at: usize, option: &str| {
        words.get(at).is_some_and(|word| word.eq_ignore_ascii_case(option.as_bytes()))
    };
    let mut at = 2;
    loop {
        at += match () {
            () if is(at, "NOMKSTREAM") => 1,
            () if is(at, "LIMIT") => 2,
            () if is(at, "MAXLEN") || is(at, "MINID") => {
                2 + usize::from(is(at + 1, "=") || is(at + 1, "~"))
            }
            () => return at,
        };
    }
}

/// The cluster names the entry, and redis-server gets that name.
fn add_by_clock(twin: &mut Twin, words: &Words) -> Result<u64> {
    let mayfly = twin.mayfly.call(words)?;
    let mut words = words.to_vec();
    if matches!(mayfly, Value::Text(..)) {
        let at = id_of_new(&words);
        words[at] = mayfly.bytes().to_vec();
    }
    let redis = twin.redis.call(&words)?;
    twin.check(&words, &redis, &mayfly)
}

fn plain(twin: &mut Twin, words: &Words) -> Result<u64> {
    let (redis, mayfly) = twin.call(words)?;
    twin.check(words, &redis, &mayfly)
}

/// What only Redis 7.2 refuses, 7.0 is not sent.
fn set_last_id(twin: &mut Twin, words: &Words) -> Result<u64> {
    let mayfly = twin.mayfly.call(words)?;
    let is_older = Reference::current() == Reference::Redis7;
    if is_older && mayfly.text().ends_with("is smaller than current max_deleted_entry_id") {
        return Ok(0);
    }
    let redis = twin.redis.call(words)?;
    twin.check(words, &redis, &mayfly)
}

/// The key that SORT stores to.
fn store_of(words: &Words) -> Option<&Vec<u8>> {
    let at = words.iter().rposition(|word| word.eq_ignore_ascii_case(b"STORE"))?;
    words.get(at + 1)
}

/// Where redis-server has failed by an error of another command, there is no result on both sides.
fn sort(twin: &mut Twin, words: &Words) -> Result<u64> {
    let (redis, mayfly) = twin.call(words)?;
    if redis.is_error() && !mayfly.is_error() {
        twin.call(&[&b"DEL"[..], store_of(words).map_or(b"", Vec::as_slice)])?;
    }
    twin.check(words, &redis, &mayfly)
}

/// Redis 7.0 keeps a name that it was given before it found a fault, 7.2 does not.
fn hello(twin: &mut Twin, words: &Words) -> Result<u64> {
    let explained = plain(twin, words)?;
    twin.call(&["CLIENT", "SETNAME", ""])?;
    Ok(explained)
}

/// Members of different scores have no order by name: Redis leaves open what is answered then.
fn range_by_name(twin: &mut Twin, words: &Words) -> Result<u64> {
    let source = usize::from(upper(words) == b"ZRANGESTORE") + 1;
    let Some(key) = words.get(source) else { return plain(twin, words) };
    let mut score = |at: &[u8]| -> io::Result<Option<Vec<u8>>> {
        let reply = twin.redis.call(&[b"ZRANGE", key.as_slice(), at, at, b"WITHSCORES"])?;
        Ok(reply.scalars().last().map(|score| score.to_vec()))
    };
    match score(b"0")? == score(b"-1")? {
        true => plain(twin, words),
        false => Ok(0),
    }
}

/// Since Redis 7.2 a consumer is made even if there is nothing for it, and 7.0 is told to.
fn consume(twin: &mut Twin, words: &Words) -> Result<u64> {
    let (redis, mayfly) = twin.call(words)?;
    let explained = twin.check(words, &redis, &mayfly)?;
    if mayfly.is_error() || Reference::current() != Reference::Redis7 {
        return Ok(explained);
    }
    let streams = words.iter().position(|word| word.eq_ignore_ascii_case(b"STREAMS"));
    let (keys, group) = match streams {
        Some(at) => (&words[at + 1..at + 1 + (words.len() - at - 1) / 2], &words[2..4]),
        None => (&words[1..2], &words[2..4]),
    };
    for key in keys {
        twin.redis.call(&[b"XGROUP", &b"CREATECONSUMER"[..], key, &group[0], &group[1]])?;
    }
    Ok(explained)
}

/// What one side has dumped, the other restores to the same.
fn dump(twin: &mut Twin, words: &Words) -> Result<u64> {
    let (redis, mayfly) = twin.call(words)?;
    if !matches!((&redis, &mayfly), (Value::Text(..), Value::Text(..))) {
        return twin.check(words, &redis, &mayfly);
    }
    let (theirs, ours) = (redis.bytes().to_vec(), readable(mayfly.bytes()));
    let restore = |payload: &[u8]| {
        let words = [&b"RESTORE"[..], SCRATCH, b"0", payload, b"REPLACE"];
        words.map(<[u8]>::to_vec)
    };
    let by_mayfly = twin.mayfly.call(&restore(&theirs))?;
    let by_redis = twin.redis.call(&restore(&ours))?;
    let mut explained = 0;
    if by_redis.is("OK") && by_mayfly.is("OK") {
        explained += keyspace::compare_key(twin, SCRATCH)?;
        twin.call(&[&b"RENAME"[..], SCRATCH, &words[1]])?;
    } else if compare(&restore(&ours), &by_redis, &by_mayfly) == Verdict::Different {
        return different(&[b"DUMP".to_vec(), ours], &by_redis, &by_mayfly);
    }
    twin.call(&[&b"DEL"[..], SCRATCH])?;
    Ok(explained)
}

/// What one side has dumped, the other restores to the same, as they had it before.
fn dump_libraries(twin: &mut Twin, words: &Words) -> Result<u64> {
    let (redis, mayfly) = twin.call(words)?;
    let restore =
        |payload: &[u8]| [&b"FUNCTION"[..], b"RESTORE", payload, b"FLUSH"].map(<[u8]>::to_vec);
    let ours = readable(mayfly.bytes());
    let by_mayfly = twin.mayfly.call(&restore(redis.bytes()))?;
    let by_redis = twin.redis.call(&restore(&ours))?;
    let explained = twin.check(&restore(&ours), &by_redis, &by_mayfly)?;
    let list = [&b"FUNCTION"[..], b"LIST", b"WITHCODE"].map(<[u8]>::to_vec);
    Ok(explained + plain(twin, &list)?)
}

/// Whether there may be events from now on.
pub fn sets_events(words: &Words) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(b"notify-keyspace-events"))
}

/// Redis drops fields that have ended some time later.
pub fn await_end_of_fields(twin: &mut Twin, words: &Words) -> io::Result<()> {
    let Some(key) = words.get(1) else { return Ok(()) };
    let mayfly = twin.mayfly.call(&[b"HLEN", key.as_slice()])?;
    super::wait::until_true("the end of fields", super::wait::LONG, || {
        twin.redis.call(&[b"HLEN", key.as_slice()]).is_ok_and(|redis| redis == mayfly)
    });
    Ok(())
}

/// redis-server 7.0 reads no later version of the format than 10; what is dumped here fits into it.
fn readable(payload: &[u8]) -> Vec<u8> {
    if Reference::current() != Reference::Redis7 {
        return payload.to_vec();
    }
    let (body, _) = payload.split_at(payload.len() - 10);
    let mut payload = [body, &10u16.to_le_bytes()].concat();
    payload.extend(crc64(&payload).to_le_bytes());
    payload
}

/// The checksum at the end of a payload: CRC-64 of Jones, reflected.
fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 }
        })
    })
}

#[test]
fn the_checksum_is_that_of_its_definition() {
    assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
}
