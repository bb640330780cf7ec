//! The whole state of a node as a sequence of chunks, for a member that needs entries which the log
//! no longer holds.
//!
//! PURE. [`write()`] turns an engine into chunks, [`Reader`] turns them into an engine that answers
//! every command as the first one does: keys, values in their replicated order and encoding,
//! deadlines, versions, clock, register, hash seed, users, settings, import and whether keys expire
//! by themselves. What consensus needs beside it, a [`crate::raft::SnapshotState`], is a chunk of
//! its own that goes before these ([`write_consensus`], [`read_consensus`]).
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
//! # While the engine goes on
//! All chunks are of one state, that of the moment when [`Writer`] began. The engine is neither
//! copied nor held up for that: the writer walks over the keyspace piece by piece
//! ([`crate::engine::keyspace::Keyspace::begin_walk`]), and what is changed or removed before the
//! walk has come to it leaves its former entry behind, which is written first and dropped. So a
//! snapshot costs the node that makes it the chunks on their way and the former values that wait,
//! for both of which there are bounds in [`crate::limits`]; a write to a key costs a copy of its
//! former value, once per key and snapshot, or less where the value is replaced or removed whole.
//!
//! What a value makes of chunks is written at once, and the first change of a large one copies all
//! of it: a single value of hundreds of megabytes is a pause and that much memory.
//!
//! The chunks hold about 112 bytes for each key of 16 bytes with a value of 64; the receiver needs
//! nothing beside the state that it builds but what is on its way.
//!
//! # Invariants
//! - Nothing read is trusted: any damage is a [`SnapshotError`], never a panic, and leaves nothing
//!   but a [`Reader`] to be dropped.
//! - After a load the digest of the keyspace is that of the one which was written.

mod format;
mod import;
mod libraries;
mod reader;
mod scripts;
mod settings;
#[cfg(test)]
mod tests;
mod users;
mod writer;

pub use format::{CHUNK_BYTES, SnapshotError, read_consensus, write_consensus};
pub use reader::{Loaded, Progress as ReadProgress, Reader};
pub use writer::{Progress as WriteProgress, Writer, write};
