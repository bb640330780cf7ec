//! Histories of operations on registers, for a checker of linearizability: each connection reads
//! and writes a few keys, every value is written once, and what was sent and answered is recorded.
//!
//! The file is what Jepsen's Knossos reads: one EDN map a line, in the order of time, with the
//! independent keys as Jepsen has them, in values `[key value]`. A write whose fate nobody told is
//! an `:info`; its connection goes on as a new process, for it may still take effect.

use std::io::{self, Write};

use crate::keys::Picker;
use crate::record::error_code;
use crate::reply::{Kind, Reply};
use crate::suite;
use crate::verify;

/// Operations of one history, some 100 bytes each in memory: a checker takes minutes for far
/// fewer. The run ends when so many were sent, as a history with a hole could not be judged.
pub const OPERATIONS_MAX: u64 = 1_000_000;

/// Registers without `-r`: few, so that connections meet.
pub const KEYS_DEFAULT: u64 = 5;

/// Percent of the operations that read.
const READS: u64 = 50;

/// Errors of requests that did not run.
const REFUSALS: [&str; 7] =
    ["MOVED", "READONLY", "LOADING", "NOAUTH", "NOPERM", "OOM", "WRONGTYPE"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Read,
    Write,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Invoke,
    Ok,
    /// It did not run.
    Fail,
    /// Nobody knows whether it ran, or will.
    Info,
}

/// One line of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub process: u64,
    pub kind: Type,
    pub function: Function,
    pub key: u64,
    /// `None` is nil: of a read that was not answered, or that found nothing.
    pub value: Option<u64>,
    pub time_ns: u64,
}

/// One connection's part in a history. Has one request on its way at most.
#[derive(Clone, Debug)]
pub struct Registers {
    prefix: String,
    process: u64,
    /// From one process of this connection to its next.
    step: u64,
    next_value: u64,
    current: Option<(Function, u64, Option<u64>)>,
    entries: Vec<Entry>,
}

impl Registers {
    /// Of connection `number` of `clients`.
    pub fn new(prefix: String, number: u64, clients: u64) -> Self {
        Self {
            prefix,
            process: number,
            step: clients,
            next_value: number + 1,
            current: None,
            entries: Vec::new(),
        }
    }

    /// Appends a request that is sent after `now_ns`.
    pub fn invoke(&mut self, out: &mut Vec<u8>, now_ns: u64, picker: &mut Picker) {
        let key = picker.pick();
        let name = format!("{}:{key}", self.prefix);
        let (function, value) = match picker.below(100) < READS {
            true => (Function::Read, None),
            false => (Function::Write, Some(self.next_value)),
        };
        let mut words = vec!["GET".to_owned(), name];
        if let Some(value) = value {
            self.next_value += self.step;
            words = vec!["SET".to_owned(), words.remove(1), value.to_string()];
        }
        out.extend_from_slice(&suite::encode(&words));
        self.current = Some((function, key, value));
        self.record(Type::Invoke, value, now_ns);
    }

    /// The request was answered before `now_ns`.
    pub fn on_reply(&mut self, reply: Reply<'_>, now_ns: u64) {
        let Some((function, _, written)) = self.current else { return };
        match (function, reply.kind) {
            (Function::Read, Kind::Nil) => self.end(Type::Ok, None, now_ns),
            (Function::Read, Kind::Value) => match verify::parse(reply.head) {
                Some(value) => self.end(Type::Ok, Some(value), now_ns),
                None => self.end(Type::Fail, None, now_ns),
            },
            (Function::Read, Kind::Error) => self.end(Type::Fail, None, now_ns),
            (Function::Write, Kind::Value | Kind::Nil) => self.end(Type::Ok, written, now_ns),
            (Function::Write, Kind::Error) => match REFUSALS.contains(&error_code(reply.head)) {
                true => self.end(Type::Fail, written, now_ns),
                false => self.on_lost(now_ns),
            },
        }
    }

