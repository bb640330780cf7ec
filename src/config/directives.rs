//! The table of directives: the single source for the command line, the configuration file,
//! CONFIG GET and CONFIG SET.
//!
//! Architecture invariant: a directive stands here only if the node honours it, or if its value is
//! a plain truth about this server that tools ask for ([`Kind::Constant`]), or if it says how Redis
//! keeps house, and no client can tell but by asking ([`super::housekeeping`]).

use std::sync::LazyLock;

use super::housekeeping::HOUSEKEEPING;
use super::value::Kind;
use crate::engine::settings::{Setting, SettingId};
use crate::node::placement::NET_CORES_MAX;

/// One setting of a node.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    pub name: &'static str,
    /// A second name under which it can be set and read.
    pub alias: Option<&'static str>,
    pub default: &'static str,
    pub kind: Kind,
    pub change: Change,
    pub section: Section,
    pub doc: &'static str,
}

/// When a directive can take another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    AtStart,
    AtRunTime,
    /// At run time, on all nodes at once, through the log.
    ByCluster,
}

/// Where `--help` lists a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Cluster,
    Network,
    Limits,
    Dataset,
    Cores,
    Consensus,
    Log,
    /// Not listed: nothing but the default can be said, or whatever is said changes nothing.
    Fixed,
}

/// Whether CONFIG SET of this name is a change of all nodes.
pub fn is_of_cluster(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| SettingId::find(name).is_some())
}

impl Section {
    pub fn heading(self) -> &'static str {
        match self {
            Section::Cluster => "Cluster",
            Section::Network => "Network",
            Section::Limits => "Limits",
            Section::Dataset => "Keys and values, alike on all nodes",
            Section::Cores => "CPU cores and machine",
            Section::Consensus => "Consensus",
            Section::Log => "Log",
            Section::Fixed => "Fixed",
        }
    }
}

/// Finds a directive by name or alias, in any case.
pub fn find(name: &str) -> Option<usize> {
    DIRECTIVES.iter().position(|directive| {
        directive.names().any(|candidate| candidate.eq_ignore_ascii_case(name))
    })
}

impl Directive {
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.alias)
    }

    const fn at_start(
        section: Section,
        name: &'static str,
        default: &'static str,
        kind: Kind,
        doc: &'static str,
    ) -> Self {
        Self { name, alias: None, default, kind, change: Change::AtStart, section, doc }
    }

    const fn at_run_time(
        section: Section,
        name: &'static str,
        default: &'static str,
        kind: Kind,
        doc: &'static str,
    ) -> Self {
        Self { name, alias: None, default, kind, change: Change::AtRunTime, section, doc }
    }

    /// One that changes nothing which a client can see.
    pub(super) const fn unseen(
        name: &'static str,
        default: &'static str,
        kind: Kind,
        doc: &'static str,
    ) -> Self {
        Self::at_run_time(Section::Fixed, name, default, kind, doc)
    }

    pub(super) const fn constant(name: &'static str, value: &'static str) -> Self {
        Self {
            name,
            alias: None,
            default: value,
            kind: Kind::Constant(value),
            change: Change::AtRunTime,
            section: Section::Fixed,
            doc: "has this one value here",
        }
    }

    pub(super) const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }
}

const INT_MAX: i64 = i32::MAX as i64;
const MB: i64 = 1 << 20;

pub(super) const fn number(min: i64, max: i64) -> Kind {
    Kind::Number { min, max }
}

pub(super) const fn bytes(min: i64) -> Kind {
    Kind::Bytes { min, max: i64::MAX }
}

const fn milliseconds(min: i64) -> Kind {
    Kind::Milliseconds { min, max: INT_MAX }
}

/// The levels of the log, from the most to the least talkative.
pub const LOG_LEVELS: &[&str] = &["debug", "verbose", "notice", "warning"];

/// What the findings about the machine's settings lead to.
pub const SYSTEM_CHECKS: &[&str] = &["warn", "enforce", "off"];

/// Who may use DEBUG.
pub const DEBUG_COMMAND: &[&str] = &["no", "local", "yes"];

/// What happens when no listed node has a cluster.
pub const ON_TOTAL_LOSS: &[&str] = &["unanimous", "manual"];

