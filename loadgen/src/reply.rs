//! Finds where replies end, in whatever pieces they arrive. PURE: no I/O, no clock.
//!
//! Counting is all that most of a load needs, so nothing is built: an aggregate is a number of
//! elements still to pass by, a bulk string a number of bytes. RESP2 and RESP3.

use memchr::memchr;

/// Bytes of a reply that its reader sees: enough for an error's text, a number, or a mark at the
/// start of a value.
pub const HEAD_BYTES_MAX: usize = 256;

/// A header line longer than this is not of this protocol: Redis cuts its error texts far below.
const LINE_BYTES_MAX: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Value,
    Nil,
    Error,
}

/// A whole reply. `head` is the text of a simple reply, or the start of a bulk string (at most
/// [`HEAD_BYTES_MAX`] bytes); of an aggregate it is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    pub kind: Kind,
    pub head: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's bytes are not of the Redis protocol")]
pub struct ProtocolError;

/// The state between two pieces of one connection's input.
#[derive(Debug, Default)]
pub struct Scanner {
    /// The start of a header line whose end has not come.
    line: Vec<u8>,
    /// Bytes of a bulk string, with its line end, that are still to come.
    body_left: u64,
    /// Of the bulk string that is passing by, when it is a reply by itself.
    head: Vec<u8>,
    /// How many bytes of the bulk string belong into `head`.
    head_left: usize,
    /// Elements of the reply that are still to come; 0 between replies.
    elements_left: u64,
    /// Of the reply that is passing by.
    kind: Option<Kind>,
    /// Whether it is a push message, which answers no request.
    is_push: bool,
}

/// What a header line says.
enum Header {
    Scalar(Kind),
    Bulk(Kind, u64),
    Aggregate(u64),
    /// Elements that come before the reply that they describe.
    Attribute(u64),
    Push(u64),
}

impl Scanner {
    /// Hands out each reply that ends in `bytes`.
    pub fn scan(
        &mut self,
        mut bytes: &[u8],
        mut on_reply: impl FnMut(Reply<'_>),
    ) -> Result<(), ProtocolError> {
        while !bytes.is_empty() {
            if self.body_left > 0 {
                bytes = self.skip_body(bytes, &mut on_reply);
                continue;
            }
            let Some(end) = memchr(b'\n', bytes) else {
                if self.line.len() + bytes.len() > LINE_BYTES_MAX {
                    return Err(ProtocolError);
                }
                self.line.extend_from_slice(bytes);
                return Ok(());
            };
            let (line, rest) = bytes.split_at(end + 1);
            bytes = rest;
            if self.line.is_empty() {
                bytes = self.on_line(line, bytes, &mut on_reply)?;
            } else {
                self.line.extend_from_slice(line);
                let mut joined = std::mem::take(&mut self.line);
                bytes = self.on_line(&joined, bytes, &mut on_reply)?;
                joined.clear();
                self.line = joined;
            }
        }
        Ok(())
    }

    /// Takes a header line; returns what of `bytes`, which follow it, is left.
    #[inline]
    fn on_line<'a>(
        &mut self,
        line: &[u8],
        bytes: &'a [u8],
        on_reply: &mut impl FnMut(Reply<'_>),
    ) -> Result<&'a [u8], ProtocolError> {
        let text = line.strip_suffix(b"\r\n").ok_or(ProtocolError)?;
        let alone = self.elements_left == 0;
        if alone {
            self.elements_left = 1;
        }
        match header(text)? {
            Header::Scalar(kind) => {
                let head = &text[1..text.len().min(HEAD_BYTES_MAX + 1)];
                let is_text = alone && kind != Kind::Nil;
                self.end_element(kind, if is_text { head } else { b"" }, on_reply);
            }
            Header::Bulk(kind, len) => {
                let whole = usize::try_from(len + 2).map_err(|_| ProtocolError)?;
                if let Some(body) = bytes.get(..whole) {
                    let head = &body[..(whole - 2).min(HEAD_BYTES_MAX)];
                    self.end_element(kind, if alone { head } else { b"" }, on_reply);
                    return Ok(&bytes[whole..]);
                }
                self.body_left = len + 2;
                self.head.clear();
                self.head_left = if alone { (whole - 2).min(HEAD_BYTES_MAX) } else { 0 };
                if alone {
                    self.kind = Some(kind);
                }
            }
            Header::Aggregate(count) => self.begin_aggregate(count, on_reply)?,
            Header::Push(count) => {
                self.is_push |= alone;
                self.begin_aggregate(count, on_reply)?;
            }
            Header::Attribute(count) => {
                self.elements_left = self.elements_left.checked_add(count).ok_or(ProtocolError)?;
                if alone {
                    // The reply itself comes after; it is an aggregate for the reader.
                    self.kind = Some(Kind::Value);
                }
            }
        }
        Ok(bytes)
    }

