//! Discovery as Redis's Sentinel does it, on a port of its own: clients that know Sentinel ask who
//! leads, connect there, and are told when somebody else does. Lookups only: consensus watches the
//! members and elects.
//!
//! There is one master, under the name of `sentinel-master-name`, and it is the leader; while there
//! is none it is the node that is asked, which keeps requests until there is one. A node that is no
//! member, or joins only now, knows of no master, like a Sentinel that watches nothing: clients ask
//! the next one then. An error they would hand on, and its own address is that of a node which runs
//! nothing yet. Other nodes that offer this port are not told of, since no node knows the ports of
//! others.
//!
//! Who has said who he is may ask, whatever else he may do: who leads is no secret among clients.
//! Only SENTINEL FAILOVER does something, and needs the permission to run FAILOVER.

use super::cluster::{Node, members};
use super::{
    Arguments, NodeView, Outcome, REDIS_VERSION, ReportUse, Session, acl, admin, excerpt, failure,
    help, info, is_word, report, run_id,
};
use crate::engine::command::{Flags, Handler, NodeCommand, lookup, resolve, spec};
use crate::engine::error::CommandError;
use crate::engine::reply::Reply;
use crate::node::mailbox::AdminCommand;
use crate::node::report::RaftReport;

/// What a client of the discovery port asks the raft role for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    Masters,
    /// The parts of the one master.
    Master,
    Address,
    Replicas,
    /// Whether a majority could elect.
    Quorum,
    /// INFO
    Info,
}

/// The channel on which a change of the leader is told.
pub const SWITCH_CHANNEL: &str = "+switch-master";

/// What is published there.
pub fn switch_message(name: &str, former: &str, leader: &str) -> String {
    let place = |address| {
        let (host, port) = super::host_and_port(address);
        format!("{host} {port}")
    };
    format!("{name} {} {}", place(former), place(leader))
}

/// What becomes of a command that came by the discovery port.
pub enum Served {
    /// It is like on every port.
    Ordinary(NodeCommand),
    Here(Outcome),
}

