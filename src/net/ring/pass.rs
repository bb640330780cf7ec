//! One pass over a ring: into the kernel once, then every completion turned into its events.

use std::io;
use std::mem::{self, ManuallyDrop};
use std::os::fd::FromRawFd;
use std::rc::Rc;
use std::time::Duration;

use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{EnterFlags, cqueue, opcode};
use socket2::Socket;

use super::buffers::Buffers;
use super::endpoint::{Farewell, Receive, Stage};
use super::{CloseReason, Connection, Event, Listener, ListenerState, Operation, Ring};
use super::{SPARE_BYTES_MAX, SPARES_MAX};

/// A pass enters the kernel again while it says that deferred work is left (Linux 6.13 and newer do
/// about 20 pieces of it per call), until so many completions are there.
const PASS_COMPLETIONS: usize = 1024;

/// How long a listener rests when the process has no file descriptor or memory for a connection.
/// Those that wait in its queue are accepted after it.
static BACKOFF: Timespec = Timespec::new().nsec(50_000_000);

/// How often, and how long each time, a ring that is dropped waits for the end of what it
/// cancelled.
const DROP_ROUNDS: u32 = 50;
const DROP_WAIT: Duration = Duration::from_millis(20);

impl Ring {
    /// Submits all that is queued, runs what the kernel has deferred, and hands out what has
    /// happened; never blocks. Returns the number of events handed out.
    ///
    /// The handler may call anything but this and [`Self::wait`].
    pub fn pass(&mut self, mut handle: impl FnMut(&mut Self, Event<'_>)) -> io::Result<usize> {
        let mut completions = self.completions.take().expect("precondition: no pass within a pass");
        self.bell.reset();
        self.delivered = 0;
        self.start_sends();
        let entered = self.enter_until_idle();
        completions.extend(self.uring.completion());
        let buffers = Rc::clone(&self.buffers);
        for completion in completions.drain(..) {
            self.complete(&completion, &buffers, &mut handle);
        }
        self.release_finished(&mut handle);
        self.completions = Some(completions);
        entered.map(|()| self.delivered)
    }

    /// Submits everything and runs deferred work until none is left or enough has completed.
    ///
    /// That work is left is only a hint: the kernel sets its flag after it has queued the work, so
    /// another processor may set it when the work is already done, and then it stays. An entry that
    /// brings nothing therefore ends the loop.
    fn enter_until_idle(&mut self) -> io::Result<()> {
        loop {
            self.submit_backlog();
            let queue = self.uring.submission();
            let submits = !queue.is_empty();
            let work = queue.taskrun() || queue.cq_overflow() || submits;
            drop(queue);
            let completed = self.uring.completion().len();
            if !work || completed >= PASS_COMPLETIONS {
                return Ok(());
            }
            if let Entered::Later = self.enter()? {
                return Ok(());
            }
            if !submits && self.uring.completion().len() == completed {
                return Ok(());
            }
        }
    }

    /// One entry into the kernel that does not block.
    pub(super) fn enter(&mut self) -> io::Result<Entered> {
        let submissions = self.uring.submission().len() as u32;
        // SAFETY: no argument is passed, and what the queue holds was valid when it was pushed.
        let result = unsafe {
            self.uring.submitter().enter::<libc::sigset_t>(
                submissions,
                0,
                EnterFlags::GETEVENTS.bits(),
                None,
            )
        };
        Entered::from_result(result)
    }

    /// One entry into the kernel that blocks until something has completed, at most `timeout`.
    pub(super) fn enter_and_wait(&mut self, timeout: Duration) -> io::Result<Entered> {
        let timeout = Timespec::from(timeout);
        let arguments = SubmitArgs::new().timespec(&timeout);
        Entered::from_result(self.uring.submitter().submit_with_args(1, &arguments))
    }

    fn complete(
        &mut self,
        completion: &cqueue::Entry,
        buffers: &Buffers,
        handle: &mut impl FnMut(&mut Self, Event<'_>),
    ) {
        let (operation, index) = Operation::from_tag(completion.user_data());
        let result = completion.result();
        match operation {
            Operation::Receive => self.on_receive(index, completion, buffers, handle),
            Operation::Send => self.on_send(index, result, handle),
            Operation::Connect => self.on_connect(index, result, handle),
            Operation::Cancel => self.end_operation(index),
            Operation::Accept => self.on_accept(index, completion, handle),
            Operation::Backoff => {
                self.in_flight -= 1;
                self.accept_again(index);
            }
            Operation::CancelAccept => self.in_flight -= 1,
            Operation::Bell => {
                if !cqueue::more(completion.flags()) {
                    self.in_flight -= 1;
                    self.arm_bell();
                }
            }
        }
    }

    fn on_receive(
        &mut self,
        index: u32,
        completion: &cqueue::Entry,
        buffers: &Buffers,
        handle: &mut impl FnMut(&mut Self, Event<'_>),
    ) {
        // SAFETY: the completion has just been taken from the queue, and is looked at once.
        let loan = cqueue::buffer_select(completion.flags()).map(|id| unsafe { buffers.lend(id) });
        let ended = !cqueue::more(completion.flags());
        if ended {
            self.endpoint(index).receive = Receive::Idle;
            self.end_operation(index);
        }
        let connection = self.connection(index);
        let open = matches!(self.endpoint(index).stage, Stage::Open);
        match (completion.result(), &loan) {
            (len @ 1.., Some(loan)) if open => {
                let bytes = loan.bytes(len as usize);
                self.deliver(Event::Received { connection, bytes }, handle);
            }
            (0, _) if open => {
                self.endpoint(index).receive = Receive::Ended;
                self.deliver(Event::Ended { connection }, handle);
            }
            (0.., _) => {}
            (error, _) => self.on_receive_error(index, -error),
        }
        drop(loan);
        if ended {
            self.arm_receive(index);
        }
    }

    fn on_receive_error(&mut self, index: u32, errno: i32) {
        match errno {
            // The buffers were all filled, or the receive was cancelled: it is armed anew, at
            // once or when the owner resumes.
            libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
            _ => self.fail(index, errno),
        }
    }

    fn on_send(&mut self, index: u32, result: i32, handle: &mut impl FnMut(&mut Self, Event<'_>)) {
        self.end_operation(index);
        let mut spares = mem::take(&mut self.spares);
        let endpoint = self.endpoint(index);
        endpoint.sending = false;
        if result > 0 {
            endpoint.on_sent(result as usize, |buffer| keep_spare(&mut spares, buffer));
        }
        let queued = endpoint.queued_bytes();
        let draining = matches!(endpoint.stage, Stage::Draining);
        let closing = endpoint.is_closing();
        self.spares = spares;
        match -result {
            _ if closing => {}
            // What could not be tried is tried again with the next pass.
            ..=0 | libc::EINTR | libc::EAGAIN if queued > 0 => self.mark_dirty(index),
            ..=0 if draining => self.begin_close(index, Farewell::Closed(CloseReason::Local)),
            ..=0 => {
                let connection = self.connection(index);
                self.deliver(Event::Drained { connection }, handle);
            }
            errno => self.fail(index, errno),
        }
    }

    fn on_connect(
        &mut self,
        index: u32,
        result: i32,
        handle: &mut impl FnMut(&mut Self, Event<'_>),
    ) {
        let endpoint = self.endpoint(index);
        endpoint.address = None;
        if !endpoint.is_closing() {
            if result == 0 {
                endpoint.stage = Stage::Open;
                self.mark_dirty(index);
                self.arm_receive(index);
                let connection = self.connection(index);
                self.deliver(Event::Connected { connection }, handle);
            } else {
                let error = io::Error::from_raw_os_error(-result);
                self.begin_close(index, Farewell::ConnectFailed(error));
            }
        }
        self.end_operation(index);
    }

    fn on_accept(
        &mut self,
        index: u32,
        completion: &cqueue::Entry,
        handle: &mut impl FnMut(&mut Self, Event<'_>),
    ) {
        let ended = !cqueue::more(completion.flags());
        if ended {
            self.in_flight -= 1;
        }
        let result = completion.result();
        let listening = matches!(self.listeners[index as usize], ListenerState::Listening(_));
        if result >= 0 {
            // SAFETY: the kernel has opened this descriptor for us, and nobody else knows it.
            let socket = unsafe { Socket::from_raw_fd(result) };
            // Without an address the peer is gone already, and the socket is closed.
            let peer = socket.peer_addr().ok().and_then(|address| address.as_socket());
            if let Some(peer) = peer.filter(|_| listening) {
                let listener = Listener(index);
                self.deliver(Event::Accepted { listener, socket, peer }, handle);
            }
        }
        if !ended {
            return;
        }
        match -result {
            ..=0 | libc::ECONNABORTED | libc::EINTR | libc::EAGAIN => self.accept_again(index),
            // Out of descriptors or memory (or a fault of the network that a rest cannot harm).
            // Accepting again at once would fail at once.
            _ if listening => {
                let backoff = opcode::Timeout::new(&BACKOFF).build();
                self.push(backoff, Operation::Backoff, index);
            }
            _ => self.accept_again(index),
        }
    }

    /// Precondition: no operation of the listener is in flight.
    fn accept_again(&mut self, index: u32) {
        let state = &mut self.listeners[index as usize];
        match state {
            ListenerState::Listening(_) => self.arm_accept(index),
            ListenerState::Stopping(_) => *state = ListenerState::Stopped,
            ListenerState::Stopped => {}
        }
    }

    fn deliver(&mut self, event: Event<'_>, handle: &mut impl FnMut(&mut Self, Event<'_>)) {
        self.delivered += 1;
        handle(self, event);
    }

    /// The handle of a slot that is taken.
    fn connection(&self, index: u32) -> Connection {
        Connection { index, generation: self.slots[index as usize].generation }
    }

    fn fail(&mut self, index: u32, errno: i32) {
        if !self.endpoint(index).is_closing() {
            let reason = CloseReason::Failed(io::Error::from_raw_os_error(errno));
            self.begin_close(index, Farewell::Closed(reason));
        }
    }

    fn end_operation(&mut self, index: u32) {
        self.in_flight -= 1;
        let endpoint = self.endpoint(index);
        endpoint.in_flight -= 1;
        if endpoint.in_flight == 0 && endpoint.is_closing() {
            self.finished.push(index);
        }
    }

    /// Frees the connections that are closing and have no operation in flight any more. One may
    /// be listed twice, and its slot be taken again in between: each is looked at as it is now.
    ///
    /// What the handler adds is left to the next pass: one that connects anew whenever a connect
    /// fails at once would not get out of this one.
    fn release_finished(&mut self, handle: &mut impl FnMut(&mut Self, Event<'_>)) {
        let mut finished = mem::take(&mut self.finished);
        for index in finished.drain(..) {
            let connection = self.connection(index);
            let slot = &mut self.slots[index as usize];
            let ready =
                |endpoint: &mut super::Endpoint| endpoint.is_closing() && endpoint.in_flight == 0;
            let Some(mut endpoint) = slot.endpoint.take_if(ready) else { continue };
            // A generation that would come again leaves its slot unused instead.
            if let Some(next) = slot.generation.checked_add(1) {
                slot.generation = next;
                self.free.push(index);
            }
            endpoint.drop_unsent(|buffer| keep_spare(&mut self.spares, buffer));
            let Stage::Closing(farewell) = endpoint.stage else { continue };
            // Closes the socket before it is told, so that its owner finds the descriptor free.
            drop(endpoint.socket);
            let event = match farewell {
                Farewell::Closed(reason) => Event::Closed { connection, reason },
                Farewell::ConnectFailed(error) => Event::ConnectFailed { connection, error },
            };
            self.deliver(event, handle);
        }
        finished.append(&mut self.finished);
        self.finished = finished;
    }
}

impl Drop for Ring {
    /// Waits until the kernel has let go of all memory; what it does not let go of is leaked.
    fn drop(&mut self) {
        self.in_flight -= self.backlog.len();
        self.backlog.clear();
        let all = opcode::AsyncCancel2::new(CancelBuilder::any().all()).build();
        self.push(all, Operation::CancelAccept, 0);
        for _ in 0..DROP_ROUNDS {
            self.submit_backlog();
            // An error changes nothing: the count below says what is left.
            let _entered = self.enter_and_wait(DROP_WAIT);
            for completion in self.uring.completion() {
                let (operation, _) = Operation::from_tag(completion.user_data());
                if operation == Operation::Accept && completion.result() >= 0 {
                    // SAFETY: as in `on_accept`.
                    drop(unsafe { Socket::from_raw_fd(completion.result()) });
                }
                if !cqueue::more(completion.flags()) {
                    self.in_flight -= 1;
                }
            }
            if self.in_flight == 0 {
                break;
            }
        }
        // SAFETY: neither is used after this; the ring goes before the buffers it knows.
        unsafe {
            ManuallyDrop::drop(&mut self.uring);
            if self.in_flight == 0 {
                ManuallyDrop::drop(&mut self.buffers);
            }
        }
        if self.in_flight > 0 {
            mem::forget(mem::take(&mut self.slots));
        }
    }
}

/// How an entry into the kernel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    Done,
    /// Interrupted, timed out, or refused until completions have been taken: nothing is lost.
    Later,
}

impl Entered {
    fn from_result(result: io::Result<usize>) -> io::Result<Self> {
        match result {
            Ok(_) => Ok(Self::Done),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN) => Ok(Self::Later),
                _ => Err(error),
            },
        }
    }
}

fn keep_spare(spares: &mut Vec<Vec<u8>>, mut buffer: Vec<u8>) {
    let capacity = buffer.capacity();
    if spares.len() < SPARES_MAX && (1..=SPARE_BYTES_MAX).contains(&capacity) {
        buffer.clear();
        spares.push(buffer);
    }
}
