//! What a client subscribes to, and PUBSUB.

use std::collections::BTreeSet;

use super::{
    Arguments, CommandError, Face, NodeCommand, Outcome, Protocol, Reply, Session, Wait, help,
    subcommand, unknown_subcommand,
};
use crate::engine::command::{CommandSpec, Handler, SessionCommand, resolve};
use crate::engine::pubsub::{Question, Topic};

/// The names that a client has subscribed to.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    channels: BTreeSet<Vec<u8>>,
    patterns: BTreeSet<Vec<u8>>,
    shards: BTreeSet<Vec<u8>>,
    /// What the apply role does not know yet, oldest first.
    changes: Vec<SubscriptionChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionChange {
    pub topic: Topic,
    pub name: Vec<u8>,
    pub subscribes: bool,
}

impl Subscriptions {
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shards.is_empty()
    }

    pub fn has(&self, topic: Topic, name: &[u8]) -> bool {
        match topic {
            Topic::Channel => self.channels.contains(name),
            Topic::Pattern => self.patterns.contains(name),
            Topic::Shard => self.shards.contains(name),
        }
    }

    pub fn len(&self, topic: Topic) -> usize {
        match topic {
            Topic::Channel => self.channels.len(),
            Topic::Pattern => self.patterns.len(),
            Topic::Shard => self.shards.len(),
        }
    }

    /// Ends all of them.
    pub fn clear(&mut self) {
        for topic in [Topic::Channel, Topic::Pattern, Topic::Shard] {
            for name in std::mem::take(self.of(topic)) {
                self.note(topic, name, false);
            }
        }
    }

    pub fn take_changes(&mut self) -> Vec<SubscriptionChange> {
        std::mem::take(&mut self.changes)
    }

    pub fn patterns(&self) -> impl Iterator<Item = &[u8]> {
        self.patterns.iter().map(Vec::as_slice)
    }

    fn of(&mut self, topic: Topic) -> &mut BTreeSet<Vec<u8>> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::Shard => &mut self.shards,
        }
    }

    fn note(&mut self, topic: Topic, name: Vec<u8>, subscribes: bool) {
        self.changes.push(SubscriptionChange { topic, name, subscribes });
    }

    /// Channels and patterns are counted together.
    fn count(&self, topic: Topic) -> usize {
        match topic {
            Topic::Channel | Topic::Pattern => self.channels.len() + self.patterns.len(),
            Topic::Shard => self.shards.len(),
        }
    }

    fn confirm(&self, kind: &str, topic: Topic, name: Option<&[u8]>, reply: &mut Reply) {
        reply.push(3);
        reply.bulk(kind.as_bytes());
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.count(self.count(topic));
    }
}

impl Session {
    /// Whether its user may receive all that it subscribes to. What the discovery port tells,
    /// anybody may.
    pub fn is_allowed_to_listen(&self) -> bool {
        let Subscriptions { channels, patterns, shards, .. } = &self.subscriptions;
        if self.face == Face::Discovery {
            return true;
        }
        let is_allowed = |name: &Vec<u8>| self.user.allows_channel(name, false);
        channels.iter().chain(shards).all(is_allowed)
            && patterns.iter().all(|pattern| self.user.allows_channel(pattern, true))
    }

    /// Whether it speaks RESP2 and subscribes: then whatever it is sent is taken for a message, so
    /// that it may send few commands.
    pub fn only_listens(&self) -> bool {
        self.protocol == Protocol::Resp2 && !self.subscriptions.is_empty()
    }
}

/// Why a client that only listens may not send a command, if so.
pub fn refusal(spec: &'static CommandSpec, words: Arguments<'_, '_>) -> Option<CommandError> {
    let is_allowed = match spec.handler {
        Handler::Node(command) => {
            matches!(command, NodeCommand::Ping | NodeCommand::Quit) || is_subscription(command)
        }
        Handler::Session(command) => command == SessionCommand::Reset,
        Handler::Engine(_) => false,
    };
    if is_allowed {
        return None;
    }
    let name = match resolve(spec, &words[1..]) {
        Ok((resolved, _)) if resolved.name != spec.name => {
            format!("{}|{}", spec.name, resolved.name)
        }
        Ok(_) => spec.name.to_owned(),
        Err(error) => return Some(error),
    };
    Some(super::failure(format!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
         are allowed in this context"
    )))
}

