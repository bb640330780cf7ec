//! The two that are measured: a leader with a data set, which a fresh node takes over as a whole.

use std::time::Instant;

use crate::client::{Client, Info};
use crate::cluster::{Cluster, is_complete, raft_info};
use crate::fill::{fill, key, value_of_64_bytes};
use crate::memory::resident;
use crate::redis_benchmark::Background;
use crate::server::{Endpoint, RedisServer};

use super::JoinError;

pub trait Contender {
    fn name(&self) -> &'static str;

    /// Where the data is and the load goes.
    fn leader(&self) -> Result<Endpoint, JoinError>;

    /// Starts a fresh node. Returns since when its joining counts.
    fn launch(&mut self) -> Result<Instant, JoinError>;

    /// Whether the fresh node is a full member and has the key `key`. An error if it never will.
    fn has_joined(&mut self, key: &str) -> Result<bool, JoinError>;

    /// The port of the fresh node.
    fn fresh_port(&self) -> u16;

    /// How many snapshots of the leader the fresh node has loaded.
    fn snapshots_loaded(&self) -> Option<u64>;

    /// Bytes that the leader's memory does not show, since a child that it forked had them.
    fn forked_bytes(&self) -> Result<u64, JoinError>;

    /// Bytes of the log that the leader holds, of one that has a log of its own.
    fn log_bytes(&self) -> Result<Option<u64>, JoinError>;

    /// Takes the fresh node away again. Nothing happens if there is none.
    fn dismiss(&mut self) -> Result<(), JoinError>;

    /// Drops what the leader holds beside the data.
    fn compact(&self) -> Result<(), JoinError>;
}

/// What the leader's memory came to with the data set.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub payload_bytes: u64,
    /// Resident memory with the data, less that without.
    pub resident_bytes: u64,
}

/// Bytes of a key and its value.
const PAYLOAD_BYTES: u64 = 16 + Background::VALUE_BYTES as u64;

/// Loads the data set.
pub fn load(contender: &dyn Contender, keys: u32) -> Result<Held, JoinError> {
    let leader = contender.leader()?;
    let empty = resident(leader.pid)?.now;
    fill(leader.port, keys, value_of_64_bytes)?;
    contender.compact()?;
    let full = resident(leader.pid)?.now;
    let held = Client::connect(leader.port)?.call(&["DBSIZE"])?;
    if held != keys.to_string() {
        return Err(JoinError::Loaded { name: contender.name(), keys, held });
    }
    Ok(Held {
        payload_bytes: u64::from(keys) * PAYLOAD_BYTES,
        resident_bytes: full.saturating_sub(empty),
    })
}

fn has_key(port: u16, key: &str) -> bool {
    let value = Client::connect(port).and_then(|mut client| client.call(&["GET", key]));
    value.is_ok_and(|value| !value.is_empty())
}

/// Says how [`RedisPair`] is set up, for the head of a report.
pub const REDIS_SETTINGS: &str = "\
redis-server: no persistence; repl-diskless-sync yes with delay 0, repl-diskless-load on-empty-db,
  rdbcompression no, no limit on the replica's output buffer; its time is from REPLICAOF, sent to a
  replica that runs, to master_link_status:up";

/// A redis-server and, after [`Contender::launch`], its replica.
pub struct RedisPair {
    master: RedisServer,
    replica_port: u16,
    replica: Option<RedisServer>,
}

const REDIS_OPTIONS: &str = "--repl-diskless-sync yes --repl-diskless-sync-delay 0 \
     --repl-diskless-load on-empty-db --rdbcompression no \
     --client-output-buffer-limit replica 0 0 0";

impl RedisPair {
    pub const PORTS: u16 = 2;

    /// Takes [`Self::PORTS`] ports from `port` on.
    pub fn start(port: u16) -> Result<Self, JoinError> {
        let master = RedisServer::start_at(port, REDIS_OPTIONS)?;
        Ok(Self { master, replica_port: port + 1, replica: None })
    }
}

