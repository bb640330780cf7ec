//! Lua values as JSON.

use std::sync::atomic::Ordering::Relaxed;
use std::vec;

use mlua::{Table, Value};

use super::super::call::Args;
use super::super::convert;
use super::super::keys::{Key, keys};
use super::super::meter::{self, Meter};
use super::{REFUSED, Settings, WRITTEN_AS_NULL};
use crate::limits::SCRIPT_NESTING_MAX;

/// A table that is being written.
enum Level {
    Array { table: Table, next: i64, length: i64 },
    Object { table: Table, keys: vec::IntoIter<Key>, is_first: bool, other: Option<&'static str> },
}

struct Encoder<'a> {
    args: &'a Args<'a>,
    settings: &'a Settings,
    out: Vec<u8>,
    levels: Vec<Level>,
    meter: Meter<'a>,
}

/// The JSON of `value`.
pub fn encode(args: &Args<'_>, settings: &Settings, value: Value) -> mlua::Result<mlua::String> {
    let (out, levels, meter) = (Vec::new(), Vec::new(), Meter::new(args.lua()));
    let mut encoder = Encoder { args, settings, out, levels, meter };
    encoder.value(&value)?;
    while let Some(level) = encoder.levels.pop() {
        encoder.step(level)?;
    }
    encoder.meter.finish()?;
    args.lua().create_string(encoder.out)
}