/// Runs a command of a client of the discovery port, or says that it is an ordinary one.
pub fn run(
    words: Arguments<'_, '_>,
    session: &Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<Served, CommandError> {
    let is = |name: &str| is_word(words[0], name);
    let ordinary = ["auth", "hello", "ping", "psubscribe", "punsubscribe", "quit", "subscribe"];
    let is_client = is("client") && words.get(1).is_some_and(|name| is_allowed_of_client(name));
    if is_client || is("unsubscribe") || ordinary.iter().any(|name| is(name)) {
        let id = lookup(words[0]).expect("invariant: these are in the table");
        let spec = spec(id);
        if !session.authenticated && !spec.flags.contains(Flags::NO_AUTH) {
            return Err(NOT_AUTHENTICATED);
        }
        resolve(spec, &words[1..])?;
        let Handler::Node(command) = spec.handler else {
            unreachable!("invariant: the node answers these")
        };
        return Ok(Served::Ordinary(command));
    }
    if !session.authenticated {
        return Err(NOT_AUTHENTICATED);
    }
    if is("info") {
        return Ok(Served::Here(ask(Lookup::Info)));
    }
    if is("role") && words.len() == 1 {
        reply.array(2);
        reply.bulk(b"sentinel");
        reply.array(1);
        reply.bulk(view.settings.get(NAME).as_bytes());
        return Ok(Served::Here(Outcome::Replied));
    }
    match words {
        [_, name, arguments @ ..] if is("sentinel") => {
            let name = String::from_utf8_lossy(name).to_lowercase();
            look_up(&name, arguments, session, view, reply).map(Served::Here)
        }
        [_] if is("sentinel") => Err(CommandError::Arity("sentinel".into())),
        _ => Err(failure(super::unknown_command(words))),
    }
}

const NOT_AUTHENTICATED: CommandError = CommandError::text("NOAUTH Authentication required.");

const UNKNOWN_MASTER: CommandError = CommandError::text("ERR No such master with that name");

const NAME: &str = "sentinel-master-name";

fn is_allowed_of_client(name: &[u8]) -> bool {
    ["getname", "id", "setinfo", "setname"].iter().any(|allowed| is_word(name, allowed))
}

fn ask(lookup: Lookup) -> Outcome {
    report(ReportUse::Sentinel(lookup))
}

#[rustfmt::skip]
const LOOKUPS: &[&str] = &[
    "masters", "primaries", "get-master-addr-by-name", "get-primary-addr-by-name", "myid", "help",
    "master", "primary", "replicas", "slaves", "sentinels", "ckquorum", "failover",
];

/// Subcommands that operate a process of Redis Sentinel.
#[rustfmt::skip]
const OF_REAL_SENTINELS: &[&str] = &[
    "config", "debug", "flushconfig", "info-cache", "is-master-down-by-addr",
    "is-primary-down-by-addr", "monitor", "pending-scripts", "remove", "reset", "set",
    "simulate-failure",
];

fn look_up(
    name: &str,
    arguments: Arguments<'_, '_>,
    session: &Session,
    view: &NodeView<'_>,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let is_known = |wanted: &[u8]| view.settings.get(NAME).as_bytes() == wanted;
    Ok(match (name, arguments) {
        ("masters" | "primaries", []) => ask(Lookup::Masters),
        ("get-master-addr-by-name" | "get-primary-addr-by-name", [wanted]) => {
            if is_known(wanted) {
                return Ok(ask(Lookup::Address));
            }
            reply.null_array();
            Outcome::Replied
        }
        ("myid", []) => {
            reply.bulk(run_id(view.shared.boot).as_bytes());
            Outcome::Replied
        }
        ("help", []) => {
            help(reply, "SENTINEL", HELP);
            Outcome::Replied
        }
        (
            "master" | "primary" | "replicas" | "slaves" | "sentinels" | "ckquorum" | "failover",
            [wanted],
        ) if !is_known(wanted) => return Err(UNKNOWN_MASTER),
        ("master" | "primary", [_]) => ask(Lookup::Master),
        ("replicas" | "slaves", [_]) => ask(Lookup::Replicas),
        ("sentinels", [_]) => {
            reply.array(0);
            Outcome::Replied
        }
        ("ckquorum", [_]) => ask(Lookup::Quorum),
        ("failover", [_]) => {
            if session.is_restricted {
                // It is what FAILOVER does on the client port.
                let id = lookup(b"failover").expect("invariant: it is in the table");
                acl::check(id, &[b"failover"], session, view)?;
            }
            admin(AdminCommand::HandOver)
        }
        _ if LOOKUPS.contains(&name) => {
            return Err(CommandError::Arity(format!("sentinel|{name}").into()));
        }
        _ if OF_REAL_SENTINELS.contains(&name) => {
            return Err(CommandError::text(
                "ERR consensus watches the members: there is nothing to be set or reported here",
            ));
        }
        _ => {
            let name = excerpt(name.as_bytes(), super::SHOWN_BYTES_MAX).into_owned();
            return Err(failure(format!("ERR unknown subcommand '{name}'. Try SENTINEL HELP.")));
        }
    })
}

/// Makes the reply of a command that waited for a report.
pub fn finish(lookup: &Lookup, raft: &RaftReport, view: &NodeView<'_>, reply: &mut Reply) {
    if view.shared.state().refusal().is_some() {
        finish_unknown(lookup, view, reply);
        return;
    }
    let nodes = members(raft, view);
    let (master, replicas) = nodes.split_first().expect("invariant: there is this node");
    match lookup {
        Lookup::Address => {
            reply.array(2);
            reply.bulk(master.host.as_bytes());
            reply.bulk(master.port.to_string().as_bytes());
        }
        Lookup::Master => write_fields(&master_fields(master, replicas, raft, view), reply),
        Lookup::Masters => {
            reply.array(1);
            write_fields(&master_fields(master, replicas, raft, view), reply);
        }
        Lookup::Replicas => {
            reply.array(replicas.len());
            for replica in replicas {
                write_fields(&replica_fields(replica, master, raft), reply);
            }
        }
        Lookup::Quorum => match raft.status.as_ref() {
            Some(status) if info::has_quorum(status, view) => {
                let voters = status.configuration.voters.len();
                reply.simple(&format!(
                    "OK {voters} usable Sentinels. Quorum and failover authorization can be reached"
                ));
            }
            _ => reply.error_text("NOQUORUM a majority of the voters is not reached"),
        },
        Lookup::Info => reply.verbatim(&info_text(Some((master, replicas)), view)),
    }
}

/// The same of a node that knows of no master.
fn finish_unknown(lookup: &Lookup, view: &NodeView<'_>, reply: &mut Reply) {
    match lookup {
        Lookup::Address => reply.null_array(),
        Lookup::Masters => reply.array(0),
        Lookup::Master | Lookup::Replicas | Lookup::Quorum => reply.error(&UNKNOWN_MASTER),
        Lookup::Info => reply.verbatim(&info_text(None, view)),
    }
}

fn info_text(known: Option<(&Node<'_>, &[Node<'_>])>, view: &NodeView<'_>) -> String {
    let mut lines = vec![
        "# Server".to_owned(),
        format!("redis_version:{REDIS_VERSION}"),
        "redis_mode:sentinel".to_owned(),
        format!("run_id:{}", run_id(view.shared.boot)),
        format!("tcp_port:{}", view.settings.get("sentinel-port")),
        String::new(),
        "# Sentinel".to_owned(),
        format!("sentinel_masters:{}", u8::from(known.is_some())),
        "sentinel_tilt:0".to_owned(),
    ];
    if let Some((master, replicas)) = known {
        let (name, host, port) = (view.settings.get(NAME), master.host, master.port);
        let count = replicas.len();
        let address = format!("{host}:{port},slaves={count},sentinels=1");
        lines.push(format!("master0:name={name},status=ok,address={address}"));
    }
    lines.push(String::new());
    lines.join("\r\n")
}

