//! Commands that are held back by CLIENT PAUSE, and replies that CLIENT REPLY does without.

use std::sync::atomic::Ordering::Relaxed;

use crate::engine::command::{CommandSpec, Flags, Handler, SessionCommand, resolve};
use crate::net::ring::Ring;

use super::super::observe::pause::Paused;
use super::super::session::{ReplyMode, may_write};
use super::{Block, Client, NetRole};

/// What the nodes of a cluster ask each other through, which is not held back: the cluster is no
/// client.
pub(super) const CLUSTER_PREFIX: &str = "raft.";

impl NetRole {
    /// Holds a command back if clients are paused; it is looked at again after that.
    #[cold]
    pub(super) fn hold_back(
        &mut self,
        ring: &mut Ring,
        client: &mut Client,
        spec: &'static CommandSpec,
        words: &[&[u8]],
    ) -> bool {
        let Some(paused) = self.paused else { return false };
        let resolved = resolve(spec, &words[1..]).map_or(spec, |(resolved, _)| resolved);
        let changes = || {
            let is_write = Flags::WRITE.union(Flags::MAY_REPLICATE);
            if resolved.runs_script() {
                return may_write(resolved, words);
            }
            let queued = client.session.transaction.as_ref();
            let is_exec = matches!(spec.handler, Handler::Session(SessionCommand::Exec));
            resolved.flags.intersects(is_write)
                || is_exec && queued.is_some_and(|transaction| transaction.may_change)
        };
        let is_held = match paused {
            // Who ends the pause must get through.
            Paused::All => resolved.name != "unpause" && !spec.name.starts_with(CLUSTER_PREFIX),
            Paused::Writes => changes(),
        };
        if !is_held || client.session.monitors || self.stopping {
            return false;
        }
        self.block(ring, client, Block::Paused);
        self.shared.clients.blocked.fetch_add(1, Relaxed);
        self.held.push(client.connection);
        true
    }

    /// Goes on with those who were held back, once the pause is over.
    pub(super) fn release(&mut self, ring: &mut Ring) {
        if self.held.is_empty() || self.paused.is_some() {
            return;
        }
        for connection in std::mem::take(&mut self.held) {
            if self.owns(connection) {
                self.shared.clients.blocked.fetch_sub(1, Relaxed);
            }
            self.unblock(ring, connection, &Block::Paused);
        }
    }

    /// What CLIENT REPLY asked for is applied to the next command; returns whether that must wait
    /// for the replies before it.
    #[cold]
    pub(super) fn settle_replies(&mut self, ring: &mut Ring, client: &mut Client) -> bool {
        match client.session.replies {
            ReplyMode::On | ReplyMode::Off => {}
            ReplyMode::SkipNext => client.session.replies = ReplyMode::Skipping,
            ReplyMode::Skipping if client.outstanding > 0 => {
                self.block(ring, client, Block::Barrier);
                return true;
            }
            ReplyMode::Skipping => client.session.replies = ReplyMode::On,
        }
        false
    }
}
