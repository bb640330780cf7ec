//! The verdict on a history: two checkers that are not ours, key by key, and what can be told
//! without any search: nothing acknowledged is lost, nothing is there twice, counters are exact,
//! lists are in the order of real time.

use std::collections::{BTreeMap, HashMap, HashSet};

use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History as CheckedHistory};

use super::record::{Op, Operation, Outcome, Reply};
use super::spec::{KeyRules, State, Step};

/// As far as the second checker goes: it repeats what it has tried before.
const SECOND_OPINION_OPERATIONS: usize = 60;

/// Why a history is not that of a correct cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub key: String,
    pub reason: String,
}

/// Checks every key of `history`.
pub fn check(history: &[Operation]) -> Result<(), Violation> {
    let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        keys.entry(&operation.key).or_default().push(operation);
    }
    for (key, mut operations) in keys {
        operations.sort_by_key(|operation| operation.invoked_ns);
        check_key(&operations).map_err(|reason| Violation { key: key.to_owned(), reason })?;
    }
    Ok(())
}

fn check_key(operations: &[&Operation]) -> Result<(), String> {
    check_counts(operations)?;
    check_lists(operations)?;
    check_last_read(operations)?;
    if !is_linearizable(operations) {
        return Err("todc_utils finds no order that explains it".to_owned());
    }
    if !is_linearizable_to_stateright(operations) {
        return Err("stateright finds no order that explains how it begins".to_owned());
    }
    Ok(())
}

/// Whether an operation may have changed anything or told anybody something.
fn counts(operation: &Operation) -> bool {
    match &operation.outcome {
        Outcome::Ok(_) => true,
        Outcome::Fail(_) => false,
        Outcome::Unknown(_) => !operation.op.is_read(),
    }
}

fn reply(operation: &Operation) -> Option<&Reply> {
    match &operation.outcome {
        Outcome::Ok(reply) => Some(reply),
        Outcome::Fail(_) | Outcome::Unknown(_) => None,
    }
}

/// The verdict of `todc_utils`. An operation of unknown outcome ends after everything else and may
/// answer anything: at the very end it is as good as never executed.
pub fn is_linearizable(operations: &[&Operation]) -> bool {
    let mut events = Vec::new();
    for (number, operation) in operations.iter().enumerate().filter(|(_, one)| counts(one)) {
        let step: Step = (operation.op, reply(operation).cloned());
        let ends = if step.1.is_some() { operation.returned_ns } else { u64::MAX };
        // Of two events at the same time the call counts as the earlier: that allows more.
        events.push((operation.invoked_ns, 0, number, Action::Call(step.clone())));
        events.push((ends, 1, number, Action::Response(step)));
    }
    events.sort_by_key(|(ns, order, number, _)| (*ns, *order, *number));
    let actions: Vec<_> =
        events.into_iter().map(|(_, _, number, action)| (number, action)).collect();
    actions.is_empty()
        || WGLChecker::<KeyRules>::is_linearizable(CheckedHistory::from_actions(actions))
}

/// The verdict of `stateright` on the begin of the history. What has no answer by then is in
/// flight. A history of which a part is wrong is wrong.
pub fn is_linearizable_to_stateright(operations: &[&Operation]) -> bool {
    let considered: Vec<&&Operation> =
        operations.iter().filter(|one| counts(one)).take(SECOND_OPINION_OPERATIONS).collect();
    // What returns after the last begins says nothing that its being in flight does not.
    let end_ns = considered.last().map_or(0, |last| last.invoked_ns);
    let is_whole = considered.len() < SECOND_OPINION_OPERATIONS;
    let mut events = Vec::new();
    for (number, operation) in considered.into_iter().enumerate() {
        events.push((operation.invoked_ns, 0, number, *operation));
        if reply(operation).is_some() && (is_whole || operation.returned_ns <= end_ns) {
            events.push((operation.returned_ns, 1, number, *operation));
        }
    }
    events.sort_by_key(|(ns, order, number, _)| (*ns, *order, *number));
    let mut tester = LinearizabilityTester::new(State::default());
    for (_, order, _, operation) in events {
        let told = match (order, reply(operation)) {
            (1, Some(reply)) => tester.on_return(operation.process, reply.clone()),
            _ => tester.on_invoke(operation.process, operation.op),
        };
        told.expect("a process does one thing after the other");
    }
    tester.is_consistent()
}

fn last_read<'a>(operations: &[&'a Operation]) -> Option<(&'a Operation, &'a Reply)> {
    let reads = operations.iter().filter(|operation| operation.op.is_read());
    reads.filter_map(|read| Some((*read, reply(read)?))).max_by_key(|(read, _)| read.invoked_ns)
}

