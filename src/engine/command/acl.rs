//! ACL: the users of the cluster. What changes them goes through the log, and what tells of them is
//! a read like any other; the node answers what concerns its own clients.

use std::sync::Arc;

use super::{
    CommandSpec, Context, Docs, Flags, Handler, Keys, NodeCommand, container, lookup, resolve, spec,
};
use crate::engine::acl::{
    Acl, AclError, CATEGORIES, Seed, Selector, category, names_of_category, parse_line,
};
use crate::engine::error::CommandError;
use crate::engine::reply::Reply;

type Result = std::result::Result<(), CommandError>;

fn failure(text: String) -> CommandError {
    CommandError::Text(text.into())
}

fn refused(error: &AclError) -> CommandError {
    failure(format!("ERR {error}"))
}

fn setuser(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (name, rules) = arguments.split_first().expect("invariant: the arity is checked");
    Arc::make_mut(context.acl).set_user(name, rules).map_err(|error| refused(&error))?;
    context.reply.ok();
    Ok(())
}

fn deluser(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let acl = Arc::make_mut(context.acl);
    let count = acl.remove_users(arguments).map_err(|error| refused(&error))?;
    context.reply.count(count);
    Ok(())
}

fn getuser(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let Context { acl, reply, .. } = context;
    let Some(user) = acl.get(arguments[0]) else {
        reply.null();
        return Ok(());
    };
    reply.map(6);
    reply.bulk(b"flags");
    let flags = user.flags();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    user.passwords().iter().for_each(|hash| reply.bulk(hash));
    tell_selector(reply, user.root());
    let selectors = user.further_selectors();
    reply.bulk(b"selectors");
    reply.array(selectors.len());
    for selector in selectors {
        reply.map(3);
        tell_selector(reply, selector);
    }
    Ok(())
}

fn tell_selector(reply: &mut Reply, selector: &Selector) {
    let texts = [
        ("commands", selector.commands_text()),
        ("keys", selector.keys_text()),
        ("channels", selector.channels_text()),
    ];
    for (name, text) in texts {
        reply.bulk(name.as_bytes());
        reply.bulk(&text);
    }
}

fn list(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    let Context { acl, reply, .. } = context;
    reply.array(acl.users().count());
    acl.users().for_each(|user| reply.bulk(&user.line()));
    Ok(())
}

fn users(context: &mut Context<'_>, _: &[&[u8]]) -> Result {
    let Context { acl, reply, .. } = context;
    reply.array(acl.users().count());
    acl.users().for_each(|user| reply.bulk(&user.name));
    Ok(())
}

fn cat(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let names = match arguments {
        [] => CATEGORIES.iter().map(|name| (*name).to_owned()).collect(),
        [name] => {
            let found = category(name).ok_or_else(|| {
                failure(format!("ERR Unknown category '{}'", String::from_utf8_lossy(name)))
            })?;
            names_of_category(found)
        }
        _ => {
            return Err(container::unknown_options("ACL", "cat"));
        }
    };
    context.reply.array(names.len());
    names.iter().for_each(|name| context.reply.bulk(name.as_bytes()));
    Ok(())
}

fn dryrun(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (name, argv) = (arguments[0], &arguments[1..]);
    let shown = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    let user = context
        .acl
        .get(name)
        .ok_or_else(|| failure(format!("ERR User '{}' not found", shown(name))))?;
    let unknown = || failure(format!("ERR Command '{}' not found", shown(argv[0])));
    let id = lookup(argv[0]).ok_or_else(unknown)?;
    match resolve(spec(id), &argv[1..]) {
        Ok(_) => {}
        Err(error @ CommandError::Arity(_)) => return Err(error),
        Err(_) => return Err(unknown()),
    }
    match user.check(id, argv) {
        Ok(()) => context.reply.ok(),
        Err(denial) => context.reply.bulk(denial.full_text(name).as_bytes()),
    }
    Ok(())
}