impl Encoder<'_> {
    fn fail(&self, text: impl AsRef<[u8]>) -> mlua::Error {
        self.args.fail(text)
    }

    fn refuse(&self, type_name: &str, why: &str) -> mlua::Error {
        self.fail(format!("Cannot serialise {type_name}: {why}"))
    }

    /// Writes a value, or the head of one that others are nested in.
    fn value(&mut self, value: &Value) -> mlua::Result<()> {
        let before = self.out.len();
        match value {
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Integer(number) => self.number(*number as f64)?,
            Value::Number(number) => self.number(*number)?,
            Value::String(text) => self.string(&text.as_bytes())?,
            Value::Table(table) => self.table(table)?,
            Value::LightUserData(pointer) if pointer.0.is_null() => {
                self.out.extend_from_slice(b"null");
            }
            other => return Err(self.refuse(convert::type_name(other), "type not supported")),
        }
        self.meter.value(self.out.len() - before)?;
        self.check_length(0)
    }

    fn check_length(&self, more: usize) -> mlua::Result<()> {
        if meter::is_too_long(self.out.len() + more) {
            return Err(self.fail(meter::TOO_LONG));
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> mlua::Result<()> {
        let precision = self.settings.encode_number_precision.load(Relaxed) as usize;
        if !number.is_finite() {
            match self.settings.encode_invalid_numbers.load(Relaxed) {
                REFUSED => return Err(self.refuse("number", "must not be NaN or Inf")),
                WRITTEN_AS_NULL => self.out.extend_from_slice(b"null"),
                _ if number.is_nan() => self.out.extend_from_slice(b"nan"),
                _ if number > 0.0 => self.out.extend_from_slice(b"inf"),
                _ => self.out.extend_from_slice(b"-inf"),
            }
            return Ok(());
        }
        // Has at most nine digits; -0 is none.
        let small = number as i32;
        let is_small = precision >= 9 && small.unsigned_abs() < 1_000_000_000;
        if is_small && f64::from(small).to_bits() == number.to_bits() {
            self.out.extend_from_slice(itoa::Buffer::new().format(small).as_bytes());
        } else {
            self.out.extend_from_slice(convert::format_general(number, precision).as_bytes());
        }
        Ok(())
    }

    fn string(&mut self, text: &[u8]) -> mlua::Result<()> {
        self.check_length(text.len())?;
        self.out.push(b'"');
        let mut rest = text;
        while let Some(place) = rest.iter().position(|&byte| is_escaped(byte)) {
            self.out.extend_from_slice(&rest[..place]);
            self.escape(rest[place]);
            rest = &rest[place + 1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
        Ok(())
    }

    fn escape(&mut self, byte: u8) {
        let short = match byte {
            b'"' | b'\\' | b'/' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            _ => {
                self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                return;
            }
        };
        self.out.extend_from_slice(&[b'\\', short]);
    }

    fn table(&mut self, table: &Table) -> mlua::Result<()> {
        let depth = self.levels.len() + 1;
        let max = self.settings.encode_max_depth.load(Relaxed) as usize;
        if depth > max.min(SCRIPT_NESTING_MAX) {
            return Err(self.fail(format!("Cannot serialise, excessive nesting ({depth})")));
        }
        let table = table.clone();
        let length = self.array_length(&table)?;
        self.levels.push(if length > 0 {
            self.out.push(b'[');
            Level::Array { table, next: 1, length }
        } else {
            self.out.push(b'{');
            let found = keys(&table)?;
            let keys = found.ordered.into_iter();
            Level::Object { table, keys, is_first: true, other: found.other_type }
        });
        Ok(())
    }

    /// The highest index if the table is written as an array; not above 0 otherwise.
    fn array_length(&self, table: &Table) -> mlua::Result<i64> {
        let (mut length, mut items, mut is_array) = (0, 0i64, true);
        let walked = table.for_each(|key: Value, _: Value| {
            let index = match key {
                Value::Integer(index) => index as f64,
                Value::Number(index) => index,
                _ => 0.0,
            };
            if index < 1.0 || index.trunc() != index {
                is_array = false;
                // Ends the walk.
                return Err(mlua::Error::StackError);
            }
            // As the library keeps it.
            let index = if index < 2_147_483_648.0 { index as i64 } else { i64::from(i32::MIN) };
            length = index.max(length);
            items += 1;
            Ok(())
        });
        if !is_array {
            return Ok(-1);
        }
        walked?;
        let ratio = i64::from(self.settings.encode_sparse_ratio.load(Relaxed));
        let safe = i64::from(self.settings.encode_sparse_safe.load(Relaxed));
        if ratio > 0 && length > items * ratio && length > safe {
            if !self.settings.encode_sparse_convert.load(Relaxed) {
                return Err(self.refuse("table", "excessively sparse array"));
            }
            return Ok(-1);
        }
        Ok(length)
    }

    /// Writes the next value of a table, or its end.
    fn step(&mut self, level: Level) -> mlua::Result<()> {
        match level {
            Level::Array { next, length, .. } if next > length => self.out.push(b']'),
            Level::Array { table, next, length } => {
                if next > 1 {
                    self.out.push(b',');
                }
                let value = table.raw_get(next)?;
                self.levels.push(Level::Array { table, next: next + 1, length });
                self.value(&value)?;
            }
            Level::Object { table, mut keys, is_first, other } => {
                let Some(key) = keys.next() else {
                    if let Some(other) = other {
                        return Err(self.refuse_key(other));
                    }
                    self.out.push(b'}');
                    return Ok(());
                };
                if !is_first {
                    self.out.push(b',');
                }
                self.key(&key)?;
                let value = table.raw_get(&key)?;
                self.levels.push(Level::Object { table, keys, is_first: false, other });
                self.value(&value)?;
            }
        }
        Ok(())
    }

    fn refuse_key(&self, type_name: &str) -> mlua::Error {
        self.refuse(type_name, "table key must be a number or string")
    }

    fn key(&mut self, key: &Key) -> mlua::Result<()> {
        match key {
            Key::Number(number) => {
                self.out.push(b'"');
                self.number(*number)?;
                self.out.push(b'"');
            }
            Key::Boolean(_) => return Err(self.refuse_key("boolean")),
            Key::String(text) => self.string(text)?,
        }
        self.out.push(b':');
        Ok(())
    }
}

fn is_escaped(byte: u8) -> bool {
    matches!(byte, 0..=0x1f | b'"' | b'\\' | b'/' | 0x7f)
}
