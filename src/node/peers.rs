//! The nodes of a static list find each other: each asks the others, over their client ports, who
//! they are, until they are in a cluster together. Runs on a thread of its own: it blocks.
//!
//! Owns the question (`RAFT.CLUSTER STATE`), its reply and the rounds. What follows from the
//! answers is decided in [`crate::raft::decide`]; the raft role carries it out, and it is the raft
//! role that answers the others, so that a node which has entered a cluster never calls itself
//! fresh again.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::client;
use crate::engine::reply::Reply;
use crate::raft::types::{Boot, ClusterId};
use crate::raft::{Answer, Decision, FreshNode, OnTotalLoss, decide, seen};

use super::join::{self, Credentials, JoinPlan, JoinRequest};
use super::mailbox::{Listed, Mailbox, ToRaft};
use super::shared::{NodeState, Shared, random_id};

/// Between two rounds over all listed nodes.
const PAUSE: Duration = Duration::from_millis(200);

/// A connection attempt, and each request, may take so long: one node that cannot be reached must
/// not keep the others apart for long.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What is waited for is logged when it changes, and else so often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Words of one node in a reply: slot, boot, client address, peer address.
const NODE_WORDS: usize = 4;

/// The search of one node for the others of its list.
pub struct Search {
    others: Vec<String>,
    policy: OnTotalLoss,
    credentials: Credentials,
    shared: Arc<Shared>,
    /// What was logged last, and when.
    told: Option<(String, Instant)>,
}

impl Search {
    /// `others`: the client addresses of the other nodes.
    pub fn new(
        others: Vec<String>,
        policy: OnTotalLoss,
        credentials: Credentials,
        shared: Arc<Shared>,
    ) -> Self {
        Self { others, policy, credentials, shared, told: None }
    }

    /// Asks until this node is in a cluster: [`ToRaft::Polled`] tells after every round how it
    /// stands, [`ToRaft::Found`] or [`ToRaft::Joined`] is the end.
    pub fn start(mut self, raft: Mailbox<ToRaft>) {
        let body = move || {
            // An administrator may have created a cluster here meanwhile, or the node stops.
            while self.shared.state() == NodeState::Joining {
                match self.round() {
                    going_on @ ToRaft::Polled(_) => raft.send(going_on),
                    end => return raft.send(end),
                }
                thread::sleep(PAUSE);
            }
        };
        if let Err(error) = thread::Builder::new().name("peers".to_owned()).spawn(body) {
            log::error!("cannot start a thread to find the listed nodes: {error}");
        }
    }

    fn round(&mut self) -> ToRaft {
        let own = self.shared.fresh_node();
        let answers: Vec<_> =
            self.others.iter().map(|address| (address.clone(), self.ask(address))).collect();
        let members = answers.iter().filter(|(_, it)| matches!(it, Answer::Member { .. }));
        let members: Vec<String> = members.map(|(address, _)| address.clone()).collect();
        let sees_cluster = !members.is_empty();
        let waiting = match decide(&own, &answers, self.policy) {
            Decision::Found(founders) => {
                return ToRaft::Found { cluster: random_id(), founders };
            }
            Decision::Follow { cluster, founders } => return ToRaft::Found { cluster, founders },
            Decision::Join => {
                let at = members.join(", ");
                let credentials = self.credentials.clone();
                let request = JoinRequest { addresses: members, plan: JoinPlan::Once, credentials };
                match join::ask_once(request, Arc::clone(&self.shared)) {
                    Ok(admission) => return ToRaft::Joined(Ok(admission)),
                    Err(error) => format!("admission at {at}: {error}"),
                }
            }
            Decision::Wait(why) => why,
        };
        self.tell(&waiting);
        ToRaft::Polled(Listed { seen: seen(&own, &answers), sees_cluster, waiting })
    }

    fn tell(&mut self, waiting: &str) {
        let known = |(text, at): &(String, Instant)| text == waiting && at.elapsed() < LOG_INTERVAL;
        if !self.told.as_ref().is_some_and(known) {
            log::warn!("waiting for a cluster: {waiting}");
            self.told = Some((waiting.to_owned(), Instant::now()));
        }
    }

    fn ask(&self, address: &str) -> Answer {
        let reply = join::connect(address, &self.credentials, TIMEOUT).and_then(|mut client| {
            let reply = client.call(&["RAFT.CLUSTER", "STATE"]);
            reply.inspect_err(|error| log::debug!("no answer from {address}: {error}")).ok()
        });
        match reply {
            Some(client::Reply::Error(text)) => {
                log::info!("{address} does not say who it is: {text}");
                Answer::Silent
            }
            Some(reply) => understand(&reply).unwrap_or_else(|| {
                log::warn!("{address} says who it is in a way that is not understood");
                Answer::Silent
            }),
            None => Answer::Silent,
        }
    }
}

