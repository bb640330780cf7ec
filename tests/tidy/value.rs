//! What the core owes to those who check it: it is a value, which they may copy, compare, put into
//! a set and print, and its specification names what there is.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use mayfly::raft::message::{Body, Message};
use mayfly::raft::types::{
    Applicant, Configuration, Entry, EntryBody, Index, Member, MemberId, Payload, Round, Seq, Term,
    Ticket,
};
use mayfly::raft::{
    Committed, Config, FreshNode, GiveUpReason, GivenUp, LogId, Now, Output, PeerStatus,
    ProgressState, Raft, ReadReady, RoleKind, SnapshotState, Status, TransferError, Watermark,
};

/// Compiles for values only.
const fn value<T: Clone + Debug + Eq + Hash + Send + Sync + 'static>() {}

const _: () = {
    value::<Raft>();
    value::<Config>();
    value::<Now>();
    value::<Message>();
    value::<Body>();
    value::<Output>();
    value::<Committed>();
    value::<ReadReady>();
    value::<GivenUp>();
    value::<GiveUpReason>();
    value::<TransferError>();
    value::<Status>();
    value::<PeerStatus>();
    value::<ProgressState>();
    value::<RoleKind>();
    value::<SnapshotState>();
    value::<Watermark>();
    value::<LogId>();
    value::<FreshNode>();
    value::<Entry>();
    value::<EntryBody>();
    value::<Configuration>();
    value::<Member>();
    value::<Applicant>();
    value::<Payload>();
    value::<(Index, Term, MemberId, Seq, Ticket, Round)>();
};

fn member(seed: u64) -> Raft {
    let config = Config {
        election_timeout_ms: 100,
        heartbeat_interval_ms: 20,
        append_bytes_max: 1 << 20,
        inflight_messages_max: 8,
        inflight_bytes_max: 1 << 20,
        no_leader_timeout_ms: 500,
        seed,
    };
    let applicant = Applicant {
        slot: "slot".to_owned(),
        boot: 1,
        client_address: String::new(),
        peer_address: String::new(),
        observer: false,
    };
    Raft::bootstrap(config, applicant.admitted(MemberId(1)), Now::default())
}

fn hash(raft: &Raft) -> u64 {
    let mut hasher = DefaultHasher::new();
    raft.hash(&mut hasher);
    hasher.finish()
}

/// All that a member does follows from what it was told: nothing else can make two of them differ.
#[test]
fn members_that_were_told_the_same_are_equal() {
    let (mut one, mut two) = (member(7), member(7));
    for ms in 0..300 {
        for raft in [&mut one, &mut two] {
            raft.set_now(Now { monotonic_ms: ms, unix_ms: 1_000 + ms });
            raft.tick();
            raft.submit(0, Ticket(ms), Payload::empty());
            raft.submit_read(1, Ticket(ms));
        }
        assert_eq!(one.take_output(), two.take_output());
        assert_eq!((&one, hash(&one)), (&two, hash(&two)));
    }
    let before = one.clone();
    one.tick_entry();
    assert_ne!((&one, hash(&one)), (&before, hash(&before)));
    assert_ne!(member(8), member(7), "chance is a part of the value");
}

/// The names in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c))
}

/// A function is quoted with its parentheses; the name of a test has four words at least.
#[test]
fn the_specification_names_functions_and_tests_that_are_there() {
    let root = crate::root();
    let paths = crate::tracked(&root);
    let code: String = paths
        .iter()
        .filter(|path| path.ends_with(".rs"))
        .filter(|path| path.starts_with("src/raft/") || path.starts_with("tests/"))
        .map(|path| std::fs::read_to_string(root.join(path)).unwrap())
        .collect();
    let text = std::fs::read_to_string(root.join("src/raft/SPECIFICATION.md")).unwrap();
    let (mut functions, mut tests) = (0, 0);
    for word in quoted(&text) {
        if let Some(name) = word.strip_suffix("()").filter(|name| is_name(name)) {
            assert!(code.contains(&format!("fn {name}(")), "there is no function {name}");
            functions += 1;
        } else if is_name(word)
            && word.matches('_').count() >= 3
            && !code.contains(&format!(" {word}:"))
        {
            assert!(code.contains(&format!("fn {word}()")), "there is no test {word}");
            tests += 1;
        }
    }
    assert!(functions > 50 && tests > 50, "{functions} functions and {tests} tests are named");
}
