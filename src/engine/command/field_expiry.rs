//! The commands of hash fields that expire.
//!
//! A field whose new deadline is not after the clock is removed at once. What a command does not
//! change has not changed for WATCH either, so each looks before it writes.

use super::hash::notify_taken;
use super::options::{TimeForm, is_word};
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::notifications::EventClasses;
use crate::engine::number::{integer, parse_integer};
use crate::engine::types::hash::{FIELD_DEADLINE_MAX_MS, Hash, View};
use crate::raft::types::Millis;

type Result<T = ()> = std::result::Result<T, CommandError>;

/// What HEXPIRE, HTTL and HPERSIST answer for a field that is not there.
const NO_FIELD: i64 = -2;
/// What HTTL and HPERSIST answer for a field that does not expire.
const NO_DEADLINE: i64 = -1;

const NO_FIELDS_WORD: CommandError =
    CommandError::text("ERR Mandatory argument FIELDS is missing or not at the right position");
const COUNT_NOT_POSITIVE: CommandError =
    CommandError::text("ERR Number of fields must be a positive integer");

fn view<'a>(context: &'a Context<'_>, key: &[u8]) -> Result<Option<View<'a>>> {
    context.keyspace.read_hash(context.database, key)
}

/// The fields behind `FIELDS <count>`, which `words` begin with.
fn fields<'a, 'b>(
    words: &'a [&'b [u8]],
    command: &'static str,
    bad_count: CommandError,
) -> Result<&'a [&'b [u8]]> {
    let [word, rest @ ..] = words else { return Err(CommandError::Arity(command.into())) };
    if !is_word(word, "FIELDS") {
        return Err(NO_FIELDS_WORD);
    }
    let [count, fields @ ..] = rest else { return Err(CommandError::Arity(command.into())) };
    let count = parse_integer(count).filter(|count| *count > 0).ok_or(bad_count)?;
    if usize::try_from(count) != Ok(fields.len()) {
        return Err(CommandError::text(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    Ok(fields)
}

/// The deadline that an argument tells: that of a field is neither negative nor beyond
/// [`FIELD_DEADLINE_MAX_MS`].
fn deadline(
    form: TimeForm,
    argument: &[u8],
    now_ms: Millis,
    command: &'static str,
) -> Result<Millis> {
    if integer(argument)? < 0 {
        return Err(CommandError::text("ERR invalid expire time, must be >= 0"));
    }
    let at_ms = form.absolute(argument, now_ms, command)?;
    let at_ms = Millis::try_from(at_ms).map_err(|_| CommandError::InvalidExpire(command))?;
    if at_ms > FIELD_DEADLINE_MAX_MS {
        return Err(CommandError::InvalidExpire(command));
    }
    Ok(at_ms)
}

/// When HEXPIRE applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    IfNone,
    IfAny,
    IfLater,
    IfEarlier,
}

impl Condition {
    fn parse(word: &[u8]) -> Option<Self> {
        match () {
            () if is_word(word, "NX") => Some(Self::IfNone),
            () if is_word(word, "XX") => Some(Self::IfAny),
            () if is_word(word, "GT") => Some(Self::IfLater),
            () if is_word(word, "LT") => Some(Self::IfEarlier),
            () => None,
        }
    }

    /// Whether a deadline may follow the old one; none is later than any.
    fn allows(self, old_ms: Option<Millis>, new_ms: Millis) -> bool {
        match self {
            Self::Always => true,
            Self::IfNone => old_ms.is_none(),
            Self::IfAny => old_ms.is_some(),
            Self::IfLater => old_ms.is_some_and(|old_ms| new_ms > old_ms),
            Self::IfEarlier => old_ms.is_none_or(|old_ms| new_ms < old_ms),
        }
    }
}

/// A deadline for fields, as HEXPIRE gives it.
#[derive(Clone, Copy)]
struct Expiry {
    condition: Condition,
    at_ms: Millis,
    clock_ms: Millis,
}

impl Expiry {
    /// Whether a field with this deadline would change.
    fn applies(&self, old_ms: Option<Millis>) -> bool {
        self.condition.allows(old_ms, self.at_ms)
    }

    /// Tells of a hash of which fields have this deadline, or are gone for it.
    fn notify(&self, context: &Context<'_>, key: &[u8]) {
        if self.at_ms > self.clock_ms {
            context.notify(EventClasses::HASH, "hexpire", key);
        } else {
            notify_taken(context, "hdel", key);
        }
    }

    /// Changes the field, or not, and tells what HEXPIRE answers.
    fn apply(&self, hash: &mut Hash, field: &[u8]) -> i64 {
        if !hash.contains(field) {
            return NO_FIELD;
        }
        if !self.applies(hash.deadline(field)) {
            return 0;
        }
        if self.at_ms > self.clock_ms {
            hash.set_deadline(field, self.at_ms);
            1
        } else {
            hash.remove(field);
            2
        }
    }
}

fn hexpire(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    expire(context, arguments, TimeForm::SecondsFromNow, "hexpire")
}

fn hpexpire(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    expire(context, arguments, TimeForm::MillisFromNow, "hpexpire")
}

fn hexpireat(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    expire(context, arguments, TimeForm::UnixSeconds, "hexpireat")
}

fn hpexpireat(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    expire(context, arguments, TimeForm::UnixMillis, "hpexpireat")
}

fn expire(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    form: TimeForm,
    command: &'static str,
) -> Result {
    let key = arguments[0];
    // Redis looks at the type of the key before it reads the other arguments.
    view(context, key)?;
    let at_ms = deadline(form, arguments[1], context.now_ms, command)?;
    let (condition, words) = match Condition::parse(arguments[2]) {
        Some(condition) => (condition, &arguments[3..]),
        None => (Condition::Always, &arguments[2..]),
    };
    let bad_count = CommandError::text("ERR Parameter `numFields` should be greater than 0");
    let fields = fields(words, command, bad_count)?;
    let expiry = Expiry { condition, at_ms, clock_ms: context.keyspace.clock_ms() };
    let changes = |hash: &View<'_>, field: &[u8]| {
        hash.contains(field) && expiry.applies(hash.deadline(field))
    };
    let told: Vec<i64> = match view(context, key)? {
        None => vec![NO_FIELD; fields.len()],
        Some(hash) if !fields.iter().any(|field| changes(&hash, field)) => {
            let tell = |field: &&[u8]| if hash.contains(field) { 0 } else { NO_FIELD };
            fields.iter().map(tell).collect()
        }
        Some(_) => {
            let apply =
                |hash: &mut Hash| fields.iter().map(|field| expiry.apply(hash, field)).collect();
            let told = context.keyspace.change_hash(context.database, key, apply)?;
            expiry.notify(context, key);
            told.unwrap_or_default()
        }
    };
    write_integers(context, &told);
    Ok(())
}

fn write_integers(context: &mut Context<'_>, numbers: &[i64]) {
    context.reply.array(numbers.len());
    numbers.iter().for_each(|number| context.reply.integer(*number));
}

fn httl(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let now_ms = context.now_ms;
    tell_deadlines(context, arguments, "httl", |at_ms| at_ms.saturating_sub(now_ms).div_ceil(1000))
}

fn hpttl(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let now_ms = context.now_ms;
    tell_deadlines(context, arguments, "hpttl", |at_ms| at_ms.saturating_sub(now_ms))
}

fn hexpiretime(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    tell_deadlines(context, arguments, "hexpiretime", |at_ms| at_ms.div_ceil(1000))
}

fn hpexpiretime(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    tell_deadlines(context, arguments, "hpexpiretime", |at_ms| at_ms)
}

fn tell_deadlines(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    command: &'static str,
    form: impl Fn(Millis) -> Millis,
) -> Result {
    let hash = context.keyspace.read_hash(context.database, arguments[0])?;
    let fields = fields(&arguments[1..], command, COUNT_NOT_POSITIVE)?;
    context.reply.array(fields.len());
    for field in fields {
        let told = match hash.filter(|hash| hash.contains(field)) {
            None => NO_FIELD,
            Some(hash) => hash.deadline(field).map_or(NO_DEADLINE, |at_ms| form(at_ms) as i64),
        };
        context.reply.integer(told);
    }
    Ok(())
}

fn hpersist(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let key = arguments[0];
    view(context, key)?;
    let fields = fields(&arguments[1..], "hpersist", COUNT_NOT_POSITIVE)?;
    let persist = |hash: &mut Hash, field: &[u8]| match hash.contains(field) {
        false => NO_FIELD,
        true if hash.clear_deadline(field) => 1,
        true => NO_DEADLINE,
    };
    let changes =
        |hash: &View<'_>, field: &[u8]| hash.contains(field) && hash.deadline(field).is_some();
    let told: Vec<i64> = match view(context, key)? {
        None => vec![NO_FIELD; fields.len()],
        Some(hash) if !fields.iter().any(|field| changes(&hash, field)) => {
            let tell = |field: &&[u8]| if hash.contains(field) { NO_DEADLINE } else { NO_FIELD };
            fields.iter().map(tell).collect()
        }
        Some(_) => {
            let apply = |hash: &mut Hash| fields.iter().map(|field| persist(hash, field)).collect();
            let told = context.keyspace.change_hash(context.database, key, apply)?;
            context.notify(EventClasses::HASH, "hpersist", key);
            told.unwrap_or_default()
        }
    };
    write_integers(context, &told);
    Ok(())
}

/// What HGETEX does to the fields that it reads.
#[derive(Clone, Copy)]
enum Touch {
    Nothing,
    Persist,
    Expire(Expiry),
}

impl Touch {
    fn changes(self, hash: &View<'_>, field: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Persist => hash.contains(field) && hash.deadline(field).is_some(),
            Self::Expire(_) => hash.contains(field),
        }
    }

    fn apply(self, hash: &mut Hash, field: &[u8]) {
        match self {
            Self::Nothing => {}
            Self::Persist => {
                hash.clear_deadline(field);
            }
            Self::Expire(expiry) => {
                expiry.apply(hash, field);
            }
        }
    }
}

