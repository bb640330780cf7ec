//! Joins the tables of all families and finds commands in them.

use std::borrow::Cow;
use std::sync::LazyLock;

use rapidhash::v3::rapidhash_v3;

use super::{CommandId, CommandSpec};
use super::{
    acl, administration, bitmap, cluster, connection, dump, field_expiry, geo, hash, hyperloglog,
    key, lcs, list, lolwut, memory, object, pubsub, raft, server, set, sort, sorted_set, stream,
    string, transaction,
};
use crate::engine::error::CommandError;

/// The tables of the families. Their order does not matter: ids follow the names.
static FAMILIES: &[&[CommandSpec]] = &[
    acl::COMMANDS,
    administration::COMMANDS,
    bitmap::COMMANDS,
    cluster::COMMANDS,
    connection::COMMANDS,
    dump::COMMANDS,
    field_expiry::COMMANDS,
    geo::COMMANDS,
    hash::COMMANDS,
    hyperloglog::COMMANDS,
    key::COMMANDS,
    lcs::COMMANDS,
    list::COMMANDS,
    lolwut::COMMANDS,
    memory::COMMANDS,
    object::COMMANDS,
    pubsub::COMMANDS,
    raft::COMMANDS,
    server::COMMANDS,
    set::COMMANDS,
    sort::COMMANDS,
    sorted_set::COMMANDS,
    stream::COMMANDS,
    string::COMMANDS,
    transaction::COMMANDS,
];

/// No command has a longer name; longer words are not looked up.
const NAME_LEN_MAX: usize = 24;

/// At most a quarter full with 256 commands, so that most names are found at their first slot.
const SLOTS: usize = 1024;
const SLOT_EMPTY: u16 = u16::MAX;

struct Table {
    /// By name: an id is a position here.
    specs: Vec<&'static CommandSpec>,
    /// Ids by the hash of the name in lower case, with linear probing.
    slots: [u16; SLOTS],
    fingerprint: u64,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut specs: Vec<_> = FAMILIES.iter().flat_map(|family| family.iter()).collect();
    specs.sort_unstable_by_key(|spec| spec.name);
    let mut slots = [SLOT_EMPTY; SLOTS];
    let mut names = Vec::new();
    for (id, spec) in specs.iter().enumerate() {
        assert!(spec.name.len() <= NAME_LEN_MAX && names.len() < SLOTS * NAME_LEN_MAX);
        let mut slot = slot_of(spec.name.as_bytes());
        while slots[slot] != SLOT_EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = id as u16;
        names.extend_from_slice(spec.name.as_bytes());
        names.push(b' ');
    }
    Table { specs, slots, fingerprint: rapidhash_v3(&names) }
});

/// Two overlapping words of the name in lower case, and its length, mixed. Bytes that are no
/// letters may be changed as well: the comparison that follows is exact.
#[inline]
fn slot_of(name: &[u8]) -> usize {
    let word = |at: usize, len: usize| {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&name[at..at + len]);
        u64::from_le_bytes(bytes)
    };
    let len = name.len();
    let (head, tail) = match len {
        0 => (0, 0),
        1..4 => (u64::from(name[0]), u64::from(name[len / 2]) << 8 | u64::from(name[len - 1])),
        4..8 => (word(0, 4), word(len - 4, 4)),
        _ => (word(0, 8), word(len - 8, 8)),
    };
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let mixed = (head | LOWER).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (tail | LOWER).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(23)
        ^ len as u64;
    (mixed.wrapping_mul(0x94d0_49bb_1331_11eb) >> 32) as usize % SLOTS
}

pub fn command_count() -> usize {
    TABLE.specs.len()
}

/// The command of this name, in letters of any case.
#[inline]
pub fn lookup(name: &[u8]) -> Option<CommandId> {
    if name.len() > NAME_LEN_MAX {
        return None;
    }
    let table = &*TABLE;
    let mut slot = slot_of(name);
    loop {
        let id = table.slots[slot];
        if id == SLOT_EMPTY {
            return None;
        }
        if table.specs[usize::from(id)].name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(CommandId(id));
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// Precondition: `id` comes from [`lookup`], or was checked against [`command_count`].
#[inline]
pub fn spec(id: CommandId) -> &'static CommandSpec {
    TABLE.specs[usize::from(id.0)]
}

/// All commands by name.
pub fn all() -> impl Iterator<Item = &'static CommandSpec> {
    TABLE.specs.iter().copied()
}

/// Stands for the names of all commands in their order: nodes with different ones must not talk to
/// each other in ids.
pub fn fingerprint() -> u64 {
    TABLE.fingerprint
}

/// The subcommand that `arguments` name, or `spec` itself, with the arguments that are left for it
/// and after their number was checked.
#[inline]
pub fn resolve<'a, 'b>(
    spec: &'static CommandSpec,
    arguments: &'a [&'b [u8]],
) -> Result<(&'static CommandSpec, &'a [&'b [u8]]), CommandError> {
    if !spec.accepts(arguments.len() + 1) {
        return Err(CommandError::Arity(Cow::Borrowed(spec.name)));
    }
    if spec.subcommands.is_empty() {
        return Ok((spec, arguments));
    }
    resolve_subcommand(spec, arguments)
}

fn resolve_subcommand<'a, 'b>(
    spec: &'static CommandSpec,
    arguments: &'a [&'b [u8]],
) -> Result<(&'static CommandSpec, &'a [&'b [u8]]), CommandError> {
    // COMMAND is the one container that also runs by itself.
    let Some((name, rest)) = arguments.split_first() else { return Ok((spec, arguments)) };
    let subcommand = spec.subcommand(name).ok_or_else(|| {
        let shown = String::from_utf8_lossy(&name[..name.len().min(128)]);
        let container = spec.name.to_ascii_uppercase();
        let text = format!("ERR unknown subcommand '{shown}'. Try {container} HELP.");
        CommandError::Text(Cow::Owned(text))
    })?;
    if !subcommand.accepts(arguments.len() + 1) {
        let name = format!("{}|{}", spec.name, subcommand.name);
        return Err(CommandError::Arity(Cow::Owned(name)));
    }
    Ok((subcommand, rest))
}

#[cfg(test)]
mod tests;
