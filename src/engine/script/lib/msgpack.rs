//! `cmsgpack`: MessagePack, as of lua-cmsgpack 0.4.

use std::rc::Rc;

use mlua::{IntoLua, Lua, Table, Value, Variadic};
use rmp::Marker;
use rmp::encode::{self, ByteBuf};

use super::call::{Args, Front, RESULTS_MAX, set};
use super::keys::{Key, keys};
use super::meter::{Meter, is_too_long};
use crate::limits::SCRIPT_NESTING_MAX;

/// Tables nested deeper than this are packed as nil.
const NESTING_MAX: usize = 16;

/// Slots of the stack that a function of Lua 5.1 may use, its arguments and results among them.
const STACK_SLOTS: usize = 8000;

const TOO_MANY_RESULTS: &str = "stack overflow (too many return values at once; \
     use unpack_one or unpack_limit instead.)";
const TOO_DEEP_ARRAY: &str = "stack overflow (in function mp_decode_to_lua_array)";

/// Why a value is not packed.
enum Failure {
    TooLong,
    Lua(mlua::Error),
}

impl From<mlua::Error> for Failure {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

/// A write into memory.
fn written<T>(result: Result<T, impl std::fmt::Debug>) -> T {
    result.expect("invariant: a write into memory does not fail")
}

struct Packer<'a> {
    out: ByteBuf,
    meter: Meter<'a>,
}

impl Packer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Failure> {
        let before = self.out.as_slice().len();
        match value {
            Value::String(text) => {
                let text = text.as_bytes();
                if is_too_long(before + text.len()) {
                    return Err(Failure::TooLong);
                }
                self.string(&text);
            }
            Value::Boolean(is_true) => written(encode::write_bool(&mut self.out, *is_true)),
            Value::Integer(number) => self.number(*number as f64),
            Value::Number(number) => self.number(*number),
            Value::Table(table) if depth < NESTING_MAX => return self.table(table, depth + 1),
            _ => written(encode::write_nil(&mut self.out)),
        }
        let length = self.out.as_slice().len();
        self.meter.value(length - before)?;
        if is_too_long(length) { Err(Failure::TooLong) } else { Ok(()) }
    }

    fn string(&mut self, text: &[u8]) {
        // No longer than SCRIPT_TEXT_BYTES_MAX.
        written(encode::write_str_len(&mut self.out, text.len() as u32));
        self.out.as_mut_vec().extend_from_slice(text);
    }

    fn number(&mut self, number: f64) {
        // The limits of integers are exact as doubles, the upper one excluded.
        let is_integer = number.trunc() == number && is_i64(number);
        if is_integer {
            written(encode::write_sint(&mut self.out, number as i64));
        } else if f64::from(number as f32) == number {
            written(encode::write_f32(&mut self.out, number as f32));
        } else {
            written(encode::write_f64(&mut self.out, number));
        }
    }

    fn table(&mut self, table: &Table, depth: usize) -> Result<(), Failure> {
        let found = keys(table)?;
        self.meter.value(0)?;
        let is_array = found.others == 0
            && found.ordered.iter().zip(1..).all(|(key, index)| *key == Key::Number(index as f64));
        if is_array {
            written(encode::write_array_len(&mut self.out, found.ordered.len() as u32));
            for index in 1..=found.ordered.len() {
                self.value(&table.raw_get(index)?, depth)?;
            }
            return Ok(());
        }
        let length = found.ordered.len() + found.others;
        written(encode::write_map_len(&mut self.out, length as u32));
        for key in &found.ordered {
            self.key(key, depth)?;
            self.value(&table.raw_get(key)?, depth)?;
        }
        if found.others > 0 { self.others(table, depth) } else { Ok(()) }
    }

    fn key(&mut self, key: &Key, depth: usize) -> Result<(), Failure> {
        match key {
            Key::Number(number) => self.value(&Value::Number(*number), depth),
            Key::Boolean(is_true) => self.value(&Value::Boolean(*is_true), depth),
            Key::String(text) => {
                self.meter.value(text.len())?;
                self.string(text);
                Ok(())
            }
        }
    }

    /// Packs the keys that have no order of their own in the order of the bytes that they and their
    /// values are packed as.
    fn others(&mut self, table: &Table, depth: usize) -> Result<(), Failure> {
        let start = self.out.as_slice().len();
        let mut pairs: Vec<Vec<u8>> = Vec::new();
        let mut failure = None;
        table.for_each(|key: Value, value: Value| {
            let is_other = !matches!(
                key,
                Value::Integer(_) | Value::Number(_) | Value::Boolean(_) | Value::String(_)
            );
            if is_other && failure.is_none() {
                let begin = self.out.as_slice().len();
                let packed = self.value(&key, depth).and_then(|()| self.value(&value, depth));
                failure = packed.err();
                pairs.push(self.out.as_slice()[begin..].to_vec());
            }
            Ok(())
        })?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        pairs.sort_unstable();
        let out = self.out.as_mut_vec();
        out.truncate(start);
        out.extend(pairs.into_iter().flatten());
        Ok(())
    }
}

