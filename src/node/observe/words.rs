//! What others may see of a command line: its words, without those that are secrets.

use std::borrow::Cow;
use std::io::Write;

const REDACTED: &[u8] = b"(redacted)";

/// Settings whose values are secrets.
const SECRETS: [&str; 4] = ["requirepass", "masterauth", "masteruser", "tls-key-file-pass"];

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// The words, secrets redacted.
pub fn shown<'a>(words: &[&'a [u8]]) -> Vec<Cow<'a, [u8]>> {
    let mut shown: Vec<Cow<'a, [u8]>> = words.iter().map(|word| Cow::Borrowed(*word)).collect();
    let mut redact = |positions: std::ops::Range<usize>| {
        for position in positions {
            if let Some(word) = shown.get_mut(position) {
                *word = Cow::Borrowed(REDACTED);
            }
        }
    };
    match words {
        [name, ..] if is(name, "auth") => redact(1..words.len()),
        [name, ..] if is(name, "hello") => {
            if let Some(at) = words.iter().skip(2).position(|word| is(word, "auth")) {
                redact(at + 3..at + 5);
            }
        }
        [name, subcommand, ..] if is(name, "acl") && is(subcommand, "setuser") => {
            redact(2..words.len());
        }
        [name, subcommand, ..] if is(name, "config") && is(subcommand, "set") => {
            for at in (2..words.len()).step_by(2) {
                if SECRETS.iter().any(|secret| is(words[at], secret)) {
                    redact(at + 1..at + 2);
                }
            }
        }
        // What REPLICAOF puts into the log.
        [name, subcommand, ..] if is(name, "raft.import") => {
            redact(if is(subcommand, "follow") { 4..6 } else { 2..words.len() });
        }
        [name, ..] if is(name, "migrate") => {
            for (at, word) in words.iter().enumerate().skip(6) {
                match word {
                    word if is(word, "auth") => redact(at + 1..at + 2),
                    word if is(word, "auth2") => redact(at + 1..at + 3),
                    _ => {}
                }
            }
        }
        _ => {}
    }
    shown
}

/// Writes a word in double quotes as MONITOR does: what is not printable ASCII is escaped.
pub fn quote(word: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in word {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(*byte),
            _ => write!(out, "\\x{byte:02x}").expect("invariant: memory takes what is written"),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let cases = [
            ("auth pw", "auth #"),
            ("AUTH user pw", "AUTH # #"),
            ("hello 3 AUTH user pw SETNAME n", "hello 3 AUTH # # SETNAME n"),
            ("hello 3 setname auth", "hello 3 setname auth"),
            ("config set requirepass pw timeout 0", "config set requirepass # timeout 0"),
            ("CONFIG SET timeout 0 MasterAuth pw", "CONFIG SET timeout 0 MasterAuth #"),
            ("acl setuser joe on >pw", "acl setuser # # #"),
            ("migrate h 1 k 0 9 auth pw", "migrate h 1 k 0 9 auth #"),
            ("migrate h 1 k 0 9 copy auth2 u pw keys k", "migrate h 1 k 0 9 copy auth2 # # keys k"),
            ("raft.import follow h 1 u pw", "raft.import follow h 1 # #"),
            ("raft.import credentials u pw", "raft.import credentials # #"),
            ("raft.import stop", "raft.import stop"),
            ("set auth pw", "set auth pw"),
            ("auth", "auth"),
            ("hello 3 auth", "hello 3 auth"),
        ];
        for (line, expected) in cases {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let shown = shown(&words).join(&b' ');
            assert_eq!(String::from_utf8(shown).unwrap(), expected.replace('#', "(redacted)"));
        }
    }

    #[test]
    fn words_are_quoted_as_redis_does() {
        let mut out = Vec::new();
        quote(b"a\x01b\"\\\n\r\t\x07\x08 ~\x7f\xc3", &mut out);
        assert_eq!(out, br#""a\x01b\"\\\n\r\t\a\b ~\x7f\xc3""#);
    }
}
