//! Units of what is imported: commands that run as one, if they are the next.

use crate::engine::batch::Command;
use crate::engine::command::{Context, spec};
use crate::engine::import::{UNIT, Unit};

/// Whether the command begins a unit of what is imported: EXEC has no arguments.
#[inline]
pub(super) fn is_unit(command: &Command<'_>) -> bool {
    command.group.is_some() && command.arguments.first() == Some(&UNIT)
}

impl Context<'_> {
    /// Runs a unit of what is imported, if it is the next one: its commands may write and take
    /// memory, and what they reply is looked at for errors only.
    #[cold]
    pub(super) fn run_unit<'b>(
        &mut self,
        command: &Command<'_>,
        commands: impl Iterator<Item = Command<'b>>,
    ) {
        self.count(command);
        let unit = Unit::parse(&command.arguments).filter(|unit| self.import.admits(unit));
        let Some(unit) = unit else {
            commands.for_each(drop);
            return self.reply.null();
        };
        let for_clients = self.keyspace.begin_unit();
        let start = self.reply.buffer.len();
        let mut count = 0;
        for command in commands {
            count += 1;
            self.run_queued(&command);
            if self.reply.buffer.get(start) == Some(&b'-') {
                self.note_import_error(&command, start);
            }
            self.reply.buffer.truncate(start);
        }
        self.keyspace.end_unit(for_clients);
        self.import.advance(unit, count, self.now_ms);
        self.follow_import();
        self.reply.ok();
    }

    fn note_import_error(&mut self, command: &Command<'_>, start: usize) {
        let key = command.arguments.first().copied().unwrap_or_default();
        let key = String::from_utf8_lossy(&key[..key.len().min(128)]);
        let text = String::from_utf8_lossy(&self.reply.buffer[start + 1..]);
        let name = spec(command.id).name;
        let text = format!("{name} '{key}' in database {}: {}", command.database, text.trim_end());
        self.import.note_error(text.as_bytes());
    }
}
