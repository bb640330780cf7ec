//! Replies become RESP here and nowhere else, in the protocol version of the connection that asked.
//! Source: the RESP specification
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use super::error::CommandError;
use super::number::{format_double, parse_integer};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// A growing buffer of encoded replies.
#[derive(Debug, Default)]
pub struct Reply {
    pub buffer: Vec<u8>,
    pub protocol: Protocol,
}

impl Reply {
    pub fn new(protocol: Protocol) -> Self {
        Self { buffer: Vec::new(), protocol }
    }

    fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    fn header(&mut self, kind: u8, number: impl itoa::Integer) {
        self.buffer.push(kind);
        self.buffer.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// `+OK`
    pub fn ok(&mut self) {
        self.buffer.extend_from_slice(b"+OK\r\n");
    }

    /// A status line. Precondition: `text` has no line break.
    pub fn simple(&mut self, text: &str) {
        self.buffer.push(b'+');
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// A status line of any bytes; line breaks become spaces.
    pub fn simple_bytes(&mut self, bytes: &[u8]) {
        self.line(b'+', bytes);
    }

    pub fn error(&mut self, error: &CommandError) {
        self.error_text(&error.to_string());
    }

    /// An error line; line breaks in `text` become spaces.
    pub fn error_text(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// An error line of any bytes; line breaks become spaces, and at the end nothing.
    pub fn error_bytes(&mut self, bytes: &[u8]) {
        let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |at| at + 1);
        self.line(b'-', &bytes[..end]);
    }

    /// A number of any length; line breaks in it become spaces. A bulk string for RESP2.
    pub fn big_number(&mut self, digits: &[u8]) {
        if self.is_resp3() { self.line(b'(', digits) } else { self.bulk(digits) }
    }

    /// [`Reply::verbatim`] of any bytes, in a format of which the first 3 bytes are told.
    pub fn verbatim_bytes(&mut self, format: &[u8], text: &[u8]) {
        if !self.is_resp3() {
            return self.bulk(text);
        }
        let mut head = [b' ', b' ', b' ', b':'];
        for (to, from) in head[..3].iter_mut().zip(format) {
            *to = *from;
        }
        self.header(b'=', text.len() + head.len());
        self.buffer.extend_from_slice(&head);
        self.buffer.extend_from_slice(text);
        self.buffer.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, kind: u8, bytes: &[u8]) {
        self.buffer.push(kind);
        let clean = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
        self.buffer.extend(bytes.iter().map(clean));
        self.buffer.extend_from_slice(b"\r\n");
    }

    pub fn integer(&mut self, number: i64) {
        self.header(b':', number);
    }

    /// A length or count as an integer reply.
    pub fn count(&mut self, count: usize) {
        self.header(b':', count);
    }

    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        // Long replies are mostly short elements: their header is written as one word.
        match bytes.len() {
            len @ 0..10 => self.buffer.extend_from_slice(&[b'$', b'0' + len as u8, b'\r', b'\n']),
            len @ 10..100 => {
                let (tens, ones) = (b'0' + (len / 10) as u8, b'0' + (len % 10) as u8);
                self.buffer.extend_from_slice(&[b'$', tens, ones, b'\r', b'\n']);
            }
            len => self.header(b'$', len),
        }
        self.buffer.extend_from_slice(bytes);
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// The null of a missing value: `$-1` or `_`.
    pub fn null(&mut self) {
        self.buffer.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The null of a missing aggregate: `*-1` or `_`.
    pub fn null_array(&mut self) {
        self.buffer.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    pub fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// `pairs` keys, each followed by its value.
    pub fn map(&mut self, pairs: usize) {
        if self.is_resp3() { self.header(b'%', pairs) } else { self.header(b'*', pairs * 2) }
    }

    pub fn set(&mut self, len: usize) {
        self.header(if self.is_resp3() { b'~' } else { b'*' }, len);
    }

    /// Out-of-band data of RESP3; an array for RESP2.
    pub fn push(&mut self, len: usize) {
        self.header(if self.is_resp3() { b'>' } else { b'*' }, len);
    }

    pub fn boolean(&mut self, value: bool) {
        let text: &[u8] = match (self.protocol, value) {
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
        };
        self.buffer.extend_from_slice(text);
    }

    /// A double of RESP3, a bulk string for RESP2; formatted by [`super::number::format_double`].
    pub fn double(&mut self, value: f64) {
        let mut text = Vec::with_capacity(24);
        format_double(&mut text, value);
        self.double_text(&text);
    }

    /// A double in digits of its own. Precondition: `text` is a number.
    pub fn double_text(&mut self, text: &[u8]) {
        if self.is_resp3() {
            self.buffer.push(b',');
            self.buffer.extend_from_slice(text);
            self.buffer.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// Text for people (INFO, CLIENT LIST): a verbatim string of RESP3, a bulk string for RESP2.
    pub fn verbatim(&mut self, text: &str) {
        if self.is_resp3() {
            self.header(b'=', text.len() + 4);
            self.buffer.extend_from_slice(b"txt:");
            self.buffer.extend_from_slice(text.as_bytes());
            self.buffer.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// Room for an array header whose length is known only later.
    pub fn defer(&mut self) -> Deferred {
        Deferred(self.buffer.len())
    }

    /// Puts the header of an array of `len` elements where [`Reply::defer`] was called.
    pub fn fill_array(&mut self, deferred: Deferred, len: usize) {
        let mut header = Reply::default();
        header.array(len);
        self.buffer.splice(deferred.0..deferred.0, header.buffer);
    }

    /// The same with the header of a map of `pairs`.
    pub fn fill_map(&mut self, deferred: Deferred, pairs: usize) {
        let mut header = Reply::new(self.protocol);
        header.map(pairs);
        self.buffer.splice(deferred.0..deferred.0, header.buffer);
    }
}

/// Bytes of the first reply in `bytes`. Precondition: they were written by a [`Reply`].
pub fn first_reply_len(bytes: &[u8]) -> usize {
    let (mut at, mut missing) = (0, 1u64);
    while missing > 0 {
        missing -= 1;
        let line = bytes[at..].split(|byte| *byte == b'\n').next().expect("invariant: a line");
        let (kind, digits) = (line[0], &line[1..line.len() - 1]);
        at += line.len() + 1;
        let len = || parse_integer(digits).and_then(|len| u64::try_from(len).ok());
        match kind {
            b'$' | b'=' => at += len().map_or(0, |len| len as usize + 2),
            b'*' | b'~' | b'>' => missing += len().unwrap_or(0),
            b'%' => missing += 2 * len().unwrap_or(0),
            _ => {}
        }
    }
    at
}

/// A place in a reply, see [`Reply::defer`].
#[must_use]
#[derive(Debug)]
pub struct Deferred(usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_do_not_break_a_line() {
        let mut reply = Reply::new(Protocol::Resp2);
        for text in ["ERR a\nb\r\n", "\n", ""] {
            reply.error_bytes(text.as_bytes());
            reply.error_text(text);
        }
        assert_eq!(reply.buffer, b"-ERR a b\r\n-ERR a b\r\n-\r\n-\r\n-\r\n-\r\n");
    }

    #[test]
    fn the_first_of_several_replies_is_found() {
        let mut reply = Reply::new(Protocol::Resp3);
        let mut ends = Vec::new();
        let writes: [fn(&mut Reply); 9] = [
            |reply| reply.ok(),
            |reply| reply.integer(-7),
            |reply| reply.bulk(b"with\r\n*9\r\n in it"),
            |reply| reply.bulk(b""),
            |reply| reply.null(),
            |reply| reply.buffer.extend_from_slice(b"*-1\r\n$-1\r\n"),
            |reply| {
                reply.map(2);
                reply.bulk(b"a");
                reply.array(2);
                reply.double(1.5);
                reply.array(0);
                reply.bulk(b"b");
                reply.set(1);
                reply.boolean(true);
            },
            |reply| reply.verbatim("text"),
            |reply| reply.error_text("ERR x"),
        ];
        for write in writes {
            write(&mut reply);
            ends.push(reply.buffer.len());
        }
        let (mut at, mut found) = (0, Vec::new());
        while at < reply.buffer.len() {
            at += first_reply_len(&reply.buffer[at..]);
            found.push(at);
        }
        // The two nulls of RESP2 are two replies.
        found.retain(|end| *end != ends[4] + 5);
        assert_eq!(found, ends);
    }
}
