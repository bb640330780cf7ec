//! Random operations, after each of which both lists of what is pending agree.

use super::*;
use crate::engine::random::Random;

const NAMES: [&[u8]; 3] = [b"a", b"b", b"a name that is longer than twenty-two bytes"];

fn id(ms: u64) -> StreamId {
    StreamId { ms, seq: 0 }
}

fn everything() -> RangeInclusive<StreamId> {
    StreamId::MIN..=StreamId::MAX
}

/// What is pending, with the number of its consumer, time and count.
type Model = BTreeMap<StreamId, (usize, Millis, u64)>;

fn assert_same(group: &Group, model: &Model) {
    let of = |(id, delivery): (StreamId, &Delivery)| {
        let consumer = NAMES.iter().position(|name| **name == *delivery.consumer).unwrap();
        (id, (consumer, delivery.at_ms, delivery.count))
    };
    assert_eq!(&group.pending(everything()).map(of).collect::<Model>(), model);
    assert_eq!(group.pending_len(), model.len());
    let ends = model.keys().next().copied().zip(model.keys().last().copied());
    assert_eq!(group.pending_bounds(), ends);
    for (number, name) in NAMES.iter().enumerate() {
        let wanted = model.iter().filter(|(_, delivery)| delivery.0 == number).map(|(id, _)| *id);
        let found = group.consumer(name).map(|(_, consumer)| consumer);
        let pending = found.map(|consumer| consumer.pending(everything()).collect::<Vec<_>>());
        assert_eq!(pending.unwrap_or_default(), wanted.collect::<Vec<_>>());
    }
    let names: usize = group.consumers().map(|(name, _)| name.len()).sum();
    let consumers = group.consumers().len() * size_of::<Consumer>();
    let bytes = size_of::<Group>() + names + consumers + model.len() * PENDING_BYTES;
    assert_eq!(group.bytes(), bytes);
}

#[test]
fn random_operations_agree_with_the_model() {
    for seed in 0..8 {
        let mut random = Random::new(seed);
        let (mut group, mut model) = (Group::new(StreamId::MIN, None), Model::new());
        for now_ms in 0..2000 {
            let (number, which) = (random.below(3), id(random.below(40) as u64));
            match random.below(20) {
                0 => {
                    let count = model.values().filter(|delivery| delivery.0 == number).count();
                    let is_known = group.consumer(NAMES[number]).is_some();
                    let removed = group.remove_consumer(NAMES[number]);
                    assert_eq!(removed, is_known.then_some(count));
                    model.retain(|_, delivery| delivery.0 != number);
                }
                1..8 => {
                    assert_eq!(group.acknowledge(which), model.remove(&which).is_some());
                }
                _ => {
                    let consumer = group.see_consumer(NAMES[number], now_ms).0;
                    let count = random.below(9) as u64;
                    group.deliver(which, Delivery { consumer, at_ms: now_ms, count });
                    model.insert(which, (number, now_ms, count));
                }
            }
            assert_same(&group, &model);
        }
    }
}

#[test]
fn ranges_of_what_is_pending_may_be_empty_or_turned_round() {
    let mut group = Group::new(StreamId::MIN, None);
    let name = group.see_consumer(b"a", 5).0;
    for ms in 1..=3 {
        group.deliver(id(ms), Delivery { consumer: Name::clone(&name), at_ms: 5, count: 1 });
    }
    let consumer = group.consumer(b"a").unwrap().1;
    for (range, wanted) in
        [(id(2)..=id(3), 2), (id(2)..=id(2), 1), (id(4)..=StreamId::MAX, 0), (id(3)..=id(1), 0)]
    {
        assert_eq!(group.pending(range.clone()).count(), wanted);
        assert_eq!(consumer.pending(range).count(), wanted);
    }
}

#[test]
fn a_consumer_is_added_once() {
    let mut group = Group::new(StreamId::MIN, None);
    assert!(group.add_consumer(b"a", 5, Some(4)).is_some());
    assert!(group.add_consumer(b"a", 6, None).is_none());
    let consumer = group.consumer(b"a").unwrap().1;
    assert_eq!((consumer.seen_ms, consumer.active_ms), (5, Some(4)));
    assert_eq!(group.see_consumer(b"a", 7).0.as_ref(), b"a");
    let consumer = group.consumer(b"a").unwrap().1;
    assert_eq!((consumer.seen_ms, consumer.active_ms), (7, Some(4)));
}
