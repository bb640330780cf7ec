//! Configuration files: one directive a line, `name value`, as Redis users write them.
//!
//! `#` starts a comment line, quotes hold a value together, `include other.conf` reads another
//! file at that place (a relative path counts from the file that names it). A later line overrides
//! an earlier one.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::directives::{DIRECTIVES, find};
use super::settings::Settings;
use super::value::ValueError;
use crate::engine::acl::{Acl, AclError};

/// How deep `include` may nest; a file that includes itself ends here.
const INCLUDE_DEPTH_MAX: usize = 16;

/// A configuration file is text written by people; anything longer is some other file.
const FILE_BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, thiserror::Error)]
#[error("*** FATAL CONFIG FILE ERROR *** {}{problem}", place(.path, .line))]
pub struct FileError {
    path: PathBuf,
    /// The line and its number, where one line is at fault.
    line: Option<(usize, String)>,
    #[source]
    problem: Problem,
}

fn place(path: &Path, line: &Option<(usize, String)>) -> String {
    match line {
        Some((number, text)) => format!("{}:{number}: '{text}': ", path.display()),
        None => format!("{}: ", path.display()),
    }
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("is too long for a configuration file")]
    TooLong,
    #[error("include is nested more than {INCLUDE_DEPTH_MAX} deep")]
    TooDeep,
    #[error("unbalanced quotes")]
    Quotes,
    #[error("unknown directive '{0}'; 'mayfly node --help' lists what there is")]
    Unknown(String),
    #[error("wrong number of arguments")]
    Arity,
    #[error("{0}")]
    Value(#[from] ValueError),
    #[error("{0}")]
    User(#[from] AclError),
}

/// Sets every directive that the file names.
pub fn read(path: &Path, settings: &mut Settings) -> Result<(), FileError> {
    read_nested(path, settings, 0)
}

/// The text of a file that [`read`] takes.
pub fn text(path: &Path) -> Result<String, FileError> {
    contents(path).map_err(|problem| FileError { path: path.to_owned(), line: None, problem })
}

/// [`read`] as if `text` stood in the file.
pub fn read_as(path: &Path, text: &str, settings: &mut Settings) -> Result<(), FileError> {
    read_lines(path, text, settings, 0)
}

/// The directive that a line of a file sets, by its place in the table, with the name in use.
pub fn directive_of(line: &str) -> Option<(usize, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let name = split_words(line)?.into_iter().next()?;
    Some((find(&name)?, name))
}

/// Whether a line of a file says something of a user.
pub fn is_of_user(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|name| name.eq_ignore_ascii_case("user"))
}

fn read_nested(path: &Path, settings: &mut Settings, depth: usize) -> Result<(), FileError> {
    let whole = |problem| FileError { path: path.to_owned(), line: None, problem };
    if depth > INCLUDE_DEPTH_MAX {
        return Err(whole(Problem::TooDeep));
    }
    read_lines(path, &text(path)?, settings, depth)
}

fn read_lines(
    path: &Path,
    text: &str,
    settings: &mut Settings,
    depth: usize,
) -> Result<(), FileError> {
    for (position, line) in text.lines().enumerate() {
        let line = line.trim();
        let at_line = |problem| FileError {
            path: path.to_owned(),
            line: Some((position + 1, line.to_owned())),
            problem,
        };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words = split_words(line).ok_or_else(|| at_line(Problem::Quotes))?;
        let (name, values) = words.split_first().expect("invariant: the line is not empty");
        if name.eq_ignore_ascii_case("include") {
            let [included] = values else { return Err(at_line(Problem::Arity)) };
            let folder = path.parent().unwrap_or(Path::new(""));
            read_nested(&folder.join(included), settings, depth + 1)?;
        } else if name.eq_ignore_ascii_case("user") {
            user(values, settings).map_err(at_line)?;
        } else {
            directive(name, values, settings).map_err(at_line)?;
        }
    }
    Ok(())
}

/// A line `user name rule ...`.
fn user(values: &[String], settings: &mut Settings) -> Result<(), Problem> {
    let (name, rules) = values.split_first().ok_or(Problem::Arity)?;
    let rules = rules.iter().map(|rule| rule.as_bytes().to_vec()).collect();
    settings.users.push((name.as_bytes().to_vec(), rules));
    Ok(Acl::default().replace_users(&settings.users)?)
}

fn contents(path: &Path) -> Result<String, Problem> {
    // What is no plain file has no length of its own, or no end.
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX { Err(Problem::TooLong) } else { Ok(text) }
}

fn directive(name: &str, values: &[String], settings: &mut Settings) -> Result<(), Problem> {
    let index = find(name).ok_or_else(|| Problem::Unknown(name.to_owned()))?;
    let fits = match values.len() {
        0 => false,
        1 => true,
        _ => DIRECTIVES[index].kind.takes_words(),
    };
    if !fits {
        return Err(Problem::Arity);
    }
    Ok(settings.preset(index, &values.join(" "))?)
}

