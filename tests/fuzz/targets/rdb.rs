//! Snapshot files of Redis, as the source of an import sends them.

use mayfly::engine::Engine;
use mayfly::engine::rdb::file::{Feed, FileReader, Item};

use super::commands::assert_snapshot_holds;
use super::restore;

struct Bytes<'a>(&'a [u8]);

#[derive(Debug)]
struct Ends;

impl Feed for Bytes<'_> {
    type Error = Ends;

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Ends> {
        let (taken, rest) = self.0.split_at_checked(buffer.len()).ok_or(Ends)?;
        buffer.copy_from_slice(taken);
        self.0 = rest;
        Ok(())
    }
}

/// What is read is taken as the import does it, up to the first damage.
pub fn run(data: &[u8]) {
    let mut reader = FileReader::new(Bytes(data));
    let mut engine = Engine::new(7);
    engine.begin_entry(1, 1_000);
    loop {
        match reader.next_item() {
            Ok(Item::Part(part)) => {
                let at_ms = part.deadline_ms.unwrap_or(0).min(i64::MAX as u64).to_string();
                let words: [&[u8]; 6] =
                    [b"RESTORE", &part.key, at_ms.as_bytes(), &part.payload, b"REPLACE", b"ABSTTL"];
                let reply = match part.goes_on {
                    true => {
                        let words: [&[u8]; 4] =
                            [b"RAFT.EXTEND", &part.key, at_ms.as_bytes(), &part.payload];
                        restore::call(&mut engine, &words)
                    }
                    false => restore::call(&mut engine, &words),
                };
                assert!(!reply.starts_with(b"-ERR DUMP payload"), "the footer is right");
            }
            Ok(Item::End) | Err(_) => break,
            Ok(Item::Aux { .. } | Item::Library(_)) => {}
        }
    }
    assert_snapshot_holds(&mut engine, 1);
}

/// Values of all kinds, alone and together, with all that may stand around them.
pub fn seeds() -> Vec<Vec<u8>> {
    const AROUND: &[u8] =
        b"\xfa\x09redis-ver\x057.4.0\xf5\x04code\xf7\x81\0\0\0\0\0\0\0\x01\x02\x02\0\
        \xfe\x03\xfb\x02\x01\xf4\x01\x02\x03\xfc\x01\x02\0\0\0\0\0\0\xf8\x40\x64\
        \0\x01a\x01x\xfd\x07\0\0\0\xf9\x09\0\x01b\xc0\x05";
    let bodies = restore::seeds();
    let mut all = b"REDIS0012".to_vec();
    all.extend_from_slice(AROUND);
    let mut seeds = Vec::new();
    for (number, body) in bodies.iter().filter(|body| body[0] != 0xff).enumerate() {
        let record = [&body[1..2], &[1, number as u8], &body[2..]].concat();
        all.extend_from_slice(&record);
        seeds.push([b"REDIS0012", &record[..], b"\xff\0\0\0\0\0\0\0\0"].concat());
    }
    all.extend_from_slice(b"\xff\0\0\0\0\0\0\0\0");
    seeds.push(all);
    seeds.push(
        b"VALKEY080\x16\x01h\x01\x01f\x01v\x90\x5f\x01\0\0\0\0\0\xff\0\0\0\0\0\0\0\0".to_vec(),
    );
    seeds
}
