//! Subscriptions of one client, and what it may do meanwhile.

use super::*;
use crate::engine::pubsub::Topic;
use crate::node::mailbox::ClientClass;
use crate::node::session::pubsub::SubscriptionChange;

#[test]
fn each_name_is_confirmed_with_the_count_of_its_kind() {
    let mut bench = Bench::new();
    bench.check(&[
        ("UNSUBSCRIBE", "*3|$11|unsubscribe|$-1|:0|"),
        ("SUBSCRIBE a a", "*3|$9|subscribe|$1|a|:1|*3|$9|subscribe|$1|a|:1|"),
        ("PSUBSCRIBE p* a", "*3|$10|psubscribe|$2|p*|:2|*3|$10|psubscribe|$1|a|:3|"),
        ("SSUBSCRIBE a", "*3|$10|ssubscribe|$1|a|:1|"),
        ("UNSUBSCRIBE none", "*3|$11|unsubscribe|$4|none|:3|"),
        ("UNSUBSCRIBE", "*3|$11|unsubscribe|$1|a|:2|"),
        ("UNSUBSCRIBE", "*3|$11|unsubscribe|$-1|:2|"),
        ("PUNSUBSCRIBE", "*3|$12|punsubscribe|$1|a|:1|*3|$12|punsubscribe|$2|p*|:0|"),
        ("SUNSUBSCRIBE b a", "*3|$12|sunsubscribe|$1|b|:1|*3|$12|sunsubscribe|$1|a|:0|"),
    ]);
    assert!(bench.session.subscriptions.is_empty());
    bench.session.protocol = Protocol::Resp3;
    bench.check(&[
        ("SUBSCRIBE a", ">3|$9|subscribe|$1|a|:1|"),
        ("PUNSUBSCRIBE", ">3|$12|punsubscribe|_|:1|"),
    ]);
}

#[test]
fn apply_is_told_what_changes_and_nothing_twice() {
    let mut bench = Bench::new();
    bench.check(&[("SUBSCRIBE a a", "*3|$9|subscribe|$1|a|:1|*3|$9|subscribe|$1|a|:1|")]);
    bench.check(&[("UNSUBSCRIBE b", "*3|$11|unsubscribe|$1|b|:1|")]);
    bench.check(&[("SSUBSCRIBE s", "*3|$10|ssubscribe|$1|s|:1|")]);
    let changes = |bench: &mut Bench| {
        let changes = bench.session.subscriptions.take_changes();
        let line = |it: &SubscriptionChange| (it.topic, it.name.clone(), it.subscribes);
        changes.iter().map(line).collect::<Vec<_>>()
    };
    let (a, s) = ((Topic::Channel, b"a".to_vec()), (Topic::Shard, b"s".to_vec()));
    let (begun, ended) =
        (|(topic, name)| (topic, name, true), |(topic, name)| (topic, name, false));
    assert_eq!(changes(&mut bench), [begun(a.clone()), begun(s.clone())]);
    assert_eq!(changes(&mut bench), []);
    let mut reply = Reply::default();
    let view = NodeView {
        shared: &bench.shared,
        settings: &bench.settings,
        users: &bench.users,
        now_ms: bench.now_ms,
        unix_ms: 0,
    };
    reset(&mut bench.session, &view, &mut reply);
    assert!(bench.session.subscriptions.is_empty());
    assert_eq!(changes(&mut bench), [ended(a), ended(s)]);
}

#[test]
fn who_only_listens_may_send_little() {
    let mut bench = Bench::new();
    bench.check(&[("PING", "+PONG|"), ("SSUBSCRIBE a", "*3|$10|ssubscribe|$1|a|:1|")]);
    bench.check(&[
        ("PING", "*2|$4|pong|$0||"),
        ("PING hello", "*2|$4|pong|$5|hello|"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command|"),
    ]);
    assert!(bench.session.only_listens());
    let refusal = |line: &str| {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let refusal = refusal_of_listener(spec(lookup(words[0]).unwrap()), &words);
        refusal.map(|error| error.to_string())
    };
    for line in ["PING", "QUIT", "RESET", "SUBSCRIBE a", "PUNSUBSCRIBE", "SSUBSCRIBE a"] {
        assert_eq!(refusal(line), None, "{line}");
    }
    for (line, name) in [
        ("GET k", "get"),
        ("MULTI", "multi"),
        ("PUBLISH a b", "publish"),
        ("HELLO 3", "hello"),
        ("CONFIG GET x", "config|get"),
        ("PUBSUB NUMPAT", "pubsub|numpat"),
    ] {
        let expected = format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
             RESET are allowed in this context"
        );
        assert_eq!(refusal(line), Some(expected), "{line}");
    }
    let unknown = "ERR unknown subcommand 'NOPE'. Try CONFIG HELP.";
    assert_eq!(refusal("CONFIG NOPE").as_deref(), Some(unknown));
    bench.session.protocol = Protocol::Resp3;
    assert!(!bench.session.only_listens());
    bench.check(&[("PING", "+PONG|")]);
}

#[test]
fn pubsub_asks_apply_and_its_errors_are_told_at_once() {
    let mut bench = Bench::new();
    bench.check(&[
        ("PUBSUB", "-ERR wrong number of arguments for 'pubsub' command|"),
        ("PUBSUB NOPE", "-ERR unknown subcommand 'NOPE'. Try PUBSUB HELP.|"),
        ("PUBSUB NUMPAT x", "-ERR wrong number of arguments for 'pubsub|numpat' command|"),
    ]);
    for (line, question) in [
        ("PUBSUB NUMPAT", Question::Patterns),
        (
            "pubsub channels a*",
            Question::Channels { topic: Topic::Channel, pattern: Some(b"a*".to_vec()) },
        ),
        ("PUBSUB SHARDCHANNELS", Question::Channels { topic: Topic::Shard, pattern: None }),
        (
            "PUBSUB NUMSUB a b",
            Question::Counts {
                topic: Topic::Channel,
                channels: vec![b"a".to_vec(), b"b".to_vec()],
            },
        ),
        ("PUBSUB SHARDNUMSUB", Question::Counts { topic: Topic::Shard, channels: Vec::new() }),
    ] {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let (outcome, _) = bench.outcome(&words);
        assert_eq!(outcome, Outcome::Wait(Wait::Pubsub(question)), "{line}");
    }
}

#[test]
fn client_list_shows_subscriptions_and_tells_classes_apart() {
    let mut bench = Bench::new();
    let line = |bench: &Bench| {
        let mut out = Vec::new();
        describe(&bench.session, &Buffers { input: 0, input_free: 0, output: 0 }, 4500, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(class_of(&bench.session), ClientClass::Normal);
    bench.check(&[("PSUBSCRIBE a", "*3|$10|psubscribe|$1|a|:1|")]);
    bench.check(&[("SUBSCRIBE b", "*3|$9|subscribe|$1|b|:2|")]);
    let shown = line(&bench);
    assert!(shown.contains("flags=P ") && shown.contains("sub=1 psub=1 ssub=0 "), "{shown}");
    assert_eq!(class_of(&bench.session), ClientClass::Pubsub);
    let (outcome, _) = bench.outcome(&[b"CLIENT", b"LIST", b"TYPE", b"pubsub"]);
    let class = Some(ClientClass::Pubsub);
    let list = Survey::List { ids: Vec::new(), class };
    assert_eq!(outcome, Outcome::Wait(Wait::Survey(list)));
}
