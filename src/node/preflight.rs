//! What must be true of the machine before the first thread starts, and what to do where it is not.
//!
//! Everything that can be refused is refused here, by one clear line: limits, io_uring, CPUs,
//! addresses. The listening sockets that are opened here are the node's, so between the check and
//! the node nobody can take a port.

use std::io;
use std::net::{IpAddr, SocketAddr};

use io_uring::IoUring;
use socket2::Socket;

use super::placement::{self, Layout, PlacementError};
use super::system_check::{self, Finding};
use crate::config::{BindAddress, NodeConfig, Presence, SystemCheck};
use crate::logging;
use crate::net::socket;
use crate::sys::{self, Limit, Resource};

/// Files a node needs beside one for each client: standard streams, listeners, rings and event
/// counters of up to 66 cores, links to peers.
const FILES_RESERVED: u64 = 512;

/// The runtime refuses to start below this.
const LOCKED_BYTES_MIN: u64 = 512 << 10;

/// A node that has passed: nothing but a bug or a fault of the machine keeps it from starting.
#[derive(Debug)]
pub struct Prepared {
    pub config: NodeConfig,
    pub layout: Layout,
    pub listeners: Listeners,
    /// Settings of the machine that are not as they should be, by name.
    pub findings: Vec<&'static str>,
}

/// Bound and listening, blocking, close-on-exec; one for each address of `bind`.
#[derive(Debug, Default)]
pub struct Listeners {
    pub clients: Vec<Socket>,
    /// None, unless there is a discovery port.
    pub sentinels: Vec<Socket>,
    pub peers: Vec<Socket>,
}

#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    #[error("the process {0} that started this node is gone")]
    Orphan(u32),
    #[error("cannot {call}: {source}")]
    SystemCall { call: &'static str, source: io::Error },
    #[error(
        "only {limit} open files are allowed (ulimit -n), too few for even one client; allow at \
         least {}", FILES_RESERVED + 1
    )]
    OpenFiles { limit: u64 },
    #[error(
        "only {} KiB of memory may be locked (ulimit -l), io_uring needs {}; raise \
         the limit: LimitMEMLOCK=infinity in systemd, --ulimit memlock=-1 in docker, memlock in \
         /etc/security/limits.conf", .limit >> 10, LOCKED_BYTES_MIN >> 10
    )]
    LockedMemory { limit: u64 },
    #[error(
        "io_uring is blocked: by the sysctl kernel.io_uring_disabled (set it to 0) or by seccomp \
         (in docker run with --security-opt seccomp=unconfined or a profile that allows io_uring)"
    )]
    RingBlocked,
    #[error("this kernel is too old for Mayfly's use of io_uring; run Linux 6.1 or newer")]
    KernelTooOld,
    #[error(
        "io_uring cannot get its memory; raise the limit of locked memory (ulimit -l), or free some"
    )]
    RingMemory,
    #[error("io_uring does not work here: {0}")]
    Ring(io::Error),
    #[error(transparent)]
    Placement(#[from] PlacementError),
    #[error("{role} {port} is in use; choose another with {option}", role = .role.name(),
        option = .role.option())]
    PortInUse { role: PortRole, port: u16 },
    #[error("{ip} is no address of this machine; choose another with --bind")]
    NoSuchAddress { ip: IpAddr },
    #[error("{role} {port} is reserved for root; choose one above 1023 with {option}",
        role = .role.name(), option = .role.option())]
    PortReserved { role: PortRole, port: u16 },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("no address of --bind is one of this machine's")]
    NoAddress,
    #[error("--system-check enforce: {}", .0.iter().map(Finding::to_string).collect::<Vec<_>>()
        .join("; "))]
    System(Vec<Finding>),
    #[error("cannot log to {path}: {source}")]
    LogFile { path: String, source: io::Error },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortRole {
    Client,
    Sentinel,
    Peer,
}

impl PortRole {
    fn name(self) -> &'static str {
        match self {
            PortRole::Client => "port",
            PortRole::Sentinel => "sentinel port",
            PortRole::Peer => "cluster port",
        }
    }

    fn option(self) -> &'static str {
        match self {
            PortRole::Client => "--port",
            PortRole::Sentinel => "--sentinel-port",
            PortRole::Peer => "--cluster-port",
        }
    }
}

/// Checks the machine, raises limits, opens the ports and starts the log.
///
/// Precondition: this is the only thread.
pub fn prepare(mut config: NodeConfig) -> Result<Prepared, PreflightError> {
    if let Some(supervisor) = config.supervisor {
        tie_to(supervisor)?;
    }
    start_log(&config)?;
    let cpus = sys::available_cpus().map_err(failed("read the CPU affinity"))?;
    let layout = placement::plan(&cpus, &config.placement)?;
    // A kernel without it (before 4.14) is refused by the probe of io_uring, in better words.
    if let Err(error) = sys::register_membarrier() {
        log::debug!("membarrier cannot be registered: {error}");
    }
    sys::keep_freed_memory();
    allow_locked_memory()?;
    allow_files(&mut config)?;
    probe_ring()?;
    let listeners = listen(&config)?;
    let findings = check_system(config.system_check)?;
    Ok(Prepared { config, layout, listeners, findings })
}

