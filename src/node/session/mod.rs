//! One client's session, and the commands that the node itself answers: what they need is known
//! here, or another role is asked for it.
//!
//! Nothing here touches a socket, the log or the keyspace. A command is answered at once from the
//! session and the [`NodeView`], or becomes a [`Wait`] and is answered when what it waits for has
//! come. Invariant: a handler that fails has written nothing.

mod acl;
mod client;
mod cluster;
mod command;
mod config;
mod connection;
mod debug;
mod docs;
mod failover;
mod info;
mod latency;
mod memory;
mod migrate;
pub mod proc;
mod pubsub;
mod raft;
mod recovery;
mod replication;
mod sentinel;
mod slowlog;
mod statistics;
#[cfg(test)]
mod tests;
mod tracking;
mod transaction;
mod unsupported;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::engine::acl::{Acl, User};
use crate::engine::batch::Sender;
use crate::engine::command::{
    CommandId, CommandSpec, NodeCommand, help, lookup, resolve, spec, unknown_options,
};
use crate::engine::error::CommandError;
use crate::engine::pubsub::Question;
use crate::engine::reply::{Protocol, Reply};
use crate::raft::types::{Boot, Millis};

use super::mailbox::{AdminCommand, Survey};
use super::migrate::Migration;
use super::report::{EngineReport, RaftReport};
use super::settings::SharedSettings;
use super::shared::Shared;

pub use acl::{check, check_again, deny_script};
pub use client::{Buffers, class_of, describe, finish_survey};
pub use cluster::host_and_port;
pub use connection::{end_monitor, reset};
pub use debug::refusal as refusal_of_debug;
pub use pubsub::{Subscriptions, is_subscription, refusal as refusal_of_listener};
pub use sentinel::{Lookup, SWITCH_CHANNEL, Served, run as run_sentinel, switch_message};
pub use tracking::{Redirecting, Tracking, finish_redirect};
pub use transaction::{Aside, AsideWork, Transaction, is_never_queued, may_write};

/// The Redis whose replies and errors are given, for clients that look at the version.
pub const REDIS_VERSION: &str = "7.2.4";

/// The longest part of a word that an error repeats.
const SHOWN_BYTES_MAX: usize = 128;

/// By which port a client came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The client port.
    Data,
    /// That of Sentinel's lookups.
    Discovery,
}

/// What a client has set up on its connection.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: u64,
    pub face: Face,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub database: u8,
    pub protocol: Protocol,
    pub authenticated: bool,
    /// Who it is; the default user until it is authenticated.
    pub user: Arc<User>,
    /// Its commands have to be checked: its user may not do everything.
    pub is_restricted: bool,
    pub name: Vec<u8>,
    pub library_name: Vec<u8>,
    pub library_version: Vec<u8>,
    /// What CLIENT NO-EVICT asked for. No client is evicted, so it is only shown.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH: what it looks at does not count as used.
    pub no_touch: bool,
    pub connected_at_ms: Millis,
    pub active_at_ms: Millis,
    /// The command that ran last, for CLIENT LIST.
    pub last_command: Option<CommandId>,
    /// The subcommand that ran last, and of which container: it counts only while `last_command` is
    /// that container.
    last_subcommand: Option<(NodeCommand, &'static str)>,
    pub commands: u64,
    /// What it has queued since MULTI.
    pub transaction: Option<Box<Transaction>>,
    /// It has asked to watch keys, since EXEC or what else ends that.
    pub watches: bool,
    /// The cluster may know something of it, and must be told when it ends.
    pub is_known: bool,
    /// Its last command has nothing to reply with yet.
    pub is_blocked: bool,
    pub subscriptions: Subscriptions,
    /// It is sent what the clients of the node do.
    pub monitors: bool,
    pub replies: ReplyMode,
    /// It understands that it is told to go elsewhere (CLIENT CAPA redirect). No node tells so:
    /// each serves everything.
    pub redirects: bool,
    /// What it has asked for by CLIENT TRACKING.
    pub tracking: Option<Box<Tracking>>,
    /// The apply role is to be told of a change of that.
    tracking_changed: bool,
}

/// What CLIENT REPLY has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    #[default]
    On,
    Off,
    /// The next command is not replied to.
    SkipNext,
    /// The last one is not.
    Skipping,
}

impl ReplyMode {
    pub fn are_dropped(self) -> bool {
        matches!(self, Self::Off | Self::Skipping)
    }
}

