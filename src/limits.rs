//! Every bound of the node, its reason, and the relations between them.

use std::time::Duration;

use crate::raft::types::ENTRY_HEADER_BYTES;

/// Payload bytes of one peer frame: one batch of a single value of 512 MiB with room to spare.
pub const FRAME_BYTES_MAX: usize = 640 << 20;

/// Bytes of a frame's header. A receiver closes the link over it.
pub const FRAME_HEADER_BYTES_MAX: usize = 16 << 20;

/// Entries of one append request. More gain nothing: a frame's cost is long that of its entries.
pub const APPEND_ENTRIES_MAX: usize = 4096;

/// Bytes of what the entries of an append request have in its header, as they are counted: half of
/// what a receiver takes, because the count is an estimate. It matters for configurations alone.
pub const APPEND_HEADER_BYTES_MAX: usize = FRAME_HEADER_BYTES_MAX / 2;

const _: () = assert!(APPEND_ENTRIES_MAX * ENTRY_HEADER_BYTES <= APPEND_HEADER_BYTES_MAX);

/// Bytes of the entries of one append request, whatever the settings say: what fits a frame.
pub const APPEND_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// Bytes that a net role gathers in one batch before it closes it and begins the next.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// Output bytes queued for a client over which its requests are no longer parsed until it has read:
/// a client that does not read cannot make the node work for it.
pub const CLIENT_OUTPUT_SOFT_BYTES: usize = 1 << 20;

/// MIGRATE commands of the clients of one net role that are under way at once: each has a thread
/// and holds all values that it sends. One more is an error.
pub const MIGRATIONS_MAX: usize = 16;

/// Bytes of commands of scripts that are kept in one pass for who monitors: as many as may be on
/// their way to them. Beyond it those lose their connections, since they would miss some.
pub const SCRIPT_LINES_BYTES_MAX: usize = PUBLISHED_BYTES_MAX;

/// What scripts of one pass were denied, as far as it differs from one to the next: some times as
/// many as ACL LOG keeps by default.
pub const SCRIPT_DENIALS_MAX: usize = 1024;

/// Bytes and commands of what is imported from another server that are proposed and not yet
/// applied; beyond that nothing more is read from there. All of it may come to be applied in one
/// pass, while heartbeats wait; and it is enough for some 50,000 commands per second with a round
/// trip of 20 ms.
pub const IMPORT_WINDOW_BYTES: usize = 1 << 20;
pub const IMPORT_WINDOW_COMMANDS: usize = 1024;

/// Bytes and commands after which a unit of it ends, each of which runs as a whole.
pub const IMPORT_UNIT_BYTES: usize = 64 << 10;
pub const IMPORT_UNIT_COMMANDS: u32 = 128;

/// Bytes of messages for subscribers, and notices for clients that track, that may be on their way
/// to one net role. Beyond it messages are dropped, and the subscribers of that role closed: they
/// would miss some without knowing. Who tracks is told to drop all.
pub const PUBLISHED_BYTES_MAX: usize = 64 << 20;

/// Bytes of such messages that are handed over before the end of a run: the net role writes them
/// while apply goes on.
pub const PUBLISHED_SEND_BYTES: usize = 1 << 20;

/// Bytes of keys that clients which track are yet to be told of, over which all of them are told to
/// drop all that they have instead.
pub const INVALIDATED_BYTES_MAX: usize = 8 << 20;

/// Keys at which the clients are remembered that have read them, unless the settings say another
/// bound; Redis's. Some 100 bytes each, and 16 for each further client.
pub const TRACKED_KEYS_DEFAULT: usize = 1_000_000;

/// Bytes queued for a peer over which further messages to it are dropped: consensus sends again
/// what is lost. Twice the frame bound, so that the largest frame fits.
pub const PEER_QUEUE_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// The same for its snapshot link: the window of the sender and as much again for the headers of
/// small chunks. Who obeys the window never finds the queue full.
pub const SNAPSHOT_QUEUE_BYTES_MAX: usize = 2 * SNAPSHOT_WINDOW_BYTES;

/// A snapshot link over which nothing has come or gone for so long is closed.
pub const SNAPSHOT_LINK_IDLE_MS: u64 = 30_000;

