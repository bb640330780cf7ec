//! Client-side caching: a client that tracks is told of the changes of all nodes, before it can
//! read anything that contradicts what it has put away.

use std::collections::HashSet;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::wait::{self, LONG};

on_both_layouts!(
    a_client_is_told_of_the_changes_of_all_nodes,
    only_what_was_asked_for_is_told,
    another_client_is_told_in_its_place,
    no_cache_outlives_an_acknowledged_change_across_a_leader_kill,
    a_node_that_is_outrun_lets_its_clients_drop_all,
    a_client_that_does_not_read_is_told_of_all_or_to_drop_all,
    what_is_not_told_behind_a_large_reply_is_made_up_for,
);

/// A client of RESP3 that tracks with these options.
fn tracker(cluster: &Cluster, position: usize, options: &str) -> Client {
    let mut client = cluster.client(position);
    assert!(matches!(client.call("HELLO 3"), Value::Map(_)));
    assert_eq!(client.call(format!("CLIENT TRACKING ON {options}").trim_end()), Value::ok());
    client
}

fn invalidation(keys: &[&str]) -> Value {
    let keys = Value::Array(keys.iter().map(|key| Value::bulk(key)).collect());
    Value::Array(vec![Value::bulk("invalidate"), keys])
}

fn everything() -> Value {
    Value::Array(vec![Value::bulk("invalidate"), Value::Null])
}

/// What it was told up to the reply to a read, which holds all that was acknowledged before.
#[track_caller]
fn expect(client: &mut Client, expected: &[Value]) {
    client.send_command("EXISTS nothing");
    for expected in expected {
        assert_eq!(client.receive().unwrap(), *expected);
    }
    assert_eq!(client.receive().unwrap(), Value::Integer(0));
}

fn a_client_is_told_of_the_changes_of_all_nodes(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut clients: Vec<Client> = (0..3).map(|at| cluster.client(at)).collect();
    let mut caching = tracker(&cluster, 1, "");
    for writer in &mut clients {
        for line in ["GET k", "MGET k l", "HGETALL h"] {
            caching.call(line);
        }
        writer.call("SET k v");
        expect(&mut caching, &[invalidation(&["k"])]);
        // It is told once.
        writer.call("SET k w");
        expect(&mut caching, &[]);
        for line in ["MULTI", "INCR l", "HSET h f v", "EXEC"] {
            writer.call(line);
        }
        expect(&mut caching, &[invalidation(&["l"]), invalidation(&["h"])]);
        caching.call("GET k");
        writer.call("FLUSHALL");
        expect(&mut caching, &[everything()]);
    }
    clients[0].call("SET brief v PX 50");
    assert_eq!(caching.call("GET brief"), Value::bulk("v"));
    assert_eq!(caching.receive().unwrap(), invalidation(&["brief"]));
    assert_eq!(caching.call("GET brief"), Value::Null);
    // In one pass, and in one transaction: replies first, and then what contradicts them.
    let pass = ["GET k", "SET k 1", "GET k", "MULTI", "GET k", "SET k 2", "EXEC"];
    let replies = caching.pipeline(&pass.map(str::to_owned)).unwrap();
    assert_eq!(replies[2], Value::bulk("1"));
    assert_eq!(replies[6], Value::Array(vec![Value::bulk("1"), Value::ok()]));
    expect(&mut caching, &[invalidation(&["k"]), invalidation(&["k"])]);
    let counts = ["tracking_clients", "tracking_total_keys", "tracking_total_prefixes"];
    let of = |node: usize| counts.map(|name| cluster.nodes[node].info(name).unwrap());
    // What it has read since the keys were flushed, and not been told of.
    assert_eq!(of(1), ["1", "2", "0"], "brief, and the key that is not there");
    if !is_stand_in() {
        assert_eq!(of(2), ["0", "0", "0"]);
    }
    drop(caching);
    wait::until_true("it is forgotten", LONG, || of(1) == ["0", "0", "0"]);
}

