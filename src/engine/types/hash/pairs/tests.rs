//! Packed pairs against a vector of pairs.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Set(Vec<u8>, Vec<u8>),
    SetAll(Vec<(Vec<u8>, Vec<u8>)>),
    Remove(Vec<u8>),
    RemoveAt(usize),
}

/// Few different ones, of lengths at both sides of each border of the coding.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let len = prop::sample::select(vec![0, 1, 2, 5, 13, 14, 15, 16, 17, 63, 64, 255]);
    (len, 0..4u8).prop_map(|(len, fill)| vec![fill; len])
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20),
        1 => prop::sample::select(vec![63, 64, 254, 255]).prop_map(|len| vec![len as u8; len]),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (field(), value()).prop_map(|(field, value)| Operation::Set(field, value)),
        2 => prop::collection::vec((field(), value()), 0..8).prop_map(Operation::SetAll),
        2 => field().prop_map(Operation::Remove),
        2 => any::<usize>().prop_map(Operation::RemoveAt),
    ]
}

type Model = Vec<(Vec<u8>, Vec<u8>)>;

fn model_set(model: &mut Model, field: Vec<u8>, value: Vec<u8>) -> bool {
    let found = model.iter_mut().find(|(other, _)| *other == field);
    let is_new = found.is_none();
    match found {
        Some(pair) => pair.1 = value,
        None => model.push((field, value)),
    }
    is_new
}

fn check(pairs: &Pairs, model: &Model) {
    let wanted = model.iter().map(|(field, value)| (field.as_slice(), value.as_slice()));
    assert!(pairs.iter().eq(wanted.clone()), "{pairs:?} {model:?}");
    assert_eq!((pairs.len(), pairs.is_empty()), (model.len(), model.is_empty()));
    let sizes: usize = wanted.map(|(field, value)| size_of_pair(field, value)).sum();
    assert_eq!(pairs.size(), sizes + usize::from(!model.is_empty()));
    for (field, value) in model {
        assert_eq!(pairs.get(field), Some(value.as_slice()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_run_of_operations_is_that_of_a_vector(
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let (mut pairs, mut model) = (Pairs::default(), Model::new());
        for operation in operations {
            match operation {
                Operation::Set(field, value) => {
                    let is_new = pairs.set(&field, &value);
                    prop_assert_eq!(is_new, model_set(&mut model, field, value));
                }
                Operation::SetAll(all) => {
                    let flat = all.iter().flat_map(|(field, value)| [&field[..], &value[..]]);
                    let added = pairs.set_all(&flat.collect::<Vec<_>>());
                    let new = all.into_iter().filter(|(field, value)| {
                        model_set(&mut model, field.clone(), value.clone())
                    });
                    prop_assert_eq!(added, new.count());
                }
                Operation::Remove(field) => {
                    let at = model.iter().position(|(other, _)| *other == field);
                    prop_assert_eq!(pairs.remove(&field), at.is_some());
                    at.map(|at| model.swap_remove(at));
                    prop_assert_eq!(pairs.get(&field), None);
                }
                Operation::RemoveAt(at) if !model.is_empty() => {
                    let (field, _) = model.swap_remove(at % model.len());
                    prop_assert!(pairs.remove(&field));
                }
                Operation::RemoveAt(_) => {}
            }
            check(&pairs, &model);
        }
    }
}

#[test]
fn ten_short_fields_take_a_byte_each_beside_their_own() {
    let mut pairs = Pairs::default();
    for number in 0..10 {
        pairs.set(format!("field{number}").as_bytes(), b"01234567");
    }
    assert_eq!(pairs.size(), 1 + 10 * (1 + 6 + 8));
    pairs.set(b"field0", &[b'v'; 16]);
    assert_eq!(pairs.size(), 1 + 9 * (1 + 6 + 8) + 3 + 6 + 16);
}

#[test]
fn there_is_room_for_twice_as_many_pairs_as_a_small_hash_has() {
    let mut pairs = Pairs::default();
    for number in 0..=254u8 {
        assert!(pairs.set(&[number], &[number; 255]));
    }
    assert_eq!(pairs.len(), 255);
    assert_eq!(pairs.get(&[254]), Some(&[254; 255][..]));
    assert!(pairs.remove(&[0]));
    assert_eq!(pairs.iter().next(), Some((&[254][..], &[254; 255][..])));
}
