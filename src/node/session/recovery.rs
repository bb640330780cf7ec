//! What INFO raft tells an operator whose cluster does not come up, or is lost: whom the node waits
//! for, and what a survivor of a lost majority knows.

use crate::node::report::{LostSlot, RaftReport};

/// Nothing, in a cluster that serves.
pub fn fields(raft: &RaftReport) -> Vec<(String, String)> {
    let mut all = Vec::new();
    if let Some(waiting) = &raft.waiting {
        all.push(("waiting_for".to_owned(), waiting.clone()));
    }
    if let Some(lost) = &raft.lost_quorum {
        all.push(("last_log_id".to_owned(), lost.last.to_string()));
        for (number, slot) in lost.slots.iter().enumerate() {
            all.push((format!("slot{}", number + 1), line(slot)));
        }
    }
    all
}

/// The voter of a slot, and the process that asks for its place; `-` for what there is not.
fn line(slot: &LostSlot) -> String {
    let none = || "-".to_owned();
    let (id, boot) = match slot.known {
        Some((id, boot)) => (id.to_string(), format!("{boot:032x}")),
        None => (none(), none()),
    };
    format!(
        "slot={},id={id},boot={boot},heard={},asking_boot={}",
        slot.slot,
        if slot.is_heard { "yes" } else { "no" },
        slot.asking.map_or_else(none, |boot| format!("{boot:032x}")),
    )
}
