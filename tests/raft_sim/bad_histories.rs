//! Histories that break one invariant each: a checker that cannot fail proves nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use mayfly::raft::types::{
    Applicant, Configuration, Entry, EntryBody, Index, MemberId, Millis, Payload, Seq, Stream,
    Term, Ticket,
};
use mayfly::raft::{Config, Now, SnapshotState};

use crate::checker::{Checker, Peers, Watched};
use crate::cluster::{Cluster, Size};
use crate::consensus::{Birth, Consensus, Effects, Supports, View};
use crate::core::Core;
use crate::faults::Faults;
use crate::invariants::Invariant;
use crate::light::LightMachine;
use crate::oracle::{Batches, Op, Oracle};

const TIMEOUT_MS: Millis = 100;
const THREE: Size = Size { voters: 3, observers: 0 };

/// A member that is whatever a history says.
#[derive(Clone, Debug, Default)]
struct Puppet {
    view: View,
    entries: Vec<Entry>,
    configuration: Arc<Configuration>,
}

impl Consensus for Puppet {
    type Message = ();

    const SUPPORTS: Supports = Supports {
        membership: true,
        snapshots: true,
        transfer: false,
        exactly_once: true,
        recovery: false,
    };

    fn start(_config: Config, _birth: Birth<'_>, _now: Now) -> Self {
        Self::default()
    }

    fn set_now(&mut self, _now: Now) {}
    fn tick(&mut self) {}
    fn step(&mut self, (): ()) {}
    fn submit(&mut self, _stream: Stream, _ticket: Ticket, _payload: Payload) {}
    fn submit_read(&mut self, _stream: Stream, _ticket: Ticket) {}
    fn take_effects(&mut self, _effects: &mut Effects<()>) -> bool {
        false
    }
    fn peer_unreachable(&mut self, _id: MemberId) {}
    fn peer_connected(&mut self, _id: MemberId) {}
    fn campaign(&mut self) -> bool {
        false
    }

    fn view(&self) -> View {
        self.view
    }

    fn entry(&self, index: Index) -> Option<Cow<'_, Entry>> {
        let at = index.0.checked_sub(self.view.first_index.0)?;
        self.entries.get(at as usize).map(Cow::Borrowed)
    }

    fn configuration(&self) -> &Arc<Configuration> {
        &self.configuration
    }

    fn receiver((): &()) -> MemberId {
        MemberId::NONE
    }

    fn fingerprint((): &()) -> u64 {
        0
    }
}

fn configuration(voters: &[u64], outgoing: &[u64], learners: &[u64]) -> Arc<Configuration> {
    let ids = |numbers: &[u64]| numbers.iter().map(|id| MemberId(*id)).collect::<Vec<_>>();
    let all: std::collections::BTreeSet<u64> =
        [voters, outgoing, learners].concat().into_iter().collect();
    let member = |id: &u64| {
        let applicant = Applicant {
            slot: format!("slot-{id}"),
            boot: u128::from(*id),
            client_address: String::new(),
            peer_address: String::new(),
            observer: false,
        };
        applicant.admitted(MemberId(*id))
    };
    Arc::new(Configuration {
        voters: ids(voters),
        voters_outgoing: ids(outgoing),
        learners: ids(learners),
        members: all.iter().map(member).collect(),
    })
}

impl Puppet {
    /// Voter `id` of three with a log of these terms, whose first entry is the configuration.
    fn new(id: u64, terms: &[u64]) -> Self {
        let configuration = configuration(&[1, 2, 3], &[], &[]);
        let entry = |(at, term): (usize, &u64)| {
            let body = match at {
                0 => EntryBody::Configuration(Arc::clone(&configuration)),
                _ => EntryBody::Noop,
            };
            let index = Index(at as u64 + 1);
            Entry { index, term: Term(*term), at_ms: 0, seed: 0, body }
        };
        let entries: Vec<Entry> = terms.iter().enumerate().map(entry).collect();
        let view = View {
            id: MemberId(id),
            term: Term(terms.last().copied().unwrap_or(0)),
            first_index: Index(1),
            last_index: Index(terms.len() as u64),
            ..View::default()
        };
        Self { view, entries, configuration }
    }

    fn leads(mut self, term: u64) -> Self {
        (self.view.term, self.view.is_leader) = (Term(term), true);
        self
    }

    fn committed(mut self, index: u64) -> Self {
        self.view.commit_index = Index(index);
        self
    }

