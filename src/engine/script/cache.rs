//! The scripts that are known by their SHA1, which is replicated state, with the libraries.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sha1::{Digest, Sha1};

use super::library::Libraries;
use super::shebang::ScriptFlags;
use crate::limits::{SCRIPT_CACHE_BYTES_MAX, SCRIPTS_OF_EVAL_MAX};

/// The SHA1 of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha(pub [u8; 20]);

impl Sha {
    pub fn of(source: &[u8]) -> Self {
        Self(Sha1::digest(source).into())
    }

    /// How many its name has.
    pub const DIGITS: usize = 40;

    /// 40 hexadecimal digits of either case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut sha = [0; 20];
        if text.len() != Self::DIGITS {
            return None;
        }
        for (byte, pair) in sha.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        Some(Self(sha))
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What has brought a script into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScriptOrigin {
    /// EVAL: it goes when there are too many.
    Eval,
    /// SCRIPT LOAD: it stays until SCRIPT FLUSH.
    Load,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Script {
    pub source: Arc<[u8]>,
    pub flags: ScriptFlags,
    pub origin: ScriptOrigin,
    /// When it was last run or loaded, as [`Scripts::uses`] counts.
    pub used: u64,
}

/// Scripts: at most [`SCRIPT_CACHE_BYTES_MAX`], and [`SCRIPTS_OF_EVAL_MAX`] scripts that EVAL has
/// brought, of which the least recently used goes.
#[derive(Debug, Default, Hash)]
pub struct Scripts {
    by_sha: BTreeMap<Sha, Script>,
    uses: u64,
    of_eval: usize,
    bytes: usize,
    pub libraries: Libraries,
}

/// What a script counts beside its source.
const OVERHEAD: usize = 256;

impl Scripts {
    pub fn get(&self, sha: &Sha) -> Option<&Script> {
        self.by_sha.get(sha)
    }

    /// The script, which is noted as used if `notes`.
    pub fn touch(&mut self, sha: &Sha, notes: bool) -> Option<&Script> {
        let script = self.by_sha.get_mut(sha)?;
        if notes {
            self.uses += 1;
            script.used = self.uses;
        }
        Some(script)
    }

    /// Lets a known script stay until SCRIPT FLUSH. False when it is unknown.
    pub fn keep(&mut self, sha: &Sha) -> bool {
        let Some(script) = self.by_sha.get_mut(sha) else { return false };
        if script.origin == ScriptOrigin::Eval {
            script.origin = ScriptOrigin::Load;
            self.of_eval -= 1;
        }
        true
    }

    /// Takes in a script that is not known. False when there is no room even without those that
    /// EVAL has brought.
    pub fn insert(
        &mut self,
        sha: Sha,
        source: &[u8],
        flags: ScriptFlags,
        origin: ScriptOrigin,
    ) -> bool {
        let bytes = source.len() + OVERHEAD;
        let is_full = |scripts: &Self| scripts.bytes + bytes > SCRIPT_CACHE_BYTES_MAX;
        let of_eval = usize::from(origin == ScriptOrigin::Eval);
        while is_full(self) || self.of_eval + of_eval > SCRIPTS_OF_EVAL_MAX {
            if !self.evict() {
                return false;
            }
        }
        self.uses += 1;
        let script = Script { source: source.into(), flags, origin, used: self.uses };
        self.put(sha, script)
    }

    /// Puts a script back as it was. False if it was there.
    pub fn restore(&mut self, sha: Sha, script: Script) -> bool {
        self.put(sha, script)
    }

    fn put(&mut self, sha: Sha, script: Script) -> bool {
        self.bytes += script.source.len() + OVERHEAD;
        self.of_eval += usize::from(script.origin == ScriptOrigin::Eval);
        self.by_sha.insert(sha, script).is_none()
    }

    fn evict(&mut self) -> bool {
        let of_eval = self.by_sha.iter().filter(|(_, it)| it.origin == ScriptOrigin::Eval);
        let Some(sha) = of_eval.min_by_key(|(_, it)| it.used).map(|(sha, _)| *sha) else {
            return false;
        };
        let script = self.by_sha.remove(&sha).expect("invariant: just found");
        self.bytes -= script.source.len() + OVERHEAD;
        self.of_eval -= 1;
        true
    }

    pub fn flush(&mut self) {
        let uses = self.uses;
        let libraries = std::mem::take(&mut self.libraries);
        *self = Self { uses, libraries, ..Self::default() };
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Sha, &Script)> {
        self.by_sha.iter()
    }

    pub fn len(&self) -> usize {
        self.by_sha.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_sha.is_empty()
    }

    /// What all scripts count, with their overhead.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How often a script was used.
    pub fn uses(&self) -> u64 {
        self.uses
    }

    pub fn set_uses(&mut self, uses: u64) {
        self.uses = uses;
    }
}
