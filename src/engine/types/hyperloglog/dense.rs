//! Registers of 6 bits each, one after the other from the lowest bit of the first byte on.

use super::REGISTERS;

const BITS: usize = 6;
const MAX: u32 = (1 << BITS) - 1;

pub const BYTES: usize = REGISTERS * BITS / 8;

/// Four registers fill three bytes.
const GROUP_BYTES: usize = 3;
const GROUP: usize = 4;

/// Gives a register at least this value; whether it had less. Precondition: `registers` are
/// [`BYTES`].
pub fn raise(registers: &mut [u8], register: usize, value: u8) -> bool {
    let at = register / GROUP * GROUP_BYTES;
    let shift = register % GROUP * BITS;
    let group = &mut registers[at..at + GROUP_BYTES];
    let word = word_of(group);
    let value = u32::from(value);
    if word >> shift & MAX >= value {
        return false;
    }
    let raised = word & !(MAX << shift) | value << shift;
    group.copy_from_slice(&raised.to_le_bytes()[..GROUP_BYTES]);
    true
}

/// Visits each register: its position, its value, and 1.
pub fn for_each(registers: &[u8], mut visit: impl FnMut(usize, u8, usize)) {
    for (position, group) in registers.chunks_exact(GROUP_BYTES).enumerate() {
        let word = word_of(group);
        for part in 0..GROUP {
            visit(position * GROUP + part, (word >> (part * BITS) & MAX) as u8, 1);
        }
    }
}

fn word_of(group: &[u8]) -> u32 {
    u32::from_le_bytes([group[0], group[1], group[2], 0])
}
