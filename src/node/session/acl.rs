//! ACL as far as the node answers it, and whether a client may do what it asks for.

use std::sync::atomic::Ordering::Relaxed;

use super::client::describe_at;
use super::{
    Arguments, Buffers, NodeView, Outcome, Session, failure, help, is_word, subcommand,
    unknown_subcommand,
};
use crate::engine::acl::{Acl, Denial, Denied, full_name};
use crate::engine::command::{CommandId, NodeCommand, resolve, spec};
use crate::engine::error::CommandError;
use crate::engine::number::integer;
use crate::engine::reply::Reply;
use crate::engine::witness::ScriptDenial;
use crate::node::shared::fill_randomly;
use crate::node::users::read_file;

/// Bits of a password that ACL GENPASS makes: by default, and at most.
const PASSWORD_BITS: i64 = 256;
const PASSWORD_BITS_MAX: i64 = 4096;

/// Entries that ACL LOG shows by default.
const LOG_ENTRIES: usize = 10;

const NO_FILE: CommandError = CommandError::text(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users \
     via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis \
     configuration file set) in order to store users in the Redis configuration.",
);

/// Whether the client's user may do what `words` say, which call command `id`. What it is denied is
/// counted and goes into the log of the node.
#[cold]
pub fn check(
    id: CommandId,
    words: Arguments<'_, '_>,
    session: &Session,
    view: &NodeView<'_>,
) -> Result<(), CommandError> {
    // Who names no command is told so, whatever he may do.
    if !spec(id).shown_subcommands().is_empty() {
        resolve(spec(id), &words[1..])?;
    }
    if let Err(denial) = session.user.check(id, words) {
        let denied = Denied::new(&denial, context(session), &session.user.name);
        deny((denied, 1), full_name(id, words), Some(session), view);
        return Err(failure(format!("NOPERM {}", denial.text(&session.user.name))));
    }
    session.user.check_sort(id, words)
}

/// The same for a command that was queued when its client was allowed more: why EXEC refuses it.
pub fn check_again(
    id: CommandId,
    words: Arguments<'_, '_>,
    session: &Session,
    view: &NodeView<'_>,
) -> Result<(), String> {
    let Err(denial) = session.user.check(id, words) else { return Ok(()) };
    let denied = Denied::new(&denial, "multi", &session.user.name);
    deny((denied, 1), "exec", Some(session), view);
    let reason = match denial {
        Denial::Command(_) => "no permission to execute the command or subcommand",
        Denial::Key(_) => "no permission to touch the specified keys",
        Denial::Channel(_) => "no permission to access one of the channels used as arguments",
    };
    Err(format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC \
         call. This command is no longer allowed for the following reason: {reason}"
    ))
}

/// Where the client is, as ACL LOG tells it.
fn context(session: &Session) -> &'static str {
    if session.transaction.is_some() { "multi" } else { "toplevel" }
}

/// Counts and logs that a client was denied something so many times when it called `command`. What
/// is not known any more of one that has left is not told.
fn deny(
    (denied, count): (Denied, u64),
    command: &str,
    session: Option<&Session>,
    view: &NodeView<'_>,
) {
    let users = &view.shared.users;
    let counter = match denied.reason {
        "auth" => &users.denied.auth,
        "command" => &users.denied.command,
        "key" => &users.denied.key,
        _ => &users.denied.channel,
    };
    counter.fetch_add(count, Relaxed);
    let mut client = Vec::new();
    let buffers = Buffers { input: 0, input_free: 0, output: 0 };
    if let Some(session) = session {
        describe_at(session, command, &buffers, view.now_ms, &mut client);
    }
    let len_max = view.settings.get("acllog-max-len").parse().unwrap_or(0);
    users.log.note(denied, count, client, view.unix_ms, len_max);
}

/// A client could not say who it is.
pub fn deny_login(command: &[u8], user: &[u8], session: &Session, view: &NodeView<'_>) {
    let context = context(session);
    let (object, user) = (command.to_vec(), user.to_vec());
    let name = String::from_utf8_lossy(command).to_lowercase();
    let denied = Denied { reason: "auth", context, object, user };
    deny((denied, 1), &name, Some(session), view);
}

