//! Members of a cluster that are told anything at all, by anybody, in any order, and asked for
//! anything that their callers may ask. Nothing said may make one panic or take back what it has
//! committed, voted or handed out.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{
    Applicant, Configuration, Entry, EntryBody, Index, Member, MemberId, Payload, Round, Seq, Term,
    Ticket,
};
use mayfly::raft::{Config, FreshNode, Now, Output, Raft, SnapshotState, Watermark};

use super::input::{Input, aligned};

/// Actions of one input.
const ACTIONS_MAX: usize = 96;

/// Messages that are kept for their receivers; further ones are lost.
const WAITING_MAX: usize = 256;

const ELECTION_TIMEOUT_MS: u64 = 100;

/// What must not go back at a member.
#[derive(Clone)]
struct Seen {
    term: Term,
    voted_for: Option<MemberId>,
    commit_index: Index,
    /// The next entry to be handed out.
    next_index: Index,
}

/// Members 1 to 3, which found a cluster, and the learner 4.
#[derive(Clone)]
pub struct Cluster {
    rafts: Vec<Raft>,
    seen: Vec<Seen>,
    waiting: VecDeque<Message>,
    now_ms: u64,
}

fn config() -> Config {
    Config {
        election_timeout_ms: ELECTION_TIMEOUT_MS,
        heartbeat_interval_ms: 20,
        append_bytes_max: 1 << 12,
        inflight_messages_max: 4,
        inflight_bytes_max: 1 << 14,
        no_leader_timeout_ms: 300,
        seed: 1,
    }
}

/// A cluster that has elected member 1 and committed an entry of its term. Made once, and copied.
pub fn three_voters() -> Cluster {
    static MADE: OnceLock<Cluster> = OnceLock::new();
    MADE.get_or_init(Cluster::elected).clone()
}

impl Cluster {
    fn elected() -> Self {
        let founder = |number: u64| FreshNode {
            slot: format!("slot-{number}"),
            boot: u128::from(number),
            client_address: "h:1".to_owned(),
            peer_address: "h:2".to_owned(),
        };
        let founders: Vec<FreshNode> = (1..=3).map(founder).collect();
        let now = Now { monotonic_ms: 0, unix_ms: 1_000 };
        let found = |id| Raft::found(config(), 77, MemberId(id), &founders, now);
        let rafts: Vec<Raft> = (1..=3).map(found).collect();
        let seen = rafts.iter().map(Seen::of).collect();
        let mut cluster = Self { rafts, seen, waiting: VecDeque::new(), now_ms: 0 };
        cluster.rafts[0].campaign_now().expect("founders are voters");
        cluster.run(4);
        let learner = applicant("slot-4", 4);
        cluster.rafts[0].admit(learner).expect("a leader that has committed admits");
        cluster.run(4);
        let id = cluster.rafts[0].configuration().learners[0];
        cluster.rafts.push(Raft::join(config(), id, cluster.now()));
        cluster.seen.push(Seen::of(&cluster.rafts[3]));
        // Not told of by its links, so that it remains a learner until it is.
        cluster.run(1);
        assert!(cluster.rafts[0].is_leader());
        cluster
    }

    fn now(&self) -> Now {
        Now { monotonic_ms: self.now_ms, unix_ms: 1_000 + self.now_ms }
    }

    /// Tells the member that it is for.
    pub fn step(&mut self, message: Message) {
        if let Some(at) = self.rafts.iter().position(|raft| raft.id() == message.to) {
            self.rafts[at].step(message);
            self.look(at);
        }
    }

    /// Delivers what is said for so many times the heartbeat interval.
    pub fn run(&mut self, intervals: u64) {
        for _ in 0..intervals {
            self.pass_time(20);
            for _ in 0..8 {
                let waiting = std::mem::take(&mut self.waiting);
                waiting.into_iter().for_each(|message| self.step(message));
                (0..self.rafts.len()).for_each(|at| self.take_output(at));
            }
        }
    }

    fn pass_time(&mut self, ms: u64) {
        self.now_ms += ms;
        let now = self.now();
        for raft in &mut self.rafts {
            raft.set_now(now);
            raft.tick();
        }
        (0..self.rafts.len()).for_each(|at| self.look(at));
    }

    fn take_output(&mut self, at: usize) {
        let Output { messages, committed, .. } = self.rafts[at].take_output();
        let room = WAITING_MAX.saturating_sub(self.waiting.len());
        self.waiting.extend(messages.into_iter().take(room));
        for committed in committed {
            let expected = self.seen[at].next_index;
            assert_eq!(committed.entry.index, expected, "handed out in order");
            self.seen[at].next_index = expected.next();
        }
        self.look(at);
    }

