//! Links to the other members, and the handshake that binds each to one life of one member.
//!
//! Between two members there is one link. The newer member (the higher id) dials, so that a node
//! that has just joined is the one to make itself known; the older accepts. Both sides send a
//! [`Hello`] and check the other's: version, command table, cluster, member and boot. What then
//! arrives for another member id or another cluster is dropped and the link closed, since a node
//! never answers for what it is not (rules of volatile identity in [`crate::raft`]).
//!
//! A link that breaks is reported at once and dialled again after the reconnect interval.

use std::net::{SocketAddr, ToSocketAddrs};

use rkyv::util::AlignedVec;

use super::frame::{
    self, Encoded, Frame, FrameError, FrameReader, Hello, PROTOCOL_VERSION, SnapshotMessage,
    encode_message, encode_snapshot,
};
use super::ring::{Connection, Ring};
use crate::engine::command::table;
use crate::limits::{GREETINGS_MAX, HELLO_BYTES_MAX, PEER_QUEUE_BYTES_MAX};
use crate::raft::message::Message;
use crate::raft::types::{Boot, ClusterId, Configuration, MemberId, Millis};

/// Who this node is in its cluster.
#[derive(Clone, Debug)]
pub struct Identity {
    pub cluster: ClusterId,
    pub member: MemberId,
    pub slot: String,
    pub boot: Boot,
}

/// What the links tell their owner.
#[derive(Debug)]
pub enum LinkEvent {
    Up(MemberId),
    Down(MemberId),
    Message(Message),
    Snapshot(SnapshotMessage),
    /// The other side refused this node, and says why.
    Refused {
        member: MemberId,
        reason: String,
    },
}

/// Counters of INFO raft.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkCounters {
    /// Frames that were damaged or meant for somebody else; each closed its link.
    pub bad_frames: u64,
    /// Messages dropped because their link was down or its queue full.
    pub dropped_messages: u64,
}

/// What INFO raft tells of one peer.
#[derive(Clone, Debug)]
pub struct PeerReport {
    pub id: MemberId,
    pub state: &'static str,
    pub connections: u64,
    pub errors: u64,
    pub connected_at_ms: Option<Millis>,
}

pub struct Links {
    identity: Identity,
    /// Milliseconds before a broken link is dialled again.
    reconnect_ms: Millis,
    peers: Vec<Peer>,
    /// Accepted connections whose hello has not come yet, oldest first.
    greetings: Vec<Greeting>,
    events: Vec<LinkEvent>,
    pub counters: LinkCounters,
}

struct Peer {
    id: MemberId,
    /// 0 until a configuration has told it.
    boot: Boot,
    /// Whether a configuration has named it. A node that catches up meets configurations older
    /// than its peers: those must not cost it the link to its leader.
    in_log: bool,
    address: String,
    link: Link,
    connections: u64,
    errors: u64,
    connected_at_ms: Option<Millis>,
}

/// How this node knows a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Log,
    Admission,
}

enum Link {
    /// Down; the side that dials does so at `dial_at_ms`.
    Idle {
        dial_at_ms: Millis,
    },
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

struct Greeting {
    connection: Connection,
    reader: FrameReader,
    received: usize,
}

impl Links {
    pub fn new(identity: Identity, reconnect_ms: Millis) -> Self {
        Self {
            identity,
            reconnect_ms,
            peers: Vec::new(),
            greetings: Vec::new(),
            events: Vec::new(),
            counters: LinkCounters::default(),
        }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn set_reconnect_interval(&mut self, reconnect_ms: Millis) {
        self.reconnect_ms = reconnect_ms;
    }

    /// What has happened since the last call.
    pub fn take_events(&mut self) -> Vec<LinkEvent> {
        std::mem::take(&mut self.events)
    }

    /// Follows the active configuration: new members get a link, links of former ones are closed.
    pub fn set_members(&mut self, ring: &mut Ring, configuration: &Configuration) {
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.peers)
            .into_iter()
            .partition(|peer| !peer.in_log || configuration.member(peer.id).is_some());
        self.peers = kept;
        for peer in gone {
            if let Some(connection) = peer.link.connection() {
                // What is queued may be the very entry that removes it.
                ring.close_after_flush(connection);
            }
        }
        for member in &configuration.members {
            if member.id == self.identity.member {
                continue;
            }
            match self.peers.iter_mut().find(|peer| peer.id == member.id) {
                Some(peer) => (peer.boot, peer.in_log) = (member.boot, true),
                None => self.add_peer(member.id, member.boot, &member.peer_address, Known::Log),
            }
        }
    }

