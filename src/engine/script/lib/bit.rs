//! `bit`: operations on 32-bit integers, as of Lua BitOp 1.

use mlua::Lua;

use super::call::{Args, Front, set};

/// 1.5 * 2^52. The sum with it has an integer of up to 51 bits in the lowest bits of its mantissa.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// The number rounded to an integer, half to even, modulo 2^32.
fn bits(number: f64) -> u32 {
    (number + ROUNDING).to_bits() as u32
}

fn argument(args: &Args<'_>, number: usize) -> mlua::Result<u32> {
    args.number(number).map(bits)
}

fn result(bits: u32) -> f64 {
    f64::from(bits as i32)
}

fn fold(args: &Args<'_>, operation: fn(u32, u32) -> u32) -> mlua::Result<f64> {
    let mut all = argument(args, 1)?;
    // The last argument that is none is the one that is refused.
    for number in (2..=args.count()).rev() {
        all = operation(all, argument(args, number)?);
    }
    super::super::charge(args.lua(), args.count() as u64)?;
    Ok(result(all))
}

fn shift(args: &Args<'_>, operation: fn(u32, u32) -> u32) -> mlua::Result<f64> {
    let value = argument(args, 1)?;
    let distance = argument(args, 2)? & 31;
    Ok(result(operation(value, distance)))
}

fn hexadecimal(args: &Args<'_>) -> mlua::Result<String> {
    let value = argument(args, 1)?;
    let digits = if args.value(2)?.is_nil() { 8 } else { argument(args, 2)? as i32 };
    let width = digits.unsigned_abs().min(8) as usize;
    let all = if digits < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    Ok(all[8 - width..].to_owned())
}

/// A function of two numbers with its name.
type Binary = (&'static str, fn(u32, u32) -> u32);

/// A function of one number with its name.
type Unary = (&'static str, fn(u32) -> u32);

/// Sets the global `bit`.
pub fn open(lua: &Lua, front: &Front) -> mlua::Result<()> {
    let library = lua.create_table()?;
    let folds: [Binary; 3] =
        [("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];
    for (name, operation) in folds {
        front.set(lua, &library, name, move |args| fold(args, operation))?;
    }
    let shifts: [Binary; 5] = [
        ("lshift", |value, distance| value << distance),
        ("rshift", |value, distance| value >> distance),
        ("arshift", |value, distance| ((value as i32) >> distance) as u32),
        ("rol", u32::rotate_left),
        ("ror", u32::rotate_right),
    ];
    for (name, operation) in shifts {
        set(lua, &library, name, move |args| shift(args, operation))?;
    }
    let units: [Unary; 3] =
        [("tobit", |value| value), ("bnot", |value| !value), ("bswap", u32::swap_bytes)];
    for (name, operation) in units {
        set(lua, &library, name, move |args| {
            argument(args, 1).map(|value| result(operation(value)))
        })?;
    }
    set(lua, &library, "tohex", hexadecimal)?;
    lua.globals().raw_set("bit", library)
}
