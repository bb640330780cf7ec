//! Whether a node takes part in the cluster and answers clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::client::{Client, ClientError, Reply};
use crate::config::NodeConfig;

/// Longest wait for one reply: nothing else is looked after meanwhile.
const REPLY_TIMEOUT: Duration = Duration::from_millis(250);

/// Why a node is not ready yet.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("it answers {0:?}")]
    Refused(Reply),
    #[error("its {field} is {}", .found.as_deref().unwrap_or("missing"))]
    Field { field: &'static str, found: Option<String> },
}

/// Asks a node whether it is up, knows a leader and counts `voters` voters, and has it do a
/// linearizable read, for which a leader must have committed.
pub fn check(node: &NodeConfig, voters: usize) -> Result<(), NotReady> {
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), node.port);
    let client = Client::connect(address, REPLY_TIMEOUT)?;
    check_by(client, &node.settings.tunables().requirepass, voters)
}

fn check_by(mut client: Client, password: &str, voters: usize) -> Result<(), NotReady> {
    if !password.is_empty() {
        match client.call(&["AUTH", password])? {
            Reply::Simple(_) => {}
            refused => return Err(NotReady::Refused(refused)),
        }
    }
    let info = match client.call(&["INFO", "raft"])? {
        Reply::Bulk(info) => String::from_utf8_lossy(&info).into_owned(),
        refused => return Err(NotReady::Refused(refused)),
    };
    expect(&info, "raft_state", |state| state == "up")?;
    expect(&info, "raft_leader_id", |id| id.parse::<i64>().is_ok_and(|id| id > 0))?;
    expect(&info, "raft_num_voting_nodes", |count| count.parse() == Ok(voters))?;
    match client.call(&["GET", "ready"])? {
        Reply::Bulk(_) | Reply::Nil => Ok(()),
        // The key may be anyone's and of any type; this too was a read.
        Reply::Error(text) if text.starts_with("WRONGTYPE") => Ok(()),
        refused => Err(NotReady::Refused(refused)),
    }
}

fn expect(info: &str, field: &'static str, fits: impl Fn(&str) -> bool) -> Result<(), NotReady> {
    let found = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    match found {
        Some(value) if fits(value) => Ok(()),
        other => Err(NotReady::Field { field, found: other.map(str::to_owned) }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Lets a server with these replies be checked for three voters.
    fn check(password: &str, replies: &[&str]) -> Result<(), NotReady> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let replies: Vec<_> = replies.iter().map(|reply| (*reply).to_owned()).collect();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            for reply in replies {
                if stream.read(&mut request).unwrap() > 0 {
                    stream.write_all(reply.as_bytes()).unwrap();
                }
            }
        });
        // However busy the machine is.
        let client = Client::connect(address, Duration::from_secs(60)).unwrap();
        let outcome = check_by(client, password, 3);
        server.join().unwrap();
        outcome
    }

    fn info(state: &str, leader: &str, voters: &str) -> String {
        let text = format!(
            "# Raft\r\nraft_state:{state}\r\nraft_leader_id:{leader}\r\n\
             raft_num_voting_nodes:{voters}\r\n"
        );
        format!("${}\r\n{text}\r\n", text.len())
    }

    #[test]
    fn a_voter_that_reads_is_ready() {
        check("", &[&info("up", "1", "3"), "$-1\r\n"]).unwrap();
        check("", &[&info("up", "1", "3"), "$1\r\nx\r\n"]).unwrap();
        check("secret", &["+OK\r\n", &info("up", "12", "3"), "$-1\r\n"]).unwrap();
    }

    #[test]
    fn a_node_that_lacks_anything_is_not() {
        for (replies, expected) in [
            (vec![info("joining", "1", "3")], "its raft_state is joining"),
            (vec![info("up", "-1", "3")], "its raft_leader_id is -1"),
            (vec![info("up", "1", "2")], "its raft_num_voting_nodes is 2"),
            (vec!["$0\r\n\r\n".to_owned()], "its raft_state is missing"),
            (vec!["-ERR no\r\n".to_owned()], "it answers Error(\"ERR no\")"),
            (
                vec![info("up", "1", "3"), "-CLUSTERDOWN No raft leader\r\n".to_owned()],
                "it answers Error(\"CLUSTERDOWN No raft leader\")",
            ),
        ] {
            let replies: Vec<_> = replies.iter().map(String::as_str).collect();
            assert_eq!(check("", &replies).unwrap_err().to_string(), expected);
        }
        assert!(matches!(check("secret", &["-ERR no\r\n"]), Err(NotReady::Refused(_))));
    }
}
