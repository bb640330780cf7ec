//! The checkers themselves: each kind of wrong history is rejected, by each of the checkers that
//! can tell, and right ones are not; and a history is the same after it was written as EDN.

use super::check::{check, is_linearizable, is_linearizable_to_stateright};
use super::edn;
use super::record::{History, Op, Operation, Outcome, Reply};
use super::workload::OPERATIONS_MAX;
use crate::chaos::random::Random;
use crate::history::spec::State;

use Op::{
    Append, AppendAndRange, Delete, DeleteIfEqual, Get, Increment, Range, Set, SetIfAbsent,
    SetIfEqual,
};
use Outcome::{Fail, Ok as Answer, Unknown};
use Reply::{List, Nil, Number, Ok as Done};

/// An operation of its own process.
fn at(times: (u64, u64), op: Op, outcome: Outcome) -> Operation {
    let (invoked_ns, returned_ns) = times;
    let key = "register:0:0".to_owned();
    Operation { process: 0, client: 0, node: 0, key, op, invoked_ns, returned_ns, outcome }
}

fn answered(times: (u64, u64), op: Op, reply: Reply) -> Operation {
    at(times, op, Answer(reply))
}

fn unknown(times: (u64, u64), op: Op) -> Operation {
    at(times, op, Unknown("TimedOut".to_owned()))
}

fn failed(times: (u64, u64), op: Op) -> Operation {
    at(times, op, Fail("CLUSTERDOWN No raft leader".to_owned()))
}

fn numbered(mut history: History) -> History {
    for (number, operation) in history.iter_mut().enumerate() {
        operation.process = number as u32;
    }
    history
}

fn wrong() -> Vec<(&'static str, History)> {
    let cases = [
        (
            "a stale read",
            vec![
                answered((0, 1), Set(1), Done),
                answered((2, 3), Set(2), Done),
                answered((4, 5), Get, Number(1)),
                answered((6, 7), Get, Number(2)),
            ],
        ),
        (
            "a read that goes back while a write is under way",
            vec![
                answered((0, 1), Set(1), Done),
                answered((2, 20), Set(2), Done),
                answered((4, 5), Get, Number(2)),
                answered((6, 7), Get, Number(1)),
            ],
        ),
        ("a lost write", vec![answered((0, 1), Set(1), Done), answered((2, 3), Get, Nil)]),
        (
            "a lost write of a shared list",
            vec![
                answered((0, 1), Append(1), Number(1)),
                answered((2, 3), Append(2), Number(2)),
                answered((4, 5), Range, List(vec![2])),
            ],
        ),
        (
            "a list that was seen and went another way",
            vec![
                answered((0, 9), Append(1), Number(1)),
                answered((0, 9), Append(2), Number(2)),
                answered((0, 9), Append(3), Number(2)),
                answered((4, 5), Range, List(vec![1, 2])),
                answered((10, 11), Range, List(vec![1, 3])),
            ],
        ),
        (
            "a lost append at the end",
            vec![
                answered((0, 1), Append(1), Number(1)),
                answered((2, 3), Append(2), Number(2)),
                answered((4, 5), Range, List(vec![1])),
            ],
        ),
        (
            "an append that is there twice",
            vec![answered((0, 1), Append(1), Number(1)), answered((2, 3), Range, List(vec![1, 1]))],
        ),
        (
            "appends against the order of real time",
            vec![
                answered((0, 1), Append(1), Number(1)),
                answered((2, 3), Append(2), Number(2)),
                answered((4, 5), Range, List(vec![2, 1])),
            ],
        ),
        (
            "a transaction that another came between",
            vec![
                answered((0, 9), AppendAndRange(1), List(vec![1, 2])),
                answered((1, 8), Append(2), Number(2)),
                answered((10, 11), Range, List(vec![1, 2])),
            ],
        ),
        (
            "an increment that counted twice",
            vec![
                answered((0, 1), Increment, Number(1)),
                answered((2, 3), Increment, Number(3)),
                answered((4, 5), Get, Number(3)),
            ],
        ),
        (
            "an increment that nobody was told of counted twice",
            vec![
                unknown((0, 1), Increment),
                answered((2, 3), Increment, Number(3)),
                answered((4, 5), Get, Number(3)),
            ],
        ),
        (
            "two increments with one answer",
            vec![
                answered((0, 3), Increment, Number(1)),
                answered((1, 2), Increment, Number(1)),
                answered((4, 5), Get, Number(2)),
            ],
        ),
        (
            "a read of a failed write",
            vec![failed((0, 1), Set(1)), answered((2, 3), Get, Number(1))],
        ),
        (
            "a failed append in the list",
            vec![failed((0, 1), Append(1)), answered((2, 3), Range, List(vec![1]))],
        ),
        (
            "a read of what will only be written later",
            vec![answered((0, 1), Get, Number(1)), answered((2, 3), Set(1), Done)],
        ),
        (
            "two that both were the first",
            vec![answered((0, 5), SetIfAbsent(1), Done), answered((1, 6), SetIfAbsent(2), Done)],
        ),
        (
            "a comparison with what is long gone",
            vec![
                answered((0, 1), Set(1), Done),
                answered((2, 3), Set(2), Done),
                answered((4, 5), SetIfEqual { old: 1, new: 3 }, Done),
            ],
        ),
        (
            "a comparison that does not see what is there",
            vec![answered((0, 1), Set(1), Done), answered((2, 3), DeleteIfEqual(1), Number(0))],
        ),
        (
            "a deleted value that comes back",
            vec![
                answered((0, 1), Set(1), Done),
                answered((2, 3), Delete, Number(1)),
                answered((4, 5), Get, Number(1)),
            ],
        ),
        (
            "an unknown write that comes, goes and comes",
            vec![
                answered((0, 1), Set(1), Done),
                unknown((2, 3), Set(2)),
                answered((4, 5), Get, Number(2)),
                answered((6, 7), Get, Number(1)),
            ],
        ),
    ];
    cases.into_iter().map(|(name, history)| (name, numbered(history))).collect()
}