    /// Knows a member that the log has not told of yet: a joining node's first peers.
    pub fn introduce(&mut self, id: MemberId, address: &str) {
        if self.peers.iter().all(|peer| peer.id != id) && id != self.identity.member {
            self.add_peer(id, 0, address, Known::Admission);
        }
    }

    fn add_peer(&mut self, id: MemberId, boot: Boot, address: &str, known: Known) {
        self.peers.push(Peer {
            id,
            boot,
            in_log: known == Known::Log,
            address: address.to_owned(),
            link: Link::Idle { dial_at_ms: 0 },
            connections: 0,
            errors: 0,
            connected_at_ms: None,
        });
    }

    /// Dials what is due.
    pub fn tick(&mut self, ring: &mut Ring, now_ms: Millis) {
        for peer in &mut self.peers {
            let Link::Idle { dial_at_ms } = peer.link else { continue };
            if peer.id > self.identity.member || dial_at_ms > now_ms {
                continue;
            }
            match resolve(&peer.address) {
                Some(address) => peer.link = Link::Dialling(ring.connect(address)),
                None => {
                    peer.errors += 1;
                    peer.link = Link::Idle { dial_at_ms: now_ms + self.reconnect_ms };
                }
            }
        }
    }

    pub fn on_accepted(&mut self, ring: &mut Ring, socket: socket2::Socket) -> Connection {
        if self.greetings.len() >= GREETINGS_MAX {
            let oldest = self.greetings.remove(0);
            ring.close(oldest.connection);
        }
        let connection = ring.adopt(socket);
        self.greetings.push(Greeting { connection, reader: FrameReader::default(), received: 0 });
        connection
    }

    pub fn on_connected(&mut self, ring: &mut Ring, connection: Connection) {
        let hello = |to: MemberId, identity: &Identity| frame::encode_hello(&identity.hello(to));
        let found = self.peers.iter_mut().find(|peer| peer.link.connection() == Some(connection));
        let Some(peer) = found else { return ring.close(connection) };
        let greeting = hello(peer.id, &self.identity);
        peer.link = Link::Greeted { connection, reader: FrameReader::default() };
        send(ring, connection, greeting);
    }

    /// The connection is gone, or never came to be.
    pub fn on_closed(&mut self, connection: Connection, now_ms: Millis) {
        self.greetings.retain(|greeting| greeting.connection != connection);
        let found = self.peers.iter_mut().find(|peer| peer.link.connection() == Some(connection));
        if let Some(peer) = found {
            if matches!(peer.link, Link::Open { .. }) {
                self.events.push(LinkEvent::Down(peer.id));
            }
            peer.errors += 1;
            peer.connected_at_ms = None;
            peer.link = Link::Idle { dial_at_ms: now_ms + self.reconnect_ms };
        }
    }

    pub fn on_received(
        &mut self,
        ring: &mut Ring,
        connection: Connection,
        bytes: &[u8],
        now_ms: Millis,
    ) {
        if let Err(error) = self.read(ring, connection, bytes, now_ms) {
            self.counters.bad_frames += 1;
            log::warn!("closing a peer link: {error}");
            ring.close(connection);
            self.on_closed(connection, now_ms);
        }
    }

