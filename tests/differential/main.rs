//! The same random commands for a redis-server 7.0 and for a cluster of three nodes: every reply is
//! the same, and so is all that they hold afterwards.
//!
//! `cargo test --test differential -- --nocapture`; `tests/run` runs it. What is drawn is in
//! `grammar.txt` and [`words`], what is not in `excluded.txt` with the reason, and what may differ,
//! with the reason, in [`differences`]. `MAYFLY_DIFF_COMMANDS` says how many commands are sent,
//! `MAYFLY_DIFF_SEED` which sequence comes first, `MAYFLY_DIFF_FAMILY` that only the families whose
//! name begins so are drawn from. A sequence that shows a difference is made short, and printed as
//! lines for redis-cli.
//!
//! After each sequence the digests of all nodes are equal; at the end the logs are compacted, and a
//! node that joins by a snapshot has the same digest again.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

mod blocked;
#[allow(dead_code, reason = "the cluster tests use the rest of it")]
#[path = "../cluster/client.rs"]
mod client;
#[allow(dead_code, unused, reason = "the cluster tests use the rest of it")]
#[path = "../cluster/cluster.rs"]
mod cluster;
mod compare;
#[allow(dead_code, reason = "the coverage report uses the rest of it")]
mod differences;
mod generate;
#[allow(dead_code, reason = "the coverage report uses the rest of it")]
mod grammar;
mod keyspace;
mod pair;
#[allow(dead_code, reason = "the cluster tests use the rest of it")]
#[path = "../cluster/process.rs"]
mod process;
mod reference;
#[allow(dead_code, reason = "the simulator uses the rest of it")]
#[path = "../raft_sim/rng.rs"]
mod rng;
mod scripts;
mod shrink;
mod special;
#[path = "../cluster/wait.rs"]
mod wait;
mod wire;
mod words;

use std::path::Path;
use std::time::Instant;

use client::Client;
use cluster::{Cluster, Layout};
use generate::{Generator, Step};
use pair::{Difference, Failure, Pair, Ports};
use process::{Process, free_ports, run_tool};
use reference::Reference;
use wait::LONG;
use wire::Connection;

/// Takes 60 to 90 seconds with the optimised program on two cores.
const COMMANDS: u64 = 150_000;

/// Commands of one sequence: enough for few keys to be met often, and few enough to shrink.
const SEQUENCE: usize = 2_000;

/// How often it says how far it is, in commands.
const PROGRESS: u64 = 100_000;

/// When so many kinds of differences are known, the rest can wait.
const KINDS_MAX: usize = 12;

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

struct Sides {
    cluster: Cluster,
    _redis: Process,
    ports: Ports,
}

impl Sides {
    fn start() -> Self {
        let cluster = Cluster::start(Layout::Folded);
        let port = free_ports(1);
        let options = format!("--port {port} --bind 127.0.0.1 --daemonize no --save ''");
        // SORT ALPHA compares by the locale.
        let server = reference::server();
        let redis = Process::start("env", &format!("LC_ALL=C {server} {options}"));
        let client = wait::until(&server, LONG, || Client::try_connect(port).ok());
        let client = std::cell::RefCell::new(client);
        let known = Reference::of(|field| client.borrow_mut().info(field));
        known.unwrap_or_else(|error| panic!("{error}")).choose();
        let mayfly = cluster.nodes.iter().map(|node| node.port).collect();
        Self { cluster, _redis: redis, ports: Ports { redis: port, mayfly } }
    }

    /// Waits until all nodes have the same digest; `None` when they do not come to it.
    fn digests(&self) -> Vec<String> {
        let digest = |node: &cluster::Node| node.client().call("RAFT.DEBUG DIGEST").text();
        let deadline = Instant::now() + LONG;
        loop {
            let digests: Vec<String> = self.cluster.nodes.iter().map(digest).collect();
            let are_equal = digests.iter().all(|digest| *digest == digests[0]);
            if are_equal || Instant::now() > deadline {
                return digests;
            }
        }
    }

    /// Runs a sequence on empty servers, and compares all that is left by it. Says how many
    /// differences are explained, and how many commands were served that waited.
    fn run(&self, steps: &[Step]) -> Result<(u64, u64), Failure> {
        let at_end = |failure: Failure| match failure {
            Failure::Differs(mut difference) => {
                difference.step = steps.len();
                Failure::Differs(difference)
            }
            broken => broken,
        };
        let mut pair = Pair::open(&self.ports)?;
        pair.run(steps)?;
        let mut probe = pair.probe()?;
        let explained = keyspace::compare_all(&mut probe).map_err(at_end)?;
        let digests = self.digests();
        if digests.iter().any(|digest| *digest != digests[0]) {
            let told = Difference::told("digests", String::new(), digests.join(" "));
            return Err(at_end(told.into()));
        }
        Ok((pair.explained + explained, pair.served))
    }

    /// Shortens a sequence that differs.
    fn shrink(&self, steps: Vec<Step>, found: Difference) -> (Vec<Step>, Difference) {
        shrink::shrink(steps, found, |steps| match self.run(steps) {
            Err(Failure::Differs(difference)) => Some(*difference),
            Err(Failure::Broken(error)) => panic!("while a sequence was made short: {error}"),
            Ok(_) => None,
        })
    }
}

