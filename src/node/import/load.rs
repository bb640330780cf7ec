//! The snapshot of the source: what the cluster holds goes, and the values take its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::link::Link;
use super::propose::Proposer;
use super::session::SessionError;
use crate::engine::batch::Batch;
use crate::engine::command::{CommandId, lookup};
use crate::engine::import::{Phase, Reached};
use crate::engine::keyspace::DATABASE_COUNT;
use crate::engine::rdb::file::{Feed, FileError, FileReader, Item, Part};
use crate::limits::{IMPORT_UNIT_BYTES, IMPORT_UNIT_COMMANDS};
use crate::node::shared::Shared;

/// Bytes of the mark behind a snapshot whose length the source does not know before.
const MARK_BYTES: usize = 40;

/// How the end of the snapshot is known.
enum End {
    Length(u64),
    Mark(Vec<u8>),
}

/// Reads the snapshot, which shows the state of the source at this place of its history; returns
/// what is reached when all of it is applied.
pub fn run(
    shared: &Arc<Shared>,
    proposer: &mut Proposer,
    link: &mut Link,
    (replid, offset): (Vec<u8>, u64),
) -> Result<Reached, SessionError> {
    let transfer = &shared.importing.transfer;
    let line = link.line(&mut || proposer.check().map(drop))?;
    let end = end_of(&line)
        .ok_or_else(|| SessionError::Lost(format!("no snapshot begins with {line}")))?;
    if let End::Length(length) = &end {
        transfer.total_bytes.store(*length, Ordering::Relaxed);
    }
    let mut loader = Loader::new(proposer);
    loader.push("flushall", 0, &[]);
    loader.push("function", 0, &[b"FLUSH"]);
    loader.flush(link)?;
    let mut reader = FileReader::new(link);
    loop {
        let item = reader.next_item().map_err(|error| match error {
            FileError::Feed(error) => error,
            // What was damaged on the way comes as it should another time.
            FileError::Checksum | FileError::Damaged => SessionError::Lost(error.to_string()),
            error => SessionError::Failed(error.to_string()),
        })?;
        let is_last = item == Item::End;
        loader.take(item)?;
        if loader.is_full() {
            loader.flush(reader.feed_mut())?;
        }
        if is_last {
            break;
        }
    }
    let link = reader.into_feed();
    let read = transfer.read_bytes.load(Ordering::Relaxed);
    match end {
        End::Length(length) if length != read => {
            let why = format!("the snapshot has {read} bytes in place of {length}");
            return Err(SessionError::Lost(why));
        }
        End::Length(_) => {}
        End::Mark(mark) => {
            let mut found = vec![0; MARK_BYTES];
            link.fill(&mut found)?;
            if found != mark {
                return Err(SessionError::Lost("the snapshot does not end where it should".into()));
            }
        }
    }
    loader.flush(link)?;
    let reached = Reached { phase: Phase::Following, replid, offset, database: loader.database };
    proposer.propose(reached.clone(), &Batch::default(), 0, link)?;
    proposer.settle(link)?;
    link.acknowledges = true;
    link.asked_at = Some(0);
    log::info!("import: the snapshot of {read} bytes is applied");
    Ok(reached)
}

fn end_of(line: &str) -> Option<End> {
    let told = line.strip_prefix('$')?;
    match told.strip_prefix("EOF:") {
        Some(mark) => {
            Some(End::Mark(mark.as_bytes().to_vec())).filter(|_| mark.len() == MARK_BYTES)
        }
        None => told.parse().ok().map(End::Length),
    }
}

/// Makes units of what is read.
struct Loader<'a> {
    proposer: &'a mut Proposer,
    batch: Batch,
    count: u32,
    restore: CommandId,
    extend: CommandId,
    /// The one that the commands behind the snapshot begin with.
    database: u8,
}

impl<'a> Loader<'a> {
    fn new(proposer: &'a mut Proposer) -> Self {
        Self {
            proposer,
            batch: Batch::default(),
            count: 0,
            restore: id_of("restore"),
            extend: id_of("raft.extend"),
            database: 0,
        }
    }

    fn push(&mut self, name: &str, database: u8, arguments: &[&[u8]]) {
        self.batch.push(id_of(name), database, arguments);
        self.count += 1;
    }

    fn is_full(&self) -> bool {
        self.batch.bytes() >= IMPORT_UNIT_BYTES || self.count >= IMPORT_UNIT_COMMANDS
    }

    fn flush(&mut self, link: &mut Link) -> Result<(), SessionError> {
        if self.count > 0 {
            let reached = Reached { phase: Phase::Loading, ..Reached::default() };
            self.proposer.propose(reached, &self.batch, self.count, link)?;
            self.batch.clear();
            self.count = 0;
        }
        Ok(())
    }

    fn take(&mut self, item: Item) -> Result<(), SessionError> {
        match item {
            Item::Library(code) => self.push("function", 0, &[b"LOAD", &code]),
            // Of Redis before 7.0, whose scripts are known to its replicas.
            Item::Aux { name, value } if name == b"lua" => {
                self.push("script", 0, &[b"LOAD", &value]);
            }
            Item::Aux { name, value } if name == b"repl-stream-db" => {
                let database = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                self.database = database.filter(|it| *it < DATABASE_COUNT).unwrap_or(0);
            }
            Item::Aux { .. } | Item::End => {}
            Item::Part(part) => self.put(&part)?,
        }
        Ok(())
    }

    fn put(&mut self, part: &Part) -> Result<(), SessionError> {
        let database = u8::try_from(part.database).ok().filter(|it| *it < DATABASE_COUNT);
        let database = database.ok_or_else(|| {
            let (database, count) = (part.database, DATABASE_COUNT);
            let why = format!("the source has keys in database {database}, here are {count}");
            SessionError::Failed(why)
        })?;
        let at_ms = part.deadline_ms.unwrap_or(0).to_string();
        self.count += 1;
        if part.goes_on {
            let words: [&[u8]; 3] = [&part.key, at_ms.as_bytes(), &part.payload];
            self.batch.push(self.extend, database, &words);
            return Ok(());
        }
        let idle = part.idle_seconds.map(|seconds| seconds.to_string());
        let used = part.use_counter.map(|count| count.to_string());
        let mut words: Vec<&[u8]> =
            vec![&part.key, at_ms.as_bytes(), &part.payload, b"REPLACE", b"ABSTTL"];
        if let Some(seconds) = &idle {
            words.extend([&b"IDLETIME"[..], seconds.as_bytes()]);
        } else if let Some(count) = &used {
            words.extend([&b"FREQ"[..], count.as_bytes()]);
        }
        self.batch.push(self.restore, database, &words);
        Ok(())
    }
}

fn id_of(name: &str) -> CommandId {
    lookup(name.as_bytes()).expect("invariant: it is in the table")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_snapshot_is_told_by_its_length_or_by_a_mark() {
        assert!(matches!(end_of("$12"), Some(End::Length(12))));
        let mark = "x".repeat(MARK_BYTES);
        assert!(
            matches!(end_of(&format!("$EOF:{mark}")), Some(End::Mark(it)) if it == mark.as_bytes())
        );
        for line in ["", "12", "$", "$x", "$-1", "$EOF:", "$EOF:x", "+OK"] {
            assert!(end_of(line).is_none(), "{line}");
        }
    }
}
