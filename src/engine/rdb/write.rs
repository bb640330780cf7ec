//! Writes values in their plain forms.

use super::{form, kind, length, stream};
use crate::engine::number::parse_integer;
use crate::engine::types::hash::Hash;
use crate::engine::types::string::Digits;
use crate::engine::value::Value;

/// Integers of more digits than an `i32` has are written as text.
const INTEGER_LEN_MAX: usize = 11;

/// Type and value.
pub(super) fn value(value: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    match value {
        Value::String(value) => {
            out.byte(kind::STRING);
            out.string(value.as_bytes(&mut Digits::default()));
        }
        Value::List(list) => {
            out.begin(kind::LIST, list.len());
            list.iter().for_each(|element| out.string(element));
        }
        Value::Set(set) => {
            out.begin(kind::SET, set.len());
            set.iter().for_each(|member| out.string(&member));
        }
        Value::Hash(hash) if hash.first_deadline() != 0 => out.expiring_hash(hash),
        Value::Hash(hash) => {
            out.begin(kind::HASH, hash.len());
            for (field, value) in hash.iter() {
                out.string(field);
                out.string(value);
            }
        }
        Value::SortedSet(sorted_set) => {
            out.begin(kind::ZSET_2, sorted_set.len());
            for (member, score) in sorted_set.entries() {
                out.string(member);
                out.bytes.extend_from_slice(&score.to_le_bytes());
            }
        }
        Value::Stream(stream) => {
            out.byte(kind::STREAM_LISTPACKS_2);
            stream::write(&mut out, stream);
        }
    }
    out.bytes
}

#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn begin(&mut self, kind: u8, len: usize) {
        self.byte(kind);
        self.length(len as u64);
    }

    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub fn length(&mut self, length: u64) {
        match length {
            0..0x40 => self.byte(length::BITS_6 << 6 | length as u8),
            0x40..0x4000 => {
                self.byte(length::BITS_14 << 6 | (length >> 8) as u8);
                self.byte(length as u8);
            }
            _ => match u32::try_from(length) {
                Ok(length) => {
                    self.byte(length::BITS_32);
                    self.bytes.extend_from_slice(&length.to_be_bytes());
                }
                Err(_) => {
                    self.byte(length::BITS_64);
                    self.bytes.extend_from_slice(&length.to_be_bytes());
                }
            },
        }
    }

    fn expiring_hash(&mut self, hash: &Hash) {
        let first = hash.first_deadline();
        self.byte(kind::HASH_METADATA);
        self.raw(&first.to_le_bytes());
        self.length(hash.len() as u64);
        for (field, value) in hash.iter() {
            self.length(hash.deadline(field).map_or(0, |at_ms| at_ms - first + 1));
            self.string(field);
            self.string(value);
        }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes without their length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub fn string(&mut self, bytes: &[u8]) {
        let integer = Some(bytes).filter(|bytes| bytes.len() <= INTEGER_LEN_MAX);
        let integer = integer.and_then(parse_integer).and_then(|number| i32::try_from(number).ok());
        if let Some(integer) = integer {
            return self.integer(integer);
        }
        self.length(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn integer(&mut self, integer: i32) {
        let (form, len) = match integer {
            -0x80..0x80 => (form::INT_8, 1),
            -0x8000..0x8000 => (form::INT_16, 2),
            _ => (form::INT_32, 4),
        };
        self.byte(length::STRING_FORM << 6 | form);
        self.bytes.extend_from_slice(&integer.to_le_bytes()[..len]);
    }
}
