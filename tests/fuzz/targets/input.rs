//! Makes choices of bytes, so that every input means something: where the bytes end, all that
//! follows is zero.

use rkyv::util::AlignedVec;

/// Numbers at which something may overflow or be refused.
const EXTREMES: [u64; 12] = [
    u64::MAX,
    u64::MAX - 1,
    1 << 63,
    (1 << 63) - 1,
    (1 << 62) + 1,
    1 << 62,
    (1 << 62) - 1,
    1 << 53,
    1 << 32,
    u32::MAX as u64,
    1 << 31,
    0,
];

pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A number of any size: small, extreme, close to `center`, or any.
    pub fn number(&mut self, center: u64) -> u64 {
        let choice = self.byte();
        match choice >> 5 {
            0 | 1 => u64::from(choice & 0x3f),
            2..=4 => center.wrapping_add(u64::from(choice & 0x1f)).wrapping_sub(8),
            5 => EXTREMES[usize::from(choice & 0x1f) % EXTREMES.len()],
            6 => u64::from(self.u16()),
            _ => {
                let mut bytes = [0; 8];
                let taken = self.take(8);
                bytes[..taken.len()].copy_from_slice(taken);
                u64::from_le_bytes(bytes)
            }
        }
    }

    /// Up to `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// The bytes where an archive may be read.
pub fn aligned(bytes: &[u8]) -> AlignedVec {
    let mut aligned = AlignedVec::new();
    aligned.extend_from_slice(bytes);
    aligned
}
