//! ZRANGE and all that reads, counts, stores or removes a range: by rank, by score or by member.

use std::ops::{Bound, Range};

use super::super::Context;
use super::taken;
use crate::engine::error::CommandError;
use crate::engine::notifications::EventClasses;
use crate::engine::number::{integer, parse_float};
use crate::engine::reply::{Protocol, Reply};
use crate::engine::types::sorted_set::{MemberBound, SortedSet};
use crate::engine::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Reverse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scores {
    Hidden,
    Shown,
}

/// What the name of a command settles before its options are read.
#[derive(Clone, Copy, Debug)]
struct Preset {
    by: Option<By>,
    direction: Option<Direction>,
    takes_with_scores: bool,
}

/// A range that still knows no set.
#[derive(Clone, Copy, Debug)]
enum Span<'a> {
    /// Both ends belong to it; negative numbers count from the end.
    Rank(i64, i64),
    Score(Bound<f64>, Bound<f64>),
    Member(MemberBound<'a>, MemberBound<'a>),
}

#[derive(Clone, Copy, Debug)]
struct Request<'a> {
    span: Span<'a>,
    direction: Direction,
    scores: Scores,
    offset: i64,
    /// Negative: as many as there are.
    limit: i64,
}

impl Preset {
    const fn new(by: By, direction: Direction) -> Self {
        Self { by: Some(by), direction: Some(direction), takes_with_scores: true }
    }

    /// `words` are the two ends of the range and the options.
    fn parse<'a>(self, words: &[&'a [u8]]) -> Result<Request<'a>, CommandError> {
        let (mut by, mut direction) = (self.by, self.direction);
        let mut scores = Scores::Hidden;
        let (mut offset, mut limit) = (0, -1);
        let mut options = &words[2..];
        while let Some((word, rest)) = options.split_first() {
            options = rest;
            match word.to_ascii_lowercase().as_slice() {
                b"withscores" if self.takes_with_scores => scores = Scores::Shown,
                b"limit" if rest.len() >= 2 => {
                    (offset, limit) = (integer(rest[0])?, integer(rest[1])?);
                    options = &rest[2..];
                }
                b"rev" if direction.is_none() => direction = Some(Direction::Reverse),
                b"byscore" if by.is_none() => by = Some(By::Score),
                b"bylex" if by.is_none() => by = Some(By::Member),
                _ => return Err(CommandError::Syntax),
            }
        }
        let by = by.unwrap_or(By::Rank);
        let direction = direction.unwrap_or(Direction::Forward);
        if by == By::Rank && limit != -1 {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if by == By::Member && scores == Scores::Shown {
            return Err(CommandError::text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        // A reversed range by score or member names its greater end first; by rank it does not.
        let (min, max) = match direction {
            Direction::Reverse if by != By::Rank => (words[1], words[0]),
            _ => (words[0], words[1]),
        };
        let span = match by {
            By::Rank => Span::Rank(integer(min)?, integer(max)?),
            By::Score => score_span(min, max)?,
            By::Member => member_span(min, max)?,
        };
        Ok(Request { span, direction, scores, offset, limit })
    }
}

impl Span<'_> {
    /// The ranks that it covers in a set, counted in `direction` if it goes by rank.
    fn ranks(&self, set: &SortedSet, direction: Direction) -> Range<usize> {
        match *self {
            Self::Rank(start, stop) => {
                let ranks = clamp(start, stop, set.len());
                match direction {
                    Direction::Forward => ranks,
                    Direction::Reverse => set.len() - ranks.end..set.len() - ranks.start,
                }
            }
            Self::Score(min, max) => set.ranks_by_score(min, max),
            Self::Member(min, max) => set.ranks_by_member(min, max),
        }
    }
}

impl Request<'_> {
    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let ranks = self.span.ranks(set, self.direction);
        // A negative offset skips everything.
        let skip = usize::try_from(self.offset).unwrap_or(usize::MAX).min(ranks.len());
        let take = usize::try_from(self.limit).unwrap_or(usize::MAX).min(ranks.len() - skip);
        match self.direction {
            Direction::Forward => ranks.start + skip..ranks.start + skip + take,
            Direction::Reverse => ranks.end - skip - take..ranks.end - skip,
        }
    }
}

/// Ranks from `start` to `stop` inclusive, negative ones counted from the end.
fn clamp(start: i64, stop: i64, len: usize) -> Range<usize> {
    let from_end = |rank: i64| if rank < 0 { rank.saturating_add(len as i64) } else { rank };
    let start = from_end(start).clamp(0, len as i64) as usize;
    let end = from_end(stop).saturating_add(1).clamp(0, len as i64) as usize;
    start..end.max(start)
}

const NOT_A_BOUND: CommandError = CommandError::text("ERR min or max is not a float");

fn score_span<'a>(min: &[u8], max: &[u8]) -> Result<Span<'a>, CommandError> {
    let bound = |text: &[u8]| {
        let (exclusive, number) = match text.split_first() {
            Some((b'(', rest)) => (true, rest),
            _ => (false, text),
        };
        let number = number.trim_ascii_start();
        // Unlike a score, a bound may be empty, which is zero, or lie beyond all doubles.
        let score = if number.is_empty() { Some(0.0) } else { parse_float(number) };
        let score = score.or_else(|| std::str::from_utf8(number).ok()?.parse().ok());
        match score {
            Some(score) if score.is_nan() => Err(NOT_A_BOUND),
            Some(score) if exclusive => Ok(Bound::Excluded(score)),
            Some(score) => Ok(Bound::Included(score)),
            None => Err(NOT_A_BOUND),
        }
    };
    Ok(Span::Score(bound(min)?, bound(max)?))
}

