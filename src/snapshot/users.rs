//! The users of the cluster, as rules.

use rkyv::{Archive, Serialize};

use super::format::SnapshotError;
use crate::engine::acl::{Acl, Seed};

#[derive(Archive, Serialize)]
pub(super) struct UsersRecord {
    requirepass: Vec<u8>,
    all_channels: bool,
    is_seeded: bool,
    next_number: u64,
    users: Vec<UserRecord>,
}

#[derive(Archive, Serialize)]
pub(super) struct UserRecord {
    name: Vec<u8>,
    number: u64,
    rules: Vec<Vec<u8>>,
}

impl UsersRecord {
    pub fn of(acl: &Acl) -> Self {
        let Seed { requirepass, all_channels, users } = acl.to_seed();
        let users = users.into_iter().zip(acl.numbers());
        let record = |((name, rules), number)| UserRecord { name, number, rules };
        Self {
            requirepass,
            all_channels,
            is_seeded: acl.is_seeded(),
            next_number: acl.next_number(),
            users: users.map(record).collect(),
        }
    }
}

impl ArchivedUsersRecord {
    pub fn restore(&self) -> Result<Acl, SnapshotError> {
        let user = |record: &ArchivedUserRecord| {
            let rules = record.rules.iter().map(|rule| rule.to_vec()).collect();
            (record.name.to_vec(), rules)
        };
        let seed = Seed {
            requirepass: self.requirepass.to_vec(),
            all_channels: self.all_channels,
            users: self.users.iter().map(user).collect(),
        };
        let numbers: Vec<u64> = self.users.iter().map(|record| record.number.to_native()).collect();
        let next_number = self.next_number.to_native();
        Acl::restore(&seed, &numbers, next_number, self.is_seeded).ok_or(SnapshotError::Value)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;
    use crate::engine::reply::Protocol;
    use crate::engine::testing::{advance, engine, run_line};
    use crate::raft::types::{Index, Payload};
    use crate::snapshot::{Reader, SnapshotError, write};

    fn loaded(chunks: &[Payload]) -> Result<Engine, SnapshotError> {
        let mut reader = Reader::default();
        for chunk in chunks {
            reader.read(chunk.as_slice())?;
        }
        Ok(reader.finish()?.engine)
    }

    fn list(engine: &mut Engine) -> String {
        let reply = run_line(engine, Protocol::Resp2, "ACL LIST");
        reply.escape_ascii().to_string()
    }

    #[test]
    fn users_are_the_same_after_a_load() {
        let mut written = engine();
        for line in [
            "ACL SETUSER a on >p ~k* %R~r* &c +@all -@dangerous +config|get (~x -@all +get)",
            "ACL SETUSER b +select|0 skip-sanitize-payload nopass",
            "ACL DELUSER b",
            "RAFT.ACL set requirepass secret",
            "RAFT.ACL set acl-pubsub-default allchannels",
            "ACL SETUSER c (+get) %W~*",
        ] {
            let reply = run_line(&mut written, Protocol::Resp2, line);
            assert!(!reply.starts_with(b"-"), "{line}: {}", reply.escape_ascii());
        }
        let chunks = write(&mut written, Index(1));
        let mut read = loaded(&chunks).unwrap();
        assert_eq!(read.acl(), written.acl());
        assert_eq!(read.digest(), written.digest());
        // Both go on alike.
        for engine in [&mut written, &mut read] {
            advance(engine, 1);
            run_line(engine, Protocol::Resp2, "ACL SETUSER d on");
        }
        assert_eq!(list(&mut read), list(&mut written));
        assert_eq!(read.digest(), written.digest());
        assert_ne!(read.digest(), engine().digest());
    }

    #[test]
    fn users_that_cannot_be_are_refused_and_damage_never_panics() {
        let mut written = engine();
        run_line(&mut written, Protocol::Resp2, "ACL SETUSER abcdefgh on ~k* +@all -@admin (+get)");
        let chunks = write(&mut written, Index(1));
        let head = chunks[0].as_slice();
        for (good, bad) in [("+@all", "+@alx"), ("abcdefgh", "abcd fgh"), ("default", "defaulx")] {
            let at = head.windows(good.len()).position(|it| it == good.as_bytes()).unwrap();
            let mut bytes = rkyv::util::AlignedVec::new();
            bytes.extend_from_slice(head);
            bytes[at..at + bad.len()].copy_from_slice(bad.as_bytes());
            let mut damaged = chunks.clone();
            damaged[0] = Payload::new(bytes);
            assert_eq!(loaded(&damaged).err(), Some(SnapshotError::Value), "{bad}");
        }
        for at in 0..head.len() {
            for bit in [0, 3, 7] {
                let mut bytes = rkyv::util::AlignedVec::new();
                bytes.extend_from_slice(head);
                bytes[at] ^= 1 << bit;
                let mut damaged = chunks.clone();
                damaged[0] = Payload::new(bytes);
                if let Ok(engine) = loaded(&damaged) {
                    engine.digest();
                }
            }
        }
    }
}