/// A script of a client was denied something; `None`: the client has left.
pub fn deny_script(denial: ScriptDenial, session: Option<&Session>, view: &NodeView<'_>) {
    let ScriptDenial { denied, command, count } = denial;
    deny((denied, count), spec(command).name, session, view);
}

pub fn run(
    words: Arguments<'_, '_>,
    session: &mut Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let (name, arguments) = subcommand(NodeCommand::Acl, words, session)?;
    match (name, arguments) {
        ("whoami", _) => reply.bulk(&session.user.name),
        ("genpass", [] | [_]) => generate_password(arguments, reply)?,
        ("log", [] | [_]) => log(arguments, view, reply)?,
        ("load", _) => return load(view),
        ("save", _) if view.shared.users.file.as_os_str().is_empty() => return Err(NO_FILE),
        ("save", _) => {
            return Err(CommandError::text(
                "ERR There was an error trying to save the ACLs: this server writes no files",
            ));
        }
        ("help", _) => help(reply, "ACL", HELP),
        _ => return Err(unknown_subcommand(words)),
    }
    Ok(Outcome::Replied)
}

fn generate_password(arguments: Arguments<'_, '_>, reply: &mut Reply) -> Result<(), CommandError> {
    let bits = arguments.first().map_or(Ok(PASSWORD_BITS), |bits| integer(bits))?;
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(CommandError::text(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a \
             positive number up to 4096",
        ));
    }
    // A digit has 4 bits.
    let digits = (bits as usize).div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    fill_randomly(&mut bytes);
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    reply.bulk(text.as_bytes());
    Ok(())
}

fn log(
    arguments: Arguments<'_, '_>,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<(), CommandError> {
    let log = &view.shared.users.log;
    let count = match arguments {
        [word] if is_word(word, "RESET") => {
            log.clear();
            reply.ok();
            return Ok(());
        }
        // A negative number counts as none.
        [count] => usize::try_from(integer(count)?).unwrap_or(0),
        _ => LOG_ENTRIES,
    };
    log.tell(count, view.unix_ms, reply);
    Ok(())
}

/// The file is read here, and what it says goes to all nodes.
fn load(view: &NodeView<'_>) -> Result<Outcome, CommandError> {
    let path = &view.shared.users.file;
    if path.as_os_str().is_empty() {
        return Err(NO_FILE);
    }
    if let Some(refusal) = view.shared.state().refusal() {
        return Err(CommandError::text(refusal));
    }
    let users = read_file(path).map_err(|error| {
        failure(format!(
            "ERR {error}. WARNING: ACL errors detected, no change to the previously active ACL \
             rules was performed"
        ))
    })?;
    let mut words = vec![b"raft.acl".to_vec(), b"load".to_vec()];
    words.extend(Acl::lines(&users));
    Ok(Outcome::ThroughLog(words))
}

const HELP: &[&str] = &[
    "CAT [<category>]",
    "    Tells the categories, or the commands of one.",
    "DELUSER <username> [<username> ...]",
    "    Removes users and closes the connections of their clients, on all nodes.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Tells whether a user may run a command, without running it.",
    "GETUSER <username>",
    "    Tells what a user may do.",
    "GENPASS [<bits>]",
    "    Makes up a password of 256 bits, or of so many.",
    "LIST",
    "    Tells all users in the form of an ACL file.",
    "LOAD",
    "    Takes the users from the ACL file of this node, for all nodes.",
    "LOG [<count> | RESET]",
    "    Tells what this node has denied to its clients, or forgets it.",
    "SAVE",
    "    Always an error: this server writes no files.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Makes a user or changes one, on all nodes.",
    "USERS",
    "    Tells the names of all users.",
    "WHOAMI",
    "    Tells which user this connection is.",
    "HELP",
    "    Prints this help.",
];
