//! Scripts and functions: what one node has loaded all run, alike, through the death of the leader
//! and on a node that joins.

use crate::client::{Client, Value, encode};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::snapshot::check_same_digests;
use crate::wait::{self, LONG};

on_both_layouts!(
    what_one_node_loads_all_run_through_a_leader_kill_and_a_join,
    a_script_is_one_step_of_its_transaction_and_serves_who_waits,
    a_script_over_its_limits_stops_alike_on_all_nodes,
    a_reply_without_end_is_cut_and_hurts_no_node,
);

const LIBRARY: &str = "#!lua name=counters
    local function add(keys, args)
        redis.call('RPUSH', keys[1], math.random(1000000), tostring({}))
        return redis.call('INCRBY', keys[1] .. ':n', args[1])
    end
    redis.register_function('add', add)
    redis.register_function{function_name='total', flags={'no-writes'}, callback=function(keys)
        return redis.call('GET', keys[1] .. ':n')
    end}";

const SCRIPT: &str = "redis.call('SADD', KEYS[1], 1, 2, 3, 4, 5, 6, 7, 8)
    return {redis.call('SPOP', KEYS[1]), redis.call('TIME'), math.random(1000000)}";

/// Whether the operator and the library come to the same: the former is the linker's choice.
const POWERS: &str = "for i = 1, 2000 do
        local base, exponent = math.random() * 100, math.random() * 40 - 20
        if base ^ exponent ~= math.pow(base, exponent) then return 'they differ' end
    end return 'they agree'";

/// Each level of it takes stack.
fn a_reply_without_end_is_cut_and_hurts_no_node(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let script = b"local a = {}; local b = {a}; a[1] = b; return a";
    // Its reply is too deep for this client, too.
    let mut other = cluster.client(1);
    other.send(&encode(&[b"EVAL", script, b"0"])).unwrap();
    let mut client = cluster.client(1);
    wait::until_true("the script", LONG, || {
        client.info("cmdstat_eval").is_some_and(|stats| stats.starts_with("calls=1,"))
    });
    assert_eq!(client.call("EVAL return(1) 0"), Value::Integer(1));
    cluster.check_alive();
}

fn load(client: &mut Client) -> String {
    let powers = client.call_words(&[b"EVAL", POWERS.as_bytes(), b"0"]);
    assert_eq!(powers, Value::bulk("they agree"));
    let library = client.call_words(&[b"FUNCTION", b"LOAD", LIBRARY.as_bytes()]);
    assert_eq!(library, Value::bulk("counters"));
    client.call_words(&[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()]).text()
}

/// The script and the function, from this node.
fn run_both(client: &mut Client, sha: &str) -> i64 {
    let popped = client.call(&format!("EVALSHA {sha} 1 set"));
    assert!(matches!(popped, Value::Array(_)), "{popped:?}");
    let Value::Integer(total) = client.call("FCALL add 1 list 3") else { panic!("no number") };
    let seen = client.call("FCALL_RO total 1 list").text();
    assert!(seen.parse::<i64>().unwrap() >= total, "{seen} after {total}");
    total
}

