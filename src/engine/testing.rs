//! For tests of command families: runs command lines against an engine and compares replies.

use super::Engine;
use super::batch::Command;
use super::command::lookup;
use super::random::Random;
use super::reply::{Protocol, Reply};

/// The clock of a fresh test engine: any time at all.
pub const START_MS: u64 = 1_700_000_000_000;

/// An empty engine at its first entry.
pub fn engine() -> Engine {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, START_MS);
    engine
}

/// Runs a command of which each word is given, in database 0, and returns its reply.
pub fn run_words(engine: &mut Engine, protocol: Protocol, words: &[&[u8]]) -> Vec<u8> {
    run_words_in(engine, 0, protocol, words)
}

/// [`run_words`] in a database of choice.
pub fn run_words_in(
    engine: &mut Engine,
    database: u8,
    protocol: Protocol,
    words: &[&[u8]],
) -> Vec<u8> {
    let id = lookup(words[0]).unwrap_or_else(|| panic!("no command {}", words[0].escape_ascii()));
    let command = Command::new(id, database, words[1..].iter().copied().collect());
    let mut reply = Reply::new(protocol);
    let now_ms = engine.keyspace.clock_ms();
    engine.run(&command, &mut reply, now_ms, &mut Random::new(7));
    reply.buffer
}

/// Runs a command line. Words are separated by spaces; one in double quotes may hold spaces and the
/// escapes `\r \n \t \0 \" \\ \xHH`.
pub fn run_line(engine: &mut Engine, protocol: Protocol, line: &str) -> Vec<u8> {
    let words = words(line);
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    run_words(engine, protocol, &words)
}

/// Asserts the RESP2 reply to a command line, as in `check(&mut engine, "SET k v", "+OK\r\n")`.
#[track_caller]
pub fn check(engine: &mut Engine, line: &str, expected: &str) {
    check_bytes(engine, Protocol::Resp2, line, expected.as_bytes());
}

/// Asserts the RESP3 reply to a command line.
#[track_caller]
pub fn check3(engine: &mut Engine, line: &str, expected: &str) {
    check_bytes(engine, Protocol::Resp3, line, expected.as_bytes());
}

#[track_caller]
pub fn check_bytes(engine: &mut Engine, protocol: Protocol, line: &str, expected: &[u8]) {
    let got = run_line(engine, protocol, line);
    assert!(
        got == expected,
        "{line}\n  got      {}\n  expected {}",
        got.escape_ascii(),
        expected.escape_ascii()
    );
}

/// Asserts RESP2 replies to command lines, one after the other on one engine.
#[track_caller]
pub fn check_all(engine: &mut Engine, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        check(engine, line, expected);
    }
}

/// Moves the clock of the engine with a new log entry.
pub fn advance(engine: &mut Engine, millis: u64) {
    let at_ms = engine.keyspace.clock_ms() + millis;
    let index = engine.keyspace.entry_index() + 1;
    engine.begin_entry(index, at_ms);
}

/// The words of a command line, as [`run_line`] takes it.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.bytes().peekable();
    loop {
        while bytes.next_if_eq(&b' ').is_some() {}
        match bytes.peek() {
            None => return words,
            Some(b'"') => {
                bytes.next();
                words.push(quoted(&mut bytes));
            }
            Some(_) => {
                let mut word = Vec::new();
                while let Some(byte) = bytes.next_if(|byte| *byte != b' ') {
                    word.push(byte);
                }
                words.push(word);
            }
        }
    }
}

fn quoted(bytes: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let mut word = Vec::new();
    loop {
        match bytes.next().expect("a quoted word ends with a quote") {
            b'"' => return word,
            b'\\' => match bytes.next().expect("a backslash escapes something") {
                b'r' => word.push(b'\r'),
                b'n' => word.push(b'\n'),
                b't' => word.push(b'\t'),
                b'0' => word.push(0),
                b'x' => {
                    let mut digit = || {
                        let digit = bytes.next().expect("two hexadecimal digits");
                        char::from(digit).to_digit(16).expect("a hexadecimal digit") as u8
                    };
                    word.push(digit() << 4 | digit());
                }
                other => word.push(other),
            },
            other => word.push(other),
        }
    }
}
