//! Redis's packed collections: listpacks, ziplists before 7.0, and intsets.

use super::read::Input;
use super::{RdbError, Result};

/// Goes over a packed sequence from its front.
pub(super) trait Items: Sized {
    /// Checks the header of a sequence.
    fn items(bytes: &[u8]) -> Result<Sequence<'_, Self>>;

    /// The next item; `None` at the end mark.
    fn next<'a>(input: &mut Input<'a>) -> Result<Option<Item<'a>>>;
}

/// An item is bytes, or an integer that stands for its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Bytes(&'a [u8]),
    Integer(i64),
}

impl<'a> Item<'a> {
    pub fn with<T>(self, read: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Bytes(bytes) => read(bytes),
            Self::Integer(integer) => read(itoa::Buffer::new().format(integer).as_bytes()),
        }
    }

    pub fn integer(self) -> Result<i64> {
        match self {
            Self::Integer(integer) => Ok(integer),
            Self::Bytes(bytes) => {
                crate::engine::number::parse_integer(bytes).ok_or(RdbError::Format)
            }
        }
    }
}

/// Takes an item as bytes.
pub(super) type Visit<'v> = dyn FnMut(&[u8]) -> Result<()> + 'v;

/// Takes two items that belong together, such as a field and its value.
pub(super) type VisitPair<'v> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'v;

pub(super) struct Sequence<'a, T> {
    input: Input<'a>,
    form: std::marker::PhantomData<T>,
}

impl<'a, T: Items> Sequence<'a, T> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { input: Input::new(bytes), form: std::marker::PhantomData }
    }

    /// The next item; `None` at the end, which must be that of the bytes.
    pub fn next(&mut self) -> Result<Option<Item<'a>>> {
        match T::next(&mut self.input)? {
            None if !self.input.is_empty() => Err(RdbError::Format),
            item => Ok(item),
        }
    }

    /// An item that must be there.
    pub fn item(&mut self) -> Result<Item<'a>> {
        self.next()?.ok_or(RdbError::Format)
    }

    pub fn each(mut self, visit: &mut Visit<'_>) -> Result<()> {
        while let Some(item) = self.next()? {
            item.with(&mut *visit)?;
        }
        Ok(())
    }

    pub fn each_pair(mut self, visit: &mut VisitPair<'_>) -> Result<()> {
        while let Some(first) = self.next()? {
            let second = self.item()?;
            first.with(|first| second.with(|second| visit(first, second)))?;
        }
        Ok(())
    }
}

const END: u8 = 0xff;

/// Header: the number of all bytes (4), of the items (2, which may be told as unknown); then items,
/// each with its size behind it for going backwards; then a byte 255.
pub(super) enum Listpack {}

impl Items for Listpack {
    fn items(bytes: &[u8]) -> Result<Sequence<'_, Self>> {
        header(bytes, 2).map(Sequence::new)
    }

    fn next<'a>(input: &mut Input<'a>) -> Result<Option<Item<'a>>> {
        let first = input.byte()?;
        let (head, item) = match first {
            0x00..0x80 => (1, Item::Integer(first.into())),
            0x80..0xc0 => (1, Item::Bytes(input.take(usize::from(first & 0x3f))?)),
            0xc0..0xe0 => {
                let bits = i16::from(first & 0x1f) << 8 | i16::from(input.byte()?);
                (2, Item::Integer((bits << 3 >> 3).into()))
            }
            0xe0..0xf0 => {
                let len = usize::from(first & 0x0f) << 8 | usize::from(input.byte()?);
                (2, Item::Bytes(input.take(len)?))
            }
            0xf0 => {
                let len = u32::from_le_bytes(input.array()?);
                (5, Item::Bytes(input.take(len as usize)?))
            }
            0xf1 => (3, Item::Integer(i16::from_le_bytes(input.array()?).into())),
            0xf2 => (4, Item::Integer(integer_24(input.array()?))),
            0xf3 => (5, Item::Integer(i32::from_le_bytes(input.array()?).into())),
            0xf4 => (9, Item::Integer(i64::from_le_bytes(input.array()?))),
            END => return Ok(None),
            _ => return Err(RdbError::Format),
        };
        let size = match item {
            Item::Bytes(bytes) => head + bytes.len(),
            Item::Integer(_) => head,
        };
        input.take(back_len(size))?;
        Ok(Some(item))
    }
}

