//! What a node tells of the commands that scripts run: which ones, to whoever monitors, and what
//! they were denied.
//!
//! Only what clients of this node run is noted, and no part of it is replicated: nothing that is
//! applied depends on it.

use super::acl::Denied;
use super::command::CommandId;
use crate::limits::{SCRIPT_DENIALS_MAX, SCRIPT_LINES_BYTES_MAX};

/// What a word costs in memory beside its bytes.
const WORD_BYTES: usize = size_of::<Vec<u8>>();

/// A command that a script has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptCall {
    /// The one that was selected behind it.
    pub database: u8,
    pub words: Vec<Vec<u8>>,
}

/// What scripts have run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptCalls {
    pub calls: Vec<ScriptCall>,
    bytes: usize,
    /// There were too many to keep them.
    pub are_lost: bool,
}

/// What a script was denied for its user, so many times in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptDenial {
    pub denied: Denied,
    /// What the client sent that ran the script.
    pub command: CommandId,
    pub count: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Witness {
    /// What is run is of clients of this node.
    is_own: bool,
    /// Somebody watches the clients of this node.
    notes_calls: bool,
    calls: ScriptCalls,
    denials: Vec<ScriptDenial>,
}

impl Witness {
    /// What is run from here on is of clients of this node, of which somebody may watch what is
    /// called.
    pub fn begin(&mut self, notes_calls: bool) {
        self.is_own = true;
        self.notes_calls = notes_calls;
    }

    /// What is run from here on is not.
    pub fn end(&mut self) {
        self.is_own = false;
        self.notes_calls = false;
    }

    /// A script has run a command.
    #[inline]
    pub(super) fn note_call(&mut self, database: u8, words: &[&[u8]]) {
        if self.notes_calls {
            self.keep_call(database, words);
        }
    }

    #[cold]
    fn keep_call(&mut self, database: u8, words: &[&[u8]]) {
        let calls = &mut self.calls;
        calls.bytes += words.iter().map(|word| word.len() + WORD_BYTES).sum::<usize>();
        calls.are_lost |= calls.bytes > SCRIPT_LINES_BYTES_MAX;
        if calls.are_lost {
            return calls.calls.clear();
        }
        let words = words.iter().map(|word| word.to_vec()).collect();
        calls.calls.push(ScriptCall { database, words });
    }

    /// A script was denied a command. Beyond the bound only more of the last one are noted.
    #[cold]
    pub(super) fn note_denial(&mut self, denied: Denied, command: CommandId) {
        if !self.is_own {
            return;
        }
        let is_full = self.denials.len() == SCRIPT_DENIALS_MAX;
        match self.denials.last_mut() {
            Some(last) if last.denied == denied && last.command == command => last.count += 1,
            _ if is_full => {}
            _ => self.denials.push(ScriptDenial { denied, command, count: 1 }),
        }
    }

    /// Whether there is anything to tell.
    #[inline]
    pub fn has_news(&self) -> bool {
        !self.denials.is_empty() || !self.calls.calls.is_empty() || self.calls.are_lost
    }

    pub fn take_calls(&mut self) -> ScriptCalls {
        std::mem::take(&mut self.calls)
    }

    pub fn take_denials(&mut self) -> Vec<ScriptDenial> {
        std::mem::take(&mut self.denials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::acl::Denial;

    fn denied(key: &[u8]) -> Denied {
        Denied::new(&Denial::Key(key), "lua", b"u")
    }

    #[test]
    fn only_what_is_watched_is_kept() {
        let mut witness = Witness::default();
        let call = |witness: &mut Witness| {
            witness.note_call(0, &[b"get", b"k"]);
            witness.note_denial(denied(b"k"), CommandId(1));
            (witness.take_calls().calls.len(), witness.take_denials().len())
        };
        assert_eq!(call(&mut witness), (0, 0));
        witness.begin(false);
        assert_eq!(call(&mut witness), (0, 1));
        witness.begin(true);
        assert_eq!(call(&mut witness), (1, 1));
        witness.end();
        assert_eq!(call(&mut witness), (0, 0));
        assert!(!witness.has_news());
    }

    #[test]
    fn too_many_calls_are_lost_and_told_so() {
        let mut witness = Witness::default();
        witness.begin(true);
        let value = vec![0; SCRIPT_LINES_BYTES_MAX / 2];
        witness.note_call(0, &[b"set", b"k", &value]);
        assert!(!witness.calls.are_lost);
        witness.note_call(0, &[b"set", b"k", &value]);
        assert!(witness.has_news());
        let calls = witness.take_calls();
        assert!(calls.are_lost && calls.calls.is_empty());
        assert!(!witness.has_news());
        witness.note_call(0, &[b"ping"]);
        assert_eq!(witness.take_calls().calls.len(), 1);
    }

    #[test]
    fn denials_in_a_row_are_counted_and_all_are_bounded() {
        let mut witness = Witness::default();
        witness.begin(false);
        for key in [b"a", b"a", b"b", b"a"] {
            witness.note_denial(denied(key), CommandId(1));
        }
        let counts = |witness: &mut Witness| -> Vec<u64> {
            witness.take_denials().iter().map(|denial| denial.count).collect()
        };
        assert_eq!(counts(&mut witness), [2, 1, 1]);
        for number in 0..2 * SCRIPT_DENIALS_MAX {
            witness.note_denial(denied(number.to_string().as_bytes()), CommandId(1));
        }
        assert_eq!(witness.denials.len(), SCRIPT_DENIALS_MAX);
    }
}
