//! Commands that Redis 7.2 advises not to use any more, with what takes their place, and those that
//! are for Redis itself: facts that COMMAND DOCS tells, as clients know them from Redis.

/// Why and since when a command is better not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superseded {
    /// The version of Redis that said so first.
    pub since: &'static str,
    pub replaced_by: &'static str,
}

/// What took the place of the command of this full name.
pub fn superseded(name: &str) -> Option<Superseded> {
    let found = SUPERSEDED.iter().find(|(superseded, _, _)| *superseded == name);
    found.map(|&(_, since, replaced_by)| Superseded { since, replaced_by })
}

/// Whether the command of this name is for Redis itself and its tests.
pub fn is_of_system(name: &str) -> bool {
    OF_SYSTEM.contains(&name)
}

const OF_SYSTEM: [&str; 5] = ["debug", "pfdebug", "pfselftest", "replconf", "restore-asking"];

#[rustfmt::skip]
const SUPERSEDED: [(&str, &str, &str); 21] = [
    ("brpoplpush", "6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
    ("cluster|slaves", "5.0.0", "`CLUSTER REPLICAS`"),
    ("cluster|slots", "7.0.0", "`CLUSTER SHARDS`"),
    ("georadius", "6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
    ("georadius_ro", "6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
    ("georadiusbymember", "6.2.0",
        "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    ("georadiusbymember_ro", "6.2.0",
        "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    ("getset", "6.2.0", "`SET` with the `!GET` argument"),
    ("hmset", "4.0.0", "`HSET` with multiple field-value pairs"),
    ("psetex", "2.6.12", "`SET` with the `PX` argument"),
    ("quit", "7.2.0", "just closing the connection"),
    ("rpoplpush", "6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
    ("setex", "2.6.12", "`SET` with the `EX` argument"),
    ("setnx", "2.6.12", "`SET` with the `NX` argument"),
    ("slaveof", "5.0.0", "`REPLICAOF`"),
    ("substr", "2.0.0", "`GETRANGE`"),
    ("zrangebylex", "6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    ("zrangebyscore", "6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    ("zrevrange", "6.2.0", "`ZRANGE` with the `REV` argument"),
    ("zrevrangebylex", "6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    ("zrevrangebyscore", "6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::command::{lookup, spec};

    #[test]
    fn every_name_is_a_command() {
        let names = SUPERSEDED.iter().map(|(name, _, _)| *name).chain(OF_SYSTEM);
        for name in names {
            let (command, subcommand) = name.split_once('|').unwrap_or((name, ""));
            let found = spec(lookup(command.as_bytes()).expect(name));
            assert!(subcommand.is_empty() || found.subcommand(subcommand.as_bytes()).is_some());
        }
        assert!(superseded("set").is_none() && !is_of_system("set"));
        assert_eq!(superseded("substr").map(|it| it.replaced_by), Some("`GETRANGE`"));
    }
}
