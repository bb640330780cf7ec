//! Operations of several commands, redirections and histories, against servers of the test's own.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mayfly_loadgen::history;
use mayfly_loadgen::keys::Distribution;
use mayfly_loadgen::load::{
    Connections, Greeting, Keys, Load, Next, Operation, Pace, Redirects, Work, Workload,
};
use mayfly_loadgen::run::{self, Measured};
use mayfly_loadgen::schedule::Arrival;
use mayfly_loadgen::subscribers::{Subscribers, Subscription};
use mayfly_loadgen::template::{Placeholders, Template};

use crate::server::{Answer, serve};

const KEYS: u64 = 10;

/// Two commands of the same length: the server of the tests takes requests of one length.
const READ: &str = "GET1 key:__rand_int__";
const WRITE: &str = "SET2 key:__rand_int__";

fn template(line: &str) -> Template {
    let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    Template::new(&words, Placeholders::Patched).with_one_key()
}

fn request_len() -> usize {
    template(READ).request().len()
}

fn load(servers: Vec<SocketAddr>, work: Work, requests: u64) -> Load {
    Load {
        servers,
        clients: 3,
        threads: 1,
        pipeline: 1,
        connections: Connections::Kept,
        greeting: Greeting::default(),
        work,
        keys: Keys { distribution: Distribution::Uniform, count: KEYS },
        pace: Pace::AnswerDriven,
        requests: Some(requests),
        duration: None,
        warmup: Duration::ZERO,
        redirects: Redirects::Counted,
        payload: String::new(),
        bucket: Duration::from_millis(10),
        seed: 1,
    }
}

/// Waits for a message that never comes.
fn wait(time: Duration) {
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    let _timed_out = receiver.recv_timeout(time);
}

fn read_and_write(next: Next) -> Work {
    let variants = vec![vec![template(READ), template(WRITE)]];
    Work::Mix(Workload::new(vec![Operation { weight: 1, variants, next }]))
}

fn measure(load: Load) -> Measured {
    run::run(&Arc::new(load), Vec::new(), |_| ()).unwrap()
}

fn errors(measured: &Measured) -> HashMap<String, u64> {
    measured.totals.errors.iter().map(|(code, count)| (code.to_owned(), count)).collect()
}

/// What an operation of two commands does where every other first one finds nothing, and one of
/// ten fails: successes, replies that were nil, and second commands.
fn two_commands(next: Next, pipeline: usize) -> (u64, u64, u64) {
    let firsts = AtomicU64::new(0);
    let (seconds, last) = (Arc::new(AtomicU64::new(0)), Mutex::new(HashMap::new()));
    let counted = Arc::clone(&seconds);
    let server = serve(request_len(), move |_, request| {
        let key = request[request.len() - 14..].to_vec();
        if request.starts_with(b"*2\r\n$4\r\nSET2") {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut last = last.lock().unwrap();
            let open = last.get_mut(&key).unwrap();
            *open -= 1;
            assert!(*open >= 0, "a second command named a key that no first one did");
            return Answer::Reply(b"+OK\r\n");
        }
        *last.lock().unwrap().entry(key).or_insert(0i64) += 1;
        match firsts.fetch_add(1, Ordering::SeqCst) % 10 {
            9 => Answer::Reply(b"-ERR no\r\n"),
            number if number % 2 == 0 => Answer::Reply(b"$-1\r\n"),
            _ => Answer::Reply(b"$1\r\nx\r\n"),
        }
    });
    let mut load = load(vec![server], read_and_write(next), 1000);
    load.pipeline = pipeline;
    let measured = measure(load);
    let totals = &measured.totals;
    assert_eq!(errors(&measured), HashMap::from([("ERR".to_owned(), 100)]));
    assert_eq!(totals.latencies.response.len(), totals.ok);
    (totals.ok, totals.nil, seconds.load(Ordering::SeqCst))
}

