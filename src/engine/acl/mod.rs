//! Access control: the users of the cluster, and what they may do, as Redis has it
//! (<https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>).
//!
//! PURE, and replicated: ACL SETUSER and what else changes users goes through the log, so that all
//! nodes have the same. A node checks commands with the users as of the last entry that it has
//! applied: what one node has answered another one may learn some milliseconds later. A command
//! that has passed is not checked again, even if its entry comes behind one that takes the right
//! away: that may be much later if its node is cut off and keeps what it has accepted. To check it
//! when it is applied, each entry would have to name the users of all its commands. Only what
//! scripts run is checked then, and so exactly.
//!
//! # Where users come from
//! A cluster begins with the `default` user, which may do anything and needs no password. The first
//! node in it that has users, a password (`requirepass`) or `acl-pubsub-default` in its own
//! configuration brings them all along ([`Acl::seed`]). From then on, or once a command has changed
//! anything, the users are the cluster's. A node goes by its own configuration until it has learned
//! of them; from then on that does not count, and a node that has something else in it says so in
//! its log.
//!
//! `requirepass` is the password of the `default` user, and CONFIG SET changes it for all nodes. A
//! configuration that names that user itself goes by what it says there.

mod commands;
mod selector;
#[cfg(test)]
mod tests;
mod user;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::CommandId;

pub use commands::{CATEGORIES, category, full_name, names_of_category};
pub use selector::Selector;
pub use user::{User, is_name};

/// Who clients are that have not said so.
pub const DEFAULT_USER: &[u8] = b"default";

/// Why a user may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial<'a> {
    Command(&'static str),
    Key(&'a [u8]),
    Channel(&'a [u8]),
}

impl Denial<'_> {
    fn rank(&self) -> u8 {
        match self {
            Self::Command(_) => 0,
            Self::Key(_) => 1,
            Self::Channel(_) => 2,
        }
    }

    /// What ACL DRYRUN tells of it.
    pub fn full_text(&self, user: &[u8]) -> String {
        let (user, text) = (String::from_utf8_lossy(user), String::from_utf8_lossy);
        match self {
            Self::Command(name) => {
                format!("User {user} has no permissions to run the '{name}' command")
            }
            Self::Key(key) => {
                format!("User {user} has no permissions to access the '{}' key", text(key))
            }
            Self::Channel(channel) => {
                let channel = text(channel);
                format!("User {user} has no permissions to access the '{channel}' channel")
            }
        }
    }

    /// What the client is told, without the NOPERM.
    pub fn text(&self, user: &[u8]) -> String {
        match self {
            Self::Command(_) => self.full_text(user),
            Self::Key(_) => "No permissions to access a key".to_owned(),
            Self::Channel(_) => "No permissions to access a channel".to_owned(),
        }
    }
}

/// Why something was denied, as ACL LOG tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    pub reason: &'static str,
    /// Where: `toplevel`, `multi` or `lua`.
    pub context: &'static str,
    pub object: Vec<u8>,
    pub user: Vec<u8>,
}

impl Denied {
    pub fn new(denial: &Denial<'_>, context: &'static str, user: &[u8]) -> Self {
        let (reason, object) = match denial {
            Denial::Command(name) => ("command", name.as_bytes()),
            Denial::Key(key) => ("key", *key),
            Denial::Channel(channel) => ("channel", *channel),
        };
        Self { reason, context, object: object.to_vec(), user: user.to_vec() }
    }
}

/// Why a rule cannot be taken over, in Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("Syntax error")]
    Syntax,
    #[error("Unknown command or category name in ACL")]
    Unknown,
    #[error("Allowing first-arg of a subcommand is not supported")]
    ArgumentOfSubcommand,
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not \
         have any effect. Try 'resetkeys' to start with an empty list of patterns"
    )]
    KeysCovered,
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does \
         not have any effect. Try 'resetchannels' to start with an empty list of channels"
    )]
    ChannelsCovered,
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal \
         characters"
    )]
    NoHash,
}

/// Why users are not changed, in Redis's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AclError {
    #[error("Usernames can't contain spaces or null characters")]
    Name,
    #[error("Unmatched parenthesis in acl selector starting at '{0}'.")]
    Parenthesis(String),
    #[error("Error in ACL SETUSER modifier '{rule}': {source}")]
    Rule { rule: String, source: RuleError },
    #[error("a line does not begin with 'user' and a name")]
    Line,
    #[error("Duplicate user '{0}' found")]
    Twice(String),
    #[error("The 'default' user cannot be removed")]
    DefaultStays,
}

