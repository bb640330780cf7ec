//! What a node tells of its work: SLOWLOG, COMMANDLOG, LATENCY, MONITOR and INFO on commands; and
//! what it holds back: CLIENT PAUSE and CLIENT REPLY.

use std::time::Duration;

use crate::client::{Client, Value, encode};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::wait::{self, LONG};

on_both_layouts!(
    slow_commands_are_logged_where_their_client_is,
    a_monitor_sees_what_the_clients_of_its_node_do,
    a_pause_of_writes_lets_reads_go_and_other_nodes_write,
    replies_can_be_turned_off,
    logs_tell_no_secrets_and_only_what_was_sent,
    what_fails_or_waits_is_counted,
    a_low_output_limit_is_kept,
    every_line_of_info_is_a_field,
);

fn array(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        other => panic!("not an array: {other:?}"),
    }
}

/// The commands of the log, newest first.
fn logged(client: &mut Client, command: &str) -> Vec<String> {
    let reply = client.call(command);
    let line = |entry: &Value| {
        let words = array(&array(entry)[3]).iter().map(Value::text).collect::<Vec<_>>();
        words.join(" ")
    };
    array(&reply).iter().map(line).collect()
}

fn slow_commands_are_logged_where_their_client_is(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let (near, far) = (cluster.followers()[0], cluster.leader());
    let mut client = cluster.client(near);
    for start in 0..20 {
        let pairs: Vec<String> = (0..100).map(|n| format!("{} {n}", start * 100 + n)).collect();
        client.call(&format!("MSET {}", pairs.join(" ")));
        client.call(&format!("RPUSH list {}", pairs.join(" ")));
    }
    let mut other = cluster.client(far);
    for client in [&mut client, &mut other] {
        assert_eq!(client.call("SLOWLOG RESET"), Value::ok());
        assert_eq!(client.call("CONFIG SET slowlog-log-slower-than 0"), Value::ok());
    }
    client.call("CLIENT SETNAME someone");
    client.call("SORT list DESC LIMIT 0 5");
    client.call("KEYS *");
    client.pipeline(&["MULTI", "set k v", "GET k", "EXEC"].map(str::to_owned)).unwrap();
    client.call("rpush other x");
    client.call("BLPOP other 0");
    let found = logged(&mut client, "SLOWLOG GET 20");
    // Words are shown as they were sent.
    let lines = [
        "SORT list DESC LIMIT 0 5",
        "KEYS *",
        "set k v",
        "GET k",
        "rpush other x",
        "BLPOP other 0",
    ];
    for line in lines {
        assert!(found.contains(&line.to_owned()), "{line} is not in {found:?}");
    }
    let reply = client.call("SLOWLOG GET -1");
    let newest = array(&array(&reply)[0]);
    assert!(newest[4].text().starts_with("127.0.0.1:"), "{newest:?}");
    assert_eq!(newest[5].text(), "someone");
    if !is_stand_in() {
        let elsewhere = logged(&mut other, "SLOWLOG GET 20");
        assert!(!elsewhere.iter().any(|line| line.contains("keys")), "{elsewhere:?}");
        large_commands_are_logged(&mut client);
    }
    assert_eq!(client.call("CONFIG SET slowlog-log-slower-than -1"), Value::ok());
    assert_eq!(client.call("SLOWLOG RESET"), Value::ok());
    client.call("KEYS *");
    assert_eq!(client.call("SLOWLOG LEN"), Value::Integer(0));
    spikes_are_remembered(&mut client);
    cluster.check_alive();
}

fn large_commands_are_logged(client: &mut Client) {
    assert_eq!(client.call("CONFIG SET commandlog-request-larger-than 5000"), Value::ok());
    assert_eq!(client.call("CONFIG SET commandlog-reply-larger-than 5000"), Value::ok());
    let value = "x".repeat(6000);
    client.call(&format!("SET large {value}"));
    client.call("GET large");
    client.call("GET k");
    let requests = logged(client, "COMMANDLOG GET -1 large-request");
    assert!(requests.len() == 1 && requests[0].starts_with("SET large xx"), "{requests:?}");
    assert!(requests[0].ends_with("... (5872 more bytes)"), "{requests:?}");
    assert_eq!(logged(client, "COMMANDLOG GET 1 large-reply"), ["GET large"]);
    assert_eq!(client.call("COMMANDLOG RESET large-reply"), Value::ok());
    assert_eq!(client.call("COMMANDLOG LEN large-reply"), Value::Integer(0));
}

