//! FUNCTION and FCALL: how libraries come in, and how their functions are called.

use super::library::{Libraries, Library, is_name};
use super::shebang::{self, ScriptFlags};
use super::{Job, Sha, Words, keys_and_arguments, permit, run};
use crate::engine::command::Context;
use crate::engine::error::CommandError;
use crate::engine::rdb::{self, RdbError};

const NO_NAME: CommandError = CommandError::text(
    "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least \
     one character long",
);

/// FCALL and FCALL_RO. The library is run anew for each call, so what a function leaves in a local
/// variable of it does not last.
pub fn fcall(context: &mut Context<'_>, words: Words<'_, '_>, is_ro: bool) -> Outcome {
    let found = context.scripts.libraries.function(words[0]);
    let (library, function) = found.ok_or(CommandError::text("ERR Function not found"))?;
    let (sha, source, flags) = (library.sha, library.code.clone(), function.flags);
    let name = function.name.clone();
    let (keys, arguments) = match keys_and_arguments(&words[1..]) {
        Err(CommandError::NotInteger) => {
            return Err(CommandError::text("ERR Bad number of keys provided"));
        }
        other => other?,
    };
    permit(context, flags, is_ro)?;
    let job = Job::Function { sha, source: &source, name: &name, keys, arguments };
    run(context, &job, flags, is_ro).map(drop)
}

type Outcome = Result<(), CommandError>;

/// FUNCTION LOAD.
pub fn load_library(context: &mut Context<'_>, code: &[u8], replaces: bool) -> Outcome {
    let name = name_of(code)?;
    if !replaces && context.scripts.libraries.get(name.as_bytes()).is_some() {
        return Err(CommandError::Text(format!("ERR Library '{name}' already exists").into()));
    }
    let library = read_library(context, code)?;
    context.scripts.libraries.insert(library, replaces)?;
    context.reply.bulk(name.as_bytes());
    Ok(())
}

/// What the code calls its library.
fn name_of(code: &[u8]) -> Result<String, CommandError> {
    let head = shebang::of_library(code)?;
    let Some(name) = head.name.filter(|name| is_name(name)) else { return Err(NO_NAME) };
    if !head.engine.eq_ignore_ascii_case(b"lua") {
        let engine = String::from_utf8_lossy(head.engine);
        return Err(CommandError::Text(format!("ERR Engine '{engine}' not found").into()));
    }
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// The library of this code, which is not among the others yet.
fn read_library(context: &mut Context<'_>, code: &[u8]) -> Result<Library, CommandError> {
    let name = name_of(code)?;
    let job = Job::Library { sha: Sha::of(code), source: code };
    let functions = run(context, &job, ScriptFlags::NO_WRITES, true)?;
    let none = CommandError::text("ERR No functions registered");
    Library::new(&name, code, functions).ok_or(none)
}

/// The libraries of a payload of FUNCTION DUMP, alone.
fn read_payload(context: &mut Context<'_>, payload: &[u8]) -> Result<Libraries, CommandError> {
    let codes = rdb::load_libraries(payload).map_err(|error| match error {
        RdbError::Footer => CommandError::text("ERR DUMP payload version or checksum are wrong"),
        RdbError::Format => CommandError::text("ERR given type is not a function"),
    })?;
    let mut libraries = Libraries::default();
    for code in codes {
        libraries.insert(read_library(context, &code)?, false)?;
    }
    Ok(libraries)
}

/// What becomes of the libraries that are there when others are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePolicy {
    Flush,
    Append,
    Replace,
}

/// FUNCTION RESTORE: all of the payload or nothing.
pub fn restore(context: &mut Context<'_>, payload: &[u8], policy: RestorePolicy) -> Outcome {
    let restored = read_payload(context, payload)?;
    let mut all = match policy {
        RestorePolicy::Flush => Libraries::default(),
        RestorePolicy::Append | RestorePolicy::Replace => context.scripts.libraries.clone(),
    };
    if policy == RestorePolicy::Replace {
        for library in restored.iter() {
            all.remove(library.name.as_bytes());
        }
    }
    for library in restored.iter() {
        all.insert(library.clone(), false)?;
    }
    context.scripts.libraries = all;
    context.reply.ok();
    Ok(())
}

/// FUNCTION DUMP.
pub fn payload_of(libraries: &Libraries) -> Vec<u8> {
    rdb::dump_libraries(libraries.iter().map(|library| &*library.code))
}
