//! The cluster as cluster clients ask for it, which the node answers.

use super::{CommandSpec, Docs, Flags, Handler, Keys, NodeCommand};

const TELL: Flags = Flags::of(&[Flags::LOADING, Flags::STALE]);
const STALE_ADMIN: Flags = Flags::of(&[Flags::ADMIN, Flags::STALE]);
const FAST: Flags = Flags::of(&[TELL, Flags::FAST]);

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

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
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
    sub("help", 2, TELL, "5.0.0", "Tells the subcommands."),
    sub("info", 2, TELL, "3.0.0", "Tells the state of the cluster."),
    sub("keyslot", 3, Flags::STALE, "3.0.0", "Tells the slot of a key."),
    sub("myid", 2, TELL, "3.0.0", "Tells the id of this node."),
    sub("myshardid", 2, TELL, "7.2.0", "Tells the id of this node's shard."),
    sub("nodes", 2, TELL, "3.0.0", "Tells all nodes, a line each."),
    sub("replicas", 3, STALE_ADMIN, "5.0.0", "Tells the followers."),
    sub("shards", 2, TELL, "7.0.0", "Tells the shards and their nodes."),
    sub("slaves", 3, STALE_ADMIN, "3.0.0", "Tells the followers."),
    sub("slots", 2, TELL, "3.0.0", "Tells which nodes have which slots."),
];
