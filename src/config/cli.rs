//! The command line. Directives come from the table; only what is no directive is named here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ArgAction;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, value_parser};

use super::{ConfigError, DIRECTIVES, Directive, Kind, NodeConfig, Section, directives};

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    Node(Box<NodeConfig>),
    Local(Box<LocalConfig>),
}

/// A whole cluster on this machine.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// One for each node, as the node itself will see it: port, limits, password.
    ///
    /// Invariant: not empty.
    pub nodes: Vec<NodeConfig>,
    pub respawn: Respawn,
    /// Options given by the user, to hand on to each node as they are.
    pub node_options: Vec<(&'static str, String)>,
}

/// What happens to a node that ends by itself once the cluster is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Respawn {
    Never,
    Always,
}

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Help or version was asked for: the text, already complete.
    #[error("{0}")]
    Answer(String),
    #[error("{message}; see '{help}'")]
    Usage { message: String, help: &'static str },
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// More voters than this make each commit slower and protect no better.
const LOCAL_NODES_MAX: i64 = 9;

/// Directives that `mayfly local` sets itself, a different value for each node.
const SET_BY_LOCAL: &[&str] = &[
    "init",
    "join",
    "observer",
    "peers",
    "cluster-config-file",
    "on-total-loss",
    "name",
    "announce-address",
    "port",
    "cluster-port",
    "bind",
];

pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, CliError> {
    let arguments: Vec<_> = arguments.collect();
    let help = match arguments.get(1).and_then(|word| word.to_str()) {
        Some("node") => "mayfly node --help",
        Some("local") => "mayfly local --help",
        _ => "mayfly --help",
    };
    let matches = command().try_get_matches_from(arguments).map_err(|e| refusal(&e, help))?;
    match matches.subcommand() {
        Some(("node", matches)) => Ok(Command::Node(Box::new(node(matches)?))),
        Some(("local", matches)) => Ok(Command::Local(Box::new(local(matches)?))),
        _ => unreachable!("a subcommand is required"),
    }
}

fn command() -> clap::Command {
    clap::Command::new("mayfly")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An in-memory, strongly consistent cluster that speaks the Redis protocol")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommand(node_command())
        .subcommand(local_command())
}

fn all() -> impl Iterator<Item = (usize, &'static Directive)> {
    DIRECTIVES.iter().enumerate()
}

fn passed_on() -> impl Iterator<Item = (usize, &'static Directive)> {
    all().filter(|(_, directive)| !SET_BY_LOCAL.contains(&directive.name))
}

fn node_command() -> clap::Command {
    clap::Command::new("node")
        .about("Run one node of a cluster")
        .long_about(
            "Run one node of a cluster. Without --init, --join or --peers it waits for \
             RAFT.CLUSTER INIT or RAFT.CLUSTER JOIN. Every option is also a directive of the file, \
             'name value' a line; the command line wins.",
        )
        .after_help(
            "Examples:\n  mayfly node --port 5001 --init\n  mayfly node --port 5002 --join \
             127.0.0.1:5001\n  mayfly node --port 5001 --peers \
             127.0.0.1:5001,127.0.0.1:5002,127.0.0.1:5003\n  mayfly node mayfly.conf --loglevel \
             verbose",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Configuration file"),
        )
        .arg(
            Arg::new("supervisor")
                .long("supervisor")
                .value_parser(value_parser!(u32))
                .hide(true)
                .help("Process that this node must not outlive"),
        )
        .args(all().map(option))
}

fn local_command() -> clap::Command {
    clap::Command::new("local")
        .about("Run a whole cluster on this machine, one process for each node")
        .long_about(
            "Run a whole cluster on this machine, one process for each node, on consecutive ports \
             of 127.0.0.1. Prints a line for each node and then 'ready'. SIGINT or SIGTERM stops \
             all nodes. The options of 'mayfly node' are handed on to each node.",
        )
        .arg(
            Arg::new("nodes")
                .long("nodes")
                .value_name("number")
                .value_parser(value_parser!(u16).range(1..=LOCAL_NODES_MAX))
                .default_value("3")
                .help("Nodes of the cluster"),
        )
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("number")
                .value_parser(value_parser!(u16).range(1..))
                .default_value("5001")
                .help("Client port of the first node"),
        )
        .arg(
            Arg::new("respawn")
                .long("respawn")
                .action(ArgAction::SetTrue)
                .help("Start a node again when it ends"),
        )
        .args(passed_on().map(option))
}

