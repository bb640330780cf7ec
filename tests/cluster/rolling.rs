//! A rolling restart under load: every node in turn by SIGTERM, then one by SIGKILL, each back by
//! the same line. Clients of the others see nothing of it, and nothing is lost or done twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Client, Value};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::is_stand_in;
use crate::survival::SetOnDrop;
use crate::wait::{self, LONG};

on_both_layouts!(all_nodes_restart_one_after_the_other);

/// The nodes as clients see them: ports, and how often each was stopped or killed.
struct Nodes {
    ports: Vec<u16>,
    stops: Vec<AtomicU64>,
    kills: Vec<AtomicU64>,
    done: AtomicBool,
}

/// What one client did: of its counter and of its keys, each with its number as value.
#[derive(Default)]
struct Done {
    counted: i64,
    /// Commands whose connection ended with a killed node: they may have run or not.
    counts_unknown: i64,
    keys: Vec<u64>,
    keys_tried: u64,
    longest_gap: Duration,
}

/// A client that moves on to the next node when its own ends.
struct Walker<'a> {
    nodes: &'a Nodes,
    position: usize,
    client: Client,
    stops_seen: u64,
    kills_seen: u64,
}

impl<'a> Walker<'a> {
    fn start(nodes: &'a Nodes, position: usize) -> Self {
        let client = Client::connect(nodes.ports[position]);
        Self { nodes, position, client, stops_seen: 0, kills_seen: 0 }
    }

    /// The reply, or whether the command that got none was certainly not run.
    fn call(&mut self, command: &str) -> Result<Value, Lost> {
        let failure = match self.client.try_call(command) {
            Ok(Value::Error(error)) => panic!("{command}: {error} from node {}", self.position),
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        };
        let stopped = self.nodes.stops[self.position].load(Ordering::SeqCst) > self.stops_seen;
        let killed = self.nodes.kills[self.position].load(Ordering::SeqCst) > self.kills_seen;
        assert!(stopped || killed, "{command}: {failure} from node {} that lives", self.position);
        self.move_on();
        // A node that stops answers whatever it has run.
        Err(if killed { Lost::Unknown } else { Lost::NotRun })
    }

    fn move_on(&mut self) {
        self.client = wait::until("another node", LONG, || {
            self.position = (self.position + 1) % self.nodes.ports.len();
            self.stops_seen = self.nodes.stops[self.position].load(Ordering::SeqCst);
            self.kills_seen = self.nodes.kills[self.position].load(Ordering::SeqCst);
            let mut client = Client::try_connect(self.nodes.ports[self.position]).ok()?;
            // One that has just started serves nobody yet, and one that stops nobody any more.
            let serves =
                client.try_call("GET served").is_ok_and(|it| !matches!(it, Value::Error(_)));
            serves.then_some(client)
        });
    }
}

enum Lost {
    NotRun,
    Unknown,
}

fn work(nodes: &Nodes, number: usize) -> Done {
    let mut walker = Walker::start(nodes, number % nodes.ports.len());
    let mut done = Done::default();
    while !nodes.done.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let (position, key) = (walker.position, done.keys_tried);
        done.keys_tried += 1;
        if let Ok(reply) = walker.call(&format!("SET key:{number}:{key} {key}")) {
            assert_eq!(reply, Value::ok());
            done.keys.push(key);
        }
        match walker.call(&format!("INCR counter:{number}")) {
            Ok(Value::Integer(value)) => {
                let known = done.counted..=done.counted + done.counts_unknown;
                assert!(known.contains(&(value - 1)), "{value} is not next of {known:?}");
                done.counts_unknown -= value - 1 - done.counted;
                done.counted = value;
            }
            Ok(other) => panic!("INCR answered {other:?}"),
            Err(Lost::NotRun) => {}
            Err(Lost::Unknown) => done.counts_unknown += 1,
        }
        if walker.position == position {
            done.longest_gap = done.longest_gap.max(asked.elapsed());
        }
    }
    done
}

fn all_nodes_restart_one_after_the_other(layout: Layout) {
    if is_stand_in() {
        return;
    }
    const CLIENTS: usize = 6;
    let mut cluster = Cluster::start(layout);
    let counters = || (0..cluster.nodes.len()).map(|_| AtomicU64::new(0)).collect();
    let nodes = Nodes {
        ports: cluster.nodes.iter().map(|node| node.port).collect(),
        stops: counters(),
        kills: counters(),
        done: AtomicBool::new(false),
    };
    let nodes = &nodes;
    let results: Vec<Done> = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || work(nodes, number))).collect();
        // Also when this fails: the clients would go on for ever.
        let _end = SetOnDrop(&nodes.done);
        for (victim, signal) in
            [(0, Signal::TERM), (1, Signal::TERM), (2, Signal::TERM), (1, Signal::KILL)]
        {
            let progress = progress(&mut cluster, CLIENTS);
            wait::until_true("work between restarts", LONG, || {
                self::progress(&mut cluster, CLIENTS) > progress + 100
            });
            let counted = if signal == Signal::TERM { &nodes.stops } else { &nodes.kills };
            counted[victim].fetch_add(1, Ordering::SeqCst);
            cluster.nodes[victim].signal(signal);
            let status = cluster.nodes[victim].wait("the node ends");
            assert_eq!(status.success(), signal == Signal::TERM, "{status}");
            cluster.restart(victim, layout.option());
            cluster.nodes[victim].wait_ready();
        }
        nodes.done.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for node in &cluster.nodes {
        assert_eq!((node.voters(), node.info("raft_num_nodes")), (3, Some("3".to_owned())));
        check(&mut node.client(), &results);
    }
}

/// How far all counters are in sum.
fn progress(cluster: &mut Cluster, clients: usize) -> i64 {
    let mut client = cluster.client(cluster.leader());
    let value = |number| client.call(&format!("INCRBY counter:{number} 0")).text().parse::<i64>();
    (0..clients).map(value).map(Result::unwrap).sum()
}

/// That a node holds all that was acknowledged, and each count once.
fn check(client: &mut Client, results: &[Done]) {
    for (number, done) in results.iter().enumerate() {
        let counted: i64 = client.call(&format!("GET counter:{number}")).text().parse().unwrap();
        let possible = done.counted..=done.counted + done.counts_unknown;
        assert!(possible.contains(&counted), "client {number} counted to {counted}: {possible:?}");
        for keys in done.keys.chunks(500) {
            let gets: Vec<String> =
                keys.iter().map(|key| format!("GET key:{number}:{key}")).collect();
            for (key, reply) in keys.iter().zip(client.pipeline(&gets).unwrap()) {
                assert_eq!(reply, Value::bulk(&key.to_string()), "key:{number}:{key}");
            }
        }
        // Loose, for machines with more to do than this.
        assert!(done.longest_gap < Duration::from_secs(4), "paused {:?}", done.longest_gap);
    }
}