type Fields = Vec<(&'static str, String)>;

fn write_fields(fields: &Fields, reply: &mut Reply) {
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}

fn master_fields(
    master: &Node<'_>,
    replicas: &[Node<'_>],
    raft: &RaftReport,
    view: &NodeView<'_>,
) -> Fields {
    let status = raft.status.as_ref();
    let quorum = status.map_or(1, |status| status.configuration.voters.len() / 2 + 1);
    vec![
        ("name", view.settings.get(NAME)),
        ("ip", master.host.to_owned()),
        ("port", master.port.to_string()),
        ("runid", master.id.clone()),
        ("flags", "master".to_owned()),
        ("link-pending-commands", "0".to_owned()),
        ("link-refcount", "1".to_owned()),
        ("down-after-milliseconds", view.settings.get("raft.election-timeout")),
        ("role-reported", "master".to_owned()),
        ("config-epoch", status.map_or(0, |status| status.term.0).to_string()),
        ("num-slaves", replicas.len().to_string()),
        ("num-other-sentinels", "0".to_owned()),
        ("quorum", quorum.to_string()),
    ]
}

fn replica_fields(replica: &Node<'_>, master: &Node<'_>, raft: &RaftReport) -> Fields {
    let flags = if replica.is_connected { "slave" } else { "slave,s_down,disconnected" };
    let link = if replica.is_connected { "ok" } else { "err" };
    let commit_index = raft.status.as_ref().map_or(0, |status| status.commit_index.0);
    let offset = super::cluster::offset_of(replica, raft).unwrap_or(commit_index);
    vec![
        ("name", format!("{}:{}", replica.host, replica.port)),
        ("ip", replica.host.to_owned()),
        ("port", replica.port.to_string()),
        ("runid", replica.id.clone()),
        ("flags", flags.to_owned()),
        ("role-reported", "slave".to_owned()),
        ("master-link-status", link.to_owned()),
        ("master-host", master.host.to_owned()),
        ("master-port", master.port.to_string()),
        ("slave-priority", "100".to_owned()),
        ("slave-repl-offset", offset.to_string()),
    ]
}

const HELP: &[&str] = &[
    "CKQUORUM <name>",
    "    Tells whether a majority of the voters is reached.",
    "FAILOVER <name>",
    "    Makes another member the leader, or this one if it is not.",
    "GET-MASTER-ADDR-BY-NAME <name>, GET-PRIMARY-ADDR-BY-NAME <name>",
    "    Tells where clients reach the leader.",
    "MASTER <name>, PRIMARY <name>",
    "    Tells of the leader.",
    "MASTERS, PRIMARIES",
    "    Tells of the leader, in a list.",
    "MYID",
    "    Tells the id of this node.",
    "REPLICAS <name>, SLAVES <name>",
    "    Tells of the other members.",
    "SENTINELS <name>",
    "    Tells of nobody: no node knows the discovery ports of others.",
    "HELP",
    "    Prints this help.",
];
