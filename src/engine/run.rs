//! Runs commands against the keyspace and keeps count of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::batch::{Command, Commands};
use super::command::{Context, Handler, command_count, resolve, spec};
use super::error::CommandError;
use super::keyspace::{DATABASE_COUNT, Keyspace, WARM_RUN, digest_of};
use super::random::Random;
use super::reply::Reply;
use crate::raft::types::Millis;

/// Distinct codes that are counted: those of the engine itself are fewer.
const ERROR_CODES_MAX: usize = 128;

/// The replies of this many bytes are kept allocated between the commands of an entry whose replies
/// nobody wants.
const UNWANTED_REPLY_BYTES_MAX: usize = 64 << 10;

/// The replicated state, and what INFO tells of the work on it.
pub struct Engine {
    pub keyspace: Keyspace,
    /// The string of RAFT.WRITE.
    register: Vec<u8>,
    stats: EngineStats,
}

/// Counts since the start of the node or CONFIG RESETSTAT.
#[derive(Clone, Debug, Default)]
pub struct EngineStats {
    /// By command id.
    pub commands: Vec<CommandStats>,
    pub total_commands: u64,
    /// By the first word of the error.
    pub errors: BTreeMap<String, u64>,
    pub total_errors: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandStats {
    pub calls: u64,
    pub failed: u64,
}

impl Engine {
    /// `hash_seed` must be the same on all nodes of a cluster: it decides the order of SCAN.
    pub fn new(hash_seed: u64) -> Self {
        let mut engine = Self {
            keyspace: Keyspace::new(hash_seed),
            register: Vec::new(),
            stats: EngineStats::default(),
        };
        engine.reset_stats();
        engine
    }

    pub fn register(&self) -> &[u8] {
        &self.register
    }

    pub fn set_register(&mut self, bytes: &[u8]) {
        self.register = bytes.to_vec();
    }

    /// Goes on from the state of `loaded`; what this node counts goes on too.
    pub fn replace_state(&mut self, loaded: Self) {
        let former = std::mem::replace(&mut self.keyspace, loaded.keyspace);
        self.keyspace.succeed(former);
        self.register = loaded.register;
    }

    /// Equal iff (but for chance) the whole replicated state is: on nodes that applied the same
    /// entries. Walks over all keys and values.
    pub fn digest(&self) -> u128 {
        self.keyspace.digest().wrapping_add(self.digest_beside_keys())
    }

    /// What clock, hash seed, swaps of databases and register add to [`Engine::digest`].
    pub fn digest_beside_keys(&self) -> u128 {
        let keyspace = &self.keyspace;
        let of_keyspace = (keyspace.clock_ms(), keyspace.hash_seed(), keyspace.swapped());
        digest_of(&(of_keyspace, &self.register))
    }

    pub fn stats(&self) -> &EngineStats {
        &self.stats
    }

    pub fn reset_stats(&mut self) {
        let commands = vec![CommandStats::default(); command_count()];
        self.stats = EngineStats { commands, ..EngineStats::default() };
        self.keyspace.reset_stats();
    }

    /// What is run from here on belongs to the log entry `index`, which the leader appended at
    /// `at_ms`.
    pub fn begin_entry(&mut self, index: u64, at_ms: Millis) {
        self.keyspace.begin(index, at_ms);
    }

    /// Reads what the next commands will read, so that their cache misses overlap instead of adding
    /// up: to be called before each run of [`WARM_RUN`] commands of a batch.
    #[inline]
    pub fn warm(&self, commands: &Commands<'_>) {
        self.keyspace.warm(commands.first_arguments());
    }

    /// Runs one command and appends its reply. Precondition: the id is in the command table.
    #[inline]
    pub fn run(
        &mut self,
        command: &Command<'_>,
        reply: &mut Reply,
        now_ms: Millis,
        random: &mut Random,
    ) {
        let start = reply.buffer.len();
        let stats = &mut self.stats.commands[usize::from(command.id.0)];
        stats.calls += 1;
        self.stats.total_commands += 1;
        if let Err(error) = self.dispatch(command, reply, now_ms, random) {
            reply.buffer.truncate(start);
            self.fail(command, reply, &error);
        }
    }

    #[inline]
    fn dispatch(
        &mut self,
        command: &Command<'_>,
        reply: &mut Reply,
        now_ms: Millis,
        random: &mut Random,
    ) -> Result<(), CommandError> {
        let (spec, arguments) = resolve(spec(command.id), &command.arguments)?;
        if command.database >= DATABASE_COUNT {
            return Err(CommandError::DatabaseOutOfRange);
        }
        let Handler::Engine(run) = spec.handler else {
            let text = format!("ERR '{}' cannot run here", spec.name);
            return Err(CommandError::Text(Cow::Owned(text)));
        };
        let mut context = Context {
            keyspace: &mut self.keyspace,
            database: command.database,
            reply,
            random,
            register: &mut self.register,
            now_ms,
        };
        run(&mut context, arguments)
    }

