//! The libraries of scripts beside those of Lua: cjson, cmsgpack, struct and bit.
//!
//! Each is a module with `open`, which makes the library's table and sets it as a global of a fresh
//! state. After that the table is not changed any more: scripts see it read-only.
//!
//! A state runs many scripts. What a library keeps between calls (the settings of cjson) must be as
//! new for each of them: [`reset`] makes it anew. Settings of an instance of `cjson.new` live as
//! long as the instance.
//!
//! Nothing here may show an address, an order of a hash table that depends on one, the clock, or
//! chance. The order of a table's string and number keys in [`mlua::Table::pairs`] must not be seen
//! either, since it depends on what else was in the table: [`keys`] gives another one.
//!
//! What a script can make grow beyond what it holds (the text of a table whose parts are shared) is
//! paid for with [`super::charge`], and bounded in bytes and in depth.
//!
//! # Errors
//!
//! A function fails with a [`Raised`] inside of the [`mlua::Error`]: the text with the position of
//! the caller in front, as Lua's own libraries have it. What catches errors for a script (`pcall`)
//! gives it the text, see [`raised_message`].
//!
//! # References
//!
//! A Lua 5.1 state has room for less than 8000 handles of [`mlua`] at a time, and the process ends
//! with one more. So no function takes or keeps a number of values that the script chooses: no
//! [`mlua::MultiValue`] or [`mlua::Variadic`] comes in. A Lua function in front of those with any
//! number of arguments hands over a table instead, see [`call`].

mod bit;
mod call;
mod convert;
mod json;
mod keys;
mod meter;
mod msgpack;
mod pack;
mod pattern;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use mlua::Lua;

pub(in crate::engine::script) use call::raised_message;
pub(in crate::engine::script) use pattern::{Search, weigh};

/// Sets the libraries as globals of a fresh state.
pub(super) fn open(lua: &Lua) -> mlua::Result<()> {
    let front = call::Front::new(lua)?;
    json::open(lua)?;
    msgpack::open(lua, &front)?;
    pack::open(lua, &front)?;
    bit::open(lua, &front)
}

/// Forgets what a script has set. Called before each script.
pub(super) fn reset(lua: &Lua) {
    let settings = lua.app_data_ref::<Arc<json::Settings>>();
    if let Some(settings) = settings {
        settings.reset();
    }
}
