//! What apply tells of its work: commands that were slow or large, and spikes of latency.

use super::ApplyRole;
use crate::engine::timing::Notable;
use crate::limits::EXPIRE_PER_ENTRY_MAX;
use crate::net::ring::Connection;
use crate::node::clock::{nanoseconds, unix_seconds};
use crate::node::mailbox::ToNet;
use crate::node::observe::latency::{COMMAND, EXPIRE_CYCLE, FAST_COMMAND};

impl ApplyRole {
    /// Removes what is due, and remembers it if that took long.
    pub(super) fn expire_due(&mut self) {
        let began = self.shared.observed.watches_spikes().then(nanoseconds);
        self.engine.expire_due(EXPIRE_PER_ENTRY_MAX);
        if let Some(began) = began {
            let nanos = nanoseconds().saturating_sub(began);
            self.shared.observed.note_latency(EXPIRE_CYCLE, nanos, unix_seconds);
        }
    }

    /// Lets the net role log commands of its clients, whom it knows.
    pub(super) fn send_notable(&self, stream: usize, notable: Vec<(Connection, Notable)>) {
        if notable.is_empty() {
            return;
        }
        let observed = &self.shared.observed;
        for (_, Notable { nanos, is_fast, .. }) in &notable {
            let event = if *is_fast { FAST_COMMAND } else { COMMAND };
            observed.note_latency(event, *nanos, unix_seconds);
        }
        self.nets[stream].send(ToNet::Notable(notable));
    }
}
