//! A packed sequence against a deque of vectors.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    PushFront(Vec<u8>),
    PushBack(Vec<u8>),
    Insert(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize),
    SwapRemove(usize),
    Discard(usize, End),
    RetainUnlike(usize),
    SplitAndAppend(usize),
}

/// Mostly short strings, and some at each border of the coding of lengths.
fn string() -> impl Strategy<Value = Vec<u8>> {
    let border = prop::sample::select(vec![253, 254, 255, 256, 65_535, 65_536]);
    prop_oneof![
        40 => prop::collection::vec(any::<u8>(), 0..40),
        2 => border.prop_map(|len| vec![len as u8; len]),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let end = prop_oneof![Just(End::Left), Just(End::Right)];
    prop_oneof![
        4 => string().prop_map(Operation::PushFront),
        4 => string().prop_map(Operation::PushBack),
        2 => (any::<usize>(), string()).prop_map(|(at, bytes)| Operation::Insert(at, bytes)),
        2 => (any::<usize>(), string()).prop_map(|(at, bytes)| Operation::Replace(at, bytes)),
        1 => any::<usize>().prop_map(Operation::Remove),
        1 => any::<usize>().prop_map(Operation::SwapRemove),
        1 => (0usize..6, end).prop_map(|(count, end)| Operation::Discard(count, end)),
        1 => any::<usize>().prop_map(Operation::RetainUnlike),
        1 => any::<usize>().prop_map(Operation::SplitAndAppend),
    ]
}

fn apply(packed: &mut Packed, model: &mut VecDeque<Vec<u8>>, operation: Operation) {
    let len = model.len();
    match operation {
        Operation::PushFront(bytes) => {
            packed.push_front(&bytes);
            model.push_front(bytes);
        }
        Operation::PushBack(bytes) => {
            packed.push_back(&bytes);
            model.push_back(bytes);
        }
        Operation::Insert(at, bytes) => {
            let at = at % (len + 1);
            packed.insert(packed.offset_of(at), &bytes);
            model.insert(at, bytes);
        }
        Operation::Discard(count, end) => {
            let count = count.min(len);
            packed.discard(count, end);
            match end {
                End::Left => drop(model.drain(..count)),
                End::Right => drop(model.drain(len - count..)),
            }
        }
        _ if len == 0 => {}
        Operation::Replace(at, bytes) => {
            packed.replace(packed.offset_of(at % len), &bytes);
            model[at % len] = bytes;
        }
        Operation::Remove(at) => {
            packed.remove(packed.offset_of(at % len));
            model.remove(at % len);
        }
        Operation::SwapRemove(at) => {
            packed.swap_remove(packed.offset_of(at % len), 1);
            model.swap_remove_back(at % len);
        }
        Operation::RetainUnlike(at) => {
            let unlike = model[at % len].clone();
            packed.retain(|bytes| bytes != unlike);
            model.retain(|bytes| *bytes != unlike);
        }
        Operation::SplitAndAppend(at) => {
            let tail = packed.split_off(at % len);
            assert_eq!((packed.len(), tail.len()), (at % len, len - at % len));
            packed.append(&tail);
        }
    }
}

fn check(packed: &Packed, model: &VecDeque<Vec<u8>>) {
    assert_eq!(packed.len(), model.len());
    assert!(packed.iter().eq(model.iter().map(Vec::as_slice)), "{packed:?} {model:?}");
    assert!(packed.iter().rev().eq(model.iter().rev().map(Vec::as_slice)));
    assert_eq!(packed.size(), model.iter().map(|bytes| entry_size(bytes.len())).sum::<usize>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_run_of_operations_is_that_of_a_deque(
        operations in prop::collection::vec(operation(), 1..80),
    ) {
        let (mut packed, mut model) = (Packed::default(), VecDeque::new());
        for operation in operations {
            apply(&mut packed, &mut model, operation);
            check(&packed, &model);
        }
        for (index, bytes) in model.iter().enumerate() {
            prop_assert_eq!(packed.get(index), Some(bytes.as_slice()));
            let first = model.iter().position(|other| other == bytes);
            prop_assert_eq!(packed.find(bytes), first.map(|at| packed.offset_of(at)));
        }
        prop_assert_eq!(packed.get(model.len()), None);
    }

    #[test]
    fn removed_groups_are_replaced_by_the_last_group(
        groups in prop::collection::vec((string(), string()), 1..20),
        at in any::<usize>(),
    ) {
        let mut model = groups;
        let mut packed = Packed::default();
        for (first, second) in &model {
            packed.push_back(first);
            packed.push_back(second);
        }
        let at = at % model.len();
        packed.swap_remove(packed.offset_of(at * 2), 2);
        model.swap_remove(at);
        let flat = model.iter().flat_map(|(first, second)| [first, second]);
        prop_assert!(packed.iter().eq(flat.map(Vec::as_slice)));
    }
}

#[test]
fn ten_short_fields_take_one_allocation_of_their_size() {
    let mut packed = Packed::default();
    for field in 0..10 {
        packed.push_back(format!("field{field}").as_bytes());
        packed.push_back(b"some value");
    }
    assert!(packed.buffer.len() < packed.size() * 2, "{}", packed.buffer.len());
}

#[test]
fn a_queue_does_not_grow() {
    let mut packed = Packed::default();
    for round in 0..10_000u32 {
        packed.push_back(&round.to_le_bytes());
        if round >= 8 {
            packed.discard(1, End::Left);
        }
    }
    assert_eq!(packed.len(), 8);
    assert!(packed.buffer.len() <= 256, "{}", packed.buffer.len());
}

#[test]
fn memory_is_given_back() {
    let mut packed = Packed::default();
    for _ in 0..1000 {
        packed.push_back(b"0123456789");
    }
    packed.discard(999, End::Right);
    assert!(packed.buffer.len() < SHRINK_BYTES_MIN);
    assert_eq!(packed.get(0), Some(&b"0123456789"[..]));
}
