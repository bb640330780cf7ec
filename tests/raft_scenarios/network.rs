//! A network of members in one thread, with virtual time: nothing is lost, late or out of order
//! unless a scenario asks for it, so the same story always takes the same course.
//!
//! A member handles one message per pass. After every pass the network checks what holds at all
//! times: one leader per term, the same entry at an index wherever that is committed, terms and
//! commit indexes that never go back.

use std::collections::{BTreeMap, VecDeque};

use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{Applicant, Entry, EntryBody, Index, MemberId, Payload, Stream, Ticket};
use mayfly::raft::{
    Config, FreshNode, GivenUp, Now, Raft, ReadReady, RoleKind, SnapshotState, TransferError,
};
use rkyv::util::AlignedVec;

/// The election time-out: elections begin after T to 2T of silence.
pub const T: u64 = 100;
pub const HEARTBEAT: u64 = 20;
const STREAM: Stream = 0;
/// More than any story has: somebody answers answers.
const MESSAGES_MAX: usize = 100_000;

type Chosen = Box<dyn Fn(&Message) -> bool>;

pub fn config() -> Config {
    Config {
        election_timeout_ms: T,
        heartbeat_interval_ms: HEARTBEAT,
        append_bytes_max: 1 << 20,
        inflight_messages_max: 8,
        inflight_bytes_max: 1 << 20,
        no_leader_timeout_ms: 500,
        seed: 1,
    }
}

pub fn at(ms: u64) -> Now {
    Now { monotonic_ms: ms, unix_ms: 1_000_000 + ms }
}

pub fn payload(text: &str) -> Payload {
    let mut buffer = AlignedVec::new();
    buffer.extend_from_slice(text.as_bytes());
    Payload::new(buffer)
}

/// The text of a batch; `None` for every other entry.
pub fn text(entry: &Entry) -> Option<String> {
    match &entry.body {
        EntryBody::Batch { payload, .. } => {
            Some(String::from_utf8(payload.as_slice().to_vec()).unwrap())
        }
        _ => None,
    }
}

pub fn fresh(id: u64) -> FreshNode {
    FreshNode {
        slot: format!("slot-{id:02}"),
        boot: u128::from(id),
        client_address: String::new(),
        peer_address: String::new(),
    }
}

/// Founder `id` of `count`, whose log holds the entries 1 to `count`, all committed, of term 1.
pub fn founder(id: u64, count: u64, config: Config) -> Raft {
    let founders: Vec<FreshNode> = (1..=count).map(fresh).collect();
    Raft::found(config, 7, MemberId(id), &founders, at(0))
}

pub struct Node {
    pub raft: Raft,
    /// Its clock is ahead of the network's by so much.
    ahead_ms: i64,
    /// It neither takes messages nor notices that time passes.
    paused: bool,
    /// What it was handed as committed, or got with a snapshot, by index.
    pub applied: BTreeMap<u64, Entry>,
    /// Its own batches that were committed.
    pub answered: Vec<Ticket>,
    pub reads: Vec<ReadReady>,
    pub given_up: Vec<GivenUp>,
    /// How its last leadership transfer ended.
    pub transfer: Option<Result<(), TransferError>>,
    seen: (u64, u64),
}

impl Node {
    fn new(raft: Raft) -> Self {
        Self {
            raft,
            ahead_ms: 0,
            paused: false,
            applied: BTreeMap::new(),
            answered: Vec::new(),
            reads: Vec::new(),
            given_up: Vec::new(),
            transfer: None,
            seen: (0, 0),
        }
    }

    pub fn texts(&self) -> Vec<String> {
        self.applied.values().filter_map(text).collect()
    }
}

#[derive(Default)]
pub struct Network {
    pub nodes: BTreeMap<u64, Node>,
    now_ms: u64,
    /// How long a message travels.
    pub delay_ms: u64,
    /// When it arrives, and what.
    transit: VecDeque<(u64, Message)>,
    /// Everything that was said, in order, whether it arrived or not.
    pub sent: Vec<Message>,
    /// From, to.
    cuts: Vec<(u64, u64)>,
    lost: Vec<Chosen>,
    late: Vec<Chosen>,
    /// The messages that were chosen to be late.
    pub held: Vec<Message>,
    /// From, to.
    pub snapshots_wanted: Vec<(u64, u64)>,
    pub hold_snapshots: bool,
    last_ticket: u64,
    last_boot: u128,
    leaders: BTreeMap<u64, u64>,
    committed: BTreeMap<u64, Entry>,
}

