//! What INFO and its like tell, gathered role by role and formatted by the net role of the client.

use super::session::proc::{self, CpuSeconds};
use crate::engine::keyspace::{DATABASE_COUNT, KeyspaceStats};
use crate::engine::timing::Histograms;
use crate::engine::{CommandStats, Engine};
use crate::net::peer::{LinkCounters, PeerReport};
use crate::raft::types::{Boot, ClusterId, Index, MemberId, Millis, Term};
use crate::raft::{LogId, Status};

/// What the raft role knows. Default: no cluster.
#[derive(Clone, Debug, Default)]
pub struct RaftReport {
    pub cluster: ClusterId,
    pub member: MemberId,
    pub status: Option<Status>,
    pub links: Vec<PeerReport>,
    pub counters: LinkCounters,
    pub snapshots: SnapshotReport,
    /// What the search for the listed nodes waits for.
    pub waiting: Option<String>,
    /// While the quorum is lost.
    pub lost_quorum: Option<LostQuorum>,
}

/// What a survivor knows when its quorum is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostQuorum {
    pub last: LogId,
    pub slots: Vec<LostSlot>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostSlot {
    pub slot: String,
    /// The voter of the slot.
    pub known: Option<(MemberId, Boot)>,
    /// The process of the slot that asks to be admitted.
    pub asking: Option<Boot>,
    /// Whether the voter was heard of lately.
    pub is_heard: bool,
}

/// Snapshots since the start of the node.
#[derive(Clone, Copy, Debug, Default)]
pub struct SnapshotReport {
    /// Made for others, and received from them.
    pub created: u64,
    pub received: u64,
    /// Whether one is being made, sent or received.
    pub is_in_progress: bool,
    /// The end of the newest one made or received.
    pub last_index: Index,
    pub last_term: Term,
}

/// What the apply role knows.
#[derive(Clone, Debug, Default)]
pub struct EngineReport {
    pub applied_index: Index,
    /// The databases that hold keys.
    pub databases: Vec<DatabaseReport>,
    pub keyspace: KeyspaceStats,
    /// What keys and values count: equal on all nodes.
    pub memory: usize,
    /// Keys that are gone and whose memory is yet to be given back.
    pub condemned: usize,
    /// Sessions of all nodes that watch keys, and how many keys they watch in all.
    pub watching_clients: usize,
    pub watched_keys: usize,
    /// How many keys clients of all nodes wait for.
    pub blocking_keys: usize,
    /// Of clients of this node: channels, patterns, shard channels.
    pub pubsub_channels: usize,
    pub pubsub_patterns: usize,
    pub pubsub_shard_channels: usize,
    /// Keys at which clients of this node are remembered, how often in all, and their prefixes.
    pub tracked_keys: usize,
    pub tracked_items: usize,
    pub tracked_prefixes: usize,
    pub scripts: ScriptReport,
    pub total_commands: u64,
    pub total_errors: u64,
    /// By slot of the command table.
    pub commands: Vec<CommandStats>,
    pub histograms: Histograms,
    /// How often each error code was replied.
    pub errors: Vec<(String, u64)>,
    /// CPU time of the thread that runs the engine.
    pub thread_cpu: CpuSeconds,
}

/// What there is to tell of scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptReport {
    /// What the state of Lua holds that is kept.
    pub vm_bytes: usize,
    /// What the cache of scripts counts.
    pub bytes: usize,
    pub cached: usize,
    /// What the libraries of functions count, how many they are, and their functions.
    pub library_bytes: usize,
    pub libraries: usize,
    pub functions: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseReport {
    pub number: u8,
    pub keys: usize,
    /// Those among them that have a deadline.
    pub volatile: usize,
    /// What is left to those, on average, in milliseconds.
    pub mean_ttl_ms: Millis,
    /// Hashes with fields that have a deadline.
    pub expiring_hashes: usize,
}

impl EngineReport {
    pub fn of(engine: &Engine, applied_index: Index) -> Self {
        let keyspace = &engine.keyspace;
        let database = |number| DatabaseReport {
            number,
            keys: keyspace.len(number),
            volatile: keyspace.volatile_len(number),
            mean_ttl_ms: keyspace.mean_ttl_ms(number),
            expiring_hashes: keyspace.expiring_hash_len(number),
        };
        let stats = engine.stats();
        Self {
            applied_index,
            databases: (0..DATABASE_COUNT)
                .map(database)
                .filter(|database| database.keys > 0)
                .collect(),
            keyspace: keyspace.stats(),
            memory: keyspace.memory(),
            condemned: keyspace.condemned_len(),
            watching_clients: keyspace.watching().len(),
            watched_keys: keyspace.watching().values().map(|watching| watching.keys.len()).sum(),
            blocking_keys: engine.waiting().key_count(),
            pubsub_channels: engine.subscribers.channel_count(),
            pubsub_patterns: engine.subscribers.pattern_count(),
            pubsub_shard_channels: engine.subscribers.shard_count(),
            tracked_keys: engine.tracking.key_count(),
            tracked_items: engine.tracking.item_count(),
            tracked_prefixes: engine.tracking.prefix_count(),
            scripts: ScriptReport {
                vm_bytes: engine.runtime.bytes(),
                bytes: engine.scripts.bytes(),
                cached: engine.scripts.len(),
                library_bytes: engine.scripts.libraries.bytes(),
                libraries: engine.scripts.libraries.len(),
                functions: engine.scripts.libraries.function_count(),
            },
            total_commands: stats.total_commands,
            total_errors: stats.total_errors,
            commands: stats.commands.clone(),
            histograms: stats.histograms.clone(),
            errors: stats.errors.iter().map(|(code, count)| (code.clone(), *count)).collect(),
            // Its own thread: that of the role that asks.
            thread_cpu: proc::thread_cpu_seconds(),
        }
    }
}
