//! Waking the owner of a ring from other threads.
//!
//! A bell rung at any time after a pass has begun ends the next wait at once, so an owner that
//! looks into its mailboxes after each pass and then waits misses nothing.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const AWAKE: u8 = 0;
const RUNG: u8 = 1;
const WAITING: u8 = 2;

/// Wakes the owner of a ring from any thread. Costs one atomic operation while it is awake.
#[derive(Clone, Debug)]
pub struct Doorbell(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: AtomicU8,
    /// Polled by the ring.
    file: File,
}

impl Doorbell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Shared { state: AtomicU8::new(AWAKE), file: event_file()? })))
    }

    /// Precondition: what the owner shall find is where it will look for it.
    pub fn ring(&self) {
        // The release publishes the caller's message to the owner, whose next exchange acquires.
        if self.0.state.swap(RUNG, Ordering::AcqRel) == WAITING {
            (&self.0.file)
                .write_all(&1_u64.to_ne_bytes())
                .expect("invariant: an event file takes a count of 1 at any time");
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.0.file
    }

    /// Forgets a ring of the bell. The owner looks into its mailboxes after this.
    pub(super) fn reset(&self) {
        self.0.state.swap(AWAKE, Ordering::AcqRel);
    }

    /// Says that the owner is about to wait; refused when the bell has been rung.
    pub(super) fn try_wait(&self) -> Result<(), Rung> {
        let state = &self.0.state;
        match state.compare_exchange(AWAKE, WAITING, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(_) => Err(Rung),
        }
    }

    /// Says that the owner is awake again. A ring of the bell stays remembered.
    pub(super) fn wake(&self) {
        // A failed exchange means RUNG, which the next pass clears.
        let _rung =
            self.0.state.compare_exchange(WAITING, AWAKE, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// The bell was rung before the owner fell asleep.
#[derive(Debug)]
pub(super) struct Rung;

fn event_file() -> io::Result<File> {
    // SAFETY: the call takes no pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, new, and owned by nobody else.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}
