//! MEMORY: what values take, which the engine knows, and the process, which the node does.

use super::options::is_word;
use super::{CommandSpec, Context, Docs, Flags, Handler, Keys, NodeCommand};
use crate::engine::error::CommandError;
use crate::engine::number::integer;

type Result = std::result::Result<(), CommandError>;

/// The account of a value is exact, so how many elements SAMPLES allows to look at does not matter.
fn usage(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    for option in arguments[1..].chunks(2) {
        match option {
            [word, count] if is_word(word, "SAMPLES") && integer(count)? >= 0 => {}
            _ => return Err(CommandError::Syntax),
        }
    }
    match context.keyspace.peek(context.database, arguments[0]) {
        None => context.reply.null(),
        Some(entry) => context.reply.count(entry.bytes()),
    }
    Ok(())
}

const TELL: Flags = Flags::of(&[Flags::LOADING, Flags::STALE]);
const SECOND: Keys = Keys { first: 2, last: 2, step: 1 };

const fn docs(complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("server", "4.0.0", complexity, summary)
}

const fn node(name: &'static str, flags: Flags, summary: &'static str) -> CommandSpec {
    CommandSpec::node(name, 2, flags, NodeCommand::Memory, docs("O(1)", summary))
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "memory", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Node(NodeCommand::Memory),
        docs: docs("Depends on the subcommand.", "Tells what values and the process take."),
        subcommands: SUBCOMMANDS,
    },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[CommandSpec] = &[
    node("doctor", Flags::empty(), "Tells what is wrong with the memory of the node."),
    node("help", TELL, "Tells the subcommands."),
    node("malloc-stats", Flags::empty(), "Tells what the allocator counts: nothing."),
    node("purge", Flags::empty(), "Gives back to the system what is free."),
    node("stats", Flags::empty(), "Tells what takes the memory of the node."),
    CommandSpec::engine("usage", -3, Flags::READONLY, SECOND, usage,
        docs("O(1)", "Tells about how many bytes a key and its value take.")),
];

#[cfg(test)]
mod tests {
    use crate::engine::reply::Protocol;
    use crate::engine::testing::{check, check_all, check3, engine, run_line};

    #[test]
    fn usage_grows_with_the_value() {
        let mut engine = engine();
        let syntax = "-ERR syntax error\r\n";
        check_all(
            &mut engine,
            &[
                ("MEMORY", "-ERR wrong number of arguments for 'memory' command\r\n"),
                ("MEMORY USAGE", "-ERR wrong number of arguments for 'memory|usage' command\r\n"),
                ("MEMORY FOO", "-ERR unknown subcommand 'FOO'. Try MEMORY HELP.\r\n"),
                ("MEMORY USAGE none", "$-1\r\n"),
                ("MEMORY USAGE none FOO", syntax),
                ("MEMORY USAGE none SAMPLES", syntax),
                ("MEMORY USAGE none SAMPLES -1", syntax),
                ("MEMORY USAGE none SAMPLES x", "-ERR value is not an integer or out of range\r\n"),
                ("SET k v", "+OK\r\n"),
                ("MEMORY USAGE k samples 0", ":64\r\n"),
                ("SETRANGE k 999 x", ":1000\r\n"),
            ],
        );
        check3(&mut engine, "MEMORY USAGE none", "_\r\n");
        let reply = run_line(&mut engine, Protocol::Resp2, "MEMORY USAGE k");
        let bytes = String::from_utf8_lossy(&reply[1..]).trim().parse::<usize>().unwrap();
        assert!((1064..1200).contains(&bytes), "{bytes}");
        check(&mut engine, "RPUSH l a", ":1\r\n");
        assert!(run_line(&mut engine, Protocol::Resp2, "MEMORY USAGE l").starts_with(b":6"));
    }
}
