//! The bounds of the small forms of values, as far as they are set below those that the types have
//! anyway.
//!
//! A value that a command has changed leaves its small form at the end of the command, when it is
//! above a bound. Then the entry is still open, so no walk over a former state can have met it in
//! between. Nothing else leaves an entry open while there are such bounds: otherwise a read, which
//! runs on one node alone, would change its form there.

use super::Keyspace;
use crate::engine::settings::{SettingId, Settings};
use crate::engine::types::hash::{Hash, HashEncoding};
use crate::engine::types::set::{Set, SetEncoding};
use crate::engine::types::sorted_set::{SortedSet, SortedSetEncoding};
use crate::engine::types::{COMPACT_LEN_MAX, COMPACT_STRING_BYTES_MAX};
use crate::engine::value::Value;

/// So many fields or members of so many bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    len: usize,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forms {
    hash: Bounds,
    set: Bounds,
    integers: usize,
    sorted_set: Bounds,
    /// Some bound is below that of the type.
    is_tight: bool,
}

impl Bounds {
    fn of(settings: &Settings, len: SettingId, bytes: SettingId) -> Self {
        let number = |id| usize::try_from(settings.unsigned(id)).unwrap_or(usize::MAX);
        Self { len: number(len), bytes: number(bytes) }
    }

    fn is_tight(self) -> bool {
        self.len < COMPACT_LEN_MAX || self.bytes < COMPACT_STRING_BYTES_MAX
    }

    /// Whether something of this length may be small. It has the longest string that `longest`
    /// finds.
    fn allow(self, len: usize, longest: impl FnOnce() -> usize) -> bool {
        len <= self.len && (self.bytes >= COMPACT_STRING_BYTES_MAX || longest() <= self.bytes)
    }
}

impl Default for Forms {
    fn default() -> Self {
        Self::of(&Settings::default())
    }
}

impl Forms {
    fn of(settings: &Settings) -> Self {
        use SettingId::{
            HashMaxListpackEntries, HashMaxListpackValue, SetMaxIntsetEntries,
            SetMaxListpackEntries, SetMaxListpackValue, ZsetMaxListpackEntries,
            ZsetMaxListpackValue,
        };
        let hash = Bounds::of(settings, HashMaxListpackEntries, HashMaxListpackValue);
        let set = Bounds::of(settings, SetMaxListpackEntries, SetMaxListpackValue);
        let sorted_set = Bounds::of(settings, ZsetMaxListpackEntries, ZsetMaxListpackValue);
        let integers = settings.unsigned(SetMaxIntsetEntries) as usize;
        let is_tight = hash.is_tight()
            || set.is_tight()
            || sorted_set.is_tight()
            || integers < Set::INTEGERS_LEN_MAX;
        Self { hash, set, integers, sorted_set, is_tight }
    }

    fn keep(&self, value: &mut Value) {
        match value {
            Value::Hash(hash) => self.keep_hash(hash),
            Value::Set(set) => self.keep_set(set),
            Value::SortedSet(sorted_set) => self.keep_sorted_set(sorted_set),
            Value::String(_) | Value::List(_) | Value::Stream(_) => {}
        }
    }

    fn keep_hash(&self, hash: &mut Hash) {
        let longest = |hash: &Hash| {
            hash.iter().map(|(field, value)| field.len().max(value.len())).max().unwrap_or(0)
        };
        if hash.encoding() == HashEncoding::Listpack
            && !self.hash.allow(hash.len(), || longest(hash))
        {
            hash.make_table();
        }
    }

    fn keep_set(&self, set: &mut Set) {
        let longest = || set.iter().map(|member| member.len()).max().unwrap_or(0);
        match set.encoding() {
            SetEncoding::Intset if set.len() <= self.integers => {}
            // As in Redis: integers that have become too many are a table, and where there are to
            // be no such sets, they are strings from the first on.
            SetEncoding::Intset if self.integers == 0 && self.set.allow(set.len(), longest) => {
                set.make_packed();
            }
            SetEncoding::Listpack if self.set.allow(set.len(), longest) => {}
            SetEncoding::Intset | SetEncoding::Listpack => set.make_table(),
            SetEncoding::Hashtable => {}
        }
    }

    fn keep_sorted_set(&self, sorted_set: &mut SortedSet) {
        let longest = |sorted_set: &SortedSet| {
            sorted_set.iter().map(|(member, _)| member.len()).max().unwrap_or(0)
        };
        if sorted_set.encoding() == SortedSetEncoding::Listpack
            && !self.sorted_set.allow(sorted_set.len(), || longest(sorted_set))
        {
            sorted_set.make_ordered();
        }
    }
}

impl Keyspace {
    /// The bounds are these from here on, for what changes.
    pub(super) fn follow_forms(&mut self, settings: &Settings) {
        self.settle();
        self.forms = Forms::of(settings);
        self.set_forms_news(self.forms.is_tight);
    }

    /// What was changed last leaves its small form if it is above a bound. To be called after each
    /// command that has news.
    pub fn keep_forms(&mut self) {
        if self.forms.is_tight {
            let forms = self.forms;
            if let Some(entry) = self.open_entry() {
                forms.keep(&mut entry.value);
            }
            self.settle();
        }
    }
}
