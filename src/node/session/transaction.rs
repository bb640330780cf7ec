//! What a client has queued since MULTI.
//!
//! HELLO takes effect among what the node answers, behind the commands of the engine: these reply
//! in the protocol that the client has at EXEC. CONFIG SET is queued if all that it names is of the
//! node or all of the cluster; both at once is refused, and then EXEC is: what is of the cluster
//! has its place among the commands on data, what is of the node behind them, and half of it would
//! be done where the other half is refused.

use std::sync::Arc;

use crate::config::is_of_cluster;
use crate::engine::acl::User;
use crate::engine::batch::{Batch, Called, Sender};
use crate::engine::command::{CommandId, CommandSpec, Flags, Handler, NodeCommand, SessionCommand};
use crate::engine::command::{lookup, resolve, spec};
use crate::engine::error::CommandError;
use crate::engine::keyspace::DATABASE_COUNT;
use crate::engine::number::parse_integer;
use crate::engine::script::says_it_only_reads;
use crate::limits::TRANSACTION_BYTES_MAX;

/// A queued command that the node sees to itself, once the others are done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Its place among all queued commands.
    pub place: u32,
    pub work: AsideWork,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsideWork {
    Run {
        command: NodeCommand,
        words: Vec<Vec<u8>>,
    },
    /// It is answered with this error.
    Refuse(String),
}

#[derive(Clone, Debug)]
pub struct Transaction {
    /// What the engine runs: one entry, or one read.
    pub commands: Batch,
    pub count: u32,
    pub writes: bool,
    /// Whether any of it may change data: scripts go through the log that say they only read.
    pub may_change: bool,
    pub asides: Vec<Aside>,
    aside_bytes: usize,
    bytes_max: usize,
    /// A command was refused: EXEC refuses the whole.
    pub aborted: bool,
    /// What it looks at does not count as used.
    pub is_unnoticed: bool,
    /// Which database is selected at this point of the queue.
    database: u8,
    /// It has commands that change users.
    pub changes_users: bool,
    /// Whom the client was at MULTI.
    pub user: Arc<User>,
}

/// Whether a command is run at once even after MULTI.
pub fn is_never_queued(spec: &CommandSpec) -> bool {
    match spec.handler {
        Handler::Session(command) => command != SessionCommand::Unwatch,
        Handler::Node(command) => command == NodeCommand::Quit,
        Handler::Engine(_) => false,
    }
}

impl Transaction {
    pub fn new(database: u8, user: Arc<User>) -> Self {
        Self {
            commands: Batch::default(),
            count: 0,
            writes: false,
            may_change: false,
            asides: Vec::new(),
            aside_bytes: 0,
            bytes_max: TRANSACTION_BYTES_MAX,
            aborted: false,
            is_unnoticed: false,
            database,
            changes_users: false,
            user,
        }
    }

    /// Bytes of what is queued.
    pub fn bytes(&self) -> usize {
        self.commands.bytes() + self.aside_bytes
    }

    /// How many commands are queued.
    pub fn queued_count(&self) -> usize {
        self.count as usize + self.asides.len()
    }

    /// Whether a command may be queued at all, beyond what is asked of it outside of transactions.
    pub fn check(spec: &'static CommandSpec, arguments: &[&[u8]]) -> Result<(), CommandError> {
        let (resolved, _) = resolve(spec, arguments)?;
        if !is_never_queued(spec) && resolved.flags.contains(Flags::NO_MULTI) {
            return Err(CommandError::text("ERR Command not allowed inside a transaction"));
        }
        if matches!(spec.handler, Handler::Node(NodeCommand::Migrate)) {
            // What goes to another server is no part of what happens at one moment.
            return Err(CommandError::text("ERR MIGRATE is not allowed inside a transaction"));
        }
        Ok(())
    }

