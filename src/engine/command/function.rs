//! FCALL and its like, and the libraries of functions.

use super::options::is_word;
use super::script::{RUN_LOGGED, RUN_RO};
use super::{CommandSpec, Context, Docs, Flags, Handler, Keys, container};
use crate::engine::error::CommandError;
use crate::engine::script::{self, FLAG_NAMES, Library, RestorePolicy};
use crate::glob::glob_match_nocase;

type Result = std::result::Result<(), CommandError>;

fn fcall(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    script::fcall(context, arguments, false)
}

fn fcall_ro(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    script::fcall(context, arguments, true)
}

/// An error that tells a word of the client.
fn refused(what: &str, word: &[u8]) -> CommandError {
    CommandError::Text(format!("ERR {what}{}", String::from_utf8_lossy(word)).into())
}

fn load(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (code, options) = arguments.split_last().ok_or(CommandError::Syntax)?;
    if let Some(option) = options.iter().find(|option| !is_word(option, "REPLACE")) {
        return Err(refused("Unknown option given: ", option));
    }
    script::load_library(context, code, !options.is_empty())
}

fn delete(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    if !context.scripts.libraries.remove(arguments[0]) {
        return Err(CommandError::text("ERR Library not found"));
    }
    context.reply.ok();
    Ok(())
}

/// SYNC and ASYNC are the same here.
fn flush(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    match arguments {
        [] => {}
        [option] if is_word(option, "SYNC") || is_word(option, "ASYNC") => {}
        [_] => {
            return Err(CommandError::text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
        }
        _ => return Err(container::unknown_options("FUNCTION", "FLUSH")),
    }
    context.scripts.libraries = script::Libraries::default();
    context.reply.ok();
    Ok(())
}

fn list(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (mut pattern, mut with_code) = (None, false);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if !with_code && is_word(word, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && is_word(word, "LIBRARYNAME") {
            let missing = CommandError::text("ERR library name argument was not given");
            pattern = Some(*words.next().ok_or(missing)?);
        } else {
            return Err(refused("Unknown argument ", word));
        }
    }
    let fits = |library: &&Library| {
        pattern.is_none_or(|pattern| glob_match_nocase(pattern, library.name.as_bytes()))
    };
    let libraries = &context.scripts.libraries;
    context.reply.array(libraries.iter().filter(fits).count());
    for library in libraries.iter().filter(fits) {
        let reply = &mut *context.reply;
        reply.map(if with_code { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(library.name.as_bytes());
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for function in &library.functions {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(function.name.as_bytes());
            reply.bulk(b"description");
            match &function.description {
                Some(description) => reply.bulk(description),
                None => reply.null(),
            }
            reply.bulk(b"flags");
            let flags = FLAG_NAMES.iter().filter(|(_, flag)| function.flags.contains(*flag));
            reply.set(flags.clone().count());
            flags.for_each(|(name, _)| reply.simple(name));
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    Ok(())
}

/// A function is over before anything else is looked at.
fn stats(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    let libraries = &context.scripts.libraries;
    let reply = &mut *context.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    reply.null();
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.count(libraries.len());
    reply.bulk(b"functions_count");
    reply.count(libraries.function_count());
    Ok(())
}

fn dump(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    context.reply.bulk(&script::payload_of(&context.scripts.libraries));
    Ok(())
}

fn restore(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let policy = match arguments {
        [_] => RestorePolicy::Append,
        [_, word] if is_word(word, "APPEND") => RestorePolicy::Append,
        [_, word] if is_word(word, "REPLACE") => RestorePolicy::Replace,
        [_, word] if is_word(word, "FLUSH") => RestorePolicy::Flush,
        [_, _] => {
            return Err(CommandError::text(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
        _ => return Err(container::unknown_options("FUNCTION", "RESTORE")),
    };
    script::restore(context, arguments[0], policy)
}

fn help(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    const LINES: &[&str] = &[
        "DELETE <library>",
        "    Removes a library with its functions.",
        "DUMP",
        "    Tells all libraries in the form that RESTORE takes.",
        "FLUSH [ASYNC|SYNC]",
        "    Removes all libraries.",
        "KILL",
        "    Ends the function that runs: none does when this is looked at.",
        "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
        "    Tells the libraries, with their functions, and their code if it is asked for.",
        "LOAD [REPLACE] <code>",
        "    Takes in a library, in the place of that of its name if that is asked for.",
        "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
        "    Takes in the libraries of a payload: in the place of all, beside the others, or in",
        "    the place of those of the same names. APPEND is the default. All of them or none.",
        "STATS",
        "    Tells how many libraries and functions there are.",
        "HELP",
        "    Prints this help.",
        "A library is run anew for each call: its local variables last no longer.",
    ];
    container::help(context.reply, "FUNCTION", LINES);
    Ok(())
}

/// FUNCTION by itself never runs: the table asks for a subcommand.
fn function(_: &mut Context<'_>, _: &[&[u8]]) -> Result {
    Err(CommandError::Arity("function".into()))
}

const TELL: Flags = Flags::NOSCRIPT;
const TELL_BUSY: Flags = Flags::NOSCRIPT.union(Flags::ALLOW_BUSY);
const CHANGE: Flags = Flags::NOSCRIPT.union(Flags::WRITE);
const ADD: Flags = CHANGE.union(Flags::DENYOOM);
const HELP: Flags = Flags::LOADING.union(Flags::STALE);

const DEPENDS: &str = "Depends on the function that is executed.";

const fn docs(complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("scripting", "7.0.0", complexity, summary)
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("fcall", -3, RUN_LOGGED, Keys::NONE, fcall,
        docs(DEPENDS, "Calls a function.")),
    CommandSpec::engine("fcall_ro", -3, RUN_RO, Keys::NONE, fcall_ro,
        docs(DEPENDS, "Calls a function that only reads.")),
    CommandSpec {
        name: "function", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Engine(function),
        docs: docs("Depends on the subcommand.", "Tells of the libraries of functions or changes them."),
        subcommands: SUBCOMMANDS,
    },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("delete", 3, CHANGE, Keys::NONE, delete,
        docs("O(N) where N is the number of functions.", "Removes a library.")),
    CommandSpec::engine("dump", 2, TELL, Keys::NONE, dump,
        docs("O(N) where N is the number of functions.", "Tells all libraries as one payload.")),
    CommandSpec::engine("flush", -2, CHANGE, Keys::NONE, flush,
        docs("O(N) where N is the number of functions.", "Removes all libraries.")),
    CommandSpec::engine("help", 2, HELP, Keys::NONE, help,
        docs("O(1)", "Tells the subcommands.")),
    CommandSpec::engine("kill", 2, TELL_BUSY, Keys::NONE, super::script::kill,
        docs("O(1)", "Ends the function that runs.")),
    CommandSpec::engine("list", -2, TELL, Keys::NONE, list,
        docs("O(N) where N is the number of functions.", "Tells the libraries.")),
    CommandSpec::engine("load", -3, ADD, Keys::NONE, load,
        docs("O(1), without the time that the library takes.", "Takes in a library.")),
    CommandSpec::engine("restore", -3, ADD, Keys::NONE, restore,
        docs("O(N) where N is the number of functions.", "Takes in the libraries of a payload.")),
    CommandSpec::engine("stats", 2, TELL_BUSY, Keys::NONE, stats,
        docs("O(1)", "Tells how many libraries and functions there are.")),
];

#[cfg(test)]
mod tests;