// While a transfer may be under way its link is far from idle.
const _: () = assert!(2 * SNAPSHOT_STALL_MS < SNAPSHOT_LINK_IDLE_MS);

/// How long a connection between nodes may take from dialling or accepting it to the hello of the
/// other side: one lost packet at the start costs a second, two cost three.
pub const HANDSHAKE_MS_MAX: u64 = 4000;

/// The longest pause before a node dials another one again which refuses it: refusals double the
/// pause, and what is refused for good costs next to nothing at this rate.
pub const REFUSED_DIAL_MS_MAX: u64 = 5000;

/// How long a link may be down before the older member, which otherwise waits to be dialled, dials
/// too: long enough that it gets in the way of no restart.
pub const OLDER_DIALS_MS: u64 = 3000;

/// How long the links of a member stay that the configuration names no more: the entry that removes
/// it must reach it, and the news that this is committed. A quorum that takes longer is not one.
pub const LEAVING_MS: u64 = 3000;

/// A complaint about a peer is not logged again within this time if it is the same.
pub const COMPLAINT_MS: u64 = 60_000;

/// Complaints that are remembered for that; the oldest is forgotten for a new one.
pub const COMPLAINTS_MAX: usize = 32;

/// Accepted peer connections that may wait for their hello; the oldest is closed for a new one.
pub const GREETINGS_MAX: usize = 64;

/// Bytes that a connection may send before its hello is complete.
pub const HELLO_BYTES_MAX: usize = 4096;

/// Keys that one entry removes because they are due; what is left goes with the next entry.
pub const EXPIRE_PER_ENTRY_MAX: usize = 1000;

/// Milliseconds between two looks of the raft role at its time-outs: a fifth of the default
/// heartbeat interval, so that what is due is late by a fifth at most.
pub const TICK_MS: u64 = 10;

/// Times that the roles of a core take turns within one pass, so that a chain from a request to its
/// reply through three roles of one core needs no second entry into the kernel, and yet the sockets
/// are looked at soon.
pub const TURNS_PER_PASS: usize = 8;

/// Committed entries that apply may be behind before the raft role takes no more from the clients
/// of this node.
pub const APPLY_LAG_MAX: u64 = 4096;

/// Bytes of a snapshot that may be made and not yet read by the slowest of its receivers: some ten
/// milliseconds of a 10 Gbit/s link, so that it is kept busy, and yet little to hold.
pub const SNAPSHOT_WINDOW_BYTES: usize = 4 << 20;

/// Bytes of a snapshot that apply writes at once, which delays whoever else is on its core: half a
/// millisecond to one.
pub const SNAPSHOT_PIECE_BYTES: usize = 256 << 10;

const _: () = assert!(2 * SNAPSHOT_PIECE_BYTES <= SNAPSHOT_WINDOW_BYTES);

/// The part of its time, as a divisor, that apply writes a snapshot while its core never runs out
/// of other work, and half of the divisor while it does. Less would cost clients less, for longer:
/// more of what they change has then to be kept as it was.
pub const SNAPSHOT_TIME_SHARE: u32 = 4;

/// Bytes of former values that may be held for a snapshot that has yet to write them, beside
/// [`SNAPSHOT_DISPLACED_SHARE`]; over that, it is given up and begun anew later. With the window
/// and what else is on its way the node that makes it stays within 15 % of its data set and 64 MiB.
pub const SNAPSHOT_DISPLACED_BYTES: usize = 32 << 20;

/// The part, as a divisor, of what the snapshot will have in all.
pub const SNAPSHOT_DISPLACED_SHARE: usize = 8;

/// Milliseconds that a member may read nothing of what it was sent of a snapshot.
pub const SNAPSHOT_STALL_MS: u64 = 10_000;

/// The part of the budget of the log that compaction leaves, as a divisor.
pub const LOG_TAIL_SHARE: usize = 4;

/// Entries of the log that compaction drops in one pass at most: half a millisecond, where each has
/// an allocation of its own.
pub const LOG_DROP_ENTRIES: u64 = 8192;

/// Input buffers over this are given back when they are empty.
pub const CLIENT_INPUT_KEPT_BYTES: usize = 64 << 10;

