//! What is refused before it runs: writes while clients may not write, and what may take memory
//! where that is short.

use std::borrow::Cow;

use super::{is_unit, slot_of};
use crate::engine::batch::{Command, Commands};
use crate::engine::command::{Context, Flags, resolve, spec};
use crate::engine::error::CommandError;

impl Context<'_> {
    /// Refuses a command that writes, or a transaction with one, while clients may not; or that may
    /// take memory where memory is short. Tells whether it did. Neither holds for an import.
    #[cold]
    pub(super) fn refuses(&mut self, command: &Command<'_>, rest: &mut Commands<'_>) -> bool {
        if is_unit(command) {
            return false;
        }
        let denies_growth = self.keyspace.denies_growth();
        let reason_of = |command: &Command<'_>| {
            // Who gives a wrong number of arguments is told that.
            let (spec, _) = resolve(spec(command.id), &command.arguments).ok()?;
            let is_write = spec.flags.contains(Flags::WRITE);
            let grows = spec.flags.contains(Flags::DENYOOM);
            match () {
                () if is_write && self.keyspace.is_read_only() => Some(CommandError::ReadOnly),
                () if grows && denies_growth => Some(CommandError::OutOfMemory),
                () => None,
            }
        };
        let error = match command.group {
            None => reason_of(command),
            Some(count) => {
                let mut queued = rest.clone().take(count as usize);
                queued.find_map(|queued| reason_of(&queued)).map(|reason| {
                    let text = format!("EXECABORT Transaction discarded because of: {reason}");
                    CommandError::Text(Cow::Owned(text))
                })
            }
        };
        let Some(error) = error else { return false };
        if let Some(count) = command.group {
            rest.take(count as usize).for_each(drop);
            self.session_of(command).map(|session| self.keyspace.unwatch(session));
        }
        self.stats.commands[slot_of(command)].rejected += 1;
        self.tell_error(&error);
        true
    }
}
