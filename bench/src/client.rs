//! A blocking client with as much of RESP2 as the measurements need: requests one at a time or a
//! pipeline of them, flat replies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("port {port}: {source}")]
    Io { port: u16, source: std::io::Error },
    #[error("port {port} closed the connection")]
    Closed { port: u16 },
    #[error("port {port} answered '{text}'")]
    Refused { port: u16, text: String },
    #[error("port {port} answered what is no flat reply: '{line}'")]
    Unexpected { port: u16, line: String },
}

pub struct Client {
    port: u16,
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Client {
    pub fn connect(port: u16) -> Result<Self, ClientError> {
        let io = |source| ClientError::Io { port, source };
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(io)?;
        stream.set_nodelay(true).map_err(io)?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(io)?;
        Ok(Self { port, stream: BufReader::new(stream), request: Vec::new() })
    }

    /// Sends one command and returns its reply as text; an error reply is an error.
    pub fn call(&mut self, words: &[&str]) -> Result<String, ClientError> {
        self.queue(words);
        self.send()?;
        self.receive()
    }

    /// Adds a command to what [`Client::send`] will send.
    pub fn queue(&mut self, words: &[&str]) {
        self.request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.request.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
    }

    pub fn send(&mut self) -> Result<(), ClientError> {
        let sent = self.stream.get_mut().write_all(&self.request);
        self.request.clear();
        sent.map_err(|source| ClientError::Io { port: self.port, source })
    }

    /// One reply: a line, an integer, or a bulk string (a null is empty).
    pub fn receive(&mut self) -> Result<String, ClientError> {
        let port = self.port;
        let io = |source| ClientError::Io { port, source };
        let mut line = String::new();
        if self.stream.read_line(&mut line).map_err(io)? == 0 {
            return Err(ClientError::Closed { port });
        }
        let line = line.trim_end();
        let unexpected = || ClientError::Unexpected { port, line: line.to_owned() };
        let rest = line.get(1..).ok_or_else(unexpected)?;
        match line.as_bytes()[0] {
            b'+' | b':' => Ok(rest.to_owned()),
            b'-' => Err(ClientError::Refused { port, text: rest.to_owned() }),
            b'$' if rest == "-1" => Ok(String::new()),
            b'$' => {
                let len: usize = rest.parse().map_err(|_| unexpected())?;
                let mut bulk = vec![0; len + 2];
                self.stream.read_exact(&mut bulk).map_err(io)?;
                bulk.truncate(len);
                Ok(String::from_utf8_lossy(&bulk).into_owned())
            }
            _ => Err(unexpected()),
        }
    }

    /// The fields of an INFO section.
    pub fn info(&mut self, section: &str) -> Result<Info, ClientError> {
        Ok(Info(self.call(&["INFO", section])?))
    }
}

/// The reply to INFO.
pub struct Info(String);

impl From<&str> for Info {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Info {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
    }

    /// A field that is a count.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok()
    }

    /// The first field whose name holds `part`, as `name:value`.
    pub fn line_naming(&self, part: &str) -> Option<&str> {
        self.lines_naming(part).next()
    }

    /// All such fields.
    pub fn lines_naming(&self, part: &str) -> impl Iterator<Item = &str> {
        self.0
            .lines()
            .map(str::trim_end)
            .filter(move |line| line.split_once(':').is_some_and(|(name, _)| name.contains(part)))
    }
}

#[test]
fn info_fields_are_found_by_whole_name() {
    let info = Info::from("# Raft\r\nraft_role:leader\r\nraft_role_x:7\r\nlayout:one core\r\n");
    assert_eq!(info.field("raft_role"), Some("leader"));
    assert_eq!(info.field("role"), None);
    assert_eq!((info.count("raft_role"), info.count("raft_role_x")), (None, Some(7)));
    assert_eq!(info.line_naming("lay"), Some("layout:one core"));
}