/// Answered passes of a net role whose vectors are kept for use again.
pub const SPARE_PASSES_MAX: usize = 16;

/// Bytes of replies for which an answered pass keeps the room: those of a pass of small ones.
pub const REPLIES_KEPT_BYTES: usize = 256 << 10;

/// Submissions that a core's ring takes before it enters the kernel early.
pub const RING_DEPTH: u32 = 4096;

/// The same for the rings of the executor, which carries timers and parking only.
pub const EXECUTOR_RING_DEPTH: usize = 128;

/// Bytes sent to a peer ahead of its acknowledgement: enough for a fast link's delay times its
/// rate.
pub const INFLIGHT_BYTES_MAX: usize = 64 << 20;

/// How long a stopping node tries to hand leadership over: several attempts of an election time-out
/// each, with the default one.
pub const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long it may then take to answer what it accepted.
pub const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long requests wait for a leader once the node stops, if not shorter anyway, so that their
/// clients are told of it before the connection ends.
pub const STOPPING_NO_LEADER_TIMEOUT: Duration = Duration::from_secs(1);

const _: () = assert!(STOPPING_NO_LEADER_TIMEOUT.as_millis() < FAREWELL_TIMEOUT.as_millis());

/// Clients that may wait for a node to become ready at the same time.
pub const READY_WAITERS_MAX: usize = 1024;

/// Links to members that this node's log does not name yet. A cluster replaces one member at a
/// time, so even one that was away for long meets but a few.
pub const UNNAMED_PEERS_MAX: usize = 64;

/// Slots whose asking to be admitted is remembered while there is no leader: as many as a cluster
/// has members.
pub const ASKING_NODES_MAX: usize = crate::raft::MEMBERS_MAX;

/// Milliseconds between two looks at the clients for those that are idle or do not read.
pub const SWEEP_MS: u64 = 1000;

/// Keys that one session may watch; WATCH over it is an error. Each is compared with all others of
/// the session.
pub const WATCHED_KEYS_MAX: usize = 4096;

/// What all watched keys may count, of all sessions in the cluster: they are part of the head of a
/// snapshot, which is made at once. About 100,000 keys of 30 bytes. WATCH over it is an error.
pub const WATCHED_BYTES_MAX: usize = 16 << 20;

/// What the commands of all clients that wait for keys may count, of all nodes in the cluster: they
/// too are part of the head of a snapshot. Some 100,000 clients. A command that would have to wait
/// over it is an error.
pub const WAITING_BYTES_MAX: usize = 32 << 20;

/// After how many election time-outs a leader counts a member as silent: its clients that wait are
/// passed over until it is heard again. Longer than a follower that lives may need to be heard.
pub const SILENT_TIMEOUTS: u64 = 2;

/// Milliseconds between two looks of a leader at who is silent.
pub const SILENCE_LOOK_MS: u64 = 500;

/// Bytes of an ACL file: text written by people. All of it becomes one log entry.
pub const ACL_FILE_BYTES_MAX: u64 = 4 << 20;

/// Milliseconds between two attempts of a node to bring its users into its cluster.
pub const SEED_USERS_MS: u64 = 500;

/// Bytes of the commands that a transaction may queue: what fits a frame beside what the pass has
/// gathered before. A command over it is refused, and EXEC then refuses the transaction.
pub const TRANSACTION_BYTES_MAX: usize = FRAME_BYTES_MAX - (32 << 20);

// A batch is closed at its bound: what is in it before a transaction is smaller.
const _: () = assert!(TRANSACTION_BYTES_MAX + 2 * BATCH_BYTES_MAX < FRAME_BYTES_MAX);

/// Keys, and bytes of keys and values, that one DEBUG POPULATE makes: in one entry of the log, on
/// all nodes, within about a second.
pub const POPULATE_KEYS_MAX: usize = 1_000_000;
pub const POPULATE_BYTES_MAX: usize = 256 << 20;

/// Bytes by which the account of memory may be above `maxmemory`, beside [`EVICTION_SLACK_SHARE`],
/// before commands that may take memory are refused although keys could go. What goes is chosen by
/// the leader and goes through the log, so it comes a round of the log after what made it
/// necessary: a few batches of each net role of each node.
pub const EVICTION_SLACK_BYTES: usize = 8 * BATCH_BYTES_MAX;

