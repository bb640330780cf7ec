//! `cjson`: JSON, as of lua-cjson 2.1.

mod decode;
mod encode;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering::Relaxed};

use mlua::{Lua, Table, Value};

use super::call::{Args, set};

/// What to do about numbers that JSON has no text for.
const REFUSED: u8 = 0;
const WRITTEN: u8 = 1;
const WRITTEN_AS_NULL: u8 = 2;

/// The settings of one instance. Its functions share them, and must be able to be sent.
#[derive(Debug)]
pub struct Settings {
    encode_sparse_convert: AtomicBool,
    encode_sparse_ratio: AtomicI32,
    encode_sparse_safe: AtomicI32,
    encode_max_depth: AtomicI32,
    encode_invalid_numbers: AtomicU8,
    encode_number_precision: AtomicI32,
    encode_keep_buffer: AtomicBool,
    decode_invalid_numbers: AtomicBool,
    decode_max_depth: AtomicI32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            encode_sparse_convert: AtomicBool::new(false),
            encode_sparse_ratio: AtomicI32::new(2),
            encode_sparse_safe: AtomicI32::new(10),
            encode_max_depth: AtomicI32::new(1000),
            encode_invalid_numbers: AtomicU8::new(REFUSED),
            encode_number_precision: AtomicI32::new(14),
            encode_keep_buffer: AtomicBool::new(true),
            decode_invalid_numbers: AtomicBool::new(true),
            decode_max_depth: AtomicI32::new(1000),
        }
    }
}

impl Settings {
    /// Back to what a new instance has.
    pub fn reset(&self) {
        let new = Self::default();
        self.encode_sparse_convert.store(new.encode_sparse_convert.into_inner(), Relaxed);
        self.encode_sparse_ratio.store(new.encode_sparse_ratio.into_inner(), Relaxed);
        self.encode_sparse_safe.store(new.encode_sparse_safe.into_inner(), Relaxed);
        self.encode_max_depth.store(new.encode_max_depth.into_inner(), Relaxed);
        self.encode_invalid_numbers.store(new.encode_invalid_numbers.into_inner(), Relaxed);
        self.encode_number_precision.store(new.encode_number_precision.into_inner(), Relaxed);
        self.encode_keep_buffer.store(new.encode_keep_buffer.into_inner(), Relaxed);
        self.decode_invalid_numbers.store(new.decode_invalid_numbers.into_inner(), Relaxed);
        self.decode_max_depth.store(new.decode_max_depth.into_inner(), Relaxed);
    }
}

/// Refuses more arguments than a setting has.
fn at_most(args: &Args<'_>, count: usize) -> mlua::Result<()> {
    if args.count() > count {
        return Err(args.bad_argument(count + 1, "found too many arguments"));
    }
    Ok(())
}

/// Sets an integer unless the argument is nil, and answers what is set.
fn integer(
    args: &Args<'_>,
    number: usize,
    setting: &AtomicI32,
    range: std::ops::RangeInclusive<i32>,
) -> mlua::Result<Value> {
    if !args.value(number)?.is_nil() {
        let given = args.integer(number)? as i32;
        if !range.contains(&given) {
            let (least, most) = (range.start(), range.end());
            // It is the first argument that is named, whichever it is.
            let text = format!("expected integer between {least} and {most}");
            return Err(args.bad_argument(1, text));
        }
        setting.store(given, Relaxed);
    }
    Ok(Value::Number(f64::from(setting.load(Relaxed))))
}

/// The place of the first argument among the names of options; a boolean stands for one of the
/// first two. `None` where nothing is to be set.
fn choice(args: &Args<'_>, names: &[&str]) -> mlua::Result<Option<u8>> {
    match args.value(1)? {
        Value::Nil => Ok(None),
        Value::Boolean(is_on) => Ok(Some(u8::from(is_on))),
        _ => {
            let given = args.string(1)?;
            let given = given.as_bytes();
            // Names are C strings.
            let given = given.split(|&byte| byte == 0).next().unwrap_or_default();
            if let Some(place) = names.iter().position(|name| name.as_bytes() == given) {
                return Ok(Some(place as u8));
            }
            let text = [b"invalid option '", given, b"'"].concat();
            Err(args.bad_argument_bytes(1, &text))
        }
    }
}