/// The reply to RAFT.CLUSTER STATE: this node; its cluster, empty if it has none; and the nodes
/// that it sees, or that founded its cluster.
pub fn write_state(
    reply: &mut Reply,
    own: &FreshNode,
    cluster: Option<ClusterId>,
    nodes: &[FreshNode],
) {
    let cluster = cluster.map_or(String::new(), |cluster| format!("{cluster:032x}"));
    reply.array(3);
    write_nodes(reply, std::slice::from_ref(own));
    reply.bulk(cluster.as_bytes());
    write_nodes(reply, nodes);
}

fn write_nodes(reply: &mut Reply, nodes: &[FreshNode]) {
    reply.array(nodes.len() * NODE_WORDS);
    for node in nodes {
        reply.bulk(node.slot.as_bytes());
        reply.bulk(format!("{:032x}", node.boot).as_bytes());
        reply.bulk(node.client_address.as_bytes());
        reply.bulk(node.peer_address.as_bytes());
    }
}

fn understand(reply: &client::Reply) -> Option<Answer> {
    let client::Reply::Array(items) = reply else { return None };
    let [own, cluster, nodes] = &items[..] else { return None };
    let [node] = &read_nodes(own)?[..] else { return None };
    let nodes = read_nodes(nodes)?;
    Some(match text(cluster)? {
        "" => Answer::Fresh { node: node.clone(), seen: nodes },
        cluster => Answer::Member { cluster: hexadecimal(cluster)?, founders: nodes },
    })
}

fn read_nodes(reply: &client::Reply) -> Option<Vec<FreshNode>> {
    let client::Reply::Array(words) = reply else { return None };
    let node = |words: &[client::Reply]| {
        let [slot, boot, client_address, peer_address] = words else { return None };
        let boot: Boot = hexadecimal(text(boot)?)?;
        Some(FreshNode {
            slot: text(slot)?.to_owned(),
            boot,
            client_address: text(client_address)?.to_owned(),
            peer_address: text(peer_address)?.to_owned(),
        })
    };
    words.chunks(NODE_WORDS).map(node).collect()
}

fn text(reply: &client::Reply) -> Option<&str> {
    match reply {
        client::Reply::Bulk(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn hexadecimal(text: &str) -> Option<u128> {
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reply::Protocol;
    use std::io::Write;
    use std::net::TcpListener;

    fn node(slot: &str, boot: Boot) -> FreshNode {
        let address = |port: u16| format!("{slot}:{port}");
        let (client_address, peer_address) = (address(5001), address(15001));
        FreshNode { slot: slot.to_owned(), boot, client_address, peer_address }
    }

    /// What a node that answers these bytes is understood to have said.
    fn said(bytes: Vec<u8>) -> Option<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&bytes).unwrap();
            stream
        });
        let mut client = client::Client::connect(address, Duration::from_secs(10)).unwrap();
        let reply = client.call(&["RAFT.CLUSTER", "STATE"]).unwrap();
        server.join().unwrap();
        understand(&reply)
    }

    fn written(cluster: Option<ClusterId>, nodes: &[FreshNode]) -> Vec<u8> {
        let mut reply = Reply::new(Protocol::Resp2);
        write_state(&mut reply, &node("a", 7), cluster, nodes);
        reply.buffer
    }

    #[test]
    fn what_a_node_says_of_itself_is_understood_by_the_others() {
        let nodes = vec![node("a", 7), node("b", u128::MAX)];
        let expected = Answer::Fresh { node: node("a", 7), seen: nodes.clone() };
        assert_eq!(said(written(None, &nodes)), Some(expected));
        let expected = Answer::Member { cluster: 255, founders: Vec::new() };
        assert_eq!(said(written(Some(255), &[])), Some(expected));
    }

    #[test]
    fn what_is_no_such_answer_is_none() {
        for bytes in [
            &b"+OK\r\n"[..],
            b"*0\r\n",
            b"*3\r\n*0\r\n$0\r\n\r\n*0\r\n",
            b"*3\r\n*1\r\n$1\r\na\r\n$0\r\n\r\n*0\r\n",
            b"*3\r\n*4\r\n$1\r\na\r\n$1\r\nx\r\n$1\r\nb\r\n$1\r\nc\r\n$0\r\n\r\n*0\r\n",
            b"*3\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nz\r\n*0\r\n",
        ] {
            assert_eq!(said(bytes.to_vec()), None, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
