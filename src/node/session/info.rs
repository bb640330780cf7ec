//! INFO: the sections that Redis has and this node can fill, in Redis's order, and `# Raft` with
//! RedisRaft's names, in its order, before ours.
//!
//! Fields that nothing here corresponds to are left out: those of jemalloc (`allocator_*`), the
//! compiler, read and write calls, the traffic of replication, partial resynchronisation, and times
//! over `maxmemory`. What Redis forks or saves for is told as never done, since tools ask for it.

use std::sync::atomic::Ordering::Relaxed;

use super::cluster::{host_and_port, replicas};
use super::{
    Arguments, NodeView, REDIS_VERSION, ReportUse, proc, recovery, replication, run_id, statistics,
};
use crate::limits::TICK_MS;
use crate::node::observe::counts::Counted;
use crate::node::ready;
use crate::node::report::{DatabaseReport, EngineReport, RaftReport};
use crate::node::shared::NodeState;
use crate::raft::types::{Member, MemberId, Millis};
use crate::raft::{PeerStatus, ProgressState, RoleKind, Status};

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub type Fields = Vec<(String, String)>;

/// What a section is made from.
struct Sources<'a> {
    raft: &'a RaftReport,
    engine: &'a EngineReport,
    view: &'a NodeView<'a>,
    counted: Counted,
}

