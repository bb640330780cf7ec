//! Pub/Sub between any two nodes: one order of messages for all subscribers, and none is missed by
//! who stays connected.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::client::{Client, Value, encode};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::wait::{self, LONG};

on_both_layouts!(
    a_message_goes_from_any_node_to_any_other,
    subscribers_everywhere_see_one_order_across_a_leader_kill,
    a_client_that_only_listens_may_send_little,
    a_client_of_resp3_listens_beside_its_commands,
    messages_of_a_transaction_come_together_or_not_at_all,
    who_has_left_is_counted_no_more,
    a_subscriber_that_never_reads_is_closed_at_its_limit,
    a_removed_or_outrun_node_closes_its_subscribers,
);

/// So that a few MiB outrun a node.
const SMALL_LOG: &str = "--raft.log-max-cache-size 1mb --raft.append-req-max-size 256kb";

fn array(words: &[&str]) -> Value {
    Value::Array(words.iter().map(|word| Value::bulk(word)).collect())
}

fn confirmation(kind: &str, name: &str, count: i64) -> Value {
    Value::Array(vec![Value::bulk(kind), Value::bulk(name), Value::Integer(count)])
}

/// A client of the node that subscribes to one channel.
fn subscriber(cluster: &Cluster, position: usize, channel: &str) -> Client {
    let mut client = cluster.client(position);
    let confirmed = client.call(&format!("SUBSCRIBE {channel}"));
    assert_eq!(confirmed, confirmation("subscribe", channel, 1));
    client
}

fn a_message_goes_from_any_node_to_any_other(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut listening: Vec<Client> = (0..3).map(|at| subscriber(&cluster, at, "news")).collect();
    for (client, count) in listening.iter_mut().zip([2, 2, 2]) {
        assert_eq!(client.call("PSUBSCRIBE n?ws"), confirmation("psubscribe", "n?ws", count));
        assert_eq!(client.call("SSUBSCRIBE news"), confirmation("ssubscribe", "news", 1));
    }
    for from in 0..3 {
        let mut publishing = cluster.client(from);
        let text = format!("from {from}");
        // The reply counts the receivers on this node, as a node of Redis's clusters does.
        let here = if is_stand_in() { 6 } else { 2 };
        let published = publishing.call_words(&[b"PUBLISH", b"news", text.as_bytes()]);
        assert_eq!(published, Value::Integer(here));
        assert_eq!(publishing.call("PUBLISH other x"), Value::Integer(0));
        let published = publishing.call_words(&[b"SPUBLISH", b"news", text.as_bytes()]);
        assert_eq!(published, Value::Integer(here / 2));
        for client in &mut listening {
            assert_eq!(client.receive().unwrap(), array(&["message", "news", &text]));
            assert_eq!(client.receive().unwrap(), array(&["pmessage", "n?ws", "news", &text]));
            assert_eq!(client.receive().unwrap(), array(&["smessage", "news", &text]));
        }
    }
    let mut asking = cluster.client(1);
    let ones = if is_stand_in() { 3 } else { 1 };
    let counted = Value::Array(vec![Value::bulk("news"), Value::Integer(ones)]);
    assert_eq!(asking.call("PUBSUB NUMSUB news"), counted);
    assert_eq!(asking.call("PUBSUB SHARDNUMSUB news"), counted);
    assert_eq!(asking.call("PUBSUB CHANNELS n*"), array(&["news"]));
    assert_eq!(asking.call("PUBSUB SHARDCHANNELS x*"), array(&[]));
    assert_eq!(asking.call("PUBSUB NUMPAT"), Value::Integer(1));
    for (field, expected) in [("pubsub_channels", "1"), ("pubsub_patterns", "1")] {
        assert_eq!(cluster.nodes[1].info(field).as_deref(), Some(expected), "{field}");
    }
    let list = asking.call("CLIENT LIST TYPE pubsub").text();
    assert_eq!(list.lines().count() as i64, ones, "{list}");
    assert!(list.contains("flags=P ") && list.contains(" sub=1 psub=1 ssub=1 "), "{list}");
}

