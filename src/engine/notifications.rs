//! Keyspace notifications: which events of keys are told, and how they become messages.
//!
//! What changes a key says so ([`Keyspace::notify`]), and so does what finds none. Each node makes
//! the messages for its own subscribers, as it applies the command: they stand in one order with
//! those of PUBLISH, on all nodes. Which classes are told is the same on all nodes; with none, an
//! event is one branch.

use bitflags::bitflags;

use super::bytes::SmallBytes;
use super::keyspace::Keyspace;
use super::pubsub::Subscribers;

bitflags! {
    /// What `notify-keyspace-events` names: classes of events, and the channels they are told on.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct EventClasses: u16 {
        /// On channels that are named after the keys.
        const KEYSPACE = 1;
        /// On channels that are named after the events.
        const KEYEVENT = 1 << 1;
        const GENERIC = 1 << 2;
        const STRING = 1 << 3;
        const LIST = 1 << 4;
        const SET = 1 << 5;
        const HASH = 1 << 6;
        const SORTED_SET = 1 << 7;
        const EXPIRED = 1 << 8;
        const EVICTED = 1 << 9;
        const STREAM = 1 << 10;
        /// A key is looked for that is not there.
        const MISS = 1 << 11;
        /// Of types that modules bring: never told, since there are none.
        const MODULE = 1 << 12;
        /// A key is made.
        const NEW = 1 << 13;
    }
}

/// The letter of each class, in the order of Redis's text.
const LETTERS: [(u8, EventClasses); 14] = [
    (b'g', EventClasses::GENERIC),
    (b'$', EventClasses::STRING),
    (b'l', EventClasses::LIST),
    (b's', EventClasses::SET),
    (b'h', EventClasses::HASH),
    (b'z', EventClasses::SORTED_SET),
    (b'x', EventClasses::EXPIRED),
    (b'e', EventClasses::EVICTED),
    (b't', EventClasses::STREAM),
    (b'd', EventClasses::MODULE),
    (b'n', EventClasses::NEW),
    (b'K', EventClasses::KEYSPACE),
    (b'E', EventClasses::KEYEVENT),
    (b'm', EventClasses::MISS),
];

/// What a text of classes may not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")]
pub struct UnknownClass;

impl EventClasses {
    /// All that `A` stands for: neither the channels, nor misses, nor new keys.
    pub const ALL: Self = Self::GENERIC
        .union(Self::STRING)
        .union(Self::LIST)
        .union(Self::SET)
        .union(Self::HASH)
        .union(Self::SORTED_SET)
        .union(Self::EXPIRED)
        .union(Self::EVICTED)
        .union(Self::STREAM)
        .union(Self::MODULE);

    /// Reads letters in any order, as CONFIG SET takes them.
    pub fn parse(text: &[u8]) -> Result<Self, UnknownClass> {
        let class = |letter: &u8| match letter {
            b'A' => Ok(Self::ALL),
            _ => {
                LETTERS.iter().find(|(known, _)| known == letter).map(|it| it.1).ok_or(UnknownClass)
            }
        };
        text.iter().try_fold(Self::empty(), |all, letter| Ok(all.union(class(letter)?)))
    }

    /// The letters as CONFIG GET writes them. Redis leaves `n` out beside `A`, which would lose it.
    pub fn text(self) -> String {
        let has_all = self.contains(Self::ALL);
        let is_shown =
            |class: Self| self.contains(class) && !(has_all && Self::ALL.contains(class));
        let letters = LETTERS.iter().filter(|(_, class)| is_shown(*class));
        let first = has_all.then_some('A').into_iter();
        first.chain(letters.map(|(letter, _)| char::from(*letter))).collect()
    }

    /// The classes that are told: none, where there is no channel to tell them on.
    pub fn told(self) -> Self {
        let channels = Self::KEYSPACE.union(Self::KEYEVENT);
        if self.intersects(channels) { self.difference(channels) } else { Self::empty() }
    }
}

/// Something has become of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub class: EventClasses,
    pub name: &'static str,
    pub database: u8,
    pub key: SmallBytes,
}

/// Commands that change keys and yet tell of those that they read and do not find, as in Redis.
const READ_AND_CHANGE: [&str; 22] = [
    "bitfield",
    "bitop",
    "copy",
    "georadius",
    "georadiusbymember",
    "geosearchstore",
    "getdel",
    "getex",
    "getset",
    "pfmerge",
    "sdiffstore",
    "set",
    "sinterstore",
    "sort",
    "sunionstore",
    "xack",
    "xautoclaim",
    "xclaim",
    "zdiffstore",
    "zinterstore",
    "zrangestore",
    "zunionstore",
];

/// Whether a command that changes keys tells of those that it does not find.
pub fn tells_misses(command: &str) -> bool {
    READ_AND_CHANGE.contains(&command)
}

/// Makes messages of the events that the keyspace has gathered.
pub fn publish_events(keyspace: &mut Keyspace, subscribers: &mut Subscribers) {
    publish(keyspace.take_events(), keyspace.event_classes(), subscribers);
}

fn publish(events: Vec<Event>, classes: EventClasses, subscribers: &mut Subscribers) {
    if subscribers.is_empty() {
        return;
    }
    let mut channel = Vec::new();
    let mut tell = |kind: &str, database: u8, about: &[u8], payload: &[u8]| {
        channel.clear();
        channel.extend_from_slice(kind.as_bytes());
        channel.extend_from_slice(itoa::Buffer::new().format(database).as_bytes());
        channel.extend_from_slice(b"__:");
        channel.extend_from_slice(about);
        subscribers.publish(false, &channel, payload);
    };
    for Event { name, database, key, .. } in events {
        if classes.contains(EventClasses::KEYSPACE) {
            tell("__keyspace@", database, &key, name.as_bytes());
        }
        if classes.contains(EventClasses::KEYEVENT) {
            tell("__keyevent@", database, name.as_bytes(), &key);
        }
    }
}

#[cfg(test)]
mod tests;
