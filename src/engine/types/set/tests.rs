//! A set against a model that keeps the promised order in the plainest way.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Add(Vec<u8>),
    Remove(Vec<u8>),
    RemoveAt(usize),
}

fn member(integers: u32) -> impl Strategy<Value = Vec<u8>> {
    let text = |number: i64| number.to_string().into_bytes();
    prop_oneof![
        integers => (-400i64..400).prop_map(text),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX]).prop_map(text),
        4 => (0u16..300).prop_map(|number| format!("m{number}").into_bytes()),
        1 => prop::sample::select(vec!["", "-0", "007", "+1", "9223372036854775808"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => (64usize..67).prop_map(|len| vec![b'x'; len]),
    ]
}

fn operation(integers: u32) -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => member(integers).prop_map(Operation::Add),
        1 => member(integers).prop_map(Operation::Remove),
        1 => any::<usize>().prop_map(Operation::RemoveAt),
    ]
}

/// Members in order; `is_sorted` until the first member that is no integer, or too many.
struct Model {
    members: Vec<Vec<u8>>,
    is_sorted: bool,
}

impl Model {
    fn add(&mut self, member: &[u8]) -> bool {
        if self.members.iter().any(|other| other == member) {
            return false;
        }
        self.is_sorted &= parse_integer(member).is_some();
        self.members.push(member.to_vec());
        if self.is_sorted {
            self.members.sort_by_key(|member| parse_integer(member));
            self.is_sorted = self.members.len() <= Set::INTEGERS_LEN_MAX;
        }
        true
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let Some(at) = self.members.iter().position(|other| other == member) else { return false };
        if self.is_sorted {
            self.members.remove(at);
        } else {
            self.members.swap_remove(at);
        }
        true
    }
}

fn check(set: &Set, model: &Model) {
    assert_eq!(set.len(), model.members.len());
    assert!(set.iter().map(|member| member.to_vec()).eq(model.members.iter().cloned()));
    for (index, member) in model.members.iter().enumerate() {
        assert_eq!(set.at(index).as_deref(), Some(member.as_slice()));
        assert!(set.contains(member));
    }
    assert!(set.at(model.members.len()).is_none());
    assert!(!set.contains(b"no such member") && !set.contains(b"123456"));
    assert_eq!(model.is_sorted, set.encoding() == SetEncoding::Intset);
    if set.encoding() == SetEncoding::Listpack {
        assert!(set.len() <= COMPACT_LEN_MAX);
        assert!(set.iter().all(|member| member.len() <= COMPACT_STRING_BYTES_MAX));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_run_of_operations_keeps_content_and_order(
        operations in prop_oneof![
            prop::collection::vec(operation(4), 1..100),
            prop::collection::vec(operation(4), 200..700),
            prop::collection::vec(operation(4000), 300..1400),
        ],
    ) {
        let mut set = Set::default();
        let mut model = Model { members: Vec::new(), is_sorted: true };
        for operation in operations {
            match operation {
                Operation::Add(member) => prop_assert_eq!(set.add(&member), model.add(&member)),
                Operation::Remove(member) => {
                    prop_assert_eq!(set.remove(&member), model.remove(&member));
                }
                Operation::RemoveAt(at) if !set.is_empty() => {
                    let member = model.members[at % model.members.len()].clone();
                    set.remove_at(at % model.members.len());
                    model.remove(&member);
                }
                Operation::RemoveAt(_) => {}
            }
        }
        check(&set, &model);
        let mut copy = Set::with_encoding(set.encoding());
        for member in set.iter() {
            copy.add(&member);
        }
        check(&copy, &model);
        prop_assert_eq!((copy.encoding(), copy.bytes()), (set.encoding(), set.bytes()));
    }
}

#[test]
fn the_form_changes_behind_its_limits() {
    let encoding = |members: &mut dyn Iterator<Item = String>| {
        let mut set = Set::default();
        members.for_each(|member| assert!(set.add(member.as_bytes())));
        set.encoding().name()
    };
    let words = |count| (0..count).map(|number| format!("word{number}"));
    let integers = |count: i32| (0..count).map(|number| number.to_string());
    assert_eq!(encoding(&mut integers(512)), "intset");
    assert_eq!(encoding(&mut integers(513)), "hashtable");
    assert_eq!(encoding(&mut words(128)), "listpack");
    assert_eq!(encoding(&mut words(129)), "hashtable");
    assert_eq!(encoding(&mut integers(127).chain(words(1))), "listpack");
    assert_eq!(encoding(&mut integers(128).chain(words(1))), "hashtable");
    assert_eq!(encoding(&mut ["x".repeat(64)].into_iter()), "listpack");
    assert_eq!(encoding(&mut ["x".repeat(65)].into_iter()), "hashtable");
}

#[test]
fn a_scan_sees_every_member_that_stays() {
    let mut set = Set::default();
    for number in 0..1000 {
        set.add(format!("m{number}").as_bytes());
    }
    let mut seen = BTreeSet::new();
    let (mut cursor, mut round) = (0, 0);
    loop {
        let (next, part) = set.scan(cursor, 10);
        seen.extend(part.map(|member| member.to_vec()));
        if next == 0 {
            break;
        }
        cursor = next;
        // The odd members go, from the front, so that the last ones move to where they were.
        set.remove(format!("m{}", round * 2 + 1).as_bytes());
        round += 1;
    }
    assert!(round > 40);
    assert!((0..1000).step_by(2).all(|number| seen.contains(format!("m{number}").as_bytes())));
}
