//! Histories as EDN, in the form that Jepsen's checkers read, and back.
//!
//! One map a line, two for each operation: its invocation and its completion (`:ok`, `:fail` or
//! `:info`), in the order of time. Registers speak Knossos's words: `:read`, `:write` and `:cas`,
//! with the key and the value as a tuple; a SET NX is a `:cas` from nil, a DEL a `:write` of nil,
//! and a `:cas` whose condition did not hold is a `:fail`. Counters are `:add` and `:read`. Lists
//! are Elle's list-append: `:txn` of `[:append k v]` and `[:r k [..]]`. What these words cannot
//! say stands beside them, under names of its own, which those checkers pass by: `:command`,
//! `:args`, `:reply`, `:client`, `:node`. Reading back needs nothing else.

use std::collections::HashMap;
use std::fmt::Write;

use super::record::{History, Op, Operation, Outcome, Reply};

/// A model of Jepsen's for one kind of keys: what their checkers are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    Register,
    Counter,
    List,
}

impl Model {
    pub const ALL: [Model; 3] = [Model::Register, Model::Counter, Model::List];

    pub fn name(self) -> &'static str {
        match self {
            Model::Register => "registers",
            Model::Counter => "counters",
            Model::List => "lists",
        }
    }

    /// Keys are named after their model: `register:1`.
    pub fn of(key: &str) -> Self {
        match key.split(':').next() {
            Some("counter") => Model::Counter,
            Some("list") => Model::List,
            _ => Model::Register,
        }
    }
}

/// Writes `history` in the order of events.
pub fn write(history: &[Operation]) -> String {
    let mut events: Vec<(u64, bool, &Operation)> = Vec::new();
    for operation in history {
        events.push((operation.invoked_ns, false, operation));
        events.push((operation.returned_ns, true, operation));
    }
    events.sort_by_key(|(ns, is_end, operation)| (*ns, *is_end, operation.process));
    let mut text = String::new();
    for (index, (ns, is_end, operation)) in events.into_iter().enumerate() {
        let Operation { process, client, node, op, .. } = operation;
        let kind = if is_end { completion(operation) } else { ":invoke" };
        let (f, value) = words(operation, is_end);
        let (command, args) = command(*op);
        write!(
            text,
            "{{:index {index}, :time {ns}, :process {process}, :type {kind}, :f {f}, \
             :value {value}, :client {client}, :node {node}, :key {:?}, :command {command}, \
             :args {args}",
            operation.key
        )
        .expect("a string takes everything");
        match &operation.outcome {
            _ if !is_end => {}
            Outcome::Ok(reply) => text.push_str(&format!(", :reply {}", reply_text(reply))),
            Outcome::Fail(error) | Outcome::Unknown(error) => {
                text.push_str(&format!(", :error {error:?}"));
            }
        }
        text.push_str("}\n");
    }
    text
}

/// The `:type` of an end. Knossos takes a `:cas` that did not apply for one that failed.
fn completion(operation: &Operation) -> &'static str {
    let is_conditional =
        matches!(operation.op, Op::SetIfAbsent(_) | Op::SetIfEqual { .. } | Op::DeleteIfEqual(_));
    match &operation.outcome {
        Outcome::Ok(Reply::Nil | Reply::Number(0)) if is_conditional => ":fail",
        Outcome::Ok(_) => ":ok",
        Outcome::Fail(_) => ":fail",
        Outcome::Unknown(_) => ":info",
    }
}

/// `:f` and `:value`.
fn words(operation: &Operation, is_end: bool) -> (&'static str, String) {
    let key = &operation.key;
    let read = match &operation.outcome {
        Outcome::Ok(reply) if is_end => reply_text(reply),
        _ => "nil".to_owned(),
    };
    match operation.op {
        Op::Get => (":read", format!("[{key:?} {read}]")),
        Op::Set(value) => (":write", format!("[{key:?} {value}]")),
        Op::Delete => (":write", format!("[{key:?} nil]")),
        Op::SetIfAbsent(value) => (":cas", format!("[{key:?} [nil {value}]]")),
        Op::SetIfEqual { old, new } => (":cas", format!("[{key:?} [{old} {new}]]")),
        Op::DeleteIfEqual(value) => (":cas", format!("[{key:?} [{value} nil]]")),
        Op::Increment => (":add", format!("[{key:?} 1]")),
        Op::Append(value) => (":txn", format!("[[:append {key:?} {value}]]")),
        Op::Range => (":txn", format!("[[:r {key:?} {read}]]")),
        Op::AppendAndRange(value) => {
            (":txn", format!("[[:append {key:?} {value}] [:r {key:?} {read}]]"))
        }
    }
}

