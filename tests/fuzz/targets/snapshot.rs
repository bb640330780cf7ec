//! Snapshots as a member receives them: any chunks, in any order, that end anywhere.

use mayfly::engine::Engine;
use mayfly::engine::batch::Command;
use mayfly::engine::command::lookup;
use mayfly::engine::random::Random;
use mayfly::engine::reply::Reply;
use mayfly::raft::types::{Configuration, Index, Member, MemberId, Seq, Term};
use mayfly::raft::{SnapshotState, Watermark};
use mayfly::snapshot::{ReadProgress, Reader, read_consensus, write, write_consensus};

use super::commands::assert_snapshot_holds;
use super::input::{Input, aligned};

/// Chunks of one input.
const CHUNKS_MAX: usize = 64;

/// Each chunk has its length before it, in three bytes; one that is longer than what is left is
/// what is left.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut reader = Reader::default();
    for number in 0..CHUNKS_MAX {
        if input.is_empty() {
            return;
        }
        let [low, mid, high] = [input.byte(), input.byte(), input.byte()];
        let len = usize::from(low) | usize::from(mid) << 8 | usize::from(high) << 16;
        let chunk = aligned(input.take(len));
        if number == 0 && consensus(&chunk) {
            continue;
        }
        match reader.read(&chunk) {
            Ok(ReadProgress::Reading) => {}
            Ok(ReadProgress::Complete) => {
                let mut loaded = reader.finish().expect("it is complete");
                let index = loaded.applied_index.0;
                return assert_snapshot_holds(&mut loaded.engine, index);
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(reader.read(&chunk).is_err(), "a reader goes on after an error");
                return;
            }
        }
    }
}

/// Reads the chunk of consensus, if it is one; what is taken is told again.
fn consensus(chunk: &[u8]) -> bool {
    let Ok(state) = read_consensus(chunk) else { return false };
    let told = write_consensus(&state);
    assert_eq!(read_consensus(told.as_slice()), Ok(state));
    true
}

fn encode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in chunks {
        bytes.extend_from_slice(&(chunk.len() as u32).to_le_bytes()[..3]);
        bytes.extend_from_slice(chunk);
    }
    bytes
}

fn filled(lines: &[&str]) -> Engine {
    let mut engine = Engine::new(7);
    engine.begin_entry(1, 1_000);
    for line in lines {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let id = lookup(words[0]).expect("the command is there");
        let command = Command::new(id, 1, words[1..].iter().copied().collect());
        engine.run(&command, &mut Reply::default(), 1_000, &mut Random::new(1));
    }
    engine
}

fn state() -> SnapshotState {
    let member = Member {
        id: MemberId(1),
        slot: "slot".to_owned(),
        boot: 5,
        client_address: "127.0.0.1:5001".to_owned(),
        peer_address: "127.0.0.1:15001".to_owned(),
        observer: false,
    };
    let voters = vec![member.id];
    let configuration = Configuration { voters, members: vec![member], ..Default::default() };
    SnapshotState {
        last_index: Index(9),
        last_term: Term(2),
        last_at_ms: 1_000,
        configuration: configuration.into(),
        watermarks: vec![Watermark { origin: MemberId(1), stream: 3, seq: Seq(4) }],
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    const SETS: [&[&str]; 8] = [
        &[],
        &["SET s value", "SET n 5 PX 70", "APPEND s more", "RAFT.WRITE register"],
        &["RPUSH l a b c", "SADD m a b", "SADD i 1 2 3"],
        &["HSET h f 1 g 2", "ZADD z 1 a 2.5 b"],
        &["HSETEX h PX 70 FIELDS 2 f 1 g 2", "HSET h i 3"],
        &["XADD x 1-1 f v", "XADD x 2-0 g w", "XDEL x 1-1"],
        &["XADD x 1-1 f v", "XGROUP CREATE x g 0", "XREADGROUP GROUP g c STREAMS x >"],
        &["SET a 1", "SWAPDB 0 1", "SET b 2", "PFADD p x", "GEOADD g 1 2 q"],
    ];
    let mut seeds = Vec::new();
    for lines in SETS {
        let chunks = write(&mut filled(lines), Index(9));
        let slices: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_slice()).collect();
        seeds.push(encode(slices.iter().copied()));
        // Out of order, twice, and without an end.
        seeds.push(encode(slices.iter().rev().copied()));
        seeds.push(encode(slices.iter().flat_map(|chunk| [*chunk, *chunk])));
        seeds.push(encode(slices[..slices.len() - 1].iter().copied()));
    }
    let head = write_consensus(&state());
    let chunks = write(&mut filled(SETS[1]), Index(9));
    seeds.push(encode([head.as_slice()].into_iter().chain(chunks.iter().map(|c| c.as_slice()))));
    seeds
}
