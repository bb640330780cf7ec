//! The two sides: connections to a redis-server and to a cluster, which get the same commands at
//! the same time.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;

use super::blocked::Waiting;
use super::compare::{Verdict, compare};
use super::generate::{CONNECTIONS, SUBSCRIBERS, Step, is_resp3};
use super::scripts;
use super::special;
use super::wait;
use super::wire::{Connection, Value, encode};

/// Commands that are sent before their replies are read.
const BATCH_MAX: usize = 200;

/// Longer than what "soon" means takes to end on both sides.
const REST: Duration = Duration::from_millis(15);

/// What sequences leave behind, and none begins with.
const FRESH: [&str; 6] = [
    "CONFIG SET notify-keyspace-events ",
    "FLUSHALL",
    "SCRIPT FLUSH",
    "FUNCTION FLUSH",
    "CONFIG SET maxmemory-policy noeviction",
    "ACL DELUSER user1 user2 user3",
];

#[derive(Clone, Debug)]
pub struct Ports {
    pub redis: u16,
    /// One for each node.
    pub mayfly: Vec<u16>,
}

/// Where the sides part.
#[derive(Clone)]
pub struct Difference {
    /// How many commands of the sequence had run.
    pub step: usize,
    pub command: Vec<Vec<u8>>,
    pub redis: String,
    pub mayfly: String,
}

impl Difference {
    pub fn new(command: &[Vec<u8>], redis: &Value, mayfly: &Value) -> Self {
        let command = command.to_vec();
        Self { step: 0, command, redis: format!("{redis:?}"), mayfly: format!("{mayfly:?}") }
    }

    pub fn told(what: &str, redis: String, mayfly: String) -> Self {
        Self { step: 0, command: vec![what.as_bytes().to_vec()], redis, mayfly }
    }

    /// What makes two of them the same find.
    pub fn kind(&self) -> String {
        let name = self.command.first().map_or(&[][..], Vec::as_slice);
        String::from_utf8_lossy(name).to_ascii_uppercase()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shorten = |text: &str| match text.char_indices().nth(1500) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        };
        writeln!(f, "  {}", line(&self.command))?;
        writeln!(f, "    redis  {}", shorten(&self.redis))?;
        write!(f, "    mayfly {}", shorten(&self.mayfly))
    }
}

