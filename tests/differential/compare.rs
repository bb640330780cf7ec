//! When two replies to the same command are the same: exactly, unless Redis leaves something open.

use super::differences;
use super::wire::Value;

/// How far apart two clocks may be read, in milliseconds: both servers get a batch of commands at
/// once, and this is what the slower one may lag behind.
const CLOCK_MS: i64 = 5_000;

/// What Redis promises of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    Exact,
    /// Elements in no order.
    Unordered,
    /// Elements in no order, and theirs neither.
    Jumbled,
    /// Pairs in no order, whether they come as a map or in a row.
    Pairs,
    /// A cursor of the server's own, and elements in no order.
    Scan,
    /// Numbers of this unit in milliseconds, or in such a string, that a clock decides.
    Clock(i64),
    /// Anything of the same type: identifiers, addresses, memory.
    Type,
    /// Anything that is no error.
    Anything,
}

/// What is promised of the reply to these words.
pub fn promise(words: &[Vec<u8>]) -> Promise {
    let upper =
        |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).to_ascii_uppercase());
    let name = upper(0).unwrap_or_default();
    let second = upper(1).unwrap_or_default();
    match (name.as_str(), second.as_str()) {
        ("SMEMBERS" | "SINTER" | "SUNION" | "SDIFF" | "KEYS" | "HKEYS" | "HVALS", _) => {
            Promise::Unordered
        }
        ("FUNCTION", "LIST") => Promise::Jumbled,
        ("HTTL" | "HEXPIRETIME", _) => Promise::Clock(1000),
        ("HPTTL" | "HPEXPIRETIME", _) => Promise::Clock(1),
        ("HGETALL", _) => Promise::Pairs,
        ("PUBSUB", "CHANNELS" | "SHARDCHANNELS") => Promise::Unordered,
        ("SCAN" | "SSCAN" | "HSCAN" | "ZSCAN", _) => Promise::Scan,
        ("TTL" | "EXPIRETIME" | "OBJECT", _) if name != "OBJECT" => Promise::Clock(1000),
        ("PTTL" | "PEXPIRETIME", _) => Promise::Clock(1),
        // Redis reads the one out of the other when the policy has changed.
        ("OBJECT", "IDLETIME" | "FREQ") => Promise::Type,
        ("XPENDING" | "XINFO", _) => Promise::Clock(1),
        ("CLIENT", "ID" | "LIST" | "INFO") => Promise::Type,
        ("MEMORY", "USAGE") | ("TIME", _) | ("ACL", "GENPASS") => Promise::Type,
        ("COMMAND", "DOCS" | "INFO" | "LIST") | ("HELLO", _) => Promise::Anything,
        _ => Promise::Exact,
    }
}

/// Why two replies differ, or that they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    /// By a row of the table of differences.
    Explained,
    Different,
}

pub fn compare(words: &[Vec<u8>], redis: &Value, mayfly: &Value) -> Verdict {
    if redis == mayfly || keeps(promise(words), redis, mayfly) {
        return Verdict::Same;
    }
    match differences::explain(words, redis, mayfly) {
        Some(_) => Verdict::Explained,
        None => Verdict::Different,
    }
}

pub fn keeps(promise: Promise, redis: &Value, mayfly: &Value) -> bool {
    if redis.is_error() || mayfly.is_error() {
        return false;
    }
    match promise {
        Promise::Exact => false,
        Promise::Unordered => same_kind(redis, mayfly) && sorted(redis) == sorted(mayfly),
        Promise::Jumbled => jumbled(redis) == jumbled(mayfly),
        Promise::Pairs => same_kind(redis, mayfly) && pairs(redis) == pairs(mayfly),
        Promise::Scan => match (redis.elements(), mayfly.elements()) {
            // Only a whole walk can be compared, which `walk` does.
            ([Value::Text(..), Value::Many(b'*', _)], [Value::Text(..), Value::Many(b'*', _)]) => {
                true
            }
            _ => false,
        },
        Promise::Clock(unit) => same_but_for_clocks(unit, redis, mayfly),
        Promise::Type => same_kind(redis, mayfly),
        Promise::Anything => true,
    }
}

pub fn same_kind(redis: &Value, mayfly: &Value) -> bool {
    match (redis, mayfly) {
        (Value::Line(left, _), Value::Line(right, _))
        | (Value::Text(left, _), Value::Text(right, _))
        | (Value::Many(left, _), Value::Many(right, _)) => left == right,
        _ => redis == mayfly,
    }
}

pub fn sorted(value: &Value) -> Vec<&Value> {
    let mut values: Vec<&Value> = value.elements().iter().collect();
    values.sort();
    values
}

/// The value with all that is in it sorted.
fn jumbled(value: &Value) -> Value {
    let Value::Many(kind, values) = value else { return value.clone() };
    let mut values: Vec<Value> = values.iter().map(jumbled).collect();
    values.sort();
    Value::Many(*kind, values)
}

pub fn pairs(value: &Value) -> Vec<&[Value]> {
    let mut pairs: Vec<&[Value]> = value.elements().chunks(2).collect();
    pairs.sort();
    pairs
}

/// Numbers that are near each other, wherever they stand. Small ones are no times.
fn same_but_for_clocks(unit: i64, redis: &Value, mayfly: &Value) -> bool {
    match (redis, mayfly) {
        (Value::Line(b':', _), Value::Line(b':', _)) => {
            let (Some(left), Some(right)) = (redis.integer(), mayfly.integer()) else {
                return false;
            };
            // Below zero it is no time but an answer: no key, no time to live.
            let is_time = left >= 0 && right >= 0;
            left == right || is_time && left.abs_diff(right) <= (CLOCK_MS / unit) as u64
        }
        (Value::Many(left, redis), Value::Many(right, mayfly)) => {
            let same = |(redis, mayfly)| same_but_for_clocks(unit, redis, mayfly);
            left == right && redis.len() == mayfly.len() && redis.iter().zip(mayfly).all(same)
        }
        _ => redis == mayfly,
    }
}
