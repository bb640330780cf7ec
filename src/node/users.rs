//! What a node itself has to do with users: those of its configuration, and its log of what was
//! denied to its clients.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use crate::engine::acl::{Acl, AclError, Denied, Seed, parse_line};
use crate::engine::reply::Reply;
use crate::limits::ACL_FILE_BYTES_MAX;
use crate::raft::types::Millis;

/// Denials that are alike and no further apart than this make one entry.
const ENTRY_AGE_MAX_MS: Millis = 60_000;

/// Name and rules of each user.
pub type UserLines = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

/// The users that the node was started with, and what it has to tell of its own.
#[derive(Default)]
pub struct OwnUsers {
    /// Of the configuration, or of the ACL file.
    pub lines: UserLines,
    /// Where ACL LOAD reads; empty: nowhere.
    pub file: PathBuf,
    pub log: AclLog,
    pub denied: DenialCounters,
}

/// For INFO.
#[derive(Default)]
pub struct DenialCounters {
    pub auth: AtomicU64,
    pub command: AtomicU64,
    pub key: AtomicU64,
    pub channel: AtomicU64,
}

impl OwnUsers {
    pub fn new(lines: UserLines, file: PathBuf) -> Self {
        Self { lines, file, ..Self::default() }
    }

    /// What the node brings into a cluster that has no users yet.
    pub fn seed(&self, requirepass: &str, all_channels: bool) -> Seed {
        Seed {
            requirepass: requirepass.as_bytes().to_vec(),
            all_channels,
            users: self.lines.clone(),
        }
    }
}

/// Why an ACL file cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{0}: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{0}: is too long for an ACL file")]
    TooLong(PathBuf),
    #[error("{path}:{line}: {source}")]
    Line { path: PathBuf, line: usize, source: AclError },
}

/// Reads an ACL file, a user a line.
pub fn read_file(path: &Path) -> Result<UserLines, FileError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(ACL_FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| FileError::Unreadable(path.to_owned(), error))?;
    if bytes.len() as u64 > ACL_FILE_BYTES_MAX {
        return Err(FileError::TooLong(path.to_owned()));
    }
    let mut users = UserLines::new();
    for (position, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let at_line =
            |source| FileError::Line { path: path.to_owned(), line: position + 1, source };
        let Some(user) = parse_line(line).map_err(at_line)? else { continue };
        // The last of them is the one that is wrong.
        users.push(user);
        Acl::default().replace_users(&users).map_err(at_line)?;
    }
    Ok(users)
}

/// What was denied to clients of this node, the latest first.
#[derive(Default)]
pub struct AclLog(Mutex<Log>);

#[derive(Default)]
struct Log {
    entries: VecDeque<Entry>,
    next_id: u64,
}

struct Entry {
    denied: Denied,
    count: u64,
    id: u64,
    created_ms: Millis,
    updated_ms: Millis,
    /// The last client, as CLIENT INFO tells it.
    client: Vec<u8>,
}

impl AclLog {
    /// `now_ms` is since the Unix epoch; of entries beyond `len_max` the oldest go. It was denied
    /// `count` times.
    pub fn note(
        &self,
        denied: Denied,
        count: u64,
        client: Vec<u8>,
        now_ms: Millis,
        len_max: usize,
    ) {
        if len_max == 0 {
            return;
        }
        let mut log = self.lock();
        let is_alike = |entry: &Entry| {
            entry.denied == denied && now_ms.saturating_sub(entry.updated_ms) <= ENTRY_AGE_MAX_MS
        };
        let known = log.entries.iter().position(is_alike).and_then(|at| log.entries.remove(at));
        let entry = match known {
            Some(known) => {
                Entry { count: known.count + count, updated_ms: now_ms, client, ..known }
            }
            None => {
                let id = log.next_id;
                log.next_id += 1;
                Entry { denied, count, id, created_ms: now_ms, updated_ms: now_ms, client }
            }
        };
        log.entries.push_front(entry);
        log.entries.truncate(len_max);
    }

