//! `struct`: numbers and strings as the bytes of C structures.

use mlua::{IntoLua, Lua, Value, Variadic};

use super::call::{Args, Front, RESULTS_MAX, set};
use super::convert;

/// The widest integer in bytes.
const INTEGER_BYTES_MAX: i32 = 32;

/// What `!` alone aligns to, in bytes.
const ALIGNMENT_DEFAULT: i32 = 8;

/// A format while it is read.
struct Format<'a> {
    rest: &'a [u8],
    is_big_endian: bool,
    alignment: u64,
}

/// One option of a format.
struct Item {
    option: u8,
    size: u64,
}

impl<'a> Format<'a> {
    fn new(text: &'a [u8]) -> Self {
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        Self { rest: &text[..end], is_big_endian: cfg!(target_endian = "big"), alignment: 1 }
    }

    fn next(&mut self, args: &Args<'_>) -> mlua::Result<Option<Item>> {
        let Some((&option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(args, 1)?,
            b'i' | b'I' => self.integer_size(args)?,
            _ => 0,
        };
        Ok(Some(Item { option, size: size as u64 }))
    }

    fn integer_size(&mut self, args: &Args<'_>) -> mlua::Result<i32> {
        let size = self.number(args, 4)?;
        if size > INTEGER_BYTES_MAX {
            let text = format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
            return Err(args.fail(text));
        }
        Ok(size)
    }

    fn number(&mut self, args: &Args<'_>, default: i32) -> mlua::Result<i32> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let (digits, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let number = digits.iter().try_fold(0i32, |number, digit| {
            number.checked_mul(10)?.checked_add(i32::from(digit - b'0'))
        });
        number.ok_or_else(|| args.fail("integral size overflow"))
    }

    /// How many bytes go before `item` where so many are there.
    fn padding(&self, item: &Item, position: u64) -> u64 {
        if item.size == 0 || item.option == b'c' {
            return 0;
        }
        let size = item.size.min(self.alignment);
        // Sizes that are no power of 2 are not ruled out, and get what the masks make of them.
        (size - (position & (size - 1))) & (size - 1)
    }

    /// What is no value but changes how the next ones are seen.
    fn control(&mut self, args: &Args<'_>, option: u8) -> mlua::Result<()> {
        match option {
            b' ' => {}
            b'>' => self.is_big_endian = true,
            b'<' => self.is_big_endian = false,
            b'!' => {
                let alignment = self.number(args, ALIGNMENT_DEFAULT)?;
                if alignment <= 0 || alignment & (alignment - 1) != 0 {
                    return Err(args.fail(format!("alignment {alignment} is not a power of 2")));
                }
                self.alignment = alignment as u64;
            }
            _ => {
                let text = [b"invalid format option '", [option].as_slice(), b"'"].concat();
                return Err(args.bad_argument_bytes(1, &text));
            }
        }
        Ok(())
    }
}

fn pack(args: &Args<'_>) -> mlua::Result<mlua::String> {
    let format = args.string(1)?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let mut out = Vec::new();
    let mut number = 2;
    while let Some(item) = format.next(args)? {
        let padding = format.padding(&item, out.len() as u64);
        out.resize(out.len() + padding as usize, 0);
        match item.option {
            b'x' => out.push(0),
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = integer_bits(present(args, number)?);
                number += 1;
                push_integer(&mut out, value, item.size as usize, format.is_big_endian);
            }
            b'f' => {
                let bytes = (present(args, number)? as f32).to_le_bytes();
                number += 1;
                push_float(&mut out, &bytes, format.is_big_endian);
            }
            b'd' => {
                let bytes = present(args, number)?.to_le_bytes();
                number += 1;
                push_float(&mut out, &bytes, format.is_big_endian);
            }
            b's' | b'c' => {
                let text = present_string(args, number)?;
                number += 1;
                push_string(args, &mut out, &text.as_bytes(), &item, number)?;
            }
            option => format.control(args, option)?,
        }
    }
    super::super::charge(args.lua(), number as u64 + (out.len() / 16) as u64)?;
    args.lua().create_string(out)
}

/// Beyond the arguments is nil, as the first place behind them is.
fn present(args: &Args<'_>, number: usize) -> mlua::Result<f64> {
    if number <= args.count() {
        return args.number(number);
    }
    Err(args.bad_argument(number, "number expected, got nil"))
}

fn present_string(args: &Args<'_>, number: usize) -> mlua::Result<mlua::String> {
    if number <= args.count() {
        return args.string(number);
    }
    Err(args.bad_argument(number, "string expected, got nil"))
}

/// As C on x86-64 makes an integer of 64 bits of a double: cut off, and for what does not fit
/// either nothing (too large) or the highest bit.
fn integer_bits(number: f64) -> u64 {
    const TOP: f64 = 9_223_372_036_854_775_808.0;
    if number >= TOP {
        return if number < 2.0 * TOP { number as u64 } else { 0 };
    }
    convert::to_integer(number) as u64
}

fn push_integer(out: &mut Vec<u8>, value: u64, size: usize, is_big_endian: bool) {
    let mut bytes = [0; INTEGER_BYTES_MAX as usize];
    bytes[..8].copy_from_slice(&value.to_le_bytes());
    let bytes = &mut bytes[..size];
    if is_big_endian {
        bytes.reverse();
    }
    out.extend_from_slice(bytes);
}

fn push_float(out: &mut Vec<u8>, little_endian: &[u8], is_big_endian: bool) {
    if is_big_endian {
        out.extend(little_endian.iter().rev());
    } else {
        out.extend_from_slice(little_endian);
    }
}

