//! What the source sends behind its snapshot: its writes, as it hands them to its replicas.

use super::link::Link;
use super::propose::{Proposer, Tend};
use super::session::SessionError;
use crate::engine::batch::Batch;
use crate::engine::command::{CommandId, Flags, Handler, lookup, resolve, spec};
use crate::engine::import::Reached;
use crate::engine::keyspace::DATABASE_COUNT;
use crate::engine::number::parse_integer;
use crate::limits::{IMPORT_UNIT_BYTES, IMPORT_UNIT_COMMANDS, TRANSACTION_BYTES_MAX};
use crate::net::resp::{Authentication, Limits, ParseState, Parsed, Words, parse};

/// What the source sends is within its own bounds; a single command has to fit into a unit.
const LIMITS: Limits = Limits {
    words_max: i64::MAX,
    bulk_bytes_max: TRANSACTION_BYTES_MAX as i64,
    authentication: Authentication::Done,
};

/// Follows the source from what is reached, until the session ends.
pub fn run(proposer: &mut Proposer, link: &mut Link, reached: Reached) -> Result<(), SessionError> {
    let mut state = ParseState::default();
    let mut found = Words::default();
    let mut gathered = Gathered::new(reached);
    loop {
        match parse(link.bytes(), &LIMITS, &mut state, &mut found) {
            Ok(Parsed::Request { consumed }) => {
                let asks = gathered.take(&found.slices(link.bytes()))?;
                if asks {
                    link.asked_at = Some(gathered.reached.offset);
                }
                link.take(consumed);
                gathered.reached.offset += consumed as u64;
                if gathered.is_full() {
                    gathered.flush(proposer, link)?;
                }
            }
            Ok(Parsed::Empty { consumed }) => {
                link.take(consumed);
                gathered.reached.offset += consumed as u64;
            }
            Ok(Parsed::Incomplete) => {
                gathered.flush(proposer, link)?;
                link.read_some()?;
                let import = proposer.check()?;
                link.tend(&import)?;
            }
            Err(error) => return Err(SessionError::Lost(error.to_string())),
        }
    }
}

/// Commands that are not proposed yet.
struct Gathered {
    batch: Batch,
    count: u32,
    /// What is reached with them.
    reached: Reached,
    /// What was proposed last.
    proposed_offset: u64,
    /// Between MULTI and EXEC: what belongs together stays together.
    is_open: bool,
}

impl Gathered {
    fn new(reached: Reached) -> Self {
        let proposed_offset = reached.offset;
        Self { batch: Batch::default(), count: 0, reached, proposed_offset, is_open: false }
    }

    fn is_full(&self) -> bool {
        self.batch.bytes() >= IMPORT_UNIT_BYTES || self.count >= IMPORT_UNIT_COMMANDS
    }

    fn flush(&mut self, proposer: &mut Proposer, link: &mut Link) -> Result<(), SessionError> {
        if self.batch.bytes() > TRANSACTION_BYTES_MAX {
            return Err(SessionError::Failed("a transaction is more than fits".to_owned()));
        }
        if self.is_open || self.reached.offset == self.proposed_offset {
            return Ok(());
        }
        proposer.propose(self.reached.clone(), &self.batch, self.count, link)?;
        self.proposed_offset = self.reached.offset;
        self.batch.clear();
        self.count = 0;
        Ok(())
    }

    /// Takes a command; whether it asks how far this replica is.
    fn take(&mut self, words: &[&[u8]]) -> Result<bool, SessionError> {
        let is = |at: usize, word: &str| {
            words.get(at).is_some_and(|it| it.eq_ignore_ascii_case(word.as_bytes()))
        };
        if is(0, "ping") {
            return Ok(false);
        }
        if is(0, "replconf") {
            return Ok(is(1, "getack"));
        }
        if is(0, "select") {
            let database = words.get(1).and_then(|word| parse_integer(word)).unwrap_or(-1);
            let known = u8::try_from(database).ok().filter(|it| *it < DATABASE_COUNT);
            self.reached.database = known.ok_or_else(|| {
                let why = format!("the source writes to database {database}, which is not here");
                SessionError::Failed(why)
            })?;
            return Ok(false);
        }
        if is(0, "multi") || is(0, "exec") {
            self.is_open = is(0, "multi");
            return Ok(false);
        }
        let id = command_of(words)?;
        self.batch.push(id, self.reached.database, &words[1..]);
        self.count += 1;
        Ok(false)
    }
}

