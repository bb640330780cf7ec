//! Strings as rows of bits: SETBIT and all that counts, searches, combines or packs them.

use super::options::is_word;
use super::string::VALUE_LEN_MAX;
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::keyspace::{Deadline, Keyspace};
use crate::engine::notifications::EventClasses;
use crate::engine::number::{integer, parse_integer};
use crate::engine::types::bitmap::{self, Field, Operation, Overflow};
use crate::engine::types::string::{Digits, StringValue};
use crate::engine::value::Value;

/// As many bits as the longest string has.
const BITS_MAX: u64 = VALUE_LEN_MAX as u64 * 8;

const BAD_OFFSET: CommandError =
    CommandError::text("ERR bit offset is not an integer or out of range");
const BAD_BIT: CommandError = CommandError::text("ERR bit is not an integer or out of range");
const BAD_FIELD: CommandError = CommandError::text(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 \
     is.",
);

type Result<T = ()> = std::result::Result<T, CommandError>;

/// The position of a bit that a string may have.
fn bit_offset(argument: &[u8]) -> Result<u64> {
    let offset = parse_integer(argument).and_then(|offset| u64::try_from(offset).ok());
    offset.filter(|&offset| offset < BITS_MAX).ok_or(BAD_OFFSET)
}

fn setbit(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let offset = bit_offset(arguments[1])?;
    let on = match parse_integer(arguments[2]) {
        Some(bit @ 0..=1) => bit == 1,
        _ => return Err(BAD_BIT),
    };
    let key = arguments[0];
    let value = context.keyspace.change_or_create_quietly::<StringValue>(context.database, key)?;
    let len = value.len();
    let was = bitmap::set(value.extend_to((offset / 8) as usize + 1), offset, on);
    if was != on || value.len() > len {
        notify_bits(context, key);
    }
    context.reply.integer(was.into());
    Ok(())
}

/// Tells whoever is interested that bits of a string are others.
fn notify_bits(context: &mut Context<'_>, key: &[u8]) {
    context.keyspace.tell(context.database, key);
    context.notify(EventClasses::STRING, "setbit", key);
}

fn getbit(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let offset = bit_offset(arguments[1])?;
    let value = context.keyspace.read::<StringValue>(context.database, arguments[0])?;
    let mut digits = Digits::default();
    let bytes = value.map_or(&b""[..], |value| value.as_bytes(&mut digits));
    context.reply.integer(bitmap::get(bytes, offset).into());
    Ok(())
}

/// In what the ends of a range are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(argument: &[u8]) -> Result<Self> {
        if is_word(argument, "BIT") {
            Ok(Self::Bit)
        } else if is_word(argument, "BYTE") {
            Ok(Self::Byte)
        } else {
            Err(CommandError::Syntax)
        }
    }

    /// The bits from `start` to `end`, both included and counted from the end when negative, of a
    /// string of `len` bytes.
    fn bits(self, start: i64, end: i64, len: usize) -> std::ops::Range<u64> {
        let bits_each = if self == Self::Bit { 1 } else { 8 };
        let len = (len * 8) as i64 / bits_each;
        let from_start = |position: i64| if position < 0 { position + len } else { position };
        let start = from_start(start).max(0);
        let end = from_start(end).max(0).min(len - 1);
        if start > end {
            return 0..0;
        }
        (start * bits_each) as u64..((end + 1) * bits_each) as u64
    }
}

fn bitcount(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let range = match &arguments[1..] {
        [] => None,
        [start, end, unit @ ..] if unit.len() <= 1 => {
            let (start, end) = (integer(start)?, integer(end)?);
            let unit = unit.first().map_or(Ok(Unit::Byte), |unit| Unit::parse(unit))?;
            Some((start, end, unit))
        }
        _ => return Err(CommandError::Syntax),
    };
    let value = context.keyspace.read::<StringValue>(context.database, arguments[0])?;
    let mut digits = Digits::default();
    let bytes = value.map_or(&b""[..], |value| value.as_bytes(&mut digits));
    let bits = match range {
        None => 0..bytes.len() as u64 * 8,
        // Counted from the end, in the wrong order: empty, though both may lie before the start.
        Some((start, end, _)) if start < 0 && end < 0 && start > end => 0..0,
        Some((start, end, unit)) => unit.bits(start, end, bytes.len()),
    };
    context.reply.integer(bitmap::count(bytes, bits) as i64);
    Ok(())
}

