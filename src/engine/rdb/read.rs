//! Reads values in all forms that are known.

use std::borrow::Cow;

use super::packed::{Items, Listpack, Visit, Ziplist, intset};
use super::{RdbError, Result, form, kind, length, stream};
use crate::engine::types::hash::{FIELD_DEADLINE_MAX_MS, Hash};
use crate::engine::types::list::{End, List};
use crate::engine::types::set::Set;
use crate::engine::types::sorted_set::{SortedSet, SortedSetEncoding};
use crate::engine::value::Value;
use crate::raft::types::Millis;

/// No string is longer, however it was packed: Redis's proto-max-bulk-len by default.
const STRING_BYTES_MAX: usize = 512 << 20;

/// A chunk of a quicklist that is one long element, not a listpack.
const CHUNK_PLAIN: u64 = 1;
const CHUNK_PACKED: u64 = 2;

/// Reads type and value, which fill `bytes`.
pub(super) fn value(bytes: &[u8]) -> Result<Value> {
    let mut input = Input::new(bytes);
    let kind = input.byte()?;
    let value = input.value(kind)?;
    if input.rest.is_empty() { Ok(value) } else { Err(RdbError::Format) }
}

/// What a value may take beyond the bytes that it is read from: four strings of the longest kind. A
/// few bytes can stand for very many, which would end every node at once.
const UNPACKED_BYTES_MAX: usize = 4 * STRING_BYTES_MAX;

