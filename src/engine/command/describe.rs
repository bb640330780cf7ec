//! What COMMAND tells of a command beyond its row in the table.

use super::options::is_word;
use super::{CommandSpec, Flags, Handler, NodeCommand};
use crate::engine::number::parse_integer;

/// Where the keys are in `argv`, which starts with the name of the command, as COMMAND GETKEYS
/// tells.
pub fn keys_of(spec: &CommandSpec, argv: &[&[u8]]) -> Vec<usize> {
    let spec = argv.get(1).and_then(|name| spec.subcommand(name)).unwrap_or(spec);
    match spec.name {
        "lmpop" | "sintercard" | "zdiff" | "zinter" | "zintercard" | "zmpop" | "zunion" => {
            counted(argv, 1)
        }
        "blmpop" | "bzmpop" | "eval" | "eval_ro" | "evalsha" | "evalsha_ro" | "fcall"
        | "fcall_ro" => counted(argv, 2),
        "zdiffstore" | "zinterstore" | "zunionstore" => {
            let mut positions = counted(argv, 2);
            if !positions.is_empty() {
                positions.insert(0, 1);
            }
            positions
        }
        "georadius" => ranged_and_stored(spec, argv, 6),
        "georadiusbymember" => ranged_and_stored(spec, argv, 5),
        "migrate" => migrated(argv),
        "sort" => sorted(argv),
        "xread" => after_streams(argv, 1),
        // Before that come the word GROUP and two names, which may be any words.
        "xreadgroup" => after_streams(argv, 4),
        // Shard channels are where keys would be.
        _ if spec.flags.contains(Flags::PUBSUB) => Vec::new(),
        _ => ranged(spec, argv),
    }
}

/// The key, or if that is empty all behind KEYS.
fn migrated(argv: &[&[u8]]) -> Vec<usize> {
    let mut at = 6;
    while let Some(word) = argv.get(at) {
        match word {
            word if is_word(word, "AUTH") => at += 1,
            word if is_word(word, "AUTH2") => at += 2,
            word if is_word(word, "KEYS") && argv[3].is_empty() => {
                return (at + 1..argv.len()).collect();
            }
            _ => {}
        }
        at += 1;
    }
    vec![3]
}

fn ranged(spec: &CommandSpec, argv: &[&[u8]]) -> Vec<usize> {
    let keys = spec.keys;
    if keys.first <= 0 || keys.step <= 0 {
        return Vec::new();
    }
    let argc = argv.len() as i64;
    let last = match i64::from(keys.last) {
        last if last < 0 => argc + last,
        last => last,
    };
    (i64::from(keys.first)..=last.min(argc - 1))
        .step_by(keys.step as usize)
        .map(|position| position as usize)
        .collect()
}

/// Keys where the table says, and those that the options STORE and STOREDIST name behind
/// `options_at` words.
fn ranged_and_stored(spec: &CommandSpec, argv: &[&[u8]], options_at: usize) -> Vec<usize> {
    let mut positions = ranged(spec, argv);
    for option in ["STORE", "STOREDIST"] {
        let words = argv.iter().enumerate().skip(options_at);
        let found = words.map(|(at, word)| (at + 1, word)).find(|(_, word)| is_word(word, option));
        positions.extend(found.map(|(at, _)| at).filter(|&at| at < argv.len()));
    }
    positions
}

/// The keys behind their number, which is at `count_at`.
fn counted(argv: &[&[u8]], count_at: usize) -> Vec<usize> {
    let count = argv.get(count_at).and_then(|count| parse_integer(count));
    match count.and_then(|count| usize::try_from(count).ok()) {
        Some(count) if count < argv.len() - count_at => {
            (count_at + 1..count_at + 1 + count).collect()
        }
        _ => Vec::new(),
    }
}

/// Behind the word STREAMS, looked for from `start` on, come keys, then as many ids.
fn after_streams(argv: &[&[u8]], start: usize) -> Vec<usize> {
    let mut rest = argv.iter().skip(start);
    match rest.position(|word| word.eq_ignore_ascii_case(b"STREAMS")) {
        Some(at) => {
            let first = start + at + 1;
            (first..first + (argv.len() - first) / 2).collect()
        }
        None => Vec::new(),
    }
}

