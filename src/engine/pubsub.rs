//! Who subscribes to what on this node, and the messages for them.
//!
//! A message is an entry of the log like a write, so every node sees all messages in one order.
//! Who subscribes is known to the node of the client alone: it is no part of the replicated state,
//! of digests or of snapshots.
//!
//! Messages are gathered for each net role until the apply role takes them. What is gathered has a
//! bound ([`PUBLISHED_BYTES_MAX`]): beyond it the messages are lost, and so is who should have
//! got them, since a subscriber that stays connected misses none.

use std::collections::{BTreeMap, BTreeSet};

use super::reply::Reply;
use crate::glob::glob_match;
use crate::limits::PUBLISHED_BYTES_MAX;
use crate::raft::types::Stream;

/// What a subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Channel,
    /// A pattern that names of channels fit.
    Pattern,
    /// A channel of SPUBLISH. There is one shard, which all nodes have.
    Shard,
}

/// A client of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subscriber {
    pub stream: Stream,
    /// Means something to the net role of that stream only.
    pub connection: u64,
}

/// What a client subscribes to, or does no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub subscriber: Subscriber,
    pub topic: Topic,
    pub name: Vec<u8>,
    pub subscribes: bool,
}

/// What PUBSUB asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The names of channels that have subscribers, and fit a pattern.
    Channels { topic: Topic, pattern: Option<Vec<u8>> },
    /// How many subscribers these channels have.
    Counts { topic: Topic, channels: Vec<Vec<u8>> },
    /// How many patterns there are.
    Patterns,
}

type Names = BTreeMap<Vec<u8>, BTreeSet<Subscriber>>;

/// All subscriptions of the clients of this node.
#[derive(Debug, Default)]
pub struct Subscribers {
    channels: Names,
    patterns: Names,
    shards: Names,
    /// By stream, up to the last that has had a subscriber.
    published: Vec<Published>,
    has_published: bool,
}

/// Messages for the clients of one net role, in the order of the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Of each delivery: pattern, channel and payload.
    bytes: Vec<u8>,
    deliveries: Vec<Delivery>,
    /// Of all deliveries, one after the other.
    receivers: Vec<u64>,
    /// There were too many, and none is here.
    pub is_lost: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Delivery {
    topic: Topic,
    pattern_len: usize,
    channel_len: usize,
    payload_len: usize,
    receivers: usize,
}

/// One message for those who get it by the same subscription.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub topic: Topic,
    /// Empty unless the topic is a pattern.
    pub pattern: &'a [u8],
    pub channel: &'a [u8],
    pub payload: &'a [u8],
    /// [`Subscriber::connection`] of each.
    pub receivers: &'a [u64],
}

impl Subscribers {
    pub fn apply(&mut self, change: Change) {
        let Change { subscriber, topic, name, subscribes } = change;
        let names = match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::Shard => &mut self.shards,
        };
        if subscribes {
            names.entry(name).or_default().insert(subscriber);
            let streams = usize::from(subscriber.stream) + 1;
            if self.published.len() < streams {
                self.published.resize_with(streams, Published::default);
            }
        } else if let Some(subscribers) = names.get_mut(&name) {
            subscribers.remove(&subscriber);
            if subscribers.is_empty() {
                names.remove(&name);
            }
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shards.is_empty()
    }

    /// Gathers a message for those who subscribe; returns how many clients get it, and one twice
    /// that gets it by two subscriptions.
    #[inline]
    pub fn publish(&mut self, is_sharded: bool, channel: &[u8], payload: &[u8]) -> usize {
        if self.is_empty() { 0 } else { self.publish_to_some(is_sharded, channel, payload) }
    }

    fn publish_to_some(&mut self, is_sharded: bool, channel: &[u8], payload: &[u8]) -> usize {
        let Self { channels, patterns, shards, published, has_published } = self;
        let (topic, names) = match is_sharded {
            true => (Topic::Shard, shards),
            false => (Topic::Channel, channels),
        };
        let mut count = 0;
        if let Some(subscribers) = names.get(channel) {
            count += gather(published, topic, [b"", channel, payload], subscribers);
        }
        if !is_sharded {
            for (pattern, subscribers) in patterns {
                if glob_match(pattern, channel) {
                    let parts = [pattern, channel, payload];
                    count += gather(published, Topic::Pattern, parts, subscribers);
                }
            }
        }
        *has_published |= count > 0;
        count
    }

    /// Whether there is anything to be taken.
    #[inline]
    pub fn has_published(&self) -> bool {
        self.has_published
    }

    /// Bytes of what is gathered for the net role that has most.
    pub fn published_bytes_max(&self) -> usize {
        self.published.iter().map(Published::bytes).max().unwrap_or(0)
    }

