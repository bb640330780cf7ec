//! The net role: the clients of one core. Parses what they send, gathers the commands of a pass
//! into one batch, and hands each client its replies in order.
//!
//! Every command becomes part of a step of the pass, in the order of arrival: writes go into the
//! batch for the log, reads beside it, and replies that the node can make at once ride along
//! so that they keep their place. Only when nothing is outstanding for a client is such a reply
//! written straight away.
//!
//! A client is not parsed while it waits for another role, has not read its replies, or while this
//! role waits for too many bytes to be committed; it is then not received from either, so that the
//! pressure reaches the sender.

mod holding;
mod migrate;
mod observing;
mod pubsub;
mod replies;
mod requests;
mod sentinel;
mod survey;
mod tracking;
mod transaction;
mod users;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::engine::batch::Batch;
use crate::engine::pubsub::Change;
use crate::engine::reply::Reply;
use crate::engine::timing::Thresholds;
use crate::net::resp::{Authentication, ParseState, Words};
use crate::net::ring::{Connection, Ring};
use crate::net::socket;
use crate::raft::Now;
use crate::raft::types::{Millis, Stream, Ticket};

use super::mailbox::{Ended, Mailbox, Pending, ToApply, ToNet, ToRaft};
use super::observe::counts::NetCounts;
use super::observe::pause::Paused;
use super::session::{self, Face, Session, Wait};
use super::settings::Live;
use super::shared::Shared;
use replies::end_if_done;
use survey::Surveying;
use transaction::Executing;
use users::Users;

pub struct NetRole {
    stream: Stream,
    inbox: flume::Receiver<ToNet>,
    mailboxes: Mailboxes,
    shared: Arc<Shared>,
    settings: Live,
    users: Users,
    now: Now,
    /// By the slot of their connection.
    clients: Vec<Option<Client>>,
    gathering: Gathering,
    next_ticket: Ticket,
    /// Bytes of passes that are not answered yet.
    outstanding_bytes: usize,
    /// Clients that are not parsed because `outstanding_bytes` is at its bound.
    stalled: Vec<Connection>,
    /// Clients that have left, of which all nodes are still to be told.
    ended: Vec<Ended>,
    /// What clients have begun and ceased to subscribe to, and apply does not know yet.
    subscription_changes: Vec<Change>,
    /// Surveys under way.
    surveys: Vec<Surveying>,
    next_survey: u64,
    /// When the clients are next looked at for those to be closed, on the monotonic clock.
    next_sweep_ms: Millis,
    /// Which net role gets the next accepted connection.
    next_net: usize,
    /// The node stops: nothing more is accepted.
    stopping: bool,
    scratch: Reply,
    words: Words,
    /// Passes answered, whose vectors are used again.
    spare: Vec<Pending>,
    /// Counts of what this role runs and refuses itself.
    counts: Arc<NetCounts>,
    /// What commands are logged, and from how many bytes on their requests are.
    thresholds: Thresholds,
    large_request_bytes: usize,
    /// From how many unsent bytes on a client is looked at: it may have to wait or to be closed.
    choked_bytes: usize,
    /// When the rates of INFO are sampled next.
    next_sample_ms: Millis,
    /// Whether any client of the node monitors, and the lines for those.
    is_monitored: bool,
    shown: Vec<u8>,
    /// Some of these are lost, as who monitors is to be told.
    shown_are_lost: bool,
    /// MIGRATE commands whose keys are being sent.
    migrations: usize,
    /// Which commands wait for the end of CLIENT PAUSE, and the clients whose do.
    paused: Option<Paused>,
    held: Vec<Connection>,
}

struct Client {
    connection: Connection,
    session: Session,
    parse: ParseState,
    /// Received and not parsed yet.
    input: Vec<u8>,
    /// Steps that are not answered yet.
    outstanding: u32,
    block: Block,
    /// It is among the subscribers that INFO counts.
    counts_as_subscriber: bool,
    /// EXEC that is not answered yet, when the node runs a part of it.
    executing: Option<Box<Executing>>,
    /// Since when more is queued for it than the soft limit of its output, on the monotonic clock.
    over_soft_since_ms: Option<Millis>,
    /// Apply knows that it tracks what it reads.
    tracks: bool,
    /// It has to be told to drop all that it has read, in place of notices that were too many.
    owes_drop: bool,
    ending: Ending,
}