impl Network {
    /// The voters 1 to `count`, which have founded a cluster and have no leader yet.
    pub fn of(count: u64) -> Self {
        Self::with_config(count, &config())
    }

    pub fn with_config(count: u64, config: &Config) -> Self {
        let mut net = Self { last_boot: 1000, ..Self::default() };
        for id in 1..=count {
            let raft = founder(id, count, Config { seed: config.seed + id, ..config.clone() });
            net.nodes.insert(id, Node::new(raft));
        }
        net.collect();
        net
    }

    /// As [`Self::of`], with member 1 as the leader and its first entry committed by all.
    pub fn led(count: u64) -> Self {
        let mut net = Self::of(count);
        net.elect(1);
        net.heartbeat();
        net
    }

    /// The voters 1 to n; the log of each goes on with entries of the given terms, as if somebody
    /// had led each of these. What was so appended is not committed.
    pub fn with_logs(logs: &[&[u64]]) -> Self {
        let mut net = Self::of(logs.len() as u64);
        for (id, terms) in (1..).zip(logs) {
            net.feed(id, terms);
        }
        net
    }

    /// Continues the founding entries of the log of `id` with entries of these terms, each from a
    /// leader of that term which then fell silent.
    fn feed(&mut self, id: u64, terms: &[u64]) {
        let count = self.nodes.len() as u64;
        let ghost = MemberId(id % count + 1);
        let node = &mut self.get(id).raft;
        let mut previous = (Index(count), mayfly::raft::types::Term(1));
        for term in terms.iter().map(|term| mayfly::raft::types::Term(*term)) {
            let index = previous.0.next();
            let entry = Entry { index, term, at_ms: 1, seed: 0, body: EntryBody::Noop };
            let body = Body::AppendRequest {
                prev_index: previous.0,
                prev_term: previous.1,
                commit_index: Index(count),
                round: mayfly::raft::types::Round(0),
                entries: vec![entry],
            };
            node.step(Message { from: ghost, to: MemberId(id), term, body });
            previous = (index, term);
        }
        node.peer_unreachable(ghost);
        node.take_output();
    }

    pub fn get(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&id).unwrap_or_else(|| panic!("there is no member {id}"))
    }

    pub fn raft(&self, id: u64) -> &Raft {
        &self.nodes[&id].raft
    }

    fn ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }
}

/// Faults.
impl Network {
    /// Nothing passes between the two any more, and neither notices.
    pub fn cut(&mut self, one: u64, other: u64) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Nothing that `from` says reaches `to`.
    pub fn cut_one_way(&mut self, from: u64, to: u64) {
        self.cuts.push((from, to));
    }

    /// Cuts `id` off from everybody.
    pub fn isolate(&mut self, id: u64) {
        for other in self.ids() {
            if other != id {
                self.cut(id, other);
            }
        }
    }

    /// Nothing passes between the members of different groups.
    pub fn partition(&mut self, one: &[u64], other: &[u64]) {
        for a in one {
            for b in other {
                self.cut(*a, *b);
            }
        }
    }

    /// From now on the chosen messages are lost.
    pub fn lose(&mut self, chosen: impl Fn(&Message) -> bool + 'static) {
        self.lost.push(Box::new(chosen));
    }

    /// From now on the chosen messages are kept in [`Self::held`] until [`Self::release`].
    pub fn hold(&mut self, chosen: impl Fn(&Message) -> bool + 'static) {
        self.late.push(Box::new(chosen));
    }

    /// Everything passes again. What was held is still held.
    pub fn heal(&mut self) {
        self.cuts.clear();
        self.lost.clear();
        self.late.clear();
    }

    /// What was held sets out, in the order that it stands in, and nothing is held any more.
    pub fn release(&mut self) {
        self.late.clear();
        let due = self.now_ms;
        self.transit.extend(self.held.drain(..).map(|message| (due, message)));
    }

    /// The connection of the two breaks: what is on its way is lost, and both notice.
    pub fn break_link(&mut self, one: u64, other: u64) {
        let between =
            |m: &Message| (m.from.0, m.to.0) == (one, other) || (m.from.0, m.to.0) == (other, one);
        self.transit.retain(|(_, message)| !between(message));
        self.held.retain(|message| !between(message));
        for (id, peer) in [(one, other), (other, one)] {
            if let Some(node) = self.nodes.get_mut(&id) {
                node.raft.peer_unreachable(MemberId(peer));
            }
        }
        self.collect();
    }

    /// There is a new connection between the two.
    pub fn connect(&mut self, one: u64, other: u64) {
        self.get(one).raft.peer_connected(MemberId(other));
        self.get(other).raft.peer_connected(MemberId(one));
        self.collect();
    }

