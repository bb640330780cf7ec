//! EVAL and its like, and the cache of scripts.

use super::options::is_word;
use super::{CommandSpec, Context, Docs, Flags, Handler, Keys, container};
use crate::engine::error::CommandError;
use crate::engine::script::{self, Sha};

type Result = std::result::Result<(), CommandError>;

fn eval(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    script::eval(context, arguments, false)
}

fn eval_ro(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    script::eval(context, arguments, true)
}

fn evalsha(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    script::evalsha(context, arguments, false)
}

fn evalsha_ro(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    script::evalsha(context, arguments, true)
}

fn load(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    script::load(context, arguments[0])
}

fn exists(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    context.reply.array(arguments.len());
    for argument in arguments {
        let script = Sha::parse(argument).and_then(|sha| context.scripts.get(&sha));
        context.reply.integer(script.is_some().into());
    }
    Ok(())
}

fn show(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let script = Sha::parse(arguments[0]).and_then(|sha| context.scripts.get(&sha));
    let script = script.ok_or(CommandError::text("NOSCRIPT No matching script."))?;
    context.reply.bulk(&script.source);
    Ok(())
}

/// SYNC and ASYNC are the same here.
fn flush(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    match arguments {
        [] => {}
        [option] if is_word(option, "SYNC") || is_word(option, "ASYNC") => {}
        _ => {
            return Err(CommandError::text("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
        }
    }
    context.scripts.flush();
    context.runtime.clear();
    context.reply.ok();
    Ok(())
}

/// A script is over before anything else is looked at.
pub(super) fn kill(_: &mut Context<'_>, _: &[&[u8]]) -> Result {
    Err(CommandError::text("NOTBUSY No scripts in execution right now."))
}

fn debug(_: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    match ["YES", "SYNC", "NO"].iter().any(|word| is_word(arguments[0], word)) {
        true => Err(CommandError::text("ERR Scripts cannot be debugged on a cluster")),
        false => Err(CommandError::text("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    }
}

fn help(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    const LINES: &[&str] = &[
        "EXISTS <sha1> [<sha1> ...]",
        "    Tells which scripts are in the cache.",
        "FLUSH [ASYNC|SYNC]",
        "    Empties the cache.",
        "KILL",
        "    Ends the script that runs: none does when this is looked at.",
        "LOAD <script>",
        "    Puts a script into the cache without running it.",
        "SHOW <sha1>",
        "    Tells the source of a script in the cache.",
        "HELP",
        "    Prints this help.",
    ];
    container::help(context.reply, "SCRIPT", LINES);
    Ok(())
}

/// SCRIPT by itself never runs: the table asks for a subcommand.
fn script(_: &mut Context<'_>, _: &[&[u8]]) -> Result {
    Err(CommandError::Arity("script".into()))
}

/// Of what runs scripts and functions.
const RUN: Flags = Flags::of(&[
    Flags::NOSCRIPT,
    Flags::STALE,
    Flags::SKIP_MONITOR,
    Flags::NO_MANDATORY_KEYS,
    Flags::MOVABLE_KEYS,
]);
pub(super) const RUN_LOGGED: Flags = RUN.union(Flags::LOGGED);
pub(super) const RUN_RO: Flags = RUN.union(Flags::READONLY);
const TELL: Flags = Flags::NOSCRIPT;
const CHANGE: Flags = Flags::NOSCRIPT.union(Flags::LOGGED);
const LOAD: Flags = CHANGE.union(Flags::STALE);
const KILL: Flags = Flags::NOSCRIPT.union(Flags::ALLOW_BUSY);
const HELP: Flags = Flags::LOADING.union(Flags::STALE);

const DEPENDS: &str = "Depends on the script that is executed.";

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("scripting", since, complexity, summary)
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("eval", -3, RUN_LOGGED, Keys::NONE, eval,
        docs("2.6.0", DEPENDS, "Runs a script.")),
    CommandSpec::engine("eval_ro", -3, RUN_RO, Keys::NONE, eval_ro,
        docs("7.0.0", DEPENDS, "Runs a script that only reads.")),
    CommandSpec::engine("evalsha", -3, RUN_LOGGED, Keys::NONE, evalsha,
        docs("2.6.0", DEPENDS, "Runs a script of the cache.")),
    CommandSpec::engine("evalsha_ro", -3, RUN_RO, Keys::NONE, evalsha_ro,
        docs("7.0.0", DEPENDS, "Runs a script of the cache that only reads.")),
    CommandSpec {
        name: "script", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Engine(script),
        docs: docs("2.6.0", "Depends on the subcommand.", "Tells of the cache of scripts or changes it."),
        subcommands: SUBCOMMANDS,
    },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("debug", 3, TELL, Keys::NONE, debug,
        docs("3.2.0", "O(1)", "Would debug scripts: they cannot be here.")),
    CommandSpec::engine("exists", -3, TELL, Keys::NONE, exists,
        docs("2.6.0", "O(N log M) where N is the number of digests, and M that of scripts.",
            "Tells which scripts are in the cache.")),
    CommandSpec::engine("flush", -2, CHANGE, Keys::NONE, flush,
        docs("2.6.0", "O(N) where N is the number of scripts.", "Empties the cache of scripts.")),
    CommandSpec::engine("help", 2, HELP, Keys::NONE, help,
        docs("5.0.0", "O(1)", "Tells the subcommands.")),
    CommandSpec::engine("kill", 2, KILL, Keys::NONE, kill,
        docs("2.6.0", "O(1)", "Ends the script that runs.")),
    CommandSpec::engine("load", 3, LOAD, Keys::NONE, load,
        docs("2.6.0", "O(N) where N is the length of the script.", "Puts a script into the cache.")),
    CommandSpec::engine("show", 3, TELL, Keys::NONE, show,
        docs("8.0.0", "O(1)", "Tells the source of a script in the cache.")),
];

#[cfg(test)]
mod tests;
