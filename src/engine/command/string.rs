//! Strings: GET, SET and what changes or reads a part of a value.

use super::options::{TimeForm, is_word};
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::keyspace::Deadline;
use crate::engine::long_double::LongDouble;
use crate::engine::notifications::EventClasses;
use crate::engine::number::integer;
use crate::engine::reply::Reply;
use crate::engine::types::string::{Digits, StringValue};
use crate::engine::value::{Kind, Value};

/// The longest value, as Redis's proto-max-bulk-len has it by default.
pub(super) const VALUE_LEN_MAX: usize = 512 << 20;

const TOO_LONG: CommandError =
    CommandError::text("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

type Result<T = ()> = std::result::Result<T, CommandError>;

fn get(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let value = context.keyspace.read::<StringValue>(context.database, arguments[0])?;
    reply_value(context.reply, value);
    Ok(())
}

#[inline]
fn reply_value(reply: &mut Reply, value: Option<&StringValue>) {
    match value {
        Some(value) => reply.bulk(value.as_bytes(&mut Digits::default())),
        None => reply.null(),
    }
}

/// When SET does its work.
#[derive(Clone, Copy)]
enum Condition<'a> {
    Always,
    IfAbsent,
    IfPresent,
    /// The key holds this string.
    IfEqual(&'a [u8]),
}

/// Whether the key holds the string `expected`.
fn holds(context: &Context<'_>, key: &[u8], expected: &[u8]) -> Result<bool> {
    let value = context.keyspace.read::<StringValue>(context.database, key)?;
    Ok(value.is_some_and(|value| value.as_bytes(&mut Digits::default()) == expected))
}

/// What SET answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Status,
    OldValue,
}

struct SetOptions<'a> {
    condition: Condition<'a>,
    answer: Answer,
    keep_deadline: bool,
    time: Option<(TimeForm, &'a [u8])>,
}

impl<'a> SetOptions<'a> {
    fn parse(mut options: &[&'a [u8]]) -> Result<Self> {
        let mut parsed = Self {
            condition: Condition::Always,
            answer: Answer::Status,
            keep_deadline: false,
            time: None,
        };
        while let [option, rest @ ..] = options {
            options = rest;
            if is_word(option, "NX")
                && matches!(parsed.condition, Condition::Always | Condition::IfAbsent)
            {
                parsed.condition = Condition::IfAbsent;
            } else if is_word(option, "XX")
                && matches!(parsed.condition, Condition::Always | Condition::IfPresent)
            {
                parsed.condition = Condition::IfPresent;
            } else if is_word(option, "IFEQ")
                && matches!(parsed.condition, Condition::Always)
                && let [expected, rest @ ..] = options
            {
                parsed.condition = Condition::IfEqual(expected);
                options = rest;
            } else if is_word(option, "GET") {
                parsed.answer = Answer::OldValue;
            } else if is_word(option, "KEEPTTL") && parsed.time.is_none() {
                parsed.keep_deadline = true;
            } else if let Some(form) = TimeForm::of_option(option)
                && !parsed.keep_deadline
                && parsed.time.is_none_or(|(before, _)| before == form)
                && let [time, rest @ ..] = options
            {
                parsed.time = Some((form, time));
                options = rest;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(parsed)
    }
}

fn set(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, value) = (arguments[0], arguments[1]);
    if arguments.len() == 2 {
        context.keyspace.store_string(context.database, key, value, Deadline::Clear);
        context.notify(EventClasses::STRING, "set", key);
        context.reply.ok();
        return Ok(());
    }
    let options = SetOptions::parse(&arguments[2..])?;
    let deadline = match options.time {
        Some((form, time)) => Deadline::At(form.deadline(time, context.now_ms, "set")?),
        None if options.keep_deadline => Deadline::Keep,
        None => Deadline::Clear,
    };
    if options.answer == Answer::OldValue {
        get(context, &[key])?;
    }
    let is_present = context.keyspace.peek(context.database, key).is_some();
    let applies = match options.condition {
        Condition::Always => true,
        Condition::IfAbsent => !is_present,
        Condition::IfPresent => is_present,
        Condition::IfEqual(expected) => holds(context, key, expected)?,
    };
    if applies {
        store(context, key, value, deadline);
    }
    match (options.answer, applies) {
        (Answer::OldValue, _) => {}
        (Answer::Status, true) => context.reply.ok(),
        (Answer::Status, false) => context.reply.null(),
    }
    Ok(())
}

fn store(context: &mut Context<'_>, key: &[u8], value: &[u8], deadline: Deadline) {
    context.keyspace.store_string(context.database, key, value, deadline);
    context.notify(EventClasses::STRING, "set", key);
    if let Deadline::At(at_ms) = deadline {
        context.notify(EventClasses::GENERIC, "expire", key);
        if at_ms <= context.keyspace.clock_ms() {
            context.keyspace.drop_due(context.database, key);
        }
    }
}

fn setnx(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let is_new = context.keyspace.peek(context.database, arguments[0]).is_none();
    if is_new {
        store(context, arguments[0], arguments[1], Deadline::Clear);
    }
    context.reply.integer(is_new.into());
    Ok(())
}

fn setex(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    set_with_time(context, arguments, TimeForm::SecondsFromNow, "setex")
}

fn psetex(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    set_with_time(context, arguments, TimeForm::MillisFromNow, "psetex")
}

fn set_with_time(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    form: TimeForm,
    command: &'static str,
) -> Result {
    let deadline = Deadline::At(form.deadline(arguments[1], context.now_ms, command)?);
    store(context, arguments[0], arguments[2], deadline);
    context.reply.ok();
    Ok(())
}

fn getset(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    get(context, arguments)?;
    store(context, arguments[0], arguments[1], Deadline::Clear);
    Ok(())
}

fn getdel(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    get(context, arguments)?;
    if context.keyspace.remove(context.database, arguments[0]) {
        context.notify(EventClasses::GENERIC, "del", arguments[0]);
    }
    Ok(())
}

fn delifeq(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let is_equal = holds(context, arguments[0], arguments[1])?;
    if is_equal {
        context.keyspace.remove(context.database, arguments[0]);
        context.notify(EventClasses::GENERIC, "del", arguments[0]);
    }
    context.reply.integer(is_equal.into());
    Ok(())
}

/// A time as an option gives it.
type Time<'a> = (TimeForm, &'a [u8]);

/// The last time that the options of GETEX give, and whether they say PERSIST. One may be said
/// again, not another.
fn getex_options<'a>(mut words: &[&'a [u8]]) -> Result<(Option<Time<'a>>, bool)> {
    let (mut time, mut persists) = (None, false);
    loop {
        words = match words {
            [] => return Ok((time, persists)),
            [option, rest @ ..] if time.is_none() && is_word(option, "PERSIST") => {
                persists = true;
                rest
            }
            [option, argument, rest @ ..] if !persists => {
                let form = TimeForm::of_option(option).ok_or(CommandError::Syntax)?;
                if time.is_some_and(|(before, _)| before != form) {
                    return Err(CommandError::Syntax);
                }
                time = Some((form, *argument));
                rest
            }
            _ => return Err(CommandError::Syntax),
        };
    }
}

