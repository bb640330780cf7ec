//! REPLICAOF as the import path: the node that leads follows another server as a replica of it
//! would, on a thread of its own, and proposes what that sends as writes of the cluster.
//!
//! What all nodes know of it is replicated ([`crate::engine::import`]): whom the cluster follows,
//! and how far it is, which changes in the same entry as the data. So it goes on under the next
//! leader where it was, and nothing is applied twice:
//!
//! 1. Who leads while there is somebody to follow begins a session, with a number by chance, and
//!    waits until that is applied: what an earlier session has proposed is refused from then on.
//! 2. It asks the source to go on from what was reached (PSYNC). If that cannot be, the keys of all
//!    databases and the functions go, and the snapshot of the source is read (`load`).
//! 3. What follows is parsed (`stream`) and proposed in units, each of which is a transaction and
//!    tells what is reached with it (`propose`). No more of them are under way than
//!    [`crate::limits::IMPORT_WINDOW_BYTES`]; beyond that nothing is read from the source.
//! 4. The source is told what was applied, which a majority has: it waits for that in WAIT.
//!
//! A session ends with its connection, with leadership, with a unit that is given up, and when
//! another source is named. The next one begins after a pause, which grows.

mod link;
mod load;
mod propose;
mod session;
mod stream;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::mailbox::{Mailbox, ToNet};
use super::settings::SharedSettings;
use super::shared::Shared;
use crate::engine::import::Import;

pub use propose::Units;

/// How often the thread looks whether this node leads, and whether its session is over.
const LOOK: Duration = Duration::from_millis(100);

/// Pauses between two sessions: the first one, and the longest.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What the roles of the node and the thread tell each other.
#[derive(Default)]
pub struct Importing {
    known: Mutex<Known>,
    /// Something is known that was not.
    news: Condvar,
    /// Clients may not write. Read for each write.
    refuses_writes: AtomicBool,
    /// Where clients reach the members: no node follows one of its own cluster.
    members: Mutex<Vec<String>>,
    /// The net role that puts units into the log.
    net: OnceLock<Mailbox<ToNet>>,
    pub transfer: Transfer,
}

#[derive(Default)]
struct Known {
    /// As this node has applied it.
    import: Import,
    /// Grows when units were given up.
    given_up: u64,
    /// There is a thread.
    is_running: bool,
}

/// What the session of this node has received, for INFO.
#[derive(Default)]
pub struct Transfer {
    /// Milliseconds since the start of the node, and 1; 0 before the first one.
    last_io_ms: AtomicU64,
    /// Of the snapshot of the source; the second one is 0 if that does not tell.
    pub read_bytes: AtomicU64,
    pub total_bytes: AtomicU64,
}

impl Transfer {
    fn note_io(&self, started: Instant) {
        let ms = started.elapsed().as_millis() as u64;
        self.last_io_ms.store(ms + 1, Ordering::Relaxed);
    }

    /// Seconds since something came from the source.
    pub fn idle_seconds(&self, started: Instant) -> Option<u64> {
        let at_ms = self.last_io_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some((started.elapsed().as_millis() as u64).saturating_sub(at_ms) / 1000)
    }
}

impl Importing {
    /// The net role that is to put units into the log, with a doorbell that any thread may ring.
    pub fn set_net(&self, net: Mailbox<ToNet>) {
        // There is one.
        let _ = self.net.set(net);
    }

    /// Whether clients may not write, as far as this node knows.
    #[inline]
    pub fn refuses_writes(&self) -> bool {
        self.refuses_writes.load(Ordering::Relaxed)
    }

    /// The import as this node has applied it.
    pub fn state(&self) -> Import {
        self.lock().import.clone()
    }

    /// Units were given up: the session that has proposed them ends.
    pub fn note_given_up(&self) {
        self.lock().given_up += 1;
        self.news.notify_all();
    }

    /// Clients reach the members of the cluster there.
    pub fn set_members(&self, addresses: Vec<String>) {
        *self.members.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    pub fn is_member(&self, address: &str) -> bool {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.iter().any(|member| member == address)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Each change is a whole one, so what is known is sound even if a thread died holding it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &'a self,
        known: MutexGuard<'a, Known>,
        longest: Duration,
    ) -> MutexGuard<'a, Known> {
        let waited = self.news.wait_timeout(known, longest);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Apply has applied what changes the import. Returns whether another source is named, or none.
pub fn adopt(shared: &Arc<Shared>, settings: &Arc<SharedSettings>, import: &Import) -> bool {
    let importing = &shared.importing;
    let mut known = importing.lock();
    let is_other = known.import.epoch() != import.epoch();
    known.import.clone_from(import);
    let is_unattended = import.is_active() && !known.is_running;
    known.is_running |= is_unattended;
    drop(known);
    importing.news.notify_all();
    if is_unattended {
        let (shared, settings) = (Arc::clone(shared), Arc::clone(settings));
        let attend = move || attend(&shared, &settings);
        if let Err(error) = thread::Builder::new().name("import".to_owned()).spawn(attend) {
            log::error!("cannot start a thread that follows a source: {error}");
            importing.lock().is_running = false;
        }
    }
    is_other
}

/// Whether clients may not write is another matter than it was, perhaps.
pub fn note_read_only(shared: &Shared, is_read_only: bool) {
    shared.importing.refuses_writes.store(is_read_only, Ordering::Relaxed);
}

/// Runs one session after the other, while this node leads and there is somebody to follow.
fn attend(shared: &Arc<Shared>, settings: &Arc<SharedSettings>) {
    let mut pause = PAUSE;
    let importing = &shared.importing;
    while let Some(epoch) = wait_for_work(shared) {
        let began = Instant::now();
        let ended = session::run(shared, settings);
        if let Err(error) = &ended {
            log::warn!("import: {error}");
        }
        // A session that has lasted is no failed attempt, nor is one that another one ended.
        if ended.is_ok() || began.elapsed() > PAUSE_MAX {
            pause = PAUSE;
        }
        let until = Instant::now() + pause;
        pause = (pause * 2).min(PAUSE_MAX);
        let mut known = importing.lock();
        while known.import.epoch() == epoch && known.import.is_active() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            known = importing.wait(known, left);
        }
        if known.import.epoch() != epoch {
            pause = PAUSE;
        }
    }
}

/// Waits until there is something to do for this node; `None` ends its thread.
fn wait_for_work(shared: &Shared) -> Option<u64> {
    let importing = &shared.importing;
    let mut known = importing.lock();
    loop {
        if !known.import.is_active() {
            known.is_running = false;
            return None;
        }
        let has_failed = !known.import.progress().failure.is_empty();
        if !has_failed && shared.leads.load(Ordering::Acquire) {
            return Some(known.import.epoch());
        }
        known = importing.wait(known, LOOK);
    }
}
