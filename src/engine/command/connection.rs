//! Commands on the connection of a client, which the node answers.

use super::waiting::unblock;
use super::{CommandSpec, Docs, Flags, Handler, Keys, NodeCommand, SessionCommand};

const TELL: Flags = Flags::of(&[Flags::LOADING, Flags::STALE]);
const CLIENT: Flags = Flags::of(&[TELL, Flags::NOSCRIPT]);
const CLIENT_ADMIN: Flags = Flags::of(&[CLIENT, Flags::ADMIN]);
const FAST: Flags = Flags::of(&[TELL, Flags::FAST]);
const GREETING: Flags = Flags::of(&[FAST, Flags::NOSCRIPT, Flags::NO_AUTH, Flags::ALLOW_BUSY]);

const TRACKING: &str = "O(1). Some options may cost more.";
const ALL_CLIENTS: &str = "O(N) where N is the number of clients.";

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("connection", since, complexity, summary)
}

const fn client(
    name: &'static str,
    arity: i16,
    flags: Flags,
    since: &'static str,
    complexity: &'static str,
    summary: &'static str,
) -> CommandSpec {
    let docs = docs(since, complexity, summary);
    CommandSpec::node(name, arity, flags, NodeCommand::Client, docs)
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::node("auth", -2, GREETING, NodeCommand::Auth,
        docs("1.0.0", "O(1)", "Proves who the client is.")),
    CommandSpec {
        name: "client", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Node(NodeCommand::Client),
        docs: docs("2.4.0", "Depends on the subcommand.", "Tells of clients or changes them."),
        subcommands: SUBCOMMANDS,
    },
    CommandSpec::node("echo", 2, FAST, NodeCommand::Echo,
        docs("1.0.0", "O(1)", "Sends the argument back.")),
    CommandSpec::node("hello", -1, GREETING, NodeCommand::Hello,
        docs("6.0.0", "O(1)", "Agrees on the version of the protocol.")),
    CommandSpec::node("ping", -1, Flags::FAST, NodeCommand::Ping,
        docs("1.0.0", "O(1)", "Tells that the node is there.")),
    CommandSpec::node("quit", -1, GREETING, NodeCommand::Quit,
        docs("1.0.0", "O(1)", "Closes the connection.")),
    CommandSpec {
        name: "reset", arity: 1, flags: GREETING, keys: Keys::NONE,
        handler: Handler::Session(SessionCommand::Reset),
        docs: docs("6.2.0", "O(1)", "Makes the connection as good as new."),
        subcommands: &[],
    },
    CommandSpec::node("select", 2, FAST, NodeCommand::Select,
        docs("1.0.0", "O(1)", "Chooses the database.")),
    CommandSpec::node("wait", 3, Flags::NOSCRIPT, NodeCommand::Wait,
        Docs::new("generic", "3.0.0", "O(1)", "Counts the nodes that have all writes.")),
    CommandSpec::node("waitaof", 4, Flags::NOSCRIPT, NodeCommand::Waitaof,
        Docs::new("generic", "7.2.0", "O(1)", "Counts the append-only files: there are none.")),
];

#[rustfmt::skip]
static SUBCOMMANDS: &[CommandSpec] = &[
    client("caching", 3, CLIENT, "6.0.0", "O(1)", "Lets the next command track keys, or not."),
    client("capa", -3, Flags::of(&[CLIENT, Flags::ALLOW_BUSY]), "8.0.0", "O(1)", "Tells what the client can do."),
    client("getname", 2, CLIENT, "2.6.9", "O(1)", "Tells the name of the connection."),
    client("getredir", 2, CLIENT, "6.0.0", "O(1)", "Tells who gets the invalidations."),
    client("help", 2, TELL, "5.0.0", "O(1)", "Tells the subcommands."),
    client("id", 2, CLIENT, "5.0.0", "O(1)", "Tells the number of the connection."),
    client("info", 2, CLIENT, "6.2.0", "O(1)", "Tells all of the connection."),
    client("kill", -3, CLIENT_ADMIN, "2.4.0", ALL_CLIENTS, "Closes connections."),
    client("list", -2, CLIENT_ADMIN, "2.4.0", ALL_CLIENTS, "Tells all connections."),
    client("no-evict", 3, CLIENT_ADMIN, "7.0.0", "O(1)", "Keeps the connection when memory ends."),
    client("no-touch", 3, CLIENT, "7.2.0", "O(1)", "Lets reads not count as use of a key."),
    client("pause", -3, CLIENT_ADMIN, "3.0.0", "O(1)", "Holds commands back for some time."),
    client("reply", 3, CLIENT, "3.2.0", "O(1)", "Turns replies on or off."),
    client("setinfo", 4, CLIENT, "7.2.0", "O(1)", "Takes the name of the client's library."),
    client("setname", 3, CLIENT, "2.6.9", "O(1)", "Gives the connection a name."),
    client("tracking", -3, CLIENT, "6.0.0", TRACKING, "Lets the client be told of changes."),
    client("trackinginfo", 2, CLIENT, "6.2.0", "O(1)", "Tells what the client tracks."),
    client("unpause", 2, CLIENT_ADMIN, "6.2.0", "O(1)", "Lets commands go on."),
    CommandSpec::engine("unblock", -3, Flags::of(&[CLIENT_ADMIN, Flags::LOGGED]), Keys::NONE, unblock,
        docs("5.0.0", "O(log N) where N is the number of waiting clients.", "Ends a wait.")),
];