/// All users, and what is decided with them for the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    users: BTreeMap<Vec<u8>, Arc<User>>,
    next_number: u64,
    /// `acl-pubsub-default`: what new users may do with channels.
    all_channels: bool,
    /// `requirepass`, as it was set last.
    requirepass: Vec<u8>,
    /// The users are no longer those that a cluster begins with.
    is_seeded: bool,
}

impl Default for Acl {
    fn default() -> Self {
        let default_user = Arc::new(User::default_user());
        Self {
            users: BTreeMap::from([(DEFAULT_USER.to_vec(), default_user)]),
            next_number: 1,
            all_channels: false,
            requirepass: Vec::new(),
            is_seeded: false,
        }
    }
}

/// What a node has in its configuration, or a snapshot holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seed {
    pub requirepass: Vec<u8>,
    pub all_channels: bool,
    /// Name and rules of each user.
    pub users: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

impl Seed {
    /// There is nothing in it that is not so by default.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Acl {
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// Whom the commands of a script are checked for whose client was the user of this name when it
    /// sent it. Who is gone by now may do nothing.
    pub fn user_of_script(&self, name: &[u8]) -> Arc<User> {
        self.get(name).cloned().unwrap_or_else(|| Arc::new(User::new(name, 0, false)))
    }

    pub fn default_user(&self) -> &Arc<User> {
        self.get(DEFAULT_USER).expect("invariant: the default user cannot be removed")
    }

    /// By name.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    pub fn is_seeded(&self) -> bool {
        self.is_seeded
    }

    pub fn all_channels(&self) -> bool {
        self.all_channels
    }

    pub fn requirepass(&self) -> &[u8] {
        &self.requirepass
    }

    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Makes a user, or changes the one of that name: by all rules or, on an error, not at all.
    pub fn set_user(&mut self, name: &[u8], rules: &[&[u8]]) -> Result<(), AclError> {
        if !is_name(name) {
            return Err(AclError::Name);
        }
        let mut user = match self.users.get(name) {
            Some(user) => User::clone(user),
            None => User::new(name, self.next_number, self.all_channels),
        };
        for rule in joined(rules)? {
            user.apply(&rule, self.all_channels).map_err(|source| {
                let rule = String::from_utf8_lossy(&rule).into_owned();
                AclError::Rule { rule, source }
            })?;
        }
        if user.number == self.next_number {
            self.next_number += 1;
        }
        self.users.insert(name.to_vec(), Arc::new(user));
        self.is_seeded = true;
        Ok(())
    }

    /// Removes users; tells how many there were. The default user stays, and then all do.
    pub fn remove_users(&mut self, names: &[&[u8]]) -> Result<usize, AclError> {
        if names.contains(&DEFAULT_USER) {
            return Err(AclError::DefaultStays);
        }
        let removed = names.iter().filter(|name| self.users.remove(**name).is_some()).count();
        self.is_seeded |= removed > 0;
        Ok(removed)
    }

    /// Sets the password of the default user; an empty one is none.
    pub fn set_requirepass(&mut self, password: &[u8]) {
        let rule = if password.is_empty() { b"nopass".to_vec() } else { [b">", password].concat() };
        self.set_user(DEFAULT_USER, &[b"resetpass", &rule])
            .expect("invariant: these rules are sound");
        self.requirepass = password.to_vec();
    }

    pub fn set_all_channels(&mut self, all_channels: bool) {
        self.all_channels = all_channels;
        self.is_seeded = true;
    }

    /// Takes over the users of a configuration instead of those that are there, as ACL LOAD does. A
    /// default user that it does not name is as at the beginning. On an error nothing is changed.
    pub fn replace_users(&mut self, lines: &[(Vec<u8>, Vec<Vec<u8>>)]) -> Result<(), AclError> {
        let mut fresh = Self { users: BTreeMap::new(), ..self.clone() };
        for (name, rules) in lines {
            if fresh.users.contains_key(name) {
                return Err(AclError::Twice(String::from_utf8_lossy(name).into_owned()));
            }
            // It stays the user that it is for those who are it.
            if let Some(user) = self.users.get(name) {
                let empty = User::new(name, user.number, self.all_channels);
                fresh.users.insert(name.clone(), Arc::new(empty));
            }
            let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
            fresh.set_user(name, &rules)?;
        }
        let default_user = || Arc::new(User::default_user());
        fresh.users.entry(DEFAULT_USER.to_vec()).or_insert_with(default_user);
        fresh.is_seeded = true;
        *self = fresh;
        Ok(())
    }

    /// What a configuration makes of the users that a cluster begins with.
    pub fn seed(seed: &Seed) -> Result<Self, AclError> {
        let mut acl = Self { all_channels: seed.all_channels, ..Self::default() };
        acl.replace_users(&seed.users)?;
        // What is said of the default user itself counts for more, as in Redis.
        if seed.users.iter().any(|(name, _)| name == DEFAULT_USER) {
            acl.requirepass.clone_from(&seed.requirepass);
        } else if !seed.requirepass.is_empty() {
            acl.set_requirepass(&seed.requirepass);
        }
        Ok(acl)
    }

    /// Lines of an ACL file for these names and rules.
    pub fn lines(users: &[(Vec<u8>, Vec<Vec<u8>>)]) -> Vec<Vec<u8>> {
        let line = |(name, rules): &(Vec<u8>, Vec<Vec<u8>>)| {
            let words = [b"user".to_vec(), name.clone()];
            words.iter().chain(rules).cloned().collect::<Vec<_>>().join(&b' ')
        };
        users.iter().map(line).collect()
    }

    /// What stands for all of it in a snapshot and in a digest, with [`Acl::numbers`].
    pub fn to_seed(&self) -> Seed {
        let line = |user: &Arc<User>| (user.name.clone(), user.rules());
        Seed {
            requirepass: self.requirepass.clone(),
            all_channels: self.all_channels,
            users: self.users().map(line).collect(),
        }
    }

    /// The numbers of the users, in the order of their names.
    pub fn numbers(&self) -> Vec<u64> {
        self.users().map(|user| user.number).collect()
    }

    /// The inverse of [`Acl::to_seed`] and what else there is. `None` for what cannot be.
    pub fn restore(
        seed: &Seed,
        numbers: &[u64],
        next_number: u64,
        is_seeded: bool,
    ) -> Option<Self> {
        if numbers.len() != seed.users.len() {
            return None;
        }
        let mut users = BTreeMap::new();
        for ((name, rules), number) in seed.users.iter().zip(numbers) {
            let is_new = *number < next_number && (*number == 0) == (name == DEFAULT_USER);
            let mut user = User::new(name, *number, false);
            let sound = rules.iter().all(|rule| user.apply(rule, false).is_ok());
            if !is_new || !is_name(name) || !sound {
                return None;
            }
            if users.insert(name.clone(), Arc::new(user)).is_some() {
                return None;
            }
        }
        users.contains_key(DEFAULT_USER).then(|| Self {
            users,
            next_number,
            all_channels: seed.all_channels,
            requirepass: seed.requirepass.clone(),
            is_seeded,
        })
    }

    /// Whether a user may do what `argv` says, which calls command `id`.
    pub fn check<'a>(
        &self,
        user: &[u8],
        id: CommandId,
        argv: &[&'a [u8]],
    ) -> Option<Result<(), Denial<'a>>> {
        self.get(user).map(|user| user.check(id, argv))
    }
}

