//! Data structures that know neither keys nor RESP. Each keeps an order that is a function of the
//! operations alone, so that random picks and scans are the same on every node.

pub mod bitmap;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod list;
pub mod packed;
pub mod set;
pub mod sorted_set;
pub mod stream;
pub mod string;

/// Small hashes and sets have at most so many fields or members; Redis's default.
pub const COMPACT_LEN_MAX: usize = 128;
/// Small hashes and sets hold strings of at most so many bytes; Redis's default.
pub const COMPACT_STRING_BYTES_MAX: usize = 64;

/// The hasher of the large forms. Its keys are fixed; no order depends on it.
pub type FixedState = std::hash::BuildHasherDefault<ahash::AHasher>;

/// The part of a table of `len` entries that a scan at `cursor` reads, from the end downwards, and
/// the next cursor; cursor 0 begins.
fn scan_range(len: usize, cursor: u64, count: usize) -> (u64, std::ops::Range<usize>) {
    let end = match usize::try_from(cursor) {
        Ok(0) | Err(_) => len,
        Ok(cursor) => cursor.min(len),
    };
    let start = end.saturating_sub(count);
    (start as u64, start..end)
}
