//! The settings that all nodes of a cluster have alike: a part of the replicated state, since they
//! decide what an entry does. The table below is the single source for the command line, the
//! configuration file, CONFIG GET and CONFIG SET, the snapshot and the digest.
//!
//! A new setting is one row of the table. Whoever honours it reads it by [`Settings::get`], or is
//! handed a copy in [`super::keyspace::Keyspace::follow_settings`], which is called after each
//! change.
//!
//! Life of a change: CONFIG SET on any node puts it into the log (RAFT.SETTING SET); when that
//! entry is applied, it holds. The first leader of a cluster brings its own values (RAFT.SETTING
//! FOUND), once; a node that joins takes over those of the cluster.

mod policy;
mod value;

use std::fmt;

use super::notifications::EventClasses;

pub use policy::Policy;
pub use value::{Kind, ValueError, parse_bytes};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub default: &'static str,
    pub kind: Kind,
    pub doc: &'static str,
}

/// Makes the names of the settings and their table of one list of rows.
macro_rules! settings {
    ($($id:ident: $name:literal, $default:literal, $kind:expr, $doc:literal;)*) => {
        /// A setting of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum SettingId {
            $(#[doc = $doc] $id,)*
        }

        impl SettingId {
            pub const ALL: &[Self] = &[$(Self::$id),*];
        }

        static SETTINGS: &[Setting] =
            &[$(Setting { name: $name, default: $default, kind: $kind, doc: $doc }),*];
    };
}

const INT_MIN: i64 = i32::MIN as i64;
const INT_MAX: i64 = i32::MAX as i64;
const COUNT_BOUND: Kind = Kind::Number { min: 0, max: i64::MAX };
const SIZE_BOUND: Kind = Kind::Bytes { min: 0, max: i64::MAX };

/// About a thousand years: a time that is added to any clock.
const TTL_MAX_MS: i64 = 1 << 45;

settings! {
    Maxmemory: "maxmemory", "0", Kind::Bytes { min: 0, max: i64::MAX },
        "Bytes that keys and values may count at most (see mem_logical in INFO); 0 is no limit";
    MaxmemoryPolicy: "maxmemory-policy", "noeviction", Kind::OneOf(Policy::NAMES),
        "What goes when maxmemory is reached: keys used least lately (lru) or least often (lfu), \
         any (random), those that expire first (ttl); of all keys, or those that expire (volatile)";
    MaxmemorySamples: "maxmemory-samples", "5", Kind::Number { min: 1, max: 64 },
        "Keys that are looked at for one that is to go";
    LfuLogFactor: "lfu-log-factor", "10", Kind::Number { min: 0, max: INT_MAX },
        "How slowly the count of the uses of a key grows";
    LfuDecayTime: "lfu-decay-time", "1", Kind::Number { min: 0, max: INT_MAX },
        "Minutes without a use after which that count falls by one; 0 is never";
    DefaultTtl: "default-ttl", "0", Kind::Milliseconds { min: 0, max: TTL_MAX_MS },
        "Time to live of a key that is written without one; 0 is for ever";
    MaxTtl: "max-ttl", "0", Kind::Milliseconds { min: 0, max: TTL_MAX_MS },
        "Longest time to live of a key, whatever it is given; 0 is no bound";
    NotifyKeyspaceEvents: "notify-keyspace-events", "", Kind::Events,
        "Of which events on keys messages are published: Redis's letters for channels and classes";
    HashMaxListpackEntries: "hash-max-listpack-entries", "128", COUNT_BOUND,
        "Fields that a hash has at most in its small form; it has at most 128 in any case";
    HashMaxListpackValue: "hash-max-listpack-value", "64", SIZE_BOUND,
        "Bytes of a field or value at most there; 64 in any case";
    ListMaxListpackSize: "list-max-listpack-size", "-2",
        Kind::Number { min: INT_MIN, max: INT_MAX },
        "Up to what OBJECT ENCODING calls a list small: so many elements, or, from -1 to -5, \
         4 to 64 KiB";
    SetMaxIntsetEntries: "set-max-intset-entries", "512", COUNT_BOUND,
        "Members that a set of integers has at most in its small form; 512 in any case";
    SetMaxListpackEntries: "set-max-listpack-entries", "128", COUNT_BOUND,
        "Members that another set has at most in its small form; 128 in any case";
    SetMaxListpackValue: "set-max-listpack-value", "64", SIZE_BOUND,
        "Bytes of a member at most there; 64 in any case";
    ZsetMaxListpackEntries: "zset-max-listpack-entries", "128", COUNT_BOUND,
        "Members that a sorted set has at most in its small form; 128 in any case";
    ZsetMaxListpackValue: "zset-max-listpack-value", "64", SIZE_BOUND,
        "Bytes of a member at most there; 64 in any case";
    ReplicaReadOnly: "replica-read-only", "yes", Kind::YesNo,
        "Clients may not write while the cluster follows a Redis (REPLICAOF)";
    ReplTimeout: "repl-timeout", "60", Kind::Number { min: 1, max: INT_MAX },
        "Seconds without a word of the Redis that is followed after which it is called again";
}