/// Name and rules of a line `user <name> <rule> ...`, as in an ACL file. `None` for a blank line or
/// a comment.
pub type UserLine = Option<(Vec<u8>, Vec<Vec<u8>>)>;

/// Reads one line of an ACL file.
pub fn parse_line(line: &[u8]) -> Result<UserLine, AclError> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    match words.next() {
        None => return Ok(None),
        Some([b'#', ..]) => return Ok(None),
        Some(b"user") => {}
        Some(_) => return Err(AclError::Line),
    }
    let name = words.next().ok_or(AclError::Line)?;
    Ok(Some((name.to_vec(), words.map(<[u8]>::to_vec).collect())))
}

/// Rules with each selector in one word, which may come in several.
fn joined(rules: &[&[u8]]) -> Result<Vec<Vec<u8>>, AclError> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    // Where a selector begins that goes on.
    let mut open: Option<&[u8]> = None;
    for rule in rules {
        match open {
            Some(_) => {
                let selector = words.last_mut().expect("invariant: it was begun");
                selector.push(b' ');
                selector.extend_from_slice(rule);
            }
            None => words.push(rule.to_vec()),
        }
        open = match (open, rule.ends_with(b")")) {
            (Some(_), true) => None,
            (None, false) if rule.starts_with(b"(") => Some(rule),
            (open, _) => open,
        };
    }
    match open {
        Some(start) => Err(AclError::Parenthesis(String::from_utf8_lossy(start).into_owned())),
        None => Ok(words),
    }
}
