//! The cache of scripts in a snapshot: chunks of its own behind the head.

use std::mem;

use rkyv::{Archive, Serialize};

use crate::engine::script::{Script, ScriptFlags, ScriptOrigin, Scripts, Sha, flags_of};

use super::format::{CHUNK_BYTES, SnapshotError};

/// Some of the scripts, in the order of their SHA1.
#[derive(Archive, Serialize)]
pub(super) struct ScriptsSection {
    /// How often a script was used.
    uses: u64,
    scripts: Vec<ScriptRecord>,
}

#[derive(Archive, Serialize)]
struct ScriptRecord {
    source: Vec<u8>,
    is_loaded: bool,
    used: u64,
}

/// What is to be written of the cache; nothing while no script was ever in it.
pub(super) fn sections(scripts: &Scripts) -> Vec<ScriptsSection> {
    let uses = scripts.uses();
    let (mut sections, mut records, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (_, script) in scripts.iter() {
        bytes += script.source.len();
        records.push(ScriptRecord {
            source: script.source.to_vec(),
            is_loaded: script.origin == ScriptOrigin::Load,
            used: script.used,
        });
        if bytes >= CHUNK_BYTES {
            bytes = 0;
            sections.push(ScriptsSection { uses, scripts: mem::take(&mut records) });
        }
    }
    if !records.is_empty() || (uses > 0 && sections.is_empty()) {
        sections.push(ScriptsSection { uses, scripts: records });
    }
    sections
}

/// Puts scripts back. What cannot be compiled any more is found when it is run.
pub(super) fn restore(
    scripts: &mut Scripts,
    section: &ArchivedScriptsSection,
) -> Result<(), SnapshotError> {
    let uses = section.uses.to_native();
    for record in section.scripts.iter() {
        let flags: Option<ScriptFlags> = flags_of(&record.source);
        let script = Script {
            source: record.source.as_slice().into(),
            flags: flags.ok_or(SnapshotError::Value)?,
            origin: if record.is_loaded { ScriptOrigin::Load } else { ScriptOrigin::Eval },
            used: record.used.to_native(),
        };
        if script.used > uses || !scripts.restore(Sha::of(&record.source), script) {
            return Err(SnapshotError::Value);
        }
    }
    scripts.set_uses(uses);
    Ok(())
}
