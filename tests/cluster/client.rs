//! A blocking client that shows every reply as it came: RESP2 and RESP3, pipelines, raw bytes.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longer than any reply may take, a wait for a leader included.
const REPLY_TIME: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Value>),
    /// RESP3's map as its flat list of keys and values.
    Map(Vec<Value>),
    Null,
    /// Any other RESP3 scalar: its type byte and text.
    Other(u8, String),
}

impl Value {
    pub fn bulk(text: &str) -> Self {
        Value::Bulk(text.as_bytes().to_vec())
    }

    pub fn ok() -> Self {
        Value::Simple("OK".into())
    }

    /// The text of a string, status, error or integer.
    pub fn text(&self) -> String {
        match self {
            Value::Simple(text) | Value::Error(text) | Value::Other(_, text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::Array(_) | Value::Map(_) | Value::Null => format!("{self:?}"),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

pub struct Client {
    stream: BufReader<TcpStream>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client of {:?}", self.stream.get_ref().peer_addr())
    }
}

impl Client {
    pub fn try_connect(port: u16) -> io::Result<Self> {
        Self::try_connect_to((Ipv4Addr::LOCALHOST, port))
    }

    pub fn try_connect_to(address: impl ToSocketAddrs) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIME))?;
        stream.set_write_timeout(Some(REPLY_TIME))?;
        Ok(Self { stream: BufReader::with_capacity(4096, stream) })
    }

    /// From here on an answer that takes longer is an error, after which the connection is of no
    /// use any more: the answer may come yet.
    pub fn set_patience(&self, time: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(time))
    }

    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).unwrap_or_else(|error| panic!("connect to {port}: {error}"))
    }

    /// One command, its words separated by single spaces, and its reply.
    pub fn call(&mut self, command: &str) -> Value {
        self.try_call(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    pub fn try_call(&mut self, command: &str) -> io::Result<Value> {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.send(&encode(&words))?;
        self.receive()
    }

    /// One command of words that may hold anything.
    pub fn call_words(&mut self, words: &[&[u8]]) -> Value {
        self.send(&encode(words)).unwrap();
        self.receive().unwrap()
    }

    /// All commands at once, then all replies.
    pub fn pipeline(&mut self, commands: &[String]) -> io::Result<Vec<Value>> {
        let mut bytes = Vec::new();
        for command in commands {
            let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            bytes.extend_from_slice(&encode(&words));
        }
        self.send(&bytes)?;
        commands.iter().map(|_| self.receive()).collect()
    }

    /// Sends one command, whose reply is read later.
    pub fn send_command(&mut self, command: &str) {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.send(&encode(&words)).unwrap();
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// No more requests; replies can still be read. A node that has closed the connection already,
    /// for what it was sent, is no fault of the caller.
    pub fn finish_sending(&mut self) {
        match self.stream.get_ref().shutdown(Shutdown::Write) {
            Err(error) if error.kind() != ErrorKind::NotConnected => panic!("shutdown: {error}"),
            _ => {}
        }
    }

    pub fn receive(&mut self) -> io::Result<Value> {
        let line = self.line()?;
        let (kind, rest) = (line.as_bytes()[0], &line[1..]);
        let len = || rest.parse::<i64>().map_err(|_| bad(&line));
        Ok(match kind {
            b'+' => Value::Simple(rest.into()),
            b'-' => Value::Error(rest.into()),
            b':' => Value::Integer(len()?),
            b'_' => Value::Null,
            b'$' | b'*' if len()? == -1 => Value::Null,
            b'$' | b'=' => {
                let mut bytes = vec![0; usize::try_from(len()?).map_err(|_| bad(&line))? + 2];
                self.stream.read_exact(&mut bytes)?;
                if !bytes.ends_with(b"\r\n") {
                    return Err(bad("a string without its end"));
                }
                bytes.truncate(bytes.len() - 2);
                Value::Bulk(bytes)
            }
            b'*' | b'~' | b'>' => Value::Array(self.receive_many(len()?)?),
            b'%' => Value::Map(self.receive_many(len()? * 2)?),
            b'#' | b',' | b'(' => Value::Other(kind, rest.into()),
            _ => return Err(bad(&line)),
        })
    }

    fn receive_many(&mut self, count: i64) -> io::Result<Vec<Value>> {
        (0..count).map(|_| self.receive()).collect()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match line.strip_suffix("\r\n") {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(bad(&line)),
        }
    }

    /// Everything until the server closes the connection, properly or by a reset.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
            Err(error) => panic!("the connection was not closed: {error}"),
        }
    }

    /// A field of INFO, of all sections.
    pub fn info(&mut self, name: &str) -> Option<String> {
        let text = self.try_call("INFO everything").ok()?.text();
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.map(|value| value.trim_end().to_owned())
    }
}

fn bad(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not RESP: {text:?}"))
}

pub fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
