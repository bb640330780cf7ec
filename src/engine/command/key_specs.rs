//! Where the keys of a command are, in the form of Redis 7.0
//! (<https://redis.io/docs/latest/develop/reference/key-specs/>): clients and proxies find them by
//! it without knowing the command.

use super::access::{FirstAndRest, KeyAccess, first_and_rest};
use super::{CommandSpec, Flags, Keys};

/// One place where keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    pub begin: Begin,
    pub find: Find,
    /// `None`: what looks like a key is the name of a channel.
    pub access: Option<KeyAccess>,
    /// What is done depends on other words, and may be less.
    pub is_variable: bool,
    /// It may miss keys.
    pub is_incomplete: bool,
}

/// How the first key is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    Index(i16),
    /// Behind this word, looked for from a position on, from the end if that is negative.
    Keyword(&'static str, i16),
    Unknown,
}

/// How the further keys are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to `last`, counted from the first one, or from the end if it is negative. If it is -1 a
    /// limit above 1 says which part of the words that follow are keys.
    Range {
        last: i16,
        step: i16,
        limit: i16,
    },
    /// Their number stands at the beginning, and they follow it.
    Number,
    Unknown,
}

const ONE: Find = Find::Range { last: 0, step: 1, limit: 0 };
const TO_END: Find = Find::Range { last: -1, step: 1, limit: 0 };
/// The other half of the words are ids.
const HALF: Find = Find::Range { last: -1, step: 1, limit: 2 };

type Place = (Begin, Find);

/// The specifications of a command, or of a subcommand of `container`.
pub fn key_specs(spec: &CommandSpec, container: Option<&CommandSpec>) -> Vec<KeySpec> {
    let accesses = match container {
        Some(container) => first_and_rest(container, &[b"", spec.name.as_bytes()]),
        None => first_and_rest(spec, &[spec.name.as_bytes()]),
    };
    let places = match container {
        None => places_of(spec),
        Some(_) => default_places(spec),
    };
    let makes = |(count, place)| make(spec, accesses, count, place);
    places.into_iter().enumerate().map(makes).collect()
}

fn make(
    spec: &CommandSpec,
    (first, rest): FirstAndRest,
    count: usize,
    (begin, find): Place,
) -> KeySpec {
    let read_update = KeyAccess::RW.union(KeyAccess::ACCESS).union(KeyAccess::UPDATE);
    let is_variable = ["bitfield", "set"].contains(&spec.name);
    let access = match count {
        _ if spec.flags.contains(Flags::PUBSUB) => None,
        _ if is_variable => Some(read_update),
        // What BY and GET of SORT name.
        1 if spec.name == "sort" => Some(first),
        0 => Some(first),
        _ => Some(rest),
    };
    let is_incomplete = spec.name == "migrate" && count == 1;
    KeySpec { begin, find, access, is_variable, is_incomplete }
}

fn places_of(spec: &CommandSpec) -> Vec<Place> {
    use Begin::{Index, Keyword, Unknown};
    match spec.name {
        "blmpop" | "bzmpop" | "eval" | "eval_ro" | "evalsha" | "evalsha_ro" | "fcall"
        | "fcall_ro" => vec![(Index(2), Find::Number)],
        "lmpop" | "sintercard" | "zdiff" | "zinter" | "zintercard" | "zmpop" | "zunion" => {
            vec![(Index(1), Find::Number)]
        }
        "zdiffstore" | "zinterstore" | "zunionstore" => {
            vec![(Index(1), ONE), (Index(2), Find::Number)]
        }
        "blmove" | "brpoplpush" | "copy" | "geosearchstore" | "lmove" | "rename" | "renamenx"
        | "rpoplpush" | "smove" | "zrangestore" => vec![(Index(1), ONE), (Index(2), ONE)],
        "pfmerge" | "sdiffstore" | "sinterstore" | "sunionstore" => {
            vec![(Index(1), ONE), (Index(2), TO_END)]
        }
        "bitop" => vec![(Index(2), ONE), (Index(3), TO_END)],
        "georadius" => {
            vec![(Index(1), ONE), (Keyword("STORE", 6), ONE), (Keyword("STOREDIST", 6), ONE)]
        }
        "georadiusbymember" => {
            vec![(Index(1), ONE), (Keyword("STORE", 5), ONE), (Keyword("STOREDIST", 5), ONE)]
        }
        "migrate" => vec![(Index(3), ONE), (Keyword("KEYS", -2), TO_END)],
        "sort" => {
            vec![(Index(1), ONE), (Unknown, Find::Unknown), (Unknown, Find::Unknown)]
        }
        "sort_ro" => vec![(Index(1), ONE), (Unknown, Find::Unknown)],
        "xread" => vec![(Keyword("STREAMS", 1), HALF)],
        "xreadgroup" => vec![(Keyword("STREAMS", 4), HALF)],
        _ => default_places(spec),
    }
}

fn default_places(spec: &CommandSpec) -> Vec<Place> {
    let Keys { first, last, step } = spec.keys;
    if first <= 0 {
        return Vec::new();
    }
    let last = if last < 0 { last } else { last - first };
    vec![(Begin::Index(first), Find::Range { last, step, limit: 0 })]
}
