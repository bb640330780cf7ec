//! A cluster of real members as a state machine: what it can do next, and what must hold whatever
//! it does.
//!
//! The network is the set of all that was ever said. Any of it may arrive at any time, again, or
//! never: loss, delay, reordering and duplication need no actions of their own. Time stands still
//! except where an action moves one member's clock on.

use std::fmt;
use std::sync::{Mutex, MutexGuard};

use mayfly::raft::types::{Applicant, Configuration, MemberId, Term};
use mayfly::raft::{Config, FreshNode, Now, Raft};
use stateright::{Model, Property};

use crate::table::{Act, Facts, Local, Numbered, Table};
use crate::{CLUSTER, ELECTION_TIMEOUT_MS, FOUNDERS, NEW_BOOT, SEED};

/// How often each of these may happen in one behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// A voter campaigns without a pre-vote and whoever leads, as after a transfer.
    pub campaigns: u8,
    /// A member's clock passes its election timeout: a pre-vote, or the end of a leader that
    /// nobody answers.
    pub time_outs: u8,
    pub proposals: u8,
    pub crashes: u8,
    /// A new process is admitted to the slot of the member that died.
    pub admissions: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seat {
    /// Nobody yet.
    Free,
    Dead,
    /// The number of its state.
    Alive(u32),
}

pub const SEATS: usize = FOUNDERS + 1;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub seats: [Seat; SEATS],
    pub network: u32,
    /// The number of what was so far.
    pub past: u32,
    pub left: Budget,
}

/// What was, and must not be forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Past {
    /// Who led in each term; more than one is what must not be.
    pub leaders: Vec<(Term, MemberId)>,
    /// The number of each committed entry and the term in which it was seen to be, from 1 on.
    pub committed: Vec<(u32, Term)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Member {
        seat: usize,
        act: Act,
    },
    Crash {
        seat: usize,
    },
    /// The new process is told its id.
    Start,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member { seat, act } => write!(f, "member {}: {act:?}", seat + 1),
            Self::Crash { seat } => write!(f, "member {} dies", seat + 1),
            Self::Start => write!(f, "the new process starts"),
        }
    }
}

/// One of the actions that lead to where exploration begins.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// The member of this id campaigns.
    Campaign(u64),
    /// Everything that was said arrives, until nobody says anything new.
    Settle,
    /// The member of this id dies.
    Crash(u64),
}

/// What the numbers of a state stand for.
pub struct World {
    pub table: Table,
    pasts: Numbered<Past>,
}

pub struct Cluster {
    budget: Budget,
    before: Vec<Deed>,
    world: Mutex<World>,
}

impl Cluster {
    /// `before`: what has happened when exploration begins. It is not charged to `budget`.
    pub fn new(budget: Budget, before: &[Deed]) -> Self {
        let applicant = Applicant {
            slot: slot(FOUNDERS),
            boot: NEW_BOOT,
            client_address: String::new(),
            peer_address: String::new(),
            observer: false,
        };
        let world = World { table: Table::new(applicant), pasts: Numbered::new() };
        Self { budget, before: before.to_vec(), world: Mutex::new(world) }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no other thread panicked")
    }

    fn found(&self, world: &mut World) -> State {
        let node = |number: usize| FreshNode {
            slot: slot(number),
            boot: number as u128,
            client_address: String::new(),
            peer_address: String::new(),
        };
        let founders: Vec<FreshNode> = (1..=FOUNDERS).map(node).collect();
        let mut state = State {
            seats: [Seat::Free; SEATS],
            network: world.table.networks.number(Vec::new()),
            past: world.pasts.number(Past::default()),
            left: self.budget,
        };
        for seat in 0..FOUNDERS {
            let id = MemberId(seat as u64 + 1);
            let raft = Raft::found(config(), CLUSTER, id, &founders, Now::default());
            let local = world.table.add(Local::new(raft));
            state.seats[seat] = Seat::Alive(local);
            state = world.after(&state, seat, Act::Wake);
        }
        state
    }

    /// An action with the message that it delivers, for people.
    pub fn tell(&self, action: Action) -> String {
        match action {
            Action::Member { seat, act: Act::Deliver(message) } => {
                format!("member {}: {:?}", seat + 1, self.world().table.messages.get(message))
            }
            _ => format!("{action:?}"),
        }
    }

    fn leaders_before(&self) -> usize {
        self.before.iter().filter(|deed| matches!(deed, Deed::Campaign(_))).count()
    }

    fn prepare(&self, world: &mut World) -> State {
        let mut state = self.found(world);
        for deed in &self.before {
            match deed {
                Deed::Campaign(id) => state = world.after(&state, *id as usize - 1, Act::Campaign),
                Deed::Crash(id) => state.seats[*id as usize - 1] = Seat::Dead,
                Deed::Settle => state = world.settle(state),
            }
        }
        state
    }
}

impl World {
    /// `state` after `act` has befallen the member in `seat`.
    fn after(&mut self, state: &State, seat: usize, act: Act) -> State {
        let Seat::Alive(local) = state.seats[seat] else { return state.clone() };
        let step = self.table.step(local, act);
        let mut next = state.clone();
        next.seats[seat] = Seat::Alive(step.local);
        next.network = self.table.send(next.network, &step.sent);
        next.past = self.remember(next.past, step.local);
        next
    }

    fn settle(&mut self, mut state: State) -> State {
        loop {
            let before = state.clone();
            for message in self.table.networks.get(state.network).clone() {
                if let Some(seat) = self.addressee(&state, message) {
                    state = self.after(&state, seat, Act::Deliver(message));
                }
            }
            if state == before {
                return state;
            }
        }
    }