fn right() -> Vec<(&'static str, History)> {
    let cases = [
        (
            "one after the other",
            vec![
                answered((0, 1), Get, Nil),
                answered((2, 3), Set(1), Done),
                answered((4, 5), SetIfAbsent(2), Nil),
                answered((6, 7), SetIfEqual { old: 1, new: 3 }, Done),
                answered((8, 9), SetIfEqual { old: 1, new: 4 }, Nil),
                answered((10, 11), DeleteIfEqual(3), Number(1)),
                answered((12, 13), Delete, Number(0)),
                answered((14, 15), SetIfAbsent(5), Done),
                answered((16, 17), Get, Number(5)),
            ],
        ),
        (
            "a read during a write may see either",
            vec![
                answered((0, 9), Set(1), Done),
                answered((1, 2), Get, Nil),
                answered((3, 4), Get, Number(1)),
            ],
        ),
        (
            "writes at the same time in the order of nobody's begin",
            vec![
                answered((0, 20), Set(1), Done),
                answered((1, 21), Set(2), Done),
                answered((5, 6), Get, Number(2)),
                answered((7, 8), Get, Number(1)),
            ],
        ),
        (
            "an unknown write that was executed",
            vec![unknown((0, 1), Set(1)), answered((5, 6), Get, Number(1))],
        ),
        (
            "an unknown write that was never executed",
            vec![
                unknown((0, 1), Set(1)),
                answered((2, 3), Set(2), Done),
                answered((5, 6), Get, Number(2)),
            ],
        ),
        (
            "an unknown write that is executed late",
            vec![
                unknown((0, 1), Set(1)),
                answered((2, 3), Set(2), Done),
                answered((4, 5), Get, Number(2)),
                answered((6, 7), Get, Number(1)),
            ],
        ),
        (
            "a failed write that nobody sees",
            vec![failed((0, 1), Set(1)), answered((2, 3), Get, Nil)],
        ),
        (
            "a read that nobody got the answer of",
            vec![answered((0, 1), Set(1), Done), unknown((2, 3), Get)],
        ),
        (
            "increments of which one is unknown and counted",
            vec![
                answered((0, 1), Increment, Number(1)),
                unknown((2, 3), Increment),
                answered((4, 5), Increment, Number(3)),
                answered((6, 7), Get, Number(3)),
            ],
        ),
        (
            "lists, with one append unknown and there, and one not",
            vec![
                answered((0, 1), Append(1), Number(1)),
                unknown((2, 3), Append(2)),
                unknown((2, 4), Append(3)),
                answered((5, 6), AppendAndRange(4), List(vec![1, 3, 4])),
                answered((7, 8), Range, List(vec![1, 3, 4])),
            ],
        ),
        ("nothing", Vec::new()),
    ];
    cases.into_iter().map(|(name, history)| (name, numbered(history))).collect()
}