pub(super) struct Input<'a> {
    rest: &'a [u8],
    /// How much of [`UNPACKED_BYTES_MAX`] is left.
    unpacked_left: usize,
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, unpacked_left: UNPACKED_BYTES_MAX }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(RdbError::Format)?;
        self.rest = rest;
        Ok(*array)
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(RdbError::Format)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes account of bytes that are not in the input as they are.
    pub fn unpack(&mut self, len: usize) -> Result<()> {
        self.unpacked_left = self.unpacked_left.checked_sub(len).ok_or(RdbError::Format)?;
        Ok(())
    }

    /// A length, or in what form a string is.
    fn length_or_form(&mut self) -> Result<std::result::Result<u64, u8>> {
        let first = self.byte()?;
        Ok(Ok(match (first >> 6, first) {
            (length::BITS_6, _) => first.into(),
            (length::BITS_14, _) => u64::from(first & 0x3f) << 8 | u64::from(self.byte()?),
            (length::STRING_FORM, _) => return Ok(Err(first & 0x3f)),
            (_, length::BITS_32) => u32::from_be_bytes(self.array()?).into(),
            (_, length::BITS_64) => u64::from_be_bytes(self.array()?),
            _ => return Err(RdbError::Format),
        }))
    }

    pub fn length(&mut self) -> Result<u64> {
        self.length_or_form()?.map_err(|_| RdbError::Format)
    }

    fn size(&mut self) -> Result<usize> {
        usize::try_from(self.length()?).map_err(|_| RdbError::Format)
    }

    pub fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        let integer = |number: i32| Cow::Owned(number.to_string().into_bytes());
        Ok(match self.length_or_form()? {
            Ok(len) => {
                let len = usize::try_from(len).map_err(|_| RdbError::Format)?;
                if len > STRING_BYTES_MAX {
                    return Err(RdbError::Format);
                }
                Cow::Borrowed(self.take(len)?)
            }
            Err(form::INT_8) => integer(i8::from_le_bytes(self.array()?).into()),
            Err(form::INT_16) => integer(i16::from_le_bytes(self.array()?).into()),
            Err(form::INT_32) => integer(i32::from_le_bytes(self.array()?)),
            Err(form::LZF) => {
                let (packed_len, len) = (self.size()?, self.size()?);
                self.unpack(len)?;
                Cow::Owned(unpack_lzf(self.take(packed_len)?, len)?)
            }
            Err(_) => return Err(RdbError::Format),
        })
    }

    /// As many strings as a length before them tells.
    fn strings(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        for _ in 0..self.length()? {
            visit(&self.string()?)?;
        }
        Ok(())
    }

    fn value(&mut self, kind: u8) -> Result<Value> {
        match kind {
            kind::STRING => Ok(Value::string(&self.string()?)),
            kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => {
                self.list(kind)
            }
            kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => self.set(kind),
            kind::HASH | kind::HASH_ZIPLIST | kind::HASH_LISTPACK => self.hash(kind),
            kind::HASH_METADATA | kind::HASH_LISTPACK_EX | kind::HASH_DEADLINES => {
                self.expiring_hash(kind)
            }
            kind::ZSET | kind::ZSET_2 | kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => {
                self.sorted_set(kind)
            }
            kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
                stream::read(self, kind).map(|stream| Value::Stream(Box::new(stream)))
            }
            _ => Err(RdbError::Format),
        }
    }

    fn list(&mut self, kind: u8) -> Result<Value> {
        let mut list = List::default();
        let mut push = |element: &[u8]| {
            list.push(End::Right, element);
            Ok(())
        };
        match kind {
            kind::LIST => self.strings(&mut push)?,
            kind::LIST_ZIPLIST => Ziplist::items(&self.string()?)?.each(&mut push)?,
            kind::LIST_QUICKLIST => {
                for _ in 0..self.length()? {
                    Ziplist::items(&self.string()?)?.each(&mut push)?;
                }
            }
            _ => {
                for _ in 0..self.length()? {
                    match self.length()? {
                        CHUNK_PLAIN => push(&self.string()?)?,
                        CHUNK_PACKED => Listpack::items(&self.string()?)?.each(&mut push)?,
                        _ => return Err(RdbError::Format),
                    }
                }
            }
        }
        // No key holds nothing, and so for the other collections.
        if list.is_empty() { Err(RdbError::Format) } else { Ok(Value::List(Box::new(list))) }
    }

    fn set(&mut self, kind: u8) -> Result<Value> {
        let mut set = Set::default();
        let mut add = |member: &[u8]| new_only(set.add(member));
        match kind {
            kind::SET => self.strings(&mut add)?,
            kind::SET_INTSET => intset(&self.string()?, &mut add)?,
            _ => Listpack::items(&self.string()?)?.each(&mut add)?,
        }
        if set.is_empty() { Err(RdbError::Format) } else { Ok(Value::Set(Box::new(set))) }
    }

    fn hash(&mut self, kind: u8) -> Result<Value> {
        let mut hash = Hash::default();
        let mut set = |field: &[u8], value: &[u8]| new_only(hash.set(field, value));
        match kind {
            kind::HASH => {
                for _ in 0..self.length()? {
                    set(&self.string()?, &self.string()?)?;
                }
            }
            kind::HASH_ZIPLIST => Ziplist::items(&self.string()?)?.each_pair(&mut set)?,
            _ => Listpack::items(&self.string()?)?.each_pair(&mut set)?,
        }
        if hash.is_empty() { Err(RdbError::Format) } else { Ok(Value::Hash(hash)) }
    }

    /// A deadline that is past is as good as any here: what reads the value knows the time.
    fn expiring_hash(&mut self, kind: u8) -> Result<Value> {
        let first = match kind {
            kind::HASH_DEADLINES => 0,
            _ => Millis::from_le_bytes(self.array()?),
        };
        let mut hash = Hash::default();
        let mut set = |field: &[u8], value: &[u8], at_ms: Option<Millis>| {
            new_only(hash.set(field, value))?;
            match at_ms {
                None => Ok(()),
                Some(1..=FIELD_DEADLINE_MAX_MS) => {
                    hash.set_deadline(field, at_ms.unwrap_or_default());
                    Ok(())
                }
                Some(_) => Err(RdbError::Format),
            }
        };
        if kind == kind::HASH_DEADLINES {
            for _ in 0..self.length()? {
                let (field, value) = (self.string()?, self.string()?);
                let at_ms = i64::from_le_bytes(self.array()?);
                set(&field, &value, Millis::try_from(at_ms).ok())?;
            }
        } else if kind == kind::HASH_METADATA {
            for _ in 0..self.length()? {
                let at_ms = match self.length()? {
                    0 => None,
                    after => Some(first.checked_add(after - 1).ok_or(RdbError::Format)?),
                };
                set(&self.string()?, &self.string()?, at_ms)?;
            }
        } else {
            let bytes = self.string()?;
            let mut items = Listpack::items(&bytes)?;
            while let Some(field) = items.next()? {
                let (value, at_ms) = (items.item()?, items.item()?.integer()?);
                let at_ms = Millis::try_from(at_ms).map_err(|_| RdbError::Format)?;
                let at_ms = Some(at_ms).filter(|at_ms| *at_ms != 0);
                field.with(|field| value.with(|value| set(field, value, at_ms)))?;
            }
        }
        if hash.is_empty() { Err(RdbError::Format) } else { Ok(Value::Hash(hash)) }
    }

    fn sorted_set(&mut self, kind: u8) -> Result<Value> {
        let mut sorted_set = SortedSet::with_encoding(SortedSetEncoding::Listpack);
        let mut insert = |member: &[u8], score: f64| {
            let is_number = !score.is_nan();
            new_only(is_number && sorted_set.insert(member, score).is_none())
        };
        let mut insert_text = |member: &[u8], score: &[u8]| insert(member, decimal(score)?);
        match kind {
            kind::ZSET_ZIPLIST => Ziplist::items(&self.string()?)?.each_pair(&mut insert_text)?,
            kind::ZSET_LISTPACK => Listpack::items(&self.string()?)?.each_pair(&mut insert_text)?,
            _ => {
                for _ in 0..self.length()? {
                    let member = self.string()?;
                    let score = match kind {
                        kind::ZSET => self.short_decimal()?,
                        _ => f64::from_le_bytes(self.array()?),
                    };
                    insert(&member, score)?;
                }
            }
        }
        match sorted_set.is_empty() {
            true => Err(RdbError::Format),
            false => Ok(Value::SortedSet(Box::new(sorted_set))),
        }
    }

    /// A number as digits after their count, of which three values stand for no digits.
    fn short_decimal(&mut self) -> Result<f64> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => decimal(self.take(len.into())?),
        }
    }
}