fn getex(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (time, persists) = getex_options(&arguments[1..])?;
    let key = arguments[0];
    let value = context.keyspace.read::<StringValue>(context.database, key)?;
    reply_value(context.reply, value);
    if value.is_none() {
        return Ok(());
    }
    if let Some((form, argument)) = time {
        let at_ms = form.deadline(argument, context.now_ms, "getex")?;
        if at_ms > context.keyspace.clock_ms() {
            context.keyspace.set_deadline(context.database, key, Deadline::At(at_ms));
            context.notify(EventClasses::GENERIC, "expire", key);
        } else {
            context.keyspace.remove(context.database, key);
            context.notify(EventClasses::GENERIC, "del", key);
        }
    } else if persists && has_deadline(context, key) {
        context.keyspace.set_deadline(context.database, key, Deadline::Clear);
        context.notify(EventClasses::GENERIC, "persist", key);
    }
    Ok(())
}

fn has_deadline(context: &Context<'_>, key: &[u8]) -> bool {
    let entry = context.keyspace.peek(context.database, key);
    entry.is_some_and(|entry| entry.deadline_ms != 0)
}

fn mget(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    context.reply.array(arguments.len());
    for key in arguments {
        let value = context.keyspace.get(context.database, key);
        reply_value(context.reply, value.and_then(|value| StringValue::of(value).ok()));
    }
    Ok(())
}

fn mset(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    check_pairs(arguments, "mset")?;
    for pair in arguments.chunks_exact(2) {
        store(context, pair[0], pair[1], Deadline::Clear);
    }
    context.reply.ok();
    Ok(())
}

fn msetnx(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    check_pairs(arguments, "msetnx")?;
    let is_absent = |pair: &[&[u8]]| context.keyspace.peek(context.database, pair[0]).is_none();
    let all_absent = arguments.chunks_exact(2).all(is_absent);
    if all_absent {
        for pair in arguments.chunks_exact(2) {
            store(context, pair[0], pair[1], Deadline::Clear);
        }
    }
    context.reply.integer(all_absent.into());
    Ok(())
}