struct Section {
    name: &'static str,
    title: &'static str,
    /// Whether it comes without being asked for by name, or by `all` only.
    shown: Shown,
    fields: fn(&Sources<'_>) -> Fields,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    ByDefault,
    WithAll,
}

/// Redis's clock of uses wraps around at so many bits of seconds.
const LRU_CLOCK_BITS: u32 = 24;

const fn section(
    name: &'static str,
    title: &'static str,
    fields: fn(&Sources<'_>) -> Fields,
) -> Section {
    Section { name, title, shown: Shown::ByDefault, fields }
}

static SECTIONS: &[Section] = &[
    section("server", "Server", server),
    section("clients", "Clients", clients),
    section("memory", "Memory", memory),
    section("persistence", "Persistence", persistence),
    section("stats", "Stats", stats),
    section("replication", "Replication", replication),
    section("cpu", "CPU", cpu),
    section("modules", "Modules", |_| Fields::new()),
    Section {
        name: "commandstats",
        title: "Commandstats",
        shown: Shown::WithAll,
        fields: command_stats,
    },
    section("errorstats", "Errorstats", error_stats),
    Section {
        name: "latencystats",
        title: "Latencystats",
        shown: Shown::WithAll,
        fields: latency_stats,
    },
    section("cluster", "Cluster", |_| fields([("cluster_enabled", "0")])),
    section("keyspace", "Keyspace", keyspace),
    section("raft", "Raft", raft),
];

pub fn ask(arguments: Arguments<'_, '_>) -> ReportUse {
    let lower = |argument: &&[u8]| String::from_utf8_lossy(argument).to_lowercase();
    ReportUse::Info { sections: arguments.iter().map(lower).collect() }
}

pub fn text(
    sections: &[String],
    raft: &RaftReport,
    engine: &EngineReport,
    view: &NodeView<'_>,
) -> String {
    let asks_for = |name: &str| sections.iter().any(|section| section == name);
    let default = sections.is_empty() || asks_for("default");
    let all = asks_for("all") || asks_for("everything");
    let counted = statistics::counted(engine, view);
    let sources = Sources { raft, engine, view, counted };
    let mut text = String::new();
    for section in SECTIONS {
        let by_default = default && section.shown == Shown::ByDefault;
        if !(by_default || all || asks_for(section.name)) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str(&format!("# {}\r\n", section.title));
        for (name, value) in (section.fields)(&sources) {
            text.push_str(&format!("{name}:{value}\r\n"));
        }
    }
    text
}

fn fields<const N: usize, V: ToString>(fields: [(&str, V); N]) -> Fields {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect()
}

fn server(sources: &Sources<'_>) -> Fields {
    let NodeView { shared, settings, unix_ms, .. } = sources.view;
    let uptime = shared.started.elapsed().as_secs();
    let executable = std::env::current_exe().map(|path| path.display().to_string());
    fields([
        ("redis_version", REDIS_VERSION.to_owned()),
        // In the form that Redis has without a repository.
        ("redis_git_sha1", "00000000".to_owned()),
        ("redis_git_dirty", "0".to_owned()),
        ("server_name", "mayfly".to_owned()),
        ("mayfly_version", VERSION.to_owned()),
        ("redis_mode", "standalone".to_owned()),
        ("os", proc::operating_system()),
        ("arch_bits", usize::BITS.to_string()),
        ("monotonic_clock", "POSIX clock_gettime".to_owned()),
        ("multiplexing_api", "io_uring".to_owned()),
        ("process_id", std::process::id().to_string()),
        ("process_supervised", "no".to_owned()),
        ("run_id", run_id(shared.boot)),
        ("tcp_port", shared.port.to_string()),
        ("server_time_usec", (unix_ms * 1000).to_string()),
        ("uptime_in_seconds", uptime.to_string()),
        ("uptime_in_days", (uptime / 86_400).to_string()),
        // Looks at what is due, per second.
        ("hz", (1000 / TICK_MS).to_string()),
        ("configured_hz", settings.get("hz")),
        ("lru_clock", (unix_ms / 1000 % (1 << LRU_CLOCK_BITS)).to_string()),
        ("executable", executable.unwrap_or_default()),
        ("config_file", settings.file()),
        // The threads of the layout do the work of Redis's threads for sockets.
        ("io_threads_active", "0".to_owned()),
        ("slot_name", shared.slot.clone()),
        ("layout", shared.layout.clone()),
        ("system_check_failed", shared.findings.len().to_string()),
        ("system_check_findings", shared.findings.join(",")),
    ])
}

fn clients(sources: &Sources<'_>) -> Fields {
    let NodeView { shared, settings, .. } = sources.view;
    let engine = sources.engine;
    fields([
        ("connected_clients", shared.clients.connected.load(Relaxed).to_string()),
        ("maxclients", settings.get("maxclients")),
        ("client_recent_max_input_buffer", sources.counted.buffers.input_max.to_string()),
        ("client_recent_max_output_buffer", sources.counted.buffers.output_max.to_string()),
        ("blocked_clients", shared.clients.blocked.load(Relaxed).to_string()),
        ("tracking_clients", shared.clients.tracking.load(Relaxed).to_string()),
        ("pubsub_clients", shared.clients.subscribed.load(Relaxed).to_string()),
        // These of the whole cluster.
        ("watching_clients", engine.watching_clients.to_string()),
        ("total_watched_keys", engine.watched_keys.to_string()),
        ("total_blocking_keys", engine.blocking_keys.to_string()),
    ])
}

/// What is used is the kernel's figure, for the whole process: what the allocator holds in reserve
/// counts, as it does for whoever sizes the machine. `mem_logical`, which maxmemory bounds, is what
/// keys and values count, alike on all nodes.
fn memory(sources: &Sources<'_>) -> Fields {
    let settings = sources.view.settings;
    let memory = proc::memory();
    let bytes_max: u64 = settings.get("maxmemory").parse().unwrap_or(0);
    let scripts = &sources.engine.scripts;
    let dataset = sources.engine.memory as u64;
    let log_bytes = sources.raft.status.as_ref().map_or(0, |status| status.log_bytes);
    let all_scripts = (scripts.bytes + scripts.library_bytes) as u64;
    fields([
        ("used_memory", memory.resident.to_string()),
        ("used_memory_human", human(memory.resident)),
        ("used_memory_rss", memory.resident.to_string()),
        ("used_memory_rss_human", human(memory.resident)),
        ("used_memory_peak", memory.resident_peak.to_string()),
        ("used_memory_peak_human", human(memory.resident_peak)),
        ("used_memory_peak_perc", percent(memory.resident, memory.resident_peak)),
        ("mem_clients_normal", sources.counted.buffers.total.to_string()),
        ("mem_clients_slaves", "0".to_owned()),
        ("used_memory_overhead", memory.resident.saturating_sub(dataset).to_string()),
        ("used_memory_dataset", dataset.to_string()),
        ("used_memory_dataset_perc", percent(dataset, memory.resident)),
        ("mem_logical", sources.engine.memory.to_string()),
        ("total_system_memory", memory.system.to_string()),
        ("total_system_memory_human", human(memory.system)),
        ("used_memory_lua", scripts.vm_bytes.to_string()),
        ("used_memory_lua_human", human(scripts.vm_bytes as u64)),
        ("used_memory_vm_eval", scripts.vm_bytes.to_string()),
        ("used_memory_scripts_eval", scripts.bytes.to_string()),
        ("number_of_cached_scripts", scripts.cached.to_string()),
        // Functions run in the same state as scripts.
        ("used_memory_vm_functions", "0".to_owned()),
        ("used_memory_vm_total", scripts.vm_bytes.to_string()),
        ("used_memory_vm_total_human", human(scripts.vm_bytes as u64)),
        ("used_memory_functions", scripts.library_bytes.to_string()),
        ("number_of_libraries", scripts.libraries.to_string()),
        ("number_of_functions", scripts.functions.to_string()),
        ("used_memory_scripts", all_scripts.to_string()),
        ("used_memory_scripts_human", human(all_scripts)),
        ("maxmemory", bytes_max.to_string()),
        ("maxmemory_human", human(bytes_max)),
        ("maxmemory_policy", settings.get("maxmemory-policy")),
        // What is resident is what counts as used.
        ("mem_fragmentation_ratio", "1.00".to_owned()),
        ("mem_fragmentation_bytes", "0".to_owned()),
        // maxmemory bounds what keys and values count, and nothing else.
        ("mem_not_counted_for_evict", "0".to_owned()),
        // The log of consensus, which others go on from.
        ("mem_replication_backlog", log_bytes.to_string()),
        ("mem_total_replication_buffers", log_bytes.to_string()),
        ("mem_aof_buffer", "0".to_owned()),
        ("mem_allocator", "mimalloc".to_owned()),
        ("active_defrag_running", "0".to_owned()),
        ("lazyfree_pending_objects", sources.engine.condemned.to_string()),
    ])
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64)
}

fn human(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{:.2}{unit}", bytes as f64 / *size as f64),
        None => format!("{bytes}B"),
    }
}

