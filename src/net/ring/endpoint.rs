//! One socket of a ring and what is still to be sent on it. Knows nothing of the ring itself.
//!
//! Output is a queue of pieces. A send takes a run of pieces from the front; while it is in flight
//! nothing removes or changes those, so the addresses that the kernel was given stay valid.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::{mem, ptr};

use socket2::{SockAddr, Socket};

use crate::raft::types::{PAYLOAD_ALIGNMENT, Payload};

use super::CloseReason;

/// The most that one send asks for. More would keep the kernel copying for longer than a pass
/// should take (1 MiB is about 100 µs), and a slow reader's progress would not be seen.
pub(super) const SEND_BYTES_MAX: usize = 1 << 20;

/// The most pieces that one send gathers.
const SEND_PIECES_MAX: usize = 128;

static PADDING: [u8; PAYLOAD_ALIGNMENT] = [0; PAYLOAD_ALIGNMENT];

/// Where a connection is in its life.
#[derive(Debug)]
pub(super) enum Stage {
    Connecting,
    Open,
    /// What is queued is sent, then the connection is closed.
    Draining,
    /// Waits for its operations in flight; then the handle dies.
    Closing(Farewell),
}

/// How a closing connection's end is told.
#[derive(Debug)]
pub(super) enum Farewell {
    Closed(CloseReason),
    ConnectFailed(io::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receive {
    Idle,
    Armed,
    /// A cancel is under way; what has been received before it takes effect is still delivered.
    Canceling,
    /// The peer has ended its side.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Open,
    Paused,
}

#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Payload(Payload),
    /// So many zeros, fewer than the alignment of payloads.
    Padding(usize),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Payload(payload) => payload.as_slice(),
            Self::Padding(len) => &PADDING[..*len],
        }
    }
}

/// The message header of a send of several pieces, and its vector.
struct Gather {
    header: libc::msghdr,
    vector: Vec<libc::iovec>,
}

/// What the kernel is asked to send.
pub(super) enum Outgoing {
    Slice(*const u8, u32),
    Message(*const libc::msghdr),
}

pub(super) struct Endpoint {
    /// `None` where the socket could not even be made; such a connection is closing.
    pub(super) socket: Option<Socket>,
    pub(super) stage: Stage,
    /// Read by the kernel while a connect is in flight, and `None` after.
    pub(super) address: Option<Box<SockAddr>>,
    pub(super) receive: Receive,
    pub(super) flow: Flow,
    /// Operations whose last completion has not come. The slot is not reused before it is 0.
    pub(super) in_flight: u32,
    /// Listed among the connections that may have something to send.
    pub(super) dirty: bool,
    /// Where the owner appends. Never read by the kernel.
    pub(super) output: Vec<u8>,
    queue: VecDeque<Piece>,
    /// Invariant: the bytes of all pieces, less `front_sent`.
    queue_bytes: usize,
    /// How much of the first piece has been sent.
    front_sent: usize,
    pub(super) sending: bool,
    gather: Option<Box<Gather>>,
}

impl Endpoint {
    pub(super) fn open(socket: Socket) -> Self {
        Self::new(Some(socket), Stage::Open)
    }

    pub(super) fn connecting(socket: Socket, address: SocketAddr) -> Self {
        let address = Some(Box::new(address.into()));
        Self { address, ..Self::new(Some(socket), Stage::Connecting) }
    }

    /// A connection for which not even a socket could be made.
    pub(super) fn failed(error: io::Error) -> Self {
        Self::new(None, Stage::Closing(Farewell::ConnectFailed(error)))
    }

    fn new(socket: Option<Socket>, stage: Stage) -> Self {
        Self {
            socket,
            stage,
            address: None,
            receive: Receive::Idle,
            flow: Flow::Open,
            in_flight: 0,
            dirty: false,
            output: Vec::new(),
            queue: VecDeque::new(),
            queue_bytes: 0,
            front_sent: 0,
            sending: false,
            gather: None,
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing(_))
    }

