//! Random operations against a map and a sorted vector, across the packed and the ordered form.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::*;
use crate::engine::random::Random;

type Model = BTreeMap<Vec<u8>, f64>;

fn sorted(model: &Model) -> Vec<(Vec<u8>, f64)> {
    let mut items: Vec<_> = model.iter().map(|(member, &score)| (member.clone(), score)).collect();
    items.sort_by(|(a, a_score), (b, b_score)| {
        a_score.partial_cmp(b_score).unwrap_or(Ordering::Equal).then_with(|| a.cmp(b))
    });
    items
}

fn owned<'a>(items: impl Iterator<Item = (&'a [u8], f64)>) -> Vec<(Vec<u8>, f64)> {
    items.map(|(member, score)| (member.to_vec(), score)).collect()
}

fn reversed(items: &[(Vec<u8>, f64)]) -> Vec<(Vec<u8>, f64)> {
    items.iter().rev().cloned().collect()
}

fn some_ranks(random: &mut Random, len: usize) -> Range<usize> {
    let (a, b) = (random.below(len + 1), random.below(len + 1));
    a.min(b)..a.max(b)
}

/// A score of the small set that the operations draw from, or one beside it.
fn some_bound(random: &mut Random, scores: usize) -> Bound<f64> {
    let score = random.below(scores * 2 + 3) as f64 / 2.0 - 0.5;
    match random.below(5) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(score),
        _ => Bound::Excluded(score),
    }
}

fn satisfies(score: f64, min: Bound<f64>, max: Bound<f64>) -> bool {
    let above = match min {
        Bound::Unbounded => true,
        Bound::Included(min) => score >= min,
        Bound::Excluded(min) => score > min,
    };
    let below = match max {
        Bound::Unbounded => true,
        Bound::Included(max) => score <= max,
        Bound::Excluded(max) => score < max,
    };
    above && below
}

fn assert_same(set: &SortedSet, model: &Model, random: &mut Random, scores: usize) {
    let items = sorted(model);
    assert_eq!(set.len(), items.len());
    assert_eq!(owned(set.iter()), items);
    assert_eq!(owned(set.iter().rev()), reversed(&items));
    for (rank, (member, score)) in items.iter().enumerate() {
        assert_eq!(set.rank(member), Some(rank));
        assert_eq!(set.score(member), Some(*score));
    }
    assert_eq!(set.rank(b"no such member"), None);
    for _ in 0..8 {
        let ranks = some_ranks(random, items.len());
        assert_eq!(owned(set.range(ranks.clone())), items[ranks.clone()]);
        assert_eq!(owned(set.range(ranks.clone()).rev()), reversed(&items[ranks]));
        let (min, max) = (some_bound(random, scores), some_bound(random, scores));
        let ranks = set.ranks_by_score(min, max);
        let wanted: Vec<_> =
            items.iter().filter(|&&(_, score)| satisfies(score, min, max)).cloned().collect();
        assert_eq!(owned(set.range(ranks)), wanted, "{min:?} {max:?}");
    }
    let mut entries = owned(set.entries());
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert!(entries.into_iter().eq(model.clone()));
    if let Form::Ordered(ordered) = &set.0 {
        ordered.assert_invariants();
    }
}

/// `names` and `scores` bound how many different ones there are.
fn run_random_operations(seed: u64, names: usize, scores: usize, steps: usize) {
    let mut random = Random::new(seed);
    let (mut set, mut model) = (SortedSet::default(), Model::new());
    for step in 0..steps {
        let member = format!("member:{}", random.below(names)).into_bytes();
        // Growing and shrinking take turns, so that chunks split and merge.
        let grows = (step / (steps / 6 + 1)).is_multiple_of(2);
        match random.below(100) {
            choice if choice < if grows { 70 } else { 25 } => {
                let score = random.below(scores) as f64;
                assert_eq!(set.insert(&member, score), model.insert(member, score));
            }
            choice if choice < 97 => assert_eq!(set.remove(&member), model.remove(&member)),
            _ => {
                let ranks = some_ranks(&mut random, set.len());
                let len = ranks.len().min(if grows { 3 } else { set.len() / 3 });
                let ranks = ranks.start..ranks.start + len;
                for (member, _) in &sorted(&model)[ranks.clone()] {
                    model.remove(member);
                }
                set.remove_range(ranks);
            }
        }
        if step % 97 == 0 || (120..136).contains(&set.len()) && step % 7 == 0 {
            assert_same(&set, &model, &mut random, scores);
        }
    }
    assert_same(&set, &model, &mut random, scores);
    set.remove_range(0..set.len());
    assert!(set.is_empty() && set.iter().next().is_none());
}

