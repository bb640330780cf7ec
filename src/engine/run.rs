//! Runs commands against the keyspace and keeps count of them.

mod refusing;
mod unit;

use std::borrow::Cow;
use std::sync::Arc;

use self::unit::is_unit;
use super::acl::Acl;
use super::ahead::Ahead;
use super::batch::{Command, Commands, Sender};
use super::command::{
    CommandId, Context, Handler, awaited_type, keys_of, reads_for_group, resolve, spec, stat_count,
    stat_slot,
};
use super::error::CommandError;
use super::import::Import;
use super::keyspace::{DATABASE_COUNT, Entry, Keyspace, Place, SessionId, digest_of};
use super::notifications::{publish_events, tells_misses};
use super::pubsub::{Subscriber, Subscribers};
use super::random::Random;
use super::reply::Reply;
use super::script::{Runtime, Scripts};
use super::settings::Settings;
use super::stats::{CommandStats, EngineStats};
use super::timing::{Notable, Thresholds};
use super::tracking::{self, Tracking};
use super::waiting::{Served, Waiter, Waiting};
use super::witness::Witness;
use crate::raft::types::{MemberId, Millis};

/// The replies of this many bytes are kept allocated between the commands of an entry whose replies
/// nobody wants.
const UNWANTED_REPLY_BYTES_MAX: usize = 64 << 10;

/// The replicated state, and what INFO tells of the work on it.
pub struct Engine {
    pub keyspace: Keyspace,
    /// The string of RAFT.WRITE.
    register: Vec<u8>,
    stats: EngineStats,
    waiting: Waiting,
    pub scripts: Scripts,
    /// No part of the state: what is compiled of it.
    pub runtime: Runtime,
    /// Shared with those who check commands: they see that it has changed by its being another.
    acl: Arc<Acl>,
    /// The clients of this node that subscribe. No part of the state, as the counts are not.
    pub subscribers: Subscribers,
    /// The clients of this node that keep copies of what they read. No part of the state either.
    pub tracking: Tracking,
    /// What scripts of this node's clients do. No part of the state.
    pub witness: Witness,
    /// Whose clients sent the batch that is run.
    origin: MemberId,
    settings: Settings,
    /// The settings are others than when [`Engine::take_settings_change`] was last asked.
    settings_changed: bool,
    /// Whom the cluster follows.
    import: Import,
    /// It is another one than when [`Engine::take_import_change`] was last asked.
    import_changed: bool,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    Replied,
    /// Its reply comes later, from [`Engine::take_served`]: for this session.
    Waits(SessionId),
}

impl Engine {
    /// `hash_seed` must be the same on all nodes of a cluster: it decides the order of SCAN.
    pub fn new(hash_seed: u64) -> Self {
        let mut engine = Self {
            keyspace: Keyspace::new(hash_seed),
            register: Vec::new(),
            stats: EngineStats::default(),
            waiting: Waiting::default(),
            scripts: Scripts::default(),
            runtime: Runtime::default(),
            acl: Arc::default(),
            subscribers: Subscribers::default(),
            tracking: Tracking::default(),
            witness: Witness::default(),
            origin: MemberId::NONE,
            settings: Settings::default(),
            settings_changed: false,
            import: Import::default(),
            import_changed: false,
        };
        engine.reset_stats();
        engine
    }

    /// The users of the cluster.
    #[inline]
    pub fn acl(&self) -> &Arc<Acl> {
        &self.acl
    }

    pub fn set_acl(&mut self, acl: Acl) {
        self.acl = Arc::new(acl);
    }

    pub fn register(&self) -> &[u8] {
        &self.register
    }