/// The part of `maxmemory`, as a divisor, for larger ones: more is written to a large cache while a
/// round of the log takes place.
pub const EVICTION_SLACK_SHARE: usize = 16;

/// Keys that one entry may let go: a few milliseconds for apply.
pub const EVICT_PER_ENTRY_MAX: usize = 4096;

/// Bytes of keys and values that a choice names beyond twice what is above `maxmemory`: some
/// hundred small keys, so that a trickle of writes makes few entries.
pub const EVICT_AHEAD_BYTES: usize = 32 << 10;

/// Instructions of the VM that a script may take, as they are counted: with what commands and
/// libraries do for it. About half a second: meanwhile the node does nothing else, and neither do
/// the others when they come to it.
pub const SCRIPT_INSTRUCTIONS_MAX: u64 = 50_000_000;

/// What a script may take of that in the state that is kept, before it begins anew in a fresh one.
pub const SCRIPT_INSTRUCTIONS_ALLOTTED: u64 = SCRIPT_INSTRUCTIONS_MAX / 4;

/// Bytes that a script may hold, with the garbage that it has made since the last look.
pub const SCRIPT_MEMORY_MAX: usize = 256 << 20;

/// Bytes that a script may allocate in the state that is kept, garbage included, before it begins
/// anew in a fresh one; and bytes of replies to its commands that are kept for that.
pub const SCRIPT_MEMORY_ALLOTTED: usize = 16 << 20;

// Who fits what is allotted fits the limits: with the price of the memory that it takes, and with
// what a fresh state itself holds.
const _: () = assert!(SCRIPT_MEMORY_MAX >= 8 * SCRIPT_MEMORY_ALLOTTED);
const _: () = assert!(SCRIPT_MEMORY_ALLOTTED as u64 / 4 < SCRIPT_INSTRUCTIONS_MAX / 4);

/// Scripts that EVAL has brought and that are kept for EVALSHA; the least recently used goes.
pub const SCRIPTS_OF_EVAL_MAX: usize = 500;

/// What all scripts in the cache may count: it is part of the head of a snapshot. Scripts of EVAL
/// make room; over that SCRIPT LOAD is an error, and EVAL keeps its script for itself.
pub const SCRIPT_CACHE_BYTES_MAX: usize = 32 << 20;

/// Libraries of functions. FUNCTION RESTORE runs each of its own once: at most a few seconds.
pub const LIBRARIES_MAX: usize = 256;

/// What all libraries may count: FUNCTION DUMP is one reply, and a snapshot has them before keys.
pub const LIBRARY_BYTES_MAX: usize = 32 << 20;

/// Instructions that a library may take when it is loaded, counted as those of scripts: it only
/// registers functions. Redis ends it after half a second.
pub const LIBRARY_INSTRUCTIONS_MAX: u64 = 1_000_000;

/// Bytes that it may allocate meanwhile in the state that is kept.
pub const LIBRARY_MEMORY_ALLOTTED: usize = 4 << 20;

// As for scripts: who fits what is allotted fits the limits.
const _: () = assert!(SCRIPT_MEMORY_MAX >= 8 * LIBRARY_MEMORY_ALLOTTED);
const _: () = assert!(LIBRARY_MEMORY_ALLOTTED as u64 / 16 < LIBRARY_INSTRUCTIONS_MAX / 2);

/// Compiled scripts that a node keeps.
pub const SCRIPTS_COMPILED_MAX: usize = 1024;

/// Bytes of a text that a library of scripts makes in one call: a table whose parts are shared can
/// stand for one without end.
pub const SCRIPT_TEXT_BYTES_MAX: usize = 64 << 20;

/// The stack of a core's thread. A script may nest values [`SCRIPT_NESTING_MAX`] deep, and each
/// level of a reply or of JSON takes up to several kilobytes of it in a build without optimisation;
/// what is not used of it takes no memory.
pub const CORE_STACK_BYTES: usize = 32 << 20;

/// Depth to which the libraries of scripts read and write nested values. The VM has room for less
/// than 8000 handles, and each level needs two.
pub const SCRIPT_NESTING_MAX: usize = 3000;