/// What new users may do with channels.
pub const PUBSUB_DEFAULTS: &[&str] = &["allchannels", "resetchannels"];

pub const LAYOUTS: &[&str] = &["auto", "folded", "split"];

use Directive as D;
use Section::{Cluster, Consensus, Cores, Dataset, Limits, Log, Network};

/// All directives, those that the cluster has as one behind those of the node.
pub static DIRECTIVES: LazyLock<Vec<Directive>> = LazyLock::new(|| {
    let of_cluster = SettingId::ALL.iter().map(of_cluster);
    OWN.iter().chain(HOUSEKEEPING).copied().chain(of_cluster).collect()
});

fn of_cluster(id: &SettingId) -> Directive {
    let Setting { name, default, doc, .. } = *id.setting();
    Directive {
        name,
        alias: id.alias(),
        default,
        kind: Kind::OfCluster(*id),
        change: Change::ByCluster,
        section: Dataset,
        doc,
    }
}

static OWN: &[Directive] = &[
    D::at_start(
        Cluster,
        "init",
        "no",
        Kind::Flag,
        "Create a new cluster with this node as its first member",
    ),
    D::at_start(
        Cluster,
        "join",
        "",
        Kind::Peers,
        "Join the cluster of any of these nodes (their client ports); retried until admitted",
    ),
    D::at_start(
        Cluster,
        "observer",
        "no",
        Kind::Flag,
        "Join as an observer: serve clients like every other node, but never vote and never count",
    ),
    D::at_start(
        Cluster,
        "peers",
        "",
        Kind::Peers,
        "All nodes of the cluster (their client ports), this one too: joins the cluster of the \
         others or, when all of them answer that they have none, founds it with them",
    ),
    D::at_start(
        Cluster,
        "cluster-config-file",
        "",
        Kind::Text,
        "The same list as a file: 'name host:port' a line, all of them cluster ports (10000 above \
         the client ports) or all client ports; its names are the slot names",
    ),
    D::at_start(
        Cluster,
        "on-total-loss",
        "unanimous",
        Kind::OneOf(ON_TOTAL_LOSS),
        "What listed nodes do when all of them have lost their data or start for the first time: \
         found a new, empty cluster, or wait for RAFT.CLUSTER INIT",
    ),
    D::at_start(
        Cluster,
        "name",
        "",
        Kind::Text,
        "Slot name: whose place this node takes in the cluster, the same after a restart \
         [default: the announced client address]",
    ),
    D::at_start(
        Cluster,
        "announce-address",
        "",
        Kind::Announce,
        "Where clients and peers reach this node [default: the first bind address and the port]",
    )
    .alias("raft.addr"),
    D::at_start(Network, "port", "5001", number(1, 65535), "Client port"),
    D::at_start(
        Network,
        "cluster-port",
        "0",
        number(0, 65535),
        "Peer port; 0 is the client port plus 10000",
    ),
    D::at_start(
        Network,
        "sentinel-port",
        "0",
        number(0, 65535),
        "Port where clients of Sentinel ask who leads; 0 is none",
    ),
    D::at_start(
        Network,
        "sentinel-master-name",
        "mymaster",
        Kind::Text,
        "Name under which they ask for it",
    ),
    D::at_start(
        Network,
        "bind",
        "127.0.0.1",
        Kind::Addresses,
        "IP addresses to listen on, separated by commas; * is every IPv4 address, a leading - \
         marks one that may be absent",
    ),
    D::at_start(
        Network,
        "tcp-backlog",
        "511",
        number(1, INT_MAX),
        "Connections that may wait to be accepted",
    ),
    D::at_run_time(
        Network,
        "tcp-keepalive",
        "300",
        number(0, INT_MAX),
        "Seconds after which a silent client is probed; 0 is never",
    ),
    D::at_run_time(
        Network,
        "timeout",
        "0",
        number(0, INT_MAX),
        "Seconds after which an idle client is closed; 0 is never",
    ),
    D::at_run_time(
        Network,
        "requirepass",
        "",
        Kind::Text,
        "Password of the default user, which clients must give by AUTH; empty is none; CONFIG SET \
         changes it for the whole cluster",
    ),
    D::at_start(
        Network,
        "aclfile",
        "",
        Kind::Text,
        "File with a user a line, which the first node of a cluster brings along; it is read at \
         the start and by ACL LOAD, and never written",
    ),
    D::at_run_time(
        Network,
        "acl-pubsub-default",
        "resetchannels",
        Kind::OneOf(PUBSUB_DEFAULTS),
        "What new users may do with channels; CONFIG SET changes it for the whole cluster",
    ),
    D::at_run_time(
        Network,
        "acllog-max-len",
        "128",
        number(0, INT_MAX),
        "Entries that ACL LOG keeps of what this node has denied",
    ),
    D::at_run_time(
        Cluster,
        "masteruser",
        "",
        Kind::Text,
        "User as whom this node asks the others to admit it; empty is the default user",
    ),
    D::at_run_time(
        Cluster,
        "masterauth",
        "",
        Kind::Text,
        "Password with which this node asks the others to admit it; empty is that of requirepass",
    ),
    D::at_start(
        Network,
        "enable-debug-command",
        "no",
        Kind::OneOf(DEBUG_COMMAND),
        "Who may use DEBUG: nobody, clients on this machine (local), or all (yes)",
    ),
    D::at_run_time(
        Limits,
        "maxclients",
        "10000",
        number(1, u32::MAX as i64),
        "Clients connected at the same time",
    ),
    D::at_run_time(
        Limits,
        "proto-max-bulk-len",
        "512mb",
        bytes(MB),
        "Longest single argument of a command",
    ),
    D::at_run_time(
        Limits,
        "tracking-table-max-keys",
        "1000000",
        number(0, i64::MAX),
        "Keys at which the clients are remembered that track what they read; 0 is no limit",
    ),
    D::at_run_time(
        Limits,
        "client-query-buffer-limit",
        "1gb",
        bytes(MB),
        "Unread request bytes a client may pile up before it is closed",
    ),
    D::at_run_time(
        Limits,
        "client-output-buffer-limit",
        "normal 64mb 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60",
        Kind::OutputLimit,
        "Unsent bytes at which a client is closed: one hard limit, or '<class> <hard> <soft> <soft \
         seconds>' for the classes normal, replica, of which there are none, and pubsub, who \
         subscribe; 0 is no limit",
    ),
    D::at_run_time(
        Limits,
        "uncommitted-bytes-max",
        "64mb",
        bytes(MB),
        "Bytes of accepted and not yet acknowledged writes of a net role at which its clients are \
         no longer read from",
    ),
    D::at_run_time(
        Limits,
        "no-leader-timeout",
        "5s",
        milliseconds(1),
        "How long requests wait for a leader before they get CLUSTERDOWN",
    ),
    D::at_start(
        Cores,
        "layout",
        "auto",
        Kind::OneOf(LAYOUTS),
        "folded: all roles on one core; split: each role on its own, unpinned where the CPUs are \
         too few; auto: split from three CPUs on",
    ),
    D::at_start(
        Cores,
        "cores",
        "0",
        number(0, NET_CORES_MAX as i64 + 2),
        "Cores to use at most, pinned; 0 is as many as useful",
    ),
    D::at_start(
        Cores,
        "raft-core",
        "",
        Kind::Cpus { count_max: 1 },
        "CPU of the raft role; a CPU named for several roles runs them all",
    ),
    D::at_start(Cores, "apply-core", "", Kind::Cpus { count_max: 1 }, "CPU of the apply role"),
    D::at_start(
        Cores,
        "net-cores",
        "",
        Kind::Cpus { count_max: NET_CORES_MAX },
        "CPUs of the net roles, such as 0,2-4",
    ),
    D::at_start(
        Cores,
        "system-check",
        "warn",
        Kind::OneOf(SYSTEM_CHECKS),
        "Settings of the machine that are not as tuning/settings.conf wants them are logged; with \
         enforce the node does not start",
    ),
    D::at_run_time(
        Consensus,
        "raft.election-timeout",
        "400",
        milliseconds(2),
        "A follower that hears no leader for this long, up to twice, stands for election",
    ),
    D::at_run_time(
        Consensus,
        "raft.request-timeout",
        "50",
        milliseconds(1),
        "Time between two heartbeats of a leader",
    ),
    D::at_run_time(
        Consensus,
        "raft.quorum-reads",
        "yes",
        Kind::YesNo,
        "no: answer reads from local data at once, which may be stale",
    )
    .alias("quorum-reads"),
    D::at_run_time(
        Consensus,
        "raft.log-max-cache-size",
        "256mb",
        bytes(MB),
        "Bytes of log kept in memory before it is compacted",
    ),
    D::at_run_time(
        Consensus,
        "raft.log-max-entries",
        "0",
        number(0, INT_MAX),
        "Entries of the log kept in memory before it is compacted; 0 is as many as its bytes allow",
    ),
    D::at_run_time(
        Consensus,
        "raft.append-req-max-count",
        "64",
        number(1, INT_MAX),
        "AppendEntries in flight to one peer",
    ),
    D::at_run_time(
        Consensus,
        "raft.append-req-max-size",
        "2mb",
        Kind::Bytes { min: 1024, max: INT_MAX },
        "Bytes of entries in one AppendEntries",
    ),
    D::at_run_time(
        Consensus,
        "raft.reconnect-interval",
        "100",
        milliseconds(1),
        "Time before a lost peer is called again",
    ),
    D::at_run_time(Log, "loglevel", "notice", Kind::OneOf(LOG_LEVELS), "Least level to log")
        .alias("raft.loglevel"),
    D::at_start(Log, "logfile", "", Kind::Text, "File to log to; empty is stderr"),
    D::at_run_time(
        Log,
        "slowlog-log-slower-than",
        "10000",
        number(-1, i64::MAX),
        "Microseconds of execution from which on a command goes into SLOWLOG; -1 is never",
    )
    .alias("commandlog-execution-slower-than"),
    D::at_run_time(Log, "slowlog-max-len", "128", number(0, i64::MAX), "Entries of SLOWLOG")
        .alias("commandlog-slow-execution-max-len"),
    D::at_run_time(
        Log,
        "commandlog-request-larger-than",
        "1048576",
        number(-1, i64::MAX),
        "Bytes over which a request goes into COMMANDLOG; -1 is never",
    ),
    D::at_run_time(
        Log,
        "commandlog-large-request-max-len",
        "128",
        number(0, i64::MAX),
        "Large requests that COMMANDLOG keeps",
    ),
    D::at_run_time(
        Log,
        "commandlog-reply-larger-than",
        "1048576",
        number(-1, i64::MAX),
        "Bytes over which a reply goes into COMMANDLOG; -1 is never",
    ),
    D::at_run_time(
        Log,
        "commandlog-large-reply-max-len",
        "128",
        number(0, i64::MAX),
        "Large replies that COMMANDLOG keeps",
    ),
    D::at_run_time(
        Log,
        "latency-monitor-threshold",
        "0",
        number(0, i64::MAX),
        "Milliseconds from which on LATENCY remembers what took so long; 0 is never",
    ),
    D::at_run_time(
        Log,
        "latency-tracking",
        "yes",
        Kind::YesNo,
        "Keep distributions of how long commands run, for INFO latencystats and LATENCY HISTOGRAM",
    ),
    D::at_run_time(
        Log,
        "latency-tracking-info-percentiles",
        "50 99 99.9",
        Kind::Percentiles,
        "Which percentiles INFO latencystats tells",
    ),
    // The number of databases takes part in what an entry means, so it must be the same everywhere.
    D::constant("databases", "16"),
    // Ids are log positions that the cluster gives; 0 is Redis's word for "automatic".
    D::constant("raft.id", "0"),
    // A survivor cannot know what it lacks, so only an operator takes it further.
    D::constant("on-quorum-loss", "halt"),
    // Every node serves everything.
    D::constant("raft.follower-proxy", "yes").alias("follower-proxy"),
    D::constant("save", ""),
    D::constant("appendonly", "no"),
    D::constant("cluster-enabled", "no"),
    D::constant("daemonize", "no"),
    D::constant("protected-mode", "no"),
    D::constant("tls-port", "0"),
    D::constant("unixsocket", ""),
    D::constant("replicaof", "").alias("slaveof"),
    D::constant("activedefrag", "no"),
];