fn command(op: Op) -> (&'static str, String) {
    match op {
        Op::Get => (":get", "[]".to_owned()),
        Op::Set(value) => (":set", format!("[{value}]")),
        Op::SetIfAbsent(value) => (":set-if-absent", format!("[{value}]")),
        Op::SetIfEqual { old, new } => (":set-if-equal", format!("[{old} {new}]")),
        Op::Delete => (":delete", "[]".to_owned()),
        Op::DeleteIfEqual(value) => (":delete-if-equal", format!("[{value}]")),
        Op::Increment => (":increment", "[]".to_owned()),
        Op::Append(value) => (":append", format!("[{value}]")),
        Op::Range => (":range", "[]".to_owned()),
        Op::AppendAndRange(value) => (":append-and-range", format!("[{value}]")),
    }
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::Nil => "nil".to_owned(),
        Reply::Ok => ":ok".to_owned(),
        Reply::Number(number) => number.to_string(),
        Reply::List(list) => {
            let items: Vec<String> = list.iter().map(i64::to_string).collect();
            format!("[{}]", items.join(" "))
        }
    }
}

/// What EDN is made of, as far as histories use it.
#[derive(Clone, Debug, PartialEq)]
enum Edn {
    Nil,
    Number(i64),
    Text(String),
    Keyword(String),
    Vector(Vec<Edn>),
    Map(HashMap<String, Edn>),
}

/// Reads what [`write`] wrote, or another recorder in the same form: operations in the order of
/// invocation.
pub fn read(text: &str) -> Result<History, String> {
    let mut history: History = Vec::new();
    let mut open: HashMap<u32, usize> = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |what: String| format!("line {}: {what}", number + 1);
        let mut rest = line;
        let Edn::Map(event) = value(&mut rest).map_err(wrong)? else {
            return Err(wrong("not a map".into()));
        };
        if !rest.trim().is_empty() {
            return Err(wrong(format!("more than a map: {rest}")));
        }
        let event = Event(event);
        let process = event.number("process").map_err(wrong)? as u32;
        match (event.keyword("type").map_err(wrong)?, open.remove(&process)) {
            ("invoke", None) => {
                open.insert(process, history.len());
                history.push(event.invocation().map_err(wrong)?);
            }
            ("invoke", Some(_)) => return Err(wrong(format!("{process} has not ended yet"))),
            (_, None) => return Err(wrong(format!("{process} has not begun anything"))),
            (kind, Some(position)) => {
                history[position].returned_ns = event.number("time").map_err(wrong)? as u64;
                history[position].outcome = event.outcome(kind).map_err(wrong)?;
            }
        }
    }
    match open.keys().next() {
        Some(process) => Err(format!("{process} has an operation without an end")),
        None => Ok(history),
    }
}

struct Event(HashMap<String, Edn>);

impl Event {
    fn get(&self, name: &str) -> Result<&Edn, String> {
        self.0.get(name).ok_or_else(|| format!("no :{name}"))
    }

    fn number(&self, name: &str) -> Result<i64, String> {
        match self.get(name)? {
            Edn::Number(number) => Ok(*number),
            other => Err(format!(":{name} is {other:?}")),
        }
    }

    fn keyword(&self, name: &str) -> Result<&str, String> {
        match self.get(name)? {
            Edn::Keyword(word) => Ok(word),
            other => Err(format!(":{name} is {other:?}")),
        }
    }

    fn text(&self, name: &str) -> Result<String, String> {
        match self.get(name)? {
            Edn::Text(text) => Ok(text.clone()),
            other => Err(format!(":{name} is {other:?}")),
        }
    }

