//! What commands do with their keys: Redis's key flags
//! (<https://redis.io/docs/latest/develop/reference/key-specs/>), for each key of a command line.
//! Permissions on keys and COMMAND GETKEYSANDFLAGS stand on them.

use bitflags::bitflags;

use super::describe::keys_of;
use super::options::is_word;
use super::{CommandSpec, Flags};

bitflags! {
    /// How a key is used: one of the first four, and what is done with its value.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct KeyAccess: u8 {
        /// The value is not changed, though its metadata may be.
        const RO = 1;
        const RW = 1 << 1;
        /// It is overwritten whatever it was.
        const OW = 1 << 2;
        /// It is removed.
        const RM = 1 << 3;
        /// What the value holds is told, copied or used otherwise.
        const ACCESS = 1 << 4;
        const UPDATE = 1 << 5;
        /// It is added to, and nothing of it changed or removed.
        const INSERT = 1 << 6;
        const DELETE = 1 << 7;
    }
}

impl KeyAccess {
    /// In the words and the order of COMMAND GETKEYSANDFLAGS.
    pub const NAMES: [(Self, &'static str); 8] = [
        (Self::RO, "RO"),
        (Self::RW, "RW"),
        (Self::OW, "OW"),
        (Self::RM, "RM"),
        (Self::ACCESS, "access"),
        (Self::UPDATE, "update"),
        (Self::INSERT, "insert"),
        (Self::DELETE, "delete"),
    ];

    /// The permission to read the key is called for.
    pub fn reads(self) -> bool {
        self.contains(Self::ACCESS)
    }

    /// The permission to write the key is called for.
    pub fn writes(self) -> bool {
        self.intersects(Self::UPDATE.union(Self::INSERT).union(Self::DELETE))
    }

    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = Self::NAMES.into_iter();
        all.filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| name)
    }
}

const LOOK: KeyAccess = KeyAccess::RO;
const READ: KeyAccess = KeyAccess::RO.union(KeyAccess::ACCESS);
const OVERWRITE: KeyAccess = KeyAccess::OW.union(KeyAccess::UPDATE);
const UPDATE: KeyAccess = KeyAccess::RW.union(KeyAccess::UPDATE);
const INSERT: KeyAccess = KeyAccess::RW.union(KeyAccess::INSERT);
const DELETE: KeyAccess = KeyAccess::RW.union(KeyAccess::DELETE);
const TAKE: KeyAccess = DELETE.union(KeyAccess::ACCESS);
const READ_UPDATE: KeyAccess = UPDATE.union(KeyAccess::ACCESS);

/// Where the keys are in `argv`, which starts with the name of the command, and what is done with
/// each of them.
pub fn key_accesses(spec: &CommandSpec, argv: &[&[u8]]) -> Vec<(usize, KeyAccess)> {
    let (first, rest) = first_and_rest(spec, argv);
    let positions = keys_of(spec, argv).into_iter().enumerate();
    positions.map(|(count, at)| (at, if count == 0 { first } else { rest })).collect()
}

/// What is done with the first key, and with the others.
pub(super) type FirstAndRest = (KeyAccess, KeyAccess);

pub(super) fn first_and_rest(spec: &CommandSpec, argv: &[&[u8]]) -> FirstAndRest {
    match argv.get(1).and_then(|name| spec.subcommand(name)) {
        Some(subcommand) => of_subcommand(spec.name, subcommand),
        None => of_command(spec, argv),
    }
}

fn of_subcommand(container: &str, spec: &CommandSpec) -> FirstAndRest {
    let access = match (container, spec.name) {
        ("object" | "memory", _) => LOOK,
        ("xgroup", "create" | "createconsumer") => INSERT,
        ("xgroup", "setid") => UPDATE,
        ("xgroup", _) => DELETE,
        _ if spec.is_write() => READ_UPDATE,
        _ => READ,
    };
    (access, access)
}

