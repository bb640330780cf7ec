//! One node's process.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::sys;

/// A running `mayfly node`. Dropping it kills the process.
pub struct Child {
    process: process::Child,
    since: Instant,
}

impl Child {
    /// Runs this very program again. Its log goes to our stderr; it has a process group of its own,
    /// so that an interrupt from the terminal reaches the supervisor only, which stops the nodes.
    pub fn spawn(arguments: Vec<OsString>) -> io::Result<Self> {
        let process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { process, since: Instant::now() })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Asks the process to stop; one that has ended already is fine.
    ///
    /// Precondition: `try_wait` has not yet given its status.
    pub fn terminate(&self) -> io::Result<()> {
        sys::terminate(self.process.id())
    }

    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Neither can fail for a child of ours, running or ended, and there is no one to tell.
        let _killed = self.process.kill();
        let _reaped = self.process.wait();
    }
}
