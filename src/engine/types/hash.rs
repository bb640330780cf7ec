//! A hash: fields with values. Small ones are one packed sequence of fields and values in turn,
//! searched from the front; larger ones a table that keeps an order.
//!
//! Order: a new field comes last; the last field takes the place of one that is removed. Both forms
//! keep it alike, so the order is a function of the operations alone. A table stays a table, as in
//! Redis, which OBJECT ENCODING shows.
//!
//! Fields may expire. A hash of which none does is one of these two forms alone, and pays nothing
//! for it.

mod expiring;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash as HashKey, Hasher};
use std::mem;

use indexmap::IndexSet;

use super::packed::{self, Packed, entry_size};
use super::{COMPACT_LEN_MAX, COMPACT_STRING_BYTES_MAX, FixedState};
use crate::engine::error::CommandError;
use crate::engine::value::{Kind, Value};
use crate::raft::types::Millis;
use expiring::FieldDeadlines;
pub use expiring::View;

/// What a field of the table costs beside its bytes: the entry, its slot, the allocator's header.
const PAIR_OVERHEAD_BYTES: usize = 48;

/// Fields that expire add nothing to a hash that has none.
const _: () = assert!(size_of::<Hash>() == 64);

/// No deadline of a field is later: Redis keeps the two highest bits of the 48 that it has for one.
pub const FIELD_DEADLINE_MAX_MS: Millis = (1 << 46) - 1;

#[derive(Clone, Default)]
pub struct Hash {
    form: Form,
}

#[derive(Clone)]
enum Form {
    /// Fields and values in turn.
    Packed(Packed),
    /// `payload` is the sum of the lengths of all fields and values.
    Table { pairs: IndexSet<Pair, FixedState>, payload: usize },
    /// Some field has a deadline.
    Expiring(Box<Expiring>),
}

/// Invariant: `fields` is of another form, and has each field of `deadlines`, of which there is
/// one at least.
#[derive(Clone)]
struct Expiring {
    fields: Hash,
    deadlines: FieldDeadlines,
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

/// A field and its value in one allocation, equal and hashed by the field.
#[derive(Clone, Debug)]
pub struct Pair {
    bytes: Box<[u8]>,
    field_len: u32,
}

impl Pair {
    fn new(field: &[u8], value: &[u8]) -> Self {
        let field_len = u32::try_from(field.len()).expect("invariant: strings are below 4 GiB");
        Self { bytes: [field, value].concat().into_boxed_slice(), field_len }
    }

    fn field(&self) -> &[u8] {
        &self.bytes[..self.field_len as usize]
    }

    fn value(&self) -> &[u8] {
        &self.bytes[self.field_len as usize..]
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at(self.field_len as usize)
    }
}

impl HashKey for Pair {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.field().hash(state);
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.field() == other.field()
    }
}

impl Eq for Pair {}

impl Borrow<[u8]> for Pair {
    fn borrow(&self) -> &[u8] {
        self.field()
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::Packed(Packed::default())
    }
}

/// Where the value of `field` begins in the packed form.
fn find_value(packed: &Packed, field: &[u8]) -> Option<usize> {
    let mut iter = packed.iter();
    loop {
        let found = iter.next()? == field;
        if found {
            return Some(packed.offset(&iter));
        }
        iter.next();
    }
}

impl Hash {
    /// An empty hash in a given form, to be filled in order with the content of another.
    pub fn with_encoding(encoding: HashEncoding) -> Self {
        let form = match encoding {
            HashEncoding::Listpack => Form::default(),
            HashEncoding::Hashtable => Form::Table { pairs: IndexSet::default(), payload: 0 },
        };
        Self { form }
    }

    pub fn encoding(&self) -> HashEncoding {
        match &self.form {
            Form::Packed(_) => HashEncoding::Listpack,
            Form::Table { .. } => HashEncoding::Hashtable,
            Form::Expiring(expiring) => expiring.fields.encoding(),
        }
    }

