//! What is under way between processes, and which links are cut or slow.

use std::collections::{BTreeMap, BTreeSet};

use mayfly::raft::Answer;
use mayfly::raft::types::{Boot, Index, MemberId, Millis};

use crate::rng::Rng;

/// A process by its place among all that ever ran.
pub type Pid = usize;

/// Something that happens to a process at some time.
#[derive(Clone)]
pub enum Event<M, K> {
    /// A message of consensus, over a link that is bound to a cluster.
    Frame {
        from: Pid,
        lineage: usize,
        message: M,
    },
    /// The connection of `at` to a member broke, or is new.
    Unreachable {
        at: Pid,
        peer: MemberId,
    },
    Connected {
        at: Pid,
        peer: MemberId,
    },
    /// Chunk `sequence` of the snapshot up to `last_index`.
    Chunk {
        from: Pid,
        to: Pid,
        last_index: Index,
        sequence: usize,
        chunk: K,
    },
    /// `from` has read so many of them.
    ChunkRead {
        from: Pid,
        to: Pid,
        last_index: Index,
        count: usize,
    },
    /// `from` will not take that snapshot, or the link is gone.
    SnapshotRefused {
        from: Pid,
        to: Pid,
        last_index: Index,
    },
    /// A listed process without a cluster asks a slot who it is, and hears.
    Ask {
        boot: Boot,
        round: u64,
        slot: usize,
    },
    Told {
        boot: Boot,
        round: u64,
        slot: usize,
        answer: Answer,
    },
}

pub struct Network<M, K> {
    events: BTreeMap<Millis, Vec<Event<M, K>>>,
    /// Directions that are cut.
    cut: BTreeSet<(Pid, Pid)>,
    /// Directions that take so much longer.
    slow: BTreeMap<(Pid, Pid), Millis>,
}

impl<M, K> Network<M, K> {
    pub fn new() -> Self {
        Self { events: BTreeMap::new(), cut: BTreeSet::new(), slow: BTreeMap::new() }
    }

    pub fn schedule(&mut self, at_ms: Millis, event: Event<M, K>) {
        self.events.entry(at_ms).or_default().push(event);
    }

    /// What happens up to `now`, in order.
    pub fn take_due(&mut self, now: Millis) -> Option<Vec<Event<M, K>>> {
        let first = self.events.first_entry()?;
        (*first.key() <= now).then(|| first.remove())
    }

    pub fn is_cut(&self, from: Pid, to: Pid) -> bool {
        self.cut.contains(&(from, to))
    }

    pub fn cut(&mut self, from: Pid, to: Pid) {
        self.cut.insert((from, to));
    }

    /// Connects everything again; tells what was cut.
    pub fn heal(&mut self) -> BTreeSet<(Pid, Pid)> {
        std::mem::take(&mut self.cut)
    }

    pub fn slow_down(&mut self, from: Pid, to: Pid, by_ms: Millis) {
        self.slow.insert((from, to), by_ms);
    }

    pub fn end_slowness(&mut self) {
        self.slow.clear();
    }

    pub fn slowness(&self, from: Pid, to: Pid) -> Millis {
        self.slow.get(&(from, to)).copied().unwrap_or(0)
    }
}

/// How long a message takes.
pub fn delay(rng: &mut Rng, delay_ms: Millis) -> Millis {
    let mut delay = 1 + rng.below(delay_ms);
    // A straggler: far behind everything that was sent after it.
    if delay_ms > 0 && rng.once_in(50) {
        delay += rng.below(10 * delay_ms);
    }
    delay
}
