//! Members that a leader does not hear of. What is pushed would go on being taken for their clients
//! that wait, which may be gone with them.

use crate::limits::{SILENCE_LOOK_MS, SILENT_TIMEOUTS};
use crate::raft::types::{MemberId, Millis};
use crate::raft::{Raft, RoleKind};

#[derive(Debug, Default)]
pub struct Silence {
    /// Since when this node leads, on the monotonic clock.
    leading_since_ms: Option<Millis>,
    next_look_ms: Millis,
}

impl Silence {
    /// Who has been silent for too long, now and then, as long as they are.
    pub fn look(
        &mut self,
        raft: &Raft,
        election_timeout_ms: Millis,
        now_ms: Millis,
    ) -> Vec<MemberId> {
        if raft.role_kind() != RoleKind::Leader {
            self.leading_since_ms = None;
            return Vec::new();
        }
        let leading_since_ms = *self.leading_since_ms.get_or_insert(now_ms);
        if now_ms < self.next_look_ms {
            return Vec::new();
        }
        self.next_look_ms = now_ms + SILENCE_LOOK_MS;
        let is_silent = |heard_ms: Option<Millis>| {
            let heard_ms = heard_ms.unwrap_or(0).max(leading_since_ms);
            now_ms.saturating_sub(heard_ms) >= SILENT_TIMEOUTS * election_timeout_ms
        };
        let peers = raft.status().peers;
        peers.iter().filter(|peer| is_silent(peer.last_heard_ms)).map(|peer| peer.id).collect()
    }
}