impl Contender for RedisPair {
    fn name(&self) -> &'static str {
        "redis-server"
    }

    fn leader(&self) -> Result<Endpoint, JoinError> {
        Ok(self.master.endpoint)
    }

    fn launch(&mut self) -> Result<Instant, JoinError> {
        let port = self.replica_port;
        self.replica = Some(RedisServer::start_at(port, REDIS_OPTIONS)?);
        let mut client = Client::connect(port)?;
        let start = Instant::now();
        client.call(&["REPLICAOF", "127.0.0.1", &self.master.endpoint.port.to_string()])?;
        Ok(start)
    }

    fn has_joined(&mut self, key: &str) -> Result<bool, JoinError> {
        let info = Client::connect(self.replica_port).and_then(|mut it| it.info("replication"));
        let is_up = |info: &Info| info.field("master_link_status") == Some("up");
        Ok(info.is_ok_and(|info| is_up(&info)) && has_key(self.replica_port, key))
    }

    fn fresh_port(&self) -> u16 {
        self.replica_port
    }

    /// A replica's first synchronisation is always a full one.
    fn snapshots_loaded(&self) -> Option<u64> {
        Some(1)
    }

    /// What the child that sent the data set had to copy, by redis-server's own account.
    fn forked_bytes(&self) -> Result<u64, JoinError> {
        let port = self.master.endpoint.port;
        let field = "rdb_last_cow_size";
        let bytes = Client::connect(port)?.info("persistence")?.count(field);
        bytes.ok_or(JoinError::Field { port, field })
    }

    fn log_bytes(&self) -> Result<Option<u64>, JoinError> {
        Ok(None)
    }

    fn dismiss(&mut self) -> Result<(), JoinError> {
        self.replica = None;
        Ok(())
    }

    fn compact(&self) -> Result<(), JoinError> {
        Ok(())
    }
}

/// Two nodes, and after [`Contender::launch`] a third.
pub struct GrowingCluster {
    cluster: Cluster,
    fresh: u16,
}

/// Voters before the fresh node joins. Two, since a third would have to be killed first, and the
/// cluster would then be measured at noticing that.
const VOTERS: u16 = 2;

impl GrowingCluster {
    pub const PORTS: u16 = VOTERS + 1;

    /// Takes [`Self::PORTS`] ports from `port` on.
    pub fn start(port: u16) -> Result<Self, JoinError> {
        let cluster = Cluster::start_at(port, VOTERS, 1)?;
        let fresh = cluster.spare_ports()[0];
        Ok(Self { cluster, fresh })
    }
}

impl Contender for GrowingCluster {
    fn name(&self) -> &'static str {
        "mayfly"
    }

    fn leader(&self) -> Result<Endpoint, JoinError> {
        Ok(self.cluster.roles()?.0)
    }

    fn launch(&mut self) -> Result<Instant, JoinError> {
        let start = Instant::now();
        self.cluster.launch(self.fresh)?;
        Ok(start)
    }

    fn has_joined(&mut self, key: &str) -> Result<bool, JoinError> {
        self.cluster.check_alive()?;
        Ok(is_complete(self.fresh, usize::from(VOTERS) + 1) && has_key(self.fresh, key))
    }

    fn fresh_port(&self) -> u16 {
        self.fresh
    }

    fn snapshots_loaded(&self) -> Option<u64> {
        raft_info(self.fresh)?.count("raft_snapshots_received")
    }

    fn forked_bytes(&self) -> Result<u64, JoinError> {
        Ok(0)
    }

    fn log_bytes(&self) -> Result<Option<u64>, JoinError> {
        let port = self.leader()?.port;
        let field = "raft_cache_memory_size";
        let bytes = Client::connect(port)?.info("raft")?.count(field);
        Ok(Some(bytes.ok_or(JoinError::Field { port, field })?))
    }

    fn dismiss(&mut self) -> Result<(), JoinError> {
        if !self.cluster.spare_ports().contains(&self.fresh) {
            self.cluster.remove(self.fresh)?;
        }
        Ok(())
    }

    /// Without its log, the leader can bring a fresh node up by a snapshot only.
    fn compact(&self) -> Result<(), JoinError> {
        let leader = self.leader()?.port;
        Client::connect(leader)?.call(&["RAFT.DEBUG", "COMPACT"])?;
        Ok(())
    }
}

/// A key that was loaded last, to be asked of a fresh node.
pub fn last_key(keys: u32) -> String {
    key(keys - 1)
}
