//! RESP as it came: every type of RESP2 and RESP3 kept apart, and a connection that speaks it.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Longer than any reply may take, a wait for a leader included.
const REPLY_TIME: Duration = Duration::from_secs(30);

/// A reply with its type byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `+ - : , # ( _`
    Line(u8, Vec<u8>),
    /// `$ =`
    Text(u8, Vec<u8>),
    /// `$-1` or `*-1`
    Null(u8),
    /// `* ~ > %`; a map as its keys and values in turn.
    Many(u8, Vec<Value>),
}

impl Value {
    pub fn is_error(&self) -> bool {
        matches!(self, Value::Line(b'-', _))
    }

    pub fn is(&self, status: &str) -> bool {
        matches!(self, Value::Line(b'+', text) if text == status.as_bytes())
    }

    pub fn is_error_of(&self, text: &str) -> bool {
        matches!(self, Value::Line(b'-', bytes) if bytes == text.as_bytes())
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null(_) | Value::Line(b'_', _))
    }

    pub fn is_text(&self, text: &str) -> bool {
        matches!(self, Value::Text(_, bytes) if bytes == text.as_bytes())
    }

    /// The bytes of a scalar; of nothing and of an array none.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Line(_, bytes) | Value::Text(_, bytes) => bytes,
            Value::Null(_) | Value::Many(..) => &[],
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub fn integer(&self) -> Option<i64> {
        std::str::from_utf8(self.bytes()).ok()?.parse().ok()
    }

    pub fn elements(&self) -> &[Value] {
        match self {
            Value::Many(_, values) => values,
            _ => &[],
        }
    }

    /// All scalars in it, in order.
    pub fn scalars(&self) -> Vec<&[u8]> {
        match self {
            Value::Many(_, values) => values.iter().flat_map(Value::scalars).collect(),
            scalar => vec![scalar.bytes()],
        }
    }

    /// Whether it tells a subscriber of a message.
    fn is_message(&self) -> bool {
        let first = self.elements().first().map_or(&[][..], Value::bytes);
        [&b"message"[..], b"pmessage", b"smessage"].contains(&first)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Line(kind, bytes) => {
                write!(f, "{}{}", char::from(*kind), bytes.escape_ascii())
            }
            Value::Text(kind, bytes) => {
                write!(f, "{}\"{}\"", char::from(*kind), bytes.escape_ascii())
            }
            Value::Null(kind) => write!(f, "{}-1", char::from(*kind)),
            Value::Many(kind, values) => {
                write!(f, "{}", char::from(*kind))?;
                f.debug_list().entries(values).finish()
            }
        }
    }
}

pub struct Connection {
    stream: BufReader<TcpStream>,
    /// Messages that came to a subscriber between replies.
    pub messages: Vec<Value>,
}

impl Connection {
    pub fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIME))?;
        stream.set_write_timeout(Some(REPLY_TIME))?;
        Ok(Self { stream: BufReader::with_capacity(1 << 16, stream), messages: Vec::new() })
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// The next reply; messages before it are put aside.
    pub fn reply(&mut self) -> io::Result<Value> {
        loop {
            let value = self.value()?;
            if !value.is_message() {
                return Ok(value);
            }
            self.messages.push(value);
        }
    }

    /// Whether there is something to read already.
    pub fn has_reply(&mut self) -> io::Result<bool> {
        self.stream.get_ref().set_nonblocking(true)?;
        let filled = self.stream.fill_buf().map(|bytes| !bytes.is_empty());
        self.stream.get_ref().set_nonblocking(false)?;
        match filled {
            Ok(true) => Ok(true),
            Ok(false) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads until so many messages were put aside; fails when they do not come in time.
    pub fn await_messages(&mut self, count: usize) -> io::Result<()> {
        while self.messages.len() < count {
            let value = self.value()?;
            if !value.is_message() {
                return Err(bad(format!("{value:?} instead of a message").as_bytes()));
            }
            self.messages.push(value);
        }
        Ok(())
    }

    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> io::Result<Value> {
        let mut bytes = Vec::new();
        encode(words, &mut bytes);
        self.send(&bytes)?;
        self.reply()
    }

    fn value(&mut self) -> io::Result<Value> {
        let line = self.line()?;
        let (kind, rest) = (line[0], &line[1..]);
        let len = || {
            let number = std::str::from_utf8(rest).ok().and_then(|text| text.parse::<i64>().ok());
            number.ok_or_else(|| bad(&line))
        };
        Ok(match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'(' | b'_' => Value::Line(kind, rest.to_vec()),
            b'$' | b'*' if len()? == -1 => Value::Null(kind),
            b'$' | b'=' => {
                let mut bytes = vec![0; usize::try_from(len()?).map_err(|_| bad(&line))? + 2];
                self.stream.read_exact(&mut bytes)?;
                if !bytes.ends_with(b"\r\n") {
                    return Err(bad(b"a string without its end"));
                }
                bytes.truncate(bytes.len() - 2);
                Value::Text(kind, bytes)
            }
            b'*' | b'~' | b'>' => Value::Many(kind, self.values(len()?)?),
            b'%' => Value::Many(kind, self.values(2 * len()?)?),
            _ => return Err(bad(&line)),
        })
    }

    fn values(&mut self, count: i64) -> io::Result<Vec<Value>> {
        (0..count).map(|_| self.value()).collect()
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match line.strip_suffix(b"\r\n") {
            Some(text) if !text.is_empty() => Ok(text.to_vec()),
            _ => Err(bad(&line)),
        }
    }
}

fn bad(text: &[u8]) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not RESP: {}", text.escape_ascii()))
}

/// Adds one command.
pub fn encode<W: AsRef<[u8]>>(words: &[W], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
}