    /// The answer will not come, or does not tell.
    pub fn on_lost(&mut self, now_ns: u64) {
        let Some((function, _, value)) = self.current else { return };
        match function {
            // What was read has changed nothing.
            Function::Read => self.end(Type::Fail, None, now_ns),
            Function::Write => {
                self.end(Type::Info, value, now_ns);
                self.process += self.step;
            }
        }
    }

    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    fn end(&mut self, kind: Type, value: Option<u64>, now_ns: u64) {
        self.record(kind, value, now_ns);
        self.current = None;
    }

    fn record(&mut self, kind: Type, value: Option<u64>, time_ns: u64) {
        let Some((function, key, _)) = self.current else { return };
        let process = self.process;
        self.entries.push(Entry { process, kind, function, key, value, time_ns });
    }
}

/// Writes the entries of all connections in the order of time.
pub fn write(out: &mut impl Write, mut entries: Vec<Entry>) -> io::Result<()> {
    // Stable, as those of one connection are in their order.
    entries.sort_by_key(|entry| entry.time_ns);
    for (index, entry) in entries.iter().enumerate() {
        let Entry { process, key, time_ns, .. } = entry;
        let kind = match entry.kind {
            Type::Invoke => "invoke",
            Type::Ok => "ok",
            Type::Fail => "fail",
            Type::Info => "info",
        };
        let function = match entry.function {
            Function::Read => "read",
            Function::Write => "write",
        };
        let value = entry.value.map_or("nil".to_owned(), |value| value.to_string());
        writeln!(
            out,
            "{{:process {process}, :type :{kind}, :f :{function}, :value [{key} {value}], \
             :time {time_ns}, :index {index}}}"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Distribution;

    fn reply(kind: Kind, head: &[u8]) -> Reply<'_> {
        Reply { kind, head }
    }

    #[test]
    fn every_operation_begins_once_and_ends_as_it_was_answered() {
        let mut picker = Picker::new(Distribution::Sequential, 2, 0, 1, 1);
        let mut registers = Registers::new("r".to_owned(), 1, 3);
        let mut ends = Vec::new();
        for round in 0..60u64 {
            let mut out = Vec::new();
            registers.invoke(&mut out, round * 10, &mut picker);
            let is_read = out.starts_with(b"*2\r\n$3\r\nGET");
            match round % 5 {
                0 => registers.on_reply(reply(Kind::Error, b"MOVED 1 a:1"), round * 10 + 5),
                1 => registers.on_reply(reply(Kind::Error, b"TIMEOUT no quorum"), round * 10 + 5),
                2 => registers.on_lost(round * 10 + 5),
                3 => registers.on_reply(reply(Kind::Nil, b""), round * 10 + 5),
                _ => registers.on_reply(reply(Kind::Value, b"77"), round * 10 + 5),
            }
            ends.push(match (round % 5, is_read) {
                (0, _) | (1 | 2, true) => Type::Fail,
                (1 | 2, false) => Type::Info,
                _ => Type::Ok,
            });
        }
        let entries = registers.into_entries();
        assert_eq!(entries.len(), 120);
        let (mut process, mut written) = (1, Vec::new());
        for (pair, end) in entries.chunks(2).zip(ends) {
            assert_eq!((pair[0].kind, pair[1].kind), (Type::Invoke, end));
            assert_eq!((pair[0].process, pair[1].process), (process, process));
            assert_eq!((pair[0].function, pair[0].key), (pair[1].function, pair[1].key));
            if pair[0].function == Function::Write {
                assert_eq!(pair[0].value, pair[1].value);
                written.extend(pair[0].value);
            }
            if end == Type::Info {
                process += 3;
            }
        }
        assert!(written.len() > 10 && written.windows(2).all(|two| two[1] == two[0] + 3));
        assert!(process > 1, "some writes were lost");
    }

    #[test]
    fn lines_are_in_the_order_of_time() {
        let entry = |process, kind, value, time_ns| Entry {
            process,
            kind,
            function: Function::Read,
            key: 4,
            value,
            time_ns,
        };
        let mut out = Vec::new();
        let entries = vec![entry(0, Type::Invoke, None, 20), entry(1, Type::Ok, Some(9), 10)];
        write(&mut out, entries).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{:process 1, :type :ok, :f :read, :value [4 9], :time 10, :index 0}\n\
             {:process 0, :type :invoke, :f :read, :value [4 nil], :time 20, :index 1}\n"
        );
    }
}
