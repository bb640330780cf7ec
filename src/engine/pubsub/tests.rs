//! Tests of subscriptions and of what is gathered for them.

use super::*;
use crate::engine::reply::Protocol;
use crate::engine::testing::{check, engine};

fn subscriber(stream: Stream, connection: u64) -> Subscriber {
    Subscriber { stream, connection }
}

fn change(subscriber: Subscriber, topic: Topic, name: &str, subscribes: bool) -> Change {
    Change { subscriber, topic, name: name.into(), subscribes }
}

/// `(topic, name, payload, receivers)` of all that was gathered for a net role.
fn taken(subscribers: &mut Subscribers, stream: Stream) -> Vec<(Topic, String, String, Vec<u64>)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let published = subscribers.take_published(stream).unwrap_or_default();
    let line = |it: Message<'_>| (it.topic, text(it.name()), text(it.payload), it.receivers.into());
    published.messages().map(line).collect()
}

#[test]
fn a_message_reaches_channels_then_patterns_of_each_net_role() {
    let mut subscribers = Subscribers::default();
    for (who, topic, name) in [
        (subscriber(0, 7), Topic::Channel, "news"),
        (subscriber(0, 8), Topic::Channel, "news"),
        (subscriber(2, 9), Topic::Channel, "news"),
        (subscriber(0, 7), Topic::Pattern, "n*"),
        (subscriber(2, 9), Topic::Pattern, "x*"),
        (subscriber(2, 9), Topic::Shard, "news"),
    ] {
        subscribers.apply(change(who, topic, name, true));
    }
    assert_eq!(subscribers.publish(false, b"news", b"1"), 4);
    assert_eq!(subscribers.publish(false, b"other", b"2"), 0);
    assert_eq!(subscribers.publish(true, b"news", b"3"), 1);
    assert!(subscribers.has_published());
    let (channel, pattern) = (Topic::Channel, Topic::Pattern);
    let of_first = [
        (channel, "news".to_owned(), "1".to_owned(), vec![7, 8]),
        (pattern, "n*".to_owned(), "1".to_owned(), vec![7]),
    ];
    assert_eq!(taken(&mut subscribers, 0), of_first);
    assert!(subscribers.has_published());
    assert_eq!(taken(&mut subscribers, 1), []);
    let of_third = [
        (channel, "news".to_owned(), "1".to_owned(), vec![9]),
        (Topic::Shard, "news".to_owned(), "3".to_owned(), vec![9]),
    ];
    assert_eq!(taken(&mut subscribers, 2), of_third);
    assert!(!subscribers.has_published());
    assert_eq!(subscribers.take_published(5), None);
}

#[test]
fn who_unsubscribes_leaves_nothing_behind() {
    let mut subscribers = Subscribers::default();
    let who = subscriber(1, 4);
    for topic in [Topic::Channel, Topic::Pattern, Topic::Shard] {
        // Unknown names and second times change nothing.
        subscribers.apply(change(who, topic, "a", false));
        subscribers.apply(change(who, topic, "a", true));
        subscribers.apply(change(who, topic, "a", true));
    }
    let counts = |it: &Subscribers| (it.channel_count(), it.pattern_count(), it.shard_count());
    assert_eq!(counts(&subscribers), (1, 1, 1));
    assert_eq!(subscribers.publish(false, b"a", b""), 2);
    subscribers.apply(change(subscriber(1, 5), Topic::Channel, "a", false));
    assert_eq!(subscribers.publish(false, b"a", b""), 2);
    for topic in [Topic::Channel, Topic::Pattern, Topic::Shard] {
        subscribers.apply(change(who, topic, "a", false));
    }
    assert_eq!(counts(&subscribers), (0, 0, 0));
    assert_eq!(subscribers.publish(false, b"a", b""), 0);
    assert_eq!(subscribers.publish(true, b"a", b""), 0);
}

