//! What members say to each other. Each message is addressed: `to` is a member id, and a node never
//! answers for a member that it is not (see the rules of volatile identity in [`super`]).

use super::types::{Entry, Index, MemberId, Millis, Payload, Round, Seq, Stream, Term};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    pub from: MemberId,
    pub to: MemberId,
    /// The sender's term; of a pre-vote request, the term it would campaign in.
    pub term: Term,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// Would you vote for me in `term`? Changes no state (dissertation 9.6).
    PreVoteRequest {
        last_index: Index,
        last_term: Term,
    },
    /// On refusal `term` is the sender's own term, else the asked one.
    PreVoteResponse {
        granted: bool,
    },
    /// Raft 5.2, 5.4.1. `transfer` overrides the rule that ignores candidates while a leader lives
    /// (dissertation 3.10, 4.2.3).
    VoteRequest {
        last_index: Index,
        last_term: Term,
        transfer: bool,
    },
    VoteResponse {
        granted: bool,
    },
    /// Raft 5.3. Without entries it is a heartbeat and a probe. `round` is the newest read round of
    /// the leader when it was sent; its response confirms that round.
    AppendRequest {
        prev_index: Index,
        prev_term: Term,
        commit_index: Index,
        round: Round,
        entries: Vec<Entry>,
    },
    /// The receiver's log equals the leader's up to `match_index`.
    AppendAccepted {
        match_index: Index,
        round: Round,
    },
    /// The receiver has no entry `prev_index` of `prev_term`; it suggests to go on from
    /// `hint_index`, whose term in its log is `hint_term` (the largest index at or before
    /// `prev_index` whose term does not exceed the leader's `prev_term`).
    AppendRejected {
        prev_index: Index,
        hint_index: Index,
        hint_term: Term,
        round: Round,
    },
    /// A batch of the sender's clients, for the leader to append.
    Forward {
        stream: Stream,
        seq: Seq,
        payload: Payload,
    },
    /// The leader's word on a stream of the receiver: the next sequence number that it will append.
    /// Sent when a forwarded batch did not continue the stream.
    ForwardExpected {
        stream: Stream,
        expected: Seq,
    },
    /// A follower asks for a read index. `id` grows with each request of the sender.
    ReadIndexRequest {
        id: u64,
    },
    /// All reads of requests up to `id` may run once `index` is applied; `at_ms` is the leader's
    /// clock when it confirmed.
    ReadIndexResponse {
        id: u64,
        index: Index,
        at_ms: Millis,
    },
    /// Campaign at once (dissertation 3.10).
    TimeoutNow,
    /// The receiver's next entries are compacted away: the leader is about to send it a snapshot
    /// that ends with this entry.
    SnapshotOffer {
        last_index: Index,
        last_term: Term,
    },
    /// The receiver has installed the snapshot up to `last_index`.
    SnapshotInstalled {
        last_index: Index,
    },
}
