//! A small blocking client: one request, one reply. For tools that ask a node a question, not for
//! load.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest line and longest bulk string taken from a server.
const REPLY_BYTES_MAX: u64 = 16 << 20;

/// Longest array taken from a server.
const ARRAY_LEN_MAX: i64 = 4096;

/// The bytes of a request of these words.
pub fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    request
}

pub struct Client {
    stream: BufReader<TcpStream>,
}

/// The replies that a question can have here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Reply>),
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("a reply that was not understood: {0:?}")]
    Protocol(String),
}

impl Client {
    /// Every later read and write is bounded by `timeout` too.
    pub fn connect(address: SocketAddr, timeout: Duration) -> Result<Self, ClientError> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub fn call(&mut self, words: &[&str]) -> Result<Reply, ClientError> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.send(&words)?;
        self.receive()
    }

    /// Sends a request, whose reply is taken by [`Client::receive`].
    pub fn send(&mut self, words: &[&[u8]]) -> Result<(), ClientError> {
        self.stream.get_mut().write_all(&encode(words))?;
        Ok(())
    }

    /// The reply to the first request that has none yet.
    pub fn receive(&mut self) -> Result<Reply, ClientError> {
        self.reply()
    }

    fn reply(&mut self) -> Result<Reply, ClientError> {
        let line = self.line()?;
        let unknown = || ClientError::Protocol(line.clone());
        let number = |text: &str| text.parse::<i64>().map_err(|_| unknown());
        match line.split_at_checked(1) {
            Some(("+", text)) => Ok(Reply::Simple(text.to_owned())),
            Some(("-", text)) => Ok(Reply::Error(text.to_owned())),
            Some((":", text)) => Ok(Reply::Integer(number(text)?)),
            Some(("$", text)) => match number(text)? {
                -1 => Ok(Reply::Nil),
                length => {
                    let length = u64::try_from(length).map_err(|_| unknown())?;
                    if length > REPLY_BYTES_MAX {
                        return Err(unknown());
                    }
                    self.bulk(length as usize).map(Reply::Bulk)
                }
            },
            Some(("*", text)) => match number(text)? {
                count @ 0..=ARRAY_LEN_MAX => (0..count).map(|_| self.reply()).collect(),
                _ => Err(unknown()),
            }
            .map(Reply::Array),
            _ => Err(unknown()),
        }
    }

    fn line(&mut self) -> Result<String, ClientError> {
        let mut line = String::new();
        (&mut self.stream).take(REPLY_BYTES_MAX).read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(text) => Ok(text.to_owned()),
            None if line.is_empty() => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            None => Err(ClientError::Protocol(line)),
        }
    }

    fn bulk(&mut self, length: usize) -> Result<Vec<u8>, ClientError> {
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers the first request with `reply` and gives the request back.
    fn call(words: &[&str], reply: &'static [u8]) -> (String, Result<Reply, ClientError>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(reply).unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let mut client = Client::connect(address, Duration::from_secs(10)).unwrap();
        let reply = client.call(words);
        (server.join().unwrap(), reply)
    }

    #[test]
    fn a_request_is_an_array_of_bulk_strings() {
        let (request, reply) = call(&["GET", "käse"], b"$-1\r\n");
        assert_eq!(request, "*2\r\n$3\r\nGET\r\n$5\r\nk\u{e4}se\r\n");
        assert_eq!(reply.unwrap(), Reply::Nil);
    }

    #[test]
    fn every_simple_reply_is_understood() {
        for (bytes, expected) in [
            (&b"+OK\r\n"[..], Reply::Simple("OK".into())),
            (b"-ERR no\r\n", Reply::Error("ERR no".into())),
            (b":-7\r\n", Reply::Integer(-7)),
            (b"$0\r\n\r\n", Reply::Bulk(Vec::new())),
            (b"$4\r\na\r\nb\r\n", Reply::Bulk(b"a\r\nb".to_vec())),
        ] {
            assert_eq!(call(&["PING"], bytes).1.unwrap(), expected);
        }
    }

    #[test]
    fn broken_replies_are_errors() {
        for bytes in
            [&b""[..], b"+OK", b"?\r\n", b"$x\r\n", b"$-2\r\n", b"$99999999999\r\n", b"\r\n"]
        {
            assert!(call(&["PING"], bytes).1.is_err(), "{bytes:?}");
        }
        let (_, reply) = call(&["PING"], b"$5\r\nab");
        assert!(matches!(reply, Err(ClientError::Io(_))));
    }
}
