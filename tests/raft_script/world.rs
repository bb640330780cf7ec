//! A few members, the messages between them, and the clock of each. It does what a command says and
//! notes what comes of it; it reads no script.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mayfly::raft::message::Message;
use mayfly::raft::types::{
    Applicant, Boot, ClusterId, Entry, EntryBody, Index, Member, MemberId, Millis, Payload, Stream,
    Term, Ticket,
};
use mayfly::raft::{Config, FreshNode, Now, Output, Raft, RoleKind, SnapshotState};
use rkyv::util::AlignedVec;

use crate::trace;

/// T: elections begin after T to 2T without a word of a leader.
pub const ELECTION_TIMEOUT_MS: Millis = 100;
const HEARTBEAT_MS: Millis = 20;
/// Time passes in steps of this.
const STEP_MS: Millis = 5;
/// The streams of one node are told apart by their batches' names, so that one serves.
const STREAM: Stream = 0;
pub const CLUSTER: ClusterId = 7;

/// What of a member is told when it changes.
#[derive(Clone, PartialEq)]
struct Seen {
    role: RoleKind,
    term: Term,
    leader_id: Option<MemberId>,
}

pub struct Node {
    pub raft: Raft,
    pub clock_ms: Millis,
    names: BTreeMap<Ticket, String>,
    seen: Seen,
}

impl Node {
    fn now(clock_ms: Millis) -> Now {
        Now { monotonic_ms: clock_ms, unix_ms: 1_000_000 + clock_ms }
    }

    fn seen(raft: &Raft) -> Seen {
        Seen { role: raft.role_kind(), term: raft.term(), leader_id: raft.leader_id() }
    }

    pub fn pass_time(&mut self, ms: Millis) {
        self.clock_ms += ms;
        self.raft.set_now(Self::now(self.clock_ms));
        self.raft.tick();
    }

    fn name(&mut self, name: &str) -> Ticket {
        let ticket = Ticket(self.names.len() as u64 + 1);
        self.names.insert(ticket, name.to_owned());
        ticket
    }
}

#[derive(Default)]
pub struct World {
    pub config: Option<Config>,
    pub nodes: BTreeMap<u64, Node>,
    /// On their way, oldest first.
    pub network: VecDeque<Message>,
    /// Directions in which everything is lost.
    pub cut: BTreeSet<(u64, u64)>,
    /// Directions in which everything waits.
    pub held: BTreeSet<(u64, u64)>,
    /// Snapshots that are asked for, and once they are made, with their content.
    pub snapshots: BTreeMap<(u64, u64), Option<SnapshotState>>,
    pub boots: BTreeMap<String, Boot>,
    /// Processes of listed nodes that have no cluster, and whether they answer.
    pub listed: BTreeMap<String, (FreshNode, bool)>,
    pub trace: Vec<String>,
    /// Messages are not told.
    pub quiet: bool,
    committed: BTreeMap<Index, Entry>,
    leaders: BTreeMap<Term, MemberId>,
}

pub fn config() -> Config {
    Config {
        election_timeout_ms: ELECTION_TIMEOUT_MS,
        heartbeat_interval_ms: HEARTBEAT_MS,
        append_bytes_max: 1 << 20,
        inflight_messages_max: 8,
        inflight_bytes_max: 1 << 20,
        no_leader_timeout_ms: 500,
        seed: 1,
    }
}

impl World {
    pub fn config(&self) -> Config {
        self.config.clone().unwrap_or_else(config)
    }

