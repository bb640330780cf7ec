//! A selector: commands, with the keys and channels that they may be used for. Each user has one at
//! least.

use std::collections::{BTreeMap, BTreeSet};

use super::commands::{CommandSet, Named, category, find, full_name, ids_of_category};
use super::{Denial, RuleError};
use crate::engine::command::{CommandId, Flags, KeyAccess, key_accesses, spec};
use crate::glob::glob_match;

/// Keys that may be used, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyPattern {
    pattern: Vec<u8>,
    read: bool,
    write: bool,
}

/// One of the rules on commands that hold, in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CommandRule {
    allows: bool,
    /// As in the rule, in lower case: `get`, `config|get`, `@read`, `select|0`.
    what: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Whether the rules begin with all commands, or with none.
    from_all: bool,
    rules: Vec<CommandRule>,
    /// What the rules amount to.
    allowed: CommandSet,
    /// First arguments with which commands are allowed that are not allowed as a whole.
    first_arguments: BTreeMap<u16, BTreeSet<Vec<u8>>>,
    all_keys: bool,
    keys: Vec<KeyPattern>,
    all_channels: bool,
    channels: Vec<Vec<u8>>,
}

impl Selector {
    /// It allows nothing, or all channels alone.
    pub fn new(all_channels: bool) -> Self {
        Self {
            from_all: false,
            rules: Vec::new(),
            allowed: CommandSet::none(),
            first_arguments: BTreeMap::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels,
            channels: Vec::new(),
        }
    }

    pub fn unrestricted() -> Self {
        let mut selector = Self::new(true);
        selector.all_keys = true;
        selector.start_from(true);
        selector
    }

    pub fn is_unrestricted(&self) -> bool {
        self.all_keys && self.all_channels && self.allowed.is_all()
    }

    /// Takes one rule over. After an error nothing is known of the selector.
    pub fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            _ if is("allkeys") || rule == b"~*" => self.allow_all_keys(),
            _ if is("resetkeys") => {
                self.all_keys = false;
                self.keys.clear();
            }
            _ if is("allchannels") || rule == b"&*" => {
                self.all_channels = true;
                self.channels.clear();
            }
            _ if is("resetchannels") => {
                self.all_channels = false;
                self.channels.clear();
            }
            _ if is("allcommands") || is("+@all") => self.start_from(true),
            _ if is("nocommands") || is("-@all") => self.start_from(false),
            [b'~', pattern @ ..] => self.add_keys(true, true, pattern)?,
            [b'%', ..] if self.all_keys => return Err(RuleError::KeysCovered),
            [b'%', rest @ ..] => {
                let (read, write, pattern) = parse_permissions(rest).ok_or(RuleError::Syntax)?;
                self.add_keys(read, write, pattern)?;
            }
            [b'&', pattern @ ..] => self.add_channel(pattern)?,
            [sign @ (b'+' | b'-'), what @ ..] => self.add_commands(*sign == b'+', what)?,
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn allow_all_keys(&mut self) {
        self.all_keys = true;
        self.keys.clear();
    }

    fn start_from(&mut self, all: bool) {
        self.from_all = all;
        self.rules.clear();
        self.allowed.set_all(all);
        self.first_arguments.clear();
    }

