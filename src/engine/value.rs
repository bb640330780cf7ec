//! What a key may hold.

use std::hash::{Hash, Hasher};

use super::error::CommandError;
use super::types::list::{End, List};
use super::types::sorted_set::SortedSet;
use super::types::stream::Stream;
use super::types::string::StringValue;
use super::types::{hash::Hash as HashValue, set::Set};
use crate::raft::types::Millis;

const _: () = assert!(size_of::<Value>() == 24);

#[derive(Clone, Debug)]
pub enum Value {
    String(StringValue),
    List(Box<List>),
    Set(Box<Set>),
    Hash(HashValue),
    SortedSet(Box<SortedSet>),
    Stream(Box<Stream>),
}

/// A type that a [`Value`] may hold, for accessors that answer WRONGTYPE otherwise.
pub trait Kind: Sized {
    fn of(value: &Value) -> Result<&Self, CommandError>;
    fn of_mut(value: &mut Value) -> Result<&mut Self, CommandError>;
    /// A new empty one as a value.
    fn empty() -> Value;
    fn is_empty(&self) -> bool;
}

impl Kind for StringValue {
    fn of(value: &Value) -> Result<&Self, CommandError> {
        match value {
            Value::String(string) => Ok(string),
            _ => Err(CommandError::WrongType),
        }
    }

    fn of_mut(value: &mut Value) -> Result<&mut Self, CommandError> {
        match value {
            Value::String(string) => Ok(string),
            _ => Err(CommandError::WrongType),
        }
    }

    fn empty() -> Value {
        Value::String(StringValue::from_bytes(b""))
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Value {
    pub fn string(bytes: &[u8]) -> Self {
        Self::String(StringValue::from_bytes(bytes))
    }

    /// Reads the start of what is held outside of the value, to have it in the cache.
    #[inline]
    pub(super) fn touch(&self) -> u8 {
        match self {
            Self::String(string) => string.touch(),
            _ => 0,
        }
    }

    /// When the first field of a hash expires. 0: none does, or it is no hash.
    #[inline]
    pub(super) fn field_deadline(&self) -> Millis {
        match self {
            Self::Hash(hash) => hash.first_deadline(),
            _ => 0,
        }
    }

    /// Puts the elements of another collection of the same type behind those that are here. Whether
    /// there is such a thing: strings and streams are no collections of elements.
    pub fn append(&mut self, other: Self) -> bool {
        match (self, other) {
            (Self::List(list), Self::List(other)) => {
                other.iter().for_each(|element| list.push(End::Right, element));
            }
            (Self::Set(set), Self::Set(other)) => other.iter().for_each(|member| {
                set.add(&member);
            }),
            (Self::Hash(hash), Self::Hash(other)) => hash.append(&other),
            (Self::SortedSet(sorted_set), Self::SortedSet(other)) => {
                other.entries().for_each(|(member, score)| {
                    sorted_set.insert(member, score);
                });
            }
            _ => return false,
        }
        true
    }

    /// Redis's name of the type, as TYPE tells it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Hash(_) => "hash",
            Self::SortedSet(_) => "zset",
            Self::Stream(_) => "stream",
        }
    }
}

/// For the digest of the keyspace: depends on all that a client can read, the order of members and
/// the encoding among it, and on nothing else, such as how the bytes lie in memory.
impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.type_name().hash(state);
        match self {
            Self::String(string) => (string, string.encoding()).hash(state),
            Self::List(list) => list.hash(state),
            Self::Set(set) => (set, set.encoding().name()).hash(state),
            Self::Hash(hash) => (hash, hash.encoding().name()).hash(state),
            Self::SortedSet(sorted_set) => {
                (sorted_set.encoding().name(), sorted_set.len()).hash(state);
                let entries = sorted_set.entries();
                entries.for_each(|(member, score)| (member, score.to_bits()).hash(state));
            }
            Self::Stream(stream) => stream.hash(state),
        }
    }
}
