//! RAFT.WAIT_READY: whether this node is so far that another one may be restarted, and who waits
//! for that.
//!
//! Ready is a voter, or an observer, of a configuration that is committed and not joint, that knows
//! a leader, has a link to every other voter, and has applied all that was committed when it was
//! asked. The last is found out by a read index, so it holds for what any node had acknowledged by
//! then.

use thiserror::Error;

use crate::limits::READY_WAITERS_MAX;
use crate::net::peer::PeerReport;
use crate::raft::types::{Index, MemberId, Millis, Stream, Ticket};
use crate::raft::{GivenUp, ReadReady, Status};

use super::admin::{Admin, Answers};

/// The stream of the reads that find out how far the cluster is. No net role has this number.
pub const READY_STREAM: Stream = Stream::MAX;

/// Why a node is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Obstacle {
    #[error("the node belongs to no cluster")]
    NoCluster,
    #[error("the node is not a voter")]
    NotVoter,
    #[error("a configuration change is in progress")]
    ChangeInProgress,
    #[error("the node knows no leader")]
    NoLeader,
    #[error("voter {0} is not connected")]
    Disconnected(MemberId),
    #[error("the node has not applied all that is committed")]
    Behind,
}

/// What keeps a member from being ready, as far as it can tell without asking the leader.
pub fn obstacle(status: &Status, links: &[PeerReport]) -> Option<Obstacle> {
    let configuration = &status.configuration;
    let is_observer = configuration.member(status.id).is_some_and(|member| member.observer);
    if !configuration.is_voter(status.id) && !is_observer {
        return Some(Obstacle::NotVoter);
    }
    if configuration.is_joint() || status.configuration_index > status.commit_index {
        return Some(Obstacle::ChangeInProgress);
    }
    if status.leader_id.is_none() {
        return Some(Obstacle::NoLeader);
    }
    disconnected_voter(status, links).map(Obstacle::Disconnected)
}

/// A voter that this member has no link to.
pub fn disconnected_voter(status: &Status, links: &[PeerReport]) -> Option<MemberId> {
    let is_linked =
        |id: &MemberId| links.iter().any(|link| link.id == *id && link.state == "connected");
    let mut voters = status.configuration.voters.iter().copied();
    voters.find(|id| *id != status.id && !is_linked(id))
}

/// Who waits for the node to be ready.
#[derive(Default)]
pub struct Readiness {
    /// At most [`READY_WAITERS_MAX`].
    waiters: Vec<Waiter>,
    last_ticket: Ticket,
    /// Reads that consensus has not yet said anything on.
    pending: usize,
}

struct Waiter {
    admin: Admin,
    deadline_ms: Millis,
    /// Its read, once nothing else kept the node from being ready.
    ticket: Option<Ticket>,
    /// What the read must find applied.
    index: Option<Index>,
}

impl Readiness {
    pub fn is_awaited(&self) -> bool {
        !self.waiters.is_empty()
    }

    pub fn await_ready(&mut self, admin: Admin, deadline_ms: Millis, answers: &Answers) {
        if self.waiters.len() >= READY_WAITERS_MAX {
            return answers.error(admin, "ERR too many clients wait for this node to be ready");
        }
        self.waiters.push(Waiter { admin, deadline_ms, ticket: None, index: None });
    }

    /// Answers whose wait is over; returns the reads to ask for.
    pub fn advance(
        &mut self,
        obstacle: Option<Obstacle>,
        applied_index: Index,
        now_ms: Millis,
        answers: &Answers,
    ) -> Vec<Ticket> {
        let Self { waiters, last_ticket, pending } = self;
        let mut reads = Vec::new();
        waiters.retain_mut(|waiter| {
            if obstacle.is_none() {
                if waiter.index.is_some_and(|index| index <= applied_index) {
                    answers.ok(waiter.admin);
                    return false;
                }
                if waiter.ticket.is_none() {
                    *last_ticket = last_ticket.next();
                    *pending += 1;
                    waiter.ticket = Some(*last_ticket);
                    reads.push(*last_ticket);
                }
            }
            if now_ms < waiter.deadline_ms {
                return true;
            }
            let reason = obstacle.unwrap_or(Obstacle::Behind);
            answers.error(waiter.admin, &format!("TIMEOUT not ready: {reason}"));
            false
        });
        reads
    }

