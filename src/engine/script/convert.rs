//! Replies of commands become values of Lua, and values of Lua become replies, as
//! <https://redis.io/docs/latest/develop/programmability/lua-api/#data-type-conversion> says.

use mlua::{Function, Lua, Table, Value};

use super::host::Host;
use crate::engine::number::parse_integer;
use crate::engine::reply::{Protocol, Reply};

/// Deeper tables are no reply.
const DEPTH_MAX: usize = 1000;

/// The value of the first reply in `bytes`, which is taken away from them. Precondition: a
/// [`Reply`] wrote them.
pub fn value_of(lua: &Lua, bytes: &mut &[u8]) -> mlua::Result<Value> {
    let kind = bytes[0];
    let line = line(bytes);
    let number = || parse_integer(line).unwrap_or_default();
    Ok(match kind {
        b':' => Value::Integer(number()),
        b'$' | b'*' if line == b"-1" => Value::Boolean(false),
        b'$' => Value::String(lua.create_string(text(bytes, number() as usize))?),
        b'+' => tagged(lua, "ok", lua.create_string(line)?)?,
        b'-' => tagged(lua, "err", lua.create_string(line)?)?,
        b'*' => {
            let count = number() as usize;
            let table = lua.create_table_with_capacity(count, 0)?;
            for at in 1..=count {
                table.raw_set(at, value_of(lua, bytes)?)?;
            }
            Value::Table(table)
        }
        b'_' => Value::Nil,
        b'#' => Value::Boolean(line == b"t"),
        b',' => {
            let number = std::str::from_utf8(line).ok().and_then(|text| text.parse::<f64>().ok());
            tagged(lua, "double", number.unwrap_or_default())?
        }
        b'(' => tagged(lua, "big_number", lua.create_string(line)?)?,
        b'=' => {
            let text = text(bytes, number() as usize);
            let (format, string) = text.split_at(text.len().min(4));
            let table = lua.create_table_with_capacity(0, 2)?;
            table.raw_set("format", lua.create_string(&format[..format.len().min(3)])?)?;
            table.raw_set("string", lua.create_string(string)?)?;
            tagged(lua, "verbatim_string", table)?
        }
        b'%' => {
            let count = number() as usize;
            let map = lua.create_table_with_capacity(0, count)?;
            for _ in 0..count {
                let key = value_of(lua, bytes)?;
                map.raw_set(key, value_of(lua, bytes)?)?;
            }
            tagged(lua, "map", map)?
        }
        _ => {
            let count = number() as usize;
            let set = lua.create_table_with_capacity(0, count)?;
            for _ in 0..count {
                set.raw_set(value_of(lua, bytes)?, true)?;
            }
            tagged(lua, "set", set)?
        }
    })
}

fn tagged(lua: &Lua, tag: &str, value: impl mlua::IntoLua) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(tag, value)?;
    Ok(Value::Table(table))
}

/// The rest of the first line.
fn line<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let end = memchr::memchr(b'\n', bytes).expect("invariant: a whole reply");
    let line = &bytes[1..end - 1];
    *bytes = &bytes[end + 1..];
    line
}

fn text<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let text = &bytes[..len];
    *bytes = &bytes[len + 2..];
    text
}

/// A double as `%.17g` prints it, which is how numbers become arguments of commands.
pub fn format_number(out: &mut Vec<u8>, number: f64) {
    let scientific = format!("{number:.16e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        let text = match () {
            () if number.is_nan() => "nan",
            () if number > 0.0 => "inf",
            () => "-inf",
        };
        return out.extend_from_slice(text.as_bytes());
    };
    let exponent: i32 = exponent.parse().expect("invariant: as the format has it");
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..17).contains(&exponent) {
        let decimals = (16 - exponent) as usize;
        out.extend_from_slice(trim(&format!("{number:.decimals$}")).as_bytes());
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let text = format!("{}e{sign}{:02}", trim(digits), exponent.abs());
        out.extend_from_slice(text.as_bytes());
    }
}

/// Writes what a script returns as its reply.
pub struct Writer<'a> {
    pub reply: &'a mut Reply,
    pub host: &'a Host,
    /// Gives the keys of a table in order.
    pub keys_of: &'a Function,
}

/// What to write in the place of a table.
enum Tagged {
    Error(Vec<u8>),
    Status(mlua::String),
    Double(f64),
    Map(Table),
    Set(Table),
    BigNumber(mlua::String),
    Verbatim(mlua::String, mlua::String),
    Array,
}

