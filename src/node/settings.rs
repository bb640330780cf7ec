//! The settings of a running node, shared by its roles: CONFIG SET changes them, and each role sees
//! the change at its next pass.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{SettingError, Settings, Tunables};

pub struct SharedSettings {
    settings: Mutex<Settings>,
    /// Grows with each change.
    version: AtomicU64,
}

impl SharedSettings {
    pub fn new(settings: Settings) -> Self {
        Self { settings: Mutex::new(settings), version: AtomicU64::new(1) }
    }

    /// The value of one setting as CONFIG GET writes it. Precondition: there is such a setting.
    pub fn get(&self, name: &str) -> String {
        self.lock().get(name).expect("invariant: the node asks for settings that there are")
    }

    /// Name and value of what the patterns fit.
    pub fn matching(&self, patterns: &[&[u8]]) -> Vec<(String, String)> {
        self.lock().matching(patterns)
    }

    /// Changes all of these or, on an error, none.
    pub fn set_all(&self, changes: &[(&str, &str)]) -> Result<(), SettingError> {
        self.lock().set_all(changes)?;
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Settings> {
        // Settings change all at once, so they are whole even if a thread died holding them.
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One role's copy of what may change.
pub struct Live {
    shared: Arc<SharedSettings>,
    seen: u64,
    tunables: Tunables,
}

impl Live {
    pub fn new(shared: Arc<SharedSettings>) -> Self {
        let seen = shared.version.load(Ordering::Acquire);
        let tunables = shared.lock().tunables();
        Self { shared, seen, tunables }
    }

    /// Takes changes over; returns whether there were any.
    pub fn refresh(&mut self) -> bool {
        let version = self.shared.version.load(Ordering::Acquire);
        let changed = version != self.seen;
        if changed {
            self.seen = version;
            self.tunables = self.shared.lock().tunables();
        }
        changed
    }

    pub fn shared(&self) -> &SharedSettings {
        &self.shared
    }
}

impl std::ops::Deref for Live {
    type Target = Tunables;

    fn deref(&self) -> &Tunables {
        &self.tunables
    }
}