    pub fn set_register(&mut self, bytes: &[u8]) {
        self.register = bytes.to_vec();
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Puts the settings of another node in the place of these.
    pub fn set_settings(&mut self, settings: Settings) {
        self.keyspace.follow_settings(&settings);
        self.settings = settings;
        self.settings_changed = true;
        self.set_import(self.import.clone());
    }

    /// Whom the cluster follows, and how far that is.
    pub fn import(&self) -> &Import {
        &self.import
    }

    /// Puts the import that another node knows of in the place of this one.
    pub fn set_import(&mut self, import: Import) {
        self.import = import;
        self.import_changed = true;
        let is_read_only = self.import.is_active() && self.settings.replica_read_only();
        self.keyspace.set_read_only(is_read_only);
        self.keyspace.set_importing(self.import.is_active());
    }

    /// The import if it has changed since the last call.
    pub fn take_import_change(&mut self) -> Option<&Import> {
        std::mem::take(&mut self.import_changed).then_some(&self.import)
    }

    /// Whether settings or import have changed.
    #[inline]
    pub fn has_news_for_node(&self) -> bool {
        self.settings_changed | self.import_changed
    }

    /// Whether [`Engine::take_settings_change`] has something.
    #[inline]
    pub fn has_settings_change(&self) -> bool {
        self.settings_changed
    }

    /// The settings if they have changed since the last call.
    pub fn take_settings_change(&mut self) -> Option<&Settings> {
        std::mem::take(&mut self.settings_changed).then_some(&self.settings)
    }

    /// Goes on from the state of `loaded`; what this node counts, and who subscribes or tracks,
    /// goes on too.
    pub fn replace_state(&mut self, loaded: Self) {
        let former = std::mem::replace(&mut self.keyspace, loaded.keyspace);
        self.keyspace.succeed(former);
        // What has changed on the way nobody knows.
        self.tracking.drop_all();
        self.keyspace.gather_changes(self.tracking.is_active());
        self.register = loaded.register;
        self.waiting = loaded.waiting;
        self.scripts = loaded.scripts;
        self.import = loaded.import;
        self.set_settings(loaded.settings);
        self.acl = loaded.acl;
    }

    /// Equal iff (but for chance) the whole replicated state is: on nodes that applied the same
    /// entries. Walks over all keys and values.
    pub fn digest(&self) -> u128 {
        self.keyspace.digest().wrapping_add(self.digest_beside_keys())
    }

    /// What clock, hash seed, register, settings, scripts, watched keys, those who wait, users and
    /// import add to [`Engine::digest`].
    pub fn digest_beside_keys(&self) -> u128 {
        let keyspace = &self.keyspace;
        let of_keyspace = (
            keyspace.clock_ms(),
            keyspace.hash_seed(),
            keyspace.watching(),
            keyspace.has_active_expire(),
        );
        let of_waiting = (self.waiting.waiters(), self.waiting.next_number());
        let acl = &*self.acl;
        let of_users = (acl.to_seed(), acl.numbers(), acl.next_number(), acl.is_seeded());
        digest_of(&(
            of_keyspace,
            &self.register,
            of_waiting,
            &self.settings,
            of_users,
            &self.scripts,
            &self.import,
        ))
    }

    pub fn stats(&self) -> &EngineStats {
        &self.stats
    }

    pub fn reset_stats(&mut self) {
        let commands = vec![CommandStats::default(); stat_count()];
        let histograms = vec![None; stat_count()];
        let timing = std::mem::take(&mut self.stats.timing);
        self.stats = EngineStats { commands, histograms, timing, ..EngineStats::default() };
        self.keyspace.reset_stats();
    }

    /// Commands are timed by this clock, in nanoseconds, which decides nothing of the state.
    pub fn set_stopwatch(&mut self, clock: fn() -> u64) {
        self.stats.timing.set_clock(clock);
    }

    /// Between these two commands follow each other with nothing in between. Those of clients of
    /// this node, `is_own`, are noted if they are over the thresholds.
    pub fn begin_timing(&mut self, is_own: bool, thresholds: Thresholds) {
        self.stats.begin_timing(is_own, thresholds);
    }

    pub fn end_timing(&mut self) {
        self.stats.end_timing();
    }

    /// An error that was replied in place of running a command.
    pub fn count_error(&mut self, text: &str) {
        self.stats.count_error(text);
    }

    #[inline]
    pub fn has_notable(&self) -> bool {
        self.stats.timing.has_notable()
    }

    /// The commands that were over the thresholds since the last call.
    #[inline]
    pub fn take_notable(&mut self) -> Vec<Notable> {
        self.stats.timing.take_notable()
    }

    /// What is run from here on belongs to the log entry `index`, which the leader appended at
    /// `at_ms`.
    pub fn begin_entry(&mut self, index: u64, at_ms: Millis) {
        self.keyspace.begin(index, at_ms);
    }

    /// What is run from here on was sent by clients of `origin`.
    pub fn begin_batch(&mut self, origin: MemberId) {
        self.origin = origin;
    }

    /// Only these members are in the cluster: what others left behind for their clients goes.
    pub fn keep_members(&mut self, is_member: impl Fn(MemberId) -> bool) {
        self.keyspace.keep_watches_of(&is_member);
        self.waiting.keep_members(&mut self.keyspace, is_member);
        // Keys that were watched may have been due.
        spread_news(&mut self.keyspace, &mut self.subscribers, &mut self.tracking);
    }

    /// A client of this node begins to track what it reads, or does so no more.
    pub fn track(&mut self, change: tracking::Change) {
        self.tracking.apply(change);
        self.keyspace.gather_changes(self.tracking.is_active());
    }

    /// The batch that is begun was sent by clients of this node.
    pub fn begin_own_batch(&mut self) {
        self.tracking.set_member(self.origin);
    }

    /// What is run from here on is sent by this client of this node, in the batch that is begun or
    /// beside it; whether it is remembered at what it reads. Only asked for while some client
    /// tracks.
    pub fn begin_client(&mut self, client: Subscriber, remembers: bool) {
        self.tracking.begin(client, remembers);
        self.keyspace.set_always_news(self.tracking.remembers());
    }

    /// What is run from here on is not.
    pub fn end_client(&mut self) {
        self.tracking.end();
        self.keyspace.set_always_news(false);
    }

    /// Removes keys and ends waits that are due, each at most about `limit`, by deadline.
    pub fn expire_due(&mut self, limit: usize) {
        self.keyspace.expire_due(limit);
        if self.keyspace.has_news() {
            spread_news(&mut self.keyspace, &mut self.subscribers, &mut self.tracking);
        }
        let now_ms = self.keyspace.clock_ms();
        self.waiting.time_out(&mut self.keyspace, now_ms, limit);
        if self.keyspace.has_ready() {
            // Nothing that can wait is random.
            self.serve(now_ms, &mut Random::new(0));
        }
    }

    /// When the next key or wait is due.
    pub fn next_deadline(&self) -> Option<Millis> {
        let deadlines = [self.keyspace.next_deadline(), self.waiting.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    pub fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Those who wait, with the keyspace, which knows what they wait for.
    pub fn waiting_mut(&mut self) -> (&mut Waiting, &mut Keyspace) {
        (&mut self.waiting, &mut self.keyspace)
    }

    /// The replies to clients that waited, since the last call.
    #[inline]
    pub fn take_served(&mut self) -> Vec<Served> {
        self.waiting.take_unserved(|command, how| self.stats.count_unserved(command, how));
        self.waiting.take_served()
    }

    /// Reads what the next commands will read, so that their cache misses overlap instead of adding
    /// up: to be called before each run of [`WARM_RUN`] commands of a batch.
    ///
    /// [`WARM_RUN`]: super::keyspace::WARM_RUN
    #[inline]
    pub fn warm(&self, commands: &Commands<'_>) {
        if commands.may_be_several() && !self.keyspace.fits_cache() {
            self.keyspace.warm(commands.first_arguments());
        }
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
        let refuses_some = self.keyspace.refuses_some();
        let mut context = self.context(reply, now_ms, random);
        if !(refuses_some && context.refuses(command, &mut Commands::default())) {
            context.run(command);
        }
    }

    /// Runs the next command of a batch and appends its reply: EXEC with the transaction that
    /// follows it. Then serves who has waited for what it did. `None` when there is no command.
    #[inline]
    pub fn run_next(
        &mut self,
        commands: &mut Commands<'_>,
        reply: &mut Reply,
        now_ms: Millis,
        random: &mut Random,
    ) -> Option<Ran> {
        let command = commands.next()?;
        let refuses_some = self.keyspace.refuses_some();
        let mut context = self.context(reply, now_ms, random);
        match command.group {
            _ if refuses_some && context.refuses(&command, commands) => {}
            None => context.run_timed(&command),
            Some(count) => {
                let queued = commands.by_ref().take(count as usize);
                context.run_transaction(&command, count, queued);
            }
        }
        let waiting = context.session.filter(|_| context.waits);
        if self.keyspace.has_ready() {
            self.serve(now_ms, random);
        }
        Some(waiting.map_or(Ran::Replied, Ran::Waits))
    }

    /// Runs the commands again of those who wait for keys that have changed, the first first. What
    /// they do may be what others wait for.
    #[cold]
    fn serve(&mut self, now_ms: Millis, random: &mut Random) {
        while self.keyspace.has_ready() {
            for place in self.keyspace.take_ready() {
                self.serve_waiters_of(&place, now_ms, random);
            }
        }
    }

    fn serve_waiters_of(&mut self, place: &Place, now_ms: Millis, random: &mut Random) {
        let (database, key) = place;
        let mut from = 0;
        while let Some(number) = self.waiting.next_of_key(place, from) {
            from = number + 1;
            self.try_to_serve(number, key, now_ms, random);
            // What there was is taken: the many who may still wait need not be asked.
            let is_gone = self.keyspace.peek(*database, key).is_none();
            if is_gone && !self.waiting.has_group_readers() {
                return;
            }
        }
    }

    fn try_to_serve(&mut self, number: u64, key: &[u8], now_ms: Millis, random: &mut Random) {
        // Another key may have served it.
        let Some(waiter) = self.waiting.get(number) else { return };
        if !self.is_served_by(waiter, key) {
            return;
        }
        let waiter = waiter.clone();
        let outer = self.tracking.begin_for_waiter(waiter.session);
        self.keyspace.set_always_news(self.tracking.remembers());
        let ready_before = self.keyspace.ready_len();
        let mut reply = Reply::new(waiter.protocol);
        let mut context = self.context(&mut reply, now_ms, random);
        context.is_retry = true;
        let arguments = waiter.arguments.iter().map(|argument| &**argument).collect();
        let command = Command::new(waiter.command, waiter.database, arguments);
        let began = context.stats.begin_group();
        context.run(&command);
        let waits = context.waits;
        if !waits {
            context.stats.end_group(began, &command);
        }
        self.tracking.go_on(outer);
        self.keyspace.set_always_news(self.tracking.remembers());
        if waits {
            // It would be tried again for ever.
            self.keyspace.truncate_ready(ready_before);
        } else {
            self.waiting.remove(&mut self.keyspace, number);
            self.waiting.note_served(waiter.session, reply);
        }
    }

    /// Whether the key may be what the client waits for. Readers for a group learn, too, that it is
    /// gone.
    fn is_served_by(&self, waiter: &Waiter, key: &[u8]) -> bool {
        let spec = spec(waiter.command);
        let entry = self.keyspace.peek(waiter.database, key);
        let is_awaited = |entry: &Entry| entry.value.type_name() == awaited_type(spec);
        reads_for_group(spec) || entry.is_some_and(is_awaited)
    }

    #[inline]
    pub(in crate::engine) fn context<'a>(
        &'a mut self,
        reply: &'a mut Reply,
        now_ms: Millis,
        random: &'a mut Random,
    ) -> Context<'a> {
        Context {
            keyspace: &mut self.keyspace,
            database: 0,
            reply,
            random,
            register: &mut self.register,
            now_ms,
            session: None,
            caller: None,
            command: CommandId(0),
            user: None,
            is_retry: false,
            waits: false,
            waiting: &mut self.waiting,
            acl: &mut self.acl,
            subscribers: &mut self.subscribers,
            tracking: &mut self.tracking,
            witness: &mut self.witness,
            stats: &mut self.stats,
            scripts: &mut self.scripts,
            runtime: &mut self.runtime,
            origin: self.origin,
            settings: &mut self.settings,
            settings_changed: &mut self.settings_changed,
            import: &mut self.import,
            import_changed: &mut self.import_changed,
        }
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
        let mut commands = Ahead::new(commands);
        while self.run_ahead(&mut commands, reply, at_ms, &mut random).is_some() {
            reply.buffer.clear();
        }
        reply.buffer.shrink_to(UNWANTED_REPLY_BYTES_MAX);
    }
}

/// Makes messages of the events, and notices for who tracks of the changes, of what was run last.
#[cold]
fn spread_news(keyspace: &mut Keyspace, subscribers: &mut Subscribers, tracking: &mut Tracking) {
    publish_events(keyspace, subscribers);
    tracking.invalidate(keyspace.take_changes());
}

impl Context<'_> {
    /// Runs a command as a part of what this context is for, with the same clock and randomness,
    /// and puts its reply into `reply`. It is counted like any other; it cannot wait, nor leave
    /// anything behind for the session.
    pub fn call(&mut self, command: &Command<'_>, reply: &mut Reply) {
        std::mem::swap(self.reply, reply);
        let began = self.stats.begin_nested();
        let outer = (self.database, self.session, self.caller, self.command);
        self.run(command);
        (self.database, self.session, self.caller, self.command) = outer;
        self.stats.end_nested(began, command);
        std::mem::swap(self.reply, reply);
    }