fn of_command(spec: &CommandSpec, argv: &[&[u8]]) -> FirstAndRest {
    match spec.name {
        // What they make of the second and further keys, or the second of two.
        "bitop" | "geosearchstore" | "sdiffstore" | "sunionstore" | "zdiffstore"
        | "zinterstore" | "zrangestore" | "zunionstore" => (OVERWRITE, READ),
        "sinterstore" => (UPDATE, READ),
        "pfmerge" => (INSERT.union(KeyAccess::ACCESS), READ),
        "copy" | "georadius" | "georadiusbymember" | "sort" => (READ, OVERWRITE),
        "rename" => (TAKE, OVERWRITE),
        "renamenx" => (TAKE, KeyAccess::OW.union(KeyAccess::INSERT)),
        "blmove" | "brpoplpush" | "lmove" | "rpoplpush" | "smove" => (TAKE, INSERT),
        _ => {
            let access = of_every_key(spec, argv);
            (access, access)
        }
    }
}

fn of_every_key(spec: &CommandSpec, argv: &[&[u8]]) -> KeyAccess {
    match spec.name {
        "exists" | "hexists" | "hlen" | "hstrlen" | "llen" | "scard" | "sismember" | "strlen"
        | "touch" | "type" | "watch" | "xlen" | "zcard" => LOOK,
        "msetnx" | "setnx" => KeyAccess::OW.union(KeyAccess::INSERT),
        "mset" | "psetex" | "restore" | "restore-asking" | "setex" => OVERWRITE,
        "set" if reads_by_set(argv) => READ_UPDATE,
        "set" => OVERWRITE,
        "bitfield" if is_read_by_bitfield(argv) => READ,
        "del" | "unlink" => KeyAccess::RM.union(KeyAccess::DELETE),
        "delifeq" => KeyAccess::RM.union(KeyAccess::DELETE).union(KeyAccess::ACCESS),
        // It puts the counts that it makes into the value.
        "pfcount" | "pfdebug" => KeyAccess::RW.union(KeyAccess::ACCESS),
        // Nothing of the stream is taken away.
        "xreadgroup" => READ,
        "blmpop" | "blpop" | "brpop" | "bzmpop" | "bzpopmax" | "bzpopmin" | "getdel"
        | "hgetdel" | "lmpop" | "lpop" | "migrate" | "rpop" | "spop" | "zmpop" | "zpopmax"
        | "zpopmin" => TAKE,
        "hdel" | "lrem" | "ltrim" | "raft.release" | "srem" | "xautoclaim" | "xdel" | "xtrim"
        | "zrem" | "zremrangebylex" | "zremrangebyrank" | "zremrangebyscore" => DELETE,
        "append" | "hsetnx" | "linsert" | "lpush" | "lpushx" | "pfadd" | "rpush" | "rpushx"
        | "sadd" => INSERT,
        "expire" | "expireat" | "geoadd" | "hexpire" | "hexpireat" | "hmset" | "hpersist"
        | "hpexpire" | "hpexpireat" | "hset" | "hsetex" | "lset" | "persist" | "pexpire"
        | "pexpireat" | "setrange" | "xack" | "xadd" | "xclaim" | "xsetid" | "zadd" => UPDATE,
        // Scripts may do anything with the keys that they are given.
        "eval" | "evalsha" | "fcall" => READ_UPDATE,
        _ if spec.flags.contains(Flags::WRITE) => READ_UPDATE,
        _ => READ,
    }
}

/// Whether SET tells, or depends on, what the key held.
fn reads_by_set(argv: &[&[u8]]) -> bool {
    argv.iter().skip(3).any(|word| is_word(word, "GET") || is_word(word, "IFEQ"))
}

