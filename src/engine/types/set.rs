//! A set of byte strings. Small sets of integers are a sorted vector, other small sets one packed
//! sequence, larger ones a table that keeps an order.
//!
//! Order: ascending while all members are integers and few; else a new member comes last, and the
//! last member takes the place of one that is removed. A form never goes back to a smaller one, as
//! in Redis, so order and form are a function of the operations alone.

use std::fmt;
use std::hash::{Hash as HashKey, Hasher};
use std::ops::Deref;

use indexmap::IndexSet;
use smallvec::SmallVec;

use super::packed::{self, Packed, entry_size};
use super::{COMPACT_LEN_MAX, COMPACT_STRING_BYTES_MAX, FixedState};
use crate::engine::bytes::SmallBytes;
use crate::engine::error::CommandError;
use crate::engine::number::parse_integer;
use crate::engine::value::{Kind, Value};

/// What a member costs in the table: its bytes if they are few, their hash and the slot.
const MEMBER_OVERHEAD_BYTES: usize = 40;

#[derive(Clone, Default)]
pub struct Set {
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    /// Ascending.
    Integers(Vec<i64>),
    Packed(Packed),
    /// `payload` is the sum of what the members hold outside of the table.
    Table {
        members: IndexSet<SmallBytes, FixedState>,
        payload: usize,
    },
}

/// How a set lies in memory; a part of what every node has alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetEncoding {
    Intset,
    Listpack,
    Hashtable,
}

impl SetEncoding {
    /// What OBJECT ENCODING calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intset => "intset",
            Self::Listpack => "listpack",
            Self::Hashtable => "hashtable",
        }
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::Integers(Vec::new())
    }
}

impl Set {
    /// A vector of integers has at most so many; Redis's default.
    pub const INTEGERS_LEN_MAX: usize = 512;

    /// An empty set in a given form, to be filled in order with the content of another.
    pub fn with_encoding(encoding: SetEncoding) -> Self {
        let form = match encoding {
            SetEncoding::Intset => Form::default(),
            SetEncoding::Listpack => Form::Packed(Packed::default()),
            SetEncoding::Hashtable => Form::Table { members: IndexSet::default(), payload: 0 },
        };
        Self { form }
    }

    pub fn encoding(&self) -> SetEncoding {
        match self.form {
            Form::Integers(_) => SetEncoding::Intset,
            Form::Packed(_) => SetEncoding::Listpack,
            Form::Table { .. } => SetEncoding::Hashtable,
        }
    }

    /// The logical size: a function of the content and the encoding.
    pub fn bytes(&self) -> usize {
        match &self.form {
            Form::Integers(integers) => integers.len() * size_of::<i64>(),
            Form::Packed(packed) => packed.size(),
            Form::Table { members, payload } => payload + members.len() * MEMBER_OVERHEAD_BYTES,
        }
    }

    pub fn len(&self) -> usize {
        match &self.form {
            Form::Integers(integers) => integers.len(),
            Form::Packed(packed) => packed.len(),
            Form::Table { members, .. } => members.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.form {
            Form::Integers(integers) => parse_integer(member)
                .is_some_and(|integer| integers.binary_search(&integer).is_ok()),
            Form::Packed(packed) => packed.find(member).is_some(),
            Form::Table { members, .. } => members.contains(member),
        }
    }

    /// The member at `index` of the order.
    pub fn at(&self, index: usize) -> Option<Member<'_>> {
        match &self.form {
            Form::Integers(integers) => integers.get(index).copied().map(Member::integer),
            Form::Packed(packed) => packed.get(index).map(Member::Bytes),
            Form::Table { members, .. } => {
                members.get_index(index).map(|member| Member::Bytes(member))
            }
        }
    }

