//! Members, messages, entries and networks by number: each different one is kept once, and what a
//! member does in a situation is worked out once. A state of the model is then a few numbers.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::hash::Hash;
use std::sync::Arc;

use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{
    Applicant, Configuration, Entry, EntryBody, MemberId, Payload, Term, Ticket,
};
use mayfly::raft::{Now, Raft};
use rkyv::util::AlignedVec;

use crate::{ELECTION_TIMEOUT_MS, SEED};

/// Each different value once, by number.
pub struct Numbered<T> {
    numbers: HashMap<Arc<T>, u32>,
    values: Vec<Arc<T>>,
}

impl<T: Hash + Eq> Numbered<T> {
    pub fn new() -> Self {
        Self { numbers: HashMap::new(), values: Vec::new() }
    }

    pub fn number(&mut self, value: T) -> u32 {
        let value = Arc::new(value);
        match self.numbers.entry(Arc::clone(&value)) {
            Slot::Occupied(known) => *known.get(),
            Slot::Vacant(new) => {
                let number = u32::try_from(self.values.len()).expect("bounded by the states");
                self.values.push(value);
                *new.insert(number)
            }
        }
    }

    pub fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }
}

/// A member and how often its clock was moved on, which it does not tell.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Local {
    pub raft: Raft,
    clock_ms: u64,
}

impl Local {
    pub fn new(raft: Raft) -> Self {
        Self { raft, clock_ms: 0 }
    }

    fn pass_time(&mut self, ms: u64) {
        self.clock_ms += ms;
        self.raft.set_now(Now { monotonic_ms: self.clock_ms, unix_ms: 0 });
    }
}

/// What the properties look at.
#[derive(Clone)]
pub struct Facts {
    pub id: MemberId,
    pub term: Term,
    pub is_leader: bool,
    pub commit_index: usize,
    /// The numbers and terms of the entries of the log, from entry 1 on.
    pub log: Vec<(u32, Term)>,
}

/// What may befall one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// A pass without anything, the first one.
    Wake,
    Deliver(u32),
    Campaign,
    TimeOut,
    Propose(u8),
    Admit,
}

/// What came of it: the member, and the numbers of what it said.
#[derive(Clone)]
pub struct Step {
    pub local: u32,
    pub sent: Vec<u32>,
}

pub struct Table {
    pub locals: Numbered<Local>,
    pub facts: Vec<Facts>,
    pub messages: Numbered<Message>,
    /// Without what chance and the clock gave them.
    pub entries: Numbered<Entry>,
    /// All that was ever said, sorted.
    pub networks: Numbered<Vec<u32>>,
    steps: HashMap<(u32, Act), Step>,
    /// Who is to take the place of the member that died.
    pub applicant: Applicant,
}

impl Table {
    pub fn new(applicant: Applicant) -> Self {
        Self {
            locals: Numbered::new(),
            facts: Vec::new(),
            messages: Numbered::new(),
            entries: Numbered::new(),
            networks: Numbered::new(),
            steps: HashMap::new(),
            applicant,
        }
    }

    pub fn add(&mut self, mut local: Local) -> u32 {
        local.raft.reseed(SEED);
        let facts = self.facts_of(&local.raft);
        let number = self.locals.number(local);
        if number as usize == self.facts.len() {
            self.facts.push(facts);
        }
        number
    }

    fn facts_of(&mut self, raft: &Raft) -> Facts {
        let status = raft.status();
        assert_eq!(status.first_index.0, 1, "nothing is compacted here");
        let mut log = Vec::new();
        for index in 1..=status.last_index.0 {
            let entry = raft.entry(mayfly::raft::types::Index(index)).expect("within the log");
            let number = self.entries.number(Entry { at_ms: 0, seed: 0, ..entry.clone() });
            log.push((number, entry.term));
        }
        Facts {
            id: status.id,
            term: status.term,
            is_leader: raft.is_leader(),
            commit_index: status.commit_index.0 as usize,
            log,
        }
    }

    /// What `local` does in this situation.
    pub fn step(&mut self, local: u32, act: Act) -> Step {
        if let Some(known) = self.steps.get(&(local, act)) {
            return known.clone();
        }
        let mut next = Local::clone(self.locals.get(local));
        self.act(&mut next, act);
        let mut sent = Vec::new();
        while next.raft.has_output() {
            for message in next.raft.take_output().messages {
                sent.push(self.messages.number(without_chance(message)));
            }
        }
        let step = Step { local: self.add(next), sent };
        self.steps.insert((local, act), step.clone());
        step
    }

    fn act(&self, local: &mut Local, act: Act) {
        match act {
            Act::Wake => {}
            Act::Deliver(message) => local.raft.step(Message::clone(self.messages.get(message))),
            Act::Campaign => {
                // Refused to who leads already and to who is no voter.
                let _refused = local.raft.campaign_now();
            }
            Act::TimeOut => {
                local.pass_time(2 * ELECTION_TIMEOUT_MS);
                local.raft.tick();
            }
            Act::Propose(number) => {
                local.raft.submit(0, Ticket(u64::from(number)), payload(number));
            }
            Act::Admit => {
                // So long that who is silent counts as dead.
                local.pass_time(4 * ELECTION_TIMEOUT_MS + 1);
                let _refused = local.raft.admit(self.applicant.clone());
            }
        }
    }

    /// `network` with what was sent.
    pub fn send(&mut self, network: u32, sent: &[u32]) -> u32 {
        let known = self.networks.get(network);
        if sent.iter().all(|message| known.binary_search(message).is_ok()) {
            return network;
        }
        let mut all = known.clone();
        all.extend_from_slice(sent);
        all.sort_unstable();
        all.dedup();
        self.networks.number(all)
    }

    pub fn configuration(&self, entry: u32) -> Option<&Configuration> {
        match &self.entries.get(entry).body {
            EntryBody::Configuration(configuration) => Some(configuration),
            _ => None,
        }
    }

    pub fn is_proposal(&self, entry: u32) -> bool {
        matches!(self.entries.get(entry).body, EntryBody::Batch { .. })
    }

    pub fn sizes(&self) -> String {
        format!(
            "{} states of a member, {} messages, {} networks",
            self.locals.len(),
            self.messages.len(),
            self.networks.len()
        )
    }
}

fn payload(number: u8) -> Payload {
    let mut buffer = AlignedVec::new();
    buffer.push(number);
    Payload::new(buffer)
}

/// The seeds of entries have no effect on consensus.
fn without_chance(mut message: Message) -> Message {
    if let Body::AppendRequest { entries, .. } = &mut message.body {
        entries.iter_mut().for_each(|entry| entry.seed = 0);
    }
    message
}
