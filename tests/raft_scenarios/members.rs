//! Members in a given state, for scenarios that look at one of them: a leader whose peers are
//! played by the test, a follower with a given log, a member of any configuration.

use std::sync::Arc;

use mayfly::raft::message::Body;
use mayfly::raft::types::{
    Applicant, Boot, Configuration, Entry, EntryBody, Index, Member, MemberId, Payload, Round, Seq,
    Term, Ticket,
};
use mayfly::raft::{Config, Output, PeerStatus, Raft};
use rkyv::util::AlignedVec;

use crate::messages::{accepted, append, granted, message, noop, said_to, tell};
use crate::network::{at, config, founder};

/// Member 1 of `count` founders, which leads term 2: its no-op is the entry behind theirs, and
/// nobody has acknowledged it yet.
pub fn leader(count: u64, config: Config) -> Raft {
    let mut raft = founder(1, count, config);
    take_the_lead(&mut raft, 2..=count);
    raft
}

/// As [`leader`], and everybody has acknowledged the no-op.
pub fn settled(count: u64, config: Config) -> Raft {
    let mut raft = leader(count, config);
    for peer in 2..=count {
        tell(&mut raft, message(peer, 1, 2, accepted(count + 1)));
    }
    assert_eq!(raft.commit_index(), Index(count + 1));
    raft
}

/// Member 2 of three, at term `terms.last()`: behind the three founding entries, of term 1, its log
/// holds entries of these terms, of which nothing is committed.
pub fn follower(terms: &[u64]) -> Raft {
    let mut raft = founder(2, 3, config());
    let mut previous = (3, 1);
    for (index, term) in (4..).zip(terms) {
        let entries = vec![noop(index, *term)];
        // Each term has another leader.
        let from = if term % 2 == 0 { 1 } else { 3 };
        tell(&mut raft, message(from, 2, *term, append(previous, 3, entries)));
        previous = (index, *term);
    }
    assert_eq!(raft.last_log_id().index, Index(3 + terms.len() as u64));
    raft
}

pub fn take_the_lead(raft: &mut Raft, voters: impl IntoIterator<Item = u64>) {
    raft.campaign_now().expect("a voter");
    let (id, term) = (raft.id().0, raft.term().0);
    for voter in voters {
        raft.step(message(voter, id, term, granted(true)));
    }
    assert!(raft.is_leader());
    raft.take_output();
}

fn ids(numbers: &[u64]) -> Vec<MemberId> {
    numbers.iter().map(|number| MemberId(*number)).collect()
}

/// Every member is the process `id` of the slot `slot-id`.
pub fn configuration(voters: &[u64], outgoing: &[u64], learners: &[u64]) -> Configuration {
    let mut all = [voters, outgoing, learners].concat();
    all.sort_unstable();
    all.dedup();
    let member = |id: u64| applicant(&format!("slot-{id}"), u128::from(id)).admitted(MemberId(id));
    let members: Vec<Member> = all.into_iter().map(member).collect();
    Configuration {
        voters: ids(voters),
        voters_outgoing: ids(outgoing),
        learners: ids(learners),
        members,
    }
}

pub fn configuration_entry(index: u64, term: u64, configuration: Configuration) -> Entry {
    let body = EntryBody::Configuration(Arc::new(configuration));
    Entry { body, ..noop(index, term) }
}

/// Member `id` of a cluster, without a leader, at term 1. Its log holds the committed entries 1 to
/// 10 of term 1, of which the last is the configuration; all ids are below 9.
pub fn member_of(id: u64, configuration: Configuration) -> Raft {
    let mut raft = Raft::join(config(), MemberId(id), at(0));
    let mut entries: Vec<Entry> = (1..10).map(|index| noop(index, 1)).collect();
    entries.push(configuration_entry(10, 1, configuration));
    tell(&mut raft, message(9, id, 1, append((0, 0), 10, entries)));
    raft.peer_unreachable(MemberId(9));
    raft.take_output();
    raft
}

/// Member 1, which leads term 2 of this configuration and has appended its no-op, entry 11. These
/// `voters` have elected it and, if `settled`, acknowledged that.
pub fn leader_of(configuration: Configuration, voters: &[u64], settled: bool) -> Raft {
    let mut raft = member_of(1, configuration);
    take_the_lead(&mut raft, voters.iter().copied());
    if settled {
        for voter in voters {
            tell(&mut raft, message(*voter, 1, 2, accepted(11)));
        }
        assert_eq!(raft.commit_index(), Index(11));
    }
    raft
}

/// A process that asks for a slot.
pub fn applicant(slot: &str, boot: Boot) -> Applicant {
    Applicant {
        slot: slot.to_owned(),
        boot,
        client_address: String::new(),
        peer_address: String::new(),
        observer: false,
    }
}

/// A batch of a client of `raft`, so many bytes long, in a pass of its own.
pub fn write(raft: &mut Raft, ticket: u64, bytes: usize) -> Output {
    raft.submit(0, Ticket(ticket), zeroes(bytes));
    raft.take_output()
}

pub fn zeroes(bytes: usize) -> Payload {
    let mut buffer = AlignedVec::new();
    buffer.resize(bytes, 0);
    Payload::new(buffer)
}

pub fn forward(seq: u64) -> Body {
    Body::Forward { stream: 0, seq: Seq(seq), payload: zeroes(8) }
}

/// `raft` looks at the clock, which shows `ms`.
pub fn look(raft: &mut Raft, ms: u64) -> Output {
    raft.set_now(at(ms));
    raft.tick();
    raft.take_output()
}

pub fn rejected(prev_index: u64, hint: (u64, u64)) -> Body {
    Body::AppendRejected {
        prev_index: Index(prev_index),
        hint_index: Index(hint.0),
        hint_term: Term(hint.1),
        round: Round(0),
    }
}

pub fn answered(match_index: u64, round: u64) -> Body {
    Body::AppendAccepted { match_index: Index(match_index), round: Round(round) }
}

pub fn peer(raft: &Raft, id: u64) -> PeerStatus {
    raft.peer_status(MemberId(id)).unwrap_or_else(|| panic!("{id} is no peer of a leader"))
}

/// The AppendRequests to `to`: the index that they follow, and the indexes of their entries.
pub fn requests_to(output: &Output, to: u64) -> Vec<(u64, Vec<u64>)> {
    let request = |body: &Body| match body {
        Body::AppendRequest { prev_index, entries, .. } => {
            Some((prev_index.0, entries.iter().map(|entry| entry.index.0).collect()))
        }
        _ => None,
    };
    said_to(output, to).into_iter().filter_map(request).collect()
}

/// The terms of the log of `raft` from `index` on.
pub fn terms_from(raft: &Raft, index: u64) -> Vec<u64> {
    let last = raft.last_log_id().index.0;
    (index..=last).map(|index| raft.entry(Index(index)).map_or(0, |entry| entry.term.0)).collect()
}