#[test]
fn every_wrong_history_is_rejected_by_both_checkers() {
    for (name, history) in wrong() {
        let operations: Vec<&Operation> = history.iter().collect();
        assert!(check(&history).is_err(), "{name} is accepted");
        assert!(!is_linearizable(&operations), "todc_utils accepts {name}");
        assert!(!is_linearizable_to_stateright(&operations), "stateright accepts {name}");
    }
}

#[test]
fn every_right_history_is_accepted_by_both_checkers() {
    for (name, history) in right() {
        let operations: Vec<&Operation> = history.iter().collect();
        assert_eq!(check(&history), Ok(()), "{name}");
        assert!(is_linearizable(&operations), "todc_utils rejects {name}");
        assert!(is_linearizable_to_stateright(&operations), "stateright rejects {name}");
    }
}

#[test]
fn the_checks_without_a_search_reject_what_they_are_for() {
    let expected = [
        ("a stale read", None),
        ("a lost write", Some("Set(1) was acknowledged and nothing is there")),
        ("a lost write of a shared list", Some("1 was appended and is not in the list")),
        ("a list that was seen and went another way", Some("the list was [1, 2] and [1, 3]")),
        ("a lost append at the end", Some("2 was appended and is not in the list")),
        ("an append that is there twice", Some("1 is in the list twice")),
        (
            "appends against the order of real time",
            Some("1 stands behind what was appended after it"),
        ),
        ("an increment that counted twice", Some("it is 3 after 2 increments and 0 unknown")),
        (
            "an increment that nobody was told of counted twice",
            Some("it is 3 after 1 increments and 1 unknown"),
        ),
        ("two increments with one answer", Some("two increments have the same answer")),
        ("a read of a failed write", Some("1 was read, and its write failed or never was")),
        (
            "a failed append in the list",
            Some("1 is in the list, and its append failed or never was"),
        ),
        ("a deleted value that comes back", Some("1 was read after Delete took its place")),
    ];
    for (name, reason) in expected {
        let (_, history) = wrong().into_iter().find(|(known, _)| *known == name).unwrap();
        let violation = check(&history).unwrap_err();
        let reason = reason.unwrap_or("todc_utils finds no order");
        assert!(violation.reason.contains(reason), "{name}: {}", violation.reason);
    }
}

/// A history of `clients` that run at the same time against one true key; each operation takes
/// effect somewhere within its time.
fn true_history(seed: u64, operations: usize, clients: usize) -> History {
    let mut random = Random::new(seed);
    let mut state = State::default();
    let mut history = Vec::new();
    let mut free_at = vec![0; clients];
    let mut moment = 0;
    for number in 0..operations {
        let client = random.below(clients);
        // Effects are in the order of moments; begins and ends lie around them.
        moment = (moment + 1 + random.below(20) as u64).max(free_at[client] + 1);
        let invoked_ns =
            free_at[client].max(moment.saturating_sub(random.below(60) as u64 + 1)) + 1;
        let returned_ns = moment + 1 + random.below(60) as u64;
        free_at[client] = returned_ns;
        let value = number as i64 + 1;
        let old = random.below(number + 1) as i64;
        let op = random.pick(&[
            Get,
            Get,
            Set(value),
            SetIfAbsent(value),
            SetIfEqual { old, new: value },
            Delete,
        ]);
        let reply = state.execute(op);
        let times = (2 * invoked_ns, 2 * returned_ns + 1);
        let mut operation = answered(times, op, reply);
        operation.process = client as u32;
        history.push(operation);
    }
    history.sort_by_key(|operation| operation.invoked_ns);
    history
}

