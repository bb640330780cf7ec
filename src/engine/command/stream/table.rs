//! The table of the stream commands.

use super::{claim, group, info, read};
use super::{xadd, xdel, xlen, xrange, xrevrange, xsetid, xtrim};
use crate::engine::command::{CommandSpec, Docs, Flags, Handler, Keys};

const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const GROW: Flags = Flags::WRITE.union(Flags::DENYOOM);
const GROW_FAST: Flags = WRITE_FAST.union(Flags::DENYOOM);
const READ_MOVABLE: Flags = Flags::of(&[Flags::READONLY, Flags::BLOCKING, Flags::MOVABLE_KEYS]);
const WRITE_MOVABLE: Flags = Flags::of(&[Flags::WRITE, Flags::BLOCKING, Flags::MOVABLE_KEYS]);
const TELL: Flags = Flags::of(&[Flags::LOADING, Flags::STALE]);

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("stream", since, complexity, summary)
}

const APPEND: &str = "O(1) to append, O(N) with N the number of entries trimmed.";
const PER_ID: &str = "O(log N) for each id, with N the number of pending entries.";
const PER_ENTRY: &str = "O(1) for each entry.";
const PER_READ: &str = "O(N) with N the number of entries given.";
const PER_TRIMMED: &str = "O(N) with N the number of entries dropped.";

/// The key of a subcommand follows its name.
const SECOND: Keys = Keys { first: 2, last: 2, step: 1 };

#[rustfmt::skip]
pub(in crate::engine::command) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("xack", -4, WRITE_FAST, Keys::FIRST, group::xack,
        docs("5.0.0", PER_ID, "Tells that a group is done with entries.")),
    CommandSpec::engine("xadd", -5, GROW_FAST, Keys::FIRST, xadd,
        docs("5.0.0", APPEND, "Appends an entry to a stream.")),
    CommandSpec::engine("xautoclaim", -6, WRITE_FAST, Keys::FIRST, claim::xautoclaim,
        docs("6.2.0", "O(N) with N the number of pending entries looked at.",
            "Lets a consumer take over what has been pending for long.")),
    CommandSpec::engine("xclaim", -6, WRITE_FAST, Keys::FIRST, claim::xclaim,
        docs("5.0.0", PER_ID, "Lets a consumer take over pending entries.")),
    CommandSpec::engine("xdel", -3, WRITE_FAST, Keys::FIRST, xdel,
        docs("5.0.0", PER_ENTRY, "Deletes entries by their ids.")),
    CommandSpec {
        name: "xgroup", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Engine(group::xgroup),
        docs: docs("5.0.0", "Depends on the subcommand.", "Makes, changes and removes groups."),
        subcommands: XGROUP,
    },
    CommandSpec {
        name: "xinfo", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Engine(info::xinfo),
        docs: docs("5.0.0", "Depends on the subcommand.", "Tells of streams and groups."),
        subcommands: XINFO,
    },
    CommandSpec::engine("xlen", 2, READ_FAST, Keys::FIRST, xlen,
        docs("5.0.0", "O(1)", "Tells how many entries a stream has.")),
    CommandSpec::engine("xpending", -3, Flags::READONLY, Keys::FIRST, group::xpending,
        docs("5.0.0", "O(N) with N the number of pending entries looked at.",
            "Tells what is pending in a group.")),
    CommandSpec::engine("xrange", -4, Flags::READONLY, Keys::FIRST, xrange,
        docs("5.0.0", PER_READ, "Gives the entries between two ids.")),
    CommandSpec::engine("xread", -4, READ_MOVABLE, Keys::NONE, read::xread,
        docs("5.0.0", PER_READ, "Gives the entries of streams that follow ids.")),
    CommandSpec::engine("xreadgroup", -7, WRITE_MOVABLE, Keys::NONE, read::xreadgroup,
        docs("5.0.0", PER_READ, "Gives a consumer entries of streams that its group has not had.")),
    CommandSpec::engine("xrevrange", -4, Flags::READONLY, Keys::FIRST, xrevrange,
        docs("5.0.0", PER_READ,
            "Gives the entries between two ids, from the last to the first.")),
    CommandSpec::engine("xsetid", -3, GROW_FAST, Keys::FIRST, xsetid,
        docs("5.0.0", "O(1)", "Sets the last id of a stream, and what it counts.")),
    CommandSpec::engine("xtrim", -4, Flags::WRITE, Keys::FIRST, xtrim,
        docs("5.0.0", PER_TRIMMED, "Drops entries from the start of a stream.")),
];

#[rustfmt::skip]
static XGROUP: &[CommandSpec] = &[
    CommandSpec::engine("create", -5, GROW, SECOND, group::create,
        docs("5.0.0", "O(1)", "Makes a group.")),
    CommandSpec::engine("createconsumer", 5, GROW, SECOND, group::createconsumer,
        docs("6.2.0", "O(1)", "Makes a consumer.")),
    CommandSpec::engine("delconsumer", 5, Flags::WRITE, SECOND, group::delconsumer,
        docs("5.0.0", "O(N) with N the number of entries pending for it.",
            "Removes a consumer.")),
    CommandSpec::engine("destroy", 4, Flags::WRITE, SECOND, group::destroy,
        docs("5.0.0", "O(N) with N the number of pending entries.", "Removes a group.")),
    CommandSpec::engine("help", 2, TELL, Keys::NONE, group::help,
        docs("5.0.0", "O(1)", "Tells the subcommands.")),
    CommandSpec::engine("setid", -5, Flags::WRITE, SECOND, group::setid,
        docs("5.0.0", "O(1)", "Sets where a group goes on.")),
];

#[rustfmt::skip]
static XINFO: &[CommandSpec] = &[
    CommandSpec::engine("consumers", 4, Flags::READONLY, SECOND, info::consumers,
        docs("5.0.0", "O(N) with N the number of consumers.", "Tells the consumers of a group.")),
    CommandSpec::engine("groups", 3, Flags::READONLY, SECOND, info::groups,
        docs("5.0.0", "O(N) with N the number of groups.", "Tells the groups of a stream.")),
    CommandSpec::engine("help", 2, TELL, Keys::NONE, info::help,
        docs("5.0.0", "O(1)", "Tells the subcommands.")),
    CommandSpec::engine("stream", -3, Flags::READONLY, SECOND, info::stream,
        docs("5.0.0", "O(1), or O(N) with N the number of items shown.", "Tells of a stream.")),
];
