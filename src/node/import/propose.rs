//! Units of what was read from the source: gathered, proposed, and counted until they are applied.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::session::SessionError;
use super::{LOOK, Shared};
use crate::engine::batch::Batch;
use crate::engine::command::{CommandId, lookup};
use crate::engine::import::{Import, Reached, Unit};
use crate::limits::{IMPORT_WINDOW_BYTES, IMPORT_WINDOW_COMMANDS, TRANSACTION_BYTES_MAX};
use crate::node::mailbox::{Mailbox, ToNet};
use crate::node::shared::random_id;

/// What a net role is to put into the log: commands, of which a unit is one.
pub struct Units {
    pub batch: Batch,
    pub count: u32,
}

/// Proposes for one session.
pub struct Proposer {
    shared: Arc<Shared>,
    net: Mailbox<ToNet>,
    command: CommandId,
    session: u64,
    /// Of the next unit.
    number: u64,
    /// What was given up before this session is not its own.
    given_up: u64,
    /// Units that are under way, and what they are in all.
    under_way: VecDeque<UnderWay>,
    bytes: usize,
    commands: usize,
}

struct UnderWay {
    number: u64,
    bytes: usize,
    commands: usize,
}

/// What is done while nothing else can be.
pub trait Tend {
    /// To be called every [`LOOK`] or so.
    fn tend(&mut self, import: &Import) -> Result<(), SessionError>;
}

/// What needs no tending.
pub struct Idle;

impl Tend for Idle {
    fn tend(&mut self, _: &Import) -> Result<(), SessionError> {
        Ok(())
    }
}

impl Proposer {
    /// Begins a session: returns when that is applied, with what was reached then.
    pub fn begin(shared: &Arc<Shared>) -> Result<(Self, Import), SessionError> {
        let net = shared.importing.net.get().ok_or(SessionError::Over)?.clone();
        let mut proposer = Self {
            shared: Arc::clone(shared),
            net,
            command: lookup(b"raft.import").expect("invariant: it is in the table"),
            // What is read again is no negative number.
            session: (random_id() as u64 >> 1).max(1),
            number: 0,
            given_up: shared.importing.lock().given_up,
            under_way: VecDeque::new(),
            bytes: 0,
            commands: 0,
        };
        let import = proposer.attach()?;
        proposer.number = import.progress().units;
        Ok((proposer, import))
    }

    /// Its number.
    pub fn session(&self) -> u64 {
        self.session
    }

    fn attach(&mut self) -> Result<Import, SessionError> {
        let importing = &self.shared.importing;
        let epoch = importing.lock().import.epoch();
        self.tell(&[b"ATTACH", self.session.to_string().as_bytes()]);
        let mut known = importing.lock();
        while known.import.session() != self.session {
            let is_over = known.given_up != self.given_up
                || known.import.epoch() != epoch
                || !known.import.is_active()
                || !self.shared.leads.load(Ordering::Acquire);
            if is_over {
                return Err(SessionError::Over);
            }
            known = importing.wait(known, LOOK);
        }
        Ok(known.import.clone())
    }

    /// The session has lost the source.
    pub fn detach(&self) {
        self.tell(&[b"DETACH", self.session.to_string().as_bytes()]);
    }

    /// The session has found what it cannot do.
    pub fn fail(&self, why: &str) {
        self.tell(&[b"FAIL", self.session.to_string().as_bytes(), why.as_bytes()]);
    }

    fn tell(&self, words: &[&[u8]]) {
        let mut batch = Batch::default();
        batch.push(self.command, 0, words);
        self.net.send(ToNet::Import(Box::new(Units { batch, count: 1 })));
    }

    /// Fails if the session is over: it was superseded, or something of it was given up.
    pub fn check(&self) -> Result<Import, SessionError> {
        let known = self.shared.importing.lock();
        let is_on = known.import.session() == self.session
            && known.given_up == self.given_up
            && self.shared.leads.load(Ordering::Acquire);
        if is_on { Ok(known.import.clone()) } else { Err(SessionError::Over) }
    }

    /// Proposes a unit of `count` commands, when enough of what is under way is applied.
    pub fn propose(
        &mut self,
        reached: Reached,
        commands: &Batch,
        count: u32,
        tend: &mut impl Tend,
    ) -> Result<(), SessionError> {
        if commands.bytes() > TRANSACTION_BYTES_MAX {
            let (bytes, max) = (commands.bytes(), TRANSACTION_BYTES_MAX);
            let why = format!("a transaction of {bytes} bytes is more than the {max} that fit");
            return Err(SessionError::Failed(why));
        }
        self.wait_until(tend, |it| {
            it.bytes < IMPORT_WINDOW_BYTES && it.commands < IMPORT_WINDOW_COMMANDS
        })?;
        let unit = Unit { session: self.session, number: self.number, reached };
        let words = unit.words();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut batch = Batch::default();
        batch.push_unit(self.command, &words, commands, count);
        // A unit without commands has a place in the window, too.
        let (number, bytes, commands) = (self.number, batch.bytes(), count as usize + 1);
        self.bytes += bytes;
        self.commands += commands;
        self.under_way.push_back(UnderWay { number, bytes, commands });
        self.number += 1;
        self.net.send(ToNet::Import(Box::new(Units { batch, count: 1 })));
        Ok(())
    }

    /// Waits until all units are applied.
    pub fn settle(&mut self, tend: &mut impl Tend) -> Result<(), SessionError> {
        self.wait_until(tend, |it| it.under_way.is_empty())
    }

    fn wait_until(
        &mut self,
        tend: &mut impl Tend,
        is_so: impl Fn(&Self) -> bool,
    ) -> Result<(), SessionError> {
        loop {
            let import = self.check()?;
            self.note_applied(import.progress().units);
            tend.tend(&import)?;
            if is_so(self) {
                return Ok(());
            }
            let importing = &self.shared.importing;
            let known = importing.lock();
            if known.import.progress().units == import.progress().units {
                drop(importing.wait(known, LOOK));
            }
        }
    }

    fn note_applied(&mut self, units: u64) {
        while self.under_way.front().is_some_and(|first| first.number < units) {
            let first = self.under_way.pop_front().expect("invariant: just seen");
            self.bytes -= first.bytes;
            self.commands -= first.commands;
        }
    }
}