fn check_pairs(arguments: &[&[u8]], command: &'static str) -> Result {
    if arguments.len().is_multiple_of(2) {
        Ok(())
    } else {
        Err(CommandError::Arity(command.into()))
    }
}

fn strlen(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let value = context.keyspace.read::<StringValue>(context.database, arguments[0])?;
    context.reply.count(value.map_or(0, StringValue::len));
    Ok(())
}

fn append(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, tail) = (arguments[0], arguments[1]);
    let len = match context.keyspace.change::<StringValue>(context.database, key)? {
        Some(value) if value.len() + tail.len() > VALUE_LEN_MAX => return Err(TOO_LONG),
        Some(value) => value.append(tail),
        None => {
            context.keyspace.insert(context.database, key, Value::string(tail));
            tail.len()
        }
    };
    context.notify(EventClasses::STRING, "append", key);
    context.reply.count(len);
    Ok(())
}

fn getrange(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (start, end) = (integer(arguments[1])?, integer(arguments[2])?);
    let value = context.keyspace.read::<StringValue>(context.database, arguments[0])?;
    let mut digits = Digits::default();
    let bytes = value.map_or(&b""[..], |value| value.as_bytes(&mut digits));
    context.reply.bulk(range(bytes, start, end));
    Ok(())
}

/// The part of `bytes` from `start` to `end`, both included, counted from the end when negative.
fn range(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    let len = bytes.len() as i64;
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let from_start = |position: i64| if position < 0 { position + len } else { position };
    let start = from_start(start).max(0);
    let end = from_start(end).max(0).min(len - 1);
    if start > end { b"" } else { &bytes[start as usize..=end as usize] }
}

fn setrange(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, offset, patch) = (arguments[0], integer(arguments[1])?, arguments[2]);
    let Ok(offset) = usize::try_from(offset) else {
        return Err(CommandError::text("ERR offset is out of range"));
    };
    let len = context.keyspace.read::<StringValue>(context.database, key)?.map(StringValue::len);
    if patch.is_empty() {
        context.reply.count(len.unwrap_or(0));
        return Ok(());
    }
    if offset.checked_add(patch.len()).is_none_or(|end| end > VALUE_LEN_MAX) {
        return Err(TOO_LONG);
    }
    let value = context.keyspace.change_or_create::<StringValue>(context.database, key)?;
    let len = value.set_range(offset, patch);
    context.notify(EventClasses::STRING, "setrange", key);
    context.reply.count(len);
    Ok(())
}

fn incr(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    add_integer(context, arguments[0], 1)
}

fn decr(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    add_integer(context, arguments[0], -1)
}

fn incrby(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    add_integer(context, arguments[0], integer(arguments[1])?)
}

fn decrby(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let overflow = CommandError::text("ERR decrement would overflow");
    let delta = integer(arguments[1])?.checked_neg().ok_or(overflow)?;
    add_integer(context, arguments[0], delta)
}

fn add_integer(context: &mut Context<'_>, key: &[u8], delta: i64) -> Result {
    let sum = match context.keyspace.change_quietly::<StringValue>(context.database, key)? {
        Some(value) => {
            let old = value.integer().ok_or(CommandError::NotInteger)?;
            let sum = old.checked_add(delta).ok_or(CommandError::Overflow)?;
            *value = StringValue::from_integer(sum);
            context.keyspace.tell(context.database, key);
            sum
        }
        None => {
            let value = Value::String(StringValue::from_integer(delta));
            context.keyspace.insert(context.database, key, value);
            delta
        }
    };
    context.notify(EventClasses::STRING, "incrby", key);
    context.reply.integer(sum);
    Ok(())
}

fn incrbyfloat(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let key = arguments[0];
    let value = context.keyspace.read::<StringValue>(context.database, key)?;
    let mut digits = Digits::default();
    let old = value.map_or(&b"0"[..], |value| value.as_bytes(&mut digits));
    let old = LongDouble::parse(old).ok_or(CommandError::NotFloat)?;
    let delta = LongDouble::parse(arguments[1]).ok_or(CommandError::NotFloat)?;
    let Some(sum) = old.finite_sum(&delta) else {
        return Err(CommandError::text("ERR increment would produce NaN or Infinity"));
    };
    let text = sum.to_string();
    context.keyspace.store_string(context.database, key, text.as_bytes(), Deadline::Keep);
    context.notify(EventClasses::STRING, "incrbyfloat", key);
    context.reply.bulk(text.as_bytes());
    Ok(())
}

