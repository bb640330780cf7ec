//! The settings of a running node, shared by its roles: CONFIG SET changes them, and each role sees
//! the change at its next pass.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{self, RewriteError, SettingError, Settings, Tunables};
use crate::engine::acl::Acl;
use crate::engine::settings;

pub struct SharedSettings {
    settings: Mutex<Settings>,
    /// Where CONFIG REWRITE writes them.
    file: Option<PathBuf>,
    /// What the cluster has as one was taken over, and is no longer what this node brings.
    adopted: AtomicBool,
    /// Grows with each change.
    version: AtomicU64,
}

impl SharedSettings {
    pub fn new(settings: Settings, file: Option<PathBuf>) -> Self {
        Self {
            settings: Mutex::new(settings),
            file,
            adopted: AtomicBool::new(false),
            version: AtomicU64::new(1),
        }
    }

    /// The value of one setting as CONFIG GET writes it. Precondition: there is such a setting.
    pub fn get(&self, name: &str) -> String {
        self.lock().get(name).expect("invariant: the node asks for settings that there are")
    }

    /// Name and value of what the patterns fit.
    pub fn matching(&self, patterns: &[&[u8]]) -> Vec<(String, String)> {
        self.lock().matching(patterns)
    }

    /// Changes all of these or, on an error, none. Those of the cluster are checked and returned,
    /// to be changed through the log.
    pub fn set_all<'a>(
        &self,
        changes: &[(&'a str, &'a str)],
    ) -> Result<Vec<(&'a str, &'a str)>, SettingError> {
        let of_cluster = self.lock().set_all(changes)?;
        self.version.fetch_add(1, Ordering::Release);
        Ok(of_cluster)
    }

    /// The cluster has these settings now. Before it has its first ones, what this node was told
    /// stays, to be brought there should it lead.
    pub fn adopt(&self, cluster: &settings::Settings) {
        if !cluster.is_founded() {
            return;
        }
        let changes = self.lock().adopt(cluster);
        let is_first = !self.adopted.swap(true, Ordering::AcqRel);
        for (name, own, new) in changes {
            if is_first {
                log::warn!("the cluster has {name} '{new}', not '{own}' as this node was told");
            } else {
                log::info!("the cluster has {name} '{new}' now");
            }
        }
        self.version.fetch_add(1, Ordering::Release);
    }

    /// What this node brings to a cluster that has no settings yet.
    pub fn brought(&self) -> Vec<(&'static str, String)> {
        self.lock().brought()
    }

    /// The path of the configuration file; empty without one.
    pub fn file(&self) -> String {
        self.file.as_ref().map_or(String::new(), |path| path.display().to_string())
    }

    /// Writes the present values into the configuration file, and the users if there are any to be
    /// in it.
    pub fn rewrite(&self, users: Option<&Acl>) -> Result<(), RewriteError> {
        let settings = self.lock().clone();
        let path = self.file.as_deref().ok_or(RewriteError::NoFile)?;
        config::rewrite(path, &settings, users)
    }

    /// All that can change, as it is now.
    #[cfg(test)]
    pub fn tunables(&self) -> Tunables {
        self.lock().tunables()
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
