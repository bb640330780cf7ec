//! A hash: fields with values. Small ones are one packed sequence of pairs, searched from the
//! front; larger ones a table that keeps an order.
//!
//! Order: a new field comes last; the last field takes the place of one that is removed. Both forms
//! keep it alike, so the order is a function of the operations alone. A table stays a table, as in
//! Redis, which OBJECT ENCODING shows.
//!
//! Fields may expire. A hash of which none does is one of these two forms alone, and pays nothing
//! for it.

mod expiring;
mod pairs;
mod table;

use std::fmt;
use std::hash::{Hash as HashKey, Hasher};
use std::mem;

use super::{COMPACT_LEN_MAX, COMPACT_STRING_BYTES_MAX};
use crate::engine::error::CommandError;
use crate::engine::value::{Kind, Value};
use crate::raft::types::Millis;
use expiring::FieldDeadlines;
pub use expiring::View;
use pairs::Pairs;
use table::Table;

/// It lies within a [`Value`], so that a small hash is one allocation.
const _: () = assert!(size_of::<Hash>() == 16);

/// No deadline of a field is later: Redis keeps the two highest bits of the 48 that it has for one.
pub const FIELD_DEADLINE_MAX_MS: Millis = (1 << 46) - 1;

#[derive(Clone, Default)]
pub struct Hash {
    form: Form,
}

#[derive(Clone)]
enum Form {
    Packed(Pairs),
    Large(Box<Large>),
}

#[derive(Clone)]
enum Large {
    Table(Table),
    /// Some field has a deadline.
    Expiring(Expiring),
}

/// Invariant: `fields` is of another form, and has each field of `deadlines`, of which there is
/// one at least.
#[derive(Clone)]
struct Expiring {
    fields: Hash,
    deadlines: FieldDeadlines,
}