#[test]
fn small_sets_agree_with_the_model() {
    for seed in 0..8 {
        run_random_operations(seed, 100, 5, 1500);
    }
}

#[test]
fn sets_around_the_packed_limit_agree_with_the_model() {
    for seed in 0..6 {
        run_random_operations(seed, 200, 1 + seed as usize * 20, 2500);
    }
}

#[test]
fn large_sets_agree_with_the_model() {
    for (seed, scores) in [(1, 1), (2, 3), (3, 1000), (4, 1_000_000)] {
        run_random_operations(seed, 4000, scores, 12_000);
    }
}

#[test]
fn rising_falling_and_popped_scores_keep_ranks_right() {
    let count = 3000;
    let mut set = SortedSet::default();
    for number in 0..count {
        let score = if number % 2 == 0 { number as f64 } else { -(number as f64) };
        set.insert(format!("m{number}").as_bytes(), score);
    }
    for left in (1..=count).rev() {
        assert_eq!(set.len(), left);
        let lowest = set.range(0..1).next().map(|(member, score)| (member.to_vec(), score));
        let highest = set.range(left - 1..left).next().map(|(member, _)| member.to_vec());
        let (lowest, score) = lowest.unwrap();
        assert_eq!((set.rank(&lowest), set.score(&lowest)), (Some(0), Some(score)));
        assert_eq!(set.rank(&highest.unwrap()), Some(left - 1));
        set.remove_range(if left % 3 == 0 { left - 1..left } else { 0..1 });
    }
}

#[test]
fn member_bounds_select_what_lies_between_them() {
    for count in [0, 5, 128, 129, 2000] {
        let mut random = Random::new(count);
        let mut set = SortedSet::default();
        for _ in 0..count {
            set.insert(format!("{}", random.below(5000)).as_bytes(), 7.0);
        }
        let members: Vec<Vec<u8>> = set.iter().map(|(member, _)| member.to_vec()).collect();
        assert!(members.is_sorted());
        for _ in 0..300 {
            let texts = [0, 1].map(|_| format!("{}", random.below(6000)).into_bytes());
            let [min, max] = [0, 1].map(|index| match random.below(8) {
                0 => MemberBound::Least,
                1 => MemberBound::Greatest,
                2 | 3 => MemberBound::Excluded(&texts[index]),
                _ => MemberBound::Included(&texts[index]),
            });
            let above = |member: &[u8]| match min {
                MemberBound::Least => true,
                MemberBound::Included(min) => member >= min,
                MemberBound::Excluded(min) => member > min,
                MemberBound::Greatest => false,
            };
            let below = |member: &[u8]| match max {
                MemberBound::Least => false,
                MemberBound::Included(max) => member <= max,
                MemberBound::Excluded(max) => member < max,
                MemberBound::Greatest => true,
            };
            let wanted: Vec<_> =
                members.iter().filter(|member| above(member) && below(member)).collect();
            let ranks = set.ranks_by_member(min, max);
            assert!(set.range(ranks).map(|(member, _)| member).eq(wanted), "{min:?} {max:?}");
        }
    }
}

#[test]
fn member_bounds_depend_on_content_alone_when_scores_differ() {
    let mut random = Random::new(5);
    let items: Vec<_> = (0..1000)
        .map(|_| (format!("{}", random.below(800)).into_bytes(), random.below(9) as f64))
        .collect();
    let mut grown = SortedSet::default();
    items.iter().for_each(|(member, score)| {
        grown.insert(member, *score);
    });
    let mut rebuilt = SortedSet::with_encoding(SortedSetEncoding::Skiplist);
    grown.iter().for_each(|(member, score)| {
        rebuilt.insert(member, score);
    });
    for _ in 0..500 {
        let [min, max] = [0, 1].map(|_| format!("{}", random.below(900)).into_bytes());
        let (min, max) = (MemberBound::Included(&min), MemberBound::Excluded(&max));
        assert_eq!(grown.ranks_by_member(min, max), rebuilt.ranks_by_member(min, max));
    }
}