fn spikes_are_remembered(client: &mut Client) {
    assert_eq!(client.call("CONFIG SET latency-monitor-threshold 1"), Value::ok());
    wait::until_true("a command that takes a millisecond", LONG, || {
        // Ten million instructions: no machine is that quick.
        client.call_words(&[b"EVAL", b"for i = 1, 10000000 do end", b"0"]);
        let latest = client.call("LATENCY LATEST");
        array(&latest).iter().any(|event| array(event)[0].text() == "command")
    });
    let history = client.call("LATENCY HISTORY command");
    assert!(array(&array(&history)[0])[1] != Value::Integer(0));
    assert!(client.call("LATENCY GRAPH command").text().starts_with("command - high "));
    assert!(matches!(client.call("LATENCY RESET"), Value::Integer(1..)));
    assert_eq!(client.call("CONFIG SET latency-monitor-threshold 0"), Value::ok());
}

const SCRIPT: &[u8] = b"redis.call('SeT', KEYS[1], '\\255') redis.pcall('lpush', KEYS[1], 1) \
    redis.pcall('get') redis.pcall('nope') redis.pcall('config', 'get', 'x') \
    redis.call('select', 5) return redis.call('get', KEYS[1])";
const LIBRARY: &[u8] = b"#!lua name=l\nredis.register_function('f', function() \
    return redis.call('incr', 'n') end)";

const CLIENT: &str = "3 127.0.0.1:";