    /// The process of `id` ends: its memory is gone, and everybody's connection to it breaks.
    pub fn kill(&mut self, id: u64) {
        self.nodes.remove(&id);
        self.transit.retain(|(_, message)| message.to.0 != id);
        for other in self.ids() {
            self.break_link(other, id);
        }
    }

    /// The process of `id` stops where it is; messages to it wait.
    pub fn pause(&mut self, id: u64) {
        self.get(id).paused = true;
    }

    /// It goes on, and learns how late it is when it next looks at the clock.
    pub fn resume(&mut self, id: u64) {
        self.get(id).paused = false;
    }

    /// As [`Self::resume`] after so many milliseconds, in which its clock stood still with it.
    pub fn resume_unaware(&mut self, id: u64, ms: u64) {
        self.get(id).paused = false;
        self.get(id).ahead_ms -= ms as i64;
    }

    /// A new process is told that it was admitted as `id`, and has connections to everybody.
    pub fn start(&mut self, id: u64, config: Config) {
        let mut node = Node::new(Raft::join(config, MemberId(id), at(self.now_ms)));
        node.raft.set_now(at(self.now_ms));
        self.nodes.insert(id, node);
        for other in self.ids() {
            if other != id {
                self.connect(other, id);
            }
        }
    }

    /// A new process asks `leader` for `slot`, until it is admitted and told; returns its id.
    pub fn join(&mut self, leader: u64, slot: &str, observer: bool) -> u64 {
        self.last_boot += 1;
        let applicant = Applicant {
            slot: slot.to_owned(),
            boot: self.last_boot,
            client_address: String::new(),
            peer_address: String::new(),
            observer,
        };
        for _ in 0..10 * T {
            if let Ok(index) = self.get(leader).raft.admit(applicant.clone()) {
                self.deliver_all();
                if self.raft(leader).commit_index() >= index {
                    self.start(index.0, Config { seed: index.0, ..config() });
                    return index.0;
                }
            }
            self.run(1);
        }
        panic!("member {leader} does not admit a process of {slot}");
    }
}

/// Time and messages.
impl Network {
    /// Gathers what the members have to say, without delivering anything.
    pub fn collect(&mut self) {
        for id in self.ids() {
            let node = self.get(id);
            if node.paused || !node.raft.has_output() {
                continue;
            }
            let output = node.raft.take_output();
            for committed in output.committed {
                node.applied.insert(committed.entry.index.0, committed.entry);
                node.answered.extend(committed.ticket);
            }
            node.reads.extend(output.reads);
            node.given_up.extend(output.given_up);
            node.transfer = output.transfer.or(node.transfer);
            let due = self.now_ms + self.delay_ms;
            self.sent.extend(output.messages.iter().cloned());
            self.transit.extend(output.messages.into_iter().map(|message| (due, message)));
            let wanted = output.snapshots_wanted.into_iter().map(|to| (id, to.0));
            self.snapshots_wanted.extend(wanted);
            self.check(id);
        }
    }

    fn check(&mut self, id: u64) {
        let node = &self.nodes[&id];
        let now = (node.raft.term().0, node.raft.commit_index().0);
        assert!(now.0 >= node.seen.0 && now.1 >= node.seen.1, "{id}: {:?}, {now:?}", node.seen);
        if node.raft.is_leader() {
            let leader = *self.leaders.entry(now.0).or_insert(id);
            assert_eq!(leader, id, "two leaders in term {}", now.0);
        }
        for (index, entry) in node.applied.range(node.seen.1..) {
            let known = self.committed.entry(*index).or_insert_with(|| entry.clone());
            assert_eq!(known, entry, "committed on {id}, and something else elsewhere");
        }
        self.get(id).seen = now;
    }

    /// Delivers all that is due, and the answers, until nobody says anything more.
    pub fn deliver_all(&mut self) {
        self.deliver_where(|_| true);
    }

    /// As [`Self::deliver_all`], of the chosen messages alone; the others stay on their way.
    pub fn deliver_where(&mut self, chosen: impl Fn(&Message) -> bool) {
        for _ in 0..MESSAGES_MAX {
            self.collect();
            let paused = |id: MemberId| self.nodes.get(&id.0).is_some_and(|node| node.paused);
            let is_due = |(due, message): &(u64, Message)| {
                *due <= self.now_ms && chosen(message) && !paused(message.to)
            };
            let next = self.transit.iter().position(is_due);
            if let Some(position) = next {
                let (_, message) = self.transit.remove(position).unwrap();
                self.deliver(message);
            } else if !self.deliver_snapshot() {
                return;
            }
        }
        panic!("they do not stop talking");
    }

