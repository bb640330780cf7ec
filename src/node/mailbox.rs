//! What the roles of a node say to each other: batches through flume channels, one message per pass
//! and destination, never one per command.
//!
//! A mailbox is bounded in effect by what may be outstanding: a net role stops parsing when the
//! batches it waits for reach `--uncommitted-bytes-max`, and each batch causes a fixed number of
//! messages. Sending therefore never blocks and never fails while the node lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::acl::Acl;
use crate::engine::batch::Batch;
use crate::engine::keyspace::Victim;
use crate::engine::pubsub::{Change, Published, Question, Subscriber};
use crate::engine::reply::{Protocol, Reply};
use crate::engine::timing::Notable;
use crate::engine::tracking::{self, Invalidation};
use crate::engine::waiting::WaitEnd;
use crate::engine::witness::ScriptDenial;
use crate::limits::REPLIES_KEPT_BYTES;
use crate::net::ring::{Connection, Doorbell};
use crate::raft::types::{Applicant, ClusterId, Index, MemberId, Millis, Payload, Stream, Ticket};
use crate::raft::{Committed, FreshNode, GivenUp, LogId, ReadReady};
use crate::snapshot::SnapshotError;

use super::import::Units;
use super::migrate::Sent;
use super::observe::monitor::Lines;
use super::report::{EngineReport, RaftReport};

/// A sender to one role. Rings the doorbell of the role's core when that is not the sender's own.
pub struct Mailbox<T> {
    sender: flume::Sender<T>,
    doorbell: Option<Doorbell>,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), doorbell: self.doorbell.clone() }
    }
}

impl<T> Mailbox<T> {
    pub fn new(sender: flume::Sender<T>, doorbell: Option<Doorbell>) -> Self {
        Self { sender, doorbell }
    }

    pub fn send(&self, message: T) {
        // The receiver is gone only while the node stops, and then nobody waits for the message.
        let _ = self.sender.send(message);
        if let Some(doorbell) = &self.doorbell {
            doorbell.ring();
        }
    }
}

/// A client of a net role, valid as long as the connection that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHandle {
    pub stream: Stream,
    pub connection: Connection,
}

/// To the raft role.
pub enum ToRaft {
    /// The writes of a pass, to be committed.
    Submit { stream: Stream, ticket: Ticket, payload: Payload },
    /// A pass of reads alone wants a read index.
    Read { stream: Stream, ticket: Ticket },
    /// An administrator's command; answered by [`ToNet::Answer`].
    Admin { client: ClientHandle, protocol: Protocol, command: AdminCommand },
    /// A client wants to know about the node; goes on to apply, which answers.
    Report(ReportRequest),
    /// How far apply is with the snapshot that it was told to make.
    SnapshotMaking { number: u64, news: MakingNews },
    /// Apply has read a chunk of a snapshot, or found it damaged.
    SnapshotRead { transfer: u64, result: Result<SnapshotProgress, SnapshotError> },
    /// The end of an attempt to join a cluster.
    Joined(Result<Admission, JoinError>),
    /// The other listed nodes were asked.
    Polled(Listed),
    /// The listed nodes found this cluster.
    Found { cluster: ClusterId, founders: Vec<FreshNode> },
    /// Leave in good order: hand leadership over, then stop.
    Stop,
}

/// What asking the other nodes of a list has brought so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The fresh ones among them, and this one.
    pub seen: Vec<FreshNode>,
    /// Whether one of them is in a cluster.
    pub sees_cluster: bool,
    /// What keeps this node from a cluster, for the operator.
    pub waiting: String,
}

/// What the raft role tells apply about a snapshot to be made; each has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MakingOrder {
    /// Begin one of the state as it is; whatever is being made is given up.
    Begin,
    /// So many bytes may be made in all.
    Grant { bytes: u64 },
    /// Nobody needs it any more.
    End,
}

/// What apply tells about it.
#[derive(Debug, PartialEq, Eq)]
pub enum MakingNews {
    /// It shows the state after this entry. Nothing is made before a grant.
    Begun { last_index: Index },
    /// The next chunks.
    Made {
        chunks: Vec<Payload>,
        /// What all chunks will have, about; what they have, when they are complete.
        estimated_bytes: usize,
        is_complete: bool,
    },
    /// Too much has changed since it was begun: nothing more comes.
    GivenUp,
}