/// RAFT.ACL: what the nodes themselves have to say on users.
fn raft_acl(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (what, rest) = (arguments[0], &arguments[1..]);
    let is = |word: &str| what.eq_ignore_ascii_case(word.as_bytes());
    let is_allchannels = |word: &[u8]| word.eq_ignore_ascii_case(b"allchannels");
    match rest {
        // CONFIG SET
        settings if is("set") && settings.len() % 2 == 0 => {
            let acl = Arc::make_mut(context.acl);
            for setting in settings.chunks_exact(2) {
                match setting[0].eq_ignore_ascii_case(b"requirepass") {
                    true => acl.set_requirepass(setting[1]),
                    false => acl.set_all_channels(is_allchannels(setting[1])),
                }
            }
        }
        // ACL LOAD
        lines if is("load") => {
            let users = user_lines(lines)?;
            let acl = Arc::make_mut(context.acl);
            acl.replace_users(&users).map_err(|error| refused(&error))?;
        }
        // The first node with users of its own brings them along.
        [password, rule, lines @ ..] if is("seed") => {
            if !context.acl.is_seeded() {
                let seed = Seed {
                    requirepass: password.to_vec(),
                    all_channels: is_allchannels(rule),
                    users: user_lines(lines)?,
                };
                *context.acl = Arc::new(Acl::seed(&seed).map_err(|error| refused(&error))?);
            }
        }
        _ => return Err(CommandError::Syntax),
    }
    context.reply.ok();
    Ok(())
}

type Lines = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

fn user_lines(lines: &[&[u8]]) -> std::result::Result<Lines, CommandError> {
    let parsed = lines.iter().map(|line| parse_line(line).map_err(|error| refused(&error)));
    parsed.filter_map(std::result::Result::transpose).collect()
}

const TELL: Flags = Flags::of(&[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE]);
const ADMIN: Flags = TELL.union(Flags::ADMIN);
const CHANGE: Flags = ADMIN.union(Flags::LOGGED);

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("server", since, complexity, summary)
}

const DEPENDS: &str = "Depends on the subcommand.";
const ALL_USERS: &str = "O(N) where N is the number of users.";
const ALL_RULES: &str = "O(N) where N is the number of rules.";

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "acl", arity: -2, flags: Flags::empty(), keys: Keys::NONE,
        handler: Handler::Node(NodeCommand::Acl),
        docs: docs("6.0.0", DEPENDS, "Tells or changes who may do what."),
        subcommands: ACL,
    },
    CommandSpec::engine("raft.acl", -3, CHANGE, Keys::NONE, raft_acl,
        Docs::new("cluster", "1.0.0", ALL_USERS, "Takes over users or a password of a node.")),
];

#[rustfmt::skip]
static ACL: &[CommandSpec] = &[
    CommandSpec::engine("cat", -2, TELL, Keys::NONE, cat,
        docs("6.0.0", "O(1)", "Tells the categories, or the commands of one.")),
    CommandSpec::engine("deluser", -3, CHANGE, Keys::NONE, deluser,
        docs("6.0.0", "O(1) for every user.", "Removes users and closes their connections.")),
    CommandSpec::engine("dryrun", -4, ADMIN, Keys::NONE, dryrun,
        docs("7.0.0", "O(1)", "Tells whether a user may run a command.")),
    CommandSpec::node("genpass", -2, TELL, NodeCommand::Acl,
        docs("6.0.0", "O(1)", "Makes up a password.")),
    CommandSpec::engine("getuser", 3, ADMIN, Keys::NONE, getuser,
        docs("6.0.0", ALL_RULES, "Tells what a user may do.")),
    CommandSpec::node("help", 2, Flags::of(&[Flags::LOADING, Flags::STALE]), NodeCommand::Acl,
        docs("6.0.0", "O(1)", "Tells the subcommands.")),
    CommandSpec::engine("list", 2, ADMIN, Keys::NONE, list,
        docs("6.0.0", ALL_USERS, "Tells all users in the form of an ACL file.")),
    CommandSpec::node("load", 2, ADMIN, NodeCommand::Acl,
        docs("6.0.0", ALL_USERS, "Takes the users from the ACL file.")),
    CommandSpec::node("log", -2, ADMIN, NodeCommand::Acl,
        docs("6.0.0", "O(N) where N is the number of entries shown.", "Tells what was denied.")),
    CommandSpec::node("save", 2, ADMIN, NodeCommand::Acl,
        docs("6.0.0", ALL_USERS, "Tells that no ACL file is written.")),
    CommandSpec::engine("setuser", -3, CHANGE, Keys::NONE, setuser,
        docs("6.0.0", ALL_RULES, "Makes a user or changes one.")),
    CommandSpec::engine("users", 2, ADMIN, Keys::NONE, users,
        docs("6.0.0", ALL_USERS, "Tells the names of all users.")),
    CommandSpec::node("whoami", 2, TELL, NodeCommand::Acl,
        docs("6.0.0", "O(1)", "Tells which user the client is.")),
];

#[cfg(test)]
mod tests;