/// Whether a command changes what its client subscribes to.
pub fn is_subscription(command: NodeCommand) -> bool {
    matches!(
        command,
        NodeCommand::Subscribe
            | NodeCommand::Unsubscribe
            | NodeCommand::Psubscribe
            | NodeCommand::Punsubscribe
            | NodeCommand::Ssubscribe
            | NodeCommand::Sunsubscribe
    )
}

/// A command for which [`is_subscription`] holds.
pub fn change(
    command: NodeCommand,
    names: Arguments<'_, '_>,
    session: &mut Session,
    reply: &mut Reply,
) {
    match command {
        NodeCommand::Subscribe => subscribe("subscribe", Topic::Channel, names, session, reply),
        NodeCommand::Psubscribe => subscribe("psubscribe", Topic::Pattern, names, session, reply),
        NodeCommand::Ssubscribe => subscribe("ssubscribe", Topic::Shard, names, session, reply),
        NodeCommand::Unsubscribe => {
            unsubscribe("unsubscribe", Topic::Channel, names, session, reply);
        }
        NodeCommand::Punsubscribe => {
            unsubscribe("punsubscribe", Topic::Pattern, names, session, reply);
        }
        NodeCommand::Sunsubscribe => {
            unsubscribe("sunsubscribe", Topic::Shard, names, session, reply);
        }
        _ => unreachable!("invariant: it changes subscriptions"),
    }
}

/// One confirmation for each name.
fn subscribe(
    kind: &str,
    topic: Topic,
    names: Arguments<'_, '_>,
    session: &mut Session,
    reply: &mut Reply,
) {
    let subscriptions = &mut session.subscriptions;
    for name in names {
        if subscriptions.of(topic).insert(name.to_vec()) {
            subscriptions.note(topic, name.to_vec(), true);
        }
        subscriptions.confirm(kind, topic, Some(name), reply);
    }
}

/// Without names: all of them. One confirmation for each, and one at least.
fn unsubscribe(
    kind: &str,
    topic: Topic,
    names: Arguments<'_, '_>,
    session: &mut Session,
    reply: &mut Reply,
) {
    let subscriptions = &mut session.subscriptions;
    let names: Vec<Vec<u8>> = match names {
        [] => subscriptions.of(topic).iter().cloned().collect(),
        _ => names.iter().map(|name| name.to_vec()).collect(),
    };
    if names.is_empty() {
        return subscriptions.confirm(kind, topic, None, reply);
    }
    for name in names {
        let had = subscriptions.of(topic).remove(&name);
        subscriptions.confirm(kind, topic, Some(&name), reply);
        if had {
            subscriptions.note(topic, name, false);
        }
    }
}

/// PUBSUB
pub fn run(
    words: Arguments<'_, '_>,
    session: &mut Session,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let (name, arguments) = subcommand(NodeCommand::Pubsub, words, session)?;
    let owned = || arguments.iter().map(|argument| argument.to_vec());
    let topic = if name.starts_with("shard") { Topic::Shard } else { Topic::Channel };
    let question = match name {
        "channels" | "shardchannels" if arguments.len() <= 1 => {
            Question::Channels { topic, pattern: owned().next() }
        }
        "numsub" | "shardnumsub" => Question::Counts { topic, channels: owned().collect() },
        "numpat" => Question::Patterns,
        "help" => {
            help(reply, "PUBSUB", HELP);
            return Ok(Outcome::Replied);
        }
        _ => return Err(unknown_subcommand(words)),
    };
    Ok(Outcome::Wait(Wait::Pubsub(question)))
}

const HELP: &[&str] = &[
    "CHANNELS [<pattern>]",
    "    Tells the channels that clients of this node subscribe to.",
    "NUMPAT",
    "    Counts the patterns that clients of this node subscribe to.",
    "NUMSUB [<channel> ...]",
    "    Tells for each channel how many clients of this node subscribe to it.",
    "SHARDCHANNELS [<pattern>]",
    "    Tells the shard channels that clients of this node subscribe to.",
    "SHARDNUMSUB [<channel> ...]",
    "    The same as NUMSUB for shard channels.",
    "HELP",
    "    Prints this help.",
];