    /// Whether the owner may still append.
    pub(super) fn takes_output(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Connecting)
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queue_bytes + self.output.len()
    }

    /// Appends a header and payloads, each followed by zeros up to the alignment of payloads.
    pub(super) fn push_frame(
        &mut self,
        header: Vec<u8>,
        payloads: impl IntoIterator<Item = Payload>,
    ) {
        self.queue_output();
        self.push(Piece::Bytes(header));
        for payload in payloads {
            let padding = payload.len().next_multiple_of(PAYLOAD_ALIGNMENT) - payload.len();
            self.push(Piece::Payload(payload));
            self.push(Piece::Padding(padding));
        }
    }

    /// Moves what the owner appended behind what is queued.
    fn queue_output(&mut self) {
        if self.output.is_empty() {
            return;
        }
        let output = mem::take(&mut self.output);
        self.push(Piece::Bytes(output));
    }

    fn push(&mut self, piece: Piece) {
        let len = piece.as_slice().len();
        if len > 0 {
            self.queue_bytes += len;
            self.queue.push_back(piece);
        }
    }

    /// The next send, if there is anything to send.
    ///
    /// Precondition: no send is in flight. The pointers are valid until `on_sent` or `drop_unsent`.
    pub(super) fn next_send(&mut self) -> Option<Outgoing> {
        assert!(!self.sending);
        self.queue_output();
        let first = &self.queue.front()?.as_slice()[self.front_sent..];
        self.sending = true;
        if self.queue.len() == 1 || first.len() >= SEND_BYTES_MAX {
            let len = first.len().min(SEND_BYTES_MAX);
            return Some(Outgoing::Slice(first.as_ptr(), len as u32));
        }
        Some(Outgoing::Message(self.gather_message()))
    }

    fn gather_message(&mut self) -> *const libc::msghdr {
        let gather = self.gather.get_or_insert_with(|| Box::new(Gather::new()));
        gather.vector.clear();
        let mut left = SEND_BYTES_MAX;
        let mut skip = self.front_sent;
        for piece in self.queue.iter().take(SEND_PIECES_MAX) {
            let slice = &piece.as_slice()[skip..];
            skip = 0;
            let len = slice.len().min(left);
            let base = slice.as_ptr().cast_mut().cast();
            gather.vector.push(libc::iovec { iov_base: base, iov_len: len });
            left -= len;
            if left == 0 {
                break;
            }
        }
        gather.header.msg_iov = gather.vector.as_mut_ptr();
        gather.header.msg_iovlen = gather.vector.len() as _;
        ptr::from_ref(&gather.header)
    }

    /// Takes `sent` bytes from the front. Emptied buffers go to `spare`.
    pub(super) fn on_sent(&mut self, sent: usize, mut spare: impl FnMut(Vec<u8>)) {
        self.queue_bytes -= sent;
        let mut sent = self.front_sent + sent;
        while let Some(piece) = self.queue.front() {
            let len = piece.as_slice().len();
            if sent < len {
                break;
            }
            sent -= len;
            if let Some(Piece::Bytes(bytes)) = self.queue.pop_front() {
                spare(bytes);
            }
        }
        self.front_sent = sent;
    }

    /// Precondition: no send is in flight.
    pub(super) fn drop_unsent(&mut self, mut spare: impl FnMut(Vec<u8>)) {
        assert!(!self.sending);
        spare(mem::take(&mut self.output));
        for piece in self.queue.drain(..) {
            if let Piece::Bytes(bytes) = piece {
                spare(bytes);
            }
        }
        self.queue_bytes = 0;
        self.front_sent = 0;
    }
}

impl Gather {
    fn new() -> Self {
        // SAFETY: a msghdr is a C struct of pointers and numbers; all zero means "nothing".
        let header = unsafe { mem::zeroed() };
        Self { header, vector: Vec::new() }
    }
}
