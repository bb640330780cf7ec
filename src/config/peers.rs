//! The static list of the nodes of a cluster: `--peers`, or the file of `cluster-config-file`.
//!
//! The file is Prez's `nodes.conf`: a line `name host:port` for each node, the same file for all of
//! them. Prez means the cluster port; whether this file does, or means client ports, its line of
//! this node tells, since a node knows both of its ports. Client ports lie [`CLUSTER_PORT_OFFSET`]
//! below cluster ports then. Empty lines and those that begin with `#` are passed by.

use std::fs;
use std::path::{Path, PathBuf};

use super::value::HostPort;
use super::{CLUSTER_PORT_OFFSET, SLOT_NAME_BYTES_MAX};
use crate::raft::MEMBERS_MAX;

/// The nodes of a cluster as one of them is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerList {
    /// The name that the list gives to this node.
    pub own_name: Option<String>,
    /// The client addresses of the other nodes.
    pub others: Vec<HostPort>,
}

/// Who this node is, as far as it can be told before the list is read.
pub struct Own<'a> {
    /// Empty: by its address.
    pub name: &'a str,
    pub client: &'a HostPort,
    pub cluster_port: u16,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    #[error("--peers, --cluster-config-file, --init and --join exclude each other")]
    Exclusive,
    #[error("--peers: {0}")]
    Option(ListError),
    #[error("cluster-config-file {}: {problem}", path.display())]
    File { path: PathBuf, problem: ListError },
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("line {number}: '{line}' is not of the form 'name host:port'")]
    Line { number: usize, line: String },
    #[error("{0} is listed twice")]
    Twice(String),
    #[error("more than {MEMBERS_MAX} nodes")]
    TooMany,
    #[error("this node, {0}, is not in the list")]
    NotListed(String),
    #[error("{name} is listed at {listed}, but this node is reached at {own}")]
    Elsewhere { name: String, listed: HostPort, own: String },
    #[error(
        "it names cluster ports, and this node's is not its client port plus \
         {CLUSTER_PORT_OFFSET}; name client ports"
    )]
    OtherOffset,
    #[error("{0}: a cluster port is above {CLUSTER_PORT_OFFSET}")]
    NoClusterPort(HostPort),
}

/// The list of `--peers`: client addresses, that of this node among them.
pub fn of_addresses(addresses: &[HostPort], own: &Own<'_>) -> Result<PeerList, ListError> {
    check_distinct(addresses.iter().map(ToString::to_string))?;
    if !addresses.contains(own.client) {
        return Err(ListError::NotListed(own.client.to_string()));
    }
    let others = addresses.iter().filter(|address| *address != own.client).cloned();
    Ok(PeerList { own_name: None, others: others.collect() })
}

/// The list in a file.
pub fn of_file(path: &Path, own: &Own<'_>) -> Result<PeerList, ListError> {
    parse(&fs::read_to_string(path)?, own)
}

fn parse(text: &str, own: &Own<'_>) -> Result<PeerList, ListError> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let nodes = lines.map(|(at, line)| {
        node(line).ok_or_else(|| ListError::Line { number: at + 1, line: line.to_owned() })
    });
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    check_distinct(nodes.iter().map(|(name, _)| name.clone()))?;
    check_distinct(nodes.iter().map(|(_, address)| address.to_string()))?;
    let own_peer = HostPort { host: own.client.host.clone(), port: own.cluster_port };
    let is_here = |address: &HostPort| *address == *own.client || *address == own_peer;
    let found = match own.name {
        "" => nodes.iter().find(|(_, address)| is_here(address)),
        name => nodes.iter().find(|(listed, _)| listed == name),
    };
    let Some((own_name, own_address)) = found else {
        let who = if own.name.is_empty() { own.client.to_string() } else { own.name.to_owned() };
        return Err(ListError::NotListed(who));
    };
    if !is_here(own_address) {
        let own = format!("{} (cluster port {})", own.client, own.cluster_port);
        let listed = own_address.clone();
        return Err(ListError::Elsewhere { name: own_name.clone(), listed, own });
    }
    let others = nodes.iter().filter(|(name, _)| name != own_name);
    let others = others.map(|(_, address)| match own_address == own.client {
        true => Ok(address.clone()),
        false => client_of(address, own),
    });
    let others = others.collect::<Result<_, _>>()?;
    Ok(PeerList { own_name: Some(own_name.clone()), others })
}

fn node(line: &str) -> Option<(String, HostPort)> {
    let (name, address) = line.split_once(char::is_whitespace)?;
    let is_name = name.len() <= SLOT_NAME_BYTES_MAX && !name.contains(char::is_control);
    let address = HostPort::parse(address.trim_start()).ok()?;
    is_name.then(|| (name.to_owned(), address))
}