fn bitpos(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let on = match integer(arguments[1])? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::text("ERR The bit argument must be 1 or 0.")),
    };
    let (start, end, unit) = match &arguments[2..] {
        [] => (0, None, Unit::Byte),
        [start] => (integer(start)?, None, Unit::Byte),
        [start, end] => (integer(start)?, Some(integer(end)?), Unit::Byte),
        [start, end, unit] => {
            let (start, unit) = (integer(start)?, Unit::parse(unit)?);
            (start, Some(integer(end)?), unit)
        }
        _ => return Err(CommandError::Syntax),
    };
    let Some(value) = context.keyspace.read::<StringValue>(context.database, arguments[0])? else {
        context.reply.integer(if on { -1 } else { 0 });
        return Ok(());
    };
    let mut digits = Digits::default();
    let bytes = value.as_bytes(&mut digits);
    let bits = unit.bits(start, end.unwrap_or(-1), bytes.len());
    let position = match bitmap::find(bytes, bits.clone(), on) {
        Some(position) => position as i64,
        // Without an end, zeros follow the string.
        None if !on && end.is_none() && !bits.is_empty() => bits.end as i64,
        None => -1,
    };
    context.reply.integer(position);
    Ok(())
}

fn bitop(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (target, sources) = (arguments[1], &arguments[2..]);
    let operation = match arguments[0].to_ascii_lowercase().as_slice() {
        b"and" => Some(Operation::And),
        b"or" => Some(Operation::Or),
        b"xor" => Some(Operation::Xor),
        b"not" if sources.len() == 1 => None,
        b"not" => {
            let text = "ERR BITOP NOT must be called with a single source key.";
            return Err(CommandError::text(text));
        }
        _ => return Err(CommandError::Syntax),
    };
    let result = combine(context.keyspace, context.database, operation, sources)?;
    context.reply.count(result.len());
    if result.is_empty() {
        if context.keyspace.remove(context.database, target) {
            context.notify(EventClasses::GENERIC, "del", target);
        }
    } else {
        let value = Value::String(StringValue::from_vec(result));
        context.keyspace.store(context.database, target, value, Deadline::Clear);
        context.notify(EventClasses::STRING, "set", target);
    }
    Ok(())
}

