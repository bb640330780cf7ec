//! The section of the import: whom the cluster follows, and how far that is.

use rkyv::{Archive, Deserialize, Serialize};

use crate::engine::import::{Import, Phase, Progress, Reached, Source};
use crate::engine::keyspace::DATABASE_COUNT;

use super::format::SnapshotError;

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct ImportRecord {
    source: Option<SourceRecord>,
    epoch: u64,
    session: u64,
    phase: String,
    replid: Vec<u8>,
    offset: u64,
    database: u8,
    units: u64,
    commands: u64,
    errors: u64,
    last_error: Vec<u8>,
    failure: Vec<u8>,
    is_linked: bool,
    link_changed_ms: u64,
}

#[derive(Archive, Serialize, Deserialize)]
struct SourceRecord {
    host: Vec<u8>,
    port: u16,
    user: Vec<u8>,
    password: Vec<u8>,
}

pub(super) fn write(import: &Import) -> ImportRecord {
    let source = import.source().cloned();
    let (Reached { phase, replid, offset, database }, progress) =
        (import.reached().clone(), import.progress().clone());
    ImportRecord {
        source: source.map(|Source { host, port, user, password }| SourceRecord {
            host,
            port,
            user,
            password,
        }),
        epoch: import.epoch(),
        session: import.session(),
        phase: phase.name().to_owned(),
        replid,
        offset,
        database,
        units: progress.units,
        commands: progress.commands,
        errors: progress.errors,
        last_error: progress.last_error,
        failure: progress.failure,
        is_linked: progress.is_linked,
        link_changed_ms: progress.link_changed_ms,
    }
}

pub(super) fn read(record: &ArchivedImportRecord) -> Result<Import, SnapshotError> {
    let record = rkyv::deserialize::<ImportRecord, rkyv::rancor::Failure>(record)
        .map_err(|_| SnapshotError::Archive)?;
    let phase = Phase::find(record.phase.as_bytes()).ok_or(SnapshotError::Value)?;
    if record.database >= DATABASE_COUNT {
        return Err(SnapshotError::Value);
    }
    let source =
        |SourceRecord { host, port, user, password }| Source { host, port, user, password };
    Ok(Import::restore(
        record.source.map(source),
        (record.epoch, record.session),
        Reached { phase, replid: record.replid, offset: record.offset, database: record.database },
        Progress {
            units: record.units,
            commands: record.commands,
            errors: record.errors,
            last_error: record.last_error,
            failure: record.failure,
            is_linked: record.is_linked,
            link_changed_ms: record.link_changed_ms,
        },
    ))
}