/// What is there twice in a collection, or cannot be in it, is damage.
fn new_only(is_new: bool) -> Result<()> {
    if is_new { Ok(()) } else { Err(RdbError::Format) }
}

/// A score in digits. The type reads all that Redis writes here, `inf` included.
fn decimal(digits: &[u8]) -> Result<f64> {
    let text = std::str::from_utf8(digits).map_err(|_| RdbError::Format)?;
    text.parse().map_err(|_| RdbError::Format)
}

/// LZF: runs of plain bytes, and copies of what was unpacked before.
fn unpack_lzf(packed: &[u8], len: usize) -> Result<Vec<u8>> {
    if len > STRING_BYTES_MAX {
        return Err(RdbError::Format);
    }
    let mut out = Vec::new();
    let mut input = Input::new(packed);
    while !input.is_empty() {
        let control = usize::from(input.byte()?);
        if control < 0x20 {
            out.extend_from_slice(input.take(control + 1)?);
        } else {
            let mut count = control >> 5;
            if count == 7 {
                count += usize::from(input.byte()?);
            }
            let distance = (control & 0x1f) << 8 | usize::from(input.byte()?);
            let start = out.len().checked_sub(distance + 1).ok_or(RdbError::Format)?;
            // The copy may reach into itself, which repeats what is there.
            for position in start..start + count + 2 {
                out.push(out[position]);
            }
        }
        if out.len() > len {
            return Err(RdbError::Format);
        }
    }
    if out.len() == len { Ok(out) } else { Err(RdbError::Format) }
}