/// Messages of each publisher.
const EACH: usize = 400;

/// Publishes numbers; returns those that were acknowledged.
fn publish(publisher: usize, port: u16, sent: &AtomicUsize) -> Vec<String> {
    let mut client = Client::connect(port);
    let mut acknowledged = Vec::new();
    for number in 0..EACH {
        let text = format!("{publisher}:{number}");
        let reply = client.call(&format!("PUBLISH news {text}"));
        sent.fetch_add(1, Ordering::Relaxed);
        match reply {
            Value::Integer(count) => {
                assert!(count >= 2, "{count}");
                acknowledged.push(text);
            }
            Value::Error(text) => assert!(text.contains("TIMEOUT"), "{text}"),
            reply => panic!("{reply:?}"),
        }
    }
    acknowledged
}

/// What a subscriber receives up to the message "end".
fn texts_until_end(client: &mut Client) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let Value::Array(parts) = client.receive().unwrap() else { panic!("no message") };
        match parts.last().unwrap().text() {
            text if text == "end" => return texts,
            text => texts.push(text),
        }
    }
}

/// Publishers on the nodes that live send while the leader dies. Their replies say what must have
/// arrived; what has an unknown outcome may have.
fn subscribers_everywhere_see_one_order_across_a_leader_kill(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let leader = cluster.leader();
    let living = cluster.followers();
    let mut listening: Vec<Client> = [living[0], living[1], living[0], living[1]]
        .map(|position| subscriber(&cluster, position, "news"))
        .into();
    let mut pattern = cluster.client(living[1]);
    assert_eq!(pattern.call("PSUBSCRIBE n*"), confirmation("psubscribe", "n*", 1));
    let ports: Vec<u16> = living.iter().map(|at| cluster.nodes[*at].port).collect();
    let sent = &AtomicUsize::new(0);
    let acknowledged: BTreeSet<String> = thread::scope(|scope| {
        let publishers: Vec<_> = ports
            .iter()
            .enumerate()
            .map(|(number, port)| scope.spawn(move || publish(number, *port, sent)))
            .collect();
        wait::until_true("messages", LONG, || sent.load(Ordering::Relaxed) > EACH / 4);
        if !is_stand_in() {
            cluster.nodes[leader].kill();
        }
        publishers.into_iter().flat_map(|publisher| publisher.join().unwrap()).collect()
    });
    assert!(acknowledged.len() > EACH, "only {} were acknowledged", acknowledged.len());
    let end = Client::connect(ports[0]).call("PUBLISH news end");
    assert!(matches!(end, Value::Integer(2..)), "{end:?}");
    let all = listening.iter_mut().chain([&mut pattern]);
    let seen: Vec<Vec<String>> = all.map(texts_until_end).collect();
    for texts in &seen[1..] {
        assert_eq!(texts, &seen[0], "one order for all");
    }
    let arrived: BTreeSet<String> = seen[0].iter().cloned().collect();
    assert_eq!(arrived.len(), seen[0].len(), "none comes twice");
    let missing: Vec<&String> = acknowledged.difference(&arrived).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // What one client has published comes in its order.
    for publisher in 0..ports.len() {
        let own = |text: &&String| text.starts_with(&format!("{publisher}:"));
        let numbers = seen[0].iter().filter(own).map(|text| text[2..].parse::<usize>().unwrap());
        assert!(numbers.is_sorted());
    }
}