    /// Precondition: the command was checked.
    pub fn queue(&mut self, id: CommandId, words: &[&[u8]]) -> Result<(), CommandError> {
        // Each word counts its length, too.
        let bytes = words.iter().map(|word| word.len() + size_of::<u64>()).sum::<usize>();
        if self.bytes() + bytes > self.bytes_max {
            return Err(CommandError::text("ERR transaction is too large"));
        }
        let spec = spec(id);
        match spec.handler {
            Handler::Node(NodeCommand::Config) if changes_cluster(words) => {
                // Only the log can put it among commands on data.
                let names = words[2..].chunks(2).map(|pair| pair[0]);
                if !names.into_iter().all(is_of_cluster) {
                    return Err(MIXED);
                }
                let id = lookup(b"raft.setting").expect("invariant: it is in the table");
                self.commands.push(id, self.database, &words[1..]);
                self.count += 1;
                self.writes = true;
                self.may_change = true;
            }
            Handler::Node(command) if !spec.is_of_engine(words.get(1)) => {
                if command == NodeCommand::Select {
                    self.select(words[1]);
                }
                let place = self.queued_count() as u32;
                let words = words.iter().map(|word| word.to_vec()).collect();
                self.asides.push(Aside { place, work: AsideWork::Run { command, words } });
                self.aside_bytes += bytes;
            }
            _ => {
                let is_checked = spec.runs_script() && !self.user.is_unrestricted();
                let user = is_checked.then_some(&*self.user.name);
                let sender = Sender { hides_usage: self.is_unnoticed, user };
                let called = Called::by(words[0], id);
                self.commands.push_of(sender, called, self.database, &words[1..]);
                self.count += 1;
                self.writes |= spec.writes(words.get(1));
                self.may_change |= match spec.runs_script() {
                    true => may_write(spec, words),
                    false => spec.writes(words.get(1)),
                };
                let is_acl = matches!(spec.handler, Handler::Node(NodeCommand::Acl));
                self.changes_users |= is_acl && spec.writes(words.get(1));
            }
        }
        Ok(())
    }

    /// The same for a client that is now `user`, who may not do everything, without what `check`
    /// refuses, which is answered with its text.
    pub fn rechecked(
        self,
        user: &User,
        check: impl Fn(CommandId, &[&[u8]]) -> Result<(), String>,
    ) -> Self {
        let mut asides = self.asides.into_iter().peekable();
        let mut commands = self.commands.commands();
        let (mut kept, mut kept_count, mut kept_asides) = (Batch::default(), 0, Vec::new());
        for place in 0..self.count + asides.len() as u32 {
            if let Some(Aside { work, .. }) = asides.next_if(|aside| aside.place == place) {
                let refusal = match &work {
                    AsideWork::Run { words, .. } => {
                        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                        let id = lookup(words[0]).expect("invariant: it was queued by its name");
                        check(id, &words).err()
                    }
                    AsideWork::Refuse(_) => None,
                };
                let work = refusal.map_or(work, AsideWork::Refuse);
                kept_asides.push(Aside { place, work });
                continue;
            }
            let command = commands.next().expect("invariant: every place has a command");
            let name = spec(command.id).name.as_bytes();
            let words: Vec<&[u8]> =
                std::iter::once(name).chain(command.arguments.iter().copied()).collect();
            match check(command.id, &words) {
                Ok(()) => {
                    let user = spec(command.id).runs_script().then_some(&*user.name);
                    let sender = Sender { user, ..command.sender };
                    kept.push_of(sender, command.called(), command.database, &words[1..]);
                    kept_count += 1;
                }
                Err(text) => kept_asides.push(Aside { place, work: AsideWork::Refuse(text) }),
            }
        }
        Self { commands: kept, count: kept_count, asides: kept_asides, ..self }
    }

    /// What is queued behind SELECT is for that database, unless SELECT will fail.
    fn select(&mut self, number: &[u8]) {
        let number = parse_integer(number).and_then(|number| u8::try_from(number).ok());
        self.database = number.filter(|it| *it < DATABASE_COUNT).unwrap_or(self.database);
    }
}

const MIXED: CommandError = CommandError::text(
    "ERR a transaction cannot change settings of the node and of the cluster with one command",
);

/// Whether the command is a CONFIG SET of what the cluster has as one.
fn changes_cluster(words: &[&[u8]]) -> bool {
    let sets = words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"SET"));
    sets && words[2..].chunks(2).any(|pair| is_of_cluster(pair[0]))
}