    /// Runs a command of a transaction, whose reply goes behind what was replied so far.
    fn run_queued(&mut self, command: &Command<'_>) {
        let outer = (self.database, self.session, self.caller, self.command);
        self.run_timed(command);
        (self.database, self.session, self.caller, self.command) = outer;
    }

    #[inline]
    fn run_timed(&mut self, command: &Command<'_>) {
        let start = self.reply.buffer.len();
        let alone = self.stats.is_timed_alone(command);
        self.run(command);
        if !self.waits {
            let reply_bytes = self.reply.buffer.len() - start;
            self.stats.note_run(command, alone, reply_bytes);
        }
    }

    #[inline]
    fn run(&mut self, command: &Command<'_>) {
        if command.sender != Sender::default() {
            return self.run_of_sender(command);
        }
        self.run_counted(command);
    }

    #[cold]
    fn run_of_sender(&mut self, command: &Command<'_>) {
        let hidden = self.keyspace.hide_usage(command.sender.hides_usage);
        let user = command.sender.user.map(|name| self.acl.user_of_script(name));
        let outer = std::mem::replace(&mut self.user, user);
        self.run_counted(command);
        self.user = outer;
        self.keyspace.hide_usage(hidden);
    }

    #[inline]
    fn run_counted(&mut self, command: &Command<'_>) {
        let start = self.reply.buffer.len();
        self.count(command);
        match self.dispatch(command) {
            Ok(()) if self.waits => {
                self.reply.buffer.truncate(start);
                // It counts when it is done.
                self.stats.commands[slot_of(command)].calls -= 1;
                self.stats.total_commands -= 1;
            }
            Ok(()) => {}
            Err(error) => {
                self.reply.buffer.truncate(start);
                self.fail(command, &error);
            }
        }
        if self.keyspace.has_news() {
            self.spread_news(command);
        }
    }

