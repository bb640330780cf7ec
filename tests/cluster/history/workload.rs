//! Clients that do this and that to a window of keys and record it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::edn::Model;
use super::record::{History, Names, Op, Operation, Outcome, Reply, perform};
use crate::chaos::random::Random;
use crate::client::Client;
use crate::wait;

/// How long a client waits for an answer: shorter than most faults last, so that some of what is
/// asked then has an unknown outcome.
pub const ANSWER_TIME: Duration = Duration::from_millis(500);

/// Operations on one key within a window: the search for an order takes their number squared.
pub const OPERATIONS_MAX: usize = 300;

/// Writes of unknown outcome on one key within a window: each may have been executed at any time
/// since, which multiplies the orders that there are.
const UNKNOWN_MAX: usize = 6;

/// Before a node that does not serve is asked again.
const RETRY: Duration = Duration::from_millis(30);

/// A key, and what was done to it so far.
pub struct Key {
    pub name: String,
    model: Model,
    operations: AtomicUsize,
    unknown: AtomicUsize,
}

impl Key {
    fn read(&self) -> Op {
        if self.model == Model::List { Op::Range } else { Op::Get }
    }
}

/// Keys that nobody has used before, and the clients that use them.
pub struct Window<'a> {
    name: String,
    pub keys: Vec<Key>,
    pub ports: Vec<u16>,
    pub names: &'a Names,
    /// Whether the nodes know MULTI.
    pub transactions: bool,
    pub stop: AtomicBool,
    /// By node: its clients write nothing for the moment. Reads behind a write that cannot be
    /// committed wait for it, so a node that has no writes to wait for shows other mistakes.
    quiet: Vec<AtomicBool>,
    complaints: Mutex<Vec<String>>,
    journal: Mutex<History>,
    is_finished: AtomicBool,
}

impl<'a> Window<'a> {
    /// `each` keys of each model. Windows of the same cluster have different numbers.
    pub fn new(run: &str, number: usize, each: usize, ports: Vec<u16>, names: &'a Names) -> Self {
        let keys = Model::ALL.into_iter().flat_map(|model| {
            let name = model.name().trim_end_matches('s');
            (0..each).map(move |key| Key {
                name: format!("{name}:{number}:{key}"),
                model,
                operations: AtomicUsize::new(0),
                unknown: AtomicUsize::new(0),
            })
        });
        let transactions = knows_transactions(ports[0]);
        let stop = AtomicBool::new(false);
        let quiet = ports.iter().map(|_| AtomicBool::new(false)).collect();
        Self {
            name: format!("{run}-{number}"),
            keys: keys.collect(),
            ports,
            names,
            transactions,
            stop,
            quiet,
            complaints: Mutex::default(),
            journal: Mutex::default(),
            is_finished: AtomicBool::new(false),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads every key at every node, when there are no other clients any more. All that was
    /// recorded, in the order of invocation.
    pub fn finish(&self, client: u32) -> History {
        let last = self.read_all(client);
        let mut history = self.journal.lock().unwrap().clone();
        history.extend(last);
        history.sort_by_key(|operation| (operation.invoked_ns, operation.process));
        self.is_finished.store(true, Ordering::SeqCst);
        history
    }

    /// From here on the clients of `node` only read, or write as well again.
    pub fn set_quiet(&self, node: usize, quiet: bool) {
        self.quiet[node].store(quiet, Ordering::SeqCst);
    }

    /// Fails the test if a client was told what no node may say.
    pub fn check(&self) {
        let complaints = self.complaints.lock().unwrap();
        assert!(complaints.is_empty(), "clients complain:\n{}", complaints.join("\n"));
    }

    /// Runs a client of the node at `node` until the window is closed.
    pub fn run_client(&self, client: u32, node: usize, random: Random) {
        let process = self.names.process();
        let mut worker = Worker {
            window: self,
            client,
            node,
            process,
            link: None,
            random,
            seen: HashMap::new(),
        };
        while !self.stop.load(Ordering::SeqCst) {
            if let Err(complaint) = worker.step() {
                self.complaints.lock().unwrap().push(complaint);
                break;
            }
        }
    }

    /// Reads every key once at every node, one after the other; there must be no other clients.
    pub fn read_all(&self, client: u32) -> History {
        let mut history = Vec::new();
        for (node, port) in self.ports.iter().enumerate() {
            let mut link = Client::connect(*port);
            let mut process = self.names.process();
            for key in &self.keys {
                let read = key.read();
                // A slow machine may choose another leader, and refuse or give up a read.
                wait::until_true("a read of everything", wait::LONG, || {
                    let who = (process, client, node as u32);
                    let operation = perform(&mut link, who, &key.name, read).unwrap();
                    if matches!(operation.outcome, Outcome::Unknown(_)) {
                        link = Client::connect(*port);
                        process = self.names.process();
                    }
                    history.push(operation);
                    matches!(history.last().unwrap().outcome, Outcome::Ok(_))
                });
            }
        }
        history
    }
}

impl Drop for Window<'_> {
    /// Of a test that fails before the verdict, what there is is kept.
    fn drop(&mut self) {
        if thread::panicking() && !self.is_finished.load(Ordering::SeqCst) {
            let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
            super::keep(&format!("{}-unfinished", self.name), &journal, true);
        }
    }
}

fn knows_transactions(port: u16) -> bool {
    let mut client = Client::connect(port);
    client.call("MULTI").text() == "OK"
}

struct Worker<'a> {
    window: &'a Window<'a>,
    client: u32,
    node: usize,
    process: u32,
    link: Option<Client>,
    random: Random,
    /// What each register held when it was last read here.
    seen: HashMap<String, i64>,
}