/// There is no disk: nothing is ever saved, and what is loaded comes from the other nodes. Clients
/// wait for `loading:0`.
fn persistence(sources: &Sources<'_>) -> Fields {
    let last_save = (sources.view.shared.started_unix_ms / 1000).to_string();
    let is_joining = sources.view.shared.state() == NodeState::Joining;
    fields([
        ("loading", if is_joining { "1" } else { "0" }),
        ("async_loading", "0"),
        ("current_cow_peak", "0"),
        ("current_cow_size", "0"),
        ("current_cow_size_age", "0"),
        ("current_fork_perc", "0.00"),
        ("current_save_keys_processed", "0"),
        ("current_save_keys_total", "0"),
        ("rdb_changes_since_last_save", "0"),
        ("rdb_bgsave_in_progress", "0"),
        ("rdb_last_save_time", &last_save),
        ("rdb_last_bgsave_status", "ok"),
        ("rdb_last_bgsave_time_sec", "-1"),
        ("rdb_current_bgsave_time_sec", "-1"),
        ("rdb_saves", "0"),
        ("rdb_last_cow_size", "0"),
        ("rdb_last_load_keys_expired", "0"),
        ("rdb_last_load_keys_loaded", "0"),
        ("aof_enabled", "0"),
        ("aof_rewrite_in_progress", "0"),
        ("aof_rewrite_scheduled", "0"),
        ("aof_last_rewrite_time_sec", "-1"),
        ("aof_current_rewrite_time_sec", "-1"),
        ("aof_last_bgrewrite_status", "ok"),
        ("aof_last_write_status", "ok"),
        ("aof_last_cow_size", "0"),
        ("aof_rewrites", "0"),
        ("aof_rewrites_consecutive_failures", "0"),
        ("module_fork_in_progress", "0"),
        ("module_fork_last_cow_size", "0"),
    ])
}

