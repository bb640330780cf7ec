//! An io_uring of ours under a glommio executor: all sockets of one core.
//!
//! Owns the sockets given to it, the buffers they receive into, and all unsafe code of the crate.
//! It must not know what the bytes mean. It is driven by one task of its core:
//!
//! ```text
//! loop {
//!     ring.pass(|ring, event| ...)   one system call: sends what is queued, hands out what came
//!     look into the mailboxes, append replies, flush
//!     nothing happened? ring.wait(until the next tick)
//! }
//! ```
//!
//! Invariants:
//! - A slot is reused only when the last completion of every operation on it has come, so the
//!   kernel never reports on, or reads from, a connection that is gone.
//! - Every connection ends with exactly one [`Event::Closed`], or [`Event::ConnectFailed`] for one
//!   that never was connected; also when its owner closed it. The handle is dead from then on, and
//!   after a [`Ring::close`] nothing else is told of it.
//! - Operations on a dead handle do nothing.
//! - What is queued for a connection is bounded by its owner, who looks at
//!   [`Ring::queued_bytes`]; all else here is bounded by the number of sockets.
//!
//! The ring is set up with SINGLE_ISSUER and DEFER_TASKRUN: completions are worked on only inside
//! the owner's own calls. Linux 6.1 or newer.

mod bell;
mod buffers;
mod endpoint;
mod pass;
#[cfg(test)]
mod tests;
mod wait;

use std::collections::VecDeque;
use std::io;
use std::mem::{self, ManuallyDrop};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use io_uring::types::Fd;
use io_uring::{IoUring, cqueue, opcode, squeue};
use socket2::Socket;

pub use bell::Doorbell;
pub use buffers::BufferShape;

use crate::net::socket;
use crate::raft::types::Payload;
use buffers::{BUFFER_GROUP, Buffers};
use endpoint::{Endpoint, Farewell, Flow, Outgoing, Receive, Stage};

/// Buffers kept for reuse, and the largest kept: together at most 32 MiB per core.
const SPARES_MAX: usize = 1024;
const SPARE_BYTES_MAX: usize = 32 * 1024;

/// A connection of a ring. Never names a later connection, even in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    index: u32,
    generation: u32,
}

impl Connection {
    /// Names no connection.
    pub const NONE: Self = Self { index: u32::MAX, generation: u32::MAX };

    /// As a number, for whoever keeps it without knowing rings.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// What [`Connection::to_bits`] was made of.
    pub fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }

    /// Its slot: small, dense, and reused after [`Event::Closed`].
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// A listening socket of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listener(u32);

/// What has happened on a ring.
#[derive(Debug)]
pub enum Event<'a> {
    /// Give the socket to [`Ring::adopt`], of this ring or of another core's.
    Accepted {
        listener: Listener,
        socket: Socket,
        peer: SocketAddr,
    },
    Connected {
        connection: Connection,
    },
    /// The connection never came to be; the handle is dead.
    ConnectFailed {
        connection: Connection,
        error: io::Error,
    },
    /// The bytes lie in the ring's own buffer and are gone when the handler returns.
    Received {
        connection: Connection,
        bytes: &'a [u8],
    },
    /// The peer will send no more, but may still read. The connection stays until its owner calls
    /// [`Ring::close`] or [`Ring::close_after_flush`], or until a send fails.
    Ended {
        connection: Connection,
    },
    /// All that was queued is with the kernel.
    Drained {
        connection: Connection,
    },
    /// The connection is closed and its handle dead.
    Closed {
        connection: Connection,
        reason: CloseReason,
    },
}

/// Why a connection was closed.
#[derive(Debug)]
pub enum CloseReason {
    /// Its owner closed it.
    Local,
    /// A send or a receive failed: the peer is gone, or the network.
    Failed(io::Error),
}