/// Every answered increment answers another value, and the counter ends as high as they are many,
/// or higher by those of unknown outcome.
fn check_counts(operations: &[&Operation]) -> Result<(), String> {
    let increments = || operations.iter().filter(|one| one.op == Op::Increment);
    let told: Vec<&Reply> = increments().filter_map(|one| reply(one)).collect();
    let distinct: HashSet<&&Reply> = told.iter().collect();
    if distinct.len() < told.len() {
        return Err("two increments have the same answer".to_owned());
    }
    let Some((_, last)) = last_read(operations).filter(|_| increments().next().is_some()) else {
        return Ok(());
    };
    let value = match last {
        Reply::Number(value) => *value,
        _ => 0,
    };
    let unknown = increments().filter(|one| counts(one) && reply(one).is_none()).count();
    let least = told.len() as i64;
    if !(least..=least + unknown as i64).contains(&value) {
        return Err(format!("it is {value} after {least} increments and {unknown} unknown ones"));
    }
    Ok(())
}

/// Lists grow at their end, by what was appended, each once, in the order of real time.
fn check_lists(operations: &[&Operation]) -> Result<(), String> {
    let appends: HashMap<i64, &Operation> = operations
        .iter()
        .filter_map(|one| match one.op {
            Op::Append(value) | Op::AppendAndRange(value) => Some((value, *one)),
            _ => None,
        })
        .collect();
    let mut longest: &[i64] = &[];
    let lists = operations.iter().filter_map(|one| match reply(one) {
        Some(Reply::List(list)) => Some(list),
        _ => None,
    });
    for list in lists {
        let (short, long) =
            if list.len() < longest.len() { (&list[..], longest) } else { (longest, &list[..]) };
        if !long.starts_with(short) {
            return Err(format!("the list was {short:?} and {long:?}"));
        }
        longest = long;
    }
    let mut earlier_begin = 0;
    let mut seen = HashSet::new();
    for value in longest {
        let Some(append) = appends.get(value).filter(|append| counts(append)) else {
            return Err(format!("{value} is in the list, and its append failed or never was"));
        };
        if !seen.insert(value) {
            return Err(format!("{value} is in the list twice"));
        }
        if reply(append).is_some() && append.returned_ns < earlier_begin {
            return Err(format!("{value} stands behind what was appended after it"));
        }
        earlier_begin = earlier_begin.max(append.invoked_ns);
    }
    let Some((read, Reply::List(last))) = last_read(operations) else { return Ok(()) };
    let lost = appends.iter().find(|(value, append)| {
        reply(append).is_some() && append.returned_ns < read.invoked_ns && !last.contains(value)
    });
    match lost {
        Some((value, _)) => Err(format!("{value} was appended and is not in the list")),
        None => Ok(()),
    }
}

/// What is read at last is not older than a write that was acknowledged before.
fn check_last_read(operations: &[&Operation]) -> Result<(), String> {
    let Some((read, last)) = last_read(operations) else { return Ok(()) };
    let value = match last {
        Reply::Number(value) => value,
        Reply::Nil => return check_absence(operations, read),
        _ => return Ok(()),
    };
    let writes = |one: &&&Operation| match one.op {
        Op::Set(new) | Op::SetIfAbsent(new) | Op::SetIfEqual { new, .. } => new == *value,
        _ => false,
    };
    if operations.iter().any(|one| one.op == Op::Increment) {
        return Ok(());
    }
    let Some(write) = operations.iter().find(writes).filter(|write| counts(write)) else {
        return Err(format!("{value} was read, and its write failed or never was"));
    };
    // One without an answer may have been executed at any time after its begin.
    let ended_ns = if reply(write).is_some() { write.returned_ns } else { u64::MAX };
    let later = operations.iter().find(|one| {
        let replaces = matches!(one.op, Op::Set(_) | Op::Delete)
            || matches!((one.op, reply(one)), (Op::SetIfEqual { .. }, Some(Reply::Ok)));
        replaces
            && reply(one).is_some()
            && one.invoked_ns > ended_ns
            && one.returned_ns < read.invoked_ns
    });
    match later {
        Some(later) => Err(format!("{value} was read after {:?} took its place", later.op)),
        None => Ok(()),
    }
}

/// What was written and never deleted is there.
fn check_absence(operations: &[&Operation], read: &Operation) -> Result<(), String> {
    let deletes = |one: &&&Operation| matches!(one.op, Op::Delete | Op::DeleteIfEqual(_));
    let writes = |one: &&&Operation| {
        matches!(reply(one), Some(Reply::Ok)) && one.returned_ns < read.invoked_ns
    };
    match operations.iter().find(writes) {
        Some(write) if !operations.iter().any(|one| deletes(&one)) => {
            Err(format!("{:?} was acknowledged and nothing is there", write.op))
        }
        _ => Ok(()),
    }
}
