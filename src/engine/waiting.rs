//! Clients that wait for something to be there: BLPOP and its like, XREAD and XREADGROUP with
//! BLOCK.
//!
//! They are replicated state. A command that finds nothing to reply with leaves a [`Waiter`]
//! behind, on all nodes alike. After each command, or transaction, that changed a key that somebody
//! waits for, the commands of those who wait for it are run again, in the order in which they came:
//! in log order, whatever node they are on. What one of them takes is gone for all nodes; the node
//! that has the client sends the reply. Time-outs follow the clock of the log.
//!
//! What is taken for a client whose node has just died is lost, as a reply on its way to a client
//! that dies is. So that no more is lost than that, a leader that does not hear of a node passes
//! its clients over ([`Waiting::pass_over`]).

use std::collections::{BTreeMap, BTreeSet};

use super::batch::{Batch, Caller};
use super::bytes::SmallBytes;
use super::command::{CommandId, reads_for_group, spec};
use super::keyspace::{Keyspace, Place, SessionId};
use super::reply::{Protocol, Reply};
use crate::limits::WAITING_BYTES_MAX;
use crate::raft::types::{MemberId, Millis};

/// A command whose client waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Waiter {
    pub session: SessionId,
    pub protocol: Protocol,
    pub database: u8,
    pub command: CommandId,
    /// With which it is run again: without anything that depends on when it came.
    pub arguments: Vec<SmallBytes>,
    /// For one of which it waits, each once.
    pub keys: Vec<SmallBytes>,
    /// Until when; `Millis::MAX` for ever.
    pub deadline_ms: Millis,
}

/// The end of a wait.
#[derive(Debug)]
pub struct Served {
    pub session: SessionId,
    pub end: WaitEnd,
}

/// How a wait ends for the client.
#[derive(Debug)]
pub enum WaitEnd {
    Reply(Vec<u8>),
    /// It was passed over, since its node was silent: should it be there after all, it waits anew.
    Again(Batch),
}

/// How a wait ends that nothing was there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    TimedOut,
    Unblocked,
}

/// What a client is told whose wait CLIENT UNBLOCK has ended with an error.
pub const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ERR too many clients wait for keys")]
pub struct TooManyWait;

/// Invariant: `by_session`, `by_key` and `deadlines` tell of the waiters in `waiters`, and of no
/// others; each session has at most one.
#[derive(Debug, Default)]
pub struct Waiting {
    /// By the order in which they came.
    waiters: BTreeMap<u64, Waiter>,
    next_number: u64,
    by_session: BTreeMap<SessionId, u64>,
    by_key: BTreeMap<Place, BTreeSet<u64>>,
    deadlines: BTreeSet<(Millis, u64)>,
    bytes: usize,
    group_readers: usize,
    served: Vec<Served>,
    /// The commands whose waits have ended for nothing since these were last taken.
    unserved: Vec<(CommandId, Unserved)>,
}

impl Waiter {
    fn bytes(&self) -> usize {
        let of = |words: &[SmallBytes]| {
            words.iter().map(|word| size_of::<SmallBytes>() + word.len()).sum::<usize>()
        };
        size_of::<Self>() + of(&self.arguments) + 2 * of(&self.keys)
    }
}

impl Waiting {
    /// A client waits from here on, in the place of what its session waited for before.
    pub fn add(&mut self, keyspace: &mut Keyspace, waiter: Waiter) -> Result<(), TooManyWait> {
        self.drop_session(keyspace, waiter.session);
        if self.bytes + waiter.bytes() > WAITING_BYTES_MAX {
            return Err(TooManyWait);
        }
        let number = self.next_number;
        self.next_number += 1;
        self.put(keyspace, number, waiter);
        Ok(())
    }

    fn put(&mut self, keyspace: &mut Keyspace, number: u64, waiter: Waiter) {
        self.bytes += waiter.bytes();
        self.group_readers += usize::from(reads_for_group(spec(waiter.command)));
        self.by_session.insert(waiter.session, number);
        if waiter.deadline_ms != Millis::MAX {
            self.deadlines.insert((waiter.deadline_ms, number));
        }
        for key in &waiter.keys {
            keyspace.begin_waiting(waiter.database, key);
            self.by_key.entry((waiter.database, key.clone())).or_default().insert(number);
        }
        self.waiters.insert(number, waiter);
    }