    /// Tells of what a command has done, behind what it ran itself, and remembers what it has read.
    #[cold]
    fn spread_news(&mut self, command: &Command<'_>) {
        let spec = spec(command.id);
        let arguments = &command.arguments;
        // What is looked for so that it can be changed is not missed.
        if spec.writes(arguments.first()) && !tells_misses(spec.name) {
            self.keyspace.drop_misses();
        }
        self.keyspace.keep_forms();
        spread_news(self.keyspace, self.subscribers, self.tracking);
        if !self.tracking.remembers() {
            return;
        }
        // A script that reads anything has read, for its client, all keys that it was given.
        let reads = match spec.runs_script() {
            true => self.tracking.script_reads(),
            false => spec.only_reads(arguments.first()),
        };
        if reads {
            self.tracking.note_read();
            let words: Vec<&[u8]> =
                std::iter::once(spec.name.as_bytes()).chain(arguments.iter().copied()).collect();
            for position in keys_of(spec, &words) {
                self.tracking.remember(words[position]);
            }
        }
    }

    /// Runs EXEC with the commands of its transaction, unless one of the keys has changed that its
    /// session watches. It watches none from here on.
    fn run_transaction<'b>(
        &mut self,
        exec: &Command<'_>,
        count: u32,
        commands: impl Iterator<Item = Command<'b>>,
    ) {
        if is_unit(exec) {
            return self.run_unit(exec, commands);
        }
        self.count(exec);
        let began = self.stats.begin_group();
        let session = self.session_of(exec);
        let has_changed = session.is_some_and(|session| !self.keyspace.unwatch(session));
        // Keys that it watches may be due.
        if self.keyspace.has_news() {
            spread_news(self.keyspace, self.subscribers, self.tracking);
        }
        if has_changed {
            self.reply.null_array();
            return commands.for_each(drop);
        }
        self.reply.array(count as usize);
        for command in commands {
            self.run_queued(&command);
        }
        self.stats.end_group(began, exec);
    }

    fn session_of(&self, command: &Command<'_>) -> Option<SessionId> {
        let caller = command.caller?;
        Some(SessionId { member: self.origin, number: caller.session })
    }

    #[inline]
    fn count(&mut self, command: &Command<'_>) {
        self.stats.commands[slot_of(command)].calls += 1;
        self.stats.total_commands += 1;
    }

    #[inline]
    fn dispatch(&mut self, command: &Command<'_>) -> Result<(), CommandError> {
        let (spec, arguments) = resolve(spec(command.id), &command.arguments)?;
        if command.database >= DATABASE_COUNT {
            return Err(CommandError::DatabaseOutOfRange);
        }
        self.database = command.database;
        self.session = self.session_of(command);
        self.caller = command.caller;
        self.command = command.id;
        match spec.handler {
            Handler::Engine(run) => run(self, arguments),
            Handler::Session(command) => self.run_session(command, arguments),
            Handler::Node(_) => {
                let text = format!("ERR '{}' cannot run here", spec.name);
                Err(CommandError::Text(Cow::Owned(text)))
            }
        }
    }

    #[cold]
    fn fail(&mut self, command: &Command<'_>, error: &CommandError) {
        self.stats.commands[slot_of(command)].failed += 1;
        self.tell_error(error);
    }

    #[cold]
    fn tell_error(&mut self, error: &CommandError) {
        let text = error.to_string();
        self.stats.count_error(&text);
        self.reply.error_text(&text);
    }
}

#[inline]
fn slot_of(command: &Command<'_>) -> usize {
    usize::from(stat_slot(command.id, command.arguments.first()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
        assert_eq!((of("set").calls, of("set").failed), (1, 0));
        assert_eq!((of("incr").calls, of("incr").failed), (1, 1));
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