/// How far apply is with reading a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotProgress {
    Reading,
    /// All of it is read, and its state stands ready.
    Complete {
        last_index: Index,
    },
}

/// What a cluster tells a node that it has admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    pub cluster: ClusterId,
    pub member: MemberId,
    /// The members at admission: id and peer address.
    pub peers: Vec<(MemberId, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error("failed to connect to cluster for join, please check logs")]
    Unreachable,
    #[error("{0}")]
    Refused(String),
}

/// Administration, as RedisRaft names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// RAFT.CLUSTER INIT `[id]`
    Init { cluster: Option<ClusterId> },
    /// RAFT.CLUSTER JOIN address...
    Join { addresses: Vec<String> },
    /// RAFT.CLUSTER STATE, as the nodes of a list ask each other.
    State,
    /// RAFT.CLUSTER FORCE-RECOVER cluster last-log-id ACCEPT-DATA-LOSS
    ForceRecover { cluster: ClusterId, last: LogId },
    /// RAFT.NODE ADD as a joining process sends it.
    Admit(Applicant),
    /// RAFT.NODE REMOVE id
    Remove { id: MemberId },
    /// RAFT.TRANSFER_LEADER `[id]`
    Transfer { target: Option<MemberId> },
    /// FAILOVER
    Failover { target: Option<FailoverTarget>, timeout_ms: Option<Millis> },
    /// FAILOVER ABORT
    AbortFailover,
    /// CLUSTER FAILOVER, with FORCE or TAKEOVER, or without
    TakeOver { force: bool },
    /// SENTINEL FAILOVER: another member is to lead, or this one if it does not
    HandOver,
    /// CLUSTER FORGET id, in lower case
    Forget { node: String },
    /// RAFT.DEBUG EXEC command
    Execute { database: u8, words: Vec<Vec<u8>> },
    /// RAFT.TIMEOUT_NOW
    TimeoutNow,
    /// RAFT.DEBUG COMPACT
    Compact,
    /// CONFIG RESETSTAT
    ResetStats,
    /// RAFT.WAIT_READY timeout
    WaitReady { timeout_ms: Millis },
    /// RAFT.DEBUG DIGEST
    Digest,
}

/// Whom FAILOVER is to make the leader: where clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverTarget {
    pub host: String,
    pub port: i64,
}

/// To the apply role.
pub enum ToApply {
    /// A pass of a net role, in the order of its tickets. Always arrives before the raft role's
    /// word on the ticket.
    Pending(Box<Pending>),
    /// What consensus has decided.
    Run(Box<Run>),
    /// A snapshot for others is to be made.
    MakeSnapshot { number: u64, order: MakingOrder },
    /// Another member's snapshot begins; what was read of another one is dropped.
    BeginSnapshot { transfer: u64 },
    /// Its next chunk.
    ReadSnapshot { transfer: u64, payload: Payload },
    /// Consensus goes on from the snapshot that was read: so does the engine.
    InstallSnapshot { transfer: u64 },
    /// Nothing comes of it.
    DropSnapshot,
    /// This node goes on alone by force: its cluster begins with the entry at `index`.
    Recovered { index: Index },
    /// These members are not heard of, and this node leads.
    Silent(Vec<MemberId>),
    /// What is counted of commands and keys begins anew.
    ResetStats,
    /// A client wants the digest of the state.
    Digest { client: ClientHandle, protocol: Protocol },
    /// A client asks for the result of a read on this node as it is.
    Execute { client: ClientHandle, protocol: Protocol, database: u8, words: Vec<Vec<u8>> },
    /// What clients of a net role subscribe to has changed.
    Subscriptions(Vec<Change>),
    /// A client begins to track what it reads, or does so no more.
    Tracking(tracking::Change),
    /// How many keys are remembered for those who track: 0 for no bound.
    TrackedKeysMax(usize),
    /// A client asks who subscribes.
    Pubsub { client: ClientHandle, protocol: Protocol, question: Question },
    /// A client wants to know about the node; with what the raft role knows.
    Report(ReportRequest, Box<RaftReport>),
}