    /// Asserts that the member has taken nothing back.
    fn look(&mut self, at: usize) {
        let (raft, before) = (&self.rafts[at], &self.seen[at]);
        let after = Seen { next_index: before.next_index, ..Seen::of(raft) };
        assert!(after.term >= before.term, "the term went back");
        assert!(after.commit_index >= before.commit_index, "the commit index went back");
        let status = raft.status();
        assert!(status.commit_index <= status.last_index, "committed beyond the log");
        assert!(status.handed_out_index <= status.commit_index);
        if after.term == before.term && before.voted_for.is_some() {
            assert_eq!(after.voted_for, before.voted_for, "two votes in one term");
        }
        self.seen[at] = after;
    }

    fn act(&mut self, input: &mut Input<'_>) {
        let at = input.below(self.rafts.len());
        match input.below(24) {
            0..=9 => {
                let message = self.message(at, input);
                self.step(message);
            }
            10 => {
                let count = input.below(WAITING_MAX).min(self.waiting.len());
                let delivered: Vec<Message> = self.waiting.drain(..count).collect();
                delivered.into_iter().for_each(|message| self.step(message));
            }
            11 => self.waiting.clear(),
            12 | 13 => self.take_output(at),
            14 => self.pass_time(input.byte().into()),
            15 => self.install(at, input),
            _ => self.ask(at, input),
        }
        self.look(at);
    }

    /// What the caller of a member may ask of it.
    fn ask(&mut self, at: usize, input: &mut Input<'_>) {
        let choice = input.below(16);
        let id = MemberId(self.id(input));
        let raft = &mut self.rafts[at];
        let stream = u16::from(input.byte() & 3);
        // A refusal is as good as an agreement here.
        match choice {
            0 => raft.peer_unreachable(id),
            1 => raft.peer_connected(id),
            2..=4 => raft.submit(stream, Ticket(input.u16().into()), payload(input)),
            5 => raft.submit_read(stream, Ticket(input.u16().into())),
            6 => drop(raft.campaign_now()),
            7 => drop(raft.admit(applicant(&format!("slot-{}", id.0), input.byte().into()))),
            8 => drop(raft.remove(id)),
            9 => drop(raft.transfer_leadership(Some(id))),
            10 => raft.snapshot_failed(id),
            11 => raft.tick_entry(),
            12 => raft.hold_below(Index(input.number(raft.commit_index().0))),
            13 => drop(raft.force_recover(raft.last_log_id())),
            14 => {
                let through = raft.status().handed_out_index;
                raft.compact(through);
            }
            _ => {
                let state = raft.snapshot_state(Index(input.number(raft.commit_index().0)));
                assert!(state.is_none_or(|state| state.last_index <= raft.commit_index()));
            }
        }
    }

    fn install(&mut self, at: usize, input: &mut Input<'_>) {
        let raft = &mut self.rafts[at];
        let last = raft.status().last_index.0;
        let state = SnapshotState {
            last_index: Index(input.number(last)),
            last_term: Term(input.number(raft.term().0)),
            last_at_ms: input.number(1_000),
            configuration: Arc::new(any_configuration(input)),
            watermarks: vec![Watermark {
                origin: MemberId(input.number(1)),
                stream: input.u16() & 3,
                seq: Seq(input.number(1)),
            }],
        };
        let last_index = state.last_index;
        // What was handed out already and not yet taken goes before it.
        self.take_output(at);
        if self.rafts[at].install_snapshot(state) {
            self.seen[at].next_index = last_index.next();
        }
    }

    fn id(&self, input: &mut Input<'_>) -> u64 {
        match input.below(8) {
            choice @ 0..=5 => self.rafts[choice % self.rafts.len()].id().0,
            6 => input.number(4),
            _ => 0,
        }
    }

    /// Anything, but for the addressee.
    fn message(&self, at: usize, input: &mut Input<'_>) -> Message {
        let raft = &self.rafts[at];
        let status = raft.status();
        let (term, last) = (status.term.0, status.last_index.0);
        let from = MemberId(self.id(input));
        let said_term = match input.below(8) {
            0..=3 => term,
            4 => term.saturating_add(1),
            5 => term.saturating_sub(1),
            _ => input.number(term),
        };
        let index = |input: &mut Input<'_>| Index(input.number(last));
        let entry_term = |input: &mut Input<'_>| Term(input.number(term));
        let round = |input: &mut Input<'_>| Round(input.number(1));
        let body = match input.below(18) {
            0 => Body::PreVoteRequest { last_index: index(input), last_term: entry_term(input) },
            1 => Body::PreVoteResponse { granted: input.flag() },
            2 => Body::VoteRequest {
                last_index: index(input),
                last_term: entry_term(input),
                transfer: input.flag(),
            },
            3 => Body::VoteResponse { granted: input.flag() },
            4..=8 => self.append(at, input, said_term),
            9 => Body::AppendAccepted { match_index: index(input), round: round(input) },
            10 => Body::AppendRejected {
                prev_index: index(input),
                hint_index: index(input),
                hint_term: entry_term(input),
                round: round(input),
            },
            11 => Body::Forward {
                stream: input.u16() & 3,
                seq: Seq(input.number(1)),
                payload: payload(input),
            },
            12 => Body::ForwardExpected { stream: input.u16() & 3, expected: Seq(input.number(1)) },
            13 => Body::ReadIndexRequest { id: input.number(1) },
            14 => Body::ReadIndexResponse {
                id: input.number(1),
                index: index(input),
                at_ms: input.number(1_000),
            },
            15 => Body::TimeoutNow,
            16 => Body::SnapshotOffer { last_index: index(input), last_term: entry_term(input) },
            _ => Body::SnapshotInstalled { last_index: index(input) },
        };
        Message { from, to: raft.id(), term: Term(said_term), body }
    }

