//! Commands in bulk: what one net role gathered in one pass of its event loop.
//!
//! The writes of a pass form one [`Batch`], archived with rkyv: that archive is the payload of the
//! log entry, sent to every peer and applied in place on every node. The reads of a pass have the
//! same form but are never archived. [`Commands`] walks over either without decoding anything.
//!
//! `shape` holds, for each command, the word `command | database << 16 | marks << 24`, the word
//! `argc`, `argc` argument lengths, and what the marks call for; `blob` holds the bytes of all
//! arguments, one after the other. The name of the command is not an argument.
//!
//! Few commands have marks: those that leave something behind for the session of their client tell
//! its number (2 words, the low one first), and EXEC how many of the following commands are its
//! transaction (1 word). These are of the same batch, hence of the same entry. Three marks have no
//! words: of clients whose commands do not count as uses of keys, of users whose scripts have to be
//! checked, whose name is then the last of the arguments, and of names that were sent in capitals,
//! which decide nothing and are shown so.

use std::borrow::Cow;

use rkyv::rend::u32_le;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Serialize};
use smallvec::SmallVec;

use super::command::{CommandId, command_count, spec};
use super::reply::Protocol;

#[derive(Archive, Serialize, Clone, Debug, Default)]
pub struct Batch {
    shape: Vec<u32_le>,
    blob: Vec<u8>,
}

/// The session of the client is told, and it speaks RESP2 unless [`MARK_RESP3`] is there too.
const MARK_SESSION: u32 = 1 << 24;
const MARK_RESP3: u32 = 1 << 25;
/// A transaction follows.
const MARK_GROUP: u32 = 1 << 26;
/// What it looks at does not count as used.
const MARK_HIDES_USAGE: u32 = 1 << 27;
/// The last argument is the name of the user.
const MARK_USER: u32 = 1 << 28;
/// The name was sent in capitals.
const MARK_CAPITALS: u32 = 1 << 29;
/// What calls for a closer look.
const MARKS_READ: u32 = (u32::MAX << 24) & !MARK_CAPITALS;

/// What an archive has beside the contents of its vectors: where each is, and padding before that.
const ARCHIVE_BYTES_BESIDE: usize = size_of::<ArchivedBatch>() + align_of::<ArchivedBatch>();

/// The client of a command that leaves something behind for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Number of its session among those of its node, never used twice by a process.
    pub session: u64,
    pub protocol: Protocol,
}

/// What of a client decides how its command is run. Nothing of most clients does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sender<'a> {
    /// It asked by CLIENT NO-TOUCH not to be noticed.
    pub hides_usage: bool,
    /// Who may not do everything, if the command is a script.
    pub user: Option<&'a [u8]>,
}

/// A command as it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called {
    pub id: CommandId,
    /// By its first letter: whoever mixes letters sees them all alike.
    pub in_capitals: bool,
}

impl Called {
    /// Precondition: `name` is that of command `id` in letters of any case.
    #[inline]
    pub fn by(name: &[u8], id: CommandId) -> Self {
        Self { id, in_capitals: name.first().is_some_and(u8::is_ascii_uppercase) }
    }
}

impl From<CommandId> for Called {
    fn from(id: CommandId) -> Self {
        Self { id, in_capitals: false }
    }
}

/// The arguments of one command, without its name. Most commands have at most 4.
pub type Arguments<'a> = SmallVec<[&'a [u8]; 8]>;

impl Batch {
    pub fn push(&mut self, command: CommandId, database: u8, arguments: &[&[u8]]) {
        self.push_marked(0, command, database, arguments);
    }

    /// A command that does not count as a use of its keys.
    pub fn push_unnoticed(&mut self, command: CommandId, database: u8, arguments: &[&[u8]]) {
        self.push_marked(MARK_HIDES_USAGE, command, database, arguments);
    }

    /// A command that is run as of this client.
    #[inline]
    pub fn push_of(
        &mut self,
        sender: Sender<'_>,
        command: impl Into<Called>,
        database: u8,
        arguments: &[&[u8]],
    ) {
        let command = command.into();
        match sender.user {
            None => {
                let marks = if sender.hides_usage { MARK_HIDES_USAGE } else { 0 };
                self.push_marked(marks | mark_of(command), command.id, database, arguments);
            }
            Some(user) => self.push_checked(sender, user, command, database, arguments),
        }
    }

