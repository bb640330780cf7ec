//! The `raft` crate (raft-rs) under the simulator's name for things: a reference.
//!
//! It is qualified by years of use, so what it passes shows that the simulator and its checker
//! accept a correct Raft, and not only the core that they were written beside. It has no volatile
//! identity, so its members stay; and a proposal that is sent again may be committed twice, so each
//! is proposed once, by a leader, and given up when its entry does not commit in time. Reads use
//! the safe option with a context that is never used twice: the crate confirms a later read of the
//! same context with late answers to an earlier one (see [`crate::late_answers`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use mayfly::raft::types::{
    Configuration, Entry, EntryBody, Index, Member, MemberId, Millis, Payload, Seq, Stream, Term,
    Ticket,
};
use mayfly::raft::{Committed, Config, FreshNode, GiveUpReason, GivenUp, Now, ReadReady};
use raft::eraftpb::{Entry as WireEntry, HardState, Message};
use raft::storage::MemStorage;
use raft::{GetEntriesContext, RawNode, StateRole};
use rkyv::util::AlignedVec;
use slog::{Discard, Logger, o};

use crate::consensus::{Birth, Consensus, Effects, Supports, View};
use crate::rng::Fold;

/// The entries that the founders begin with are of this term.
const FOUNDING_TERM: u64 = 1;

pub struct Reference {
    node: RawNode<MemStorage>,
    id: MemberId,
    now: Now,
    /// Up to when the crate was told of time, in ticks of a millisecond.
    ticked_ms: Millis,
    heartbeat_interval_ms: Millis,
    patience_ms: Millis,
    founding: Arc<Configuration>,
    handed_out_index: Index,
    batches: BTreeMap<Ticket, Waiting>,
    reads: BTreeMap<Ticket, Waiting>,
    /// The tickets of reads that were asked for with each context.
    asked: BTreeMap<Vec<u8>, Vec<Ticket>>,
    last_context: u64,
    repeats_contexts: bool,
    given_up: Vec<GivenUp>,
    is_dirty: bool,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    stream: Stream,
    since_ms: Millis,
    /// Of a read: when it is asked for again.
    again_ms: Millis,
}

/// What of an entry the crate does not know: it travels in the entry's context.
struct Context {
    origin: MemberId,
    stream: Stream,
    ticket: Ticket,
    at_ms: Millis,
}

impl Context {
    fn to_bytes(&self) -> Vec<u8> {
        let words = [self.origin.0, u64::from(self.stream), self.ticket.0, self.at_ms];
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// `None`: the entry of a new leader, which has none.
    fn of(entry: &WireEntry) -> Option<Self> {
        let (words, _) = entry.context.as_chunks::<8>();
        let word = |at: usize| words.get(at).map(|bytes| u64::from_le_bytes(*bytes));
        Some(Self {
            origin: MemberId(word(0)?),
            stream: word(1)? as Stream,
            ticket: Ticket(word(2)?),
            at_ms: word(3)?,
        })
    }
}

fn settings(config: &Config, id: MemberId) -> raft::Config {
    let election_tick = config.election_timeout_ms as usize;
    // The crate draws time-outs from a source of its own. With a range of one there is nothing to
    // draw, and a run can be repeated.
    let election_timeout = election_tick + (config.seed % config.election_timeout_ms) as usize;
    raft::Config {
        id: id.0,
        election_tick,
        heartbeat_tick: config.heartbeat_interval_ms as usize,
        min_election_tick: election_timeout,
        max_election_tick: election_timeout + 1,
        max_size_per_msg: config.append_bytes_max as u64,
        max_inflight_msgs: config.inflight_messages_max,
        check_quorum: true,
        pre_vote: true,
        ..raft::Config::default()
    }
}

/// A log that begins as that of the core's founders does: an entry for each of them.
fn storage(founders: &[FreshNode]) -> MemStorage {
    let count = founders.len() as u64;
    let voters: Vec<u64> = (1..=count).collect();
    let storage = MemStorage::new_with_conf_state((voters, Vec::new()));
    let entry = |index| {
        let mut entry = WireEntry::default();
        (entry.index, entry.term) = (index, FOUNDING_TERM);
        entry
    };
    let entries: Vec<WireEntry> = (1..=count).map(entry).collect();
    storage.wl().append(&entries).expect("an empty log");
    let mut state = HardState::default();
    (state.term, state.commit) = (FOUNDING_TERM, count);
    storage.wl().set_hardstate(state);
    storage
}

fn configuration(founders: &[FreshNode]) -> Configuration {
    let member = |(node, id): (&FreshNode, u64)| Member {
        id: MemberId(id),
        slot: node.slot.clone(),
        boot: node.boot,
        client_address: node.client_address.clone(),
        peer_address: node.peer_address.clone(),
        observer: false,
    };
    let members: Vec<Member> = founders.iter().zip(1..).map(member).collect();
    let voters = members.iter().map(|member| member.id).collect();
    Configuration { voters, members, ..Configuration::default() }
}

impl Reference {
    /// Uses one context for all reads, as no caller must.
    pub fn repeat_contexts(&mut self) {
        self.repeats_contexts = true;
    }

