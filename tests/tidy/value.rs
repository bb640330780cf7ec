//! The core is a value: whoever checks it may copy it, compare it, put it into a set and print it.

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