fn hgetex(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let key = arguments[0];
    view(context, key)?;
    let (touch, words) = match (TimeForm::of_option(arguments[1]), &arguments[2..]) {
        (Some(form), [time, words @ ..]) => {
            let at_ms = deadline(form, time, context.now_ms, "hgetex")?;
            let clock_ms = context.keyspace.clock_ms();
            (Touch::Expire(Expiry { condition: Condition::Always, at_ms, clock_ms }), words)
        }
        (None, words) if is_word(arguments[1], "PERSIST") => (Touch::Persist, words),
        _ => (Touch::Nothing, &arguments[1..]),
    };
    let fields = fields(words, "hgetex", COUNT_NOT_POSITIVE)?;
    // A field that is named twice, and removed by the first, is not there for the second.
    read_and(context, key, fields, touch, |hash, field| touch.apply(hash, field))
}

fn hgetdel(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let key = arguments[0];
    view(context, key)?;
    let fields = fields(&arguments[1..], "hgetdel", COUNT_NOT_POSITIVE)?;
    let clock_ms = context.keyspace.clock_ms();
    let always = Expiry { condition: Condition::Always, at_ms: 0, clock_ms };
    read_and(context, key, fields, Touch::Expire(always), |hash, field| {
        hash.remove(field);
    })
}