const READ_FAST: Flags = Flags::of(&[Flags::READONLY, Flags::FAST]);
const WRITE_FAST: Flags = Flags::of(&[Flags::WRITE, Flags::FAST]);
const GROW: Flags = Flags::of(&[Flags::WRITE, Flags::DENYOOM]);
const GROW_FAST: Flags = Flags::of(&[Flags::WRITE, Flags::DENYOOM, Flags::FAST]);

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("string", since, complexity, summary)
}

const RANGE_COST: &str = "O(N) where N is the length of the part returned.";
const PER_KEY: &str = "O(N) where N is the number of keys.";

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("append", 3, GROW_FAST, Keys::FIRST, append,
        docs("2.0.0", "O(1)", "Puts bytes at the end of a string, or makes it.")),
    CommandSpec::engine("decr", 2, GROW_FAST, Keys::FIRST, decr,
        docs("1.0.0", "O(1)", "Takes one from an integer, which is 0 if missing.")),
    CommandSpec::engine("decrby", 3, GROW_FAST, Keys::FIRST, decrby,
        docs("1.0.0", "O(1)", "Takes a number from an integer, which is 0 if missing.")),
    CommandSpec::engine("delifeq", 3, WRITE_FAST, Keys::FIRST, delifeq,
        docs("9.0.0", "O(1)", "Removes a key, if it holds a certain string.")),
    CommandSpec::engine("get", 2, READ_FAST, Keys::FIRST, get,
        docs("1.0.0", "O(1)", "Reads a string.")),
    CommandSpec::engine("getdel", 2, WRITE_FAST, Keys::FIRST, getdel,
        docs("6.2.0", "O(1)", "Reads a string and removes its key.")),
    CommandSpec::engine("getex", -2, WRITE_FAST, Keys::FIRST, getex,
        docs("6.2.0", "O(1)", "Reads a string and sets or clears when its key expires.")),
    CommandSpec::engine("getrange", 4, Flags::READONLY, Keys::FIRST, getrange,
        docs("2.4.0", RANGE_COST, "Reads a part of a string.")),
    CommandSpec::engine("getset", 3, GROW_FAST, Keys::FIRST, getset,
        docs("1.0.0", "O(1)", "Reads a string and replaces it.")),
    CommandSpec::engine("incr", 2, GROW_FAST, Keys::FIRST, incr,
        docs("1.0.0", "O(1)", "Adds one to an integer, which is 0 if missing.")),
    CommandSpec::engine("incrby", 3, GROW_FAST, Keys::FIRST, incrby,
        docs("1.0.0", "O(1)", "Adds a number to an integer, which is 0 if missing.")),
    CommandSpec::engine("incrbyfloat", 3, GROW_FAST, Keys::FIRST, incrbyfloat,
        docs("2.6.0", "O(1)", "Adds a fraction to a number, which is 0 if missing.")),
    CommandSpec::engine("mget", -2, READ_FAST, Keys::ALL, mget,
        docs("1.0.0", PER_KEY, "Reads several strings at one moment.")),
    CommandSpec::engine("mset", -3, GROW, PAIRS, mset,
        docs("1.0.1", PER_KEY, "Sets several strings at one moment.")),
    CommandSpec::engine("msetnx", -3, GROW, PAIRS, msetnx,
        docs("1.0.1", PER_KEY, "Sets several strings, if none of the keys is there.")),
    CommandSpec::engine("psetex", 4, GROW, Keys::FIRST, psetex,
        docs("2.6.0", "O(1)", "Sets a string that expires after some milliseconds.")),
    CommandSpec::engine("set", -3, GROW, Keys::FIRST, set,
        docs("1.0.0", "O(1)", "Sets a string, whatever the key held.")),
    CommandSpec::engine("setex", 4, GROW, Keys::FIRST, setex,
        docs("2.0.0", "O(1)", "Sets a string that expires after some seconds.")),
    CommandSpec::engine("setnx", 3, GROW_FAST, Keys::FIRST, setnx,
        docs("1.0.0", "O(1)", "Sets a string, if the key is not there.")),
    CommandSpec::engine("setrange", 4, GROW, Keys::FIRST, setrange,
        docs("2.2.0", "O(N) where N is the length of the patch.",
            "Overwrites a part of a string, after zeros if it is shorter.")),
    CommandSpec::engine("strlen", 2, READ_FAST, Keys::FIRST, strlen,
        docs("2.2.0", "O(1)", "Tells the length of a string.")),
    CommandSpec::engine("substr", 4, Flags::READONLY, Keys::FIRST, getrange,
        docs("1.0.0", RANGE_COST, "Reads a part of a string.")),
];

const PAIRS: Keys = Keys { first: 1, last: -1, step: 2 };

#[cfg(test)]
mod tests;
