//! Messages for the clients of this node that subscribe: gathered by the engine as it runs entries,
//! handed to the net roles once a run, or before the replies that must come behind them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::pubsub::{Change, Published, Question};
use crate::engine::reply::{Protocol, Reply};
use crate::limits::{PUBLISHED_BYTES_MAX, PUBLISHED_SEND_BYTES};
use crate::raft::types::Stream;

use super::ApplyRole;
use crate::node::mailbox::{ClientHandle, Queued, ToNet};

impl ApplyRole {
    pub(super) fn subscribe(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.engine.subscribers.apply(change);
        }
    }

    pub(super) fn answer_pubsub(
        &self,
        client: ClientHandle,
        protocol: Protocol,
        question: &Question,
    ) {
        let mut reply = Reply::new(protocol);
        self.engine.subscribers.answer(question, &mut reply);
        let (connection, reply) = (client.connection, reply.buffer);
        self.nets[usize::from(client.stream)].send(ToNet::Answer { connection, reply });
    }

    /// Lets the net roles begin with what is gathered when it is much.
    pub(super) fn bound_published(&mut self) {
        if self.engine.subscribers.published_bytes_max() > PUBLISHED_SEND_BYTES {
            self.send_published();
        }
    }

    #[inline]
    pub(super) fn send_published(&mut self) {
        if self.engine.subscribers.has_published() {
            (0..self.nets.len()).for_each(|stream| self.send_published_to(stream));
        }
    }

    /// What a net role does not keep up with is lost, and its subscribers are told by the end of
    /// their connections.
    pub(super) fn send_published_to(&mut self, stream: usize) {
        let published = self.engine.subscribers.take_published(stream as Stream);
        let Some(mut published) = published else { return };
        let queued: &Arc<_> = &self.publishing[stream];
        if queued.load(Ordering::Relaxed) + published.bytes() > PUBLISHED_BYTES_MAX {
            published = Published::lost();
        }
        let bytes = published.bytes();
        let published = Box::new(Queued::new(published, bytes, queued));
        self.nets[stream].send(ToNet::Published(published));
    }
}