/// The client address that belongs to the cluster port `address`.
fn client_of(address: &HostPort, own: &Own<'_>) -> Result<HostPort, ListError> {
    if own.cluster_port.checked_sub(CLUSTER_PORT_OFFSET) != Some(own.client.port) {
        return Err(ListError::OtherOffset);
    }
    let port = address.port.checked_sub(CLUSTER_PORT_OFFSET).filter(|port| *port > 0);
    let port = port.ok_or_else(|| ListError::NoClusterPort(address.clone()))?;
    Ok(HostPort { host: address.host.clone(), port })
}

fn check_distinct(names: impl Iterator<Item = String>) -> Result<(), ListError> {
    let mut known = Vec::new();
    for name in names {
        if known.contains(&name) {
            return Err(ListError::Twice(name));
        }
        known.push(name);
    }
    if known.len() > MEMBERS_MAX { Err(ListError::TooMany) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> HostPort {
        HostPort::parse(text).unwrap()
    }

    fn parse_as(
        name: &str,
        client: &str,
        cluster_port: u16,
        text: &str,
    ) -> Result<PeerList, String> {
        let own = Own { name, client: &address(client), cluster_port };
        parse(text, &own).map_err(|error| error.to_string())
    }

    const PREZ: &str = "# three of them\nnode-1 10.0.0.1:15001\n\n  node-2   10.0.0.2:15001\n\
                        node-3 10.0.0.3:15002\n";

    #[test]
    fn a_file_of_cluster_ports_is_understood_as_prez_wrote_it() {
        let expected = PeerList {
            own_name: Some("node-2".to_owned()),
            others: vec![address("10.0.0.1:5001"), address("10.0.0.3:5002")],
        };
        assert_eq!(parse_as("", "10.0.0.2:5001", 15001, PREZ), Ok(expected.clone()));
        assert_eq!(parse_as("node-2", "10.0.0.2:5001", 15001, PREZ), Ok(expected));
    }

    #[test]
    fn a_file_of_client_ports_is_understood_whatever_the_cluster_ports() {
        let text = "a 127.0.0.1:7001\nb 127.0.0.1:7002\nc [::1]:7003";
        let list = parse_as("", "127.0.0.1:7001", 9000, text).unwrap();
        assert_eq!(list.own_name.as_deref(), Some("a"));
        assert_eq!(list.others, [address("127.0.0.1:7002"), address("[::1]:7003")]);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused_with_what_is_wrong() {
        for (name, client, cluster_port, text, expected) in [
            ("", "h:1", 2, "a h:1\nb", "line 2: 'b' is not of the form 'name host:port'"),
            ("", "h:1", 2, "a h:1\nb h:x", "line 2: 'b h:x' is not of the form 'name host:port'"),
            ("", "h:1", 2, "a h:1 5", "line 1: 'a h:1 5' is not of the form 'name host:port'"),
            ("", "h:1", 2, "a h:1\na h:3", "a is listed twice"),
            ("", "h:1", 2, "a h:1\nb h:1", "h:1 is listed twice"),
            ("", "h:1", 2, "a h:3\nb h:4", "this node, h:1, is not in the list"),
            ("", "h:1", 2, "", "this node, h:1, is not in the list"),
            ("c", "h:1", 2, "a h:1\nb h:4", "this node, c, is not in the list"),
            (
                "b",
                "h:1",
                2,
                "a h:1\nb h:4",
                "b is listed at h:4, but this node is reached at h:1 (cluster port 2)",
            ),
            (
                "",
                "h:1",
                2,
                "a h:2\nb h:4",
                "it names cluster ports, and this node's is not its client port plus 10000; name \
                 client ports",
            ),
            ("", "h:1", 10001, "a h:10001\nb h:4", "h:4: a cluster port is above 10000"),
        ] {
            let error = parse_as(name, client, cluster_port, text).unwrap_err();
            assert_eq!(error, expected);
        }
        let many: String = (0..=MEMBERS_MAX).map(|n| format!("n{n} h:{}\n", n + 1)).collect();
        assert_eq!(parse_as("", "h:1", 2, &many).unwrap_err(), "more than 64 nodes");
    }

    #[test]
    fn the_addresses_of_an_option_name_each_node_once_and_this_one_too() {
        let list = |texts: &[&str]| {
            let addresses: Vec<_> = texts.iter().map(|text| address(text)).collect();
            let own = Own { name: "x", client: &address("h:1"), cluster_port: 2 };
            of_addresses(&addresses, &own).map_err(|error| error.to_string())
        };
        let others = vec![address("h:3"), address("h:5")];
        assert_eq!(list(&["h:3", "h:1", "h:5"]), Ok(PeerList { own_name: None, others }));
        assert_eq!(list(&["h:1"]), Ok(PeerList { own_name: None, others: Vec::new() }));
        assert_eq!(list(&["h:3"]).unwrap_err(), "this node, h:1, is not in the list");
        assert_eq!(list(&["h:3", "h:1", "h:3"]).unwrap_err(), "h:3 is listed twice");
    }
}
