//! Pub/Sub. PUBLISH and SPUBLISH go through the log and change no key; the rest is of the node that
//! holds the client.

use super::{CommandSpec, Context, Docs, Flags, Handler, Keys, NodeCommand};
use crate::engine::error::CommandError;

/// Replies with the receivers on this node: how many there are on others, nobody knows here. So the
/// reply differs from node to node, and nothing that is replicated may depend on it.
fn publish(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let count = context.subscribers.publish(false, arguments[0], arguments[1]);
    context.reply.count(count);
    Ok(())
}

fn spublish(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let count = context.subscribers.publish(true, arguments[0], arguments[1]);
    context.reply.count(count);
    Ok(())
}

const TELL: Flags = Flags::of(&[Flags::PUBSUB, Flags::LOADING, Flags::STALE]);
const HELP: Flags = Flags::of(&[Flags::LOADING, Flags::STALE]);
const SUBSCRIBE: Flags = Flags::of(&[TELL, Flags::NOSCRIPT]);
const PUBLISH: Flags = Flags::of(&[TELL, Flags::FAST, Flags::MAY_REPLICATE, Flags::LOGGED]);

const RECEIVERS: &str = "O(N+M) where N is the number of receivers, and M that of patterns.";
const NAMES: &str = "O(N) where N is the number of names.";

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("pubsub", since, complexity, summary)
}

const fn sharded(name: &'static str, arity: i16, command: NodeCommand, docs: Docs) -> CommandSpec {
    CommandSpec { keys: Keys::ALL, ..CommandSpec::node(name, arity, SUBSCRIBE, command, docs) }
}

const fn tells(
    name: &'static str,
    arity: i16,
    since: &'static str,
    docs: &'static str,
) -> CommandSpec {
    CommandSpec::node(name, arity, TELL, NodeCommand::Pubsub, self::docs(since, NAMES, docs))
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::node("psubscribe", -2, SUBSCRIBE, NodeCommand::Psubscribe,
        docs("2.0.0", NAMES, "Subscribes to all channels that fit patterns.")),
    CommandSpec::engine("publish", 3, PUBLISH, Keys::NONE, publish,
        docs("2.0.0", RECEIVERS, "Sends a message to a channel.")),
    CommandSpec {
        name: "pubsub", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Node(NodeCommand::Pubsub),
        docs: docs("2.8.0", "Depends on the subcommand.", "Tells of channels and subscribers."),
        subcommands: SUBCOMMANDS,
    },
    CommandSpec::node("punsubscribe", -1, SUBSCRIBE, NodeCommand::Punsubscribe,
        docs("2.0.0", NAMES, "Subscribes to patterns no more.")),
    CommandSpec::engine("spublish", 3, PUBLISH, Keys::FIRST, spublish,
        docs("7.0.0", "O(N) where N is the number of receivers.",
            "Sends a message to a shard channel.")),
    sharded("ssubscribe", -2, NodeCommand::Ssubscribe,
        docs("7.0.0", NAMES, "Subscribes to shard channels.")),
    CommandSpec::node("subscribe", -2, SUBSCRIBE, NodeCommand::Subscribe,
        docs("2.0.0", NAMES, "Subscribes to channels.")),
    sharded("sunsubscribe", -1, NodeCommand::Sunsubscribe,
        docs("7.0.0", NAMES, "Subscribes to shard channels no more.")),
    CommandSpec::node("unsubscribe", -1, SUBSCRIBE, NodeCommand::Unsubscribe,
        docs("2.0.0", NAMES, "Subscribes to channels no more.")),
];

#[rustfmt::skip]
static SUBCOMMANDS: &[CommandSpec] = &[
    tells("channels", -2, "2.8.0", "Tells the channels that have subscribers."),
    CommandSpec::node("help", 2, HELP, NodeCommand::Pubsub,
        docs("6.2.0", "O(1)", "Tells the subcommands.")),
    tells("numpat", 2, "2.8.0", "Counts the patterns that have subscribers."),
    tells("numsub", -2, "2.8.0", "Counts the subscribers of channels."),
    tells("shardchannels", -2, "7.0.0", "Tells the shard channels that have subscribers."),
    tells("shardnumsub", -2, "7.0.0", "Counts the subscribers of shard channels."),
];