    #[cold]
    fn push_checked(
        &mut self,
        sender: Sender<'_>,
        user: &[u8],
        command: Called,
        database: u8,
        arguments: &[&[u8]],
    ) {
        let hides = if sender.hides_usage { MARK_HIDES_USAGE } else { 0 };
        let words: Arguments<'_> = arguments.iter().copied().chain([user]).collect();
        self.push_marked(MARK_USER | hides | mark_of(command), command.id, database, &words);
    }

    /// A command that tells who sent it.
    pub fn push_for(
        &mut self,
        caller: Caller,
        command: impl Into<Called>,
        database: u8,
        arguments: &[&[u8]],
    ) {
        let command = command.into();
        let marks = marks_of(caller) | mark_of(command);
        self.push_marked(marks, command.id, database, arguments);
        self.push_session(caller.session);
    }

    /// A transaction: EXEC, and the `count` commands in `queued`, which stand in no other batch
    /// than itself. Watched keys are of the session of `caller`.
    pub fn push_transaction(
        &mut self,
        caller: Option<Caller>,
        exec: CommandId,
        queued: &Batch,
        count: u32,
    ) {
        self.push_marked(MARK_GROUP | caller.map_or(0, marks_of), exec, 0, &[]);
        if let Some(caller) = caller {
            self.push_session(caller.session);
        }
        self.shape.push(count.into());
        self.append(queued);
    }

    /// Commands that are run as one under conditions which the arguments of their head tell: a unit
    /// of what is imported.
    pub fn push_unit(&mut self, head: CommandId, words: &[&[u8]], commands: &Batch, count: u32) {
        self.push_marked(MARK_GROUP, head, 0, words);
        self.shape.push(count.into());
        self.append(commands);
    }

    /// All commands of another one behind those that are here.
    pub fn append(&mut self, other: &Batch) {
        self.shape.extend_from_slice(&other.shape);
        self.blob.extend_from_slice(&other.blob);
    }

    fn push_session(&mut self, session: u64) {
        self.shape.push((session as u32).into());
        self.shape.push(((session >> 32) as u32).into());
    }

    fn push_marked(&mut self, marks: u32, command: CommandId, database: u8, arguments: &[&[u8]]) {
        let count = u32::try_from(arguments.len()).expect("invariant: the parser bounds argc");
        self.shape.push((u32::from(command.0) | u32::from(database) << 16 | marks).into());
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
        // Made in a buffer that need not grow: each doubling of one would be memory that was not
        // used before, which the kernel clears, and a copy.
        let room = AlignedVec::with_capacity(self.bytes() + ARCHIVE_BYTES_BESIDE);
        rkyv::api::high::to_bytes_in::<_, rkyv::rancor::Error>(self, room)
            .expect("invariant: plain vectors always archive")
    }

    pub fn commands(&self) -> Commands<'_> {
        Commands { shape: &self.shape, blob: &self.blob }
    }
}

fn marks_of(caller: Caller) -> u32 {
    match caller.protocol {
        Protocol::Resp2 => MARK_SESSION,
        Protocol::Resp3 => MARK_SESSION | MARK_RESP3,
    }
}

#[inline]
fn mark_of(command: Called) -> u32 {
    if command.in_capitals { MARK_CAPITALS } else { 0 }
}

