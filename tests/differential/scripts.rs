//! The scripts of `scripts.lua`, and the libraries of `libraries.lua`.

use std::sync::LazyLock;

use sha1::{Digest, Sha1};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Writes,
    /// Writes nothing that it may write.
    Reads,
}

pub struct Script {
    pub kind: Kind,
    pub text: &'static str,
}

static SCRIPTS: LazyLock<Vec<Script>> = LazyLock::new(|| {
    let behind_head = include_str!("scripts.lua").split("\n--- ").skip(1);
    let script = |part: &'static str| match part.split_once('\n') {
        Some(("writes", text)) => Script { kind: Kind::Writes, text: text.trim_end() },
        Some(("reads", text)) => Script { kind: Kind::Reads, text: text.trim_end() },
        _ => panic!("not a script: {part}"),
    };
    behind_head.map(script).collect()
});

pub fn all() -> impl Iterator<Item = &'static Script> {
    SCRIPTS.iter()
}

static LIBRARIES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let behind_head = include_str!("libraries.lua").split("\n--- ").skip(1);
    behind_head.map(|part| part.split_once('\n').map_or("", |(_, text)| text)).collect()
});

/// What FUNCTION LOAD is sent, libraries or not.
pub fn libraries() -> &'static [&'static str] {
    &LIBRARIES
}

/// The name that EVALSHA knows a script by.
pub fn sha(text: &str) -> Vec<u8> {
    Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()
}
