//! When a node has come to rest, it gives the memory back that it has freed: the allocator looks
//! for what can go back only while memory is allocated and freed.

use crate::raft::types::{Index, Millis};

/// How long nothing must be appended and dropped: longer than a load rests between two bursts, for
/// which the allocator holds on to what is freed.
const REST_MS: Millis = 2000;

/// The ends of the log, seen at each tick.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    ends: (Index, usize),
    since_ms: Millis,
    is_due: bool,
}

impl Rest {
    /// `log_bytes` is what the log holds. Whether memory is to be given back now: once in each time
    /// of rest.
    pub fn look(&mut self, last_index: Index, log_bytes: usize, now_ms: Millis) -> bool {
        let ends = (last_index, log_bytes);
        if ends != self.ends {
            *self = Self { ends, since_ms: now_ms, is_due: true };
        }
        let begins = self.is_due && now_ms >= self.since_ms + REST_MS;
        self.is_due &= !begins;
        begins
    }
}

#[test]
fn memory_is_given_back_once_in_each_time_of_rest() {
    let mut rest = Rest::default();
    let mut seen = Vec::new();
    for (at_ms, index, bytes) in [
        (0, 1, 10),
        (1000, 2, 20),
        (2999, 2, 20),
        (3000, 2, 20),
        (9000, 2, 20),
        // What a compaction drops counts, too.
        (9500, 2, 0),
        (11_500, 2, 0),
        (20_000, 2, 0),
    ] {
        if rest.look(Index(index), bytes, at_ms) {
            seen.push(at_ms);
        }
    }
    assert_eq!(seen, [3000, 11_500]);
}
