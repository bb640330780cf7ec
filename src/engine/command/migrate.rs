//! MIGRATE: keys that go to another server. The node reads them here, sends them, and lets all
//! nodes remove what has arrived, if it has not changed meanwhile.

use super::dump::payload;
use super::{CommandSpec, Context, Docs, Flags, Keys, NodeCommand};
use crate::engine::error::CommandError;
use crate::engine::notifications::EventClasses;
use crate::engine::number::integer;

/// What RAFT.DUMP tells of each key.
pub const DUMPED_WORDS: usize = 4;

/// RAFT.DUMP: of each key that is there its name, the index of the entry that last changed it, how
/// many milliseconds it has left (0: no end), and the bytes of DUMP. No key counts as used.
fn dump(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let (keyspace, now_ms) = (&*context.keyspace, context.now_ms);
    let entry_of = |key| Some((key, keyspace.peek(context.database, key)?));
    let found: Vec<_> = arguments.iter().copied().filter_map(entry_of).collect();
    context.reply.array(found.len() * DUMPED_WORDS);
    for (key, entry) in found {
        let ttl_ms = match entry.deadline_ms {
            0 => 0,
            at_ms => at_ms.saturating_sub(now_ms).max(1),
        };
        context.reply.bulk(key);
        context.reply.bulk(entry.version().to_string().as_bytes());
        context.reply.bulk(ttl_ms.to_string().as_bytes());
        context.reply.bulk(&payload(&entry.value, keyspace.clock_ms()));
    }
    Ok(())
}

/// RAFT.RELEASE: removes keys that no entry behind the given one has changed; tells how many were
/// changed, and are left.
fn release(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let (pairs, []) = arguments.as_chunks::<2>() else { return Err(CommandError::Syntax) };
    let mut changed = 0;
    for [key, version] in pairs {
        let version = u64::try_from(integer(version)?).map_err(|_| CommandError::NotInteger)?;
        let entry = context.keyspace.peek(context.database, key);
        if entry.is_some_and(|entry| entry.version() == version) {
            context.keyspace.remove(context.database, key);
            context.notify(EventClasses::GENERIC, "del", key);
        } else {
            changed += 1;
        }
    }
    context.reply.count(changed);
    Ok(())
}

const ADMIN: Flags = Flags::of(&[Flags::ADMIN, Flags::NOSCRIPT, Flags::NO_MULTI]);
const PAIRS: Keys = Keys { first: 1, last: -1, step: 2 };
const THIRD: Keys = Keys { first: 3, last: 3, step: 1 };
const COST: &str = "O(N) where N is the number of elements and bytes.";

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        keys: THIRD,
        ..CommandSpec::node("migrate", -6, Flags::WRITE.union(Flags::MOVABLE_KEYS),
            NodeCommand::Migrate,
            Docs::new("generic", "2.6.0", COST, "Moves keys to another server, or copies them."))
    },
    CommandSpec::engine("raft.dump", -1, ADMIN.union(Flags::READONLY), Keys::ALL, dump,
        Docs::new("cluster", "1.0.0", COST, "Tells what MIGRATE sends of keys.")),
    CommandSpec::engine("raft.release", -3, ADMIN.union(Flags::WRITE), PAIRS, release,
        Docs::new("cluster", "1.0.0", "O(N) where N is the number of keys.",
            "Removes keys that MIGRATE has sent, unless they have changed since.")),
];

#[cfg(test)]
mod tests;