#[test]
fn long_histories_of_ten_clients_are_judged_in_bounded_time() {
    for seed in 0..3 {
        let mut history = true_history(seed, OPERATIONS_MAX, 10);
        assert_eq!(check(&history), Ok(()), "seed {seed}");
        // One read of what was there before a write that ended long ago.
        let is_answered_write = |one: &&Operation| matches!(one.op, Set(_));
        let former = history.iter().find(is_answered_write).unwrap().clone();
        let Set(value) = former.op else { unreachable!("it is a SET") };
        let end = history.iter().map(|one| one.returned_ns).max().unwrap();
        let times = [(end + 1, end + 2), (end + 3, end + 4)];
        history.push(answered(times[0], Delete, Number(1)));
        history.push(answered(times[1], Get, Number(value)));
        assert!(check(&history).is_err(), "seed {seed}: a stale read at the end is accepted");
    }
}

#[test]
fn a_history_is_the_same_after_it_was_written_as_edn() {
    let mut history: History = Vec::new();
    for (number, (_, mut one)) in wrong().into_iter().chain(right()).enumerate() {
        let models = ["register", "counter", "list"];
        for operation in &mut one {
            operation.process += 1000 * number as u32;
            operation.client = number as u32;
            operation.node = operation.process % 5;
            operation.key = format!("{}:{number}:\"0\"", models[number % 3]);
            operation.invoked_ns += 1_000_000 * number as u64;
            operation.returned_ns += 1_000_000 * number as u64;
        }
        history.extend(one);
    }
    history.sort_by_key(|operation| (operation.invoked_ns, operation.process));
    let text = edn::write(&history);
    assert_eq!(edn::read(&text).unwrap(), history);
}

#[test]
fn edn_speaks_the_words_of_jepsens_checkers() {
    let cases = [
        (answered((1, 2), Get, Number(7)), ":type :ok, :f :read, :value [\"register:0:0\" 7]"),
        (answered((1, 2), Set(7), Done), ":type :ok, :f :write, :value [\"register:0:0\" 7]"),
        (
            answered((1, 2), SetIfEqual { old: 1, new: 2 }, Nil),
            ":type :fail, :f :cas, :value [\"register:0:0\" [1 2]]",
        ),
        (unknown((1, 2), Increment), ":type :info, :f :add, :value [\"register:0:0\" 1]"),
        (
            answered((1, 2), AppendAndRange(2), List(vec![1, 2])),
            ":type :ok, :f :txn, :value [[:append \"register:0:0\" 2] \
             [:r \"register:0:0\" [1 2]]]",
        ),
        (failed((1, 2), Append(1)), ":type :fail, :f :txn, :value [[:append \"register:0:0\" 1]]"),
    ];
    for (operation, expected) in cases {
        let text = edn::write(&[operation]);
        let [invocation, end] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(invocation.starts_with("{:index 0, :time 1, :process 0, :type :invoke, "));
        assert!(end.starts_with("{:index 1, :time 2, :process 0, "), "{end}");
        assert!(end.contains(expected), "{end}");
    }
}

#[test]
fn what_is_no_history_is_refused() {
    let text = edn::write(&right()[0].1[..1]);
    let [invocation, end] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let cases = [
        (invocation.to_owned(), "0 has an operation without an end"),
        (end.to_owned(), "line 1: 0 has not begun anything"),
        (format!("{invocation}\n{invocation}"), "line 2: 0 has not ended yet"),
        (format!("{invocation} 1"), "line 1: more than a map"),
        ("[1 2]".to_owned(), "line 1: not a map"),
        ("{:a".to_owned(), "line 1: an end too early"),
        ("{:a 1 2 3}".to_owned(), "line 1: [Number(2), Number(3)] is no entry of a map"),
        (invocation.replace(":get", ":put"), "line 1: :command put with []"),
        (invocation.replace(":process 0", ":process x"), "line 1: \"x\" is nothing"),
    ];
    for (text, expected) in cases {
        let error = edn::read(&text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
