//! Commands that Redis has and that have no meaning here: each answers an error that says why, or
//! what to use instead. What of them can be answered truthfully is.

use super::{Arguments, NodeView, Session, help, subcommand, unknown_subcommand};
use crate::engine::command::NodeCommand;
use crate::engine::error::CommandError;
use crate::engine::reply::Reply;

/// Why a command is refused. Precondition: it is one of [`NodeCommand::Unsupported`].
pub fn refusal(words: Arguments<'_, '_>) -> CommandError {
    let name = String::from_utf8_lossy(words[0]).to_lowercase();
    CommandError::text(match name.as_str() {
        "save" | "bgsave" => "ERR nothing can be saved: the data lives in the memory of the nodes",
        "bgrewriteaof" => "ERR there is no append only file: nothing is written to disk",
        "sync" | "psync" | "replconf" => {
            "ERR a node feeds no replicas of Redis: members join by RAFT.CLUSTER JOIN"
        }
        "restore-asking" => "ERR slots do not move between nodes: use RESTORE",
        "pfdebug" | "pfselftest" => "ERR the internals of a HyperLogLog cannot be reached",
        _ => "ERR this command is not supported",
    })
}

/// LASTSAVE: nothing was ever saved; since the start of the node the data is what it is.
pub fn last_save(view: &NodeView<'_>, reply: &mut Reply) {
    reply.integer((view.shared.started_unix_ms / 1000) as i64);
}

/// MODULE
pub fn module(
    words: Arguments<'_, '_>,
    session: &mut Session,
    reply: &mut Reply,
) -> Result<(), CommandError> {
    match subcommand(NodeCommand::Module, words, session)?.0 {
        "list" => reply.array(0),
        "help" => help(reply, "MODULE", HELP),
        "load" | "loadex" | "unload" => {
            return Err(CommandError::text("ERR modules cannot be loaded here"));
        }
        _ => return Err(unknown_subcommand(words)),
    }
    Ok(())
}

const HELP: &[&str] = &[
    "LIST",
    "    Tells the modules that are loaded: none ever is.",
    "HELP",
    "    Prints this help.",
];
