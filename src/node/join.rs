//! Asking a cluster to admit this process, over the client port of its nodes. Runs on a thread of
//! its own: it blocks, and it may take as long as the cluster is unreachable.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::client::{Client, ClientError, Reply};
use crate::net::resolve::resolve;
use crate::raft::types::MemberId;

use super::mailbox::{Admission, JoinError, Mailbox, ToRaft};
use super::shared::Shared;

/// What to do when nobody admits this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinPlan {
    /// RAFT.CLUSTER JOIN: each address is tried, and the client is told.
    Once,
    /// `--join`: goes on until a cluster does.
    UntilAdmitted,
}

/// Whom to ask, and how.
pub struct JoinRequest {
    pub addresses: Vec<String>,
    pub plan: JoinPlan,
    /// Empty: none is needed.
    pub password: String,
}

/// A connection attempt, and each request, may take so long.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Between two rounds over all addresses.
const PAUSE: Duration = Duration::from_millis(200);

/// Rounds of [`JoinPlan::Once`] while the cluster says that it has no leader or is busy.
const ROUNDS: usize = 25;

pub fn start(request: JoinRequest, shared: Arc<Shared>, raft: Mailbox<ToRaft>) {
    let started = thread::Builder::new().name("join".to_owned()).spawn({
        let raft = raft.clone();
        move || {
            let result = Attempt { request, shared }.join();
            raft.send(ToRaft::Joined(result));
        }
    });
    if let Err(error) = started {
        log::error!("cannot start a thread to join the cluster: {error}");
        raft.send(ToRaft::Joined(Err(JoinError::Unreachable)));
    }
}

/// Asks each address once, and the leader that it names.
pub fn ask_once(request: JoinRequest, shared: Arc<Shared>) -> Result<Admission, JoinError> {
    let attempt = Attempt { request, shared };
    let mut refusal = JoinError::Unreachable;
    for address in &attempt.request.addresses {
        match attempt.ask_and_follow(address) {
            Some(Answer::Admitted(admission)) => return Ok(admission),
            Some(Answer::No(reason) | Answer::Later(reason)) => {
                refusal = JoinError::Refused(reason);
            }
            Some(Answer::Moved(_)) | None => {}
        }
    }
    Err(refusal)
}

/// A connection to the first of the addresses that a name stands for which takes connections; the
/// password is given, if there is one. `timeout` bounds each attempt, and each request later.
pub fn connect(address: &str, password: &str, timeout: Duration) -> Option<Client> {
    let unreachable = |error: &ClientError| log::debug!("cannot reach {address}: {error}");
    let resolved = resolve(address);
    if resolved.is_empty() {
        log::warn!("{address} is not an address that can be resolved");
    }
    let mut client = resolved
        .into_iter()
        .find_map(|resolved| Client::connect(resolved, timeout).inspect_err(unreachable).ok())?;
    if !password.is_empty() {
        // Whoever needs none says so, and takes the requests that follow all the same.
        client.call(&["AUTH", password]).inspect_err(unreachable).ok()?;
    }
    Some(client)
}

struct Attempt {
    request: JoinRequest,
    shared: Arc<Shared>,
}

/// What one node said.
enum Answer {
    Admitted(Admission),
    /// Another node leads.
    Moved(String),
    /// Not now.
    Later(String),
    /// Not ever.
    No(String),
}

