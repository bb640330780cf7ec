//! Replies to the letter are in [`replies`]; here are the properties of what has many answers.

mod replies;

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Engine;
use crate::engine::random::Random;
use crate::engine::reply::Protocol;
use crate::engine::testing::{check, check_all, check3, engine, run_line};

/// How the weighted scores of one member become one.
type Join = fn(Vec<i64>) -> i64;

/// The bulk strings of a flat RESP2 array, or of the array in a scan's reply.
fn strings(reply: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(reply).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines[0].starts_with('*'), "{text}");
    lines
        .windows(2)
        .filter(|pair| pair[0].starts_with('$'))
        .map(|pair| pair[1].to_owned())
        .collect()
}

fn ask(engine: &mut Engine, line: &str) -> Vec<String> {
    strings(&run_line(engine, Protocol::Resp2, line))
}

/// Fills `key` with `count` members `m0`, `m1`, … whose scores are whole numbers from 1 to
/// `scores`.
fn fill(
    engine: &mut Engine,
    random: &mut Random,
    key: &str,
    count: usize,
    scores: usize,
) -> BTreeMap<String, i64> {
    let mut model = BTreeMap::new();
    for _ in 0..count {
        let (member, score) = (random.below(count * 2), 1 + random.below(scores) as i64);
        run_line(engine, Protocol::Resp2, &format!("ZADD {key} {score} m{member}"));
        model.insert(format!("m{member}"), score);
    }
    model
}

fn sorted(model: &BTreeMap<String, i64>) -> Vec<(i64, String)> {
    let pairs: BTreeSet<_> = model.iter().map(|(member, &score)| (score, member.clone())).collect();
    pairs.into_iter().collect()
}

#[test]
fn ranks_come_with_scores() {
    let cases = [
        ("ZADD z 1 a 2.5 b", ":2\r\n"),
        ("ZRANK z b WITHSCORE", "*2\r\n:1\r\n$3\r\n2.5\r\n"),
        ("ZREVRANK z b withscore", "*2\r\n:0\r\n$3\r\n2.5\r\n"),
        ("ZRANK z nobody WITHSCORE", "*-1\r\n"),
        ("ZRANK absent b WITHSCORE", "*-1\r\n"),
        ("ZRANK z b WITHSCORES", "-ERR syntax error\r\n"),
        ("ZRANK z b x y", "-ERR wrong number of arguments for 'zrank' command\r\n"),
        ("ZREVRANK z b x y", "-ERR wrong number of arguments for 'zrevrank' command\r\n"),
    ];
    let mut engine = engine();
    check_all(&mut engine, &cases);
    check3(&mut engine, "ZRANK z b WITHSCORE", "*2\r\n:1\r\n,2.5\r\n");
    check3(&mut engine, "ZRANK z nobody WITHSCORE", "_\r\n");
}

#[test]
fn scores_are_shown_with_their_shortest_digits() {
    let mut engine = engine();
    for (given, shown) in [
        ("0.1", "0.1"),
        ("3.3000000000000003", "3.3000000000000003"),
        ("1e20", "1e+20"),
        ("0x10", "16"),
        ("-0", "0"),
        ("-inf", "-inf"),
    ] {
        run_line(&mut engine, Protocol::Resp2, &format!("ZADD z {given} a"));
        check(&mut engine, "ZSCORE z a", &format!("${}\r\n{shown}\r\n", shown.len()));
        check3(&mut engine, "ZSCORE z a", &format!(",{shown}\r\n"));
    }
}

#[test]
fn ranges_with_limits_agree_with_a_model_in_both_directions() {
    for (seed, count) in [(1, 10), (2, 60), (3, 120), (4, 140), (5, 1500)] {
        let mut random = Random::new(seed);
        let mut engine = engine();
        let model = fill(&mut engine, &mut random, "z", count, 1 + count / 5);
        let items = sorted(&model);
        for _ in 0..100 {
            let (a, b) = (random.below(count / 5 + 2) as i64, random.below(count / 5 + 2) as i64);
            let (min, max) = (a.min(b), a.max(b));
            let (offset, limit) = (random.below(12), random.below(30));
            let wanted = items.iter().filter(|(score, _)| (min..=max).contains(score));
            let forward: Vec<_> = wanted.clone().skip(offset).take(limit).collect();
            let reverse: Vec<_> = wanted.rev().skip(offset).take(limit).collect();
            let members = |found: &[&(i64, String)]| -> Vec<String> {
                found.iter().map(|(_, member)| member.clone()).collect()
            };
            let line = format!("ZRANGE z {min} {max} BYSCORE LIMIT {offset} {limit}");
            assert_eq!(ask(&mut engine, &line), members(&forward), "{line}");
            let line = format!("ZREVRANGEBYSCORE z {max} {min} LIMIT {offset} {limit}");
            assert_eq!(ask(&mut engine, &line), members(&reverse), "{line}");
            let (start, stop) = (random.below(count), random.below(count));
            let take = (stop + 1).saturating_sub(start);
            let reverse: Vec<_> = items.iter().rev().skip(start).take(take).collect();
            let line = format!("ZRANGE z {start} {stop} REV");
            assert_eq!(ask(&mut engine, &line), members(&reverse), "{line}");
        }
    }
}