    /// The seat of the member that a message is for.
    fn addressee(&self, state: &State, message: u32) -> Option<usize> {
        let to = self.table.messages.get(message).to;
        (0..SEATS).find(|seat| self.facts(state.seats[*seat]).is_some_and(|facts| facts.id == to))
    }

    fn facts(&self, seat: Seat) -> Option<&Facts> {
        match seat {
            Seat::Alive(local) => Some(&self.table.facts[local as usize]),
            Seat::Free | Seat::Dead => None,
        }
    }

    pub fn alive<'a>(&'a self, state: &'a State) -> impl Iterator<Item = &'a Facts> {
        state.seats.iter().filter_map(|seat| self.facts(*seat))
    }

    pub fn past(&self, state: &State) -> &Past {
        self.pasts.get(state.past)
    }

    /// The past with what the new state of a member adds to it.
    fn remember(&mut self, past: u32, local: u32) -> u32 {
        let facts = &self.table.facts[local as usize];
        let known = self.pasts.get(past);
        let leads = (facts.term, facts.id);
        let is_news = facts.is_leader && !known.leaders.contains(&leads);
        if !is_news && facts.commit_index <= known.committed.len() {
            return past;
        }
        let mut past = known.clone();
        if is_news {
            past.leaders.push(leads);
            past.leaders.sort_unstable();
        }
        for (entry, _) in facts.log.iter().take(facts.commit_index).skip(past.committed.len()) {
            past.committed.push((*entry, facts.term));
        }
        self.pasts.number(past)
    }

    /// The newest committed configuration.
    pub fn configuration(&self, state: &State) -> &Configuration {
        let mut committed = self.past(state).committed.iter().rev();
        let newest = committed.find_map(|(entry, _)| self.table.configuration(*entry));
        newest.expect("that of the founders")
    }

    /// The id of the new process, once its admission is committed.
    fn admitted(&self, state: &State) -> Option<MemberId> {
        let members = &self.configuration(state).members;
        members.iter().find(|member| member.boot == NEW_BOOT).map(|member| member.id)
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.prepare(&mut self.world())]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let world = self.world();
        for message in world.table.networks.get(state.network) {
            if let Some(seat) = world.addressee(state, *message) {
                actions.push(Action::Member { seat, act: Act::Deliver(*message) });
            }
        }
        let Budget { campaigns, time_outs, proposals, crashes, admissions } = state.left;
        for seat in 0..SEATS {
            let Some(facts) = world.facts(state.seats[seat]) else { continue };
            let mut push = |is_left: bool, act: Act| {
                if is_left {
                    actions.push(Action::Member { seat, act });
                }
            };
            push(campaigns > 0 && !facts.is_leader, Act::Campaign);
            push(time_outs > 0, Act::TimeOut);
            let proposal = self.budget.proposals - proposals;
            push(proposals > 0 && facts.is_leader, Act::Propose(proposal));
            push(admissions > 0 && facts.is_leader, Act::Admit);
            if crashes > 0 {
                actions.push(Action::Crash { seat });
            }
        }
        let has_place = state.seats[FOUNDERS] == Seat::Free;
        if has_place && world.admitted(state).is_some() {
            actions.push(Action::Start);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut world = self.world();
        let next = match action {
            Action::Member { seat, act } => {
                let mut next = world.after(state, seat, act);
                // What changes nothing is not charged either.
                if next != *state {
                    charge(&mut next.left, act);
                }
                next
            }
            Action::Crash { seat } => {
                let mut next = state.clone();
                next.seats[seat] = Seat::Dead;
                next.left.crashes -= 1;
                next
            }
            Action::Start => {
                let mut next = state.clone();
                let id = world.admitted(state).expect("offered only then");
                let raft = Raft::join(config(), id, Now::default());
                next.seats[FOUNDERS] = Seat::Alive(world.table.add(Local::new(raft)));
                next
            }
        };
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = Property::<Self>::always;
        let mut properties = vec![
            always("election safety", |model, state| model.world().is_one_leader_per_term(state)),
            always("log matching", |model, state| model.world().do_logs_match(state)),
            always("leader completeness", |model, state| model.world().are_leaders_complete(state)),
            always("state machine safety", |model, state| model.world().is_commit_same(state)),
            always("committed is never lost", |model, state| model.world().is_nothing_lost(state)),
        ];
        let mut sometimes = |wanted: bool, name, condition| {
            if wanted {
                properties.push(Property::sometimes(name, condition));
            }
        };
        let Budget { campaigns, time_outs, proposals, admissions, .. } = self.budget;
        let elects = campaigns > 0 || time_outs > 1;
        sometimes(elects, "a leader is elected", |model, state| {
            model.world().leaders(state) > model.leaders_before()
        });
        sometimes(proposals > 0, "all proposals are committed", |model, state| {
            model.world().proposals(state) == usize::from(model.budget.proposals)
        });
        sometimes(admissions > 0, "the swap is completed", |model, state| {
            model.world().is_swapped(state)
        });
        properties
    }
}

fn slot(number: usize) -> String {
    format!("slot-{number}")
}

fn config() -> Config {
    Config {
        election_timeout_ms: ELECTION_TIMEOUT_MS,
        heartbeat_interval_ms: 1,
        append_bytes_max: 1 << 20,
        inflight_messages_max: 8,
        inflight_bytes_max: 1 << 20,
        // Nothing is given up.
        no_leader_timeout_ms: 1 << 40,
        seed: SEED,
    }
}

fn charge(left: &mut Budget, act: Act) {
    match act {
        Act::Campaign => left.campaigns -= 1,
        Act::TimeOut => left.time_outs -= 1,
        Act::Propose(_) => left.proposals -= 1,
        Act::Admit => left.admissions -= 1,
        Act::Deliver(_) | Act::Wake => {}
    }
}
