//! All that both sides hold, key by key.

use super::compare::{Verdict, compare, sorted};
use super::pair::{Difference, Failure, Twin};
use super::reference::Reference;
use super::wait;
use super::wire::Value;

type Result<T = ()> = std::result::Result<T, Failure>;

/// As many as redis-server has unless it is told otherwise.
const DATABASES: u8 = 16;

/// Compares every database; how many differences are explained.
pub fn compare_all(twin: &mut Twin) -> Result<u64> {
    let mut explained = 0;
    for database in 0..DATABASES {
        twin.call(&["SELECT".as_bytes(), database.to_string().as_bytes()])?;
        let words = [b"KEYS".to_vec(), b"*".to_vec()];
        let (redis, mayfly) = twin.call(&words)?;
        if sorted(&redis) != sorted(&mayfly) {
            return Err(Difference::new(&words, &redis, &mayfly).into());
        }
        // What has ended already is counted until redis-server comes across it.
        wait::until_true("the end of what has ended", wait::LONG, || {
            let count = twin.redis.call(&["DBSIZE"]).ok().and_then(|count| count.integer());
            count == i64::try_from(redis.elements().len()).ok()
        });
        explained += exact(twin, &[b"DBSIZE"])?;
        for key in redis.elements() {
            explained += compare_key(twin, key.bytes())?;
        }
    }
    Ok(explained)
}

/// Compares a key of the selected database: type, time to live, encoding, and all of its value.
pub fn compare_key(twin: &mut Twin, key: &[u8]) -> Result<u64> {
    let kind = twin.call(&[b"TYPE", key])?.0.text();
    let mut explained = exact(twin, &[b"TYPE", key])?;
    explained += exact(twin, &[b"PEXPIRETIME", key])?;
    explained += exact(twin, &[b"OBJECT", b"ENCODING", key])?;
    explained += match kind.as_str() {
        "string" => exact(twin, &[b"GET", key])?,
        "list" => exact(twin, &[b"LRANGE", key, b"0", b"-1"])?,
        "set" => exact(twin, &[b"SMEMBERS", key])?,
        "zset" => exact(twin, &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"])?,
        "hash" => exact(twin, &[b"HGETALL", key])? + compare_ends(twin, key)?,
        "stream" => {
            exact(twin, &[b"XRANGE", key, b"-", b"+"])?
                + exact(twin, &[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"])?
        }
        _ => 0,
    };
    Ok(explained)
}

/// Compares when the fields of a hash end, where the server knows of that.
fn compare_ends(twin: &mut Twin, key: &[u8]) -> Result<u64> {
    if Reference::current() != Reference::Redis8 {
        return Ok(0);
    }
    let fields = twin.redis.call(&[b"HKEYS", key])?;
    let count = fields.elements().len().to_string();
    let words = [&b"HPEXPIRETIME"[..], key, b"FIELDS", count.as_bytes()];
    exact(twin, &words.into_iter().chain(fields.scalars()).collect::<Vec<_>>())
}

fn exact(twin: &mut Twin, words: &[&[u8]]) -> Result<u64> {
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
    let (redis, mayfly): (Value, Value) = twin.call(&words)?;
    match compare(&words, &redis, &mayfly) {
        Verdict::Same => Ok(0),
        Verdict::Explained => Ok(1),
        Verdict::Different => Err(Difference::new(&words, &redis, &mayfly).into()),
    }
}
