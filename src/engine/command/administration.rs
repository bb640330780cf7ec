//! What Redis has for who leads, for disks, for replicas and for modules. Some of it is done by
//! consensus here, some has no meaning; the node answers all of it.

use super::{CommandSpec, Docs, Flags, Handler, Keys, NodeCommand};

const TELL: Flags = Flags::of(&[Flags::LOADING, Flags::STALE]);
const ADMIN: Flags = Flags::of(&[Flags::ADMIN, Flags::NOSCRIPT]);
const FAILOVER: Flags = Flags::of(&[ADMIN, Flags::STALE]);
const LASTSAVE: Flags = Flags::of(&[TELL, Flags::FAST]);
const DISK: Flags = Flags::of(&[ADMIN, Flags::NO_ASYNC_LOADING]);
const SAVE: Flags = Flags::of(&[DISK, Flags::NO_MULTI]);
const REPLICAOF: Flags = Flags::of(&[DISK, Flags::STALE]);
const REPLCONF: Flags = Flags::of(&[FAILOVER, Flags::LOADING, Flags::ALLOW_BUSY]);
const RESTORE: Flags = Flags::of(&[Flags::WRITE, Flags::DENYOOM]);
const PFDEBUG: Flags = Flags::of(&[RESTORE, Flags::ADMIN]);
const LOAD: Flags = Flags::of(&[DISK, Flags::PROTECTED]);

const SECOND: Keys = Keys { first: 2, last: 2, step: 1 };

const fn docs(group: &'static str, since: &'static str, summary: &'static str) -> Docs {
    Docs::new(group, since, "O(1)", summary)
}

const fn server(
    name: &'static str,
    arity: i16,
    flags: Flags,
    command: NodeCommand,
    since: &'static str,
    summary: &'static str,
) -> CommandSpec {
    CommandSpec::node(name, arity, flags, command, docs("server", since, summary))
}

const fn refused(
    name: &'static str,
    arity: i16,
    flags: Flags,
    group: &'static str,
    since: &'static str,
    summary: &'static str,
) -> CommandSpec {
    let docs = docs(group, since, summary);
    CommandSpec::node(name, arity, flags, NodeCommand::Unsupported, docs)
}

const fn of_module(
    name: &'static str,
    arity: i16,
    flags: Flags,
    since: &'static str,
    summary: &'static str,
) -> CommandSpec {
    CommandSpec::node(name, arity, flags, NodeCommand::Module, docs("server", since, summary))
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    refused("bgrewriteaof", 1, DISK, "server", "1.0.0", "Is refused: there is no disk."),
    refused("bgsave", -1, DISK, "server", "1.0.0", "Is refused: there is no disk."),
    server("failover", -1, FAILOVER, NodeCommand::Failover, "6.2.0",
        "Hands leadership to another member."),
    server("lastsave", 1, LASTSAVE, NodeCommand::Lastsave, "1.0.0",
        "Tells when the node was started: there is no disk to save to."),
    CommandSpec {
        name: "module", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Node(NodeCommand::Module),
        docs: docs("server", "4.0.0", "Tells that no modules are loaded."),
        subcommands: MODULE,
    },
    CommandSpec {
        keys: SECOND,
        ..refused("pfdebug", 3, PFDEBUG, "hyperloglog", "2.8.9",
            "Is refused: the internals of a HyperLogLog cannot be reached.")
    },
    refused("pfselftest", 1, Flags::ADMIN, "hyperloglog", "2.8.9",
        "Is refused: the internals of a HyperLogLog cannot be reached."),
    refused("psync", -3, SAVE, "server", "2.8.0", "Is refused: replicas of Redis are not fed."),
    refused("replconf", -1, REPLCONF, "server", "3.0.0",
        "Is refused: replicas of Redis are not fed."),
    server("replicaof", 3, REPLICAOF, NodeCommand::Replicaof, "5.0.0",
        "Lets the cluster import from a Redis and follow it, until NO ONE."),
    CommandSpec {
        keys: Keys::FIRST,
        ..refused("restore-asking", -4, RESTORE, "server", "3.0.0",
            "Is refused: slots do not move between nodes.")
    },
    refused("save", 1, SAVE, "server", "1.0.0", "Is refused: there is no disk."),
    server("slaveof", 3, REPLICAOF, NodeCommand::Replicaof, "1.0.0",
        "Lets the cluster import from a Redis and follow it, until NO ONE."),
    refused("sync", 1, SAVE, "server", "1.0.0", "Is refused: replicas of Redis are not fed."),
];

#[rustfmt::skip]
static MODULE: &[CommandSpec] = &[
    of_module("help", 2, TELL, "5.0.0", "Tells the subcommands."),
    of_module("list", 2, ADMIN, "4.0.0", "Tells the modules that are loaded: none."),
    of_module("load", -3, LOAD, "4.0.0", "Is refused: there are no modules."),
    of_module("loadex", -3, LOAD, "7.0.0", "Is refused: there are no modules."),
    of_module("unload", 3, LOAD, "4.0.0", "Is refused: there are no modules."),
];