/// Why a ring could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    #[error("cannot set up an io_uring (Linux 6.1 or newer is needed): {0}")]
    Setup(#[source] io::Error),
    #[error("cannot register the receive buffers of an io_uring: {0}")]
    Buffers(#[source] io::Error),
    #[error("cannot make an event file: {0}")]
    EventFile(#[source] io::Error),
}

/// What a completion belongs to. The values are the upper half of its user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Receive = 1,
    Send,
    Connect,
    /// Cancels another operation of the same connection.
    Cancel,
    Accept,
    CancelAccept,
    /// Waits before a listener accepts again.
    Backoff,
    /// Polls the event file that ends a wait.
    Bell,
}

impl Operation {
    const ALL: [Self; 8] = [
        Self::Receive,
        Self::Send,
        Self::Connect,
        Self::Cancel,
        Self::Accept,
        Self::CancelAccept,
        Self::Backoff,
        Self::Bell,
    ];

    fn tag(self, index: u32) -> u64 {
        (self as u64) << 32 | u64::from(index)
    }

    fn from_tag(tag: u64) -> (Self, u32) {
        let number = (tag >> 32) as usize;
        (Self::ALL[number - 1], tag as u32)
    }
}

struct Slot {
    generation: u32,
    endpoint: Option<Endpoint>,
}

enum ListenerState {
    Listening(Socket),
    /// Waits for its operation in flight.
    Stopping(#[expect(dead_code, reason = "held open until the accept has ended")] Socket),
    Stopped,
}

/// All sockets of one core. Stays on the thread that made it.
pub struct Ring {
    uring: ManuallyDrop<IoUring>,
    buffers: ManuallyDrop<Rc<Buffers>>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    listeners: Vec<ListenerState>,
    /// Connections that may have something to send.
    dirty: Vec<u32>,
    /// Connections that may be ready to be released.
    finished: Vec<u32>,
    /// Submissions for which the queue had no room and the kernel no patience, in order.
    backlog: VecDeque<squeue::Entry>,
    /// Operations of any kind whose last completion has not come.
    in_flight: usize,
    spares: Vec<Vec<u8>>,
    /// Room for the completions of a pass; `None` during one.
    completions: Option<Vec<cqueue::Entry>>,
    /// Events handed out in the current pass.
    delivered: usize,
    bell: Doorbell,
}

impl Ring {
    /// A ring with the usual buffers.
    ///
    /// Precondition: runs on the thread that will use it.
    pub fn new(depth: u32) -> Result<Self, RingError> {
        Self::with_buffers(depth, BufferShape::default())
    }

    /// A ring that takes `depth` submissions at once.
    pub fn with_buffers(depth: u32, shape: BufferShape) -> Result<Self, RingError> {
        let uring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            // Says whether work is left when an enter returns.
            .setup_taskrun_flag()
            // A multishot operation completes many times per submission.
            .setup_cqsize(depth.saturating_mul(4).max(4096))
            .setup_clamp()
            .build(depth)
            .map_err(RingError::Setup)?;
        let bell = Doorbell::new().map_err(RingError::EventFile)?;
        let buffers = Rc::new(Buffers::new(shape));
        buffers.register(&uring.submitter()).map_err(RingError::Buffers)?;
        let mut ring = Self {
            uring: ManuallyDrop::new(uring),
            buffers: ManuallyDrop::new(buffers),
            slots: Vec::new(),
            free: Vec::new(),
            listeners: Vec::new(),
            dirty: Vec::new(),
            finished: Vec::new(),
            backlog: VecDeque::new(),
            in_flight: 0,
            spares: Vec::new(),
            completions: Some(Vec::new()),
            delivered: 0,
            bell,
        };
        ring.arm_bell();
        Ok(ring)
    }

    /// Accepts connections on a listening socket until [`Ring::stop_listening`].
    pub fn listen(&mut self, socket: Socket) -> Listener {
        let index = self.listeners.len() as u32;
        self.listeners.push(ListenerState::Listening(socket));
        self.arm_accept(index);
        Listener(index)
    }

    /// Accepts no more. What has been accepted stays.
    pub fn stop_listening(&mut self, listener: Listener) {
        let state = &mut self.listeners[listener.0 as usize];
        if let ListenerState::Listening(socket) = mem::replace(state, ListenerState::Stopped) {
            *state = ListenerState::Stopping(socket);
            let accept = Operation::Accept.tag(listener.0);
            let cancel = opcode::AsyncCancel::new(accept).build();
            self.push(cancel, Operation::CancelAccept, listener.0);
        }
    }

    /// Takes a connected socket and receives from it.
    pub fn adopt(&mut self, socket: Socket) -> Connection {
        let connection = self.insert(Endpoint::open(socket));
        self.arm_receive(connection.index);
        connection
    }

    /// Connects to `address`: [`Event::Connected`] or [`Event::ConnectFailed`] follows. Output is
    /// taken at once and sent when connected.
    pub fn connect(&mut self, address: SocketAddr) -> Connection {
        let socket = match socket::peer_socket(address) {
            Ok(socket) => socket,
            Err(error) => {
                let connection = self.insert(Endpoint::failed(error));
                self.finished.push(connection.index);
                return connection;
            }
        };
        let fd = socket.as_raw_fd();
        let endpoint = Endpoint::connecting(socket, address);
        let to = endpoint.address.as_ref().expect("invariant: a connecting endpoint has it");
        let connect = opcode::Connect::new(Fd(fd), to.as_ptr().cast(), to.len()).build();
        let connection = self.insert(endpoint);
        self.push_for(connect, Operation::Connect, connection.index);
        connection
    }

    /// Where to append what shall be sent; [`Ring::flush`] after it. `None` when the connection is
    /// closing or gone.
    pub fn output(&mut self, connection: Connection) -> Option<&mut Vec<u8>> {
        let slot = self.slots.get_mut(connection.index())?;
        if slot.generation != connection.generation {
            return None;
        }
        let endpoint = slot.endpoint.as_mut().filter(|endpoint| endpoint.takes_output())?;
        if endpoint.output.capacity() == 0 {
            endpoint.output = self.spares.pop().unwrap_or_default();
        }
        Some(&mut endpoint.output)
    }

    /// What has been appended is sent with the next entry into the kernel, in one piece.
    pub fn flush(&mut self, connection: Connection) {
        if self.live(connection).is_some() {
            self.mark_dirty(connection.index);
        }
    }

    /// Sends a header and payloads behind what has been appended, without copying the payloads.
    /// Each is followed by zeros up to the alignment of payloads.
    pub fn send_frame(
        &mut self,
        connection: Connection,
        header: Vec<u8>,
        payloads: impl IntoIterator<Item = Payload>,
    ) {
        if let Some(endpoint) = self.live(connection)
            && endpoint.takes_output()
        {
            endpoint.push_frame(header, payloads);
            self.mark_dirty(connection.index);
        }
    }

    /// Bytes of output that the kernel has not taken yet.
    pub fn queued_bytes(&self, connection: Connection) -> usize {
        match self.slots.get(connection.index()) {
            Some(Slot { generation, endpoint: Some(endpoint) })
                if *generation == connection.generation =>
            {
                endpoint.queued_bytes()
            }
            _ => 0,
        }
    }

    /// Stops receiving, so that the peer's sends back up. What the kernel had received before it
    /// took notice is still delivered.
    pub fn pause(&mut self, connection: Connection) {
        if let Some(endpoint) = self.live(connection) {
            endpoint.flow = Flow::Paused;
            self.cancel_receive(connection.index);
        }
    }

    /// Receives again.
    pub fn resume(&mut self, connection: Connection) {
        if let Some(endpoint) = self.live(connection) {
            endpoint.flow = Flow::Open;
            self.arm_receive(connection.index);
        }
    }

    /// Closes at once. Output not yet sent is dropped; a send in flight is cut where it stands.
    pub fn close(&mut self, connection: Connection) {
        if self.live(connection).is_some() {
            self.begin_close(connection.index, Farewell::Closed(CloseReason::Local));
        }
    }

    /// Receives no more, sends what is queued, then closes. One that is still connecting is
    /// closed at once.
    pub fn close_after_flush(&mut self, connection: Connection) {
        let Some(endpoint) = self.live(connection) else { return };
        match endpoint.stage {
            Stage::Connecting => self.close(connection),
            Stage::Open => {
                endpoint.stage = Stage::Draining;
                self.cancel_receive(connection.index);
                self.mark_dirty(connection.index);
            }
            Stage::Draining | Stage::Closing(_) => {}
        }
    }

    /// Wakes this ring's owner from any thread.
    pub fn doorbell(&self) -> Doorbell {
        self.bell.clone()
    }

    fn live(&mut self, connection: Connection) -> Option<&mut Endpoint> {
        let slot = self.slots.get_mut(connection.index())?;
        if slot.generation != connection.generation {
            return None;
        }
        slot.endpoint.as_mut().filter(|endpoint| !endpoint.is_closing())
    }

    /// Precondition: the slot is taken, as it is while an operation on it is in flight.
    fn endpoint(&mut self, index: u32) -> &mut Endpoint {
        self.slots[index as usize].endpoint.as_mut().expect("invariant: the slot is taken")
    }

    fn insert(&mut self, endpoint: Endpoint) -> Connection {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, endpoint: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.endpoint = Some(endpoint);
        Connection { index, generation: slot.generation }
    }

    fn mark_dirty(&mut self, index: u32) {
        let endpoint = self.endpoint(index);
        if !endpoint.dirty {
            endpoint.dirty = true;
            self.dirty.push(index);
        }
    }

    fn fd(&self, index: u32) -> RawFd {
        let endpoint = self.slots[index as usize].endpoint.as_ref();
        let socket = endpoint.and_then(|endpoint| endpoint.socket.as_ref());
        socket.expect("invariant: a connection that is not closing has a socket").as_raw_fd()
    }

    fn arm_accept(&mut self, index: u32) {
        let ListenerState::Listening(socket) = &self.listeners[index as usize] else { return };
        let accept =
            opcode::AcceptMulti::new(Fd(socket.as_raw_fd())).flags(libc::SOCK_CLOEXEC).build();
        self.push(accept, Operation::Accept, index);
    }

    fn arm_receive(&mut self, index: u32) {
        let endpoint = self.endpoint(index);
        if endpoint.receive == Receive::Idle
            && endpoint.flow == Flow::Open
            && matches!(endpoint.stage, Stage::Open)
        {
            endpoint.receive = Receive::Armed;
            let receive = opcode::RecvMulti::new(Fd(self.fd(index)), BUFFER_GROUP).build();
            self.push_for(receive, Operation::Receive, index);
        }
    }

    fn cancel_receive(&mut self, index: u32) {
        let endpoint = self.endpoint(index);
        if endpoint.receive == Receive::Armed {
            endpoint.receive = Receive::Canceling;
            self.cancel(Operation::Receive, index);
        }
    }

    fn cancel(&mut self, operation: Operation, index: u32) {
        let cancel = opcode::AsyncCancel::new(operation.tag(index)).build();
        self.push_for(cancel, Operation::Cancel, index);
    }

    /// Precondition: the connection is not closing yet.
    fn begin_close(&mut self, index: u32, farewell: Farewell) {
        self.cancel_receive(index);
        let endpoint = self.endpoint(index);
        endpoint.stage = Stage::Closing(farewell);
        let (connecting, sending) = (endpoint.address.is_some(), endpoint.sending);
        if connecting {
            self.cancel(Operation::Connect, index);
        }
        if sending {
            self.cancel(Operation::Send, index);
        }
        self.finished.push(index);
    }

    /// Turns what was marked dirty into sends.
    fn start_sends(&mut self) {
        let mut dirty = mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            let Some(endpoint) = self.slots[index as usize].endpoint.as_mut() else { continue };
            if !mem::take(&mut endpoint.dirty) || endpoint.sending {
                continue;
            }
            if matches!(endpoint.stage, Stage::Open | Stage::Draining) {
                self.start_send(index);
            }
        }
        self.dirty = dirty;
    }

    fn start_send(&mut self, index: u32) {
        let fd = Fd(self.fd(index));
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let endpoint = self.endpoint(index);
        let send = match endpoint.next_send() {
            Some(Outgoing::Slice(bytes, len)) => {
                opcode::Send::new(fd, bytes, len).flags(flags).build()
            }
            Some(Outgoing::Message(message)) => {
                opcode::SendMsg::new(fd, message).flags(flags as u32).build()
            }
            None => {
                if matches!(endpoint.stage, Stage::Draining) {
                    self.begin_close(index, Farewell::Closed(CloseReason::Local));
                }
                return;
            }
        };
        self.push_for(send, Operation::Send, index);
    }

    /// Queues an operation on a connection, which then is not released before it has ended.
    fn push_for(&mut self, entry: squeue::Entry, operation: Operation, index: u32) {
        self.endpoint(index).in_flight += 1;
        self.push(entry, operation, index);
    }

    fn push(&mut self, entry: squeue::Entry, operation: Operation, index: u32) {
        self.in_flight += 1;
        self.backlog.push_back(entry.user_data(operation.tag(index)));
        if self.backlog.len() == 1 {
            self.submit_backlog();
        }
    }

    /// Moves what waits into the submission queue, as far as there is room.
    fn submit_backlog(&mut self) {
        let mut queue = self.uring.submission();
        while let Some(entry) = self.backlog.front() {
            // SAFETY: every pointer in an entry leads to memory that lives until the operation's
            // last completion: pieces and vectors are kept by an endpoint while a send is in
            // flight, an address while a connect is, the time of a backoff is static, and an
            // endpoint is kept until its operations have ended. The descriptor stays open as
            // long: sockets are dropped with their endpoint or with a listener's last operation.
            if unsafe { queue.push(entry) }.is_err() {
                break;
            }
            self.backlog.pop_front();
        }
    }
}
