//! The command set: what is known of each command, and the code that runs it.
//!
//! Each family module ends in its table of [`CommandSpec`]s; [`table`] joins them. The table is the
//! single source for dispatch, argument counts, key positions, COMMAND and COMMAND DOCS.

mod access;
mod acl;
mod administration;
mod arguments;
mod bitmap;
mod cluster;
mod collection;
mod connection;
mod container;
mod debug;
mod describe;
mod diagnostics;
mod dump;
mod field_expiry;
mod function;
mod geo;
mod hash;
mod hyperloglog;
mod import;
mod key;
mod key_specs;
mod lcs;
mod list;
mod lolwut;
mod memory;
pub mod migrate;
mod object;
mod options;
mod pubsub;
mod raft;
mod script;
mod server;
mod set;
mod sort;
mod sorted_set;
mod stream;
mod string;
mod superseded;
pub mod table;
mod transaction;
mod waiting;

use bitflags::bitflags;

use std::sync::Arc;

use super::acl::{Acl, User};
use super::batch::Caller;
use super::error::CommandError;
use super::import::Import;
use super::keyspace::{Keyspace, SessionId};
use super::notifications::EventClasses;
use super::pubsub::Subscribers;
use super::random::Random;
use super::reply::Reply;
use super::script::{Runtime, Scripts};
use super::settings::Settings;
use super::stats::EngineStats;
use super::tracking::Tracking;
use super::waiting::Waiting;
use super::witness::Witness;
use crate::raft::types::{MemberId, Millis};

pub use access::{KeyAccess, key_accesses};
pub use arguments::{Argument, arguments_of};
pub use container::{help, unknown_options};
pub use describe::{categories, keys_of};
pub use key_specs::{Begin, Find, key_specs};
pub use superseded::{is_of_system, superseded};
pub use table::{
    brief, command_count, fingerprint, lookup, resolve, spec, stat_count, stat_name, stat_slot,
};
pub(in crate::engine) use waiting::{awaited_type, reads_for_group};

/// Position of a command in the table. Equal on all nodes of one version, which the handshake of
/// peers makes sure of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u16);

bitflags! {
    /// Redis's command flags (<https://redis.io/docs/latest/commands/command/>).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        const WRITE = 1;
        const READONLY = 1 << 1;
        const DENYOOM = 1 << 2;
        const ADMIN = 1 << 3;
        const PUBSUB = 1 << 4;
        const NOSCRIPT = 1 << 5;
        const BLOCKING = 1 << 6;
        const LOADING = 1 << 7;
        const STALE = 1 << 8;
        const FAST = 1 << 9;
        const NO_AUTH = 1 << 10;
        const MAY_REPLICATE = 1 << 11;
        const NO_MANDATORY_KEYS = 1 << 12;
        const NO_MULTI = 1 << 13;
        const ALLOW_BUSY = 1 << 14;
        const MOVABLE_KEYS = 1 << 15;
        const TOUCHES_ARBITRARY_KEYS = 1 << 16;
        const SKIP_MONITOR = 1 << 17;
        const SKIP_SLOWLOG = 1 << 18;
        const NO_ASYNC_LOADING = 1 << 28;
        /// Only where the configuration allows it. COMMAND does not tell.
        const PROTECTED = 1 << 29;
        /// Not Redis's: it goes through the log although it changes no key.
        const LOGGED = 1 << 19;
    }
}

/// Where the keys of a command are, counted from 1 after its name; `last` is negative when counted
/// from the end. All zero: no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    pub first: i16,
    pub last: i16,
    pub step: i16,
}

impl Keys {
    pub const NONE: Self = Self { first: 0, last: 0, step: 0 };
    pub const FIRST: Self = Self { first: 1, last: 1, step: 1 };
    pub const ALL: Self = Self { first: 1, last: -1, step: 1 };
}

