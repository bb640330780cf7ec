//! The bodies of the fuzz targets, for cargo-fuzz and for `cargo test --test fuzz_smoke` alike.
//!
//! A target takes any bytes and must neither panic nor take memory or time out of proportion. Where
//! more can be said than that, it says it: what is decoded and encoded again is the same, requests
//! that come in pieces are those that come at once, a snapshot that is read holds what was written.
//!
//! The seeds of a target come from the real encoders each time, so that they follow every change of
//! a format; what stands in `tests/fuzz/corpus` beside them are inputs that once found something.

mod commands;
mod config;
mod consensus;
mod frame;
mod input;
mod rdb;
mod resp;
mod restore;
mod snapshot;
mod syntax;

/// One thing that takes bytes from outside.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// For `tests/fuzz_smoke`, which also writes them where a fuzzer finds them.
    #[allow(dead_code)]
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: [Target; 9] = [
    Target { name: "peer_frame", run: frame::peer_frame, seeds: frame::peer_frame_seeds },
    Target { name: "handshake", run: frame::handshake, seeds: frame::handshake_seeds },
    Target { name: "consensus", run: consensus::run, seeds: consensus::seeds },
    Target { name: "resp", run: resp::run, seeds: resp::seeds },
    Target { name: "snapshot", run: snapshot::run, seeds: snapshot::seeds },
    Target { name: "restore", run: restore::run, seeds: restore::seeds },
    Target { name: "rdb", run: rdb::run, seeds: rdb::seeds },
    Target { name: "commands", run: commands::run, seeds: commands::seeds },
    Target { name: "config", run: config::run, seeds: config::seeds },
];

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