    /// What was gathered for a net role, if anything.
    pub fn take_published(&mut self, stream: Stream) -> Option<Published> {
        let published = std::mem::take(self.published.get_mut(usize::from(stream))?);
        self.has_published = self.published.iter().any(|it| !it.is_empty());
        (!published.is_empty()).then_some(published)
    }

    /// Messages were missed that nobody here knows: nobody may believe to have got all.
    pub fn lose_all(&mut self) {
        for published in &mut self.published {
            *published = Published::lost();
            self.has_published = true;
        }
    }

    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    pub fn pattern_count(&self) -> usize {
        self.patterns.len()
    }

    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Answers PUBSUB.
    pub fn answer(&self, question: &Question, reply: &mut Reply) {
        let names = |topic: Topic| match topic {
            Topic::Shard => &self.shards,
            Topic::Channel | Topic::Pattern => &self.channels,
        };
        match question {
            Question::Channels { topic, pattern } => {
                let fits = |name: &&Vec<u8>| pattern.as_ref().is_none_or(|it| glob_match(it, name));
                let found: Vec<&Vec<u8>> = names(*topic).keys().filter(fits).collect();
                reply.array(found.len());
                found.iter().for_each(|name| reply.bulk(name));
            }
            Question::Counts { topic, channels } => {
                reply.array(channels.len() * 2);
                for channel in channels {
                    reply.bulk(channel);
                    reply.count(names(*topic).get(channel).map_or(0, BTreeSet::len));
                }
            }
            Question::Patterns => reply.count(self.pattern_count()),
        }
    }
}

/// Adds a message for each net role that has some of `subscribers`; returns how many there are.
fn gather(
    published: &mut [Published],
    topic: Topic,
    parts: [&[u8]; 3],
    subscribers: &BTreeSet<Subscriber>,
) -> usize {
    let mut rest = subscribers.iter().copied().peekable();
    while let Some(first) = rest.peek().copied() {
        let published = &mut published[usize::from(first.stream)];
        let same = std::iter::from_fn(|| rest.next_if(|it| it.stream == first.stream));
        published.add(topic, parts, same.map(|subscriber| subscriber.connection));
    }
    subscribers.len()
}

impl Published {
    /// In place of messages that were too many.
    pub fn lost() -> Self {
        Self { is_lost: true, ..Self::default() }
    }

    fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && !self.is_lost
    }

    /// Bytes held, for the bounds of whoever queues it.
    pub fn bytes(&self) -> usize {
        let deliveries = self.deliveries.len() * size_of::<Delivery>();
        self.bytes.len() + deliveries + self.receivers.len() * size_of::<u64>()
    }

    fn add(&mut self, topic: Topic, parts: [&[u8]; 3], receivers: impl Iterator<Item = u64>) {
        let before = self.receivers.len();
        self.receivers.extend(receivers);
        let [pattern_len, channel_len, payload_len] = parts.map(<[u8]>::len);
        let receivers = self.receivers.len() - before;
        let added = pattern_len + channel_len + payload_len + size_of::<Delivery>();
        if self.is_lost || self.bytes() + added > PUBLISHED_BYTES_MAX {
            *self = Self::lost();
            return;
        }
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        let delivery = Delivery { topic, pattern_len, channel_len, payload_len, receivers };
        self.deliveries.push(delivery);
    }

    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        let (mut bytes, mut receivers) = (&self.bytes[..], &self.receivers[..]);
        self.deliveries.iter().map(move |delivery| Message {
            topic: delivery.topic,
            pattern: take(&mut bytes, delivery.pattern_len),
            channel: take(&mut bytes, delivery.channel_len),
            payload: take(&mut bytes, delivery.payload_len),
            receivers: take(&mut receivers, delivery.receivers),
        })
    }
}

fn take<'a, T>(rest: &mut &'a [T], len: usize) -> &'a [T] {
    let (taken, after) = rest.split_at(len);
    *rest = after;
    taken
}

impl Message<'_> {
    /// The name that who gets it has subscribed to.
    pub fn name(&self) -> &[u8] {
        match self.topic {
            Topic::Pattern => self.pattern,
            Topic::Channel | Topic::Shard => self.channel,
        }
    }

    pub fn write(&self, reply: &mut Reply) {
        match self.topic {
            Topic::Channel => {
                reply.push(3);
                reply.bulk(b"message");
            }
            Topic::Pattern => {
                reply.push(4);
                reply.bulk(b"pmessage");
                reply.bulk(self.pattern);
            }
            Topic::Shard => {
                reply.push(3);
                reply.bulk(b"smessage");
            }
        }
        reply.bulk(self.channel);
        reply.bulk(self.payload);
    }
}

#[cfg(test)]
mod tests;