    fn voted(mut self, id: u64) -> Self {
        self.view.voted_for = Some(MemberId(id));
        self
    }

    /// With one entry more.
    fn and(mut self, body: EntryBody) -> Self {
        let (index, term) = (self.view.last_index.next(), self.view.term);
        if let EntryBody::Configuration(configuration) = &body {
            self.configuration = Arc::clone(configuration);
        }
        self.entries.push(Entry { index, term, at_ms: 0, seed: 0, body });
        self.view.last_index = index;
        self
    }
}

/// Some members and the checker that watches them.
struct World {
    checker: Checker,
    members: BTreeMap<MemberId, Puppet>,
    watched: BTreeMap<MemberId, Watched>,
    now: Millis,
}

struct Others<'a>(&'a BTreeMap<MemberId, Puppet>);

impl Peers<Puppet> for Others<'_> {
    fn peer(&self, id: MemberId) -> Option<&Puppet> {
        self.0.get(&id)
    }
}

impl World {
    fn new() -> Self {
        let checker = Checker::new(true, TIMEOUT_MS);
        Self { checker, members: BTreeMap::new(), watched: BTreeMap::new(), now: 1_000 }
    }

    fn see(&mut self, puppet: Puppet) {
        let id = puppet.view.id;
        let watched = self.watched.entry(id).or_default();
        self.members.insert(id, puppet);
        self.checker.check(&self.members[&id], watched, self.now, &Others(&self.members));
    }

    fn hand_out(&mut self, id: u64, entry: &Entry) {
        let watched = self.watched.entry(MemberId(id)).or_default();
        self.checker.on_handed_out(watched, entry);
    }

    /// Two of three have three entries of term 1, committed.
    fn begun() -> Self {
        let mut world = Self::new();
        world.see(Puppet::new(2, &[1, 1, 1]));
        world.see(Puppet::new(1, &[1, 1, 1]).leads(1).committed(3));
        world
    }
}

/// The history must break this invariant, and no other one before it.
fn breaks(invariant: Invariant, history: impl FnOnce()) {
    let result = catch_unwind(AssertUnwindSafe(history));
    let panic = result.expect_err("the history passes for a good one");
    let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(text.starts_with(&format!("{invariant}: ")), "{invariant}, but: {text}");
}

fn batch(origin: u64, seq: u64) -> EntryBody {
    let (origin, seq) = (MemberId(origin), Seq(seq));
    EntryBody::Batch { origin, stream: 0, seq, payload: Payload::empty() }
}

#[test]
fn a_good_history_passes() {
    let mut world = World::begun();
    let leader = world.members[&MemberId(1)].clone();
    for entry in leader.entries.clone() {
        world.hand_out(1, &entry);
        world.hand_out(2, &entry);
    }
    world.see(Puppet::new(3, &[1, 1]));
    world.see(Puppet::new(3, &[1, 1, 1]));
    world.see(Puppet::new(2, &[1, 1, 1, 2]).leads(2));
    world.see(Puppet::new(2, &[1, 1, 1, 2]).leads(2).committed(3));
}

#[test]
fn two_leaders_of_a_term_are_noticed() {
    breaks(Invariant::ElectionSafety, || {
        let mut world = World::new();
        world.see(Puppet::new(1, &[1]).leads(2));
        world.see(Puppet::new(2, &[1]).leads(2));
    });
}

#[test]
fn logs_that_do_not_match_are_noticed() {
    breaks(Invariant::LogMatching, || {
        let mut world = World::new();
        world.see(Puppet::new(1, &[1]).and(EntryBody::Noop));
        world.see(Puppet::new(2, &[1]).and(EntryBody::Tick));
    });
    breaks(Invariant::LogMatching, || {
        let mut world = World::new();
        world.see(Puppet::new(1, &[1, 1, 3]));
        world.see(Puppet::new(2, &[1, 2, 3]));
    });
}

#[test]
fn a_leader_that_lacks_committed_entries_is_noticed() {
    breaks(Invariant::LeaderCompleteness, || {
        World::begun().see(Puppet::new(3, &[1, 1]).leads(2));
    });
    breaks(Invariant::LeaderCompleteness, || {
        World::begun().see(Puppet::new(3, &[1, 1, 2]).leads(3));
    });
    // A leader of an earlier term commits what the present one lacks.
    breaks(Invariant::LeaderCompleteness, || {
        let mut world = World::begun();
        world.see(Puppet::new(2, &[1, 1, 1, 1]));
        world.see(Puppet::new(3, &[1, 1, 1]).leads(2));
        world.see(Puppet::new(1, &[1, 1, 1, 1]).leads(1).committed(4));
    });
}