fn a_client_that_only_listens_may_send_little(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut client = subscriber(&cluster, 2, "a");
    let refused = |name: &str| {
        Value::Error(format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
             RESET are allowed in this context"
        ))
    };
    assert_eq!(client.call("GET k"), refused("get"));
    assert_eq!(client.call("CONFIG GET port"), refused("config|get"));
    assert_eq!(client.call("PUBLISH a x"), refused("publish"));
    assert_eq!(client.call("PING"), array(&["pong", ""]));
    assert_eq!(client.call("PING x"), array(&["pong", "x"]));
    client.send_command("SUBSCRIBE b c");
    assert_eq!(client.receive().unwrap(), confirmation("subscribe", "b", 2));
    assert_eq!(client.receive().unwrap(), confirmation("subscribe", "c", 3));
    assert_eq!(client.call("UNSUBSCRIBE b"), confirmation("unsubscribe", "b", 2));
    assert_eq!(client.call("RESET"), Value::Simple("RESET".into()));
    assert_eq!(client.call("PUBSUB CHANNELS"), array(&[]));
    assert_eq!(client.call("PUBLISH a x"), Value::Integer(0));
    // What stands behind earlier commands is confirmed behind their replies.
    let lines = ["SET k 1", "GET k", "SUBSCRIBE a", "PING"].map(str::to_owned);
    let replies = client.pipeline(&lines).unwrap();
    let expected =
        [Value::ok(), Value::bulk("1"), confirmation("subscribe", "a", 1), array(&["pong", ""])];
    assert_eq!(replies, expected);
    assert_eq!(client.call("QUIT"), Value::ok());
    client.read_to_end();
}

fn a_client_of_resp3_listens_beside_its_commands(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut client = cluster.client(1);
    assert!(matches!(client.call("HELLO 3"), Value::Map(_)));
    assert_eq!(client.call("SUBSCRIBE a"), confirmation("subscribe", "a", 1));
    assert_eq!(client.call("SET k v"), Value::ok());
    assert_eq!(client.call("PING"), Value::Simple("PONG".into()));
    // Its own messages come before the replies.
    client.send_command("PUBLISH a x");
    assert_eq!(client.receive().unwrap(), array(&["message", "a", "x"]));
    assert_eq!(client.receive().unwrap(), Value::Integer(1));
    // While it waits, too.
    client.send_command("BLPOP l 0");
    let mut other = cluster.client(2);
    wait::until_true("the client waits", LONG, || {
        cluster.nodes[1].info("blocked_clients").as_deref() == Some("1")
    });
    other.call("PUBLISH a y");
    assert_eq!(client.receive().unwrap(), array(&["message", "a", "y"]));
    other.call("RPUSH l element");
    assert_eq!(client.receive().unwrap(), array(&["l", "element"]));
    // Back to RESP2 it only listens.
    assert!(matches!(client.call("HELLO 2"), Value::Array(_)));
    assert!(matches!(client.call("GET k"), Value::Error(_)));
    assert_eq!(client.call("UNSUBSCRIBE"), confirmation("unsubscribe", "a", 0));
    assert_eq!(client.call("GET k"), Value::bulk("v"));
}

fn messages_of_a_transaction_come_together_or_not_at_all(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut listening = subscriber(&cluster, 0, "a");
    let (mut client, mut other) = (cluster.client(1), cluster.client(2));
    client.call("WATCH k");
    other.call("SET k 1");
    for line in ["MULTI", "PUBLISH a lost", "EXEC"] {
        client.call(line);
    }
    for line in ["MULTI", "PUBLISH a 1", "SET k 2", "PUBLISH a 2"] {
        assert!(matches!(client.call(line), Value::Simple(_)), "{line}");
    }
    let ones = Value::Integer(is_stand_in().into());
    let expected = Value::Array(vec![ones.clone(), Value::ok(), ones]);
    assert_eq!(client.call("EXEC"), expected);
    assert_eq!(listening.receive().unwrap(), array(&["message", "a", "1"]));
    assert_eq!(listening.receive().unwrap(), array(&["message", "a", "2"]));
    // Who subscribes within one gets its confirmation first.
    for line in ["MULTI", "SUBSCRIBE b", "PUBLISH other x"] {
        client.call(line);
    }
    let confirmed = confirmation("subscribe", "b", 1);
    assert_eq!(client.call("EXEC"), Value::Array(vec![confirmed, Value::Integer(0)]));
    other.call("PUBLISH b y");
    assert_eq!(client.receive().unwrap(), array(&["message", "b", "y"]));
}

