//! Reads a whole snapshot file of Redis or Valkey, as a replica is sent it, piece by piece: what is
//! read of it is handed on as payloads that RESTORE takes, and never held as a whole.
//!
//! ```text
//! "REDIS" and 4 digits, or "VALKEY" and 3: the version
//! opcodes, each with what belongs to it; a byte that is none is the type of a value:
//!   type, key, value
//! the opcode of the end, CRC-64 of all before (8)
//! ```
//!
//! A value is not unpacked here. Its bytes are taken over as they are, as far as it has to be
//! understood where it ends, and a footer is put behind them. A collection of more than
//! [`PART_BYTES`] is cut into parts, each of which is a payload of its own with the same key.
//! Whatever the bytes, reading ends with the end or an error, and holds no more than one part, or
//! one string, or one stream.

mod value;

use super::{VERSION_EXPIRING, VERSION_VALKEY, close, crc64, kind, length};
use crate::raft::types::Millis;

/// Bytes after which a part of a collection ends: what is read of one at once delays everything
/// else. Packed elements may be a few hundred times as large when they are unpacked.
pub const PART_BYTES: usize = 256 << 10;

/// Bytes of a string, or of another value that cannot be cut into parts, with what is around: Redis
/// has no longer strings by default.
pub const WHOLE_BYTES_MAX: usize = 520 << 20;

/// Bytes that are asked for at once of a string: a wrong length then takes no memory.
const PIECE_BYTES: usize = 1 << 20;

/// Where the bytes of a file come from.
pub trait Feed {
    type Error;

    /// Fills all of `buffer`.
    fn fill(&mut self, buffer: &mut [u8]) -> std::result::Result<(), Self::Error>;
}

impl<F: Feed> Feed for &mut F {
    type Error = F::Error;

    fn fill(&mut self, buffer: &mut [u8]) -> std::result::Result<(), F::Error> {
        (**self).fill(buffer)
    }
}

/// Why a file cannot be read. Keys are shown as far as they are text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError<E> {
    /// The bytes did not come.
    #[error(transparent)]
    Feed(E),
    #[error("this is no snapshot of Redis or Valkey")]
    Magic,
    #[error("snapshots of version {0} are not known")]
    Version(String),
    #[error("the snapshot is damaged")]
    Damaged,
    #[error("the checksum of the snapshot is wrong")]
    Checksum,
    #[error("the snapshot has the opcode {0}, which is not known")]
    Opcode(u8),
    #[error("key '{key}' has a value of the type {kind}, which is not known")]
    Kind { kind: u8, key: String },
    #[error("key '{0}' has a value of a module")]
    ModuleValue(String),
    #[error("the module '{0}' has data of its own in the snapshot")]
    Module(String),
    #[error("key '{0}' has a value that is too large")]
    TooLarge(String),
}

/// What a file holds, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A name and a value that tell of the source.
    Aux { name: Vec<u8>, value: Vec<u8> },
    /// The code of a library of functions.
    Library(Vec<u8>),
    /// A value, or the first or a further part of one.
    Part(Part),
    /// The end, with a right checksum or none.
    End,
}

/// A value, or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Of the source, which may have more databases.
    pub database: u64,
    pub key: Vec<u8>,
    /// As RESTORE takes it.
    pub payload: Vec<u8>,
    /// What was read of this key before belongs to it.
    pub goes_on: bool,
    /// When the key expires, since the Unix epoch.
    pub deadline_ms: Option<Millis>,
    pub idle_seconds: Option<u64>,
    /// What the LFU policies count.
    pub use_counter: Option<u8>,
}

/// Opcodes.
mod opcode {
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION: u8 = 245;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQ: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZE_DB: u8 = 251;
    pub const EXPIRE_TIME_MS: u8 = 252;
    pub const EXPIRE_TIME: u8 = 253;
    pub const SELECT_DB: u8 = 254;
    pub const END: u8 = 255;
    /// Opcodes are at least this; types of values are below.
    pub const FIRST: u8 = 200;
}

/// Values that only modules understand.
const MODULE_KINDS: [u8; 2] = [6, 7];

type Result<T, F> = std::result::Result<T, FileError<<F as Feed>::Error>>;

/// Reads the items of a file one after the other.
pub struct FileReader<F> {
    input: Input<F>,
    /// The version of the payloads.
    version: u16,
    /// What the next value will have, but for the value.
    next: Part,
    /// The rest of a value that is cut into parts.
    open: Option<value::Open>,
    /// The types of this file that are only Valkey's are known.
    is_begun: bool,
}

