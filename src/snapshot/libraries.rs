//! The libraries of functions in a snapshot: chunks of their own behind those of scripts.

use std::mem;

use rkyv::{Archive, Serialize};

use crate::engine::script::{Libraries, Library, LibraryFunction, ScriptFlags};

use super::format::{CHUNK_BYTES, SnapshotError};

/// Some of the libraries, in the order of their names.
#[derive(Archive, Serialize)]
pub(super) struct LibrariesSection {
    libraries: Vec<LibraryRecord>,
}

#[derive(Archive, Serialize)]
struct LibraryRecord {
    name: String,
    code: Vec<u8>,
    functions: Vec<FunctionRecord>,
}

#[derive(Archive, Serialize)]
struct FunctionRecord {
    name: String,
    flags: u8,
    description: Option<Vec<u8>>,
}

fn record_of(library: &Library) -> LibraryRecord {
    let function = |function: &LibraryFunction| FunctionRecord {
        name: function.name.clone(),
        flags: function.flags.bits(),
        description: function.description.clone(),
    };
    LibraryRecord {
        name: library.name.clone(),
        code: library.code.to_vec(),
        functions: library.functions.iter().map(function).collect(),
    }
}

/// What is to be written of the libraries: nothing if there are none.
pub(super) fn sections(libraries: &Libraries) -> Vec<LibrariesSection> {
    let (mut sections, mut records, mut bytes) = (Vec::new(), Vec::new(), 0);
    for library in libraries.iter() {
        bytes += library.code.len();
        records.push(record_of(library));
        if bytes >= CHUNK_BYTES {
            bytes = 0;
            sections.push(LibrariesSection { libraries: mem::take(&mut records) });
        }
    }
    if !records.is_empty() {
        sections.push(LibrariesSection { libraries: records });
    }
    sections
}

/// Puts libraries back. What they register is not found out anew: it is in the snapshot.
pub(super) fn restore(
    libraries: &mut Libraries,
    section: &ArchivedLibrariesSection,
) -> Result<(), SnapshotError> {
    for record in section.libraries.iter() {
        let mut functions = Vec::new();
        for function in record.functions.iter() {
            functions.push(LibraryFunction {
                name: function.name.as_str().to_owned(),
                flags: ScriptFlags::from_bits(function.flags).ok_or(SnapshotError::Value)?,
                description: function.description.as_ref().map(|text| text.to_vec()),
            });
        }
        let library = Library::new(&record.name, &record.code, functions);
        let library = library.ok_or(SnapshotError::Value)?;
        libraries.insert(library, false).map_err(|_| SnapshotError::Value)?;
    }
    Ok(())
}