fn stats(sources: &Sources<'_>) -> Fields {
    let shared = sources.view.shared;
    let (clients, denied) = (&shared.clients, &shared.users.denied);
    let engine = sources.engine;
    let rates = shared.observed.rates().per_second();
    let mut all = fields([
        ("total_connections_received", clients.accepted.load(Relaxed).to_string()),
        ("total_commands_processed", clients.commands.load(Relaxed).to_string()),
        ("instantaneous_ops_per_sec", rates.commands.to_string()),
        ("total_net_input_bytes", clients.input_bytes.load(Relaxed).to_string()),
        ("total_net_output_bytes", clients.output_bytes.load(Relaxed).to_string()),
        ("instantaneous_input_kbps", format!("{:.2}", rates.input_kib)),
        ("instantaneous_output_kbps", format!("{:.2}", rates.output_kib)),
    ]);
    all.extend(fields([
        ("rejected_connections", clients.rejected.load(Relaxed)),
        // Snapshots made for others: there is no other way to begin to follow.
        ("sync_full", sources.raft.snapshots.created),
        ("expired_subkeys", engine.keyspace.expired_fields),
        ("expired_keys", engine.keyspace.expired),
        ("evicted_keys", engine.keyspace.evicted),
        ("evicted_clients", 0),
        ("keyspace_hits", engine.keyspace.hits),
        ("keyspace_misses", engine.keyspace.misses),
        // Of the clients of this node.
        ("pubsub_channels", engine.pubsub_channels as u64),
        ("pubsub_patterns", engine.pubsub_patterns as u64),
        ("pubsubshard_channels", engine.pubsub_shard_channels as u64),
        ("acl_access_denied_auth", denied.auth.load(Relaxed)),
        ("acl_access_denied_cmd", denied.command.load(Relaxed)),
        ("acl_access_denied_key", denied.key.load(Relaxed)),
        ("acl_access_denied_channel", denied.channel.load(Relaxed)),
        // No process is ever forked.
        ("latest_fork_usec", 0),
        ("total_forks", 0),
        // No connection of MIGRATE is kept, no replica expires keys, and nothing is moved.
        ("migrate_cached_sockets", 0),
        ("slave_expires_tracked_keys", 0),
        ("active_defrag_hits", 0),
        ("active_defrag_misses", 0),
        ("active_defrag_key_hits", 0),
        ("active_defrag_key_misses", 0),
        ("total_active_defrag_time", 0),
        ("current_active_defrag_time", 0),
        ("unexpected_error_replies", 0),
        ("tracking_total_keys", engine.tracked_keys as u64),
        ("tracking_total_items", engine.tracked_items as u64),
        ("tracking_total_prefixes", engine.tracked_prefixes as u64),
        ("io_threaded_reads_processed", 0),
        ("io_threaded_writes_processed", 0),
        ("total_error_replies", sources.counted.total_errors),
        ("client_query_buffer_limit_disconnections", clients.query_limit_closed.load(Relaxed)),
        ("client_output_buffer_limit_disconnections", clients.output_limit_closed.load(Relaxed)),
        // Those of other nodes' clients among them, since every node applies every entry.
        ("total_commands_applied", engine.total_commands),
    ]));
    all
}