impl Worker<'_> {
    /// One operation, and a rest after it.
    fn step(&mut self) -> Result<(), String> {
        wait::rest(Duration::from_millis(self.random.below(24) as u64));
        let window = self.window;
        let key = &window.keys[self.random.below(window.keys.len())];
        let is_used_up = key.operations.load(Ordering::Relaxed) >= OPERATIONS_MAX
            || key.unknown.load(Ordering::Relaxed) >= UNKNOWN_MAX;
        if is_used_up || !self.connect() {
            wait::rest(RETRY);
            return Ok(());
        }
        let op = self.choose(key);
        let who = (self.process, self.client, self.node as u32);
        let link = self.link.as_mut().expect("it is connected");
        let operation = perform(link, who, &key.name, op)?;
        key.operations.fetch_add(1, Ordering::Relaxed);
        match &operation.outcome {
            Outcome::Ok(reply) => {
                if let (Op::Get, Reply::Number(value)) = (op, reply) {
                    self.seen.insert(key.name.clone(), *value);
                }
            }
            Outcome::Fail(_) => wait::rest(RETRY),
            Outcome::Unknown(_) => self.end_process(key, &operation),
        }
        window.journal.lock().unwrap().push(operation);
        Ok(())
    }

    /// Another process takes over, on a connection of its own.
    fn end_process(&mut self, key: &Key, operation: &Operation) {
        self.link = None;
        self.process = self.window.names.process();
        if !operation.op.is_read() {
            key.unknown.fetch_add(1, Ordering::Relaxed);
        }
        // Others may go on.
        wait::rest(RETRY * 4);
    }

    fn connect(&mut self) -> bool {
        if self.link.is_none() {
            let link = Client::try_connect(self.window.ports[self.node]).ok();
            self.link = link.filter(|link| link.set_patience(ANSWER_TIME).is_ok());
        }
        self.link.is_some()
    }

    fn choose(&mut self, key: &Key) -> Op {
        let only_reads = self.window.quiet[self.node].load(Ordering::SeqCst);
        if only_reads {
            return key.read();
        }
        let value = self.window.names.value();
        let percent = self.random.below(100);
        match key.model {
            Model::Counter if percent < 70 => Op::Increment,
            Model::Counter => Op::Get,
            Model::List => match percent {
                0..30 if self.window.transactions => Op::AppendAndRange(value),
                0..60 => Op::Append(value),
                _ => Op::Range,
            },
            Model::Register => {
                let seen = self.seen.get(&key.name).copied();
                match (percent, seen) {
                    (0..35, _) => Op::Get,
                    (35..60, _) => Op::Set(value),
                    (60..70, _) => Op::SetIfAbsent(value),
                    (70..78, _) => Op::Delete,
                    (78..94, Some(old)) => Op::SetIfEqual { old, new: value },
                    (94.., Some(old)) => Op::DeleteIfEqual(old),
                    (78.., None) => Op::Get,
                }
            }
        }
    }
}
