//! COMMAND: what the table knows of all commands, as clients and proxies ask for it.

use super::{Arguments, Session, docs, help, is_word, subcommand, unknown_subcommand};
use crate::engine::command::table::{self, resolve};
use crate::engine::command::{
    Begin, CommandSpec, Find, Flags, Keys, NodeCommand, categories, command_count, key_accesses,
    key_specs, lookup, spec,
};
use crate::engine::error::CommandError;
use crate::engine::reply::Reply;
use crate::glob::glob_match_nocase;

pub fn run(
    words: Arguments<'_, '_>,
    session: &mut Session,
    reply: &mut Reply,
) -> Result<(), CommandError> {
    let (name, arguments) = subcommand(NodeCommand::Command, words, session)?;
    match name {
        "command" => info_of_all(reply),
        "count" => reply.count(command_count()),
        "docs" => docs::docs(arguments, reply),
        "getkeys" => get_keys(arguments, false, reply)?,
        "getkeysandflags" => get_keys(arguments, true, reply)?,
        "help" => help(reply, "COMMAND", HELP),
        "info" if arguments.is_empty() => info_of_all(reply),
        "info" => {
            reply.array(arguments.len());
            for name in arguments {
                match find(name) {
                    Some(found) => info(&found, reply),
                    None => reply.null_array(),
                }
            }
        }
        "list" => list(arguments, reply)?,
        _ => return Err(unknown_subcommand(words)),
    }
    Ok(())
}

/// A command, or a subcommand with its container.
pub struct Found {
    pub spec: &'static CommandSpec,
    pub container: Option<&'static CommandSpec>,
}

impl Found {
    pub fn full_name(&self) -> String {
        match self.container {
            Some(container) => format!("{}|{}", container.name, self.spec.name),
            None => self.spec.name.to_owned(),
        }
    }
}

/// Finds `name` or `container|name`.
pub fn find(name: &[u8]) -> Option<Found> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let command = spec(lookup(parts.next()?)?);
    match parts.next() {
        None => Some(Found { spec: command, container: None }),
        Some(name) => Some(Found { spec: command.subcommand(name)?, container: Some(command) }),
    }
}

fn info_of_all(reply: &mut Reply) {
    reply.array(command_count());
    for spec in table::all() {
        info(&Found { spec, container: None }, reply);
    }
}

fn info(found: &Found, reply: &mut Reply) {
    let spec = found.spec;
    let name = found.full_name();
    reply.array(10);
    reply.bulk(name.as_bytes());
    reply.integer(spec.arity.into());
    status_set(reply, &flag_names(spec.flags));
    reply.integer(spec.keys.first.into());
    reply.integer(spec.keys.last.into());
    reply.integer(spec.keys.step.into());
    status_set(reply, &categories(spec));
    let tips = tips(&name);
    reply.set(tips.len());
    for tip in tips {
        reply.bulk(tip.as_bytes());
    }
    write_key_specs(found, reply);
    if spec.shown_subcommands().is_empty() {
        reply.set(0);
    } else {
        reply.array(spec.shown_subcommands().len());
    }
    for subcommand in spec.shown_subcommands() {
        info(&Found { spec: subcommand, container: Some(spec) }, reply);
    }
}

fn status_set(reply: &mut Reply, names: &[&str]) {
    reply.set(names.len());
    for name in names {
        reply.simple(name);
    }
}

/// In the order in which Redis lists them.
fn flag_names(flags: Flags) -> Vec<&'static str> {
    const NAMES: &[(Flags, &str)] = &[
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::NOSCRIPT, "noscript"),
        (Flags::BLOCKING, "blocking"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::SKIP_MONITOR, "skip_monitor"),
        (Flags::SKIP_SLOWLOG, "skip_slowlog"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::MAY_REPLICATE, "may_replicate"),
        (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::MOVABLE_KEYS, "movablekeys"),
        (Flags::ALLOW_BUSY, "allow_busy"),
        (Flags::TOUCHES_ARBITRARY_KEYS, "touches_arbitrary_keys"),
        (Flags::NO_ASYNC_LOADING, "no_async_loading"),
    ];
    NAMES.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect()
}

