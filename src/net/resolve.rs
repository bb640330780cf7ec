//! From the address of a peer to a socket address. A name is looked up on a thread of its own: a
//! name server may take seconds to answer, and the raft role must not stand still for it.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;

/// A name that is being looked up. The thread ends with the lookup, whether or not this lives.
pub struct Lookup {
    answer: flume::Receiver<Vec<SocketAddr>>,
}

impl Lookup {
    /// `address` is `host:port`, an IPv6 address in brackets.
    pub fn start(address: &str) -> io::Result<Self> {
        let (sender, answer) = flume::bounded(1);
        let address = address.to_owned();
        thread::Builder::new().name("resolve".to_owned()).spawn(move || {
            // Who asked may have lost interest.
            let _ = sender.send(resolve(&address));
        })?;
        Ok(Self { answer })
    }

    /// What the name stands for, as soon as that is known: nothing, if it stands for nothing.
    pub fn poll(&self) -> Option<Vec<SocketAddr>> {
        match self.answer.try_recv() {
            Ok(addresses) => Some(addresses),
            Err(flume::TryRecvError::Empty) => None,
            Err(flume::TryRecvError::Disconnected) => Some(Vec::new()),
        }
    }
}

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
    use std::time::{Duration, Instant};

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

    #[test]
    fn a_lookup_answers_once_it_knows() {
        let deadline = Instant::now() + Duration::from_secs(30);
        for (address, found) in [("localhost:7", true), ("no such host:7", false)] {
            let lookup = Lookup::start(address).unwrap();
            let addresses = loop {
                if let Some(addresses) = lookup.poll() {
                    break addresses;
                }
                assert!(Instant::now() < deadline, "{address}");
                thread::yield_now();
            };
            assert_eq!(!addresses.is_empty(), found, "{address}");
        }
    }
}
