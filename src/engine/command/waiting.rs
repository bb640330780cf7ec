//! How a command waits until there is something to reply with, and CLIENT UNBLOCK.

use super::options::is_word;
use super::{CommandSpec, Context};
use crate::engine::bytes::SmallBytes;
use crate::engine::error::CommandError;
use crate::engine::keyspace::SessionId;
use crate::engine::number::{integer, parse_float};
use crate::engine::waiting::{Unserved, Waiter};
use crate::raft::types::Millis;

/// The end of a wait that begins at `now_ms`, for a time-out in seconds; 0 is for ever.
pub fn deadline_of_seconds(argument: &[u8], now_ms: Millis) -> Result<Millis, CommandError> {
    let seconds = parse_float(argument).filter(|seconds| !seconds.is_nan());
    let millis = seconds.map(|seconds| (seconds * 1000.0).ceil());
    match millis {
        None => Err(CommandError::text("ERR timeout is not a float or out of range")),
        Some(millis) if millis >= i64::MAX as f64 => Err(OUT_OF_RANGE),
        Some(millis) => deadline(millis as i64, now_ms),
    }
}

/// The same for one in milliseconds.
pub fn deadline_of_millis(argument: &[u8], now_ms: Millis) -> Result<Millis, CommandError> {
    let millis = integer(argument);
    let millis =
        millis.map_err(|_| CommandError::text("ERR timeout is not an integer or out of range"))?;
    deadline(millis, now_ms)
}

fn deadline(millis: i64, now_ms: Millis) -> Result<Millis, CommandError> {
    match millis {
        ..0 => Err(CommandError::text("ERR timeout is negative")),
        0 => Ok(Millis::MAX),
        _ => {
            let end = i64::try_from(now_ms).ok().and_then(|now_ms| now_ms.checked_add(millis));
            end.map(|end| end as Millis).ok_or(OUT_OF_RANGE)
        }
    }
}

const OUT_OF_RANGE: CommandError = CommandError::text("ERR timeout is out of range");

impl Context<'_> {
    /// Lets the client wait until one of `keys` changes, when the command is run again with
    /// `arguments`. False where nothing may wait, as in a transaction: then the command has to
    /// reply. Precondition: the command has changed nothing that it must not change again.
    pub fn wait_for(
        &mut self,
        keys: &[&[u8]],
        deadline_ms: Millis,
        arguments: &[&[u8]],
    ) -> Result<bool, CommandError> {
        if self.is_retry {
            self.waits = true;
            return Ok(true);
        }
        let Some((session, caller)) = self.session.zip(self.caller) else { return Ok(false) };
        let mut unique: Vec<SmallBytes> = Vec::with_capacity(keys.len());
        for key in keys {
            if !unique.iter().any(|known| **known == **key) {
                unique.push(SmallBytes::new(key));
            }
        }
        let waiter = Waiter {
            session,
            protocol: caller.protocol,
            database: self.database,
            command: self.command,
            arguments: arguments.iter().map(|argument| SmallBytes::new(argument)).collect(),
            keys: unique,
            deadline_ms,
        };
        let added = self.waiting.add(self.keyspace, waiter);
        added.map_err(|error| CommandError::Text(error.to_string().into()))?;
        self.waits = true;
        Ok(true)
    }
}

/// CLIENT UNBLOCK: of a client of the node that sent it.
pub(super) fn unblock(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let how = match arguments {
        [_] => Unserved::TimedOut,
        [_, reason] if is_word(reason, "TIMEOUT") => Unserved::TimedOut,
        [_, reason] if is_word(reason, "ERROR") => Unserved::Unblocked,
        [_, _] => {
            return Err(CommandError::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
        _ => return Err(CommandError::Arity("client|unblock".into())),
    };
    let number = u64::try_from(integer(arguments[0])?).unwrap_or(0);
    let session = SessionId { member: context.origin, number };
    let waited = context.waiting.end_session(context.keyspace, session, how);
    context.reply.integer(waited.into());
    Ok(())
}

/// The type of the values that a command waits for.
pub(in crate::engine) fn awaited_type(spec: &CommandSpec) -> &'static str {
    match spec.docs.group {
        "list" => "list",
        "sorted-set" => "zset",
        _ => "stream",
    }
}

/// Whether a command reads for a group, which may go while it waits.
pub(in crate::engine) fn reads_for_group(spec: &CommandSpec) -> bool {
    spec.name == "xreadgroup"
}

#[cfg(test)]
mod tests;