/// Its last vote came late: what was committed since is of later terms.
#[test]
fn a_late_leader_of_an_earlier_term_may_lack_what_later_terms_have_committed() {
    let log = [1, 1, 1, 3];
    let mut world = World::begun();
    world.see(Puppet::new(2, &log).leads(3));
    world.see(Puppet::new(1, &log).committed(3));
    world.see(Puppet::new(2, &log).leads(3).committed(4));
    world.see(Puppet::new(3, &[1, 1, 1]).leads(2));
    // What was committed before is not excused.
    breaks(Invariant::LeaderCompleteness, || {
        let mut world = World::begun();
        world.see(Puppet::new(2, &log).leads(3));
        world.see(Puppet::new(3, &[1, 1]).leads(2));
    });
}

#[test]
fn states_that_differ_are_noticed() {
    // One index, two entries.
    breaks(Invariant::StateMachineSafety, || {
        World::begun().see(Puppet::new(3, &[1, 1, 2]).committed(3));
    });
    // Handed out is what was never committed, or out of order.
    breaks(Invariant::StateMachineSafety, || {
        let mut world = World::begun();
        let entry = Puppet::new(1, &[2]).entries[0].clone();
        world.hand_out(1, &entry);
    });
    breaks(Invariant::StateMachineSafety, || {
        let mut world = World::begun();
        let entry = Puppet::new(1, &[1, 1]).entries[1].clone();
        world.hand_out(1, &entry);
    });
    // Equal entries, other effects.
    breaks(Invariant::StateMachineSafety, || {
        let mut world = World::begun();
        world.checker.on_digest(&world.watched[&MemberId(1)], 7);
        world.checker.on_digest(&world.watched[&MemberId(2)], 8);
    });
    // A snapshot of what was never committed.
    breaks(Invariant::StateMachineSafety, || {
        let mut world = World::begun();
        let state = SnapshotState {
            last_index: Index(3),
            last_term: Term(2),
            last_at_ms: 0,
            configuration: Arc::default(),
            watermarks: Vec::new(),
        };
        let watched = world.watched.entry(MemberId(3)).or_default();
        world.checker.on_installed(watched, &state);
    });
}

#[test]
fn commits_without_a_quorum_are_noticed() {
    breaks(Invariant::CommittedOnQuorum, || {
        let mut world = World::new();
        world.see(Puppet::new(1, &[1, 1]).leads(1).committed(2));
    });
    // The new half of a joint configuration has it, the old one has not.
    breaks(Invariant::CommittedOnQuorum, || {
        let mut world = World::begun();
        let joint = EntryBody::Configuration(configuration(&[1, 2], &[1, 2, 3], &[]));
        world.see(Puppet::new(1, &[1, 1, 1]).leads(1).committed(3).and(joint).committed(4));
    });
}

#[test]
fn committed_entries_that_are_replaced_are_noticed() {
    breaks(Invariant::CommittedImmutable, || {
        World::begun().see(Puppet::new(1, &[1, 1, 2]).committed(3));
    });
    breaks(Invariant::LogOrder, || {
        World::begun().see(Puppet::new(1, &[1, 1]).committed(3));
    });
}

#[test]
fn what_goes_back_is_noticed() {
    breaks(Invariant::Monotonic, || {
        let mut world = World::new();
        world.see(Puppet::new(1, &[1, 2]));
        world.see(Puppet::new(1, &[1]));
    });
    breaks(Invariant::Monotonic, || {
        World::begun().see(Puppet::new(1, &[1, 1, 1]).leads(1).committed(2));
    });
    // The clock of the log.
    breaks(Invariant::Monotonic, || {
        let mut world = World::new();
        let mut puppet = Puppet::new(1, &[1, 1]);
        puppet.entries[0].at_ms = 5;
        puppet.configuration = configuration(&[1], &[], &[]);
        world.see(puppet.clone().committed(2));
        puppet.entries.iter().for_each(|entry| world.hand_out(1, entry));
    });
}

