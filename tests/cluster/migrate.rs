//! MIGRATE: keys go to a redis-server and to another cluster, whole, and are gone from here only
//! when they have arrived as they were.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::client::{Client, Value, encode};
use crate::cluster::{Cluster, Layout, Node, on_both_layouts, start_node};
use crate::process::{Process, free_ports, is_stand_in};
use crate::snapshot::check_same_digests;
use crate::wait::{self, LONG};

on_both_layouts!(
    keys_go_to_a_redis_server_and_come_back,
    keys_go_from_one_cluster_to_another,
    what_is_refused_or_cannot_be_reached_stays,
    what_changes_on_its_way_stays,
    what_has_arrived_goes_by_way_of_the_next_leader,
);

/// A redis-server that wants a password.
fn redis() -> (u16, Process) {
    let port = free_ports(1);
    let options = format!("--port {port} --bind 127.0.0.1 --save '' --requirepass secret");
    let process = Process::start("redis-server", &options);
    wait::until("redis-server", LONG, || Client::try_connect(port).ok());
    (port, process)
}

/// A key of each type.
const FILL: [&str; 7] = [
    "SET string 12345",
    "RPUSH list a b c",
    "SADD set 1 2 3",
    "HSET hash f v g w",
    "ZADD sorted 1 a 2.5 b",
    "XADD stream 1-1 a b",
    "SET brief v PX 600000",
];
const KEYS: &str = "string list set hash sorted stream brief";
const READ: [&str; 7] = [
    "GET string",
    "LRANGE list 0 -1",
    "SCARD set",
    "HGET hash g",
    "ZRANGE sorted 0 -1 WITHSCORES",
    "XRANGE stream - +",
    "GET brief",
];

fn fill(client: &mut Client) -> Vec<Value> {
    for line in FILL {
        assert!(!matches!(client.call(line), Value::Error(_)), "{line}");
    }
    read(client)
}

fn read(client: &mut Client) -> Vec<Value> {
    READ.iter().map(|line| client.call(line)).collect()
}

fn error(text: &str) -> Value {
    Value::Error(text.to_owned())
}

/// MIGRATE with an empty third word.
fn send_migrate(client: &mut Client, port: u16, rest: &str) {
    let port = port.to_string();
    let mut words: Vec<&[u8]> = vec![b"MIGRATE", b"127.0.0.1", port.as_bytes(), b""];
    words.extend(rest.split(' ').map(str::as_bytes));
    client.send(&encode(&words)).unwrap();
}

fn migrate(client: &mut Client, port: u16, rest: &str) -> Value {
    send_migrate(client, port, rest);
    client.receive().unwrap()
}

fn keys_go_to_a_redis_server_and_come_back(layout: Layout) {
    let cluster = Cluster::start(layout);
    let (port, _redis) = redis();
    let mut there = Client::connect(port);
    assert_eq!(there.call("AUTH secret"), Value::ok());
    there.call("SELECT 2");
    // From a follower.
    let position = (cluster.leader() + 1) % cluster.nodes.len();
    let mut here = cluster.client(position);
    let values = fill(&mut here);
    let sent = migrate(&mut here, port, &format!("2 5000 AUTH secret KEYS none {KEYS}"));
    assert_eq!(sent, Value::ok());
    assert_eq!(here.call("DBSIZE"), Value::Integer(0));
    assert_eq!(read(&mut there), values);
    let Value::Integer(ttl_ms) = there.call("PTTL brief") else { panic!("no time to live") };
    assert!((1..=600_000).contains(&ttl_ms), "{ttl_ms}");
    assert_eq!(there.call("PTTL list"), Value::Integer(-1));
    let nothing = migrate(&mut here, port, &format!("2 5000 AUTH secret KEYS {KEYS}"));
    assert_eq!(nothing, Value::Simple("NOKEY".into()));
    // And back.
    let home = cluster.nodes[position].port;
    let line = format!("MIGRATE 127.0.0.1 {home} list 5 5000");
    assert_eq!(there.call(&line), Value::ok());
    here.call("SELECT 5");
    assert_eq!(here.call(READ[1]), values[1]);
    let line = format!("MIGRATE 127.0.0.1 {port} list 2 5000 COPY REPLACE AUTH2 default secret");
    for _ in 0..2 {
        assert_eq!(here.call(&line), Value::ok());
    }
    assert_eq!(here.call(READ[1]), values[1]);
    assert_eq!(read(&mut there), values);
}

fn keys_go_from_one_cluster_to_another(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let port = free_ports(1);
    let other = Node::new(port, start_node(port, "--init"));
    other.wait_ready();
    let (mut here, mut there) = (cluster.client(cluster.followers()[0]), other.client());
    let values = fill(&mut here);
    // Fields that expire, which older servers do not take.
    here.call("HPEXPIRE hash 500000 FIELDS 1 f");
    assert_eq!(migrate(&mut here, port, &format!("0 5000 KEYS {KEYS}")), Value::ok());
    assert_eq!(here.call("DBSIZE"), Value::Integer(0));
    assert_eq!(read(&mut there), values);
    let Value::Array(ttl_ms) = there.call("HPTTL hash FIELDS 1 f") else { panic!("no reply") };
    assert!(matches!(ttl_ms[..], [Value::Integer(1..=500_000)]), "{ttl_ms:?}");
    // More than are sent at once.
    let lines: Vec<String> = (0..1000).map(|number| format!("SET key:{number} v")).collect();
    here.pipeline(&lines).unwrap();
    let keys: Vec<String> = (0..1000).map(|number| format!("key:{number}")).collect();
    let rest = format!("0 5000 KEYS {}", keys.join(" "));
    assert_eq!(migrate(&mut here, port, &rest), Value::ok());
    assert_eq!(here.call("DBSIZE"), Value::Integer(0));
    assert_eq!(there.call("DBSIZE"), Value::Integer(1007));
    check_same_digests(&cluster, &[0, 1, 2]);
}

