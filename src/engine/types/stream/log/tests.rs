//! Random operations against a map of ids to fields.

use std::collections::BTreeMap;

use super::*;
use crate::engine::random::Random;

type Fields = Vec<Vec<u8>>;
type Model = BTreeMap<StreamId, Fields>;

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId { ms, seq }
}

fn owned<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<(StreamId, Fields)> {
    entries
        .map(|entry| {
            let fields: Fields = entry.fields().map(<[u8]>::to_vec).collect();
            assert_eq!(entry.field_count(), fields.len());
            (entry.id, fields)
        })
        .collect()
}

fn some_id(random: &mut Random, last: StreamId) -> StreamId {
    id(random.below(last.ms as usize + 3) as u64, random.below(4) as u64)
}

fn assert_same(stream: &StreamLog, model: &Model, random: &mut Random) {
    let all: Vec<_> = model.iter().map(|(id, fields)| (*id, fields.clone())).collect();
    assert_eq!(stream.len(), all.len());
    assert_eq!(stream.first_id(), all.first().map(|(id, _)| *id));
    assert_eq!(owned(stream.range(StreamId::MIN, StreamId::MAX)), all);
    for _ in 0..10 {
        let (min, max) = (some_id(random, stream.last_id()), some_id(random, stream.last_id()));
        let mut wanted: Vec<_> = match min <= max {
            true => model.range(min..=max).map(|(id, fields)| (*id, fields.clone())).collect(),
            false => Vec::new(),
        };
        assert_eq!(owned(stream.range(min, max)), wanted, "{min} {max}");
        wanted.reverse();
        assert_eq!(owned(stream.range(min, max).rev()), wanted, "{max} {min}");
    }
    let packed: usize = stream
        .range(StreamId::MIN, StreamId::MAX)
        .map(|entry| size_of_fields(entry.fields()) + ENTRY_OVERHEAD_BYTES)
        .sum();
    assert_eq!(stream.bytes(), size_of::<StreamLog>() + packed);
    assert!(stream.blocks.iter().all(|block| block.live() > 0));
}

#[test]
fn random_operations_agree_with_the_model() {
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let (mut stream, mut model) = (StreamLog::default(), Model::new());
        let (mut added, mut deleted) = (0, StreamId::MIN);
        for step in 0..3000 {
            match random.below(100) {
                0..80 => {
                    let last = stream.last_id();
                    let id = match random.below(3) {
                        0 => last.next().unwrap(),
                        _ => id(last.ms + 1 + random.below(3) as u64, random.below(3) as u64),
                    };
                    let size = if random.below(20) == 0 { 3000 } else { 20 };
                    // Some have the fields of those before, and some of these others in number.
                    let kind = random.below(3) as u8;
                    let fields: Fields = (0..2 * (1 + random.below(4)))
                        .map(|index| match (kind, index % 2) {
                            (0, 0) => vec![b'f'; index],
                            _ => vec![b'x' + kind; random.below(size)],
                        })
                        .collect();
                    stream.append(id, &fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
                    model.insert(id, fields);
                    added += 1;
                }
                80..97 => {
                    let ids: Vec<_> = model.keys().copied().collect();
                    let id = match random.below(4) {
                        0 => some_id(&mut random, stream.last_id()),
                        _ if ids.is_empty() => continue,
                        1 => ids[0],
                        _ => ids[random.below(ids.len())],
                    };
                    assert_eq!(stream.remove(id), model.remove(&id).is_some());
                    deleted = if ids.contains(&id) { deleted.max(id) } else { deleted };
                }
                97 => {
                    let len = model.len().saturating_sub(random.below(300));
                    let limit = if random.below(2) == 0 { usize::MAX } else { random.below(50) };
                    let count = (model.len() - len).min(limit);
                    assert_eq!(stream.trim_to_len(len, limit), count);
                    (0..count).for_each(|_| drop(model.pop_first()));
                }
                _ => {
                    let first = stream.first_id().unwrap_or_default();
                    let min = id(first.ms + random.below(40) as u64, random.below(3) as u64);
                    let limit = if random.below(2) == 0 { usize::MAX } else { random.below(30) };
                    let count = model.range(..min).count().min(limit);
                    assert_eq!(stream.trim_before(min, limit), count);
                    (0..count).for_each(|_| drop(model.pop_first()));
                }
            }
            if step % 50 == 0 {
                assert_same(&stream, &model, &mut random);
            }
        }
        assert_same(&stream, &model, &mut random);
        assert_eq!(stream.entries_added(), added);
        assert_eq!(stream.max_deleted_id(), deleted);
    }
}