#[test]
fn a_second_vote_in_a_term_is_noticed() {
    breaks(Invariant::OneVotePerTerm, || {
        let mut world = World::new();
        world.see(Puppet::new(1, &[1]).voted(2));
        world.see(Puppet::new(1, &[1]).voted(3));
    });
    breaks(Invariant::OneVotePerTerm, || {
        let mut world = World::new();
        world.see(Puppet::new(1, &[1]).voted(2));
        world.see(Puppet::new(1, &[1]));
    });
}

#[test]
fn a_log_out_of_order_is_noticed() {
    breaks(Invariant::LogOrder, || {
        let mut puppet = Puppet::new(1, &[1]);
        puppet.view.handed_out_index = Index(1);
        World::new().see(puppet);
    });
    // A log that begins behind what was handed out.
    breaks(Invariant::LogOrder, || {
        let mut puppet = Puppet::new(1, &[1, 1]);
        puppet.view.first_index = Index(2);
        World::new().see(puppet);
    });
}

#[test]
fn identities_that_recur_are_noticed() {
    breaks(Invariant::Identity, || {
        let mut checker = Checker::new(true, TIMEOUT_MS);
        checker.on_born(MemberId(1), 1);
        checker.on_born(MemberId(1), 2);
    });
    breaks(Invariant::Identity, || {
        let mut checker = Checker::new(true, TIMEOUT_MS);
        checker.on_born(MemberId(1), 1);
        checker.on_born(MemberId(2), 1);
    });
    // Admitted under an id that is not the index of the admission.
    breaks(Invariant::Identity, || {
        let mut world = World::begun();
        let next = EntryBody::Configuration(configuration(&[1, 2, 3], &[], &[9]));
        world.see(Puppet::new(1, &[1, 1, 1]).leads(1).committed(3).and(next));
    });
    // A removed member is back.
    breaks(Invariant::Identity, || {
        let mut checker = Checker::new(true, TIMEOUT_MS);
        for voters in [&[1, 2][..], &[1], &[1, 2]] {
            checker.note_configuration(&configuration(voters, &[], &[]));
        }
    });
    // One process twice in a configuration.
    breaks(Invariant::Identity, || {
        let mut twice = Configuration::clone(&configuration(&[1, 2], &[], &[]));
        twice.members[1].boot = twice.members[0].boot;
        Checker::new(true, TIMEOUT_MS).note_configuration(&Arc::new(twice));
    });
}

#[test]
fn a_batch_that_runs_twice_is_noticed() {
    let log = |bodies: [EntryBody; 2]| {
        let mut world = World::new();
        let [one, two] = bodies;
        let mut puppet = Puppet::new(1, &[1]).and(one).and(two);
        puppet.configuration = configuration(&[1], &[], &[]);
        world.see(puppet.clone().committed(3));
        puppet.entries.iter().for_each(|entry| world.hand_out(1, entry));
    };
    log([batch(2, 1), batch(2, 2)]);
    breaks(Invariant::ExactlyOnce, || log([batch(2, 1), batch(2, 1)]));
    breaks(Invariant::ExactlyOnce, || log([batch(2, 1), batch(2, 3)]));
}

#[test]
fn a_promotion_of_who_lags_is_noticed() {
    let promote = |log_of_learner: &[u64]| {
        let mut world = World::begun();
        let admitted = EntryBody::Configuration(configuration(&[1, 2, 3], &[], &[4]));
        let promoted = EntryBody::Configuration(configuration(&[1, 2, 3, 4], &[1, 2, 3], &[]));
        let leader = Puppet::new(1, &[1, 1, 1]).leads(1).committed(3).and(admitted.clone());
        world.see(leader.clone());
        world.see(Puppet::new(2, &[1, 1, 1]).and(admitted));
        world.see(leader.clone().committed(4));
        world.members.insert(MemberId(4), Puppet::new(4, log_of_learner));
        world.now += TIMEOUT_MS;
        world.see(leader.committed(4).and(promoted));
    };
    promote(&[1, 1, 1, 1]);
    breaks(Invariant::PromotionAfterCatchUp, || promote(&[1, 1, 1]));
    // A voter out of nowhere.
    breaks(Invariant::PromotionAfterCatchUp, || {
        let mut world = World::begun();
        let next = EntryBody::Configuration(configuration(&[1, 2, 3, 4], &[1, 2, 3], &[]));
        world.see(Puppet::new(1, &[1, 1, 1]).leads(1).committed(3).and(next));
    });
}

