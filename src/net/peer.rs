//! Links to the other members, and the handshake that binds each to one life of one member.
//!
//! Between two members there is one link for consensus. The newer member (the higher id) dials, so
//! that a node that has just joined is the one to make itself known; the older accepts, and dials
//! only when nobody has called for a while: it may be the one that has been removed meanwhile, and
//! nobody calls it to say so.
//!
//! Whoever sends a snapshot opens a second link for its chunks and their acknowledgements, so that
//! they do not delay consensus; it closes when nothing has used it for a while. Frames of the one
//! on the other are an error.
//!
//! Both sides of a link send a [`Hello`] and check the other's: version, command table, cluster,
//! member, slot and boot. What then arrives for another member id or another cluster is dropped and
//! the link closed, since a node never answers for what it is not (rules of volatile identity in
//! [`crate::raft`]).
//!
//! A link that breaks is reported at once and dialled again after the reconnect interval; one that
//! is refused after a growing pause. What is wrong is logged when it changes, not at each attempt.

mod complaints;
mod handshake;
mod link;
mod resolve;

use std::fmt;

use rkyv::util::AlignedVec;

use self::complaints::Complaints;
use self::handshake::{Committed, check, refusal};
use self::link::Link;
use self::resolve::{Next, Resolver, Route};
use super::frame::{
    self, Encoded, Frame, FrameError, FrameReader, Hello, Purpose, Refusal, RefusalKind,
    SnapshotMessage, encode_message, encode_snapshot,
};
use super::ring::{Connection, Ring};
use crate::limits::{
    GREETINGS_MAX, HANDSHAKE_MS_MAX, LEAVING_MS, OLDER_DIALS_MS, PEER_QUEUE_BYTES_MAX,
    SNAPSHOT_LINK_IDLE_MS, SNAPSHOT_QUEUE_BYTES_MAX, UNNAMED_PEERS_MAX,
};
use crate::raft::message::Message;
use crate::raft::types::{Boot, ClusterId, Configuration, Member, MemberId, Millis};

pub use self::handshake::Identity;