/// How many words the marks of a command add to its shape.
#[inline]
fn marked_words(head: u32) -> usize {
    (head & MARK_SESSION != 0) as usize * 2 + (head & MARK_GROUP != 0) as usize
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
        // How many commands the transaction lacks that is being read.
        let mut missing = 0;
        while let Some(head) = words.next() {
            let command = head as u16;
            if usize::from(command) >= command_count() {
                return Err(BatchError::UnknownCommand(command));
            }
            let argc = words.next().ok_or(BatchError::Shape)?;
            if head & MARK_USER != 0 && argc == 0 {
                return Err(BatchError::Shape);
            }
            for _ in 0..argc {
                let len = words.next().ok_or(BatchError::Shape)?;
                blob_len += len as usize;
            }
            let mut last = 0;
            for _ in 0..marked_words(head) {
                last = words.next().ok_or(BatchError::Shape)?;
            }
            match (head & MARK_GROUP != 0, missing) {
                (true, 0) => missing = last,
                (true, _) => return Err(BatchError::Shape),
                (false, _) => missing = missing.saturating_sub(1),
            }
        }
        let is_whole = blob_len == self.blob.len() && missing == 0;
        if is_whole { Ok(()) } else { Err(BatchError::Shape) }
    }

    /// Walks over a batch that was validated when it arrived, or that this node made.
    pub fn commands(bytes: &[u8]) -> Commands<'_> {
        let batch = rkyv::access::<ArchivedBatch, rkyv::rancor::Failure>(bytes)
            .expect("invariant: payloads are validated before they enter the log");
        Commands { shape: &batch.shape, blob: &batch.blob }
    }
}

/// Iterates over the commands of a batch.
#[derive(Clone, Default)]
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
    /// Who sent it, if it leaves something behind.
    pub caller: Option<Caller>,
    /// How many of the next commands are its transaction.
    pub group: Option<u32>,
    /// What of the client that sent it decides how it is run.
    pub sender: Sender<'a>,
    /// How its name was sent.
    pub in_capitals: bool,
}

impl<'a> Command<'a> {
    /// A command without marks.
    pub fn new(id: CommandId, database: u8, arguments: Arguments<'a>) -> Self {
        let sender = Sender::default();
        Self { id, database, arguments, caller: None, group: None, sender, in_capitals: false }
    }

    /// Its name as it was sent.
    pub fn name(&self) -> Cow<'static, [u8]> {
        let name = spec(self.id).name.as_bytes();
        if self.in_capitals { name.to_ascii_uppercase().into() } else { name.into() }
    }

    /// How it was called.
    pub fn called(&self) -> Called {
        Called { id: self.id, in_capitals: self.in_capitals }
    }
}

impl<'a> Commands<'a> {
    #[cold]
    fn read_marks(&mut self, head: u32, command: &mut Command<'a>) {
        let (words, rest) = self.shape.split_at(marked_words(head));
        self.shape = rest;
        let mut words = words.iter().map(|word| word.to_native());
        let mut next = || words.next().expect("invariant: validated shape");
        if head & MARK_SESSION != 0 {
            let session = u64::from(next()) | u64::from(next()) << 32;
            let is_resp3 = head & MARK_RESP3 != 0;
            let protocol = if is_resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
            command.caller = Some(Caller { session, protocol });
        }
        if head & MARK_GROUP != 0 {
            command.group = Some(next());
        }
        command.sender.hides_usage = head & MARK_HIDES_USAGE != 0;
        if head & MARK_USER != 0 {
            command.sender.user = command.arguments.pop();
        }
    }

    /// Passes over the next command, and the transaction that it begins.
    pub fn skip_next(&mut self) {
        if let Some(Command { group: Some(count), .. }) = self.next() {
            self.take(count as usize).for_each(drop);
        }
    }

    /// Whether this may be more than one command: it is, if there are enough words for two with
    /// two arguments each.
    #[inline]
    pub fn may_be_several(&self) -> bool {
        self.shape.len() >= 8
    }