/// What becomes of a command after [`run`].
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its reply is written.
    Replied,
    /// Its reply is written, and is the last of the connection.
    ReplyAndClose,
    /// Another role must do something first.
    Wait(Wait),
    /// The engine runs this command in its place, through the log, and replies.
    ThroughLog(Vec<Vec<u8>>),
    /// The node stops in good order, and the client sees it end.
    Shutdown,
}

/// What a suspended client waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The raft role carries the command out and makes the reply.
    Admin(AdminCommand),
    /// Reports of raft and apply, from which [`finish_report`] makes the reply.
    Report(ReportUse),
    /// All net roles look at their clients; [`finish_survey`] makes the reply.
    Survey(Survey),
    /// All net roles look for a client; [`finish_redirect`] makes the reply.
    Redirect(Redirecting),
    /// Keys are read, sent to another server, and removed.
    Migrate(Box<Migration>),
    /// The apply role, which knows all subscribers of the node, makes the reply.
    Pubsub(Question),
    /// The end of the node: the end of the connection is the reply.
    Stop,
}

/// Which command asked for a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportUse {
    /// Names of sections in lower case.
    Info {
        sections: Vec<String>,
    },
    /// LATENCY HISTOGRAM, of these commands or of all.
    LatencyHistogram {
        names: Vec<String>,
    },
    RaftInfo,
    Role,
    ClusterInfo,
    ClusterLinks,
    ClusterNodes,
    /// CLUSTER REPLICAS of the leader with this id.
    ClusterReplicas {
        of: String,
    },
    ClusterShardId,
    ClusterShards,
    ClusterSlots,
    /// WAIT
    InSync,
    MemoryDoctor,
    MemoryStats,
    /// SENTINEL and INFO of the discovery port
    Sentinel(Lookup),
}

/// What the commands may look at beyond their session.
pub struct NodeView<'a> {
    pub shared: &'a Shared,
    pub settings: &'a SharedSettings,
    /// Those that commands are checked with now.
    pub users: &'a Acl,
    /// Milliseconds of the monotonic clock.
    pub now_ms: Millis,
    pub unix_ms: Millis,
}

type Arguments<'a, 'b> = &'a [&'b [u8]];

impl Session {
    pub fn new(
        id: u64,
        peer: SocketAddr,
        local: SocketAddr,
        default_user: &Arc<User>,
        now_ms: Millis,
    ) -> Self {
        Self {
            id,
            face: Face::Data,
            peer,
            local,
            database: 0,
            protocol: Protocol::Resp2,
            authenticated: default_user.admits_anyone(),
            user: Arc::clone(default_user),
            is_restricted: !default_user.is_unrestricted(),
            name: Vec::new(),
            library_name: Vec::new(),
            library_version: Vec::new(),
            no_evict: false,
            no_touch: false,
            connected_at_ms: now_ms,
            active_at_ms: now_ms,
            last_command: None,
            last_subcommand: None,
            commands: 0,
            transaction: None,
            watches: false,
            is_known: false,
            is_blocked: false,
            subscriptions: Subscriptions::default(),
            monitors: false,
            replies: ReplyMode::On,
            redirects: false,
            tracking: None,
            tracking_changed: false,
        }
    }
}

impl Session {
    /// From now on the client is this user.
    pub fn become_user(&mut self, user: &Arc<User>) {
        self.is_restricted = !user.is_unrestricted();
        self.user = Arc::clone(user);
    }

    /// What of the client decides how such a command of it is run.
    #[inline]
    pub fn sender(&self, spec: &CommandSpec) -> Sender<'_> {
        let is_checked = self.is_restricted && spec.runs_script();
        Sender { hides_usage: self.no_touch, user: is_checked.then_some(&*self.user.name) }
    }
}

