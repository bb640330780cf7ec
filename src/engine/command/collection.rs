//! What the families of hashes and sets share: random picks and scans.

use indexmap::IndexSet;

use super::options::{is_word, negatable};
use crate::engine::error::CommandError;
use crate::engine::number::integer;
use crate::engine::random::Random;
use crate::engine::reply::Reply;
use crate::engine::types::FixedState;

/// Redis's default for COUNT of a scan.
const SCAN_COUNT: usize = 10;

/// The most elements that a negative count may ask for. Redis has no bound and dies of it.
const REPEATED_PICKS_MAX: u64 = 1 << 24;

const OUT_OF_RANGE: CommandError = CommandError::text("ERR value is out of range");

/// How many random elements are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picks {
    /// So many different ones, or all.
    Distinct(usize),
    /// Exactly so many, each drawn from all.
    Repeated(usize),
}

impl Picks {
    /// From the count of a command, negative for repeated picks.
    pub fn parse(argument: &[u8]) -> Result<Self, CommandError> {
        let count = negatable(argument)?;
        if count < 0 && count.unsigned_abs() > REPEATED_PICKS_MAX {
            return Err(OUT_OF_RANGE);
        }
        let picks = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(if count < 0 { Self::Repeated(picks) } else { Self::Distinct(picks) })
    }

    /// As [`Picks::parse`], where each pick is two replies.
    pub fn parse_pairs(argument: &[u8]) -> Result<Self, CommandError> {
        match Self::parse(argument)? {
            Self::Distinct(count) if count as u64 > i64::MAX as u64 / 2 => Err(OUT_OF_RANGE),
            picks => Ok(picks),
        }
    }

    /// The indices of the elements picked from `len`.
    pub fn draw(self, random: &mut Random, len: usize) -> Vec<usize> {
        match self {
            Self::Repeated(count) => (0..count).map(|_| random.below(len)).collect(),
            Self::Distinct(count) if count >= len => (0..len).collect(),
            // Drawing again is cheap while at least two thirds are not drawn yet.
            Self::Distinct(count) if count < len / 3 => {
                let mut picks = IndexSet::with_capacity_and_hasher(count, FixedState::default());
                while picks.len() < count {
                    picks.insert(random.below(len));
                }
                picks.into_iter().collect()
            }
            Self::Distinct(count) => {
                let mut indices: Vec<usize> = (0..len).collect();
                for position in 0..count {
                    indices.swap(position, position + random.below(len - position));
                }
                indices.truncate(count);
                indices
            }
        }
    }
}

/// MATCH and COUNT of a scan.
pub struct ScanOptions<'a> {
    pub pattern: Option<&'a [u8]>,
    pub count: usize,
}

impl<'a> ScanOptions<'a> {
    pub fn parse(words: &[&'a [u8]]) -> Result<Self, CommandError> {
        let mut options = Self { pattern: None, count: SCAN_COUNT };
        for pair in words.chunks(2) {
            match *pair {
                [name, argument] if is_word(name, "COUNT") => {
                    let count = usize::try_from(integer(argument)?).unwrap_or(0);
                    if count == 0 {
                        return Err(CommandError::Syntax);
                    }
                    options.count = count;
                }
                [name, argument] if is_word(name, "MATCH") => {
                    // The empty member too, which no other pattern fits.
                    options.pattern = Some(argument).filter(|pattern| **pattern != *b"*");
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(options)
    }
}

/// A cursor of digits, behind a plus if need be. Redis 7.0 takes nothing for 0 and lets a minus
/// wrap around; later ones refuse both.
pub fn parse_cursor(argument: &[u8]) -> Result<u64, CommandError> {
    let digits = argument.strip_prefix(b"+").unwrap_or(argument);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let value = digits.iter().try_fold(0u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))
    });
    value.filter(|_| is_number).ok_or(CommandError::text("ERR invalid cursor"))
}

/// The reply to a scan: the next cursor, and the strings found.
pub fn write_scan<T: AsRef<[u8]>>(reply: &mut Reply, next: u64, found: &[T]) {
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(found.len());
    for item in found {
        reply.bulk(item.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_picks_are_different_and_in_range() {
        let mut random = Random::new(1);
        for len in 1..60 {
            for count in 0..=len + 1 {
                let picks = Picks::Distinct(count).draw(&mut random, len);
                let different: std::collections::BTreeSet<_> = picks.iter().collect();
                assert_eq!(picks.len(), count.min(len));
                assert_eq!(different.len(), picks.len());
                assert!(picks.iter().all(|&pick| pick < len));
            }
        }
    }

    #[test]
    fn distinct_picks_reach_every_element() {
        let mut random = Random::new(2);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..400 {
            seen.extend(Picks::Distinct(2).draw(&mut random, 12));
            seen.extend(Picks::Distinct(5).draw(&mut random, 12));
        }
        assert_eq!(seen.len(), 12);
    }

    #[test]
    fn counts_are_refused_beyond_their_range() {
        assert_eq!(Picks::parse(b"3"), Ok(Picks::Distinct(3)));
        assert_eq!(Picks::parse(b"-3"), Ok(Picks::Repeated(3)));
        assert_eq!(Picks::parse(b"x"), Err(CommandError::NotInteger));
        assert_eq!(Picks::parse(b"-9223372036854775807"), Err(OUT_OF_RANGE));
        assert!(Picks::parse(b"9223372036854775807").is_ok());
        assert_eq!(Picks::parse_pairs(b"9223372036854775807"), Err(OUT_OF_RANGE));
    }

    #[test]
    fn cursors_are_read_as_redis_reads_them() {
        for (text, cursor) in [("0", 0), ("+7", 7), ("18446744073709551615", u64::MAX)] {
            assert_eq!(parse_cursor(text.as_bytes()), Ok(cursor));
        }
        for text in ["", "-1", "+", "x", " 0", "0 ", "18446744073709551616", "-", "/"] {
            assert!(parse_cursor(text.as_bytes()).is_err(), "{text}");
        }
    }
}