    /// Database and first argument of each command that has one: the key, of most commands.
    pub fn first_arguments(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let Self { mut shape, mut blob } = *self;
        std::iter::from_fn(move || {
            loop {
                let (head, rest) = shape.split_first()?;
                let (argc, rest) = rest.split_first().expect("invariant: validated shape");
                let (lens, rest) = rest.split_at(argc.to_native() as usize);
                shape = &rest[marked_words(head.to_native())..];
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
        let mut command = Command::new(CommandId(head as u16), (head >> 16) as u8, arguments);
        command.in_capitals = head & MARK_CAPITALS != 0;
        if head & MARKS_READ != 0 {
            self.read_marks(head, &mut command);
        }
        Some(command)
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
        batch.push_for(caller(Protocol::Resp3), CommandId(2), 1, &[b"k"]);
        let mut queued = Batch::default();
        queued.push(CommandId(3), 2, &[b"in"]);
        queued.push(CommandId(4), 2, &[]);
        batch.push_transaction(None, CommandId(5), &queued, 2);
        batch.push_transaction(Some(caller(Protocol::Resp2)), CommandId(5), &queued, 2);
        let loud = Called { id: CommandId(6), in_capitals: true };
        batch.push_of(UNNOTICED, loud, 7, &[b"seen"]);
        batch.push_of(Sender { user: Some(b"u"), ..UNNOTICED }, CommandId(6), 7, &[b"seen"]);
        batch.push_of(Sender { user: Some(b"u"), ..Sender::default() }, CommandId(6), 7, &[]);
        batch
    }

    const UNNOTICED: Sender<'static> = Sender { hides_usage: true, user: None };

    fn caller(protocol: Protocol) -> Caller {
        Caller { session: 7 << 32 | 1, protocol }
    }

    #[test]
    fn an_archive_holds_the_same_commands() {
        let batch = sample();
        let archive = batch.to_archive();
        ArchivedBatch::validate(&archive).unwrap();
        let archived: Vec<_> = ArchivedBatch::commands(&archive).collect();
        assert_eq!(archived, batch.commands().collect::<Vec<_>>());
        assert_eq!(archived.len(), 13);
        let senders: Vec<_> = archived[9..].iter().map(|command| command.sender).collect();
        let user = Some(&b"u"[..]);
        let checked = Sender { user, ..Sender::default() };
        assert_eq!(senders, [Sender::default(), UNNOTICED, Sender { user, ..UNNOTICED }, checked]);
        assert_eq!((archived[11].arguments.len(), archived[12].arguments.len()), (1, 0));
        assert_eq!(archived[2].arguments.as_slice(), [&b""[..], b"\0\xff", b"x"]);
        let loud: Vec<_> = archived.iter().map(|command| command.in_capitals).collect();
        assert!(loud.iter().enumerate().all(|(at, loud)| *loud == (at == 10)), "{loud:?}");
        assert_eq!(archived[3].caller, Some(caller(Protocol::Resp3)));
        assert_eq!((archived[4].caller, archived[4].group), (None, Some(2)));
        assert_eq!(archived[5].arguments.as_slice(), [&b"in"[..]]);
        assert_eq!(
            (archived[7].caller, archived[7].group),
            (Some(caller(Protocol::Resp2)), Some(2))
        );
        let firsts: Vec<_> = batch.commands().first_arguments().collect();
        let expected: [(u8, &[u8]); 6] =
            [(0, b"k"), (3, b""), (1, b"k"), (2, b"in"), (2, b"in"), (7, b"seen")];
        assert_eq!(firsts[..6], expected);
        assert_eq!(firsts[6], (7, &b"seen"[..]));
    }

    #[test]
    fn an_archive_is_made_without_growing() {
        for argument_len in 0..40 {
            let mut batch = sample();
            batch.push(CommandId(0), 0, &[&vec![b'x'; argument_len]]);
            let archive = batch.to_archive();
            assert_eq!(archive.capacity(), batch.bytes() + ARCHIVE_BYTES_BESIDE);
        }
        assert!(!Batch::default().to_archive().is_empty());
    }

    #[test]
    fn a_command_of_a_user_has_its_name() {
        let shape = [MARK_USER, 0].map(u32_le::from_native).to_vec();
        let nameless = Batch { shape, blob: Vec::new() };
        assert_eq!(ArchivedBatch::validate(&nameless.to_archive()), Err(BatchError::Shape));
    }

    #[test]
    fn a_transaction_is_whole_and_holds_no_other() {
        let (mut queued, mut nested, mut cut) = Default::default();
        Batch::push(&mut queued, CommandId(0), 0, &[b"k"]);
        Batch::push_transaction(&mut nested, None, CommandId(1), &queued, 1);
        let mut outer = Batch::default();
        outer.push_transaction(None, CommandId(1), &nested, 2);
        assert_eq!(ArchivedBatch::validate(&outer.to_archive()), Err(BatchError::Shape));
        Batch::push_transaction(&mut cut, None, CommandId(1), &queued, 2);
        assert_eq!(ArchivedBatch::validate(&cut.to_archive()), Err(BatchError::Shape));
        assert_eq!(ArchivedBatch::validate(&nested.to_archive()), Ok(()));
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
