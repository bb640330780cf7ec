//! The connection to the source: bytes with a bound on silence, and what a replica has to say
//! meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::propose::Tend;
use super::session::SessionError;
use super::{LOOK, Shared};
use crate::client;
use crate::engine::import::{Import, Phase};
use crate::engine::rdb::file::Feed;
use crate::net::resolve::resolve;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// Bytes of a line of the handshake.
const LINE_BYTES_MAX: usize = 64 << 10;

/// How often a replica tells its source that it is there.
const TELL: Duration = Duration::from_secs(1);

pub struct Link {
    stream: TcpStream,
    shared: Arc<Shared>,
    session: u64,
    /// Received, of which the part up to `start` is taken.
    received: Vec<u8>,
    start: usize,
    /// How long the source may be silent.
    patience: Duration,
    heard: Instant,
    told: Instant,
    /// The source is told what was applied; before, only that this replica is there.
    pub acknowledges: bool,
    /// What has to be applied before the source, which has asked, is told at once.
    pub asked_at: Option<u64>,
}

fn lost(error: impl std::fmt::Display) -> SessionError {
    SessionError::Lost(error.to_string())
}

impl Link {
    pub fn connect(
        shared: &Arc<Shared>,
        session: u64,
        (host, port): (&str, u16),
        patience: Duration,
    ) -> Result<Self, SessionError> {
        let address = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let mut last = lost(format!("{address} is no address that is known"));
        for resolved in resolve(&address) {
            match TcpStream::connect_timeout(&resolved, patience.min(Duration::from_secs(5))) {
                Ok(stream) => {
                    return Self::new(shared, session, stream, patience).map_err(lost);
                }
                Err(error) => last = lost(format!("cannot connect to {resolved}: {error}")),
            }
        }
        Err(last)
    }

    fn new(
        shared: &Arc<Shared>,
        session: u64,
        stream: TcpStream,
        patience: Duration,
    ) -> std::io::Result<Self> {
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        let now = Instant::now();
        Ok(Self {
            stream,
            shared: Arc::clone(shared),
            session,
            received: Vec::new(),
            start: 0,
            patience,
            heard: now,
            told: now,
            acknowledges: false,
            asked_at: None,
        })
    }

    pub fn send(&mut self, words: &[&[u8]]) -> Result<(), SessionError> {
        self.stream.write_all(&client::encode(words)).map_err(lost)
    }

    /// Received and not taken yet.
    pub fn bytes(&self) -> &[u8] {
        &self.received[self.start..]
    }

    pub fn take(&mut self, count: usize) {
        self.start += count;
        if self.start == self.received.len() {
            self.received.clear();
            self.start = 0;
        }
    }

    /// Reads what there is, or waits for [`LOOK`] until there is something. Whether there was.
    pub fn read_some(&mut self) -> Result<bool, SessionError> {
        if self.start > 0 {
            self.received.drain(..self.start);
            self.start = 0;
        }
        let len = self.received.len();
        self.received.resize(len + READ_BYTES, 0);
        let read = self.stream.read(&mut self.received[len..]);
        let count = read.as_ref().map_or(0, |count| *count);
        self.received.truncate(len + count);
        match read {
            Ok(0) => Err(lost("the source has closed the connection")),
            Ok(_) => {
                self.heard = Instant::now();
                self.shared.importing.transfer.note_io(self.shared.started);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if self.heard.elapsed() > self.patience {
                    return Err(lost("the source has been silent for too long"));
                }
                Ok(false)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(lost(error)),
        }
    }

    /// The next line, without its end. The source sends empty ones while it makes a snapshot.
    pub fn line(
        &mut self,
        wait: &mut impl FnMut() -> Result<(), SessionError>,
    ) -> Result<String, SessionError> {
        loop {
            while let Some(end) = self.bytes().iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.bytes()[..end]).trim_end().to_owned();
                self.take(end + 1);
                if !line.is_empty() {
                    return Ok(line);
                }
            }
            if self.bytes().len() > LINE_BYTES_MAX {
                return Err(lost("the source does not speak the protocol of Redis"));
            }
            self.read_some()?;
            wait()?;
        }
    }
}

impl Tend for Link {
    /// Once a second, and when the source has asked and what it asked for is applied.
    fn tend(&mut self, import: &Import) -> Result<(), SessionError> {
        let reached = import.reached();
        let is_asked = self.asked_at.is_some_and(|at| reached.offset >= at);
        if !is_asked && self.told.elapsed() < TELL {
            return Ok(());
        }
        self.told = Instant::now();
        if !self.acknowledges {
            return self.stream.write_all(b"\n").map_err(lost);
        }
        if reached.phase != Phase::Following {
            return Ok(());
        }
        if is_asked {
            self.asked_at = None;
        }
        self.send(&[b"REPLCONF", b"ACK", reached.offset.to_string().as_bytes()])
    }
}

/// The snapshot of the source.
impl Feed for Link {
    type Error = SessionError;

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), SessionError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let bytes = self.bytes();
            let count = bytes.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&bytes[..count]);
            self.take(count);
            filled += count;
            if filled < buffer.len() {
                self.read_some()?;
                let import = self.shared.importing.state();
                self.tend(&import)?;
                if import.session() != self.session {
                    return Err(SessionError::Over);
                }
            }
        }
        let read = &self.shared.importing.transfer.read_bytes;
        read.fetch_add(buffer.len() as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}