/// Whether BITFIELD has GET operations only. A line with mistakes may count as either: it is
/// refused.
fn is_read_by_bitfield(argv: &[&[u8]]) -> bool {
    let mut rest = argv.get(2..).unwrap_or_default();
    while let [operation, ..] = rest {
        if !is_word(operation, "GET") {
            return false;
        }
        rest = rest.get(3..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::command::table::{all, lookup, spec};

    fn told(line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let spec = spec(lookup(words[0]).unwrap());
        let keys = key_accesses(spec, &words).into_iter().map(|(at, access)| {
            let key = String::from_utf8_lossy(words[at]).into_owned();
            format!("{key}:{}", access.names().collect::<Vec<_>>().join(" "))
        });
        keys.collect::<Vec<_>>().join(", ")
    }

    /// What redis-server tells of these lines by COMMAND GETKEYSANDFLAGS.
    #[test]
    fn what_is_done_with_keys_is_told_as_redis_does() {
        let cases = [
            ("get a", "a:RO access"),
            ("set a 1", "a:OW update"),
            ("set a 1 ex 5 get", "a:RW access update"),
            ("mset a 1 b 2", "a:OW update, b:OW update"),
            ("exists a b", "a:RO, b:RO"),
            ("del a", "a:RM delete"),
            ("getdel a", "a:RW access delete"),
            ("rename a b", "a:RW access delete, b:OW update"),
            ("copy a b", "a:RO access, b:OW update"),
            ("lmove a b left left", "a:RW access delete, b:RW insert"),
            ("bitop and a b c", "a:OW update, b:RO access, c:RO access"),
            ("sinterstore a b", "a:RW update, b:RO access"),
            ("pfmerge a b", "a:RW access insert, b:RO access"),
            ("pfcount a", "a:RW access"),
            ("zunionstore a 2 b c", "a:OW update, b:RO access, c:RO access"),
            ("bitfield a get u8 0", "a:RO access"),
            ("bitfield a get u8 0 set u8 0 1", "a:RW access update"),
            ("bitfield a", "a:RO access"),
            ("sort a by x store b", "a:RO access, b:OW update"),
            ("georadius a 1 2 3 m store b", "a:RO access, b:OW update"),
            ("lpush a 1", "a:RW insert"),
            ("hset a f v", "a:RW update"),
            ("hdel a f", "a:RW delete"),
            ("incr a", "a:RW access update"),
            ("xadd a * f v", "a:RW update"),
            ("xread streams a b 0 0", "a:RO access, b:RO access"),
            ("xreadgroup group g c streams a >", "a:RO access"),
            ("xgroup create a g 0", "a:RW insert"),
            ("xgroup destroy a g", "a:RW delete"),
            ("xgroup setid a g 0", "a:RW update"),
            ("xinfo stream a", "a:RO access"),
            ("object encoding a", "a:RO"),
            ("memory usage a", "a:RO"),
            ("publish a b", ""),
            ("ping", ""),
        ];
        for (line, expected) in cases {
            assert_eq!(told(line), expected, "{line}");
        }
    }

    #[test]
    fn no_command_changes_a_key_that_it_is_said_to_read() {
        for spec in all().filter(|spec| spec.subcommands.is_empty() && spec.keys.first > 0) {
            let words = vec![&b"1"[..]; 12];
            let accesses = key_accesses(spec, &words);
            // Without STORE, or with GET alone, they change nothing.
            let is_read = [
                "bitfield",
                "georadius",
                "georadiusbymember",
                "pfcount",
                "pfdebug",
                "sort",
                "xreadgroup",
            ]
            .contains(&spec.name);
            let writes = accesses.iter().any(|(_, access)| access.writes());
            let changes = spec.is_write() && spec.name != "watch";
            assert!(writes == changes || is_read, "{} {accesses:?}", spec.name);
            let kinds = KeyAccess::RO.union(KeyAccess::RW).union(KeyAccess::OW);
            let kinds = kinds.union(KeyAccess::RM);
            for (_, access) in accesses {
                assert_eq!(access.intersection(kinds).bits().count_ones(), 1, "{}", spec.name);
            }
        }
    }
}
