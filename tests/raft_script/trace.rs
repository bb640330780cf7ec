//! The words of the trace.
//!
//! ```text
//! 1->2 AppendRequest term=3 prev=(7,2) entries=[8 noop, 9 a] commit=7
//!                        sent, and lost if it ends with (lost); a log position is (index,term);
//!                        an entry has its term where that is not the message's: 8 a@2
//! 2: follower of 1, term 3          a role, a term or a leader is another one than before
//! 2: configuration voters=(1 2 3)   in force from now on; joint=(1 2 4) is the outgoing half
//! 2: commits 8 noop@3, 9 a@3        handed out to be applied
//! 1: answers a                      the client of the batch a has its reply
//! 1: gives up a: OutcomeUnknown     it has an error instead
//! 2: r may read at 9                the read r runs once 9 is applied
//! 1: is to send a snapshot to 4
//! 1: transfer: done
//! ```

use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{Configuration, Entry, EntryBody, Index, MemberId, Round, Term};
use mayfly::raft::{PeerStatus, ProgressState, Raft, RoleKind};

use crate::world::name_of;

pub fn role(id: u64, role: RoleKind, term: Term, leader_id: Option<MemberId>) -> String {
    let of = match (role, leader_id) {
        (RoleKind::Follower, Some(leader)) => format!(" of {leader}"),
        (RoleKind::Follower, None) => " of nobody".to_owned(),
        _ => String::new(),
    };
    format!("{id}: {}{of}, term {term}", role.name())
}

fn content(body: &EntryBody) -> String {
    match body {
        EntryBody::Noop => "noop".into(),
        EntryBody::Tick => "tick".into(),
        EntryBody::Configuration(configuration) => {
            format!("[{}]", self::configuration(configuration))
        }
        // What is left of a batch that was given up.
        EntryBody::Batch { payload, .. } if payload.is_empty() => "(empty)".into(),
        EntryBody::Batch { .. } => name_of(body).expect("it is a batch"),
    }
}

pub fn entry(entry: &Entry) -> String {
    format!("{} {}@{}", entry.index, content(&entry.body), entry.term)
}

fn ids(ids: &[MemberId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

pub fn configuration(configuration: &Configuration) -> String {
    let mut text = format!("voters=({})", ids(&configuration.voters));
    if configuration.is_joint() {
        text += &format!(" joint=({})", ids(&configuration.voters_outgoing));
    }
    if !configuration.learners.is_empty() {
        text += &format!(" learners=({})", ids(&configuration.learners));
    }
    text
}

/// A read round, where there is one.
fn round(round: Round) -> String {
    if round == Round(0) { String::new() } else { format!(" round={round}") }
}

fn entries(entries: &[Entry], term: Term) -> String {
    let one = |entry: &Entry| match entry.term == term {
        true => format!("{} {}", entry.index, content(&entry.body)),
        false => self::entry(entry),
    };
    entries.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn at(index: Index, term: Term) -> String {
    format!("({index},{term})")
}

pub fn message(message: &Message) -> String {
    let Message { from, to, term, body } = message;
    let (name, rest) = body_text(body, *term);
    format!("{from}->{to} {name} term={term}{rest}")
}

fn body_text(body: &Body, term: Term) -> (&'static str, String) {
    match body {
        Body::PreVoteRequest { last_index, last_term } => {
            ("PreVoteRequest", format!(" last={}", at(*last_index, *last_term)))
        }
        Body::PreVoteResponse { granted } => ("PreVoteResponse", format!(" granted={granted}")),
        Body::VoteRequest { last_index, last_term, transfer } => {
            let urged = if *transfer { " transfer" } else { "" };
            ("VoteRequest", format!(" last={}{urged}", at(*last_index, *last_term)))
        }
        Body::VoteResponse { granted } => ("VoteResponse", format!(" granted={granted}")),
        Body::AppendRequest { prev_index, prev_term, commit_index, round: asked, entries: new } => {
            let previous = at(*prev_index, *prev_term);
            let new = match new.is_empty() {
                true => String::new(),
                false => format!(" entries=[{}]", entries(new, term)),
            };
            let rest = format!(" prev={previous}{new} commit={commit_index}{}", round(*asked));
            ("AppendRequest", rest)
        }
        Body::AppendAccepted { match_index, round: answered } => {
            ("AppendAccepted", format!(" match={match_index}{}", round(*answered)))
        }
        Body::AppendRejected { prev_index, hint_index, hint_term, round: answered } => {
            let hint = at(*hint_index, *hint_term);
            ("AppendRejected", format!(" prev={prev_index} hint={hint}{}", round(*answered)))
        }
        Body::Forward { stream, seq, payload } => {
            let (stream, seq, payload) = (*stream, *seq, payload.clone());
            let batch = EntryBody::Batch { origin: MemberId(0), stream, seq, payload };
            ("Forward", format!(" seq={seq} {}", content(&batch)))
        }
        Body::ForwardExpected { expected, .. } => ("ForwardExpected", format!(" seq={expected}")),
        Body::ReadIndexRequest { id } => ("ReadIndexRequest", format!(" id={id}")),
        Body::ReadIndexResponse { id, index, .. } => {
            ("ReadIndexResponse", format!(" id={id} index={index}"))
        }
        Body::TimeoutNow => ("TimeoutNow", String::new()),
        Body::SnapshotOffer { last_index, last_term } => {
            ("SnapshotOffer", format!(" last={}", at(*last_index, *last_term)))
        }
        Body::SnapshotInstalled { last_index } => {
            ("SnapshotInstalled", format!(" last={last_index}"))
        }
    }
}

/// One line on a member.
pub fn status(raft: &Raft) -> String {
    let status = raft.status();
    let role = role(status.id.0, status.role, status.term, status.leader_id);
    let voted = status.voted_for.map_or(String::new(), |id| format!(" voted={id}"));
    format!(
        "{role}{voted} log={}..{} commit={} {}",
        status.first_index,
        status.last_index,
        status.commit_index,
        configuration(&status.configuration)
    )
}

pub fn log(raft: &Raft) -> String {
    let status = raft.status();
    let indexes = status.first_index.0..=status.last_index.0;
    let entries = indexes.filter_map(|index| raft.entry(Index(index))).map(entry);
    format!("{}: log [{}]", status.id, entries.collect::<Vec<_>>().join(", "))
}

pub fn progress(leader: u64, peer: &PeerStatus) -> String {
    let state = match peer.state {
        ProgressState::Probe { paused: true } => "probe, paused",
        ProgressState::Probe { paused: false } => "probe",
        ProgressState::Replicate => "replicate",
        ProgressState::Snapshot => "snapshot",
    };
    let PeerStatus { id, match_index, next_index, inflight_messages, .. } = peer;
    format!(
        "{leader}: of {id}: {state}, match={match_index} next={next_index} \
         inflight={inflight_messages}"
    )
}