impl<F: Feed> FileReader<F> {
    pub fn new(feed: F) -> Self {
        Self {
            input: Input { feed, crc: 0, taken: Vec::new(), takes: false },
            version: VERSION_EXPIRING,
            next: Part::default(),
            open: None,
            is_begun: false,
        }
    }

    /// The feed, which has given the file to its end and no more if that is what was read last.
    pub fn into_feed(self) -> F {
        self.input.feed
    }

    /// The feed, for who has to say something there.
    pub fn feed_mut(&mut self) -> &mut F {
        &mut self.input.feed
    }

    /// The next item. To be called no more after the end or an error.
    pub fn next_item(&mut self) -> Result<Item, F> {
        if !self.is_begun {
            self.begin()?;
        }
        if self.open.is_some() {
            return self.part(true).map(Item::Part);
        }
        loop {
            match self.input.byte()? {
                opcode::SELECT_DB => self.next.database = self.input.length()?,
                opcode::RESIZE_DB => self.skip_lengths(2)?,
                opcode::SLOT_INFO => self.skip_lengths(3)?,
                opcode::EXPIRE_TIME => {
                    let seconds = u32::from_le_bytes(self.input.array()?);
                    self.next.deadline_ms = Some((Millis::from(seconds) * 1000).max(1));
                }
                opcode::EXPIRE_TIME_MS => {
                    let at_ms = i64::from_le_bytes(self.input.array()?);
                    // What is before the epoch is past.
                    self.next.deadline_ms = Some(at_ms.max(1).unsigned_abs());
                }
                opcode::IDLE => self.next.idle_seconds = Some(self.input.length()?),
                opcode::FREQ => self.next.use_counter = Some(self.input.byte()?),
                opcode::AUX => {
                    let (name, value) = (self.input.text()?, self.input.text()?);
                    return Ok(Item::Aux { name, value });
                }
                opcode::FUNCTION => return Ok(Item::Library(self.input.text()?)),
                opcode::MODULE_AUX => self.skip_module()?,
                opcode::END => return self.end(),
                other @ opcode::FIRST.. => return Err(FileError::Opcode(other)),
                kind => return self.value(kind).map(Item::Part),
            }
        }
    }

    fn begin(&mut self) -> Result<(), F> {
        self.is_begun = true;
        let magic: [u8; 9] = self.input.array()?;
        let (digits, is_valkey) = match &magic {
            [b'R', b'E', b'D', b'I', b'S', digits @ ..] => (&digits[..], false),
            [b'V', b'A', b'L', b'K', b'E', b'Y', digits @ ..] => (&digits[..], true),
            _ => return Err(FileError::Magic),
        };
        let text = std::str::from_utf8(digits).map_err(|_| FileError::Magic)?;
        let version: u16 = text.parse().map_err(|_| FileError::Magic)?;
        self.version = match is_valkey {
            true if version == VERSION_VALKEY => VERSION_VALKEY,
            false if (1..=VERSION_EXPIRING).contains(&version) => VERSION_EXPIRING,
            _ => return Err(FileError::Version(text.to_owned())),
        };
        Ok(())
    }

    fn skip_lengths(&mut self, count: usize) -> Result<(), F> {
        (0..count).try_for_each(|_| self.input.length().map(drop))
    }

    /// What a module keeps beside keys: many write that they have nothing.
    fn skip_module(&mut self) -> Result<(), F> {
        let id = self.input.length()?;
        // In what form, and when it is to be read.
        self.skip_lengths(2)?;
        match self.input.length()? {
            0 => Ok(()),
            _ => Err(FileError::Module(module_name(id))),
        }
    }

    fn value(&mut self, kind: u8) -> Result<Part, F> {
        self.next.key = self.input.text()?;
        let shown = || String::from_utf8_lossy(&self.next.key).into_owned();
        if MODULE_KINDS.contains(&kind) {
            return Err(FileError::ModuleValue(shown()));
        }
        let is_valkey = self.version == VERSION_VALKEY;
        let is_known = kind != kind::HASH_DEADLINES || is_valkey;
        let form = value::form_of(kind).filter(|_| is_known);
        let form = form.ok_or_else(|| FileError::Kind { kind, key: shown() })?;
        self.input.begin_taking(kind);
        self.open = Some(value::Open::begin(kind, form));
        self.part(false)
    }