/// How many bytes the size of an item takes behind it.
fn back_len(size: usize) -> usize {
    match size {
        0..128 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Header: the number of all bytes (4), where the last item is (4), the number of items (2); then
/// items, each after the size of the one before it; then a byte 255.
pub(super) enum Ziplist {}

impl Items for Ziplist {
    fn items(bytes: &[u8]) -> Result<Sequence<'_, Self>> {
        header(bytes, 6).map(Sequence::new)
    }

    fn next<'a>(input: &mut Input<'a>) -> Result<Option<Item<'a>>> {
        match input.byte()? {
            END => return Ok(None),
            0xfe => drop(input.take(4)?),
            _ => {}
        }
        let first = input.byte()?;
        Ok(Some(match first {
            0x00..0x40 => Item::Bytes(input.take(first.into())?),
            0x40..0x80 => {
                let len = usize::from(first & 0x3f) << 8 | usize::from(input.byte()?);
                Item::Bytes(input.take(len)?)
            }
            0x80 => {
                let len = u32::from_be_bytes(input.array()?);
                Item::Bytes(input.take(len as usize)?)
            }
            0xc0 => Item::Integer(i16::from_le_bytes(input.array()?).into()),
            0xd0 => Item::Integer(i32::from_le_bytes(input.array()?).into()),
            0xe0 => Item::Integer(i64::from_le_bytes(input.array()?)),
            0xf0 => Item::Integer(integer_24(input.array()?)),
            0xfe => Item::Integer(i8::from_le_bytes(input.array()?).into()),
            0xf1..=0xfd => Item::Integer(i64::from(first & 0x0f) - 1),
            _ => return Err(RdbError::Format),
        }))
    }
}

/// Skips a header that begins with the number of all bytes and has `more` bytes after it.
fn header(bytes: &[u8], more: usize) -> Result<&[u8]> {
    let mut input = Input::new(bytes);
    if u32::from_le_bytes(input.array()?) as usize != bytes.len() {
        return Err(RdbError::Format);
    }
    input.take(more)?;
    Ok(&bytes[4 + more..])
}

fn integer_24([low, middle, high]: [u8; 3]) -> i64 {
    i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
}

/// The size of a member (4 bytes), their number (4), the members in rising order.
pub(super) fn intset(bytes: &[u8], visit: &mut Visit<'_>) -> Result<()> {
    let mut input = Input::new(bytes);
    let size = u32::from_le_bytes(input.array()?);
    for _ in 0..u32::from_le_bytes(input.array()?) {
        let member = match size {
            2 => i16::from_le_bytes(input.array()?).into(),
            4 => i32::from_le_bytes(input.array()?).into(),
            8 => i64::from_le_bytes(input.array()?),
            _ => return Err(RdbError::Format),
        };
        Item::Integer(member).with(&mut *visit)?;
    }
    if input.is_empty() { Ok(()) } else { Err(RdbError::Format) }
}

/// Writes a [`Listpack`].
pub(super) struct ListpackWriter {
    bytes: Vec<u8>,
    count: usize,
}

impl ListpackWriter {
    pub fn new() -> Self {
        // Room for the header.
        Self { bytes: vec![0; 6], count: 0 }
    }

    pub fn integer(&mut self, integer: i64) {
        let start = self.bytes.len();
        let bytes = integer.to_le_bytes();
        match integer {
            0..0x80 => self.bytes.push(bytes[0]),
            -0x1000..0x1000 => self.bytes.extend([0xc0 | bytes[1] & 0x1f, bytes[0]]),
            _ => {
                let (first, len) = match integer {
                    -0x8000..0x8000 => (0xf1, 2),
                    -0x80_0000..0x80_0000 => (0xf2, 3),
                    -0x8000_0000..0x8000_0000 => (0xf3, 4),
                    _ => (0xf4, 8),
                };
                self.bytes.push(first);
                self.bytes.extend_from_slice(&bytes[..len]);
            }
        }
        self.end_item(start);
    }

    pub fn string(&mut self, string: &[u8]) {
        let start = self.bytes.len();
        match string.len() {
            len @ 0..0x40 => self.bytes.push(0x80 | len as u8),
            len @ 0x40..0x1000 => self.bytes.extend([0xe0 | (len >> 8) as u8, len as u8]),
            len => {
                self.bytes.push(0xf0);
                self.bytes.extend_from_slice(&(len as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(string);
        self.end_item(start);
    }

    /// Writes the size of the item, in 7 bits a byte, of which all but the first byte are marked.
    fn end_item(&mut self, start: usize) {
        let size = self.bytes.len() - start;
        let len = back_len(size);
        for position in (0..len).rev() {
            let mark = if position + 1 == len { 0 } else { 0x80 };
            self.bytes.push((size >> (7 * position)) as u8 & 0x7f | mark);
        }
        self.count += 1;
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_le_bytes());
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        self.bytes[4..6].copy_from_slice(&count.to_le_bytes());
        self.bytes
    }
}