    /// The logical size: a function of the content and the encoding.
    pub fn bytes(&self) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.size(),
            Form::Table { pairs, payload } => payload + pairs.len() * PAIR_OVERHEAD_BYTES,
            Form::Expiring(expiring) => expiring.fields.bytes() + expiring.deadlines.bytes(),
        }
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.len() / 2,
            Form::Table { pairs, .. } => pairs.len(),
            Form::Expiring(expiring) => expiring.fields.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        match &self.form {
            Form::Packed(packed) => packed.iter_from(find_value(packed, field)?).next(),
            Form::Table { pairs, .. } => pairs.get(field).map(Pair::value),
            Form::Expiring(expiring) => expiring.fields.get(field),
        }
    }

    pub fn contains(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// The field at `index` of the order, and its value.
    pub fn at(&self, index: usize) -> Option<(&[u8], &[u8])> {
        match &self.form {
            Form::Packed(packed) if index < packed.len() / 2 => {
                let mut iter = packed.iter_from(packed.offset_of(index * 2));
                iter.next().zip(iter.next())
            }
            Form::Packed(_) => None,
            Form::Table { pairs, .. } => pairs.get_index(index).map(Pair::parts),
            Form::Expiring(expiring) => expiring.fields.at(index),
        }
    }

    /// All fields with their values, in order.
    pub fn iter(&self) -> Iter<'_> {
        match &self.form {
            Form::Packed(packed) => Iter::Packed(packed.iter()),
            Form::Table { pairs, .. } => Iter::Table(pairs.iter()),
            Form::Expiring(expiring) => expiring.fields.iter(),
        }
    }

    /// Sets fields to values, which are given in turn, as [`Hash::set`] does; tells how many are
    /// new. A hash that had none gets no more room than they need.
    pub fn set_all(&mut self, pairs: &[&[u8]]) -> usize {
        if let Form::Packed(packed) = &mut self.form
            && packed.is_empty()
            && pairs.len() <= COMPACT_LEN_MAX * 2
            && pairs.iter().all(|bytes| bytes.len() <= COMPACT_STRING_BYTES_MAX)
        {
            packed.reserve(pairs.iter().map(|bytes| entry_size(bytes.len())).sum());
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
        match &mut self.form {
            Form::Packed(packed) => {
                if let Some(offset) = find_value(packed, field) {
                    packed.replace(offset, value);
                    return false;
                }
                packed.reserve(entry_size(field.len()) + entry_size(value.len()));
                packed.push_back(field);
                packed.push_back(value);
                if packed.len() > COMPACT_LEN_MAX * 2 {
                    self.make_table();
                }
                true
            }
            Form::Table { pairs, payload } => {
                *payload += field.len() + value.len();
                match pairs.replace(Pair::new(field, value)) {
                    Some(old) => *payload -= old.bytes.len(),
                    None => return true,
                }
                false
            }
            Form::Expiring(expiring) => expiring.fields.set_value(field, value),
        }
    }

    /// Removes the field, and tells whether there was one.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.form {
            Form::Packed(packed) => {
                let Some(offset) = find_value(packed, field) else { return false };
                packed.swap_remove(offset - entry_size(field.len()), 2);
                true
            }
            Form::Table { pairs, payload } => {
                let Some(pair) = pairs.swap_take(field) else { return false };
                *payload -= pair.bytes.len();
                true
            }
            Form::Expiring(expiring) => {
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
        match &self.form {
            Form::Expiring(expiring) => Some(&expiring.deadlines),
            Form::Packed(_) | Form::Table { .. } => None,
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
        if !matches!(self.form, Form::Expiring(_)) {
            let fields = mem::take(self);
            let expiring = Expiring { fields, deadlines: FieldDeadlines::default() };
            self.form = Form::Expiring(Box::new(expiring));
        }
        if let Form::Expiring(expiring) = &mut self.form {
            expiring.deadlines.set(field, at_ms);
        }
        true
    }

    /// Takes the deadline of the field away, and tells whether there was one.
    #[inline]
    pub fn clear_deadline(&mut self, field: &[u8]) -> bool {
        let Form::Expiring(expiring) = &mut self.form else { return false };
        let is_cleared = expiring.deadlines.clear(field);
        self.settle();
        is_cleared
    }

    /// Removes fields that are due, at most `limit`, and tells how many went.
    pub fn remove_due(&mut self, clock_ms: Millis, limit: usize) -> usize {
        let mut removed = 0;
        while removed < limit
            && let Form::Expiring(expiring) = &mut self.form
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
        if let Form::Expiring(expiring) = &mut self.form
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
        let pairs = match &self.form {
            Form::Packed(_) => return (0, self.iter()),
            Form::Table { pairs, .. } => pairs,
            Form::Expiring(expiring) => return expiring.fields.scan(cursor, count),
        };
        let (next, slice) = super::scan_range(pairs.len(), cursor, count);
        let part = pairs.get_range(slice).expect("invariant: the range lies in the table");
        (next, Iter::Table(part.iter()))
    }

    /// Changes the small form to the large one.
    pub fn make_table(&mut self) {
        let packed = match &mut self.form {
            Form::Packed(packed) => packed,
            Form::Table { .. } => return,
            Form::Expiring(expiring) => return expiring.fields.make_table(),
        };
        let mut pairs = IndexSet::with_capacity_and_hasher(packed.len(), FixedState::default());
        let mut payload = 0;
        for (field, value) in self.iter() {
            payload += field.len() + value.len();
            pairs.insert(Pair::new(field, value));
        }
        self.form = Form::Table { pairs, payload };
    }
}

/// Fields with their values, in order.
#[derive(Clone, Debug)]
pub enum Iter<'a> {
    Packed(packed::Iter<'a>),
    Table(indexmap::set::Iter<'a, Pair>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(iter) => iter.next().zip(iter.next()),
            Self::Table(iter) => iter.next().map(Pair::parts),
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
        Value::Hash(Box::default())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