    fn add_keys(&mut self, read: bool, write: bool, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysCovered);
        }
        if has_space(pattern) {
            return Err(RuleError::Syntax);
        }
        let position = self.keys.iter().position(|key| key.pattern == pattern);
        let position = position.unwrap_or_else(|| {
            self.keys.push(KeyPattern { pattern: pattern.to_vec(), read, write });
            self.keys.len() - 1
        });
        let key = &mut self.keys[position];
        key.read |= read;
        key.write |= write;
        if key.read && key.write && pattern == b"*" {
            self.allow_all_keys();
        }
        Ok(())
    }

    fn add_channel(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelsCovered);
        }
        if has_space(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|channel| channel == pattern) {
            self.channels.push(pattern.to_vec());
        }
        Ok(())
    }

    fn add_commands(&mut self, allows: bool, what: &[u8]) -> Result<(), RuleError> {
        if let [b'@', name @ ..] = what {
            let category = category(name).ok_or(RuleError::Unknown)?;
            self.allowed.set_category(category, allows);
            ids_of_category(category).for_each(|id| self.forget_first_arguments(id));
            self.note_rule(allows, what);
            return Ok(());
        }
        match find(what) {
            Some(named) => {
                self.allowed.set(named, allows);
                if let Named::Command(id) = named {
                    self.forget_first_arguments(id);
                }
            }
            None if allows => self.add_first_argument(what)?,
            None => return Err(RuleError::Unknown),
        }
        self.note_rule(allows, what);
        Ok(())
    }

    /// `select|0` allows the command with this argument, in the way of times when commands had no
    /// subcommands.
    fn add_first_argument(&mut self, what: &[u8]) -> Result<(), RuleError> {
        let bar = what.iter().rposition(|byte| *byte == b'|').ok_or(RuleError::Unknown)?;
        let (name, argument) = (&what[..bar], &what[bar + 1..]);
        let id = match find(name).ok_or(RuleError::Unknown)? {
            Named::Subcommand(..) => return Err(RuleError::ArgumentOfSubcommand),
            Named::Command(_) if argument.is_empty() => return Err(RuleError::Syntax),
            Named::Command(id) if !spec(id).shown_subcommands().is_empty() => {
                return Err(RuleError::Unknown);
            }
            Named::Command(id) => id,
        };
        let arguments = self.first_arguments.entry(id.0).or_default();
        arguments.insert(argument.to_ascii_lowercase());
        Ok(())
    }

    fn forget_first_arguments(&mut self, id: CommandId) {
        self.first_arguments.remove(&id.0);
    }

    /// A rule takes the place of former ones on the same, and on a part of it.
    fn note_rule(&mut self, allows: bool, what: &[u8]) {
        let what = what.to_ascii_lowercase();
        self.rules.retain(|rule| {
            let rest = rule.what.strip_prefix(what.as_slice());
            !rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'|')
        });
        self.rules.push(CommandRule { allows, what });
    }

    /// Whether `argv`, which calls command `id`, is allowed; else what is not, with its place.
    pub fn check<'a>(&self, id: CommandId, argv: &[&'a [u8]]) -> Result<(), (usize, Denial<'a>)> {
        let spec = spec(id);
        if !spec.flags.contains(Flags::NO_AUTH) && !self.allows_command(id, argv) {
            return Err((0, Denial::Command(full_name(id, argv))));
        }
        if !self.all_keys {
            for (at, access) in key_accesses(spec, argv) {
                if !self.allows_key(argv[at], access) {
                    return Err((at, Denial::Key(argv[at])));
                }
            }
        }
        if !self.all_channels && spec.flags.contains(Flags::PUBSUB) {
            return self.check_channels(spec.name, argv);
        }
        Ok(())
    }

    fn allows_command(&self, id: CommandId, argv: &[&[u8]]) -> bool {
        let has_first = || {
            let arguments = self.first_arguments.get(&id.0);
            let first = argv.get(1);
            arguments.zip(first).is_some_and(|(arguments, first)| {
                arguments.iter().any(|argument| argument.eq_ignore_ascii_case(first))
            })
        };
        self.allowed.has(id, argv) || has_first()
    }

    fn allows_key(&self, key: &[u8], access: KeyAccess) -> bool {
        self.keys.iter().any(|it| {
            let is_enough = (it.read || !access.reads()) && (it.write || !access.writes());
            is_enough && glob_match(&it.pattern, key)
        })
    }

    fn check_channels<'a>(&self, name: &str, argv: &[&'a [u8]]) -> Result<(), (usize, Denial<'a>)> {
        let is_pattern = name == "psubscribe";
        let count = match name {
            "publish" | "spublish" => 1,
            "subscribe" | "ssubscribe" | "psubscribe" => usize::MAX,
            _ => 0,
        };
        for (at, channel) in argv.iter().enumerate().skip(1).take(count) {
            if !self.allows_channel(channel, is_pattern) {
                return Err((at, Denial::Channel(channel)));
            }
        }
        Ok(())
    }

    /// A pattern to subscribe to must be one of those that are allowed, word for word.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let fits = |allowed: &Vec<u8>| match is_pattern {
            true => allowed == channel,
            false => glob_match(allowed, channel),
        };
        self.all_channels || self.channels.iter().any(fits)
    }

    pub fn allows_reading_all_keys(&self) -> bool {
        self.all_keys || self.keys.iter().any(|it| it.read && it.pattern == b"*")
    }

    /// The rules on commands, as ACL GETUSER tells them.
    pub fn commands_text(&self) -> Vec<u8> {
        let mut text = if self.from_all { b"+@all".to_vec() } else { b"-@all".to_vec() };
        for rule in &self.rules {
            text.push(b' ');
            text.push(if rule.allows { b'+' } else { b'-' });
            text.extend_from_slice(&rule.what);
        }
        text
    }

    pub fn keys_text(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let words = self.keys.iter().map(|key| {
            let prefix: &[u8] = match (key.read, key.write) {
                (true, false) => b"%R~",
                (false, true) => b"%W~",
                _ => b"~",
            };
            [prefix, &key.pattern].concat()
        });
        words.collect::<Vec<_>>().join(&b' ')
    }

    pub fn channels_text(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let words = self.channels.iter().map(|channel| [b"&", channel.as_slice()].concat());
        words.collect::<Vec<_>>().join(&b' ')
    }

    /// Rules that make such a selector of a new one.
    pub fn text(&self) -> Vec<u8> {
        let mut parts = vec![self.keys_text()];
        if !self.all_channels {
            parts.push(b"resetchannels".to_vec());
        }
        parts.extend([self.channels_text(), self.commands_text()]);
        parts.retain(|part| !part.is_empty());
        parts.join(&b' ')
    }
}

/// The letters of `%RW~pattern`, of which there must be one.
fn parse_permissions(rest: &[u8]) -> Option<(bool, bool, &[u8])> {
    let (mut read, mut write) = (false, false);
    for (at, byte) in rest.iter().enumerate() {
        match byte.to_ascii_uppercase() {
            b'R' if !read => read = true,
            b'W' if !write => write = true,
            b'~' if read || write => return Some((read, write, &rest[at + 1..])),
            _ => return None,
        }
    }
    (read || write).then_some((read, write, &[]))
}

/// What separates rules, and what ends a text in Redis, cannot be a part of one.
pub fn has_space(word: &[u8]) -> bool {
    word.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0b))
}