/// Answers the values of the fields, each of which `change` changes after it was read; nothing is
/// changed if `touch` changes none.
fn read_and(
    context: &mut Context<'_>,
    key: &[u8],
    fields: &[&[u8]],
    touch: Touch,
    change: impl Fn(&mut Hash, &[u8]),
) -> Result {
    let Context { keyspace, database, reply, .. } = &mut *context;
    reply.array(fields.len());
    let mut write = |value: Option<&[u8]>| match value {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    };
    let hash = keyspace.read_hash(*database, key)?;
    match hash.filter(|hash| fields.iter().any(|field| touch.changes(hash, field))) {
        None => {
            fields.iter().for_each(|field| write(hash.and_then(|hash| hash.get(field))));
        }
        Some(_) => {
            keyspace.change_hash(*database, key, |hash| {
                for field in fields {
                    write(hash.get(field));
                    change(hash, field);
                }
            })?;
            match touch {
                Touch::Nothing => {}
                Touch::Persist => context.notify(EventClasses::HASH, "hpersist", key),
                Touch::Expire(expiry) => expiry.notify(context, key),
            }
        }
    }
    Ok(())
}

/// What becomes of the deadlines of the fields that HSETEX sets.
#[derive(Clone, Copy)]
enum Fate {
    Clear,
    Keep,
    At(Millis),
}

/// When HSETEX applies.
#[derive(Clone, Copy)]
enum SetCondition {
    Always,
    /// No field is there.
    IfNone,
    /// All fields are there.
    IfAll,
}

struct SetOptions<'a, 'b> {
    fate: Fate,
    condition: SetCondition,
    /// Fields and values in turn.
    pairs: &'a [&'b [u8]],
}

impl<'a, 'b> SetOptions<'a, 'b> {
    fn parse(arguments: &'a [&'b [u8]], now_ms: Millis) -> Result<Self> {
        let arity = || CommandError::Arity("hsetex".into());
        let (mut fate, mut condition) = (None, None);
        let mut words = &arguments[1..];
        while let [word, rest @ ..] = words {
            words = rest;
            if is_word(word, "FIELDS") {
                let [count, pairs @ ..] = rest else { return Err(arity()) };
                if pairs.is_empty() {
                    return Err(arity());
                }
                let pairs = Self::pairs(count, pairs)?;
                let fate = fate.unwrap_or(Fate::Clear);
                let condition = condition.unwrap_or(SetCondition::Always);
                return Ok(Self { fate, condition, pairs });
            }
            let form = TimeForm::of_option(word);
            if form.is_some() || is_word(word, "KEEPTTL") {
                if fate.is_some() {
                    return Err(CommandError::text(
                        "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
                    ));
                }
                fate = Some(Fate::Keep);
                if let Some(form) = form {
                    let [time, rest @ ..] = rest else {
                        return Err(CommandError::text("ERR missing expire time"));
                    };
                    fate = Some(Fate::At(deadline(form, time, now_ms, "hsetex")?));
                    words = rest;
                }
            } else if is_word(word, "FNX") || is_word(word, "FXX") {
                if condition.is_some() {
                    return Err(CommandError::text(
                        "ERR Only one of FXX or FNX arguments can be specified",
                    ));
                }
                let is_none = is_word(word, "FNX");
                let all_or_none = if is_none { SetCondition::IfNone } else { SetCondition::IfAll };
                condition = Some(all_or_none);
            } else {
                let word = String::from_utf8_lossy(word);
                return Err(CommandError::Text(format!("ERR unknown argument: {word}").into()));
            }
        }
        Err(arity())
    }

    /// Checks that there are as many fields, each with its value, as `count` tells.
    fn pairs(count: &[u8], pairs: &'a [&'b [u8]]) -> Result<&'a [&'b [u8]]> {
        let count = parse_integer(count).and_then(|count| i32::try_from(count).ok());
        let count = count.filter(|count| *count > 0);
        let count = count.ok_or(CommandError::text("ERR invalid number of fields"))?;
        if !pairs.len().is_multiple_of(2) || usize::try_from(count) != Ok(pairs.len() / 2) {
            return Err(CommandError::Arity("hsetex".into()));
        }
        Ok(pairs)
    }
}