#[test]
fn an_operation_counts_once_and_goes_on_as_it_was_told() {
    for pipeline in [1, 7] {
        assert_eq!(two_commands(Next::Always, pipeline), (900, 500, 900));
        assert_eq!(two_commands(Next::Hit, pipeline), (900, 500, 400));
        assert_eq!(two_commands(Next::Miss, pipeline), (900, 500, 500));
    }
}

#[test]
fn the_latency_of_an_operation_is_that_of_all_its_commands() {
    const DELAY: Duration = Duration::from_millis(20);
    let server = serve(request_len(), |_, _| {
        wait(DELAY);
        Answer::Reply(b"+OK\r\n")
    });
    let pace = Pace::Rate { per_second: 100.0, arrival: Arrival::Constant };
    let mut load = load(vec![server], read_and_write(Next::Always), 10);
    load.pace = pace;
    let totals = measure(load).totals;
    assert_eq!(totals.ok, 10);
    let least = totals.latencies.service.unwrap().min();
    assert!(least >= 2 * DELAY.as_micros() as u64 - 100, "{least} us");
}

/// A server that answers, and one that names it.
fn redirecting() -> (SocketAddr, SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let there = serve(request_len(), {
        let seen = Arc::clone(&seen);
        move |_, request| {
            seen.lock().unwrap().push(request.to_vec());
            Answer::Reply(b"+OK\r\n")
        }
    });
    let here = serve(request_len(), move |_, _| Answer::Text(format!("-MOVED 7 {there}\r\n")));
    (here, there, seen)
}

#[test]
fn redirections_are_followed_when_they_are_to_be() {
    for pipeline in [1, 4] {
        let (here, _, seen) = redirecting();
        let mut load = load(vec![here], read_and_write(Next::Always), 120);
        (load.redirects, load.pipeline) = (Redirects::Followed, pipeline);
        let measured = measure(load);
        assert_eq!(errors(&measured), HashMap::new());
        assert_eq!((measured.totals.ok, measured.totals.nil), (120, 0));
        assert_eq!(measured.totals.latencies.response.len(), 120);
        assert_eq!(seen.lock().unwrap().len(), 240);
    }
}

#[test]
fn a_redirection_is_an_error_when_it_is_not_to_be_followed() {
    let (here, _, seen) = redirecting();
    let measured = measure(load(vec![here], read_and_write(Next::Always), 50));
    assert_eq!(errors(&measured), HashMap::from([("MOVED".to_owned(), 50)]));
    assert_eq!((measured.totals.ok, seen.lock().unwrap().len()), (0, 0));
}

#[test]
fn servers_that_name_each_other_are_given_up() {
    let other = Arc::new(Mutex::new(None::<SocketAddr>));
    let first = serve(request_len(), {
        let other = Arc::clone(&other);
        move |_, _| Answer::Text(format!("-MOVED 7 {}\r\n", other.lock().unwrap().unwrap()))
    });
    let second = serve(request_len(), move |_, _| Answer::Text(format!("-MOVED 7 {first}\r\n")));
    *other.lock().unwrap() = Some(second);
    let mut load = load(vec![first], read_and_write(Next::Always), 20);
    load.redirects = Redirects::Followed;
    let measured = measure(load);
    assert_eq!(errors(&measured), HashMap::from([("MOVED".to_owned(), 20)]));
}

#[test]
fn an_open_loop_follows_from_when_a_request_was_due() {
    let (here, _, _) = redirecting();
    let mut load = load(vec![here], read_and_write(Next::Always), 200);
    load.redirects = Redirects::Followed;
    load.pace = Pace::Rate { per_second: 2000.0, arrival: Arrival::Poisson };
    let measured = measure(load);
    assert_eq!((measured.totals.ok, errors(&measured).len()), (200, 0));
}