    fn begin_aggregate(
        &mut self,
        count: u64,
        on_reply: &mut impl FnMut(Reply<'_>),
    ) -> Result<(), ProtocolError> {
        self.kind.get_or_insert(Kind::Value);
        self.elements_left = self.elements_left.checked_add(count).ok_or(ProtocolError)?;
        self.end_element(Kind::Value, b"", on_reply);
        Ok(())
    }

    #[inline]
    fn end_element(&mut self, kind: Kind, head: &[u8], on_reply: &mut impl FnMut(Reply<'_>)) {
        self.elements_left -= 1;
        if self.elements_left == 0 {
            let kind = self.kind.take().unwrap_or(kind);
            if !std::mem::take(&mut self.is_push) {
                on_reply(Reply { kind, head });
            }
        } else {
            self.kind.get_or_insert(Kind::Value);
        }
    }

    fn skip_body<'a>(&mut self, bytes: &'a [u8], on_reply: &mut impl FnMut(Reply<'_>)) -> &'a [u8] {
        let step = bytes.len().min(usize::try_from(self.body_left).unwrap_or(usize::MAX));
        let (passed, rest) = bytes.split_at(step);
        let wanted = self.head_left.min(step);
        self.head.extend_from_slice(&passed[..wanted]);
        self.head_left -= wanted;
        self.body_left -= step as u64;
        if self.body_left == 0 {
            let head = std::mem::take(&mut self.head);
            self.end_element(Kind::Value, &head, on_reply);
            self.head = head;
        }
        rest
    }
}

#[inline]
fn header(text: &[u8]) -> Result<Header, ProtocolError> {
    let (first, rest) = text.split_first().ok_or(ProtocolError)?;
    let len = |times: u64| -> Result<Option<u64>, ProtocolError> {
        if rest == b"-1" {
            return Ok(None);
        }
        let number = parse_len(rest).ok_or(ProtocolError)?;
        Ok(Some(number * times))
    };
    Ok(match first {
        b'+' | b':' | b',' | b'#' | b'(' => Header::Scalar(Kind::Value),
        b'-' => Header::Scalar(Kind::Error),
        b'_' => Header::Scalar(Kind::Nil),
        b'$' | b'=' => len(1)?.map_or(Header::Scalar(Kind::Nil), |n| Header::Bulk(Kind::Value, n)),
        b'!' => Header::Bulk(Kind::Error, len(1)?.ok_or(ProtocolError)?),
        b'*' | b'~' => len(1)?.map_or(Header::Scalar(Kind::Nil), Header::Aggregate),
        b'%' => Header::Aggregate(len(2)?.ok_or(ProtocolError)?),
        b'|' => Header::Attribute(len(2)?.ok_or(ProtocolError)?),
        b'>' => Header::Push(len(1)?.ok_or(ProtocolError)?),
        _ => return Err(ProtocolError),
    })
}

/// Up to 10 digits: Redis's longest string has 512 MiB, and no aggregate has more elements.
fn parse_len(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `pieces`, one after another.
    fn scan<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<(Kind, Vec<u8>)>, ProtocolError> {
        let mut scanner = Scanner::default();
        let mut replies = Vec::new();
        for piece in pieces {
            scanner.scan(piece, |reply| replies.push((reply.kind, reply.head.to_vec())))?;
        }
        Ok(replies)
    }

    #[test]
    fn replies_are_the_same_in_whatever_pieces_they_arrive() {
        let bytes =
            b"+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n$1\r\nx\r\n\
            *2\r\n:1\r\n-ERR in\r\n_\r\n#t\r\n,1.5\r\n(99\r\n%1\r\n+k\r\n~1\r\n+e\r\n=5\r\n\
            txt:a\r\n!5\r\nERR x\r\n>2\r\n+invalidate\r\n*1\r\n+k\r\n|1\r\n+ttl\r\n:3\r\n+after\r\n\
            $0\r\n\r\n";
        let expected: Vec<(Kind, Vec<u8>)> = [
            (Kind::Value, &b"OK"[..]),
            (Kind::Error, b"ERR no"),
            (Kind::Value, b"-7"),
            (Kind::Value, b"a\r\n"),
            (Kind::Nil, b""),
            (Kind::Nil, b""),
            (Kind::Value, b""),
            (Kind::Value, b""),
            (Kind::Nil, b""),
            (Kind::Value, b"t"),
            (Kind::Value, b"1.5"),
            (Kind::Value, b"99"),
            (Kind::Value, b""),
            (Kind::Value, b"txt:a"),
            (Kind::Error, b"ERR x"),
            (Kind::Value, b""),
            (Kind::Value, b""),
        ]
        .map(|(kind, head)| (kind, head.to_vec()))
        .to_vec();
        assert_eq!(scan([&bytes[..]]).unwrap(), expected);
        for split in 0..=bytes.len() {
            let (front, back) = bytes.split_at(split);
            assert_eq!(scan([front, back]).unwrap(), expected, "split at {split}");
        }
        assert_eq!(scan(bytes.chunks(1)).unwrap(), expected);
    }

    #[test]
    fn only_the_head_of_a_long_value_is_kept() {
        let mut bytes = b"$100000\r\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'v', 100_000));
        bytes.extend(b"\r\n+OK\r\n");
        for size in [1000, bytes.len()] {
            let replies = scan(bytes.chunks(size)).unwrap();
            assert_eq!(replies[0], (Kind::Value, vec![b'v'; HEAD_BYTES_MAX]));
            assert_eq!(replies[1].1, b"OK");
        }
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        for bytes in [
            &b"\r\n"[..],
            b"HTTP/1.1 200 OK\r\n",
            b"+OK\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"$\r\n",
            b"*99999999999\r\n",
            b"%-1\r\n",
        ] {
            assert_eq!(scan([bytes]), Err(ProtocolError), "{bytes:?}");
        }
        let endless = vec![b'+'; LINE_BYTES_MAX + 1];
        assert_eq!(scan([&endless[..]]), Err(ProtocolError));
    }
}
