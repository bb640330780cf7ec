//! MIGRATE host port key|"" destination-db timeout `[COPY] [REPLACE] [AUTH password]
//! [AUTH2 username password] [KEYS key...]`: what is asked for.

use std::collections::HashSet;
use std::time::Duration;

use super::{Arguments, Outcome, Wait, is_word};
use crate::engine::error::CommandError;
use crate::engine::number::integer;
use crate::node::join::Credentials;
use crate::node::migrate::{Migration, Stage, Target};

/// What Redis takes for a time-out that is none.
const TIMEOUT_MS: i64 = 1000;

const KEY_AND_KEYS: CommandError = CommandError::text(
    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
);

/// Precondition: there are as many arguments as the table asks for.
pub fn migrate(arguments: Arguments<'_, '_>) -> Result<Outcome, CommandError> {
    let [host, port, key, database, timeout, options @ ..] = arguments else {
        return Err(CommandError::Syntax);
    };
    let (mut copies, mut replaces) = (false, false);
    let mut credentials = Credentials::default();
    let mut keys = vec![key.to_vec()];
    let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    let mut words = options;
    while let [word, rest @ ..] = words {
        words = match rest {
            _ if is_word(word, "COPY") => {
                copies = true;
                rest
            }
            _ if is_word(word, "REPLACE") => {
                replaces = true;
                rest
            }
            [password, rest @ ..] if is_word(word, "AUTH") => {
                credentials = Credentials { user: String::new(), password: text(password) };
                rest
            }
            [user, password, rest @ ..] if is_word(word, "AUTH2") => {
                credentials = Credentials { user: text(user), password: text(password) };
                rest
            }
            _ if is_word(word, "KEYS") => {
                if !key.is_empty() {
                    return Err(KEY_AND_KEYS);
                }
                keys = without_repetition(rest);
                &[]
            }
            _ => return Err(CommandError::Syntax),
        };
    }
    let timeout_ms = integer(timeout)?;
    let timeout_ms = if timeout_ms <= 0 { TIMEOUT_MS } else { timeout_ms };
    let target = Target {
        host: text(host),
        port: text(port),
        credentials,
        database: integer(database)?,
        timeout: Duration::from_millis(timeout_ms.unsigned_abs()),
    };
    let stage = Stage::Reading;
    let migration = Migration { target, keys, copies, replaces, stage };
    Ok(Outcome::Wait(Wait::Migrate(Box::new(migration))))
}

fn without_repetition(keys: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut seen = HashSet::new();
    keys.iter().filter(|key| seen.insert(**key)).map(|key| key.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words behind MIGRATE; `-` stands for the empty one.
    fn parse(line: &str) -> Result<Migration, String> {
        let words: Vec<&[u8]> =
            line.split(' ').map(|word| if word == "-" { "" } else { word }.as_bytes()).collect();
        match migrate(&words) {
            Ok(Outcome::Wait(Wait::Migrate(migration))) => Ok(*migration),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn keys(migration: &Migration) -> Vec<&str> {
        migration.keys.iter().map(|key| std::str::from_utf8(key).unwrap()).collect()
    }

    #[test]
    fn options_may_come_in_any_order_and_keys_are_the_last() {
        let plain = parse("h 7 k 3 0").unwrap();
        let Target { host, port, credentials, database, timeout } = &plain.target;
        assert_eq!((host.as_str(), port.as_str(), *database), ("h", "7", 3));
        assert_eq!((credentials.command(), timeout.as_millis()), (None, 1000));
        assert_eq!((keys(&plain), plain.copies, plain.replaces), (vec!["k"], false, false));
        let full = parse("h 7 - 3 5 replace AUTH2 u p copy KEYS a KEYS b a copy").unwrap();
        assert_eq!(full.target.credentials.command(), Some(vec!["AUTH", "u", "p"]));
        assert_eq!(full.target.timeout.as_millis(), 5);
        assert_eq!(keys(&full), ["a", "KEYS", "b", "copy"], "each is sent once");
        assert!(full.copies && full.replaces);
        let auth = parse("h 7 - 3 -5 AUTH p KEYS").unwrap();
        assert_eq!(auth.target.credentials.command(), Some(vec!["AUTH", "p"]));
        assert_eq!((keys(&auth), auth.target.timeout.as_millis()), (vec![], 1000));
        assert_eq!(parse("h 7 - 3 1").map(|it| it.keys), Ok(vec![Vec::new()]));
    }

    #[test]
    fn mistakes_are_told_in_the_words_of_redis() {
        let syntax = "ERR syntax error";
        let integer = "ERR value is not an integer or out of range";
        let both = "ERR When using MIGRATE KEYS option, the key argument must be set to the empty \
                    string";
        let cases = [
            ("h 7 k 0 5 FOO", syntax),
            ("h 7 k x 5 FOO", syntax),
            ("h 7 k 0 5 AUTH", syntax),
            ("h 7 k 0 5 AUTH2 u", syntax),
            ("h 7 - 0 5 AUTH x AUTH2 y KEYS a", syntax),
            ("h 7 k x 5", integer),
            ("h 7 k 0 x", integer),
            ("h 7 k 0 5 KEYS a", both),
        ];
        for (line, text) in cases {
            assert_eq!(parse(line), Err(text.to_owned()), "{line}");
        }
    }
}
