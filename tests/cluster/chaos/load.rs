//! Clients that keep account of what they were told, and the check of the account against what the
//! nodes hold in the end.
//!
//! A command whose connection died with its node has an unknown outcome: it was executed once or
//! not at all, and perhaps not yet. Nothing else may go unanswered, and no command may be answered
//! by an error, as long as the node it was sent to lives.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use crate::client::{Client, Value, encode};
use crate::wait;

/// A node as its clients know it.
pub struct Host {
    pub port: u16,
    /// Even while the node serves and will go on doing so; odd from just before it is killed until
    /// its successor serves.
    life: AtomicU64,
    /// Whether the node stands still, or did so a short while ago. It lives, but what it had under
    /// way may be done without it and come back to it in a snapshot, which does not tell replies.
    is_strained: AtomicBool,
    /// Pipelines that its clients have had whole answers to.
    answered: AtomicU64,
}

fn is_disturbed(life: u64) -> bool {
    life % 2 == 1
}

impl Host {
    pub fn new(port: u16) -> Self {
        Self {
            port,
            life: AtomicU64::new(0),
            is_strained: AtomicBool::new(false),
            answered: AtomicU64::new(0),
        }
    }

    /// From here on its clients put up with anything.
    pub fn disturb(&self) {
        self.life.fetch_or(1, Ordering::SeqCst);
    }

    /// From here on its clients put up with not being told what became of a command.
    pub fn strain(&self) {
        self.is_strained.store(true, Ordering::SeqCst);
    }

    fn is_strained(&self) -> bool {
        self.is_strained.load(Ordering::SeqCst)
    }

    /// From here on its clients put up with nothing.
    pub fn settle(&self) {
        self.is_strained.store(false, Ordering::SeqCst);
        if is_disturbed(self.life()) {
            self.life.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn life(&self) -> u64 {
        self.life.load(Ordering::SeqCst)
    }
}

/// How hard a client works: it sends a pipeline of `width` commands, and rests after the replies.
#[derive(Clone, Copy)]
pub struct Pace {
    pub width: usize,
    pub rest: Duration,
}

/// What all clients of a run share.
pub struct Load {
    /// The name of the shared counter, and what the names of all other keys begin with.
    name: String,
    pub hosts: Vec<Host>,
    stop: AtomicBool,
    /// The largest value of the shared counter that some client has been told of.
    told: AtomicI64,
    failures: Mutex<Vec<String>>,
}

impl Load {
    pub fn new(name: &str, ports: impl IntoIterator<Item = u16>) -> Self {
        Self {
            name: name.to_owned(),
            hosts: ports.into_iter().map(Host::new).collect(),
            stop: AtomicBool::new(false),
            told: AtomicI64::new(0),
            failures: Mutex::default(),
        }
    }

    /// Fails the test if a client has seen what it must not see.
    pub fn check(&self) {
        let failures = self.failures.lock().unwrap().clone();
        assert!(failures.is_empty(), "clients failed:\n{}", failures.join("\n"));
    }

    /// Waits until each of `hosts` has answered so many more pipelines.
    pub fn wait_for_answers(&self, hosts: &[usize], more: u64) {
        let answered = |host: &usize| self.hosts[*host].answered.load(Ordering::SeqCst);
        let before: Vec<u64> = hosts.iter().map(answered).collect();
        wait::until_true("clients go on", wait::LONG, || {
            self.check();
            hosts.iter().zip(&before).all(|(host, before)| answered(host) >= before + more)
        });
    }

    /// Checks what the node at `port` holds against all accounts.
    pub fn verify(&self, accounts: &[Account], port: u16) {
        let mut client = Client::connect(port);
        let mut get = |keys: &[&String]| {
            let commands: Vec<String> = keys.iter().map(|key| format!("GET {key}")).collect();
            client.pipeline(&commands).unwrap()
        };
        for account in accounts {
            if let Some((name, last, open)) = &account.counter {
                let value: i64 = get(&[name])[0].text().parse().unwrap();
                let fits = (*last..=*last + *open).contains(&value);
                assert!(fits, "{name} is {value} at {port}: counted {last}, of {open} unknown");
            }
            let keys: Vec<&String> = account.set.keys().collect();
            for keys in keys.chunks(500) {
                for (key, value) in keys.iter().zip(get(keys)) {
                    let wanted = Value::bulk(&account.set[*key]);
                    let other = account.unknown.get(*key).map(|other| Value::bulk(other));
                    let fits = value == wanted || other.is_some_and(|other| other == value);
                    assert!(fits, "{key} is {value:?} at {port}");
                }
            }
        }
        verify_shared(accounts, &get(&[&self.name])[0], port);
    }

    /// Ends the clients when it is dropped, by a failed test too.
    pub fn stop_guard(&self) -> StopGuard<'_> {
        StopGuard(&self.stop)
    }

    /// Starts one client of each kind at each host.
    pub fn start_all<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
    ) -> Vec<ScopedJoinHandle<'scope, Account>> {
        let hosts = 0..self.hosts.len();
        let kinds = [Kind::Counter, Kind::Setter, Kind::Ballast, Kind::Reader];
        hosts
            .flat_map(|host| kinds.map(|kind| self.start(scope, host, kind, kind.pace())))
            .collect()
    }

    pub fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        host: usize,
        kind: Kind,
        pace: Pace,
    ) -> ScopedJoinHandle<'scope, Account> {
        scope.spawn(move || {
            let mut worker = Worker {
                load: self,
                host,
                name: format!("{}:{kind:?}{host}", self.name).to_lowercase(),
                link: None,
                account: Account::default(),
            };
            if let Err(failure) = worker.run(kind, pace) {
                self.failures.lock().unwrap().push(format!("{}: {failure}", worker.name));
            }
            worker.account
        })
    }
}

