//! What commands with subcommands answer alike, whoever runs them.

use crate::engine::error::CommandError;
use crate::engine::reply::Reply;

/// The reply to a HELP subcommand: `lines` tell of the subcommands.
pub fn help(reply: &mut Reply, container: &str, lines: &[&str]) {
    reply.array(lines.len() + 1);
    reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().for_each(|line| reply.simple(line));
}

/// A subcommand that has too many words, or others than it knows.
pub fn unknown_options(container: &str, subcommand: &str) -> CommandError {
    let text = format!(
        "ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try {container} \
         HELP."
    );
    CommandError::Text(text.into())
}