    fn wire_entry(&self, index: Index) -> Option<WireEntry> {
        let log = &self.node.raft.raft_log;
        if index.0 < log.first_index() || index.0 > log.last_index() {
            return None;
        }
        let entries = log.entries(index.0, 1, GetEntriesContext::empty(false));
        entries.expect("the log is in memory").into_iter().next()
    }

    /// The crate's entries have no clock: that of a leader's first entry is that of the one before.
    fn clock_at(&self, index: Index) -> Millis {
        let earlier = (1..=index.0).rev().filter_map(|index| self.wire_entry(Index(index)));
        let mut contexts = earlier.map(|entry| Context::of(&entry));
        contexts.find_map(|context| context.map(|context| context.at_ms)).unwrap_or(0)
    }

    fn translate(&self, entry: &WireEntry) -> Entry {
        let index = Index(entry.index);
        let founders = self.founding.members.len() as u64;
        let body = match Context::of(entry) {
            Some(Context { origin, stream, ticket, .. }) => {
                let mut bytes = AlignedVec::new();
                bytes.extend_from_slice(&entry.data);
                let payload = Payload::new(bytes);
                EntryBody::Batch { origin, stream, seq: Seq(ticket.0), payload }
            }
            None if index.0 == founders => EntryBody::Configuration(Arc::clone(&self.founding)),
            None => EntryBody::Noop,
        };
        Entry { index, term: Term(entry.term), at_ms: self.clock_at(index), seed: 0, body }
    }

    fn hand_out(&mut self, entries: Vec<WireEntry>, committed: &mut Vec<Committed>) {
        for entry in entries {
            self.handed_out_index = Index(entry.index);
            let context = Context::of(&entry).filter(|context| context.origin == self.id);
            let ticket = context.map(|context| context.ticket);
            let ticket = ticket.filter(|ticket| self.batches.remove(ticket).is_some());
            committed.push(Committed { entry: self.translate(&entry), ticket });
        }
    }

    fn ask_for_reads(&mut self) {
        let now_ms = self.now.monotonic_ms;
        let due = self.reads.iter_mut().filter(|(_, read)| now_ms >= read.again_ms);
        let tickets: Vec<Ticket> = due
            .map(|(ticket, read)| {
                read.again_ms = now_ms + 2 * self.heartbeat_interval_ms;
                *ticket
            })
            .collect();
        if tickets.is_empty() {
            return;
        }
        self.last_context += u64::from(!self.repeats_contexts);
        let words = [self.id.0, self.last_context];
        let context: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.asked.insert(context.clone(), tickets);
        self.node.read_index(context);
    }

    fn answer_reads(&mut self, states: Vec<raft::ReadState>, ready: &mut Vec<ReadReady>) {
        for state in states {
            for ticket in self.asked.remove(&state.request_ctx).unwrap_or_default() {
                let Some(Waiting { stream, .. }) = self.reads.remove(&ticket) else { continue };
                let index = Index(state.index);
                ready.push(ReadReady { stream, ticket, index, at_ms: self.now.unix_ms });
            }
        }
    }

    /// A batch may have left with an entry that never commits; a read has left no trace.
    fn give_up_overdue(&mut self) {
        let now_ms = self.now.monotonic_ms;
        let patience_ms = self.patience_ms;
        let given_up = &mut self.given_up;
        for (waiting, reason) in [
            (&mut self.batches, GiveUpReason::OutcomeUnknown),
            (&mut self.reads, GiveUpReason::NeverSent),
        ] {
            waiting.retain(|ticket, waiting| {
                let stays = now_ms < waiting.since_ms + patience_ms;
                if !stays {
                    given_up.push(GivenUp { stream: waiting.stream, ticket: *ticket, reason });
                }
                stays
            });
        }
        if self.reads.is_empty() {
            self.asked.clear();
        }
        self.is_dirty |= !self.given_up.is_empty();
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { batches, reads, .. } = self;
        write!(f, "{:?}, waits {batches:?} {reads:?}", self.node.raft.state)
    }
}

impl Consensus for Reference {
    type Message = Message;

    const SUPPORTS: Supports = Supports {
        membership: false,
        snapshots: false,
        transfer: true,
        exactly_once: false,
        recovery: false,
    };

    fn start(config: Config, birth: Birth<'_>, now: Now) -> Self {
        let Birth::Founder { id, founders, .. } = birth else {
            panic!("its members are there from the start: {birth:?}");
        };
        let logger = Logger::root(Discard, o!());
        let node = RawNode::new(&settings(&config, id), storage(founders), &logger);
        Self {
            node: node.expect("settings that the crate accepts"),
            id,
            now,
            ticked_ms: now.monotonic_ms,
            heartbeat_interval_ms: config.heartbeat_interval_ms,
            patience_ms: config.no_leader_timeout_ms,
            founding: Arc::new(configuration(founders)),
            handed_out_index: Index::ZERO,
            batches: BTreeMap::new(),
            reads: BTreeMap::new(),
            asked: BTreeMap::new(),
            last_context: 0,
            repeats_contexts: false,
            given_up: Vec::new(),
            is_dirty: true,
        }
    }

