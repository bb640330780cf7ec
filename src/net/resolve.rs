//! From `host:port` to socket addresses, for who can wait for a name server. Links to peers cannot,
//! and look names up beside the raft role.

use std::net::{SocketAddr, ToSocketAddrs};

/// All socket addresses of `host:port`, in the order in which the system would try them. Blocks
/// while a name is looked up.
pub fn resolve(address: &str) -> Vec<SocketAddr> {
    if let Ok(address) = address.parse() {
        return vec![address];
    }
    let Some((host, port)) = split(address) else { return Vec::new() };
    (host, port).to_socket_addrs().map_or_else(|_| Vec::new(), Iterator::collect)
}

/// Host and port, without the brackets of IPv6.
fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_itself_and_a_name_is_looked_up() {
        for address in ["10.0.0.9:7", "[::1]:7"] {
            assert_eq!(resolve(address), [address.parse::<SocketAddr>().unwrap()]);
        }
        let local = resolve("localhost:7");
        assert!(!local.is_empty() && local.iter().all(|it| it.ip().is_loopback()), "{local:?}");
        for nothing in ["localhost", "localhost:x", "[::1]", "no such host:7", ""] {
            assert!(resolve(nothing).is_empty(), "{nothing}");
        }
    }
}
