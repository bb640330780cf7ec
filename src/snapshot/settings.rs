//! The section of the settings that all nodes have alike.

use rkyv::{Archive, Serialize};

use crate::engine::settings::{SettingId, Settings};

use super::format::SnapshotError;

#[derive(Archive, Serialize)]
pub(super) struct SettingsRecord {
    pub founded: bool,
    /// Name and value of each.
    pub values: Vec<(String, String)>,
}

pub(super) fn write(settings: &Settings) -> SettingsRecord {
    let values = settings.values();
    let values = values.map(|value| (value.id().setting().name.to_owned(), value.to_string()));
    SettingsRecord { founded: settings.is_founded(), values: values.collect() }
}

/// All settings of the table, each once, each with a value that it can have.
pub(super) fn read(record: &ArchivedSettingsRecord) -> Result<Settings, SnapshotError> {
    let mut settings = Settings::default();
    let values = record.values.iter().map(|value| (value.0.as_str(), value.1.as_str()));
    settings.set_all(values).map_err(|_| SnapshotError::Value)?;
    if record.values.len() != SettingId::ALL.len() {
        return Err(SnapshotError::Value);
    }
    if record.founded {
        settings.found();
    }
    Ok(settings)
}
