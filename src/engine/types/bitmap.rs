//! The bits of a string. Bit 0 is the most significant one of the first byte, as Redis counts them,
//! and all bits beyond the end are 0.

use std::ops::Range;

/// Whether a bit is set.
pub fn get(bytes: &[u8], position: u64) -> bool {
    let byte = usize::try_from(position / 8).ok().and_then(|byte| bytes.get(byte));
    byte.is_some_and(|byte| byte & mask(position) != 0)
}

/// Gives a bit its value; returns what it was. Precondition: it lies within `bytes`.
pub fn set(bytes: &mut [u8], position: u64, on: bool) -> bool {
    let byte = &mut bytes[(position / 8) as usize];
    let was = *byte & mask(position) != 0;
    if on {
        *byte |= mask(position);
    } else {
        *byte &= !mask(position);
    }
    was
}

fn mask(position: u64) -> u8 {
    0x80 >> (position % 8)
}

/// A range of bits, cut where whole bytes begin and end.
struct Cut {
    /// The byte of the first bit, and those of its bits that belong to the range.
    head: (usize, u8),
    whole: Range<usize>,
    /// The same for the last bit, unless it shares the byte of the first.
    tail: Option<(usize, u8)>,
}

impl Cut {
    /// `None` for an empty range.
    fn new(bits: &Range<u64>) -> Option<Self> {
        if bits.is_empty() {
            return None;
        }
        let last = bits.end - 1;
        let (first_byte, last_byte) = ((bits.start / 8) as usize, (last / 8) as usize);
        let (head, tail) = (0xff >> (bits.start % 8), 0xff << (7 - last % 8));
        Some(if first_byte == last_byte {
            Self { head: (first_byte, head & tail), whole: 0..0, tail: None }
        } else {
            Self {
                head: (first_byte, head),
                whole: first_byte + 1..last_byte,
                tail: Some((last_byte, tail)),
            }
        })
    }
}

/// How many bits of a range are set. Precondition: the range lies within `bytes`.
pub fn count(bytes: &[u8], bits: Range<u64>) -> u64 {
    let Some(cut) = Cut::new(&bits) else { return 0 };
    let edge = |(byte, mask): (usize, u8)| u64::from((bytes[byte] & mask).count_ones());
    let words = bytes[cut.whole].chunks_exact(8);
    let rest: u64 = words.remainder().iter().map(|byte| u64::from(byte.count_ones())).sum();
    let whole: u64 = words.map(|word| u64::from(word_of(word).count_ones())).sum();
    edge(cut.head) + whole + rest + cut.tail.map_or(0, edge)
}

/// The first bit of a range that has the value `on`. Precondition: the range lies within `bytes`.
pub fn find(bytes: &[u8], bits: Range<u64>, on: bool) -> Option<u64> {
    let cut = Cut::new(&bits)?;
    // After this, the bit that is looked for is set.
    let flip = if on { 0 } else { 0xff };
    let within = |byte: usize, mask: u8| match (bytes[byte] ^ flip) & mask {
        0 => None,
        found => Some(byte as u64 * 8 + u64::from(found.leading_zeros())),
    };
    within(cut.head.0, cut.head.1)
        .or_else(|| {
            let byte = cut.whole.start + find_other_byte(&bytes[cut.whole], flip)?;
            within(byte, 0xff)
        })
        .or_else(|| cut.tail.and_then(|(byte, mask)| within(byte, mask)))
}

/// The position of the first byte that is not `byte`.
fn find_other_byte(bytes: &[u8], byte: u8) -> Option<usize> {
    let pattern = u64::from_le_bytes([byte; 8]);
    let equal = bytes.chunks_exact(8).take_while(|word| word_of(word) == pattern).count() * 8;
    bytes[equal..].iter().position(|&other| other != byte).map(|position| equal + position)
}

fn word_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("invariant: a chunk of eight bytes"))
}

/// What becomes of several strings of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    And,
    Or,
    Xor,
}

impl Operation {
    /// Replaces `left` by what comes of it and `right`. Precondition: `right` is not the longer.
    pub fn join(self, left: &mut [u8], right: &[u8]) {
        let (shared, rest) = left.split_at_mut(right.len());
        let pairs = shared.iter_mut().zip(right);
        match self {
            Self::And => {
                pairs.for_each(|(left, right)| *left &= right);
                rest.fill(0);
            }
            Self::Or => pairs.for_each(|(left, right)| *left |= right),
            Self::Xor => pairs.for_each(|(left, right)| *left ^= right),
        }
    }
}

/// The form of an integer that lies anywhere among the bits, its most significant bit first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    signed: bool,
    width: u32,
}