    pub fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&id).unwrap_or_else(|| panic!("no member {id} is running"))
    }

    /// Everything but the trace.
    pub fn forget(&mut self) {
        *self = Self { trace: std::mem::take(&mut self.trace), ..Self::default() };
    }

    pub fn tell(&mut self, line: impl Into<String>) {
        self.trace.push(line.into());
    }

    /// The clock of the youngest process, which new ones share.
    fn latest_ms(&self) -> Millis {
        self.nodes.values().map(|node| node.clock_ms).max().unwrap_or(0)
    }

    fn add(&mut self, raft: Raft) {
        let (id, clock_ms) = (raft.id().0, self.latest_ms());
        let seen = Node::seen(&raft);
        let mut node = Node { raft, clock_ms, names: BTreeMap::new(), seen };
        node.raft.set_now(Node::now(clock_ms));
        self.nodes.insert(id, node);
    }

    pub fn next_boot(&mut self, slot: &str) -> Boot {
        let boot = self.boots.len() as Boot + 1;
        self.boots.insert(format!("{slot} {boot}"), boot);
        boot
    }

    /// The voters 1 to `count`, which found a cluster together; `leader` is elected, and everybody
    /// knows what is committed.
    pub fn found(&mut self, count: u64, leader: Option<u64>) {
        let told = self.trace.len();
        let founders: Vec<FreshNode> =
            (1..=count).map(|id| self.fresh_node(&format!("slot-{id}"))).collect();
        for id in 1..=count {
            let now = Node::now(self.latest_ms());
            self.add(Raft::found(self.config(), CLUSTER, MemberId(id), &founders, now));
        }
        self.conclude();
        if let Some(leader) = leader {
            self.node(leader).raft.campaign_now().expect("it is a voter");
            self.conclude();
            self.deliver();
            self.pass_time(HEARTBEAT_MS + STEP_MS, true);
        }
        self.trace.truncate(told);
    }

    /// The listed process of `slot` takes its place among the founders.
    pub fn found_as(&mut self, slot: &str) {
        let founders: Vec<FreshNode> = self.listed.values().map(|(node, _)| node.clone()).collect();
        let position = self.listed.keys().position(|listed| listed == slot);
        let id = MemberId(position.expect("it is listed") as u64 + 1);
        let now = Node::now(self.latest_ms());
        self.add(Raft::found(self.config(), CLUSTER, id, &founders, now));
    }

    /// A cluster of one voter.
    pub fn bootstrap(&mut self) {
        let boot = self.next_boot("slot-1");
        let member: Member = applicant("slot-1", boot, false).admitted(MemberId(1));
        let raft = Raft::bootstrap(self.config(), member, Node::now(0));
        self.add(raft);
    }

    pub fn fresh_node(&mut self, slot: &str) -> FreshNode {
        let boot = self.next_boot(slot);
        let address = String::new();
        FreshNode {
            slot: slot.to_owned(),
            boot,
            client_address: address.clone(),
            peer_address: address,
        }
    }

    /// The process that was admitted as `id` begins, and everybody connects to it.
    pub fn start(&mut self, id: u64) {
        let now = Node::now(self.latest_ms());
        self.add(Raft::join(self.config(), MemberId(id), now));
        for (other, node) in &mut self.nodes {
            if *other != id {
                node.raft.peer_connected(MemberId(id));
            }
        }
    }

    pub fn propose(&mut self, id: u64, word: &str) {
        let (name, len) = word.split_once(':').unwrap_or((word, "0"));
        let len: usize = len.parse().expect("name:bytes");
        let mut buffer = AlignedVec::new();
        buffer.extend_from_slice(name.as_bytes());
        buffer.resize(len.max(name.len()), 0);
        let node = self.node(id);
        let ticket = node.name(name);
        node.raft.submit(STREAM, ticket, Payload::new(buffer));
    }

    pub fn read(&mut self, id: u64, name: &str) {
        let node = self.node(id);
        let ticket = node.name(name);
        node.raft.submit_read(STREAM, ticket);
    }

    /// Time passes for everybody alike. Whether messages arrive meanwhile.
    pub fn pass_time(&mut self, ms: Millis, delivers: bool) {
        for _ in 0..ms / STEP_MS {
            self.nodes.values_mut().for_each(|node| node.pass_time(STEP_MS));
            self.conclude();
            if delivers {
                self.deliver();
            }
        }
    }

    /// Everybody concludes a pass: what they have to say goes on its way.
    pub fn conclude(&mut self) {
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        for id in ids {
            let node = self.node(id);
            let output = node.raft.take_output();
            let seen = Node::seen(&node.raft);
            if seen != node.seen {
                node.seen = seen.clone();
                self.check_leader(id, &seen);
                let line = trace::role(id, seen.role, seen.term, seen.leader_id);
                self.tell(line);
            }
            self.note(id, output);
        }
    }

    fn check_leader(&mut self, id: u64, seen: &Seen) {
        if seen.role == RoleKind::Leader {
            let leader = *self.leaders.entry(seen.term).or_insert(MemberId(id));
            assert_eq!(leader, MemberId(id), "two leaders of term {}", seen.term);
        }
    }

    fn note(&mut self, id: u64, output: Output) {
        if let Some(configuration) = &output.configuration {
            self.tell(format!("{id}: configuration {}", trace::configuration(configuration)));
        }
        for committed in &output.committed {
            let entry = &committed.entry;
            let first = self.committed.entry(entry.index).or_insert_with(|| entry.clone());
            assert_eq!(first, entry, "member {id} commits another entry");
        }
        if !output.committed.is_empty() {
            let entries = output.committed.iter().map(|committed| trace::entry(&committed.entry));
            let entries = entries.collect::<Vec<_>>().join(", ");
            self.tell(format!("{id}: commits {entries}"));
        }
        let node = self.node(id);
        let mut lines = Vec::new();
        for ticket in output.committed.iter().filter_map(|committed| committed.ticket) {
            lines.push(format!("{id}: answers {}", node.names[&ticket]));
        }
        for read in &output.reads {
            let name = &node.names[&read.ticket];
            lines.push(format!("{id}: {name} may read at {}", read.index));
        }
        for lost in &output.given_up {
            lines.push(format!("{id}: gives up {}: {:?}", node.names[&lost.ticket], lost.reason));
        }
        if let Some(result) = &output.transfer {
            let end = result.as_ref().map_or_else(ToString::to_string, |()| "done".into());
            lines.push(format!("{id}: transfer: {end}"));
        }
        for to in &output.snapshots_wanted {
            lines.push(format!("{id}: is to send a snapshot to {to}"));
            self.snapshots.insert((id, to.0), None);
        }
        lines.into_iter().for_each(|line| self.tell(line));
        output.messages.into_iter().for_each(|message| self.send(message));
    }

    fn send(&mut self, message: Message) {
        let line = trace::message(&message);
        let lost = !self.passes(&message);
        if !self.quiet {
            self.tell(if lost { format!("{line} (lost)") } else { line });
        }
        if !lost {
            self.network.push_back(message);
        }
    }

    fn passes(&self, message: &Message) -> bool {
        !self.cut.contains(&(message.from.0, message.to.0))
    }

    fn is_held(&self, message: &Message) -> bool {
        self.held.contains(&(message.from.0, message.to.0))
    }

    /// Everything that is on its way arrives, and what is said in answer, until nobody says more.
    pub fn deliver(&mut self) {
        while self.deliver_some(|_, held| !held) {}
    }

    /// What of the present messages is wanted, held or not, arrives in one pass of each receiver.
    pub fn deliver_some(&mut self, wanted: impl Fn(&Message, bool) -> bool) -> bool {
        let (now, later): (VecDeque<_>, _) = std::mem::take(&mut self.network)
            .into_iter()
            .partition(|message| wanted(message, self.is_held(message)));
        self.network = later;
        let any = !now.is_empty();
        for message in now {
            let lost = !self.passes(&message) || !self.nodes.contains_key(&message.to.0);
            if lost && !self.quiet {
                self.tell(format!("lost: {}", trace::message(&message)));
            }
            if !lost {
                self.node(message.to.0).raft.step(message);
            }
        }
        self.conclude();
        any
    }

    /// Takes away the messages from one member to another.
    pub fn take(&mut self, direction: (u64, u64)) -> Vec<Message> {
        let goes = |message: &Message| (message.from.0, message.to.0) == direction;
        let (taken, kept) =
            std::mem::take(&mut self.network).into_iter().partition::<VecDeque<_>, _>(goes);
        self.network = kept;
        taken.into()
    }

    /// A member that has committed what the snapshot holds ends it with that entry.
    pub fn make_snapshot(&mut self, from: u64, to: u64) -> SnapshotState {
        let raft = &self.node(from).raft;
        let state = raft.snapshot_state(raft.commit_index()).expect("it was handed out");
        self.snapshots.insert((from, to), Some(state.clone()));
        state
    }
}

pub fn applicant(slot: &str, boot: Boot, observer: bool) -> Applicant {
    Applicant {
        slot: slot.to_owned(),
        boot,
        client_address: String::new(),
        peer_address: String::new(),
        observer,
    }
}

/// The name of a batch: its payload without the padding.
pub fn name_of(body: &EntryBody) -> Option<String> {
    let EntryBody::Batch { payload, .. } = body else { return None };
    let bytes = payload.as_slice().split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}