/// What the links tell their owner.
#[derive(Debug)]
pub enum LinkEvent {
    /// The link of consensus is open.
    Up(MemberId),
    Down(MemberId),
    Message(Message),
    Snapshot(SnapshotMessage),
    /// The snapshot link broke or was closed by the other side, and with it ends what was under
    /// way. Not told of one that closes for want of use.
    SnapshotDown(MemberId),
    /// The other side refused this node, and says why.
    Refused {
        member: MemberId,
        refusal: Refusal,
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
    committed: Committed,
    /// Accepted connections whose hello has not come yet, oldest first.
    greetings: Vec<Greeting>,
    resolver: Resolver,
    complaints: Complaints,
    events: Vec<LinkEvent>,
    /// The monotonic clock at the last call that told it.
    now_ms: Millis,
    pub counters: LinkCounters,
}

struct Peer {
    id: MemberId,
    /// `None` until a configuration has named it. A node that catches up meets configurations older
    /// than its peers: those must not cost it the link to its leader.
    known: Option<Known>,
    /// Since when the configuration names it no more.
    leaving_since_ms: Option<Millis>,
    consensus: Link,
    snapshot: Link,
    connections: u64,
    errors: u64,
    connected_at_ms: Option<Millis>,
}

/// What the log tells of a peer, to compare its hello with.
struct Known {
    slot: String,
    boot: Boot,
}

struct Greeting {
    connection: Connection,
    reader: FrameReader,
    /// For complaints: where it comes from, without the port, which differs each time.
    from: String,
    since_ms: Millis,
}

impl Links {
    pub fn new(identity: Identity, reconnect_ms: Millis) -> Self {
        Self {
            identity,
            reconnect_ms,
            peers: Vec::new(),
            committed: Committed::default(),
            greetings: Vec::new(),
            resolver: Resolver::new(),
            complaints: Complaints::default(),
            events: Vec::new(),
            now_ms: 0,
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

    /// Follows the active configuration: new members get links. Those of former ones are closed by
    /// a later tick, since the leader has yet to tell them that the entry that removes them is
    /// committed.
    pub fn set_members(&mut self, configuration: &Configuration) {
        for peer in self.peers.iter_mut().filter(|peer| peer.known.is_some()) {
            match configuration.member(peer.id) {
                Some(_) => peer.leaving_since_ms = None,
                None => peer.leaving_since_ms = peer.leaving_since_ms.or(Some(self.now_ms)),
            }
        }
        for member in &configuration.members {
            if member.id == self.identity.member {
                continue;
            }
            match self.peers.iter_mut().find(|peer| peer.id == member.id) {
                Some(peer) => peer.become_known(member),
                None => {
                    let mut peer = Peer::new(member.id, &member.peer_address, self.now_ms);
                    peer.become_known(member);
                    self.peers.push(peer);
                }
            }
        }
    }

    /// Follows the committed configurations: who was in one and is in none any more is told so.
    pub fn set_committed_members(&mut self, configuration: &Configuration) {
        self.committed.follow(configuration);
    }

    /// Knows a member that the log has not told of yet: a joining node's first peers.
    pub fn introduce(&mut self, id: MemberId, address: &str) {
        if self.peers.iter().all(|peer| peer.id != id) && id != self.identity.member {
            self.peers.push(Peer::new(id, address, self.now_ms));
        }
    }

    /// Dials what is due, and ends what takes too long.
    pub fn tick(&mut self, ring: &mut Ring, now_ms: Millis) {
        self.now_ms = now_ms;
        self.take_lookups();
        self.end_overdue(ring);
        self.part_with_leaving(ring);
        self.peers.retain(|peer| !peer.is_stranger() || peer.is_linked());
        let is_dialled = |peer: &&mut Peer| peer.leaving_since_ms.is_none() && !peer.is_stranger();
        for peer in self.peers.iter_mut().filter(is_dialled) {
            // A former life of this node's slot had its address: nobody else answers there.
            if peer.consensus.route.address() == self.identity.peer_address {
                continue;
            }
            let is_newer = self.identity.member > peer.id;
            let (up, id) = (peer.consensus.open().is_some(), peer.id);
            for link in peer.links_mut() {
                let dials = match link.purpose {
                    Purpose::Consensus => is_newer || link.age_ms(now_ms) > OLDER_DIALS_MS,
                    Purpose::Snapshot => link.is_wanted && up,
                };
                if !dials || !link.is_due(now_ms) {
                    continue;
                }
                match link.route.next(&self.resolver, id, link.purpose) {
                    Ok(Next::Dial(address)) => link.dial(ring.connect(address), now_ms),
                    Ok(Next::Wait) => {}
                    Err(error) => {
                        link.postpone(now_ms + self.reconnect_ms);
                        let text = format!("cannot look up the address of member {id}: {error}");
                        self.complaints.say(text, now_ms);
                    }
                }
            }
        }
    }

    fn take_lookups(&mut self) {
        while let Some(answer) = self.resolver.take_answer() {
            let found = self.peers.iter_mut().find(|peer| peer.id == answer.id);
            let Some(peer) = found else { continue };
            let link = peer.link_mut(answer.purpose);
            if link.route.address() != answer.address {
                continue;
            }
            match answer.found {
                Ok(addresses) => link.route.on_found(addresses),
                Err(error) => {
                    link.route.on_found(Vec::new());
                    link.postpone(self.now_ms + self.reconnect_ms);
                    peer.errors += 1;
                    let text = format!("cannot look up {}: {error}", answer.address);
                    self.complaints.say(text, self.now_ms);
                }
            }
        }
    }

    /// Closes what waits for a hello for too long, and snapshot links that nobody uses.
    fn end_overdue(&mut self, ring: &mut Ring) {
        let now_ms = self.now_ms;
        let is_late =
            |greeting: &mut Greeting| now_ms.saturating_sub(greeting.since_ms) > HANDSHAKE_MS_MAX;
        for greeting in self.greetings.extract_if(.., is_late) {
            let text = format!("a connection from {} to the peer port says nothing", greeting.from);
            self.complaints.say(text, now_ms);
            ring.close(greeting.connection);
        }
        for peer in &mut self.peers {
            let (id, mut errors) = (peer.id, 0);
            for link in peer.links_mut() {
                let Some(connection) = link.connection() else { continue };
                if link.is_on_its_way() && link.age_ms(now_ms) > HANDSHAKE_MS_MAX {
                    let address = link.route.address();
                    let text = format!("member {id} at {address} does not answer");
                    self.complaints.say(text, now_ms);
                    errors += 1;
                } else if link.purpose == Purpose::Consensus
                    || link.idle_ms(now_ms) <= SNAPSHOT_LINK_IDLE_MS
                {
                    continue;
                }
                ring.close(connection);
                link.ended(now_ms, self.reconnect_ms);
            }
            peer.errors += errors;
        }
    }

    /// Closes the links of those who are members no more and have had time to learn it.
    fn part_with_leaving(&mut self, ring: &mut Ring) {
        let now_ms = self.now_ms;
        let is_over = |peer: &mut Peer| {
            peer.leaving_since_ms.is_some_and(|ms| now_ms.saturating_sub(ms) > LEAVING_MS)
        };
        for peer in self.peers.extract_if(.., is_over) {
            log::info!("member {} has left: closing its links", peer.id);
            if peer.snapshot.open().is_some() {
                self.events.push(LinkEvent::SnapshotDown(peer.id));
            }
            for connection in peer.links().into_iter().filter_map(Link::connection) {
                ring.close_after_flush(connection);
            }
        }
    }

    pub fn on_accepted(&mut self, ring: &mut Ring, socket: socket2::Socket) -> Connection {
        if self.greetings.len() >= GREETINGS_MAX {
            let oldest = self.greetings.remove(0);
            ring.close(oldest.connection);
        }
        let address = socket.peer_addr().ok().and_then(|address| address.as_socket());
        let from = address.map_or("nowhere".to_owned(), |address| address.ip().to_string());
        let connection = ring.adopt(socket);
        let (reader, since_ms) = (FrameReader::for_hello(), self.now_ms);
        self.greetings.push(Greeting { connection, reader, from, since_ms });
        connection
    }

    pub fn on_connected(&mut self, ring: &mut Ring, connection: Connection) {
        let Some((position, purpose)) = self.find(connection) else {
            return ring.close(connection);
        };
        let peer = &mut self.peers[position];
        let hello = self.identity.hello(peer.id, purpose);
        peer.link_mut(purpose).greet(connection, self.now_ms);
        send(ring, connection, frame::encode_hello(&hello));
    }

    /// The connection is gone, or never came to be.
    pub fn on_closed(&mut self, connection: Connection, now_ms: Millis) {
        self.now_ms = now_ms;
        self.greetings.retain(|greeting| greeting.connection != connection);
        let Some((position, purpose)) = self.find(connection) else { return };
        let peer = &mut self.peers[position];
        let link = peer.link_mut(purpose);
        // The other side closes a link that is not used too, a little earlier or later.
        let is_unused = link.idle_ms(now_ms) > SNAPSHOT_LINK_IDLE_MS / 2;
        let was_open = link.ended(now_ms, self.reconnect_ms);
        peer.errors += u64::from(purpose == Purpose::Consensus);
        if was_open && !(purpose == Purpose::Snapshot && is_unused) {
            self.events.push(peer.down(purpose));
        }
    }

    /// The peer and the link that have a connection.
    fn find(&self, connection: Connection) -> Option<(usize, Purpose)> {
        self.peers.iter().enumerate().find_map(|(position, peer)| {
            let mut links = peer.links().into_iter();
            let found = links.find(|link| link.connection() == Some(connection))?;
            Some((position, found.purpose))
        })
    }

    pub fn on_received(
        &mut self,
        ring: &mut Ring,
        connection: Connection,
        bytes: &[u8],
        now_ms: Millis,
    ) {
        self.now_ms = now_ms;
        if let Err(error) = self.read(ring, connection, bytes) {
            self.counters.bad_frames += 1;
            self.turn_away(ring, connection, &error);
        }
    }

    /// Closes a connection over which something came that must not.
    fn turn_away(&mut self, ring: &mut Ring, connection: Connection, error: &LinkError) {
        let found = self.greetings.iter().position(|greeting| greeting.connection == connection);
        if let Some(position) = found {
            let Greeting { from, .. } = self.greetings.remove(position);
            let text = format!("closing a connection from {from} to the peer port: {error}");
            self.complaints.say(text, self.now_ms);
            if let LinkError::Frame(error) = error
                && let Some(refusal) = handshake::other_version(error)
            {
                send(ring, connection, frame::encode_refused(refusal));
                return ring.close_after_flush(connection);
            }
        }
        if let Some((position, purpose)) = self.find(connection) {
            let peer = &mut self.peers[position];
            let (id, purpose_name) = (peer.id, purpose.name());
            let text = format!("closing the {purpose_name} link to member {id}: {error}");
            self.complaints.say(text, self.now_ms);
            peer.errors += 1;
            if peer.link_mut(purpose).refused(self.now_ms, self.reconnect_ms) {
                self.events.push(peer.down(purpose));
            }
        }
        ring.close(connection);
    }

    fn read(
        &mut self,
        ring: &mut Ring,
        connection: Connection,
        mut bytes: &[u8],
    ) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            match self.find(connection) {
                Some((position, purpose)) => {
                    let link = self.peers[position].link_mut(purpose);
                    link.carried(self.now_ms);
                    let Some(frame) = link.read(&mut bytes)? else { continue };
                    self.on_frame(ring, position, purpose, frame)?;
                }
                None => self.greet(ring, connection, &mut bytes)?,
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
    ) -> Result<(), LinkError> {
        let found = self.greetings.iter_mut().find(|greeting| greeting.connection == connection);
        // The link was closed in this very pass.
        let Some(greeting) = found else {
            *bytes = &[];
            return Ok(());
        };
        let Some(frame) = greeting.reader.read(bytes)? else { return Ok(()) };
        let hello = match frame::decode(frame)? {
            Frame::Hello(hello) => hello,
            frame => return Err(LinkError::OutOfPlace { frame: frame.name(), link: "new" }),
        };
        self.greetings.retain(|greeting| greeting.connection != connection);
        match self.admit(&hello) {
            Ok(position) => self.accept(ring, connection, position, hello.purpose),
            Err(refusal) => {
                // That both dial at once is nothing to complain of, nor is what one says to itself.
                if !matches!(refusal.kind, RefusalKind::Crossed | RefusalKind::Itself) {
                    let (member, slot) = (hello.member, &hello.slot);
                    let reason = &refusal.reason;
                    let text = format!("refusing member {member} of slot {slot}: {reason}");
                    self.complaints.say(text, self.now_ms);
                }
                send(ring, connection, frame::encode_refused(refusal));
                ring.close_after_flush(connection);
                *bytes = &[];
            }
        }
        Ok(())
    }

    /// Whether a hello leads to a link: the position of the member that it comes from.
    fn admit(&mut self, hello: &Hello) -> Result<usize, Refusal> {
        let position = match check(&self.identity, &self.peers, &self.committed, hello) {
            Err(refusal) if refusal.kind == RefusalKind::Unknown && self.may_be_new(hello) => {
                // Its address comes with the log; until then nobody here dials it.
                self.peers.push(Peer::new(MemberId(hello.member), "", self.now_ms));
                self.peers.len() - 1
            }
            checked => checked?,
        };
        let peer = &mut self.peers[position];
        // Of two that dial each other at once the newer goes on.
        let own = peer.link_mut(hello.purpose);
        if own.is_on_its_way() && peer.id < self.identity.member {
            let reason = format!("member {} dials already", self.identity.member);
            return Err(refusal(RefusalKind::Crossed, reason));
        }
        Ok(position)
    }

    /// Whether a dialler that the log does not name may be a member that it has yet to name.
    ///
    /// One that was cut off while all its peers were replaced knows none of those that dial it: if
    /// it refused them, it would never hear of its cluster again. Consensus takes no harm from a
    /// member of the future.
    fn may_be_new(&self, hello: &Hello) -> bool {
        let id = MemberId(hello.member);
        let strangers = self.peers.iter().filter(|peer| peer.is_stranger()).count();
        id > self.identity.member
            && self.committed.is_future(id)
            && self.peers.iter().all(|peer| peer.id != id)
            && strangers < UNNAMED_PEERS_MAX
    }

    fn accept(
        &mut self,
        ring: &mut Ring,
        connection: Connection,
        position: usize,
        purpose: Purpose,
    ) {
        let peer = &mut self.peers[position];
        let link = peer.link_mut(purpose);
        if let Some(former) = link.connection() {
            ring.close(former);
            if link.ended(self.now_ms, self.reconnect_ms) {
                self.events.push(peer.down(purpose));
            }
        }
        let hello = self.identity.hello(peer.id, purpose);
        send(ring, connection, frame::encode_hello(&hello));
        self.opened(position, purpose, connection);
    }

    fn opened(&mut self, position: usize, purpose: Purpose, connection: Connection) {
        let peer = &mut self.peers[position];
        peer.link_mut(purpose).open_with(connection, self.now_ms);
        let (id, address) = (peer.id, peer.consensus.route.address());
        match purpose {
            Purpose::Consensus => {
                log::info!("link to member {id} at {address} is up");
                peer.connections += 1;
                peer.connected_at_ms = Some(self.now_ms);
                self.events.push(LinkEvent::Up(id));
            }
            Purpose::Snapshot => log::info!("snapshot link to member {id} is up"),
        }
    }

    fn on_frame(
        &mut self,
        ring: &mut Ring,
        position: usize,
        purpose: Purpose,
        frame: AlignedVec,
    ) -> Result<(), LinkError> {
        let frame = frame::decode(frame)?;
        let peer = &self.peers[position];
        let link = peer.link(purpose);
        match (frame, purpose) {
            (Frame::Refused(refusal), _) if link.is_greeted() => {
                self.on_refused(ring, position, purpose, refusal);
            }
            (Frame::Hello(hello), _) if link.is_greeted() => {
                let connection = link.connection().expect("invariant: a greeted link has one");
                let accepted = check(&self.identity, &self.peers, &self.committed, &hello);
                if accepted.map_err(LinkError::Hello)? != position || hello.purpose != purpose {
                    return Err(LinkError::OtherHello { member: MemberId(hello.member) });
                }
                self.opened(position, purpose, connection);
            }
            (Frame::Raft { cluster, message }, Purpose::Consensus) if link.open().is_some() => {
                self.check_address(peer, cluster, message.from, message.to)?;
                self.events.push(LinkEvent::Message(message));
            }
            (Frame::Snapshot { cluster, message }, Purpose::Snapshot) if link.open().is_some() => {
                self.check_address(peer, cluster, message.from, message.to)?;
                self.events.push(LinkEvent::Snapshot(message));
            }
            (frame, _) => {
                let link = if link.is_greeted() { "new" } else { purpose.name() };
                return Err(LinkError::OutOfPlace { frame: frame.name(), link });
            }
        }
        Ok(())
    }

    fn on_refused(&mut self, ring: &mut Ring, position: usize, purpose: Purpose, refusal: Refusal) {
        let peer = &mut self.peers[position];
        let id = peer.id;
        peer.errors += 1;
        let link = peer.link_mut(purpose);
        let connection = link.connection();
        if refusal.kind == RefusalKind::Crossed {
            link.ended(self.now_ms, self.reconnect_ms);
        } else {
            link.refused(self.now_ms, self.reconnect_ms);
            let (address, reason) = (link.route.address(), &refusal.reason);
            let text = format!("member {id} at {address} refuses this node: {reason}");
            self.complaints.say(text, self.now_ms);
            self.events.push(LinkEvent::Refused { member: id, refusal });
        }
        if let Some(connection) = connection {
            ring.close(connection);
        }
    }

    /// Whether a frame that came from `peer` is from it and for this member of this cluster.
    fn check_address(
        &self,
        peer: &Peer,
        cluster: ClusterId,
        from: MemberId,
        to: MemberId,
    ) -> Result<(), LinkError> {
        let mine = &self.identity;
        if (cluster, from, to) == (mine.cluster, peer.id, mine.member) {
            return Ok(());
        }
        Err(LinkError::NotForMe {
            came: Address { cluster, from, to },
            expected: Address { cluster: mine.cluster, from: peer.id, to: mine.member },
        })
    }

    /// Sends a message, or drops it when the link is down or its queue full: consensus sends again
    /// what is lost.
    pub fn send(&mut self, ring: &mut Ring, message: Message) {
        let peer = self.peers.iter().find(|peer| peer.id == message.to);
        match peer.and_then(|peer| peer.consensus.open()) {
            Some(connection) if ring.queued_bytes(connection) < PEER_QUEUE_BYTES_MAX => {
                send(ring, connection, encode_message(self.identity.cluster, message));
            }
            _ => self.counters.dropped_messages += 1,
        }
    }

    /// Whether messages to a member have a chance to arrive.
    pub fn is_open(&self, id: MemberId) -> bool {
        self.peers.iter().any(|peer| peer.id == id && peer.consensus.open().is_some())
    }

    /// Sends a part of a snapshot, or its acknowledgement, over the snapshot link; dropped when
    /// that is not open or its queue is full. Whoever waits for it gives up after a while.
    pub fn send_snapshot(&mut self, ring: &mut Ring, message: SnapshotMessage) {
        let link = self.peers.iter_mut().find(|peer| peer.id == message.to);
        let link = link.map(|peer| &mut peer.snapshot);
        let open = link.and_then(|link| link.open().map(|connection| (link, connection)));
        match open {
            Some((link, connection))
                if ring.queued_bytes(connection) < SNAPSHOT_QUEUE_BYTES_MAX =>
            {
                link.carried(self.now_ms);
                send(ring, connection, encode_snapshot(self.identity.cluster, message));
            }
            _ => self.counters.dropped_messages += 1,
        }
    }

    /// Has the snapshot link to a member opened, whoever dials; tried again until it is open, or
    /// the link of consensus breaks, or [`Self::close_snapshot`]. Nothing happens when it is open.
    pub fn open_snapshot(&mut self, id: MemberId) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == id)
            && peer.consensus.open().is_some()
            && peer.snapshot.open().is_none()
        {
            peer.snapshot.is_wanted = true;
        }
    }