/// Tells what is not as it should be; a recommendation that is not followed is no warning.
fn check_system(strictness: SystemCheck) -> Result<Vec<&'static str>, PreflightError> {
    if strictness == SystemCheck::Off {
        return Ok(Vec::new());
    }
    let findings = system_check::findings();
    if strictness == SystemCheck::Enforce && !findings.is_empty() {
        return Err(PreflightError::System(findings));
    }
    for finding in &findings {
        let level = if finding.is_required { log::Level::Warn } else { log::Level::Info };
        log::log!(level, "system check: {finding}");
    }
    let mut names: Vec<_> = findings.iter().map(|finding| finding.name).collect();
    names.dedup();
    Ok(names)
}

fn failed(call: &'static str) -> impl FnOnce(io::Error) -> PreflightError {
    move |source| PreflightError::SystemCall { call, source }
}

fn tie_to(supervisor: u32) -> Result<(), PreflightError> {
    sys::die_with_parent().map_err(failed("follow the end of the supervisor"))?;
    // The parent may have ended before the call above could take effect.
    if std::os::unix::process::parent_id() != supervisor {
        return Err(PreflightError::Orphan(supervisor));
    }
    Ok(())
}

fn start_log(config: &NodeConfig) -> Result<(), PreflightError> {
    let file = config.log_file.as_deref();
    logging::start(config.settings.tunables().loglevel, file).map_err(|source| {
        PreflightError::LogFile { path: file.unwrap_or("stderr").to_owned(), source }
    })
}

fn allow_locked_memory() -> Result<(), PreflightError> {
    let resource = Resource::LockedMemory;
    let mut limit = sys::limit(resource).map_err(failed("read the limit of locked memory"))?;
    if limit.soft < limit.hard {
        let raised = Limit { soft: limit.hard, ..limit };
        sys::set_limit(resource, raised).map_err(failed("raise the limit of locked memory"))?;
        limit = raised;
    }
    if limit.soft < LOCKED_BYTES_MIN {
        return Err(PreflightError::LockedMemory { limit: limit.soft });
    }
    Ok(())
}

/// Makes room for `maxclients`; where the machine has less, lowers `maxclients` and says so.
fn allow_files(config: &mut NodeConfig) -> Result<(), PreflightError> {
    let wanted = config.settings.tunables().maxclients as u64;
    let allowed = allow_clients(wanted)?;
    if allowed < wanted {
        config.settings.lower_maxclients(allowed);
        log::warn!(
            "maxclients is lowered from {wanted} to {allowed}, all that the limit of open files \
             allows; raise it (ulimit -n) to {} to have them",
            wanted + FILES_RESERVED
        );
    }
    Ok(())
}

/// Raises the limit of open files as far as `wanted` clients need it and the machine permits; gives
/// how many of them may connect. For `maxclients`, at the start and when it is changed.
pub fn allow_clients(wanted: u64) -> Result<u64, PreflightError> {
    let resource = Resource::OpenFiles;
    let needed = wanted.saturating_add(FILES_RESERVED);
    let limit = sys::limit(resource).map_err(failed("read the limit of open files"))?;
    if limit.soft >= needed {
        return Ok(wanted);
    }
    // A privileged process may raise the hard limit too.
    let raised = [needed, limit.hard.min(needed)].into_iter().find(|soft| {
        let raised = Limit { soft: *soft, hard: limit.hard.max(*soft) };
        sys::set_limit(resource, raised).is_ok()
    });
    let allowed = raised.unwrap_or(limit.soft);
    let clients = clients_for(allowed).ok_or(PreflightError::OpenFiles { limit: allowed })?;
    Ok(clients.min(wanted))
}

/// How many clients fit a limit of open files, if any.
fn clients_for(files: u64) -> Option<u64> {
    files.checked_sub(FILES_RESERVED).filter(|clients| *clients > 0)
}

/// Sets up and drops a ring with the flags that the node's rings use; the newest of them, deferred
/// task work, came with Linux 6.1.
fn probe_ring() -> Result<(), PreflightError> {
    let ring: io::Result<IoUring> = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .build(2);
    ring.map(drop).map_err(ring_refusal)
}

fn ring_refusal(error: io::Error) -> PreflightError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => PreflightError::RingBlocked,
        Some(libc::ENOSYS | libc::EINVAL) => PreflightError::KernelTooOld,
        Some(libc::ENOMEM) => PreflightError::RingMemory,
        _ => PreflightError::Ring(error),
    }
}

