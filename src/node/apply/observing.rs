//! What apply tells of its work: commands that were slow or large, spikes of latency, and what
//! scripts did.

use super::ApplyRole;
use crate::engine::timing::Notable;
use crate::engine::witness::{ScriptCall, ScriptDenial};
use crate::limits::EXPIRE_PER_ENTRY_MAX;
use crate::net::ring::Connection;
use crate::node::clock::{nanoseconds, unix_seconds};
use crate::node::mailbox::ToNet;
use crate::node::observe::latency::{COMMAND, EXPIRE_CYCLE, FAST_COMMAND};
use crate::node::observe::monitor::{SCRIPT, write_line};

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

    /// What scripts of this node's clients do is noted from here on.
    pub(super) fn begin_witness(&mut self) {
        self.engine.witness.begin(self.shared.observed.monitoring.has_monitors());
    }

    /// It is not noted any more. Lets the net role tell what was, and who was denied what.
    pub(super) fn end_witness(&mut self, stream: usize, denials: Vec<(Connection, ScriptDenial)>) {
        self.engine.witness.end();
        if self.engine.witness.has_news() {
            self.send_script_lines(stream);
        }
        if !denials.is_empty() {
            self.nets[stream].send(ToNet::ScriptDenials(denials));
        }
    }

    #[cold]
    fn send_script_lines(&mut self, stream: usize) {
        let calls = self.engine.witness.take_calls();
        let mut lines = Vec::new();
        for ScriptCall { database, words } in &calls.calls {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            write_line(&words, *database, &SCRIPT, &mut lines);
        }
        self.nets[stream].send(ToNet::ScriptLines(lines));
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