/// Runs a command against the keyspace: writes its reply, or returns the error to reply with.
/// `arguments` lacks the command's name; their number has been checked against the arity.
pub type EngineHandler = fn(&mut Context<'_>, &[&[u8]]) -> Result<(), CommandError>;

/// Who runs a command.
#[derive(Clone, Copy)]
pub enum Handler {
    /// The engine: through the log if the flags say WRITE, else against the state at a read index.
    Engine(EngineHandler),
    /// The node that holds the client, from what it knows of the connection and of itself.
    Node(NodeCommand),
    /// Both: the node keeps what is queued and set, and sends through the log what all nodes must
    /// know of the session.
    Session(SessionCommand),
}

/// Commands on the session of a client that leave something behind in the replicated state; the
/// names are the commands'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionCommand {
    Discard,
    Exec,
    Multi,
    Reset,
    Unwatch,
    Watch,
}

/// Commands that never enter the engine; the names are the commands'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeCommand {
    Acl,
    Asking,
    Auth,
    Client,
    Cluster,
    Command,
    Commandlog,
    Config,
    Debug,
    Echo,
    Failover,
    Hello,
    Info,
    Lastsave,
    Latency,
    Memory,
    Migrate,
    Module,
    Monitor,
    Ping,
    Psubscribe,
    Pubsub,
    Punsubscribe,
    Quit,
    RaftCluster,
    RaftConfig,
    RaftDebug,
    RaftInfo,
    RaftNode,
    RaftNodeshutdown,
    RaftTimeoutNow,
    RaftTransferLeader,
    RaftWaitReady,
    Readonly,
    Readwrite,
    Replicaof,
    Role,
    Select,
    Shutdown,
    Slowlog,
    Ssubscribe,
    Subscribe,
    Sunsubscribe,
    Time,
    Unsubscribe,
    /// Redis has it, and it has no meaning here.
    Unsupported,
    Wait,
    Waitaof,
}

/// What is known of a command.
pub struct CommandSpec {
    /// Lower case; of a subcommand the part after `|`.
    pub name: &'static str,
    /// Number of words with the name; negative: at least so many.
    pub arity: i16,
    pub flags: Flags,
    pub keys: Keys,
    pub handler: Handler,
    pub docs: Docs,
    pub subcommands: &'static [CommandSpec],
}

/// What COMMAND DOCS tells.
pub struct Docs {
    pub group: &'static str,
    pub since: &'static str,
    pub summary: &'static str,
    pub complexity: &'static str,
}

impl Flags {
    /// All of `flags`, for tables.
    pub const fn of(flags: &[Self]) -> Self {
        let mut all = Self::empty();
        let mut position = 0;
        while position < flags.len() {
            all = all.union(flags[position]);
            position += 1;
        }
        all
    }
}

impl Docs {
    pub const fn new(
        group: &'static str,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { group, since, summary, complexity }
    }
}

impl CommandSpec {
    /// A command that the engine runs.
    pub const fn engine(
        name: &'static str,
        arity: i16,
        flags: Flags,
        keys: Keys,
        run: EngineHandler,
        docs: Docs,
    ) -> Self {
        Self { name, arity, flags, keys, handler: Handler::Engine(run), docs, subcommands: &[] }
    }

    /// A command without keys that the node runs.
    pub const fn node(
        name: &'static str,
        arity: i16,
        flags: Flags,
        command: NodeCommand,
        docs: Docs,
    ) -> Self {
        let handler = Handler::Node(command);
        Self { name, arity, flags, keys: Keys::NONE, handler, docs, subcommands: &[] }
    }

    /// The subcommand of this name, in letters of any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static CommandSpec> {
        self.subcommands.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Whether it runs what its client has written, which can call any other command.
    #[inline]
    pub fn runs_script(&self) -> bool {
        self.flags.contains(Flags::NO_MANDATORY_KEYS)
    }

