//! What was asked and what was answered, when, by whom: the history of a run, and the clock that
//! all recorders of this machine share.
//!
//! It knows operations and replies, not how they are sent nor what is right.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use rustix::time::{ClockId, clock_gettime};

use crate::client::{Client, Value, encode};

/// What a client does to one key. Every value that is written is written once in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Get,
    Set(i64),
    /// SET NX.
    SetIfAbsent(i64),
    /// SET IFEQ.
    SetIfEqual {
        old: i64,
        new: i64,
    },
    Delete,
    /// DELIFEQ.
    DeleteIfEqual(i64),
    Increment,
    /// RPUSH.
    Append(i64),
    /// The whole list.
    Range,
    /// RPUSH and LRANGE in one MULTI: the list with what was appended.
    AppendAndRange(i64),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    Nil,
    Ok,
    Number(i64),
    List(Vec<i64>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok(Reply),
    /// It was not executed, and never will be.
    Fail(String),
    /// It may have been executed, or may yet be. Nothing follows it in its process.
    Unknown(String),
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// A client, until one of its operations has an unknown outcome: then it goes on as another.
    pub process: u32,
    pub client: u32,
    /// Position of the node that was asked.
    pub node: u32,
    pub key: String,
    pub op: Op,
    pub invoked_ns: u64,
    /// When its outcome was known, or given up to be known.
    pub returned_ns: u64,
    pub outcome: Outcome,
}

/// In the order of invocation.
pub type History = Vec<Operation>;

impl Op {
    pub fn is_read(self) -> bool {
        matches!(self, Op::Get | Op::Range)
    }

    /// Its commands; the last reply is its own.
    fn commands(self, key: &str) -> Vec<Vec<String>> {
        let one = |words: &[&str]| vec![words.iter().map(|word| (*word).to_owned()).collect()];
        match self {
            Op::Get => one(&["GET", key]),
            Op::Set(value) => one(&["SET", key, &value.to_string()]),
            Op::SetIfAbsent(value) => one(&["SET", key, &value.to_string(), "NX"]),
            Op::SetIfEqual { old, new } => {
                one(&["SET", key, &new.to_string(), "IFEQ", &old.to_string()])
            }
            Op::Delete => one(&["DEL", key]),
            Op::DeleteIfEqual(value) => one(&["DELIFEQ", key, &value.to_string()]),
            Op::Increment => one(&["INCR", key]),
            Op::Append(value) => one(&["RPUSH", key, &value.to_string()]),
            Op::Range => one(&["LRANGE", key, "0", "-1"]),
            Op::AppendAndRange(value) => {
                let words: [&[&str]; 4] = [
                    &["MULTI"],
                    &["RPUSH", key, &value.to_string()],
                    &["LRANGE", key, "0", "-1"],
                    &["EXEC"],
                ];
                words.into_iter().flat_map(one).collect()
            }
        }
    }

    /// What `value` says as the answer to this operation.
    fn understand(self, value: Value) -> Result<Reply, String> {
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
        let reply = match (self, &value) {
            (Op::Get | Op::SetIfAbsent(_) | Op::SetIfEqual { .. }, Value::Null) => Some(Reply::Nil),
            (Op::Get, Value::Bulk(bytes)) => number(bytes).map(Reply::Number),
            (Op::Set(_) | Op::SetIfAbsent(_) | Op::SetIfEqual { .. }, Value::Simple(ok)) => {
                (ok == "OK").then_some(Reply::Ok)
            }
            (
                Op::Delete | Op::DeleteIfEqual(_) | Op::Increment | Op::Append(_),
                Value::Integer(count),
            ) => Some(Reply::Number(*count)),
            (Op::Range, Value::Array(items)) => list(items).map(Reply::List),
            (Op::AppendAndRange(_), Value::Array(replies)) => match &replies[..] {
                [Value::Integer(len), Value::Array(items)] => {
                    list(items).filter(|list| list.len() as i64 == *len).map(Reply::List)
                }
                _ => None,
            },
            _ => None,
        };
        reply.ok_or_else(|| format!("{self:?} answered {value:?}"))
    }
}

fn list(items: &[Value]) -> Option<Vec<i64>> {
    items.iter().map(|item| item.text().parse().ok()).collect()
}

/// The clock of every recorder: CLOCK_MONOTONIC, which processes of a machine share.
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Gives out what must be unique in a run.
#[derive(Default)]
pub struct Names {
    processes: AtomicU32,
    values: AtomicI64,
}

impl Names {
    pub fn process(&self) -> u32 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    pub fn value(&self) -> i64 {
        1 + self.values.fetch_add(1, Ordering::Relaxed)
    }
}

/// What an error reply says about the command, after the replies to those that it came with.
fn outcome_of_error(text: &str, before: &[Value]) -> Result<Outcome, String> {
    match text.split(' ').next() {
        Some("NOCLUSTER" | "LOADING" | "CLUSTERDOWN" | "EXECABORT") => {
            Ok(Outcome::Fail(text.to_owned()))
        }
        Some("TIMEOUT") => Ok(Outcome::Unknown(text.to_owned())),
        // MULTI was refused, and what followed it as well, or it was executed by itself.
        _ if matches!(before.first(), Some(Value::Error(_))) => match &before[1] {
            Value::Error(_) => Ok(Outcome::Fail(text.to_owned())),
            _ => Ok(Outcome::Unknown(text.to_owned())),
        },
        _ => Err(text.to_owned()),
    }
}

/// Sends `op`, waits for its answer and tells both with their times. An error is a reply that no
/// node may give.
pub fn perform(
    client: &mut Client,
    who: (u32, u32, u32),
    key: &str,
    op: Op,
) -> Result<Operation, String> {
    let mut bytes = Vec::new();
    let commands = op.commands(key);
    for command in &commands {
        let words: Vec<&[u8]> = command.iter().map(String::as_bytes).collect();
        bytes.extend(encode(&words));
    }
    let invoked_ns = now_ns();
    let mut answered = client.send(&bytes);
    let mut replies = Vec::new();
    for _ in &commands {
        answered = answered.and_then(|()| {
            replies.push(client.receive()?);
            Ok(())
        });
    }
    let returned_ns = now_ns();
    let outcome = match (answered, replies.pop()) {
        (Err(error), _) => Outcome::Unknown(format!("{:?}", error.kind())),
        (Ok(()), Some(Value::Error(text))) => outcome_of_error(&text, &replies)
            .map_err(|text| format!("{op:?} of {key} at node {} answered {text}", who.2))?,
        (Ok(()), value) => Outcome::Ok(op.understand(value.expect("it has a command"))?),
    };
    let (process, client, node) = who;
    let key = key.to_owned();
    Ok(Operation { process, client, node, key, op, invoked_ns, returned_ns, outcome })
}
