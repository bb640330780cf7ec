//! Work and bytes that a script cannot see and must not get for nothing.

use mlua::Lua;

use crate::limits::SCRIPT_TEXT_BYTES_MAX;

/// So much work is paid for at once.
const CHARGED_AT_ONCE: u64 = 4096;

/// A value costs as much time as some instructions of the VM do.
const INSTRUCTIONS_PER_VALUE: u64 = 16;

/// So many bytes are as much work as one instruction.
const BYTES_PER_INSTRUCTION: usize = 16;

/// Counts the work of one call.
pub struct Meter<'a> {
    lua: &'a Lua,
    unpaid: u64,
}

impl<'a> Meter<'a> {
    pub fn new(lua: &'a Lua) -> Self {
        Self { lua, unpaid: 0 }
    }

    /// Pays for one value of so many bytes.
    ///
    /// # Errors
    ///
    /// Those of [`charge`](super::super::charge).
    pub fn value(&mut self, bytes: usize) -> mlua::Result<()> {
        self.unpaid += INSTRUCTIONS_PER_VALUE + (bytes / BYTES_PER_INSTRUCTION) as u64;
        if self.unpaid < CHARGED_AT_ONCE {
            return Ok(());
        }
        super::super::charge(self.lua, std::mem::take(&mut self.unpaid))
    }

    /// Pays what is left.
    ///
    /// # Errors
    ///
    /// Those of [`charge`](super::super::charge).
    pub fn finish(self) -> mlua::Result<()> {
        super::super::charge(self.lua, self.unpaid)
    }
}

/// The error where [`is_too_long`] has it.
pub const TOO_LONG: &str = "Cannot serialise, the result is too long";

/// Whether a text of so many bytes is longer than a library makes.
pub fn is_too_long(bytes: usize) -> bool {
    bytes > SCRIPT_TEXT_BYTES_MAX
}
