//! Transactions. The node that holds the client queues commands and remembers that it watches keys;
//! what is replicated of it is done here: WATCH and its end. EXEC with its queue is run by
//! [`crate::engine::Engine`].

use super::{CommandSpec, Context, Docs, Flags, Handler, Keys, SessionCommand};
use crate::engine::error::CommandError;
use crate::engine::waiting::Unserved;

impl Context<'_> {
    /// Does what a command on the session of its client leaves behind.
    pub(in crate::engine) fn run_session(
        &mut self,
        command: SessionCommand,
        arguments: &[&[u8]],
    ) -> Result<(), CommandError> {
        match command {
            SessionCommand::Watch => {
                let session = self.session.ok_or(NOWHERE)?;
                for key in arguments {
                    let watched = self.keyspace.watch(session, self.database, key);
                    watched.map_err(|error| CommandError::Text(error.to_string().into()))?;
                }
                self.reply.ok();
            }
            SessionCommand::Unwatch | SessionCommand::Discard => {
                self.unwatch();
                self.reply.ok();
            }
            SessionCommand::Reset => {
                self.unwatch();
                if let Some(session) = self.session {
                    self.waiting.end_session(self.keyspace, session, Unserved::Unblocked);
                }
                self.reply.simple("RESET");
            }
            SessionCommand::Exec => return Err(CommandError::text("ERR EXEC without MULTI")),
            SessionCommand::Multi => return Err(NOWHERE),
        }
        Ok(())
    }

    fn unwatch(&mut self) {
        // Within a transaction nothing is watched any more.
        if let Some(session) = self.session {
            self.keyspace.unwatch(session);
        }
    }
}

const NOWHERE: CommandError = CommandError::text("ERR this command needs a connection");

const FLAGS: Flags =
    Flags::of(&[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::FAST, Flags::ALLOW_BUSY]);
const EXEC: Flags =
    Flags::of(&[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::SKIP_SLOWLOG]);
/// The node refuses these two within a transaction with errors of their own.
const NO_MULTI: Flags = Flags::of(&[FLAGS, Flags::NO_MULTI]);

const fn spec(
    name: &'static str,
    arity: i16,
    flags: Flags,
    command: SessionCommand,
    docs: Docs,
) -> CommandSpec {
    let handler = Handler::Session(command);
    CommandSpec { name, arity, flags, keys: Keys::NONE, handler, docs, subcommands: &[] }
}

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("transactions", since, complexity, summary)
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    spec("discard", 1, FLAGS, SessionCommand::Discard,
        docs("2.0.0", "O(N) where N is the number of queued commands.", "Drops a transaction.")),
    spec("exec", 1, EXEC, SessionCommand::Exec,
        docs("1.2.0", "That of the queued commands.", "Runs all commands of a transaction.")),
    spec("multi", 1, NO_MULTI, SessionCommand::Multi,
        docs("1.2.0", "O(1)", "Begins a transaction.")),
    spec("unwatch", 1, FLAGS, SessionCommand::Unwatch,
        docs("2.2.0", "O(1)", "Forgets all watched keys.")),
    CommandSpec {
        keys: Keys::ALL,
        ..spec("watch", -2, NO_MULTI, SessionCommand::Watch,
            docs("2.2.0", "O(1) for every key.", "Lets a transaction depend on keys."))
    },
];

#[cfg(test)]
mod tests;
