//! What the generator sees of servers that stall, fail and go away.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hdrhistogram::Histogram;
use mayfly_loadgen::keys::Distribution;
use mayfly_loadgen::load::{Connections, Greeting, Keys, Load, Pace, Redirects, Work, Workload};
use mayfly_loadgen::record::LATENCY_US_MAX;
use mayfly_loadgen::run::{self, Measured};
use mayfly_loadgen::schedule::Arrival;
use mayfly_loadgen::template::{Placeholders, Template};
use mayfly_loadgen::verify::Counter;

use crate::server::{Answer, serve};

const PING: &[u8] = b"PING\r\n";
const STALL: Duration = Duration::from_secs(1);
const CLIENTS: usize = 4;

fn load(server: SocketAddr, template: Template, pace: Pace, requests: u64) -> Load {
    Load {
        servers: vec![server],
        clients: CLIENTS,
        threads: 1,
        pipeline: 1,
        connections: Connections::Kept,
        greeting: Greeting::default(),
        work: Work::Mix(Workload::of_one(template)),
        keys: Keys { distribution: Distribution::Uniform, count: 1 },
        pace,
        requests: Some(requests),
        duration: None,
        warmup: Duration::ZERO,
        redirects: Redirects::Counted,
        payload: String::new(),
        bucket: Duration::from_millis(10),
        seed: 1,
    }
}

fn ping(server: SocketAddr, pace: Pace, requests: u64) -> Load {
    load(server, Template::raw(PING.to_vec(), Placeholders::Literal), pace, requests)
}

fn measure(load: Load) -> Measured {
    run::run(&Arc::new(load), Vec::new(), |_| ()).unwrap()
}

/// Answers, but for one time of `STALL` in which all connections wait.
fn stalling_server(stall_at: u64) -> SocketAddr {
    let gate = Mutex::new(());
    serve(PING.len(), move |number, _| {
        let _passed = gate.lock().unwrap();
        if number == stall_at {
            // A message that never comes, waited for with the gate closed.
            let (_sender, receiver) = mpsc::channel::<()>();
            let _timed_out = receiver.recv_timeout(STALL);
        }
        Answer::Reply(b"+PONG\r\n")
    })
}

fn longer_than(histogram: &Histogram<u64>, time: Duration) -> u64 {
    histogram.count_between(time.as_micros() as u64, LATENCY_US_MAX)
}

#[test]
fn a_stall_is_in_the_latency_of_all_requests_that_were_due_in_it() {
    let pace = Pace::Rate { per_second: 1000.0, arrival: Arrival::Constant };
    let measured = measure(ping(stalling_server(500), pace, 2000));
    let totals = &measured.totals;
    assert_eq!((totals.ok, totals.errors.total()), (2000, 0));
    let service = totals.latencies.service.as_ref().unwrap();
    assert_eq!((totals.latencies.response.len(), service.len()), (2000, 2000));
    // Half of the thousand that were due in the stall had to wait for half of it or longer.
    let due = longer_than(&totals.latencies.response, STALL / 2);
    assert!(due >= 450, "{due} requests were due in the first half of the stall");
    // Of those that were sent, only the ones on their way did; a slow machine may add some.
    let sent = longer_than(service, STALL / 2);
    assert!((1..due / 4).contains(&sent), "{sent} requests were on their way");
    assert!(totals.latencies.response.value_at_quantile(0.99) >= 900_000);
    assert!(totals.backlog_max >= 900, "a backlog of {}", totals.backlog_max);
}

#[test]
fn a_closed_loop_sees_one_slow_request_for_each_connection() {
    let measured = measure(ping(stalling_server(500), Pace::AnswerDriven, 2000));
    let totals = &measured.totals;
    assert_eq!((totals.ok, totals.latencies.service.is_none()), (2000, true));
    let slow = longer_than(&totals.latencies.response, STALL * 9 / 10);
    // A slow machine may add some; an open loop would have seen a thousand.
    assert!((1..=10 * CLIENTS as u64).contains(&slow), "{slow} slow requests");
    assert!(measured.seconds() >= 1.0);
}

#[test]
fn every_request_is_answered_or_counted_by_its_error() {
    let server = serve(PING.len(), |number, _| match number % 100 {
        7 => Answer::Close,
        8 | 9 => Answer::Reply(b"-CLUSTERDOWN No raft leader\r\n"),
        10 => Answer::Reply(b"$-1\r\n"),
        _ => Answer::Reply(b"+PONG\r\n"),
    });
    let measured = measure(ping(server, Pace::AnswerDriven, 1000));
    let totals = &measured.totals;
    let errors: Vec<_> = totals.errors.iter().collect();
    let count = |code| errors.iter().find(|(known, _)| *known == code).map(|(_, count)| *count);
    assert_eq!(
        (count("connection lost"), count("CLUSTERDOWN")),
        (Some(10), Some(20)),
        "{errors:?}"
    );
    assert_eq!((totals.ok, totals.nil), (970, 10));
    assert_eq!(totals.latencies.response.len(), 970, "errors have no latency");
    let first = totals.finishes[0].first_error.as_deref();
    assert_eq!(first, Some("CLUSTERDOWN No raft leader"));
}

