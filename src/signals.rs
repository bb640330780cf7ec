//! Stop signals, and ended children, as events that the main thread waits for.
//!
//! The handlers set a flag and write a byte to a socket pair; the main thread sleeps in a read of
//! the other end, so nothing polls.

use std::ffi::c_int;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};

pub struct Signals {
    stop: Arc<AtomicBool>,
    wake: UnixStream,
}

impl Signals {
    /// SIGINT and SIGTERM.
    ///
    /// Precondition: no other thread runs yet, so that all threads inherit the handlers.
    pub fn of_stop() -> io::Result<Self> {
        Self::register(&[])
    }

    /// SIGINT, SIGTERM and the end of a child, under the same precondition.
    pub fn of_stop_and_children() -> io::Result<Self> {
        Self::register(&[SIGCHLD])
    }

    fn register(others: &[c_int]) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, writer) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            // Before the byte: whoever is woken by it finds the flag set.
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        for signal in [SIGINT, SIGTERM].iter().chain(others) {
            signal_hook::low_level::pipe::register(*signal, writer.try_clone()?)?;
        }
        Ok(Self { stop, wake })
    }

    pub fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Sleeps until a stop is asked for.
    pub fn wait_for_stop(&self) -> io::Result<()> {
        while !self.stop_requested() {
            self.sleep(None)?;
        }
        Ok(())
    }

    /// Sleeps until any signal arrives, at most `longest`.
    pub fn wait(&self, longest: Duration) -> io::Result<()> {
        // A time-out of zero would mean "for ever" to the socket.
        self.sleep(Some(longest.max(Duration::from_millis(1))))
    }

    fn sleep(&self, longest: Option<Duration>) -> io::Result<()> {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        self.wake.set_read_timeout(longest)?;
        match (&self.wake).read(&mut [0; 64]) {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), Interrupted | TimedOut | WouldBlock) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Has this process stop as if it had been sent SIGTERM.
pub fn request_stop() -> io::Result<()> {
    signal_hook::low_level::raise(SIGTERM)
}