/// The sources joined by an operation, or the opposite of the first one; as long as the longest.
fn combine(
    keyspace: &Keyspace,
    database: u8,
    operation: Option<Operation>,
    sources: &[&[u8]],
) -> Result<Vec<u8>> {
    let values = sources
        .iter()
        .map(|key| keyspace.read::<StringValue>(database, key))
        .collect::<Result<Vec<_>>>()?;
    let len = values.iter().flatten().map(|value| value.len()).max().unwrap_or(0);
    let mut result = vec![0; len];
    for (position, value) in values.into_iter().enumerate() {
        let mut digits = Digits::default();
        let bytes = value.map_or(&b""[..], |value| value.as_bytes(&mut digits));
        match operation {
            Some(operation) if position > 0 => operation.join(&mut result, bytes),
            _ => result[..bytes.len()].copy_from_slice(bytes),
        }
    }
    if operation.is_none() {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(result)
}

/// One step of BITFIELD.
#[derive(Clone, Copy)]
struct Step {
    action: Action,
    field: Field,
    offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

impl Step {
    fn parse_all(mut words: &[&[u8]]) -> Result<Vec<Self>> {
        let mut overflow = Overflow::Wrap;
        let mut steps = Vec::new();
        while let Some((word, rest)) = words.split_first() {
            match rest {
                [field, offset, rest @ ..] if is_word(word, "GET") => {
                    steps.push(Self::parse(field, offset, Action::Get)?);
                    words = rest;
                }
                [field, offset, number, rest @ ..]
                    if is_word(word, "SET") || is_word(word, "INCRBY") =>
                {
                    let mut step = Self::parse(field, offset, Action::Get)?;
                    let number = integer(number)?;
                    step.action = match is_word(word, "SET") {
                        true => Action::Set(number, overflow),
                        false => Action::Add(number, overflow),
                    };
                    steps.push(step);
                    words = rest;
                }
                [kind, rest @ ..] if is_word(word, "OVERFLOW") => {
                    overflow = parse_overflow(kind)?;
                    words = rest;
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(steps)
    }

    fn parse(field: &[u8], offset: &[u8], action: Action) -> Result<Self> {
        let field = parse_field(field).ok_or(BAD_FIELD)?;
        let offset = match offset.strip_prefix(b"#") {
            // Counted in fields of this width.
            Some(index) => parse_integer(index)
                .and_then(|index| u64::try_from(index).ok()?.checked_mul(field.width().into()))
                .filter(|&offset| offset < BITS_MAX)
                .ok_or(BAD_OFFSET)?,
            None => bit_offset(offset)?,
        };
        Ok(Self { action, field, offset })
    }

    /// The first bit behind the field.
    fn end(&self) -> u64 {
        self.offset + u64::from(self.field.width())
    }

    fn old(&self, bytes: &[u8]) -> i64 {
        self.field.read(bytes, self.offset)
    }

    /// Changes `bytes`, where the action is to; returns what is answered, `None` when there was no
    /// room. Precondition: the field lies within `bytes`, unless it is only read.
    fn run(&self, bytes: &mut [u8]) -> Option<i64> {
        let old = self.old(bytes);
        let (wanted, overflow) = match self.action {
            Action::Get => return Some(old),
            Action::Set(number, overflow) => (self.field.number(number), overflow),
            Action::Add(number, overflow) => (i128::from(old) + i128::from(number), overflow),
        };
        let new = self.field.fit(wanted, overflow)?;
        self.field.write(bytes, self.offset, new);
        Some(if matches!(self.action, Action::Set(..)) { old } else { new })
    }
}

/// As in `u8` or `i64`.
fn parse_field(argument: &[u8]) -> Option<Field> {
    let (signed, width) = match argument {
        [b'i', width @ ..] => (true, width),
        [b'u', width @ ..] => (false, width),
        _ => return None,
    };
    Field::new(signed, parse_integer(width)?)
}

fn parse_overflow(argument: &[u8]) -> Result<Overflow> {
    match argument.to_ascii_lowercase().as_slice() {
        b"wrap" => Ok(Overflow::Wrap),
        b"sat" => Ok(Overflow::Saturate),
        b"fail" => Ok(Overflow::Fail),
        _ => Err(CommandError::text("ERR Invalid OVERFLOW type specified")),
    }
}

fn bitfield(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let steps = Step::parse_all(&arguments[1..])?;
    let writes = steps.iter().filter(|step| step.action != Action::Get);
    let Some(end) = writes.map(Step::end).max() else {
        return read_fields(context, arguments[0], &steps);
    };
    // A field may begin within the longest string and end beyond it.
    if end > BITS_MAX {
        return Err(BAD_OFFSET);
    }
    let key = arguments[0];
    let value = context.keyspace.change_or_create_quietly::<StringValue>(context.database, key)?;
    let len = value.len();
    let bytes = value.extend_to(end.div_ceil(8) as usize);
    let is_longer = bytes.len() > len;
    let mut is_changed = false;
    context.reply.array(steps.len());
    for step in steps {
        let old = step.old(bytes);
        let result = step.run(bytes);
        match result {
            Some(number) => context.reply.integer(number),
            None => context.reply.null(),
        }
        let has_written = step.action != Action::Get && result.is_some();
        is_changed |= step.old(bytes) != old || is_longer && has_written;
    }
    if is_changed {
        notify_bits(context, key);
    } else if is_longer {
        context.keyspace.tell(context.database, key);
    }
    Ok(())
}

fn bitfield_ro(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let steps = Step::parse_all(&arguments[1..])?;
    if steps.iter().any(|step| step.action != Action::Get) {
        return Err(CommandError::text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read_fields(context, arguments[0], &steps)
}

fn read_fields(context: &mut Context<'_>, key: &[u8], steps: &[Step]) -> Result {
    let value = context.keyspace.read::<StringValue>(context.database, key)?;
    let mut digits = Digits::default();
    let bytes = value.map_or(&b""[..], |value| value.as_bytes(&mut digits));
    context.reply.array(steps.len());
    steps.iter().for_each(|step| context.reply.integer(step.old(bytes)));
    Ok(())
}

const READ_FAST: Flags = Flags::of(&[Flags::READONLY, Flags::FAST]);
const GROW: Flags = Flags::of(&[Flags::WRITE, Flags::DENYOOM]);

/// The operation comes before the keys.
const AFTER_OPERATION: Keys = Keys { first: 2, last: -1, step: 1 };

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("bitmap", since, complexity, summary)
}

const PER_BYTE: &str = "O(N) where N is the number of bytes looked at.";
const PER_STEP: &str = "O(1) for each field.";

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("bitcount", -2, Flags::READONLY, Keys::FIRST, bitcount,
        docs("2.6.0", PER_BYTE, "Counts the bits that are set in a string or a part of it.")),
    CommandSpec::engine("bitfield", -2, GROW, Keys::FIRST, bitfield,
        docs("3.2.0", PER_STEP, "Reads and changes integers of any width within a string.")),
    CommandSpec::engine("bitfield_ro", -2, READ_FAST, Keys::FIRST, bitfield_ro,
        docs("6.0.0", PER_STEP, "Reads integers of any width within a string.")),
    CommandSpec::engine("bitop", -4, GROW, AFTER_OPERATION, bitop,
        docs("2.6.0", "O(N) where N is the number of bytes of all strings.",
            "Combines strings bit by bit and stores what comes of it.")),
    CommandSpec::engine("bitpos", -3, Flags::READONLY, Keys::FIRST, bitpos,
        docs("2.8.7", PER_BYTE, "Finds the first bit that is set, or is not, in a string.")),
    CommandSpec::engine("getbit", 3, READ_FAST, Keys::FIRST, getbit,
        docs("2.2.0", "O(1)", "Reads one bit of a string.")),
    CommandSpec::engine("setbit", 4, GROW, Keys::FIRST, setbit,
        docs("2.2.0", "O(1)", "Gives one bit of a string its value, after zeros if it is shorter.")),
];

#[cfg(test)]
mod tests;
