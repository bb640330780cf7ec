//! A hash table of small numbers that stand for things with hashes: 4 bytes a slot, found by linear
//! probing. A slot holds a part of the hash beside the number, so that a look-up reads one cache
//! line of the table and, but for one in 256, only the thing that is looked for; that is what makes
//! it quicker here than a table of tags beside a table of numbers, which reads two.

/// The free slot, where every search ends.
const EMPTY: u32 = 0;

/// A slot that a search passes over.
const REMOVED: u32 = 1;

/// So many low bits of a slot are of the hash.
const TAG_BITS: u32 = 8;

const SLOTS_MIN: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Empty, or a power of two.
    slots: Box<[u32]>,
    len: usize,
    /// Slots that are not free. Invariant: at most three quarters.
    used: usize,
}

/// Bits that neither choose the slot nor the segment.
#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & ((1 << TAG_BITS) - 1)
}

#[inline]
fn slot(hash: u64, number: u32) -> u32 {
    debug_assert!(number < Numbers::MAX);
    (number + 1) << TAG_BITS | tag(hash)
}

impl Numbers {
    /// Numbers are below this.
    pub const MAX: u32 = (1 << (32 - TAG_BITS)) - 1;

    /// With room for so many numbers.
    pub fn with_capacity(numbers: usize) -> Self {
        let slots = vec![EMPTY; slots_for(numbers)].into_boxed_slice();
        Self { slots, len: 0, used: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// How many numbers there is room for.
    pub fn capacity(&self) -> usize {
        self.slots.len() / 4 * 3
    }

    /// The slots where a number with this hash may be, in order, up to where it is not any more.
    #[inline]
    fn probe(&self, hash: u64) -> impl Iterator<Item = (usize, u32)> {
        let mask = self.slots.len().wrapping_sub(1);
        let places =
            (0..self.slots.len()).map(move |step| (hash as usize).wrapping_add(step) & mask);
        places.map(|place| (place, self.slots[place])).take_while(|(_, slot)| *slot != EMPTY)
    }

    /// Reads the first slot where a number with this hash may be.
    #[inline]
    pub fn touch(&self, hash: u64) -> u32 {
        let place = hash as usize & self.slots.len().wrapping_sub(1);
        self.slots.get(place).copied().unwrap_or(EMPTY)
    }

    /// The numbers that may have this hash.
    #[inline]
    pub fn with_hash(&self, hash: u64) -> impl Iterator<Item = u32> {
        let tag = tag(hash);
        let has_tag = move |slot: u32| slot > REMOVED && slot & ((1 << TAG_BITS) - 1) == tag;
        self.probe(hash)
            .filter(move |(_, slot)| has_tag(*slot))
            .map(|(_, slot)| (slot >> TAG_BITS) - 1)
    }

    /// Adds a number, below [`Numbers::MAX`], that is not there. `hash_of` tells the hash of those
    /// that are.
    #[inline]
    pub fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if self.used >= self.capacity() {
            self.rebuild(self.len + 1 + self.len / 8, hash_of);
        }
        self.put(hash, number);
    }

    /// Precondition: there is a free slot.
    #[inline]
    fn put(&mut self, hash: u64, number: u32) {
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        while self.slots[place] > REMOVED {
            place = (place + 1) & mask;
        }
        self.used += usize::from(self.slots[place] == EMPTY);
        self.slots[place] = slot(hash, number);
        self.len += 1;
    }

    /// Removes a number with its hash, and tells whether it was there.
    pub fn remove(&mut self, hash: u64, number: u32) -> bool {
        let Some(place) = self.place_of(hash, number) else { return false };
        let next = (place + 1) & (self.slots.len() - 1);
        let is_last = self.slots[next] == EMPTY;
        self.slots[place] = if is_last { EMPTY } else { REMOVED };
        self.used -= usize::from(is_last);
        self.len -= 1;
        true
    }

    /// Puts one number in the place of another with the same hash; tells whether that was there.
    pub fn replace(&mut self, hash: u64, old: u32, new: u32) -> bool {
        let place = self.place_of(hash, old);
        if let Some(place) = place {
            self.slots[place] = slot(hash, new);
        }
        place.is_some()
    }

    fn place_of(&self, hash: u64, number: u32) -> Option<usize> {
        let wanted = slot(hash, number);
        self.probe(hash).find(|(_, slot)| *slot == wanted).map(|(place, _)| place)
    }

    /// Has room for so many numbers, at least for those that there are, and no removed slots.
    #[cold]
    pub fn rebuild(&mut self, numbers: usize, hash_of: impl Fn(u32) -> u64) {
        let mut rebuilt = Self::with_capacity(numbers.max(self.len));
        let held = self.slots.iter().filter(|slot| **slot > REMOVED);
        for number in held.map(|slot| (slot >> TAG_BITS) - 1) {
            rebuilt.put(hash_of(number), number);
        }
        *self = rebuilt;
    }
}

/// A power of two of which so many numbers are three quarters at most.
fn slots_for(numbers: usize) -> usize {
    match numbers {
        0 => 0,
        _ => (numbers * 4).div_ceil(3).next_power_of_two().max(SLOTS_MIN),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Few hashes, so that there are long runs and equal tags.
    fn hash_of(number: u32) -> u64 {
        u64::from(number % 7) << 32 | u64::from(number % 5)
    }

    fn numbers_with(numbers: &Numbers, hash: u64) -> Vec<u32> {
        let mut found: Vec<u32> = numbers.with_hash(hash).collect();
        found.sort_unstable();
        found
    }

    proptest! {
        #[test]
        fn it_holds_what_was_put_in_and_not_taken_out(
            steps in proptest::collection::vec((0..4_u8, 0..60_u32), 0..400),
        ) {
            let mut numbers = Numbers::default();
            let mut model = BTreeMap::new();
            for (step, number) in steps {
                let hash = hash_of(number);
                match step {
                    0 | 1 if !model.contains_key(&number) => {
                        numbers.insert(hash, number, hash_of);
                        model.insert(number, hash);
                    }
                    2 => {
                        let was_there = model.remove(&number).is_some();
                        prop_assert_eq!(numbers.remove(hash, number), was_there);
                    }
                    3 => {
                        // The same hash: 35 numbers on.
                        let other = number + 35;
                        if model.contains_key(&number) && !model.contains_key(&other) {
                            prop_assert!(numbers.replace(hash, number, other));
                            model.remove(&number);
                            model.insert(other, hash);
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(numbers.len(), model.len());
                prop_assert!(numbers.used <= numbers.capacity());
                for hash in (0..35).map(hash_of) {
                    let may_be = |number: &u32| {
                        model.get(number).is_some_and(|other| tag(*other) == tag(hash))
                    };
                    let sure: Vec<u32> =
                        model.iter().filter(|(_, it)| **it == hash).map(|(n, _)| *n).collect();
                    let found = numbers_with(&numbers, hash);
                    prop_assert!(sure.iter().all(|number| found.contains(number)));
                    prop_assert!(found.iter().all(may_be));
                }
            }
            numbers.rebuild(0, hash_of);
            prop_assert_eq!(numbers.used, model.len());
        }
    }

    #[test]
    fn an_empty_one_takes_no_memory_and_has_room_as_asked() {
        assert_eq!(Numbers::default().capacity(), 0);
        assert!(numbers_with(&Numbers::default(), 7).is_empty());
        assert!(!Numbers::default().remove(7, 7));
        for wanted in [1, 6, 7, 768, 769, 896] {
            let capacity = Numbers::with_capacity(wanted).capacity();
            assert!(capacity >= wanted && capacity <= wanted * 2 + SLOTS_MIN, "{wanted}");
        }
        let mut numbers = Numbers::default();
        numbers.insert(u64::MAX, Numbers::MAX - 1, hash_of);
        assert_eq!(numbers_with(&numbers, u64::MAX), [Numbers::MAX - 1]);
    }
}
