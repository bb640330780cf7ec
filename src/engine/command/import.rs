//! REPLICAOF as the import path: what of it goes through the log. The node that leads reads from
//! the source and proposes; see [`crate::engine::import`].

use super::options::is_word;
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::import::{source, unsigned};
use crate::engine::keyspace::Deadline;
use crate::engine::rdb;
use crate::engine::value::Value;

type Result = std::result::Result<(), CommandError>;

/// RAFT.IMPORT, but for units, which [`crate::engine::Engine`] runs with their commands.
fn import(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (word, rest) = arguments.split_first().ok_or(CommandError::Syntax)?;
    let now_ms = context.now_ms;
    match rest {
        _ if is_word(word, "FOLLOW") => {
            let source = source(rest).ok_or(CommandError::Syntax)?;
            if !context.import.follow(source, now_ms) {
                context.reply.simple("OK Already connected to specified master");
                return Ok(());
            }
            // What the source sends is for nobody to take.
            context.waiting.keep_members(context.keyspace, |_| false);
        }
        [user, password] if is_word(word, "CREDENTIALS") => {
            context.import.set_credentials(user, password);
        }
        [] if is_word(word, "STOP") => context.import.stop(),
        [session] if is_word(word, "ATTACH") => {
            let session = unsigned(session).ok_or(CommandError::Syntax)?;
            context.import.attach(session, now_ms);
        }
        [session] if is_word(word, "DETACH") => {
            let session = unsigned(session).ok_or(CommandError::Syntax)?;
            context.import.detach(session, now_ms);
        }
        [session, why] if is_word(word, "FAIL") => {
            let session = unsigned(session).ok_or(CommandError::Syntax)?;
            context.import.fail(session, why, now_ms);
        }
        _ => return Err(CommandError::Syntax),
    }
    context.follow_import();
    context.reply.ok();
    Ok(())
}

/// RAFT.EXTEND: a further part of a collection that is too large to come as one, with the deadline
/// of its key, 0 for none. It makes the key anew if all fields of earlier parts were due.
fn extend(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, deadline_ms) = (arguments[0], unsigned(arguments[1]).ok_or(CommandError::Syntax)?);
    let mut part =
        rdb::load(arguments[2]).map_err(|_| CommandError::text("ERR Bad data format"))?;
    let (database, clock_ms) = (context.database, context.keyspace.clock_ms());
    if let Value::Hash(hash) = &mut part {
        hash.remove_due(clock_ms, usize::MAX);
    }
    let is_nothing = matches!(&part, Value::Hash(hash) if hash.is_empty());
    let is_due = deadline_ms != 0 && deadline_ms <= clock_ms;
    if is_nothing || is_due {
        // There is nothing to add, or nothing to add it to.
    } else if context.keyspace.peek(database, key).is_none() {
        let deadline = if deadline_ms == 0 { Deadline::Clear } else { Deadline::At(deadline_ms) };
        context.keyspace.store(database, key, part, deadline);
    } else if let Value::Hash(part) = part {
        context.keyspace.change_hash(database, key, |hash| hash.append(&part))?;
    } else if let Some(value) = context.keyspace.get_mut(database, key)
        && !value.append(part)
    {
        return Err(CommandError::WrongType);
    }
    context.reply.ok();
    Ok(())
}

impl Context<'_> {
    /// Lets the keyspace know whether clients may write, and apply that there is news.
    pub(in crate::engine) fn follow_import(&mut self) {
        *self.import_changed = true;
        let is_read_only = self.import.is_active() && self.settings.replica_read_only();
        self.keyspace.set_read_only(is_read_only);
        self.keyspace.set_importing(self.import.is_active());
    }
}

const LOGGED: Flags =
    Flags::of(&[Flags::ADMIN, Flags::NOSCRIPT, Flags::STALE, Flags::NO_MULTI, Flags::LOGGED]);
const EXTEND: Flags = Flags::of(&[Flags::ADMIN, Flags::WRITE, Flags::NOSCRIPT]);

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("raft.extend", 4, EXTEND, Keys::FIRST, extend,
        Docs::new("cluster", "1.0.0", "O(N) where N is the number of elements.",
            "Adds elements to a collection that is imported in parts.")),
    CommandSpec::engine("raft.import", -2, LOGGED, Keys::NONE, import,
        Docs::new("cluster", "1.0.0", "O(1)",
            "Tells all nodes of an import: what REPLICAOF puts into the log.")),
];

#[cfg(test)]
mod tests;
