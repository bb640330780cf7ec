use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::{Deadline, Keyspace};
use crate::engine::random::Random;
use crate::engine::types::string::StringValue;
use crate::engine::value::{Kind, Value};

fn keyspace() -> Keyspace {
    let mut keyspace = Keyspace::new(1);
    keyspace.begin(1, 1_000);
    keyspace
}

fn key(number: usize) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

fn fill(keyspace: &mut Keyspace, numbers: std::ops::Range<usize>) {
    for number in numbers {
        keyspace.store_string(0, &key(number), b"value", Deadline::Clear);
    }
}

fn text(value: &Value) -> Vec<u8> {
    StringValue::of(value).unwrap().to_vec()
}

#[derive(Clone, Debug)]
enum Step {
    Store(usize, u8, Option<u64>),
    Keep(usize, u8),
    Remove(usize),
    SetDeadline(usize, Option<u64>),
    Rename(usize, usize),
    Append(usize),
    Advance(u64),
    ExpireDue(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = || 0..40usize;
    let wait = || proptest::option::of(0..30u64);
    let step = prop_oneof![
        4 => (number(), any::<u8>(), wait()).prop_map(|(k, v, at)| Step::Store(k, v, at)),
        1 => (number(), any::<u8>()).prop_map(|(k, v)| Step::Keep(k, v)),
        2 => number().prop_map(Step::Remove),
        2 => (number(), wait()).prop_map(|(k, at)| Step::SetDeadline(k, at)),
        1 => (number(), number()).prop_map(|(a, b)| Step::Rename(a, b)),
        1 => number().prop_map(Step::Append),
        2 => (0..10u64).prop_map(Step::Advance),
        1 => (0..5usize).prop_map(Step::ExpireDue),
    ];
    proptest::collection::vec(step, 0..300)
}

/// Value and deadline, 0 for none, of all keys that were not yet removed.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

fn live(model: &Model, clock: u64) -> Model {
    let is_live = |deadline: u64| deadline == 0 || deadline > clock;
    model.iter().filter(|(_, (_, at))| is_live(*at)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn follow(model: &mut Model, keyspace: &mut Keyspace, step: &Step) {
    let clock = keyspace.clock_ms();
    let at = |wait: Option<u64>| wait.map_or(0, |wait| clock + wait);
    let deadline = |wait: Option<u64>| wait.map_or(Deadline::Clear, |w| Deadline::At(clock + w));
    match *step {
        Step::Store(number, value, wait) => {
            keyspace.store(0, &key(number), Value::string(&[value]), deadline(wait));
            model.insert(key(number), (vec![value], at(wait)));
        }
        Step::Keep(number, value) => {
            keyspace.store_string(0, &key(number), &[value], Deadline::Keep);
            let old = live(model, clock).get(&key(number)).map_or(0, |(_, at)| *at);
            model.insert(key(number), (vec![value], old));
        }
        Step::Remove(number) => {
            let is_present = live(model, clock).contains_key(&key(number));
            assert_eq!(keyspace.remove(0, &key(number)), is_present);
            model.remove(&key(number));
        }
        Step::SetDeadline(number, wait) => {
            let is_present = live(model, clock).contains_key(&key(number));
            assert_eq!(keyspace.set_deadline(0, &key(number), deadline(wait)), is_present);
            if is_present {
                model.get_mut(&key(number)).unwrap().1 = at(wait);
            }
        }
        Step::Rename(from, to) => {
            let moved = live(model, clock).remove(&key(from));
            assert_eq!(keyspace.rename(0, &key(from), &key(to)), moved.is_some());
            if let Some(moved) = moved {
                model.remove(&key(from));
                model.insert(key(to), moved);
            }
        }
        Step::Append(number) => {
            keyspace.change_or_create::<StringValue>(0, &key(number)).unwrap().append(b"+");
            let (mut value, at) = live(model, clock).remove(&key(number)).unwrap_or_default();
            value.push(b'+');
            model.insert(key(number), (value, at));
        }
        Step::Advance(millis) => keyspace.begin(keyspace.entry_index() + 1, clock + millis),
        Step::ExpireDue(limit) => {
            assert!(keyspace.expire_due(limit) <= limit);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_keyspace_is_a_map_with_deadlines(steps in steps()) {
        let mut keyspace = keyspace();
        let mut model = Model::new();
        for step in &steps {
            follow(&mut model, &mut keyspace, step);
            let clock = keyspace.clock_ms();
            let expected = live(&model, clock);
            let got: Model = keyspace
                .entries(0)
                .map(|entry| (entry.key.to_vec(), (text(&entry.value), entry.deadline_ms)))
                .collect();
            prop_assert_eq!(&got, &expected);
            let held = keyspace.databases[0].table.iter();
            let volatile = held.filter(|entry| entry.deadline_ms != 0).count();
            prop_assert_eq!(keyspace.volatile_len(0), volatile);
        }
        while keyspace.expire_due(3) > 0 {}
        prop_assert_eq!(keyspace.len(0), live(&model, keyspace.clock_ms()).len());
        let next = keyspace.entries(0).map(|entry| entry.deadline_ms).filter(|at| *at != 0).min();
        prop_assert_eq!(keyspace.next_deadline(), next);
    }
}

#[test]
fn growth_keeps_every_key_and_no_segment_gets_large() {
    let mut keyspace = keyspace();
    fill(&mut keyspace, 0..100_000);
    assert_eq!(keyspace.len(0), 100_000);
    for number in 0..100_000 {
        assert!(keyspace.get(0, &key(number)).is_some(), "{number}");
    }
    assert!(keyspace.get(0, &key(100_000)).is_none());
    for number in (0..100_000).filter(|number| number % 7 != 0) {
        assert!(keyspace.remove(0, &key(number)), "{number}");
    }
    assert_eq!(keyspace.entries(0).count(), 100_000_usize.div_ceil(7));
    let stats = keyspace.stats();
    assert_eq!((stats.hits, stats.misses), (100_000, 1));
}

#[test]
fn a_scan_visits_each_lasting_key_once_while_the_table_grows() {
    let mut keyspace = keyspace();
    fill(&mut keyspace, 0..3_000);
    let mut visits: HashMap<Vec<u8>, usize> = HashMap::new();
    let (mut cursor, mut grown) = (0, 3_000);
    loop {
        let mut step = 0;
        cursor = keyspace.scan(0, cursor, 50, |entry| {
            *visits.entry(entry.key.to_vec()).or_default() += 1;
            step += 1;
        });
        assert!(step <= 50);
        if cursor == 0 {
            break;
        }
        fill(&mut keyspace, grown..grown + 300);
        (0..100).for_each(|back| assert!(keyspace.remove(0, &key(grown + back))));
        grown += 300;
    }
    assert!(visits.values().all(|count| *count == 1));
    assert!((0..3_000).all(|number| visits.contains_key(&key(number))));
    assert!(grown > 15_000);
}

#[test]
fn scan_order_is_the_same_whatever_the_history() {
    let order = |keyspace: &Keyspace| {
        let (mut keys, mut cursor) = (Vec::new(), 0);
        loop {
            cursor = keyspace.scan(0, cursor, 7, |entry| keys.push(entry.key.clone()));
            if cursor == 0 {
                return keys;
            }
        }
    };
    let (mut small, mut shrunk) = (keyspace(), keyspace());
    fill(&mut small, 0..500);
    fill(&mut shrunk, 0..50_000);
    (500..50_000).for_each(|number| assert!(shrunk.remove(0, &key(number))));
    assert_eq!(order(&small), order(&shrunk));
    assert_eq!(small.digest(), shrunk.digest());
    for seed in 0..50 {
        let pick = |keyspace: &Keyspace| {
            keyspace.random_key(0, &mut Random::new(seed)).unwrap().key.clone()
        };
        assert_eq!(pick(&small), pick(&shrunk));
    }
}

#[test]
fn due_keys_go_by_deadline_and_a_bounded_number_at_a_time() {
    let mut keyspace = keyspace();
    for number in 0..100 {
        let deadline = Deadline::At(2_000 + (number as u64 * 37) % 100);
        let database = (number % 3) as u8;
        keyspace.store_string(database, &key(number), b"v", deadline);
    }
    assert_eq!(keyspace.expire_due(1_000), 0);
    assert_eq!(keyspace.next_deadline(), Some(2_000));
    keyspace.begin(2, 2_049);
    for round in 1..=5 {
        assert_eq!(keyspace.expire_due(10), 10);
        assert_eq!(keyspace.next_deadline(), Some(2_000 + round * 10));
    }
    assert_eq!(keyspace.expire_due(10), 0);
    assert_eq!((0..3).map(|database| keyspace.len(database)).sum::<usize>(), 50);
    assert_eq!(keyspace.stats().expired, 50);
}

#[test]
fn the_version_moves_with_each_change_and_with_nothing_else() {
    let mut keyspace = keyspace();
    keyspace.insert(0, b"k", Value::string(b"v"));
    assert_eq!(keyspace.version(0, b"k"), 1);
    keyspace.begin(2, 1_000);
    keyspace.get(0, b"k");
    assert_eq!(keyspace.version(0, b"k"), 1);
    keyspace.set_deadline(0, b"k", Deadline::At(5_000));
    assert_eq!(keyspace.version(0, b"k"), 2);
    keyspace.begin(3, 5_000);
    assert_eq!(keyspace.version(0, b"k"), 0);
    keyspace.insert(0, b"k", Value::string(b"w"));
    assert_eq!(keyspace.version(0, b"k"), 3);
}

#[test]
fn a_flush_empties_one_database_or_all() {
    let mut keyspace = keyspace();
    fill(&mut keyspace, 0..5_000);
    keyspace.store_string(3, b"k", b"v", Deadline::At(9_000));
    keyspace.flush(0);
    assert_eq!((keyspace.len(0), keyspace.len(3)), (0, 1));
    assert!(keyspace.get(0, &key(1)).is_none());
    keyspace.flush_all();
    assert_eq!((keyspace.len(3), keyspace.next_deadline()), (0, None));
    assert_eq!(keyspace.digest(), 0);
    assert!(!keyspace.condemned.is_empty());
    (2..100).for_each(|index| keyspace.begin(index, 1_000));
    assert!(keyspace.condemned.is_empty());
}

#[test]
fn the_digest_tells_any_difference() {
    let base = || {
        let mut keyspace = keyspace();
        keyspace.store_string(0, b"k", b"v", Deadline::Clear);
        keyspace
    };
    let mut digests = HashSet::from([base().digest()]);
    let changes: [fn(&mut Keyspace); 6] = [
        |keyspace| keyspace.store_string(0, b"k", b"w", Deadline::Clear),
        |keyspace| keyspace.store_string(0, b"k", b"v", Deadline::At(5_000)),
        |keyspace| keyspace.store_string(1, b"k", b"v", Deadline::Clear),
        |keyspace| assert!(keyspace.rename(0, b"k", b"l")),
        |keyspace| {
            keyspace.begin(2, 1_000);
            keyspace.store_string(0, b"k", b"v", Deadline::Clear);
        },
        |keyspace| assert!(keyspace.remove(0, b"k")),
    ];
    for change in changes {
        let mut keyspace = base();
        change(&mut keyspace);
        assert!(digests.insert(keyspace.digest()));
    }
    assert_eq!(base().digest(), base().digest());
}

#[test]
fn random_picks_reach_every_key_of_a_small_database() {
    let mut keyspace = keyspace();
    let mut random = Random::new(3);
    assert!(keyspace.random_key(0, &mut random).is_none());
    fill(&mut keyspace, 0..10);
    let picked: HashSet<_> =
        (0..300).map(|_| keyspace.random_key(0, &mut random).unwrap().key.clone()).collect();
    assert_eq!(picked.len(), 10);
}

/// Known values: a change of them would change what SCAN cursors mean within a cluster.
#[test]
fn hashes_do_not_depend_on_the_build() {
    let keyspace = Keyspace::new(42);
    let hashes = [keyspace.hash(b""), keyspace.hash(b"key"), keyspace.hash(&[7; 100])];
    assert_eq!(
        hashes,
        [7_377_161_492_966_778_572, 8_949_265_571_350_092_864, 14_732_708_857_614_296_619]
    );
}