fn listen(config: &NodeConfig) -> Result<Listeners, PreflightError> {
    let backlog = config.tcp_backlog;
    Ok(Listeners {
        clients: listen_all(&config.bind, PortRole::Client, config.port, backlog)?,
        sentinels: match config.sentinel_port {
            0 => Vec::new(),
            port => listen_all(&config.bind, PortRole::Sentinel, port, backlog)?,
        },
        peers: listen_all(&config.bind, PortRole::Peer, config.cluster_port, backlog)?,
    })
}

fn listen_all(
    bind: &[BindAddress],
    role: PortRole,
    port: u16,
    backlog: i32,
) -> Result<Vec<Socket>, PreflightError> {
    let mut listeners = Vec::with_capacity(bind.len());
    for BindAddress { ip, presence } in bind {
        let address = SocketAddr::new(*ip, port);
        match listen_on(address, role, backlog) {
            Ok(listener) => listeners.push(listener),
            Err(error) if *presence == Presence::Optional && is_absent(&error) => {}
            Err(error) => return Err(listen_refusal(role, address, error)),
        }
    }
    if listeners.is_empty() { Err(PreflightError::NoAddress) } else { Ok(listeners) }
}

/// SO_REUSEADDR lets a node start while connections of its predecessor time out, and still finds
/// a live listener. SO_REUSEPORT would not find one: two nodes would share the port in silence.
fn listen_on(address: SocketAddr, role: PortRole, backlog: i32) -> io::Result<Socket> {
    let socket = socket::listen_socket(address, backlog)?;
    if role == PortRole::Peer {
        socket::set_peer_options(&socket)?;
    }
    Ok(socket)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT))
}

fn listen_refusal(role: PortRole, address: SocketAddr, source: io::Error) -> PreflightError {
    let port = address.port();
    match source.kind() {
        io::ErrorKind::AddrInUse => PreflightError::PortInUse { role, port },
        io::ErrorKind::AddrNotAvailable => PreflightError::NoSuchAddress { ip: address.ip() },
        io::ErrorKind::PermissionDenied => PreflightError::PortReserved { role, port },
        _ => PreflightError::Listen { address, source },
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn refused(errno: i32) -> String {
        ring_refusal(io::Error::from_raw_os_error(errno)).to_string()
    }

    #[test]
    fn a_refused_ring_is_explained_by_its_cause() {
        assert!(refused(libc::EPERM).contains("kernel.io_uring_disabled"));
        assert!(refused(libc::EPERM).contains("seccomp"));
        assert!(refused(libc::ENOSYS).contains("Linux 6.1 or newer"));
        assert!(refused(libc::EINVAL).contains("Linux 6.1 or newer"));
        assert!(refused(libc::ENOMEM).contains("ulimit -l"));
        assert!(refused(libc::EMFILE).contains("os error 24"));
    }

    #[test]
    fn a_listening_port_is_found_and_named_by_its_option() {
        let localhost = IpAddr::from([127, 0, 0, 1]);
        let bind = [BindAddress { ip: localhost, presence: Presence::Required }];
        let taken = TcpListener::bind((localhost, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        for (role, expected) in [
            (PortRole::Client, format!("port {port} is in use; choose another with --port")),
            (
                PortRole::Peer,
                format!("cluster port {port} is in use; choose another with --cluster-port"),
            ),
        ] {
            let refusal = listen_all(&bind, role, port, 1).unwrap_err();
            assert_eq!(refusal.to_string(), expected);
        }
        // Not the port just freed: whoever connects somewhere may be given it meanwhile.
        listen_all(&bind, PortRole::Client, 0, 1).unwrap();
    }

    #[test]
    fn a_foreign_address_is_refused_unless_it_may_be_absent() {
        // 192.0.2.0/24 is for documentation, so it is nobody's.
        let foreign = IpAddr::from([192, 0, 2, 1]);
        let required = BindAddress { ip: foreign, presence: Presence::Required };
        let optional = BindAddress { ip: foreign, presence: Presence::Optional };
        let local = BindAddress { ip: IpAddr::from([127, 0, 0, 1]), presence: Presence::Required };
        let refusal = listen_all(&[local, required], PortRole::Client, 0, 1).unwrap_err();
        assert!(matches!(refusal, PreflightError::NoSuchAddress { ip } if ip == foreign));
        let listeners = listen_all(&[local, optional], PortRole::Client, 0, 1).unwrap();
        assert_eq!(listeners.len(), 1);
        let refusal = listen_all(&[optional], PortRole::Client, 0, 1).unwrap_err();
        assert!(matches!(refusal, PreflightError::NoAddress));
    }

    #[test]
    fn clients_are_what_the_reserve_leaves_of_the_files() {
        assert_eq!(clients_for(FILES_RESERVED + 3), Some(3));
        assert_eq!(clients_for(FILES_RESERVED), None);
        assert_eq!(clients_for(10), None);
    }
}