    /// Whether parts of snapshots have a chance to arrive.
    pub fn is_snapshot_open(&self, id: MemberId) -> bool {
        self.peers.iter().any(|peer| peer.id == id && peer.snapshot.open().is_some())
    }

    /// Closes the snapshot link to a member, with all that is under way on it; the other side is
    /// told of the end by [`LinkEvent::SnapshotDown`], this one is not.
    pub fn close_snapshot(&mut self, ring: &mut Ring, id: MemberId) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == id) else { return };
        peer.snapshot.is_wanted = false;
        if let Some(connection) = peer.snapshot.connection() {
            ring.close(connection);
            peer.snapshot.ended(self.now_ms, self.reconnect_ms);
        }
    }

    pub fn report(&self) -> Vec<PeerReport> {
        let report = |peer: &Peer| PeerReport {
            id: peer.id,
            state: peer.consensus.name(),
            connections: peer.connections,
            errors: peer.errors,
            connected_at_ms: peer.connected_at_ms,
        };
        self.peers.iter().map(report).collect()
    }

    /// From here on this member is one of `cluster`: what the former cluster has sent and is still
    /// to be read is dropped, and its members are refused.
    pub fn change_cluster(&mut self, ring: &mut Ring, cluster: ClusterId) {
        self.close(ring);
        self.events.clear();
        self.identity.cluster = cluster;
    }

    /// Closes everything.
    pub fn close(&mut self, ring: &mut Ring) {
        for connection in self.peers.iter().flat_map(Peer::links).filter_map(Link::connection) {
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
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("a {frame} on a {link} link")]
    OutOfPlace { frame: &'static str, link: &'static str },
    #[error("expected {expected}, came {came}")]
    NotForMe { expected: Address, came: Address },
    #[error("{}", .0.reason)]
    Hello(Refusal),
    #[error("member {member} answers in its place")]
    OtherHello { member: MemberId },
}