const COUNT: usize = SettingId::ALL.len();

impl SettingId {
    pub fn setting(self) -> &'static Setting {
        &SETTINGS[self as usize]
    }

    /// The setting of this name, in letters of any case.
    pub fn find(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|id| {
            let names = [Some(id.setting().name), id.alias()];
            names.into_iter().flatten().any(|own| own.eq_ignore_ascii_case(name))
        })
    }

    /// Its name in former versions of Redis.
    pub fn alias(self) -> Option<&'static str> {
        Some(match self {
            Self::HashMaxListpackEntries => "hash-max-ziplist-entries",
            Self::HashMaxListpackValue => "hash-max-ziplist-value",
            Self::ListMaxListpackSize => "list-max-ziplist-size",
            Self::ZsetMaxListpackEntries => "zset-max-ziplist-entries",
            Self::ZsetMaxListpackValue => "zset-max-ziplist-value",
            Self::ReplicaReadOnly => "slave-read-only",
            _ => return None,
        })
    }

    /// Reads a value.
    pub fn parse(self, text: &str) -> Result<SettingValue, ValueError> {
        let number = self.setting().kind.parse(text)?;
        Ok(SettingValue { id: self, number })
    }
}

/// A value of one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingValue {
    id: SettingId,
    number: i64,
}

/// As CONFIG GET tells it; reading that gives the same value.
impl fmt::Display for SettingValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.setting().kind.write(self.number, formatter)
    }
}

impl SettingValue {
    pub fn id(self) -> SettingId {
        self.id
    }
}

/// Why a change is refused, in the words of CONFIG SET (without the `ERR`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    #[error("CONFIG SET failed (possibly related to argument '{0}') - duplicate parameter")]
    Duplicate(String),
    #[error("CONFIG SET failed (possibly related to argument '{0}') - {1}")]
    Value(String, ValueError),
}

/// One value for each setting of the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    numbers: [i64; COUNT],
    /// A leader has brought its values, or a client has set some.
    founded: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let default = |setting: &Setting| {
            setting.kind.parse(setting.default).expect("invariant: each default is a value")
        };
        Self { numbers: std::array::from_fn(|index| default(&SETTINGS[index])), founded: false }
    }
}

impl Settings {
    /// The value as a number: of a choice its place among the choices, of events their bits.
    #[inline]
    pub fn get(&self, id: SettingId) -> i64 {
        self.numbers[id as usize]
    }

    /// Of a setting that is never below 0.
    #[inline]
    pub fn unsigned(&self, id: SettingId) -> u64 {
        self.get(id).unsigned_abs()
    }

    pub fn value(&self, id: SettingId) -> SettingValue {
        SettingValue { id, number: self.get(id) }
    }

    /// The value of each setting.
    pub fn values(&self) -> impl Iterator<Item = SettingValue> {
        SettingId::ALL.iter().map(|id| self.value(*id))
    }

    pub fn policy(&self) -> Policy {
        Policy::from_place(self.get(SettingId::MaxmemoryPolicy) as usize)
    }

    /// Whether clients may not write while the cluster follows another server.
    pub fn replica_read_only(&self) -> bool {
        self.get(SettingId::ReplicaReadOnly) != 0
    }

    /// Which events of keys are told.
    pub fn event_classes(&self) -> EventClasses {
        let bits = self.get(SettingId::NotifyKeyspaceEvents);
        EventClasses::from_bits_truncate(bits as u16)
    }

    pub fn is_founded(&self) -> bool {
        self.founded
    }

    /// Changes one setting.
    pub fn put(&mut self, value: SettingValue) {
        self.numbers[value.id as usize] = value.number;
    }

    /// From here on no leader brings its own values any more.
    pub fn found(&mut self) {
        self.founded = true;
    }

    /// Changes several settings, names and values in turn: all of them or, on any error, none.
    pub fn set_all<'a>(
        &mut self,
        changes: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), SettingError> {
        let mut changed = self.clone();
        let mut seen = Vec::new();
        for (name, text) in changes {
            let id = SettingId::find(name).ok_or_else(|| SettingError::Unknown(name.to_owned()))?;
            if seen.contains(&id) {
                return Err(SettingError::Duplicate(name.to_owned()));
            }
            seen.push(id);
            let value =
                id.parse(text).map_err(|error| SettingError::Value(name.to_owned(), error))?;
            changed.put(value);
        }
        *self = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