#[test]
fn a_range_can_be_read_from_both_ends_at_once() {
    let mut stream = StreamLog::default();
    (1..=501).for_each(|ms| stream.append(id(ms, 0), &[b"f", b"v"]));
    stream.trim_to_len(451, usize::MAX);
    let mut entries = stream.range(StreamId::MIN, StreamId::MAX);
    for step in 0..225 {
        assert_eq!(entries.next().map(|entry| entry.id.ms), Some(51 + step));
        assert_eq!(entries.next_back().map(|entry| entry.id.ms), Some(501 - step));
    }
    assert_eq!(entries.next_back().map(|entry| entry.id.ms), Some(276));
    assert_eq!((entries.next(), entries.next_back()), (None, None));
}

#[test]
fn an_emptied_stream_remembers_its_last_id() {
    let mut stream = StreamLog::default();
    stream.append(id(5, 5), &[b"f", b""]);
    assert_eq!(stream.trim_to_len(0, usize::MAX), 1);
    assert!(stream.is_empty() && stream.first_id().is_none());
    assert_eq!((stream.last_id(), stream.entries_added()), (id(5, 5), 1));
    assert_eq!(stream.max_deleted_id(), StreamId::MIN);
    assert_eq!(stream.bytes(), size_of::<StreamLog>());
    assert!(!stream.remove(id(5, 5)));
}

#[test]
fn ids_carry_between_their_parts() {
    assert_eq!(id(1, u64::MAX).next(), Some(id(2, 0)));
    assert_eq!(id(2, 0).previous(), Some(id(1, u64::MAX)));
    assert_eq!(StreamId::MAX.next(), None);
    assert_eq!(StreamId::MIN.previous(), None);
    assert_eq!(id(1, 2).to_string(), "1-2");
}

#[test]
fn numbers_of_any_size_are_packed_and_read_back() {
    for number in [0, 1, 127, 128, 16_383, 16_384, 1 << 30, u64::MAX >> 1, u64::MAX] {
        let mut bytes = Vec::new();
        push_number(&mut bytes, number);
        assert_eq!(bytes.len(), number_size(number));
        let mut rest = bytes.as_slice();
        assert_eq!(take_number(&mut rest), number);
        assert!(rest.is_empty());
    }
}

#[test]
fn ids_may_lie_as_far_apart_as_they_like() {
    let ids = [
        id(0, 1),
        id(0, 2),
        id(0, u64::MAX),
        id(1, 0),
        id(1 << 40, 7),
        id(u64::MAX, 0),
        StreamId::MAX,
    ];
    let mut stream = StreamLog::default();
    ids.iter().for_each(|id| stream.append(*id, &[b"f", b"v"]));
    let found: Vec<_> = stream.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    assert_eq!(found, ids);
    assert!(ids.iter().all(|id| stream.get(*id).is_some_and(|entry| entry.id == *id)));
    assert!(stream.get(id(1, 1)).is_none());
    ids.iter().rev().for_each(|id| assert!(stream.remove(*id)));
    assert!(stream.is_empty());
}

#[test]
fn entries_of_the_same_fields_take_little_beside_their_values() {
    let mut stream = StreamLog::default();
    for ms in 1_700_000_000_000..1_700_000_001_000 {
        stream.append(id(ms, 0), &[b"a long name of a field", &[b'v'; 16]]);
    }
    let room = |block: &Block| block.bytes.capacity() + block.starts.capacity() * 4;
    let taken: usize = stream.blocks.iter().map(room).sum();
    assert!(taken < 1000 * (16 + 12), "{taken}");
}

#[test]
fn a_large_entry_makes_no_room_for_another() {
    let mut stream = StreamLog::default();
    stream.append(id(1, 0), &[b"f", &[b'v'; 1 << 20]]);
    stream.append(id(2, 0), &[b"f", b"v"]);
    assert_eq!(stream.blocks.len(), 2);
    assert!(stream.blocks[1].bytes.capacity() <= BLOCK_BYTES * 2);
}