fn only_what_was_asked_for_is_told(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut writer = cluster.client(2);
    let change = |writer: &mut Client| {
        for key in ["a", "b", "c", "d"] {
            writer.call(&format!("SET {key} v"));
        }
    };
    let mut caching = tracker(&cluster, 0, "OPTIN");
    for line in ["GET a", "CLIENT CACHING YES", "GET b", "GET c"] {
        caching.call(line);
    }
    change(&mut writer);
    expect(&mut caching, &[invalidation(&["b"])]);
    for line in ["CLIENT CACHING YES", "MULTI", "GET a", "GET c", "EXEC", "GET d"] {
        caching.call(line);
    }
    change(&mut writer);
    expect(&mut caching, &[invalidation(&["a"]), invalidation(&["c"])]);
    let mut caching = tracker(&cluster, 0, "OPTOUT");
    for line in ["GET a", "CLIENT CACHING NO", "GET b", "GET c"] {
        caching.call(line);
    }
    change(&mut writer);
    expect(&mut caching, &[invalidation(&["a"]), invalidation(&["c"])]);
    let mut caching = tracker(&cluster, 0, "NOLOOP");
    for line in ["GET a", "GET b", "SET a own"] {
        caching.call(line);
    }
    expect(&mut caching, &[]);
    writer.call("SET b v");
    expect(&mut caching, &[invalidation(&["b"])]);
    let mut caching = tracker(&cluster, 0, "BCAST PREFIX user: PREFIX item: NOLOOP");
    caching.call("SET user:own v");
    for line in ["MULTI", "SET user:2 v", "SET x v", "SET user:1 v", "SET item:1 v", "EXEC"] {
        writer.call(line);
    }
    let mut told = [invalidation(&["item:1"]), invalidation(&["user:1", "user:2"])];
    if is_stand_in() {
        // There they come in the order in which the prefixes were changed first.
        told.reverse();
    }
    expect(&mut caching, &told);
    assert_eq!(caching.call("CLIENT TRACKING OFF"), Value::ok());
    writer.call("SET user:1 v");
    expect(&mut caching, &[]);
}

fn another_client_is_told_in_its_place(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut writer = cluster.client(0);
    let mut listening = cluster.client(1);
    let id = listening.call("CLIENT ID").text();
    listening.call("SUBSCRIBE __redis__:invalidate");
    let mut caching = cluster.client(1);
    let redirect = format!("CLIENT TRACKING ON REDIRECT {id}");
    assert_eq!(caching.call(&redirect), Value::ok());
    assert_eq!(caching.call("CLIENT GETREDIR").text(), id);
    caching.call("GET k");
    writer.call("SET k v");
    let told = |content: Value| {
        let channel = Value::bulk("__redis__:invalidate");
        Value::Array(vec![Value::bulk("message"), channel, content])
    };
    assert_eq!(listening.receive().unwrap(), told(Value::Array(vec![Value::bulk("k")])));
    writer.call("FLUSHALL");
    assert_eq!(listening.receive().unwrap(), told(Value::Null));
    let unknown = caching.call("CLIENT TRACKING ON REDIRECT 987654");
    let text = "ERR The client ID you want redirect to does not exist";
    assert_eq!(unknown, Value::Error(text.to_owned()));
    // It notices the end of the other one when there is something to tell.
    assert!(matches!(caching.call("HELLO 3"), Value::Map(_)));
    caching.call("GET k");
    drop(listening);
    wait::until_true("it is gone", LONG, || !writer_list(&cluster).contains("sub=1 "));
    writer.call("SET k w");
    let broken = [Value::bulk("tracking-redir-broken"), Value::Integer(id.parse().unwrap())];
    assert_eq!(caching.receive().unwrap(), Value::Array(broken.to_vec()));
    assert!(caching.call("CLIENT INFO").text().contains(" flags=tR "));
}

fn writer_list(cluster: &Cluster) -> String {
    cluster.client(1).call("CLIENT LIST").text()
}

/// A change that another node has acknowledged is told before any read of the same client that
/// begins after that is answered: nobody uses its copy who could know better.
fn no_cache_outlives_an_acknowledged_change_across_a_leader_kill(layout: Layout) {
    const ROUNDS: usize = 150;
    let mut cluster = Cluster::start(layout);
    let leader = cluster.leader();
    let [here, there] = cluster.followers()[..] else { panic!("two followers") };
    let mut caching = tracker(&cluster, here, "");
    let mut writer = cluster.client(there);
    for round in 0..ROUNDS {
        if round == ROUNDS / 3 && !is_stand_in() {
            cluster.nodes[leader].kill();
        }
        let copy = caching.call("GET k");
        let is_done = writer.call(&format!("SET k {round}")) == Value::ok();
        // What has an unknown outcome may be told at any time.
        let pipeline = ["EXISTS k", "GET k"].map(str::to_owned);
        caching.send_command(&pipeline[0]);
        let (mut is_told, mut reply) = (false, caching.receive().unwrap());
        while reply == invalidation(&["k"]) {
            is_told = true;
            reply = caching.receive().unwrap();
        }
        assert!(matches!(reply, Value::Integer(_) | Value::Error(_)), "{reply:?}");
        if is_done && matches!(reply, Value::Integer(_)) && !matches!(copy, Value::Error(_)) {
            assert!(is_told, "round {round}: the copy {copy:?} is kept");
        }
        // Who does not know what became of its requests begins anew.
        if !is_done || matches!(reply, Value::Error(_)) || matches!(copy, Value::Error(_)) {
            caching = tracker(&cluster, here, "");
        }
    }
}

