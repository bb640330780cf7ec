//! Many fields with their values in an order, found by their hashes: a vector of pairs, and a hash
//! table of their places in it.
//!
//! A part of each hash stands beside the pair, so that the table grows, and most fields that are
//! not the wanted one are passed over, without a look at the fields.

use std::hash::BuildHasher;
use std::ops::Range;
use std::slice;

use hashbrown::HashTable;

use crate::engine::types::FixedState;

/// What a field costs beside its bytes: the pair, its place in the table, the allocator's rounding.
pub(super) const PAIR_OVERHEAD_BYTES: usize = 48;

const _: () = assert!(size_of::<Pair>() == 24);

/// Invariant: `places` has the place of each pair once; `payload` is the sum of their lengths.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pairs: Vec<Pair>,
    places: HashTable<u32>,
    payload: usize,
}

/// A field and its value in one allocation.
#[derive(Clone, Debug)]
struct Pair {
    bytes: Box<[u8]>,
    field_len: u32,
    hash: u32,
}

impl Pair {
    fn new(field: &[u8], value: &[u8], hash: u32) -> Self {
        let field_len = u32::try_from(field.len()).expect("invariant: strings are below 4 GiB");
        Self { bytes: [field, value].concat().into_boxed_slice(), field_len, hash }
    }

    #[inline]
    fn is(&self, field: &[u8], hash: u32) -> bool {
        self.hash == hash && self.parts().0 == field
    }

    #[inline]
    fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at(self.field_len as usize)
    }
}

#[inline]
fn hash_of(field: &[u8]) -> u32 {
    FixedState::default().hash_one(field) as u32
}

/// The table takes the place from the low bits and its tags from the high ones.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Table {
    /// With room for so many pairs.
    pub fn with_capacity(pairs: usize) -> Self {
        let places = HashTable::with_capacity(pairs);
        Self { pairs: Vec::with_capacity(pairs), places, payload: 0 }
    }

    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The logical size: a function of the content.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.payload + self.pairs.len() * PAIR_OVERHEAD_BYTES
    }

    #[inline]
    fn place(&self, field: &[u8], hash: u32) -> Option<u32> {
        let is_it = |place: &u32| self.pairs[*place as usize].is(field, hash);
        self.places.find(spread(hash), is_it).copied()
    }

    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        let place = self.place(field, hash_of(field))?;
        Some(self.pairs[place as usize].parts().1)
    }

    /// The field at `index` of the order, and its value.
    pub fn at(&self, index: usize) -> Option<(&[u8], &[u8])> {
        self.pairs.get(index).map(Pair::parts)
    }

    /// All fields with their values, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.pairs.iter())
    }

    /// Those at these places of the order. Precondition: the range lies in the table.
    pub fn range(&self, range: Range<usize>) -> Iter<'_> {
        Iter(self.pairs[range].iter())
    }

    /// Sets the field, which comes last if it is new, and tells whether it is.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let hash = hash_of(field);
        self.payload += field.len() + value.len();
        if let Some(place) = self.place(field, hash) {
            let pair = &mut self.pairs[place as usize];
            self.payload -= pair.bytes.len();
            if pair.bytes.len() == field.len() + value.len() {
                pair.bytes[field.len()..].copy_from_slice(value);
            } else {
                *pair = Pair::new(field, value, hash);
            }
            return false;
        }
        let place = u32::try_from(self.pairs.len()).expect("invariant: memory ends before");
        self.pairs.push(Pair::new(field, value, hash));
        let pairs = &self.pairs;
        self.places.insert_unique(spread(hash), place, |other| spread(pairs[*other as usize].hash));
        true
    }

    /// Removes the field, whose place the last one takes; tells whether there was one.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let hash = hash_of(field);
        let is_it = |place: &u32| self.pairs[*place as usize].is(field, hash);
        let Ok(found) = self.places.find_entry(spread(hash), is_it) else { return false };
        let (place, _) = found.remove();
        let removed = self.pairs.swap_remove(place as usize);
        self.payload -= removed.bytes.len();
        if let Some(moved) = self.pairs.get(place as usize) {
            let old = self.pairs.len() as u32;
            let found = self.places.find_mut(spread(moved.hash), |other| *other == old);
            *found.expect("invariant: each pair has its place") = place;
        }
        true
    }
}

/// Fields with their values, in order.
#[derive(Clone, Debug)]
pub struct Iter<'a>(slice::Iter<'a, Pair>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Pair::parts)
    }
}
