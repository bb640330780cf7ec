//! A server for tests, which does what a test tells it to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What the server does with a request.
pub enum Answer {
    Reply(&'static [u8]),
    Text(String),
    /// Ends the connection without a reply.
    Close,
}

/// Serves requests of exactly `request_len` bytes; each is given to `answer` with its number, which
/// counts from 0 over all connections. `answer` may block: its connection then stalls.
pub fn serve(
    request_len: usize,
    answer: impl Fn(u64, &[u8]) -> Answer + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    let number = Arc::new(AtomicU64::new(0));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (answer, number) = (Arc::clone(&answer), Arc::clone(&number));
            thread::spawn(move || {
                // A client that has gone away ends its connection.
                let _gone = converse(stream, request_len, &*answer, &number);
            });
        }
    });
    address
}

fn converse(
    mut stream: TcpStream,
    request_len: usize,
    answer: &(dyn Fn(u64, &[u8]) -> Answer + Send + Sync),
    number: &AtomicU64,
) -> std::io::Result<()> {
    // Several replies are on their way at once, and none is to wait for the one before it.
    stream.set_nodelay(true)?;
    let mut request = vec![0; request_len];
    loop {
        stream.read_exact(&mut request)?;
        match answer(number.fetch_add(1, Ordering::SeqCst), &request) {
            Answer::Reply(bytes) => stream.write_all(bytes)?,
            Answer::Text(text) => stream.write_all(text.as_bytes())?,
            Answer::Close => return Ok(()),
        }
    }
}