/// A client that waits for a report on the node.
#[derive(Clone, Copy, Debug)]
pub struct ReportRequest {
    pub client: ClientHandle,
}

/// Everything that the clients of one net role asked in one pass and that must be answered in
/// order.
#[derive(Default)]
pub struct Pending {
    pub stream: Stream,
    pub ticket: Ticket,
    pub wants: Wants,
    /// Runs of replies to make, in order.
    pub steps: Vec<Step>,
    /// The reads, in the order of their steps.
    pub reads: Batch,
    /// Replies that the net role has already made, in the order of their steps.
    pub canned: Vec<u8>,
    /// The sessions that end with this pass, which are told of it in [`Source::Quiet`] steps.
    pub ended: Vec<Ended>,
    /// It has a choice of keys that are to go.
    pub evicts: bool,
    /// It has units of what is imported.
    pub imports: bool,
    /// Bytes that the batch counts against the bound of its net role.
    pub bytes: usize,
    /// Bytes of replies in this pass over which a client gets no more, since it would be closed
    /// for them anyway: the hard limit of its output. 0: no limit.
    pub reply_bytes_max: usize,
    /// When it was sent on its way, in nanoseconds, if its writes are to be timed; else 0.
    pub submitted: u64,
    /// Room for the replies, and for how they are shared out.
    pub replied: Vec<u8>,
    pub segments: Vec<Segment>,
}

impl Pending {
    /// A reply to be written into the room for that.
    pub fn reply_room(&mut self) -> Reply {
        Reply { buffer: std::mem::take(&mut self.replied), protocol: Protocol::default() }
    }

    /// Takes back the room of its replies, which were sent.
    pub fn keep_room(&mut self, mut bytes: Vec<u8>, mut segments: Vec<Segment>) {
        bytes.clear();
        segments.clear();
        self.segments = segments;
        if bytes.capacity() <= REPLIES_KEPT_BYTES {
            self.replied = bytes;
        }
    }

    /// Empties the vectors and keeps their room.
    pub fn recycle(&mut self) {
        self.steps.clear();
        self.reads.clear();
        self.canned.clear();
        self.ended.clear();
        self.evicts = false;
        self.imports = false;
    }
}

/// What a pass waits for before it may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wants {
    /// Its entry is committed.
    #[default]
    Commit,
    /// A read index is confirmed and applied.
    ReadIndex,
    /// Nothing but its turn.
    Turn,
}

/// `count` consecutive commands of one client.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub connection: Connection,
    pub protocol: Protocol,
    pub source: Source,
    /// Commands; of canned replies, bytes.
    pub count: u32,
    /// The client is to be told when what these commands read changes.
    pub tracks: bool,
}

/// Where the next commands of a pass are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the log entry.
    Entry,
    /// In the reads beside it.
    Reads,
    /// Nowhere: the reply is ready.
    Canned,
    /// In the log entry, and nobody gets a reply.
    Quiet,
}

/// A session that leaves nothing behind any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub session: u64,
    /// Whether it is told again if that is given up: where it did harm that it went on.
    pub insists: bool,
}

/// What consensus has decided in one pass.
#[derive(Default)]
pub struct Run {
    pub committed: Vec<Committed>,
    pub reads: Vec<ReadReady>,
    pub given_up: Vec<GivenUp>,
}

impl Run {
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.reads.is_empty() && self.given_up.is_empty()
    }
}

