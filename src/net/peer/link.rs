//! One link: its state, and when it is dialled. It knows nothing of what its frames say.

use rkyv::util::AlignedVec;

use super::resolve::Route;
use crate::limits::REFUSED_DIAL_MS_MAX;
use crate::net::frame::{FrameError, FrameReader, Purpose};
use crate::net::ring::Connection;
use crate::raft::types::Millis;

pub(super) struct Link {
    pub(super) purpose: Purpose,
    pub(super) route: Route,
    state: State,
    /// When the state began.
    since_ms: Millis,
    /// When bytes last came or went.
    carried_ms: Millis,
    /// Not dialled before.
    dial_at_ms: Millis,
    /// How often the other side or this one has refused it in a row.
    refusals: u32,
    /// Of a snapshot link: somebody has something to send over it.
    pub(super) is_wanted: bool,
}

enum State {
    /// The side that dials does so when it is due.
    Idle,
    Dialling(Connection),
    /// Connected and greeted by us; the other's hello is awaited.
    Greeted {
        connection: Connection,
        reader: FrameReader,
    },
    Open {
        connection: Connection,
        reader: FrameReader,
    },
}

impl Link {
    pub(super) fn new(purpose: Purpose, address: &str, now_ms: Millis) -> Self {
        Self {
            purpose,
            route: Route::new(address),
            state: State::Idle,
            since_ms: now_ms,
            carried_ms: now_ms,
            dial_at_ms: 0,
            refusals: 0,
            is_wanted: false,
        }
    }

    pub(super) fn connection(&self) -> Option<Connection> {
        match &self.state {
            State::Idle => None,
            State::Dialling(connection)
            | State::Greeted { connection, .. }
            | State::Open { connection, .. } => Some(*connection),
        }
    }

    /// The connection, once both sides have greeted each other.
    pub(super) fn open(&self) -> Option<Connection> {
        match self.state {
            State::Open { connection, .. } => Some(connection),
            _ => None,
        }
    }

    pub(super) fn is_greeted(&self) -> bool {
        matches!(self.state, State::Greeted { .. })
    }

    /// Dialled by this side and not open yet.
    pub(super) fn is_on_its_way(&self) -> bool {
        matches!(self.state, State::Dialling(_) | State::Greeted { .. })
    }

    /// RedisRaft's names for the states of a link.
    pub(super) fn name(&self) -> &'static str {
        match self.state {
            State::Idle => "disconnected",
            State::Dialling(_) | State::Greeted { .. } => "connecting",
            State::Open { .. } => "connected",
        }
    }

    pub(super) fn is_due(&self, now_ms: Millis) -> bool {
        matches!(self.state, State::Idle) && self.dial_at_ms <= now_ms
    }

    /// How long it has been in its state, in milliseconds.
    pub(super) fn age_ms(&self, now_ms: Millis) -> Millis {
        now_ms.saturating_sub(self.since_ms)
    }

    /// How long it has carried nothing, in milliseconds.
    pub(super) fn idle_ms(&self, now_ms: Millis) -> Millis {
        now_ms.saturating_sub(self.carried_ms)
    }

    pub(super) fn carried(&mut self, now_ms: Millis) {
        self.carried_ms = now_ms;
    }

    pub(super) fn dial(&mut self, connection: Connection, now_ms: Millis) {
        self.enter(State::Dialling(connection), now_ms);
    }

    pub(super) fn greet(&mut self, connection: Connection, now_ms: Millis) {
        let reader = FrameReader::for_hello();
        self.enter(State::Greeted { connection, reader }, now_ms);
    }

    pub(super) fn open_with(&mut self, connection: Connection, now_ms: Millis) {
        self.route.forget();
        self.is_wanted = false;
        self.enter(State::Open { connection, reader: FrameReader::for_frames() }, now_ms);
    }

    fn enter(&mut self, state: State, now_ms: Millis) {
        self.state = state;
        self.since_ms = now_ms;
        self.carried_ms = now_ms;
    }

    /// The connection is gone, or never came to be. Whether the link was open.
    pub(super) fn ended(&mut self, now_ms: Millis, reconnect_ms: Millis) -> bool {
        let was_open = self.open().is_some();
        if was_open {
            self.refusals = 0;
        }
        self.postpone(now_ms + reconnect_ms);
        self.enter(State::Idle, now_ms);
        was_open
    }

    /// One side does not want the other. Whether the link was open.
    pub(super) fn refused(&mut self, now_ms: Millis, reconnect_ms: Millis) -> bool {
        let refusals = self.refusals.saturating_add(1);
        let was_open = self.ended(now_ms, reconnect_ms);
        self.refusals = refusals;
        let doubled = reconnect_ms.saturating_mul(1 << (refusals - 1).min(16));
        self.postpone(now_ms + doubled.min(REFUSED_DIAL_MS_MAX).max(reconnect_ms));
        was_open
    }

    /// It is not dialled before `dial_at_ms`.
    pub(super) fn postpone(&mut self, dial_at_ms: Millis) {
        self.dial_at_ms = self.dial_at_ms.max(dial_at_ms);
    }

    /// Precondition: the bytes came over its connection.
    pub(super) fn read(&mut self, bytes: &mut &[u8]) -> Result<Option<AlignedVec>, FrameError> {
        match &mut self.state {
            State::Greeted { reader, .. } | State::Open { reader, .. } => reader.read(bytes),
            State::Idle | State::Dialling(_) => {
                *bytes = &[];
                Ok(None)
            }
        }
    }
}