/// Who is told to have sent what, of the scripts that the client runs.
fn lines_of_scripts() -> [(&'static str, String); 10] {
    let script =
        |script: &[u8]| String::from_utf8_lossy(script).replace('\\', "\\\\").replace('\n', "\\n");
    [
        (CLIENT, format!("\"eval\" \"{}\" \"1\" \"k\"", script(SCRIPT))),
        ("3 lua", "\"SeT\" \"k\" \"\\xff\"".to_owned()),
        ("3 lua", "\"lpush\" \"k\" \"1\"".to_owned()),
        ("5 lua", "\"select\" \"5\"".to_owned()),
        ("5 lua", "\"get\" \"k\"".to_owned()),
        (CLIENT, "\"EVAL_RO\" \"return redis.call('get', KEYS[1])\" \"1\" \"k\"".to_owned()),
        ("3 lua", "\"get\" \"k\"".to_owned()),
        (CLIENT, format!("\"FUNCTION\" \"LOAD\" \"{}\"", script(LIBRARY))),
        (CLIENT, "\"FCALL\" \"f\" \"0\"".to_owned()),
        ("3 lua", "\"incr\" \"n\"".to_owned()),
    ]
}

/// Where their lines are among those of the transaction differs from Redis, which runs each of its
/// commands behind its line.
fn scripts_of_a_transaction_are_shown(monitor: &mut Client, client: &mut Client) {
    for line in ["MULTI", "FCALL f 0", "SET k 1", "EXEC"] {
        client.call(line);
    }
    let mut shown: Vec<String> = (0..5).map(|_| monitor.receive().unwrap().text()).collect();
    for line in &mut shown {
        *line = line.split_once("] ").unwrap().1.to_owned();
    }
    shown.sort();
    let all =
        ["\"EXEC\"", "\"FCALL\" \"f\" \"0\"", "\"MULTI\"", "\"SET\" \"k\" \"1\"", "\"incr\" \"n\""];
    assert_eq!(shown, all);
}

fn a_monitor_sees_what_the_clients_of_its_node_do(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let mut monitor = cluster.client(1);
    assert_eq!(monitor.call("MONITOR"), Value::ok());
    let mut client = cluster.client(1);
    let sent = [
        vec![&b"SELECT"[..], b"3"],
        vec![b"SET", b"a \"key\"", b"\x00\xff"],
        vec![b"get", b"a \"key\""],
        vec![b"GET"],
        vec![b"config", b"get", b"save"],
        vec![b"HELLO", b"2", b"AUTH", b"default", b"secret"],
        vec![b"multi"],
        vec![b"incr", b"n"],
        vec![b"PING"],
        vec![b"exec"],
        vec![b"eval", SCRIPT, b"1", b"k"],
        vec![b"EVAL_RO", b"return redis.call('get', KEYS[1])", b"1", b"k"],
        vec![b"FUNCTION", b"LOAD", LIBRARY],
        vec![b"FCALL", b"f", b"0"],
    ];
    if !is_stand_in() {
        // What other nodes' clients run is shown there.
        cluster.client(0).call_words(&[b"eval", b"return redis.call('incr', 'n')", b"0"]);
    }
    for words in &sent {
        client.call_words(words);
    }
    let expected = [
        "\"SELECT\" \"3\"",
        "\"SET\" \"a \\\"key\\\"\" \"\\x00\\xff\"",
        "\"get\" \"a \\\"key\\\"\"",
        "\"HELLO\" \"2\" \"AUTH\" \"(redacted)\" \"(redacted)\"",
        "\"multi\"",
        "\"incr\" \"n\"",
        "\"PING\"",
        "\"exec\"",
    ];
    let expected =
        expected.into_iter().map(|line| (CLIENT, line.to_owned())).chain(lines_of_scripts());
    for (client, line) in expected {
        let shown = monitor.receive().unwrap().text();
        let (time, rest) = shown.split_once(" [").unwrap();
        assert!(time.parse::<f64>().unwrap() > 1e9, "{shown}");
        let (who, words) = rest.split_once("] ").unwrap();
        assert!(who.starts_with(client), "{shown}");
        assert_eq!(words, line);
    }
    scripts_of_a_transaction_are_shown(&mut monitor, &mut client);
    let refused = monitor.call("GET k").text();
    assert_eq!(refused, "ERR Replica can't interact with the keyspace");
    assert_eq!(monitor.call("RESET").text(), "RESET");
    client.call("PING");
    assert_eq!(monitor.call("GET k"), Value::Null);
    drop(monitor);
    cluster.check_alive();
}

fn a_pause_of_writes_lets_reads_go_and_other_nodes_write(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let (mut admin, mut client) = (cluster.client(0), cluster.client(0));
    assert_eq!(client.call("SET k before"), Value::ok());
    assert_eq!(admin.call("CLIENT PAUSE 100000 WRITE"), Value::ok());
    assert_eq!(client.call("GET k").text(), "before");
    client.send_command("SET k after");
    client.send_command("GET k");
    if !is_stand_in() {
        // The other nodes' clients are none of this node's.
        assert_eq!(cluster.client(1).call("SET other x"), Value::ok());
    }
    for _ in 0..20 {
        assert_eq!(admin.call("GET k").text(), "before");
    }
    assert_eq!(admin.call("CLIENT UNPAUSE"), Value::ok());
    assert_eq!(client.receive().unwrap(), Value::ok());
    assert_eq!(client.receive().unwrap().text(), "after");
    if !is_stand_in() {
        pauses_of_writes_hold_scripts(&mut cluster);
    }
    // A pause of all ends by itself.
    assert_eq!(admin.call("CLIENT PAUSE 50"), Value::ok());
    assert_eq!(client.call("PING").text(), "PONG");
    assert_eq!(
        admin.call("CLIENT PAUSE x").text(),
        "ERR timeout is not an integer or out of range"
    );
    cluster.check_alive();
}

/// Whoever waits for the end of a pause counts as blocked.
fn pauses_of_writes_hold_scripts(cluster: &mut Cluster) {
    let (mut admin, mut client) = (cluster.client(0), cluster.client(0));
    let mut blocked = |expected: &str| {
        wait::until_true("the count of blocked clients", LONG, || {
            admin.info("blocked_clients").unwrap() == expected
        });
    };
    let mut pauser = cluster.client(0);
    assert_eq!(pauser.call("CLIENT PAUSE 100000 WRITE"), Value::ok());
    let only_reads: [&[u8]; 3] = [b"EVAL", b"#!lua flags=no-writes\nreturn 1", b"0"];
    assert_eq!(client.call_words(&only_reads), Value::Integer(1));
    assert_eq!(client.call("EVAL_RO return(2) 0"), Value::Integer(2));
    blocked("0");
    client.send_command("EVAL return(3) 0");
    blocked("1");
    assert_eq!(pauser.call("CLIENT UNPAUSE"), Value::ok());
    assert_eq!(client.receive().unwrap(), Value::Integer(3));
    blocked("0");
}

fn logs_tell_no_secrets_and_only_what_was_sent(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let mut client = cluster.client(1);
    assert_eq!(client.call("CONFIG SET slowlog-log-slower-than 0"), Value::ok());
    assert_eq!(client.call("SLOWLOG RESET"), Value::ok());
    assert_eq!(client.call("ACL SETUSER joe on >secret1 +get"), Value::ok());
    let here = client.call("CONFIG GET port");
    let port = array(&here)[1].text();
    client.call(&format!("MIGRATE 127.0.0.1 {port} none 0 100 AUTH secret2"));
    assert_eq!(client.call("CONFIG SET requirepass secret3"), Value::ok());
    let words: [&[u8]; 4] = [b"CONFIG", b"SET", b"requirepass", b""];
    assert_eq!(client.call_words(&words), Value::ok());
    // What it is set to decides whether this is logged.
    assert_eq!(client.call("CONFIG SET slowlog-log-slower-than -1"), Value::ok());
    let found = logged(&mut client, "SLOWLOG GET -1");
    let names: Vec<String> = found.iter().rev().map(|line| line.to_lowercase()).collect();
    let expected = [
        "slowlog reset",
        "acl setuser (redacted) (redacted) (redacted) (redacted)",
        "config get port",
        &format!("migrate 127.0.0.1 {port} none 0 100 auth (redacted)"),
        "config set requirepass (redacted)",
        "config set requirepass (redacted)",
    ];
    assert_eq!(names, expected);
    wait::until_true("the users on all nodes", LONG, || {
        (0..3).all(|position| cluster.client(position).call("PING").text() == "PONG")
    });
    cluster.check_alive();
}

fn what_fails_or_waits_is_counted(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let (mut client, mut other) = (cluster.client(1), cluster.client(1));
    assert_eq!(client.call("CONFIG RESETSTAT"), Value::ok());
    client.call("EXEC");
    client.call("MULTI");
    client.call("SET k");
    assert!(client.call("EXEC").text().starts_with("EXECABORT "));
    let id = match other.call("CLIENT ID") {
        Value::Integer(id) => id,
        unexpected => panic!("{unexpected:?}"),
    };
    other.send_command("BLPOP none 0");
    wait::until_true("a client that waits", LONG, || {
        client.call(&format!("CLIENT UNBLOCK {id} ERROR")) == Value::Integer(1)
    });
    assert!(other.receive().unwrap().text().starts_with("UNBLOCKED "));
    other.send_command("BLPOP list 0");
    wait::until_true("a client that waits", LONG, || {
        client.info("blocked_clients").unwrap() == "1"
    });
    client.call("RPUSH list a");
    assert_eq!(array(&other.receive().unwrap())[1].text(), "a");
    let mut counts = |name: &str| {
        let stats = client.info(name).unwrap();
        let of = |field: &str| {
            let field = stats.split(',').find_map(|it| it.strip_prefix(field));
            field.unwrap().parse::<f64>().unwrap()
        };
        (of("calls="), of("rejected_calls="), of("failed_calls="))
    };
    assert_eq!(counts("cmdstat_exec"), (2.0, 0.0, 2.0));
    assert_eq!(counts("cmdstat_set"), (0.0, 1.0, 0.0));
    assert_eq!(counts("cmdstat_blpop"), (2.0, 0.0, 1.0));
    assert_eq!(client.info("errorstat_EXECABORT").unwrap(), "count=1");
    assert_eq!(client.info("errorstat_UNBLOCKED").unwrap(), "count=1");
    assert!(client.info("latency_percentiles_usec_blpop").unwrap().contains("p99.9="));
    let name = "latency-tracking-info-percentiles";
    assert_eq!(client.call(&format!("CONFIG SET {name} 0.0,50.0,100.0")), Value::ok());
    assert_eq!(array(&client.call(&format!("CONFIG GET {name}")))[1].text(), "0 50 100");
    assert!(client.info("latency_percentiles_usec_blpop").unwrap().contains(",p100="));
    cluster.check_alive();
}

/// Lower than what a client may be owed before it has to read.
fn a_low_output_limit_is_kept(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let mut client = cluster.client(1);
    let limit = "client-output-buffer-limit";
    assert_eq!(client.call(&format!("SET k {}", "x".repeat(200_000))), Value::ok());
    assert_eq!(client.call("GET k").text().len(), 200_000);
    assert_eq!(client.call(&format!("CONFIG SET {limit} 100000")), Value::ok());
    assert_eq!(client.call("PING").text(), "PONG");
    client.send_command("GET k");
    assert!(client.receive().is_err(), "it was sent more than its limit");
    cluster.check_alive();
}

fn replies_can_be_turned_off(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let mut client = cluster.client(2);
    let mut pipeline = Vec::new();
    for line in [
        "SET n 1",
        "CLIENT REPLY OFF",
        "INCR n",
        "PING",
        "GET n",
        "NOSUCH",
        "CLIENT REPLY ON",
        "INCR n",
        "CLIENT REPLY SKIP",
        "INCR n",
        "GET n",
        "CLIENT REPLY SKIP",
        "PING",
        "CLIENT REPLY SKIP",
        "BLPOP none 0.05",
        "INCR n",
    ] {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        pipeline.extend_from_slice(&encode(&words));
    }
    client.send(&pipeline).unwrap();
    let mut next = || client.receive().unwrap();
    assert_eq!(next(), Value::ok());
    assert_eq!(next(), Value::ok(), "of CLIENT REPLY ON");
    assert_eq!(next(), Value::Integer(3));
    assert_eq!(next().text(), "4");
    assert_eq!(next(), Value::Integer(5));
    client.set_patience(Duration::from_secs(5)).unwrap();
    assert_eq!(client.call("PING").text(), "PONG");
    // Messages are no replies, nor is what comes with them; ON takes SKIP back.
    let lines = ["CLIENT REPLY OFF", "SUBSCRIBE c", "UNSUBSCRIBE c", "CLIENT REPLY ON"];
    client.send_command("CLIENT REPLY SKIP");
    for line in lines {
        client.send_command(line);
    }
    for expected in ["subscribe", "unsubscribe"] {
        assert_eq!(array(&client.receive().unwrap())[0].text(), expected);
    }
    assert_eq!(client.receive().unwrap(), Value::ok());
    client.send_command("CLIENT REPLY SKIP");
    assert_eq!(client.call("CLIENT REPLY ON"), Value::ok());
    assert_eq!(client.call("PING").text(), "PONG");
    cluster.check_alive();
}

/// As redis_exporter reads it: sections, and lines of a name and a value.
fn every_line_of_info_is_a_field(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let mut client = cluster.client(1);
    client.call("SET k v");
    client.call("SET k");
    client.call("INCR k");
    client.call("CONFIG GET save");
    client.call("SET expiring v EX 100");
    for sections in ["", " ALL", " everything", " default latencystats"] {
        let text = client.call(&format!("INFO{sections}")).text();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
            let (name, _) = line.split_once(':').unwrap_or_else(|| panic!("{line} is no field"));
            assert!(!name.contains(' ') && !name.is_empty(), "{line}");
        }
    }
    let of = |fields: &str, name: &str| -> f64 {
        let field = fields.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        field.unwrap_or_else(|| panic!("no {name} in {fields}")).parse().unwrap()
    };
    let set = client.info("cmdstat_set").unwrap();
    assert_eq!((of(&set, "calls"), of(&set, "rejected_calls")), (2.0, 1.0), "{set}");
    assert!(of(&set, "usec_per_call") > 0.0, "{set}");
    let incr = client.info("cmdstat_incr").unwrap();
    assert_eq!((of(&incr, "calls"), of(&incr, "failed_calls")), (1.0, 1.0), "{incr}");
    assert!(client.info("cmdstat_config|get").unwrap().starts_with("calls=1,"));
    assert_eq!(client.info("errorstat_ERR").unwrap(), "count=2");
    let percentiles = client.info("latency_percentiles_usec_set").unwrap();
    assert!(of(&percentiles, "p50") > 0.0 && of(&percentiles, "p99.9") > 0.0, "{percentiles}");
    let keyspace = client.info("db0").unwrap();
    assert_eq!((of(&keyspace, "keys"), of(&keyspace, "expires")), (2.0, 1.0), "{keyspace}");
    assert!((1.0..=100_000.0).contains(&of(&keyspace, "avg_ttl")) || is_stand_in(), "{keyspace}");
    wait::until_true("commands per second", LONG, || {
        client.call("PING");
        client.info("instantaneous_ops_per_sec").unwrap() != "0"
    });
    assert_eq!(client.call("CONFIG RESETSTAT"), Value::ok());
    assert_eq!(client.info("errorstat_ERR"), None);
    let reset = client.info("cmdstat_config|resetstat").unwrap();
    assert!(reset.starts_with("calls=1,"), "the call that resets counts itself: {reset}");
    cluster.check_alive();
}
