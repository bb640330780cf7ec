//! What a node is told before it starts: the command line and a file become a [`NodeConfig`], in
//! which everything has been checked. Nothing behind this module knows of clap.

pub mod cli;
mod directives;
mod file;
mod housekeeping;
mod peers;
mod rewrite;
mod settings;
mod value;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::node::users::{self, UserLines};
use crate::raft::OnTotalLoss;

use peers::{Own, PeerList};

pub use directives::{Change, DIRECTIVES, Directive, Section, is_of_cluster};
pub use file::FileError;
pub use peers::{ListError, PeersError};
pub use rewrite::{RewriteError, rewrite};
pub use settings::{SettingError, Settings, Tunables};
pub use value::{
    BindAddress, Conflict, HostPort, Kind, OutputLimit, OutputLimits, Presence, ValueError,
    percentiles,
};

/// The distance of the peer port from the client port, where none is named. Redis Cluster's own.
pub const CLUSTER_PORT_OFFSET: u16 = 10_000;

/// Slot names stand in handshakes, in configuration entries and in INFO. Long enough for any host
/// name with its port.
pub const SLOT_NAME_BYTES_MAX: usize = 300;

/// Everything a node needs to know to start.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub settings: Settings,
    pub bind: Vec<BindAddress>,
    pub port: u16,
    pub cluster_port: u16,
    /// 0: none.
    pub sentinel_port: u16,
    pub tcp_backlog: i32,
    /// `host:port` under which clients reach this node.
    pub client_address: String,
    /// `host:port` under which peers reach this node.
    pub peer_address: String,
    /// Whose place this node takes in its cluster.
    pub slot_name: String,
    pub start: Start,
    /// What it brings into a cluster that has no users yet.
    pub users: UserLines,
    /// What ACL LOAD reads; empty: nothing.
    pub acl_file: PathBuf,
    /// It joins as an observer. Invariant: then `start` is not [`Start::Init`].
    pub observer: bool,
    pub placement: PlacementRequest,
    pub system_check: SystemCheck,
    /// Absolute path of the configuration file.
    pub config_file: Option<PathBuf>,
    pub log_file: Option<String>,
    /// The process whose end is to be this one's too.
    pub supervisor: Option<u32>,
}

/// How a node gets its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Waits for RAFT.CLUSTER INIT or JOIN.
    Uninitialised,
    Init,
    /// Invariant: not empty, and at least one of them is another node.
    Join(Vec<HostPort>),
    /// Joins the cluster of the other nodes of a list, or founds it with them.
    Listed {
        others: Vec<HostPort>,
        on_total_loss: OnTotalLoss,
    },
}

/// What findings about the machine's settings lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemCheck {
    /// They are logged and counted.
    Warn,
    /// The node does not start.
    Enforce,
    /// Nobody looks.
    Off,
}

/// What the user said about CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacementRequest {
    pub style: LayoutStyle,
    pub cores_max: Option<usize>,
    pub raft_core: Option<usize>,
    pub apply_core: Option<usize>,
    pub net_cores: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayoutStyle {
    #[default]
    Auto,
    Folded,
    Split,
}

/// Why a node cannot start with these options; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("--{option} '{value}': {source}")]
    Value { option: &'static str, value: String, source: ValueError },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{0}")]
    Conflict(#[from] Conflict),
    #[error("--init and --join exclude each other: --init makes a new cluster")]
    InitAndJoin,
    #[error("--observer goes with --join only: clusters are founded by voters")]
    ObserverFounds,
    #[error(transparent)]
    Peers(#[from] PeersError),
    #[error(transparent)]
    AclFile(#[from] users::FileError),
    #[error("--aclfile and 'user' in the configuration file exclude each other")]
    UsersTwice,
    #[error("--name must not be longer than {SLOT_NAME_BYTES_MAX} bytes")]
    NameTooLong,
    #[error("--join names only this node itself ({0}); name another node of the cluster")]
    JoinsItself(String),
    #[error(
        "port {0} leaves no room for the peer port (port + 10000); choose one by --cluster-port"
    )]
    ClusterPortOutOfRange(u16),
    #[error("--port and --cluster-port are both {0}; choose another --cluster-port")]
    SamePort(u16),
    #[error("--sentinel-port {0} is the client or the peer port; choose another")]
    SameSentinelPort(u16),
    #[error(
        "--bind {0} is no address that others can call; say where this node is reached by \
         --announce-address"
    )]
    AnnounceNeeded(IpAddr),
}

impl NodeConfig {
    /// Reads the file, lets `overrides` (index in the table and text) win over it, and checks all.
    pub fn load(file: Option<&Path>, overrides: &[(usize, String)]) -> Result<Self, ConfigError> {
        let mut settings = Settings::default();
        if let Some(path) = file {
            file::read(path, &mut settings)?;
        }
        for (index, text) in overrides {
            settings.preset(*index, text).map_err(|source| ConfigError::Value {
                option: DIRECTIVES[*index].name,
                value: text.clone(),
                source,
            })?;
        }
        let mut config = Self::from_settings(settings)?;
        // The path only appears in INFO, so one that cannot be made absolute stays as it is.
        config.config_file =
            file.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        Ok(config)
    }