    fn deliver(&mut self, message: Message) {
        let (from, to) = (message.from.0, message.to.0);
        if self.cuts.contains(&(from, to)) || self.lost.iter().any(|lost| lost(&message)) {
            return;
        }
        if self.late.iter().any(|late| late(&message)) {
            self.held.push(message);
        } else if let Some(node) = self.nodes.get_mut(&to) {
            node.raft.step(message);
        }
    }

    /// Sends one of the snapshots that are wanted. Whether there was one.
    fn deliver_snapshot(&mut self) -> bool {
        if self.hold_snapshots || self.snapshots_wanted.is_empty() {
            return false;
        }
        let (from, to) = self.snapshots_wanted.remove(0);
        match self.take_snapshot(from) {
            Some(state) if !self.cuts.contains(&(from, to)) && self.nodes.contains_key(&to) => {
                self.install(from, to, state);
            }
            _ => self.get(from).raft.snapshot_failed(MemberId(to)),
        }
        true
    }

    /// A snapshot of what `id` has applied. `None` if it has ended.
    pub fn take_snapshot(&self, id: u64) -> Option<SnapshotState> {
        let raft = &self.nodes.get(&id)?.raft;
        raft.snapshot_state(raft.status().handed_out_index)
    }

    /// Member `to` has got a snapshot that `from` took. Whether it goes on from that.
    pub fn install(&mut self, from: u64, to: u64, state: SnapshotState) -> bool {
        let last_index = state.last_index.0;
        if !self.get(to).raft.install_snapshot(state) {
            return false;
        }
        let entries = self.nodes[&from].applied.range(..=last_index);
        let entries: Vec<(u64, Entry)> = entries.map(|(at, e)| (*at, e.clone())).collect();
        self.get(to).applied.extend(entries);
        true
    }

    /// A message arrives that nobody of the network has sent. What follows is delivered.
    pub fn tell(&mut self, message: Message) {
        self.get(message.to.0).raft.step(message);
        self.deliver_all();
    }

    /// Drops what `id` has applied from its log.
    pub fn compact(&mut self, id: u64) {
        let raft = &mut self.get(id).raft;
        raft.compact(raft.status().handed_out_index);
    }

    /// Lets time pass for everybody.
    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now_ms += 1;
            let now_ms = self.now_ms;
            for node in self.nodes.values_mut().filter(|node| !node.paused) {
                node.raft.set_now(at(now_ms.saturating_add_signed(node.ahead_ms)));
                node.raft.tick();
            }
            self.deliver_all();
        }
    }

    /// Runs until it is so, for ten elections at most.
    pub fn run_until(&mut self, what: &str, so: impl Fn(&mut Self) -> bool) {
        for _ in 0..20 * T {
            if so(self) {
                return;
            }
            self.run(1);
        }
        panic!("not in time: {what}");
    }

    /// Enough for everybody to have heard a heartbeat and what came of the answers.
    pub fn heartbeat(&mut self) {
        self.run(2 * HEARTBEAT);
    }

    /// The clock of `id` alone jumps ahead. It does not notice before it looks.
    pub fn skip(&mut self, id: u64, ms: u64) {
        let now_ms = self.now_ms;
        let node = self.get(id);
        node.ahead_ms += ms as i64;
        node.raft.set_now(at(now_ms.saturating_add_signed(node.ahead_ms)));
    }

    /// Time passes for `id` alone, until it campaigns or should have. Nothing is delivered. Whether
    /// it does.
    pub fn time_out(&mut self, id: u64) -> bool {
        let before = self.sent.len();
        for _ in 0..=2 * T {
            self.skip(id, 1);
            self.get(id).raft.tick();
            self.collect();
            let asks = |m: &Message| {
                let is_request =
                    matches!(m.body, Body::PreVoteRequest { .. } | Body::VoteRequest { .. });
                m.from.0 == id && is_request
            };
            if self.raft(id).is_leader() || self.sent[before..].iter().any(asks) {
                return true;
            }
        }
        false
    }

    /// Member `id` campaigns without a pre-vote. Nothing is delivered.
    pub fn campaign_now(&mut self, id: u64) {
        self.get(id).raft.campaign_now().unwrap();
        self.collect();
    }

    /// For everybody but `id` it is as if there had been silence for an election time-out: nobody
    /// believes in a leader any more, and nobody campaigns yet.
    pub fn lapse(&mut self, except: u64) {
        for id in self.ids() {
            if id != except && !self.nodes[&id].paused {
                self.skip(id, T);
                if self.raft(id).is_leader() {
                    self.get(id).raft.tick();
                }
            }
        }
        self.collect();
    }

    /// Everybody has heard of no leader for an election time-out, and `id` is the first to notice.
    /// All that follows is delivered.
    pub fn campaign(&mut self, id: u64) {
        self.lapse(id);
        assert!(self.time_out(id), "member {id} does not campaign");
        self.deliver_all();
    }

    /// As [`Self::campaign`], which must succeed, though it may first have to learn of a term.
    pub fn elect(&mut self, id: u64) {
        self.campaign(id);
        if !self.raft(id).is_leader() {
            self.campaign(id);
        }
        self.assert_leader(id);
    }
}

