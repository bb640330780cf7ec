//! A list against a deque of vectors.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Push(End, Vec<u8>),
    /// Many pushes, so that there are several chunks.
    PushMany(End, u16),
    Discard(usize, End),
    Insert(usize, Vec<u8>),
    Set(usize, Vec<u8>),
    RemoveEqual(usize, usize, End),
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        30 => (0u8..20).prop_map(|byte| vec![byte; usize::from(byte)]),
        3 => (0u8..4).prop_map(|byte| vec![byte; 1500]),
        1 => prop::sample::select(vec![4096usize, 8188, 8189, 20_000]).prop_map(|len| vec![7; len]),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Left), Just(End::Right)]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (end(), element()).prop_map(|(end, element)| Operation::Push(end, element)),
        2 => (end(), 0u16..1500).prop_map(|(end, count)| Operation::PushMany(end, count)),
        2 => (0usize..20, end()).prop_map(|(count, end)| Operation::Discard(count, end)),
        1 => (0usize..3000, end()).prop_map(|(count, end)| Operation::Discard(count, end)),
        4 => (any::<usize>(), element()).prop_map(|(at, element)| Operation::Insert(at, element)),
        3 => (any::<usize>(), element()).prop_map(|(at, element)| Operation::Set(at, element)),
        2 => (any::<usize>(), 0usize..20, end())
            .prop_map(|(at, limit, end)| Operation::RemoveEqual(at, limit, end)),
    ]
}

fn remove_equal(model: &mut VecDeque<Vec<u8>>, element: &[u8], limit: usize, from: End) -> usize {
    let mut removed = 0;
    while removed < limit {
        let found = match from {
            End::Left => model.iter().position(|other| other == element),
            End::Right => model.iter().rposition(|other| other == element),
        };
        let Some(at) = found else { break };
        model.remove(at);
        removed += 1;
    }
    removed
}

fn apply(list: &mut List, model: &mut VecDeque<Vec<u8>>, operation: Operation) {
    let len = model.len();
    let push = |model: &mut VecDeque<Vec<u8>>, end, element| match end {
        End::Left => model.push_front(element),
        End::Right => model.push_back(element),
    };
    match operation {
        Operation::Push(end, element) => {
            list.push(end, &element);
            push(model, end, element);
        }
        Operation::PushMany(end, count) => {
            for number in 0..count {
                list.push(end, &number.to_le_bytes());
                push(model, end, number.to_le_bytes().to_vec());
            }
        }
        Operation::Discard(count, end) => {
            list.discard(count, end);
            let count = count.min(len);
            match end {
                End::Left => drop(model.drain(..count)),
                End::Right => drop(model.drain(len - count..)),
            }
        }
        Operation::Insert(at, element) => {
            list.insert(at % (len + 1), &element);
            model.insert(at % (len + 1), element);
        }
        Operation::Set(at, element) if len > 0 => {
            list.set(at % len, &element);
            model[at % len] = element;
        }
        Operation::RemoveEqual(at, limit, from) if len > 0 => {
            let element = model[at % len].clone();
            let removed = list.remove_equal(&element, limit, from);
            assert_eq!(removed, remove_equal(model, &element, limit, from));
        }
        Operation::Set(..) | Operation::RemoveEqual(..) => {}
    }
}

fn check(list: &List, model: &VecDeque<Vec<u8>>) {
    assert_eq!(list.len(), model.len());
    assert!(list.iter().eq(model.iter().map(Vec::as_slice)));
    assert!(list.iter().rev().eq(model.iter().rev().map(Vec::as_slice)));
    assert_eq!(list.bytes(), model.iter().map(|bytes| entry_size(bytes.len())).sum::<usize>());
    assert!(list.chunks.iter().all(|chunk| !chunk.is_empty()));
    assert!(list.chunks.iter().all(|chunk| chunk.size() <= CHUNK_BYTES_MAX || chunk.len() == 1));
    assert_eq!(list.peek(End::Left), model.front().map(Vec::as_slice));
    assert_eq!(list.peek(End::Right), model.back().map(Vec::as_slice));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_run_of_operations_is_that_of_a_deque(
        operations in prop::collection::vec(operation(), 1..60),
        starts in prop::collection::vec((any::<usize>(), 0usize..4000), 8),
    ) {
        let (mut list, mut model) = (List::default(), VecDeque::new());
        for operation in operations {
            apply(&mut list, &mut model, operation);
            check(&list, &model);
        }
        for (start, count) in starts {
            let start = start % (model.len() + 2);
            prop_assert_eq!(list.get(start), model.get(start).map(Vec::as_slice));
            let expected = model.iter().skip(start).take(count).map(Vec::as_slice);
            prop_assert_eq!(list.range(start, count).len(), expected.clone().count());
            prop_assert!(list.range(start, count).eq(expected));
        }
    }
}

#[test]
fn what_is_left_of_many_chunks_is_joined() {
    let mut list = List::default();
    for number in 0..100_000u32 {
        let is_kept = number.is_multiple_of(1000);
        list.push(End::Right, if is_kept { b"kept" } else { b"gone" });
    }
    assert!(list.chunks.len() > 50);
    assert_eq!(list.remove_equal(b"gone", usize::MAX, End::Right), 99_900);
    assert_eq!(list.chunks.len(), 1);
    assert!(list.iter().eq(vec![&b"kept"[..]; 100]));
}

#[test]
fn the_encoding_follows_the_size() {
    let mut list = List::default();
    assert_eq!(list.encoding(-2), "listpack");
    for _ in 0..1000 {
        list.push(End::Left, b"0123456789");
    }
    assert_eq!(list.encoding(-2), "quicklist");
    for (listpack_size, encoding) in [
        (-1, "quicklist"),
        (-3, "listpack"),
        (-9, "listpack"),
        (0, "quicklist"),
        (1000, "quicklist"),
    ] {
        assert_eq!(list.encoding(listpack_size), encoding, "{listpack_size}: 12 KB");
    }
    list.discard(900, End::Left);
    assert_eq!(list.encoding(-2), "listpack");
    assert_eq!([99, 100].map(|len| list.encoding(len)), ["quicklist", "listpack"]);
    list.discard(99, End::Left);
    assert_eq!(list.encoding(0), "listpack");
}

#[test]
fn equal_content_has_equal_form_for_a_digest() {
    let (mut pushed, mut inserted) = (List::default(), List::default());
    for number in (0..5000u32).rev() {
        pushed.push(End::Left, &number.to_le_bytes());
        inserted.insert(inserted.len() / 2, b"filler");
    }
    for number in 0..5000u32 {
        inserted.set(number as usize, &number.to_le_bytes());
    }
    let digest = |list: &List| {
        let mut hasher = std::hash::DefaultHasher::new();
        list.hash(&mut hasher);
        hasher.finish()
    };
    assert_eq!(digest(&pushed), digest(&inserted));
    assert_eq!(format!("{pushed:?}"), format!("{inserted:?}"));
    assert_eq!(pushed.bytes(), inserted.bytes());
}