#[test]
fn member_ranges_with_limits_agree_with_a_model_in_both_directions() {
    for (seed, count) in [(1, 10), (2, 120), (3, 140), (4, 1500)] {
        let mut random = Random::new(seed);
        let mut engine = engine();
        let model = fill(&mut engine, &mut random, "z", count, 1);
        for _ in 0..100 {
            let bounds = [0, 1].map(|_| format!("m{}", random.below(count * 2)));
            let (min, max) = (bounds.iter().min().unwrap(), bounds.iter().max().unwrap());
            let (offset, limit) = (random.below(12), random.below(30));
            let wanted = model.keys().filter(|member| *member > min && *member <= max);
            let forward: Vec<_> = wanted.clone().skip(offset).take(limit).cloned().collect();
            let reverse: Vec<_> = wanted.rev().skip(offset).take(limit).cloned().collect();
            let line = format!("ZRANGEBYLEX z ({min} [{max} LIMIT {offset} {limit}");
            assert_eq!(ask(&mut engine, &line), forward, "{line}");
            let line = format!("ZRANGE z [{max} ({min} BYLEX REV LIMIT {offset} {limit}");
            assert_eq!(ask(&mut engine, &line), reverse, "{line}");
        }
    }
}

#[test]
fn popping_and_removing_ranges_leave_the_rest_in_order() {
    for (seed, count) in [(1, 100), (2, 130), (3, 2000)] {
        let mut random = Random::new(seed);
        let mut engine = engine();
        let mut items = sorted(&fill(&mut engine, &mut random, "z", count, 40));
        while !items.is_empty() {
            let (start, size) = (random.below(items.len()), 1 + random.below(30));
            let removed: Vec<_> = match random.below(3) {
                0 => {
                    let line = format!("ZPOPMIN z {size}");
                    let popped: Vec<_> = items.drain(..size.min(items.len())).collect();
                    let told: Vec<_> = popped.iter().map(|(_, member)| member.clone()).collect();
                    let reply = ask(&mut engine, &line);
                    assert!(reply.iter().step_by(2).eq(&told), "{line}");
                    popped
                }
                1 => {
                    let end = (start + size).min(items.len());
                    let line = format!("ZREMRANGEBYRANK z {start} {}", end - 1);
                    check(&mut engine, &line, &format!(":{}\r\n", end - start));
                    items.drain(start..end).collect()
                }
                _ => {
                    let score = items[start].0;
                    let gone: Vec<_> = items.extract_if(.., |item| item.0 == score).collect();
                    let line = format!("ZREMRANGEBYSCORE z {score} {score}");
                    check(&mut engine, &line, &format!(":{}\r\n", gone.len()));
                    gone
                }
            };
            assert!(!removed.is_empty());
            let rest: Vec<_> = items.iter().map(|(_, member)| member.clone()).collect();
            assert_eq!(ask(&mut engine, "ZRANGE z 0 -1"), rest);
        }
        check(&mut engine, "GET z", "$-1\r\n");
    }
}

#[test]
fn combinations_agree_with_maps() {
    for (seed, count) in [(1, 20), (2, 100), (3, 400)] {
        let mut random = Random::new(seed);
        let mut engine = engine();
        let inputs = ["a", "b", "c"].map(|key| fill(&mut engine, &mut random, key, count, 9));
        let weights = [2, -1, 3];
        let weighted = |member: &String| -> Vec<i64> {
            let score = |(input, weight): (&BTreeMap<String, i64>, i64)| {
                input.get(member).map(|score| score * weight)
            };
            inputs.iter().zip(weights).filter_map(score).collect()
        };
        let all: BTreeSet<String> = inputs.iter().flat_map(|input| input.keys().cloned()).collect();
        let expect = |keep: fn(usize) -> bool, join: Join| -> Vec<String> {
            let kept = all.iter().map(|member| (member, weighted(member)));
            let kept = kept.filter(|(_, scores)| keep(scores.len()));
            let scored = kept.map(|(member, scores)| (member.clone(), join(scores))).collect();
            sorted(&scored).into_iter().flat_map(|(score, m)| [m, score.to_string()]).collect()
        };
        let joins: [(&str, Join); 3] = [
            ("SUM", |scores| scores.iter().sum()),
            ("MIN", |scores| scores.into_iter().min().unwrap()),
            ("MAX", |scores| scores.into_iter().max().unwrap()),
        ];
        for (name, join) in joins {
            let options = format!("3 a b c WEIGHTS 2 -1 3 AGGREGATE {name}");
            let union = expect(|len| len > 0, join);
            assert_eq!(ask(&mut engine, &format!("ZUNION {options} WITHSCORES")), union);
            let intersection = expect(|len| len == 3, join);
            assert_eq!(ask(&mut engine, &format!("ZINTER {options} WITHSCORES")), intersection);
            run_line(&mut engine, Protocol::Resp2, &format!("ZUNIONSTORE d {options}"));
            assert_eq!(ask(&mut engine, "ZRANGE d 0 -1 WITHSCORES"), union);
        }
        let mut left = inputs[0].clone();
        left.retain(|member, _| !inputs[1].contains_key(member) && !inputs[2].contains_key(member));
        let left: Vec<_> = sorted(&left).into_iter().map(|(_, member)| member).collect();
        assert_eq!(ask(&mut engine, "ZDIFF 3 a b c"), left);
    }
}