/// What redis-server makes of values of every type, for RESTORE.
fn payloads(redis: u16) -> Vec<Vec<u8>> {
    let long = "x".repeat(70);
    let lines = [
        "SET d:1 12345".to_owned(),
        format!("SET d:2 {long}{long}"),
        "RPUSH d:3 a b 1 2 3".into(),
        "SADD d:4 1 2 3".into(),
        "SADD d:5 a b c".into(),
        "HSET d:6 f1 v1 f2 2".into(),
        format!("HSET d:7 f1 {long}"),
        "ZADD d:8 1 m1 2.5 m2 inf m3".into(),
        format!("ZADD d:9 1 {long} 2 m2"),
        "XADD d:10 3-1 f1 v1".into(),
        "XADD d:10 4-1 f1 v1 f2 v2".into(),
        "XGROUP CREATE d:10 group1 0".into(),
        "XREADGROUP GROUP group1 consumer1 COUNT 1 STREAMS d:10 >".into(),
        "PFADD d:11 a b c d".into(),
        "GEOADD d:12 13.36 38.11 place1".into(),
    ];
    let mut connection = Connection::open(redis).unwrap();
    for line in lines {
        let reply = connection.call(&line.split(' ').collect::<Vec<_>>()).unwrap();
        assert!(!reply.is_error(), "{line}: {reply:?}");
    }
    let dump = |at: u32| connection.call(&["DUMP", &format!("d:{at}")]).unwrap().bytes().to_vec();
    (1..=12).map(dump).collect()
}

/// What redis-server makes of libraries, for FUNCTION RESTORE: of each that it takes, of several,
/// and of none.
fn libraries(redis: u16) -> Vec<Vec<u8>> {
    let mut connection = Connection::open(redis).unwrap();
    if Reference::current() == Reference::Redis8 {
        return Vec::new();
    }
    let mut call = |words: &[&str]| connection.call(words).unwrap();
    let mut dumps = vec![b"abc".to_vec(), call(&["FUNCTION", "DUMP"]).bytes().to_vec()];
    for text in scripts::libraries().iter().filter(|text| !generate::ends_server(text)) {
        if call(&["FUNCTION", "LOAD", "REPLACE", text]).is_error() {
            continue;
        }
        dumps.push(call(&["FUNCTION", "DUMP"]).bytes().to_vec());
        if dumps.len() % 3 == 0 {
            call(&["FUNCTION", "FLUSH"]);
        }
    }
    assert!(dumps.len() > 5, "{dumps:?}");
    dumps
}

#[test]
fn a_cluster_answers_as_redis_does_and_its_nodes_agree() {
    let mut sides = Sides::start();
    let family = std::env::var("MAYFLY_DIFF_FAMILY").unwrap_or_default();
    let mut families = grammar::read(grammar::TEXT).unwrap_or_else(|error| panic!("{error}"));
    families.retain(|each| each.name.starts_with(&family) || each.name == "subscriptions");
    for family in &mut families {
        family.rules.retain(|rule| rule.only.contains(&Reference::current()));
    }
    families.retain(|family| !family.rules.is_empty());
    let payloads = payloads(sides.ports.redis);
    let libraries = libraries(sides.ports.redis);
    let generator = Generator { families: &families, payloads: &payloads, libraries: &libraries };
    let (first, commands) =
        (number("MAYFLY_DIFF_SEED", 1), number("MAYFLY_DIFF_COMMANDS", COMMANDS));
    let started = Instant::now();
    let (mut sent, mut explained, mut served) = (0, 0, 0);
    let mut found: Vec<String> = Vec::new();
    for seed in first.. {
        if sent >= commands || found.len() >= KINDS_MAX {
            break;
        }
        let steps = generator.sequence(seed, SEQUENCE);
        sent += steps.len() as u64;
        if sent.is_multiple_of(PROGRESS) {
            println!("differential: {sent} commands by seed {seed}");
        }
        match sides.run(&steps) {
            Ok((count, waited)) => {
                explained += count;
                served += waited;
            }
            Err(Failure::Broken(error)) => panic!("seed {seed}: {error}"),
            Err(Failure::Differs(difference)) if found.contains(&difference.kind()) => {}
            Err(Failure::Differs(difference)) => {
                found.push(difference.kind());
                let (short, difference) = sides.shrink(steps, *difference);
                println!("seed {seed}:\n{}{difference}\n", shrink::script(&short));
            }
        }
    }
    println!(
        "differential: {sent} commands, {served} of them served while they waited, {explained} \
         explained differences, {} others, in {:.0?}",
        found.len(),
        started.elapsed()
    );
    assert!(found.is_empty(), "{} commands answer otherwise than Redis: {found:?}", found.len());
    a_newcomer_agrees(&mut sides, &generator);
}

/// Whatever redis-py makes of the replies, it makes the same of both.
#[test]
fn redis_py_gets_the_same_from_both() {
    let sides = Sides::start();
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python3");
    let python = std::env::var("MAYFLY_PYTHON").unwrap_or_else(|_| installed.to_owned());
    assert!(Path::new(&python).exists(), "{python} is missing: `tests/run install` installs it");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential/redis_py.py");
    let ports = [sides.ports.redis].into_iter().chain(sides.ports.mayfly.iter().copied());
    let ports: Vec<String> = ports.map(|port| port.to_string()).collect();
    let (success, printed) = run_tool(&python, &format!("{script} {}", ports.join(" ")));
    assert!(success && printed.contains("the same from both"), "{printed}");
}

/// A node that joins after the logs were compacted has the digest of the others, and goes on alike.
fn a_newcomer_agrees(sides: &mut Sides, generator: &Generator<'_>) {
    sides.run(&generator.sequence(0, SEQUENCE)).unwrap();
    for node in &sides.cluster.nodes {
        assert_eq!(node.client().call("RAFT.DEBUG COMPACT").text(), "OK");
    }
    sides.cluster.add("--layout folded");
    sides.cluster.nodes[3].wait_ready();
    for seed in [0, 1] {
        let digests = sides.digests();
        assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
        sides.run(&generator.sequence(seed, SEQUENCE)).unwrap();
    }
}
