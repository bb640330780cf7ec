//! HyperLogLogs as strings, byte for byte as Redis has them.
//!
//! A header of 16 bytes comes first: a mark, the encoding, and the last estimate, in whose highest
//! bit is written that it is out of date. Then come 16384 registers, of 6 bits each (`dense`) or
//! as runs of equal ones (`sparse`). The estimate is that of Otmar Ertl, "New cardinality
//! estimation algorithms for HyperLogLog sketches" (2017).

mod dense;
mod sparse;
#[cfg(test)]
mod tests;

/// The first bits of a hash choose one of so many registers.
const REGISTERS: usize = 1 << REGISTER_BITS;
const REGISTER_BITS: u32 = 14;

/// Bits of a hash in which a register looks for the first that is set.
const RANK_BITS: u32 = 64 - REGISTER_BITS;

const HEADER_BYTES: usize = 16;
const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const ESTIMATE_AT: usize = 8;
const OUT_OF_DATE_AT: usize = 15;
const OUT_OF_DATE: u8 = 0x80;

const HASH_SEED: u64 = 0xadc8_3b19;

/// The registers are not what the header promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupted;

/// How many registers have each value.
type Histogram = [u32; 64];

/// One that has seen nothing yet.
pub fn empty() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(SPARSE);
    bytes.resize(HEADER_BYTES, 0);
    sparse::push_run(&mut bytes, 0, REGISTERS);
    bytes
}

/// Whether the header of a string is that of a HyperLogLog, and its length may be.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES
        && bytes.starts_with(MAGIC)
        && match bytes[ENCODING_AT] {
            DENSE => bytes.len() == HEADER_BYTES + dense::BYTES,
            SPARSE => true,
            _ => false,
        }
}

/// Counts an element; whether that changed a register. Precondition: [`is_one`].
pub fn add(bytes: &mut Vec<u8>, element: &[u8]) -> Result<bool, Corrupted> {
    let (register, value) = observe(element);
    let mut place = sparse::Place::START;
    raise(bytes, register, value, &mut place)
}

/// Marks the estimate in the header as out of date.
pub fn invalidate(bytes: &mut [u8]) {
    bytes[OUT_OF_DATE_AT] |= OUT_OF_DATE;
}

/// The estimate in the header, or else one made from the registers. Precondition: [`is_one`].
pub fn estimate(bytes: &[u8]) -> Result<u64, Corrupted> {
    if bytes[OUT_OF_DATE_AT] & OUT_OF_DATE == 0 {
        let cached = bytes[ESTIMATE_AT..HEADER_BYTES].try_into();
        return Ok(u64::from_le_bytes(cached.expect("invariant: eight bytes")));
    }
    let mut histogram = [0; 64];
    for_each_run(bytes, |_, value, len| histogram[usize::from(value)] += len as u32)?;
    Ok(estimate_of(&histogram))
}

/// The registers of several HyperLogLogs, each the greatest of all.
pub struct Union {
    registers: Box<[u8]>,
    has_dense: bool,
}

impl Default for Union {
    fn default() -> Self {
        Self { registers: vec![0; REGISTERS].into(), has_dense: false }
    }
}

impl Union {
    /// Precondition: [`is_one`].
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Corrupted> {
        self.has_dense |= bytes[ENCODING_AT] == DENSE;
        for_each_run(bytes, |first, value, len| {
            let covered = &mut self.registers[first..first + len];
            covered.iter_mut().for_each(|register| *register = value.max(*register));
        })
    }

    pub fn estimate(&self) -> u64 {
        let mut histogram = [0; 64];
        self.registers.iter().for_each(|&value| histogram[usize::from(value)] += 1);
        estimate_of(&histogram)
    }

    /// Raises the registers of `target`, which is dense then if any of the added ones was.
    /// Precondition: [`is_one`].
    pub fn store(&self, target: &mut Vec<u8>) -> Result<(), Corrupted> {
        if self.has_dense {
            make_dense(target)?;
        }
        let mut place = sparse::Place::START;
        for (register, &value) in self.registers.iter().enumerate() {
            if value > 0 {
                raise(target, register, value, &mut place)?;
            }
        }
        invalidate(target);
        Ok(())
    }
}

/// The register that an element falls to, and the value that it gives it at least: the position of
/// the first bit that is set, from 1 on.
fn observe(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let rest = hash >> REGISTER_BITS | 1 << RANK_BITS;
    ((hash as usize) % REGISTERS, rest.trailing_zeros() as u8 + 1)
}

/// Gives a register at least this value; whether it had less. In a sparse one the search begins at
/// `place`, which must lie at or before the register and becomes a good one for those after it.
fn raise(
    bytes: &mut Vec<u8>,
    register: usize,
    value: u8,
    place: &mut sparse::Place,
) -> Result<bool, Corrupted> {
    if bytes[ENCODING_AT] == SPARSE {
        match sparse::raise(bytes, register, value, place)? {
            sparse::Raised::Same => return Ok(false),
            sparse::Raised::Changed => {
                invalidate(bytes);
                return Ok(true);
            }
            sparse::Raised::NoRoom => make_dense(bytes)?,
        }
    }
    Ok(dense::raise(&mut bytes[HEADER_BYTES..], register, value))
}

fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Corrupted> {
    if bytes[ENCODING_AT] == DENSE {
        return Ok(());
    }
    let mut dense = bytes[..HEADER_BYTES].to_vec();
    dense[ENCODING_AT] = DENSE;
    dense.resize(HEADER_BYTES + dense::BYTES, 0);
    let registers = &mut dense[HEADER_BYTES..];
    for_each_run(bytes, |first, value, len| {
        if value > 0 {
            for register in first..first + len {
                dense::raise(registers, register, value);
            }
        }
    })?;
    *bytes = dense;
    Ok(())
}

/// Visits all registers in their order: the first of a run of equal ones, their value and number.
fn for_each_run(bytes: &[u8], visit: impl FnMut(usize, u8, usize)) -> Result<(), Corrupted> {
    let (header, registers) = bytes.split_at(HEADER_BYTES);
    if header[ENCODING_AT] == SPARSE {
        sparse::for_each_run(registers, visit)
    } else {
        dense::for_each(registers, visit);
        Ok(())
    }
}

/// MurmurHash64A by Austin Appleby, with Redis's seed.
fn murmur(bytes: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = HASH_SEED ^ (bytes.len() as u64).wrapping_mul(M);
    let words = bytes.chunks_exact(8);
    let tail = words.remainder();
    for word in words {
        let word = u64::from_le_bytes(word.try_into().expect("invariant: eight bytes"));
        let word = word.wrapping_mul(M);
        hash = (hash ^ (word ^ word >> R).wrapping_mul(M)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

/// The improved raw estimator of the paper above, where every value counts by its own weight, and
/// those at both ends by a series each.
fn estimate_of(histogram: &Histogram) -> u64 {
    /// 1 / (2 ln 2)
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let count = REGISTERS as f64;
    let share = |value: u32| f64::from(histogram[value as usize]) / count;
    let mut sum = count * tau(1.0 - share(RANK_BITS + 1));
    for value in (1..=RANK_BITS).rev() {
        sum = (sum + f64::from(histogram[value as usize])) * 0.5;
    }
    sum += count * sigma(share(0));
    (ALPHA * count * count / sum).round() as u64
}

/// The weight of the registers that are full.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let mut weight = 1.0;
    let mut sum = 1.0 - x;
    loop {
        x = x.sqrt();
        weight *= 0.5;
        let before = sum;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

/// The weight of the registers that are empty.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let mut weight = 1.0;
    let mut sum = x;
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}