    /// Entries that often continue the log of the member, and often do not.
    fn append(&self, at: usize, input: &mut Input<'_>, said_term: u64) -> Body {
        let raft = &self.rafts[at];
        let last = raft.status().last_index;
        let fits = input.below(4) > 0;
        let prev_index = if fits { last } else { Index(input.number(last.0)) };
        let known = raft.entry(prev_index).map(|entry| entry.term);
        let prev_term = match known {
            Some(term) if fits => term,
            _ => Term(input.number(raft.term().0)),
        };
        let mut entries: Vec<Entry> = Vec::new();
        for offset in 1..=input.below(5) as u64 {
            let index = match input.below(8) {
                0 => input.number(last.0),
                _ => prev_index.0.wrapping_add(offset),
            };
            let term = if input.below(4) > 0 { said_term } else { input.number(said_term) };
            let body = match input.below(6) {
                0 => EntryBody::Noop,
                1 => EntryBody::Tick,
                2 | 3 => EntryBody::Batch {
                    origin: MemberId(self.id(input)),
                    stream: input.u16() & 3,
                    seq: Seq(input.number(1)),
                    payload: payload(input),
                },
                _ => EntryBody::Configuration(Arc::new(any_configuration(input))),
            };
            entries.push(Entry { at_ms: input.number(1_000), ..entry(index, term, body) });
        }
        Body::AppendRequest {
            prev_index,
            prev_term,
            commit_index: Index(input.number(last.0)),
            round: Round(input.number(1)),
            entries,
        }
    }
}

impl Seen {
    fn of(raft: &Raft) -> Self {
        let status = raft.status();
        Self {
            term: status.term,
            voted_for: status.voted_for,
            commit_index: status.commit_index,
            next_index: status.handed_out_index.next(),
        }
    }
}

fn applicant(slot: &str, boot: u128) -> Applicant {
    let address = "h:3".to_owned();
    Applicant {
        slot: slot.to_owned(),
        boot,
        client_address: address.clone(),
        peer_address: address,
        observer: false,
    }
}

fn payload(input: &mut Input<'_>) -> Payload {
    let len = input.below(32);
    Payload::new(aligned(input.take(len)))
}

pub fn entry(index: u64, term: u64, body: EntryBody) -> Entry {
    Entry { index: Index(index), term: Term(term), at_ms: 1_000, seed: 1, body }
}

fn member(id: u64) -> Member {
    applicant(&format!("slot-{id}"), id.into()).admitted(MemberId(id))
}

/// One in which everybody who is named is a member.
pub fn configuration(voters: &[u64], outgoing: &[u64], learners: &[u64]) -> Configuration {
    let ids = |ids: &[u64]| ids.iter().copied().map(MemberId).collect();
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

/// Sound or not, small or not.
fn any_configuration(input: &mut Input<'_>) -> Configuration {
    let mut ids =
        |most: usize| -> Vec<u64> { (0..input.below(most)).map(|_| input.number(4)).collect() };
    let (voters, outgoing, learners) = (ids(5), ids(4), ids(4));
    let mut made = configuration(&voters, &outgoing, &learners);
    match input.below(6) {
        0 => made.members.truncate(1),
        1 => made.members.extend((0..u64::from(input.byte())).map(|n| member(10 + n))),
        2 => made.members.reverse(),
        _ => {}
    }
    made
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut cluster = three_voters();
    for _ in 0..ACTIONS_MAX {
        if input.is_empty() {
            break;
        }
        cluster.act(&mut input);
    }
    (0..cluster.rafts.len()).for_each(|at| cluster.take_output(at));
    cluster.run(10);
}

/// Bytes without a pattern: each is a choice.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (1..=24).map(|number| (0..number * 24).map(|_| next()).collect()).collect()
}