    /// All members in order.
    pub fn iter(&self) -> Iter<'_> {
        match &self.form {
            Form::Integers(integers) => Iter::Integers(integers.iter()),
            Form::Packed(packed) => Iter::Packed(packed.iter()),
            Form::Table { members, .. } => Iter::Table(members.iter()),
        }
    }

    /// Adds the member, and tells whether it is new.
    pub fn add(&mut self, member: &[u8]) -> bool {
        if let Form::Integers(integers) = &mut self.form {
            let Some(integer) = parse_integer(member) else {
                self.leave_integers(member);
                return self.add(member);
            };
            let Err(index) = integers.binary_search(&integer) else { return false };
            integers.insert(index, integer);
            if integers.len() > Self::INTEGERS_LEN_MAX {
                self.make_table();
            }
            return true;
        }
        if member.len() > COMPACT_STRING_BYTES_MAX {
            self.make_table();
        }
        match &mut self.form {
            Form::Packed(packed) => {
                if packed.find(member).is_some() {
                    return false;
                }
                packed.push_back(member);
                if packed.len() > COMPACT_LEN_MAX {
                    self.make_table();
                }
                true
            }
            Form::Table { members, payload } => {
                if members.contains(member) {
                    return false;
                }
                let member = SmallBytes::new(member);
                *payload += member.heap_bytes();
                members.insert(member)
            }
            Form::Integers(_) => unreachable!("integers were dealt with"),
        }
    }

    /// Removes the member, and tells whether there was one.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.form {
            Form::Integers(integers) => {
                let Some(integer) = parse_integer(member) else { return false };
                let Ok(index) = integers.binary_search(&integer) else { return false };
                integers.remove(index);
                true
            }
            Form::Packed(packed) => {
                let Some(offset) = packed.find(member) else { return false };
                packed.swap_remove(offset, 1);
                true
            }
            Form::Table { members, payload } => {
                let Some(member) = members.swap_take(member) else { return false };
                *payload -= member.heap_bytes();
                true
            }
        }
    }

    /// Removes the member at `index` of the order. Precondition: `index < len`.
    pub fn remove_at(&mut self, index: usize) {
        match &mut self.form {
            Form::Integers(integers) => {
                integers.remove(index);
            }
            Form::Packed(packed) => packed.swap_remove(packed.offset_of(index), 1),
            Form::Table { members, payload } => {
                let member = members.swap_remove_index(index).expect("invariant: index < len");
                *payload -= member.heap_bytes();
            }
        }
    }

    /// A part of the members for SSCAN, and the cursor to go on with: 0 at the end. Small sets are
    /// one part; why a table misses no member that stays is told at [`super::hash::Hash::scan`].
    pub fn scan(&self, cursor: u64, count: usize) -> (u64, Iter<'_>) {
        let Form::Table { members, .. } = &self.form else { return (0, self.iter()) };
        let (next, slice) = super::scan_range(members.len(), cursor, count);
        let part = members.get_range(slice).expect("invariant: the range lies in the table");
        (next, Iter::Table(part.iter()))
    }

    /// Changes integers to the form that takes them with `member`, which is none.
    fn leave_integers(&mut self, member: &[u8]) {
        let is_small = self.len() < COMPACT_LEN_MAX && member.len() <= COMPACT_STRING_BYTES_MAX;
        if !is_small {
            return self.make_table();
        }
        self.make_packed();
    }

    /// Changes integers to a packed sequence, in the same order. Precondition: they are few.
    pub fn make_packed(&mut self) {
        let mut packed = Packed::default();
        packed.reserve(self.iter().map(|old| entry_size(old.len())).sum());
        for old in self.iter() {
            packed.push_back(&old);
        }
        self.form = Form::Packed(packed);
    }

    /// Changes a small form to the large one.
    pub fn make_table(&mut self) {
        if matches!(self.form, Form::Table { .. }) {
            return;
        }
        let mut members = IndexSet::with_capacity_and_hasher(self.len() + 1, FixedState::default());
        members.extend(self.iter().map(|member| SmallBytes::new(&member)));
        let payload = members.iter().map(SmallBytes::heap_bytes).sum();
        self.form = Form::Table { members, payload };
    }
}

/// A member's bytes; those of an integer are written out when they are asked for.
#[derive(Clone, Debug)]
pub enum Member<'a> {
    Bytes(&'a [u8]),
    Integer(SmallVec<[u8; 20]>),
}

impl Member<'_> {
    fn integer(integer: i64) -> Self {
        Self::Integer(SmallVec::from_slice(itoa::Buffer::new().format(integer).as_bytes()))
    }
}

impl Deref for Member<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Integer(text) => text,
        }
    }
}

impl AsRef<[u8]> for Member<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Members in order.
#[derive(Clone, Debug)]
pub enum Iter<'a> {
    Integers(std::slice::Iter<'a, i64>),
    Packed(packed::Iter<'a>),
    Table(indexmap::set::Iter<'a, SmallBytes>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Member<'a>;

    #[inline]
    fn next(&mut self) -> Option<Member<'a>> {
        match self {
            Self::Integers(iter) => iter.next().copied().map(Member::integer),
            Self::Packed(iter) => iter.next().map(Member::Bytes),
            Self::Table(iter) => iter.next().map(|member| Member::Bytes(member)),
        }
    }
}

/// The content in order, however it lies in memory.
impl fmt::Debug for Set {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.iter().map(|member| member.escape_ascii().to_string());
        formatter.debug_set().entries(members).finish()
    }
}

/// The content in order, however it lies in memory.
impl HashKey for Set {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.iter().for_each(|member| (*member).hash(state));
    }
}

impl Kind for Set {
    fn of(value: &Value) -> Result<&Self, CommandError> {
        match value {
            Value::Set(set) => Ok(set),
            _ => Err(CommandError::WrongType),
        }
    }

    fn of_mut(value: &mut Value) -> Result<&mut Self, CommandError> {
        match value {
            Value::Set(set) => Ok(set),
            _ => Err(CommandError::WrongType),
        }
    }

    fn empty() -> Value {
        Value::Set(Box::default())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
