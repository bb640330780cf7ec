//! DUMP and RESTORE: values as bytes that Redis takes and gives too.

use super::options::is_word;
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::keyspace::Deadline;
use crate::engine::notifications::EventClasses;
use crate::engine::number::integer;
use crate::engine::rdb::{self, RdbError};
use crate::engine::value::Value;
use crate::raft::types::Millis;

type Result<T = ()> = std::result::Result<T, CommandError>;

fn dump(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    match context.keyspace.get(context.database, arguments[0]) {
        None => context.reply.null(),
        Some(value) => context.reply.bulk(&payload(value, context.keyspace.clock_ms())),
    }
    Ok(())
}

/// What DUMP tells of a value at this time.
pub(super) fn payload(value: &Value, clock_ms: Millis) -> Vec<u8> {
    match value {
        Value::Hash(hash) if hash.at_time(clock_ms).hides_some() => {
            let mut shown = hash.clone();
            shown.remove_due(clock_ms, usize::MAX);
            rdb::dump(&Value::Hash(shown))
        }
        value => rdb::dump(value),
    }
}

#[derive(Default)]
struct Options {
    replaces: bool,
    is_absolute: bool,
    idle_seconds: Option<u64>,
    use_counter: Option<u8>,
}

impl Options {
    fn parse(mut words: &[&[u8]]) -> Result<Self> {
        let mut options = Self::default();
        while let [word, rest @ ..] = words {
            words = rest;
            if is_word(word, "REPLACE") {
                options.replaces = true;
            } else if is_word(word, "ABSTTL") {
                options.is_absolute = true;
            } else if is_word(word, "IDLETIME")
                && let [seconds, rest @ ..] = rest
                && options.use_counter.is_none()
            {
                let error = CommandError::text("ERR Invalid IDLETIME value, must be >= 0");
                let seconds = u64::try_from(integer(seconds)?).map_err(|_| error)?;
                options.idle_seconds = Some(seconds);
                words = rest;
            } else if is_word(word, "FREQ")
                && let [count, rest @ ..] = rest
                && options.idle_seconds.is_none()
            {
                let error = CommandError::text("ERR Invalid FREQ value, must be >= 0 and <= 255");
                let count = u8::try_from(integer(count)?).map_err(|_| error)?;
                options.use_counter = Some(count);
                words = rest;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

fn restore(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, payload) = (arguments[0], arguments[2]);
    let options = Options::parse(&arguments[3..])?;
    if !options.replaces && context.keyspace.peek(context.database, key).is_some() {
        return Err(CommandError::text("BUSYKEY Target key name already exists."));
    }
    let Ok(ttl_ms) = u64::try_from(integer(arguments[1])?) else {
        return Err(CommandError::text("ERR Invalid TTL value, must be >= 0"));
    };
    let mut value = rdb::load(payload).map_err(|error| match error {
        RdbError::Footer => CommandError::text("ERR DUMP payload version or checksum are wrong"),
        RdbError::Format => CommandError::text("ERR Bad data format"),
    })?;
    let deadline = match ttl_ms {
        0 => Deadline::Clear,
        at_ms if options.is_absolute => Deadline::At(at_ms),
        ttl_ms => {
            let at_ms = context.now_ms + ttl_ms;
            i64::try_from(at_ms).map_err(|_| CommandError::InvalidExpire("restore"))?;
            Deadline::At(at_ms)
        }
    };
    let clock_ms = context.keyspace.clock_ms();
    let is_over = match &mut value {
        Value::Hash(hash) => {
            hash.remove_due(clock_ms, usize::MAX);
            hash.is_empty()
        }
        _ => false,
    };
    let is_due = matches!(deadline, Deadline::At(at_ms) if at_ms <= clock_ms);
    // What was there goes first, so that the key is a new one.
    let is_removed = context.keyspace.remove(context.database, key);
    if !is_due && !is_over {
        context.keyspace.store(context.database, key, value, deadline);
        context.notify(EventClasses::GENERIC, "restore", key);
    } else if is_removed {
        context.notify(EventClasses::GENERIC, "del", key);
    }
    if let Some(seconds) = options.idle_seconds {
        context.keyspace.set_idle_seconds(context.database, key, seconds);
    }
    if let Some(counter) = options.use_counter {
        context.keyspace.set_use_counter(context.database, key, counter);
    }
    context.reply.ok();
    Ok(())
}

const GROW: Flags = Flags::of(&[Flags::WRITE, Flags::DENYOOM]);
const COST: &str = "O(N) where N is the number of elements and bytes.";

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("dump", 2, Flags::READONLY, Keys::FIRST, dump,
        Docs::new("generic", "2.6.0", COST, "Tells a value as bytes for RESTORE.")),
    CommandSpec::engine("restore", -4, GROW, Keys::FIRST, restore,
        Docs::new("generic", "2.6.0", COST, "Makes a key of the bytes that DUMP told.")),
];

#[cfg(test)]
mod tests;
