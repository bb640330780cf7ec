//! CONFIG: reads and changes settings. Those of the node are changed at once, those of the cluster
//! through the log; what the node has applied of these is what it tells.

use super::{
    Arguments, NodeView, Outcome, Session, admin, excerpt, failure, help, is_word, replication,
    subcommand, unknown_subcommand,
};
use crate::config::{SettingError, ValueError, is_of_cluster};
use crate::engine::command::NodeCommand;
use crate::engine::error::CommandError;
use crate::engine::reply::Reply;
use crate::node::mailbox::AdminCommand;
use crate::node::preflight;

pub fn run(
    words: Arguments<'_, '_>,
    session: &mut Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let (name, arguments) = subcommand(NodeCommand::Config, words, session)?;
    match name {
        "get" => {
            let mut found = view.settings.matching(arguments);
            for (name, value) in &mut found {
                if name == "replicaof" || name == "slaveof" {
                    *value = replication::followed(view);
                }
            }
            reply.map(found.len());
            for (name, value) in &found {
                reply.bulk(name.as_bytes());
                reply.bulk(value.as_bytes());
            }
        }
        "set" => {
            let of_users = of_users(arguments, view);
            let of_cluster = set(arguments, !of_users.is_empty(), view)?;
            let words = if of_users.is_empty() { of_cluster } else { of_users };
            if !words.is_empty() {
                return Ok(Outcome::ThroughLog(words));
            }
            if let Some(words) = for_source(arguments, view) {
                return Ok(Outcome::ThroughLog(words));
            }
            reply.ok();
        }
        "rewrite" => {
            let has_file = !view.shared.users.file.as_os_str().is_empty();
            let users = (!has_file).then_some(view.users);
            view.settings.rewrite(users).map_err(|error| failure(format!("ERR {error}")))?;
            log::info!("the configuration file was rewritten");
            reply.ok();
        }
        "resetstat" => return Ok(admin(AdminCommand::ResetStats)),
        "help" => help(reply, "CONFIG", HELP),
        _ => return Err(unknown_subcommand(words)),
    }
    Ok(Outcome::Replied)
}

/// What tells all nodes of the settings that users follow from, if `arguments` change any and the
/// node is in a cluster.
fn of_users(arguments: Arguments<'_, '_>, view: &NodeView<'_>) -> Vec<Vec<u8>> {
    if view.shared.state().refusal().is_some() {
        return Vec::new();
    }
    let is_of_users =
        |name: &[u8]| is_word(name, "requirepass") || is_word(name, "acl-pubsub-default");
    let mut words = vec![b"raft.acl".to_vec(), b"set".to_vec()];
    for pair in arguments.chunks_exact(2).filter(|pair| is_of_users(pair[0])) {
        words.extend(pair.iter().map(|word| word.to_vec()));
    }
    if words.len() > 2 { words } else { Vec::new() }
}

/// What tells all nodes as whom the source wants to be asked that the cluster follows, if that has
/// just changed on this node. Together with settings of the cluster it is this node's alone.
fn for_source(arguments: Arguments<'_, '_>, view: &NodeView<'_>) -> Option<Vec<Vec<u8>>> {
    let names = ["masteruser", "masterauth"];
    let mut pairs = arguments.chunks_exact(2);
    let is_changed = pairs.any(|pair| names.iter().any(|name| is_word(pair[0], name)));
    if !is_changed || !view.shared.importing.state().is_active() {
        return None;
    }
    let [user, password] = names.map(|name| view.settings.get(name).into_bytes());
    Some(vec![b"raft.import".to_vec(), b"CREDENTIALS".to_vec(), user, password])
}

/// Changes what is the node's own. Returns the command that changes the rest through the log.
fn set(
    arguments: Arguments<'_, '_>,
    changes_users: bool,
    view: &NodeView<'_>,
) -> Result<Vec<Vec<u8>>, CommandError> {
    let (pairs, []) = arguments.as_chunks::<2>() else { return Err(CommandError::Syntax) };
    let mut changes = Vec::with_capacity(pairs.len());
    for [name, value] in pairs {
        let name = std::str::from_utf8(name).map_err(|_| unknown_option(name))?;
        // No setting has bytes that are no text, and a changed password would not be the one given.
        let value = std::str::from_utf8(value).map_err(|_| {
            failure(format!(
                "ERR CONFIG SET failed (possibly related to argument '{name}') - argument must be \
                 UTF-8 text"
            ))
        })?;
        changes.push((name, value));
    }
    check_clients(&changes)?;
    let needs_cluster = changes.iter().any(|(name, _)| is_of_cluster(name.as_bytes()));
    if needs_cluster && let Some(refusal) = view.shared.state().refusal() {
        return Err(CommandError::text(refusal));
    }
    if needs_cluster && changes_users {
        return Err(CommandError::text(
            "ERR CONFIG SET failed - requirepass and acl-pubsub-default cannot be changed together \
             with other settings of the cluster",
        ));
    }
    let of_cluster =
        view.settings.set_all(&changes).map_err(|error| failure(format!("ERR {error}")))?;
    if of_cluster.is_empty() {
        return Ok(Vec::new());
    }
    let words = of_cluster.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    let head: [&[u8]; 2] = [b"raft.setting", b"SET"];
    Ok(head.into_iter().chain(words).map(<[u8]>::to_vec).collect())
}

/// More clients need more open files: what the machine does not allow is refused.
fn check_clients(changes: &[(&str, &str)]) -> Result<(), CommandError> {
    let change = changes.iter().find(|(name, _)| name.eq_ignore_ascii_case("maxclients"));
    // What is no number is refused with the rest.
    let wanted = change.and_then(|(name, value)| Some((*name, value.parse().ok()?)));
    let Some((name, wanted)) = wanted else { return Ok(()) };
    let allowed = match preflight::allow_clients(wanted) {
        Ok(allowed) => allowed,
        Err(error) => return Err(failure(format!("ERR {error}"))),
    };
    if allowed < wanted {
        let source = ValueError::TooManyClients(allowed);
        let error = SettingError::Value { name: name.to_owned(), source };
        return Err(failure(format!("ERR {error}")));
    }
    Ok(())
}

fn unknown_option(name: &[u8]) -> CommandError {
    let name = excerpt(name, name.len());
    failure(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"))
}

const HELP: &[&str] = &[
    "GET <pattern> [<pattern> ...]",
    "    Tells the settings whose names fit a pattern.",
    "SET <setting> <value> [<setting> <value> ...]",
    "    Changes settings, of this node or of all of the cluster: all of them, or none.",
    "REWRITE",
    "    Writes the present settings into the configuration file.",
    "RESETSTAT",
    "    Sets the counts that INFO tells back to zero.",
    "HELP",
    "    Prints this help.",
];
