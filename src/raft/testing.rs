//! Members and messages for the tests of this module.

use std::sync::Arc;

use rkyv::util::AlignedVec;

use super::message::{Body, Message};
use super::types::{
    Configuration, Entry, EntryBody, Index, Member, MemberId, Payload, Round, Term,
};
use super::{Config, Now, Output, Raft};

pub(crate) const T: u64 = 100;

pub(crate) fn config() -> Config {
    Config {
        election_timeout_ms: T,
        heartbeat_interval_ms: 20,
        append_bytes_max: 1 << 20,
        inflight_messages_max: 8,
        inflight_bytes_max: 1 << 20,
        no_leader_timeout_ms: 500,
        seed: 1,
    }
}

pub(crate) fn at(ms: u64) -> Now {
    Now { monotonic_ms: ms, unix_ms: 1_000 + ms }
}

pub(crate) fn payload(bytes: &[u8]) -> Payload {
    let mut buffer = AlignedVec::new();
    buffer.extend_from_slice(bytes);
    Payload::new(buffer)
}

pub(crate) fn member(id: u64) -> Member {
    Member {
        id: MemberId(id),
        slot: format!("slot-{id}"),
        boot: u128::from(id),
        client_address: String::new(),
        peer_address: String::new(),
    }
}

pub(crate) fn configuration(voters: &[u64], outgoing: &[u64], learners: &[u64]) -> Configuration {
    let ids = |numbers: &[u64]| numbers.iter().map(|n| MemberId(*n)).collect::<Vec<_>>();
    let mut all = [voters, outgoing, learners].concat();
    all.sort_unstable();
    all.dedup();
    Configuration {
        voters: ids(voters),
        voters_outgoing: ids(outgoing),
        learners: ids(learners),
        members: all.into_iter().map(member).collect(),
    }
}

pub(crate) fn entry(index: u64, term: u64, body: EntryBody) -> Entry {
    Entry { index: Index(index), term: Term(term), at_ms: 5, seed: 0, body }
}

pub(crate) fn noop(index: u64, term: u64) -> Entry {
    entry(index, term, EntryBody::Noop)
}

pub(crate) fn message(from: u64, to: u64, term: u64, body: Body) -> Message {
    Message { from: MemberId(from), to: MemberId(to), term: Term(term), body }
}

pub(crate) fn append(previous: (u64, u64), commit: u64, entries: Vec<Entry>) -> Body {
    Body::AppendRequest {
        prev_index: Index(previous.0),
        prev_term: Term(previous.1),
        commit_index: Index(commit),
        round: Round(0),
        entries,
    }
}

pub(crate) fn accepted(match_index: u64, round: u64) -> Body {
    Body::AppendAccepted { match_index: Index(match_index), round: Round(round) }
}

/// Member `id` of a cluster, without a leader, at term 1. Its log holds the committed entries 1 to
/// 10 of term 1, the last of which is the configuration; all ids are below 10.
pub(crate) fn member_of(id: u64, configuration: Configuration) -> Raft {
    let mut raft = Raft::join(config(), MemberId(id), at(0));
    let mut entries: Vec<Entry> = (1..10).map(|index| noop(index, 1)).collect();
    entries.push(entry(10, 1, EntryBody::Configuration(Arc::new(configuration))));
    let from = if id == 9 { 8 } else { 9 };
    raft.step(message(from, id, 1, append((0, 0), 10, entries)));
    raft.take_output();
    raft.become_follower(Term(1), None);
    raft.take_output();
    raft
}

pub(crate) fn voter(id: u64, voters: &[u64]) -> Raft {
    member_of(id, configuration(voters, &[], &[]))
}

/// Member 1, which leads term 2 and has appended its no-op, entry 11.
pub(crate) fn leader_of(configuration: Configuration) -> Raft {
    let mut raft = member_of(1, configuration.clone());
    raft.campaign_now().unwrap();
    for id in configuration.voters.iter().chain(&configuration.voters_outgoing) {
        raft.step(message(id.0, 1, 2, Body::VoteResponse { granted: true }));
    }
    assert!(raft.is_leader());
    raft.take_output();
    raft
}

/// As [`leader_of`], with the no-op acknowledged by `peers` and committed.
pub(crate) fn settled_leader(configuration: Configuration, peers: &[u64]) -> Raft {
    let mut raft = leader_of(configuration);
    for id in peers {
        raft.step(message(*id, 1, 2, accepted(11, 0)));
    }
    raft.take_output();
    assert_eq!(raft.commit_index(), Index(11));
    raft
}

/// The bodies of what goes to `to`.
pub(crate) fn sent_to(output: &Output, to: u64) -> Vec<&Body> {
    let to = MemberId(to);
    output.messages.iter().filter(|message| message.to == to).map(|m| &m.body).collect()
}

pub(crate) fn pass(raft: &mut Raft, body: Message) -> Output {
    raft.step(body);
    raft.take_output()
}

pub(crate) fn tick_at(raft: &mut Raft, ms: u64) -> Output {
    raft.set_now(at(ms));
    raft.tick();
    raft.take_output()
}
