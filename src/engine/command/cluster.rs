//! The cluster as cluster clients ask for it, which the node answers; but for the slots of keys,
//! which the engine counts.
//!
//! Nothing keeps which keys a slot has: that would cost every key memory and every write work, for
//! questions that only tools ask. So these look at all keys of the database, as KEYS does.

use super::options::is_word;
use super::{CommandSpec, Context, Docs, Flags, Handler, Keys, NodeCommand};
use crate::engine::error::CommandError;
use crate::engine::keyspace::Entry;
use crate::engine::number::integer;
use crate::engine::slot::{SLOT_COUNT, key_slot};

type Result<T = ()> = std::result::Result<T, CommandError>;

fn slot_of(number: i64, refusal: &'static str) -> Result<u16> {
    let slot = u16::try_from(number).ok().filter(|slot| *slot < SLOT_COUNT);
    slot.ok_or(CommandError::text(refusal))
}

fn count_keys_in_slot(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let slot = slot_of(integer(arguments[0])?, "ERR Invalid slot")?;
    let entries = context.keyspace.entries(context.database);
    let count = entries.filter(|entry| key_slot(&entry.key) == slot).count();
    context.reply.count(count);
    Ok(())
}

/// In the order of the keyspace, which is the same on all nodes.
fn get_keys_in_slot(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    const REFUSAL: &str = "ERR Invalid slot or number of keys";
    let (slot, wanted) = (integer(arguments[0])?, integer(arguments[1])?);
    let slot = slot_of(slot, REFUSAL)?;
    let wanted = usize::try_from(wanted).map_err(|_| CommandError::text(REFUSAL))?;
    let mut found: Vec<&Entry> = Vec::new();
    let mut cursor = 0;
    while found.len() < wanted {
        cursor = context.keyspace.scan(context.database, cursor, KEYS_PER_STEP, |entry| {
            if key_slot(&entry.key) == slot {
                found.push(entry);
            }
        });
        if cursor == 0 {
            break;
        }
    }
    found.truncate(wanted);
    context.reply.array(found.len());
    found.iter().for_each(|entry| context.reply.bulk(&entry.key));
    Ok(())
}

/// How many keys are looked at between two questions whether there are enough.
const KEYS_PER_STEP: usize = 1000;

/// CLUSTER SLOT-STATS of Valkey: of what it can tell, how many keys there are. Nothing here is
/// counted by slot.
fn slot_stats(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let Asked { mut slots, order } = Asked::parse(arguments)?;
    let mut counts = vec![0; usize::from(SLOT_COUNT)];
    for entry in context.keyspace.entries(context.database) {
        counts[usize::from(key_slot(&entry.key))] += 1;
    }
    if let Some(Order { is_descending, limit }) = order {
        slots.sort_by_key(|slot| {
            let count: i64 = counts[usize::from(*slot)];
            if is_descending { -count } else { count }
        });
        slots.truncate(limit);
    }
    context.reply.array(slots.len());
    for slot in slots {
        context.reply.array(2);
        context.reply.integer(slot.into());
        context.reply.map(1);
        context.reply.bulk(b"key-count");
        context.reply.integer(counts[usize::from(slot)]);
    }
    Ok(())
}

/// The slots that SLOT-STATS is to tell of.
struct Asked {
    slots: Vec<u16>,
    order: Option<Order>,
}

struct Order {
    is_descending: bool,
    limit: usize,
}

impl Asked {
    fn parse(arguments: &[&[u8]]) -> Result<Self> {
        match arguments {
            [kind, first, last] if is_word(kind, "SLOTSRANGE") => {
                const REFUSAL: &str = "ERR Invalid or out of range slot";
                let number = |word| integer(word).map_err(|_| CommandError::text(REFUSAL));
                let first = slot_of(number(first)?, REFUSAL)?;
                let last = slot_of(number(last)?, REFUSAL)?;
                if first > last {
                    let text = format!(
                        "ERR Start slot number {first} is greater than end slot number {last}"
                    );
                    return Err(CommandError::Text(text.into()));
                }
                Ok(Self { slots: (first..=last).collect(), order: None })
            }
            [kind, metric, options @ ..] if is_word(kind, "ORDERBY") => {
                let order = Order::parse(options)?;
                if !is_word(metric, "KEY-COUNT") {
                    return Err(CommandError::text("ERR Unrecognized sort metric for ORDERBY."));
                }
                Ok(Self { slots: (0..SLOT_COUNT).collect(), order: Some(order) })
            }
            _ => Err(CommandError::Syntax),
        }
    }
}

impl Order {
    fn parse(mut words: &[&[u8]]) -> Result<Self> {
        let (mut limit, mut is_descending) = (None, None);
        while let [word, rest @ ..] = words {
            words = match rest {
                [count, rest @ ..] if is_word(word, "LIMIT") && limit.is_none() => {
                    let count = integer(count)?;
                    if !(1..=i64::from(SLOT_COUNT)).contains(&count) {
                        return Err(CommandError::text(
                            "ERR Limit has to lie in between 1 and 16384 (maximum number of \
                             slots).",
                        ));
                    }
                    limit = Some(count as usize);
                    rest
                }
                _ if is_word(word, "ASC") && is_descending.is_none() => {
                    is_descending = Some(false);
                    rest
                }
                _ if is_word(word, "DESC") && is_descending.is_none() => {
                    is_descending = Some(true);
                    rest
                }
                _ => return Err(CommandError::Syntax),
            };
        }
        let limit = limit.unwrap_or(usize::from(SLOT_COUNT));
        Ok(Self { is_descending: is_descending.unwrap_or(true), limit })
    }
}