/// Every node is a master: it takes writes, whoever leads, and tools look here for a node that
/// does. Its replicas are those that it leads.
fn replication(sources: &Sources<'_>) -> Fields {
    let raft = sources.raft;
    let replicas = replicas(raft);
    let status = raft.status.as_ref();
    let commit_index = status.map_or(0, |status| status.commit_index.0);
    let failover = match status.and_then(|status| status.transfer_target) {
        Some(_) => "waiting-for-sync",
        None => "no-failover",
    };
    let mut all =
        fields([("role", "master".to_owned()), ("connected_slaves", replicas.len().to_string())]);
    for (number, replica) in replicas.iter().enumerate() {
        let link = raft.links.iter().find(|link| link.id == replica.id);
        let online = link.is_some_and(|link| link.state == "connected");
        let state = if online { "online" } else { "wait_bgsave" };
        let heard_ms = peer_of(raft, replica.id).and_then(|peer| peer.last_heard_ms);
        let lag = heard_ms.map_or(-1, |ms| seconds_since(ms, sources.view.now_ms));
        let (ip, port, offset) = (replica.host, replica.port, replica.match_index);
        let value = format!("ip={ip},port={port},state={state},offset={offset},lag={lag}");
        all.push((format!("slave{number}"), value));
    }
    all.extend(replication::fields(sources.view));
    all.extend(fields([
        ("master_failover_state", failover.to_owned()),
        ("master_replid", run_id(raft.cluster)),
        ("master_repl_offset", commit_index.to_string()),
        ("master_replid2", "0".repeat(40)),
        ("second_repl_offset", "-1".to_owned()),
        // The log of consensus, in bytes.
        ("repl_backlog_active", "1".to_owned()),
        ("repl_backlog_size", sources.view.settings.get("raft.log-max-cache-size")),
        ("repl_backlog_histlen", status.map_or(0, |status| status.log_bytes).to_string()),
    ]));
    all
}

fn peer_of(raft: &RaftReport, id: MemberId) -> Option<&PeerStatus> {
    raft.status.as_ref()?.peers.iter().find(|peer| peer.id == id)
}

fn seconds_since(then_ms: Millis, now_ms: Millis) -> i64 {
    (now_ms.saturating_sub(then_ms) / 1000) as i64
}

fn cpu(sources: &Sources<'_>) -> Fields {
    let (cpu, thread) = (proc::cpu_seconds(), sources.engine.thread_cpu);
    let seconds = [
        ("used_cpu_sys", cpu.system),
        ("used_cpu_user", cpu.user),
        ("used_cpu_sys_children", cpu.children_system),
        ("used_cpu_user_children", cpu.children_user),
        // The thread that runs the commands, as Redis's main thread does.
        ("used_cpu_sys_main_thread", thread.system),
        ("used_cpu_user_main_thread", thread.user),
    ];
    fields(seconds.map(|(name, seconds)| (name, format!("{seconds:.6}"))))
}

fn command_stats(sources: &Sources<'_>) -> Fields {
    statistics::commands(&sources.counted)
}

fn error_stats(sources: &Sources<'_>) -> Fields {
    statistics::errors(&sources.counted)
}

fn latency_stats(sources: &Sources<'_>) -> Fields {
    statistics::latencies(&sources.counted, sources.view)
}

fn keyspace(sources: &Sources<'_>) -> Fields {
    let line = |database: &DatabaseReport| {
        let DatabaseReport { number, keys, volatile, mean_ttl_ms, expiring_hashes } = database;
        let value = format!(
            "keys={keys},expires={volatile},avg_ttl={mean_ttl_ms},subexpiry={expiring_hashes}"
        );
        (format!("db{number}"), value)
    };
    sources.engine.databases.iter().map(line).collect()
}

fn raft(sources: &Sources<'_>) -> Fields {
    let fields = RaftFields::of(sources.raft, sources.engine, sources.view);
    let version = ("version".to_owned(), VERSION.to_owned());
    std::iter::once(version)
        .chain(fields.general)
        .chain(fields.log)
        .chain(fields.snapshot)
        .chain(fields.links)
        .map(|(name, value)| (format!("raft_{name}"), value))
        .collect()
}

