//! What the settings of the cluster mean for the keyspace.

use super::Keyspace;
use crate::engine::settings::Settings;

impl Keyspace {
    /// The settings are these from here on.
    pub fn follow_settings(&mut self, settings: &Settings) {
        self.set_event_classes(settings.event_classes());
    }
}
