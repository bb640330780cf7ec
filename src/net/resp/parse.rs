//! Takes requests from the front of what a connection has received: arrays of bulk strings, and
//! inline commands.
//!
//! Words are slices of the input; nothing is copied. A request that is not complete is looked at
//! again from its start when more has come, except that a [`ParseState`] remembers how many bytes
//! it needs at least, so that a large value arriving in pieces is not scanned for each piece.

use std::ops::Range;

use smallvec::SmallVec;

use super::inline;

/// Bounds on a request, in the units of Redis.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Words of one request.
    pub words_max: i64,
    /// Bytes of one word: `proto-max-bulk-len`.
    pub bulk_bytes_max: i64,
    pub authentication: Authentication,
}

/// A client that has not authenticated may send small requests only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    Done,
    Required,
}

/// Words that any client may send in one request (1024 * 1024 in Redis, whatever its settings).
const WORDS_MAX: i64 = 1024 * 1024;

/// Words and bytes of a word that a client may send before it has authenticated.
const UNAUTHENTICATED_WORDS_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16384;

/// Bytes of a line: an inline command, or the count of words or bytes before its line break.
const LINE_BYTES_MAX: usize = 64 * 1024;

impl Limits {
    pub fn new(bulk_bytes_max: usize, authentication: Authentication) -> Self {
        let bulk_bytes_max = i64::try_from(bulk_bytes_max).unwrap_or(i64::MAX);
        Self { words_max: WORDS_MAX, bulk_bytes_max, authentication }
    }
}

/// Why a connection must be closed; the texts are Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("Protocol error: invalid multibulk length")]
    WordCount,
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedWordCount,
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    ExpectedBulk(u8),
    #[error("Protocol error: too big inline request")]
    InlineTooLong,
    #[error("Protocol error: too big mbulk count string")]
    WordCountTooLong,
    #[error("Protocol error: too big bulk count string")]
    BulkLengthTooLong,
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
}

/// What stands at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A request, whose words are in the [`Words`].
    Request { consumed: usize },
    /// Nothing to run: an empty line or an empty array.
    Empty { consumed: usize },
    /// The beginning of a request.
    Incomplete,
}

/// The words of the last request.
#[derive(Debug, Default)]
pub struct Words {
    ranges: Vec<Range<usize>>,
    /// The words of an inline command that is not a slice of the input, because of its quotes.
    unquoted: Vec<u8>,
}

impl Words {
    /// The words as slices of `input`, which is the input of the [`parse`] that found them.
    #[inline]
    pub fn slices<'a>(&'a self, input: &'a [u8]) -> SmallVec<[&'a [u8]; 8]> {
        let source = if self.unquoted.is_empty() { input } else { &self.unquoted };
        self.ranges.iter().map(|range| &source[range.clone()]).collect()
    }

    pub(super) fn push(&mut self, range: Range<usize>) {
        self.ranges.push(range);
    }

    pub(super) fn push_unquoted(&mut self, word: &[u8]) {
        let start = self.unquoted.len();
        self.unquoted.extend_from_slice(word);
        self.ranges.push(start..self.unquoted.len());
    }

    fn clear(&mut self) {
        self.ranges.clear();
        self.unquoted.clear();
    }
}

/// What is known of an incomplete request.
#[derive(Debug, Default)]
pub struct ParseState {
    /// Bytes of input below which the request cannot be complete.
    bytes_min: usize,
}

/// Looks at the front of `input`. After [`Parsed::Incomplete`] it is called again with the same
/// bytes and more.
pub fn parse(
    input: &[u8],
    limits: &Limits,
    state: &mut ParseState,
    words: &mut Words,
) -> Result<Parsed, ProtocolError> {
    if input.len() < state.bytes_min {
        return Ok(Parsed::Incomplete);
    }
    state.bytes_min = 0;
    words.clear();
    match input.first() {
        None => Ok(Parsed::Incomplete),
        Some(b'*') => parse_array(input, limits, state, words),
        Some(_) => parse_inline(input, words),
    }
}