/// What is sorted, and what the last STORE names. Words that other options take are passed over.
fn sorted(argv: &[&[u8]]) -> Vec<usize> {
    let (mut at, mut store) = (2, None);
    while let Some(word) = argv.get(at) {
        let is = |option: &str| word.eq_ignore_ascii_case(option.as_bytes());
        if is("STORE") && at + 1 < argv.len() {
            store = Some(at + 1);
        }
        at += match () {
            () if is("LIMIT") => 3,
            () if is("GET") || is("BY") || is("STORE") => 2,
            () => 1,
        };
    }
    std::iter::once(1).chain(store).collect()
}

/// The ACL categories of a command, in the order in which COMMAND INFO tells them.
pub fn categories(spec: &CommandSpec) -> Vec<&'static str> {
    let flags = spec.flags;
    let family = family(spec);
    let is_of_admins =
        matches!(spec.handler, Handler::Node(NodeCommand::Lastsave | NodeCommand::Role));
    let is_admin = flags.contains(Flags::ADMIN) || is_of_admins;
    let is_fast = flags.contains(Flags::FAST);
    let is_sort = ["sort", "sort_ro"].contains(&spec.name);
    let categories = [
        ("@keyspace", family == "@keyspace" && !is_sort),
        ("@read", flags.contains(Flags::READONLY)),
        ("@write", flags.contains(Flags::WRITE)),
        ("@set", family == "@set" || is_sort),
        ("@sortedset", family == "@sortedset" || is_sort),
        ("@list", family == "@list" || is_sort),
        ("@hash", family == "@hash"),
        ("@string", family == "@string"),
        ("@bitmap", family == "@bitmap"),
        ("@hyperloglog", family == "@hyperloglog"),
        ("@geo", family == "@geo"),
        ("@stream", family == "@stream"),
        ("@pubsub", flags.contains(Flags::PUBSUB)),
        ("@admin", is_admin),
        ("@fast", is_fast),
        ("@slow", !is_fast),
        ("@blocking", flags.contains(Flags::BLOCKING)),
        ("@dangerous", is_admin || is_dangerous(spec)),
        ("@connection", family == "@connection"),
        ("@transaction", family == "@transaction"),
        ("@scripting", family == "@scripting"),
    ];
    categories.into_iter().filter(|(_, applies)| *applies).map(|(name, _)| name).collect()
}

/// The category that comes with the group of a command. Containers have none: their subcommands do.
fn family(spec: &CommandSpec) -> &'static str {
    use NodeCommand::{Asking, Command, Readonly, Readwrite, Wait, Waitaof};
    match (spec.handler, spec.docs.group) {
        _ if ["migrate", "restore-asking"].contains(&spec.name) => "@keyspace",
        (Handler::Node(Asking | Command | Readonly | Readwrite | Wait | Waitaof), _) => {
            "@connection"
        }
        _ if !spec.subcommands.is_empty() || is_of_memory(spec) || is_of_acl(spec) => "",
        (Handler::Engine(_), "generic" | "server") => "@keyspace",
        (_, "sorted-set") => "@sortedset",
        (_, "set") => "@set",
        (_, "list") => "@list",
        (_, "hash") => "@hash",
        (_, "string") => "@string",
        (_, "bitmap") => "@bitmap",
        (_, "hyperloglog") => "@hyperloglog",
        (_, "geo") => "@geo",
        (_, "stream") => "@stream",
        (_, "connection") => "@connection",
        (_, "transactions") => "@transaction",
        (_, "scripting") => "@scripting",
        _ => "",
    }
}

/// What looks at memory, and LOLWUT, are of no family.
fn is_of_memory(spec: &CommandSpec) -> bool {
    spec.docs.group == "server" && ["help", "lolwut", "usage"].contains(&spec.name)
}

/// The subcommands of ACL that the engine runs.
fn is_of_acl(spec: &CommandSpec) -> bool {
    spec.docs.group == "server"
        && ["cat", "deluser", "dryrun", "getuser", "list", "setuser", "users"].contains(&spec.name)
}

/// Commands whose cost or effect is out of proportion, beside those for administrators.
fn is_dangerous(spec: &CommandSpec) -> bool {
    match spec.handler {
        Handler::Node(NodeCommand::Info) => true,
        Handler::Node(_) => ["migrate", "restore-asking"].contains(&spec.name),
        Handler::Session(_) => false,
        Handler::Engine(_) => {
            ["flushall", "flushdb", "keys", "restore", "sort", "sort_ro", "swapdb"]
                .contains(&spec.name)
        }
    }
}