/// How a client comes to its end. Its connection is closed when all that it is owed is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    /// No more is received; every command that was is still run and answered.
    AfterInput,
    /// Nothing behind its last command is looked at.
    Now,
}

/// Why a client is not parsed.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    None,
    /// The next command must not start before all earlier ones are answered.
    Barrier,
    /// It waits for another role.
    Suspended(Wait),
    /// It waits for the engine's part of a transaction, of which the node runs another part.
    Executing,
    /// Its last command is one that may have to wait; it does once the session tells so.
    Waiting,
    /// It has not read its replies.
    Choked,
    /// The role waits for too many bytes.
    Stalled,
    /// Its next command is held back by CLIENT PAUSE.
    Paused,
}

/// The pass being gathered.
#[derive(Default)]
struct Gathering {
    writes: Batch,
    pending: Pending,
    commands: u64,
}

/// Shown for a socket whose address the kernel does not tell any more.
const UNKNOWN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The mailboxes that a net role writes to.
pub struct Mailboxes {
    pub raft: Mailbox<ToRaft>,
    pub apply: Mailbox<ToApply>,
    /// By stream, the role's own among them.
    pub nets: Vec<Mailbox<ToNet>>,
}

impl NetRole {
    pub fn new(
        stream: Stream,
        inbox: flume::Receiver<ToNet>,
        mailboxes: Mailboxes,
        shared: Arc<Shared>,
        settings: Live,
        now: Now,
    ) -> Self {
        let counts = shared.observed.new_counts();
        let users = Users::new(&shared, &settings, stream == 0);
        let mut role = Self {
            users,
            stream,
            inbox,
            mailboxes,
            shared,
            settings,
            now,
            clients: Vec::new(),
            gathering: Gathering::default(),
            next_ticket: Ticket(1),
            outstanding_bytes: 0,
            stalled: Vec::new(),
            ended: Vec::new(),
            subscription_changes: Vec::new(),
            surveys: Vec::new(),
            next_survey: 0,
            next_sweep_ms: 0,
            next_net: 0,
            stopping: false,
            scratch: Reply::default(),
            words: Words::default(),
            spare: Vec::new(),
            counts,
            thresholds: Thresholds::NONE,
            large_request_bytes: usize::MAX,
            choked_bytes: 0,
            next_sample_ms: 0,
            is_monitored: false,
            shown: Vec::new(),
            shown_are_lost: false,
            migrations: 0,
            paused: None,
            held: Vec::new(),
        };
        role.set_observed();
        if stream == 0 {
            role.tell_tracked_keys_max();
        }
        role
    }

    /// One pass, after the events of the ring have been handled: replies go out, the pass that was
    /// gathered goes on its way. Returns whether there was anything to do.
    pub fn turn(&mut self, ring: &mut Ring) -> bool {
        self.sweep(ring);
        self.sample_rates();
        self.release(ring);
        self.tell_ended();
        self.seed_users();
        let mut worked = self.close_pass();
        while let Ok(message) = self.inbox.try_recv() {
            worked = true;
            match message {
                ToNet::Replies(replies) => self.deliver(ring, *replies),
                ToNet::Served(served) => {
                    for (connection, end) in served {
                        self.serve(ring, connection, end);
                    }
                }
                ToNet::Notable(notable) => self.log_notable(notable),
                ToNet::ScriptLines(lines) => self.show_script_lines(&lines),
                ToNet::ScriptDenials(denials) => self.log_script_denials(denials),
                ToNet::Monitored(lines) => self.monitor(ring, &lines),
                ToNet::Users(acl) => self.take_users(ring, acl),
                ToNet::Published(published) => self.publish(ring, &published.content),
                ToNet::Invalidations(them) => self.invalidate(ring, &them.content),
                ToNet::RedirectBroken(connection) => self.redirect_broken(ring, connection),
                ToNet::PassOver(members) => self.tell_passed_over(&members),
                ToNet::Import(units) => self.import(&units),
                ToNet::OfferSettings => self.offer_settings(),
                ToNet::Evict { index, victims } => self.evict(index, &victims),
                ToNet::Answer { connection, reply } => self.answer(ring, connection, &reply),
                ToNet::Report { connection, raft, engine } => {
                    self.finish_wait(ring, connection, |use_, session, view, reply| {
                        session::finish_report(use_, &raft, &engine, session, view, reply);
                    });
                }
                ToNet::Migrated { connection, sent } => {
                    self.migration_sent(ring, connection, sent);
                }
                ToNet::LeaderMoved { former, leader } => self.tell_switch(ring, &former, &leader),
                ToNet::Accepted(socket) => self.adopt(ring, socket, Face::Data),
                ToNet::Survey { from, id, survey } => self.survey(ring, from, id, &survey),
                ToNet::Surveyed { id, lines, matched, found } => {
                    self.surveyed(ring, id, &lines, matched, found);
                }
                ToNet::Stop => self.stop(ring),
            }
        }
        self.hand_over_shown();
        self.tell_ended();
        // Clients that were waiting may have been parsed just now.
        worked | self.close_pass()
    }