fn is_i64(number: f64) -> bool {
    (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number)
}

fn pack(args: &Args<'_>) -> mlua::Result<mlua::String> {
    let lua = args.lua();
    if args.count() == 0 {
        return Err(args.bad_argument(0, "MessagePack pack needs input."));
    }
    if 2 * args.count() > STACK_SLOTS {
        return Err(args.bad_argument(0, "Too many arguments for MessagePack pack."));
    }
    let mut packer = Packer { out: ByteBuf::new(), meter: Meter::new(lua) };
    for number in 1..=args.count() {
        match packer.value(&args.value(number)?, 0) {
            Ok(()) => {}
            Err(Failure::TooLong) => return Err(args.fail(super::meter::TOO_LONG)),
            Err(Failure::Lua(error)) => return Err(error),
        }
    }
    packer.meter.finish()?;
    lua.create_string(packer.out.as_slice())
}

/// Why bytes are not unpacked.
enum Unreadable {
    Missing,
    BadFormat,
    TooDeep(&'static str),
    NilKey,
    NanKey,
    Lua(mlua::Error),
}

impl From<mlua::Error> for Unreadable {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

impl Unreadable {
    fn raise(self, args: &Args<'_>) -> mlua::Error {
        match self {
            Self::Missing => args.fail("Missing bytes in input."),
            Self::BadFormat => args.fail("Bad data format in input."),
            Self::TooDeep(text) => args.fail(text),
            Self::NilKey => args.fail_in_vm("table index is nil"),
            Self::NanKey => args.fail_in_vm("table index is NaN"),
            Self::Lua(error) => error,
        }
    }
}

/// One thing that is read: a value, or the head of what is nested.
enum Token<'a> {
    Nil,
    Boolean(bool),
    Number(f64),
    String(&'a [u8]),
    Array(u32),
    Map(u32),
}

/// A table that is being filled.
struct Level {
    table: Table,
    /// Values of an array, or keys and values of a map, that are still to come.
    missing: u64,
    /// Of an array, the last index that is set.
    index: usize,
    is_map: bool,
    key: Option<Value>,
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    meter: Meter<'a>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Unreadable::Missing)?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, bytes: usize) -> Result<u64, Unreadable> {
        let taken = self.take(bytes)?;
        Ok(taken.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn integer(&mut self, bytes: u32) -> Result<Token<'a>, Unreadable> {
        let unused = 64 - 8 * bytes;
        let number = self.unsigned(bytes as usize)?;
        Ok(Token::Number(((number << unused) as i64 >> unused) as f64))
    }

    fn string(&mut self, length_bytes: usize) -> Result<Token<'a>, Unreadable> {
        // Nothing is taken of an incomplete one; the error is the same.
        let length = self.unsigned(length_bytes)? as usize;
        self.take(length).map(Token::String)
    }

    fn token(&mut self) -> Result<Token<'a>, Unreadable> {
        let marker = Marker::from_u8(self.unsigned(1)? as u8);
        match marker {
            Marker::FixPos(number) => Ok(Token::Number(f64::from(number))),
            Marker::FixNeg(number) => Ok(Token::Number(f64::from(number))),
            Marker::Null => Ok(Token::Nil),
            Marker::False => Ok(Token::Boolean(false)),
            Marker::True => Ok(Token::Boolean(true)),
            Marker::U8 => self.unsigned(1).map(|number| Token::Number(number as f64)),
            Marker::U16 => self.unsigned(2).map(|number| Token::Number(number as f64)),
            Marker::U32 => self.unsigned(4).map(|number| Token::Number(number as f64)),
            // The upper half of the unsigned numbers of 64 bits is seen as negative.
            Marker::U64 | Marker::I64 => self.integer(8),
            Marker::I8 => self.integer(1),
            Marker::I16 => self.integer(2),
            Marker::I32 => self.integer(4),
            Marker::F32 => {
                let bits = self.unsigned(4)? as u32;
                Ok(Token::Number(f64::from(f32::from_bits(bits))))
            }
            Marker::F64 => self.unsigned(8).map(|bits| Token::Number(f64::from_bits(bits))),
            Marker::FixStr(length) => self.take(usize::from(length)).map(Token::String),
            Marker::Str8 => self.string(1),
            Marker::Str16 => self.string(2),
            Marker::Str32 => self.string(4),
            Marker::FixArray(length) => Ok(Token::Array(u32::from(length))),
            Marker::Array16 => self.unsigned(2).map(|length| Token::Array(length as u32)),
            Marker::Array32 => self.unsigned(4).map(|length| Token::Array(length as u32)),
            Marker::FixMap(length) => Ok(Token::Map(u32::from(length))),
            Marker::Map16 => self.unsigned(2).map(|length| Token::Map(length as u32)),
            Marker::Map32 => self.unsigned(4).map(|length| Token::Map(length as u32)),
            // Binary data, extensions and what is reserved are no values of the library.
            _ => Err(Unreadable::BadFormat),
        }
    }

