//! How scripts call the libraries: arguments without their number being bounded by [`mlua`], and
//! errors with the texts and positions of Lua's own libraries.

use std::fmt;

use mlua::{Function, Lua, Table, Value};

use super::convert;

/// Arguments up to this number are handed over as they are.
const DIRECT: usize = 4;

/// Results of one call. Lua 5.1 has place for 8000 values in all that a function gets and gives.
pub const RESULTS_MAX: usize = 7900;

/// Made by one call for each library function. `raw` gets the number of arguments and either these
/// or, where they are more than four, a table of them.
const FRONT: &str = "
local select = select
return function(raw)
    return function(...)
        local count = select('#', ...)
        if count <= 4 then
            return raw(count, ...)
        end
        return raw(count, { ... })
    end
end";

/// What functions of [`Front`] are known as: they stand for functions of the host.
pub const FRONT_NAME: &str = "=[C]";

/// What a library function raises: a Lua string.
#[derive(Debug, thiserror::Error)]
#[error("{}", String::from_utf8_lossy(.0))]
pub struct Raised(Vec<u8>);

/// The text of an error that a library function has raised; `None` for any other error.
pub fn raised_message(error: &mlua::Error) -> Option<&[u8]> {
    match error {
        mlua::Error::CallbackError { cause, .. } => raised_message(cause),
        _ => error.downcast_ref::<Raised>().map(|raised| raised.0.as_slice()),
    }
}

/// How a library function is seen on the stack of calls.
#[derive(Clone, Copy, Debug)]
pub enum Seat {
    /// It is called itself.
    Direct,
    /// It stands behind a [`Front`] and is known by this name.
    Behind(&'static str),
}

impl Seat {
    /// The level of the function that the script calls.
    fn level(self) -> usize {
        match self {
            Self::Direct => 0,
            Self::Behind(_) => 1,
        }
    }

    /// An error with the position of the caller in front.
    pub fn fail(self, lua: &Lua, text: impl AsRef<[u8]>) -> mlua::Error {
        let position = lua.inspect_stack(self.level() + 1, |caller| {
            let line = caller.current_line()?;
            let source = caller.source();
            Some(format!("{}:{line}: ", source.short_src.as_deref().unwrap_or("?")))
        });
        let mut message = position.flatten().unwrap_or_default().into_bytes();
        message.extend_from_slice(text.as_ref());
        mlua::Error::external(Raised(message))
    }

    /// The error of argument `number`, from 1.
    pub fn bad_argument(self, lua: &Lua, number: usize, text: impl fmt::Display) -> mlua::Error {
        let name = self.name(lua);
        self.fail(lua, format!("bad argument #{number} to '{name}' ({text})"))
    }

    /// [`Seat::bad_argument`] with a text that need not be UTF-8.
    pub fn bad_argument_bytes(self, lua: &Lua, number: usize, text: &[u8]) -> mlua::Error {
        let mut message = format!("bad argument #{number} to '{}' (", self.name(lua)).into_bytes();
        message.extend_from_slice(text);
        message.push(b')');
        self.fail(lua, message)
    }

    /// What the caller calls the function.
    fn name(self, lua: &Lua) -> String {
        let name = lua.inspect_stack(self.level(), |called| {
            called.names().name.map(|name| name.into_owned())
        });
        if let Some(name) = name.flatten() {
            return name;
        }
        // A call in tail position leaves no trace of the name behind a front.
        let is_tail_call = lua
            .inspect_stack(self.level() + 1, |caller| caller.source().what == "tail")
            .unwrap_or(false);
        match self {
            Self::Behind(name) if is_tail_call => name.to_owned(),
            _ => "?".to_owned(),
        }
    }

    pub fn type_error(self, lua: &Lua, number: usize, expected: &str, found: &str) -> mlua::Error {
        self.bad_argument(lua, number, format_args!("{expected} expected, got {found}"))
    }
}

/// The arguments of a call.
pub struct Args<'a> {
    lua: &'a Lua,
    seat: Seat,
    count: usize,
    direct: [Value; DIRECT],
}

