//! A stream: entries of fields in order of their ids, and the groups of consumers that read them.
//!
//! It knows no keys and no RESP. The two parts stand beside each other: [`StreamLog`] knows no
//! groups, and a [`Group`] refers to entries by their ids, which never move. An entry may be gone
//! while it is still pending. Invariant: every state is a function of the operations and their
//! times alone.

mod group;
mod log;

use std::collections::BTreeMap;
use std::fmt;

pub use group::{Consumer, Delivery, Group, Name};
pub use log::{ENTRY_BYTES_MAX, Entry, StreamLog};

use crate::engine::bytes::SmallBytes;
use crate::engine::error::CommandError;
use crate::engine::value::{Kind, Value};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

impl StreamId {
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// The id that follows directly.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| Self { ms, seq: 0 }),
        }
    }

    /// The id that precedes directly.
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Self { ms, seq: u64::MAX }),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.ms, self.seq)
    }
}

#[derive(Clone, Debug, Default, Hash)]
pub struct Stream {
    pub log: StreamLog,
    /// By name, in the order of their bytes.
    pub groups: BTreeMap<SmallBytes, Group>,
}

impl Stream {
    /// Logical memory, the same on every node.
    pub fn bytes(&self) -> usize {
        let groups = self.groups.iter().map(|(name, group)| name.len() + group.bytes());
        self.log.bytes() + groups.sum::<usize>()
    }
}

impl Kind for Stream {
    fn of(value: &Value) -> Result<&Self, CommandError> {
        match value {
            Value::Stream(stream) => Ok(stream),
            _ => Err(CommandError::WrongType),
        }
    }

    fn of_mut(value: &mut Value) -> Result<&mut Self, CommandError> {
        match value {
            Value::Stream(stream) => Ok(stream),
            _ => Err(CommandError::WrongType),
        }
    }

    fn empty() -> Value {
        Value::Stream(Box::default())
    }

    /// As far as entries go: a stream without any stays, with its groups.
    fn is_empty(&self) -> bool {
        self.log.is_empty()
    }
}
