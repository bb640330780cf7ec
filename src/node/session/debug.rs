//! DEBUG, as far as the node answers it alone, and whether it may be used at all.

use std::thread;
use std::time::Duration;

use super::{
    Arguments, NodeView, Outcome, Session, excerpt, failure, help, is_word, subcommand,
    unknown_subcommand,
};
use crate::engine::command::NodeCommand;
use crate::engine::error::CommandError;
use crate::engine::reply::{Protocol, Reply};

/// The longest DEBUG SLEEP: a node that stands still for longer is better stopped.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// From this size on Redis refuses to hold an element packed.
const PACKED_BYTES_MAX: u64 = 4 << 30;

/// Why a client may not use DEBUG, if so.
pub fn refusal(session: &Session, view: &NodeView<'_>) -> Option<CommandError> {
    let is_allowed = match view.settings.get("enable-debug-command").as_str() {
        "yes" => true,
        "local" => session.peer.ip().is_loopback(),
        _ => false,
    };
    (!is_allowed).then(|| {
        CommandError::text(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        )
    })
}

/// A subcommand that is not the engine's.
pub fn run(
    words: Arguments<'_, '_>,
    session: &mut Session,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let (name, arguments) = subcommand(NodeCommand::Debug, words, session)?;
    match (name, arguments) {
        ("error", [text]) => reply.error_text(&String::from_utf8_lossy(text)),
        ("help", _) => help(reply, "DEBUG", HELP),
        ("log", [text]) => {
            log::warn!("DEBUG LOG: {}", excerpt(text, text.len()).escape_debug());
            reply.ok();
        }
        // There are no files, no timer and no such lists: nothing would differ.
        ("loadaof" | "pause-cron" | "reload", _) => reply.ok(),
        ("protocol", [kind]) => protocol(kind, reply)?,
        ("quicklist-packed-threshold", [size]) => {
            check_size(size)?;
            reply.ok();
        }
        ("sleep", [seconds]) => {
            thread::sleep(sleep_time(seconds));
            reply.ok();
        }
        _ => return Err(unknown_subcommand(words)),
    }
    Ok(Outcome::Replied)
}

/// What is no number is no time at all, as in Redis.
fn sleep_time(seconds: &[u8]) -> Duration {
    let seconds = std::str::from_utf8(seconds).ok().and_then(|text| text.parse::<f64>().ok());
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.unwrap_or(Duration::ZERO).min(SLEEP_MAX)
}

fn check_size(size: &[u8]) -> Result<(), CommandError> {
    let text = std::str::from_utf8(size).unwrap_or_default().to_lowercase();
    let units = [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10), ("b", 1), ("", 1u64)];
    let found = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)));
    let size = found.and_then(|(digits, bytes)| digits.parse::<u64>().ok()?.checked_mul(*bytes));
    if size.is_some_and(|size| (0..PACKED_BYTES_MAX).contains(&size)) {
        return Ok(());
    }
    Err(CommandError::text(
        "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
    ))
}

/// DEBUG PROTOCOL type: the values that test suites of clients expect.
fn protocol(kind: &[u8], reply: &mut Reply) -> Result<(), CommandError> {
    let is = |word: &str| is_word(kind, word);
    let is_resp3 = reply.protocol == Protocol::Resp3;
    match () {
        () if is("string") => reply.bulk(b"Hello World"),
        () if is("integer") => reply.integer(12345),
        () if is("double") => reply.double_text(b"3.141"),
        () if is("null") => reply.null(),
        () if is("array") => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        () if is("set") => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        () if is("map") => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        () if is("attrib") => {
            if is_resp3 {
                reply.buffer.extend_from_slice(b"|1\r\n");
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        () if is("push") && !is_resp3 => {
            return Err(CommandError::text("ERR RESP2 is not supported by this command"));
        }
        () if is("push") => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        () if is("verbatim") => reply.verbatim("This is a verbatim\nstring"),
        () if is("true") => reply.boolean(true),
        () if is("false") => reply.boolean(false),
        () if is("bignum") => {
            let digits = b"1234567999999999999999999999999999999";
            if is_resp3 {
                reply.buffer.push(b'(');
                reply.buffer.extend_from_slice(digits);
                reply.buffer.extend_from_slice(b"\r\n");
            } else {
                reply.bulk(digits);
            }
        }
        () => {
            return Err(failure(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
                    .to_owned(),
            ));
        }
    }
    Ok(())
}

const HELP: &[&str] = &[
    "DIGEST",
    "    Tells a digest of all keys and values of all databases.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Tells digests of the values of keys.",
    "ERROR <text>",
    "    Replies with an error.",
    "HTSTATS <database>",
    "    Tells how the keys of a database are held.",
    "HTSTATS-KEY <key>",
    "    Tells how a hash or a set is held that is a table.",
    "LOADAOF",
    "    Changes nothing: there is no file to load.",
    "LOG <text>",
    "    Writes a line to the log of the node.",
    "OBJECT <key>",
    "    Tells how a value is held, in one line.",
    "PAUSE-CRON (0|1)",
    "    Changes nothing: a node has no such timer.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Makes keys <prefix>:<number>, on all nodes.",
    "PROTOCOL <type>",
    "    Replies with a value of a type of the protocol.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Changes nothing: lists are held otherwise.",
    "RELOAD [<option> ...]",
    "    Changes nothing: what would be loaded is what is there.",
    "SET-ACTIVE-EXPIRE (0|1)",
    "    Keeps keys that have expired until a write meets them, on all nodes, or not.",
    "SLEEP <seconds>",
    "    Stops the core of this client, with all roles that it has.",
    "HELP",
    "    Prints this help.",
];
