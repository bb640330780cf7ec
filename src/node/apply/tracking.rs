//! Notices for the clients of this node that track what they read: gathered by the engine as it
//! runs commands, handed to the net roles behind the replies that were made before.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::limits::PUBLISHED_BYTES_MAX;
use crate::node::mailbox::{Invalidations, Queued, ToNet};

use super::ApplyRole;

impl ApplyRole {
    /// What has changed before a pass is told before the replies to it, which may hold newer values
    /// of the same keys; what it changes itself is told behind them.
    #[inline]
    pub(super) fn begin_pass(&mut self) {
        self.send_invalidations();
    }

    #[inline]
    pub(super) fn send_invalidations(&mut self) {
        if self.engine.tracking.has_invalidations() {
            self.send_some_invalidations();
        }
    }

    #[cold]
    fn send_some_invalidations(&mut self) {
        // What was read for those who have waited stands before what has changed since.
        self.send_served();
        let mut by_stream: Vec<Invalidations> = self.nets.iter().map(|_| Vec::new()).collect();
        for (client, invalidation) in self.engine.tracking.take_invalidations() {
            let told = invalidation.target.unwrap_or(client);
            by_stream[usize::from(told.stream)].push((client, invalidation));
        }
        for (stream, invalidations) in by_stream.into_iter().enumerate() {
            if !invalidations.is_empty() {
                self.send_invalidations_to(stream, invalidations);
            }
        }
    }

    /// To a net role that does not keep up goes that its clients are to drop all that they have.
    fn send_invalidations_to(&mut self, stream: usize, mut invalidations: Invalidations) {
        let bytes_of = |them: &Invalidations| them.iter().map(|(_, it)| it.bytes()).sum::<usize>();
        let queued: &Arc<_> = &self.publishing[stream];
        if queued.load(Ordering::Relaxed) + bytes_of(&invalidations) > PUBLISHED_BYTES_MAX {
            invalidations.iter_mut().for_each(|(_, invalidation)| invalidation.drop_all());
        }
        let bytes = bytes_of(&invalidations);
        let invalidations = Box::new(Queued::new(invalidations, bytes, queued));
        self.nets[stream].send(ToNet::Invalidations(invalidations));
    }
}
