//! How the owner of a ring sleeps: in the kernel, for the next completion of the ring.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::opcode;
use io_uring::types::Fd;

use super::pass::Entered;
use super::{Operation, Ring};

impl Ring {
    /// Submits all that is queued and blocks this thread until something has happened or the bell
    /// is rung, at most `timeout`. Returns at once when there is something for a pass already.
    ///
    /// Precondition: the owner has looked into its mailboxes since the last pass.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.start_sends();
        self.submit_backlog();
        if self.has_news() || !self.backlog.is_empty() || self.bell.try_wait().is_err() {
            return Ok(());
        }
        let waited = self.enter_and_wait(timeout);
        self.bell.wake();
        waited.map(|_: Entered| ())
    }

    /// Whether a pass would find something without entering the kernel.
    fn has_news(&mut self) -> bool {
        !self.finished.is_empty() || !self.uring.completion().is_empty()
    }

    /// Has the ring watch the event file of the bell. The file is never read: a poll reports each
    /// write to it, and its count takes centuries to overflow.
    pub(super) fn arm_bell(&mut self) {
        let fd = Fd(self.bell.file().as_raw_fd());
        let poll = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build();
        self.push(poll, Operation::Bell, 0);
    }
}