fn what_one_node_loads_all_run_through_a_leader_kill_and_a_join(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let (leader, survivors) = (cluster.leader(), cluster.followers());
    let sha = load(&mut cluster.client(survivors[0]));
    for node in 0..3 {
        assert_eq!(run_both(&mut cluster.client(node), &sha), 3 * (node as i64 + 1));
    }
    check_same_digests(&cluster, &[0, 1, 2]);
    cluster.nodes[leader].kill();
    for node in &survivors {
        run_both(&mut cluster.client(*node), &sha);
    }
    check_same_digests(&cluster, &survivors);
    cluster.restart_through(leader, &survivors, layout.option());
    cluster.wait_until_complete();
    // What came with the snapshot is run where it never was before.
    let mut joined = cluster.client(leader);
    run_both(&mut joined, &sha);
    assert_eq!(joined.info("number_of_functions").as_deref(), Some("2"));
    assert_eq!(joined.info("number_of_libraries").as_deref(), Some("1"));
    let dumps: Vec<Value> = (0..3).map(|node| cluster.client(node).call("FUNCTION DUMP")).collect();
    assert!(dumps.iter().all(|dump| *dump == dumps[0]), "{dumps:?}");
    check_same_digests(&cluster, &[0, 1, 2]);
    let Value::Bulk(payload) = &dumps[0] else { panic!("no payload: {dumps:?}") };
    assert_eq!(joined.call("FUNCTION FLUSH"), Value::ok());
    let gone = cluster.client(survivors[0]).call("FCALL add 1 list 3");
    assert_eq!(gone, Value::Error("ERR Function not found".into()));
    let restored = cluster.client(survivors[1]).call_words(&[b"FUNCTION", b"RESTORE", payload]);
    assert_eq!(restored, Value::ok());
    run_both(&mut joined, &sha);
    check_same_digests(&cluster, &[0, 1, 2]);
}

fn a_script_is_one_step_of_its_transaction_and_serves_who_waits(layout: Layout) {
    let cluster = Cluster::start(layout);
    let [mut first, mut second] = [0, 1].map(|node| match is_stand_in() {
        true => cluster.client(0),
        false => cluster.client(node),
    });
    assert_eq!(first.call("MULTI"), Value::ok());
    first.call("SET n 1");
    let doubled = "return redis.call('INCRBY', KEYS[1], redis.call('GET', KEYS[1]))";
    let queued = first.call_words(&[b"EVAL", doubled.as_bytes(), b"1", b"n"]);
    assert_eq!(queued, Value::Simple("QUEUED".into()));
    first.call("INCR n");
    let expected = vec![Value::ok(), Value::Integer(2), Value::Integer(3)];
    assert_eq!(first.call("EXEC"), Value::Array(expected));

    second.send_command("BLPOP queue 0");
    wait::until_true("a client that waits", LONG, || {
        // What the client waits for, all nodes know.
        let clients = first.info("total_blocking_keys").or_else(|| first.info("blocked_clients"));
        clients.is_some_and(|count| count != "0")
    });
    // The list is taken only when the script is over, which itself does not see it go.
    let push = "redis.call('LPUSH', 'queue', 'a') redis.call('LPUSH', 'queue', 'b')
                return redis.call('LLEN', 'queue')";
    assert_eq!(first.call_words(&[b"EVAL", push.as_bytes(), b"0"]), Value::Integer(2));
    let served = vec![Value::bulk("queue"), Value::bulk("b")];
    assert_eq!(second.receive().unwrap(), Value::Array(served));
    assert_eq!(first.call("LLEN queue"), Value::Integer(1));
}

fn a_script_over_its_limits_stops_alike_on_all_nodes(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let endless = "redis.call('INCR', 'n') while true do redis.call('INCR', 'm') end";
    let large = "redis.call('INCR', 'n') local t = {}
                 while true do t[#t + 1] = ('x'):rep(1000000) .. #t end";
    let stopped = |client: &mut Client, script: &str, reason: &str| {
        let reply = client.call_words(&[b"EVAL", script.as_bytes(), b"0"]).text();
        let expected = format!("ERR Script was stopped: {reason} script: ");
        assert!(reply.starts_with(&expected), "{reply}");
    };
    let nodes = 0..cluster.nodes.len();
    for node in nodes.clone() {
        let mut client = cluster.client(node);
        stopped(&mut client, endless, "it has run for too many instructions");
        stopped(&mut client, large, "it needs too much memory");
        let library = "#!lua name=l\nwhile true do end";
        let loaded = client.call_words(&[b"FUNCTION", b"LOAD", library.as_bytes()]).text();
        assert_eq!(loaded, "ERR Error registering functions: ERR FUNCTION LOAD timeout");
        let total = 2 * (node + 1);
        assert_eq!(client.call("GET n").text(), total.to_string(), "what it has done stays");
    }
    cluster.check_alive();
    check_same_digests(&cluster, &nodes.collect::<Vec<_>>());
}