    fn from_settings(settings: Settings) -> Result<Self, ConfigError> {
        settings.check()?;
        let port: u16 = narrow(&settings, "port");
        let cluster_port = match narrow(&settings, "cluster-port") {
            0 => port
                .checked_add(CLUSTER_PORT_OFFSET)
                .ok_or(ConfigError::ClusterPortOutOfRange(port))?,
            named => named,
        };
        if port == cluster_port {
            return Err(ConfigError::SamePort(port));
        }
        let sentinel_port = narrow(&settings, "sentinel-port");
        if [port, cluster_port].contains(&sentinel_port) {
            return Err(ConfigError::SameSentinelPort(sentinel_port));
        }
        let bind = settings.addresses("bind").to_vec();
        let announced = announced(&settings, &bind, port)?;
        let client_address = announced.to_string();
        let peer = HostPort { host: announced.host.clone(), port: cluster_port };
        let peer_address = peer.to_string();
        let list = peer_list(&settings, &announced, cluster_port)?;
        let own_name = list.as_ref().and_then(|list| list.own_name.clone());
        let slot_name = match (settings.text("name"), own_name) {
            (_, Some(listed)) => listed,
            ("", None) => client_address.clone(),
            (name, None) => name.to_owned(),
        };
        if slot_name.len() > SLOT_NAME_BYTES_MAX {
            return Err(ConfigError::NameTooLong);
        }
        let start = start(&settings, &client_address, list)?;
        let observer = settings.boolean("observer");
        if observer && matches!(start, Start::Init | Start::Listed { .. }) {
            return Err(ConfigError::ObserverFounds);
        }
        let acl_file = PathBuf::from(settings.text("aclfile"));
        let users = users(&settings, &acl_file)?;
        let log_file = Some(settings.text("logfile")).filter(|path| !path.is_empty());
        Ok(Self {
            bind,
            port,
            cluster_port,
            sentinel_port,
            tcp_backlog: narrow(&settings, "tcp-backlog"),
            start,
            observer,
            users,
            acl_file,
            client_address,
            peer_address,
            slot_name,
            placement: placement(&settings),
            system_check: match settings.text("system-check") {
                "enforce" => SystemCheck::Enforce,
                "off" => SystemCheck::Off,
                _ => SystemCheck::Warn,
            },
            config_file: None,
            log_file: log_file.map(str::to_owned),
            supervisor: None,
            settings,
        })
    }
}

/// Those of the configuration file, or those of the ACL file.
fn users(settings: &Settings, acl_file: &Path) -> Result<UserLines, ConfigError> {
    match (acl_file.as_os_str().is_empty(), settings.users.is_empty()) {
        (true, _) => Ok(settings.users.clone()),
        (false, true) => Ok(users::read_file(acl_file)?),
        (false, false) => Err(ConfigError::UsersTwice),
    }
}

/// Precondition: the table's bounds of `name` are within those of `T`.
fn narrow<T: TryFrom<i64>>(settings: &Settings, name: &str) -> T {
    match T::try_from(settings.number(name)) {
        Ok(number) => number,
        Err(_) => unreachable!("the table bounds {name} more tightly"),
    }
}

fn announced(
    settings: &Settings,
    bind: &[BindAddress],
    port: u16,
) -> Result<HostPort, ConfigError> {
    let text = settings.text("announce-address");
    if !text.is_empty() {
        let (host, named) = value::announce(text).map_err(|source| ConfigError::Value {
            option: "announce-address",
            value: text.to_owned(),
            source,
        })?;
        return Ok(HostPort { host, port: named.unwrap_or(port) });
    }
    let first = bind.first().expect("invariant: bind names at least one address").ip;
    if first.is_unspecified() {
        return Err(ConfigError::AnnounceNeeded(first));
    }
    Ok(HostPort { host: first.to_string(), port })
}

/// The static list of nodes, if there is one.
fn peer_list(
    settings: &Settings,
    client: &HostPort,
    cluster_port: u16,
) -> Result<Option<PeerList>, PeersError> {
    let own = Own { name: settings.text("name"), client, cluster_port };
    let addresses = settings.peers("peers");
    match (settings.text("cluster-config-file"), addresses.is_empty()) {
        ("", true) => Ok(None),
        ("", false) => {
            let list = peers::of_addresses(addresses, &own).map_err(PeersError::Option)?;
            Ok(Some(list))
        }
        (_, false) => Err(PeersError::Exclusive),
        (path, true) => {
            let path = PathBuf::from(path);
            match peers::of_file(&path, &own) {
                Ok(list) => Ok(Some(list)),
                Err(problem) => Err(PeersError::File { path, problem }),
            }
        }
    }
}

fn start(
    settings: &Settings,
    own_address: &str,
    list: Option<PeerList>,
) -> Result<Start, ConfigError> {
    let join = settings.peers("join");
    if let Some(list) = list {
        if settings.boolean("init") || !join.is_empty() {
            return Err(PeersError::Exclusive.into());
        }
        let on_total_loss = match settings.text("on-total-loss") {
            "manual" => OnTotalLoss::Manual,
            _ => OnTotalLoss::Unanimous,
        };
        return Ok(Start::Listed { others: list.others, on_total_loss });
    }
    match (settings.boolean("init"), join.is_empty()) {
        (true, false) => Err(ConfigError::InitAndJoin),
        (true, true) => Ok(Start::Init),
        (false, true) => Ok(Start::Uninitialised),
        (false, false) if join.iter().all(|peer| peer.to_string() == own_address) => {
            Err(ConfigError::JoinsItself(own_address.to_owned()))
        }
        (false, false) => Ok(Start::Join(join.to_vec())),
    }
}

fn placement(settings: &Settings) -> PlacementRequest {
    let style = match settings.text("layout") {
        "folded" => LayoutStyle::Folded,
        "split" => LayoutStyle::Split,
        _ => LayoutStyle::Auto,
    };
    let cores: usize = narrow(settings, "cores");
    PlacementRequest {
        style,
        cores_max: (cores > 0).then_some(cores),
        raft_core: settings.cpus("raft-core").first().copied(),
        apply_core: settings.cpus("apply-core").first().copied(),
        net_cores: settings.cpus("net-cores").to_vec(),
    }
}

#[cfg(test)]
mod tests;