fn who_has_left_is_counted_no_more(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut asking = cluster.client(0);
    for leave in 0..3 {
        let mut client = subscriber(&cluster, 0, "a");
        client.call("PSUBSCRIBE b*");
        client.call("SSUBSCRIBE c");
        assert_eq!(asking.call("PUBSUB NUMPAT"), Value::Integer(1));
        match leave {
            0 => drop(client),
            1 => assert_eq!(asking.call("CLIENT KILL TYPE pubsub"), Value::Integer(1)),
            _ => assert_eq!(client.call("RESET"), Value::Simple("RESET".into())),
        }
        wait::until_true("nobody subscribes", LONG, || {
            asking.call("PUBSUB CHANNELS") == array(&[])
                && asking.call("PUBSUB NUMPAT") == Value::Integer(0)
                && asking.call("PUBSUB SHARDCHANNELS") == array(&[])
        });
        assert_eq!(asking.call("PUBLISH a x"), Value::Integer(0));
    }
}

fn a_subscriber_that_never_reads_is_closed_at_its_limit(layout: Layout) {
    const MIB: usize = 1 << 20;
    let mut cluster = Cluster::start(layout);
    let mut admin = cluster.client(1);
    let limit = format!("pubsub {} 0 0", 8 * MIB);
    let set = [&b"CONFIG"[..], b"SET", b"client-output-buffer-limit", limit.as_bytes()];
    assert_eq!(admin.call_words(&set), Value::ok());
    let mut slow = subscriber(&cluster, 1, "a");
    let mut quick = subscriber(&cluster, 1, "a");
    let mut publishing = cluster.client(1);
    let message = encode(&[b"PUBLISH", b"a", &vec![b'x'; MIB]]);
    let mut published = 0;
    loop {
        publishing.send(&message).unwrap();
        let Value::Integer(receivers) = publishing.receive().unwrap() else { panic!("no count") };
        let Value::Array(parts) = quick.receive().unwrap() else { panic!("no message") };
        assert_eq!(parts.len(), 3);
        if receivers == 1 {
            break;
        }
        published += 1;
        // Sockets hold some MiB themselves.
        assert!(published < 200, "it was never closed");
    }
    assert!(slow.read_to_end().len() < published * (MIB + 100), "it got everything");
    let closed = cluster.nodes[1].info("client_output_buffer_limit_disconnections");
    assert!(is_stand_in() || closed.as_deref() == Some("1"), "{closed:?}");
    cluster.check_alive();
}

/// A node that cannot hand on every message any more says so by closing.
fn a_removed_or_outrun_node_closes_its_subscribers(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start_with(layout, SMALL_LOG);
    let leader = cluster.leader();
    let [outrun, removed] = cluster.followers()[..] else { panic!("two followers") };
    let mut missing = subscriber(&cluster, outrun, "a");
    cluster.nodes[outrun].pause();
    let mut client = cluster.client(leader);
    let value = vec![b'x'; 1 << 16];
    let snapshots = |node: usize, cluster: &Cluster| {
        cluster.nodes[node].info("raft_snapshots_received").unwrap()
    };
    for number in 0..200 {
        let key = format!("k{number}");
        assert_eq!(client.call_words(&[b"SET", key.as_bytes(), &value]), Value::ok());
    }
    cluster.nodes[outrun].resume();
    let is_outrun = || snapshots(outrun, &cluster) != "0";
    wait::until_true("a snapshot", LONG, is_outrun);
    assert!(missing.read_to_end().is_empty());
    let mut leaving = subscriber(&cluster, removed, "a");
    let id = cluster.nodes[removed].id();
    assert_eq!(client.call(&format!("RAFT.NODE REMOVE {id}")), Value::ok());
    assert!(leaving.read_to_end().is_empty());
    let mut late = cluster.client(removed);
    assert!(
        matches!(late.call("SUBSCRIBE a"), Value::Error(text) if text.starts_with("NOCLUSTER"))
    );
}