/// `next` is the number of the argument after the string.
fn push_string(
    args: &Args<'_>,
    out: &mut Vec<u8>,
    text: &[u8],
    item: &Item,
    next: usize,
) -> mlua::Result<()> {
    let size = if item.size == 0 { text.len() } else { item.size as usize };
    let Some(bytes) = text.get(..size) else {
        return Err(args.bad_argument(next, "string too short"));
    };
    if super::meter::is_too_long(out.len() + size) {
        return Err(args.bad_argument(1, "format result too large"));
    }
    out.extend_from_slice(bytes);
    if item.option == b's' {
        out.push(0);
    }
    Ok(())
}

/// A value read from bytes.
enum Unpacked {
    Number(f64),
    String(Vec<u8>),
}

impl IntoLua for Unpacked {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        match self {
            Self::Number(number) => Ok(Value::Number(number)),
            Self::String(text) => lua.create_string(text).map(Value::String),
        }
    }
}

fn unpack(args: &Args<'_>) -> mlua::Result<Variadic<Unpacked>> {
    let format = args.string(1)?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let data = args.string(2)?;
    let data = data.as_bytes();
    let offset = args.integer_or(3, 1)? as u64;
    if offset == 0 {
        return Err(args.bad_argument(3, "offset must be 1 or greater"));
    }
    let mut position = offset - 1;
    let mut results: Vec<Unpacked> = Vec::new();
    while let Some(item) = format.next(args)? {
        position = position.wrapping_add(format.padding(&item, position));
        let from = window(args, &data, position, item.size)?;
        if results.len() >= RESULTS_MAX {
            return Err(args.fail("stack overflow (too many results)"));
        }
        let bytes = &from[..item.size as usize];
        let mut taken = item.size;
        match item.option {
            b'x' => {}
            b'b' | b'h' | b'l' | b'i' => {
                results.push(Unpacked::Number(signed(bytes, format.is_big_endian)));
            }
            b'B' | b'H' | b'L' | b'T' | b'I' => {
                results.push(Unpacked::Number(unsigned(bytes, format.is_big_endian) as f64));
            }
            b'f' => {
                let bits = unsigned(bytes, format.is_big_endian) as u32;
                results.push(Unpacked::Number(f64::from(f32::from_bits(bits))));
            }
            b'd' => {
                let bits = unsigned(bytes, format.is_big_endian);
                results.push(Unpacked::Number(f64::from_bits(bits)));
            }
            b'c' => {
                if taken == 0 {
                    taken = previous_size(args, results.pop())?;
                }
                let text = &window(args, &data, position, taken)?[..taken as usize];
                results.push(Unpacked::String(text.to_vec()));
            }
            b's' => {
                let Some(end) = from.iter().position(|&byte| byte == 0) else {
                    return Err(args.fail("unfinished string in data"));
                };
                results.push(Unpacked::String(from[..end].to_vec()));
                taken = end as u64 + 1;
            }
            option => format.control(args, option)?,
        }
        position = position.wrapping_add(taken);
    }
    super::super::charge(args.lua(), results.len() as u64)?;
    results.push(Unpacked::Number(position.wrapping_add(1) as i64 as f64));
    Ok(Variadic::from(results))
}

/// The data from `position` on, which has `size` bytes at least.
fn window<'a>(args: &Args<'_>, data: &'a [u8], position: u64, size: u64) -> mlua::Result<&'a [u8]> {
    let length = data.len() as u64;
    if size > length || position > length - size {
        return Err(args.bad_argument(2, "data string too short"));
    }
    Ok(&data[position as usize..])
}

fn previous_size(args: &Args<'_>, previous: Option<Unpacked>) -> mlua::Result<u64> {
    let size = match previous {
        Some(Unpacked::Number(number)) => Some(number),
        Some(Unpacked::String(text)) => {
            let text = Value::String(args.lua().create_string(text)?);
            convert::to_number(args.lua(), &text)?
        }
        None => None,
    };
    size.map(integer_bits).ok_or_else(|| args.fail("format 'c0' needs a previous size"))
}

/// Of more than 8 bytes the lowest 8 count.
fn unsigned(bytes: &[u8], is_big_endian: bool) -> u64 {
    let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    if is_big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
}

fn signed(bytes: &[u8], is_big_endian: bool) -> f64 {
    let mut number = unsigned(bytes, is_big_endian);
    // The shift is one modulo 64 also for more than 8 bytes, as the machine has it.
    let mask = u64::MAX.wrapping_shl((bytes.len() as u32).wrapping_mul(8).wrapping_sub(1));
    if number & mask != 0 {
        number |= mask;
    }
    number as i64 as f64
}

fn size(args: &Args<'_>) -> mlua::Result<f64> {
    let format = args.string(1)?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let mut total = 0u64;
    while let Some(item) = format.next(args)? {
        total += format.padding(&item, total);
        match item.option {
            b's' => return Err(args.bad_argument(1, "option 's' has no fixed size")),
            b'c' if item.size == 0 => {
                return Err(args.bad_argument(1, "option 'c0' has no fixed size"));
            }
            option if !option.is_ascii_alphanumeric() => format.control(args, option)?,
            _ => {}
        }
        total += item.size;
    }
    Ok(total as f64)
}

/// Sets the global `struct`.
pub fn open(lua: &Lua, front: &Front) -> mlua::Result<()> {
    let library = lua.create_table()?;
    front.set(lua, &library, "pack", pack)?;
    set(lua, &library, "unpack", unpack)?;
    set(lua, &library, "size", size)?;
    lua.globals().raw_set("struct", library)
}