/// The command, if it is one that can be applied. What is not would be lost: it ends the import.
fn command_of(words: &[&[u8]]) -> Result<CommandId, SessionError> {
    let shown = || {
        let words = words.iter().take(3).map(|word| {
            let word = &word[..word.len().min(64)];
            String::from_utf8_lossy(word).into_owned()
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let failed = |why: &str| SessionError::Failed(format!("{why}: '{}'", shown()));
    let id = lookup(words[0]).ok_or_else(|| failed("the source sends an unknown command"))?;
    let (resolved, _) = resolve(spec(id), &words[1..])
        .map_err(|_| failed("the source sends a command in a form that is not known"))?;
    if spec(id).runs_script() {
        return Err(failed("the source sends scripts in place of what they write"));
    }
    let is_applied = matches!(resolved.handler, Handler::Engine(_))
        && resolved.flags.intersects(Flags::WRITE.union(Flags::LOGGED).union(Flags::MAY_REPLICATE))
        && !resolved.name.starts_with("raft.");
    if !is_applied {
        return Err(failed("the source sends a command that cannot be applied"));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered() -> Gathered {
        Gathered::new(Reached::default())
    }

    fn take(gathered: &mut Gathered, line: &str) -> Result<bool, SessionError> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        gathered.take(&words)
    }

    #[test]
    fn writes_are_gathered_for_their_database_and_transactions_stay_whole() {
        let mut gathered = gathered();
        let lines = ["SELECT 3", "set k v", "PING", "MULTI", "INCR n", "SELECT 4", "INCR n"];
        for line in lines {
            assert_eq!(take(&mut gathered, line), Ok(false), "{line}");
        }
        assert!(gathered.is_open);
        assert_eq!(take(&mut gathered, "exec"), Ok(false));
        assert!(!gathered.is_open);
        let databases: Vec<u8> = gathered.batch.commands().map(|it| it.database).collect();
        assert_eq!((databases.as_slice(), gathered.count), (&[3, 3, 4][..], 3));
        assert_eq!(gathered.reached.database, 4);
        assert_eq!(take(&mut gathered, "REPLCONF GETACK *"), Ok(true));
        assert_eq!(take(&mut gathered, "REPLCONF other"), Ok(false));
    }

    #[test]
    fn what_replicas_are_sent_is_known() {
        for line in [
            "SET k v PXAT 1",
            "UNLINK k",
            "PEXPIREAT k 1",
            "RESTORE k 0 x ABSTTL",
            "PUBLISH c m",
            "SPUBLISH c m",
            "SCRIPT FLUSH",
            "SCRIPT LOAD x",
            "FUNCTION LOAD x",
            "FLUSHALL",
            "SWAPDB 0 1",
            "MOVE k 3",
            "COPY a b DB 3",
            "XCLAIM s g c 0 1-1 TIME 1 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1",
            "XSETID s 1-1 ENTRIESADDED 1 MAXDELETEDID 0-0",
            "XGROUP SETID s g 1-1 ENTRIESREAD 1",
            "HPEXPIREAT h 1 FIELDS 1 f",
            "HSETEX h PXAT 1 FIELDS 1 f v",
            "PFADD h a",
            "GEOADD g 1 1 m",
            "BITFIELD b SET u8 0 1",
        ] {
            assert_eq!(take(&mut gathered(), line), Ok(false), "{line}");
        }
    }

    #[test]
    fn what_would_be_lost_ends_the_import_by_name() {
        for (line, why) in [
            ("VADD v VALUES 1 1 e", "unknown command: 'VADD v VALUES'"),
            ("SET k", "a form that is not known: 'SET k'"),
            ("FUNCTION NOPE x", "a form that is not known"),
            ("EVAL x 0", "scripts in place of what they write"),
            ("FCALL x 0", "scripts in place of what they write"),
            ("GET k", "cannot be applied"),
            ("CONFIG SET a b", "cannot be applied"),
            ("RAFT.WRITE x", "cannot be applied"),
            ("RAFT.IMPORT STOP", "cannot be applied"),
            ("SELECT 16", "writes to database 16, which is not here"),
            ("SELECT x", "writes to database -1"),
        ] {
            match take(&mut gathered(), line) {
                Err(SessionError::Failed(text)) => assert!(text.contains(why), "{line}: {text}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