pub struct StopGuard<'a>(&'a AtomicBool);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Counts in a counter of its own and in one that all share.
    Counter,
    /// Sets keys that nobody else sets, each once, and reads them again later.
    Setter,
    /// Sets a few large values again and again, so that the log is compacted all the time.
    Ballast,
    /// Reads the counter that all share, and writes nothing.
    Reader,
}

impl Kind {
    /// A few hundred operations a second for each node, and some hundred kilobytes.
    fn pace(self) -> Pace {
        let (width, rest) = match self {
            Kind::Counter => (1, 10),
            Kind::Setter => (4, 25),
            Kind::Ballast => (2, 80),
            Kind::Reader => (2, 20),
        };
        Pace { width, rest: Duration::from_millis(rest) }
    }
}

/// What a client was told, or not.
#[derive(Default)]
pub struct Account {
    /// Of its own counter: its name, the last value told, and how many more increments there may
    /// have been or may be yet.
    counter: Option<(String, i64, i64)>,
    /// Every value that the shared counter answered, and how many increments had no answer.
    shared: Vec<i64>,
    shared_unknown: i64,
    /// What each key must hold.
    set: HashMap<String, String>,
    /// What each key may hold instead, or nothing if it was not set before.
    unknown: HashMap<String, String>,
}

enum Answer {
    Reply(Value),
    /// Executed once, or not at all.
    Unknown,
    /// Not executed.
    Refused,
}

/// A connection, and the life of the node it leads to.
struct Link {
    client: Client,
    life: u64,
}

struct Worker<'a> {
    load: &'a Load,
    host: usize,
    name: String,
    link: Option<Link>,
    account: Account,
}

