//! Single members that a test speaks to by hand: short names for messages and for what to look for
//! among them.

use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{Entry, EntryBody, Index, MemberId, Round, Term};
use mayfly::raft::{Output, Raft, RoleKind};

use crate::network::{T, at, config, founder};

pub fn message(from: u64, to: u64, term: u64, body: Body) -> Message {
    Message { from: MemberId(from), to: MemberId(to), term: Term(term), body }
}

/// Entry `index` of `term`, without content.
pub fn noop(index: u64, term: u64) -> Entry {
    Entry { index: Index(index), term: Term(term), at_ms: 1, seed: 0, body: EntryBody::Noop }
}

/// The log of the candidate ends with the entry `last`: its index and term.
pub fn vote_request(last: (u64, u64)) -> Body {
    let (last_index, last_term) = (Index(last.0), Term(last.1));
    Body::VoteRequest { last_index, last_term, transfer: false }
}

pub fn pre_vote_request(last: (u64, u64)) -> Body {
    Body::PreVoteRequest { last_index: Index(last.0), last_term: Term(last.1) }
}

/// Entries that follow `previous`, an index and its term.
pub fn append(previous: (u64, u64), commit: u64, entries: Vec<Entry>) -> Body {
    Body::AppendRequest {
        prev_index: Index(previous.0),
        prev_term: Term(previous.1),
        commit_index: Index(commit),
        round: Round(0),
        entries,
    }
}

pub fn accepted(match_index: u64) -> Body {
    Body::AppendAccepted { match_index: Index(match_index), round: Round(0) }
}

pub fn granted(granted: bool) -> Body {
    Body::VoteResponse { granted }
}

pub fn pre_granted(granted: bool) -> Body {
    Body::PreVoteResponse { granted }
}

pub fn is_append(message: &Message) -> bool {
    matches!(message.body, Body::AppendRequest { .. })
}

/// Whether it is the answer to an AppendRequest.
pub fn is_append_answer(message: &Message) -> bool {
    matches!(message.body, Body::AppendAccepted { .. } | Body::AppendRejected { .. })
}

pub fn is_vote_request(message: &Message) -> bool {
    matches!(message.body, Body::VoteRequest { .. })
}

/// One pass with one message.
pub fn tell(raft: &mut Raft, message: Message) -> Output {
    raft.step(message);
    raft.take_output()
}

/// The bodies of what goes to `to`.
pub fn said_to(output: &Output, to: u64) -> Vec<&Body> {
    output.messages.iter().filter(|m| m.to.0 == to).map(|m| &m.body).collect()
}

/// Member 1 of the voters 1 to 3, in `role`: at term 1, or at term 2 as a candidate or a leader.
/// Its log ends with entry 3 of term 1; that of a leader with its first entry, 4.
pub fn in_role(role: RoleKind) -> Raft {
    let mut raft = founder(1, 3, config());
    match role {
        RoleKind::Follower => {}
        RoleKind::PreCandidate => {
            raft.set_now(at(2 * T));
            raft.tick();
        }
        RoleKind::Candidate => raft.campaign_now().unwrap(),
        RoleKind::Leader => {
            raft.campaign_now().unwrap();
            raft.step(message(2, 1, 2, granted(true)));
        }
    }
    raft.take_output();
    assert_eq!(raft.role_kind(), role);
    raft
}

pub const ROLES: [RoleKind; 4] =
    [RoleKind::Follower, RoleKind::PreCandidate, RoleKind::Candidate, RoleKind::Leader];
