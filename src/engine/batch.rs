//! Commands in bulk: what one net role gathered in one pass of its event loop.
//!
//! The writes of a pass form one [`Batch`], archived with rkyv: that archive is the payload of the
//! log entry, sent to every peer and applied in place on every node. The reads of a pass have the
//! same form but are never archived. [`Commands`] walks over either without decoding anything.
//!
//! `shape` holds, for each command, the word `command | database << 16`, the word `argc`, and
//! `argc` argument lengths; `blob` holds the bytes of all arguments, one after the other. The name
//! of the command is not an argument.

use rkyv::rend::u32_le;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Serialize};
use smallvec::SmallVec;

use super::command::{CommandId, command_count};

#[derive(Archive, Serialize, Clone, Debug, Default)]
pub struct Batch {
    shape: Vec<u32_le>,
    blob: Vec<u8>,
}

/// The arguments of one command, without its name. Most commands have at most 4.
pub type Arguments<'a> = SmallVec<[&'a [u8]; 8]>;

impl Batch {
    pub fn push(&mut self, command: CommandId, database: u8, arguments: &[&[u8]]) {
        let count = u32::try_from(arguments.len()).expect("invariant: the parser bounds argc");
        self.shape.push((u32::from(command.0) | u32::from(database) << 16).into());
        self.shape.push(count.into());
        for argument in arguments {
            let len = u32::try_from(argument.len()).expect("invariant: the parser bounds lengths");
            self.shape.push(len.into());
            self.blob.extend_from_slice(argument);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.shape.is_empty()
    }

    /// Bytes held, for the bounds of whoever queues the batch.
    pub fn bytes(&self) -> usize {
        self.shape.len() * 4 + self.blob.len()
    }

    pub fn clear(&mut self) {
        self.shape.clear();
        self.blob.clear();
    }

    /// The payload of a log entry.
    pub fn to_archive(&self) -> AlignedVec {
        rkyv::to_bytes::<rkyv::rancor::Error>(self)
            .expect("invariant: plain vectors always archive")
    }

    pub fn commands(&self) -> Commands<'_> {
        Commands { shape: &self.shape, blob: &self.blob }
    }
}

/// Why the payload of an entry is not a batch.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BatchError {
    #[error("the archive is damaged")]
    Archive,
    #[error("the lengths of a batch do not add up")]
    Shape,
    #[error("command id {0} is not in the command table")]
    UnknownCommand(u16),
}

impl ArchivedBatch {
    /// Checks everything that [`Commands`] relies on: to be called once for bytes from a peer.
    pub fn validate(bytes: &[u8]) -> Result<(), BatchError> {
        let batch = rkyv::access::<ArchivedBatch, rkyv::rancor::Failure>(bytes)
            .map_err(|_| BatchError::Archive)?;
        batch.validate_shape()
    }

    fn validate_shape(&self) -> Result<(), BatchError> {
        let mut words = self.shape.iter().map(|word| word.to_native());
        let mut blob_len = 0usize;
        while let Some(head) = words.next() {
            let command = head as u16;
            if usize::from(command) >= command_count() {
                return Err(BatchError::UnknownCommand(command));
            }
            let argc = words.next().ok_or(BatchError::Shape)?;
            for _ in 0..argc {
                let len = words.next().ok_or(BatchError::Shape)?;
                blob_len += len as usize;
            }
        }
        if blob_len == self.blob.len() { Ok(()) } else { Err(BatchError::Shape) }
    }

    /// Walks over a batch that was validated when it arrived, or that this node made.
    pub fn commands(bytes: &[u8]) -> Commands<'_> {
        let batch = rkyv::access::<ArchivedBatch, rkyv::rancor::Failure>(bytes)
            .expect("invariant: payloads are validated before they enter the log");
        Commands { shape: &batch.shape, blob: &batch.blob }
    }
}

/// Iterates over the commands of a batch.
#[derive(Clone)]
pub struct Commands<'a> {
    shape: &'a [u32_le],
    blob: &'a [u8],
}

/// One command of a batch.
#[derive(Debug, PartialEq, Eq)]
pub struct Command<'a> {
    pub id: CommandId,
    pub database: u8,
    pub arguments: Arguments<'a>,
}

impl<'a> Commands<'a> {
    /// Database and first argument of each command that has one: the key, of most commands.
    pub fn first_arguments(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let Self { mut shape, mut blob } = *self;
        std::iter::from_fn(move || {
            loop {
                let (head, rest) = shape.split_first()?;
                let (argc, rest) = rest.split_first().expect("invariant: validated shape");
                let (lens, rest) = rest.split_at(argc.to_native() as usize);
                shape = rest;
                let first = lens.first().map(|len| &blob[..len.to_native() as usize]);
                let len: usize = lens.iter().map(|len| len.to_native() as usize).sum();
                blob = &blob[len..];
                if let Some(first) = first {
                    return Some(((head.to_native() >> 16) as u8, first));
                }
            }
        })
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Command<'a>;

    #[inline]
    fn next(&mut self) -> Option<Command<'a>> {
        let (head, rest) = self.shape.split_first()?;
        let (argc, rest) = rest.split_first().expect("invariant: validated shape");
        let (lens, rest) = rest.split_at(argc.to_native() as usize);
        self.shape = rest;
        let mut arguments = Arguments::new();
        for len in lens {
            let (argument, blob) = self.blob.split_at(len.to_native() as usize);
            self.blob = blob;
            arguments.push(argument);
        }
        let head = head.to_native();
        Some(Command { id: CommandId(head as u16), database: (head >> 16) as u8, arguments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Batch {
        let mut batch = Batch::default();
        batch.push(CommandId(0), 0, &[b"k", b"v"]);
        batch.push(CommandId(1), 15, &[]);
        batch.push(CommandId(0), 3, &[b"", b"\0\xff", b"x"]);
        batch
    }

    #[test]
    fn an_archive_holds_the_same_commands() {
        let batch = sample();
        let archive = batch.to_archive();
        ArchivedBatch::validate(&archive).unwrap();
        let archived: Vec<_> = ArchivedBatch::commands(&archive).collect();
        assert_eq!(archived, batch.commands().collect::<Vec<_>>());
        assert_eq!(archived.len(), 3);
        assert_eq!(archived[2].arguments.as_slice(), [&b""[..], b"\0\xff", b"x"]);
    }

    #[test]
    fn damaged_archives_are_refused_and_never_panic() {
        let archive = sample().to_archive();
        for cut in 0..archive.len() {
            let mut shorter = AlignedVec::<16>::new();
            shorter.extend_from_slice(&archive[..cut]);
            assert!(ArchivedBatch::validate(&shorter).is_err());
        }
        for position in 0..archive.len() {
            for bit in 0..8 {
                let mut flipped = archive.clone();
                flipped[position] ^= 1 << bit;
                if ArchivedBatch::validate(&flipped).is_ok() {
                    ArchivedBatch::commands(&flipped).for_each(drop);
                }
            }
        }
    }
}
