//! Where values end, type by type, and where they can be cut.

use super::{Feed, FileError, Input, PART_BYTES, Result};
use crate::engine::rdb::{kind, length};

/// What elements and values are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    String,
    Length,
    /// So many bytes.
    Bytes(u8),
    /// A number as digits after their count.
    Decimal,
}

/// How the value of a type is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// These, one after the other.
    Plain(&'static [Atom]),
    /// So many bytes, a count, and as many elements, each of these.
    Elements(u8, &'static [Atom]),
    Stream,
}

pub(super) fn form_of(kind: u8) -> Option<Form> {
    use Atom::{Bytes, Decimal, Length, String};
    Some(match kind {
        kind::STRING
        | kind::LIST_ZIPLIST
        | kind::SET_INTSET
        | kind::ZSET_ZIPLIST
        | kind::HASH_ZIPLIST
        | kind::HASH_LISTPACK
        | kind::ZSET_LISTPACK
        | kind::SET_LISTPACK => Form::Plain(&[String]),
        kind::HASH_LISTPACK_EX => Form::Plain(&[Bytes(8), String]),
        kind::LIST | kind::SET | kind::LIST_QUICKLIST => Form::Elements(0, &[String]),
        kind::LIST_QUICKLIST_2 => Form::Elements(0, &[Length, String]),
        kind::ZSET => Form::Elements(0, &[String, Decimal]),
        kind::ZSET_2 => Form::Elements(0, &[String, Bytes(8)]),
        kind::HASH => Form::Elements(0, &[String, String]),
        kind::HASH_METADATA => Form::Elements(8, &[Length, String, String]),
        kind::HASH_DEADLINES => Form::Elements(0, &[String, String, Bytes(8)]),
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
            Form::Stream
        }
        _ => return None,
    })
}

/// A value that is being read.
pub(super) struct Open {
    kind: u8,
    form: Form,
    /// What goes before the count in each part.
    head: Vec<u8>,
    /// Elements that are still to come.
    left: u64,
}

impl Open {
    pub fn begin(kind: u8, form: Form) -> Self {
        Self { kind, form, head: vec![kind], left: 0 }
    }

    /// Reads on to the end of a part, which is then what the input has taken. Whether that is the
    /// end of the value.
    pub fn read_part<F: Feed>(&mut self, input: &mut Input<F>, goes_on: bool) -> Result<bool, F> {
        match self.form {
            Form::Plain(atoms) => atoms.iter().try_for_each(|atom| input.atom(*atom))?,
            Form::Stream => input.stream(self.kind)?,
            Form::Elements(head_bytes, atoms) => {
                if !goes_on {
                    input.take(head_bytes.into())?;
                    self.head.clone_from(&input.taken);
                    // The count of the part is written when it is known.
                    input.takes = false;
                    self.left = input.length()?;
                }
                return self.read_elements(input, atoms);
            }
        }
        Ok(true)
    }

    fn read_elements<F: Feed>(&mut self, input: &mut Input<F>, atoms: &[Atom]) -> Result<bool, F> {
        input.takes = true;
        input.taken.clone_from(&self.head);
        input.taken.push(length::BITS_64);
        let count_at = input.taken.len();
        input.taken.extend_from_slice(&[0; 8]);
        let mut count = 0u64;
        while self.left > 0 && input.taken.len() < PART_BYTES {
            atoms.iter().try_for_each(|atom| input.atom(*atom))?;
            self.left -= 1;
            count += 1;
        }
        input.taken[count_at..count_at + 8].copy_from_slice(&count.to_be_bytes());
        Ok(self.left == 0)
    }
}

impl<F: Feed> Input<F> {
    fn atom(&mut self, atom: Atom) -> Result<(), F> {
        match atom {
            Atom::String => self.string(),
            Atom::Length => self.length().map(drop),
            Atom::Bytes(len) => self.take(len.into()),
            Atom::Decimal => match self.byte()? {
                // Stand for no number and for the infinite ones.
                253..=255 => Ok(()),
                len => self.take(len.into()),
            },
        }
    }

    fn lengths(&mut self, count: usize) -> Result<(), F> {
        (0..count).try_for_each(|_| self.length().map(drop))
    }

    /// Listpacks under the ids that they begin with, counters, and groups.
    fn stream(&mut self, kind: u8) -> Result<(), F> {
        let is_first_form = kind == kind::STREAM_LISTPACKS;
        for _ in 0..self.length()? {
            self.string()?;
            self.string()?;
        }
        // The length and the last id; the first id, the last deleted one and how many were added.
        self.lengths(if is_first_form { 3 } else { 8 })?;
        for _ in 0..self.length()? {
            self.string()?;
            self.lengths(if is_first_form { 2 } else { 3 })?;
            for _ in 0..self.length()? {
                self.take(16 + 8)?;
                self.length()?;
            }
            for _ in 0..self.length()? {
                self.string()?;
                self.take(if kind == kind::STREAM_LISTPACKS_3 { 16 } else { 8 })?;
                let pending = self.length()?;
                let bytes = pending.checked_mul(16).ok_or(FileError::Damaged)?;
                self.take(bytes)?;
            }
        }
        Ok(())
    }
}
