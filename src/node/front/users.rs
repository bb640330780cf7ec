//! The users that the clients of this role are, and what becomes of clients when users change.
//!
//! Until its cluster has users, a node goes by its own configuration, and brings that along.

use std::sync::Arc;

use crate::engine::acl::Acl;
use crate::engine::command::{lookup, spec};
use crate::engine::error::CommandError;
use crate::limits::SEED_USERS_MS;
use crate::net::ring::Ring;
use crate::raft::types::Millis;

use super::super::session::{self, Transaction};
use super::super::settings::Live;
use super::super::shared::Shared;
use super::replies::end_if_done;
use super::{Client, Ending, NetRole};

pub(super) struct Users {
    /// Those that commands are checked with.
    pub now: Arc<Acl>,
    /// Those of the cluster, as apply told last.
    replicated: Arc<Acl>,
    /// This role is to bring along what the node has in its configuration.
    is_seeding: bool,
    next_seed_ms: Millis,
}

impl Users {
    pub fn new(shared: &Shared, settings: &Live, is_first: bool) -> Self {
        let seed = shared.users.seed(&settings.requirepass, settings.acl_all_channels);
        Self {
            now: own_users(shared, settings),
            replicated: Arc::default(),
            is_seeding: is_first && !seed.is_empty(),
            next_seed_ms: 0,
        }
    }
}

fn own_users(shared: &Shared, settings: &Live) -> Arc<Acl> {
    let seed = shared.users.seed(&settings.requirepass, settings.acl_all_channels);
    Arc::new(Acl::seed(&seed).expect("invariant: the users of the configuration are checked"))
}

impl NetRole {
    /// The settings have changed, and may be what the users follow from.
    pub(super) fn note_settings(&mut self) {
        if !self.users.replicated.is_seeded() {
            self.users.now = own_users(&self.shared, &self.settings);
            let is_first = self.stream == 0;
            let seed =
                self.shared.users.seed(&self.settings.requirepass, self.settings.acl_all_channels);
            self.users.is_seeding = is_first && !seed.is_empty();
        }
    }

    /// The users of the cluster have changed.
    pub(super) fn take_users(&mut self, ring: &mut Ring, acl: Arc<Acl>) {
        self.users.replicated = acl;
        self.users.now = match self.users.replicated.is_seeded() {
            true => Arc::clone(&self.users.replicated),
            false => own_users(&self.shared, &self.settings),
        };
        if self.users.replicated.is_seeded() && self.users.is_seeding {
            self.users.is_seeding = false;
            let own = own_users(&self.shared, &self.settings);
            if own.to_seed() != self.users.now.to_seed() {
                log::warn!("the cluster has users of its own: those of the configuration are not");
            }
        }
        if self.stream == 0 && self.users.replicated.is_seeded() {
            self.follow_users();
        }
        for slot in 0..self.clients.len() {
            let Some(mut client) = self.clients[slot].take() else { continue };
            self.update_user(ring, &mut client);
            self.put_back(client);
        }
    }

    /// CONFIG GET and REWRITE tell what the cluster has, whoever has set it.
    fn follow_users(&self) {
        let acl = &self.users.replicated;
        let password = String::from_utf8_lossy(acl.requirepass());
        let rule = if acl.all_channels() { "allchannels" } else { "resetchannels" };
        let changes = [("requirepass", &*password), ("acl-pubsub-default", rule)];
        let shared = self.settings.shared();
        let is_known = changes.iter().all(|(name, value)| shared.get(name) == *value);
        if !is_known && let Err(error) = shared.set_all(&changes) {
            log::warn!("CONFIG does not tell what the cluster has: {error}");
        }
    }

    /// A client goes on as the user that it is as of now. It is closed if that user is gone, or may
    /// not receive any more what the client subscribes to.
    fn update_user(&self, ring: &mut Ring, client: &mut Client) {
        let session = &mut client.session;
        let user = self.users.now.get(&session.user.name);
        let Some(user) = user.filter(|user| user.number == session.user.number) else {
            log::info!("closing client {}, whose user is gone", session.id);
            return self.close_in_order(ring, client);
        };
        if Arc::ptr_eq(user, &session.user) {
            return;
        }
        session.become_user(user);
        session.authenticated |= self.users.now.default_user().admits_anyone();
        if !session.is_allowed_to_listen() {
            log::info!("closing subscriber {}, whose channels are denied", session.id);
            self.close_in_order(ring, client);
        }
    }

    /// It still gets the replies to what it has sent.
    fn close_in_order(&self, ring: &mut Ring, client: &mut Client) {
        if client.session.is_blocked || !client.session.subscriptions.is_empty() {
            return ring.close(client.connection);
        }
        client.ending = Ending::Now;
        end_if_done(ring, client);
    }

    /// Why a client whose user may not do everything may not do this, if so.
    #[cold]
    pub(super) fn denial(&self, client: &Client, words: &[&[u8]]) -> Option<CommandError> {
        let id = lookup(words[0]).expect("invariant: the command was found by this name");
        session::check(id, words, &client.session, &self.view()).err()
    }

    /// Brings the users of the configuration into the cluster, as long as it has none. What is
    /// given up is tried again.
    pub(super) fn seed_users(&mut self) {
        let now_ms = self.now.monotonic_ms;
        if !self.users.is_seeding || now_ms < self.users.next_seed_ms {
            return;
        }
        if self.shared.state().refusal().is_some() {
            return;
        }
        self.users.next_seed_ms = now_ms + SEED_USERS_MS;
        let rule: &[u8] =
            if self.settings.acl_all_channels { b"allchannels" } else { b"resetchannels" };
        let lines = Acl::lines(&self.shared.users.lines);
        let mut words = vec![b"seed", self.settings.requirepass.as_bytes(), rule];
        words.extend(lines.iter().map(Vec::as_slice));
        let id = lookup(b"raft.acl").expect("invariant: it is in the table");
        self.gathering.writes.push(id, 0, &words);
        self.count_quiet_step();
    }

    /// Runs a command line of the engine in place of the client's own, and answers with its reply.
    pub(super) fn submit(&mut self, ring: &mut Ring, client: &mut Client, words: &[Vec<u8>]) {
        let id = lookup(&words[0]).expect("invariant: the node submits commands of the table");
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.gather(client, id, spec(id), &words);
        self.wait_for_users(ring, client);
    }

    /// The same as a part of EXEC, whose reply tells that it is under way.
    pub(super) fn submit_quietly(&mut self, words: &[Vec<u8>]) {
        let id = lookup(&words[0]).expect("invariant: the node submits commands of the table");
        let words: Vec<&[u8]> = words[1..].iter().map(Vec::as_slice).collect();
        self.gathering.writes.push(id, 0, &words);
        self.count_quiet_step();
    }

    /// What a client sends behind a change of users is checked with the users as they are then.
    pub(super) fn wait_for_users(&mut self, ring: &mut Ring, client: &mut Client) {
        self.block(ring, client, super::Block::Barrier);
    }

    /// What a transaction holds may be denied by now, though it was not when it was queued. Each
    /// such command is answered so, and the others run, as in Redis.
    pub(super) fn recheck(&self, client: &Client, queued: Transaction) -> Transaction {
        if queued.aborted
            || !client.session.is_restricted
            || Arc::ptr_eq(&queued.user, &client.session.user)
        {
            return queued;
        }
        let view = self.view();
        let user = &client.session.user;
        queued.rechecked(user, |id, words| session::check_again(id, words, &client.session, &view))
    }
}