/// Splits a line at blanks. Double quotes hold a word together and know `\n`, `\r`, `\t`, `\xHH`
/// and `\` before any other character; within single quotes only `\'` is special. `None` when a
/// quote is not closed or is closed within a word.
fn split_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        match rest.peek() {
            None => return Some(words),
            Some(&quote @ ('"' | '\'')) => {
                rest.next();
                words.push(quoted(&mut rest, quote)?);
                if rest.peek().is_some_and(|c| !c.is_whitespace()) {
                    return None;
                }
            }
            Some(_) => {
                let mut word = String::new();
                while let Some(c) = rest.next_if(|c| !c.is_whitespace()) {
                    word.push(c);
                }
                words.push(word);
            }
        }
    }
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn quoted(rest: &mut Characters<'_>, quote: char) -> Option<String> {
    let mut word = String::new();
    loop {
        match rest.next()? {
            c if c == quote => return Some(word),
            '\\' if quote == '"' => word.push(escaped(rest)?),
            '\\' if rest.next_if_eq(&'\'').is_some() => word.push('\''),
            c => word.push(c),
        }
    }
}

fn escaped(rest: &mut Characters<'_>) -> Option<char> {
    Some(match rest.next()? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'x' => {
            let high = rest.next()?.to_digit(16)?;
            let low = rest.next()?.to_digit(16)?;
            // Above 127 a lone byte would be no UTF-8, which every value is.
            char::from_u32(high * 16 + low).filter(char::is_ascii)?
        }
        c => c,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mayfly-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn refusal(folder: &Folder, text: &str) -> String {
        let path = folder.write("refused.conf", text);
        read(&path, &mut Settings::default()).unwrap_err().to_string()
    }

    #[test]
    fn directives_comments_quotes_and_includes_are_read_in_order() {
        let folder = Folder::new("read");
        folder.write("other.conf", "port 7001\ntimeout 9\n");
        let path = folder.write(
            "mayfly.conf",
            "# a comment\n\n  PORT 7000\ninclude other.conf\nrequirepass \"a \\\"b\\x21\"\n\
             bind 127.0.0.1 -::1\nname 'it''s'\nclient-output-buffer-limit normal 1mb 0 0\n\
             client-output-buffer-limit pubsub 5 0 0\n\
             user a on >p ~x +get\nUSER b (+get ~y)\nquorum-reads no\nsave \"\"\ntimeout 11\n"
                .replace("'it''s'", r"'it\'s'")
                .as_str(),
        );
        let mut settings = Settings::default();
        read(&path, &mut settings).unwrap();
        let names: Vec<_> = settings.users.iter().map(|(name, _)| name.as_slice()).collect();
        assert_eq!(names, [b"a", b"b"]);
        for (name, value) in [
            ("port", "7001"),
            ("timeout", "11"),
            ("requirepass", "a \"b!"),
            ("bind", "127.0.0.1 -::1"),
            ("name", "it's"),
            (
                "client-output-buffer-limit",
                "normal 1048576 0 0 slave 268435456 67108864 60 pubsub 5 0 0",
            ),
            ("raft.quorum-reads", "no"),
        ] {
            assert_eq!(settings.get(name).as_deref(), Some(value), "{name}");
        }
    }

    #[test]
    fn errors_name_the_file_the_line_and_the_cause() {
        let folder = Folder::new("errors");
        for (text, expected) in [
            ("port 1\nprot 5\n", ":2: 'prot 5': unknown directive 'prot'"),
            ("port\n", ":1: 'port': wrong number of arguments"),
            ("port 1 2\n", ":1: 'port 1 2': wrong number of arguments"),
            ("\nport x\n", ":2: 'port x': argument couldn't be parsed into an integer"),
            ("name \"a\n", ":1: 'name \"a': unbalanced quotes"),
            ("name \"a\"b\n", "unbalanced quotes"),
            ("appendonly yes\n", "this server knows only the value 'no'"),
            ("user a on\nuser a nope\n", ":2: 'user a nope': Duplicate user 'a' found"),
            ("user a on nope\n", "Error in ACL SETUSER modifier 'nope': Syntax error"),
            ("user\n", ":1: 'user': wrong number of arguments"),
            ("include missing.conf\n", "missing.conf: cannot be read"),
            ("include refused.conf\n", "nested more than 16 deep"),
            ("include /dev/zero\n", "/dev/zero: is too long for a configuration file"),
        ] {
            let message = refusal(&folder, text);
            assert!(message.starts_with("*** FATAL CONFIG FILE ERROR *** "), "{message}");
            assert!(message.contains(expected), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}
