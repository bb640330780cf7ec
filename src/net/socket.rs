//! Sockets as Mayfly wants them: options set once, before a socket reaches a ring.
//!
//! A connection inherits the options of the listener it came through, so none are set per accept.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// A dead machine behind an idle connection is noticed after this, as with Redis's default
/// `tcp-keepalive 300`, and three probes a third of it apart.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// A peer that acknowledges nothing sent to it for this long has lost its connection. Elections
/// do not wait for it: this frees the link so that it can be made anew.
pub const PEER_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// A socket that listens for TCP connections on `address`.
pub fn listen_socket(address: SocketAddr, backlog: i32) -> io::Result<Socket> {
    let socket = stream_socket(address)?;
    // A restarted node takes its port back while old connections are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `0.0.0.0` and `::` are separate addresses in the configuration, as they are in Redis.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket)
}

/// An unconnected socket for a connection to a peer at `address`.
pub fn peer_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = stream_socket(address)?;
    set_peer_options(&socket)?;
    Ok(socket)
}

/// Sets what links between nodes have beyond the rest; on a listener, for all that it accepts.
pub fn set_peer_options(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(PEER_USER_TIMEOUT))
}

/// Has a client that answers nothing found dead after `time`, and two more thirds of it, if ever.
/// The default is inherited from the listener and costs no system call.
pub fn set_keepalive(socket: &Socket, time: Option<Duration>) -> io::Result<()> {
    match time {
        Some(KEEPALIVE) => Ok(()),
        Some(time) => socket.set_tcp_keepalive(&keepalive(time)),
        None => socket.set_keepalive(false),
    }
}

fn keepalive(time: Duration) -> TcpKeepalive {
    // The kernel takes whole seconds, and no zero.
    let interval = (time / 3).max(Duration::from_secs(1));
    TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(3)
}

fn stream_socket(address: SocketAddr) -> io::Result<Socket> {
    // `Socket::new` sets CLOEXEC.
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Replies go out once per pass and whole, so nothing is gained by holding them back.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive(KEEPALIVE))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_listener_accepts_does_not_wait_to_send() {
        let listener = listen_socket("127.0.0.1:0".parse().unwrap(), 4).unwrap();
        let address = listener.local_addr().unwrap();
        let client = peer_socket(address.as_socket().unwrap()).unwrap();
        client.connect(&address).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(client.tcp_nodelay().unwrap());
        assert!(accepted.tcp_nodelay().unwrap(), "options are inherited from the listener");
        assert!(accepted.keepalive().unwrap());
        set_keepalive(&accepted, None).unwrap();
        assert!(!accepted.keepalive().unwrap());
        set_keepalive(&accepted, Some(Duration::from_secs(1))).unwrap();
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_secs(1));
    }
}
