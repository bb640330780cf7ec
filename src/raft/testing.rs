//! Members and messages for the tests of this module.

use std::sync::Arc;

use rkyv::util::AlignedVec;

use super::message::{Body, Message};
use super::types::{
    Applicant, Boot, Configuration, Entry, EntryBody, Index, Member, MemberId, Payload, Round, Term,
};
use super::{Config, Now, Output, Raft, SnapshotState};

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

/// A process that asks to be admitted to a slot, as a voter.
pub(crate) fn applicant(slot: &str, boot: Boot) -> Applicant {
    Applicant {
        slot: slot.to_owned(),
        boot,
        client_address: String::new(),
        peer_address: String::new(),
        observer: false,
    }
}

pub(crate) fn member(id: u64) -> Member {
    Member {
        id: MemberId(id),
        slot: format!("slot-{id}"),
        boot: u128::from(id),
        client_address: String::new(),
        peer_address: String::new(),
        observer: false,
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

/// A few members and what they say to each other: nothing is lost or late unless a test says so,
/// and time passes only in [`Members::run`].
#[derive(Default)]
pub(crate) struct Members {
    pub(crate) rafts: Vec<Raft>,
    pub(crate) now_ms: u64,
    /// Members whose messages nobody gets.
    pub(crate) mute: Vec<u64>,
    last_boot: u128,
}

#[derive(Default)]
struct Said {
    messages: Vec<Message>,
    /// From, to.
    snapshots: Vec<(MemberId, MemberId, SnapshotState)>,
}

impl Said {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.snapshots.is_empty()
    }
}

impl Members {
    /// The voters 1 to `count`, led by member 1, which has committed an entry of its term.
    pub(crate) fn voters(count: u64) -> Self {
        let ids: Vec<u64> = (1..=count).collect();
        let rafts = ids.iter().map(|id| voter(*id, &ids)).collect();
        let mut members = Self { rafts, last_boot: 1000, ..Self::default() };
        members.get(1).campaign_now().unwrap();
        members.run(3 * 20);
        assert!(members.get(1).is_leader());
        members
    }

    pub(crate) fn get(&mut self, id: u64) -> &mut Raft {
        self.rafts.iter_mut().find(|raft| raft.id() == MemberId(id)).unwrap()
    }

    pub(crate) fn leader(&mut self) -> Option<&mut Raft> {
        let mute = self.mute.clone();
        let leads = |raft: &&mut Raft| raft.is_leader() && !mute.contains(&raft.id().0);
        self.rafts.iter_mut().filter(leads).max_by_key(|raft| raft.term())
    }

    /// The process of `id` ends, and everybody notices.
    pub(crate) fn kill(&mut self, id: u64) {
        self.rafts.retain(|raft| raft.id() != MemberId(id));
        self.mute.retain(|mute| *mute != id);
        for raft in &mut self.rafts {
            raft.peer_unreachable(MemberId(id));
        }
    }

    /// Delivers what is said until nobody says anything more.
    pub(crate) fn settle(&mut self) {
        loop {
            let said = self.listen();
            if said.is_empty() {
                return;
            }
            self.deliver(said);
        }
    }

    /// What everybody has to say now.
    fn listen(&mut self) -> Said {
        let mut said = Said::default();
        for raft in &mut self.rafts {
            let output = raft.take_output();
            if !self.mute.contains(&raft.id().0) {
                said.messages.extend(output.messages);
            }
            for to in output.snapshots_wanted {
                let state = raft.snapshot_state(raft.commit_index()).expect("it is in the log");
                said.snapshots.push((raft.id(), to, state));
            }
        }
        said
    }

    fn deliver(&mut self, said: Said) {
        for message in said.messages {
            let is_heard = |raft: &&mut Raft| raft.id() == message.to;
            if self.mute.contains(&message.to.0) {
                continue;
            }
            if let Some(raft) = self.rafts.iter_mut().find(is_heard) {
                raft.step(message);
            }
        }
        for (from, to, state) in said.snapshots {
            let mut rafts = self.rafts.iter_mut();
            if !self.mute.contains(&to.0)
                && let Some(raft) = rafts.find(|raft| raft.id() == to)
            {
                // Refused when it is late.
                let _loaded = raft.install_snapshot(state);
            } else if let Some(raft) = self.rafts.iter_mut().find(|raft| raft.id() == from) {
                raft.snapshot_failed(to);
            }
        }
    }

    /// Goes on until `when` holds of the leader; then `victim`, or the leader if that is `None`,
    /// dies, and of what it was about to say only `reached` get anything. Returns who died.
    pub(crate) fn kill_when(
        &mut self,
        when: impl Fn(&Raft) -> bool,
        victim: Option<u64>,
        reached: &[u64],
    ) -> u64 {
        for _ in 0..200 {
            loop {
                let mut said = self.listen();
                let leader = self.leader().expect("a leader");
                if when(leader) {
                    let victim = victim.unwrap_or(leader.id().0);
                    let is_said = |message: &Message| {
                        message.from.0 != victim || reached.contains(&message.to.0)
                    };
                    said.messages.retain(is_said);
                    self.deliver(said);
                    self.kill(victim);
                    return victim;
                }
                if said.is_empty() {
                    break;
                }
                self.deliver(said);
            }
            self.pass_time();
        }
        panic!("it never came to that");
    }

    fn pass_time(&mut self) {
        self.now_ms += 5;
        for raft in &mut self.rafts {
            raft.set_now(at(self.now_ms));
            raft.tick();
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, ms: u64) {
        for _ in 0..ms / 5 {
            self.pass_time();
            self.settle();
        }
    }

    /// A new process asks for `slot` until it is admitted and told; returns its id.
    pub(crate) fn join(&mut self, slot: &str) -> u64 {
        self.join_as(slot, false)
    }

    pub(crate) fn join_as(&mut self, slot: &str, observer: bool) -> u64 {
        self.last_boot += 1;
        let boot = self.last_boot;
        for _ in 0..400 {
            let applicant = Applicant { observer, ..applicant(slot, boot) };
            if let Some(leader) = self.leader()
                && let Ok(index) = leader.admit(applicant)
            {
                self.settle();
                if self.leader().is_some_and(|leader| leader.commit_index() >= index) {
                    self.start(index.0);
                    return index.0;
                }
            }
            self.run(5);
        }
        panic!("nobody admits a process of {slot}");
    }

    /// The process that was admitted as `id` learns of it.
    pub(crate) fn start(&mut self, id: u64) {
        let mut raft = Raft::join(config(), MemberId(id), at(self.now_ms));
        raft.set_now(at(self.now_ms));
        self.rafts.push(raft);
        for raft in &mut self.rafts {
            raft.peer_connected(MemberId(id));
        }
    }

    /// The voters of the newest configuration that the leader knows, if it is not joint and
    /// committed: their slots.
    pub(crate) fn voting_slots(&mut self) -> Vec<String> {
        let leader = self.leader().expect("a leader");
        let configuration = leader.configuration().clone();
        assert!(!configuration.is_joint(), "{configuration:?}");
        let slot = |id: &MemberId| configuration.member(*id).unwrap().slot.clone();
        let mut slots: Vec<String> = configuration.voters.iter().map(slot).collect();
        slots.sort_unstable();
        slots
    }
}