impl Attempt {
    fn join(&self) -> Result<Admission, JoinError> {
        let JoinRequest { addresses, plan, .. } = &self.request;
        let plan = *plan;
        let mut round = 0;
        loop {
            round += 1;
            let mut heard = false;
            for address in addresses {
                match self.ask_and_follow(address) {
                    Some(Answer::Admitted(admission)) => return Ok(admission),
                    Some(Answer::No(reason)) if plan == JoinPlan::Once => {
                        return Err(JoinError::Refused(reason));
                    }
                    Some(Answer::No(reason) | Answer::Later(reason)) => {
                        heard = true;
                        log::info!("{address} does not admit this node yet: {reason}");
                    }
                    Some(Answer::Moved(_)) | None => {}
                }
            }
            if plan == JoinPlan::Once && (!heard || round == ROUNDS) {
                return Err(JoinError::Unreachable);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Asks a node, and the one that it names as leader.
    fn ask_and_follow(&self, address: &str) -> Option<Answer> {
        match self.ask(address) {
            Some(Answer::Moved(leader)) => self.ask(&leader),
            answer => answer,
        }
    }

    /// `None` when the node cannot be talked to.
    fn ask(&self, address: &str) -> Option<Answer> {
        let mut client = connect(address, &self.request.password, TIMEOUT)?;
        let Shared { slot, client_address, peer_address, .. } = &*self.shared;
        let boot = format!("{:032x}", self.shared.boot);
        let words = [
            "RAFT.NODE",
            "ADD",
            "0",
            client_address,
            "SLOT",
            slot,
            "BOOT",
            &boot,
            "PEER",
            peer_address,
        ];
        let reply = client
            .call(&words)
            .inspect_err(|error| log::debug!("no answer from {address}: {error}"))
            .ok()?;
        Some(understand(reply))
    }
}

/// Errors of a leader that is busy.
const LATER: [&str; 3] = ["one voting change only", "try again", "leader transfer is in progress"];

fn understand(reply: Reply) -> Answer {
    match reply {
        Reply::Error(text) => {
            let code = text.split(' ').next().unwrap_or_default();
            match code {
                "MOVED" => Answer::Moved(text.rsplit(' ').next().unwrap_or_default().to_owned()),
                "CLUSTERDOWN" | "NOCLUSTER" | "TIMEOUT" | "LOADING" => Answer::Later(text),
                _ if LATER.iter().any(|reason| text.contains(reason)) => Answer::Later(text),
                _ => Answer::No(text),
            }
        }
        Reply::Array(items) => admission(&items).map_or_else(
            || Answer::No("a reply that was not understood".to_owned()),
            Answer::Admitted,
        ),
        _ => Answer::No("a reply that was not understood".to_owned()),
    }
}

/// The reply to RAFT.NODE ADD: id, cluster, then id and peer address of each member.
fn admission(items: &[Reply]) -> Option<Admission> {
    let [Reply::Integer(id), Reply::Bulk(cluster), Reply::Array(members)] = items else {
        return None;
    };
    let cluster = u128::from_str_radix(std::str::from_utf8(cluster).ok()?, 16).ok()?;
    let peer = |pair: &[Reply]| match pair {
        [Reply::Integer(id), Reply::Bulk(address)] => {
            Some((MemberId(*id as u64), String::from_utf8(address.clone()).ok()?))
        }
        _ => None,
    };
    let peers = members.chunks(2).map(peer).collect::<Option<Vec<_>>>()?;
    Some(Admission { cluster, member: MemberId(*id as u64), peers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admission_names_the_member_its_cluster_and_its_peers() {
        let reply = Reply::Array(vec![
            Reply::Integer(7),
            Reply::Bulk(b"000000000000000000000000000000ff".to_vec()),
            Reply::Array(vec![Reply::Integer(1), Reply::Bulk(b"127.0.0.1:15001".to_vec())]),
        ]);
        let Answer::Admitted(admission) = understand(reply) else { panic!("not admitted") };
        assert_eq!(admission.cluster, 255);
        assert_eq!(admission.member, MemberId(7));
        assert_eq!(admission.peers, vec![(MemberId(1), "127.0.0.1:15001".to_owned())]);
    }

    #[test]
    fn a_follower_names_the_leader_and_a_leaderless_cluster_is_asked_again() {
        let error = |text: &str| understand(Reply::Error(text.to_owned()));
        assert!(
            matches!(error("MOVED 0 127.0.0.1:5002"), Answer::Moved(to) if to == "127.0.0.1:5002")
        );
        assert!(matches!(error("CLUSTERDOWN No raft leader"), Answer::Later(_)));
        for reason in LATER {
            assert!(matches!(error(&format!("ERR {reason}")), Answer::Later(_)), "{reason}");
        }
        assert!(matches!(error("ERR this slot is alive"), Answer::No(_)));
        assert!(matches!(understand(Reply::Integer(1)), Answer::No(_)));
    }
}
