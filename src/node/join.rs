//! Asking a cluster to admit this process, over the client port of its nodes. Runs on a thread of
//! its own: it blocks, and it may take as long as the cluster is unreachable.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::client::{Client, ClientError, Reply};
use crate::config::Tunables;
use crate::net::resolve::resolve;
use crate::raft::types::MemberId;

use super::admin::SLOT_ALIVE;
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
    pub credentials: Credentials,
}

/// As whom a node asks others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Empty: the default user.
    pub user: String,
    /// Empty: none is needed.
    pub password: String,
}

impl Credentials {
    /// What the settings of the node say.
    pub fn of(settings: &Tunables) -> Self {
        let Tunables { masteruser, masterauth, requirepass, .. } = settings;
        let password = if masterauth.is_empty() { requirepass } else { masterauth };
        Self { user: masteruser.clone(), password: password.clone() }
    }

    /// AUTH, if any is needed.
    pub fn command(&self) -> Option<Vec<&str>> {
        match (self.user.as_str(), self.password.as_str()) {
            ("", "") => None,
            ("", password) => Some(vec!["AUTH", password]),
            (user, password) => Some(vec!["AUTH", user, password]),
        }
    }
}

/// A connection attempt, and each request, may take so long.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Between two rounds over all addresses.
const PAUSE: Duration = Duration::from_millis(200);

/// Rounds of [`JoinPlan::Once`] while the cluster says that it has no leader or is busy.
const ROUNDS: usize = 25;

/// The longest pause of a process whose slot is another's. Each question is one command of the
/// leader, and the one who holds the slot may die at any time.
const SLOT_ALIVE_PAUSE_MAX: Duration = Duration::from_secs(10);