    /// Ends a wait.
    pub fn remove(&mut self, keyspace: &mut Keyspace, number: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&number)?;
        self.bytes -= waiter.bytes();
        self.group_readers -= usize::from(reads_for_group(spec(waiter.command)));
        self.by_session.remove(&waiter.session);
        self.deadlines.remove(&(waiter.deadline_ms, number));
        for key in &waiter.keys {
            keyspace.end_waiting(waiter.database, key);
            let place = (waiter.database, key.clone());
            if let Some(numbers) = self.by_key.get_mut(&place) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.by_key.remove(&place);
                }
            }
        }
        Some(waiter)
    }

    fn drop_session(&mut self, keyspace: &mut Keyspace, session: SessionId) {
        if let Some(number) = self.by_session.get(&session) {
            self.remove(keyspace, *number);
        }
    }

    /// The first to come, from number `from` on, of those who wait for a key.
    pub fn next_of_key(&self, place: &Place, from: u64) -> Option<u64> {
        self.by_key.get(place)?.range(from..).next().copied()
    }

    /// Whether somebody waits who is to be told of a key that is gone.
    pub fn has_group_readers(&self) -> bool {
        self.group_readers > 0
    }

    pub fn get(&self, number: u64) -> Option<&Waiter> {
        self.waiters.get(&number)
    }

    /// All waiters, in the order in which they came.
    pub fn waiters(&self) -> &BTreeMap<u64, Waiter> {
        &self.waiters
    }

    /// How many keys somebody waits for.
    pub fn key_count(&self) -> usize {
        self.by_key.len()
    }

    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    pub fn is_waiting(&self, session: SessionId) -> bool {
        self.by_session.contains_key(&session)
    }

    /// When the next wait ends.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// Ends what has waited until `clock_ms`, at most `limit` of them.
    pub fn time_out(&mut self, keyspace: &mut Keyspace, clock_ms: Millis, limit: usize) {
        for _ in 0..limit {
            match self.deadlines.first() {
                Some((deadline_ms, number)) if *deadline_ms <= clock_ms => {
                    self.end(keyspace, *number, Unserved::TimedOut);
                }
                _ => break,
            }
        }
    }

    /// Ends the wait of a session; whether it waited.
    pub fn end_session(
        &mut self,
        keyspace: &mut Keyspace,
        session: SessionId,
        how: Unserved,
    ) -> bool {
        let number = self.by_session.get(&session).copied();
        number.is_some_and(|number| self.end(keyspace, number, how))
    }

    /// Ends the waits of all clients of a member, which begin anew, with their whole time, if the
    /// member is there after all; how many there were.
    pub fn pass_over(&mut self, keyspace: &mut Keyspace, member: MemberId) -> usize {
        let numbers: Vec<u64> = self.of_member(member).map(|(_, number)| *number).collect();
        for number in &numbers {
            let Some(waiter) = self.remove(keyspace, *number) else { continue };
            let Waiter { session, protocol, database, command, arguments, .. } = waiter;
            let arguments: Vec<&[u8]> = arguments.iter().map(|argument| &**argument).collect();
            let mut batch = Batch::default();
            let caller = Caller { session: session.number, protocol };
            batch.push_for(caller, command, database, &arguments);
            self.served.push(Served { session, end: WaitEnd::Again(batch) });
        }
        numbers.len()
    }

    fn of_member(&self, member: MemberId) -> impl Iterator<Item = (&SessionId, &u64)> {
        let first = SessionId { member, number: 0 };
        self.by_session.range(first..=SessionId { member, number: u64::MAX })
    }

    /// Whether a client of the member waits.
    pub fn has_member(&self, member: MemberId) -> bool {
        self.of_member(member).next().is_some()
    }

    fn end(&mut self, keyspace: &mut Keyspace, number: u64, how: Unserved) -> bool {
        let Some(waiter) = self.remove(keyspace, number) else { return false };
        let mut reply = Reply::new(waiter.protocol);
        match how {
            Unserved::TimedOut => reply.null_array(),
            Unserved::Unblocked => reply.error_text(UNBLOCKED),
        }
        self.unserved.push((waiter.command, how));
        self.note_served(waiter.session, reply);
        true
    }

    /// Takes note of a reply for a client that has waited.
    pub fn note_served(&mut self, session: SessionId, reply: Reply) {
        self.served.push(Served { session, end: WaitEnd::Reply(reply.buffer) });
    }

    /// Tells which commands have waited for nothing since the last call.
    #[inline]
    pub fn take_unserved(&mut self, mut tell: impl FnMut(CommandId, Unserved)) {
        for (command, how) in self.unserved.drain(..) {
            tell(command, how);
        }
    }

    pub fn take_served(&mut self) -> Vec<Served> {
        std::mem::take(&mut self.served)
    }

    /// Nobody waits any more whose member is not in the cluster.
    pub fn keep_members(&mut self, keyspace: &mut Keyspace, is_member: impl Fn(MemberId) -> bool) {
        let gone = self.waiters.iter().filter(|(_, waiter)| !is_member(waiter.session.member));
        let gone: Vec<u64> = gone.map(|(number, _)| *number).collect();
        for number in gone {
            self.remove(keyspace, number);
        }
    }

    /// Goes on numbering as another node does.
    pub fn set_next_number(&mut self, next_number: u64) {
        self.next_number = next_number;
    }

    /// Lets a client wait as it does on another node. False if that cannot be.
    #[must_use]
    pub fn restore(&mut self, keyspace: &mut Keyspace, number: u64, waiter: Waiter) -> bool {
        let is_new = !self.waiters.contains_key(&number) && !self.is_waiting(waiter.session);
        let is_sound = is_new && number < self.next_number && !waiter.keys.is_empty();
        if is_sound {
            self.put(keyspace, number, waiter);
        }
        is_sound
    }
}