    pub fn clear(&self) {
        self.lock().entries.clear();
    }

    /// The latest `count` entries.
    pub fn tell(&self, count: usize, now_ms: Millis, reply: &mut Reply) {
        let log = self.lock();
        reply.array(count.min(log.entries.len()));
        for entry in log.entries.iter().take(count) {
            entry.tell(now_ms, reply);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Log> {
        // Each change is a whole one, so the log is sound even if a thread died holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn tell(&self, now_ms: Millis, reply: &mut Reply) {
        let integer = |number: Millis| i64::try_from(number).unwrap_or(i64::MAX);
        reply.map(10);
        reply.bulk(b"count");
        reply.integer(integer(self.count));
        let words: [(&str, &[u8]); 4] = [
            ("reason", self.denied.reason.as_bytes()),
            ("context", self.denied.context.as_bytes()),
            ("object", &self.denied.object),
            ("username", &self.denied.user),
        ];
        for (name, word) in words {
            reply.bulk(name.as_bytes());
            reply.bulk(word);
        }
        reply.bulk(b"age-seconds");
        reply.double(now_ms.saturating_sub(self.updated_ms) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(self.client.trim_ascii_end());
        reply.bulk(b"entry-id");
        reply.integer(integer(self.id));
        reply.bulk(b"timestamp-created");
        reply.integer(integer(self.created_ms));
        reply.bulk(b"timestamp-last-updated");
        reply.integer(integer(self.updated_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::acl::Denial;

    fn denied(object: &str) -> Denied {
        Denied::new(&Denial::Key(object.as_bytes()), "toplevel", b"u")
    }

    fn told(log: &AclLog, count: usize) -> String {
        let mut reply = Reply::default();
        log.tell(count, 100_000, &mut reply);
        String::from_utf8(reply.buffer).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn what_is_alike_is_counted_and_the_oldest_go() {
        let log = AclLog::default();
        for (object, now_ms) in [("a", 1000), ("b", 2000), ("a", 61_000), ("b", 62_001)] {
            log.note(denied(object), 1, b"id=1\n".to_vec(), now_ms, 2);
        }
        let text = told(&log, 10);
        // The second denial of `b` came too late to be counted with the first.
        assert!(text.starts_with("*2 *20 $5 count :1 "), "{text}");
        assert!(text.contains("$5 count :2 $6 reason $3 key "), "{text}");
        assert!(text.contains("$11 client-info $4 id=1 $8 entry-id :2 "), "{text}");
        assert!(text.contains("$17 timestamp-created :1000 "), "{text}");
        assert!(told(&log, 1).starts_with("*1 "));
        log.note(denied("c"), 1, Vec::new(), 1, 0);
        assert_eq!(told(&log, 10), text);
        log.clear();
        assert_eq!(told(&log, 10), "*0 ");
    }

    #[test]
    fn files_are_read_and_mistakes_are_placed() {
        let path = std::env::temp_dir().join(format!("mayfly-acl-{}", std::process::id()));
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let users = read_file(&path);
            std::fs::remove_file(&path).unwrap();
            users.map(|users| users.len()).map_err(|error| error.to_string())
        };
        assert_eq!(read("# all\nuser a on >p ~x +get\r\n\nuser b (+get ~y) on\n"), Ok(2));
        let cases = [
            ("user a on\nusr b\n", ":2: a line does not begin with 'user' and a name"),
            ("user a nope\n", ":1: Error in ACL SETUSER modifier 'nope': Syntax error"),
            ("user a on\n\nuser a off\n", ":3: Duplicate user 'a' found"),
            ("user a (+get\n", ":1: Unmatched parenthesis in acl selector starting at '(+get'."),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(error.ends_with(expected), "{error}");
        }
        assert!(read_file(Path::new("/nowhere/at/all")).is_err());
        assert!(matches!(read_file(Path::new("/dev/zero")), Err(FileError::TooLong(_))));
    }
}