#[test]
fn changes_that_overlap_are_noticed() {
    // The former one is not committed.
    breaks(Invariant::OneChangeInFlight, || {
        let mut world = World::new();
        let next = EntryBody::Configuration(configuration(&[1, 2, 3], &[], &[]));
        world.see(Puppet::new(1, &[1]).and(next));
    });
    // Voters change without a joint configuration.
    breaks(Invariant::OneChangeInFlight, || {
        let mut world = World::begun();
        let next = EntryBody::Configuration(configuration(&[1, 2], &[], &[]));
        world.see(Puppet::new(1, &[1, 1, 1]).leads(1).committed(3).and(next));
    });
    // The old half is not who voted before.
    breaks(Invariant::OneChangeInFlight, || {
        let mut world = World::begun();
        let next = EntryBody::Configuration(configuration(&[1, 2], &[1, 2], &[3]));
        world.see(Puppet::new(1, &[1, 1, 1]).leads(1).committed(3).and(next));
    });
}

/// An oracle that has seen `count` batches, each committed at the index after its number.
fn told(count: u64) -> (Oracle, Batches) {
    let (mut oracle, mut batches) = (Oracle::default(), Batches::default());
    for number in 0..count {
        batches.submit(vec![Op::Mark(number), Op::Incr(0)], 0);
        oracle.commit(Index(number + 1), Some(number), &batches, None);
    }
    (oracle, batches)
}

#[test]
fn two_clusters_that_both_could_commit_are_noticed() {
    breaks(Invariant::LineageSeparation, || {
        let mut cluster = Cluster::<Core, LightMachine>::empty(1, THREE, Faults::none());
        cluster.start_founded();
        cluster.start_founded();
        (0..2_000).for_each(|_| cluster.step());
    });
}

#[test]
fn replies_that_the_model_does_not_give_are_noticed() {
    breaks(Invariant::RepliesOfModel, || told(1).0.on_applied(Index(1), b"+OK\r\n:2\r\n"));
    told(1).0.on_applied(Index(1), b"+OK\r\n:1\r\n");
    let read = |at, reply: &[u8]| {
        let (mut oracle, _) = told(3);
        oracle.on_read(&[Op::Counter(0)], Index(1), Index(at), Index(0), reply);
    };
    read(2, b"$1\r\n2\r\n");
    breaks(Invariant::RepliesOfModel, || read(3, b"$1\r\n2\r\n"));
}

#[test]
fn what_is_not_linearizable_is_noticed() {
    // A read that may miss what was acknowledged before it.
    breaks(Invariant::Linearizability, || {
        let (mut oracle, _) = told(3);
        oracle.on_read(&[Op::Counter(0)], Index(2), Index(2), Index(3), b"$1\r\n2\r\n");
    });
    // One of what is not committed.
    breaks(Invariant::Linearizability, || {
        let (mut oracle, _) = told(3);
        oracle.on_read(&[Op::Counter(0)], Index(4), Index(4), Index(0), b"$1\r\n3\r\n");
    });
    // A batch that stands before what was acknowledged before its call.
    breaks(Invariant::Linearizability, || {
        let (mut oracle, mut batches) = told(3);
        oracle.on_answered(&mut batches, 1, Index(2), Index(2));
    });
}

#[test]
fn commands_that_end_wrongly_are_noticed() {
    breaks(Invariant::EveryCommandEnds, || {
        let (mut oracle, mut batches) = told(1);
        oracle.on_answered(&mut batches, 0, Index(1), Index(0));
        oracle.on_answered(&mut batches, 0, Index(1), Index(0));
    });
    breaks(Invariant::EveryCommandEnds, || {
        let (oracle, batches) = told(1);
        oracle.conclude(&batches, false);
    });
    breaks(Invariant::ExactlyOnce, || {
        let (oracle, mut batches) = told(1);
        oracle.on_never_sent(&mut batches, 0);
    });
    breaks(Invariant::ExactlyOnce, || {
        let (mut oracle, batches) = told(1);
        oracle.commit(Index(2), Some(0), &batches, None);
    });
    // Answered, but nowhere to be found.
    breaks(Invariant::StateMachineSafety, || {
        let (mut oracle, mut batches) = told(1);
        oracle.on_answered(&mut batches, 0, Index(1), Index(0));
        Oracle::default().conclude(&batches, false);
    });
    // Altered on the way.
    breaks(Invariant::StateMachineSafety, || {
        let (mut oracle, mut batches) = told(0);
        batches.submit(vec![Op::Mark(0)], 7);
        oracle.commit(Index(1), Some(0), &batches, Some(8));
    });
}