/// Runs a command that the node answers itself.
///
/// Precondition: `words[0]` is the name of `command` in the table, which accepts their number.
pub fn run(
    command: NodeCommand,
    words: Arguments<'_, '_>,
    session: &mut Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Outcome {
    let outcome = try_run(command, words, session, view, reply);
    outcome.unwrap_or_else(|error| {
        reply.error(&error);
        Outcome::Replied
    })
}

fn try_run(
    command: NodeCommand,
    words: Arguments<'_, '_>,
    session: &mut Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let arguments = &words[1..];
    match command {
        NodeCommand::Acl => return acl::run(words, session, view, reply),
        // No slot is ever on its way, so that nothing depends on it.
        NodeCommand::Asking => reply.ok(),
        NodeCommand::Auth => connection::auth(words, session, view, reply)?,
        NodeCommand::Client => return client::run(words, session, view, reply),
        NodeCommand::Cluster => return cluster::run(words, session, view, reply),
        NodeCommand::Command => command::run(words, session, reply)?,
        NodeCommand::Commandlog => return slowlog::commandlog(words, session, view, reply),
        NodeCommand::Config => return config::run(words, session, view, reply),
        NodeCommand::Debug => return debug::run(words, session, reply),
        NodeCommand::Echo => reply.bulk(arguments[0]),
        NodeCommand::Failover => return failover::fail_over(arguments),
        NodeCommand::Hello => connection::hello(words, session, view, reply)?,
        NodeCommand::Info => return Ok(report(info::ask(arguments))),
        NodeCommand::Latency => return latency::run(words, session, view, reply),
        NodeCommand::Lastsave => unsupported::last_save(view, reply),
        NodeCommand::Memory => return memory::run(words, session, reply),
        NodeCommand::Migrate => return migrate::migrate(arguments),
        NodeCommand::Monitor => connection::monitor(session, view, reply),
        NodeCommand::Module => unsupported::module(words, session, reply)?,
        NodeCommand::Ping => connection::ping(arguments, session, reply)?,
        NodeCommand::Pubsub => return pubsub::run(words, session, reply),
        NodeCommand::Quit => {
            reply.ok();
            return Ok(Outcome::ReplyAndClose);
        }
        NodeCommand::RaftCluster => return raft::cluster(arguments),
        NodeCommand::RaftConfig => raft::config(arguments, view, reply)?,
        NodeCommand::RaftDebug => return raft::debug(arguments, session),
        NodeCommand::RaftInfo => return Ok(report(ReportUse::RaftInfo)),
        NodeCommand::RaftNode => return raft::node(arguments),
        NodeCommand::RaftNodeshutdown => return raft::node_shutdown(arguments[0], view),
        NodeCommand::RaftTimeoutNow => return Ok(admin(AdminCommand::TimeoutNow)),
        NodeCommand::RaftTransferLeader => return raft::transfer_leader(arguments),
        NodeCommand::RaftWaitReady => return raft::wait_ready(arguments[0]),
        // Every node serves reads and writes, so there is nothing to switch.
        NodeCommand::Readonly | NodeCommand::Readwrite => reply.ok(),
        NodeCommand::Replicaof => return replication::replica_of(arguments, view),
        NodeCommand::Role => return Ok(report(ReportUse::Role)),
        NodeCommand::Select => connection::select(arguments, session, reply)?,
        NodeCommand::Shutdown => return connection::shutdown(arguments, view),
        NodeCommand::Slowlog => return slowlog::slowlog(words, session, view, reply),
        NodeCommand::Psubscribe
        | NodeCommand::Punsubscribe
        | NodeCommand::Ssubscribe
        | NodeCommand::Subscribe
        | NodeCommand::Sunsubscribe
        | NodeCommand::Unsubscribe => pubsub::change(command, arguments, session, reply),
        NodeCommand::Unsupported => return Err(unsupported::refusal(words)),
        NodeCommand::Time => connection::time(view, reply),
        NodeCommand::Wait => return cluster::wait(arguments),
        NodeCommand::Waitaof => cluster::wait_for_files(arguments, reply)?,
    }
    Ok(Outcome::Replied)
}

/// Whether a command may start only when all earlier ones of its client are answered: it waits for
/// another role, and its reply could otherwise overtake theirs.
pub fn needs_order(command: NodeCommand, words: Arguments<'_, '_>) -> bool {
    let is_one_of = |names: &[&str]| {
        let name = words.get(1).copied().unwrap_or_default();
        names.iter().any(|candidate| name.eq_ignore_ascii_case(candidate.as_bytes()))
    };
    match command {
        NodeCommand::Failover
        | NodeCommand::Info
        | NodeCommand::Migrate
        | NodeCommand::RaftCluster
        | NodeCommand::RaftDebug
        | NodeCommand::RaftInfo
        | NodeCommand::RaftNode
        | NodeCommand::RaftNodeshutdown
        | NodeCommand::RaftTimeoutNow
        | NodeCommand::RaftTransferLeader
        | NodeCommand::RaftWaitReady
        | NodeCommand::Role
        | NodeCommand::Shutdown
        | NodeCommand::Wait => true,
        // And no message may come before the confirmation.
        NodeCommand::Pubsub => true,
        _ if is_subscription(command) => true,
        NodeCommand::Client => is_one_of(&["info", "kill", "list", "reply", "tracking"]),
        // A change may be on its way through the log.
        NodeCommand::Config => is_one_of(&["get", "resetstat", "rewrite", "set"]),
        NodeCommand::Cluster => is_one_of(&[
            "failover",
            "forget",
            "info",
            "links",
            "myshardid",
            "nodes",
            "replicas",
            "shards",
            "slaves",
            "slots",
        ]),
        NodeCommand::Memory => is_one_of(&["doctor", "stats"]),
        NodeCommand::Latency => is_one_of(&["histogram"]),
        // What was executed before must be in it.
        NodeCommand::Commandlog | NodeCommand::Slowlog => true,
        // Nothing that was sent before is shown behind the confirmation.
        NodeCommand::Monitor => true,
        _ => false,
    }
}

/// The error for a name that is in no table. Redis's: as much of the arguments is shown as fits.
pub fn unknown_command(words: Arguments<'_, '_>) -> String {
    let mut shown = String::new();
    for word in &words[1..] {
        if shown.len() >= SHOWN_BYTES_MAX {
            break;
        }
        let room = SHOWN_BYTES_MAX - shown.len();
        shown.push('\'');
        shown.push_str(&excerpt(word, room));
        shown.push_str("' ");
    }
    let name = excerpt(words[0], SHOWN_BYTES_MAX);
    format!("ERR unknown command '{name}', with args beginning with: {shown}")
}

/// Makes the reply of a command that waited for a report.
pub fn finish_report(
    wait: &Wait,
    raft: &RaftReport,
    engine: &EngineReport,
    session: &Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) {
    reply.protocol = session.protocol;
    let Wait::Report(purpose) = wait else {
        unreachable!("invariant: only who asked for a report gets one")
    };
    match purpose {
        ReportUse::Info { sections } => {
            reply.verbatim(&info::text(sections, raft, engine, view));
        }
        ReportUse::LatencyHistogram { names } => latency::histogram(names, engine, view, reply),
        ReportUse::RaftInfo => reply.verbatim(&raft::info(raft, engine, view)),
        ReportUse::Role => cluster::role(raft, reply),
        ReportUse::ClusterInfo => cluster::info(raft, reply),
        ReportUse::ClusterLinks => cluster::links(raft, view, reply),
        ReportUse::ClusterNodes => cluster::nodes(raft, view, reply),
        ReportUse::ClusterReplicas { of } => cluster::replicas_of(of, raft, view, reply),
        ReportUse::ClusterShardId => cluster::shard_id(raft, reply),
        ReportUse::ClusterShards => cluster::shards(raft, view, reply),
        ReportUse::ClusterSlots => cluster::slots(raft, view, reply),
        ReportUse::InSync => reply.count(cluster::in_sync(raft)),
        ReportUse::MemoryDoctor => memory::doctor(raft, view, reply),
        ReportUse::MemoryStats => memory::stats(raft, engine, reply),
        ReportUse::Sentinel(lookup) => sentinel::finish(lookup, raft, view, reply),
    }
}

fn report(purpose: ReportUse) -> Outcome {
    Outcome::Wait(Wait::Report(purpose))
}

fn admin(command: AdminCommand) -> Outcome {
    Outcome::Wait(Wait::Admin(command))
}

/// The subcommand that `words` name, and its arguments, whose number the table accepts.
fn subcommand<'a, 'b>(
    container: NodeCommand,
    words: Arguments<'a, 'b>,
    session: &mut Session,
) -> Result<(&'static str, Arguments<'a, 'b>), CommandError> {
    let id = lookup(words[0]).expect("invariant: the command was found by this name");
    let (spec, arguments) = resolve(spec(id), &words[1..])?;
    session.last_subcommand = Some((container, spec.name));
    Ok((spec.name, arguments))
}

/// The answer of a container to a subcommand with more arguments than it takes.
fn unknown_subcommand(words: Arguments<'_, '_>) -> CommandError {
    let name = excerpt(words.get(1).copied().unwrap_or_default(), SHOWN_BYTES_MAX);
    let container = String::from_utf8_lossy(words[0]).to_uppercase();
    unknown_options(&container, &name)
}

fn failure(text: String) -> CommandError {
    CommandError::Text(Cow::Owned(text))
}

/// What an error repeats of a word: at most `len_max` bytes, and nothing behind a NUL.
fn excerpt(word: &[u8], len_max: usize) -> Cow<'_, str> {
    let end = word.iter().position(|byte| *byte == 0).unwrap_or(word.len());
    String::from_utf8_lossy(&word[..end.min(len_max)])
}

fn is_word(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// One life of a node as the 40 hexadecimal digits that Redis's tools expect: the boot id, with its
/// first digits once more.
pub fn run_id(boot: Boot) -> String {
    let digits = format!("{boot:032x}");
    format!("{digits}{}", &digits[..8])
}
