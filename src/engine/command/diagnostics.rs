//! Commands that tell what a node has done, and how long it took: the node answers them.

use super::{CommandSpec, Docs, Flags, Handler, Keys, NodeCommand};

const ADMIN: Flags = Flags::of(&[Flags::ADMIN, Flags::LOADING, Flags::STALE]);
const ADMIN_NOSCRIPT: Flags = Flags::of(&[ADMIN, Flags::NOSCRIPT]);
const TELL: Flags = Flags::of(&[Flags::LOADING, Flags::STALE]);

const ENTRIES: &str = "O(N) where N is the number of entries.";
const SAMPLES: &str = "O(1)";
const DEPENDS: &str = "Depends on the subcommand.";

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("server", since, complexity, summary)
}

const fn container(
    name: &'static str,
    command: NodeCommand,
    docs: Docs,
    subcommands: &'static [CommandSpec],
) -> CommandSpec {
    let handler = Handler::Node(command);
    let flags = Flags::empty();
    CommandSpec { name, arity: -2, flags, keys: Keys::NONE, handler, docs, subcommands }
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    container("commandlog", NodeCommand::Commandlog,
        docs("8.1.0", DEPENDS, "Tells slow commands, large requests and large replies."),
        COMMANDLOG),
    container("latency", NodeCommand::Latency,
        docs("2.8.13", DEPENDS, "Tells what took long."), LATENCY),
    CommandSpec::node("monitor", 1, ADMIN_NOSCRIPT, NodeCommand::Monitor,
        docs("1.0.0", "O(1)", "Shows the commands of all clients of the node as they come.")),
    container("slowlog", NodeCommand::Slowlog,
        docs("2.2.12", DEPENDS, "Tells slow commands."), SLOWLOG),
];

#[rustfmt::skip]
static COMMANDLOG: &[CommandSpec] = &[
    CommandSpec::node("get", 4, ADMIN, NodeCommand::Commandlog,
        docs("8.1.0", ENTRIES, "Tells the entries of a log.")),
    CommandSpec::node("help", 2, TELL, NodeCommand::Commandlog,
        docs("8.1.0", "O(1)", "Tells the subcommands.")),
    CommandSpec::node("len", 3, ADMIN, NodeCommand::Commandlog,
        docs("8.1.0", "O(1)", "Counts the entries of a log.")),
    CommandSpec::node("reset", 3, ADMIN, NodeCommand::Commandlog,
        docs("8.1.0", ENTRIES, "Empties a log.")),
];

#[rustfmt::skip]
static LATENCY: &[CommandSpec] = &[
    CommandSpec::node("doctor", 2, ADMIN_NOSCRIPT, NodeCommand::Latency,
        docs("2.8.13", SAMPLES, "Explains what took long.")),
    CommandSpec::node("graph", 3, ADMIN_NOSCRIPT, NodeCommand::Latency,
        docs("2.8.13", SAMPLES, "Draws what an event took.")),
    CommandSpec::node("help", 2, TELL, NodeCommand::Latency,
        docs("2.8.13", "O(1)", "Tells the subcommands.")),
    CommandSpec::node("histogram", -2, ADMIN_NOSCRIPT, NodeCommand::Latency,
        docs("7.0.0", "O(N) where N is the number of commands.",
            "Tells how long commands ran, as distributions.")),
    CommandSpec::node("history", 3, ADMIN_NOSCRIPT, NodeCommand::Latency,
        docs("2.8.13", SAMPLES, "Tells what an event took, by time.")),
    CommandSpec::node("latest", 2, ADMIN_NOSCRIPT, NodeCommand::Latency,
        docs("2.8.13", SAMPLES, "Tells what each event took the last time.")),
    CommandSpec::node("reset", -2, ADMIN_NOSCRIPT, NodeCommand::Latency,
        docs("2.8.13", SAMPLES, "Forgets events.")),
];

#[rustfmt::skip]
static SLOWLOG: &[CommandSpec] = &[
    CommandSpec::node("get", -2, ADMIN, NodeCommand::Slowlog,
        docs("2.2.12", ENTRIES, "Tells the entries of the log.")),
    CommandSpec::node("help", 2, TELL, NodeCommand::Slowlog,
        docs("6.2.0", "O(1)", "Tells the subcommands.")),
    CommandSpec::node("len", 2, ADMIN, NodeCommand::Slowlog,
        docs("2.2.12", "O(1)", "Counts the entries of the log.")),
    CommandSpec::node("reset", 2, ADMIN, NodeCommand::Slowlog,
        docs("2.2.12", ENTRIES, "Empties the log.")),
];