    fn read(
        &mut self,
        ring: &mut Ring,
        connection: Connection,
        mut bytes: &[u8],
        now_ms: Millis,
    ) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            let position =
                self.peers.iter().position(|peer| peer.link.connection() == Some(connection));
            match position {
                Some(position) => {
                    let Some(frame) = self.peers[position].link.read(&mut bytes)? else { continue };
                    self.on_frame(position, frame, now_ms)?;
                }
                None => self.greet(ring, connection, &mut bytes, now_ms)?,
            }
        }
        Ok(())
    }

    /// Reads the hello of an accepted connection and binds it to its member, or refuses it.
    fn greet(
        &mut self,
        ring: &mut Ring,
        connection: Connection,
        bytes: &mut &[u8],
        now_ms: Millis,
    ) -> Result<(), LinkError> {
        let found = self.greetings.iter_mut().find(|greeting| greeting.connection == connection);
        // The link was closed in this very pass.
        let Some(greeting) = found else {
            *bytes = &[];
            return Ok(());
        };
        let before = bytes.len();
        let frame = greeting.reader.read(bytes)?;
        greeting.received += before - bytes.len();
        if greeting.received > HELLO_BYTES_MAX {
            return Err(LinkError::HelloTooLong);
        }
        let Some(frame) = frame else { return Ok(()) };
        let Frame::Hello(hello) = frame::decode(frame)? else {
            return Err(LinkError::Unexpected);
        };
        self.greetings.retain(|greeting| greeting.connection != connection);
        let dialler = match self.check(&hello) {
            Ok(position) => position,
            Err(reason) => {
                log::info!("refusing a peer of slot {}: {reason}", hello.slot);
                send(ring, connection, frame::encode_refused(&reason));
                ring.close_after_flush(connection);
                *bytes = &[];
                return Ok(());
            }
        };
        let peer = &mut self.peers[dialler];
        if let Some(former) = peer.link.connection() {
            ring.close(former);
            self.events.push(LinkEvent::Down(peer.id));
        }
        send(ring, connection, frame::encode_hello(&self.identity.hello(peer.id)));
        peer.link = Link::Open { connection, reader: FrameReader::default() };
        peer.opened(now_ms);
        self.events.push(LinkEvent::Up(peer.id));
        Ok(())
    }

    /// The position of the member that a hello comes from, or why it is refused.
    fn check(&self, hello: &Hello) -> Result<usize, String> {
        let mine = &self.identity;
        if hello.version != PROTOCOL_VERSION || hello.commands != table::fingerprint() {
            return Err("another version of the protocol or of the command table".to_owned());
        }
        if hello.cluster != mine.cluster {
            return Err(format!("this node belongs to cluster {:032x}", mine.cluster));
        }
        if hello.to != mine.member.0 {
            return Err(format!("this node is member {}, not {}", mine.member, hello.to));
        }
        let id = MemberId(hello.member);
        let position = self.peers.iter().position(|peer| peer.id == id);
        let Some(position) = position else { return Err(format!("{id} is not a member")) };
        match self.peers[position].boot {
            boot if boot == hello.boot || boot == 0 => Ok(position),
            _ => Err(format!("member {id} is another process")),
        }
    }

    fn on_frame(
        &mut self,
        position: usize,
        frame: AlignedVec,
        now_ms: Millis,
    ) -> Result<(), LinkError> {
        let frame = frame::decode(frame)?;
        let greeted = matches!(self.peers[position].link, Link::Greeted { .. });
        match frame {
            Frame::Refused(reason) if greeted => {
                let member = self.peers[position].id;
                self.events.push(LinkEvent::Refused { member, reason });
                Ok(())
            }
            Frame::Hello(hello) if greeted => {
                let accepted = self.check(&hello).map_err(LinkError::Hello)?;
                if accepted != position {
                    return Err(LinkError::Unexpected);
                }
                let peer = &mut self.peers[position];
                let idle = Link::Idle { dial_at_ms: now_ms };
                if let Link::Greeted { connection, reader } =
                    std::mem::replace(&mut peer.link, idle)
                {
                    peer.link = Link::Open { connection, reader };
                }
                peer.opened(now_ms);
                self.events.push(LinkEvent::Up(peer.id));
                Ok(())
            }
            Frame::Raft { cluster, message } if !greeted => {
                let peer = self.peers[position].id;
                let mine = &self.identity;
                if cluster != mine.cluster || message.to != mine.member || message.from != peer {
                    return Err(LinkError::NotForMe);
                }
                self.events.push(LinkEvent::Message(message));
                Ok(())
            }
            Frame::Snapshot { cluster, message } if !greeted => {
                let peer = self.peers[position].id;
                let mine = &self.identity;
                if cluster != mine.cluster || message.to != mine.member || message.from != peer {
                    return Err(LinkError::NotForMe);
                }
                self.events.push(LinkEvent::Snapshot(message));
                Ok(())
            }
            _ => Err(LinkError::Unexpected),
        }
    }

    /// Sends a message, or drops it when the link is down or its queue full: consensus sends again
    /// what is lost.
    pub fn send(&mut self, ring: &mut Ring, message: Message) {
        let open = self.peers.iter().find(|peer| peer.id == message.to).and_then(Peer::open);
        match open {
            Some(connection) if ring.queued_bytes(connection) < PEER_QUEUE_BYTES_MAX => {
                send(ring, connection, encode_message(self.identity.cluster, message));
            }
            _ => self.counters.dropped_messages += 1,
        }
    }

    /// Whether messages to a member have a chance to arrive.
    pub fn is_open(&self, id: MemberId) -> bool {
        self.peers.iter().any(|peer| peer.id == id && peer.open().is_some())
    }

    /// Sends a part of a snapshot, or its acknowledgement. Dropped as by [`Self::send`]; whoever
    /// waits for it gives up after a while.
    pub fn send_snapshot(&mut self, ring: &mut Ring, message: SnapshotMessage) {
        let open = self.peers.iter().find(|peer| peer.id == message.to).and_then(Peer::open);
        match open {
            Some(connection) if ring.queued_bytes(connection) < PEER_QUEUE_BYTES_MAX => {
                send(ring, connection, encode_snapshot(self.identity.cluster, message));
            }
            _ => self.counters.dropped_messages += 1,
        }
    }

    pub fn report(&self) -> Vec<PeerReport> {
        let report = |peer: &Peer| PeerReport {
            id: peer.id,
            state: peer.link.name(),
            connections: peer.connections,
            errors: peer.errors,
            connected_at_ms: peer.connected_at_ms,
        };
        self.peers.iter().map(report).collect()
    }

    /// Closes everything.
    pub fn close(&mut self, ring: &mut Ring) {
        for connection in self.peers.iter().filter_map(|peer| peer.link.connection()) {
            ring.close_after_flush(connection);
        }
        self.peers.clear();
        for greeting in self.greetings.drain(..) {
            ring.close(greeting.connection);
        }
    }
}