    #[cold]
    fn fail(&mut self, command: &Command<'_>, reply: &mut Reply, error: &CommandError) {
        self.stats.commands[usize::from(command.id.0)].failed += 1;
        self.stats.total_errors += 1;
        let text = error.to_string();
        let code = text.split(' ').next().unwrap_or_default();
        let errors = &mut self.stats.errors;
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else if errors.len() < ERROR_CODES_MAX {
            errors.insert(code.to_owned(), 1);
        }
        reply.error_text(&text);
    }

    /// Runs a batch whose replies nobody here waits for. `reply` is where they are written and
    /// lost.
    pub fn apply_batch(
        &mut self,
        commands: Commands<'_>,
        seed: u64,
        at_ms: Millis,
        reply: &mut Reply,
    ) {
        let mut random = Random::new(seed);
        let mut commands = commands;
        loop {
            self.warm(&commands);
            let mut ran = 0;
            for command in commands.by_ref().take(WARM_RUN) {
                reply.buffer.clear();
                self.run(&command, reply, at_ms, &mut random);
                ran += 1;
            }
            if ran < WARM_RUN {
                break;
            }
        }
        reply.buffer.clear();
        reply.buffer.shrink_to(UNWANTED_REPLY_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::batch::Batch;
    use crate::engine::command::{CommandId, lookup};
    use crate::engine::testing::{check, engine};

    fn id(name: &str) -> CommandId {
        lookup(name.as_bytes()).unwrap()
    }

    #[test]
    fn calls_and_errors_are_counted() {
        let mut engine = engine();
        check(&mut engine, "SET k v", "+OK\r\n");
        check(&mut engine, "INCR k", "-ERR value is not an integer or out of range\r\n");
        check(&mut engine, "GET", "-ERR wrong number of arguments for 'get' command\r\n");
        let stats = engine.stats();
        assert_eq!((stats.total_commands, stats.total_errors), (3, 2));
        assert_eq!(stats.errors, BTreeMap::from([("ERR".to_owned(), 2)]));
        let of = |name| stats.commands[usize::from(id(name).0)];
        assert_eq!(of("set"), CommandStats { calls: 1, failed: 0 });
        assert_eq!(of("incr"), CommandStats { calls: 1, failed: 1 });
        engine.reset_stats();
        assert_eq!(engine.stats().total_commands, 0);
    }

    #[test]
    fn what_a_peer_should_not_have_sent_is_an_error_and_no_panic() {
        let mut engine = engine();
        let mut batch = Batch::default();
        batch.push(id("get"), 16, &[b"k"]);
        batch.push(id("get"), 0, &[]);
        batch.push(id("ping"), 255, &[]);
        batch.push(id("ping"), 0, &[]);
        batch.push(id("object"), 0, &[b"encoding"]);
        engine.warm(&batch.commands());
        for command in batch.commands() {
            let mut reply = Reply::default();
            engine.run(&command, &mut reply, 1, &mut Random::new(1));
            assert!(reply.buffer.starts_with(b"-ERR "));
        }
    }

    #[test]
    fn nodes_that_apply_the_same_batches_agree() {
        let mut batch = Batch::default();
        for number in 0..1_000 {
            let key = format!("key:{}", number % 400).into_bytes();
            batch.push(
                id("set"),
                (number % 16) as u8,
                &[&key, b"some value of more than 22 bytes"],
            );
            batch.push(id("incr"), 0, &[&key]);
            batch.push(id("pexpire"), (number % 16) as u8, &[&key, b"50"]);
            batch.push(id("raft.write"), 0, &[&key]);
        }
        let (mut origin, mut other) = (Engine::new(4), Engine::new(4));
        let mut unwanted = Reply::default();
        for index in 1..20 {
            let at_ms = 1_000 + index * 20;
            for engine in [&mut origin, &mut other] {
                engine.begin_entry(index, at_ms);
                engine.keyspace.expire_due(100);
            }
            other.apply_batch(batch.commands(), index, at_ms, &mut unwanted);
            let mut random = Random::new(index);
            let mut reply = Reply::default();
            for command in batch.commands() {
                origin.run(&command, &mut reply, at_ms, &mut random);
            }
            assert!(unwanted.buffer.is_empty() && !reply.buffer.is_empty());
            assert_eq!(origin.keyspace.digest(), other.keyspace.digest());
            assert_eq!(origin.register(), other.register());
        }
    }
}