fn parse_array(
    input: &[u8],
    limits: &Limits,
    state: &mut ParseState,
    words: &mut Words,
) -> Result<Parsed, ProtocolError> {
    let (count, mut at) = match number_line(input, 1) {
        Line::Number(count, next) => (count, next),
        Line::Incomplete => return Ok(Parsed::Incomplete),
        Line::TooLong => return Err(ProtocolError::WordCountTooLong),
        Line::NoNumber => return Err(ProtocolError::WordCount),
    };
    if count > limits.words_max {
        return Err(ProtocolError::WordCount);
    }
    if count <= 0 {
        return Ok(Parsed::Empty { consumed: at });
    }
    let unauthenticated = limits.authentication == Authentication::Required;
    if unauthenticated && count > UNAUTHENTICATED_WORDS_MAX {
        return Err(ProtocolError::UnauthenticatedWordCount);
    }
    for done in 0..count {
        match input.get(at) {
            None => return Ok(incomplete(state, at, count - done)),
            Some(b'$') => {}
            Some(&other) => return Err(ProtocolError::ExpectedBulk(other)),
        }
        let (len, start) = match number_line(input, at + 1) {
            Line::Number(len, next) => (len, next),
            Line::Incomplete => return Ok(incomplete(state, at, count - done)),
            Line::TooLong => return Err(ProtocolError::BulkLengthTooLong),
            Line::NoNumber => return Err(ProtocolError::BulkLength),
        };
        if len < 0 || len > limits.bulk_bytes_max {
            return Err(ProtocolError::BulkLength);
        }
        if unauthenticated && len > UNAUTHENTICATED_BULK_BYTES_MAX {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        let end = start + len as usize;
        if input.len() < end + 2 {
            return Ok(incomplete(state, end + 2, count - done - 1));
        }
        words.push(start..end);
        // Like Redis, the line break after a word is skipped and not looked at.
        at = end + 2;
    }
    Ok(Parsed::Request { consumed: at })
}

/// Bytes of the shortest word on the wire: `$0`, two line breaks.
const WORD_BYTES_MIN: usize = 6;

/// The request goes on at `at`, with `missing` more words. A request of many small words in small
/// pieces is so looked at again only when it has grown by a good part of what it lacks.
fn incomplete(state: &mut ParseState, at: usize, missing: i64) -> Parsed {
    state.bytes_min = at + missing as usize * WORD_BYTES_MIN;
    Parsed::Incomplete
}

enum Line {
    /// A number, and where the next line begins.
    Number(i64, usize),
    NoNumber,
    Incomplete,
    TooLong,
}

/// Reads the number that begins at `start` and ends with a line break.
#[inline]
fn number_line(input: &[u8], start: usize) -> Line {
    // The usual case by hand: up to 18 digits and a line break.
    let mut value: i64 = 0;
    let mut at = start;
    while let Some(&byte) = input.get(at) {
        match byte {
            b'0'..=b'9' if at - start < 18 => value = value * 10 + i64::from(byte - b'0'),
            b'\r' if at > start => {
                return if at + 1 < input.len() {
                    Line::Number(value, at + 2)
                } else {
                    Line::Incomplete
                };
            }
            _ => return unusual_line(input, start),
        }
        at += 1;
    }
    unusual_line(input, start)
}

#[cold]
fn unusual_line(input: &[u8], start: usize) -> Line {
    let line = &input[start..];
    let Some(len) = memchr::memchr(b'\r', line) else {
        return if line.len() > LINE_BYTES_MAX { Line::TooLong } else { Line::Incomplete };
    };
    // Whether it comes in pieces or at once.
    if len > LINE_BYTES_MAX {
        return Line::TooLong;
    }
    if start + len + 1 >= input.len() {
        return Line::Incomplete;
    }
    match crate::engine::number::parse_integer(&line[..len]) {
        Some(number) => Line::Number(number, start + len + 2),
        None => Line::NoNumber,
    }
}

fn parse_inline(input: &[u8], words: &mut Words) -> Result<Parsed, ProtocolError> {
    let Some(len) = memchr::memchr(b'\n', input) else {
        return if input.len() > LINE_BYTES_MAX {
            Err(ProtocolError::InlineTooLong)
        } else {
            Ok(Parsed::Incomplete)
        };
    };
    // Whether it comes in pieces or at once.
    if len > LINE_BYTES_MAX {
        return Err(ProtocolError::InlineTooLong);
    }
    let line = input[..len].strip_suffix(b"\r").unwrap_or(&input[..len]);
    inline::split(line, words)?;
    let consumed = len + 1;
    if words.ranges.is_empty() {
        Ok(Parsed::Empty { consumed })
    } else {
        Ok(Parsed::Request { consumed })
    }
}

#[cfg(test)]
mod tests;
