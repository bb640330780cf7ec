//! Each command against a session and a view of the node: success, every error, both protocols.
//! Replies are written with `|` for each line end.

mod administration;
mod basics;
mod commands;
mod observe;
mod pubsub;
mod replication;
mod sentinel;
mod tracking;
mod views;

use std::sync::Arc;

use super::*;
use crate::config::Settings;
use crate::engine::command::{Handler, SessionCommand};
use crate::net::peer::PeerReport;
use crate::node::shared::NodeState;
use crate::raft::types::{Configuration, Index, Member, MemberId, Term};
use crate::raft::{LogId, PeerStatus, ProgressState, RoleKind, Status};

const BOOT: Boot = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
const RUN_ID: &str = "0123456789abcdef0123456789abcdef01234567";

struct Bench {
    shared: Shared,
    settings: SharedSettings,
    users: Acl,
    session: Session,
    now_ms: Millis,
}

impl Bench {
    fn new() -> Self {
        let shared = Shared::new(
            "one".to_owned(),
            BOOT,
            "10.0.0.1:5001".to_owned(),
            "10.0.0.1:15001".to_owned(),
            5001,
            "one core".to_owned(),
        );
        shared.set_state(NodeState::Up);
        let peer = "10.0.0.9:4242".parse().unwrap();
        let local = "10.0.0.1:5001".parse().unwrap();
        Self {
            shared,
            settings: SharedSettings::new(Settings::default(), None),
            users: Acl::default(),
            session: Session::new(7, peer, local, Acl::default().default_user(), 1000),
            now_ms: 1000,
        }
    }

    fn with_password() -> Self {
        let mut bench = Self::new();
        bench.users.set_requirepass(b"pw");
        bench.session.authenticated = false;
        bench
    }

    /// What the front does with a line, as far as these commands are concerned.
    fn outcome(&mut self, words: &[&[u8]]) -> (Outcome, Reply) {
        let mut reply = Reply::new(self.session.protocol);
        let Some(id) = lookup(words[0]) else {
            reply.error_text(&unknown_command(words));
            return (Outcome::Replied, reply);
        };
        let spec = spec(id);
        if !spec.accepts(words.len()) {
            reply.error(&CommandError::Arity(spec.name.into()));
            return (Outcome::Replied, reply);
        }
        let view = NodeView {
            shared: &self.shared,
            settings: &self.settings,
            users: &self.users,
            now_ms: self.now_ms,
            unix_ms: 1_700_000_000_123,
        };
        let session = &mut self.session;
        let outcome = match spec.handler {
            Handler::Node(command) => run(command, words, session, &view, &mut reply),
            Handler::Session(SessionCommand::Reset) => {
                reset(session, &view, &mut reply);
                Outcome::Replied
            }
            _ => panic!("{} is the engine's", spec.name),
        };
        self.session.last_command = Some(id);
        (outcome, reply)
    }

    /// The reply, or what happens instead.
    fn say(&mut self, line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let (outcome, reply) = self.outcome(&words);
        let text = shown(&reply);
        match outcome {
            Outcome::Replied => text,
            Outcome::ReplyAndClose => format!("{text}close"),
            outcome => {
                assert_eq!(text, "", "{line} waits, and so has no reply yet");
                format!("{outcome:?}")
            }
        }
    }

    fn check(&mut self, cases: &[(&str, &str)]) {
        for (line, expected) in cases {
            assert_eq!(self.say(line), *expected, "{line}");
        }
    }

    /// The reply to a line that waits for a report.
    fn report(&mut self, line: &str, raft: &RaftReport, engine: &EngineReport) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let (outcome, mut reply) = self.outcome(&words);
        let Outcome::Wait(wait) = outcome else { panic!("{line} does not wait") };
        let Handler::Node(command) = spec(lookup(words[0]).unwrap()).handler else { panic!() };
        assert!(needs_order(command, &words), "{line} waits, and so must not overtake");
        let view = NodeView {
            shared: &self.shared,
            settings: &self.settings,
            users: &self.users,
            now_ms: self.now_ms,
            unix_ms: 1_700_000_000_123,
        };
        finish_report(&wait, raft, engine, &self.session, &view, &mut reply);
        shown(&reply)
    }
}

fn shown(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.buffer).replace("\r\n", "|")
}

fn member(id: u64, boot: Boot) -> Member {
    Member {
        id: MemberId(id),
        slot: format!("slot{id}"),
        boot,
        client_address: format!("10.0.0.{id}:5001"),
        peer_address: format!("10.0.0.{id}:15001"),
        observer: false,
    }
}

fn link(id: u64, state: &'static str) -> PeerReport {
    PeerReport { id: MemberId(id), state, connections: 2, errors: 1, connected_at_ms: Some(4000) }
}

fn peer(id: u64, match_index: u64, last_heard_ms: Option<Millis>) -> PeerStatus {
    PeerStatus {
        id: MemberId(id),
        state: ProgressState::Replicate,
        match_index: Index(match_index),
        next_index: Index(match_index + 1),
        last_heard_ms,
        inflight_messages: 0,
        inflight_bytes: 0,
        slow_rounds: 0,
    }
}

/// Member 1, which leads members 2 (up to date) and 3 (behind, its link down) and learner 4.
fn leader() -> RaftReport {
    let configuration = Configuration {
        voters: vec![MemberId(1), MemberId(2), MemberId(3)],
        voters_outgoing: Vec::new(),
        learners: vec![MemberId(4)],
        members: vec![member(1, BOOT), member(2, 0xb << 124), member(3, 0xc << 124), member(4, 4)],
    };
    let status = Status {
        id: MemberId(1),
        role: RoleKind::Leader,
        term: Term(5),
        leader_id: Some(MemberId(1)),
        voted_for: Some(MemberId(1)),
        commit_index: Index(90),
        handed_out_index: Index(90),
        first_index: Index(11),
        last_index: Index(100),
        log_bytes: 4096,
        configuration: Arc::new(configuration),
        configuration_index: Index(60),
        peers: vec![peer(2, 90, Some(9900)), peer(3, 40, None), peer(4, 20, Some(9900))],
        transfer_target: None,
        pending_reads: 3,
        unconfirmed_requests: 0,
        outstanding_batches: 2,
    };
    RaftReport {
        cluster: 0xc1 << 120,
        member: MemberId(1),
        status: Some(status),
        links: vec![link(2, "connected"), link(3, "disconnected"), link(4, "connected")],
        ..RaftReport::default()
    }
}

/// The same cluster as its member 2 sees it.
fn follower() -> RaftReport {
    let mut raft = leader();
    raft.member = MemberId(2);
    raft.links = vec![link(1, "connected"), link(3, "connected"), link(4, "connected")];
    let status = raft.status.as_mut().unwrap();
    status.id = MemberId(2);
    status.role = RoleKind::Follower;
    status.peers.clear();
    raft
}