fn what_is_refused_or_cannot_be_reached_stays(layout: Layout) {
    let cluster = Cluster::start(layout);
    let (port, _redis) = redis();
    let mut there = Client::connect(port);
    there.call("AUTH secret");
    there.call("SET a theirs");
    let mut here = cluster.client(1);
    here.call("MSET a 1 b 2");
    let line = format!("MIGRATE 127.0.0.1 {port} a 0 5000");
    let told = here.call(&line).text();
    assert!(told.starts_with("ERR Target instance replied with error: NOAUTH"), "{told}");
    let busy = "ERR Target instance replied with error: BUSYKEY Target key name already exists.";
    let told = migrate(&mut here, port, "0 5000 AUTH secret KEYS a b");
    assert_eq!(told, error(busy));
    assert_eq!(here.call("MGET a b"), Value::Array(vec![Value::bulk("1"), Value::Null]));
    let theirs = Value::Array(vec![Value::bulk("theirs"), Value::bulk("2")]);
    assert_eq!(there.call("MGET a b"), theirs);
    let told = here.call(&format!("{line} AUTH wrong")).text();
    assert!(told.starts_with("ERR Target instance replied with error: WRONGPASS"), "{told}");
    let nobody = free_ports(1);
    let told = here.call(&format!("MIGRATE 127.0.0.1 {nobody} a 0 5000"));
    assert_eq!(told, error("IOERR error or timeout writing to target instance"));
    // A target that takes the keys and does not answer.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let told = here.call(&format!("MIGRATE 127.0.0.1 {port} a 0 100"));
    assert_eq!(told, error("IOERR error or timeout reading to target instance"));
    assert_eq!(here.call("GET a"), Value::bulk("1"));
    if !is_stand_in() {
        assert_eq!(here.call("MULTI"), Value::ok());
        let text = "ERR MIGRATE is not allowed inside a transaction";
        assert_eq!(here.call(&line), error(text));
        assert!(here.call("EXEC").text().starts_with("EXECABORT"));
    }
}

/// The words of a request.
fn request(stream: &mut BufReader<TcpStream>) -> Vec<Vec<u8>> {
    let mut number = || {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        line.trim_end()[1..].parse::<usize>().unwrap()
    };
    let count = number();
    let mut words = Vec::new();
    for _ in 0..count {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let mut word = vec![0; line.trim_end()[1..].parse::<usize>().unwrap() + 2];
        stream.read_exact(&mut word).unwrap();
        word.truncate(word.len() - 2);
        words.push(word);
    }
    words
}

/// The target answers when the key has been written to by another client, on another node.
fn what_changes_on_its_way_stays(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let mut here = cluster.client(0);
    here.call("MSET changed 1 kept 2 gone 3");
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = target.local_addr().unwrap().port();
    send_migrate(&mut here, port, "0 20000 KEYS changed kept gone");
    let mut stream = BufReader::new(target.accept().unwrap().0);
    assert_eq!(request(&mut stream)[0], b"SELECT");
    stream.get_mut().write_all(b"+OK\r\n").unwrap();
    for key in ["changed", "kept", "gone"] {
        assert_eq!(request(&mut stream)[..2], [b"RESTORE".to_vec(), key.as_bytes().to_vec()]);
    }
    let mut other = cluster.client(1);
    assert_eq!(other.call("INCR changed"), Value::Integer(2));
    assert_eq!(other.call("DEL gone"), Value::Integer(1));
    stream.get_mut().write_all(b"+OK\r\n+OK\r\n+OK\r\n").unwrap();
    let told = here.receive().unwrap().text();
    assert!(told.starts_with("ERR keys have changed or gone while they were sent"), "{told}");
    let left = Value::Array(vec![Value::bulk("2"), Value::Null, Value::Null]);
    assert_eq!(other.call("MGET changed kept gone"), left);
    check_same_digests(&cluster, &[0, 1, 2]);
}

fn what_has_arrived_goes_by_way_of_the_next_leader(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let leader = cluster.leader();
    let survivors = cluster.followers();
    let mut here = cluster.client(survivors[0]);
    here.call("SET k v");
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    send_migrate(&mut here, target.local_addr().unwrap().port(), "0 20000 KEYS k");
    let mut stream = BufReader::new(target.accept().unwrap().0);
    assert_eq!(request(&mut stream)[0], b"SELECT");
    stream.get_mut().write_all(b"+OK\r\n").unwrap();
    assert_eq!(request(&mut stream)[0], b"RESTORE");
    cluster.nodes[leader].kill();
    wait::until_true("another leader", LONG, || {
        cluster.client(survivors[1]).call("SET other v") == Value::ok()
    });
    stream.get_mut().write_all(b"+OK\r\n").unwrap();
    assert_eq!(here.receive().unwrap(), Value::ok());
    assert_eq!(cluster.client(survivors[1]).call("EXISTS k"), Value::Integer(0));
    check_same_digests(&cluster, &survivors);
}