/// The fields of one line of EDN: a reader of its own, which knows of maps, vectors, keywords,
/// integers and nil.
fn read_edn(line: &str) -> HashMap<String, Vec<String>> {
    let inside = line.strip_prefix('{').and_then(|line| line.strip_suffix('}')).unwrap();
    let spaced = inside.replace('[', " [ ").replace(']', " ] ").replace(',', " ");
    let mut words = spaced.split_whitespace();
    let mut fields = HashMap::new();
    while let Some(name) = words.next() {
        let name = name.strip_prefix(':').unwrap().to_owned();
        let value = match words.next().unwrap() {
            "[" => words.by_ref().take_while(|word| *word != "]").map(str::to_owned).collect(),
            word => vec![word.to_owned()],
        };
        assert!(fields.insert(name, value).is_none(), "{line}");
    }
    fields
}

/// Serves GET and SET of registers by lines; the fate of one write in ten is not told.
fn registers() -> SocketAddr {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let values = Arc::new(Mutex::new(HashMap::<String, String>::new()));
    let writes = Arc::new(AtomicU64::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (values, writes) = (Arc::clone(&values), Arc::clone(&writes));
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let mut stream = stream;
                while let Some(Ok(head)) = lines.next() {
                    let count: usize = head[1..].parse().unwrap();
                    let words: Vec<String> =
                        (0..count).filter_map(|_| lines.nth(1).and_then(Result::ok)).collect();
                    let mut values = values.lock().unwrap();
                    let reply = match &words[..] {
                        [_, key] => values
                            .get(key)
                            .map_or("$-1\r\n".into(), |v| format!("${}\r\n{v}\r\n", v.len())),
                        [_, key, value] => {
                            values.insert(key.clone(), value.clone());
                            match writes.fetch_add(1, Ordering::SeqCst) % 10 {
                                9 => return,
                                4 => "-TIMEOUT no quorum\r\n".to_owned(),
                                _ => "+OK\r\n".to_owned(),
                            }
                        }
                        _ => return,
                    };
                    drop(values);
                    if stream.write_all(reply.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_history_is_whole_and_in_order() {
    let work = Work::Registers { prefix: "r".to_owned() };
    let mut load = load(vec![registers()], work, 500);
    (load.threads, load.clients) = (2, 5);
    let measured = measure(load);
    let finishes = &measured.totals.finishes;
    let entries = finishes.iter().flat_map(|finish| finish.history.clone()).collect();
    let mut out = Vec::new();
    history::write(&mut out, entries).unwrap();
    let text = String::from_utf8(out).unwrap();
    let mut open = HashMap::new();
    let (mut ended, mut written, mut told) = (HashSet::new(), HashSet::new(), HashMap::new());
    let mut time = 0;
    for (index, line) in text.lines().enumerate() {
        let fields = read_edn(line);
        assert_eq!(fields["index"], [index.to_string()]);
        let now: u64 = fields["time"][0].parse().unwrap();
        assert!(now >= time, "{line}");
        time = now;
        let process = fields["process"][0].clone();
        let [kind, function] = ["type", "f"].map(|name| fields[name][0].clone());
        let (key, value) = (fields["value"][0].clone(), fields["value"][1].clone());
        *told.entry((kind.clone(), function.clone())).or_insert(0) += 1;
        if kind == ":invoke" {
            assert!(!ended.contains(&process), "a process goes on after its :info");
            if function == ":write" {
                assert!(written.insert(value.clone()), "a value is written twice");
            }
            assert!(open.insert(process, (function, key, value)).is_none(), "{line}");
            continue;
        }
        let begun = open.remove(&process).unwrap();
        assert_eq!((&begun.0, &begun.1), (&function, &key), "{line}");
        if function == ":write" {
            assert_eq!(begun.2, value, "{line}");
        } else if kind == ":ok" && value != "nil" {
            assert!(written.contains(&value), "{line} reads what nobody wrote");
        }
        if kind == ":info" {
            ended.insert(process);
        }
    }
    assert!(open.is_empty());
    let count = |kind: &str, function: &str| {
        told.get(&(kind.to_owned(), function.to_owned())).copied().unwrap_or(0)
    };
    assert_eq!(count(":invoke", ":write") + count(":invoke", ":read"), 500);
    assert!(count(":info", ":write") >= 20 && count(":info", ":read") == 0, "{told:?}");
    assert!(count(":ok", ":write") > 100 && count(":ok", ":read") > 100, "{told:?}");
}

/// A redis-server of the test's own.
struct Redis {
    process: std::process::Child,
    address: SocketAddr,
}

impl Redis {
    /// `None` where this machine has none.
    fn start() -> Option<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let options = format!("--port {} --bind 127.0.0.1 --appendonly no --save", address.port());
        let started = Command::new("redis-server")
            .args(options.split(' ').chain([""]))
            .stdout(Stdio::null())
            .spawn();
        let Ok(process) = started else {
            eprintln!("there is no redis-server here");
            return None;
        };
        let mut redis = Self { process, address };
        while std::net::TcpStream::connect(address).is_err() {
            assert!(redis.process.try_wait().unwrap().is_none(), "redis-server has ended");
            wait(Duration::from_millis(5));
        }
        Some(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

#[test]
fn subscribers_hear_every_message_of_a_redis_server() {
    let Some(redis) = Redis::start() else { return };
    let server = redis.address;
    let subscription = Subscription { count: 3, channel: "c".to_owned() };
    let start =
        || Subscribers::start(&subscription, &[server], &Greeting::default(), Duration::ZERO);
    let heard = start().unwrap();
    let workload = Workload::of_one(template("PUBLISH c __sent_time_"));
    let measured = measure(load(vec![server], Work::Mix(workload), 500));
    let found = heard.finish();
    assert_eq!((measured.totals.ok, found.received, found.lost), (500, 1500, 0));
    drop(redis);
    assert!(start().is_err(), "the server is gone");
    let refusing = serve(26, |_, _| Answer::Reply(b"-ERR unknown command\r\n"));
    let refused =
        Subscribers::start(&subscription, &[refusing], &Greeting::default(), Duration::ZERO);
    let refused = refused.err().unwrap().to_string();
    assert!(refused.ends_with("ERR unknown command"), "{refused}");
}

#[test]
fn a_redis_server_takes_every_preset_without_an_error() {
    let Some(redis) = Redis::start() else { return };
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (json, edn) = (folder.join("presets.json"), folder.join("history.edn"));
    let run = |line: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_mayfly-loadgen"))
            .args(["-p", &redis.address.port().to_string(), "-c", "5", "-q", "--json"])
            .arg(&json)
            .args(line.split(' '))
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        let text = std::fs::read_to_string(&json).unwrap();
        let results: serde_json::Value = serde_json::from_str(&text).unwrap();
        results["tests"][0].clone()
    };
    let filled = "ycsb-a ycsb-b ycsb-c ycsb-d ycsb-e ycsb-f session-store rate-limit queue";
    for preset in filled.split(' ') {
        let test = run(&format!("--preset {preset} -r 100 --fill -n 300"));
        assert_eq!(test["errors"], serde_json::json!({}), "{preset}");
        assert_eq!((&test["ok"], &test["title"]), (&300.into(), &preset.into()));
    }
    for preset in ["lock", "pubsub"] {
        let test = run(&format!("--preset {preset} -n 300"));
        assert_eq!((&test["ok"], &test["errors"]), (&300.into(), &serde_json::json!({})));
    }
    assert_eq!(run("--preset pubsub -n 50")["deliveries"]["received"], 500);
    let missed = run("-r 100 --fill --hit-rate 0.5 -n 2000")["nil"].as_u64().unwrap();
    assert!((800..1200).contains(&missed), "{missed}");
    let history = format!("-n 200 --history {}", edn.display());
    assert_eq!(run(&history)["ok"], 200);
    assert_eq!(std::fs::read_to_string(&edn).unwrap().lines().count(), 400);
}