impl Writer<'_> {
    /// The text of the error that the script returns, if it is one.
    pub fn error_of(value: &Value) -> mlua::Result<Option<Vec<u8>>> {
        let Value::Table(table) = value else { return Ok(None) };
        Ok(match tag_of(table)? {
            Tagged::Error(text) => Some(text),
            _ => None,
        })
    }

    pub fn write(&mut self, value: &Value) -> mlua::Result<()> {
        self.write_at(value, 0)
    }

    fn write_at(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        self.host.charge(4)?;
        match value {
            Value::String(text) => {
                self.host.charge(text.as_bytes().len() as u64 / 16)?;
                self.reply.bulk(&text.as_bytes());
            }
            Value::Integer(number) => self.reply.integer(*number),
            Value::Number(number) => self.reply.integer(truncate(*number)),
            Value::Boolean(value) => match (self.host.protocol(), value) {
                (Protocol::Resp3, _) => self.reply.boolean(*value),
                (Protocol::Resp2, true) => self.reply.integer(1),
                (Protocol::Resp2, false) => self.reply.null(),
            },
            Value::Table(_) if depth == DEPTH_MAX => {
                self.reply.error_text("ERR reached lua stack limit");
            }
            Value::Table(table) => self.write_table(table, depth)?,
            _ => self.reply.null(),
        }
        Ok(())
    }

    fn write_table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        match tag_of(table)? {
            Tagged::Error(text) => self.reply.error_bytes(&text),
            Tagged::Status(text) => self.reply.simple_bytes(&text.as_bytes()),
            Tagged::Double(number) => self.reply.double(number),
            Tagged::Map(map) => {
                let keys: Table = self.keys_of.call(&map)?;
                self.reply.map(keys.raw_len());
                for at in 1..=keys.raw_len() {
                    let key: Value = keys.raw_get(at)?;
                    self.write_at(&key, depth + 1)?;
                    self.write_at(&map.raw_get(key)?, depth + 1)?;
                }
            }
            Tagged::Set(set) => {
                let keys: Table = self.keys_of.call(&set)?;
                self.reply.set(keys.raw_len());
                for at in 1..=keys.raw_len() {
                    self.write_at(&keys.raw_get(at)?, depth + 1)?;
                }
            }
            Tagged::BigNumber(digits) => self.reply.big_number(&digits.as_bytes()),
            Tagged::Verbatim(format, text) => {
                self.reply.verbatim_bytes(&format.as_bytes(), &text.as_bytes());
            }
            Tagged::Array => {
                let header = self.reply.defer();
                let mut count = 0;
                loop {
                    let value: Value = table.raw_get(count + 1)?;
                    if value.is_nil() {
                        break;
                    }
                    self.write_at(&value, depth + 1)?;
                    count += 1;
                }
                self.reply.fill_array(header, count);
            }
        }
        Ok(())
    }
}

/// As C casts a double to an integer of 64 bits on x86.
fn truncate(number: f64) -> i64 {
    let range = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
    if range.contains(&number) { number as i64 } else { i64::MIN }
}

fn tag_of(table: &Table) -> mlua::Result<Tagged> {
    if let Some(text) = string(table, "err")? {
        return Ok(Tagged::Error(text.as_bytes().to_vec()));
    }
    if let Some(text) = string(table, "ok")? {
        return Ok(Tagged::Status(text));
    }
    match table.raw_get("double")? {
        Value::Number(number) => return Ok(Tagged::Double(number)),
        Value::Integer(number) => return Ok(Tagged::Double(number as f64)),
        _ => {}
    }
    if let Value::Table(map) = table.raw_get("map")? {
        return Ok(Tagged::Map(map));
    }
    if let Value::Table(set) = table.raw_get("set")? {
        return Ok(Tagged::Set(set));
    }
    if let Some(digits) = string(table, "big_number")? {
        return Ok(Tagged::BigNumber(digits));
    }
    if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
        && let (Some(format), Some(text)) =
            (string(&verbatim, "format")?, string(&verbatim, "string")?)
    {
        return Ok(Tagged::Verbatim(format, text));
    }
    Ok(Tagged::Array)
}

fn string(table: &Table, field: &str) -> mlua::Result<Option<mlua::String>> {
    Ok(match table.raw_get(field)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}