/// Whether a script or function may write. Of those that are called by name only the engine knows.
pub fn may_write(spec: &CommandSpec, words: &[&[u8]]) -> bool {
    let only_reads = spec.flags.contains(Flags::READONLY)
        || spec.name == "eval" && words.get(1).is_some_and(|source| says_it_only_reads(source));
    !only_reads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::acl::Acl;

    fn user() -> Arc<User> {
        Arc::clone(Acl::default().default_user())
    }

    fn queue(transaction: &mut Transaction, line: &str) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let id = lookup(words[0]).unwrap();
        Transaction::check(spec(id), &words[1..]).unwrap();
        transaction.queue(id, &words).unwrap();
    }

    #[test]
    fn databases_follow_select_and_what_the_node_runs_keeps_its_place() {
        let mut transaction = Transaction::new(2, user());
        for line in ["GET a", "SELECT 5", "GET b", "SELECT 99", "SELECT x", "UNWATCH", "PING"] {
            queue(&mut transaction, line);
        }
        let databases: Vec<u8> =
            transaction.commands.commands().map(|command| command.database).collect();
        assert_eq!(databases, [2, 5, 5]);
        let places: Vec<u32> = transaction.asides.iter().map(|aside| aside.place).collect();
        assert_eq!(places, [1, 3, 4, 6]);
        assert!(!transaction.writes);
        queue(&mut transaction, "XGROUP CREATE s g 0");
        assert!(transaction.writes);
        assert_eq!(transaction.queued_count(), 8);
    }

    #[test]
    fn a_script_that_says_it_only_reads_changes_nothing() {
        let mut transaction = Transaction::new(0, user());
        let source: &[u8] = b"#!lua flags=no-writes\nreturn 1";
        transaction.queue(lookup(b"eval").unwrap(), &[b"EVAL", source, b"0"]).unwrap();
        assert!(!transaction.may_change);
        queue(&mut transaction, "EVAL x 0");
        assert!(transaction.may_change);
    }

    #[test]
    fn what_is_refused_later_keeps_its_place() {
        let mut transaction = Transaction::new(0, user());
        for line in ["SET a 1", "PING", "GET b", "ECHO x", "SET c 3"] {
            queue(&mut transaction, line);
        }
        let is_denied =
            |words: &[&[u8]]| ["get", "ECHO"].iter().any(|it| it.as_bytes() == words[0]);
        let checked = transaction.rechecked(&user(), |_, words| {
            if is_denied(words) { Err("NOPERM".to_owned()) } else { Ok(()) }
        });
        assert_eq!((checked.count, checked.queued_count()), (2, 5));
        let firsts: Vec<_> = checked.commands.commands().map(|it| it.arguments[0]).collect();
        assert_eq!(firsts, [b"a", b"c"]);
        let refused: Vec<_> = checked
            .asides
            .iter()
            .map(|aside| (aside.place, aside.work == AsideWork::Refuse("NOPERM".to_owned())))
            .collect();
        assert_eq!(refused, [(1, false), (2, true), (3, true)]);
    }

    #[test]
    fn what_may_not_be_queued_is_refused() {
        let text = |line: &str| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let id = lookup(words[0]).unwrap();
            Transaction::check(spec(id), &words[1..]).map_err(|error| error.to_string())
        };
        let refused = Err("ERR Command not allowed inside a transaction".to_owned());
        assert_eq!(text("SHUTDOWN"), refused);
        assert_eq!(text("RAFT.NODE REMOVE 1"), refused);
        let unknown = Err("ERR unknown subcommand 'NOPE'. Try CLIENT HELP.".to_owned());
        assert_eq!(text("CLIENT NOPE"), unknown);
        for line in ["MULTI", "WATCH k", "EXEC", "CONFIG GET x", "XINFO STREAM s"] {
            assert_eq!(text(line), Ok(()), "{line}");
        }
    }

    #[test]
    fn settings_of_the_cluster_are_changed_among_the_commands_of_the_engine() {
        let mut transaction = Transaction::new(0, user());
        queue(&mut transaction, "CONFIG SET timeout 5");
        queue(&mut transaction, "config set maxmemory 5 MAXMEMORY-policy noeviction");
        assert_eq!((transaction.count, transaction.asides.len()), (1, 1));
        let command = transaction.commands.commands().next().map(|command| command.id);
        assert_eq!(command, lookup(b"raft.setting"));
        let id = lookup(b"config").unwrap();
        let mixed: [&[u8]; 6] = [b"config", b"set", b"maxmemory", b"5", b"timeout", b"5"];
        assert_eq!(transaction.queue(id, &mixed), Err(MIXED));
        assert_eq!(transaction.queued_count(), 2);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut transaction = Transaction { bytes_max: 4000, ..Transaction::new(0, user()) };
        let value = [0; 1000];
        let id = lookup(b"set").unwrap();
        for (count, queued) in [(1, true), (2, true), (3, true), (4, false)] {
            let result = transaction.queue(id, &[b"set", b"k", &value]);
            assert_eq!(result.is_ok(), queued, "{count}");
        }
        let echo = lookup(b"echo").unwrap();
        assert!(transaction.queue(echo, &[b"echo", &value]).is_err());
        assert!(transaction.queue(echo, &[b"echo", b"x"]).is_ok());
    }
}