    /// Reads one value with all that is nested in it.
    fn value(&mut self) -> Result<Value, Unreadable> {
        let mut levels: Vec<Level> = Vec::new();
        loop {
            let token = self.token()?;
            self.meter.value(0)?;
            let mut value = match token {
                Token::Nil => Value::Nil,
                Token::Boolean(is_true) => Value::Boolean(is_true),
                Token::Number(number) => Value::Number(number),
                Token::String(text) => Value::String(self.lua.create_string(text)?),
                Token::Array(length) => {
                    levels.push(self.level(levels.len(), u64::from(length), false)?);
                    Value::Nil
                }
                Token::Map(length) => {
                    levels.push(self.level(levels.len(), 2 * u64::from(length), true)?);
                    Value::Nil
                }
            };
            let mut is_opened = matches!(token, Token::Array(_) | Token::Map(_));
            // Closes what is full, and puts it where it belongs.
            loop {
                if !is_opened {
                    let Some(level) = levels.last_mut() else { return Ok(value) };
                    level.add(value)?;
                }
                let Some(full) = levels.pop_if(|level| level.missing == 0) else { break };
                value = Value::Table(full.table);
                is_opened = false;
            }
        }
    }

    fn level(&mut self, depth: usize, missing: u64, is_map: bool) -> Result<Level, Unreadable> {
        if depth >= SCRIPT_NESTING_MAX {
            return Err(Unreadable::TooDeep(if is_map {
                TOO_MANY_RESULTS
            } else {
                TOO_DEEP_ARRAY
            }));
        }
        Ok(Level { table: self.lua.create_table()?, missing, index: 0, is_map, key: None })
    }
}

impl Level {
    fn add(&mut self, value: Value) -> Result<(), Unreadable> {
        self.missing -= 1;
        if !self.is_map {
            self.index += 1;
            self.table.raw_set(self.index, value)?;
            return Ok(());
        }
        let Some(key) = self.key.take() else {
            self.key = Some(value);
            return Ok(());
        };
        match key {
            Value::Nil => return Err(Unreadable::NilKey),
            Value::Number(number) if number.is_nan() => return Err(Unreadable::NanKey),
            key => self.table.raw_set(key, value)?,
        }
        Ok(())
    }
}

/// A result of unpacking.
enum Unpacked {
    /// Where the next value begins.
    Next(f64),
    /// What is at an index of the table of all values, which needs one handle for all of them.
    Value { results: Rc<Table>, index: usize },
}

impl IntoLua for Unpacked {
    fn into_lua(self, _: &Lua) -> mlua::Result<Value> {
        match self {
            Self::Next(offset) => Ok(Value::Number(offset)),
            Self::Value { results, index } => results.raw_get(index),
        }
    }
}

fn unpack(args: &Args<'_>, limit: i64, offset: i64) -> mlua::Result<Variadic<Unpacked>> {
    let lua = args.lua();
    let input = args.string(1)?;
    let input = input.as_bytes();
    let (limit, offset) = (limit as i32, offset as i32);
    let takes_all = limit == 0 && offset == 0;
    if limit < 0 || offset < 0 {
        let length = input.len();
        return Err(args.fail(format!(
            "Invalid request to unpack with offset of {offset} and limit of {length}."
        )));
    }
    let Some(rest) = input.get(offset as usize..) else {
        return Err(
            args.fail(format!("Start offset {offset} greater than input length {}.", input.len()))
        );
    };
    let limit = if takes_all { usize::MAX } else { limit as usize };
    let mut reader = Reader { lua, rest, meter: Meter::new(lua) };
    let results = Rc::new(lua.create_table()?);
    let mut count = 0;
    while !reader.rest.is_empty() && count < limit {
        if count >= RESULTS_MAX {
            return Err(args.fail(TOO_MANY_RESULTS));
        }
        let value = reader.value().map_err(|unreadable| unreadable.raise(args))?;
        count += 1;
        results.raw_set(count, value)?;
    }
    let next = match reader.rest.len() {
        _ if takes_all => None,
        0 => Some(-1.0),
        left => Some((input.len() - left) as f64),
    };
    reader.meter.finish()?;
    let next = next.map(Unpacked::Next);
    let values = (1..=count).map(|index| Unpacked::Value { results: results.clone(), index });
    Ok(next.into_iter().chain(values).collect())
}

/// Sets the global `cmsgpack`.
pub fn open(lua: &Lua, front: &Front) -> mlua::Result<()> {
    let library = lua.create_table()?;
    library.raw_set("_NAME", "cmsgpack")?;
    library.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    library.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    library.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    front.set(lua, &library, "pack", pack)?;
    set(lua, &library, "unpack", |args| unpack(args, 0, 0))?;
    set(lua, &library, "unpack_one", |args| unpack(args, 1, args.integer_or(2, 0)?))?;
    set(lua, &library, "unpack_limit", |args| {
        let limit = args.integer(2)?;
        unpack(args, limit, args.integer_or(3, 0)?)
    })?;
    lua.globals().raw_set("cmsgpack", library)
}