/// What becomes of a number that a field has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Its lowest bits are kept.
    Wrap,
    /// The nearest number that the field has room for takes its place.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl Field {
    /// `None` unless `width`, in bits, is from 1 to 64 with a sign, or to 63 without: every value
    /// is an `i64`.
    pub fn new(signed: bool, width: i64) -> Option<Self> {
        let max = if signed { 64 } else { 63 };
        (1..=max).contains(&width).then_some(Self { signed, width: width as u32 })
    }

    /// In bits.
    pub fn width(self) -> u32 {
        self.width
    }

    /// The integer whose first bit is at `offset`.
    pub fn read(self, bytes: &[u8], offset: u64) -> i64 {
        let (covered, shift) = self.place(offset);
        let word = covered.fold(0u128, |word, byte| {
            word << 8 | u128::from(bytes.get(byte).copied().unwrap_or(0))
        });
        self.value_of((word >> shift) as u64)
    }

    /// Puts an integer at `offset`, of which only the lowest bits matter. Precondition: the field
    /// lies within `bytes`.
    pub fn write(self, bytes: &mut [u8], offset: u64, value: i64) {
        let (covered, shift) = self.place(offset);
        let bytes = &mut bytes[covered];
        let mask = u128::from(self.mask()) << shift;
        let mut word = bytes.iter().fold(0u128, |word, byte| word << 8 | u128::from(*byte));
        word = word & !mask | (value as u128) << shift & mask;
        for byte in bytes.iter_mut().rev() {
            *byte = word as u8;
            word >>= 8;
        }
    }

    /// The value that stands for `wanted`; `None` when there is no room for it and that is a
    /// failure.
    pub fn fit(self, wanted: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = match self.signed {
            true => (-1 << (self.width - 1), (1 << (self.width - 1)) - 1),
            false => (0, i128::from(self.mask())),
        };
        if (min..=max).contains(&wanted) {
            return Some(wanted as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.value_of(wanted as u64)),
            Overflow::Saturate => Some(wanted.clamp(min, max) as i64),
            Overflow::Fail => None,
        }
    }

    /// A number that is to be written, before it is fitted. Without a sign there is nothing below
    /// zero: what is negative counts as very large.
    pub fn number(self, given: i64) -> i128 {
        if self.signed { i128::from(given) } else { i128::from(given as u64) }
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.width)
    }

    /// The value of the lowest bits of `word`.
    fn value_of(self, word: u64) -> i64 {
        let unused = 64 - self.width;
        if self.signed { (word << unused) as i64 >> unused } else { (word & self.mask()) as i64 }
    }

    /// The bytes that a field at `offset` touches, at most nine, and how many bits follow it there.
    fn place(self, offset: u64) -> (Range<usize>, u64) {
        let end = offset + u64::from(self.width);
        let end_byte = end.div_ceil(8);
        ((offset / 8) as usize..end_byte as usize, end_byte * 8 - end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::random::Random;

    fn bytes(random: &mut Random, len: usize) -> Vec<u8> {
        // Long runs of equal bits are what the search skips.
        (0..len).map(|_| [0, 0, 0, 0xff, 0xff, 0xff, 0x10, 0xef][random.below(8)]).collect()
    }

    #[test]
    fn ranges_are_counted_and_searched_as_bit_by_bit() {
        let mut random = Random::new(1);
        for _ in 0..2_000 {
            let len = random.below(60);
            let bytes = bytes(&mut random, len);
            let ends = [0, 1].map(|_| random.below(len * 8 + 1) as u64);
            let bits = ends[0].min(ends[1])..ends[0].max(ends[1]);
            let set = bits.clone().filter(|&bit| get(&bytes, bit)).count();
            assert_eq!(count(&bytes, bits.clone()), set as u64, "{bits:?} of {bytes:?}");
            for on in [false, true] {
                let found = bits.clone().find(|&bit| get(&bytes, bit) == on);
                assert_eq!(find(&bytes, bits.clone(), on), found, "{bits:?} of {bytes:?}");
            }
        }
    }

    #[test]
    fn a_field_is_read_and_written_as_bit_by_bit() {
        let mut random = Random::new(2);
        for _ in 0..2_000 {
            let mut bytes = bytes(&mut random, 20);
            let signed = random.below(2) == 0;
            let field = Field::new(signed, 1 + random.below(63) as i64).unwrap();
            let offset = random.below(80) as u64;
            let value = (random.next() << 1 | random.next()) as i64;
            let mut expected = bytes.clone();
            for bit in 0..u64::from(field.width) {
                let on = value >> bit & 1 == 1;
                set(&mut expected, offset + u64::from(field.width) - 1 - bit, on);
            }
            field.write(&mut bytes, offset, value);
            assert_eq!(bytes, expected, "{field:?} at {offset}");
            assert_eq!(Some(field.read(&bytes, offset)), field.fit(value.into(), Overflow::Wrap));
        }
        let wide = Field::new(true, 64).unwrap();
        let mut bytes = [0; 9];
        for value in [i64::MIN, -1, 0, i64::MAX] {
            wide.write(&mut bytes, 5, value);
            assert_eq!(wide.read(&bytes, 5), value);
        }
        assert_eq!(wide.read(&[0xff], 4), 0xf << 60);
        assert_eq!(wide.read(&[0xff], 4_000), 0);
    }

    #[test]
    fn what_a_field_has_no_room_for_is_dealt_with_as_told() {
        let (byte, signed) = (Field::new(false, 8).unwrap(), Field::new(true, 8).unwrap());
        for (field, wanted, wrapped, saturated) in [
            (byte, 255, 255, 255),
            (byte, 256, 0, 255),
            (byte, -1, 255, 0),
            (signed, 127, 127, 127),
            (signed, 128, -128, 127),
            (signed, -129, 127, -128),
        ] {
            assert_eq!(field.fit(wanted, Overflow::Wrap), Some(wrapped));
            assert_eq!(field.fit(wanted, Overflow::Saturate), Some(saturated));
            let fits = wrapped == saturated;
            assert_eq!(field.fit(wanted, Overflow::Fail), fits.then_some(wrapped));
        }
        for (signed, width) in [(true, 0), (true, 65), (false, 64), (false, -1)] {
            assert_eq!(Field::new(signed, width), None);
        }
    }

    #[test]
    fn the_shorter_string_counts_as_zeros_beyond_its_end() {
        for (operation, expected) in [
            (Operation::And, [0b1000, 0, 0]),
            (Operation::Or, [0b1110, 0xff, 0x01]),
            (Operation::Xor, [0b0110, 0xff, 0x01]),
        ] {
            let mut left = [0b1100, 0xff, 0x01];
            operation.join(&mut left, &[0b1010]);
            assert_eq!(left, expected);
        }
    }
}
