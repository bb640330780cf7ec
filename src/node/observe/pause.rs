//! CLIENT PAUSE: until when the node holds its clients' commands back, and which.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::lock;
use crate::raft::types::Millis;

/// Which commands wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// What may change anything.
    Writes,
    All,
}

#[derive(Debug, Default)]
pub struct Pause {
    /// On the monotonic clock; 0 for none. Read by all net roles once a pass.
    until_ms: AtomicU64,
    what: Mutex<Option<Paused>>,
}

impl Pause {
    /// As in Redis, a pause is never shortened by another one, and one of all stays one of all.
    pub fn begin(&self, until_ms: Millis, paused: Paused, now_ms: Millis) {
        let mut what = lock(&self.what);
        let present = what.filter(|_| self.until_ms.load(Relaxed) > now_ms);
        let stays = present.filter(|present| *present == Paused::All);
        *what = Some(stays.unwrap_or(paused));
        self.until_ms.fetch_max(until_ms, Relaxed);
    }

    pub fn end(&self) {
        let mut what = lock(&self.what);
        *what = None;
        self.until_ms.store(0, Relaxed);
    }

    #[inline]
    pub fn at(&self, now_ms: Millis) -> Option<Paused> {
        if self.until_ms.load(Relaxed) <= now_ms {
            return None;
        }
        *lock(&self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_by_itself_and_is_never_weakened() {
        let pause = Pause::default();
        assert_eq!(pause.at(5), None);
        pause.begin(100, Paused::Writes, 5);
        assert_eq!((pause.at(99), pause.at(100)), (Some(Paused::Writes), None));
        pause.begin(50, Paused::All, 6);
        assert_eq!(pause.at(99), Some(Paused::All));
        pause.begin(200, Paused::Writes, 7);
        assert_eq!(pause.at(199), Some(Paused::All));
        pause.begin(300, Paused::Writes, 250);
        assert_eq!(pause.at(299), Some(Paused::Writes));
        pause.end();
        assert_eq!(pause.at(8), None);
    }
}