/// What every frame after the hello carries.
#[derive(Debug)]
struct Address {
    cluster: ClusterId,
    from: MemberId,
    to: MemberId,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, from, to } = self;
        write!(f, "a frame from member {from} to {to} of cluster {cluster:032x}")
    }
}

impl Known {
    fn of(member: &Member) -> Self {
        Self { slot: member.slot.clone(), boot: member.boot }
    }
}

impl Peer {
    fn new(id: MemberId, address: &str, now_ms: Millis) -> Self {
        Self {
            id,
            known: None,
            leaving_since_ms: None,
            consensus: Link::new(Purpose::Consensus, address, now_ms),
            snapshot: Link::new(Purpose::Snapshot, address, now_ms),
            connections: 0,
            errors: 0,
            connected_at_ms: None,
        }
    }

    /// A configuration names it.
    fn become_known(&mut self, member: &Member) {
        self.known = Some(Known::of(member));
        for link in self.links_mut() {
            if link.route.address() != member.peer_address {
                link.route = Route::new(&member.peer_address);
            }
        }
    }

    /// Whether it has dialled and nobody has told of it yet.
    fn is_stranger(&self) -> bool {
        self.known.is_none() && self.consensus.route.address().is_empty()
    }

    fn is_linked(&self) -> bool {
        self.links().into_iter().any(|link| link.connection().is_some())
    }

    fn links(&self) -> [&Link; 2] {
        [&self.consensus, &self.snapshot]
    }

    fn links_mut(&mut self) -> [&mut Link; 2] {
        [&mut self.consensus, &mut self.snapshot]
    }

    fn link(&self, purpose: Purpose) -> &Link {
        match purpose {
            Purpose::Consensus => &self.consensus,
            Purpose::Snapshot => &self.snapshot,
        }
    }

    fn link_mut(&mut self, purpose: Purpose) -> &mut Link {
        match purpose {
            Purpose::Consensus => &mut self.consensus,
            Purpose::Snapshot => &mut self.snapshot,
        }
    }

    /// What is told when one of its links, which was open, has ended.
    fn down(&mut self, purpose: Purpose) -> LinkEvent {
        match purpose {
            Purpose::Consensus => {
                self.connected_at_ms = None;
                self.snapshot.is_wanted = false;
                LinkEvent::Down(self.id)
            }
            Purpose::Snapshot => LinkEvent::SnapshotDown(self.id),
        }
    }
}

fn send(ring: &mut Ring, connection: Connection, encoded: Encoded) {
    ring.send_frame(connection, encoded.head, encoded.payloads);
}

#[cfg(test)]
mod tests;