#[test]
fn what_a_warm_up_sends_is_not_counted() {
    let server = serve(PING.len(), |_, _| Answer::Reply(b"+PONG\r\n"));
    for pace in [Pace::AnswerDriven, Pace::Rate { per_second: 2000.0, arrival: Arrival::Constant }]
    {
        let mut load = ping(server, pace, 300);
        load.warmup = Duration::from_millis(100);
        let totals = measure(load).totals;
        // Replies to the last requests of the warm-up may come after it.
        let measured = totals.ok;
        assert!((300..=600).contains(&measured), "{measured} replies");
    }
}

#[test]
fn connections_go_on_to_a_server_that_is_there() {
    let dying = serve(PING.len(), |_, _| Answer::Close);
    let alive = serve(PING.len(), |_, _| Answer::Reply(b"+PONG\r\n"));
    let mut load = ping(dying, Pace::AnswerDriven, 1000);
    load.servers.push(alive);
    let totals = measure(load).totals;
    assert_eq!(totals.ok + totals.errors.total(), 1000);
    assert!(totals.ok >= 900, "{} requests found the server that lives", totals.ok);
}

#[test]
fn the_server_gets_each_request_whole_and_once() {
    let template =
        Template::new(&[b"GET".to_vec(), b"key:__rand_int__".to_vec()], Placeholders::Patched);
    let prefix = b"*2\r\n$3\r\nGET\r\n$16\r\nkey:".to_vec();
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let server = serve(template.request().len(), {
        let seen = Arc::clone(&seen);
        move |_, request| {
            let key = request.strip_prefix(&prefix[..]).unwrap().to_vec();
            assert!(seen.lock().unwrap().insert(key), "a key came twice");
            Answer::Reply(b"$3\r\nabc\r\n")
        }
    });
    let mut load = load(server, template.repeat(7), Pace::AnswerDriven, 1001);
    (load.threads, load.pipeline, load.clients) = (2, 7, 5);
    load.keys = Keys { distribution: Distribution::Sequential, count: 5000 };
    let totals = measure(load).totals;
    assert_eq!((totals.ok, totals.errors.total(), seen.lock().unwrap().len()), (1001, 0, 1001));
}

#[test]
fn a_server_that_loses_or_doubles_what_it_acknowledged_is_found_out() {
    let request = b"*2\r\n$4\r\nINCR\r\n$5\r\nv:0:0\r\n";
    let counters = Mutex::new(HashMap::<Vec<u8>, i64>::new());
    let server = serve(request.len(), move |number, request| {
        let mut counters = counters.lock().unwrap();
        let counter = counters.entry(request.to_vec()).or_default();
        *counter += match number {
            150 => -2,
            400 => 2,
            _ => 1,
        };
        match number {
            // It ran, and its reply never comes.
            600 => Answer::Close,
            _ => Answer::Text(format!(":{counter}\r\n")),
        }
    });
    let mut load = ping(server, Pace::AnswerDriven, 1000);
    load.work = Work::Counters { prefix: "v".to_owned(), reads: 0 };
    load.clients = 1;
    let measured = measure(load);
    let counters = &measured.totals.finishes[0].counters;
    let sum = |of: fn(&Counter) -> u64| counters.iter().map(of).sum::<u64>();
    assert_eq!(counters.len(), 1);
    assert_eq!(sum(|counter| counter.faults.doubled), 1);
    assert_eq!(sum(|counter| counter.faults.lost), 3);
    assert_eq!((sum(|counter| counter.faults.stale), measured.totals.ok), (0, 999));
    // The one that was doubled is known to be more than was acknowledged, too.
    assert_eq!(sum(|counter| counter.unknown), 2);
}

#[test]
fn a_run_ends_in_time_although_nobody_answers() {
    let (_never, silence) = mpsc::channel::<()>();
    let silence = Mutex::new(silence);
    let server = serve(PING.len(), move |_, _| {
        let _disconnected = silence.lock().unwrap().recv();
        Answer::Close
    });
    let pace = Pace::Rate { per_second: 1000.0, arrival: Arrival::Poisson };
    let mut load = ping(server, pace, u64::MAX);
    load.requests = None;
    load.duration = Some(Duration::from_millis(200));
    let measured = measure(load);
    let finish = &measured.totals.finishes[0];
    assert_eq!((measured.totals.ok, finish.unanswered), (0, CLIENTS as u64));
    assert_eq!(finish.due, finish.unanswered + finish.unsent);
    assert!((100..400).contains(&finish.due), "{} were due in 200 ms", finish.due);
    assert!(finish.unsent_ns > 0);
}
