//! A hash against a vector of pairs and a map.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::table::PAIR_OVERHEAD_BYTES;
use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Set(u16, Vec<u8>),
    Remove(u16),
    RemoveAt(usize),
}

fn name(number: u16) -> Vec<u8> {
    format!("field:{number}").into_bytes()
}

fn operation(fields: u16) -> impl Strategy<Value = Operation> {
    let value = prop_oneof![
        300 => prop::collection::vec(any::<u8>(), 0..20),
        3 => Just(vec![b'v'; COMPACT_STRING_BYTES_MAX]),
        1 => Just(vec![b'v'; COMPACT_STRING_BYTES_MAX + 1]),
        1 => Just(vec![b'v'; 300]),
    ];
    prop_oneof![
        5 => (0..fields, value).prop_map(|(field, value)| Operation::Set(field, value)),
        1 => (0..fields).prop_map(Operation::Remove),
        1 => any::<usize>().prop_map(Operation::RemoveAt),
    ]
}

/// The order that is promised, kept in the plainest way.
#[derive(Default)]
struct Model(Vec<(Vec<u8>, Vec<u8>)>);

impl Model {
    fn position(&self, field: &[u8]) -> Option<usize> {
        self.0.iter().position(|(other, _)| other == field)
    }

    fn set(&mut self, field: &[u8], value: &[u8]) {
        match self.position(field) {
            Some(at) => self.0[at].1 = value.to_vec(),
            None => self.0.push((field.to_vec(), value.to_vec())),
        }
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        self.position(field).map(|at| self.0.swap_remove(at)).is_some()
    }
}

fn check(hash: &Hash, model: &Model) {
    assert_eq!(hash.len(), model.0.len());
    let pairs = model.0.iter().map(|(field, value)| (field.as_slice(), value.as_slice()));
    assert!(hash.iter().eq(pairs.clone()));
    for (index, pair) in pairs.enumerate() {
        assert_eq!(hash.at(index), Some(pair));
        assert_eq!(hash.get(pair.0), Some(pair.1));
    }
    assert_eq!(hash.at(model.0.len()), None);
    assert_eq!(hash.get(b"no such field"), None);
    let is_compact = model.0.len() <= COMPACT_LEN_MAX
        && model.0.iter().all(|(_, value)| value.len() <= COMPACT_STRING_BYTES_MAX);
    assert!(is_compact || hash.encoding() == HashEncoding::Hashtable);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_run_of_operations_keeps_content_and_order(
        operations in prop_oneof![
            prop::collection::vec(operation(40), 1..120),
            prop::collection::vec(operation(400), 200..500),
        ],
    ) {
        let (mut hash, mut model) = (Hash::default(), Model::default());
        for operation in operations {
            match operation {
                Operation::Set(field, value) => {
                    let is_new = model.position(&name(field)).is_none();
                    prop_assert_eq!(hash.set(&name(field), &value), is_new);
                    model.set(&name(field), &value);
                }
                Operation::Remove(field) => {
                    prop_assert_eq!(hash.remove(&name(field)), model.remove(&name(field)));
                }
                Operation::RemoveAt(at) if !model.0.is_empty() => {
                    let field = model.0[at % model.0.len()].0.clone();
                    prop_assert!(hash.remove(&field) && model.remove(&field));
                }
                Operation::RemoveAt(_) => {}
            }
        }
        check(&hash, &model);
        let mut copy = Hash::with_encoding(hash.encoding());
        for (field, value) in hash.iter() {
            copy.set(field, value);
        }
        check(&copy, &model);
        prop_assert_eq!((copy.encoding(), copy.bytes()), (hash.encoding(), hash.bytes()));
    }

    /// Fields come and go between the calls; those that stay must all be seen.
    #[test]
    fn a_scan_misses_no_field_that_stays(
        lens in (130u16..600, 1usize..40),
        changes in prop::collection::vec((any::<u16>(), any::<bool>()), 0..400),
    ) {
        let (len, count) = lens;
        let mut hash = Hash::default();
        let mut staying: BTreeSet<Vec<u8>> = (0..len).map(name).collect();
        for field in &staying {
            hash.set(field, b"");
        }
        let mut seen = BTreeSet::new();
        let (mut cursor, mut changes) = (0, changes.into_iter());
        loop {
            let (next, part) = hash.scan(cursor, count);
            seen.extend(part.map(|(field, _)| field.to_vec()));
            if next == 0 {
                break;
            }
            assert!(cursor == 0 || next < cursor, "a scan comes to an end");
            cursor = next;
            for (number, is_removal) in changes.by_ref().take(5) {
                if is_removal {
                    hash.remove(&name(number % len));
                    staying.remove(&name(number % len));
                } else {
                    hash.set(&name(len + number % 500), b"");
                }
            }
        }
        prop_assert!(staying.is_subset(&seen));
    }
}

#[test]
fn the_form_changes_behind_its_limits() {
    let mut hash = Hash::default();
    for number in 0..COMPACT_LEN_MAX as u16 {
        hash.set(&name(number), &[b'v'; COMPACT_STRING_BYTES_MAX]);
    }
    assert_eq!(hash.encoding().name(), "listpack");
    hash.set(b"one more", b"");
    assert_eq!(hash.encoding().name(), "hashtable");
    hash.remove(b"one more");
    assert_eq!(hash.encoding().name(), "hashtable");

    let mut hash = Hash::default();
    hash.set(&[b'f'; COMPACT_STRING_BYTES_MAX + 1], b"");
    assert_eq!(hash.encoding().name(), "hashtable");
}

#[test]
fn the_account_of_a_table_is_that_of_its_content() {
    let mut hash = Hash::with_encoding(HashEncoding::Hashtable);
    let mut model = BTreeMap::new();
    for number in 0..1000u16 {
        let value = vec![0; usize::from(number * 7 % 50)];
        hash.set(&name(number % 300), &value);
        model.insert(name(number % 300), value);
        if number.is_multiple_of(3) {
            hash.remove(&name(number % 100));
            model.remove(&name(number % 100));
        }
    }
    let content: usize = model.iter().map(|(field, value)| field.len() + value.len()).sum();
    assert_eq!(hash.bytes(), content + model.len() * PAIR_OVERHEAD_BYTES);
}