    fn set_now(&mut self, now: Now) {
        let monotonic_ms = self.now.monotonic_ms.max(now.monotonic_ms);
        self.now = Now { monotonic_ms, ..now };
    }

    fn tick(&mut self) {
        let passed_ms = self.now.monotonic_ms - self.ticked_ms;
        self.ticked_ms = self.now.monotonic_ms;
        for _ in 0..passed_ms {
            // What is due shows in the next pass.
            let _is_due = self.node.tick();
        }
        self.give_up_overdue();
        self.is_dirty = true;
    }

    fn step(&mut self, message: Message) {
        // It refuses what is none of its business, which is as good as lost.
        let _refused = self.node.step(message);
        self.is_dirty = true;
    }

    fn submit(&mut self, stream: Stream, ticket: Ticket, payload: Payload) {
        self.is_dirty = true;
        let last_index = Index(self.node.raft.raft_log.last_index());
        let at_ms = self.clock_at(last_index).max(self.now.unix_ms);
        let context = Context { origin: self.id, stream, ticket, at_ms };
        // A follower would forward it, and the network may double what is forwarded.
        let is_proposed = self.node.raft.state == StateRole::Leader
            && self.node.propose(context.to_bytes(), payload.as_slice().to_vec()).is_ok();
        if is_proposed {
            let since_ms = self.now.monotonic_ms;
            self.batches.insert(ticket, Waiting { stream, since_ms, again_ms: 0 });
        } else {
            let reason = GiveUpReason::NeverSent;
            self.given_up.push(GivenUp { stream, ticket, reason });
        }
    }

    fn submit_read(&mut self, stream: Stream, ticket: Ticket) {
        let since_ms = self.now.monotonic_ms;
        self.reads.insert(ticket, Waiting { stream, since_ms, again_ms: 0 });
        self.is_dirty = true;
    }

    fn take_effects(&mut self, effects: &mut Effects<Message>) -> bool {
        *effects = Effects::default();
        if !std::mem::take(&mut self.is_dirty) {
            return false;
        }
        self.ask_for_reads();
        effects.given_up.append(&mut self.given_up);
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            effects.messages.append(&mut ready.take_messages());
            self.answer_reads(ready.take_read_states(), &mut effects.reads);
            let storage = self.node.store().clone();
            storage.wl().append(ready.entries()).expect("it follows the log");
            if let Some(state) = ready.hs() {
                storage.wl().set_hardstate(state.clone());
            }
            self.hand_out(ready.take_committed_entries(), &mut effects.committed);
            effects.messages.append(&mut ready.take_persisted_messages());
            let mut light = self.node.advance(ready);
            if let Some(commit) = light.commit_index() {
                storage.wl().mut_hard_state().set_commit(commit);
            }
            effects.messages.append(&mut light.take_messages());
            self.hand_out(light.take_committed_entries(), &mut effects.committed);
            self.node.advance_apply();
        }
        true
    }

    fn peer_unreachable(&mut self, id: MemberId) {
        self.node.report_unreachable(id.0);
        self.is_dirty = true;
    }

    fn peer_connected(&mut self, _id: MemberId) {}

    fn campaign(&mut self) -> bool {
        self.is_dirty = true;
        self.node.raft.state != StateRole::Leader && self.node.campaign().is_ok()
    }

    fn view(&self) -> View {
        let raft = &self.node.raft;
        View {
            id: self.id,
            term: Term(raft.term),
            voted_for: (raft.vote != raft::INVALID_ID).then_some(MemberId(raft.vote)),
            is_leader: raft.state == StateRole::Leader,
            commit_index: Index(raft.raft_log.committed),
            handed_out_index: self.handed_out_index,
            first_index: Index(raft.raft_log.first_index()),
            last_index: Index(raft.raft_log.last_index()),
        }
    }

    fn entry(&self, index: Index) -> Option<Cow<'_, Entry>> {
        self.wire_entry(index).map(|entry| Cow::Owned(self.translate(&entry)))
    }

    fn configuration(&self) -> &Arc<Configuration> {
        &self.founding
    }

    fn receiver(message: &Message) -> MemberId {
        MemberId(message.to)
    }

    fn fingerprint(message: &Message) -> u64 {
        let mut fold = Fold::default();
        format!("{message:?}").hash(&mut fold);
        fold.finish()
    }

    fn transfer(&mut self, target: Option<MemberId>) -> bool {
        let others = self.founding.voters.iter().find(|id| **id != self.id);
        let Some(target) = target.or(others.copied()) else { return false };
        if self.node.raft.state != StateRole::Leader || target == self.id {
            return false;
        }
        self.node.transfer_leader(target.0);
        self.is_dirty = true;
        true
    }
}
