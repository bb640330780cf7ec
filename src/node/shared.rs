//! What all roles of a node may look at: who it is, and a few numbers that one role publishes and
//! others read. No locks on the path of a command.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::observe::Observed;
use crate::raft::FreshNode;
use crate::raft::types::{Boot, Millis};

use super::import::Importing;
use super::users::OwnUsers;

pub struct Shared {
    /// The stable name whose place in the cluster this process takes.
    pub slot: String,
    pub boot: Boot,
    /// It takes part in its cluster as an observer.
    pub observer: bool,
    /// `host:port` as clients and peers reach this node.
    pub client_address: String,
    pub peer_address: String,
    pub port: u16,
    /// One line on which CPU does what.
    pub layout: String,
    /// Settings of the machine that are not as they should be, by name.
    pub findings: Vec<&'static str>,
    pub started: Instant,
    /// The same since the Unix epoch, by the clock of the machine.
    pub started_unix_ms: Millis,
    /// The id of this member, 0 before it is one. Published by raft.
    pub member: AtomicU64,
    state: AtomicU8,
    /// Why the cluster does not admit this process yet. Written by the thread that joins, read for
    /// INFO.
    join_refusal: Mutex<String>,
    /// Published by apply, read by raft.
    pub applied_index: AtomicU64,
    /// The earliest deadline of any key, since the Unix epoch; `u64::MAX` for none. Published by
    /// apply, read by raft, which adds the entry that moves the clock past it.
    pub next_deadline_ms: AtomicU64,
    /// This node leads. Published by raft, read by apply.
    pub leads: AtomicBool,
    /// Commands that may take memory are refused. Published by apply, read by the net roles.
    pub denies_growth: AtomicBool,
    /// The cluster has settings, which no leader replaces by its own. Published by apply, read by
    /// raft.
    pub settings_founded: AtomicBool,
    pub next_client_id: AtomicU64,
    pub clients: ClientCounters,
    pub observed: Observed,
    pub users: OwnUsers,
    pub importing: Importing,
}

/// Counted by the net roles, shown by INFO.
#[derive(Default)]
pub struct ClientCounters {
    pub connected: AtomicUsize,
    /// Clients that subscribe to something.
    pub subscribed: AtomicUsize,
    /// Clients that wait in a blocking command.
    pub blocked: AtomicUsize,
    /// Clients that track what they read.
    pub tracking: AtomicUsize,
    pub accepted: AtomicU64,
    pub rejected: AtomicU64,
    pub commands: AtomicU64,
    pub input_bytes: AtomicU64,
    pub output_bytes: AtomicU64,
    pub output_limit_closed: AtomicU64,
    pub query_limit_closed: AtomicU64,
}

impl ClientCounters {
    /// All but the numbers of clients, which are states and no counts.
    pub fn reset(&self) {
        let Self {
            connected: _,
            subscribed: _,
            blocked: _,
            tracking: _,
            accepted,
            rejected,
            commands,
            input_bytes,
            output_bytes,
            ..
        } = self;
        let closed = [&self.output_limit_closed, &self.query_limit_closed];
        for counter in
            [accepted, rejected, commands, input_bytes, output_bytes].iter().chain(&closed)
        {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// RedisRaft's states of a node, and some of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    Uninitialized,
    /// Not admitted yet, or admitted and still catching up.
    Joining,
    Up,
    /// A voter that hears neither a leader nor a majority: it waits for them, or for an operator.
    QuorumLost,
    /// Its removal is committed: it serves nobody any more.
    Removed,
    /// Handing leadership over before it stops.
    Stopping,
    /// Has handed it over, or has none.
    Stopped,
}

impl NodeState {
    const ALL: [Self; 7] = [
        Self::Uninitialized,
        Self::Joining,
        Self::Up,
        Self::QuorumLost,
        Self::Removed,
        Self::Stopping,
        Self::Stopped,
    ];

    /// `raft_state` of INFO.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uninitialized => "uninitialized",
            Self::Joining => "joining",
            Self::Up => "up",
            Self::QuorumLost => "quorum_lost",
            Self::Removed => "removed",
            Self::Stopping | Self::Stopped => "stopping",
        }
    }

    /// Why no command on data is served, in RedisRaft's words; `None` when it is. The code of a
    /// node that joins is Redis's own: clients know that `LOADING` passes and nothing was run.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            // Without a quorum requests wait for it as without a leader, and are told the same.
            Self::Up | Self::QuorumLost | Self::Stopping | Self::Stopped => None,
            Self::Uninitialized => Some("NOCLUSTER No Raft Cluster"),
            Self::Joining => Some("LOADING No Raft Cluster (joining now)"),
            Self::Removed => Some("NOCLUSTER No Raft Cluster (this node has been removed)"),
        }
    }
}

impl Shared {
    pub fn new(
        slot: String,
        boot: Boot,
        client_address: String,
        peer_address: String,
        port: u16,
        layout: String,
    ) -> Self {
        Self {
            slot,
            boot,
            observer: false,
            client_address,
            peer_address,
            port,
            layout,
            findings: Vec::new(),
            started: Instant::now(),
            started_unix_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as Millis),
            member: AtomicU64::new(0),
            state: AtomicU8::new(0),
            join_refusal: Mutex::default(),
            applied_index: AtomicU64::new(0),
            next_deadline_ms: AtomicU64::new(u64::MAX),
            leads: AtomicBool::new(false),
            denies_growth: AtomicBool::new(false),
            settings_founded: AtomicBool::new(false),
            next_client_id: AtomicU64::new(1),
            clients: ClientCounters::default(),
            observed: Observed::default(),
            users: OwnUsers::default(),
            importing: Importing::default(),
        }
    }

    /// Makes it an observer, or not.
    pub fn observing(mut self, observer: bool) -> Self {
        self.observer = observer;
        self
    }

    /// Takes over the users of the configuration.
    pub fn with_users(mut self, users: OwnUsers) -> Self {
        self.users = users;
        self
    }

    /// Takes over what was found about the machine.
    pub fn on_machine(mut self, findings: Vec<&'static str>) -> Self {
        self.findings = findings;
        self
    }

    /// Why the cluster does not admit this process yet; empty when it does, or does not answer.
    pub fn join_refusal(&self) -> String {
        self.join_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_join_refusal(&self, reason: &str) {
        *self.join_refusal.lock().unwrap_or_else(PoisonError::into_inner) = reason.to_owned();
    }

    /// This process as other nodes of a list know it.
    pub fn fresh_node(&self) -> FreshNode {
        FreshNode {
            slot: self.slot.clone(),
            boot: self.boot,
            client_address: self.client_address.clone(),
            peer_address: self.peer_address.clone(),
        }
    }

    pub fn state(&self) -> NodeState {
        NodeState::ALL[usize::from(self.state.load(Ordering::Acquire))]
    }

    pub fn set_state(&self, state: NodeState) {
        let former = self.state.swap(state as u8, Ordering::AcqRel);
        if former != state as u8 {
            log::info!("state is now {}", state.name());
        }
    }
}

/// A random number of the operating system: a boot or a cluster id.
pub fn random_id() -> u128 {
    let mut bytes = [0; 16];
    fill_randomly(&mut bytes);
    u128::from_ne_bytes(bytes)
}

/// Bytes of the operating system's randomness.
pub fn fill_randomly(bytes: &mut [u8]) {
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(bytes))
        .expect("invariant: Linux has /dev/urandom");
}