/// What INFO raft and RAFT.INFO tell, without the prefix of the former.
pub struct RaftFields {
    pub general: Fields,
    pub log: Fields,
    pub snapshot: Fields,
    pub links: Fields,
}

impl RaftFields {
    pub fn of(raft: &RaftReport, engine: &EngineReport, view: &NodeView<'_>) -> Self {
        Self {
            general: general(raft, engine, view),
            log: log(raft, engine),
            snapshot: snapshot(raft),
            links: links(raft),
        }
    }
}

fn general(raft: &RaftReport, engine: &EngineReport, view: &NodeView<'_>) -> Fields {
    let status = raft.status.as_ref();
    let configuration = status.map(|status| &status.configuration);
    let number = |id: Option<MemberId>| id.map_or("-1".to_owned(), |id| id.to_string());
    let leader_id = status.and_then(|status| status.leader_id);
    let dbid = status.map_or(String::new(), |_| format!("{:032x}", raft.cluster));
    let is_voting = |status: &Status| yes_or_no(status.configuration.is_voter(status.id));
    let mut all = fields([
        ("dbid", dbid),
        ("node_id", raft.member.to_string()),
        ("state", view.shared.state().name().to_owned()),
        ("role", status.map_or("(none)", |status| status.role.name()).to_owned()),
        ("is_voting", status.map_or("-", is_voting).to_owned()),
        ("voted_for", number(status.and_then(|status| status.voted_for))),
        ("leader_id", number(leader_id)),
        ("current_term", status.map_or(0, |status| status.term.0).to_string()),
        ("num_nodes", configuration.map_or(0, |it| it.members.len()).to_string()),
        ("num_voting_nodes", configuration.map_or(0, |it| it.voters.len()).to_string()),
    ]);
    if let Some(status) = status {
        let others = status.configuration.members.iter().filter(|member| member.id != status.id);
        for (number, member) in others.enumerate() {
            all.push((format!("node{}", number + 1), node_line(member, status, raft, view)));
        }
    }
    let leader = configuration.zip(leader_id).and_then(|(it, id)| it.member(id));
    all.extend(fields([
        ("leader_addr", leader.map_or("", |leader| &leader.client_address)),
        ("quorum_ok", yes_or_no(status.is_some_and(|status| has_quorum(status, view)))),
        ("is_joint", yes_or_no(configuration.is_some_and(|it| it.is_joint()))),
        ("is_observer", yes_or_no(view.shared.observer)),
        ("join_refusal", &view.shared.join_refusal()),
    ]));
    all.extend(readiness(raft, engine));
    all.extend(recovery::fields(raft));
    all
}