/// To a net role.
pub enum ToNet {
    Replies(Box<Replies>),
    /// What has become of clients that have waited.
    Served(Vec<(Connection, WaitEnd)>),
    /// Commands of its clients that were slow or had large replies.
    Notable(Vec<(Connection, Notable)>),
    /// Lines of MONITOR of what scripts of its clients have run; nothing: some are lost.
    ScriptLines(Vec<u8>),
    /// What scripts of its clients were denied.
    ScriptDenials(Vec<(Connection, ScriptDenial)>),
    /// Lines for its clients that monitor.
    Monitored(Lines),
    /// The users of the cluster, when they have changed.
    Users(Arc<Acl>),
    /// Messages for clients that subscribe.
    Published(Box<Queued<Published>>),
    /// What clients that track are to be told.
    Invalidations(Box<Queued<Invalidations>>),
    /// A client that tracks has named another one to be told in its place, which is gone.
    RedirectBroken(Connection),
    /// All nodes are to be told that the clients of these members wait no more.
    PassOver(Vec<MemberId>),
    /// These keys are to go, as this node chose when it had applied the entry `index`.
    Evict {
        index: Index,
        victims: Vec<Victim>,
    },
    /// What was read from the source that the cluster follows.
    Import(Box<Units>),
    /// This node leads, and the cluster has no settings yet that it knows of.
    OfferSettings,
    /// The reply to a command that another role carried out.
    Answer {
        connection: Connection,
        reply: Vec<u8>,
    },
    /// What a client needs to answer INFO and its like.
    Report {
        connection: Connection,
        raft: Box<RaftReport>,
        engine: Box<EngineReport>,
    },
    /// Who leads has changed: where clients reach the former leader, and the new one.
    LeaderMoved {
        former: String,
        leader: String,
    },
    /// The keys of MIGRATE were sent to another server.
    Migrated {
        connection: Connection,
        sent: Sent,
    },
    /// A connection accepted by another net role for this one.
    Accepted(socket2::Socket),
    /// Another net role asks for its clients' lines of CLIENT LIST, or to close some of them.
    Survey {
        from: Stream,
        id: u64,
        survey: Arc<Survey>,
    },
    /// The answer to a [`ToNet::Survey`].
    Surveyed {
        id: u64,
        lines: Vec<u8>,
        matched: usize,
        /// The client that was looked for.
        found: Option<Subscriber>,
    },
    Stop,
}

/// A question to all clients of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Survey {
    /// CLIENT LIST, of all or of these ids or of one class.
    List { ids: Vec<u64>, class: Option<ClientClass> },
    /// Where the client with this id is.
    Find { id: u64 },
    /// CLIENT KILL of whoever matches.
    Kill(KillFilter),
}

/// Which clients CLIENT KILL means; what is `None` matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KillFilter {
    pub id: Option<u64>,
    pub address: Option<String>,
    pub local_address: Option<String>,
    /// Seconds that the connection must at least be old.
    pub age_seconds_min: Option<u64>,
    pub class: Option<ClientClass>,
    pub user: Option<Vec<u8>>,
    /// A client that is spared.
    pub except: Option<u64>,
    pub reply: KillReply,
}

/// What Redis tells clients apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    Normal,
    /// It subscribes to something.
    Pubsub,
}

/// How CLIENT KILL is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KillReply {
    /// The number of clients that fit.
    #[default]
    Count,
    /// The old form, of one address: it is an error when there is none.
    OkOrError,
}

/// The replies to one [`Pending`], and its vectors to be used again.
pub struct Replies {
    /// Nothing of the pass was run, or so it seems.
    pub given_up: bool,
    pub bytes: Vec<u8>,
    pub segments: Vec<Segment>,
    pub pending: Pending,
}

/// The next `len` bytes of replies are for this client and answer `steps` of its steps.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub connection: Connection,
    pub steps: u32,
    pub len: usize,
    /// The replies went over [`Pending::reply_bytes_max`] and are not all here.
    pub cut: bool,
    /// The last command has no reply yet: the client waits, and its step is not among `steps`.
    pub waits: bool,
}

/// What clients that track are to be told, with who tracks.
pub type Invalidations = Vec<(Subscriber, Invalidation)>;

/// Messages or notices on their way from apply to a net role.
pub struct Queued<T> {
    pub content: T,
    bytes: usize,
    /// Bytes of all that are on the way to the same role.
    queued: Arc<AtomicUsize>,
}

impl<T> Queued<T> {
    pub fn new(content: T, bytes: usize, queued: &Arc<AtomicUsize>) -> Self {
        queued.fetch_add(bytes, Ordering::Relaxed);
        Self { content, bytes, queued: Arc::clone(queued) }
    }
}

impl<T> Drop for Queued<T> {
    fn drop(&mut self) {
        self.queued.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