/// What proxies and cluster clients are told beyond the flags: commands, and their tips.
#[rustfmt::skip]
const TIPS: &[(&[&str], &[&str])] = &[
    (&["dbsize"], &["request_policy:all_shards", "response_policy:agg_sum"]),
    (&["del", "exists", "touch", "unlink"], &["request_policy:multi_shard", "response_policy:agg_sum"]),
    (&["flushall", "flushdb"], &["request_policy:all_shards", "response_policy:all_succeeded"]),
    (&["keys"], &["request_policy:all_shards", "nondeterministic_output_order"]),
    (&["mget"], &["request_policy:multi_shard"]),
    (&["mset"], &["request_policy:multi_shard", "response_policy:all_succeeded"]),
    (&["msetnx"], &["request_policy:multi_shard", "response_policy:agg_min"]),
    (&[
        "memory|doctor", "memory|malloc-stats", "memory|stats"
    ], &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    (&["memory|purge"], &["request_policy:all_shards", "response_policy:all_succeeded"]),
    (&["ping"], &["request_policy:all_shards", "response_policy:all_succeeded"]),
    (&["randomkey"], &["request_policy:all_shards", "nondeterministic_output"]),
    (&["scan"], &["nondeterministic_output", "request_policy:special", "response_policy:special"]),
    (&["wait"], &["request_policy:all_shards", "response_policy:agg_min"]),
    (&["info"], &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    (&[
        "latency|doctor", "latency|graph", "latency|histogram", "latency|history",
        "latency|latest"
    ], &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
    (&["latency|reset"], &["request_policy:all_nodes", "response_policy:agg_sum"]),
    (&["slowlog|get", "commandlog|get"], &["request_policy:all_nodes", "nondeterministic_output"]),
    (&["slowlog|len", "commandlog|len"], &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
    (&[
        "slowlog|reset", "commandlog|reset", "client|setinfo", "client|setname",
        "config|resetstat", "config|set"
    ], &["request_policy:all_nodes", "response_policy:all_succeeded"]),
    (&[
        "dump", "object|encoding", "object|freq", "object|idletime", "object|refcount",
        "hrandfield", "spop", "srandmember", "time", "ttl", "pttl", "xadd", "xautoclaim",
        "xclaim", "xinfo|consumers", "xpending", "xtrim", "zrandmember", "client|info",
        "client|list", "cluster|info", "cluster|nodes", "cluster|shards", "cluster|bumpepoch",
        "cluster|count-failure-reports", "cluster|getkeysinslot", "cluster|links",
        "cluster|replicas", "cluster|slaves", "cluster|slot-stats", "hscan", "lastsave",
        "sscan", "zscan", "cluster|slots", "raft.info", "role"
    ], &["nondeterministic_output"]),
    (&[
        "hgetall", "hkeys", "hvals", "sdiff", "sinter", "smembers", "sunion", "command",
        "command|docs", "command|info", "command|list", "module|list"
    ], &["nondeterministic_output_order"]),
];

fn tips(name: &str) -> &'static [&'static str] {
    TIPS.iter().find(|(names, _)| names.contains(&name)).map_or(&[], |(_, tips)| tips)
}

/// Of Redis 7.0's form.
fn write_key_specs(found: &Found, reply: &mut Reply) {
    let specs = key_specs(found.spec, found.container);
    reply.set(specs.len());
    for spec in specs {
        reply.map(3);
        reply.bulk(b"flags");
        let mut flags: Vec<&str> = match spec.access {
            Some(access) => access.names().collect(),
            None => vec!["not_key"],
        };
        flags.extend(spec.is_incomplete.then_some("incomplete"));
        flags.extend(spec.is_variable.then_some("variable_flags"));
        status_set(reply, &flags);
        reply.bulk(b"begin_search");
        match spec.begin {
            Begin::Index(index) => search(reply, "index", &[("index", index)]),
            Begin::Keyword(keyword, start) => {
                reply.map(2);
                reply.bulk(b"type");
                reply.bulk(b"keyword");
                reply.bulk(b"spec");
                reply.map(2);
                reply.bulk(b"keyword");
                reply.bulk(keyword.as_bytes());
                reply.bulk(b"startfrom");
                reply.integer(start.into());
            }
            Begin::Unknown => search(reply, "unknown", &[]),
        }
        reply.bulk(b"find_keys");
        match spec.find {
            Find::Range { last, step, limit } => {
                search(reply, "range", &[("lastkey", last), ("keystep", step), ("limit", limit)]);
            }
            Find::Number => {
                search(reply, "keynum", &[("keynumidx", 0), ("firstkey", 1), ("keystep", 1)]);
            }
            Find::Unknown => search(reply, "unknown", &[]),
        }
    }
}

fn search(reply: &mut Reply, kind: &str, parameters: &[(&str, i16)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(parameters.len());
    for (name, value) in parameters {
        reply.bulk(name.as_bytes());
        reply.integer((*value).into());
    }
}

/// COMMAND GETKEYS and, with what is done with each, COMMAND GETKEYSANDFLAGS.
fn get_keys(
    argv: Arguments<'_, '_>,
    with_flags: bool,
    reply: &mut Reply,
) -> Result<(), CommandError> {
    let Some(command) = lookup(argv[0]).map(spec) else {
        return Err(CommandError::text("ERR Invalid command specified"));
    };
    let no_keys = || Err(CommandError::text("ERR The command has no key arguments"));
    let has_keys = |spec: &CommandSpec| {
        // Where the keys of others are, Pub/Sub has its shard channels.
        let has_places = spec.keys != Keys::NONE && !spec.flags.contains(Flags::PUBSUB);
        has_places || spec.flags.contains(Flags::MOVABLE_KEYS)
    };
    let resolved = match resolve(command, &argv[1..]) {
        Ok((resolved, _)) => resolved,
        Err(CommandError::Arity(_)) => {
            let subcommand = argv.get(1).and_then(|name| command.subcommand(name));
            return match has_keys(subcommand.unwrap_or(command)) {
                true => {
                    Err(CommandError::text("ERR Invalid number of arguments specified for command"))
                }
                false => no_keys(),
            };
        }
        Err(_) => return Err(CommandError::text("ERR Invalid command specified")),
    };
    if !has_keys(resolved) {
        return no_keys();
    }
    let found = key_accesses(command, argv);
    if found.is_empty() && !resolved.flags.contains(Flags::NO_MANDATORY_KEYS) {
        return Err(CommandError::text("ERR Invalid arguments specified for command"));
    }
    reply.array(found.len());
    for (position, access) in found {
        if with_flags {
            reply.array(2);
        }
        reply.bulk(argv[position]);
        if with_flags {
            status_set(reply, &access.names().collect::<Vec<_>>());
        }
    }
    Ok(())
}

fn list(arguments: Arguments<'_, '_>, reply: &mut Reply) -> Result<(), CommandError> {
    let names: Vec<String> = match arguments {
        [] => all_names(|_, _| true),
        [filterby, kind, value] if is_word(filterby, "FILTERBY") => {
            if is_word(kind, "MODULE") {
                Vec::new()
            } else if is_word(kind, "ACLCAT") {
                let wanted = format!("@{}", String::from_utf8_lossy(value).to_lowercase());
                all_names(|_, spec| categories(spec).contains(&wanted.as_str()))
            } else if is_word(kind, "PATTERN") {
                all_names(|name, _| glob_match_nocase(value, name.as_bytes()))
            } else {
                return Err(CommandError::Syntax);
            }
        }
        _ => return Err(CommandError::Syntax),
    };
    reply.array(names.len());
    for name in names {
        reply.bulk(name.as_bytes());
    }
    Ok(())
}

/// The full names of the commands and subcommands that `fits` holds for.
fn all_names(fits: impl Fn(&str, &CommandSpec) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    for command in table::all() {
        let container = Some(command);
        let subcommands = command.shown_subcommands().iter().map(|spec| Found { spec, container });
        for found in std::iter::once(Found { spec: command, container: None }).chain(subcommands) {
            let name = found.full_name();
            if fits(&name, found.spec) {
                names.push(name);
            }
        }
    }
    names
}

const HELP: &[&str] = &[
    "(no subcommand)",
    "    Tells what there is to know of every command.",
    "COUNT",
    "    Tells how many commands there are.",
    "DOCS [<command> ...]",
    "    Tells what commands are for: all of them, or those that are named.",
    "GETKEYS <command> [<arg> ...]",
    "    Tells which of the words are keys.",
    "GETKEYSANDFLAGS <command> [<arg> ...]",
    "    Tells the keys, and what is done with each.",
    "INFO [<command> ...]",
    "    Tells arity, flags and key positions: of all commands, or of those that are named.",
    "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
    "    Lists the names of commands.",
    "HELP",
    "    Prints this help.",
];
