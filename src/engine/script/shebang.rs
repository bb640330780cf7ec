//! The first line of a script that tells what it is: `#!lua flags=no-writes`.

use bitflags::bitflags;

use crate::engine::error::CommandError;

bitflags! {
    /// What a script says of itself
    /// (<https://redis.io/docs/latest/develop/programmability/lua-api/#script_flags>).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ScriptFlags: u8 {
        const NO_WRITES = 1;
        const ALLOW_OOM = 1 << 1;
        const ALLOW_STALE = 1 << 2;
        const NO_CLUSTER = 1 << 3;
        const ALLOW_CROSS_SLOT_KEYS = 1 << 4;
        /// It says nothing.
        const NO_SHEBANG = 1 << 5;
    }
}

/// In the order in which FUNCTION LIST tells them.
pub const NAMES: [(&str, ScriptFlags); 5] = [
    ("no-writes", ScriptFlags::NO_WRITES),
    ("allow-oom", ScriptFlags::ALLOW_OOM),
    ("allow-stale", ScriptFlags::ALLOW_STALE),
    ("no-cluster", ScriptFlags::NO_CLUSTER),
    ("allow-cross-slot-keys", ScriptFlags::ALLOW_CROSS_SLOT_KEYS),
];

pub fn flag_of(name: &[u8]) -> Option<ScriptFlags> {
    NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| *flag)
}

/// Whether a script for EVAL has the flag `no-writes`.
pub fn says_it_only_reads(source: &[u8]) -> bool {
    of_script(source).is_ok_and(|shebang| shebang.flags.contains(ScriptFlags::NO_WRITES))
}

pub struct Shebang<'a> {
    pub flags: ScriptFlags,
    /// What is compiled: from the end of the first line on, so that lines keep their numbers.
    pub body: &'a [u8],
}

/// Reads that of a script for EVAL.
pub fn of_script(source: &[u8]) -> Result<Shebang<'_>, CommandError> {
    if !source.starts_with(b"#!") {
        return Ok(Shebang { flags: ScriptFlags::NO_SHEBANG, body: source });
    }
    let Some(end) = source.iter().position(|byte| *byte == b'\n') else {
        return Err(CommandError::text("ERR Invalid script shebang"));
    };
    let (line, body) = source.split_at(end);
    let mut words = words(line);
    let engine = words.next().unwrap_or_default();
    if engine != b"#!lua" {
        return Err(error("Unexpected engine in script shebang", engine));
    }
    let mut flags = ScriptFlags::empty();
    for word in words {
        let Some(names) = word.strip_prefix(b"flags=") else {
            return Err(error("Unknown lua shebang option", word));
        };
        for name in names.split(|byte| *byte == b',').filter(|name| !name.is_empty()) {
            let unexpected = || error("Unexpected flag in script shebang", name);
            flags |= flag_of(name).ok_or_else(unexpected)?;
        }
    }
    Ok(Shebang { flags, body })
}

/// What the first line of a library says.
pub struct LibraryHead<'a> {
    pub engine: &'a [u8],
    /// `None` if it is there and empty.
    pub name: Option<&'a [u8]>,
    /// As that of a script.
    pub body: &'a [u8],
}

/// Reads the first line of a library.
pub fn of_library(code: &[u8]) -> Result<LibraryHead<'_>, CommandError> {
    if !code.starts_with(b"#!") {
        return Err(CommandError::text("ERR Missing library metadata"));
    }
    let Some(end) = code.iter().position(|byte| *byte == b'\n') else {
        return Err(CommandError::text("ERR Invalid library metadata"));
    };
    let (line, body) = code.split_at(end);
    let mut words = words(line);
    let engine = &words.next().unwrap_or_default()[2..];
    let mut name = None;
    for word in words {
        let is_name = word.get(..5).is_some_and(|field| field.eq_ignore_ascii_case(b"name="));
        if !is_name {
            return Err(error("Invalid metadata value given", word));
        } else if name.is_some() {
            return Err(CommandError::text(
                "ERR Invalid metadata value, name argument was given multiple times",
            ));
        }
        name = Some(&word[5..]);
    }
    let Some(name) = name else {
        return Err(CommandError::text("ERR Library name was not given"));
    };
    Ok(LibraryHead { engine, name: Some(name).filter(|name| !name.is_empty()), body })
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn error(what: &str, word: &[u8]) -> CommandError {
    CommandError::Text(format!("ERR {what}: {}", String::from_utf8_lossy(word)).into())
}
