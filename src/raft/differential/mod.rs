//! The core's arithmetic beside that of the `raft` crate, on inputs made up by chance: quorums and
//! votes, changes of the configuration, the window of what is in flight.
//!
//! Where the two differ on purpose, the comparison says so and says what must hold instead.

mod membership;
mod progress;
mod quorum;

use std::collections::BTreeSet;

use ::raft::eraftpb::{ConfChangeSingle, ConfChangeType};
use ::raft::{Changer, ProgressTracker};

/// Enough for any test here, and never the bound that a test is about.
const INFLIGHT_MAX: usize = 256;

fn change(kind: ConfChangeType, id: u64) -> ConfChangeSingle {
    let mut change = ConfChangeSingle::default();
    change.set_node_id(id);
    change.set_change_type(kind);
    change
}

/// What the other side keeps of a cluster of `voters`.
fn tracker(voters: &BTreeSet<u64>) -> ProgressTracker {
    let mut tracker = ProgressTracker::new(INFLIGHT_MAX);
    for id in voters {
        change_simply(&mut tracker, &[change(ConfChangeType::AddNode, *id)]);
    }
    tracker
}

/// Changes that alter at most one voter.
fn change_simply(tracker: &mut ProgressTracker, changes: &[ConfChangeSingle]) {
    let changed = Changer::new(tracker).simple(changes);
    let (configuration, progress) = changed.expect("a change that the reference allows");
    tracker.apply_conf(configuration, progress, 1);
}

fn enter_joint(tracker: &mut ProgressTracker, changes: &[ConfChangeSingle]) {
    let changed = Changer::new(tracker).enter_joint(true, changes);
    let (configuration, progress) = changed.expect("a change that the reference allows");
    tracker.apply_conf(configuration, progress, 1);
}

fn leave_joint(tracker: &mut ProgressTracker) {
    let changed = Changer::new(tracker).leave_joint();
    let (configuration, progress) = changed.expect("a change that the reference allows");
    tracker.apply_conf(configuration, progress, 1);
}