impl Worker<'_> {
    fn run(&mut self, kind: Kind, pace: Pace) -> Result<(), String> {
        let mut round = 0;
        while !self.load.stop.load(Ordering::SeqCst) {
            let commands = match kind {
                Kind::Counter => self.count_commands(pace.width),
                Kind::Setter => self.set_commands(round, pace.width),
                Kind::Ballast => self.ballast_commands(round, pace.width),
                Kind::Reader => {
                    vec![["GET".to_owned(), self.load.name.clone()].to_vec(); pace.width]
                }
            };
            let told = self.load.told.load(Ordering::SeqCst);
            if let Some(answers) = self.ask(&commands)? {
                for (command, answer) in commands.iter().zip(answers) {
                    self.note(command, answer, told)?;
                }
            }
            round += 1;
            wait::rest(pace.rest);
        }
        Ok(())
    }

    fn count_commands(&mut self, width: usize) -> Vec<Vec<String>> {
        let own = ["INCR".to_owned(), self.name.clone()].to_vec();
        let mut commands = vec![own; width];
        commands.push(["INCR".to_owned(), self.load.name.clone()].to_vec());
        self.account.counter.get_or_insert((self.name.clone(), 0, 0));
        commands
    }

    fn set_commands(&mut self, round: usize, width: usize) -> Vec<Vec<String>> {
        let set = |number: usize| {
            let key = format!("{}:{number}", self.name);
            let value = format!("{key:=<100}");
            ["SET".to_owned(), key, value].to_vec()
        };
        let mut commands: Vec<_> = (round * width..(round + 1) * width).map(set).collect();
        // One that goes away by itself, which is a matter of the log too.
        let brief = format!("brief:{}:{round}", self.name);
        commands.push(["SET", &brief, "v", "PX", "700"].map(str::to_owned).to_vec());
        // One from some time ago.
        let former = format!("{}:{}", self.name, round * width / 2);
        if self.account.set.contains_key(&former) {
            commands.push(["GET".to_owned(), former].to_vec());
        }
        commands
    }

    /// Writes over the values of before, until one of them is uncertain: then it takes other keys,
    /// since a command of unknown outcome may come true after later ones.
    fn ballast_commands(&mut self, round: usize, width: usize) -> Vec<Vec<String>> {
        let generation = self.account.unknown.len();
        let set = |number: usize| {
            let key = format!("{}:{generation}:{}", self.name, number % 8);
            let value = format!("{:=<10000}", format!("{key} {number}"));
            ["SET".to_owned(), key, value].to_vec()
        };
        (round * width..(round + 1) * width).map(set).collect()
    }

    /// Sends commands and gives an answer for each; `None` when no node could be asked.
    fn ask(&mut self, commands: &[Vec<String>]) -> Result<Option<Vec<Answer>>, String> {
        let host = &self.load.hosts[self.host];
        let life = host.life();
        let was_disturbed = || is_disturbed(life) || host.life() != life;
        let began_strained = host.is_strained();
        let was_strained = || began_strained || host.is_strained();
        if self.link.as_ref().is_none_or(|link| link.life != life) {
            self.link = match Client::try_connect(host.port) {
                Ok(client) => Some(Link { client, life }),
                Err(_) if was_disturbed() => None,
                Err(error) => return Err(format!("a live node is not to be reached: {error}")),
            };
        }
        let Some(Link { client, .. }) = &mut self.link else {
            wait::rest(RETRY);
            return Ok(None);
        };
        let mut bytes = Vec::new();
        for command in commands {
            let words: Vec<&[u8]> = command.iter().map(String::as_bytes).collect();
            bytes.extend(encode(&words));
        }
        let mut broken = client.send(&bytes).err();
        let mut answers = Vec::with_capacity(commands.len());
        let mut refused = false;
        for command in commands {
            let answer = match broken {
                Some(_) => Answer::Unknown,
                None => match client.receive() {
                    Ok(Value::Error(text)) if was_disturbed() => {
                        refused = true;
                        error_of_the_disturbed(&text)
                    }
                    Ok(Value::Error(text))
                        if was_strained() && text.starts_with(UNKNOWN_OUTCOME) =>
                    {
                        Answer::Unknown
                    }
                    Ok(Value::Error(text)) => {
                        return Err(format!(
                            "{:?} got an error of a live node: {text}",
                            command[..2].join(" ")
                        ));
                    }
                    Ok(value) => Answer::Reply(value),
                    Err(error) => {
                        broken = Some(error);
                        Answer::Unknown
                    }
                },
            };
            answers.push(answer);
        }
        if broken.is_none() && !refused {
            host.answered.fetch_add(1, Ordering::SeqCst);
        }
        if let Some(error) = broken {
            if !was_disturbed() {
                return Err(format!("a live node lost a connection: {error}"));
            }
            self.link = None;
        }
        if refused {
            wait::rest(RETRY);
        }
        Ok(Some(answers))
    }

    fn note(&mut self, command: &[String], answer: Answer, told: i64) -> Result<(), String> {
        let [name, key, rest @ ..] = command else { unreachable!("a command has a key") };
        match (name.as_str(), answer) {
            (_, Answer::Refused) => {}
            ("INCR", answer) if *key == self.load.name => match answer {
                Answer::Reply(Value::Integer(value)) if value > told => {
                    self.account.shared.push(value);
                    self.load.told.fetch_max(value, Ordering::SeqCst);
                }
                Answer::Unknown => self.account.shared_unknown += 1,
                Answer::Reply(value) => {
                    return Err(format!("INCR {key} answered {value:?} after {told} was known"));
                }
                Answer::Refused => {}
            },
            ("INCR", answer) => {
                let (_, last, open) = self.account.counter.as_mut().expect("it counts");
                match answer {
                    Answer::Reply(Value::Integer(value))
                        if (*last + 1..=*last + 1 + *open).contains(&value) =>
                    {
                        *open -= value - *last - 1;
                        *last = value;
                    }
                    Answer::Reply(value) => {
                        return Err(format!(
                            "INCR {key} answered {value:?} after {last} and {open} unknown"
                        ));
                    }
                    _ => *open += 1,
                }
            }
            ("SET", Answer::Reply(Value::Simple(ok))) if ok == "OK" => {
                if rest.len() == 1 {
                    self.account.set.insert(key.clone(), rest[0].clone());
                }
            }
            ("SET", Answer::Unknown) => {
                if rest.len() == 1 {
                    self.account.unknown.insert(key.clone(), rest[0].clone());
                }
            }
            ("GET", Answer::Unknown) => {}
            ("GET", Answer::Reply(value)) if *key == self.load.name => {
                let read = if value == Value::Null { Ok(0) } else { value.text().parse() };
                if !read.as_ref().is_ok_and(|read| *read >= told) {
                    return Err(format!("GET {key} answered {value:?} after {told} was known"));
                }
                self.load.told.fetch_max(read.unwrap_or(told), Ordering::SeqCst);
            }
            ("GET", Answer::Reply(value)) => {
                if value != Value::bulk(&self.account.set[key]) {
                    return Err(format!("{key} was set and is {value:?}"));
                }
            }
            (_, Answer::Reply(value)) => return Err(format!("{name} {key} answered {value:?}")),
            _ => unreachable!("no other command is sent"),
        }
        Ok(())
    }
}

