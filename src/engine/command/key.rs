//! Keys of any type: their presence, names, deadlines, and walks over all of them.

use super::collection::parse_cursor;
use super::options::{TimeForm, database, is_word};
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::keyspace::{Deadline, Entry};
use crate::engine::notifications::EventClasses;
use crate::engine::number::integer;
use crate::glob::glob_match;

/// How many keys a step of SCAN looks at when the client does not say.
const SCAN_COUNT_DEFAULT: usize = 10;

type Result = std::result::Result<(), CommandError>;

fn del(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let mut removed = 0;
    for key in arguments {
        let is_removed = context.keyspace.remove(context.database, key);
        if is_removed {
            context.notify(EventClasses::GENERIC, "del", key);
        }
        removed += usize::from(is_removed);
    }
    context.reply.count(removed);
    Ok(())
}

/// EXISTS does not count as a use.
fn exists(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let hidden = context.keyspace.hide_usage(true);
    count_present(context, arguments);
    context.keyspace.hide_usage(hidden);
    Ok(())
}

/// TOUCH counts as one whatever CLIENT NO-TOUCH says.
fn touch(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let hidden = context.keyspace.hide_usage(false);
    count_present(context, arguments);
    context.keyspace.hide_usage(hidden);
    Ok(())
}

fn count_present(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let is_present = |key: &&&[u8]| context.keyspace.entry(context.database, key).is_some();
    let present = arguments.iter().filter(is_present).count();
    context.reply.count(present);
}

fn type_of(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let entry = context.keyspace.peek_or_miss(context.database, arguments[0]);
    context.reply.simple(entry.map_or("none", |entry| entry.value.type_name()));
    Ok(())
}

/// When EXPIRE and its kin do their work.
#[derive(Default)]
struct ExpireOptions {
    if_none: bool,
    if_any: bool,
    if_later: bool,
    if_earlier: bool,
}