    pub fn set_now(&mut self, now: Now) {
        self.now = now;
        self.take_settings();
        self.refresh_watch();
    }

    fn take_settings(&mut self) {
        if self.settings.refresh() {
            self.set_observed();
            self.note_settings();
            if self.stream == 0 {
                self.tell_tracked_keys_max();
            }
        }
    }

    /// A listener of this role's core has a new connection: the net roles get them in turn.
    pub fn on_accepted(&mut self, ring: &mut Ring, socket: socket2::Socket) {
        let target = self.next_net;
        self.next_net = (target + 1) % self.mailboxes.nets.len();
        if target == usize::from(self.stream) {
            self.adopt(ring, socket, Face::Data);
        } else {
            self.mailboxes.nets[target].send(ToNet::Accepted(socket));
        }
    }

    fn adopt(&mut self, ring: &mut Ring, socket: socket2::Socket, face: Face) {
        if self.stopping {
            return;
        }
        let address = |address: std::io::Result<socket2::SockAddr>| {
            address.ok().and_then(|address| address.as_socket()).unwrap_or(UNKNOWN_ADDRESS)
        };
        let (peer, local) = (address(socket.peer_addr()), address(socket.local_addr()));
        self.shared.clients.accepted.fetch_add(1, Relaxed);
        let connected = self.shared.clients.connected.fetch_add(1, Relaxed) + 1;
        if let Err(error) = socket::set_keepalive(&socket, self.settings.tcp_keepalive) {
            log::debug!("a client left at once: {error}");
        }
        let connection = ring.adopt(socket);
        if connected > self.settings.maxclients {
            self.shared.clients.connected.fetch_sub(1, Relaxed);
            self.shared.clients.rejected.fetch_add(1, Relaxed);
            if let Some(output) = ring.output(connection) {
                output.extend_from_slice(b"-ERR max number of clients reached\r\n");
            }
            ring.close_after_flush(connection);
            return;
        }
        let mut session = Session::new(
            self.shared.next_client_id.fetch_add(1, Relaxed),
            peer,
            local,
            self.users.now.default_user(),
            self.now.monotonic_ms,
        );
        session.face = face;
        let slot = connection.index();
        if self.clients.len() <= slot {
            self.clients.resize_with(slot + 1, || None);
        }
        self.clients[slot] = Some(Client::new(connection, session));
    }

    /// Whether the connection is a client of this role.
    pub fn owns(&self, connection: Connection) -> bool {
        self.clients
            .get(connection.index())
            .and_then(Option::as_ref)
            .is_some_and(|client| client.connection == connection)
    }