const TELL: Flags = Flags::of(&[Flags::LOADING, Flags::STALE]);
const STALE_ADMIN: Flags = Flags::of(&[Flags::ADMIN, Flags::STALE]);
const CHANGE: Flags = Flags::of(&[STALE_ADMIN, Flags::NO_ASYNC_LOADING]);
const RESET: Flags = Flags::of(&[STALE_ADMIN, Flags::NOSCRIPT]);
const FAST: Flags = Flags::of(&[TELL, Flags::FAST]);

const ALL_KEYS: &str = "O(N) where N is the number of keys of the database.";

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("cluster", since, complexity, summary)
}

const fn sub(
    name: &'static str,
    arity: i16,
    flags: Flags,
    since: &'static str,
    summary: &'static str,
) -> CommandSpec {
    let docs = docs(since, "O(N) where N is the number of nodes.", summary);
    CommandSpec::node(name, arity, flags, NodeCommand::Cluster, docs)
}

/// One that the engine runs, which looks at all keys.
const fn scan(
    name: &'static str,
    arity: i16,
    since: &'static str,
    run: super::EngineHandler,
    summary: &'static str,
) -> CommandSpec {
    let docs = docs(since, ALL_KEYS, summary);
    CommandSpec::engine(name, arity, Flags::STALE, Keys::NONE, run, docs)
}

/// One that concerns what takes the place of here: it answers an error that says so.
const fn refused(name: &'static str, arity: i16, flags: Flags, since: &'static str) -> CommandSpec {
    let docs = docs(since, "O(1)", "Is refused: consensus does what it is for.");
    CommandSpec::node(name, arity, flags, NodeCommand::Cluster, docs)
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::node("asking", 1, Flags::FAST, NodeCommand::Asking,
        docs("3.0.0", "O(1)", "Changes nothing: no slot is ever on its way.")),
    CommandSpec {
        name: "cluster", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Node(NodeCommand::Cluster),
        docs: docs("3.0.0", "Depends on the subcommand.", "Tells of the cluster."),
        subcommands: SUBCOMMANDS,
    },
    CommandSpec::node("readonly", 1, FAST, NodeCommand::Readonly,
        docs("3.0.0", "O(1)", "Lets the connection read from a follower.")),
    CommandSpec::node("readwrite", 1, FAST, NodeCommand::Readwrite,
        docs("3.0.0", "O(1)", "Ends READONLY.")),
];

#[rustfmt::skip]
static SUBCOMMANDS: &[CommandSpec] = &[
    refused("addslots", -3, CHANGE, "3.0.0"),
    refused("addslotsrange", -4, CHANGE, "7.0.0"),
    refused("bumpepoch", 2, CHANGE, "3.0.0"),
    refused("count-failure-reports", 3, STALE_ADMIN, "3.0.0"),
    scan("countkeysinslot", 3, "3.0.0", count_keys_in_slot, "Counts the keys of a slot."),
    refused("delslots", -3, CHANGE, "3.0.0"),
    refused("delslotsrange", -4, CHANGE, "7.0.0"),
    sub("failover", -2, CHANGE, "3.0.0", "Makes this node the leader."),
    refused("flushslots", 2, CHANGE, "3.0.0"),
    sub("forget", 3, CHANGE, "3.0.0", "Removes a member from the cluster."),
    scan("getkeysinslot", 4, "3.0.0", get_keys_in_slot, "Tells some of the keys of a slot."),
    sub("help", 2, TELL, "5.0.0", "Tells the subcommands."),
    sub("info", 2, TELL, "3.0.0", "Tells the state of the cluster."),
    sub("keyslot", 3, Flags::STALE, "3.0.0", "Tells the slot of a key."),
    sub("links", 2, Flags::STALE, "7.0.0", "Tells the connections to the other members."),
    refused("meet", -4, CHANGE, "3.0.0"),
    sub("myid", 2, TELL, "3.0.0", "Tells the id of this node."),
    sub("myshardid", 2, TELL, "7.2.0", "Tells the id of this node's shard."),
    sub("nodes", 2, TELL, "3.0.0", "Tells all nodes, a line each."),
    sub("replicas", 3, STALE_ADMIN, "5.0.0", "Tells the followers."),
    refused("replicate", 3, CHANGE, "3.0.0"),
    refused("reset", -2, RESET, "3.0.0"),
    refused("saveconfig", 2, CHANGE, "3.0.0"),
    refused("set-config-epoch", 3, CHANGE, "3.0.0"),
    refused("setslot", -4, CHANGE, "3.0.0"),
    sub("shards", 2, TELL, "7.0.0", "Tells the shards and their nodes."),
    sub("slaves", 3, STALE_ADMIN, "3.0.0", "Tells the followers."),
    scan("slot-stats", -4, "8.0.0", slot_stats, "Counts the keys of many slots."),
    sub("slots", 2, TELL, "3.0.0", "Tells which nodes have which slots."),
];

#[cfg(test)]
mod tests;
