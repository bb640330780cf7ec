//! An import goes on under a leader that came by a snapshot.

use super::*;
use crate::engine::import::{Phase, Reached, Unit};

#[test]
fn a_snapshot_has_the_import_and_what_holds_meanwhile() {
    let mut engine = Engine::new(1);
    engine.begin_entry(1, START_MS);
    run(&mut engine, 0, &[b"RAFT.IMPORT", b"FOLLOW", b"h\xff", b"6379", b"user", b"secret"]);
    run_line(&mut engine, 0, "RAFT.IMPORT ATTACH 7");
    let reached =
        Reached { phase: Phase::Following, replid: b"id".to_vec(), offset: 1 << 40, database: 15 };
    let words = Unit { session: 7, number: 0, reached }.words();
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let mut commands = Batch::default();
    let due_ms = (START_MS - 1).to_string();
    commands.push(lookup(b"set").unwrap(), 0, &[b"k", b"v", b"PXAT", due_ms.as_bytes()]);
    commands.push(lookup(b"incr").unwrap(), 0, &[b"k"]);
    let mut batch = Batch::default();
    batch.push_unit(lookup(b"raft.import").unwrap(), &words, &commands, 2);
    let mut reply = Reply::default();
    engine.run_next(&mut batch.commands(), &mut reply, START_MS, &mut Random::new(1));
    assert_eq!(reply.buffer, b"+OK\r\n");
    let mut loaded = reloaded(&mut engine, 1);
    assert_eq!(loaded.import().progress().errors, 1);
    assert_eq!(loaded.next_deadline(), None, "the source says when keys go");
    assert!(run_line(&mut loaded, 0, "SET k w").starts_with(b"-READONLY "));
    run_line(&mut loaded, 0, "RAFT.IMPORT FAIL 7 why");
    assert_ne!(loaded.digest(), engine.digest());
    reloaded(&mut loaded, 1);
    run_line(&mut loaded, 0, "RAFT.IMPORT STOP");
    assert_eq!(loaded.next_deadline(), Some(START_MS - 1));
    assert_eq!(run_line(&mut loaded, 0, "SET k w"), b"+OK\r\n");
}