/// Why a link is closed.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("bad frame: {0}")]
    Frame(#[from] FrameError),
    #[error("a hello that is too long")]
    HelloTooLong,
    #[error("a frame that does not belong here")]
    Unexpected,
    #[error("a message for another member or cluster")]
    NotForMe,
    #[error("{0}")]
    Hello(String),
}

impl Identity {
    fn hello(&self, to: MemberId) -> Hello {
        Hello {
            version: PROTOCOL_VERSION,
            commands: table::fingerprint(),
            cluster: self.cluster,
            slot: self.slot.clone(),
            boot: self.boot,
            member: self.member.0,
            to: to.0,
        }
    }
}

impl Peer {
    fn open(&self) -> Option<Connection> {
        match self.link {
            Link::Open { connection, .. } => Some(connection),
            _ => None,
        }
    }

    fn opened(&mut self, now_ms: Millis) {
        self.connections += 1;
        self.connected_at_ms = Some(now_ms);
        log::info!("link to member {} at {} is up", self.id, self.address);
    }
}

impl Link {
    fn connection(&self) -> Option<Connection> {
        match self {
            Self::Idle { .. } => None,
            Self::Dialling(connection)
            | Self::Greeted { connection, .. }
            | Self::Open { connection, .. } => Some(*connection),
        }
    }

    /// RedisRaft's names for the states of a link.
    fn name(&self) -> &'static str {
        match self {
            Self::Idle { .. } => "disconnected",
            Self::Dialling(_) | Self::Greeted { .. } => "connecting",
            Self::Open { .. } => "connected",
        }
    }

    fn read(&mut self, bytes: &mut &[u8]) -> Result<Option<AlignedVec>, FrameError> {
        match self {
            Self::Greeted { reader, .. } | Self::Open { reader, .. } => reader.read(bytes),
            Self::Idle { .. } | Self::Dialling(_) => {
                *bytes = &[];
                Ok(None)
            }
        }
    }
}

fn send(ring: &mut Ring, connection: Connection, encoded: Encoded) {
    ring.send_frame(connection, encoded.head, encoded.payloads);
}

/// An address literal is taken as it is; a name is looked up.
fn resolve(address: &str) -> Option<SocketAddr> {
    match address.parse() {
        Ok(address) => Some(address),
        Err(_) => address.to_socket_addrs().ok()?.next(),
    }
}

#[cfg(test)]
mod tests;
