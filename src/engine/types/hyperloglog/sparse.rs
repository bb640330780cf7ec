//! Registers as runs of equal ones, while most are 0.
//!
//! A run takes one byte, or two: `00llllll` are 1 to 64 zeros, `01llllll llllllll` 1 to 16384
//! zeros, `1vvvvvll` 1 to 4 registers of a value from 1 to 32, each number less one.

use smallvec::SmallVec;

use super::{Corrupted, HEADER_BYTES, REGISTERS};

/// As long as a sparse one may become, its header included; Redis's default for
/// hll-sparse-max-bytes.
const BYTES_MAX: usize = 3000;

const VALUE_MAX: u8 = 32;
const VALUE_RUN_MAX: usize = 4;
const SHORT_ZEROS_MAX: usize = 64;

/// How many runs are looked at for neighbours that can be joined after a change. What bytes come
/// out depends on it, so it is Redis's.
const JOIN_STEPS: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    value: u8,
    /// In registers.
    len: usize,
    /// In bytes.
    size: usize,
}

/// Where a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Position in the whole string.
    at: usize,
    /// The first register of the run.
    first: usize,
}

impl Place {
    pub const START: Self = Self { at: HEADER_BYTES, first: 0 };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    Changed,
    /// The register had the value already, or a greater one.
    Same,
    /// Neither the value nor the string may become so large; nothing was changed.
    NoRoom,
}

/// The run at a position; `None` at the end, or when its second byte is missing.
fn run_at(bytes: &[u8], at: usize) -> Option<Run> {
    let byte = *bytes.get(at)?;
    Some(match byte >> 6 {
        0 => Run { value: 0, len: usize::from(byte) + 1, size: 1 },
        1 => {
            let low = *bytes.get(at + 1)?;
            Run { value: 0, len: (usize::from(byte & 0x3f) << 8 | usize::from(low)) + 1, size: 2 }
        }
        _ => Run { value: (byte >> 2 & 0x1f) + 1, len: usize::from(byte & 3) + 1, size: 1 },
    })
}

/// Puts a run at the end of `bytes`, or nothing for a length of 0. Precondition: it is one that can
/// be written.
pub fn push_run(bytes: &mut impl Extend<u8>, value: u8, len: usize) {
    let Some(len_less_one) = len.checked_sub(1) else { return };
    if value > 0 {
        bytes.extend([value_run(value, len)]);
    } else if len <= SHORT_ZEROS_MAX {
        bytes.extend([len_less_one as u8]);
    } else {
        bytes.extend([0x40 | (len_less_one >> 8) as u8, len_less_one as u8]);
    }
}

fn value_run(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len - 1) as u8
}

/// Visits all runs: first register, value, length.
pub fn for_each_run(runs: &[u8], mut visit: impl FnMut(usize, u8, usize)) -> Result<(), Corrupted> {
    let (mut at, mut first) = (0, 0);
    while at < runs.len() {
        let run = run_at(runs, at).ok_or(Corrupted)?;
        if first + run.len > REGISTERS {
            return Err(Corrupted);
        }
        visit(first, run.value, run.len);
        at += run.size;
        first += run.len;
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupted) }
}

/// Gives a register at least this value. Precondition: `place` is that of a run at or before the
/// register; it becomes that of the run before the register's, or of its own if that is the first.
pub fn raise(
    bytes: &mut Vec<u8>,
    register: usize,
    value: u8,
    place: &mut Place,
) -> Result<Raised, Corrupted> {
    if value > VALUE_MAX {
        return Ok(Raised::NoRoom);
    }
    let (previous, here, run) = match find(bytes, register, *place)? {
        // Without the run before it, it would not be joined with that.
        (_, here, _) if here == *place && here != Place::START => {
            find(bytes, register, Place::START)?
        }
        found => found,
    };
    *place = previous;
    if run.value >= value {
        return Ok(Raised::Same);
    }
    let mut parts: SmallVec<[u8; 8]> = SmallVec::new();
    push_run(&mut parts, run.value, register - here.first);
    push_run(&mut parts, value, 1);
    push_run(&mut parts, run.value, here.first + run.len - 1 - register);
    let len = bytes.len() - run.size + parts.len();
    if len > bytes.len() && len > BYTES_MAX {
        return Ok(Raised::NoRoom);
    }
    bytes.splice(here.at..here.at + run.size, parts);
    join_equal(bytes, previous.at);
    Ok(Raised::Changed)
}

/// The run that a register belongs to, where it begins, and where the one before it does, or itself
/// if the search began there.
fn find(bytes: &[u8], register: usize, from: Place) -> Result<(Place, Place, Run), Corrupted> {
    let (mut previous, mut here) = (from, from);
    loop {
        let run = run_at(bytes, here.at).ok_or(Corrupted)?;
        if register < here.first + run.len {
            return Ok((previous, here, run));
        }
        previous = here;
        here = Place { at: here.at + run.size, first: here.first + run.len };
    }
}

/// Joins runs of equal values from `at` on.
fn join_equal(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_STEPS {
        let Some(run) = run_at(bytes, at) else { return };
        let next = run_at(bytes, at + run.size);
        match next {
            Some(next)
                if run.value > 0
                    && next.value == run.value
                    && run.len + next.len <= VALUE_RUN_MAX =>
            {
                bytes[at] = value_run(run.value, run.len + next.len);
                bytes.remove(at + 1);
            }
            _ => at += run.size,
        }
    }
}
