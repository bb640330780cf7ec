//! The arguments of commands, as COMMAND DOCS tells them. They stand in `arguments.txt`, a line for
//! each command that takes any: its full name, then its arguments.
//!
//! ```text
//! line      = name argument...           goes on in lines that begin with blanks
//! argument  = name ":" kind suffix...
//! kind      = string | integer | double | pattern | time | key | token | oneof | block
//! suffix    = "#" number                the place of its key specification
//!           | "?"                       it may be left out
//!           | "*"                       it may be repeated
//!           | "+"                       and its token with it
//!           | "^" version               of Redis that has it first
//!           | "~" version               since which it is better not used
//!           | "='" token "'"            the word before it, or that it is
//!           | "(" argument... ")"       what a oneof chooses from, or a block holds
//! ```

use std::collections::BTreeMap;
use std::sync::LazyLock;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Argument {
    pub name: &'static str,
    /// Redis's name of the type.
    pub kind: &'static str,
    pub key_spec: Option<i64>,
    pub is_optional: bool,
    pub is_multiple: bool,
    pub repeats_token: bool,
    pub since: Option<&'static str>,
    pub deprecated_since: Option<&'static str>,
    pub token: Option<&'static str>,
    pub parts: Vec<Argument>,
}

static TEXT: &str = include_str!("arguments.txt");

static ARGUMENTS: LazyLock<BTreeMap<&str, Vec<Argument>>> = LazyLock::new(|| parse(TEXT));

/// The arguments of a command by its full name, `container|name` for a subcommand.
pub fn arguments_of(name: &str) -> &'static [Argument] {
    ARGUMENTS.get(name).map_or(&[], Vec::as_slice)
}

fn parse(text: &'static str) -> BTreeMap<&'static str, Vec<Argument>> {
    let mut found: BTreeMap<&str, Vec<Argument>> = BTreeMap::new();
    // An argument may go on in the next line, so the parts of a command are read together.
    let mut rest = text;
    while let Some(line_end) = rest.find('\n') {
        if rest.starts_with('#') {
            rest = &rest[line_end + 1..];
            continue;
        }
        let is_start = |at: &usize| !rest[at + 1..].starts_with(' ');
        let ends = rest.match_indices('\n').map(|(at, _)| at);
        let end = ends.into_iter().find(is_start).expect("invariant: the text ends with a line");
        let name_end = rest.find(' ').expect("invariant: a command has arguments");
        let mut reader = Reader { rest: &rest[name_end..end] };
        found.insert(&rest[..name_end], reader.arguments());
        rest = &rest[end + 1..];
    }
    found
}

struct Reader {
    rest: &'static str,
}

impl Reader {
    /// Up to the end, or to a closing parenthesis, which is taken.
    fn arguments(&mut self) -> Vec<Argument> {
        let mut found = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() || self.takes(")") {
                return found;
            }
            found.push(self.argument());
        }
    }

    fn argument(&mut self) -> Argument {
        let start = self.rest;
        let mut last = self.word();
        let mut name = "";
        // A name may hold a colon itself.
        while self.takes(":") {
            name = &start[..start.len() - self.rest.len() - 1];
            last = self.word();
        }
        let mut argument = Argument { name, kind: kind(last), ..Argument::default() };
        loop {
            if self.takes("#") {
                argument.key_spec = self.word().parse().ok();
            } else if self.takes("?") {
                argument.is_optional = true;
            } else if self.takes("*") {
                argument.is_multiple = true;
            } else if self.takes("+") {
                argument.repeats_token = true;
            } else if self.takes("^") {
                argument.since = Some(self.word());
            } else if self.takes("~") {
                argument.deprecated_since = Some(self.word());
            } else if self.takes("='") {
                let end = self.rest.find('\'').expect("invariant: a token ends");
                argument.token = Some(&self.rest[..end]);
                self.rest = &self.rest[end + 1..];
            } else if self.takes("(") {
                argument.parts = self.arguments();
            } else {
                return argument;
            }
        }
    }

    fn word(&mut self) -> &'static str {
        let is_other = |letter: char| !(letter.is_ascii_alphanumeric() || "._-/".contains(letter));
        let end = self.rest.find(is_other).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn takes(&mut self, mark: &str) -> bool {
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

fn kind(word: &'static str) -> &'static str {
    match word {
        "time" => "unix-time",
        "token" => "pure-token",
        "string" | "integer" | "double" | "pattern" | "key" | "oneof" | "block" => word,
        _ => unreachable!("invariant: {word:?} is no kind of argument"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::command::table::all;

    #[test]
    fn a_line_is_taken_apart() {
        let parsed = parse(
            "# comment\na key:key#0 c:oneof?^2.6(x:token='X'\n   y:integer='Y')\nb|c v:time*+~7\n",
        );
        let a = &parsed["a"];
        let expected =
            Argument { name: "key", kind: "key", key_spec: Some(0), ..Argument::default() };
        assert_eq!((a.len(), &a[0]), (2, &expected));
        assert_eq!((a[1].since, a[1].is_optional, a[1].parts.len()), (Some("2.6"), true, 2));
        assert_eq!((a[1].parts[0].kind, a[1].parts[0].token), ("pure-token", Some("X")));
        assert_eq!((a[1].parts[1].kind, a[1].parts[1].token), ("integer", Some("Y")));
        let v = &parsed["b|c"][0];
        assert!(v.is_multiple && v.repeats_token && !v.is_optional);
        assert_eq!((v.kind, v.deprecated_since), ("unix-time", Some("7")));
    }

    /// What takes words has them described, and what takes none has not.
    #[test]
    fn every_command_with_arguments_has_them_described() {
        let is_wrong = |name: &str, arity: i16, words: i16| {
            let is_described = !arguments_of(name).is_empty();
            let (takes_none, needs_some) = (arity == words, arity.abs() > words);
            is_described && takes_none || !is_described && needs_some
        };
        let mut wrong = Vec::new();
        for spec in all() {
            for subcommand in spec.subcommands {
                let name = format!("{}|{}", spec.name, subcommand.name);
                if is_wrong(&name, subcommand.arity, 2) {
                    wrong.push(name);
                }
            }
            // What nodes say to each other is described nowhere.
            let is_internal = spec.name.starts_with("raft.");
            if spec.subcommands.is_empty() && !is_internal && is_wrong(spec.name, spec.arity, 1) {
                wrong.push(spec.name.to_owned());
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    /// A oneof and a block have parts, nothing else has; a token that stands alone is there.
    #[test]
    fn arguments_are_whole() {
        fn check(command: &str, argument: &Argument) {
            let has_parts = ["oneof", "block"].contains(&argument.kind);
            assert_eq!(has_parts, !argument.parts.is_empty(), "{command} {}", argument.name);
            assert!(argument.kind != "pure-token" || argument.token.is_some(), "{command}");
            argument.parts.iter().for_each(|part| check(command, part));
        }
        assert!(ARGUMENTS.len() > 200);
        for (command, arguments) in ARGUMENTS.iter() {
            arguments.iter().for_each(|argument| check(command, argument));
        }
    }
}