pub fn start(request: JoinRequest, shared: Arc<Shared>, raft: Mailbox<ToRaft>) {
    let started = thread::Builder::new().name("join".to_owned()).spawn({
        let raft = raft.clone();
        move || {
            let result = Attempt { request, shared, told: String::new() }.join();
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
    let attempt = Attempt { request, shared, told: String::new() };
    let mut refusal = JoinError::Unreachable;
    for address in &attempt.request.addresses {
        match attempt.ask_and_follow(address) {
            Some(Answer::Admitted(admission)) => return Ok(admission),
            Some(Answer::No(reason) | Answer::Later(reason)) => {
                refusal = JoinError::Refused(reason);
            }
            Some(Answer::SlotAlive(reason, _)) => {
                // Without the time after it, which differs with each answer.
                let who = reason.split("; ").next().unwrap_or_default();
                refusal = JoinError::Refused(who.to_owned());
            }
            Some(Answer::Moved(_)) | None => {}
        }
    }
    Err(refusal)
}

/// A connection to the first of the addresses that a name stands for which takes connections; it
/// is told who asks, if need be. `timeout` bounds each attempt, and each request later.
pub fn connect(address: &str, credentials: &Credentials, timeout: Duration) -> Option<Client> {
    let unreachable = |error: &ClientError| log::debug!("cannot reach {address}: {error}");
    let resolved = resolve(address);
    if resolved.is_empty() {
        log::warn!("{address} is not an address that can be resolved");
    }
    let mut client = resolved
        .into_iter()
        .find_map(|resolved| Client::connect(resolved, timeout).inspect_err(unreachable).ok())?;
    if let Some(command) = credentials.command() {
        // Whoever needs none says so, and takes the requests that follow all the same.
        client.call(&command).inspect_err(unreachable).ok()?;
    }
    Some(client)
}

struct Attempt {
    request: JoinRequest,
    shared: Arc<Shared>,
    /// The last reason that was logged: the same again is not.
    told: String,
}

/// What one node said.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Admitted(Admission),
    /// Another node leads.
    Moved(String),
    /// Not now.
    Later(String),
    /// The slot has a live process, and counts as taken for so long at least.
    SlotAlive(String, Duration),
    /// Not ever.
    No(String),
}

/// How a round over all addresses ended.
enum Round {
    Admitted(Admission),
    Refused(String),
    SlotAlive(String, Duration),
    Again { heard: bool },
}

/// How long a process waits whose slot has a live one.
///
/// The predecessor of a process that was restarted counts as alive for a while; it is asked again
/// as soon as that is over. One that is still alive then really is: the pause grows.
#[derive(Default)]
struct Patience {
    last: Option<Duration>,
}

impl Patience {
    fn next(&mut self, free_in: Duration) -> Duration {
        let pause = self.last.map_or(free_in, |last| free_in.max(2 * last));
        let pause = pause.min(SLOT_ALIVE_PAUSE_MAX);
        self.last = Some(pause);
        pause
    }

    fn has_waited(&self) -> bool {
        self.last.is_some()
    }
}

impl Attempt {
    fn join(mut self) -> Result<Admission, JoinError> {
        let is_once = self.request.plan == JoinPlan::Once;
        let mut patience = Patience::default();
        let mut round = 0;
        let result = loop {
            round += 1;
            match self.ask_all() {
                Round::Admitted(admission) => break Ok(admission),
                Round::Refused(reason) if is_once => break Err(JoinError::Refused(reason)),
                Round::SlotAlive(reason, _) if is_once && patience.has_waited() => {
                    break Err(JoinError::Refused(reason));
                }
                Round::SlotAlive(reason, free_in) => {
                    let pause = patience.next(free_in);
                    let slot = &self.shared.slot;
                    log::warn!(
                        "another process has the slot {slot}: {reason}; this one serves nobody \
                         and asks again in {pause:?}"
                    );
                    self.shared.set_join_refusal(&reason);
                    thread::sleep(pause);
                    continue;
                }
                Round::Again { heard } if is_once && (!heard || round == ROUNDS) => {
                    break Err(JoinError::Unreachable);
                }
                Round::Refused(_) | Round::Again { .. } => {}
            }
            thread::sleep(PAUSE);
        };
        self.shared.set_join_refusal("");
        result
    }

    /// Asks one after the other until one has an answer that ends the round.
    fn ask_all(&mut self) -> Round {
        let mut round = Round::Again { heard: false };
        for address in self.request.addresses.clone() {
            match self.ask_and_follow(&address) {
                Some(Answer::Admitted(admission)) => return Round::Admitted(admission),
                Some(Answer::SlotAlive(reason, free_in)) => {
                    return Round::SlotAlive(reason, free_in);
                }
                Some(Answer::No(reason)) => {
                    self.tell(&address, &reason);
                    round = Round::Refused(reason);
                    if self.request.plan == JoinPlan::Once {
                        return round;
                    }
                }
                Some(Answer::Later(reason)) => {
                    self.tell(&address, &reason);
                    if matches!(round, Round::Again { .. }) {
                        round = Round::Again { heard: true };
                    }
                }
                Some(Answer::Moved(_)) | None => {}
            }
        }
        round
    }

    /// Says why nobody admits this process, once for each reason.
    fn tell(&mut self, address: &str, reason: &str) {
        if self.told != reason {
            log::info!("{address} does not admit this node yet: {reason}");
            self.shared.set_join_refusal(reason);
            reason.clone_into(&mut self.told);
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
        let mut client = connect(address, &self.request.credentials, TIMEOUT)?;
        let Shared { slot, client_address, peer_address, .. } = &*self.shared;
        let boot = format!("{:032x}", self.shared.boot);
        let mut words = vec![
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
        if self.shared.observer {
            words.push("OBSERVER");
        }
        let reply = client
            .call(&words)
            .inspect_err(|error| log::debug!("no answer from {address}: {error}"))
            .ok()?;
        Some(understand(reply))
    }
}

/// Refusals that end by themselves.
const PASSING: [&str; 3] =
    ["one voting change only", "try again", "leader transfer is in progress"];

/// The milliseconds that the refusal of a slot ends with.
fn free_in(text: &str) -> Option<Duration> {
    let ms = text.strip_suffix(" ms")?.rsplit(' ').next()?;
    ms.parse().ok().map(Duration::from_millis)
}

fn understand(reply: Reply) -> Answer {
    match reply {
        Reply::Error(text) => {
            let code = text.split(' ').next().unwrap_or_default();
            match code {
                "MOVED" => Answer::Moved(text.rsplit(' ').next().unwrap_or_default().to_owned()),
                "CLUSTERDOWN" | "NOCLUSTER" | "TIMEOUT" | "LOADING" => Answer::Later(text),
                SLOT_ALIVE => {
                    let free_in = free_in(&text).unwrap_or(SLOT_ALIVE_PAUSE_MAX);
                    Answer::SlotAlive(text, free_in)
                }
                _ if PASSING.iter().any(|reason| text.contains(reason)) => Answer::Later(text),
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
    use crate::node::admin::Refusal;
    use crate::raft::MembershipError;
    use crate::raft::types::Configuration;

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
        for reason in PASSING {
            assert!(matches!(error(&format!("ERR {reason}")), Answer::Later(_)), "{reason}");
        }
        assert!(matches!(error("ERR this slot is an observer's"), Answer::No(_)));
        assert!(matches!(understand(Reply::Integer(1)), Answer::No(_)));
    }

    #[test]
    fn the_refusal_of_a_slot_says_when_to_ask_again() {
        let error = MembershipError::SlotAlive { member: MemberId(3), free_in_ms: 1560 };
        let text = Refusal::Membership(error).text(&Configuration::default());
        assert_eq!(text, "SLOTALIVE member 3 of this slot is alive; ask again in 1560 ms");
        let expected = Answer::SlotAlive(text.clone(), Duration::from_millis(1560));
        assert_eq!(understand(Reply::Error(text)), expected);
    }

    #[test]
    fn a_process_whose_slot_is_taken_asks_when_it_may_be_free_and_then_ever_less_often() {
        let mut patience = Patience::default();
        let ms = Duration::from_millis;
        let mut pauses = |free_in| patience.next(ms(free_in)).as_millis();
        assert_eq!(pauses(900), 900, "a predecessor that died is free then");
        assert_eq!([1600, 1550, 1600].map(&mut pauses), [1800, 3600, 7200]);
        assert_eq!([1600, 1600].map(&mut pauses), [10_000, 10_000]);
        assert_eq!(Patience::default().next(ms(60_000)), SLOT_ALIVE_PAUSE_MAX);
        assert_eq!(Patience::default().next(ms(3)), ms(3));
    }
}