fn option((_, directive): (usize, &'static Directive)) -> Arg {
    let arg = Arg::new(directive.name)
        .long(directive.name)
        .help_heading(directive.section.heading())
        .hide(directive.section == Section::Fixed);
    let arg = match directive.alias {
        Some(alias) => arg.visible_alias(alias),
        None => arg,
    };
    let arg = match directive.kind {
        Kind::Flag => return arg.action(ArgAction::SetTrue).help(directive.doc),
        Kind::OutputLimit => arg.num_args(1..=8),
        Kind::Addresses => arg.allow_hyphen_values(true),
        _ => arg,
    };
    let help = match directive.default {
        "" => directive.doc.to_owned(),
        default => format!("{} [default: {default}]", directive.doc),
    };
    arg.action(ArgAction::Set)
        .allow_negative_numbers(true)
        .value_name(directive.kind.placeholder())
        .help(help)
}

/// What was said of each of these directives, by their place in the table.
fn overrides(
    matches: &ArgMatches,
    directives: impl Iterator<Item = (usize, &'static Directive)>,
) -> Vec<(usize, String)> {
    let said = directives.filter_map(|(index, directive)| {
        if directive.kind == Kind::Flag {
            return matches.get_flag(directive.name).then(|| (index, "yes".to_owned()));
        }
        let words = matches.get_many::<String>(directive.name)?;
        Some((index, words.cloned().collect::<Vec<_>>().join(" ")))
    });
    said.collect()
}

fn node(matches: &ArgMatches) -> Result<NodeConfig, ConfigError> {
    let file = matches.get_one::<PathBuf>("file");
    let mut config = NodeConfig::load(file.map(PathBuf::as_path), &overrides(matches, all()))?;
    config.supervisor = matches.get_one::<u32>("supervisor").copied();
    Ok(config)
}

fn local(matches: &ArgMatches) -> Result<LocalConfig, ConfigError> {
    let given =
        |name| *matches.get_one::<u16>(name).expect("invariant: both options have a default");
    let (count, first_port) = (given("nodes"), given("port"));
    let mut passed = overrides(matches, passed_on());
    let loglevel = directives::find("loglevel").expect("invariant: the table has loglevel");
    if passed.iter().all(|(index, _)| *index != loglevel) {
        passed.push((loglevel, "warning".to_owned()));
    }
    let sentinel = directives::find("sentinel-port").expect("invariant: the table has it");
    let first_sentinel = passed.iter().find(|(index, _)| *index == sentinel).cloned();
    passed.retain(|(index, _)| *index != sentinel);
    let port = directives::find("port").expect("invariant: the table has port");
    let nodes = (0..count).map(|position| {
        let mut overrides = passed.clone();
        overrides.push((port, (u32::from(first_port) + u32::from(position)).to_string()));
        if let Some((index, first)) = &first_sentinel {
            overrides.push((*index, port_of_node(first, position)));
        }
        NodeConfig::load(None, &overrides)
    });
    let respawn = if matches.get_flag("respawn") { Respawn::Always } else { Respawn::Never };
    Ok(LocalConfig {
        nodes: nodes.collect::<Result<_, _>>()?,
        respawn,
        node_options: passed
            .into_iter()
            .map(|(index, text)| (DIRECTIVES[index].name, text))
            .collect(),
    })
}

/// Consecutive ports from the first on; what is none, or no number, stays as it is.
fn port_of_node(first: &str, position: u16) -> String {
    match first.parse::<u32>() {
        Ok(port @ 1..) => (port + u32::from(position)).to_string(),
        _ => first.to_owned(),
    }
}

/// One line of what clap says in several.
fn refusal(error: &clap::Error, help: &'static str) -> CliError {
    let rendered = error.render().to_string();
    if !error.use_stderr() {
        return CliError::Answer(rendered);
    }
    let first = rendered.lines().next().unwrap_or_default();
    let mut message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    if let Some(ContextValue::String(name)) = error.get(ContextKind::SuggestedArg) {
        message.push_str(&format!("; did you mean '{name}'?"));
    }
    CliError::Usage { message, help }
}