/// As redis-server 7.0, 8.0 and Valkey 8.1 answer.
#[test]
fn zero_times_infinity_is_zero_but_not_in_the_middle_of_an_intersection() {
    let cases = [
        ("ZINTER 2 low five WEIGHTS 0 1 AGGREGATE SUM", "5"),
        ("ZINTER 2 low five WEIGHTS 0 1 AGGREGATE MIN", "0"),
        ("ZINTER 2 low five WEIGHTS 0 1 AGGREGATE MAX", "5"),
        ("ZINTER 2 five low WEIGHTS 1 0 AGGREGATE SUM", "0"),
        ("ZINTER 2 five low WEIGHTS 1 0 AGGREGATE MIN", "5"),
        ("ZINTER 2 five low WEIGHTS 1 0 AGGREGATE MAX", "5"),
        ("ZUNION 2 five low WEIGHTS 1 0 AGGREGATE SUM", "5"),
        ("ZUNION 2 five low WEIGHTS 1 0 AGGREGATE MIN", "0"),
        ("ZUNION 2 five low WEIGHTS 1 0 AGGREGATE MAX", "5"),
        // The smallest set comes first, wherever it stands.
        ("ZINTER 2 larger five WEIGHTS 0 1", "0"),
        ("ZINTER 3 low five low WEIGHTS 1 1 0", "0"),
        ("ZINTER 2 low larger WEIGHTS 1 -1", "0"),
    ];
    let mut engine = engine();
    for line in ["ZADD low -inf m", "ZADD five 5 m", "ZADD larger -inf m 1 x"] {
        run_line(&mut engine, Protocol::Resp2, line);
    }
    for (line, score) in cases {
        let reply = ask(&mut engine, &format!("{line} WITHSCORES"));
        let at = reply.iter().position(|member| member == "m").unwrap();
        assert_eq!(reply[at + 1], score, "{line}");
    }
}

#[test]
fn random_picks_are_members_with_their_scores() {
    for (seed, count) in [(1, 30), (2, 600)] {
        let mut random = Random::new(seed);
        let mut engine = engine();
        let model = fill(&mut engine, &mut random, "z", count, 50);
        for wanted in [1, 5, model.len() - 1, model.len(), model.len() + 10] {
            let picks = ask(&mut engine, &format!("ZRANDMEMBER z {wanted} WITHSCORES"));
            let different: BTreeSet<_> = picks.iter().step_by(2).collect();
            assert_eq!(different.len(), wanted.min(model.len()));
            assert!(picks.chunks(2).all(|pair| model[&pair[0]].to_string() == pair[1]));
            let repeated = ask(&mut engine, &format!("ZRANDMEMBER z -{wanted}"));
            assert_eq!(repeated.len(), wanted);
            assert!(repeated.iter().all(|member| model.contains_key(member)));
        }
        let text = run_line(&mut engine, Protocol::Resp2, "ZRANDMEMBER z");
        assert!(text.starts_with(b"$"));
        check(&mut engine, "ZRANDMEMBER z -99999999999", "-ERR value is out of range\r\n");
    }
}

#[test]
fn a_scan_of_a_large_set_comes_in_parts_and_finds_all() {
    let mut engine = engine();
    let model = fill(&mut engine, &mut Random::new(1), "z", 1000, 50);
    let (mut cursor, mut found, mut parts) = ("0".to_owned(), BTreeMap::new(), 0);
    loop {
        let reply = ask(&mut engine, &format!("ZSCAN z {cursor} COUNT 100"));
        assert!(reply.len() <= 201);
        for pair in reply[1..].chunks(2) {
            found.insert(pair[0].clone(), pair[1].parse::<i64>().unwrap());
        }
        cursor.clone_from(&reply[0]);
        parts += 1;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!((found, parts), (model.clone(), model.len().div_ceil(100)));
}