    /// Takes out what consensus says on the reads of this stream.
    pub fn take_reads(&mut self, reads: &mut Vec<ReadReady>, given_up: &mut Vec<GivenUp>) {
        if self.pending == 0 {
            return;
        }
        let Self { waiters, pending, .. } = self;
        reads.retain(|read| {
            if read.stream != READY_STREAM {
                return true;
            }
            *pending -= 1;
            if let Some(waiter) = waiters.iter_mut().find(|it| it.ticket == Some(read.ticket)) {
                waiter.index = Some(read.index);
            }
            false
        });
        given_up.retain(|given_up| {
            if given_up.stream != READY_STREAM {
                return true;
            }
            *pending -= 1;
            if let Some(waiter) = waiters.iter_mut().find(|it| it.ticket == Some(given_up.ticket)) {
                waiter.ticket = None;
            }
            false
        });
    }

    /// The node stops, so it will not be ready any more.
    pub fn stop(&mut self, answers: &Answers) {
        for waiter in self.waiters.drain(..) {
            answers.error(waiter.admin, "ERR the node stops");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use socket2::{Domain, Type};

    use super::*;
    use crate::engine::reply::Protocol;
    use crate::net::ring::{Connection, Ring};
    use crate::node::mailbox::{ClientHandle, Mailbox, ToNet};
    use crate::raft::types::{Configuration, Term};
    use crate::raft::{GiveUpReason, RoleKind};

    fn status() -> Status {
        let configuration = Configuration {
            voters: vec![MemberId(1), MemberId(2), MemberId(3)],
            voters_outgoing: Vec::new(),
            learners: vec![MemberId(4)],
            members: Vec::new(),
        };
        Status {
            id: MemberId(2),
            role: RoleKind::Follower,
            term: Term(5),
            leader_id: Some(MemberId(1)),
            voted_for: None,
            commit_index: Index(90),
            handed_out_index: Index(90),
            first_index: Index(11),
            last_index: Index(100),
            log_bytes: 4096,
            configuration: Arc::new(configuration),
            configuration_index: Index(60),
            peers: Vec::new(),
            transfer_target: None,
            pending_reads: 0,
            unconfirmed_requests: 0,
            outstanding_batches: 0,
        }
    }

    fn link(id: u64, state: &'static str) -> PeerReport {
        let id = MemberId(id);
        PeerReport { id, state, connections: 1, errors: 0, connected_at_ms: None }
    }

    fn links() -> Vec<PeerReport> {
        vec![link(1, "connected"), link(3, "connected"), link(4, "disconnected")]
    }

    #[test]
    fn a_linked_voter_of_a_settled_configuration_has_no_obstacle() {
        assert_eq!(obstacle(&status(), &links()), None, "learners are not needed");
        let with = |change: fn(&mut Status, &mut Configuration)| {
            let mut status = status();
            let mut configuration = Configuration::clone(&status.configuration);
            change(&mut status, &mut configuration);
            status.configuration = Arc::new(configuration);
            obstacle(&status, &links())
        };
        let learner = with(|status, _| status.id = MemberId(4));
        assert_eq!(learner, Some(Obstacle::NotVoter));
        let joint = with(|_, configuration| configuration.voters_outgoing = vec![MemberId(1)]);
        assert_eq!(joint, Some(Obstacle::ChangeInProgress));
        let uncommitted = with(|status, _| status.configuration_index = Index(91));
        assert_eq!(uncommitted, Some(Obstacle::ChangeInProgress));
        let leaderless = with(|status, _| status.leader_id = None);
        assert_eq!(leaderless, Some(Obstacle::NoLeader));
        let lonely = obstacle(&status(), &[link(1, "connected"), link(3, "connecting")]);
        assert_eq!(lonely, Some(Obstacle::Disconnected(MemberId(3))));
    }

    struct Bench {
        readiness: Readiness,
        answers: Answers,
        replies: flume::Receiver<ToNet>,
        connection: Connection,
    }

    impl Bench {
        fn new() -> Self {
            let (sender, replies) = flume::unbounded();
            let answers = Answers::new(vec![Mailbox::new(sender, None)]);
            let (socket, _) = socket2::Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
            let connection = Ring::new(8).unwrap().adopt(socket);
            Self { readiness: Readiness::default(), answers, replies, connection }
        }

        fn wait(&mut self, deadline_ms: Millis) {
            let client = ClientHandle { stream: 0, connection: self.connection };
            let admin = Admin { client, protocol: Protocol::Resp2 };
            self.readiness.await_ready(admin, deadline_ms, &self.answers);
        }

        fn advance(
            &mut self,
            obstacle: Option<Obstacle>,
            applied: u64,
            now: Millis,
        ) -> Vec<Ticket> {
            self.readiness.advance(obstacle, Index(applied), now, &self.answers)
        }

        fn confirm(&mut self, ticket: Ticket, index: u64) {
            let other = ReadReady { stream: 0, ticket, index: Index(index), at_ms: 0 };
            let mut reads = vec![other, ReadReady { stream: READY_STREAM, ..other }];
            self.readiness.take_reads(&mut reads, &mut Vec::new());
            assert_eq!(reads, [other], "the reads of clients are theirs");
        }

        fn replies(&self) -> Vec<String> {
            let text = |message| match message {
                ToNet::Answer { reply, .. } => String::from_utf8(reply).unwrap(),
                _ => panic!("not an answer"),
            };
            self.replies.try_iter().map(text).collect()
        }
    }

    #[test]
    fn who_waits_is_answered_when_what_was_committed_is_applied() {
        let mut bench = Bench::new();
        bench.wait(1000);
        assert!(bench.advance(Some(Obstacle::NotVoter), 50, 10).is_empty(), "too early to ask");
        let asked = bench.advance(None, 50, 20);
        assert_eq!(asked, [Ticket(1)]);
        assert!(bench.advance(None, 50, 30).is_empty(), "asked once");
        bench.confirm(asked[0], 60);
        bench.advance(None, 59, 40);
        assert!(bench.replies().is_empty());
        bench.advance(None, 60, 50);
        assert_eq!(bench.replies(), ["+OK\r\n"]);
        assert!(!bench.readiness.is_awaited());
    }

    #[test]
    fn a_read_that_is_given_up_is_asked_again() {
        let mut bench = Bench::new();
        bench.wait(1000);
        let ticket = bench.advance(None, 50, 20)[0];
        let reason = GiveUpReason::NeverSent;
        let mut given_up = vec![GivenUp { stream: READY_STREAM, ticket, reason }];
        bench.readiness.take_reads(&mut Vec::new(), &mut given_up);
        assert!(given_up.is_empty());
        assert_eq!(bench.advance(None, 50, 30), [Ticket(2)]);
    }

    #[test]
    fn a_wait_that_ends_in_vain_tells_why_and_its_read_goes_to_nobody() {
        let mut bench = Bench::new();
        bench.wait(100);
        let ticket = bench.advance(None, 50, 20)[0];
        bench.advance(Some(Obstacle::Disconnected(MemberId(3))), 50, 99);
        assert!(bench.replies().is_empty());
        bench.advance(Some(Obstacle::Disconnected(MemberId(3))), 50, 100);
        assert_eq!(bench.replies(), ["-TIMEOUT not ready: voter 3 is not connected\r\n"]);
        bench.confirm(ticket, 60);
        assert_eq!(bench.readiness.pending, 0);
    }

    #[test]
    fn waiters_are_bounded_and_a_stop_answers_them() {
        let mut bench = Bench::new();
        for _ in 0..=READY_WAITERS_MAX {
            bench.wait(100);
        }
        let full = "-ERR too many clients wait for this node to be ready\r\n";
        assert_eq!(bench.replies(), [full]);
        bench.readiness.stop(&bench.answers);
        assert_eq!(bench.replies(), vec!["-ERR the node stops\r\n"; READY_WAITERS_MAX]);
    }
}