#[test]
fn what_is_gathered_is_bounded_and_the_loss_is_told_once() {
    let mut subscribers = Subscribers::default();
    subscribers.apply(change(subscriber(0, 1), Topic::Channel, "a", true));
    subscribers.apply(change(subscriber(1, 2), Topic::Channel, "b", true));
    let payload = vec![b'x'; PUBLISHED_BYTES_MAX / 4];
    for _ in 0..3 {
        subscribers.publish(false, b"a", &payload);
    }
    assert!(subscribers.published_bytes_max() > 3 * payload.len());
    subscribers.publish(false, b"b", b"small");
    for _ in 0..2 {
        assert_eq!(subscribers.publish(false, b"a", &payload), 1);
    }
    let lost = subscribers.take_published(0).unwrap();
    assert!(lost.is_lost && lost.messages().next().is_none() && lost.bytes() == 0);
    assert!(!subscribers.take_published(1).unwrap().is_lost);
    assert_eq!(subscribers.take_published(0), None);
    subscribers.publish(false, b"a", b"again");
    assert!(!subscribers.take_published(0).unwrap().is_lost);
    subscribers.lose_all();
    assert!(subscribers.take_published(0).unwrap().is_lost);
    assert!(subscribers.take_published(1).unwrap().is_lost);
}

#[test]
fn messages_have_the_form_of_the_protocol() {
    let message =
        |topic| Message { topic, pattern: b"a*", channel: b"ab", payload: b"hi", receivers: &[] };
    let cases = [
        (Topic::Channel, "3\r\n$7\r\nmessage\r\n$2\r\nab\r\n$2\r\nhi\r\n"),
        (Topic::Pattern, "4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$2\r\nab\r\n$2\r\nhi\r\n"),
        (Topic::Shard, "3\r\n$8\r\nsmessage\r\n$2\r\nab\r\n$2\r\nhi\r\n"),
    ];
    for (topic, expected) in cases {
        for (protocol, kind) in [(Protocol::Resp2, "*"), (Protocol::Resp3, ">")] {
            let mut reply = Reply::new(protocol);
            message(topic).write(&mut reply);
            assert_eq!(String::from_utf8(reply.buffer).unwrap(), format!("{kind}{expected}"));
        }
    }
}

#[test]
fn pubsub_is_answered_from_the_subscriptions() {
    let mut subscribers = Subscribers::default();
    for (connection, topic, name) in [
        (1, Topic::Channel, "a"),
        (2, Topic::Channel, "a"),
        (1, Topic::Channel, "b"),
        (1, Topic::Pattern, "*"),
        (2, Topic::Pattern, "*"),
        (1, Topic::Shard, "s"),
    ] {
        subscribers.apply(change(subscriber(0, connection), topic, name, true));
    }
    let channels = |topic, pattern: Option<&str>| {
        let pattern = pattern.map(|pattern| pattern.as_bytes().to_vec());
        Question::Channels { topic, pattern }
    };
    let counts = |topic, names: &[&str]| {
        let channels = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        Question::Counts { topic, channels }
    };
    let cases = [
        (channels(Topic::Channel, None), "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        (channels(Topic::Channel, Some("[b-z]")), "*1\r\n$1\r\nb\r\n"),
        (channels(Topic::Shard, None), "*1\r\n$1\r\ns\r\n"),
        (counts(Topic::Channel, &["a", "s"]), "*4\r\n$1\r\na\r\n:2\r\n$1\r\ns\r\n:0\r\n"),
        (counts(Topic::Shard, &["s"]), "*2\r\n$1\r\ns\r\n:1\r\n"),
        (counts(Topic::Channel, &[]), "*0\r\n"),
        (Question::Patterns, ":1\r\n"),
    ];
    for (question, expected) in cases {
        let mut reply = Reply::default();
        subscribers.answer(&question, &mut reply);
        assert_eq!(String::from_utf8(reply.buffer).unwrap(), expected, "{question:?}");
    }
}

#[test]
fn the_engine_counts_the_receivers_and_keeps_them_over_a_snapshot() {
    let mut node = engine();
    check(&mut node, "PUBLISH a hi", ":0\r\n");
    node.subscribers.apply(change(subscriber(0, 1), Topic::Channel, "a", true));
    node.subscribers.apply(change(subscriber(0, 1), Topic::Shard, "a", true));
    check(&mut node, "PUBLISH a hi", ":1\r\n");
    check(&mut node, "SPUBLISH a hi", ":1\r\n");
    check(&mut node, "PUBLISH b hi", ":0\r\n");
    check(&mut node, "PUBLISH b", "-ERR wrong number of arguments for 'publish' command\r\n");
    let before = node.digest();
    assert_eq!(taken(&mut node.subscribers, 0).len(), 2);
    node.replace_state(engine());
    check(&mut node, "PUBLISH a hi", ":1\r\n");
    assert_eq!(before, node.digest(), "who subscribes is not replicated");
}