/// The words as redis-cli takes them.
pub fn line(words: &[Vec<u8>]) -> String {
    let word = |word: &Vec<u8>| {
        let is_plain =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"-+.:_*|(@,#>=~$".contains(byte);
        if !word.is_empty() && word.iter().all(is_plain) {
            return String::from_utf8_lossy(word).into_owned();
        }
        let escaped = word.iter().map(|byte| match byte {
            b'"' => "\\\"".to_owned(),
            b'\\' => "\\\\".to_owned(),
            b' '..=b'~' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        });
        format!("\"{}\"", escaped.collect::<String>())
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[derive(Debug)]
pub enum Failure {
    /// They answer differently.
    Differs(Box<Difference>),
    /// A side does not answer.
    Broken(String),
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Difference> for Failure {
    fn from(difference: Difference) -> Self {
        Failure::Differs(Box::new(difference))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Broken(error.to_string())
    }
}

/// A connection to each side, and what the test must know of it.
pub struct Twin {
    pub redis: Connection,
    pub mayfly: Connection,
    pub in_transaction: bool,
    queued: VecDeque<Vec<Vec<u8>>>,
}

impl Twin {
    pub fn open(redis: u16, mayfly: u16, resp3: bool) -> io::Result<Self> {
        let mut twin = Self {
            redis: Connection::open(redis)?,
            mayfly: Connection::open(mayfly)?,
            in_transaction: false,
            queued: VecDeque::new(),
        };
        if resp3 {
            twin.call(&[&b"HELLO"[..], b"3"])?;
        }
        Ok(twin)
    }

    /// One command, the same for both sides: first the reply of redis-server.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> io::Result<(Value, Value)> {
        self.send(words)?;
        let named = |side: &'static str| {
            move |error: io::Error| io::Error::new(error.kind(), format!("{side}: {error}"))
        };
        let redis = self.redis.reply().map_err(named("redis"))?;
        Ok((redis, self.mayfly.reply().map_err(named("mayfly"))?))
    }

    pub fn send<W: AsRef<[u8]>>(&mut self, words: &[W]) -> io::Result<()> {
        let mut bytes = Vec::new();
        encode(words, &mut bytes);
        self.redis.send(&bytes)?;
        self.mayfly.send(&bytes)
    }

    fn end_transaction(&mut self) {
        self.in_transaction = false;
        self.queued.clear();
    }

    /// Compares replies, and keeps an eye on the transaction.
    pub fn check(
        &mut self,
        words: &[Vec<u8>],
        redis: &Value,
        mayfly: &Value,
    ) -> Result<u64, Failure> {
        let name = words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let mut explained = 0;
        let verdict = match (name.as_slice(), redis, mayfly) {
            (b"EXEC", Value::Many(b'*', left), Value::Many(b'*', right))
                if left.len() == self.queued.len() && left.len() == right.len() =>
            {
                for ((words, redis), mayfly) in self.queued.iter().zip(left).zip(right) {
                    match compare(words, redis, mayfly) {
                        _ if special::is_alike(words, redis, mayfly) => {}
                        Verdict::Same => {}
                        Verdict::Explained => explained += 1,
                        Verdict::Different => {
                            return Err(Difference::new(words, redis, mayfly).into());
                        }
                    }
                }
                Verdict::Same
            }
            _ => compare(words, redis, mayfly),
        };
        match name.as_slice() {
            b"MULTI" if redis.is("OK") => self.in_transaction = true,
            // A transaction ends with a wrong EXEC, too.
            b"EXEC" => self.end_transaction(),
            b"DISCARD" | b"RESET" if words.len() == 1 => self.end_transaction(),
            _ if redis.is("QUEUED") => self.queued.push_back(words.to_vec()),
            _ => {}
        }
        match verdict {
            Verdict::Same => Ok(explained),
            Verdict::Explained => Ok(explained + 1),
            Verdict::Different => Err(Difference::new(words, redis, mayfly).into()),
        }
    }
}

pub struct Pair {
    pub twins: Vec<Twin>,
    ports: Ports,
    /// Replies that differ by a row of the table.
    pub explained: u64,
    published: bool,
    /// Any command may have published an event.
    notifies: bool,
    /// A connection to each node.
    readers: Vec<Connection>,
    redis_reader: Connection,
    /// By connection, what it waits for.
    waiting: Vec<Option<Waiting>>,
    /// How many that waited were served.
    pub served: u64,
}

impl Pair {
    /// Fresh connections to empty servers.
    pub fn open(ports: &Ports) -> Result<Self, Failure> {
        let mut twins = Vec::new();
        for at in 0..CONNECTIONS {
            let node = ports.mayfly[at % ports.mayfly.len()];
            twins.push(Twin::open(ports.redis, node, is_resp3(at))?);
        }
        for line in FRESH {
            twins[0].call(&line.split(' ').collect::<Vec<_>>())?;
        }
        for script in scripts::all().filter(|script| script.kind == scripts::Kind::Reads) {
            twins[0].call(&["SCRIPT", "LOAD", script.text])?;
        }
        let readers = ports.mayfly.iter().map(|port| Connection::open(*port));
        Ok(Self {
            twins,
            ports: ports.clone(),
            explained: 0,
            published: false,
            notifies: false,
            readers: readers.collect::<io::Result<_>>()?,
            redis_reader: Connection::open(ports.redis)?,
            waiting: (0..CONNECTIONS).map(|_| None).collect(),
            served: 0,
        })
    }

    /// A connection to each side of its own; databases are compared through it.
    pub fn probe(&self) -> io::Result<Twin> {
        Twin::open(self.ports.redis, self.ports.mayfly[0], false)
    }

    /// Runs a sequence to its end, or to the first difference.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), Failure> {
        let mut at = 0;
        while at < steps.len() {
            let connection = steps[at].connection;
            let alone = |step: &Step| step.rests || step.blocks || special::is_special(&step.words);
            let together = |step: &&Step| step.connection == connection && !alone(step);
            let is_subscriber = SUBSCRIBERS.contains(&connection);
            let len = match alone(&steps[at]) || is_subscriber {
                true => 1,
                false => steps[at..].iter().take(BATCH_MAX).take_while(together).count(),
            };
            let batch = &steps[at..at + len];
            // An entry that is gone at once serves nobody since Redis 7.2, and with nothing in 7.0.
            let frees_all = batch.iter().any(|step| trims_as_it_adds(&step.words));
            let mut freed = (0..CONNECTIONS).filter(|each| frees_all || *each == connection);
            freed.try_for_each(|each| self.free(each)).map_err(|failure| within(failure, at))?;
            let result = if is_subscriber {
                self.subscriber(&steps[at])
            } else if steps[at].blocks {
                self.block(&steps[at])
            } else if alone(&steps[at]) {
                self.alone(&steps[at])
            } else {
                self.batch(batch)
            };
            let result = result.and_then(|()| self.served());
            let result = result.and_then(|()| self.messages(at + len == steps.len()));
            at += len;
            result.map_err(|failure| within(failure, at))?;
        }
        let mut all = 0..CONNECTIONS;
        all.try_for_each(|at| self.free(at)).map_err(|failure| within(failure, at))
    }

    fn block(&mut self, step: &Step) -> Result<(), Failure> {
        let (at, twin) = (step.connection, &mut self.twins[step.connection]);
        if twin.in_transaction {
            return Ok(());
        }
        let node = at % self.readers.len();
        let controls = (&mut self.redis_reader, &mut self.readers[node]);
        let (waiting, explained) = Waiting::begin(twin, controls, &step.words)?;
        self.waiting[at] = waiting;
        self.explained += explained;
        Ok(())
    }

    /// Compares what those got that were served.
    fn served(&mut self) -> Result<(), Failure> {
        for at in 0..CONNECTIONS {
            let node = at % self.readers.len();
            let controls = (&mut self.redis_reader, &mut self.readers[node]);
            let Some(waiting) = &self.waiting[at] else { continue };
            if waiting.is_served(&mut self.twins[at], controls)? {
                self.explained += waiting.end(&mut self.twins[at])?;
                self.waiting[at] = None;
                self.served += 1;
            }
        }
        Ok(())
    }

    /// Ends what a connection waits for.
    fn free(&mut self, at: usize) -> Result<(), Failure> {
        let node = at % self.readers.len();
        let Some(waiting) = self.waiting[at].take() else { return Ok(()) };
        let controls = (&mut self.redis_reader, &mut self.readers[node]);
        waiting.unblock(&mut self.twins[at], controls)?;
        self.explained += waiting.end(&mut self.twins[at])?;
        Ok(())
    }

    fn batch(&mut self, steps: &[Step]) -> Result<(), Failure> {
        let (mut for_redis, mut for_mayfly) = (Vec::new(), Vec::new());
        let twin = &mut self.twins[steps[0].connection];
        for step in steps {
            encode(&exact_trim(&step.words), &mut for_redis);
            encode(&step.words, &mut for_mayfly);
            self.published |=
                ["PUBLISH", "EXEC", "EVAL", "FCALL"].iter().any(|name| step.name().contains(name));
        }
        twin.redis.send(&for_redis)?;
        twin.mayfly.send(&for_mayfly)?;
        let mut replies = Vec::with_capacity(steps.len());
        for step in steps {
            replies.push(twin.redis.reply().map_err(|error| none("redis", step, &error))?);
        }
        let mut first = None;
        for (step, redis) in steps.iter().zip(&replies) {
            let mayfly = twin.mayfly.reply().map_err(|error| none("mayfly", step, &error))?;
            match twin.check(&step.words, redis, &mayfly) {
                Ok(explained) => self.explained += explained,
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// What the test has to do something about cannot be done inside of a transaction: most of it
    /// is left out there, on both sides.
    fn alone(&mut self, step: &Step) -> Result<(), Failure> {
        let twin = &mut self.twins[step.connection];
        self.notifies |= special::sets_events(&step.words);
        if twin.in_transaction {
            self.explained += special::queue(twin, &step.words)?;
            return Ok(());
        }
        if !step.rests {
            self.explained += special::run(twin, &step.words)?;
            return Ok(());
        }
        let (redis, mayfly) = twin.call(&step.words)?;
        self.explained += twin.check(&step.words, &redis, &mayfly)?;
        wait::rest(REST);
        if step.name().starts_with('H') {
            return Ok(special::await_end_of_fields(twin, &step.words)?);
        }
        // Redis drops what has ended when it is asked for, or some time later.
        twin.call(&[&b"EXISTS"[..], step.words.get(1).map_or(&[][..], Vec::as_slice)])?;
        Ok(())
    }

    /// A command of a subscriber has no reply or many: a PING behind it ends them.
    fn subscriber(&mut self, step: &Step) -> Result<(), Failure> {
        self.published |= step.name().contains("PUBLISH");
        self.catch_up(step.connection)?;
        let twin = &mut self.twins[step.connection];
        let mut bytes = Vec::new();
        encode(&step.words, &mut bytes);
        encode(&[&b"PING"[..], b"end"], &mut bytes);
        let read = |connection: &mut Connection| -> io::Result<Vec<Value>> {
            connection.send(&bytes)?;
            let mut replies = Vec::new();
            loop {
                let reply = connection.reply()?;
                let is_end = reply.scalars().last() == Some(&&b"end"[..]);
                replies.push(reply);
                if is_end {
                    return Ok(replies);
                }
            }
        };
        let mut redis = Value::Many(b'*', read(&mut twin.redis)?);
        let mut mayfly = Value::Many(b'*', read(&mut twin.mayfly)?);
        if step.words.len() == 1 {
            // All subscriptions end, in no order.
            let leaves = step.name().ends_with("UNSUBSCRIBE");
            (redis, mayfly) = match leaves {
                true => (sort_topics(redis), sort_topics(mayfly)),
                false => (redis, mayfly),
            };
        }
        if redis == mayfly {
            return Ok(());
        }
        let pairs = redis.elements().iter().zip(mayfly.elements());
        for (redis, mayfly) in pairs {
            if redis != mayfly {
                self.explained += twin.check(&step.words, redis, mayfly)?;
            }
        }
        if redis.elements().len() != mayfly.elements().len() {
            return Err(Difference::new(&step.words, &redis, &mayfly).into());
        }
        Ok(())
    }

    /// A subscriber hears of all that its node applies later, also of a message that another node
    /// has applied before. With a read at its node there is none left of that kind.
    fn catch_up(&mut self, subscriber: usize) -> Result<(), Failure> {
        let node = subscriber % self.readers.len();
        self.readers[node].call(&["EXISTS", "x"])?;
        Ok(())
    }

    /// Compares what subscribers were told, if anything was published since. Messages come by
    /// another way than replies, so those of redis-server say how many to wait for.
    fn messages(&mut self, at_end: bool) -> Result<(), Failure> {
        if !std::mem::take(&mut self.published) && !self.notifies && !at_end {
            return Ok(());
        }
        for at in SUBSCRIBERS {
            let twin = &mut self.twins[at];
            let marker = [&b"PING"[..], b"messages"];
            twin.call(&marker)?;
            let count = twin.redis.messages.len();
            let came = twin.mayfly.await_messages(count);
            let redis = in_order(std::mem::take(&mut twin.redis.messages));
            let mayfly = in_order(std::mem::take(&mut twin.mayfly.messages));
            if came.is_err() || redis != mayfly {
                let same = redis.elements().iter().zip(mayfly.elements());
                let same = same.take_while(|(redis, mayfly)| redis == mayfly).count();
                let rest = |all: Value| Value::Many(b'*', all.elements()[same..].to_vec());
                let (redis, mayfly) = (rest(redis), rest(mayfly));
                return Err(Difference::new(&[b"messages".to_vec()], &redis, &mayfly).into());
            }
        }
        Ok(())
    }
}

/// What redis-server is sent instead of an approximate trim, which a cluster does exactly.
fn exact_trim(words: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let name = words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    let trims = [&b"XADD"[..], b"XTRIM"].contains(&name.as_slice());
    let exact = |word: &Vec<u8>| if word == b"~" { b"=".to_vec() } else { word.clone() };
    if trims { words.iter().map(exact).collect() } else { words.to_vec() }
}

fn trims_as_it_adds(words: &[Vec<u8>]) -> bool {
    let trim = |word: &Vec<u8>| {
        word.eq_ignore_ascii_case(b"MAXLEN") || word.eq_ignore_ascii_case(b"MINID")
    };
    words.first().is_some_and(|name| name.eq_ignore_ascii_case(b"XADD")) && words.iter().any(trim)
}

/// Names of channels in order; the numbers that count down stay where they are.
fn sort_topics(replies: Value) -> Value {
    let mut names: Vec<Value> =
        replies.elements().iter().filter_map(|reply| reply.elements().get(1).cloned()).collect();
    names.sort();
    let mut names = names.into_iter();
    let mut rename = |reply: &Value| match reply {
        Value::Many(kind, parts) if parts.len() > 1 => {
            let name = names.next().unwrap_or(Value::Null(b'$'));
            Value::Many(*kind, [&parts[..1], &[name], &parts[2..]].concat())
        }
        other => other.clone(),
    };
    let renamed = replies.elements().iter().map(&mut rename).collect();
    Value::Many(b'*', renamed)
}

/// A message that fits several patterns comes once for each, in no order.
fn in_order(mut messages: Vec<Value>) -> Value {
    let text = |message: &Value| message.elements()[message.elements().len() - 2..].to_vec();
    messages.chunk_by_mut(|one, next| text(one) == text(next)).for_each(<[Value]>::sort);
    Value::Many(b'*', messages)
}

/// A side did not answer.
fn none(side: &str, step: &Step, error: &io::Error) -> Failure {
    Failure::Broken(format!("{side}: {error}: {}", line(&step.words)))
}

/// Says how much of the sequence had run by then.
fn within(failure: Failure, end: usize) -> Failure {
    let Failure::Differs(mut difference) = failure else { return failure };
    difference.step = end;
    Failure::Differs(difference)
}
