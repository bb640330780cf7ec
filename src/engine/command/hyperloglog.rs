//! HyperLogLogs: PFADD, PFCOUNT, PFMERGE on strings of Redis's own format.
//!
//! PFCOUNT changes nothing, unlike Redis's: the estimate in the header is used while it holds, and
//! what is counted anew is not kept, since reads are not replicated.

use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::keyspace::Keyspace;
use crate::engine::notifications::EventClasses;
use crate::engine::types::hyperloglog::{self, Corrupted, Union};
use crate::engine::types::string::{Digits, StringValue};
use crate::engine::value::{Kind, Value};

const NOT_ONE: CommandError =
    CommandError::text("WRONGTYPE Key is not a valid HyperLogLog string value.");

impl From<Corrupted> for CommandError {
    fn from(_: Corrupted) -> Self {
        Self::text("INVALIDOBJ Corrupted HLL object detected")
    }
}

type Result<T = ()> = std::result::Result<T, CommandError>;

/// Runs `with` on the bytes of the HyperLogLog at a key; `Ok(None)` when there is no such key.
fn read<T>(
    keyspace: &Keyspace,
    database: u8,
    key: &[u8],
    with: impl FnOnce(&[u8]) -> std::result::Result<T, Corrupted>,
) -> Result<Option<T>> {
    let Some(value) = keyspace.read::<StringValue>(database, key)? else { return Ok(None) };
    let mut digits = Digits::default();
    Ok(Some(with(checked(value.as_bytes(&mut digits))?)?))
}

fn checked(bytes: &[u8]) -> Result<&[u8]> {
    if hyperloglog::is_one(bytes) { Ok(bytes) } else { Err(NOT_ONE) }
}

/// The HyperLogLog at a key, to be changed, and whether it is new. Who watches the key is to be
/// told when it is changed.
fn change_or_create<'a>(
    keyspace: &'a mut Keyspace,
    database: u8,
    key: &[u8],
) -> Result<(&'a mut Vec<u8>, bool)> {
    let entry = keyspace.peek(database, key);
    let is_new = entry.is_none();
    if let Some(entry) = entry {
        checked(StringValue::of(&entry.value)?.as_bytes(&mut Digits::default()))?;
    } else {
        let value = Value::String(StringValue::from_vec(hyperloglog::empty()));
        keyspace.insert(database, key, value);
    }
    let value = keyspace.change_or_create_quietly::<StringValue>(database, key)?;
    Ok((value.bytes_mut(), is_new))
}

fn pfadd(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, elements) = (arguments[0], &arguments[1..]);
    let (bytes, is_new) = change_or_create(context.keyspace, context.database, key)?;
    let mut changed = is_new;
    for element in elements {
        changed |= hyperloglog::add(bytes, element)?;
    }
    if changed {
        hyperloglog::invalidate(bytes);
        context.keyspace.tell(context.database, key);
        context.notify(EventClasses::STRING, "pfadd", key);
    }
    context.reply.integer(changed.into());
    Ok(())
}

fn pfcount(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (keyspace, database) = (&*context.keyspace, context.database);
    let estimate = match arguments {
        [key] => read(keyspace, database, key, hyperloglog::estimate)?.unwrap_or(0),
        keys => union(keyspace, database, keys)?.estimate(),
    };
    context.reply.integer(estimate as i64);
    Ok(())
}

fn pfmerge(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    // The target is one of the sources.
    let union = union(context.keyspace, context.database, arguments)?;
    let (target, _) = change_or_create(context.keyspace, context.database, arguments[0])?;
    union.store(target)?;
    context.keyspace.tell(context.database, arguments[0]);
    context.notify(EventClasses::STRING, "pfadd", arguments[0]);
    context.reply.ok();
    Ok(())
}

fn union(keyspace: &Keyspace, database: u8, keys: &[&[u8]]) -> Result<Union> {
    let mut union = Union::default();
    for key in keys {
        read(keyspace, database, key, |bytes| union.add(bytes))?;
    }
    Ok(union)
}

/// Redis's PFCOUNT may write, and clients know it as such.
const READ_REPLICATED: Flags = Flags::of(&[Flags::READONLY, Flags::MAY_REPLICATE]);
const GROW: Flags = Flags::of(&[Flags::WRITE, Flags::DENYOOM]);
const GROW_FAST: Flags = Flags::of(&[Flags::WRITE, Flags::DENYOOM, Flags::FAST]);

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("hyperloglog", since, complexity, summary)
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("pfadd", -2, GROW_FAST, Keys::FIRST, pfadd,
        docs("2.8.9", "O(1) for each element.",
            "Counts elements in a HyperLogLog, or makes an empty one.")),
    CommandSpec::engine("pfcount", -2, READ_REPLICATED, Keys::ALL, pfcount,
        docs("2.8.9", "O(N) where N is the number of keys.",
            "Estimates how many different elements HyperLogLogs have seen in all.")),
    CommandSpec::engine("pfmerge", -2, GROW, Keys::ALL, pfmerge,
        docs("2.8.9", "O(N) where N is the number of keys.",
            "Makes a HyperLogLog that has seen what others have seen.")),
];

#[cfg(test)]
mod tests;
