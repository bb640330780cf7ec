//! Values in the form that DUMP gives and RESTORE takes: that of Redis's snapshot files, one value
//! at a time. Knows neither keys nor RESP.
//!
//! ```text
//! type (1 byte), value, version of the format (2), CRC-64 of all before (8)
//! ```
//!
//! Written are the plain forms, which every Redis since 7.0 reads and packs as it likes: what is
//! packed here need not be packed there. Read are the packed forms too, of any Redis since 2.6 but
//! for zipmaps, modules, and what only release candidates wrote: those are refused, not read in
//! part. [`file`] takes whole files apart into such values.
//! Numbers are little-endian unless told otherwise. Whatever the bytes, reading ends with a value
//! or an error, and takes no more memory than they and what they unpack to need.

mod crc64;
pub mod file;
mod library;
mod packed;
mod read;
mod stream;
mod write;

pub use library::{dump_libraries, load_libraries};

use super::value::Value;

/// What is written: of Redis 7.0. A newer version would be refused there.
const VERSION: u16 = 10;

/// What is written of a hash with fields that expire: of Redis 7.4, the first that has them. An
/// older one refuses it. It is the newest version whose forms are known.
const VERSION_EXPIRING: u16 = 12;

/// What Valkey writes from 9.0 on. Its hashes with fields that expire are its own.
const VERSION_VALKEY: u16 = 80;

/// Of the version and the checksum.
pub const FOOTER_BYTES: usize = 10;

/// Types of values, as the first byte tells them.
mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// With scores in decimal digits.
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    /// With scores of 8 bytes.
    pub const ZSET_2: u8 = 5;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
    /// Valkey's, with a deadline behind each value (8), -1 for none. In release candidates of Redis
    /// the number stood for another form.
    pub const HASH_DEADLINES: u8 = 22;
    /// With deadlines of fields: the first one (8), then with each field how much later than 1
    /// before the first one its own is, 0 for none.
    pub const HASH_METADATA: u8 = 24;
    /// With deadlines of fields: the first one (8), then fields, values, and deadlines.
    pub const HASH_LISTPACK_EX: u8 = 25;
}

/// The first two bits of a length, or all eight.
mod length {
    pub const BITS_6: u8 = 0;
    pub const BITS_14: u8 = 1;
    /// Followed by 4 bytes, the high one first.
    pub const BITS_32: u8 = 0x80;
    /// Followed by 8 bytes, the high one first.
    pub const BITS_64: u8 = 0x81;
    /// The other six bits tell in what form a string is.
    pub const STRING_FORM: u8 = 3;
}

/// Forms of a string other than its bytes.
mod form {
    pub const INT_8: u8 = 0;
    pub const INT_16: u8 = 1;
    pub const INT_32: u8 = 2;
    pub const LZF: u8 = 3;
}

/// Why bytes are not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RdbError {
    #[error("the version or the checksum is wrong")]
    Footer,
    #[error("the value is damaged, or in a form that is not known")]
    Format,
}

type Result<T> = std::result::Result<T, RdbError>;

/// The value with its type, version and checksum.
pub fn dump(value: &Value) -> Vec<u8> {
    let version = if value.field_deadline() == 0 { VERSION } else { VERSION_EXPIRING };
    close(write::value(value), version)
}

/// Puts version and checksum behind the body of a payload.
fn close(mut bytes: Vec<u8>, version: u16) -> Vec<u8> {
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&crc64::checksum(&bytes).to_le_bytes());
    bytes
}

/// What [`dump`] made, here or in Redis.
pub fn load(payload: &[u8]) -> Result<Value> {
    let (body, version) = body_of(payload)?;
    if body.first() == Some(&kind::HASH_DEADLINES) && version != VERSION_VALKEY {
        return Err(RdbError::Format);
    }
    read::value(body)
}

/// The body of a payload whose version and checksum are right, and the version.
fn body_of(payload: &[u8]) -> Result<(&[u8], u16)> {
    let Some((body, footer)) = payload.split_last_chunk::<FOOTER_BYTES>() else {
        return Err(RdbError::Footer);
    };
    let [v0, v1, crc @ ..] = *footer;
    let summed = &payload[..body.len() + 2];
    let version = u16::from_le_bytes([v0, v1]);
    let is_known = version <= VERSION_EXPIRING || version == VERSION_VALKEY;
    if !is_known || crc64::checksum(summed) != u64::from_le_bytes(crc) {
        return Err(RdbError::Footer);
    }
    Ok((body, version))
}

#[cfg(test)]
mod tests;