/// The form of a hash, however deep it lies.
enum Parts<'a> {
    Packed(&'a Pairs),
    Table(&'a Table),
    Expiring(&'a Expiring),
}

/// As [`Parts`].
enum PartsMut<'a> {
    Packed(&'a mut Pairs),
    Table(&'a mut Table),
    Expiring(&'a mut Expiring),
}

/// How a hash lies in memory; a part of what every node has alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashEncoding {
    Listpack,
    Hashtable,
}

impl HashEncoding {
    /// What OBJECT ENCODING calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listpack => "listpack",
            Self::Hashtable => "hashtable",
        }
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::Packed(Pairs::default())
    }
}

impl Form {
    fn table(table: Table) -> Self {
        Self::Large(Box::new(Large::Table(table)))
    }
}

impl Hash {
    /// Takes over the fields of another one, with their deadlines.
    pub fn append(&mut self, other: &Self) {
        for (field, value) in other.iter() {
            self.set(field, value);
            if let Some(at_ms) = other.deadline(field) {
                self.set_deadline(field, at_ms);
            }
        }
    }

    /// An empty hash in a given form, to be filled in order with the content of another.
    pub fn with_encoding(encoding: HashEncoding) -> Self {
        let form = match encoding {
            HashEncoding::Listpack => Form::default(),
            HashEncoding::Hashtable => Form::table(Table::default()),
        };
        Self { form }
    }

    #[inline]
    fn parts(&self) -> Parts<'_> {
        match &self.form {
            Form::Packed(pairs) => Parts::Packed(pairs),
            Form::Large(large) => match &**large {
                Large::Table(table) => Parts::Table(table),
                Large::Expiring(expiring) => Parts::Expiring(expiring),
            },
        }
    }

    #[inline]
    fn parts_mut(&mut self) -> PartsMut<'_> {
        match &mut self.form {
            Form::Packed(pairs) => PartsMut::Packed(pairs),
            Form::Large(large) => match &mut **large {
                Large::Table(table) => PartsMut::Table(table),
                Large::Expiring(expiring) => PartsMut::Expiring(expiring),
            },
        }
    }

    pub fn encoding(&self) -> HashEncoding {
        match self.parts() {
            Parts::Packed(_) => HashEncoding::Listpack,
            Parts::Table(_) => HashEncoding::Hashtable,
            Parts::Expiring(expiring) => expiring.fields.encoding(),
        }
    }

    /// The logical size: a function of the content and the encoding.
    #[inline]
    pub fn bytes(&self) -> usize {
        match self.parts() {
            Parts::Packed(pairs) => pairs.size(),
            Parts::Table(table) => table.bytes(),
            Parts::Expiring(expiring) => expiring.fields.bytes() + expiring.deadlines.bytes(),
        }
    }

    /// The number of fields.
    #[inline]
    pub fn len(&self) -> usize {
        match self.parts() {
            Parts::Packed(pairs) => pairs.len(),
            Parts::Table(table) => table.len(),
            Parts::Expiring(expiring) => expiring.fields.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        match self.parts() {
            Parts::Packed(pairs) => pairs.get(field),
            Parts::Table(table) => table.get(field),
            Parts::Expiring(expiring) => expiring.fields.get(field),
        }
    }

    pub fn contains(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// The field at `index` of the order, and its value.
    pub fn at(&self, index: usize) -> Option<(&[u8], &[u8])> {
        match self.parts() {
            Parts::Packed(pairs) => pairs.iter().nth(index),
            Parts::Table(table) => table.at(index),
            Parts::Expiring(expiring) => expiring.fields.at(index),
        }
    }

    /// All fields with their values, in order.
    pub fn iter(&self) -> Iter<'_> {
        match self.parts() {
            Parts::Packed(pairs) => Iter::Packed(pairs.iter()),
            Parts::Table(table) => Iter::Table(table.iter()),
            Parts::Expiring(expiring) => expiring.fields.iter(),
        }
    }

    /// Sets fields to values, which are given in turn, as [`Hash::set`] does; tells how many are
    /// new.
    pub fn set_all(&mut self, pairs: &[&[u8]]) -> usize {
        if let Form::Packed(packed) = &mut self.form
            && packed.len() + pairs.len() / 2 <= COMPACT_LEN_MAX
            && pairs.iter().all(|bytes| bytes.len() <= COMPACT_STRING_BYTES_MAX)
        {
            return packed.set_all(pairs);
        }
        pairs.chunks_exact(2).filter(|pair| self.set(pair[0], pair[1])).count()
    }

    /// Sets the field, which then has no deadline, and tells whether it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let is_new = self.set_value(field, value);
        self.clear_deadline(field);
        is_new
    }

    /// Sets the field, whose deadline stays, and tells whether it is new.
    pub fn set_value(&mut self, field: &[u8], value: &[u8]) -> bool {
        if field.len().max(value.len()) > COMPACT_STRING_BYTES_MAX {
            self.make_table();
        }
        match self.parts_mut() {
            PartsMut::Packed(pairs) => {
                let is_new = pairs.set(field, value);
                if pairs.len() > COMPACT_LEN_MAX {
                    self.make_table();
                }
                is_new
            }
            PartsMut::Table(table) => table.set(field, value),
            PartsMut::Expiring(expiring) => expiring.fields.set_value(field, value),
        }
    }

    /// Removes the field, and tells whether there was one.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self.parts_mut() {
            PartsMut::Packed(pairs) => pairs.remove(field),
            PartsMut::Table(table) => table.remove(field),
            PartsMut::Expiring(expiring) => {
                let is_removed = expiring.fields.remove(field);
                self.clear_deadline(field);
                is_removed
            }
        }
    }

    /// What of the hash is there at this time.
    #[inline]
    pub fn at_time(&self, clock_ms: Millis) -> View<'_> {
        View::new(self, clock_ms)
    }

    #[inline]
    fn deadlines(&self) -> Option<&FieldDeadlines> {
        match self.parts() {
            Parts::Expiring(expiring) => Some(&expiring.deadlines),
            Parts::Packed(_) | Parts::Table(_) => None,
        }
    }

    /// When the field expires, if ever.
    pub fn deadline(&self, field: &[u8]) -> Option<Millis> {
        self.deadlines().and_then(|deadlines| deadlines.of(field))
    }

    /// The fields that expire, and when, in this order.
    pub fn expiring_fields(&self) -> impl Iterator<Item = (&[u8], Millis)> {
        self.deadlines().into_iter().flat_map(FieldDeadlines::iter)
    }

    /// When the first of the fields expires. 0: none does.
    #[inline]
    pub fn first_deadline(&self) -> Millis {
        self.deadlines().and_then(FieldDeadlines::first).unwrap_or(0)
    }

    /// Whether no field is left at this time.
    pub fn is_over(&self, clock_ms: Millis) -> bool {
        self.deadlines().is_some_and(|deadlines| {
            deadlines.len() == self.len() && deadlines.last().is_some_and(|at| at <= clock_ms)
        })
    }

    /// Gives the field a deadline in the place of the one it may have. False, and nothing changes,
    /// when there is no such field.
    ///
    /// Precondition: the deadline is not 0.
    pub fn set_deadline(&mut self, field: &[u8], at_ms: Millis) -> bool {
        if !self.contains(field) {
            return false;
        }
        if self.deadlines().is_none() {
            let fields = mem::take(self);
            let expiring = Expiring { fields, deadlines: FieldDeadlines::default() };
            self.form = Form::Large(Box::new(Large::Expiring(expiring)));
        }
        if let PartsMut::Expiring(expiring) = self.parts_mut() {
            expiring.deadlines.set(field, at_ms);
        }
        true
    }

    /// Takes the deadline of the field away, and tells whether there was one.
    #[inline]
    pub fn clear_deadline(&mut self, field: &[u8]) -> bool {
        let PartsMut::Expiring(expiring) = self.parts_mut() else { return false };
        let is_cleared = expiring.deadlines.clear(field);
        self.settle();
        is_cleared
    }

    /// Removes fields that are due, at most `limit`, and tells how many went.
    pub fn remove_due(&mut self, clock_ms: Millis, limit: usize) -> usize {
        let mut removed = 0;
        while removed < limit
            && let PartsMut::Expiring(expiring) = self.parts_mut()
            && let Some(field) = expiring.deadlines.take_due(clock_ms)
        {
            expiring.fields.remove(&field);
            removed += 1;
            self.settle();
        }
        removed
    }

    /// A hash of which no field expires any more is again as if none ever had.
    fn settle(&mut self) {
        if let PartsMut::Expiring(expiring) = self.parts_mut()
            && expiring.deadlines.is_empty()
        {
            *self = mem::take(&mut expiring.fields);
        }
    }

    /// A part of the fields for HSCAN, and the cursor to go on with: 0 at the end.
    ///
    /// A small hash is one part. A table is walked from its end downwards, and the cursor is the
    /// number of fields before those that have been seen. Every field that stays is seen: a field
    /// below the cursor is moved only by `swap_remove`, as the last one and to a lower index, hence
    /// stays below the cursor; above it are only fields that were seen or came later. The order is
    /// the same on every node, so a cursor is good on another node too.
    pub fn scan(&self, cursor: u64, count: usize) -> (u64, Iter<'_>) {
        let table = match self.parts() {
            Parts::Packed(_) => return (0, self.iter()),
            Parts::Table(table) => table,
            Parts::Expiring(expiring) => return expiring.fields.scan(cursor, count),
        };
        let (next, range) = super::scan_range(table.len(), cursor, count);
        (next, Iter::Table(table.range(range)))
    }

    /// Changes the small form to the large one.
    pub fn make_table(&mut self) {
        let pairs = match self.parts_mut() {
            PartsMut::Packed(pairs) => pairs,
            PartsMut::Table(_) => return,
            PartsMut::Expiring(expiring) => return expiring.fields.make_table(),
        };
        let mut table = Table::with_capacity(pairs.len() + 1);
        for (field, value) in pairs.iter() {
            table.set(field, value);
        }
        self.form = Form::table(table);
    }
}

/// Fields with their values, in order.
#[derive(Clone, Debug)]
pub enum Iter<'a> {
    Packed(pairs::Iter<'a>),
    Table(table::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(iter) => iter.next(),
            Self::Table(iter) => iter.next(),
        }
    }
}

/// The content in order, however it lies in memory.
impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.iter().map(|(field, value)| {
            let text = (field.escape_ascii().to_string(), value.escape_ascii().to_string());
            (text.0, (text.1, self.deadline(field)))
        });
        formatter.debug_map().entries(pairs).finish()
    }
}

/// The content in order, however it lies in memory.
impl HashKey for Hash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.iter().for_each(|pair| pair.hash(state));
        self.expiring_fields().for_each(|field| field.hash(state));
    }
}

impl Kind for Hash {
    fn of(value: &Value) -> Result<&Self, CommandError> {
        match value {
            Value::Hash(hash) => Ok(hash),
            _ => Err(CommandError::WrongType),
        }
    }

    fn of_mut(value: &mut Value) -> Result<&mut Self, CommandError> {
        match value {
            Value::Hash(hash) => Ok(hash),
            _ => Err(CommandError::WrongType),
        }
    }

    fn empty() -> Value {
        Value::Hash(Self::default())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
