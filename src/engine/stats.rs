//! Counts of what the engine runs, for INFO. No part of the replicated state.

use std::collections::BTreeMap;

use super::command::{CommandId, stat_slot};
use super::timing::{Histograms, Timing};
use super::waiting::{UNBLOCKED, Unserved};

/// Distinct codes that are counted: those of the engine itself are fewer.
const ERROR_CODES_MAX: usize = 128;

/// Counts since the start of the node or CONFIG RESETSTAT.
#[derive(Clone, Debug, Default)]
pub struct EngineStats {
    /// By [`stat_slot`].
    pub commands: Vec<CommandStats>,
    /// How long commands took, by slot, if that is tracked.
    pub histograms: Histograms,
    pub timing: Timing,
    pub total_commands: u64,
    /// By the first word of the error.
    pub errors: BTreeMap<String, u64>,
    pub total_errors: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandStats {
    pub calls: u64,
    pub failed: u64,
    /// Refused before they ran.
    pub rejected: u64,
    /// How long they ran in all, in nanoseconds.
    pub nanos: u64,
}

impl EngineStats {
    /// A command has waited for nothing.
    #[cold]
    pub(super) fn count_unserved(&mut self, command: CommandId, how: Unserved) {
        let stats = &mut self.commands[usize::from(stat_slot(command, None))];
        stats.calls += 1;
        self.total_commands += 1;
        if how == Unserved::Unblocked {
            stats.failed += 1;
            self.count_error(UNBLOCKED);
        }
    }

    /// Counts an error reply by its code.
    pub fn count_error(&mut self, text: &str) {
        self.total_errors += 1;
        count_error(&mut self.errors, text);
    }
}

/// Counts an error by its code, the first word; codes beyond the bound count for none.
pub fn count_error(errors: &mut BTreeMap<String, u64>, text: &str) {
    let code = text.split(' ').next().unwrap_or_default();
    if let Some(count) = errors.get_mut(code) {
        *count += 1;
    } else if errors.len() < ERROR_CODES_MAX {
        errors.insert(code.to_owned(), 1);
    }
}
