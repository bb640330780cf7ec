//! Unions, intersections and differences of sorted sets, and of sets, whose members count as
//! scored 1.

use std::cmp::Ordering;

use indexmap::IndexMap;
use smallvec::SmallVec;

use super::super::Context;
use super::range::{Scores, store, write_members};
use crate::engine::error::CommandError;
use crate::engine::keyspace::Keyspace;
use crate::engine::number::{integer, parse_float, parse_integer};
use crate::engine::types::FixedState;
use crate::engine::types::set::{Member, Set};
use crate::engine::types::sorted_set::SortedSet;
use crate::engine::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

/// What can be combined.
enum Source<'a> {
    /// There is no such key.
    Nothing,
    SortedSet(&'a SortedSet),
    /// With the members listed, because those of a set of integers exist as text only here.
    Set(&'a Set, Vec<Member<'a>>),
}

/// One input, and what its scores are multiplied with.
struct Input<'a> {
    source: Source<'a>,
    weight: f64,
}

type Inputs<'a> = SmallVec<[Input<'a>; 4]>;

/// Scored members, in the order of a sorted set.
type Combined<'a> = Vec<(&'a [u8], f64)>;

impl Aggregate {
    /// What is no number on the right makes the sum zero, and is neither less nor more.
    fn join(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Sum => number_or_zero(left + right),
            Self::Min => left.min(right),
            Self::Max => left.max(right),
        }
    }
}

impl Input<'_> {
    fn len(&self) -> usize {
        match &self.source {
            Source::Nothing => 0,
            Source::SortedSet(set) => set.len(),
            Source::Set(set, _) => set.len(),
        }
    }

    /// The score that is joined to another, with the weight: no number if that is zero times
    /// infinity.
    fn score(&self, member: &[u8]) -> Option<f64> {
        let score = match &self.source {
            Source::Nothing => None,
            Source::SortedSet(set) => set.score(member),
            Source::Set(set, _) => set.contains(member).then_some(1.0),
        };
        score.map(|score| score * self.weight)
    }

    /// What begins an intersection, or a part of a union, with the weight.
    fn members(&self) -> impl Iterator<Item = (&[u8], f64)> {
        let (scored, plain) = match &self.source {
            Source::Nothing => (None, None),
            Source::SortedSet(set) => (Some(set.iter()), None),
            Source::Set(_, members) => (None, Some(members)),
        };
        let plain = plain.into_iter().flatten().map(|member| (&**member, 1.0));
        let scored = scored.into_iter().flatten();
        scored.chain(plain).map(|(member, score)| (member, number_or_zero(score * self.weight)))
    }
}

/// The sum of opposite infinities counts as zero, and so does zero times infinity where it comes
/// first.
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

fn source(value: &Value) -> Result<Source<'_>, CommandError> {
    match value {
        Value::SortedSet(set) => Ok(Source::SortedSet(set)),
        Value::Set(set) => Ok(Source::Set(set, set.iter().collect())),
        _ => Err(CommandError::WrongType),
    }
}