fn hsetex(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let SetOptions { fate, condition, pairs } = SetOptions::parse(arguments, context.now_ms)?;
    let hash = view(context, arguments[0])?;
    let is_there = |pair: &[&[u8]]| hash.is_some_and(|hash| hash.contains(pair[0]));
    let applies = match condition {
        SetCondition::Always => true,
        SetCondition::IfNone => !pairs.chunks_exact(2).any(is_there),
        SetCondition::IfAll => pairs.chunks_exact(2).all(is_there),
    };
    if applies {
        let clock_ms = context.keyspace.clock_ms();
        context.keyspace.change_or_create_hash(context.database, arguments[0], |hash| {
            for pair in pairs.chunks_exact(2) {
                match fate {
                    Fate::Clear => {
                        hash.set(pair[0], pair[1]);
                    }
                    Fate::Keep => {
                        hash.set_value(pair[0], pair[1]);
                    }
                    Fate::At(at_ms) => {
                        hash.set_value(pair[0], pair[1]);
                        let condition = Condition::Always;
                        Expiry { condition, at_ms, clock_ms }.apply(hash, pair[0]);
                    }
                }
            }
        })?;
        context.notify(EventClasses::HASH, "hset", arguments[0]);
        if let Fate::At(at_ms) = fate {
            let condition = Condition::Always;
            Expiry { condition, at_ms, clock_ms }.notify(context, arguments[0]);
        }
    }
    context.reply.integer(applies.into());
    Ok(())
}

const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const GROW_FAST: Flags = WRITE_FAST.union(Flags::DENYOOM);

const fn command(
    name: &'static str,
    arity: i16,
    flags: Flags,
    handler: super::EngineHandler,
    since: &'static str,
    summary: &'static str,
) -> CommandSpec {
    let docs = Docs::new("hash", since, "O(N) where N is the number of fields given.", summary);
    CommandSpec::engine(name, arity, flags, Keys::FIRST, handler, docs)
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    command("hexpire", -6, GROW_FAST, hexpire, "7.4.0",
        "Sets in how many seconds fields expire."),
    command("hexpireat", -6, GROW_FAST, hexpireat, "7.4.0",
        "Sets at which Unix time in seconds fields expire."),
    command("hexpiretime", -5, READ_FAST, hexpiretime, "7.4.0",
        "Tells at which Unix time in seconds fields expire."),
    command("hgetdel", -5, WRITE_FAST, hgetdel, "8.0.0",
        "Reads the values of fields and removes these."),
    command("hgetex", -5, WRITE_FAST, hgetex, "8.0.0",
        "Reads the values of fields and sets when these expire."),
    command("hpersist", -5, WRITE_FAST, hpersist, "7.4.0", "Makes fields stay that would expire."),
    command("hpexpire", -6, GROW_FAST, hpexpire, "7.4.0",
        "Sets in how many milliseconds fields expire."),
    command("hpexpireat", -6, GROW_FAST, hpexpireat, "7.4.0",
        "Sets at which Unix time in milliseconds fields expire."),
    command("hpexpiretime", -5, READ_FAST, hpexpiretime, "7.4.0",
        "Tells at which Unix time in milliseconds fields expire."),
    command("hpttl", -5, READ_FAST, hpttl, "7.4.0",
        "Tells in how many milliseconds fields expire."),
    command("hsetex", -6, GROW_FAST, hsetex, "8.0.0",
        "Sets fields, and when these expire."),
    command("httl", -5, READ_FAST, httl, "7.4.0", "Tells in how many seconds fields expire."),
];

#[cfg(test)]
mod tests;