/// Whether the next node of a rolling restart may be stopped, as far as this one knows without
/// asking the leader: RAFT.WAIT_READY does ask.
fn readiness(raft: &RaftReport, engine: &EngineReport) -> Fields {
    let status = raft.status.as_ref();
    let is_caught_up = status.is_some_and(|status| {
        status.leader_id.is_some() && engine.applied_index >= status.commit_index
    });
    let reaches_all =
        status.is_some_and(|status| ready::disconnected_voter(status, &raft.links).is_none());
    let has_no_obstacle =
        status.is_some_and(|status| ready::obstacle(status, &raft.links).is_none());
    fields([
        ("is_caught_up", yes_or_no(is_caught_up)),
        ("voters_connected", yes_or_no(reaches_all)),
        ("is_ready", yes_or_no(has_no_obstacle && is_caught_up)),
    ])
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Whether a majority of the voters is there: for a leader, that it has heard of them within an
/// election timeout; for another member, that it has a leader, which is one only as long as that
/// holds.
pub fn has_quorum(status: &Status, view: &NodeView<'_>) -> bool {
    if status.role != RoleKind::Leader {
        return status.leader_id.is_some();
    }
    let patience_ms: Millis = view.settings.get("raft.election-timeout").parse().unwrap_or(0);
    let is_heard = |id: &&MemberId| {
        let peer = status.peers.iter().find(|peer| peer.id == **id);
        let heard_ms = peer.and_then(|peer| peer.last_heard_ms);
        **id == status.id || heard_ms.is_some_and(|ms| ms + patience_ms >= view.now_ms)
    };
    let has_majority = |voters: &[MemberId]| {
        voters.is_empty() || voters.iter().filter(is_heard).count() > voters.len() / 2
    };
    let configuration = &status.configuration;
    has_majority(&configuration.voters) && has_majority(&configuration.voters_outgoing)
}

/// RedisRaft's fields of another member, and, of those this node leads, how far they are.
fn node_line(member: &Member, status: &Status, raft: &RaftReport, view: &NodeView<'_>) -> String {
    let (host, port) = host_and_port(&member.peer_address);
    let link = raft.links.iter().find(|link| link.id == member.id);
    let connected_at_ms = link.and_then(|link| link.connected_at_ms);
    let mut line = format!(
        "id={},state={},voting={},addr={host},port={port},last_conn_secs={},conn_errors={},\
         conn_oks={}",
        member.id,
        link.map_or("disconnected", |link| link.state),
        yes_or_no(status.configuration.is_voter(member.id)),
        connected_at_ms.map_or(-1, |ms| seconds_since(ms, view.now_ms)),
        link.map_or(0, |link| link.errors),
        link.map_or(0, |link| link.connections),
    );
    if let Some(peer) = peer_of(raft, member.id) {
        let progress = match peer.state {
            ProgressState::Probe { .. } => "probe",
            ProgressState::Replicate => "replicate",
            ProgressState::Snapshot => "snapshot",
        };
        let lag = status.last_index.0.saturating_sub(peer.match_index.0);
        line += &format!(",progress={progress},match_index={},lag={lag}", peer.match_index);
        if status.configuration.is_learner(member.id) && !member.observer {
            line += &format!(",slow_rounds={}", peer.slow_rounds);
        }
    }
    if member.observer {
        line += ",observer=yes";
    }
    line
}

fn log(raft: &RaftReport, engine: &EngineReport) -> Fields {
    let (mut entries, mut last, mut commit, mut bytes) = (0, 0, 0, 0);
    if let Some(status) = &raft.status {
        entries = (status.last_index.0 + 1).saturating_sub(status.first_index.0);
        last = status.last_index.0;
        commit = status.commit_index.0;
        bytes = status.log_bytes as u64;
    }
    fields([
        ("log_entries", entries),
        ("current_index", last),
        ("commit_index", commit),
        ("last_applied_index", engine.applied_index.0),
        ("cache_memory_size", bytes),
        ("cache_entries", entries),
    ])
}

fn snapshot(raft: &RaftReport) -> Fields {
    let snapshots = &raft.snapshots;
    fields([
        ("snapshot_last_idx", snapshots.last_index.to_string()),
        ("snapshot_last_term", snapshots.last_term.to_string()),
        ("snapshots_created", snapshots.created.to_string()),
        ("snapshots_received", snapshots.received.to_string()),
        ("snapshot_in_progress", yes_or_no(snapshots.is_in_progress).to_owned()),
    ])
}

fn links(raft: &RaftReport) -> Fields {
    let status = raft.status.as_ref();
    let transfer = status.and_then(|status| status.transfer_target);
    fields([
        ("transfer_target", transfer.map_or("-1".to_owned(), |id| id.to_string())),
        ("pending_reads", status.map_or(0, |status| status.pending_reads).to_string()),
        ("outstanding_batches", status.map_or(0, |it| it.outstanding_batches).to_string()),
        ("bad_frames", raft.counters.bad_frames.to_string()),
        ("dropped_messages", raft.counters.dropped_messages.to_string()),
    ])
}
