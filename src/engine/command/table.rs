//! Joins the tables of all families and finds commands in them.

use std::borrow::Cow;
use std::sync::LazyLock;

use rapidhash::v3::rapidhash_v3;

use super::{CommandId, CommandSpec, Flags};
use super::{
    acl, administration, bitmap, cluster, connection, debug, diagnostics, dump, field_expiry,
    function, geo, hash, hyperloglog, import, key, lcs, list, lolwut, memory, migrate, object,
    pubsub, raft, script, server, set, sort, sorted_set, stream, string, transaction,
};
use crate::engine::error::CommandError;

/// The tables of the families. Their order does not matter: ids follow the names.
static FAMILIES: &[&[CommandSpec]] = &[
    acl::COMMANDS,
    administration::COMMANDS,
    bitmap::COMMANDS,
    cluster::COMMANDS,
    connection::COMMANDS,
    debug::COMMANDS,
    diagnostics::COMMANDS,
    dump::COMMANDS,
    field_expiry::COMMANDS,
    function::COMMANDS,
    geo::COMMANDS,
    hash::COMMANDS,
    hyperloglog::COMMANDS,
    import::COMMANDS,
    key::COMMANDS,
    lcs::COMMANDS,
    list::COMMANDS,
    lolwut::COMMANDS,
    memory::COMMANDS,
    migrate::COMMANDS,
    object::COMMANDS,
    pubsub::COMMANDS,
    raft::COMMANDS,
    script::COMMANDS,
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
    /// By id.
    traits: Vec<Traits>,
    /// What is counted apart: each command under its id, and each subcommand behind them all.
    stats: Vec<(&'static CommandSpec, Option<&'static CommandSpec>)>,
    /// Ids by the hash of the name in lower case, with linear probing.
    slots: [u16; SLOTS],
    fingerprint: u64,
}

/// What is worked out of a specification once.
#[derive(Clone, Copy)]
struct Traits {
    /// Where the counts of its first subcommand are; 0 without any.
    subcommands_at: u16,
    is_brief: bool,
}

/// Commands that are as brief as those with the flag FAST, although it is not Redis's word.
const BRIEF: &[&str] =
    &["del", "getrange", "mset", "msetnx", "psetex", "set", "setbit", "setex", "setrange"];

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
    let (traits, stats) = traits_of(&specs);
    Table { specs, traits, stats, slots, fingerprint: rapidhash_v3(&names) }
});

fn traits_of(
    specs: &[&'static CommandSpec],
) -> (Vec<Traits>, Vec<(&'static CommandSpec, Option<&'static CommandSpec>)>) {
    let mut stats: Vec<_> = specs.iter().map(|spec| (*spec, None)).collect();
    let mut traits = Vec::with_capacity(specs.len());
    for spec in specs {
        let first = if spec.shown_subcommands().is_empty() { 0 } else { stats.len() as u16 };
        let is_brief = spec.flags.contains(Flags::FAST) || BRIEF.contains(&spec.name);
        traits.push(Traits { subcommands_at: first, is_brief });
        stats.extend(spec.shown_subcommands().iter().map(|subcommand| (*spec, Some(subcommand))));
    }
    (traits, stats)
}

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

/// Whether the command takes no longer than reading the clock is worth.
#[inline]
pub fn brief(id: CommandId) -> bool {
    TABLE.traits[usize::from(id.0)].is_brief
}

/// Where a command line is counted: under its subcommand, if it has one that is known.
#[inline]
pub fn stat_slot(id: CommandId, next: Option<&&[u8]>) -> u16 {
    let table = &*TABLE;
    let at = table.traits[usize::from(id.0)].subcommands_at;
    if at == 0 {
        return id.0;
    }
    let name = next.copied().unwrap_or_default();
    let subcommands = table.specs[usize::from(id.0)].subcommands;
    let position =
        subcommands.iter().position(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name));
    position.map_or(id.0, |position| at + position as u16)
}

/// How many slots there are.
pub fn stat_count() -> usize {
    TABLE.stats.len()
}

/// What is counted there, as in `config|get`.
pub fn stat_name(slot: usize) -> String {
    match TABLE.stats[slot] {
        (spec, None) => spec.name.to_owned(),
        (spec, Some(subcommand)) => format!("{}|{}", spec.name, subcommand.name),
    }
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
    let unknown = || {
        let shown = String::from_utf8_lossy(&name[..name.len().min(128)]);
        let container = spec.name.to_ascii_uppercase();
        let what = match spec.name {
            // Redis tells the two mistakes of others apart.
            "debug" => "subcommand or wrong number of arguments for",
            _ => "subcommand",
        };
        let text = format!("ERR unknown {what} '{shown}'. Try {container} HELP.");
        CommandError::Text(Cow::Owned(text))
    };
    let subcommand = spec.subcommand(name).ok_or_else(unknown)?;
    if !subcommand.accepts(arguments.len() + 1) {
        if spec.name == "debug" {
            return Err(unknown());
        }
        let name = format!("{}|{}", spec.name, subcommand.name);
        return Err(CommandError::Arity(Cow::Owned(name)));
    }
    Ok((subcommand, rest))
}

#[cfg(test)]
mod tests;