#[test]
fn a_scan_visits_all_members_that_stay() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut set = SortedSet::default();
        let stays: Vec<Vec<u8>> = (0..600).map(|n| format!("stays:{n}").into_bytes()).collect();
        let mut passing = Vec::new();
        for member in &stays {
            set.insert(member, random.below(50) as f64);
            passing.push(format!("passing:{}", random.below(500)).into_bytes());
            set.insert(&passing[passing.len() - 1], -1.0);
        }
        let mut seen = std::collections::HashSet::new();
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, 1 + random.below(60), |member, _| {
                seen.insert(member.to_vec());
            });
            if cursor == 0 {
                break;
            }
            for _ in 0..random.below(40) {
                let member = &passing[random.below(passing.len())];
                if random.below(3) == 0 {
                    set.insert(member, -1.0 - random.below(50) as f64);
                } else {
                    set.remove(member);
                }
                if random.below(50) == 0 {
                    let below_zero = set.ranks_by_score(Bound::Unbounded, Bound::Excluded(0.0));
                    set.remove_range(0..random.below(below_zero.end + 1));
                }
                set.insert(&stays[random.below(stays.len())], random.below(50) as f64);
            }
        }
        assert!(stays.iter().all(|member| seen.contains(member)), "seed {seed}");
    }
}

#[test]
fn a_packed_set_is_scanned_at_once() {
    let mut set = SortedSet::default();
    (0..128).for_each(|n| {
        set.insert(format!("{n}").as_bytes(), 0.0);
    });
    let mut count = 0;
    assert_eq!(set.scan(0, 10, |_, _| count += 1), 0);
    assert_eq!(count, 128);
}

#[test]
fn the_form_changes_at_the_limits_of_redis_and_never_back() {
    let mut set = SortedSet::default();
    (0..128).for_each(|n| {
        set.insert(format!("{n}").as_bytes(), f64::from(n));
    });
    set.insert(&[b'x'; 64], 1.0);
    assert_eq!(set.encoding().name(), "skiplist");
    set.remove_range(1..set.len());
    assert_eq!((set.len(), set.encoding().name()), (1, "skiplist"));

    let mut set = SortedSet::default();
    (0..127).for_each(|n| {
        set.insert(format!("{n}").as_bytes(), f64::from(n));
    });
    set.insert(&[b'x'; 64], 1.0);
    assert_eq!(set.encoding().name(), "listpack");

    let mut set = SortedSet::default();
    set.insert(&[b'x'; 65], 1.0);
    assert_eq!((set.len(), set.encoding().name()), (1, "skiplist"));
}

#[test]
fn a_set_rebuilt_from_its_entries_behaves_the_same() {
    for count in [10, 1000] {
        let mut random = Random::new(count);
        let mut set = SortedSet::default();
        for _ in 0..count * 3 {
            let member = format!("{}", random.below(count as usize)).into_bytes();
            if random.below(3) == 0 {
                set.remove(&member);
            } else {
                set.insert(&member, random.below(20) as f64);
            }
        }
        let mut rebuilt = SortedSet::with_encoding(set.encoding());
        set.entries().for_each(|(member, score)| {
            rebuilt.insert(member, score);
        });
        assert!(set.iter().eq(rebuilt.iter()) && set.entries().eq(rebuilt.entries()));
        assert!((0..set.len()).all(|position| set.at(position) == rebuilt.at(position)));
        assert_eq!(set.bytes(), rebuilt.bytes());
        assert_eq!(format!("{set:?}"), format!("{rebuilt:?}"));
    }
}

#[test]
fn extreme_scores_and_members_keep_their_order() {
    let mut set = SortedSet::default();
    let scores =
        [f64::NEG_INFINITY, f64::MIN, -1.0, -f64::MIN_POSITIVE, 0.0, 5e-324, 1.0, f64::INFINITY];
    for (index, score) in scores.into_iter().enumerate().rev() {
        set.insert(&[index as u8, 0, 255], score);
    }
    set.insert(b"", 0.0);
    let told: Vec<f64> = set.iter().map(|(_, score)| score).collect();
    assert!(told.is_sorted());
    assert_eq!(set.rank(b""), Some(4));
    assert_eq!(set.insert(b"", -0.0), Some(0.0));
    assert!(set.score(b"").unwrap().is_sign_positive());
    assert_eq!(set.ranks_by_score(Bound::Included(f64::NEG_INFINITY), Bound::Unbounded), 0..9);
}

#[test]
fn memory_follows_the_content() {
    let mut set = SortedSet::default();
    let empty = set.bytes();
    set.insert(b"abc", 1.0);
    assert_eq!(set.bytes(), empty + 12);
    set.remove(b"abc");
    assert_eq!(set.bytes(), empty);
    (0..1000).for_each(|n| {
        set.insert(format!("{n:04}").as_bytes(), 0.0);
    });
    assert_eq!(set.bytes(), empty + 1000 * (4 + MEMBER_OVERHEAD_BYTES));
    set.remove_range(0..1000);
    assert_eq!(set.bytes(), empty);
}