fn switch(args: &Args<'_>, setting: &AtomicBool) -> mlua::Result<Value> {
    if let Some(choice) = choice(args, &["off", "on"])? {
        setting.store(choice == 1, Relaxed);
    }
    Ok(Value::Boolean(setting.load(Relaxed)))
}

fn encode_invalid_numbers(args: &Args<'_>, settings: &Settings) -> mlua::Result<Value> {
    at_most(args, 1)?;
    let setting = &settings.encode_invalid_numbers;
    if let Some(choice) = choice(args, &["off", "on", "null"])? {
        setting.store(choice, Relaxed);
    }
    match setting.load(Relaxed) {
        WRITTEN_AS_NULL => args.lua().create_string("null").map(Value::String),
        other => Ok(Value::Boolean(other == WRITTEN)),
    }
}

fn encode_sparse_array(
    args: &Args<'_>,
    settings: &Settings,
) -> mlua::Result<(Value, Value, Value)> {
    at_most(args, 3)?;
    Ok((
        switch(args, &settings.encode_sparse_convert)?,
        integer(args, 2, &settings.encode_sparse_ratio, 0..=i32::MAX)?,
        integer(args, 3, &settings.encode_sparse_safe, 0..=i32::MAX)?,
    ))
}

/// The only argument.
fn single(args: &Args<'_>) -> mlua::Result<Value> {
    if args.count() > 1 {
        return Err(args.bad_argument(1, "expected 1 argument"));
    }
    args.value(1)
}

/// The table of an instance.
fn instance(lua: &Lua, settings: &Arc<Settings>) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    let own = Arc::clone(settings);
    set(lua, &library, "encode", move |args| encode::encode(args, &own, single(args)?))?;
    let own = Arc::clone(settings);
    set(lua, &library, "decode", move |args| {
        single(args)?;
        decode::decode(args, &own, &args.string(1)?.as_bytes())
    })?;
    open_settings(lua, settings, &library)?;
    set(lua, &library, "new", |args| instance(args.lua(), &Arc::default()))?;
    library.raw_set("null", Value::NULL)?;
    library.raw_set("_NAME", "cjson")?;
    library.raw_set("_VERSION", "2.1.0")?;
    Ok(library)
}

fn open_settings(lua: &Lua, settings: &Arc<Settings>, library: &Table) -> mlua::Result<()> {
    let own = Arc::clone(settings);
    set(lua, library, "encode_sparse_array", move |args| encode_sparse_array(args, &own))?;
    let own = Arc::clone(settings);
    set(lua, library, "encode_max_depth", move |args| {
        at_most(args, 1)?;
        integer(args, 1, &own.encode_max_depth, 1..=i32::MAX)
    })?;
    let own = Arc::clone(settings);
    set(lua, library, "decode_max_depth", move |args| {
        at_most(args, 1)?;
        integer(args, 1, &own.decode_max_depth, 1..=i32::MAX)
    })?;
    let own = Arc::clone(settings);
    set(lua, library, "encode_number_precision", move |args| {
        at_most(args, 1)?;
        integer(args, 1, &own.encode_number_precision, 1..=14)
    })?;
    let own = Arc::clone(settings);
    set(lua, library, "encode_keep_buffer", move |args| {
        at_most(args, 1)?;
        switch(args, &own.encode_keep_buffer)
    })?;
    let own = Arc::clone(settings);
    set(lua, library, "encode_invalid_numbers", move |args| encode_invalid_numbers(args, &own))?;
    let own = Arc::clone(settings);
    set(lua, library, "decode_invalid_numbers", move |args| {
        at_most(args, 1)?;
        switch(args, &own.decode_invalid_numbers)
    })
}

/// Sets the global `cjson`.
pub fn open(lua: &Lua) -> mlua::Result<()> {
    let settings = Arc::new(Settings::default());
    lua.set_app_data(Arc::clone(&settings));
    lua.globals().raw_set("cjson", instance(lua, &settings)?)
}