    /// The subcommands that clients are told of. DEBUG has none for them, as in Redis: they are
    /// arguments of it to rules of ACL and to INFO.
    pub fn shown_subcommands(&self) -> &'static [CommandSpec] {
        if self.name == "debug" { &[] } else { self.subcommands }
    }

    pub fn is_write(&self) -> bool {
        self.flags.contains(Flags::WRITE)
    }

    /// Whether a command line that begins with this command, and goes on with `next`, may change
    /// anything: of a container that depends on the subcommand.
    pub fn writes(&self, next: Option<&&[u8]>) -> bool {
        let is_logged = |spec: &Self| spec.flags.intersects(Flags::WRITE.union(Flags::LOGGED));
        let subcommand = || next.and_then(|name| self.subcommand(name));
        is_logged(self) || subcommand().is_some_and(is_logged)
    }

    /// Whether such a command line reads keys and changes none.
    pub fn only_reads(&self, next: Option<&&[u8]>) -> bool {
        let spec = next.and_then(|name| self.subcommand(name)).unwrap_or(self);
        spec.flags.contains(Flags::READONLY)
    }

    /// Whether the engine runs such a command line. Some containers of the node have subcommands
    /// that are the engine's.
    pub fn is_of_engine(&self, next: Option<&&[u8]>) -> bool {
        let is_engine = |spec: &Self| matches!(spec.handler, Handler::Engine(_));
        let subcommand = || next.and_then(|name| self.subcommand(name));
        is_engine(self) || subcommand().is_some_and(is_engine)
    }

    /// Whether the client of such a command line may have to wait for its reply.
    pub fn may_block(&self, words: &[&[u8]]) -> bool {
        let is_engine = matches!(self.handler, Handler::Engine(_));
        // A key or a group may have that name, too: then the reply comes at once.
        let says_block = || words.iter().skip(1).any(|word| word.eq_ignore_ascii_case(b"BLOCK"));
        let is_stream = || self.docs.group == "stream";
        is_engine && self.flags.contains(Flags::BLOCKING) && (!is_stream() || says_block())
    }

    /// Whether `argc` words, the name among them, are as many as the command takes.
    pub fn accepts(&self, argc: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { argc >= wanted } else { argc == wanted }
    }
}

/// What a handler may touch.
pub struct Context<'a> {
    /// All databases. Its clock, which decides expiry, is that of the entry being applied; for
    /// reads, that of the last entry applied.
    pub keyspace: &'a mut Keyspace,
    /// The database that the client has selected.
    pub database: u8,
    pub reply: &'a mut Reply,
    /// Seeded by the entry: the same picks on every node.
    pub random: &'a mut Random,
    /// The one string of RAFT.WRITE and RAFT.READ, outside of all databases.
    pub register: &'a mut Vec<u8>,
    /// The leader's clock for this command, since the Unix epoch; at least the keyspace's clock.
    pub now_ms: Millis,
    /// The session that the command is of, if it may leave something behind for it.
    pub session: Option<SessionId>,
    /// What is known of the client of that session.
    pub(in crate::engine) caller: Option<Caller>,
    pub(in crate::engine) command: CommandId,
    /// Whom each command of a script is checked for, if it is to be.
    pub(in crate::engine) user: Option<Arc<User>>,
    /// The command has waited, and may go on to.
    pub(in crate::engine) is_retry: bool,
    /// The command has nothing to reply with, and its client waits.
    pub(in crate::engine) waits: bool,
    pub(in crate::engine) waiting: &'a mut Waiting,
    /// The users of the cluster.
    pub(in crate::engine) acl: &'a mut Arc<Acl>,
    /// The clients of this node that subscribe: not replicated.
    pub(in crate::engine) subscribers: &'a mut Subscribers,
    /// The clients of this node that track what they read: not replicated.
    pub(in crate::engine) tracking: &'a mut Tracking,
    /// What is to be told of scripts: not replicated.
    pub(in crate::engine) witness: &'a mut Witness,
    pub(in crate::engine) stats: &'a mut EngineStats,
    /// The scripts that are known.
    pub(in crate::engine) scripts: &'a mut Scripts,
    /// The states of Lua of this node: not replicated.
    pub(in crate::engine) runtime: &'a mut Runtime,
    /// The member whose clients the commands of the batch are of.
    pub(in crate::engine) origin: MemberId,
    /// What all nodes have alike. Who changes it sets `settings_changed`.
    pub settings: &'a mut Settings,
    pub(in crate::engine) settings_changed: &'a mut bool,
    /// Whom the cluster follows. Who changes it calls `follow_import`.
    pub(in crate::engine) import: &'a mut Import,
    pub(in crate::engine) import_changed: &'a mut bool,
}

impl Context<'_> {
    /// [`Keyspace::notify`] of a key of the client's database.
    #[inline]
    pub fn notify(&self, class: EventClasses, event: &'static str, key: &[u8]) {
        self.keyspace.notify(class, event, self.database, key);
    }
}