/// Before a node that does not serve is asked again.
const RETRY: Duration = Duration::from_millis(20);

/// What a node says that cannot tell whether a command was, or will be, executed, and to reads that
/// shared a pass with such a command.
const UNKNOWN_OUTCOME: &str = "TIMEOUT ";

/// What an error means that a stopping or a starting node gives.
fn error_of_the_disturbed(text: &str) -> Answer {
    match text.split(' ').next() {
        Some("NOCLUSTER" | "LOADING") => Answer::Refused,
        _ => Answer::Unknown,
    }
}

fn verify_shared(accounts: &[Account], value: &Value, port: u16) {
    let told: Vec<i64> = accounts.iter().flat_map(|account| account.shared.clone()).collect();
    let distinct: HashSet<i64> = told.iter().copied().collect();
    assert_eq!(distinct.len(), told.len(), "an INCR was answered with another's value");
    let unknown: i64 = accounts.iter().map(|account| account.shared_unknown).sum();
    let least = told.len() as i64;
    let value: i64 = value.text().parse().unwrap();
    let fits = (least..=least + unknown).contains(&value);
    assert!(fits, "the counter is {value} at {port}: {least} answered, {unknown} unknown");
}

/// How many keys were set for good, for the account of the test itself.
pub fn keys(accounts: &[Account]) -> usize {
    accounts.iter().map(|account| account.set.len()).sum()
}

/// How many commands were answered by a counter.
pub fn counted(accounts: &[Account]) -> usize {
    accounts.iter().map(|account| account.shared.len()).sum()
}