/// Clients.
impl Network {
    /// A client of `id` writes. Nothing is delivered.
    pub fn submit(&mut self, id: u64, text: &str) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.get(id).raft.submit(STREAM, ticket, payload(text));
        self.collect();
        ticket
    }

    /// A client of `id` writes, and all that follows is delivered.
    pub fn write(&mut self, id: u64, text: &str) -> Ticket {
        let ticket = self.submit(id, text);
        self.deliver_all();
        ticket
    }

    /// A client of `id` asks for a read index. Nothing is delivered.
    pub fn ask_read(&mut self, id: u64) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.get(id).raft.submit_read(STREAM, ticket);
        self.collect();
        ticket
    }

    /// The index that the read of `id` got; `None`: it waits, or was given up.
    pub fn read_index(&self, id: u64, ticket: Ticket) -> Option<u64> {
        let ready = self.nodes[&id].reads.iter().find(|ready| ready.ticket == ticket);
        ready.map(|ready| ready.index.0)
    }

    /// Whether the batch of a client of `id` was committed.
    pub fn is_answered(&self, id: u64, ticket: Ticket) -> bool {
        self.nodes[&id].answered.contains(&ticket)
    }
}

/// What is to be seen.
impl Network {
    pub fn role(&self, id: u64) -> RoleKind {
        self.raft(id).status().role
    }

    pub fn term(&self, id: u64) -> u64 {
        self.raft(id).term().0
    }

    pub fn commit(&self, id: u64) -> u64 {
        self.raft(id).commit_index().0
    }

    pub fn last(&self, id: u64) -> u64 {
        self.raft(id).status().last_index.0
    }

    /// Who leads the latest term that anybody leads.
    pub fn leader(&self) -> Option<u64> {
        let leads = |id: &u64| self.raft(*id).is_leader();
        self.nodes.keys().copied().filter(leads).max_by_key(|id| self.term(*id))
    }

    /// The terms of the log of `id` behind what it was founded with.
    pub fn log_terms(&self, id: u64) -> Vec<u64> {
        let raft = self.raft(id);
        let entries = (1..=self.last(id)).filter_map(|index| raft.entry(Index(index)));
        let is_founding = |entry: &&Entry| entry.at_ms > 0;
        entries.filter(is_founding).map(|entry| entry.term.0).collect()
    }

    /// Whether such a message waits to be delivered.
    pub fn is_on_its_way(&self, chosen: impl Fn(&Message) -> bool) -> bool {
        self.transit.iter().any(|(_, message)| chosen(message))
    }

    /// What was said since `position` of [`Self::sent`], by `from` to `to`.
    pub fn said(&self, position: usize, from: u64, to: u64) -> Vec<&Body> {
        let between = |m: &&Message| (m.from.0, m.to.0) == (from, to);
        self.sent[position..].iter().filter(between).map(|message| &message.body).collect()
    }

    /// Member `id` leads, and nobody leads a later term.
    #[track_caller]
    pub fn assert_leader(&self, id: u64) {
        assert!(self.raft(id).is_leader(), "{:?}", self.raft(id).status());
        assert_eq!(self.leader(), Some(id));
    }

    #[track_caller]
    pub fn assert_roles(&self, roles: &[(u64, RoleKind)]) {
        for (id, role) in roles {
            assert_eq!(self.role(*id), *role, "member {id}: {:?}", self.raft(*id).status());
        }
    }

    #[track_caller]
    pub fn assert_terms(&self, terms: &[u64]) {
        let found: Vec<u64> = self.nodes.keys().map(|id| self.term(*id)).collect();
        assert_eq!(found, terms);
    }

    /// These batches are applied on `id`, and no others.
    #[track_caller]
    pub fn assert_applied(&self, id: u64, texts: &[&str]) {
        assert_eq!(self.nodes[&id].texts(), texts, "member {id}");
    }
}