/// So that a few MiB outrun a node.
const SMALL_LOG: &str = "--raft.log-max-cache-size 1mb --raft.append-req-max-size 256kb";

fn a_node_that_is_outrun_lets_its_clients_drop_all(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start_with(layout, SMALL_LOG);
    let leader = cluster.leader();
    let outrun = cluster.followers()[0];
    let mut caching = tracker(&cluster, outrun, "");
    let mut broadcasting = tracker(&cluster, outrun, "BCAST PREFIX never");
    assert_eq!(caching.call("GET k"), Value::Null);
    cluster.nodes[outrun].pause();
    let mut client = cluster.client(leader);
    let value = vec![b'x'; 1 << 16];
    for number in 0..200 {
        let key = format!("k{number}");
        assert_eq!(client.call_words(&[b"SET", key.as_bytes(), &value]), Value::ok());
    }
    cluster.nodes[outrun].resume();
    assert_eq!(caching.receive().unwrap(), everything());
    assert_eq!(broadcasting.receive().unwrap(), everything());
    // It goes on to be told of what it reads now.
    caching.call("GET k");
    client.call("SET k v");
    expect(&mut caching, &[invalidation(&["k"])]);
}

/// What it is told up to the reply to EXISTS: whether it was to drop everything, and the keys.
fn told_until_reply(client: &mut Client) -> (bool, HashSet<Vec<u8>>) {
    let (mut drops_all, mut told) = (false, HashSet::new());
    loop {
        match client.receive().unwrap() {
            Value::Array(words) => match &words[1] {
                Value::Null => drops_all = true,
                Value::Array(keys) => told.extend(keys.iter().map(|key| match key {
                    Value::Bulk(key) => key.clone(),
                    other => panic!("{other:?}"),
                })),
                other => panic!("{other:?}"),
            },
            Value::Integer(0) => return (drops_all, told),
            other => panic!("{other:?}"),
        }
    }
}

fn a_client_that_does_not_read_is_told_of_all_or_to_drop_all(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut writer = cluster.client(0);
    let mut caching = tracker(&cluster, 1, "");
    // More than sockets hold, all of it: only the keys are long.
    let key = |number: usize| format!("{number:0>50000}").into_bytes();
    for (count, outruns) in [(20, false), (600, true)] {
        for number in 0..count {
            assert_eq!(caching.call_words(&[b"GET", &key(number)]), Value::Null);
        }
        for number in 0..count {
            assert_eq!(writer.call_words(&[b"SET", &key(number), b"v"]), Value::ok());
        }
        caching.send_command("EXISTS nothing");
        let (drops_all, told) = told_until_reply(&mut caching);
        if !is_stand_in() {
            assert_eq!(drops_all, outruns, "{count}: told of {}", told.len());
        }
        assert!(drops_all || told.len() == count, "{count}: told of {}", told.len());
        // It goes on as before.
        caching.call("GET k");
        writer.call("SET k v");
        expect(&mut caching, &[invalidation(&["k"])]);
        assert_eq!(writer.call("FLUSHALL"), Value::ok());
        expect(&mut caching, &[everything()]);
    }
}

fn what_is_not_told_behind_a_large_reply_is_made_up_for(layout: Layout) {
    if is_stand_in() {
        return;
    }
    const BIG: usize = 24 << 20;
    let cluster = Cluster::start(layout);
    let mut writer = cluster.client(0);
    assert_eq!(writer.call(&format!("SETRANGE big {} x", BIG - 1)), Value::Integer(BIG as i64));
    let mut caching = tracker(&cluster, 1, "");
    let id = caching.call("CLIENT ID").text();
    caching.call("GET k");
    caching.call("CLIENT CACHING NO");
    caching.send_command("GET big");
    let mut watching = cluster.client(1);
    let line = format!("CLIENT LIST ID {id}");
    wait::until_true("the reply waits to be read", LONG, || {
        let told = watching.call(&line).text();
        let queued = told.split(' ').find_map(|word| word.strip_prefix("omem=")).unwrap();
        queued.parse::<usize>().unwrap() > 3 << 20
    });
    writer.call("SET k v");
    // The node knows of it before anything is read.
    assert_eq!(watching.call("GET k"), Value::bulk("v"));
    caching.send_command("EXISTS nothing");
    assert!(matches!(caching.receive().unwrap(), Value::Bulk(bytes) if bytes.len() == BIG));
    let (drops_all, told) = told_until_reply(&mut caching);
    assert!(drops_all || told.contains(&b"k"[..]), "it was not told");
    if let Layout::Folded = layout {
        // In the other layout the reply may be read before the notice comes to be written.
        assert!(drops_all && told.is_empty());
    }
}