    /// The next part of the value that is open.
    fn part(&mut self, goes_on: bool) -> Result<Part, F> {
        let Self { input, open, next, version, .. } = self;
        let value = open.as_mut().expect("invariant: a value is read");
        let ended = value.read_part(input, goes_on).map_err(|error| match error {
            FileError::TooLarge(_) => {
                FileError::TooLarge(String::from_utf8_lossy(&next.key).into_owned())
            }
            error => error,
        })?;
        let payload = close(input.end_taking(), *version);
        let part = Part { payload, goes_on, ..next.clone() };
        if ended {
            *open = None;
            *next = Part { database: next.database, ..Part::default() };
        }
        Ok(part)
    }

    fn end(&mut self) -> Result<Item, F> {
        let crc = self.input.crc;
        let told = u64::from_le_bytes(self.input.array()?);
        // 0: the source makes none.
        if told != 0 && told != crc { Err(FileError::Checksum) } else { Ok(Item::End) }
    }
}

/// The name of a module type, 9 characters of 6 bits above 10 bits of version.
fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).map(|at| char::from(LETTERS[(id >> (58 - 6 * at) & 63) as usize])).collect()
}

/// Takes bytes from a feed, sums them up, and keeps those of a value.
struct Input<F> {
    feed: F,
    crc: u64,
    /// The bytes of the value that is read.
    taken: Vec<u8>,
    takes: bool,
}

impl<F: Feed> Input<F> {
    fn begin_taking(&mut self, kind: u8) {
        self.taken = vec![kind];
        self.takes = true;
    }

    fn end_taking(&mut self) -> Vec<u8> {
        self.takes = false;
        std::mem::take(&mut self.taken)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), F> {
        self.feed.fill(buffer).map_err(FileError::Feed)?;
        self.crc = crc64::update(self.crc, buffer);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], F> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        if self.takes {
            self.taken.extend_from_slice(&bytes);
        }
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, F> {
        self.array().map(|[byte]| byte)
    }

    /// A length, or in what form a string is.
    fn length_or_form(&mut self) -> Result<std::result::Result<u64, u8>, F> {
        let first = self.byte()?;
        Ok(Ok(match (first >> 6, first) {
            (length::BITS_6, _) => first.into(),
            (length::BITS_14, _) => u64::from(first & 0x3f) << 8 | u64::from(self.byte()?),
            (length::STRING_FORM, _) => return Ok(Err(first & 0x3f)),
            (_, length::BITS_32) => u32::from_be_bytes(self.array()?).into(),
            (_, length::BITS_64) => u64::from_be_bytes(self.array()?),
            _ => return Err(FileError::Damaged),
        }))
    }

    fn length(&mut self) -> Result<u64, F> {
        self.length_or_form()?.map_err(|_| FileError::Damaged)
    }

    /// `len` bytes behind those of the value.
    fn take(&mut self, len: u64) -> Result<(), F> {
        let too_large = || FileError::TooLarge(String::new());
        let mut missing = usize::try_from(len).map_err(|_| too_large())?;
        while missing > 0 {
            let (start, piece) = (self.taken.len(), missing.min(PIECE_BYTES));
            if start + piece > WHOLE_BYTES_MAX {
                return Err(too_large());
            }
            self.taken.resize(start + piece, 0);
            let mut taken = std::mem::take(&mut self.taken);
            let filled = self.fill(&mut taken[start..]);
            self.taken = taken;
            filled?;
            missing -= piece;
        }
        Ok(())
    }

    /// A string of a value.
    fn string(&mut self) -> Result<(), F> {
        use super::form::{INT_8, INT_16, INT_32, LZF};
        match self.length_or_form()? {
            Ok(len) => self.take(len),
            Err(INT_8) => self.take(1),
            Err(INT_16) => self.take(2),
            Err(INT_32) => self.take(4),
            Err(LZF) => {
                let packed = self.length()?;
                self.length()?;
                self.take(packed)
            }
            Err(_) => Err(FileError::Damaged),
        }
    }

    /// A string that is no part of a value, as what it stands for.
    fn text(&mut self) -> Result<Vec<u8>, F> {
        self.taken = Vec::new();
        self.takes = true;
        let read = self.string();
        let bytes = self.end_taking();
        read?;
        let text = super::read::Input::new(&bytes).string().map(std::borrow::Cow::into_owned);
        text.map_err(|_| FileError::Damaged)
    }
}

#[cfg(test)]
mod tests;
