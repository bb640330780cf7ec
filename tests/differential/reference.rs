//! The server that a cluster is compared with: redis-server 7.0, or a later one that
//! `MAYFLY_DIFF_SERVER` names.

use std::sync::OnceLock;

/// What the servers are that rows and rules can be about, in the order of what they know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// 7.0: the newest that Debian 12 has, and what is compared with unless told.
    Redis7,
    /// 8.1: grown from Redis 7.2, whose replies are those aimed at.
    Valkey8,
    /// 8.0: knows times to live of the fields of a hash.
    Redis8,
    /// 9.x: knows them, too, and DELIFEQ.
    Valkey9,
}

use Reference::{Redis7, Redis8, Valkey8, Valkey9};

pub const ALL: &[Reference] = &[Redis7, Valkey8, Redis8, Valkey9];
/// Those that Redis 7.2 is not an ancestor of.
pub const BEFORE_7_2: &[Reference] = &[Redis7];
pub const SINCE_7_2: &[Reference] = &[Valkey8, Redis8, Valkey9];
pub const REDIS_8: &[Reference] = &[Redis8];
pub const VALKEY: &[Reference] = &[Valkey8, Valkey9];
pub const VALKEY_9: &[Reference] = &[Valkey9];

static CURRENT: OnceLock<Reference> = OnceLock::new();

impl Reference {
    /// The one of this name in a grammar.
    pub fn named(name: &str) -> Option<Self> {
        let names = ["redis7", "valkey8", "redis8", "valkey9"];
        Some(ALL[names.iter().position(|each| *each == name)?])
    }

    /// The one that INFO tells of: fields of the section `server`.
    pub fn of(info: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let valkey = info("valkey_version").unwrap_or_default();
        let redis = info("redis_version").unwrap_or_default();
        match (valkey.as_str(), redis.as_str()) {
            (version, _) if version.starts_with("8.1.") => Ok(Valkey8),
            (version, _) if version.starts_with("9.") => Ok(Valkey9),
            ("", version) if version.starts_with("7.0.") => Ok(Redis7),
            ("", version) if version.starts_with("8.0.") => Ok(Redis8),
            ("", version) => Err(format!("the differences from Redis {version} are not known")),
            (version, _) => Err(format!("the differences from Valkey {version} are not known")),
        }
    }

    /// From now on this is the one that is compared with.
    pub fn choose(self) {
        let chosen = *CURRENT.get_or_init(|| self);
        assert_eq!(chosen, self, "a test compares with one server");
    }

    /// The one that is compared with.
    pub fn current() -> Self {
        *CURRENT.get_or_init(|| Redis7)
    }
}

/// The command that starts the server, without options.
pub fn server() -> String {
    std::env::var("MAYFLY_DIFF_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}