fn member_span<'a>(min: &'a [u8], max: &'a [u8]) -> Result<Span<'a>, CommandError> {
    let bound = |text: &'a [u8]| match text {
        b"-" => Ok(MemberBound::Least),
        b"+" => Ok(MemberBound::Greatest),
        [b'[', member @ ..] => Ok(MemberBound::Included(member)),
        [b'(', member @ ..] => Ok(MemberBound::Excluded(member)),
        _ => Err(CommandError::text("ERR min or max not valid string range item")),
    };
    Ok(Span::Member(bound(min)?, bound(max)?))
}

/// Writes members and, if wanted, their scores: side by side for RESP2, in pairs for RESP3.
pub(super) fn write_members<'a>(
    reply: &mut Reply,
    members: impl ExactSizeIterator<Item = (&'a [u8], f64)>,
    scores: Scores,
) {
    let paired = scores == Scores::Shown && reply.protocol == Protocol::Resp3;
    let flat = scores == Scores::Shown && !paired;
    reply.array(if flat { members.len() * 2 } else { members.len() });
    for (member, score) in members {
        if paired {
            reply.array(2);
        }
        reply.bulk(member);
        if scores == Scores::Shown {
            reply.double(score);
        }
    }
}

fn read_range(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    preset: Preset,
) -> Result<(), CommandError> {
    let request = preset.parse(&arguments[1..])?;
    let set = context.keyspace.read::<SortedSet>(context.database, arguments[0])?;
    let Some(set) = set else {
        context.reply.array(0);
        return Ok(());
    };
    let members = set.range(request.ranks(set));
    match request.direction {
        Direction::Forward => write_members(context.reply, members, request.scores),
        Direction::Reverse => write_members(context.reply, members.rev(), request.scores),
    }
    Ok(())
}

pub(super) fn zrange(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    read_range(context, arguments, Preset { by: None, direction: None, takes_with_scores: true })
}

pub(super) fn zrevrange(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    read_range(context, arguments, Preset::new(By::Rank, Direction::Reverse))
}

pub(super) fn zrangebyscore(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    read_range(context, arguments, Preset::new(By::Score, Direction::Forward))
}

pub(super) fn zrevrangebyscore(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    read_range(context, arguments, Preset::new(By::Score, Direction::Reverse))
}

pub(super) fn zrangebylex(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    read_range(context, arguments, Preset::new(By::Member, Direction::Forward))
}

pub(super) fn zrevrangebylex(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    read_range(context, arguments, Preset::new(By::Member, Direction::Reverse))
}

pub(super) fn zrangestore(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    let (target, source) = (arguments[0], arguments[1]);
    let preset = Preset { by: None, direction: None, takes_with_scores: false };
    let request = preset.parse(&arguments[2..])?;
    let mut stored = SortedSet::default();
    if let Some(set) = context.keyspace.read::<SortedSet>(context.database, source)? {
        for (member, score) in set.range(request.ranks(set)) {
            stored.insert(member, score);
        }
    }
    store(context, target, stored, "zrangestore");
    Ok(())
}

/// Puts a result in the place of whatever `target` held, and answers its length.
pub fn store(context: &mut Context<'_>, target: &[u8], set: SortedSet, event: &'static str) {
    context.reply.count(set.len());
    if !set.is_empty() {
        context.keyspace.insert(context.database, target, Value::SortedSet(Box::new(set)));
        context.notify(EventClasses::SORTED_SET, event, target);
    } else if context.keyspace.remove(context.database, target) {
        context.notify(EventClasses::GENERIC, "del", target);
    }
}

fn count(context: &mut Context<'_>, key: &[u8], span: Span<'_>) -> Result<(), CommandError> {
    let set = context.keyspace.read::<SortedSet>(context.database, key)?;
    context.reply.count(set.map_or(0, |set| span.ranks(set, Direction::Forward).len()));
    Ok(())
}

pub(super) fn zcount(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    count(context, arguments[0], score_span(arguments[1], arguments[2])?)
}

pub(super) fn zlexcount(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    count(context, arguments[0], member_span(arguments[1], arguments[2])?)
}

fn remove(
    context: &mut Context<'_>,
    key: &[u8],
    span: Span<'_>,
    event: &'static str,
) -> Result<(), CommandError> {
    let Some(set) = context.keyspace.change_quietly::<SortedSet>(context.database, key)? else {
        context.reply.integer(0);
        return Ok(());
    };
    let ranks = span.ranks(set, Direction::Forward);
    context.reply.count(ranks.len());
    let is_empty = ranks.len() == set.len();
    if !ranks.is_empty() {
        set.remove_range(ranks);
        taken(context, event, key, is_empty);
    }
    Ok(())
}

pub(super) fn zremrangebyrank(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    let span = Span::Rank(integer(arguments[1])?, integer(arguments[2])?);
    remove(context, arguments[0], span, "zremrangebyrank")
}

pub(super) fn zremrangebyscore(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    let span = score_span(arguments[1], arguments[2])?;
    remove(context, arguments[0], span, "zremrangebyscore")
}

pub(super) fn zremrangebylex(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    let span = member_span(arguments[1], arguments[2])?;
    remove(context, arguments[0], span, "zremrangebylex")
}