    fn invocation(&self) -> Result<Operation, String> {
        let args = numbers(self.get("args")?)?;
        let op = match (self.keyword("command")?, &args[..]) {
            ("get", []) => Op::Get,
            ("set", [value]) => Op::Set(*value),
            ("set-if-absent", [value]) => Op::SetIfAbsent(*value),
            ("set-if-equal", [old, new]) => Op::SetIfEqual { old: *old, new: *new },
            ("delete", []) => Op::Delete,
            ("delete-if-equal", [value]) => Op::DeleteIfEqual(*value),
            ("increment", []) => Op::Increment,
            ("append", [value]) => Op::Append(*value),
            ("range", []) => Op::Range,
            ("append-and-range", [value]) => Op::AppendAndRange(*value),
            (other, args) => return Err(format!(":command {other} with {args:?}")),
        };
        Ok(Operation {
            process: self.number("process")? as u32,
            client: self.number("client")? as u32,
            node: self.number("node")? as u32,
            key: self.text("key")?,
            op,
            invoked_ns: self.number("time")? as u64,
            returned_ns: 0,
            outcome: Outcome::Unknown(String::new()),
        })
    }

    fn outcome(&self, kind: &str) -> Result<Outcome, String> {
        match (kind, self.0.get("reply")) {
            ("ok" | "fail", Some(reply)) => Ok(Outcome::Ok(match reply {
                Edn::Nil => Reply::Nil,
                Edn::Number(number) => Reply::Number(*number),
                Edn::Keyword(word) if word == "ok" => Reply::Ok,
                list => Reply::List(numbers(list)?),
            })),
            ("fail", None) => Ok(Outcome::Fail(self.text("error")?)),
            ("info", None) => Ok(Outcome::Unknown(self.text("error")?)),
            _ => Err(format!(":type {kind} does not go with {:?}", self.0)),
        }
    }
}

fn numbers(vector: &Edn) -> Result<Vec<i64>, String> {
    let Edn::Vector(items) = vector else { return Err(format!("{vector:?} is no vector")) };
    let number = |item: &Edn| match item {
        Edn::Number(number) => Ok(*number),
        other => Err(format!("{other:?} is no number")),
    };
    items.iter().map(number).collect()
}

/// Takes one value from the front of `text`.
fn value(text: &mut &str) -> Result<Edn, String> {
    skip(text);
    let Some(first) = text.chars().next() else { return Err("an end too early".into()) };
    match first {
        '{' => {
            let items = sequence(text, '}')?;
            let pair = |pair: &[Edn]| match pair {
                [Edn::Keyword(name), value] => Ok((name.clone(), value.clone())),
                other => Err(format!("{other:?} is no entry of a map")),
            };
            Ok(Edn::Map(items.chunks(2).map(pair).collect::<Result<_, _>>()?))
        }
        '[' => Ok(Edn::Vector(sequence(text, ']')?)),
        '"' => string(text),
        _ => {
            let end = text.find([' ', ',', ']', '}']).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            *text = rest;
            match (word, word.strip_prefix(':')) {
                ("nil", _) => Ok(Edn::Nil),
                (_, Some(name)) => Ok(Edn::Keyword(name.to_owned())),
                (number, None) => {
                    number.parse().map(Edn::Number).map_err(|_| format!("{number:?} is nothing"))
                }
            }
        }
    }
}

fn skip(text: &mut &str) {
    *text = text.trim_start_matches([' ', ',']);
}

fn sequence(text: &mut &str, end: char) -> Result<Vec<Edn>, String> {
    *text = &text[1..];
    let mut items = Vec::new();
    loop {
        skip(text);
        if let Some(rest) = text.strip_prefix(end) {
            *text = rest;
            return Ok(items);
        }
        items.push(value(text)?);
    }
}

fn string(text: &mut &str) -> Result<Edn, String> {
    let mut found = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                *text = &text[at + 1..];
                return Ok(Edn::Text(found));
            }
            '\\' => found.push(match chars.next().ok_or("an end too early")?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            c => found.push(c),
        }
    }
    Err("a string without its end".into())
}
