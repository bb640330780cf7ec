//! Settings of Redis that say how it goes about its own work: when it gives memory back, how often
//! it looks at what is due, what it does for files and replicas of a kind that are not here.
//!
//! Configurations and tools set them, and no client of this server can tell one value from another
//! but by asking. So each is taken, kept and told, with Redis's default, and changes nothing. What
//! would change what clients see, and is not to be had here, is not among them: it is a constant,
//! or unknown.

use super::directives::{Directive as D, bytes, number};
use super::value::Kind;

const INT_MAX: i64 = i32::MAX as i64;

const DOC: &str = "is taken and told, and changes nothing here";

const fn yes_no(name: &'static str, default: &'static str) -> D {
    D::unseen(name, default, Kind::YesNo, DOC)
}

const fn count(name: &'static str, default: &'static str, min: i64, max: i64) -> D {
    D::unseen(name, default, number(min, max), DOC)
}

pub(super) static HOUSEKEEPING: &[D] = &[
    // Memory is given back as it becomes free, of large values and whole databases bit by bit.
    yes_no("lazyfree-lazy-eviction", "no"),
    yes_no("lazyfree-lazy-expire", "no"),
    yes_no("lazyfree-lazy-server-del", "no"),
    yes_no("lazyfree-lazy-user-del", "no"),
    yes_no("lazyfree-lazy-user-flush", "no"),
    // Tables grow in segments, and what is due goes by the clock of the log.
    yes_no("activerehashing", "yes"),
    count("hz", "100", 0, INT_MAX),
    yes_no("dynamic-hz", "yes"),
    count("active-expire-effort", "1", 1, 10),
    count("maxmemory-eviction-tenacity", "10", 0, 100),
    // Scripts are bounded by their instructions, and none runs so long that others are told.
    D::unseen("busy-reply-threshold", "5000", Kind::Milliseconds { min: 0, max: i64::MAX }, DOC)
        .alias("lua-time-limit"),
    // Lists, streams and HyperLogLogs lie in memory otherwise: no part of a list is compressed, a
    // stream is trimmed to the entry, and a HyperLogLog is sparse up to 3000 bytes.
    count("list-compress-depth", "0", 0, INT_MAX),
    count("stream-node-max-entries", "100", 0, i64::MAX),
    D::unseen("stream-node-max-bytes", "4096", bytes(0), DOC),
    D::unseen("hll-sparse-max-bytes", "3000", bytes(0), DOC),
    // There are no files of data.
    yes_no("stop-writes-on-bgsave-error", "yes"),
    yes_no("rdbcompression", "yes"),
    yes_no("rdbchecksum", "yes"),
    yes_no("rdb-save-incremental-fsync", "yes"),
    D::unseen("appendfsync", "everysec", Kind::OneOf(&["everysec", "always", "no"]), DOC),
    yes_no("no-appendfsync-on-rewrite", "no"),
    yes_no("aof-load-truncated", "yes"),
    yes_no("aof-use-rdb-preamble", "yes"),
    yes_no("aof-rewrite-incremental-fsync", "yes"),
    count("auto-aof-rewrite-percentage", "100", 0, INT_MAX),
    D::unseen("auto-aof-rewrite-min-size", "64mb", bytes(0), DOC),
    // Replicas follow by the log of consensus; nobody follows a node as Redis's replicas do.
    yes_no("repl-diskless-sync", "yes"),
    count("repl-diskless-sync-delay", "5", 0, INT_MAX),
    count("repl-backlog-ttl", "3600", 0, i64::MAX),
    count("repl-ping-replica-period", "10", 1, INT_MAX).alias("repl-ping-slave-period"),
    yes_no("repl-disable-tcp-nodelay", "no"),
    yes_no("replica-lazy-flush", "no").alias("slave-lazy-flush"),
    count("min-replicas-max-lag", "10", 0, INT_MAX).alias("min-slaves-max-lag"),
    // A majority has every write that is acknowledged, whatever else is asked for.
    D::constant("min-replicas-to-write", "0").alias("min-slaves-to-write"),
    // No client is closed for the memory of all.
    D::constant("maxmemory-clients", "0"),
    // What RESTORE is given is always looked through.
    D::constant("sanitize-dump-payload", "yes"),
    D::constant("enable-protected-configs", "no"),
    D::constant("enable-module-command", "no"),
    D::constant("supervised", "no"),
    D::constant("pidfile", ""),
    D::constant("syslog-enabled", "no"),
    D::constant("oom-score-adj", "no"),
    D::constant("tls-cluster", "no"),
    D::constant("tls-replication", "no"),
];