impl ExpireOptions {
    fn parse(options: &[&[u8]]) -> std::result::Result<Self, CommandError> {
        let mut parsed = Self::default();
        for option in options {
            let flag = match option {
                _ if is_word(option, "NX") => &mut parsed.if_none,
                _ if is_word(option, "XX") => &mut parsed.if_any,
                _ if is_word(option, "GT") => &mut parsed.if_later,
                _ if is_word(option, "LT") => &mut parsed.if_earlier,
                _ => {
                    let shown = String::from_utf8_lossy(option);
                    let text = format!("ERR Unsupported option {shown}");
                    return Err(CommandError::Text(text.into()));
                }
            };
            *flag = true;
        }
        if parsed.if_none && (parsed.if_any || parsed.if_later || parsed.if_earlier) {
            return Err(CommandError::text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if parsed.if_later && parsed.if_earlier {
            return Err(CommandError::text(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(parsed)
    }

    /// Whether a deadline may follow the old one, where 0 is no deadline: later than any.
    fn allow(&self, old_ms: u64, new_ms: i64) -> bool {
        let old = if old_ms == 0 { i128::MAX } else { i128::from(old_ms) };
        let new = i128::from(new_ms);
        !(self.if_none && old_ms != 0
            || self.if_any && old_ms == 0
            || self.if_later && new <= old
            || self.if_earlier && new >= old)
    }
}

fn expire(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    set_deadline(context, arguments, TimeForm::SecondsFromNow, "expire")
}

fn pexpire(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    set_deadline(context, arguments, TimeForm::MillisFromNow, "pexpire")
}

fn expireat(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    set_deadline(context, arguments, TimeForm::UnixSeconds, "expireat")
}

fn pexpireat(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    set_deadline(context, arguments, TimeForm::UnixMillis, "pexpireat")
}

fn set_deadline(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    form: TimeForm,
    command: &'static str,
) -> Result {
    let key = arguments[0];
    let options = ExpireOptions::parse(&arguments[2..])?;
    let deadline_ms = form.absolute(arguments[1], context.now_ms, command)?;
    let old = context.keyspace.peek(context.database, key).map(|entry| entry.deadline_ms);
    let applies = old.is_some_and(|old_ms| options.allow(old_ms, deadline_ms));
    if applies {
        match u64::try_from(deadline_ms) {
            Ok(at_ms) if at_ms > context.keyspace.clock_ms() => {
                let deadline = Deadline::At(at_ms);
                context.keyspace.set_deadline(context.database, key, deadline);
                context.notify(EventClasses::GENERIC, "expire", key);
            }
            _ => {
                context.keyspace.remove(context.database, key);
                context.notify(EventClasses::GENERIC, "del", key);
            }
        }
    }
    context.reply.integer(applies.into());
    Ok(())
}

fn persist(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let key = arguments[0];
    let entry = context.keyspace.peek(context.database, key);
    let is_volatile = entry.is_some_and(|entry| entry.deadline_ms != 0);
    if is_volatile {
        context.keyspace.set_deadline(context.database, key, Deadline::Clear);
        context.notify(EventClasses::GENERIC, "persist", key);
    }
    context.reply.integer(is_volatile.into());
    Ok(())
}

fn ttl(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let now_ms = context.now_ms;
    tell_deadline(context, arguments, |at_ms| (at_ms.saturating_sub(now_ms) + 500) / 1000)
}

fn pttl(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let now_ms = context.now_ms;
    tell_deadline(context, arguments, |at_ms| at_ms.saturating_sub(now_ms))
}

fn expiretime(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    tell_deadline(context, arguments, |at_ms| (at_ms + 500) / 1000)
}

fn pexpiretime(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    tell_deadline(context, arguments, |at_ms| at_ms)
}

/// -2 for no key, -1 for no deadline, as Redis has it.
fn tell_deadline(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    form: impl FnOnce(u64) -> u64,
) -> Result {
    let told = match context.keyspace.peek_or_miss(context.database, arguments[0]) {
        None => -2,
        Some(Entry { deadline_ms: 0, .. }) => -1,
        Some(entry) => form(entry.deadline_ms) as i64,
    };
    context.reply.integer(told);
    Ok(())
}

fn rename(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (from, to) = (arguments[0], arguments[1]);
    if context.keyspace.peek(context.database, from).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    if from != to {
        rename_to(context, from, to);
    }
    context.reply.ok();
    Ok(())
}

fn renamenx(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (from, to) = (arguments[0], arguments[1]);
    if context.keyspace.peek(context.database, from).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    let is_free = context.keyspace.peek(context.database, to).is_none();
    if is_free {
        rename_to(context, from, to);
    }
    context.reply.integer(is_free.into());
    Ok(())
}

fn rename_to(context: &mut Context<'_>, from: &[u8], to: &[u8]) {
    context.keyspace.rename(context.database, from, to);
    context.notify(EventClasses::GENERIC, "rename_from", from);
    context.notify(EventClasses::GENERIC, "rename_to", to);
}

const SAME_OBJECT: CommandError =
    CommandError::text("ERR source and destination objects are the same");

fn copy(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (from, to) = (arguments[0], arguments[1]);
    let (mut target, mut replaces) = (context.database, false);
    let mut options = &arguments[2..];
    while let [option, rest @ ..] = options {
        options = rest;
        if is_word(option, "REPLACE") {
            replaces = true;
        } else if is_word(option, "DB")
            && let [argument, rest @ ..] = options
        {
            target = database(argument)?;
            options = rest;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if target == context.database && from == to {
        return Err(SAME_OBJECT);
    }
    let is_free = replaces || context.keyspace.peek(target, to).is_none();
    let source = context.keyspace.entry(context.database, from).filter(|_| is_free);
    let Some(entry) = source else {
        context.reply.integer(0);
        return Ok(());
    };
    let value = entry.value.clone();
    let deadline = match entry.deadline_ms {
        0 => Deadline::Clear,
        at_ms => Deadline::At(at_ms),
    };
    // What was there goes first, so that the key is a new one.
    context.keyspace.remove(target, to);
    context.keyspace.store(target, to, value, deadline);
    context.keyspace.notify(EventClasses::GENERIC, "copy_to", target, to);
    context.reply.integer(1);
    Ok(())
}

fn move_key(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, target) = (arguments[0], database(arguments[1])?);
    if target == context.database {
        return Err(SAME_OBJECT);
    }
    let is_free = context.keyspace.peek(target, key).is_none();
    let moves = is_free && context.keyspace.relocate(context.database, key, target, key);
    if moves {
        context.notify(EventClasses::GENERIC, "move_from", key);
        context.keyspace.notify(EventClasses::GENERIC, "move_to", target, key);
    }
    context.reply.integer(moves.into());
    Ok(())
}

fn randomkey(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    match context.keyspace.random_key(context.database, context.random) {
        Some(entry) => context.reply.bulk(&entry.key),
        None => context.reply.null(),
    }
    Ok(())
}

fn keys(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let header = context.reply.defer();
    let mut count = 0;
    let is_everything = arguments[0] == b"*";
    for entry in context.keyspace.entries(context.database) {
        if is_everything || glob_match(arguments[0], &entry.key) {
            context.reply.bulk(&entry.key);
            count += 1;
        }
    }
    context.reply.fill_array(header, count);
    Ok(())
}

fn scan(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let cursor = parse_cursor(arguments[0])?;
    let mut count = SCAN_COUNT_DEFAULT;
    let mut pattern: Option<&[u8]> = None;
    let mut type_name: Option<&[u8]> = None;
    for option in arguments[1..].chunks(2) {
        match option {
            [name, value] if is_word(name, "COUNT") => match integer(value)? {
                ..=0 => return Err(CommandError::Syntax),
                number => count = number as usize,
            },
            [name, value] if is_word(name, "MATCH") => {
                // The empty key too, which no other pattern fits.
                pattern = Some(*value).filter(|pattern| *pattern != *b"*");
            }
            [name, value] if is_word(name, "TYPE") => type_name = Some(value),
            _ => return Err(CommandError::Syntax),
        }
    }
    let mut found: Vec<&[u8]> = Vec::new();
    let next = context.keyspace.scan(context.database, cursor, count, |entry| {
        let name = entry.value.type_name();
        let is_wanted = pattern.is_none_or(|pattern| glob_match(pattern, &entry.key))
            && type_name.is_none_or(|wanted| wanted.eq_ignore_ascii_case(name.as_bytes()));
        if is_wanted {
            found.push(&entry.key);
        }
    });
    context.reply.array(2);
    context.reply.bulk(next.to_string().as_bytes());
    context.reply.array(found.len());
    found.iter().for_each(|key| context.reply.bulk(key));
    Ok(())
}

const READ_FAST: Flags = Flags::of(&[Flags::READONLY, Flags::FAST]);
const READ_ANY: Flags = Flags::of(&[Flags::READONLY, Flags::TOUCHES_ARBITRARY_KEYS]);
const WRITE_FAST: Flags = Flags::of(&[Flags::WRITE, Flags::FAST]);
const GROW: Flags = Flags::of(&[Flags::WRITE, Flags::DENYOOM]);
const BOTH: Keys = Keys { first: 1, last: 2, step: 1 };

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("generic", since, complexity, summary)
}

const PER_KEY: &str = "O(N) where N is the number of keys.";
const ALL_KEYS: &str = "O(N) where N is the number of keys in the database.";

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("copy", -3, GROW, BOTH, copy,
        docs("6.2.0", "O(N) where N is the number of elements.",
            "Copies value and deadline of a key to another.")),
    CommandSpec::engine("del", -2, Flags::WRITE, Keys::ALL, del,
        docs("1.0.0", PER_KEY, "Removes keys.")),
    CommandSpec::engine("exists", -2, READ_FAST, Keys::ALL, exists,
        docs("1.0.0", PER_KEY, "Counts which of the keys are there.")),
    CommandSpec::engine("expire", -3, WRITE_FAST, Keys::FIRST, expire,
        docs("1.0.0", "O(1)", "Lets a key expire after some seconds.")),
    CommandSpec::engine("expireat", -3, WRITE_FAST, Keys::FIRST, expireat,
        docs("1.2.0", "O(1)", "Lets a key expire at a time in seconds.")),
    CommandSpec::engine("expiretime", 2, READ_FAST, Keys::FIRST, expiretime,
        docs("7.0.0", "O(1)", "Tells when a key expires, in seconds.")),
    CommandSpec::engine("keys", 2, Flags::READONLY, Keys::NONE, keys,
        docs("1.0.0", ALL_KEYS, "Tells all keys that fit a pattern.")),
    CommandSpec::engine("move", 3, WRITE_FAST, Keys::FIRST, move_key,
        docs("1.0.0", "O(1)", "Moves a key to another database, unless that has it.")),
    CommandSpec::engine("persist", 2, WRITE_FAST, Keys::FIRST, persist,
        docs("2.2.0", "O(1)", "Lets a key not expire any more.")),
    CommandSpec::engine("pexpire", -3, WRITE_FAST, Keys::FIRST, pexpire,
        docs("2.6.0", "O(1)", "Lets a key expire after some milliseconds.")),
    CommandSpec::engine("pexpireat", -3, WRITE_FAST, Keys::FIRST, pexpireat,
        docs("2.6.0", "O(1)", "Lets a key expire at a time in milliseconds.")),
    CommandSpec::engine("pexpiretime", 2, READ_FAST, Keys::FIRST, pexpiretime,
        docs("7.0.0", "O(1)", "Tells when a key expires, in milliseconds.")),
    CommandSpec::engine("pttl", 2, READ_FAST, Keys::FIRST, pttl,
        docs("2.6.0", "O(1)", "Tells how many milliseconds a key still has.")),
    CommandSpec::engine("randomkey", 1, READ_ANY, Keys::NONE, randomkey,
        docs("1.0.0", "O(1)", "Picks any key.")),
    CommandSpec::engine("rename", 3, Flags::WRITE, BOTH, rename,
        docs("1.0.0", "O(1)", "Gives a key another name, over any key that has it.")),
    CommandSpec::engine("renamenx", 3, WRITE_FAST, BOTH, renamenx,
        docs("1.0.0", "O(1)", "Gives a key another name, if that is free.")),
    CommandSpec::engine("scan", -2, READ_ANY, Keys::NONE, scan,
        docs("2.8.0", "O(1) per call, O(N) for all N keys.", "Walks over all keys in steps.")),
    CommandSpec::engine("touch", -2, READ_FAST, Keys::ALL, touch,
        docs("3.2.1", PER_KEY, "Counts which of the keys are there.")),
    CommandSpec::engine("ttl", 2, READ_FAST, Keys::FIRST, ttl,
        docs("1.0.0", "O(1)", "Tells how many seconds a key still has.")),
    CommandSpec::engine("type", 2, READ_FAST, Keys::FIRST, type_of,
        docs("1.0.0", "O(1)", "Tells the type of a value.")),
    CommandSpec::engine("unlink", -2, WRITE_FAST, Keys::ALL, del,
        docs("4.0.0", PER_KEY, "Removes keys.")),
];

#[cfg(test)]
mod tests;