    pub fn on_received(&mut self, ring: &mut Ring, connection: Connection, bytes: &[u8]) {
        let Some(mut client) = self.take(connection) else { return };
        client.session.active_at_ms = self.now.monotonic_ms;
        self.shared.clients.input_bytes.fetch_add(bytes.len() as u64, Relaxed);
        if client.ending != Ending::No {
            // What comes after the end was not accepted.
        } else if client.block == Block::None && client.input.is_empty() {
            let consumed = self.parse(ring, &mut client, bytes);
            client.input.extend_from_slice(&bytes[consumed..]);
        } else {
            client.input.extend_from_slice(bytes);
            self.parse_input(ring, &mut client);
        }
        if client.input.len() > self.settings.client_query_buffer_limit {
            log::warn!("closing client {} that reached the query buffer limit", client.session.id);
            self.shared.clients.query_limit_closed.fetch_add(1, Relaxed);
            client.input = Vec::new();
            ring.close(connection);
        }
        self.put_back(client);
    }

    /// The client will send no more; it still gets the replies to what it sent.
    pub fn on_ended(&mut self, ring: &mut Ring, connection: Connection) {
        let Some(mut client) = self.take(connection) else { return };
        if client.session.is_blocked {
            // Nothing is to be taken for it any more.
            ring.close(connection);
        }
        self.end_after_input(ring, &mut client);
        self.put_back(client);
    }

    pub fn on_drained(&mut self, ring: &mut Ring, connection: Connection) {
        self.tell_owed(ring, connection);
        self.unblock(ring, connection, &Block::Choked);
    }

    pub fn on_closed(&mut self, connection: Connection) {
        if let Some(mut client) = self.take(connection) {
            client.session.subscriptions.clear();
            self.end_watch(&mut client);
            client.session.stop_tracking();
            self.note_subscriptions(&mut client);
            self.note_tracking(&mut client);
            if client.session.is_known {
                self.end_session(&client);
            }
            if client.session.is_blocked || client.block == Block::Paused {
                self.shared.clients.blocked.fetch_sub(1, Relaxed);
            }
            self.shared.clients.connected.fetch_sub(1, Relaxed);
            self.stalled.retain(|stalled| *stalled != connection);
        }
    }

    fn take(&mut self, connection: Connection) -> Option<Client> {
        let slot = self.clients.get_mut(connection.index())?;
        if slot.as_ref()?.connection == connection { slot.take() } else { None }
    }

    fn put_back(&mut self, client: Client) {
        let slot = client.connection.index();
        self.clients[slot] = Some(client);
    }

    /// The node stops: every command that was received is answered, in this pass or in those that
    /// follow, and each client that has all its replies is closed.
    fn stop(&mut self, ring: &mut Ring) {
        self.stopping = true;
        self.paused = None;
        self.release(ring);
        for slot in 0..self.clients.len() {
            let Some(mut client) = self.clients[slot].take() else { continue };
            ring.pause(client.connection);
            if client.block == Block::Suspended(Wait::Stop) {
                client.block = Block::None;
                client.ending = Ending::Now;
            }
            if client.session.is_blocked {
                self.end_session(&client);
            }
            self.end_after_input(ring, &mut client);
            self.put_back(client);
        }
    }

    /// Nothing of the client is to be left behind, nor to come, on any node.
    fn end_session(&mut self, client: &Client) {
        self.ended.push(Ended { session: client.session.id, insists: true });
    }

    fn end_after_input(&mut self, ring: &mut Ring, client: &mut Client) {
        if client.ending == Ending::No {
            client.ending = Ending::AfterInput;
        }
        self.parse_input(ring, client);
        end_if_done(ring, client);
    }
}

impl Client {
    fn new(connection: Connection, session: Session) -> Self {
        Self {
            connection,
            session,
            parse: ParseState::default(),
            input: Vec::new(),
            outstanding: 0,
            block: Block::None,
            counts_as_subscriber: false,
            executing: None,
            over_soft_since_ms: None,
            tracks: false,
            owes_drop: false,
            ending: Ending::No,
        }
    }

    /// Whether the next command in its input may be looked at.
    fn is_parsed(&self) -> bool {
        self.block == Block::None && self.ending != Ending::Now
    }

    fn authentication(&self) -> Authentication {
        match self.session.authenticated {
            true => Authentication::Done,
            false => Authentication::Required,
        }
    }
}
