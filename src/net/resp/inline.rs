//! Splits a line into words as Redis does: by spaces, with single and double quotes and, in double
//! quotes, the escapes `\n \r \t \b \a \xHH`.

use super::parse::{ProtocolError, Words};

pub(super) fn split(line: &[u8], words: &mut Words) -> Result<(), ProtocolError> {
    if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
        return split_quoted(line, words);
    }
    let mut at = 0;
    while at < line.len() {
        if is_space(line[at]) {
            at += 1;
            continue;
        }
        let start = at;
        while at < line.len() && !is_space(line[at]) {
            at += 1;
        }
        words.push(start..at);
    }
    Ok(())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0)
}

fn split_quoted(line: &[u8], words: &mut Words) -> Result<(), ProtocolError> {
    let mut rest = line;
    let mut word = Vec::new();
    loop {
        while let [first, after @ ..] = rest
            && is_space(*first)
        {
            rest = after;
        }
        if rest.is_empty() {
            return Ok(());
        }
        word.clear();
        rest = take_word(rest, &mut word)?;
        words.push_unquoted(&word);
    }
}

/// Takes one word from the front of `rest`, whose first byte is not a space.
fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        match rest {
            [] => return Ok(rest),
            [space, ..] if is_space(*space) => return Ok(rest),
            [quote @ (b'"' | b'\''), after @ ..] => {
                let after = take_quoted(*quote, after, word)?;
                // A closing quote ends the word.
                return match after {
                    [] => Ok(after),
                    [space, ..] if is_space(*space) => Ok(after),
                    _ => Err(ProtocolError::UnbalancedQuotes),
                };
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

/// Takes what stands before the closing quote; returns what stands behind it.
fn take_quoted<'a>(
    quote: u8,
    mut rest: &'a [u8],
    word: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    loop {
        rest = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [closing, after @ ..] if *closing == quote => return Ok(after),
            [b'\\', b'\'', after @ ..] if quote == b'\'' => {
                word.push(b'\'');
                after
            }
            [b'\\', b'x', high, low, after @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex(*high) << 4 | hex(*low));
                after
            }
            [b'\\', escaped, after @ ..] if quote == b'"' => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}