/// Splits `numkeys key [key ...]` from the options behind it, and looks the keys up.
fn inputs<'a, 'b, 'c>(
    keyspace: &'a Keyspace,
    database: u8,
    words: &'b [&'c [u8]],
    command: &'static str,
) -> Result<(Inputs<'a>, &'b [&'c [u8]]), CommandError> {
    let key_count = integer(words[0])?;
    if key_count < 1 {
        let text = format!("ERR at least 1 input key is needed for '{command}' command");
        return Err(CommandError::Text(text.into()));
    }
    let words = &words[1..];
    let key_count = usize::try_from(key_count).unwrap_or(usize::MAX);
    if key_count > words.len() {
        return Err(CommandError::Syntax);
    }
    let (keys, options) = words.split_at(key_count);
    let inputs = keys
        .iter()
        .map(|key| {
            let source = keyspace.get(database, key).map_or(Ok(Source::Nothing), source)?;
            Ok(Input { source, weight: 1.0 })
        })
        .collect::<Result<Inputs<'a>, CommandError>>()?;
    Ok((inputs, options))
}

/// What may follow the keys.
#[derive(Clone, Copy, Debug)]
struct Options {
    operation: Operation,
    takes_with_scores: bool,
}

impl Options {
    fn parse(
        self,
        inputs: &mut Inputs<'_>,
        words: &[&[u8]],
    ) -> Result<(Aggregate, Scores), CommandError> {
        let takes_weights = self.operation != Operation::Difference;
        let (mut aggregate, mut scores) = (Aggregate::Sum, Scores::Hidden);
        let mut rest = words;
        while let Some((word, after)) = rest.split_first() {
            rest = after;
            match word.to_ascii_lowercase().as_slice() {
                b"weights" if takes_weights && after.len() >= inputs.len() => {
                    let (weights, after) = after.split_at(inputs.len());
                    rest = after;
                    for (input, weight) in inputs.iter_mut().zip(weights) {
                        input.weight = parse_float(weight)
                            .ok_or(CommandError::text("ERR weight value is not a float"))?;
                    }
                }
                b"aggregate" if takes_weights && !after.is_empty() => {
                    rest = &after[1..];
                    aggregate = match after[0].to_ascii_lowercase().as_slice() {
                        b"sum" => Aggregate::Sum,
                        b"min" => Aggregate::Min,
                        b"max" => Aggregate::Max,
                        _ => return Err(CommandError::Syntax),
                    };
                }
                b"withscores" if self.takes_with_scores => scores = Scores::Shown,
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok((aggregate, scores))
    }
}

/// The order of `inputs` changes where it means nothing.
fn combine<'a>(
    inputs: &'a mut Inputs<'_>,
    operation: Operation,
    aggregate: Aggregate,
) -> Combined<'a> {
    if operation != Operation::Difference {
        // The smallest first, as Redis does: sums of doubles depend on their order.
        inputs.sort_by_key(Input::len);
    }
    let mut combined = match operation {
        Operation::Union => union(inputs, aggregate),
        Operation::Intersection => intersection(inputs, aggregate).collect(),
        Operation::Difference => difference(inputs),
    };
    combined.sort_unstable_by(|(left, left_score), (right, right_score)| {
        left_score.partial_cmp(right_score).unwrap_or(Ordering::Equal).then(left.cmp(right))
    });
    combined
}

fn union<'a>(inputs: &'a [Input<'_>], aggregate: Aggregate) -> Combined<'a> {
    let mut scores: IndexMap<&[u8], f64, FixedState> = IndexMap::default();
    scores.reserve(inputs.iter().map(Input::len).max().unwrap_or(0));
    for (member, score) in inputs.iter().flat_map(|input| input.members()) {
        scores.entry(member).and_modify(|sum| *sum = aggregate.join(*sum, score)).or_insert(score);
    }
    scores.into_iter().collect()
}

fn intersection<'a>(
    inputs: &'a [Input<'_>],
    aggregate: Aggregate,
) -> impl Iterator<Item = (&'a [u8], f64)> {
    let (first, others) = inputs.split_first().expect("invariant: at least one key was given");
    first.members().filter_map(move |(member, score)| {
        let joined = others
            .iter()
            .try_fold(score, |joined, other| Some(aggregate.join(joined, other.score(member)?)));
        joined.map(|score| (member, score))
    })
}

fn difference<'a>(inputs: &'a [Input<'_>]) -> Combined<'a> {
    let (first, others) = inputs.split_first().expect("invariant: at least one key was given");
    let stays = |member| others.iter().all(|other| other.score(member).is_none());
    first.members().filter(|&(member, _)| stays(member)).collect()
}

fn answer(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    operation: Operation,
    command: &'static str,
) -> Result<(), CommandError> {
    let (mut inputs, words) = inputs(context.keyspace, context.database, arguments, command)?;
    let options = Options { operation, takes_with_scores: true };
    let (aggregate, scores) = options.parse(&mut inputs, words)?;
    let combined = combine(&mut inputs, operation, aggregate);
    write_members(context.reply, combined.into_iter(), scores);
    Ok(())
}

fn answer_store(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    operation: Operation,
    command: &'static str,
) -> Result<(), CommandError> {
    let (target, words) = (arguments[0], &arguments[1..]);
    let (mut inputs, words) = inputs(context.keyspace, context.database, words, command)?;
    let options = Options { operation, takes_with_scores: false };
    let (aggregate, _) = options.parse(&mut inputs, words)?;
    let mut stored = SortedSet::default();
    for (member, score) in combine(&mut inputs, operation, aggregate) {
        stored.insert(member, score);
    }
    drop(inputs);
    store(context, target, stored, command);
    Ok(())
}

pub(super) fn zunion(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    answer(context, arguments, Operation::Union, "zunion")
}

pub(super) fn zinter(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    answer(context, arguments, Operation::Intersection, "zinter")
}

pub(super) fn zdiff(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    answer(context, arguments, Operation::Difference, "zdiff")
}

pub(super) fn zunionstore(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    answer_store(context, arguments, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    answer_store(context, arguments, Operation::Intersection, "zinterstore")
}

pub(super) fn zdiffstore(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    answer_store(context, arguments, Operation::Difference, "zdiffstore")
}

pub(super) fn zintercard(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    let (mut inputs, words) = inputs(context.keyspace, context.database, arguments, "zintercard")?;
    let mut limit = usize::MAX;
    let mut pairs = words.chunks_exact(2);
    for pair in &mut pairs {
        if !pair[0].eq_ignore_ascii_case(b"limit") {
            return Err(CommandError::Syntax);
        }
        limit = match parse_integer(pair[1]).and_then(|limit| usize::try_from(limit).ok()) {
            Some(0) => usize::MAX,
            Some(limit) => limit,
            None => return Err(CommandError::text("ERR LIMIT can't be negative")),
        };
    }
    if !pairs.remainder().is_empty() {
        return Err(CommandError::Syntax);
    }
    inputs.sort_by_key(Input::len);
    context.reply.count(intersection(&inputs, Aggregate::Sum).take(limit).count());
    Ok(())
}