impl<'a> Args<'a> {
    pub fn lua(&self) -> &'a Lua {
        self.lua
    }

    /// How many there are. Of a function with a fixed number of them, trailing nil does not count.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Argument `number`, from 1. Nil where there is none.
    pub fn value(&self, number: usize) -> mlua::Result<Value> {
        if number > self.count {
            return Ok(Value::Nil);
        }
        match &self.direct[0] {
            Value::Table(all) if self.count > DIRECT => all.raw_get(number),
            _ => Ok(self.direct[number - 1].clone()),
        }
    }

    fn type_error(&self, number: usize, expected: &str, found: &Value) -> mlua::Error {
        let is_missing = matches!(self.seat, Seat::Behind(_)) && number > self.count;
        let found = if is_missing { "no value" } else { convert::type_name(found) };
        self.seat.type_error(self.lua, number, expected, found)
    }

    /// A number or the text of one.
    pub fn number(&self, number: usize) -> mlua::Result<f64> {
        let value = self.value(number)?;
        match convert::to_number(self.lua, &value)? {
            Some(found) => Ok(found),
            None => Err(self.type_error(number, "number", &value)),
        }
    }

    /// An integer as a number that is cut off.
    pub fn integer(&self, number: usize) -> mlua::Result<i64> {
        Ok(convert::to_integer(self.number(number)?))
    }

    /// `default` where the argument is missing or nil.
    pub fn integer_or(&self, number: usize, default: i64) -> mlua::Result<i64> {
        if self.value(number)?.is_nil() { Ok(default) } else { self.integer(number) }
    }

    /// A string or a number as text.
    pub fn string(&self, number: usize) -> mlua::Result<mlua::String> {
        let value = self.value(number)?;
        match convert::to_string(self.lua, &value)? {
            Some(found) => Ok(found),
            None => Err(self.type_error(number, "string", &value)),
        }
    }

    pub fn fail(&self, text: impl AsRef<[u8]>) -> mlua::Error {
        self.seat.fail(self.lua, text)
    }

    /// An error that the VM itself raises: it knows no position in a library.
    pub fn fail_in_vm(&self, text: &str) -> mlua::Error {
        mlua::Error::external(Raised(text.into()))
    }

    pub fn bad_argument(&self, number: usize, text: impl fmt::Display) -> mlua::Error {
        self.seat.bad_argument(self.lua, number, text)
    }

    pub fn bad_argument_bytes(&self, number: usize, text: &[u8]) -> mlua::Error {
        self.seat.bad_argument_bytes(self.lua, number, text)
    }
}

type Direct = (Value, Value, Value, Value);

/// Sets `library[name]` to a function that looks at no more than four arguments. It does not tell a
/// missing one from nil.
pub fn set<R: mlua::IntoLuaMulti>(
    lua: &Lua,
    library: &Table,
    name: &'static str,
    body: impl Fn(&Args<'_>) -> mlua::Result<R> + Send + 'static,
) -> mlua::Result<()> {
    let function = lua.create_function(move |lua, direct: Direct| {
        let direct = <[Value; DIRECT]>::from(direct);
        let count = direct.iter().rposition(|value| !value.is_nil()).map_or(0, |last| last + 1);
        body(&Args { lua, seat: Seat::Direct, count, direct })
    })?;
    library.raw_set(name, function)
}

/// Makes library functions that take any number of arguments. Where such a function is called in
/// tail position, its errors lack the position of the caller, which Lua has forgotten.
#[derive(Clone)]
pub struct Front(Function);

impl Front {
    pub fn new(lua: &Lua) -> mlua::Result<Self> {
        Ok(Self(lua.load(FRONT).set_name(FRONT_NAME).eval()?))
    }

    /// Sets `library[name]`.
    pub fn set<R: mlua::IntoLuaMulti>(
        &self,
        lua: &Lua,
        library: &Table,
        name: &'static str,
        body: impl Fn(&Args<'_>) -> mlua::Result<R> + Send + 'static,
    ) -> mlua::Result<()> {
        let raw = lua.create_function(move |lua, (count, direct): (usize, Direct)| {
            body(&Args { lua, seat: Seat::Behind(name), count, direct: direct.into() })
        })?;
        library.raw_set(name, self.0.call::<Function>(raw)?)
    }
}
