//! The whole state of a node as a sequence of chunks, for a member that needs entries which the log
//! no longer holds.
//!
//! PURE. [`write`] turns an engine into chunks, [`Reader`] turns chunks into an engine that answers
//! every command as the first one does: keys, values in their replicated order and encoding,
//! deadlines, versions, clock, register and hash seed. What consensus needs beside it, a
//! [`crate::raft::SnapshotState`], is a chunk of its own that goes before these
//! ([`write_consensus`], [`read_consensus`]).
//!
//! # Chunks
//! A chunk is one rkyv archive in a [`crate::raft::types::Payload`], which has a checksum and is
//! sent from and received into one aligned buffer. It carries the version of the format and its
//! place in the sequence. It holds whole records: a part of one key's value, with the key. A value
//! of many items (elements, members, fields, entries, or pieces of a long string) goes on in
//! further records, so that a chunk ends soon after [`CHUNK_BYTES`]. Only a single item larger than
//! this (an element, a field with its value) makes a larger chunk; the bound of strings keeps that
//! within a peer frame.
//!
//! # What it costs
//! All chunks are of one state. [`Writer`] works piece by piece, so that whoever shares its core is
//! not held up; but the engine must not change before it is done: on the node that makes the
//! snapshot no entry is applied and no read answered meanwhile. For a million keys of 16 bytes with
//! values of 64 that pause was 0.3 s on a busy 2-vCPU virtual machine, and 1.1 s the first time.
//! From the first chunk sent to the state in use, such a snapshot takes 1.1 to 1.9 s there. The
//! chunks take 112 MB of memory a million of these keys (their bytes and 32 more each) until the
//! last peer has received them, beside the 285 MB of the node; the receiver needs nothing beyond
//! what is on its way.
//!
//! # Invariants
//! - Nothing read is trusted: any damage is a [`SnapshotError`], never a panic, and leaves nothing
//!   but a [`Reader`] to be dropped.
//! - After a load the digest of the keyspace is that of the one which was written.

mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use format::{CHUNK_BYTES, SnapshotError, read_consensus, write_consensus};
pub use reader::{Loaded, Progress as ReadProgress, Reader};
pub use writer::{Progress as WriteProgress, Writer, write};
